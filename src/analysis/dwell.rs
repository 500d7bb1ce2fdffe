//! Dwell: how long customers stay in each stage, and where they wait.

use std::{cmp::Reverse, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, DurationSummary, Durations, Rate, RateDifference, StageReading, SurvivalPoint,
    SurvivalTime,
    bottleneck::{self, Place},
    listed::{by_id, of_each, when},
    survival::Survival,
};
use crate::{
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{CustomerId, JourneyModel, Micros, MoveKind, StageName, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// How long customers stay in each stage of a journey model, and in which of them they wait.
///
/// # Question
/// How long does a visit to a stage last? And which stage holds customers up: where do how many wait, for how long, and do
/// fewer go on from there than from elsewhere?
///
/// # Definition
/// A visit lasts from its first event to the first event of the next stage, whichever that is. A visit still open at the end of
/// observation is *censored*: it lasts at least so long. It is neither left out, which would make stays look shorter than they
/// are, nor counted as over. A scope's range says which visits count, by their beginning; how they end is read beyond it, up to
/// the end of observation. Events that bear no stage leave a visit as it is; of two tied events the one that arrived first is
/// the earlier.
///
/// For each stage the share of visits that last longer than t, S(t), is a Kaplan-Meier curve: at each length at which visits end,
/// it is multiplied by the share that do not end, of all that lasted at least so long. At equal lengths, visits that end come
/// before censored ones. Its interval at 95 % is the log-log one with Greenwood's variance; it is 1 to 1 before any visit ends,
/// and, where none is defined because S is 0, 0 to 0. The median is the first t with S(t) <= 0.5, and `p90` the first with
/// S(t) <= 0.1; either is `None` if the curve does not come down so far within what was observed. The ends of their intervals are
/// where the ends of the curve's interval come down so far. Intervals take all visits as independent of each other; where many are of
/// the same customers, who stay alike long each time, the true ones are wider. The curve is listed at the edges of the histograms of this crate
/// ([`TimeBin`](crate::TimeBin)), as long as any visit lasted.
///
/// Of a **bottleneck**: `waiting` are the customers whose visit, begun in the range, is still open at the end of observation (who
/// came before the range is in no figure; without a range it is everybody who is in the stage), `waited` how long it has been open, `went_on` the
/// visits that ended (by any move) of all, `others` the same of all other stages together, and `difference` the one less the
/// other. Bottlenecks are in the order of customers who wait, then of the model's stages.
///
/// # Worked example
/// ```
/// use journeylog::{Dwell, Event, JourneyModel, Journeys};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "ad_click"), Event::at(day(1), "ann", "product_view"), Event::at(day(5), "ann", "purchase"),
///     Event::at(day(0), "bob", "ad_click"), Event::at(day(3), "bob", "product_view"),
///     Event::at(day(4), "cat", "ad_click"),
/// ])?;
/// let report = journeys.query().run(&Dwell::of(JourneyModel::standard()))?;
/// let awareness = report.stage("awareness").unwrap();
/// assert_eq!((awareness.visits, awareness.departed, awareness.still_here), (3, 2, 1));
/// // After a day Ann has gone, and Cat was last seen: of the two then left, one has been watched on, Bob, who went after three.
/// let share_after_a_day = awareness.curve.iter().find(|point| point.seconds == 86_400).unwrap().survival;
/// assert!((share_after_a_day - 2.0 / 3.0).abs() < 1e-9);
/// assert_eq!(awareness.median.seconds, Some(3.0 * 86_400.0)); // without Cat it would be one day
/// // In consideration Bob still waits, for two days by now.
/// let consideration = report.bottleneck("consideration").unwrap();
/// assert_eq!((consideration.waiting, consideration.waited.unwrap().median), (1, 2.0 * 86_400.0));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each visit. Memory: the lengths of visits, those that ended and those still open, for each stage. Up to 16,384
/// of a kind they are exact; beyond that both kinds of the stage are counted in buckets, and every length is taken to be as
/// much as one part in 1,024 shorter than it is (`relative_error`). If customers are listed, their visits too.
///
/// # Compared with
/// It is `survfit` of R with `conf.type = "log-log"`, and `KaplanMeierFitter` of lifelines. R gives no interval where S is 0.
/// The mean dwell of other tools, of visits that ended only, is in [`Transitions`](crate::Transitions).
///
/// # Literature
/// E. L. Kaplan and P. Meier (1958), "Nonparametric estimation from incomplete observations"; M. Greenwood (1926), "The natural
/// duration of cancer"; R. Brookmeyer and J. Crowley (1982), "A confidence interval for the median survival time".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan answers nothing until it is run"]
pub struct Dwell {
    /// The model; `None` for that of the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<JourneyModel>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Dwell);

impl Dwell {
    /// In the stages of a model.
    pub fn of(model: JourneyModel) -> Self {
        Self { model: Some(model), customers: false }
    }

    /// In the stages of the model that the question names, else of the standard one.
    pub fn of_question() -> Self {
        Self { model: None, customers: false }
    }

    /// Lists the customers with their visits.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl Analysis for Dwell {
    type Bound = BoundDwell;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundDwell, InvalidPlan> {
        let model = self.model.clone().unwrap_or_else(|| binder.model().clone());
        Ok(BoundDwell {
            reading: binder.stages(&model),
            scope: binder.scope().clone(),
            lists_customers: self.customers,
            model,
        })
    }
}

/// Dwell bound to a store.
#[derive(Debug)]
pub struct BoundDwell {
    model: JourneyModel,
    reading: StageReading,
    scope: BoundScope,
    lists_customers: bool,
}

/// What is counted, for each stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DwellState {
    stages: Vec<StageState>,
    /// Each customer's in order.
    listed: Vec<(CustomerNo, Stay)>,
}

/// A visit that counts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stay {
    stage: usize,
    since: Micros,
    /// When it ended, and to which stage the customer went.
    end: Option<(Micros, usize)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StageState {
    /// How long the visits lasted that ended ...
    departed: Durations,
    /// ... and how long those that are still open have by now.
    still_here: Durations,
    /// How many ended with a move to each stage.
    ends: Vec<u64>,
}

impl Bound for BoundDwell {
    type State = DwellState;
    type Report = DwellReport;

    fn start(&self) -> DwellState {
        let stages = self.model.stages().len();
        let stage =
            || StageState { departed: Durations::default(), still_here: Durations::default(), ends: vec![0; stages] };
        DwellState { stages: (0..stages).map(|_| stage()).collect(), listed: Vec::new() }
    }

    fn visit(&self, state: &mut DwellState, journey: &Journey<'_>) {
        let mut visits = self.reading.of(journey).peekable();
        while let Some(visit) = visits.next() {
            let Some(stage) = state.stages.get_mut(visit.stage).filter(|_| self.scope.counts(visit.since)) else {
                continue;
            };
            match visits.peek() {
                Some(next) => {
                    stage.departed.add_between(visit.since, next.since);
                    stage.ends.get_mut(next.stage).into_iter().for_each(|count| *count += 1);
                }
                None => stage.still_here.add_between(visit.since, self.scope.end),
            }
            if self.lists_customers {
                let end = visits.peek().map(|next| (next.since, next.stage));
                state.listed.push((journey.customer(), Stay { stage: visit.stage, since: visit.since, end }));
            }
        }
    }

    fn merge(&self, state: &mut DwellState, other: DwellState) {
        for (here, there) in state.stages.iter_mut().zip(other.stages) {
            here.departed.merge(there.departed);
            here.still_here.merge(there.still_here);
            here.ends.iter_mut().zip(there.ends).for_each(|(here, there)| *here += there);
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &DwellState) -> usize {
        let lengths = |stage: &StageState| stage.departed.size() + stage.still_here.size() + stage.ends.len() * 8;
        let listed = state.listed.len() * size_of::<(CustomerNo, Stay)>();
        state.stages.iter().map(|stage| size_of::<StageState>() + lengths(stage)).sum::<usize>() + listed
    }

    fn finish(&self, state: DwellState, names: &Names) -> Result<DwellReport> {
        let waited: Vec<_> = state.stages.iter().map(|stage| stage.still_here.summary()).collect();
        let departed: Vec<u64> = state.stages.iter().map(|stage| stage.ends.iter().sum()).collect();
        let waiting: Vec<u64> = waited.iter().map(|waited| waited.map_or(0, |waited| waited.count)).collect();
        let all_departed: u64 = departed.iter().sum();
        let all_visits: u64 = all_departed + waiting.iter().sum::<u64>();
        let mut stages = Vec::with_capacity(state.stages.len());
        let mut bottlenecks = Vec::with_capacity(state.stages.len());
        let counts = departed.into_iter().zip(waiting).zip(waited);
        for ((place, (stage, name)), ((departed, waiting), waited)) in
            state.stages.iter().zip(self.model.stages()).enumerate().zip(counts)
        {
            let visits = departed + waiting;
            let survival = Survival::of(&stage.departed, &stage.still_here);
            stages.push(StageDwell {
                stage: name.clone(),
                visits,
                departed,
                still_here: waiting,
                median: survival.until(0.5),
                p90: survival.until(0.1),
                relative_error: survival.relative_error,
                ends: self.ends(place, &stage.ends, visits),
                curve: survival.points(),
            });
            let went_on = Rate::new(departed, visits);
            let others = Rate::new(all_departed - departed, all_visits - visits);
            let difference = went_on.difference_to(&others);
            bottlenecks.push(DwellBottleneck { stage: name.clone(), waiting, waited, went_on, others, difference });
        }
        bottlenecks.sort_by_key(|bottleneck| Reverse(bottleneck.waiting));
        let customers = self.lists_customers.then(|| self.listed(&state.listed, names));
        Ok(DwellReport {
            model: self.model.name().to_owned(),
            model_version: self.model.version(),
            stages,
            bottlenecks,
            customers,
        })
    }
}

impl BoundDwell {
    /// The customers by id.
    fn listed(&self, found: &[(CustomerNo, Stay)], names: &Names) -> Vec<DwellCustomer> {
        let name = |stage: usize| self.model.stages().get(stage).cloned();
        let visit = |(_, stay): &(CustomerNo, Stay)| {
            Some(CustomerVisit {
                stage: name(stay.stage)?,
                since: stay.since.to_datetime(),
                until: stay.end.map(|(at, _)| at.to_datetime()),
                to: stay.end.and_then(|(_, to)| name(to)),
            })
        };
        by_id(of_each(found), names, |customer, rows| DwellCustomer {
            customer,
            visits: rows.iter().filter_map(visit).collect(),
        })
    }

    /// How the visits to one stage ended.
    fn ends(&self, from: usize, counts: &[u64], visits: u64) -> Vec<DwellEnd> {
        let end = |(to, (stage, &count)): (usize, (&StageName, &u64))| {
            let kind = JourneyModel::kind_of(Some(from), to)?;
            Some(DwellEnd { to: stage.clone(), kind, count, share: Rate::new(count, visits) })
        };
        self.model.stages().iter().zip(counts).enumerate().filter_map(end).collect()
    }
}

/// How long customers stay in each stage, and where they wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DwellReport {
    /// The name of the model.
    pub model: String,
    /// Its version.
    pub model_version: u32,
    /// Each stage, in the order of the model.
    pub stages: Vec<StageDwell>,
    /// Each stage again, the one in which most customers wait first.
    pub bottlenecks: Vec<DwellBottleneck>,
    /// The customers by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<DwellCustomer>>,
}

/// How long visits to one stage last: `visits = departed + still_here`, and `departed` is the sum of its ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageDwell {
    /// The stage.
    pub stage: StageName,
    /// Visits that began in the scope's range.
    pub visits: u64,
    /// Of these, those that ended.
    pub departed: u64,
    /// Of these, those still open at the end of observation.
    pub still_here: u64,
    /// When half of them are over.
    pub median: SurvivalTime,
    /// When nine in ten are over.
    pub p90: SurvivalTime,
    /// How far lengths may have been taken to be shorter than they are, as a share: 0 if they are exact.
    pub relative_error: f64,
    /// How they ended: a row for each other stage.
    pub ends: Vec<DwellEnd>,
    /// The share of visits that last longer than so long.
    pub curve: Vec<SurvivalPoint>,
}

/// Visits to a stage that ended with a move to one other stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DwellEnd {
    /// The stage entered.
    pub to: StageName,
    /// How the move is called.
    pub kind: MoveKind,
    /// How many ended so.
    pub count: u64,
    /// Of all visits, those still open too.
    pub share: Rate,
}

