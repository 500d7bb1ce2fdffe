//! At which step a customer who is pending waits: the one to which the furthest chain came that can still go on. Another may have
//! come further whose window is over by now.

use std::cmp::Reverse;

use super::{
    FunnelOutcome,
    chain::{Reached, Walk},
    hold::Part,
    state::BoundFunnel,
};
use crate::{
    journey::{Matched, MatchedRoom},
    model::Micros,
};

/// The level at which a customer waits, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) level: usize,
    pub(super) since: Micros,
}

/// How a customer's funnel ended, and where they wait if they do.
pub(super) type Ended = (FunnelOutcome, Option<Waits>);

impl Waits {
    /// Further first, and then earlier.
    pub(super) fn order(&self) -> (usize, Reverse<Micros>) {
        (self.level, Reverse(self.since))
    }

    fn at_last<T>(reached: &[Reached<T>]) -> Option<Self> {
        reached.last().map(|last| Self { level: reached.len(), since: last.at })
    }
}

impl BoundFunnel {
    /// Where the customer of a walk waits, if it ended so that they do.
    pub(super) fn waits<T>(
        &self,
        (walk, outcome): (&Walk<T>, FunnelOutcome),
        (events, parts): (&Matched<'_>, Option<&[Part]>),
    ) -> Option<Waits> {
        self.waits_after(&walk.reached, outcome, || match parts {
            Some(parts) => self.rules.walk_parts(events, parts, |at| self.is_open_entry(at)),
            None => self.rules.walk(events.times, events.words, |at| self.is_open_entry(at)),
        })
    }

    /// The same of a walk over the events that carry a value.
    pub(super) fn waits_of_value(
        &self,
        (reached, outcome): (&[Reached<()>], FunnelOutcome),
        (events, value): (&Matched<'_>, u32),
    ) -> Option<Waits> {
        self.waits_after(reached, outcome, || {
            let places = (0..events.carried.len()).filter(|place| events.carried.get(*place) == Some(&value));
            let mut room = MatchedRoom::default();
            let events = events.at(places.map(|place| (place, u64::MAX)), &mut room);
            self.rules.walk(events.times, events.words, |at| self.is_open_entry(at))
        })
    }

    /// The same of one attempt, all of whose chains have one entry.
    pub(super) fn waits_of_attempt<T>(&self, walk: &Walk<T>, outcome: FunnelOutcome) -> Option<Waits> {
        self.waits_after(&walk.reached, outcome, || Walk { waits: walk.waits, ..Walk::default() })
    }

    /// `again` walks the chains whose entries are late enough for them to go on.
    fn waits_after<T>(
        &self,
        reached: &[Reached<T>],
        outcome: FunnelOutcome,
        again: impl FnOnce() -> Walk<()>,
    ) -> Option<Waits> {
        let last = reached.last().filter(|_| outcome == FunnelOutcome::Pending)?;
        if !self.rules.is_open_by_entry() {
            return again().waits;
        }
        if self.is_open_entry(last.entry) { Waits::at_last(reached) } else { Waits::at_last(&again().reached) }
    }

    /// Whether a chain that begins at a moment counts, and can still go on if nothing but its time ends it.
    fn is_open_entry(&self, at: Micros) -> bool {
        let until = self.rules.deadline(at);
        self.scope.counts(at) && (until.is_none() || self.rules.is_open(until))
    }
}
