//! What is watched of a node, and what many looks at it say together.

use crate::process::{Node, Value};
use std::fmt;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// Commands that are timed.
const TIMED: usize = 300;
/// Rounds after which a node is warm: each kind of trouble came once.
const WARM: usize = 4;
/// By how much resident memory may grow from the first warm rounds to the last: what allocators keep, and names of nodes
/// that have come and gone.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Descriptors that may be open at one time and not at another: links that are just being made.
const DESCRIPTORS_MORE_MAX: usize = 12;

/// A look at a node.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// The median of single commands, with nobody else at work.
    pub p50: Duration,
    /// Their 99th percentile.
    pub p99: Duration,
}

impl Sample {
    /// Looks at a node that runs.
    ///
    /// # Errors
    /// Where it does not answer, or does not run.
    pub fn take(node: &Node) -> io::Result<Self> {
        let pid = node.pid().ok_or_else(|| io::Error::other("it does not run"))?;
        let mut client = node.connect()?;
        let mut times = Vec::with_capacity(TIMED);
        for number in 0..TIMED {
            let begun = Instant::now();
            // Refused while leaders still move: no time, then.
            if let Value::Simple(_) = client.words(&format!("SET soak:{} x", number % 100))? {
                times.push(begun.elapsed());
            }
        }
        times.sort_unstable();
        let at = |quantile| times.get(times.len() * quantile / 100).copied().unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let kib: u64 = resident.ok_or_else(|| io::Error::other("no VmRSS"))?;
        Ok(Self {
            resident_bytes: kib * 1024,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            p50: at(50),
            p99: at(99),
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB resident, {} descriptors, SET p50 {} us, p99 {} us",
            self.resident_bytes as f64 / 1048576.0,
            self.descriptors,
            self.p50.as_micros(),
            self.p99.as_micros()
        )
    }
}

/// What samples of one node say together.
#[derive(Debug, Default)]
pub struct Findings {
    samples: Vec<Sample>,
}

impl Findings {
    /// Adds the next.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// The medians of the first and of the last third of the warm samples, where there are enough of them.
    pub fn ends(&self) -> Option<(Sample, Sample)> {
        let warm = self.samples.get(WARM..)?;
        let third = warm.len() / 3;
        (third > 0).then(|| (median(&warm[..third]), median(&warm[warm.len() - third..])))
    }

    /// What has grown that must not; latencies are for people to judge, since other programs run on a machine, too.
    ///
    /// # Errors
    /// Says what.
    pub fn check(&self) -> Result<(), String> {
        // Descriptors need no warming up: a short run tells, too.
        if let (Some(first), Some(last)) = (self.samples.first(), self.samples.last())
            && last.descriptors > first.descriptors + DESCRIPTORS_MORE_MAX
        {
            return Err(format!("there were {} open descriptors, now {}", first.descriptors, last.descriptors));
        }
        let Some((first, last)) = self.ends() else { return Ok(()) };
        if last.resident_bytes > first.resident_bytes + GROWTH_BYTES_MAX {
            return Err(format!("resident memory has grown from {} to {}", first.resident_bytes, last.resident_bytes));
        }
        Ok(())
    }
}

fn median(samples: &[Sample]) -> Sample {
    fn middle<T: Ord + Copy>(samples: &[Sample], of: impl Fn(&Sample) -> T) -> T {
        let mut values: Vec<T> = samples.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
    Sample {
        resident_bytes: middle(samples, |sample| sample.resident_bytes),
        descriptors: middle(samples, |sample| sample.descriptors),
        p50: middle(samples, |sample| sample.p50),
        p99: middle(samples, |sample| sample.p99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(grows_bytes: u64, grows_descriptors: usize) -> Findings {
        let mut findings = Findings::default();
        for round in 0..16 {
            findings.add(Sample {
                resident_bytes: 50_000_000 + grows_bytes * round as u64,
                descriptors: 40 + grows_descriptors * round,
                p50: Duration::from_micros(100),
                p99: Duration::from_micros(900),
            });
        }
        findings
    }

    #[test]
    fn leaks_are_found() {
        assert_eq!(findings(0, 0).check(), Ok(()));
        assert_eq!(findings(100_000, 0).check(), Ok(()), "the allocator's slack");
        assert!(findings(10_000_000, 0).check().is_err());
        assert!(findings(0, 3).check().is_err());
        assert_eq!(Findings::default().check(), Ok(()), "too few to say");
    }
}
