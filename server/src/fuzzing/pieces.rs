//! Pieces of a snapshot: refused, or what comes of them is sound, and goes on as it came.

use crate::keyspace::{Arriving, HashSeed, Keyspace};
use bytes::BytesMut;

const SEED: HashSeed = HashSeed([3; 16]);

pub(super) fn run(piece: &[u8]) {
    let memory_bytes = Keyspace::new(SEED).memory_bytes();
    let mut arriving = Arriving::new(SEED);
    let Ok(mut keyspace) = arriving.load(piece, 1000).and_then(|()| arriving.finish()) else { return };
    keyspace.check_invariants();
    assert!(keyspace.memory_bytes() <= memory_bytes + (4 << 20) + 512 * piece.len(), "{}", keyspace.memory_bytes());
    let mut copy = resent(&mut keyspace);
    assert_eq!((keyspace.len(), keyspace.digest()), (copy.len(), copy.digest()));
    copy.check_invariants();
}

/// A keyspace that got everything in pieces.
pub(super) fn resent(keyspace: &mut Keyspace) -> Keyspace {
    let mut copy = Arriving::new(keyspace.seed());
    keyspace.open_view();
    loop {
        let mut piece = BytesMut::new();
        let more = keyspace.read_view(4096, &mut piece);
        copy.load(&piece, 1000).expect("what is written is read");
        if !more {
            break;
        }
    }
    drop(keyspace.close_view());
    copy.finish().expect("all parts were written")
}
