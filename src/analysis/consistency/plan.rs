//! What a question about consistency asks.

use serde::{Deserialize, Serialize};

use super::{ConsistencyReport, report};
use crate::{
    analysis::{Analysis, Binder, Bound, EventBy, Experience, ExperienceAnswers, ExperienceBuilder},
    error::{InvalidPlan, InvalidValue, Result},
    journey::{Journey, Names},
    model::{Condition, RefusedName, Survey, only_an_object},
};

/// Consistency: whether feedback differs between channels.
///
/// # Question
/// Are customers as satisfied in the shop as on the web? Where are they less so, and could that be chance?
///
/// # Definition
/// Answers to one survey are those of [`Experience`]: in the scope's range, meeting a condition if one was given, all of them or the
/// [latest](ConsistencyBuilder::latest) of each customer. They are told apart by channel, or by [what else](ConsistencyBuilder::by)
/// `Experience` tells them apart by; those before any stage are a group without a name. Ask
/// [by segment](crate::BySegment) for each segment by itself.
///
/// For each group: how many answers, and their mean with its interval at 95 % by Student's t with n - 1 degrees of freedom, cut off at the
/// survey's lowest and highest score; none of fewer than two answers.
///
/// Two tests ask whether groups are equal, of those with at least [`min_answers`](ConsistencyBuilder::min_answers) answers:
///
/// - **Welch's analysis of variance**: are the means equal? Variances need not be.
/// - **Kruskal and Wallis's test**, corrected for ties: do some groups rank higher than others? Scores are ordered, and a step from 6 to 7
///   need not be as much as one from 9 to 10; this test does not suppose it. Its p-value is that of chi-squared, which is fair from about five answers a group on.
///
/// With fewer than two such groups there is no test, nor where answers do not vary ([`NotTested`](crate::NotTested)).
///
/// Both presume answers that are independent of each other. Several of one customer are not: p-values are then too small. Ask
/// for the latest; the default, as in `Experience`, is all.
///
/// # Worked example
/// ```
/// use journeylog::{Channel, Consistency, Event, Feedback, Journeys, Survey};
/// # use chrono::{DateTime, Utc};
/// let answer = |who: &str, channel, score| {
///     let event = Event::at(DateTime::<Utc>::UNIX_EPOCH, who, "survey").channel(channel);
///     Ok::<_, journeylog::InvalidValue>(event.feedback(Feedback::csat(score)?))
/// };
/// let journeys = Journeys::of([
///     answer("a", Channel::Web, 5)?, answer("b", Channel::Web, 4)?, answer("c", Channel::Web, 5)?,
///     answer("d", Channel::Phone, 2)?, answer("e", Channel::Phone, 1)?, answer("f", Channel::Phone, 2)?,
/// ])?;
/// let report = journeys.query().run(&Consistency::of(Survey::Csat).min_answers(3).build()?)?;
/// let phone = &report.groups[0];
/// assert_eq!((phone.group.as_deref(), phone.answers), (Some("phone"), 3));
/// assert!((phone.mean - 5.0 / 3.0).abs() < 1e-12);
/// // Means 3 apart, each with a variance of 1/3 in 3 answers: F = 9 / (2 / 9), with 4 degrees of freedom.
/// let welch = report.welch.unwrap();
/// assert!((welch.statistic - 40.5).abs() < 1e-9 && welch.p_value < 0.01);
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// That of [`Experience`].
///
/// # Literature
/// B. L. Welch (1951), "On the comparison of several mean values: an alternative approach"; W. H. Kruskal and W. A. Wallis (1952),
/// "Use of ranks in one-criterion variance analysis". Student's t of very many answers is expanded about the normal one, by R. A. Fisher and E. A. Cornish
/// (1960), "The percentile points of distributions having known cumulants".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ConsistencyBuilder", into = "ConsistencyBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Consistency {
    survey: Survey,
    by: EventBy,
    when: Option<Condition>,
    answers: ExperienceAnswers,
    min_answers: u64,
    customers: bool,
    /// The same answers.
    experience: Experience,
}

impl Consistency {
    /// Of the answers to a survey.
    pub fn of(survey: Survey) -> ConsistencyBuilder {
        ConsistencyBuilder {
            survey,
            by: channel(),
            when: None,
            answers: ExperienceAnswers::All,
            min_answers: five(),
            customers: false,
            refused: None,
        }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self.experience = self.experience.list_customers();
        self
    }
}

