//! HGETEX: <https://redis.io/docs/latest/commands/hgetex/>

use super::field_deadlines::{self, NOT_POSITIVE, TimeForm};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HGETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
/// FIELDS numfields field [field ...]
pub static HGETEX: CommandSpec = CommandSpec {
    name: "hgetex",
    id: 154,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    context.peek_hash(&args[1])?;
    let now = context.now;
    // What becomes of the deadlines: nothing, or this.
    let (change, at) = match TimeForm::of_option(&args[2]) {
        Some(form) => (Some(Some(form.deadline(&args[3], now, "hgetex")?)), 4),
        None if args[2].eq_ignore_ascii_case(b"PERSIST") => (Some(None), 3),
        None => (None, 2),
    };
    let fields = field_deadlines::fields(args, at, NOT_POSITIVE)?;
    reply.array_header(fields.len());
    let mut text = Default::default();
    let done = context.edit_hash(&args[1], OrCreate::No, |hash| {
        for field in fields.iter() {
            reply.bulk_or_null(hash.read().get(field).as_ref().map(|value| value.bytes(&mut text)));
            match change {
                Some(Some(deadline)) if deadline <= now => {
                    hash.remove(field);
                }
                Some(deadline) => {
                    hash.set_deadline(field, deadline);
                }
                None => {}
            }
        }
        Ok(())
    })?;
    if done.is_none() {
        fields.iter().for_each(|_| reply.null());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn reading_sets_deadlines() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HGETEX h FIELDS 2 a x", "*2|$1|1|$-1|"),
            ("HGETEX h EX 10 FIELDS 2 a x", "*2|$1|1|$-1|"),
            ("HTTL h FIELDS 2 a b", "*2|:10|:-1|"),
            ("HGETEX h persist FIELDS 2 a b", "*2|$1|1|$1|2|"),
            ("HTTL h FIELDS 2 a b", "*2|:-1|:-1|"),
            ("HGETEX h PXAT 5 FIELDS 2 a b", "*2|$1|1|$1|2|"),
            ("EXISTS h", ":0|"),
            ("HGETEX h FIELDS 1 a", "*1|$-1|"),
            ("HGETEX h EX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0|"),
            ("HGETEX h EX 99999999999 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command|"),
            ("HGETEX h EX 10 FIELDS", "-ERR Number of fields must be a positive integer|"),
            ("HGETEX h FOO FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position|"),
        ]);
    }
}
