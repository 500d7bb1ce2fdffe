//! Conformance: how far actual journeys are as they were designed.

use std::{cmp::Reverse, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Analysis, Binder, Bound, BoundScope, Rate, StageReading, listed::by_id};
use crate::{
    error::{InvalidPlan, InvalidValue, Result},
    journey::{CustomerNo, Journey, Names},
    model::{CustomerId, JourneyModel, Micros, StageName, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// How a move differs from the designed journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeviationKind {
    /// Further ahead than the next stage, leaving those between out; or entered behind the first stage for entry.
    Skipped,
    /// Into a stage in which the customer has been before.
    Repeated,
    /// Back to a stage in which they have not been.
    OutOfOrder,
    /// Any other move that is not allowed: to the next stage, though the model's moves leave it out, or entered before the first stage
    /// for entry.
    Unexpected,
}

impl DeviationKind {
    pub(super) const ALL: [Self; 4] = [Self::Skipped, Self::Repeated, Self::OutOfOrder, Self::Unexpected];
}

impl fmt::Display for DeviationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Skipped => "skipped",
            Self::Repeated => "repeated",
            Self::OutOfOrder => "out of order",
            Self::Unexpected => "unexpected",
        })
    }
}

/// How far journeys are as a journey model designs them.
///
/// # Question
/// How many customers go the way that was designed for them? And where do the others leave it: what do they skip, repeat, and
/// do in another order?
///
/// # Definition
/// The designed journey is a journey model with its allowed moves. A model that names no moves allows those from each stage to the
/// next, and no others. A journey enters at the model's first stage, or at any of the plan's
/// [`entries`](ConformanceBuilder::entries). The actual journey is the sequence of its visits to stages: events that bear no
/// stage leave it as it is, and staying is no move. Of tied events the one that arrived first is the earlier.
///
/// A scope's range says which customers count: those who enter in it. All their moves up to the end of observation are
/// looked at. A journey **fits** if it enters where it may and each of its moves is allowed; it need not be over. It is `completed`
/// if it fits and is in the model's last stage.
///
/// Each entry and move that is not allowed is a deviation, of the first kind that holds:
///
/// | kind | the stage that is entered |
/// |---|---|
/// | repeated | is one in which the customer has been before |
/// | skipped | lies further ahead than the next one; of an entry, behind the first of the stages for entry |
/// | out of order | lies back, and the customer has not been there |
/// | unexpected | is the next one, and the model's moves leave it out; of an entry, lies before all stages for entry |
///
/// Moves are those that were made, one by one: who goes from the second stage back to the first, and from there to the third, has
/// repeated the first and then skipped the second. Deviations are listed with those of most customers first; equals by how often
/// they occur, then in the order of the model.
///
/// # Worked example
/// ```
/// use journeylog::{Conformance, DeviationKind, Event, JourneyModel, Journeys};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "ad_click"), Event::at(day(1), "ann", "product_view"), Event::at(day(2), "ann", "purchase"),
///     Event::at(day(0), "bob", "ad_click"), Event::at(day(1), "bob", "purchase"), Event::at(day(2), "bob", "product_view"),
/// ])?;
/// let report = journeys.query().run(&Conformance::of(JourneyModel::standard()).build()?)?;
/// assert_eq!((report.fits.some, report.fits.of), (1, 2));
/// let found: Vec<_> = report.deviations.iter().map(|one| (one.kind, one.to.as_str(), one.count)).collect();
/// assert_eq!(found, [(DeviationKind::Skipped, "purchase", 1), (DeviationKind::OutOfOrder, "consideration", 1)]);
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each visit. Memory: eight numbers for each pair of stages, and the customers with their deviations if they are
/// listed.
///
/// # Compared with
/// Process mining replays journeys on a net and measures "fitness" as the share of tokens, or of an alignment's cost, that is
/// right; here it is the share of customers, and deviations are those of the moves as they were made. A sequence of events as the
/// design is asked of [`PatternConformance`](crate::PatternConformance).
///
/// # Literature
/// A. Rozinat and W. M. P. van der Aalst (2008), "Conformance checking of processes based on monitoring real behavior"; J. Carmona and
/// others (2018), "Conformance Checking: Relating Processes and Models".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ConformanceBuilder", into = "ConformanceBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Conformance {
    model: Option<JourneyModel>,
    /// `None` for the model's first stage.
    entries: Option<Vec<StageName>>,
    customers: bool,
}

