//! Conformance to a pattern: how far actual journeys are a designed sequence of events.

use std::{cmp::Reverse, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, DeviationKind, DeviationTotal, Matches, Rate,
    listed::{by_id, when},
};
use crate::{
    error::{InvalidPlan, InvalidValue, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Condition, CustomerId, Micros, Pattern, PatternFollows, PatternStep, RefusedName},
    table::{Cell, Table, Tables, write_tables},
};

/// How far journeys are a designed sequence of events.
///
/// # Question
/// How many customers do what was designed for them, in that order? And what do the others skip, repeat, do in another order, or do
/// beside it?
///
/// # Definition
/// The designed journey is a [`Pattern`] that is a plain chain: each step one event, later than the step before it, without windows and
/// without what must not lie between. What is skipped is not known of any other, which is refused: ask
/// [`PatternMatches`](crate::PatternMatches) for the share of journeys that hold it.
///
/// A journey begins with its first event that meets the condition of any step. A scope's range says which customers count: those whose
/// journey begins in it. All that follows up to the end of observation is looked at; events that meet no step's condition are passed
/// over, but for those that the plan names as [`unexpected`](Self::unexpected). Of tied events the one that arrived first is the earlier.
///
/// Events are **aligned** with steps: each event serves one step at most, each step is served by one event at most, in the order of the
/// steps, so that as many steps as can be are served. Of several such ways it is the one that serves the first step if any of them does, by
/// the earliest event, then in the same way the second, and so on. Whatever does not fit is a deviation:
///
/// | kind | what |
/// |---|---|
/// | skipped | a step that is not served, before another that is, without an event that is out of order for it. It is of the moment at which the next step is served |
/// | repeated | an event that serves no step, of the first of the steps whose condition it meets that an earlier event serves |
/// | out of order | an event that serves no step, and meets the condition of none that an earlier event serves: of the first whose condition it meets. It comes before the step's turn, or when that is past |
/// | unexpected | an event of those that the plan names, which meets no step's condition |
///
/// A journey **fits** if it has no deviation; it need not be over: steps behind the last one that is served may still come. It is
/// `completed` if it fits and all steps are served. Deviations are listed with those of most customers first; equals by how
/// often they occur, then in the order of steps and of kinds.
///
/// # Worked example
/// ```
/// use journeylog::{DeviationKind, Event, Journeys, Pattern, PatternConformance};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "view"), Event::at(day(1), "ann", "cart"), Event::at(day(2), "ann", "purchase"),
///     Event::at(day(0), "bob", "view"), Event::at(day(1), "bob", "view"), Event::at(day(2), "bob", "purchase"),
///     Event::at(day(0), "cat", "cart"), Event::at(day(1), "cat", "view"), Event::at(day(2), "cat", "support"),
/// ])?;
/// let designed = Pattern::starting_with("view").then("cart").then("purchase").build()?;
/// let report = journeys.query().run(&PatternConformance::to(designed)?.unexpected("support")?)?;
/// assert_eq!((report.fits.some, report.completed.some, report.customers), (1, 1, 3));
/// let found: Vec<_> = report.deviations.iter().map(|one| (one.kind, one.step)).collect();
/// assert_eq!(found, [
///     (DeviationKind::Repeated, Some(1)), // Bob's second view
///     (DeviationKind::Skipped, Some(2)), // and his purchase without a cart
///     (DeviationKind::OutOfOrder, Some(2)), // Cat's cart before the view
///     (DeviationKind::Unexpected, None),
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
/// Time: of each journey its events times the steps. Memory: a few numbers for each step, and for each two of them, however long a
/// journey is; and the customers with their deviations if they are listed.
///
/// # Compared with
/// Process mining calls it an alignment of a log with a model: a step that is not served is a move of the model, an event that serves none a
/// move of the log, all at equal cost.
///
/// # Literature
/// A. Adriansyah (2014), "Aligning observed and modeled behavior". The alignment is a longest common subsequence: R. Wagner and M. Fischer
/// (1974), "The string-to-string correction problem".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[must_use = "a plan answers nothing until it is run"]
pub struct PatternConformance {
    pattern: Pattern,
    unexpected: Option<Condition>,
    customers: bool,
}

