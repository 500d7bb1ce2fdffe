//! A property's value as something to be told apart, ordered and counted.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::PropertyValue;

/// A boolean, number or text. Numbers are equal if their numeric values are: 1 and 1.0 are one value.
///
/// Booleans come before numbers, and these before texts; each kind is in its own order.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Scalar {
    Bool(bool),
    Number(Exact),
    Text(String),
}

/// A number in the one form that its value has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Exact(Number);

impl Scalar {
    /// Of a property; `None` for null and what is nested, which are no value to count by.
    pub(crate) fn of(value: &PropertyValue) -> Option<Self> {
        match value {
            PropertyValue::Bool(holds) => Some(Self::Bool(*holds)),
            PropertyValue::Number(number) => Some(Self::Number(Exact::of(number))),
            PropertyValue::Text(text) => Some(Self::Text(text.clone())),
            PropertyValue::Null | PropertyValue::Nested(_) => None,
        }
    }
}

// By hand: it may name a person.
impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&PropertyValue::from(self.clone()), f)
    }
}

impl From<Scalar> for PropertyValue {
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::Bool(holds) => Self::Bool(holds),
            Scalar::Number(Exact(number)) => Self::Number(number),
            Scalar::Text(text) => Self::Text(text),
        }
    }
}

impl Exact {
    /// The whole number, if it is one that JSON can say as such; else the float.
    #[expect(clippy::cast_possible_truncation, reason = "a whole float of that size is what it is cast to")]
    fn of(number: &Number) -> Self {
        const SIZE: f64 = 1e30;
        let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < SIZE);
        let whole = float.map(|float| float as i128).and_then(Number::from_i128);
        Self(whole.unwrap_or_else(|| number.clone()))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        super::property::compare_numbers(&self.0, &other.0)
    }
}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal numbers have one form.
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn a_number_has_one_form() {
        let scalar = |text: &str| Scalar::of(&serde_json::from_str(text).unwrap()).unwrap();
        let hasher = foldhash::fast::RandomState::default();
        for (one, other) in
            [("1", "1.0"), ("0", "-0.0"), ("1e3", "1000"), ("18446744073709551615", "18446744073709551615")]
        {
            assert_eq!(scalar(one), scalar(other), "{one} {other}");
            assert_eq!(hasher.hash_one(scalar(one)), hasher.hash_one(scalar(other)), "{one} {other}");
        }
        let order = ["false", "true", "-1e300", "-2", "-1.5", "0", "0.5", "1", "1e300", "\"\"", "\"1\"", "\"a\""];
        for pair in order.windows(2) {
            assert!(scalar(pair[0]) < scalar(pair[1]), "{pair:?}");
        }
        for nothing in ["null", "[1]", "{}"] {
            assert_eq!(Scalar::of(&serde_json::from_str(nothing).unwrap()), None, "{nothing}");
        }
        assert_eq!(PropertyValue::from(scalar("2.0")), PropertyValue::from(2_i64));
    }

    #[test]
    fn it_survives_json() {
        for text in ["1", "0.1", "1e300", "-5", "true", "\"x\""] {
            let scalar = Scalar::of(&serde_json::from_str(text).unwrap()).unwrap();
            let json = serde_json::to_string(&scalar).unwrap();
            assert_eq!(serde_json::from_str::<Scalar>(&json).unwrap(), scalar, "{json}");
        }
    }
}
