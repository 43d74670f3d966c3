//! Commands on their way to another node's copy, and outcomes on their way back.

use super::routes::{Forward, ForwardKind};
use crate::ids::{NodeNo, PartitionId};
use crate::raft::codec::{Malformed, Reader, WriteMessage};
use crate::raft::{Refusal, Replies, ShareOutcome};
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a request beside its commands, or more.
const REQUEST_BYTES: usize = 48;
/// What the answers to several requests in one message take at most, but for the first: beyond that they are asked for
/// one by one.
const TOGETHER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Encodes a request.
pub fn encode_request(request: &Forward) -> Bytes {
    let mut out = BytesMut::with_capacity(request.block.len() + REQUEST_BYTES);
    put_request(&mut out, request);
    out.freeze()
}

/// Encodes several.
pub fn encode_requests<'a>(requests: impl ExactSizeIterator<Item = &'a Forward> + Clone) -> Bytes {
    let blocks: usize = requests.clone().map(|request| request.block.len()).sum();
    let mut out = BytesMut::with_capacity(blocks + requests.len() * REQUEST_BYTES + 4);
    out.put_u32_le(requests.len() as u32);
    requests.for_each(|request| put_request(&mut out, request));
    out.freeze()
}

fn put_request(out: &mut BytesMut, request: &Forward) {
    out.put_u16_le(request.partition.0);
    let (kind, session) = match request.kind {
        ForwardKind::Run => (0, 0),
        ForwardKind::Watch { session } => (1, session),
        ForwardKind::Unwatch { session } => (2, session),
        ForwardKind::Exec { session } => (3, session),
        ForwardKind::Wait { session, .. } => (4, session),
        ForwardKind::Unwait { session } => (5, session),
        ForwardKind::Copies { session, .. } => (6, session),
    };
    out.put_u8(kind);
    out.put_u64_le(session);
    if let ForwardKind::Copies { copies, .. } = request.kind {
        out.put_u32_le(copies);
    }
    if let ForwardKind::Wait { timeout_ms, .. } | ForwardKind::Copies { timeout_ms, .. } = request.kind {
        out.put_u64_le(timeout_ms.unwrap_or(u64::MAX));
    }
    out.put_u32_le(request.count);
    out.put_u32_le(request.term_max);
    out.put_bytes_value(&request.block);
}

/// Decodes a request.
///
/// # Errors
/// Where the bytes are none.
pub fn decode_request(body: Bytes) -> Result<Forward, Malformed> {
    let mut reader = Reader(body);
    let request = read_request(&mut reader)?;
    reader.end()?;
    Ok(request)
}

/// Decodes several.
///
/// # Errors
/// Where the bytes are none.
pub fn decode_requests(body: Bytes) -> Result<Vec<Forward>, Malformed> {
    /// Bytes of the shortest request.
    const SHORTEST: usize = 2 + 1 + 8 + 4 + 4 + 4;
    let mut reader = Reader(body);
    let count = reader.count(SHORTEST)?;
    let requests = (0..count).map(|_| read_request(&mut reader)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(requests)
}

fn read_request(reader: &mut Reader) -> Result<Forward, Malformed> {
    let partition = PartitionId(reader.u16()?);
    let kind = reader.u8()?;
    let session = reader.u64()?;
    let kind = match kind {
        0 => ForwardKind::Run,
        1 => ForwardKind::Watch { session },
        2 => ForwardKind::Unwatch { session },
        3 => ForwardKind::Exec { session },
        4 => ForwardKind::Wait { session, timeout_ms: timeout(reader)? },
        5 => ForwardKind::Unwait { session },
        6 => ForwardKind::Copies { session, copies: reader.u32()?, timeout_ms: timeout(reader)? },
        _ => return Err(Malformed),
    };
    let count = reader.u32()?;
    let term_max = reader.u32()?;
    let block = reader.bytes()?;
    Ok(Forward { partition, kind, block, count, term_max })
}

/// A time, or for ever.
fn timeout(reader: &mut Reader) -> Result<Option<u64>, Malformed> {
    Ok(Some(reader.u64()?).filter(|ms| *ms != u64::MAX))
}

/// Encodes an outcome.
pub fn encode_outcome(outcome: &ShareOutcome) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    put_outcome(&mut out, outcome);
    out.freeze()
}

/// Encodes the outcomes of several requests that only read, in their order.
pub fn encode_outcomes(outcomes: &[ShareOutcome]) -> Bytes {
    let mut out = BytesMut::with_capacity(64 * outcomes.len());
    out.put_u32_le(outcomes.len() as u32);
    for outcome in outcomes {
        match outcome {
            // The client's node routes it anew, by itself.
            ShareOutcome::Applied(replies)
                if out.len() > 4 && out.len().saturating_add(replies.bytes.len()) > TOGETHER_BYTES_MAX =>
            {
                put_outcome(&mut out, &ShareOutcome::Refused(Refusal::Unreachable));
            }
            outcome => put_outcome(&mut out, outcome),
        }
    }
    out.freeze()
}

