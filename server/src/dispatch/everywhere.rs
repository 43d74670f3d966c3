//! Commands over every partition in the connection's scope: on the client port those of the whole cluster, on the
//! cluster port those that this node leads, as each kind of client expects.

use super::arguments::Commands;
use super::conversation::Conversation;
use super::fanout::Piece;
use super::lookup::Entry;
use super::merge::is_null;
use super::rejection::Rejection;
use crate::commands::generic::swapdb::SWAPDB;
use crate::commands::session::PortKind;
use crate::commands::spec::DataFn;
use crate::commands::{Fanout, Handler};
use crate::ids::PartitionId;
use crate::keyspace::Keyspace;
use crate::raft::Role;
use larder_protocol::{Args, ReplyBuffer, SLOTS, scan};

/// COUNT of SCAN where it is not given.
const SCAN_COUNT: usize = 10;

impl Conversation {
    pub(super) async fn everywhere(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        match entry.spec.handler {
            Handler::ReadAll(run, Fanout::Any) => self.any(entry, run, args, out).await,
            Handler::ReadAll(run, fanout) | Handler::WriteAll(run, fanout) => {
                let pieces: Vec<Piece> = self.scope(entry).into_iter().map(|id| self.piece(id, args)).collect();
                if entry.is_write() {
                    pieces.iter().for_each(|piece| self.written.mark(piece.partition));
                }
                let results = self.run_pieces(entry, run, &pieces).await;
                self.merge(entry, fanout, pieces, results, out)
            }
            Handler::Scan(run) => self.scan(entry, run, args, out).await,
            _ => Err(Rejection::BadKeys),
        }
    }

    /// The partitions that a command of the connection works on, in order.
    fn scope(&self, entry: &Entry) -> Vec<PartitionId> {
        let partitions = self.dispatcher.routes.partitions().iter();
        let everything = port_of(entry, self.session.port) == PortKind::Client;
        let seen =
            partitions.filter(|partition| everything || matches!(partition.lock().role, Role::Solo | Role::Leader));
        seen.map(|partition| partition.id()).collect()
    }

    fn piece(&self, partition: PartitionId, args: Args<'_>) -> Piece {
        let slot = partition.first_slot(self.dispatcher.routes.partitions().len() as u16);
        Piece { partition, slot, keys: Vec::new(), command: Commands::one(args.iter()) }
    }

    /// RANDOMKEY: asks one partition after another, in random order, the fuller ones sooner, until one has a key.
    async fn any(
        &mut self,
        entry: &'static Entry,
        run: DataFn,
        args: Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        for id in self.weighted_order(entry) {
            let pieces = [self.piece(id, args)];
            let result = self.run_pieces(entry, run, &pieces).await.pop().unwrap_or(Ok(Vec::new()));
            let reply = result.map_err(|failure| self.dispatcher.rejection(failure, pieces[0].slot))?;
            if !is_null(&reply) {
                out.raw(&reply);
                return Ok(());
            }
        }
        out.null();
        Ok(())
    }

    /// The scope in an order in which each partition comes first with a chance in proportion to its size; those of
    /// other nodes count as average (Efraimidis and Spirakis, 2006: sort by u^(1/weight)).
    fn weighted_order(&mut self, entry: &Entry) -> Vec<PartitionId> {
        let scope = self.scope(entry);
        let database = self.session.database;
        let sizes: Vec<Option<usize>> = scope
            .iter()
            .map(|id| {
                let guard = self.dispatcher.partition(*id).lock();
                (guard.role != Role::Absent).then(|| guard.keyspace.len_of(database))
            })
            .collect();
        let known = sizes.iter().flatten().count().max(1);
        let average = (sizes.iter().flatten().sum::<usize>() as f64 / known as f64).max(1.0);
        let mut order: Vec<(f64, PartitionId)> = scope
            .into_iter()
            .zip(sizes)
            .map(|(id, size)| {
                let weight = size.map_or(average, |size| size as f64);
                let uniform = (self.next_die() >> 11) as f64 / (1u64 << 53) as f64;
                (-uniform.max(f64::MIN_POSITIVE).ln() / weight, id)
            })
            .collect();
        order.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        order.into_iter().map(|(_, id)| id).collect()
    }

