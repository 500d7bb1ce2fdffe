//! How many lengths of time lie in each of some spans.

use serde::{Deserialize, Serialize};

use super::Durations;
use crate::table::{Cell, Table};

/// Where spans begin, in seconds: those in which people count.
pub(super) const EDGES: [u64; 21] = {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    [
        0,
        1,
        10,
        MINUTE,
        5 * MINUTE,
        15 * MINUTE,
        30 * MINUTE,
        HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        3 * DAY,
        7 * DAY,
        14 * DAY,
        30 * DAY,
        60 * DAY,
        90 * DAY,
        180 * DAY,
        365 * DAY,
    ]
};

/// A span of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimeBin {
    /// Where it begins, in seconds; that is in it.
    pub from: u64,
    /// Where it ends; that is not. `None` for all that is longer.
    pub to: Option<u64>,
    /// How many lengths lie in it.
    pub count: u64,
}

impl TimeBin {
    /// The histogram of so many lengths of 0.
    pub(super) fn of_zeros(count: u64) -> Vec<Self> {
        if count == 0 { Vec::new() } else { vec![Self { from: 0, to: Some(1), count }] }
    }

    /// A row for each of these.
    pub(super) fn table(title: String, counted: &str, bins: &[Self]) -> Table {
        let mut table = Table::new(title, ["from", "to", counted]);
        let seconds = |seconds: u64| Cell::Seconds(seconds as f64);
        bins.iter()
            .for_each(|bin| table.push([seconds(bin.from), bin.to.map_or(Cell::Empty, seconds), bin.count.into()]));
        table
    }
}

impl Durations {
    /// How many lengths lie in each of 21 spans, from less than a second to more than a year; spans in
    /// which none does are left out. Once quantiles are not exact, a length may be counted in the span after its own if it is shorter than
    /// the edge by less than one part in 1,024.
    pub fn histogram(&self) -> Vec<TimeBin> {
        let mut counts = [0_u64; EDGES.len()];
        self.each(|micros, times| {
            let place = EDGES.partition_point(|edge| edge.saturating_mul(1_000_000) <= micros).saturating_sub(1);
            counts.get_mut(place).into_iter().for_each(|count| *count = count.saturating_add(times));
        });
        let ends = EDGES.iter().skip(1).copied().map(Some).chain([None]);
        let bins = EDGES.into_iter().zip(ends).zip(counts).map(|((from, to), count)| TimeBin { from, to, count });
        bins.filter(|bin| bin.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_in_the_span_that_they_begin() {
        assert_eq!(Durations::default().histogram(), []);
        let mut durations = Durations::default();
        for micros in [0, 999_999, 10_000_000, 59_999_999, 60_000_000] {
            durations.add(micros);
        }
        let bins: Vec<_> = durations.histogram().iter().map(|bin| (bin.from, bin.to, bin.count)).collect();
        assert_eq!(bins, [(0, Some(1), 2), (10, Some(60), 2), (60, Some(300), 1)]);
        durations.add(i128::MAX);
        assert_eq!(durations.histogram().last().map(|bin| (bin.to, bin.count)), Some((None, 1)));
    }

    #[test]
    fn many_lengths_lie_where_few_do() {
        let mut durations = Durations::default();
        (0..40_000).for_each(|n| durations.add((n % 4) * 86_400_000_000 + 3_600_000_000));
        let counts: Vec<_> = durations.histogram().iter().map(|bin| (bin.from, bin.count)).collect();
        assert_eq!(counts, [(3600, 10_000), (86_400, 10_000), (172_800, 10_000), (259_200, 10_000)]);
    }
}
