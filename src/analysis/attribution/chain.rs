//! Absorbing Markov chains: what share of journeys converts if all that touch a key come to nothing.

use std::ops::Range;

use super::moves::{CONVERSION, Last, Move, NULL, START, after};
use crate::error::{ErrorKind, Result};

/// Chains of at most so many states are eliminated where sweeps do not end soon; larger ones are only swept.
const DIRECT_STATES: usize = 1_024;
/// Eliminating so many states to the third takes several times as long as one step of a sweep.
const SOON: u64 = 32;
/// A chain is swept for at most so many steps, each a move of a few keys.
const LIMIT_STEPS: u64 = 10_000_000_000;
/// So many keys are removed at once in a sweep.
const LANES: usize = 8;

/// A chain over the last touches of journeys.
#[derive(Debug)]
pub(super) struct Chain {
    /// The key of each state's latest touch; ascending.
    keys: Vec<u32>,
    /// Start, then each state.
    rows: Vec<Row>,
    /// Journeys that convert, of all: what the chain converts too, as each move of theirs is in it.
    converting: f64,
}

/// The moves from a state, each with its probability.
#[derive(Debug, Clone, Default)]
struct Row {
    conversion: f64,
    null: f64,
    /// To other states and this one, by their places.
    states: Vec<(usize, f64)>,
}

impl Chain {
    /// Of the moves of a chain of that order, sorted, between keys that are numbered from 0.
    pub(super) fn of(moves: &[Move], order: usize) -> Self {
        let mut states: Vec<Last> = moves.iter().map(|one| one.from).filter(|from| *from != START).collect();
        states.dedup();
        // The start stands behind all others.
        let mut rows = vec![Row::default(); states.len() + 1];
        let mut ends = (0, 0);
        for of_state in moves.chunk_by(|one, other| one.from == other.from) {
            let Some(from) = of_state.first().map(|one| one.from) else { continue };
            let row = if from == START { Some(0) } else { states.binary_search(&from).ok().map(|place| place + 1) };
            let Some(row) = row.and_then(|row| rows.get_mut(row)) else { continue };
            let all = of_state.iter().map(|one| one.count).sum::<u64>() as f64;
            for one in of_state {
                let share = one.count as f64 / all;
                match one.to {
                    CONVERSION => (row.conversion, ends.0) = (share, ends.0 + one.count),
                    NULL => (row.null, ends.1) = (share, ends.1 + one.count),
                    key => row.states.extend(states.binary_search(&after(from, key, order)).ok().map(|to| (to, share))),
                }
            }
        }
        let keys = states.iter().filter_map(|state| state.first().copied()).collect();
        let converting = if ends.0 == 0 { 0.0 } else { ends.0 as f64 / (ends.0 + ends.1) as f64 };
        Self { keys, rows, converting }
    }

    /// The removal effect of each of so many keys: the share of conversions that is lost without it.
    pub(super) fn removal_effects(&self, keys: usize) -> Result<Vec<f64>> {
        if self.converting == 0.0 {
            return Ok(vec![0.0; keys]);
        }
        let states = self.keys.len() as u64;
        let without = if self.keys.len() > DIRECT_STATES {
            self.by_sweeps(keys, LIMIT_STEPS)?
        } else {
            // Chains that remember several touches have few moves from each state, and are swept much sooner.
            self.by_sweeps(keys, states.pow(3) / SOON).unwrap_or_else(|_| self.by_elimination(keys))
        };
        Ok(without.into_iter().map(|converting| (1.0 - converting / self.converting).clamp(0.0, 1.0)).collect())
    }

    /// The share of journeys that converts without each key: by elimination.
    fn by_elimination(&self, keys: usize) -> Vec<f64> {
        // A key that no state has changes nothing.
        let mut without = vec![self.converting; keys];
        let width = self.keys.len() + OTHERS;
        let mut cells = Vec::with_capacity(width * self.rows.len());
        for row in &self.rows {
            let mut dense = vec![0.0; width];
            dense.iter_mut().zip([row.conversion, row.null]).for_each(|(cell, share)| *cell = share);
            for (to, share) in &row.states {
                dense.get_mut(to + OTHERS).into_iter().for_each(|cell| *cell = *share);
            }
            cells.extend(dense);
        }
        let mut distinct = self.keys.clone();
        distinct.dedup();
        Censored { keys: self.keys.clone(), cells }.without_each(&distinct, &mut without);
        without
    }

