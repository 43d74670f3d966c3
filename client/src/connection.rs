//! One connection: commands out, replies in, push messages aside.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, BytesMut};
use larder_protocol::{ProtocolVersion, ReplyBuffer};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::decode::Decoder;
use crate::{Address, Error, Options, Value};

/// Room that is made for each read.
const READ_BYTES: usize = 16 * 1024;

/// A connection to one server.
///
/// It does not reconnect. Once it has failed, everything that it carried and did not answer is [`Error::Uncertain`] or,
/// where the command was not sent whole, [`Error::Unsent`], and so is everything later.
///
/// ```no_run
/// # async fn example() -> Result<(), larder_client::Error> {
/// use larder_client::{Connection, Options};
///
/// let mut connection = Connection::connect(&"127.0.0.1:6379".parse()?, &Options::default()).await?;
/// connection.call(&[b"SET", b"key", b"value"]).await?;
/// connection.send(&[b"GET", b"key"])?;
/// connection.send(&[b"STRLEN", b"key"])?;
/// assert_eq!(connection.receive().await?.as_str(), Some("value"));
/// assert_eq!(connection.receive().await?.as_i64(), Some(5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    options: Options,
    version: ProtocolVersion,
    output: BytesMut,
    input: BytesMut,
    decoder: Decoder,
    /// Where each unanswered command ends in the stream of all that was sent.
    ends: VecDeque<u64>,
    /// Bytes that were ever encoded, and that were handed to the socket.
    encoded: u64,
    written: u64,
    /// Replies that have arrived and were not asked for yet.
    replies: VecDeque<Value>,
    pushes: VecDeque<Value>,
    /// Why nothing works any more.
    failure: Option<String>,
}

