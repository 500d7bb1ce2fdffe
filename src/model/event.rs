//! One thing that happened.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Channel, CustomerId, Feedback, Micros, Money, PropertyValue, StageName, Touchpoint, check_name, name::name_type,
    only_an_object,
};
use crate::error::InvalidValue;

/// The most properties an event may have.
pub const LIMIT_PROPERTIES: usize = 256;
/// Arrays and objects in a property nest at most this deep.
const LIMIT_NESTING: usize = 32;
/// The most bytes an event may take: all its texts, and a little for each field.
pub const LIMIT_EVENT_BYTES: usize = 16 * 1024;

name_type!(
    /// The source's own key of an event. A second event with the id of an earlier one is a duplicate and is not stored.
    ///
    /// 1 to 255 bytes of UTF-8 without control characters. `Debug` does not show it, since it may name a person.
    EventId,
    "id"
);

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({} bytes)", self.as_str().len())
    }
}

/// One thing that happened: a customer met the business at a touchpoint, through a channel, at a time.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use journeylog::{Channel, Event, Money};
///
/// let when = Utc.with_ymd_and_hms(2026, 3, 1, 9, 30, 0).unwrap();
/// let event = Event::at(when, "c-42", "payment")
///     .channel(Channel::PointOfSale)
///     .value(Money::new("19.90", "EUR")?)
///     .property("campaign", "spring")
///     .build()?;
/// assert_eq!(event.touchpoint().as_str(), "payment");
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
///
/// In JSON it is one object; `customer`, `touchpoint` and `occurred_at` are required, the channel is `web` if left out,
/// and an unknown key is an error.
///
/// ```
/// let line = r#"{"id":"e-1","customer":"c-42","touchpoint":"product_view","channel":"web","occurred_at":"2026-03-01T09:30:00.250Z","stage":"consideration","value":{"amount":"19.90","currency":"EUR"},"feedback":{"nps":9},"properties":{"campaign":"spring"}}"#;
/// let event: journeylog::Event = serde_json::from_str(line)?;
/// assert_eq!(serde_json::to_string(&event)?, line);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EventForm", into = "EventForm")]
pub struct Event {
    pub(crate) id: Option<EventId>,
    pub(crate) customer: CustomerId,
    pub(crate) touchpoint: Touchpoint,
    pub(crate) channel: Channel,
    pub(crate) occurred_at: Micros,
    pub(crate) stage: Option<StageName>,
    pub(crate) value: Option<Money>,
    pub(crate) feedback: Option<Feedback>,
    pub(crate) properties: BTreeMap<String, PropertyValue>,
}

impl Event {
    /// Begins an event from what every event has. Refused values are reported by [`build`](EventBuilder::build).
    pub fn at<C, T>(occurred_at: DateTime<Utc>, customer: C, touchpoint: T) -> EventBuilder
    where
        C: TryInto<CustomerId>,
        C::Error: Into<RefusedName>,
        T: TryInto<Touchpoint>,
        T::Error: Into<RefusedName>,
    {
        let customer = customer.try_into().map_err(|e| e.into().0);
        let touchpoint = touchpoint.try_into().map_err(|e| e.into().0);
        EventBuilder(customer.and_then(|customer| {
            Ok(Self {
                id: None,
                customer,
                touchpoint: touchpoint?,
                channel: Channel::default(),
                occurred_at: occurred_at.into(),
                stage: None,
                value: None,
                feedback: None,
                properties: BTreeMap::new(),
            })
        }))
    }

    /// The source's own key.
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// Who.
    pub fn customer(&self) -> &CustomerId {
        &self.customer
    }

    /// Where they met.
    pub fn touchpoint(&self) -> &Touchpoint {
        &self.touchpoint
    }

