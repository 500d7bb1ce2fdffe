//! JSON objects of which no key stands twice: else the last one would win, and nobody would be told.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use super::{Condition, Segment, SegmentRef};
use crate::error::{InvalidPlan, InvalidValue};

/// Any JSON of which no object has a key twice.
pub(crate) struct UniqueKeys(pub(crate) Value);

impl From<UniqueKeys> for Value {
    fn from(UniqueKeys(value): UniqueKeys) -> Self {
        value
    }
}

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyJson).map(Self)
    }
}

/// Types that are made of a value are read from JSON so.
macro_rules! made_of_unique_keys {
    ($($made:ty, $error:ty;)+) => {
        $(impl TryFrom<$crate::model::UniqueKeys> for $made {
            type Error = $error;

            fn try_from($crate::model::UniqueKeys(value): $crate::model::UniqueKeys) -> Result<Self, $error> {
                value.try_into()
            }
        })+
    };
}
pub(crate) use made_of_unique_keys;

made_of_unique_keys! {
    Condition, InvalidValue;
    Segment, InvalidPlan;
    SegmentRef, InvalidPlan;
}

fn twice<E: Error>(key: &str) -> E {
    E::custom(format_args!("duplicate field `{key}`"))
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueKeys(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(twice(&key));
            }
            values.insert(key, object.next_value::<UniqueKeys>()?.0);
        }
        Ok(Value::Object(values))
    }
}

/// Reads an object of values of one type.
pub(crate) fn unique_keys<'de, V, D>(from: D) -> Result<BTreeMap<String, V>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    from.deserialize_map(ObjectOf(PhantomData))
}

struct ObjectOf<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for ObjectOf<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(twice(&key));
            }
            values.insert(key, object.next_value()?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_is() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x\n",{}],"b":{"a":1},"c":[]}"#;
        assert_eq!(serde_json::from_str::<UniqueKeys>(text).unwrap().0, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"\u0061":3}}]"#] {
            let refused = serde_json::from_str::<UniqueKeys>(text).err().unwrap().to_string();
            assert!(refused.starts_with("duplicate field `a`"), "{refused}");
        }
    }
}
