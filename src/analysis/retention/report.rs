//! Who came back: the report.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{Rate, rate::INTERVAL},
    model::{Currency, CustomerId, Money, Period, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// Retention by cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CohortRetentionReport {
    /// The calendar period of the cohorts.
    pub period: Period,
    /// The length of exact periods from each start, if columns are not those of the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<Window>,
    /// The columns; 0 is the start.
    pub columns: Vec<RetentionColumn>,
    /// The cohorts in which anybody starts, in order.
    pub cohorts: Vec<RetentionCohort>,
    /// For each column its finished cells together.
    pub average: Vec<RetentionAverage>,
    /// The customers by cohort and id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<RetentionCustomer>>,
}

/// The periods of a column, counted from that of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionColumn {
    /// The first period.
    pub from: u32,
    /// The last one; `None` if it goes on up to the end of observation.
    pub to: Option<u32>,
}

/// The customers who start in one period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionCohort {
    /// The first moment of the period.
    pub period: DateTime<Utc>,
    /// Whether it is over and lies wholly in the range. Else these are only those who start in the part that was counted; their
    /// cells are in the averages all the same.
    pub finished: bool,
    /// A cell for each column whose period has begun by the end of observation.
    pub cells: Vec<RetentionCell>,
}

/// Those of a cohort who are counted in a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionCell {
    /// How many.
    pub customers: u64,
    /// Of all who start.
    pub rate: Rate,
    /// False if the column's period was not over, for some of them, at the end of observation.
    pub finished: bool,
    /// The money of what they are counted for, by currency, if the plan asks for it; sums of 0 are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub value: Vec<Money>,
}

/// The finished cells of a column together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionAverage {
    /// How many cells are finished.
    pub cohorts: u64,
    /// Their customers, of all who start in these cohorts.
    pub rate: Rate,
    /// Their money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub value: Vec<Money>,
}

/// A customer in a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionCustomer {
    /// Who.
    pub customer: CustomerId,
    /// The first moment of the cohort's period.
    pub cohort: DateTime<Utc>,
    /// When they started.
    pub started_at: DateTime<Utc>,
    /// The places of the columns in which they are counted, but for column 0.
    pub columns: Vec<u32>,
}

impl CohortRetentionReport {
    /// The cell of a cohort, by any moment of its period, and of a column by its place.
    pub fn cell(&self, cohort: DateTime<Utc>, column: usize) -> Option<&RetentionCell> {
        let start = self.period.start_of(cohort.into()).to_datetime();
        self.cohorts.iter().find(|cohort| cohort.period == start)?.cells.get(column)
    }

    /// A table of what is said of cells and averages, a row for each cohort.
    fn table(
        &self,
        title: String,
        of_cell: impl Fn(usize, &RetentionCell) -> String,
        of_average: impl Fn(usize, &RetentionAverage) -> String,
    ) -> Table {
        let columns = self.columns.iter().skip(1).map(ToString::to_string);
        let mut table = Table::new(title, ["cohort".into(), "start".to_owned()].into_iter().chain(columns));
        for cohort in &self.cohorts {
            let mark = |finished: bool| if finished { "" } else { " *" };
            let label = format!("{}{}", self.period.label(cohort.period.into()), mark(cohort.finished));
            let mut cells: Vec<Cell> = vec![label.into()];
            let marked = |(i, cell): (usize, &RetentionCell)| format!("{}{}", of_cell(i, cell), mark(cell.finished));
            cells.extend((0..).zip(&cohort.cells).map(|cell| marked(cell).into()));
            cells.resize(self.columns.len() + 1, Cell::Empty);
            table.push(cells);
        }
        table.push(
            std::iter::once("(finished)".into())
                .chain((0..).zip(&self.average).map(|(i, cell)| of_average(i, cell).into())),
        );
        table
    }

    /// The finished cells of each column together, with their interval.
    fn averages(&self) -> Table {
        let columns = ["column", "cohorts", "start", "customers", "share", INTERVAL];
        let mut table = Table::new("Finished cohorts together", columns);
        for (column, average) in self.columns.iter().zip(&self.average).skip(1) {
            table.push([
                column.to_string().into(),
                average.cohorts.into(),
                average.rate.of.into(),
                average.rate.some.into(),
                Cell::share(average.rate.share),
                average.rate.interval(),
            ]);
        }
        table
    }

    fn currencies(&self) -> BTreeSet<Currency> {
        let cells = self.cohorts.iter().flat_map(|cohort| &cohort.cells);
        cells.flat_map(|cell| &cell.value).map(Money::currency).collect()
    }
}

impl fmt::Display for RetentionColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            None => write!(f, "{}+", self.from),
            Some(to) if to > self.from => write!(f, "{}-{to}", self.from),
            Some(_) => write!(f, "{}", self.from),
        }
    }
}

fn titled(what: &str) -> String {
    format!("{what} (* not over, or not wholly in the range)")
}

impl Tables for CohortRetentionReport {
    fn tables(&self) -> Vec<Table> {
        // Column 0 is all of them.
        let rate = |column: usize, rate: Rate| match column {
            0 => rate.some.to_string(),
            _ => Cell::share(rate.share).to_string(),
        };
        let interval = |column: usize, rate: Rate| match column {
            0 => rate.some.to_string(),
            _ => rate.interval().to_string(),
        };
        let mut tables = vec![
            self.table(titled("Retention"), |i, cell| rate(i, cell.rate), |i, average| rate(i, average.rate)),
            self.table(
                titled("Customers retained"),
                |_, cell| cell.customers.to_string(),
                |_, average| average.rate.some.to_string(),
            ),
            self.table(titled(INTERVAL), |i, cell| interval(i, cell.rate), |i, average| interval(i, average.rate)),
            self.averages(),
        ];
        for currency in self.currencies() {
            let amount = |value: &[Money]| {
                let money = value.iter().find(|money| money.currency() == currency);
                money.map_or("-".to_owned(), |money| money.amount().to_string())
            };
            let title = titled(&format!("Retained value, {currency}"));
            tables.push(self.table(title, |_, cell| amount(&cell.value), |_, average| amount(&average.value)));
        }
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer", "cohort", "started", "counted in"]);
            for one in customers {
                let column = |place: &u32| self.columns.get(*place as usize).map(ToString::to_string);
                let columns: Vec<String> = one.columns.iter().filter_map(column).collect();
                table.push([
                    one.customer.as_str().into(),
                    self.period.label(one.cohort.into()).into(),
                    one.started_at.to_rfc3339().into(),
                    columns.join(" ").into(),
                ]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for CohortRetentionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
