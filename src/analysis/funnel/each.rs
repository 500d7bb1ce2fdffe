//! The common case of one funnel for each value: an ordered funnel without exclusions, few values, and no two matching
//! events of one value that tie. All values are walked at once.

use std::hint::select_unpredictable;

use super::{
    Order,
    chain::{Reached, Rules},
    untied::FEW,
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
    /// Those of values that no event carries are at the beginning.
    list: Vec<OneWalk>,
    /// Bit v: some event carries value v.
    begun: u64,
}

/// The walk of one value.
#[derive(Debug, Clone)]
struct OneWalk {
    before: Micros,
    /// Bit s: the first s steps were taken by some chain.
    ready: u64,
    /// At each level that is ready: the entry of the chain that began last, and how the level was first reached.
    latest: [Micros; FEW],
    reached: [Reached<()>; FEW],
}

impl Default for OneWalk {
    fn default() -> Self {
        let nowhere = || Reached { entry: Micros::MIN, at: Micros::MIN, trail: () };
        Self {
            before: Micros::MIN,
            ready: 0,
            latest: [Micros::MIN; FEW],
            reached: std::array::from_fn(|_| nowhere()),
        }
    }
}

impl OneWalk {
    /// Before the first event. Levels that are not ready are not looked at.
    fn begin(&mut self) {
        (self.before, self.ready) = (Micros::MIN, 0);
    }

    /// Takes in an event; no branch depends on whether it serves.
    #[inline]
    fn take(&mut self, word: u64, at: Micros, enters: bool, window: u64) {
        let mut ready = self.ready & !1 | u64::from(enters);
        // From the last step to the first, so that the event serves one step of a chain only.
        let mut steps = word;
        while steps != 0 {
            let step = 63 - steps.leading_zeros() as usize;
            steps ^= 1 << step;
            // Steps are fewer than levels; the remainder tells the compiler so.
            #[expect(clippy::indexing_slicing, reason = "below the length")]
            let entry = select_unpredictable(step == 0, at, self.latest[step % FEW]);
            // Later moments are never before entries, so the difference fits, taken modulo 2^64.
            let serves = (ready >> step & 1 == 1) & (at.0.wrapping_sub(entry.0).cast_unsigned() <= window);
            #[expect(clippy::indexing_slicing, reason = "below the length")]
            let (latest, reached) = (&mut self.latest[(step + 1) % FEW], &mut self.reached[(step + 1) % FEW]);
            let is_first = serves & (ready >> (step + 1) & 1 == 0);
            reached.entry = select_unpredictable(is_first, entry, reached.entry);
            reached.at = select_unpredictable(is_first, at, reached.at);
            // Entries of a level never go back, so this one is the latest that came further.
            *latest = select_unpredictable(serves, entry, *latest);
            ready |= u64::from(serves) << (step + 1);
        }
        self.ready = ready;
    }

    /// How each level was reached.
    fn reached(&self) -> &[Reached<()>] {
        self.reached.get(1..=(self.ready >> 1).trailing_ones() as usize).unwrap_or_default()
    }

    /// The entry of the latest chain that can go on.
    fn open(&self) -> Option<Micros> {
        self.latest.get(1..=self.reached().len()).and_then(|latest| latest.iter().copied().max())
    }
}

impl Walks {
    /// Takes each value out for which somebody entered: how its levels were reached, and the entry of the latest chain that
    /// can go on, which does not matter once the last step is reached.
    pub(super) fn take(&mut self, mut then: impl FnMut(u32, &[Reached<()>], Option<Micros>)) {
        while let Some(one) = self.list.get_mut(self.begun.trailing_zeros() as usize) {
            let value = self.begun.trailing_zeros();
            self.begun &= self.begun - 1;
            if one.ready > 1 {
                let value = if value as usize == VALUES - 1 { NO_VALUE } else { value };
                then(value, one.reached(), one.open());
            }
            one.begin();
        }
    }

    fn forget(&mut self) {
        self.begun = 0;
        self.list.iter_mut().for_each(OneWalk::begin);
    }
}

impl Rules {
    /// Walks a journey once for each value; false if it takes the general way, from the start.
    pub(super) fn walk_each(&self, events: &Matched<'_>, enters: impl Fn(Micros) -> bool, walks: &mut Walks) -> bool {
        if self.order != Order::Ordered || !self.exclusions.is_empty() || self.steps >= FEW {
            return false;
        }
        if walks.list.is_empty() {
            walks.list.resize_with(VALUES, OneWalk::default);
        }
        let is_done = self.walk_all(events, enters, walks);
        if !is_done {
            walks.forget();
        }
        is_done
    }

    fn walk_all(&self, events: &Matched<'_>, enters: impl Fn(Micros) -> bool, walks: &mut Walks) -> bool {
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        let Some(list) = walks.list.first_chunk_mut::<VALUES>() else { return false };
        let mut begun = 0_u64;
        for ((&at, &word), &carried) in events.times.iter().zip(events.words).zip(events.carried) {
            let place = carried.min(63) as usize;
            // The remainder tells the compiler that there are so many.
            #[expect(clippy::indexing_slicing, reason = "below the length")]
            let one = &mut list[place % VALUES];
            let is_of_another = place == VALUES - 1 && carried != NO_VALUE;
            if one.before == at || is_of_another {
                return false;
            }
            one.before = at;
            begun |= 1 << place;
            // Once the last step is taken nothing counts any more.
            let goes_on = (one.ready >> self.steps & 1).wrapping_sub(1);
            one.take(word & goes_on, at, enters(at), window);
        }
        walks.begun = begun;
        true
    }
}
