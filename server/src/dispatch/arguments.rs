//! Arguments of commands that outlive the buffer they arrived in, or that are put together here.

use crate::limits;
use larder_protocol::Args;

/// Commands, one after another, in one allocation.
#[derive(Debug, Default)]
pub(super) struct Commands {
    bytes: Vec<u8>,
    ranges: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

impl Commands {
    /// One command of these arguments.
    pub fn one<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut commands = Self::default();
        commands.push(args);
        commands
    }

    /// Appends a command.
    pub fn push<'a>(&mut self, args: impl IntoIterator<Item = &'a [u8]>) {
        for arg in args {
            self.push_argument(arg);
        }
        self.end();
    }

    /// Appends an argument to the command that [`Commands::end`] will end.
    pub fn push_argument(&mut self, arg: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(arg);
        self.ranges.push((start, self.bytes.len() as u32));
    }

    /// Ends a command.
    pub fn end(&mut self) {
        self.ends.push(self.ranges.len() as u32);
    }

    /// The arguments of the command at `index`.
    pub fn get(&self, index: usize) -> Args<'_> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Args::new(&self.bytes, &self.ranges[start..self.ends[index] as usize])
    }

    /// Memory that they take, about: many short ones take more than their bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
            + self.ranges.len() * limits::TRANSACTION_ARGUMENT_BYTES
            + self.ends.len() * limits::TRANSACTION_COMMAND_BYTES
    }
}
