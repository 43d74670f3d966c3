//! Counting replies of GET and SET without decoding them.

use std::io::{self, ErrorKind};

/// Where in the stream of replies a connection stands.
#[derive(Debug, Default)]
pub struct Replies {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Bytes of a bulk string, its line end included, that are still to come.
    skip: usize,
    /// Error replies that were counted, where they are no reason to stop.
    errors: Option<u64>,
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
                replies += u64::from(self.skip == 0);
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                break;
            };
            let (head, rest) = bytes.split_at(end + 1);
            bytes = rest;
            let bulk = if self.line.is_empty() {
                self.bulk_length(head)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                let bulk = self.bulk_length(&line)?;
                line.clear();
                self.line = line;
                bulk
            };
            match bulk {
                Some(length) => self.skip = length + 2,
                None => replies += 1,
            }
        }
        Ok(replies)
    }

    /// The length of the bulk string that `line` announces; `None` where the line is the whole reply.
    fn bulk_length(&mut self, line: &[u8]) -> io::Result<Option<usize>> {
        match (line.first(), &mut self.errors) {
            (Some(b'-'), Some(errors)) => {
                *errors += 1;
                Ok(None)
            }
            _ => bulk_length(line),
        }
    }
}

/// The length of the bulk string that `line` announces; `None` where the line is the whole reply.
fn bulk_length(line: &[u8]) -> io::Result<Option<usize>> {
    match line.first() {
        Some(b'+' | b':' | b'_') => Ok(None),
        Some(b'$') if line.get(1) == Some(&b'-') => Ok(None),
        Some(b'$') => {
            let digits = line[1..].iter().take_while(|byte| byte.is_ascii_digit());
            Ok(Some(digits.fold(0usize, |length, digit| length.saturating_mul(10) + usize::from(digit - b'0'))))
        }
        Some(b'-') => Err(io::Error::other(String::from_utf8_lossy(line).trim().to_owned())),
        _ => Err(io::Error::new(ErrorKind::InvalidData, format!("no reply: {:?}", String::from_utf8_lossy(line)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_however_they_are_cut() {
        let stream = b"+OK\r\n$5\r\na\r\nbc\r\n$-1\r\n:7\r\n$0\r\n\r\n_\r\n+OK\r\n";
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut replies = Replies::default();
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                let counted: u64 = pieces.iter().map(|piece| replies.count(piece).unwrap()).sum();
                assert_eq!(counted, 7, "cut at {first} and {second}");
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
        assert_eq!(tolerant.errors(), 1);
    }
}
