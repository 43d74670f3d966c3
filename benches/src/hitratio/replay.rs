//! A look-aside cache's life: ask; where it is not there, store it.

use super::trace::{Access, Trace};
use crate::cpu::resident_bytes;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Requests under way at once.
const BATCH: usize = 16;
/// Batches between looks at the server's memory.
const LOOK: usize = 64;
/// Longest wait for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What came of a replay.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Replayed {
    /// Requests that found their value, of all.
    pub hit_ratio: f64,
    /// Stores that were refused.
    pub refused: u64,
    /// The server's largest resident memory during the replay; 0 for one elsewhere.
    pub peak_bytes: u64,
}

/// Replays `trace` against the server at `address`, process `pid`.
///
/// # Errors
/// Where the connection fails, or a reply makes no sense.
pub fn replay(trace: &Trace, address: SocketAddr, pid: Option<u32>) -> io::Result<Replayed> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    let mut connection = Connection { out: stream.try_clone()?, replies: BufReader::with_capacity(1 << 18, stream) };
    let largest = trace.accesses.iter().map(|access| access.bytes).max().unwrap_or(0);
    let value = vec![b'v'; largest as usize];
    let mut progress = Progress::new(&trace.name);
    let (mut hits, mut refused, mut peak_bytes) = (0u64, 0, 0);
    let mut requests = Vec::new();
    let mut missing: Vec<Access> = Vec::new();
    for (number, batch) in trace.accesses.chunks(BATCH).enumerate() {
        requests.clear();
        for access in batch {
            let key = format!("{:016}", access.key);
            write!(requests, "*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n")?;
        }
        connection.out.write_all(&requests)?;
        missing.clear();
        for access in batch {
            match connection.bulk_length()? {
                Some(_) => hits += 1,
                None => missing.push(*access),
            }
        }
        requests.clear();
        for access in &missing {
            let key = format!("{:016}", access.key);
            write!(requests, "*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n${}\r\n", access.bytes)?;
            requests.extend_from_slice(&value[..access.bytes as usize]);
            requests.extend_from_slice(b"\r\n");
        }
        connection.out.write_all(&requests)?;
        for _ in &missing {
            refused += u64::from(!connection.is_ok()?);
        }
        if number % LOOK == 0 || (number + 1) * BATCH >= trace.accesses.len() {
            if let Some(pid) = pid {
                peak_bytes = peak_bytes.max(resident_bytes(pid)?);
            }
            progress.show(number * BATCH, trace.accesses.len());
        }
    }
    Ok(Replayed { hit_ratio: hits as f64 / trace.accesses.len().max(1) as f64, refused, peak_bytes })
}

struct Connection {
    out: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Connection {
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.replies.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        line.truncate(line.len().saturating_sub(2));
        Ok(line)
    }

    /// Skips a bulk string; `None` where it is null.
    fn bulk_length(&mut self) -> io::Result<Option<usize>> {
        let line = self.line()?;
        let text = String::from_utf8_lossy(&line);
        let length: i64 = text
            .strip_prefix('$')
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not a bulk string: {text}")))?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        io::copy(&mut (&mut self.replies).take(length as u64 + 2), &mut io::sink())?;
        Ok(Some(length))
    }

    fn is_ok(&mut self) -> io::Result<bool> {
        Ok(self.line()? == b"+OK")
    }
}

/// A line that is written over, on a terminal.
struct Progress<'a> {
    name: &'a str,
    terminal: bool,
    last: usize,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, terminal: io::stderr().is_terminal(), last: usize::MAX }
    }

    fn show(&mut self, done: usize, all: usize) {
        const WIDTH: usize = 40;
        let percent = done * 100 / all.max(1);
        if self.terminal && percent != self.last {
            self.last = percent;
            let full = percent * WIDTH / 100;
            eprint!("\r{} [{}{}] {percent:>3} %\x1b[K", self.name, "#".repeat(full), " ".repeat(WIDTH - full));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
