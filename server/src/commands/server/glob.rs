//! Glob patterns as Redis matches names of settings and commands with them.

/// Whether `text` matches `pattern`, letters in any case: `*`, `?`, `[a-z]`, `[^a]`, `\` for the next byte as it stands.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where the last star stands, and how much text it has taken so far: one level of backtracking is enough for
    // globs, so the time is at most the product of the lengths.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if let Some(next) = one(pattern, p, text[t]) {
            p = next;
            t += 1;
            continue;
        }
        match &mut star {
            Some((after, taken)) => {
                *taken += 1;
                (p, t) = (*after, *taken);
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on if its element at `at` matches `byte`.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    let equal = |wanted: u8| wanted.eq_ignore_ascii_case(&byte);
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => class(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => equal(pattern[at + 1]).then_some(at + 2),
        literal => equal(literal).then_some(at + 1),
    }
}

fn class(pattern: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    let byte = byte.to_ascii_lowercase();
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(at) {
            // A class that does not end: what is there counts, as in Redis.
            None => break,
            Some(b']') => {
                at += 1;
                break;
            }
            Some(b'\\') if at + 1 < pattern.len() => {
                found |= pattern[at + 1].to_ascii_lowercase() == byte;
                at += 2;
            }
            Some(from) if pattern.get(at + 1) == Some(&b'-') && at + 2 < pattern.len() => {
                let (from, to) = (from.to_ascii_lowercase(), pattern[at + 2].to_ascii_lowercase());
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            Some(single) => {
                found |= single.to_ascii_lowercase() == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs_match_as_in_redis() {
        for (pattern, text) in [
            ("*", ""),
            ("max*", "maxmemory"),
            ("*memory", "MAXmemory"),
            ("m?x*y", "maxmemory"),
            ("[l-n]ax", "max"),
            ("[^a]ax", "max"),
            ("\\*", "*"),
            ("a*b*c", "axxbxxbc"),
            ("[m", "m"),
        ] {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("max", "maxmemory"), ("[^m]ax", "max"), ("\\*", "a"), ("a*c", "ab")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
