//! The moves between the keys of touches, in the order in which they were met.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::plan::LIMIT_MARKOV_ORDER;

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

    /// Adds the journeys to conversions of one customer, each over the touches from one place up to another, with these keys.
    pub(super) fn add_converting(&mut self, order: usize, keys: &[u32], journeys: &[(usize, usize)]) {
        // How many more journeys make the move to a touch than that to the one before, where it is not among their first ones
        // and so begins at the same last touches in all of them.
        let mut passes = vec![0_i64; keys.len() + 1];
        for &(first, end) in journeys.iter().filter(|(first, end)| first < end) {
            let touches = keys.get(first..end).unwrap_or_default();
            let mut from = START;
            for &to in touches.iter().take(order) {
                self.add(Move { from, to, count: 1 });
                from = after(from, to, order);
            }
            if touches.len() > order {
                passes.get_mut(first + order).into_iter().for_each(|more| *more += 1);
                passes.get_mut(end).into_iter().for_each(|more| *more -= 1);
                from = touches.iter().skip(touches.len() - order).fold(START, |from, to| after(from, *to, order));
            }
            self.add(Move { from, to: CONVERSION, count: 1 });
        }
        let (mut from, mut passing) = (START, 0);
        for (&to, more) in keys.iter().zip(passes) {
            passing += more;
            if let Some(count) = u64::try_from(passing).ok().filter(|count| *count > 0) {
                self.add(Move { from, to, count });
            }
            from = after(from, to, order);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journeys_together_make_the_moves_of_each() {
        let mut random = fastrand::Rng::with_seed(2);
        for round in 0..200 {
            let keys: Vec<u32> = (0..random.usize(0..20)).map(|_| random.u32(0..4)).collect();
            let journey = |random: &mut fastrand::Rng| {
                let end = random.usize(0..=keys.len());
                (random.usize(0..=end), end)
            };
            let journeys: Vec<(usize, usize)> = (0..random.usize(0..9)).map(|_| journey(&mut random)).collect();
            for order in 1..=3 {
                let (mut together, mut each) = (Moves::default(), Moves::default());
                together.add_converting(order, &keys, &journeys);
                for &(first, end) in journeys.iter().filter(|(first, end)| first < end) {
                    each.add_journey(order, keys[first..end].iter().copied(), CONVERSION);
                }
                assert_eq!(together.in_order(&[]), each.in_order(&[]), "round {round}");
            }
        }
    }
}
