//! Huge pages: not for a small node, where 2 MiB pages that are hardly touched would be most of what it holds; for a large
//! one, where a random access would often wait for the page table too. A limit is for what is resident: one that is not large
//! is kept to without them.
//!
//! The allocator asks the kernel for huge pages wherever they are to be had. A node forbids them to itself when it starts
//! (as redis-server does for as long as it lives) and takes that back once its data are worth it.

/// From here on data outweigh what is lost in pages that are partly used.
const WORTH_BYTES: u64 = 64 * 1024 * 1024;
/// From here on a limit does: two or three huge pages of each partition may hardly be touched.
const WORTH_LIMIT_BYTES: u64 = 1024 * 1024 * 1024;

/// Forbids them. To be called before much memory is used.
pub(super) fn forbid() {
    set_forbidden(true);
}

/// Allows them for memory that is used from now on, if a node with so much data, and this limit (0: none), gains by it; or
/// forbids them again, where the limit is another one now. Returns whether they are allowed, as they were if `allowed`.
pub(super) fn settle(allowed: bool, data_bytes: u64, limit_bytes: u64) -> bool {
    let worth = are_worth(allowed, data_bytes, limit_bytes);
    if worth != allowed {
        set_forbidden(!worth);
    }
    worth
}

fn are_worth(allowed: bool, data_bytes: u64, limit_bytes: u64) -> bool {
    (allowed || data_bytes >= WORTH_BYTES) && (limit_bytes == 0 || limit_bytes >= WORTH_LIMIT_BYTES)
}

fn set_forbidden(forbidden: bool) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(forbidden) {
        tracing::debug!(%error, forbidden, "the kernel keeps its way with huge pages");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_data_and_no_small_limit_make_them_worth_it() {
        for (allowed, data, limit, expected) in [
            (false, 0, 0, false),
            (false, WORTH_BYTES, 0, true),
            (true, 0, 0, true),
            (false, WORTH_BYTES, WORTH_LIMIT_BYTES - 1, false),
            (true, WORTH_BYTES, WORTH_LIMIT_BYTES - 1, false),
            (false, WORTH_BYTES, WORTH_LIMIT_BYTES, true),
        ] {
            assert_eq!(are_worth(allowed, data, limit), expected, "{allowed} {data} {limit}");
        }
    }
}
