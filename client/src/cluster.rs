//! A client of all nodes of a cluster.

use std::collections::HashMap;

use larder_protocol::slot_of;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::client::copy_of;
use crate::topology::Redirect;
use crate::{Address, CommandTable, Connection, Error, Options, Topology, Value};

/// So many rounds of redirections are followed at once; after them it waits between rounds, since the nodes must
/// disagree about who serves the slot.
const REDIRECTS_AT_ONCE: usize = 4;

/// A client of a Larder or Redis cluster.
///
/// Each command goes to the node that serves the slot of its first key, as CLUSTER SLOTS and COMMAND tell; a command
/// without keys goes to any node, each time to another one. MOVED and ASK are followed. What certainly did not take
/// effect (it could not be sent, or was refused with TRYAGAIN, CLUSTERDOWN, LOADING or READONLY) is tried again until
/// the deadline. A command that was sent and not answered is tried again only if it only reads; otherwise it is
/// [`Error::Uncertain`].
///
/// Against a server that is no cluster it works as a [`crate::Client`]. As there, what a connection remembers (MULTI,
/// WATCH, SUBSCRIBE) needs a [`Connection`] to the right node.
///
/// ```no_run
/// # async fn example() -> Result<(), larder_client::Error> {
/// use larder_client::{ClusterClient, Options};
///
/// let mut cluster = ClusterClient::connect(&["127.0.0.1:6379", "127.0.0.1:6380"], Options::default()).await?;
/// cluster.call(&[b"SET", b"key", b"value"]).await?;
/// let replies = cluster.pipeline(&[["GET", "key"], ["STRLEN", "other"]]).await;
/// assert_eq!(replies.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClusterClient {
    options: Options,
    seeds: Vec<Address>,
    topology: Topology,
    table: CommandTable,
    connections: HashMap<Address, Connection>,
    /// Set when something hints that the topology is not what it was.
    refresh_wanted: bool,
    refreshed_at: Instant,
    /// Counts up, to choose nodes in turn.
    turn: usize,
}

/// A command that has no result yet.
struct Pending {
    /// Its place among the commands.
    index: usize,
    /// Where the last answer sent it, and whether ASKING goes before it.
    redirect: Option<(Address, bool)>,
    /// The last refusal.
    refusal: Option<Error>,
}

/// The commands that go to one node in one round.
struct Group {
    address: Address,
    members: Vec<Pending>,
}

impl ClusterClient {
    /// Learns the topology and the commands from the first of `seeds` (HOST:PORT) that answers, trying again until the
    /// deadline.
    pub async fn connect<S: AsRef<str>>(seeds: &[S], options: Options) -> Result<Self, Error> {
        let seeds = seeds.iter().map(|seed| seed.as_ref().parse()).collect::<Result<Vec<Address>, _>>()?;
        let first = seeds.first().ok_or_else(|| Error::Invalid("no seeds".into()))?.clone();
        let mut client = Self {
            topology: Topology::single(first),
            table: CommandTable::default(),
            connections: HashMap::new(),
            refresh_wanted: true,
            refreshed_at: Instant::now(),
            turn: 0,
            seeds,
            options,
        };
        let mut backoff = Backoff::new(&client.options);
        loop {
            match client.learn().await {
                Ok(()) => return Ok(client),
                Err(error) if error.is_refusal() && backoff.wait().await => {}
                Err(error) if error.is_refusal() => return Err(Error::Deadline(Box::new(error))),
                Err(error) => return Err(error),
            }
        }
    }

    /// Which node serves what, as far as is known.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The commands of the cluster.
    pub fn commands(&self) -> &CommandTable {
        &self.table
    }

    /// Sends one command and waits for its reply. An error reply is [`Error::Reply`].
    pub async fn call(&mut self, command: &[&[u8]]) -> Result<Value, Error> {
        let mut results = self.pipeline(&[command]).await;
        results.pop().unwrap_or_else(|| Err(Error::Invalid("a command needs a name".into())))
    }

    /// Sends one command to one node, whatever its keys, once.
    pub async fn call_on(&mut self, node: &Address, command: &[&[u8]]) -> Result<Value, Error> {
        self.connection(node).await?.call(command).await
    }

