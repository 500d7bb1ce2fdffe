//! Stickiness: in how many periods customers are active.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Analysis, Binder, Bound, BoundScope, Matches, Rate, listed::by_id, rate::INTERVAL};
use crate::{
    error::{InvalidPlan, InvalidValue, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Condition, CustomerId, Micros, Period, PeriodSpan, RefusedName, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// Stickiness looks at this many periods at most.
pub const LIMIT_STICKINESS_PERIODS: u32 = 1_000;

/// In how many of the last periods customers are active.
///
/// # Question
/// Of the customers who are active at all in the last n days, weeks or months, how many are so in one of them, in two, in all?
///
/// # Definition
/// The n calendar periods are the last ones of the scope: the last of them holds the last moment of the range, or the end of
/// observation if that is earlier. A customer is active in a period if an event in it meets the condition and lies in the
/// scope's range. Each customer who is active in any counts once, for the number of distinct periods in which they are.
/// Shares are of all of these customers. If observation ends within the last period, or any of the periods does not lie wholly
/// in the range, the report says so (`finished: false`): in what lies outside nobody can be active. End observation with
/// [`Scope::as_of`](crate::Scope::as_of), or the range, where a period ends to leave the unfinished one out.
///
/// # Worked example
/// ```
/// use journeylog::{Event, Journeys, Period, Stickiness};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "visit"), Event::at(day(5), "ann", "visit"), Event::at(day(6), "ann", "visit"),
///     Event::at(day(5), "bob", "visit"), Event::at(day(5), "bob", "visit"), Event::at(day(2), "cat", "visit"),
/// ])?;
/// let report = journeys.query().run(&Stickiness::of("visit", Period::DAY, 3)?)?; // days 4, 5 and 6
/// let customers: Vec<_> = report.rows.iter().map(|row| (row.exactly.some, row.at_least.some)).collect();
/// assert_eq!(customers, [(1, 2), (1, 1), (0, 0)]);
/// assert_eq!(report.mean, Some(1.5));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each active event in these periods. Memory: a number for each period, and the customers if they are
/// listed.
///
/// # Literature
/// The histogram is known as L7 and L28, after days of a week and of four; the mean divided by n is what is called DAU/MAU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Stickiness {
    activity: Condition,
    period: Period,
    of: u32,
    customers: bool,
}

/// The JSON form: `{"activity":{"touchpoint":"visit"},"period":"day","of":28,"customers":true}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    activity: Condition,
    period: Period,
    of: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Form);

impl Stickiness {
    /// By events for which a condition holds, in the last `of` periods; a text alone is a touchpoint, and
    /// `Condition::All(vec![])` any event.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked, or if there are no periods or more than 1,000.
    pub fn of<C>(activity: C, period: Period, of: u32) -> Result<Self, InvalidPlan>
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let refused = |e: C::Error| InvalidValue::from(e.into()).within("stickiness");
        Form { activity: activity.try_into().map_err(refused)?, period, of, customers: false }.try_into()
    }

    /// Lists the customers with the number of their periods.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl TryFrom<Form> for Stickiness {
    type Error = InvalidPlan;
    fn try_from(Form { activity, period, of, customers }: Form) -> Result<Self, InvalidPlan> {
        activity.check().map_err(|e| e.within("stickiness.activity"))?;
        if !(1..=LIMIT_STICKINESS_PERIODS).contains(&of) {
            let reason = format!("is {of}, 1 to {LIMIT_STICKINESS_PERIODS} periods are allowed");
            return Err(InvalidPlan::new("stickiness.of", reason));
        }
        Ok(Self { activity, period, of, customers })
    }
}

impl From<Stickiness> for Form {
    fn from(Stickiness { activity, period, of, customers }: Stickiness) -> Self {
        Self { activity, period, of, customers }
    }
}

impl Analysis for Stickiness {
    type Bound = BoundStickiness;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundStickiness, InvalidPlan> {
        let matches = binder.matches(std::slice::from_ref(&self.activity))?;
        let scope = binder.scope().clone();
        let last = scope.to.map_or(scope.end, |to| scope.end.min(Micros(to.0.saturating_sub(1))));
        let span = self.period.span_of(last);
        let before = |start: &Micros| (*start > Micros::MIN).then(|| self.period.start_of(Micros(start.0 - 1)));
        let earlier = std::iter::successors(Some(span.start), before);
        // At the beginning of time the first period is its own forerunner.
        let mut starts: Vec<Micros> = earlier.take(self.of as usize).collect();
        starts.dedup();
        starts.reverse();
        Ok(BoundStickiness { plan: self.clone(), matches, scope, starts, end: span.end })
    }
}

