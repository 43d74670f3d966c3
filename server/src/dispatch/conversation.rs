//! One connection's side of dispatch: its session, its transaction, and what its current batch waits for.

use super::ahead::Ahead;
use super::allowance::Allowance;
use super::blocking::Parked;
use super::copies::Written;
use super::gates::{self, Candidate, Keys};
use super::keyed::Cursor;
use super::lookup::{Entry, Lookup, Unknown};
use super::meter::Meter;
use super::pending::{Pending, splice};
use super::rejection::Rejection;
use super::route::{Errand, Settled};
use super::transaction::Transaction;
use super::watch::Watch;
use super::{Dispatcher, Moment, splitmix};
use crate::commands::block::CommandOptions;
use crate::commands::blocking::{Blocking, WaitFor};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::Session;
use crate::commands::spec::ConnectionFn;
use crate::commands::string::mset::MSET;
use crate::commands::{Handler, transactions};
use crate::limits;
use crate::planted::{Bug, planted};
use bytes::Bytes;
use futures::future::BoxFuture;
use larder_protocol::{Args, CommandBatch, KeySpec, ReplyBuffer};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A connection as dispatch sees it. Only its task touches it.
pub struct Conversation {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) session: Session,
    pub(super) lookup: &'static Lookup,
    /// Between MULTI and EXEC.
    pub(super) transaction: Option<Box<Transaction>>,
    /// What WATCH asked for.
    pub(super) watch: Option<Box<Watch>>,
    pub(super) meter: Meter,
    /// When this batch was read, or when it last went on after a wait.
    pub(super) moment: Moment,
    pub(super) ahead: Ahead,
    /// The command that waits until it can be served.
    pub(super) parked: Option<Parked>,
    /// How many databases there are.
    pub(super) databases: u16,
    /// Where it has written, for WAIT.
    pub(super) written: Written,
    /// How many commands may wait for others at once.
    allowance: Allowance,
    pub(super) pending: Pending,
    pub(super) dice: u64,
    closing: bool,
    last: Option<&'static Entry>,
}

