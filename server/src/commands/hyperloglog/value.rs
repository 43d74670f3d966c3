//! The whole string: header and registers.

use super::REGISTERS;
use super::dense::{self, BYTES};
use super::element::Observation;
use super::estimate::Histogram;
use super::sparse::{self, Place, Raised};
use crate::commands::CommandError;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
/// The byte with the bit that says that the cached cardinality is stale.
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;
pub(super) const HEADER_BYTES: usize = 16;

const NOT_ONE: CommandError = CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

/// The runs of a sparse HyperLogLog do not describe its registers.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Corrupt;

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        Self::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// How the registers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Each in 6 bits.
    Dense = 0,
    /// Runs.
    Sparse = 1,
}

impl Encoding {
    /// Of a string, if it looks like a HyperLogLog.
    ///
    /// # Errors
    /// `WRONGTYPE Key is not a valid HyperLogLog string value.`
    pub(super) fn of(value: &[u8]) -> Result<Self, CommandError> {
        if value.len() < HEADER_BYTES || !value.starts_with(MAGIC) {
            return Err(NOT_ONE);
        }
        match value[ENCODING_AT] {
            0 if value.len() == HEADER_BYTES + BYTES => Ok(Self::Dense),
            1 => Ok(Self::Sparse),
            _ => Err(NOT_ONE),
        }
    }
}

/// Says that the cached cardinality is stale.
pub(super) fn mark_stale(value: &mut [u8]) {
    value[STALE_AT] |= STALE;
}

/// Visits the registers of a HyperLogLog, as runs, in order.
///
/// # Errors
/// Where it is none, or corrupt.
pub(super) fn each_run(value: &[u8], mut visit: impl FnMut(usize, u8, usize)) -> Result<(), CommandError> {
    let registers = value.get(HEADER_BYTES..).unwrap_or_default();
    match Encoding::of(value)? {
        Encoding::Dense => {
            let mut index = 0;
            dense::each(registers, |register| {
                visit(index, register, 1);
                index += 1;
            });
            Ok(())
        }
        Encoding::Sparse => Ok(sparse::each(registers, |first, run| visit(first, run.value, run.length))?),
    }
}

/// The cardinality: the cached one while it is fresh.
///
/// # Errors
/// Where it is no HyperLogLog, or corrupt.
pub(super) fn cardinality(value: &[u8]) -> Result<u64, CommandError> {
    Encoding::of(value)?;
    let cached: [u8; 8] = std::array::from_fn(|at| value[CARDINALITY_AT + at]);
    if value[STALE_AT] & STALE == 0 {
        return Ok(u64::from_le_bytes(cached));
    }
    let mut histogram = Histogram::new();
    each_run(value, |_, register, run| histogram.add(register, run))?;
    Ok(histogram.cardinality())
}

/// Bytes of registers in a sparse value of so many.
fn registers_of(sparse_bytes: u32) -> usize {
    (sparse_bytes as usize).saturating_sub(HEADER_BYTES)
}

/// A HyperLogLog in memory of its own.
pub(super) struct HyperLogLog {
    header: [u8; HEADER_BYTES],
    registers: Vec<u8>,
    encoding: Encoding,
    place: Place,
    /// Bytes of registers up to which it stays sparse.
    sparse_bytes_max: usize,
}

