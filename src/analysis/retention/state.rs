//! Retention bound to a store: what is counted while visiting, and how it becomes a report.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
};

use serde::{Deserialize, Serialize};

use super::{
    CohortRetention, CohortRetentionReport, Cohorts, Criterion, RetentionAverage, RetentionCell, RetentionCohort,
    RetentionColumn, RetentionCustomer,
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Matches, Rate, amounts::Amounts},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, Names},
    model::{Currency, Micros, Periods},
};

const START: u64 = 1;
const RETURN: u64 = 2;

/// Retention bound to a store.
#[derive(Debug)]
pub struct BoundRetention {
    plan: CohortRetention,
    matches: Matches,
    scope: BoundScope,
}

impl Analysis for CohortRetention {
    type Bound = BoundRetention;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundRetention, InvalidPlan> {
        if self.value {
            binder.need_values();
        }
        let matches = binder.matches(&[self.start.clone(), self.returns.clone()])?;
        Ok(BoundRetention { plan: self.clone(), matches, scope: binder.scope().clone() })
    }
}

/// What is counted: for each cohort, by the start of its period.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RetentionState {
    cohorts: BTreeMap<Micros, CohortState>,
    customers: Vec<Listed>,
    #[serde(skip)]
    room: Room,
}

#[derive(Debug, Serialize, Deserialize)]
struct CohortState {
    /// The first and the last of its customers' starts.
    starts: (Micros, Micros),
    /// Column 0 first.
    cells: Vec<CellState>,
    /// Where its columns begin and end, if they are those of the calendar; empty if that is not worked out yet.
    #[serde(skip)]
    bounds: Vec<Micros>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CellState {
    customers: u64,
    value: Amounts,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    cohort: Micros,
    start: Micros,
    columns: Vec<u32>,
}

/// Room for one journey, and for looking periods up.
#[derive(Debug, Default)]
struct Room {
    periods: Periods,
    /// The cohorts of the customer, each with its first start.
    entries: Vec<(Micros, Micros)>,
    /// When they returned.
    returns: Vec<Micros>,
    /// The money of the first 0, 1, 2 .. returns.
    sums: Sums,
    /// The columns of one cohort in which they are counted.
    columns: Vec<u32>,
}

/// For each currency the money of the first 0, 1, 2 .. returns.
type Sums = BTreeMap<Currency, Vec<i128>>;

impl BoundRetention {
    /// Where the periods of a start end and begin: the end of period 0, then the plan's edges.
    fn bounds(&self, cohort: Micros, start: Micros, periods: &mut Periods) -> Vec<Micros> {
        let mut bounds = Vec::with_capacity(self.plan.edges.len() + 1);
        let edges = std::iter::once(1).chain(self.plan.edges.iter().copied());
        if let Some(length) = self.plan.elapsed {
            bounds.extend(edges.map(|edge| start.plus(length.times(edge))));
            return bounds;
        }
        let (mut bound, mut period) = (cohort, 0);
        for edge in edges {
            // Behind the last period there is none.
            while period < edge && bound != Micros::MAX {
                bound = periods.span_of(self.plan.period, bound).end;
                period += 1;
            }
            bounds.push(bound);
        }
        bounds
    }

    /// The cohorts in which a customer starts, each with their first start in it.
    fn find_entries(&self, events: &Matched<'_>, room: &mut Room) {
        room.entries.clear();
        let starts = events.times.iter().zip(events.words).filter(|(_, word)| **word & START != 0);
        let mut starts = starts.map(|(at, _)| *at);
        let mut enter = |at: Micros| {
            let cohort = room.periods.span_of(self.plan.period, at).start;
            if room.entries.last().is_none_or(|(last, _)| *last != cohort) {
                room.entries.push((cohort, at));
            }
        };
        match self.plan.cohorts {
            Cohorts::FirstEver => starts.next().filter(|at| self.scope.counts(*at)).into_iter().for_each(enter),
            Cohorts::Recurring => starts.filter(|at| self.scope.counts(*at)).for_each(&mut enter),
        }
    }

    fn find_returns(&self, journey: &Journey<'_>, events: &Matched<'_>, room: &mut Room) {
        room.returns.clear();
        room.sums.clear();
        for (place, (at, word)) in events.times.iter().zip(events.words).enumerate() {
            if word & RETURN == 0 {
                continue;
            }
            room.returns.push(*at);
            if !self.plan.value {
                continue;
            }
            if let Some((amount, currency)) = events.event(place).and_then(|event| journey.value(event)) {
                let sums = room.sums.entry(currency).or_default();
                let before = sums.last().copied().unwrap_or_default();
                sums.resize(room.returns.len(), before);
                sums.push(before.saturating_add(amount));
            }
        }
    }

