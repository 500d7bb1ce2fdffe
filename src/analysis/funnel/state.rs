//! A funnel bound to a store: what is counted while visiting, and how it becomes a report.

use serde::{Deserialize, Serialize};

use super::{
    Breakdown, Count, ExclusionEffect, Funnel, FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures,
    FunnelGroup, FunnelOther, FunnelOutcome, FunnelReport, FunnelStep, Order, ServedEvent,
    chain::{Reached, Rules, Trail, Walk},
    each::Walks,
    group_by::{GroupBy, Name},
    groups::{Counts, Groups, Key, KeyRef, StepState},
    hold::{self, Part},
    optional::OptionalStep,
    report::is_same,
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, DurationSummary, Matches, Rate, TimeBin, carried::Carried},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, MatchedRoom, Names},
    model::{CustomerId, Micros, Seq},
};

/// A funnel bound to a store.
#[derive(Debug)]
pub struct BoundFunnel {
    plan: Funnel,
    rules: Rules,
    /// The same without the exclusions that remove customers, if there are such.
    without_removing: Option<Rules>,
    optional: Vec<OptionalStep>,
    matches: Matches,
    /// For each property that is held constant the same events, which carry it.
    held: Vec<Matches>,
    scope: BoundScope,
    groups: Option<GroupBy>,
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
        // Any other event breaks a strict chain, so it is looked at too; so is it where it may be a touch.
        let looks_at_every_event =
            self.order == Order::Strict || self.breakdown.as_ref().is_some_and(Breakdown::looks_at_every_event);
        let mut register = || {
            if looks_at_every_event { binder.matches_and_others(&conditions) } else { binder.matches(&conditions) }
        };
        let matches = register()?;
        let held = self.hold.iter().map(|_| register()).collect::<Result<Vec<_>, _>>()?;
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
        })
    }
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FunnelState {
    groups: Groups,
    /// Customers whom an exclusion removed.
    removed: u64,
    customers: Vec<Listed>,
    /// The bytes of the texts in these.
    listed_texts: usize,
    /// Room for the walks of one journey.
    #[serde(skip)]
    walks: Box<Walks>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    outcome: FunnelOutcome,
    group: Key,
    /// Each with its step, from 1.
    events: Vec<(usize, Seq, Micros)>,
}

impl BoundFunnel {
    /// The place of a required step (from 0) in the plan, from 1.
    fn place_of(&self, required: usize) -> usize {
        let is_required = |step: &usize| !self.plan.optional.contains(step);
        (1..).filter(is_required).nth(required).unwrap_or_default()
    }

    fn is_open(&self, until: Option<Micros>) -> bool {
        until.is_some_and(|until| until > self.scope.end)
    }

    fn outcome<T>(&self, walk: &Walk<T>) -> FunnelOutcome {
        self.outcome_of(walk.level(), walk.open_until, walk.is_stopped())
    }

    /// Whether the window is over of a customer whose chain began at that moment.
    fn is_settled(&self, outcome: FunnelOutcome, entry: Micros) -> bool {
        match outcome {
            FunnelOutcome::Converted => !self.is_open(self.rules.window.map(|window| entry.plus(window))),
            outcome => outcome != FunnelOutcome::Pending,
        }
    }

    /// How it ended, after so many levels, where some chain can go on until this moment.
    fn outcome_of(&self, level: usize, open_until: Option<Micros>, stopped: bool) -> FunnelOutcome {
        if level == self.rules.steps {
            FunnelOutcome::Converted
        } else if self.is_open(open_until) {
            FunnelOutcome::Pending
        } else if stopped {
            FunnelOutcome::Stopped
        } else if self.rules.window.is_some() || self.rules.gap(level).max.is_some() {
            FunnelOutcome::WindowOver
        } else {
            FunnelOutcome::NextStepMissing
        }
    }

