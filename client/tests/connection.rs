//! One connection, and a client of one address, against a server that misbehaves on purpose.

mod common;

use std::time::Duration;

use common::{Answer, Mock, options, reply};
use larder_client::{Address, Client, Connection, Error, Options, ProtocolVersion, Value};

#[tokio::test]
async fn resp3_falls_back_to_resp2() {
    for refusal in ["-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n", "-NOPROTO unsupported\r\n"] {
        let mock = Mock::start().await;
        mock.answer_all(move |words| match words {
            ["HELLO", ..] => reply(refusal),
            ["AUTH", "secret"] => reply("+OK\r\n"),
            ["GET", _] => reply("$-1\r\n"),
            _ => reply("-ERR unexpected\r\n"),
        });
        let options = Options { password: Some("secret".into()), ..options() };
        let mut connection = Connection::connect(&mock.address, &options).await.unwrap();
        assert_eq!(connection.protocol(), ProtocolVersion::Resp2);
        assert_eq!(connection.call(&[b"GET", b"k"]).await.unwrap(), Value::Null);
        assert_eq!(mock.count("HELLO 3 AUTH default secret"), 1);
    }
}

#[tokio::test]
async fn a_wrong_password_is_reported_at_once() {
    let mock = Mock::start().await;
    mock.answer_all(|_| reply("-WRONGPASS invalid username-password pair or user is disabled.\r\n"));
    let options = Options { user: Some("me".into()), password: Some("wrong".into()), ..options() };
    let error = Client::new(mock.address.clone(), options).call(&[b"PING"]).await.unwrap_err();
    assert_eq!(error.prefix(), Some("WRONGPASS"));
    assert_eq!(mock.count("HELLO 3 AUTH me wrong"), 1);
}

#[tokio::test]
async fn half_frames_and_push_messages_are_put_together() {
    let mock = Mock::start().await;
    mock.answer(|words| match words {
        ["GET", "a"] => {
            Answer::Halves(b">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n$5\r\nva\r\nl\r\n>1\r\n+later\r\n".to_vec())
        }
        _ => reply(":7\r\n"),
    });
    let mut connection = Connection::connect(&mock.address, &options()).await.unwrap();
    let replies = connection.pipeline(&[vec!["GET", "a"], vec!["PING"], vec![]]).await;
    assert_eq!(replies[0].as_ref().unwrap().as_bytes().unwrap(), &b"va\r\nl"[..]);
    assert_eq!(replies[1].as_ref().unwrap().as_i64(), Some(7));
    assert!(matches!(replies[2], Err(Error::Invalid(_))));
    let push = connection.take_push().unwrap();
    assert_eq!(push.as_slice().unwrap()[0].as_str(), Some("invalidate"));
    assert_eq!(connection.receive_push().await.unwrap().as_slice().unwrap()[0].as_str(), Some("later"));
    assert_eq!(connection.take_push(), None);
}

#[tokio::test]
async fn an_abandoned_call_does_not_shift_the_replies() {
    let mock = Mock::start().await;
    mock.answer(|words| match words {
        ["GET", "slow"] => Answer::Halves([&b"$1000\r\n"[..], &[b'x'; 1000], b"\r\n"].concat()),
        ["GET", key] => reply(format!("+{key}\r\n")),
        _ => reply("-ERR unexpected\r\n"),
    });
    let mut connection = Connection::connect(&mock.address, &options()).await.unwrap();
    tokio::select! {
        biased;
        _ = connection.call(&[b"GET", b"slow"]) => panic!("it cannot be there yet"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(connection.call(&[b"GET", b"next"]).await.unwrap().as_str(), Some("next"));
}

#[tokio::test]
async fn garbage_and_replies_to_nothing_end_the_connection() {
    for answer in ["hello\r\n", "$-5\r\n", "+a\r\n+b\r\n"] {
        let mock = Mock::start().await;
        mock.answer(move |_| reply(answer));
        let mut connection = Connection::connect(&mock.address, &options()).await.unwrap();
        let first = connection.call(&[b"SET", b"k", b"v"]).await;
        let second = connection.call(&[b"SET", b"k", b"w"]).await;
        assert!(matches!(first, Err(Error::Uncertain(_))) || first.unwrap().as_str() == Some("a"), "{answer:?}");
        assert!(matches!(second, Err(Error::Unsent(_))), "{answer:?}: {second:?}");
        assert!(connection.has_failed());
    }
}

#[tokio::test]
async fn a_lost_write_is_uncertain_and_not_sent_again() {
    let mock = Mock::start().await;
    mock.answer(|words| match words {
        ["SET", "lost", _] => Answer::Close,
        ["SET", "unknown", _] => reply("-UNCERTAIN the leader is gone\r\n"),
        _ => reply("+OK\r\n"),
    });
    let mut client = Client::new(mock.address.clone(), options());
    assert!(matches!(client.call(&[b"SET", b"lost", b"v"]).await, Err(Error::Uncertain(_))));
    assert!(matches!(client.call(&[b"SET", b"unknown", b"v"]).await, Err(Error::Uncertain(_))));
    assert!(client.call(&[b"SET", b"kept", b"v"]).await.unwrap().is_ok());
    assert_eq!((mock.count("SET lost v"), mock.count("SET unknown v")), (1, 1));
}

#[tokio::test]
async fn a_lost_read_is_sent_again() {
    let mock = Mock::start().await;
    let mut losses = 2;
    mock.answer(move |words| match words {
        ["GET", "k"] if losses > 0 => {
            losses -= 1;
            Answer::Close
        }
        ["GET", "k"] => reply("$1\r\nv\r\n"),
        _ => reply("-ERR unexpected\r\n"),
    });
    let mut client = Client::new(mock.address.clone(), options());
    assert_eq!(client.call(&[b"GET", b"k"]).await.unwrap().as_str(), Some("v"));
    assert_eq!((mock.count("GET k"), mock.count("COMMAND")), (3, 1));
}

#[tokio::test]
async fn silence_ends_at_the_timeout() {
    let mock = Mock::start().await;
    mock.answer(|_| Answer::Silence);
    let options = Options { reply_timeout: Some(Duration::from_millis(20)), ..options() };
    let mut client = Client::new(mock.address.clone(), options);
    assert!(matches!(client.call(&[b"SET", b"k", b"v"]).await, Err(Error::Uncertain(_))));
    assert_eq!(mock.count("SET k v"), 1);
}

#[tokio::test]
async fn a_refused_connection_is_tried_until_the_deadline() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options { deadline: Duration::from_millis(50), ..options() };
    let error = Client::new(Address::new("127.0.0.1", port), options).call(&[b"PING"]).await.unwrap_err();
    let Error::Deadline(last) = error else { panic!("{error}") };
    assert!(matches!(*last, Error::Connect { .. }), "{last}");
}

/// Neither side may wait for the other to read.
#[tokio::test]
async fn pipelines_larger_than_all_buffers_do_not_stall() {
    let mock = Mock::start().await;
    mock.answer(|words| reply(format!("${}\r\n{}\r\n", words[1].len(), words[1])));
    let mut connection = Connection::connect(&mock.address, &options()).await.unwrap();
    let value = "x".repeat(256 * 1024);
    let commands: Vec<[&str; 2]> = (0..100).map(|_| ["ECHO", value.as_str()]).collect();
    let replies = connection.pipeline(&commands).await;
    assert!(replies.iter().all(|reply| reply.as_ref().unwrap().as_bytes().unwrap().len() == value.len()));
}
