//! The chained checksum over all entries of the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::LogEntry;
use crate::model::{Event, PropertyValue};

/// A checksum over all entries up to one: that entry's content hashed with the chain before it as seed. It does not
/// depend on how entries are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Chain(pub(crate) u64);

impl Chain {
    /// The chain after these entries too.
    pub(crate) fn after(self, entries: &[LogEntry]) -> Self {
        let mut bytes = Vec::with_capacity(512);
        entries.iter().fold(self, |chain, entry| chain.after_one(entry, &mut bytes))
    }

    /// The chain after one more entry, whose content is written into these bytes.
    pub(super) fn after_one(self, entry: &LogEntry, bytes: &mut Vec<u8>) -> Self {
        bytes.clear();
        write_alone(entry, bytes);
        Self(xxh3_64_with_seed(bytes, self.0))
    }
}

/// An entry's content, for the chain: each part after its length or a byte that says whether it is there, so that no
/// two entries have the same bytes.
fn write_alone(entry: &LogEntry, bytes: &mut Vec<u8>) {
    fn maybe<T>(part: Option<T>, bytes: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
        bytes.push(u8::from(part.is_some()));
        if let Some(part) = part {
            write(part, bytes);
        }
    }
    // An erased entry has no bytes, which no other has.
    let Some(event) = entry.as_event() else { return };
    let Event { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = event;
    bytes.extend_from_slice(&entry.recorded_at.0.to_le_bytes());
    bytes.extend_from_slice(&occurred_at.0.to_le_bytes());
    for name in [customer.as_str(), touchpoint.as_str(), channel.as_str()] {
        write_text(name, bytes);
    }
    maybe(id.as_ref(), bytes, |id, bytes| write_text(id.as_str(), bytes));
    maybe(stage.as_ref(), bytes, |stage, bytes| write_text(stage.as_str(), bytes));
    maybe(*value, bytes, |money, bytes| {
        bytes.extend_from_slice(&money.amount().mantissa().to_le_bytes());
        bytes.extend_from_slice(&money.amount().scale().to_le_bytes());
        bytes.extend_from_slice(money.currency().as_str().as_bytes());
    });
    maybe(feedback.as_ref(), bytes, |feedback, bytes| {
        bytes.extend_from_slice(&[feedback.survey() as u8, feedback.score()]);
        maybe(feedback.comment(), bytes, write_text);
    });
    bytes.extend_from_slice(&(properties.len() as u64).to_le_bytes());
    for (name, value) in properties {
        write_text(name, bytes);
        write_property(value, bytes);
    }
}

fn write_property(value: &PropertyValue, bytes: &mut Vec<u8>) {
    match value {
        PropertyValue::Text(text) => {
            bytes.push(5);
            write_text(text, bytes);
        }
        PropertyValue::Nested(json) => write_json(json, bytes),
        plain => write_json(&plain.clone().into(), bytes),
    }
}

/// A JSON value, for the chain: keys in order, however the map of this build keeps them.
fn write_json(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(0),
        Value::Bool(b) => bytes.extend_from_slice(&[1, u8::from(*b)]),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => [2].into_iter().chain(n.to_le_bytes()).for_each(|byte| bytes.push(byte)),
            (None, Some(n)) => [3].into_iter().chain(n.to_le_bytes()).for_each(|byte| bytes.push(byte)),
            (None, None) => {
                let float = n.as_f64().unwrap_or_default();
                [4].into_iter().chain(float.to_le_bytes()).for_each(|byte| bytes.push(byte));
            }
        },
        Value::String(text) => {
            bytes.push(5);
            write_text(text, bytes);
        }
        Value::Array(list) => {
            bytes.push(6);
            bytes.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|one| write_json(one, bytes));
        }
        Value::Object(map) => {
            bytes.push(7);
            bytes.extend_from_slice(&(map.len() as u64).to_le_bytes());
            for (key, one) in map.iter().collect::<BTreeMap<_, _>>() {
                write_text(key, bytes);
                write_json(one, bytes);
            }
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
