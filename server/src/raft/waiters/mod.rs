//! Commands that wait at a partition until they can be served: BLPOP and its kin.
//!
//! ```text
//!  wait --attempt: null--> queue of each key <--touched-- keyspace <-- any mutation
//!                             |  in order of arrival
//!                             +--> solo:   attempts run under the lock hold that touched the key
//!                             +--> leader: a round of attempts, one share, proposed by the steward
//! ```
//! The queues are part of the partition's state, so that an attempt and the place in the queue are one step. They are
//! looked at when the lock is let go ([`Partition::lock`]'s guard): after a command, a transaction, an entry, never in
//! the middle of one. A leader has one round under way at a time, and its attempts stand in one share in order of
//! arrival; what is touched meanwhile makes the next round. So nobody overtakes, and an attempt that another client was
//! faster than leaves its command where it was. Only who serves decides whether a command was: one that is refused
//! before anything of it was proposed has certainly not been.

mod queue;
mod steward;
mod surroundings;
#[cfg(test)]
mod tests;

pub(super) use queue::Waiters;
pub use surroundings::Surroundings;

use super::partition::{Partition, PartitionState, Role};
use super::share::{Refusal, Replies, ShareOutcome};
use crate::clock;
use crate::commands::block::{self, BlockReader, CommandOptions};
use crate::commands::blocking::{self, Blocking, WaitFor, WorthFn};
use crate::commands::maintenance::settle::SETTLE;
use crate::commands::{CommandError, Context, Handler};
use crate::ids::DatabaseNo;
use bytes::{Bytes, BytesMut};
use larder_protocol::{Args, Flags, ProtocolVersion, ReplyBuffer, scan};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What such an argument says.
const INSTANT: &[u8] = b"$";

/// A key that somebody waits for, and its database.
type Awaited = (DatabaseNo, Arc<[u8]>);

/// A command that may have to wait, with what its arguments say of that.
#[derive(Clone)]
pub struct Wanted {
    /// The command, as [`block`] encodes it.
    block: Bytes,
    blocking: &'static Blocking,
    /// The database of its keys.
    database: DatabaseNo,
    /// The keys that it waits for.
    keys: Vec<Arc<[u8]>>,
    wait: WaitFor,
    version: ProtocolVersion,
    writes: bool,
    grows: bool,
    /// Some arguments mean the instant at which it came, and it is not said yet what that is.
    unsettled: bool,
}

impl Wanted {
    /// Reads a block of one command; `None` where it is none that may wait.
    ///
    /// # Errors
    /// What the command's own check finds wrong with the arguments.
    pub fn read(block: Bytes) -> Result<Option<Self>, CommandError> {
        let mut reader = BlockReader::new(&block);
        let Ok(Some(command)) = reader.next_command() else { return Ok(None) };
        let Some(blocking) = blocking::of(command.spec) else { return Ok(None) };
        let wait = (blocking.timeout)(command.args)?;
        let (from, to) = (blocking.keys)(command.args);
        let mut keys: Vec<Arc<[u8]>> = Vec::with_capacity(to.saturating_sub(from));
        for key in command.args.between(from, to).iter() {
            if !keys.iter().any(|other| **other == *key) {
                keys.push(key.into());
            }
        }
        let (CommandOptions { version, database, .. }, flags) = (command.options, command.spec.flags);
        let (writes, grows) = (flags.contains(Flags::WRITE), flags.contains(Flags::DENYOOM));
        // Or a key is called like that: then asking changes nothing.
        let unsettled = blocking.settle.is_some() && command.args.iter().any(|arg| arg == INSTANT);
        Ok(Some(Self { block, blocking, database, keys, wait, version, writes, grows, unsettled }))
    }

    /// How long it waits.
    pub fn wait(&self) -> WaitFor {
        self.wait
    }

    /// Whether it may change data.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Its bytes, to be sent to another node.
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// The answer of one that was not served in time: a null array, whatever it waits for, as in Redis.
    pub fn nothing(&self) -> Replies {
        let mut out = ReplyBuffer::new(self.version);
        out.null_array();
        one_reply(out.take())
    }

    /// Puts what `settle` says in the place of arguments that mean the instant at which the command came.
    fn settle(&mut self, state: &mut PartitionState, now: clock::UnixMs) {
        let Some(settle) = self.blocking.settle.filter(|_| self.unsettled) else { return };
        let mut reader = BlockReader::new(&self.block);
        let Ok(Some(command)) = reader.next_command() else { return };
        let options = CommandOptions { no_touch: true, ..command.options };
        let meant = settle(&mut state.context(now, clock::tick_of(now), options, 0), command.args);
        self.put(&meant);
    }

