//! How far groups have read: the counters behind `entries-read` and `lag`.
//!
//! Deleted entries make holes that the counters cannot see, so either may be unknown.

use super::group::Group;
use super::id::StreamId;
use super::{LargeStream, StreamRef};

impl LargeStream {
    /// Whether an entry from `from` on was deleted by XDEL.
    fn has_hole_from(&self, from: StreamId) -> bool {
        self.length > 0 && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries were added up to `id`, that one included; `None` where that cannot be told.
    pub(super) fn added_up_to(&self, id: StreamId) -> Option<i64> {
        let added = self.entries_added.cast_signed();
        if added == 0 || self.length == 0 && id <= self.last_id {
            return Some(added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id || id > self.last_id {
            return None;
        }
        if id == self.last_id {
            return Some(added);
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let before_first = added.wrapping_sub(self.length as i64);
            if id < self.first_id {
                return Some(before_first);
            }
            if id == self.first_id {
                return Some(before_first.wrapping_add(1));
            }
        }
        None
    }

    pub(super) fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added.cast_signed();
        if added == 0 || self.length == 0 {
            return Some(0);
        }
        if group.last_id < self.first_id && self.max_deleted_id < self.first_id {
            return Some(self.length as i64);
        }
        let known = group.entries_read.filter(|_| !self.has_hole_from(group.last_id));
        known.or_else(|| self.added_up_to(group.last_id)).map(|read| added.wrapping_sub(read))
    }
}

impl Group {
    /// Notes that `id`, above the last one, is delivered from `stream`.
    pub fn advance(&mut self, id: StreamId, stream: StreamRef<'_>) {
        let StreamRef(stream) = stream;
        match self.entries_read {
            Some(read) if self.last_id >= stream.first_id && !stream.has_hole_from(self.last_id) => {
                self.entries_read = Some(read.wrapping_add(1));
            }
            _ if stream.entries_added != 0 => self.entries_read = stream.added_up_to(id),
            _ => {}
        }
        self.last_id = id;
    }
}