impl HyperLogLog {
    /// An empty one, sparse up to `hll-sparse-max-bytes`.
    pub(super) fn new(sparse_bytes: u32) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[ENCODING_AT] = Encoding::Sparse as u8;
        let (registers, encoding, place) = (sparse::empty(), Encoding::Sparse, Place::default());
        Self { header, registers, encoding, place, sparse_bytes_max: registers_of(sparse_bytes) }
    }

    /// A copy of what is stored, which stays sparse up to `hll-sparse-max-bytes`.
    ///
    /// # Errors
    /// Where that is no HyperLogLog, or has more runs than one can have.
    pub(super) fn copy_of(value: &[u8], sparse_bytes: u32) -> Result<Self, CommandError> {
        let encoding = Encoding::of(value)?;
        let (header, registers) = value.split_first_chunk().ok_or(NOT_ONE)?;
        if registers.len() > sparse::BYTES_MAX {
            return Err(Corrupt.into());
        }
        let (header, registers, place) = (*header, registers.to_vec(), Place::default());
        Ok(Self { header, registers, encoding, place, sparse_bytes_max: registers_of(sparse_bytes) })
    }

    /// How the registers are stored now.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Makes it dense.
    pub(super) fn make_dense(&mut self) -> Result<(), Corrupt> {
        if self.encoding == Encoding::Sparse {
            let mut registers = vec![0; BYTES];
            sparse::each(&self.registers, |first, run| {
                if run.value > 0 {
                    for index in first..first + run.length {
                        dense::raise(&mut registers, Observation { index, count: run.value });
                    }
                }
            })?;
            self.registers = registers;
            self.encoding = Encoding::Dense;
            self.header[ENCODING_AT] = Encoding::Dense as u8;
        }
        Ok(())
    }

    /// Raises a register; whether that changed it.
    pub(super) fn raise(&mut self, observation: Observation) -> Result<bool, Corrupt> {
        self.place = Place::default();
        self.raise_next(observation)
    }

    /// [`HyperLogLog::raise`] for a register beyond the one of the call before.
    fn raise_next(&mut self, observation: Observation) -> Result<bool, Corrupt> {
        if self.encoding == Encoding::Sparse {
            match sparse::raise(&mut self.registers, observation, self.sparse_bytes_max, &mut self.place)? {
                Raised::Unchanged => return Ok(false),
                Raised::Changed => return Ok(true),
                Raised::NotSparse => self.make_dense()?,
            }
        }
        Ok(dense::raise(&mut self.registers, observation))
    }

    /// Raises every register to what `registers` has.
    pub(super) fn raise_all(&mut self, registers: &[u8; REGISTERS]) -> Result<(), Corrupt> {
        self.place = Place::default();
        for (index, count) in registers.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.raise_next(Observation { index, count: *count })?;
        }
        Ok(())
    }

    /// What is to be stored; the cached cardinality is stale if `changed`.
    pub(super) fn to_value(&self, changed: bool) -> Vec<u8> {
        let mut value = [&self.header[..], &self.registers].concat();
        if changed {
            mark_stale(&mut value);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_count_alike() {
        let (mut sparse, mut dense) = (HyperLogLog::new(3000), HyperLogLog::new(3000));
        dense.make_dense().unwrap();
        for number in 0..1000u32 {
            let observation = Observation::of(&number.to_be_bytes());
            assert_eq!(sparse.raise(observation), dense.raise(observation));
        }
        assert_eq!(sparse.encoding(), Encoding::Sparse);
        let counts = [sparse.to_value(true), dense.to_value(true)].map(|value| cardinality(&value).unwrap());
        assert_eq!(counts[0], counts[1]);
        assert!((980..=1020).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn a_fresh_cardinality_is_believed() {
        let mut value = HyperLogLog::new(3000).to_value(false);
        assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        value[CARDINALITY_AT] = 42;
        assert_eq!(cardinality(&value), Ok(42));
        mark_stale(&mut value);
        assert_eq!(cardinality(&value), Ok(0));
    }

    #[test]
    fn what_is_none_is_refused() {
        let value = HyperLogLog::new(3000).to_value(false);
        let cut = |length: usize| Encoding::of(&value[..length]);
        assert_eq!(cut(15), Err(NOT_ONE));
        assert_eq!(cut(16), Ok(Encoding::Sparse));
        for (at, byte) in [(0, b'h'), (4, 0), (4, 2)] {
            let mut other = value.clone();
            other[at] = byte;
            assert_eq!(Encoding::of(&other), Err(NOT_ONE));
        }
        let mut corrupt = value.clone();
        corrupt[17] = 0xFE;
        mark_stale(&mut corrupt);
        assert_eq!(cardinality(&corrupt), Err(Corrupt.into()));
    }
}
