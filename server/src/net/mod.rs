//! Sockets: listeners, cores, connections.
//!
//! ```text
//!  listener (core 0) -- accept, admit --> a core (`spread`) -- one task a connection:
//!
//!      read -> decode a batch -> Conversation::execute -> one write -> again
//! ```
//!
//! A task never reads while a reply waits to be sent, so a client that does not read holds one batch of replies and no
//! more. A connection that is idle holds no buffers: it takes them from its core's pool when bytes arrive.

mod accept;
mod buffers;
mod connection;
mod cores;
mod server;
mod spread;
mod sweep;

pub use accept::{Listener, bind, listen};
pub use cores::Cores;
pub use server::Server;
