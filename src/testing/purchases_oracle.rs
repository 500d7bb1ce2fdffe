//! Purchases and RFM scores, from the set of days on which each customer bought.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    calendar::{moment, start_of},
    conditions::holds,
    story::{Stories, Told, summary},
};
use crate::{
    Condition, Currency, CustomerId, Decimal, Event, JourneyModel, Money, Period, PurchaseCount, PurchaseCustomer,
    PurchaseValue, Purchases, PurchasesReport, Rate, RepeatOutcome, RepeatPurchases, Rfm, RfmSegment, Scope, Window,
    Zone,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    purchase: Condition,
    zone: Option<Zone>,
    within: Option<Window>,
    currency: Option<Currency>,
    #[serde(default)]
    count: PurchaseCount,
    #[serde(default)]
    customers: bool,
}

/// One buyer.
struct Buyer<'a> {
    customer: &'a CustomerId,
    orders: Vec<&'a Told<'a>>,
    /// The first order of the second day, perhaps after the range.
    second: Option<i64>,
    /// The first order of each day.
    days: BTreeMap<DateTime<Utc>, i64>,
}

impl Buyer<'_> {
    fn first(&self) -> i64 {
        *self.days.values().next().unwrap()
    }

    fn last(&self) -> i64 {
        self.orders.iter().map(|told| told.at).max().unwrap()
    }

    fn money(&self, currency: Currency) -> Option<Decimal> {
        let values = self.orders.iter().filter_map(|told| told.event.value());
        values.filter(|value| value.currency() == currency).map(|value| value.amount()).reduce(|a, b| a + b)
    }
}

/// How many of all are less, in fifths, from 1.
fn score<T: PartialOrd>(one: &T, all: &[T]) -> u8 {
    let worse = all.iter().filter(|other| *other < one).count();
    (1..=5).rev().find(|score| (score - 1) * all.len() <= 5 * worse).and_then(|score| u8::try_from(score).ok()).unwrap()
}

fn money(amount: Decimal, currency: Currency) -> Money {
    Money::from_decimal(amount.normalize(), currency).unwrap()
}

fn number(amount: Decimal) -> f64 {
    amount.to_string().parse().unwrap()
}

