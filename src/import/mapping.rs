//! Which column of a CSV file is what.

use std::{collections::BTreeMap, io::Read};

use serde::{Deserialize, Serialize};

use super::{
    CsvReader, Delimiter, ImportError, Source, TimeFormat,
    source::{IdSource, Properties},
};
use crate::model::{Survey, only_an_object};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub(super) struct Amounts {
    pub(super) amount: Source,
    pub(super) currency: Source,
}

only_an_object!(Amounts);

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields, default)]
pub(super) struct Answers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nps: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) csat: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ces: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<Source>,
}

only_an_object!(Answers);

/// Which column of a CSV file is what, and how the file is written.
///
/// Only customer, touchpoint and time are needed. Blanks around a cell are not part of it, and an empty cell is a
/// missing value. Each field may also be the same text in every line: [`Source::constant`].
///
/// In JSON it looks like an event with columns in place of values:
///
/// ```
/// use journeylog::import::{CsvMapping, Source, TimeFormat};
///
/// let mapping: CsvMapping = serde_json::from_str(r#"{
///     "customer": "user", "touchpoint": "what", "occurred_at": "when", "time_format": "unix_s",
///     "channel": {"constant": "email"}, "id": ["user", "when"],
///     "value": {"amount": "price", "currency": {"constant": "EUR"}},
///     "properties": "others", "infer_types": true, "delimiter": ";"
/// }"#)?;
/// assert_eq!(
///     mapping,
///     CsvMapping::new("user", "what", "when")
///         .time_format("unix_s".parse()?)
///         .channel(Source::constant("email"))
///         .id(["user", "when"])
///         .value("price", Source::constant("EUR"))
///         .other_properties()
///         .infer_types()
///         .delimiter(";".parse()?)
/// );
///
/// let file = "user;what;when;price;size\nann;order;1772357400;19.90;42\n";
/// let events = mapping.read(file.as_bytes())?.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(
///     serde_json::to_string(&events[0])?,
///     r#"{"id":"ann|1772357400","customer":"ann","touchpoint":"order","channel":"email","occurred_at":"2026-03-01T09:30:00Z","value":{"amount":"19.90","currency":"EUR"},"properties":{"size":42}}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a mapping reads nothing until it is given a file"]
pub struct CsvMapping {
    pub(super) customer: Source,
    pub(super) touchpoint: Source,
    pub(super) occurred_at: Source,
    #[serde(default)]
    pub(super) time_format: TimeFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<IdSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Amounts>,
    #[serde(default)]
    pub(super) feedback: Answers,
    #[serde(default = "no_properties")]
    pub(super) properties: Properties,
    #[serde(default)]
    pub(super) infer_types: bool,
    #[serde(default)]
    pub(super) delimiter: Delimiter,
    #[serde(default = "yes")]
    pub(super) header: bool,
    /// What line ids begin with.
    #[serde(skip)]
    pub(super) file_name: Option<String>,
}

only_an_object!(CsvMapping);

fn yes() -> bool {
    true
}

fn no_properties() -> Properties {
    Properties::Listed(BTreeMap::new())
}

impl CsvMapping {
    /// A mapping of these columns; comma-separated, with a header, times as RFC 3339.
    pub fn new(customer: impl Into<Source>, touchpoint: impl Into<Source>, occurred_at: impl Into<Source>) -> Self {
        Self {
            customer: customer.into(),
            touchpoint: touchpoint.into(),
            occurred_at: occurred_at.into(),
            time_format: TimeFormat::default(),
            channel: None,
            id: None,
            stage: None,
            value: None,
            feedback: Answers::default(),
            properties: no_properties(),
            infer_types: false,
            delimiter: Delimiter::Comma,
            header: true,
            file_name: None,
        }
    }

    /// Sets how times are written.
    pub fn time_format(mut self, format: TimeFormat) -> Self {
        self.time_format = format;
        self
    }

    /// Sets the channel. Without it, or where the cell is empty, it is `web`.
    pub fn channel(mut self, channel: impl Into<Source>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Makes the id from columns: one that is the source's own key, or several that are one together. Then a file that
    /// is read twice is stored once.
    pub fn id<S: Into<Source>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.id = Some(IdSource::Columns(columns.into_iter().map(Into::into).collect()));
        self
    }

    /// Makes the id from the [file's name](Self::file_name), the number of the line, and a fingerprint of its cells.
    /// Then reading the same file again gives the same ids, equal lines of one file stay apart, and another file of the
    /// same name is not taken for this one. In JSON `"id":"line"`.
    pub fn id_by_line(mut self) -> Self {
        self.id = Some(IdSource::Line);
        self
    }

    /// Sets the name that ids by line begin with. It is no part of the JSON form.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// True if events get an id.
    pub fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// Sets the stage that the source itself knows.
    pub fn stage(mut self, stage: impl Into<Source>) -> Self {
        self.stage = Some(stage.into());
        self
    }

    /// Sets the money. A line without an amount has none.
    pub fn value(mut self, amount: impl Into<Source>, currency: impl Into<Source>) -> Self {
        self.value = Some(Amounts { amount: amount.into(), currency: currency.into() });
        self
    }

    /// Sets the score of a survey. A line answers one survey at most.
    pub fn feedback(mut self, survey: Survey, score: impl Into<Source>) -> Self {
        let place = match survey {
            Survey::Nps => &mut self.feedback.nps,
            Survey::Csat => &mut self.feedback.csat,
            Survey::Ces => &mut self.feedback.ces,
        };
        *place = Some(score.into());
        self
    }

    /// Sets the comment that goes with a score.
    pub fn comment(mut self, comment: impl Into<Source>) -> Self {
        self.feedback.comment = Some(comment.into());
        self
    }

    /// Adds a property.
    pub fn property(mut self, name: impl Into<String>, source: impl Into<Source>) -> Self {
        match &mut self.properties {
            Properties::Listed(listed) => {
                listed.insert(name.into(), source.into());
            }
            Properties::Others => self.properties = Properties::Listed([(name.into(), source.into())].into()),
        }
        self
    }

    /// Makes every column that nothing else names a property, under its name in the header; `column_4` without one.
    /// It takes the place of the properties added one by one.
    pub fn other_properties(mut self) -> Self {
        self.properties = Properties::Others;
        self
    }

    /// Reads `true`, `false` and numbers in properties as such, not as text. A number is one as JSON writes it, so
    /// `007` stays text, and so does a whole number of more than 64 bits.
    pub fn infer_types(mut self) -> Self {
        self.infer_types = true;
        self
    }

    /// Sets what parts the cells.
    pub fn delimiter(mut self, delimiter: Delimiter) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Says that the first line is data; columns go by their numbers. Without this the first line is taken for names, and the
    /// error of a missing column tells them.
    pub fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// Begins to read a file, or anything that gives bytes: reads the header and checks the mapping against it.
    ///
    /// # Errors
    /// [`ImportError::Mapping`] if a column is not there or there twice, if there are more than 16,384, or if ids by line
    /// have no file name; [`ImportError::Io`] if the header could not be read.
    pub fn read<R: Read>(&self, input: R) -> Result<CsvReader<R>, ImportError> {
        CsvReader::new(self, input)
    }
}
