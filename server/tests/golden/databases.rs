//! Commands over databases.

use crate::compare::Mask;
use crate::generate::Generator;
use crate::{Command, words};

const DATABASES: &[&str] = &["0", "1", "2", "15"];
const WRONG: &[&str] = &["16", "-1", "x", "", "99999999999", "+1", "01"];
const KEYS: &[&str] = &["a", "b", "c", "l", "h"];

fn database(generator: &mut Generator) -> &'static str {
    let among = if generator.below(15) == 0 { WRONG } else { DATABASES };
    among[generator.below(among.len())]
}

/// The next command.
pub fn command(generator: &mut Generator) -> Command {
    let (one, other) = (database(generator), database(generator));
    let mut pick = |among: &[&'static str]| among[generator.below(among.len())];
    let (key, to) = (pick(KEYS), pick(KEYS));
    let number = pick(&["1", "2", "3", "4"]);
    let replace = pick(&["", " REPLACE", " REPLACE", " FOO"]);
    let line = match pick(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"])
    {
        "0" | "1" | "2" => format!("SELECT {one}"),
        "3" | "4" => format!("SET {key} {number}"),
        "5" => format!("RPUSH l{number} {one} {number}"),
        "6" => format!("HSET h{number} f {number}"),
        "7" => format!("MOVE {key} {one}"),
        "8" => format!("MOVE l{number} {one}"),
        "9" => format!("COPY {key} {to} DB {one}{replace}"),
        "10" => format!("COPY l{number} {to}{replace} DB {one}"),
        "11" => format!("SWAPDB {one} {other}"),
        "12" if number == "1" => pick(&["FLUSHDB", "FLUSHALL", "FLUSHDB ASYNC"]).to_string(),
        "12" => "DBSIZE".to_string(),
        "13" => format!("EXPIRE {key} {number}00000"),
        "14" => format!("GET {key}"),
        "15" => format!("DEL {key}"),
        _ => "KEYS *".to_string(),
    };
    words(&line)
}

/// What looks at everything that is there.
pub fn look() -> Vec<Command> {
    let mut commands = Vec::new();
    for database in 0..16 {
        commands.extend([format!("SELECT {database}"), "DBSIZE".into(), "KEYS *".into()]);
        for key in KEYS {
            commands.extend([format!("GET {key}"), format!("TTL {key}"), format!("TYPE {key}")]);
        }
        commands.extend((1..5).map(|number| format!("LRANGE l{number} 0 -1")));
        commands.push("RANDOMKEY".into());
    }
    commands.iter().map(|line| words(line)).collect()
}

/// How replies are compared.
pub fn mask(command: &Command) -> Mask {
    match command[0].as_slice() {
        b"KEYS" => Mask::Unordered,
        b"TTL" => Mask::Near(2),
        b"RANDOMKEY" => Mask::Kind,
        _ => Mask::Exact,
    }
}
