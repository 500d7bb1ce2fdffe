//! Lengths of time, gathered while scanning and summarised at the end.

use serde::{Deserialize, Serialize};

use crate::model::Micros;

/// Up to this many lengths are kept as they are; more go into buckets.
const EXACT: usize = 1 << 14;
/// A bucket's ends differ by at most this share of its value: 1,024 buckets for each doubling.
const PER_DOUBLING: usize = 1024;
/// How far a length counted in a bucket may lie from the true one, as a share of it.
pub(super) const BUCKET_ERROR: f64 = 1.0 / PER_DOUBLING as f64;

/// Lengths of time in microseconds, of which quantiles are asked at the end.
///
/// Up to 16,384 of them quantiles are exact. Beyond that the lengths are counted in buckets, and a quantile is at most
/// one part in 1,024 below the true one; the summary says so. What is known depends on the lengths alone, not on the order in
/// which they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    sum: u128,
    max: u64,
    kept: Kept,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Kept {
    /// As they are, in no order.
    All(Vec<u64>),
    /// How many lie in each bucket: a list for each doubling, empty if all its buckets are.
    Buckets(Vec<Vec<u64>>),
}

impl Default for Durations {
    fn default() -> Self {
        Self { sum: 0, max: 0, kept: Kept::All(Vec::new()) }
    }
}

