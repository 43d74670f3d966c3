//! Whether this node's wall clock can be followed.
//!
//! Nodes ask each other for their clocks once a second. By the round trip, that bounds how far this node's clock is ahead
//! of each peer's; a step of the wall clock, which boot time shows, moves all bounds at once. A clock that is certainly
//! more than a second ahead of the peers' median is held back to it, and the node gives up its leaderships, until the
//! clock is back. So a deadline passes early by that second at most. A clock that is behind does no harm: partition
//! clocks do not go backwards.
//!
//! Between two looks the clock goes no further than boot time does (`clock::Judgement`): an entry that is proposed just
//! after a jump must not carry the partition's clock, which never goes back, with it.

use super::node::ClusterNode;
use super::service;
use crate::clock::{self, Judgement, UnixMs};
use crate::ids::NodeNo;
use crate::planted::{Bug, planted};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How far ahead a clock may be.
const AHEAD_MS_MAX: i64 = 1000;
/// How near it must come to be followed again.
const BACK_MS: i64 = 500;
/// What a peer said counts for so long.
const FRESH_NS: u64 = 5_000_000_000;
/// A peer that has not answered for so long is taken for out of reach by those who ask how the cluster is.
const SILENT_NS: u64 = 5_000_000_000;
/// Changes of the correction that are not worth making.
const JITTER_MS: i64 = 100;
/// Between looks at this node's clock.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Looks between questions to the peers.
const LOOKS_PER_QUESTION: u32 = 20;
/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What is known of the peers' clocks, and what follows from it.
#[derive(Debug, Default)]
pub struct Skew {
    peers: BTreeMap<NodeNo, Peer>,
    /// Boot time of the first question since a peer's last answer.
    unanswered_ns: BTreeMap<NodeNo, u64>,
    /// Wall and boot time of the last look.
    last: Option<(UnixMs, u64)>,
    held_back_ms: i64,
    /// Whether this node's clock was compared with a peer's since it started.
    compared: bool,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    /// How far this node's clock is ahead of it, at least.
    ahead_ms: i64,
    heard_ns: u64,
    /// Whether it holds its own clock back.
    held_back: bool,
    /// Whether it had compared its clock with anybody's.
    compared: bool,
}

/// What a node says of its clock, and of whom it does not hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The system's wall clock, but for a jump that was not judged yet.
    pub system_ms: UnixMs,
    /// By how much the node holds it back.
    pub held_back_ms: u64,
    /// Whether it has compared it with another one's: before that it may be far ahead and not know.
    pub compared: bool,
    /// See `reach`.
    pub unheard: BTreeSet<NodeNo>,
}

impl Reading {
    /// This node's, now.
    pub fn now(compared: bool, unheard: BTreeSet<NodeNo>) -> Self {
        let held_back_ms = clock::held_back_ms();
        Self { system_ms: clock::unix_ms() + held_back_ms, held_back_ms, compared, unheard }
    }

    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(17 + 4 * self.unheard.len());
        out.put_u64_le(self.system_ms);
        out.put_u64_le(self.held_back_ms);
        out.put_u8(self.compared.into());
        self.unheard.iter().for_each(|no| out.put_u32_le(no.0));
        out.freeze()
    }

    /// The inverse of [`Reading::encode`].
    pub fn decode(mut body: Bytes) -> Option<Self> {
        let (system_ms, held_back_ms) = (body.try_get_u64_le().ok()?, body.try_get_u64_le().ok()?);
        let compared = body.try_get_u8().ok()? != 0;
        let unheard = std::iter::from_fn(|| body.try_get_u32_le().ok().map(NodeNo)).collect();
        Some(Self { system_ms, held_back_ms, compared, unheard })
    }
}

impl Skew {
    /// A peer is asked at `boot_ns`.
    pub fn asked(&mut self, node: NodeNo, boot_ns: u64) {
        self.unanswered_ns.entry(node).or_insert(boot_ns);
    }

    /// Whether a peer has not answered for a while, though it is connected: it is frozen, or its link is.
    pub fn is_silent(&self, node: NodeNo, boot_ns: u64) -> bool {
        self.unanswered_ns.get(&node).is_some_and(|since| boot_ns.saturating_sub(*since) > SILENT_NS)
    }

