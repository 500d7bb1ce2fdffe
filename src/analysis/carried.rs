//! What picked events carry along: a number of a value for each, looked up for their rows only.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Binder;
use crate::{
    journey::{Chunk, Columns, NO_VALUE, NameKind, Needs, Part, Profiles},
    model::{Currency, ProfileWhen, Scalar, profile_property},
};

/// Which value each picked event carries along, as a number.
#[derive(Debug, Clone)]
pub(crate) enum Carried {
    /// The number of its channel.
    Channel,
    /// The number of its touchpoint.
    Touchpoint,
    /// The place of its property's value in a list of all that occur; `None` if no event has that property.
    Property(Option<u32>),
    /// The same of a property of the customer's profile, as it was then or as it is in the end.
    Profile(Option<u32>, ProfileWhen),
    /// How many of these amounts, in units of 10^-9 and ascending, its money in that currency reaches.
    Band(Currency, Vec<i128>),
    /// The place of its money in that currency in a list of amounts.
    Money(Currency),
}

impl Carried {
    /// Of a property of the customer's profile.
    pub(super) fn profile(binder: &Binder<'_>, name: &str, when: ProfileWhen) -> Self {
        Self::Profile(binder.names().find(NameKind::Property, &profile_property(name)), when)
    }

    /// Notes what it reads.
    pub(super) fn note_needs(&self, needs: &mut Needs) {
        match self {
            Self::Channel => needs.channels = true,
            Self::Touchpoint => needs.touchpoints = true,
            Self::Property(Some(property)) => needs.properties.add(*property),
            Self::Profile(Some(property), when) => drop(needs.profiles.add(*property, *when)),
            Self::Property(None) | Self::Profile(None, _) => {}
            Self::Band(..) | Self::Money(_) => needs.values = true,
        }
    }

    /// Begins to look values up in a chunk.
    pub(super) fn carry<'a>(&'a self, chunk: &'a Chunk<'a>) -> Carrying<'a> {
        Carrying {
            carried: self,
            parts: &chunk.parts,
            tables: Vec::new(),
            places: HashMap::default(),
            values: Vec::new(),
            amounts: Vec::new(),
        }
    }
}

/// Values of a chunk's events on their way into a list.
pub(super) struct Carrying<'a> {
    carried: &'a Carried,
    parts: &'a [Part<'a>],
    /// For each part the numbers of its property's values, as far as they have been met.
    tables: Vec<Vec<u32>>,
    places: HashMap<Scalar, u32, RandomState>,
    values: Vec<Scalar>,
    amounts: Vec<i128>,
}

/// Not looked up yet.
const UNSEEN: u32 = NO_VALUE - 1;

impl Carrying<'_> {
    /// Adds the values of some rows of a part, in ascending order.
    pub(super) fn add(&mut self, part: usize, rows: &[u32], into: &mut Vec<u32>) {
        let Some(columns) = self.parts.get(part).map(|part| part.columns) else { return };
        match self.carried {
            Carried::Channel => columns.channels.gather_small(rows, into),
            Carried::Touchpoint => columns.touchpoints.gather_small(rows, into),
            Carried::Property(property) => self.add_property(*property, part, columns, rows, into),
            Carried::Profile(property, when) => {
                let number = property.map(|property| Profiles::number(property, *when));
                self.add_property(number, part, columns, rows, into);
            }
            Carried::Band(currency, edges) => into.extend(rows.iter().map(|&row| {
                let value = columns.values.get(row as usize).copied().flatten();
                let amount = value.filter(|(_, of)| of == currency).map(|(amount, _)| amount);
                amount.map_or(NO_VALUE, |amount| number(edges.partition_point(|edge| *edge <= amount)))
            })),
            Carried::Money(currency) => into.extend(rows.iter().map(|&row| {
                let value = columns.values.get(row as usize).copied().flatten();
                let Some((amount, _)) = value.filter(|(_, of)| of == currency) else { return NO_VALUE };
                self.amounts.push(amount);
                number(self.amounts.len() - 1)
            })),
        }
    }

    fn add_property(
        &mut self,
        property: Option<u32>,
        part: usize,
        columns: &Columns,
        rows: &[u32],
        into: &mut Vec<u32>,
    ) {
        let Some(column) = property.and_then(|property| columns.properties.get(&property)) else {
            into.extend(std::iter::repeat_n(NO_VALUE, rows.len()));
            return;
        };
        if self.tables.len() <= part {
            self.tables.resize(part + 1, Vec::new());
        }
        let (places, values) = (&mut self.places, &mut self.values);
        let Some(table) = self.tables.get_mut(part) else { return };
        if table.is_empty() {
            table.resize(column.values.len(), UNSEEN);
        }
        column.for_each_of(rows, |code| {
            let known = code.and_then(|code| Some((table.get_mut(code as usize)?, column.values.get(code as usize)?)));
            let Some((known, value)) = known else { return into.push(NO_VALUE) };
            if *known == UNSEEN {
                *known = Scalar::of(value).map_or(NO_VALUE, |value| {
                    *places.entry(value).or_insert_with_key(|value| {
                        values.push(value.clone());
                        number(values.len() - 1)
                    })
                });
            }
            into.push(*known);
        });
    }

    /// What the numbers of properties and of money stand for.
    pub(super) fn into_lists(self) -> (Vec<Scalar>, Vec<i128>) {
        (self.values, self.amounts)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NO_VALUE)
}
