//! Patterns of events: a small regular language over conditions.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Condition, RefusedName, Window, only_an_object};
use crate::error::{InvalidPlan, InvalidValue};

/// A pattern has at most so many steps.
pub const LIMIT_PATTERN_STEPS: usize = 32;
/// The steps of a pattern name at most so many events together: of each step the most, or the fewest if it has no most.
pub const LIMIT_PATTERN_EVENTS: usize = 128;

/// How an event of a step follows the matched event before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatternFollows {
    /// Other events may lie between.
    #[default]
    Then,
    /// It is the next event of the journey.
    Directly,
}

/// One step of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StepForm", into = "StepForm")]
pub struct PatternStep {
    pub(crate) when: Condition,
    pub(crate) follows: PatternFollows,
    pub(crate) at_least: u32,
    /// `None` for any number.
    pub(crate) at_most: Option<u32>,
    pub(crate) within: Option<Window>,
    pub(crate) not_between: Option<Condition>,
}

/// A pattern of events: steps that follow one another, each with modifiers.
///
/// A step is a condition that one or more events meet. Its modifiers say how *each* of its events follows the matched event before it,
/// be that of the step before or of the same step:
///
/// | JSON | in code | says |
/// |---|---|---|
/// | `{"when":{..}}` | [`then`](PatternBuilder::then) | one event that meets the condition; others may lie between. Any event is `{"all":[]}` |
/// | `"follows":"directly"` | [`directly`](PatternBuilder::directly) | it is the next event of the journey |
/// | `"at_least":2,"at_most":5` | [`at_least`](PatternBuilder::at_least), [`at_most`](PatternBuilder::at_most) | so many events; exactly one if neither is given, at least one if only the most is, and any number more if only the fewest is. A step with `"at_least":0` may be left out |
/// | `"within":"2d"` | [`step_within`](PatternBuilder::step_within) | not later than that after the matched event before it, inclusive |
/// | `"not_between":{..}` | [`not_between`](PatternBuilder::not_between) | no event that meets this lies between the two |
///
/// The pattern itself may have `"within":"7d"`: its last event is not later than that after its first, inclusive. The first step and the last
/// cannot be left out, and modifiers of the first speak of its further events only.
///
/// ```
/// use journeylog::Pattern;
/// use chrono::TimeDelta;
/// // Three product views or more, a day apart at most, and then directly the cart; no support in between.
/// let pattern = Pattern::starting_with("product_view").at_least(3).step_within(TimeDelta::days(1))
///     .directly("add_to_cart")
///     .then("purchase").not_between("support")
///     .within(TimeDelta::days(7))
///     .build()?;
/// let text = r#"{"steps":[
///     {"when":{"touchpoint":"product_view"},"at_least":3,"within":"1d"},
///     {"when":{"touchpoint":"add_to_cart"},"follows":"directly"},
///     {"when":{"touchpoint":"purchase"},"not_between":{"touchpoint":"support"}}
/// ],"within":"7d"}"#;
/// assert_eq!(serde_json::from_str::<Pattern>(text)?, pattern);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PatternForm", into = "PatternForm")]
pub struct Pattern {
    pub(crate) steps: Vec<PatternStep>,
    pub(crate) within: Option<Window>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct StepForm {
    when: Condition,
    #[serde(default, skip_serializing_if = "is_then")]
    follows: PatternFollows,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_between: Option<Condition>,
}

only_an_object!(StepForm);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct PatternForm {
    steps: Vec<PatternStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
}

only_an_object!(PatternForm);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_then(follows: &PatternFollows) -> bool {
    *follows == PatternFollows::Then
}

impl PatternStep {
    /// The condition of its events.
    pub fn when(&self) -> &Condition {
        &self.when
    }

    /// The fewest and the most events that it has; `None` for any number.
    pub fn times(&self) -> (u32, Option<u32>) {
        (self.at_least, self.at_most)
    }

