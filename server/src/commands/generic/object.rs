//! OBJECT: <https://redis.io/docs/latest/commands/object/>

use crate::clock;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::{EvictionOrder, ValueRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// OBJECT subcommand
pub static OBJECT: CommandSpec = CommandSpec {
    name: "object",
    id: 0,
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "2.2.3",
    complexity: "Depends on subcommand.",
    summary: "A container for object introspection commands.",
    handler: Handler::Container(&[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT]),
};

macro_rules! spec {
    ($(#[$doc:meta])* $static:ident, $name:literal, $id:literal, $since:literal, $read:ident, $summary:literal) => {
        $(#[$doc])*
        pub static $static: CommandSpec = CommandSpec {
            name: $name,
            id: $id,
            arity: Arity::Exactly(3),
            flags: Flags::READONLY,
            keys: KeySpec::at(2),
            family: Family::Generic,
            since: $since,
            complexity: "O(1)",
            summary: $summary,
            handler: Handler::Read($read),
        };
    };
}

spec!(
    /// OBJECT ENCODING key
    ENCODING, "encoding", 87, "2.2.3", encoding, "Returns the internal encoding of a Redis object."
);
spec!(
    /// OBJECT FREQ key
    FREQ, "freq", 88, "4.0.0", freq, "Returns the logarithmic access frequency counter of a Redis object."
);
spec!(
    /// OBJECT IDLETIME key
    IDLETIME, "idletime", 89, "2.2.3", idletime, "Returns the time since the last access to a Redis object."
);
spec!(
    /// OBJECT REFCOUNT key
    REFCOUNT, "refcount", 90, "2.2.3", refcount, "Returns the reference count of a value of a key."
);

/// OBJECT HELP
pub static HELP: CommandSpec = CommandSpec {
    name: "help",
    id: 0,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE),
    keys: KeySpec::None,
    family: Family::Generic,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(help),
};

/// Longest string that Redis keeps in one allocation with its header.
const EMBEDDED_BYTES_MAX: usize = 44;

const NO_FREQUENCY: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.",
);

const NO_IDLE_TIME: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);

/// What Redis would call the value; a string as if it was fresh.
fn encoding_of(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::String(bytes) if number::parse_i64(bytes).is_some() => "int",
        ValueRef::String(bytes) if bytes.len() <= EMBEDDED_BYTES_MAX => "embstr",
        ValueRef::String(_) => "raw",
        ValueRef::Hash(hash) => hash.encoding(),
        ValueRef::List(list) => list.encoding(),
        ValueRef::Set(set) => set.encoding(),
        ValueRef::SortedSet(set) => set.encoding(),
        ValueRef::Stream(_) => "stream",
    }
}

fn encoding(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    reply.bulk_or_null(context.peek(&args[2]).map(|item| encoding_of(item.value).as_bytes()));
    Ok(())
}

fn freq(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    if context.peek(&args[2]).is_none() {
        reply.null();
        return Ok(());
    }
    let counter = context.keyspace.frequency(&args[2], clock::tick_of(context.now)).ok_or(NO_FREQUENCY)?;
    reply.integer(i64::from(counter));
    Ok(())
}

fn idletime(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let now = clock::tick_of(context.now);
    let Some(last_access) = context.peek(&args[2]).map(|item| item.last_access) else {
        reply.null();
        return Ok(());
    };
    if context.keyspace.policy().order() == Some(EvictionOrder::Frequency) {
        return Err(NO_IDLE_TIME);
    }
    // A leader whose clock is behind the last one's may see an access in its future.
    let idle_ms = clock::ms_of(now.saturating_sub(last_access));
    reply.integer((idle_ms / 1000) as i64);
    Ok(())
}

/// Values are never shared between keys.
fn refcount(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    match context.peek(&args[2]) {
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
    Ok(())
}

const HELP_LINES: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.array_header(HELP_LINES.len());
    HELP_LINES.iter().for_each(|line| reply.simple(line));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn encodings_follow_the_value() {
        let mut bench = Bench::new();
        let long = "x".repeat(45);
        for (value, encoding) in [
            ("123", "$3|int|"),
            ("-9223372036854775808", "$3|int|"),
            ("0123", "$6|embstr|"),
            ("1.5", "$6|embstr|"),
            (&long[1..], "$6|embstr|"),
            (&long[..], "$3|raw|"),
        ] {
            bench.run(&format!("SET k {value}"));
            assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING k"), encoding, "{value}");
        }
        assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING x"), "$-1|");
        bench.expect(&[("HSETEX h EX 5 FIELDS 1 a 1", ":1|"), ("HPERSIST h FIELDS 1 a", "*1|:1|")]);
        assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING h"), "$10|listpackex|");
        assert_eq!(bench.call(&REFCOUNT, "OBJECT REFCOUNT k"), ":1|");
        assert_eq!(bench.call(&FREQ, "OBJECT FREQ x"), "$-1|");
        assert!(bench.call(&FREQ, "OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected"));
    }

    #[test]
    fn looking_does_not_touch() {
        let mut bench = Bench::new();
        bench.run("SET k v");
        bench.now += 2_500;
        assert_eq!(bench.call(&IDLETIME, "OBJECT IDLETIME k"), ":2|");
        assert_eq!(bench.call(&IDLETIME, "OBJECT IDLETIME k"), ":2|");
        bench.now -= 10_000;
        assert_eq!(bench.call(&IDLETIME, "OBJECT IDLETIME k"), ":0|");
    }
}
