//! HSETEX: <https://redis.io/docs/latest/commands/hsetex/>

use super::field_deadlines::TimeForm;
use crate::clock::UnixMs;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HSETEX key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]
/// FIELDS numfields field value [field value ...]
pub static HSETEX: CommandSpec = CommandSpec {
    name: "hsetex",
    id: 155,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of fields being set.",
    summary: "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
    handler: Handler::Write(apply),
};

/// What becomes of the fields' deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    /// They are taken.
    None,
    /// They stay.
    Keep,
    /// They are this one.
    At(UnixMs),
}

/// Which fields must be there, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// FNX
    NoneThere,
    /// FXX
    AllThere,
}

const ONE_EXPIRY: CommandError =
    CommandError::text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const ONE_CONDITION: CommandError = CommandError::text("ERR Only one of FXX or FNX arguments can be specified");
const NO_TIME: CommandError = CommandError::text("ERR missing expire time");
const BAD_COUNT: CommandError = CommandError::text("ERR invalid number of fields");
const ARITY: CommandError = CommandError::Arity(std::borrow::Cow::Borrowed("hsetex"));

struct Options<'a> {
    expiry: Expiry,
    condition: Condition,
    /// Fields and values in turn.
    pairs: Args<'a>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, now: UnixMs) -> Result<Self, CommandError> {
        let (mut expiry, mut condition) = (Expiry::None, Condition::Always);
        let mut at = 2;
        while let Some(word) = args.get(at) {
            if word.eq_ignore_ascii_case(b"FIELDS") {
                if at + 3 >= args.len() {
                    return Err(ARITY);
                }
                let count = number::key_count_or(&args[at + 1], BAD_COUNT)?;
                let pairs = args.from(at + 2);
                if i32::try_from(count).is_err() {
                    return Err(BAD_COUNT);
                }
                return if pairs.len() == 2 * count { Ok(Self { expiry, condition, pairs }) } else { Err(ARITY) };
            }
            let form = TimeForm::of_option(word);
            if form.is_some() || word.eq_ignore_ascii_case(b"KEEPTTL") {
                if expiry != Expiry::None {
                    return Err(ONE_EXPIRY);
                }
                expiry = Expiry::Keep;
                if let Some(form) = form {
                    at += 1;
                    expiry = Expiry::At(form.deadline(args.get(at).ok_or(NO_TIME)?, now, "hsetex")?);
                }
            } else if word.eq_ignore_ascii_case(b"FXX") || word.eq_ignore_ascii_case(b"FNX") {
                if condition != Condition::Always {
                    return Err(ONE_CONDITION);
                }
                condition =
                    if word[1].eq_ignore_ascii_case(&b'X') { Condition::AllThere } else { Condition::NoneThere };
            } else {
                // A C string in Redis: it ends at the first NUL.
                let shown = word.split(|byte| *byte == 0).next().unwrap_or_default();
                return Err(CommandError::repeating(&[b"ERR unknown argument: ", shown]));
            }
            at += 1;
        }
        Err(ARITY)
    }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let now = context.now;
    let Options { expiry, condition, pairs } = Options::parse(args, now)?;
    let create = if condition == Condition::AllThere { OrCreate::No } else { OrCreate::Yes };
    let set = context.edit_hash(&args[1], create, |hash| {
        let there = |field: &[u8]| hash.read().get(field).is_some();
        let mut fields = pairs.iter().step_by(2);
        let allowed = match condition {
            Condition::Always => true,
            Condition::NoneThere => !fields.any(there),
            Condition::AllThere => fields.all(there),
        };
        if !allowed {
            return Ok(false);
        }
        for (field, value) in pairs.iter().step_by(2).zip(pairs.iter().skip(1).step_by(2)) {
            match expiry {
                Expiry::None => drop(hash.set(field, value)),
                Expiry::Keep => drop(hash.set_keeping(field, value)),
                Expiry::At(deadline) if deadline <= now => drop(hash.remove(field)),
                Expiry::At(deadline) => {
                    hash.set_keeping(field, value);
                    hash.set_deadline(field, Some(deadline));
                }
            }
        }
        Ok(true)
    })?;
    reply.integer(i64::from(set == Some(true)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn values_and_deadlines_together() {
        Bench::new().expect(&[
            ("HSETEX h EX 10 FIELDS 2 a 1 b 2", ":1|"),
            ("HTTL h FIELDS 2 a b", "*2|:10|:10|"),
            ("HSETEX h KEEPTTL FIELDS 1 a 3", ":1|"),
            ("HSETEX h FIELDS 1 b 4", ":1|"),
            ("HTTL h FIELDS 2 a b", "*2|:10|:-1|"),
            ("HSETEX h FNX FIELDS 2 c 1 a 9", ":0|"),
            ("HSETEX h FXX FIELDS 2 c 1 a 9", ":0|"),
            ("HSETEX h fxx px 5000 FIELDS 2 b 1 a 9", ":1|"),
            ("HMGET h a b c", "*3|$1|9|$1|1|$-1|"),
            ("HPTTL h FIELDS 2 a b", "*2|:5000|:5000|"),
            ("HSETEX h EXAT 1 FIELDS 2 a 1 b 1", ":1|"),
            ("EXISTS h", ":0|"),
            ("HSETEX x FXX FIELDS 1 a 1", ":0|"),
            ("HSETEX x PXAT 1 FIELDS 1 a 1", ":1|"),
            ("EXISTS x", ":0|"),
            ("HSETEX x FNX FIELDS 1 a 1", ":1|"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        Bench::new().expect(&[
            (
                "HSETEX h EX 10 PX 10 FIELDS 1 a 1",
                "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified|",
            ),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "-ERR Only one of FXX or FNX arguments can be specified|"),
            ("HSETEX h FOO FIELDS 1 a 1", "-ERR unknown argument: FOO|"),
            ("HSETEX h EX x FIELDS 1 a 1", "-ERR value is not an integer or out of range|"),
            ("HSETEX h EX -1 FIELDS 1 a 1", "-ERR invalid expire time, must be >= 0|"),
            ("HSETEX h FIELDS 0 a 1", "-ERR invalid number of fields|"),
            ("HSETEX h FIELDS 2 a 1", "-ERR wrong number of arguments for 'hsetex' command|"),
            ("HSETEX h EX 10 FIELDS 1", "-ERR wrong number of arguments for 'hsetex' command|"),
            ("HSETEX h KEEPTTL FNX 1 EX", "-ERR unknown argument: 1|"),
        ]);
    }
}