    /// A peer was asked when this node's system clock and boot time showed `asked`, and answered.
    pub fn heard(&mut self, node: NodeNo, asked: (UnixMs, u64), reading: &Reading, boot_ns: u64) {
        // The answer was given later than the question was sent, so the difference is at least this; as of the last look:
        // a step since then is counted by the next one.
        let theirs = reading.system_ms.saturating_sub(reading.held_back_ms);
        let ahead_ms = difference(asked.0, theirs).saturating_sub(self.step_until(asked.0, asked.1));
        let held_back = reading.held_back_ms > 0;
        self.peers.insert(node, Peer { ahead_ms, heard_ns: boot_ns, held_back, compared: reading.compared });
        self.unanswered_ns.remove(&node);
    }

    /// Whether this node's clock was compared with a peer's since it started.
    pub fn has_compared(&self) -> bool {
        self.compared
    }

    /// Whether a peer has ever answered.
    pub fn knows(&self, node: NodeNo) -> bool {
        self.peers.contains_key(&node)
    }

    /// By how much the system clock has gained on boot time since the last look.
    fn step_until(&self, system_ms: UnixMs, boot_ns: u64) -> i64 {
        // Whole milliseconds of boot time, so that what is cut off does not add up over many looks.
        let gained =
            |(last_ms, last_ns)| difference(system_ms, last_ms) - difference(boot_ns / 1_000_000, last_ns / 1_000_000);
        self.last.map_or(0, gained)
    }

    /// What is to be thought of the clock, now that the system clock and boot time are these.
    pub fn judge(&mut self, system_ms: UnixMs, boot_ns: u64) -> Judgement {
        let held_back_ms = self.look(system_ms, boot_ns);
        Judgement { held_back_ms, ahead_of_boot_ms: Some(system_ms.saturating_sub(boot_ns / 1_000_000)) }
    }

    /// By how much the clock is to be held back.
    fn look(&mut self, system_ms: UnixMs, boot_ns: u64) -> u64 {
        let step = self.step_until(system_ms, boot_ns);
        self.peers.values_mut().for_each(|peer| peer.ahead_ms = peer.ahead_ms.saturating_add(step));
        self.last = Some((system_ms, boot_ns));
        let fresh = || self.peers.values().filter(|peer| boot_ns.saturating_sub(peer.heard_ns) < FRESH_NS);
        // A node that has just started does not know yet whether its own is ahead: it counts where nobody else is heard.
        let any_compared = fresh().any(|peer| peer.compared);
        let mut ahead: Vec<i64> =
            fresh().filter(|peer| peer.compared || !any_compared).map(|peer| peer.ahead_ms).collect();
        self.compared |= !ahead.is_empty();
        ahead.sort_unstable();
        // Without a peer that answers nothing is known anew: what was decided stays.
        if let Some(median) = ahead.get(ahead.len().wrapping_sub(1) / 2).copied() {
            let limit = if self.held_back_ms > 0 { BACK_MS } else { AHEAD_MS_MAX };
            if median <= limit {
                self.held_back_ms = 0;
            } else if (median - self.held_back_ms).abs() > JITTER_MS {
                self.held_back_ms = median;
            }
        }
        if planted(Bug::FastClockIsFollowed) { 0 } else { self.held_back_ms as u64 }
    }

    /// Forgets peers that are no members.
    fn keep(&mut self, members: &[NodeNo]) {
        self.peers.retain(|no, _| members.contains(no));
        self.unanswered_ns.retain(|no, _| members.contains(no));
        if members.is_empty() {
            self.held_back_ms = 0;
        }
    }

    /// Whether a peer holds its clock back, or did not know yet whether it has to.
    pub fn is_held_back(&self, node: NodeNo) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.held_back || !peer.compared)
    }
}

fn difference(a: UnixMs, b: UnixMs) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(i64::MAX)
}

