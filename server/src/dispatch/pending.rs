//! What a batch could not answer at once: its shares by partition, and the places of their replies in the output.

use super::lookup::Entry;
use super::run::Block;
use crate::commands::block::{self, CommandOptions};
use crate::ids::PartitionId;
use crate::raft::ANY_TERM;
use bytes::BytesMut;
use larder_protocol::{Args, Flags, ReplyBuffer, Slot};
use smallvec::SmallVec;

/// Commands of this batch for one partition.
#[derive(Debug)]
pub(super) struct PendingShare {
    pub partition: PartitionId,
    bytes: BytesMut,
    count: u32,
    writes: bool,
    denyoom: bool,
}

impl PendingShare {
    fn new(partition: PartitionId) -> Self {
        Self { partition, bytes: BytesMut::new(), count: 0, writes: false, denyoom: false }
    }

    /// Its commands, to be sent off.
    pub fn into_block(self) -> Block {
        Block {
            bytes: self.bytes.freeze(),
            count: self.count,
            writes: self.writes,
            denyoom: self.denyoom,
            term_max: ANY_TERM,
            key_hashes: SmallVec::new(),
        }
    }
}

/// A place in the output that a reply of a share belongs in.
pub(super) struct Hole {
    /// Length of the output when the command came.
    pub at: usize,
    /// Position of the share.
    pub share: usize,
    /// Position of the command in the share.
    pub index: usize,
    /// The slot of the command's keys.
    pub slot: Slot,
    /// The command's number, for counters.
    pub command: u16,
    /// Its reply is not sent (CLIENT REPLY).
    pub silent: bool,
}

/// Shares and holes; empty, and without memory, while everything is answered at once.
#[derive(Default)]
pub(super) struct Pending {
    pub shares: Vec<PendingShare>,
    pub holes: Vec<Hole>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Whether a share for `partition` is begun: then everything for that partition joins it.
    pub fn has(&self, partition: PartitionId) -> bool {
        self.shares.iter().any(|share| share.partition == partition)
    }

    /// Appends a command to the share of its partition and keeps a place for its reply.
    pub fn push(
        &mut self,
        partition: PartitionId,
        (slot, entry, args): (Slot, &'static Entry, Args<'_>),
        options: CommandOptions,
        out: &ReplyBuffer,
        silent: bool,
    ) {
        let position = self.shares.iter().position(|share| share.partition == partition);
        let position = position.unwrap_or_else(|| {
            self.shares.push(PendingShare::new(partition));
            self.shares.len() - 1
        });
        let share = &mut self.shares[position];
        block::encode(&mut share.bytes, entry.spec, options, args);
        let index = share.count as usize;
        share.count += 1;
        share.writes |= entry.has(Flags::WRITE);
        share.denyoom |= entry.has(Flags::DENYOOM);
        let command = entry.index as u16;
        self.holes.push(Hole { at: out.len(), share: position, index, slot, command, silent });
    }
}

/// Puts replies into their places: `reply` writes the one of a hole.
pub(super) fn splice(out: &mut ReplyBuffer, holes: &[Hole], mut reply: impl FnMut(&Hole, &mut ReplyBuffer)) {
    let Some(first) = holes.first() else { return };
    let start = first.at;
    // What was ready behind the first hole moves; where every command waited, there is nothing.
    let ready = out.as_slice()[start..].to_vec();
    out.truncate(start);
    let mut copied = 0;
    for hole in holes {
        let until = hole.at - start;
        out.raw(&ready[copied..until]);
        copied = until;
        let mark = out.len();
        reply(hole, out);
        if hole.silent {
            out.truncate(mark);
        }
    }
    out.raw(&ready[copied..]);
}
