//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! The data commands of a transaction work on one slot and are carried out together: under one lock hold where this
//! node may answer alone, else as one share. Commands of the connection's own (PING and the like) run here, each in its
//! place. Those over all partitions run before or after the share, never in the middle of it.

use super::arguments::Commands;
use super::conversation::Conversation;
use super::gates::{Candidate, Keys};
use super::lookup::Entry;
use super::rejection::Rejection;
use super::route::{Errand, Failure, Patience, Settled};
use super::run::{self, Block, Sent, answers_alone};
use super::watch::{NotHere, Place, REAP_PAUSE, REAP_PAUSES_MAX, Watch, Watched};
use crate::cluster::routes::{Forward, ForwardKind};
use crate::commands::block::CommandOptions;
use crate::commands::connection::select::SELECT;
use crate::commands::session::PortKind;
use crate::commands::{Handler, block, number};
use crate::ids::{DatabaseNo, NodeNo, PartitionId};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::raft::{ANY_TERM, Refusal, Replies, Role, ShareOutcome};
use bytes::BytesMut;
use larder_protocol::{Args, Flags, ReplyBuffer, Slot};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What stands between MULTI and EXEC.
#[derive(Default)]
pub(super) struct Transaction {
    /// A command was refused: EXEC will be, too.
    pub aborted: bool,
    /// The slot of all its keys, once one was named.
    pub slot: Option<Slot>,
    /// Whether one of its commands may need memory.
    pub denyoom: bool,
    pub writes: bool,
    entries: Vec<&'static Entry>,
    commands: Commands,
    /// How many of the commands work on the slot.
    data: usize,
    /// A command over all partitions came after one on the slot.
    closed: bool,
}

impl Transaction {
    /// Whether commands on the slot are refused from now on.
    pub fn is_behind_everywhere(&self) -> bool {
        self.closed
    }

    fn push(&mut self, candidate: &Candidate<'_>) {
        let entry = candidate.entry;
        if let Keys::Together(slot) = candidate.keys {
            self.slot = Some(slot);
            self.data += 1;
            self.writes |= entry.is_write();
            self.denyoom |= entry.has(Flags::DENYOOM);
        }
        self.closed |= entry.is_everywhere() && self.data > 0;
        self.entries.push(entry);
        self.commands.push(candidate.args.iter());
    }

    /// Whether there is nothing but commands on the slot.
    fn is_all_data(&self) -> bool {
        self.data == self.entries.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&'static Entry, Args<'_>)> {
        self.entries.iter().enumerate().map(|(at, entry)| (*entry, self.commands.get(at)))
    }
}

impl Conversation {
    /// A command after MULTI.
    pub(super) fn queue(&mut self, candidate: &Candidate<'_>, out: &mut ReplyBuffer) {
        let refusal = self.unqueueable(candidate);
        let Some(transaction) = &mut self.transaction else { return };
        match refusal {
            Some(rejection) => {
                self.meter.reject(candidate.entry);
                self.refuse(&rejection, candidate.args, out);
            }
            None => {
                transaction.push(candidate);
                self.session.client.multi.store(transaction.entries.len() as u64 + 1, Ordering::Relaxed);
                out.simple("QUEUED");
            }
        }
    }

    fn unqueueable(&self, candidate: &Candidate<'_>) -> Option<Rejection> {
        let transaction = self.transaction.as_ref()?;
        let bytes: usize = candidate.args.iter().map(<[u8]>::len).sum();
        let flat = limits::TRANSACTION_COMMAND_BYTES + candidate.args.len() * limits::TRANSACTION_ARGUMENT_BYTES;
        if transaction.commands.memory_bytes() + bytes + flat > limits::TRANSACTION_BYTES_MAX {
            return Some(Rejection::TransactionTooLong);
        }
        if candidate.entry.is_data() && candidate.keys == Keys::None {
            return Some(Rejection::BadKeys);
        }
        // What is watched is checked with the share, which this would run ahead of.
        if matches!(candidate.entry.spec.handler, Handler::WriteAll(..)) && self.watch.is_some() {
            return Some(Rejection::NotInTransaction);
        }
        if let (Keys::Together(slot), PortKind::Cluster) = (candidate.keys, self.session.port) {
            let partition = self.dispatcher.routes.partition_of(slot);
            let role = partition.lock().role;
            if !matches!(role, Role::Solo | Role::Leader) {
                let leader = self.dispatcher.leader_elsewhere(partition, role)?;
                return Some(self.dispatcher.rejection(Failure::Elsewhere(leader), slot));
            }
        }
        None
    }

    /// Drops the transaction and what is watched.
    pub(super) fn end_transaction(&mut self) {
        if self.transaction.take().is_some() {
            self.session.client.multi.store(0, Ordering::Relaxed);
        }
        self.unwatch();
    }

