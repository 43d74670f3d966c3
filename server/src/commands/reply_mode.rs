//! CLIENT REPLY: which replies are sent.

/// CLIENT REPLY: the flags that Redis has for it, since those of a transaction combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyMode(u8);

impl ReplyMode {
    /// Nothing is answered.
    const OFF: u8 = 1;
    /// This command is not answered.
    const SKIP: u8 = 2;
    /// The next command is not answered.
    const SKIP_NEXT: u8 = 4;

    /// Whether every command is answered.
    pub fn is_on(self) -> bool {
        self.0 == 0
    }

    /// Whether what is written now is not sent.
    pub fn is_silent(self) -> bool {
        self.0 & (Self::OFF | Self::SKIP) != 0
    }

    /// CLIENT REPLY ON.
    pub fn turn_on(&mut self) {
        self.0 &= Self::SKIP_NEXT;
    }

    /// CLIENT REPLY OFF.
    pub fn turn_off(&mut self) {
        self.0 |= Self::OFF;
    }

    /// CLIENT REPLY SKIP, which does not lift OFF.
    pub fn skip_next(&mut self) {
        if self.0 & Self::OFF == 0 {
            self.0 |= Self::SKIP_NEXT;
        }
    }

    /// A command that the client sent is over.
    pub fn end_command(&mut self) {
        let skip = if self.0 & Self::SKIP_NEXT != 0 { Self::SKIP } else { 0 };
        self.0 = self.0 & Self::OFF | skip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_holds_for_the_next_command_alone() {
        let mut mode = ReplyMode::default();
        mode.skip_next();
        assert!(!mode.is_silent() && !mode.is_on(), "what follows it in a transaction is answered");
        mode.end_command();
        assert!(mode.is_silent());
        mode.skip_next();
        mode.end_command();
        assert!(mode.is_silent(), "the one after that, too");
        mode.end_command();
        assert!(mode.is_on());
    }

    #[test]
    fn off_holds_until_on() {
        let mut mode = ReplyMode::default();
        mode.turn_off();
        mode.skip_next();
        mode.end_command();
        assert!(mode.is_silent());
        mode.turn_on();
        assert!(mode.is_on());
    }
}
