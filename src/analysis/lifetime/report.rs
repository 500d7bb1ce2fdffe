//! What is said of customers' worth.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BgNbd, GammaGamma, Optimum};
use crate::{
    model::{CustomerId, Money, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// What customers have spent, and what they can be expected to spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LifetimeValueReport {
    /// The unit of time of histories and models.
    pub unit: Window,
    /// Customers with a purchase.
    pub buyers: u64,
    /// Of these, who bought on more than one day.
    pub repeat_buyers: u64,
    /// Days with a purchase, of all customers.
    pub purchases: u64,
    /// What they have spent, by currency: in each that occurs, and in the one that was asked for.
    pub historic: Vec<HistoricValue>,
    /// The model of how often they buy; `None` if nobody bought twice.
    pub purchases_fit: Option<PurchaseFit>,
    /// The model of what a purchase is worth; `None` if no currency was asked for, or nobody paid for a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_fit: Option<ValueFit>,
    /// How far expectations go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<Window>,
    /// What is to be expected of all of them together, if there is a model.
    pub expected: Option<ExpectedValue>,
    /// Why the models may say little.
    pub warnings: Vec<LifetimeWarning>,
    /// Each customer, by id, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<CustomerLifetime>>,
}

/// What customers have spent in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoricValue {
    /// The money of all purchases.
    pub total: Money,
    /// The share of it that is margin, if one was given, to 9 decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Money>,
    /// The total by customer, whatever they paid in; `None` of none.
    pub mean: Option<f64>,
}

/// The model of how often customers buy, as it was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurchaseFit {
    /// The model.
    #[serde(flatten)]
    pub model: BgNbd,
    /// How it was found.
    #[serde(flatten)]
    pub optimum: Optimum,
}

/// The model of what purchases are worth, as it was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValueFit {
    /// The model.
    #[serde(flatten)]
    pub model: GammaGamma,
    /// How it was found.
    #[serde(flatten)]
    pub optimum: Optimum,
    /// To how many customers: those whose repeats were worth more than nothing.
    pub customers: u64,
    /// How the mean value of their repeats goes with their number: Pearson's correlation, of which the model assumes that it is
    /// none.
    pub correlation: Option<f64>,
}

/// What is to be expected of customers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExpectedValue {
    /// How many have not stopped by the end of observation.
    pub alive: f64,
    /// Purchases within the horizon, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchases: Option<f64>,
    /// The money of these, discounted, and of it the margin if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// Why a model may say little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifetimeWarning {
    /// Nobody bought twice: there is no model.
    NoRepeats,
    /// Fewer than 30 customers bought twice.
    FewRepeats,
    /// The likelihood rises without end, or too slowly to find its maximum: the data do not tell the parameters apart.
    NoOptimum,
    /// So many purchases have no money in the currency, and count as worth nothing.
    WithoutMoney {
        /// How many.
        purchases: u64,
    },
    /// So many customers with repeats paid nothing for them, and are not in the model of values.
    WorthNothing {
        /// How many.
        customers: u64,
    },
    /// Those who buy often spend more or less each time than others (a correlation beyond 0.3), which the model of values
    /// does not allow for.
    Correlated,
    /// Values vary so much that no mean can be expected of those without repeats (q is at most 1).
    NoMeanValue,
}

impl fmt::Display for LifetimeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRepeats => write!(f, "nobody bought twice: there is no model"),
            Self::FewRepeats => write!(f, "fewer than 30 customers bought twice"),
            Self::NoOptimum => write!(f, "the data do not tell the parameters of a model apart"),
            Self::WithoutMoney { purchases } => write!(f, "{purchases} purchases have no money in the currency"),
            Self::WorthNothing { customers } => write!(f, "{customers} customers with repeats paid nothing for them"),
            Self::Correlated => write!(f, "who buys often spends more or less each time: the model of values is off"),
            Self::NoMeanValue => write!(f, "values vary too much to expect any of customers without repeats"),
        }
    }
}

