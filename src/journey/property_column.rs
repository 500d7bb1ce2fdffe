//! One property of many events: each distinct value once, and a code for each event.

use std::collections::HashMap;

use crate::model::PropertyValue;

/// Values in the order of first appearance; a code of 0 is "missing", k is the k-th value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PropertyColumn {
    pub(crate) values: Vec<PropertyValue>,
    pub(crate) codes: Vec<u32>,
}

impl PropertyColumn {
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Option<&PropertyValue> {
        let code = *self.codes.get(row)? as usize;
        self.values.get(code.checked_sub(1)?)
    }
}

/// Makes a column row by row. Rows may be skipped: they are missing.
#[derive(Debug, Default)]
pub(crate) struct PropertyColumnBuilder {
    column: PropertyColumn,
    known: HashMap<String, u32>,
}

impl PropertyColumnBuilder {
    /// The code of a value. Values are told apart by their JSON text, so 1 and 1.0 stay two values.
    pub(crate) fn code(&mut self, value: &PropertyValue) -> u32 {
        let text = serde_json::Value::from(value.clone()).to_string();
        *self.known.entry(text).or_insert_with(|| {
            self.column.values.push(value.clone());
            u32::try_from(self.column.values.len()).unwrap_or(u32::MAX)
        })
    }

    /// Gives the next row this code; rows before it that have none are missing.
    pub(crate) fn set(&mut self, row: usize, code: u32) {
        self.column.codes.resize(row, 0);
        self.column.codes.push(code);
    }

    /// The column of that many rows.
    pub(crate) fn finish(mut self, rows: usize) -> PropertyColumn {
        self.column.codes.resize(rows, 0);
        self.column
    }
}
