//! Journeys in memory: the same questions without a store.

use std::{collections::HashSet, sync::Arc};

use super::Query;
use crate::{
    error::{InvalidValue, Result},
    journey::{Columns, Names, Source, code},
    model::{Event, Micros},
};

/// The least rows of a chunk; the last journey of a chunk may take it beyond.
const CHUNK_ROWS: usize = 64 * 1024;

/// Journeys made from events in memory, to be asked like a store.
///
/// Sequences are given in the order of the events. A second event with the id of an earlier one is left out.
///
/// ```
/// use journeylog::{Event, Funnel, Journeys};
/// # use chrono::{DateTime, Utc};
/// let journeys = Journeys::of([
///     Event::at(DateTime::<Utc>::UNIX_EPOCH, "ann", "view"),
///     Event::at(DateTime::<Utc>::UNIX_EPOCH, "ann", "pay"),
/// ])?;
/// let report = journeys.query().run(&Funnel::ordered(["view", "pay"]).build()?)?;
/// assert_eq!(report.converted, 1);
/// # Ok::<(), journeylog::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Journeys {
    names: Names,
    columns: Arc<Columns>,
    /// Where chunks begin in the list of customers, and its end.
    cuts: Arc<Vec<usize>>,
    last_time: Option<Micros>,
}

impl Journeys {
    /// The journeys of these events.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first event that was refused.
    pub fn of<E>(events: impl IntoIterator<Item = E>) -> Result<Self, InvalidValue>
    where
        E: TryInto<Event>,
        E::Error: Into<InvalidValue>,
    {
        Self::in_chunks(events, CHUNK_ROWS)
    }

    /// The same, read in chunks of at least that many events. Answers do not depend on it; tests try that.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first event that was refused.
    pub fn in_chunks<E>(events: impl IntoIterator<Item = E>, chunk_rows: usize) -> Result<Self, InvalidValue>
    where
        E: TryInto<Event>,
        E::Error: Into<InvalidValue>,
    {
        let mut ids = HashSet::new();
        let mut kept = Vec::new();
        for event in events {
            let event = event.try_into().map_err(Into::into)?;
            if event.id().is_none_or(|id| ids.insert(id.clone())) {
                kept.push((kept.len() as u64 + 1, event));
            }
        }
        Ok(Self::numbered(kept.iter().map(|(seq, event)| (*seq, event)), chunk_rows))
    }

    /// The journeys of events that have their sequences already.
    pub(super) fn numbered<'a>(events: impl IntoIterator<Item = (u64, &'a Event)>, chunk_rows: usize) -> Self {
        let names = Names::default();
        let mut tables = names.write();
        let rows = events.into_iter().map(|(seq, event)| code(event, seq, &mut tables)).collect();
        drop(tables);
        let columns = Columns::from_rows(rows);
        let mut cuts = vec![0];
        let mut begun = 0;
        for (i, (_, rows)) in columns.journeys().enumerate() {
            if rows.end - begun >= chunk_rows {
                cuts.push(i + 1);
                begun = rows.end;
            }
        }
        if cuts.last() != Some(&columns.customers.len()) {
            cuts.push(columns.customers.len());
        }
        let last_time = columns.time_range().map(|(_, last)| last);
        Self { names, columns: Arc::new(columns), cuts: Arc::new(cuts), last_time }
    }

    /// Begins a question.
    pub fn query(&self) -> Query {
        Query::of_journeys(self.clone())
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn chunks(&self) -> usize {
        self.cuts.len() - 1
    }

    pub(super) fn load(&self, chunk: usize) -> Vec<Source> {
        match self.cuts.get(chunk..=chunk + 1) {
            Some(&[from, to]) => vec![Source { columns: Arc::clone(&self.columns), journeys: from..to }],
            _ => Vec::new(),
        }
    }

    pub(super) fn last_time(&self) -> Option<Micros> {
        self.last_time
    }
}
