//! What a question about purchases asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Currency, RefusedName, Window, Zone, only_an_object},
};

/// Whose orders count, and which of them, if the scope has a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PurchaseCount {
    /// All orders, up to the end of observation, of customers whose first order ever lies in the range.
    #[default]
    NewBuyers,
    /// The orders in the range, whoever's they are.
    Orders,
}

/// Repeat purchases, order value, and recency, frequency and monetary value (RFM).
///
/// # Question
/// How many buyers buy again? What is an order worth, how often do they come, when was the last time, and who are the best?
///
/// # Definition
/// An **order** is an event that meets the condition; all orders of one day, of the calendar of a zone, are one **purchase**. If the scope has a
/// range, there are two questions:
///
/// - **Of new buyers** (the default): a customer is counted if their first order ever lies in the range; all of theirs up to the end of
///   observation count. What became of those won in March?
/// - **Of orders** ([`count_orders`](PurchasesBuilder::count_orders)): each order in the range counts, and its customer, whenever they bought first. What
///   was an order worth in March? A customer's first and last order are those in the range, and frequency, recency and scores are made of orders there; whether
///   they buy again is read beyond it, up to the end of observation.
///
/// - **Repeat-purchase rate**: of the buyers, those with a purchase on a second day. With a [window](PurchasesBuilder::within) the
///   first order of that day must lie at most so long after their very first (inclusive); a buyer without whose window ends after the end of
///   observation is **pending**. Rates are given of all buyers, and of those whose window is over. Without a window nobody is
///   pending: anybody may still come back, and no moment says when they no longer can.
/// - **Order value**: by currency the sum of all orders, exact, and its mean by order and by customer with such an order. Orders without
///   money are counted apart.
/// - **Frequency**: days with a purchase after the first.
/// - **Recency**: the time from the last order to the end of observation.
/// - **Monetary value**: the sum of a customer's orders, by currency.
/// - **Time between purchases**: from the first order of a day with one to the first of the next such day.
///
/// **RFM scores** are 1 to 5 in each of the three, 5 the best: `1 + floor(5 × customers strictly worse / customers)`. Worse are those whose last order is longer
/// ago, who have fewer days, or spent less. Equal customers have equal scores; so there need not be a fifth of them
/// with each score, and where nearly all bought once most have a frequency of 1. Money is scored in the
/// [currency](PurchasesBuilder::value_in) that is asked for, where whoever spent none has spent 0; without one it has no score.
///
/// # Worked example
/// ```
/// use chrono::{DateTime, TimeDelta, Utc};
/// use journeylog::{Event, Journeys, Money, Purchases};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let spent = |who, on, amount| Event::at(day(on), who, "purchase").value(Money::new(amount, "EUR").unwrap());
/// let journeys = Journeys::of([
///     spent("ann", 0, "20.00"), spent("ann", 7, "30.00"), spent("ann", 7, "2.50"), spent("bob", 3, "10.00"),
///     spent("cat", 1, "5.00"), spent("cat", 9, "15.00"), spent("dan", 10, "8.00"),
/// ])?;
/// let report = journeys.query().run(&Purchases::of("purchase").value_in("EUR").list_customers().build()?)?;
/// assert_eq!((report.repeat.repeated, report.repeat.buyers, report.repeat.rate.share), (2, 4, Some(0.5)));
/// let value = &report.values[0];
/// assert_eq!((value.total.to_string(), value.orders), ("90.5 EUR".into(), 7));
/// assert_eq!((value.order_value, report.frequency), (90.5 / 7.0, Some(0.5)));
/// let ann = &report.customers.unwrap()[0];
/// assert_eq!((ann.repeats, ann.last_at), (1, day(7))); // two orders on day 7 are one purchase
/// // One of four bought longer ago, two have fewer days, and three spent less.
/// assert_eq!((ann.rfm.recency, ann.rfm.frequency, ann.rfm.monetary), (2, 3, Some(4)));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each order; then customers are sorted. Memory: 64 bytes for each customer, and 32 for each of their currencies if they are listed.
///
/// # Compared with
/// Tools that cut customers into fifths by rank put equal ones into different fifths, by the order of their rows. Here they
/// never differ. [`LifetimeValue`](crate::LifetimeValue) says what to expect of the same histories.
///
/// # Literature
/// RFM: A. M. Hughes (1994), "Strategic Database Marketing"; J. R. Bult and T. Wansbeek (1995), "Optimal selection for direct mail". That
/// frequency counts days after the first: P. S. Fader, B. G. S. Hardie and K. L. Lee (2005), "RFM and CLV: using iso-value curves for customer base
/// analysis". The interval is that of E. B. Wilson (1927).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PurchasesBuilder", into = "PurchasesBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Purchases {
    pub(super) purchase: Condition,
    pub(super) zone: Zone,
    pub(super) within: Option<Window>,
    pub(super) currency: Option<Currency>,
    pub(super) count: PurchaseCount,
    pub(super) customers: bool,
}

