//! Conformance to a pattern bound to a store: what is counted while visiting, and how it becomes a report.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{
    CustomerStepDeviation, DesignedStep, PatternConformance, PatternConformanceCustomer, PatternConformanceReport,
    StepDeviation,
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, DeviationKind, DeviationTotal, Matches, Rate, listed::by_id},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Condition, Micros},
};

impl Analysis for PatternConformance {
    type Bound = BoundPatternConformance;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundPatternConformance, InvalidPlan> {
        let steps = self.pattern.steps.iter().map(|step| step.when.clone());
        let conditions: Vec<Condition> = steps.chain(self.unexpected.clone()).collect();
        let events = binder.matches(&conditions)?;
        let steps = self.pattern.steps.len();
        Ok(BoundPatternConformance { steps, events, lists_customers: self.customers, scope: binder.scope().clone() })
    }
}

/// Conformance to a pattern, bound to a store.
#[derive(Debug)]
pub struct BoundPatternConformance {
    steps: usize,
    events: Matches,
    lists_customers: bool,
    scope: BoundScope,
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PatternConformanceState {
    customers: u64,
    fits: u64,
    completed: u64,
    /// Of each step how many customers have an event that serves it.
    served: Vec<u64>,
    /// For each kind of deviation whose journeys have it.
    by_kind: [u64; 4],
    /// For each step and kind: how often, and how many customers. What is unexpected stands behind the last step.
    cells: Vec<(u64, u64)>,
    listed: Vec<(CustomerNo, Listed)>,
    /// So many deviations are listed.
    deviations: usize,
    #[serde(skip)]
    room: Room,
}

/// A deviation: its cell, and when it was.
type Deviating = (usize, Micros);

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    /// A bit for each step that is served.
    served: u64,
    deviations: Vec<Deviating>,
}

/// Room for one journey.
#[derive(Debug, Default)]
struct Room {
    /// For each step and number: the last event from which on so many of the steps from this one on can be served.
    latest: Vec<Option<usize>>,
    /// Which event serves each step.
    serving: Vec<Option<usize>>,
    /// How often each deviation occurs, by its cell.
    counts: Vec<u64>,
    /// When, if customers are listed.
    deviations: Vec<Deviating>,
}

impl Room {
    /// Aligns the events of a journey, by the steps whose conditions they meet, with the steps.
    fn align(&mut self, words: &[u64], steps: usize) {
        let width = steps + 1;
        let place = |step: usize, number: usize| step * width + number;
        let serves = |word: &u64, step: usize| word >> step & 1 == 1;
        self.latest.clear();
        self.latest.resize(width * width, None);
        for step in (0..=steps).rev() {
            self.latest.get_mut(place(step, 0)).into_iter().for_each(|latest| *latest = Some(words.len()));
            // What is looked for only ever moves back.
            let mut serving = Some(words.len());
            for number in 1..=steps - step {
                let after = self.latest(place(step + 1, number - 1));
                serving = serving.zip(after).and_then(|(serving, after)| {
                    let before = words.get(..after).unwrap_or_default();
                    if serving < after { Some(serving) } else { before.iter().rposition(|word| serves(word, step)) }
                });
                let latest = serving.max(self.latest(place(step + 1, number)));
                self.latest.get_mut(place(step, number)).into_iter().for_each(|here| *here = latest);
            }
        }
        self.serving.clear();
        let mut from = 0;
        for step in 0..steps {
            let most = (1..=steps - step).rfind(|number| self.latest(place(step, *number)) >= Some(from));
            let after = most.and_then(|most| self.latest(place(step + 1, most - 1)));
            let serving = after.and_then(|after| {
                let found = words.get(from..after)?.iter().position(|word| serves(word, step))?;
                Some(from + found)
            });
            from = serving.map_or(from, |event| event + 1);
            self.serving.push(serving);
        }
    }

    fn latest(&self, place: usize) -> Option<usize> {
        self.latest.get(place).copied().flatten()
    }
}

const KINDS: usize = 4;

impl BoundPatternConformance {
    fn cell(step: usize, kind: DeviationKind) -> usize {
        step * KINDS + kind as usize
    }

    /// What a cell is about.
    fn of_cell(&self, cell: usize) -> Option<(DeviationKind, Option<u64>)> {
        let (step, kind) = (cell / KINDS, cell % KINDS);
        Some((*DeviationKind::ALL.get(kind)?, (step < self.steps).then_some(step as u64 + 1)))
    }

    /// Finds the deviations of a journey whose events are aligned.
    fn find(&self, room: &mut Room, times: &[Micros], words: &[u64]) {
        let Room { serving: served, counts, deviations, .. } = room;
        deviations.clear();
        counts.clear();
        counts.resize((self.steps + 1) * KINDS, 0);
        let mut note = |cell: usize, at: Micros| {
            counts.get_mut(cell).into_iter().for_each(|count| *count += 1);
            if self.lists_customers {
                deviations.push((cell, at));
            }
        };
        let is_served_before =
            |step: usize, event: usize| served.get(step).is_some_and(|by| by.is_some_and(|by| by < event));
        let mut out_of_order = 0_u64;
        let mut serving = served.iter().flatten().peekable();
        for (event, (&at, &word)) in times.iter().zip(words).enumerate() {
            if serving.next_if(|one| **one == event).is_some() {
                continue;
            }
            let mut of_event = (0..self.steps).filter(|step| word >> step & 1 == 1);
            let first = of_event.clone().next();
            let cell = match (of_event.find(|step| is_served_before(*step, event)), first) {
                (Some(step), _) => Self::cell(step, DeviationKind::Repeated),
                (None, Some(step)) => {
                    out_of_order |= 1 << step;
                    Self::cell(step, DeviationKind::OutOfOrder)
                }
                (None, None) => Self::cell(self.steps, DeviationKind::Unexpected),
            };
            note(cell, at);
        }
        // From the last step on, so that it is known which one is served next.
        let mut next = None;
        for step in (0..self.steps).rev() {
            match (served.get(step).copied().flatten(), next) {
                (Some(event), _) => next = times.get(event).copied(),
                (None, Some(at)) if out_of_order >> step & 1 == 0 => {
                    note(Self::cell(step, DeviationKind::Skipped), at);
                }
                _ => {}
            }
        }
    }
}

