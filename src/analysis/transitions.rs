//! Transitions: how customers move between stages.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, DurationSummary, Durations, Rate, StageReading, Visit,
    listed::{by_id, when},
    rate::INTERVAL,
};
use crate::{
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, JourneyBatch, Names, Picked},
    model::{CustomerId, JourneyModel, Micros, MoveKind, StageName, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// The transition matrix of a journey model.
///
/// # Question
/// How do customers move between stages: how many, how often, how long after they arrived, ahead or back?
///
/// # Definition
/// A transition is two neighbouring stage-bearing events of one journey with different stages; the first one enters
/// from the start. Its moment is that of the second event, and its dwell the time since the first event of the visit it
/// leaves. A scope's range says which transitions count; the stage left is read from before the range too.
///
/// For each stage, `here_before` (customers in it when the range began) plus arrivals is departures plus
/// `here_now` (customers in it when the range ends, or observation if that is earlier). A cell's share is of that total: of all
/// who were there, so many made this move, and those still there made none in the range. So the matrix is that of the range: what
/// customers did after its end is no part of it; leave the end away to read on.
///
/// # Worked example
/// ```
/// use journeylog::{Event, JourneyModel, Journeys, Transitions};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "ad_click"), Event::at(day(1), "ann", "product_view"),
///     Event::at(day(2), "ann", "ad_click"), Event::at(day(5), "ann", "purchase"),
///     Event::at(day(3), "bob", "product_view"),
/// ])?;
/// let report = journeys.query().run(&Transitions::of(JourneyModel::standard()))?;
/// let skip = report.cell(Some("awareness"), "purchase").unwrap();
/// assert_eq!((skip.count, skip.customers), (1, 1)); // Ann, three days after she went back to awareness
/// assert_eq!(skip.dwell.unwrap().median, 3.0 * 86_400.0);
/// assert_eq!(report.stage("consideration").unwrap().here_now, 1); // Bob
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each event. Memory: a few numbers and the dwell times per cell, up to a bound, and the customers with their
/// moves if they are listed.
///
/// Dwell figures are of the visits that this move ended. Visits that are open at that end are in `here_now`, and in every share
/// of their row, but in no dwell figure: how long customers stay in a stage, open visits included, is what
/// [`Dwell`](crate::Dwell) says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan answers nothing until it is run"]
pub struct Transitions {
    /// The model; `None` for that of the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<JourneyModel>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Transitions);

impl Transitions {
    /// The transitions of a model.
    pub fn of(model: JourneyModel) -> Self {
        Self { model: Some(model), customers: false }
    }

    /// The transitions of the model that the question names, else of the standard one.
    pub fn of_question() -> Self {
        Self { model: None, customers: false }
    }

    /// Lists the customers with their moves.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl Analysis for Transitions {
    type Bound = BoundTransitions;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundTransitions, InvalidPlan> {
        let model = self.model.clone().unwrap_or_else(|| binder.model().clone());
        Ok(BoundTransitions {
            reading: binder.stages(&model),
            scope: binder.scope().clone(),
            lists_customers: self.customers,
            model,
        })
    }
}

/// So many moves wait by their cells until all are counted.
const VISITS_AT_ONCE: usize = 8192;

/// Transitions bound to a store.
#[derive(Debug)]
pub struct BoundTransitions {
    model: JourneyModel,
    reading: StageReading,
    scope: BoundScope,
    lists_customers: bool,
}

/// What is counted: a cell for each move, the row of the start first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransitionsState {
    cells: Vec<CellState>,
    here_before: Vec<u64>,
    here_now: Vec<u64>,
    customers: u64,
    listed: Vec<(CustomerNo, Listed)>,
    /// So many moves are listed.
    moves: usize,
    /// So many journeys were visited.
    #[serde(skip)]
    visited: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    here_before: Option<usize>,
    here_now: usize,
    moves: Vec<Move>,
}

/// From which visit, to which stage, and when.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Move {
    left: Option<(usize, Micros)>,
    to: usize,
    at: Micros,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CellState {
    count: u64,
    customers: u64,
    dwell: Durations,
    /// Who made this move last: the number of their journey.
    #[serde(skip)]
    latest: u64,
    /// Such moves that are not counted yet.
    #[serde(skip)]
    waiting: Vec<Waiting>,
}

/// A move that is not counted yet: the number of its journey, and the length of the visit it ended.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    journey: u64,
    length: u64,
}