/// Stickiness bound to a store.
#[derive(Debug)]
pub struct BoundStickiness {
    plan: Stickiness,
    matches: Matches,
    scope: BoundScope,
    /// Where the periods begin, in order.
    starts: Vec<Micros>,
    /// Where the last one ends.
    end: Micros,
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StickinessState {
    /// The customers with 1, 2 .. periods.
    customers: Vec<u64>,
    listed: Vec<(CustomerNo, u32)>,
}

impl BoundStickiness {
    /// In how many periods a customer is active.
    fn count(&self, times: &[Micros]) -> usize {
        let first = self.starts.first().copied().unwrap_or(Micros::MIN);
        let times = times.get(times.partition_point(|at| *at < first)..).unwrap_or_default();
        let mut count = 0;
        let mut latest = None;
        for at in times.iter().filter(|at| self.scope.counts(**at)).take_while(|at| **at < self.end) {
            let place = self.starts.partition_point(|start| start <= at);
            if latest != Some(place) {
                (latest, count) = (Some(place), count + 1);
            }
        }
        count
    }
}

impl Bound for BoundStickiness {
    type State = StickinessState;
    type Report = StickinessReport;

    fn start(&self) -> StickinessState {
        StickinessState { customers: vec![0; self.plan.of as usize], listed: Vec::new() }
    }

    fn visit(&self, state: &mut StickinessState, journey: &Journey<'_>) {
        let count = self.count(self.matches.of(journey).times);
        let Some(customers) = count.checked_sub(1).and_then(|place| state.customers.get_mut(place)) else { return };
        *customers += 1;
        if self.plan.customers {
            state.listed.push((journey.customer(), u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }

    fn merge(&self, state: &mut StickinessState, other: StickinessState) {
        state.customers.iter_mut().zip(other.customers).for_each(|(here, there)| *here += there);
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &StickinessState) -> usize {
        state.customers.len() * 8 + state.listed.len() * 8
    }

    fn finish(&self, state: StickinessState, names: &Names) -> Result<StickinessReport> {
        let all: u64 = state.customers.iter().sum();
        let periods: u64 = (1..).zip(&state.customers).map(|(periods, customers)| periods * customers).sum();
        let mut at_least = all;
        let rows = (1..).zip(&state.customers).map(|(periods, &exactly)| {
            let row = StickinessRow { periods, exactly: Rate::new(exactly, all), at_least: Rate::new(at_least, all) };
            at_least -= exactly;
            row
        });
        let rows = rows.collect();
        let listed = || by_id(state.listed, names, |customer, periods| StickinessCustomer { customer, periods });
        Ok(StickinessReport {
            period: self.plan.period,
            from: self.starts.first().copied().unwrap_or(Micros::MIN).to_datetime(),
            finished: {
                let start = self.starts.first().copied().unwrap_or(self.end);
                self.scope.holds_whole(PeriodSpan { start, end: self.end })
            },
            active: all,
            mean: (all > 0).then(|| periods as f64 / all as f64),
            rows,
            customers: self.plan.customers.then(listed),
        })
    }
}

/// In how many of the last periods customers are active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StickinessReport {
    /// The calendar period.
    pub period: Period,
    /// The first moment of the first period.
    pub from: DateTime<Utc>,
    /// False if observation ends within the last period, or they do not all lie wholly in the scope's range.
    pub finished: bool,
    /// Customers active in any of them.
    pub active: u64,
    /// In how many of them they are active on average; `None` of no customers.
    pub mean: Option<f64>,
    /// For 1, 2 .. up to all periods.
    pub rows: Vec<StickinessRow>,
    /// The customers by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<StickinessCustomer>>,
}

/// Customers active in so many periods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StickinessRow {
    /// How many periods.
    pub periods: u32,
    /// Customers active in just so many.
    pub exactly: Rate,
    /// Customers active in so many or more.
    pub at_least: Rate,
}

/// A customer and the number of their periods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StickinessCustomer {
    /// Who.
    pub customer: CustomerId,
    /// In how many periods they are active.
    pub periods: u32,
}

impl Tables for StickinessReport {
    fn tables(&self) -> Vec<Table> {
        let mark = if self.finished { "" } else { ", not all over and in the range" };
        let from = self.period.label(self.from.into());
        let title = format!("Stickiness ({} periods from {from}{mark})", self.rows.len());
        let mut table = Table::new(title, ["periods", "customers", "share", INTERVAL, "at least", "share", INTERVAL]);
        for StickinessRow { periods, exactly, at_least } in &self.rows {
            table.push([
                u64::from(*periods).into(),
                exactly.some.into(),
                Cell::share(exactly.share),
                exactly.interval(),
                at_least.some.into(),
                Cell::share(at_least.share),
                at_least.interval(),
            ]);
        }
        let mut all = Table::new("All of them", ["customers", "mean periods"]);
        all.push([self.active.into(), self.mean.map_or(Cell::Empty, |mean| format!("{mean:.2}").into())]);
        let mut tables = vec![table, all];
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer", "periods"]);
            for one in customers {
                table.push([one.customer.as_str().into(), u64::from(one.periods).into()]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for StickinessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"activity":{"touchpoint":"visit"},"period":"day","of":28,"customers":true}"#;
        let plan: Stickiness = serde_json::from_str(text).unwrap();
        assert_eq!(plan, Stickiness::of("visit", Period::DAY, 28).unwrap().list_customers());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |activity, of| Stickiness::of(activity, Period::DAY, of).unwrap_err().to_string();
        assert!(refused("", 1).starts_with("stickiness.touchpoint: is empty"));
        assert!(refused("visit", 0).starts_with("stickiness.of: is 0"));
        assert!(refused("visit", 1_001).starts_with("stickiness.of: is 1001"));
    }
}
