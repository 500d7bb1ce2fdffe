//! What a funnel's customers are told apart by.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Currency, Money, PropertyValue, check_name, only_an_object},
};

/// A breakdown lists at most this many groups, and its bands of money have fewer edges than this.
pub const LIMIT_GROUPS: usize = 1_000;
/// So many groups are listed if the plan says nothing.
const GROUPS: usize = 50;

/// Tells a funnel's customers apart by a value: how far do those of each group come?
///
/// # Definition
/// Of the chain that counts for a customer (see [`Funnel`](crate::Funnel)) the value is taken from the first event, or
/// from where [`from`](Self::from) says. Every customer who entered belongs to one group, so that the figures of the groups
/// add up to those of the whole. Customers for whom there is no value are a group of their own, whose value is `null`.
///
/// Only with [`BreakdownFrom::Each`] may a customer be in several groups: it asks one funnel for each value, over the
/// events that carry it and no others, and one for the events without a value. Such a customer counts once in each; the
/// whole is the sum, and lists a customer once for each group. Ask the funnel without a breakdown beside it, in the same
/// scan, for customers who count once. An event bears the stage that it has in the whole journey.
///
/// **Where several chains would do.** Chains of the same level, completion and entry may have different events. They are
/// compared step by step, from the first step on: the chain whose event is earlier comes first, at the same instant the
/// one whose event has the smaller value. The value is that of the first chain. So it depends on times and values, not on
/// the order of arrival. Names and texts are ordered by their bytes, bands by their amounts, `false` before `true`,
/// booleans before numbers and numbers before texts; an event without a value comes after all that have one. If customers
/// are listed, the events listed are those of a chain that has the group's value.
///
/// **Groups.** Groups in which nobody entered are not listed. The largest, by customers who entered, are listed; of groups
/// of one size those of smaller values. The others are counted exactly, together, as [`FunnelBreakdown::other`](crate::FunnelBreakdown::other), up to
/// the limit of memory of [`Query::memory`](crate::Query::memory): every value that occurs takes room until the end.
///
/// **Cost.** A value is looked up for each event that serves a step. A funnel for each of five channels took about twice the time of
/// the funnel alone; where the store knows more than 16 channels journeys are walked one by one, which is slower.
///
/// # Example
/// ```
/// use journeylog::{Breakdown, BreakdownFrom, Channel, Event, Funnel, Journeys, PropertyValue};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let event = |d, customer, touchpoint| Event::at(day(d), customer, touchpoint);
/// let journeys = Journeys::of([
///     event(0, "ann", "view").channel(Channel::Web).property("plan", "pro"),
///     event(1, "ann", "pay").channel(Channel::Email),
///     event(0, "bob", "view").channel(Channel::Web),
///     event(1, "bob", "view").channel(Channel::Email),
///     event(2, "bob", "pay").channel(Channel::Email),
/// ])?;
/// let ask = |breakdown| {
///     let funnel = Funnel::ordered(["view", "pay"]).breakdown(breakdown).build()?;
///     let report = journeys.query().run(&funnel)?.breakdown.unwrap_or_default();
///     Ok::<_, journeylog::Error>(move |value: PropertyValue| {
///         report.group(value).map(|group| (group.figures.entered, group.figures.converted))
///     })
/// };
/// // Ann's chain began on the web. Bob's that counts is the latest: it began by email.
/// let by_channel = ask(Breakdown::channel())?;
/// assert_eq!((by_channel("web".into()), by_channel("email".into())), (Some((1, 1)), Some((1, 1))));
/// // Of events on the web alone nobody paid. Bob entered both ways.
/// let each = ask(Breakdown::channel().from(BreakdownFrom::Each))?;
/// assert_eq!((each("web".into()), each("email".into())), (Some((2, 0)), Some((1, 1))));
/// // Bob's plan is not known.
/// let by_plan = ask(Breakdown::property("plan"))?;
/// assert_eq!((by_plan("pro".into()), by_plan(PropertyValue::Null)), (Some((1, 1)), Some((1, 1))));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # JSON
/// `{"by":"channel","from":"each","limit":10,"compare":["web","email"]}`; only `by` is required.
///
/// | `by` | the value |
/// |---|---|
/// | `"channel"`, `"touchpoint"` | the event's |
/// | `{"property":"campaign"}` | the event's property; `null` and what is nested are no value, and 1 and 1.0 are one |
/// | `{"profile":"country"}` | the property of the customer's profile, as it was when the event happened |
/// | `{"profile_latest":"country"}` | the same as it is at the end of observation, which every event of the customer has |
/// | `{"value":{"currency":"EUR","edges":["10","50"]}}` | the band of the event's money in that currency: `under 10 EUR`, `10 to under 50 EUR`, `50 EUR and more` |
/// | `{"first_touch":"channel"}`, `{"first_touch":"touchpoint"}` | of the journey's first event |
/// | `{"last_touch":"channel"}`, `{"last_touch":"touchpoint"}` | of the last event before the moment of the chain's first event |
///
/// | `from` | where the value is taken |
/// |---|---|
/// | `"first_event"` (default) | the chain's first event |
/// | `{"step":2}` | the event that served this step, counted from 1; no value if it was not reached |
/// | `"first_defined"` | the first of the chain's events that has a value |
/// | `"last_defined"` | the last of them |
/// | `"each"` | one funnel for each value |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a breakdown is a part of a funnel"]
pub struct Breakdown {
    pub(crate) by: BreakdownBy,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) from: BreakdownFrom,
    #[serde(default = "groups", skip_serializing_if = "is_usual")]
    pub(crate) limit: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compare: Option<(PropertyValue, PropertyValue)>,
}

