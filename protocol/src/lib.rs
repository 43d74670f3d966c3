//! What both ends of Larder's wire agree on.
//!
//! The request decoder, the reply encoder, the error prefixes, the slot hash and the words in which a command is
//! described. No I/O, no async, no server state.

pub mod double;
pub mod error;
pub mod reply;
pub mod request;
pub mod scan;
pub mod slot;
pub mod spec;

pub use reply::{ProtocolVersion, ReplyBuffer};
pub use request::{Args, CommandBatch, Limits, ProtocolError, RequestDecoder};
pub use slot::{SLOTS, Slot, slot_of};
pub use spec::{Arity, Flags, KeySpec, migrate_keys, stream_keys};
