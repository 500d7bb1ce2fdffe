//! What an event must be like to count: for a funnel's step, a model's rule, a question's filter.

use std::{cmp::Ordering, fmt};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Channel, Currency, Money, PropertyValue, StageName, Survey, Touchpoint, check_name};
use crate::error::InvalidValue;

/// Conditions nest at most this deep.
pub(super) const LIMIT_DEPTH: usize = 32;

pub(super) fn too_deep() -> InvalidValue {
    InvalidValue::new("condition", format!("nests deeper than {LIMIT_DEPTH}"))
}

/// A test of one event.
///
/// ```
/// use journeylog::{Comparison, Condition};
///
/// let condition: Condition = serde_json::from_str(
///     r#"{"touchpoint":"payment","property":"plan","eq":"pro"}"#,
/// )?;
/// assert_eq!(
///     condition,
///     Condition::touchpoint("payment")?.and(Condition::property("plan", Comparison::Eq("pro".into()))),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
/// | form | holds if |
/// |---|---|
/// | `{"touchpoint":"product_view"}` | the event is at that touchpoint |
/// | `{"channel":"email"}` | it came through that channel |
/// | `{"stage":"purchase"}` | it bears that stage, by itself or by the journey model's rules |
/// | `{"property":"plan","eq":"pro"}` | the property compares so: `eq`, `ne`, `lt`, `le`, `gt`, `ge`, `in` (a list), `contains` (text), `exists` (true or false) |
/// | `{"profile":"country","eq":"DE"}` | the property of the customer's [profile](crate::ProfileUpdate) compares so, as it was when the event happened; with `"when":"latest"` as it is in the end. In an object with `property`, comparisons are of that: use `all` |
/// | `{"value":{"currency":"EUR","ge":"10"}}` | its money is in that currency and compares so; `{"value":{"exists":true}}`: it has any |
/// | `{"feedback":{"survey":"nps","ge":9}}` | it answers that survey and compares so; `{"feedback":{"exists":true}}`: it answers any |
/// | `{"any":[..]}`, `{"all":[..]}`, `{"not":..}` | one of them, each of them, not it |
///
/// Several keys in one object must all hold. A nested property counts as missing. A missing property, value or answer compares with nothing: only
/// `{"exists":false}` holds for it. Values of different kinds are not equal and have no order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "super::UniqueKeys", into = "serde_json::Value")]
#[non_exhaustive]
pub enum Condition {
    /// The event is at this touchpoint.
    Touchpoint(Touchpoint),
    /// It came through this channel.
    Channel(Channel),
    /// It bears this stage, by itself or by the journey model's rules.
    Stage(StageName),
    /// A property compares so.
    Property {
        /// The property's name.
        name: String,
        /// How it compares.
        test: Comparison<PropertyValue>,
    },
    /// A property of the customer's profile compares so.
    Profile {
        /// The property's name.
        name: String,
        /// Of when.
        when: ProfileWhen,
        /// How it compares.
        test: Comparison<PropertyValue>,
    },
    /// Its money compares so.
    Value {
        /// The currency it must be in; `None` for any, which only `Exists` can ask.
        currency: Option<Currency>,
        /// How the amount compares.
        test: Comparison<Decimal>,
    },
    /// Its answer to a survey compares so.
    Feedback {
        /// The survey it must answer; `None` for any, which only `Exists` can ask.
        survey: Option<Survey>,
        /// How the score compares.
        test: Comparison<u8>,
    },
    /// Each of them holds. With none, it holds always.
    All(Vec<Condition>),
    /// One of them holds. With none, it never holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// Which value of a profile is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProfileWhen {
    /// The one that held when the event happened: the last that was set up to then, that moment included.
    #[default]
    Then,
    /// The latest that the question sees.
    Latest,
}

/// How a value compares. `Debug` does not show the text that another must hold, since it may name a person.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Comparison<T> {
    /// Equal.
    Eq(T),
    /// There, and not equal.
    Ne(T),
    /// Less.
    Lt(T),
    /// Less or equal.
    Le(T),
    /// Greater.
    Gt(T),
    /// Greater or equal.
    Ge(T),
    /// Equal to one of them.
    In(Vec<T>),
    /// Text that holds this text. Only properties can ask it.
    Contains(String),
    /// There (true) or missing (false).
    Exists(bool),
}

