//! The cardinality that registers tell: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (arXiv:1702.01284), algorithm 6, with Redis's constants.

use super::REGISTERS;

/// Greatest count of a register less one: bits of a hash that do not pick the register.
const Q: usize = 50;
/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many registers have each value.
pub(super) struct Histogram([u32; 64]);

impl Histogram {
    /// Of no registers.
    pub(super) fn new() -> Self {
        Self([0; 64])
    }

    /// Counts `run` registers of a value below 64.
    pub(super) fn add(&mut self, value: u8, run: usize) {
        self.0[usize::from(value)] += run as u32;
    }

    /// The estimate.
    pub(super) fn cardinality(&self) -> u64 {
        let m = REGISTERS as f64;
        let mut z = m * tau((m - f64::from(self.0[Q + 1])) / m);
        for count in self.0[1..=Q].iter().rev() {
            z = (z + f64::from(*count)) * 0.5;
        }
        z += m * sigma(f64::from(self.0[0]) / m);
        (ALPHA * m * m / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_scale() {
        let mut empty = Histogram::new();
        empty.add(0, REGISTERS);
        assert_eq!(empty.cardinality(), 0);
        let mut one = Histogram::new();
        one.add(0, REGISTERS - 1);
        one.add(3, 1);
        assert_eq!(one.cardinality(), 1);
        let mut full = Histogram::new();
        full.add(51, REGISTERS);
        assert!(full.cardinality() > 1 << 60);
        // Registers that no hash can produce do not hang it.
        let mut odd = Histogram::new();
        odd.add(63, REGISTERS);
        odd.cardinality();
    }
}
