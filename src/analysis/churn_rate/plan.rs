//! What a question about retention and churn rate asks.

use serde::{Deserialize, Serialize};

use crate::{
    analysis::EventBy,
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, RefusedName, only_an_object},
};

/// A customer is churned after at most so many periods without activity.
pub const LIMIT_INACTIVE_PERIODS: u32 = 1_000;

/// What customers are told apart by when a period begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChurnBy {
    /// The stage in which they were at the end of the period before, by the question's journey model.
    Stage,
    /// The touchpoint of their latest activity before; of several at one instant, the first by name.
    Touchpoint,
    /// The channel of it.
    Channel,
}

impl From<ChurnBy> for EventBy {
    fn from(by: ChurnBy) -> Self {
        match by {
            ChurnBy::Stage => Self::Stage,
            ChurnBy::Touchpoint => Self::Touchpoint,
            ChurnBy::Channel => Self::Channel,
        }
    }
}

/// Retention rate and churn rate, from period to period.
///
/// # Question
/// Of the customers we had: how many are still active in this period, and how many are lost? From which stage are they lost?
///
/// # Definition
/// A customer is active in a calendar [`Period`] if an event in it meets the condition. They are in the **base** of a period if they
/// were active in any of the `n` periods before it; `n` is the [threshold](ChurnRateBuilder::inactive_after), 1 unless it
/// is said otherwise. Of the base are
///
/// - **retained**: those active in this period;
/// - **churned**: those not active in it, whose latest activity was `n` periods ago, so that `n` periods without activity are
///   over with this one;
/// - **quiet**: those not active in it, but fewer than `n` periods long; nobody with a threshold of 1;
/// - **pending**: those not active so far in a period that goes on beyond the end of observation. There is such a period at most at the end.
///
/// So `base = retained + churned + quiet + pending`. Whoever joins, or comes back after they were churned, is in no base
/// until the next period. A customer is churned once for each time that they fall silent.
///
/// The **retention rate** is the retained, and the **churn rate** the churned, of the base; each with its Wilson interval at 95 %
/// ([`Rate`](crate::Rate)). A period that is not over has no rates, and is not in the totals. These pool all others: a customer counts once in
/// each period, and intervals take these to be independent.
///
/// A scope's range says which periods are listed: those of which any moment lies in it. Activity before and after is read to tell who was
/// active and who is. Without a range and with a threshold of 1 the retained are the returning of [`Lifecycle`](crate::Lifecycle), and the churned and pending
/// its dormant.
///
/// Told apart [by stage](ChurnBy::Stage), each customer counts in the stage in which they were at the end of the period before.
///
/// # Worked example
/// ```
/// use journeylog::{ChurnRate, Event, Journeys, Period};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let visit = |who, on| Event::at(day(on), who, "visit");
/// let journeys = Journeys::of([
///     visit("ann", 0), visit("ann", 1), visit("ann", 3),
///     visit("bob", 0), // never seen again
///     visit("cat", 1), visit("cat", 2), visit("cat", 3), visit("cat", 4),
/// ])?;
/// let report = journeys.query().run(&ChurnRate::every(Period::DAY).build()?)?;
/// let days: Vec<_> = report.periods.iter().map(|d| (d.figures.base, d.figures.retained, d.figures.churned)).collect();
/// // On the last day Ann may still come: it is not over.
/// assert_eq!(days, [(2, 1, 1), (2, 1, 1), (1, 1, 0), (2, 1, 0)]);
/// assert_eq!((report.periods[3].figures.pending, report.periods[3].figures.churn.share), (1, None));
/// assert_eq!((report.total.churned, report.total.churn.share), (2, Some(0.4)));
/// // Whoever is gone for a day only is not lost yet.
/// let report = journeys.query().run(&ChurnRate::every(Period::DAY).inactive_after(2).build()?)?;
/// assert_eq!((report.total.churned, report.total.quiet), (1, 2)); // Bob on day 2; Bob on day 1 and Ann on day 2
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each active event, and for each period with activity up to as many steps as the threshold. Memory: 100 bytes
/// for each period and group, and for each customer the periods in which they are counted, if these are listed.
///
/// # Literature
/// The rates are those of customer base analysis: F. F. Reichheld (1996), "The Loyalty Effect"; P. S. Fader and B. G. S. Hardie (2007),
/// "How to project customer retention". That without a contract churn is a threshold of inactivity: W. Buckinx and D. Van den
/// Poel (2005), "Customer base analysis: partial defection". The interval is that of E. B. Wilson (1927).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ChurnRateBuilder", into = "ChurnRateBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct ChurnRate {
    pub(super) activity: Condition,
    pub(super) period: Period,
    pub(super) inactive_after: u32,
    pub(super) by: Option<ChurnBy>,
    pub(super) customers: bool,
}