impl CellState {
    /// Notes that the journey of this number has such a move.
    #[inline]
    fn note(&mut self, journey: u64) {
        self.customers += u64::from(self.latest != journey);
        self.latest = journey;
    }

    /// Counts the moves that wait.
    fn count_waiting(&mut self, have_lengths: bool) {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.count += waiting.len() as u64;
        waiting.iter().for_each(|one| self.note(one.journey));
        if have_lengths {
            self.dwell.add_all(waiting.iter().map(|one| one.length));
        }
        waiting.clear();
        self.waiting = waiting;
    }
}

impl BoundTransitions {
    /// The place of a move's cell: row 0 is the start, row s + 1 stage s.
    fn cell(&self, from: Option<usize>, to: usize) -> usize {
        from.map_or(0, |stage| stage + 1) * self.model.stages().len() + to
    }

    /// Takes in the visits of many journeys, all of which count.
    fn visit_all(&self, state: &mut TransitionsState, visits: &Picked<u8>) {
        let TransitionsState { cells, here_now, customers, visited, .. } = state;
        let stages = self.model.stages().len();
        // As `cell` says, in narrow numbers, of which the processor works out several at once: a model has at most 64 stages.
        let in_row = u16::try_from(stages).unwrap_or(u16::MAX);
        let cell = |(from, to): (&u8, &u8)| (u16::from(*from) + 1).wrapping_mul(in_row).wrapping_add((*to).into());
        // For each visit the cell of the move to it: those of the journeys' first come from the start.
        let mut places = vec![0];
        places.extend(visits.what.iter().zip(visits.what.get(1..).unwrap_or_default()).map(cell));
        let starts = std::iter::once(0).chain(visits.ends.iter().map(|end| *end as usize));
        for (start, end) in starts.zip(&visits.ends).filter(|(start, end)| **end as usize > *start) {
            *customers += 1;
            if let (Some(place), Some(to)) = (places.get_mut(start), visits.what.get(start)) {
                *place = (*to).into();
            }
            let last = visits.what.get(*end as usize - 1);
            let count = last.and_then(|stage| here_now.get_mut(usize::from(*stage)));
            count.into_iter().for_each(|count| *count += 1);
        }
        let (mut journey, mut since) = (*visited, Micros::MIN);
        for (places, times) in places.chunks(VISITS_AT_ONCE).zip(visits.times.chunks(VISITS_AT_ONCE)) {
            for (place, &at) in places.iter().map(|place| usize::from(*place)).zip(times) {
                journey += u64::from(place < stages);
                if let Some(cell) = cells.get_mut(place) {
                    // Moments of a journey do not go back, and the difference of two fits, taken modulo 2^64.
                    cell.waiting.push(Waiting { journey, length: at.0.wrapping_sub(since.0).cast_unsigned() });
                }
                since = at;
            }
            for (place, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| !cell.waiting.is_empty()) {
                // Nobody stays at the start.
                cell.count_waiting(place >= stages);
            }
        }
        *visited = journey;
    }

    fn after_range(&self, visit: &Visit) -> bool {
        self.scope.to.is_some_and(|to| visit.since >= to)
    }
}

impl Bound for BoundTransitions {
    type State = TransitionsState;
    type Report = TransitionsReport;

