//! A client of RESP2: a socket, a timeout, and nothing that retries.

use bytes::Bytes;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+`
    Simple(String),
    /// `-`
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`, or null.
    Bulk(Option<Bytes>),
    /// `*`, or null.
    Array(Option<Vec<Value>>),
}

impl Value {
    /// The elements of an array; empty for anything else.
    pub fn elements(&self) -> &[Value] {
        match self {
            Self::Array(Some(elements)) => elements,
            _ => &[],
        }
    }

    /// The text of a bulk or simple string; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) => text.clone(),
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// An integer; 0 for anything else.
    pub fn integer(&self) -> i64 {
        if let Self::Integer(value) = self { *value } else { 0 }
    }
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

impl Client {
    /// Connects. No reply may take longer than `reply_timeout`.
    pub fn connect(address: SocketAddr, reply_timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(reply_timeout))?;
        stream.set_write_timeout(Some(reply_timeout))?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), out: Vec::new() })
    }

    /// Sends one command and reads its reply.
    pub fn command(&mut self, args: &[&[u8]]) -> io::Result<Value> {
        self.queue(args);
        self.flush()?;
        self.read()
    }

    /// [`Client::command`] of words.
    pub fn words(&mut self, command: &str) -> io::Result<Value> {
        let args: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        self.command(&args)
    }

    /// Encodes a command, to be sent by [`Client::flush`].
    pub fn queue(&mut self, args: &[&[u8]]) {
        encode(args, &mut self.out);
    }

    /// Sends what was queued.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        sent
    }

    /// Reads the next reply.
    pub fn read(&mut self) -> io::Result<Value> {
        read_value(&mut self.stream)
    }
}

/// Reads the next reply off whatever has the bytes.
pub fn read_value(stream: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.strip_suffix("\r\n").ok_or_else(|| malformed(&line))?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| malformed(line))?;
    let number = || rest.parse::<i64>().map_err(|_| malformed(line));
    match kind {
        "+" => Ok(Value::Simple(rest.into())),
        "-" => Ok(Value::Error(rest.into())),
        ":" => Ok(Value::Integer(number()?)),
        "$" => match usize::try_from(number()?) {
            Err(_) => Ok(Value::Bulk(None)),
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Value::Bulk(Some(bytes.into())))
            }
        },
        "*" => match usize::try_from(number()?) {
            Err(_) => Ok(Value::Array(None)),
            Ok(length) => {
                let elements = (0..length).map(|_| read_value(stream)).collect::<io::Result<_>>();
                elements.map(|elements| Value::Array(Some(elements)))
            }
        },
        _ => Err(malformed(line)),
    }
}

/// Encodes a command.
pub fn encode(args: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a RESP2 reply: {line:?}"))
}
