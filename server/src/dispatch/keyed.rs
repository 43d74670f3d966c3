//! Commands on one partition: at once under its lock, or with the batch's share of it.

use super::conversation::{Conversation, Next};
use super::gates::Candidate;
use super::lookup::Entry;
use super::route::Failure;
use super::run::{self, answers_alone};
use super::splitmix;
use crate::commands::session::PortKind;
use crate::commands::spec::DataFn;
use crate::ids::PartitionId;
use crate::limits;
use larder_protocol::{Args, CommandBatch, Flags, ReplyBuffer, Slot};

/// Arguments of the commands that run under one hold of a lock: some microseconds' work.
const HOLD_ARGUMENTS_MAX: usize = 128;

/// A batch, and how far it is carried out.
pub(super) struct Cursor<'a> {
    pub input: &'a [u8],
    pub batch: &'a CommandBatch,
    /// Position of the next command.
    pub at: usize,
}

impl Conversation {
    /// A command on one partition: now under its lock, or with the batch's share.
    ///
    /// The lock is kept for the commands that follow, as far as [`Conversation::take_follower`] allows: where many
    /// connections write to one key, letting go of it and waiting for it again costs more than what is done under it.
    pub(super) fn keyed<'a>(
        &mut self,
        candidate: &Candidate<'a>,
        mut slot: Slot,
        (run, writes): (DataFn, bool),
        rest: &mut Cursor<'a>,
        out: &mut ReplyBuffer,
    ) -> Next<'a> {
        let partition = self.dispatcher.routes.partition_of(slot);
        let id = partition.id();
        if writes {
            self.written.mark(id);
        }
        let joins = !self.pending.is_empty() && self.pending.has(id);
        let options = self.options();
        let (entry, mut args) = (candidate.entry, candidate.args);
        if !joins {
            let mut key_hash = candidate.key.map(|(_, hash)| hash);
            let mut budget = HOLD_ARGUMENTS_MAX;
            let mut guard = partition.lock();
            while answers_alone(guard.role, partition, writes, self.moment) {
                let mark = out.len();
                self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut context = guard.context(self.moment.wall(), self.moment.tick, options, splitmix(self.dice));
                context.key_hash = key_hash;
                let ran = run::run_one((run, writes), context, args, out, limits::REPLY_BYTES_MAX);
                self.moment.pass(args.len());
                self.meter.looked_up(ran.hits, ran.misses);
                if ran.failed {
                    self.meter.answered(entry.index, &out.as_slice()[mark..]);
                }
                budget = budget.saturating_sub(args.len());
                if entry.has(Flags::DENYOOM) {
                    // What it took counts when the next one asks for room.
                    guard.publish_memory();
                }
                let Some((next, key)) = self.take_follower(entry, id, budget, rest, out) else {
                    return Next::Done;
                };
                self.meter.begin(entry);
                guard.look_after_waiters();
                (args, slot, key_hash) = (next, key.0, Some(key.1));
            }
            let role = guard.role;
            drop(guard);
            if self.session.port == PortKind::Cluster
                && let Some(leader) = self.dispatcher.leader_elsewhere(partition, role)
                && role != crate::raft::Role::Leader
            {
                let rejection = self.dispatcher.rejection(Failure::Elsewhere(leader), slot);
                self.fail(entry, &rejection, args, out);
                return Next::Done;
            }
        }
        let silent = self.session.reply_mode.is_silent();
        self.pending.push(id, (slot, entry, args), options, out, silent);
        Next::Done
    }

    /// Takes the next command of the batch, with its key's slot and hash, where it may run under the lock that one of
    /// `before` ran under just now: the same command, a quick one, on the same partition. What the gates let pass before,
    /// they let pass again, but for what is looked at here.
    #[inline]
    fn take_follower<'a>(
        &self,
        before: &'static Entry,
        partition: PartitionId,
        budget: usize,
        rest: &mut Cursor<'a>,
        out: &ReplyBuffer,
    ) -> Option<(Args<'a>, (Slot, u64))> {
        let foreseen = self.ahead.of(rest.at)?;
        let key = foreseen.key?;
        if !std::ptr::eq(foreseen.entry, before)
            || !before.has(Flags::FAST)
            || self.dispatcher.routes.partition_of(key.0).id() != partition
        {
            return None;
        }
        let args = rest.batch.args(rest.input, rest.at);
        let may_follow = args.len() <= budget
            && before.spec.arity.allows(args.len())
            && before.blocking.is_none()
            && self.transaction.is_none()
            && self.session.reply_mode.is_on()
            && !self.session.asking
            && out.len() < limits::OUTPUT_BATCH_BYTES_MAX
            && (!before.has(Flags::DENYOOM) || self.dispatcher.memory.has_room());
        may_follow.then(|| {
            rest.at += 1;
            (args, key)
        })
    }
}
