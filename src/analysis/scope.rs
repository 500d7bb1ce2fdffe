//! Which part of the log a question is about.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::InvalidPlan,
    journey::{CustomerNo, Identities, Names, ReservedNumbers},
    model::{Condition, CustomerId, Micros, PeriodSpan, SegmentRef, Seq, check_name, only_an_object, read_maybe_time},
};

/// Which part of the log a question is about. The default is all of it, up to its last event.
///
/// A range says which *entries* count: a funnel's first step, a transition's moment. What follows an entry is read
/// beyond the range, up to the end of observation, and what came before is read too. A journey is never cut silently.
///
/// Observation ends at [`as_of`](Self::as_of), else with the last event that was known at [`known_at`](Self::known_at), of
/// any customer and whether or not the filter keeps it. One event dated in the future ends every window: ask with
/// `as_of(now)` then.
///
/// In JSON: `{"from":"2026-03-01T00:00:00Z","to":"2026-04-01T00:00:00Z","as_of":..,"known_at":17,"filter":{"channel":"web"},"customers":["c-42"],"segment":{"did":{"touchpoint":"purchase"}}}`,
/// each key optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use]
pub struct Scope {
    #[serde(default, deserialize_with = "read_maybe_time", skip_serializing_if = "Option::is_none")]
    from: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "read_maybe_time", skip_serializing_if = "Option::is_none")]
    to: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "read_maybe_time", skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known_at: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customers: Option<Vec<CustomerId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<SegmentRef>,
}

only_an_object!(Scope);

impl Scope {
    /// The whole log, up to its last event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only entries in this range count; the start is in, the end is not.
    pub fn between(mut self, range: Range<DateTime<Utc>>) -> Self {
        (self.from, self.to) = (Some(range.start), Some(range.end));
        self
    }

    /// Only entries from this moment on count.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only entries before this moment count.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Observation ends here: only events with `occurred_at` up to and including it are seen. What was true then?
    pub fn as_of(mut self, end: DateTime<Utc>) -> Self {
        self.as_of = Some(end);
        self
    }

    /// Only entries up to and including this sequence are seen. What did we know then?
    pub fn known_at(mut self, seq: Seq) -> Self {
        self.known_at = Some(seq);
        self
    }

    /// Only events for which this holds are seen, as if journeys had no others. Observation still ends with the last
    /// event of the log, unless [`as_of`](Self::as_of) says otherwise. A condition on a stage is read by the question's
    /// model.
    pub fn filter(mut self, filter: Condition) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only these customers. Observation still ends with the last event of the log.
    pub fn customers(mut self, customers: impl IntoIterator<Item = CustomerId>) -> Self {
        self.customers = Some(customers.into_iter().collect());
        self
    }

    /// Only the customers of this [`Segment`](crate::Segment), or of the one that a store keeps under this name: their whole journeys are seen,
    /// and none of others. Which customers these are the filter and the range have no part in, but `as_of` and `known_at` do.
    /// Observation still ends with the last event of the log.
    pub fn segment(mut self, segment: impl Into<SegmentRef>) -> Self {
        self.segment = Some(segment.into());
        self
    }

    /// True if it is the whole log.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The sequence up to which entries are seen, if it is limited.
    pub(crate) fn known(&self) -> Option<Seq> {
        self.known_at
    }

    /// The end of observation, if it was given.
    pub(crate) fn end(&self) -> Option<Micros> {
        self.as_of.map(Micros::from)
    }

    pub(crate) fn segment_asked(&self) -> Option<&SegmentRef> {
        self.segment.as_ref()
    }

    pub(crate) fn filter_condition(&self) -> Option<&Condition> {
        self.filter.as_ref()
    }

    /// Refuses a scope that can hold nothing.
    pub(crate) fn check(&self) -> Result<(), InvalidPlan> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(InvalidPlan::new("scope", "the range ends before it begins"));
        }
        if let Some(SegmentRef::Named(name)) = &self.segment {
            check_name("scope.segment", name)?;
        }
        self.filter.as_ref().map_or(Ok(()), Condition::check).map_err(|e| e.within("scope.filter").into())
    }

    /// The scope in numbers; `last` is the time of the last event it sees, and `latest` that of the last event there is.
    pub(crate) fn bind(
        &self,
        names: &Names,
        identities: &Identities,
        (last, latest): (Option<Micros>, Option<Micros>),
    ) -> BoundScope {
        let customers = self.customers.as_ref().map(|ids| {
            let number = |id: &CustomerId| names.find_customer(id.as_str()).map(|id| identities.customer(id));
            let mut numbers: Vec<_> = ids.iter().filter_map(number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        });
        let end = self.end().or(last).unwrap_or(Micros::MIN);
        BoundScope {
            from: self.from.map_or(Micros::MIN, Micros::from),
            to: self.to.map(Micros::from),
            end,
            // What is no event may lie after the last of them.
            cuts_end: latest.is_some_and(|latest| latest > end)
                || (self.as_of.is_some() && ReservedNumbers::of(names).is_any()),
            is_end_given: self.as_of.is_some(),
            known_at: self.known_at.map(Seq::get),
            customers,
        }
    }
}

/// A scope in the numbers of one store.
#[derive(Debug, Clone)]
pub(crate) struct BoundScope {
    /// Entries count from here on ...
    pub(crate) from: Micros,
    /// ... and before this; `None` for no end.
    pub(crate) to: Option<Micros>,
    /// The last moment that is seen.
    pub(crate) end: Micros,
    /// Whether there are events after it.
    pub(crate) cuts_end: bool,
    /// Whether it was given, and not that of the last event: then what is no event is not seen after it either.
    pub(crate) is_end_given: bool,
    pub(crate) known_at: Option<u64>,
    /// In order.
    pub(crate) customers: Option<Vec<CustomerNo>>,
}

impl BoundScope {
    /// Whether entries at all moments count.
    pub(crate) fn counts_all(&self) -> bool {
        self.from == Micros::MIN && self.to.is_none()
    }

    /// Whether a period is over by the end of observation and lies wholly in the range: else it counts a part only.
    pub(crate) fn holds_whole(&self, period: PeriodSpan) -> bool {
        self.from <= period.start && period.end <= self.end && self.to.is_none_or(|to| period.end <= to)
    }

    /// Whether an entry at this moment counts.
    pub(crate) fn counts(&self, at: Micros) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}
