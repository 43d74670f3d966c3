//! A redis-server of the test's own.

use crate::reply;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The process, on a Unix socket in a directory of its own so that no port can clash; killed when dropped.
pub struct RedisServer {
    process: Child,
    stream: UnixStream,
    input: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one, or `None` where none is installed.
    pub fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("redis.sock");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let stream = loop {
            if let Ok(stream) = UnixStream::connect(&socket) {
                break stream;
            }
            let exited = process.try_wait().expect("the state of redis-server");
            assert!(exited.is_none(), "redis-server does not start: {exited:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        Some(Self { process, stream, input: Vec::new(), _directory: directory })
    }

    /// The reply to a command that must not wait: as a transaction has it.
    pub fn call_at_once(&mut self, command: &[Vec<u8>]) -> Vec<u8> {
        self.call(&crate::words("MULTI"));
        let queued = self.call(command);
        if queued != b"+QUEUED\r\n" {
            self.call(&crate::words("DISCARD"));
            return queued;
        }
        let replies = self.call(&crate::words("EXEC"));
        replies.strip_prefix(b"*1\r\n").expect("one reply").to_vec()
    }

    /// Sends one command and returns its reply as it came.
    pub fn call(&mut self, command: &[Vec<u8>]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).expect("a request is taken");
        loop {
            if let Some(length) = reply::length(&self.input) {
                return self.input.drain(..length).collect();
            }
            let mut chunk = [0; 65_536];
            let read = self.stream.read(&mut chunk).expect("a reply comes");
            assert_ne!(read, 0, "redis-server closed the connection");
            self.input.extend_from_slice(&chunk[..read]);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
