//! Against a real `redis-server`. Passes, and says so, where none is installed.

mod common;

use common::{Redis, options};
use larder_client::{Client, ClusterClient, Connection, Error, Options, ProtocolVersion, Value};

#[tokio::test]
async fn both_protocols_work() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else { return };
    for protocol in [ProtocolVersion::Resp2, ProtocolVersion::Resp3] {
        for user in [None, Some("default".to_owned())] {
            let options = Options { user, password: Some("secret".into()), protocol, ..options() };
            let mut connection = Connection::connect(&redis.address, &options).await.unwrap();
            assert_eq!(connection.protocol(), protocol);
            let binary = b"a\r\n\x00\xff";
            assert!(connection.call(&[b"SET", b"k", binary]).await.unwrap().is_ok());
            assert_eq!(connection.call(&[b"GET", b"k"]).await.unwrap().as_bytes().unwrap(), &binary[..]);
            assert!(connection.call(&[b"GET", b"missing"]).await.unwrap().is_null());
            let config = connection.call(&[b"CONFIG", b"GET", b"maxmemory-policy"]).await.unwrap();
            assert_eq!(config.get("maxmemory-policy").and_then(Value::as_str), Some("noeviction"));
            connection.call(&[b"ZADD", b"z", b"1.5", b"m"]).await.unwrap();
            let score = connection.call(&[b"ZSCORE", b"z", b"m"]).await.unwrap();
            assert!(score == Value::Double(1.5) || score.as_str() == Some("1.5"), "{score:?}");
            // The error repeats bytes that are no UTF-8.
            let error = connection.call(&[b"\xff\xfe", b"\xff"]).await.unwrap_err();
            assert_eq!(error.prefix(), Some("ERR"));
            assert!(connection.call(&[b"PING"]).await.is_ok());
        }
    }
    let error = Connection::connect(&redis.address, &options()).await.unwrap_err();
    assert_eq!(error.prefix(), Some("NOAUTH"));
}

#[tokio::test]
async fn every_type_of_resp3_is_understood() {
    let Some(redis) = Redis::start(&["--enable-debug-command", "yes"]) else { return };
    let mut connection = Connection::connect(&redis.address, &options()).await.unwrap();
    for kind in ["string", "integer", "double", "null", "array", "set", "map", "verbatim", "true", "bignum", "attrib"] {
        let value = connection.call(&[b"DEBUG", b"PROTOCOL", kind.as_bytes()]).await.unwrap();
        let understood = match kind {
            "string" => matches!(value, Value::Bulk(_)),
            "integer" => matches!(value, Value::Integer(12345)),
            "double" => matches!(value, Value::Double(_)),
            "null" => value.is_null(),
            "array" => value.as_slice().is_some_and(|elements| elements.len() == 3),
            "set" => matches!(&value, Value::Set(elements) if elements.len() == 3),
            "map" => matches!(&value, Value::Map(pairs) if pairs[2].0.as_i64() == Some(2)),
            "verbatim" => matches!(value, Value::Verbatim { format: "txt", .. }),
            "true" => value == Value::Boolean(true),
            "bignum" => matches!(value, Value::BigNumber(_)),
            _ => matches!(value, Value::Attributed { .. }),
        };
        assert!(understood, "{kind}: {value:?}");
    }
    connection.call(&[b"CLIENT", b"TRACKING", b"on"]).await.unwrap();
    connection.call(&[b"GET", b"k"]).await.unwrap();
    connection.call(&[b"SET", b"k", b"v"]).await.unwrap();
    let push = connection.receive_push().await.unwrap();
    assert_eq!(push.as_slice().unwrap()[0].as_str(), Some("invalidate"));
}

#[tokio::test]
async fn a_client_survives_a_restart() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let mut client = Client::new(redis.address.clone(), options());
    client.call(&[b"SET", b"k", b"v"]).await.unwrap();
    redis.kill();
    let again = Redis::start_on(redis.address.port, &[]).unwrap();
    // The loss is noticed before or while the command is sent.
    match client.call(&[b"SET", b"k", b"v"]).await {
        Ok(value) => assert!(value.is_ok()),
        Err(error) => assert!(matches!(error, Error::Uncertain(_)), "{error}"),
    }
    assert!(client.call(&[b"SET", b"k", b"w"]).await.unwrap().is_ok());
    drop(again);
}

#[tokio::test]
async fn a_server_that_is_no_cluster_serves_all_slots() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut client = ClusterClient::connect(&[redis.address.to_string()], options()).await.unwrap();
    assert!(client.call(&[b"MSET", b"a", b"1", b"b", b"2"]).await.unwrap().is_ok());
    assert_eq!(client.topology().nodes(), std::slice::from_ref(&redis.address));
}

#[tokio::test]
async fn a_cluster_of_one_node_works() {
    let Some(redis) = Redis::start(&["--cluster-enabled", "yes"]) else { return };
    let mut connection = Connection::connect(&redis.address, &options()).await.unwrap();
    assert!(connection.call(&[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"]).await.unwrap().is_ok());
    let mut client = ClusterClient::connect(&[redis.address.to_string()], options()).await.unwrap();
    assert_eq!(client.topology().slots_uncovered(), 0);
    let keys: Vec<String> = (0..500).map(|number| format!("key{number}")).collect();
    let sets: Vec<[&str; 3]> = keys.iter().map(|key| ["SET", key, key]).collect();
    // At first it answers CLUSTERDOWN, for it looks at its slots only now and then.
    for reply in client.pipeline(&sets).await {
        assert!(reply.unwrap().is_ok());
    }
    let gets: Vec<[&str; 2]> = keys.iter().map(|key| ["GET", key.as_str()]).collect();
    for (key, reply) in keys.iter().zip(client.pipeline(&gets).await) {
        assert_eq!(reply.unwrap().as_str(), Some(key.as_str()));
    }
    // Where the keys stand was learned from COMMAND.
    let table = client.commands();
    let key = |command: &[&str]| table.first_key(command).map(|key| String::from_utf8_lossy(key).into_owned());
    assert_eq!(key(&["EVAL", "return 1", "1", "k"]).as_deref(), Some("k"));
    assert_eq!(key(&["XREAD", "COUNT", "1", "STREAMS", "s", "0"]).as_deref(), Some("s"));
    assert_eq!(key(&["ZUNIONSTORE", "to", "2", "a", "b"]).as_deref(), Some("to"));
    assert_eq!(key(&["ZUNION", "2", "a", "b"]).as_deref(), Some("a"));
    assert_eq!(key(&["OBJECT", "ENCODING", "k"]).as_deref(), Some("k"));
    assert_eq!(key(&["PING"]), None);
    assert!(table.is_readonly(&["GET", "k"]) && !table.is_readonly(&["GETDEL", "k"]));
    let error = client.call(&[b"MSET", b"a", b"1", b"b", b"2"]).await.unwrap_err();
    assert_eq!(error.prefix(), Some("CROSSSLOT"));
}
