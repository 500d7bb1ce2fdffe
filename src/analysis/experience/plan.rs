//! What a question about answers to surveys asks.

use serde::{Deserialize, Serialize};

use crate::{
    analysis::EventBy,
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, RefusedName, Survey, only_an_object},
};

/// Which answers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExperienceAnswers {
    /// All of them.
    #[default]
    All,
    /// Of each customer the latest to each survey; within a calendar period the latest in it.
    Latest,
}

/// Scores of surveys: NPS, CSAT and CES.
///
/// # Question
/// How satisfied are customers, would they recommend us, how hard was it; at which stage, touchpoint or channel less than elsewhere,
/// and is it getting better?
///
/// # Definition
/// An answer is an event with feedback that lies in the scope's range and, if one was given, meets a condition. Each survey is scored by itself:
///
/// | survey | score |
/// |---|---|
/// | NPS, 0 to 10 | 100 times the promoters (9 and 10) less the detractors (0 to 6), of all answers: -100 to 100 |
/// | CSAT, 1 to 5 | the percentage of 4 and 5 |
/// | CES, 1 to 7, higher is easier | the percentage of 5 to 7 |
///
/// The **standard error** is that of a mean of n independent answers, each worth 100, 0 or (a detractor) -100:
/// `100 sqrt((p + d - (p - d)^2) / n)` with shares p of promoters and d of detractors, which is `100 sqrt(p (1 - p) / n)` for CSAT and CES. It is 0 where all
/// answers are of one kind, which does not say that the next one will be. The **interval** of 95 % therefore is Wilson's for CSAT and CES, and for NPS Rocks's adjusted
/// Wald interval: the score and 1.96 of its errors to either side as they were if three more had answered, 3/4 of an answer a promoter's, 3/4 a detractor's
/// and 1 1/2 in between; cut off at -100 and 100, and at least to the score itself. The **mean** of all scores stands
/// beside it, with its own standard error: the standard deviation with n - 1, by the root of n.
///
/// With [`latest`](ExperienceBuilder::latest) only the latest answer of each customer to each survey counts: the latest in the range, of several at one
/// instant the one that arrived last. It belongs to one stage, touchpoint and channel, so these add up to the total. In a calendar period the
/// latest in it counts, so one customer may count in several periods, and these do not add up to the total then: of the answers
/// that are listed some count in their period only (`in_total: false`). A period that is not over, or not wholly in the range, is marked.
///
/// The **stage** of an answer is that of the latest event with a stage before its moment; answers
/// before any stage are told apart, without one. The answer itself does not count: by the standard model it makes a promoter an advocate, and
/// the NPS of advocates would be 100 by definition. With [`StageAfter`](EventBy::StageAfter) it does, and so do all events of its
/// moment. To tell apart by what customers did or are, ask
/// [by segment](crate::BySegment).
///
/// # Worked example
/// ```
/// use journeylog::{Event, Experience, Feedback, Journeys, Survey};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let answer = |d, customer, nps| Ok::<_, journeylog::InvalidValue>(Event::at(day(d), customer, "survey").feedback(Feedback::nps(nps)?));
/// let journeys = Journeys::of([
///     answer(0, "ann", 10)?, answer(0, "bob", 9)?, answer(0, "cat", 7)?, answer(0, "dan", 2)?, answer(5, "dan", 9)?,
/// ])?;
/// let report = journeys.query().run(&Experience::builder().build()?)?;
/// let nps = report.score(Survey::Nps).unwrap();
/// // 3 promoters, 1 detractor, of 5: 40, with an error of 100 sqrt((0.8 - 0.16) / 5).
/// assert_eq!((nps.answers, nps.score), (5, 40.0));
/// assert!((nps.standard_error - 35.777).abs() < 1e-3 && (nps.mean - 7.4).abs() < 1e-12);
/// // Dan has changed his mind.
/// let report = journeys.query().run(&Experience::builder().latest().build()?)?;
/// assert_eq!(report.score(Survey::Nps).map(|nps| (nps.answers, nps.score)), Some((4, 75.0)));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each answer. Memory: 100 bytes for each survey, group and period with an answer, and 50 for each answer that is
/// listed. With [`latest`](ExperienceBuilder::latest) by period the latest answers of each period are listed, and it is said which of them
/// count in the total too.
///
/// # Literature
/// F. F. Reichheld (2003), "The one number you need to grow" (NPS); M. Dixon, K. Freeman and N. Toman (2010), "Stop trying to delight your
/// customers" (CES; on 7 steps since its second version); B. Rocks (2016), "Interval estimation for the 'Net Promoter Score'" (its variance and interval).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ExperienceBuilder", into = "ExperienceBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Experience {
    pub(super) surveys: Vec<Survey>,
    pub(super) when: Option<Condition>,
    pub(super) answers: ExperienceAnswers,
    pub(super) by: Option<EventBy>,
    pub(super) period: Option<Period>,
    pub(super) customers: bool,
}

