//! Questions and answers as JSON.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    analysis::{BySegment, Plan, Report, Scope, Segments},
    error::{InvalidPlan, without_value},
    model::{JourneyModel, UniqueKeys, made_of_unique_keys},
    table::{Table, Tables},
};

/// The most bytes of questions that are read at once: 16 MiB.
pub const LIMIT_QUESTION_BYTES: usize = 16 << 20;
/// The most questions that are read at once.
pub const LIMIT_QUESTIONS: usize = 1_000;

/// A plan with its scope and journey model: what one JSON object asks.
///
/// ```
/// use journeylog::Question;
/// let text = r#"{"funnel":{"steps":[{"touchpoint":"view"},{"stage":"purchase"}],"window":"7d"},"scope":{"from":"2026-03-01T00:00:00Z"}}"#;
/// let questions = Question::read(text)?;
/// assert_eq!(questions.len(), 1);
/// let refused = Question::read(r#"{"funnel":{"steps":[{"touchpiont":"view"}]}}"#).unwrap_err();
/// assert!(refused.to_string().starts_with("funnel.steps[0]: touchpiont: is an unknown key"));
/// # Ok::<(), journeylog::InvalidPlan>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UniqueKeys", into = "Value")]
#[non_exhaustive]
pub struct Question {
    /// What is asked.
    pub plan: Plan,
    /// Of which part of the log.
    pub scope: Scope,
    /// The journey model by which conditions on stages are read; `None` for the standard one.
    pub model: Option<JourneyModel>,
}

impl Question {
    /// A plan over the whole log, by the standard model.
    pub fn new(plan: impl Into<Plan>) -> Self {
        Self { plan: plan.into(), scope: Scope::all(), model: None }
    }

    /// Sets the scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the journey model.
    #[must_use]
    pub fn model(mut self, model: JourneyModel) -> Self {
        self.model = Some(model);
        self
    }

    /// Reads one question, or a list of at most 1,000, in at most 16 MiB.
    ///
    /// # Errors
    /// [`InvalidPlan`] that says where in the text, and what.
    pub fn read(json: &str) -> Result<Vec<Self>, InvalidPlan> {
        let refuse = |found: usize, what: &str, limit: usize, instead: &str| {
            Err(InvalidPlan::new("JSON", format!("has {found} {what}, the limit is {limit}: {instead}")))
        };
        if json.len() > LIMIT_QUESTION_BYTES {
            return refuse(json.len(), "bytes", LIMIT_QUESTION_BYTES, "make long lists of customers or values shorter");
        }
        let UniqueKeys(value) = serde_json::from_str(json).map_err(|e| InvalidPlan::new("JSON", e.to_string()))?;
        match value {
            Value::Array(list) if list.len() > LIMIT_QUESTIONS => {
                refuse(list.len(), "questions", LIMIT_QUESTIONS, "ask them in several lists")
            }
            Value::Array(list) => list
                .into_iter()
                .enumerate()
                .map(|(i, one)| {
                    Self::try_from(one).map_err(|e| InvalidPlan::new(format!("[{i}].{}", e.at()), e.reason()))
                })
                .collect(),
            one => Self::try_from(one).map(|question| vec![question]),
        }
    }
}

/// Reads a part of a question; errors say where in it.
fn part<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, InvalidPlan> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let at = match (at, path.as_str()) {
            ("", ".") => "plan".to_owned(),
            (at, ".") => at.to_owned(),
            ("", path) => path.to_owned(),
            (at, path) if path.starts_with('[') => format!("{at}{path}"),
            (at, path) => format!("{at}.{path}"),
        };
        // A plan that refuses itself names the place already, from the same key on.
        let text = without_value(e.inner().to_string());
        match text.split_once(": ") {
            Some((place, reason)) if place.starts_with(&at) => InvalidPlan::new(place, reason),
            _ => InvalidPlan::new(at, text),
        }
    })
}

made_of_unique_keys! { Question, InvalidPlan; }

impl TryFrom<Value> for Question {
    type Error = InvalidPlan;

    fn try_from(value: Value) -> Result<Self, InvalidPlan> {
        let Value::Object(mut object) = value else {
            return Err(InvalidPlan::new("plan", "is not an object such as {\"funnel\":{..}}"));
        };
        let scope = object.remove("scope").map_or(Ok(Scope::all()), |value| part("scope", value))?;
        scope.check()?;
        let model = object.remove("model").map(|value| part("model", value)).transpose()?;
        let by_segment = object.remove("by_segment").map(|value| part::<Segments>("by_segment", value)).transpose()?;
        // Without segments it stands in the plan.
        let lists_segments = by_segment.as_ref().and_then(|_| object.remove("customers"));
        let lists_segments = lists_segments.map_or(Ok(false), |value| part("customers", value))?;
        if object.len() != 1 {
            let keys = object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let reason = format!(
                "needs one of funnel, transitions, stages, retention, lifecycle, churn_rate, stickiness, dwell, sessions, paths, pattern, conformance, pattern_conformance, attribution, experience, conversion_rate, drivers, consistency, purchases, lifetime_value and segment beside scope, model and by_segment; found: {keys}"
            );
            return Err(InvalidPlan::new("plan", reason));
        }
        let plan: Plan = part("", Value::Object(object))?;
        let plan = match by_segment {
            Some(segments) => {
                let plan = BySegment::new(plan, segments)?;
                Plan::BySegment(if lists_segments { plan.list_customers() } else { plan })
            }
            None => plan,
        };
        Ok(Self { plan, scope, model })
    }
}

impl From<Question> for Value {
    fn from(question: Question) -> Self {
        let object = |value: Result<Self, _>| match value {
            Ok(Self::Object(object)) => object,
            _ => Map::new(),
        };
        let mut written = match &question.plan {
            // The plan itself stands where it would without segments.
            Plan::BySegment(plan) => {
                let mut written = object(serde_json::to_value(plan.plan()));
                written.insert("by_segment".into(), Self::Object(object(serde_json::to_value(plan.segments()))));
                if plan.lists_customers() {
                    written.insert("customers".into(), true.into());
                }
                written
            }
            plan => object(serde_json::to_value(plan)),
        };
        if !question.scope.is_all() {
            written.insert("scope".into(), Self::Object(object(serde_json::to_value(question.scope))));
        }
        if let Some(model) = question.model {
            written.insert("model".into(), Self::Object(object(serde_json::to_value(model))));
        }
        Self::Object(written)
    }
}

/// A report with the question it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// What was asked.
    #[serde(rename = "plan")]
    pub question: Question,
    /// What was found.
    pub report: Report,
    /// The end of observation; `None` if there is no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_until: Option<DateTime<Utc>>,
}

impl Tables for Answer {
    fn tables(&self) -> Vec<Table> {
        self.report.tables()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}
