//! How far journeys are a designed sequence of events: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{DeviationKind, DeviationTotal, Rate, listed::when},
    model::CustomerId,
    table::{Cell, Table, Tables, write_tables},
};

/// How far journeys are a designed sequence of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternConformanceReport {
    /// Customers whose journey begins in the scope's range.
    pub customers: u64,
    /// Those whose journey fits so far.
    pub fits: Rate,
    /// Those whose journey fits, and has all steps.
    pub completed: Rate,
    /// Each step, in order.
    pub steps: Vec<DesignedStep>,
    /// Each kind of deviation.
    pub by_kind: Vec<DeviationTotal>,
    /// Each deviation that occurs, that of most customers first.
    pub deviations: Vec<StepDeviation>,
    /// Each customer, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<PatternConformanceCustomer>>,
}

/// A step of a designed sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DesignedStep {
    /// Which, from 1.
    pub step: u64,
    /// Customers who did it in its place, of all.
    pub served: Rate,
}

/// What is not part of the designed sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepDeviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// Of which step, from 1; `None` for what is unexpected.
    pub step: Option<u64>,
    /// How often.
    pub count: u64,
    /// How many of all customers.
    pub customers: Rate,
}

/// A customer with what they did otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatternConformanceCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Whether their journey fits, and has all steps.
    pub completed: bool,
    /// The steps that they did in their place, from 1.
    pub served: Vec<u64>,
    /// Their deviations, in order of time; none if their journey fits.
    pub deviations: Vec<CustomerStepDeviation>,
}

/// A deviation of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerStepDeviation {
    /// How it differs.
    pub kind: DeviationKind,
    /// Of which step, from 1; `None` for what is unexpected.
    pub step: Option<u64>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Tables for PatternConformanceReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["customers", "fit", "share", "low", "high", "completed", "share"];
        let mut all = Table::new("Conformance to a pattern", columns);
        let Rate { some, share, low, high, .. } = self.fits;
        all.push([
            self.customers.into(),
            some.into(),
            Cell::share(share),
            Cell::Share(low),
            Cell::Share(high),
            self.completed.some.into(),
            Cell::share(self.completed.share),
        ]);
        let mut steps = Table::new("Steps", ["step", "customers", "share"]);
        for one in &self.steps {
            steps.push([one.step.into(), one.served.some.into(), Cell::share(one.served.share)]);
        }
        let mut kinds = Table::new("Kinds of deviations", ["kind", "count", "customers", "share"]);
        for total in &self.by_kind {
            let customers = [total.customers.some.into(), Cell::share(total.customers.share)];
            kinds.push([total.kind.to_string().into(), total.count.into()].into_iter().chain(customers));
        }
        let mut deviations = Table::new("Deviations", ["kind", "step", "count", "customers", "share"]);
        for one in &self.deviations {
            let customers = [one.count.into(), one.customers.some.into(), Cell::share(one.customers.share)];
            let step = one.step.map_or(Cell::Empty, Cell::from);
            deviations.push([one.kind.to_string().into(), step].into_iter().chain(customers));
        }
        let mut tables = vec![all, steps, kinds, deviations];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "steps done", "kind", "step", "when"]);
            for one in listed {
                let done = one.served.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                if one.deviations.is_empty() {
                    let fits = if one.completed { "completed" } else { "fits" };
                    let row = [one.customer.as_str().into(), done.as_str().into(), fits.into()];
                    table.push(row.into_iter().chain([Cell::Empty, Cell::Empty]));
                }
                for deviation in &one.deviations {
                    let step = deviation.step.map_or(Cell::Empty, Cell::from);
                    let kind = deviation.kind.to_string().into();
                    let row = [one.customer.as_str().into(), done.as_str().into(), kind, step, when(deviation.at)];
                    table.push(row);
                }
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for PatternConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
