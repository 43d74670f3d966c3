//! The serving side of forwarded commands: another node's connections work on the partitions that this node leads.

use super::run::{Block, Sent};
use super::watch::{NotHere, REAP_PAUSE, REAP_PAUSES_MAX, Watched};
use super::{Dispatcher, Moment};
use crate::cluster::routes::{Forward, ForwardKind};
use crate::commands::block::BlockReader;
use crate::ids::NodeNo;
use crate::keyspace::Keyspace;
use crate::limits;
use crate::raft::{Partition, Refusal, Replies, Role, ShareOutcome};
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What connections of other nodes watch here, by node and connection.
#[derive(Default)]
pub(super) struct RemoteWatches {
    open: Mutex<HashMap<(NodeNo, u64), RemoteWatch>>,
}

struct RemoteWatch {
    partition: Arc<Partition>,
    watched: Watched,
}

/// A request that was looked over.
type Accepted = (Arc<Partition>, ForwardKind, Block);

impl Dispatcher {
    /// Carries out what node `from` asks of this node's copy of a partition: refused where it does not lead, so that the
    /// asking node looks further.
    ///
    /// Call it right after the request was read: the lease of its reads counts from now.
    pub async fn serve_forward(self: &Arc<Self>, request: Forward, from: NodeNo) -> ShareOutcome {
        let moment = self.moment();
        match self.accept(request) {
            Ok(accepted) => self.serve_accepted(accepted, from, moment).await,
            Err(outcome) => outcome,
        }
    }

    /// [`Dispatcher::serve_forward`] for several requests that came together, in order. What all of them will look up is
    /// asked for before the first is carried out.
    pub async fn serve_reads(self: &Arc<Self>, requests: Vec<Forward>, from: NodeNo) -> Vec<ShareOutcome> {
        let moment = self.moment();
        let accepted: Vec<_> = requests.into_iter().map(|request| self.accept(request)).collect();
        let each = |ask: fn(&Keyspace, u64)| {
            for (partition, _, block) in accepted.iter().flatten() {
                partition.prefetch(|keyspace| block.key_hashes.iter().flatten().for_each(|hash| ask(keyspace, *hash)));
            }
        };
        each(Keyspace::prefetch_bucket);
        each(Keyspace::prefetch_item);
        let outcomes = accepted.into_iter().map(|accepted| async {
            match accepted {
                Ok(accepted) => self.serve_accepted(accepted, from, moment).await,
                Err(outcome) => outcome,
            }
        });
        join_all(outcomes).await
    }

    /// Looks a request over; the outcome where it is not carried out.
    fn accept(&self, request: Forward) -> Result<Accepted, ShareOutcome> {
        let Forward { partition, kind, block, count, term_max } = request;
        let Some(partition) = self.routes.partitions().get(partition.index()).cloned() else {
            return Err(ShareOutcome::Refused(Refusal::NoCopy));
        };
        {
            let state = partition.lock();
            if state.role == Role::Leader && state.term > u64::from(term_max) {
                return Err(ShareOutcome::Refused(Refusal::NotLeader(None)));
            }
        }
        match Block::inspect(block, partition.seed()) {
            Ok(block) if block.count == count => {
                Ok((partition, kind, Block { term_max: u64::from(term_max), ..block }))
            }
            Ok(_) => Err(unreadable(count, "the number of commands is not the one announced")),
            Err(error) => Err(unreadable(count, &error.to_string())),
        }
    }

    async fn serve_accepted(
        self: &Arc<Self>,
        (partition, kind, block): Accepted,
        from: NodeNo,
        moment: Moment,
    ) -> ShareOutcome {
        match kind {
            ForwardKind::Run => self.admit_and_run(&partition, &block, None, moment).outcome().await,
            ForwardKind::Watch { session } => self.serve_watch(&partition, (from, session), &block).await,
            ForwardKind::Unwatch { session } => {
                self.drop_remote_watch((from, session));
                ShareOutcome::Applied(Replies::default())
            }
            ForwardKind::Wait { session, timeout_ms } => {
                self.serve_wait(&partition, (from, session), &block, timeout_ms).await
            }
            ForwardKind::Copies { session, copies, timeout_ms } => {
                self.serve_copies(&partition, (from, session), copies, timeout_ms).await
            }
            ForwardKind::Unwait { session } => {
                self.end_remote_wait((from, session));
                ShareOutcome::Applied(Replies::default())
            }
            ForwardKind::Exec { session } => self.serve_exec(&partition, (from, session), &block, moment).await,
        }
    }