    /// Sends several commands, each to its node, all nodes at once, and returns the replies in the order of `commands`.
    ///
    /// Commands for the same node take effect in order. One that has to be tried again takes effect after those that
    /// were sent with it.
    pub async fn pipeline<C, A>(&mut self, commands: &[C]) -> Vec<Result<Value, Error>>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut backoff = Backoff::new(&self.options);
        let mut results: Vec<Option<Result<Value, Error>>> = commands.iter().map(|_| None).collect();
        let mut pending = Vec::with_capacity(commands.len());
        for (index, command) in commands.iter().enumerate() {
            if command.as_ref().is_empty() {
                results[index] = Some(Err(Error::Invalid("a command needs a name".into())));
            } else {
                pending.push(Pending { index, redirect: None, refusal: None });
            }
        }
        let mut rounds = 0;
        while !pending.is_empty() {
            self.refresh_if_wanted().await;
            pending = self.round(commands, pending, &mut results).await;
            rounds += 1;
            let refused = pending.iter().any(|command| command.refusal.is_some());
            if (refused || (rounds > REDIRECTS_AT_ONCE && !pending.is_empty())) && !backoff.wait().await {
                for command in pending.drain(..) {
                    let last = command.refusal.unwrap_or_else(|| Error::Topology("redirected without end".into()));
                    results[command.index] = Some(Err(Error::Deadline(Box::new(last))));
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(Error::Unsent("not tried".into())))).collect()
    }

