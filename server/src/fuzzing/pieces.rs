//! Pieces of a snapshot: taken whole or not at all; what is taken is sound, and goes on as it came.

use crate::keyspace::{HashSeed, Keyspace};
use bytes::BytesMut;

const SEED: HashSeed = HashSeed([3; 16]);

pub(super) fn run(piece: &[u8]) {
    let mut keyspace = Keyspace::new(SEED);
    let (empty, memory_bytes) = (keyspace.digest(), keyspace.memory_bytes());
    if keyspace.load_piece(piece, 1000).is_err() {
        assert_eq!((keyspace.len(), keyspace.digest()), (0, empty), "a piece that is refused leaves nothing");
        return;
    }
    keyspace.check_invariants();
    assert!(keyspace.memory_bytes() <= memory_bytes + (4 << 20) + 512 * piece.len(), "{}", keyspace.memory_bytes());
    let mut copy = resent(&mut keyspace);
    assert_eq!((keyspace.len(), keyspace.digest()), (copy.len(), copy.digest()));
    copy.check_invariants();
}

/// A keyspace that got everything in pieces.
pub(super) fn resent(keyspace: &mut Keyspace) -> Keyspace {
    let mut copy = Keyspace::new(keyspace.seed());
    keyspace.open_view();
    loop {
        let mut piece = BytesMut::new();
        let more = keyspace.read_view(4096, &mut piece);
        if !piece.is_empty() {
            copy.load_piece(&piece, 1000).expect("what is written is read");
        }
        if !more {
            break;
        }
    }
    drop(keyspace.close_view());
    copy
}
