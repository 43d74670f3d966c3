//! Databases: what SELECT chooses among.
//!
//! Each has items, watches and perhaps a view of its own. One is selected: what it has stands in the keyspace itself, so
//! that an item of database 0 costs no byte, and its commands no more than to see that nothing is to be selected; what
//! the others have is boxed. So a database is swapped with another, emptied and counted in O(1). A database of which
//! there is nothing to remember takes no memory.

use super::arena::{Mark, Ref};
use super::items::Items;
use super::order::{Ranked, Walk};
use super::store::{Keyspace, item_digest, mark_of, mix, victim};
use super::view::View;
use super::watch::Watches;
use super::{EvictionOrder, Victim};
use crate::clock::UnixMs;
use crate::ids::DatabaseNo;
use smallvec::SmallVec;
use std::sync::Arc;

/// A database that is not selected.
struct Database {
    items: Items,
    watches: Watches,
    view: Option<Box<View>>,
}

impl Database {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.items.bytes() + self.view.as_ref().map_or(0, |view| size_of::<View>() + view.bytes())
    }

    /// Whether there is nothing to remember of it.
    fn is_idle(&self) -> bool {
        self.items.table.len() == 0 && self.watches.is_empty() && self.view.is_none()
    }
}

/// The databases that are not selected and have something to remember, by number.
#[derive(Default)]
pub(super) struct Others {
    list: Vec<(DatabaseNo, Box<Database>)>,
    bytes: usize,
}

impl Others {
    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes held.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn bytes_of(database: &Database) -> usize {
        database.bytes() + size_of::<(DatabaseNo, Box<Database>)>()
    }

    fn find(&self, database: DatabaseNo) -> Result<usize, usize> {
        self.list.binary_search_by_key(&database, |(number, _)| *number)
    }

    fn get(&self, database: DatabaseNo) -> Option<&Database> {
        self.find(database).ok().map(|at| &*self.list[at].1)
    }

    fn take(&mut self, database: DatabaseNo) -> Option<Box<Database>> {
        let at = self.find(database).ok()?;
        let (_, taken) = self.list.remove(at);
        self.bytes -= Self::bytes_of(&taken);
        Some(taken)
    }

    /// Keeps a database that is not among them, unless there is nothing to remember.
    fn put(&mut self, number: DatabaseNo, database: Box<Database>) {
        if database.is_idle() {
            return;
        }
        let at = self.find(number).unwrap_or_else(|at| at);
        self.bytes += Self::bytes_of(&database);
        self.list.insert(at, (number, database));
    }
}

/// A database in numbers, of one partition or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Items, those that are due and not yet reaped included.
    pub keys: u64,
    /// Those with a deadline.
    pub expires: u64,
    /// Hashes of which some field has a deadline.
    pub subexpiry: u64,
    /// Sum of the times to the deadlines.
    pub ttl_sum_ms: u128,
}

impl DatabaseFigures {
    fn of(items: &Items, now: UnixMs) -> Self {
        let expires = items.deadlines.len() as u64;
        Self {
            keys: items.table.len() as u64,
            expires,
            subexpiry: items.field_deadlines.len() as u64,
            ttl_sum_ms: items.deadlines.sum().saturating_sub(u128::from(now) * u128::from(expires)),
        }
    }

    /// Adds what another partition has.
    pub fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.subexpiry += other.subexpiry;
        self.ttl_sum_ms += other.ttl_sum_ms;
    }

    /// Average time to the deadline.
    pub fn average_ttl_ms(&self) -> u64 {
        self.ttl_sum_ms.checked_div(u128::from(self.expires)).unwrap_or(0) as u64
    }
}

/// Databases.
impl Keyspace {
    /// The selected database.
    pub fn database(&self) -> DatabaseNo {
        self.database
    }

    /// Selects a database: the one that methods work on from now on.
    #[inline]
    pub fn select(&mut self, database: DatabaseNo) {
        if database != self.database {
            self.switch(database);
        }
    }

    #[inline(never)]
    fn switch(&mut self, to: DatabaseNo) {
        let mut other = self.take_other(to);
        std::mem::swap(&mut self.items, &mut other.items);
        std::mem::swap(&mut self.watches, &mut other.watches);
        std::mem::swap(&mut self.view, &mut other.view);
        let from = std::mem::replace(&mut self.database, to);
        self.others.put(from, other);
    }

    fn take_other(&mut self, database: DatabaseNo) -> Box<Database> {
        let taken = self.others.take(database);
        taken.unwrap_or_else(|| {
            Box::new(Database { items: self.empty_items(), watches: Watches::default(), view: None })
        })
    }

    /// Calls `visit` with each database selected that has something to remember, and the selected one first.
    pub(super) fn each_database(&mut self, mut visit: impl FnMut(&mut Self)) {
        visit(self);
        if self.others.is_empty() {
            return;
        }
        let selected = self.database;
        let others: SmallVec<[DatabaseNo; 16]> = self.others.list.iter().map(|(number, _)| *number).collect();
        for database in others {
            self.select(database);
            visit(self);
        }
        self.select(selected);
    }