    fn start(&self) -> TransitionsState {
        let stages = self.model.stages().len();
        TransitionsState {
            cells: vec![CellState::default(); (stages + 1) * stages],
            here_before: vec![0; stages],
            here_now: vec![0; stages],
            customers: 0,
            listed: Vec::new(),
            moves: 0,
            visited: 0,
        }
    }

    fn visit(&self, state: &mut TransitionsState, journey: &Journey<'_>) {
        let mut before: Option<Visit> = None;
        state.visited += 1;
        let mut at_start: Option<usize> = None;
        let mut moves = Vec::new();
        for visit in self.reading.of(journey) {
            if self.after_range(&visit) {
                break;
            }
            if visit.since < self.scope.from {
                at_start = Some(visit.stage);
            } else {
                let place = self.cell(before.map(|b| b.stage), visit.stage);
                if let Some(cell) = state.cells.get_mut(place) {
                    cell.count += 1;
                    cell.note(state.visited);
                    if let Some(left) = before {
                        cell.dwell.add_between(left.since, visit.since);
                    }
                }
                if self.lists_customers {
                    let left = before.map(|left| (left.stage, left.since));
                    moves.push(Move { left, to: visit.stage, at: visit.since });
                }
            }
            before = Some(visit);
        }
        let count_in = |list: &mut Vec<u64>, stage: Option<usize>| {
            if let Some(count) = stage.and_then(|stage| list.get_mut(stage)) {
                *count += 1;
            }
        };
        count_in(&mut state.here_before, at_start);
        count_in(&mut state.here_now, before.map(|visit| visit.stage));
        state.customers += u64::from(before.is_some());
        if let Some(last) = before.filter(|_| self.lists_customers) {
            state.moves += moves.len();
            let listed = Listed { here_before: at_start, here_now: last.stage, moves };
            state.listed.push((journey.customer(), listed));
        }
    }

    fn visit_batch(&self, state: &mut TransitionsState, journeys: &JourneyBatch<'_>) {
        match self.reading.of_all(journeys).filter(|_| self.scope.counts_all() && !self.lists_customers) {
            Some(visits) => self.visit_all(state, visits),
            None => journeys.iter().for_each(|journey| self.visit(state, &journey)),
        }
    }

    fn merge(&self, state: &mut TransitionsState, other: TransitionsState) {
        for (here, there) in state.cells.iter_mut().zip(other.cells) {
            here.count += there.count;
            here.customers += there.customers;
            here.dwell.merge(there.dwell);
        }
        state.here_before.iter_mut().zip(other.here_before).for_each(|(here, there)| *here += there);
        state.here_now.iter_mut().zip(other.here_now).for_each(|(here, there)| *here += there);
        state.customers += other.customers;
        state.listed.extend(other.listed);
        state.moves += other.moves;
    }

    fn size(&self, state: &TransitionsState) -> usize {
        let listed = state.listed.len() * size_of::<(CustomerNo, Listed)>() + state.moves * size_of::<Move>();
        let of_cell = |cell: &CellState| {
            size_of::<CellState>() + cell.dwell.size() + cell.waiting.capacity() * size_of::<Waiting>()
        };
        state.cells.iter().map(of_cell).sum::<usize>() + listed
    }

