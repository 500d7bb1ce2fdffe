//! A report seen as named columns and rows.

use std::fmt;

use comfy_table::{CellAlignment, presets};
use serde::Serialize;

/// A table: a title, named columns, and rows of cells. Every report shows itself as one or more.
///
/// Printing it aligns the columns for a terminal.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each as long as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell of a table. `Debug` does not show a text, since it may name a person.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Cell {
    /// Nothing: the number does not exist, such as the median of no lengths.
    Empty,
    /// A count.
    Count(u64),
    /// A share between 0 and 1.
    Share(f64),
    /// A length of time in seconds.
    Seconds(f64),
    /// A name.
    Text(String),
}

impl Table {
    /// An empty table with these columns.
    pub fn new<S: Into<String>>(title: impl Into<String>, columns: impl IntoIterator<Item = S>) -> Self {
        Self { title: title.into(), columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }
}

/// What shows itself as tables.
pub trait Tables {
    /// The tables, the main one first.
    fn tables(&self) -> Vec<Table>;
}

impl<T: Tables> Tables for Vec<T> {
    fn tables(&self) -> Vec<Table> {
        self.iter().flat_map(Tables::tables).collect()
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Cell {
    /// A share, if there is one.
    pub fn share(share: Option<f64>) -> Self {
        share.map_or(Self::Empty, Self::Share)
    }

    /// A length of time in seconds, if there is one.
    pub fn seconds(seconds: Option<f64>) -> Self {
        seconds.map_or(Self::Empty, Self::Seconds)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("-"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{:.1} %", share * 100.0),
            Self::Seconds(seconds) => write_span(f, *seconds),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Writes a length of time in the largest unit that leaves a whole part.
fn write_span(f: &mut fmt::Formatter<'_>, seconds: f64) -> fmt::Result {
    let units = [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0)];
    match units.iter().find(|(_, length)| seconds >= *length) {
        Some((unit, length)) => write!(f, "{:.1} {unit}", seconds / length),
        None if seconds > 0.0 => write!(f, "{:.1} ms", seconds * 1e3),
        None => f.write_str("0 s"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(ToString::to_string));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            let is_text = self.rows.iter().filter_map(|row| row.get(i)).all(|cell| matches!(cell, Cell::Text(_)));
            column.set_cell_alignment(if is_text { CellAlignment::Left } else { CellAlignment::Right });
        }
        writeln!(f, "{}\n{table}", self.title)
    }
}

/// Prints all tables of a report, a blank line between them.
pub(crate) fn write_tables(f: &mut fmt::Formatter<'_>, report: &impl Tables) -> fmt::Result {
    for (i, table) in report.tables().iter().enumerate() {
        if i > 0 {
            writeln!(f)?;
        }
        write!(f, "{table}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_prints_aligned() {
        let mut table = Table::new("Steps", ["step", "customers", "median"]);
        table.push([Cell::from("view"), Cell::from(12_u64), Cell::Empty]);
        table.push([Cell::from("pay"), Cell::from(3_u64), Cell::Seconds(90.0)]);
        let text = table.to_string();
        assert!(text.starts_with("Steps\n"), "{text}");
        assert!(text.contains("| view |        12 |       - |"), "{text}");
        assert!(text.contains("1.5 min"), "{text}");
    }
}
