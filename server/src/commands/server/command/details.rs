//! COMMAND and COMMAND INFO: ten elements a command.

use super::classes::{categories, tips};
use super::key_access::{self, KeyRun};
use super::{BASE, find};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler, table};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// COMMAND INFO [command-name [command-name ...]]
pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    arity: Arity::AtLeast(2),
    complexity: "O(N) where N is the number of commands to look up",
    summary: "Returns information about one, multiple or all commands.",
    handler: Handler::Connection(info),
    ..BASE
};

pub(super) fn all(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.array_header(table::all().count());
    table::all().for_each(|spec| describe(spec.name, spec, reply));
    Ok(Flow::Done)
}

fn info(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    if args.len() == 2 {
        return all(context, args, reply);
    }
    reply.array_header(args.len() - 2);
    for name in args.from(2).iter() {
        match find(name) {
            Some((name, spec)) => describe(name, spec, reply),
            None => reply.null(),
        }
    }
    Ok(Flow::Done)
}

fn describe(name: &str, spec: &'static CommandSpec, reply: &mut ReplyBuffer) {
    let (first, last, step) = spec.keys.wire();
    reply.array_header(10);
    reply.bulk(name.as_bytes());
    reply.integer(spec.arity.wire());
    let movable = matches!(spec.keys, KeySpec::Counted { .. } | KeySpec::StoreCounted { .. })
        && !spec.flags.contains(Flags::MOVABLEKEYS);
    let flags: Vec<_> = spec.flags.names().chain(movable.then_some("movablekeys")).collect();
    words(reply, &flags, ReplyBuffer::set_header);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    words(reply, &categories(name, spec), ReplyBuffer::set_header);
    let tips = tips(name, spec);
    reply.set_header(tips.len());
    tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    key_specs(spec, reply);
    let subcommands: Vec<_> = table::subcommands(spec).filter(|sub| !sub.name.is_empty()).collect();
    array_or_empty_set(reply, subcommands.len());
    for sub in subcommands {
        describe(&format!("{name}|{}", sub.name), sub, reply);
    }
}

/// As Redis answers: what is empty is a set.
fn array_or_empty_set(reply: &mut ReplyBuffer, length: usize) {
    if length == 0 { reply.set_header(0) } else { reply.array_header(length) }
}

