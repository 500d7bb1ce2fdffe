//! Purchases bound to a store: a row for each customer, and sums by currency.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use super::{
    PurchaseCount, PurchaseCustomer, PurchaseValue, Purchases, PurchasesReport, RepeatOutcome, RepeatPurchases, Rfm,
    RfmSegment, rfm::scores,
};
use crate::{
    analysis::{
        Analysis, Binder, Bound, BoundScope, Durations, Matches, Rate, listed::by_id, purchase_days::purchase_days,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Currency, Micros, Money, Periods},
};

/// Amounts are in units of 10^-9.
const NANOS: f64 = 1e9;

/// Purchases bound to a store.
#[derive(Debug)]
pub struct BoundPurchases {
    plan: Purchases,
    events: Matches,
    scope: BoundScope,
}

impl Analysis for Purchases {
    type Bound = BoundPurchases;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundPurchases, InvalidPlan> {
        binder.need_values();
        let events = binder.matches(std::slice::from_ref(&self.purchase))?;
        Ok(BoundPurchases { plan: self.clone(), events, scope: binder.scope().clone() })
    }
}

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PurchasesState {
    customers: Vec<Row>,
    orders: u64,
    without_money: u64,
    values: BTreeMap<Currency, Sums>,
    between: Durations,
    /// What each customer spent in each currency, those of one in a row, if they are listed.
    spent: Vec<(CustomerNo, Currency, i128)>,
    #[serde(skip)]
    room: Room,
}

