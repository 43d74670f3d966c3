//! The floating point of INCRBYFLOAT: x87's 80-bit `long double`, in integers.
//!
//! Redis reads with `strtold`, adds in `long double` and prints `%.17Lf` without trailing zeros. An `f64` would print
//! other digits (10.5 + 0.1), and what a host's `long double` is differs between machines, while copies of a partition
//! must store the same bytes. So the few operations that are needed are spelled out here: 64 bits of mantissa, round
//! half to even, subnormals.

/// Longest text that is read (Redis: `MAX_LONG_DOUBLE_CHARS` less its terminator).
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Exponent of the last mantissa bit of the smallest numbers.
const EXPONENT_MIN: i64 = -16_445;
/// Exponent of the last mantissa bit of the largest numbers.
const EXPONENT_MAX: i64 = 16_320;
/// Digits after the point that are printed.
const FRACTION_DIGITS: usize = 17;

/// A finite number or infinity: `mantissa * 2^exponent`. The mantissa has its top bit set unless the exponent is the
/// least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magnitude {
    Finite { mantissa: u64, exponent: i64 },
    Infinite,
}

use Magnitude::{Finite, Infinite};

impl Extended {
    /// Positive zero.
    pub const ZERO: Self = Self { negative: false, magnitude: Finite { mantissa: 0, exponent: EXPONENT_MIN } };

    /// Reads what `strtold` reads, all of `text`: decimal, hexadecimal, `inf`. `None` for NaN, for what overflows or
    /// vanishes, and for anything else, as Redis's `string2ld`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, magnitude: Infinite });
        }
        let magnitude = match text {
            [b'0', b'x' | b'X', hex @ ..] => parse_hexadecimal(hex)?,
            _ => parse_decimal(text)?,
        };
        Some(Self { negative, magnitude })
    }

    /// The nearest `f64`; of a subnormal one, near enough.
    pub fn to_f64(self) -> f64 {
        let magnitude = match self.magnitude {
            Infinite => f64::INFINITY,
            // In two steps: the power alone may be out of range where the product is not.
            Finite { mantissa, exponent } => {
                let half = (exponent / 2).clamp(-1000, 1000) as i32;
                let rest = (exponent - i64::from(half)).clamp(-1000, 1000) as i32;
                mantissa as f64 * 2f64.powi(half) * 2f64.powi(rest)
            }
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// Whether it is finite.
    pub fn is_finite(self) -> bool {
        matches!(self.magnitude, Finite { .. })
    }

    /// The sum, or `None` where it is infinite or not a number.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (Finite { mantissa: m1, exponent: e1 }, Finite { mantissa: m2, exponent: e2 }) =
            (self.magnitude, other.magnitude)
        else {
            return None;
        };
        let (large, small) =
            if (e1, m1) >= (e2, m2) { ((self, m1, e1), (m2, e2)) } else { ((other, m2, e2), (m1, e1)) };
        let ((sign, m1, e1), (m2, e2)) = (large, small);
        let distance = e1 - e2;
        let x = u128::from(m1) << 62;
        let y = u128::from(m2) << 62;
        // What falls off the end only matters for rounding: one sticky bit says that there was something.
        let (y, sticky) = if distance >= 127 { (0, y != 0) } else { (y >> distance, (y >> distance) << distance != y) };
        let sum = if self.negative == other.negative { x + y } else { x - y - u128::from(sticky) };
        let magnitude = round(sum, e1 - 62, sticky);
        let zero = matches!(magnitude, Finite { mantissa: 0, .. });
        let negative = if zero { self.negative && other.negative } else { sign.negative };
        (magnitude != Infinite).then_some(Self { negative, magnitude })
    }

    /// As Redis prints it: `%.17Lf`, trailing zeros and point removed.
    pub fn to_text(self) -> Vec<u8> {
        let Finite { mantissa, exponent } = self.magnitude else {
            return if self.negative { b"-inf".to_vec() } else { b"inf".to_vec() };
        };
        let mut digits = if exponent >= 0 {
            let mut digits = Natural::from(u128::from(mantissa)).shifted_left(exponent as usize).into_decimal();
            digits.resize(digits.len() + FRACTION_DIGITS, b'0');
            digits
        } else {
            // 2^64 * 10^17 < 2^121.
            let scaled = u128::from(mantissa) * 10u128.pow(FRACTION_DIGITS as u32);
            shift_right_half_even(scaled, exponent.unsigned_abs(), false).to_string().into_bytes()
        };
        if digits.len() <= FRACTION_DIGITS {
            digits.splice(0..0, std::iter::repeat_n(b'0', FRACTION_DIGITS + 1 - digits.len()));
        }
        digits.insert(digits.len() - FRACTION_DIGITS, b'.');
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.last() == Some(&b'.') {
            digits.pop();
        }
        if self.negative && digits != b"0" {
            digits.insert(0, b'-');
        }
        digits
    }
}

