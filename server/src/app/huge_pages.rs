//! Huge pages: not for a small node, where 2 MiB pages that are hardly touched would be most of what it holds; for a large
//! one, where a random access would often wait for the page table too.
//!
//! The allocator asks the kernel for huge pages wherever they are to be had. A node forbids them to itself when it starts
//! (as redis-server does for as long as it lives) and takes that back once its data are worth it.

/// From here on data outweigh what is lost in pages that are partly used.
const WORTH_BYTES: u64 = 64 * 1024 * 1024;

/// Forbids them. To be called before much memory is used.
pub(super) fn forbid() {
    set_forbidden(true);
}

/// Allows them for memory that is used from now on, if a node with so much data gains by it. Returns whether it does.
pub(super) fn allow_if_worth(data_bytes: u64) -> bool {
    let worth = data_bytes >= WORTH_BYTES;
    if worth {
        set_forbidden(false);
    }
    worth
}

fn set_forbidden(forbidden: bool) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(forbidden) {
        tracing::debug!(%error, forbidden, "the kernel keeps its way with huge pages");
    }
}
