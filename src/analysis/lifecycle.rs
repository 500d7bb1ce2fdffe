//! Lifecycle: who is new, who goes on, who comes back and who falls silent, period by period.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, Matches,
    listed::{by_id, of_each},
    over_time::over_time,
};
use crate::{
    error::{InvalidPlan, InvalidValue, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Condition, CustomerId, Micros, Period, PeriodSpan, Periods, RefusedName, only_an_object},
    table::{Table, Tables, write_tables},
};

/// The lifecycle of customers by period.
///
/// # Question
/// In each period: how many customers are active for the first time, still, or again, and how many fell silent?
///
/// # Definition
/// A customer is active in a calendar [`Period`] if an event in it meets the condition and lies in the scope's range. They are
/// then **new** if no such event lies in an earlier period, **returning** if one lies in the period before, else
/// **resurrected**: `active = new + returning + resurrected`. They are **dormant** in the first period without such an event
/// after one with it, once for each time that they fall silent. What comes before or after the range is read to tell these
/// apart; a period counts its dormant customers if any moment of it lies in the range.
///
/// Listed are all periods from the first in which anybody is counted to the one that holds the last moment of the range, or
/// the end of observation if that is earlier. One that goes on beyond the end of observation is marked (`finished: false`),
/// since its dormant customers may still come; and so is one that does not lie wholly in the range, of whose active customers
/// only those of the part in it are counted. Without a range, those active in one period are the returning and the dormant of the
/// next.
///
/// # Worked example
/// ```
/// use journeylog::{Event, Journeys, Lifecycle, Period};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "visit"), Event::at(day(1), "ann", "visit"), Event::at(day(3), "ann", "visit"),
///     Event::at(day(1), "bob", "visit"),
/// ])?;
/// let report = journeys.query().run(&Lifecycle::of("visit", Period::DAY)?)?;
/// let days: Vec<_> = report.periods.iter().map(|d| (d.new, d.returning, d.resurrected, d.dormant)).collect();
/// assert_eq!(days, [(1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 0, 2), (0, 0, 1, 0)]);
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each active event. Memory: five numbers for each period, and for each customer the periods in which they
/// are counted, if these are listed.
///
/// # Literature
/// It is the growth accounting of subscription businesses, without their revenue; the names are those that tools for product
/// analytics use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Lifecycle {
    activity: Condition,
    period: Period,
    customers: bool,
}

/// The JSON form: `{"activity":{"touchpoint":"visit"},"period":"week","customers":true}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    activity: Condition,
    period: Period,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Form);

impl Lifecycle {
    /// By events for which a condition holds; a text alone is a touchpoint, and `Condition::All(vec![])` any event.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked.
    pub fn of<C>(activity: C, period: Period) -> Result<Self, InvalidPlan>
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let refused = |e: C::Error| InvalidValue::from(e.into()).within("lifecycle");
        Form { activity: activity.try_into().map_err(refused)?, period, customers: false }.try_into()
    }

    /// Lists the customers with the periods in which they are counted, and as what.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl TryFrom<Form> for Lifecycle {
    type Error = InvalidPlan;
    fn try_from(Form { activity, period, customers }: Form) -> Result<Self, InvalidPlan> {
        activity.check().map_err(|e| e.within("lifecycle.activity"))?;
        Ok(Self { activity, period, customers })
    }
}

impl From<Lifecycle> for Form {
    fn from(Lifecycle { activity, period, customers }: Lifecycle) -> Self {
        Self { activity, period, customers }
    }
}

impl Analysis for Lifecycle {
    type Bound = BoundLifecycle;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundLifecycle, InvalidPlan> {
        let matches = binder.matches(std::slice::from_ref(&self.activity))?;
        Ok(BoundLifecycle {
            period: self.period,
            matches,
            scope: binder.scope().clone(),
            lists_customers: self.customers,
        })
    }
}

