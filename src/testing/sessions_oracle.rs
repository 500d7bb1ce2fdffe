//! Sessions, from the times of each customer's story.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    calendar::{end_of, is_whole, moment, start_of},
    story::{Stories, Told, histogram, summary},
};
use crate::{
    CustomerId, CustomerSession, Event, JourneyModel, Period, Rate, Scope, SessionCustomer, SessionSize,
    SessionTouchpoint, SessionTouchpoints, Sessions, SessionsPeriod, SessionsReport, Touchpoint, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    gap: Window,
    every: Option<Period>,
    limit: usize,
    #[serde(default)]
    customers: bool,
}

/// A session: whose, and its events.
struct Session<'a> {
    customer: &'a CustomerId,
    /// Which of theirs, from 1.
    number: u64,
    events: Vec<Told<'a>>,
}

impl<'a> Session<'a> {
    fn first(&self) -> &Told<'a> {
        self.events.first().unwrap()
    }

    fn last(&self) -> &Told<'a> {
        self.events.last().unwrap()
    }
}

fn apart(earlier: i64, later: i64) -> i128 {
    i128::from(later) - i128::from(earlier)
}

fn top(touchpoints: Vec<&Touchpoint>, limit: usize) -> SessionTouchpoints {
    let all = touchpoints.len() as u64;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for touchpoint in touchpoints {
        *counts.entry(touchpoint.as_str()).or_default() += 1;
    }
    // The sort is stable: equals stay in the order of their names.
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let listed = counts.iter().take(limit).map(|(name, count)| SessionTouchpoint {
        touchpoint: Touchpoint::new(name).unwrap(),
        sessions: Rate::new(*count, all),
    });
    SessionTouchpoints {
        top: listed.collect(),
        others: counts.iter().skip(limit).count() as u64,
        other: Rate::new(counts.iter().skip(limit).map(|(_, count)| count).sum(), all),
    }
}

/// What the report of [`Sessions`] must say. Not for worlds of extreme times, if it is asked over time.
pub fn sessions(events: &[Event], plan: &Sessions, model: &JourneyModel, scope: &Scope) -> SessionsReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let gap = i128::from(said.gap.micros());
    let stories = Stories::of(events, model, scope);
    let mut all: Vec<Session<'_>> = Vec::new();
    for (customer, story) in &stories.by_customer {
        for told in story {
            match all.last_mut() {
                Some(session) if session.customer == customer && apart(session.last().at, told.at) <= gap => {
                    session.events.push(*told);
                }
                last => {
                    let number = last.filter(|last| last.customer == customer).map_or(1, |last| last.number + 1);
                    all.push(Session { customer, number, events: vec![*told] });
                }
            }
        }
    }
    all.retain(|session| stories.counts(session.first().at));
    let sessions = all.len() as u64;
    let count = |wanted: &dyn Fn(&Session<'_>) -> bool| all.iter().filter(|session| wanted(session)).count() as u64;
    let customers = all.iter().map(|session| session.customer).collect::<BTreeSet<_>>().len() as u64;
    let events: u64 = all.iter().map(|session| session.events.len() as u64).sum();
    let sizes = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, usize::MAX)];
    let size = |(from, to): (usize, usize)| SessionSize {
        from: from as u64,
        to: (to < usize::MAX).then_some(to as u64),
        sessions: count(&|session| (from..=to).contains(&session.events.len())),
    };
    let lengths: Vec<i128> = all.iter().map(|session| apart(session.first().at, session.last().at)).collect();
    let over_time = said.every.map(|period| {
        let begins = |session: &Session<'_>| start_of(period, moment(session.first().at));
        let last_moment = stories.to.map_or(stories.end, |to| stories.end.min(to - 1));
        let mut rows = Vec::new();
        let mut next = all.iter().map(begins).min();
        while let Some(start) = next.filter(|start| start.timestamp_micros() <= last_moment) {
            let end = end_of(period, start);
            next = Some(end);
            let here: Vec<_> = all.iter().filter(|session| begins(session) == start).collect();
            let bounced = here.iter().filter(|session| session.events.len() == 1).count() as u64;
            rows.push(SessionsPeriod {
                period: start,
                finished: is_whole(&stories, start, end),
                sessions: here.len() as u64,
                customers: here.iter().map(|session| session.customer).collect::<BTreeSet<_>>().len() as u64,
                events: here.iter().map(|session| session.events.len() as u64).sum(),
                bounced: Rate::new(bounced, here.len() as u64),
            });
        }
        rows
    });
    let listed = said.customers.then(|| {
        let mut listed: Vec<SessionCustomer> = Vec::new();
        for session in &all {
            let one = CustomerSession {
                number: session.number,
                begin: moment(session.first().at),
                end: moment(session.last().at),
                events: session.events.len() as u64,
                first: session.first().event.touchpoint().clone(),
                last: session.last().event.touchpoint().clone(),
                open: apart(session.last().at, stories.end) <= gap,
            };
            match listed.last_mut() {
                Some(last) if last.customer == *session.customer => last.sessions.push(one),
                _ => listed.push(SessionCustomer { customer: session.customer.clone(), sessions: vec![one] }),
            }
        }
        listed
    });
    SessionsReport {
        gap: said.gap,
        sessions,
        customers,
        events,
        open: count(&|session| apart(session.last().at, stories.end) <= gap),
        events_per_session: (sessions > 0).then(|| events as f64 / sessions as f64),
        sessions_per_customer: (sessions > 0).then(|| sessions as f64 / customers as f64),
        bounced: Rate::new(count(&|session| session.events.len() == 1), sessions),
        sizes: sizes.into_iter().map(size).filter(|size| size.sessions > 0).collect(),
        histogram: histogram(&lengths),
        duration: summary(lengths),
        first: top(all.iter().map(|session| session.first().event.touchpoint()).collect(), said.limit),
        last: top(all.iter().map(|session| session.last().event.touchpoint()).collect(), said.limit),
        every: said.every,
        over_time,
        listed,
    }
}
