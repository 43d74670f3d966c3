//! HSCAN, SSCAN and ZSCAN: what they have in common.
//!
//! A small collection is visited whole in one step. A large one is walked in the order of its elements' hashes under the
//! cluster's seed, so a cursor holds whatever comes and goes meanwhile, and on every copy.

use super::generic::keys::KeyFilter;
use super::generic::scan::COUNT_DEFAULT;
use super::{CommandError, number};
use crate::limits::SCAN_COUNT_MAX;
use larder_protocol::{Args, ReplyBuffer};

const NOVALUES: CommandError = CommandError::text("ERR NOVALUES option can only be used in HSCAN");

/// Options after the cursor.
pub(super) struct ScanOptions<'a> {
    /// Which elements are shown.
    pub(super) filter: KeyFilter<'a>,
    /// How many are visited.
    pub(super) count: usize,
    /// HSCAN: without values.
    pub(super) no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options of a command; NOVALUES is allowed to HSCAN.
    pub(super) fn parse(args: Args<'a>, hash: bool) -> Result<Self, CommandError> {
        let mut options = Self { filter: KeyFilter::all(), count: COUNT_DEFAULT, no_values: false };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"NOVALUES") {
                if !hash {
                    return Err(NOVALUES);
                }
                options.no_values = true;
                continue;
            }
            let Some(value) = words.next() else { return Err(CommandError::Syntax) };
            if word.eq_ignore_ascii_case(b"COUNT") {
                let count = number::integer(value)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
                options.count = count.min(SCAN_COUNT_MAX);
            } else if word.eq_ignore_ascii_case(b"MATCH") {
                options.filter = KeyFilter::new(value);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

/// Writes the next position and the elements that `step` shows; it is given a buffer and answers the position and how many
/// replies it wrote.
pub(super) fn reply_step(reply: &mut ReplyBuffer, step: impl FnOnce(&mut ReplyBuffer) -> (u64, usize)) {
    let mut shown = ReplyBuffer::new(reply.version());
    let (next, count) = step(&mut shown);
    reply.array_header(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array_header(count);
    reply.raw(shown.as_slice());
}

/// What is answered where there is no such collection.
pub(super) fn reply_nothing(reply: &mut ReplyBuffer) {
    reply_step(reply, |_| (0, 0));
}
