//! Counting replies without decoding them.

use std::io::{self, ErrorKind};

/// Where in the stream of replies a connection stands.
#[derive(Debug, Default)]
pub struct Replies {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Bytes of a bulk string, its line end included, that are still to come.
    skip: usize,
    /// Elements of the array under way that are still to come.
    elements: u64,
    /// Error replies that were counted, where they are no reason to stop.
    errors: Option<u64>,
    /// The first of them.
    first_error: Option<String>,
}

impl Replies {
    /// From now on error replies are counted.
    pub fn tolerate_errors(&mut self) {
        self.errors = Some(0);
    }

    /// How many there were.
    pub fn errors(&self) -> u64 {
        self.errors.unwrap_or(0)
    }

    /// What the first of them said.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// A reply ends, or an element of one; how many replies end with it.
    fn end(&mut self) -> u64 {
        self.elements = self.elements.saturating_sub(1);
        u64::from(self.elements == 0)
    }

    /// How many replies end in `bytes`, which follow those of the last call.
    ///
    /// # Errors
    /// An error reply, unless they are counted, and what is no reply at all.
    pub fn count(&mut self, mut bytes: &[u8]) -> io::Result<u64> {
        let mut replies = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                if self.skip == 0 {
                    replies += self.end();
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                break;
            };
            let (head, rest) = bytes.split_at(end + 1);
            bytes = rest;
            let follows = if self.line.is_empty() {
                self.follows(head)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                let follows = self.follows(&line)?;
                line.clear();
                self.line = line;
                follows
            };
            match follows {
                Follows::Bytes(length) => self.skip = length + 2,
                // Elements take the place of the array.
                Follows::Elements(count @ 1..) => self.elements = self.elements.saturating_sub(1) + count,
                Follows::Elements(_) | Follows::Nothing => replies += self.end(),
            }
        }
        Ok(replies)
    }

    /// What follows a line, which may be an error that is no reason to stop.
    fn follows(&mut self, line: &[u8]) -> io::Result<Follows> {
        match (line.first(), &mut self.errors) {
            (Some(b'-'), Some(errors)) => {
                *errors += 1;
                self.first_error.get_or_insert_with(|| String::from_utf8_lossy(line).trim_end().into());
                Ok(Follows::Nothing)
            }
            _ => follows(line),
        }
    }
}

/// What follows a line.
#[derive(Clone, Copy)]
enum Follows {
    /// The line is the whole reply.
    Nothing,
    /// A bulk string.
    Bytes(usize),
    /// So many replies.
    Elements(u64),
}

fn follows(line: &[u8]) -> io::Result<Follows> {
    let digits = line.iter().skip(1).take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0u64, |number, digit| number.saturating_mul(10) + u64::from(digit - b'0'));
    match line.first() {
        Some(b'+' | b':' | b'_') => Ok(Follows::Nothing),
        Some(b'$' | b'*') if line.get(1) == Some(&b'-') => Ok(Follows::Nothing),
        Some(b'$') => Ok(Follows::Bytes(number as usize)),
        Some(b'*') => Ok(Follows::Elements(number)),
        Some(b'-') => Err(io::Error::other(String::from_utf8_lossy(line).trim().to_owned())),
        _ => Err(io::Error::new(ErrorKind::InvalidData, format!("no reply: {:?}", String::from_utf8_lossy(line)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_however_they_are_cut() {
        let stream = b"+OK\r\n$5\r\na\r\nbc\r\n$-1\r\n:7\r\n$0\r\n\r\n_\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n*-1\r\n*0\r\n*1\r\n:1\r\n+OK\r\n";
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut replies = Replies::default();
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                let counted: u64 = pieces.iter().map(|piece| replies.count(piece).unwrap()).sum();
                assert_eq!(counted, 11, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn error_replies_end_a_run() {
        assert_eq!(Replies::default().count(b"+OK\r\n-OOM no\r\n").unwrap_err().to_string(), "-OOM no");
        assert!(Replies::default().count(b"HTTP/1.1\r\n").is_err());
        let mut tolerant = Replies::default();
        tolerant.tolerate_errors();
        assert_eq!(tolerant.count(b"+OK\r\n-OOM").unwrap() + tolerant.count(b" no\r\n$2\r\nab\r\n").unwrap(), 3);
        assert_eq!((tolerant.errors(), tolerant.first_error().map(|error| &error[..1])), (1, Some("-")));
    }
}
