//! The sections of INFO, in Redis's order.

use crate::clock;
use crate::commands::connection::hello::REDIS_VERSION;
use crate::commands::port::ConnectionContext;
use crate::commands::session::PortKind;
use crate::commands::table;
use crate::keyspace::DatabaseFigures;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

/// One section.
pub(super) struct Section {
    /// Its name, as it is asked for.
    pub name: &'static str,
    /// Whether a bare INFO leaves it out.
    pub on_request: bool,
    /// Writes its fields.
    pub write: fn(&ConnectionContext<'_>, &mut String),
}

const fn section(name: &'static str, write: fn(&ConnectionContext<'_>, &mut String)) -> Section {
    Section { name, on_request: false, write }
}

pub(super) static SECTIONS: &[Section] = &[
    section("server", server),
    section("clients", clients),
    section("memory", memory),
    section("persistence", persistence),
    section("stats", stats),
    section("replication", replication),
    section("cpu", cpu),
    section("modules", |_, _| {}),
    Section { on_request: true, ..section("commandstats", command_stats) },
    section("errorstats", error_stats),
    section("cluster", cluster),
    section("keyspace", keyspace),
];

fn field(out: &mut String, name: &str, value: impl Display) {
    let _ = write!(out, "{name}:{value}\r\n");
}

/// A number of bytes and, beside it, the same for people.
fn bytes(out: &mut String, name: &str, bytes: u64) {
    field(out, name, bytes);
    field(out, &format!("{name}_human"), human(bytes));
}

/// Redis's `bytesToHuman`.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.iter().find(|(shift, _)| bytes >= 1 << shift) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

fn proc_text(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn server(context: &ConnectionContext<'_>, out: &mut String) {
    let (node, facts) = (context.node, context.node.facts());
    field(out, "redis_version", REDIS_VERSION);
    field(out, "larder_version", env!("CARGO_PKG_VERSION"));
    field(out, "redis_mode", node.mode(context.session.port));
    let kernel = (proc_text("/proc/sys/kernel/ostype"), proc_text("/proc/sys/kernel/osrelease"));
    if let (Some(system), Some(release)) = kernel {
        field(out, "os", format_args!("{system} {release} {}", std::env::consts::ARCH));
    }
    field(out, "arch_bits", usize::BITS);
    field(out, "process_id", std::process::id());
    field(out, "run_id", &facts.run_id);
    let port = match context.session.port {
        PortKind::Client => facts.client_port,
        PortKind::Cluster => facts.cluster_port,
    };
    field(out, "tcp_port", port);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    field(out, "server_time_usec", now.as_micros());
    let uptime = clock::boot_ns().saturating_sub(facts.started_boot_ns) / 1_000_000_000;
    field(out, "uptime_in_seconds", uptime);
    field(out, "uptime_in_days", uptime / 86_400);
    if let Ok(path) = std::env::current_exe() {
        field(out, "executable", path.display());
    }
    field(out, "config_file", node.settings().file().map(|path| path.display().to_string()).unwrap_or_default());
    for (number, port) in [facts.client_port, facts.cluster_port].into_iter().enumerate() {
        field(
            out,
            &format!("listener{number}"),
            format_args!("name=tcp,bind={},port={port}", facts.bind.join(",bind=")),
        );
    }
}

fn clients(context: &ConnectionContext<'_>, out: &mut String) {
    let clients = context.node.clients().list();
    field(out, "connected_clients", clients.len());
    field(out, "cluster_connections", context.node.links().len());
    field(out, "maxclients", context.node.settings().live().maxclients());
    field(out, "blocked_clients", clients.iter().filter(|client| client.is_blocked()).count());
    field(out, "tracking_clients", 0);
    field(out, "pubsub_clients", 0);
    let watched: Vec<u64> = clients.iter().map(|client| client.watching.load(Relaxed)).filter(|n| *n > 0).collect();
    field(out, "watching_clients", watched.len());
    field(out, "total_watched_keys", watched.iter().sum::<u64>());
    let (blocking, on_nokey) = context.node.blocking_keys();
    field(out, "total_blocking_keys", blocking);
    field(out, "total_blocking_keys_on_nokey", on_nokey);
}

fn memory(context: &ConnectionContext<'_>, out: &mut String) {
    let memory = context.node.memory();
    let live = context.node.settings().live();
    bytes(out, "used_memory", memory.used);
    if let Some(resident) = memory.resident {
        bytes(out, "used_memory_rss", resident);
    }
    bytes(out, "used_memory_peak", memory.peak);
    let percent = |part: u64, whole: u64| format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64);
    field(out, "used_memory_peak_perc", percent(memory.used, memory.peak));
    field(out, "used_memory_overhead", memory.overhead());
    field(out, "used_memory_startup", memory.startup);
    field(out, "used_memory_dataset", memory.net_dataset());
    field(out, "used_memory_dataset_perc", percent(memory.net_dataset(), memory.net()));
    if let Some(machine) = memory.machine {
        bytes(out, "total_system_memory", machine);
    }
    bytes(out, "maxmemory", live.maxmemory());
    field(out, "maxmemory_policy", live.policy());
    if let Some(resident) = memory.resident {
        field(out, "mem_fragmentation_ratio", format_args!("{:.2}", resident as f64 / memory.used.max(1) as f64));
        field(out, "mem_fragmentation_bytes", resident as i64 - memory.used as i64);
    }
    field(out, "mem_clients_normal", memory.clients);
    field(out, "mem_allocator", "mimalloc");
}

