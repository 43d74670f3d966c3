//! Decoding of client requests: arrays of bulk strings, and inline commands.

use bytes::BytesMut;
use thiserror::Error;

/// The arguments of one command, name first: slices of the buffer that they arrived in.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> Args<'a> {
    /// Arguments as `(start, end)` ranges of `buffer`.
    pub fn new(buffer: &'a [u8], ranges: &'a [(u32, u32)]) -> Self {
        Self { buffer, ranges }
    }

    /// How many, the name included.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The argument at `position`, if there is one.
    pub fn get(&self, position: usize) -> Option<&'a [u8]> {
        self.ranges.get(position).map(|&(start, end)| &self.buffer[start as usize..end as usize])
    }

    /// The arguments from `position` on.
    pub fn from(&self, position: usize) -> Self {
        Self { buffer: self.buffer, ranges: &self.ranges[position.min(self.ranges.len())..] }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |&(start, end)| &buffer[start as usize..end as usize])
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, position: usize) -> &[u8] {
        let (start, end) = self.ranges[position];
        &self.buffer[start as usize..end as usize]
    }
}

/// The commands that were decoded from one buffer, as ranges of it.
#[derive(Default, Debug)]
pub struct CommandBatch {
    ranges: Vec<(u32, u32)>,
    /// End of each command's share of `ranges`.
    ends: Vec<u32>,
}

impl CommandBatch {
    /// How many commands.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The arguments of the command at `index`; `buffer` is the one it was decoded from.
    pub fn args<'a>(&'a self, buffer: &'a [u8], index: usize) -> Args<'a> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Args::new(buffer, &self.ranges[start..self.ends[index] as usize])
    }

    /// Forgets the commands, keeps the capacity.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.ends.clear();
    }
}

/// A request that breaks the protocol. The connection answers `-ERR Protocol error: ...` and closes.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
#[error("Protocol error: {0}")]
pub struct ProtocolError(pub String);

/// Decodes requests from a growing buffer.
#[derive(Default, Debug)]
pub struct RequestDecoder {}

impl RequestDecoder {
    /// Decodes every complete command in `buffer`, at most `limit`, into `batch`, and returns how many bytes they took.
    pub fn decode(
        &mut self,
        _buffer: &BytesMut,
        _batch: &mut CommandBatch,
        _limit: usize,
    ) -> Result<usize, ProtocolError> {
        Err(ProtocolError("unbalanced quotes in request".into()))
    }
}