    fn all_items(&self) -> impl Iterator<Item = (DatabaseNo, &Items)> {
        let others = self.others.list.iter().map(|(number, database)| (*number, &database.items));
        std::iter::once((self.database, &self.items)).chain(others)
    }

    /// Has every database's items visited; what they hold may change a little, since orders are refined when they are looked at.
    fn refine<T>(&mut self, visit: impl FnOnce(&mut dyn Iterator<Item = (DatabaseNo, &mut Items)>) -> T) -> T {
        let others = self.others.list.iter_mut().map(|(number, database)| (*number, &mut database.items));
        let result = visit(&mut std::iter::once((self.database, &mut self.items)).chain(others));
        self.others.bytes = self.others.list.iter().map(|(_, database)| Others::bytes_of(database)).sum();
        result
    }

    fn items_of(&self, database: DatabaseNo) -> Option<&Items> {
        if database == self.database { Some(&self.items) } else { self.others.get(database).map(|other| &other.items) }
    }

    /// How many items there are in all databases.
    pub fn total_len(&self) -> usize {
        self.all_items().map(|(_, items)| items.table.len()).sum()
    }

    /// How many items a database has.
    pub fn len_of(&self, database: DatabaseNo) -> usize {
        self.items_of(database).map_or(0, |items| items.table.len())
    }

    /// The databases that have items, with their figures.
    pub fn figures(&self, now: UnixMs) -> impl Iterator<Item = (DatabaseNo, DatabaseFigures)> {
        let some = self.all_items().filter(|(_, items)| items.table.len() > 0);
        some.map(move |(database, items)| (database, DatabaseFigures::of(items, now)))
    }

    /// Whether an item that is due at `now` is stored at `key` of a database.
    pub fn is_due_in(&self, database: DatabaseNo, key: &[u8], now: UnixMs) -> bool {
        self.items_of(database).is_some_and(|items| {
            items.find(items.heap.hash(key), key).is_some_and(|(_, at)| items.heap.is_due(at, now))
        })
    }

    /// Swaps what two databases have. Of the keys that are watched or waited for, in either, those have changed that are
    /// in one of them. A view of the items goes with them.
    pub fn swap_databases(&mut self, one: DatabaseNo, other: DatabaseNo) {
        if one == other {
            return;
        }
        let selected = self.database;
        self.select(one);
        let mut taken = self.take_other(other);
        let there = |key: &[u8]| {
            [&self.items, &taken.items].iter().any(|items| items.find(items.heap.hash(key), key).is_some())
        };
        self.watches.signal_all(there);
        taken.watches.signal_all(there);
        std::mem::swap(&mut self.items, &mut taken.items);
        std::mem::swap(&mut self.view, &mut taken.view);
        self.others.put(other, taken);
        self.select(selected);
    }

    /// [`Keyspace::clear`] for all databases.
    pub fn clear_all(&mut self) -> impl Send + use<> {
        let mut held = Vec::new();
        self.each_database(|keyspace| held.push(keyspace.clear()));
        held
    }

    /// Keys of all databases of which something is due at `now`, at most `limit`: items, soonest first, then hashes with
    /// fields that are. For [`Keyspace::reap`].
    pub fn due(&mut self, now: UnixMs, limit: usize) -> Vec<(DatabaseNo, Vec<u8>)> {
        let several = !self.others.is_empty();
        let mut found: Vec<(UnixMs, DatabaseNo, Vec<u8>)> = Vec::new();
        self.refine(|all| {
            for (database, items) in all {
                let before = found.len();
                items.walk_due(now, |heap, (deadline, at)| {
                    let more = found.len() - before < limit;
                    if more {
                        found.push((deadline, database, heap.key(at).to_vec()));
                    }
                    more
                });
            }
        });
        let order = |found: &mut Vec<(UnixMs, DatabaseNo, Vec<u8>)>, limit| {
            if several {
                found.sort_by_key(|(deadline, ..)| *deadline);
                found.truncate(limit);
            }
        };
        order(&mut found, limit);
        let left = limit - found.len();
        let mut fields = Vec::new();
        for (database, items) in self.all_items() {
            let due = items.field_deadlines.soonest_first().take(left).take_while(|(deadline, _)| *deadline <= now);
            fields.extend(due.map(|(deadline, at)| (deadline, database, items.heap.key(at).to_vec())));
        }
        order(&mut fields, left);
        found.into_iter().chain(fields).map(|(_, database, key)| (database, key)).collect()
    }

    /// The soonest deadline of all databases, of items and of fields.
    #[cfg(test)]
    pub fn next_deadline(&mut self) -> Option<UnixMs> {
        let fields = |items: &Items| items.field_deadlines.soonest_first().next().map(|(deadline, _)| deadline);
        self.refine(|all| all.flat_map(|(_, items)| [items.soonest(), fields(items)]).flatten().min())
    }

