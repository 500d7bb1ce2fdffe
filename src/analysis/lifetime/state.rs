//! Lifetime value bound to a store: what is kept of each customer, and how models are fitted to it.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    BgNbd, CustomerLifetime, ExpectedValue, GammaGamma, HistoricValue, LifetimeValue, LifetimeValueReport,
    LifetimeWarning, PurchaseFit, PurchaseHistory, ValueFit, bg_nbd::Group,
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Matches, amounts::Amounts, purchase_days::purchase_days},
    error::{InvalidPlan, InvalidValue, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Micros, Money, Period, Periods},
};

const DAY: i64 = 86_400_000_000;
/// Amounts are in units of 10^-9.
const NANOS: f64 = 1e9;
/// Fewer customers with repeats than this say little.
const FEW: u64 = 30;
/// The values of those who buy often and seldom differ more than the model allows for.
const CORRELATED: f64 = 0.3;

/// Lifetime value bound to a store.
#[derive(Debug)]
pub struct BoundLifetimeValue {
    plan: LifetimeValue,
    matches: Matches,
    scope: BoundScope,
}

impl Analysis for LifetimeValue {
    type Bound = BoundLifetimeValue;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundLifetimeValue, InvalidPlan> {
        binder.need_values();
        let matches = binder.matches(std::slice::from_ref(&self.purchase))?;
        Ok(BoundLifetimeValue { plan: self.clone(), matches, scope: binder.scope().clone() })
    }
}

/// What is kept: a row for each customer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LifetimeValueState {
    customers: Vec<Row>,
    /// Purchases, and those of them without money in the currency.
    purchases: u64,
    without_money: u64,
    /// The money in other currencies, of all and, if they are listed, of each who has some.
    other_money: Amounts,
    other_money_of: Vec<(CustomerNo, Amounts)>,
    #[serde(skip)]
    periods: Periods,
}

/// In the order in which sums are made, so that these do not depend on the numbers of customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    /// Days with a purchase after the first.
    repeats: u32,
    /// Days from the first purchase to the last, and to the end of observation.
    last: u32,
    observed: u32,
    /// The money of the first day, and of the others.
    first_money: i128,
    repeat_money: i128,
    customer: CustomerNo,
}

impl Row {
    fn money(&self) -> i128 {
        self.first_money.saturating_add(self.repeat_money)
    }

    /// What repeats were worth on average, if that is more than nothing.
    fn mean(&self) -> Option<f64> {
        let is_worth = self.repeats > 0 && self.repeat_money > 0;
        is_worth.then(|| self.repeat_money as f64 / NANOS / f64::from(self.repeats))
    }
}

impl BoundLifetimeValue {
    /// Days between two days of the calendar, whatever clocks were changed between.
    fn days(from: Micros, to: Micros) -> u32 {
        let between = to.0.saturating_sub(from.0).saturating_add(DAY / 2) / DAY;
        u32::try_from(between.max(0)).unwrap_or(u32::MAX)
    }

    fn unit_days(&self) -> f64 {
        (self.plan.unit.micros() / DAY) as f64
    }

    fn history(&self, row: &Row) -> PurchaseHistory {
        let unit = self.unit_days();
        PurchaseHistory {
            repeats: row.repeats,
            last: f64::from(row.last) / unit,
            observed: f64::from(row.observed) / unit,
        }
    }

    /// The distinct histories in order, each with how many rows have it; rows must be in order.
    fn groups(&self, rows: &[Row]) -> Vec<Group> {
        let key = |row: &Row| (row.repeats, row.last, row.observed);
        let alike = rows.chunk_by(|a, b| key(a) == key(b));
        alike.filter_map(|rows| Some((self.history(rows.first()?), rows.len() as u64))).collect()
    }

