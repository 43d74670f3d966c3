//! One connection with one pipeline under way.

use super::reply::Replies;
use super::request::ConnectionRequests;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// A socket, what it sends, and how many replies it waits for.
pub struct Connection {
    socket: TcpStream,
    requests: ConnectionRequests,
    out: Vec<u8>,
    buffer: Vec<u8>,
    replies: Replies,
    waiting: u64,
    sent_at: Instant,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr, requests: ConnectionRequests) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let buffer = vec![0; READ_BYTES];
        let (replies, sent_at) = (Replies::default(), Instant::now());
        Ok(Self { socket, requests, out: Vec::new(), buffer, replies, waiting: 0, sent_at })
    }

    /// From now on error replies are counted.
    pub fn tolerate_errors(&mut self) {
        self.replies.tolerate_errors();
    }

    /// How many there were.
    pub fn errors(&self) -> u64 {
        self.replies.errors()
    }

    /// What the first of them said.
    pub fn first_error(&self) -> Option<&str> {
        self.replies.first_error()
    }

    /// The socket, for epoll.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// When the pipeline under way was sent.
    pub fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// Whether every reply has come.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    /// Sends the next `count` commands.
    pub fn send(&mut self, count: u64, now: Instant) -> io::Result<()> {
        self.out.clear();
        self.requests.append(count, &mut self.out);
        self.waiting = count;
        self.sent_at = now;
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                // One pipeline is far smaller than a socket's buffer, and the one before it was answered: this passes.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come; how many replies ended in it.
    pub fn receive(&mut self) -> io::Result<u64> {
        let length = match self.socket.read(&mut self.buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(error) => return Err(error),
        };
        let replies = self.replies.count(&self.buffer[..length])?;
        self.waiting = self
            .waiting
            .checked_sub(replies)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "more replies than requests"))?;
        Ok(replies)
    }
}
