//! WAIT: how many followers hold what a connection wrote.
//!
//! A write that was answered is on a majority already, so WAIT is a question here, not a safeguard. Its leader answers it
//! from what its followers have acknowledged. Since a reply does not say which entry it came from, the leader takes all that its log
//! holds when it is asked: never less than what the connection wrote. WAITAOF asks for disks, and there is no append-only file.

use super::Dispatcher;
use super::blocking::Waited;
use super::conversation::Conversation;
use super::rejection::Rejection;
use super::route::{Failure, Patience, Settled};
use crate::cluster::routes::ForwardKind;
use crate::commands::CommandError;
use crate::commands::blocking::WaitFor;
use crate::commands::generic::wait::{read_wait, read_waitaof};
use crate::commands::number::parse_i64;
use crate::commands::session::{PortKind, Unblock};
use crate::ids::{NodeNo, PartitionId};
use crate::raft::{Partition, Refusal, Replies, Role, ShareOutcome};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use larder_protocol::{Args, ReplyBuffer};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// First and longest pause between looks at what followers have acknowledged.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// Partitions that a connection has written to.
#[derive(Debug, Default)]
pub(super) struct Written(SmallVec<[u64; 1]>);

impl Written {
    /// The connection writes to a partition.
    #[inline]
    pub fn mark(&mut self, partition: PartitionId) {
        let (word, bit) = (partition.index() / 64, partition.index() % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn iter(&self) -> impl Iterator<Item = PartitionId> {
        let bits = self
            .0
            .iter()
            .enumerate()
            .flat_map(|(word, bits)| (0..64).map(move |bit| (word * 64 + bit, bits >> bit & 1)));
        bits.filter(|(_, set)| *set == 1).map(|(index, _)| PartitionId(index as u16))
    }
}

/// What is asked of the leader of a partition: how many followers hold what its log holds now, once there are so many, or
/// the time is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub copies: u32,
    pub deadline: Option<Instant>,
}

impl Question {
    /// The same, to be answered at once.
    fn now(self) -> Self {
        Self { deadline: Some(Instant::now()), ..self }
    }
}

impl Conversation {
    /// WAIT and WAITAOF, which `may_wait` outside of a transaction only.
    pub(super) fn count_copies(
        &self,
        name: &str,
        args: Args<'_>,
        may_wait: bool,
    ) -> Result<BoxFuture<'static, Waited>, CommandError> {
        let (copies, wait) = if name == "wait" { read_wait(args) } else { read_waitaof(args) }?;
        let deadline = match wait {
            _ if !may_wait || copies == 0 => Some(Instant::now()),
            WaitFor::Ms(ms) => Instant::now().checked_add(Duration::from_millis(ms)),
            WaitFor::Ever | WaitFor::Nothing => None,
        };
        let question = Question { copies: copies.clamp(0, i64::from(u32::MAX)) as u32, deadline };
        let (dispatcher, client) = (Arc::clone(&self.dispatcher), Arc::clone(&self.session.client));
        if name == "wait" {
            let written: Vec<_> = self.written.iter().collect();
            return Ok(Box::pin(async move {
                let (counted, why) = tokio::select! {
                    biased;
                    counted = dispatcher.count(&written, question) => (counted, None),
                    why = client.until_unblocked() => (dispatcher.count(&written, question.now()).await, Some(why)),
                };
                match counted {
                    Ok(count) => (ended(why, |out| out.integer(count)), None),
                    Err(failure) => (Settled::Failed(failure), None),
                }
            }));
        }
        Ok(Box::pin(async move {
            let why = tokio::select! {
                biased;
                why = client.until_unblocked() => Some(why),
                () = until(question.deadline) => None,
            };
            let none = |out: &mut ReplyBuffer| {
                out.array_header(2);
                out.integer(0);
                out.integer(0);
            };
            (ended(why, none), None)
        }))
    }
}

/// The answer of a wait that somebody may have ended: with an error, perhaps.
fn ended(why: Option<Unblock>, write: impl FnOnce(&mut ReplyBuffer)) -> Settled {
    let mut out = ReplyBuffer::default();
    match why {
        Some(Unblock::Error) => Rejection::Unblocked.write(Args::new(&[], &[]), &mut out),
        // The connection closes without an answer.
        Some(Unblock::Forced) => {}
        Some(Unblock::Timeout) | None => write(&mut out),
    }
    Settled::Applied(one_reply(out))
}

