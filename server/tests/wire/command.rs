//! COMMAND and COMMAND DOCS against a real redis-server, command by command.

use super::harness::{Node, Wire, array};
use super::redis::Redis;
use larder::commands::session::PortKind;
use std::collections::BTreeMap;

/// A reply whose lines have no line breaks in them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    /// With the sign that says of what kind.
    Many(char, Vec<Value>),
}

impl Value {
    fn read(wire: &mut Wire) -> Self {
        let line = wire.line();
        let (sign, rest) = line.split_at(1);
        match sign {
            "$" if rest != "-1" => Self::Text(wire.line()),
            "*" | "~" | "%" if rest != "-1" => {
                let count = rest.parse::<usize>().expect("a count") * if sign == "%" { 2 } else { 1 };
                Self::Many(sign.chars().next().unwrap(), (0..count).map(|_| Self::read(wire)).collect())
            }
            _ => Self::Text(line),
        }
    }

    fn items(&self) -> &[Self] {
        match self {
            Self::Many(_, items) => items,
            Self::Text(text) => panic!("{text} is not many"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Many(..) => panic!("{self:?} is not one"),
        }
    }

    /// With what has no order in order.
    fn sorted(&self) -> Self {
        match self {
            Self::Text(_) => self.clone(),
            Self::Many(sign, items) => {
                let mut items: Vec<Self> = items.iter().map(Self::sorted).collect();
                if *sign == '~' {
                    items.sort();
                }
                Self::Many(*sign, items)
            }
        }
    }
}

/// What a server says of each command: facts by name.
type Facts = BTreeMap<String, BTreeMap<String, Value>>;

fn facts(wire: &mut Wire) -> Facts {
    let mut facts = Facts::new();
    wire.send(&[&array(&[b"HELLO", b"3"])[..], &array(&[b"COMMAND"])[..], &array(&[b"COMMAND", b"DOCS"])[..]].concat());
    Value::read(wire);
    Value::read(wire).items().iter().for_each(|command| add_info(command, &mut facts));
    add_docs(&Value::read(wire), &mut facts);
    facts
}

fn add_info(command: &Value, facts: &mut Facts) {
    let elements = command.items();
    let known = facts.entry(elements[0].text().to_string()).or_default();
    for (fact, at) in
        [("arity", 1), ("first", 3), ("last", 4), ("step", 5), ("categories", 6), ("tips", 7), ("keys", 8)]
    {
        known.insert(fact.to_string(), elements[at].sorted());
    }
    elements[9].items().iter().for_each(|sub| add_info(sub, facts));
}

fn add_docs(commands: &Value, facts: &mut Facts) {
    for pair in commands.items().chunks(2) {
        for field in pair[1].items().chunks(2) {
            match field[0].text() {
                "subcommands" => add_docs(&field[1], facts),
                fact @ ("group" | "doc_flags" | "deprecated_since" | "replaced_by") => {
                    let known = facts.entry(pair[0].text().to_string()).or_default();
                    known.insert(fact.to_string(), field[1].sorted());
                }
                _ => {}
            }
        }
    }
}

/// Where Redis 7.4 says something else than 7.0, or Larder does, and why.
const DIFFERENT: &[(&str, &[&str])] = &[
    // 7.2: WITHSCORE.
    ("zrank", &["arity"]),
    ("zrevrank", &["arity"]),
    // 7.2: regarded as deprecated.
    ("psetex", &["doc_flags", "deprecated_since", "replaced_by"]),
    ("quit", &["doc_flags", "deprecated_since", "replaced_by"]),
    ("setex", &["doc_flags", "deprecated_since", "replaced_by"]),
    ("setnx", &["doc_flags", "deprecated_since", "replaced_by"]),
    // 7.2: how clients put the answers together.
    ("randomkey", &["tips"]),
    ("scan", &["tips"]),
    // It is atomic or refused, so a client must not split it; Redis does not say so any more, either.
    ("msetnx", &["tips"]),
    // The key behind STORE can be found; and keys behind BY and GET are in the slot of the key.
    ("sort", &["keys"]),
    ("sort_ro", &["keys"]),
];

#[test]
fn commands_are_described_as_redis_describes_them() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let node = Node::start(&[]);
    let [theirs, ours] =
        [redis.address, node.address(PortKind::Client)].map(|address| facts(&mut Wire::connect(address)));
    let mut different = Vec::new();
    for (name, ours) in &ours {
        let Some(theirs) = theirs.get(name) else { continue };
        let expected = DIFFERENT.iter().find(|(known, _)| known == name).map_or(&[][..], |(_, facts)| facts);
        let mut all: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        all.sort();
        all.dedup();
        for fact in all {
            let differs = ours.get(fact) != theirs.get(fact);
            if differs != expected.contains(&fact.as_str()) {
                different.push(format!(
                    "{name} {fact}\nexpected {:?}\ngot      {:?}",
                    theirs.get(fact),
                    ours.get(fact)
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}
