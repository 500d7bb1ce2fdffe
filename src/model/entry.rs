//! What is appended to the log: events, links between ids, and what becomes known of a customer.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    Channel, CustomerId, Event, EventBuilder, EventId, Feedback, Micros, Money, PropertyValue, RefusedName, StageName,
    Touchpoint, check_name, only_an_object, touchpoint::Reserved, unique_keys::unique_keys,
};
use crate::error::InvalidValue;

/// In the log a link is an event of the one id whose only property, of this name, is the other. No property that is given
/// can have the name, nor begin as those of profiles do.
pub(crate) const LINKED_TO: &str = "\u{2}to";
pub(crate) const OF_PROFILE: char = '\u{1}';

/// The name under which the log and the index keep a property of a profile.
pub(crate) fn profile_property(name: &str) -> String {
    format!("{OF_PROFILE}{name}")
}

/// One entry of the log.
///
/// In JSON each is one object:
///
/// ```
/// # use journeylog::Entry;
/// let lines = [
///     r#"{"customer":"anon-1","touchpoint":"product_view","channel":"web","occurred_at":"2026-03-01T09:30:00Z"}"#,
///     r#"{"link":{"from":"anon-1","to":"c-42"},"occurred_at":"2026-03-01T09:31:00Z"}"#,
///     r#"{"unlink":{"from":"anon-1","to":"c-42"},"occurred_at":"2026-03-02T12:00:00Z"}"#,
///     r#"{"profile":{"customer":"c-42","set":{"country":"DE"}},"occurred_at":"2026-03-01T09:32:00Z"}"#,
/// ];
/// for line in lines {
///     let entry: Entry = serde_json::from_str(line)?;
///     assert_eq!(serde_json::to_string(&entry)?, line);
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// Something happened.
    Event(Event),
    /// Two ids are one customer.
    Link(Link),
    /// Two ids are not one customer after all.
    Unlink(Link),
    /// Something became known of a customer.
    Profile(ProfileUpdate),
}

/// "These two ids are one customer", and since when that is said; or, as an [`Entry::Unlink`], that they are not.
///
/// Of all that is said of two ids, the latest counts: by `occurred_at`, and at the same moment by sequence. Ids that are linked, also by
/// way of others, are one customer to every question, with one journey of all their events, those before the link too. The
/// customer goes by the id that is linked *to* and from nowhere; if there are several such ids, or none, by the first of
/// them in alphabetical order.
///
/// ```
/// # use journeylog::{Entry, Event, Funnel, Journeys, Link};
/// # use chrono::{DateTime, Utc};
/// # let at = DateTime::<Utc>::UNIX_EPOCH;
/// let journeys = Journeys::of([
///     Entry::try_from(Event::at(at, "anon-1", "view"))?,
///     Event::at(at, "c-42", "pay").try_into()?,
///     Link::at(at, "anon-1", "c-42")?.into(),
/// ])?;
/// let report = journeys.query().run(&Funnel::ordered(["view", "pay"]).build()?)?;
/// assert_eq!((report.entered, report.converted), (1, 1));
/// # Ok::<(), journeylog::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    from: CustomerId,
    to: CustomerId,
    occurred_at: Micros,
}

impl Link {
    /// Links an id to another.
    ///
    /// # Errors
    /// [`InvalidValue`] if one of them is no id, or both are the same.
    pub fn at<A, B>(occurred_at: DateTime<Utc>, from: A, to: B) -> Result<Self, InvalidValue>
    where
        A: TryInto<CustomerId>,
        A::Error: Into<RefusedName>,
        B: TryInto<CustomerId>,
        B::Error: Into<RefusedName>,
    {
        let from = from.try_into().map_err(|error| InvalidValue::from(error.into()))?;
        let to = to.try_into().map_err(|error| InvalidValue::from(error.into()))?;
        Self { from, to, occurred_at: occurred_at.into() }.check()
    }

    fn check(self) -> Result<Self, InvalidValue> {
        if self.from == self.to {
            return Err(InvalidValue::new("link", "links an id to itself"));
        }
        Ok(self)
    }

    /// The id that is linked.
    pub fn from(&self) -> &CustomerId {
        &self.from
    }