impl Connection {
    /// Connects, agrees on the protocol, and authenticates.
    pub async fn connect(address: &Address, options: &Options) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: address.to_string(), source };
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let stream = match tokio::time::timeout(options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(failed)?;
        let mut connection = Self {
            stream,
            options: options.clone(),
            version: ProtocolVersion::Resp2,
            output: BytesMut::new(),
            input: BytesMut::new(),
            decoder: Decoder::default(),
            ends: VecDeque::new(),
            encoded: 0,
            written: 0,
            replies: VecDeque::new(),
            pushes: VecDeque::new(),
            failure: None,
        };
        match tokio::time::timeout(options.connect_timeout, connection.greet()).await {
            Ok(Ok(())) => Ok(connection),
            // A greeting changes nothing, so its fate does not matter.
            Ok(Err(Error::Uncertain(reason) | Error::Unsent(reason))) => Err(failed(io::Error::other(reason))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }

    /// HELLO and AUTH.
    async fn greet(&mut self) -> Result<(), Error> {
        let options = self.options.clone();
        let user = options.user.as_deref().unwrap_or("default").as_bytes();
        let password = options.password.as_deref().map(str::as_bytes);
        if options.protocol == ProtocolVersion::Resp3 {
            // The answer to HELLO 3 is in RESP3 already; an error looks the same in both.
            self.version = ProtocolVersion::Resp3;
            let hello = match password {
                Some(password) => self.call(&[b"HELLO", b"3", b"AUTH", user, password]).await,
                None => self.call(&[b"HELLO", b"3"]).await,
            };
            match hello {
                Ok(_) => return Ok(()),
                Err(Error::Reply(text)) if text.starts_with("NOPROTO") || text.starts_with("ERR unknown command") => {
                    self.version = ProtocolVersion::Resp2;
                }
                Err(error) => return Err(error),
            }
        }
        match (password, &options.user) {
            (None, _) => Ok(()),
            // Servers before Redis 6 know no users.
            (Some(password), None) => self.call(&[b"AUTH", password]).await.map(drop),
            (Some(password), Some(_)) => self.call(&[b"AUTH", user, password]).await.map(drop),
        }
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> ProtocolVersion {
        self.version
    }

    /// Whether the connection was lost, as far as is known without waiting.
    pub fn has_failed(&mut self) -> bool {
        if self.failure.is_none() && self.ends.is_empty() {
            // A server that has closed an idle connection is noticed here, before a command's fate hangs on it.
            self.read_ready();
            self.decode();
        }
        self.failure.is_some()
    }

    /// Sends one command and waits for its reply. An error reply is [`Error::Reply`].
    ///
    /// Replies that nobody waits for any more, as when an earlier call was dropped half-way, are skipped.
    pub async fn call(&mut self, command: &[&[u8]]) -> Result<Value, Error> {
        self.skip_abandoned().await;
        self.send(command)?;
        self.receive().await?.into_result()
    }

    /// Sends several commands at once, and returns their replies in order.
    pub async fn pipeline<C, A>(&mut self, commands: &[C]) -> Vec<Result<Value, Error>>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        self.skip_abandoned().await;
        let sent: Vec<_> = commands.iter().map(|command| self.encode(command.as_ref())).collect();
        let mut results = Vec::with_capacity(commands.len());
        for sent in sent {
            results.push(match sent {
                Ok(()) => self.receive().await.and_then(Value::into_result),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Encodes a command, to be sent by [`Connection::flush`] or [`Connection::receive`].
    pub fn send(&mut self, command: &[&[u8]]) -> Result<(), Error> {
        self.encode(command)
    }

    /// [`Connection::send`] for any bytes.
    pub(crate) fn encode<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<(), Error> {
        if command.is_empty() {
            return Err(Error::Invalid("a command needs a name".into()));
        }
        let before = self.output.len();
        // Requests have the form of replies in RESP2.
        let mut encoder = ReplyBuffer::new(ProtocolVersion::Resp2);
        std::mem::swap(encoder.bytes_mut(), &mut self.output);
        encoder.array_header(command.len());
        command.iter().for_each(|argument| encoder.bulk(argument.as_ref()));
        std::mem::swap(encoder.bytes_mut(), &mut self.output);
        self.encoded += (self.output.len() - before) as u64;
        self.ends.push_back(self.encoded);
        Ok(())
    }

    /// Sends what is encoded. It reads meanwhile, so that a server that waits for its replies to be read does not
    /// stop reading. A failure is reported by [`Connection::receive`], for each command what is known about it.
    pub async fn flush(&mut self) {
        while !self.output.is_empty() && self.failure.is_none() {
            let ready = match self.stream.ready(Interest::READABLE | Interest::WRITABLE).await {
                Ok(ready) => ready,
                Err(error) => return self.fail(error.to_string()),
            };
            if ready.is_writable() {
                match self.stream.try_write(&self.output) {
                    Ok(count) => {
                        self.output.advance(count);
                        self.written += count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return self.fail(error.to_string()),
                }
            }
            if ready.is_readable() {
                self.read_ready();
            }
        }
    }

    /// The reply to the earliest unanswered command, as it is: an error reply is [`Value::Error`].
    pub async fn receive(&mut self) -> Result<Value, Error> {
        let Some(&end) = self.ends.front() else {
            return Err(Error::Invalid("no command waits for a reply".into()));
        };
        // Most replies of a pipeline are there already and need no timer.
        if self.replies.is_empty() {
            let timeout = self.options.reply_timeout;
            let in_time = match timeout {
                Some(timeout) => tokio::time::timeout(timeout, self.fill()).await.is_ok(),
                None => {
                    self.fill().await;
                    true
                }
            };
            if !in_time {
                self.fail(format!("no reply within {:?}", timeout.unwrap_or_default()));
            }
        }
        self.ends.pop_front();
        match self.replies.pop_front() {
            Some(reply) => Ok(reply),
            None => {
                let reason = self.failure.clone().unwrap_or_default();
                Err(if end <= self.written { Error::Uncertain(reason) } else { Error::Unsent(reason) })
            }
        }
    }

    /// The earliest push message that has arrived.
    pub fn take_push(&mut self) -> Option<Value> {
        self.pushes.pop_front()
    }

    /// Waits for a push message, which only RESP3 has.
    pub async fn receive_push(&mut self) -> Result<Value, Error> {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(push);
            }
            if let Some(failure) = &self.failure {
                return Err(Error::Unsent(failure.clone()));
            }
            self.flush().await;
            self.read_more().await;
            self.decode();
        }
    }

    /// Reads the replies that nobody waits for any more.
    async fn skip_abandoned(&mut self) {
        while !self.ends.is_empty() {
            let _ = self.receive().await;
        }
    }

    /// Sends what waits, and reads until a reply is there or the connection has failed.
    async fn fill(&mut self) {
        self.flush().await;
        while !self.decode() && self.failure.is_none() {
            self.read_more().await;
        }
    }

    /// Waits until something can be read, and reads it.
    async fn read_more(&mut self) {
        match self.stream.readable().await {
            Ok(()) => self.read_ready(),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Reads what is there.
    fn read_ready(&mut self) {
        self.input.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => self.fail("closed by the server".into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Decodes what has arrived: true if there is a reply.
    fn decode(&mut self) -> bool {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(push @ Value::Push(_))) => self.pushes.push_back(push),
                Ok(Some(_)) if self.replies.len() >= self.ends.len() => {
                    self.input.clear();
                    self.fail("a reply to no command".into());
                }
                Ok(Some(reply)) => self.replies.push_back(reply),
                Ok(None) => break,
                Err(reason) => {
                    self.input.clear();
                    self.fail(reason);
                    break;
                }
            }
        }
        !self.replies.is_empty()
    }

    /// Nothing works from now on, for the first of the reasons given.
    fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }
}