    /// What all have spent, by currency.
    fn historic(&self, state: &LifetimeValueState) -> Result<Vec<HistoricValue>, InvalidValue> {
        let nanos = state.customers.iter().fold(0_i128, |sum, row| sum.saturating_add(row.money()));
        let buyers = state.customers.len();
        let historic = |total: Money| {
            let margin = self.plan.margin.map(|margin| of_margin(&total, margin)).transpose()?;
            let amount = f64::try_from(total.amount()).unwrap_or_default();
            Ok(HistoricValue { total, margin, mean: (buyers > 0).then(|| amount / buyers as f64) })
        };
        self.by_currency(nanos, Some(&state.other_money))?.into_iter().map(historic).collect()
    }

    /// Money in the currency of the plan and in others, in the order of codes.
    fn by_currency(&self, nanos: i128, others: Option<&Amounts>) -> Result<Vec<Money>, InvalidValue> {
        let mut sums = others.map(Amounts::moneys).transpose()?.unwrap_or_default();
        if let Some(currency) = self.plan.currency {
            sums.push(Money::from_nanos(nanos, currency)?);
        }
        sums.sort_unstable_by_key(Money::currency);
        Ok(sums)
    }

    /// The model of values, where it could be fitted.
    fn fit_values(rows: &[Row]) -> Option<ValueFit> {
        let worth: Vec<(u32, f64)> = rows.iter().filter_map(|row| Some((row.repeats, row.mean()?))).collect();
        let (model, optimum) = GammaGamma::fit(&worth)?;
        Some(ValueFit { model, optimum, customers: worth.len() as u64, correlation: correlation(&worth) })
    }

    fn warnings(&self, state: &LifetimeValueState, report: &LifetimeValueReport) -> Vec<LifetimeWarning> {
        let mut warnings = Vec::new();
        match &report.purchases_fit {
            None => warnings.push(LifetimeWarning::NoRepeats),
            Some(_) if report.repeat_buyers < FEW => warnings.push(LifetimeWarning::FewRepeats),
            Some(_) => {}
        }
        let optima = [report.purchases_fit.map(|fit| fit.optimum), report.value_fit.map(|fit| fit.optimum)];
        if optima.into_iter().flatten().any(|optimum| !optimum.converged) {
            warnings.push(LifetimeWarning::NoOptimum);
        }
        if self.plan.currency.is_some() && state.without_money > 0 {
            warnings.push(LifetimeWarning::WithoutMoney { purchases: state.without_money });
        }
        let left_out = state.customers.iter().filter(|row| row.repeats > 0 && row.mean().is_none()).count() as u64;
        if self.plan.currency.is_some() && left_out > 0 {
            warnings.push(LifetimeWarning::WorthNothing { customers: left_out });
        }
        if let Some(fit) = report.value_fit {
            if fit.correlation.is_some_and(|found| found.abs() > CORRELATED) {
                warnings.push(LifetimeWarning::Correlated);
            }
            if fit.model.q <= 1.0 {
                warnings.push(LifetimeWarning::NoMeanValue);
            }
        }
        warnings
    }

    /// Purchases to be expected within the horizon, and how many they are as money is discounted.
    fn expected_purchases(&self, model: &BgNbd, history: &PurchaseHistory) -> Option<(f64, f64)> {
        let (horizon, unit) = (self.plan.horizon?.micros(), self.plan.unit.micros());
        let purchases = model.expected_purchases(history, horizon as f64 / unit as f64);
        if !purchases.is_finite() {
            return None;
        }
        if self.plan.discount == 0.0 {
            return Some((purchases, purchases));
        }
        let yearly = 1.0 + self.plan.discount;
        // A unit's purchases are discounted from its end, or that of the horizon if it comes sooner.
        let days = self.unit_days() * horizon as f64 / self.plan.unit.micros() as f64;
        let (mut before, mut discounted) = (0.0, 0.0);
        let units = u32::try_from((horizon - 1) / unit + 1).unwrap_or(u32::MAX);
        for unit in 1..=units {
            let so_far = if unit == units { purchases } else { model.expected_purchases(history, unit.into()) };
            discounted += (so_far - before) / yearly.powf((f64::from(unit) * self.unit_days()).min(days) / 365.0);
            before = so_far;
        }
        Some((purchases, discounted))
    }