    /// What is to be asked of the leader before it waits there; `None` where nothing is.
    pub fn question(&self) -> Option<Bytes> {
        let mut reader = BlockReader::new(&self.block);
        let command = reader.next_command().ok().flatten().filter(|_| self.unsettled)?;
        let id = command.spec.id.to_string();
        let words = [b"", id.as_bytes()].into_iter().chain(command.args.iter().skip(1));
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for word in words {
            ranges.push((bytes.len() as u32, (bytes.len() + word.len()) as u32));
            bytes.extend_from_slice(word);
        }
        let options = CommandOptions { version: ProtocolVersion::Resp2, no_touch: true, ..command.options };
        let mut out = BytesMut::new();
        block::encode(&mut out, &SETTLE, options, Args::new(&bytes, &ranges));
        Some(out.freeze())
    }

    /// Takes the leader's answer. One of an earlier version does not know the question: then each leader settles anew.
    pub fn answered(&mut self, reply: &[u8]) {
        self.unsettled = false;
        let Ok(elements) = scan::elements(reply) else { return };
        let text = |element: &[u8]| {
            let header = scan::header(element).ok()??;
            Some(element.get(header.length..element.len().checked_sub(2)?)?.to_vec())
        };
        let words: Option<Vec<Vec<u8>>> = elements.map(|element| text(element.ok()?)).collect();
        let place = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
        let meant: Option<Vec<(usize, Vec<u8>)>> =
            words.unwrap_or_default().chunks_exact(2).map(|pair| Some((place(&pair[0])?, pair[1].clone()))).collect();
        self.put(&meant.unwrap_or_default());
    }

    /// Puts what was settled in its places.
    fn put(&mut self, meant: &[(usize, Vec<u8>)]) {
        self.unsettled = false;
        let mut reader = BlockReader::new(&self.block);
        let Ok(Some(command)) = reader.next_command() else { return };
        let (mut bytes, mut ranges) = (Vec::new(), Vec::with_capacity(command.args.len()));
        for (at, arg) in command.args.iter().enumerate() {
            let arg = meant.iter().find(|(place, _)| *place == at).map_or(arg, |(_, meant)| meant);
            let start = bytes.len() as u32;
            bytes.extend_from_slice(arg);
            ranges.push((start, bytes.len() as u32));
        }
        let mut out = BytesMut::new();
        block::encode(&mut out, command.spec, command.options, Args::new(&bytes, &ranges));
        self.block = out.freeze();
    }

    /// One attempt under the lock: its reply.
    fn attempt(&self, state: &mut PartitionState, now: clock::UnixMs, seed: u64) -> Bytes {
        let mut out = ReplyBuffer::default();
        let mut reader = BlockReader::new(&self.block);
        let Ok(Some(command)) = reader.next_command() else { return Bytes::new() };
        out.set_version(command.options.version);
        let (Handler::Read(run) | Handler::Write(run)) = &command.spec.handler else { return Bytes::new() };
        let mut context: Context<'_> = state.context(now, clock::tick_of(now), command.options, seed);
        if let Err(error) = run(&mut context, command.args, &mut out) {
            out.truncate(0);
            out.error(&error.to_string());
        }
        out.take()
    }

    /// Whether an attempt is worth making with what the keys hold now.
    fn is_worth(&self, state: &mut PartitionState, now: clock::UnixMs) -> bool {
        // XREADGROUP is refused where there is nothing.
        let always = (self.blocking.worth)(None) > 0;
        state.keyspace.select(self.database);
        always || self.keys.iter().any(|key| state.keyspace.peek(key, now).is_some())
    }
}

fn one_reply(bytes: Bytes) -> Replies {
    Replies { ends: [bytes.len() as u32].into_iter().collect(), bytes }
}

/// How a wait begins.
pub enum Begun {
    /// It need not wait: its reply.
    Done(Replies),
    /// It has a place in the queues.
    Waits(Ticket),
    /// Not here; certainly nothing was done.
    Refused(Refusal),
}

/// A place in the queues of a partition. Dropping it gives the place up: a client that is gone is served nothing.
pub struct Ticket {
    partition: Arc<Partition>,
    id: u64,
    outcome: oneshot::Receiver<ShareOutcome>,
}

impl Ticket {
    /// Waits for the outcome until `over` resolves, or `stop`, whose answer is returned beside the outcome: null, then,
    /// unless an attempt was under way, whose outcome decides.
    pub async fn outcome<T>(
        mut self,
        wanted: &Wanted,
        over: impl Future<Output = ()>,
        stop: impl Future<Output = T>,
    ) -> (ShareOutcome, Option<T>) {
        let why = tokio::select! {
            biased;
            outcome = &mut self.outcome => return (outcome.unwrap_or(ShareOutcome::Uncertain), None),
            () = over => None,
            why = stop => Some(why),
        };
        if self.partition.withdraw(self.id) {
            return (ShareOutcome::Applied(wanted.nothing()), why);
        }
        ((&mut self.outcome).await.unwrap_or(ShareOutcome::Uncertain), why)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.partition.lock();
        let state = &mut *state;
        state.waiters.forget(self.id, &mut state.keyspace);
    }
}