    /// The id that it is linked to.
    pub fn to(&self) -> &CustomerId {
        &self.to
    }

    /// Since when it is said. It holds for events before that too.
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at.to_datetime()
    }

    fn into_logged(self, kind: Reserved) -> Event {
        let properties = BTreeMap::from([(LINKED_TO.to_owned(), self.to.as_str().into())]);
        logged(self.from, kind, self.occurred_at, properties)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, occurred_at } = self;
        let mut out = f.debug_struct("Link");
        out.field("from", from).field("to", to).field("occurred_at", &occurred_at.to_string()).finish()
    }
}

/// What became known of a customer apart from events, and since when: properties such as a country or a plan.
///
/// Of each property the latest value counts, by `occurred_at` and at the same moment by sequence; those before it are kept. A
/// [condition](crate::Condition) sees the value at the time of the event that it is tried on, or the latest.
///
/// ```
/// # use journeylog::{ProfileUpdate, Store};
/// # let dir = tempfile::tempdir()?;
/// # let store = Store::open(dir.path().join("shop.journey"))?;
/// # let (march, may) = ("2026-03-01T00:00:00Z".parse()?, "2026-05-01T00:00:00Z".parse()?);
/// store.append(ProfileUpdate::at(march, "c-42").set("country", "DE").set("plan", "free"))?;
/// store.append(ProfileUpdate::at(may, "c-42").set("plan", "pro"))?;
/// let customer = store.customer("c-42")?.unwrap();
/// assert_eq!(customer.profile()?["plan"], "pro".into());
/// assert_eq!(customer.profile_as_of("2026-04-01T00:00:00Z".parse()?)?["plan"], "free".into());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct ProfileUpdate {
    customer: CustomerId,
    set: BTreeMap<String, PropertyValue>,
    occurred_at: Micros,
}

impl ProfileUpdate {
    /// Begins an update. Refused values are reported by [`build`](ProfileUpdateBuilder::build), or by appending it.
    pub fn at<C>(occurred_at: DateTime<Utc>, customer: C) -> ProfileUpdateBuilder
    where
        C: TryInto<CustomerId>,
        C::Error: Into<RefusedName>,
    {
        let customer = customer.try_into().map_err(|error| InvalidValue::from(error.into()));
        ProfileUpdateBuilder(customer.map(|customer| Self {
            customer,
            set: BTreeMap::new(),
            occurred_at: occurred_at.into(),
        }))
    }

    /// Who.
    pub fn customer(&self) -> &CustomerId {
        &self.customer
    }

    /// What is set to what.
    pub fn properties(&self) -> &BTreeMap<String, PropertyValue> {
        &self.set
    }

    /// Since when.
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at.to_datetime()
    }

    /// Properties of profiles have the limits of those of events.
    fn check(self) -> Result<Self, InvalidValue> {
        if self.set.is_empty() {
            return Err(InvalidValue::new("profile.set", "is empty"));
        }
        if let Some(name) =
            self.set.iter().find_map(|(name, value)| matches!(value, PropertyValue::Nested(_)).then_some(name))
        {
            check_name("property name", name)?;
            return Err(InvalidValue::new(
                "profile.set",
                format!("{name}: is an array or object; a profile has texts, numbers, true, false and null"),
            ));
        }
        let Self { customer, set, occurred_at } = self;
        let event = logged(customer, Reserved::Profile, occurred_at, set).check()?;
        Ok(Self { customer: event.customer, set: event.properties, occurred_at })
    }

    fn into_logged(self) -> Event {
        let set = self.set.into_iter().map(|(name, value)| (profile_property(&name), value));
        logged(self.customer, Reserved::Profile, self.occurred_at, set.collect())
    }
}

impl fmt::Debug for ProfileUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { customer, set, occurred_at } = self;
        f.debug_struct("ProfileUpdate")
            .field("customer", customer)
            .field("set", &set.len())
            .field("occurred_at", &occurred_at.to_string())
            .finish()
    }
}

/// A [`ProfileUpdate`] in the making.
#[derive(Debug, Clone)]
#[must_use = "an update is only made by build, or by appending it"]
pub struct ProfileUpdateBuilder(Result<ProfileUpdate, InvalidValue>);