impl Durations {
    /// Adds a length; one that is negative counts as 0.
    pub fn add(&mut self, micros: i128) {
        self.add_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX));
    }

    /// Adds the time from one moment to a later one.
    pub(crate) fn add_between(&mut self, from: Micros, to: Micros) {
        // The difference of two moments fits, taken modulo 2^64.
        self.add_micros(if to > from { to.0.wrapping_sub(from.0).cast_unsigned() } else { 0 });
    }

    fn add_micros(&mut self, micros: u64) {
        self.sum = self.sum.saturating_add(micros.into());
        self.max = self.max.max(micros);
        match &mut self.kept {
            Kept::All(all) => {
                all.push(micros);
                if all.len() > EXACT {
                    self.fold_if_many();
                }
            }
            Kept::Buckets(buckets) => count(buckets, micros, 1),
        }
    }

    /// Adds all lengths of another.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        match (&mut self.kept, other.kept) {
            (Kept::All(all), Kept::All(mut more)) => all.append(&mut more),
            (Kept::Buckets(buckets), Kept::All(more)) => more.into_iter().for_each(|micros| count(buckets, micros, 1)),
            (kept @ Kept::All(_), Kept::Buckets(mut buckets)) => {
                if let Kept::All(all) = std::mem::replace(kept, Kept::All(Vec::new())) {
                    all.into_iter().for_each(|micros| count(&mut buckets, micros, 1));
                }
                *kept = Kept::Buckets(buckets);
            }
            (Kept::Buckets(buckets), Kept::Buckets(more)) => {
                buckets.resize(buckets.len().max(more.len()), Vec::new());
                for (here, there) in buckets.iter_mut().zip(more) {
                    if here.is_empty() {
                        *here = there;
                    } else {
                        here.iter_mut().zip(there).for_each(|(here, there)| *here = here.saturating_add(there));
                    }
                }
            }
        }
        self.fold_if_many();
    }

    fn fold_if_many(&mut self) {
        if let Kept::All(all) = &self.kept
            && all.len() > EXACT
        {
            let mut buckets = Vec::new();
            all.iter().for_each(|&micros| count(&mut buckets, micros, 1));
            self.kept = Kept::Buckets(buckets);
        }
    }

    /// The bytes it takes.
    pub fn size(&self) -> usize {
        let numbers = match &self.kept {
            Kept::All(all) => all.len(),
            Kept::Buckets(buckets) => buckets.iter().map(|doubling| doubling.len() + 3).sum(),
        };
        numbers.saturating_mul(8)
    }

    /// Visits all lengths, each with how often it came. Those of a bucket are as long as the longest that
    /// would be in it.
    pub(super) fn each(&self, mut visit: impl FnMut(u64, u64)) {
        match &self.kept {
            Kept::All(all) => all.iter().for_each(|&micros| visit(micros, 1)),
            Kept::Buckets(buckets) => {
                for (doubling, first) in buckets.iter().zip((0..).step_by(PER_DOUBLING)) {
                    let here = (first..).zip(doubling).filter(|(_, times)| **times > 0);
                    here.for_each(|(index, &times)| visit(bucket_start(index + 1).saturating_sub(1), times));
                }
            }
        }
    }

    /// Whether all lengths are known as they are.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.kept, Kept::All(_))
    }

    /// The distinct lengths in order, each with how often it came. In buckets, each is as long as the shortest of its bucket;
    /// lengths that are no longer known as they are come so in any case.
    pub(super) fn counts(&self, in_buckets: bool) -> Vec<(u64, u64)> {
        let mut counts: Vec<(u64, u64)> = Vec::new();
        let mut add = |micros: u64, times: u64| match counts.last_mut().filter(|(last, _)| *last == micros) {
            Some((_, here)) => *here = here.saturating_add(times),
            None => counts.push((micros, times)),
        };
        match &self.kept {
            Kept::All(all) => {
                let mut all = all.clone();
                all.sort_unstable();
                all.into_iter()
                    .for_each(|micros| add(if in_buckets { bucket_start(bucket(micros)) } else { micros }, 1));
            }
            Kept::Buckets(buckets) => {
                for (doubling, first) in buckets.iter().zip((0..).step_by(PER_DOUBLING)) {
                    let here = (first..).zip(doubling).filter(|(_, times)| **times > 0);
                    here.for_each(|(index, &times)| add(bucket_start(index), times));
                }
            }
        }
        counts
    }

    /// Count, mean, median, 90th percentile and longest; `None` if there are no lengths.
    pub fn summary(&self) -> Option<DurationSummary> {
        let (count, quantile, error): (u64, Box<dyn Fn(f64) -> u64>, f64) = match &self.kept {
            Kept::All(all) => {
                let count = all.len() as u64;
                let at = move |q| {
                    let mut list = all.clone();
                    let rank = rank(q, count);
                    if rank < list.len() { *list.select_nth_unstable(rank).1 } else { 0 }
                };
                (count, Box::new(at), 0.0)
            }
            Kept::Buckets(buckets) => {
                let count = buckets.iter().flatten().fold(0, |sum: u64, here| sum.saturating_add(*here));
                let at = move |q| {
                    let mut left = rank(q, count) as u64;
                    let in_order = buckets
                        .iter()
                        .zip((0..).step_by(PER_DOUBLING))
                        .flat_map(|(doubling, first)| (first..).zip(doubling));
                    let mut starts = in_order.filter_map(|(index, &here)| {
                        let is_here = left < here;
                        left = left.saturating_sub(here);
                        is_here.then(|| bucket_start(index))
                    });
                    starts.next().unwrap_or_default()
                };
                (count, Box::new(at), BUCKET_ERROR)
            }
        };
        if count == 0 {
            return None;
        }
        let seconds = |micros: u64| micros as f64 / 1e6;
        Some(DurationSummary {
            count,
            mean: self.sum as f64 / count as f64 / 1e6,
            median: seconds(quantile(0.5)),
            p90: seconds(quantile(0.9)),
            max: seconds(self.max),
            relative_error: error,
        })
    }
}

/// The position of a quantile in sorted order: the first value that at least this share of values do not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank lies between 0 and count")]
fn rank(quantile: f64, count: u64) -> usize {
    ((quantile * count as f64).ceil() as usize).saturating_sub(1)
}

