//! What a question about retention asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, RefusedName, Window, only_an_object},
};

/// Retention is followed for at most so many periods.
pub const LIMIT_RETENTION_PERIODS: u32 = 1_000;
const DEFAULT_PERIODS: u32 = 12;
const HOUR: i64 = 3_600_000_000;

/// When a customer counts as retained in a column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Criterion {
    /// They return in the column's period.
    #[default]
    On,
    /// They return in the column's period or in any later one, up to the end of observation.
    OnOrAfter,
    /// They return within a bracket of periods. The numbers say where brackets begin, and the last one where the last
    /// bracket ends: `[1, 3, 7]` is periods 1 to 2, and 3 to 6.
    Bracket(Vec<u32>),
}

/// To which cohorts a customer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cohorts {
    /// To each in which a start of theirs occurs.
    #[default]
    Recurring,
    /// To that of their first start ever, looked for before the scope's range too.
    FirstEver,
}

/// Retention by cohort.
///
/// # Question
/// Of the customers who start in a period, how many come back one, two, three periods later, and with how much money?
///
/// # Definition
/// A customer is in the cohort of a calendar [`Period`] if an event in it meets the start condition and lies in the scope's
/// range: in each such cohort ([`Cohorts::Recurring`]), or in that of the first start of their whole journey only, if the
/// range holds it ([`Cohorts::FirstEver`]). Their clock starts with their first start that counts for the cohort.
///
/// Column 0 is the customers who start. In column k they are counted if at least [`at_least`](CohortRetentionBuilder::at_least)
/// events that meet the return condition lie in the k-th period after that of the start ([`Criterion::On`]), in that or
/// any later one ([`Criterion::OnOrAfter`]), or in a bracket of periods ([`Criterion::Bracket`]). Returns are read beyond
/// the range, up to the end of observation. Periods are those of the calendar; or, if
/// [`elapsed`](CohortRetentionBuilder::elapsed) is set, exact: period k is from k to, not including, k + 1 times that length
/// after the start. Events at one instant are interchangeable.
///
/// The value of a column is the money of the returns for which its customers are counted, by currency; that of column 0 is
/// the money of starts and returns from the customer's start to the end of period 0, each event once.
///
/// A cell's rate is of its cohort's column 0. Cells whose period had not begun by the end of observation are not there, and
/// those whose period was not over for some customer of the cohort are marked (`finished: false`); also for
/// [`Criterion::OnOrAfter`] it is the period that must be over, and returns after the end of observation may still raise the
/// cell. The average pools the finished cells of each column: their customers of all their cohorts' customers. Cohorts in
/// which nobody starts are left out. A cohort whose own period goes on beyond the end of observation, or does not lie wholly in
/// the range, is marked too: others start in it who are not counted.
///
/// # Worked example
/// ```
/// use journeylog::{CohortRetention, Event, Journeys, Period};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "signup"), Event::at(day(1), "ann", "visit"), Event::at(day(2), "ann", "visit"),
///     Event::at(day(0), "bob", "signup"), Event::at(day(2), "bob", "visit"),
///     Event::at(day(1), "cat", "signup"),
/// ])?;
/// let retention = CohortRetention::of("signup", "visit", Period::DAY).periods(2).build()?;
/// let report = journeys.query().run(&retention)?;
/// let customers = |cohort: usize| report.cohorts[cohort].cells.iter().map(|cell| cell.customers).collect::<Vec<_>>();
/// assert_eq!(customers(0), [2, 1, 2]);
/// assert_eq!(customers(1), [1, 0]); // Cat's second day had not begun when observation ended
/// assert!(!report.cohorts[1].cells[1].finished); // nor was her first over
/// assert_eq!(report.average[1].rate.share, Some(0.5)); // Ann, of Ann and Bob
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each start and return, and for each cohort of a customer at each column up to their last return.
/// Memory: two numbers for each cohort and column, one more for each currency, and the customers if they are listed.
///
/// # Compared with
/// `On` is what others call classic or day-N retention, `OnOrAfter` unbounded or rolling retention. Tools differ in whether
/// day 1 is the next day of the calendar or the next 24 hours; here both can be asked.
///
/// # Literature
/// Cohort tables come from demography: N. B. Ryder (1965), "The cohort as a concept in the study of social change". Intervals
/// are those of [`Rate`](crate::Rate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CohortRetentionBuilder", into = "CohortRetentionBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct CohortRetention {
    pub(super) start: Condition,
    pub(super) returns: Condition,
    pub(super) period: Period,
    pub(super) elapsed: Option<Window>,
    pub(super) criterion: Criterion,
    /// Where columns 1, 2 .. begin, in periods, and where the last one ends.
    pub(super) edges: Vec<u32>,
    pub(super) cohorts: Cohorts,
    pub(super) at_least: u32,
    pub(super) value: bool,
    pub(super) customers: bool,
}