impl ProfileUpdateBuilder {
    /// Sets one property; the last value of a name wins.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<PropertyValue>) -> Self {
        if let Ok(update) = &mut self.0 {
            update.set.insert(name.into(), value.into());
        }
        self
    }

    /// Checks and makes the update.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first value that was refused, if nothing is set, or if it is too large.
    pub fn build(self) -> Result<ProfileUpdate, InvalidValue> {
        self.0.and_then(ProfileUpdate::check)
    }
}

fn logged(
    customer: CustomerId,
    kind: Reserved,
    occurred_at: Micros,
    properties: BTreeMap<String, PropertyValue>,
) -> Event {
    Event {
        id: None,
        customer,
        touchpoint: Touchpoint::reserved(kind),
        channel: Channel::default(),
        occurred_at,
        stage: None,
        value: None,
        feedback: None,
        properties,
    }
}

impl Entry {
    /// The event, if it is one.
    pub fn as_event(&self) -> Option<&Event> {
        if let Self::Event(event) = self { Some(event) } else { None }
    }

    /// The event itself, if it is one.
    pub fn into_event(self) -> Option<Event> {
        if let Self::Event(event) = self { Some(event) } else { None }
    }

    /// Whose it is: of a link the id that is linked to another.
    pub fn customer(&self) -> &CustomerId {
        match self {
            Self::Event(event) => event.customer(),
            Self::Link(link) | Self::Unlink(link) => link.from(),
            Self::Profile(update) => update.customer(),
        }
    }

    /// When it happened, or since when it is said.
    pub fn occurred_at(&self) -> DateTime<Utc> {
        match self {
            Self::Event(event) => event.occurred_at(),
            Self::Link(link) | Self::Unlink(link) => link.occurred_at(),
            Self::Profile(update) => update.occurred_at(),
        }
    }

    /// As the log keeps it: whatever is no event as one at a touchpoint that none can be at.
    pub(crate) fn into_logged(self) -> Event {
        match self {
            Self::Event(event) => event,
            Self::Link(link) => link.into_logged(Reserved::Link),
            Self::Unlink(link) => link.into_logged(Reserved::Unlink),
            Self::Profile(update) => update.into_logged(),
        }
    }

    /// From what the log keeps. What was never written comes as the event it looks like.
    pub(crate) fn of_logged(event: Event) -> Self {
        let Some(kind) = event.touchpoint.as_reserved() else { return Self::Event(event) };
        let occurred_at = event.occurred_at;
        if kind == Reserved::Profile {
            let set = event.properties.into_iter().map(|(name, value)| match name.strip_prefix(OF_PROFILE) {
                Some(plain) => (plain.to_owned(), value),
                None => (name, value),
            });
            return Self::Profile(ProfileUpdate { customer: event.customer, set: set.collect(), occurred_at });
        }
        let Some(to) = event.linked_to().and_then(|to| CustomerId::new(to).ok()) else { return Self::Event(event) };
        let link = Link { from: event.customer, to, occurred_at };
        if kind == Reserved::Link { Self::Link(link) } else { Self::Unlink(link) }
    }
}

impl Event {
    /// Whether it is none, but something else that the log keeps.
    pub(crate) fn is_reserved(&self) -> bool {
        self.touchpoint.as_reserved().is_some()
    }

    /// The other id of a link.
    pub(crate) fn linked_to(&self) -> Option<&str> {
        match self.properties.get(LINKED_TO) {
            Some(PropertyValue::Text(to)) if self.is_reserved() => Some(to),
            _ => None,
        }
    }

    /// All ids that it names.
    pub(crate) fn ids_named(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.customer.as_str()).chain(self.linked_to())
    }
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl From<Link> for Entry {
    fn from(link: Link) -> Self {
        Self::Link(link)
    }
}

impl From<ProfileUpdate> for Entry {
    fn from(update: ProfileUpdate) -> Self {
        Self::Profile(update)
    }
}

impl TryFrom<EventBuilder> for Entry {
    type Error = InvalidValue;
    fn try_from(builder: EventBuilder) -> Result<Self, InvalidValue> {
        builder.build().map(Self::Event)
    }
}

