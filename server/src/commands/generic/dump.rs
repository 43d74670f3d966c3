//! DUMP: <https://redis.io/docs/latest/commands/dump/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::ValueRef;
use crate::rdb::{self, Writer};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// DUMP key
pub static DUMP: CommandSpec = CommandSpec {
    name: "dump",
    id: 110,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "2.6.0",
    complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects \
                 composing the value and M their average size. For small string values the time complexity is thus \
                 O(1)+O(1*M) where M is small, so simply O(1).",
    summary: "Returns a serialized representation of the value stored at a key.",
    handler: Handler::Read(read),
};

fn payload(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::String(bytes) => {
            let mut writer = Writer::new(rdb::TYPE_STRING);
            writer.string(bytes);
            rdb::seal(writer)
        }
    }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let payload = context.read(&args[1]).map(|item| payload(item.value));
    reply.bulk_or_null(payload.as_deref());
    Ok(())
}
