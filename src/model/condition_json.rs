//! The JSON form of a condition: read with errors that name the key, written in the same form.

use serde_json::{Map, Value, json};

use super::condition::{LIMIT_DEPTH, too_deep};
use super::{
    Channel, Comparison, Condition, Currency, Money, ProfileWhen, PropertyValue, StageName, Survey, Touchpoint,
};
use crate::error::InvalidValue;

/// The keys of a condition, in the order in which several in one object are named again.
const ORDER: [&str; 8] = ["touchpoint", "channel", "stage", "value", "feedback", "any", "all", "not"];
const COMPARISONS: [&str; 9] = ["eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "exists"];
const KEYS: &str = "touchpoint, channel, stage, property or profile (with eq, ne, lt, le, gt, ge, in, contains, exists), value, feedback, any, all, not";

type Refused<T> = Result<T, InvalidValue>;

impl TryFrom<Value> for Condition {
    type Error = InvalidValue;

    fn try_from(value: Value) -> Refused<Self> {
        let condition = read(value, LIMIT_DEPTH)?;
        condition.check()?;
        Ok(condition)
    }
}

/// Reads a condition that nests at most so deep: a value made by hand has no limit of its own.
fn read(value: Value, depth: usize) -> Refused<Condition> {
    let below = depth.checked_sub(1).ok_or_else(too_deep)?;
    let Value::Object(mut object) = value else {
        return Err(InvalidValue::new("condition", format!("is not an object with keys among {KEYS}")));
    };
    let tests = take_tests(&mut object);
    let (property, profile) = (object.remove("property"), object.remove("profile"));
    let when = object.remove("when").map(|value| profile_when(&value)).transpose()?;
    let mut all = Vec::new();
    for key in ORDER {
        let Some(value) = object.remove(key) else { continue };
        all.push(match key {
            "touchpoint" => Condition::Touchpoint(Touchpoint::new(text(key, &value)?)?),
            "channel" => Condition::Channel(Channel::new(text(key, &value)?)?),
            "stage" => Condition::Stage(StageName::new(text(key, &value)?)?),
            "value" => read_value(value)?,
            "feedback" => read_feedback(value)?,
            "any" => Condition::Any(list(key, value, below)?),
            "all" => Condition::All(list(key, value, below)?),
            _ => Condition::Not(Box::new(read(value, below).map_err(|e| e.within("not"))?)),
        });
    }
    if let Some(key) = object.keys().next() {
        return Err(InvalidValue::new(key, format!("is an unknown key; expected {KEYS}")));
    }
    if profile.is_none() && when.is_some() {
        return Err(InvalidValue::new("when", "is of a profile: name the one it is for"));
    }
    let (key, name) = match (property, profile) {
        (Some(_), Some(_)) => return Err(InvalidValue::new("profile", "and property in one object: use all")),
        (Some(name), None) => ("property", Some(name)),
        (None, name) => ("profile", name),
    };
    match name {
        Some(name) => {
            let name = text(key, &name)?;
            if tests.is_empty() {
                return Err(InvalidValue::new(key, format!("needs a comparison: {}", COMPARISONS.join(", "))));
            }
            for (comparison_key, value) in tests {
                let test = comparison(&comparison_key, value, |v| Ok(PropertyValue::from(v)))?;
                let name = name.clone();
                all.push(match key {
                    "property" => Condition::Property { name, test },
                    _ => Condition::Profile { name, when: when.unwrap_or_default(), test },
                });
            }
        }
        None => {
            if let Some((key, _)) = tests.first() {
                return Err(InvalidValue::new(key, "compares nothing: name the property it is for"));
            }
        }
    }
    match all.len() {
        0 => Err(InvalidValue::new("condition", format!("is empty; expected {KEYS}"))),
        1 => Ok(all.remove(0)),
        _ => Ok(Condition::All(all)),
    }
}

fn profile_when(value: &Value) -> Refused<ProfileWhen> {
    match text("when", value)?.as_str() {
        "then" => Ok(ProfileWhen::Then),
        "latest" => Ok(ProfileWhen::Latest),
        _ => Err(InvalidValue::new("when", "is neither then nor latest")),
    }
}

fn take_tests(object: &mut Map<String, Value>) -> Vec<(String, Value)> {
    COMPARISONS.iter().filter_map(|key| object.remove_entry(*key)).collect()
}

fn text(key: &str, value: &Value) -> Refused<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| InvalidValue::new(key, "is not a text"))
}

