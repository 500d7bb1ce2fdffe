//! How far one journey comes: for each level, the chain that began last is kept, and nothing else can do better.

use std::cmp::{Ordering, Reverse};

use arrayvec::ArrayVec;

use super::{
    LIMIT_STEPS, Order, Ties,
    pending::Waits,
    tied::{Seen, assign, levels, thin_out},
    waiting::{Chain, Gap, Waiting},
};
use crate::model::{Micros, Window};

/// A funnel's rules in the bits of its registered conditions: required steps first, then exclusions, then optional steps.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) steps: usize,
    pub(super) order: Order,
    pub(super) ties: Ties,
    pub(super) window: Option<Window>,
    /// For each step the time that may lie between it and the one before; empty if any may.
    pub(super) gaps: Vec<Gap>,
    /// How long a chain takes at most: the window, or the greatest gaps one after the other, whichever is less.
    pub(super) longest: Option<Window>,
    /// The end of observation.
    pub(super) end: Micros,
    /// For each exclusion the two steps it lies between, from 1; those that remove customers come last.
    pub(super) exclusions: Vec<(usize, usize)>,
}

/// What is remembered of a chain's events: nothing while counting, their places while listing.
pub(super) trait Trail: Clone + Default {
    /// Whether anything is.
    const IS_KEPT: bool;

    fn extended(&self, events: impl Iterator<Item = usize>) -> Self;

    /// The same with an event that serves a step (from 0), in whatever order.
    fn with(&self, step: usize, event: usize) -> Self;

    fn into_places(self) -> Vec<usize>;

    /// Turns places in a part of a journey's events into those among all of them.
    fn place_in(&mut self, part: &[(usize, u64)]);
}

impl Trail for () {
    const IS_KEPT: bool = false;

    fn extended(&self, _: impl Iterator<Item = usize>) -> Self {}

    fn with(&self, _: usize, _: usize) -> Self {}

    fn into_places(self) -> Vec<usize> {
        Vec::new()
    }

    fn place_in(&mut self, _: &[(usize, u64)]) {}
}

impl Trail for Vec<usize> {
    const IS_KEPT: bool = true;

    fn with(&self, step: usize, event: usize) -> Self {
        let mut longer = self.clone();
        longer.resize(longer.len().max(step + 1), usize::MAX);
        longer.get_mut(step).into_iter().for_each(|place| *place = event);
        longer
    }

    fn into_places(self) -> Vec<usize> {
        self
    }

    fn place_in(&mut self, part: &[(usize, u64)]) {
        self.iter_mut().for_each(|place| *place = part.get(*place).map_or(0, |(place, _)| *place));
    }

    fn extended(&self, events: impl Iterator<Item = usize>) -> Self {
        self.iter().copied().chain(events).collect()
    }
}

/// How a level was first reached.
#[derive(Debug, Clone)]
pub(super) struct Reached<T> {
    pub(super) entry: Micros,
    pub(super) at: Micros,
    pub(super) trail: T,
}

/// How far a journey came.
#[derive(Debug)]
pub(super) struct Walk<T> {
    /// For each step that was reached, how.
    pub(super) reached: ArrayVec<Reached<T>, LIMIT_STEPS>,
    /// Until when some chain can still go on, if there is an end to that.
    pub(super) open_until: Option<Micros>,
    /// The entry of those of the furthest chains that began last, and whether each of them was stopped by an exclusion, or
    /// broken in a strict funnel.
    pub(super) last_attempt: Option<(Micros, bool)>,
    /// Where chains that can still go on are furthest, and since when: known if [`Rules::is_open_by_entry`] does not say.
    pub(super) waits: Option<Waits>,
    /// Whether it was given up, as there were too many chains to follow.
    pub(super) is_too_much: bool,
}

impl<T> Default for Walk<T> {
    fn default() -> Self {
        Self { reached: ArrayVec::new(), open_until: None, last_attempt: None, waits: None, is_too_much: false }
    }
}

impl<T> Walk<T> {
    /// How far it came.
    pub(super) fn level(&self) -> usize {
        self.reached.len()
    }

    /// Whether each level was reached alike.
    pub(super) fn is_same<U>(&self, other: &Walk<U>) -> bool {
        self.reached.iter().map(Reached::order).eq(other.reached.iter().map(Reached::order))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.last_attempt.is_some_and(|(_, stopped)| stopped)
    }

