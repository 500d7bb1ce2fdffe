//! Segments by looking at every event, and every pair of events, of every customer; and random ones.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    conditions::{any_condition, holds},
    story::{Stories, Told},
};
use crate::{Condition, CustomerId, Event, JourneyModel, Members, MembersReport, Rate, Scope, Segment, Window};

/// One customer's story, and what a segment's words mean for it.
struct Looking<'a> {
    story: &'a [Told<'a>],
    end: i64,
    model: &'a JourneyModel,
}

fn micros(value: &Value) -> i64 {
    serde_json::from_value::<DateTime<Utc>>(value.clone()).unwrap().timestamp_micros()
}

fn window(value: &Value) -> i128 {
    serde_json::from_value::<Window>(value.clone()).unwrap().micros().into()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn apart(earlier: i64, later: i64) -> i128 {
    i128::from(later) - i128::from(earlier)
}

/// Whether a number compares as the key and value of a comparison say.
fn compares(number: Decimal, said: &Map<String, Value>) -> bool {
    let decimal = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse().unwrap();
    said.iter().filter(|(key, _)| !["currency", "survey"].contains(&key.as_str())).all(|(key, value)| {
        match key.as_str() {
            "eq" => number == decimal(value),
            "ne" => number != decimal(value),
            "lt" => number < decimal(value),
            "le" => number <= decimal(value),
            "gt" => number > decimal(value),
            "ge" => number >= decimal(value),
            "in" => value.as_array().unwrap().iter().any(|value| number == decimal(value)),
            "exists" => value.as_bool().unwrap(),
            other => panic!("{other} compares nothing"),
        }
    })
}

impl<'a> Looking<'a> {
    fn meets(&self, told: &Told<'_>, condition: &Value) -> bool {
        let condition: Condition = serde_json::from_value(condition.clone()).unwrap();
        holds(&condition, told.event, told.stage, self.model)
    }

    fn with(&self, condition: &Value) -> Vec<&'a Told<'a>> {
        self.story.iter().filter(|told| self.meets(told, condition)).collect()
    }

    /// Whether a moment lies in the times that a part of a segment says.
    fn is_in(&self, at: i64, said: &Value) -> bool {
        said.get("from").is_none_or(|from| micros(from) <= at)
            && said.get("to").is_none_or(|to| at < micros(to))
            && said.get("past").is_none_or(|past| apart(at, self.end) <= window(past))
    }

    fn is(&self, said: &Value) -> bool {
        let list = |list: &Value| list.as_array().unwrap().iter().map(|one| self.is(one)).collect::<Vec<_>>();
        let (kind, of) = said
            .as_object()
            .unwrap()
            .iter()
            .find(|(key, _)| {
                ["all", "any", "not", "did", "did_not", "first", "last", "stage", "reached", "score", "value"]
                    .contains(&key.as_str())
            })
            .unwrap();
        match kind.as_str() {
            "all" => list(of).into_iter().all(|is| is),
            "any" => list(of).into_iter().any(|is| is),
            "not" => !self.is(of),
            "did" if said.get("then").is_some() => self.pairs(of, said, "then", true),
            "did" if said.get("then_not").is_some() => self.pairs(of, said, "then_not", false),
            "did" | "did_not" => {
                let count = self.with(of).iter().filter(|told| self.is_in(told.at, said)).count();
                let key = |key: &str| said.get(key).map(number);
                if kind == "did_not" {
                    count == 0
                } else if let Some(exactly) = key("exactly") {
                    count == exactly
                } else {
                    let least = key("at_least").unwrap_or(usize::from(key("at_most").is_none()));
                    count >= least && key("at_most").is_none_or(|most| count <= most)
                }
            }
            "first" | "last" => {
                let all = self.with(of);
                let told = if kind == "first" { all.first() } else { all.last() };
                told.is_some_and(|told| {
                    self.is_in(told.at, said) && said.get("is").is_none_or(|is| self.meets(told, is))
                })
            }
            "stage" => {
                let now = self.story.iter().filter_map(|told| told.stage).next_back();
                now.is_some() && now == self.model.position(of.as_str().unwrap())
            }
            "reached" => {
                let bearing: Vec<_> = self.story.iter().filter(|told| told.stage.is_some()).collect();
                bearing.iter().enumerate().any(|(place, told)| {
                    let before = place.checked_sub(1).and_then(|before| bearing[before].stage);
                    told.stage == self.model.position(of.as_str().unwrap())
                        && told.stage != before
                        && self.is_in(told.at, said)
                })
            }
            "score" => {
                let answers: Vec<Decimal> = self
                    .story
                    .iter()
                    .filter(|told| self.is_in(told.at, said))
                    .filter_map(|told| told.event.feedback())
                    .filter(|answer| answer.survey().as_str() == of["survey"])
                    .map(|answer| answer.score().into())
                    .collect();
                let asked = match said.get("answer").map_or("latest", |answer| answer.as_str().unwrap()) {
                    "latest" => answers.last().into_iter().collect(),
                    "first" => answers.first().into_iter().collect(),
                    _ => answers.iter().collect::<Vec<_>>(),
                };
                asked.into_iter().any(|score| compares(*score, of.as_object().unwrap()))
            }
            _ => {
                let paying = self
                    .story
                    .iter()
                    .filter(|told| self.is_in(told.at, said) && said.get("of").is_none_or(|of| self.meets(told, of)));
                let moneys = paying.filter_map(|told| told.event.value());
                let moneys = moneys.filter(|money| money.currency().as_str() == of["currency"]);
                compares(moneys.map(|money| money.amount()).sum(), of.as_object().unwrap())
            }
        }
    }

    /// Whether there is an event that another follows in time; or that none follows, though the time for it is over.
    fn pairs(&self, first: &Value, said: &Value, then: &str, follows: bool) -> bool {
        let later = self.with(&said[then]);
        self.with(first).into_iter().filter(|told| self.is_in(told.at, said)).any(|told| {
            let within = said.get("within").map(window);
            let is_followed = later.iter().any(|other| {
                let after = apart(told.at, other.at);
                other.seq != told.seq && after >= 0 && within.is_none_or(|within| after <= within)
            });
            let is_over = within.is_none_or(|within| apart(told.at, self.end) >= within);
            if follows { is_followed } else { !is_followed && is_over }
        })
    }
}

/// The customers of a segment, of all who have an event up to the scope's `as_of` and `known_at`.
pub fn in_segment(events: &[Event], segment: &Segment, model: &JourneyModel, scope: &Scope) -> BTreeSet<CustomerId> {
    let said = serde_json::to_value(scope).unwrap();
    let mut kept = Map::new();
    for key in ["as_of", "known_at"] {
        kept.extend(said.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let whole: Scope = serde_json::from_value(kept.into()).unwrap();
    let stories = Stories::of(events, model, &whole);
    let segment = serde_json::to_value(segment).unwrap();
    let is_in = |story: &[Told<'_>]| Looking { story, end: stories.end, model }.is(&segment);
    stories.by_customer.iter().filter(|(_, story)| is_in(story)).map(|(customer, _)| customer.clone()).collect()
}

/// A segment with others in the place of their names.
pub fn with_names(segment: &Segment, named: &BTreeMap<String, Segment>) -> Segment {
    fn put_in(said: &mut Value, named: &BTreeMap<String, Segment>) {
        if let Some(name) = said.get("segment") {
            *said = serde_json::to_value(&named[name.as_str().unwrap()]).unwrap();
            return put_in(said, named);
        }
        for key in ["all", "any"] {
            said.get_mut(key)
                .into_iter()
                .flat_map(|list| list.as_array_mut().unwrap())
                .for_each(|one| put_in(one, named));
        }
        said.get_mut("not").into_iter().for_each(|one| put_in(one, named));
    }
    let mut said = serde_json::to_value(segment).unwrap();
    put_in(&mut said, named);
    serde_json::from_value(said).unwrap()
}

/// What the report of [`Members`] must say. Not for segments that are named.
pub fn members(events: &[Event], plan: &Members, model: &JourneyModel, scope: &Scope) -> MembersReport {
    let said = serde_json::to_value(plan).unwrap();
    let segment: Segment = serde_json::from_value(said["of"].clone()).unwrap();
    let members = in_segment(events, &segment, model, scope);
    let seen = Stories::of(events, model, scope).by_customer;
    let listed: Vec<CustomerId> = seen.keys().filter(|customer| members.contains(customer)).cloned().collect();
    MembersReport {
        members: Rate::new(listed.len() as u64, seen.len() as u64),
        customers: (said["customers"] == true).then_some(listed),
    }
}

/// A random segment over the names that a [`World`](super::World) uses, the same for the same seed. `depth` says how deep it may
/// nest.
pub fn any_segment(seed: u64, depth: usize) -> Segment {
    let said = any(&mut Rng::with_seed(seed ^ 0x5e6), depth);
    serde_json::from_value(said.clone()).unwrap_or_else(|e| panic!("{said}: {e}"))
}

fn any(rng: &mut Rng, depth: usize) -> Value {
    if depth > 0 && rng.u8(..3) == 0 {
        let list = |rng: &mut Rng| (0..rng.usize(..4)).map(|_| any(rng, depth - 1)).collect::<Vec<_>>();
        return match rng.u8(..3) {
            0 => json!({ "all": list(rng) }),
            1 => json!({ "any": list(rng) }),
            _ => json!({ "not": any(rng, depth - 1) }),
        };
    }
    let wanted = |rng: &mut Rng| match rng.u8(..8) {
        0..=4 => json!({ "touchpoint": rng.choice(["product_view", "add_to_cart", "purchase"]).unwrap() }),
        5 => json!({ "all": [] }),
        _ => serde_json::to_value(any_condition(rng.u64(..), 1)).unwrap(),
    };
    let stage = |rng: &mut Rng| rng.choice(["awareness", "consideration", "decision", "purchase", "retention"]);
    // The instants of a world are often whole days apart: a window is exactly that, or a microsecond off.
    let window = |rng: &mut Rng| {
        let days = TimeDelta::days(rng.i64(0..5)) + TimeDelta::microseconds(rng.i64(-1..2));
        serde_json::to_value(Window::try_from(days.max(TimeDelta::zero())).unwrap()).unwrap()
    };
    let mut part = match rng.u8(..13) {
        0 | 1 => json!({ "did": wanted(rng) }),
        2 => json!({ "did": wanted(rng), "at_least": rng.u32(..3), "at_most": rng.u32(2..4) }),
        3 => match rng.u8(..3) {
            0 => json!({ "did": wanted(rng), "exactly": rng.u32(..3) }),
            1 => json!({ "did": wanted(rng), "at_most": rng.u32(..3) }),
            _ => json!({ "did": wanted(rng), "at_least": rng.u32(..4) }),
        },
        4 => json!({ "did_not": wanted(rng) }),
        kind @ 5..=8 => {
            let key = if kind % 2 == 0 { "then" } else { "then_not" };
            let mut part = json!({ "did": wanted(rng), key: wanted(rng) });
            if rng.u8(..4) > 0 {
                part["within"] = window(rng);
            }
            part
        }
        9 => json!({ rng.choice(["first", "last"]).unwrap(): wanted(rng), "is": wanted(rng) }),
        10 if rng.bool() => return json!({ "stage": stage(rng) }),
        10 => json!({ "reached": stage(rng) }),
        11 => {
            let key = rng.choice(["eq", "ne", "lt", "le", "gt", "ge"]).unwrap();
            let survey = rng.choice(["nps", "csat", "ces"]).unwrap();
            let mut part = json!({ "score": { "survey": survey, key: rng.u8(..11) } });
            if rng.bool() {
                part["answer"] = rng.choice(["latest", "first", "any"]).unwrap().into();
            }
            part
        }
        _ => {
            let key = rng.choice(["eq", "ne", "lt", "le", "gt", "ge"]).unwrap();
            let amount = rng.choice(["0", "10", "20", "29.90", "-5"]).unwrap();
            let mut part = json!({ "value": { "currency": rng.choice(["EUR", "USD"]).unwrap(), key: amount } });
            if rng.bool() {
                part["of"] = wanted(rng);
            }
            part
        }
    };
    let start = DateTime::<Utc>::from_timestamp_micros(1_772_323_200_000_000).unwrap();
    let moment =
        |rng: &mut Rng| start + TimeDelta::hours(rng.i64(-1..11) * 12) + TimeDelta::microseconds(rng.i64(-1..2));
    if rng.u8(..4) == 0 {
        part["past"] = window(rng);
    }
    if let Some(end) = rng.choice(["from", "to"]).filter(|_| rng.u8(..5) < 2) {
        part[end] = serde_json::to_value(moment(rng)).unwrap();
    }
    part
}
