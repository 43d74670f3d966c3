//! Which partitions' locks a thread holds, known in debug builds alone. Who takes one twice, or evicts while it holds one,
//! waits for itself for ever, and may do so only under load.

#[cfg(debug_assertions)]
use std::cell::RefCell;

#[cfg(debug_assertions)]
thread_local! {
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A lock that this thread holds, or is about to take.
pub(super) struct Held(#[cfg(debug_assertions)] usize);

impl Held {
    /// That of `partition`.
    ///
    /// # Panics
    /// In a debug build, where this thread holds it already.
    #[inline]
    pub(super) fn new<T>(partition: &T) -> Self {
        #[cfg(debug_assertions)]
        return HELD.with_borrow_mut(|held| {
            let address = std::ptr::from_ref(partition).addr();
            assert!(!held.contains(&address), "a partition's lock is taken twice");
            held.push(address);
            Self(address)
        });
        #[cfg(not(debug_assertions))]
        {
            let _ = partition;
            Self()
        }
    }

    /// Checks that this thread holds none.
    ///
    /// # Panics
    /// In a debug build, where it does.
    #[inline]
    pub(super) fn assert_none() {
        #[cfg(debug_assertions)]
        HELD.with_borrow(|held| assert!(held.is_empty(), "memory is made free with a partition's lock held"));
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|address| *address != self.0));
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::Held;

    #[test]
    fn other_locks_may_be_taken_and_the_same_again_later() {
        let (one, other) = (1u8, 2u8);
        let (first, second) = (Held::new(&one), Held::new(&other));
        drop((first, second));
        Held::assert_none();
        let _again = Held::new(&one);
    }

    #[test]
    #[should_panic(expected = "taken twice")]
    fn the_same_lock_twice_is_told() {
        let one = 1u8;
        let (_first, _second) = (Held::new(&one), Held::new(&one));
    }

    #[test]
    #[should_panic(expected = "lock held")]
    fn a_lock_while_evicting_is_told() {
        let one = 1u8;
        let _first = Held::new(&one);
        Held::assert_none();
    }
}
