//! One connection: read, decode, carry out, write.

use super::buffers::{Appetite, Buffers};
use super::spread::Place;
use crate::commands::port::NodePort;
use crate::commands::session::{Activity, Client};
use crate::dispatch::Conversation;
use crate::limits;
use bytes::Buf;
use futures::FutureExt;
use larder_protocol::{Limits, ReplyBuffer, RequestDecoder};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

/// What is read and thrown away after the last reply, so that the close does not cut that reply off.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_millis(200);

/// What is read of a client while a command of it waits.
const EARLY_BYTES_MAX: usize = 64 * 1024;
/// How often it is looked whether a client that has sent more than that has gone.
const EARLY_LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Longest command (Redis: `client-query-buffer-limit`).
const COMMAND_BYTES_MAX: u32 = 1 << 30;

/// The state of a connection's task.
pub(super) struct Connection {
    node: Arc<dyn NodePort>,
    client: Arc<Client>,
    conversation: Conversation,
    decoder: RequestDecoder,
    /// Lent while there is something in them.
    buffers: Option<Box<Buffers>>,
    appetite: Appetite,
}

/// Why a connection ends.
enum End {
    /// The other end closed, or the socket failed.
    Lost,
    /// We have said the last word.
    Said,
    /// It goes on at another place.
    Moves(Place),
}

/// A connection that goes on at another place; nothing of it is under way.
pub(super) struct Moved {
    pub connection: Connection,
    pub stream: TcpStream,
    pub place: Place,
}

impl Connection {
    pub fn new(node: Arc<dyn NodePort>, conversation: Conversation) -> Self {
        let client = Arc::clone(&conversation.session().client);
        Self {
            node,
            client,
            conversation,
            decoder: RequestDecoder::default(),
            buffers: None,
            appetite: Appetite::default(),
        }
    }

    /// Serves until either end closes, or CLIENT KILL or a stop of the node interrupts, or the connection is to move.
    pub async fn run(mut self, mut stream: TcpStream, mut place: Place) -> Option<Moved> {
        let client = Arc::clone(&self.client);
        tokio::select! {
            biased;
            () = client.until_interrupted() => None,
            end = self.serve(&mut stream, &mut place) => match end {
                End::Lost => None,
                End::Said => {
                    let _ = tokio::time::timeout(LINGER, linger(&mut stream)).await;
                    None
                }
                End::Moves(place) => Some(Moved { connection: self, stream, place }),
            }
        }
    }

    async fn serve(&mut self, stream: &mut TcpStream, place: &mut Place) -> End {
        loop {
            match self.handle_input(stream).await {
                Ok(()) => {}
                Err(end) => return end,
            }
            self.client.set_activity(Activity::Reading);
            if self.client.is_closing() {
                return End::Said;
            }
            if let Some(better) = place.better() {
                return End::Moves(better);
            }
            match self.read(stream).await {
                Ok(0) | Err(_) => return End::Lost,
                Ok(length) => {
                    self.client.set_activity(Activity::Working);
                    self.node.stats().input_bytes.fetch_add(length as u64, Ordering::Relaxed);
                }
            }
        }
    }