/// The first order of each day.
fn days(orders: &[&Told<'_>], day: Period) -> BTreeMap<DateTime<Utc>, i64> {
    let mut days: BTreeMap<DateTime<Utc>, i64> = BTreeMap::new();
    for told in orders {
        let first = days.entry(start_of(day, moment(told.at))).or_insert(told.at);
        *first = told.at.min(*first);
    }
    days
}

/// Whoever counts, with the orders that do.
fn buyers<'a>(said: &Said, stories: &'a Stories<'a>, model: &JourneyModel) -> Vec<Buyer<'a>> {
    let day = Period::DAY.zone(said.zone.unwrap_or(Zone::UTC));
    let mut buyers = Vec::new();
    for (customer, story) in &stories.by_customer {
        let is_order = |told: &&Told<'_>| holds(&said.purchase, told.event, told.stage, model);
        let all = story.iter().filter(is_order);
        let mut orders: Vec<_> = match said.count {
            PurchaseCount::NewBuyers => all.collect(),
            PurchaseCount::Orders => all.skip_while(|told| !stories.counts(told.at)).collect(),
        };
        if orders.first().is_none_or(|told| !stories.counts(told.at)) {
            continue;
        }
        let second = days(&orders, day).into_values().nth(1);
        if said.count == PurchaseCount::Orders {
            orders.retain(|told| stories.counts(told.at));
        }
        let days = days(&orders, day);
        buyers.push(Buyer { customer, orders, second, days });
    }
    buyers
}

/// What the report of [`Purchases`] must say, its means up to rounding. Not for worlds of extreme times.
pub fn purchases(events: &[Event], plan: &Purchases, model: &JourneyModel, scope: &Scope) -> PurchasesReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let buyers = buyers(&said, &stories, model);
    let end_of_window =
        |buyer: &Buyer<'_>| said.within.map(|window| i128::from(buyer.first()) + i128::from(window.micros()));
    let is_open = |buyer: &Buyer<'_>| end_of_window(buyer).is_some_and(|end| end > i128::from(stories.end));
    let outcome = |buyer: &Buyer<'_>| {
        let second = buyer.second.map(i128::from);
        match second.filter(|second| end_of_window(buyer).is_none_or(|end| *second <= end)) {
            Some(_) => RepeatOutcome::Repeated,
            None if is_open(buyer) => RepeatOutcome::Pending,
            None => RepeatOutcome::Once,
        }
    };
    let count = |wanted: &dyn Fn(&Buyer<'_>) -> bool| buyers.iter().filter(|buyer| wanted(buyer)).count() as u64;
    let of = |wanted| count(&|buyer| outcome(buyer) == wanted);
    let (all, over) = (buyers.len() as u64, count(&|buyer| !is_open(buyer)));
    let repeat = RepeatPurchases {
        buyers: all,
        repeated: of(RepeatOutcome::Repeated),
        once: of(RepeatOutcome::Once),
        pending: of(RepeatOutcome::Pending),
        rate: Rate::new(of(RepeatOutcome::Repeated), all),
        settled_rate: Rate::new(over - of(RepeatOutcome::Once), over),
    };
    let orders = || buyers.iter().flat_map(|buyer| &buyer.orders);
    let currencies: BTreeSet<Currency> =
        orders().filter_map(|told| told.event.value()).map(|value| value.currency()).collect();
    let value = |currency: &Currency| {
        let sums: Vec<Decimal> = buyers.iter().filter_map(|buyer| buyer.money(*currency)).collect();
        let is_in = |told: &&&Told<'_>| told.event.value().is_some_and(|value| value.currency() == *currency);
        let (total, orders): (Decimal, u64) = (sums.iter().sum(), orders().filter(is_in).count() as u64);
        PurchaseValue {
            total: money(total, *currency),
            orders,
            customers: sums.len() as u64,
            order_value: number(total) / orders as f64,
            customer_value: number(total) / sums.len() as f64,
        }
    };
    let lasts: Vec<i64> = buyers.iter().map(Buyer::last).collect();
    let repeats: Vec<usize> = buyers.iter().map(|buyer| buyer.days.len() - 1).collect();
    let spent = |buyer: &Buyer<'_>| said.currency.map(|currency| buyer.money(currency).unwrap_or_default());
    let sums: Vec<Decimal> = buyers.iter().filter_map(spent).collect();
    let rfm = |buyer: &Buyer<'_>| Rfm {
        recency: score(&buyer.last(), &lasts),
        frequency: score(&(buyer.days.len() - 1), &repeats),
        monetary: spent(buyer).map(|sum| score(&sum, &sums)),
    };
    let cells: BTreeSet<Rfm> = buyers.iter().map(rfm).collect();
    let segment = |cell: &Rfm| {
        let here = || buyers.iter().filter(|buyer| rfm(buyer) == *cell);
        let value = said.currency.map(|currency| money(here().filter_map(spent).sum(), currency));
        RfmSegment { rfm: *cell, customers: here().count() as u64, value }
    };
    let between = |buyer: &Buyer<'_>| {
        let firsts: Vec<i128> = buyer.days.values().map(|at| i128::from(*at)).collect();
        firsts.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    let listed = |buyer: &Buyer<'_>| PurchaseCustomer {
        customer: buyer.customer.clone(),
        outcome: outcome(buyer),
        repeats: u32::try_from(buyer.days.len() - 1).unwrap(),
        first_at: moment(buyer.first()),
        last_at: moment(buyer.last()),
        values: currencies.iter().filter_map(|of| Some(money(buyer.money(*of)?, *of))).collect(),
        rfm: rfm(buyer),
    };
    PurchasesReport {
        within: said.within,
        currency: said.currency,
        count: said.count,
        repeat,
        purchases: buyers.iter().map(|buyer| buyer.days.len() as u64).sum(),
        orders: orders().count() as u64,
        orders_without_money: orders().filter(|told| told.event.value().is_none()).count() as u64,
        values: currencies.iter().map(value).collect(),
        frequency: (all > 0).then(|| repeats.iter().sum::<usize>() as f64 / all as f64),
        recency: summary(lasts.iter().map(|last| i128::from(stories.end) - i128::from(*last)).collect()),
        between: summary(buyers.iter().flat_map(between).collect()),
        segments: cells.iter().rev().map(segment).collect(),
        customers: said.customers.then(|| buyers.iter().map(listed).collect()),
    }
}