/// How a batch goes on after a command.
pub(super) enum Next<'a> {
    /// With the next one.
    Done,
    /// With this one, once everything before it is answered.
    Barrier(Candidate<'a>),
    /// With the next one, once this reply is here.
    Reply(BoxFuture<'static, Bytes>),
    /// With this one again, once CLIENT PAUSE is over for what writes, or for all.
    Paused { writes: bool },
}

impl Conversation {
    /// The conversation of `session`, for one task.
    pub fn new(dispatcher: Arc<Dispatcher>, session: Session) -> Self {
        let dice = dispatcher.next_seed();
        let meter = Meter::new(Arc::clone(&dispatcher.stats));
        let databases = dispatcher.node.settings().live().databases();
        let moment = dispatcher.moment();
        Self {
            dispatcher,
            session,
            lookup: Lookup::global(),
            transaction: None,
            watch: None,
            meter,
            moment,
            ahead: Ahead::default(),
            parked: None,
            databases,
            written: Written::default(),
            allowance: Allowance::default(),
            pending: Pending::default(),
            dice,
            closing: false,
            last: None,
        }
    }

    /// The connection's state.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether a command waits until it can be served.
    pub fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Whether the connection is to be closed once what is written is sent.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Carries out commands of `batch` from position `from` on and appends their replies to `out`, in order. Returns the
    /// position to go on from, which is not the end where the output has grown long, the connection closes, or a command
    /// has to wait: then [`Conversation::finish_wait`] is next.
    ///
    /// Call it right after the bytes of the batch were read: the leases of its reads count from now.
    pub async fn execute(&mut self, input: &[u8], batch: &CommandBatch, from: usize, out: &mut ReplyBuffer) -> usize {
        if !planted(Bug::LeaseByCachedClock) {
            self.moment = self.dispatcher.moment();
        }
        self.ahead.clear();
        let mut rest = Cursor { input, batch, at: from };
        while rest.at < batch.len()
            && !self.closing
            && self.parked.is_none()
            && out.len() < limits::OUTPUT_BATCH_BYTES_MAX
        {
            self.look_ahead(&rest);
            let mark = out.len();
            match self.run(&mut rest, out) {
                Next::Done => {
                    self.end_command(mark, out);
                    if self.pending.holes.len() >= self.allowance.commands() {
                        Box::pin(self.flush(out)).await;
                    }
                }
                Next::Barrier(candidate) => Box::pin(self.barrier(candidate, out)).await,
                Next::Paused { writes } => {
                    rest.at -= 1;
                    // What came before it is answered before the wait begins.
                    Box::pin(self.flush(out)).await;
                    self.park_paused(writes);
                }
                Next::Reply(reply) => Box::pin(self.late_reply(mark, reply, out)).await,
            }
        }
        if !self.pending.is_empty() {
            Box::pin(self.flush(out)).await;
        }
        let commands = rest.at - from;
        if commands > 1 {
            self.ahead.learn(input.len() * commands / batch.len() + out.len(), commands);
        }
        self.end_batch(commands);
        rest.at
    }

    fn end_batch(&mut self, commands: usize) {
        self.meter.stop();
        let client = &self.session.client;
        client.commands.fetch_add(commands as u64, Ordering::Relaxed);
        client.last_active_ms.store(self.moment.wall(), Ordering::Relaxed);
    }

    /// The next command, as far as it goes without waiting, and those after it that go with it.
    fn run<'a>(&mut self, rest: &mut Cursor<'a>, out: &mut ReplyBuffer) -> Next<'a> {
        let args = rest.batch.args(rest.input, rest.at);
        let foreseen = self.ahead.of(rest.at);
        rest.at += 1;
        if out.version() != self.session.version {
            out.set_version(self.session.version);
        }
        let found = foreseen.map_or_else(|| self.lookup.find(args), |foreseen| Ok(foreseen.entry));
        let entry = match found {
            Ok(entry) => entry,
            Err(Unknown::Command) if is_http(args) => {
                // Redis does the same, since a web page can make a browser send commands in the body of a request.
                tracing::warn!(client = self.session.client.id, address = %self.session.client.address,
                    "closing a connection that speaks HTTP: an attack across protocols, perhaps");
                self.closing = true;
                return Next::Done;
            }
            Err(unknown) => {
                let rejection = match unknown {
                    Unknown::Command => Rejection::UnknownCommand,
                    Unknown::Subcommand(container) => Rejection::UnknownSubcommand(container),
                };
                self.refuse(&rejection, args, out);
                return Next::Done;
            }
        };
        let mut candidate =
            Candidate { entry, args, key: foreseen.and_then(|foreseen| foreseen.key), keys: Keys::None };
        if let Err(rejection) = gates::admit(self, &mut candidate) {
            self.meter.reject(entry);
            if std::ptr::eq(entry.spec, &transactions::EXEC) {
                self.end_transaction();
                self.write_error(&Rejection::ExecRefused(Box::new(rejection)), args, out);
            } else {
                self.refuse(&rejection, args, out);
            }
            return Next::Done;
        }
        if self.is_paused(entry) {
            return Next::Paused { writes: self.writes(entry) };
        }
        self.note(entry);
        if self.transaction.is_some() && !runs_inside_multi(entry) {
            self.queue(&candidate, out);
            return Next::Done;
        }
        self.meter.begin(entry);
        match (&entry.spec.handler, candidate.keys) {
            _ if entry.blocking.is_some_and(|blocking| waits(blocking, args)) => Next::Barrier(candidate),
            (Handler::Read(run) | Handler::ReadFanout(run, _), Keys::Together(slot)) => {
                self.keyed(&candidate, slot, (*run, false), rest, out)
            }
            (Handler::Write(run) | Handler::WriteFanout(run, _), Keys::Together(slot)) => {
                self.keyed(&candidate, slot, (*run, true), rest, out)
            }
            (Handler::WriteFanout(..), Keys::Apart)
                if std::ptr::eq(entry.spec, &MSET) && self.pending.is_empty() && self.store_here(&candidate, out) =>
            {
                Next::Done
            }
            (Handler::Connection(handler), _) if self.pending.is_empty() => self.connection(entry, *handler, args, out),
            _ => Next::Barrier(candidate),
        }
    }

    pub(super) fn options(&self) -> CommandOptions {
        let Session { version, no_touch, database, .. } = self.session;
        CommandOptions { version, no_touch, database, databases: self.databases }
    }

    /// A command of the connection's own.
    fn connection<'a>(
        &mut self,
        entry: &Entry,
        handler: ConnectionFn,
        args: Args<'a>,
        out: &mut ReplyBuffer,
    ) -> Next<'a> {
        let mark = out.len();
        match self.call_connection(handler, args, out) {
            Flow::Done => {
                self.meter.answered(entry.index, &out.as_slice()[mark..]);
                Next::Done
            }
            Flow::Wait(reply) => Next::Reply(reply),
            Flow::Close => {
                self.closing = true;
                Next::Done
            }
        }
    }

    pub(super) fn call_connection(&mut self, handler: ConnectionFn, args: Args<'_>, out: &mut ReplyBuffer) -> Flow {
        let mark = out.len();
        let mut context = ConnectionContext { session: &mut self.session, node: &self.dispatcher.node };
        let result = handler(&mut context, args, out);
        if std::mem::take(&mut self.session.reset) {
            self.end_transaction();
        }
        result.unwrap_or_else(|error| {
            out.truncate(mark);
            error.write(out);
            Flow::Done
        })
    }

    /// What has to wait for everything before it, and maybe for others.
    async fn barrier(&mut self, candidate: Candidate<'_>, out: &mut ReplyBuffer) {
        self.flush(out).await;
        let mark = out.len();
        let result = self.carry_out(&candidate, out).await;
        // EXEC looks itself after what CLIENT REPLY, which may be one of its commands, leaves of its reply.
        let tidied = result.is_ok() && std::ptr::eq(candidate.entry.spec, &transactions::EXEC);
        match result {
            Ok(()) => self.meter.answered(candidate.entry.index, &out.as_slice()[mark..]),
            Err(rejection) => {
                out.truncate(mark);
                self.fail(candidate.entry, &rejection, candidate.args, out);
            }
        }
        if self.parked.is_none() {
            self.end_command(if tidied { out.len() } else { mark }, out);
        }
        self.resume();
    }

    async fn carry_out(&mut self, candidate: &Candidate<'_>, out: &mut ReplyBuffer) -> Result<(), Rejection> {
        if candidate.entry.blocking.is_some()
            && let Keys::Together(slot) = candidate.keys
        {
            return self.begin_wait(candidate, slot, out);
        }
        match candidate.entry.spec.handler {
            Handler::Connection(handler) => {
                let flow = self.call_connection(handler, candidate.args, out);
                self.finish(flow, out).await;
                Ok(())
            }
            Handler::ReadFanout(run, fanout) | Handler::WriteFanout(run, fanout) if candidate.keys == Keys::Apart => {
                self.split(candidate, run, fanout, out).await
            }
            Handler::ReadAll(..) | Handler::WriteAll(..) | Handler::Scan(_) => {
                self.everywhere(candidate.entry, candidate.args, out).await
            }
            Handler::Dispatch => self.control(candidate, out).await,
            // A command with keys that names none, as with a count of 0: its handler says what is wrong with that.
            Handler::Read(_) | Handler::Write(_) | Handler::ReadFanout(..) | Handler::WriteFanout(..) => {
                Err(Rejection::BadKeys)
            }
            Handler::Container(_) => Err(Rejection::Arity(candidate.entry.name)),
        }
    }

    pub(super) async fn finish(&mut self, flow: Flow, out: &mut ReplyBuffer) {
        match flow {
            Flow::Done => {}
            Flow::Wait(reply) => {
                self.meter.stop();
                out.raw(&reply.await);
            }
            Flow::Close => self.closing = true,
        }
    }

    async fn late_reply(&mut self, mark: usize, reply: BoxFuture<'static, Bytes>, out: &mut ReplyBuffer) {
        self.finish(Flow::Wait(reply), out).await;
        self.answered_late(mark, out);
        self.end_command(mark, out);
        self.resume();
    }

    /// Whether CLIENT PAUSE holds a command. Those of CLIENT pass, so that UNPAUSE gets through.
    fn is_paused(&self, entry: &Entry) -> bool {
        let queued = self.transaction.is_some() && !runs_inside_multi(entry);
        !queued
            && self.dispatcher.node.clients().paused(self.writes(entry)).is_some()
            && !entry.name.starts_with("client|")
    }

    fn writes(&self, entry: &Entry) -> bool {
        let executes = std::ptr::eq(entry.spec, &transactions::EXEC);
        entry.is_write()
            || entry.spec.keys == KeySpec::Migrate
            || (executes && self.transaction.as_ref().is_some_and(|transaction| transaction.writes))
    }

    /// After a wait, leases count anew.
    pub(super) fn resume(&mut self) {
        self.moment = self.dispatcher.moment();
    }

    /// Sends the batch's shares off, waits for what becomes of them, and puts the replies into their places.
    async fn flush(&mut self, out: &mut ReplyBuffer) {
        if self.pending.is_empty() {
            return;
        }
        self.meter.stop();
        let Pending { shares, holes } = std::mem::take(&mut self.pending);
        let dispatcher = Arc::clone(&self.dispatcher);
        let port = self.session.port;
        let errands: Vec<Errand> = shares
            .into_iter()
            .map(|share| {
                let partition = Arc::clone(dispatcher.partition(share.partition));
                Errand { partition, block: share.into_block(), port }
            })
            .collect();
        let settled = dispatcher.deliver_apart(&errands, self.moment).await;
        let reply_bytes = settled.iter().map(|settled| match settled {
            Settled::Applied(replies) => replies.bytes.len(),
            Settled::Dirty | Settled::Failed(_) => 0,
        });
        self.allowance.learn(holes.len(), reply_bytes.sum());
        splice(out, &holes, |hole, out| {
            let mark = out.len();
            match &settled[hole.share] {
                Settled::Applied(replies) => out.raw(replies.get(hole.index)),
                Settled::Dirty => out.null_array(),
                Settled::Failed(failure) => {
                    dispatcher.rejection(*failure, hole.slot).write(Args::new(&[], &[]), out);
                }
            }
            self.meter.answered(usize::from(hole.command), &out.as_slice()[mark..]);
        });
        self.resume();
    }

    /// A refusal before anything was done.
    pub(super) fn refuse(&mut self, rejection: &Rejection, args: Args<'_>, out: &mut ReplyBuffer) {
        if let Some(transaction) = &mut self.transaction {
            transaction.aborted = true;
        }
        self.write_error(rejection, args, out);
    }

    /// Writes the error that a command which had begun ends with, and counts it.
    pub(super) fn fail(&self, entry: &Entry, rejection: &Rejection, args: Args<'_>, out: &mut ReplyBuffer) {
        let mark = out.len();
        rejection.write(args, out);
        self.meter.answered(entry.index, &out.as_slice()[mark..]);
    }

    /// Counts the reply, from `mark` on, of the command that came last.
    pub(super) fn answered_late(&self, mark: usize, out: &ReplyBuffer) {
        if let Some(entry) = self.last {
            self.meter.answered(entry.index, &out.as_slice()[mark..]);
        }
    }

    /// Writes an error of dispatch's own, and counts it.
    pub(super) fn write_error(&self, rejection: &Rejection, args: Args<'_>, out: &mut ReplyBuffer) {
        let mark = out.len();
        rejection.write(args, out);
        self.meter.error(&out.as_slice()[mark + 1..]);
    }

    /// The next number of this connection's dice.
    pub(super) fn next_die(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        splitmix(self.dice)
    }

    /// CLIENT REPLY: takes the reply back where it is not wanted, and counts what SKIP skips.
    pub(super) fn end_command(&mut self, mark: usize, out: &mut ReplyBuffer) {
        if !self.session.reply_mode.is_on() {
            self.hush(mark, out);
            self.session.reply_mode.end_command();
        }
        if self.session.asking && self.transaction.is_none() && self.last.is_none_or(|entry| entry.name != "asking") {
            self.session.asking = false;
        }
    }

    /// Takes back what is not to be sent.
    pub(super) fn hush(&self, mark: usize, out: &mut ReplyBuffer) {
        if self.session.reply_mode.is_silent() {
            out.truncate(mark);
        }
    }

    /// For CLIENT LIST: the name of the last command.
    fn note(&mut self, entry: &'static Entry) {
        if !self.last.is_some_and(|last| std::ptr::eq(last, entry)) {
            self.last = Some(entry);
            self.session.client.labels.lock().last_command = entry.name;
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.end_transaction();
    }
}

/// Whether a command is the beginning of an HTTP request, or its `Host` header.
fn is_http(args: Args<'_>) -> bool {
    args.get(0).is_some_and(|name| name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:"))
}

/// Whether a command will wait where it has to. One whose arguments are wrong runs at once, and says so.
fn waits(blocking: &Blocking, args: Args<'_>) -> bool {
    matches!((blocking.timeout)(args), Ok(WaitFor::Ever | WaitFor::Ms(_)))
}

/// What is carried out between MULTI and EXEC rather than queued.
fn runs_inside_multi(entry: &Entry) -> bool {
    matches!(entry.spec.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}
