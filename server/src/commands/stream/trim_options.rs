//! The options that XADD and XTRIM share.

use super::ids::{self, NewId};
use crate::commands::{CommandError, number};
use crate::keyspace::collections::limits::Limits;
use crate::keyspace::collections::stream::{Trim, TrimTo};
use larder_protocol::Args;

const BOTH: CommandError =
    CommandError::text("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const NEGATIVE_LENGTH: CommandError = CommandError::text("ERR The MAXLEN argument must be >= 0.");
const NEGATIVE_LIMIT: CommandError = CommandError::text("ERR The LIMIT argument must be >= 0.");
const LIMIT_ALONE: CommandError =
    CommandError::text("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_OF_EXACT: CommandError =
    CommandError::text("ERR syntax error, LIMIT cannot be used without the special ~ option");
const NO_STRATEGY: CommandError = CommandError::text("ERR syntax error, XTRIM must be called with a trimming strategy");

/// Which of the two commands is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Add,
    Trim,
}

/// What was read.
pub(super) struct Options {
    /// How to trim, if at all.
    pub(super) trim: Option<Trim>,
    /// NOMKSTREAM
    pub(super) only_if_exists: bool,
    /// The id of the new entry, and where it stands.
    pub(super) id: NewId,
    pub(super) id_at: usize,
}

impl Options {
    pub(super) fn parse(args: Args<'_>, of: Of, limits: &Limits) -> Result<Self, CommandError> {
        let mut options = Self { trim: None, only_if_exists: false, id: NewId::Next, id_at: args.len() };
        let mut limit = None;
        let mut at = 2;
        while at < args.len() {
            let (word, more) = (&args[at], args.len() - 1 - at);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if of == Of::Add && word == b"*" {
                options.id_at = at;
                break;
            } else if (is("MAXLEN") || is("MINID")) && more > 0 {
                if options.trim.is_some() {
                    return Err(BOTH);
                }
                let marked = more >= 2 && matches!(&args[at + 1], b"~" | b"=");
                let whole_blocks = marked && &args[at + 1] == b"~";
                at += 1 + usize::from(marked);
                let to = if is("MAXLEN") {
                    TrimTo::Length(u64::try_from(number::integer(&args[at])?).map_err(|_| NEGATIVE_LENGTH)?)
                } else {
                    TrimTo::Id(ids::strict(&args[at], 0)?)
                };
                options.trim = Some(Trim { to, whole_blocks, limit: 0 });
            } else if is("LIMIT") && more > 0 {
                at += 1;
                limit = Some(u64::try_from(number::integer(&args[at])?).map_err(|_| NEGATIVE_LIMIT)?);
            } else if of == Of::Add && is("NOMKSTREAM") {
                options.only_if_exists = true;
            } else if of == Of::Add {
                options.id = ids::new_id(word)?;
                options.id_at = at;
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        match &mut options.trim {
            None if limit.is_some_and(|limit| limit > 0) => return Err(LIMIT_ALONE),
            None if of == Of::Trim => return Err(NO_STRATEGY),
            None if limit.is_some() => return Err(LIMIT_OF_EXACT),
            None => {}
            Some(trim) if !trim.whole_blocks && limit.is_some() => return Err(LIMIT_OF_EXACT),
            // Unless it is told otherwise, an approximate trim does not take long.
            Some(trim) if trim.whole_blocks => trim.limit = limit.unwrap_or_else(|| usual_limit(limits)),
            Some(_) => {}
        }
        Ok(options)
    }
}

/// Entries that an approximate trim removes at most unless it is told otherwise: of a hundred blocks.
fn usual_limit(limits: &Limits) -> u64 {
    match 100 * u64::from(limits.stream_block_entries) {
        0 => 10_000,
        entries => entries.min(1_000_000),
    }
}
