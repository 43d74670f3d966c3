//! The load and its checker against redis-server, where it is installed: one correct copy, so nothing may be found; and
//! against the same server with writes lost behind the clients' backs, so something must be.
#![allow(missing_docs)]

use cluster_tests::process::{Load, RedisServer};

fn redis() -> Option<RedisServer> {
    let started = RedisServer::start(false);
    started.inspect_err(|error| eprintln!("skipped: redis-server cannot be started: {error}")).ok()
}

#[test]
fn what_one_correct_server_answers_is_accepted() {
    let Some(redis) = redis() else { return };
    let load = Load::start(vec![redis.address()], 8);
    load.progress(20_000);
    let report = load.stop();
    assert_eq!(report.problems, []);
    report.verify(redis.address());
}

#[test]
#[should_panic(expected = "not linearizable")]
fn what_a_server_that_forgets_answers_is_found() {
    let Some(redis) = redis() else { panic!("not linearizable: not tried, redis-server is missing") };
    let load = Load::start(vec![redis.address()], 8);
    load.progress(2_000);
    redis.connect().expect("a connection").words("FLUSHALL").expect("a reply");
    load.progress(2_000);
    load.stop().verify(redis.address());
}
