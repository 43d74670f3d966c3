//! Decoded commands as ranges of the buffer that they arrived in.

/// The arguments of one command, name first: slices of the buffer that they arrived in.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> Args<'a> {
    /// Arguments as `(start, end)` ranges of `buffer`.
    pub fn new(buffer: &'a [u8], ranges: &'a [(u32, u32)]) -> Self {
        Self { buffer, ranges }
    }

    /// How many, the name included.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The argument at `position`, if there is one.
    pub fn get(&self, position: usize) -> Option<&'a [u8]> {
        self.ranges.get(position).map(|&(start, end)| &self.buffer[start as usize..end as usize])
    }

    /// The arguments from `position` on.
    pub fn from(&self, position: usize) -> Self {
        Self { buffer: self.buffer, ranges: &self.ranges[position.min(self.ranges.len())..] }
    }

    /// The arguments from `start` up to, not including, `end`; as many of them as there are.
    pub fn between(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.ranges.len());
        Self { buffer: self.buffer, ranges: &self.ranges[start.min(end)..end] }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |&(start, end)| &buffer[start as usize..end as usize])
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, position: usize) -> &[u8] {
        let (start, end) = self.ranges[position];
        &self.buffer[start as usize..end as usize]
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter().map(|argument| argument.escape_ascii().to_string())).finish()
    }
}

/// A batch keeps no more than this many ranges, or bytes of unescaped text, from one use to the next.
const CAPACITY_KEPT: usize = 16 * 1024;

/// The commands that were decoded from one buffer, as ranges of it.
///
/// Quoted arguments of inline commands do not stand in the buffer as they are meant. A command that has some is
/// copied whole into `unescaped`, so that each command's arguments lie in one buffer and [`Args`] stays a pair of
/// slices.
#[derive(Default, Debug)]
pub struct CommandBatch {
    pub(super) ranges: Vec<(u32, u32)>,
    pub(super) commands: Vec<Command>,
    pub(super) unescaped: Vec<u8>,
}

/// One command's share of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    /// Where its share of `ranges` ends; it begins where the one before ends.
    pub(super) ranges_end: u32,
    /// Whether its ranges are of `unescaped` rather than of the buffer.
    pub(super) unescaped: bool,
}

impl CommandBatch {
    /// How many commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The arguments of the command at `index`; `buffer` is the one it was decoded from, not advanced since.
    pub fn args<'a>(&'a self, buffer: &'a [u8], index: usize) -> Args<'a> {
        let command = self.commands[index];
        let start = index.checked_sub(1).map_or(0, |before| self.commands[before].ranges_end as usize);
        let buffer = if command.unescaped { &self.unescaped } else { buffer };
        Args::new(buffer, &self.ranges[start..command.ranges_end as usize])
    }

    /// All commands in order; `buffer` as for [`CommandBatch::args`].
    pub fn iter<'a>(&'a self, buffer: &'a [u8]) -> impl ExactSizeIterator<Item = Args<'a>> {
        (0..self.len()).map(move |index| self.args(buffer, index))
    }

    /// Forgets the commands and keeps what capacity is usual.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.commands.clear();
        self.unescaped.clear();
        // One command of a million arguments must not pin its ranges for as long as the connection lives.
        if self.ranges.capacity() > CAPACITY_KEPT {
            self.ranges.shrink_to(CAPACITY_KEPT);
        }
        if self.unescaped.capacity() > CAPACITY_KEPT {
            self.unescaped.shrink_to(CAPACITY_KEPT);
        }
    }

    /// Bytes of memory held, for the account of a connection.
    pub fn memory_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<(u32, u32)>()
            + self.commands.capacity() * size_of::<Command>()
            + self.unescaped.capacity()
    }

    /// Ends a command whose arguments are the ranges pushed since the last one.
    pub(super) fn end_command(&mut self, unescaped: bool) {
        self.commands.push(Command { ranges_end: self.ranges.len() as u32, unescaped });
    }
}