    /// Takes in a walk over other chains of the same journey: of each level the one that completes first is kept, and of
    /// those the one that began last.
    pub(super) fn take_in(&mut self, other: Self) {
        match other.level().cmp(&self.level()) {
            Ordering::Less => {}
            Ordering::Greater => self.last_attempt = other.last_attempt,
            Ordering::Equal => {
                // Of one entry all must be stopped.
                let order = |attempt: &(Micros, bool)| (attempt.0, !attempt.1);
                self.last_attempt = self.last_attempt.into_iter().chain(other.last_attempt).max_by_key(order);
            }
        }
        self.is_too_much |= other.is_too_much;
        self.open_until = self.open_until.max(other.open_until);
        self.waits = self.waits.into_iter().chain(other.waits).max_by_key(Waits::order);
        for (level, there) in other.reached.into_iter().enumerate() {
            match self.reached.get_mut(level) {
                Some(here) if here.order() <= there.order() => {}
                Some(here) => *here = there,
                None => self.reached.push(there),
            }
        }
    }
}

impl<T> Reached<T> {
    /// The smaller, the better.
    pub(super) fn order(&self) -> (Micros, Reverse<Micros>) {
        (self.at, Reverse(self.entry))
    }
}

impl Rules {
    /// Whether it is the common case: in order, and nothing stops a chain but its window.
    pub(super) fn is_plain(&self) -> bool {
        self.order == Order::Ordered && self.exclusions.is_empty() && self.gaps.is_empty() && !self.is_tolerant()
    }

    /// Whether a chain can go on if it began late enough, whatever its level, and whatever came after it.
    pub(super) fn is_open_by_entry(&self) -> bool {
        self.order != Order::Strict && self.exclusions.is_empty() && self.gaps.is_empty()
    }

    /// Whether what can happen until that moment may still come.
    pub(super) fn is_open(&self, until: Option<Micros>) -> bool {
        until.is_some_and(|until| until > self.end)
    }

    /// What an event may do, by its word of conditions, if it may serve these steps only; `None` if it cannot matter.
    pub(super) fn seen(&self, event: usize, word: u64, may: u64) -> Option<Seen> {
        let mut serves = word & may & levels(0, self.steps - 1);
        let mut rests = u64::MAX;
        for (i, &(after, before)) in self.exclusions.iter().enumerate() {
            if word >> (self.steps + i) & 1 == 1 {
                rests &= !levels(after, before - 1);
                // Step s (from 0) is between if s + 1 is more than `after` and less than `before`.
                serves &= !((after..before - 1).fold(0, |bits, step| bits | 1 << step));
            }
        }
        if self.order == Order::Strict {
            // Before a chain begins anything may lie; at level L only a repetition of step L.
            rests = 1 | (word & levels(0, self.steps - 1)) << 1;
        }
        (serves != 0 || rests != u64::MAX).then_some(Seen { event, serves, rests })
    }

    /// Whether an event may serve before another though it is later.
    pub(super) fn is_tolerant(&self) -> bool {
        matches!(self.ties, Ties::Within(_))
    }

    /// The earliest moment of an event in a chain that began at this one.
    pub(super) fn earliest(&self, entry: Micros) -> Micros {
        match self.ties {
            Ties::Within(tolerance) => Micros(entry.0.saturating_sub(tolerance.micros())),
            _ => entry,
        }
    }

    /// The bits of all exclusions.
    pub(super) fn all_exclusions(&self) -> u64 {
        ((1 << self.exclusions.len()) - 1) << self.steps
    }

    /// The same without the exclusions that remove customers, of which there are so many.
    pub(super) fn without_removing(&self, removing: usize) -> Self {
        let mut rules = self.clone();
        rules.exclusions.truncate(rules.exclusions.len().saturating_sub(removing));
        rules
    }

    /// The gap before the step that takes a chain on from this level.
    pub(super) fn gap(&self, level: usize) -> Gap {
        self.gaps.get(level).copied().unwrap_or_default()
    }

    /// The last moment at which a chain that began at this one can be completed; `None` if it can for ever.
    pub(super) fn deadline(&self, entry: Micros) -> Option<Micros> {
        self.longest.map(|longest| entry.plus(longest))
    }

    /// The last moment at which a chain of this level can go on; `None` if it can for ever.
    pub(super) fn until(&self, level: usize, entry: Micros, last: Micros) -> Option<Micros> {
        let by_window = self.window.map(|window| entry.plus(window));
        let by_gap = self.gap(level).max.map(|gap| last.plus(gap));
        by_window.into_iter().chain(by_gap).min()
    }

    /// The highest level to which events of one instant can take a chain of this one.
    fn furthest_at_once(&self, level: usize) -> usize {
        if self.ties == Ties::LaterOnly {
            return level + 1;
        }
        (level + 1..self.steps).find(|&level| self.gap(level).waits()).unwrap_or(self.steps)
    }

    fn in_window(&self, entry: Micros, at: Micros) -> bool {
        self.window.is_none_or(|window| at <= entry.plus(window))
    }

