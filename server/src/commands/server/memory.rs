//! MEMORY: <https://redis.io/docs/latest/commands/memory-stats/>
//!
//! MEMORY USAGE is a command on data: its row is `generic::memory_usage`. MEMORY PURGE and MALLOC-STATS are not offered:
//! the allocator can be told and asked through unsafe calls only.

use super::SERVER;
use crate::commands::connection::arguments::help;
use crate::commands::generic::memory_usage::MEMORY_USAGE;
use crate::commands::port::{ConnectionContext, Flow, MemoryFigures};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// MEMORY
pub static MEMORY: CommandSpec = CommandSpec {
    name: "memory",
    arity: Arity::AtLeast(2),
    since: "4.0.0",
    complexity: "Depends on subcommand.",
    summary: "A container for memory diagnostics commands.",
    handler: Handler::Container(&[&DOCTOR, &HELP, &STATS, &MEMORY_USAGE]),
    ..SERVER
};

/// MEMORY DOCTOR
static DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    arity: Arity::Exactly(2),
    since: "4.0.0",
    summary: "Outputs a memory problems report.",
    handler: Handler::Connection(doctor),
    ..SERVER
};

/// MEMORY HELP
static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    flags: larder_protocol::Flags::LOADING.union(larder_protocol::Flags::STALE),
    since: "4.0.0",
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..SERVER
};

/// MEMORY STATS
static STATS: CommandSpec = CommandSpec {
    name: "stats",
    arity: Arity::Exactly(2),
    since: "4.0.0",
    summary: "Returns details about memory usage.",
    handler: Handler::Connection(stats),
    ..SERVER
};

/// Bytes below which there is nothing to say about fragmentation: Redis's DOCTOR has the same bound.
const SMALL_BYTES: u64 = 5 * 1024 * 1024;

fn doctor(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let memory = context.node.memory();
    let limit = context.node.settings().live().maxmemory();
    reply.verbatim(diagnose(&memory, limit, context.node.clients().len() as u64).as_bytes());
    Ok(Flow::Done)
}

fn diagnose(memory: &MemoryFigures, limit: u64, clients: u64) -> String {
    if memory.used < SMALL_BYTES {
        return "Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these \
                conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will \
                be back to our programming as soon as I finished rebooting.\n"
            .into();
    }
    let mut report = String::new();
    if memory.peak * 2 > memory.used * 3 {
        report += " * Peak memory: In the past this instance used more than 150% the memory that is currently using. \
                   The allocator keeps some of it for later items.\n";
    }
    if memory.resident.is_some_and(|resident| resident * 10 > memory.used * 14) {
        report += " * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4.\n";
    }
    if clients > 0 && memory.clients / clients > 200 * 1024 {
        report += " * Big client buffers: The clients output buffers in this instance are greater than 200K per \
                   client (on average).\n";
    }
    if limit > 0 && memory.used > limit {
        report += " * Over the limit: used_memory is above maxmemory.\n";
    }
    match report.is_empty() {
        true => "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this \
                 base.\n"
            .into(),
        false => format!("Sam, I detected a few issues in this Larder instance memory implants:\n\n{report}"),
    }
}

fn stats(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let (memory, keyspace) = (context.node.memory(), context.node.keyspace().total());
    let mut integers: Vec<(&str, u64)> = vec![
        ("peak.allocated", memory.peak),
        ("total.allocated", memory.used),
        ("startup.allocated", memory.startup),
        ("clients.normal", memory.clients),
        ("overhead.total", memory.overhead()),
        ("keys.count", keyspace.keys),
        ("keys.bytes-per-key", memory.net().checked_div(keyspace.keys).unwrap_or(0)),
        ("dataset.bytes", memory.net_dataset()),
    ];
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let mut ratios = vec![
        ("dataset.percentage", percent(memory.net_dataset(), memory.net())),
        ("peak.percentage", percent(memory.used, memory.peak)),
    ];
    if let Some(resident) = memory.resident {
        ratios.push(("fragmentation", resident as f64 / memory.used.max(1) as f64));
        integers.push(("fragmentation.bytes", resident.saturating_sub(memory.used)));
    }
    reply.map_header(integers.len() + ratios.len());
    for (name, value) in integers {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    }
    for (name, value) in ratios {
        reply.bulk(name.as_bytes());
        double(reply, value);
    }
    Ok(Flow::Done)
}

/// A double: a bulk string in RESP2.
fn double(reply: &mut ReplyBuffer, value: f64) {
    match reply.version() {
        larder_protocol::ProtocolVersion::Resp2 => reply.bulk(format!("{value}").as_bytes()),
        larder_protocol::ProtocolVersion::Resp3 => reply.raw(format!(",{value}\r\n").as_bytes()),
    }
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "DOCTOR",
        "    Return memory problems reports.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
    ];
    help(reply, "MEMORY", &lines);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn figures_are_those_of_the_node() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let stats = node.run(&mut session, "MEMORY STATS");
        let has = |name: &str, value: &str| stats.contains(&format!("{name}\r\n:{value}\r\n"));
        // 2048 bytes are used, 248 of them since before there were four keys, and 300 are those of items.
        assert!(
            has("peak.allocated", "4096") && has("overhead.total", "1748") && has("dataset.bytes", "300"),
            "{stats}"
        );
        assert!(has("keys.bytes-per-key", "450"), "{stats}");
        assert!(stats.contains("dataset.percentage\r\n$18\r\n16.666666666666668\r\n"), "{stats}");
        let info = node.run(&mut session, "INFO memory");
        assert!(
            info.contains("used_memory_overhead:1748\r\n") && info.contains("used_memory_dataset:300\r\n"),
            "{info}"
        );
        assert!(info.contains("used_memory_dataset_perc:16.67%\r\n"), "{info}");
        assert!(stats.contains("peak.percentage\r\n$2\r\n50\r\n"), "{stats}");
        session.version = larder_protocol::ProtocolVersion::Resp3;
        assert!(node.run(&mut session, "MEMORY STATS").contains("peak.percentage\r\n,50\r\n"));
        assert!(node.run(&mut session, "MEMORY DOCTOR").contains("Hi Sam"));
        let figures =
            MemoryFigures { used: 100 << 20, peak: 200 << 20, resident: Some(200 << 20), ..Default::default() };
        let report = diagnose(&figures, 50 << 20, 1);
        assert!(
            report.contains("Peak memory") && report.contains("High total RSS") && report.contains("Over the limit")
        );
    }
}
