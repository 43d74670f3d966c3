//! How a command is described.

use super::port::ConnectionContext;
use super::port::Flow;
use super::{CommandError, Context};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// One command, or one subcommand of a container. COMMAND, ACL categories, routing, gates, metric labels and
/// `server/docs/commands.md` all derive from these.
pub struct CommandSpec {
    /// Lower-case name; a subcommand's own part only (`list` of `client|list`).
    pub name: &'static str,
    /// Number in Raft entries and forwarded requests. Given once, never changed, never reused; 0 for commands that
    /// never travel.
    pub id: u16,
    /// Arguments, name (and container's name) included.
    pub arity: Arity,
    /// What it does.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: KeySpec,
    /// Its group in COMMAND DOCS and its data ACL category.
    pub family: Family,
    /// The Redis version that introduced it.
    pub since: &'static str,
    /// Cost, as Redis's page states it.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// How it is carried out.
    pub handler: Handler,
}

impl CommandSpec {
    /// What rows of connection commands have in common: they have no keys and do not travel.
    pub const CONNECTION: Self = Self {
        name: "",
        id: 0,
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
        keys: KeySpec::None,
        family: Family::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "",
        handler: Handler::Dispatch,
    };

    /// Whether its arguments name databases.
    pub fn names_databases(&self) -> bool {
        matches!(self.name, "copy" | "move" | "swapdb")
    }
}

/// A handler of data: see the module documentation of [`commands`](super).
pub type DataFn = fn(&mut Context<'_>, Args<'_>, &mut ReplyBuffer) -> Result<(), CommandError>;

/// A handler that works on the connection and its node.
pub type ConnectionFn = fn(&mut ConnectionContext<'_>, Args<'_>, &mut ReplyBuffer) -> Result<Flow, CommandError>;

/// How a command is carried out.
pub enum Handler {
    /// Reads the partition of its keys.
    Read(DataFn),
    /// Changes the partition of its keys.
    Write(DataFn),
    /// Like `Read`, and keys of several partitions are split, where the connection allows it.
    ReadFanout(DataFn, Fanout),
    /// Like `Write`, and keys of several partitions are split, where the connection allows it.
    WriteFanout(DataFn, Fanout),
    /// Reads every partition in the connection's scope; the replies are merged.
    ReadAll(DataFn, Fanout),
    /// Changes every partition in the connection's scope; the replies are merged.
    WriteAll(DataFn, Fanout),
    /// A SCAN step within one partition, which the cursor names.
    Scan(DataFn),
    /// Chosen by the first argument.
    Container(&'static [&'static CommandSpec]),
    /// Carried out by the connection's node: session, settings, figures, cluster.
    Connection(ConnectionFn),
    /// Part of the connection's own control flow (MULTI, EXEC, WATCH and the like): `dispatch` carries it out by name.
    Dispatch,
}

/// How the replies of the parts of a split command become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// Arrays of one element a key, put back in the order of the keys (MGET).
    PerKey,
    /// Integers, added (DEL, EXISTS, DBSIZE).
    Sum,
    /// All answer OK (MSET, FLUSHALL).
    AllOk,
    /// Arrays, joined (KEYS).
    Concat,
    /// One of the parts that are not null, picked at random by weight of their partitions (RANDOMKEY).
    Any,
}

/// Redis's command groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `generic`
    Generic,
    /// `string`
    String,
    /// `bitmap`
    Bitmap,
    /// `hyperloglog`
    HyperLogLog,
    /// `geo`
    Geo,
    /// `hash`
    Hash,
    /// `list`
    List,
    /// `set`
    Set,
    /// `sorted-set`
    SortedSet,
    /// `stream`
    Stream,
    /// `connection`
    Connection,
    /// `server`
    Server,
    /// `cluster`
    Cluster,
    /// `transactions`
    Transactions,
}

impl Family {
    /// The name in COMMAND DOCS.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
            Self::Transactions => "transactions",
        }
    }
}
