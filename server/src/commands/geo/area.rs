//! Which cells of the grid a search looks into.

use super::hash::{Cell, EARTH_RADIUS_M, Place, degrees, distance, distance_north, radians};
use smallvec::SmallVec;

/// What a search covers, in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// Up to this far away.
    Circle {
        /// Its radius.
        radius: f64,
    },
    /// A rectangle along the meridians.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// A shape around a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) centre: Place,
    pub(super) shape: Shape,
}

/// Half of the earth's circumference on a map of Mercator's.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

impl Area {
    /// How far from the centre a place in the area is; `None` for one outside.
    pub(super) fn distance(&self, place: Place) -> Option<f64> {
        let inside = match self.shape {
            Shape::Circle { radius } => {
                let distance = distance(self.centre, place);
                return (distance <= radius).then_some(distance);
            }
            Shape::Rectangle { width, height } => {
                let across = Place { longitude: self.centre.longitude, latitude: place.latitude };
                distance_north(place.latitude, self.centre.latitude) <= height / 2.0
                    && distance(place, across) <= width / 2.0
            }
        };
        inside.then(|| distance(self.centre, place))
    }

    /// How far the area reaches from its centre.
    fn reach(&self) -> f64 {
        match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    /// South-west and north-east corners of a box around the area.
    fn corners(&self) -> (Place, Place) {
        let (half_width, half_height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Rectangle { width, height } => (width / 2.0, height / 2.0),
        };
        let Place { longitude, latitude } = self.centre;
        let north = degrees(half_height / EARTH_RADIUS_M);
        // Meridians are nearest to each other where the area is nearest to a pole.
        let widest = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(half_width / EARTH_RADIUS_M / libm::cos(radians(widest)));
        let corner = |sign: f64| Place { longitude: longitude + sign * east, latitude: latitude + sign * north };
        (corner(-1.0), corner(1.0))
    }

    /// Steps for which a cell and its neighbours cover the area, nearly always.
    fn steps(&self) -> u32 {
        let mut range = self.reach();
        if range == 0.0 {
            return super::hash::STEPS_MAX;
        }
        let mut steps = -1;
        while range < MERCATOR_MAX_M {
            range *= 2.0;
            steps += 1;
        }
        // Cells are narrow near the poles.
        let north = self.centre.latitude.abs();
        steps -= i32::from(north > 66.0) + i32::from(north > 80.0);
        steps.clamp(1, super::hash::STEPS_MAX as i32) as u32
    }

    /// The cells to look into, in the order in which Redis does.
    pub(super) fn cells(&self) -> SmallVec<[Cell; 9]> {
        /// Columns to the east and rows to the north.
        const AROUND: [(i64, i64); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let (low, high) = self.corners();
        let mut centre = Cell::of(self.centre, self.steps());
        let too_small = centre.moved(0, 1).latitudes().max < high.latitude
            || centre.moved(0, -1).latitudes().min > low.latitude
            || centre.moved(1, 0).longitudes().max < high.longitude
            || centre.moved(-1, 0).longitudes().min > low.longitude;
        if too_small && centre.steps > 1 {
            centre = Cell::of(self.centre, centre.steps - 1);
        }
        // Sides on which the middle cell reaches beyond the area already. Of two columns each is beside the other twice.
        let (columns, rows) = (centre.longitudes(), centre.latitudes());
        let useless = |east: i64, north: i64| {
            centre.steps >= 2
                && (north < 0 && rows.min < low.latitude
                    || north > 0 && rows.max > high.latitude
                    || east < 0 && columns.min < low.longitude
                    || east > 0 && columns.max > high.longitude)
        };
        let mut cells: SmallVec<[Cell; 9]> = SmallVec::new();
        for (east, north) in AROUND {
            let cell = centre.moved(east, north);
            // In a coarse grid neighbours are the same. The first of all is not compared with: a neighbour is never it, but
            // in a grid of one column, which there is not.
            let again = cells.len() > 1 && cells.last() == Some(&cell);
            if !useless(east, north) && !again {
                cells.push(cell);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What lies in a circle, away from the poles and the line where the days meet, is in one of the cells.
        #[test]
        fn cells_cover_the_circle(
            longitude in -90.0..90.0,
            latitude in -60.0..60.0,
            radius in 1.0..1_000_000.0f64,
            east in -1.0..1.0,
            north in -1.0..1.0,
        ) {
            let centre = Place { longitude, latitude };
            let area = Area { centre, shape: Shape::Circle { radius } };
            let reach = degrees(radius / EARTH_RADIUS_M);
            let place = Place { longitude: longitude + east * reach, latitude: latitude + north * reach };
            let score = Cell::of(place, super::super::hash::STEPS_MAX).bits() as f64;
            if area.distance(super::super::hash::place_of(score)).is_some() {
                let cells = area.cells();
                let holds = |cell: &&Cell| (cell.scores().0..cell.scores().1).contains(&score);
                prop_assert_eq!(cells.iter().filter(holds).count(), 1, "{:?}", cells);
            }
        }
    }
}
