//! A client of one address.

use crate::backoff::Backoff;
use crate::{Address, CommandTable, Connection, Error, Options, Value};

/// A client of one address, which connects when it has to.
///
/// What certainly did not take effect is tried again until the deadline: commands that could not be sent, and such
/// that were refused for the moment (TRYAGAIN, CLUSTERDOWN, LOADING, READONLY). A command that was sent and not
/// answered is tried again only if the server's COMMAND says that it only reads.
///
/// It sends whatever it is given, but a reconnect forgets what a connection remembers: use a [`Connection`] for MULTI,
/// WATCH, SUBSCRIBE or CLIENT settings.
///
/// ```no_run
/// # async fn example() -> Result<(), larder_client::Error> {
/// use larder_client::{Client, Options};
///
/// let mut client = Client::new("127.0.0.1:6379".parse()?, Options::default());
/// client.call(&[b"SET", b"key", b"value"]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    address: Address,
    options: Options,
    connection: Option<Connection>,
    /// Learned when a command was lost that may be one that only reads.
    table: Option<CommandTable>,
}

impl Client {
    /// A client that will connect to `address`.
    pub fn new(address: Address, options: Options) -> Self {
        Self { address, options, connection: None, table: None }
    }

    /// Whom it talks to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one command and waits for its reply. An error reply is [`Error::Reply`].
    pub async fn call(&mut self, command: &[&[u8]]) -> Result<Value, Error> {
        let mut results = self.pipeline(&[command]).await;
        results.pop().unwrap_or_else(|| Err(Error::Invalid("a command needs a name".into())))
    }

    /// Sends several commands at once, and returns their replies in order.
    ///
    /// Commands take effect in order unless one has to be tried again: that one takes effect after those that were
    /// sent with it.
    pub async fn pipeline<C, A>(&mut self, commands: &[C]) -> Vec<Result<Value, Error>>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut backoff = Backoff::new(&self.options);
        let mut results: Vec<Option<Result<Value, Error>>> = commands.iter().map(|_| None).collect();
        let mut pending: Vec<usize> = (0..commands.len()).collect();
        while !pending.is_empty() {
            let attempt: Vec<&[A]> = pending.iter().map(|&index| commands[index].as_ref()).collect();
            let attempted = match self.connection().await {
                Ok(connection) => connection.pipeline(&attempt).await,
                Err(error) if error.is_refusal() => pending.iter().map(|_| Err(copy_of(&error))).collect(),
                Err(error) => {
                    // A wrong password does not become right by waiting.
                    pending.drain(..).for_each(|index| results[index] = Some(Err(copy_of(&error))));
                    break;
                }
            };
            let mut again = Vec::new();
            for (index, result) in std::mem::take(&mut pending).into_iter().zip(attempted) {
                match &result {
                    Err(error) if error.is_refusal() => again.push(index),
                    Err(Error::Uncertain(_)) if self.only_reads(commands[index].as_ref(), &mut backoff).await => {
                        again.push(index);
                    }
                    _ => {}
                }
                results[index] = Some(result);
            }
            pending = again;
            if !pending.is_empty() && !backoff.wait().await {
                for index in pending.drain(..) {
                    if let Some(Err(error)) = results[index].take() {
                        results[index] = Some(Err(Error::Deadline(Box::new(error))));
                    }
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(Error::Unsent("not tried".into())))).collect()
    }

    /// The connection, made anew if the last one was lost.
    async fn connection(&mut self) -> Result<&mut Connection, Error> {
        if self.connection.as_mut().is_some_and(Connection::has_failed) {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            connection => Ok(connection.insert(Connection::connect(&self.address, &self.options).await?)),
        }
    }

    /// Whether the server says that the command only reads. While it does not say, that is not so.
    async fn only_reads<A: AsRef<[u8]>>(&mut self, command: &[A], backoff: &mut Backoff) -> bool {
        while self.table.is_none() {
            let reply = match self.connection().await {
                Ok(connection) => connection.call(&[b"COMMAND"]).await,
                Err(error) => Err(error),
            };
            match reply.and_then(|reply| CommandTable::parse(&reply)) {
                Ok(table) => self.table = Some(table),
                Err(Error::Reply(_)) => return false,
                Err(_) if backoff.wait().await => {}
                Err(_) => return false,
            }
        }
        self.table.as_ref().is_some_and(|table| table.is_readonly(command))
    }
}

/// The same for each of several commands that a failure concerns.
pub(crate) fn copy_of(error: &Error) -> Error {
    match error {
        Error::Connect { address, source } => {
            Error::Connect { address: address.clone(), source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        Error::Unsent(reason) => Error::Unsent(reason.clone()),
        Error::Uncertain(reason) => Error::Uncertain(reason.clone()),
        Error::Reply(text) => Error::Reply(text.clone()),
        Error::Deadline(last) => Error::Deadline(Box::new(copy_of(last))),
        Error::Topology(reason) => Error::Topology(reason.clone()),
        Error::Invalid(reason) => Error::Invalid(reason.clone()),
    }
}
