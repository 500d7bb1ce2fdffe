//! Lengths of time, gathered while scanning and summarised at the end.

use serde::{Deserialize, Serialize};

use super::buckets::{Buckets, PER_DOUBLING, bucket_start};
use crate::model::Micros;

/// Up to this many lengths are kept as they are; more go into buckets.
const EXACT: usize = 1 << 14;
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
    Buckets(Buckets),
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
    #[inline]
    pub(crate) fn add_between(&mut self, from: Micros, to: Micros) {
        // The difference of two moments fits, taken modulo 2^64.
        self.add_micros(if to > from { to.0.wrapping_sub(from.0).cast_unsigned() } else { 0 });
    }

    #[inline]
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
            Kept::Buckets(buckets) => buckets.add(micros),
        }
    }

    /// Adds many, in microseconds: the same as to add one after the other.
    pub(super) fn add_all(&mut self, lengths: impl Iterator<Item = u64> + Clone) {
        let sum = lengths.clone().map(u128::from).sum();
        self.max = lengths.clone().fold(self.max, u64::max);
        self.sum = self.sum.saturating_add(sum);
        match &mut self.kept {
            Kept::All(all) => all.extend(lengths),
            Kept::Buckets(buckets) => buckets.add_all(lengths),
        }
        self.fold_if_many();
    }

    /// Adds all lengths of another.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        match (&mut self.kept, other.kept) {
            (Kept::All(all), Kept::All(mut more)) => all.append(&mut more),
            (Kept::Buckets(buckets), Kept::All(more)) => buckets.add_all(more.into_iter()),
            (Kept::All(all), Kept::Buckets(mut buckets)) => {
                buckets.add_all(all.drain(..));
                self.kept = Kept::Buckets(buckets);
            }
            (Kept::Buckets(buckets), Kept::Buckets(more)) => buckets.merge(more),
        }
        self.fold_if_many();
    }

    fn fold_if_many(&mut self) {
        if let Kept::All(all) = &self.kept
            && all.len() > EXACT
        {
            let mut buckets = Buckets::default();
            buckets.add_all(all.iter().copied());
            self.kept = Kept::Buckets(buckets);
        }
    }

    /// The bytes it takes.
    pub fn size(&self) -> usize {
        match &self.kept {
            Kept::All(all) => all.len().saturating_mul(8),
            Kept::Buckets(buckets) => buckets.size(),
        }
    }

    /// Visits all lengths, each with how often it came. Those of a bucket are as long as the longest that
    /// would be in it.
    pub(super) fn each(&self, mut visit: impl FnMut(u64, u64)) {
        match &self.kept {
            Kept::All(all) => all.iter().for_each(|&micros| visit(micros, 1)),
            Kept::Buckets(buckets) => {
                buckets.in_order().into_iter().for_each(|(_, longest, count)| visit(longest, count));
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
                all.into_iter().for_each(|micros| add(if in_buckets { bucket_start(micros) } else { micros }, 1));
            }
            Kept::Buckets(buckets) => {
                buckets.in_order().into_iter().for_each(|(shortest, _, count)| add(shortest, count));
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
                let buckets = buckets.in_order();
                let count = buckets.iter().fold(0, |sum: u64, (.., here)| sum.saturating_add(*here));
                let at = move |q| {
                    let mut left = rank(q, count) as u64;
                    let mut is_here = |here: u64| {
                        let is_here = left < here;
                        left = left.saturating_sub(here);
                        is_here
                    };
                    buckets.iter().find(|(.., here)| is_here(*here)).map_or(0, |(shortest, ..)| *shortest)
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
    use crate::analysis::buckets::DOUBLINGS;

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
    fn odd_buckets_neither_overflow_nor_panic() {
        let read = |buckets: Vec<Vec<u64>>| {
            let text = serde_json::json!({"sum": u64::MAX, "max": 1, "kept": {"Buckets": buckets}}).to_string();
            serde_json::from_str::<Durations>(&text)
        };
        let full = read(vec![vec![u64::MAX; 1024]; DOUBLINGS]).unwrap();
        assert_eq!(full.summary().unwrap().count, u64::MAX);
        let late = read([vec![Vec::new(); DOUBLINGS - 1], vec![vec![1]]].concat()).unwrap();
        assert!(late.summary().is_some() && read(Vec::new()).unwrap().summary().is_none());
        // What was never written could ask for any memory.
        for odd in [vec![vec![1]; DOUBLINGS + 1], vec![vec![1; 1025]]] {
            assert!(read(odd).unwrap_err().to_string().contains("at most 55 lists"));
        }
    }

    #[test]
    fn many_lengths_in_any_order_and_cut_are_the_same() {
        let lengths: Vec<i128> = (0..(EXACT as i128 + 5)).map(|i| (i * 7919) % 1_000_003).collect();
        let mut whole = Durations::default();
        lengths.iter().for_each(|&l| whole.add(l));
        let (mut many, mut left) = (Durations::default(), &lengths[..]);
        for count in [0, 3, 40, EXACT / 2, EXACT, 7_000] {
            let (here, after) = left.split_at(count.min(left.len()));
            many.add_all(here.iter().map(|micros| *micros as u64));
            left = after;
        }
        assert!(left.is_empty() && many == whole);
        let (mut a, mut b) = (Durations::default(), Durations::default());
        lengths.iter().rev().enumerate().for_each(|(i, &l)| if i % 3 == 0 { a.add(l) } else { b.add(l) });
        b.merge(a);
        assert_eq!(whole, b);
        let summary = whole.summary().unwrap();
        assert!(summary.relative_error > 0.0);
        assert!((summary.median - 0.5).abs() < 0.02, "{}", summary.median);
    }
}
