//! Commands in binary form, as they travel in Raft entries and to other nodes.
//!
//! A block is a sequence of commands, each: `id: u16`, `flags: u8`, where the flags say so `database: varint` and
//! `databases: varint`, `argc: varint`, and then `argc` times `length: varint, bytes`; integers are little endian, varints LEB128. The name (argument 0) is not carried, since the id says
//! it; a subcommand's block carries the argument that chose it.

use super::spec::CommandSpec;
use super::table;
use crate::ids::DatabaseNo;
use crate::limits::DATABASES_DEFAULT;
use bytes::{BufMut, BytesMut};
use larder_protocol::{Args, ProtocolVersion};
use smallvec::SmallVec;

/// The reply is encoded in RESP3.
const RESP3: u8 = 1;
/// Recency stays as it is (CLIENT NO-TOUCH).
const NO_TOUCH: u8 = 2;
/// The command works on another database than 0, which follows.
const DATABASE: u8 = 4;
/// There are not 16 databases; their number follows. Only with commands that name databases.
const DATABASES: u8 = 8;

/// What a command carries besides its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandOptions {
    /// How its reply is encoded.
    pub version: ProtocolVersion,
    /// Leave recency alone.
    pub no_touch: bool,
    /// The database that it works on.
    pub database: DatabaseNo,
    /// How many databases there are where it came in: those that it may name. Travels with commands that name some.
    pub databases: u16,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::default(),
            no_touch: false,
            database: DatabaseNo::FIRST,
            databases: DATABASES_DEFAULT,
        }
    }
}

/// Appends one command to a block.
pub fn encode(out: &mut BytesMut, spec: &CommandSpec, options: CommandOptions, args: Args<'_>) {
    debug_assert_ne!(spec.id, 0, "{} does not travel", spec.name);
    out.reserve(16 + args.iter().map(|arg| arg.len() + 5).sum::<usize>());
    out.put_u16_le(spec.id);
    let resp3 = if options.version == ProtocolVersion::Resp3 { RESP3 } else { 0 };
    let no_touch = if options.no_touch { NO_TOUCH } else { 0 };
    if options.database == DatabaseNo::FIRST && options.databases == DATABASES_DEFAULT {
        out.put_u8(resp3 | no_touch);
    } else {
        put_databases(out, spec, options, resp3 | no_touch);
    }
    put_varint(out, args.len().saturating_sub(1));
    for arg in args.iter().skip(1) {
        put_varint(out, arg.len());
        out.put_slice(arg);
    }
}

/// The flags, and what they say that follows.
fn put_databases(out: &mut BytesMut, spec: &CommandSpec, options: CommandOptions, flags: u8) {
    let database = options.database != DatabaseNo::FIRST;
    let databases = options.databases != DATABASES_DEFAULT && spec.names_databases();
    out.put_u8(flags | if database { DATABASE } else { 0 } | if databases { DATABASES } else { 0 });
    if database {
        put_varint(out, usize::from(options.database.0));
    }
    if databases {
        put_varint(out, usize::from(options.databases));
    }
}

/// A command read from a block.
pub struct BlockCommand<'a> {
    /// Its row.
    pub spec: &'static CommandSpec,
    /// How it was asked.
    pub options: CommandOptions,
    /// Its arguments; the name is empty.
    pub args: Args<'a>,
}

/// Why a block does not decode.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum BlockError {
    /// It ends in the middle of a command, or a length does not fit.
    #[error("malformed command block")]
    Malformed,
    /// A command that this version does not know: the sender is newer.
    #[error("unknown command id {0}")]
    UnknownCommand(u16),
}

/// Reads commands from a block, one after another.
pub struct BlockReader<'a> {
    block: &'a [u8],
    at: usize,
    ranges: SmallVec<[(u32, u32); 8]>,
}

impl<'a> BlockReader<'a> {
    /// Reads `block` from its start.
    pub fn new(block: &'a [u8]) -> Self {
        Self { block, at: 0, ranges: SmallVec::new() }
    }

