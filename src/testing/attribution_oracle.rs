//! Attribution, conversion by conversion, from each customer's story.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::Deserialize;
use serde_json::Value;

use super::{
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    Attribution, AttributionModel, AttributionMoveTo, AttributionReport, Condition, CustomerId, Event, JourneyModel,
    Money, PropertyValue, Scope, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    conversion: Condition,
    touch: Condition,
    by: Value,
    within: Option<Window>,
    models: Vec<AttributionModel>,
    half_life: Window,
    direct: Condition,
    order: usize,
    #[serde(default)]
    customers: bool,
}

/// One touch: its key, when it happened, and whether it is direct.
type Touch = (String, i64, bool);

/// A journey over touches to a conversion, or to none.
struct Walk {
    customer: CustomerId,
    at: i64,
    value: Option<Money>,
    touches: Vec<Touch>,
    converts: bool,
}

impl Walk {
    fn keys(&self) -> BTreeSet<&str> {
        self.touches.iter().map(|(key, ..)| key.as_str()).collect()
    }
}

/// What the report of an [`Attribution`] must say.
pub struct AttributionTruth {
    said: Said,
    walks: Vec<Walk>,
    end: i64,
}

// By hand: it knows customers.
impl std::fmt::Debug for AttributionTruth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttributionTruth").field("journeys", &self.walks.len()).finish_non_exhaustive()
    }
}

/// A key as a text; numbers that are equal are one.
fn key(value: &PropertyValue) -> String {
    match value {
        PropertyValue::Null | PropertyValue::Nested(_) => "-".to_owned(),
        PropertyValue::Number(number) => format!("number {}", number.as_f64().unwrap()),
        PropertyValue::Bool(holds) => format!("bool {holds}"),
        PropertyValue::Text(text) => format!("text {text}"),
    }
}

/// Attribution in a world.
pub fn attribution(events: &[Event], plan: &Attribution, model: &JourneyModel, scope: &Scope) -> AttributionTruth {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let meets = |condition: &Condition, told: &Told<'_>| holds(condition, told.event, told.stage, model);
    let key_of = |told: &Told<'_>| match said.by.as_str() {
        Some("channel") => format!("text {}", told.event.channel().as_str()),
        Some(_) => format!("text {}", told.event.touchpoint()),
        None => {
            let name = said.by["property"].as_str().unwrap();
            told.event.properties().get(name).map_or("-".to_owned(), key)
        }
    };
    let is_near = |from: i64, to: i64| {
        said.within.is_none_or(|within| i128::from(to) - i128::from(from) <= i128::from(within.micros()))
    };
    let mut walks = Vec::new();
    for (customer, story) in &stories.by_customer {
        let conversions: Vec<&Told<'_>> = story.iter().filter(|told| meets(&said.conversion, told)).collect();
        let touches: Vec<Touch> = story
            .iter()
            .filter(|told| meets(&said.touch, told) && !meets(&said.conversion, told))
            .map(|told| (key_of(told), told.at, meets(&said.direct, told)))
            .collect();
        let serves = |touch: &Touch, at: i64| touch.1 <= at && is_near(touch.1, at);
        for conversion in conversions.iter().filter(|told| stories.counts(told.at)) {
            walks.push(Walk {
                customer: customer.clone(),
                at: conversion.at,
                value: conversion.event.value(),
                touches: touches.iter().filter(|touch| serves(touch, conversion.at)).cloned().collect(),
                converts: true,
            });
        }
        let mut left: Vec<Touch> = touches
            .iter()
            .filter(|touch| !conversions.iter().any(|conversion| serves(touch, conversion.at)))
            .cloned()
            .collect();
        while let Some(at) = left.last().map(|last| last.1) {
            let (rest, touches) = left.into_iter().partition(|touch| !is_near(touch.1, at));
            left = rest;
            if stories.counts(at) {
                walks.push(Walk { customer: customer.clone(), at, value: None, touches, converts: false });
            }
        }
    }
    AttributionTruth { said, walks, end: stories.end }
}

/// The sum of some money in one currency, exactly and roughly.
fn sum<'a>(value: impl IntoIterator<Item = &'a Money>, currency: &str) -> Decimal {
    value.into_iter().filter(|money| money.currency().as_str() == currency).map(Money::amount).sum()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {found:?}")) }
}

impl AttributionTruth {
    fn converting(&self) -> impl Iterator<Item = &Walk> {
        self.walks.iter().filter(|walk| walk.converts)
    }

    fn touched(&self) -> impl Iterator<Item = &Walk> {
        self.converting().filter(|walk| !walk.touches.is_empty())
    }

    fn null(&self) -> impl Iterator<Item = &Walk> {
        self.walks.iter().filter(|walk| !walk.converts)
    }