impl CohortRetention {
    /// Of customers with a start in a period, those with a return later. A text alone is a touchpoint;
    /// `Condition::All(vec![])` is any event.
    pub fn of<S, R>(start: S, returns: R, period: Period) -> CohortRetentionBuilder
    where
        S: TryInto<Condition, Error: Into<RefusedName>>,
        R: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let any = Condition::All(Vec::new());
        let start = start.try_into().unwrap_or_else(|e| {
            refused = Some(e.into().into());
            any.clone()
        });
        let returns = returns.try_into().unwrap_or_else(|e| {
            refused = Some(e.into().into());
            any
        });
        CohortRetentionBuilder {
            start,
            returns,
            period,
            elapsed: None,
            periods: None,
            criterion: Criterion::On,
            cohorts: Cohorts::Recurring,
            at_least: 1,
            value: false,
            customers: false,
            refused,
        }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Retention in the making, and the JSON form of it:
/// `{"start":{"touchpoint":"signup"},"return":{"touchpoint":"visit"},"period":"week","periods":8,"criterion":"on","cohorts":"first_ever","at_least":1,"value":true,"customers":true}`,
/// with `"elapsed":"7d"` for exact periods. Criteria are `"on"`, `"on_or_after"` and `{"bracket":[1,3,7]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "retention is only made by build"]
pub struct CohortRetentionBuilder {
    start: Condition,
    #[serde(rename = "return")]
    returns: Condition,
    period: Period,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elapsed: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    periods: Option<u32>,
    #[serde(default)]
    criterion: Criterion,
    #[serde(default)]
    cohorts: Cohorts,
    #[serde(default = "once")]
    at_least: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    value: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(CohortRetentionBuilder);

fn once() -> u32 {
    1
}

impl CohortRetentionBuilder {
    /// Sets for how many periods after the start retention is followed, 1 to 1,000. The default is 12.
    pub fn periods(mut self, periods: u32) -> Self {
        self.periods = Some(periods);
        self
    }

    /// Counts exact periods of this length from each customer's start, instead of calendar periods: a whole number of hours.
    /// Cohorts are still those of the calendar. A month has no such length.
    pub fn elapsed(mut self, length: TimeDelta) -> Self {
        match Window::try_from(length) {
            Ok(length) => self.elapsed = Some(length),
            Err(refused) => self.refused = Some(InvalidValue::new("elapsed", refused.reason())),
        }
        self
    }

    /// Counts customers who return in the column's period or later.
    pub fn on_or_after(mut self) -> Self {
        self.criterion = Criterion::OnOrAfter;
        self
    }

    /// Counts customers who return within brackets of periods: `[1, 3, 7]` is periods 1 to 2, and 3 to 6.
    pub fn bracket(mut self, edges: impl IntoIterator<Item = u32>) -> Self {
        self.criterion = Criterion::Bracket(edges.into_iter().collect());
        self
    }

    /// Puts each customer in the cohort of their first start ever only.
    pub fn first_ever(mut self) -> Self {
        self.cohorts = Cohorts::FirstEver;
        self
    }

    /// Sets how many returns it takes to be counted in a column. The default is 1.
    pub fn at_least(mut self, returns: u32) -> Self {
        self.at_least = returns;
        self
    }

    /// Sums the money of what is counted, for each currency. A sum of 10^18 or more is no [`Money`](crate::Money): then
    /// the question is refused when it is answered.
    pub fn value(mut self) -> Self {
        self.value = true;
        self
    }

