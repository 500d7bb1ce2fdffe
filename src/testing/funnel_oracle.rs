//! Funnels by trying every order of every tie, and in each every chain.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
};

use super::{
    breakdown_oracle::{Worth, group_of, parts},
    conditions::holds,
    differences,
    story::{Stories, Told, histogram, summary},
};
use crate::{
    Breakdown, BreakdownFrom, Count, CustomerId, Event, ExclusionEffect, Funnel, FunnelBreakdown, FunnelComparison,
    FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther, FunnelOutcome, FunnelPeriod, FunnelReport, FunnelStep,
    JourneyModel, Micros, Order, Period, PropertyValue, Rate, Scope, Seq, ServedEvent, Ties, Window,
    analysis::funnel::Excluded,
};

/// What a funnel's report must say.
#[derive(Debug, Clone)]
pub struct FunnelTruth {
    /// The report, with one of the chains that may be listed for each customer.
    pub report: FunnelReport,
    /// For each customer, and each group of theirs, all chains that may be listed, by the steps and the places of their events
    /// in the log, in the order in which they are listed: events that may take one another's place make several.
    pub chains: Vec<BTreeSet<Vec<(usize, Seq)>>>,
}

impl FunnelTruth {
    /// Compares a report: everything must be equal, and each listed chain be one of those that may be.
    ///
    /// # Errors
    /// Where they differ, as [`differences`] says it.
    pub fn agrees(&self, report: &FunnelReport) -> Result<(), String> {
        let mut expected = self.report.clone();
        let both = expected.customers.iter_mut().flatten().zip(report.customers.iter().flatten());
        for ((here, there), chains) in both.zip(&self.chains) {
            let seqs: Vec<_> = there.events.iter().map(|event| (event.step, event.seq)).collect();
            if (&here.customer, &here.group) == (&there.customer, &there.group) && chains.contains(&seqs) {
                here.events.clone_from(&there.events);
            }
        }
        differences(&expected, report)
    }
}

/// A chain: its events by their places in the story.
pub(super) type Chain = Vec<usize>;

/// When a chain was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    At(i64),
    Never,
}

/// One customer's story in a funnel.
#[derive(Clone)]
struct Case<'a> {
    story: &'a [Told<'a>],
    plan: &'a Funnel,
    /// For each step, whether each event matches.
    steps: Vec<Vec<bool>>,
    /// For each exclusion, whether each event meets it.
    excluded: Vec<Vec<bool>>,
    window: Option<i128>,
    /// Whether exclusions that remove customers stop chains too.
    heeds_removing: bool,
    stories: &'a Stories<'a>,
}

/// How one customer fared, in one group if the plan tells customers apart.
struct Fate {
    /// The value of the group.
    worth: Worth,
    /// For each level reached, entry and completion of the chain that counts.
    reached: Vec<(i64, i64)>,
    outcome: FunnelOutcome,
    settled: bool,
    since_first_entry: i128,
    /// For each step whether it was done.
    done: Vec<bool>,
    /// All chains that are as good as any.
    best: Vec<Chain>,
    /// For each optional step whether it was done.
    optional: Vec<bool>,
    /// All chains that may be listed: each event with its step from 1, in the order of these.
    chains: Vec<Vec<(usize, usize)>>,
}

