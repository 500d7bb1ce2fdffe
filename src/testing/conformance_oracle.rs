//! Conformance, move by move from each customer's story.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::story::{Stories, Told};
use crate::{
    Conformance, ConformanceCustomer, ConformanceReport, CustomerDeviation, Deviation, DeviationKind, DeviationTotal,
    Event, JourneyModel, Rate, Scope,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    model: Option<JourneyModel>,
    entries: Option<Vec<String>>,
    #[serde(default)]
    customers: bool,
}

/// The stages that a story enters, one after another, each with when.
fn entered(story: &[Told<'_>]) -> Vec<(usize, i64)> {
    let mut entered: Vec<(usize, i64)> = story.iter().filter_map(|told| Some((told.stage?, told.at))).collect();
    entered.dedup_by_key(|(stage, _)| *stage);
    entered
}

/// The moves that a model names.
fn moves(model: &JourneyModel) -> Option<Vec<(String, String)>> {
    let said: Value = serde_json::to_value(model).unwrap();
    serde_json::from_value(said.get("moves")?.clone()).unwrap()
}

/// What the report of [`Conformance`] must say.
pub fn conformance(events: &[Event], plan: &Conformance, model: &JourneyModel, scope: &Scope) -> ConformanceReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    // The scope's filter speaks of the question's model; of what it leaves, the plan's own model reads the stages.
    let in_scope = Stories::of(events, model, scope);
    let mut left: Vec<&Told<'_>> = in_scope.by_customer.values().flatten().collect();
    left.sort_by_key(|told| told.seq);
    let left: Vec<Event> = left.into_iter().map(|told| told.event.clone()).collect();
    let model = said.model.as_ref().unwrap_or(model);
    let stories = Stories::of(&left, model, &Scope::all());
    let names = model.stages();
    let entries: Vec<usize> =
        said.entries.map_or(vec![0], |all| all.iter().map(|name| model.position(name).unwrap()).collect());
    let named = moves(model);
    let is_allowed = |from: usize, to: usize| match &named {
        Some(moves) => moves.iter().any(|(a, b)| model.position(a) == Some(from) && model.position(b) == Some(to)),
        None => to == from + 1,
    };
    let mut listed = Vec::new();
    for (customer, story) in &stories.by_customer {
        let stages = entered(story);
        let Some(&(first, since)) = stages.first() else { continue };
        if !in_scope.counts(since) {
            continue;
        }
        let mut deviations = Vec::new();
        let mut note = |kind, from: Option<usize>, to: usize, at: i64| {
            let at = crate::Micros(at).to_datetime();
            deviations.push(CustomerDeviation {
                kind,
                from: from.map(|from| names[from].clone()),
                to: names[to].clone(),
                at,
            });
        };
        if !entries.contains(&first) {
            let before_all = entries.iter().all(|entry| first < *entry);
            note(if before_all { DeviationKind::Unexpected } else { DeviationKind::Skipped }, None, first, since);
        }
        for place in 1..stages.len() {
            let ((from, _), (to, at)) = (stages[place - 1], stages[place]);
            if is_allowed(from, to) {
                continue;
            }
            let been = stages[..place].iter().any(|(stage, _)| *stage == to);
            let kind = match (been, to < from, to == from + 1) {
                (true, _, _) => DeviationKind::Repeated,
                (false, true, _) => DeviationKind::OutOfOrder,
                (false, false, true) => DeviationKind::Unexpected,
                (false, false, false) => DeviationKind::Skipped,
            };
            note(kind, Some(from), to, at);
        }
        let is_last = stages.last().is_some_and(|(stage, _)| stage + 1 == names.len());
        let completed = deviations.is_empty() && is_last;
        let moves = stages.len() as u64 - 1;
        listed.push(ConformanceCustomer { customer: customer.clone(), completed, moves, deviations });
    }
    let customers = listed.len() as u64;
    let having = |wanted: &dyn Fn(&CustomerDeviation) -> bool| {
        let some = listed.iter().filter(|one| one.deviations.iter().any(wanted)).count() as u64;
        let count = listed.iter().flat_map(|one| &one.deviations).filter(|one| wanted(one)).count() as u64;
        (count, Rate::new(some, customers))
    };
    let all_kinds =
        [DeviationKind::Skipped, DeviationKind::Repeated, DeviationKind::OutOfOrder, DeviationKind::Unexpected];
    let total = |kind: DeviationKind| {
        let (count, customers) = having(&|one| one.kind == kind);
        DeviationTotal { kind, count, customers }
    };
    let place = |name: &crate::StageName| model.position(name.as_str());
    let distinct: BTreeMap<_, _> = listed
        .iter()
        .flat_map(|one| &one.deviations)
        .map(|one| ((one.from.as_ref().map(place), place(&one.to), one.kind), (one.from.clone(), one.to.clone())))
        .collect();
    let mut deviations: Vec<Deviation> = distinct
        .into_iter()
        .map(|((_, _, kind), (from, to))| {
            let (count, customers) = having(&|one| one.kind == kind && one.from == from && one.to == to);
            Deviation { kind, from, to, count, customers }
        })
        .collect();
    deviations.sort_by_key(|one| std::cmp::Reverse((one.customers.some, one.count)));
    assert_eq!(listed.iter().map(|one| &one.customer).collect::<BTreeSet<_>>().len() as u64, customers);
    ConformanceReport {
        model: model.name().to_owned(),
        model_version: model.version(),
        customers,
        fits: Rate::new(listed.iter().filter(|one| one.deviations.is_empty()).count() as u64, customers),
        completed: Rate::new(listed.iter().filter(|one| one.completed).count() as u64, customers),
        moves: listed.iter().map(|one| one.moves).sum(),
        by_kind: all_kinds.into_iter().map(total).collect(),
        deviations,
        listed: said.customers.then_some(listed),
    }
}