/// Watches the clocks for the life of the node.
pub(super) async fn run(node: Arc<ClusterNode>) {
    let mut looks = 0u32;
    // What was told of: an answer may have been judged between two looks.
    let mut told = 0;
    loop {
        let held_back = {
            let mut skew = node.skew.lock();
            let others: Vec<NodeNo> = node.state().nodes.keys().copied().filter(|no| *no != node.me.node).collect();
            skew.keep(&others);
            let judgement = skew.judge(clock::system_ms(), clock::boot_ns());
            clock::judge(judgement);
            judgement.held_back_ms
        };
        match (std::mem::replace(&mut told, held_back), held_back) {
            (0, 1..) => tracing::warn!(
                ahead_ms = held_back,
                "the wall clock is ahead of the other nodes': it is not followed, and leaderships are given up"
            ),
            (1.., 0) => tracing::info!("the wall clock is back: it is followed again"),
            _ => {}
        }
        let in_turn = looks.is_multiple_of(LOOKS_PER_QUESTION);
        for peer in node.peers.connected() {
            // A node that has just started may be far ahead, and lead soon: whom it has not heard it asks at once.
            if in_turn || !node.skew.lock().knows(peer) {
                tokio::spawn(ask(Arc::clone(&node), peer));
            }
        }
        if in_turn {
            let apart = node.look_who_is_apart();
            if held_back > 0 {
                node.copies.hand_over().await;
            } else if apart.contains(&node.me.node) {
                node.copies.give_way(&apart).await;
            }
        }
        looks = looks.wrapping_add(1);
        clock::beat(LOOK_PERIOD).await;
    }
}

