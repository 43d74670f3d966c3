//! HINCRBYFLOAT: <https://redis.io/docs/latest/commands/hincrbyfloat/>

use crate::commands::extended::Extended;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HINCRBYFLOAT key field increment
pub static HINCRBYFLOAT: CommandSpec = CommandSpec {
    name: "hincrbyfloat",
    id: 141,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
    handler: Handler::Write(apply),
};

const NOT_FLOAT: CommandError = CommandError::text("ERR hash value is not a float");
const NOT_FINITE: CommandError = CommandError::text("ERR value is NaN or Infinity");

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let increment = Extended::parse(&args[3]).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(NOT_FINITE);
    }
    let sum = context.edit_hash(&args[1], OrCreate::Yes, |hash| {
        let old = match hash.read().get(&args[2]) {
            Some(value) => Extended::parse(value.bytes(&mut Default::default())).ok_or(NOT_FLOAT)?,
            None => Extended::ZERO,
        };
        let sum = old.checked_add(increment).ok_or(CommandError::NotFinite)?.to_text();
        hash.set_keeping(&args[2], &sum);
        Ok(sum)
    })?;
    reply.bulk(&sum.unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn sums_are_printed_in_full() {
        Bench::new().expect(&[
            ("HINCRBYFLOAT h a 10.5", "$4|10.5|"),
            ("HINCRBYFLOAT h a 0.1", "$4|10.6|"),
            ("HINCRBYFLOAT h a x", "-ERR value is not a valid float|"),
            ("HINCRBYFLOAT h a inf", "-ERR value is NaN or Infinity|"),
            ("HSET h b x", ":1|"),
            ("HINCRBYFLOAT h b 1", "-ERR hash value is not a float|"),
        ]);
    }
}