impl ChurnRate {
    /// From one calendar period to the next.
    pub fn every(period: Period) -> ChurnRateBuilder {
        ChurnRateBuilder {
            activity: anything(),
            period,
            inactive_after: one(),
            by: None,
            customers: false,
            refused: None,
        }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// A churn rate in the making, and the JSON form of it, where the period is required:
/// `{"activity":{"touchpoint":"visit"},"period":"month","inactive_after":2,"by":"stage","customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct ChurnRateBuilder {
    #[serde(default = "anything")]
    activity: Condition,
    period: Period,
    #[serde(default = "one")]
    inactive_after: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<ChurnBy>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(ChurnRateBuilder);

fn anything() -> Condition {
    Condition::All(Vec::new())
}

const fn one() -> u32 {
    1
}

impl ChurnRateBuilder {
    /// Sets which events are activity; a text alone is a touchpoint. The default is any event.
    pub fn activity<C>(mut self, activity: C) -> Self
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        match activity.try_into() {
            Ok(activity) => self.activity = activity,
            Err(refused) => self.refused = Some(refused.into().into()),
        }
        self
    }

    /// Sets after how many periods without activity, one after the other, a customer is churned: 1 to 1,000. The default is 1.
    pub fn inactive_after(mut self, periods: u32) -> Self {
        self.inactive_after = periods;
        self
    }

    /// Tells customers apart by this.
    pub fn by(mut self, by: ChurnBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Lists the customers with the periods in whose base they are.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked, or if the threshold is not 1 to 1,000 periods.
    pub fn build(self) -> Result<ChurnRate, InvalidPlan> {
        let Self { activity, period, inactive_after, by, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("churn_rate").into());
        }
        activity.check().map_err(|e| e.within("churn_rate.activity"))?;
        if !(1..=LIMIT_INACTIVE_PERIODS).contains(&inactive_after) {
            let reason = format!("is {inactive_after}, 1 to {LIMIT_INACTIVE_PERIODS} periods are allowed");
            return Err(InvalidPlan::new("churn_rate.inactive_after", reason));
        }
        Ok(ChurnRate { activity, period, inactive_after, by, customers })
    }
}

impl TryFrom<ChurnRateBuilder> for ChurnRate {
    type Error = InvalidPlan;
    fn try_from(builder: ChurnRateBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<ChurnRate> for ChurnRateBuilder {
    fn from(plan: ChurnRate) -> Self {
        let ChurnRate { activity, period, inactive_after, by, customers } = plan;
        Self { activity, period, inactive_after, by, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text =
            r#"{"activity":{"touchpoint":"visit"},"period":"month","inactive_after":2,"by":"stage","customers":true}"#;
        let plan: ChurnRate = serde_json::from_str(text).unwrap();
        let built = ChurnRate::every(Period::MONTH).activity("visit").inactive_after(2).by(ChurnBy::Stage);
        assert_eq!(plan, built.list_customers().build().unwrap());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let least: ChurnRate = serde_json::from_str(r#"{"period":"week"}"#).unwrap();
        assert_eq!(least, ChurnRate::every(Period::WEEK).build().unwrap());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let plan = || ChurnRate::every(Period::DAY);
        for (plan, says) in [
            (plan().activity(""), "churn_rate.touchpoint: is empty"),
            (plan().inactive_after(0), "churn_rate.inactive_after: is 0, 1 to 1000 periods are allowed"),
        ] {
            assert_eq!(plan.build().unwrap_err().to_string(), says);
        }
        let unknown = serde_json::from_str::<ChurnRate>(r#"{"period":"day","by":"stage_after"}"#);
        assert!(unknown.unwrap_err().to_string().contains("stage_after"));
    }
}
