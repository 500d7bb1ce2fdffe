//! Sessions bound to a store: what is counted while visiting, and how it becomes a report.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    CustomerSession, SessionCustomer, SessionSize, SessionTouchpoint, SessionTouchpoints, Sessions, SessionsPeriod,
    SessionsReport,
};
use crate::{
    analysis::{
        Analysis, Binder, Bound, BoundScope, Durations, Matches, Rate,
        carried::Carried,
        listed::{by_id, of_each},
        over_time::over_time,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names, TouchpointNo},
    model::{Condition, Micros, PeriodSpan, Periods, Touchpoint},
};

/// From how many events on sessions are counted together, by their number.
const SIZES: [u64; 10] = [1, 2, 3, 4, 5, 6, 11, 21, 51, 101];

impl Analysis for Sessions {
    type Bound = BoundSessions;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundSessions, InvalidPlan> {
        let events = binder.matches(&[Condition::All(Vec::new())])?;
        binder.carry(events, Carried::Touchpoint);
        let (touchpoints, _) = binder.sizes();
        Ok(BoundSessions { plan: self.clone(), events, touchpoints, scope: binder.scope().clone() })
    }
}

/// Sessions bound to a store.
#[derive(Debug)]
pub struct BoundSessions {
    plan: Sessions,
    events: Matches,
    /// How many there are.
    touchpoints: usize,
    scope: BoundScope,
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SessionsState {
    customers: u64,
    events: u64,
    open: u64,
    /// By how many events they have, as the list of sizes says.
    sizes: Vec<u64>,
    durations: Durations,
    /// Sessions that begin, and that end, at each touchpoint by its number.
    first: Vec<u64>,
    last: Vec<u64>,
    /// By the starts of periods.
    over_time: BTreeMap<Micros, Counts>,
    /// Each customer's in order.
    listed: Vec<(CustomerNo, Listed)>,
    /// Room for looking periods up.
    #[serde(skip)]
    periods: Periods,
}

/// A session: from when to when, how many events, and the numbers of the touchpoints of the first and the last of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Listed {
    number: u64,
    begin: Micros,
    end: Micros,
    events: u64,
    first: u32,
    last: u32,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    sessions: u64,
    customers: u64,
    events: u64,
    bounced: u64,
}

impl BoundSessions {
    /// Counts a session: its times and the touchpoints of its events. Says in which period it begins.
    fn count(&self, state: &mut SessionsState, times: &[Micros], touchpoints: &[u32]) -> Option<Micros> {
        let (Some(&begin), Some(&end)) = (times.first(), times.last()) else { return None };
        let events = times.len() as u64;
        let size = SIZES.partition_point(|size| *size <= events).saturating_sub(1);
        state.sizes.get_mut(size).into_iter().for_each(|count| *count += 1);
        state.events += events;
        state.open += u64::from(self.is_within(end, self.scope.end));
        state.durations.add_between(begin, end);
        self.count_at(&mut state.first, touchpoints.first());
        self.count_at(&mut state.last, touchpoints.last());
        let start = state.periods.span_of(self.plan.every?, begin).start;
        let counts = state.over_time.entry(start).or_default();
        counts.sessions += 1;
        counts.events += events;
        counts.bounced += u64::from(events == 1);
        Some(start)
    }

    fn count_at(&self, counts: &mut Vec<u64>, touchpoint: Option<&u32>) {
        let Some(place) = touchpoint.map(|number| *number as usize).filter(|place| *place < self.touchpoints) else {
            return;
        };
        if counts.len() <= place {
            counts.resize(place + 1, 0);
        }
        counts.get_mut(place).into_iter().for_each(|count| *count += 1);
    }

    /// Whether two moments are not more than the gap apart.
    fn is_within(&self, earlier: Micros, later: Micros) -> bool {
        later.since(earlier) <= self.plan.gap.micros().into()
    }

    fn over_time(&self, state: &SessionsState) -> Result<Option<Vec<SessionsPeriod>>> {
        let Some(period) = self.plan.every else { return Ok(None) };
        let first = state.over_time.keys().next().copied().unwrap_or(Micros::MAX);
        let of_range = self.scope.to.map_or(Micros::MAX, |to| Micros(to.0.saturating_sub(1)));
        let row = |span: PeriodSpan| {
            let Counts { sessions, customers, events, bounced } =
                state.over_time.get(&span.start).copied().unwrap_or_default();
            SessionsPeriod {
                period: span.start.to_datetime(),
                finished: self.scope.holds_whole(span),
                sessions,
                customers,
                events,
                bounced: Rate::new(bounced, sessions),
            }
        };
        Ok(Some(over_time(period, first, of_range.min(self.scope.end))?.into_iter().map(row).collect()))
    }

    /// The most frequent of these touchpoints.
    fn top(&self, counts: &[u64], sessions: u64, names: &Names) -> Result<SessionTouchpoints> {
        let mut all = Vec::new();
        for (number, &count) in (0..).zip(counts).filter(|(_, count)| **count > 0) {
            all.push((Touchpoint::new(names.touchpoint(TouchpointNo(number)))?, count));
        }
        all.sort_unstable_by(|(a, one), (b, other)| (Reverse(one), a.as_str()).cmp(&(Reverse(other), b.as_str())));
        let others = all.split_off(self.plan.limit.min(all.len()));
        let listed = |(touchpoint, count)| SessionTouchpoint { touchpoint, sessions: Rate::new(count, sessions) };
        Ok(SessionTouchpoints {
            top: all.into_iter().map(listed).collect(),
            others: others.len() as u64,
            other: Rate::new(others.iter().map(|(_, count)| count).sum(), sessions),
        })
    }
}

