//! How many customers stay and how many are lost: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ChurnBy;
use crate::{
    analysis::{EventBy, Rate, rate::INTERVAL},
    model::{CustomerId, Period},
    table::{Cell, Table, Tables, write_tables},
};

/// How many customers stay and how many are lost, from period to period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChurnRateReport {
    /// The calendar period.
    pub period: Period,
    /// After how many periods without activity a customer is churned.
    pub inactive_after: u32,
    /// What customers are told apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ChurnBy>,
    /// Of all periods that are over: each customer counts once in each.
    pub total: ChurnFigures,
    /// The same by group: stages in the order of the model, others by name, none last. Empty if customers are not told apart.
    pub groups: Vec<ChurnGroup>,
    /// Each period, in order.
    pub periods: Vec<ChurnPeriod>,
    /// The customers by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<ChurnCustomer>>,
}

/// How many customers a period began with, and where they are: `base = retained + churned + quiet + pending`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChurnFigures {
    /// Customers active in one of the periods before.
    pub base: u64,
    /// Of these, active in this one.
    pub retained: u64,
    /// Of these, without activity for as long as makes a customer churned.
    pub churned: u64,
    /// Of these, without activity for less.
    pub quiet: u64,
    /// Of these, without activity so far in a period that is not over.
    pub pending: u64,
    /// Retained, of the base; of none in a period that is not over.
    pub retention: Rate,
    /// Churned, of the base; of none in a period that is not over.
    pub churn: Rate,
}

/// The figures of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChurnGroup {
    /// The stage, touchpoint or channel; `None` before any stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many there are.
    #[serde(flatten)]
    pub figures: ChurnFigures,
}

/// The figures of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChurnPeriod {
    /// Its first moment.
    pub period: DateTime<Utc>,
    /// False if observation ends within it.
    pub finished: bool,
    /// How many there are.
    #[serde(flatten)]
    pub figures: ChurnFigures,
    /// The groups with customers in the base, in order. Empty if customers are not told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ChurnGroup>,
}

/// A customer with the periods in whose base they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChurnCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Each period in whose base they are, in order.
    pub periods: Vec<CustomerChurn>,
}

/// As what a customer is counted in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerChurn {
    /// The period's first moment.
    pub period: DateTime<Utc>,
    /// As what.
    pub outcome: ChurnOutcome,
    /// In which group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a customer of the base can be in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChurnOutcome {
    /// Active.
    Retained,
    /// Without activity for as long as makes a customer churned.
    Churned,
    /// Without activity for less.
    Quiet,
    /// Without activity so far.
    Pending,
}

impl fmt::Display for ChurnOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Retained => "retained",
            Self::Churned => "churned",
            Self::Quiet => "quiet",
            Self::Pending => "pending",
        })
    }
}

const COLUMNS: [&str; 9] =
    ["base", "retained", "churned", "quiet", "pending", "retention", INTERVAL, "churn", INTERVAL];

fn cells(figures: &ChurnFigures) -> impl Iterator<Item = Cell> {
    let ChurnFigures { base, retained, churned, quiet, pending, retention, churn } = *figures;
    let counts = [base, retained, churned, quiet, pending].map(Cell::from);
    counts.into_iter().chain(retention.cells()).chain(churn.cells())
}

impl Tables for ChurnRateReport {
    fn tables(&self) -> Vec<Table> {
        let periods = if self.inactive_after == 1 { "period" } else { "periods" };
        let title = format!("Churn rate (lost after {} {periods} without activity)", self.inactive_after);
        let mut total = Table::new(title, COLUMNS);
        total.push(cells(&self.total));
        let mut tables = vec![total];
        let label = self.by.map(|by| EventBy::from(by).label());
        let group = |group: &ChurnGroup| Cell::from(group.group.clone().unwrap_or_else(|| "(none)".to_owned()));
        if let Some(label) = label {
            let mut table = Table::new("By group", std::iter::once(label).chain(COLUMNS));
            for one in &self.groups {
                table.push(std::iter::once(group(one)).chain(cells(&one.figures)));
            }
            tables.push(table);
        }
        let columns = std::iter::once("period").chain(label).chain(COLUMNS);
        let mut table = Table::new("By period (* not over)", columns);
        for row in &self.periods {
            let mark = if row.finished { "" } else { " *" };
            let period = Cell::from(format!("{}{mark}", self.period.label(row.period.into())));
            let all = label.map(|_| Cell::from("(all)"));
            table.push(std::iter::once(period.clone()).chain(all).chain(cells(&row.figures)));
            for one in &row.groups {
                table.push([period.clone(), group(one)].into_iter().chain(cells(&one.figures)));
            }
        }
        tables.push(table);
        if let Some(customers) = &self.customers {
            let columns = ["customer", "period", "is"].into_iter().chain(label);
            let mut table = Table::new("Customers", columns);
            for one in customers {
                for row in &one.periods {
                    let period = self.period.label(row.period.into());
                    let group = label.map(|_| row.group.as_deref().map_or(Cell::Empty, Cell::from));
                    let cells = [one.customer.as_str().into(), period.into(), row.outcome.to_string().into()];
                    table.push(cells.into_iter().chain(group));
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for ChurnRateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