    fn keys(&self) -> BTreeSet<&str> {
        self.walks.iter().flat_map(Walk::keys).collect()
    }

    /// What share of a conversion each touch gets.
    fn shares(&self, walk: &Walk, model: AttributionModel) -> Vec<f64> {
        let count = walk.touches.len();
        let only = |chosen: usize| (0..count).map(|touch| f64::from(u8::from(touch == chosen))).collect();
        match model {
            AttributionModel::First => only(0),
            AttributionModel::Last => only(count - 1),
            AttributionModel::LastNonDirect => {
                only(walk.touches.iter().rposition(|touch| !touch.2).unwrap_or(count - 1))
            }
            AttributionModel::Linear => vec![1.0 / count as f64; count],
            AttributionModel::Position => match count {
                1 => vec![1.0],
                2 => vec![0.5, 0.5],
                _ => {
                    let middle = 0.2 / (count - 2) as f64;
                    (0..count).map(|touch| if touch == 0 || touch == count - 1 { 0.4 } else { middle }).collect()
                }
            },
            AttributionModel::TimeDecay => {
                // Ages up to the last touch, since those up to a far conversion are no floats.
                let last = walk.touches.iter().map(|touch| touch.1).max().unwrap();
                let weight = |touch: &Touch| {
                    let age = i128::from(last) - i128::from(touch.1);
                    (-(age as f64) / self.said.half_life.micros() as f64).exp2()
                };
                let weights: Vec<f64> = walk.touches.iter().map(weight).collect();
                weights.iter().map(|weight| weight / weights.iter().sum::<f64>()).collect()
            }
            other => panic!("{other:?} shares no single conversion"),
        }
    }

    /// Credits of all keys, where each conversion is worth so much.
    fn credits(&self, model: AttributionModel, worth: &dyn Fn(&Walk) -> f64) -> BTreeMap<&str, f64> {
        let mut credits: BTreeMap<&str, f64> = self.keys().into_iter().map(|key| (key, 0.0)).collect();
        match model {
            AttributionModel::Markov => {
                let all: f64 = self.touched().map(worth).sum();
                let effects = self.removal_effects();
                let sum: f64 = effects.values().sum();
                for (key, effect) in effects {
                    credits.insert(key, if sum > 0.0 { all * effect / sum } else { 0.0 });
                }
            }
            AttributionModel::Shapley => {
                for (key, credit) in &mut credits {
                    *credit = self.shapley(key, worth);
                }
            }
            _ => {
                for walk in self.touched() {
                    for ((key, ..), share) in walk.touches.iter().zip(self.shares(walk, model)) {
                        *credits.get_mut(key.as_str()).unwrap() += share * worth(walk);
                    }
                }
            }
        }
        credits
    }

