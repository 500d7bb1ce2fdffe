//! Lengths of time counted in buckets, each as wide as a fixed share of what lies in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A bucket's ends differ by at most one part in so many: that many buckets for each doubling.
pub(super) const PER_DOUBLING: usize = 1024;
/// The first are for lengths below 1,024.
pub(super) const DOUBLINGS: usize = 55;
/// Lengths wait until there are so many, and are counted together. One by one each would wait for its bucket to come from memory, and those
/// of many cells would drive one another's buckets out of the caches.
const AT_ONCE: usize = 4096;

/// How many lengths lie in each bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub(super) struct Buckets {
    /// A list of counts for each doubling, empty if all its buckets are. A question holds many of them, so they are narrow.
    doublings: Vec<Vec<u32>>,
    /// How often the narrow count of a bucket came full, by its number: each time is 2^32 lengths.
    full: BTreeMap<usize, u64>,
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
        let mut buckets = lengths.map(bucket);
        loop {
            let room = AT_ONCE.saturating_sub(self.waiting.len());
            self.waiting.extend(buckets.by_ref().take(room));
            if self.waiting.len() < AT_ONCE {
                return;
            }
            self.count_waiting();
        }
    }

    fn count_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for bucket in waiting.drain(..).map(usize::from) {
            let here = self.doublings.get_mut(bucket / PER_DOUBLING);
            let here = here.and_then(|doubling| doubling.get_mut(bucket % PER_DOUBLING));
            match here.and_then(|here| Some((here.checked_add(1)?, here))) {
                Some((count, here)) => *here = count,
                None => self.add_to(bucket, 1),
            }
        }
        self.waiting = waiting;
    }

    /// Adds to the count of a bucket.
    #[expect(clippy::cast_possible_truncation, reason = "what is above 32 bits is counted apart")]
    fn add_to(&mut self, bucket: usize, count: u64) {
        let (place, within) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
        if self.doublings.len() <= place {
            self.doublings.resize(place + 1, Vec::new());
        }
        let Some(doubling) = self.doublings.get_mut(place) else { return };
        doubling.resize(PER_DOUBLING, 0);
        let Some(here) = doubling.get_mut(within) else { return };
        let sum = u64::from(*here) + (count & u64::from(u32::MAX));
        *here = sum as u32;
        self.note_full(bucket, (sum >> 32) + (count >> 32));
    }

    fn note_full(&mut self, bucket: usize, times: u64) {
        if times > 0 {
            let full = self.full.entry(bucket).or_default();
            *full = full.saturating_add(times);
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        other.count_waiting();
        if self.doublings.len() < other.doublings.len() {
            self.doublings.resize(other.doublings.len(), Vec::new());
        }
        let mut full: Vec<(usize, u64)> = other.full.into_iter().collect();
        let doublings = self.doublings.iter_mut().zip(other.doublings);
        for ((here, there), first) in doublings.zip((0..).step_by(PER_DOUBLING)) {
            if here.is_empty() {
                *here = there;
                continue;
            }
            for (bucket, (here, there)) in (first..).zip(here.iter_mut().zip(there)) {
                let (sum, is_full) = here.overflowing_add(there);
                *here = sum;
                if is_full {
                    full.push((bucket, 1));
                }
            }
        }
        full.into_iter().for_each(|(bucket, times)| self.note_full(bucket, times));
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
        let doublings: usize = self.doublings.iter().map(|doubling| doubling.len() + 6).sum();
        doublings * 4 + self.waiting.capacity() * 2
    }
}

impl From<Buckets> for Vec<Vec<u64>> {
    fn from(mut buckets: Buckets) -> Self {
        buckets.count_waiting();
        let full = |bucket| buckets.full.get(&bucket).map_or(0, |times: &u64| times.saturating_mul(1 << 32));
        let counts = |(doubling, first): (&Vec<u32>, usize)| {
            (first..).zip(doubling).map(|(bucket, &count)| full(bucket).saturating_add(count.into())).collect()
        };
        buckets.doublings.iter().zip((0..).step_by(PER_DOUBLING)).map(counts).collect()
    }
}

impl TryFrom<Vec<Vec<u64>>> for Buckets {
    type Error = &'static str;

    fn try_from(doublings: Vec<Vec<u64>>) -> Result<Self, Self::Error> {
        if doublings.len() > DOUBLINGS || doublings.iter().any(|doubling| doubling.len() > PER_DOUBLING) {
            return Err("lengths of time are counted in at most 55 lists of at most 1,024 buckets");
        }
        let mut buckets = Self::default();
        for (doubling, first) in doublings.into_iter().zip((0..).step_by(PER_DOUBLING)) {
            let counts = (first..).zip(doubling).filter(|(_, count)| *count > 0);
            counts.for_each(|(bucket, count)| buckets.add_to(bucket, count));
        }
        Ok(buckets)
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
    fn counts_beyond_32_bits_are_kept_however_they_come() {
        let of = |counts: [u64; 2]| Buckets::try_from(vec![counts.to_vec()]).unwrap();
        let counts = |buckets: &Buckets| buckets.in_order().into_iter().map(|(.., count)| count).collect::<Vec<_>>();
        let most = u64::from(u32::MAX);
        let mut buckets = of([most, 5 << 32 | 7]);
        assert_eq!(counts(&buckets), [most, 5 << 32 | 7]);
        (0..2).for_each(|_| buckets.add(0));
        buckets.merge(of([most, most]));
        assert_eq!(counts(&buckets), [2 * most + 2, (6 << 32) + 6]);
        let written: Buckets = serde_json::from_str(&serde_json::to_string(&buckets).unwrap()).unwrap();
        assert_eq!((counts(&written), &written), (counts(&buckets), &buckets));
        buckets.merge(of([u64::MAX, 0]));
        assert_eq!(counts(&buckets), [u64::MAX, (6 << 32) + 6]);
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
