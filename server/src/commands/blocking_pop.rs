//! What commands that pop from the first of several keys, and wait for one, have in common: BLPOP and BZPOPMIN (keys, then
//! a timeout), BLMPOP and BZMPOP (a timeout, keys, an end, a count).

use super::blocking::{self, Blocking, WaitFor, WorthFn};
use super::{CommandError, CommandSpec, number};
use larder_protocol::{Args, ReplyBuffer};

/// Where the keys of BLMPOP and BZMPOP begin, after their number.
const MANY_KEYS: usize = 3;

/// How a command of `key [key ...] timeout` waits.
pub const fn waits(command: &'static CommandSpec, worth: WorthFn) -> Blocking {
    Blocking { command, timeout, keys: |args| (1, args.len() - 1), worth, settle: None }
}

/// How a command of `timeout numkeys key [key ...] end [COUNT count]` waits, whose arguments `timeout` reads.
pub const fn waits_for_many(
    command: &'static CommandSpec,
    timeout: fn(Args<'_>) -> Result<WaitFor, CommandError>,
    worth: WorthFn,
) -> Blocking {
    let keys = |args: Args<'_>| (MANY_KEYS, args.len().min(MANY_KEYS + key_count(args).unwrap_or(0)));
    Blocking { command, timeout, keys, worth, settle: None }
}

fn timeout(args: Args<'_>) -> Result<WaitFor, CommandError> {
    blocking::seconds(&args[args.len() - 1])
}

/// Asks the keys of `key [key ...] timeout` one after another until one gives; null where none does.
pub fn take_first(
    args: Args<'_>,
    reply: &mut ReplyBuffer,
    take: impl FnMut(&[u8], &mut ReplyBuffer) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    timeout(args)?;
    first(args.between(1, args.len() - 1), reply, take)
}

fn first(
    keys: Args<'_>,
    reply: &mut ReplyBuffer,
    mut take: impl FnMut(&[u8], &mut ReplyBuffer) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    for key in keys.iter() {
        if take(key, reply)? {
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

/// The arguments of BLMPOP and BZMPOP.
pub struct Many<'a, E> {
    keys: Args<'a>,
    /// From which end.
    pub end: E,
    /// How many at most.
    pub count: usize,
    /// How long it waits.
    pub timeout: WaitFor,
}

fn key_count(args: Args<'_>) -> Result<usize, CommandError> {
    number::key_count_or(&args[MANY_KEYS - 1], CommandError::text("ERR numkeys should be greater than 0"))
}

impl<'a, E> Many<'a, E> {
    /// Reads them; `end` knows the words for the ends.
    ///
    /// # Errors
    /// Redis's.
    pub fn read(args: Args<'a>, end: fn(&[u8]) -> Option<E>) -> Result<Self, CommandError> {
        let keys = key_count(args)?;
        let end = args.get(keys.saturating_add(MANY_KEYS)).and_then(end).ok_or(CommandError::Syntax)?;
        let count = number::pop_count(args.from(MANY_KEYS + 1 + keys))?;
        let timeout = blocking::seconds(&args[1])?;
        Ok(Self { keys: args.between(MANY_KEYS, MANY_KEYS + keys), end, count, timeout })
    }

    /// Asks the keys one after another until one gives; null where none does.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn take_first(
        &self,
        reply: &mut ReplyBuffer,
        take: impl FnMut(&[u8], &mut ReplyBuffer) -> Result<bool, CommandError>,
    ) -> Result<(), CommandError> {
        first(self.keys, reply, take)
    }
}
