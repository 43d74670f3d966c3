//! Looking ahead in a batch: the memory that its next commands will wait for is asked for before the first of them runs.
//!
//! Group prefetching as in MemC3 (Fan, Andersen, Kaminsky 2013) and Valkey 8: first the buckets of all keys, then where the
//! pages of the items that they name are told, then the items. A lookup among a million keys is two waits for memory, three
//! among more, two more where the value is long; those of a group pass at the same time.

use super::Conversation;
use super::keyed::Cursor;
use super::lookup::Entry;
use crate::commands::Family;
use crate::keyspace::Keyspace;
use larder_protocol::{CommandBatch, Slot, slot_of};

/// Commands that are looked at together: enough to keep every line fill buffer of a core busy, few enough for what was
/// asked for to be in its first cache when they run.
const GROUP: usize = 32;

/// What was found out about a command before it ran.
#[derive(Clone, Copy)]
pub(super) struct Foreseen {
    /// Its row.
    pub entry: &'static Entry,
    /// The slot and the hash of its key, where it has exactly one.
    pub key: Option<(Slot, u64)>,
}

/// What is known of the commands from `begin` on.
#[derive(Default)]
pub(super) struct Ahead {
    begin: usize,
    /// `None` for a command that is unknown, or has several keys.
    foreseen: Vec<Option<Foreseen>>,
    /// Whether values are long enough to lie outside of their items' chunks, to judge by the last batch.
    values_are_long: bool,
}

/// Bytes of a command and its reply from which on its value is held to be long. Values up to a kilobyte are in their
/// chunks, but asking for what is not there costs little beside handling so much.
const LONG_BYTES_MIN: usize = 768;

impl Ahead {
    /// Forgets everything, as at the beginning of a batch.
    pub fn clear(&mut self) {
        self.begin = 0;
        self.foreseen.clear();
    }

    /// Learns from a batch how long values are.
    pub fn learn(&mut self, bytes: usize, commands: usize) {
        self.values_are_long = bytes >= commands * LONG_BYTES_MIN;
    }

    /// What is known of the command at `index`.
    #[inline]
    pub fn of(&self, index: usize) -> Option<Foreseen> {
        *self.foreseen.get(index.checked_sub(self.begin)?)?
    }
}

impl Conversation {
    /// Looks at the group of commands that begins at `at`, unless it is known already or there is only one.
    #[inline]
    pub(super) fn look_ahead(&mut self, rest: &Cursor<'_>) {
        if rest.at >= self.ahead.begin + self.ahead.foreseen.len() && rest.batch.len() - rest.at > 1 {
            self.foresee(rest.input, rest.batch, rest.at);
        }
    }

    fn foresee(&mut self, input: &[u8], batch: &CommandBatch, at: usize) {
        let Ahead { begin, foreseen, values_are_long } = &mut self.ahead;
        *begin = at;
        foreseen.clear();
        let routes = &self.dispatcher.routes;
        // One seed serves all partitions.
        let Some(seed) = routes.partitions().first().map(|partition| partition.seed()) else { return };
        foreseen.extend((at..batch.len().min(at + GROUP)).map(|index| {
            let args = batch.args(input, index);
            let entry = self.lookup.find(args).ok()?;
            let key = (entry.single_key != 0).then(|| args.get(entry.single_key)).flatten();
            Some(Foreseen { entry, key: key.map(|key| (slot_of(key), seed.hash(key))) })
        }));
        let boot_ns = self.moment.boot_ns;
        let keyed = |ask: fn(&Keyspace, u64)| {
            let mut last = None;
            for (slot, hash) in foreseen.iter().flatten().filter_map(|foreseen| foreseen.key) {
                let partition = routes.partition_of(slot);
                // Commands on one key: its memory is asked for once, and so is its partition's lock. What another node
                // answers is not asked for here.
                if last.replace(hash) != Some(hash) && partition.may_answer_alone(boot_ns) {
                    partition.prefetch(|keyspace| ask(keyspace, hash));
                }
            }
        };
        keyed(Keyspace::prefetch_bucket);
        keyed(Keyspace::prefetch_page);
        keyed(Keyspace::prefetch_item);
        if *values_are_long {
            keyed(Keyspace::prefetch_outside);
            keyed(Keyspace::prefetch_value);
        }
        self.foresee_members(input, batch);
    }

    /// Where commands in a row are on one key, they are on members of one collection: asks for those.
    fn foresee_members(&self, input: &[u8], batch: &CommandBatch) {
        let Ahead { begin, foreseen, .. } = &self.ahead;
        let key = |foreseen: &Option<Foreseen>| foreseen.and_then(|foreseen| foreseen.key);
        let mut end = *begin;
        for row in foreseen.chunk_by(|one, next| key(one).is_some() && key(one) == key(next)) {
            let places = end..end + row.len();
            end = places.end;
            let (Some(Foreseen { entry, key: Some((slot, hash)) }), 2..) = (row[0], row.len()) else { continue };
            let Some(member_at) = member_position(entry) else { continue };
            let partition = self.dispatcher.routes.partition_of(slot);
            if partition.may_answer_alone(self.moment.boot_ns) {
                let members = places.filter_map(|place| batch.args(input, place).get(member_at));
                partition.prefetch(|keyspace| keyspace.prefetch_members(hash, members));
            }
        }
    }
}

/// The position of the first member, or field, that a command names.
fn member_position(entry: &Entry) -> Option<usize> {
    match entry.spec.family {
        Family::SortedSet if matches!(entry.spec.name, "zadd" | "zincrby") => Some(3),
        Family::Hash | Family::Set | Family::SortedSet => Some(2),
        _ => None,
    }
}