impl TryFrom<ProfileUpdateBuilder> for Entry {
    type Error = InvalidValue;
    fn try_from(builder: ProfileUpdateBuilder) -> Result<Self, InvalidValue> {
        builder.build().map(Self::Profile)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Ids {
    from: CustomerId,
    to: CustomerId,
}

only_an_object!(Ids);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Set {
    customer: CustomerId,
    #[serde(deserialize_with = "unique_keys")]
    set: BTreeMap<String, PropertyValue>,
}

only_an_object!(Set);

/// How what is no event is written.
#[derive(Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Ids>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlink: Option<Ids>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Set>,
    occurred_at: DateTime<Utc>,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let ids = |link: &Link| Some(Ids { from: link.from.clone(), to: link.to.clone() });
        let bare = Written { link: None, unlink: None, profile: None, occurred_at: self.occurred_at() };
        match self {
            Self::Event(event) => event.serialize(out),
            Self::Link(link) => Written { link: ids(link), ..bare }.serialize(out),
            Self::Unlink(link) => Written { unlink: ids(link), ..bare }.serialize(out),
            Self::Profile(ProfileUpdate { customer, set, .. }) => {
                let profile = Some(Set { customer: customer.clone(), set: set.clone() });
                Written { profile, ..bare }.serialize(out)
            }
        }
    }
}

/// How any entry is read: the fields of an event, or one of three and a time.
#[derive(Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    id: Option<EventId>,
    #[serde(default, deserialize_with = "there")]
    customer: Option<CustomerId>,
    #[serde(default, deserialize_with = "there")]
    touchpoint: Option<Touchpoint>,
    #[serde(default, deserialize_with = "there")]
    channel: Option<Channel>,
    #[serde(default, deserialize_with = "time_there")]
    occurred_at: Option<DateTime<Utc>>,
    stage: Option<StageName>,
    value: Option<Money>,
    feedback: Option<Feedback>,
    #[serde(default, deserialize_with = "properties_there")]
    properties: Option<BTreeMap<String, PropertyValue>>,
    #[serde(default, deserialize_with = "there")]
    link: Option<Ids>,
    #[serde(default, deserialize_with = "there")]
    unlink: Option<Ids>,
    #[serde(default, deserialize_with = "there")]
    profile: Option<Set>,
}

only_an_object!(read Form);

/// What is there must be of its type: `null` is not.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

fn properties_there<'de, D: Deserializer<'de>>(input: D) -> Result<Option<BTreeMap<String, PropertyValue>>, D::Error> {
    unique_keys(input).map(Some)
}

fn time_there<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    super::time::read_time(input).map(Some)
}

impl Form {
    /// The first field of an event that is there.
    fn field_of_event(&self) -> Option<&'static str> {
        let Self { id, customer, touchpoint, channel, stage, value, feedback, properties, .. } = self;
        let fields = [
            (id.is_some(), "id"),
            (customer.is_some(), "customer"),
            (touchpoint.is_some(), "touchpoint"),
            (channel.is_some(), "channel"),
            (stage.is_some(), "stage"),
            (value.is_some(), "value"),
            (feedback.is_some(), "feedback"),
            (properties.is_some(), "properties"),
        ];
        fields.into_iter().find(|(is_there, _)| *is_there).map(|(_, name)| name)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let form = <Form as Deserialize>::deserialize(input)?;
        let others = [form.link.is_some(), form.unlink.is_some(), form.profile.is_some()];
        match others.into_iter().filter(|other| *other).count() {
            0 => event::<D>(form),
            1 => statement::<D>(form),
            _ => Err(D::Error::custom("has more than one of link, unlink and profile")),
        }
    }
}

fn event<'de, D: Deserializer<'de>>(form: Form) -> Result<Entry, D::Error> {
    let Form { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties, .. } = form;
    let missing = D::Error::missing_field;
    let event = Event {
        id,
        customer: customer.ok_or_else(|| missing("customer"))?,
        touchpoint: touchpoint.ok_or_else(|| missing("touchpoint"))?,
        channel: channel.unwrap_or_default(),
        occurred_at: occurred_at.ok_or_else(|| missing("occurred_at"))?.into(),
        stage,
        value,
        feedback,
        properties: properties.unwrap_or_default(),
    };
    event.check().map(Entry::Event).map_err(D::Error::custom)
}

