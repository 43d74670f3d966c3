//! Inline commands: one line, split at blanks, with quotes as `redis-cli` understands them.
//!
//! The rules are those of `sdssplitargs` in Redis: inside `"` a backslash escapes (`\n \r \t \b \a \xHH`, any other
//! byte stands for itself), inside `'` only `\'` does, and a closing quote must be followed by a blank.

use super::{CommandBatch, ProtocolError};

/// Appends the arguments of `line`, which begins at `offset` of the buffer, to `batch`, and ends the command unless
/// the line is blank.
pub(super) fn split(line: &[u8], offset: usize, batch: &mut CommandBatch) -> Result<(), ProtocolError> {
    let first = batch.ranges.len();
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        split_quoted(line, batch)?;
        if batch.ranges.len() > first {
            batch.end_command(true);
        }
        return Ok(());
    }
    let mut at = 0;
    while let Some(start) = skip_blanks(line, at) {
        let end = line[start..].iter().position(|&byte| ends_word(byte)).map_or(line.len(), |length| start + length);
        batch.ranges.push(((offset + start) as u32, (offset + end) as u32));
        at = end;
    }
    if batch.ranges.len() > first {
        batch.end_command(false);
    }
    Ok(())
}

/// As [`split`], with every argument copied to `batch.unescaped`.
fn split_quoted(line: &[u8], batch: &mut CommandBatch) -> Result<(), ProtocolError> {
    let mut at = 0;
    while let Some(start) = skip_blanks(line, at) {
        let from = batch.unescaped.len();
        at = unescape_word(line, start, &mut batch.unescaped)?;
        batch.ranges.push((from as u32, batch.unescaped.len() as u32));
    }
    Ok(())
}

/// Copies the word at `at` to `out` without its quotes, and returns where it ends.
fn unescape_word(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' => return unescape_double(line, at + 1, out),
            b'\'' => return unescape_single(line, at + 1, out),
            byte if ends_word(byte) => break,
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(at)
}

/// What stands between `"` and the next unescaped `"`.
fn unescape_double(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        match line.get(at..).unwrap_or_default() {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                at += 4;
            }
            [b'\\', escaped, ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                at += 2;
            }
            [b'"', ..] => return closing_quote(line, at),
            [byte, ..] => {
                out.push(*byte);
                at += 1;
            }
            [] => return Err(ProtocolError::UnbalancedQuotes),
        }
    }
}

/// What stands between `'` and the next unescaped `'`.
fn unescape_single(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        match line.get(at..).unwrap_or_default() {
            [b'\\', b'\'', ..] => {
                out.push(b'\'');
                at += 2;
            }
            [b'\'', ..] => return closing_quote(line, at),
            [byte, ..] => {
                out.push(*byte);
                at += 1;
            }
            [] => return Err(ProtocolError::UnbalancedQuotes),
        }
    }
}

/// The word's end after the closing quote at `at`, which a blank or nothing must follow.
fn closing_quote(line: &[u8], at: usize) -> Result<usize, ProtocolError> {
    match line.get(at + 1) {
        Some(&byte) if !is_blank(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(at + 1),
    }
}

/// Where the next word begins.
fn skip_blanks(line: &[u8], at: usize) -> Option<usize> {
    line[at..].iter().position(|&byte| !is_blank(byte)).map(|blanks| at + blanks)
}

/// C's `isspace`, which unlike Rust's counts the vertical tab.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Redis ends a word at these only: a vertical tab or form feed between words is skipped, inside one it is kept.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The value of a hexadecimal digit.
fn hex_digit(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut batch = CommandBatch::default();
        split(line, 0, &mut batch)?;
        Ok(batch.iter(line).flat_map(|args| args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect())
    }

    #[test]
    fn words_are_split_at_blanks() {
        assert_eq!(words(b"  set  key\tvalue\r").unwrap(), [b"set".to_vec(), b"key".to_vec(), b"value".to_vec()]);
        assert_eq!(words(b" \t ").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words(b"\x0b\x0cget a\x0bb").unwrap(), [b"get".to_vec(), b"a\x0bb".to_vec()]);
    }

    #[test]
    fn quotes_follow_redis() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (br#"set "a b" 'c d'"#, &[b"set", b"a b", b"c d"]),
            (br#"echo "\x41\n\r\t\b\a\"\\\q""#, &[b"echo", b"A\n\r\t\x08\x07\"\\q"]),
            (br#"echo "\xZZ" '\x41\''"#, &[b"echo", b"xZZ", b"\\x41'"]),
            (br#"echo "" ''"#, &[b"echo", b"", b""]),
            (br#"ec"ho""#, &[b"echo"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn quotes_must_match() {
        for line in [&br#"echo "a"#[..], b"echo 'a", br#"echo "a"b"#, b"echo 'a'b", br#"echo "a\""#, br#"echo "a\"#] {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes), "{}", line.escape_ascii());
        }
    }
}
