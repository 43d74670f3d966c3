//! The options that XREAD and XREADGROUP share.

use crate::commands::blocking::{self, WaitFor};
use crate::commands::{CommandError, number};
use larder_protocol::Args;

const GROUP_HERE: CommandError =
    CommandError::text("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_HERE: CommandError =
    CommandError::text("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const NO_GROUP: CommandError = CommandError::text("ERR Missing GROUP option for XREADGROUP");
const UNBALANCED: CommandError =
    CommandError::text("ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.");
const UNBALANCED_GROUP: CommandError = CommandError::text(
    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
);

/// Which of the two commands is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Read,
    ReadGroup,
}

/// What was read.
pub(super) struct Options<'a> {
    /// How long to wait where there is nothing.
    pub(super) wait: WaitFor,
    /// Entries of each stream at most.
    pub(super) count: usize,
    /// NOACK
    pub(super) no_ack: bool,
    /// Group and consumer; there with XREADGROUP, and only there.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    /// As many keys as ids.
    pub(super) keys: Args<'a>,
    pub(super) ids: Args<'a>,
}

impl<'a> Options<'a> {
    pub(super) fn parse(args: Args<'a>, of: Of) -> Result<Self, CommandError> {
        let nothing = args.from(args.len());
        let (keys, ids) = (nothing, nothing);
        let mut options = Self { wait: WaitFor::Nothing, count: usize::MAX, no_ack: false, group: None, keys, ids };
        let mut at = 1;
        loop {
            let word = args.get(at).ok_or(CommandError::Syntax)?;
            let more = args.len() - 1 - at;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("BLOCK") && more > 0 {
                at += 1;
                options.wait = blocking::milliseconds(&args[at])?;
            } else if is("COUNT") && more > 0 {
                at += 1;
                options.count = super::shapes::limit(number::integer(&args[at])?.max(0));
            } else if is("STREAMS") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(if of == Of::Read { UNBALANCED } else { UNBALANCED_GROUP });
                }
                options.keys = args.between(at + 1, at + 1 + more / 2);
                options.ids = args.from(at + 1 + more / 2);
                break;
            } else if is("GROUP") && more >= 2 {
                if of == Of::Read {
                    return Err(GROUP_HERE);
                }
                options.group = args.get(at + 1).zip(args.get(at + 2));
                at += 2;
            } else if is("NOACK") {
                if of == Of::Read {
                    return Err(NOACK_HERE);
                }
                options.no_ack = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        if of == Of::ReadGroup && options.group.is_none() {
            return Err(NO_GROUP);
        }
        Ok(options)
    }
}

/// Where the keys stand, once the options were read without a fault.
pub(super) fn keys(args: Args<'_>) -> (usize, usize) {
    larder_protocol::stream_keys(args.iter()).map_or((0, 0), |keys| (keys.start, keys.end))
}
