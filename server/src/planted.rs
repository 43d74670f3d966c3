//! Deliberate faults, for the tests of the tests: a simulation that cannot find them proves nothing.
//!
//! Without the feature `planted-bugs` [`planted`] is a constant `false`, and the code behind it is not there.

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident: $name:literal,)*) => {
        /// A fault that somebody might have made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// Its name on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    /// After a suspension the lease still rests on acknowledgements from before.
    LeaseIgnoresSuspension: "lease-ignores-suspension",
    /// The lease is sampled while leadership is being handed over.
    LeaseDuringTransfer: "lease-during-transfer",
    /// The lease is checked with the clock of an earlier batch.
    LeaseByCachedClock: "lease-by-cached-clock",
    /// A new leader answers before it has applied what its predecessors committed.
    LeaseBeforeOwnEntry: "lease-before-own-entry",
    /// A lease lasts much longer than followers wait before they elect.
    LeaseTooLong: "lease-too-long",
    /// Followers answer reads.
    FollowerReads: "follower-reads",
    /// A leader takes for committed what a follower has not acknowledged, and applies it.
    ApplyBeforeCommit: "apply-before-commit",
    /// A SET is answered when it is proposed.
    AnswerBeforeQuorum: "answer-before-quorum",
    /// What was cut off the log again is answered OK.
    LostIsAnsweredOk: "lost-is-answered-ok",
    /// A write of unknown fate is sent again.
    UncertainIsSentAgain: "uncertain-is-sent-again",
    /// Where a share is routed anew, its last command goes first.
    ReroutedOvertakes: "rerouted-overtakes",
    /// A pop is answered when it is proposed.
    PopBeforeQuorum: "pop-before-quorum",
    /// What is watched is looked at when EXEC comes, and not when it is carried out.
    WatchIsCheckedTooEarly: "watch-is-checked-too-early",
    /// The commands of a transaction are entries of their own.
    ExecInParts: "exec-in-parts",
    /// Those who wait are served in the order in which they did not come.
    LastWaiterFirst: "last-waiter-first",
    /// A command that was answered since its time was over keeps its place in the queues.
    WhoGaveUpIsServed: "who-gave-up-is-served",
    /// One whose time is over is answered null while an attempt for it is under way.
    NullOvertakesAttempt: "null-overtakes-attempt",
    /// Shares of one entry are sent to some copies in another order.
    EntryDiffersByCopy: "entry-differs-by-copy",
    /// A vote that was refused is counted.
    RefusedVoteCounts: "refused-vote-counts",
    /// A node that has lost its memory comes back under the id that it had.
    RestartReusesId: "restart-reuses-id",
    /// Items that change while a snapshot is sent are sent as they are then.
    SnapshotMissesPreImage: "snapshot-misses-pre-image",
    /// A snapshot names the log entry of another instant than its content.
    SnapshotOfAnotherInstant: "snapshot-of-another-instant",
    /// A snapshot comes without the partition's clock.
    SnapshotWithoutClock: "snapshot-without-clock",
    /// A follower evicts by itself.
    FollowerEvicts: "follower-evicts",
    /// Deadlines count from each copy's own clock.
    DeadlineByOwnClock: "deadline-by-own-clock",
    /// Items that are due are shown until they are reaped.
    DueIsShown: "due-is-shown",
    /// A wall clock that is far ahead is followed.
    FastClockIsFollowed: "fast-clock-is-followed",
    /// Room that an entry took is not given back.
    RoomIsNotGivenBack: "room-is-not-given-back",
    /// Upkeep that was refused tries again at once, and again.
    RefusedIsRetriedAtOnce: "refused-is-retried-at-once",
    /// A read does not make an item recently used.
    ReadDoesNotTouch: "read-does-not-touch",
    /// A majority that cannot be reached counts as dead.
    UnreachableIsDead: "unreachable-is-dead",
    /// A copy that was told to take part no more goes on.
    SealIsForgotten: "seal-is-forgotten",
    /// A generation begins with the living copy that lacks most.
    LaggardSurvives: "laggard-survives",
    /// The epoch stays what it is where the voters of a partition change.
    EpochStandsStill: "epoch-stands-still",
    /// A second node gets leave to stop.
    SecondStopPermit: "second-stop-permit",
    /// A change of voters that was begun is not ended.
    PlanIsForgotten: "plan-is-forgotten",
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a fault on this thread, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether the fault is in force.
    #[inline]
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{plant, planted};

/// Whether the fault is in force: never.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}