/// A lifecycle bound to a store.
#[derive(Debug)]
pub struct BoundLifecycle {
    period: Period,
    matches: Matches,
    scope: BoundScope,
    lists_customers: bool,
}

/// What is counted, by the starts of periods.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LifecycleState {
    counts: BTreeMap<Micros, Counts>,
    /// By the starts of periods too, each customer's in order.
    listed: Vec<(CustomerNo, (Micros, LifecyclePhase))>,
    /// Room for looking periods up.
    #[serde(skip)]
    periods: Periods,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    active: u64,
    new: u64,
    returning: u64,
    resurrected: u64,
    dormant: u64,
}

impl BoundLifecycle {
    /// The last moment of the scope.
    fn last_moment(&self) -> Micros {
        let of_range = self.scope.to.map_or(Micros::MAX, |to| Micros(to.0.saturating_sub(1)));
        of_range.min(self.scope.end)
    }

    /// Counts a customer who was active in a period and is not in the next.
    fn count_dormant(&self, state: &mut LifecycleState, active: PeriodSpan, customer: CustomerNo) {
        if active.end > self.last_moment() {
            return;
        }
        let silent = state.periods.span_of(self.period, active.end);
        if silent.end > self.scope.from {
            state.counts.entry(silent.start).or_default().dormant += 1;
            self.list(state, customer, silent.start, LifecyclePhase::Dormant);
        }
    }

    fn list(&self, state: &mut LifecycleState, customer: CustomerNo, period: Micros, phase: LifecyclePhase) {
        if self.lists_customers {
            state.listed.push((customer, (period, phase)));
        }
    }
}

impl Bound for BoundLifecycle {
    type State = LifecycleState;
    type Report = LifecycleReport;

    fn start(&self) -> LifecycleState {
        LifecycleState::default()
    }

    fn visit(&self, state: &mut LifecycleState, journey: &Journey<'_>) {
        // The latest active period, the one before it, and whether the latest is counted.
        let mut latest: Option<PeriodSpan> = None;
        let mut before: Option<PeriodSpan> = None;
        let mut is_counted = false;
        for &at in self.matches.of(journey).times {
            if latest.is_none_or(|latest| !latest.contains(at)) {
                let span = state.periods.span_of(self.period, at);
                if let Some(silent) = latest.filter(|latest| latest.end != span.start) {
                    self.count_dormant(state, silent, journey.customer());
                }
                (before, latest, is_counted) = (latest, Some(span), false);
            }
            if let Some(span) = latest.filter(|_| !is_counted && self.scope.counts(at)) {
                let counts = state.counts.entry(span.start).or_default();
                counts.active += 1;
                let (count, phase) = match before {
                    None => (&mut counts.new, LifecyclePhase::New),
                    Some(before) if before.end == span.start => (&mut counts.returning, LifecyclePhase::Returning),
                    Some(_) => (&mut counts.resurrected, LifecyclePhase::Resurrected),
                };
                *count += 1;
                self.list(state, journey.customer(), span.start, phase);
                is_counted = true;
            }
        }
        if let Some(latest) = latest {
            self.count_dormant(state, latest, journey.customer());
        }
    }