    /// What is to be expected of all, and of each if they are listed.
    fn expect(
        &self,
        rows: &[Row],
        fit: &PurchaseFit,
        values: Option<&ValueFit>,
        mut list: impl FnMut(&Row, Expected) -> Result<()>,
    ) -> Result<ExpectedValue> {
        let margin = self.plan.margin.and_then(|margin| f64::try_from(margin).ok()).unwrap_or(1.0);
        let mut all = ExpectedValue { alive: 0.0, purchases: None, value: None };
        // Of those with the same history the same is to be expected.
        let mut known: Option<(PurchaseHistory, _, _)> = None;
        for row in rows {
            let history = self.history(row);
            let (_, alive, purchases) = match known {
                Some(known @ (of, ..)) if of == history => known,
                _ => (history, fit.model.alive(&history), self.expected_purchases(&fit.model, &history)),
            };
            known = Some((history, alive, purchases));
            // Of repeats that were worth nothing the model knows nothing.
            let worth = |model: &GammaGamma| match row.mean() {
                Some(mean) => Some(model.expected_value(row.repeats, mean)),
                None => (row.repeats == 0).then(|| model.expected_value(0, 0.0)),
            };
            let worth = values.and_then(|fit| worth(&fit.model)).filter(|worth| worth.is_finite());
            let value = purchases.zip(worth).map(|((_, discounted), worth)| discounted * worth * margin);
            all.alive += alive;
            let purchases = purchases.map(|(purchases, _)| purchases);
            all.purchases = purchases.map(|more| all.purchases.unwrap_or_default() + more).or(all.purchases);
            all.value = value.map(|value| all.value.unwrap_or_default() + value).or(all.value);
            list(row, Expected { alive: Some(alive), purchases, value_each: worth, value })?;
        }
        Ok(all)
    }

    /// `None` of somebody who has been erased meanwhile.
    fn listed(
        &self,
        row: &Row,
        others: Option<&Amounts>,
        expected: Expected,
        names: &Names,
    ) -> Result<Option<CustomerLifetime>> {
        let Some(customer) = names.customer_id(row.customer) else { return Ok(None) };
        let PurchaseHistory { repeats, last, observed } = self.history(row);
        let Expected { alive, purchases, value_each, value } = expected;
        let historic = self.by_currency(row.money(), others)?;
        let margin = self.plan.margin.iter().flat_map(|margin| historic.iter().map(|sum| of_margin(sum, *margin)));
        let margin = margin.collect::<Result<_, _>>()?;
        Ok(Some(CustomerLifetime {
            customer,
            repeats,
            last,
            observed,
            historic,
            margin,
            alive,
            purchases,
            value_each,
            value,
        }))
    }
}

/// What is to be expected of one customer; nothing without a model.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    alive: Option<f64>,
    purchases: Option<f64>,
    value_each: Option<f64>,
    value: Option<f64>,
}

fn of_margin(total: &Money, margin: Decimal) -> Result<Money, InvalidValue> {
    let refused = || InvalidValue::new("margin", "of the sum has more digits than money can have");
    let amount = total.amount().checked_mul(margin).ok_or_else(refused)?;
    Money::from_decimal(amount.round_dp(9), total.currency())
}

