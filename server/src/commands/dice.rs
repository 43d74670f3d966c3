//! Choices at random from a seed, the same on every copy.

use super::{CommandError, Context, number};
use std::collections::HashSet;

/// A source of numbers (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// Numbers that follow from the command's seed.
    pub(super) fn new(context: &Context<'_>) -> Self {
        Self(context.seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// `count` different numbers below `bound`, which is more.
    pub(super) fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        if count * 3 > bound {
            let mut all: Vec<usize> = (0..bound).collect();
            for at in 0..count {
                let other = at + self.below(bound - at);
                all.swap(at, other);
            }
            all.truncate(count);
            return all;
        }
        let mut seen = HashSet::with_capacity(count);
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let number = self.below(bound);
            if seen.insert(number) {
                chosen.push(number);
            }
        }
        chosen
    }
}

/// Whom HRANDFIELD and its kin show.
pub(super) enum Sample {
    /// Everything, in its order.
    All,
    /// These, by place.
    Places(Vec<usize>),
}

/// Longest sample with repetitions: a reply must end before memory does, and nobody else gets at the partition
/// meanwhile.
const REPEATS_MAX: u64 = 1 << 24;

impl Sample {
    /// What `count` asks of a collection of `size` elements: up to so many different ones, or, where it is negative, so
    /// many with repetitions.
    ///
    /// # Errors
    /// Where more repetitions are asked for than one reply can hold.
    pub(super) fn new(dice: &mut Dice, count: i64, size: usize) -> Result<Self, CommandError> {
        if count < 0 {
            if count.unsigned_abs() > REPEATS_MAX {
                return Err(CommandError::OutOfRange);
            }
            return Ok(Self::Places((0..count.unsigned_abs()).map(|_| dice.below(size)).collect()));
        }
        Ok(match usize::try_from(count) {
            Ok(count) if count < size => Self::Places(dice.distinct(count, size)),
            _ => Self::All,
        })
    }
}

/// Reads the count of HRANDFIELD and its kin.
///
/// # Errors
/// Where it is no number, or the least one.
pub(super) fn count(text: &[u8]) -> Result<i64, CommandError> {
    let count = number::integer(text)?;
    if count == i64::MIN {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn distinct_numbers_are_distinct_and_all_come() {
        let mut bench = Bench::new();
        let mut dice = Dice::new(&bench.context());
        for (count, bound) in [(1, 100), (20, 100), (80, 100), (99, 100)] {
            let mut seen = HashSet::new();
            for _ in 0..200 {
                let chosen = dice.distinct(count, bound);
                let different: HashSet<_> = chosen.iter().copied().collect();
                assert_eq!((chosen.len(), different.len()), (count, count));
                assert!(chosen.iter().all(|number| *number < bound));
                seen.extend(different);
            }
            assert!(seen.len() > bound * 3 / 4, "{} of {bound}", seen.len());
        }
    }
}