    /// So many of its events are told apart.
    pub(crate) fn told_apart(&self) -> usize {
        self.at_most.unwrap_or(self.at_least.max(1)) as usize
    }
}

impl TryFrom<StepForm> for PatternStep {
    type Error = InvalidValue;
    fn try_from(form: StepForm) -> Result<Self, InvalidValue> {
        let StepForm { when, follows, at_least, at_most, within, not_between } = form;
        when.check().map_err(|e| e.within("when"))?;
        not_between.iter().try_for_each(|not| not.check().map_err(|e| e.within("not_between")))?;
        let (at_least, at_most) = match (at_least, at_most) {
            (None, None) => (1, Some(1)),
            (least, most) => (least.unwrap_or(1), most),
        };
        if at_most.is_some_and(|most| most == 0 || most < at_least) {
            return Err(InvalidValue::new("at_most", "is 0, or less than at_least"));
        }
        Ok(Self { when, follows, at_least, at_most, within, not_between })
    }
}

impl From<PatternStep> for StepForm {
    fn from(step: PatternStep) -> Self {
        let PatternStep { when, follows, at_least, at_most, within, not_between } = step;
        let is_once = (at_least, at_most) == (1, Some(1));
        Self {
            when,
            follows,
            at_least: (!is_once).then_some(at_least),
            at_most: at_most.filter(|_| !is_once),
            within,
            not_between,
        }
    }
}

impl TryFrom<PatternForm> for Pattern {
    type Error = InvalidPlan;
    fn try_from(PatternForm { steps, within }: PatternForm) -> Result<Self, InvalidPlan> {
        Self::of(steps, within)
    }
}

impl From<Pattern> for PatternForm {
    fn from(Pattern { steps, within }: Pattern) -> Self {
        Self { steps, within }
    }
}

impl Pattern {
    /// Begins with a first step: one event that meets this condition. A text alone is a touchpoint.
    pub fn starting_with<C: TryInto<Condition, Error: Into<RefusedName>>>(first: C) -> PatternBuilder {
        PatternBuilder { steps: Vec::new(), within: None, refused: None }.then(first)
    }

    /// Its steps, in order.
    pub fn steps(&self) -> &[PatternStep] {
        &self.steps
    }

    /// How long after its first event its last one may be; `None` for any time.
    pub fn within(&self) -> Option<Window> {
        self.within
    }

    pub(crate) fn of(steps: Vec<PatternStep>, within: Option<Window>) -> Result<Self, InvalidPlan> {
        if steps.is_empty() || steps.len() > LIMIT_PATTERN_STEPS {
            let reason = format!("has {} steps, 1 to {LIMIT_PATTERN_STEPS} are allowed", steps.len());
            return Err(InvalidPlan::new("pattern.steps", reason));
        }
        let events = steps.iter().fold(0_usize, |sum, step| sum.saturating_add(step.told_apart()));
        if events > LIMIT_PATTERN_EVENTS {
            let reason = format!("name {events} events, the limit is {LIMIT_PATTERN_EVENTS}");
            return Err(InvalidPlan::new("pattern.steps", reason));
        }
        for end in [0, steps.len() - 1] {
            if steps.get(end).is_some_and(|step| step.at_least == 0) {
                let reason = "is 0, but the first step and the last cannot be left out";
                return Err(InvalidPlan::new(format!("pattern.steps[{end}].at_least"), reason));
            }
        }
        Ok(Self { steps, within })
    }
}

/// A pattern in the making; see [`Pattern`]. Modifiers are of the step before them.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a pattern is only made by build"]
pub struct PatternBuilder {
    steps: Vec<Made>,
    within: Option<Window>,
    refused: Option<InvalidPlan>,
}

#[derive(Debug, Clone, PartialEq)]
struct Made {
    when: Condition,
    follows: PatternFollows,
    at_least: Option<u32>,
    at_most: Option<u32>,
    within: Option<Window>,
    not_between: Option<Condition>,
}

impl PatternBuilder {
    /// Adds a step: an event that meets this condition, after the one before it; others may lie between.
    pub fn then<C: TryInto<Condition, Error: Into<RefusedName>>>(self, when: C) -> Self {
        self.add(when, PatternFollows::Then)
    }

    /// Adds a step: the next event of the journey, which must meet this condition.
    pub fn directly<C: TryInto<Condition, Error: Into<RefusedName>>>(self, when: C) -> Self {
        self.add(when, PatternFollows::Directly)
    }

    fn add<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, when: C, follows: PatternFollows) -> Self {
        if let Some(when) = self.condition(when, "when", self.steps.len()) {
            self.steps.push(Made { when, follows, at_least: None, at_most: None, within: None, not_between: None });
        }
        self
    }

    fn condition<C: TryInto<Condition, Error: Into<RefusedName>>>(
        &mut self,
        condition: C,
        field: &str,
        step: usize,
    ) -> Option<Condition> {
        let place = format!("pattern.steps[{step}].{field}");
        condition.try_into().map_err(|e| self.refuse(&place, e.into().into())).ok()
    }

    fn refuse(&mut self, place: &str, refused: InvalidValue) {
        self.refused.get_or_insert(refused.within(place).into());
    }