impl Experience {
    /// Of all answers to all surveys.
    pub fn builder() -> ExperienceBuilder {
        ExperienceBuilder {
            surveys: all_surveys(),
            when: None,
            answers: ExperienceAnswers::All,
            by: None,
            period: None,
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

/// Scores of surveys in the making, and the JSON form of them, each key optional:
/// `{"surveys":["nps","csat","ces"],"when":{"channel":"web"},"answers":"latest","by":"stage","period":"month","customers":true}`.
/// Answers are told apart by `"stage"`, `"stage_after"`, `"touchpoint"` or `"channel"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct ExperienceBuilder {
    #[serde(default = "all_surveys")]
    surveys: Vec<Survey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
    #[serde(default)]
    answers: ExperienceAnswers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<EventBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(ExperienceBuilder);

fn all_surveys() -> Vec<Survey> {
    Survey::ALL.to_vec()
}

impl ExperienceBuilder {
    /// Sets which surveys are scored. By default all are.
    pub fn surveys(mut self, surveys: impl IntoIterator<Item = Survey>) -> Self {
        self.surveys = surveys.into_iter().collect();
        self
    }

    /// Counts answers only that meet this condition; a text alone is a touchpoint.
    pub fn when<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, when: C) -> Self {
        match when.try_into() {
            Ok(when) => self.when = Some(when),
            Err(e) => self.refused = Some(InvalidValue::from(e.into())),
        }
        self
    }

    /// Counts the latest answer of each customer to each survey. By default all answers count.
    pub fn latest(mut self) -> Self {
        self.answers = ExperienceAnswers::Latest;
        self
    }

    /// Tells answers apart by this.
    pub fn by(mut self, by: EventBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Tells answers apart by the calendar period in which they were given.
    pub fn every(mut self, period: Period) -> Self {
        self.period = Some(period);
        self
    }

    /// Lists the answers with their customers.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition cannot be, or if there is no survey.
    pub fn build(self) -> Result<Experience, InvalidPlan> {
        let Self { mut surveys, when, answers, by, period, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("experience").into());
        }
        if let Some(when) = &when {
            when.check_inside().map_err(|e| e.within("experience.when"))?;
        }
        if surveys.is_empty() {
            return Err(InvalidPlan::new("experience.surveys", "is empty: name at least one"));
        }
        surveys.sort_unstable();
        surveys.dedup();
        Ok(Experience { surveys, when, answers, by, period, customers })
    }
}

impl TryFrom<ExperienceBuilder> for Experience {
    type Error = InvalidPlan;
    fn try_from(builder: ExperienceBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Experience> for ExperienceBuilder {
    fn from(plan: Experience) -> Self {
        let Experience { surveys, when, answers, by, period, customers } = plan;
        Self { surveys, when, answers, by, period, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"surveys":["nps","ces"],"when":{"touchpoint":"mail"},"answers":"latest","by":"stage","period":"month","customers":true}"#;
        let plan: Experience = serde_json::from_str(text).unwrap();
        let built = Experience::builder()
            .surveys([Survey::Ces, Survey::Nps, Survey::Ces])
            .when("mail")
            .latest()
            .by(EventBy::Stage)
            .every(Period::MONTH)
            .list_customers();
        assert_eq!(Ok(plan.clone()), built.build());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        assert_eq!(serde_json::from_str::<Experience>("{}").ok(), Experience::builder().build().ok());
        let refused = |builder: ExperienceBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(Experience::builder().when("")).starts_with("experience.touchpoint: is empty"));
        assert!(refused(Experience::builder().surveys([])).starts_with("experience.surveys: is empty"));
    }
}