    /// Through what.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// When, by the source's clock, to the microsecond.
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at.to_datetime()
    }

    /// The stage the source itself gave. It wins over a model's rules.
    pub fn stage(&self) -> Option<&StageName> {
        self.stage.as_ref()
    }

    /// Money.
    pub fn value(&self) -> Option<Money> {
        self.value
    }

    /// An answer to a survey.
    pub fn feedback(&self) -> Option<&Feedback> {
        self.feedback.as_ref()
    }

    /// What it says of itself beyond these.
    pub fn properties(&self) -> &BTreeMap<String, PropertyValue> {
        &self.properties
    }

    /// The bytes it takes, as its limit counts them.
    pub(crate) fn size(&self) -> usize {
        let text = |t: Option<&str>| t.map_or(0, str::len);
        let properties: usize = self.properties.iter().map(|(name, value)| name.len() + value.size() + 8).sum();
        64 + text(self.id().map(EventId::as_str))
            + self.customer.as_str().len()
            + self.touchpoint.as_str().len()
            + self.channel.as_str().len()
            + text(self.stage().map(StageName::as_str))
            + text(self.feedback().and_then(Feedback::comment))
            + properties
    }

    pub(super) fn check(self) -> Result<Self, InvalidValue> {
        if self.properties.len() > LIMIT_PROPERTIES {
            let reason = format!("has {} entries, the limit is {LIMIT_PROPERTIES}", self.properties.len());
            return Err(InvalidValue::new("properties", reason));
        }
        for (name, value) in &self.properties {
            check_name("property name", name)?;
            if value.is_deeper_than(LIMIT_NESTING) {
                return Err(InvalidValue::new("properties", format!("nests deeper than {LIMIT_NESTING}")));
            }
        }
        if self.size() > LIMIT_EVENT_BYTES {
            let reason = format!("takes {} bytes, the limit is {LIMIT_EVENT_BYTES}", self.size());
            return Err(InvalidValue::new("event", reason));
        }
        Ok(self)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = self;
        f.debug_struct("Event")
            .field("id", id)
            .field("customer", customer)
            .field("touchpoint", touchpoint)
            .field("channel", channel)
            .field("occurred_at", &occurred_at.to_string())
            .field("stage", stage)
            .field("value", &value.is_some())
            .field("feedback", &feedback.is_some())
            .field("properties", &properties.len())
            .finish()
    }
}

/// The refusal of a name, whichever way it was given. Users do not name this type.
#[derive(Debug)]
pub struct RefusedName(InvalidValue);

impl From<InvalidValue> for RefusedName {
    fn from(refused: InvalidValue) -> Self {
        Self(refused)
    }
}

impl From<RefusedName> for InvalidValue {
    fn from(refused: RefusedName) -> Self {
        refused.0
    }
}

impl From<std::convert::Infallible> for RefusedName {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// An event in the making; see [`Event::at`]. A store's `append` takes it as it is and reports what was refused.
#[derive(Debug, Clone)]
#[must_use = "an event is only made by build, or by appending it"]
pub struct EventBuilder(Result<Event, InvalidValue>);

impl EventBuilder {
    fn with(mut self, set: impl FnOnce(&mut Event) -> Result<(), InvalidValue>) -> Self {
        if let Ok(event) = &mut self.0
            && let Err(refused) = set(event)
        {
            self.0 = Err(refused);
        }
        self
    }

    /// Sets the source's own key, by which a repeated event is known.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.with(|event| {
            event.id = Some(EventId::new(id)?);
            Ok(())
        })
    }

    /// Sets the channel. The default is [`Channel::Web`].
    pub fn channel(self, channel: Channel) -> Self {
        self.with(|event| {
            event.channel = channel;
            Ok(())
        })
    }

    /// Sets the stage that the source itself knows.
    pub fn stage(self, stage: impl AsRef<str>) -> Self {
        self.with(|event| {
            event.stage = Some(StageName::new(stage)?);
            Ok(())
        })
    }

    /// Sets the money.
    pub fn value(self, value: Money) -> Self {
        self.with(|event| {
            event.value = Some(value);
            Ok(())
        })
    }

    /// Sets the answer to a survey.
    pub fn feedback(self, feedback: Feedback) -> Self {
        self.with(|event| {
            event.feedback = Some(feedback);
            Ok(())
        })
    }

    /// Sets one property; the last value of a name wins.
    pub fn property(self, name: impl Into<String>, value: impl Into<PropertyValue>) -> Self {
        self.with(|event| {
            event.properties.insert(name.into(), value.into());
            Ok(())
        })
    }

    /// Checks and makes the event.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first value that was refused, or if the event is too large.
    pub fn build(self) -> Result<Event, InvalidValue> {
        self.0.and_then(Event::check)
    }
}