/// A link, an unlink or a profile.
fn statement<'de, D: Deserializer<'de>>(form: Form) -> Result<Entry, D::Error> {
    if let Some(field) = form.field_of_event() {
        return Err(D::Error::custom(format!("{field}: is a field of events, and this is a link, unlink or profile")));
    }
    let Form { link, unlink, profile, occurred_at, .. } = form;
    let occurred_at = occurred_at.ok_or_else(|| D::Error::missing_field("occurred_at"))?.into();
    let linked = |Ids { from, to }| Link { from, to, occurred_at }.check();
    let profile =
        profile.map(|Set { customer, set }| ProfileUpdate { customer, set, occurred_at }.check().map(Entry::Profile));
    let entry = link.map(|ids| linked(ids).map(Entry::Link));
    let entry = entry.or_else(|| unlink.map(|ids| linked(ids).map(Entry::Unlink))).or(profile);
    entry.ok_or_else(|| D::Error::missing_field("link"))?.map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Entry, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn what_the_log_keeps_comes_back() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let link = Link::at(at, "anon", "c").unwrap();
        let profile = ProfileUpdate::at(at, "c").set("to", 1).set("country", "DE").build().unwrap();
        let event = Event::at(at, "c", "t").property("to", "x").build().unwrap();
        for entry in [event.into(), link.clone().into(), Entry::Unlink(link), profile.into()] {
            let entry: Entry = entry;
            let logged = entry.clone().into_logged();
            assert_eq!(logged.is_reserved(), entry.as_event().is_none());
            assert_eq!(Entry::of_logged(logged), entry);
            assert_eq!(read(&serde_json::to_string(&entry).unwrap()).unwrap(), entry);
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let cases = [
            (r#"{"link":{"from":"a","to":"a"},"occurred_at":"2026-01-01T00:00:00Z"}"#, "links an id to itself"),
            (r#"{"link":{"from":"a"},"occurred_at":"2026-01-01T00:00:00Z"}"#, "missing field `to`"),
            (r#"{"link":{"from":"a","to":"b"}}"#, "missing field `occurred_at`"),
            (r#"{"link":{"from":"a","to":""},"occurred_at":"2026-01-01T00:00:00Z"}"#, "customer: is empty"),
            (
                r#"{"link":{"from":"a","to":"b"},"customer":"a","occurred_at":"2026-01-01T00:00:00Z"}"#,
                "customer: is a field of events",
            ),
            (
                r#"{"link":{"from":"a","to":"b"},"unlink":{"from":"a","to":"b"},"occurred_at":"2026-01-01T00:00:00Z"}"#,
                "more than one of link, unlink and profile",
            ),
            (r#"{"profile":{"customer":"a","set":{}},"occurred_at":"2026-01-01T00:00:00Z"}"#, "profile.set: is empty"),
            (
                r#"{"profile":{"customer":"a","set":{"":1}},"occurred_at":"2026-01-01T00:00:00Z"}"#,
                "property name: is empty",
            ),
            (r#"{"customer":"a","touchpoint":"t","channel":null,"occurred_at":"2026-01-01T00:00:00Z"}"#, "null"),
            (r#"{"customer":"a"}"#, "missing field `touchpoint`"),
            (r#"{"shop":1}"#, "unknown field `shop`"),
        ];
        for (text, expected) in cases {
            let refusal = read(text).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
        assert!(Link::at(DateTime::UNIX_EPOCH, "", "b").is_err());
        let large = ProfileUpdate::at(DateTime::UNIX_EPOCH, "c").set("p", "x".repeat(20_000)).build();
        assert_eq!(large.unwrap_err().field(), "event");
    }

    #[test]
    fn debug_shows_no_person() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let link = Link::at(at, "anna@example.org", "anna-2").unwrap();
        let profile = ProfileUpdate::at(at, "anna").set("name", "Anna").build().unwrap();
        for text in [format!("{link:?}"), format!("{profile:?}"), format!("{:?}", Entry::Unlink(link))] {
            assert!(!text.to_lowercase().contains("anna"), "{text}");
        }
    }
}
