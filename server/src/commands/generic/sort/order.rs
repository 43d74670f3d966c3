//! The order of SORT, the same on every copy.

use crate::commands::CommandError;
use crate::commands::partial_sort::partial_sort;
use crate::commands::sorted_set::score;
use std::cmp::Ordering;
use std::ops::Range;

const NOT_A_NUMBER: CommandError = CommandError::text("ERR One or more scores can't be converted into double");

/// An element and what it is sorted by.
struct Weighed<W> {
    element: Vec<u8>,
    weight: W,
}

/// Reads a weight as `strtod` does, up to the end of a C string: white space before it is allowed, nothing is 0.
fn number(text: &[u8]) -> Result<f64, CommandError> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blank(byte)).ok_or(NOT_A_NUMBER)?;
    score::parse(&text[start..]).ok_or(NOT_A_NUMBER)
}

fn compare_numbers(one: &Weighed<f64>, other: &Weighed<f64>) -> Ordering {
    let by_weight = one.weight.partial_cmp(&other.weight).unwrap_or(Ordering::Equal);
    by_weight.then_with(|| one.element.cmp(&other.element))
}

fn directed<T>(descending: bool, compare: impl Fn(&T, &T) -> Ordering) -> impl Fn(&T, &T) -> Ordering {
    move |one, other| if descending { compare(one, other).reverse() } else { compare(one, other) }
}

fn elements<W>(weighed: Vec<Weighed<W>>) -> Vec<Vec<u8>> {
    weighed.into_iter().map(|weighed| weighed.element).collect()
}

/// Sorts elements by themselves: as numbers, or as bytes.
pub(super) fn by_themselves(
    mut elements: Vec<Vec<u8>>,
    alpha: bool,
    descending: bool,
) -> Result<Vec<Vec<u8>>, CommandError> {
    if alpha {
        elements.sort_by(directed(descending, |one: &Vec<u8>, other| one.cmp(other)));
        return Ok(elements);
    }
    let weigh = |element: Vec<u8>| number(&element).map(|weight| Weighed { weight, element });
    let mut weighed = elements.into_iter().map(weigh).collect::<Result<Vec<_>, _>>()?;
    weighed.sort_by(directed(descending, compare_numbers));
    Ok(self::elements(weighed))
}

/// Sorts elements by what `weight` finds for them: as numbers, what is missing being 0, or as bytes, what is missing coming
/// first. Only what lies in the window is sure to be in its place.
pub(super) fn by_weights(
    elements: Vec<Vec<u8>>,
    weight: impl Fn(&[u8]) -> Option<Vec<u8>>,
    alpha: bool,
    descending: bool,
    window: Range<usize>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    if alpha {
        let weigh = |element: Vec<u8>| Weighed { weight: weight(&element), element };
        let weighed = elements.into_iter().map(weigh).collect();
        let compare = |one: &Weighed<Option<Vec<u8>>>, other: &Weighed<_>| one.weight.cmp(&other.weight);
        return Ok(sort(weighed, window, &directed(descending, compare)));
    }
    let weigh = |element: Vec<u8>| {
        let weight = weight(&element).map_or(Ok(0.0), |weight| number(&weight));
        weight.map(|weight| Weighed { weight, element })
    };
    let weighed = elements.into_iter().map(weigh).collect::<Result<_, _>>()?;
    Ok(sort(weighed, window, &directed(descending, compare_numbers)))
}

/// Equal ones keep their order where all are wanted, and come as Redis's partial sort leaves them otherwise.
fn sort<W>(
    mut weighed: Vec<Weighed<W>>,
    window: Range<usize>,
    compare: &dyn Fn(&Weighed<W>, &Weighed<W>) -> Ordering,
) -> Vec<Vec<u8>> {
    if window == (0..weighed.len()) {
        weighed.sort_by(compare);
    } else {
        partial_sort(&mut weighed, window, compare);
    }
    elements(weighed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_freely() {
        for (text, value) in [("", 0.0), (" 1.5", 1.5), ("1\0x", 1.0), ("-inf", f64::NEG_INFINITY), ("0x10", 16.0)] {
            assert_eq!(number(text.as_bytes()), Ok(value), "{text:?}");
        }
        for text in [" ", "1 ", "nan", "1e400", "x"] {
            assert_eq!(number(text.as_bytes()), Err(NOT_A_NUMBER), "{text:?}");
        }
    }
}
