//! What a question about customers' worth asks.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Currency, RefusedName, Window, Zone, only_an_object},
};

/// A horizon has at most so many units of time.
pub const LIMIT_HORIZON_UNITS: i64 = 1_000;
const DAY: i64 = 86_400_000_000;

/// Customer lifetime value: what customers have spent, and what they can be expected to.
///
/// # Question
/// What has each customer been worth so far? Who is likely still there, how often will they buy within a year, and for how much?
///
/// # Definition
/// A purchase is a day, of the calendar of a zone, with an event that meets the condition; its value is the money of all these
/// events in the [currency](LifetimeValueBuilder::value_in) that is asked for. A customer is counted if their first purchase
/// ever lies in the scope's range; all of theirs up to the end of observation count.
///
/// **Historic** value is the sum of all their purchases, exact, for each currency apart, and of it a share as margin, if a
/// [`margin`](LifetimeValueBuilder::margin) is given. No sum mixes currencies.
///
/// **Expected** purchases come from the [`BgNbd`](crate::BgNbd) model, fitted by maximum likelihood to how many purchases
/// after the first each customer made, when the last of them was and since when they are observed, all in whole days
/// divided by the [`unit`](LifetimeValueBuilder::unit). What a purchase is worth comes from the
/// [`GammaGamma`](crate::GammaGamma) model, fitted to the mean value of the purchases after the first, of customers for whom that
/// is more than nothing. Within a [`horizon`](LifetimeValueBuilder::horizon) a customer is expected to bring
/// Σ (Y(i) − Y(i − 1)) · M / (1 + d)^(i · unit / 365 days) over its units i, where Y(i) are the purchases to be expected up to
/// then, M the value of each and d the yearly [`discount`](LifetimeValueBuilder::discount); times the margin, if there is one.
///
/// Nothing is expected of customers whose repeats were worth nothing. Where the data cannot carry a model, there is none, or a [`LifetimeWarning`](crate::LifetimeWarning) beside it.
///
/// # Worked example
/// ```
/// use chrono::{DateTime, TimeDelta, Utc};
/// use journeylog::{Event, Journeys, LifetimeValue, Money};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let spent = |who, on, amount| Event::at(day(on), who, "purchase").value(Money::new(amount, "EUR").unwrap());
/// let journeys = Journeys::of([
///     spent("ann", 0, "20.00"), spent("ann", 7, "30.00"), spent("ann", 7, "2.50"), spent("bob", 3, "10.00"),
///     spent("cat", 1, "5.00"), spent("cat", 9, "15.00"), spent("dan", 20, "8.00"),
/// ])?;
/// let value = LifetimeValue::of("purchase").value_in("EUR").margin("0.4").list_customers().build()?;
/// let report = journeys.query().run(&value)?;
/// let historic = report.historic[0].clone(); // of one currency
/// assert_eq!((historic.total.to_string(), historic.margin.unwrap().to_string()), ("90.5 EUR".into(), "36.20 EUR".into()));
/// let ann = &report.customers.unwrap()[0];
/// assert_eq!((ann.repeats, ann.last, ann.observed), (1, 1.0, 20.0 / 7.0)); // two purchases on day 7 are one
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each purchase; then some hundreds of passes over the distinct histories, of which there are far fewer than
/// customers where few buy twice. Memory: 64 bytes for each customer, and if they are listed
/// some 300 for each who paid in another currency than the one that is modelled.
///
/// # Compared with
/// The package lifetimes and the R package BTYD fit the same models to tables that others make of the events. A history is
/// theirs of daily data, divided by the unit.
///
/// # Literature
/// Stands with each model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LifetimeValueBuilder", into = "LifetimeValueBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct LifetimeValue {
    pub(super) purchase: Condition,
    /// Whole days.
    pub(super) unit: Window,
    pub(super) zone: Zone,
    pub(super) currency: Option<Currency>,
    pub(super) margin: Option<Decimal>,
    pub(super) horizon: Option<Window>,
    pub(super) discount: f64,
    pub(super) customers: bool,
}