    /// Which of a customer's returns lie in a column from 1 on; none of these lies before the place `from`.
    fn returns_of(&self, column: usize, bounds: &[Micros], returns: &[Micros], from: usize) -> Range<usize> {
        let up_to = |bound: Option<&Micros>| {
            let later = returns.get(from..).unwrap_or_default();
            from + bound.map_or(later.len(), |bound| later.partition_point(|at| at < bound))
        };
        let first = up_to(bounds.get(column));
        match self.plan.criterion {
            Criterion::OnOrAfter => first..returns.len(),
            _ => first..up_to(bounds.get(column + 1)),
        }
    }

    /// Adds the money from a start to the end of period 0: of starts and returns.
    fn add_first_value(cell: &mut CellState, journey: &Journey<'_>, events: &Matched<'_>, within: Range<Micros>) {
        let first = events.times.partition_point(|at| *at < within.start);
        let end = events.times.partition_point(|at| *at < within.end);
        for event in (first..end).filter_map(|place| events.event(place)) {
            if let Some((amount, currency)) = journey.value(event) {
                cell.value.add(amount, currency);
            }
        }
    }

    /// A cohort's cells, as far as their periods have begun.
    fn cells(&self, cohort: Micros, state: &CohortState, periods: &mut Periods) -> Result<Vec<RetentionCell>> {
        let (first, last) = state.starts;
        let begin = self.bounds(cohort, first, periods);
        let end = self.bounds(cohort, last, periods);
        let everyone = state.cells.first().map_or(0, |cell| cell.customers);
        let mut cells = Vec::with_capacity(state.cells.len());
        for (column, cell) in state.cells.iter().enumerate() {
            if column > 0 && begin.get(column).is_none_or(|begin| *begin > self.scope.end) {
                break;
            }
            let over = end.get(if column == 0 { 0 } else { column + 1 });
            cells.push(RetentionCell {
                customers: cell.customers,
                rate: Rate::new(cell.customers, everyone),
                finished: over.is_some_and(|over| *over <= self.scope.end),
                value: cell.value.moneys()?,
            });
        }
        Ok(cells)
    }

    fn columns(&self) -> Vec<RetentionColumn> {
        let ends = self.plan.edges.iter().skip(1).map(|end| end.saturating_sub(1));
        let later = self.plan.edges.iter().zip(ends).map(|(&from, to)| RetentionColumn {
            from,
            to: Some(to).filter(|_| self.plan.criterion != Criterion::OnOrAfter),
        });
        std::iter::once(RetentionColumn { from: 0, to: Some(0) }).chain(later).collect()
    }
}

impl CohortState {
    fn new(start: Micros, columns: usize) -> Self {
        Self { starts: (start, start), cells: vec![CellState::default(); columns], bounds: Vec::new() }
    }

    fn widen(&mut self, (first, last): (Micros, Micros)) {
        self.starts = (self.starts.0.min(first), self.starts.1.max(last));
    }
}

impl CellState {
    fn merge(&mut self, other: &Self) {
        self.customers += other.customers;
        self.value.merge(&other.value);
    }
}

impl Bound for BoundRetention {
    type State = RetentionState;
    type Report = CohortRetentionReport;

    fn start(&self) -> RetentionState {
        RetentionState::default()
    }

