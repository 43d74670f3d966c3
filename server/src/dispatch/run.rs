//! Running commands on a partition of this node: at once under its lock, or through its proposer.

use super::watch::Watched;
use super::{Dispatcher, Moment, splitmix};
use crate::commands::block::{self, BlockError, BlockReader};
use crate::commands::spec::DataFn;
use crate::commands::{CommandError, Context, Handler};
use crate::ids::NodeNo;
use crate::keyspace::HashSeed;
use crate::limits::REPLY_BYTES_MAX;
use crate::planted::{Bug, planted};
use crate::raft::{ANY_TERM, Partition, PartitionGuard, Refusal, Replies, Role, Share, ShareOutcome};
use bytes::{Bytes, BytesMut};
use larder_protocol::{Args, Flags, ReplyBuffer};
use smallvec::SmallVec;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// An outcome that is here or on its way.
pub(super) enum Sent {
    /// It is here.
    Now(ShareOutcome),
    /// It comes; a sender that is gone means an unknown fate.
    Later(oneshot::Receiver<ShareOutcome>),
}

impl Sent {
    pub fn refused(refusal: Refusal) -> Self {
        Self::Now(ShareOutcome::Refused(refusal))
    }

    pub async fn outcome(self) -> ShareOutcome {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(outcome) => outcome.await.unwrap_or(ShareOutcome::Uncertain),
        }
    }
}

/// A block and what is known of its commands.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub bytes: Bytes,
    pub count: u32,
    /// Whether one of them may change data.
    pub writes: bool,
    /// Whether one of them may need memory.
    pub denyoom: bool,
    /// The last term in which they may be appended ([`Share::term_max`]).
    pub term_max: u64,
    /// The hash of the key of each command that has exactly one, as far as they were looked at.
    pub key_hashes: SmallVec<[Option<u64>; 4]>,
}

impl Block {
    /// Looks at every command of a block that came from elsewhere; `seed` is that of the key hash.
    pub fn inspect(bytes: Bytes, seed: HashSeed) -> Result<Self, BlockError> {
        let (count, key_hashes) = (0, SmallVec::new());
        let mut block =
            Self { bytes: bytes.clone(), count, writes: false, denyoom: false, term_max: ANY_TERM, key_hashes };
        let mut reader = BlockReader::new(&bytes);
        while let Some(command) = reader.next_command()? {
            let key_at = command.spec.keys.single();
            let key = command.args.get(key_at).filter(|_| key_at != 0);
            block.key_hashes.push(key.map(|key| seed.hash(key)));
            block.count += 1;
            block.writes |= command.spec.flags.contains(Flags::WRITE);
            block.denyoom |= command.spec.flags.contains(Flags::DENYOOM);
        }
        Ok(block)
    }
}

impl Block {
    /// The commands that need no memory, and for each command of this block whether it was left out.
    pub fn without_denyoom(&self) -> Result<(Self, Vec<bool>), BlockError> {
        let (mut bytes, mut refused) = (BytesMut::new(), Vec::new());
        let (count, key_hashes) = (0, SmallVec::new());
        let mut rest =
            Self { bytes: Bytes::new(), count, writes: false, denyoom: false, term_max: self.term_max, key_hashes };
        let mut reader = BlockReader::new(&self.bytes);
        while let Some(command) = reader.next_command()? {
            let needs = command.spec.flags.contains(Flags::DENYOOM);
            refused.push(needs);
            if !needs {
                block::encode(&mut bytes, command.spec, command.options, command.args);
                rest.count += 1;
                rest.writes |= command.spec.flags.contains(Flags::WRITE);
            }
        }
        rest.bytes = bytes.freeze();
        Ok((rest, refused))
    }
}

/// The handler of a command that works on one partition's items.
pub(super) fn data_fn(handler: &Handler) -> Option<DataFn> {
    match handler {
        Handler::Read(run) | Handler::Write(run) | Handler::Scan(run) => Some(*run),
        Handler::ReadFanout(run, _) | Handler::WriteFanout(run, _) => Some(*run),
        Handler::ReadAll(run, _) | Handler::WriteAll(run, _) => Some(*run),
        Handler::Container(_) | Handler::Connection(_) | Handler::Dispatch => None,
    }
}

/// What running a command added to the figures.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Ran {
    pub failed: bool,
    pub hits: u64,
    pub misses: u64,
}

/// Runs one command, which `writes` or does not; an error takes the place of whatever was written of its reply, and of one that
/// is longer than `room`.
pub(super) fn run_one(
    (run, writes): (DataFn, bool),
    mut context: Context<'_>,
    args: Args<'_>,
    out: &mut ReplyBuffer,
    room: usize,
) -> Ran {
    let mark = out.len();
    out.bound(room);
    let mut result = run(&mut context, args, out);
    if out.unbound() && result.is_ok() {
        result = Err(if writes { CommandError::DoneReplyTooLong } else { CommandError::ReplyTooLong });
    }
    let failed = result.is_err();
    if let Err(error) = result {
        out.truncate(mark);
        error.write(out);
    }
    Ran { failed, hits: context.hits, misses: context.misses }
}

/// Whether the copy whose state is locked may answer alone.
pub(super) fn answers_alone(role: Role, partition: &Partition, writes: bool, moment: Moment) -> bool {
    match role {
        Role::Solo => true,
        Role::Leader => !writes && partition.lease_holds(moment.boot_ns),
        Role::Follower(_) => planted(Bug::FollowerReads) && !writes,
        Role::Absent => false,
    }
}

