//! How often, how recently and for how much customers buy: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{PurchaseCount, Rfm, RfmSegment};
use crate::{
    analysis::{DurationSummary, Rate, listed::when, rate::INTERVAL},
    model::{Currency, CustomerId, Money, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// How often, how recently and for how much customers buy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurchasesReport {
    /// How long after the first order a repeat counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Window>,
    /// The currency in which money is scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Whose orders count.
    #[serde(default)]
    pub count: PurchaseCount,
    /// How many buy again.
    pub repeat: RepeatPurchases,
    /// Days with a purchase, of all customers.
    pub purchases: u64,
    /// Orders.
    pub orders: u64,
    /// Of these, without money.
    pub orders_without_money: u64,
    /// What orders are worth, by currency.
    pub values: Vec<PurchaseValue>,
    /// Days with a purchase after the first, by customer; `None` of none.
    pub frequency: Option<f64>,
    /// From the last order to the end of observation; `None` of none.
    pub recency: Option<DurationSummary>,
    /// From one day with a purchase to the next; `None` of none.
    pub between: Option<DurationSummary>,
    /// How many customers have which scores, the best first.
    pub segments: Vec<RfmSegment>,
    /// Each customer, by id, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<PurchaseCustomer>>,
}

/// How many buyers buy again: `buyers = repeated + once + pending`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepeatPurchases {
    /// Customers with an order.
    pub buyers: u64,
    /// Of these, with a second day, within the window if there is one.
    pub repeated: u64,
    /// Those without, whose window is over or who have none.
    pub once: u64,
    /// Those without, whose window is not over.
    pub pending: u64,
    /// Repeated, of all buyers.
    pub rate: Rate,
    /// Repeated, of those whose window is over; the same without a window.
    pub settled_rate: Rate,
}

/// What the orders of a currency are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurchaseValue {
    /// All together.
    pub total: Money,
    /// How many there are.
    pub orders: u64,
    /// Of how many customers.
    pub customers: u64,
    /// The mean of an order.
    pub order_value: f64,
    /// The mean of a customer with such an order.
    pub customer_value: f64,
}

/// A customer who bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurchaseCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Whether they bought again.
    pub outcome: RepeatOutcome,
    /// Days with a purchase after the first.
    pub repeats: u32,
    /// Their first order, of those that count.
    pub first_at: DateTime<Utc>,
    /// Their last.
    pub last_at: DateTime<Utc>,
    /// What they have spent, by currency.
    pub values: Vec<Money>,
    /// Their scores.
    pub rfm: Rfm,
}

/// Whether a buyer bought again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepeatOutcome {
    /// On a second day, within the window if there is one.
    Repeated,
    /// Not, and their window is over or there is none.
    Once,
    /// Not so far.
    Pending,
}

impl fmt::Display for RepeatOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Repeated => "repeated",
            Self::Once => "once",
            Self::Pending => "pending",
        })
    }
}

fn score(score: Option<u8>) -> Cell {
    score.map_or(Cell::Empty, |score| u64::from(score).into())
}

fn mean(value: f64) -> Cell {
    format!("{value:.2}").into()
}

impl Tables for PurchasesReport {
    fn tables(&self) -> Vec<Table> {
        let within = self.within.map(|window| format!(" (within {window})")).unwrap_or_default();
        let columns = ["buyers", "repeated", "once", "pending", "of all", INTERVAL, "of those over", INTERVAL];
        let mut repeat = Table::new(format!("Repeat purchases{within}"), columns);
        let RepeatPurchases { buyers, repeated, once, pending, rate, settled_rate } = self.repeat;
        let counts = [buyers, repeated, once, pending].map(Cell::from);
        repeat.push(counts.into_iter().chain(rate.cells()).chain(settled_rate.cells()));

        let mut values = Table::new("Orders", ["currency", "orders", "customers", "total", "by order", "by customer"]);
        for value in &self.values {
            values.push([
                value.total.currency().as_str().into(),
                value.orders.into(),
                value.customers.into(),
                value.total.amount().to_string().into(),
                mean(value.order_value),
                mean(value.customer_value),
            ]);
        }
        let none = [Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty];
        values.push(["(no money)".into(), self.orders_without_money.into()].into_iter().chain(none));

        let mut times = Table::new("Times", ["", "count", "mean", "median", "p90", "longest"]);
        for (name, summary) in [("since the last order", self.recency), ("between purchases", self.between)] {
            let seconds = |of: fn(&DurationSummary) -> f64| Cell::seconds(summary.as_ref().map(of));
            times.push([
                name.into(),
                summary.map_or(0, |summary| summary.count).into(),
                seconds(|s| s.mean),
                seconds(|s| s.median),
                seconds(|s| s.p90),
                seconds(|s| s.max),
            ]);
        }

        let frequency = self.frequency.map(|mean| format!(", {mean:.2} repeats each")).unwrap_or_default();
        let title = format!("Recency, frequency and monetary value (5 is best{frequency})");
        let mut segments = Table::new(title, ["recency", "frequency", "monetary", "customers", "spent"]);
        for segment in &self.segments {
            segments.push([
                u64::from(segment.rfm.recency).into(),
                u64::from(segment.rfm.frequency).into(),
                score(segment.rfm.monetary),
                segment.customers.into(),
                segment.value.map_or(Cell::Empty, |value| value.to_string().into()),
            ]);
        }
        let mut tables = vec![repeat, values, times, segments];
        if let Some(customers) = &self.customers {
            let columns = ["customer", "is", "repeats", "first", "last", "R", "F", "M", "spent"];
            let mut table = Table::new("Customers", columns);
            for one in customers {
                table.push([
                    one.customer.as_str().into(),
                    one.outcome.to_string().into(),
                    u64::from(one.repeats).into(),
                    when(one.first_at),
                    when(one.last_at),
                    u64::from(one.rfm.recency).into(),
                    u64::from(one.rfm.frequency).into(),
                    score(one.rfm.monetary),
                    one.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").into(),
                ]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for PurchasesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
