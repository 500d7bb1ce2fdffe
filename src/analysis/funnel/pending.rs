//! At which step a customer who is pending waits: the one to which the furthest chain came that can still go on. Another may have
//! come further whose window is over by now.

use std::cmp::Reverse;

use super::{
    FunnelOutcome, Ties,
    chain::{Reached, Walk},
    hold::Part,
    state::BoundFunnel,
    tied::levels,
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

    pub(super) fn at_last<T>(reached: &[Reached<T>]) -> Option<Self> {
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
            Some(parts) => self.waits_again(&self.rules.walk_parts(events, parts, |at| self.is_open_entry(at))),
            None => self.waits_open(events.times, events.words),
        })
    }

    /// The same of a walk over the events that carry a value.
    pub(super) fn waits_of_value(
        &self,
        (reached, outcome): (&[Reached<()>], FunnelOutcome),
        (events, value): (&Matched<'_>, u32),
        room: &mut MatchedRoom,
    ) -> Option<Waits> {
        self.waits_after(reached, outcome, || {
            let since = self.open_since(events.times);
            let places = (since..events.carried.len()).filter(|place| events.carried.get(*place) == Some(&value));
            let events = events.at(places.map(|place| (place, u64::MAX)), room);
            self.waits_open(events.times, events.words)
        })
    }

    /// The same of one attempt, all of whose chains have one entry.
    pub(super) fn waits_of_attempt<T>(&self, walk: &Walk<T>, outcome: FunnelOutcome) -> Option<Waits> {
        self.waits_after(&walk.reached, outcome, || walk.waits)
    }

    /// `again` says where the chains wait whose entries are late enough for them to go on.
    fn waits_after<T>(
        &self,
        reached: &[Reached<T>],
        outcome: FunnelOutcome,
        again: impl FnOnce() -> Option<Waits>,
    ) -> Option<Waits> {
        let last = reached.last().filter(|_| outcome == FunnelOutcome::Pending)?;
        if self.rules.is_open_by_entry() && self.is_open_entry(last.entry) {
            return Waits::at_last(reached);
        }
        again()
    }

    /// Where the chains of a walk wait, all of which can still go on.
    fn waits_again(&self, walk: &Walk<()>) -> Option<Waits> {
        if self.rules.is_open_by_entry() { Waits::at_last(&walk.reached) } else { walk.waits }
    }

    /// Where the chains wait that can still go on. Events before the first that may begin one have no part in these.
    fn waits_open(&self, times: &[Micros], words: &[u64]) -> Option<Waits> {
        let since = self.open_since(times);
        let (times, words) = (times.get(since..).unwrap_or_default(), words.get(since..).unwrap_or_default());
        let further = levels(1, self.rules.steps - 1);
        if !self.rules.is_open_by_entry() || words.iter().any(|word| word & further != 0) {
            return self.waits_again(&self.rules.walk(times, words, |at| self.is_open_entry(at)));
        }
        // Most have entries only, and wait since the first.
        let mut entries = times.iter().zip(words).filter(|(at, word)| **word & 1 == 1 && self.is_open_entry(**at));
        entries.next().map(|(at, _)| Waits { level: 1, since: *at })
    }

    /// The place of the first event that may have part in a chain that can still go on.
    fn open_since(&self, times: &[Micros]) -> usize {
        match self.rules.ties {
            // Events that are before the first by the clock may serve after it.
            Ties::Within(_) => 0,
            Ties::Either | Ties::LaterOnly => times.partition_point(|at| !self.is_in_time(*at)),
        }
    }

    /// Whether the time of a chain that begins at a moment is not over.
    fn is_in_time(&self, at: Micros) -> bool {
        let until = self.rules.deadline(at);
        until.is_none() || self.rules.is_open(until)
    }

    /// Whether a chain that begins at a moment counts, and can still go on if nothing but its time ends it.
    pub(super) fn is_open_entry(&self, at: Micros) -> bool {
        self.scope.counts(at) && self.is_in_time(at)
    }
}
