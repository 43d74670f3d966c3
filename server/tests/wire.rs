//! A node's two client ports, byte by byte: what goes in, what comes out.
//!
//! Where redis-server is installed, the same bytes are sent to it and must come back the same.

#[path = "wire/blocking.rs"]
mod blocking;
#[path = "wire/command.rs"]
mod command;
#[path = "wire/connection.rs"]
mod connection;
#[path = "wire/counters.rs"]
mod counters;
#[path = "wire/databases.rs"]
mod databases;
#[path = "wire/forward.rs"]
mod forward;
#[path = "wire/harness.rs"]
mod harness;
#[path = "wire/hostile.rs"]
mod hostile;
#[path = "wire/migrate.rs"]
mod migrate;
#[path = "wire/partitions.rs"]
mod partitions;
#[path = "wire/pipeline.rs"]
mod pipeline;
#[path = "wire/redis.rs"]
mod redis;
#[path = "wire/session.rs"]
mod session;
#[path = "wire/streams.rs"]
mod streams;
#[path = "wire/transactions.rs"]
mod transactions;