    fn unwatch(&mut self) {
        if let Some(watch) = self.watch.take() {
            self.dispatcher.unwatch(&watch, self.session.client.id);
            self.session.client.watching.store(0, Ordering::Relaxed);
        }
    }

    /// The commands of this module.
    pub(super) async fn control(&mut self, candidate: &Candidate<'_>, out: &mut ReplyBuffer) -> Result<(), Rejection> {
        match candidate.entry.spec.name {
            "multi" if self.transaction.is_some() => return Err(Rejection::NestedMulti),
            "multi" => {
                self.transaction = Some(Box::default());
                self.session.client.multi.store(1, Ordering::Relaxed);
            }
            "discard" if self.transaction.is_none() => return Err(Rejection::DiscardWithoutMulti),
            "discard" => self.end_transaction(),
            "unwatch" => self.unwatch(),
            "watch" if self.transaction.is_some() => return Err(Rejection::WatchInMulti),
            "watch" => self.watch_keys(candidate).await?,
            "exec" => return self.exec(out).await,
            name @ ("wait" | "waitaof") => {
                return match self.count_copies(name, candidate.args, true) {
                    Ok(wait) => self.park(wait, 0, out),
                    Err(error) => {
                        error.write(out);
                        Ok(())
                    }
                };
            }
            "migrate" => return self.migrate(candidate, out).await,
            _ => return Err(Rejection::UnknownCommand),
        }
        out.ok();
        Ok(())
    }

    async fn exec(&mut self, out: &mut ReplyBuffer) -> Result<(), Rejection> {
        let Some(transaction) = self.transaction.take() else { return Err(Rejection::ExecWithoutMulti) };
        self.session.client.multi.store(0, Ordering::Relaxed);
        let watch = self.watch.take();
        self.session.client.watching.store(0, Ordering::Relaxed);
        if let (true, Some(slot)) = (transaction.writes, transaction.slot) {
            self.written.mark(self.dispatcher.routes.partition_of(slot).id());
        }
        let result = if transaction.aborted {
            Err(Rejection::ExecAbort)
        } else {
            self.exec_queued(&transaction, watch.as_deref(), out).await
        };
        if let Some(watch) = watch {
            self.dispatcher.unwatch(&watch, self.session.client.id);
        }
        result
    }

    async fn exec_queued(
        &mut self,
        transaction: &Transaction,
        watch: Option<&Watch>,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        let mark = out.len();
        if transaction.is_all_data() && self.exec_now(transaction, watch, out) {
            self.hush(mark, out);
            return Ok(());
        }
        let mut replies = None;
        if watch.is_some() || !transaction.entries.iter().any(|entry| entry.is_everywhere()) {
            match self.exec_share(transaction, watch).await? {
                Some(done) => replies = Some(done),
                None => {
                    out.null_array();
                    self.hush(mark, out);
                    return Ok(());
                }
            }
        }
        // As in Redis, CLIENT REPLY among the commands acts on what follows it there.
        out.array_header(transaction.entries.len());
        self.hush(mark, out);
        let mut next = 0;
        let mut wrote_everywhere = false;
        for (entry, args) in transaction.iter() {
            let mark = out.len();
            if !entry.is_data() {
                wrote_everywhere |= entry.is_everywhere() && entry.is_write();
                self.exec_other(entry, args, out).await;
                self.hush(mark, out);
                continue;
            }
            if replies.is_none() {
                // Nothing is watched here, so there is no nil.
                let done = self.exec_share(transaction, None).await;
                replies = Some(match done {
                    Ok(done) => done.unwrap_or_default(),
                    Err(_) if wrote_everywhere => return Err(Rejection::Uncertain),
                    Err(rejection) => return Err(rejection),
                });
            }
            let reply = replies.as_ref().filter(|replies| next < replies.len()).ok_or(Rejection::Malformed)?;
            self.meter.begin(entry);
            self.meter.answered(entry.index, reply.get(next));
            out.raw(reply.get(next));
            self.hush(mark, out);
            next += 1;
        }
        Ok(())
    }