/// A customer's worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerLifetime {
    /// Who.
    pub customer: CustomerId,
    /// Days with a purchase after the first.
    pub repeats: u32,
    /// From the first purchase to the last, in units.
    pub last: f64,
    /// From the first purchase to the end of observation, in units.
    pub observed: f64,
    /// What they have spent, by currency: in each that they paid in, and in the one that was asked for.
    pub historic: Vec<Money>,
    /// The share of it that is margin, if one was given, to 9 decimals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margin: Vec<Money>,
    /// The probability that they have not stopped, if there is a model.
    pub alive: Option<f64>,
    /// Purchases to be expected within the horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchases: Option<f64>,
    /// What each of them is expected to be worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_each: Option<f64>,
    /// The money of these, discounted, and of it the margin if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

fn moneys(sums: &[Money]) -> String {
    let sums: Vec<String> = sums.iter().map(ToString::to_string).collect();
    if sums.is_empty() { "-".to_owned() } else { sums.join(", ") }
}

fn number(number: Option<f64>, decimals: usize) -> Cell {
    number.map_or(Cell::from("-"), |number| Cell::from(format!("{number:.decimals$}")))
}

impl Tables for LifetimeValueReport {
    fn tables(&self) -> Vec<Table> {
        let mut whole = Table::new("Lifetime value", ["", "figure"]);
        let mut row = |name: &str, cell: Cell| whole.push([name.into(), cell]);
        row("buyers", self.buyers.into());
        row("with repeats", self.repeat_buyers.into());
        row("purchases", self.purchases.into());
        for historic in &self.historic {
            row("spent", historic.total.to_string().into());
            if let Some(margin) = &historic.margin {
                row("of it margin", margin.to_string().into());
            }
            row("spent by buyer", number(historic.mean, 2));
        }
        if let Some(expected) = &self.expected {
            row("alive", number(Some(expected.alive), 1));
            if let Some(horizon) = self.horizon {
                row(&format!("purchases within {horizon}"), number(expected.purchases, 1));
                row(&format!("value within {horizon}"), number(expected.value, 2));
            }
        }
        let mut models = Table::new(format!("Models (unit {})", self.unit), ["parameter", "estimate"]);
        if let Some(PurchaseFit { model, optimum }) = &self.purchases_fit {
            for (name, value) in [("r", model.r), ("alpha", model.alpha), ("a", model.a), ("b", model.b)] {
                models.push([format!("BG/NBD {name}").into(), number(Some(value), 3)]);
            }
            models.push(["BG/NBD log-likelihood".into(), number(Some(optimum.log_likelihood), 1)]);
        }
        if let Some(ValueFit { model, optimum, correlation, .. }) = &self.value_fit {
            for (name, value) in [("p", model.p), ("q", model.q), ("v", model.v)] {
                models.push([format!("Gamma-Gamma {name}").into(), number(Some(value), 2)]);
            }
            models.push(["Gamma-Gamma log-likelihood".into(), number(Some(optimum.log_likelihood), 1)]);
            models.push(["correlation of number and value".into(), number(*correlation, 2)]);
        }
        for warning in &self.warnings {
            models.push(["warning".into(), warning.to_string().into()]);
        }
        let mut tables = vec![whole, models];
        if let Some(listed) = &self.customers {
            let columns = ["customer", "repeats", "last", "observed", "spent", "alive", "purchases", "each", "value"];
            let mut customers = Table::new("Customers", columns);
            for one in listed {
                customers.push([
                    one.customer.as_str().into(),
                    u64::from(one.repeats).into(),
                    number(Some(one.last), 2),
                    number(Some(one.observed), 2),
                    moneys(&one.historic).into(),
                    Cell::share(one.alive),
                    number(one.purchases, 2),
                    number(one.value_each, 2),
                    number(one.value, 2),
                ]);
            }
            tables.push(customers);
        }
        tables
    }
}

impl fmt::Display for LifetimeValueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