fn list(key: &str, value: Value, depth: usize) -> Refused<Vec<Condition>> {
    let Value::Array(items) = value else {
        return Err(InvalidValue::new(key, "is not a list of conditions"));
    };
    items
        .into_iter()
        .enumerate()
        .map(|(i, item)| read(item, depth).map_err(|e| e.within(&format!("{key}[{i}]"))))
        .collect()
}

fn comparison<T>(key: &str, value: Value, read: impl Fn(Value) -> Refused<T>) -> Refused<Comparison<T>> {
    let one = |value| read(value).map_err(|e| InvalidValue::new(key, e.reason()));
    Ok(match key {
        "eq" => Comparison::Eq(one(value)?),
        "ne" => Comparison::Ne(one(value)?),
        "lt" => Comparison::Lt(one(value)?),
        "le" => Comparison::Le(one(value)?),
        "gt" => Comparison::Gt(one(value)?),
        "ge" => Comparison::Ge(one(value)?),
        "in" => match value {
            Value::Array(items) => Comparison::In(items.into_iter().map(one).collect::<Refused<_>>()?),
            _ => return Err(InvalidValue::new(key, "is not a list")),
        },
        "contains" => Comparison::Contains(text(key, &value)?),
        _ => Comparison::Exists(value.as_bool().ok_or_else(|| InvalidValue::new(key, "is neither true nor false"))?),
    })
}

/// Reads the object of comparisons behind `value` or `feedback`; `unit` is the key that says of what.
fn read_compared<U, T>(
    outer: &'static str,
    value: Value,
    unit: &'static str,
    read_unit: impl Fn(String) -> Refused<U>,
    read_one: impl Fn(Value) -> Refused<T>,
    make: impl Fn(Option<U>, Comparison<T>) -> Condition,
) -> Refused<Condition>
where
    U: Clone,
{
    let Value::Object(mut object) = value else {
        return Err(InvalidValue::new(outer, format!("is not an object of {unit} and comparisons")));
    };
    let tests = take_tests(&mut object);
    let named =
        object.remove(unit).map(|v| text(unit, &v).and_then(&read_unit)).transpose().map_err(|e| e.within(outer))?;
    if let Some(key) = object.keys().next() {
        let reason = format!("is an unknown key; expected {unit} or {}", COMPARISONS.join(", "));
        return Err(InvalidValue::new(key, reason).within(outer));
    }
    let mut all = tests
        .into_iter()
        .map(|(key, value)| comparison(&key, value, &read_one).map(|test| make(named.clone(), test)))
        .collect::<Refused<Vec<_>>>()
        .map_err(|e| e.within(outer))?;
    match all.len() {
        0 => Err(InvalidValue::new(outer, format!("needs a comparison: {}", COMPARISONS.join(", ")))),
        1 => Ok(all.remove(0)),
        _ => Ok(Condition::All(all)),
    }
}

fn read_value(value: Value) -> Refused<Condition> {
    let amount = |v: Value| {
        let digits = match v {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(InvalidValue::new("amount", "is not a decimal number")),
        };
        Money::new(&digits, "XXX").map(|money| money.amount())
    };
    read_compared("value", value, "currency", Currency::new, amount, |currency, test| Condition::Value {
        currency,
        test,
    })
}

fn read_feedback(value: Value) -> Refused<Condition> {
    let survey = |name: String| {
        let found = Survey::ALL.into_iter().find(|survey| survey.as_str() == name);
        found.ok_or_else(|| InvalidValue::new("survey", "is none of nps, csat and ces"))
    };
    let score = |v: Value| {
        let number = v.as_u64().and_then(|n| u8::try_from(n).ok());
        number.ok_or_else(|| InvalidValue::new("score", "is not a whole number from 0 to 255"))
    };
    read_compared("feedback", value, "survey", survey, score, |survey, test| Condition::Feedback { survey, test })
}

impl From<Condition> for Value {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Touchpoint(name) => json!({"touchpoint": name}),
            Condition::Channel(name) => json!({"channel": name}),
            Condition::Stage(name) => json!({"stage": name}),
            Condition::Property { name, test } => {
                let (key, value) = written(test, Self::from);
                json!({"property": name, key: value})
            }
            Condition::Profile { name, when, test } => {
                let (key, value) = written(test, Self::from);
                match when {
                    ProfileWhen::Then => json!({"profile": name, key: value}),
                    ProfileWhen::Latest => json!({"profile": name, "when": "latest", key: value}),
                }
            }
            Condition::Value { currency, test } => {
                let (key, value) = written(test, |amount| Self::from(amount.to_string()));
                json!({"value": compared("currency", currency.map(String::from), key, value)})
            }
            Condition::Feedback { survey, test } => {
                let (key, value) = written(test, Self::from);
                json!({"feedback": compared("survey", survey.map(|s| s.as_str().to_owned()), key, value)})
            }
            Condition::All(list) => json!({"all": list}),
            Condition::Any(list) => json!({"any": list}),
            Condition::Not(inner) => json!({"not": *inner}),
        }
    }
}

