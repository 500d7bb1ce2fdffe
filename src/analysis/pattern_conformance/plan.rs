//! What a question about conformance to a pattern asks.

use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Pattern, PatternFollows, PatternStep, RefusedName, only_an_object},
};

/// How far journeys are a designed sequence of events.
///
/// # Question
/// How many customers do what was designed for them, in that order? And what do the others skip, repeat, do in another order, or do
/// beside it?
///
/// # Definition
/// The designed journey is a [`Pattern`] that is a plain chain: each step one event, later than the step before it, without windows and
/// without what must not lie between. What is skipped is not known of any other, which is refused: ask
/// [`PatternMatches`](crate::PatternMatches) for the share of journeys that hold it.
///
/// A journey begins with its first event that meets the condition of any step. A scope's range says which customers count: those whose
/// journey begins in it. All that follows up to the end of observation is looked at; events that meet no step's condition are passed
/// over, but for those that the plan names as [`unexpected`](Self::unexpected). Of tied events the one that arrived first is the earlier.
///
/// Events are **aligned** with steps: each event serves one step at most, each step is served by one event at most, in the order of the
/// steps, so that as many steps as can be are served. Of several such ways it is the one that serves the first step if any of them does, by
/// the earliest event, then in the same way the second, and so on. Whatever does not fit is a deviation:
///
/// | kind | what |
/// |---|---|
/// | skipped | a step that is not served, before another that is, without an event that is out of order for it. It is of the moment at which the next step is served |
/// | repeated | an event that serves no step, of the first of the steps whose condition it meets that an earlier event serves |
/// | out of order | an event that serves no step, and meets the condition of none that an earlier event serves: of the first whose condition it meets. It comes before the step's turn, or when that is past |
/// | unexpected | an event of those that the plan names, which meets no step's condition |
///
/// A journey **fits** if it has no deviation; it need not be over: steps behind the last one that is served may still come. It is
/// `completed` if it fits and all steps are served. Deviations are listed with those of most customers first; equals by how
/// often they occur, then in the order of steps and of kinds.
///
/// # Worked example
/// ```
/// use journeylog::{DeviationKind, Event, Journeys, Pattern, PatternConformance};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "view"), Event::at(day(1), "ann", "cart"), Event::at(day(2), "ann", "purchase"),
///     Event::at(day(0), "bob", "view"), Event::at(day(1), "bob", "view"), Event::at(day(2), "bob", "purchase"),
///     Event::at(day(0), "cat", "cart"), Event::at(day(1), "cat", "view"), Event::at(day(2), "cat", "support"),
/// ])?;
/// let designed = Pattern::starting_with("view").then("cart").then("purchase").build()?;
/// let report = journeys.query().run(&PatternConformance::to(designed)?.unexpected("support")?)?;
/// assert_eq!((report.fits.some, report.completed.some, report.customers), (1, 1, 3));
/// let found: Vec<_> = report.deviations.iter().map(|one| (one.kind, one.step)).collect();
/// assert_eq!(found, [
///     (DeviationKind::Repeated, Some(1)), // Bob's second view
///     (DeviationKind::Skipped, Some(2)), // and his purchase without a cart
///     (DeviationKind::OutOfOrder, Some(2)), // Cat's cart before the view
///     (DeviationKind::Unexpected, None),
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
/// Time: of each journey its events times the steps. Memory: a few numbers for each step, and for each two of them, however long a
/// journey is; and the customers with their deviations if they are listed.
///
/// # Compared with
/// Process mining calls it an alignment of a log with a model: a step that is not served is a move of the model, an event that serves none a
/// move of the log, all at equal cost.
///
/// # Literature
/// A. Adriansyah (2014), "Aligning observed and modeled behavior". The alignment is a longest common subsequence: R. Wagner and M. Fischer
/// (1974), "The string-to-string correction problem".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[must_use = "a plan answers nothing until it is run"]
pub struct PatternConformance {
    pub(super) pattern: Pattern,
    pub(super) unexpected: Option<Condition>,
    pub(super) customers: bool,
}