/// Room for one journey, and for looking days up.
#[derive(Debug, Default)]
struct Room {
    periods: Periods,
    spent: BTreeMap<Currency, i128>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Row {
    customer: CustomerNo,
    repeats: u32,
    first: Micros,
    /// The first order of the second day.
    second: Option<Micros>,
    last: Micros,
    /// In the currency that is asked for.
    money: i128,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Sums {
    total: i128,
    orders: u64,
    customers: u64,
}

impl BoundPurchases {
    /// The places of a customer's orders that count.
    fn counted(&self, times: &[Micros]) -> Range<usize> {
        let is_new = times.first().is_some_and(|first| self.scope.counts(*first));
        match self.plan.count {
            PurchaseCount::NewBuyers => 0..if is_new { times.len() } else { 0 },
            PurchaseCount::Orders => {
                let before = times.partition_point(|at| *at < self.scope.from);
                before..times.partition_point(|at| self.scope.to.is_none_or(|to| *at < to)).max(before)
            }
        }
    }

    fn is_open(&self, row: &Row) -> bool {
        self.plan.within.is_some_and(|window| row.first.plus(window) > self.scope.end)
    }

    fn outcome(&self, row: &Row) -> RepeatOutcome {
        let is_in_time = |second| self.plan.within.is_none_or(|window| second <= row.first.plus(window));
        match row.second {
            Some(second) if is_in_time(second) => RepeatOutcome::Repeated,
            _ if self.is_open(row) => RepeatOutcome::Pending,
            _ => RepeatOutcome::Once,
        }
    }

    fn repeat(&self, rows: &[Row]) -> RepeatPurchases {
        let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count() as u64;
        let of = |outcome| count(&|row| self.outcome(row) == outcome);
        let (buyers, repeated) = (rows.len() as u64, of(RepeatOutcome::Repeated));
        let settled = count(&|row| self.outcome(row) == RepeatOutcome::Repeated && !self.is_open(row));
        let once = of(RepeatOutcome::Once);
        RepeatPurchases {
            buyers,
            repeated,
            once,
            pending: of(RepeatOutcome::Pending),
            rate: Rate::new(repeated, buyers),
            settled_rate: Rate::new(settled, settled + once),
        }
    }

    /// How many have which scores, and what they spent, the best first.
    fn segments(&self, rows: &[(Row, Rfm)]) -> Result<Vec<RfmSegment>> {
        let mut segments: BTreeMap<Rfm, (u64, i128)> = BTreeMap::new();
        for (row, rfm) in rows {
            let (customers, money) = segments.entry(*rfm).or_default();
            *customers += 1;
            *money = money.saturating_add(row.money);
        }
        let segment = |(rfm, (customers, money))| {
            let value = self.plan.currency.map(|currency| Money::from_nanos(money, currency)).transpose()?;
            Ok(RfmSegment { rfm, customers, value })
        };
        segments.into_iter().rev().map(segment).collect()
    }

    fn scored(&self, rows: Vec<Row>) -> Vec<(Row, Rfm)> {
        let recency = scores(rows.iter().map(|row| row.last));
        let frequency = scores(rows.iter().map(|row| row.repeats));
        let monetary = self.plan.currency.map(|_| scores(rows.iter().map(|row| row.money))).unwrap_or_default();
        let rfm = |row: &Row| Rfm {
            recency: recency.get(&row.last).copied().unwrap_or(1),
            frequency: frequency.get(&row.repeats).copied().unwrap_or(1),
            monetary: monetary.get(&row.money).copied(),
        };
        rows.into_iter().map(|row| (row, rfm(&row))).collect()
    }

    fn listed(
        &self,
        rows: Vec<(Row, Rfm)>,
        spent: &[(CustomerNo, Currency, i128)],
        names: &Names,
    ) -> Result<Vec<PurchaseCustomer>> {
        let mut values: BTreeMap<CustomerNo, Vec<Money>> = BTreeMap::new();
        for (customer, currency, amount) in spent {
            values.entry(*customer).or_default().push(Money::from_nanos(*amount, *currency)?);
        }
        let listed = rows.into_iter().map(|(row, rfm)| (row.customer, (row, rfm)));
        Ok(by_id(listed, names, |customer, (row, rfm)| PurchaseCustomer {
            customer,
            outcome: self.outcome(&row),
            repeats: row.repeats,
            first_at: row.first.to_datetime(),
            last_at: row.last.to_datetime(),
            values: values.get(&row.customer).cloned().unwrap_or_default(),
            rfm,
        }))
    }
}

impl Sums {
    fn value(self, currency: Currency) -> Result<PurchaseValue> {
        let Self { total, orders, customers } = self;
        let mean = |of: u64| total as f64 / NANOS / of as f64;
        let (order_value, customer_value) = (mean(orders), mean(customers));
        Ok(PurchaseValue { total: Money::from_nanos(total, currency)?, orders, customers, order_value, customer_value })
    }
}

impl Bound for BoundPurchases {
    type State = PurchasesState;
    type Report = PurchasesReport;

    fn start(&self) -> PurchasesState {
        PurchasesState::default()
    }

    fn visit(&self, state: &mut PurchasesState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        let counted = self.counted(events.times);
        let Some(&first) = events.times.get(counted.start).filter(|_| !counted.is_empty()) else { return };
        let customer = journey.customer();
        let mut row = Row { customer, repeats: 0, first, second: None, last: first, money: 0 };
        let Room { periods, spent } = &mut state.room;
        spent.clear();
        let mut before = None;
        let from_first = events.times.get(counted.start..).unwrap_or_default();
        for day in purchase_days(from_first, self.plan.zone, periods) {
            let [start, end] = [day.events.start, day.events.end].map(|place| place + counted.start);
            let here = start..end.min(counted.end);
            if before.is_some() {
                row.second = row.second.or(Some(day.first));
            }
            let Some(&last) = events.times.get(here.clone()).and_then(<[Micros]>::last) else { break };
            if let Some(before) = before {
                row.repeats = row.repeats.saturating_add(1);
                state.between.add_between(before, day.first);
            }
            (before, row.last) = (Some(day.first), last);
            for place in here {
                state.orders += 1;
                let Some((amount, currency)) = events.event(place).and_then(|event| journey.value(event)) else {
                    state.without_money += 1;
                    continue;
                };
                let sum = spent.entry(currency).or_default();
                *sum = sum.saturating_add(amount);
                state.values.entry(currency).or_default().orders += 1;
            }
        }
        for (&currency, &amount) in &*spent {
            let sums = state.values.entry(currency).or_default();
            sums.customers += 1;
            sums.total = sums.total.saturating_add(amount);
            if self.plan.customers {
                state.spent.push((customer, currency, amount));
            }
        }
        let money = self.plan.currency.and_then(|currency| spent.get(&currency));
        row.money = money.copied().unwrap_or_default();
        state.customers.push(row);
    }

    fn merge(&self, state: &mut PurchasesState, other: PurchasesState) {
        state.customers.extend(other.customers);
        state.orders += other.orders;
        state.without_money += other.without_money;
        for (currency, there) in other.values {
            let here = state.values.entry(currency).or_default();
            here.total = here.total.saturating_add(there.total);
            here.orders += there.orders;
            here.customers += there.customers;
        }
        state.between.merge(other.between);
        state.spent.extend(other.spent);
    }

    fn size(&self, state: &PurchasesState) -> usize {
        state.customers.len() * size_of::<Row>()
            + state.spent.len() * size_of::<(CustomerNo, Currency, i128)>()
            + state.values.len() * 2 * size_of::<(Currency, Sums)>()
            + state.between.size()
            + state.room.periods.size()
    }

    fn finish(&self, state: PurchasesState, names: &Names) -> Result<PurchasesReport> {
        let rows = state.customers;
        let repeat = self.repeat(&rows);
        let repeats = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.repeats.into()));
        let mut recency = Durations::default();
        rows.iter().for_each(|row| recency.add_between(row.last, self.scope.end));
        let values = state.values.into_iter().map(|(currency, sums)| sums.value(currency)).collect::<Result<_>>()?;
        let rows = self.scored(rows);
        Ok(PurchasesReport {
            within: self.plan.within,
            currency: self.plan.currency,
            count: self.plan.count,
            repeat,
            purchases: repeat.buyers.saturating_add(repeats),
            orders: state.orders,
            orders_without_money: state.without_money,
            values,
            frequency: (repeat.buyers > 0).then(|| repeats as f64 / repeat.buyers as f64),
            recency: recency.summary(),
            between: state.between.summary(),
            segments: self.segments(&rows)?,
            customers: self.plan.customers.then(|| self.listed(rows, &state.spent, names)).transpose()?,
        })
    }
}