impl<'a> Case<'a> {
    fn of(plan: &'a Funnel, story: &'a [Told<'a>], model: &JourneyModel, stories: &'a Stories<'a>) -> Self {
        let met = |condition| story.iter().map(|told| holds(condition, told.event, told.stage, model)).collect();
        Self {
            story,
            plan,
            steps: plan.steps.iter().map(met).collect(),
            excluded: plan.exclusions.iter().map(|exclusion| met(&exclusion.when)).collect(),
            heeds_removing: true,
            window: plan.window.map(|window| i128::from(window.micros())),
            stories,
        }
    }

    /// All chains of all levels, each with when it was stopped or broken, in that order of the ties in which it was last.
    fn chains(&self) -> BTreeMap<Chain, Stop> {
        let mut found = BTreeMap::new();
        if self.plan.order == Order::Any {
            each_order(self.story, &mut |order| self.extend_in_any_order(order, &mut Vec::new(), &mut found));
            return found;
        }
        each_order(self.story, &mut |order| {
            for first in 0..order.len() {
                let event = order[first];
                if self.steps[0][event] && self.holds_constant(&[], event) && self.stories.counts(self.story[event].at)
                {
                    self.extend(order, &mut vec![first], &mut found);
                }
            }
        });
        found
    }

    /// Notes a chain (positions in this order of the ties), and all that begin with it.
    fn extend(&self, order: &[usize], chain: &mut Vec<usize>, found: &mut BTreeMap<Chain, Stop>) {
        let level = chain.len();
        let at = |position: usize| self.story[order[position]].at;
        let (entry, last) = (at(chain[0]), chain[level - 1]);
        let last_at = at(last);
        let until = self.until(level, entry, last_at);
        let in_window = |at: i64| until.is_none_or(|until| i128::from(at) <= until);
        let min_gap = self.gap(level).map_or(0, |(min, _)| min);
        let events: Vec<usize> = chain.iter().map(|&position| order[position]).collect();
        let mut stop = Stop::Never;
        let mut further = Vec::new();
        for (position, &event) in order.iter().enumerate().skip(last + 1) {
            if level < self.steps.len()
                && stop == Stop::Never
                && self.steps[level][event]
                && in_window(at(position))
                && i128::from(at(position)) - i128::from(last_at) >= min_gap
                && (self.plan.ties == Ties::Either || at(position) > at(last))
                && !self.excludes_as_step(event, level + 1)
                && self.holds_constant(&events, event)
            {
                further.push(position);
            }
            if stop == Stop::Never && in_window(at(position)) && self.stops(event, level) {
                stop = Stop::At(at(position));
            }
        }
        let known = found.entry(events).or_insert(stop);
        *known = (*known).max(stop);
        for position in further {
            chain.push(position);
            self.extend(order, chain, found);
            chain.pop();
        }
    }

    /// Notes all chains that go on from one (positions in this order of the ties) in a funnel of any order.
    fn extend_in_any_order(&self, order: &[usize], chain: &mut Chain, found: &mut BTreeMap<Chain, Stop>) {
        for position in chain.last().map_or(0, |last| last + 1)..order.len() {
            let events: Vec<usize> = chain.iter().map(|&position| order[position]).collect();
            let event = order[position];
            let at = |event: usize| self.story[event].at;
            let first = events.first().map_or(at(event), |&first| at(first));
            let is_late = self.plan.ties == Ties::LaterOnly && events.last().is_some_and(|&last| at(last) == at(event));
            let is_over = self.window.is_some_and(|window| i128::from(at(event)) - i128::from(first) > window);
            if is_late || is_over || !self.stories.counts(first) || !self.holds_constant(&events, event) {
                continue;
            }
            let longer: Chain = events.into_iter().chain([event]).collect();
            if !self.served(&longer).is_empty() {
                found.insert(longer, Stop::Never);
                chain.push(position);
                self.extend_in_any_order(order, chain, found);
                chain.pop();
            }
        }
    }

    /// All ways in which a chain's events can serve: each with its step from 1, in the order of these.
    fn served(&self, chain: &[usize]) -> Vec<Vec<(usize, usize)>> {
        if self.plan.order != Order::Any {
            return vec![(1..).zip(chain.iter().copied()).collect()];
        }
        let Some((&event, rest)) = chain.split_last() else { return vec![Vec::new()] };
        let mut ways = Vec::new();
        for way in self.served(rest) {
            for step in (0..self.steps.len()).filter(|&step| self.steps[step][event]) {
                if way.iter().all(|(taken, _)| *taken != step + 1) {
                    let mut longer = way.clone();
                    longer.push((step + 1, event));
                    longer.sort_unstable();
                    ways.push(longer);
                }
            }
        }
        ways
    }

    /// Whether an event after a chain of this level stops it (an exclusion) or breaks it (in a strict funnel).
    fn stops(&self, event: usize, level: usize) -> bool {
        let excluded = self.exclusions();
        let breaks = self.plan.order == Order::Strict && !self.steps[level - 1][event];
        breaks || excluded.into_iter().any(|(e, met)| met[event] && (e.after..e.before).contains(&level))
    }

    /// Whether an event meets an exclusion between whose two steps this step lies.
    fn excludes_as_step(&self, event: usize, step: usize) -> bool {
        self.exclusions().any(|(e, met)| met[event] && e.after < step && step < e.before)
    }

    /// The exclusions that are to be heeded, with the events that meet them.
    fn exclusions(&self) -> impl Iterator<Item = (&Excluded, &Vec<bool>)> {
        let all = self.plan.exclusions.iter().zip(&self.excluded);
        all.filter(|(exclusion, _)| self.heeds_removing || exclusion.effect == ExclusionEffect::Drop)
    }

    /// Whether an event may serve a step of a chain that has these events.
    fn holds_constant(&self, chain: &[usize], event: usize) -> bool {
        self.plan.hold.iter().all(|property| {
            let value = |event: usize| {
                let value = self.story[event].event.properties().get(property);
                value.filter(|value| !matches!(value, PropertyValue::Null | PropertyValue::Nested(_)))
            };
            let here = value(event);
            here.is_some_and(|here| {
                chain.iter().all(|&other| value(other).is_some_and(|v| v.compare(here) == Some(Ordering::Equal)))
            })
        })
    }

    /// The least and the most time before the step that follows a level, if the plan says.
    fn gap(&self, level: usize) -> Option<(i128, Option<i128>)> {
        let micros = |window: Window| i128::from(window.micros());
        let gap = self.plan.gaps.iter().find(|gap| gap.step == level + 1)?;
        Some((gap.min.map_or(0, micros), gap.max.map(micros)))
    }

    /// Until when a chain may go on, if there is an end to that.
    fn until(&self, level: usize, entry: i64, last: i64) -> Option<i128> {
        let by_window = self.window.map(|window| i128::from(entry) + window);
        let by_gap = self.gap(level).and_then(|(_, max)| max).map(|max| i128::from(last) + max);
        by_window.into_iter().chain(by_gap).min()
    }

    fn is_open(&self, until: Option<i128>) -> bool {
        until.is_some_and(|until| until > i128::from(self.stories.end))
    }

    /// The fate of a customer, or of each attempt.
    fn fates(&self) -> Vec<Fate> {
        let chains = self.chains();
        if self.plan.count == Count::Customers {
            return self.fate(&chains).into_iter().collect();
        }
        // Each value that is held constant has attempts of its own.
        let mut by_value: Vec<BTreeMap<Chain, Stop>> = Vec::new();
        for (chain, stop) in chains {
            let same = |known: &&mut BTreeMap<Chain, Stop>| {
                known.first_key_value().is_some_and(|(other, _)| self.holds_constant(&other[..1], chain[0]))
            };
            match by_value.iter_mut().find(same) {
                Some(known) => drop(known.insert(chain, stop)),
                None => by_value.push(BTreeMap::from([(chain, stop)])),
            }
        }
        by_value.into_iter().flat_map(|chains| self.attempts(chains)).collect()
    }

    fn attempts(&self, mut chains: BTreeMap<Chain, Stop>) -> Vec<Fate> {
        let mut fates = Vec::new();
        while let Some(first) = chains.keys().map(|chain| self.story[chain[0]].at).min() {
            let attempt: BTreeMap<Chain, Stop> = chains
                .iter()
                .filter(|(chain, _)| self.story[chain[0]].at == first)
                .map(|(c, s)| (c.clone(), *s))
                .collect();
            let fate = self.fate(&attempt).unwrap();
            let converted = (fate.outcome == FunnelOutcome::Converted).then(|| fate.reached[self.steps.len() - 1].1);
            // The next begins once no chain can go on any more.
            let goes_on = |at: i64| {
                attempt.iter().any(|(chain, stop)| {
                    let last = self.story[chain[chain.len() - 1]].at;
                    let until = self.until(chain.len(), first, last);
                    last < at && *stop >= Stop::At(at) && until.is_none_or(|until| until >= i128::from(at))
                })
            };
            chains.retain(|chain, _| {
                let at = self.story[chain[0]].at;
                at > first && if let Some(done) = converted { at > done } else { !goes_on(at) }
            });
            fates.push(fate);
        }
        fates
    }

    fn fate(&self, chains: &BTreeMap<Chain, Stop>) -> Option<Fate> {
        let entry = |chain: &Chain| self.story[chain[0]].at;
        let done = |chain: &Chain| self.story[chain[chain.len() - 1]].at;
        let level = chains.keys().map(Vec::len).max()?;
        let of_level = |level: usize| chains.iter().filter(move |(chain, _)| chain.len() == level);
        let best = |level: usize| of_level(level).map(|(chain, _)| (done(chain), Reverse(entry(chain)))).min();
        let reached: Vec<(i64, i64)> =
            (1..=level).filter_map(best).map(|(done, Reverse(entry))| (entry, done)).collect();
        let &(best_entry, best_done) = reached.last()?;
        let last_attempt = of_level(level).map(|(chain, _)| entry(chain)).max()?;
        let outcome = if level == self.steps.len() {
            FunnelOutcome::Converted
        } else if chains.iter().any(|(chain, stop)| {
            *stop == Stop::Never && self.is_open(self.until(chain.len(), entry(chain), done(chain)))
        }) {
            FunnelOutcome::Pending
        } else if of_level(level).all(|(chain, stop)| entry(chain) < last_attempt || *stop < Stop::Never) {
            FunnelOutcome::Stopped
        } else if self.window.is_some() || self.gap(level).is_some_and(|(_, max)| max.is_some()) {
            FunnelOutcome::WindowOver
        } else {
            FunnelOutcome::NextStepMissing
        };
        let settled = match outcome {
            FunnelOutcome::Converted => !self.is_open(self.window.map(|window| i128::from(best_entry) + window)),
            outcome => outcome != FunnelOutcome::Pending,
        };
        let first_steps = if self.plan.order == Order::Any { self.steps.len() } else { 1 };
        let may_enter = |(event, told): &(usize, &Told<'_>)| {
            self.steps.iter().take(first_steps).any(|step| step[*event])
                && self.holds_constant(&[], *event)
                && self.stories.counts(told.at)
        };
        let first_entry = match self.plan.count {
            Count::Customers => self.story.iter().enumerate().find(may_enter)?.1.at,
            Count::Attempts => best_entry,
        };
        let qualify = of_level(level).filter(|(chain, _)| (entry(chain), done(chain)) == (best_entry, best_done));
        let qualify: Vec<Chain> = qualify.map(|(chain, _)| chain.clone()).collect();
        let best = qualify.clone();
        let all_ways: Vec<_> = qualify.iter().flat_map(|chain| self.served(chain)).collect();
        let (worth, listed) = match &self.plan.breakdown {
            Some(breakdown) => group_of(breakdown, self.story, qualify, best_entry),
            None => (Worth::nothing(), qualify),
        };
        let is_done = |step: usize| all_ways.iter().flatten().any(|(done, _)| *done == step);
        Some(Fate {
            worth,
            reached,
            outcome,
            settled,
            since_first_entry: i128::from(best_done) - i128::from(first_entry),
            done: (1..=self.steps.len()).map(is_done).collect(),
            best,
            optional: Vec::new(),
            chains: listed.iter().flat_map(|chain| self.served(chain)).collect(),
        })
    }
}

/// Tries every order of the events that keeps the order of time.
fn each_order(story: &[Told<'_>], then: &mut impl FnMut(&[usize])) {
    fn go(story: &[Told<'_>], order: &mut Vec<usize>, then: &mut impl FnMut(&[usize])) {
        let left = |order: &[usize]| (0..story.len()).filter(|event| !order.contains(event)).collect::<Vec<_>>();
        let left = left(order);
        let Some(next) = left.iter().map(|&event| story[event].at).min() else { return then(order) };
        for event in left.into_iter().filter(|&event| story[event].at == next) {
            order.push(event);
            go(story, order, then);
            order.pop();
        }
    }
    go(story, &mut Vec::with_capacity(story.len()), then);
}

/// What a funnel's report must say: every order of the tied events is tried, and in each order every chain. The time
/// grows with the factorial of the number of events at one instant, so that worlds must be small.
pub fn funnel(events: &[Event], plan: &Funnel, model: &JourneyModel, scope: &Scope) -> FunnelTruth {
    let stories = Stories::of(events, model, scope);
    let required = with_steps(plan, |step| !plan.optional.contains(&step));
    let optional: Vec<(usize, Funnel)> = plan
        .optional
        .iter()
        .map(|&one| (rank(plan, one), with_steps(plan, |step| step == one || !plan.optional.contains(&step))))
        .collect();
    let mut fates = Vec::new();
    for (customer, story) in &stories.by_customer {
        for part in parts(plan.breakdown.as_ref(), story) {
            let case_of = |plan| Case::of(plan, &part, model, &stories);
            let with: Vec<(usize, BTreeMap<Chain, Stop>)> =
                optional.iter().map(|(after, plan)| (*after, case_of(plan).chains())).collect();
            let case = case_of(&required);
            let without = Case { heeds_removing: false, ..case.clone() }.fates();
            for (mut fate, other) in case.fates().into_iter().zip(without) {
                if (other.reached, other.outcome) != (fate.reached.clone(), fate.outcome) {
                    fate.outcome = FunnelOutcome::Removed;
                }
                fate.optional = with.iter().map(|(after, chains)| is_done(&fate.best, *after, chains.keys())).collect();
                fates.push(OneFate { customer, story: part.clone(), fate });
            }
        }
    }
    let entry = |one: &OneFate<'_>| one.fate.reached[one.fate.reached.len() - 1].0;
    fates.sort_by(|a, b| {
        let by_group = a.customer.cmp(b.customer).then_with(|| a.fate.worth.order(&b.fate.worth));
        by_group.then_with(|| entry(a).cmp(&entry(b)))
    });
    let stay = |one: &&OneFate<'_>| one.fate.outcome != FunnelOutcome::Removed;
    let all = figures(plan, &fates.iter().filter(stay).map(|one| &one.fate).collect::<Vec<_>>());
    let listed = fates.iter().map(|OneFate { customer, story, fate }| FunnelCustomer {
        customer: (*customer).clone(),
        level: fate.reached.len(),
        outcome: fate.outcome,
        group: plan.breakdown.as_ref().map(|_| fate.worth.value.clone()),
        events: fate.chains[0]
            .iter()
            .map(|&(required, event)| {
                let step = (1..).filter(|step| !plan.optional.contains(step)).nth(required - 1).unwrap();
                let Told { seq, event, .. } = story[event];
                ServedEvent { step, seq: Seq(seq), occurred_at: event.occurred_at() }
            })
            .collect(),
    });
    let report = FunnelReport {
        order: plan.order,
        window: plan.window,
        entered: all.entered,
        converted: all.converted,
        conversion: all.conversion,
        settled_conversion: all.settled_conversion,
        pending: all.pending,
        time_since_first_entry: all.time_since_first_entry,
        customers: plan.customers.then(|| listed.collect()),
        steps: all.steps,
        removed: fates.iter().filter(|one| !stay(one)).count() as u64,
        trend: plan.trend.map(|period| by_period(period, plan, &fates, stories.end)),
        breakdown: plan.breakdown.as_ref().map(|breakdown| broken_down(breakdown, plan, &fates)),
    };
    let place = |required: usize| (1..).filter(|step| !plan.optional.contains(step)).nth(required - 1).unwrap();
    let seqs = |story: &[Told<'_>], chain: &[(usize, usize)]| {
        chain.iter().map(|&(step, event)| (place(step), Seq(story[event].seq))).collect()
    };
    let chains = fates.iter().map(|one| one.fate.chains.iter().map(|chain| seqs(&one.story, chain)).collect());
    FunnelTruth { report, chains: chains.collect() }
}

/// How many required steps stand before an optional one.
fn rank(plan: &Funnel, step: usize) -> usize {
    (1..step).filter(|before| !plan.optional.contains(before)).count()
}

/// The funnel of some of a plan's steps, all of them required.
fn with_steps(plan: &Funnel, keep: impl Fn(usize) -> bool) -> Funnel {
    let place = |step: usize| (1..=step).filter(|step| keep(*step)).count();
    let mut some = plan.clone();
    some.steps = (1..).zip(&plan.steps).filter(|(step, _)| keep(*step)).map(|(_, step)| step.clone()).collect();
    some.optional.clear();
    for exclusion in &mut some.exclusions {
        (exclusion.after, exclusion.before) = (place(exclusion.after), place(exclusion.before));
    }
    if let Some(breakdown) = &mut some.breakdown
        && let BreakdownFrom::Step(step) = &mut breakdown.from
    {
        *step = place(*step);
    }
    some
}

/// Whether one of these chains is one of the best with an event more behind so many of its events.
fn is_done<'a>(best: &[Chain], after: usize, mut chains: impl Iterator<Item = &'a Chain>) -> bool {
    chains.any(|longer| {
        let mut chain = longer.clone();
        chain.len() > after && {
            chain.remove(after);
            best.contains(&chain)
        }
    })
}

/// A customer's fate with the events that decided it.
struct OneFate<'a> {
    customer: &'a CustomerId,
    story: Vec<Told<'a>>,
    fate: Fate,
}

/// The figures of some customers.
fn figures(plan: &Funnel, fates: &[&Fate]) -> FunnelFigures {
    let last = plan.steps.len() - plan.optional.len();
    let count = |wanted: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count() as u64;
    let reached = |step: usize| count(&|fate| fate.reached.len() >= step);
    let settled = |step: usize| count(&|fate| fate.settled && fate.reached.len() >= step);
    let steps = plan.steps.iter().zip(1..).map(|(condition, number)| {
        if let Some(place) = plan.optional.iter().position(|optional| *optional == number) {
            let (done, before) = (count(&|fate| fate.optional[place]), reached(rank(plan, number)));
            return FunnelStep {
                step: number,
                name: condition.to_string(),
                optional: true,
                customers: done,
                done,
                from_entry: Rate::new(done, reached(1)),
                from_previous: Rate::new(done, before),
                settled: Rate::new(count(&|fate| fate.settled && fate.optional[place]), settled(1)),
                dropped: 0,
                stopped: 0,
                pending: 0,
                histogram: Vec::new(),
                time_to_reach: None,
            };
        }
        let step = rank(plan, number) + 1;
        let stay = |wanted: &dyn Fn(FunnelOutcome) -> bool| {
            count(&|fate| step < last && fate.reached.len() == step && wanted(fate.outcome))
        };
        let times = fates.iter().filter_map(|fate| fate.reached.get(step - 1));
        let times: Vec<i128> = times.map(|&(entry, done)| i128::from(done) - i128::from(entry)).collect();
        FunnelStep {
            step: number,
            name: condition.to_string(),
            optional: false,
            customers: reached(step),
            done: if plan.order == Order::Any { count(&|fate| fate.done[step - 1]) } else { reached(step) },
            from_entry: Rate::new(reached(step), reached(1)),
            from_previous: Rate::new(reached(step), reached(step.max(2) - 1)),
            settled: Rate::new(settled(step), settled(1)),
            dropped: stay(&|outcome| outcome != FunnelOutcome::Pending),
            stopped: stay(&|outcome| outcome == FunnelOutcome::Stopped),
            pending: stay(&|outcome| outcome == FunnelOutcome::Pending),
            histogram: histogram(&times),
            time_to_reach: summary(times),
        }
    });
    let converted = fates.iter().filter(|fate| fate.outcome == FunnelOutcome::Converted);
    FunnelFigures {
        entered: reached(1),
        converted: reached(last),
        conversion: Rate::new(reached(last), reached(1)),
        settled_conversion: Rate::new(settled(last), settled(1)),
        pending: count(&|fate| fate.outcome == FunnelOutcome::Pending),
        time_since_first_entry: summary(converted.map(|fate| fate.since_first_entry).collect()),
        steps: steps.collect(),
    }
}

/// The figures of each period from the first entry to the last.
fn by_period(period: Period, plan: &Funnel, fates: &[OneFate<'_>], end: i64) -> Vec<FunnelPeriod> {
    let mut by_start: BTreeMap<Micros, Vec<&Fate>> = BTreeMap::new();
    for OneFate { fate, .. } in fates.iter().filter(|one| one.fate.outcome != FunnelOutcome::Removed) {
        let entry = fate.reached[fate.reached.len() - 1].0;
        by_start.entry(period.start_of(Micros(entry))).or_default().push(fate);
    }
    let Some((&first, _)) = by_start.first_key_value() else { return Vec::new() };
    let last = *by_start.last_key_value().unwrap().0;
    let starts = std::iter::once(first).chain(period.following(first)).take_while(|start| *start <= last);
    starts
        .map(|start| {
            let window = plan.window.map_or(0, |window| i128::from(window.micros()));
            let over = period.next(start).map(|next| i128::from(next.0) + window);
            FunnelPeriod {
                start: start.to_datetime(),
                finished: over.is_some_and(|over| over <= i128::from(end)),
                figures: figures(plan, by_start.get(&start).map_or(&[][..], Vec::as_slice)),
            }
        })
        .collect()
}

/// The figures of each group: the largest, and the others together.
fn broken_down(breakdown: &Breakdown, plan: &Funnel, fates: &[OneFate<'_>]) -> FunnelBreakdown {
    let mut groups: Vec<(Worth, Vec<&Fate>)> = Vec::new();
    for OneFate { fate, .. } in fates.iter().filter(|one| one.fate.outcome != FunnelOutcome::Removed) {
        match groups.iter_mut().find(|(worth, _)| worth.order(&fate.worth).is_eq()) {
            Some((_, group)) => group.push(fate),
            None => groups.push((fate.worth.clone(), vec![fate])),
        }
    }
    groups.sort_by(|(a, x), (b, y)| y.len().cmp(&x.len()).then_with(|| a.order(b)));
    let comparison = breakdown.compare.clone().map(|(one, other)| {
        let rates = |value: &PropertyValue| {
            let same = |worth: &Worth| worth.value == *value || worth.value.compare(value) == Some(Ordering::Equal);
            let group = groups.iter().find(|(worth, _)| same(worth))?;
            Some(figures(plan, &group.1).steps.into_iter().map(|step| step.from_entry).collect::<Vec<_>>())
        };
        let (here, there) = (rates(&one), rates(&other));
        let difference = |step: usize| here.as_ref()?[step].difference_to(&there.as_ref()?[step]);
        FunnelComparison { steps: (0..plan.steps.len()).map(difference).collect(), one, other }
    });
    let others: Vec<_> = groups.drain(breakdown.limit.min(groups.len())..).collect();
    let together: Vec<&Fate> = others.iter().flat_map(|(_, group)| group.iter().copied()).collect();
    FunnelBreakdown {
        comparison,
        groups: groups
            .into_iter()
            .map(|(worth, group)| FunnelGroup { value: worth.value, figures: figures(plan, &group) })
            .collect(),
        other: (!others.is_empty())
            .then(|| Box::new(FunnelOther { groups: others.len() as u64, figures: figures(plan, &together) })),
    }
}
