//! What comes over a peer link: frames, parts of long messages, and the messages in them.
//!
//! Only those who know the cluster's secret get so far; a newer or a broken node must still do no harm.

use crate::cluster::forwarding;
use crate::commands::block::BlockReader;
use crate::raft::codec::Reader;
use crate::raft::transport;
use bytes::Bytes;
use openraft::impls::TokioRuntime;

/// The first byte says how the stream is cut.
pub(super) fn run(input: &[u8]) {
    let [cut, wire @ ..] = input else { return };
    let whole = transport::frames_of(wire, wire.len().max(1));
    let halved = transport::frames_of(wire, usize::from(*cut) % 64 + 1);
    assert_eq!(whole, halved);
    for body in whole.into_iter().chain([Bytes::copy_from_slice(wire)]) {
        messages(&body);
    }
}

/// Every message that these bytes may be.
fn messages(body: &Bytes) {
    let reader = || Reader(body.clone());
    let _ = reader().append_request::<TokioRuntime>();
    let _ = reader().append_response::<TokioRuntime>();
    let _ = reader().vote_request::<TokioRuntime>();
    let _ = reader().vote_response::<TokioRuntime>();
    let _ = reader().snapshot_meta();
    let _ = forwarding::decode_outcome(body.clone());
    if let Ok(request) = forwarding::decode_request(body.clone()) {
        let encoded = forwarding::encode_request(&request);
        let again = forwarding::decode_request(encoded.clone()).expect("what is encoded decodes");
        assert_eq!(forwarding::encode_request(&again), encoded);
        blocks(&request.block);
    }
    blocks(body);
}

fn blocks(block: &[u8]) {
    let mut reader = BlockReader::new(block);
    while let Ok(Some(command)) = reader.next_command() {
        assert!(command.spec.arity.allows(command.args.len()));
        assert!(command.args.iter().map(<[u8]>::len).sum::<usize>() <= block.len());
    }
}
