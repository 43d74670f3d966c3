//! HPERSIST: <https://redis.io/docs/latest/commands/hpersist/>

use super::field_deadlines::{self, NOT_POSITIVE};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HPERSIST key FIELDS numfields field [field ...]
pub static HPERSIST: CommandSpec = CommandSpec {
    name: "hpersist",
    id: 152,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "7.4.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Removes the expiration time for each specified field",
    handler: Handler::Write(apply),
};

const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const TAKEN: i64 = 1;

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    context.peek_hash(&args[1])?;
    let fields = field_deadlines::fields(args, 2, NOT_POSITIVE)?;
    let results = context.edit_hash(&args[1], OrCreate::No, |hash| {
        let persist = |field| match hash.read().get_timed(field) {
            None => NO_FIELD,
            Some((_, None)) => NO_DEADLINE,
            Some(_) => {
                hash.set_deadline(field, None);
                TAKEN
            }
        };
        Ok(fields.iter().map(persist).collect::<Vec<i64>>())
    })?;
    reply.array_header(fields.len());
    match results {
        Some(results) => results.into_iter().for_each(|result| reply.integer(result)),
        None => fields.iter().for_each(|_| reply.integer(NO_FIELD)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn deadlines_are_taken() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HEXPIRE h 10 FIELDS 1 a", "*1|:1|"),
            ("HPERSIST h FIELDS 3 a b c", "*3|:1|:-1|:-2|"),
            ("HPERSIST x FIELDS 1 a", "*1|:-2|"),
        ]);
        bench.now += 10_000;
        bench.expect(&[("HGETALL h", "*4|$1|b|$1|2|$1|a|$1|1|")]);
    }
}
