//! HEXPIRE, HPEXPIRE, HEXPIREAT and HPEXPIREAT: <https://redis.io/docs/latest/commands/hexpire/>

use super::field_deadlines::{self, TimeForm};
use crate::clock::UnixMs;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

macro_rules! spec {
    ($(#[$doc:meta])* $static:ident, $name:literal, $id:literal, $seconds:literal, $relative:literal, $summary:literal) => {
        $(#[$doc])*
        pub static $static: CommandSpec = CommandSpec {
            name: $name,
            id: $id,
            arity: Arity::AtLeast(6),
            flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
            keys: KeySpec::at(1),
            family: Family::Hash,
            since: "7.4.0",
            complexity: "O(N) where N is the number of specified fields",
            summary: $summary,
            handler: Handler::Write(|context, args, reply| {
                apply(TimeForm { seconds: $seconds, relative: $relative }, $name, context, args, reply)
            }),
        };
    };
}

spec!(
    /// HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
    HEXPIRE, "hexpire", 144, true, true, "Set expiry for hash field using relative time to expire (seconds)"
);
spec!(
    /// HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
    HPEXPIRE, "hpexpire", 145, false, true, "Set expiry for hash field using relative time to expire (milliseconds)"
);
spec!(
    /// HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
    HEXPIREAT, "hexpireat", 146, true, false, "Set expiry for hash field using an absolute Unix timestamp (seconds)"
);
spec!(
    /// HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
    HPEXPIREAT, "hpexpireat", 147, false, false,
    "Set expiry for hash field using an absolute Unix timestamp (milliseconds)"
);

/// When a field's deadline may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn parse(word: &[u8]) -> Self {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => Self::Nx,
            b"XX" => Self::Xx,
            b"GT" => Self::Gt,
            b"LT" => Self::Lt,
            _ => Self::Always,
        }
    }

    /// No deadline counts as one that never comes.
    fn allows(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        match self {
            Self::Always => true,
            Self::Nx => old.is_none(),
            Self::Xx => old.is_some(),
            Self::Gt => old.is_some_and(|old| new > old),
            Self::Lt => old.is_none_or(|old| new < old),
        }
    }
}

const NO_FIELD: i64 = -2;
const NOT_ALLOWED: i64 = 0;
const SET: i64 = 1;
const DELETED: i64 = 2;

