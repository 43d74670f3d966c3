//! An asynchronous client for Larder and Redis Cluster.
//!
//! - [`Connection`]: one socket. Calls, pipelines, push messages; RESP3 with a fallback to RESP2.
//! - [`Client`]: one address. Reconnects, and tries again what certainly did not take effect.
//! - [`ClusterClient`]: all nodes of a cluster. Sends each command to the node that serves its slot, follows MOVED and
//!   ASK, and keeps its map fresh.
//!
//! Each is owned by one task (`&mut self`) and runs on any tokio runtime, `current_thread` ones included; it starts
//! no task of its own. A program with many tasks gives each its own, or puts one behind a queue.
//!
//! What a failure means is in its type: only after [`Error::Uncertain`] may the command have taken effect, and no write
//! is ever sent again after that.
//!
//! ```no_run
//! # async fn example() -> Result<(), larder_client::Error> {
//! use larder_client::{ClusterClient, Options};
//!
//! let mut cluster = ClusterClient::connect(&["127.0.0.1:6379"], Options::default()).await?;
//! cluster.call(&[b"SET", b"key", b"value"]).await?;
//! let replies = cluster.pipeline(&[["GET", "key"], ["INCR", "counter"]]).await;
//! for reply in replies {
//!     println!("{:?}", reply?);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod backoff;
mod client;
mod cluster;
mod commands;
mod connection;
mod decode;
mod error;
mod options;
mod topology;
mod value;

pub use address::Address;
pub use client::Client;
pub use cluster::ClusterClient;
pub use commands::CommandTable;
pub use connection::Connection;
pub use error::Error;
pub use larder_protocol::ProtocolVersion;
pub use options::Options;
pub use topology::{SlotRange, Topology};
pub use value::Value;