impl Purchases {
    /// By orders for which a condition holds; a text alone is a touchpoint.
    pub fn of<C>(purchase: C) -> PurchasesBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let purchase = purchase.try_into().unwrap_or_else(|e| {
            refused = Some(e.into().into());
            Condition::All(Vec::new())
        });
        PurchasesBuilder {
            purchase,
            zone: Zone::UTC,
            within: None,
            currency: None,
            count: PurchaseCount::NewBuyers,
            customers: false,
            refused,
        }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// A question about purchases in the making, and the JSON form of it, where the condition is required:
/// `{"purchase":{"touchpoint":"purchase"},"zone":"Europe/Berlin","within":"90d","currency":"EUR","count":"orders","customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct PurchasesBuilder {
    purchase: Condition,
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    zone: Zone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "is_of_buyers")]
    count: PurchaseCount,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(PurchasesBuilder);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_of_buyers(count: &PurchaseCount) -> bool {
    *count == PurchaseCount::NewBuyers
}

fn utc() -> Zone {
    Zone::UTC
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_utc(zone: &Zone) -> bool {
    *zone == Zone::UTC
}

impl PurchasesBuilder {
    /// Sets in which zone's calendar orders of one day are one purchase. The default is UTC.
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Sets how long after the first order a repeat counts, inclusive. The default is for ever.
    pub fn within(mut self, window: TimeDelta) -> Self {
        match Window::try_from(window) {
            Ok(window) => self.within = Some(window),
            Err(e) => self.refused = Some(InvalidValue::new("within", e.reason())),
        }
        self
    }

    /// Scores money in this currency.
    pub fn value_in(mut self, currency: impl AsRef<str>) -> Self {
        match Currency::new(currency) {
            Ok(currency) => self.currency = Some(currency),
            Err(refused) => self.refused = Some(refused),
        }
        self
    }

    /// Counts the orders in the scope's range. By default all orders of those who bought for the first time in it count.
    pub fn count_orders(mut self) -> Self {
        self.count = PurchaseCount::Orders;
        self
    }

    /// Lists each customer.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the condition cannot be asked, if the window is negative or too long to count in microseconds, or if
    /// the currency is not three capital letters.
    pub fn build(self) -> Result<Purchases, InvalidPlan> {
        let Self { purchase, zone, within, currency, count, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("purchases").into());
        }
        purchase.check().map_err(|e| e.within("purchases.purchase"))?;
        Ok(Purchases { purchase, zone, within, currency, count, customers })
    }
}

impl TryFrom<PurchasesBuilder> for Purchases {
    type Error = InvalidPlan;
    fn try_from(builder: PurchasesBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Purchases> for PurchasesBuilder {
    fn from(plan: Purchases) -> Self {
        let Purchases { purchase, zone, within, currency, count, customers } = plan;
        Self { purchase, zone, within, currency, count, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"purchase":{"touchpoint":"purchase"},"within":"90d","currency":"EUR","count":"orders","customers":true}"#;
        let plan: Purchases = serde_json::from_str(text).unwrap();
        let built =
            Purchases::of("purchase").within(TimeDelta::days(90)).value_in("EUR").count_orders().list_customers();
        assert_eq!(plan, built.build().unwrap());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let least: Purchases = serde_json::from_str(r#"{"purchase":{"touchpoint":"purchase"}}"#).unwrap();
        assert_eq!(least, Purchases::of("purchase").build().unwrap());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let plan = || Purchases::of("purchase");
        for (plan, says) in [
            (Purchases::of(""), "purchases.touchpoint: is empty"),
            (plan().within(TimeDelta::days(-1)), "purchases.within: is negative or too long to count in microseconds"),
            (
                plan().value_in("euro"),
                "purchases.currency: is not an ISO 4217 code of three capital letters, such as EUR",
            ),
        ] {
            assert_eq!(plan.build().unwrap_err().to_string(), says);
        }
    }
}