/// Who waits in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DwellBottleneck {
    /// The stage.
    pub stage: StageName,
    /// Customers whose visit, begun in the scope's range, is still open at the end of observation.
    pub waiting: u64,
    /// For how long they have been.
    pub waited: Option<DurationSummary>,
    /// Visits that ended, of all.
    pub went_on: Rate,
    /// The same of all other stages together.
    pub others: Rate,
    /// How much the two differ; `None` if there are no visits on one side.
    pub difference: Option<RateDifference>,
}

/// A customer with their visits to stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DwellCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Each visit that began in the scope's range, in order.
    pub visits: Vec<CustomerVisit>,
}

/// One visit of one customer to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerVisit {
    /// The stage.
    pub stage: StageName,
    /// When it began.
    pub since: DateTime<Utc>,
    /// When it ended; `None` if it is still open at the end of observation.
    pub until: Option<DateTime<Utc>>,
    /// To which stage the customer went then.
    pub to: Option<StageName>,
}

impl DwellReport {
    /// A stage by its name.
    pub fn stage(&self, name: &str) -> Option<&StageDwell> {
        self.stages.iter().find(|dwell| dwell.stage.as_str() == name)
    }

    /// Who waits in a stage, by its name.
    pub fn bottleneck(&self, name: &str) -> Option<&DwellBottleneck> {
        self.bottlenecks.iter().find(|bottleneck| bottleneck.stage.as_str() == name)
    }
}

