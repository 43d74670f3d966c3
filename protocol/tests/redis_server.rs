//! Protocol errors, compared with those of a real `redis-server`. Passes, and says so, where none is installed.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_protocol::{CommandBatch, ProtocolVersion, ReplyBuffer, RequestDecoder};

/// A server of its own, killed at the end.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts one on a free port, or returns `None` if it is not installed.
    fn start(options: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let spawned = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(options)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn();
        let process = match spawned {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("skipped: redis-server is not installed");
                return None;
            }
            Err(error) => panic!("redis-server: {error}"),
        };
        let server = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(server)
    }

    /// What it answers to `wire` until it closes the connection.
    fn answer(&self, wire: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(wire).unwrap();
        let mut answer = Vec::new();
        // It may close before it has read everything, which resets the connection after its answer.
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("redis-server does not close: {error}"),
            _ => answer,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What we answer when every command is a PING.
fn ours(wire: &[u8], authenticated: bool) -> Vec<u8> {
    let mut decoder = RequestDecoder::default();
    decoder.set_authenticated(authenticated);
    let mut batch = CommandBatch::default();
    let mut reply = ReplyBuffer::new(ProtocolVersion::Resp2);
    let mut at = 0;
    loop {
        match decoder.decode(&wire[at..], &mut batch, 100) {
            Ok(consumed) => {
                assert!(!batch.is_empty(), "no error in {}", wire[..wire.len().min(60)].escape_ascii());
                at += consumed;
                batch.iter(&wire[at - consumed..]).for_each(|_| reply.simple("PONG"));
            }
            Err(error) => {
                error.reply(&mut reply);
                return reply.take().to_vec();
            }
        }
    }
}

#[test]
fn errors_are_those_of_redis() {
    let Some(redis) = Redis::start(&[]) else { return };
    let digits = vec![b'1'; 70_000];
    let cases: &[&[u8]] = &[
        b"*3000000000\r\n",
        b"*20000000000000000000\r\n",
        b"*x\r\n",
        b"*\r\n",
        b"*01\r\n",
        b"*+1\r\n",
        b"*-0\r\n",
        b"*-9223372036854775809\r\n",
        b"*1\r\nfoo\r\n",
        b"*1\r\nf12\r\n",
        b"*1\r\n\xff\r\n",
        b"*1\r\n\r\n",
        b"*1\r\n*1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$2000000000\r\n",
        b"get \"k\r\n",
        b"get 'k\r\n",
        b"get 'k'k\r\n",
        b"get \"k\"k\r\n",
        b"get \"k\\\"\r\n",
        b"ping\r\n*1\r\n$4\r\nPING\r\n*x\r\n",
        b"*0\r\n*-1\r\n*-5\r\n\r\n\n \r\n\"ping\"\r\n\"p\\x69ng\"\r\n\x0bping\t\r\n*x\r\n",
        &digits,
        &[b"*", &digits[..]].concat(),
        &[b"*1\r\n$", &digits[..]].concat(),
    ];
    for case in cases {
        let (theirs, ours) = (redis.answer(case), ours(case, true));
        // A long text is reset while it is sent, now and then before the answer could be read.
        if theirs.is_empty() && case.len() > 1000 {
            continue;
        }
        assert_eq!(
            theirs.escape_ascii().to_string(),
            ours.escape_ascii().to_string(),
            "for {}",
            case[..case.len().min(60)].escape_ascii()
        );
    }
}

#[test]
fn errors_before_authentication_are_those_of_redis() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else { return };
    for case in [&b"*11\r\n"[..], b"*1\r\n$16385\r\n", b"*3000000000\r\n", b"*1\r\n$2000000000\r\n"] {
        assert_eq!(redis.answer(case).escape_ascii().to_string(), ours(case, false).escape_ascii().to_string());
    }
}
