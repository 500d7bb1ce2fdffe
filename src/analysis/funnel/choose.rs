//! Which chain counts where several would do, and the value that it has at a step.

use std::cmp::Ordering;

use super::{
    breakdown::BreakdownFrom,
    chain::{Reached, Rules},
};
use crate::{
    journey::{Matched, NO_VALUE},
    model::Micros,
};

/// The chains of one level, entry and completion, of which step by step only those are left that come first.
pub(super) struct Choice<'a, F> {
    rules: &'a Rules,
    /// The events from the entry to the completion.
    times: &'a [Micros],
    words: &'a [u64],
    carried: &'a [u32],
    /// Where the first of them stands among the journey's.
    first: usize,
    level: usize,
    entry: Micros,
    at: Micros,
    /// How two values are ordered.
    order: F,
    /// The moment and the value of each step that was asked for.
    kinds: Vec<(Micros, u32)>,
    /// For each event the steps that it may serve in the chains that are left; empty as long as it need not be known.
    may: Vec<u64>,
    /// Where no two events tie and nothing stops a chain: the events from here on may serve the next step, and the first
    /// that can does.
    untied_from: Option<usize>,
}

impl<'a, F: Fn(u32, u32) -> Ordering> Choice<'a, F> {
    pub(super) fn new<T>(rules: &'a Rules, events: &Matched<'a>, level: usize, last: &Reached<T>, order: F) -> Self {
        let (entry, at) = (last.entry, last.at);
        let first = events.times.partition_point(|time| *time < entry);
        let range = first..events.times.partition_point(|time| *time <= at);
        let times = events.times.get(range.clone()).unwrap_or_default();
        let is_untied = rules.is_plain() && times.is_sorted_by(|a, b| a < b);
        Self {
            rules,
            times,
            words: events.words.get(range.clone()).unwrap_or_default(),
            carried: events.carried.get(range).unwrap_or_default(),
            first,
            level,
            entry,
            at,
            order,
            kinds: Vec::new(),
            may: Vec::new(),
            untied_from: is_untied.then_some(0),
        }
    }

    /// The value of the chain that comes first.
    pub(super) fn value(&mut self, from: BreakdownFrom) -> u32 {
        let level = self.level;
        match from {
            BreakdownFrom::FirstEvent | BreakdownFrom::Each => self.step(0),
            BreakdownFrom::Step(step) if step > level => NO_VALUE,
            BreakdownFrom::Step(step) => (0..step).map(|step| self.step(step)).last().unwrap_or(NO_VALUE),
            BreakdownFrom::FirstDefined => {
                (0..level).map(|step| self.step(step)).find(|value| *value != NO_VALUE).unwrap_or(NO_VALUE)
            }
            BreakdownFrom::LastDefined => {
                (0..level).map(|step| self.step(step)).filter(|value| *value != NO_VALUE).last().unwrap_or(NO_VALUE)
            }
        }
    }

    /// Whether there is any such chain.
    pub(super) fn is_there(&self) -> bool {
        let walk = self.rules.walk_where::<()>(self.times, self.words, |event, _| self.may(event));
        walk.reached.get(self.level - 1).is_some_and(|last| (last.entry, last.at) == (self.entry, self.at))
    }

