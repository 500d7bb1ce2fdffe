//! Optional steps: counted where they are done in sequence, and never required.

use super::{
    answer::{Price, Served},
    chain::Rules,
    hold::Part,
};
use crate::{
    journey::{Matched, MatchedRoom},
    model::Micros,
};

/// An optional step, and the rules of the funnel in which it is required.
#[derive(Debug)]
pub(super) struct OptionalStep {
    /// The bit of its condition.
    bit: usize,
    /// How many required steps come before it.
    after: usize,
    with: Rules,
    /// The bits of the funnel's conditions without those of optional steps.
    conditions: u64,
}

/// What is told of an optional step that was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptionalDone {
    pub(super) price: Price,
    /// Where the event that did it stands among the customer's matching events, if it was looked for.
    pub(super) place: Option<usize>,
}

impl OptionalStep {
    pub(super) fn new(rules: &Rules, bit: usize, after: usize) -> Self {
        let shifted = |step: usize| step + usize::from(step > after);
        let mut with = rules.clone();
        with.steps += 1;
        with.exclusions.iter_mut().for_each(|(from, to)| (*from, *to) = (shifted(*from), shifted(*to)));
        Self { bit, after, with, conditions: rules.all_steps() | rules.all_exclusions() }
    }

    /// Whether some chain of a level from one moment to the other, or the same and more after it, has done this step too.
    pub(super) fn is_done(&self, served: Served<'_>, level: usize, span: (Micros, Micros)) -> bool {
        in_parts(served, |events, _| self.done_at(events, level, span, |_| true)).is_some()
    }

    /// The event that did it, and its money: of several the earliest, at one moment the one of the smaller money, and of these
    /// the one that stands first.
    pub(super) fn first(&self, served: Served<'_>, level: usize, span: (Micros, Micros)) -> Option<OptionalDone> {
        let first = in_parts(served, |events, part| {
            let in_all = |place: usize| part.map_or(Some(place), |part| part.get(place).map(|(place, _)| *place));
            let kind = |place: usize| Some((*events.times.get(place)?, served.price(events, place), in_all(place)?));
            let is_one = |place: &usize| events.words.get(*place).is_some_and(|word| word >> self.bit & 1 == 1);
            let done = self.done_at(events, level, span, |_| true)?;
            let from = events.times.partition_point(|time| *time < span.0);
            let end = events.times.partition_point(|time| *time <= done);
            let mut kinds: Vec<_> = (from..end).filter(is_one).filter_map(kind).collect();
            kinds.sort_unstable();
            // The first that makes it done if those before it do not does it.
            let is_done = |last: &(Micros, Price, usize)| {
                self.done_at(events, level, span, |place| kind(place).is_some_and(|kind| kind <= *last)).is_some()
            };
            kinds.get(kinds.partition_point(|kind| !is_done(kind))).copied()
        });
        first.map(|(_, price, place)| OptionalDone { price, place: Some(place) })
    }

    /// When it is done, or at the latest what comes after it, if only these events may do it; `None` if it is not.
    fn done_at(
        &self,
        events: &Matched<'_>,
        level: usize,
        (entry, at): (Micros, Micros),
        may_do: impl Fn(usize) -> bool,
    ) -> Option<Micros> {
        if level < self.after {
            return None;
        }
        let is_last = level == self.after;
        let first = events.times.partition_point(|time| *time < entry);
        // Up to the last step that was taken nothing is later than that was; then comes the optional step, if it is the next.
        let until = if is_last { self.with.until(level, entry, at).unwrap_or(Micros::MAX) } else { at };
        let looked_at = events.times.iter().zip(events.words).enumerate().skip(first);
        let looked_at = looked_at.map(|(event, (&time, &word))| (event, time, self.with_step(word)));
        let looked_at = looked_at.take_while(|(_, time, _)| *time <= until);
        // It ends where no chain of this entry can go on, or each of many attempts would look at all that is left.
        let (walk, _) = self.with.walk_attempt::<()>(entry, looked_at, |event, time| {
            let all = if time == entry { u64::MAX } else { !1 };
            let may = if may_do(event) { all } else { all & !(1 << self.after) };
            if time <= at { may } else { may & 1 << level }
        });
        let reached = walk.reached.get(level)?;
        (reached.entry == entry && (is_last || reached.at == at)).then_some(reached.at)
    }

    /// A word of conditions in which this step stands in its place.
    fn with_step(&self, word: u64) -> u64 {
        let below = word & ((1 << self.after) - 1);
        let above = (word & self.conditions) >> self.after;
        below | (word >> self.bit & 1) << self.after | above << (self.after + 1)
    }
}

/// What is found first in the customer's events, or in the parts of them, which are told too.
fn in_parts<K: Ord>(served: Served<'_>, find: impl Fn(&Matched<'_>, Option<&Part>) -> Option<K>) -> Option<K> {
    let mut room = MatchedRoom::default();
    match served.parts {
        None => find(served.events, None),
        Some(parts) => {
            let find = |part: &Part| find(&served.events.at(part.iter().copied(), &mut room), Some(part));
            parts.iter().filter_map(find).min()
        }
    }
}
