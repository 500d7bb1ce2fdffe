//! What a scope sees of a world: one story for each customer, each event with the stage it bears.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{conditions::holds, segment_oracle::in_segment};
use crate::{Condition, CustomerId, DurationSummary, Event, JourneyModel, Nth, Scope, Segment, Seq, TimeBin};

/// One event of a story.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) seq: u64,
    /// Microseconds since 1970.
    pub(super) at: i64,
    pub(super) event: &'a Event,
    /// The place of the stage it bears.
    pub(super) stage: Option<usize>,
}

/// What a scope sees.
#[derive(Debug)]
pub(super) struct Stories<'a> {
    pub(super) by_customer: BTreeMap<CustomerId, Vec<Told<'a>>>,
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    /// The end of observation.
    pub(super) end: i64,
}

/// A scope as its JSON says it.
#[derive(Deserialize)]
struct Said {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    as_of: Option<DateTime<Utc>>,
    known_at: Option<u64>,
    filter: Option<Condition>,
    customers: Option<Vec<CustomerId>>,
    segment: Option<Segment>,
}

impl<'a> Stories<'a> {
    pub(super) fn of(events: &'a [Event], model: &JourneyModel, scope: &Scope) -> Self {
        Self::read(events, model, (model, scope))
    }

    /// The stages of what is seen are those of one model. What a scope sees is what it sees in every question: its filter and
    /// its segment are read in the model of the question.
    pub(super) fn read(
        events: &'a [Event],
        model: &JourneyModel,
        (of_question, scope): (&JourneyModel, &Scope),
    ) -> Self {
        let said: Said = serde_json::from_value(serde_json::to_value(scope).unwrap()).unwrap();
        let micros = |moment: DateTime<Utc>| moment.timestamp_micros();
        let mut log = in_log(events);
        log.retain(|told| said.known_at.is_none_or(|known| told.seq <= known));
        let last = log.iter().map(|told| told.at).max();
        let end = said.as_of.map(micros).or(last).unwrap_or(i64::MIN);
        log.retain(|told| told.at <= end);
        log.retain(|told| said.customers.as_ref().is_none_or(|ids| ids.contains(told.event.customer())));
        if let Some(filter) = &said.filter {
            let seen = stories(log, of_question).into_values().flatten();
            log = seen.filter(|told| holds(filter, told.event, told.stage, of_question)).collect();
        }
        let mut by_customer = stories(log, model);
        if let Some(segment) = &said.segment {
            let members = in_segment(events, segment, of_question, scope);
            by_customer.retain(|customer, _| members.contains(customer));
        }
        Self { by_customer, from: said.from.map(micros), to: said.to.map(micros), end }
    }

    /// Whether an entry at this moment counts.
    pub(super) fn counts(&self, at: i64) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// The events with their sequences, without those whose id came before.
fn in_log(events: &[Event]) -> Vec<Told<'_>> {
    let mut ids = BTreeSet::new();
    let fresh = events.iter().filter(|event| event.id().is_none_or(|id| ids.insert(id.as_str())));
    fresh
        .zip(1..)
        .map(|(event, seq)| Told { seq, at: event.occurred_at().timestamp_micros(), event, stage: None })
        .collect()
}

fn stories<'a>(events: Vec<Told<'a>>, model: &JourneyModel) -> BTreeMap<CustomerId, Vec<Told<'a>>> {
    let mut by_customer: BTreeMap<CustomerId, Vec<Told<'a>>> = BTreeMap::new();
    for told in events {
        by_customer.entry(told.event.customer().clone()).or_default().push(told);
    }
    for story in by_customer.values_mut() {
        story.sort_by_key(|told| (told.at, told.seq));
        for place in 0..story.len() {
            story[place].stage = stage_of(story, place, model);
        }
    }
    by_customer
}

/// The stage that an event of a story bears: its own, if the model has it; else that of the first rule that holds.
fn stage_of(story: &[Told<'_>], place: usize, model: &JourneyModel) -> Option<usize> {
    let own = story[place].event.stage().and_then(|stage| model.position(stage.as_str()));
    let by_rule = || {
        let rule = model.rules().iter().find(|rule| {
            let is = |told: &Told<'_>| holds(&rule.when, told.event, None, model);
            let count = story[..=place].iter().filter(|told| is(told)).count();
            is(&story[place])
                && match rule.nth {
                    None => true,
                    Some(Nth::Only(nth)) => count == nth as usize,
                    Some(Nth::From { from }) => count >= from as usize,
                }
        });
        model.position(rule?.stage.as_str())
    };
    own.or_else(by_rule)
}

/// The events that a scope sees, by their places in the log.
pub fn seen(events: &[Event], model: &JourneyModel, scope: &Scope) -> Vec<Seq> {
    let mut seqs: Vec<Seq> =
        Stories::of(events, model, scope).by_customer.values().flatten().map(|told| Seq(told.seq)).collect();
    seqs.sort_unstable();
    seqs
}

/// The events that a scope sees and for which a condition holds, by their places in the log.
pub fn holding(condition: &Condition, events: &[Event], model: &JourneyModel, scope: &Scope) -> Vec<Seq> {
    let stories = Stories::of(events, model, scope);
    let held = stories.by_customer.values().flatten().filter(|told| holds(condition, told.event, told.stage, model));
    let mut seqs: Vec<Seq> = held.map(|told| Seq(told.seq)).collect();
    seqs.sort_unstable();
    seqs
}

/// Lengths of time in microseconds, in short.
pub(super) fn summary(mut lengths: Vec<i128>) -> Option<DurationSummary> {
    lengths.sort_unstable();
    let count = lengths.len();
    // The first length that at least a share of q tenths of all do not exceed.
    let quantile = |tenths: usize| {
        let found = lengths.iter().enumerate().find(|(i, _)| (i + 1) * 10 >= tenths * count);
        found.map_or(0.0, |(_, length)| *length as f64 / 1e6)
    };
    Some(DurationSummary {
        count: count as u64,
        mean: lengths.iter().sum::<i128>() as f64 / count as f64 / 1e6,
        median: quantile(5),
        p90: quantile(9),
        max: *lengths.last()? as f64 / 1e6,
        relative_error: 0.0,
    })
}

/// Where the spans of a histogram begin, in seconds.
pub(super) fn edges() -> Vec<u64> {
    let minutes = [1, 5, 15, 30, 60, 180, 360, 720].map(|minutes| minutes * 60);
    let days = [1, 2, 3, 7, 14, 30, 60, 90, 180, 365].map(|days| days * 86_400);
    [0, 1, 10].into_iter().chain(minutes).chain(days).collect()
}

/// How many lengths of time, in microseconds, lie in each span of a histogram.
pub(super) fn histogram(lengths: &[i128]) -> Vec<TimeBin> {
    let edges = edges();
    let bin = |(place, &from): (usize, &u64)| {
        let to = edges.get(place + 1).copied();
        let is_in = |seconds: i128| seconds >= from.into() && to.is_none_or(|to| seconds < to.into());
        let count = lengths.iter().filter(|length| is_in(**length / 1_000_000)).count() as u64;
        TimeBin { from, to, count }
    };
    edges.iter().enumerate().map(bin).filter(|bin| bin.count > 0).collect()
}
