//! What happens beside the busy connections.

use super::Size;
use crate::target::Target;
use cluster_tests::process::{Client, Node, NodeOptions, Value, wait_until};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Commands sent before their replies are read.
const PIPELINE: u64 = 200;
/// Members of one SADD.
const MEMBERS_PER_COMMAND: u64 = 500;
/// Longest wait for a reply, or for a trouble to be over.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long what clients wait is watched after something was deleted: it is freed behind the reply.
const AFTER: Duration = Duration::from_secs(2);
/// Values that are written at a full node.
const EVICTING_BYTES: usize = 1_000;
/// Keys that can be written in a second, at the least: when the expiring ones are due is said before they are.
const WRITTEN_PER_SECOND: u64 = 20_000;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Keys are written at a node that is full.
    Eviction,
    /// Keys are due in the same second.
    Expiry,
    /// A large value is deleted.
    LargeValue,
    /// A large set is deleted.
    LargeSet,
    /// A node joins and takes copies of everything.
    Join,
}

impl Trouble {
    /// In this order: after the last one the node is not alone any more.
    pub const ALL: [Self; 5] = [Self::Eviction, Self::Expiry, Self::LargeValue, Self::LargeSet, Self::Join];

    /// How the table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eviction => "eviction",
            Self::Expiry => "keys due in the same second",
            Self::LargeValue => "deletion of a large value",
            Self::LargeSet => "deletion of a large set",
            Self::Join => "a node that joins: snapshots",
        }
    }

    /// Writes what it takes, with nobody busy.
    ///
    /// # Errors
    /// Where a reply is an error.
    pub fn prepare(self, target: &Target, size: Size) -> io::Result<Prepared> {
        let mut client = Client::connect(target.address, PATIENCE)?;
        let mut prepared = Prepared { trouble: self, size, due_ms: 0, peer: target.peer(), client: None };
        match self {
            Self::Eviction => {
                // As full as it is now, and room for a tenth of what will be written.
                let limit = info(&mut client, "used_memory")? + size.evicting * EVICTING_BYTES as u64 / 10;
                expect_ok(&client.words(&format!("CONFIG SET maxmemory {limit}"))?)?;
            }
            Self::Expiry => {
                prepared.due_ms = unix_ms() + 1000 * (5 + size.expiring / WRITTEN_PER_SECOND);
                let due = prepared.due_ms.to_string();
                pipelined(&mut client, size.expiring, |client, number| {
                    client.queue(&[b"SET", format!("due:{number}").as_bytes(), b"here", b"PXAT", due.as_bytes()]);
                })?;
            }
            Self::LargeValue => {
                expect_ok(&client.command(&[b"SET", b"large", &vec![b'x'; size.value_bytes]])?)?;
            }
            Self::LargeSet => {
                pipelined(&mut client, size.members.div_ceil(MEMBERS_PER_COMMAND), |client, number| {
                    let members: Vec<String> = (0..MEMBERS_PER_COMMAND)
                        .map(|member| format!("member:{}", number * MEMBERS_PER_COMMAND + member))
                        .collect();
                    let mut words: Vec<&[u8]> = vec![b"SADD", b"members"];
                    words.extend(members.iter().map(String::as_bytes));
                    client.queue(&words);
                })?;
            }
            Self::Join => {}
        }
        prepared.client = Some(client);
        Ok(prepared)
    }
}

/// Trouble that is about to happen.
pub struct Prepared {
    trouble: Trouble,
    size: Size,
    due_ms: u64,
    peer: Option<std::net::SocketAddr>,
    client: Option<Client>,
}

/// A node that joined: it goes when this does, which must not be while clients are watched.
pub struct Joined {
    _node: Node,
    _directory: tempfile::TempDir,
}

impl Prepared {
    /// Makes it happen, and waits until it is over.
    ///
    /// # Errors
    /// Where a reply is an error.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn happen(self) -> io::Result<Option<Joined>> {
        let mut client = self.client.ok_or_else(|| io::Error::other("not prepared"))?;
        match self.trouble {
            Trouble::Eviction => {
                let value = vec![b'x'; EVICTING_BYTES];
                pipelined(&mut client, self.size.evicting, |client, number| {
                    client.queue(&[b"SET", format!("evicting:{number}").as_bytes(), &value]);
                })?;
                expect_ok(&client.words("CONFIG SET maxmemory 0")?)?;
            }
            Trouble::Expiry => {
                // From half a second before until all are reaped.
                let until = (self.due_ms - 500).saturating_sub(unix_ms());
                std::thread::sleep(Duration::from_millis(until));
                let goal = info(&mut client, "expired_keys")? + self.size.expiring;
                wait_until("all that is due is reaped", PATIENCE, || match info(&mut client, "expired_keys") {
                    Ok(count) if count >= goal => Ok(()),
                    other => Err(format!("{other:?} of {goal}")),
                });
            }
            Trouble::LargeValue => delete(&mut client, "large")?,
            Trouble::LargeSet => delete(&mut client, "members")?,
            Trouble::Join => {
                let peer = self.peer.ok_or_else(|| io::Error::other("no peer port is known"))?;
                let directory = tempfile::tempdir()?;
                let flags = ["--loglevel", "warning"].map(String::from).to_vec();
                let options = NodeOptions { join: vec![peer], flags, ..NodeOptions::default() };
                let mut node = Node::start("joining", directory.path(), options);
                node.wait_ready(PATIENCE);
                std::thread::sleep(AFTER);
                return Ok(Some(Joined { _node: node, _directory: directory }));
            }
        }
        Ok(None)
    }
}

fn delete(client: &mut Client, key: &str) -> io::Result<()> {
    match client.words(&format!("DEL {key}"))? {
        Value::Integer(1) => std::thread::sleep(AFTER),
        other => return Err(io::Error::other(format!("DEL {key}: {other:?}"))),
    }
    Ok(())
}

/// Sends `count` commands.
fn pipelined(client: &mut Client, count: u64, mut queue: impl FnMut(&mut Client, u64)) -> io::Result<()> {
    let mut number = 0;
    while number < count {
        let batch = PIPELINE.min(count - number);
        (number..number + batch).for_each(|number| queue(client, number));
        client.flush()?;
        for _ in 0..batch {
            if let Value::Error(error) = client.read()? {
                return Err(io::Error::other(error));
            }
        }
        number += batch;
    }
    Ok(())
}

fn expect_ok(reply: &Value) -> io::Result<()> {
    match reply {
        Value::Simple(_) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

fn info(client: &mut Client, field: &str) -> io::Result<u64> {
    let info = client.words("INFO")?.text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| io::Error::other(format!("INFO has no {field}")))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}
