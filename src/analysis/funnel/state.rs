//! A funnel bound to a store, and what is counted while visiting.

use std::{collections::BTreeMap, sync::Mutex};

use serde::{Deserialize, Serialize};

use super::{
    Breakdown, Count, ExclusionEffect, Funnel, FunnelOutcome, FunnelReport, Order,
    answer::{Answer, Price, Served},
    by_level::Room,
    chain::{Reached, Rules, Trail, Walk},
    each::Walks,
    group_by::GroupBy,
    groups::{Counts, Groups, Key, KeyRef},
    hold::{self, Part},
    optional::{OptionalDone, OptionalStep},
    pending::Ended,
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Matches, carried::Carried},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, JourneyBatch, LIMIT_VALUES, Matched, MatchedRoom, Names},
    model::{Micros, Periods, Seq},
};

/// A funnel bound to a store.
#[derive(Debug)]
pub struct BoundFunnel {
    pub(super) plan: Funnel,
    pub(super) rules: Rules,
    /// The same without the exclusions that remove customers, if there are such.
    without_removing: Option<Rules>,
    optional: Vec<OptionalStep>,
    matches: Matches,
    /// For each property that is held constant the same events, which carry it.
    held: Vec<Matches>,
    pub(super) scope: BoundScope,
    pub(super) groups: Option<GroupBy>,
    /// Of as many threads as count by level at once.
    pub(super) room: Mutex<Vec<Room>>,
}

impl Analysis for Funnel {
    type Bound = BoundFunnel;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundFunnel, InvalidPlan> {
        let steps = || (1..).zip(&self.steps);
        let is_optional = |step: &usize| self.optional.contains(step);
        let required = steps().filter(|(step, _)| !is_optional(step)).map(|(_, condition)| condition);
        let excluded = self.exclusions.iter().map(|exclusion| &exclusion.when);
        let optional = steps().filter(|(step, _)| is_optional(step)).map(|(_, condition)| condition);
        let conditions: Vec<_> = required.chain(excluded).chain(optional).cloned().collect();
        if self.customers {
            binder.need_seqs();
        }
        if self.value {
            binder.need_values();
        }
        // Any other event breaks a strict chain, so it is looked at too; so is it where it may be a touch.
        let looks_at_every_event =
            self.order == Order::Strict || self.breakdown.as_ref().is_some_and(Breakdown::looks_at_every_event);
        let mut register = || {
            if looks_at_every_event { binder.matches_and_others(&conditions) } else { binder.matches(&conditions) }
        };
        let matches = register()?;
        let held = self.hold.iter().map(|_| register()).collect::<Result<Vec<_>, _>>()?;
        let few_values = self.breakdown.is_none() || binder.sizes().1 <= LIMIT_VALUES;
        if self.is_counted_by_level() && few_values && binder.scope().counts_all() {
            binder.as_bits(matches);
        }
        for (property, held) in self.hold.iter().zip(&held) {
            let number = binder.names().find_property(property).map(|number| number.0);
            binder.carry(*held, Carried::Property(number));
        }
        let removing = self.exclusions.iter().filter(|exclusion| exclusion.effect == ExclusionEffect::Remove).count();
        let rules = Rules {
            steps: self.steps.len() - self.optional.len(),
            order: self.order,
            ties: self.ties,
            window: self.window,
            longest: self.longest(),
            end: binder.scope().end,
            gaps: self.gaps_by_step(),
            exclusions: self
                .exclusions
                .iter()
                .map(|exclusion| (self.required_up_to(exclusion.after), self.required_up_to(exclusion.before)))
                .collect(),
        };
        let bits = rules.steps + rules.exclusions.len()..;
        let optional = bits.zip(&self.optional);
        Ok(BoundFunnel {
            optional: optional.map(|(bit, step)| OptionalStep::new(&rules, bit, self.required_up_to(*step))).collect(),
            without_removing: (removing > 0).then(|| rules.without_removing(removing)),
            rules,
            groups: self.breakdown_of_required().map(|breakdown| breakdown.bind(binder, matches)),
            matches,
            held,
            scope: binder.scope().clone(),
            plan: self.clone(),
            room: Mutex::default(),
        })
    }
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FunnelState {
    pub(super) groups: Groups,
    /// The groups by the beginnings of the periods of entry, if the plan asks for a trend.
    pub(super) trend: BTreeMap<Micros, Groups>,
    /// Customers whom an exclusion removed.
    pub(super) removed: u64,
    /// Whether some journey had too many chains to follow.
    pub(super) is_too_much: bool,
    pub(super) customers: Vec<Listed>,
    /// The bytes of the texts in these.
    listed_texts: usize,
    /// Room for the walks of one journey.
    #[serde(skip)]
    walks: Box<Walks>,
    /// The same for some of its events.
    #[serde(skip)]
    pub(super) room: MatchedRoom,
    #[serde(skip)]
    periods: Periods,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) customer: CustomerNo,
    pub(super) outcome: FunnelOutcome,
    pub(super) group: Key,
    pub(super) level: usize,
    /// Each with its step, from 1: those of optional steps too.
    pub(super) events: Vec<(usize, Seq, Micros)>,
}

