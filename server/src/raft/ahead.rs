//! Looking ahead in an entry: the memory that its next commands will wait for is asked for before the first of them runs.
//!
//! The same as `dispatch::ahead` for a batch of a connection (decision 0006). Every copy applies every write, so this is
//! where a cluster spends most of its time on memory: the shares of an entry come from all connections, and their keys are
//! anywhere.

use crate::commands::block::BlockReader;
use crate::keyspace::Keyspace;
use bytes::Bytes;
use smallvec::SmallVec;

/// Commands that are looked at together, as in `dispatch::ahead`.
const GROUP: usize = 32;

/// What is known of the next commands of an entry: the hash of the key of each that has exactly one.
#[derive(Default)]
pub(super) struct Ahead {
    hashes: SmallVec<[Option<u64>; GROUP]>,
    next: usize,
}

impl Ahead {
    /// The hash of the key of the command that `reader` reads next; `rest` are the blocks after its own. To be asked for
    /// each command once, in order.
    #[inline]
    pub fn next_hash(&mut self, keyspace: &Keyspace, reader: &BlockReader<'_>, rest: &[Bytes]) -> Option<u64> {
        if self.next == self.hashes.len() {
            self.look(keyspace, reader.ahead(), rest);
        }
        self.next += 1;
        self.hashes.get(self.next - 1).copied().flatten()
    }

    fn look<'a>(&mut self, keyspace: &Keyspace, mut reader: BlockReader<'a>, rest: &'a [Bytes]) {
        self.hashes.clear();
        self.next = 0;
        let mut rest = rest.iter();
        while self.hashes.len() < GROUP {
            match reader.next_key() {
                Ok(Some(key)) => self.hashes.push(key.map(|key| keyspace.hash(key))),
                Ok(None) => match rest.next() {
                    Some(block) => reader = BlockReader::new(block),
                    None => break,
                },
                // Whoever runs it finds out and says so.
                Err(_) => {
                    self.hashes.push(None);
                    break;
                }
            }
        }
        if self.hashes.len() > 1 {
            let known = || self.hashes.iter().flatten();
            known().for_each(|hash| keyspace.prefetch_bucket(*hash));
            known().for_each(|hash| keyspace.prefetch_page(*hash));
            known().for_each(|hash| keyspace.prefetch_item(*hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::block::{self, CommandOptions};
    use crate::commands::string;
    use crate::keyspace::HashSeed;
    use bytes::BytesMut;
    use larder_protocol::Args;

    fn block(keys: std::ops::Range<usize>) -> Bytes {
        let mut out = BytesMut::new();
        for key in keys {
            let text = format!("SETkey:{key:04}value");
            let ranges = [(0, 3), (3, 11), (11, 16)];
            block::encode(&mut out, &string::set::SET, CommandOptions::default(), Args::new(text.as_bytes(), &ranges));
        }
        out.freeze()
    }

    #[test]
    fn each_command_gets_its_own_hash_over_blocks_and_groups() {
        let keyspace = Keyspace::new(HashSeed([3; 16]));
        let blocks = [block(0..5), block(5..5), block(5..100), block(100..101)];
        let (mut ahead, mut number) = (Ahead::default(), 0);
        for (index, block) in blocks.iter().enumerate() {
            let mut reader = BlockReader::new(block);
            while !reader.is_at_end() {
                let hash = ahead.next_hash(&keyspace, &reader, &blocks[index + 1..]);
                assert_eq!(hash, Some(keyspace.hash(format!("key:{number:04}").as_bytes())));
                reader.next_command().unwrap();
                number += 1;
            }
        }
        assert_eq!(number, 101);
    }

    #[test]
    fn what_does_not_decode_has_no_hash() {
        let keyspace = Keyspace::new(HashSeed([3; 16]));
        let whole = block(0..2);
        let cut = &whole[..whole.len() - 1];
        let mut ahead = Ahead::default();
        let mut reader = BlockReader::new(cut);
        assert!(ahead.next_hash(&keyspace, &reader, &[]).is_some());
        reader.next_command().unwrap();
        assert_eq!(ahead.next_hash(&keyspace, &reader, &[]), None);
        assert!(reader.next_command().is_err());
    }
}
