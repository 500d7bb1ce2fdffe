//! Which touches conversions are credited to: the report.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::AttributionModel;
use crate::{
    analysis::listed::when,
    model::{Currency, CustomerId, Money, PropertyValue},
    table::{Cell, Table, Tables, write_tables},
};

/// Conversions and their value, by the keys of the touches before them.
///
/// For each model the credits of all keys, and the conversions without a touch, sum up to all conversions; so do their values in
/// each currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionReport {
    /// The models, in the order of the credits of each key.
    pub models: Vec<AttributionModel>,
    /// Conversions.
    pub conversions: u64,
    /// Customers with a conversion.
    pub customers: u64,
    /// The value of all conversions by currency; sums of 0 are left out.
    pub value: Vec<Money>,
    /// Each key of a touch that serves a conversion, or is of a null journey, by name; that of touches without one comes last.
    pub keys: Vec<AttributionRow>,
    /// The conversions that no touch serves.
    pub without_touch: AttributionUntouched,
    /// Journeys of touches that led to no conversion.
    pub null_journeys: u64,
    /// Those of them whose look-back is not over at the end of observation; all, if there is no look-back.
    pub pending: u64,
    /// The Markov chain, if that model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<AttributionChain>,
    /// Each conversion by its customer and time, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<AttributionCustomer>>,
    /// Each null journey by its customer and time, if customers were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_listed: Option<Vec<AttributionNullJourney>>,
}

/// What is credited to one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionRow {
    /// The channel, touchpoint or value of a property; [`Null`](PropertyValue::Null) for touches that have no such property.
    pub key: PropertyValue,
    /// Its touches that serve conversions, counted once for each that they serve.
    pub touches: u64,
    /// Conversions that it serves.
    pub conversions: u64,
    /// Null journeys that have a touch of it.
    pub null_journeys: u64,
    /// What share of the conversions with a touch would be lost without it, if Markov was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal_effect: Option<f64>,
    /// For each model, in the order of the report's.
    pub credits: Vec<AttributionCredit>,
}

/// A part of the conversions and of their value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionCredit {
    /// By which model.
    pub model: AttributionModel,
    /// Conversions, to 9 digits after the point; in JSON a text, so that no reader turns it into a float.
    #[serde(with = "decimal")]
    pub conversions: Decimal,
    /// Their value by currency; sums of 0 are left out.
    pub value: Vec<Money>,
}

/// Conversions that no touch serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionUntouched {
    /// How many.
    pub conversions: u64,
    /// Their value by currency; sums of 0 are left out.
    pub value: Vec<Money>,
}

/// A Markov chain of journeys, as a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionChain {
    /// How many touches it remembers.
    pub order: u32,
    /// Journeys that convert.
    pub converting: u64,
    /// Journeys that do not.
    pub null: u64,
    /// Each move that occurs, by where it goes from.
    pub moves: Vec<AttributionMove>,
}

/// A move of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionMove {
    /// The keys of the last touches, the latest last; none at the start.
    pub from: Vec<PropertyValue>,
    /// Where to.
    pub to: AttributionMoveTo,
    /// How often it occurs.
    pub count: u64,
    /// Its share of all moves from there: its probability.
    pub share: f64,
}

/// Where a move goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributionMoveTo {
    /// To a touch of this key.
    Touch(PropertyValue),
    /// To the conversion.
    Conversion,
    /// To no conversion.
    Null,
}

/// One conversion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionCustomer {
    /// Whose it is.
    pub customer: CustomerId,
    /// When it happened.
    pub converted_at: DateTime<Utc>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Money>,
    /// The keys of the touches that serve it, in order.
    pub touches: Vec<PropertyValue>,
}

/// One journey of touches that led to no conversion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttributionNullJourney {
    /// Whose it is.
    pub customer: CustomerId,
    /// When its last touch happened.
    pub ended_at: DateTime<Utc>,
    /// Whether its look-back is not over at the end of observation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// The keys of its touches, in order.
    pub touches: Vec<PropertyValue>,
}

/// A decimal as the text of its digits.
mod decimal {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(decimal: &Decimal, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(decimal)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(from)?;
        Decimal::from_str_exact(&text).map_err(|_| D::Error::custom("is not a decimal number such as 1.5"))
    }
}