impl BoundFunnel {
    /// The place of a required step (from 0) in the plan, from 1.
    pub(super) fn place_of(&self, required: usize) -> usize {
        let is_required = |step: &usize| !self.plan.optional.contains(step);
        (1..).filter(is_required).nth(required).unwrap_or_default()
    }

    fn outcome<T>(&self, walk: &Walk<T>) -> FunnelOutcome {
        self.outcome_of(walk.level(), walk.open_until, walk.is_stopped())
    }

    /// Whether the window is over of a customer whose chain began at that moment, however it ended.
    fn is_settled(&self, outcome: FunnelOutcome, entry: Micros) -> bool {
        outcome != FunnelOutcome::Pending && !self.rules.is_open(self.rules.deadline(entry))
    }

    /// How it ended, after so many levels, where some chain can go on until this moment.
    pub(super) fn outcome_of(&self, level: usize, open_until: Option<Micros>, stopped: bool) -> FunnelOutcome {
        if level == self.rules.steps {
            FunnelOutcome::Converted
        } else if self.rules.is_open(open_until) {
            FunnelOutcome::Pending
        } else if stopped {
            FunnelOutcome::Stopped
        } else if self.rules.window.is_some() || self.rules.gap(level).max.is_some() {
            FunnelOutcome::WindowOver
        } else {
            FunnelOutcome::NextStepMissing
        }
    }

    /// Counts a customer who reached these levels. Their first entry ever is given if it is not the first of these.
    #[inline]
    pub(super) fn count<T>(
        &self,
        counts: &mut Counts,
        reached: &[Reached<T>],
        (outcome, waits): Ended,
        first_ever: Option<Micros>,
    ) {
        let Some((last, first)) = reached.last().zip(reached.first()) else { return };
        let settled = self.is_settled(outcome, last.entry);
        let steps = counts.steps_up_to(reached.len());
        for (place, (step, reached)) in steps.iter_mut().zip(reached).enumerate() {
            step.reached += 1;
            step.reached_settled += u64::from(settled);
            // The first step is reached at once, so its lengths are not kept.
            if place > 0 {
                step.time.add_between(reached.entry, reached.at);
            }
        }
        if outcome == FunnelOutcome::Converted {
            counts.since_first_entry.add_between(first_ever.unwrap_or(first.entry), last.at);
        } else if let Some(step) = steps.get_mut(reached.len() - 1) {
            step.pending += u64::from(outcome == FunnelOutcome::Pending);
            step.dropped += u64::from(outcome != FunnelOutcome::Pending);
            step.stopped += u64::from(outcome == FunnelOutcome::Stopped);
            if let Some(waits) = waits
                && let Some(step) = steps.get_mut(waits.level - 1)
            {
                step.waiting += 1;
                step.waited.add_between(waits.since, self.scope.end);
            }
        }
    }

    /// The customer's first entry ever, if it need not be the first of a walk.
    #[inline]
    fn first_ever(&self, events: &Matched<'_>, parts: Option<&[Part]>) -> Option<Micros> {
        if self.scope.counts_all() && self.plan.count == Count::Customers {
            return None;
        }
        match parts {
            Some(parts) => self.rules.first_ever_of_parts(events, parts),
            None => self.rules.first_ever(events.times.iter().zip(events.words)),
        }
    }

