//! What of memory has no safe name in stable Rust: asking for it before it is needed, and letting the system have it back.
//!
//! The only `unsafe` of the crate. Both have a safe twin, for where they are not to be had.

mod area;
pub(in crate::keyspace) mod prefetch;

pub(in crate::keyspace) use area::{Area, HUGE_BYTES};
