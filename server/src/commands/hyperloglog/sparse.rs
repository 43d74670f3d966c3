//! Sparse registers: runs of equal ones.
//!
//! ```text
//! 00llllll            zeros, l + 1 of them (1 to 64)
//! 01llllll llllllll   zeros, l + 1 of them (1 to 16384)
//! 1vvvvvll            registers of v + 1 (1 to 32), l + 1 of them (1 to 4)
//! ```
//! The runs that a sequence of changes leads to are Redis's, so that the bytes are: a run is split where a register in it
//! rises, and then equal neighbours are joined, looking at five runs from the one before.

use super::REGISTERS;
use super::element::Observation;
use super::value::Corrupt;

/// Greatest value of a register.
const VALUE_MAX: u8 = 32;
/// Longest run of equal registers that are not zero.
const VALUES_MAX: usize = 4;
/// Longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// Longest sequence that may describe the registers: a longer one is not looked at.
pub(super) const BYTES_MAX: usize = 2 * REGISTERS;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// What the registers are.
    pub(super) value: u8,
    /// How many.
    pub(super) length: usize,
    /// Bytes that spell it: two for a long run of zeros, whatever its length.
    pub(super) bytes: usize,
}

impl Run {
    /// The run at the beginning of `bytes`, if there is one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        Some(match first >> 6 {
            0 => Self { value: 0, length: usize::from(first) + 1, bytes: 1 },
            1 => {
                let length = usize::from(u16::from_be_bytes([first & 0x3F, *bytes.get(1)?])) + 1;
                Self { value: 0, length, bytes: 2 }
            }
            _ => Self { value: (first >> 2 & 0x1F) + 1, length: usize::from(first & 3) + 1, bytes: 1 },
        })
    }
}

/// Spells a run.
fn push(out: &mut Vec<u8>, value: u8, length: usize) {
    let less_one = length - 1;
    match value {
        0 if length <= ZEROS_MAX => out.push(less_one as u8),
        0 => out.extend_from_slice(&(0x4000 | less_one as u16).to_be_bytes()),
        _ => out.push(0x80 | (value - 1) << 2 | less_one as u8),
    }
}

/// All registers zero.
pub(super) fn empty() -> Vec<u8> {
    let mut runs = Vec::with_capacity(2);
    push(&mut runs, 0, REGISTERS);
    runs
}

/// The runs, one after another; `None` once the bytes end within one.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Option<Run>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let run = Run::read(rest);
        at += run.map_or(rest.len(), |run| run.bytes);
        Some(run)
    })
}

/// Every run with the register that it begins at.
///
/// # Errors
/// Where the runs do not describe all registers and no more. Some may have been visited then.
pub(super) fn each(bytes: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    if bytes.len() > BYTES_MAX {
        return Err(Corrupt);
    }
    let mut first = 0;
    for run in runs(bytes) {
        let run = run.ok_or(Corrupt)?;
        if first + run.length > REGISTERS {
            return Err(Corrupt);
        }
        visit(first, run);
        first += run.length;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// A place among the runs: a run begins at this byte, with this register.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    at: usize,
    first: usize,
}

/// What became of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raised {
    /// The register is as high already.
    Unchanged,
    /// It was raised.
    Changed,
    /// Sparse runs cannot hold it, or not within the limit: nothing was changed.
    NotSparse,
}

