//! Hostile input: what each decoder and handler is fed with, and what must hold whatever it is.
//!
//! A [`Target`] is a function of bytes that panics where a promise is broken. The same targets run in two ways:
//!
//! - as tests, in every `cargo test`: the corpus in `server/fuzz/corpus` is replayed, then mutated a bounded number of
//!   times from a seed that a failure prints (`replay`);
//! - guided by coverage, for as long as one likes: `server/fuzz/run TARGET SECONDS` builds them with libFuzzer and
//!   instrumentation on the stable toolchain. That is what `--cfg fuzzing` is for.
//!
//! An input that was a finding goes into the corpus, and what it showed into a test beside the code that was mended.

mod commands;
mod frames;
mod payloads;
mod pieces;
#[cfg(test)]
mod replay;
mod reply;
mod requests;
mod settings;
mod shapes;
mod source;
mod strings;

/// Something that takes bytes from outside.
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Feeds it; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Mutated inputs that a test feeds it: a second or two.
    pub rounds: usize,
}

/// All targets.
pub static TARGETS: &[Target] = &[
    Target { name: "requests", run: requests::run, rounds: 20_000 },
    Target { name: "frames", run: frames::run, rounds: 20_000 },
    Target { name: "pieces", run: pieces::run, rounds: 3_000 },
    Target { name: "payloads", run: payloads::run, rounds: 3_000 },
    Target { name: "commands", run: commands::run, rounds: 400 },
    Target { name: "strings", run: strings::run, rounds: 2_000 },
    Target { name: "settings", run: settings::run, rounds: 3_000 },
];

/// The target called `name`.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
