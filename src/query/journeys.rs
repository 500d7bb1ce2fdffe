//! Journeys in memory: the same questions without a store.

use std::{collections::HashSet, sync::Arc};

use super::Query;
use crate::{
    error::{InvalidValue, Result},
    journey::{Columns, Identities, Names, Needs, ReservedNumbers, Said, Source, code, event_times},
    model::{Entry, Event, Micros},
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
    /// What entries say of ids.
    said: Arc<[Said]>,
    /// Each id for itself.
    ids: Arc<Columns>,
    chunk_rows: usize,
    /// Who is one customer by all that is said of ids, and the journeys of these.
    identities: Arc<Identities>,
    columns: Arc<Columns>,
    /// Where chunks begin in the list of customers, and its end.
    cuts: Arc<Vec<usize>>,
    last_time: Option<Micros>,
}

impl Journeys {
    /// The journeys of these entries: events, links of ids, and profiles.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first that was refused.
    pub fn of<E>(entries: impl IntoIterator<Item = E>) -> Result<Self, InvalidValue>
    where
        E: TryInto<Entry>,
        E::Error: Into<InvalidValue>,
    {
        Self::in_chunks(entries, CHUNK_ROWS)
    }

    /// The same, read in chunks of at least that many events. Answers do not depend on it; tests try that.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first that was refused.
    pub fn in_chunks<E>(entries: impl IntoIterator<Item = E>, chunk_rows: usize) -> Result<Self, InvalidValue>
    where
        E: TryInto<Entry>,
        E::Error: Into<InvalidValue>,
    {
        let mut ids = HashSet::new();
        let mut kept = Vec::new();
        for entry in entries {
            let event = entry.try_into().map_err(Into::into)?.into_logged();
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
        let ids = Arc::new(Columns::from_rows(rows));
        let reserved = ReservedNumbers::of(&names);
        let mut said = Vec::new();
        reserved.said_in(&ids, &names, &mut said);
        let last_time = event_times(&ids, reserved).map(|(_, last)| last);
        let identities = Arc::new(Identities::by(said.iter(), None, None, &names));
        let columns = if identities.is_empty() { Arc::clone(&ids) } else { Arc::new(joined(&ids, &identities)) };
        let cuts = Arc::new(cuts(&columns, chunk_rows));
        Self { names, said: said.into(), ids, chunk_rows, identities, columns, cuts, last_time }
    }

    /// Which ids are one customer, by what was known at a sequence and said by a time.
    pub(super) fn identities(&self, known_at: Option<u64>, end: Option<Micros>) -> Arc<Identities> {
        if known_at.is_none() && end.is_none() {
            return Arc::clone(&self.identities);
        }
        Arc::new(Identities::by(self.said.iter(), known_at, end, &self.names))
    }

    /// The same journeys, of customers who have these ids.
    pub(super) fn put_together(&self, identities: &Identities) -> Self {
        if *identities == *self.identities {
            return self.clone();
        }
        let columns = joined(&self.ids, identities);
        Self { cuts: Arc::new(cuts(&columns, self.chunk_rows)), columns: Arc::new(columns), ..self.clone() }
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

/// The journeys of customers who have several ids, of those of ids.
fn joined(ids: &Arc<Columns>, identities: &Identities) -> Columns {
    let ids = Source { columns: Arc::clone(ids), journeys: 0..ids.customers.len() };
    identities.put_together(&[ids], &Needs::everything())
}

/// Where chunks of at least so many rows begin in the list of customers, and its end.
fn cuts(columns: &Columns, chunk_rows: usize) -> Vec<usize> {
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
    cuts
}
