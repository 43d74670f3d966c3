//! The server that MIGRATE sends to: a connection of which no step may take longer than the timeout.

use bytes::{Buf, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes that must be taken within one timeout (Redis: 64 KiB).
const PIECE_BYTES: usize = 64 * 1024;
/// Longest line that a target may answer with.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What went wrong with the socket, in Redis's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(super) enum Fault {
    /// It cannot be reached.
    #[error("IOERR error or timeout connecting to the client")]
    Connecting,
    /// It takes nothing.
    #[error("IOERR error or timeout writing to target instance")]
    Writing,
    /// It answers nothing, or no line.
    #[error("IOERR error or timeout reading to target instance")]
    Reading,
}

/// A connection to it.
pub(super) struct Target {
    stream: TcpStream,
    input: BytesMut,
    patience: Duration,
}

impl Target {
    pub async fn connect(host: &[u8], port: Option<u16>, patience: Duration) -> Result<Self, Fault> {
        let (Ok(host), Some(port)) = (std::str::from_utf8(host), port) else { return Err(Fault::Connecting) };
        let connected = timeout(patience, TcpStream::connect((host, port))).await;
        let stream = connected.ok().and_then(Result::ok).ok_or(Fault::Connecting)?;
        stream.set_nodelay(true).map_err(|_| Fault::Connecting)?;
        Ok(Self { stream, input: BytesMut::new(), patience })
    }

    /// Sends one command.
    pub async fn send<'a>(&mut self, words: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Fault> {
        let words: Vec<&[u8]> = words.into_iter().collect();
        let mut output = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            output.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            if word.len() > PIECE_BYTES {
                // Not copied.
                self.write(&output).await?;
                output.clear();
                self.write(word).await?;
            } else {
                output.extend_from_slice(word);
            }
            output.extend_from_slice(b"\r\n");
        }
        self.write(&output).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for piece in bytes.chunks(PIECE_BYTES) {
            match timeout(self.patience, self.stream.write_all(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Fault::Writing),
            }
        }
        Ok(())
    }

    /// The next answer: that it is done, or the error without its sign.
    pub async fn answer(&mut self) -> Result<Result<(), Vec<u8>>, Fault> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input[searched..]) {
                let line = self.input.split_to(searched + at);
                self.input.advance(1);
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                return Ok(line.strip_prefix(b"-").map_or(Ok(()), |error| Err(error.to_vec())));
            }
            searched = self.input.len();
            if searched > LINE_BYTES_MAX {
                return Err(Fault::Reading);
            }
            match timeout(self.patience, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return Err(Fault::Reading),
            }
        }
    }
}
