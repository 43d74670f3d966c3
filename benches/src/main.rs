//! The load tool: `cargo run --release -p benches -- compare`, `-- cluster`, `-- hitratio`, `-- load`, `-- memory`,
//! `-- scale`.
#![allow(clippy::print_stdout, reason = "its results are what it prints")]

use benches::compare::{self, ClusterReport, Effort, Kind};
use benches::generator::Mix;
use benches::hitratio::trace::{Synthetic, Trace};
use benches::hitratio::{self, Contestant};
use benches::load;
use benches::memory;
use benches::scale;
use benches::target::{Target, resolve};
use benches::types;
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures Larder beside redis-server", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs GET, SET and 90:10 at pipeline 1, 16 and 64 against servers side by side
    Compare(Compare),
    /// Runs SET and GET against the leaders of a cluster, one node alone, and redis-server with replicas; and where commands
    /// are forwarded to the leader against where they are not
    Cluster(ClusterArguments),
    /// Replays a trace as a look-aside cache and prints hit ratios at equal resident memory
    Hitratio(HitRatio),
    /// Prints what clients wait while a node evicts, expires, deletes large values, and takes in another node
    Load(LoadArguments),
    /// Fills servers side by side and prints resident bytes per key, with and without TTL
    Memory(Memory),
    /// Prints what an operation costs as connections, keys, partitions and nodes grow
    Scale(Scale),
}

