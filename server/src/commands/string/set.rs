//! SET: <https://redis.io/docs/latest/commands/set/>

use super::expiry::Expiry;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
pub static SET: CommandSpec = CommandSpec {
    name: "set",
    id: 2,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
    handler: Handler::Write(apply),
};

/// NX or XX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

/// The options as they were given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'a> {
    condition: Option<Condition>,
    get: bool,
    keep_ttl: bool,
    expiry: Option<Expiry<'a>>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"NX") && options.condition != Some(Condition::Present) {
                options.condition = Some(Condition::Absent);
            } else if word.eq_ignore_ascii_case(b"XX") && options.condition != Some(Condition::Absent) {
                options.condition = Some(Condition::Present);
            } else if word.eq_ignore_ascii_case(b"GET") {
                options.get = true;
            } else if word.eq_ignore_ascii_case(b"KEEPTTL") && options.expiry.is_none() {
                options.keep_ttl = true;
            } else if options.keep_ttl {
                return Err(CommandError::Syntax);
            } else {
                options.expiry = Some(Expiry::parse(word, words.next(), options.expiry)?);
            }
        }
        Ok(options)
    }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (key, value) = (&args[1], &args[2]);
    if args.len() == 3 {
        context.keyspace.set_string(key, value, Deadline::Clear, context.touch);
        reply.ok();
        return Ok(());
    }
    let options = Options::parse(args.from(3))?;
    let deadline = match options.expiry {
        Some(expiry) => Deadline::At(expiry.deadline(context.now, "set")?),
        None if options.keep_ttl => Deadline::Keep,
        None => Deadline::Clear,
    };
    if options.get {
        let old = context.read_string(key)?;
        reply.bulk_or_null(old);
    }
    // Looked up even without a condition where KEEPTTL would meet a deadline that has passed.
    let allowed = match options.condition {
        Some(condition) => (condition == Condition::Present) == context.exists_for_write(key),
        None => {
            if options.keep_ttl {
                context.drop_due(key);
            }
            true
        }
    };
    if allowed {
        context.store_string(key, value, deadline);
    }
    match (options.get, allowed) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    const SYNTAX: &str = "-ERR syntax error|";
    const EXPIRE: &str = "-ERR invalid expire time in 'set' command|";

    #[test]
    fn conditions_and_get() {
        Bench::new().expect(&[
            ("SET k a XX", "$-1|"),
            ("SET k a NX", "+OK|"),
            ("SET k b nx", "$-1|"),
            ("SET k b NX GET", "$1|a|"),
            ("SET k c xx get", "$1|a|"),
            ("GET k", "$1|c|"),
            ("SET n c NX GET", "$-1|"),
            ("GET n", "$1|c|"),
        ]);
    }

    #[test]
    fn deadlines() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SET k v EX 10", "+OK|"),
            ("PTTL k", ":10000|"),
            ("SET k v KEEPTTL", "+OK|"),
            ("PTTL k", ":10000|"),
            ("SET k v PX 5", "+OK|"),
            ("PEXPIRETIME k", ":1700000000005|"),
            ("SET k v EXAT 1700000001", "+OK|"),
            ("PTTL k", ":1000|"),
            ("SET k v", "+OK|"),
            ("PTTL k", ":-1|"),
            ("SET k v PXAT 1", "+OK|"),
            ("DBSIZE", ":0|"),
            ("SET k v PX 5", "+OK|"),
        ]);
        bench.now += 5;
        bench.expect(&[("SET k w KEEPTTL XX", "$-1|"), ("SET k w KEEPTTL", "+OK|"), ("PTTL k", ":-1|")]);
    }

    #[test]
    fn conflicts_are_syntax_errors() {
        for options in
            ["NX XX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL PX 1", "EXAT 1 PXAT 1", "EX", "FOO", "EX 1 FOO", "PERSIST"]
        {
            assert_eq!(Bench::new().run(&format!("SET k v {options}")), SYNTAX, "{options}");
        }
        assert_eq!(Bench::new().run("SET k v EX 1 EX 2 NX NX"), "+OK|");
    }

    #[test]
    fn impossible_deadlines_are_refused() {
        for option in
            ["EX 0", "PX -1", "EXAT 0", "EX 9223372036854775", "PX 9223372036854775807", "EXAT 9223372036854776"]
        {
            assert_eq!(Bench::new().run(&format!("SET k v {option}")), EXPIRE, "{option}");
        }
        for option in ["EX a", "PX 1.5", "EX 9223372036854775808"] {
            let reply = Bench::new().run(&format!("SET k v {option}"));
            assert_eq!(reply, "-ERR value is not an integer or out of range|", "{option}");
        }
    }
}
