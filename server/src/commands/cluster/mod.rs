//! Redis Cluster's commands, and Larder's own for operators.
//!
//! Everything that is shown derives from one [`Topology`](crate::topology::Topology), so that SLOTS, SHARDS, NODES and
//! MOVED never disagree.
//!
//! # How copies are shown
//! Redis Cluster has masters with slots of their own and replicas of a whole master. Larder replicates partitions, and one
//! node leads some and follows in others, which those replies have no words for. So **every node is shown as a master of
//! the slots that it leads, and no node as a replica**:
//! - redis-py keeps one role a node, the last that it read in CLUSTER SLOTS: a node listed as leader of one range and as
//!   replica of another would at times drop out of `get_primaries()`, and FLUSHALL or SCAN would miss it.
//! - Lettuce and StackExchange.Redis read CLUSTER NODES, which has one line and one role a node.
//! - ioredis, node-redis and go-redis cope with both roles, but use replicas only to spread reads, which no follower
//!   answers yet (READONLY connections are answered MOVED).
//!
//! A node that leads nothing is a master without slots, as a node that has just joined a Redis Cluster is; SLOTS does not
//! name it. A partition whose leader is not known is shown with its first copy, so that every slot is covered at all times:
//! redis-py refuses a map with holes, Jedis forgets what it knew. That node answers MOVED or CLUSTERDOWN until it knows.

mod help;
mod info;
mod keys;
pub mod larder;
mod links;
mod membership;
pub mod modes;
mod nodes;
mod shape;
mod slots;

use super::{CommandSpec, Family, Handler};
use larder_protocol::{Arity, Flags};

/// What rows of this family have in common.
const CLUSTER_ROW: CommandSpec =
    CommandSpec { family: Family::Cluster, flags: QUERY, since: "3.0.0", ..CommandSpec::CONNECTION };
const QUERY: Flags = Flags::STALE;
const ADMIN: Flags = QUERY.union(Flags::ADMIN);

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] =
    &[&modes::ASKING, &CLUSTER, &larder::LARDER, &modes::READONLY, &modes::READWRITE];

/// CLUSTER
pub static CLUSTER: CommandSpec = CommandSpec {
    name: "cluster",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    complexity: "Depends on subcommand.",
    summary: "A container for Redis Cluster commands.",
    handler: Handler::Container(&[
        &keys::COUNTKEYSINSLOT,
        &membership::FORGET,
        &keys::GETKEYSINSLOT,
        &help::HELP,
        &info::INFO,
        &keys::KEYSLOT,
        &links::LINKS,
        &membership::MEET,
        &nodes::MYID,
        &nodes::MYSHARDID,
        &nodes::NODES,
        &nodes::REPLICAS,
        &slots::SHARDS,
        &slots::SLOTS,
    ]),
    ..CLUSTER_ROW
};
