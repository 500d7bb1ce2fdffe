//! A mapping bound to the columns of one file, and the event that a record makes by it.

use csv::ByteRecord;
use xxhash_rust::xxh3::Xxh3;

use super::{
    CsvMapping, TimeFormat,
    columns::{Columns, Field},
    source::{IdSource, Properties},
};
use crate::{
    error::InvalidValue,
    model::{Channel, CustomerId, Event, EventId, Feedback, Money, PropertyValue, StageName, Survey, Touchpoint},
};

/// A mapping bound to the columns of one file.
#[derive(Debug)]
pub(super) struct Bound {
    /// How many cells each record must have, if there is a header, and else how many at least.
    cells: usize,
    header: bool,
    customer: Field,
    touchpoint: Field,
    occurred_at: Field,
    time_format: TimeFormat,
    channel: Option<Field>,
    id: Id,
    stage: Option<Field>,
    value: Option<(Field, Field)>,
    scores: Vec<(Survey, Field)>,
    comment: Option<Field>,
    properties: Vec<(String, Field)>,
    infer_types: bool,
}

#[derive(Debug)]
enum Id {
    None,
    Columns(Vec<Field>),
    Line(String),
}

impl Bound {
    /// Binds a mapping to a file whose first record is this: the header, or data.
    pub(super) fn new(mapping: &CsvMapping, first: &ByteRecord) -> Result<Self, InvalidValue> {
        let mut columns = Columns::new(mapping.header, first);
        let customer = columns.field("customer", &mapping.customer)?;
        let touchpoint = columns.field("touchpoint", &mapping.touchpoint)?;
        let occurred_at = columns.field("occurred_at", &mapping.occurred_at)?;
        let channel = columns.optional("channel", mapping.channel.as_ref())?;
        let id = match &mapping.id {
            None => Id::None,
            Some(IdSource::Columns(list)) if list.is_empty() => {
                return Err(InvalidValue::new("id", "names no column"));
            }
            Some(IdSource::Columns(list)) => {
                Id::Columns(list.iter().map(|source| columns.field("id", source)).collect::<Result<_, _>>()?)
            }
            Some(IdSource::Line) => Id::Line(
                mapping.file_name.clone().ok_or_else(|| InvalidValue::new("id", "by line needs the file's name"))?,
            ),
        };
        let stage = columns.optional("stage", mapping.stage.as_ref())?;
        let value = match &mapping.value {
            None => None,
            Some(value) => {
                let amount = columns.field("value.amount", &value.amount)?;
                Some((amount, columns.field("value.currency", &value.currency)?))
            }
        };
        let mut scores = Vec::new();
        for (survey, source) in
            Survey::ALL.into_iter().zip([&mapping.feedback.nps, &mapping.feedback.csat, &mapping.feedback.ces])
        {
            if let Some(source) = source {
                scores.push((survey, columns.field(&format!("feedback.{}", survey.as_str()), source)?));
            }
        }
        let comment = columns.optional("feedback.comment", mapping.feedback.comment.as_ref())?;
        let properties = match &mapping.properties {
            Properties::Listed(listed) => listed
                .iter()
                .map(|(name, source)| Ok((name.clone(), columns.field("property", source)?)))
                .collect::<Result<_, InvalidValue>>()?,
            Properties::Others => columns.others()?,
        };
        Ok(Self {
            cells: if mapping.header { first.len() } else { columns.needed() },
            header: mapping.header,
            customer,
            touchpoint,
            occurred_at,
            time_format: mapping.time_format.clone(),
            channel,
            id,
            stage,
            value,
            scores,
            comment,
            properties,
            infer_types: mapping.infer_types,
        })
    }

