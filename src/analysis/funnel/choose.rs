//! Which chain counts where several would do: step by step the one that comes first.

use std::cell::Cell;

use super::chain::Rules;
use crate::{journey::Matched, model::Micros};

/// The chains of one level, entry and completion, of which step by step only those are left that come first.
pub(super) struct Choice<'a> {
    rules: &'a Rules,
    /// The events from the entry to the completion.
    times: &'a [Micros],
    words: &'a [u64],
    /// Where the first of them stands among the journey's.
    first: usize,
    level: usize,
    entry: Micros,
    at: Micros,
    /// For each event the steps that it may serve in the chains that are left; empty as long as it need not be known.
    may: Vec<u64>,
    /// Where no two events tie and nothing stops a chain, the first event that can serve a step does: those found so far.
    untied: Option<Vec<usize>>,
    /// Whether a walk was given up.
    is_too_much: Cell<bool>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(rules: &'a Rules, events: &Matched<'a>, level: usize, (entry, at): (Micros, Micros)) -> Self {
        let first = events.times.partition_point(|time| *time < rules.earliest(entry));
        let range = first..events.times.partition_point(|time| *time <= at);
        let times = events.times.get(range.clone()).unwrap_or_default();
        let is_untied = rules.is_plain() && times.is_sorted_by(|a, b| a < b);
        Self {
            rules,
            times,
            words: events.words.get(range).unwrap_or_default(),
            first,
            level,
            entry,
            at,
            may: Vec::new(),
            untied: is_untied.then(Vec::new),
            is_too_much: Cell::new(false),
        }
    }

    /// Whether there is any such chain.
    pub(super) fn is_there(&mut self) -> bool {
        self.know_events();
        self.is_left(|event, _| self.may(event))
    }

    /// Whether there were too many chains to choose among them.
    pub(super) fn is_too_much(&self) -> bool {
        self.is_too_much.get()
    }

    /// Leaves the chains that come first by the event of this step (from 0): the earlier, and at one moment the one with the
    /// smaller key. Says both of the event. The key is told of each event by its place in the journey. Steps come in order.
    pub(super) fn step<K: Ord + Copy>(&mut self, step: usize, key: impl Fn(usize) -> K) -> Option<(Micros, K)> {
        if let Some(found) = &mut self.untied {
            if found.len() <= step {
                let from = found.last().map_or(0, |event| event + 1);
                let next = self.words.iter().enumerate().skip(from).find(|(_, word)| **word >> step & 1 == 1);
                found.extend(next.map(|(event, _)| event));
            }
            let event = found.get(step).copied()?;
            return Some((self.time(event), key(self.first + event)));
        }
        self.know_events();
        let may = std::mem::take(&mut self.may);
        let kind = |event: usize| (self.time(event), key(self.first + event));
        let serves =
            |event: &usize| (self.word(*event) & may.get(*event).copied().unwrap_or_default()) >> step & 1 == 1;
        let is_in_time = |event: &usize| {
            let (time, is_last) = (self.time(*event), step + 1 == self.level);
            self.rules.is_tolerant() || (step > 0 || time == self.entry) && (!is_last || time == self.at)
        };
        let mut kinds: Vec<(Micros, K)> = (0..self.words.len()).filter(serves).filter(is_in_time).map(kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        // There is such a chain, so if none of the others makes one, the last does. Most often the first does; else each of
        // very many events would be a walk over all of them.
        let only = |event: usize, may_serve: bool| {
            let may = may.get(event).copied().unwrap_or_default();
            if may_serve { may } else { may & !(1 << step) }
        };
        let leads_there = |wanted: &(Micros, K)| self.is_left(|event, _| only(event, kind(event) <= *wanted));
        let (last_kind, others) = kinds.split_last()?;
        let chosen = match others.first() {
            Some(first) if leads_there(first) => first,
            _ => others.get(others.partition_point(|kind| !leads_there(kind))).unwrap_or(last_kind),
        };
        self.may = (0..may.len()).map(|event| only(event, kind(event) == *chosen)).collect();
        Some(*chosen)
    }

    /// The events of a chain that is left, by their places in the journey.
    pub(super) fn trail(&mut self) -> Vec<usize> {
        if let Some(found) = self.untied.as_ref().filter(|found| found.len() == self.level) {
            return found.iter().map(|event| self.first + event).collect();
        }
        self.know_events();
        let walk = self.rules.walk_where::<Vec<usize>>(self.times, self.words, |event, _| self.may(event));
        let trail = walk.reached.into_iter().nth(self.level - 1).map(|last| last.trail).unwrap_or_default();
        trail.into_iter().map(|event| self.first + event).collect()
    }

    /// Whether there is a chain in which each event serves those steps only that it may.
    fn is_left(&self, may: impl Fn(usize, Micros) -> u64) -> bool {
        let walk = self.rules.walk_where::<()>(self.times, self.words, may);
        self.is_too_much.set(self.is_too_much.get() | walk.is_too_much);
        let last = walk.reached.get(self.level - 1);
        last.is_some_and(|last| (last.entry, last.at) == (self.entry, self.at))
    }

    /// Which steps events may serve: at first all, but for other entries.
    fn know_events(&mut self) {
        if self.may.is_empty() {
            self.may = self.times.iter().map(|&time| if time == self.entry { u64::MAX } else { !1 }).collect();
        }
    }

    fn may(&self, event: usize) -> u64 {
        self.may.get(event).copied().unwrap_or_default()
    }

    fn time(&self, event: usize) -> Micros {
        self.times.get(event).copied().unwrap_or(Micros::MAX)
    }

    fn word(&self, event: usize) -> u64 {
        self.words.get(event).copied().unwrap_or_default()
    }
}