impl<T: fmt::Debug> fmt::Debug for Comparison<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value): (&str, &dyn fmt::Debug) = match self {
            Self::Eq(value) => ("Eq", value),
            Self::Ne(value) => ("Ne", value),
            Self::Lt(value) => ("Lt", value),
            Self::Le(value) => ("Le", value),
            Self::Gt(value) => ("Gt", value),
            Self::Ge(value) => ("Ge", value),
            Self::In(values) => ("In", values),
            Self::Contains(text) => return write!(f, "Contains({} bytes)", text.len()),
            Self::Exists(exists) => ("Exists", exists),
        };
        f.debug_tuple(name).field(value).finish()
    }
}

impl<T> Comparison<T> {
    /// Whether a value compares so, given how two values are ordered and whether the value's text holds another.
    pub(crate) fn holds(&self, order: impl Fn(&T) -> Option<Ordering>, contains: impl Fn(&str) -> bool) -> bool {
        let ordered = |other: &T, wanted: &[Ordering]| order(other).is_some_and(|o| wanted.contains(&o));
        match self {
            Self::Eq(other) => ordered(other, &[Ordering::Equal]),
            Self::Ne(other) => order(other) != Some(Ordering::Equal),
            Self::Lt(other) => ordered(other, &[Ordering::Less]),
            Self::Le(other) => ordered(other, &[Ordering::Less, Ordering::Equal]),
            Self::Gt(other) => ordered(other, &[Ordering::Greater]),
            Self::Ge(other) => ordered(other, &[Ordering::Greater, Ordering::Equal]),
            Self::In(others) => others.iter().any(|other| ordered(other, &[Ordering::Equal])),
            Self::Contains(text) => contains(text),
            Self::Exists(wanted) => *wanted,
        }
    }

    /// The same comparison of something else.
    pub(crate) fn map<U>(&self, to: impl Fn(&T) -> U) -> Comparison<U> {
        match self {
            Self::Eq(v) => Comparison::Eq(to(v)),
            Self::Ne(v) => Comparison::Ne(to(v)),
            Self::Lt(v) => Comparison::Lt(to(v)),
            Self::Le(v) => Comparison::Le(to(v)),
            Self::Gt(v) => Comparison::Gt(to(v)),
            Self::Ge(v) => Comparison::Ge(to(v)),
            Self::In(list) => Comparison::In(list.iter().map(to).collect()),
            Self::Contains(text) => Comparison::Contains(text.clone()),
            Self::Exists(wanted) => Comparison::Exists(*wanted),
        }
    }

    /// What it compares with.
    fn operands(&self) -> &[T] {
        match self {
            Self::Eq(v) | Self::Ne(v) | Self::Lt(v) | Self::Le(v) | Self::Gt(v) | Self::Ge(v) => {
                std::slice::from_ref(v)
            }
            Self::In(list) => list,
            Self::Contains(_) | Self::Exists(_) => &[],
        }
    }

    /// Whether it holds for what is missing.
    pub(crate) fn holds_for_missing(&self) -> bool {
        matches!(self, Self::Exists(false))
    }
}

impl Condition {
    /// The event is at this touchpoint.
    ///
    /// # Errors
    /// [`InvalidValue`] if that is no name of a touchpoint.
    pub fn touchpoint(name: impl AsRef<str>) -> Result<Self, InvalidValue> {
        Touchpoint::new(name).map(Self::Touchpoint)
    }

    /// The event bears this stage.
    ///
    /// # Errors
    /// [`InvalidValue`] if that is no name of a stage.
    pub fn stage(name: impl AsRef<str>) -> Result<Self, InvalidValue> {
        StageName::new(name).map(Self::Stage)
    }

    /// The event came through this channel.
    pub fn channel(channel: Channel) -> Self {
        Self::Channel(channel)
    }

    /// Its money is in this currency, and the amount compares so.
    pub fn value(currency: Currency, test: Comparison<Decimal>) -> Self {
        Self::Value { currency: Some(currency), test }
    }

    /// It answers this survey, and the score compares so.
    pub fn feedback(survey: Survey, test: Comparison<u8>) -> Self {
        Self::Feedback { survey: Some(survey), test }
    }

    /// This does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// A property compares so.
    pub fn property(name: impl Into<String>, test: Comparison<PropertyValue>) -> Self {
        Self::Property { name: name.into(), test }
    }

    /// A property of the customer's profile compares so, as it was when the event happened.
    pub fn profile(name: impl Into<String>, test: Comparison<PropertyValue>) -> Self {
        Self::Profile { name: name.into(), when: ProfileWhen::Then, test }
    }

    /// A property of the customer's profile compares so, as it is in the end.
    pub fn profile_latest(name: impl Into<String>, test: Comparison<PropertyValue>) -> Self {
        Self::Profile { name: name.into(), when: ProfileWhen::Latest, test }
    }

