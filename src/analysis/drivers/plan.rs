//! What a question about drivers asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::ExperienceAnswers,
    error::{InvalidPlan, InvalidValue},
    model::{Condition, RefusedName, Survey, Window, check_name, only_an_object},
};

/// The outcome of which drivers are sought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriversOutcome {
    /// A customer did something for which a condition holds.
    Conversion(Condition),
    /// An answer to a survey is favourable: 9 and 10 of NPS, 4 and 5 of CSAT, 5 to 7 of CES.
    Satisfaction(Survey),
    /// An answer is a detractor's (0 to 6 of NPS), or not favourable (1 to 3 of CSAT, 1 to 4 of CES).
    Dissatisfaction(Survey),
}

/// What factors are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriverBy {
    /// The channels of events.
    Channel,
    /// Their touchpoints.
    Touchpoint,
    /// The values of a property of theirs, such as `campaign`.
    Property(String),
    /// A property of the customer's [profile](crate::ProfileUpdate), as it was at the moment of the case.
    Profile(String),
    /// The same as it is at the end of observation.
    ProfileLatest(String),
}

impl DriverBy {
    /// Whether it is a property of the customer, of which a case has one value, and not of what they did.
    pub(super) fn is_of_customer(&self) -> bool {
        matches!(self, Self::Profile(_) | Self::ProfileLatest(_))
    }

    fn check(&self) -> Result<(), InvalidValue> {
        match self {
            Self::Channel | Self::Touchpoint => Ok(()),
            Self::Property(name) => check_name("property", name),
            Self::Profile(name) | Self::ProfileLatest(name) => check_name("profile", name),
        }
    }
}

impl DriversOutcome {
    pub(super) fn survey(&self) -> Option<Survey> {
        match self {
            Self::Conversion(_) => None,
            Self::Satisfaction(survey) | Self::Dissatisfaction(survey) => Some(*survey),
        }
    }
}

/// Drivers of conversion or of satisfaction: what goes with an outcome.
///
/// # Question
/// Which touchpoints, channels or campaigns do customers who buy have met more often than others? What had those done who are
/// dissatisfied?
///
/// # Definition
/// A **case** is a customer or an answer, and has the outcome or has it not.
///
/// - [Conversion](Self::of_conversion): each customer with an event before the end of the scope's range is one case. It has the outcome if an
///   event that meets the condition lies in the range. What counts is what the customer did *before* the first of these, since nothing later
///   can have led to it; of the others all that they did before the end of the range, wanted events before its begin included.
/// - [Satisfaction](Self::of_satisfaction) and [dissatisfaction](Self::of_dissatisfaction): each answer to the survey in the
///   scope's range is one case, or with [`latest`](DriversBuilder::latest) the latest of each customer there (of several at one
///   instant the one that arrived last). What counts is the answer's own event, which says where and about what it was given, and what
///   the customer did before it, at most the [look-back](DriversBuilder::within), inclusive, earlier.
///
/// *Before* is strictly earlier: other events at the instant of the wanted event or the answer do not count, whichever arrived first. What lies
/// before the range counts.
///
/// A **factor** is a channel, a touchpoint or a value of a property; a case has it if any event that counts has it, however often. It is also a value of
/// a property of the customer's profile: as it was at the wanted event or the answer, and for customers without a wanted event at the last
/// event that counts; or [as it is](DriverBy::ProfileLatest) at the end of observation, which may have been learned later than the outcome. For each
/// factor cases fall into four: with it or without, with the outcome or without. From these are
///
/// - its **support**: the share of all cases that have it. Factors of fewer than [`min_support`](DriversBuilder::min_support) cases
///   are counted, and left out;
/// - the [odds ratio](crate::OddsRatio) with its interval at 95 %;
/// - the two-sided **p-value**, exact for small counts ([`RateDifference`](crate::RateDifference));
/// - this corrected for the number of factors tried: Holm's p-value, and the q-value of Benjamini and Hochberg. Of the factors with a
///   q-value of at most 0.05 about one in twenty is there by chance.
///
/// Factors that all cases have, or none of which the outcome could differ, are not tested. Drivers are in the order of their
/// p-values, of equal ones in the order in which the plan names what they are told apart by, then by value; those not tested last.
///
/// # Association, not cause
/// An odds ratio says what goes together. Who is about to buy looks at more pages; who is observed for longer meets more touchpoints,
/// and customers without the outcome are observed to the end. Only an experiment tells what leads to what. All p-values presume cases that
/// are independent of each other, which several answers of one customer are not: ask for the latest.
///
/// # Worked example
/// ```
/// use journeylog::{DriverBy, Drivers, Event, Journeys};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "review"), Event::at(day(1), "ann", "purchase"),
///     Event::at(day(0), "bob", "review"), Event::at(day(2), "bob", "purchase"), Event::at(day(3), "bob", "support"),
///     Event::at(day(0), "cat", "review"), Event::at(day(0), "dan", "home"), Event::at(day(4), "eva", "home"),
/// ])?;
/// let report = journeys.query().run(&Drivers::of_conversion("purchase").build()?)?;
/// assert_eq!((report.cases.some, report.cases.of), (2, 5));
/// let review = report.driver(&DriverBy::Touchpoint, &"review".into()).unwrap();
/// assert_eq!((review.with.some, review.with.of, review.without.some, review.without.of), (2, 3, 0, 2));
/// // 2 of 3 with a review bought, 0 of 2 without: with one half added to each count 2.5 * 2.5 / (1.5 * 0.5).
/// let test = review.test.as_ref().unwrap();
/// assert!(test.odds.corrected && (test.odds.ratio - 25.0 / 3.0).abs() < 1e-12 && test.exact);
/// // Bob was at the support after he had bought: that drove nothing.
/// assert!(report.driver(&DriverBy::Touchpoint, &"support".into()).is_none());
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each event for each property and the like, and at the distinct factors of a customer for each of their cases. Memory:
/// about 200 bytes for each factor; 24 for each case, and 4 for each factor it has, if these are listed.
///
/// # Literature
/// Stands with [`OddsRatio`](crate::OddsRatio) and [`RateDifference`](crate::RateDifference); S. Holm (1979), "A simple sequentially
/// rejective multiple test procedure"; Y. Benjamini and Y. Hochberg (1995), "Controlling the false discovery rate".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DriversBuilder", into = "DriversBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Drivers {
    pub(super) of: DriversOutcome,
    pub(super) by: Vec<DriverBy>,
    pub(super) within: Option<Window>,
    pub(super) answers: ExperienceAnswers,
    pub(super) min_support: u64,
    pub(super) limit: usize,
    pub(super) customers: bool,
}