impl Conformance {
    /// To this model.
    pub fn of(model: JourneyModel) -> ConformanceBuilder {
        ConformanceBuilder { model: Some(model), entries: None, customers: false }
    }

    /// To the model that the question names, else the standard one.
    pub fn of_question() -> ConformanceBuilder {
        ConformanceBuilder { model: None, entries: None, customers: false }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Conformance in the making, and the JSON form of it, each key optional: `{"model":{..},"entries":["awareness"],"customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "conformance is only made by build"]
pub struct ConformanceBuilder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<JourneyModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(ConformanceBuilder);

impl ConformanceBuilder {
    /// Sets the stages at which journeys may enter. By default it is the model's first stage alone.
    pub fn entries<S: Into<String>>(mut self, stages: impl IntoIterator<Item = S>) -> Self {
        self.entries = Some(stages.into_iter().map(Into::into).collect());
        self
    }

    /// Lists each customer with their deviations.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if no stage is left for entry, or one is no name or no stage of the plan's model. One that is no stage of the
    /// question's model is refused when it is asked.
    pub fn build(self) -> Result<Conformance, InvalidPlan> {
        let Self { model, entries, customers } = self;
        let name = |(place, name): (usize, &String)| {
            StageName::new(name).map_err(|e| InvalidValue::new(format!("conformance.entries[{place}]"), e.reason()))
        };
        let names = |entries: Vec<String>| entries.iter().enumerate().map(name).collect::<Result<Vec<_>, _>>();
        let entries = entries.map(names).transpose()?;
        if entries.as_ref().is_some_and(Vec::is_empty) {
            return Err(InvalidPlan::new("conformance.entries", "is empty, but a journey must enter somewhere"));
        }
        let plan = Conformance { model, entries, customers };
        plan.model.iter().try_for_each(|model| plan.entries_in(model).map(drop))?;
        Ok(plan)
    }
}

impl TryFrom<ConformanceBuilder> for Conformance {
    type Error = InvalidPlan;
    fn try_from(builder: ConformanceBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Conformance> for ConformanceBuilder {
    fn from(Conformance { model, entries, customers }: Conformance) -> Self {
        let entries = entries.map(|entries| entries.iter().map(|name| name.as_str().to_owned()).collect());
        Self { model, entries, customers }
    }
}

impl Conformance {
    /// The places of the stages for entry.
    fn entries_in(&self, model: &JourneyModel) -> Result<Vec<usize>, InvalidPlan> {
        let Some(entries) = &self.entries else { return Ok(vec![0]) };
        let place = |(place, stage): (usize, &StageName)| {
            model.position(stage.as_str()).ok_or_else(|| {
                let reason = format!("{stage} is no stage of the model {}", model.name());
                InvalidPlan::new(format!("conformance.entries[{place}]"), reason)
            })
        };
        entries.iter().enumerate().map(place).collect()
    }
}

impl Analysis for Conformance {
    type Bound = BoundConformance;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundConformance, InvalidPlan> {
        let model = self.model.clone().unwrap_or_else(|| binder.model().clone());
        let entries = self.entries_in(&model)?;
        let stages = model.stages().len();
        let allows = |from: usize, to: usize| {
            if model.names_moves() { model.allows(from, to) } else { from + 1 == to }
        };
        let allowed = (0..stages).flat_map(|from| (0..stages).map(move |to| (from, to)));
        let allowed = allowed.map(|(from, to)| allows(from, to)).collect();
        let reading = binder.stages(&model);
        Ok(BoundConformance {
            reading,
            allowed,
            entries,
            lists_customers: self.customers,
            scope: binder.scope().clone(),
            model,
        })
    }
}

/// Conformance bound to a store.
#[derive(Debug)]
pub struct BoundConformance {
    model: JourneyModel,
    reading: StageReading,
    /// Of each pair of stages.
    allowed: Vec<bool>,
    entries: Vec<usize>,
    lists_customers: bool,
    scope: BoundScope,
}

/// What is counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConformanceState {
    customers: u64,
    fits: u64,
    completed: u64,
    moves: u64,
    /// For each kind of deviation whose journeys have it.
    by_kind: [u64; 4],
    /// For each stage, and before these for none, for each stage to which customers went from there, and for each kind: how often,
    /// and how many customers.
    cells: Vec<(u64, u64)>,
    listed: Vec<Listed>,
    /// So many deviations are listed.
    deviations: usize,
    #[serde(skip)]
    room: Vec<Deviating>,
}

/// A deviation: its cell, and when it was.
type Deviating = (usize, Micros);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    completed: bool,
    moves: u64,
    deviations: Vec<Deviating>,
}

impl BoundConformance {
    /// The kind of a move from one stage, or none, to another, given the stages where the customer has been; `None` if it is allowed.
    fn kind(&self, from: Option<usize>, to: usize, seen: u64) -> Option<DeviationKind> {
        let Some(from) = from else {
            let first = self.entries.iter().min().copied().unwrap_or_default();
            let kind = if to > first { DeviationKind::Skipped } else { DeviationKind::Unexpected };
            return (!self.entries.contains(&to)).then_some(kind);
        };
        if self.allowed.get(from * self.model.stages().len() + to).copied().unwrap_or_default() {
            return None;
        }
        Some(match to {
            _ if seen & (1 << (to % 64)) != 0 => DeviationKind::Repeated,
            _ if to > from + 1 => DeviationKind::Skipped,
            _ if to < from => DeviationKind::OutOfOrder,
            _ => DeviationKind::Unexpected,
        })
    }

    fn cell(&self, from: Option<usize>, to: usize, kind: DeviationKind) -> usize {
        (from.map_or(0, |from| from + 1) * self.model.stages().len() + to) * DeviationKind::ALL.len() + kind as usize
    }

    /// What a cell is about; `None` if there is no such cell.
    fn of_cell(&self, cell: usize) -> Option<(DeviationKind, Option<StageName>, StageName)> {
        let (kinds, stages) = (DeviationKind::ALL.len(), self.model.stages());
        let (pair, kind) = (cell / kinds, cell % kinds);
        let (from, to) = (pair / stages.len().max(1), pair % stages.len().max(1));
        let from = from.checked_sub(1).and_then(|from| stages.get(from)).cloned();
        Some((*DeviationKind::ALL.get(kind)?, from, stages.get(to)?.clone()))
    }
}

impl Bound for BoundConformance {
    type State = ConformanceState;
    type Report = ConformanceReport;

    fn start(&self) -> ConformanceState {
        let stages = self.model.stages().len();
        ConformanceState {
            customers: 0,
            fits: 0,
            completed: 0,
            moves: 0,
            by_kind: [0; 4],
            cells: vec![(0, 0); (stages + 1) * stages * DeviationKind::ALL.len()],
            listed: Vec::new(),
            deviations: 0,
            room: Vec::new(),
        }
    }

    fn visit(&self, state: &mut ConformanceState, journey: &Journey<'_>) {
        state.room.clear();
        let (mut from, mut seen, mut moves) = (None, 0_u64, 0);
        for visit in self.reading.of(journey) {
            if from.is_none() && !self.scope.counts(visit.since) {
                return;
            }
            moves += u64::from(from.is_some());
            if let Some(kind) = self.kind(from, visit.stage, seen) {
                state.room.push((self.cell(from, visit.stage, kind), visit.since));
            }
            seen |= 1 << (visit.stage % 64);
            from = Some(visit.stage);
        }
        let Some(last) = from else { return };
        let fits = state.room.is_empty();
        let completed = fits && last + 1 == self.model.stages().len();
        state.customers += 1;
        state.fits += u64::from(fits);
        state.completed += u64::from(completed);
        state.moves += moves;
        if self.lists_customers {
            state.deviations += state.room.len();
            let deviations = state.room.clone();
            state.listed.push(Listed { customer: journey.customer(), completed, moves, deviations });
        }
        state.room.sort_unstable();
        let mut kinds = [false; 4];
        for same in state.room.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(&(cell, _)) = same.first() else { continue };
            if let Some((count, customers)) = state.cells.get_mut(cell) {
                *count += same.len() as u64;
                *customers += 1;
            }
            kinds.get_mut(cell % DeviationKind::ALL.len()).into_iter().for_each(|kind| *kind = true);
        }
        state.by_kind.iter_mut().zip(kinds).for_each(|(count, has)| *count += u64::from(has));
    }

    fn merge(&self, state: &mut ConformanceState, other: ConformanceState) {
        state.customers += other.customers;
        state.fits += other.fits;
        state.completed += other.completed;
        state.moves += other.moves;
        state.by_kind.iter_mut().zip(other.by_kind).for_each(|(here, there)| *here += there);
        for (here, there) in state.cells.iter_mut().zip(other.cells) {
            here.0 += there.0;
            here.1 += there.1;
        }
        state.listed.extend(other.listed);
        state.deviations += other.deviations;
    }

    fn size(&self, state: &ConformanceState) -> usize {
        let lists = state.listed.len() * size_of::<Listed>() + state.deviations * size_of::<Deviating>();
        state.cells.len() * size_of::<(u64, u64)>() + lists
    }

    fn finish(&self, state: ConformanceState, names: &Names) -> Result<ConformanceReport> {
        let mut deviations = Vec::new();
        let mut by_kind: Vec<DeviationTotal> = DeviationKind::ALL
            .into_iter()
            .zip(state.by_kind)
            .map(|(kind, customers)| DeviationTotal {
                kind,
                count: 0,
                customers: Rate::new(customers, state.customers),
            })
            .collect();
        for (cell, &(count, customers)) in state.cells.iter().enumerate().filter(|(_, (count, _))| *count > 0) {
            let Some((kind, from, to)) = self.of_cell(cell) else { continue };
            by_kind.iter_mut().filter(|total| total.kind == kind).for_each(|total| total.count += count);
            deviations.push(Deviation { kind, from, to, count, customers: Rate::new(customers, state.customers) });
        }
        // The sort is stable: equals stay in the order of the model.
        deviations.sort_by_key(|one| (Reverse(one.customers.some), Reverse(one.count)));
        Ok(ConformanceReport {
            model: self.model.name().to_owned(),
            model_version: self.model.version(),
            customers: state.customers,
            fits: Rate::new(state.fits, state.customers),
            completed: Rate::new(state.completed, state.customers),
            moves: state.moves,
            by_kind,
            deviations,
            listed: self.lists_customers.then(|| self.listed(state.listed, names)),
        })
    }
}

impl BoundConformance {
    /// The customers by id.
    fn listed(&self, customers: Vec<Listed>, names: &Names) -> Vec<ConformanceCustomer> {
        let deviation = |&(cell, at): &Deviating| {
            let (kind, from, to) = self.of_cell(cell)?;
            Some(CustomerDeviation { kind, from, to, at: at.to_datetime() })
        };
        let found = customers.into_iter().map(|one| (one.customer, one));
        by_id(found, names, |customer, one| ConformanceCustomer {
            customer,
            completed: one.completed,
            moves: one.moves,
            deviations: one.deviations.iter().filter_map(deviation).collect(),
        })
    }
}

/// How far journeys are as they were designed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConformanceReport {
    /// The name of the model.
    pub model: String,
    /// Its version.
    pub model_version: u32,
    /// Customers who enter in the scope's range.
    pub customers: u64,
    /// Those whose journey fits so far.
    pub fits: Rate,
    /// Those whose journey fits, and who are in the last stage.
    pub completed: Rate,
    /// Moves of all of them, entries not among these.
    pub moves: u64,
    /// Each kind of deviation.
    pub by_kind: Vec<DeviationTotal>,
    /// Each deviation that occurs, that of most customers first.
    pub deviations: Vec<Deviation>,
    /// Each customer, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<ConformanceCustomer>>,
}

/// All deviations of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeviationTotal {
    /// The kind.
    pub kind: DeviationKind,
    /// How often.
    pub count: u64,
    /// How many of all customers.
    pub customers: Rate,
}

/// A move that is not part of the designed journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// From which stage; `None` for an entry.
    pub from: Option<StageName>,
    /// To which.
    pub to: StageName,
    /// How often.
    pub count: u64,
    /// How many of all customers.
    pub customers: Rate,
}

/// A customer with what they did otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConformanceCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Whether their journey fits, and they are in the last stage.
    pub completed: bool,
    /// How many moves they made, the entry not among these.
    pub moves: u64,
    /// Their deviations, in order; none if their journey fits.
    pub deviations: Vec<CustomerDeviation>,
}

/// A move of one customer that is not part of the designed journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerDeviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// From which stage; `None` for an entry.
    pub from: Option<StageName>,
    /// To which.
    pub to: StageName,
    /// When.
    pub at: DateTime<Utc>,
}

fn from_name(from: Option<&StageName>) -> Cell {
    from.map_or("(start)", StageName::as_str).into()
}

impl Tables for ConformanceReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["customers", "fit", "share", "low", "high", "completed", "share", "moves"];
        let mut all =
            Table::new(format!("Conformance ({})", JourneyModel::title(&self.model, self.model_version)), columns);
        let Rate { some, share, low, high, .. } = self.fits;
        let shares = [Cell::share(share), Cell::Share(low), Cell::Share(high)];
        let completed = [self.completed.some.into(), Cell::share(self.completed.share), self.moves.into()];
        all.push([self.customers.into(), some.into()].into_iter().chain(shares).chain(completed));
        let mut kinds = Table::new("Kinds of deviations", ["kind", "count", "customers", "share"]);
        for total in &self.by_kind {
            let customers = [total.customers.some.into(), Cell::share(total.customers.share)];
            kinds.push([total.kind.to_string().into(), total.count.into()].into_iter().chain(customers));
        }
        let columns = ["kind", "from", "to", "count", "customers", "share"];
        let mut deviations = Table::new("Deviations", columns);
        for one in &self.deviations {
            let row = [one.kind.to_string().into(), from_name(one.from.as_ref()), one.to.as_str().into()];
            let customers = [one.count.into(), one.customers.some.into(), Cell::share(one.customers.share)];
            deviations.push(row.into_iter().chain(customers));
        }
        let mut tables = vec![all, kinds, deviations];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "moves", "kind", "from", "to", "when"]);
            for one in listed {
                if one.deviations.is_empty() {
                    let fits = if one.completed { "completed" } else { "fits" };
                    let fits = [one.customer.as_str().into(), one.moves.into(), fits.into()];
                    table.push(fits.into_iter().chain([Cell::Empty, Cell::Empty, Cell::Empty]));
                }
                for deviation in &one.deviations {
                    table.push([
                        one.customer.as_str().into(),
                        one.moves.into(),
                        deviation.kind.to_string().into(),
                        from_name(deviation.from.as_ref()),
                        deviation.to.as_str().into(),
                        deviation.at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into(),
                    ]);
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"entries":["awareness","consideration"],"customers":true}"#;
        let plan: Conformance = serde_json::from_str(text).unwrap();
        let built = Conformance::of_question().entries(["awareness", "consideration"]).list_customers().build();
        assert_eq!(Ok(plan.clone()), built);
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        assert_eq!(serde_json::from_str::<Conformance>("{}").ok(), Conformance::of_question().build().ok());
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |builder: ConformanceBuilder| builder.build().unwrap_err().to_string();
        let none: [&str; 0] = [];
        assert!(refused(Conformance::of_question().entries(none)).starts_with("conformance.entries: is empty"));
        assert!(refused(Conformance::of_question().entries(["a", ""])).starts_with("conformance.entries[1]: is empty"));
        let standard = Conformance::of(JourneyModel::standard());
        assert!(refused(standard.entries(["browsing"])).starts_with("conformance.entries[0]: browsing is no stage"));
    }
}
