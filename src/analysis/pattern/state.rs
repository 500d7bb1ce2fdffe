//! The matches of a pattern, counted.

use serde::{Deserialize, Serialize};

use super::{
    PatternCustomer, PatternEvent, PatternMatch, PatternMatches, PatternReport,
    search::{Found, Program, Room},
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Durations, Matches, Rate},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, Names},
    model::{Micros, Seq},
};

/// A pattern bound to a store.
#[derive(Debug)]
pub struct BoundPattern {
    program: Program,
    events: Matches,
    lists_customers: bool,
    scope: BoundScope,
}

impl Analysis for PatternMatches {
    type Bound = BoundPattern;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundPattern, InvalidPlan> {
        if self.customers {
            binder.need_seqs();
        }
        let (program, conditions) = Program::of(&self.pattern);
        let scope = binder.scope().clone();
        // Who counts in a range is seen from their other events too.
        let events = if program.needs_every_event() || !scope.counts_all() {
            binder.matches_and_others(&conditions)?
        } else {
            binder.matches(&conditions)?
        };
        Ok(BoundPattern { program, events, lists_customers: self.customers, scope })
    }
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PatternState {
    customers: u64,
    started: u64,
    matched: u64,
    matches: u64,
    lengths: Durations,
    listed: Vec<Listed>,
    /// So many events are listed.
    events: usize,
    #[serde(skip)]
    room: Room,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    started: bool,
    /// Of each match the steps, places in the log and times of its events.
    matches: Vec<Vec<(usize, u64, Micros)>>,
}

/// The events of a match, as they are listed.
fn served(found: &Found, events: &Matched<'_>, journey: &Journey<'_>) -> Vec<(usize, u64, Micros)> {
    let event = |&(place, step): &(usize, usize)| {
        let seq = events.event(place).and_then(|event| journey.seq(event)).map_or(0, Seq::get);
        Some((step + 1, seq, *events.times.get(place)?))
    };
    found.events.iter().filter_map(event).collect()
}

impl Bound for BoundPattern {
    type State = PatternState;
    type Report = PatternReport;

    fn start(&self) -> PatternState {
        PatternState::default()
    }

    fn visit(&self, state: &mut PatternState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        let counts = |at: Micros| self.scope.counts(at);
        if !self.scope.counts_all() && !events.times.iter().any(|at| counts(*at)) {
            return;
        }
        state.customers += 1;
        let mut pairs = events.times.iter().zip(events.words);
        let started = pairs.any(|(at, word)| self.program.may_begin(*word) && counts(*at));
        state.started += u64::from(started);
        let PatternState { room, lengths, .. } = state;
        let (mut count, mut matches) = (0, Vec::new());
        if started {
            self.program.search(events.times, events.words, counts, self.lists_customers, room, |found| {
                count += 1;
                if let (Some(first), Some(last)) = (events.times.get(found.first), events.times.get(found.last)) {
                    lengths.add_between(*first, *last);
                }
                if self.lists_customers {
                    matches.push(served(&found, &events, journey));
                }
            });
        }
        state.matched += u64::from(count > 0);
        state.matches += count;
        if self.lists_customers {
            state.events += matches.iter().map(Vec::len).sum::<usize>();
            state.listed.push(Listed { customer: journey.customer(), started, matches });
        }
    }

    fn merge(&self, state: &mut PatternState, other: PatternState) {
        state.customers += other.customers;
        state.started += other.started;
        state.matched += other.matched;
        state.matches += other.matches;
        state.lengths.merge(other.lengths);
        state.listed.extend(other.listed);
        state.events += other.events;
    }

    fn size(&self, state: &PatternState) -> usize {
        let lists = if self.lists_customers { usize::try_from(state.matches).unwrap_or(usize::MAX) } else { 0 };
        let events = state.events.saturating_mul(size_of::<(usize, u64, Micros)>());
        let lists = lists.saturating_mul(size_of::<Vec<u64>>()).saturating_add(events);
        lists.saturating_add(state.listed.len() * size_of::<Listed>()).saturating_add(state.lengths.size())
    }

    fn finish(&self, state: PatternState, names: &Names) -> Result<PatternReport> {
        Ok(PatternReport {
            customers: state.customers,
            matched: Rate::new(state.matched, state.customers),
            of_started: Rate::new(state.matched, state.started),
            matches: state.matches,
            duration: state.lengths.summary(),
            histogram: state.lengths.histogram(),
            listed: self.lists_customers.then(|| listed(state.listed, names)),
        })
    }
}

/// The customers by id.
fn listed(customers: Vec<Listed>, names: &Names) -> Vec<PatternCustomer> {
    let event =
        |(step, seq, at): (usize, u64, Micros)| PatternEvent { step, seq: Seq(seq), occurred_at: at.to_datetime() };
    let one = |events: Vec<_>| PatternMatch { events: events.into_iter().map(event).collect() };
    let mut listed = Vec::with_capacity(customers.len());
    for Listed { customer, started, matches } in customers {
        let Some(customer) = names.customer_id(customer) else { continue };
        listed.push(PatternCustomer { customer, started, matches: matches.into_iter().map(one).collect() });
    }
    listed.sort_unstable_by(|a, b| a.customer.cmp(&b.customer));
    listed
}
