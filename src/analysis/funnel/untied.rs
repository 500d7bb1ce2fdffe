//! The common case in few steps: an ordered funnel without exclusions over a journey in which no two matching events tie.

use super::{
    LIMIT_STEPS, Order,
    chain::{Reached, Rules, Walk},
};
use crate::model::Micros;

impl Rules {
    /// Walks a journey; false if it takes the general way, from the start. At each level the chain that began last is
    /// kept, and an event serves steps from the last to the first, so that it serves one step of a chain only.
    pub(super) fn walk_untied(
        &self,
        times: &[Micros],
        words: &[u64],
        enters: impl Fn(Micros) -> bool,
        walk: &mut Walk<()>,
    ) -> bool {
        let is_simple = self.order == Order::Ordered && self.exclusions.is_empty();
        if !is_simple || times.iter().zip(times.iter().skip(1)).any(|(a, b)| a == b) {
            return false;
        }
        let enters = |at: Micros, word: u64| word & 1 == 1 && enters(at);
        let Some(first) = times.iter().zip(words).position(|(&at, &word)| enters(at, word)) else { return true };
        let events = || times.iter().zip(words).skip(first);
        // Bit s: a chain may take its event of step s (from 0) next.
        let mut ready = 0_u64;
        let mut entries = [Micros::MIN; LIMIT_STEPS];
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        let since = |entry: Micros, at: Micros| at.0.wrapping_sub(entry.0).cast_unsigned();
        for (&at, &word) in events() {
            let mut steps = word & ready;
            while steps != 0 {
                let step = 63 - steps.leading_zeros() as usize;
                steps ^= 1 << step;
                let entry = entries.get(step).copied().unwrap_or(at);
                if since(entry, at) > window {
                    ready ^= 1 << step;
                    continue;
                }
                if walk.reached.len() <= step {
                    walk.reached.push(Reached { entry, at, trail: () });
                    if walk.reached.len() == self.steps {
                        return true;
                    }
                }
                if let Some(there) = entries.get_mut(step + 1) {
                    // Entries of a level never go back, so this one is the latest that came further.
                    *there = entry;
                    ready |= 1 << (step + 1);
                }
            }
            // An entry begins a chain, the latest of all.
            let [_, second, ..] = &mut entries;
            let begins = enters(at, word);
            *second = if begins { at } else { *second };
            ready |= u64::from(begins) << 1;
            if walk.reached.is_empty() {
                walk.first_entry = Some(at);
                walk.reached.push(Reached { entry: at, at, trail: () });
                if self.steps == 1 {
                    return true;
                }
            }
        }
        let open = |step: usize| entries.get(step).copied().filter(|_| ready >> step & 1 == 1);
        walk.open = (1..self.steps).filter_map(open).max();
        true
    }
}
