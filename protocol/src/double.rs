//! Floating-point numbers as Redis 7.4 writes them.

/// Digits up to which a number without a fraction is written as an integer, as in Redis's `double2ll`.
const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// The text of a number: the shortest that reads back as the same, with an exponent only where Redis writes one.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; Self::LENGTH_MAX],
    length: usize,
}

impl DoubleText {
    /// Longest text: sign, 17 digits, point and six zeros, or an exponent.
    const LENGTH_MAX: usize = 32;

    /// The text of `value`.
    pub fn new(value: f64) -> Self {
        let mut text = Self { bytes: [0; Self::LENGTH_MAX], length: 0 };
        if value.is_nan() {
            text.push(b"nan");
        } else if value.is_infinite() {
            text.push(if value < 0.0 { b"-inf" } else { b"inf" });
        } else if value == 0.0 {
            text.push(if value.is_sign_negative() { b"-0" } else { b"0" });
        } else if value.fract() == 0.0 && value.abs() <= INTEGER_MAX {
            text.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            text.push_digits(value);
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Lays out the shortest digits as Redis's `fpconv_dtoa` does (`deps/fpconv/fpconv_dtoa.c`, `emit_digits`).
    fn push_digits(&mut self, value: f64) {
        let mut buffer = ryu::Buffer::new();
        let (digits, scale) = digits(buffer.format_finite(value.abs()));
        let digits = digits.as_slice();
        let count = digits.len() as i32;
        // Of the first digit, in scientific notation.
        let exponent = scale + count - 1;
        if value < 0.0 {
            self.push(b"-");
        }
        if scale >= 0 && exponent < count + 7 {
            self.push(digits);
            self.push_zeros(scale);
        } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
            let whole = count + scale;
            if whole <= 0 {
                self.push(b"0.");
                self.push_zeros(-whole);
                self.push(digits);
            } else {
                let (whole, fraction) = digits.split_at(whole as usize);
                self.push(whole);
                self.push(b".");
                self.push(fraction);
            }
        } else {
            self.push(&digits[..1]);
            if digits.len() > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            self.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
        }
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    fn push_zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.push(b"0");
        }
    }
}

/// Decimal digits without zeros at either end, at most 17.
struct Digits {
    bytes: [u8; 24],
    start: usize,
    end: usize,
}

impl Digits {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// The digits of ryu's text and the power of ten of the last: `12.5` is 125 and -1, `1e21` is 1 and 21.
fn digits(text: &str) -> (Digits, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut scale: i32 = exponent.parse().unwrap_or(0);
    let mut digits = Digits { bytes: [0; 24], start: 0, end: 0 };
    let mut fraction = false;
    for byte in mantissa.bytes() {
        if byte == b'.' {
            fraction = true;
            continue;
        }
        digits.bytes[digits.end] = byte;
        digits.end += 1;
        scale -= i32::from(fraction);
    }
    while digits.end > digits.start + 1 && digits.bytes[digits.end - 1] == b'0' {
        digits.end -= 1;
        scale += 1;
    }
    while digits.end > digits.start + 1 && digits.bytes[digits.start] == b'0' {
        digits.start += 1;
    }
    (digits, scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(DoubleText::new(value).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_redis_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (3.1, "3.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.5e-5, "0.000015"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (123456.789, "123456.789"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1.5e300, "1.5e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    proptest! {
        #[test]
        fn texts_read_back_as_the_same(bits: u64) {
            let value = f64::from_bits(bits);
            let back: f64 = text(value).parse().unwrap();
            prop_assert!(back == value || (back.is_nan() && value.is_nan()));
        }
    }
}