    fn admit_and_run(&self, partition: &Partition, block: &Block, watched: Option<&Watched>, moment: Moment) -> Sent {
        if block.denyoom && !self.memory.admit(partition) {
            return Sent::refused(Refusal::OutOfMemory);
        }
        self.run_here(partition, block, watched, moment)
    }

    async fn serve_watch(&self, partition: &Arc<Partition>, who: (NodeNo, u64), block: &Block) -> ShareOutcome {
        let mut reader = BlockReader::new(&block.bytes);
        let Ok(Some(command)) = reader.next_command() else { return unreadable(block.count, "nothing to watch") };
        let mut pauses = 0;
        loop {
            match self.try_serve_watch(partition, who, &command, pauses == REAP_PAUSES_MAX) {
                Ok(()) => {
                    let bytes = Bytes::from_static(b"+OK\r\n");
                    return ShareOutcome::Applied(Replies { ends: [bytes.len() as u32].into_iter().collect(), bytes });
                }
                Err(NotHere::Role(Role::Follower(leader))) => {
                    return ShareOutcome::Refused(Refusal::NotLeader(leader));
                }
                Err(NotHere::Role(_)) => return ShareOutcome::Refused(Refusal::NoCopy),
                Err(NotHere::Due) => {
                    pauses += 1;
                    (self.sleep)(REAP_PAUSE).await;
                }
            }
        }
    }

    fn try_serve_watch(
        &self,
        partition: &Arc<Partition>,
        who: (NodeNo, u64),
        command: &crate::commands::block::BlockCommand<'_>,
        even_due: bool,
    ) -> Result<(), NotHere> {
        let mut open = self.remote_watches.open.lock();
        let before = match open.remove(&who) {
            Some(before) if Arc::ptr_eq(&before.partition, partition) => Some(before.watched),
            Some(elsewhere) => {
                elsewhere.watched.forget(&elsewhere.partition);
                None
            }
            None => None,
        };
        if before.is_none() && open.len() >= limits::REMOTE_WATCHES_MAX {
            return Err(NotHere::Role(Role::Absent));
        }
        let keys = (command.options.database, command.args.from(1));
        let (result, watched) = match self.watch_here(partition, keys, before, self.moment().wall(), even_due) {
            Ok(watched) => (Ok(()), Some(watched)),
            Err((why, before)) => (Err(why), before),
        };
        if let Some(watched) = watched {
            open.insert(who, RemoteWatch { partition: Arc::clone(partition), watched });
        }
        result
    }

    async fn serve_exec(
        &self,
        partition: &Arc<Partition>,
        who: (NodeNo, u64),
        block: &Block,
        moment: Moment,
    ) -> ShareOutcome {
        // A watch that is not known was lost with the link, or with the place it was made at.
        let Some(watch) = self.remote_watches.open.lock().remove(&who) else { return ShareOutcome::Dirty };
        let outcome = if Arc::ptr_eq(&watch.partition, partition) {
            self.admit_and_run(partition, block, Some(&watch.watched), moment).outcome().await
        } else {
            ShareOutcome::Dirty
        };
        watch.watched.forget(&watch.partition);
        outcome
    }

    fn drop_remote_watch(&self, who: (NodeNo, u64)) {
        if let Some(watch) = self.remote_watches.open.lock().remove(&who) {
            watch.watched.forget(&watch.partition);
        }
    }

    /// Forgets all that connections of `node` watch here: the link to it is lost, and so may be their Unwatch. Their
    /// EXECs will be nil.
    pub fn drop_watches_of(&self, node: NodeNo) {
        let mut open = self.remote_watches.open.lock();
        for (_, watch) in open.extract_if(|who, _| who.0 == node) {
            watch.watched.forget(&watch.partition);
        }
    }
}

/// Every command of a block that this node cannot read is answered with an error: nothing was done.
pub(super) fn unreadable(count: u32, why: &str) -> ShareOutcome {
    let line = format!("-ERR the node that leads the partition cannot read the request: {why}\r\n");
    let mut replies = Replies::default();
    let mut bytes = Vec::new();
    for _ in 0..(count as usize).min(limits::BATCH_COMMANDS_MAX) {
        bytes.extend_from_slice(line.as_bytes());
        replies.ends.push(bytes.len() as u32);
    }
    replies.bytes = bytes.into();
    ShareOutcome::Applied(replies)
}