    /// Counts a customer who reached these levels, and might have entered at `first_entry`.
    #[inline]
    fn count<T>(
        &self,
        counts: &mut Counts,
        reached: &[Reached<T>],
        outcome: FunnelOutcome,
        first_entry: Option<Micros>,
    ) {
        let Some(last) = reached.last() else { return };
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
            counts.since_first_entry.add_between(first_entry.unwrap_or(last.entry), last.at);
        } else if let Some(step) = steps.get_mut(reached.len() - 1) {
            step.pending += u64::from(outcome == FunnelOutcome::Pending);
            step.dropped += u64::from(outcome != FunnelOutcome::Pending);
            step.stopped += u64::from(outcome == FunnelOutcome::Stopped);
        }
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
    fn visit_whole(&self, state: &mut FunnelState, events: &Matched<'_>) {
        let mut walk = Walk::<()>::default();
        self.walk(events, &mut walk);
        if !walk.reached.is_empty() {
            let outcome = self.outcome(&walk);
            self.count(state.groups.nothing(), &walk.reached, outcome, walk.first_entry);
        }
    }

    /// Takes in events of a journey that are one funnel.
    fn visit_events<T: Trail>(&self, state: &mut FunnelState, journey: &Journey<'_>, events: &Matched<'_>) {
        let held: Vec<_> = self.held.iter().map(|held| held.of(journey)).collect();
        let parts = (!held.is_empty()).then(|| hold::part(&self.rules, events, &held));
        if self.plan.count == Count::Customers {
            let (walk, outcome) = self.walk_customer::<T>(events, parts.as_deref());
            return self.take_in(state, journey, (events, parts.as_deref()), walk, outcome);
        }
        let enters = |at| self.scope.counts(at);
        let Some(parts) = parts else {
            return self.rules.walk_attempts::<T>(events.times, events.words, enters, |walk| {
                let outcome = self.outcome(&walk);
                self.take_in(state, journey, (events, None), walk, outcome);
            });
        };
        let mut room = MatchedRoom::default();
        for part in &parts {
            let own = events.at(part.iter().copied(), &mut room);
            self.rules.walk_attempts::<T>(own.times, own.words, enters, |mut walk| {
                walk.reached.iter_mut().for_each(|reached| reached.trail.place_in(part));
                let outcome = self.outcome(&walk);
                self.take_in(state, journey, (events, Some(std::slice::from_ref(part))), walk, outcome);
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
        journey: &Journey<'_>,
        (events, parts): (&Matched<'_>, Option<&[Part]>),
        mut walk: Walk<T>,
        outcome: FunnelOutcome,
    ) {
        let level = walk.level();
        let Some(last) = walk.reached.last_mut() else { return };
        let last = Reached { entry: last.entry, at: last.at, trail: std::mem::take(&mut last.trail).into_places() };
        let span = (last.entry, last.at);
        let (value, trail) = match (&self.groups, parts) {
            (None, _) => (None, last.trail),
            (Some(groups), Some(parts)) => {
                let (value, trail) = groups.value_and_trail_of_parts(&self.rules, (events, parts), level, last);
                (Some((groups, value)), trail)
            }
            (Some(groups), None) if T::IS_KEPT => {
                let (value, trail) = groups.value_and_trail(&self.rules, events, level, last);
                (Some((groups, value)), trail)
            }
            (Some(groups), None) => (Some((groups, groups.value(&self.rules, events, level, &last))), last.trail),
        };
        let in_any_order = (self.rules.order == Order::Any).then(|| {
            let value = value.filter(|(groups, _)| groups.is_of_event()).map(|(_, value)| value);
            self.rules.done_in_any_order(events, parts, level, span, value)
        });
        let key = value.map_or(KeyRef::Nothing, |(groups, value)| groups.key(value, events.values));
        if outcome == FunnelOutcome::Removed {
            state.removed += 1;
        } else {
            let counts = state.groups.of(key);
            self.count(counts, &walk.reached, outcome, walk.first_entry);
            if let Some((done, _)) = &in_any_order {
                counts.note_done(self.rules.steps, *done);
            }
            let is_done = |step: &OptionalStep| step.is_done(events, parts, level, span);
            let settled = self.is_settled(outcome, span.0);
            counts.note_optional(self.rules.steps, self.optional.iter().map(is_done), settled);
        }
        if T::IS_KEPT {
            let trail = in_any_order.map_or_else(|| trail.into_iter().enumerate().collect(), |(_, trail)| trail);
            let served = |(step, place): (usize, usize)| {
                Some((self.place_of(step), journey.seq(events.event(place)?)?, *events.times.get(place)?))
            };
            let events = trail.into_iter().filter_map(served).collect();
            let group = key.to_key();
            state.listed_texts += group.size();
            state.customers.push(Listed { customer: journey.customer(), outcome, group, events });
        }
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
        let walks = &mut *state.walks;
        let is_done = !self.plan.customers
            && self.optional.is_empty()
            && self.plan.count == Count::Customers
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
                // The first level is reached by the first event that may enter.
                self.count(counts, reached, outcome, reached.first().map(|first| first.entry));
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

    /// What a report says of some customers.
    fn figures(&self, counts: &Counts) -> FunnelFigures {
        let nothing = StepState::default();
        let entered = counts.entered();
        let entered_settled = counts.steps.first().map_or(0, |step| step.reached_settled);
        let of = |place: usize| counts.steps.get(place).unwrap_or(&nothing);
        let mut previous = entered;
        let mut steps = Vec::with_capacity(self.plan.steps.len());
        let (mut required, mut optional) = (0.., self.rules.steps..);
        for (number, condition) in (1..).zip(&self.plan.steps) {
            let is_optional = self.plan.optional.contains(&number);
            let places: &mut dyn Iterator<Item = usize> = if is_optional { &mut optional } else { &mut required };
            let step = places.next().map_or(&nothing, of);
            steps.push(FunnelStep {
                step: number,
                name: condition.to_string(),
                optional: is_optional,
                customers: step.reached,
                done: if self.rules.order == Order::Any { step.done } else { step.reached },
                from_entry: Rate::new(step.reached, entered),
                from_previous: Rate::new(step.reached, previous),
                settled: Rate::new(step.reached_settled, entered_settled),
                dropped: step.dropped,
                stopped: step.stopped,
                pending: step.pending,
                time_to_reach: if number == 1 { DurationSummary::of_zeros(step.reached) } else { step.time.summary() },
                histogram: if number == 1 { TimeBin::of_zeros(step.reached) } else { step.time.histogram() },
            });
            if !is_optional {
                previous = step.reached;
            }
        }
        let last = counts.steps.get(self.rules.steps - 1).unwrap_or(&nothing);
        FunnelFigures {
            entered,
            converted: last.reached,
            conversion: Rate::new(last.reached, entered),
            settled_conversion: Rate::new(last.reached_settled, entered_settled),
            pending: counts.steps.iter().map(|step| step.pending).sum(),
            time_since_first_entry: counts.since_first_entry.summary(),
            steps,
        }
    }

    /// The largest groups, the others together, and all.
    fn break_down(&self, groups: Groups, by: &GroupBy, names: &Names) -> (FunnelBreakdown, Counts) {
        let mut list: Vec<_> =
            groups.into_list().into_iter().map(|(key, counts)| (by.name(&key, names), counts)).collect();
        let in_order = |(a_name, a): &(Name, Counts), (b_name, b): &(Name, Counts)| {
            b.entered().cmp(&a.entered()).then_with(|| a_name.cmp(b_name))
        };
        list.sort_unstable_by(in_order);
        let comparison = by.compared().map(|(one, other)| {
            let figures = [&one, &other].map(|value| {
                let of_value = list.iter().find(|(name, _)| is_same(&by.shown(name.clone()), value));
                of_value.map(|(_, counts)| self.figures(counts))
            });
            FunnelComparison::of(one, other, figures.each_ref().map(Option::as_ref), self.plan.steps.len())
        });
        let others = list.split_off(list.len().min(by.limit()));
        let mut all = Counts::default();
        let mut shown = FunnelBreakdown { comparison, ..FunnelBreakdown::default() };
        let count = others.len() as u64;
        others.into_iter().for_each(|(_, counts)| all.merge(counts));
        shown.other = (count > 0).then(|| Box::new(FunnelOther { groups: count, figures: self.figures(&all) }));
        for (name, counts) in list {
            shown.groups.push(FunnelGroup { value: by.shown(name), figures: self.figures(&counts) });
            all.merge(counts);
        }
        (shown, all)
    }

    /// The listed customers with their ids, in the order of these, and then of their groups.
    fn named(&self, listed: Vec<Listed>, names: &Names) -> Result<Vec<FunnelCustomer>> {
        let mut customers = listed
            .into_iter()
            .map(|one| {
                let events: Vec<_> = one
                    .events
                    .iter()
                    .map(|&(step, seq, at)| ServedEvent { step, seq, occurred_at: at.to_datetime() })
                    .collect();
                let customer = CustomerId::new(names.customer(one.customer))?;
                let name = self.groups.as_ref().map(|groups| (groups.name(&one.group, names), groups));
                let order = name.as_ref().map(|(name, _)| name.clone());
                let group = name.map(|(name, groups)| groups.shown(name));
                let level = events.len();
                Ok((order, FunnelCustomer { customer, level, outcome: one.outcome, group, events }))
            })
            .collect::<Result<Vec<_>>>()?;
        customers.sort_unstable_by(|(a_group, a), (b_group, b)| {
            let first = |one: &FunnelCustomer| one.events.first().map(|served| (served.occurred_at, served.seq));
            a.customer.cmp(&b.customer).then_with(|| a_group.cmp(b_group)).then_with(|| first(a).cmp(&first(b)))
        });
        Ok(customers.into_iter().map(|(_, customer)| customer).collect())
    }
}

impl Bound for BoundFunnel {
    type State = FunnelState;
    type Report = FunnelReport;

    fn start(&self) -> FunnelState {
        FunnelState::default()
    }

    fn visit(&self, state: &mut FunnelState, journey: &Journey<'_>) {
        let events = self.matches.of(journey);
        if events.times.is_empty() {
            return;
        }
        let is_simple = !self.plan.customers
            && self.held.is_empty()
            && self.without_removing.is_none()
            && self.optional.is_empty()
            && self.plan.count == Count::Customers
            && self.rules.order != Order::Any;
        match &self.groups {
            None if is_simple => self.visit_whole(state, &events),
            Some(groups) if groups.is_each() => self.visit_each(state, journey, &events, groups),
            _ => self.visit_listed(state, journey, &events),
        }
    }

    fn merge(&self, state: &mut FunnelState, other: FunnelState) {
        state.groups.merge(other.groups);
        state.removed += other.removed;
        state.customers.extend(other.customers);
        state.listed_texts += other.listed_texts;
    }

    fn size(&self, state: &FunnelState) -> usize {
        let listed =
            state.customers.len() * (size_of::<Listed>() + self.rules.steps * size_of::<(usize, Seq, Micros)>());
        state.groups.size() + listed + state.listed_texts
    }

    fn finish(&self, state: FunnelState, names: &Names) -> Result<FunnelReport> {
        let FunnelState { groups, removed, customers, .. } = state;
        let (breakdown, all) = match &self.groups {
            Some(by) => {
                let (breakdown, all) = self.break_down(groups, by, names);
                (Some(breakdown), all)
            }
            None => (None, groups.into_list().pop().map(|(_, all)| all).unwrap_or_default()),
        };
        let customers = if self.plan.customers { Some(self.named(customers, names)?) } else { None };
        let FunnelFigures {
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            steps,
        } = self.figures(&all);
        Ok(FunnelReport {
            order: self.rules.order,
            window: self.rules.window,
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            steps,
            removed,
            breakdown,
            customers,
        })
    }
}
