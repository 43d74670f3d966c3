//! The end of a payload: version and checksum.

use super::Writer;
use super::crc64::crc64;

/// The highest version that is read: Redis 7.4's.
pub const VERSION_READ_MAX: u16 = 12;
/// The version that is written: Redis 7.0's, whose servers refuse what is newer. It spells all types that there are so
/// far as 7.4's does; one that needs a newer version says so in its own payloads.
pub const VERSION_WRITTEN: u16 = 10;

const FOOTER_BYTES: usize = 10;

/// The version in which deadlines of fields are written: Redis 7.4's.
pub const VERSION_OF_TIMED_HASHES: u16 = 12;

/// The payload: what was written, version and checksum.
pub fn seal(writer: Writer) -> Vec<u8> {
    seal_as(VERSION_WRITTEN, writer)
}

/// The payload, of what only servers of this version and later read.
pub fn seal_as(version: u16, writer: Writer) -> Vec<u8> {
    let mut bytes = writer.into_bytes();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&crc64(&bytes).to_le_bytes());
    bytes
}

/// What is before version and checksum, if those are right.
pub fn open(payload: &[u8]) -> Option<&[u8]> {
    let (rest, checksum) = payload.split_last_chunk::<8>()?;
    let (body, version) = rest.split_last_chunk::<2>()?;
    debug_assert_eq!(body.len() + FOOTER_BYTES, payload.len());
    let right = u16::from_le_bytes(*version) <= VERSION_READ_MAX && u64::from_le_bytes(*checksum) == crc64(rest);
    right.then_some(body)
}