    /// The whole transaction under one lock hold, straight into the output; false where this node may not.
    fn exec_now(&mut self, transaction: &Transaction, watch: Option<&Watch>, out: &mut ReplyBuffer) -> bool {
        let Some(slot) = transaction.slot else { return false };
        let partition = Arc::clone(self.dispatcher.routes.partition_of(slot));
        let mut guard = partition.lock();
        match watch.map(|watch| &watch.place) {
            None => {}
            Some(Place::Here(watched)) if !watched.is_dirty(&guard, self.moment.wall()) => {}
            Some(Place::There(_)) => return false,
            Some(Place::Here(_) | Place::Lost) => {
                out.null_array();
                return true;
            }
        }
        if !answers_alone(guard.role, &partition, transaction.writes, self.moment) {
            return false;
        }
        let start = out.len();
        out.array_header(transaction.entries.len());
        for (entry, args) in transaction.iter() {
            let seed = self.next_die();
            self.meter.begin(entry);
            let Some(run) = run::data_fn(&entry.spec.handler) else { continue };
            let context = guard.context(self.moment.wall(), self.moment.tick, self.options(), seed);
            let room = limits::REPLY_BYTES_MAX.saturating_sub(out.len() - start);
            let mark = out.len();
            let ran = run::run_one((run, entry.is_write()), context, args, out, room);
            self.meter.looked_up(ran.hits, ran.misses);
            if ran.failed {
                self.meter.answered(entry.index, &out.as_slice()[mark..]);
            }
        }
        true
    }

    /// The commands on the slot as one share; `None` where a watched key has changed.
    async fn exec_share(
        &mut self,
        transaction: &Transaction,
        watch: Option<&Watch>,
    ) -> Result<Option<Replies>, Rejection> {
        let Some(slot) = transaction.slot.or(watch.map(|watch| watch.slot)) else {
            return Ok(Some(Replies::default()));
        };
        self.meter.stop();
        let block = self.encode(transaction);
        let partition = Arc::clone(self.dispatcher.routes.partition_of(slot));
        let settled = match watch.map(|watch| &watch.place) {
            Some(Place::Lost) => return Ok(None),
            Some(Place::There(node)) => self.exec_there(*node, partition.id(), block).await,
            Some(Place::Here(watched)) => {
                let sent = self.dispatcher.run_here(&partition, &block, Some(watched), self.moment);
                settle_once(sent.outcome().await)
            }
            None => {
                let port = self.session.port;
                let errand = Errand { partition, block, port };
                match planted(Bug::ExecInParts) {
                    true => self.dispatcher.deliver_one_by_one(&errand, false).await,
                    false => self.dispatcher.deliver(&errand, self.moment).await,
                }
            }
        };
        match settled {
            Settled::Applied(replies) => Ok(Some(replies)),
            Settled::Dirty => Ok(None),
            Settled::Failed(Failure::OutOfMemory) => Err(Rejection::ExecRefused(Box::new(Rejection::OutOfMemory))),
            Settled::Failed(failure) => Err(self.dispatcher.rejection(failure, slot)),
        }
    }

    async fn exec_there(&self, node: NodeNo, partition: PartitionId, block: Block) -> Settled {
        let kind = ForwardKind::Exec { session: self.session.client.id };
        let request = Forward::new(partition, kind, block.bytes, block.count);
        let sent = Sent::Later(self.dispatcher.routes.forward(node, request));
        settle_once(sent.outcome().await)
    }

    fn encode(&self, transaction: &Transaction) -> Block {
        let mut bytes = BytesMut::new();
        let mut count = 0;
        let mut options = self.options();
        for (entry, args) in transaction.iter() {
            if entry.is_data() {
                block::encode(&mut bytes, entry.spec, options, args);
                count += 1;
            } else {
                options.database = selected_after(entry, args, options);
            }
        }
        Block {
            bytes: bytes.freeze(),
            count,
            writes: transaction.writes,
            denyoom: transaction.denyoom,
            term_max: ANY_TERM,
            key_hashes: SmallVec::new(),
        }
    }

    /// A queued command that does not work on the slot.
    async fn exec_other(&mut self, entry: &'static Entry, args: Args<'_>, out: &mut ReplyBuffer) {
        out.set_version(self.session.version);
        self.meter.begin(entry);
        let mark = out.len();
        let result = match entry.spec.handler {
            Handler::Connection(handler) => {
                let flow = self.call_connection(handler, args, out);
                self.finish(flow, out).await;
                Ok(())
            }
            _ if entry.is_everywhere() => self.everywhere(entry, args, out).await,
            Handler::Dispatch if matches!(entry.spec.name, "wait" | "waitaof") => {
                match self.count_copies(entry.spec.name, args, false) {
                    Ok(count) => {
                        let counted = count.await;
                        self.end_wait(counted, 0, out)
                    }
                    Err(error) => {
                        error.write(out);
                        Ok(())
                    }
                }
            }
            // UNWATCH: EXEC has forgotten everything already.
            _ => {
                out.ok();
                Ok(())
            }
        };
        if let Err(rejection) = result {
            out.truncate(mark);
            rejection.write(args, out);
        }
        self.meter.answered(entry.index, &out.as_slice()[mark..]);
    }

