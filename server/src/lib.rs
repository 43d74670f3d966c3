//! Larder: a clustered in-memory cache that any Redis client can use.
//!
//! Modules, highest first; each uses only those below it (ARCHITECTURE.md draws the map):
//! `app`, `net`, `dispatch`, `cluster`, `raft`, `commands`, `keyspace`, and the leaves
//! `ids`, `limits`, `clock`, `decimal`, `topology`, `config`, `rdb`, `telemetry`, `planted`.

pub mod app;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod decimal;
pub mod dispatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod ids;
pub mod keyspace;
pub mod limits;
pub mod net;
pub mod planted;
pub mod raft;
pub mod rdb;
pub mod telemetry;
pub mod topology;