impl TryFrom<EventBuilder> for Event {
    type Error = InvalidValue;
    fn try_from(builder: EventBuilder) -> Result<Self, InvalidValue> {
        builder.build()
    }
}

impl From<Event> for EventBuilder {
    fn from(event: Event) -> Self {
        Self(Ok(event))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct EventForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    customer: CustomerId,
    touchpoint: Touchpoint,
    #[serde(default)]
    channel: Channel,
    #[serde(deserialize_with = "super::time::read_time")]
    occurred_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<StageName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feedback: Option<Feedback>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::unique_keys::unique_keys")]
    properties: BTreeMap<String, PropertyValue>,
}

only_an_object!(EventForm);

impl TryFrom<EventForm> for Event {
    type Error = InvalidValue;
    fn try_from(form: EventForm) -> Result<Self, InvalidValue> {
        let EventForm { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = form;
        let occurred_at = occurred_at.into();
        Self { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties }.check()
    }
}

impl From<Event> for EventForm {
    fn from(event: Event) -> Self {
        let Event { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = event;
        let occurred_at = occurred_at.to_datetime();
        Self { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Result<Event, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_least_event() {
        let event = read(r#"{"customer":"a","touchpoint":"t","occurred_at":"1950-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(event.channel(), &Channel::Web);
        assert!(event.occurred_at.0 < 0);
    }

    #[test]
    fn a_refusal_names_the_field() {
        let cases = [
            (r#"{"touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z"}"#, "customer"),
            (r#"{"customer":"","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z"}"#, "customer: is empty"),
            (
                r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","shop":1}"#,
                "unknown field `shop`",
            ),
            (r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-13-01T00:00:00Z"}"#, "RFC 3339"),
            (
                r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","properties":{"p":1,"p":2}}"#,
                "duplicate field `p`",
            ),
            (
                r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","properties":{"p":{"q":1,"q":1}}}"#,
                "duplicate field `q`",
            ),
            (
                r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","feedback":{"nps":11}}"#,
                "feedback.nps",
            ),
        ];
        for (text, expected) in cases {
            let refusal = read(text).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn every_time_that_chrono_holds_survives_json() {
        for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::UNIX_EPOCH] {
            let event = Event::at(moment, "a", "t").build().unwrap();
            let again = read(&serde_json::to_string(&event).unwrap()).unwrap();
            assert_eq!(again, event);
        }
        let after_the_end = r#"{"customer":"a","touchpoint":"t","occurred_at":"+262142-12-31T23:59:60.999Z"}"#;
        let event = read(after_the_end).unwrap();
        assert_eq!(read(&serde_json::to_string(&event).unwrap()).unwrap(), event);
    }

    #[test]
    fn limits_at_the_edge() {
        let event = |n: usize| {
            (0..n).fold(Event::at(DateTime::UNIX_EPOCH, "a", "t"), |e, i| e.property(format!("p{i}"), i as i64))
        };
        assert!(event(LIMIT_PROPERTIES).build().is_ok());
        assert_eq!(event(LIMIT_PROPERTIES + 1).build().unwrap_err().field(), "properties");
        let long = |n: usize| Event::at(DateTime::UNIX_EPOCH, "a", "t").property("p", "x".repeat(n)).build();
        let room = LIMIT_EVENT_BYTES - 64 - 2 - 3 - 9;
        assert!(long(room).is_ok());
        assert_eq!(long(room + 1).unwrap_err().field(), "event");
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |n: usize| {
            (0..n).fold(Value::from(1), |inner, i| if i % 2 == 0 { json!([inner]) } else { json!({"a": inner}) })
        };
        let event = |n| Event::at(DateTime::UNIX_EPOCH, "a", "t").property("p", nested(n)).build();
        assert!(event(LIMIT_NESTING).is_ok());
        assert_eq!(event(LIMIT_NESTING + 1).unwrap_err().reason(), "nests deeper than 32");
    }

    #[test]
    fn debug_shows_no_person() {
        let event = Event::at(DateTime::UNIX_EPOCH, "anna@example.org", "t")
            .id("secret-1")
            .property("phone", "0123")
            .build()
            .unwrap();
        let text = format!("{event:?}");
        for secret in ["anna", "secret", "0123"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