    /// Carries out every complete command that was read.
    async fn handle_input(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        while let Some(mut buffers) = self.buffers.take() {
            let authenticated = self.conversation.session().authenticated;
            self.decoder.set_authenticated(authenticated);
            let bulk_bytes_max = self.node.settings().live().bulk_bytes_max();
            let bulk_bytes_max = u32::try_from(bulk_bytes_max).unwrap_or(u32::MAX).min(COMMAND_BYTES_MAX);
            self.decoder.set_limits(Limits {
                bulk_bytes_max,
                command_bytes_max: COMMAND_BYTES_MAX,
                ..Limits::default()
            });
            // Before authentication commands are decoded one by one: AUTH lifts the limits for those behind it.
            let limit = if authenticated { limits::BATCH_COMMANDS_MAX } else { 1 };
            let decoded = self.decoder.decode(&buffers.input, &mut buffers.batch, limit);
            let consumed = match decoded {
                Ok(consumed) => consumed,
                Err(error) => {
                    if !self.conversation.session().reply_mode.is_silent() {
                        error.reply(&mut buffers.output);
                    }
                    tracing::debug!(client = self.client.id, %error, "closing a client that breaks the protocol");
                    self.write(stream, &mut buffers.output).await?;
                    return Err(End::Said);
                }
            };
            let complete = buffers.batch.len();
            let mut at = 0;
            while at < complete {
                let input = &buffers.input[..consumed];
                let from = at;
                at = self.conversation.execute(input, &buffers.batch, at, &mut buffers.output).await;
                debug_assert!(
                    at > from || self.conversation.is_parked() || self.conversation.is_closing(),
                    "it goes on"
                );
                self.write(stream, &mut buffers.output).await?;
                if self.conversation.is_closing() {
                    return Err(End::Said);
                }
                if at < complete && self.conversation.is_parked() {
                    self.buffers = Some(buffers);
                    self.wait(stream).await?;
                    let Some(back) = self.buffers.take() else { return Err(End::Lost) };
                    buffers = back;
                }
            }
            buffers.input.advance(consumed);
            if self.conversation.is_parked() {
                // Nothing is held meanwhile but what arrives.
                match buffers.input.is_empty() {
                    true => buffers.give_back(),
                    false => self.buffers = Some(buffers),
                }
                self.wait(stream).await?;
                continue;
            }
            if buffers.input.is_empty() {
                buffers.give_back();
                return Ok(());
            }
            self.buffers = Some(buffers);
            // A protocol error behind complete commands is told by the next call, when they are answered.
            if complete == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends the replies of a batch; nothing is read or carried out before they are gone.
    async fn write(&mut self, stream: &mut TcpStream, output: &mut ReplyBuffer) -> Result<(), End> {
        let length = output.len() as u64;
        if length == 0 {
            return Ok(());
        }
        let limit = self.node.settings().live().output_limit().hard_bytes;
        if limit > 0 && length > limit {
            tracing::warn!(client = self.client.id, address = %self.client.address, bytes = length,
                "closing a client whose replies exceed client-output-buffer-limit");
            self.node.stats().output_limit_disconnections.fetch_add(1, Ordering::Relaxed);
            return Err(End::Lost);
        }
        self.client.output_bytes.store(length, Ordering::Relaxed);
        self.client.set_activity(Activity::Writing);
        let written = stream.write_all(output.as_slice()).await;
        output.truncate(0);
        self.client.set_activity(Activity::Working);
        self.client.output_bytes.store(0, Ordering::Relaxed);
        self.node.stats().output_bytes.fetch_add(length, Ordering::Relaxed);
        written.map_err(|_| End::Lost)
    }

    /// Waits until the command that is parked is answered, and sends the reply. What the client sends meanwhile is read, up
    /// to a bound, since only so it shows that a client has gone.
    async fn wait(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        let mut output = ReplyBuffer::default();
        let missing = self.decoder.missing_bytes();
        {
            let mut wait = pin!(self.conversation.finish_wait(&mut output));
            loop {
                let held = self.buffers.as_ref().map_or(0, |buffers| buffers.input.len());
                let (buffers, appetite) = (&mut self.buffers, &mut self.appetite);
                tokio::select! {
                    biased;
                    () = &mut wait => break,
                    read = poll_fn(|context| poll_read(buffers, appetite, stream, missing, context)), if held < EARLY_BYTES_MAX => {
                        match read {
                            Ok(0) | Err(_) => return Err(End::Lost),
                            Ok(length) => {
                                self.client.query_bytes.store((held + length) as u64, Ordering::Relaxed);
                                self.node.stats().input_bytes.fetch_add(length as u64, Ordering::Relaxed);
                            }
                        }
                    }
                    () = tokio::time::sleep(EARLY_LOOK_PERIOD), if held >= EARLY_BYTES_MAX => {
                        let ready = stream.ready(Interest::READABLE).now_or_never();
                        if ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed())) {
                            return Err(End::Lost);
                        }
                    }
                }
            }
        }
        self.write(stream, &mut output).await
    }

    /// Waits for bytes and appends them to the input. Only then are buffers taken.
    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        let missing = self.decoder.missing_bytes();
        let (buffers, appetite) = (&mut self.buffers, &mut self.appetite);
        let length = poll_fn(|context| poll_read(buffers, appetite, stream, missing, context)).await?;
        if let Some(buffers) = &self.buffers {
            self.client.query_bytes.store(buffers.input.len() as u64, Ordering::Relaxed);
        }
        Ok(length)
    }
}

fn poll_read(
    held: &mut Option<Box<Buffers>>,
    appetite: &mut Appetite,
    stream: &mut TcpStream,
    missing: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if stream.poll_read_ready(context)?.is_pending() {
        *held = held.take().map(Buffers::tightened);
        return Poll::Pending;
    }
    let mut buffers = held.take().unwrap_or_else(Buffers::take);
    buffers.reserve(missing, *appetite);
    let room = buffers.input.capacity() - buffers.input.len();
    let result = pin!(stream.read_buf(&mut buffers.input)).poll(context);
    match &result {
        Poll::Ready(Ok(length)) => appetite.learn(*length, room),
        Poll::Ready(Err(_)) => {}
        Poll::Pending => buffers = buffers.tightened(),
    }
    if buffers.input.is_empty() {
        buffers.give_back();
    } else {
        *held = Some(buffers);
    }
    result
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.node.clients().unregister(self.client.id);
    }
}

/// Closes our side and takes in what is under way, so that the other end gets to read our last words rather than a
/// reset.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut left = LINGER_BYTES_MAX;
    let mut rest = [0; 4096];
    while left > 0 {
        match stream.read(&mut rest).await? {
            0 => break,
            length => left = left.saturating_sub(length),
        }
    }
    Ok(())
}
