//! Transitions and stages, read off each customer's story.

use chrono::TimeDelta;

use super::{
    calendar::{end_of, moment, start_of},
    story::{Stories, Told, summary},
};
use crate::{
    CustomerMove, Event, JourneyModel, MoveKind, Period, Rate, Scope, StageCount, StageCountsReport, StageCustomer,
    StageMoment, StageTotal, StageVisit, TransitionCell, TransitionCustomer, TransitionsReport,
};

/// The current stage after the events up to a moment, and since when: the first event of the unbroken run of
/// stage-bearing events with that stage.
fn current(story: &[Told<'_>], until: impl Fn(i64) -> bool) -> Option<(usize, i64)> {
    let bearing: Vec<(usize, i64)> =
        story.iter().filter(|told| until(told.at)).filter_map(|told| Some((told.stage?, told.at))).collect();
    let &(stage, _) = bearing.last()?;
    bearing.iter().rev().take_while(|(other, _)| *other == stage).last().copied()
}

/// A transition of a story.
struct Move {
    from: Option<usize>,
    to: usize,
    at: i64,
    dwell: Option<i128>,
}

fn moves(story: &[Told<'_>]) -> Vec<Move> {
    let mut found = Vec::new();
    for (place, told) in story.iter().enumerate() {
        let Some(to) = told.stage else { continue };
        let before = current(&story[..place], |_| true);
        if before.is_none_or(|(stage, _)| stage != to) {
            let dwell = before.map(|(_, since)| i128::from(told.at) - i128::from(since));
            found.push(Move { from: before.map(|(stage, _)| stage), to, at: told.at, dwell });
        }
    }
    found
}

/// What the report of [`Transitions`](crate::Transitions) of a model must say, with the customers listed, of a question's model
/// and scope.
pub fn transitions(
    events: &[Event],
    model: &JourneyModel,
    (of_question, scope): (&JourneyModel, &Scope),
) -> TransitionsReport {
    let stories = Stories::read(events, model, (of_question, scope));
    let all: Vec<Vec<Move>> = stories
        .by_customer
        .values()
        .map(|story| moves(story).into_iter().filter(|m| stories.counts(m.at)).collect())
        .collect();
    let count = |wanted: &dyn Fn(&Move) -> bool| all.iter().flatten().filter(|m| wanted(m)).count() as u64;
    // Before the range, and by its end.
    let before = |at: i64| stories.from.is_some_and(|from| at < from);
    let by_end = |at: i64| stories.to.is_none_or(|to| at < to);
    let here = |stage: usize, until: &dyn Fn(i64) -> bool| {
        stories.by_customer.values().filter(|story| current(story, until).is_some_and(|(s, _)| s == stage)).count()
            as u64
    };
    let names = model.stages();
    let stages: Vec<StageTotal> = (0..names.len())
        .map(|stage| StageTotal {
            stage: names[stage].clone(),
            here_before: here(stage, &before),
            arrivals: count(&|m| m.to == stage),
            departures: count(&|m| m.from == Some(stage)),
            here_now: here(stage, &by_end),
        })
        .collect();
    let kind = |from: Option<usize>, to: usize| match from {
        None => MoveKind::Entry,
        Some(from) if to == from + 1 => MoveKind::Advance,
        Some(from) if to > from => MoveKind::Skip,
        Some(_) => MoveKind::Regression,
    };
    let mut cells = Vec::new();
    for from in std::iter::once(None).chain((0..names.len()).map(Some)) {
        for to in (0..names.len()).filter(|&to| from != Some(to)) {
            let is = |m: &Move| m.from == from && m.to == to;
            let total = from.map_or(count(&|m| m.from.is_none()), |from| {
                assert_eq!(
                    stages[from].here_before + stages[from].arrivals,
                    stages[from].departures + stages[from].here_now,
                    "the totals of a stage reconcile"
                );
                stages[from].departures + stages[from].here_now
            });
            cells.push(TransitionCell {
                from: from.map(|from| names[from].clone()),
                to: names[to].clone(),
                kind: kind(from, to),
                allowed: from.is_none_or(|from| model.allows(from, to)),
                count: count(&is),
                customers: all.iter().filter(|moves| moves.iter().any(is)).count() as u64,
                share: Rate::new(count(&is), total),
                dwell: summary(all.iter().flatten().filter(|m| is(m)).filter_map(|m| m.dwell).collect()),
            });
        }
    }
    let of_kind = |wanted: MoveKind| count(&|m| kind(m.from, m.to) == wanted);
    let customer_move = |m: &Move| CustomerMove {
        from: m.from.map(|from| names[from].clone()),
        to: names[m.to].clone(),
        at: moment(m.at),
        kind: kind(m.from, m.to),
        dwell: m.dwell.map(length),
    };
    let stage =
        |story: &[Told<'_>], until: &dyn Fn(i64) -> bool| current(story, until).map(|(stage, _)| names[stage].clone());
    let here = stories.by_customer.iter().zip(&all);
    let here = here.filter(|((_, story), _)| current(story, by_end).is_some());
    let listed = here.map(|((customer, story), moves)| TransitionCustomer {
        customer: customer.clone(),
        here_before: stage(story, &before),
        here_now: stage(story, &by_end),
        moves: moves.iter().map(customer_move).collect(),
    });
    let listed = Some(listed.collect());
    TransitionsReport {
        model: model.name().to_owned(),
        model_version: model.version(),
        customers: stories.by_customer.values().filter(|story| current(story, by_end).is_some()).count() as u64,
        entries: of_kind(MoveKind::Entry),
        advances: of_kind(MoveKind::Advance),
        skips: of_kind(MoveKind::Skip),
        regressions: of_kind(MoveKind::Regression),
        stages,
        cells,
        listed,
    }
}

/// A length that may not fit 64 bits of microseconds.
fn length(micros: i128) -> TimeDelta {
    let seconds = TimeDelta::seconds(i64::try_from(micros.div_euclid(1_000_000)).unwrap());
    seconds + TimeDelta::microseconds(i64::try_from(micros.rem_euclid(1_000_000)).unwrap())
}

/// What the report of [`StageCounts`](crate::StageCounts) of a model must say, of a question's model and scope: over time if a
/// period is given, with the customers listed. Not for worlds of extreme times.
pub fn stages(
    events: &[Event],
    model: &JourneyModel,
    every: Option<Period>,
    (of_question, scope): (&JourneyModel, &Scope),
) -> StageCountsReport {
    let stories = Stories::read(events, model, (of_question, scope));
    let in_stage = |stage: usize, until: &dyn Fn(i64) -> bool| {
        stories.by_customer.values().filter(|story| current(story, until).is_some_and(|(s, _)| s == stage)).count()
            as u64
    };
    let customers = stories.by_customer.len() as u64;
    let over_time = every.map(|period| {
        let bearing = stories.by_customer.values().flatten().filter(|told| told.stage.is_some());
        let mut moments = Vec::new();
        let mut next = bearing.map(|told| start_of(period, moment(told.at))).min();
        while let Some(start) = next.filter(|start| start.timestamp_micros() <= stories.end) {
            let end = end_of(period, start);
            next = Some(end);
            moments.push(StageMoment {
                period: start,
                finished: end.timestamp_micros() <= stories.end,
                customers: (0..model.stages().len())
                    .map(|stage| in_stage(stage, &|at| at < end.timestamp_micros()))
                    .collect(),
            });
        }
        moments
    });
    let visit = |m: &Move| StageVisit { stage: model.stages()[m.to].clone(), since: moment(m.at) };
    let listed = stories.by_customer.iter().map(|(customer, story)| {
        let stay = current(story, |_| true);
        StageCustomer {
            customer: customer.clone(),
            stage: stay.map(|(stage, _)| model.stages()[stage].clone()),
            since: stay.map(|(_, since)| moment(since)),
            visits: every.map(|_| moves(story).iter().map(visit).collect()),
        }
    });
    StageCountsReport {
        model: model.name().to_owned(),
        model_version: model.version(),
        stages: (0..model.stages().len())
            .map(|stage| StageCount {
                stage: model.stages()[stage].clone(),
                customers: in_stage(stage, &|_| true),
                share: Rate::new(in_stage(stage, &|_| true), customers),
            })
            .collect(),
        without_stage: stories.by_customer.values().filter(|story| current(story, |_| true).is_none()).count() as u64,
        every,
        over_time,
        customers: Some(listed.collect()),
    }
}
