//! Lifecycle and stickiness, from the set of periods in which each customer is active.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    calendar::{end_of, is_whole, moment, start_of},
    conditions::holds,
    story::Stories,
};
use crate::{
    Condition, CustomerId, CustomerPhase, Event, JourneyModel, Lifecycle, LifecycleCustomer, LifecyclePeriod,
    LifecyclePhase, LifecycleReport, Period, Rate, Scope, Stickiness, StickinessCustomer, StickinessReport,
    StickinessRow,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    activity: Condition,
    period: Period,
    of: Option<u32>,
    #[serde(default)]
    customers: bool,
}

impl Said {
    fn of(plan: impl serde::Serialize) -> Self {
        serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap()
    }
}

/// The first moments of the periods in which one customer is active.
struct Active {
    customer: CustomerId,
    /// By all that is seen of them.
    ever: BTreeSet<DateTime<Utc>>,
    /// By events in the range.
    counted: BTreeSet<DateTime<Utc>>,
}

fn active(stories: &Stories<'_>, said: &Said, model: &JourneyModel) -> Vec<Active> {
    let of = |(customer, story): (&CustomerId, &Vec<_>)| {
        let mut one = Active { customer: customer.clone(), ever: BTreeSet::new(), counted: BTreeSet::new() };
        for told in
            story.iter().filter(|told: &&super::story::Told<'_>| holds(&said.activity, told.event, told.stage, model))
        {
            let period = start_of(said.period, moment(told.at));
            one.ever.insert(period);
            if stories.counts(told.at) {
                one.counted.insert(period);
            }
        }
        one
    };
    stories.by_customer.iter().map(of).collect()
}

/// The last moment of the scope: of its range, or the end of observation.
fn last_moment(stories: &Stories<'_>) -> i64 {
    stories.to.map_or(stories.end, |to| stories.end.min(to - 1))
}

fn before(period: Period, start: DateTime<Utc>) -> DateTime<Utc> {
    start_of(period, start - TimeDelta::microseconds(1))
}

/// What the report of [`Lifecycle`] must say. Not for worlds of extreme times.
pub fn lifecycle(events: &[Event], plan: &Lifecycle, model: &JourneyModel, scope: &Scope) -> LifecycleReport {
    let said = Said::of(plan);
    let stories = Stories::of(events, model, scope);
    let everyone = active(&stories, &said, model);
    let count = |wanted: &dyn Fn(&Active) -> bool| everyone.iter().filter(|one| wanted(one)).count() as u64;
    let mut periods = Vec::new();
    let mut phases: Vec<Vec<CustomerPhase>> = vec![Vec::new(); everyone.len()];
    let mut next = everyone.iter().flat_map(|one| &one.ever).min().copied();
    while let Some(start) = next.filter(|start| start.timestamp_micros() <= last_moment(&stories)) {
        let (before, end) = (before(said.period, start), end_of(said.period, start));
        next = Some(end);
        let is_in_range = stories.from.is_none_or(|from| from < end.timestamp_micros());
        let is_new = |one: &Active| one.counted.contains(&start) && one.ever.first() == Some(&start);
        let is_returning = |one: &Active| one.counted.contains(&start) && one.ever.contains(&before);
        let is_resurrected = |one: &Active| {
            one.counted.contains(&start) && one.ever.first() != Some(&start) && !one.ever.contains(&before)
        };
        let is_dormant = |one: &Active| is_in_range && one.ever.contains(&before) && !one.ever.contains(&start);
        periods.push(LifecyclePeriod {
            period: start,
            finished: is_whole(&stories, start, end),
            active: count(&|one| one.counted.contains(&start)),
            new: count(&is_new),
            returning: count(&is_returning),
            resurrected: count(&is_resurrected),
            dormant: count(&is_dormant),
        });
        for (one, phases) in everyone.iter().zip(&mut phases) {
            let each = [
                (is_new(one), LifecyclePhase::New),
                (is_returning(one), LifecyclePhase::Returning),
                (is_resurrected(one), LifecyclePhase::Resurrected),
                (is_dormant(one), LifecyclePhase::Dormant),
            ];
            let here = each.into_iter().filter(|(is, _)| *is);
            phases.extend(here.map(|(_, phase)| CustomerPhase { period: start, phase }));
        }
    }
    let nobody = periods.iter().take_while(|row| row.active + row.dormant == 0).count();
    periods.drain(..nobody);
    let listed = everyone.iter().zip(phases).filter(|(_, periods)| !periods.is_empty());
    let listed = listed.map(|(one, periods)| LifecycleCustomer { customer: one.customer.clone(), periods });
    LifecycleReport { period: said.period, periods, customers: said.customers.then(|| listed.collect()) }
}

/// What the report of [`Stickiness`] must say. Not for worlds of extreme times.
pub fn stickiness(events: &[Event], plan: &Stickiness, model: &JourneyModel, scope: &Scope) -> StickinessReport {
    let said = Said::of(plan);
    let stories = Stories::of(events, model, scope);
    let of = said.of.unwrap();
    let mut window = BTreeSet::new();
    if last_moment(&stories) > i64::MIN {
        let mut start = start_of(said.period, moment(last_moment(&stories)));
        for _ in 0..of {
            window.insert(start);
            start = before(said.period, start);
        }
    }
    let everyone = active(&stories, &said, model).into_iter();
    let counts: Vec<(CustomerId, u32)> = everyone
        .map(|one| (one.customer, u32::try_from(one.counted.intersection(&window).count()).unwrap()))
        .filter(|(_, periods)| *periods > 0)
        .collect();
    let all = counts.len() as u64;
    let rate = |wanted: &dyn Fn(u32) -> bool| Rate::new(counts.iter().filter(|(_, n)| wanted(*n)).count() as u64, all);
    let sum: u32 = counts.iter().map(|(_, periods)| periods).sum();
    StickinessReport {
        period: said.period,
        from: window.first().copied().unwrap_or(DateTime::<Utc>::MIN_UTC),
        finished: window.iter().all(|start| is_whole(&stories, *start, end_of(said.period, *start)))
            && !window.is_empty(),
        active: all,
        mean: (all > 0).then(|| f64::from(sum) / all as f64),
        rows: (1..=of)
            .map(|periods| StickinessRow {
                periods,
                exactly: rate(&|n| n == periods),
                at_least: rate(&|n| n >= periods),
            })
            .collect(),
        customers: said.customers.then(|| {
            counts
                .iter()
                .map(|(customer, periods)| StickinessCustomer { customer: customer.clone(), periods: *periods })
                .collect()
        }),
    }
}
