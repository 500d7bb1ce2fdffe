//! How many follow an exposure with the wanted event: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ConversionCount, ConversionKind};
use crate::{
    analysis::{EventBy, Rate, listed::when, rate::INTERVAL},
    model::{CustomerId, Period, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// How many follow an exposure with the wanted event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversionRateReport {
    /// What the rate is called.
    pub kind: ConversionKind,
    /// What is counted.
    pub count: ConversionCount,
    /// How long after an exposure the wanted event counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Window>,
    /// What exposures are told apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<EventBy>,
    /// The calendar period by which they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Of all.
    pub total: ConversionFigures,
    /// Each period and group with exposures: periods in order; stages in that of the model, other groups by name; what has no
    /// group last. Empty if exposures are not told apart.
    pub rows: Vec<ConversionRow>,
    /// Each customer or exposure that is counted, in each row in which it is, by customer and time, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<ConversionTrial>>,
}

/// The figures of a period and a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversionRow {
    /// The first moment of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<DateTime<Utc>>,
    /// False if observation ends before all windows of that period are over, or it does not lie wholly in the scope's range.
    pub finished: bool,
    /// The stage, touchpoint or channel of the exposures; `None` before any stage, or if these are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many there are.
    #[serde(flatten)]
    pub figures: ConversionFigures,
}

/// How many were exposed, and followed: `exposed = followed + missed + pending`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversionFigures {
    /// Customers who were exposed, or exposures.
    pub exposed: u64,
    /// Of these, those with a follower.
    pub followed: u64,
    /// Those without, whose window is over.
    pub missed: u64,
    /// Those without, whose window is not over.
    pub pending: u64,
    /// Followed, of all exposed.
    pub conversion: Rate,
    /// Followed, of those whose window is over.
    pub settled_conversion: Rate,
    /// Missed, of those whose window is over.
    pub abandonment: Rate,
}

/// A customer who was exposed, or an exposure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversionTrial {
    /// Who.
    pub customer: CustomerId,
    /// How it ended.
    pub outcome: ConversionOutcome,
    /// When they were exposed: by customers, the exposure that was followed, or else the latest.
    pub exposed_at: DateTime<Utc>,
    /// When they followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed_at: Option<DateTime<Utc>>,
    /// The first moment of the period in which they count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<DateTime<Utc>>,
    /// The group in which they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// How an exposure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConversionOutcome {
    /// With a follower.
    Followed,
    /// Without, and its window is over.
    Missed,
    /// Without so far.
    Pending,
}

impl fmt::Display for ConversionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Followed => "followed",
            Self::Missed => "missed",
            Self::Pending => "pending",
        })
    }
}

impl ConversionRateReport {
    fn columns(&self) -> Vec<&'static str> {
        let counts = ["exposed", "followed", "missed", "pending"];
        let rates: &[&str] = match self.kind {
            ConversionKind::Abandonment => &["abandoned", INTERVAL],
            _ => &["of all", INTERVAL, "of those over", INTERVAL],
        };
        counts.into_iter().chain(rates.iter().copied()).collect()
    }

    fn cells(&self, figures: &ConversionFigures) -> Vec<Cell> {
        let mut cells: Vec<Cell> =
            [figures.exposed, figures.followed, figures.missed, figures.pending].map(Cell::from).into();
        let rates: &[Rate] = match self.kind {
            ConversionKind::Abandonment => &[figures.abandonment],
            _ => &[figures.conversion, figures.settled_conversion],
        };
        cells.extend(rates.iter().flat_map(|rate| rate.cells()));
        cells
    }
}

impl Tables for ConversionRateReport {
    fn tables(&self) -> Vec<Table> {
        let count = match self.count {
            ConversionCount::Customers => "customers",
            ConversionCount::Exposures => "exposures",
        };
        let within = self.within.map(|window| format!(", within {window}")).unwrap_or_default();
        let mut total = Table::new(format!("{} (of {count}{within})", self.kind.title()), self.columns());
        total.push(self.cells(&self.total));
        let mut tables = vec![total];
        let group = self.by.map(EventBy::label);
        if group.is_some() || self.period.is_some() {
            let title =
                if self.period.is_some() { "By period (* not over, or not wholly in the range)" } else { "By group" };
            let columns = self.period.map(|_| "period").into_iter().chain(group).chain(self.columns());
            let mut table = Table::new(title, columns);
            for row in &self.rows {
                let mark = if row.finished { "" } else { " *" };
                let period = self.period.zip(row.period);
                let period = period.map(|(period, start)| format!("{}{mark}", period.label(start.into())).into());
                let group = group.map(|_| row.group.clone().unwrap_or_else(|| "(none)".to_owned()).into());
                table.push(period.into_iter().chain(group).chain(self.cells(&row.figures)));
            }
            tables.push(table);
        }
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "is", "exposed", "followed", "group"]);
            for one in listed {
                table.push([
                    one.customer.as_str().into(),
                    one.outcome.to_string().into(),
                    when(one.exposed_at),
                    one.followed_at.map_or(Cell::Empty, when),
                    one.group.as_deref().map_or(Cell::Empty, Cell::from),
                ]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for ConversionRateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
