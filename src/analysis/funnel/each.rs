//! The common case of one funnel for each value: an ordered funnel without exclusions, few values, and no two matching
//! events of one value that tie. All values are walked at once.

use std::hint::select_unpredictable;

use super::{
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
#[derive(Debug)]
pub(super) struct Walks {
    /// The moment of the latest event, of whatever journey.
    before: [Micros; VALUES],
    /// Bit s: the first s steps were taken by some chain.
    ready: [u64; VALUES],
    levels: Vec<Levels>,
    /// Bit v: for value v the first step was taken.
    entered: u64,
    /// One more than the largest place that was ever used.
    used: usize,
}

/// The levels of one value, as far as they are ready.
#[derive(Debug, Clone)]
struct Levels {
    /// The entry of the chain that began last.
    latest: [Micros; FEW],
    /// How the level was first reached.
    reached: [Reached<()>; FEW],
}

impl Default for Walks {
    fn default() -> Self {
        Self { before: [Micros::MIN; VALUES], ready: [0; VALUES], levels: Vec::new(), entered: 0, used: 0 }
    }
}

impl Default for Levels {
    fn default() -> Self {
        let nowhere = |_| Reached { entry: Micros::MIN, at: Micros::MIN, trail: () };
        Self { latest: [Micros::MIN; FEW], reached: std::array::from_fn(nowhere) }
    }
}

impl Levels {
    /// Takes in an event, and says what is ready then; no branch depends on whether it serves.
    #[inline]
    fn take(&mut self, mut ready: u64, word: u64, at: Micros, window: u64) -> u64 {
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
            #[expect(clippy::needless_bitwise_bool, reason = "no branch may depend on the event")]
            let is_first = serves & (ready >> (step + 1) & 1 == 0);
            reached.entry = select_unpredictable(is_first, entry, reached.entry);
            reached.at = select_unpredictable(is_first, at, reached.at);
            // Entries of a level never go back, so this one is the latest that came further.
            *latest = select_unpredictable(serves, entry, *latest);
            ready |= u64::from(serves) << (step + 1);
        }
        ready
    }
}

impl Walks {
    /// Each value for which somebody entered: how its levels were reached, and the entry of the latest chain that can go
    /// on, which does not matter once the last step is reached.
    pub(super) fn entered(&self) -> impl Iterator<Item = (u32, &[Reached<()>], Option<Micros>)> {
        let mut left = self.entered;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            let (ready, levels) = (self.ready.get(place)?, self.levels.get(place)?);
            left &= left - 1;
            let count = (ready >> 1).trailing_ones() as usize;
            let reached = levels.reached.get(1..=count).unwrap_or_default();
            // Whatever chain went further also took the first step.
            let open = levels.latest.get(1).copied();
            let value = u32::try_from(place).ok().filter(|_| place < VALUES - 1).unwrap_or(NO_VALUE);
            Some((value, reached, open))
        })
    }

    /// Before the first event.
    fn begin(&mut self) {
        self.ready.iter_mut().take(self.used).for_each(|ready| *ready = 0);
        self.entered = 0;
        if self.levels.is_empty() {
            self.levels.resize_with(VALUES, Levels::default);
        }
    }
}

impl Rules {
    /// Walks a journey once for each value; false if it takes the general way, from the start.
    pub(super) fn walk_each(&self, events: &Matched<'_>, enters: impl Fn(Micros) -> bool, walks: &mut Walks) -> bool {
        if !self.is_plain() || self.steps >= FEW {
            return false;
        }
        walks.begin();
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        let Walks { before, ready, levels, entered, used } = walks;
        let Some(levels) = levels.first_chunk_mut::<VALUES>() else { return false };
        let (mut any, mut last_place, mut latest) = (0_u64, 0, Micros::MIN);
        let mut is_done = true;
        for ((&at, &word), &carried) in events.times.iter().zip(events.words).zip(events.carried) {
            let place = carried.min(63) as usize;
            last_place = last_place.max(place);
            // The remainder tells the compiler that there are so many.
            #[expect(clippy::indexing_slicing, reason = "below the length")]
            let (before, ready, levels) =
                (&mut before[place % VALUES], &mut ready[place % VALUES], &mut levels[place % VALUES]);
            let is_of_another = place == VALUES - 1 && carried != NO_VALUE;
            // Events of two values may tie; if one of this value might, the general way is taken.
            if is_of_another || latest == at && *before == at {
                is_done = false;
                break;
            }
            (latest, *before) = (at, at);
            // Once the last step is taken nothing counts any more.
            let goes_on = (*ready >> self.steps & 1).wrapping_sub(1);
            *ready = levels.take(*ready & !1 | u64::from(enters(at)), word & goes_on, at, window);
            any |= u64::from(*ready > 1) << place;
        }
        *entered = any;
        *used = (*used).max(last_place + 1);
        is_done
    }
}