    fn finish(&self, state: TransitionsState, known: &Names) -> Result<TransitionsReport> {
        let names = self.model.stages();
        let count = |from: Option<usize>, to: usize| state.cells.get(self.cell(from, to)).map_or(0, |cell| cell.count);
        let froms = || std::iter::once(None).chain((0..names.len()).map(Some));
        let mut stages = Vec::with_capacity(names.len());
        for (s, stage) in names.iter().enumerate() {
            stages.push(StageTotal {
                stage: stage.clone(),
                here_before: state.here_before.get(s).copied().unwrap_or_default(),
                arrivals: froms().map(|from| count(from, s)).sum(),
                departures: (0..names.len()).map(|to| count(Some(s), to)).sum(),
                here_now: state.here_now.get(s).copied().unwrap_or_default(),
            });
        }
        let entries = (0..names.len()).map(|to| count(None, to)).sum();
        let mut cells = Vec::new();
        for from in froms() {
            let total = from.and_then(|s| stages.get(s)).map_or(entries, |stage| stage.departures + stage.here_now);
            for (to, stage) in names.iter().enumerate() {
                let (Some(cell), Some(kind)) = (state.cells.get(self.cell(from, to)), JourneyModel::kind_of(from, to))
                else {
                    continue;
                };
                cells.push(TransitionCell {
                    from: from.and_then(|s| names.get(s)).cloned(),
                    to: stage.clone(),
                    kind,
                    allowed: from.is_none_or(|from| self.model.allows(from, to)),
                    count: cell.count,
                    customers: cell.customers,
                    share: Rate::new(cell.count, total),
                    dwell: cell.dwell.summary(),
                });
            }
        }
        let of_kind = |kind| cells.iter().filter(|cell| cell.kind == kind).map(|cell| cell.count).sum();
        Ok(TransitionsReport {
            model: self.model.name().to_owned(),
            model_version: self.model.version(),
            customers: state.customers,
            entries,
            advances: of_kind(MoveKind::Advance),
            skips: of_kind(MoveKind::Skip),
            regressions: of_kind(MoveKind::Regression),
            stages,
            cells,
            listed: self.lists_customers.then(|| self.listed(state.listed, known)),
        })
    }
}

impl BoundTransitions {
    /// The customers by id.
    fn listed(&self, found: Vec<(CustomerNo, Listed)>, names: &Names) -> Vec<TransitionCustomer> {
        let name = |stage: usize| self.model.stages().get(stage).cloned();
        let one = |one: &Move| CustomerMove::of(&self.model, one.left, one.to, one.at);
        by_id(found, names, |customer, found| TransitionCustomer {
            customer,
            here_before: found.here_before.and_then(name),
            here_now: name(found.here_now),
            moves: found.moves.iter().filter_map(one).collect(),
        })
    }
}

/// How customers moved between stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransitionsReport {
    /// The name of the model.
    pub model: String,
    /// Its version.
    pub model_version: u32,
    /// Customers who were in any stage by the end of the range, or of observation if that is earlier.
    pub customers: u64,
    /// Transitions from the start.
    pub entries: u64,
    /// Transitions to the next stage.
    pub advances: u64,
    /// Transitions further ahead.
    pub skips: u64,
    /// Transitions back.
    pub regressions: u64,
    /// Each stage with its totals.
    pub stages: Vec<StageTotal>,
    /// Each possible move, from the start first, also those that nobody made.
    pub cells: Vec<TransitionCell>,
    /// Each of the customers, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<TransitionCustomer>>,
}

/// A customer with their moves between stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransitionCustomer {
    /// Who.
    pub customer: CustomerId,
    /// The stage they were in when the scope's range began; `None` if they were in none, or without a range.
    pub here_before: Option<StageName>,
    /// The stage they are in at the end of the range, or of observation if that is earlier.
    pub here_now: Option<StageName>,
    /// The transitions that count, in order.
    pub moves: Vec<CustomerMove>,
}

/// One move of one customer between stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerMove {
    /// The stage left; `None` for the first.
    pub from: Option<StageName>,
    /// The stage entered.
    pub to: StageName,
    /// When.
    pub at: DateTime<Utc>,
    /// How the move is called.
    pub kind: MoveKind,
    /// How long the visit lasted that it ended; `None` for the first.
    pub dwell: Option<TimeDelta>,
}

impl CustomerMove {
    /// From a visit since a moment to a stage at another; `None` if the model has no such move.
    pub(crate) fn of(model: &JourneyModel, left: Option<(usize, Micros)>, to: usize, at: Micros) -> Option<Self> {
        let stage = |stage: usize| model.stages().get(stage).cloned();
        Some(Self {
            from: left.and_then(|(from, _)| stage(from)),
            to: stage(to)?,
            at: at.to_datetime(),
            kind: JourneyModel::kind_of(left.map(|(from, _)| from), to)?,
            dwell: left.map(|(_, since)| at.to_datetime() - since.to_datetime()),
        })
    }
}