/// `value / 2^distance`, rounded half to even; `sticky` says that the true value is a little more.
fn shift_right_half_even(value: u128, distance: u64, sticky: bool) -> u128 {
    if distance == 0 {
        return value;
    }
    if distance > 127 {
        // Callers' values are below 2^127, so less than a half.
        return 0;
    }
    let kept = value >> distance;
    let rest = value & ((1 << distance) - 1);
    let half = 1 << (distance - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    kept + u128::from(up)
}

/// Rounds `value * 2^exponent` to 64 bits of mantissa. `value` is below 2^127 and, if `sticky`, has at least 66 bits or
/// is rounded at the least exponent anyway.
fn round(value: u128, exponent: i64, sticky: bool) -> Magnitude {
    let bits = i64::from(128 - value.leading_zeros());
    let shift = (bits - 64).max(EXPONENT_MIN - exponent);
    if shift < 0 {
        // Fewer than 64 bits: exact, made to stand at the top unless the exponent would fall below the least.
        return if value == 0 {
            Finite { mantissa: 0, exponent: EXPONENT_MIN }
        } else {
            finite((value << -shift) as u64, exponent + shift)
        };
    }
    match shift_right_half_even(value, shift as u64, sticky) {
        0 => Finite { mantissa: 0, exponent: EXPONENT_MIN },
        rounded if rounded >> 64 != 0 => finite((rounded >> 1) as u64, exponent + shift + 1),
        rounded => finite(rounded as u64, exponent + shift),
    }
}

fn finite(mantissa: u64, exponent: i64) -> Magnitude {
    if exponent > EXPONENT_MAX { Infinite } else { Finite { mantissa, exponent } }
}

/// A number that was read: none that overflows, none that is not zero and vanishes (`ERANGE`).
fn in_range(magnitude: Magnitude, is_zero: bool) -> Option<Magnitude> {
    match magnitude {
        Infinite => None,
        Finite { mantissa: 0, .. } if !is_zero => None,
        finite => Some(finite),
    }
}

/// Splits `digits[.digits][marker[sign]digits]` into all its digits, how many stand after the point, and the exponent.
fn split(text: &[u8], marker: u8, is_digit: fn(&u8) -> bool) -> Option<(Vec<u8>, i64, i64)> {
    let (number, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&marker)) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &b""[..]),
    };
    let digits = [whole, fraction].concat();
    (!digits.is_empty() && digits.iter().all(is_digit)).then_some((digits, fraction.len() as i64, exponent))
}

/// An exponent, cut to what is surely out of range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if negative { -value } else { value })
}

fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let (digits, fraction, exponent) = split(text, b'e', u8::is_ascii_digit)?;
    let digits: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == b'0').collect();
    if digits.is_empty() {
        return Some(Extended::ZERO.magnitude);
    }
    let exponent = exponent - fraction;
    // Far out of range: answered before a large power is computed.
    let order = exponent + digits.len() as i64;
    if !(-4_960..=4_940).contains(&order) {
        return None;
    }
    let mut numerator = Natural::from(0);
    for chunk in digits.chunks(9) {
        let value = chunk.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        numerator.multiply_add(10u32.pow(chunk.len() as u32), value);
    }
    let power = Natural::power_of_ten(exponent.unsigned_abs() as usize);
    if exponent >= 0 {
        in_range(round_natural(&numerator.times(&power)), false)
    } else {
        in_range(round_quotient(numerator, power), false)
    }
}

fn parse_hexadecimal(text: &[u8]) -> Option<Magnitude> {
    let (digits, fraction, exponent) = split(text, b'p', u8::is_ascii_hexdigit)?;
    let mut number = Natural::from(0);
    for digit in digits {
        number.multiply_add(16, char::from(digit).to_digit(16)?);
    }
    let (value, shift, sticky) = number.top_bits();
    in_range(round(value, shift + exponent - 4 * fraction, sticky), value == 0)
}

fn round_natural(number: &Natural) -> Magnitude {
    let (value, exponent, sticky) = number.top_bits();
    round(value, exponent, sticky)
}

/// Divides bit by bit until 67 bits of the quotient are known: enough to round right, with the rest as sticky bit.
fn round_quotient(mut numerator: Natural, mut denominator: Natural) -> Magnitude {
    const BITS: i64 = 67;
    let scale = BITS - (numerator.bits() as i64 - denominator.bits() as i64);
    if scale >= 0 {
        numerator = numerator.shifted_left(scale as usize);
    } else {
        denominator = denominator.shifted_left(scale.unsigned_abs() as usize);
    }
    // Now the quotient lies in 2^66 .. 2^68.
    let mut divisor = denominator.shifted_left(BITS as usize);
    let mut quotient = 0u128;
    for _ in 0..=BITS {
        quotient <<= 1;
        if numerator.subtract_if_not_less(&divisor) {
            quotient |= 1;
        }
        divisor.halve();
    }
    round(quotient, -scale, !numerator.is_zero())
}

/// A natural number of any size, least limb first, no zero limb at the top.
#[derive(Debug, Clone)]
struct Natural(Vec<u32>);

impl Natural {
    fn power_of_ten(mut exponent: usize) -> Self {
        let mut power = Self::from(1);
        while exponent > 0 {
            let step = exponent.min(9);
            power.multiply_add(10u32.pow(step as u32), 0);
            exponent -= step;
        }
        power
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| 32 * self.0.len() - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.0 {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = vec![0u32; self.0.len() + other.0.len()];
        for (at, &left) in self.0.iter().enumerate() {
            let mut carry = 0u64;
            for (limb, &right) in product[at..].iter_mut().zip(other.0.iter().chain(std::iter::repeat(&0))) {
                let sum = u64::from(left) * u64::from(right) + u64::from(*limb) + carry;
                *limb = sum as u32;
                carry = sum >> 32;
            }
        }
        let mut product = Self(product);
        product.trim();
        product
    }

    fn shifted_left(&self, distance: usize) -> Self {
        let mut limbs = vec![0; distance / 32];
        let mut carry = 0u64;
        for &limb in &self.0 {
            let wide = (u64::from(limb) << (distance % 32)) | carry;
            limbs.push(wide as u32);
            carry = wide >> 32;
        }
        limbs.push(carry as u32);
        let mut shifted = Self(limbs);
        shifted.trim();
        shifted
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let low = *limb & 1;
            *limb = (*limb >> 1) | (carry << 31);
            carry = low;
        }
        self.trim();
    }

