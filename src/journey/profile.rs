//! Properties of profiles, laid out to the events of a journey: each sees the value that held then, or the latest.

use std::{collections::BTreeSet, ops::Range};

use super::{Column, Columns, PropertyColumn};
use crate::model::{Micros, ProfileWhen};

/// Columns of latest values have the number of the property with this bit; those of values that held then the number itself.
const LATEST: u32 = 1 << 31;

/// Which properties of profiles a question reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profiles(BTreeSet<u32>);

impl Profiles {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for a property, and says under which number its column will be found.
    pub(crate) fn add(&mut self, property: u32, when: ProfileWhen) -> u32 {
        let number = Self::number(property, when);
        self.0.insert(number);
        number
    }

    /// Under which number a property's column is found, if it was asked for.
    pub(crate) fn number(property: u32, when: ProfileWhen) -> u32 {
        match when {
            ProfileWhen::Then => property,
            ProfileWhen::Latest => property | LATEST,
        }
    }

    /// Whether a column of this number was laid out.
    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.contains(&number)
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The properties as the index has them.
    pub(crate) fn properties(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|number| number & !LATEST)
    }

    /// Lays them out: what stands in the rows of profiles alone comes to stand in all rows of their journeys for which it
    /// holds. Times must have been read.
    pub(crate) fn lay_out(&self, columns: &mut Columns) {
        let laid: Vec<(u32, PropertyColumn)> = self
            .0
            .iter()
            .filter_map(|number| {
                let column = columns.properties.get(&(number & !LATEST))?;
                Some((*number, laid_out(column, columns, number & LATEST != 0)))
            })
            .collect();
        for property in self.properties() {
            columns.properties.remove(&property);
        }
        columns.properties.extend(laid);
    }
}

fn laid_out(column: &PropertyColumn, columns: &Columns, latest: bool) -> PropertyColumn {
    let (mut rows, mut codes) = (Vec::new(), Vec::new());
    let mut set: Vec<(usize, u32)> = Vec::new();
    for (_, journey) in columns.journeys() {
        set.clear();
        set.extend(column.within(journey.clone()));
        let Some(&(_, last)) = set.last() else { continue };
        let mut add = |row: usize, code: u32| {
            rows.push(super::columns::offset(row));
            codes.push(code);
        };
        if latest {
            journey.for_each(|row| add(row, last));
        } else {
            as_it_was(&set, columns, journey, add);
        }
    }
    PropertyColumn::new(column.values.clone(), rows, Column::Plain(codes))
}

/// For each row of a journey the last value that was set up to its moment, whatever the order within that.
fn as_it_was(set: &[(usize, u32)], columns: &Columns, journey: Range<usize>, mut add: impl FnMut(usize, u32)) {
    let time = |row: usize| columns.times.get(row).unwrap_or(Micros::MIN);
    let mut ahead = set.iter().peekable();
    let mut held = None;
    for row in journey {
        let now = time(row);
        while let Some((_, code)) = ahead.next_if(|(row, _)| time(*row) <= now) {
            held = Some(*code);
        }
        held.into_iter().for_each(|code| add(row, code));
    }
}
