//! One reply from many: the parts of a command that was split over partitions.

use super::rejection::Rejection;
use crate::commands::Fanout;
use larder_protocol::ReplyBuffer;
use larder_protocol::scan;

/// What one partition answered.
#[derive(Debug)]
pub(super) struct Part {
    /// Positions of its keys among all keys of the command.
    pub keys: Vec<usize>,
    /// Its encoded reply.
    pub reply: Vec<u8>,
}

/// Writes the reply that the parts make together. Where one is an error, that error is the reply.
pub(super) fn merge(fanout: Fanout, parts: &[Part], out: &mut ReplyBuffer) -> Result<(), Rejection> {
    if let Some(error) = parts.iter().find(|part| part.reply.first() == Some(&b'-')) {
        out.raw(&error.reply);
        return Ok(());
    }
    match fanout {
        Fanout::PerKey => per_key(parts, out),
        Fanout::Sum => sum(parts, out),
        Fanout::AllOk => {
            out.ok();
            Ok(())
        }
        Fanout::Concat => concat(parts, out),
        Fanout::Any => {
            match parts.iter().find(|part| !is_null(&part.reply)) {
                Some(part) => out.raw(&part.reply),
                None => out.null(),
            }
            Ok(())
        }
    }
}

/// Whether an encoded reply is null, in either protocol.
pub(super) fn is_null(reply: &[u8]) -> bool {
    matches!(reply, b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
}

fn per_key(parts: &[Part], out: &mut ReplyBuffer) -> Result<(), Rejection> {
    let count = parts.iter().map(|part| part.keys.len()).sum();
    let mut elements: Vec<&[u8]> = vec![b""; count];
    for part in parts {
        let mut found = scan::elements(&part.reply).map_err(|_| Rejection::Malformed)?;
        for key in &part.keys {
            elements[*key] = found.next().ok_or(Rejection::Malformed)?.map_err(|_| Rejection::Malformed)?;
        }
    }
    out.array_header(count);
    elements.iter().for_each(|element| out.raw(element));
    Ok(())
}

fn sum(parts: &[Part], out: &mut ReplyBuffer) -> Result<(), Rejection> {
    let numbers = parts.iter().map(|part| integer(&part.reply).ok_or(Rejection::Malformed));
    let sum: i64 = numbers.sum::<Result<i64, Rejection>>()?;
    out.integer(sum);
    Ok(())
}

fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn concat(parts: &[Part], out: &mut ReplyBuffer) -> Result<(), Rejection> {
    let mut count = 0;
    let mut bodies = Vec::with_capacity(parts.len());
    for part in parts {
        let mut length = 0;
        for element in scan::elements(&part.reply).map_err(|_| Rejection::Malformed)? {
            let element = element.map_err(|_| Rejection::Malformed)?;
            length += element.len();
            count += 1;
        }
        // Elements follow each other, and the array ends with the last.
        bodies.push(&part.reply[part.reply.len() - length..]);
    }
    out.array_header(count);
    bodies.iter().for_each(|body| out.raw(body));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(fanout: Fanout, parts: &[(&[usize], &[u8])]) -> Result<Vec<u8>, Rejection> {
        let parts: Vec<Part> =
            parts.iter().map(|(keys, reply)| Part { keys: keys.to_vec(), reply: reply.to_vec() }).collect();
        let mut out = ReplyBuffer::default();
        merge(fanout, &parts, &mut out)?;
        Ok(out.as_slice().to_vec())
    }

    #[test]
    fn parts_become_one_reply() {
        let values: [(&[usize], &[u8]); 2] = [(&[1], b"*1\r\n$1\r\nb\r\n"), (&[0, 2], b"*2\r\n$1\r\na\r\n$-1\r\n")];
        assert_eq!(merged(Fanout::PerKey, &values).unwrap(), b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n");
        assert_eq!(merged(Fanout::Sum, &[(&[0], b":2\r\n"), (&[1], b":40\r\n")]).unwrap(), b":42\r\n");
        assert_eq!(merged(Fanout::AllOk, &[(&[0], b"+OK\r\n"), (&[1], b"+OK\r\n")]).unwrap(), b"+OK\r\n");
        let lists: [(&[usize], &[u8]); 3] = [(&[], b"*1\r\n$1\r\na\r\n"), (&[], b"*0\r\n"), (&[], b"*1\r\n$0\r\n\r\n")];
        assert_eq!(merged(Fanout::Concat, &lists).unwrap(), b"*2\r\n$1\r\na\r\n$0\r\n\r\n");
        assert_eq!(merged(Fanout::Concat, &[]).unwrap(), b"*0\r\n");
        assert_eq!(merged(Fanout::Any, &[(&[], b"$-1\r\n"), (&[], b"$1\r\na\r\n")]).unwrap(), b"$1\r\na\r\n");
        assert_eq!(merged(Fanout::Sum, &[(&[0], b":2\r\n"), (&[1], b"-ERR no\r\n")]).unwrap(), b"-ERR no\r\n");
        assert_eq!(merged(Fanout::Sum, &[(&[0], b"+OK\r\n")]), Err(Rejection::Malformed));
        assert_eq!(merged(Fanout::PerKey, &[(&[0, 1], b"*1\r\n$1\r\na\r\n")]), Err(Rejection::Malformed));
    }
}
