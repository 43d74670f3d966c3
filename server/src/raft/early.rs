//! Answers before their time, for faults that are planted.

use super::partition::Partition;
use super::share::{Replies, ShareOutcome};
use crate::commands::Handler;
use crate::commands::block::{self, BlockReader, CommandOptions};
use crate::commands::list::lrange::LRANGE;
use crate::planted::{Bug, planted};
use bytes::{Bytes, BytesMut};
use larder_protocol::{Args, ReplyBuffer};
use tokio::sync::oneshot;

/// With [`Bug::AnswerBeforeQuorum`] or [`Bug::PopBeforeQuorum`], answers what is about to be proposed.
#[inline]
pub(super) fn answer(partition: &Partition, blocks: &[Bytes], done: &mut [oneshot::Sender<ShareOutcome>]) {
    if !planted(Bug::AnswerBeforeQuorum) && !planted(Bug::PopBeforeQuorum) {
        return;
    }
    for (block, done) in blocks.iter().zip(done) {
        let reply = match planted(Bug::PopBeforeQuorum) {
            // Two in one entry would be answered alike.
            true if blocks.len() == 1 => popped(partition, block),
            true => None,
            false => set(block),
        };
        if let Some(bytes) = reply {
            let early = std::mem::replace(done, oneshot::channel().0);
            let replies = Replies { ends: [bytes.len() as u32].into_iter().collect(), bytes };
            let _ = early.send(ShareOutcome::Applied(replies));
        }
    }
}

/// What a share of one SET will be answered.
fn set(block: &[u8]) -> Option<Bytes> {
    let mut reader = BlockReader::new(block);
    let is_set = reader.next_command().ok()??.spec.name == "set";
    let more = reader.next_command().ok()?.is_some();
    (is_set && !more).then(|| Bytes::from_static(b"+OK\r\n"))
}

/// What a share of one LPOP or BLPOP of one element will be answered, where there is one.
fn popped(partition: &Partition, block: &[u8]) -> Option<Bytes> {
    let mut reader = BlockReader::new(block);
    let command = reader.next_command().ok()??;
    let waits = match command.spec.name {
        "lpop" if command.args.len() == 2 => false,
        "blpop" if command.args.len() == 3 => true,
        _ => return None,
    };
    let key = command.args[1].to_vec();
    if reader.next_command().ok()?.is_some() {
        return None;
    }
    let bytes = [&key[..], b"00"].concat();
    let end = key.len() as u32;
    let ranges = [(0, 0), (0, end), (end, end + 1), (end + 1, end + 2)];
    let mut range = BytesMut::new();
    block::encode(&mut range, &LRANGE, CommandOptions::default(), Args::new(&bytes, &ranges));
    let mut reader = BlockReader::new(&range);
    let command = reader.next_command().ok()??;
    let Handler::Read(run) = &command.spec.handler else { return None };
    let mut out = ReplyBuffer::default();
    let mut state = partition.lock();
    let now = state.clock;
    run(&mut state.context(now, crate::clock::tick_of(now), command.options, 0), command.args, &mut out).ok()?;
    drop(state);
    let element = out.take().strip_prefix(b"*1\r\n").map(<[u8]>::to_vec)?;
    if waits {
        out.array_header(2);
        out.bulk(&key);
    }
    out.raw(&element);
    Some(out.take())
}
