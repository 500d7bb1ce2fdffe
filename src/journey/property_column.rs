//! One property of many events: each distinct value once, and a code for each event that has it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use crate::model::PropertyValue;

/// Distinct values, and which rows have which. Only rows with a value take memory, so that a thousand properties of a
/// few events each stay small.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PropertyColumn {
    pub(crate) values: Vec<PropertyValue>,
    /// The rows that have a value, ascending.
    pub(crate) rows: Vec<u32>,
    /// For each of these the place of its value.
    pub(crate) codes: Vec<u32>,
}

impl PropertyColumn {
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Option<&PropertyValue> {
        let (_, code) = self.within(row..row.checked_add(1)?).next()?;
        self.values.get(code as usize)
    }

    /// Whether the rows that have a value are the first ones without a gap, as when all rows have one.
    fn is_dense(&self) -> bool {
        self.rows.last().is_none_or(|&last| last as usize + 1 == self.rows.len())
    }

    /// Where these rows stand in the lists.
    fn places(&self, rows: Range<usize>) -> Range<usize> {
        if self.is_dense() {
            return rows.start.min(self.rows.len())..rows.end.min(self.rows.len());
        }
        let at = |row: usize| self.rows.partition_point(|&has| (has as usize) < row);
        at(rows.start)..at(rows.end)
    }

    /// The rows from `rows.start` up to `rows.end` that have a value, with its place.
    pub(crate) fn within(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, u32)> {
        let places = self.places(rows);
        let codes = self.codes.get(places.clone()).unwrap_or_default();
        self.rows.get(places).unwrap_or_default().iter().zip(codes).map(|(&row, &code)| (row as usize, code))
    }

    /// Whether it is a column of that many rows: rows ascend, and each has a value.
    pub(crate) fn is_sound(&self, rows: usize) -> bool {
        self.rows.len() == self.codes.len()
            && self.rows.is_sorted_by(|a, b| a < b)
            && self.rows.last().is_none_or(|&last| (last as usize) < rows)
            && self.codes.iter().all(|&code| (code as usize) < self.values.len())
    }
}

/// Makes a column row by row.
#[derive(Debug, Default)]
pub(crate) struct PropertyColumnBuilder {
    column: PropertyColumn,
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
        let place = u32::try_from(self.column.values.len()).unwrap_or(u32::MAX);
        self.column.values.push(value.clone());
        known.insert(key.to_owned(), place);
        place
    }

    /// Gives a row after all those before a value, by its place.
    pub(crate) fn set(&mut self, row: usize, code: u32) {
        self.column.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.column.codes.push(code);
    }

    pub(crate) fn finish(self) -> PropertyColumn {
        self.column
    }
}
