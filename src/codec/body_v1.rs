//! The body of a block of version 1, which only older releases wrote: postcard, column by column.

use std::{borrow::Cow, collections::BTreeMap};

use rust_decimal::Decimal;
use serde::Deserialize;

use super::{LogEntry, body::room_for};
use crate::model::{
    Channel, Currency, CustomerId, Event, EventId, Feedback, Micros, Money, PropertyValue, StageName, Survey,
    Touchpoint,
};

/// Columns of entries. Columns that few entries have name their rows, as the distance from the row before.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    texts: Vec<&'a str>,
    occurred: Vec<i64>,
    recorded: Vec<i64>,
    customers: Vec<u32>,
    touchpoints: Vec<u32>,
    channels: Vec<u32>,
    ids: Vec<(u32, &'a str)>,
    stages: Vec<(u32, u32)>,
    values: Vec<(u32, i128, u32, Currency)>,
    feedback: Vec<(u32, Survey, u8, Option<&'a str>)>,
    properties: Vec<(u32, u32, Property<'a>)>,
}

#[derive(Debug, Deserialize)]
enum Property<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Large(u64),
    Float(f64),
    Text(u32),
    Json(#[serde(borrow)] Cow<'a, str>),
}

/// The entries of a body; `None` if the bytes are none.
pub(super) fn read(plain: &[u8], count: usize) -> Option<Vec<LogEntry>> {
    let mut body: Body<'_> = postcard::from_bytes(plain).ok()?;
    body.add_up();
    body.entries(count)
}

impl Body<'_> {
    /// Rows and times are written as distances from the one before.
    fn add_up(&mut self) {
        fn rows<'a>(rows: impl Iterator<Item = &'a mut u32>) {
            rows.fold(0_u32, |before, row| {
                *row = row.wrapping_add(before);
                *row
            });
        }
        for times in [&mut self.occurred, &mut self.recorded] {
            times.iter_mut().fold(0_i64, |before, time| {
                *time = time.wrapping_add(before);
                *time
            });
        }
        rows(self.ids.iter_mut().map(|(row, ..)| row));
        rows(self.stages.iter_mut().map(|(row, ..)| row));
        rows(self.values.iter_mut().map(|(row, ..)| row));
        rows(self.feedback.iter_mut().map(|(row, ..)| row));
        rows(self.properties.iter_mut().map(|(row, ..)| row));
    }

    fn entries(self, count: usize) -> Option<Vec<LogEntry>> {
        let text = |place: u32| self.texts.get(place as usize).copied();
        let columns = [self.recorded.len(), self.customers.len(), self.touchpoints.len(), self.channels.len()];
        if self.occurred.len() != count || columns.iter().any(|len| *len != count) {
            return None;
        }
        let mut events = Vec::with_capacity(count);
        let columns = self.occurred.iter().zip(&self.customers).zip(&self.touchpoints).zip(&self.channels);
        for (((&occurred, &customer), &touchpoint), &channel) in columns {
            events.push(Event {
                id: None,
                customer: CustomerId::new(text(customer)?).ok()?,
                touchpoint: Touchpoint::new(text(touchpoint)?).ok()?,
                channel: Channel::new(text(channel)?).ok()?,
                occurred_at: Micros(occurred),
                stage: None,
                value: None,
                feedback: None,
                properties: BTreeMap::new(),
            });
        }
        for (row, id) in &self.ids {
            events.get_mut(*row as usize)?.id = Some(EventId::new(id).ok()?);
        }
        for &(row, stage) in &self.stages {
            events.get_mut(row as usize)?.stage = Some(StageName::new(text(stage)?).ok()?);
        }
        for &(row, mantissa, scale, currency) in &self.values {
            let amount = Decimal::try_from_i128_with_scale(mantissa, scale).ok()?;
            let money = Money::from_decimal(amount, currency).ok()?;
            events.get_mut(row as usize)?.value = Some(money);
        }
        for (row, survey, score, comment) in &self.feedback {
            let answer = Feedback::new(*survey, *score).ok()?;
            let answer = comment.map_or(Some(answer.clone()), |comment| answer.with_comment(comment).ok())?;
            events.get_mut(*row as usize)?.feedback = Some(answer);
        }
        let mut room = room_for(count)?;
        for (row, name, value) in &self.properties {
            let size = match value {
                Property::Text(place) => text(*place)?.len(),
                Property::Json(json) => json.len(),
                _ => 1,
            };
            room.take(text(*name)?.len().checked_add(size)?)?;
            let value = match value {
                Property::Null => PropertyValue::Null,
                Property::Bool(b) => PropertyValue::Bool(*b),
                Property::Whole(n) => PropertyValue::Number((*n).into()),
                Property::Large(n) => PropertyValue::Number((*n).into()),
                Property::Float(n) => PropertyValue::Number(serde_json::Number::from_f64(*n)?),
                Property::Text(place) => PropertyValue::Text(text(*place)?.to_owned()),
                Property::Json(json) => PropertyValue::Nested(serde_json::from_str(json).ok()?),
            };
            events.get_mut(*row as usize)?.properties.insert(text(*name)?.to_owned(), value);
        }
        let entries = self.recorded.iter().zip(events).map(|(&at, event)| LogEntry::event(Micros(at), event));
        Some(entries.collect())
    }
}
