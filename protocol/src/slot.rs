//! Hash slots, as in the Redis Cluster specification.

/// The number of hash slots.
pub const SLOTS: u16 = 16_384;

/// One of the 16,384 hash slots.
pub type Slot = u16;

/// CRC16/XMODEM (polynomial 0x1021) of a byte, then of that byte with one to seven zeros behind it: eight bytes take eight
/// lookups that do not wait for each other ("slicing by 8", Kounavis and Berry 2005).
static CRC16: [[u16; 256]; 8] = {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
};

/// CRC16/XMODEM of `bytes`.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(0, |crc: u16, eight| {
        let [high, low] = crc.to_be_bytes();
        CRC16[7][usize::from(eight[0] ^ high)]
            ^ CRC16[6][usize::from(eight[1] ^ low)]
            ^ CRC16[5][usize::from(eight[2])]
            ^ CRC16[4][usize::from(eight[3])]
            ^ CRC16[3][usize::from(eight[4])]
            ^ CRC16[2][usize::from(eight[5])]
            ^ CRC16[1][usize::from(eight[6])]
            ^ CRC16[0][usize::from(eight[7])]
    });
    rest.iter().fold(crc, |crc, byte| (crc << 8) ^ CRC16[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// The part of `key` that is hashed: what stands between the first `{` and the next `}`, if that is not empty.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    let rest = &key[open + 1..];
    match memchr::memchr(b'}', rest) {
        Some(0) | None => key,
        Some(close) => &rest[..close],
    }
}

/// The slot of `key`, hash tags honoured (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
pub fn slot_of(key: &[u8]) -> Slot {
    crc16(hash_tag(key)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_a_time_are_as_one_at_a_time() {
        let bytes: Vec<u8> = (0..100u32).map(|n| (n * n * 31 + 7) as u8).collect();
        for length in 0..bytes.len() {
            let mut crc = 0u16;
            for byte in &bytes[..length] {
                crc ^= u16::from(*byte) << 8;
                (0..8).for_each(|_| crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 });
            }
            assert_eq!(crc16(&bytes[..length]), crc);
        }
    }

    #[test]
    fn slots_match_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
    }
}