    async fn watch_keys(&mut self, candidate: &Candidate<'_>) -> Result<(), Rejection> {
        let Keys::Together(slot) = candidate.keys else { return Err(Rejection::CrossSlot) };
        if self.watch.as_ref().is_some_and(|watch| watch.slot != slot) {
            return Err(Rejection::CrossSlot);
        }
        self.meter.stop();
        let keys = candidate.args.from(1);
        let (before, count) = match self.watch.take() {
            Some(watch) => (Some(watch.place), watch.keys),
            None => (None, 0),
        };
        let place = match before {
            None => self.watch_somewhere(slot, candidate).await?,
            Some(Place::Here(watched)) => match self.watch_more(slot, keys, watched).await {
                Some(watched) => Place::Here(watched),
                None => Place::Lost,
            },
            Some(Place::There(node)) => match self.watch_there(node, candidate, slot).await {
                ShareOutcome::Applied(_) => Place::There(node),
                _ => Place::Lost,
            },
            Some(Place::Lost) => Place::Lost,
        };
        let keys = count + keys.len();
        self.session.client.watching.store(keys as u64, Ordering::Relaxed);
        let partition = self.dispatcher.routes.partition_of(slot).id();
        self.watch = Some(Box::new(Watch { slot, partition, place, keys }));
        Ok(())
    }

    /// The first WATCH: at whichever node leads.
    async fn watch_somewhere(&self, slot: Slot, candidate: &Candidate<'_>) -> Result<Place, Rejection> {
        let partition = self.dispatcher.routes.partition_of(slot);
        let mut patience = Patience::new(self.session.port, &self.dispatcher, partition);
        loop {
            let role = match self.watch_patiently(slot, candidate.args.from(1), None).await {
                Ok(watched) => return Ok(Place::Here(watched)),
                Err(role) => role,
            };
            match (self.dispatcher.leader_elsewhere(partition, role), self.session.port) {
                (Some(leader), PortKind::Cluster) => {
                    return Err(self.dispatcher.rejection(Failure::Elsewhere(leader), slot));
                }
                (Some(leader), PortKind::Client) => {
                    if let ShareOutcome::Applied(_) = self.watch_there(leader, candidate, slot).await {
                        return Ok(Place::There(leader));
                    }
                }
                (None, _) => {}
            }
            if !patience.pause(&self.dispatcher).await {
                return Err(Rejection::Down);
            }
        }
    }

    async fn watch_more(&self, slot: Slot, keys: Args<'_>, watched: Watched) -> Option<Watched> {
        self.watch_patiently(slot, keys, Some(watched)).await.ok()
    }

    /// Watches here, once due keys are reaped; the role of a copy that does not lead.
    async fn watch_patiently(&self, slot: Slot, keys: Args<'_>, mut watched: Option<Watched>) -> Result<Watched, Role> {
        let partition = self.dispatcher.routes.partition_of(slot);
        for pauses in 0.. {
            let even_due = pauses == REAP_PAUSES_MAX;
            match self.dispatcher.watch_here(
                partition,
                (self.session.database, keys),
                watched,
                self.dispatcher.moment().wall(),
                even_due,
            ) {
                Ok(watched) => return Ok(watched),
                Err((NotHere::Role(role), before)) => {
                    if let Some(before) = before {
                        before.forget(partition);
                    }
                    return Err(role);
                }
                Err((NotHere::Due, before)) => watched = before,
            }
            (self.dispatcher.sleep)(REAP_PAUSE).await;
        }
        Err(Role::Absent)
    }

    async fn watch_there(&self, node: NodeNo, candidate: &Candidate<'_>, slot: Slot) -> ShareOutcome {
        let mut bytes = BytesMut::new();
        block::encode(&mut bytes, candidate.entry.spec, self.options(), candidate.args);
        let request = Forward::new(
            self.dispatcher.routes.partition_of(slot).id(),
            ForwardKind::Watch { session: self.session.client.id },
            bytes.freeze(),
            1,
        );
        Sent::Later(self.dispatcher.routes.forward(node, request)).outcome().await
    }
}

/// The database that is selected after a command of a transaction: another, where it is a SELECT that will
/// succeed. What follows it works there, though the share with it is carried out before.
fn selected_after(entry: &Entry, args: Args<'_>, options: CommandOptions) -> DatabaseNo {
    let chosen = std::ptr::eq(entry.spec, &SELECT).then(|| number::database(&args[1], options.databases).ok());
    chosen.flatten().unwrap_or(options.database)
}

/// What an EXEC with WATCH comes to: it belongs to the copy that watched, so where that one refuses, it is nil.
fn settle_once(outcome: ShareOutcome) -> Settled {
    match outcome {
        ShareOutcome::Applied(replies) => Settled::Applied(replies),
        ShareOutcome::Refused(Refusal::OutOfMemory) => Settled::Failed(Failure::OutOfMemory),
        ShareOutcome::Refused(_) | ShareOutcome::Dirty => Settled::Dirty,
        ShareOutcome::Uncertain => Settled::Failed(Failure::Uncertain),
    }
}
