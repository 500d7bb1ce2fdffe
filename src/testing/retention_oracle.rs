//! Retention, counted cell by cell: for each cohort and column every customer is asked.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    calendar::{end_of, is_whole, moment, start_of},
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    CohortRetention, CohortRetentionReport, Cohorts, Condition, Criterion, Currency, CustomerId, Decimal, Event,
    JourneyModel, Money, Period, Rate, RetentionAverage, RetentionCell, RetentionCohort, RetentionColumn,
    RetentionCustomer, Scope, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    start: Condition,
    #[serde(rename = "return")]
    returns: Condition,
    period: Period,
    elapsed: Option<Window>,
    periods: Option<u32>,
    criterion: Criterion,
    cohorts: Cohorts,
    at_least: usize,
    #[serde(default)]
    value: bool,
    #[serde(default)]
    customers: bool,
}

/// A customer in a cohort.
struct Member<'a> {
    customer: &'a CustomerId,
    story: &'a [Told<'a>],
    start: DateTime<Utc>,
}

impl Said {
    /// The first and the last period of each column.
    fn columns(&self) -> Vec<RetentionColumn> {
        let column = |from, to| RetentionColumn { from, to };
        let mut columns = vec![column(0, Some(0))];
        let each = 1..=self.periods.unwrap_or_default();
        match &self.criterion {
            Criterion::On => columns.extend(each.map(|k| column(k, Some(k)))),
            Criterion::OnOrAfter => columns.extend(each.map(|k| column(k, None))),
            Criterion::Bracket(edges) => {
                columns.extend(edges.windows(2).map(|pair| column(pair[0], Some(pair[1] - 1))));
            }
        }
        columns
    }

    /// When period k after that of a start begins.
    fn begins(&self, start: DateTime<Utc>, k: u32) -> DateTime<Utc> {
        if let Some(length) = self.elapsed {
            return start + hours(length) * i32::try_from(k).unwrap();
        }
        (0..k).fold(start_of(self.period, start), |period, _| end_of(self.period, period))
    }

    /// When the last period of a column is over; that of a column without an end is its first.
    fn over(&self, start: DateTime<Utc>, column: &RetentionColumn) -> DateTime<Utc> {
        self.begins(start, column.to.unwrap_or(column.from) + 1)
    }

    /// The events for which a member is counted in a column; none if they are not.
    fn counted<'a>(
        &self,
        member: &Member<'a>,
        place: usize,
        column: &RetentionColumn,
        model: &JourneyModel,
    ) -> Option<Vec<&'a Told<'a>>> {
        let is = |told: &Told<'_>, condition: &Condition| holds(condition, told.event, told.stage, model);
        let (begin, over) = (self.begins(member.start, column.from), self.over(member.start, column));
        if place == 0 {
            let events = member.story.iter().filter(|told| moment(told.at) >= member.start && moment(told.at) < over);
            return Some(events.filter(|told| is(told, &self.start) || is(told, &self.returns)).collect());
        }
        let within = |at: DateTime<Utc>| at >= begin && (column.to.is_none() || at < over);
        let events = member.story.iter().filter(|told| within(moment(told.at)) && is(told, &self.returns));
        Some(events.collect::<Vec<_>>()).filter(|events| events.len() >= self.at_least)
    }
}

/// An elapsed period, as its JSON says it: in days or hours.
fn hours(length: Window) -> TimeDelta {
    let text = length.to_string();
    let (number, unit) = text.split_at(text.len() - 1);
    TimeDelta::hours(number.parse::<i64>().unwrap() * if unit == "d" { 24 } else { 1 })
}

fn sum<'a>(events: impl Iterator<Item = &'a Told<'a>>) -> Vec<Money> {
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for money in events.filter_map(|told| told.event.value()) {
        *sums.entry(money.currency()).or_default() += money.amount();
    }
    let sums = sums.into_iter().filter(|(_, sum)| !sum.is_zero());
    sums.map(|(currency, sum)| Money::from_decimal(sum.normalize(), currency).unwrap()).collect()
}

/// What the report of [`CohortRetention`] must say. Not for worlds of extreme times.
pub fn retention(
    events: &[Event],
    plan: &CohortRetention,
    model: &JourneyModel,
    scope: &Scope,
) -> CohortRetentionReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let mut cohorts: BTreeMap<DateTime<Utc>, Vec<Member<'_>>> = BTreeMap::new();
    for (customer, story) in &stories.by_customer {
        let starts = story.iter().filter(|told| holds(&said.start, told.event, told.stage, model));
        let mut starts: Vec<i64> = starts.map(|told| told.at).collect();
        if said.cohorts == Cohorts::FirstEver {
            starts.truncate(1);
        }
        for at in starts.into_iter().filter(|at| stories.counts(*at)) {
            let members = cohorts.entry(start_of(said.period, moment(at))).or_default();
            if members.iter().all(|member| member.customer != customer) {
                members.push(Member { customer, story, start: moment(at) });
            }
        }
    }
    let columns = said.columns();
    let is_past = |at: DateTime<Utc>| at.timestamp_micros() <= stories.end;
    let count = |members: &[Member<'_>], place: usize, column: &RetentionColumn| {
        let counted: Vec<_> = members.iter().filter_map(|member| said.counted(member, place, column, model)).collect();
        RetentionCell {
            customers: counted.len() as u64,
            rate: Rate::new(counted.len() as u64, members.len() as u64),
            finished: members.iter().all(|member| is_past(said.over(member.start, column))),
            value: if said.value { sum(counted.iter().flatten().copied()) } else { Vec::new() },
        }
    };
    let begun = |members: &[Member<'_>], column: &RetentionColumn| {
        column.from == 0 || members.iter().any(|member| is_past(said.begins(member.start, column.from)))
    };
    let rows: Vec<RetentionCohort> = cohorts
        .iter()
        .map(|(period, members)| {
            let places = columns.iter().enumerate().take_while(|(_, column)| begun(members, column));
            RetentionCohort {
                period: *period,
                finished: is_whole(&stories, *period, end_of(said.period, *period)),
                cells: places.map(|(i, column)| count(members, i, column)).collect(),
            }
        })
        .collect();
    let average = columns.iter().enumerate().map(|(place, column)| {
        let finished =
            rows.iter().zip(cohorts.values()).filter(|(row, _)| row.cells.get(place).is_some_and(|c| c.finished));
        let members: Vec<&Member<'_>> = finished.clone().flat_map(|(_, members)| members).collect();
        let counted: Vec<_> = members.iter().filter_map(|member| said.counted(member, place, column, model)).collect();
        RetentionAverage {
            cohorts: finished.count() as u64,
            rate: Rate::new(counted.len() as u64, members.len() as u64),
            value: if said.value { sum(counted.iter().flatten().copied()) } else { Vec::new() },
        }
    });
    let average = average.collect();
    let listed = cohorts.iter().flat_map(|(cohort, members)| members.iter().map(|member| (*cohort, member)));
    let listed = listed.map(|(cohort, member)| RetentionCustomer {
        customer: member.customer.clone(),
        cohort,
        started_at: member.start,
        columns: (1..)
            .zip(&columns[1..])
            .filter(|(place, column)| said.counted(member, *place as usize, column, model).is_some())
            .map(|(place, _)| place)
            .collect(),
    });
    let customers = said.customers.then(|| listed.collect());
    CohortRetentionReport { period: said.period, elapsed: said.elapsed, columns, cohorts: rows, average, customers }
}