    fn last(mut self, change: impl FnOnce(&mut Made)) -> Self {
        if let Some(step) = self.steps.last_mut() {
            change(step);
        }
        self
    }

    /// Sets how many events the step has at least; with 0 it may be left out. Unless a most is set, there may be any number more.
    pub fn at_least(self, events: u32) -> Self {
        self.last(|step| step.at_least = Some(events))
    }

    /// Sets how many events the step has at most.
    pub fn at_most(self, events: u32) -> Self {
        self.last(|step| step.at_most = Some(events))
    }

    /// Sets how long after the matched event before it each of the step's events may be, inclusive.
    pub fn step_within(mut self, window: TimeDelta) -> Self {
        match Window::try_from(window) {
            Ok(window) => self.last(|step| step.within = Some(window)),
            Err(e) => {
                let place = format!("pattern.steps[{}].within", self.steps.len().saturating_sub(1));
                self.refuse(&place, e);
                self
            }
        }
    }

    /// Sets what must not lie between each of the step's events and the matched event before it.
    pub fn not_between<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, condition: C) -> Self {
        let step = self.steps.len().saturating_sub(1);
        let condition = self.condition(condition, "not_between", step);
        self.last(|step| step.not_between = condition)
    }

    /// Sets how long after the first event of the whole pattern its last one may be, inclusive.
    pub fn within(mut self, window: TimeDelta) -> Self {
        match Window::try_from(window) {
            Ok(window) => self.within = Some(window),
            Err(e) => self.refuse("pattern.within", e),
        }
        self
    }

    /// Checks and makes the pattern.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition or a time cannot be, if there are more than 32 steps, if these name more than 128 events,
    /// if the most events of a step are none or fewer than the fewest, or if the first or the last step may be left out.
    pub fn build(self) -> Result<Pattern, InvalidPlan> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let step = |(place, made): (usize, Made)| {
            let Made { when, follows, at_least, at_most, within, not_between } = made;
            let form = StepForm { when, follows, at_least, at_most, within, not_between };
            PatternStep::try_from(form).map_err(|e| InvalidPlan::from(e.within(&format!("pattern.steps[{place}]"))))
        };
        let steps = self.steps.into_iter().enumerate().map(step).collect::<Result<_, _>>()?;
        Pattern::of(steps, self.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let step = |modifiers: &str| format!(r#"{{"when":{{"touchpoint":"a"}}{modifiers}}}"#);
        for (modifiers, times) in [
            ("", (1, Some(1))),
            (r#","at_least":1"#, (1, None)),
            (
                r#","follows":"directly","at_least":2,"at_most":3,"within":"2d","not_between":{"channel":"web"}"#,
                (2, Some(3)),
            ),
        ] {
            let text = format!(r#"{{"steps":[{}],"within":"7d"}}"#, step(modifiers));
            let pattern: Pattern = serde_json::from_str(&text).unwrap();
            assert_eq!(pattern.steps()[0].times(), times);
            assert_eq!(serde_json::to_string(&pattern).unwrap(), text);
        }
        let most: Pattern = serde_json::from_str(&format!(r#"{{"steps":[{}]}}"#, step(r#","at_most":3"#))).unwrap();
        assert_eq!(most.steps()[0].times(), (1, Some(3)));
    }

    #[test]
    fn impossible_patterns_say_where() {
        let refused = |builder: PatternBuilder| builder.build().unwrap_err().to_string();
        let two = || Pattern::starting_with("a").then("b");
        assert!(refused(two().then("")).starts_with("pattern.steps[2].when.touchpoint: is empty"));
        assert!(refused(two().not_between("")).starts_with("pattern.steps[1].not_between.touchpoint: is empty"));
        assert!(refused(two().at_most(0)).starts_with("pattern.steps[1].at_most"));
        assert!(refused(two().at_least(3).at_most(2)).starts_with("pattern.steps[1].at_most"));
        assert!(refused(two().at_least(0)).starts_with("pattern.steps[1].at_least"));
        assert!(refused(Pattern::starting_with("a").at_least(0).then("b")).starts_with("pattern.steps[0].at_least"));
        assert!(refused(two().step_within(TimeDelta::seconds(-1))).starts_with("pattern.steps[1].within"));
        assert!(refused(two().within(TimeDelta::seconds(-1))).starts_with("pattern.within"));
        assert!(refused(two().at_least(128)).starts_with("pattern.steps: name 129 events, the limit is 128"));
        assert!(serde_json::from_str::<Pattern>(r#"{"steps":[]}"#).unwrap_err().to_string().contains("has 0 steps"));
    }
}
