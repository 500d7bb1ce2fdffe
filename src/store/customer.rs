//! One customer: journey, stage, transitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{LoggedEvent, Snapshot};
use crate::{
    error::Result,
    journey::{Chunk, Columns, CustomerNo, Identities, NO_STAGE, NameKind, Needs, ReservedNumbers, Said, Source},
    model::{Channel, CustomerId, Entry, Feedback, Money, ProfileUpdate, PropertyValue, Seq, StageName, Touchpoint},
};

/// One customer's journey, as a snapshot holds it. `Debug` shows how many events it has, and not who it is.
#[derive(Clone)]
#[must_use]
pub struct Customer {
    id: CustomerId,
    ids: Vec<CustomerId>,
    number: CustomerNo,
    identities: Arc<Identities>,
    journey: Arc<[JourneyEvent]>,
    /// The same in numbers.
    columns: Arc<Columns>,
    snapshot: Snapshot,
}

/// An event of a journey, as the index holds it: all but its id, its properties and the comment of its feedback, which are
/// in the log.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JourneyEvent {
    /// Its place in the log.
    pub seq: Seq,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Where.
    pub touchpoint: Touchpoint,
    /// Through what.
    pub channel: Channel,
    /// The stage the source itself gave.
    pub stage: Option<StageName>,
    /// Money: the amount is exact, but may be written with fewer digits after the point than its source gave.
    pub value: Option<Money>,
    /// An answer to a survey, without its comment.
    pub feedback: Option<Feedback>,
}

impl Snapshot {
    /// One customer's journey; `None` if the snapshot knows nothing of that id. It takes microseconds: only the pages of
    /// the index that the journey lies on are read. In a store with links the first look-up after a link was added, or a customer
    /// erased, works out from all of them who is one customer.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the store could not be read.
    pub fn customer(&self, id: &str) -> Result<Option<Customer>> {
        let Some(number) = self.names().find_customer(id) else { return Ok(None) };
        let identities = self.identities(None, None)?;
        let customer = identities.customer(number);
        let needs = Needs { properties: Needs::default().properties, ..Needs::everything() };
        let sources = self.whole_journey_of(customer, &identities, &needs)?;
        let chunk = Chunk::new(sources.iter().map(Into::into).collect());
        let columns = Arc::new(chunk.gather(0..chunk.len().min(1), &needs));
        // Links may name an id of which there is nothing else; those that name somebody who was erased went with them.
        let (reserved, hidden) = (ReservedNumbers::of(self.names()), self.names().hidden());
        let is_seen = |id: CustomerNo| hidden.binary_search(&id.0).is_err();
        let names_it = |said: &Said| [said.from, said.to].contains(&number) && is_seen(said.from) && is_seen(said.to);
        let is_more = (0..columns.rows()).filter_map(|row| columns.touchpoints.get(row));
        if !is_more.into_iter().any(|touchpoint| !reserved.is_of_links(touchpoint)) && !self.said()?.any(names_it) {
            return Ok(None);
        }
        let journey = self.named(&columns)?.into();
        let ids: Vec<CustomerId> =
            identities.ids(customer).map(|id| CustomerId::new(self.names().customer(id))).collect::<Result<_, _>>()?;
        let id = ids.first().cloned().map_or_else(|| CustomerId::new(id), Ok)?;
        Ok(Some(Customer { id, ids, number, identities, journey, columns, snapshot: self.clone() }))
    }

    /// The events of a journey, their numbers turned into names.
    fn named(&self, columns: &Columns) -> Result<Vec<JourneyEvent>> {
        let text = |kind, number| self.names().text(kind, number).unwrap_or_default();
        let mut events = Vec::with_capacity(columns.rows());
        let reserved = ReservedNumbers::of(self.names());
        let is_event =
            |row: &usize| columns.touchpoints.get(*row).is_none_or(|touchpoint| !reserved.contains(touchpoint));
        for row in (0..columns.rows()).filter(is_event) {
            let touchpoint = columns.touchpoints.get(row).map_or(u32::MAX, |t| t.0);
            let channel = columns.channels.get(row).map_or(u32::MAX, |c| c.0);
            let stage = columns.stages.get(row).filter(|stage| **stage != NO_STAGE);
            let value = columns.values.get(row).copied().flatten();
            let feedback = columns.feedback.get(row).copied().flatten();
            events.push(JourneyEvent {
                seq: Seq(columns.seqs.get(row).unwrap_or_default()),
                occurred_at: columns.times.get(row).map(crate::model::Micros::to_datetime).unwrap_or_default(),
                touchpoint: Touchpoint::new(text(NameKind::Touchpoint, touchpoint))?,
                channel: Channel::new(text(NameKind::Channel, channel))?,
                stage: stage.map(|&stage| StageName::new(text(NameKind::Stage, stage))).transpose()?,
                value: value.map(|(nanos, currency)| Money::from_nanos(nanos, currency)).transpose()?,
                feedback: feedback.map(|(survey, score)| Feedback::new(survey, score)).transpose()?,
            });
        }
        Ok(events)
    }
}

