//! Every command, one row each, by family.

use super::spec::{CommandSpec, Handler};
use super::{cluster, connection, generic, maintenance, server, string, transactions};
use std::sync::LazyLock;

/// All top-level commands, family by family.
pub static FAMILIES: &[&[&CommandSpec]] = &[
    generic::COMMANDS,
    string::COMMANDS,
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
