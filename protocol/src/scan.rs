//! Finding where encoded replies end, without decoding them.
//!
//! A command that was split over several partitions or nodes has several encoded replies; they are merged by taking
//! arrays apart and copying elements. The bytes may come from another node, so nothing here trusts them: no recursion,
//! no memory, no panic. The streamed types of RESP3 (`$?`, `*?`) count as malformed, since Redis sends none.

use thiserror::Error;

/// The bytes are no reply.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("malformed reply")]
pub struct Malformed;

/// Length of the reply that `bytes` begins with, or `None` if its end has not arrived.
pub fn reply_len(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut at = 0;
    // Replies that are still to come, nested ones included: where they belong does not matter for the length.
    let mut due: u64 = 1;
    while due > 0 {
        let Some(header) = header(&bytes[at..])? else { return Ok(None) };
        at += header.length;
        match header.body {
            Body::None => {}
            Body::Bytes(length) => {
                let Some(end) = bytes.get(at + length..at + length + 2) else { return Ok(None) };
                if end != b"\r\n" {
                    return Err(Malformed);
                }
                at += length + 2;
            }
            Body::Replies(count) => due = due.checked_add(count).ok_or(Malformed)?,
            // Attributes come before the reply that they are about, which stays due.
            Body::Attributes(count) => {
                due = due.checked_add(count).and_then(|due| due.checked_add(1)).ok_or(Malformed)?
            }
        }
        due -= 1;
    }
    Ok(Some(at))
}

/// Takes apart an encoded array, set, push message or map (key, value, key, value, ...), which must be whole.
pub fn elements(reply: &[u8]) -> Result<Elements<'_>, Malformed> {
    let header = header(reply)?.ok_or(Malformed)?;
    match header.body {
        Body::Replies(count) => Ok(Elements { rest: &reply[header.length..], count }),
        // A null array has no elements.
        Body::None if reply.starts_with(b"*-1\r\n") => Ok(Elements { rest: &[], count: 0 }),
        _ => Err(Malformed),
    }
}

/// The elements of an encoded array, each as it is encoded.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    count: u64,
}

impl Elements<'_> {
    /// How many are to come, if the array keeps its promise: do not reserve memory for them unseen.
    pub fn count_announced(&self) -> u64 {
        self.count
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let Ok(Some(length)) = reply_len(self.rest) else {
            self.count = 0;
            return Some(Err(Malformed));
        };
        let (element, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Ok(element))
    }
}

/// The first line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length, with the line end.
    pub length: usize,
    /// What comes after it.
    pub body: Body,
}

/// What follows the first line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: the line is the reply.
    None,
    /// So many bytes and a line end.
    Bytes(usize),
    /// So many replies.
    Replies(u64),
    /// So many replies, and then the one that they are about.
    Attributes(u64),
}

/// A line that announces something is never longer.
const COUNT_LENGTH_MAX: usize = 24;

/// Reads the first line of a reply, or returns `None` if its end has not arrived.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    let counted = match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => false,
        b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => true,
        _ => return Err(Malformed),
    };
    let searched = if counted { &bytes[..bytes.len().min(COUNT_LENGTH_MAX)] } else { bytes };
    let Some(end) = memchr::memchr(b'\r', searched) else {
        return if searched.len() < bytes.len() { Err(Malformed) } else { Ok(None) };
    };
    match bytes.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(Malformed),
    }
    let length = end + 2;
    if !counted {
        return Ok(Some(Header { length, body: Body::None }));
    }
    let count = crate::request::integer(&bytes[1..end]).ok_or(Malformed)?;
    let body = match (kind, u64::try_from(count)) {
        (b'$' | b'*', Err(_)) if count == -1 => Body::None,
        (_, Err(_)) => return Err(Malformed),
        // Below 2^62, so that positions cannot overflow.
        (_, Ok(count)) if count >= 1 << 62 => return Err(Malformed),
        (b'$' | b'!' | b'=', Ok(count)) => Body::Bytes(usize::try_from(count).map_err(|_| Malformed)?),
        (b'%', Ok(count)) => Body::Replies(2 * count),
        (b'|', Ok(count)) => Body::Attributes(2 * count),
        (_, Ok(count)) => Body::Replies(count),
    };
    Ok(Some(Header { length, body }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLIES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":-12\r\n",
        b"$5\r\nab\r\nc\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5e+19\r\n",
        b"(3492890328409238509324850943850943825024385\r\n",
        b"!5\r\nERR x\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
        b"~2\r\n:1\r\n:2\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b"|1\r\n+ttl\r\n:3\r\n*2\r\n:1\r\n|1\r\n+x\r\n+y\r\n:2\r\n",
    ];

    #[test]
    fn lengths_are_found_when_the_end_is_there() {
        for reply in REPLIES {
            let followed = [reply, &b"+next\r\n"[..]].concat();
            assert_eq!(reply_len(&followed), Ok(Some(reply.len())), "{}", reply.escape_ascii());
            for cut in 0..reply.len() {
                assert_eq!(reply_len(&reply[..cut]), Ok(None), "{}", reply[..cut].escape_ascii());
            }
        }
    }

    #[test]
    fn arrays_come_apart() {
        let all = [format!("*{}\r\n", REPLIES.len()).as_bytes(), &REPLIES.concat()].concat();
        let parts: Result<Vec<_>, _> = elements(&all).unwrap().collect();
        assert_eq!(parts.unwrap(), REPLIES);
        assert_eq!(elements(b"%1\r\n+a\r\n:1\r\n").unwrap().count(), 2);
        assert_eq!(elements(b"*-1\r\n").unwrap().count(), 0);
        assert_eq!(elements(b"+OK\r\n").unwrap_err(), Malformed);
        assert_eq!(elements(b"*2\r\n:1\r\n").unwrap().last(), Some(Err(Malformed)));
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = [&b"*1\r\n".repeat(1_000_000)[..], b":1\r\n"].concat();
        assert_eq!(reply_len(&deep), Ok(Some(deep.len())));
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [
            &b"x\r\n"[..],
            b"$-2\r\n",
            b"%-1\r\n",
            b"$1\r\nabc",
            b"*9223372036854775807\r\n",
            b"$99999999999999999999999999999",
            b"+a\rb",
            b"*?\r\n",
        ] {
            assert_eq!(reply_len(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(b"*$%|~>+:!=-01289\r\n\r\n".to_vec()), 0..60)) {
            if let Ok(Some(length)) = reply_len(&bytes) {
                prop_assert!(length <= bytes.len());
                prop_assert_eq!(reply_len(&bytes[..length]), Ok(Some(length)));
            }
            if let Ok(elements) = elements(&bytes) {
                for element in elements.flatten() {
                    prop_assert_eq!(reply_len(element), Ok(Some(element.len())));
                }
            }
        }
    }
}
