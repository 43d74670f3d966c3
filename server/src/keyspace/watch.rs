//! Watched keys: who wants to know that a key has changed.

use super::WatchToken;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Tokens by key.
#[derive(Default)]
pub(super) struct Watches(HashMap<Box<[u8]>, Vec<WatchToken>>);

impl Watches {
    pub(super) fn add(&mut self, key: &[u8], token: &WatchToken) {
        let tokens = match self.0.get_mut(key) {
            Some(tokens) => tokens,
            None => self.0.entry(key.into()).or_default(),
        };
        // WATCH of a key twice is one watch.
        if !tokens.iter().any(|other| Arc::ptr_eq(other, token)) {
            tokens.push(Arc::clone(token));
        }
    }

    pub(super) fn remove(&mut self, key: &[u8], token: &WatchToken) {
        if let Some(tokens) = self.0.get_mut(key) {
            tokens.retain(|other| !Arc::ptr_eq(other, token));
            if tokens.is_empty() {
                self.0.remove(key);
            }
        }
        self.shrink();
    }

    /// The key has changed: its tokens are set and forgotten.
    #[inline]
    pub(super) fn signal(&mut self, key: &[u8]) {
        if !self.0.is_empty() {
            self.signal_watched(key);
        }
    }

    fn signal_watched(&mut self, key: &[u8]) {
        for token in self.0.remove(key).unwrap_or_default() {
            token.store(true, Ordering::Release);
        }
        self.shrink();
    }

    /// Signals those of the watched keys that `changed` says have.
    pub(super) fn signal_all(&mut self, changed: impl Fn(&[u8]) -> bool) {
        self.0.retain(|key, tokens| {
            let changed = changed(key);
            if changed {
                tokens.iter().for_each(|token| token.store(true, Ordering::Release));
            }
            !changed
        });
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
    }
}