impl Tables for DwellReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["stage", "visits", "departed", "still here", "median", "low", "high", "p90"];
        let mut dwell =
            Table::new(format!("Dwell ({})", JourneyModel::title(&self.model, self.model_version)), columns);
        let mut ends = Table::new("Ends of visits", ["from", "to", "kind", "count", "share"]);
        let mut curve =
            Table::new("Still there (where it changes)", ["stage", "after", "share", "low", "high", "at risk"]);
        for stage in self.stages.iter().filter(|stage| stage.visits > 0) {
            let name = stage.stage.as_str();
            dwell.push(
                [name.into(), stage.visits.into(), stage.departed.into(), stage.still_here.into()].into_iter().chain(
                    [stage.median.seconds, stage.median.low, stage.median.high, stage.p90.seconds].map(Cell::seconds),
                ),
            );
            for end in stage.ends.iter().filter(|end| end.count > 0) {
                let share = Cell::share(end.share.share);
                ends.push([name.into(), end.to.as_str().into(), end.kind.to_string().into(), end.count.into(), share]);
            }
            // Only where the share is another one.
            let mut before = None;
            for point in stage.curve.iter().filter(|point| before.replace(point.survival) != Some(point.survival)) {
                let after = Cell::Seconds(point.seconds as f64);
                let [share, low, high] = [point.survival, point.low, point.high].map(Cell::Share);
                curve.push([name.into(), after, share, low, high, point.at_risk.into()]);
            }
        }
        let places = self.bottlenecks.iter().map(|one| {
            let DwellBottleneck { stage, waiting, waited, went_on, others, difference } = one.clone();
            Place { at: stage.as_str().into(), waiting, waited, went_on, others, difference }
        });
        let waiting = bottleneck::table("stage", places);
        let mut tables = vec![dwell, waiting, ends, curve];
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer", "stage", "since", "until", "to"]);
            for one in customers {
                for visit in &one.visits {
                    table.push([
                        one.customer.as_str().into(),
                        visit.stage.as_str().into(),
                        when(visit.since),
                        visit.until.map_or(Cell::Empty, when),
                        visit.to.as_ref().map_or(Cell::Empty, |to| to.as_str().into()),
                    ]);
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for DwellReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let plan: Dwell = serde_json::from_str("{}").unwrap();
        assert_eq!(plan, Dwell::of_question());
        assert_eq!(serde_json::to_string(&plan).unwrap(), "{}");
        let plan = Dwell::of(JourneyModel::standard()).list_customers();
        assert_eq!(serde_json::from_str::<Dwell>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        assert!(serde_json::from_str::<Dwell>(r#"{"modle":{}}"#).unwrap_err().to_string().contains("modle"));
    }
}
