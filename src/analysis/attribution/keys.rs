//! The keys of touches that occur, and the moves between them, in the order in which they were met.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{AttributionBy, plan::LIMIT_MARKOV_ORDER};
use crate::{
    journey::{ChannelNo, NO_VALUE, Names, TouchpointNo},
    model::Scalar,
};

/// The key of a touch, in the numbers of one store.
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

/// The last touches of a journey by the places of their keys, the latest first; behind them [`NONE`].
pub(super) type Last = [u32; LIMIT_MARKOV_ORDER as usize];

/// No touch.
pub(super) const NONE: u32 = u32::MAX;
/// Before the first touch.
pub(super) const START: Last = [NONE; LIMIT_MARKOV_ORDER as usize];
/// In the place of a touch: the journey converts.
pub(super) const CONVERSION: u32 = u32::MAX - 1;
/// In the place of a touch: the journey ends in vain.
pub(super) const NULL: u32 = u32::MAX - 2;

/// The last touches after one more, in a chain that remembers so many.
pub(super) fn after(mut last: Last, touch: u32, order: usize) -> Last {
    last.rotate_right(1);
    last.iter_mut().take(1).for_each(|latest| *latest = touch);
    last.iter_mut().skip(order).for_each(|older| *older = NONE);
    last
}

/// A move of a chain, and how many journeys make it, each counted as often as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Move {
    pub(super) from: Last,
    pub(super) to: u32,
    pub(super) count: u64,
}

/// A list of moves without repeats.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Move>", into = "Vec<Move>")]
pub(super) struct Moves {
    list: Vec<Move>,
    places: HashMap<(Last, u32), usize, RandomState>,
}

impl Moves {
    pub(super) fn add(&mut self, Move { from, to, count }: Move) {
        let next = self.list.len();
        let place = *self.places.entry((from, to)).or_insert(next);
        match self.list.get_mut(place) {
            Some(known) => known.count += count,
            None => self.list.push(Move { from, to, count }),
        }
    }

    /// Adds a journey over touches to its end, in a chain of that order.
    pub(super) fn add_journey(&mut self, order: usize, touches: impl Iterator<Item = u32>, end: u32) {
        let mut from = START;
        for to in touches {
            self.add(Move { from, to, count: 1 });
            from = after(from, to, order);
        }
        self.add(Move { from, to: end, count: 1 });
    }

    /// Takes in other moves, between keys that stand at these places here.
    pub(super) fn merge(&mut self, other: Self, here: &[u32]) {
        other.list.into_iter().for_each(|one| self.add(one.moved(here)));
    }

    pub(super) fn size(&self) -> usize {
        self.list.len() * (size_of::<Move>() + 2 * size_of::<((Last, u32), usize)>())
    }

    /// The moves with keys at other places, in order.
    pub(super) fn in_order(&self, ranks: &[u32]) -> Vec<Move> {
        let mut moves: Vec<Move> = self.list.iter().map(|one| one.moved(ranks)).collect();
        moves.sort_unstable();
        moves
    }
}

impl Move {
    fn moved(self, places: &[u32]) -> Self {
        // What is no key stands behind all of them, and stays.
        let place = |key: u32| places.get(key as usize).copied().unwrap_or(key);
        Self { from: self.from.map(place), to: place(self.to), count: self.count }
    }
}

impl From<Vec<Move>> for Moves {
    fn from(list: Vec<Move>) -> Self {
        let mut moves = Self::default();
        list.into_iter().for_each(|one| moves.add(one));
        moves
    }
}

impl From<Moves> for Vec<Move> {
    fn from(moves: Moves) -> Self {
        moves.list
    }
}
