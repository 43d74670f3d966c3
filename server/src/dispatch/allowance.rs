//! How many commands of a connection may wait for others at once.

use crate::limits::{BATCH_COMMANDS_MAX, OUTPUT_BATCH_BYTES_MAX};

/// How many commands of a connection may wait at once for replies that come from elsewhere. What those are is not known
/// before they are here, all of them; so a connection begins with a few, and has more while replies are small.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl Allowance {
    const FIRST: usize = 8;

    /// The number; never 0.
    pub fn commands(self) -> usize {
        self.0
    }

    /// So many commands were answered with so many bytes.
    pub fn learn(&mut self, commands: usize, reply_bytes: usize) {
        let mean = (reply_bytes / commands.max(1)).max(1);
        self.0 = (self.0 * 4).min(OUTPUT_BATCH_BYTES_MAX / mean).clamp(1, BATCH_COMMANDS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_replies_come_one_by_one_and_small_ones_together() {
        let mut allowance = Allowance::default();
        for _ in 0..5 {
            allowance.learn(allowance.commands(), 10 * allowance.commands());
        }
        assert_eq!(allowance.commands(), BATCH_COMMANDS_MAX);
        allowance.learn(2, 20 << 20);
        assert_eq!(allowance.commands(), 1);
        allowance.learn(1, 64 * 1024);
        assert_eq!(allowance.commands(), 4);
        allowance.learn(0, 0);
        assert_eq!(allowance.commands(), 16);
    }
}
