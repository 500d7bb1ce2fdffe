//! A segment, or the name of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Segment, check_name};
use crate::error::InvalidPlan;

/// A segment, or the name under which a store keeps one ([`Store::define_segment`](crate::Store::define_segment)). In JSON an
/// object or a text.
///
/// A name is looked up when the question is asked: in the snapshot that it is asked of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "super::UniqueKeys")]
#[non_exhaustive]
pub enum SegmentRef {
    /// The segment.
    Is(Segment),
    /// Its name.
    Named(String),
}

impl Serialize for SegmentRef {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(segment) => segment.serialize(to),
            Self::Named(name) => name.serialize(to),
        }
    }
}

impl TryFrom<Value> for SegmentRef {
    type Error = InvalidPlan;
    fn try_from(value: Value) -> Result<Self, InvalidPlan> {
        match value {
            Value::String(name) => {
                check_name("segment", &name)?;
                Ok(Self::Named(name))
            }
            value => Segment::try_from(value).map(Self::Is),
        }
    }
}

impl From<Segment> for SegmentRef {
    fn from(segment: Segment) -> Self {
        Self::Is(segment)
    }
}

impl From<&Segment> for SegmentRef {
    fn from(segment: &Segment) -> Self {
        Self::Is(segment.clone())
    }
}

impl From<&str> for SegmentRef {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

/// The segment of a name, or a refusal that says which there are.
pub(crate) fn find_named<'a>(
    at: &str,
    name: &str,
    named: &'a BTreeMap<String, Segment>,
) -> Result<(&'a str, &'a Segment), InvalidPlan> {
    let found = named.get_key_value(name).map(|(name, segment)| (name.as_str(), segment));
    found.ok_or_else(|| {
        /// So many names are told.
        const TOLD: usize = 10;
        let known = named.keys().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = match named.len() {
            0 => "there is none".to_owned(),
            1..=TOLD => format!("there are {known}"),
            all => format!("there are {known} and {} more", all - TOLD),
        };
        InvalidPlan::new(at, format!("no segment is stored under the name {name} ({known})"))
    })
}
