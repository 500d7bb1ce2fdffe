//! What an event says about itself beyond the usual fields.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::UniqueKeys;

/// The value of a property.
///
/// Text, numbers, booleans and null can be filtered on. Arrays and objects are kept and handed back.
/// `Debug` shows the kind only, since a property may name a person.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, from = "UniqueKeys")]
#[non_exhaustive]
pub enum PropertyValue {
    /// `null`: known to be nothing. A missing property is no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, compared by its numeric value: 1 and 1.0 are equal.
    Number(Number),
    /// Text, compared byte by byte.
    Text(String),
    /// An array or object.
    Nested(serde_json::Value),
}

impl PropertyValue {
    /// How two values of one kind are ordered; `None` if they are of different kinds or have no order.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Some(compare_numbers(a, b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// True if it nests deeper than `limit` arrays and objects.
    pub(crate) fn is_deeper_than(&self, limit: usize) -> bool {
        fn deeper(value: &serde_json::Value, limit: usize) -> bool {
            let Some(below) = limit.checked_sub(1) else { return value.is_array() || value.is_object() };
            match value {
                serde_json::Value::Array(list) => list.iter().any(|one| deeper(one, below)),
                serde_json::Value::Object(map) => map.values().any(|one| deeper(one, below)),
                _ => false,
            }
        }
        matches!(self, Self::Nested(value) if deeper(value, limit))
    }

    /// The bytes it takes, roughly; for the limit on an event's size.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Number(_) => 9,
            Self::Text(text) => text.len(),
            Self::Nested(value) => value.to_string().len(),
        }
    }
}

/// How two JSON numbers are ordered by their exact numeric value.
pub(super) fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    let float = |n: &Number| n.as_f64().unwrap_or(f64::NAN);
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => compare_whole_with_float(a, float(b)),
        (None, Some(b)) => compare_whole_with_float(b, float(a)).reverse(),
        (None, None) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and a saturated value compares as it should")]
fn compare_whole_with_float(whole: i128, float: f64) -> Ordering {
    whole.cmp(&(float.trunc() as i128)).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

impl fmt::Debug for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::Nested(_) => "nested",
        })
    }
}

/// As a report's heading names it: text as it is, the rest as JSON.
impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => serde_json::Value::from(other.clone()).fmt(f),
        }
    }
}

macro_rules! from_for_property {
    ($($source:ty => $make:expr),* $(,)?) => {
        $(impl From<$source> for PropertyValue {
            fn from(value: $source) -> Self {
                $make(value)
            }
        })*
    };
}
from_for_property! {
    bool => Self::Bool,
    i32 => |v: i32| Self::Number(v.into()),
    i64 => |v: i64| Self::Number(v.into()),
    u32 => |v: u32| Self::Number(v.into()),
    u64 => |v: u64| Self::Number(v.into()),
    &str => |v: &str| Self::Text(v.to_owned()),
    String => Self::Text,
    // A number that JSON cannot say (NaN, infinity) is null, as in serde_json.
    f64 => |v: f64| Number::from_f64(v).map_or(Self::Null, Self::Number),
}

impl From<serde_json::Value> for PropertyValue {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(n) => Self::Number(n),
            serde_json::Value::String(s) => Self::Text(s),
            nested => Self::Nested(nested),
        }
    }
}

impl From<UniqueKeys> for PropertyValue {
    fn from(UniqueKeys(value): UniqueKeys) -> Self {
        value.into()
    }
}

impl From<PropertyValue> for serde_json::Value {
    fn from(value: PropertyValue) -> Self {
        match value {
            PropertyValue::Null => Self::Null,
            PropertyValue::Bool(b) => Self::Bool(b),
            PropertyValue::Number(n) => Self::Number(n),
            PropertyValue::Text(s) => Self::String(s),
            PropertyValue::Nested(nested) => nested,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        let n = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        let cases = [
            ("1", "1.0", Ordering::Equal),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "-1", Ordering::Greater),
            ("18446744073709551615", "1e300", Ordering::Less),
            ("-2", "-1.5", Ordering::Less),
            ("-1", "-1.5", Ordering::Greater),
            ("0.1", "0.2", Ordering::Less),
        ];
        for (a, b, expected) in cases {
            assert_eq!(compare_numbers(&n(a), &n(b)), expected, "{a} {b}");
            assert_eq!(compare_numbers(&n(b), &n(a)), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn kinds_do_not_mix() {
        assert_eq!(PropertyValue::from("1").compare(&PropertyValue::from(1_i64)), None);
        assert_eq!(PropertyValue::from(f64::NAN), PropertyValue::Null);
    }
}
