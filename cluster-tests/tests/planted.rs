//! Bugs that are planted on purpose are found: a test that cannot fail proves nothing.
//!
//! Only with the feature `planted-bugs`, which puts them into the server.
#![cfg(feature = "planted-bugs")]
#![allow(clippy::print_stdout)]

use cluster_tests::simulation::Fault::{
    self, ClockJump, Crash, CrashTwo, CutOff, CutOneWay, Join, Pause, Slow, Stop, Suspend, Transfer,
};
use cluster_tests::simulation::runner;
use larder::planted::Bug;

/// Each bug, the kinds of faults under which it is looked for (none: any), and the number of seeds within which it must be
/// found.
const TABLE: &[(Bug, &[Fault], u64)] = &[
    (Bug::LeaseIgnoresSuspension, &[Suspend], 50),
    (Bug::LeaseDuringTransfer, &[Transfer, CutOneWay, CutOff], 300),
    (Bug::LeaseByCachedClock, &[Pause], 200),
    (Bug::LeaseBeforeOwnEntry, &[Transfer, CutOff, Crash], 1_500),
    (Bug::LeaseTooLong, &[CutOff], 300),
    (Bug::FollowerReads, &[], 20),
    (Bug::ApplyBeforeCommit, &[CutOff, CutOneWay], 50),
    (Bug::AnswerBeforeQuorum, &[], 200),
    (Bug::LostIsAnsweredOk, &[CutOff], 300),
    (Bug::UncertainIsSentAgain, &[], 50),
    (Bug::ReroutedOvertakes, &[], 100),
    (Bug::PopBeforeQuorum, &[], 50),
    (Bug::WatchIsCheckedTooEarly, &[], 100),
    (Bug::ExecInParts, &[], 60),
    (Bug::LastWaiterFirst, &[], 50),
    (Bug::WhoGaveUpIsServed, &[], 50),
    (Bug::NullOvertakesAttempt, &[Slow], 50),
    (Bug::EntryDiffersByCopy, &[], 20),
    (Bug::RefusedVoteCounts, &[], 50),
    (Bug::RestartReusesId, &[Crash], 100),
    (Bug::SnapshotMissesPreImage, &[], 200),
    (Bug::SnapshotOfAnotherInstant, &[], 200),
    (Bug::SnapshotWithoutClock, &[Crash, ClockJump], 200),
    (Bug::FollowerEvicts, &[], 100),
    (Bug::DeadlineByOwnClock, &[], 20),
    (Bug::DueIsShown, &[], 50),
    (Bug::FastClockIsFollowed, &[ClockJump], 20),
    (Bug::RoomIsNotGivenBack, &[], 50),
    (Bug::RefusedIsRetriedAtOnce, &[Pause, CutOff], 100),
    (Bug::ReadDoesNotTouch, &[], 50),
    (Bug::UnreachableIsDead, &[], 50),
    (Bug::SealIsForgotten, &[Crash, CrashTwo, Join], 20),
    (Bug::LaggardSurvives, &[Crash, CrashTwo, Join], 20),
    (Bug::EpochStandsStill, &[], 20),
    (Bug::SecondStopPermit, &[Stop], 50),
    (Bug::PlanIsForgotten, &[Crash, CrashTwo, Join], 50),
];

#[test]
fn every_planted_bug_is_found() {
    assert!(Bug::ALL.iter().all(|bug| TABLE.iter().any(|(other, ..)| other == bug)), "a row for every bug");
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut missed = Vec::new();
    for &(bug, faults, seeds_max) in TABLE {
        let report = runner::run(0..seeds_max, faults, threads, Some(bug), 1);
        match report.failed.first() {
            Some((seed, run)) => {
                let violation = run.violation.as_ref().expect("it failed").to_string();
                let short: String = violation.chars().take(120).collect();
                println!(
                    "{:>28}: {} seeds, {:.1} s; {seed}: {short}",
                    bug.name(),
                    report.seeds,
                    report.took.as_secs_f64()
                );
            }
            None => missed.push(bug.name()),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
