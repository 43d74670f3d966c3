//! Servers to test against.

#![allow(dead_code)] // Each test binary uses a part.

use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use larder_client::{Address, Options, ProtocolVersion};
use larder_protocol::{CommandBatch, ReplyBuffer, RequestDecoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the mock does with a command.
pub enum Answer {
    /// Sends this.
    Reply(Vec<u8>),
    /// Sends this byte by byte.
    Halves(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Sends nothing, ever.
    Silence,
}

/// An answer of these bytes.
pub fn reply(bytes: impl AsRef<[u8]>) -> Answer {
    Answer::Reply(bytes.as_ref().to_vec())
}

type Handler = Box<dyn FnMut(&[&str]) -> Answer + Send>;

/// A server in this process that answers as the test says.
pub struct Mock {
    pub address: Address,
    handler: Arc<Mutex<Handler>>,
    /// Every command that it was sent.
    log: Arc<Mutex<Vec<String>>>,
}

impl Mock {
    /// One that answers everything with an error until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let unset: Handler = Box::new(|_| reply("-ERR not set up\r\n"));
        let mock = Self {
            address: Address::new("127.0.0.1", port),
            handler: Arc::new(Mutex::new(unset)),
            log: Arc::default(),
        };
        let (handler, log) = (mock.handler.clone(), mock.log.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, handler.clone(), log.clone()));
            }
        });
        mock
    }

    /// Answers commands from now on as `handler` says; HELLO is known already.
    pub fn answer(&self, mut handler: impl FnMut(&[&str]) -> Answer + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(move |words| match words {
            ["HELLO", ..] => reply("%1\r\n+proto\r\n:3\r\n"),
            ["COMMAND"] => reply(commands()),
            words => handler(words),
        });
    }

    /// Answers all commands as `handler` says.
    pub fn answer_all(&self, handler: impl FnMut(&[&str]) -> Answer + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    /// How often it was sent `command`.
    pub fn count(&self, command: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| *line == command).count()
    }

    /// What it was sent, but for greetings.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| !line.starts_with("HELLO")).cloned().collect()
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Mutex<Handler>>, log: Arc<Mutex<Vec<String>>>) {
    let mut decoder = RequestDecoder::default();
    let mut batch = CommandBatch::default();
    let mut buffer = BytesMut::new();
    loop {
        let consumed = decoder.decode(&buffer, &mut batch, 100).unwrap();
        for args in batch.iter(&buffer) {
            let words: Vec<&str> = args.iter().map(|word| std::str::from_utf8(word).unwrap()).collect();
            log.lock().unwrap().push(words.join(" "));
            let answer = (handler.lock().unwrap())(&words);
            match answer {
                Answer::Reply(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Answer::Halves(bytes) => {
                    stream.set_nodelay(true).unwrap();
                    for byte in bytes {
                        stream.write_all(&[byte]).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
                Answer::Close => return,
                Answer::Silence => {}
            }
        }
        buffer.advance(consumed);
        if batch.is_empty() && !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

/// A reply to COMMAND that knows GET, SET and PING.
fn commands() -> Vec<u8> {
    let mut out = ReplyBuffer::new(ProtocolVersion::Resp3);
    out.array_header(3);
    for (name, flag, first) in [("get", "readonly", 1), ("set", "write", 1), ("ping", "fast", 0)] {
        out.array_header(6);
        out.bulk(name.as_bytes());
        out.integer(-1);
        out.set_header(1);
        out.simple(flag);
        (0..3).for_each(|_| out.integer(first));
    }
    out.take().to_vec()
}

/// A reply to CLUSTER SLOTS.
pub fn slots(ranges: &[(u16, u16, &Address)]) -> Vec<u8> {
    let mut out = ReplyBuffer::new(ProtocolVersion::Resp3);
    out.array_header(ranges.len());
    for (start, end, node) in ranges {
        out.array_header(3);
        out.integer(i64::from(*start));
        out.integer(i64::from(*end));
        out.array_header(4);
        out.bulk(node.host.as_bytes());
        out.integer(i64::from(node.port));
        out.bulk(b"0123456789012345678901234567890123456789");
        out.array_header(0);
    }
    out.take().to_vec()
}

/// Options that do not try a test's patience.
pub fn options() -> Options {
    Options {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        refresh_interval_min: Duration::ZERO,
        ..Options::default()
    }
}

/// A real `redis-server`, killed at the end.
pub struct Redis {
    process: Child,
    pub address: Address,
    directory: std::path::PathBuf,
}

impl Redis {
    /// Starts one on a free port, or returns `None` if it is not installed.
    pub fn start(options: &[&str]) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_on(port, options)
    }

    /// Starts one on this port.
    pub fn start_on(port: u16, options: &[&str]) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!("larder-client-test-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let spawned = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(options)
            .current_dir(&directory)
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
        let server = Self { process, address: Address::new("127.0.0.1", port), directory };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(server)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
