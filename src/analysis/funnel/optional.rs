//! Optional steps: counted where they are done in sequence, and never required.

use super::{chain::Rules, hold::Part};
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

impl OptionalStep {
    pub(super) fn new(rules: &Rules, bit: usize, after: usize) -> Self {
        let shifted = |step: usize| step + usize::from(step > after);
        let mut with = rules.clone();
        with.steps += 1;
        with.exclusions.iter_mut().for_each(|(from, to)| (*from, *to) = (shifted(*from), shifted(*to)));
        Self { bit, after, with, conditions: rules.all_steps() | rules.all_exclusions() }
    }

    /// Whether some chain of a level from one moment to the other, or the same and more after it, has done this step too.
    pub(super) fn is_done(
        &self,
        events: &Matched<'_>,
        parts: Option<&[Part]>,
        level: usize,
        span: (Micros, Micros),
    ) -> bool {
        let mut room = MatchedRoom::default();
        match parts {
            _ if level < self.after => false,
            None => self.is_done_in(events, level, span),
            Some(parts) => {
                parts.iter().any(|part| self.is_done_in(&events.at(part.iter().copied(), &mut room), level, span))
            }
        }
    }

    fn is_done_in(&self, events: &Matched<'_>, level: usize, (entry, at): (Micros, Micros)) -> bool {
        let first = events.times.partition_point(|time| *time < entry);
        let times = events.times.get(first..).unwrap_or_default();
        let words: Vec<u64> = events.words.iter().skip(first).map(|word| self.with_step(*word)).collect();
        let is_last = level == self.after;
        // Up to the last step that was taken nothing is later than that was; then comes the optional step, if it is the next.
        let walk = self.with.walk_where::<()>(times, &words, |_, time| {
            let first = if time == entry { u64::MAX } else { !1 };
            match (time <= at, is_last) {
                (true, _) => first,
                (false, true) => first & 1 << level,
                (false, false) => 0,
            }
        });
        let reached = walk.reached.get(level);
        reached.is_some_and(|reached| reached.entry == entry && (is_last || reached.at == at))
    }

    /// A word of conditions in which this step stands in its place.
    fn with_step(&self, word: u64) -> u64 {
        let below = word & ((1 << self.after) - 1);
        let above = (word & self.conditions) >> self.after;
        below | (word >> self.bit & 1) << self.after | above << (self.after + 1)
    }
}