/// The JSON form: `{"steps":[{"when":{..}},{"when":{..}}],"unexpected":{"touchpoint":"support"},"customers":true}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(expecting = "an object", deny_unknown_fields)]
struct Form {
    steps: Vec<PatternStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unexpected: Option<Condition>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

impl PatternConformance {
    /// To this pattern.
    ///
    /// # Errors
    /// [`InvalidPlan`] if it is not a plain chain.
    pub fn to(pattern: Pattern) -> Result<Self, InvalidPlan> {
        let reason = "is more than one event that comes later: only of a plain chain is it known what was skipped";
        if pattern.within.is_some() {
            return Err(InvalidPlan::new("pattern_conformance.within", reason));
        }
        let is_plain = |step: &PatternStep| {
            step.follows == PatternFollows::Then
                && step.times() == (1, Some(1))
                && step.within.is_none()
                && step.not_between.is_none()
        };
        match pattern.steps.iter().position(|step| !is_plain(step)) {
            Some(place) => Err(InvalidPlan::new(format!("pattern_conformance.steps[{place}]"), reason)),
            None => Ok(Self { pattern, unexpected: None, customers: false }),
        }
    }

    /// Counts events for which this holds, and no step's condition, as deviations. A text alone is a touchpoint.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked.
    pub fn unexpected<C>(mut self, when: C) -> Result<Self, InvalidPlan>
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let refused = |e: C::Error| InvalidValue::from(e.into()).within("pattern_conformance.unexpected");
        let when = when.try_into().map_err(refused)?;
        when.check().map_err(|e| e.within("pattern_conformance.unexpected"))?;
        self.unexpected = Some(when);
        Ok(self)
    }

    /// Lists each customer with their deviations.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl TryFrom<Form> for PatternConformance {
    type Error = InvalidPlan;
    fn try_from(Form { steps, unexpected, customers }: Form) -> Result<Self, InvalidPlan> {
        let pattern = Pattern::of(steps, None)
            .map_err(|e| InvalidPlan::new(e.at().replacen("pattern", "pattern_conformance", 1), e.reason()))?;
        let plan = Self { customers, ..Self::to(pattern)? };
        match unexpected {
            Some(when) => plan.unexpected(when),
            None => Ok(plan),
        }
    }
}

impl From<PatternConformance> for Form {
    fn from(PatternConformance { pattern: Pattern { steps, .. }, unexpected, customers }: PatternConformance) -> Self {
        Self { steps, unexpected, customers }
    }
}

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

/// How far journeys are a designed sequence of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternConformanceReport {
    /// Customers whose journey begins in the scope's range.
    pub customers: u64,
    /// Those whose journey fits so far.
    pub fits: Rate,
    /// Those whose journey fits, and has all steps.
    pub completed: Rate,
    /// Each step, in order.
    pub steps: Vec<DesignedStep>,
    /// Each kind of deviation.
    pub by_kind: Vec<DeviationTotal>,
    /// Each deviation that occurs, that of most customers first.
    pub deviations: Vec<StepDeviation>,
    /// Each customer, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<PatternConformanceCustomer>>,
}

/// A step of a designed sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DesignedStep {
    /// Which, from 1.
    pub step: u64,
    /// Customers who did it in its place, of all.
    pub served: Rate,
}

/// What is not part of the designed sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepDeviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// Of which step, from 1; `None` for what is unexpected.
    pub step: Option<u64>,
    /// How often.
    pub count: u64,
    /// How many of all customers.
    pub customers: Rate,
}

