//! The keys by which events are told apart, such as their channels, in the order in which they were met.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{AttributionBy, Binder, carried::Carried};
use crate::{
    journey::{ChannelNo, NO_VALUE, Names, TouchpointNo},
    model::Scalar,
};

/// The key of an event, in the numbers of one store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Key {
    Nothing,
    Number(u32),
    Scalar(Scalar),
}

/// What a report calls a key: those without a value come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Scalar(Scalar),
    Nothing,
}

/// A list of keys without repeats.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Key>", into = "Vec<Key>")]
pub(super) struct Keys {
    list: Vec<Key>,
    nothing: Option<u32>,
    numbers: HashMap<u32, u32, RandomState>,
    scalars: HashMap<Scalar, u32, RandomState>,
}

impl AttributionBy {
    /// What an event carries to be told apart by it.
    pub(super) fn carried(&self, binder: &Binder<'_>) -> Carried {
        match self {
            Self::Channel => Carried::Channel,
            Self::Touchpoint => Carried::Touchpoint,
            Self::Property(name) => Carried::Property(binder.names().find_property(name).map(|property| property.0)),
        }
    }
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The place of the key that is carried under a number, which stands for one of these values, if there are any.
    pub(super) fn place(&mut self, carried: u32, by: &AttributionBy, values: &[Scalar]) -> u32 {
        match by {
            _ if carried == NO_VALUE => self.place_of(Key::Nothing),
            AttributionBy::Property(_) => match values.get(carried as usize) {
                Some(scalar) => match self.scalars.get(scalar) {
                    Some(place) => *place,
                    None => self.place_of(Key::Scalar(scalar.clone())),
                },
                None => self.place_of(Key::Nothing),
            },
            _ => match self.numbers.get(&carried) {
                Some(place) => *place,
                None => self.place_of(Key::Number(carried)),
            },
        }
    }

    fn place_of(&mut self, key: Key) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let place = match &key {
            Key::Nothing => *self.nothing.get_or_insert(next),
            Key::Number(number) => *self.numbers.entry(*number).or_insert(next),
            Key::Scalar(scalar) => *self.scalars.entry(scalar.clone()).or_insert(next),
        };
        if place == next {
            self.list.push(key);
        }
        place
    }

    /// Takes in the keys of another list; says where each of them stands here.
    pub(super) fn merge(&mut self, other: Self) -> Vec<u32> {
        other.list.into_iter().map(|key| self.place_of(key)).collect()
    }

    pub(super) fn size(&self) -> usize {
        // A table is full by half to seven eighths, and a text stands there twice.
        let texts = self.scalars.keys().map(|scalar| if let Scalar::Text(text) = scalar { 2 * text.len() } else { 0 });
        self.list.len() * 4 * size_of::<Key>() + texts.sum::<usize>()
    }

    /// What the keys are called, in their order here.
    pub(super) fn names(&self, by: &AttributionBy, names: &Names) -> Vec<Name> {
        let name = |key: &Key| match (key, by) {
            (Key::Nothing, _) => Name::Nothing,
            (Key::Scalar(scalar), _) => Name::Scalar(scalar.clone()),
            (Key::Number(number), AttributionBy::Touchpoint) => {
                Name::Scalar(Scalar::Text(names.touchpoint(TouchpointNo(*number)).to_string()))
            }
            (Key::Number(number), _) => Name::Scalar(Scalar::Text(names.channel(ChannelNo(*number)).to_string())),
        };
        self.list.iter().map(name).collect()
    }
}

impl From<Vec<Key>> for Keys {
    fn from(list: Vec<Key>) -> Self {
        let mut keys = Self::default();
        for key in list {
            keys.place_of(key);
        }
        keys
    }
}

impl From<Keys> for Vec<Key> {
    fn from(keys: Keys) -> Self {
        keys.list
    }
}