    /// The same by sweeps over the moves, several keys at a time: from 0 on the shares only rise, and they are found when none
    /// of them changes.
    fn by_sweeps(&self, keys: usize, limit: u64) -> Result<Vec<f64>> {
        let mut without = vec![self.converting; keys];
        let moves = self.rows.iter().map(|row| row.states.len() as u64 + 1).sum::<u64>();
        let mut steps = 0;
        for (first, found) in (0..).step_by(LANES).zip(without.chunks_mut(LANES)) {
            let mut shares = vec![[0.0; LANES]; self.keys.len()];
            loop {
                steps += moves;
                if steps > limit {
                    let what = "steps of solving a Markov chain (ask fewer keys, a lower order, or other models)";
                    return Err(ErrorKind::Limit { what, found: steps, limit }.into());
                }
                if !self.sweep(first, &mut shares) {
                    break;
                }
            }
            let start = self.rows.first().map_or([0.0; LANES], |row| row.converting(&shares, None));
            found.iter_mut().zip(start).for_each(|(found, share)| *found = share);
        }
        Ok(without)
    }

    /// Works out each state's shares anew; says whether any has changed.
    fn sweep(&self, first: u32, shares: &mut [[f64; LANES]]) -> bool {
        let mut changes = false;
        for (place, (key, row)) in self.keys.iter().zip(self.rows.iter().skip(1)).enumerate() {
            let mut converting = row.converting(shares, Some(place));
            let lane = key.checked_sub(first).and_then(|lane| converting.get_mut(lane as usize));
            lane.into_iter().for_each(|removed| *removed = 0.0);
            if let Some(known) = shares.get_mut(place) {
                // They only rise.
                changes |= known.iter().zip(&converting).any(|(known, converting)| known < converting);
                *known = converting;
            }
        }
        changes
    }
}

impl Row {
    /// What share converts in each lane, by the shares of the other states. Staying in the state itself only takes longer.
    fn converting(&self, shares: &[[f64; LANES]], own: Option<usize>) -> [f64; LANES] {
        let mut sums = [self.conversion; LANES];
        let mut leaving = self.conversion + self.null;
        for (to, share) in self.states.iter().filter(|(to, _)| Some(*to) != own) {
            leaving += share;
            let Some(there) = shares.get(*to) else { continue };
            sums.iter_mut().zip(there).for_each(|(sum, there)| *sum += share * there);
        }
        if leaving > 0.0 { sums.map(|sum| sum / leaving) } else { sums }
    }
}

/// A chain in which some states have been passed over: the moves from start and each state that is left to conversion, to null
/// and to these states.
#[derive(Debug)]
struct Censored {
    /// Of each state that is left.
    keys: Vec<u32>,
    /// Row by row.
    cells: Vec<f64>,
}

/// Columns in front of those of the states.
const OTHERS: usize = 2;

impl Censored {
    /// For each of some keys what share converts from the start before any state of that key: what is in the corner when the
    /// states of all others are passed over. Halves are passed over together, so that most of the work is done once.
    fn without_each(&self, keys: &[u32], without: &mut [f64]) {
        if let [key] = keys {
            let corner = self.cells.first().copied().unwrap_or_default();
            without.get_mut(*key as usize).into_iter().for_each(|share| *share = corner);
            return;
        }
        let (near, far) = keys.split_at(keys.len() / 2);
        for half in [near, far] {
            if let (Some(first), Some(last)) = (half.first(), half.last()) {
                self.keeping(*first..*last + 1).without_each(half, without);
            }
        }
    }