    /// By the definition of Shapley: the mean worth that a key adds to a set of others, over all orders in which they come.
    fn shapley(&self, key: &str, worth: &dyn Fn(&Walk) -> f64) -> f64 {
        let others: Vec<&str> = self.keys().into_iter().filter(|other| *other != key).collect();
        assert!(others.len() < 16, "an oracle for small worlds");
        let value =
            |set: &BTreeSet<&str>| -> f64 { self.touched().filter(|walk| walk.keys().is_subset(set)).map(worth).sum() };
        let factorial = |n: usize| (1..=n).map(|n| n as f64).product::<f64>();
        let mut sum = 0.0;
        for chosen in 0..1_u32 << others.len() {
            let mut set: BTreeSet<&str> =
                others.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, other)| *other).collect();
            let (size, before) = (set.len(), value(&set));
            set.insert(key);
            let orders = factorial(size) * factorial(others.len() - size) / factorial(others.len() + 1);
            sum += orders * (value(&set) - before);
        }
        sum
    }

    /// How often each move occurs: from the last touches to a key, `conversion` or `null`.
    fn moves(&self) -> BTreeMap<(Vec<&str>, &str), u64> {
        let mut moves = BTreeMap::new();
        for walk in self.touched().chain(self.null()) {
            let keys: Vec<&str> = walk.touches.iter().map(|(key, ..)| key.as_str()).collect();
            for place in 0..=keys.len() {
                let from = keys[place.saturating_sub(self.said.order)..place].to_vec();
                let to = keys.get(place).copied().unwrap_or(if walk.converts { "conversion" } else { "null" });
                *moves.entry((from, to)).or_default() += 1;
            }
        }
        moves
    }

    fn removal_effects(&self) -> BTreeMap<&str, f64> {
        let whole = self.converting_without(None);
        let effect = |key: &str| if whole > 0.0 { 1.0 - self.converting_without(Some(key)) / whole } else { 0.0 };
        self.keys().into_iter().map(|key| (key, effect(key))).collect()
    }

    /// The probability to convert from the start, if moves to a key lead to null: by Gauss' elimination, with pivots.
    fn converting_without(&self, removed: Option<&str>) -> f64 {
        let moves = self.moves();
        let states: BTreeSet<&Vec<&str>> = moves.keys().map(|(from, _)| from).collect();
        let states: Vec<&Vec<&str>> = states.into_iter().collect();
        let Some(start) = states.iter().position(|state| state.is_empty()) else { return 0.0 };
        let mut rows = vec![vec![0.0; states.len() + 1]; states.len()];
        for (place, state) in states.iter().enumerate() {
            rows[place][place] += 1.0;
            let of_state = || moves.iter().filter(|((from, _), _)| from == *state);
            let all: u64 = of_state().map(|(_, count)| count).sum();
            for ((_, to), count) in of_state() {
                let share = *count as f64 / all as f64;
                if *to == "conversion" {
                    rows[place][states.len()] += share;
                } else if *to != "null" && Some(*to) != removed {
                    let mut next = [state.as_slice(), &[*to]].concat();
                    next.drain(..next.len().saturating_sub(self.said.order));
                    let there = states.iter().position(|state| **state == next).unwrap();
                    rows[place][there] -= share;
                }
            }
        }
        for column in 0..states.len() {
            let pivot = (column..states.len()).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
            rows.swap(column, pivot.unwrap());
            let own = rows[column].clone();
            for (place, row) in rows.iter_mut().enumerate().filter(|(place, _)| *place != column) {
                let times = row[column] / own[column];
                assert!(times.is_finite(), "row {place}");
                row.iter_mut().zip(&own).for_each(|(cell, own)| *cell -= times * own);
            }
        }
        rows[start][states.len()] / rows[start][start]
    }

    /// Whether a report says this: counts exactly, credits beyond rounding, and that they sum up to the last digit.
    ///
    /// # Errors
    /// What differs.
    pub fn agrees(&self, report: &AttributionReport) -> Result<(), String> {
        let count = |walks: usize| walks as u64;
        same("conversions", &count(self.converting().count()), &report.conversions)?;
        let customers: BTreeSet<_> = self.converting().map(|walk| &walk.customer).collect();
        same("customers", &count(customers.len()), &report.customers)?;
        let touched = count(self.touched().count());
        same("without touch", &(report.conversions - touched), &report.without_touch.conversions)?;
        same("null journeys", &count(self.null().count()), &report.null_journeys)?;
        same("pending", &count(self.null().filter(|walk| self.is_open(walk)).count()), &report.pending)?;
        let keys: BTreeSet<String> = report.keys.iter().map(|row| key(&row.key)).collect();
        same("keys", &self.keys().into_iter().map(str::to_owned).collect(), &keys)?;
        same("rows", &keys.len(), &report.keys.len())?;
        for row in &report.keys {
            let key = key(&row.key);
            let touches = self.touched().flat_map(|walk| &walk.touches).filter(|touch| touch.0 == key).count();
            let has = |walk: &&Walk| walk.keys().contains(key.as_str());
            let counts = [touches, self.touched().filter(has).count(), self.null().filter(has).count()].map(count);
            same(&key, &counts, &[row.touches, row.conversions, row.null_journeys])?;
        }
        self.agrees_on_credits(report, touched)?;
        self.agrees_on_chain(report)?;
        self.agrees_on_customers(report)
    }

    fn is_open(&self, walk: &Walk) -> bool {
        let end = |within: Window| i128::from(walk.at) + i128::from(within.micros());
        self.said.within.is_none_or(|within| end(within) > i128::from(self.end))
    }

    fn agrees_on_credits(&self, report: &AttributionReport, touched: u64) -> Result<(), String> {
        same("models", &self.said.models, &report.models)?;
        // What is not exact is so by a part of the largest amount.
        let near = |what: &str, expected: f64, found: Decimal, largest: f64| {
            let found = found.to_f64().unwrap();
            let is_near = (expected - found).abs() <= 1e-8 + 1e-12 * largest;
            if is_near { Ok(()) } else { Err(format!("{what}: expected {expected}, got {found}")) }
        };
        let none = &|_: &Walk| 1.0;
        for (place, model) in report.models.iter().enumerate() {
            let credits = self.credits(*model, none);
            for row in &report.keys {
                same("model", model, &row.credits[place].model)?;
                near(
                    &format!("{model:?} {:?}", row.key),
                    credits[key(&row.key).as_str()],
                    row.credits[place].conversions,
                    1.0,
                )?;
            }
            let whole: Decimal = report.keys.iter().map(|row| row.credits[place].conversions).sum();
            same(&format!("sum of {model:?}"), &Decimal::from(touched), &whole)?;
            for currency in ["EUR", "USD"] {
                let all = sum(self.converting().filter_map(|walk| walk.value.as_ref()), currency);
                same("value", &all, &sum(&report.value, currency))?;
                let here = all - sum(&report.without_touch.value, currency);
                same(
                    "value with a touch",
                    &sum(self.touched().filter_map(|walk| walk.value.as_ref()), currency),
                    &here,
                )?;
                let worth = |walk: &Walk| sum(&walk.value, currency).to_f64().unwrap();
                let credits = self.credits(*model, &worth);
                let largest = self.converting().map(|walk| worth(walk).abs()).fold(1.0, f64::max);
                for row in &report.keys {
                    let found = sum(&row.credits[place].value, currency);
                    near(
                        &format!("{currency} {model:?} {:?}", row.key),
                        credits[key(&row.key).as_str()],
                        found,
                        largest,
                    )?;
                }
                let whole = report.keys.iter().map(|row| sum(&row.credits[place].value, currency)).sum();
                same(&format!("sum of {currency} {model:?}"), &here, &whole)?;
            }
        }
        Ok(())
    }

    fn agrees_on_chain(&self, report: &AttributionReport) -> Result<(), String> {
        let is_asked = self.said.models.contains(&AttributionModel::Markov);
        same("chain", &is_asked, &report.chain.is_some())?;
        let effects = if is_asked { self.removal_effects() } else { BTreeMap::new() };
        for row in &report.keys {
            let expected = effects.get(key(&row.key).as_str()).copied();
            let is_near = match (expected, row.removal_effect) {
                (Some(expected), Some(found)) => (expected - found).abs() < 1e-9,
                (expected, found) => expected == found,
            };
            if !is_near {
                return Err(format!("removal of {:?}: {expected:?}, got {:?}", row.key, row.removal_effect));
            }
        }
        let Some(chain) = &report.chain else { return Ok(()) };
        let counts = [self.touched().count(), self.null().count(), self.said.order].map(|count| count as u64);
        same("journeys", &counts, &[chain.converting, chain.null, chain.order.into()])?;
        let mut found = BTreeMap::new();
        for one in &chain.moves {
            let to = match &one.to {
                AttributionMoveTo::Touch(to) => key(to),
                AttributionMoveTo::Conversion => "conversion".to_owned(),
                AttributionMoveTo::Null => "null".to_owned(),
            };
            found.insert((one.from.iter().map(key).collect::<Vec<_>>(), to), one.count);
            let all: u64 = chain.moves.iter().filter(|other| other.from == one.from).map(|other| other.count).sum();
            same("share", &(one.count as f64 / all as f64), &one.share)?;
        }
        let owned = |((from, to), count): ((Vec<&str>, &str), u64)| {
            ((from.into_iter().map(str::to_owned).collect(), to.to_owned()), count)
        };
        same("moves", &self.moves().into_iter().map(owned).collect(), &found)?;
        same("rows of moves", &found.len(), &chain.moves.len())
    }

    fn agrees_on_customers(&self, report: &AttributionReport) -> Result<(), String> {
        same("listed", &self.said.customers, &report.listed.is_some())?;
        let Some(listed) = &report.listed else { return Ok(()) };
        let mut expected: Vec<&Walk> = self.converting().collect();
        expected.sort_by(|a, b| (&a.customer, a.at).cmp(&(&b.customer, b.at)));
        same("conversions listed", &expected.len(), &listed.len())?;
        for (walk, one) in expected.iter().zip(listed) {
            same("customer", &walk.customer, &one.customer)?;
            same("moment", &crate::Micros(walk.at).to_datetime(), &one.converted_at)?;
            same(
                "money",
                &walk.value.map(|money| (money.amount().normalize(), money.currency())),
                &one.value.map(|money| (money.amount().normalize(), money.currency())),
            )?;
            let touches: Vec<String> = walk.touches.iter().map(|(key, ..)| key.clone()).collect();
            same("touches", &touches, &one.touches.iter().map(key).collect())?;
        }
        let mut expected: Vec<&Walk> = self.null().collect();
        expected.sort_by(|a, b| (&a.customer, a.at).cmp(&(&b.customer, b.at)));
        let listed = report.null_listed.as_deref().unwrap_or_default();
        same("null journeys listed", &expected.len(), &listed.len())?;
        for (walk, one) in expected.iter().zip(listed) {
            same("customer in vain", &walk.customer, &one.customer)?;
            same("end", &crate::Micros(walk.at).to_datetime(), &one.ended_at)?;
            same("open", &self.is_open(walk), &one.pending)?;
            let touches: Vec<String> = walk.touches.iter().map(|(key, ..)| key.clone()).collect();
            same("touches in vain", &touches, &one.touches.iter().map(key).collect())?;
        }
        Ok(())
    }
}