impl Bound for BoundSessions {
    type State = SessionsState;
    type Report = SessionsReport;

    fn start(&self) -> SessionsState {
        SessionsState { sizes: vec![0; SIZES.len()], ..SessionsState::default() }
    }

    fn visit(&self, state: &mut SessionsState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        let mut touchpoints = events.carried;
        let (mut is_counted, mut latest) = (false, None);
        let sessions = events.times.chunk_by(|earlier, later| self.is_within(*earlier, *later));
        for (number, times) in (1..).zip(sessions) {
            let (at, rest) = touchpoints.split_at_checked(times.len()).unwrap_or_default();
            touchpoints = rest;
            if !times.first().is_some_and(|begin| self.scope.counts(*begin)) {
                continue;
            }
            is_counted = true;
            if self.plan.customers {
                state.listed.extend(Listed::of(number, times, at).map(|session| (journey.customer(), session)));
            }
            // A customer counts once in a period; their sessions come in order.
            let period = self.count(state, times, at);
            if let Some(start) = period.filter(|_| period != latest) {
                state.over_time.entry(start).or_default().customers += 1;
                latest = period;
            }
        }
        state.customers += u64::from(is_counted);
    }

    fn merge(&self, state: &mut SessionsState, other: SessionsState) {
        state.customers += other.customers;
        state.events += other.events;
        state.open += other.open;
        add_each(&mut state.sizes, &other.sizes);
        state.durations.merge(other.durations);
        add_each(&mut state.first, &other.first);
        add_each(&mut state.last, &other.last);
        for (start, there) in other.over_time {
            let here = state.over_time.entry(start).or_default();
            here.sessions += there.sessions;
            here.customers += there.customers;
            here.events += there.events;
            here.bounced += there.bounced;
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &SessionsState) -> usize {
        let numbers = state.sizes.len() + state.first.len() + state.last.len();
        let periods = state.over_time.len() * 2 * (size_of::<Micros>() + size_of::<Counts>());
        let listed = state.listed.len() * size_of::<(CustomerNo, Listed)>();
        numbers * 8 + state.durations.size() + periods + listed + state.periods.size()
    }

    fn finish(&self, state: SessionsState, names: &Names) -> Result<SessionsReport> {
        let sessions: u64 = state.sizes.iter().sum();
        let per = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
        let ends = SIZES.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
        let sizes = SIZES.into_iter().zip(ends).zip(&state.sizes);
        let sizes = sizes.map(|((from, to), &sessions)| SessionSize { from, to, sessions });
        Ok(SessionsReport {
            gap: self.plan.gap,
            sessions,
            customers: state.customers,
            events: state.events,
            open: state.open,
            events_per_session: per(state.events, sessions),
            sessions_per_customer: per(sessions, state.customers),
            bounced: Rate::new(state.sizes.first().copied().unwrap_or_default(), sessions),
            sizes: sizes.filter(|size| size.sessions > 0).collect(),
            duration: state.durations.summary(),
            histogram: state.durations.histogram(),
            first: self.top(&state.first, sessions, names)?,
            last: self.top(&state.last, sessions, names)?,
            every: self.plan.every,
            over_time: self.over_time(&state)?,
            listed: self.plan.customers.then(|| self.listed(&state.listed, names)).transpose()?,
        })
    }
}

impl BoundSessions {
    /// The customers by id.
    fn listed(&self, found: &[(CustomerNo, Listed)], names: &Names) -> Result<Vec<SessionCustomer>> {
        let session = |(_, session): &(CustomerNo, Listed)| {
            Ok(CustomerSession {
                number: session.number,
                begin: session.begin.to_datetime(),
                end: session.end.to_datetime(),
                events: session.events,
                first: Touchpoint::new(names.touchpoint(TouchpointNo(session.first)))?,
                last: Touchpoint::new(names.touchpoint(TouchpointNo(session.last)))?,
                open: self.is_within(session.end, self.scope.end),
            })
        };
        let mut each = Vec::new();
        for (customer, rows) in of_each(found) {
            each.push((customer, rows.iter().map(session).collect::<Result<_>>()?));
        }
        Ok(by_id(each, names, |customer, sessions| SessionCustomer { customer, sessions }))
    }
}

impl Listed {
    fn of(number: u64, times: &[Micros], touchpoints: &[u32]) -> Option<Self> {
        let (&begin, &end, events) = (times.first()?, times.last()?, times.len() as u64);
        Some(Self { number, begin, end, events, first: *touchpoints.first()?, last: *touchpoints.last()? })
    }
}

fn add_each(here: &mut Vec<u64>, there: &[u64]) {
    here.resize(here.len().max(there.len()), 0);
    here.iter_mut().zip(there).for_each(|(here, there)| *here += there);
}
