//! Geohashes of 52 bits and distances, as Redis computes them.
//!
//! A geohash says in which cell of a grid a place lies: `2^steps` columns of longitude by as many rows of latitude, the bits
//! of column and row taken in turn. A member's score is the hash of 26 steps, so all of a coarser cell's members are one
//! range of scores.
//!
//! Sine and its kin come from a library of Rust's rather than from the machine's: GEOSEARCHSTORE computes on every copy,
//! and libraries of C differ in the last bit, even by the CPU that they find.

/// Places of one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Longitudes.
pub(super) const LONGITUDES: Span = Span { min: -180.0, max: 180.0 };
/// Latitudes: as far as the Mercator projection of maps on the web goes.
pub(super) const LATITUDES: Span = Span { min: -85.051_128_78, max: 85.051_128_78 };
/// Latitudes of the geohashes that everybody else writes.
pub(super) const ALL_LATITUDES: Span = Span { min: -90.0, max: 90.0 };
/// Steps of a score.
pub(super) const STEPS_MAX: u32 = 26;
/// The radius of the earth.
pub(super) const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Place {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// A cell of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Columns from the west. The eastern edge of the last is a column of its own.
    column: u64,
    /// Rows from the south. The northern edge of the last is a row of its own.
    row: u64,
    pub(super) steps: u32,
}

impl Span {
    /// Where `value` lies, in cells from the start.
    fn cell_of(self, value: f64, steps: u32) -> u64 {
        let offset = (value - self.min) / (self.max - self.min);
        (offset * (1u64 << steps) as f64) as u64
    }

    /// The places of a cell.
    fn cell(self, number: u64, steps: u32) -> Self {
        let (size, cells) = (self.max - self.min, (1u64 << steps) as f64);
        let edge = |number: u32| self.min + (f64::from(number) / cells) * size;
        let number = number as u32;
        Self { min: edge(number), max: edge(number.wrapping_add(1)) }
    }
}

impl Cell {
    /// The cell of a place, by Redis's latitudes.
    pub(super) fn of(place: Place, steps: u32) -> Self {
        Self::within(LATITUDES, place, steps)
    }

    /// The cell of a place in a grid over `latitudes`.
    pub(super) fn within(latitudes: Span, place: Place, steps: u32) -> Self {
        let column = LONGITUDES.cell_of(place.longitude, steps);
        Self { column, row: latitudes.cell_of(place.latitude, steps), steps }
    }

    /// The cell of a score. Any number is one: what no geohash is reads as Redis on x86-64 reads it.
    pub(super) fn of_score(score: f64) -> Self {
        const HALF: f64 = (1u64 << 63) as f64;
        let converted = |number: f64| if (-HALF..HALF).contains(&number) { number as i64 as u64 } else { 1 << 63 };
        let bits = if score >= HALF { converted(score - HALF) ^ 1 << 63 } else { converted(score) };
        Self { column: squeezed(bits >> 1), row: squeezed(bits), steps: STEPS_MAX }
    }

    /// The hash: the bits of row and column in turn.
    pub(super) fn bits(self) -> u64 {
        spread(self.row) | spread(self.column) << 1
    }

    /// The cell so many columns to the east and rows to the north, around the edges.
    pub(super) fn moved(self, east: i64, north: i64) -> Self {
        let mask = (1u64 << self.steps) - 1;
        let moved = |number: u64, by: i64| if by == 0 { number } else { number.wrapping_add_signed(by) & mask };
        Self { column: moved(self.column, east), row: moved(self.row, north), steps: self.steps }
    }

    pub(super) fn longitudes(self) -> Span {
        LONGITUDES.cell(self.column, self.steps)
    }

    pub(super) fn latitudes(self) -> Span {
        LATITUDES.cell(self.row, self.steps)
    }

    /// The place in the middle.
    pub(super) fn middle(self) -> Place {
        let middle = |cell: Span, within: Span| ((cell.min + cell.max) / 2.0).clamp(within.min, within.max);
        Place { longitude: middle(self.longitudes(), LONGITUDES), latitude: middle(self.latitudes(), LATITUDES) }
    }

    /// The scores of what lies in the cell: from the first, up to but without the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let aligned = |bits: u64| (bits << (2 * (STEPS_MAX - self.steps))) as f64;
        (aligned(self.bits()), aligned(self.bits() + 1))
    }
}

/// The place that a score stands for.
pub(super) fn place_of(score: f64) -> Place {
    Cell::of_score(score).middle()
}

/// Spreads 32 bits over the even ones of 64.
fn spread(number: u64) -> u64 {
    const STEPS: [(u32, u64); 5] = [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    STEPS.iter().fold(number & 0xFFFF_FFFF, |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Gathers the even ones of 64 bits.
fn squeezed(bits: u64) -> u64 {
    const STEPS: [(u32, u64); 5] = [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ];
    STEPS.iter().fold(bits & 0x5555_5555_5555_5555, |bits, (shift, mask)| (bits | bits >> shift) & mask)
}

const RADIAN: f64 = std::f64::consts::PI / 180.0;

/// Radians of degrees.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIAN
}

/// Degrees of radians.
pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIAN
}

/// The way between two latitudes, in metres.
pub(super) fn distance_north(one: f64, other: f64) -> f64 {
    EARTH_RADIUS_M * (radians(other) - radians(one)).abs()
}

/// The way between two places along a great circle, in metres, by the haversine.
pub(super) fn distance(one: Place, other: Place) -> f64 {
    let v = libm::sin((radians(other.longitude) - radians(one.longitude)) / 2.0);
    if v == 0.0 {
        return distance_north(one.latitude, other.latitude);
    }
    let (latitude, other_latitude) = (radians(one.latitude), radians(other.latitude));
    let u = libm::sin((other_latitude - latitude) / 2.0);
    let a = u * u + libm::cos(latitude) * libm::cos(other_latitude) * v * v;
    // Rounding may lift the square of a sine above 1, for places that are opposite.
    2.0 * EARTH_RADIUS_M * libm::asin(a.min(1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };

    #[test]
    fn a_place_has_redis_s_score() {
        let cell = Cell::of(PALERMO, STEPS_MAX);
        assert_eq!(cell.bits(), 3_479_099_956_230_698);
        let middle = cell.middle();
        assert_eq!((middle.longitude, middle.latitude), (13.361389338970184, 38.115_556_395_496_3));
        assert_eq!(cell.moved(1, -1).moved(-1, 1), cell);
    }

    proptest! {
        #[test]
        fn a_score_leads_back_to_its_cell(longitude in -180.0..180.0, latitude in -85.0..85.0, steps in 1u32..=26) {
            let place = Place { longitude, latitude };
            let cell = Cell::of(place, STEPS_MAX);
            prop_assert_eq!(Cell::of_score(cell.bits() as f64), cell);
            let (low, high) = Cell::of(place, steps).scores();
            prop_assert!((low..high).contains(&(cell.bits() as f64)));
        }

        #[test]
        fn any_score_is_some_place(score: f64) {
            let place = place_of(score);
            prop_assert!(place.longitude.abs() <= 180.0 && place.latitude.abs() <= 86.0);
            prop_assert!(distance(place, PALERMO) <= 21_000_000.0);
        }
    }
}
