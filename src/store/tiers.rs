//! Which files of the index are merged, and when.
//!
//! While events come, files of one tier are merged when they are enough, so that an event is rewritten about once each
//! time the store grows by the fan-in. When nothing has come for a while, files are merged whose sum is a fair share of the
//! file before them, so that a trickle of events does not rewrite a large file again and again. To settle, all become one.
//! Only neighbours are merged, so that files stay in the order of sequences.

use std::ops::Range;

/// How much merging is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Events come.
    Busy,
    /// No events have come for a while.
    Idle,
    /// All is to be one file.
    Settle,
}

/// How files of one kind are merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiers {
    /// Files up to this size are of the first tier; each tier's are so many times larger as there are files in one.
    first: u64,
    fan_in: usize,
}

/// Of segments, by their events: few merges matter, since a scan over some more files costs little.
pub(crate) const SEGMENTS: Tiers = Tiers { first: 6 << 10, fan_in: 8 };
/// Of ids: few files matter, since the filter of each is asked for each id.
pub(crate) const IDS: Tiers = Tiers { first: 6 << 10, fan_in: 4 };

/// When idle, files are merged with the one before them if together they are this part of it.
const FAIR_SHARE: u64 = 4;

impl Tiers {
    fn tier(self, size: u64) -> u32 {
        let (mut tier, mut limit) = (0, self.first);
        while size > limit {
            limit = limit.saturating_mul(self.fan_in as u64);
            tier += 1;
        }
        tier
    }

    /// The places of neighbours that should be one file now. Sizes are in the order of sequences.
    pub(crate) fn choose(self, sizes: &[u64], urgency: Urgency) -> Option<Range<usize>> {
        let count = sizes.len();
        let from = match urgency {
            Urgency::Settle => 0,
            Urgency::Idle => {
                // The earliest file that is small against all after it.
                let mut after = 0_u64;
                let mut from = count;
                for (place, size) in sizes.iter().enumerate().rev() {
                    if after > 0 && after >= size / FAIR_SHARE {
                        from = place;
                    }
                    after = after.saturating_add(*size);
                }
                from
            }
            Urgency::Busy => {
                let mut limit = 0_u32;
                loop {
                    // The newest files of this tier or lower ones.
                    let newest = sizes.iter().rev().take_while(|size| self.tier(**size) <= limit).count();
                    let of_tier = sizes.iter().rev().take(newest).filter(|size| self.tier(**size) == limit).count();
                    // Files of lower tiers between them are few, unless sizes go up and down.
                    if of_tier >= self.fan_in || newest >= self.fan_in * (limit as usize + 2) {
                        break count - newest;
                    }
                    if newest == count {
                        return None;
                    }
                    limit += 1;
                }
            }
        };
        (count.saturating_sub(from) > 1).then_some(from..count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads so many seals, merging as is chosen after each; gives the sizes left and the times an event was written.
    fn load(tiers: Tiers, seals: u64, seal: u64, urgency: Urgency) -> (Vec<u64>, f64) {
        let (mut sizes, mut written) = (Vec::new(), 0);
        for _ in 0..seals {
            sizes.push(seal);
            written += seal;
            while let Some(chosen) = tiers.choose(&sizes, urgency) {
                let sum: u64 = sizes[chosen.clone()].iter().sum();
                written += sum;
                sizes.splice(chosen, [sum]);
            }
        }
        (sizes, written as f64 / (seals * seal) as f64)
    }

    #[test]
    fn files_stay_few_and_events_are_rewritten_seldom() {
        // 10 and 100 million events in seals of 2^18, then a log written in small seals.
        for (seals, seal) in [(38, 1 << 18), (381, 1 << 18), (10_000, 1_000)] {
            for tiers in [SEGMENTS, IDS] {
                let (sizes, written) = load(tiers, seals, seal, Urgency::Busy);
                let height = (seals as f64).ln() / (tiers.fan_in as f64).ln();
                assert!(sizes.len() as f64 <= (height + 1.0) * tiers.fan_in as f64, "{tiers:?} {seals}: {sizes:?}");
                assert!(written <= height + 1.0, "{tiers:?} {seals}: {written}");
            }
        }
    }

    #[test]
    fn a_trickle_into_an_idle_store_does_not_rewrite_what_is_large() {
        let mut sizes = vec![100_000_000];
        let mut written = 0;
        for _ in 0..1_000 {
            sizes.extend([5_000]);
            while let Some(chosen) = SEGMENTS.choose(&sizes, Urgency::Idle) {
                let sum: u64 = sizes[chosen.clone()].iter().sum();
                written += sum;
                sizes.splice(chosen, [sum]);
            }
        }
        assert!(sizes.len() < 10, "{sizes:?}");
        assert_eq!(sizes[0], 100_000_000);
        assert!(written < 5_000_000 * 40, "{written}");
    }

    #[test]
    fn all_becomes_one_when_it_is_to_be_settled() {
        assert_eq!(SEGMENTS.choose(&[100, 1], Urgency::Settle), Some(0..2));
        assert_eq!(SEGMENTS.choose(&[100], Urgency::Settle), None);
        assert_eq!(SEGMENTS.choose(&[], Urgency::Settle), None);
        assert_eq!(SEGMENTS.choose(&[], Urgency::Busy), None);
        assert_eq!(SEGMENTS.choose(&[100, 24], Urgency::Idle), None);
        assert_eq!(SEGMENTS.choose(&[100, 25], Urgency::Idle), Some(0..2));
        assert_eq!(SEGMENTS.choose(&[7; 8], Urgency::Busy), Some(0..8));
        assert_eq!(SEGMENTS.choose(&[7; 7], Urgency::Busy), None);
        assert_eq!(SEGMENTS.choose(&[1 << 30, 7, 7, 7, 7, 7, 7, 7], Urgency::Busy), None);
    }
}
