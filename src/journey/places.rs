//! Places of a list, found by the hash of what stands there.

/// The place of a free slot.
const FREE: u32 = u32::MAX;
/// That of a slot whose place was taken away; whoever looks further goes on after it.
const GONE: u32 = u32::MAX - 1;

/// A table of places in a list. Each stands in the first slot that was free from the one of its hash on, beside 32 bits of
/// the hash: one look at memory finds most, and a growing table looks at nothing but itself.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// A power of two of them, or none; at most three of four are taken.
    slots: Vec<Slot>,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    place: u32,
}

/// The bits of a hash that are kept.
fn kept(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

impl Places {
    /// Room for so many without growing.
    pub(crate) fn with_room_for(count: usize) -> Self {
        let mut places = Self::default();
        places.grow(count.saturating_mul(4).div_ceil(3));
        places
    }

    fn grow(&mut self, slots: usize) {
        let slots = slots.next_power_of_two().max(16);
        let free = Slot { hash: 0, place: FREE };
        let old = std::mem::replace(&mut self.slots, vec![free; slots]);
        old.into_iter().filter(|slot| slot.place < GONE).for_each(|slot| self.settle(slot));
    }

    /// The slot at which a hash begins to look: its uppermost bits, so that slots keep their order when the table grows.
    fn home(&self, hash: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        usize::try_from(u64::from(hash).checked_shl(bits).unwrap_or_default() >> 32).unwrap_or_default()
    }

    fn settle(&mut self, new: Slot) {
        let (mask, mut at) = (self.slots.len().wrapping_sub(1), self.home(new.hash));
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.place == FREE {
                *slot = new;
                return;
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// The place of that hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = kept(hash);
        let (mask, mut at) = (self.slots.len().wrapping_sub(1), self.home(hash));
        loop {
            let slot = self.slots.get(at).filter(|slot| slot.place != FREE)?;
            if slot.hash == hash && slot.place != GONE && is_it(slot.place) {
                return Some(slot.place);
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// For each hash a place that may be the one, or none of the list. No step waits for the one before: what takes time in
    /// a large table is waiting for memory.
    pub(crate) fn guesses(&self, hashes: &[u64]) -> Vec<u32> {
        let free = Slot { hash: 0, place: FREE };
        let first = |hash: &u64| self.slots.get(self.home(kept(*hash))).copied().unwrap_or(free);
        let slots: Vec<Slot> = hashes.iter().map(first).collect();
        let guess = |(slot, hash): (Slot, &u64)| {
            if slot.hash == kept(*hash) { slot.place } else { self.find(*hash, |_| true).unwrap_or(FREE) }
        };
        slots.into_iter().zip(hashes).map(guess).collect()
    }

    /// Takes a place away.
    pub(crate) fn remove(&mut self, hash: u64, place: u32) {
        let (mask, mut at) = (self.slots.len().wrapping_sub(1), self.home(kept(hash)));
        while let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.place != FREE) {
            if slot.place == place {
                slot.place = GONE;
                return;
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// Adds a place that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, place: u32) {
        self.taken += 1;
        if self.taken > self.slots.len() / 4 * 3 {
            self.grow(self.slots.len() * 2);
        }
        self.settle(Slot { hash: kept(hash), place });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_found_also_where_hashes_are_alike() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut hashes = vec![0, u64::MAX, 1 << 32, 1 << 32, 1 << 32, u64::MAX];
        hashes.extend(std::iter::repeat_with(|| random.u64(..)).take(5_000));
        for mut places in [Places::default(), Places::with_room_for(hashes.len())] {
            assert_eq!(places.find(7, |_| true), None);
            for (place, hash) in (0..).zip(&hashes) {
                assert_eq!(places.find(*hash, |found| found == place), None);
                places.insert(*hash, place);
            }
            for (place, hash) in (0..).zip(&hashes) {
                assert_eq!(places.find(*hash, |found| found == place), Some(place));
            }
            for (place, hash) in (0..).zip(&hashes).step_by(2) {
                places.remove(*hash, place);
            }
            for (place, hash) in (0..).zip(&hashes) {
                assert_eq!(places.find(*hash, |found| found == place), Some(place).filter(|place| place % 2 == 1));
            }
            for (place, hash) in (0..).zip(&hashes).step_by(2) {
                places.insert(*hash, place);
            }
            for (place, (guess, hash)) in (0..).zip(places.guesses(&hashes).into_iter().zip(&hashes)) {
                assert!(guess == place || hashes[guess as usize] >> 32 == hash >> 32);
            }
        }
    }
}
