//! Conformance to a pattern, by all ways in which events can be put to its steps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    calendar::moment,
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    Condition, CustomerStepDeviation, DesignedStep, DeviationKind, DeviationTotal, Event, JourneyModel,
    PatternConformance, PatternConformanceCustomer, PatternConformanceReport, Rate, Scope, StepDeviation,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    steps: Vec<Value>,
    unexpected: Option<Condition>,
    #[serde(default)]
    customers: bool,
}

/// Of each step which event serves it, in every way there is.
fn ways(meets: &[Vec<bool>], step: usize, from: usize) -> Vec<Vec<Option<usize>>> {
    let steps = meets.first().map_or(0, Vec::len);
    if step == steps {
        return vec![Vec::new()];
    }
    let serving = (from..meets.len()).filter(|event| meets[*event][step]).map(Some);
    let mut all = Vec::new();
    for serving in serving.chain([None]) {
        for rest in ways(meets, step + 1, serving.map_or(from, |event| event + 1)) {
            all.push([vec![serving], rest].concat());
        }
    }
    all
}

/// What the report of [`PatternConformance`] must say. It tries all ways: for short journeys and few steps.
pub fn pattern_conformance(
    events: &[Event],
    plan: &PatternConformance,
    model: &JourneyModel,
    scope: &Scope,
) -> PatternConformanceReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let steps: Vec<Condition> =
        said.steps.iter().map(|step| serde_json::from_value(step["when"].clone()).unwrap()).collect();
    let stories = Stories::of(events, model, scope);
    let meets = |told: &Told<'_>, condition: &Condition| holds(condition, told.event, told.stage, model);
    let mut listed = Vec::new();
    for (customer, story) in &stories.by_customer {
        let begin = story.iter().position(|told| steps.iter().any(|step| meets(told, step)));
        let Some(begin) = begin.filter(|begin| stories.counts(story[*begin].at)) else { continue };
        let of_steps: Vec<Vec<bool>> =
            story[begin..].iter().map(|told| steps.iter().map(|step| meets(told, step)).collect()).collect();
        // The most steps; then the first of them, by the earliest event.
        let key = |way: &Vec<Option<usize>>| {
            let count = way.iter().flatten().count();
            (std::cmp::Reverse(count), way.iter().map(|serving| serving.unwrap_or(usize::MAX)).collect::<Vec<_>>())
        };
        let way = ways(&of_steps, 0, 0).into_iter().min_by_key(key).unwrap();
        let mut deviations = Vec::new();
        let mut note = |kind, step: Option<usize>, at| {
            deviations.push(CustomerStepDeviation { kind, step: step.map(|step| step as u64 + 1), at: moment(at) });
        };
        let mut missed_by = vec![false; steps.len()];
        for (event, told) in story[begin..].iter().enumerate().filter(|(event, _)| !way.contains(&Some(*event))) {
            let its: Vec<usize> = (0..steps.len()).filter(|step| of_steps[event][*step]).collect();
            if let Some(step) = its.iter().find(|step| way[**step].is_some_and(|by| by < event)) {
                note(DeviationKind::Repeated, Some(*step), told.at);
            } else if let Some(step) = its.first() {
                missed_by[*step] = true;
                note(DeviationKind::OutOfOrder, Some(*step), told.at);
            } else if said.unexpected.as_ref().is_some_and(|unexpected| meets(told, unexpected)) {
                note(DeviationKind::Unexpected, None, told.at);
            }
        }
        for step in (0..steps.len()).filter(|step| way[*step].is_none() && !missed_by[*step]) {
            if let Some(next) = way[step..].iter().flatten().next() {
                note(DeviationKind::Skipped, Some(step), story[begin..][*next].at);
            }
        }
        deviations.sort_by_key(|one| (one.at, one.step.unwrap_or(u64::MAX), one.kind));
        listed.push(PatternConformanceCustomer {
            customer: customer.clone(),
            completed: deviations.is_empty() && way.iter().all(Option::is_some),
            served: (1..).zip(&way).filter(|(_, serving)| serving.is_some()).map(|(step, _)| step).collect(),
            deviations,
        });
    }
    let all = listed.len() as u64;
    let mut found: BTreeMap<(u64, DeviationKind), u64> = BTreeMap::new();
    for one in &listed {
        for deviation in &one.deviations {
            *found.entry((deviation.step.unwrap_or(u64::MAX), deviation.kind)).or_default() += 1;
        }
    }
    let customers = |wanted: &dyn Fn(&CustomerStepDeviation) -> bool| {
        Rate::new(listed.iter().filter(|one| one.deviations.iter().any(wanted)).count() as u64, all)
    };
    let mut deviations: Vec<StepDeviation> = found
        .iter()
        .map(|(&(step, kind), &count)| {
            let step = (step < u64::MAX).then_some(step);
            let customers = customers(&|one| (one.step, one.kind) == (step, kind));
            StepDeviation { kind, step, count, customers }
        })
        .collect();
    // The sort is stable: equals stay in the order of steps and kinds.
    deviations.sort_by_key(|one| std::cmp::Reverse((one.customers.some, one.count)));
    let kinds = [DeviationKind::Skipped, DeviationKind::Repeated, DeviationKind::OutOfOrder, DeviationKind::Unexpected];
    let by_kind = kinds.map(|kind| DeviationTotal {
        kind,
        count: deviations.iter().filter(|one| one.kind == kind).map(|one| one.count).sum(),
        customers: customers(&|one| one.kind == kind),
    });
    let fits = listed.iter().filter(|one| one.deviations.is_empty()).count() as u64;
    PatternConformanceReport {
        customers: all,
        fits: Rate::new(fits, all),
        completed: Rate::new(listed.iter().filter(|one| one.completed).count() as u64, all),
        steps: (1..=steps.len() as u64)
            .map(|step| {
                let served = listed.iter().filter(|one| one.served.contains(&step)).count() as u64;
                DesignedStep { step, served: Rate::new(served, all) }
            })
            .collect(),
        by_kind: by_kind.into(),
        deviations,
        listed: said.customers.then_some(listed),
    }
}
