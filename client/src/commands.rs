//! What the server's COMMAND tells about its commands: which only read, and where their first key stands.

use std::collections::HashMap;

use crate::{Error, Value};

/// The server's commands, by name in lower case; subcommands as `xgroup|create`.
#[derive(Clone, Debug, Default)]
pub struct CommandTable {
    commands: HashMap<String, Command>,
}

#[derive(Clone, Debug, Default)]
struct Command {
    readonly: bool,
    /// Tried in order until one finds a key.
    keys: Vec<FirstKey>,
}

/// How the first key is found; positions count from the name, which is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FirstKey {
    /// It stands there.
    At(usize),
    /// If the number at the first position is not 0, it stands at the second.
    Counted(usize, usize),
    /// It comes so far after this word, which is searched from a position on (from the end if negative), and, with a
    /// count, only if the number so far after the word is not 0.
    After { word: Vec<u8>, from: i64, key: usize, count: Option<usize> },
}

impl CommandTable {
    /// Reads a reply to COMMAND.
    pub fn parse(reply: &Value) -> Result<Self, Error> {
        let mut table = Self::default();
        let commands = reply.as_slice().ok_or_else(|| Error::Topology("COMMAND did not return a list".into()))?;
        for command in commands {
            table.add(command);
        }
        if table.commands.is_empty() {
            return Err(Error::Topology("COMMAND returned no commands".into()));
        }
        Ok(table)
    }

    /// The first key of a command, if it has one and the command is known.
    pub fn first_key<'a, A: AsRef<[u8]>>(&self, command: &'a [A]) -> Option<&'a [u8]> {
        let position = self.find(command)?.keys.iter().find_map(|rule| rule.position(command))?;
        command.get(position).map(AsRef::as_ref)
    }

    /// Whether a command is known to change nothing, so that it may be sent again.
    pub fn is_readonly<A: AsRef<[u8]>>(&self, command: &[A]) -> bool {
        self.find(command).is_some_and(|command| command.readonly)
    }

    fn find<A: AsRef<[u8]>>(&self, command: &[A]) -> Option<&Command> {
        let name = lower(command.first()?.as_ref());
        let subcommand = command.get(1).and_then(|word| {
            // Arguments can be large; no subcommand is.
            let word = word.as_ref();
            (word.len() <= 64).then(|| self.commands.get(&format!("{name}|{}", lower(word)))).flatten()
        });
        subcommand.or_else(|| self.commands.get(&name))
    }

    /// Adds one entry of COMMAND: name, arity, flags, first, last, step, categories, tips, key specs, subcommands.
    fn add(&mut self, entry: &Value) {
        let Some(fields) = entry.as_slice() else { return };
        let Some(name) = fields.first().and_then(Value::as_str) else { return };
        let has = |field: usize, flag: &str| {
            fields
                .get(field)
                .and_then(Value::as_slice)
                .is_some_and(|list| list.iter().any(|f| f.as_str() == Some(flag)))
        };
        let specs = fields.get(8).and_then(Value::as_slice).unwrap_or_default();
        let mut keys: Vec<FirstKey> = specs.iter().filter_map(FirstKey::parse).collect();
        if keys.is_empty() {
            // Before Redis 7 there are only first, last and step.
            let first = fields.get(3).and_then(Value::as_i64).and_then(|first| usize::try_from(first).ok());
            keys.extend(first.filter(|&first| first > 0).map(FirstKey::At));
        }
        // EVAL is not marked as a write, since its script decides; only what says `readonly` is.
        self.commands.insert(name.to_ascii_lowercase(), Command { readonly: has(2, "readonly"), keys });
        for subcommand in fields.get(9).and_then(Value::as_slice).unwrap_or_default() {
            // They are not nested deeper.
            if subcommand.as_slice().is_some_and(|fields| fields.len() < 10 || fields[9].as_slice() == Some(&[])) {
                self.add(subcommand);
            }
        }
    }
}