    /// The chain with the states of some keys alone: all others are eliminated, without a subtraction.
    fn keeping(&self, kept: Range<u32>) -> Self {
        let width = self.keys.len() + OTHERS;
        // Those that go come last.
        let (stay, go): (Vec<usize>, Vec<usize>) =
            (0..self.keys.len()).partition(|state| self.keys.get(*state).is_some_and(|key| kept.contains(key)));
        let order: Vec<usize> = stay.iter().chain(&go).copied().collect();
        let mut cells = Vec::with_capacity(self.cells.len());
        for row in std::iter::once(0).chain(order.iter().map(|state| state + 1)) {
            let cell = |column: usize| self.cells.get(row * width + column).copied().unwrap_or_default();
            cells.extend((0..OTHERS).map(cell));
            cells.extend(order.iter().map(|state| cell(state + OTHERS)));
        }
        for state in (stay.len()..order.len()).rev() {
            let (before, own) = cells.split_at_mut((state + 1) * width);
            let left = state + OTHERS;
            let own = own.get_mut(..left).unwrap_or_default();
            let leaving: f64 = own.iter().sum();
            if leaving > 0.0 {
                own.iter_mut().for_each(|share| *share /= leaving);
            }
            for row in before.chunks_exact_mut(width) {
                let through = row.get(left).copied().unwrap_or_default();
                if through > 0.0 {
                    row.iter_mut().zip(&*own).for_each(|(cell, share)| *cell += through * share);
                }
            }
        }
        let left = stay.len() + OTHERS;
        let rows = cells.chunks_exact(width).take(stay.len() + 1);
        Self {
            keys: stay.iter().filter_map(|state| self.keys.get(*state).copied()).collect(),
            cells: rows.flat_map(|row| row.iter().take(left).copied()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::moves::{Moves, START, after},
        *,
    };

    /// A chain of random journeys over so many keys, some of them more frequent and some repeated.
    fn random_chain(random: &mut fastrand::Rng, keys: u32, journeys: u32, order: usize) -> Chain {
        let mut moves = Moves::default();
        for _ in 0..journeys {
            let length = 1 + random.u32(..random.clone().u32(1..9));
            let mut touches = Vec::new();
            for _ in 0..length {
                let again = touches.last().copied().filter(|_| random.u8(..4) == 0);
                touches.push(again.unwrap_or_else(|| random.u32(..=random.clone().u32(..keys))));
            }
            let end = if random.u8(..3) == 0 { CONVERSION } else { NULL };
            moves.add_journey(order, touches.into_iter(), end);
        }
        Chain::of(&moves.in_order(&(0..keys).collect::<Vec<_>>()), order)
    }

    #[test]
    fn elimination_and_sweeps_find_the_same() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..100 {
            let keys = random.u32(1..12);
            let journeys = random.u32(1..60);
            let chain = random_chain(&mut random, keys, journeys, 1 + round % 3);
            let (one, other) =
                (chain.by_elimination(keys as usize), chain.by_sweeps(keys as usize, LIMIT_STEPS).unwrap());
            for (key, (one, other)) in one.iter().zip(&other).enumerate() {
                assert!((one - other).abs() < 1e-13, "round {round}, key {key}: {one} is not {other}");
            }
        }
        // One that is swept soon.
        let chain = random_chain(&mut random, 5, 5_000, 3);
        let states = chain.keys.len() as u64;
        let (one, other) = (chain.by_elimination(5), chain.by_sweeps(5, states.pow(3) / SOON).unwrap());
        assert!(states > 100 && one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-13));
    }

    /// Of journeys that nearly never end, nothing is lost by rounding: each of a thousand moves stays on, and one in a thousand
    /// goes on to conversion or null. Half of what begins converts, and all of it by `b`.
    #[test]
    fn journeys_that_hardly_end_are_solved_too() {
        let long = 1_000_000;
        let one = |from: [u32; 3], to, count| Move { from, to, count };
        let (a, b) = (after(START, 0, 1), after(START, 1, 1));
        let mut moves = vec![
            one(START, 0, 2),
            one(a, 0, long),
            one(a, 1, 1),
            one(a, NULL, 1),
            one(b, 1, long),
            one(b, CONVERSION, 1),
        ];
        moves.sort_unstable();
        let chain = Chain::of(&moves, 1);
        for without in [chain.by_elimination(2), chain.by_sweeps(2, LIMIT_STEPS).unwrap()] {
            assert!(without.iter().all(|converting| *converting == 0.0), "{without:?}");
        }
        assert_eq!(chain.removal_effects(2).unwrap(), [1.0, 1.0]);
        assert_eq!(chain.removal_effects(3).unwrap(), [1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_chain_that_takes_too_long_is_refused() {
        let chain = random_chain(&mut fastrand::Rng::with_seed(1), 20, 200, 1);
        let refused = chain.by_sweeps(20, 1_000).unwrap_err();
        assert!(refused.is_limit() && refused.to_string().contains("is over the limit of 1000"), "{refused}");
        let page = include_str!("../../../docs/limits.md");
        assert!(refused.to_string().split(": ").next().is_some_and(|what| page.contains(what)), "{refused}");
    }

    #[test]
    fn nobody_converts() {
        let mut moves = Moves::default();
        moves.add_journey(1, [0, 0].into_iter(), NULL);
        assert_eq!(Chain::of(&moves.in_order(&[0]), 1).removal_effects(1).unwrap(), [0.0]);
        assert_eq!(Chain::of(&[], 1).removal_effects(0).unwrap(), [0.0; 0]);
    }
}