    /// Whether there is nothing left to read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.block.len()
    }

    /// A reader at the same place, which goes its own way.
    pub fn ahead(&self) -> Self {
        Self { block: self.block, at: self.at, ranges: SmallVec::new() }
    }

    /// Steps over a command: its key, where it has exactly one at a fixed place. `None` at the end.
    ///
    /// # Errors
    /// As [`BlockReader::next_command`].
    pub fn next_key(&mut self) -> Result<Option<Option<&'a [u8]>>, BlockError> {
        let block = self.block;
        let Some(command) = self.next_command()? else { return Ok(None) };
        let at = command.spec.keys.single();
        let key = self.ranges.get(at).filter(|_| at != 0);
        Ok(Some(key.map(|(start, end)| &block[*start as usize..*end as usize])))
    }

    /// The next command, or `None` at the end.
    ///
    /// # Errors
    /// Whatever bytes it is given, a [`BlockError`] and no panic.
    pub fn next_command(&mut self) -> Result<Option<BlockCommand<'_>>, BlockError> {
        if self.at == self.block.len() {
            return Ok(None);
        }
        let header = self.block.get(self.at..self.at + 3).ok_or(BlockError::Malformed)?;
        let id = u16::from_le_bytes([header[0], header[1]]);
        let flags = header[2];
        self.at += 3;
        let mut options = CommandOptions {
            version: if flags & RESP3 != 0 { ProtocolVersion::Resp3 } else { ProtocolVersion::Resp2 },
            no_touch: flags & NO_TOUCH != 0,
            ..CommandOptions::default()
        };
        if flags & DATABASE != 0 {
            options.database = DatabaseNo(u16::try_from(self.varint()?).map_err(|_| BlockError::Malformed)?);
        }
        if flags & DATABASES != 0 {
            options.databases = u16::try_from(self.varint()?).map_err(|_| BlockError::Malformed)?;
        }
        let argc = self.varint()?;
        self.ranges.clear();
        self.ranges.push((0, 0));
        for _ in 0..argc {
            let length = self.varint()?;
            let end =
                self.at.checked_add(length).filter(|end| *end <= self.block.len()).ok_or(BlockError::Malformed)?;
            self.ranges.push((self.at as u32, end as u32));
            self.at = end;
        }
        let spec = table::by_id(id).ok_or(BlockError::UnknownCommand(id))?;
        if !spec.arity.allows(argc + 1) {
            return Err(BlockError::Malformed);
        }
        Ok(Some(BlockCommand { spec, options, args: Args::new(self.block, &self.ranges) }))
    }

    fn varint(&mut self) -> Result<usize, BlockError> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = *self.block.get(self.at).ok_or(BlockError::Malformed)?;
            self.at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BlockError::Malformed)
    }
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::string;

    #[test]
    fn a_block_gives_back_its_commands() {
        let buffer = b"SETkeyvalue";
        let ranges = [(0, 3), (3, 6), (6, 11)];
        let mut out = BytesMut::new();
        let options = CommandOptions { version: ProtocolVersion::Resp3, no_touch: true, ..CommandOptions::default() };
        encode(&mut out, &string::set::SET, options, Args::new(buffer, &ranges));
        for cut in 1..out.len() {
            assert_eq!(BlockReader::new(&out[..cut]).next_command().err(), Some(BlockError::Malformed));
        }
        let mut reader = BlockReader::new(&out);
        let command = reader.next_command().unwrap().unwrap();
        assert_eq!((command.spec.name, command.options), ("set", options));
        assert_eq!(command.args.iter().collect::<Vec<_>>(), [&b""[..], b"key", b"value"]);
        assert!(reader.next_command().unwrap().is_none());
    }

    #[test]
    fn databases_travel_where_they_matter() {
        let args = Args::new(b"COPYab", &[(0, 4), (4, 5), (5, 6)]);
        let length = |spec, database, databases| {
            let mut out = BytesMut::new();
            let options = CommandOptions { database: DatabaseNo(database), databases, ..CommandOptions::default() };
            encode(&mut out, spec, options, args);
            for cut in 1..out.len() {
                assert_eq!(BlockReader::new(&out[..cut]).next_command().err(), Some(BlockError::Malformed));
            }
            let read = BlockReader::new(&out).next_command().unwrap().unwrap().options;
            let databases = if spec.names_databases() { databases } else { DATABASES_DEFAULT };
            assert_eq!(read, CommandOptions { databases, ..options });
            out.len()
        };
        let (copy, set) = (&crate::commands::generic::copy::COPY, &string::set::SET);
        let least = length(set, 0, 16);
        assert_eq!((length(set, 0, 9), length(set, 3, 16), length(set, 3, 9)), (least, least + 1, least + 1));
        assert_eq!((length(copy, 0, 9), length(copy, 1, 400)), (least + 1, least + 3));
    }
}