impl Partition {
    /// Attempts a command and gives it a place in the queues of its keys where it has to wait. `boot_ns` was read after
    /// the command was. What its arguments mean now is written into them, so that they mean the same elsewhere.
    pub fn wait(self: &Arc<Self>, wanted: &mut Wanted, now: clock::UnixMs, boot_ns: u64) -> Begun {
        let mut guard = self.lock();
        let state = &mut *guard;
        match state.role {
            Role::Absent => return Begun::Refused(Refusal::NoCopy),
            Role::Follower(leader) => return Begun::Refused(Refusal::NotLeader(leader)),
            Role::Solo | Role::Leader => {}
        }
        let now = now.max(state.clock);
        let alone = state.role == Role::Solo || self.lease_holds(boot_ns);
        if wanted.blocking.settle.is_some() {
            if !alone {
                // What it means is known to who has the lease.
                return Begun::Refused(Refusal::NotLeader(None));
            }
            wanted.settle(state, now);
        }
        let mut pending = false;
        if state.role == Role::Solo || (alone && !wanted.writes) {
            let reply = wanted.attempt(state, now, boot_ns);
            if !blocking::is_null(&reply) || wanted.wait == WaitFor::Nothing {
                return Begun::Done(one_reply(reply));
            }
        } else {
            // With the lease it is known that there is nothing; without it, only a proposal tells.
            pending = !alone || wanted.is_worth(state, now);
        }
        let (done, outcome) = oneshot::channel();
        let id = state.waiters.add(wanted.clone(), pending, done, &mut state.keyspace);
        if state.role == Role::Leader {
            steward::attend(self, &mut state.waiters);
        }
        drop(guard);
        Begun::Waits(Ticket { partition: Arc::clone(self), id, outcome })
    }

    /// Takes a command out of the queues since it will not wait any longer; false where it is not known that it was not
    /// served: then its outcome comes.
    fn withdraw(&self, id: u64) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        // Without the lease others may have filled the list: an attempt of its own tells.
        let boot_ns = (state.waiters.surroundings.clocks.boot_ns)();
        let sure = state.role != Role::Leader || self.lease_holds(boot_ns);
        state.waiters.withdraw(id, sure, &mut state.keyspace)
    }

    /// How many keys are waited for here, and how many of them by commands that end where the key goes.
    pub fn blocking_keys(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiters.keys().count(), state.waiters.keys_that_may_go())
    }

    /// How many commands wait here, and what they hold.
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiters.len(), state.waiters.bytes())
    }
}

impl PartitionState {
    /// Looks after those who wait: before the lock is let go, and between commands that run under one hold of it.
    #[inline]
    pub fn look_after_waiters(&mut self) {
        if !self.waiters.is_empty() {
            self.serve_waiters();
        }
    }

    #[inline(never)]
    fn serve_waiters(&mut self) {
        match self.role {
            Role::Solo => self.serve_alone(),
            Role::Leader => {
                if self.keyspace.has_touched() || self.waiters.has_pending() {
                    self.waiters.wake();
                }
            }
            Role::Follower(leader) => self.waiters.dismiss(Refusal::NotLeader(leader), &mut self.keyspace),
            Role::Absent => self.waiters.dismiss(Refusal::NoCopy, &mut self.keyspace),
        }
    }

    /// Serves those whose keys were touched, and those whose keys that touches, until nothing is touched any more.
    fn serve_alone(&mut self) {
        while self.keyspace.has_touched() {
            let now = self.waiters.surroundings.clocks.unix_ms().max(self.clock);
            for awaited in self.keyspace.take_touched() {
                for worth in self.waiters.lines(&awaited) {
                    self.serve_line(&awaited, worth, now);
                }
            }
        }
    }

    /// How many attempts are worth making with what a key holds.
    fn worth_of(&mut self, (database, key): &Awaited, worth: WorthFn, now: clock::UnixMs) -> usize {
        self.keyspace.select(*database);
        worth(self.keyspace.peek(key, now).map(|item| item.value))
    }

    /// Serves those in a line of a key, in order of arrival, while there is something for them.
    fn serve_line(&mut self, awaited: &Awaited, worth: WorthFn, now: clock::UnixMs) {
        let mut from = 0;
        while self.worth_of(awaited, worth, now) > 0
            && let Some(id) = self.waiters.next_in_line(awaited, worth, from)
        {
            from = id + 1;
            let Some(wanted) = self.waiters.wanted(id) else { continue };
            let seed = (self.waiters.surroundings.clocks.boot_ns)();
            let reply = wanted.attempt(self, now, seed);
            if !blocking::is_null(&reply) {
                self.waiters.answer(id, ShareOutcome::Applied(one_reply(reply)), &mut self.keyspace);
            }
        }
    }

    /// Keys that are waited for are expected of another keyspace, too.
    pub(super) fn expect_again(&mut self) {
        for (database, key) in self.waiters.keys() {
            self.keyspace.select(*database);
            self.keyspace.expect(key);
        }
    }
}