    /// The same of the events that carry a value.
    fn first_ever_of_value(&self, events: &Matched<'_>, value: u32) -> Option<Micros> {
        if self.scope.counts_all() {
            return None;
        }
        let all = events.times.iter().zip(events.words).zip(events.carried);
        self.rules.first_ever(all.filter(|(_, carried)| **carried == value).map(|(event, _)| event))
    }

    /// Walks some events; a walk is long, so it is not handed back.
    #[inline]
    fn walk<T: Trail>(&self, events: &Matched<'_>, walk: &mut Walk<T>) {
        let (times, words) = (events.times, events.words);
        // The short way remembers no events.
        let is_done = !T::IS_KEPT
            && if self.scope.counts_all() {
                self.rules.walk_untied(times, words, |_| true, walk)
            } else {
                self.rules.walk_untied(times, words, |at| self.scope.counts(at), walk)
            };
        if !is_done {
            *walk = self.rules.walk(times, words, |at| self.scope.counts(at));
        }
    }

    /// Takes in a journey that is one funnel of one group.
    #[inline]
    pub(super) fn visit_whole(&self, state: &mut FunnelState, key: KeyRef<'_>, events: &Matched<'_>) {
        let mut walk = Walk::<()>::default();
        self.walk(events, &mut walk);
        if !walk.reached.is_empty() {
            let outcome = self.outcome(&walk);
            let waits = self.waits((&walk, outcome), (events, None));
            self.count(state.groups.of(key), &walk.reached, (outcome, waits), self.first_ever(events, None));
        }
    }

    /// Takes in events of a journey that are one funnel.
    fn visit_events<T: Trail>(&self, state: &mut FunnelState, journey: &Journey<'_>, events: &Matched<'_>) {
        let held: Vec<_> = self.held.iter().map(|held| held.of(journey)).collect();
        let parts = (!held.is_empty()).then(|| hold::part(&self.rules, events, &held));
        let first_ever = self.first_ever(events, parts.as_deref());
        if self.plan.count == Count::Customers {
            let (walk, outcome) = self.walk_customer::<T>(events, parts.as_deref());
            let waits = self.waits((&walk, outcome), (events, parts.as_deref()));
            return self.take_in(
                state,
                Served { journey, events, parts: parts.as_deref() },
                (walk, (outcome, waits), first_ever),
            );
        }
        let enters = |at| self.scope.counts(at);
        let Some(parts) = parts else {
            return self.rules.walk_attempts::<T>(events.times, events.words, enters, |walk| {
                let outcome = self.outcome(&walk);
                let ended = (outcome, self.waits_of_attempt(&walk, outcome));
                self.take_in(state, Served { journey, events, parts: None }, (walk, ended, first_ever));
            });
        };
        let mut room = MatchedRoom::default();
        for part in &parts {
            let own = events.at(part.iter().copied(), &mut room);
            self.rules.walk_attempts::<T>(own.times, own.words, enters, |mut walk| {
                walk.reached.iter_mut().for_each(|reached| reached.trail.place_in(part));
                let outcome = self.outcome(&walk);
                let ended = (outcome, self.waits_of_attempt(&walk, outcome));
                let parts = Some(std::slice::from_ref(part));
                self.take_in(state, Served { journey, events, parts }, (walk, ended, first_ever));
            });
        }
    }

    /// Walks a customer's events, or the parts of them, and says how it ended.
    fn walk_customer<T: Trail>(&self, events: &Matched<'_>, parts: Option<&[Part]>) -> (Walk<T>, FunnelOutcome) {
        let enters = |at| self.scope.counts(at);
        let mut walk = Walk::<T>::default();
        match parts {
            Some(parts) => walk = self.rules.walk_parts(events, parts, enters),
            None => self.walk(events, &mut walk),
        }
        let outcome = self.outcome(&walk);
        let Some(rules) = &self.without_removing else { return (walk, outcome) };
        let other: Walk<()> = match parts {
            Some(parts) => rules.walk_parts(events, parts, enters),
            None => rules.walk(events.times, events.words, enters),
        };
        let is_same = walk.is_same(&other) && outcome == self.outcome(&other);
        (walk, if is_same { outcome } else { FunnelOutcome::Removed })
    }

