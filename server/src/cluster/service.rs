//! Numbers of the services that peers offer each other.

/// Messages of partition groups.
pub const GROUP: u8 = 1;
/// Messages of the directory's group.
pub const DIRECTORY: u8 = 2;
/// Forwarded commands.
pub const FORWARD: u8 = 3;
/// Hints of who leads what; wants no answer.
pub const LEADERS: u8 = 4;
/// Orders of the directory's leader to the leader of a partition.
pub const ORDER: u8 = 5;
/// What a node's clock shows.
pub const CLOCK: u8 = 7;
/// Commands that wait until they can be served: their requests keep the order in which they were sent, and the answers
/// take their time.
pub const WAIT: u8 = 8;
/// Forwarded commands of several partitions that only read, in one message.
pub const READS: u8 = 9;
/// Joining, and questions of nodes that are not members yet.
pub const CONTROL: u8 = 6;