    /// The first of some events, each with its word of conditions, that may begin a chain, in whatever range.
    pub(super) fn first_ever<'a>(&self, mut events: impl Iterator<Item = (&'a Micros, &'a u64)>) -> Option<Micros> {
        let entries = if self.order == Order::Any { self.all_steps() } else { 1 };
        events.find(|(_, word)| *word & entries != 0).map(|(at, _)| *at)
    }

    /// Walks a journey. `enters` says whether an event at that moment may be an entry.
    pub(super) fn walk<T: Trail>(&self, times: &[Micros], words: &[u64], enters: impl Fn(Micros) -> bool) -> Walk<T> {
        if self.order == Order::Any {
            return self.walk_any_order(times, words, enters);
        }
        self.walk_where(times, words, |_, at| if enters(at) { u64::MAX } else { !1 })
    }

    /// The same, where `may` says of each event and its moment which steps it may serve, as bits.
    pub(super) fn walk_where<T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        may: impl Fn(usize, Micros) -> u64,
    ) -> Walk<T> {
        if let Ties::Within(tolerance) = self.ties {
            return self.walk_tolerant(tolerance, (times, words), may);
        }
        let mut walker = Walker::new(self);
        let mut group: Vec<Seen> = Vec::new();
        let mut now = Micros::MIN;
        for (event, (&at, &word)) in times.iter().zip(words).enumerate() {
            let Some(seen) = self.seen(event, word, may(event, at)) else { continue };
            if at != now {
                walker.step(now, &mut group);
                now = at;
            }
            group.push(seen);
        }
        walker.step(now, &mut group);
        walker.finish()
    }
}

pub(super) struct Walker<'a, T> {
    rules: &'a Rules,
    /// For each level below the last: the chains that can go on from there. Level 0 is not begun.
    waiting: ArrayVec<Waiting<T>, LIMIT_STEPS>,
    /// For each level below the last: when the first of the chains came there that may go on at the end of observation.
    since: ArrayVec<Option<Micros>, LIMIT_STEPS>,
    reached: ArrayVec<Reached<T>, LIMIT_STEPS>,
    /// For each level below the last: those chains of all that came this far that began last.
    attempts: ArrayVec<Option<Attempt>, LIMIT_STEPS>,
}

/// The chains of one level and one entry.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    entry: Micros,
    /// Whether one of them was ended by its window, and not stopped.
    ended: bool,
    /// The last event of the oldest of them that has not been stopped.
    going: Option<Micros>,
}