    /// Counts how it ended for a customer, and lists it if events are kept.
    fn take_in<T: Trail>(
        &self,
        state: &mut FunnelState,
        served: Served<'_>,
        (mut walk, ended, first_ever): (Walk<T>, Ended, Option<Micros>),
    ) {
        state.is_too_much |= walk.is_too_much;
        let level = walk.level();
        let Some(last) = walk.reached.last_mut() else { return };
        let span = (last.entry, last.at);
        let last = Reached { entry: last.entry, at: last.at, trail: std::mem::take(&mut last.trail) };
        let answer = self.answer::<T>(served, level, last);
        state.is_too_much |= answer.is_too_much;
        let key = self.groups.as_ref().map_or(KeyRef::Nothing, |groups| groups.key(answer.value, served.events.values));
        let optional = self.optional_done(served, level, span, T::IS_KEPT);
        let (outcome, _) = ended;
        if outcome == FunnelOutcome::Removed {
            state.removed += 1;
        } else {
            self.count_in_groups(state, key, (&walk.reached[..], ended, first_ever), &answer, &optional);
        }
        if T::IS_KEPT {
            self.list(state, served, (key, outcome, level), answer.events, &optional);
        }
    }

    /// For each optional step whether it was done, its money, and if it is to be listed its event.
    fn optional_done(
        &self,
        served: Served<'_>,
        level: usize,
        span: (Micros, Micros),
        is_listed: bool,
    ) -> Vec<Option<OptionalDone>> {
        let done = |step: &OptionalStep| {
            if self.plan.value || is_listed {
                step.first(served, level, span)
            } else {
                let nothing = OptionalDone { price: Price::Nothing, place: None };
                step.is_done(served, level, span).then_some(nothing)
            }
        };
        self.optional.iter().map(done).collect()
    }

    /// Counts a customer in their group, of all time and of their period.
    fn count_in_groups<T>(
        &self,
        state: &mut FunnelState,
        key: KeyRef<'_>,
        (reached, ended, first_ever): (&[Reached<T>], Ended, Option<Micros>),
        answer: &Answer,
        optional: &[Option<OptionalDone>],
    ) {
        let (steps, Some(last)) = (self.rules.steps, reached.last()) else { return };
        let count_in = |counts: &mut Counts| {
            self.count(counts, reached, ended, first_ever);
            if self.rules.order == Order::Any {
                counts.note_done(steps, answer.done);
            }
            counts.note_optional(steps, optional, self.is_settled(ended.0, last.entry));
            counts.note_money(&answer.money);
        };
        count_in(state.groups.of(key));
        if let Some(period) = self.plan.trend {
            let start = state.periods.span_of(period, last.entry).start;
            count_in(state.trend.entry(start).or_default().of(key));
        }
    }

