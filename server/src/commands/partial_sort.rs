//! Sorting a part of something as Redis does.

use std::cmp::Ordering;
use std::ops::Range;

/// Sorts `items` so far that those at the places of `wanted` are the right ones, in order.
///
/// What is equal comes out in the order that Redis's `pqsort` gives it: clients see it (SORT BY, GEORADIUS with COUNT). It is
/// the quicksort of Bentley and McIlroy ("Engineering a sort function", 1993), which leaves alone the parts that lie
/// outside of the range.
pub(super) fn partial_sort<T>(items: &mut [T], wanted: Range<usize>, compare: &dyn Fn(&T, &T) -> Ordering) {
    sort_part(items, wanted, compare, DEPTH_MAX);
}

/// Splits of a split of a split... after which something else is tried: whoever chooses what is sorted can make every split a
/// bad one, and would have the stack overflow.
const DEPTH_MAX: u32 = 128;

fn sort_part<T>(items: &mut [T], wanted: Range<usize>, compare: &dyn Fn(&T, &T) -> Ordering, depth: u32) {
    let mut rest = 0..items.len();
    for depth in (0..depth).rev() {
        let part = &mut items[rest.clone()];
        if part.len() < SHORT {
            insertion_sort(part, compare);
            return;
        }
        let (less, greater) = split(part, compare);
        let (low, high) = (rest.start..rest.start + less, rest.end - greater..rest.end);
        let touched = |part: &Range<usize>| part.len() > 1 && part.start < wanted.end && wanted.start < part.end;
        if touched(&low) {
            let wanted = wanted.start.saturating_sub(low.start)..wanted.end - low.start;
            sort_part(&mut items[low], wanted, compare, depth);
        }
        if !touched(&high) {
            return;
        }
        rest = high;
    }
    items[rest].sort_by(compare);
}

/// Below so many, insertion is faster.
const SHORT: usize = 7;
/// Above so many, the pivot is found among nine.
const LONG: usize = 40;

fn insertion_sort<T>(items: &mut [T], compare: &dyn Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The place of the middle one of three.
fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &dyn Fn(&T, &T) -> Ordering) -> usize {
    let less = |one: usize, other: usize| compare(&items[one], &items[other]).is_lt();
    let greater = |one: usize, other: usize| compare(&items[one], &items[other]).is_gt();
    if less(a, b) {
        if less(b, c) {
            b
        } else if less(a, c) {
            c
        } else {
            a
        }
    } else if greater(b, c) {
        b
    } else if less(a, c) {
        a
    } else {
        c
    }
}

/// Brings what is less than a pivot to the front and what is greater to the back; how many these are.
fn split<T>(items: &mut [T], compare: &dyn Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let count = items.len();
    let mut middle = count / 2;
    if count > SHORT {
        let (mut first, mut last) = (0, count - 1);
        if count > LONG {
            let step = count / 8;
            first = median(items, [first, first + step, first + 2 * step], compare);
            middle = median(items, [middle - step, middle, middle + step], compare);
            last = median(items, [last - 2 * step, last - step, last], compare);
        }
        middle = median(items, [first, middle, last], compare);
    }
    items.swap(0, middle);
    // Equal ones gather at both ends: `..equal_front` and `equal_back..`. What lies from `low` up to but without `high` has
    // not been looked at.
    let (mut equal_front, mut low, mut high, mut equal_back) = (1, 1, count, count);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(equal_front, low);
                    equal_front += 1;
                }
                Ordering::Less => {}
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    equal_back -= 1;
                    items.swap(high - 1, equal_back);
                }
                Ordering::Greater => {}
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    let (less, greater) = (low - equal_front, equal_back - high);
    swap_runs(items, 0, low - equal_front.min(less), equal_front.min(less));
    let back = count - equal_back;
    swap_runs(items, low, count - back.min(greater), back.min(greater));
    (less, greater)
}

fn swap_runs<T>(items: &mut [T], one: usize, other: usize, count: usize) {
    for at in 0..count {
        items.swap(one + at, other + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_wanted_part_is_sorted(
            items in prop::collection::vec(0u8..40, 0..300),
            from in 0usize..300,
            length in 1usize..300,
        ) {
            let mut whole = items.clone();
            whole.sort_unstable();
            let wanted = from.min(items.len())..(from + length).min(items.len());
            let mut part = items;
            partial_sort(&mut part, wanted.clone(), &|one, other| one.cmp(other));
            prop_assert_eq!(&part[wanted.clone()], &whole[wanted]);
            part.sort_unstable();
            prop_assert_eq!(part, whole);
        }
    }
}
