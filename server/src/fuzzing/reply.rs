//! Whether bytes are one whole reply.

/// The length of the reply at the head of `bytes`; `None` where it is none.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (kind, line) = bytes[..end].split_first()?;
    let at = end + 2;
    let number = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
    match kind {
        b'+' | b'-' => (!line.contains(&b'\n') && !line.contains(&b'\r')).then_some(at),
        b':' => number().map(|_| at),
        b'_' => line.is_empty().then_some(at),
        b'#' => matches!(line, b"t" | b"f").then_some(at),
        b',' | b'(' => (!line.is_empty()).then_some(at),
        b'$' | b'=' => match number()? {
            -1 => Some(at),
            bytes_long => {
                let end = at.checked_add(usize::try_from(bytes_long).ok()?)?;
                (bytes.get(end..end + 2)? == b"\r\n").then_some(end + 2)
            }
        },
        b'*' | b'~' | b'>' | b'%' => {
            let count = number()?;
            if count == -1 {
                return Some(at);
            }
            let count = usize::try_from(count).ok()? * if *kind == b'%' { 2 } else { 1 };
            (0..count).try_fold(at, |at, _| Some(at + length(bytes.get(at..)?)?))
        }
        _ => None,
    }
}

/// Panics where `bytes` are not one reply and nothing more.
pub(super) fn check(bytes: &[u8], what: &dyn std::fmt::Debug) {
    let shown = &bytes[..bytes.len().min(500)];
    assert_eq!(length(bytes), Some(bytes.len()), "{} answers {what:?}", shown.escape_ascii());
}
