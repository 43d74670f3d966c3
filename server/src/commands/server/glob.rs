//! Glob patterns over names, which have no case.

use crate::commands::glob;

/// Whether `name` matches `pattern`, letters in any case.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    glob::matches(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase())
}