impl FirstKey {
    /// Reads one key specification (<https://redis.io/docs/latest/develop/reference/key-specs/>).
    fn parse(spec: &Value) -> Option<Self> {
        let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_i64);
        let begin = spec.get("begin_search")?;
        let find = spec.get("find_keys")?;
        let begin_spec = begin.get("spec")?;
        // Both count from where the search begins.
        let (key, count) = match find.get("type")?.as_str()? {
            "range" => (0, None),
            "keynum" => {
                let find_spec = find.get("spec")?;
                let key = usize::try_from(number(find_spec, "firstkey")?).ok()?;
                (key, Some(usize::try_from(number(find_spec, "keynumidx")?).ok()?))
            }
            _ => return None,
        };
        match begin.get("type")?.as_str()? {
            "index" => {
                let index = usize::try_from(number(begin_spec, "index")?).ok()?;
                Some(match count {
                    None => Self::At(index + key),
                    Some(count) => Self::Counted(index + count, index + key),
                })
            }
            "keyword" => Some(Self::After {
                word: begin_spec.get("keyword")?.as_bytes()?.to_vec(),
                from: number(begin_spec, "startfrom")?,
                // The search begins right after the word.
                key: key + 1,
                count: count.map(|count| count + 1),
            }),
            _ => None,
        }
    }

    /// Where the key stands in `command`.
    fn position<A: AsRef<[u8]>>(&self, command: &[A]) -> Option<usize> {
        let number = |position: usize| std::str::from_utf8(command.get(position)?.as_ref()).ok()?.parse::<u64>().ok();
        let position = match self {
            Self::At(position) => *position,
            Self::Counted(count, position) => number(*count).filter(|&count| count > 0).map(|_| *position)?,
            Self::After { word, from, key, count } => {
                let is_word = |position: &usize| command[*position].as_ref().eq_ignore_ascii_case(word);
                let at = match usize::try_from(*from) {
                    Ok(from) => (from..command.len()).find(is_word)?,
                    Err(_) => {
                        let last = command.len().checked_sub(usize::try_from(from.unsigned_abs()).ok()?)?;
                        (1..=last).rev().find(is_word)?
                    }
                };
                match count {
                    Some(count) if number(at + count)? == 0 => return None,
                    _ => at + key,
                }
            }
        };
        (position < command.len()).then_some(position)
    }
}

/// The name of a command as the table has it.
fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn text(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    fn list(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn spec(begin: &'static str, begin_spec: Vec<Value>, find: &'static str, find_spec: Vec<Value>) -> Value {
        let part = |kind, spec| list([text("type"), text(kind), text("spec"), Value::Array(spec)]);
        list([text("begin_search"), part(begin, begin_spec), text("find_keys"), part(find, find_spec)])
    }

    fn entry(name: &'static str, flag: &'static str, first: i64, specs: Vec<Value>, subcommands: Vec<Value>) -> Value {
        let number = Value::Integer;
        let flags = list([text(flag)]);
        let none = || list([]);
        list([
            text(name),
            number(-1),
            flags,
            number(first),
            number(first),
            number(1),
            none(),
            none(),
            Value::Array(specs),
            Value::Array(subcommands),
        ])
    }

    fn table() -> CommandTable {
        let number = Value::Integer;
        let by_count = |index, count, key| {
            let find =
                vec![text("keynumidx"), number(count), text("firstkey"), number(key), text("keystep"), number(1)];
            spec("index", vec![text("index"), number(index)], "keynum", find)
        };
        let streams = vec![text("keyword"), text("STREAMS"), text("startfrom"), number(1)];
        let streams = spec("keyword", streams, "range", vec![]);
        let help = entry("object|encoding", "readonly", 2, vec![], vec![]);
        CommandTable::parse(&list([
            entry("get", "readonly", 1, vec![], vec![]),
            entry("set", "write", 1, vec![], vec![]),
            entry("eval", "noscript", 0, vec![by_count(2, 0, 1)], vec![]),
            entry("xread", "readonly", 0, vec![streams], vec![]),
            entry("object", "x", 0, vec![], vec![help]),
            entry("ping", "fast", 0, vec![], vec![]),
        ]))
        .unwrap()
    }

    #[test]
    fn first_keys_are_found() {
        let table = table();
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["GET", "k"], Some("k")),
            (&["get"], None),
            (&["PING"], None),
            (&["EVAL", "return", "1", "k"], Some("k")),
            (&["EVAL", "return", "0", "x"], None),
            (&["XREAD", "COUNT", "2", "streams", "s", "0"], Some("s")),
            (&["XREAD", "COUNT", "2"], None),
            (&["OBJECT", "encoding", "k"], Some("k")),
            (&["OBJECT", "help"], None),
            (&["UNHEARDOF", "k"], None),
        ];
        for (command, key) in cases {
            assert_eq!(table.first_key(command), key.map(str::as_bytes), "{command:?}");
        }
    }

    #[test]
    fn only_what_is_marked_is_sent_again() {
        let table = table();
        assert!(table.is_readonly(&["GET", "k"]));
        assert!(table.is_readonly(&["OBJECT", "ENCODING", "k"]));
        assert!(!table.is_readonly(&["SET", "k", "v"]));
        assert!(!table.is_readonly(&["EVAL", "return", "0"]));
        assert!(!table.is_readonly(&["UNHEARDOF"]));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(CommandTable::parse(&Value::Null).is_err());
        assert!(CommandTable::parse(&list([])).is_err());
        assert!(CommandTable::parse(&list([list([]), Value::Null])).is_err());
    }
}
