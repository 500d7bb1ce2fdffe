//! Where the fields of an event come from in a CSV file, as a mapping says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{error::InvalidValue, model::UniqueKeys};

/// Where a field comes from: a column by its name in the header, a column by its number from 1, or the same text in
/// every line. In JSON `"user_id"`, `3` and `{"constant":"web"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
#[non_exhaustive]
pub enum Source {
    /// The column with this name in the header.
    Named(String),
    /// The column with this number, counted from 1.
    Numbered(u32),
    /// No column: this text.
    Constant(String),
}

impl Source {
    /// The same text in every line.
    pub fn constant(text: impl Into<String>) -> Self {
        Self::Constant(text.into())
    }
}

impl From<&str> for Source {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for Source {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl From<u32> for Source {
    fn from(number: u32) -> Self {
        Self::Numbered(number)
    }
}

impl TryFrom<Value> for Source {
    type Error = InvalidValue;

    fn try_from(value: Value) -> Result<Self, InvalidValue> {
        let refused = || InvalidValue::new("column", "is not a column's name, its number, or {\"constant\":\"..\"}");
        match value {
            Value::String(name) => Ok(Self::Named(name)),
            Value::Number(number) => {
                number.as_u64().and_then(|n| u32::try_from(n).ok()).map(Self::Numbered).ok_or_else(refused)
            }
            Value::Object(mut object) if object.len() == 1 => match object.remove("constant") {
                Some(Value::String(text)) => Ok(Self::Constant(text)),
                _ => Err(refused()),
            },
            _ => Err(refused()),
        }
    }
}

impl From<Source> for Value {
    fn from(source: Source) -> Self {
        match source {
            Source::Named(name) => Self::String(name),
            Source::Numbered(number) => number.into(),
            Source::Constant(text) => json!({ "constant": text }),
        }
    }
}

/// What parts the cells of a line. In JSON one character, `"blanks"` or `"tab"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Bar,
    /// Runs of spaces and tabs, those at the start of a line apart. There are no quotes and no empty cells.
    Blanks,
}

impl Delimiter {
    const ALL: [(&str, Self); 6] = [
        (",", Self::Comma),
        (";", Self::Semicolon),
        ("tab", Self::Tab),
        ("\t", Self::Tab),
        ("|", Self::Bar),
        ("blanks", Self::Blanks),
    ];

    /// The byte; `None` for blanks.
    pub(super) fn byte(self) -> Option<u8> {
        match self {
            Self::Comma => Some(b','),
            Self::Semicolon => Some(b';'),
            Self::Tab => Some(b'\t'),
            Self::Bar => Some(b'|'),
            Self::Blanks => None,
        }
    }
}

impl std::str::FromStr for Delimiter {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, delimiter)| *delimiter);
        known.ok_or_else(|| InvalidValue::new("delimiter", "is none of , ; | tab and blanks"))
    }
}

impl TryFrom<String> for Delimiter {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> Self {
        Delimiter::ALL.iter().find(|(_, d)| *d == delimiter).map_or(",", |(name, _)| name).to_owned()
    }
}

/// Where an event's id comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(super) enum IdSource {
    /// One column is the source's own key; several columns together are one.
    Columns(Vec<Source>),
    /// The file's name, the number of the line, and a fingerprint of what it says.
    Line,
}

impl TryFrom<Value> for IdSource {
    type Error = InvalidValue;

    fn try_from(value: Value) -> Result<Self, InvalidValue> {
        match value {
            Value::String(word) if word == "line" => Ok(Self::Line),
            Value::Array(columns) if columns.is_empty() => Err(InvalidValue::new("id", "names no column")),
            Value::Array(columns) => {
                columns.into_iter().map(Source::try_from).collect::<Result<_, _>>().map(Self::Columns)
            }
            one => Source::try_from(one).map(|source| Self::Columns(vec![source])),
        }
        .map_err(|e| e.within("id"))
    }
}

impl From<IdSource> for Value {
    fn from(id: IdSource) -> Self {
        match id {
            IdSource::Line => "line".into(),
            IdSource::Columns(columns) => columns.into_iter().map(Self::from).collect(),
        }
    }
}

/// Which columns become properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UniqueKeys", into = "Value")]
pub(super) enum Properties {
    /// These, under their names.
    Listed(BTreeMap<String, Source>),
    /// All that nothing else names, under their names in the header.
    Others,
}

impl TryFrom<UniqueKeys> for Properties {
    type Error = InvalidValue;

    fn try_from(UniqueKeys(value): UniqueKeys) -> Result<Self, InvalidValue> {
        let refused = || InvalidValue::new("properties", "is not \"others\", a list of columns, or an object of them");
        let listed: Result<BTreeMap<_, _>, InvalidValue> = match value {
            Value::String(word) if word == "others" => return Ok(Self::Others),
            Value::Array(names) => names
                .into_iter()
                .map(|name| name.as_str().map(|name| (name.to_owned(), Source::from(name))).ok_or_else(refused))
                .collect(),
            Value::Object(object) => {
                object.into_iter().map(|(name, value)| Ok((name, Source::try_from(value)?))).collect()
            }
            _ => return Err(refused()),
        };
        listed.map(Self::Listed).map_err(|e| if e.field() == "column" { e.within("properties") } else { e })
    }
}

impl From<Properties> for Value {
    fn from(properties: Properties) -> Self {
        match properties {
            Properties::Others => "others".into(),
            Properties::Listed(listed) => Self::Object(listed.into_iter().map(|(n, s)| (n, s.into())).collect()),
        }
    }
}
