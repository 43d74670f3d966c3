//! The patterns of KEYS and SCAN MATCH, as Redis matches them (`stringmatchlen`).
//!
//! `*` any bytes, `?` any one byte, `[abc]` `[a-z]` `[^a]` one byte of a class, `\` takes the next byte as it is. The
//! odd corners are Redis's too: an unclosed class runs to the end of the pattern, a range may be written backwards,
//! and its bounds compare as signed bytes (as `char` is on x86-64).
//!
//! Redis retries every `*` it has met; here only the last one is retried, which finds the same matches in at most
//! pattern times text steps.

/// Whether the whole of `text` matches the whole of `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when a comparison fails: just after the last `*`, and the text it has not swallowed yet.
    let mut retry: Option<(usize, usize)> = None;
    // Redis does not look at the pattern when there is no text at all: not even `*` matches then.
    if text.is_empty() {
        return pattern.is_empty();
    }
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        match step(&pattern[p..], text[t]) {
            Some(width) => {
                p += width;
                t += 1;
            }
            None => {
                let Some((after_star, swallowed)) = retry else { return false };
                p = after_star;
                t = swallowed + 1;
                retry = Some((after_star, t));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte against the element at the head of `pattern` and returns the element's width.
fn step(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ..] => class(pattern, byte),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [literal, ..] => (literal == byte).then_some(1),
    }
}

/// Matches one byte against the class that `pattern` begins with and returns its width, brackets included.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut matched = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b'\\', escaped, ..] => {
                matched |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [low, b'-', high, ..] => {
                let (low, high, byte) = (low.cast_signed(), high.cast_signed(), byte.cast_signed());
                matched |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                matched |= literal == byte;
                at += 1;
            }
        }
    }
    (matched != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Redis's own algorithm, step by step, without its shortcut for earlier stars.
    fn recursive(mut pattern: &[u8], mut text: &[u8]) -> bool {
        while !pattern.is_empty() && !text.is_empty() {
            if pattern[0] == b'*' {
                while pattern.get(1) == Some(&b'*') {
                    pattern = &pattern[1..];
                }
                return pattern.len() == 1 || (0..text.len()).any(|from| recursive(&pattern[1..], &text[from..]));
            }
            let Some(width) = step(pattern, text[0]) else { return false };
            pattern = &pattern[width..];
            text = &text[1..];
            if text.is_empty() {
                while pattern.first() == Some(&b'*') {
                    pattern = &pattern[1..];
                }
            }
        }
        pattern.is_empty() && text.is_empty()
    }

    #[test]
    fn patterns_match_as_in_redis() {
        let yes: &[(&str, &str)] = &[
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            (r"h\?llo", "h?llo"),
            (r"a[\]]b", "a]b"),
            ("a[bc", "ac"),
            ("a[^", "ax"),
            ("[a-]", "]"),
            ("*", "x"),
            ("a**", "a"),
            ("", ""),
            (r"a\", r"a\"),
            ("*a*b*c", "xxaxxbxxbcc"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        let no: &[(&str, &str)] = &[
            ("h[^e]llo", "hello"),
            ("h?llo", "hllo"),
            ("*", ""),
            ("a[", "a"),
            ("a[", "ab"),
            ("a[]", "a]"),
            ("hello", "hell"),
            ("hell", "hello"),
            (r"\*", "x"),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = b"*a".repeat(500);
        let text = [b"a".repeat(400), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text));
    }

    proptest! {
        #[test]
        fn the_last_star_is_enough(pattern in r"[ab*?\[\]^\\-]{0,10}", text in r"[ab\]^-]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()),
                            recursive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text);
        }
    }
}