impl Dispatcher {
    /// Runs a block on this node's copy: at once where it may, else by a proposal. Refuses where it does not lead.
    pub(super) fn run_here(
        &self,
        partition: &Partition,
        block: &Block,
        watched: Option<&Watched>,
        moment: Moment,
    ) -> Sent {
        let mut guard = partition.lock();
        // First, since a change of role makes EXEC nil.
        if watched.is_some_and(|watched| watched.is_dirty(&guard, moment.wall())) {
            return Sent::Now(ShareOutcome::Dirty);
        }
        match guard.role {
            Role::Absent => return Sent::refused(Refusal::NoCopy),
            Role::Follower(leader) => return Sent::refused(Refusal::NotLeader(leader)),
            Role::Solo | Role::Leader => {}
        }
        if block.count == 0 {
            return Sent::Now(ShareOutcome::Applied(Replies::default()));
        }
        if answers_alone(guard.role, partition, block.writes, moment) {
            return Sent::Now(ShareOutcome::Applied(self.run_block(&mut guard, block, moment)));
        }
        drop(guard);
        let (done, outcome) = oneshot::channel();
        let watch = watched.map(|watched| watched.token.clone());
        let (term_max, grows) = (block.term_max, block.denyoom);
        let (block, count) = (block.bytes.clone(), block.count);
        partition.propose(Share { block, count, grows, watch, term_max, done });
        Sent::Later(outcome)
    }

    /// Runs the commands of a block that was inspected before, under the lock of their partition.
    fn run_block(&self, guard: &mut PartitionGuard<'_>, block: &Block, moment: Moment) -> Replies {
        let mut out = ReplyBuffer::default();
        let mut replies = Replies::default();
        let mut reader = BlockReader::new(&block.bytes);
        let mut seed = self.next_seed();
        let mut moment = moment;
        let mut key_hashes = block.key_hashes.iter().copied();
        while let Ok(Some(command)) = reader.next_command() {
            let key_hash = key_hashes.next().flatten();
            out.set_version(command.options.version);
            seed = splitmix(seed.wrapping_add(1));
            match data_fn(&command.spec.handler) {
                Some(run) => {
                    let mut context = guard.context(moment.wall(), moment.tick, command.options, seed);
                    context.key_hash = key_hash;
                    let room = REPLY_BYTES_MAX.saturating_sub(out.len());
                    let run = (run, command.spec.flags.contains(Flags::WRITE));
                    let ran = run_one(run, context, command.args, &mut out, room);
                    moment.pass(command.args.len());
                    self.count_lookups(ran);
                }
                None => out.error("ERR this command does not work on data"),
            }
            replies.ends.push(out.len() as u32);
        }
        replies.bytes = out.take();
        replies
    }

    fn count_lookups(&self, ran: Ran) {
        let stats = self.node.stats();
        if ran.hits > 0 {
            stats.keyspace_hits.fetch_add(ran.hits, Ordering::Relaxed);
        }
        if ran.misses > 0 {
            stats.keyspace_misses.fetch_add(ran.misses, Ordering::Relaxed);
        }
    }

    /// The node that is thought to lead a partition that this one does not, if any.
    pub(super) fn leader_elsewhere(&self, partition: &Partition, role: Role) -> Option<NodeNo> {
        let topology = self.routes.topology();
        let known = match role {
            Role::Follower(Some(leader)) => Some(leader),
            _ => self.routes.leader(partition.id()).or_else(|| topology.owners.get(partition.id().index())?.leader),
        };
        known.filter(|leader| *leader != topology.me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::block::CommandOptions;
    use crate::commands::string;
    use crate::keyspace::{Deadline, Keyspace};
    use crate::limits::DATABASES_DEFAULT;

    #[test]
    fn a_reply_has_no_more_room_than_it_is_given() {
        let mut keyspace = Keyspace::new(HashSeed::default());
        keyspace.set_string(b"k", &[b'x'; 60], Deadline::Clear, None);
        let ranges = [(0, 4), (4, 5), (4, 5), (4, 5)];
        let mut out = ReplyBuffer::default();
        let mut mget = |out: &mut ReplyBuffer, room, writes| {
            let keyspace = &mut keyspace;
            let context = Context {
                keyspace,
                now: 1,
                touch: None,
                databases: DATABASES_DEFAULT,
                seed: 1,
                key_hash: None,
                hits: 0,
                misses: 0,
            };
            let run = data_fn(&string::mget::MGET.handler).unwrap();
            run_one((run, writes), context, Args::new(b"MGETk", &ranges), out, room).failed
        };
        assert!(mget(&mut out, 100, false));
        assert_eq!(out.as_slice(), b"-ERR the reply is longer than 1 GiB\r\n");
        assert!(!mget(&mut out, 300, false));
        assert!(out.as_slice().ends_with(b"x\r\n"));
        // One that changes data says that it did.
        assert!(mget(&mut out, 100, true));
        assert!(out.as_slice().ends_with(b"-ERR the command was carried out, but its reply is longer than 1 GiB\r\n"));
    }

    #[test]
    fn what_needs_no_memory_is_told_apart() {
        let mut bytes = BytesMut::new();
        let ranges = [(0, 3), (3, 4), (4, 5)];
        for argc in [2, 3, 2] {
            let spec = if argc == 3 { &string::set::SET } else { &string::get::GET };
            block::encode(&mut bytes, spec, CommandOptions::default(), Args::new(b"SETkv", &ranges[..argc]));
        }
        let all = Block::inspect(bytes.freeze(), HashSeed::default()).unwrap();
        assert_eq!((all.count, all.writes, all.denyoom), (3, true, true));
        let (rest, refused) = all.without_denyoom().unwrap();
        assert_eq!(refused, [false, true, false]);
        let rest = Block::inspect(rest.bytes, HashSeed::default()).unwrap();
        assert_eq!((rest.count, rest.writes, rest.denyoom), (2, false, false));
    }
}