    /// Leaves the chains that come first by the event of this step (from 0), and says its value. Steps come in order.
    fn step(&mut self, step: usize) -> u32 {
        if let Some(from) = self.untied_from {
            let found = (from..self.words.len()).find(|&event| self.word(event) >> step & 1 == 1);
            self.untied_from = found.map(|event| event + 1);
            let kind = found.map_or((Micros::MAX, NO_VALUE), |event| (self.time(event), self.carries(event)));
            self.kinds.push(kind);
            return kind.1;
        }
        self.know_events();
        let is_last = step + 1 == self.level;
        let serves = |event: &usize| {
            let time = self.time(*event);
            let is_in_time = (step > 0 || time == self.entry) && (!is_last || time == self.at);
            is_in_time && (self.word(*event) & self.may(*event)) >> step & 1 == 1
        };
        let mut kinds: Vec<(Micros, u32)> =
            (0..self.words.len()).filter(serves).map(|event| (self.time(event), self.carries(event))).collect();
        kinds.sort_by(|(time, value), (other_time, other)| {
            time.cmp(other_time).then_with(|| self.compare(*value, *other))
        });
        kinds.dedup();
        let Some((last_kind, others)) = kinds.split_last() else { return NO_VALUE };
        // There is such a chain, so if none of the others makes one, the last does. Most often the first does; else each of
        // very many events would be a walk over all of them.
        let leads_there = |kind: &(Micros, u32)| self.leads_there(step, *kind);
        let chosen = match others.first() {
            Some(first) if leads_there(first) => first,
            _ => others.get(others.partition_point(|kind| !leads_there(kind))).unwrap_or(last_kind),
        };
        let chosen = *chosen;
        let left = (0..self.may.len()).map(|event| self.may_then(event, step, chosen)).collect();
        self.may = left;
        self.kinds.push(chosen);
        chosen.1
    }

    /// Which of two choices over the same journey comes first: the one whose first step comes first, then the second ...
    pub(super) fn comes_before(&self, other: &Self) -> bool {
        let order = |(a, a_value): &(Micros, u32), (b, b_value): &(Micros, u32)| {
            a.cmp(b).then_with(|| self.compare(*a_value, *b_value))
        };
        let differ = self.kinds.iter().zip(&other.kinds).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
        differ.is_some_and(Ordering::is_lt)
    }

    /// Whether some chain is left if only events of this moment and value, and those that come before, serve a step.
    fn leads_there(&self, step: usize, (time, value): (Micros, u32)) -> bool {
        let walk = self.rules.walk_where::<()>(self.times, self.words, |event, at| {
            let comes_before = at < time || at == time && self.compare(self.carries(event), value).is_le();
            if comes_before { self.may(event) } else { self.may(event) & !(1 << step) }
        });
        let last = walk.reached.get(self.level - 1);
        last.is_some_and(|last| (last.entry, last.at) == (self.entry, self.at))
    }

    /// The events of a chain that is left, by their places in the journey.
    pub(super) fn trail(&self) -> Vec<usize> {
        let walk = self.rules.walk_where::<Vec<usize>>(self.times, self.words, |event, _| self.may(event));
        let trail = walk.reached.into_iter().nth(self.level - 1).map(|last| last.trail).unwrap_or_default();
        trail.into_iter().map(|event| self.first + event).collect()
    }

    /// Takes the slow way, which knows which events may serve.
    pub(super) fn keeping_events(mut self) -> Self {
        self.untied_from = None;
        self.know_events();
        self
    }

    /// At first every event may serve, but for other entries.
    fn know_events(&mut self) {
        if self.may.is_empty() {
            self.may = self.times.iter().map(|&time| if time == self.entry { u64::MAX } else { !1 }).collect();
        }
    }

    fn compare(&self, value: u32, other: u32) -> Ordering {
        // What has no value comes last.
        (value == NO_VALUE)
            .cmp(&(other == NO_VALUE))
            .then_with(|| if value == other { Ordering::Equal } else { (self.order)(value, other) })
    }

    fn may(&self, event: usize) -> u64 {
        self.may.get(event).copied().unwrap_or_default()
    }

    /// The steps that an event may serve if only events of one moment and value serve that step.
    fn may_then(&self, event: usize, step: usize, kind: (Micros, u32)) -> u64 {
        let is_of_kind = (self.time(event), self.carries(event)) == kind;
        if is_of_kind { self.may(event) } else { self.may(event) & !(1 << step) }
    }

    fn time(&self, event: usize) -> Micros {
        self.times.get(event).copied().unwrap_or(Micros::MAX)
    }

    fn word(&self, event: usize) -> u64 {
        self.words.get(event).copied().unwrap_or_default()
    }

    fn carries(&self, event: usize) -> u32 {
        self.carried.get(event).copied().unwrap_or(NO_VALUE)
    }
}
