//! redis-rs with its default settings: `redis::Client` and `redis::cluster::ClusterClient`, RESP2 and RESP3.

use redis::cluster::{ClusterClient, cluster_pipe};
use redis::{Client, Commands, ConnectionInfo, ConnectionLike, IntoConnectionInfo, ProtocolVersion, RedisResult};
use std::collections::HashMap;

/// Both protocols, as redis-rs names them in an address.
const PROTOCOLS: [(&str, ProtocolVersion); 2] = [("resp2", ProtocolVersion::RESP2), ("resp3", ProtocolVersion::RESP3)];

/// Commands in a pipeline.
const PIPE: usize = 20;
/// How often a pipeline is sent again.
const TRIES_MAX: usize = 10;

fn info(port: u16, protocol: &str) -> RedisResult<ConnectionInfo> {
    format!("redis://127.0.0.1:{port}/?protocol={protocol}").into_connection_info()
}

/// What any connection can do.
fn keys(connection: &mut impl ConnectionLike, prefix: &str) -> RedisResult<()> {
    for number in 0..100i64 {
        let key = format!("{prefix}:{number}");
        let () = redis::cmd("SET").arg(&key).arg(number).query(connection)?;
        let stored: i64 = redis::cmd("GET").arg(&key).query(connection)?;
        assert_eq!(stored, number);
        let hash = format!("{key}:hash");
        let () = redis::cmd("HSET").arg(&hash).arg("field").arg(number).query(connection)?;
        let all: HashMap<String, i64> = redis::cmd("HGETALL").arg(&hash).query(connection)?;
        assert_eq!(all["field"], number);
    }
    Ok(())
}

/// A plain connection to `port`.
///
/// # Errors
/// What redis-rs reports.
pub fn plain(port: u16) -> RedisResult<()> {
    for (protocol, _) in PROTOCOLS {
        let mut connection = Client::open(info(port, protocol)?)?.get_connection()?;
        let prefix = format!("redis-rs:plain:{port}:{protocol}");
        keys(&mut connection, &prefix)?;
        let counter = format!("{{{prefix}}}:counter");
        let (one, two): (i64, i64) =
            redis::pipe().atomic().incr(&counter, 1).incr(&counter, 2).query(&mut connection)?;
        assert_eq!(two - one, 2);
        let scanned = connection.scan_match::<_, String>(format!("{prefix}:*"))?.collect::<RedisResult<Vec<_>>>()?;
        assert!(scanned.len() >= 200, "{} keys", scanned.len());
    }
    Ok(())
}

/// A cluster client whose only seed is `port`.
///
/// # Errors
/// What redis-rs reports.
pub fn cluster(port: u16) -> RedisResult<()> {
    for (name, protocol) in PROTOCOLS {
        let seeds = vec![info(port, name)?];
        let client = ClusterClient::builder(seeds).use_protocol(protocol).build()?;
        let mut connection = client.get_connection()?;
        let prefix = format!("redis-rs:cluster:{port}:{name}");
        keys(&mut connection, &prefix)?;
        let key = |number: usize| format!("{prefix}:pipe:{number}");
        let mut pipe = cluster_pipe();
        for number in 0..PIPE {
            pipe.cmd("SET").arg(key(number)).arg(number);
        }
        // redis-rs hands a MOVED in the middle of a pipeline to its caller, whatever the server, and learns nothing from it;
        // from that of a single command it does. Leaders of a young cluster are still being evened out.
        let mut stored: RedisResult<Vec<String>> = pipe.query(&mut connection);
        for _ in 0..TRIES_MAX {
            if stored.is_ok() {
                break;
            }
            for number in 0..PIPE {
                let () = redis::cmd("SET").arg(key(number)).arg(number).query(&mut connection)?;
            }
            stored = pipe.query(&mut connection);
        }
        assert_eq!(stored?, ["OK"; PIPE]);
    }
    Ok(())
}