impl Customer {
    /// Who: the id that the customer goes by, if several are [linked](crate::Link).
    pub fn id(&self) -> &CustomerId {
        &self.id
    }

    /// All ids of the customer, the one that they go by first.
    pub fn ids(&self) -> &[CustomerId] {
        &self.ids
    }

    /// The journey in numbers, with all ids that a question sees as the customer's. Properties, of which it holds none,
    /// are read anew.
    pub(crate) fn sources(&self, identities: &Arc<Identities>, needs: &Needs) -> Result<Vec<Source>> {
        if needs.properties == Needs::default().properties && Arc::ptr_eq(identities, &self.identities) {
            return Ok(vec![Source { journeys: 0..self.columns.customers.len(), columns: Arc::clone(&self.columns) }]);
        }
        self.snapshot.whole_journey_of(identities.customer(self.number), identities, needs)
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The events in the order of the journey: by time, then by sequence.
    pub fn journey(&self) -> &[JourneyEvent] {
        &self.journey
    }

    /// The same events whole, with ids, properties and comments, read from the log: a block of it for each of them that
    /// lies in another.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the log could not be read; `Closed` after the store was closed.
    pub fn events(&self) -> Result<Vec<LoggedEvent>> {
        let mut seqs: Vec<u64> = self.journey.iter().map(|event| event.seq.get()).collect();
        seqs.sort_unstable();
        let mut events = self.snapshot.events(&seqs)?;
        events.sort_by_key(|logged| (logged.event.occurred_at, logged.seq));
        Ok(events)
    }

    /// What is known of the customer, the latest value of each property; of all their ids.
    ///
    /// # Errors
    /// Those of [`events`](Self::events).
    pub fn profile(&self) -> Result<BTreeMap<String, PropertyValue>> {
        self.profile_as_of(DateTime::<Utc>::MAX_UTC)
    }

    /// What was known to hold at a moment.
    ///
    /// # Errors
    /// Those of [`events`](Self::events).
    pub fn profile_as_of(&self, at: DateTime<Utc>) -> Result<BTreeMap<String, PropertyValue>> {
        let updates = self.profile_history()?.into_iter().filter(|update| update.occurred_at() <= at);
        Ok(updates.flat_map(|update| update.properties().clone()).collect())
    }

    /// All updates of the profile, in order of time, at the same moment by sequence.
    ///
    /// # Errors
    /// Those of [`events`](Self::events).
    pub fn profile_history(&self) -> Result<Vec<ProfileUpdate>> {
        let entries = self.logged()?.into_iter().map(|logged| Entry::of_logged(logged.event));
        let update = |entry| if let Entry::Profile(update) = entry { Some(update) } else { None };
        Ok(entries.filter_map(update).collect())
    }

    /// All entries that name one of the customer's ids, as the log keeps them.
    pub(crate) fn logged(&self) -> Result<Vec<LoggedEvent>> {
        let mut seqs = self.columns.seqs.to_vec();
        let ids: BTreeSet<CustomerNo> = self.identities.ids(self.identities.customer(self.number)).collect();
        // What links others to the customer, or did once.
        let linked = self.snapshot.said()?.filter(|said| ids.contains(&said.to));
        seqs.extend(linked.map(|said| said.seq));
        seqs.sort_unstable();
        seqs.dedup();
        let mut logged = self.snapshot.logged(&seqs)?;
        logged.sort_by_key(|logged| (logged.event.occurred_at, logged.seq));
        Ok(logged)
    }
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id: _, ids, number, identities: _, journey, columns: _, snapshot: _ } = self;
        f.debug_struct("Customer")
            .field("number", &number.0)
            .field("ids", &ids.len())
            .field("events", &journey.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for JourneyEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seq, occurred_at, touchpoint, channel, stage, value, feedback } = self;
        f.debug_struct("JourneyEvent")
            .field("seq", seq)
            .field("occurred_at", occurred_at)
            .field("touchpoint", touchpoint)
            .field("channel", channel)
            .field("stage", stage)
            .field("value", &value.is_some())
            .field("feedback", &feedback.is_some())
            .finish()
    }
}
