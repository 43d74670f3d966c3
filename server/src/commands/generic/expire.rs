//! EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT: <https://redis.io/docs/latest/commands/expire/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

macro_rules! spec {
    ($(#[$doc:meta])* $static:ident, $name:literal, $id:literal, $since:literal, $unit:expr, $base:expr, $summary:literal) => {
        $(#[$doc])*
        pub static $static: CommandSpec = CommandSpec {
            name: $name,
            id: $id,
            arity: Arity::AtLeast(3),
            flags: Flags::WRITE.union(Flags::FAST),
            keys: KeySpec::at(1),
            family: Family::Generic,
            since: $since,
            complexity: "O(1)",
            summary: $summary,
            handler: Handler::Write(|context, args, reply| apply(context, args, reply, $unit, $base, $name)),
        };
    };
}

spec!(
    /// EXPIRE key seconds [NX | XX | GT | LT]
    EXPIRE, "expire", 69, "1.0.0", SECONDS, Base::Now, "Sets the expiration time of a key in seconds."
);
spec!(
    /// PEXPIRE key milliseconds [NX | XX | GT | LT]
    PEXPIRE, "pexpire", 70, "2.6.0", MILLISECONDS, Base::Now, "Sets the expiration time of a key in milliseconds."
);
spec!(
    /// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
    EXPIREAT, "expireat", 71, "1.2.0", SECONDS, Base::Epoch, "Sets the expiration time of a key to a Unix timestamp."
);
spec!(
    /// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
    PEXPIREAT, "pexpireat", 72, "2.6.0", MILLISECONDS, Base::Epoch,
    "Sets the expiration time of a key to a Unix milliseconds timestamp."
);

/// Milliseconds in the unit of the argument.
const SECONDS: i64 = 1000;
const MILLISECONDS: i64 = 1;

/// What the argument is added to.
#[derive(Debug, Clone, Copy)]
enum Base {
    Now,
    Epoch,
}

const WITH_NX: CommandError = CommandError::text("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_WITH_LT: CommandError = CommandError::text("ERR GT and LT options at the same time are not compatible");

/// NX, XX, GT and LT as they were given.
#[derive(Debug, Default, Clone, Copy)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for word in args.iter() {
            let options: [(&[u8], &mut bool); 4] = [
                (b"NX", &mut conditions.nx),
                (b"XX", &mut conditions.xx),
                (b"GT", &mut conditions.gt),
                (b"LT", &mut conditions.lt),
            ];
            let Some((_, given)) = options.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) else {
                // A C string in Redis: it ends at the first NUL.
                let shown = word.split(|byte| *byte == 0).next().unwrap_or_default();
                return Err(CommandError::repeating(&[b"ERR Unsupported option ", shown]));
            };
            *given = true;
        }
        let Self { nx, xx, gt, lt } = conditions;
        match () {
            () if nx && (xx || gt || lt) => Err(WITH_NX),
            () if gt && lt => Err(GT_WITH_LT),
            () => Ok(conditions),
        }
    }

    /// Whether a deadline may become `new`. No deadline counts as one that never comes.
    fn allow(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn apply(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
    unit: i64,
    base: Base,
    command: &'static str,
) -> Result<(), CommandError> {
    let key = &args[1];
    let conditions = Conditions::parse(args.from(3))?;
    let value = number::integer(&args[2])?;
    let base = match base {
        Base::Now => context.now,
        Base::Epoch => 0,
    };
    // Negative deadlines are valid: they delete.
    let at = value.checked_mul(unit).and_then(|value| value.checked_add_unsigned(base));
    let at = at.ok_or(CommandError::InvalidExpire(command))?;
    let Some(old) = context.item_for_write(key, |item| item.deadline) else {
        reply.integer(0);
        return Ok(());
    };
    let allowed = conditions.allow(old, at);
    if allowed {
        context.store_deadline(key, u64::try_from(at).unwrap_or(0));
    }
    reply.integer(i64::from(allowed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn all_four_units() {
        Bench::new().expect(&[
            ("EXPIRE k 1", ":0|"),
            ("SET k v", "+OK|"),
            ("EXPIRE k 10", ":1|"),
            ("PTTL k", ":10000|"),
            ("PEXPIRE k 10", ":1|"),
            ("PTTL k", ":10|"),
            ("EXPIREAT k 1700000001", ":1|"),
            ("PTTL k", ":1000|"),
            ("PEXPIREAT k 1700000000007", ":1|"),
            ("PTTL k", ":7|"),
        ]);
    }

    #[test]
    fn conditions() {
        Bench::new().expect(&[
            ("SET k v", "+OK|"),
            ("EXPIRE k 10 XX", ":0|"),
            ("EXPIRE k 10 GT", ":0|"),
            ("EXPIRE k 10 NX", ":1|"),
            ("EXPIRE k 20 NX", ":0|"),
            ("EXPIRE k 10 GT", ":0|"),
            ("EXPIRE k 20 xx gt", ":1|"),
            ("EXPIRE k 20 LT", ":0|"),
            ("EXPIRE k 10 LT", ":1|"),
            ("PERSIST k", ":1|"),
            ("EXPIRE k 10 LT", ":1|"),
            ("EXPIRE k 10 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible|"),
            ("EXPIRE k 10 GT LT", "-ERR GT and LT options at the same time are not compatible|"),
            ("EXPIRE k a FOO", "-ERR Unsupported option FOO|"),
        ]);
    }

    #[test]
    fn the_past_deletes_and_overflow_is_refused() {
        Bench::new().expect(&[
            ("SET k v", "+OK|"),
            ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command|"),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command|"),
            ("EXPIREAT k -9223372036854775808", "-ERR invalid expire time in 'expireat' command|"),
            ("PEXPIREAT k 9223372036854775807", ":1|"),
            ("PEXPIREAT k -9223372036854775808", ":1|"),
            ("DBSIZE", ":0|"),
            ("SET k v", "+OK|"),
            ("EXPIRE k 0", ":1|"),
            ("DBSIZE", ":0|"),
        ]);
    }
}
