//! Which members of the directory's group vote.

use crate::ids::NodeNo;
use std::collections::{BTreeMap, BTreeSet};

/// More voters than this make writes slower and nothing safer.
const VOTERS_MAX: usize = 5;

/// A node that may vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) no: NodeNo,
    pub(super) zone: Option<String>,
    /// Whether it votes now.
    pub(super) votes: bool,
}

/// Up to five of the candidates, an odd number but for two, spread over zones; those that vote now are preferred.
pub(super) fn choose(candidates: &[Candidate]) -> BTreeSet<NodeNo> {
    let wanted = match candidates.len().min(VOTERS_MAX) {
        // One more node makes an odd group no safer, except that of two either may hold the only newest state.
        even @ 4.. if even.is_multiple_of(2) => even - 1,
        wanted => wanted,
    };
    let mut chosen = BTreeSet::new();
    let mut in_zone: BTreeMap<&str, usize> = BTreeMap::new();
    while chosen.len() < wanted {
        let rank = |candidate: &&Candidate| {
            let crowded = candidate.zone.as_deref().and_then(|zone| in_zone.get(zone)).copied().unwrap_or(0);
            (crowded, !candidate.votes, candidate.no)
        };
        let Some(next) = candidates.iter().filter(|candidate| !chosen.contains(&candidate.no)).min_by_key(rank) else {
            break;
        };
        chosen.insert(next.no);
        if let Some(zone) = &next.zone {
            *in_zone.entry(zone).or_default() += 1;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(list: &[(u32, &str, bool)]) -> Vec<Candidate> {
        let zone = |zone: &str| (!zone.is_empty()).then(|| zone.to_owned());
        list.iter().map(|&(no, z, votes)| Candidate { no: NodeNo(no), zone: zone(z), votes }).collect()
    }

    fn chosen(list: &[(u32, &str, bool)]) -> Vec<u32> {
        choose(&candidates(list)).into_iter().map(|no| no.0).collect()
    }

    #[test]
    fn one_two_three_three_five_and_no_more() {
        let of = |count: u32| choose(&candidates(&(1..=count).map(|no| (no, "", false)).collect::<Vec<_>>())).len();
        assert_eq!((1..=7).map(of).collect::<Vec<_>>(), [1, 2, 3, 3, 5, 5, 5]);
    }

    #[test]
    fn those_who_vote_stay() {
        assert_eq!(chosen(&[(1, "", false), (2, "", true), (3, "", true), (4, "", true)]), [2, 3, 4]);
    }

    #[test]
    fn zones_come_first() {
        assert_eq!(chosen(&[(1, "a", true), (2, "a", true), (3, "a", true), (4, "b", false)]), [1, 2, 4]);
        assert_eq!(chosen(&[(1, "a", false), (2, "a", true), (3, "b", true), (4, "c", false)]), [2, 3, 4]);
    }
}