fn count(buckets: &mut Vec<Vec<u64>>, micros: u64, times: u64) {
    let index = bucket(micros);
    let (place, within) = (index / PER_DOUBLING, index % PER_DOUBLING);
    if let Some(here) = buckets.get_mut(place).and_then(|doubling| doubling.get_mut(within)) {
        *here = here.saturating_add(times);
        return;
    }
    if buckets.len() <= place {
        buckets.resize(place + 1, Vec::new());
    }
    if let Some(doubling) = buckets.get_mut(place) {
        doubling.resize(PER_DOUBLING, 0);
        doubling.get_mut(within).into_iter().for_each(|here| *here = times);
    }
}

/// Values below 1,024 have a bucket each; above, each doubling has 1,024 of equal width.
fn bucket(micros: u64) -> usize {
    let steps = PER_DOUBLING as u64;
    let doublings = (micros | steps).ilog2() - steps.ilog2();
    usize::try_from(u64::from(doublings) * steps + (micros >> doublings)).unwrap_or(usize::MAX)
}

fn bucket_start(index: usize) -> u64 {
    let steps = PER_DOUBLING as u64;
    let index = index as u64;
    if index < 2 * steps {
        return index;
    }
    let doublings = index / steps - 1;
    let shift = u32::try_from(doublings).unwrap_or(u32::MAX);
    (index - doublings * steps).checked_shl(shift).unwrap_or(u64::MAX)
}

/// Lengths of time in short, in seconds.
///
/// A quantile q is the first length that at least a share q of all lengths do not exceed: the median of 1 and 3 is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DurationSummary {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The length that half of them do not exceed.
    pub median: f64,
    /// The length that nine in ten do not exceed.
    pub p90: f64,
    /// The longest.
    pub max: f64,
    /// How far median and p90 may lie below the true ones, as a share: 0 if they are exact.
    pub relative_error: f64,
}

impl DurationSummary {
    /// Of so many lengths of 0.
    pub(crate) fn of_zeros(count: u64) -> Option<Self> {
        let nothing = Self { count, mean: 0.0, median: 0.0, p90: 0.0, max: 0.0, relative_error: 0.0 };
        (count > 0).then_some(nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let mut durations = Durations::default();
        assert_eq!(durations.summary(), None);
        for seconds in [3, 1, 2, 10] {
            durations.add(seconds * 1_000_000);
        }
        let summary = durations.summary().unwrap();
        assert_eq!((summary.count, summary.median, summary.p90, summary.max, summary.mean), (4, 2.0, 10.0, 10.0, 4.0));
        assert_eq!(summary.relative_error, 0.0);
    }

    #[test]
    fn buckets_hold_their_error() {
        for micros in (0..2_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let start = bucket_start(bucket(micros));
            assert!(start <= micros && (micros - start) as f64 <= micros as f64 / 1024.0, "{micros} {start}");
        }
    }

    #[test]
    fn odd_buckets_neither_overflow_nor_panic() {
        let odd = Durations { sum: u128::MAX, max: 1, kept: Kept::Buckets(vec![vec![u64::MAX; 2]; 80]) };
        let read: Durations = serde_json::from_str(&serde_json::to_string(&odd).unwrap()).unwrap();
        assert_eq!(read.summary().unwrap().count, u64::MAX);
        let late = Durations { kept: Kept::Buckets([vec![Vec::new(); 79], vec![vec![1]]].concat()), ..odd };
        assert!(late.summary().is_some());
    }

    #[test]
    fn many_lengths_in_any_order_and_cut_are_the_same() {
        let lengths: Vec<i128> = (0..(EXACT as i128 + 5)).map(|i| (i * 7919) % 1_000_003).collect();
        let mut whole = Durations::default();
        lengths.iter().for_each(|&l| whole.add(l));
        let (mut a, mut b) = (Durations::default(), Durations::default());
        lengths.iter().rev().enumerate().for_each(|(i, &l)| if i % 3 == 0 { a.add(l) } else { b.add(l) });
        b.merge(a);
        assert_eq!(whole, b);
        let summary = whole.summary().unwrap();
        assert!(summary.relative_error > 0.0);
        assert!((summary.median - 0.5).abs() < 0.02, "{}", summary.median);
    }
}
