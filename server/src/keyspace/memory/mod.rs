//! What of memory has no safe name in stable Rust: asking for it before it is needed, and letting the system have it back.
//!
//! The only `unsafe` of the crate. What a machine may not have has a safe twin.

mod allocator;
mod area;
pub(in crate::keyspace) mod prefetch;

pub(in crate::keyspace) use allocator::give_back_freed;
pub(in crate::keyspace) use area::{Area, HUGE_BYTES};
