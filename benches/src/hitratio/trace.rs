//! Traces: who asked for what, and how big it was.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Largest value that a request is given: Redis's limit.
const VALUE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Number of the key: keys are told apart, their names do not matter.
    pub key: u32,
    /// Bytes of its value.
    pub bytes: u32,
}

/// Requests in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What it is, for tables.
    pub name: String,
    /// The requests.
    pub accesses: Vec<Access>,
    /// Distinct keys.
    pub keys: u32,
}

/// Traces that come with the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Synthetic {
    /// Zipf keys; value sizes as published of Meta's ETC pool (Atikoglu et al., SIGMETRICS 2012: generalized Pareto, sigma
    /// 214.476, k 0.348238)
    Etc,
    /// Zipf keys; sizes evenly spread, by their logarithm, over 4 KiB to 4 MiB: what fragments memory
    Large,
    /// Zipf keys; sizes evenly spread, by their logarithm, over 1 KiB to 1 MiB; a scan of keys that are asked for once in
    /// every eighth of the trace. Nobody's workload, but what block storage does to a cache
    Scans,
}

impl Trace {
    /// Reads a trace of text: `key size` or `key,size` a line, or libCacheSim's CSV (`time,obj_id,obj_size,...`, with or
    /// without a line of names).
    ///
    /// # Errors
    /// Where the file cannot be read, or a line is none of these.
    pub fn read(path: &Path, requests: usize) -> io::Result<Self> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(name, BufReader::new(File::open(path)?), requests)
    }

    fn parse(name: String, lines: impl BufRead, requests: usize) -> io::Result<Self> {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut accesses = Vec::new();
        let mut columns = None;
        for (at, line) in lines.lines().enumerate() {
            let line = line?;
            let line = line.trim_start_matches('#').trim();
            let fields: Vec<&str> =
                line.split([',', ' ', '\t']).map(str::trim).filter(|field| !field.is_empty()).collect();
            if fields.is_empty() {
                continue;
            }
            let wrong =
                || io::Error::new(io::ErrorKind::InvalidData, format!("line {}: not key and size: {line}", at + 1));
            let Some((key, size)) = columns else {
                columns = Some(match named_columns(&fields) {
                    Some(columns) => columns,
                    None => {
                        let guess = if fields.len() > 2 { (1, 2) } else { (0, 1) };
                        accesses.push(access(&mut numbers, &fields, guess).ok_or_else(wrong)?);
                        guess
                    }
                });
                continue;
            };
            accesses.push(access(&mut numbers, &fields, (key, size)).ok_or_else(wrong)?);
            if accesses.len() == requests {
                break;
            }
        }
        let keys = numbers.len() as u32;
        Ok(Self { name, accesses, keys })
    }

    /// Makes a trace of so many requests for about so many keys.
    pub fn make(what: Synthetic, requests: usize, keys: u32) -> Self {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let zipf = Zipf::new(keys, 0.9);
        let mut accesses = Vec::with_capacity(requests);
        let scan = (keys / 2).min(requests as u32 / 16);
        let mut scanned = keys;
        for number in 0..requests {
            let phase = (number % (requests / 8).max(1)) as u32;
            let key = if what == Synthetic::Scans && phase < scan {
                scanned += 1;
                scanned - 1
            } else {
                zipf.next(&mut dice)
            };
            // A key's size is always the same.
            let mut own = Dice(u64::from(key) + 1);
            let part = own.next();
            let bytes = match what {
                Synthetic::Etc => (214.476 / 0.348_238 * ((1.0 - part).powf(-0.348_238) - 1.0)).min(1024.0 * 1024.0),
                Synthetic::Scans => 1024.0 * 1024f64.powf(part),
                Synthetic::Large => 4096.0 * 1024f64.powf(part),
            };
            accesses.push(Access { key, bytes: bytes.max(1.0) as u32 });
        }
        let name = format!("{what:?}").to_lowercase();
        Self { name, accesses, keys: scanned }
    }
}

/// Where key and size are, if this is a line of names.
fn named_columns(fields: &[&str]) -> Option<(usize, usize)> {
    let find = |names: &[&str]| fields.iter().position(|field| names.contains(&field.to_lowercase().as_str()));
    Some((find(&["obj_id", "id", "key", "object_id"])?, find(&["obj_size", "size", "object_size", "value_size"])?))
}

fn access(numbers: &mut HashMap<String, u32>, fields: &[&str], (key, size): (usize, usize)) -> Option<Access> {
    let bytes: u64 = fields.get(size)?.parse().ok()?;
    let next = numbers.len() as u32;
    let key = *numbers.entry((*fields.get(key)?).to_string()).or_insert(next);
    Some(Access { key, bytes: bytes.min(VALUE_BYTES_MAX) as u32 })
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Keys by rank: the nth is asked for in proportion to 1 / n^alpha.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(keys: u32, alpha: f64) -> Self {
        let mut sum = 0.0;
        let mut add = |rank: u32| {
            sum += f64::from(rank).powf(-alpha);
            sum
        };
        Self { sums: (1..=keys.max(1)).map(&mut add).collect() }
    }

    fn next(&self, dice: &mut Dice) -> u32 {
        let wanted = dice.next() * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|sum| *sum < wanted) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> io::Result<Trace> {
        Trace::parse("t".into(), text.as_bytes(), usize::MAX)
    }

    #[test]
    fn three_forms_of_traces_are_read() {
        let expected = [Access { key: 0, bytes: 10 }, Access { key: 1, bytes: 20 }, Access { key: 0, bytes: 10 }];
        for text in [
            "a 10\nb 20\n\na 10\n",
            "a,10\nb,20\na,10",
            "1,a,10,5\n2,b,20,-1\n3,a,10,-1\n",
            "# time,obj_id,obj_size,next_access_vtime\n1,a,10,5\n2,b,20,-1\n3,a,10,-1\n",
            "size\tkey\n10\ta\n20\tb\n10\ta\n",
        ] {
            let trace = parse(text).unwrap();
            assert_eq!((&trace.accesses[..], trace.keys), (&expected[..], 2), "{text}");
        }
        assert!(parse("a ten\n").is_err());
        assert_eq!(Trace::parse("t".into(), &b"a 1\nb 2\nc 3\n"[..], 2).unwrap().accesses.len(), 2);
    }

    #[test]
    fn made_traces_are_the_same_each_time_and_skewed() {
        for what in [Synthetic::Etc, Synthetic::Scans, Synthetic::Large] {
            let trace = Trace::make(what, 20_000, 1000);
            assert_eq!(trace, Trace::make(what, 20_000, 1000));
            assert_eq!(trace.accesses.len(), 20_000);
            let first = trace.accesses.iter().filter(|access| access.key == 0).count();
            let late = trace.accesses.iter().filter(|access| access.key == 900).count();
            assert!(first > 20 * late.max(1), "{first} {late}");
            assert!(trace.accesses.iter().all(|access| access.key < trace.keys && access.bytes > 0));
        }
    }
}
