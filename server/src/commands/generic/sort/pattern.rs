//! Patterns of SORT: `weight_*`, `object_*->field`, `#`.

use crate::commands::{CommandError, Context};
use crate::keyspace::ValueRef;
use larder_protocol::slot_of;

/// A pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    text: &'a [u8],
    /// Where the element goes.
    star: Option<usize>,
    /// Where `->field` begins.
    arrow: Option<usize>,
}

/// Why a pattern whose keys may lie elsewhere is refused.
pub(super) fn denied(option: &str) -> CommandError {
    let text = format!(
        "ERR {option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
    );
    CommandError::Other(text.into())
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        // Redis looks at patterns as C strings, which end at the first NUL.
        let visible = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let star = visible.iter().position(|byte| *byte == b'*');
        let arrow = star.and_then(|star| {
            let found = visible[star + 1..].windows(2).position(|pair| pair == b"->")?;
            Some(star + 1 + found).filter(|arrow| arrow + 2 < visible.len())
        });
        Self { text, star, arrow }
    }

    /// Whether it is the same key for all elements, so that there is nothing to sort by.
    pub(super) fn is_constant(&self) -> bool {
        self.star.is_none()
    }

    /// Whether it is `#`: the element itself.
    pub(super) fn is_element(&self) -> bool {
        self.text.split(|byte| *byte == 0).next() == Some(b"#")
    }

    /// Whether all keys that it can form are in the slot of `key`, as Redis 7.4 tells (`patternHashSlot`): a hash tag before
    /// the first character that may stand for others says so.
    pub(super) fn is_in_slot_of(&self, key: &[u8]) -> bool {
        let fixed = self.text.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
        let fixed = &self.text[..fixed.unwrap_or(self.text.len())];
        let tag_is_whole = fixed.iter().position(|byte| *byte == b'{').is_some_and(|open| {
            let length = fixed[open + 1..].iter().position(|byte| *byte == b'}');
            length.is_some_and(|length| length > 0)
        });
        (tag_is_whole || fixed.len() == self.text.len()) && slot_of(fixed) == slot_of(key)
    }

    /// What it leads to for an element: a string, or a hash's field.
    pub(super) fn value(&self, context: &Context<'_>, element: &[u8]) -> Option<Vec<u8>> {
        if self.is_element() {
            return Some(element.to_vec());
        }
        let star = self.star?;
        let key_end = self.arrow.unwrap_or(self.text.len());
        let key = [&self.text[..star], element, &self.text[star + 1..key_end]].concat();
        match (context.keyspace.peek(&key, context.now)?.value, self.arrow) {
            (ValueRef::Hash(hash), Some(arrow)) => hash.get(&self.text[arrow + 2..]).map(|value| value.to_vec()),
            (ValueRef::String(value), None) => Some(value.to_vec()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_before_the_star_names_the_slot() {
        let allowed = |pattern: &str| Pattern::new(pattern.as_bytes()).is_in_slot_of(b"{t}key");
        for pattern in ["{t}*", "x{t}y*->f", "{t}[*", "t"] {
            assert!(allowed(pattern), "{pattern}");
        }
        for pattern in ["*{t}", "{t*}", "{}{t}*", "{u}*", "*", "\\{t}*", "#"] {
            assert!(!allowed(pattern), "{pattern}");
        }
    }

    #[test]
    fn an_arrow_needs_a_field() {
        assert_eq!(Pattern::new(b"h_*->").arrow, None);
        assert_eq!(Pattern::new(b"h->_*->f").arrow, Some(5));
        assert_eq!(Pattern::new(b"h->f").arrow, None);
        assert!(Pattern::new(b"#").is_element() && !Pattern::new(b"##").is_element());
    }
}