    /// The event that a record makes; else why it makes none.
    pub(super) fn event(&self, line: u64, record: &ByteRecord) -> Result<Event, String> {
        if record.len() < self.cells || (self.header && record.len() > self.cells) {
            let who = if self.header { "the header has" } else { "the mapping asks for" };
            return Err(format!("has {} cells, {who} {}", record.len(), self.cells));
        }
        let customer = CustomerId::new(self.customer.needed(record)?).map_err(self.customer.refuses())?;
        let touchpoint = Touchpoint::new(self.touchpoint.needed(record)?).map_err(self.touchpoint.refuses())?;
        let when = self.occurred_at.needed(record)?;
        let when = self.time_format.read(when).ok_or_else(|| {
            let format = String::from(self.time_format.clone());
            self.occurred_at.says(&format!("is not a time of the format {format}"))
        })?;
        let mut event = Event::at(when, customer, touchpoint);
        if let Some(id) = self.id(line, record)? {
            event = event.id(id.as_str());
        }
        if let Some(field) = &self.channel
            && let Some(text) = field.text(record)?
        {
            event = event.channel(Channel::new(text).map_err(field.refuses())?);
        }
        if let Some(field) = &self.stage
            && let Some(text) = field.text(record)?
        {
            event = event.stage(StageName::new(text).map_err(field.refuses())?);
        }
        if let Some((amount, currency)) = &self.value
            && let Some(text) = amount.text(record)?
        {
            let code = currency.needed(record)?;
            let money = Money::new(text, code);
            event = event.value(money.map_err(|e| {
                let field = if e.field() == "currency" { currency } else { amount };
                field.says(e.reason())
            })?);
        }
        if let Some(feedback) = self.feedback(record)? {
            event = event.feedback(feedback);
        }
        for (name, field) in &self.properties {
            if let Some(text) = field.text(record)? {
                event = event.property(name, if self.infer_types { inferred(text) } else { text.into() });
            }
        }
        event.build().map_err(|e| e.to_string())
    }

    fn feedback(&self, record: &ByteRecord) -> Result<Option<Feedback>, String> {
        let mut feedback = None;
        for (survey, field) in &self.scores {
            let Some(text) = field.text(record)? else { continue };
            if feedback.is_some() {
                return Err(field.says("is a second score in one line"));
            }
            let score = text.parse().map_err(|_| field.says("is not a whole number"))?;
            feedback = Some(Feedback::new(*survey, score).map_err(field.refuses())?);
        }
        if let Some(field) = &self.comment
            && let Some(text) = field.text(record)?
        {
            let scored = feedback.ok_or_else(|| field.says("is there without a score"))?;
            feedback = Some(scored.with_comment(text).map_err(field.refuses())?);
        }
        Ok(feedback)
    }

    fn id(&self, line: u64, record: &ByteRecord) -> Result<Option<EventId>, String> {
        let (called, text) = match &self.id {
            Id::None => return Ok(None),
            Id::Columns(fields) => {
                let cells = fields.iter().map(|field| field.text(record)).collect::<Result<Vec<_>, _>>()?;
                let called = fields.first().map_or("id", |field| &field.called);
                if cells.iter().all(Option::is_none) {
                    return Err(format!("{called}: is empty"));
                }
                match cells[..] {
                    [Some(one)] => (called, one.to_owned()),
                    _ => (called, joined(&cells)),
                }
            }
            Id::Line(name) => ("id", format!("{}:{line}:{:016x}", short(name), fingerprint(record).digest())),
        };
        EventId::new(text).map(Some).map_err(|e| format!("{called}: {}", e.reason()))
    }
}

/// One text for several, different for different ones; a fingerprint if that would be no name.
fn joined(cells: &[Option<&str>]) -> String {
    let cells = cells.iter().map(|cell| cell.unwrap_or_default().replace('\\', "\\\\").replace('|', "\\|"));
    let text = cells.collect::<Vec<_>>().join("|");
    if text.len() <= 255 && !text.contains(char::is_control) {
        return text;
    }
    format!("xxh3:{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// The last part of a long file name, so that an id by line is never too long.
fn short(name: &str) -> &str {
    let from = (name.len().saturating_sub(200)..=name.len()).find(|&at| name.is_char_boundary(at));
    from.and_then(|at| name.get(at..)).unwrap_or_default()
}

fn fingerprint(record: &ByteRecord) -> Xxh3 {
    let mut hash = Xxh3::new();
    for cell in record {
        hash.update(&(cell.len() as u64).to_le_bytes());
        hash.update(cell);
    }
    hash
}

/// A truth value or a number if the text is exactly one, as JSON writes it.
fn inferred(text: &str) -> PropertyValue {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Bool(truth)) => truth.into(),
        // A whole number of more than 64 bits would lose digits as a float.
        Ok(serde_json::Value::Number(n)) if n.is_f64() && !text.contains(['.', 'e', 'E']) => text.into(),
        Ok(serde_json::Value::Number(number)) => PropertyValue::Number(number),
        _ => text.into(),
    }
}
