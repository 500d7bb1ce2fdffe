//! What a question about a conversion rate asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::EventBy,
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, RefusedName, Window, only_an_object},
};

/// What a rate is called, and which way it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConversionKind {
    /// The wanted event after an exposure.
    #[default]
    Conversion,
    /// A click after something was shown.
    ClickThrough,
    /// An order after an offer.
    Win,
    /// No purchase after the cart.
    Abandonment,
}

impl ConversionKind {
    /// What tables call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Conversion => "Conversion rate",
            Self::ClickThrough => "Click-through rate",
            Self::Win => "Win rate",
            Self::Abandonment => "Abandonment rate",
        }
    }

    /// What is counted if the plan does not say.
    fn count(self) -> ConversionCount {
        match self {
            Self::Conversion => ConversionCount::Customers,
            Self::ClickThrough | Self::Win | Self::Abandonment => ConversionCount::Exposures,
        }
    }
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConversionCount {
    /// Each customer once.
    Customers,
    /// Each exposure.
    Exposures,
}

/// Conversion rate, click-through rate, win rate, cart-abandonment rate: exposures, and who follows them with the wanted event.
///
/// # Question
/// Of those who saw, were sent, were offered or had something in the cart: how many clicked, ordered, bought, or did not?
///
/// # Definition
/// An **exposure** is an event that meets the first condition and lies in the scope's range. It is **followed** by a *different*
/// event that meets the second, not earlier, and at most the window later (inclusive). Events at one instant may stand in
/// either order. An exposure without follower whose window ends after the end of observation is **pending**, else it is
/// **missed**; without a window nobody is pending.
///
/// **By customers** (the default of a conversion rate) a customer counts once, as followed if any of their exposures is: the earliest
/// follower counts, with the latest exposure that it follows. If none is, their latest exposure says whether they are pending. In a row each
/// customer counts by the exposures of that row alone, and so perhaps in several.
///
/// **By exposures** (the default of click-through, win and abandonment) each one is a trial.
///
/// - A **cart** is left behind if no purchase lies in its window: one purchase saves all carts before it, since what is put into the cart
///   in several steps is bought at once. The first that follows counts.
/// - Of the **other** rates an event follows at most one exposure: a click is on one mail, an order takes one offer. They are shared out so that as
///   many as possible are followed: each goes to the oldest exposure that is still open, of those of one instant to the one whose group
///   is listed first. Exposures before the range have their followers too, so the counts of two ranges add up to those of both.
///
/// Rates are given of all exposed and of those whose window is over, followed or not; **abandonment** is the missed of
/// those whose window is over. Each has its Wilson interval at 95 % ([`Rate`](crate::Rate)).
///
/// # Worked example
/// ```
/// use journeylog::{ConversionRate, Event, Journeys};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "cart"), Event::at(day(2), "ann", "purchase"),
///     Event::at(day(0), "bob", "cart"), Event::at(day(5), "bob", "purchase"), // too late
///     Event::at(day(4), "cat", "cart"), // still has time
/// ])?;
/// let plan = ConversionRate::conversion("cart", "purchase").within(TimeDelta::days(3)).build()?;
/// let total = journeys.query().run(&plan)?.total;
/// assert_eq!((total.exposed, total.followed, total.missed, total.pending), (3, 1, 1, 1));
/// assert_eq!((total.conversion.share, total.settled_conversion.share), (Some(1.0 / 3.0), Some(0.5)));
///
/// // Eva leaves one cart, fills another in two steps, and buys. That is one of three carts left, though she is a customer who bought.
/// let journeys = Journeys::of([
///     Event::at(day(0), "eva", "cart"), Event::at(day(9), "eva", "cart"), Event::at(day(10), "eva", "cart"),
///     Event::at(day(10), "eva", "purchase"), Event::at(day(20), "eva", "visit"),
/// ])?;
/// let plan = ConversionRate::abandonment("cart", "purchase").within(TimeDelta::days(3));
/// let total = journeys.query().run(&plan.clone().build()?)?.total;
/// assert_eq!((total.exposed, total.missed, total.abandonment.share), (3, 1, Some(1.0 / 3.0)));
/// let total = journeys.query().run(&plan.by_customers().build()?)?.total;
/// assert_eq!((total.exposed, total.missed), (1, 0));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each exposure and each wanted event. Memory: 100 bytes for each period and group, and 50 for each trial
/// that is listed.
///
/// # Literature
/// The interval is that of E. B. Wilson (1927). That the oldest open interval is served first, and so as many as can be: F. Glover
/// (1967), "Maximum matching in a convex bipartite graph".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ConversionRateBuilder", into = "ConversionRateBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct ConversionRate {
    pub(super) kind: ConversionKind,
    pub(super) exposed: Condition,
    pub(super) wanted: Condition,
    pub(super) within: Option<Window>,
    pub(super) count: ConversionCount,
    pub(super) by: Option<EventBy>,
    pub(super) period: Option<Period>,
    pub(super) customers: bool,
}

