//! Every command, one row each, by family.

use super::spec::{CommandSpec, Handler};
use super::{
    bitmap, cluster, connection, generic, geo, hash, hyperloglog, list, maintenance, server, set, sorted_set, stream,
    string, transactions,
};
use std::sync::LazyLock;

/// All top-level commands, family by family.
pub static FAMILIES: &[&[&CommandSpec]] = &[
    generic::COMMANDS,
    string::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    stream::COMMANDS,
    connection::COMMANDS,
    server::COMMANDS,
    cluster::COMMANDS,
    transactions::COMMANDS,
];

/// All top-level commands.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().flat_map(|family| family.iter().copied())
}

/// Commands and subcommands that travel, by id.
static BY_ID: LazyLock<Vec<Option<&'static CommandSpec>>> = LazyLock::new(|| {
    let mut table = Vec::new();
    let mut place = |spec: &'static CommandSpec| {
        if spec.id != 0 {
            assert!(spec.id < maintenance::FIRST_ID, "id {} is for internal mutations", spec.id);
            let id = usize::from(spec.id);
            table.resize(table.len().max(id + 1), None);
            assert!(table[id].replace(spec).is_none(), "id {id} is given twice");
        }
    };
    for spec in all() {
        place(spec);
        if let Handler::Container(subcommands) = spec.handler {
            subcommands.iter().for_each(|spec| place(spec));
        }
    }
    table
});

/// The command, subcommand or internal mutation with `id`.
pub fn by_id(id: u16) -> Option<&'static CommandSpec> {
    match id.checked_sub(maintenance::FIRST_ID) {
        Some(internal) => maintenance::MUTATIONS.get(usize::from(internal)).copied(),
        None => BY_ID.get(usize::from(id)).copied().flatten(),
    }
}

/// Every command and subcommand with its full name (`client|list`), in the order of the table; calls are counted under
/// their positions here. A subcommand without a name, what a container does on its own, has the container's.
pub fn named() -> &'static [(String, &'static CommandSpec)] {
    static NAMED: LazyLock<Vec<(String, &'static CommandSpec)>> = LazyLock::new(|| {
        let mut named = Vec::new();
        for spec in all() {
            named.push((spec.name.to_string(), spec));
            for sub in subcommands(spec) {
                let separator = if sub.name.is_empty() { "" } else { "|" };
                named.push((format!("{}{separator}{}", spec.name, sub.name), sub));
            }
        }
        named
    });
    &NAMED
}

/// The subcommands of a container; none of other commands.
pub fn subcommands(spec: &'static CommandSpec) -> impl Iterator<Item = &'static CommandSpec> {
    let subcommands: &[_] = match spec.handler {
        Handler::Container(subcommands) => subcommands,
        _ => &[],
    };
    subcommands.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::maintenance::MUTATIONS;
    use larder_protocol::{Flags, KeySpec};
    use std::collections::{BTreeSet, HashMap, HashSet};

    /// Every command and subcommand under its full name.
    fn everything() -> Vec<(String, &'static CommandSpec)> {
        // What a container does on its own has its name.
        let everything: Vec<_> = named().iter().filter(|(_, spec)| !spec.name.is_empty()).cloned().collect();
        assert!(everything.iter().any(|(name, _)| name == "memory|usage"));
        everything
    }

    /// Whether a handler works on a partition, and whether it changes it.
    fn changes_data(spec: &CommandSpec) -> Option<bool> {
        match spec.handler {
            Handler::Read(_) | Handler::ReadFanout(..) | Handler::ReadAll(..) | Handler::Scan(_) => Some(false),
            Handler::Write(_) | Handler::WriteFanout(..) | Handler::WriteAll(..) => Some(true),
            Handler::Container(_) | Handler::Connection(_) | Handler::Dispatch => None,
        }
    }

    #[test]
    fn names_and_ids_are_unique() {
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for (name, spec) in everything() {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(names.insert(name.clone()), "{name} is there twice");
            if changes_data(spec).is_some() {
                assert_ne!(spec.id, 0, "{name} travels and needs an id");
            }
            assert!(spec.id == 0 || ids.insert(spec.id), "the id of {name} is given twice");
            assert!(!spec.summary.is_empty() && !spec.complexity.is_empty() && !spec.since.is_empty(), "{name}");
        }
    }

    #[test]
    fn data_commands_say_what_they_touch() {
        for (name, spec) in everything() {
            let Some(writes) = changes_data(spec) else { continue };
            assert_eq!(spec.flags.contains(Flags::WRITE), writes, "{name}");
            assert_eq!(spec.flags.contains(Flags::READONLY), !writes, "{name}");
            let whole_keyspace =
                matches!(spec.handler, Handler::ReadAll(..) | Handler::WriteAll(..) | Handler::Scan(_));
            assert_eq!(spec.keys == KeySpec::None, whole_keyspace, "{name}");
        }
    }

    #[test]
    fn ids_lead_to_their_rows() {
        for (name, spec) in everything() {
            if spec.id != 0 {
                assert!(by_id(spec.id).is_some_and(|found| std::ptr::eq(found, spec)), "{name}");
            }
        }
        for mutation in MUTATIONS {
            assert!(by_id(mutation.id).is_some_and(|found| std::ptr::eq(found, *mutation)), "{}", mutation.name);
            assert!(all().all(|spec| spec.name != mutation.name), "{} has a name for clients", mutation.name);
        }
        assert!(by_id(0).is_none() && by_id(u16::MAX).is_none());
    }

    /// What cluster clients learn from COMMAND is what a redis-server tells them. Flags that Larder has no use for are
    /// left out.
    #[test]
    fn rows_say_what_redis_says() {
        let known: HashSet<&str> = Flags::NAMED.iter().map(|(_, name)| *name).collect();
        let redis: HashMap<&str, Vec<&str>> = include_str!("../../tests/golden/command_info.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .map(|fields| (fields[0], fields[1..].to_vec()))
            .collect();
        let ours = |name: &str| name.split('|').next() == Some("larder");
        for (name, spec) in everything().into_iter().filter(|(name, _)| !ours(name)) {
            let Some(theirs) = redis.get(name.as_str()) else { panic!("{name} is no command of Redis") };
            let (first, last, step) = spec.keys.wire();
            let numbers = [spec.arity.wire(), first, last, step].map(|number| number.to_string());
            assert_eq!(numbers.as_slice(), &theirs[..4], "arity and keys of {name}");
            let theirs: BTreeSet<&str> = theirs[4..].iter().copied().filter(|flag| known.contains(flag)).collect();
            assert_eq!(spec.flags.names().collect::<BTreeSet<_>>(), theirs, "flags of {name}");
        }
    }
}
