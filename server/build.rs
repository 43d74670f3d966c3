//! Tells the linker which functions belong together.
#![allow(clippy::print_stdout, reason = "it is how cargo is told")]

use std::env;
use std::path::Path;
use std::process::Command;

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
        // Where addresses in the data have to be moved as the program starts is read once, but stays resident: 0.4 MB as a
        // list, a fortieth as a bitmap. Programs that have it as a bitmap do not start where glibc is older.
        if env::var("HOST") == env::var("TARGET") && glibc_version().is_some_and(|version| version >= (2, 36)) {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Of this machine.
fn glibc_version() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
