//! Disks that fail, and power cuts that tear writes: what was acknowledged is there afterwards, and the file opens.
//!
//! The disk keeps what was synced. At a moment that the seed draws every operation begins to fail; of what was written
//! since the last sync any part is on the disk then, in any order, in whole sectors.

use super::disk::Disk;
use super::log::DirectoryLog;
use super::types::{DirectoryTypes, EncodedCommand, Entry, LogId, Vote};
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use parking_lot::Mutex;
use redb::StorageBackend;
use std::fmt;
use std::io;
use std::sync::Arc;

const SECTOR_BYTES: usize = 512;
const SEEDS: u64 = 150;

/// A change that may or may not have reached the disk.
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

#[derive(Default)]
struct Platter {
    /// What reads see.
    cached: Vec<u8>,
    /// What is certainly on the disk.
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Operations until it fails.
    left: u64,
}

/// A disk; clones are the same one.
#[derive(Clone, Default)]
struct FailingDisk(Arc<Mutex<Platter>>);

impl fmt::Debug for FailingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingDisk")
    }
}

fn failure() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl Platter {
    fn operate(&mut self) -> Result<(), io::Error> {
        self.left = self.left.checked_sub(1).ok_or_else(failure)?;
        Ok(())
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let platter = self.0.lock();
        let from = offset as usize;
        out.copy_from_slice(platter.cached.get(from..from + out.len()).ok_or_else(failure)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut platter = self.0.lock();
        platter.operate()?;
        platter.cached.resize(len as usize, 0);
        platter.unsynced.push(Unsynced::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platter = self.0.lock();
        platter.operate()?;
        platter.synced = platter.cached.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut platter = self.0.lock();
        platter.operate()?;
        let from = offset as usize;
        platter.cached.get_mut(from..from + data.len()).ok_or_else(failure)?.copy_from_slice(data);
        platter.unsynced.push(Unsynced::Write { offset: from, data: data.to_vec() });
        Ok(())
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % end
    }
}

impl FailingDisk {
    fn failing_after(operations: u64) -> Self {
        let disk = Self::default();
        disk.0.lock().left = operations;
        disk
    }

    /// The disk as it is after the power is back, in order.
    fn after_a_power_cut(&self, dice: &mut Dice) -> Self {
        let platter = self.0.lock();
        let mut data = platter.synced.clone();
        for change in &platter.unsynced {
            match change {
                // Lengths are kept by the file system, in order.
                Unsynced::Length(length) => data.resize(*length, 0),
                Unsynced::Write { offset, data: written } => {
                    for (number, sector) in written.chunks(SECTOR_BYTES).enumerate() {
                        let from = offset + number * SECTOR_BYTES;
                        if dice.below(2) == 0 && data.len() >= from + sector.len() {
                            data[from..from + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        let next = Platter { cached: data.clone(), synced: data, unsynced: Vec::new(), left: u64::MAX };
        Self(Arc::new(Mutex::new(next)))
    }
}

fn vote(term: u64) -> Vote {
    Vote::new(term, 1)
}

fn entry(index: u64, term: u64) -> Entry {
    let command = EncodedCommand(Bytes::from(format!("{term}-{index}").repeat(1 + (index as usize * 37) % 90)));
    let log_id = LogId::new(LeaderId { term, node_id: 1 }, index);
    openraft::impls::Entry { log_id, payload: EntryPayload::Normal(command) }
}

/// What must be on the disk, and what may be.
#[derive(Default)]
struct Expected {
    vote: Option<Vote>,
    log: Vec<Entry>,
    /// What was asked for last and not acknowledged.
    vote_asked: Option<Vote>,
    log_asked: Option<Vec<Entry>>,
}

/// Votes, appends and truncates until the disk fails.
async fn work(log: &mut DirectoryLog, dice: &mut Dice) -> Expected {
    let mut expected = Expected::default();
    for term in 1..200 {
        match dice.below(5) {
            0 => {
                expected.vote_asked = Some(vote(term));
                if log.save_vote(&vote(term)).await.is_err() {
                    return expected;
                }
                expected.vote = expected.vote_asked.take();
            }
            1 if expected.log.len() > 2 => {
                let keep = expected.log.len() - 1 - dice.below(2) as usize;
                expected.log_asked = Some(expected.log[..keep].to_vec());
                if log.truncate_after(Some(expected.log[keep - 1].log_id)).await.is_err() {
                    return expected;
                }
                expected.log = expected.log_asked.take().expect("just set");
            }
            _ => {
                let first = expected.log.len() as u64;
                let new: Vec<Entry> = (first..=first + dice.below(3)).map(|index| entry(index, term)).collect();
                expected.log_asked = Some(expected.log.iter().chain(&new).cloned().collect());
                if log.blocking_append(new).await.is_err() {
                    return expected;
                }
                expected.log = expected.log_asked.take().expect("just set");
            }
        }
    }
    expected
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_power_cut() {
    let mut failed = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let platter = FailingDisk::failing_after(20 + dice.below(400));
        let mut expected = Expected::default();
        // The very first commit may fail as well: then nothing was acknowledged.
        if let Ok((disk, closed)) = Disk::open_backend(platter.clone()) {
            let mut log = DirectoryLog::new(disk);
            expected = work(&mut log, &mut dice).await;
            drop(log);
            closed.wait().await;
        }
        failed += u32::from(expected.log_asked.is_some() || expected.vote_asked.is_some());
        let after = platter.after_a_power_cut(&mut dice);
        let (disk, _closed) = Disk::open_backend(after).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut log = DirectoryLog::new(disk);
        let found = log.read_vote().await.unwrap();
        assert!(
            found == expected.vote || (expected.vote_asked.is_some() && found == expected.vote_asked),
            "seed {seed}: the vote is {found:?}, acknowledged was {:?}",
            expected.vote
        );
        let found = log.try_get_log_entries(0..u64::MAX).await.unwrap();
        assert!(
            found == expected.log || expected.log_asked.as_ref() == Some(&found),
            "seed {seed}: {} entries, {} were acknowledged",
            found.len(),
            expected.log.len()
        );
    }
    assert!(failed > SEEDS as u32 / 2, "the disk failed under load in {failed} of {SEEDS} runs only");
}

#[tokio::test]
async fn a_disk_that_fails_says_so_and_goes_on_saying_so() {
    let platter = FailingDisk::failing_after(u64::MAX);
    let (disk, _closed) = Disk::open_backend(platter.clone()).unwrap();
    let mut log: DirectoryLog = DirectoryLog::new(disk);
    log.save_vote(&vote(1)).await.unwrap();
    platter.0.lock().left = 0;
    assert!(log.save_vote(&vote(2)).await.is_err());
    assert!(log.blocking_append([entry(0, 2)]).await.is_err());
    // What is not on the disk must not be acted upon, even if the disk works again.
    platter.0.lock().left = u64::MAX;
    let after = RaftLogStorage::<DirectoryTypes>::save_vote(&mut log, &vote(3)).await;
    let found = log.read_vote().await;
    assert!(after.is_err() || found.unwrap() == Some(vote(3)), "acknowledged, and not there");
}

/// Wherever a byte is wrong, a file opens as it was, or it is an error that names it: no panic, and nothing older.
#[tokio::test]
async fn damage_anywhere_is_an_error() {
    const SEED: u64 = 7;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.redb");
    let (disk, closed) = Disk::open(dir.path()).unwrap();
    for number in 0..20 {
        disk.set("vote", vec![number; 200]).await.unwrap();
    }
    drop(disk);
    closed.wait().await;
    let whole = std::fs::read(&path).unwrap();
    let mut dice = Dice(SEED);
    for turn in 0..200 {
        let mut bytes = whole.clone();
        if turn % 4 == 0 {
            bytes.truncate(dice.below(whole.len() as u64) as usize);
        } else {
            for _ in 0..1 << (turn % 9) {
                let at = dice.below(whole.len() as u64) as usize;
                bytes[at] = dice.below(256) as u8;
            }
        }
        let is_empty = bytes.is_empty();
        std::fs::write(&path, bytes).unwrap();
        match Disk::open(dir.path()) {
            Ok((disk, closed)) => {
                let vote = disk.get("vote").await.unwrap();
                assert_eq!(vote, (!is_empty).then(|| vec![19; 200]), "seed {SEED}, turn {turn}");
                drop(disk);
                closed.wait().await;
            }
            Err(error) => assert!(error.to_string().contains("directory.redb"), "seed {SEED}, turn {turn}: {error}"),
        }
    }
}
