//! Replies as values.

use bytes::Bytes;

use crate::Error;

/// A reply: every type of RESP2 and RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null, whichever way the protocol spells it.
    Null,
    /// A status such as `OK`.
    Simple(Bytes),
    /// An error inside another reply, as in what EXEC returns. At the top it becomes an [`Error`].
    Error(Bytes),
    /// An integer.
    Integer(i64),
    /// A string of any bytes.
    Bulk(Bytes),
    /// A floating-point number (RESP3).
    Double(f64),
    /// A boolean (RESP3).
    Boolean(bool),
    /// An integer of any size, as its digits (RESP3).
    BigNumber(Bytes),
    /// A text with a format (`txt` or `mkd`) (RESP3).
    Verbatim {
        /// How it is meant.
        format: &'static str,
        /// The text itself.
        text: Bytes,
    },
    /// A list.
    Array(Vec<Value>),
    /// Pairs, in the order they were sent (RESP3).
    Map(Vec<(Value, Value)>),
    /// A list without duplicates, in the order it was sent (RESP3).
    Set(Vec<Value>),
    /// A message that is no reply (RESP3). Connections keep them apart.
    Push(Vec<Value>),
    /// A value with remarks about it (RESP3).
    Attributed {
        /// The remarks.
        attributes: Vec<(Value, Value)>,
        /// What they are about.
        value: Box<Value>,
    },
}

impl Value {
    /// The bytes of whatever is a string of some kind.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(text) | Self::Bulk(text) | Self::BigNumber(text) | Self::Verbatim { text, .. } => Some(text),
            Self::Attributed { value, .. } => value.as_bytes(),
            _ => None,
        }
    }

    /// The text of whatever is a string of some kind, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number of an integer, a boolean, or a string of digits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Boolean(value) => Some(i64::from(*value)),
            Self::Attributed { value, .. } => value.as_i64(),
            _ => self.as_str()?.parse().ok(),
        }
    }

    /// The elements of an array, set or push message.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => Some(elements),
            Self::Attributed { value, .. } => value.as_slice(),
            _ => None,
        }
    }

    /// The value at `key` of a map, or of an array of alternating keys and values as RESP2 has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let matches = |candidate: &Value| candidate.as_bytes().is_some_and(|bytes| bytes == key.as_bytes());
        match self {
            Self::Map(pairs) => pairs.iter().find(|(candidate, _)| matches(candidate)).map(|(_, value)| value),
            Self::Array(elements) => {
                elements.as_chunks::<2>().0.iter().find(|[candidate, _]| matches(candidate)).map(|[_, value]| value)
            }
            Self::Attributed { value, .. } => value.get(key),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is the status `OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Simple(text) if text == "OK")
    }

    /// An error reply as an error, anything else as it is.
    pub(crate) fn into_result(self) -> Result<Self, Error> {
        match self {
            Self::Error(text) => Err(Error::from_reply(&text)),
            Self::Attributed { value, .. } if matches!(*value, Self::Error(_)) => value.into_result(),
            value => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_in_both_protocols() {
        let bulk = |text: &'static str| Value::Bulk(Bytes::from_static(text.as_bytes()));
        let resp3 = Value::Map(vec![(bulk("a"), Value::Integer(1)), (bulk("b"), Value::Null)]);
        let resp2 = Value::Array(vec![bulk("a"), Value::Integer(1), bulk("b"), Value::Null]);
        for value in [resp3, resp2] {
            assert_eq!(value.get("a").and_then(Value::as_i64), Some(1));
            assert!(value.get("b").is_some_and(Value::is_null));
            assert_eq!(value.get("c"), None);
        }
        assert_eq!(bulk("12").as_i64(), Some(12));
    }
}