    /// [`Keyspace::victims`] where several databases have something.
    pub(super) fn victims_of_all(
        &mut self,
        order: EvictionOrder,
        volatile: bool,
        take: &mut dyn FnMut(Victim<'_>) -> bool,
    ) {
        match order {
            EvictionOrder::Recency | EvictionOrder::Deadline => self.victims_in_order(order, take),
            _ => self.victims_of_samples(order, volatile, take),
        }
    }

    /// Merges the orders of the databases.
    fn victims_in_order(&mut self, order: EvictionOrder, take: &mut dyn FnMut(Victim<'_>) -> bool) {
        let mark = mark_of(order);
        self.refine(|all| {
            let mut lines: Vec<_> = all.map(|(database, items)| Line::new(database, items, mark)).collect();
            loop {
                let first = lines.iter_mut().filter_map(|line| Some((line.head?, line))).min_by_key(|(head, _)| *head);
                let Some(((_, at), line)) = first else { break };
                if !take(victim(line.database, &line.items.heap, at)) {
                    break;
                }
                line.head = line.items.next(mark, &mut line.walk);
            }
            lines.into_iter().for_each(|line| line.items.end(mark, line.walk));
        });
    }

    /// Takes each from a database that is chosen by chance, the fuller the likelier.
    fn victims_of_samples(&mut self, order: EvictionOrder, volatile: bool, take: &mut dyn FnMut(Victim<'_>) -> bool) {
        let selected = self.database;
        let population = |items: &Items| if volatile { items.deadlines.len() } else { items.table.len() };
        let mut lots: Vec<(DatabaseNo, usize, SmallVec<[Ref; 16]>)> =
            self.all_items().map(|(database, items)| (database, population(items), SmallVec::new())).collect();
        loop {
            let total: usize = lots.iter().map(|(_, left, _)| left).sum();
            if total == 0 {
                break;
            }
            let mut chosen = self.items.dice_below(total);
            let lot = lots.iter_mut().find(|(_, left, _)| {
                let here = chosen < *left;
                chosen = chosen.saturating_sub(*left);
                here
            });
            let Some((database, left, offered)) = lot else { break };
            self.select(*database);
            let Some(at) = self.worst_of_a_sample(order, volatile, offered) else {
                *left = 0;
                continue;
            };
            *left -= 1;
            offered.push(at);
            if !take(victim(*database, &self.items.heap, at)) {
                break;
            }
        }
        self.select(selected);
    }

    /// Whether a key that is waited for was touched, in any database: changed, stored or removed.
    #[inline]
    pub fn has_touched(&self) -> bool {
        self.watches.has_touched() || self.others.list.iter().any(|(_, other)| other.watches.has_touched())
    }

    /// The keys that are waited for and were touched since this was asked last; those of a database in the order of their
    /// first touch.
    pub fn take_touched(&mut self) -> Vec<(DatabaseNo, Arc<[u8]>)> {
        let mut touched = Vec::new();
        self.each_database(|keyspace| {
            let database = keyspace.database;
            touched.extend(keyspace.watches.take_touched().into_iter().map(|key| (database, key)));
        });
        touched
    }

    /// The views of all databases.
    pub(super) fn views(&self) -> impl Iterator<Item = &View> {
        let others = self.others.list.iter().map(|(_, database)| &database.view);
        std::iter::once(&self.view).chain(others).filter_map(|view| view.as_deref())
    }

    /// The databases whose views were not read to their ends.
    pub(super) fn unread_views(&self) -> SmallVec<[DatabaseNo; 16]> {
        let others = self.others.list.iter().map(|(number, database)| (*number, &database.view));
        let all = std::iter::once((self.database, &self.view)).chain(others);
        all.filter(|(_, view)| view.as_ref().is_some_and(|view| view.has_more())).map(|(number, _)| number).collect()
    }

    /// A digest of all items (databases, keys, values, deadlines), whatever the order in which they came. Equal on copies
    /// that applied the same entries.
    pub fn digest(&self) -> u64 {
        self.all_items().fold(0, |sum, (database, items)| {
            let of_item = |at: Ref| match (database, item_digest(items.heap.key(at), items.heap.item(at))) {
                (DatabaseNo::FIRST, digest) => digest,
                (DatabaseNo(number), digest) => mix(digest ^ mix(u64::from(number))),
            };
            items.table.items().fold(sum, |sum: u64, at| sum.wrapping_add(of_item(at)))
        })
    }
}

/// A database's items in an order, the first one seen.
struct Line<'a> {
    database: DatabaseNo,
    items: &'a mut Items,
    walk: Walk,
    head: Option<Ranked>,
}

impl<'a> Line<'a> {
    fn new(database: DatabaseNo, items: &'a mut Items, mark: Mark) -> Self {
        let mut walk = Walk::default();
        let head = items.next(mark, &mut walk);
        Self { database, items, walk, head }
    }
}

#[cfg(test)]
#[path = "databases_tests.rs"]
mod tests;

#[cfg(any(test, fuzzing))]
impl Others {
    /// Bytes that are not the databases' own: for the account, added up anew.
    pub(super) fn own_bytes(&self) -> usize {
        self.list.len() * (size_of::<(DatabaseNo, Box<Database>)>() + size_of::<Database>())
    }
}