fn compared(unit: &str, named: Option<String>, key: &str, value: Value) -> Value {
    let mut object = Map::new();
    if let Some(name) = named {
        object.insert(unit.to_owned(), name.into());
    }
    object.insert(key.to_owned(), value);
    Value::Object(object)
}

fn written<T>(test: Comparison<T>, one: impl Fn(T) -> Value) -> (&'static str, Value) {
    match test {
        Comparison::Eq(v) => ("eq", one(v)),
        Comparison::Ne(v) => ("ne", one(v)),
        Comparison::Lt(v) => ("lt", one(v)),
        Comparison::Le(v) => ("le", one(v)),
        Comparison::Gt(v) => ("gt", one(v)),
        Comparison::Ge(v) => ("ge", one(v)),
        Comparison::In(list) => ("in", list.into_iter().map(one).collect()),
        Comparison::Contains(text) => ("contains", text.into()),
        Comparison::Exists(wanted) => ("exists", wanted.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Refused<Condition> {
        serde_json::from_str::<Value>(text).unwrap().try_into()
    }

    #[test]
    fn each_form_is_itself_again() {
        for text in [
            r#"{"touchpoint":"a"}"#,
            r#"{"channel":"email"}"#,
            r#"{"stage":"purchase"}"#,
            r#"{"property":"plan","eq":null}"#,
            r#"{"property":"plan","in":["a",1,true]}"#,
            r#"{"property":"plan","contains":"x"}"#,
            r#"{"value":{"currency":"EUR","ge":"10.50"}}"#,
            r#"{"value":{"exists":true}}"#,
            r#"{"feedback":{"survey":"nps","lt":7}}"#,
            r#"{"any":[{"touchpoint":"a"},{"not":{"all":[{"channel":"web"},{"touchpoint":"b"}]}}]}"#,
        ] {
            let read = condition(text).unwrap();
            assert_eq!(Value::from(read), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn several_keys_are_all_of_them() {
        let several = condition(r#"{"touchpoint":"a","property":"p","ge":1,"lt":5}"#).unwrap();
        assert!(matches!(several, Condition::All(list) if list.len() == 3));
    }

    #[test]
    fn refusals_say_what_and_where() {
        for (text, expected) in [
            ("{}", "is empty"),
            ("[]", "is not an object"),
            (r#"{"touchpiont":"a"}"#, "touchpiont: is an unknown key"),
            (r#"{"any":[{"touchpoint":"a"},{"x":1}]}"#, "any[1].x"),
            (r#"{"property":"p"}"#, "property: needs a comparison"),
            (r#"{"eq":1}"#, "eq: compares nothing"),
            (r#"{"value":{"ge":"1"}}"#, "needs a currency"),
            (r#"{"value":{"currency":"EUR","ge":"x"}}"#, "value.ge"),
            (r#"{"feedback":{"survey":"nps","eq":-1}}"#, "feedback.eq"),
            (r#"{"feedback":{"survey":"smile","eq":1}}"#, "feedback.survey"),
            (r#"{"touchpoint":""}"#, "touchpoint: is empty"),
        ] {
            let refused = condition(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }

    /// The text of a condition has a limit of its own, which a value made by hand has not: reading it to its end would
    /// take all of a thread's stack.
    #[test]
    fn a_value_made_by_hand_nests_no_deeper() {
        let not = |inner| Value::Object([("not".to_owned(), inner)].into_iter().collect());
        let deep = (0..1_500).fold(json!({"touchpoint": "a"}), |inner, _| not(inner));
        assert!(Condition::try_from(deep).unwrap_err().to_string().contains("nests deeper than 32"));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |n: usize| format!("{}{}{}", r#"{"not":"#.repeat(n), r#"{"touchpoint":"a"}"#, "}".repeat(n));
        assert!(condition(&nested(31)).is_ok());
        assert!(condition(&nested(32)).unwrap_err().to_string().contains("nests deeper than 32"));
    }
}
