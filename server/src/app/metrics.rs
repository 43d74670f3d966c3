//! `/metrics`, in Prometheus's text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use super::node::Node;
use crate::clock;
use crate::commands::port::NodePort;
use crate::commands::{Handler, table};
use crate::raft::Role;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Metrics in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric.
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP larder_{name} {help}\n# TYPE larder_{name} {kind}");
    }

    /// One sample with labels.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "larder_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.about(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.about(name, "counter", help);
        self.sample(name, &[], value.load(Ordering::Relaxed));
    }
}

/// All metrics of a node.
pub(super) fn render(node: &Node) -> String {
    let mut page = Page::default();
    process(&mut page, node);
    traffic(&mut page, node);
    commands(&mut page, node);
    data(&mut page, node);
    cluster(&mut page, node);
    page.0
}

fn process(page: &mut Page, node: &Node) {
    page.about("build_info", "gauge", "Version of this node; the value is always 1.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let uptime = clock::boot_ns().saturating_sub(node.facts.started_boot_ns) / 1_000_000_000;
    page.gauge("uptime_seconds", "Seconds since the node started.", uptime);
    page.gauge("ready", "Whether all copies of the node are caught-up voters.", u8::from(node.readiness().is_ok()));
}

fn traffic(page: &mut Page, node: &Node) {
    let stats = &node.stats;
    page.gauge("connected_clients", "Open client connections.", node.clients.len());
    page.counter("connections_received_total", "Connections accepted.", &stats.connections_received);
    page.counter("connections_rejected_total", "Connections refused.", &stats.connections_rejected);
    page.counter("network_input_bytes_total", "Bytes read from clients.", &stats.input_bytes);
    page.counter("network_output_bytes_total", "Bytes written to clients.", &stats.output_bytes);
    let closed = &stats.output_limit_disconnections;
    page.counter("output_limit_disconnections_total", "Clients closed because they read too slowly.", closed);
    page.counter("forwarded_commands_total", "Commands sent on to another node.", &stats.forwarded_commands);
    let peers = node.cluster.peers().traffic();
    page.about("peer_messages_total", "counter", "Messages sent to other nodes.");
    page.sample("peer_messages_total", &[], peers.messages());
    page.about("peer_messages_received_total", "counter", "Messages that came from other nodes.");
    page.sample("peer_messages_received_total", &[], peers.received());
    page.about("peer_writes_total", "counter", "Writes to other nodes; one carries what many groups have to say.");
    page.sample("peer_writes_total", &[], peers.writes());
    page.about("error_replies_total", "counter", "Error replies, by their first word.");
    for (prefix, count) in stats.errors() {
        page.sample("error_replies_total", &[("prefix", &prefix)], count);
    }
}

fn commands(page: &mut Page, node: &Node) {
    let called: Vec<_> = table::named()
        .iter()
        .enumerate()
        .filter(|(_, (_, spec))| !matches!(spec.handler, Handler::Container(_)))
        .map(|(ordinal, (name, _))| (name.as_str(), node.stats.command(ordinal)))
        .filter(|(_, counters)| {
            [&counters.calls, &counters.rejected_calls].iter().any(|c| c.load(Ordering::Relaxed) > 0)
        })
        .collect();
    page.about("commands_total", "counter", "Commands carried out.");
    for (name, counters) in &called {
        page.sample("commands_total", &[("command", name)], counters.calls.load(Ordering::Relaxed));
    }
    page.about("command_seconds_total", "counter", "Time spent in commands.");
    for (name, counters) in &called {
        let seconds = counters.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        page.sample("command_seconds_total", &[("command", name)], seconds);
    }
    page.about("command_failures_total", "counter", "Commands that ran and answered an error.");
    for (name, counters) in &called {
        page.sample("command_failures_total", &[("command", name)], counters.failed_calls.load(Ordering::Relaxed));
    }
    page.about("command_rejections_total", "counter", "Commands refused before they ran.");
    for (name, counters) in &called {
        page.sample("command_rejections_total", &[("command", name)], counters.rejected_calls.load(Ordering::Relaxed));
    }
}

fn data(page: &mut Page, node: &Node) {
    let (keyspace, memory) = (node.keyspace().total(), node.memory());
    page.counter("keyspace_hits_total", "Lookups that found a key.", &node.stats.keyspace_hits);
    page.counter("keyspace_misses_total", "Lookups that found none.", &node.stats.keyspace_misses);
    page.counter("expired_keys_total", "Items removed because they were due.", &node.stats.expired_keys);
    page.counter("expired_fields_total", "Fields of hashes removed because they were due.", &node.stats.expired_fields);
    page.counter("evicted_keys_total", "Items removed because memory was short.", &node.stats.evicted_keys);
    page.gauge("keys", "Items of the partitions that are here.", keyspace.keys);
    page.gauge("keys_with_deadline", "Items that have a deadline.", keyspace.expires);
    page.gauge("memory_used_bytes", "What counts against maxmemory.", memory.used);
    page.gauge("memory_peak_bytes", "The most that was used.", memory.peak);
    page.gauge("memory_dataset_bytes", "Memory of items.", memory.dataset);
    page.gauge("memory_max_bytes", "The limit; 0 is none.", node.settings.live().maxmemory());
    if let Some(resident) = memory.resident {
        page.gauge("process_resident_memory_bytes", "Resident memory of the process.", resident);
    }
}

fn cluster(page: &mut Page, node: &Node) {
    let topology = node.topology();
    let roles: Vec<Role> = node.cluster.routes().partitions().iter().map(|partition| partition.lock().role).collect();
    let count = |wanted: fn(&Role) -> bool| roles.iter().filter(|role| wanted(role)).count();
    page.gauge("partitions", "Partitions of the cluster.", topology.partitions());
    page.gauge(
        "partitions_led",
        "Partitions that this node leads.",
        count(|role| matches!(role, Role::Leader | Role::Solo)),
    );
    page.gauge("partitions_held", "Partitions of which this node holds a copy.", count(|role| *role != Role::Absent));
    let headless = topology.owners.iter().filter(|owners| owners.leader.is_none()).count();
    page.gauge("partitions_without_leader", "Partitions whose leader this node does not know.", headless);
    page.gauge("cluster_nodes", "Nodes of the cluster.", topology.nodes.len());
    let connected = topology.nodes.iter().filter(|node| node.connected).count();
    page.gauge("cluster_nodes_connected", "Nodes that this node has a link to, itself included.", connected);
    page.gauge("cluster_epoch", "Version of the placement.", topology.epoch);
    let state = node.cluster.state();
    let losses: u64 = state.partitions.iter().map(|record| u64::from(record.losses)).sum();
    page.about(
        "partition_losses_total",
        "counter",
        "Partitions begun anew from a copy that may have missed answered writes.",
    );
    page.sample("partition_losses_total", &[], losses);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.gauge("keys", "Items.", 3);
        page.sample("commands_total", &[("command", "get"), ("odd", "a\"b\\c\nd")], 1.5);
        assert_eq!(
            page.0,
            "# HELP larder_keys Items.\n# TYPE larder_keys gauge\nlarder_keys 3\n\
             larder_commands_total{command=\"get\",odd=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        );
    }
}
