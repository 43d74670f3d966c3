//! Tells the linker which functions belong together.
#![allow(clippy::print_stdout, reason = "it is how cargo is told")]

use std::env;
use std::path::Path;

fn main() {
    let order = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("startup/order.ld");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", order.display());
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // A linker that somebody chose may not know scripts (mold does not): the program is then the same, but for its order.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let usual_linker = env::var_os("RUSTC_LINKER").is_none() && !flags.contains("link");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && usual_linker {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", order.display());
    }
}
