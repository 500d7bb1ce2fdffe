//! Events in numbers, one after the other, on their way into columns.

use std::collections::BTreeMap;

use super::{
    ChannelNo, Column, Columns, CustomerNo, NO_STAGE, ReservedNumbers, TouchpointNo, columns::offset,
    order::by_journey, property_column::PropertyColumnBuilder,
};
use crate::model::{Currency, Micros, PropertyValue, Survey};

/// What every event has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainRow {
    pub(crate) customer: CustomerNo,
    pub(crate) time: Micros,
    pub(crate) seq: u64,
    pub(crate) touchpoint: TouchpointNo,
    pub(crate) channel: ChannelNo,
    /// The number of the event's own stage, or [`NO_STAGE`].
    pub(crate) stage: u32,
}

/// Events in order of sequence. What few of them have stands apart, with their rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    plain: Vec<PlainRow>,
    values: Vec<(u32, (i128, Currency))>,
    feedback: Vec<(u32, (Survey, u8))>,
    properties: BTreeMap<u32, Vec<Cell>>,
    /// Values of properties; cells name their places. A property does not share them with another.
    kept: Vec<PropertyValue>,
    has_stages: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    row: u32,
    value: u32,
}

impl Rows {
    pub(crate) fn with_room_for(rows: usize) -> Self {
        Self { plain: Vec::with_capacity(rows), ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.plain.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// The customers of all of them, one after the other.
    pub(crate) fn customers(&self) -> impl Iterator<Item = CustomerNo> {
        self.plain.iter().map(|row| row.customer)
    }

    /// The time of the last event among them; other entries do not count.
    pub(crate) fn last_event(&self, reserved: ReservedNumbers) -> Option<Micros> {
        self.plain.iter().filter(|row| !reserved.contains(row.touchpoint)).map(|row| row.time).max()
    }

    /// Adds other rows after these.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.plain.is_empty() {
            *self = other;
            return;
        }
        let (rows, kept) = (offset(self.plain.len()), offset(self.kept.len()));
        self.plain.append(&mut other.plain);
        self.values.extend(other.values.into_iter().map(|(row, value)| (rows + row, value)));
        self.feedback.extend(other.feedback.into_iter().map(|(row, answer)| (rows + row, answer)));
        for (property, cells) in other.properties {
            let moved = cells.into_iter().map(|cell| Cell { row: rows + cell.row, value: kept + cell.value });
            self.properties.entry(property).or_default().extend(moved);
        }
        self.kept.append(&mut other.kept);
        self.has_stages |= other.has_stages;
    }

    pub(crate) fn extend(&mut self, rows: impl Iterator<Item = PlainRow>) {
        self.plain.extend(rows);
    }

    pub(crate) fn set_stage(&mut self, row: usize, stage: u32) {
        if let Some(row) = self.plain.get_mut(row) {
            row.stage = stage;
            self.has_stages |= stage != NO_STAGE;
        }
    }

    pub(crate) fn set_value(&mut self, row: usize, value: (i128, Currency)) {
        self.values.push((offset(row), value));
    }

    pub(crate) fn set_feedback(&mut self, row: usize, answer: (Survey, u8)) {
        self.feedback.push((offset(row), answer));
    }

    /// Keeps a value for the cells of one property.
    pub(crate) fn keep_value(&mut self, value: PropertyValue) -> u32 {
        self.kept.push(value);
        offset(self.kept.len() - 1)
    }

    /// Gives a row the value that was kept at a place.
    pub(crate) fn set_property(&mut self, row: usize, property: u32, value: u32) {
        self.properties.entry(property).or_default().push(Cell { row: offset(row), value });
    }

    /// Sorts the rows into columns.
    pub(crate) fn into_columns(self) -> Columns {
        let order = by_journey(&self.plain);
        let mut columns = Columns::default();
        let count = order.len();
        let (mut times, mut seqs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut touchpoints, mut channels) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut becomes = vec![0_u32; count];
        for (number, row) in order.into_iter().map(|row| row as usize).enumerate() {
            let Some(plain) = self.plain.get(row) else { continue };
            columns.open_journey(plain.customer, number);
            times.push(plain.time);
            touchpoints.push(plain.touchpoint);
            seqs.push(plain.seq);
            channels.push(plain.channel);
            if self.has_stages {
                columns.stages.push(plain.stage);
            }
            if let Some(becomes) = becomes.get_mut(row) {
                *becomes = offset(number);
            }
        }
        columns.close_journeys(times.len());
        (columns.times, columns.seqs) = (Column::Plain(times), Column::Plain(seqs));
        (columns.touchpoints, columns.channels) = (Column::Plain(touchpoints), Column::Plain(channels));
        columns.values = spread(&self.values, &becomes);
        columns.feedback = spread(&self.feedback, &becomes);
        let column = |cells| property_column(cells, &becomes, &self.kept);
        columns.properties = self.properties.iter().map(|(property, cells)| (*property, column(cells))).collect();
        columns
    }
}

