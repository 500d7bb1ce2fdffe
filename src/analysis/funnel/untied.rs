//! The common case in few steps: an ordered funnel without exclusions over a journey in which no two matching events tie.

use std::hint::select_unpredictable;

use super::{
    LIMIT_STEPS,
    chain::{Reached, Rules, Trail, Walk},
};
use crate::model::Micros;

/// Levels are kept in lists of these lengths, both powers of two.
pub(super) const FEW: usize = 8;
const MANY: usize = LIMIT_STEPS.next_power_of_two() * 2;

impl Rules {
    /// Walks a journey; false if it takes the general way, from the start.
    pub(super) fn walk_untied<T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        enters: impl Fn(Micros) -> bool,
        walk: &mut Walk<T>,
    ) -> bool {
        if !self.is_plain() {
            return false;
        }
        match (times, words) {
            // Many journeys have one event that matters.
            (&[at], &[word]) => {
                if word & 1 == 1 && enters(at) {
                    walk.reached.push(Reached { entry: at, at, trail: T::default() });
                    walk.open_until = self.until(1, at, at).filter(|_| self.steps > 1);
                }
                true
            }
            _ if self.steps < FEW => self.walk_levels::<FEW, T>(times, words, enters, walk),
            _ => self.walk_levels::<MANY, T>(times, words, enters, walk),
        }
    }

    /// At each level the entry of the chain that began last is kept; whether an event serves decides no branch.
    fn walk_levels<const LEVELS: usize, T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        enters: impl Fn(Micros) -> bool,
        walk: &mut Walk<T>,
    ) -> bool {
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        // Bit s: the first s steps were taken by some chain, the latest of which began at `entries[s]`.
        let mut ready = 0_u64;
        let mut entries = [Micros::MIN; LEVELS];
        let mut before = Micros::MIN;
        for (place, (&at, &word)) in times.iter().zip(words).enumerate() {
            if before == at {
                return false;
            }
            before = at;
            ready = ready & !1 | u64::from(enters(at));
            // From the last step to the first, so that the event serves one step of a chain only.
            let mut steps = word;
            while steps != 0 {
                let step = 63 - steps.leading_zeros() as usize;
                steps ^= 1 << step;
                // Steps are fewer than levels; the remainder tells the compiler so.
                #[expect(clippy::indexing_slicing, reason = "below the length")]
                let entry = entries[step % LEVELS];
                let entry = select_unpredictable(step == 0, at, entry);
                let serves = (ready >> step & 1 == 1) & (at.0.wrapping_sub(entry.0).cast_unsigned() <= window);
                // Entries of a level never go back, so this one is the latest that came further.
                #[expect(clippy::indexing_slicing, reason = "below the length")]
                let next = &mut entries[(step + 1) % LEVELS];
                *next = select_unpredictable(serves, entry, *next);
                let known = ready;
                ready |= u64::from(serves) << (step + 1);
                if ready != known {
                    walk.reached.push(Reached { entry, at, trail: T::default() });
                    if walk.reached.len() == self.steps {
                        // An event at the same moment might have served too, in a later chain.
                        return times.get(place + 1) != Some(&at);
                    }
                }
            }
        }
        let open = |step: usize| entries.get(step).copied().filter(|_| ready >> step & 1 == 1);
        let latest = (1..self.steps).filter_map(open).max();
        walk.open_until = latest.and_then(|entry| self.until(1, entry, entry));
        true
    }
}