    /// Lists a customer with the events that served.
    fn list(
        &self,
        state: &mut FunnelState,
        Served { journey, events, .. }: Served<'_>,
        (key, outcome, level): (KeyRef<'_>, FunnelOutcome, usize),
        served: Vec<(usize, usize)>,
        optional: &[Option<OptionalDone>],
    ) {
        let required = served.into_iter().map(|(step, place)| (self.place_of(step), place));
        let optional =
            self.plan.optional.iter().zip(optional).filter_map(|(step, done)| Some((*step, (*done)?.place?)));
        let event =
            |(step, place): (usize, usize)| Some((step, journey.seq(events.event(place)?)?, *events.times.get(place)?));
        let mut events: Vec<_> = required.chain(optional).filter_map(event).collect();
        events.sort_unstable_by_key(|(step, ..)| *step);
        let group = key.to_key();
        state.listed_texts += group.size();
        state.customers.push(Listed { customer: journey.customer(), outcome, group, level, events });
    }

    /// The same, with the events that served if they are listed.
    fn visit_listed(&self, state: &mut FunnelState, journey: &Journey<'_>, events: &Matched<'_>) {
        if self.plan.customers {
            self.visit_events::<Vec<usize>>(state, journey, events);
        } else {
            self.visit_events::<()>(state, journey, events);
        }
    }

    /// Takes in a journey as one funnel for each value.
    fn visit_each(&self, state: &mut FunnelState, journey: &Journey<'_>, events: &Matched<'_>, groups: &GroupBy) {
        if events.times.len() == 1 {
            return self.visit_listed(state, journey, events);
        }
        let (walks, room) = (&mut *state.walks, &mut state.room);
        let is_done = !self.plan.customers
            && self.optional.is_empty()
            && self.plan.trend.is_none()
            && self.plan.count == Count::Customers
            && !self.plan.value
            && if self.scope.counts_all() {
                self.rules.walk_each(events, |_| true, walks)
            } else {
                self.rules.walk_each(events, |at| self.scope.counts(at), walks)
            };
        if is_done {
            for (value, reached, latest) in walks.entered() {
                let counts = state.groups.of(groups.key(value, events.values));
                let open_until = latest.and_then(|entry| self.rules.until(1, entry, entry));
                let outcome = self.outcome_of(reached.len(), open_until, false);
                let waits = self.waits_of_value((reached, outcome), (events, value), room);
                self.count(counts, reached, (outcome, waits), self.first_ever_of_value(events, value));
            }
            return;
        }
        // By value, and within it in the order of the journey.
        let value = |place: &usize| events.carried.get(*place).copied();
        let mut places: Vec<usize> = (0..events.carried.len()).collect();
        places.sort_by_key(value);
        let mut room = MatchedRoom::default();
        for alike in places.chunk_by(|a, b| value(a) == value(b)) {
            let alike = alike.iter().map(|&place| (place, u64::MAX));
            self.visit_listed(state, journey, &events.at(alike, &mut room));
        }
    }
}

impl Bound for BoundFunnel {
    type State = FunnelState;
    type Report = FunnelReport;

    fn start(&self) -> FunnelState {
        FunnelState::default()
    }

    fn visit(&self, state: &mut FunnelState, journey: &Journey<'_>) {
        if let Some((bitmaps, place)) = self.matches.bitmaps_at(journey) {
            return self.visit_bits_of(state, bitmaps, place);
        }
        let events = self.matches.of(journey);
        if events.times.is_empty() {
            return;
        }
        let is_simple = !self.plan.customers
            && self.held.is_empty()
            && self.without_removing.is_none()
            && self.optional.is_empty()
            && self.plan.trend.is_none()
            && self.plan.count == Count::Customers
            && !self.plan.value
            && !self.rules.is_tolerant()
            && self.rules.order != Order::Any;
        match &self.groups {
            None if is_simple => self.visit_whole(state, KeyRef::Nothing, &events),
            Some(groups) if groups.is_each() => self.visit_each(state, journey, &events, groups),
            _ => self.visit_listed(state, journey, &events),
        }
    }

    fn visit_batch(&self, state: &mut FunnelState, journeys: &JourneyBatch<'_>) {
        match self.matches.bitmaps(journeys) {
            Some(bitmaps) => self.visit_bitmaps(state, bitmaps),
            None => journeys.iter().for_each(|journey| self.visit(state, &journey)),
        }
    }

    fn merge(&self, state: &mut FunnelState, other: FunnelState) {
        state.groups.merge(other.groups);
        state.removed += other.removed;
        state.is_too_much |= other.is_too_much;
        other.trend.into_iter().for_each(|(start, groups)| state.trend.entry(start).or_default().merge(groups));
        state.customers.extend(other.customers);
        state.listed_texts += other.listed_texts;
    }

    fn size(&self, state: &FunnelState) -> usize {
        let listed =
            state.customers.len() * (size_of::<Listed>() + self.plan.steps.len() * size_of::<(usize, Seq, Micros)>());
        let trend: usize = state.trend.values().map(|groups| size_of::<(Micros, Groups)>() + groups.size()).sum();
        state.groups.size() + trend + state.periods.size() + listed + state.listed_texts
    }

    fn finish(&self, state: FunnelState, names: &Names) -> Result<FunnelReport> {
        self.report(state, names)
    }
}