/// Consistency in the making, and the JSON form of it:
/// `{"of":"nps","by":"channel","when":{"stage":"purchase"},"answers":"latest","min_answers":5,"customers":true}`; only `of` is required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct ConsistencyBuilder {
    #[serde(rename = "of")]
    survey: Survey,
    #[serde(default = "channel")]
    by: EventBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
    #[serde(default)]
    answers: ExperienceAnswers,
    #[serde(default = "five")]
    min_answers: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(ConsistencyBuilder);

const fn channel() -> EventBy {
    EventBy::Channel
}

const fn five() -> u64 {
    5
}

impl ConsistencyBuilder {
    /// Tells answers apart by this. The default is their channel.
    pub fn by(mut self, by: EventBy) -> Self {
        self.by = by;
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

    /// Counts the latest answer of each customer. By default all answers count.
    pub fn latest(mut self) -> Self {
        self.answers = ExperienceAnswers::Latest;
        self
    }

    /// Tests groups only that have so many answers, at least 2. The default is 5.
    pub fn min_answers(mut self, answers: u64) -> Self {
        self.min_answers = answers;
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
    /// [`InvalidPlan`] if a condition cannot be asked, or if groups of fewer than 2 answers are to be tested.
    pub fn build(self) -> Result<Consistency, InvalidPlan> {
        let Self { survey, by, when, answers, min_answers, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("consistency").into());
        }
        if let Some(when) = &when {
            when.check().map_err(|e| e.within("consistency.when"))?;
        }
        if min_answers < 2 {
            return Err(InvalidPlan::new("consistency.min_answers", "is below 2: one answer does not vary"));
        }
        let same = Experience::builder().surveys([survey]).by(by);
        let same = if let Some(when) = when.clone() { same.when(when) } else { same };
        let same = if answers == ExperienceAnswers::Latest { same.latest() } else { same };
        let same = if customers { ExperienceBuilder::list_customers(same) } else { same };
        Ok(Consistency { survey, by, when, answers, min_answers, customers, experience: same.build()? })
    }
}

impl TryFrom<ConsistencyBuilder> for Consistency {
    type Error = InvalidPlan;
    fn try_from(builder: ConsistencyBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Consistency> for ConsistencyBuilder {
    fn from(plan: Consistency) -> Self {
        let Consistency { survey, by, when, answers, min_answers, customers, experience: _ } = plan;
        Self { survey, by, when, answers, min_answers, customers, refused: None }
    }
}

impl Analysis for Consistency {
    type Bound = BoundConsistency;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundConsistency, InvalidPlan> {
        Ok(BoundConsistency { min_answers: self.min_answers, experience: self.experience.bind(binder)? })
    }
}

/// Consistency bound to a store: what is counted is what `Experience` counts.
#[derive(Debug)]
pub struct BoundConsistency {
    min_answers: u64,
    experience: <Experience as Analysis>::Bound,
}

impl Bound for BoundConsistency {
    type State = <<Experience as Analysis>::Bound as Bound>::State;
    type Report = ConsistencyReport;

    fn start(&self) -> Self::State {
        self.experience.start()
    }

    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
        self.experience.visit(state, journey);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.experience.merge(state, other);
    }

    fn size(&self, state: &Self::State) -> usize {
        self.experience.size(state)
    }

    fn finish(&self, state: Self::State, names: &Names) -> Result<ConsistencyReport> {
        Ok(report::of(self.experience.finish(state, names)?, self.min_answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"of":"ces","by":"touchpoint","when":{"channel":"web"},"answers":"latest","min_answers":3,"customers":true}"#;
        let plan: Consistency = serde_json::from_str(text).unwrap();
        let web = Condition::Channel(crate::Channel::Web);
        let built = Consistency::of(Survey::Ces).by(EventBy::Touchpoint).when(web).latest().min_answers(3);
        assert_eq!(Ok(plan.clone()), built.list_customers().build());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let least: Consistency = serde_json::from_str(r#"{"of":"nps"}"#).unwrap();
        assert_eq!(Ok(least), Consistency::of(Survey::Nps).build());
        let refused = |builder: ConsistencyBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(Consistency::of(Survey::Nps).when("")).starts_with("consistency.touchpoint: is empty"));
        assert!(
            refused(Consistency::of(Survey::Nps).min_answers(1)).starts_with("consistency.min_answers: is below 2")
        );
    }
}
