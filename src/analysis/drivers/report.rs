//! What goes with an outcome: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{DriverBy, DriversOutcome};
use crate::{
    analysis::{OddsRatio, Rate, listed::when},
    model::{CustomerId, PropertyValue},
    table::{Cell, Table, Tables, write_tables},
};

/// What goes with an outcome. It says nothing about what leads to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriversReport {
    /// The outcome.
    pub of: DriversOutcome,
    /// Cases with the outcome, of all.
    pub cases: Rate,
    /// How many factors were tested, and corrected for.
    pub tested: u64,
    /// How many have too little support.
    pub rare: u64,
    /// Factors, the least likely by chance first, as many as the plan asks for.
    pub drivers: Vec<Driver>,
    /// How many more there are.
    pub more: u64,
    /// Each case by its customer and time, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<DriverCase>>,
}

/// One factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Driver {
    /// What it is.
    pub by: DriverBy,
    /// The touchpoint, channel or value of a property.
    pub value: PropertyValue,
    /// The share of all cases that have it.
    pub support: f64,
    /// Cases with the outcome, of those that have it.
    pub with: Rate,
    /// Cases with the outcome, of those that do not.
    pub without: Rate,
    /// How much they differ; `None` if all cases have it, or all or none have the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<DriverTest>,
}

/// How far an outcome differs between those who have a factor and those who do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriverTest {
    /// The odds of the outcome with it, by those without.
    pub odds: OddsRatio,
    /// The probability of a difference at least so large, either way, if there were none.
    pub p_value: f64,
    /// Whether it is that of the exact test.
    pub exact: bool,
    /// Corrected after Holm: at 0.05, the chance of any false finding among all is at most 5 %.
    pub holm: f64,
    /// Corrected after Benjamini and Hochberg: at 0.05, at most 5 % of the findings are expected to be false.
    pub q_value: f64,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriverCase {
    /// Whose it is.
    pub customer: CustomerId,
    /// When the wanted event happened or the answer was given; `None` for customers without a wanted event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Whether it has the outcome.
    pub outcome: bool,
    /// Which of the drivers of the report it has, by their places from 0.
    pub drivers: Vec<usize>,
}

impl DriversReport {
    /// The driver that is such a touchpoint, channel or value of a property, if it is shown.
    pub fn driver(&self, by: &DriverBy, value: &PropertyValue) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.by == *by && driver.value == *value)
    }
}

/// A value as tables show it.
fn shown(driver: &Driver) -> String {
    match &driver.value {
        PropertyValue::Text(text) => text.clone(),
        other => serde_json::Value::from(other.clone()).to_string(),
    }
}

impl Tables for DriversReport {
    fn tables(&self) -> Vec<Table> {
        let Rate { some, of, .. } = self.cases;
        let what = match &self.of {
            DriversOutcome::Conversion(_) => "conversion, by customer".to_owned(),
            DriversOutcome::Satisfaction(survey) => format!("satisfaction, by answer to {}", survey.as_str()),
            DriversOutcome::Dissatisfaction(survey) => format!("dissatisfaction, by answer to {}", survey.as_str()),
        };
        let columns = [
            "factor",
            "value",
            "cases",
            "support",
            "outcome with",
            "without",
            "odds ratio",
            "95 % interval",
            "p",
            "Holm",
            "q",
        ];
        let title = format!("Drivers of {what} ({some} of {of} have it; association, not cause)");
        let mut table = Table::new(title, columns);
        for driver in &self.drivers {
            let by = match &driver.by {
                DriverBy::Channel => "channel",
                DriverBy::Touchpoint => "touchpoint",
                DriverBy::Property(name) | DriverBy::Profile(name) | DriverBy::ProfileLatest(name) => name,
            };
            let test =
                |cell: &dyn Fn(&DriverTest) -> String| driver.test.as_ref().map_or(Cell::Empty, |t| cell(t).into());
            table.push([
                by.into(),
                shown(driver).into(),
                driver.with.of.into(),
                Cell::Share(driver.support),
                Cell::share(driver.with.share),
                Cell::share(driver.without.share),
                test(&|t| format!("{:.2}{}", t.odds.ratio, if t.odds.corrected { " *" } else { "" })),
                test(&|t| format!("{:.2} to {:.2}", t.odds.low, t.odds.high)),
                test(&|t| format!("{:.4}", t.p_value)),
                test(&|t| format!("{:.4}", t.holm)),
                test(&|t| format!("{:.4}", t.q_value)),
            ]);
        }
        let mut about = Table::new("Factors (* a count is 0: one half was added to each)", ["", "factors"]);
        about.push(["tested".into(), self.tested.into()]);
        about.push(["too little support".into(), self.rare.into()]);
        about.push(["not shown".into(), self.more.into()]);
        let mut tables = vec![table, about];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Cases", ["customer", "at", "outcome", "factors"]);
            for case in listed {
                let factors = case.drivers.iter().filter_map(|place| self.drivers.get(*place)).map(shown);
                let factors = factors.collect::<Vec<_>>().join(", ");
                let outcome = if case.outcome { "yes" } else { "no" };
                let at = case.at.map_or(Cell::Empty, when);
                table.push([case.customer.as_str().into(), at, outcome.into(), factors.into()]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for DriversReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