    fn merge(&self, state: &mut LifecycleState, other: LifecycleState) {
        for (start, there) in other.counts {
            let here = state.counts.entry(start).or_default();
            here.active += there.active;
            here.new += there.new;
            here.returning += there.returning;
            here.resurrected += there.resurrected;
            here.dormant += there.dormant;
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &LifecycleState) -> usize {
        let listed = state.listed.len() * size_of::<(CustomerNo, (Micros, LifecyclePhase))>();
        state.counts.len() * 2 * (size_of::<Micros>() + size_of::<Counts>()) + listed + state.periods.size()
    }

    fn finish(&self, state: LifecycleState, names: &Names) -> Result<LifecycleReport> {
        let first = state.counts.keys().next().copied().unwrap_or(Micros::MAX);
        let row = |span: PeriodSpan| {
            let Counts { active, new, returning, resurrected, dormant } =
                state.counts.get(&span.start).copied().unwrap_or_default();
            LifecyclePeriod {
                period: span.start.to_datetime(),
                finished: self.scope.holds_whole(span),
                active,
                new,
                returning,
                resurrected,
                dormant,
            }
        };
        let periods = over_time(self.period, first, self.last_moment())?.into_iter().map(row).collect();
        let customers = self.lists_customers.then(|| listed(&state.listed, names));
        Ok(LifecycleReport { period: self.period, periods, customers })
    }
}

/// The customers by id.
fn listed(found: &[(CustomerNo, (Micros, LifecyclePhase))], names: &Names) -> Vec<LifecycleCustomer> {
    by_id(of_each(found), names, |customer, rows| {
        let phase = |&(_, (period, phase)): &(_, (Micros, _))| CustomerPhase { period: period.to_datetime(), phase };
        LifecycleCustomer { customer, periods: rows.iter().map(phase).collect() }
    })
}

/// The lifecycle of customers by period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LifecycleReport {
    /// The calendar period.
    pub period: Period,
    /// Each period, in order.
    pub periods: Vec<LifecyclePeriod>,
    /// The customers by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<LifecycleCustomer>>,
}

/// One period of a lifecycle: `active = new + returning + resurrected`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LifecyclePeriod {
    /// Its first moment.
    pub period: DateTime<Utc>,
    /// False if observation ends within it, or it does not lie wholly in the scope's range.
    pub finished: bool,
    /// Customers active in it.
    pub active: u64,
    /// Of these, active in no earlier period.
    pub new: u64,
    /// Of these, active in the period before too.
    pub returning: u64,
    /// Of these, active in an earlier period, but not in the one before.
    pub resurrected: u64,
    /// Customers active in the period before, and not in this one.
    pub dormant: u64,
}

/// A customer with the periods in which they are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LifecycleCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Each period in which they are active or dormant, in order.
    pub periods: Vec<CustomerPhase>,
}

/// As what a customer is counted in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerPhase {
    /// The period's first moment.
    pub period: DateTime<Utc>,
    /// As what.
    pub phase: LifecyclePhase,
}

/// What a customer can be in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifecyclePhase {
    /// Active, and in no earlier period.
    New,
    /// Active, and in the period before too.
    Returning,
    /// Active, and in an earlier period, but not in the one before.
    Resurrected,
    /// Active in the period before, and not in this one.
    Dormant,
}

impl fmt::Display for LifecyclePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Returning => "returning",
            Self::Resurrected => "resurrected",
            Self::Dormant => "dormant",
        })
    }
}

impl Tables for LifecycleReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["period", "active", "new", "returning", "resurrected", "dormant"];
        let mut table = Table::new("Lifecycle (* not over, or not wholly in the range)", columns);
        for row in &self.periods {
            let mark = if row.finished { "" } else { " *" };
            let name = format!("{}{mark}", self.period.label(row.period.into()));
            let counts = [row.active, row.new, row.returning, row.resurrected, row.dormant];
            table.push(std::iter::once(name.into()).chain(counts.map(Into::into)));
        }
        let mut tables = vec![table];
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer", "period", "is"]);
            for one in customers {
                for row in &one.periods {
                    let period = self.period.label(row.period.into());
                    table.push([one.customer.as_str().into(), period.into(), row.phase.to_string().into()]);
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for LifecycleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"activity":{"touchpoint":"visit"},"period":"week","customers":true}"#;
        let plan: Lifecycle = serde_json::from_str(text).unwrap();
        assert_eq!(plan, Lifecycle::of("visit", Period::WEEK).unwrap().list_customers());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        assert!(Lifecycle::of("", Period::DAY).unwrap_err().to_string().starts_with("lifecycle.touchpoint: is empty"));
    }
}
