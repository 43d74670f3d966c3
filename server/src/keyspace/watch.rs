//! Keys that somebody looks at: watched ones (WATCH), whose tokens are set once they change, and awaited ones (BLPOP and
//! its kin), which are noted as touched until somebody takes note.

use super::WatchToken;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Tokens by key, and the keys that are awaited.
#[derive(Default)]
pub(super) struct Watches {
    tokens: HashMap<Box<[u8]>, Vec<WatchToken>>,
    /// Whether each is among those touched.
    awaited: HashMap<Arc<[u8]>, bool>,
    /// Awaited keys that were touched, in the order of their first touch.
    touched: Vec<Arc<[u8]>>,
    /// Whether any key is in one of the maps: the one branch that a change pays for where nobody looks.
    any: bool,
}

impl Watches {
    pub(super) fn add(&mut self, key: &[u8], token: &WatchToken) {
        self.any = true;
        let tokens = match self.tokens.get_mut(key) {
            Some(tokens) => tokens,
            None => self.tokens.entry(key.into()).or_default(),
        };
        // WATCH of a key twice is one watch.
        if !tokens.iter().any(|other| Arc::ptr_eq(other, token)) {
            tokens.push(Arc::clone(token));
        }
    }

    pub(super) fn remove(&mut self, key: &[u8], token: &WatchToken) {
        if let Some(tokens) = self.tokens.get_mut(key) {
            tokens.retain(|other| !Arc::ptr_eq(other, token));
            if tokens.is_empty() {
                self.tokens.remove(key);
            }
        }
        self.shrink();
    }

    /// Somebody waits for `key`.
    pub(super) fn expect(&mut self, key: &Arc<[u8]>) {
        self.any = true;
        self.awaited.entry(Arc::clone(key)).or_default();
    }

    /// Nobody does any more.
    pub(super) fn unexpect(&mut self, key: &[u8]) {
        // What is touched may name it still: whoever takes it finds nobody.
        self.awaited.remove(key);
        self.shrink();
    }

    /// Whether an awaited key was touched.
    pub(super) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The awaited keys that were touched since this was asked last.
    pub(super) fn take_touched(&mut self) -> Vec<Arc<[u8]>> {
        let touched = std::mem::take(&mut self.touched);
        for key in &touched {
            if let Some(awaited) = self.awaited.get_mut(key) {
                *awaited = false;
            }
        }
        touched
    }

    /// The key has changed: its tokens are set and forgotten, those who wait for it are told.
    #[inline]
    pub(super) fn signal(&mut self, key: &[u8]) {
        if self.any {
            self.signal_watched(key);
        }
    }

    #[inline(never)]
    fn signal_watched(&mut self, key: &[u8]) {
        if let Some((key, _)) = self.awaited.get_key_value(key) {
            let key = Arc::clone(key);
            self.touch(key);
        }
        for token in self.tokens.remove(key).unwrap_or_default() {
            token.store(true, Ordering::Release);
        }
        self.shrink();
    }

    fn touch(&mut self, key: Arc<[u8]>) {
        if let Some(awaited) = self.awaited.get_mut(&key)
            && !std::mem::replace(awaited, true)
        {
            self.touched.push(key);
        }
    }

    /// Signals those of the keys that `changed` says have.
    pub(super) fn signal_all(&mut self, changed: impl Fn(&[u8]) -> bool) {
        self.tokens.retain(|key, tokens| {
            let changed = changed(key);
            if changed {
                tokens.iter().for_each(|token| token.store(true, Ordering::Release));
            }
            !changed
        });
        let awaited: Vec<_> = self.awaited.keys().filter(|key| changed(key)).cloned().collect();
        awaited.into_iter().for_each(|key| self.touch(key));
        self.shrink();
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        !self.any && self.touched.is_empty()
    }

    fn shrink(&mut self) {
        if self.tokens.len() < self.tokens.capacity() / 8 {
            self.tokens.shrink_to(self.tokens.len() * 2);
        }
        if self.awaited.len() < self.awaited.capacity() / 8 {
            self.awaited.shrink_to(self.awaited.len() * 2);
        }
        self.any = !self.tokens.is_empty() || !self.awaited.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awaited_keys_are_noted_once_until_taken() {
        let mut watches = Watches::default();
        watches.signal(b"k");
        let (k, j): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(&b"k"[..]), Arc::from(&b"j"[..]));
        watches.expect(&k);
        watches.expect(&k);
        watches.expect(&j);
        assert!(!watches.has_touched());
        for key in [b"j", b"k", b"x", b"j"] {
            watches.signal(key);
        }
        assert_eq!(watches.take_touched(), [Arc::clone(&j), Arc::clone(&k)]);
        assert!(!watches.has_touched());
        watches.unexpect(b"j");
        watches.signal_all(|_| true);
        assert_eq!(watches.take_touched(), [k]);
        watches.unexpect(b"k");
        watches.signal(b"k");
        assert!(!watches.has_touched() && !watches.any);
    }
}
