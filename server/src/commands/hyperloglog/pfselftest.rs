//! PFSELFTEST: <https://redis.io/docs/latest/commands/pfselftest/>

use super::element::Observation;
use super::value::{Corrupt, Encoding, HyperLogLog, cardinality};
use super::{REGISTERS, dense};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Family, Handler};
use crate::keyspace::collections::limits::Limits;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// PFSELFTEST
pub static PFSELFTEST: CommandSpec = CommandSpec {
    name: "pfselftest",
    id: 0,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN,
    keys: KeySpec::None,
    family: Family::HyperLogLog,
    since: "2.8.9",
    complexity: "N/A",
    summary: "An internal command for testing HyperLogLog values.",
    handler: Handler::Connection(run),
};

/// Rounds over all registers.
const ROUNDS: usize = 8;
/// Elements that are added. Redis goes on to ten million, during which it serves nobody.
const ELEMENTS: u64 = 100_000;
/// Bytes up to which what is tested stays sparse.
const SPARSE_BYTES: u32 = Limits::DEFAULT.sparse_bytes;

fn run(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    match check_registers().and_then(|()| check_estimates()) {
        Ok(()) => reply.ok(),
        Err(failure) => reply.error(&format!("TESTFAILED {failure}")),
    }
    Ok(Flow::Done)
}

/// Whether registers can be set and read back.
fn check_registers() -> Result<(), String> {
    let mut registers = vec![0; dense::BYTES];
    let mut expected = vec![0u8; REGISTERS];
    for round in 0..ROUNDS {
        for (index, expected) in expected.iter_mut().enumerate() {
            let count = Observation::of(&[round as u64, index as u64].map(u64::to_le_bytes).concat()).count;
            dense::raise(&mut registers, Observation { index, count });
            *expected = count.max(*expected);
        }
        for (index, expected) in expected.iter().enumerate() {
            let found = dense::get(&registers, index);
            if found != *expected {
                return Err(format!("Register {index} should be {expected} but is {found}"));
            }
        }
    }
    Ok(())
}

/// Whether the two encodings agree, and estimates are as near as they should be.
fn check_estimates() -> Result<(), String> {
    let corrupt = |Corrupt| "A HyperLogLog is corrupt".to_owned();
    let (mut both, mut only_dense) = (HyperLogLog::new(SPARSE_BYTES), HyperLogLog::new(SPARSE_BYTES));
    only_dense.make_dense().map_err(corrupt)?;
    // Redis's bound: six times the standard error.
    let relative_error = 1.04 / (REGISTERS as f64).sqrt() * 6.0;
    let mut next = 10;
    for number in 1..=ELEMENTS {
        let observation = Observation::of(&number.to_le_bytes());
        both.raise(observation).map_err(corrupt)?;
        only_dense.raise(observation).map_err(corrupt)?;
        if number < next {
            continue;
        }
        next *= 10;
        let (sparse, dense) = (count(&both)?, count(&only_dense)?);
        if sparse != dense {
            return Err("dense/sparse disagree".into());
        }
        let error = sparse.abs_diff(number);
        if error as f64 > relative_error * number as f64 && error > 1 {
            return Err(format!("Too big error. card:{number} abserr:{error}"));
        }
    }
    let became_dense = both.encoding() == Encoding::Dense;
    if became_dense { Ok(()) } else { Err("it stays sparse".into()) }
}

fn count(hyper_log_log: &HyperLogLog) -> Result<u64, String> {
    cardinality(&hyper_log_log.to_value(true)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes() {
        assert_eq!(super::check_registers(), Ok(()));
        assert_eq!(super::check_estimates(), Ok(()));
    }
}