fn words(reply: &mut ReplyBuffer, words: &[&str], header: fn(&mut ReplyBuffer, usize)) {
    header(reply, words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn key_specs(spec: &CommandSpec, reply: &mut ReplyBuffer) {
    let runs = key_access::runs(spec);
    let notes = key_access::notes(spec.name);
    if let KeySpec::WithStore { key, options, words, .. } = spec.keys {
        reply.set_header(1 + words.len());
        key_spec(reply, (runs[0].flags, notes), key, "range", &ONE_KEY);
        words.iter().for_each(|word| store_spec(reply, runs[1].flags, word, options));
        return;
    }
    reply.set_header(runs.len());
    for KeyRun { first, last, step, flags } in runs {
        if spec.keys == KeySpec::Streams {
            // From where a group's name cannot be taken for the word.
            let from = if spec.flags.contains(Flags::WRITE) { 4 } else { 1 };
            let range = [("lastkey", last), ("keystep", i64::from(step)), ("limit", 2)];
            key_spec_of(reply, (flags, notes), |reply| keyword(reply, "STREAMS", from), "range", &range);
            continue;
        }
        if spec.keys == KeySpec::Migrate && last < 0 {
            // From the end backwards.
            let range = [("lastkey", last), ("keystep", i64::from(step)), ("limit", 0)];
            key_spec_of(reply, (flags, notes), |reply| keyword(reply, "KEYS", -2), "range", &range);
            continue;
        }
        if let KeySpec::Counted { count } | KeySpec::StoreCounted { count } = spec.keys
            && first > count
        {
            let find = [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
            key_spec(reply, (flags, notes), count, "keynum", &find);
            continue;
        }
        let range = [("lastkey", last), ("keystep", i64::from(step)), ("limit", 0)];
        key_spec(reply, (flags, notes), first, "range", &range);
    }
}

/// Flags of a key specification, and what Redis remarks on it.
type Access<'a> = (&'a [&'a str], Option<&'a str>);

fn key_spec(reply: &mut ReplyBuffer, access: Access<'_>, begin: u16, kind: &str, find: &[(&str, i64)]) {
    key_spec_of(reply, access, |reply| search(reply, "index", &[("index", i64::from(begin))]), kind, find);
}

fn key_spec_of(
    reply: &mut ReplyBuffer,
    (flags, notes): Access<'_>,
    begin: impl FnOnce(&mut ReplyBuffer),
    kind: &str,
    find: &[(&str, i64)],
) {
    reply.map_header(3 + usize::from(notes.is_some()));
    if let Some(notes) = notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    words(reply, flags, ReplyBuffer::set_header);
    reply.bulk(b"begin_search");
    begin(reply);
    reply.bulk(b"find_keys");
    search(reply, kind, find);
}

/// `find_keys` of one key.
const ONE_KEY: [(&str, i64); 3] = [("lastkey", 0), ("keystep", 1), ("limit", 0)];

/// A key that follows a word among the options.
fn store_spec(reply: &mut ReplyBuffer, flags: &[&str], word: &str, from: u16) {
    key_spec_of(reply, (flags, None), |reply| keyword(reply, word, i64::from(from)), "range", &ONE_KEY);
}

fn keyword(reply: &mut ReplyBuffer, word: &str, from: i64) {
    reply.map_header(2);
    reply.bulk(b"type");
    reply.bulk(b"keyword");
    reply.bulk(b"spec");
    reply.map_header(2);
    reply.bulk(b"keyword");
    reply.bulk(word.as_bytes());
    reply.bulk(b"startfrom");
    reply.integer(from);
}

fn search(reply: &mut ReplyBuffer, kind: &str, numbers: &[(&str, i64)]) {
    reply.map_header(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map_header(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn a_command_has_ten_elements() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        // As a Redis 7 server answers COMMAND INFO get.
        let get = "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n\
                   +@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n\
                   $5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n\
                   $4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
        assert_eq!(node.run(&mut session, "COMMAND INFO GET"), get);
        assert_eq!(node.run(&mut session, "COMMAND INFO nonsense"), "*1\r\n$-1\r\n");
        let client = node.run(&mut session, "COMMAND INFO client");
        assert!(client.contains("$9\r\nclient|id\r\n:2\r\n"), "{client}");
        session.version = larder_protocol::ProtocolVersion::Resp3;
        let get = node.run(&mut session, "COMMAND INFO get");
        assert!(get.contains("~2\r\n+readonly\r\n") && get.contains("~1\r\n%3\r\n$5\r\nflags\r\n"), "{get}");
    }

    /// As a Redis 7 server answers.
    #[test]
    fn keys_may_follow_a_word() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let info = node.run(&mut session, "COMMAND INFO xreadgroup xgroup|create xautoclaim").replace("\r\n", "|");
        let redis = "*3|*10|$10|xreadgroup|:-7|*3|+write|+blocking|+movablekeys|:0|:0|:0|*4|+@write|+@stream|+@slow|+@blo\
             cking|*0|*1|*6|$5|flags|*2|+RO|+access|$12|begin_search|*4|$4|type|$7|keyword|$4|spec|*4|$7|keyword|\
             $7|STREAMS|$9|startfrom|:4|$9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:-1|$7|keystep|:1|\
             $5|limit|:2|*0|*10|$13|xgroup|create|:-5|*2|+write|+denyoom|:2|:2|:1|*3|+@write|+@stream|+@slow|*0|*\
             1|*6|$5|flags|*2|+RW|+insert|$12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:2|$9|find_key\
             s|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0|*10|$10|xautoclaim|:-6|*\
             2|+write|+fast|:1|:1|:1|*3|+@write|+@stream|+@fast|*1|$23|nondeterministic_output|*1|*6|$5|flags|*2|\
             +RW|+delete|$12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|$9|find_keys|*4|$4|type|$5|r\
             ange|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0|";
        assert_eq!(info, redis);
    }
}