/// A column of what few rows have; empty if none has it.
fn spread<T: Copy>(cells: &[(u32, T)], becomes: &[u32]) -> Vec<Option<T>> {
    if cells.is_empty() {
        return Vec::new();
    }
    let mut column = vec![None; becomes.len()];
    for (row, cell) in cells {
        if let Some(place) = becomes.get(*row as usize).and_then(|row| column.get_mut(*row as usize)) {
            *place = Some(*cell);
        }
    }
    column
}

fn property_column(cells: &[Cell], becomes: &[u32], kept: &[PropertyValue]) -> super::PropertyColumn {
    const UNSEEN: u32 = u32::MAX;
    let at = |cell: &Cell| becomes.get(cell.row as usize).copied().unwrap_or_default();
    let mut sorted: Vec<(u32, u32)> = Vec::with_capacity(cells.len());
    if cells.len() >= becomes.len() / 8 {
        // Most rows have it: cheaper than sorting is to lay the cells out.
        let mut laid = vec![UNSEEN; becomes.len()];
        for cell in cells {
            if let Some(place) = laid.get_mut(at(cell) as usize) {
                *place = cell.value;
            }
        }
        sorted.extend((0..).zip(laid).filter(|(_, value)| *value != UNSEEN));
    } else {
        sorted.extend(cells.iter().map(|cell| (at(cell), cell.value)));
        sorted.sort_unstable();
    }
    let mut column = PropertyColumnBuilder::default();
    // Values are kept once per batch; each is looked up once.
    let (first, last) = cells.iter().fold((UNSEEN, 0), |(a, b), cell| (a.min(cell.value), b.max(cell.value)));
    let mut codes = vec![UNSEEN; (last.saturating_sub(first) as usize).saturating_add(1)];
    for (row, value) in sorted {
        let Some(code) = codes.get_mut(value.saturating_sub(first) as usize) else { continue };
        if *code == UNSEEN {
            let Some(value) = kept.get(value as usize) else { continue };
            *code = column.code(value);
        }
        column.set(row as usize, *code);
    }
    column.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_customer_time_and_sequence() {
        let mut random = fastrand::Rng::with_seed(3);
        for few in [1, 30] {
            let mut rows = Rows::default();
            let mut expected = Vec::new();
            for seq in 0..300_u32 {
                let (customer, time) = (CustomerNo(random.u32(0..9)), Micros(random.i64(-3..3)));
                rows.extend(std::iter::once(PlainRow {
                    customer,
                    time,
                    seq: seq.into(),
                    touchpoint: TouchpointNo(seq),
                    channel: ChannelNo(0),
                    stage: NO_STAGE,
                }));
                let value = (seq % few == 0).then(|| PropertyValue::from(i64::from(seq % 7)));
                if let Some(value) = &value {
                    let place = rows.keep_value(value.clone());
                    rows.set_property(seq as usize, 5, place);
                    rows.set_feedback(seq as usize, (Survey::Nps, 3));
                }
                expected.push((customer, time, seq, value));
            }
            expected.sort_by_key(|(customer, time, seq, _)| (*customer, *time, *seq));
            let columns = rows.into_columns();
            assert!(columns.is_sound(300) && columns.stages.is_empty() && columns.values.is_empty());
            for (row, (_, time, seq, value)) in expected.into_iter().enumerate() {
                assert_eq!(
                    (columns.times.get(row), columns.seqs.get(row), columns.touchpoints.get(row).map(|t| t.0)),
                    (Some(time), Some(seq.into()), Some(seq))
                );
                assert_eq!(columns.properties[&5].get(row), value.as_ref());
                assert_eq!(columns.feedback[row].is_some(), value.is_some());
            }
        }
    }
}
