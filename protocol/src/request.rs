//! Decoding of client requests: arrays of bulk strings, and inline commands.
//!
//! ```text
//!            consumed              the command that is still arriving
//!   [ command ][ command ][ *3 $3 SET $5 he| ...
//!                          ^ the buffer begins here at the next call
//!   CommandBatch: ranges    RequestDecoder: how far this one was read, its ranges so far
//! ```
//!
//! The decoder never copies an argument and allocates nothing for a command that arrives whole. What it knows about a
//! command that is still arriving it keeps between calls, so that a large command costs time in proportion to its
//! length, however small the reads are. Limits are checked as soon as a length is read, before anyone reserves memory
//! for what it announces. Why this is not `redis-protocol`'s decoder: `server/docs/decisions/0001-request-decoder.md`.

mod batch;
mod error;
mod inline;

pub use batch::{Args, CommandBatch};
pub use error::ProtocolError;

/// Bulk bytes in a single argument that a connection may send before it is authenticated.
const UNAUTHENTICATED_BULK_BYTES: u32 = 16_384;
/// Arguments that a command may have before the connection is authenticated.
const UNAUTHENTICATED_ARGS: u32 = 10;
/// Up to so many ranges are copied, and not moved, from the decoder to the batch.
const RANGES_COPIED: usize = 1024;

/// What one connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest argument, `proto-max-bulk-len`: 512 MiB.
    pub bulk_bytes_max: u32,
    /// Most arguments of one command: as in Redis, 2^31 - 1. What they take is bounded by `command_bytes_max`.
    pub args_max: u32,
    /// Longest inline command, and longest line that holds a count: 64 KiB.
    pub inline_bytes_max: u32,
    /// Longest command as it stands on the wire, `client-query-buffer-limit`: 1 GiB. Since it is below 4 GiB, 32 bits
    /// hold any position within a command.
    pub command_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 << 20,
            args_max: i32::MAX as u32,
            inline_bytes_max: 64 << 10,
            command_bytes_max: 1 << 30,
        }
    }
}

/// How far a command was read that has not arrived whole. Positions count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// What is before it is decoded.
    at: usize,
    /// What is before it is known not to hold the end of the line that begins at `at`.
    searched: usize,
    /// Arguments that are still to come, once the array's header is read.
    args: Option<u32>,
    /// Length of the argument at `at`, once its header is read.
    bulk: Option<u32>,
}

/// What became of one command.
enum Step {
    /// It is decoded, or there was nothing in it, and the next begins there.
    Next(usize),
    /// The rest of it has not arrived.
    Incomplete(Progress),
}

/// A line that holds a count.
enum Count {
    /// The count, and where the next line begins.
    Is(i64, usize),
    /// The end of the line has not arrived; so far was searched.
    Incomplete(usize),
    /// The line is longer than the limit.
    TooLong,
    /// It is no count.
    Invalid,
}