    fn visit(&self, state: &mut RetentionState, journey: &Journey<'_>) {
        let events = self.matches.of(journey);
        let room = &mut state.room;
        self.find_entries(&events, room);
        if room.entries.is_empty() {
            return;
        }
        self.find_returns(journey, &events, room);
        for &(place, start) in &room.entries {
            let new = || CohortState::new(start, self.plan.edges.len());
            let cohort = state.cohorts.entry(place).or_insert_with(new);
            cohort.widen((start, start));
            if self.plan.elapsed.is_some() || cohort.bounds.is_empty() {
                cohort.bounds = self.bounds(place, start, &mut room.periods);
            }
            let CohortState { cells, bounds, .. } = cohort;
            let mut cells = cells.iter_mut();
            if let (Some(cell), Some(end)) = (cells.next(), bounds.first()) {
                cell.customers += 1;
                if self.plan.value {
                    Self::add_first_value(cell, journey, &events, start..*end);
                }
            }
            room.columns.clear();
            let mut from = 0;
            for (column, cell) in (1..).zip(cells) {
                let counted = self.returns_of(column, bounds, &room.returns, from);
                if counted.start == room.returns.len() {
                    break;
                }
                from = counted.start;
                if counted.len() >= self.plan.at_least as usize {
                    cell.customers += 1;
                    for (&currency, sums) in &room.sums {
                        cell.value.add(between(sums, &counted), currency);
                    }
                    if self.plan.customers {
                        room.columns.push(u32::try_from(column).unwrap_or(u32::MAX));
                    }
                }
            }
            if self.plan.customers {
                let customer = journey.customer();
                state.customers.push(Listed { customer, cohort: place, start, columns: room.columns.clone() });
            }
        }
    }

    fn merge(&self, state: &mut RetentionState, other: RetentionState) {
        for (place, there) in other.cohorts {
            match state.cohorts.entry(place) {
                Entry::Vacant(empty) => {
                    empty.insert(there);
                }
                Entry::Occupied(mut here) => {
                    let here = here.get_mut();
                    here.widen(there.starts);
                    here.cells.iter_mut().zip(&there.cells).for_each(|(here, there)| here.merge(there));
                }
            }
        }
        state.customers.extend(other.customers);
    }

    fn size(&self, state: &RetentionState) -> usize {
        // A sum of money is a small tree of its own.
        let cell = size_of::<CellState>() + size_of::<Micros>() + if self.plan.value { 256 } else { 0 };
        let cohort = size_of::<CohortState>() + self.plan.edges.len() * cell;
        let columns = if self.plan.customers { self.plan.edges.len() * size_of::<u32>() } else { 0 };
        let listed = size_of::<Listed>() + columns;
        state.cohorts.len() * cohort + state.customers.len() * listed + state.room.periods.size()
    }

    fn finish(&self, state: RetentionState, names: &Names) -> Result<CohortRetentionReport> {
        let mut periods = Periods::default();
        let mut cohorts = Vec::with_capacity(state.cohorts.len());
        let mut pooled = vec![(0, CellState::default(), 0); self.plan.edges.len()];
        for (&place, cohort) in &state.cohorts {
            let cells = self.cells(place, cohort, &mut periods)?;
            let pairs = pooled.iter_mut().zip(&cells).zip(&cohort.cells);
            for (((cohorts, sum, of), cell), counted) in pairs.filter(|((_, cell), _)| cell.finished) {
                *cohorts += 1;
                sum.merge(counted);
                *of += cell.rate.of;
            }
            let finished = self.scope.holds_whole(periods.span_of(self.plan.period, place));
            cohorts.push(RetentionCohort { period: place.to_datetime(), finished, cells });
        }
        let average = |(cohorts, sum, of): &(u64, CellState, u64)| {
            Ok(RetentionAverage { cohorts: *cohorts, rate: Rate::new(sum.customers, *of), value: sum.value.moneys()? })
        };
        Ok(CohortRetentionReport {
            period: self.plan.period,
            elapsed: self.plan.elapsed,
            columns: self.columns(),
            cohorts,
            average: pooled.iter().map(average).collect::<Result<_>>()?,
            customers: self.plan.customers.then(|| listed(&state.customers, names)),
        })
    }
}

/// The money of some returns, from the sums of the first 0, 1, 2 .. of them; behind the last they do not change.
fn between(sums: &[i128], returns: &Range<usize>) -> i128 {
    let up_to = |place: usize| sums.get(place).or(sums.last()).copied().unwrap_or_default();
    up_to(returns.end).saturating_sub(up_to(returns.start))
}

/// The customers by cohort and id.
fn listed(customers: &[Listed], names: &Names) -> Vec<RetentionCustomer> {
    let customer = |one: &Listed| {
        Some(RetentionCustomer {
            customer: names.customer_id(one.customer)?,
            cohort: one.cohort.to_datetime(),
            started_at: one.start.to_datetime(),
            columns: one.columns.clone(),
        })
    };
    let mut listed: Vec<_> = customers.iter().filter_map(customer).collect();
    listed.sort_unstable_by(|a, b| (a.cohort, &a.customer).cmp(&(b.cohort, &b.customer)));
    listed
}