impl Drivers {
    /// Of doing something for which a condition holds; a text alone is a touchpoint.
    pub fn of_conversion<C>(wanted: C) -> DriversBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let wanted = wanted.try_into().unwrap_or_else(|e| {
            refused = Some(e.into().into());
            Condition::All(Vec::new())
        });
        DriversBuilder { refused, ..DriversBuilder::of(DriversOutcome::Conversion(wanted)) }
    }

    /// Of a favourable answer to a survey.
    pub fn of_satisfaction(survey: Survey) -> DriversBuilder {
        DriversBuilder::of(DriversOutcome::Satisfaction(survey))
    }

    /// Of an unfavourable answer to a survey.
    pub fn of_dissatisfaction(survey: Survey) -> DriversBuilder {
        DriversBuilder::of(DriversOutcome::Dissatisfaction(survey))
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Drivers in the making, and the JSON form of them:
/// `{"of":{"conversion":{"touchpoint":"purchase"}},"by":["channel",{"property":"campaign"},{"profile":"country"}],"min_support":5,"limit":20,"customers":true}`, or
/// `{"of":{"dissatisfaction":"nps"},"within":"30d","answers":"latest"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct DriversBuilder {
    of: DriversOutcome,
    #[serde(default = "touchpoints_and_channels")]
    by: Vec<DriverBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default)]
    answers: ExperienceAnswers,
    #[serde(default = "one")]
    min_support: u64,
    #[serde(default = "hundred")]
    limit: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(DriversBuilder);

fn touchpoints_and_channels() -> Vec<DriverBy> {
    vec![DriverBy::Touchpoint, DriverBy::Channel]
}

const fn one() -> u64 {
    1
}

const fn hundred() -> usize {
    100
}

impl DriversBuilder {
    fn of(of: DriversOutcome) -> Self {
        Self {
            of,
            by: touchpoints_and_channels(),
            within: None,
            answers: ExperienceAnswers::All,
            min_support: one(),
            limit: hundred(),
            customers: false,
            refused: None,
        }
    }

    /// Sets what factors are; touchpoints and channels by default.
    pub fn by(mut self, by: impl IntoIterator<Item = DriverBy>) -> Self {
        self.by = by.into_iter().collect();
        self
    }

    /// Counts only what was done at most this long before an answer.
    pub fn within(mut self, within: TimeDelta) -> Self {
        match Window::try_from(within) {
            Ok(within) => self.within = Some(within),
            Err(refused) => self.refused = Some(InvalidValue::new("within", refused.reason())),
        }
        self
    }

