//! From a command's name to its row, without allocation and with one probe.

use crate::commands::blocking::{self, Blocking};
use crate::commands::table;
use crate::commands::{CommandSpec, Handler};
use larder_protocol::{Args, Flags};
use std::sync::LazyLock;

/// A row of the command table with what dispatch derives from it once.
pub struct Entry {
    /// The row.
    pub spec: &'static CommandSpec,
    /// The whole name, `client|list` for a subcommand.
    pub name: &'static str,
    /// Its position among all commands and subcommands, for counters.
    pub index: usize,
    /// The position of its key, where there is exactly one at a fixed place; 0 otherwise.
    pub single_key: usize,
    /// How it waits, where it may.
    pub blocking: Option<&'static Blocking>,
    /// Its subcommands, where it is a container.
    pub subcommands: Vec<Entry>,
}

impl Entry {
    /// Whether `flags` are among its flags.
    pub fn has(&self, flags: Flags) -> bool {
        self.spec.flags.contains(flags)
    }

    /// Whether it works on the partition of its keys.
    pub fn is_data(&self) -> bool {
        use Handler::{Read, ReadFanout, Write, WriteFanout};
        matches!(self.spec.handler, Read(_) | Write(_) | ReadFanout(..) | WriteFanout(..))
    }

    /// Whether it works on every partition in the connection's scope.
    pub fn is_everywhere(&self) -> bool {
        matches!(self.spec.handler, Handler::ReadAll(..) | Handler::WriteAll(..) | Handler::Scan(_))
    }

    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        matches!(self.spec.handler, Handler::Write(_) | Handler::WriteFanout(..) | Handler::WriteAll(..))
    }
}

/// Why a name finds no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No such command.
    Command,
    /// The container, whose name this is, has no such subcommand.
    Subcommand(&'static str),
}

/// Every command by name: a hash table whose seed is chosen so that no two names share a bucket.
pub struct Lookup {
    entries: Vec<Entry>,
    buckets: Vec<u16>,
    seed: u32,
}

/// Marks an empty bucket.
const EMPTY: u16 = u16::MAX;

static LOOKUP: LazyLock<Lookup> = LazyLock::new(|| Lookup::new(table::all()));

impl Lookup {
    /// The node's commands.
    pub fn global() -> &'static Self {
        &LOOKUP
    }

    fn new(specs: impl Iterator<Item = &'static CommandSpec>) -> Self {
        let mut next = 0;
        let entries: Vec<Entry> = specs.map(|spec| Self::entry(spec, &mut next)).collect();
        let mut size = (entries.len() * 8).next_power_of_two();
        loop {
            let found = (0..2000).find_map(|seed| Some((seed, Self::place(&entries, size, seed)?)));
            if let Some((seed, buckets)) = found {
                return Self { entries, buckets, seed };
            }
            size *= 2;
        }
    }

    /// Rows are numbered as [`table::named`] lists them.
    fn entry(spec: &'static CommandSpec, next: &mut usize) -> Entry {
        let index = *next;
        *next += 1;
        let single_key = spec.keys.single();
        let subcommands = match spec.handler {
            Handler::Container(subcommands) => subcommands.iter().map(|sub| Self::entry(sub, next)).collect(),
            _ => Vec::new(),
        };
        Entry { spec, name: &table::named()[index].0, index, single_key, blocking: blocking::of(spec), subcommands }
    }

    fn place(entries: &[Entry], size: usize, seed: u32) -> Option<Vec<u16>> {
        let mut buckets = vec![EMPTY; size];
        for (at, entry) in entries.iter().enumerate() {
            let bucket = &mut buckets[hash(entry.spec.name.as_bytes(), seed) as usize & (size - 1)];
            if *bucket != EMPTY {
                return None;
            }
            *bucket = at as u16;
        }
        Some(buckets)
    }

    /// The top-level command called `name`, in any case.
    pub fn command(&self, name: &[u8]) -> Option<&Entry> {
        let at = self.buckets[hash(name, self.seed) as usize & (self.buckets.len() - 1)];
        let entry = self.entries.get(usize::from(at))?;
        entry.spec.name.as_bytes().eq_ignore_ascii_case(name).then_some(entry)
    }

    /// The row that carries `args` out: the command's own, or that of the subcommand that its first argument chooses.
    ///
    /// # Errors
    /// [`Unknown`] says which of the two names is unknown. A container without a subcommand finds itself, and fails
    /// the arity gate there, unless it has a subcommand without a name.
    pub fn find(&self, args: Args<'_>) -> Result<&Entry, Unknown> {
        let entry = args.get(0).and_then(|name| self.command(name)).ok_or(Unknown::Command)?;
        if entry.subcommands.is_empty() {
            return Ok(entry);
        }
        let called =
            |wanted: &[u8]| entry.subcommands.iter().find(|sub| sub.spec.name.as_bytes().eq_ignore_ascii_case(wanted));
        match args.get(1) {
            None => Ok(called(b"").unwrap_or(entry)),
            Some(b"") => Err(Unknown::Subcommand(entry.spec.name)),
            Some(wanted) => called(wanted).ok_or(Unknown::Subcommand(entry.spec.name)),
        }
    }
}

/// FNV-1a over the lower-cased name.
fn hash(name: &[u8], seed: u32) -> u32 {
    let hash = name.iter().fold(0x811c_9dc5 ^ seed.wrapping_mul(0x9e37_79b9), |hash: u32, byte| {
        (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193)
    });
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        let lookup = Lookup::global();
        for spec in table::all() {
            let upper = spec.name.to_ascii_uppercase();
            assert!(std::ptr::eq(lookup.command(upper.as_bytes()).unwrap().spec, spec));
            assert!(std::ptr::eq(lookup.command(spec.name.as_bytes()).unwrap().spec, spec));
        }
        assert!(lookup.command(b"nosuch").is_none() && lookup.command(b"").is_none());
        assert!(lookup.command(&[b'x'; 70_000]).is_none());
    }
}