impl LifetimeValue {
    /// By purchases for which a condition holds; a text alone is a touchpoint.
    pub fn of<C>(purchase: C) -> LifetimeValueBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let purchase = purchase.try_into().unwrap_or_else(|e| {
            refused = Some(e.into().into());
            Condition::All(Vec::new())
        });
        LifetimeValueBuilder {
            purchase,
            unit: week(),
            zone: Zone::UTC,
            currency: None,
            margin: None,
            horizon: None,
            discount: 0.0,
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

/// Customer lifetime value in the making, and the JSON form of it:
/// `{"purchase":{"touchpoint":"purchase"},"unit":"7d","currency":"EUR","margin":"0.4","horizon":"364d","discount":0.1,"customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct LifetimeValueBuilder {
    purchase: Condition,
    #[serde(default = "week")]
    unit: Window,
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    zone: Zone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    margin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    horizon: Option<Window>,
    #[serde(default, skip_serializing_if = "is_zero")]
    discount: f64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(LifetimeValueBuilder);

const fn week() -> Window {
    Window::minutes(7 * 24 * 60)
}

fn utc() -> Zone {
    Zone::UTC
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_utc(zone: &Zone) -> bool {
    *zone == Zone::UTC
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(discount: &f64) -> bool {
    *discount == 0.0
}

impl LifetimeValueBuilder {
    fn window(&mut self, field: &str, length: TimeDelta) -> Option<Window> {
        let window = Window::try_from(length).map_err(|refused| InvalidValue::new(field, refused.reason()));
        window.map_err(|refused| self.refused = Some(refused)).ok()
    }

    /// Sets the unit of time in which histories and the models are: whole days. The default is a week.
    pub fn unit(mut self, unit: TimeDelta) -> Self {
        self.unit = self.window("unit", unit).unwrap_or(self.unit);
        self
    }

    /// Sets in which zone's calendar purchases of one day are one. The default is UTC.
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Models the value of purchases in this currency. What was spent is summed in all currencies, whichever is modelled.
    pub fn value_in(mut self, currency: impl AsRef<str>) -> Self {
        match Currency::new(currency) {
            Ok(currency) => self.currency = Some(currency),
            Err(refused) => self.refused = Some(refused),
        }
        self
    }

    /// Sets which share of the value is margin: a decimal above 0, at most 1, such as `"0.35"`.
    pub fn margin(mut self, margin: impl Into<String>) -> Self {
        self.margin = Some(margin.into());
        self
    }

    /// Says what is to be expected within this time after the end of observation; at most 1,000 units. The default is not to.
    pub fn horizon(mut self, horizon: TimeDelta) -> Self {
        self.horizon = self.window("horizon", horizon);
        self
    }

    /// Sets by how much money is worth less a year (365 days) later: 0.1 is a tenth. The default is 0.
    pub fn discount(mut self, yearly: f64) -> Self {
        self.discount = yearly;
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
    /// [`InvalidPlan`] if the condition cannot be asked; if the unit is not a whole number of days; if the margin is no
    /// decimal above 0 and at most 1; if the horizon is nothing, or over 1,000 units; or if
    /// the discount is negative or no number, or there is no horizon or no currency for it.
    pub fn build(self) -> Result<LifetimeValue, InvalidPlan> {
        if let Some(refused) = self.refused {
            return Err(refused.within("lifetime_value").into());
        }
        self.purchase.check().map_err(|e| e.within("lifetime_value.purchase"))?;
        let refuse = |field: &str, reason: &str| Err(InvalidPlan::new(format!("lifetime_value.{field}"), reason));
        let unit = self.unit.micros();
        if unit < DAY || unit % DAY != 0 {
            return refuse("unit", "is not a whole number of days");
        }
        let margin = match self.margin.as_deref().map(str::parse::<Decimal>) {
            None => None,
            Some(Ok(margin)) if margin > Decimal::ZERO && margin <= Decimal::ONE => Some(margin),
            Some(_) => return refuse("margin", "is not a decimal above 0 and at most 1"),
        };
        match self.horizon.map(Window::micros) {
            Some(0) => return refuse("horizon", "is no time"),
            Some(horizon) if (horizon - 1) / unit + 1 > LIMIT_HORIZON_UNITS => {
                return refuse("horizon", "is over 1,000 units: take a longer unit");
            }
            _ => {}
        }
        if !self.discount.is_finite() || self.discount < 0.0 {
            return refuse("discount", "is negative, or no number");
        }
        let Self { purchase, unit, zone, currency, margin: _, horizon, discount, customers, refused: _ } = self;
        if discount > 0.0 && (horizon.is_none() || currency.is_none()) {
            return refuse("discount", "is of nothing: name a currency and a horizon");
        }
        Ok(LifetimeValue { purchase, unit, zone, currency, margin, horizon, discount, customers })
    }
}

impl TryFrom<LifetimeValueBuilder> for LifetimeValue {
    type Error = InvalidPlan;
    fn try_from(form: LifetimeValueBuilder) -> Result<Self, InvalidPlan> {
        form.build()
    }
}

impl From<LifetimeValue> for LifetimeValueBuilder {
    fn from(plan: LifetimeValue) -> Self {
        let LifetimeValue { purchase, unit, zone, currency, margin, horizon, discount, customers } = plan;
        let margin = margin.map(|margin| margin.to_string());
        Self { purchase, unit, zone, currency, margin, horizon, discount, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"purchase":{"touchpoint":"purchase"},"unit":"1d","currency":"EUR","margin":"0.4","horizon":"364d","discount":0.1,"customers":true}"#;
        let plan: LifetimeValue = serde_json::from_str(text).unwrap();
        let days = TimeDelta::days;
        let built = LifetimeValue::of("purchase").unit(days(1)).value_in("EUR").margin("0.4").horizon(days(364));
        assert_eq!(plan, built.discount(0.1).list_customers().build().unwrap());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let least: LifetimeValue = serde_json::from_str(r#"{"purchase":{"touchpoint":"purchase"}}"#).unwrap();
        assert_eq!(least, LifetimeValue::of("purchase").build().unwrap());
        assert_eq!((least.unit.to_string(), least.horizon), ("7d".to_owned(), None));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let days = TimeDelta::days;
        let plan = || LifetimeValue::of("purchase");
        for (plan, says) in [
            (LifetimeValue::of(""), "lifetime_value.touchpoint: is empty"),
            (plan().unit(TimeDelta::hours(25)), "lifetime_value.unit: is not a whole number of days"),
            (plan().unit(days(0)), "lifetime_value.unit: is not a whole number of days"),
            (plan().unit(days(-1)), "lifetime_value.unit: is negative or too long to count in microseconds"),
            (plan().value_in("EUR").margin("0"), "lifetime_value.margin: is not a decimal above 0 and at most 1"),
            (plan().value_in("EUR").margin("1.01"), "lifetime_value.margin: is not a decimal above 0 and at most 1"),
            (plan().value_in("EUR").margin("much"), "lifetime_value.margin: is not a decimal above 0 and at most 1"),
            (plan().horizon(days(0)), "lifetime_value.horizon: is no time"),
            (plan().horizon(days(7_007)), "lifetime_value.horizon: is over 1,000 units: take a longer unit"),
            (plan().discount(-0.1), "lifetime_value.discount: is negative, or no number"),
            (
                plan().value_in("EUR").discount(0.1),
                "lifetime_value.discount: is of nothing: name a currency and a horizon",
            ),
            (plan().discount(f64::NAN), "lifetime_value.discount: is negative, or no number"),
        ] {
            assert_eq!(plan.build().unwrap_err().to_string(), says);
        }
        assert!(plan().horizon(days(7_000)).build().is_ok());
    }
}
