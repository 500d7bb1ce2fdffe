//! Customers by stage: now, at another moment, and over time.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, Rate, StageReading, Visit,
    listed::{by_id, when},
    over_time::over_time,
    rate::INTERVAL,
};
use crate::{
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{CustomerId, JourneyModel, Micros, Period, Periods, StageName, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// How many customers are in each stage.
///
/// # Question
/// Who is in which stage, at the end of observation and, if asked, at the end of each calendar period before it?
///
/// # Definition
/// A customer's stage at a moment is that of their latest stage-bearing event up to and including it. Ask for another
/// moment with [`Scope::as_of`](crate::Scope::as_of), and for what was known at another time with
/// [`Scope::known_at`](crate::Scope::known_at). Over time, a period's counts are those just before it ends, the last
/// one's those at the end of observation. A scope's range plays no part: a stage is a state, not an entry.
///
/// ```
/// use journeylog::{Event, Journeys, JourneyModel, Scope, StageCounts};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "ad_click"), Event::at(day(4), "ann", "purchase"), Event::at(day(1), "bob", "ad_click"),
/// ])?;
/// let now = journeys.query().run(&StageCounts::of(JourneyModel::standard()))?;
/// assert_eq!((now.count("awareness"), now.count("purchase")), (1, 1));
/// let then = journeys.query().scope(Scope::all().as_of(day(3))).run(&StageCounts::of(JourneyModel::standard()))?;
/// assert_eq!((then.count("awareness"), then.count("purchase")), (2, 0));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each event. Memory: two numbers per stage and period, and the customers if they are listed,
/// with all their stages if it is asked over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan answers nothing until it is run"]
pub struct StageCounts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<JourneyModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Period>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(StageCounts);

impl StageCounts {
    /// The stages of a model.
    pub fn of(model: JourneyModel) -> Self {
        Self { model: Some(model), ..Self::default() }
    }

    /// The stages of the model that the question names, else of the standard one.
    pub fn of_question() -> Self {
        Self::default()
    }

    /// Counts at the end of each calendar period too.
    pub fn every(mut self, period: Period) -> Self {
        self.every = Some(period);
        self
    }

    /// Lists the customers with their stages; those of each calendar period too, if it is asked for.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl Analysis for StageCounts {
    type Bound = BoundStages;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundStages, InvalidPlan> {
        let model = self.model.clone().unwrap_or_else(|| binder.model().clone());
        let reading = binder.stages(&model);
        Ok(BoundStages { model, reading, scope: binder.scope().clone(), every: self.every, customers: self.customers })
    }
}

/// Stages bound to a store.
#[derive(Debug)]
pub struct BoundStages {
    model: JourneyModel,
    reading: StageReading,
    scope: BoundScope,
    every: Option<Period>,
    customers: bool,
}

/// What is counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StagesState {
    now: Vec<u64>,
    none: u64,
    /// By period: arrivals less departures of each stage.
    changes: BTreeMap<Micros, Vec<i64>>,
    customers: Vec<(CustomerNo, Listed)>,
    /// So many visits are listed.
    visits: usize,
    /// Room for looking periods up.
    #[serde(skip)]
    periods: Periods,
}

/// A customer's stages, each with since when.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Listed {
    last: Option<(usize, Micros)>,
    /// All of them, if stages are asked over time.
    visits: Vec<(usize, Micros)>,
}

impl BoundStages {
    fn change(&self, state: &mut StagesState, period: Period, at: Micros, stage: usize, by: i64) {
        let start = state.periods.span_of(period, at).start;
        let changes = state.changes.entry(start).or_insert_with(|| vec![0; self.model.stages().len()]);
        if let Some(change) = changes.get_mut(stage) {
            *change += by;
        }
    }

    fn over_time(&self, state: &StagesState) -> Result<Option<Vec<StageMoment>>> {
        let (Some(period), first) = (self.every, state.changes.keys().next()) else { return Ok(None) };
        let mut moments = Vec::new();
        let mut here = vec![0_i64; self.model.stages().len()];
        for span in over_time(period, first.copied().unwrap_or(Micros::MAX), self.scope.end)? {
            if let Some(changes) = state.changes.get(&span.start) {
                here.iter_mut().zip(changes).for_each(|(here, change)| *here += change);
            }
            moments.push(StageMoment {
                period: span.start.to_datetime(),
                finished: span.end <= self.scope.end,
                customers: here.iter().map(|&count| u64::try_from(count).unwrap_or_default()).collect(),
            });
        }
        Ok(Some(moments))
    }
}

impl Bound for BoundStages {
    type State = StagesState;
    type Report = StageCountsReport;

    fn start(&self) -> StagesState {
        StagesState { now: vec![0; self.model.stages().len()], ..StagesState::default() }
    }

    fn visit(&self, state: &mut StagesState, journey: &Journey<'_>) {
        let last = self.reading.of(journey).next_back().map(|visit| (visit.stage, visit.since));
        let mut visits = Vec::new();
        if let Some(period) = self.every {
            let mut left = None;
            for Visit { stage, since } in self.reading.of(journey) {
                if self.customers {
                    visits.push((stage, since));
                }
                if let Some(left) = left {
                    self.change(state, period, since, left, -1);
                }
                self.change(state, period, since, stage, 1);
                left = Some(stage);
            }
        }
        match last.and_then(|(stage, _)| state.now.get_mut(stage)) {
            Some(count) => *count += 1,
            None => state.none += 1,
        }
        if self.customers {
            state.visits += visits.len();
            state.customers.push((journey.customer(), Listed { last, visits }));
        }
    }

