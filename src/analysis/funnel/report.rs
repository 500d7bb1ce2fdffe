//! The answer to a funnel.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{DurationSummary, Rate, funnel::Order},
    model::{CustomerId, Seq, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// How far customers came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelReport {
    /// How the steps follow one another.
    pub order: Order,
    /// How long after the first step's event the last one's may be.
    pub window: Option<Window>,
    /// Each step, in order.
    pub steps: Vec<FunnelStep>,
    /// Customers who reached the first step.
    pub entered: u64,
    /// Customers who reached the last step.
    pub converted: u64,
    /// Converted, of all who entered.
    pub conversion: Rate,
    /// Converted, of those who entered and whose window is over.
    pub settled_conversion: Rate,
    /// Customers who did not convert, and still may within their window.
    pub pending: u64,
    /// Time from the customer's first event that may enter, to their conversion.
    pub time_since_first_entry: Option<DurationSummary>,
    /// The customers behind the numbers, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<FunnelCustomer>>,
}

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelStep {
    /// Its place, from 1.
    pub step: usize,
    /// Its condition in short.
    pub name: String,
    /// Customers who reached it.
    pub customers: u64,
    /// Of all who entered.
    pub from_entry: Rate,
    /// Of those who reached the step before; of all who entered for the first.
    pub from_previous: Rate,
    /// Of those who entered and whose window is over.
    pub settled: Rate,
    /// Customers who came to this step, no further, and cannot any more. 0 for the last step.
    pub dropped: u64,
    /// Of these, customers stopped by an exclusion, or whose chain was broken in a strict funnel.
    pub stopped: u64,
    /// Customers who came to this step, no further, and still may.
    pub pending: u64,
    /// Time from entry to this step.
    pub time_to_reach: Option<DurationSummary>,
}

/// One customer in a funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelCustomer {
    /// Who.
    pub customer: CustomerId,
    /// The highest step reached, from 1.
    pub level: usize,
    /// How it ended.
    pub outcome: FunnelOutcome,
    /// The events that served, step by step.
    pub events: Vec<ServedEvent>,
}

/// How a customer's funnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FunnelOutcome {
    /// All steps were reached.
    Converted,
    /// Not yet converted, and the window is still open.
    Pending,
    /// Dropped: the next step did not come within the window.
    WindowOver,
    /// Dropped: the next step did not come, in a funnel without a window.
    NextStepMissing,
    /// Dropped: an exclusion stopped the chain, or another event broke it in a strict funnel.
    Stopped,
}

/// An event that served a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServedEvent {
    /// Its place in the log.
    pub seq: Seq,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl Tables for FunnelReport {
    fn tables(&self) -> Vec<Table> {
        let columns = [
            "step",
            "customers",
            "of entered",
            "95 % interval",
            "of previous",
            "dropped",
            "(stopped)",
            "pending",
            "median time",
            "p90",
        ];
        let order = match self.order {
            Order::Ordered => "ordered",
            Order::Strict => "strict",
        };
        let window = self.window.map_or("no window".to_owned(), |window| format!("within {window}"));
        let mut steps = Table::new(format!("Funnel ({order}, {window})"), columns);
        for step in &self.steps {
            let interval = format!("{:.1}-{:.1}", step.from_entry.low * 100.0, step.from_entry.high * 100.0);
            steps.push([
                Cell::from(format!("{} {}", step.step, step.name)),
                step.customers.into(),
                Cell::share(step.from_entry.share),
                interval.into(),
                Cell::share(step.from_previous.share),
                step.dropped.into(),
                step.stopped.into(),
                step.pending.into(),
                Cell::seconds(step.time_to_reach.map(|t| t.median)),
                Cell::seconds(step.time_to_reach.map(|t| t.p90)),
            ]);
        }
        let listed = self.customers.as_ref().map(|customers| {
            let mut table = Table::new("Customers", ["customer", "level", "outcome", "events"]);
            for one in customers {
                let events: Vec<String> =
                    one.events.iter().map(|e| format!("{} at {}", e.seq, e.occurred_at.to_rfc3339())).collect();
                let outcome = one.outcome.to_string();
                table.push([
                    one.customer.as_str().into(),
                    Cell::from(one.level as u64),
                    outcome.into(),
                    events.join(", ").into(),
                ]);
            }
            table
        });
        std::iter::once(steps).chain(listed).collect()
    }
}

impl fmt::Display for FunnelOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Converted => "converted",
            Self::Pending => "pending",
            Self::WindowOver => "window over",
            Self::NextStepMissing => "next step missing",
            Self::Stopped => "stopped",
        })
    }
}

impl fmt::Display for FunnelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