only_an_object!(Breakdown);

/// Which value tells customers apart; the JSON form is that of [`Breakdown`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakdownBy {
    /// Through what an event came.
    Channel,
    /// Where it happened.
    Touchpoint,
    /// A property by its name, such as `campaign`. Null and what is nested are no value.
    Property(String),
    /// A property of the customer's [profile](crate::ProfileUpdate), as it was when the event happened.
    Profile(String),
    /// The same as it is at the end of observation.
    ProfileLatest(String),
    /// The band in which its money lies.
    Value(ValueBands),
    /// Of the journey's first event that the scope sees, which may be the chain's first event itself. If several happened
    /// at that instant, the smallest name.
    FirstTouch(Touch),
    /// Of the journey's last event that the scope sees before the instant of the chain's first event; none if that was the
    /// beginning. If several happened at one instant, the smallest name.
    LastTouch(Touch),
}

/// What of a touch is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Touch {
    /// Through what it came.
    Channel,
    /// Where it happened.
    Touchpoint,
}

/// Bands of money in one currency: below the first edge, from each edge (inclusive) up to the next (exclusive), and from
/// the last on. Money in another currency is no value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BandsForm", into = "BandsForm")]
pub struct ValueBands {
    pub(crate) currency: Currency,
    pub(crate) edges: Vec<Decimal>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct BandsForm {
    currency: Currency,
    edges: Vec<String>,
}

only_an_object!(BandsForm);

/// From which event of the chain the value is taken; the JSON form is that of [`Breakdown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakdownFrom {
    /// The first one.
    #[default]
    FirstEvent,
    /// The one that served this step, counted from 1. Customers who did not reach it have no value.
    Step(usize),
    /// The first that has a value.
    FirstDefined,
    /// The last that has a value.
    LastDefined,
    /// Not from a chain: one funnel for each value, over the events that carry it alone.
    Each,
}

impl Breakdown {
    /// Whether it is one funnel for each channel.
    pub(super) fn is_each_channel(&self) -> bool {
        self.by == BreakdownBy::Channel && self.from == BreakdownFrom::Each
    }

    /// By a value of the chain's first event.
    pub fn by(by: BreakdownBy) -> Self {
        Self { by, from: BreakdownFrom::default(), limit: GROUPS, compare: None }
    }

    /// By channel.
    pub fn channel() -> Self {
        Self::by(BreakdownBy::Channel)
    }

    /// By touchpoint.
    pub fn touchpoint() -> Self {
        Self::by(BreakdownBy::Touchpoint)
    }

