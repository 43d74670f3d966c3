//! The gates: what every command passes before it is carried out or queued, in the order in which clients see them.
//!
//! Redis's `processCommand` has the same order: unknown, arity, MULTI, authentication, slots, memory, the cluster's state. That the
//! slot is served here is checked last, under the lock that the command runs under (or is queued for).

use super::conversation::Conversation;
use super::lookup::Entry;
use super::rejection::Rejection;
use crate::commands::session::PortKind;
use crate::commands::{Family, Handler, transactions};
use crate::ids::PartitionId;
use larder_protocol::{Args, Flags, KeySpec, Slot, migrate_keys, slot_of, stream_keys};

/// A command on its way through the gates.
pub(super) struct Candidate<'a> {
    pub entry: &'static Entry,
    pub args: Args<'a>,
    /// Slot and hash of its key, where it has exactly one and they are known already.
    pub key: Option<(Slot, u64)>,
    pub keys: Keys,
}

/// Where the keys of a command are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// It has none.
    None,
    /// In one partition; the slot of the first.
    Together(Slot),
    /// In several partitions: it is split.
    Apart,
}

type Gate = fn(&Conversation, &mut Candidate<'_>) -> Result<(), Rejection>;

/// All gates after the lookup, in order.
const GATES: [Gate; 6] = [arity, transaction, authentication, slots, memory, place];

/// Leads a command through all gates.
pub(super) fn admit(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    GATES.iter().try_for_each(|gate| gate(conversation, candidate))
}

fn arity(_: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    let entry = candidate.entry;
    let container = matches!(entry.spec.handler, Handler::Container(_));
    if entry.spec.arity.allows(candidate.args.len()) && !container {
        return Ok(());
    }
    Err(Rejection::Arity(entry.name))
}

fn transaction(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    let Some(transaction) = &conversation.transaction else { return Ok(()) };
    // What takes a way through the network and back is no part of one entry.
    if candidate.entry.has(Flags::NO_MULTI) || candidate.entry.spec.keys == KeySpec::Migrate {
        return Err(Rejection::NotInTransaction);
    }
    if candidate.entry.is_data() && transaction.is_behind_everywhere() {
        return Err(Rejection::TransactionOrder);
    }
    Ok(())
}

fn authentication(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    if conversation.session.authenticated || candidate.entry.has(Flags::NO_AUTH) {
        return Ok(());
    }
    Err(Rejection::NoAuth)
}

fn slots(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    let entry = candidate.entry;
    if let Some((slot, _)) = candidate.key {
        candidate.keys = Keys::Together(slot);
    } else if entry.single_key != 0 {
        let key = candidate.args.get(entry.single_key).ok_or(Rejection::BadKeys)?;
        candidate.keys = Keys::Together(slot_of(key));
    } else if entry.spec.keys != KeySpec::None {
        candidate.keys = where_keys_are(conversation, candidate)?;
    }
    if let (Keys::Together(slot), Some(transaction)) = (candidate.keys, &conversation.transaction) {
        // All keys of a transaction, and those it watches, are in one slot.
        let bound = transaction.slot.or(conversation.watch.as_ref().map(|watch| watch.slot));
        if bound.is_some_and(|bound| bound != slot) {
            return Err(Rejection::CrossSlot);
        }
    }
    Ok(())
}

fn where_keys_are(conversation: &Conversation, candidate: &Candidate<'_>) -> Result<Keys, Rejection> {
    let args = candidate.args;
    let splits = matches!(candidate.entry.spec.handler, Handler::ReadFanout(..) | Handler::WriteFanout(..))
        || candidate.entry.spec.keys == KeySpec::Migrate;
    let may_split = splits && conversation.session.port == PortKind::Client && conversation.transaction.is_none();
    let mut first: Option<Slot> = None;
    let partitions = conversation.dispatcher.routes.partitions().len() as u16;
    for position in key_positions(candidate.entry, args)? {
        let slot = slot_of(&args[position]);
        match first {
            None => first = Some(slot),
            Some(other) if other == slot => {}
            Some(_) if !may_split => return Err(Rejection::CrossSlot),
            Some(other) if PartitionId::of_slot(slot, partitions) == PartitionId::of_slot(other, partitions) => {}
            Some(_) => return Ok(Keys::Apart),
        }
    }
    Ok(first.map_or(Keys::None, Keys::Together))
}

/// The positions of a command's keys.
pub(super) fn key_positions(entry: &Entry, args: Args<'_>) -> Result<impl Iterator<Item = usize> + use<>, Rejection> {
    let spec = entry.spec.keys;
    let mut counted = None;
    let mut stand_in = None;
    let mut streams = 0..0;
    if let KeySpec::Counted { count } | KeySpec::StoreCounted { count } = spec {
        let at = usize::from(count);
        let most = args.len().saturating_sub(at + 1);
        counted = args.get(at).and_then(parse_count).filter(|number| (1..=most).contains(number));
        // Each command has words of its own for a wrong count: its handler is run where the count's text would be a key.
        stand_in = (counted.is_none() && at < args.len()).then_some(at);
    }
    if spec == KeySpec::Streams {
        // Where they cannot be told, its handler says what is wrong, wherever it runs.
        streams = stream_keys(args.iter()).unwrap_or(1..2);
    }
    if spec == KeySpec::Migrate {
        streams = migrate_keys(args);
    }
    let spec = if stand_in.is_some() { KeySpec::None } else { spec };
    let positions = spec.positions(args.len(), move |_| counted);
    Ok(stand_in.into_iter().chain(streams).chain(positions).chain(spec.stores(args)))
}

fn parse_count(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn memory(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    let dispatcher = &conversation.dispatcher;
    if std::ptr::eq(candidate.entry.spec, &transactions::EXEC) {
        let bound = conversation.transaction.as_ref().filter(|queued| queued.denyoom).and_then(|queued| queued.slot);
        return match bound {
            Some(slot) if !dispatcher.memory.admit(dispatcher.routes.partition_of(slot)) => Err(Rejection::OutOfMemory),
            _ => Ok(()),
        };
    }
    if !candidate.entry.has(Flags::DENYOOM) {
        return Ok(());
    }
    let admitted = match candidate.keys {
        Keys::None => true,
        Keys::Together(slot) => dispatcher.memory.admit(dispatcher.routes.partition_of(slot)),
        Keys::Apart if dispatcher.memory.has_room() => true,
        Keys::Apart => key_positions(candidate.entry, candidate.args)?.all(|position| {
            let slot = slot_of(&candidate.args[position]);
            dispatcher.memory.admit(dispatcher.routes.partition_of(slot))
        }),
    };
    if admitted { Ok(()) } else { Err(Rejection::OutOfMemory) }
}

/// A node without a place in a cluster serves what needs none. It answers as Redis Cluster does without a majority, and as
/// a node of this cluster does that has lost it without having been restarted; LOADING would promise that it ends by
/// itself.
fn place(conversation: &Conversation, candidate: &mut Candidate<'_>) -> Result<(), Rejection> {
    let spec = candidate.entry.spec;
    let needs_none = matches!(spec.handler, Handler::Connection(_))
        || spec.family == Family::Transactions && spec.keys == KeySpec::None;
    if needs_none || !conversation.dispatcher.node.is_waiting() {
        return Ok(());
    }
    Err(Rejection::Down)
}
