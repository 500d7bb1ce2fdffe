//! Retention and churn rates, from the set of periods in which each customer is active.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    calendar::{end_of, moment, start_of},
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    ChurnBy, ChurnCustomer, ChurnFigures, ChurnGroup, ChurnOutcome, ChurnPeriod, ChurnRate, ChurnRateReport, Condition,
    CustomerChurn, CustomerId, Event, JourneyModel, Period, Rate, Scope,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    activity: Condition,
    period: Period,
    inactive_after: u32,
    by: Option<ChurnBy>,
    #[serde(default)]
    customers: bool,
}

/// Whether there is no group, its place in the model, and its name.
type Group = (bool, Option<usize>, Option<String>);

struct One {
    customer: CustomerId,
    period: DateTime<Utc>,
    finished: bool,
    outcome: ChurnOutcome,
    group: Group,
}

fn figures(ones: &[&One], has_rates: bool) -> ChurnFigures {
    let count = |outcome| ones.iter().filter(|one| one.outcome == outcome).count() as u64;
    let base = ones.len() as u64;
    let rate = |some| if has_rates { Rate::new(some, base) } else { Rate::new(0, 0) };
    let (retained, churned) = (count(ChurnOutcome::Retained), count(ChurnOutcome::Churned));
    ChurnFigures {
        base,
        retained,
        churned,
        quiet: count(ChurnOutcome::Quiet),
        pending: count(ChurnOutcome::Pending),
        retention: rate(retained),
        churn: rate(churned),
    }
}

fn groups(ones: &[&One], said: &Said, has_rates: bool) -> Vec<ChurnGroup> {
    let all: BTreeSet<&Group> = ones.iter().map(|one| &one.group).filter(|_| said.by.is_some()).collect();
    let of = |group: &Group| ChurnGroup {
        group: group.2.clone(),
        figures: figures(&ones.iter().copied().filter(|one| one.group == *group).collect::<Vec<_>>(), has_rates),
    };
    all.into_iter().map(of).collect()
}

/// The group of a customer as a period begins.
fn group_of(story: &[Told<'_>], active: &[&Told<'_>], start: i64, said: &Said, model: &JourneyModel) -> Group {
    let last = active.iter().map(|told| told.at).filter(|at| *at < start).max();
    let last = active.iter().filter(|told| Some(told.at) == last);
    let stage = story.iter().filter(|told| told.at < start).filter_map(|told| told.stage).next_back();
    let stage = stage.filter(|_| said.by == Some(ChurnBy::Stage));
    let name = match said.by {
        Some(ChurnBy::Touchpoint) => last.map(|told| told.event.touchpoint().to_string()).min(),
        Some(ChurnBy::Channel) => last.map(|told| told.event.channel().as_str().to_owned()).min(),
        _ => stage.map(|stage| model.stages()[stage].to_string()),
    };
    (name.is_none(), stage, name)
}

/// What the report of [`ChurnRate`] must say. Not for worlds of extreme times.
pub fn churn_rate(events: &[Event], plan: &ChurnRate, model: &JourneyModel, scope: &Scope) -> ChurnRateReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let before = |start: DateTime<Utc>| start_of(said.period, start - TimeDelta::microseconds(1));
    let mut ones: Vec<One> = Vec::new();
    let mut listed_periods = Vec::new();
    let is_active = |told: &&Told<'_>| holds(&said.activity, told.event, told.stage, model);
    let everyone: Vec<(&CustomerId, &Vec<Told<'_>>, Vec<&Told<'_>>)> =
        stories.by_customer.iter().map(|(who, story)| (who, story, story.iter().filter(is_active).collect())).collect();
    let periods_of = |active: &[&Told<'_>]| -> BTreeSet<DateTime<Utc>> {
        active.iter().map(|told| start_of(said.period, moment(told.at))).collect()
    };
    let ever: Vec<BTreeSet<DateTime<Utc>>> = everyone.iter().map(|(.., active)| periods_of(active)).collect();
    let mut next = ever.iter().filter_map(BTreeSet::first).min().copied();
    while let Some(start) = next.filter(|start| start.timestamp_micros() <= stories.end) {
        let end = end_of(said.period, start);
        next = Some(end);
        let (from, to) = (start.timestamp_micros(), end.timestamp_micros());
        if stories.from.is_some_and(|range| to <= range) || stories.to.is_some_and(|range| range <= from) {
            continue;
        }
        let finished = to <= stories.end;
        listed_periods.push((start, finished));
        // The periods before, as many as make a customer churned.
        let look_back: Vec<DateTime<Utc>> = std::iter::successors(Some(before(start)), |start| Some(before(*start)))
            .take(said.inactive_after as usize)
            .collect();
        for ((customer, story, active), ever) in everyone.iter().zip(&ever) {
            let was: Vec<bool> = look_back.iter().map(|start| ever.contains(start)).collect();
            if !was.contains(&true) {
                continue;
            }
            let recently = &was[..was.len() - 1];
            let outcome = match (ever.contains(&start), finished) {
                (true, _) => ChurnOutcome::Retained,
                (false, false) => ChurnOutcome::Pending,
                (false, true) if recently.contains(&true) => ChurnOutcome::Quiet,
                (false, true) => ChurnOutcome::Churned,
            };
            let group = group_of(story, active, from, &said, model);
            ones.push(One { customer: (*customer).clone(), period: start, finished, outcome, group });
        }
    }
    let of_period = |start| ones.iter().filter(|one| one.period == start).collect::<Vec<_>>();
    let nobody = listed_periods.iter().take_while(|(start, _)| of_period(*start).is_empty()).count();
    let period = |&(start, finished): &(DateTime<Utc>, bool)| ChurnPeriod {
        period: start,
        finished,
        figures: figures(&of_period(start), finished),
        groups: groups(&of_period(start), &said, finished),
    };
    let over: Vec<&One> = ones.iter().filter(|one| one.finished).collect();
    let mut listed: BTreeMap<&CustomerId, Vec<CustomerChurn>> = BTreeMap::new();
    for One { customer, period, outcome, group, .. } in &ones {
        let row = CustomerChurn { period: *period, outcome: *outcome, group: group.2.clone() };
        listed.entry(customer).or_default().push(row);
    }
    let customers =
        listed.into_iter().map(|(customer, periods)| ChurnCustomer { customer: customer.clone(), periods }).collect();
    ChurnRateReport {
        period: said.period,
        inactive_after: said.inactive_after,
        by: said.by,
        total: figures(&over, true),
        groups: groups(&over, &said, true),
        periods: listed_periods[nobody..].iter().map(period).collect(),
        customers: said.customers.then_some(customers),
    }
}
