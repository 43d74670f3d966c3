//! The interface of views; `arriving` loads what they write.

use super::piece;
use super::store::Keyspace;
use super::view::View;
use crate::ids::DatabaseNo;

/// Views: the items as they were at one instant, read out in pieces while the keyspace goes on changing.
///
/// At most one view is open at a time, of all databases. An item that changes before it was read out is written to the view first
/// (its pre-image), so the pieces together are exactly the items of the instant at which the view was opened, in no
/// particular order. Costs nothing but memory for what changed ([`Keyspace::view_backlog_bytes`]).
impl Keyspace {
    /// Opens a view of this instant.
    ///
    /// # Panics
    /// If one is open.
    pub fn open_view(&mut self) {
        assert!(!self.is_viewed, "one view at a time");
        self.is_viewed = true;
        self.each_database(|keyspace| keyspace.view = Some(Box::new(View::new(keyspace.database()))));
    }

    /// Appends one piece to `out`: encoded items of the view, and parts of long ones, about `bytes` of them and at least
    /// one if there is any. Says whether more follow. Pieces do not delimit themselves: each is handed to
    /// [`Arriving::load`](super::Arriving::load) alone, in this order.
    ///
    /// # Panics
    /// If no view is open.
    pub fn read_view(&mut self, bytes: usize, out: &mut bytes::BytesMut) -> bool {
        assert!(self.is_viewed, "a view is open");
        let unread = self.unread_views();
        let Some(first) = unread.first() else {
            piece::write_header(out, DatabaseNo::FIRST);
            return false;
        };
        let selected = self.database();
        self.select(*first);
        let more = self.view.as_mut().is_some_and(|view| view.read(&self.items, bytes, out));
        self.select(selected);
        more || unread.len() > 1
    }

    /// Bytes of pre-images that wait to be read out.
    pub fn view_backlog_bytes(&self) -> usize {
        self.views().map(View::backlog_bytes).sum()
    }

    /// Closes the view, read to its end or not, and returns what it held, to be dropped off the lock: much, where the
    /// keyspace was cleared meanwhile. Does nothing where none is open.
    pub fn close_view(&mut self) -> impl Send + use<> {
        self.is_viewed = false;
        let mut held: Vec<Box<View>> = Vec::new();
        self.each_database(|keyspace| held.extend(keyspace.view.take()));
        held
    }
}