/// A customer with what they did otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternConformanceCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Whether their journey fits, and has all steps.
    pub completed: bool,
    /// The steps that they did in their place, from 1.
    pub served: Vec<u64>,
    /// Their deviations, in order of time; none if their journey fits.
    pub deviations: Vec<CustomerStepDeviation>,
}

/// A deviation of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerStepDeviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// Of which step, from 1; `None` for what is unexpected.
    pub step: Option<u64>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Tables for PatternConformanceReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["customers", "fit", "share", "low", "high", "completed", "share"];
        let mut all = Table::new("Conformance to a pattern", columns);
        let Rate { some, share, low, high, .. } = self.fits;
        all.push([
            self.customers.into(),
            some.into(),
            Cell::share(share),
            Cell::Share(low),
            Cell::Share(high),
            self.completed.some.into(),
            Cell::share(self.completed.share),
        ]);
        let mut steps = Table::new("Steps", ["step", "customers", "share"]);
        for one in &self.steps {
            steps.push([one.step.into(), one.served.some.into(), Cell::share(one.served.share)]);
        }
        let mut kinds = Table::new("Kinds of deviations", ["kind", "count", "customers", "share"]);
        for total in &self.by_kind {
            let customers = [total.customers.some.into(), Cell::share(total.customers.share)];
            kinds.push([total.kind.to_string().into(), total.count.into()].into_iter().chain(customers));
        }
        let mut deviations = Table::new("Deviations", ["kind", "step", "count", "customers", "share"]);
        for one in &self.deviations {
            let customers = [one.count.into(), one.customers.some.into(), Cell::share(one.customers.share)];
            let step = one.step.map_or(Cell::Empty, Cell::from);
            deviations.push([one.kind.to_string().into(), step].into_iter().chain(customers));
        }
        let mut tables = vec![all, steps, kinds, deviations];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "steps done", "kind", "step", "when"]);
            for one in listed {
                let done = one.served.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                if one.deviations.is_empty() {
                    let fits = if one.completed { "completed" } else { "fits" };
                    let row = [one.customer.as_str().into(), done.as_str().into(), fits.into()];
                    table.push(row.into_iter().chain([Cell::Empty, Cell::Empty]));
                }
                for deviation in &one.deviations {
                    let step = deviation.step.map_or(Cell::Empty, Cell::from);
                    let kind = deviation.kind.to_string().into();
                    let row = [one.customer.as_str().into(), done.as_str().into(), kind, step, when(deviation.at)];
                    table.push(row);
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for PatternConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"steps":[{"when":{"touchpoint":"a"}},{"when":{"touchpoint":"b"}}],"unexpected":{"touchpoint":"c"},"customers":true}"#;
        let plan: PatternConformance = serde_json::from_str(text).unwrap();
        let pattern = Pattern::starting_with("a").then("b").build().unwrap();
        let built = PatternConformance::to(pattern).unwrap().unexpected("c").unwrap().list_customers();
        assert_eq!(plan, built);
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
    }

    #[test]
    fn more_than_a_plain_chain_is_refused() {
        let first = || Pattern::starting_with("a");
        for (pattern, at) in [
            (first().directly("b"), "steps[1]"),
            (first().at_least(2).then("b"), "steps[0]"),
            (first().then("b").not_between("c"), "steps[1]"),
        ] {
            let refused = PatternConformance::to(pattern.build().unwrap()).unwrap_err();
            assert_eq!(refused.at(), format!("pattern_conformance.{at}"));
        }
        let plan = || PatternConformance::to(first().build().unwrap()).unwrap();
        let refused = plan().unexpected("").unwrap_err().to_string();
        assert_eq!(refused, "pattern_conformance.unexpected.touchpoint: is empty");
        let empty = serde_json::from_str::<PatternConformance>(r#"{"steps":[]}"#).unwrap_err().to_string();
        assert!(empty.starts_with("pattern_conformance.steps: has 0 steps"), "{empty}");
    }
}
