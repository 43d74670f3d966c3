//! Which node serves which slot.

use larder_protocol::SLOTS;

use crate::{Address, Error, Value};

/// A run of slots and who serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first slot.
    pub start: u16,
    /// The last slot.
    pub end: u16,
    /// Who takes reads and writes.
    pub leader: Address,
    /// Who has copies.
    pub replicas: Vec<Address>,
}

/// The slots of a cluster, as a node told them.
#[derive(Clone, Debug)]
pub struct Topology {
    ranges: Vec<SlotRange>,
    nodes: Vec<Address>,
    /// For each slot the index of its node, or [`NOBODY`].
    owners: Vec<u16>,
}

/// The index of no node.
const NOBODY: u16 = u16::MAX;

impl Topology {
    /// Reads a reply to CLUSTER SLOTS that `asked` gave.
    pub fn parse(reply: &Value, asked: &Address) -> Result<Self, Error> {
        let list = reply.as_slice().ok_or_else(|| Error::Topology("CLUSTER SLOTS did not return a list".into()))?;
        let ranges = list
            .iter()
            .map(|entry| range(entry, asked).ok_or_else(|| Error::Topology(format!("strange slot range {entry:?}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let mut topology = Self { ranges: vec![], nodes: vec![], owners: vec![NOBODY; usize::from(SLOTS)] };
        for range in &ranges {
            let node = topology.index(&range.leader);
            topology.owners[usize::from(range.start)..=usize::from(range.end)].fill(node);
        }
        topology.ranges = ranges;
        Ok(topology)
    }

    /// A map in which one node serves everything: a server that is no cluster.
    pub fn single(node: Address) -> Self {
        let range = SlotRange { start: 0, end: SLOTS - 1, leader: node.clone(), replicas: vec![] };
        Self { ranges: vec![range], nodes: vec![node], owners: vec![0; usize::from(SLOTS)] }
    }

    /// The ranges as the node told them.
    pub fn ranges(&self) -> &[SlotRange] {
        &self.ranges
    }

    /// The nodes that serve slots.
    pub fn nodes(&self) -> &[Address] {
        &self.nodes
    }

    /// Who serves `slot`.
    pub fn leader(&self, slot: u16) -> Option<&Address> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    /// How many slots nobody is known to serve.
    pub fn slots_uncovered(&self) -> usize {
        self.owners.iter().filter(|&&owner| owner == NOBODY).count()
    }

    /// Notes that `node` serves `slot`, as MOVED says.
    pub(crate) fn set_leader(&mut self, slot: u16, node: &Address) {
        let node = self.index(node);
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = node;
        }
    }

    fn index(&mut self, node: &Address) -> u16 {
        let index = self.nodes.iter().position(|known| known == node).unwrap_or_else(|| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        });
        // There are no more nodes than slots in one reply, and a redirection adds one at most.
        u16::try_from(index).unwrap_or(NOBODY)
    }
}

/// One entry: start, end, leader, replicas.
fn range(entry: &Value, asked: &Address) -> Option<SlotRange> {
    let [start, end, leader, replicas @ ..] = entry.as_slice()? else { return None };
    let slot = |value: &Value| u16::try_from(value.as_i64()?).ok().filter(|&slot| slot < SLOTS);
    let (start, end) = (slot(start)?, slot(end)?);
    (start <= end).then_some(SlotRange {
        start,
        end,
        leader: node(leader, asked)?,
        replicas: replicas.iter().filter_map(|replica| node(replica, asked)).collect(),
    })
}

/// A node: host, port, and what we do not need. No host means the one that was asked.
fn node(value: &Value, asked: &Address) -> Option<Address> {
    let [host, port, ..] = value.as_slice()? else { return None };
    let host = match host.as_str() {
        None | Some("" | "?") => &asked.host,
        Some(host) => host,
    };
    Some(Address::new(host, u16::try_from(port.as_i64()?).ok()?))
}

/// Where a redirection points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The slot is served by that node from now on.
    Moved(u16, Address),
    /// This once, that node is to be asked.
    Ask(Address),
}

impl Redirect {
    /// Reads `MOVED <slot> <host>:<port>` or `ASK <slot> <host>:<port>`, as `asked` sent it.
    pub(crate) fn parse(text: &str, asked: &Address) -> Option<Self> {
        let mut words = text.split(' ');
        let kind = words.next()?;
        let slot: u16 = words.next()?.parse().ok().filter(|&slot| slot < SLOTS)?;
        let mut node: Address = words.next()?.parse().ok()?;
        if node.host.is_empty() {
            node.host.clone_from(&asked.host);
        }
        match kind {
            larder_protocol::error::MOVED => Some(Self::Moved(slot, node)),
            larder_protocol::error::ASK => Some(Self::Ask(node)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn slots(entries: &[(i64, i64, Option<&'static str>, i64)]) -> Value {
        let entry = |&(start, end, host, port): &(i64, i64, Option<&'static str>, i64)| {
            let host = host.map_or(Value::Null, |host| Value::Bulk(Bytes::from_static(host.as_bytes())));
            let node = Value::Array(vec![host, Value::Integer(port), Value::Null]);
            Value::Array(vec![Value::Integer(start), Value::Integer(end), node])
        };
        Value::Array(entries.iter().map(entry).collect())
    }

    #[test]
    fn slots_have_leaders() {
        let asked = Address::new("seed", 1);
        let reply = slots(&[(0, 99, Some("a"), 7), (100, 200, None, 8), (300, 16_383, Some(""), 9)]);
        let mut topology = Topology::parse(&reply, &asked).unwrap();
        assert_eq!(topology.leader(99), Some(&Address::new("a", 7)));
        assert_eq!(topology.leader(100), Some(&Address::new("seed", 8)));
        assert_eq!(topology.leader(250), None);
        assert_eq!(topology.leader(16_383), Some(&Address::new("seed", 9)));
        assert_eq!(topology.leader(16_384), None);
        assert_eq!(topology.slots_uncovered(), 99);
        topology.set_leader(250, &Address::new("b", 1));
        assert_eq!(topology.leader(250), Some(&Address::new("b", 1)));
    }

    #[test]
    fn strange_maps_are_refused() {
        let asked = Address::new("seed", 1);
        for reply in [
            Value::Null,
            slots(&[(5, 4, None, 1)]),
            slots(&[(0, 16_384, None, 1)]),
            slots(&[(0, 1, None, 70_000)]),
            Value::Array(vec![Value::Array(vec![])]),
        ] {
            assert!(Topology::parse(&reply, &asked).is_err(), "{reply:?}");
        }
    }

    #[test]
    fn redirections_are_read() {
        let asked = Address::new("seed", 1);
        let parse = |text| Redirect::parse(text, &asked);
        assert_eq!(parse("MOVED 7 10.0.0.1:6380"), Some(Redirect::Moved(7, Address::new("10.0.0.1", 6380))));
        assert_eq!(parse("ASK 7 ::1:6380"), Some(Redirect::Ask(Address::new("::1", 6380))));
        assert_eq!(parse("MOVED 7 :6380"), Some(Redirect::Moved(7, Address::new("seed", 6380))));
        for text in ["MOVED", "MOVED x a:1", "MOVED 16384 a:1", "MOVED 1 a", "ERR 1 a:1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