/// Decodes requests from a growing buffer.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    authenticated: bool,
    /// Of the command at the beginning of the buffer, when it has not arrived whole.
    progress: Progress,
    /// Its arguments so far.
    ranges: Vec<(u32, u32)>,
    /// Bytes that the current bulk still needs.
    missing_bytes: usize,
    /// Once set, nothing more is decoded.
    failed: Option<ProtocolError>,
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl RequestDecoder {
    /// A decoder for a connection that needs no authentication, or has it already.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            authenticated: true,
            progress: Progress::default(),
            ranges: Vec::new(),
            missing_bytes: 0,
            failed: None,
        }
    }

    /// Until a connection is authenticated it may send 10 arguments of 16,384 bytes, as in Redis, so that strangers
    /// cannot make the server hold much. It counts for lengths that are read later.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Limits for lengths that are read later, as after CONFIG SET.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How many more bytes the argument that is arriving needs, its line end included; 0 when that is not known.
    ///
    /// A reader that reserves them avoids the copies of a buffer that doubles. It is at most `bulk_bytes_max + 2`.
    pub fn missing_bytes(&self) -> usize {
        self.missing_bytes
    }

    /// Bytes of memory held, for the account of a connection.
    pub fn memory_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<(u32, u32)>()
    }

    /// Decodes every complete command in `buffer`, at most `limit`, into `batch`, and returns how many bytes they took.
    ///
    /// What was in `batch` is forgotten. Once the commands are handled the caller drops the consumed bytes from the
    /// front of `buffer`, no more and no less, and calls again until the batch stays empty; only then it reads on. An
    /// error ends the connection. One that follows complete commands is returned by the next call, so that those are
    /// served first.
    pub fn decode(&mut self, buffer: &[u8], batch: &mut CommandBatch, limit: usize) -> Result<usize, ProtocolError> {
        batch.clear();
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.missing_bytes = 0;
        // Ranges are u32. A reader that honours the limits never has so much unhandled input.
        let buffer = &buffer[..buffer.len().min(u32::MAX as usize)];
        let mut start = 0;
        while start < buffer.len() && batch.len() < limit {
            let step = if start == 0 && self.progress.at + self.progress.searched > 0 {
                self.resume(buffer, batch)
            } else {
                self.fresh(buffer, start, batch)
            };
            match step {
                Ok(Step::Next(next)) => start = next,
                Ok(Step::Incomplete(_)) if buffer.len() - start > self.limits.command_bytes_max as usize => {
                    return self.fail(ProtocolError::TooBigRequest, start, batch);
                }
                Ok(Step::Incomplete(progress)) => {
                    self.missing_bytes = progress
                        .bulk
                        .map_or(0, |bulk| (progress.at + bulk as usize + 2).saturating_sub(buffer.len() - start));
                    self.progress = progress;
                    break;
                }
                Err(error) => return self.fail(error, start, batch),
            }
        }
        Ok(start)
    }

    /// Remembers an error, and returns it unless commands before it wait.
    #[cold]
    fn fail(
        &mut self,
        error: ProtocolError,
        consumed: usize,
        batch: &mut CommandBatch,
    ) -> Result<usize, ProtocolError> {
        self.failed = Some(error);
        self.ranges = Vec::new();
        batch.ranges.truncate(batch.commands.last().map_or(0, |command| command.ranges_end as usize));
        if batch.is_empty() { Err(error) } else { Ok(consumed) }
    }

    /// Decodes the command that begins at `start`, of which nothing was seen before.
    fn fresh(&mut self, buffer: &[u8], start: usize, batch: &mut CommandBatch) -> Result<Step, ProtocolError> {
        if buffer[start] != b'*' {
            return self.inline(buffer, start, 0, batch);
        }
        let mut progress = Progress { at: start, searched: start, args: None, bulk: None };
        let first = batch.ranges.len();
        if self.array(buffer, start, &mut progress, &mut batch.ranges)? {
            if batch.ranges.len() > first {
                batch.end_command(false);
            }
            return Ok(Step::Next(progress.at));
        }
        // The rest comes with later reads, when the buffer begins with this command.
        let offset = start as u32;
        self.ranges.extend(batch.ranges.drain(first..).map(|(from, to)| (from - offset, to - offset)));
        progress.at -= start;
        progress.searched -= start;
        Ok(Step::Incomplete(progress))
    }

    /// Goes on with the command at the beginning of `buffer`.
    fn resume(&mut self, buffer: &[u8], batch: &mut CommandBatch) -> Result<Step, ProtocolError> {
        let mut progress = std::mem::take(&mut self.progress);
        if buffer[0] != b'*' {
            return self.inline(buffer, 0, progress.searched, batch);
        }
        let mut ranges = std::mem::take(&mut self.ranges);
        if !self.array(buffer, 0, &mut progress, &mut ranges)? {
            self.ranges = ranges;
            return Ok(Step::Incomplete(progress));
        }
        // The batch is empty, since this is the first command in the buffer. What is usual is copied, so that both
        // sides keep their capacity and a command that two reads share allocates nothing.
        if ranges.len() <= RANGES_COPIED {
            batch.ranges.extend_from_slice(&ranges);
            ranges.clear();
            self.ranges = ranges;
        } else {
            batch.ranges = ranges;
        }
        if !batch.ranges.is_empty() {
            batch.end_command(false);
        }
        Ok(Step::Next(progress.at))
    }

    /// Reads an array of bulk strings as far as it has arrived: true when it is complete. `start` is where it begins;
    /// positions and ranges count from the beginning of `buffer`.
    #[inline]
    fn array(
        &self,
        buffer: &[u8],
        start: usize,
        progress: &mut Progress,
        ranges: &mut Vec<(u32, u32)>,
    ) -> Result<bool, ProtocolError> {
        let mut args = match progress.args {
            Some(args) => args,
            None => match self.count(buffer, progress.at, progress.searched) {
                Count::Is(count, next) => {
                    progress.at = next;
                    if count <= 0 {
                        return Ok(true);
                    }
                    self.check_args(count)?
                }
                Count::Incomplete(searched) => {
                    progress.searched = searched;
                    return Ok(false);
                }
                Count::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
                Count::Invalid => return Err(ProtocolError::InvalidMultibulkLength),
            },
        };
        let mut bulk = progress.bulk;
        let complete = loop {
            let length = match bulk {
                Some(length) => length,
                None => match self.count(buffer, progress.at, progress.searched.max(progress.at)) {
                    Count::Is(count, next) => {
                        // Redis looks for the line's end before it looks at the line.
                        if buffer[progress.at] != b'$' {
                            return Err(ProtocolError::ExpectedBulk(buffer[progress.at]));
                        }
                        let length = self.check_bulk(count, next - start)?;
                        progress.at = next;
                        bulk = Some(length);
                        length
                    }
                    Count::Incomplete(searched) => {
                        progress.searched = searched;
                        break false;
                    }
                    Count::TooLong => return Err(ProtocolError::TooBigBulkCount),
                    Count::Invalid => {
                        return Err(match buffer[progress.at] {
                            b'$' => ProtocolError::InvalidBulkLength,
                            other => ProtocolError::ExpectedBulk(other),
                        });
                    }
                },
            };
            // The two bytes after an argument are not looked at, as in Redis.
            let end = progress.at + length as usize;
            if buffer.len() < end + 2 {
                break false;
            }
            ranges.push((progress.at as u32, end as u32));
            progress.at = end + 2;
            bulk = None;
            args -= 1;
            if args == 0 {
                break true;
            }
        };
        progress.args = Some(args);
        progress.bulk = bulk;
        Ok(complete)
    }

    /// A positive number of arguments, if it is allowed.
    fn check_args(&self, count: i64) -> Result<u32, ProtocolError> {
        if count > i64::from(self.limits.args_max) {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if !self.authenticated && count > i64::from(UNAUTHENTICATED_ARGS) {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        Ok(count as u32)
    }

    /// The length of an argument that begins at `at` of its command, if it is allowed.
    #[inline]
    fn check_bulk(&self, length: i64, at: usize) -> Result<u32, ProtocolError> {
        if length < 0 || length > i64::from(self.limits.bulk_bytes_max) {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if !self.authenticated && length > i64::from(UNAUTHENTICATED_BULK_BYTES) {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        if at as u64 + length as u64 + 2 > u64::from(self.limits.command_bytes_max) {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(length as u32)
    }

    /// The count in the line at `at`, after its first byte; `searched` is as in [`Progress`].
    #[inline]
    fn count(&self, buffer: &[u8], at: usize, searched: usize) -> Count {
        match short_count(buffer, at) {
            Some((count, next)) => Count::Is(i64::from(count), next),
            None => self.long_count(buffer, at, searched),
        }
    }

    /// [`Self::count`] for whatever is unusual.
    #[cold]
    fn long_count(&self, buffer: &[u8], at: usize, searched: usize) -> Count {
        let end_max = buffer.len().min(at + self.limits.inline_bytes_max as usize + 1);
        let from = searched.clamp(at, end_max);
        match memchr::memchr(b'\r', &buffer[from..end_max]).map(|found| from + found) {
            // The line feed has to be there, though Redis does not look at it.
            Some(end) if end + 1 >= buffer.len() => Count::Incomplete(end),
            Some(end) => match buffer.get(at + 1..end).and_then(integer) {
                Some(count) => Count::Is(count, end + 2),
                None => Count::Invalid,
            },
            None if buffer.len() - at > self.limits.inline_bytes_max as usize => Count::TooLong,
            None => Count::Incomplete(end_max),
        }
    }

    /// Decodes the line at `start`, whose first `searched` bytes hold no line end.
    fn inline(
        &self,
        buffer: &[u8],
        start: usize,
        searched: usize,
        batch: &mut CommandBatch,
    ) -> Result<Step, ProtocolError> {
        let rest = &buffer[start..];
        let end_max = rest.len().min(self.limits.inline_bytes_max as usize + 1);
        let from = searched.min(end_max);
        match memchr::memchr(b'\n', &rest[from..end_max]).map(|found| from + found) {
            Some(end) => {
                let line = &rest[..end];
                inline::split(line.strip_suffix(b"\r").unwrap_or(line), start, batch)?;
                Ok(Step::Next(start + end + 1))
            }
            None if rest.len() > self.limits.inline_bytes_max as usize => Err(ProtocolError::TooBigInline),
            None => Ok(Step::Incomplete(Progress { searched: end_max, ..Progress::default() })),
        }
    }
}

/// A count of up to nine digits and where the line after it begins: nearly all there are.
#[inline]
fn short_count(buffer: &[u8], at: usize) -> Option<(u32, usize)> {
    let line = buffer.get(at + 1..)?;
    let mut count = u32::from(line.first()?.wrapping_sub(b'0'));
    if count > 9 {
        return None;
    }
    let mut length = 1;
    loop {
        let digit = u32::from(line.get(length)?.wrapping_sub(b'0'));
        if digit > 9 {
            break;
        }
        // A zero in front of other digits makes it no number in Redis.
        if count == 0 || length == 9 {
            return None;
        }
        count = count * 10 + digit;
        length += 1;
    }
    (line[length] == b'\r' && line.len() > length + 1).then_some((count, at + length + 3))
}

/// A number as Redis's `string2ll` takes it: no plus, no zeros in front, no blanks, nothing that does not fit.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value = 0i64;
    for &digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[cfg(test)]
mod tests;