/// Pearson's correlation of how often with how much; `None` where one does not vary.
fn correlation(worth: &[(u32, f64)]) -> Option<f64> {
    let n = worth.len() as f64;
    let (x, y) = worth.iter().fold((0.0, 0.0), |(x, y), (repeats, mean)| (x + f64::from(*repeats), y + mean));
    let (x, y) = (x / n, y / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (repeats, mean) in worth {
        let (dx, dy) = (f64::from(*repeats) - x, mean - y);
        (xx, yy, xy) = (xx + dx * dx, yy + dy * dy, xy + dx * dy);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

impl Bound for BoundLifetimeValue {
    type State = LifetimeValueState;
    type Report = LifetimeValueReport;

    fn start(&self) -> LifetimeValueState {
        LifetimeValueState::default()
    }

    fn visit(&self, state: &mut LifetimeValueState, journey: &Journey<'_>) {
        let events = self.matches.of(journey);
        let Some(&first) = events.times.first().filter(|first| self.scope.counts(**first)) else { return };
        let day = Period::DAY.zone(self.plan.zone);
        let first_day = state.periods.span_of(day, first);
        let (mut last_day, mut repeats) = (first_day, 0);
        let (mut first_money, mut repeat_money) = (0_i128, 0_i128);
        let mut others = Amounts::default();
        for (nth, bought) in (0..).zip(purchase_days(events.times, self.plan.zone, &mut state.periods)) {
            (last_day, repeats) = (bought.span, nth);
            let mut has_money = false;
            for place in bought.events {
                let Some((amount, currency)) = events.event(place).and_then(|event| journey.value(event)) else {
                    continue;
                };
                if Some(currency) == self.plan.currency {
                    has_money = true;
                    let sum = if nth == 0 { &mut first_money } else { &mut repeat_money };
                    *sum = sum.saturating_add(amount);
                } else {
                    others.add(amount, currency);
                }
            }
            state.purchases += 1;
            state.without_money += u64::from(!has_money);
        }
        state.other_money.merge(&others);
        if self.plan.customers && others != Amounts::default() {
            state.other_money_of.push((journey.customer(), others));
        }
        let end = state.periods.span_of(day, self.scope.end);
        state.customers.push(Row {
            repeats,
            last: Self::days(first_day.start, last_day.start),
            observed: Self::days(first_day.start, end.start),
            first_money,
            repeat_money,
            customer: journey.customer(),
        });
    }

    fn merge(&self, state: &mut LifetimeValueState, other: LifetimeValueState) {
        state.customers.extend(other.customers);
        state.purchases += other.purchases;
        state.without_money += other.without_money;
        state.other_money.merge(&other.other_money);
        state.other_money_of.extend(other.other_money_of);
    }

    fn size(&self, state: &LifetimeValueState) -> usize {
        let others: usize =
            state.other_money_of.iter().map(|(_, amounts)| size_of::<CustomerNo>() + amounts.size()).sum();
        state.customers.len() * size_of::<Row>() + state.periods.size() + state.other_money.size() + others
    }

    fn finish(&self, mut state: LifetimeValueState, names: &Names) -> Result<LifetimeValueReport> {
        state.customers.sort_unstable();
        state.other_money_of.sort_unstable_by_key(|(customer, _)| *customer);
        let others_of = |customer: CustomerNo| {
            let place = state.other_money_of.binary_search_by_key(&customer, |(customer, _)| *customer).ok()?;
            state.other_money_of.get(place).map(|(_, amounts)| amounts)
        };
        let rows = &state.customers;
        let purchases_fit = BgNbd::fit(&self.groups(rows)).map(|(model, optimum)| PurchaseFit { model, optimum });
        let mut report = LifetimeValueReport {
            unit: self.plan.unit,
            buyers: rows.len() as u64,
            repeat_buyers: rows.iter().filter(|row| row.repeats > 0).count() as u64,
            purchases: state.purchases,
            historic: self.historic(&state)?,
            purchases_fit,
            value_fit: self.plan.currency.and_then(|_| Self::fit_values(rows)),
            horizon: self.plan.horizon,
            expected: None,
            warnings: Vec::new(),
            customers: None,
        };
        let mut listed = Vec::new();
        let mut list = |row: &Row, expected: Expected| {
            if self.plan.customers {
                listed.extend(self.listed(row, others_of(row.customer), expected, names)?);
            }
            Ok(())
        };
        if let Some(fit) = &purchases_fit {
            report.expected = Some(self.expect(rows, fit, report.value_fit.as_ref(), list)?);
        } else {
            rows.iter().try_for_each(|row| list(row, Expected::default()))?;
        }
        listed.sort_unstable_by(|a, b| a.customer.cmp(&b.customer));
        report.customers = self.plan.customers.then_some(listed);
        report.warnings = self.warnings(&state, &report);
        Ok(report)
    }
}
