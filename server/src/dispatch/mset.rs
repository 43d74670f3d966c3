//! MSET over partitions that are all here and answer alone: stored in one walk.
//!
//! The general way makes a command of each partition's keys and merges their replies; for ten keys that costs more than to
//! store them. Here all locks are held at once, taken in the order of their partitions, so that on a node by itself MSET is
//! as atomic as Redis's; nobody else ever waits for one of them while holding another.

use super::conversation::Conversation;
use super::gates::Candidate;
use super::run::answers_alone;
use crate::ids::PartitionId;
use crate::keyspace::Deadline;
use crate::raft::{Partition, PartitionGuard};
use larder_protocol::{ReplyBuffer, slot_of};
use smallvec::SmallVec;
use std::sync::Arc;

/// Pairs beyond which the general way does: locks are held for microseconds.
const PAIRS_MAX: usize = 64;

/// A pair: where it belongs, the hash of its key, the key's position among the arguments.
type Pair = (PartitionId, u64, usize);

impl Conversation {
    /// Carries MSET out, or does nothing and says so.
    pub(super) fn store_here(&mut self, candidate: &Candidate<'_>, out: &mut ReplyBuffer) -> bool {
        let args = candidate.args;
        if args.len().is_multiple_of(2) || args.len() > 1 + 2 * PAIRS_MAX {
            return false;
        }
        let (seed, options) = (self.next_die(), self.options());
        let dispatcher = Arc::clone(&self.dispatcher);
        let partitions = dispatcher.routes.partitions();
        let Some(hash_seed) = partitions.first().map(|partition| partition.seed()) else { return false };
        let mut pairs: SmallVec<[Pair; 16]> = (1..args.len())
            .step_by(2)
            .map(|at| {
                let id = PartitionId::of_slot(slot_of(&args[at]), partitions.len() as u16);
                (id, hash_seed.hash(&args[at]), at)
            })
            .collect();
        // By partition, and within it in the order given: the last of two values for a key holds.
        pairs.sort_unstable_by_key(|(id, _, at)| (*id, *at));
        let mut guards: SmallVec<[PartitionGuard<'_>; 16]> = SmallVec::new();
        for run in pairs.chunk_by(|one, other| one.0 == other.0) {
            let partition: &Partition = &partitions[run[0].0.index()];
            let guard = partition.lock();
            if !answers_alone(guard.role, partition, true, self.moment) {
                return false;
            }
            run.iter().for_each(|(_, hash, _)| guard.keyspace.prefetch_bucket(*hash));
            guards.push(guard);
        }
        let runs = || pairs.chunk_by(|one, other| one.0 == other.0);
        for (run, guard) in runs().zip(&guards) {
            run.iter().for_each(|(_, hash, _)| guard.keyspace.prefetch_item(*hash));
        }
        for (run, guard) in runs().zip(&mut guards) {
            self.written.mark(run[0].0);
            let context = guard.context(self.moment.wall(), self.moment.tick, options, seed);
            for (_, hash, at) in run {
                let (key, value) = (&args[*at], &args[at + 1]);
                context.keyspace.set_string_hashed(*hash, key, value, Deadline::Clear, context.touch);
            }
        }
        drop(guards);
        self.moment.pass(args.len());
        out.ok();
        true
    }
}