impl AttributionReport {
    /// What a model credits to a key.
    pub fn credit(&self, model: AttributionModel, key: impl Into<PropertyValue>) -> Option<&AttributionCredit> {
        let key = key.into();
        let row = self.keys.iter().find(|row| row.key == key)?;
        row.credits.iter().find(|credit| credit.model == model)
    }

    /// One row for each key, with the credits of all models.
    fn credits(&self) -> Table {
        let currencies: BTreeSet<Currency> = self.value.iter().map(Money::currency).collect();
        let has_chain = self.chain.is_some();
        let mut columns: Vec<String> = ["key", "touches", "conversions", "null journeys"].map(str::to_owned).into();
        columns.extend(has_chain.then(|| "removal effect".to_owned()));
        columns.extend(self.models.iter().map(|model| model.label().to_owned()));
        for currency in &currencies {
            columns.extend(self.models.iter().map(|model| format!("{} {currency}", model.label())));
        }
        let mut table = Table::new("Attribution", columns);
        let number = |number: Decimal| Cell::Text(format!("{:.2}", number.round_dp(2)));
        let amount = |value: &[Money], currency: &Currency| {
            let found = value.iter().find(|money| money.currency() == *currency);
            number(found.map_or(Decimal::ZERO, Money::amount))
        };
        for row in &self.keys {
            let mut cells = vec![Cell::Text(name(&row.key))];
            cells.extend([row.touches, row.conversions, row.null_journeys].map(Cell::from));
            cells.extend(has_chain.then(|| Cell::share(row.removal_effect)));
            cells.extend(row.credits.iter().map(|credit| number(credit.conversions)));
            for currency in &currencies {
                cells.extend(row.credits.iter().map(|credit| amount(&credit.value, currency)));
            }
            table.push(cells);
        }
        let mut whole = |label: &str, conversions: u64, nulls: Cell, value: &[Money]| {
            let mut cells = vec![label.into(), Cell::Empty, conversions.into(), nulls];
            cells.extend(has_chain.then_some(Cell::Empty));
            cells.extend(self.models.iter().map(|_| number(conversions.into())));
            for currency in &currencies {
                cells.extend(self.models.iter().map(|_| amount(value, currency)));
            }
            table.push(cells);
        };
        whole("(no touch)", self.without_touch.conversions, Cell::Empty, &self.without_touch.value);
        whole("(all)", self.conversions, self.null_journeys.into(), &self.value);
        table
    }
}

fn name(key: &PropertyValue) -> String {
    match key {
        PropertyValue::Null => "(none)".to_owned(),
        PropertyValue::Text(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn walk(touches: &[PropertyValue]) -> Cell {
    touches.iter().map(name).collect::<Vec<_>>().join(" > ").into()
}

impl Tables for AttributionReport {
    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.credits()];
        if let Some(chain) = &self.chain {
            let mut table = Table::new("Moves of the Markov chain", ["from", "to", "count", "share"]);
            for one in &chain.moves {
                let from: Vec<String> = one.from.iter().map(name).collect();
                let from = if from.is_empty() { "(start)".to_owned() } else { from.join(" > ") };
                let to = match &one.to {
                    AttributionMoveTo::Touch(key) => name(key),
                    AttributionMoveTo::Conversion => "(conversion)".to_owned(),
                    AttributionMoveTo::Null => "(null)".to_owned(),
                };
                table.push([from.into(), to.into(), one.count.into(), Cell::Share(one.share)]);
            }
            tables.push(table);
        }
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers", ["customer", "converted", "value", "touches"]);
            for one in listed {
                let value = one.value.map_or(Cell::Empty, |value| value.to_string().into());
                table.push([one.customer.as_str().into(), when(one.converted_at), value, walk(&one.touches)]);
            }
            tables.push(table);
        }
        if let Some(listed) = self.null_listed.as_ref().filter(|listed| !listed.is_empty()) {
            let mut table = Table::new("Null journeys", ["customer", "ended", "", "touches"]);
            for one in listed {
                let pending = if one.pending { "pending".into() } else { Cell::Empty };
                table.push([one.customer.as_str().into(), when(one.ended_at), pending, walk(&one.touches)]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for AttributionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