fn put_outcome(out: &mut BytesMut, outcome: &ShareOutcome) {
    match outcome {
        ShareOutcome::Applied(replies) => {
            out.put_u8(0);
            out.put_u32_le(replies.len() as u32);
            replies.ends.iter().for_each(|end| out.put_u32_le(*end));
            out.put_bytes_value(&replies.bytes);
        }
        ShareOutcome::Dirty => out.put_u8(1),
        ShareOutcome::Uncertain => out.put_u8(2),
        ShareOutcome::Refused(Refusal::NotLeader(leader)) => {
            out.put_u8(3);
            out.put_u32_le(leader.map_or(0, |node| node.0));
        }
        ShareOutcome::Refused(Refusal::OutOfMemory) => out.put_u8(4),
        ShareOutcome::Refused(Refusal::NoCopy) => out.put_u8(5),
        ShareOutcome::Refused(Refusal::Unreachable) => out.put_u8(6),
    }
}

/// Decodes an outcome. Bytes that are none mean that the fate is not known.
pub fn decode_outcome(body: Bytes) -> ShareOutcome {
    read_outcome(&mut Reader(body)).unwrap_or(ShareOutcome::Uncertain)
}

/// Decodes the outcomes of several requests.
///
/// # Errors
/// Where the bytes are none.
pub fn decode_outcomes(body: Bytes) -> Result<Vec<ShareOutcome>, Malformed> {
    let mut reader = Reader(body);
    let count = reader.count(1)?;
    (0..count).map(|_| read_outcome(&mut reader)).collect()
}

fn read_outcome(reader: &mut Reader) -> Result<ShareOutcome, Malformed> {
    Ok(match reader.u8()? {
        0 => {
            let count = reader.count(4)?;
            let ends = (0..count).map(|_| reader.u32()).collect::<Result<smallvec::SmallVec<[u32; 4]>, _>>()?;
            let bytes = reader.bytes()?;
            if !ends.is_sorted() || ends.last().is_some_and(|end| *end as usize > bytes.len()) {
                return Err(Malformed);
            }
            ShareOutcome::Applied(Replies { bytes, ends })
        }
        1 => ShareOutcome::Dirty,
        2 => ShareOutcome::Uncertain,
        3 => {
            let leader = reader.u32()?;
            ShareOutcome::Refused(Refusal::NotLeader((leader != 0).then_some(NodeNo(leader))))
        }
        4 => ShareOutcome::Refused(Refusal::OutOfMemory),
        5 => ShareOutcome::Refused(Refusal::NoCopy),
        6 => ShareOutcome::Refused(Refusal::Unreachable),
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_and_outcomes_come_back() {
        for kind in [
            ForwardKind::Run,
            ForwardKind::Watch { session: 1 },
            ForwardKind::Exec { session: u64::MAX },
            ForwardKind::Wait { session: 2, timeout_ms: None },
            ForwardKind::Wait { session: 3, timeout_ms: Some(0) },
            ForwardKind::Unwait { session: 3 },
            ForwardKind::Copies { session: 3, copies: 2, timeout_ms: Some(7) },
        ] {
            let request =
                Forward { partition: PartitionId(7), kind, block: Bytes::from_static(b"xyz"), count: 3, term_max: 9 };
            let back = decode_request(encode_request(&request)).unwrap();
            assert_eq!(
                (back.partition, back.kind, &back.block[..], back.count, back.term_max),
                (PartitionId(7), kind, &b"xyz"[..], 3, 9)
            );
        }
        let request = |partition| Forward {
            partition: PartitionId(partition),
            kind: ForwardKind::Run,
            block: Bytes::from_static(b"xyz"),
            count: 3,
            term_max: 9,
        };
        let all: Vec<Forward> = (0..3).map(request).collect();
        let back = decode_requests(encode_requests(all.iter())).unwrap();
        assert_eq!(back.iter().map(|request| request.partition.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(back.iter().all(|request| &request.block[..] == b"xyz" && request.term_max == 9));
        let replies = Replies { bytes: Bytes::from_static(b"+OK\r\n:1\r\n"), ends: smallvec::smallvec![5, 9] };
        let ShareOutcome::Applied(back) = decode_outcome(encode_outcome(&ShareOutcome::Applied(replies))) else {
            panic!("another outcome");
        };
        assert_eq!((back.get(0), back.get(1)), (&b"+OK\r\n"[..], &b":1\r\n"[..]));
    }

    #[test]
    fn long_answers_do_not_go_together() {
        let applied = |length: usize| {
            let replies = Replies { bytes: vec![b'x'; length].into(), ends: smallvec::smallvec![length as u32] };
            ShareOutcome::Applied(replies)
        };
        let outcomes =
            [applied(TOGETHER_BYTES_MAX), applied(5), ShareOutcome::Refused(Refusal::NoCopy), ShareOutcome::Uncertain];
        let back = decode_outcomes(encode_outcomes(&outcomes)).unwrap();
        assert!(matches!(
            &back[..],
            [
                ShareOutcome::Applied(_),
                ShareOutcome::Refused(Refusal::Unreachable),
                ShareOutcome::Refused(Refusal::NoCopy),
                ShareOutcome::Uncertain
            ]
        ));
        let short = decode_outcomes(encode_outcomes(&[applied(5), applied(6)])).unwrap();
        assert!(short.iter().all(|outcome| matches!(outcome, ShareOutcome::Applied(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            let _ = decode_request(bytes.clone());
            let _ = decode_requests(bytes.clone());
            let _ = decode_outcomes(bytes.clone());
            let _ = decode_outcome(bytes);
        }
    }
}
