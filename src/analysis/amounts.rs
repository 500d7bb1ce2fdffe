//! Sums of money, exact and by currency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::InvalidValue,
    model::{Currency, Money},
};

/// For each currency a sum in units of 10^-9.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amounts(BTreeMap<Currency, i128>);

impl Amounts {
    pub(crate) fn add(&mut self, amount: i128, currency: Currency) {
        let sum = self.0.entry(currency).or_default();
        *sum = sum.saturating_add(amount);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(currency, amount)| self.add(*amount, *currency));
    }

    /// By how much each sum is more than that of others.
    pub(crate) fn less(&self, others: &Self) -> impl Iterator<Item = (Currency, i128)> {
        let other = |currency| others.0.get(currency).copied().unwrap_or_default();
        self.0.iter().map(move |(currency, sum)| (*currency, sum.saturating_sub(other(currency))))
    }

    /// The bytes that they take, beside an empty one within a larger thing: each is a small tree of its own.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.0.len().div_ceil(6) * 256
    }

    /// The sums by currency, those of 0 left out.
    pub(crate) fn moneys(&self) -> Result<Vec<Money>, InvalidValue> {
        let sums = self.0.iter().filter(|(_, sum)| **sum != 0);
        sums.map(|(currency, sum)| Money::from_nanos(*sum, *currency)).collect()
    }
}
