//! LZF, the compression of strings in RDB.
//!
//! ```text
//! 000lllll                      l + 1 bytes follow as they are
//! lllooooo oooooooo             l + 2 bytes (l from 1 to 6) are those that begin o + 1 bytes back
//! 111ooooo llllllll oooooooo    l + 9 bytes, likewise
//! ```

use super::Malformed;

/// Most bytes as they are after one header.
const LITERALS_MAX: usize = 32;
/// Farthest distance back.
const DISTANCE_MAX: usize = 1 << 13;
/// Longest repetition.
const REPEATED_MAX: usize = 264;
/// Bits of a place in the table of what was seen. Redis uses 16, on which its choices depend.
const TABLE_BITS: u32 = 16;
/// Most bytes that one compressed byte can become: three spell a repetition of 264.
pub const RATIO_MAX: usize = REPEATED_MAX / 3;

/// Restores `length` bytes.
///
/// # Errors
/// Where `compressed` does not spell exactly so many.
pub fn decompress(compressed: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    if length > compressed.len().saturating_mul(RATIO_MAX) {
        return Err(Malformed);
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = compressed.iter();
    while let Some(&control) = rest.next() {
        let control = usize::from(control);
        if control < LITERALS_MAX {
            let (literals, after) = rest.as_slice().split_at_checked(control + 1).ok_or(Malformed)?;
            rest = after.iter();
            out.extend_from_slice(literals);
        } else {
            let mut next = || rest.next().map(|byte| usize::from(*byte)).ok_or(Malformed);
            let repeated = if control >> 5 == 7 { 9 + next()? } else { (control >> 5) + 2 };
            let distance = ((control & 0x1F) << 8) + next()? + 1;
            let from = out.len().checked_sub(distance).ok_or(Malformed)?;
            if repeated > length - out.len().min(length) {
                return Err(Malformed);
            }
            if distance >= repeated {
                out.extend_from_within(from..from + repeated);
            } else {
                // It repeats what it has just written.
                (from..from + repeated).for_each(|at| out.push(out[at]));
            }
        }
        if out.len() > length {
            return Err(Malformed);
        }
    }
    if out.len() == length { Ok(out) } else { Err(Malformed) }
}

/// A place in the table for the three bytes at `at`: liblzf's.
fn place(bytes: &[u8], at: usize) -> usize {
    let three = u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]);
    ((three >> (24 - TABLE_BITS)).wrapping_sub(three.wrapping_mul(5)) & ((1 << TABLE_BITS) - 1)) as usize
}

/// Literals that wait for their header.
struct Output {
    bytes: Vec<u8>,
    header_at: usize,
}

impl Output {
    fn literal(&mut self, byte: u8) {
        self.bytes.push(byte);
        if self.bytes.len() - self.header_at - 1 == LITERALS_MAX {
            self.end_literals();
        }
    }

    /// Writes the header of the literals, if there are any, and leaves room for the next.
    fn end_literals(&mut self) {
        let literals = self.bytes.len() - self.header_at - 1;
        if literals > 0 {
            self.bytes[self.header_at] = (literals - 1) as u8;
            self.header_at = self.bytes.len();
            self.bytes.push(0);
        }
    }

    fn repeat(&mut self, distance: usize, length: usize) {
        self.end_literals();
        self.bytes.pop();
        let (distance, length) = (distance - 1, length - 2);
        if length < 7 {
            self.bytes.push((length << 5 | distance >> 8) as u8);
        } else {
            self.bytes.extend_from_slice(&[(7 << 5 | distance >> 8) as u8, (length - 7) as u8]);
        }
        self.bytes.push(distance as u8);
        self.header_at = self.bytes.len();
        self.bytes.push(0);
    }
}

/// Compresses to at most `length_max` bytes, or `None` where it takes more. The choices are those of liblzf as Redis has
/// it, so that payloads are the same.
pub fn compress(bytes: &[u8], length_max: usize) -> Option<Vec<u8>> {
    if bytes.is_empty() || u32::try_from(bytes.len()).is_err() {
        return None;
    }
    // Positions plus one, so that 0 is none.
    let mut seen = vec![0u32; 1 << TABLE_BITS];
    let mut out = Output { bytes: vec![0], header_at: 0 };
    let mut at = 0;
    while at + 2 < bytes.len() {
        let slot = &mut seen[place(bytes, at)];
        let before = (*slot as usize).checked_sub(1);
        *slot = at as u32 + 1;
        let repeats = before.filter(|before| {
            // The very first byte is never the beginning of a repetition, as in liblzf.
            *before > 0 && at - before <= DISTANCE_MAX && bytes[*before..before + 3] == bytes[at..at + 3]
        });
        let Some(before) = repeats else {
            // As liblzf: the output is full before this literal.
            if out.bytes.len() >= length_max {
                return None;
            }
            out.literal(bytes[at]);
            at += 1;
            continue;
        };
        let pending = usize::from(out.bytes.len() == out.header_at + 1);
        if out.bytes.len() - pending + 4 >= length_max {
            return None;
        }
        let longest = (bytes.len() - at - 2).min(REPEATED_MAX);
        let same = bytes[before..].iter().zip(&bytes[at..]).skip(3).take_while(|(left, right)| left == right).count();
        // Near the end liblzf stops early, unless it has room for its first sixteen comparisons, which look at no limit.
        let length = match same {
            0..16 if longest > 16 => 3 + same,
            16.. if longest > 16 => (3 + same).min(longest).max(19),
            _ => (3 + same).min(longest.max(3)),
        };
        out.repeat(at - before, length);
        at += length;
        if at + 2 >= bytes.len() {
            break;
        }
        for behind in [at - 2, at - 1] {
            seen[place(bytes, behind)] = behind as u32 + 1;
        }
    }
    if out.bytes.len() + 3 > length_max {
        return None;
    }
    bytes[at..].iter().for_each(|byte| out.literal(*byte));
    out.end_literals();
    out.bytes.pop();
    Some(out.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_restored() {
        assert_eq!(decompress(b"\x00a\x20\x00\xe0\x02\x00", 15), Ok(vec![b'a'; 15]));
        let text = b"abcabcabcabcabcabcabcabcabcabc".repeat(40);
        let compressed = compress(&text, text.len() - 4).unwrap();
        assert!(compressed.len() < 60);
        assert_eq!(decompress(&compressed, text.len()), Ok(text));
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        for (compressed, length) in [
            (&b"\x00"[..], 1),
            (b"\x01a", 2),
            (b"\x20\x00", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\xe0", 9),
            (b"\x00a", 2),
            (b"\x00a", usize::MAX),
            (b"\x00a\xe0\xff\x00", 100),
        ] {
            assert_eq!(decompress(compressed, length), Err(Malformed), "{compressed:?}");
        }
        let random: Vec<u8> = (0..60u8).map(|byte| byte.wrapping_mul(37)).collect();
        assert_eq!(compress(&random, random.len() - 4), None);
    }
}