fn apply(
    form: TimeForm,
    name: &'static str,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    context.peek_hash(&args[1])?;
    let now = context.now;
    let deadline = form.deadline(&args[2], now, name)?;
    let condition = Condition::parse(&args[3]);
    let at = if condition == Condition::Always { 3 } else { 4 };
    let fields = field_deadlines::fields(args, at, "ERR Parameter `numFields` should be greater than 0")?;
    let results = context.edit_hash(&args[1], OrCreate::No, |hash| {
        let expire = |field| {
            let Some((_, old)) = hash.read().get_timed(field) else { return NO_FIELD };
            if !condition.allows(old, deadline) {
                return NOT_ALLOWED;
            }
            if deadline <= now {
                hash.remove(field);
                return DELETED;
            }
            hash.set_deadline(field, Some(deadline));
            SET
        };
        Ok(fields.iter().map(expire).collect::<Vec<i64>>())
    })?;
    reply.array_header(fields.len());
    match results {
        Some(results) => results.into_iter().for_each(|result| reply.integer(result)),
        None => fields.iter().for_each(|_| reply.integer(NO_FIELD)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn fields_pass_away_one_by_one() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("HSET h a 1 b 2 c 3", ":3|"),
            ("HPEXPIRE h 10 FIELDS 2 a x", "*2|:1|:-2|"),
            ("HEXPIRE h 1 FIELDS 1 b", "*1|:1|"),
            ("HPTTL h FIELDS 4 a b c x", "*4|:10|:1000|:-1|:-2|"),
            ("HGETALL h", "*6|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|"),
        ]);
        bench.now += 10;
        bench.expect(&[
            ("HGET h a", "$-1|"),
            ("HLEN h", ":2|"),
            ("HKEYS h", "*2|$1|b|$1|c|"),
            ("HVALS h", "*2|$1|2|$1|3|"),
            ("HEXISTS h a", ":0|"),
            ("HSTRLEN h a", ":0|"),
            ("HMGET h a b", "*2|$-1|$1|2|"),
            ("HSCAN h 0", "*2|$1|0|*4|$1|b|$1|2|$1|c|$1|3|"),
            ("HDEL h a", ":0|"),
            ("HSETNX h a 9", ":1|"),
            ("HTTL h FIELDS 1 a", "*1|:-1|"),
            ("HDEL h a c", ":2|"),
        ]);
        bench.now += 990;
        bench.expect(&[("EXISTS h", ":0|"), ("TYPE h", "+none|"), ("HLEN h", ":0|"), ("DEL h", ":0|")]);
    }

    #[test]
    fn conditions() {
        Bench::new().expect(&[
            ("HSET h a 1", ":1|"),
            ("HEXPIRE h 10 XX FIELDS 1 a", "*1|:0|"),
            ("HEXPIRE h 10 GT FIELDS 1 a", "*1|:0|"),
            ("HEXPIRE h 10 LT FIELDS 1 a", "*1|:1|"),
            ("HEXPIRE h 20 NX FIELDS 1 a", "*1|:0|"),
            ("HEXPIRE h 10 GT FIELDS 1 a", "*1|:0|"),
            ("HEXPIRE h 20 gt FIELDS 1 a", "*1|:1|"),
            ("HEXPIRE h 20 LT FIELDS 1 a", "*1|:0|"),
            ("HEXPIRE h 30 XX FIELDS 1 a", "*1|:1|"),
            ("HEXPIREAT h 1700000001 FIELDS 1 a", "*1|:1|"),
            ("HPTTL h FIELDS 1 a", "*1|:1000|"),
            ("HEXPIREAT h 1 GT FIELDS 1 a", "*1|:0|"),
            ("HPEXPIREAT h 1 FIELDS 2 a a", "*2|:2|:-2|"),
            ("EXISTS h", ":0|"),
            ("HEXPIRE h 0 FIELDS 2 a b", "*2|:-2|:-2|"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        Bench::new().expect(&[
            ("SET s 1", "+OK|"),
            ("HEXPIRE s x FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range|"),
            ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0|"),
            ("HEXPIRE h 70368744178 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command|"),
            ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command|"),
            ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1|:-2|"),
            ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command|"),
            ("HEXPIRE h 1 FIELD 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position|"),
            ("HEXPIRE h 1 NX XX FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position|"),
            ("HEXPIRE h 1 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0|"),
            ("HEXPIRE h 1 FIELDS x a", "-ERR Parameter `numFields` should be greater than 0|"),
            ("HEXPIRE h 1 FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments|"),
            ("HEXPIRE h 1 NX FIELDS 1", "-ERR The `numfields` parameter must match the number of arguments|"),
        ]);
    }

    #[test]
    fn a_new_value_takes_the_deadline_and_a_sum_keeps_it() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("HSET h a 1 b 2 c 3", ":3|"),
            ("HEXPIRE h 10 FIELDS 3 a b c", "*3|:1|:1|:1|"),
            ("HSET h a 5", ":0|"),
            ("HINCRBY h b 5", ":7|"),
            ("HINCRBYFLOAT h c 0.5", "$3|3.5|"),
            ("HTTL h FIELDS 3 a b c", "*3|:-1|:10|:10|"),
            ("COPY h i", ":1|"),
            ("RENAME i j", "+OK|"),
            ("HTTL j FIELDS 3 a b c", "*3|:-1|:10|:10|"),
        ]);
        bench.now += 10_000;
        bench.expect(&[
            ("HINCRBY h b 5", ":5|"),
            ("HTTL h FIELDS 1 b", "*1|:-1|"),
            ("HLEN h", ":2|"),
            ("HLEN j", ":1|"),
        ]);
    }
}
