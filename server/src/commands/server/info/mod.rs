//! INFO: <https://redis.io/docs/latest/commands/info/>
//!
//! Sections and fields have Redis's names. A field whose value Larder does not have is left out: tools cope with that, and
//! a made-up figure helps nobody.

mod sections;

use super::SERVER;
use crate::commands::connection::arguments::is;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Flags, ReplyBuffer};
use sections::Section;

/// INFO [section [section ...]]
pub static INFO: CommandSpec = CommandSpec {
    name: "info",
    flags: Flags::LOADING.union(Flags::STALE),
    summary: "Returns information and statistics about the server.",
    handler: Handler::Connection(info),
    ..SERVER
};

fn info(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let asked = args.from(1);
    let any = |word: &str| asked.iter().any(|section| is(section, word));
    let all = any("all") || any("everything");
    let default = asked.is_empty() || any("default");
    let mut out = String::with_capacity(4096);
    for Section { name, on_request, write } in sections::SECTIONS {
        if !(all || (default && !on_request) || any(name)) {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        // The heading of `cpu` is in capitals.
        let heading = match *name {
            "cpu" => "CPU".to_string(),
            name => name[..1].to_ascii_uppercase() + &name[1..],
        };
        out.push_str(&format!("# {heading}\r\n"));
        write(context, &mut out);
    }
    reply.verbatim(out.as_bytes());
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn sections_are_chosen_and_fields_are_redis_fields() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let info = node.run(&mut session, "INFO");
        for part in [
            "# Server\r\nredis_version:7.4.0\r\n",
            "larder_version:",
            "redis_mode:standalone\r\n",
            "# Clients\r\nconnected_clients:1\r\n",
            "used_memory:2048\r\n",
            "used_memory_human:2.00K\r\n",
            "maxmemory_policy:noeviction\r\n",
            "loading:0\r\n",
            "role:master\r\n",
            "# CPU\r\n",
            "cluster_enabled:0\r\n",
            "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=500,subexpiry=0\r\n",
        ] {
            assert!(info.contains(part), "{part} is missing in {info}");
        }
        assert!(!info.contains("# Commandstats"));
        let get = crate::commands::table::named().iter().position(|(name, _)| name == "get").unwrap();
        let get = node.stats.command(get);
        for (counter, value) in
            [(&get.calls, 4), (&get.microseconds, 6), (&get.rejected_calls, 1), (&get.failed_calls, 2)]
        {
            counter.store(value, std::sync::atomic::Ordering::Relaxed);
        }
        node.stats.error("ERR one");
        node.stats.error("ERR two");
        let all = node.run(&mut session, "INFO all");
        let line = "cmdstat_get:calls=4,usec=6,usec_per_call=1.50,rejected_calls=1,failed_calls=2\r\n";
        assert!(all.contains(line) && all.contains("errorstat_ERR:count=2\r\n"), "{all}");
        let two = node.run(&mut session, "info KEYSPACE replication");
        assert_eq!(two.matches("# ").count(), 2, "{two}");
        assert_eq!(node.run(&mut session, "INFO nonsense"), "$0\r\n\r\n");
        let mut session = node.connect(PortKind::Cluster);
        let server = node.run(&mut session, "INFO server cluster");
        assert!(server.contains("redis_mode:cluster") && server.contains("cluster_enabled:1"));
    }
}
