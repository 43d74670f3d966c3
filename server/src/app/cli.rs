//! The command line.

use crate::config::serve_flags;
use clap::{Arg, ArgAction, Command, value_parser};

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  refused, or failed; the reason is on standard error
  2  wrong command line or configuration
  3  the node cannot be reached
  4  status: the cluster is not well (a partition without a leader, a node that is not ready or out of reach)";

const STARTING: &str = "To try it out:
  larder dev                                   three nodes on this machine
  redis-cli -p 6379 SET greeting hello         any node serves any key
To run it:
  larder serve                                 one node, on 127.0.0.1:6379
  larder serve --port 6380 --join 127.0.0.1:16379
                                               a second one, which joins the first
  larder status                                who is there, who leads what";

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("larder")
        .about("A clustered in-memory cache that any Redis client can use.")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!("{STARTING}\n\n{EXIT_CODES}"))
        .subcommand(serve())
        .subcommand(dev())
        .subcommand(operator("status").about("Show the nodes of a cluster, its partitions, and what moves"))
        .subcommand(
            operator("drain")
                .about("Move everything off a node, and wait until it may be stopped")
                .arg(node_argument()),
        )
        .subcommand(
            operator("remove").about("Remove a node that is dead and will stay stopped").arg(node_argument()).arg(
                Arg::new("force-quorum")
                    .long("force-quorum")
                    .action(ArgAction::SetTrue)
                    .help("Also where the directory has lost its majority: what only the lost nodes knew is gone"),
            ),
        )
}

fn serve() -> Command {
    Command::new("serve")
        .about("Start one node")
        .after_help(
            "SIGTERM and SIGINT stop the node gracefully: it waits for leave to stop, hands over what it leads, and exits \
             with 0. A second signal stops it at once.",
        )
        .args_override_self(true)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("TOML file with settings under the same names; flags win. CONFIG REWRITE writes it"),
        )
        .args(serve_flags())
}

fn dev() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").default_value(default).help(help)
    };
    Command::new("dev")
        .about("Start a cluster on this machine, to try things out")
        .arg(number("nodes", "3", "Nodes").value_parser(value_parser!(u16).range(1..=32)))
        .arg(
            number("port", "6379", "Client port of the first node; the others follow")
                .value_parser(value_parser!(u16).range(1..)),
        )
        .arg(number("replicas", "3", "Copies of each partition").value_parser(value_parser!(u8).range(1..=7)))
        .arg(
            Arg::new("data-dir")
                .long("data-dir")
                .value_name("DIRECTORY")
                .help("Keep the nodes' data directories and logs here [default: a temporary one, removed at the end]"),
        )
}

fn operator(name: &'static str) -> Command {
    Command::new(name)
        .after_help(EXIT_CODES)
        .arg(
            Arg::new("node")
                .long("node")
                .value_name("HOST:PORT")
                .default_value("127.0.0.1:6379")
                .help("The node to ask, by its client address"),
        )
        .arg(
            Arg::new("password")
                .long("password")
                .value_name("PASSWORD")
                .help("Its password; LARDER_PASSWORD does the same and stays out of the process list"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON"))
}

fn node_argument() -> Arg {
    Arg::new("NODE").required(true).help("An id, a unique beginning of one, or the node's client address HOST:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
        let matches = command().get_matches_from(["larder", "serve", "--join", "a:1", "--join", "b:2", "--bind=-::1"]);
        let explicit = crate::config::explicit(matches.subcommand_matches("serve").unwrap());
        assert_eq!(explicit, [("bind".to_string(), "-::1".to_string()), ("join".to_string(), "a:1 b:2".to_string())]);
    }
}
