//! The interface of views, and loading what they wrote.

use super::collections::encoding;
use super::piece::{self, PieceReader};
use super::store::Keyspace;
use super::view::View;
use super::{Built, Deadline};
use crate::clock::Tick;
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

    /// Appends one piece to `out`: encoded items of the view, about `bytes` of them and at least one if there is any.
    /// Says whether more follow. Pieces do not delimit themselves: each is handed to [`Keyspace::load_piece`] alone.
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

    /// Stores the items of one piece of a view that another keyspace (of the same seed) wrote, all or none. They come with
    /// their last access, none later than `tick`.
    ///
    /// # Errors
    /// Where the bytes are not such a piece. Never panics, whatever they are; never takes more memory than a small
    /// multiple of their length (and, for each database, a page for every size of item).
    pub fn load_piece(&mut self, piece: &[u8], tick: Tick) -> Result<(), MalformedPiece> {
        let mut collections = Vec::new();
        for item in PieceReader::new(piece)? {
            let item = item?;
            if item.collection {
                collections.push(Built(encoding::decode(item.value, self.seed()).ok_or(MalformedPiece)?));
            }
        }
        let mut collections = collections.into_iter();
        let reader = PieceReader::new(piece)?;
        self.select(reader.database);
        self.tick = self.tick.max(tick);
        for item in reader {
            let item = item?;
            let deadline = item.deadline.map_or(Deadline::Clear, Deadline::At);
            match item.collection.then(|| collections.next()).flatten() {
                Some(built) => self.store_collection(item.key, built, deadline, None),
                None => self.set_string(item.key, item.value, deadline, None),
            }
            self.set_last_access(item.key, item.last_access.min(tick));
        }
        Ok(())
    }
}

/// A piece of a view that does not decode.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed snapshot piece")]
pub struct MalformedPiece;
