//! Trimming: entries go from the front.

use super::LargeStream;
use super::id::StreamId;

/// Up to where a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimTo {
    /// No more entries than this are left.
    Length(u64),
    /// No entry below this is left.
    Id(StreamId),
}

/// How a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Up to where.
    pub to: TrimTo,
    /// Whether whole blocks go only, so that more may be left.
    pub whole_blocks: bool,
    /// How many entries may go at most; 0: any number.
    pub limit: u64,
}

impl LargeStream {
    /// Removes blocks from the front, and marks what goes of the last one. As Redis's `streamTrim`, so that MAXLEN with `~`
    /// leaves what it leaves there.
    pub(super) fn trim(&mut self, trim: &Trim) -> usize {
        let before = self.length;
        while let Some(place) = self.blocks.first_place() {
            let block = self.blocks.at(place);
            let (live, length) = (block.live() as u64, self.length as u64);
            if matches!(trim.to, TrimTo::Length(most) if length <= most) {
                break;
            }
            if trim.limit > 0 && (before - self.length) as u64 + live > trim.limit {
                break;
            }
            let whole = match trim.to {
                TrimTo::Length(most) => length - live >= most,
                TrimTo::Id(id) => block.last_id() < id,
            };
            if whole {
                self.blocks.remove_at(place);
                self.length -= live as usize;
                continue;
            }
            if !trim.whole_blocks {
                let mut left = length;
                self.length -= self.blocks.change(place, |block| {
                    block.delete_while(|entry| match trim.to {
                        TrimTo::Id(id) => entry.id < id,
                        TrimTo::Length(most) => {
                            let goes = left > most;
                            left -= u64::from(goes && !entry.deleted);
                            goes
                        }
                    })
                });
            }
            break;
        }
        let trimmed = before - self.length;
        if trimmed > 0 {
            self.find_first_id();
        }
        trimmed
    }
}