    /// Sends each pending command to its node once; returns those that are to be tried again, in order.
    async fn round<C, A>(
        &mut self,
        commands: &[C],
        pending: Vec<Pending>,
        results: &mut [Option<Result<Value, Error>>],
    ) -> Vec<Pending>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut again = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        for mut command in pending {
            match self.target(commands[command.index].as_ref(), command.redirect.as_ref()) {
                Ok(address) => match groups.iter_mut().find(|group| group.address == address) {
                    Some(group) => group.members.push(command),
                    None => groups.push(Group { address, members: vec![command] }),
                },
                Err(error) => {
                    self.refresh_wanted = true;
                    command.refusal = Some(error);
                    again.push(command);
                }
            }
        }
        // Everything is sent before the first reply is waited for, so that the nodes work at the same time. The
        // connections are out of the map meanwhile: if this future is dropped half-way, they close.
        let mut sent = Vec::new();
        for group in groups {
            let connection = self.open(&group.address).await;
            sent.push((group, connection));
        }
        for (group, connection) in &mut sent {
            let Ok(connection) = connection else { continue };
            for member in &group.members {
                if matches!(member.redirect, Some((_, true))) {
                    // It has a name, so it cannot fail; nor can commands without one get here.
                    let _ = connection.encode(&["ASKING"]);
                }
                let _ = connection.encode(commands[member.index].as_ref());
            }
            connection.flush().await;
        }
        for (group, connection) in sent {
            match connection {
                Ok(mut connection) => {
                    for member in group.members {
                        if matches!(member.redirect, Some((_, true))) {
                            // If it fails, so does the command.
                            let _ = connection.receive().await;
                        }
                        let result = connection.receive().await.and_then(Value::into_result);
                        let command = commands[member.index].as_ref();
                        again.extend(self.settle(member, command, &group.address, result, results));
                    }
                    if connection.has_failed() {
                        self.refresh_wanted = true;
                    } else {
                        self.connections.insert(group.address, connection);
                    }
                }
                Err(error) => {
                    self.refresh_wanted = true;
                    for member in group.members {
                        let command = commands[member.index].as_ref();
                        again.extend(self.settle(member, command, &group.address, Err(copy_of(&error)), results));
                    }
                }
            }
        }
        again.sort_by_key(|command| command.index);
        again
    }

    /// Notes the result of a command, or returns the command because it is to be tried again.
    fn settle<A: AsRef<[u8]>>(
        &mut self,
        member: Pending,
        command: &[A],
        asked: &Address,
        result: Result<Value, Error>,
        results: &mut [Option<Result<Value, Error>>],
    ) -> Option<Pending> {
        let again = |redirect, refusal| Some(Pending { index: member.index, redirect, refusal });
        match result {
            Err(Error::Reply(text)) => match Redirect::parse(&text, asked) {
                Some(Redirect::Moved(slot, node)) => {
                    tracing::debug!(slot, %node, "moved");
                    self.topology.set_leader(slot, &node);
                    self.refresh_wanted = true;
                    again(Some((node, false)), None)
                }
                Some(Redirect::Ask(node)) => again(Some((node, true)), None),
                None => {
                    let error = Error::Reply(text);
                    if error.is_refusal() {
                        self.refresh_wanted = true;
                        return again(None, Some(error));
                    }
                    results[member.index] = Some(Err(error));
                    None
                }
            },
            Err(error) if error.is_refusal() => again(None, Some(error)),
            Err(Error::Uncertain(reason)) if self.table.is_readonly(command) => {
                again(None, Some(Error::Unsent(reason)))
            }
            result => {
                results[member.index] = Some(result);
                None
            }
        }
    }

    /// The node that a command goes to.
    fn target<A: AsRef<[u8]>>(&mut self, command: &[A], redirect: Option<&(Address, bool)>) -> Result<Address, Error> {
        if let Some((node, _)) = redirect {
            return Ok(node.clone());
        }
        if let Some(key) = self.table.first_key(command) {
            let slot = slot_of(key);
            return self
                .topology
                .leader(slot)
                .cloned()
                .ok_or_else(|| Error::Topology(format!("no node is known to serve slot {slot}")));
        }
        self.turn = self.turn.wrapping_add(1);
        let nodes = self.topology.nodes();
        nodes
            .get(self.turn % nodes.len().max(1))
            .or(self.seeds.first())
            .cloned()
            .ok_or_else(|| Error::Topology("no node is known".into()))
    }

    /// The connection to a node, taken out of the map, or a new one.
    async fn open(&mut self, node: &Address) -> Result<Connection, Error> {
        if let Some(mut connection) = self.connections.remove(node)
            && !connection.has_failed()
        {
            return Ok(connection);
        }
        Connection::connect(node, &self.options).await
    }

    /// The connection to a node, in the map.
    async fn connection(&mut self, node: &Address) -> Result<&mut Connection, Error> {
        let connection = self.open(node).await?;
        Ok(self.connections.entry(node.clone()).insert_entry(connection).into_mut())
    }

    /// Asks for the topology now.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        self.refreshed_at = Instant::now();
        // Those that we talk to come first: they are the most likely to be alive.
        let mut candidates: Vec<Address> = self.topology.nodes().to_vec();
        candidates.sort_by_key(|node| !self.connections.contains_key(node));
        candidates.extend(self.seeds.iter().filter(|seed| !self.topology.nodes().contains(seed)).cloned());
        let mut last = Error::Topology("no node is known".into());
        for node in candidates {
            // A node that is stuck must not keep us from asking another.
            let asked = tokio::time::timeout(self.options.connect_timeout, self.ask(&node)).await;
            match asked.unwrap_or_else(|_| Err(Error::Topology(format!("{node} does not answer")))) {
                Ok(topology) => {
                    self.refresh_wanted = false;
                    self.connections.retain(|known, _| topology.nodes().contains(known));
                    self.topology = topology;
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The topology as `node` tells it.
    async fn ask(&mut self, node: &Address) -> Result<Topology, Error> {
        let mut connection = self.open(node).await?;
        let reply = connection.call(&[b"CLUSTER", b"SLOTS"]).await;
        if !connection.has_failed() {
            self.connections.insert(node.clone(), connection);
        }
        let reply = match reply {
            Err(Error::Reply(text)) if text.contains("cluster support disabled") => {
                return Ok(Topology::single(node.clone()));
            }
            // Asking has no effect, so it may be asked again.
            Err(Error::Uncertain(reason)) => return Err(Error::Unsent(reason)),
            reply => reply?,
        };
        let topology = Topology::parse(&reply, node)?;
        if topology.nodes().is_empty() {
            // A node that belongs to no cluster, or no longer.
            return Err(Error::Topology(format!("{node} knows of no slots")));
        }
        Ok(topology)
    }

    /// The topology, unless it was asked for just now. A failure is left to the commands that meet it.
    async fn refresh_if_wanted(&mut self) {
        if self.refresh_wanted
            && self.refreshed_at.elapsed() >= self.options.refresh_interval_min
            && let Err(error) = self.refresh().await
        {
            tracing::debug!(%error, "topology not refreshed");
        }
    }

    /// Topology and commands, at the start.
    async fn learn(&mut self) -> Result<(), Error> {
        self.refresh().await?;
        let mut last = Error::Topology("no node is known".into());
        for node in self.topology.nodes().to_vec() {
            match self.call_on(&node, &[b"COMMAND"]).await {
                Ok(reply) => {
                    self.table = CommandTable::parse(&reply)?;
                    return Ok(());
                }
                Err(Error::Uncertain(reason)) => last = Error::Unsent(reason),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
