//! `larder dev`: a cluster of child processes on this machine.

use super::{Outcome, failed, misconfigured, say, serve};
use clap::ArgMatches;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// How long the cluster may take until all nodes are ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// Seconds that each node waits for leave to stop. All stop together, so only the first gets it: the others would wait for
/// nothing.
const GRACE_SECONDS: &str = "1";
/// How long all of them may take before they are killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at whether a node is ready.
const LOOK: Duration = Duration::from_millis(50);

/// The ports of one node.
#[derive(Debug, Clone, Copy)]
struct Ports {
    client: u16,
    cluster: u16,
    http: u16,
    peer: u16,
}

impl Ports {
    fn of(client: u32) -> Option<Self> {
        let port = |offset: u32| u16::try_from(client + offset).ok();
        Some(Self { client: port(0)?, cluster: port(1000)?, http: port(2000)?, peer: port(10_000)? })
    }

    fn all(self) -> [(&'static str, u16); 4] {
        [("client", self.client), ("cluster", self.cluster), ("HTTP", self.http), ("peer", self.peer)]
    }
}

struct Member {
    ports: Ports,
    log: PathBuf,
    child: Child,
}

/// Runs a cluster until Ctrl-C.
pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let nodes = u32::from(*matches.get_one::<u16>("nodes").unwrap_or(&3));
    let first = u32::from(*matches.get_one::<u16>("port").unwrap_or(&6379));
    let replicas = *matches.get_one::<u8>("replicas").unwrap_or(&3);
    let ports: Option<Vec<Ports>> = (0..nodes).map(|index| Ports::of(first + index)).collect();
    let ports = ports
        .ok_or_else(|| misconfigured(format!("--port {first}: the peer ports, 10000 above, must be below 65536")))?;
    check_free(&ports).map_err(failed)?;
    let kept = matches.get_one::<String>("data-dir").map(PathBuf::from);
    let directory =
        kept.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("larder-dev-{}", std::process::id())));
    std::fs::create_dir_all(&directory).map_err(|error| failed(format!("{}: {error}", directory.display())))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let outcome = runtime.block_on(cluster(&ports, replicas, &directory));
    if kept.is_none() && outcome.is_ok() {
        let _ = std::fs::remove_dir_all(&directory);
    }
    outcome
}

/// All ports are looked at before any node is started, so that a cluster never half starts.
fn check_free(nodes: &[Ports]) -> Result<(), String> {
    for (what, port) in nodes.iter().flat_map(|ports| ports.all()) {
        if let Err(error) = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            return Err(format!(
                "port {port} ({what} port of a node) cannot be used: {error}. Choose others with --port"
            ));
        }
    }
    Ok(())
}

async fn cluster(ports: &[Ports], replicas: u8, directory: &Path) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut members = Vec::new();
    let outcome = tokio::select! {
        started = start_and_watch(ports, replicas, directory, &mut members) => started,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    say("\nstopping");
    for member in &members {
        tell(member, Signal::TERM);
    }
    let stopped = async {
        for member in &mut members {
            let _ = member.child.wait().await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(STOP_PATIENCE, stopped) => {}
        _ = interrupt.recv() => {}
    }
    for member in &mut members {
        // Those that are left; the others are gone already.
        let _ = member.child.start_kill();
        let _ = member.child.wait().await;
    }
    outcome
}

/// Starts all nodes, waits until they are ready, says so; ends only where a node does.
async fn start_and_watch(ports: &[Ports], replicas: u8, directory: &Path, members: &mut Vec<Member>) -> Outcome {
    for node in ports {
        members.push(start(*node, ports[0].peer, replicas, directory)?);
    }
    wait_until_ready(members).await?;
    introduce(members, directory);
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for member in &mut *members {
            if let Ok(Some(status)) = member.child.try_wait() {
                let port = member.ports.client;
                say(format_args!(
                    "the node at port {port} has ended ({status}); the others go on. Its log: {}",
                    member.log.display()
                ));
            }
        }
        members.retain_mut(|member| matches!(member.child.try_wait(), Ok(None)));
        if members.is_empty() {
            return Err(failed("all nodes have ended"));
        }
    }
}

fn start(ports: Ports, seed: u16, replicas: u8, directory: &Path) -> Result<Member, (super::Failure, String)> {
    let program = std::env::current_exe().map_err(failed)?;
    let log = directory.join(format!("node-{}.log", ports.client));
    let file = std::fs::File::create(&log).map_err(|error| failed(format!("{}: {error}", log.display())))?;
    let mut command = Command::new(program);
    command.arg("serve");
    for (name, value) in [
        ("port", ports.client.to_string()),
        ("cluster-port", ports.cluster.to_string()),
        ("http-port", ports.http.to_string()),
        ("peer-port", ports.peer.to_string()),
        ("replicas", replicas.to_string()),
        ("shutdown-grace", GRACE_SECONDS.to_string()),
        ("data-dir", directory.join(format!("node-{}", ports.client)).display().to_string()),
    ] {
        command.arg(format!("--{name}={value}"));
    }
    if ports.peer != seed {
        command.arg(format!("--join=127.0.0.1:{seed}"));
    }
    let errors = file.try_clone().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors).kill_on_drop(true);
    // A group of its own, so that Ctrl-C reaches the nodes once, through this process.
    command.process_group(0).env(serve::STOP_WITH_PARENT, "1");
    let child = command.spawn().map_err(failed)?;
    Ok(Member { ports, log, child })
}

async fn wait_until_ready(members: &mut [Member]) -> Outcome {
    let deadline = Instant::now() + READY_PATIENCE;
    for member in members {
        loop {
            if let Ok(Some(status)) = member.child.try_wait() {
                let port = member.ports.client;
                return Err(failed(format!("the node at port {port} ended ({status}):\n{}", tail(&member.log))));
            }
            let why = match ready(member.ports.http) {
                Ok(()) => break,
                Err(why) => why,
            };
            if Instant::now() >= deadline {
                let port = member.ports.client;
                return Err(failed(format!("the node at port {port} is not ready: {why}\n{}", tail(&member.log))));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Asks `/readyz`.
fn ready(port: u16) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(16 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_string())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn introduce(members: &[Member], directory: &Path) {
    say(format_args!("{:<17} {:<17} {:<17} {:<17} {:>8}", "CLIENT", "CLUSTER", "PEER", "HTTP", "PID"));
    for member in members {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let Ports { client, cluster, http, peer } = member.ports;
        let pid = member.child.id().unwrap_or_default();
        say(format_args!("{:<17} {:<17} {:<17} {:<17} {pid:>8}", at(client), at(cluster), at(peer), at(http)));
    }
    let first = members.first().map_or(6379, |member| member.ports.client);
    let last = members.last().map_or(first, |member| member.ports.client);
    let first_http = members.first().map_or(8379, |member| member.ports.http);
    say(format_args!(
        "\nReady. In another terminal:\n  redis-cli -p {first} SET greeting hello\n  redis-cli -p {last} GET greeting\n  \
         larder status --node 127.0.0.1:{first}\n  curl http://127.0.0.1:{first_http}/metrics\n\
         Logs: {}\nCtrl-C stops all nodes.",
        directory.join("node-*.log").display()
    ));
}

fn tell(member: &Member, signal: Signal) {
    let pid = member.child.id().and_then(|pid| Pid::from_raw(pid as i32));
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports { client: 1, cluster: port, http: port, peer: port };
        let error = check_free(&[Ports { client: port, ..ports }]).unwrap_err();
        assert!(error.contains(&port.to_string()) && error.contains("client"), "{error}");
        assert!(Ports::of(60_000).is_none());
    }
}