/// One stage of a transition matrix: `here_before + arrivals = departures + here_now`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageTotal {
    /// The stage.
    pub stage: StageName,
    /// Customers in it when the scope's range began; 0 without a range.
    pub here_before: u64,
    /// Transitions into it.
    pub arrivals: u64,
    /// Transitions out of it.
    pub departures: u64,
    /// Customers in it at the end of the range, or of observation if that is earlier.
    pub here_now: u64,
}

/// One move of a transition matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransitionCell {
    /// The stage left; `None` from the start.
    pub from: Option<StageName>,
    /// The stage entered.
    pub to: StageName,
    /// How the move is called.
    pub kind: MoveKind,
    /// Whether the model allows it.
    pub allowed: bool,
    /// How often it was made.
    pub count: u64,
    /// By how many customers.
    pub customers: u64,
    /// Of all stays in the stage left, those too that still last at the end of the range; of all entries for the start.
    pub share: Rate,
    /// How long the visits lasted that it ended.
    pub dwell: Option<DurationSummary>,
}

impl TransitionsReport {
    /// The move between two stages by their names; from the start if `from` is `None`.
    pub fn cell(&self, from: Option<&str>, to: &str) -> Option<&TransitionCell> {
        self.cells.iter().find(|cell| cell.from.as_ref().map(StageName::as_str) == from && cell.to.as_str() == to)
    }

    /// A stage by its name.
    pub fn stage(&self, name: &str) -> Option<&StageTotal> {
        self.stages.iter().find(|total| total.stage.as_str() == name)
    }
}

impl Tables for TransitionsReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["from", "to", "kind", "count", "customers", "share", INTERVAL, "median dwell", "p90 dwell"];
        let mut moves =
            Table::new(format!("Transitions ({})", JourneyModel::title(&self.model, self.model_version)), columns);
        for cell in self.cells.iter().filter(|cell| cell.count > 0) {
            let kind = if cell.allowed { cell.kind.to_string() } else { format!("{} (not allowed)", cell.kind) };
            moves.push([
                cell.from.as_ref().map_or("(start)", StageName::as_str).into(),
                cell.to.as_str().into(),
                kind.into(),
                cell.count.into(),
                cell.customers.into(),
                Cell::share(cell.share.share),
                cell.share.interval(),
                Cell::seconds(cell.dwell.map(|d| d.median)),
                Cell::seconds(cell.dwell.map(|d| d.p90)),
            ]);
        }
        let mut totals = Table::new("Stages", ["stage", "here before", "arrivals", "departures", "here after"]);
        for stage in &self.stages {
            let counts = [stage.here_before, stage.arrivals, stage.departures, stage.here_now].map(Cell::from);
            totals.push(std::iter::once(stage.stage.as_str().into()).chain(counts));
        }
        let mut tables = vec![moves, totals];
        if let Some(listed) = &self.listed {
            let columns = ["customer", "here before", "from", "to", "when", "here after"];
            let mut table = Table::new("Customers", columns);
            let name = |stage: &Option<StageName>| stage.as_ref().map_or(Cell::Empty, |stage| stage.as_str().into());
            for one in listed {
                let row = |from: Cell, to: Cell, at: Cell| {
                    [one.customer.as_str().into(), name(&one.here_before), from, to, at, name(&one.here_now)]
                };
                if one.moves.is_empty() {
                    table.push(row(Cell::Empty, Cell::Empty, Cell::Empty));
                }
                for made in &one.moves {
                    let from = made.from.as_ref().map_or("(start)", StageName::as_str);
                    table.push(row(from.into(), made.to.as_str().into(), when(made.at)));
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for TransitionsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