async fn ask(node: Arc<ClusterNode>, peer: NodeNo) {
    let asked = (clock::system_ms(), clock::boot_ns());
    node.skew.lock().asked(peer, asked.1);
    let answer = node.peers.call(peer, service::CLOCK, Bytes::new(), ANSWER_TIMEOUT).await;
    if let Some(reading) = answer.ok().and_then(Reading::decode) {
        {
            let mut skew = node.skew.lock();
            skew.heard(peer, asked, &reading, clock::boot_ns());
            // Not at the next look: who has just started may lead before that.
            if !skew.has_compared() {
                clock::judge(skew.judge(clock::system_ms(), clock::boot_ns()));
            }
        }
        node.reach.lock().heard(peer, reading.unheard, clock::boot_ns());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMs = 1_800_000_000_000;
    const SECOND_NS: u64 = 1_000_000_000;

    fn reading(system_ms: UnixMs) -> Reading {
        Reading { system_ms, compared: true, ..Reading::default() }
    }

    #[test]
    fn one_clock_ahead_of_the_median_is_held_back_until_it_is_back() {
        let mut skew = Skew::default();
        assert_eq!(skew.look(NOON + 9_000, 0), 0, "nobody has said anything");
        skew.heard(NodeNo(2), (NOON + 9_000, 0), &reading(NOON), 0);
        skew.heard(NodeNo(3), (NOON + 9_000, 0), &reading(NOON + 20), 0);
        let held = skew.look(NOON + 9_000, 0);
        assert!((8_900..=9_000).contains(&held), "{held}");
        // It is set back.
        assert_eq!(skew.look(NOON + 50, 50_000_000), 0);
    }

    #[test]
    fn a_step_is_seen_before_anybody_is_asked_again() {
        let mut skew = Skew::default();
        skew.heard(NodeNo(2), (NOON, 0), &reading(NOON), 0);
        assert_eq!(skew.look(NOON, 0), 0);
        assert_eq!(skew.look(NOON + 1_050, SECOND_NS), 0, "time passes");
        let held = skew.look(NOON + 61_100, SECOND_NS + 50_000_000);
        assert!((59_900..=60_100).contains(&held), "{held}");
        assert_eq!(skew.look(NOON + 1_150, SECOND_NS + 100_000_000), 0);
    }

    #[test]
    fn a_step_just_before_a_question_is_counted_once() {
        let mut skew = Skew::default();
        assert_eq!(skew.look(NOON, 0), 0);
        skew.heard(NodeNo(2), (NOON + 60_010, 10_000_000), &reading(NOON + 11), 12_000_000);
        let held = skew.look(NOON + 60_050, 50_000_000);
        assert!((59_990..=60_010).contains(&held), "{held}");
        // Asked before a step, answered after it.
        let mut skew = Skew::default();
        assert_eq!(skew.look(NOON, 0), 0);
        let asked = (NOON + 10, 10_000_000);
        assert_eq!(skew.look(NOON + 60_050, 50_000_000), 0, "nobody has said anything");
        skew.heard(NodeNo(2), asked, &reading(NOON + 11), 60_000_000);
        let held = skew.look(NOON + 60_100, 100_000_000);
        assert!((59_990..=60_010).contains(&held), "{held}");
    }

    #[test]
    fn who_has_just_started_does_not_vouch_for_a_clock() {
        let mut skew = Skew::default();
        let unsure = Reading { compared: false, ..reading(NOON + 38_000) };
        skew.heard(NodeNo(2), (NOON, 0), &unsure, 0);
        assert!(!skew.has_compared());
        assert_eq!(skew.look(NOON, 0), 0);
        assert!(skew.has_compared(), "with the only one there is");
        skew.heard(NodeNo(3), (NOON, 0), &reading(NOON), 0);
        let held = skew.look(NOON + 57_050, 50_000_000);
        assert!((56_900..=57_100).contains(&held), "{held}");
    }

    #[test]
    fn a_second_is_allowed_and_half_of_it_ends_it() {
        let mut skew = Skew::default();
        skew.heard(NodeNo(2), (NOON + 1_000, 0), &reading(NOON), 0);
        assert_eq!(skew.look(NOON + 1_000, 0), 0);
        assert_eq!(skew.look(NOON + 1_002, 1_000_000), 1_001);
        assert_eq!(skew.look(NOON + 603, 2_000_000), 601);
        assert_eq!(skew.look(NOON + 503, 3_000_000), 0);
    }

    #[test]
    fn a_slow_answer_proves_nothing_and_a_minority_neither() {
        let mut skew = Skew::default();
        // Asked at noon, answered and read much later.
        skew.heard(NodeNo(2), (NOON, 0), &reading(NOON + 3_000), 6 * SECOND_NS);
        assert_eq!(skew.look(NOON + 6_000, 6 * SECOND_NS), 0);
        let mut skew = Skew::default();
        skew.heard(NodeNo(2), (NOON, 0), &reading(NOON - 60_000), 0);
        skew.heard(NodeNo(3), (NOON, 0), &reading(NOON), 0);
        assert_eq!(skew.look(NOON, 0), 0);
    }

    #[test]
    fn a_peer_is_silent_until_it_answers() {
        let mut skew = Skew::default();
        assert!(!skew.is_silent(NodeNo(2), 60 * SECOND_NS), "not asked yet");
        skew.asked(NodeNo(2), SECOND_NS);
        skew.asked(NodeNo(2), 5 * SECOND_NS);
        assert!(!skew.is_silent(NodeNo(2), 6 * SECOND_NS));
        assert!(skew.is_silent(NodeNo(2), 7 * SECOND_NS));
        skew.heard(NodeNo(2), (NOON, 7 * SECOND_NS), &reading(NOON), 7 * SECOND_NS);
        assert!(!skew.is_silent(NodeNo(2), 9 * SECOND_NS));
    }

    #[test]
    fn what_was_said_long_ago_changes_nothing() {
        let mut skew = Skew::default();
        skew.heard(NodeNo(2), (NOON + 2_000, 0), &reading(NOON), 0);
        assert_eq!(skew.look(NOON + 2_000, 0), 2_000);
        assert_eq!(skew.look(NOON + 8_000, 6 * SECOND_NS), 2_000, "no answer: not known to be back");
        skew.keep(&[]);
        assert_eq!(skew.look(NOON + 8_000, 6 * SECOND_NS), 0, "alone");
    }

    #[test]
    fn readings_come_back_and_those_who_hold_back_are_known() {
        let held = Reading {
            system_ms: NOON,
            held_back_ms: 7,
            compared: true,
            unheard: BTreeSet::from([NodeNo(3), NodeNo(900)]),
        };
        assert_eq!(Reading::decode(held.encode()), Some(held.clone()));
        assert_eq!(Reading::decode(Bytes::from_static(b"short")), None);
        let mut skew = Skew::default();
        skew.heard(NodeNo(2), (NOON, 0), &held, 0);
        assert!(skew.is_held_back(NodeNo(2)) && !skew.is_held_back(NodeNo(3)));
        skew.heard(NodeNo(3), (NOON, 0), &Reading { compared: false, ..reading(NOON) }, 0);
        assert!(skew.is_held_back(NodeNo(3)));
    }
}
