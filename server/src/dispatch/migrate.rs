//! MIGRATE: keys go to another server, and leave this one once that has them.
//!
//! ```text
//! for a few keys at a time:   leaders: DUMP and deadline    target: RESTORE ...   leaders: MIGRATED
//!                             (one moment a key)            (answers one by one)  (removes what is still the same)
//! ```
//! Redis holds its whole server up meanwhile; here the keys are served on. So one that changes while it is on its way
//! stays, and the answer says so. See `server/docs/decisions/0013-migrate.md`.

use super::conversation::Conversation;
use super::gates::Candidate;
use super::rejection::Rejection;
use super::route::{Errand, Settled};
use super::run::Block;
use super::target::{Fault, Target};
use crate::clock::UnixMs;
use crate::commands::block::{self, CommandOptions};
use crate::commands::generic::dump;
use crate::commands::generic::migrate::Order;
use crate::commands::generic::{dump::DUMP, ttl::PEXPIRETIME};
use crate::commands::maintenance::migrated::MIGRATED;
use crate::commands::number::parse_i64;
use crate::commands::session::PortKind;
use crate::commands::spec::CommandSpec;
use crate::raft::Replies;
use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use larder_protocol::scan::{self, Body, Header};
use larder_protocol::{Args, ProtocolVersion, ReplyBuffer, Slot, slot_of};
use std::sync::Arc;

/// Keys that are on their way at once.
const KEYS_AT_ONCE: usize = 16;

/// A key as it is sent.
struct Parcel<'a> {
    key: &'a [u8],
    slot: Slot,
    payload: Bytes,
    deadline: Option<UnixMs>,
}

/// What the keys so far came to.
#[derive(Default)]
struct Report {
    found: bool,
    /// The first error of the target.
    refused: Option<Vec<u8>>,
    /// Keys that changed while they were on their way.
    changed: usize,
}

/// Why it goes no further.
enum Stop {
    Target(Fault),
    Here(Rejection),
    /// What a leader answered to DUMP: the error without its sign.
    Unread(Vec<u8>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Target(fault)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Here(rejection)
    }
}

impl Conversation {
    /// MIGRATE. Everything before it is answered.
    pub(super) async fn migrate(&mut self, candidate: &Candidate<'_>, out: &mut ReplyBuffer) -> Result<(), Rejection> {
        let order = match Order::parse(candidate.args) {
            Ok(order) => order,
            Err(error) => {
                error.write(out);
                return Ok(());
            }
        };
        self.meter.stop();
        let mut report = Report::default();
        let stopped = self.move_keys(&order, candidate.args, &mut report).await;
        let text = match (report.refused, stopped) {
            (Some(refused), _) => [b"ERR Target instance replied with error: ", &refused[..]].concat(),
            (None, Err(Stop::Target(fault))) => fault.to_string().into_bytes(),
            (None, Err(Stop::Here(rejection))) => return Err(rejection),
            (None, Err(Stop::Unread(error))) => error,
            (None, Ok(())) if report.changed > 0 => {
                let count = report.changed;
                format!(
                    "ERR {count} keys were changed while they were sent, and stay: the target has them as they were"
                )
                .into_bytes()
            }
            (None, Ok(())) => {
                if report.found {
                    out.ok();
                } else {
                    out.simple("NOKEY");
                }
                return Ok(());
            }
        };
        out.error_bytes(&text);
        Ok(())
    }

