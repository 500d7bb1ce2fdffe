//! The columns of one CSV file, and the fields that a mapping takes from them.

use std::collections::HashSet;

use csv::ByteRecord;

use super::Source;
use crate::error::InvalidValue;

/// A field of an event: where it comes from, and how errors call it.
#[derive(Debug)]
pub(super) struct Field {
    source: Place,
    pub(super) called: String,
}

#[derive(Debug)]
enum Place {
    Column(usize),
    Constant(String),
}

impl Field {
    /// The text of the field; `None` if the cell is empty.
    pub(super) fn text<'a>(&'a self, record: &'a ByteRecord) -> Result<Option<&'a str>, String> {
        let text = match &self.source {
            Place::Constant(text) => text,
            Place::Column(column) => {
                let cell = record.get(*column).unwrap_or_default();
                str::from_utf8(cell).map_err(|_| self.says("is not UTF-8"))?.trim()
            }
        };
        Ok((!text.is_empty()).then_some(text))
    }

    pub(super) fn needed<'a>(&'a self, record: &'a ByteRecord) -> Result<&'a str, String> {
        self.text(record)?.ok_or_else(|| self.says("is empty"))
    }

    pub(super) fn says(&self, reason: &str) -> String {
        format!("{}: {reason}", self.called)
    }

    pub(super) fn refuses(&self) -> impl Fn(InvalidValue) -> String {
        |refused| self.says(refused.reason())
    }
}

/// The columns of a file, and which of them the mapping names.
pub(super) struct Columns {
    names: Option<Vec<String>>,
    count: usize,
    used: Vec<usize>,
}

impl Columns {
    pub(super) fn new(header: bool, first: &ByteRecord) -> Self {
        let names = header.then(|| first.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect());
        Self { names, count: first.len(), used: Vec::new() }
    }

    pub(super) fn optional(&mut self, field: &str, source: Option<&Source>) -> Result<Option<Field>, InvalidValue> {
        source.map(|source| self.field(field, source)).transpose()
    }

    pub(super) fn field(&mut self, field: &str, source: &Source) -> Result<Field, InvalidValue> {
        let refused = |reason: String| Err(InvalidValue::new(field, reason));
        let column = match source {
            Source::Constant(text) => {
                return Ok(Field { source: Place::Constant(text.clone()), called: format!("{field} (constant)") });
            }
            Source::Numbered(number) => match (*number as usize).checked_sub(1) {
                None => return refused("columns are numbered from 1".to_owned()),
                Some(column) if column >= self.count => {
                    return refused(format!("there is no column {number}, there are {}", self.count));
                }
                Some(column) => column,
            },
            Source::Named(name) => {
                let Some(names) = &self.names else {
                    return refused(format!("there is no header to find column {name} in; give its number"));
                };
                let mut found = names.iter().enumerate().filter(|(_, known)| *known == name);
                match (found.next(), found.next()) {
                    (Some((column, _)), None) => column,
                    (Some(_), Some(_)) => return refused(format!("there are two columns {name}; give its number")),
                    (None, _) => {
                        return refused(format!("there is no column {name}; the columns are {}", names.join(", ")));
                    }
                }
            }
        };
        self.used.push(column);
        let name = match &self.names {
            Some(names) => names.get(column).cloned().unwrap_or_default(),
            None => (column + 1).to_string(),
        };
        Ok(Field { source: Place::Column(column), called: format!("{field} (column {name})") })
    }

    /// All columns that no field names, as properties.
    pub(super) fn others(&self) -> Result<Vec<(String, Field)>, InvalidValue> {
        let mut others: Vec<(String, Field)> = Vec::new();
        let used: HashSet<usize> = self.used.iter().copied().collect();
        let mut known = HashSet::new();
        for column in (0..self.count).filter(|column| !used.contains(column)) {
            let number = || format!("column_{}", column + 1);
            let name = self.names.as_ref().and_then(|names| names.get(column)).cloned().unwrap_or_default();
            let name = if name.is_empty() { number() } else { name };
            if !known.insert(name.clone()) {
                return Err(InvalidValue::new("properties", format!("there are two columns {name}")));
            }
            let called = format!("property (column {name})");
            others.push((name, Field { source: Place::Column(column), called }));
        }
        Ok(others)
    }

    /// How many cells a record needs so that no column that is asked for is missing.
    pub(super) fn needed(&self) -> usize {
        self.used.iter().max().map_or(0, |last| last + 1)
    }
}