    /// Lists the customers of each cohort, with the columns in which they are counted.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition cannot be asked; with no periods or more than 1,000; with brackets that are fewer than
    /// one, begin with period 0, do not ascend, or come together with a number of periods; with elapsed periods that are no
    /// whole number of hours; or if it takes no return to be counted.
    pub fn build(self) -> Result<CohortRetention, InvalidPlan> {
        let Self { start, returns, period, elapsed, periods, criterion, cohorts, at_least, value, customers, refused } =
            self;
        if let Some(refused) = refused {
            return Err(refused.within("retention").into());
        }
        start.check().map_err(|e| e.within("retention.start"))?;
        returns.check().map_err(|e| e.within("retention.return"))?;
        let refuse = |field: &str, reason: String| Err(InvalidPlan::new(format!("retention.{field}"), reason));
        if elapsed.is_some_and(|length| length.micros() == 0 || length.micros() % HOUR != 0) {
            return refuse("elapsed", "is not a whole number of hours; a month is of the calendar only".into());
        }
        if at_least == 0 {
            return refuse("at_least", "is 0, but it takes at least 1 return to be counted".into());
        }
        let edges = match (&criterion, periods) {
            (Criterion::Bracket(_), Some(_)) => {
                return refuse("periods", "the brackets say how many".into());
            }
            (Criterion::Bracket(edges), None) => {
                let ascend = edges.is_sorted_by(|a, b| a < b) && edges.first().is_some_and(|first| *first > 0);
                if edges.len() < 2 || !ascend || edges.iter().any(|edge| *edge > LIMIT_RETENTION_PERIODS + 1) {
                    let reason = format!(
                        "is not two or more ascending numbers of periods from 1 to {}",
                        LIMIT_RETENTION_PERIODS + 1
                    );
                    return refuse("criterion.bracket", reason);
                }
                edges.clone()
            }
            (_, periods) => {
                let periods = periods.unwrap_or(DEFAULT_PERIODS);
                if !(1..=LIMIT_RETENTION_PERIODS).contains(&periods) {
                    return refuse("periods", format!("is {periods}, 1 to {LIMIT_RETENTION_PERIODS} are allowed"));
                }
                (1..=periods + 1).collect()
            }
        };
        Ok(CohortRetention { start, returns, period, elapsed, criterion, edges, cohorts, at_least, value, customers })
    }
}

impl TryFrom<CohortRetentionBuilder> for CohortRetention {
    type Error = InvalidPlan;
    fn try_from(builder: CohortRetentionBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<CohortRetention> for CohortRetentionBuilder {
    fn from(plan: CohortRetention) -> Self {
        let CohortRetention { start, returns, period, elapsed, criterion, edges, cohorts, at_least, value, customers } =
            plan;
        let periods = match &criterion {
            Criterion::Bracket(_) => None,
            _ => edges.last().map(|end| end.saturating_sub(1)),
        };
        Self { start, returns, period, elapsed, periods, criterion, cohorts, at_least, value, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits() -> CohortRetentionBuilder {
        CohortRetention::of("signup", "visit", Period::DAY)
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |builder: CohortRetentionBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(CohortRetention::of("", "visit", Period::DAY)).starts_with("retention.touchpoint: is empty"));
        assert!(refused(CohortRetention::of("a", "", Period::DAY)).starts_with("retention.touchpoint: is empty"));
        assert!(refused(visits().periods(0)).starts_with("retention.periods: is 0"));
        assert!(refused(visits().periods(1_001)).starts_with("retention.periods: is 1001"));
        assert!(refused(visits().at_least(0)).starts_with("retention.at_least"));
        assert!(refused(visits().bracket([1, 3]).periods(3)).starts_with("retention.periods: the brackets"));
        for edges in [&[][..], &[1], &[0, 1], &[1, 1], &[3, 2], &[1, 1_002]] {
            let edges = edges.iter().copied();
            assert!(refused(visits().bracket(edges)).starts_with("retention.criterion.bracket"));
        }
        for length in [TimeDelta::zero(), TimeDelta::minutes(90), TimeDelta::hours(-1), TimeDelta::MAX] {
            assert!(refused(visits().elapsed(length)).starts_with("retention.elapsed"), "{length}");
        }
        assert!(visits().periods(1_000).build().is_ok());
        assert!(visits().bracket([1, 1_001]).build().is_ok());
    }

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"start":{"touchpoint":"a"},"return":{"stage":"purchase"},"period":"week","elapsed":"7d","periods":8,"criterion":"on_or_after","cohorts":"first_ever","at_least":2,"value":true,"customers":true}"#;
        let bracket = r#"{"start":{"all":[]},"return":{"all":[]},"period":{"calendar":"week","first_weekday":"sunday"},"criterion":{"bracket":[1,3,7]},"cohorts":"recurring","at_least":1}"#;
        for text in [text, bracket] {
            let plan: CohortRetention = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        }
        let short = r#"{"start":{"touchpoint":"signup"},"return":{"touchpoint":"visit"},"period":"day"}"#;
        assert_eq!(serde_json::from_str::<CohortRetention>(short).unwrap(), visits().build().unwrap());
    }
}