#[derive(Args)]
struct Scale {
    /// Connections to one node
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    connections: Vec<usize>,
    /// Keys of one node
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    keys: Vec<u32>,
    /// Partitions of three nodes
    #[arg(long, value_delimiter = ',', default_value = "3,12,24,96")]
    partitions: Vec<usize>,
    /// Nodes
    #[arg(long, value_delimiter = ',', default_value = "3,5")]
    nodes: Vec<usize>,
    /// Rounds of each row
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct LoadArguments {
    /// Connections that do nothing
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Connections that are busy
    #[arg(long, default_value_t = 1_000)]
    busy: usize,
    /// Commands a second of all of them
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Keys that are due in the same second
    #[arg(long, default_value_t = 1_000_000)]
    expiring: u64,
    /// MiB of the value that is deleted
    #[arg(long, default_value_t = 512)]
    value_mib: usize,
    /// Members of the set that is deleted
    #[arg(long, default_value_t = 10_000_000)]
    members: u64,
    /// Keys of 1,000 bytes that are written at a full node
    #[arg(long, default_value_t = 200_000)]
    evicting: u64,
    /// Seconds for which the quiet node is measured
    #[arg(long, default_value_t = 10)]
    quiet: u64,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct Memory {
    /// Keys
    #[arg(long, default_value_t = memory::KEYS)]
    keys: u32,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct HitRatio {
    /// A trace: `key size` a line, or libCacheSim's CSV
    #[arg(required_unless_present = "synthetic")]
    trace: Option<PathBuf>,
    /// A trace that comes with the tool, instead
    #[arg(long, value_enum, conflicts_with = "trace")]
    synthetic: Option<Synthetic>,
    /// Requests: of a file at most so many, of a synthetic trace this many
    #[arg(long, default_value_t = 2_000_000)]
    requests: usize,
    /// Keys of a synthetic trace
    #[arg(long, default_value_t = 1_000_000)]
    keys: u32,
    /// Resident memory that a server may reach, MiB
    #[arg(long, default_value_t = 64)]
    rss: u64,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Which rows of the table are measured.
#[derive(Args)]
struct Rows {
    /// Only these commands
    #[arg(long, value_enum)]
    mix: Option<Mix>,
    /// Only with so many commands at once
    #[arg(long, value_name = "N")]
    pipeline: Option<usize>,
    /// Only with so many connections
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
}

impl Rows {
    fn among(&self, mut kinds: Vec<Kind>) -> Result<Vec<Kind>, Box<dyn Error>> {
        kinds.retain(|kind| {
            self.mix.is_none_or(|mix| kind.mix == mix)
                && self.pipeline.is_none_or(|pipeline| kind.pipeline == pipeline)
                && self.connections.is_none_or(|connections| kind.connections == connections)
        });
        if kinds.is_empty() { Err("the table has no such row".into()) } else { Ok(kinds) }
    }
}

#[derive(Args)]
struct Compare {
    #[command(flatten)]
    rows: Rows,
    /// Fewer operations and rounds
    #[arg(long)]
    quick: bool,
    /// Commands on collections, and what those weigh, instead
    #[arg(long)]
    types: bool,
    /// Larder: HOST:PORT, `spawn` to start one, `none`
    #[arg(long, value_name = "ADDR", default_value = "spawn")]
    larder: String,
    /// redis-server: HOST:PORT, `spawn` to start one where it is installed, `none`
    #[arg(long, value_name = "ADDR", default_value = "spawn")]
    redis: String,
    /// Further servers, which are filled and written to
    #[arg(long = "target", value_name = "NAME=ADDR")]
    targets: Vec<String>,
    /// Another Larder with a limit that is not reached, which keeps the order in which to evict: HOST:PORT, `spawn`, `none`
    #[arg(long, value_name = "ADDR", default_value = "spawn")]
    limited: String,
    /// And another one through its cluster port
    #[arg(long)]
    cluster_port: bool,
    /// Bytes of every value
    #[arg(long, value_name = "BYTES")]
    value: Option<usize>,
    /// Keys that are stored beforehand
    #[arg(long)]
    keys: Option<u32>,
    /// Rounds, instead of the usual number
    #[arg(long)]
    rounds: Option<usize>,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw CPU and latency into FILE, an SVG
    #[arg(long, value_name = "FILE", conflicts_with = "types")]
    plot: Option<PathBuf>,
}

#[derive(Args)]
struct ClusterArguments {
    #[command(flatten)]
    rows: Rows,
    /// Any port of a node of a cluster that runs; one is started unless given
    #[arg(long, value_name = "ADDR")]
    seed: Option<String>,
    /// Nodes to start
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Fewer operations and rounds
    #[arg(long)]
    quick: bool,
    /// Rounds, instead of the usual number
    #[arg(long)]
    rounds: Option<usize>,
    /// The cluster alone
    #[arg(long)]
    alone: bool,
    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Compare(arguments) => compare(&arguments),
        Command::Cluster(arguments) => cluster(&arguments),
        Command::Hitratio(arguments) => hit_ratio(&arguments),
        Command::Load(arguments) => load(&arguments),
        Command::Memory(arguments) => memory(&arguments),
        Command::Scale(arguments) => scale(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Compare) -> Result<(), Box<dyn Error>> {
    type Spawn = fn() -> io::Result<Target>;
    let mut targets = Vec::new();
    let mut spawned: Vec<Option<Spawn>> = Vec::new();
    let (nobody, spawned_here) = ("none".to_owned(), "spawn".to_owned());
    for (name, place, spawn) in [
        ("larder", &arguments.larder, Target::spawn_larder as Spawn),
        ("larder, limited", if arguments.types { &nobody } else { &arguments.limited }, Target::spawn_limited_larder),
        (
            "larder, cluster port",
            if arguments.cluster_port { &spawned_here } else { &nobody },
            Target::spawn_larder_by_cluster_port,
        ),
        ("redis-server", &arguments.redis, Target::spawn_redis),
    ] {
        match place.as_str() {
            "none" => {}
            "spawn" => match spawn() {
                Ok(target) => {
                    targets.push(target);
                    spawned.push(Some(spawn));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => eprintln!("{name} is not installed: left out"),
                Err(error) => return Err(format!("{name}: {error}").into()),
            },
            address => {
                targets.push(Target::running(name, resolve(address)?)?);
                spawned.push(None);
            }
        }
    }
    for (position, target) in arguments.targets.iter().enumerate() {
        let (name, address) = target.split_once('=').ok_or_else(|| format!("not NAME=ADDR: {target}"))?;
        // Before redis-server, which ratios are against and which stays last.
        let before_last = usize::from(targets.len() > position && arguments.redis != "none");
        let place = targets.len() - before_last;
        targets.insert(place, Target::running(name, resolve(address)?)?);
        spawned.insert(place, None);
    }
    if targets.is_empty() {
        return Err("nothing to measure".into());
    }
    let fresh = |index: usize| spawned[index].map(|spawn| spawn());
    if arguments.types {
        let mut effort = if arguments.quick { types::Effort::QUICK } else { types::Effort::FULL };
        effort.rounds = arguments.rounds.unwrap_or(effort.rounds).max(1);
        let report = types::compare(&targets, &fresh, effort)?;
        return show(&report, arguments.json.as_deref());
    }
    let mut effort = effort(arguments.quick, arguments.rounds);
    effort.value_bytes = arguments.value.unwrap_or(effort.value_bytes);
    effort.keys = arguments.keys.unwrap_or(effort.keys);
    let report = compare::compare(&targets, &fresh, &arguments.rows.among(Kind::of_a_node())?, effort)?;
    if let Some(path) = &arguments.plot {
        report.draw(path)?;
    }
    show(&report, arguments.json.as_deref())
}

fn effort(quick: bool, rounds: Option<usize>) -> Effort {
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    Effort { rounds: rounds.unwrap_or(effort.rounds).max(1), ..effort }
}

fn cluster(arguments: &ClusterArguments) -> Result<(), Box<dyn Error>> {
    let effort = effort(arguments.quick, arguments.rounds);
    let mut targets = vec![match &arguments.seed {
        Some(seed) => Target::running_cluster(resolve(seed)?, effort.keys)?,
        None => Target::spawn_cluster(arguments.nodes, effort.keys)?,
    }];
    if !arguments.alone {
        targets.push(Target::spawn_larder()?);
        match Target::spawn_redis_with_replicas(arguments.nodes.saturating_sub(1)) {
            Ok(redis) => targets.push(redis),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("redis-server is not installed: left out")
            }
            Err(error) => return Err(format!("redis-server: {error}").into()),
        }
    }
    let kinds = arguments.rows.among(Kind::of_a_cluster())?;
    let cluster = compare::compare(&targets, &|_| None, &kinds, effort)?;
    let forwarding = match targets[0].shards.len() {
        0..=1 => None,
        _ => Some(compare::alternate(&targets[0].forwarding()?, &kinds, effort)?),
    };
    show(&ClusterReport { cluster, forwarding }, arguments.json.as_deref())
}

fn hit_ratio(arguments: &HitRatio) -> Result<(), Box<dyn Error>> {
    let trace = match (&arguments.trace, arguments.synthetic) {
        (Some(path), _) => {
            Trace::read(path, arguments.requests).map_err(|error| format!("{}: {error}", path.display()))?
        }
        (None, Some(synthetic)) => Trace::make(synthetic, arguments.requests, arguments.keys),
        (None, None) => return Err("no trace".into()),
    };
    let larder = |policy| Contestant { spawn: Target::spawn_larder, policy };
    let redis = |policy| Contestant { spawn: Target::spawn_redis, policy };
    let contestants = [
        larder("allkeys-lru"),
        larder("allkeys-lfu"),
        larder("allkeys-gdsf"),
        redis("allkeys-lru"),
        redis("allkeys-lfu"),
    ];
    let report = hitratio::run(&trace, &contestants, arguments.rss << 20)?;
    show(&report, arguments.json.as_deref())
}

fn load(arguments: &LoadArguments) -> Result<(), Box<dyn Error>> {
    let report = load::load(load::Size {
        idle: arguments.idle,
        busy: arguments.busy.max(1),
        rate: arguments.rate,
        expiring: arguments.expiring,
        // What a command may carry, its limit included.
        value_bytes: (arguments.value_mib << 20).min(512 << 20),
        members: arguments.members,
        evicting: arguments.evicting,
        quiet: Duration::from_secs(arguments.quiet),
    })?;
    show(&report, arguments.json.as_deref())
}

fn memory(arguments: &Memory) -> Result<(), Box<dyn Error>> {
    let report = memory::report(&[Target::spawn_larder, Target::spawn_redis], arguments.keys)?;
    show(&report, arguments.json.as_deref())
}

fn scale(arguments: Scale) -> Result<(), Box<dyn Error>> {
    let Scale { connections, keys, partitions, nodes, rounds, json } = arguments;
    let report = scale::scale(scale::Size { connections, keys, partitions, nodes, rounds, operations: 1_000_000 })?;
    show(&report, json.as_deref())
}

fn show(report: &(impl Display + serde::Serialize), json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    println!("{report}");
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(report)?)?;
    }
    Ok(())
}
