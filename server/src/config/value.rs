//! Reading of values, with the errors of Redis's CONFIG SET.

use super::table::{Kind, Setting};
use crate::topology::HostPort;

/// Brings `text` into the form that CONFIG GET shows.
pub(super) fn parse(setting: &Setting, text: &str) -> Result<String, String> {
    match setting.kind {
        Kind::Text => Ok(text.to_string()),
        Kind::Words => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Kind::YesNo => match text.to_ascii_lowercase().as_str() {
            word @ ("yes" | "no") => Ok(word.to_string()),
            _ => Err("argument must be 'yes' or 'no'".into()),
        },
        Kind::OneOf(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Ok(word.to_string()),
            None => Err(format!("argument(s) must be one of the following: {}", words.join(", "))),
        },
        Kind::Bytes(min, max) => {
            let bytes = parse_bytes(text).ok_or("argument must be a memory value")?;
            if !(min..=max).contains(&bytes) {
                return Err(format!("argument must be between {min} and {max} inclusive"));
            }
            Ok(bytes.to_string())
        }
        Kind::Integer(min, max) => integer(text, min, max),
        Kind::Port if text.is_empty() => Ok(String::new()),
        Kind::Port => integer(text, 0, 65_535),
        Kind::HostPort if text.is_empty() => Ok(String::new()),
        Kind::HostPort => {
            parse_host_port(text).map(|address| address.to_string()).ok_or("argument must be HOST:PORT".into())
        }
        Kind::OutputLimits => output_limits(text).map(|limits| format_output_limits(&limits)),
    }
}

fn integer(text: &str, min: i64, max: i64) -> Result<String, String> {
    let value: i64 = text.parse().map_err(|_| "argument couldn't be parsed into an integer".to_string())?;
    if !(min..=max).contains(&value) {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(value.to_string())
}

/// A number of bytes as redis.conf writes it: `k`, `m`, `g` are powers of 1000, `kb`, `mb`, `gb` powers of 1024.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `HOST:PORT`, an IPv6 address in brackets or not. Nobody is reached at port 0.
pub fn parse_host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| HostPort { host: host.to_string(), port })
}

/// The classes of clients, as redis.conf names them. There are no replication links on the client ports, so `slave` is
/// accepted and reported for the sake of existing files.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Hard bytes, soft bytes, soft seconds; by class.
pub(super) type OutputLimits = [Option<[u64; 3]>; 3];

pub(super) fn output_limits(text: &str) -> Result<OutputLimits, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits = OutputLimits::default();
    for group in words.chunks(4) {
        // `replica` is the newer word for `slave`.
        let class = if group[0].eq_ignore_ascii_case("replica") { "slave" } else { group[0] };
        let class = CLASSES.iter().position(|known| known.eq_ignore_ascii_case(class));
        let class = class.ok_or("Invalid client class specified in buffer limit configuration.")?;
        let numbers = (parse_bytes(group[1]), parse_bytes(group[2]), group[3].parse().ok());
        let (Some(hard), Some(soft), Some(seconds)) = numbers else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
        };
        limits[class] = Some([hard, soft, seconds]);
    }
    Ok(limits)
}

pub(super) fn format_output_limits(limits: &OutputLimits) -> String {
    let groups = CLASSES
        .iter()
        .zip(limits)
        .filter_map(|(class, limit)| limit.map(|[hard, soft, seconds]| format!("{class} {hard} {soft} {seconds}")));
    groups.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_redis() {
        assert_eq!(parse_bytes("1k"), Some(1000));
        assert_eq!(parse_bytes("1KB"), Some(1024));
        assert_eq!(parse_bytes("3gb"), Some(3 << 30));
        assert_eq!(parse_bytes("7"), Some(7));
        for wrong in ["", "x", "1tb", "-1", "99999999999999999999", "99999999999gb", "1 mb"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        let parsed = parse_host_port("[::1]:7000").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("::1", 7000));
        assert_eq!(parse_host_port("host.example:1").unwrap().host, "host.example");
        for wrong in ["", "host", ":1", "host:", "host:x", "host:99999", "[]:1", "foo:0"] {
            assert_eq!(parse_host_port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn output_limits_are_read_by_class() {
        let limits = output_limits("normal 1kb 0 0 replica 5 6 7").unwrap();
        assert_eq!(format_output_limits(&limits), "normal 1024 0 0 slave 5 6 7");
        assert!(output_limits("normal 1 2").is_err());
        assert!(output_limits("other 1 2 3").is_err());
    }
}
