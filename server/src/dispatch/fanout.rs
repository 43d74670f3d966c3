//! Commands that are split over partitions: each piece runs on its own, the replies are merged.

use super::arguments::Commands;
use super::conversation::Conversation;
use super::everywhere::port_of;
use super::gates::{Candidate, key_positions};
use super::lookup::Entry;
use super::merge::{Part, merge};
use super::rejection::Rejection;
use super::route::{Errand, Failure, Settled};
use super::run::{self, Block, answers_alone};
use crate::commands::Fanout;
use crate::commands::block;
use crate::commands::spec::DataFn;
use crate::ids::PartitionId;
use crate::limits::REPLY_BYTES_MAX;
use crate::raft::ANY_TERM;
use bytes::BytesMut;
use larder_protocol::{Args, Flags, KeySpec, ReplyBuffer, Slot, slot_of};
use smallvec::SmallVec;
use std::sync::Arc;

/// A command's part for one partition.
#[derive(Debug)]
pub(super) struct Piece {
    pub partition: PartitionId,
    pub slot: Slot,
    /// Positions of its keys among all keys of the command.
    pub keys: Vec<usize>,
    /// The piece as a command of its own.
    pub command: Commands,
}

/// What became of a piece: its encoded reply, or why there is none.
pub(super) type PieceResult = Result<Vec<u8>, Failure>;

impl Conversation {
    /// A command with keys in several partitions.
    pub(super) async fn split(
        &mut self,
        candidate: &Candidate<'_>,
        run: DataFn,
        fanout: Fanout,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        let pieces = self.pieces(candidate)?;
        if candidate.entry.is_write() {
            pieces.iter().for_each(|piece| self.written.mark(piece.partition));
        }
        let results = self.run_pieces(candidate.entry, run, &pieces).await;
        self.merge(candidate.entry, fanout, pieces, results, out)
    }

    /// Groups the keys, with what belongs to each, by partition.
    fn pieces(&self, candidate: &Candidate<'_>) -> Result<Vec<Piece>, Rejection> {
        let (entry, args) = (candidate.entry, candidate.args);
        let step = match entry.spec.keys {
            KeySpec::Range { step, .. } => usize::from(step),
            KeySpec::None
            | KeySpec::Counted { .. }
            | KeySpec::StoreCounted { .. }
            | KeySpec::WithStore { .. }
            | KeySpec::Streams
            | KeySpec::Migrate => 1,
        };
        // MSET with an odd number of arguments is for its handler to refuse, before anything is split.
        if !(args.len() - 1).is_multiple_of(step) {
            return Err(Rejection::Arity(entry.name));
        }
        let partitions = self.dispatcher.routes.partitions().len() as u16;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut place = vec![usize::MAX; usize::from(partitions)];
        for (number, position) in key_positions(entry, args)?.enumerate() {
            let slot = slot_of(&args[position]);
            let partition = PartitionId::of_slot(slot, partitions);
            let at = &mut place[partition.index()];
            if *at == usize::MAX {
                *at = pieces.len();
                let mut command = Commands::default();
                command.push_argument(&args[0]);
                pieces.push(Piece { partition, slot, keys: Vec::new(), command });
            }
            let piece = &mut pieces[*at];
            piece.keys.push(number);
            (position..position + step).for_each(|position| piece.command.push_argument(&args[position]));
        }
        pieces.iter_mut().for_each(|piece| piece.command.end());
        Ok(pieces)
    }

    /// Runs every piece: at once where this node may, elsewhere all at the same time.
    pub(super) async fn run_pieces(&mut self, entry: &Entry, run: DataFn, pieces: &[Piece]) -> Vec<PieceResult> {
        let mut results: Vec<Option<PieceResult>> = Vec::with_capacity(pieces.len());
        let mut room = REPLY_BYTES_MAX;
        for piece in pieces {
            let reply = self.run_now(entry, run, piece.partition, piece.command.get(0), room);
            room = room.saturating_sub(reply.as_ref().map_or(0, Vec::len));
            results.push(reply.map(Ok));
        }
        if results.iter().any(Option::is_none) {
            self.meter.stop();
            let waiting: Vec<usize> = (0..pieces.len()).filter(|at| results[*at].is_none()).collect();
            let errands: Vec<Errand> = waiting.iter().map(|at| self.errand(entry, &pieces[*at])).collect();
            let settled = self.dispatcher.deliver_all(&errands, self.moment).await;
            for (at, settled) in waiting.into_iter().zip(settled) {
                results[at] = Some(match settled {
                    Settled::Applied(replies) => Ok(replies.get(0).to_vec()),
                    Settled::Dirty => Err(Failure::Uncertain),
                    Settled::Failed(failure) => Err(failure),
                });
            }
        }
        results.into_iter().flatten().collect()
    }

    /// Runs a command on one partition, if this node may answer alone.
    fn run_now(
        &mut self,
        entry: &Entry,
        run: DataFn,
        partition: PartitionId,
        args: Args<'_>,
        room: usize,
    ) -> Option<Vec<u8>> {
        let (seed, options) = (self.next_die(), self.options());
        let partition = self.dispatcher.partition(partition);
        let mut guard = partition.lock();
        if !answers_alone(guard.role, partition, entry.is_write(), self.moment) {
            return None;
        }
        let mut out = ReplyBuffer::new(self.session.version);
        let context = guard.context(self.moment.wall(), self.moment.tick, options, seed);
        let ran = run::run_one((run, entry.is_write()), context, args, &mut out, room);
        drop(guard);
        self.meter.looked_up(ran.hits, ran.misses);
        Some(out.as_slice().to_vec())
    }

    fn errand(&self, entry: &Entry, piece: &Piece) -> Errand {
        let mut bytes = BytesMut::new();
        block::encode(&mut bytes, entry.spec, self.options(), piece.command.get(0));
        let writes = entry.has(Flags::WRITE);
        let block = Block {
            bytes: bytes.freeze(),
            count: 1,
            writes,
            denyoom: entry.has(Flags::DENYOOM),
            term_max: ANY_TERM,
            key_hashes: SmallVec::new(),
        };
        Errand {
            partition: Arc::clone(self.dispatcher.partition(piece.partition)),
            block,
            port: port_of(entry, self.session.port),
        }
    }

    /// Makes one reply of what the pieces answered.
    ///
    /// Where some failed: a read, or a write that certainly did nothing anywhere, says why. A write that was carried
    /// out in part must not look as if it had not been.
    pub(super) fn merge(
        &self,
        entry: &Entry,
        fanout: Fanout,
        pieces: Vec<Piece>,
        results: Vec<PieceResult>,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        let failed: Vec<(usize, Failure)> =
            results.iter().enumerate().filter_map(|(at, result)| Some((at, *result.as_ref().err()?))).collect();
        if let Some((at, failure)) = failed.first() {
            let certain = failed.iter().all(|(_, failure)| *failure != Failure::Uncertain);
            if !entry.is_write() || (certain && failed.len() == results.len()) {
                return Err(self.dispatcher.rejection(*failure, pieces[*at].slot));
            }
            return Err(Rejection::UncertainIn(failed.iter().map(|(at, _)| pieces[*at].partition.0).collect()));
        }
        let replies = results.into_iter().flatten();
        let parts: Vec<Part> =
            pieces.into_iter().zip(replies).map(|(piece, reply)| Part { keys: piece.keys, reply }).collect();
        merge(fanout, &parts, out)
    }
}
