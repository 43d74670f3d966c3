//! Who leads what, as CLUSTER SLOTS says.

use super::resp::{Client, Value};
use std::io;

/// One row of CLUSTER SLOTS: a run of slots and the nodes that hold it, leader first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// First slot.
    pub start: u16,
    /// Last slot.
    pub end: u16,
    /// Cluster ports of the copies, the leader's first.
    pub ports: Vec<u16>,
}

/// The slot map that a node gives its clients.
pub fn slot_ranges(client: &mut Client) -> io::Result<Vec<SlotRange>> {
    let reply = client.words("CLUSTER SLOTS")?;
    if let Value::Error(error) = &reply {
        return Err(io::Error::other(error.clone()));
    }
    let range = |row: &Value| {
        let row = row.elements();
        let slot = |index: usize| row.get(index).map_or(0, Value::integer) as u16;
        let port = |node: &Value| node.elements().get(1).map_or(0, Value::integer) as u16;
        SlotRange { start: slot(0), end: slot(1), ports: row.iter().skip(2).map(port).collect() }
    };
    Ok(reply.elements().iter().map(range).collect())
}
