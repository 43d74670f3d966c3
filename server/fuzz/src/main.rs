//! The targets of `larder::fuzzing` under libFuzzer; which one, `LARDER_FUZZ_TARGET` says. `./run` builds and starts
//! it.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<&larder::fuzzing::Target> = LazyLock::new(|| {
    let name = std::env::var("LARDER_FUZZ_TARGET").unwrap_or_default();
    larder::fuzzing::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = larder::fuzzing::TARGETS.iter().map(|target| target.name).collect();
        panic!("LARDER_FUZZ_TARGET is one of {}", names.join(", "))
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
