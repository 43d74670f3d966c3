//! Which register an element counts in, and what for.

use super::REGISTERS;

/// The seed that Redis chose.
const SEED: u64 = 0xadc8_3b19;
/// Bits of a hash that pick the register.
const INDEX_BITS: u32 = REGISTERS.trailing_zeros();

/// What an element says about one register: that it is at least `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observation {
    /// The register.
    pub(super) index: usize,
    /// Zeros at the end of the rest of the hash, and one: 1 to 51.
    pub(super) count: u8,
}

impl Observation {
    /// What `element` says.
    pub(super) fn of(element: &[u8]) -> Self {
        let hash = murmur_hash_64a(element, SEED);
        let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
        Self { index: hash as usize % REGISTERS, count: rest.trailing_zeros() as u8 + 1 }
    }
}

/// Austin Appleby's MurmurHash2 for 64 bits, little-endian on every machine.
fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_within_the_hash() {
        for number in 0..100_000u32 {
            let Observation { index, count } = Observation::of(&number.to_le_bytes());
            assert!(index < REGISTERS && (1..=51).contains(&count));
        }
    }
}
