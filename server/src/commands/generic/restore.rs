//! RESTORE: <https://redis.io/docs/latest/commands/restore/>

use super::payload::Value;
use crate::clock;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::Deadline;
use crate::rdb::{self, Malformed};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
pub static RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    id: 111,
    flags: FLAGS,
    since: "2.6.0",
    summary: "Creates a key from the serialized representation of a value.",
    ..BASE
};

/// RESTORE-ASKING: RESTORE as MIGRATE sends it to a cluster node.
pub static RESTORE_ASKING: CommandSpec = CommandSpec {
    name: "restore-asking",
    id: 112,
    flags: FLAGS.union(Flags::ASKING),
    since: "3.0.0",
    summary: "An internal command for migrating keys in a cluster.",
    ..BASE
};

const FLAGS: Flags = Flags::WRITE.union(Flags::DENYOOM);

/// What both have in common.
const BASE: CommandSpec = CommandSpec {
    arity: Arity::AtLeast(4),
    keys: KeySpec::at(1),
    family: Family::Generic,
    complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the \
                 number of Redis objects composing the value and M their average size. For small string values the \
                 time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values \
                 the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
    handler: Handler::Write(apply),
    ..CommandSpec::CONNECTION
};

const BUSY_KEY: CommandError = CommandError::text("BUSYKEY Target key name already exists.");
const BAD_TTL: CommandError = CommandError::text("ERR Invalid TTL value, must be >= 0");
const BAD_IDLE_TIME: CommandError = CommandError::text("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQUENCY: CommandError = CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255");
const BAD_FOOTER: CommandError = CommandError::text("ERR DUMP payload version or checksum are wrong");
const BAD_DATA: CommandError = CommandError::text("ERR Bad data format");

#[derive(Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

fn parse(args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            options.replace = true;
        } else if word.eq_ignore_ascii_case(b"ABSTTL") {
            options.absolute = true;
        } else if word.eq_ignore_ascii_case(b"IDLETIME")
            && options.frequency.is_none()
            && let Some(seconds) = words.next()
        {
            options.idle_s = Some(u64::try_from(number::integer(seconds)?).map_err(|_| BAD_IDLE_TIME)?);
        } else if word.eq_ignore_ascii_case(b"FREQ")
            && options.idle_s.is_none()
            && let Some(frequency) = words.next()
        {
            options.frequency = Some(u8::try_from(number::integer(frequency)?).map_err(|_| BAD_FREQUENCY)?);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let options = parse(args.from(4))?;
    if context.exists_for_write(key) && !options.replace {
        return Err(BUSY_KEY);
    }
    let ttl = u64::try_from(number::integer(&args[2])?).map_err(|_| BAD_TTL)?;
    let body = rdb::open(&args[3]).ok_or(BAD_FOOTER)?;
    let value = Value::read(body).map_err(|Malformed| BAD_DATA)?;
    let deadline = match ttl {
        0 => Deadline::Clear,
        _ if options.absolute => Deadline::At(ttl),
        _ => Deadline::At(context.now.saturating_add(ttl)),
    };
    match value.build(context) {
        Ok(built) => {
            context.store_built(key, built);
            if let Deadline::At(at) = deadline {
                context.store_deadline(key, at);
            }
        }
        Err(string) => context.store_string(key, &string, deadline),
    }
    if let Some(idle_s) = options.idle_s {
        context.keyspace.set_last_access(key, clock::tick_of(context.now.saturating_sub(idle_s.saturating_mul(1000))));
    }
    if let Some(frequency) = options.frequency {
        context.keyspace.set_frequency(key, frequency);
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::generic::object::IDLETIME;
    use crate::commands::testing::Bench;

    const PAYLOAD: &[u8] = b"\0\xc0\n\n\0n\x9fWE\x0e\xaec\xbb";

    fn restore(bench: &mut Bench, payload: &[u8], ttl: &str, options: &str) -> String {
        let mut words: Vec<&[u8]> = vec![b"RESTORE", b"k", ttl.as_bytes(), payload];
        words.extend(options.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes));
        bench.call_args(&RESTORE, &words)
    }

    #[test]
    fn options_are_redis_s() {
        let mut bench = Bench::new();
        assert_eq!(restore(&mut bench, PAYLOAD, "0", ""), "+OK|");
        assert_eq!(bench.run("GET k"), "$2|10|");
        let absolute = (bench.now + 9).to_string();
        for (ttl, options, reply) in [
            ("0", "", "-BUSYKEY Target key name already exists.|"),
            ("-1", "REPLACE", "-ERR Invalid TTL value, must be >= 0|"),
            ("x", "REPLACE", "-ERR value is not an integer or out of range|"),
            ("0", "FOO", "-ERR syntax error|"),
            ("0", "IDLETIME", "-ERR syntax error|"),
            ("0", "IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0|"),
            ("0", "FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255|"),
            ("0", "FREQ 1 IDLETIME 1", "-ERR syntax error|"),
            ("0", "IDLETIME 1 FREQ 1", "-ERR syntax error|"),
            ("7", "REPLACE FREQ 255", "+OK|"),
        ] {
            assert_eq!(restore(&mut bench, PAYLOAD, ttl, options), reply, "{ttl} {options}");
        }
        assert_eq!(bench.run("PTTL k"), ":7|");
        assert_eq!(restore(&mut bench, PAYLOAD, &absolute, "replace absttl idletime 100"), "+OK|");
        assert_eq!(bench.run("PTTL k"), ":9|");
        assert_eq!(bench.call(&IDLETIME, "OBJECT IDLETIME k"), ":100|");
        assert_eq!(restore(&mut bench, PAYLOAD, "1", "REPLACE ABSTTL"), "+OK|");
        assert_eq!(bench.run("EXISTS k"), ":0|");
    }

    #[test]
    fn payloads_are_checked() {
        let mut bench = Bench::new();
        let newer = |version: u8| {
            let mut payload = PAYLOAD.to_vec();
            payload[3] = version;
            payload
        };
        let wrong = "-ERR DUMP payload version or checksum are wrong|";
        for payload in [&b""[..], b"123456789", &PAYLOAD[..12], &newer(13), &newer(11)] {
            assert_eq!(restore(&mut bench, payload, "0", ""), wrong);
        }
        let list = rdb::seal(rdb::Writer::new(99));
        assert_eq!(restore(&mut bench, &list, "0", ""), "-ERR Bad data format|");
        let mut empty = rdb::Writer::new(0);
        empty.length(5);
        assert_eq!(restore(&mut bench, &rdb::seal(empty), "0", ""), "-ERR Bad data format|");
        assert_eq!(bench.run("EXISTS k"), ":0|");
    }
}