    /// By a property, such as `campaign`.
    pub fn property(name: impl Into<String>) -> Self {
        Self::by(BreakdownBy::Property(name.into()))
    }

    /// By a property of the customer's profile, as it was when the event happened.
    pub fn profile(name: impl Into<String>) -> Self {
        Self::by(BreakdownBy::Profile(name.into()))
    }

    /// By a property of the customer's profile, as it is at the end of observation.
    pub fn profile_latest(name: impl Into<String>) -> Self {
        Self::by(BreakdownBy::ProfileLatest(name.into()))
    }

    /// By bands of money in a currency, between which these amounts lie, in ascending order.
    pub fn value_bands(currency: Currency, edges: impl IntoIterator<Item = Decimal>) -> Self {
        Self::by(BreakdownBy::Value(ValueBands { currency, edges: edges.into_iter().collect() }))
    }

    /// By the journey's first event.
    pub fn first_touch(touch: Touch) -> Self {
        Self::by(BreakdownBy::FirstTouch(touch))
    }

    /// By the last event before the chain began.
    pub fn last_touch(touch: Touch) -> Self {
        Self::by(BreakdownBy::LastTouch(touch))
    }

    /// Sets from which event the value is taken. The default is the chain's first.
    pub fn from(mut self, from: BreakdownFrom) -> Self {
        self.from = from;
        self
    }

    /// Sets how many groups are listed, at most 1,000. The default is 50. The others are counted together.
    pub fn limit(mut self, groups: usize) -> Self {
        self.limit = groups;
        self
    }

    /// Compares two groups by their values, [`PropertyValue::Null`] for that of no value: by how much their rates differ. The
    /// interval and the p-value hold for groups of different customers: with [`BreakdownFrom::Each`], where one may be in both,
    /// it is refused. [Attempts](crate::Count::Attempts) of one customer are not independent of one another, so for them both
    /// say more than is known.
    pub fn compare(mut self, one: impl Into<PropertyValue>, other: impl Into<PropertyValue>) -> Self {
        self.compare = Some((one.into(), other.into()));
        self
    }

    /// Refuses what cannot be asked of a funnel of so many steps.
    pub(super) fn check(&self, steps: usize) -> Result<(), InvalidPlan> {
        let refuse = |at: &str, reason: String| Err(InvalidPlan::new(format!("funnel.breakdown.{at}"), reason));
        match &self.by {
            BreakdownBy::Property(name) => {
                check_name("property", name).map_err(|e| e.within("funnel.breakdown.by"))?;
            }
            BreakdownBy::Profile(name) | BreakdownBy::ProfileLatest(name) => {
                check_name("profile", name).map_err(|e| e.within("funnel.breakdown.by"))?;
            }
            BreakdownBy::Value(bands) => bands.check().map_err(|e| e.within("funnel.breakdown.by.value"))?,
            BreakdownBy::FirstTouch(_) | BreakdownBy::LastTouch(_) if self.from != BreakdownFrom::FirstEvent => {
                return refuse(
                    "from",
                    "a first or last touch is of the journey, not of one of the chain's events".into(),
                );
            }
            _ => {}
        }
        match self.from {
            BreakdownFrom::Step(step) if step == 0 || step > steps => {
                refuse("from", format!("{step} is none of {steps} steps, which are counted from 1"))
            }
            _ if self.limit == 0 || self.limit > LIMIT_GROUPS => {
                refuse("limit", format!("is {}, 1 to {LIMIT_GROUPS} groups can be listed", self.limit))
            }
            _ => Ok(()),
        }
    }
}

impl ValueBands {
    fn check(&self) -> Result<(), InvalidValue> {
        if self.edges.is_empty() || self.edges.len() >= LIMIT_GROUPS {
            return Err(InvalidValue::new(
                "edges",
                format!("has {} amounts, 1 to {} are allowed", self.edges.len(), LIMIT_GROUPS - 1),
            ));
        }
        if !self.edges.is_sorted_by(|a, b| a < b) {
            return Err(InvalidValue::new("edges", "is not in ascending order"));
        }
        self.edges.iter().try_for_each(|edge| Money::from_decimal(*edge, self.currency).map(drop))
    }