    fn merge(&self, state: &mut StagesState, other: StagesState) {
        state.now.iter_mut().zip(other.now).for_each(|(here, there)| *here += there);
        state.none += other.none;
        for (start, changes) in other.changes {
            match state.changes.entry(start) {
                std::collections::btree_map::Entry::Vacant(empty) => {
                    empty.insert(changes);
                }
                std::collections::btree_map::Entry::Occupied(mut here) => {
                    here.get_mut().iter_mut().zip(changes).for_each(|(here, there)| *here += there);
                }
            }
        }
        state.customers.extend(other.customers);
        state.visits += other.visits;
    }

    fn size(&self, state: &StagesState) -> usize {
        let listed = state.customers.len() * size_of::<(CustomerNo, Listed)>();
        let listed = listed + state.visits * size_of::<(usize, Micros)>();
        (state.changes.len() + 1) * (64 + state.now.len() * 8) + listed + state.periods.size()
    }

    fn finish(&self, state: StagesState, names: &Names) -> Result<StageCountsReport> {
        let moments = self.over_time(&state)?;
        let customers = state.now.iter().sum::<u64>() + state.none;
        let stages = self.model.stages().iter().zip(&state.now);
        let listed = || {
            by_id(state.customers, names, |customer, Listed { last, visits }| {
                let (stage, since) = last.unzip();
                let name = |stage: usize| self.model.stages().get(stage).cloned();
                let visit = |(stage, since): (usize, Micros)| {
                    Some(StageVisit { stage: name(stage)?, since: since.to_datetime() })
                };
                StageCustomer {
                    customer,
                    stage: stage.and_then(name),
                    since: since.map(Micros::to_datetime),
                    visits: self.every.map(|_| visits.into_iter().filter_map(visit).collect()),
                }
            })
        };
        Ok(StageCountsReport {
            model: self.model.name().to_owned(),
            model_version: self.model.version(),
            stages: stages
                .map(|(stage, &count)| StageCount {
                    stage: stage.clone(),
                    customers: count,
                    share: Rate::new(count, customers),
                })
                .collect(),
            without_stage: state.none,
            every: self.every,
            over_time: moments,
            customers: self.customers.then(listed),
        })
    }
}

/// How many customers are in each stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageCountsReport {
    /// The name of the model.
    pub model: String,
    /// Its version.
    pub model_version: u32,
    /// Each stage at the end of observation.
    pub stages: Vec<StageCount>,
    /// Customers with events, none of which bears a stage.
    pub without_stage: u64,
    /// The calendar period, if the plan asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Each calendar period, if the plan asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_time: Option<Vec<StageMoment>>,
    /// The customers by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<StageCustomer>>,
}

/// The customers of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageCount {
    /// The stage.
    pub stage: StageName,
    /// Customers in it.
    pub customers: u64,
    /// Of all customers with events.
    pub share: Rate,
}

/// The customers of each stage at the end of a calendar period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageMoment {
    /// The period's first moment.
    pub period: DateTime<Utc>,
    /// False if observation ends within it.
    pub finished: bool,
    /// Customers of each stage, in the order of the model.
    pub customers: Vec<u64>,
}

/// A customer and their stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageCustomer {
    /// Who.
    pub customer: CustomerId,
    /// The stage; `None` if no event bears one.
    pub stage: Option<StageName>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// All stages that they were in, in order, if the plan asks for calendar periods. At the end of a period they are in the last
    /// of these that began before it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visits: Option<Vec<StageVisit>>,
}

/// A stage that a customer was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageVisit {
    /// The stage.
    pub stage: StageName,
    /// Since when, until the next visit began.
    pub since: DateTime<Utc>,
}

impl StageCountsReport {
    /// The customers in a stage, by its name; 0 for a stage that the model does not have.
    pub fn count(&self, stage: &str) -> u64 {
        self.stages.iter().find(|count| count.stage.as_str() == stage).map_or(0, |count| count.customers)
    }
}

impl Tables for StageCountsReport {
    fn tables(&self) -> Vec<Table> {
        let mut now = Table::new(
            format!("Customers by stage ({})", JourneyModel::title(&self.model, self.model_version)),
            ["stage", "customers", "share", INTERVAL],
        );
        for stage in &self.stages {
            let share = [Cell::share(stage.share.share), stage.share.interval()];
            now.push([stage.stage.as_str().into(), stage.customers.into()].into_iter().chain(share));
        }
        now.push(["(none)".into(), self.without_stage.into(), Cell::Empty, Cell::Empty]);
        let mut tables = vec![now];
        if let (Some(period), Some(moments)) = (self.every, &self.over_time) {
            let columns = std::iter::once("period").chain(self.stages.iter().map(|stage| stage.stage.as_str()));
            let mut table = Table::new("Customers by stage at the end of each period (* not over)", columns);
            for moment in moments {
                let mark = if moment.finished { "" } else { " *" };
                let name = format!("{}{mark}", period.label(moment.period.into()));
                table.push(std::iter::once(name.into()).chain(moment.customers.iter().map(|&count| count.into())));
            }
            tables.push(table);
        }
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer", "stage", "since"]);
            let mut visits = Table::new("Visits of customers", ["customer", "stage", "since"]);
            for one in customers {
                let since = one.since.map_or(Cell::Empty, when);
                let stage = one.stage.as_ref().map_or("(none)", StageName::as_str);
                table.push([one.customer.as_str().into(), stage.into(), since]);
                for visit in one.visits.iter().flatten() {
                    visits.push([one.customer.as_str().into(), visit.stage.as_str().into(), when(visit.since)]);
                }
            }
            tables.push(table);
            tables.extend(self.over_time.is_some().then_some(visits));
        }
        tables
    }
}

impl fmt::Display for StageCountsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
