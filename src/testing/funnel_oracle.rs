//! Funnels by trying every order of every tie, and in each every chain.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
};

use super::{
    breakdown_oracle::{Worth, parts},
    calendar::is_whole,
    chain_oracle::{Case, Chain, Fate, Stop, longest},
    differences,
    story::{Stories, Told, histogram, summary},
};
use crate::{
    Breakdown, BreakdownFrom, Currency, CustomerId, Decimal, Event, Funnel, FunnelBottleneck, FunnelBreakdown,
    FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther, FunnelOutcome, FunnelPeriod,
    FunnelReport, FunnelStep, JourneyModel, Micros, Money, Order, Period, PropertyValue, Rate, Scope, Seq, ServedEvent,
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
            let without = case.without_removing().fates();
            for (mut fate, other) in case.fates().into_iter().zip(without) {
                if (other.reached, other.outcome) != (fate.reached.clone(), fate.outcome) {
                    fate.outcome = FunnelOutcome::Removed;
                }
                fate.optional =
                    with.iter().map(|(after, chains)| case.optional_done(&fate.best, *after, chains.keys())).collect();
                let money = |events: &Option<Vec<usize>>| part[*events.as_ref()?.first()?].event.value();
                fate.optional_money = fate.optional.iter().map(money).collect();
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
    let listed = fates.iter().map(|one| FunnelCustomer {
        customer: one.customer.clone(),
        level: one.fate.reached.len(),
        outcome: one.fate.outcome,
        group: plan.breakdown.as_ref().map(|_| one.fate.worth.value.clone()),
        events: listings(plan, &one.fate)[0]
            .iter()
            .map(|&(step, event)| {
                let Told { seq, event, .. } = one.story[event];
                ServedEvent { step, seq: Seq(seq), occurred_at: event.occurred_at() }
            })
            .collect(),
    });
    let report = FunnelReport {
        order: plan.order,
        count: plan.count,
        window: plan.window,
        entered: all.entered,
        converted: all.converted,
        conversion: all.conversion,
        settled_conversion: all.settled_conversion,
        pending: all.pending,
        time_since_first_entry: all.time_since_first_entry,
        customers: plan.customers.then(|| listed.collect()),
        bottlenecks: bottlenecks(plan, &all, &fates, stories.end),
        steps: all.steps,
        removed: fates.iter().filter(|one| !stay(one)).count() as u64,
        trend: plan.trend.map(|period| by_period(period, plan, &fates, &fates, &stories)),
        breakdown: plan.breakdown.as_ref().map(|breakdown| broken_down(breakdown, plan, &fates, &stories)),
    };
    let seqs = |story: &[Told<'_>], chain: Vec<(usize, usize)>| {
        chain.into_iter().map(|(step, event)| (step, Seq(story[event].seq))).collect()
    };
    let chains =
        fates.iter().map(|one| listings(plan, &one.fate).into_iter().map(|chain| seqs(&one.story, chain)).collect());
    FunnelTruth { report, chains: chains.collect() }
}

/// All ways in which a customer's events may be listed: each with its step of the plan, in the order of these.
fn listings(plan: &Funnel, fate: &Fate) -> Vec<Vec<(usize, usize)>> {
    let place = |required: usize| (1..).filter(|step| !plan.optional.contains(step)).nth(required - 1).unwrap();
    let required = |chain: &Vec<(usize, usize)>| chain.iter().map(|&(step, event)| (place(step), event)).collect();
    let mut ways: Vec<Vec<(usize, usize)>> = fate.chains.iter().map(required).collect();
    for (&step, done) in plan.optional.iter().zip(&fate.optional) {
        let Some(events) = done else { continue };
        let with = |way: &Vec<(usize, usize)>, event: usize| [way.clone(), vec![(step, event)]].concat();
        ways = ways.iter().flat_map(|way| events.iter().map(move |&event| with(way, event))).collect();
    }
    ways.iter_mut().for_each(|way| way.sort_unstable());
    ways
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

/// A customer's fate with the events that decided it.
#[derive(Clone)]
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
            let (done, before) = (count(&|fate| fate.optional[place].is_some()), reached(rank(plan, number)));
            return FunnelStep {
                step: number,
                name: condition.to_string(),
                optional: true,
                customers: done,
                done,
                from_entry: Rate::new(done, reached(1)),
                from_previous: Rate::new(done, before),
                settled: Rate::new(count(&|fate| fate.settled && fate.optional[place].is_some()), settled(1)),
                dropped: 0,
                stopped: 0,
                pending: 0,
                histogram: Vec::new(),
                time_to_reach: None,
                value: sum(fates.iter().filter(|_| plan.value).filter_map(|fate| fate.optional_money[place])),
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
            value: sum(fates.iter().filter_map(|fate| fate.money[step - 1])),
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

/// The sums of money by currency, those of 0 left out.
fn sum(moneys: impl Iterator<Item = Money>) -> Vec<Money> {
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    moneys.for_each(|money| *sums.entry(money.currency()).or_default() += money.amount());
    let sums = sums.into_iter().filter(|(_, sum)| !sum.is_zero());
    sums.map(|(currency, sum)| Money::from_decimal(sum.normalize(), currency).unwrap()).collect()
}

/// Who waits at each required step but the last.
fn bottlenecks(plan: &Funnel, all: &FunnelFigures, fates: &[OneFate<'_>], end: i64) -> Vec<FunnelBottleneck> {
    let required: Vec<&FunnelStep> = all.steps.iter().filter(|step| !step.optional).collect();
    let pairs: Vec<_> = required.windows(2).map(|pair| (pair[0].customers, pair[1].customers)).collect();
    let mut found = Vec::new();
    for (place, step) in required.iter().enumerate().take(pairs.len()) {
        let pending = fates.iter().filter(|one| one.fate.outcome == FunnelOutcome::Pending);
        let waits = pending.filter_map(|one| one.fate.waits).filter(|(level, _)| *level == place + 1);
        let waited: Vec<i128> = waits.map(|(_, since)| i128::from(end) - i128::from(since)).collect();
        let went_on = Rate::new(pairs[place].1, pairs[place].0);
        let others = pairs.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, pair)| pair);
        let others = Rate::new(others.clone().map(|pair| pair.1).sum(), others.map(|pair| pair.0).sum());
        found.push(FunnelBottleneck {
            step: step.step,
            name: match plan.order {
                Order::Any => format!("{} of {}", step.step, plan.steps.len()),
                _ => plan.steps[step.step - 1].to_string(),
            },
            waiting: waited.len() as u64,
            waited: summary(waited),
            went_on,
            others,
            difference: went_on.difference_to(&others),
        });
    }
    // The sort is stable: equals stay in the order of the steps.
    found.sort_by_key(|one| Reverse(one.waiting));
    found
}

/// The figures of each period from the first entry of all to the last, of some of these.
fn by_period(
    period: Period,
    plan: &Funnel,
    all: &[OneFate<'_>],
    some: &[OneFate<'_>],
    stories: &Stories<'_>,
) -> Vec<FunnelPeriod> {
    let stay = |one: &&OneFate<'_>| one.fate.outcome != FunnelOutcome::Removed;
    let start = |one: &OneFate<'_>| period.start_of(Micros(one.fate.reached[one.fate.reached.len() - 1].0));
    let starts = || all.iter().filter(stay).map(start);
    let Some((first, last)) = starts().min().zip(starts().max()) else { return Vec::new() };
    let all_starts = std::iter::once(first).chain(period.following(first)).take_while(|start| *start <= last);
    all_starts
        .map(|begin| {
            let next = period.next(begin);
            let over = next.map(|next| i128::from(next.0) + longest(plan).unwrap_or(0));
            let whole = next.is_some_and(|next| is_whole(stories, begin.to_datetime(), next.to_datetime()));
            let own: Vec<&Fate> =
                some.iter().filter(stay).filter(|one| start(one) == begin).map(|one| &one.fate).collect();
            FunnelPeriod {
                start: begin.to_datetime(),
                finished: whole && over.is_some_and(|over| over <= i128::from(stories.end)),
                figures: figures(plan, &own),
            }
        })
        .collect()
}

/// The figures of each group: the largest, and the others together.
fn broken_down(breakdown: &Breakdown, plan: &Funnel, fates: &[OneFate<'_>], stories: &Stories<'_>) -> FunnelBreakdown {
    let mut groups: Vec<(Worth, Vec<OneFate<'_>>)> = Vec::new();
    for one in fates.iter().filter(|one| one.fate.outcome != FunnelOutcome::Removed) {
        match groups.iter_mut().find(|(worth, _)| worth.order(&one.fate.worth).is_eq()) {
            Some((_, group)) => group.push(one.clone()),
            None => groups.push((one.fate.worth.clone(), vec![one.clone()])),
        }
    }
    groups.sort_by(|(a, x), (b, y)| y.len().cmp(&x.len()).then_with(|| a.order(b)));
    let figures_of = |group: &[OneFate<'_>]| figures(plan, &group.iter().map(|one| &one.fate).collect::<Vec<_>>());
    let trend_of = |group: &[OneFate<'_>]| plan.trend.map(|period| by_period(period, plan, fates, group, stories));
    let comparison = breakdown.compare.clone().map(|(one, other)| {
        let rates = |value: &PropertyValue| {
            let same = |worth: &Worth| worth.value == *value || worth.value.compare(value) == Some(Ordering::Equal);
            let group = groups.iter().find(|(worth, _)| same(worth))?;
            Some(figures_of(&group.1).steps.into_iter().map(|step| step.from_entry).collect::<Vec<_>>())
        };
        let (here, there) = (rates(&one), rates(&other));
        let difference = |step: usize| here.as_ref()?[step].difference_to(&there.as_ref()?[step]);
        FunnelComparison { steps: (0..plan.steps.len()).map(difference).collect(), one, other }
    });
    let others: Vec<_> = groups.drain(breakdown.limit.min(groups.len())..).collect();
    let together: Vec<OneFate<'_>> = others.iter().flat_map(|(_, group)| group.iter().cloned()).collect();
    FunnelBreakdown {
        comparison,
        groups: groups
            .into_iter()
            .map(|(worth, group)| FunnelGroup {
                value: worth.value,
                figures: figures_of(&group),
                trend: trend_of(&group),
            })
            .collect(),
        other: (!others.is_empty()).then(|| {
            Box::new(FunnelOther {
                groups: others.len() as u64,
                figures: figures_of(&together),
                trend: trend_of(&together),
            })
        }),
    }
}