    /// SCAN: steps through the partitions in order. The cursor is the first slot of the partition that is being
    /// visited, and the position in it; so it holds where partitions have become more in between.
    async fn scan(
        &mut self,
        entry: &'static Entry,
        run: DataFn,
        args: Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        let cursor = args.get(1).and_then(parse_cursor).ok_or(Rejection::InvalidCursor)?;
        let partitions = self.dispatcher.routes.partitions().len() as u16;
        let (slot, mut position) = (cursor >> Keyspace::SCAN_BITS, cursor & ((1 << Keyspace::SCAN_BITS) - 1));
        let mut id = match u16::try_from(slot) {
            Ok(slot) if slot < SLOTS => PartitionId::of_slot(slot, partitions),
            _ => PartitionId(partitions),
        };
        let scope = self.scope(entry);
        let count = scan_count(args);
        let mut found = 0;
        let mut keys: Vec<u8> = Vec::new();
        while id.0 < partitions && found < count {
            if scope.contains(&id) {
                let digits = position.to_string();
                let renamed = args.iter().enumerate().map(|(at, arg)| if at == 1 { digits.as_bytes() } else { arg });
                let piece = Piece { command: Commands::one(renamed), ..self.piece(id, Args::new(&[], &[])) };
                let result = self.run_pieces(entry, run, std::slice::from_ref(&piece)).await.pop();
                let reply = result.unwrap_or(Ok(Vec::new()));
                let reply = reply.map_err(|failure| self.dispatcher.rejection(failure, piece.slot))?;
                if reply.first() == Some(&b'-') {
                    out.raw(&reply);
                    return Ok(());
                }
                let step = parse_step(&reply).ok_or(Rejection::Malformed)?;
                found += step.count;
                keys.extend_from_slice(step.keys);
                position = step.position;
                if position != 0 {
                    break;
                }
            }
            id.0 += 1;
            position = 0;
        }
        let next =
            if id.0 < partitions { u64::from(id.first_slot(partitions)) << Keyspace::SCAN_BITS | position } else { 0 };
        out.array_header(2);
        out.bulk(next.to_string().as_bytes());
        out.array_header(found);
        out.raw(&keys);
        Ok(())
    }
}

/// The port as which a connection's command is routed. SWAPDB is for the whole cluster wherever it comes in: clients send
/// it to one node, and half of it is worth nothing.
pub(super) fn port_of(entry: &Entry, port: PortKind) -> PortKind {
    if std::ptr::eq(entry.spec, &SWAPDB) { PortKind::Client } else { port }
}

/// Redis reads the cursor with `strtoul`, and takes nothing but digits.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// COUNT as far as it parses; the handler refuses what does not.
fn scan_count(args: Args<'_>) -> usize {
    let given = (2..args.len().saturating_sub(1)).find(|at| args[*at].eq_ignore_ascii_case(b"count"));
    let number = given.and_then(|at| std::str::from_utf8(&args[at + 1]).ok()?.parse().ok());
    number.unwrap_or(SCAN_COUNT).max(1)
}

/// What one partition answered to a step.
struct Step<'a> {
    position: u64,
    count: usize,
    keys: &'a [u8],
}

fn parse_step(reply: &[u8]) -> Option<Step<'_>> {
    let mut elements = scan::elements(reply).ok()?;
    let cursor = elements.next()?.ok()?;
    let array = elements.next()?.ok()?;
    let digits = cursor.strip_suffix(b"\r\n")?.rsplit(|byte| *byte == b'\n').next()?;
    let position = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (mut count, mut length) = (0, 0);
    for key in scan::elements(array).ok()? {
        count += 1;
        length += key.ok()?.len();
    }
    Some(Step { position, count, keys: &array[array.len() - length..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_cursors_parse() {
        let step = parse_step(b"*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n").unwrap();
        assert_eq!((step.position, step.count, step.keys), (17, 2, &b"$1\r\na\r\n$1\r\nb\r\n"[..]));
        assert!(parse_step(b"*1\r\n$2\r\n17\r\n").is_none() && parse_step(b"+OK\r\n").is_none());
        assert_eq!(parse_cursor(b"18446744073709551615"), Some(u64::MAX));
        assert!(
            [&b"18446744073709551616"[..], b"-1", b" 1", b"x", b""].iter().all(|text| parse_cursor(text).is_none())
        );
    }
}