impl ConversionRate {
    /// How many do what is wanted after they were exposed. A text alone is a touchpoint.
    pub fn conversion<E, W>(exposed: E, wanted: W) -> ConversionRateBuilder
    where
        E: TryInto<Condition, Error: Into<RefusedName>>,
        W: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(ConversionKind::Conversion, exposed, wanted)
    }

    /// How many of what was shown is clicked. Counts exposures, unless told otherwise.
    pub fn click_through<E, W>(shown: E, clicked: W) -> ConversionRateBuilder
    where
        E: TryInto<Condition, Error: Into<RefusedName>>,
        W: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(ConversionKind::ClickThrough, shown, clicked)
    }

    /// How many offers are won. Counts exposures, unless told otherwise.
    pub fn win<E, W>(offered: E, won: W) -> ConversionRateBuilder
    where
        E: TryInto<Condition, Error: Into<RefusedName>>,
        W: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(ConversionKind::Win, offered, won)
    }

    /// How many carts are left without a purchase. Counts exposures, unless told otherwise.
    pub fn abandonment<E, W>(cart: E, purchase: W) -> ConversionRateBuilder
    where
        E: TryInto<Condition, Error: Into<RefusedName>>,
        W: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(ConversionKind::Abandonment, cart, purchase)
    }

    fn of<E, W>(kind: ConversionKind, exposed: E, wanted: W) -> ConversionRateBuilder
    where
        E: TryInto<Condition, Error: Into<RefusedName>>,
        W: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let exposed = exposed.try_into().map_err(|e| refused = Some(InvalidValue::from(e.into())));
        let wanted = wanted.try_into().map_err(|e| refused = Some(InvalidValue::from(e.into())));
        ConversionRateBuilder {
            kind,
            exposed: exposed.unwrap_or_else(|()| Condition::All(Vec::new())),
            wanted: wanted.unwrap_or_else(|()| Condition::All(Vec::new())),
            within: None,
            count: None,
            by: None,
            period: None,
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

/// A conversion rate in the making, and the JSON form of it, where the two conditions are required, and `count` depends on the kind if it is not said:
/// `{"kind":"abandonment","exposed":{"touchpoint":"cart"},"wanted":{"touchpoint":"purchase"},"within":"3d","count":"exposures","by":"channel","period":"week","customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct ConversionRateBuilder {
    #[serde(default)]
    kind: ConversionKind,
    exposed: Condition,
    wanted: Condition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<ConversionCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<EventBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(ConversionRateBuilder);

impl ConversionRateBuilder {
    /// Sets how long after an exposure the wanted event counts, inclusive. The default is for ever.
    pub fn within(mut self, window: TimeDelta) -> Self {
        match Window::try_from(window) {
            Ok(window) => self.within = Some(window),
            Err(e) => self.refused = Some(InvalidValue::new("within", e.reason())),
        }
        self
    }

    /// Counts each exposure: the default of click-through, win and abandonment.
    pub fn by_exposures(mut self) -> Self {
        self.count = Some(ConversionCount::Exposures);
        self
    }

    /// Counts each customer once: the default of a conversion rate.
    pub fn by_customers(mut self) -> Self {
        self.count = Some(ConversionCount::Customers);
        self
    }

    /// Tells exposures apart by this.
    pub fn by(mut self, by: EventBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Tells exposures apart by the calendar period in which they lie.
    pub fn every(mut self, period: Period) -> Self {
        self.period = Some(period);
        self
    }

    /// Lists the customers with their exposures.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition cannot be asked, or if the window is negative or too long to count in microseconds.
    pub fn build(self) -> Result<ConversionRate, InvalidPlan> {
        let Self { kind, exposed, wanted, within, count, by, period, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("conversion_rate").into());
        }
        exposed.check().map_err(|e| e.within("conversion_rate.exposed"))?;
        wanted.check().map_err(|e| e.within("conversion_rate.wanted"))?;
        let count = count.unwrap_or(kind.count());
        Ok(ConversionRate { kind, exposed, wanted, within, count, by, period, customers })
    }
}

impl TryFrom<ConversionRateBuilder> for ConversionRate {
    type Error = InvalidPlan;
    fn try_from(builder: ConversionRateBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<ConversionRate> for ConversionRateBuilder {
    fn from(plan: ConversionRate) -> Self {
        let ConversionRate { kind, exposed, wanted, within, count, by, period, customers } = plan;
        Self { kind, exposed, wanted, within, count: Some(count), by, period, customers, refused: None }
    }
}
