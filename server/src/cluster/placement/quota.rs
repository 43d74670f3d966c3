//! How many copies each zone and node may hold: fair shares by weight, exact.

use super::Nodes;

/// The most copies of one partition that each zone holds: the least even number of them (at most one a node) that makes
/// room for all `copies`. It is 1 where there are as many zones as copies.
pub(super) fn zone_copies_max(zone_sizes: &[usize], copies: usize) -> Vec<usize> {
    let with = |limit: usize| zone_sizes.iter().map(move |&size| size.min(limit));
    let limit = (1..=copies).find(|&limit| with(limit).sum::<usize>() >= copies).unwrap_or(copies);
    with(limit).collect()
}

/// A fair share in copies, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// In units of `1 / unit` copies.
    parts: u128,
    unit: u128,
}

impl Share {
    /// Rounded down.
    pub(super) fn whole(self) -> u32 {
        (self.parts / self.unit) as u32
    }

    /// Whether rounding up gives one more than rounding down.
    pub(super) fn has_fraction(self) -> bool {
        !self.parts.is_multiple_of(self.unit)
    }
}

/// The fair shares of all zones and, within them, of all nodes.
pub(super) struct Shares {
    pub(super) zones: Vec<Share>,
    pub(super) nodes: Vec<Share>,
}

impl Shares {
    /// Zones get their shares first, since a zone's limit binds all its nodes together; each zone's share is then shared
    /// out among its nodes.
    pub(super) fn new(nodes: &Nodes, partitions: usize, copies: usize, zone_copies_max: &[usize]) -> Self {
        let weights = scaled_weights(nodes);
        let zone_claims: Vec<Claim> = (0..nodes.zone_sizes.len())
            .map(|zone| Claim {
                weight: nodes.members(zone).map(|node| weights[node]).sum(),
                most: (partitions * zone_copies_max[zone]) as u128,
            })
            .collect();
        let zones = divide(Share { parts: (partitions * copies) as u128, unit: 1 }, &zone_claims);
        let mut shares = vec![Share { parts: 0, unit: 1 }; nodes.list.len()];
        for (zone, &share) in zones.iter().enumerate() {
            let claims: Vec<Claim> =
                nodes.members(zone).map(|node| Claim { weight: weights[node], most: partitions as u128 }).collect();
            for (node, share) in nodes.members(zone).zip(divide(share, &claims)) {
                shares[node] = share;
            }
        }
        Self { zones, nodes: shares }
    }
}

/// Weights brought below 2^20, so that products of two of them and a number of copies stay exact.
fn scaled_weights(nodes: &Nodes) -> Vec<u128> {
    let heaviest = (0..nodes.list.len()).map(|node| nodes.weight(node)).max().unwrap_or(1);
    let shift = (u64::BITS - heaviest.leading_zeros()).saturating_sub(20);
    (0..nodes.list.len()).map(|node| u128::from(nodes.weight(node) >> shift).max(1)).collect()
}

/// One party to a division.
struct Claim {
    weight: u128,
    most: u128,
}

/// Divides `total` by weight, nobody above `most`; what a limit cuts off goes to the others.
fn divide(total: Share, claims: &[Claim]) -> Vec<Share> {
    let mut shares = vec![Share { parts: 0, unit: 1 }; claims.len()];
    let mut open: Vec<usize> = (0..claims.len()).collect();
    let mut parts_left = total.parts;
    // Each round may push others over their limits, since they share what was cut off.
    loop {
        let weight_sum: u128 = open.iter().map(|&i| claims[i].weight).sum();
        let (full, rest): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&i| parts_left * claims[i].weight >= claims[i].most * total.unit * weight_sum);
        for &i in &full {
            shares[i] = Share { parts: claims[i].most, unit: 1 };
            parts_left = parts_left.saturating_sub(claims[i].most * total.unit);
        }
        if full.is_empty() {
            for &i in &open {
                shares[i] = Share { parts: parts_left * claims[i].weight, unit: total.unit * weight_sum };
            }
            return shares;
        }
        open = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(total: u128, weights_most: &[(u128, u128)]) -> Vec<(u32, bool)> {
        let claims: Vec<Claim> = weights_most.iter().map(|&(weight, most)| Claim { weight, most }).collect();
        divide(Share { parts: total, unit: 1 }, &claims).iter().map(|s| (s.whole(), s.has_fraction())).collect()
    }

    #[test]
    fn shares_follow_weights_and_limits() {
        assert_eq!(divided(12, &[(1, 99), (2, 99), (3, 99)]), [(2, false), (4, false), (6, false)]);
        assert_eq!(divided(12, &[(1, 99), (1, 99), (8, 6)]), [(3, false), (3, false), (6, false)]);
        assert_eq!(divided(12, &[(1, 4), (1, 4), (1, 4)]), [(4, false); 3]);
        assert_eq!(divided(10, &[(1, 9), (1, 9), (1, 9)]), [(3, true); 3]);
    }

    #[test]
    fn zones_hold_no_more_than_they_must() {
        assert_eq!(zone_copies_max(&[2, 2, 2], 3), [1, 1, 1]);
        assert_eq!(zone_copies_max(&[4, 1], 3), [2, 1]);
        assert_eq!(zone_copies_max(&[4, 1], 4), [3, 1]);
        assert_eq!(zone_copies_max(&[3], 3), [3]);
    }
}
