//! Just enough RESP to tell where a reply ends and to take arrays apart.

/// Length of the first whole reply in `bytes`, if it is complete.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let (kind, rest) = (bytes[0], &bytes[1..line_end - 2]);
    let number = || std::str::from_utf8(rest).ok()?.parse::<i64>().ok();
    let elements = match kind {
        b'$' | b'=' | b'!' => {
            let Ok(size) = usize::try_from(number()?) else { return Some(line_end) };
            let end = line_end + size + 2;
            return (bytes.len() >= end).then_some(end);
        }
        b'*' | b'~' | b'>' => number()?.max(0),
        b'%' => number()? * 2,
        _ => 0,
    };
    let mut end = line_end;
    for _ in 0..elements {
        end += length(&bytes[end..])?;
    }
    Some(end)
}

/// The elements of an array reply, each as it came; nothing for other replies.
pub fn elements(bytes: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    if matches!(bytes.first(), Some(b'*' | b'%' | b'~')) {
        let mut at = bytes.windows(2).position(|pair| pair == b"\r\n").map_or(bytes.len(), |at| at + 2);
        while let Some(length) = bytes.get(at..).filter(|rest| !rest.is_empty()).and_then(length) {
            elements.push(&bytes[at..at + length]);
            at += length;
        }
    }
    elements
}

/// The number of an integer reply.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes.strip_prefix(b":")?.strip_suffix(b"\r\n")?).ok()?.parse().ok()
}

/// All that is no array, in arrays of arrays.
pub fn leaves(bytes: &[u8]) -> Vec<&[u8]> {
    if !matches!(bytes.first(), Some(b'*' | b'%' | b'~')) {
        return vec![bytes];
    }
    elements(bytes).into_iter().flat_map(leaves).collect()
}

/// The number of a double, or of a text that is one.
pub fn double(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n")?;
    let bulk = || text.strip_prefix('$')?.split_once("\r\n").map(|(_, text)| text);
    let text = text.strip_prefix(',').or_else(bulk)?;
    text.parse().ok()
}