impl Bound for BoundPatternConformance {
    type State = PatternConformanceState;
    type Report = PatternConformanceReport;

    fn start(&self) -> PatternConformanceState {
        PatternConformanceState {
            served: vec![0; self.steps],
            cells: vec![(0, 0); (self.steps + 1) * KINDS],
            ..PatternConformanceState::default()
        }
    }

    fn visit(&self, state: &mut PatternConformanceState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        let of_steps = (1_u64 << self.steps) - 1;
        let Some(begin) = events.words.iter().position(|word| word & of_steps != 0) else { return };
        let times = events.times.get(begin..).unwrap_or_default();
        let words = events.words.get(begin..).unwrap_or_default();
        if !times.first().is_some_and(|at| self.scope.counts(*at)) {
            return;
        }
        let room = &mut state.room;
        room.align(words, self.steps);
        self.find(room, times, words);
        let fits = room.counts.iter().all(|count| *count == 0);
        state.customers += 1;
        state.fits += u64::from(fits);
        state.completed += u64::from(fits && room.serving.iter().all(Option::is_some));
        state.served.iter_mut().zip(&room.serving).for_each(|(count, serving)| *count += u64::from(serving.is_some()));
        if self.lists_customers {
            let mut deviations = room.deviations.clone();
            deviations.sort_unstable_by_key(|&(cell, at)| (at, cell));
            state.deviations += deviations.len();
            let served = room.serving.iter().enumerate().filter(|(_, serving)| serving.is_some());
            let served = served.fold(0, |served, (step, _)| served | 1 << step);
            state.listed.push((journey.customer(), Listed { served, deviations }));
        }
        let mut kinds = [false; KINDS];
        for (cell, &often) in room.counts.iter().enumerate().filter(|(_, often)| **often > 0) {
            if let Some((count, customers)) = state.cells.get_mut(cell) {
                *count += often;
                *customers += 1;
            }
            kinds.get_mut(cell % KINDS).into_iter().for_each(|kind| *kind = true);
        }
        state.by_kind.iter_mut().zip(kinds).for_each(|(count, has)| *count += u64::from(has));
    }

    fn merge(&self, state: &mut PatternConformanceState, other: PatternConformanceState) {
        state.customers += other.customers;
        state.fits += other.fits;
        state.completed += other.completed;
        state.served.iter_mut().zip(other.served).for_each(|(here, there)| *here += there);
        state.by_kind.iter_mut().zip(other.by_kind).for_each(|(here, there)| *here += there);
        for ((count, customers), (more, others)) in state.cells.iter_mut().zip(other.cells) {
            *count += more;
            *customers += others;
        }
        state.listed.extend(other.listed);
        state.deviations += other.deviations;
    }

    fn size(&self, state: &PatternConformanceState) -> usize {
        let listed = state.listed.len() * size_of::<(CustomerNo, Listed)>();
        let deviations = (state.deviations + state.room.deviations.capacity()) * size_of::<Deviating>();
        let room = (state.room.latest.capacity() + state.room.serving.capacity()) * size_of::<Option<usize>>();
        let room = room + state.room.counts.capacity() * 8;
        state.cells.len() * 16 + state.served.len() * 8 + room + listed + deviations
    }

    fn finish(&self, state: PatternConformanceState, names: &Names) -> Result<PatternConformanceReport> {
        let of_all = |some: u64| Rate::new(some, state.customers);
        let mut by_kind: Vec<DeviationTotal> = DeviationKind::ALL
            .into_iter()
            .zip(state.by_kind)
            .map(|(kind, customers)| DeviationTotal { kind, count: 0, customers: of_all(customers) })
            .collect();
        let mut deviations = Vec::new();
        for (cell, &(count, customers)) in state.cells.iter().enumerate().filter(|(_, (count, _))| *count > 0) {
            let Some((kind, step)) = self.of_cell(cell) else { continue };
            by_kind.iter_mut().filter(|total| total.kind == kind).for_each(|total| total.count += count);
            deviations.push(StepDeviation { kind, step, count, customers: of_all(customers) });
        }
        // The sort is stable: equals stay in the order of steps and kinds.
        deviations.sort_by_key(|one| (Reverse(one.customers.some), Reverse(one.count)));
        let steps = (1..).zip(&state.served).map(|(step, &served)| DesignedStep { step, served: of_all(served) });
        let steps = steps.collect();
        let listed = |customer, found: Listed| {
            let deviation = |&(cell, at): &Deviating| {
                let (kind, step) = self.of_cell(cell)?;
                Some(CustomerStepDeviation { kind, step, at: at.to_datetime() })
            };
            let served: Vec<u64> =
                (0..self.steps).filter(|step| found.served >> step & 1 == 1).map(|step| step as u64 + 1).collect();
            PatternConformanceCustomer {
                customer,
                completed: found.deviations.is_empty() && served.len() == self.steps,
                served,
                deviations: found.deviations.iter().filter_map(deviation).collect(),
            }
        };
        Ok(PatternConformanceReport {
            customers: state.customers,
            fits: of_all(state.fits),
            completed: of_all(state.completed),
            steps,
            by_kind,
            deviations,
            listed: self.lists_customers.then(|| by_id(state.listed, names, listed)),
        })
    }
}
