//! The answer to a question about a pattern.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{DurationSummary, Rate, TimeBin, listed::when},
    model::{CustomerId, Seq},
    table::{Cell, Table, Tables, write_tables},
};

/// The matches of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternReport {
    /// Customers who have an event in the scope's range.
    pub customers: u64,
    /// Those who have a match, of all customers.
    pub matched: Rate,
    /// Those who have a match, of those who have an event in the range that the first step may begin with.
    pub of_started: Rate,
    /// Matches that do not overlap, of all customers together.
    pub matches: u64,
    /// How long they take, from the first event to the last.
    pub duration: Option<DurationSummary>,
    /// How many take how long.
    pub histogram: Vec<TimeBin>,
    /// Each of the customers, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<PatternCustomer>>,
}

/// A customer with their matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Whether they have an event in the range that the first step may begin with.
    pub started: bool,
    /// Each match, in order; none if they have no match.
    pub matches: Vec<PatternMatch>,
}

/// One match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternMatch {
    /// Its events, in order.
    pub events: Vec<PatternEvent>,
}

/// A matched event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternEvent {
    /// The step that it serves, from 1.
    pub step: usize,
    /// Its place in the log.
    pub seq: Seq,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl Tables for PatternReport {
    fn tables(&self) -> Vec<Table> {
        let columns =
            ["customers", "matched", "share", "low", "high", "of started", "matches", "median", "p90", "longest"];
        let mut all = Table::new("Pattern", columns);
        let seconds = |of: fn(&DurationSummary) -> f64| Cell::seconds(self.duration.as_ref().map(of));
        all.push([
            self.customers.into(),
            self.matched.some.into(),
            Cell::share(self.matched.share),
            Cell::Share(self.matched.low),
            Cell::Share(self.matched.high),
            Cell::share(self.of_started.share),
            self.matches.into(),
            seconds(|duration| duration.median),
            seconds(|duration| duration.p90),
            seconds(|duration| duration.max),
        ]);
        let lengths = TimeBin::table("Lengths of matches".into(), "matches", &self.histogram);
        let mut tables = vec![all, lengths];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "started", "match", "step", "when"]);
            for one in listed {
                let started = || if one.started { "yes" } else { "no" }.into();
                if one.matches.is_empty() {
                    table.push([one.customer.as_str().into(), started(), Cell::Empty, Cell::Empty, Cell::Empty]);
                }
                for (found, nth) in one.matches.iter().zip(1_u64..) {
                    for event in &found.events {
                        let row = [one.customer.as_str().into(), started(), nth.into(), (event.step as u64).into()];
                        table.push(row.into_iter().chain([when(event.occurred_at)]));
                    }
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for PatternReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
