//! The common case of one funnel for each value: an ordered funnel without exclusions, few values, and no two matching
//! events of one value that tie. All values are walked at once.

use super::{
    Order,
    chain::{Rules, Walk},
    untied::{FEW, Levels},
};
use crate::{
    journey::{Matched, NO_VALUE},
    model::Micros,
};

/// Values have smaller numbers than this; the last place is that of no value.
const VALUES: usize = 64;

/// Where the walks of one journey stand, by the number of the value: room that is used again for the next journey.
#[derive(Debug, Default)]
pub(super) struct Walks {
    list: Vec<OneWalk>,
    /// Bit v: some event carries value v.
    begun: u64,
}

#[derive(Debug)]
struct OneWalk {
    before: Micros,
    /// The bits of the steps that may still be taken.
    steps: u64,
    levels: Levels<FEW>,
    walk: Walk<()>,
}

impl Default for OneWalk {
    fn default() -> Self {
        Self { before: Micros::MIN, steps: u64::MAX, levels: Levels::begin(), walk: Walk::default() }
    }
}

impl OneWalk {
    fn begin(&mut self) {
        (self.before, self.steps, self.levels) = (Micros::MIN, u64::MAX, Levels::begin());
        self.walk.reached.clear();
        (self.walk.first_entry, self.walk.open) = (None, None);
    }
}

impl Walks {
    /// Each value with its walk.
    pub(super) fn of_values(&self) -> impl Iterator<Item = (u32, &Walk<()>)> {
        let mut left = self.begun;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros();
            let one = self.list.get(place as usize)?;
            left &= left - 1;
            Some((if place as usize == VALUES - 1 { NO_VALUE } else { place }, &one.walk))
        })
    }
}

impl Rules {
    /// Walks a journey once for each value; false if they take the general way, from the start.
    pub(super) fn walk_each(&self, events: &Matched<'_>, enters: impl Fn(Micros) -> bool, walks: &mut Walks) -> bool {
        if self.order != Order::Ordered || !self.exclusions.is_empty() || self.steps >= FEW {
            return false;
        }
        if walks.list.is_empty() {
            walks.list.resize_with(VALUES, OneWalk::default);
        }
        walks.begun = 0;
        let window = self.longest();
        for ((&at, &word), &carried) in events.times.iter().zip(events.words).zip(events.carried) {
            let place = if carried == NO_VALUE { VALUES - 1 } else { carried as usize };
            if place == VALUES - 1 && carried != NO_VALUE {
                return false;
            }
            let Some(one) = walks.list.get_mut(place) else { return false };
            if walks.begun >> place & 1 == 0 {
                walks.begun |= 1 << place;
                one.begin();
            }
            if one.before == at {
                return false;
            }
            one.before = at;
            if one.levels.take(word & one.steps, at, enters(at), window, &mut one.walk)
                && one.walk.reached.len() == self.steps
            {
                one.steps = 0;
            }
        }
        let mut left = walks.begun;
        while let Some(one) = walks.list.get_mut(left.trailing_zeros() as usize) {
            left &= left - 1;
            // Whoever converted has no chain that is asked for.
            if one.steps != 0 {
                one.walk.open = one.levels.open(self.steps);
            }
        }
        true
    }
}