    /// This holds, and the other too.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            first => Self::All(vec![first, other]),
        }
    }

    /// This holds, or the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut any) => {
                any.push(other);
                Self::Any(any)
            }
            first => Self::Any(vec![first, other]),
        }
    }

    /// Refuses what cannot be asked: a nesting too deep, a comparison without a currency, `contains` of a number.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        self.check_at(LIMIT_DEPTH)
    }

    /// Like [`check`](Self::check), for what is asked as a part of another condition.
    pub(crate) fn check_inside(&self) -> Result<(), InvalidValue> {
        self.check_at(LIMIT_DEPTH - 1)
    }

    fn check_at(&self, depth: usize) -> Result<(), InvalidValue> {
        let below = depth.checked_sub(1).ok_or_else(too_deep)?;
        match self {
            Self::All(list) | Self::Any(list) => list.iter().try_for_each(|c| c.check_at(below)),
            Self::Not(inner) => inner.check_at(below),
            Self::Property { name, .. } => check_name("property", name),
            Self::Profile { name, .. } => check_name("profile", name),
            Self::Value { currency: None, test } if !matches!(test, Comparison::Exists(_)) => {
                Err(InvalidValue::new("value", "needs a currency to compare amounts"))
            }
            Self::Feedback { survey: None, test } if !matches!(test, Comparison::Exists(_)) => {
                Err(InvalidValue::new("feedback", "needs a survey (nps, csat or ces) to compare scores"))
            }
            Self::Value { test: Comparison::Contains(_), .. }
            | Self::Feedback { test: Comparison::Contains(_), .. } => {
                Err(InvalidValue::new("contains", "is only asked of properties"))
            }
            Self::Value { currency: Some(currency), test } => {
                test.operands().iter().try_for_each(|amount| Money::from_decimal(*amount, *currency).map(drop))
            }
            _ => Ok(()),
        }
    }

    /// True if it asks for a stage, here or in a part.
    pub(crate) fn asks_stage(&self) -> bool {
        match self {
            Self::Stage(_) => true,
            Self::All(list) | Self::Any(list) => list.iter().any(Self::asks_stage),
            Self::Not(inner) => inner.asks_stage(),
            _ => false,
        }
    }
}

impl From<Touchpoint> for Condition {
    fn from(touchpoint: Touchpoint) -> Self {
        Self::Touchpoint(touchpoint)
    }
}

impl TryFrom<&str> for Condition {
    type Error = InvalidValue;
    /// A text alone is a touchpoint.
    fn try_from(touchpoint: &str) -> Result<Self, InvalidValue> {
        Self::touchpoint(touchpoint)
    }
}

impl From<&Condition> for Condition {
    fn from(condition: &Condition) -> Self {
        condition.clone()
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Comparison<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Eq(v) => write!(f, "= {v}"),
            Self::Ne(v) => write!(f, "≠ {v}"),
            Self::Lt(v) => write!(f, "< {v}"),
            Self::Le(v) => write!(f, "≤ {v}"),
            Self::Gt(v) => write!(f, "> {v}"),
            Self::Ge(v) => write!(f, "≥ {v}"),
            Self::In(list) => {
                f.write_str("in ")?;
                write_joined(f, list, ", ")
            }
            Self::Contains(text) => write!(f, "contains {text}"),
            Self::Exists(true) => f.write_str("exists"),
            Self::Exists(false) => f.write_str("is missing"),
        }
    }
}

fn write_joined<T: std::fmt::Display>(f: &mut std::fmt::Formatter<'_>, list: &[T], between: &str) -> std::fmt::Result {
    list.iter().enumerate().try_for_each(|(i, one)| {
        f.write_str(if i == 0 { "" } else { between })?;
        one.fmt(f)
    })
}

/// The condition in short, as reports name a step.
impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Touchpoint(name) => write!(f, "{name}"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
            Self::Stage(stage) => write!(f, "stage {stage}"),
            Self::Property { name, test } => write!(f, "{name} {test}"),
            Self::Profile { name, when: ProfileWhen::Then, test } => write!(f, "profile {name} {test}"),
            Self::Profile { name, when: ProfileWhen::Latest, test } => write!(f, "latest profile {name} {test}"),
            Self::Value { currency, test } => {
                write!(f, "value {test}")?;
                currency.map_or(Ok(()), |currency| write!(f, " {currency}"))
            }
            Self::Feedback { survey, test } => write!(f, "{} {test}", survey.map_or("feedback", Survey::as_str)),
            Self::All(list) => write_joined(f, list, " and "),
            Self::Any(list) => {
                f.write_str("(")?;
                write_joined(f, list, " or ")?;
                f.write_str(")")
            }
            Self::Not(inner) => write!(f, "not ({inner})"),
        }
    }
}
