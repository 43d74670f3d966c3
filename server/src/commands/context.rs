//! What a data handler sees besides its arguments.

use crate::clock::{Tick, UnixMs};
use crate::keyspace::Keyspace;

/// One partition, one instant.
pub struct Context<'a> {
    /// The partition's items.
    pub keyspace: &'a mut Keyspace,
    /// The instant of the command: for a write the clock of its entry, the same on every copy; for a read
    /// max(wall clock, clock of the last entry). What is due at `now` is absent.
    pub now: UnixMs,
    /// Recency given to what is touched; `None` leaves it alone (CLIENT NO-TOUCH).
    pub touch: Option<Tick>,
    /// Seed for whatever is chosen at random, the same on every copy.
    pub seed: u64,
    /// Lookups by read commands that found a key (INFO `keyspace_hits`).
    pub hits: u64,
    /// Lookups by read commands that found none (INFO `keyspace_misses`).
    pub misses: u64,
}

impl<'a> Context<'a> {
    /// The string at `key` for a read command: recency is renewed, a hit or a miss counted.
    ///
    /// # Errors
    /// `WRONGTYPE` where the key holds another type.
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, super::CommandError> {
        match self.keyspace.get(key, self.now, self.touch) {
            Some(item) => {
                self.hits += 1;
                match item.value {
                    crate::keyspace::ValueRef::String(value) => Ok(Some(value)),
                }
            }
            None => {
                self.misses += 1;
                Ok(None)
            }
        }
    }
}