    /// Looks at the latest answer of each customer. By default all answers are cases.
    pub fn latest(mut self) -> Self {
        self.answers = ExperienceAnswers::Latest;
        self
    }

    /// Leaves out factors of fewer cases. The default is 1.
    pub fn min_support(mut self, cases: u64) -> Self {
        self.min_support = cases;
        self
    }

    /// Shows at most so many drivers, the default is 100; all are tested and corrected for.
    pub fn limit(mut self, drivers: usize) -> Self {
        self.limit = drivers;
        self
    }

    /// Lists the cases with their customers.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked, if nothing is named that factors are, one thing twice, or what cannot be a property's name, if
    /// there is a look-back or the latest answer is asked for where there are no answers, or if the support or the limit is 0.
    pub fn build(self) -> Result<Drivers, InvalidPlan> {
        let Self { of, by, within, answers, min_support, limit, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("drivers").into());
        }
        let refuse = |field: &str, reason: &str| Err(InvalidPlan::new(format!("drivers.{field}"), reason));
        if let DriversOutcome::Conversion(wanted) = &of {
            wanted.check().map_err(|e| e.within("drivers.of.conversion"))?;
            if within.is_some() {
                return refuse("within", "is a look-back from answers, and a conversion has none");
            }
            if answers != ExperienceAnswers::All {
                return refuse("answers", "are those to a survey, and a conversion has none");
            }
        }
        if by.is_empty() {
            return refuse("by", "is empty: name at least one");
        }
        by.iter().try_for_each(DriverBy::check).map_err(|e| e.within("drivers.by"))?;
        if by.iter().enumerate().any(|(place, one)| by.iter().skip(place + 1).any(|other| one == other)) {
            return refuse("by", "names one thing twice");
        }
        if min_support == 0 {
            return refuse("min_support", "is 0: nobody has such a factor");
        }
        if limit == 0 {
            return refuse("limit", "is 0: nothing would be shown");
        }
        Ok(Drivers { of, by, within, answers, min_support, limit, customers })
    }
}

impl TryFrom<DriversBuilder> for Drivers {
    type Error = InvalidPlan;
    fn try_from(builder: DriversBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Drivers> for DriversBuilder {
    fn from(plan: Drivers) -> Self {
        let Drivers { of, by, within, answers, min_support, limit, customers } = plan;
        Self { of, by, within, answers, min_support, limit, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"of":{"dissatisfaction":"nps"},"by":["channel",{"property":"campaign"},{"profile":"plan"},{"profile_latest":"plan"}],"within":"30d","answers":"latest","min_support":5,"limit":20,"customers":true}"#;
        let plan: Drivers = serde_json::from_str(text).unwrap();
        let built = Drivers::of_dissatisfaction(Survey::Nps)
            .by([
                DriverBy::Channel,
                DriverBy::Property("campaign".to_owned()),
                DriverBy::Profile("plan".to_owned()),
                DriverBy::ProfileLatest("plan".to_owned()),
            ])
            .within(TimeDelta::days(30))
            .latest()
            .min_support(5)
            .limit(20)
            .list_customers();
        assert_eq!(Ok(plan.clone()), built.build());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let least: Drivers = serde_json::from_str(r#"{"of":{"conversion":{"touchpoint":"buy"}}}"#).unwrap();
        assert_eq!(Ok(least), Drivers::of_conversion("buy").build());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let answers = || Drivers::of_satisfaction(Survey::Csat);
        for (plan, says) in [
            (Drivers::of_conversion(""), "drivers.touchpoint: is empty"),
            (Drivers::of_conversion("buy").within(TimeDelta::days(1)), "drivers.within: is a look-back from answers"),
            (Drivers::of_conversion("buy").latest(), "drivers.answers: are those to a survey"),
            (answers().within(TimeDelta::days(-1)), "drivers.within: is negative"),
            (answers().by([]), "drivers.by: is empty"),
            (answers().by([DriverBy::Channel, DriverBy::Channel]), "drivers.by: names one thing twice"),
            (answers().by([DriverBy::Property(String::new())]), "drivers.by.property: is empty"),
            (answers().by([DriverBy::ProfileLatest(String::new())]), "drivers.by.profile: is empty"),
            (answers().min_support(0), "drivers.min_support: is 0"),
            (answers().limit(0), "drivers.limit: is 0"),
        ] {
            let refused = plan.build().unwrap_err().to_string();
            assert!(refused.starts_with(says), "{refused}");
        }
    }
}
