//! Errors on their way to the wire: every refusal that dispatch itself makes, in Redis's words.

use larder_protocol::{Args, ReplyBuffer, Slot};
use std::io::Write;

/// Longest part of a client's bytes that an error repeats (Redis: 128).
const REPEATED_BYTES_MAX: usize = 128;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// No such command.
    UnknownCommand,
    /// No such subcommand of the container named.
    UnknownSubcommand(&'static str),
    /// The number of arguments is wrong, for the command named.
    Arity(&'static str),
    /// The connection has not authenticated.
    NoAuth,
    /// Not between MULTI and EXEC.
    NotInTransaction,
    /// A command over all partitions stands between those of one slot.
    TransactionOrder,
    /// The keys hash to several slots.
    CrossSlot,
    /// The number of keys is missing or wrong.
    BadKeys,
    /// Memory is over the limit.
    OutOfMemory,
    /// Another node serves the slot, at that address.
    Moved(Slot, String),
    /// No leader was found in time.
    Down,
    /// Proposed or sent, and its fate is not known.
    Uncertain,
    /// Carried out by some partitions, not known to be by these.
    UncertainIn(Vec<u16>),
    /// CLIENT UNBLOCK ended the wait.
    Unblocked,
    /// MULTI in MULTI.
    NestedMulti,
    /// EXEC outside of MULTI.
    ExecWithoutMulti,
    /// DISCARD outside of MULTI.
    DiscardWithoutMulti,
    /// WATCH inside of MULTI.
    WatchInMulti,
    /// EXEC after a command was refused.
    ExecAbort,
    /// EXEC that a gate refused.
    ExecRefused(Box<Rejection>),
    /// The transaction takes too much memory.
    TransactionTooLong,
    /// A cursor that is no number.
    InvalidCursor,
    /// Another node answered what makes no sense.
    Malformed,
}

impl Rejection {
    /// Writes the error reply. `args` are those of the command.
    pub fn write(&self, args: Args<'_>, out: &mut ReplyBuffer) {
        let text: &str = match self {
            Self::UnknownCommand => return out.raw(&unknown_command(args)),
            Self::UnknownSubcommand(container) => return out.raw(&unknown_subcommand(container, args)),
            Self::Arity(name) => return out.error(&format!("ERR wrong number of arguments for '{name}' command")),
            Self::Moved(slot, address) => return out.error(&format!("MOVED {slot} {address}")),
            Self::UncertainIn(partitions) => {
                let list: Vec<String> = partitions.iter().map(u16::to_string).collect();
                return out.error(&format!(
                    "UNCERTAIN the command may not have been applied by partitions {}",
                    list.join(", ")
                ));
            }
            Self::ExecRefused(why) => {
                let mut inner = ReplyBuffer::default();
                why.write(args, &mut inner);
                let text = inner.as_slice();
                // Redis repeats the error without the generic prefix.
                let text = text.strip_prefix(b"-ERR ").or(text.strip_prefix(b"-")).unwrap_or(text);
                let text = text.strip_suffix(b"\r\n").unwrap_or(text);
                return out.error_bytes(&[b"EXECABORT Transaction discarded because of: ", text].concat());
            }
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::NotInTransaction => "ERR Command not allowed inside a transaction",
            Self::TransactionOrder => {
                "ERR Command not allowed inside a transaction between commands on the keys of one slot"
            }
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            Self::BadKeys => "ERR Number of keys can't be greater than number of args",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::Down => "CLUSTERDOWN The cluster is down",
            Self::Uncertain => "UNCERTAIN the command was proposed and may or may not have been applied",
            Self::Unblocked => "UNBLOCKED client unblocked via CLIENT UNBLOCK",
            Self::NestedMulti => "ERR MULTI calls can not be nested",
            Self::ExecWithoutMulti => "ERR EXEC without MULTI",
            Self::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            Self::WatchInMulti => "ERR WATCH inside MULTI is not allowed",
            Self::ExecAbort => "EXECABORT Transaction discarded because of previous errors.",
            Self::TransactionTooLong => "ERR the transaction is too long",
            Self::InvalidCursor => "ERR invalid cursor",
            Self::Malformed => "ERR a node of another version sent a reply that makes no sense",
        };
        out.error(text);
    }
}

fn unknown_command(args: Args<'_>) -> Vec<u8> {
    let mut shown = Vec::new();
    for arg in args.iter().skip(1) {
        if shown.len() >= REPEATED_BYTES_MAX {
            break;
        }
        let room = REPEATED_BYTES_MAX - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(repeated(arg, room));
        shown.extend_from_slice(b"' ");
    }
    let mut line = b"-ERR unknown command '".to_vec();
    line.extend_from_slice(repeated(args.get(0).unwrap_or_default(), REPEATED_BYTES_MAX));
    line.extend_from_slice(b"', with args beginning with: ");
    line.extend_from_slice(&shown);
    one_line(line)
}

fn unknown_subcommand(container: &str, args: Args<'_>) -> Vec<u8> {
    let mut line = b"-ERR unknown subcommand '".to_vec();
    line.extend_from_slice(repeated(args.get(1).unwrap_or_default(), REPEATED_BYTES_MAX));
    let _ = write!(line, "'. Try {} HELP.", container.to_ascii_uppercase());
    one_line(line)
}

/// What `printf("%.*s")` shows of an argument: no more than `room` bytes, none after a NUL.
fn repeated(arg: &[u8], room: usize) -> &[u8] {
    let end = memchr::memchr(0, arg).unwrap_or(arg.len());
    &arg[..end.min(room)]
}

fn one_line(mut line: Vec<u8>) -> Vec<u8> {
    line.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    line.extend_from_slice(b"\r\n");
    line
}