impl<'a, T: Trail> Walker<'a, T> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            waiting: (0..rules.steps).map(|_| Waiting::default()).collect(),
            since: (0..rules.steps).map(|_| None).collect(),
            reached: ArrayVec::new(),
            attempts: (0..rules.steps).map(|_| None).collect(),
        }
    }

    /// Whether the last step was taken, or no chain can go on at a moment.
    pub(super) fn is_over(&self, at: Micros) -> bool {
        let is_over = |(level, waiting): (usize, &Waiting<T>)| {
            let until = |chain: &Chain<T>| self.rules.until(level, chain.entry, chain.last);
            waiting.chains().all(|chain| until(chain).is_some_and(|until| until < at))
        };
        self.reached.len() == self.rules.steps || self.waiting.iter().enumerate().skip(1).all(is_over)
    }

    /// Whether the events of a moment that were taken in have stopped the last chain that could go on at it.
    pub(super) fn is_stopped(&self, at: Micros) -> bool {
        self.reached.len() < self.rules.steps && self.is_over(at)
    }

    /// Takes in all events of one instant.
    pub(super) fn step(&mut self, at: Micros, group: &mut Vec<Seen>) {
        match group.as_slice() {
            [] => {}
            [one] => self.step_one(at, *one),
            _ => self.step_group(at, group),
        }
        group.clear();
    }

    /// One event: each chain either uses it for its next step, or lets it lie.
    fn step_one(&mut self, at: Micros, seen: Seen) {
        for level in (1..=self.rules.steps).rev() {
            let longer = if seen.may_serve(level - 1) {
                self.extended(level - 1, at, std::iter::once(seen.event))
            } else {
                None
            };
            if let Some(chain) = &longer {
                self.reach(level, at, chain);
            }
            let reached = longer.as_ref().map(|chain| chain.entry);
            self.settle(level, at, reached, longer, seen.rests >> level & 1 == 1);
        }
    }

    /// Several events at one instant: every chain tries how far they take it, in any order.
    fn step_group(&mut self, at: Micros, group: &mut Vec<Seen>) {
        let steps = self.rules.steps;
        thin_out(group, steps);
        let mut longer: Vec<Option<Chain<T>>> = vec![None; steps];
        let mut reached: Vec<Option<Chain<T>>> = vec![None; steps + 1];
        let mut rests = vec![true; steps];
        for from in 0..steps {
            if from > 0 && self.waiting.get(from).is_none_or(Waiting::is_empty) {
                continue;
            }
            let must_serve = |seen: &Seen, to: usize| seen.rests & levels(from, to) == 0;
            if let Some(rests) = rests.get_mut(from) {
                *rests = !group.iter().any(|seen| must_serve(seen, from));
            }
            for to in from + 1..=self.rules.furthest_at_once(from) {
                let Some(chosen) = assign(group, from, to, |_| false) else { break };
                let events =
                    |chosen: Vec<usize>| chosen.into_iter().filter_map(|i| group.get(i)).map(|seen| seen.event);
                let Some(chain) = self.extended(from, at, events(chosen)) else { break };
                keep_later(reached.get_mut(to), &chain);
                if let Some(chosen) = assign(group, from, to, |seen| must_serve(seen, to))
                    && let Some(chain) = self.extended(from, at, events(chosen))
                {
                    keep_later(longer.get_mut(to), &chain);
                }
            }
        }
        for (level, chain) in reached.iter().enumerate() {
            if let Some(chain) = chain {
                self.reach(level, at, chain);
            }
        }
        for level in 1..steps {
            let longer = longer.get_mut(level).and_then(Option::take);
            let reached = reached.get(level).and_then(Option::as_ref).map(|chain| chain.entry);
            self.settle(level, at, reached, longer, rests.get(level).copied().unwrap_or(true));
        }
    }

    /// The chain at a level with these events after it, if it is there and its window allows it.
    fn extended(&mut self, from: usize, at: Micros, events: impl Iterator<Item = usize>) -> Option<Chain<T>> {
        if from == 0 {
            return Some(Chain { entry: at, last: at, trail: T::default().extended(events) });
        }
        let best = self.waiting.get_mut(from)?.best_at(at, self.rules.gap(from));
        let chain = best.filter(|chain| self.rules.in_window(chain.entry, at))?;
        Some(Chain { entry: chain.entry, last: at, trail: chain.trail.extended(events) })
    }

    /// Notes that a level is reached, if it is for the first time. The levels below are noted by then.
    fn reach(&mut self, level: usize, at: Micros, chain: &Chain<T>) {
        if self.reached.len() < level {
            self.reached.push(Reached { entry: chain.entry, at, trail: chain.trail.clone() });
        }
    }

    /// Decides which chains wait at a level: those that were there, if the events let them rest, and the one that came.
    /// `reached` is the entry of a chain that came this far, whether or not the events let it go on.
    fn settle(&mut self, level: usize, at: Micros, reached: Option<Micros>, came: Option<Chain<T>>, rests: bool) {
        let at_level = (self.waiting.get_mut(level), self.since.get_mut(level), self.attempts.get_mut(level));
        let (Some(there), Some(since), Some(attempt)) = at_level else { return };
        if !rests {
            there.clear();
            *since = None;
            if let Some(attempt) = attempt
                && let Some(last) = attempt.going.take()
            {
                attempt.ended |= self.rules.until(level, attempt.entry, last).is_some_and(|until| until < at);
            }
        }
        if let Some(entry) = reached {
            if attempt.is_none_or(|attempt| attempt.entry < entry) {
                *attempt = Some(Attempt { entry, ended: false, going: None });
            }
            if let Some(attempt) = attempt
                && came.as_ref().is_some_and(|chain| chain.entry == attempt.entry)
            {
                attempt.going.get_or_insert(at);
            }
        }
        if let Some(came) = came {
            if since.is_none() && self.rules.is_open(self.rules.until(level, came.entry, at)) {
                *since = Some(at);
            }
            there.take_in(came, self.rules.gap(level));
        }
    }

    pub(super) fn finish(self) -> Walk<T> {
        let levels = self.waiting.iter().enumerate().skip(1);
        let open_until = levels.filter_map(|(level, waiting)| {
            let until = |chain: &Chain<T>| self.rules.until(level, chain.entry, chain.last);
            waiting.chains().filter_map(until).max()
        });
        let open_until = open_until.max();
        let last = self.attempts.get(self.reached.len()).copied().flatten();
        let last_attempt = last.map(|attempt| (attempt.entry, !attempt.ended && attempt.going.is_none()));
        let waits =
            self.since.iter().enumerate().rev().find_map(|(level, since)| Some(Waits { level, since: (*since)? }));
        Walk { reached: self.reached, open_until, last_attempt, waits, is_too_much: false }
    }
}

fn keep_later<T: Trail>(there: Option<&mut Option<Chain<T>>>, came: &Chain<T>) {
    if let Some(there) = there
        && there.as_ref().is_none_or(|chain| chain.entry < came.entry)
    {
        *there = Some(came.clone());
    }
}