    async fn move_keys(&mut self, order: &Order<'_>, args: Args<'_>, report: &mut Report) -> Result<(), Stop> {
        let mut target = None;
        let keys: Vec<&[u8]> = order.keys.clone().map(|at| &args[at]).collect();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let parcels = self.pack(keys).await?;
            if parcels.is_empty() {
                continue;
            }
            report.found = true;
            let target = match &mut target {
                Some(target) => target,
                none => {
                    let mut reached = Target::connect(order.host, order.port, order.timeout).await?;
                    if let Some(refused) = greet(&mut reached, order).await? {
                        report.refused = Some(refused);
                        return Ok(());
                    }
                    none.insert(reached)
                }
            };
            let (arrived, sent) = self.send(order, target, &parcels, report).await;
            if !order.copy {
                report.changed += self.let_go(&arrived).await?;
            }
            sent?;
        }
        Ok(())
    }

    /// Sends parcels; which of them the target has, whatever happens then.
    async fn send<'p, 'a>(
        &self,
        order: &Order<'_>,
        target: &mut Target,
        parcels: &'p [Parcel<'a>],
        report: &mut Report,
    ) -> (Vec<&'p Parcel<'a>>, Result<(), Fault>) {
        let mut arrived = Vec::new();
        let now = self.dispatcher.moment().wall();
        // What is due by now is not worth sending.
        let alive = parcels.iter().filter(|parcel| parcel.deadline.is_none_or(|deadline| deadline > now));
        let alive: Vec<&Parcel<'_>> = alive.collect();
        for parcel in &alive {
            let ttl = parcel.deadline.map_or(0, |deadline| deadline - now).to_string();
            let name: &[u8] = if self.session.port == PortKind::Cluster { b"RESTORE-ASKING" } else { b"RESTORE" };
            let replace = order.replace.then_some(&b"REPLACE"[..]);
            let words = [name, parcel.key, ttl.as_bytes(), &parcel.payload];
            if let Err(fault) = target.send(words.into_iter().chain(replace)).await {
                return (arrived, Err(fault));
            }
        }
        for parcel in alive {
            match target.answer().await {
                Ok(Ok(())) => arrived.push(parcel),
                Ok(Err(refused)) => {
                    report.refused.get_or_insert(refused);
                }
                Err(fault) => return (arrived, Err(fault)),
            }
        }
        (arrived, Ok(()))
    }

    /// What is at some keys; those that are not there are left out.
    async fn pack<'a>(&self, keys: &[&'a [u8]]) -> Result<Vec<Parcel<'a>>, Stop> {
        let read = keys.iter().map(|key| async {
            let slot = slot_of(key);
            let commands: [(&'static CommandSpec, &[&[u8]]); 2] = [(&DUMP, &[b"", key]), (&PEXPIRETIME, &[b"", key])];
            let replies = self.ask(slot, &commands).await?;
            let payload = bulk(&replies, 0)?;
            let deadline = parse_i64(number(replies.get(1))).ok_or(Rejection::Malformed)?;
            let deadline = u64::try_from(deadline).ok();
            Ok(payload.map(|payload| Parcel { key, slot, payload, deadline }))
        });
        let read: Vec<Result<_, Stop>> = join_all(read).await;
        read.into_iter().filter_map(Result::transpose).collect()
    }

    /// Removes what has arrived and is still the same; how many are not.
    async fn let_go(&mut self, arrived: &[&Parcel<'_>]) -> Result<usize, Rejection> {
        let partitions = self.dispatcher.routes.partitions().len() as u16;
        for parcel in arrived {
            self.written.mark(crate::ids::PartitionId::of_slot(parcel.slot, partitions));
        }
        let removed = arrived.iter().map(|parcel| async {
            let seed = self.dispatcher.routes.partition_of(parcel.slot).seed();
            let fingerprint = dump::fingerprint(seed, &parcel.payload);
            let deadline = parcel.deadline.map_or_else(|| "-1".to_string(), |deadline| deadline.to_string());
            let words: [&[u8]; 4] = [b"", parcel.key, &fingerprint, deadline.as_bytes()];
            let replies = self.ask(parcel.slot, &[(&MIGRATED, &words)]).await?;
            Ok(replies.get(0) == b":1\r\n")
        });
        let removed: Vec<Result<bool, Rejection>> = join_all(removed).await;
        let mut changed = 0;
        for removed in removed {
            changed += usize::from(!removed?);
        }
        Ok(changed)
    }

    /// What the leader of a slot answers to commands, which it carries out at one moment.
    async fn ask(&self, slot: Slot, commands: &[(&'static CommandSpec, &[&[u8]])]) -> Result<Replies, Rejection> {
        let options = CommandOptions { version: ProtocolVersion::Resp2, ..self.options() };
        let mut bytes = BytesMut::new();
        for (spec, words) in commands {
            let mut end = 0;
            let range = |word: &&[u8]| {
                end += word.len() as u32;
                (end - word.len() as u32, end)
            };
            let ranges: Vec<(u32, u32)> = words.iter().map(range).collect();
            block::encode(&mut bytes, spec, options, Args::new(&words.concat(), &ranges));
        }
        let partition = Arc::clone(self.dispatcher.routes.partition_of(slot));
        let block = Block::inspect(bytes.freeze(), partition.seed()).map_err(|_| Rejection::Malformed)?;
        let errand = Errand { partition, block, port: self.session.port };
        match self.dispatcher.deliver(&errand, self.dispatcher.moment()).await {
            Settled::Applied(replies) => Ok(replies),
            Settled::Dirty => Err(Rejection::Uncertain),
            Settled::Failed(failure) => Err(self.dispatcher.rejection(failure, slot)),
        }
    }
}

/// Authenticates and selects; what the target has against that.
async fn greet(target: &mut Target, order: &Order<'_>) -> Result<Option<Vec<u8>>, Fault> {
    let database = order.database.to_string();
    if let Some((user, password)) = order.credentials {
        target.send([&b"AUTH"[..]].into_iter().chain(user).chain([password])).await?;
    }
    target.send([&b"SELECT"[..], database.as_bytes()]).await?;
    let mut refused = None;
    for _ in 0..1 + usize::from(order.credentials.is_some()) {
        if let Err(error) = target.answer().await? {
            refused.get_or_insert(error);
        }
    }
    Ok(refused)
}

/// The bulk string that a reply is, if it is one and not null; an error reply is passed on.
fn bulk(replies: &Replies, index: usize) -> Result<Option<Bytes>, Stop> {
    let reply = replies.get(index);
    match scan::header(reply) {
        Ok(Some(Header { length, body: Body::Bytes(bytes) })) => {
            let body = reply.get(length..length + bytes).ok_or(Rejection::Malformed)?;
            Ok(Some(replies.bytes.slice_ref(body)))
        }
        Ok(Some(Header { body: Body::None, .. })) if reply.starts_with(b"$-1") => Ok(None),
        _ => {
            let error = reply.strip_prefix(b"-").and_then(|rest| rest.strip_suffix(b"\r\n"));
            Err(error.map_or(Stop::Here(Rejection::Malformed), |error| Stop::Unread(error.to_vec())))
        }
    }
}

/// The digits of an integer reply.
fn number(reply: &[u8]) -> &[u8] {
    reply.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r\n")).unwrap_or_default()
}
