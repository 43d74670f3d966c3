//! Coordinates, units and distances as they are read and written.

use super::hash::{LATITUDES, LONGITUDES, Place};
use crate::commands::CommandError;
use crate::commands::sorted_set::score;
use larder_protocol::{ProtocolVersion, ReplyBuffer};

/// Reads a longitude and a latitude.
///
/// # Errors
/// Where one is no number, or they are no place on the map.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let (longitude, latitude) = (score::score(longitude)?, score::score(latitude)?);
    if !(LONGITUDES.min..=LONGITUDES.max).contains(&longitude) || !(LATITUDES.min..=LATITUDES.max).contains(&latitude) {
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        return Err(CommandError::Other(text.into()));
    }
    Ok(Place { longitude, latitude })
}

/// Metres in a unit.
///
/// # Errors
/// Where there is no such unit.
pub(super) fn unit(name: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&[u8], f64); 4] = [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    const UNKNOWN: CommandError = CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI");
    UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name)).map(|(_, metres)| *metres).ok_or(UNKNOWN)
}

/// Reads a number, or answers with an error that says what it is for.
pub(super) fn number(text: &[u8], error: &'static str) -> Result<f64, CommandError> {
    score::parse(text).ok_or(CommandError::text(error))
}

/// Writes a distance: four digits after the point, and a text in both protocols.
pub(super) fn write_distance(distance: f64, reply: &mut ReplyBuffer) {
    let scaled = (distance * 10_000.0).round_ties_even();
    if scaled.abs() < 9e18 {
        let (whole, rest) = (scaled.abs() as u64 / 10_000, scaled.abs() as u64 % 10_000);
        let sign = if scaled < 0.0 { "-" } else { "" };
        reply.bulk(format!("{sign}{whole}.{rest:04}").as_bytes());
    } else {
        reply.bulk(format!("{distance:.4}").as_bytes());
    }
}

/// Writes longitude and latitude with 17 digits after the point, less the zeros at the end.
pub(super) fn write_place(place: Place, reply: &mut ReplyBuffer) {
    reply.array_header(2);
    for coordinate in [place.longitude, place.latitude] {
        let text = format!("{coordinate:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.version() {
            ProtocolVersion::Resp2 => reply.bulk(text.as_bytes()),
            ProtocolVersion::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_four_digits() {
        for (distance, text) in
            [(0.0, "0.0000"), (1.0, "1.0000"), (166_274.151_56, "166274.1516"), (0.000_04, "0.0000")]
        {
            let mut reply = ReplyBuffer::new(ProtocolVersion::Resp3);
            write_distance(distance, &mut reply);
            assert_eq!(reply.as_slice(), format!("${}\r\n{text}\r\n", text.len()).as_bytes());
        }
    }

    #[test]
    fn units_are_four() {
        assert_eq!(unit(b"KM"), Ok(1000.0));
        assert!(unit(b"yd").is_err() && unit(b"").is_err());
    }
}
