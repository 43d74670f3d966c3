//! What GEORADIUS, GEOSEARCH and their kin ask for.

use super::area::{Area, Shape};
use super::arguments::{number, place, unit};
use super::hash::{Place, place_of};
use crate::commands::{CommandError, number as integers};
use crate::keyspace::collections::sorted_set::SortedSetRef;
use larder_protocol::Args;

/// Which of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS and GEORADIUSBYMEMBER; whether they may store.
    Radius {
        /// Not so with `_RO`.
        stores: bool,
    },
    /// GEOSEARCH
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
}

/// In which order places come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are found.
    None,
    /// The nearest first.
    Nearest,
    /// The farthest first.
    Farthest,
}

/// A search. Centre and shape are missing where there is nothing to search.
pub(super) struct Query<'a> {
    pub(super) centre: Option<Place>,
    pub(super) shape: Option<Shape>,
    /// Metres in the unit of distances.
    pub(super) metres: f64,
    pub(super) order: Order,
    /// How many at most; 0 for all.
    pub(super) count: usize,
    /// Whether any will do.
    pub(super) any: bool,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_place: bool,
    /// Where the result goes.
    pub(super) destination: Option<&'a [u8]>,
    /// Whether distances are stored rather than hashes.
    pub(super) store_distance: bool,
    from_member: bool,
}

const UNDECODED: CommandError = CommandError::text("ERR could not decode requested zset member");

/// The place of a member.
fn place_of_member(set: SortedSetRef<'_>, member: &[u8]) -> Result<Place, CommandError> {
    set.score(member).map(place_of).ok_or(UNDECODED)
}

/// Reads a radius and its unit: a circle, and the metres in the unit.
fn circle(radius: &[u8], unit_name: &[u8]) -> Result<(Shape, f64), CommandError> {
    let radius = number(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    let metres = unit(unit_name)?;
    Ok((Shape::Circle { radius: radius * metres }, metres))
}

/// Reads width, height and their unit.
fn rectangle(width: &[u8], height: &[u8], unit_name: &[u8]) -> Result<(Shape, f64), CommandError> {
    let width = number(width, "ERR need numeric width")?;
    let height = number(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    let metres = unit(unit_name)?;
    Ok((Shape::Rectangle { width: width * metres, height: height * metres }, metres))
}

impl<'a> Query<'a> {
    fn new() -> Self {
        Self {
            centre: None,
            shape: None,
            metres: 1.0,
            order: Order::None,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            destination: None,
            store_distance: false,
            from_member: false,
        }
    }

    /// GEORADIUS: a place, a radius, and options.
    pub(super) fn around_place(args: Args<'a>, stores: bool) -> Result<Self, CommandError> {
        let mut query = Self::new();
        query.centre = Some(place(&args[2], &args[3])?);
        query.set_shape(circle(&args[4], &args[5])?);
        query.options(Form::Radius { stores }, None, args.from(6))?;
        query.checked(Form::Radius { stores }, b"")
    }

    /// GEORADIUSBYMEMBER: a member, a radius, and options. Where there is no set only the options are read.
    pub(super) fn around_member(
        set: Option<SortedSetRef<'_>>,
        args: Args<'a>,
        stores: bool,
    ) -> Result<Self, CommandError> {
        let mut query = Self::new();
        if let Some(set) = set {
            query.centre = Some(place_of_member(set, &args[2])?);
            query.set_shape(circle(&args[3], &args[4])?);
        }
        query.options(Form::Radius { stores }, None, args.from(5))?;
        query.checked(Form::Radius { stores }, b"")
    }

    /// GEOSEARCH, or GEOSEARCHSTORE where there is a destination: options say everything.
    pub(super) fn search(
        set: Option<SortedSetRef<'_>>,
        args: Args<'a>,
        destination: Option<&'a [u8]>,
        options: Args<'a>,
    ) -> Result<Self, CommandError> {
        let form = if destination.is_some() { Form::SearchStore } else { Form::Search };
        let mut query = Self { destination, ..Self::new() };
        query.options(form, set, options)?;
        query.checked(form, &args[0])
    }

    fn set_shape(&mut self, (shape, metres): (Shape, f64)) {
        (self.shape, self.metres) = (Some(shape), metres);
    }

    fn options(&mut self, form: Form, set: Option<SortedSetRef<'_>>, args: Args<'a>) -> Result<(), CommandError> {
        let searches = !matches!(form, Form::Radius { .. });
        let mut at = 0;
        // Words that an option takes along, if there are as many.
        while let Some(word) = args.get(at) {
            let follow = args.len() - at - 1;
            at += 1 + match word.to_ascii_uppercase().as_slice() {
                b"WITHDIST" => set_flag(&mut self.with_distance),
                b"WITHHASH" => set_flag(&mut self.with_hash),
                b"WITHCOORD" => set_flag(&mut self.with_place),
                b"ANY" => set_flag(&mut self.any),
                b"ASC" => {
                    self.order = Order::Nearest;
                    0
                }
                b"DESC" => {
                    self.order = Order::Farthest;
                    0
                }
                b"COUNT" if follow >= 1 => {
                    let count = integers::integer(&args[at + 1])?;
                    let count = usize::try_from(count).ok().filter(|count| *count > 0);
                    self.count = count.ok_or(CommandError::text("ERR COUNT must be > 0"))?;
                    1
                }
                b"STORE" | b"STOREDIST" if form == (Form::Radius { stores: true }) && follow >= 1 => {
                    self.destination = args.get(at + 1);
                    self.store_distance = word.len() > b"STORE".len();
                    1
                }
                b"FROMMEMBER" if searches && follow >= 1 && (self.centre.is_none() || self.from_member) => {
                    self.centre = set.map(|set| place_of_member(set, &args[at + 1])).transpose()?;
                    self.from_member = true;
                    1
                }
                b"FROMLONLAT" if searches && follow >= 2 && !self.from_member => {
                    self.centre = Some(place(&args[at + 1], &args[at + 2])?);
                    2
                }
                b"BYRADIUS" if searches && follow >= 2 && !matches!(self.shape, Some(Shape::Rectangle { .. })) => {
                    self.set_shape(circle(&args[at + 1], &args[at + 2])?);
                    2
                }
                b"BYBOX" if searches && follow >= 3 && !matches!(self.shape, Some(Shape::Circle { .. })) => {
                    self.set_shape(rectangle(&args[at + 1], &args[at + 2], &args[at + 3])?);
                    3
                }
                b"STOREDIST" if form == Form::SearchStore => set_flag(&mut self.store_distance),
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(())
    }

    /// What cannot be together, in the order in which Redis looks.
    fn checked(self, form: Form, name: &[u8]) -> Result<Self, CommandError> {
        let named = |text: &str| {
            // A C string in Redis: it ends at the first NUL.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let words = format!("ERR exactly one of {text} can be specified for ");
            Err(CommandError::repeating(&[words.as_bytes(), name]))
        };
        let searches = !matches!(form, Form::Radius { .. });
        if self.destination.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let who = if searches { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CommandError::Other(text.into()));
        }
        if searches && self.centre.is_none() && !self.from_member {
            return named("FROMMEMBER or FROMLONLAT");
        }
        if searches && self.shape.is_none() {
            return named("BYRADIUS and BYBOX");
        }
        if self.any && self.count == 0 {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(self)
    }

    /// Where to search; `None` where there was no set.
    pub(super) fn area(&self) -> Option<Area> {
        Some(Area { centre: self.centre?, shape: self.shape? })
    }
}

/// Sets an option that takes nothing along.
fn set_flag(flag: &mut bool) -> usize {
    *flag = true;
    0
}