    /// Subtracts `other` where that leaves no less than zero, and says whether it did.
    fn subtract_if_not_less(&mut self, other: &Self) -> bool {
        let ours = (self.0.len(), self.0.iter().rev());
        let theirs = (other.0.len(), other.0.iter().rev());
        if ours.0 < theirs.0 || (ours.0 == theirs.0 && ours.1.lt(theirs.1)) {
            return false;
        }
        let mut borrow = 0i64;
        for (limb, &right) in self.0.iter_mut().zip(other.0.iter().chain(std::iter::repeat(&0))) {
            let difference = i64::from(*limb) - i64::from(right) + borrow;
            *limb = difference as u32;
            borrow = difference >> 32;
        }
        self.trim();
        true
    }

    /// The upper 96 bits or fewer, the exponent of the last of them, and whether any bit below is set.
    fn top_bits(&self) -> (u128, i64, bool) {
        let below = self.0.len().saturating_sub(3);
        let value = self.0[below..].iter().rev().fold(0u128, |value, limb| (value << 32) | u128::from(*limb));
        (value, 32 * below as i64, self.0[..below].iter().any(|limb| *limb != 0))
    }

    fn into_decimal(mut self) -> Vec<u8> {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let wide = (rest << 32) | u64::from(*limb);
                *limb = (wide / 1_000_000_000) as u32;
                rest = wide % 1_000_000_000;
            }
            self.trim();
            chunks.push(rest);
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        text.into_bytes()
    }
}

impl From<u128> for Natural {
    fn from(value: u128) -> Self {
        let mut natural = Self((0..4).map(|at| (value >> (32 * at)) as u32).collect());
        natural.trim();
        natural
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(left: &str, right: &str) -> Option<String> {
        let sum = Extended::parse(left.as_bytes())?.checked_add(Extended::parse(right.as_bytes())?)?;
        Some(String::from_utf8(sum.to_text()).unwrap())
    }

    #[test]
    fn sums_print_what_redis_prints() {
        // Each right side was printed by redis-server 7.0.15 on x86-64.
        for (left, right, sum) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "0", "3"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-0.0", "-0.0", "0"),
            ("0", "0x1p-3", "0.125"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e-18", "0", "0"),
            ("-1e-18", "0", "0"),
            ("9007199254740993", "0", "9007199254740993"),
            ("18446744073709551615", "0.5", "18446744073709551616"),
        ] {
            assert_eq!(add(left, right).as_deref(), Some(sum), "{left} + {right}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", " 1", "1 ", "nan", "abc", "1e", "0x", ".", "-", "1e5000", "1e-5000", "1e99999999999", "1.2.3"]
        {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["1.", ".5", "+1", "1E5", "inf", "-Infinity", "0e999999", "3.6e-4951", "1.1e4932"] {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert_eq!(add("1.1e4932", "1.1e4932"), None);
        assert_eq!(add("inf", "-inf"), None);
    }

    #[test]
    fn the_extremes_hold() {
        let most = add("1.18973149535723176502e+4932", "0").unwrap();
        assert_eq!(most.len(), 4933);
        assert!(most.starts_with("118973149535723176502126385303097"));
        let long = "9".repeat(TEXT_BYTES_MAX);
        assert_eq!(Extended::parse(long.as_bytes()), None);
        let fraction = format!("0.{}1", "0".repeat(4_949));
        assert!(Extended::parse(fraction.as_bytes()).is_some());
        assert_eq!(Extended::parse(format!("1{long}").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn integers_are_exact(left in any::<i32>(), right in any::<i32>()) {
            let sum = i64::from(left) + i64::from(right);
            prop_assert_eq!(add(&left.to_string(), &right.to_string()), Some(sum.to_string()));
        }

        #[test]
        fn every_integer_of_64_bits_prints_as_itself(value: i64) {
            prop_assert_eq!(add(&value.to_string(), "0"), Some(value.to_string()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            Extended::parse(&text);
        }

        #[test]
        fn addition_commutes(left in "-?[0-9]{1,30}\\.[0-9]{0,30}(e-?[0-9]{1,3})?", right in "-?[0-9]{1,9}\\.[0-9]{1,9}") {
            prop_assert_eq!(add(&left, &right), add(&right, &left));
        }
    }
}
