//! The JSON form of a segment, and what its keys stand for if they go together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Comparison, Condition, LIMIT_SEGMENT_DEPTH, LIMIT_SEGMENT_LEAVES, Segment, SegmentPart, SegmentSpan, StageName,
    WhichAnswer, Window, check_name, find_named, only_an_object, read_maybe_time,
};
use crate::error::{InvalidPlan, InvalidValue};

/// The JSON form of a segment: one of the first twelve keys, and what that takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub(super) struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) all: Option<Vec<Form>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) any: Option<Vec<Form>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not: Option<Box<Form>>,
    /// The name of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) did: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) did_not: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<StageName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reached: Option<StageName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<Score>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Sum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) then: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) then_not: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) within: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at_least: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at_most: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exactly: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) is: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<WhichAnswer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<Condition>,
    #[serde(default, deserialize_with = "read_maybe_time", skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "read_maybe_time", skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) past: Option<Window>,
}

only_an_object!(Form);

/// How a score compares: a condition on feedback, without the key that says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(super) struct Score(pub(super) Condition);

/// The same of a sum of money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(super) struct Sum(pub(super) Condition);

impl TryFrom<Value> for Score {
    type Error = InvalidValue;
    fn try_from(value: Value) -> Result<Self, InvalidValue> {
        Condition::try_from(json!({ "feedback": value })).map(Self)
    }
}

impl From<Score> for Value {
    fn from(Score(condition): Score) -> Self {
        Self::from(condition).get_mut("feedback").map_or(Self::Null, Self::take)
    }
}

impl TryFrom<Value> for Sum {
    type Error = InvalidValue;
    fn try_from(value: Value) -> Result<Self, InvalidValue> {
        Condition::try_from(json!({ "value": value })).map(Self)
    }
}

impl From<Sum> for Value {
    fn from(Sum(condition): Sum) -> Self {
        Self::from(condition).get_mut("value").map_or(Self::Null, Self::take)
    }
}

/// Refuses what nests too deep before anything is made of it, since a value made by hand has no limit of its own; and lists
/// where a segment should stand.
pub(super) fn check_shape(at: &str, value: &Value, depth: usize) -> Result<(), InvalidPlan> {
    let below = depth.checked_sub(1).ok_or_else(|| too_deep("segment"))?;
    let Some(object) = value.as_object() else {
        return Err(InvalidPlan::new(at, "is not an object such as {\"did\":{..}}"));
    };
    for key in ["all", "any"] {
        for (i, inner) in object.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            check_shape(&format!("{at}.{key}[{i}]"), inner, below)?;
        }
    }
    object.get("not").map_or(Ok(()), |inner| check_shape(&format!("{at}.not"), inner, below))
}

fn too_deep(at: &str) -> InvalidPlan {
    InvalidPlan::new(at, format!("nests deeper than {LIMIT_SEGMENT_DEPTH}"))
}

const TIMES: &[&str] = &["from", "to", "past"];

impl Form {
    /// Whether there is a name in it for which this holds.
    pub(super) fn has_name(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        let inner = self.all.iter().chain(&self.any).flatten().chain(self.not.as_deref());
        self.segment.as_deref().is_some_and(wanted) || inner.into_iter().any(|form| form.has_name(wanted))
    }

