//! Dense registers: 6 bits each, from the least significant bit of the first byte on.

use super::REGISTERS;
use super::element::Observation;

/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * 6 / 8;

/// A register. Beyond the end of `registers` there are zeros.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let high = registers.get(at + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([registers[at], high]) >> shift) as u8 & 63
}

/// Raises a register to what was observed; whether that changed it.
pub(super) fn raise(registers: &mut [u8], Observation { index, count }: Observation) -> bool {
    let higher = count > get(registers, index);
    if higher {
        let (at, shift) = (index * 6 / 8, index * 6 % 8);
        let (mask, value) = ((63u16 << shift).to_le_bytes(), (u16::from(count) << shift).to_le_bytes());
        registers[at] = registers[at] & !mask[0] | value[0];
        if let Some(high) = registers.get_mut(at + 1) {
            *high = *high & !mask[1] | value[1];
        }
    }
    higher
}

/// Every register in turn.
pub(super) fn each(registers: &[u8], mut visit: impl FnMut(u8)) {
    for four in registers.as_chunks::<3>().0 {
        let bits = u32::from_le_bytes([four[0], four[1], four[2], 0]);
        for shift in [0, 6, 12, 18] {
            visit((bits >> shift) as u8 & 63);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_do_not_touch_each_other() {
        let mut registers = vec![0; BYTES];
        let mut expected = vec![0; REGISTERS];
        for round in 0..3usize {
            for at in 0..REGISTERS {
                let index = at * 7919 % REGISTERS;
                let count = ((at * 31 + round * 17) % 64) as u8;
                let higher = count > expected[index];
                assert_eq!(raise(&mut registers, Observation { index, count }), higher);
                expected[index] = expected[index].max(count);
            }
        }
        assert!((0..REGISTERS).all(|index| get(&registers, index) == expected[index]));
        let mut all = Vec::new();
        each(&registers, |register| all.push(register));
        assert_eq!(all, expected);
    }
}
