//! One property of many events: each distinct value once, and a code for each event that has it.

use std::collections::HashMap;

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
        let place = self.rows.binary_search(&u32::try_from(row).ok()?).ok()?;
        self.values.get(*self.codes.get(place)? as usize)
    }

    /// The rows from `rows.start` up to `rows.end` that have a value, with its place.
    pub(crate) fn within(&self, rows: std::ops::Range<usize>) -> impl Iterator<Item = (usize, u32)> {
        let at = |row: usize| self.rows.partition_point(|&has| (has as usize) < row);
        let places = at(rows.start)..at(rows.end);
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
    known: HashMap<String, u32>,
}

impl PropertyColumnBuilder {
    /// The place of a value. Values are told apart by their JSON text, so 1 and 1.0 stay two values.
    pub(crate) fn code(&mut self, value: &PropertyValue) -> u32 {
        let text = serde_json::Value::from(value.clone()).to_string();
        *self.known.entry(text).or_insert_with(|| {
            self.column.values.push(value.clone());
            u32::try_from(self.column.values.len() - 1).unwrap_or(u32::MAX)
        })
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
