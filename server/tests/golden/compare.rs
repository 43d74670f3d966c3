//! How two replies are compared.

use crate::Command;
use crate::reply;

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// Nothing.
    Exact,
    /// An array's order (KEYS).
    Unordered,
    /// The order of the keys of a SCAN that ends in one step.
    ScanOrder,
    /// A number that follows the clock: by as much as this test may be delayed, in its unit.
    Near(i64),
    /// The last digits of numbers in an array.
    Digits,
    /// Which elements: how many is the same.
    Size,
    /// Everything but the kind of reply.
    Kind,
}

/// How long the machine may stall between the two sides.
pub const STALL_MS: i64 = 60_000;

/// Asserts that both sides answered alike.
pub fn check(command: &Command, mask: Mask, theirs: &[u8], ours: &[u8], seed: u64, history: &[Command]) {
    if !alike(mask, theirs, ours) {
        let history: Vec<String> = history.iter().map(show).collect();
        panic!(
            "GOLDEN_SEED={seed}: {}\n redis: {}\n here:  {}\nafter:\n{}",
            show(command),
            theirs.escape_ascii(),
            ours.escape_ascii(),
            history.join("\n"),
        );
    }
}

fn show(command: &Command) -> String {
    let words: Vec<String> = command.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
    words.join(" ")
}

fn alike(mask: Mask, theirs: &[u8], ours: &[u8]) -> bool {
    if theirs == ours {
        return true;
    }
    match mask {
        Mask::Exact => false,
        Mask::Unordered => sorted(theirs) == sorted(ours) && theirs.first() == ours.first() && !sorted(ours).is_empty(),
        Mask::ScanOrder => {
            let (theirs, ours) = (reply::elements(theirs), reply::elements(ours));
            theirs.len() == 2 && ours.len() == 2 && theirs[0] == ours[0] && sorted(theirs[1]) == sorted(ours[1])
        }
        Mask::Near(tolerance) => match (reply::integer(theirs), reply::integer(ours)) {
            (Some(theirs), Some(ours)) => theirs >= 0 && ours >= 0 && (theirs - ours).abs() <= tolerance,
            _ => false,
        },
        Mask::Digits => {
            let (theirs, ours) = (reply::leaves(theirs), reply::leaves(ours));
            let near = |(theirs, ours): (&&[u8], &&[u8])| match (reply::double(theirs), reply::double(ours)) {
                (Some(theirs), Some(ours)) => (theirs - ours).abs() <= theirs.abs() * 1e-12,
                _ => theirs == ours,
            };
            theirs.len() == ours.len() && theirs.iter().zip(&ours).all(near)
        }
        Mask::Size => alike(Mask::Kind, theirs, ours) && reply::elements(theirs).len() == reply::elements(ours).len(),
        Mask::Kind => {
            let null = |bytes: &[u8]| bytes.starts_with(b"$-1") || bytes.starts_with(b"_");
            theirs.first() == ours.first() && theirs.first() != Some(&b'-') && null(theirs) == null(ours)
        }
    }
}

fn sorted(bytes: &[u8]) -> Vec<&[u8]> {
    let mut elements = reply::elements(bytes);
    elements.sort_unstable();
    elements
}
