//! Snapshots: what the store held at one moment, which nothing later changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{log::Log, named_segments::NamedSegments, scan::Scan, segment::Segment, witness::Head};
use crate::{
    codec::Block,
    error::Result,
    journey::{Columns, CustomerNo, Identities, Names, Needs, ReservedNumbers, Said, Source, positions},
    model::{Entry, Event, Micros, Seq},
};

/// What can be asked at one moment: sealed segments, and the fresh journeys after them.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) fresh: Vec<Arc<Columns>>,
    pub(crate) head: Head,
    /// The time of the last event.
    pub(crate) last_time: Option<Micros>,
    /// Whether that may be of a customer who was erased.
    pub(super) is_last_erased: bool,
    /// The same of events that are to be seen, once somebody has asked, by how many customers were hidden.
    pub(super) last_seen: Mutex<Option<(usize, Option<Micros>)>>,
    /// Events in it that were erased.
    pub(crate) erased: u64,
    /// What its entries say of ids, once somebody has asked.
    pub(super) said: OnceLock<Saying>,
    pub(super) identities: Arc<LastIdentities>,
}

/// What is said of ids in a view.
#[derive(Debug, Clone)]
pub(crate) struct Saying {
    /// In each of its segments, and in the fresh runs.
    said: Vec<Arc<[Said]>>,
    /// How many entries that are, and the last of them.
    count: usize,
    last: u64,
}

/// Who is one customer with whom by all that was said, as it was found last: views in which no more is said share it.
#[derive(Debug, Default)]
pub(crate) struct LastIdentities(Mutex<Option<(State, Arc<Identities>)>>);

/// How many entries said something of ids, which was the last of them, and how many customers had been erased.
type State = (usize, u64, usize);

/// What a store held at one moment. No later append or merge changes its answers; only a customer who is
/// [erased](crate::Store::erase), or of whom [retention](crate::Store::set_retention) leaves nothing, is gone from them at once.
///
/// A cheap handle: clones share everything. It keeps the files it reads, also after the store is closed; only whole
/// events, which are read from the log, need the store open.
#[derive(Debug, Clone)]
#[must_use]
pub struct Snapshot {
    view: Arc<View>,
    names: Names,
    /// How many customers were hidden when it was taken.
    hidden: usize,
    log: Log,
    named_segments: NamedSegments,
}

/// An event as the log holds it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoggedEvent {
    /// Its place in the log.
    pub seq: Seq,
    /// When the log took it.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
    /// The event.
    pub event: Event,
}

impl LoggedEvent {
    /// The entry that it is, of what the log keeps in the form of events.
    pub(crate) fn into_entry(self) -> Entry {
        Entry::of_logged(self.event)
    }
}

impl Snapshot {
    pub(super) fn new(
        view: Arc<View>,
        (names, hidden): (Names, usize),
        log: Log,
        named_segments: NamedSegments,
    ) -> Self {
        Self { view, names, hidden, log, named_segments }
    }

    /// The segments that had a name at that moment.
    pub(crate) fn named_segments(&self) -> &BTreeMap<String, crate::model::Segment> {
        &self.named_segments
    }

    /// The last sequence it holds.
    pub fn head(&self) -> Seq {
        Seq(self.view.head.seq)
    }

    /// How many entries it holds: events, and links of ids and profiles; those of customers erased after it was taken are still counted.
    pub fn len(&self) -> u64 {
        let sealed: u64 = self.view.segments.iter().map(|segment| segment.rows).sum();
        let fresh: usize = self.view.fresh.iter().map(|columns| columns.rows()).sum();
        (sealed + fresh as u64).saturating_sub(self.view.erased)
    }

