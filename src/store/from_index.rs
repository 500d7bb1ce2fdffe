//! Events as the journey index has them, for where the log is lost: without ids, comments and nested properties.

use std::collections::BTreeMap;

use super::index::Index;
use crate::{
    error::{InvalidValue, Result},
    journey::{Columns, NO_STAGE, NameKind, Names, Needs},
    model::{Channel, CustomerId, Event, Feedback, Micros, Money, StageName, Touchpoint},
};

/// The events of an index that are wanted, by their sequences, and what could not be read of it.
pub(super) fn events(
    index: &Index,
    names: &Names,
    wanted: impl Fn(u64) -> bool,
) -> (BTreeMap<u64, Event>, Vec<String>) {
    let (mut events, mut unreadable) = (BTreeMap::new(), Vec::new());
    for segment in index.segments() {
        for block in 0..segment.blocks().len() {
            match segment.load(block, &Needs::everything()) {
                Ok(columns) => of_columns(&columns, names, &wanted, &mut events),
                Err(error) => unreadable.push(error.to_string()),
            }
        }
    }
    (events, unreadable)
}

fn of_columns(columns: &Columns, names: &Names, wanted: &impl Fn(u64) -> bool, events: &mut BTreeMap<u64, Event>) {
    for (customer, rows) in columns.journeys() {
        for row in rows {
            let Some(seq) = columns.seqs.get(row).filter(|seq| wanted(*seq)) else { continue };
            // What its types refuse was never written.
            if let Ok(event) = event(columns, names, &names.customer(customer), row) {
                events.insert(seq, event);
            }
        }
    }
}

fn event(columns: &Columns, names: &Names, customer: &str, row: usize) -> Result<Event, InvalidValue> {
    let text = |kind, number: Option<u32>| number.and_then(|number| names.text(kind, number)).unwrap_or_default();
    let stage = columns.stages.get(row).copied().filter(|stage| *stage != NO_STAGE);
    let value = columns.values.get(row).copied().flatten();
    let feedback = columns.feedback.get(row).copied().flatten();
    let properties = columns.properties.iter().filter_map(|(number, column)| {
        Some((text(NameKind::Property, Some(*number)).as_ref().to_owned(), column.get(row)?.clone()))
    });
    Ok(Event {
        id: None,
        customer: CustomerId::new(customer)?,
        touchpoint: Touchpoint::of_log(&text(NameKind::Touchpoint, columns.touchpoints.get(row).map(|no| no.0)))?,
        channel: Channel::new(text(NameKind::Channel, columns.channels.get(row).map(|no| no.0)))?,
        occurred_at: columns.times.get(row).unwrap_or(Micros::MIN),
        stage: stage.map(|stage| StageName::new(text(NameKind::Stage, Some(stage)))).transpose()?,
        value: value.map(|(nanos, currency)| Money::from_nanos(nanos, currency)).transpose()?,
        feedback: feedback.map(|(survey, score)| Feedback::new(survey, score)).transpose()?,
        properties: properties.collect(),
    })
}