    /// The keys that are there of those that say what it is, and of those that say more.
    fn keys(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let heads = [
            ("all", self.all.is_some()),
            ("any", self.any.is_some()),
            ("not", self.not.is_some()),
            ("segment", self.segment.is_some()),
            ("did", self.did.is_some()),
            ("did_not", self.did_not.is_some()),
            ("first", self.first.is_some()),
            ("last", self.last.is_some()),
            ("stage", self.stage.is_some()),
            ("reached", self.reached.is_some()),
            ("score", self.score.is_some()),
            ("value", self.value.is_some()),
        ];
        let more = [
            ("then", self.then.is_some()),
            ("then_not", self.then_not.is_some()),
            ("within", self.within.is_some()),
            ("at_least", self.at_least.is_some()),
            ("at_most", self.at_most.is_some()),
            ("exactly", self.exactly.is_some()),
            ("is", self.is.is_some()),
            ("answer", self.answer.is_some()),
            ("of", self.of.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("past", self.past.is_some()),
        ];
        let there = |keys: &[(&'static str, bool)]| keys.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
        (there(&heads), there(&more))
    }

    /// What the keys that are there stand for, if they go together.
    pub(super) fn read(&self, at: &str, depth: usize, reading: &mut Reading<'_>) -> Result<SegmentPart, InvalidPlan> {
        let below = depth.checked_sub(1).ok_or_else(|| too_deep(at))?;
        let refuse = |key: &str, reason: String| Err(InvalidPlan::new(format!("{at}.{key}"), reason));
        let (heads, more) = self.keys();
        let [head] = *heads.as_slice() else {
            let found = if heads.is_empty() { "none".to_owned() } else { heads.join(", ") };
            let reason = format!(
                "needs one of did, did_not, first, last, stage, reached, score, value, all, any, not, segment; found {found}"
            );
            return Err(InvalidPlan::new(at, reason));
        };
        let follows = self.then.is_some() || self.then_not.is_some();
        let (takes, times): (&[&str], &[&str]) = match head {
            "all" | "any" | "not" | "segment" | "stage" => (&[], &[]),
            "did" if follows => (&["then", "then_not", "within"], TIMES),
            "did" => (&["at_least", "at_most", "exactly"], TIMES),
            "first" | "last" => (&["is"], TIMES),
            "score" => (&["answer"], TIMES),
            "value" => (&["of"], TIMES),
            _ => (&[], TIMES),
        };
        if let Some(key) = more.iter().find(|key| !takes.contains(key) && !times.contains(key)) {
            let with = if follows && head == "did" { "did with then or then_not" } else { head };
            return refuse(key, format!("is nothing that {with} takes"));
        }
        let list = |list: &[Self], reading: &mut Reading<'_>| {
            if list.is_empty() {
                reading.count_leaf()?;
            }
            let one = |(i, form): (usize, &Self)| form.read(&format!("{at}.{head}[{i}]"), below, reading);
            list.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()
        };
        match (&self.all, &self.any, &self.not) {
            (Some(all), ..) => return list(all, reading).map(SegmentPart::All),
            (_, Some(any), _) => return list(any, reading).map(SegmentPart::Any),
            (.., Some(not)) => {
                let inner = not.read(&format!("{at}.not"), below, reading)?;
                return Ok(SegmentPart::Not(Box::new(inner)));
            }
            _ => {}
        }
        if let Some(name) = &self.segment {
            return reading.read_named(name, at, below);
        }
        reading.count_leaf()?;
        self.leaf(at)
    }

    fn leaf(&self, at: &str) -> Result<SegmentPart, InvalidPlan> {
        let refuse = |key: &str, reason: &str| Err(InvalidPlan::new(format!("{at}.{key}"), reason));
        let checked = |key: &str, condition: &Condition| {
            condition.check().map_err(|e| e.within(&format!("{at}.{key}")))?;
            Ok::<_, InvalidPlan>(condition.clone())
        };
        let span = self.span(at)?;
        if let Some(did) = &self.did {
            let when = checked("did", did)?;
            return match (&self.then, &self.then_not) {
                (Some(_), Some(_)) => refuse("then_not", "goes not with then: combine two segments"),
                (Some(then), None) => {
                    let then = checked("then", then)?;
                    Ok(SegmentPart::Then { when, then, within: self.within, follows: true, span })
                }
                (None, Some(then)) => {
                    let then = checked("then_not", then)?;
                    Ok(SegmentPart::Then { when, then, within: self.within, follows: false, span })
                }
                (None, None) => {
                    let (least, most) = match (self.exactly, self.at_least, self.at_most) {
                        (Some(count), None, None) => (count, Some(count)),
                        (Some(_), ..) => return refuse("exactly", "goes not with at_least or at_most"),
                        (None, None, None) => (1, None),
                        (None, least, most) => (least.unwrap_or(0), most),
                    };
                    if most.is_some_and(|most| least > most) {
                        return refuse("at_most", "is less than at_least");
                    }
                    Ok(SegmentPart::Did { when, least, most, span })
                }
            };
        }
        if let Some(when) = &self.did_not {
            return Ok(SegmentPart::Did { when: checked("did_not", when)?, least: 0, most: Some(0), span });
        }
        for (key, when, is_last) in [("first", &self.first, false), ("last", &self.last, true)] {
            let Some(when) = when else { continue };
            let when = checked(key, when)?;
            let is = self.is.as_ref().map(|is| checked("is", is)).transpose()?;
            if is.is_none() && self.from.is_none() && self.to.is_none() && self.past.is_none() {
                return refuse(key, "says nothing: give is, from, to or past");
            }
            return Ok(SegmentPart::Edge { when, is_last, is, span });
        }
        if let Some(Score(condition)) = &self.score {
            let Condition::Feedback { survey: Some(survey), .. } = condition else {
                return refuse("score", "takes one survey and one comparison");
            };
            checked("score", condition)?;
            let answers = Condition::feedback(*survey, Comparison::Exists(true));
            return Ok(match self.answer.unwrap_or_default() {
                WhichAnswer::Any => SegmentPart::Did { when: condition.clone(), least: 1, most: None, span },
                // Of the answers in that time, and not of all the first or last if it lies in that time.
                which => SegmentPart::Edge {
                    when: answers,
                    is_last: which == WhichAnswer::Latest,
                    is: Some(condition.clone()),
                    span: SegmentSpan { narrows: true, ..span },
                },
            });
        }
        if let Some(Sum(condition)) = &self.value {
            return match condition {
                Condition::Value { test: Comparison::Exists(_), .. } => {
                    refuse("value", "compares a sum, which is always there: exists says nothing")
                }
                Condition::Value { currency: Some(currency), test } => {
                    checked("value", condition)?;
                    let of = self.of.as_ref().map(|of| checked("of", of)).transpose()?;
                    let of = of.unwrap_or_else(|| Condition::All(Vec::new()));
                    Ok(SegmentPart::Value { of, currency: *currency, test: test.clone(), span })
                }
                _ => refuse("value", "takes one currency and one comparison"),
            };
        }
        match (&self.stage, &self.reached) {
            (Some(stage), _) => Ok(SegmentPart::Stage(stage.clone())),
            (_, Some(stage)) => Ok(SegmentPart::Reached(stage.clone(), span)),
            _ => Err(InvalidPlan::new(at, "is empty")),
        }
    }

    fn span(&self, at: &str) -> Result<SegmentSpan, InvalidPlan> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(InvalidPlan::new(format!("{at}.to"), "is not after from"));
        }
        Ok(SegmentSpan {
            from: self.from.map(Into::into),
            to: self.to.map(Into::into),
            past: self.past,
            narrows: false,
        })
    }
}