    /// True if it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn segments(&self) -> usize {
        self.view.segments.len()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The time of the last event that is to be seen.
    pub(crate) fn last_time(&self) -> Result<Option<Micros>> {
        let hidden = self.names.hidden().len();
        if !self.view.is_last_erased && hidden == self.hidden {
            return Ok(self.view.last_time);
        }
        let mut seen = self.view.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, last)) = seen.filter(|(then, _)| *then == hidden) {
            return Ok(last);
        }
        let reserved = ReservedNumbers::of(&self.names);
        let needs = Needs { times: true, touchpoints: reserved.is_any(), ..Needs::default() };
        let (scan, mut last) = (self.scan(), None);
        for chunk in 0..scan.chunks() {
            for source in scan.load(chunk, &needs)? {
                last = last.max(source.last_event(reserved, &|_| true));
            }
        }
        *seen = Some((hidden, last));
        Ok(last)
    }

    /// Begins a scan over everything, each id for itself.
    pub(crate) fn scan(&self) -> Scan {
        Scan::new(self.view.segments.clone(), self.view.fresh.clone()).without(self.names.hidden())
    }

    /// Everything that entries say of ids.
    pub(crate) fn said(&self) -> Result<impl Iterator<Item = &Said>> {
        Ok(self.saying()?.said.iter().flat_map(|said| said.iter()))
    }

    fn saying(&self) -> Result<&Saying> {
        if let Some(saying) = self.view.said.get() {
            return Ok(saying);
        }
        let reserved = ReservedNumbers::of(&self.names);
        let mut said = Vec::new();
        if reserved.is_any() {
            for segment in &self.view.segments {
                said.push(Arc::clone(segment.said(reserved, &self.names)?));
            }
            let mut fresh = Vec::new();
            self.view.fresh.iter().for_each(|columns| reserved.said_in(columns, &self.names, &mut fresh));
            said.push(fresh.into());
        }
        let count = said.iter().map(|said| said.len()).sum();
        let last = said.iter().flat_map(|said| said.iter()).map(|said| said.seq).max().unwrap_or_default();
        Ok(self.view.said.get_or_init(|| Saying { said, count, last }))
    }

    /// Who is one customer with whom, by what was known at a sequence and said by a time.
    pub(crate) fn identities(&self, known_at: Option<u64>, end: Option<Micros>) -> Result<Arc<Identities>> {
        let saying = self.saying()?;
        if known_at.is_some() || end.is_some() {
            return Ok(Arc::new(Identities::by(self.said()?, known_at, end, &self.names)));
        }
        let state = (saying.count, saying.last, self.names.hidden().len());
        let mut kept = self.view.identities.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identities)) = kept.as_ref().filter(|(then, _)| *then == state) {
            return Ok(Arc::clone(identities));
        }
        let identities = Arc::new(Identities::by(self.said()?, None, None, &self.names));
        Ok(Arc::clone(&kept.insert((state, identities)).1))
    }

    /// The journey of a customer with all their ids.
    pub(crate) fn whole_journey_of(
        &self,
        customer: CustomerNo,
        identities: &Identities,
        needs: &Needs,
    ) -> Result<Vec<Source>> {
        if identities.ids(customer).nth(1).is_none() {
            return self.journey_of(customer, needs);
        }
        let needs = Needs { times: true, seqs: true, ..needs.clone() };
        let mut sources = Vec::new();
        for id in identities.ids(customer) {
            sources.append(&mut self.journey_of(id, &needs)?);
        }
        let columns = Arc::new(identities.put_together(&sources, &needs));
        Ok(vec![Source { journeys: 0..columns.customers.len(), columns }])
    }

    /// One id's journey, as it lies in segments and fresh runs: only the pages it is on are read.
    pub(crate) fn journey_of(&self, customer: CustomerNo, needs: &Needs) -> Result<Vec<Source>> {
        let needs = Needs { times: true, seqs: true, ..needs.clone() };
        let mut sources = Vec::new();
        if self.names.hidden().binary_search(&customer.0).is_ok() {
            return Ok(sources);
        }
        for segment in &self.view.segments {
            let journey = segment.journey(customer, &needs)?.map(Arc::new);
            sources.extend(journey.map(|columns| Source { columns, journeys: 0..1 }));
        }
        let only = u64::from(customer.0)..u64::from(customer.0) + 1;
        for columns in &self.view.fresh {
            let journeys = positions(columns, &only);
            if !journeys.is_empty() {
                sources.push(Source { columns: Arc::clone(columns), journeys });
            }
        }
        Ok(sources)
    }

    /// Whole events by their places in the log, as reports list them, with ids, properties and comments: in the order of the log, each
    /// once. What is no event, is not in this snapshot or was erased is left out. Each takes a read of its block of the log,
    /// unless it lies in that of the one before.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the log could not be read; `Closed` after the store was closed.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// use chrono::Utc;
    /// use journeylog::{Event, Experience, Feedback, Survey};
    /// let answer = |score| Feedback::nps(score).and_then(|answer| answer.with_comment("so slow"));
    /// store.append(Event::at(Utc::now(), "ann", "survey").feedback(answer(3)?))?;
    /// store.append(Event::at(Utc::now(), "bob", "survey").feedback(answer(9)?))?;
    ///
    /// // What the detractors wrote.
    /// let snapshot = store.snapshot();
    /// let report = snapshot.query().run(&Experience::builder().list_customers().build()?)?;
    /// let detractors = report.listed.iter().flatten().filter(|one| one.feedback.score() <= 6).map(|one| one.seq);
    /// let events = snapshot.events_at(detractors)?;
    /// assert_eq!(events.len(), 1);
    /// assert_eq!(events[0].event.feedback().and_then(|answer| answer.comment()), Some("so slow"));
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events_at(&self, seqs: impl IntoIterator<Item = Seq>) -> Result<Vec<LoggedEvent>> {
        let is_here = |seq: &u64| (1..=self.view.head.seq).contains(seq);
        let mut seqs: Vec<u64> = seqs.into_iter().map(Seq::get).filter(is_here).collect();
        seqs.sort_unstable();
        seqs.dedup();
        self.events(&seqs)
    }

    /// Whole events by their sequences, which must be in order, from the log. What is no event is left out.
    pub(crate) fn events(&self, seqs: &[u64]) -> Result<Vec<LoggedEvent>> {
        let mut events = self.logged(seqs)?;
        events.retain(|logged| !logged.event.is_reserved());
        Ok(events)
    }

    /// The same of all entries, as the log keeps them.
    pub(crate) fn logged(&self, seqs: &[u64]) -> Result<Vec<LoggedEvent>> {
        let mut block: Option<Block> = None;
        let mut events = Vec::with_capacity(seqs.len());
        for &seq in seqs {
            let holds = |block: &Block| (block.first..block.next()).contains(&seq);
            if !block.as_ref().is_some_and(holds) {
                block = Some(self.log.block_of(seq)?);
            }
            let entry = block
                .as_ref()
                .and_then(|block| block.entries.get(usize::try_from(seq.checked_sub(block.first)?).ok()?));
            let event = entry.and_then(|entry| Some((entry.recorded_at, entry.as_event()?.clone())));
            // The log names an erased customer until it is compacted.
            let event = event.filter(|(_, event)| event.ids_named().all(|id| self.names.find_customer(id).is_some()));
            events.extend(event.map(|(recorded_at, event)| LoggedEvent {
                seq: Seq(seq),
                recorded_at: recorded_at.to_datetime(),
                event,
            }));
        }
        Ok(events)
    }
}
