//! Stock clients with their default settings, each a small script in `compat/` that prints OK.
//!
//! Python packages go to `target/compat/venv`, npm packages to `target/compat/node`. Where a tool or its registry cannot be
//! had, the test says so and passes; with `LARDER_COMPAT=required`, as in `.ci/run`, it fails.
#![allow(missing_docs)]

#[path = "../compat/redis_rs.rs"]
mod redis_rs;

use cluster_tests::process::{Cluster, RedisServer, wait_until};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// Longest run of one script.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compat");

/// What the scripts run with; an error says why a tool cannot be had.
struct Tools {
    shell: Result<(), String>,
    python: Result<PathBuf, String>,
    node: Result<PathBuf, String>,
}

static TOOLS: LazyLock<Tools> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory").join("compat");
    fs::create_dir_all(&target).expect("target/compat");
    Tools {
        shell: run(Command::new("redis-cli").arg("--version")),
        python: python(&target.join("venv")),
        node: node(&target.join("node")),
    }
});

fn python(venv: &Path) -> Result<PathBuf, String> {
    let python = venv.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    run(Command::new(&python).args(install).current_dir(SCRIPTS))?;
    Ok(python)
}

/// Modules are found beside the script, so the scripts are copied to where the packages are.
fn node(directory: &Path) -> Result<PathBuf, String> {
    run(Command::new("node").arg("--version"))?;
    fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    let wanted = fs::read(Path::new(SCRIPTS).join("package.json")).map_err(|error| error.to_string())?;
    let installed = directory.join("installed.json");
    for script in ["package.json", "ioredis.mjs", "node_redis.mjs"] {
        fs::copy(Path::new(SCRIPTS).join(script), directory.join(script)).map_err(|error| error.to_string())?;
    }
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(directory))?;
        fs::write(installed, wanted).map_err(|error| error.to_string())?;
    }
    Ok(directory.to_owned())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr)))
}

/// Which scripts, and in which modes and protocols. ioredis 6 chooses its protocol by itself.
const RUNS: [(&str, &[&str]); 4] = [
    ("redis_cli.sh", &["default", "3"]),
    ("redis_py.py", &["default", "2", "3"]),
    ("ioredis.mjs", &["default"]),
    ("node_redis.mjs", &["default", "2", "3"]),
];

/// Runs every script in `mode` against `port`; what failed, and what could not be tried.
fn run_all(mode: &str, port: u16, failed: &mut String, missing: &mut String) {
    for (script, protocols) in RUNS {
        for protocol in protocols {
            run_script(script, &[mode, protocol, &port.to_string()], failed, missing);
        }
    }
    if mode == "plain" {
        run_script("hiredis_parser.py", &[&port.to_string()], failed, missing);
    }
}

fn run_script(script: &str, args: &[&str], failed: &mut String, missing: &mut String) {
    let in_scripts = |program: &Path| {
        let mut command = Command::new(program);
        command.arg(Path::new(SCRIPTS).join(script)).args(args);
        command
    };
    let command = match script.rsplit_once('.').map(|(_, extension)| extension) {
        Some("py") => TOOLS.python.as_ref().map(|python| in_scripts(python)),
        Some("mjs") => TOOLS.node.as_ref().map(|directory| {
            let mut command = Command::new("node");
            command.arg(script).args(args).current_dir(directory);
            command
        }),
        _ => TOOLS.shell.as_ref().map(|()| in_scripts(Path::new("/bin/sh"))),
    };
    let name = format!("{script} {}", args.join(" "));
    match command {
        Ok(mut command) => match output_of(&mut command) {
            Ok(()) => eprintln!("{name}: OK"),
            Err(output) => write!(failed, "\n--- {name}\n{output}\n").expect("a String"),
        },
        Err(reason) => write!(missing, "\n--- {name}: not tried: {reason}\n").expect("a String"),
    }
}

/// Runs a script, which ends with a line `OK` where all is well; else its output.
fn output_of(command: &mut Command) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("output");
    let file = || File::options().create(true).append(true).open(&path).map_err(|error| error.to_string());
    command.stdin(Stdio::null()).stdout(file()?).stderr(file()?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let start = std::time::Instant::now();
    let (ended, _) = wait_until("the script ends", SCRIPT_LIMIT * 2, || match child.try_wait() {
        Ok(Some(status)) => Ok(Some(status)),
        Ok(None) if start.elapsed() > SCRIPT_LIMIT => {
            let _ = child.kill();
            let _ = child.wait();
            Ok(None)
        }
        Ok(None) => Err("it runs".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let output = fs::read_to_string(&path).unwrap_or_default();
    match ended {
        Some(status) if status.success() && output.lines().last() == Some("OK") => Ok(()),
        Some(status) => Err(format!("{output}{status}")),
        None => Err(format!("{output}did not end within {SCRIPT_LIMIT:?}")),
    }
}

fn conclude(failed: &str, missing: &str) {
    assert!(failed.is_empty(), "{failed}");
    if !missing.is_empty() {
        eprintln!("{missing}");
        let required = std::env::var("LARDER_COMPAT").is_ok_and(|value| value == "required");
        assert!(!required, "LARDER_COMPAT=required, but some clients could not be tried");
    }
}

#[test]
fn redis_rs_works_with_three_nodes() {
    let cluster = Cluster::start(3, &[]);
    for node in 0..cluster.len() {
        let ports = cluster[node].ports();
        redis_rs::plain(ports.client).expect("redis-rs");
        redis_rs::cluster(ports.client).expect("redis-rs, seeded with a client port");
        redis_rs::cluster(ports.cluster).expect("redis-rs, seeded with a cluster port");
    }
}

/// The scripts ask for nothing that Redis itself does not do.
#[test]
fn the_scripts_are_right_about_redis_server() {
    let (mut failed, mut missing) = (String::new(), String::new());
    for mode in ["plain", "cluster"] {
        match RedisServer::start(mode == "cluster") {
            Ok(redis) => run_all(mode, redis.address().port(), &mut failed, &mut missing),
            Err(error) => write!(missing, "redis-server cannot be started: {error}").expect("a String"),
        }
    }
    conclude(&failed, &missing);
}

#[test]
fn stock_clients_work_with_one_node() {
    let cluster = Cluster::start(1, &[]);
    let (mut failed, mut missing) = (String::new(), String::new());
    for mode in ["plain", "cluster"] {
        run_all(mode, cluster[0].ports().client, &mut failed, &mut missing);
    }
    conclude(&failed, &missing);
}

#[test]
fn stock_clients_work_with_three_nodes() {
    let cluster = Cluster::start(3, &[]);
    let (mut failed, mut missing) = (String::new(), String::new());
    for node in 0..cluster.len() {
        run_all("plain", cluster[node].ports().client, &mut failed, &mut missing);
    }
    // Any port is a seed: the client port advertises the cluster ports.
    run_all("cluster", cluster[0].ports().client, &mut failed, &mut missing);
    run_all("cluster", cluster[1].ports().cluster, &mut failed, &mut missing);
    conclude(&failed, &missing);
}
