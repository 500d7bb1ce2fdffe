//! What each customer bought, from the set of days on which they did.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    calendar::{moment, start_of},
    conditions::holds,
    story::Stories,
};
use crate::{Condition, Currency, CustomerId, Decimal, Event, JourneyModel, LifetimeValue, Period, Scope, Zone};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    purchase: Condition,
    zone: Option<Zone>,
    currency: Option<Currency>,
}

/// What one customer bought.
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    /// Who.
    pub customer: CustomerId,
    /// Days with a purchase after the first.
    pub repeats: u32,
    /// Days from the first to the last.
    pub last: i64,
    /// Days from the first to that in which observation ends.
    pub observed: i64,
    /// The money of the first day, and of the others, in the currency that is modelled.
    pub money: [Decimal; 2],
    /// The money of all days by currency; nothing only in the one that is modelled.
    pub spent: BTreeMap<Currency, Decimal>,
}

/// What the report of [`LifetimeValue`] must be made of, by customer. Not for worlds of extreme times.
pub fn bought(events: &[Event], plan: &LifetimeValue, model: &JourneyModel, scope: &Scope) -> Vec<Bought> {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let day = Period::DAY.zone(said.zone.unwrap_or(Zone::UTC));
    let stories = Stories::of(events, model, scope);
    let mut all = Vec::new();
    for (customer, story) in &stories.by_customer {
        let mut days: BTreeMap<DateTime<Utc>, Decimal> = BTreeMap::new();
        let mut spent: BTreeMap<Currency, Decimal> =
            said.currency.map(|one| (one, Decimal::ZERO)).into_iter().collect();
        let mut first = None;
        for told in story.iter().filter(|told| holds(&said.purchase, told.event, told.stage, model)) {
            first = Some(first.unwrap_or(told.at).min(told.at));
            if let Some(value) = told.event.value() {
                *spent.entry(value.currency()).or_default() += value.amount();
            }
            let value = told.event.value().filter(|value| Some(value.currency()) == said.currency);
            *days.entry(start_of(day, moment(told.at))).or_default() += value.map_or(Decimal::ZERO, |v| v.amount());
        }
        if first.is_none_or(|first| !stories.counts(first)) {
            continue;
        }
        spent.retain(|currency, sum| !sum.is_zero() || Some(*currency) == said.currency);
        // The clocks of a day are changed by an hour at most, so half a day is never between two midnights.
        let between = |from: DateTime<Utc>, to: DateTime<Utc>| ((to - from).num_minutes() + 720) / 1_440;
        let (start, last) = (*days.keys().next().unwrap(), *days.keys().last().unwrap());
        all.push(Bought {
            customer: customer.clone(),
            repeats: u32::try_from(days.len() - 1).unwrap(),
            last: between(start, last),
            observed: between(start, start_of(day, moment(stories.end))),
            money: [days[&start], days.range(start..).skip(1).map(|(_, money)| *money).sum()],
            spent,
        });
    }
    all
}
