//! One property of many events: each distinct value once, and a code for each event that has it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use super::column::Column;
use crate::model::PropertyValue;

/// Distinct values, and which rows have which. Only rows with a value take memory, so that a thousand properties of a
/// few events each stay small.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PropertyColumn {
    pub(crate) values: Vec<PropertyValue>,
    /// The rows that have a value, ascending; empty if these are the first rows without a gap.
    rows: Vec<u32>,
    /// For each row that has a value its place.
    codes: Column<u32>,
}

impl PropertyColumn {
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Option<&PropertyValue> {
        let (_, code) = self.within(row..row.checked_add(1)?).next()?;
        self.values.get(code as usize)
    }

    /// Of values, and rows that have one, with its place: in ascending order, which is not checked here.
    pub(crate) fn new(values: Vec<PropertyValue>, mut rows: Vec<u32>, codes: Column<u32>) -> Self {
        if rows.last().is_some_and(|&last| last as usize + 1 == rows.len()) {
            rows = Vec::new();
        }
        Self { values, rows, codes }
    }

    /// Whether no row has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.codes.len() == 0
    }

    /// For each row that has a value its place.
    pub(crate) fn codes(&self) -> &Column<u32> {
        &self.codes
    }

    /// For each row that has a value how many rows before it, since the last such row, have none; `None` if no row has any.
    pub(crate) fn gaps(&self) -> Option<impl Iterator<Item = u32>> {
        let before = std::iter::once(0).chain(self.rows.iter().map(|row| row + 1));
        let gaps = self.rows.iter().zip(before).map(|(row, before)| row.wrapping_sub(before));
        (!self.rows.is_empty()).then_some(gaps)
    }

    /// Where these rows stand in the lists.
    fn places(&self, rows: Range<usize>) -> Range<usize> {
        if self.rows.is_empty() {
            return rows.start.min(self.codes.len())..rows.end.min(self.codes.len());
        }
        let at = |row: usize| self.rows.partition_point(|&has| (has as usize) < row);
        at(rows.start)..at(rows.end)
    }

    /// Where these rows stand among the codes, if all of them have a value.
    pub(crate) fn all_within(&self, rows: Range<usize>) -> Option<Range<usize>> {
        let places = self.places(rows.clone());
        (places.len() == rows.len()).then_some(places)
    }

    /// The rows from `rows.start` up to `rows.end` that have a value, with its place.
    pub(crate) fn within(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, u32)> {
        let row = |place: usize| self.rows.get(place).map_or(place, |&row| row as usize);
        self.places(rows).filter_map(move |place| Some((row(place), self.codes.get(place)?)))
    }

    /// Visits the places of the values of these rows, which ascend; `None` for a row that has none.
    pub(crate) fn for_each_of(&self, rows: &[u32], mut visit: impl FnMut(Option<u32>)) {
        if self.rows.is_empty() {
            rows.iter().for_each(|&row| visit(self.codes.get(row as usize)));
            return;
        }
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return };
        let mut having = self.within(first as usize..(last as usize).saturating_add(1)).peekable();
        for &row in rows {
            while having.next_if(|(has, _)| *has < row as usize).is_some() {}
            visit(having.next_if(|(has, _)| *has == row as usize).map(|(_, code)| code));
        }
    }

    /// Whether it is a column of that many rows: rows ascend, and each has a value.
    pub(crate) fn is_sound(&self, rows: usize) -> bool {
        let ascend = self.rows.is_empty()
            || self.rows.len() == self.codes.len()
                && self.rows.is_sorted_by(|a, b| a < b)
                && self.rows.last().is_some_and(|&last| (last as usize) < rows);
        ascend && self.codes.len() <= rows && self.codes.are_below(self.values.len() as u64)
    }
}

/// Makes a column row by row.
#[derive(Debug, Default)]
pub(crate) struct PropertyColumnBuilder {
    values: Vec<PropertyValue>,
    rows: Vec<u32>,
    codes: Vec<u32>,
    /// The places of texts, and of other values by their JSON text, so that 1 and 1.0 stay two values.
    texts: HashMap<String, u32, RandomState>,
    others: HashMap<String, u32, RandomState>,
}

impl PropertyColumnBuilder {
    /// The place of a value.
    pub(crate) fn code(&mut self, value: &PropertyValue) -> u32 {
        let json;
        let (known, key) = match value {
            PropertyValue::Text(text) => (&mut self.texts, text.as_str()),
            other => {
                json = serde_json::Value::from(other.clone()).to_string();
                (&mut self.others, json.as_str())
            }
        };
        if let Some(&place) = known.get(key) {
            return place;
        }
        let place = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        known.insert(key.to_owned(), place);
        place
    }

    /// Gives a row after all those before a value, by its place.
    pub(crate) fn set(&mut self, row: usize, code: u32) {
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.codes.push(code);
    }

    pub(crate) fn finish(self) -> PropertyColumn {
        PropertyColumn::new(self.values, self.rows, Column::Plain(self.codes))
    }
}