fn one_reply(mut out: ReplyBuffer) -> Replies {
    let bytes = out.take();
    Replies { ends: [bytes.len() as u32].into_iter().collect(), bytes }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Dispatcher {
    /// The fewest followers that hold what was written, over these partitions.
    async fn count(self: &Arc<Self>, written: &[PartitionId], question: Question) -> Result<i64, Failure> {
        let counts = written.iter().map(|id| self.ask_leader(self.partition(*id), question));
        let counts: Vec<i64> = join_all(counts).await.into_iter().collect::<Result<_, _>>()?;
        if let Some(least) = counts.into_iter().min() {
            return Ok(least);
        }
        // What was never written every copy holds.
        let all = self.routes.topology().owners.first().map_or(0, |owners| owners.copies.len().saturating_sub(1));
        if all < question.copies as usize {
            until(question.deadline).await;
        }
        Ok(all as i64)
    }

    async fn ask_leader(self: &Arc<Self>, partition: &Arc<Partition>, question: Question) -> Result<i64, Failure> {
        let mut patience = Patience::new(PortKind::Client, self, partition);
        let mut hint = None;
        let me = self.routes.topology().me;
        loop {
            let role = partition.lock().role;
            let leader = hint.filter(|hint| *hint != me).or_else(|| self.leader_elsewhere(partition, role));
            let outcome = match (role, leader) {
                (Role::Solo | Role::Leader, _) => count_here(partition, question).await,
                (_, Some(leader)) => self.count_there(leader, partition.id(), question).await,
                (_, None) => ShareOutcome::Refused(Refusal::NotLeader(None)),
            };
            hint = match outcome {
                ShareOutcome::Applied(replies) => {
                    let digits = replies.bytes.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r\n"));
                    return digits.and_then(parse_i64).ok_or(Failure::Uncertain);
                }
                ShareOutcome::Refused(Refusal::NotLeader(leader)) => leader,
                // A question has no effect: it is asked anew.
                ShareOutcome::Refused(_) | ShareOutcome::Uncertain | ShareOutcome::Dirty => None,
            };
            if !patience.pause(self).await {
                return Err(Failure::Down);
            }
        }
    }

    async fn count_there(self: &Arc<Self>, leader: NodeNo, partition: PartitionId, question: Question) -> ShareOutcome {
        let kind = |session, timeout_ms| ForwardKind::Copies { session, copies: question.copies, timeout_ms };
        // Rounded up: never answered before its time.
        let left = question.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout_ms = left.map(|left| left.as_nanos().div_ceil(1_000_000) as u64);
        let (_there, outcome) = self.begin_there(leader, partition, (Bytes::new(), 0), timeout_ms, kind);
        outcome.await.unwrap_or(ShareOutcome::Uncertain)
    }
}

/// Counts the followers of a partition that is led here.
pub(super) async fn count_here(partition: &Partition, question: Question) -> ShareOutcome {
    let mut pause = LOOK.0;
    let mut target = None;
    loop {
        let Some((last, followers)) = partition.followers() else {
            return ShareOutcome::Refused(Refusal::NotLeader(None));
        };
        let target = *target.get_or_insert(last);
        let count = followers.into_iter().filter(|matched| *matched >= target).count();
        let over = question.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if over || count >= question.copies as usize {
            let mut out = ReplyBuffer::default();
            out.integer(count as i64);
            return ShareOutcome::Applied(one_reply(out));
        }
        let next = Instant::now() + pause;
        until(Some(question.deadline.map_or(next, |deadline| deadline.min(next)))).await;
        pause = (pause * 2).min(LOOK.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_remembered() {
        let mut written = Written::default();
        for id in [3, 64, 0, 3, 200] {
            written.mark(PartitionId(id));
        }
        assert_eq!(written.iter().map(|id| id.0).collect::<Vec<_>>(), [0, 3, 64, 200]);
    }
}
