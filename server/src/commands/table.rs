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