fn persistence(_: &ConnectionContext<'_>, out: &mut String) {
    field(out, "loading", 0);
    field(out, "async_loading", 0);
    field(out, "aof_enabled", 0);
}

fn stats(context: &ConnectionContext<'_>, out: &mut String) {
    let stats = context.node.stats();
    field(out, "total_connections_received", stats.connections_received.load(Relaxed));
    field(out, "total_commands_processed", stats.commands_processed.load(Relaxed));
    let rates = stats.rates();
    field(out, "instantaneous_ops_per_sec", rates.commands);
    field(out, "total_net_input_bytes", stats.input_bytes.load(Relaxed));
    field(out, "total_net_output_bytes", stats.output_bytes.load(Relaxed));
    let kibibytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    field(out, "instantaneous_input_kbps", kibibytes(rates.input_bytes));
    field(out, "instantaneous_output_kbps", kibibytes(rates.output_bytes));
    field(out, "rejected_connections", stats.connections_rejected.load(Relaxed));
    field(out, "expired_subkeys", stats.expired_fields.load(Relaxed));
    field(out, "expired_keys", stats.expired_keys.load(Relaxed));
    field(out, "evicted_keys", stats.evicted_keys.load(Relaxed));
    field(out, "keyspace_hits", stats.keyspace_hits.load(Relaxed));
    field(out, "keyspace_misses", stats.keyspace_misses.load(Relaxed));
    field(out, "pubsub_channels", 0);
    field(out, "pubsub_patterns", 0);
    field(out, "total_error_replies", stats.error_replies.load(Relaxed));
    field(out, "client_output_buffer_limit_disconnections", stats.output_limit_disconnections.load(Relaxed));
}

/// See ROLE: every node takes writes, and copies belong to partitions, not to nodes.
fn replication(_: &ConnectionContext<'_>, out: &mut String) {
    field(out, "role", "master");
    field(out, "connected_slaves", 0);
    field(out, "master_failover_state", "no-failover");
}

/// From /proc, whose times are in hundredths of a second on every Linux (USER_HZ).
fn cpu(_: &ConnectionContext<'_>, out: &mut String) {
    let Some(stat) = proc_text("/proc/self/stat") else { return };
    // The second field, the program's name in brackets, may hold anything.
    let Some((_, rest)) = stat.rsplit_once(')') else { return };
    let times: Vec<u64> = rest.split_whitespace().skip(11).take(4).filter_map(|time| time.parse().ok()).collect();
    if let [user, system, children_user, children_system] = times[..] {
        for (name, time) in [
            ("used_cpu_sys", system),
            ("used_cpu_user", user),
            ("used_cpu_sys_children", children_system),
            ("used_cpu_user_children", children_user),
        ] {
            field(out, name, format_args!("{}.{:02}0000", time / 100, time % 100));
        }
    }
}

fn command_stats(context: &ConnectionContext<'_>, out: &mut String) {
    for (ordinal, (name, _)) in table::named().iter().enumerate() {
        let counters = context.node.stats().command(ordinal);
        let [calls, usec, rejected, failed] =
            [&counters.calls, &counters.microseconds, &counters.rejected_calls, &counters.failed_calls]
                .map(|counter| counter.load(Relaxed));
        // A container runs nothing itself, but is refused where no subcommand follows.
        if calls + rejected == 0 {
            continue;
        }
        let per_call = usec as f64 / calls.max(1) as f64;
        let figures = format!(
            "calls={calls},usec={usec},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}"
        );
        field(out, &format!("cmdstat_{name}"), figures);
    }
}

fn error_stats(context: &ConnectionContext<'_>, out: &mut String) {
    for (prefix, count) in context.node.stats().errors() {
        field(out, &format!("errorstat_{prefix}"), format_args!("count={count}"));
    }
}

fn cluster(context: &ConnectionContext<'_>, out: &mut String) {
    field(out, "cluster_enabled", u8::from(context.session.port == PortKind::Cluster));
}

fn keyspace(context: &ConnectionContext<'_>, out: &mut String) {
    for (database, figures) in context.node.keyspace().databases {
        let DatabaseFigures { keys, expires, subexpiry, .. } = figures;
        let average_ttl_ms = figures.average_ttl_ms();
        let figures = format_args!("keys={keys},expires={expires},avg_ttl={average_ttl_ms},subexpiry={subexpiry}");
        field(out, &format!("db{database}"), figures);
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_read_as_in_redis() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1_113_816), "1.06M");
        assert_eq!(human(25_276_502_016), "23.54G");
    }
}