/// The JSON form: `{"steps":[{"when":{..}},{"when":{..}}],"unexpected":{"touchpoint":"support"},"customers":true}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    steps: Vec<PatternStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unexpected: Option<Condition>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Form);

impl PatternConformance {
    /// To this pattern.
    ///
    /// # Errors
    /// [`InvalidPlan`] if it is not a plain chain.
    pub fn to(pattern: Pattern) -> Result<Self, InvalidPlan> {
        let reason = "is more than one event that comes later: only of a plain chain is it known what was skipped";
        if pattern.within.is_some() {
            return Err(InvalidPlan::new("pattern_conformance.within", reason));
        }
        let is_plain = |step: &PatternStep| {
            step.follows == PatternFollows::Then
                && step.times() == (1, Some(1))
                && step.within.is_none()
                && step.not_between.is_none()
        };
        match pattern.steps.iter().position(|step| !is_plain(step)) {
            Some(place) => Err(InvalidPlan::new(format!("pattern_conformance.steps[{place}]"), reason)),
            None => Ok(Self { pattern, unexpected: None, customers: false }),
        }
    }

    /// Counts events for which this holds, and no step's condition, as deviations. A text alone is a touchpoint.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked.
    pub fn unexpected<C>(mut self, when: C) -> Result<Self, InvalidPlan>
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let refused = |e: C::Error| InvalidValue::from(e.into()).within("pattern_conformance.unexpected");
        let when = when.try_into().map_err(refused)?;
        when.check().map_err(|e| e.within("pattern_conformance.unexpected"))?;
        self.unexpected = Some(when);
        Ok(self)
    }

    /// Lists each customer with their deviations.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl TryFrom<Form> for PatternConformance {
    type Error = InvalidPlan;
    fn try_from(Form { steps, unexpected, customers }: Form) -> Result<Self, InvalidPlan> {
        let pattern = Pattern::of(steps, None)
            .map_err(|e| InvalidPlan::new(e.at().replacen("pattern", "pattern_conformance", 1), e.reason()))?;
        let plan = Self { customers, ..Self::to(pattern)? };
        match unexpected {
            Some(when) => plan.unexpected(when),
            None => Ok(plan),
        }
    }
}

impl From<PatternConformance> for Form {
    fn from(PatternConformance { pattern: Pattern { steps, .. }, unexpected, customers }: PatternConformance) -> Self {
        Self { steps, unexpected, customers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"steps":[{"when":{"touchpoint":"a"}},{"when":{"touchpoint":"b"}}],"unexpected":{"touchpoint":"c"},"customers":true}"#;
        let plan: PatternConformance = serde_json::from_str(text).unwrap();
        let pattern = Pattern::starting_with("a").then("b").build().unwrap();
        let built = PatternConformance::to(pattern).unwrap().unexpected("c").unwrap().list_customers();
        assert_eq!(plan, built);
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
    }

    #[test]
    fn more_than_a_plain_chain_is_refused() {
        let first = || Pattern::starting_with("a");
        for (pattern, at) in [
            (first().directly("b"), "steps[1]"),
            (first().at_least(2).then("b"), "steps[0]"),
            (first().then("b").not_between("c"), "steps[1]"),
        ] {
            let refused = PatternConformance::to(pattern.build().unwrap()).unwrap_err();
            assert_eq!(refused.at(), format!("pattern_conformance.{at}"));
        }
        let plan = || PatternConformance::to(first().build().unwrap()).unwrap();
        let refused = plan().unexpected("").unwrap_err().to_string();
        assert_eq!(refused, "pattern_conformance.unexpected.touchpoint: is empty");
        let empty = serde_json::from_str::<PatternConformance>(r#"{"steps":[]}"#).unwrap_err().to_string();
        assert!(empty.starts_with("pattern_conformance.steps: has 0 steps"), "{empty}");
    }
}