/// What is known while a segment is read.
#[derive(Default)]
pub(super) struct Reading<'a> {
    leaves: usize,
    /// The segments that have a name; `None` if names are only looked at, and not up.
    named: Option<&'a BTreeMap<String, Segment>>,
    /// The names within which it stands, the outermost first.
    within: Vec<&'a str>,
    /// The name of the whole, if it has one.
    own_name: Option<&'a str>,
}

impl<'a> Reading<'a> {
    /// With the names looked up; of the segment of this name, if it has one.
    pub(super) fn with(named: &'a BTreeMap<String, Segment>, name: Option<&'a str>) -> Self {
        Self { leaves: 0, named: Some(named), within: name.into_iter().collect(), own_name: name }
    }

    fn count_leaf(&mut self) -> Result<(), InvalidPlan> {
        self.leaves += 1;
        if self.leaves > LIMIT_SEGMENT_LEAVES {
            let reason = format!("has {} leaves or more, the limit is {LIMIT_SEGMENT_LEAVES}", self.leaves);
            let at = self.own_name.map_or_else(|| "segment".to_owned(), |name| format!("segment({name})"));
            return Err(InvalidPlan::new(at, reason));
        }
        Ok(())
    }

    /// What the segment of that name stands for, one level deeper than its name.
    fn read_named(&mut self, name: &str, at: &str, below: usize) -> Result<SegmentPart, InvalidPlan> {
        let at = format!("{at}.segment");
        check_name(&at, name)?;
        let Some(named) = self.named else {
            self.count_leaf()?;
            return Ok(SegmentPart::Any(Vec::new()));
        };
        let (name, segment) = find_named(&at, name, named)?;
        if self.within.contains(&name) {
            let chain = self.within.iter().skip_while(|outer| **outer != name).copied().chain([name]);
            let reason = format!("names itself: {}", chain.collect::<Vec<_>>().join(" > "));
            return Err(InvalidPlan::new(at, reason));
        }
        self.within.push(name);
        let part = segment.form().read(&format!("{at}({name})"), below, self)?;
        self.within.pop();
        Ok(part)
    }
}
