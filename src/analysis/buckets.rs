//! Lengths of time counted in buckets, each as wide as a fixed share of what lies in it.

use serde::{Deserialize, Serialize};

/// A bucket's ends differ by at most one part in so many: that many buckets for each doubling.
pub(super) const PER_DOUBLING: usize = 1024;
/// So many lengths wait until all of them are counted. One by one each would wait for its bucket to come from memory, and those
/// of many cells would drive one another's buckets out of the caches.
const AT_ONCE: usize = 4096;

/// How many lengths lie in each bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub(super) struct Buckets {
    /// A list for each doubling, empty if all its buckets are.
    doublings: Vec<Vec<u64>>,
    /// The buckets of lengths that are not counted yet.
    waiting: Vec<u16>,
}

impl Buckets {
    #[inline]
    pub(super) fn add(&mut self, micros: u64) {
        self.waiting.push(bucket(micros));
        if self.waiting.len() >= AT_ONCE {
            self.count_waiting();
        }
    }

    /// Adds many.
    pub(super) fn add_all(&mut self, lengths: impl Iterator<Item = u64>) {
        self.waiting.extend(lengths.map(bucket));
        if self.waiting.len() >= AT_ONCE {
            self.count_waiting();
        }
    }

    fn count_waiting(&mut self) {
        let doublings = &mut self.doublings;
        for bucket in self.waiting.drain(..) {
            let (place, within) = (usize::from(bucket) / PER_DOUBLING, usize::from(bucket) % PER_DOUBLING);
            if let Some(here) = doublings.get_mut(place).and_then(|doubling| doubling.get_mut(within)) {
                *here = here.saturating_add(1);
                continue;
            }
            if doublings.len() <= place {
                doublings.resize(place + 1, Vec::new());
            }
            if let Some(doubling) = doublings.get_mut(place) {
                doubling.resize(PER_DOUBLING, 0);
                doubling.get_mut(within).into_iter().for_each(|here| *here = 1);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let other = Vec::from(other);
        if self.doublings.len() < other.len() {
            self.doublings.resize(other.len(), Vec::new());
        }
        for (here, there) in self.doublings.iter_mut().zip(other) {
            if here.is_empty() {
                *here = there;
            } else {
                here.iter_mut().zip(there).for_each(|(here, there)| *here = here.saturating_add(there));
            }
        }
    }

    /// The shortest and the longest length that would be in each bucket, in order, and how many are in it: those with any.
    pub(super) fn in_order(&self) -> Vec<(u64, u64, u64)> {
        let doublings = Vec::from(self.clone());
        let buckets = doublings.iter().zip((0..).step_by(PER_DOUBLING));
        let buckets = buckets.flat_map(|(doubling, first)| (first..).zip(doubling)).filter(|(_, count)| **count > 0);
        buckets.map(|(index, &count)| (start(index), start(index + 1).saturating_sub(1), count)).collect()
    }

    /// The bytes it takes.
    pub(super) fn size(&self) -> usize {
        let doublings: usize = self.doublings.iter().map(|doubling| doubling.len() + 3).sum();
        doublings * 8 + self.waiting.capacity() * 2
    }
}

impl From<Buckets> for Vec<Vec<u64>> {
    fn from(mut buckets: Buckets) -> Self {
        buckets.count_waiting();
        buckets.doublings
    }
}

impl From<Vec<Vec<u64>>> for Buckets {
    fn from(doublings: Vec<Vec<u64>>) -> Self {
        Self { doublings, waiting: Vec::new() }
    }
}

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        Vec::from(self.clone()) == Vec::from(other.clone())
    }
}

impl Eq for Buckets {}

/// The shortest length of a length's bucket.
pub(super) fn bucket_start(micros: u64) -> u64 {
    start(bucket(micros).into())
}

/// Values below 1,024 have a bucket each; above, each doubling has 1,024 of equal width.
#[expect(clippy::cast_possible_truncation, reason = "there are 55 times 1,024 buckets")]
fn bucket(micros: u64) -> u16 {
    let steps = PER_DOUBLING as u64;
    let doublings = (micros | steps).ilog2() - steps.ilog2();
    (u64::from(doublings) * steps + (micros >> doublings)) as u16
}

fn start(index: usize) -> u64 {
    let steps = PER_DOUBLING as u64;
    let index = index as u64;
    if index < 2 * steps {
        return index;
    }
    let doublings = index / steps - 1;
    let shift = u32::try_from(doublings).unwrap_or(u32::MAX);
    (index - doublings * steps).checked_shl(shift).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_error() {
        for micros in (0..2_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let start = bucket_start(micros);
            assert!(start <= micros && (micros - start) as f64 <= micros as f64 / 1024.0, "{micros} {start}");
        }
    }

    #[test]
    fn all_lengths_are_there_whether_counted_or_waiting() {
        let mut buckets = Buckets::default();
        for count in [0, 1, AT_ONCE - 2, 1, 3 * AT_ONCE] {
            (0..count).for_each(|_| buckets.add(u64::MAX));
            buckets.add(5);
        }
        let counts = buckets.in_order().into_iter().map(|(.., count)| count).collect::<Vec<_>>();
        assert_eq!(counts, [5, 4 * AT_ONCE as u64]);
        let written: Buckets = serde_json::from_str(&serde_json::to_string(&buckets).unwrap()).unwrap();
        assert_eq!(written, buckets);
        buckets.add(6);
        assert_ne!(written, buckets);
    }
    #[test]
    fn merged_in_any_way_they_are_those_of_all_lengths() {
        let mut random = fastrand::Rng::with_seed(1);
        for count in [3, AT_ONCE - 1, AT_ONCE, AT_ONCE * 5 / 2] {
            let (mut whole, mut parts) = (Buckets::default(), [Buckets::default(), Buckets::default()]);
            for _ in 0..count {
                let micros = random.u64(..) >> random.u32(0..64);
                whole.add(micros);
                parts[usize::from(random.u8(0..5) == 0)].add(micros);
            }
            let [mut more, few] = parts;
            let mut other = few.clone();
            other.merge(more.clone());
            more.merge(few);
            assert!(more == whole && other == whole);
        }
    }
}
