//! One customer's events in order, borrowed: what an analysis visits.

use std::ops::Range;

use super::{ChannelNo, Columns, CustomerNo, Needs, PropertyNo, TouchpointNo};
use crate::model::{Currency, Micros, PropertyValue, Seq, Survey};

/// What plans read from the events of a set of columns, worked out once for all of them.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    /// The columns that the plan asked for. What it did not ask for it does not see, even if it was read.
    pub(crate) needs: Needs,
    /// Per registered list of conditions: bit i of a row's word is set if condition i holds.
    pub(crate) masks: Vec<Vec<u64>>,
    /// Per registered journey model: 0 for no stage, else the stage's place counted from 1.
    pub(crate) stages: Vec<Vec<u8>>,
}

/// One customer's events in order of (time, sequence), as slices of equal length: position i of each is event i.
///
/// A column that the plan did not ask for when it was bound is empty.
#[derive(Debug, Clone, Copy)]
pub struct Journey<'a> {
    columns: &'a Columns,
    readings: &'a Readings,
    customer: CustomerNo,
    start: usize,
    end: usize,
}

impl<'a> Journey<'a> {
    /// The journeys of these columns, in order of customers' numbers.
    pub(crate) fn all(columns: &'a Columns, readings: &'a Readings) -> impl Iterator<Item = Self> {
        columns.journeys().map(move |(customer, Range { start, end })| Self { columns, readings, customer, start, end })
    }

    fn part<T>(&self, column: &'a [T]) -> &'a [T] {
        column.get(self.start..self.end).unwrap_or_default()
    }

    /// Whose journey it is.
    pub fn customer(&self) -> CustomerNo {
        self.customer
    }

    /// How many events it has; never 0.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// True if it has no events, which does not occur.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When each event happened, in microseconds; not decreasing.
    pub fn times(&self) -> &'a [Micros] {
        self.part(&self.columns.times)
    }

    /// Where each event happened.
    pub fn touchpoints(&self) -> &'a [TouchpointNo] {
        self.part(&self.columns.touchpoints)
    }

    /// Through what each event came; empty unless asked for.
    pub fn channels(&self) -> &'a [ChannelNo] {
        if self.readings.needs.channels { self.part(&self.columns.channels) } else { &[] }
    }

    /// An event's place in the log, if asked for.
    pub fn seq(&self, event: usize) -> Option<Seq> {
        self.part(&self.columns.seqs).get(event).filter(|_| self.readings.needs.seqs).copied().map(Seq)
    }

    /// An event's money in units of 10^-9 of its currency, if asked for.
    pub fn value(&self, event: usize) -> Option<(i128, Currency)> {
        self.part(&self.columns.values).get(event).filter(|_| self.readings.needs.values).copied().flatten()
    }

    /// An event's answer to a survey, if asked for.
    pub fn feedback(&self, event: usize) -> Option<(Survey, u8)> {
        self.part(&self.columns.feedback).get(event).filter(|_| self.readings.needs.feedback).copied().flatten()
    }

    /// An event's property, if asked for.
    pub fn property(&self, property: PropertyNo, event: usize) -> Option<&'a PropertyValue> {
        let asked = self.readings.needs.properties.contains(property.0);
        self.columns.properties.get(&property.0).filter(|_| asked)?.get(self.start.checked_add(event)?)
    }

    pub(crate) fn mask_words(&self, list: usize) -> &'a [u64] {
        self.readings.masks.get(list).map_or(&[], |column| self.part(column))
    }

    pub(crate) fn stage_codes(&self, model: usize) -> &'a [u8] {
        self.readings.stages.get(model).map_or(&[], |column| self.part(column))
    }
}
