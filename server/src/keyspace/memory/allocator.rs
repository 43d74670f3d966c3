//! The allocator's freed memory.

/// Gives back to the system what was freed, whichever thread had it, without waiting for its delay to be over. Takes as long
/// as that takes: a millisecond for every ten megabytes, about.
///
/// Whoever allocates next after the delay would do it otherwise, and that is a thread which serves clients.
#[expect(unsafe_code, reason = "the allocator's function has no safe name")]
pub(in crate::keyspace) fn give_back_freed() {
    // SAFETY: it takes no address, may be called on any thread at any time, and leaves alone what is in use. Where the
    // program has another allocator, this one's heap is empty.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_in_use_stays() {
        let kept: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 10_000]).collect();
        drop(vec![1u8; 10_000_000]);
        super::give_back_freed();
        assert!(kept.iter().enumerate().all(|(number, bytes)| bytes.iter().all(|byte| usize::from(*byte) == number)));
    }
}