/// Raises a register, if the runs then take at most `bytes_max` bytes (or no more than before).
///
/// `from` says where to begin looking: at the default, or, where registers are raised in ascending order, at the place
/// that the call before left there.
///
/// # Errors
/// Where no run holds the register.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    Observation { index, count }: Observation,
    bytes_max: usize,
    from: &mut Place,
) -> Result<Raised, Corrupt> {
    if count > VALUE_MAX {
        return Ok(Raised::NotSparse);
    }
    let (mut place, mut before) = (*from, None);
    let run = loop {
        let run = Run::read(bytes.get(place.at..).unwrap_or_default()).ok_or(Corrupt)?;
        if index < place.first + run.length {
            break run;
        }
        // Two runs back: what is joined below begins one run back, so this place stays one.
        *from = before.unwrap_or(*from);
        before = Some(place);
        place = Place { at: place.at + run.bytes, first: place.first + run.length };
    };
    if run.value >= count {
        return Ok(Raised::Unchanged);
    }
    let mut split = Vec::with_capacity(5);
    let last = place.first + run.length - 1;
    if index > place.first {
        push(&mut split, run.value, index - place.first);
    }
    push(&mut split, count, 1);
    if index < last {
        push(&mut split, run.value, last - index);
    }
    if split.len() > run.bytes && bytes.len() + split.len() - run.bytes > bytes_max {
        return Ok(Raised::NotSparse);
    }
    bytes.splice(place.at..place.at + run.bytes, split);
    join(bytes, before.unwrap_or(place).at);
    Ok(Raised::Changed)
}

/// Joins equal neighbours among the first runs from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(run) = Run::read(&bytes[at..]) else { return };
        if run.value > 0
            && let Some(next) = Run::read(&bytes[at + 1..])
            && next.value == run.value
            && run.length + next.length <= VALUES_MAX
        {
            let mut joined = Vec::with_capacity(1);
            push(&mut joined, run.value, run.length + next.length);
            bytes.splice(at..at + 2, joined);
            continue;
        }
        at += run.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut registers = Vec::new();
        each(bytes, |_, run| registers.extend(std::iter::repeat_n(run.value, run.length))).unwrap();
        registers
    }

    proptest! {
        #[test]
        fn runs_hold_what_was_observed(observed in prop::collection::vec((0usize..300, 1u8..=32), 0..300)) {
            let mut bytes = empty();
            let mut expected = vec![0; REGISTERS];
            for (index, count) in observed {
                let higher = count > expected[index];
                let raised = raise(&mut bytes, Observation { index, count }, 3000, &mut Place::default()).unwrap();
                prop_assert_eq!(raised, if higher { Raised::Changed } else { Raised::Unchanged });
                expected[index] = expected[index].max(count);
            }
            prop_assert_eq!(registers(&bytes), expected);
        }

        /// Beginning where the last one was changed gives the same bytes as beginning at the start.
        #[test]
        fn ascending_order_may_go_on(
            before in prop::collection::vec((0usize..200, 1u8..4), 0..100),
            after in prop::collection::btree_map(0usize..200, 1u8..4, 0..100),
        ) {
            let mut bytes = empty();
            for (index, count) in before {
                raise(&mut bytes, Observation { index, count }, 3000, &mut Place::default()).unwrap();
            }
            let (mut afresh, mut place) = (bytes.clone(), Place::default());
            for (index, count) in after {
                let observation = Observation { index, count };
                let expected = raise(&mut afresh, observation, 3000, &mut Place::default()).unwrap();
                prop_assert_eq!(raise(&mut bytes, observation, 3000, &mut place).unwrap(), expected);
                prop_assert_eq!(&bytes, &afresh);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), index in 0usize..REGISTERS, count in 1u8..52) {
            let mut changed = bytes.clone();
            let _ = raise(&mut changed, Observation { index, count }, 3000, &mut Place::default());
            let _ = each(&bytes, |_, _| ());
        }
    }

    #[test]
    fn what_is_too_high_or_too_long_is_not_sparse() {
        let mut bytes = empty();
        let observation = Observation { index: 5, count: 33 };
        assert_eq!(raise(&mut bytes, observation, 3000, &mut Place::default()), Ok(Raised::NotSparse));
        let observation = Observation { index: 5, count: 32 };
        assert_eq!(raise(&mut bytes, observation, 3, &mut Place::default()), Ok(Raised::NotSparse));
        assert_eq!(bytes, empty());
        assert_eq!(raise(&mut bytes, observation, 4, &mut Place::default()), Ok(Raised::Changed));
        assert_eq!(bytes, [4, 0xFC, 0x7F, 0xF9]);
    }
}
