//! `larder status`, `drain` and `remove`: LARDER's subcommands, with progress.

use super::{Failure, Outcome, failed, misconfigured, say};
use crate::commands::cluster::larder::{NodeStatus, Status};
use clap::ArgMatches;
use larder_client::{Address, Connection, Error, Options};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Between looks while it waits.
const PERIOD: Duration = Duration::from_millis(300);
/// Failed looks in a row after which waiting ends.
const FAILURES_MAX: u32 = 20;

/// Runs the command called `name`.
pub(super) fn run(name: &str, matches: &ArgMatches) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut remote = Remote::new(matches)?;
        match name {
            "status" => status(&mut remote).await,
            "drain" => drain(&mut remote, &node_of(matches)).await,
            _ => remove(&mut remote, &node_of(matches), matches.get_flag("force-quorum")).await,
        }
    })
}

fn node_of(matches: &ArgMatches) -> String {
    matches.get_one::<String>("NODE").cloned().unwrap_or_default()
}

/// The node that is asked.
struct Remote {
    address: Address,
    options: Options,
    connection: Option<Connection>,
    json: bool,
}

impl Remote {
    fn new(matches: &ArgMatches) -> Result<Self, (Failure, String)> {
        let address = matches.get_one::<String>("node").map_or("", String::as_str);
        let address = address.parse().map_err(|error| misconfigured(format!("--node {address}: {error}")))?;
        let password = matches.get_one::<String>("password").cloned();
        let password = password.or_else(|| std::env::var("LARDER_PASSWORD").ok());
        let options = Options { password, ..Options::default() };
        Ok(Self { address, options, connection: None, json: matches.get_flag("json") })
    }

    async fn call(&mut self, words: &[&str]) -> Result<String, (Failure, String)> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::connect(&self.address, &self.options).await.map_err(|error| self.explain(error))?,
        };
        let reply = connection.call(&words).await.map_err(|error| self.explain(error))?;
        self.connection = Some(connection);
        Ok(reply.as_str().unwrap_or_default().to_string())
    }

    fn explain(&self, error: Error) -> (Failure, String) {
        match error {
            Error::Reply(text) if text.starts_with("ERR unknown command 'LARDER'") => {
                failed(format!("{} is no Larder node", self.address))
            }
            Error::Reply(text) if text.starts_with("NOAUTH") => {
                failed(format!("{} wants a password: give --password, or LARDER_PASSWORD", self.address))
            }
            Error::Reply(text) => failed(text.strip_prefix("ERR ").unwrap_or(&text)),
            Error::Connect { .. } => (Failure::Unreachable, error.to_string()),
            error => (Failure::Unreachable, format!("{}: {error}", self.address)),
        }
    }

    async fn status(&mut self) -> Result<Status, (Failure, String)> {
        let text = self.call(&["LARDER", "STATUS", "JSON"]).await?;
        serde_json::from_str(&text).map_err(|error| failed(format!("{}: {error}", self.address)))
    }
}

async fn status(remote: &mut Remote) -> Outcome {
    let status = remote.status().await?;
    match remote.json {
        true => say(serde_json::to_string_pretty(&status).map_err(failed)?),
        false => say(status.to_string().trim_end()),
    }
    let unserved = status.partitions.iter().any(|partition| !partition.served);
    let unreachable = status.nodes.iter().any(|node| !node.connected && node.state != "left");
    if unserved || unreachable || !status.ready {
        return Err((Failure::Unwell, String::new()));
    }
    Ok(())
}

async fn drain(remote: &mut Remote, name: &str) -> Outcome {
    let node = find(remote, name).await?;
    if node.state == "left" {
        return Err(failed(format!("{} is drained already and may be stopped", short(&node))));
    }
    remote.call(&["LARDER", "DRAIN", &node.id]).await?;
    let progress = Progress::new(remote.json);
    let mut failures = 0;
    loop {
        match remote.status().await {
            Ok(status) => {
                failures = 0;
                // A node that has left is shown by itself alone.
                let now = status.nodes.iter().find(|other| other.id == node.id);
                let left = now.is_none_or(|node| node.state == "left");
                if left {
                    progress.end();
                    return done(remote.json, "drained", &node, "holds nothing any more and may be stopped");
                }
                let now = now.unwrap_or(&node);
                progress.show(&format!("{}: {} copies left, {} led", short(&node), now.copies, now.leads));
            }
            Err((failure, reason)) => {
                failures += 1;
                if failures >= FAILURES_MAX {
                    return Err((failure, reason));
                }
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn remove(remote: &mut Remote, name: &str, force_quorum: bool) -> Outcome {
    let node = find(remote, name).await?;
    if !remote.json {
        let _ = writeln!(
            std::io::stderr(),
            "{} must be stopped and stay stopped: what it alone holds is given up.",
            short(&node)
        );
        if force_quorum {
            let _ = writeln!(
                std::io::stderr(),
                "WARNING: where the directory has lost its majority, {} begins it anew with what it knows. What only the \
                 lost nodes knew is gone, and none of them may ever come back with its data directory.",
                remote.address
            );
        }
    }
    let mut words = vec!["LARDER", "REMOVE", &node.id];
    words.extend(force_quorum.then_some("FORCE-QUORUM"));
    remote.call(&words).await?;
    // Until the node that was asked shows it, too.
    let mut failures = 0;
    while failures < FAILURES_MAX {
        match remote.status().await {
            Ok(status) => {
                let now = status.nodes.iter().find(|other| other.id == node.id);
                if now.is_none_or(|now| matches!(now.state.as_str(), "down" | "left")) {
                    break;
                }
                tokio::time::sleep(PERIOD / 6).await;
            }
            Err(_) => {
                failures += 1;
                tokio::time::sleep(PERIOD).await;
            }
        }
    }
    done(remote.json, "removed", &node, "is removed; its copies are made anew elsewhere")
}

async fn find(remote: &mut Remote, name: &str) -> Result<NodeStatus, (Failure, String)> {
    let status = remote.status().await?;
    status.find(name).cloned().map_err(failed)
}

fn short(node: &NodeStatus) -> String {
    format!("node {} ({})", node.id.get(..8).unwrap_or(&node.id), node.client)
}

fn done(json: bool, what: &str, node: &NodeStatus, text: &str) -> Outcome {
    match json {
        true => say(json!({ "result": what, "node": node.id, "client": node.client })),
        false => say(format_args!("{} {text}", short(node))),
    }
    Ok(())
}

/// A line that is written over on a terminal, and written once a change elsewhere.
struct Progress {
    silent: bool,
    terminal: bool,
    last: std::cell::RefCell<String>,
}

impl Progress {
    fn new(silent: bool) -> Self {
        Self { silent, terminal: std::io::stderr().is_terminal(), last: Default::default() }
    }

    fn show(&self, text: &str) {
        if self.silent || *self.last.borrow() == text {
            return;
        }
        self.last.replace(text.to_string());
        let mut out = std::io::stderr().lock();
        let _ = match self.terminal {
            true => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            false => writeln!(out, "{text}"),
        };
    }

    fn end(&self) {
        if self.terminal && !self.last.borrow().is_empty() {
            let _ = writeln!(std::io::stderr());
        }
    }
}