    /// How a report calls the band that lies above so many edges.
    pub(super) fn name(&self, edges: usize) -> String {
        let (from, to) = (edges.checked_sub(1).and_then(|from| self.edges.get(from)), self.edges.get(edges));
        match (from, to) {
            (None, Some(to)) => format!("under {to} {}", self.currency),
            (Some(from), Some(to)) => format!("{from} to under {to} {}", self.currency),
            (Some(from), None) => format!("{from} {} and more", self.currency),
            (None, None) => String::new(),
        }
    }
}

impl TryFrom<BandsForm> for ValueBands {
    type Error = InvalidValue;
    fn try_from(form: BandsForm) -> Result<Self, InvalidValue> {
        let BandsForm { currency, edges } = form;
        let amounts = edges.iter().map(|edge| Money::new(edge, currency.as_str()).map(|money| money.amount()));
        Ok(Self { currency, edges: amounts.collect::<Result<_, _>>()? })
    }
}

impl From<ValueBands> for BandsForm {
    fn from(bands: ValueBands) -> Self {
        Self { currency: bands.currency, edges: bands.edges.iter().map(ToString::to_string).collect() }
    }
}

fn groups() -> usize {
    GROUPS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_usual(limit: &usize) -> bool {
    *limit == GROUPS
}

fn is_default(from: &BreakdownFrom) -> bool {
    *from == BreakdownFrom::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        for text in [
            r#"{"by":"channel"}"#,
            r#"{"by":"touchpoint","from":"each","limit":7}"#,
            r#"{"by":{"property":"plan"},"from":{"step":2}}"#,
            r#"{"by":{"value":{"currency":"EUR","edges":["-5","10.00"]}},"from":"first_defined"}"#,
            r#"{"by":{"first_touch":"channel"}}"#,
            r#"{"by":{"profile":"country"},"from":{"step":1}}"#,
            r#"{"by":{"profile_latest":"country"}}"#,
            r#"{"by":{"last_touch":"touchpoint"},"limit":1000}"#,
            r#"{"by":{"property":"plan"},"from":"last_defined"}"#,
        ] {
            let breakdown: Breakdown = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&breakdown).unwrap(), text);
            breakdown.check(2).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let eur = Currency::new("EUR").unwrap();
        let edges = |edges: &[i64]| Breakdown::value_bands(eur, edges.iter().map(|edge| Decimal::from(*edge)));
        for (breakdown, expected) in [
            (Breakdown::property(""), "funnel.breakdown.by.property: is empty"),
            (Breakdown::channel().limit(0), "funnel.breakdown.limit: is 0"),
            (Breakdown::channel().limit(1_001), "funnel.breakdown.limit: is 1001"),
            (Breakdown::channel().from(BreakdownFrom::Step(0)), "funnel.breakdown.from: 0 is none of 2 steps"),
            (Breakdown::channel().from(BreakdownFrom::Step(3)), "funnel.breakdown.from: 3 is none of 2 steps"),
            (
                Breakdown::first_touch(Touch::Channel).from(BreakdownFrom::Each),
                "funnel.breakdown.from: a first or last",
            ),
            (Breakdown::last_touch(Touch::Channel).from(BreakdownFrom::Step(1)), "funnel.breakdown.from: a first or"),
            (edges(&[]), "funnel.breakdown.by.value.edges: has 0 amounts"),
            (edges(&(0..1_000).collect::<Vec<_>>()), "funnel.breakdown.by.value.edges: has 1000 amounts"),
            (edges(&[1, 1]), "funnel.breakdown.by.value.edges: is not in ascending order"),
            (edges(&[1_000_000_000_000_000_000]), "funnel.breakdown.by.value.amount: has more than 18 digits"),
        ] {
            let refused = breakdown.check(2).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn bands_have_names() {
        let eur = Currency::new("EUR").unwrap();
        let bands = ValueBands { currency: eur, edges: vec![Decimal::from(10), Decimal::new(1990, 2)] };
        let names: Vec<String> = (0..3).map(|edges| bands.name(edges)).collect();
        assert_eq!(names, ["under 10 EUR", "10 to under 19.90 EUR", "19.90 EUR and more"]);
    }
}
