//! A share of some out of many, with its interval.

use serde::{Deserialize, Serialize};

use crate::table::Cell;

/// What columns of intervals are called.
pub(super) const INTERVAL: &str = "95 % interval";

/// A share with its Wilson interval at 95 %.
///
/// The interval is that of E. B. Wilson (1927), "Probable inference, the law of succession, and statistical
/// inference", with z = 1.959964. It stays within 0 and 1, and holds for small counts too.
///
/// ```
/// let rate = journeylog::Rate::new(8, 10);
/// assert_eq!(rate.share, Some(0.8));
/// assert!((rate.low - 0.4902).abs() < 1e-4 && (rate.high - 0.9433).abs() < 1e-4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rate {
    /// How many did.
    pub some: u64,
    /// Of how many.
    pub of: u64,
    /// The share; `None` of none.
    pub share: Option<f64>,
    /// The lower end of the interval; 0 of none.
    pub low: f64,
    /// The upper end of the interval; 1 of none.
    pub high: f64,
}

/// A standard normal variable lies within so much of 0 with 95 %.
pub(super) const Z: f64 = 1.959_963_984_540_054;

impl Rate {
    /// The share of `some` out of `of`.
    pub fn new(some: u64, of: u64) -> Self {
        if of == 0 {
            return Self { some, of, share: None, low: 0.0, high: 1.0 };
        }
        let (n, p) = (of as f64, some as f64 / of as f64);
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).max(0.0).sqrt();
        // At the ends the interval reaches them exactly, which the arithmetic may miss by a hair.
        let low = if some == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if some == of { 1.0 } else { (centre + half).min(1.0) };
        Self { some, of, share: Some(p), low, high }
    }

    /// The share and the interval as tables show them.
    pub(super) fn cells(self) -> [Cell; 2] {
        [Cell::share(self.share), self.interval()]
    }

    /// The interval as tables show it, in percent; nothing of none.
    pub(super) fn interval(&self) -> Cell {
        self.share.map_or(Cell::Empty, |_| format!("{:.1}-{:.1}", 100.0 * self.low, 100.0 * self.high).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values computed with statsmodels' `proportion_confint(method="wilson")`.
    #[test]
    fn wilson_against_a_reference() {
        for (some, of, low, high) in [(0, 10, 0.0, 0.277_533), (10, 10, 0.722_467, 1.0), (1, 3, 0.061_492, 0.792_340)] {
            let rate = Rate::new(some, of);
            assert!((rate.low - low).abs() < 1e-5, "{some}/{of}: {}", rate.low);
            assert!((rate.high - high).abs() < 1e-5, "{some}/{of}: {}", rate.high);
        }
        assert_eq!(Rate::new(0, 0).share, None);
        for n in 1..5_000 {
            assert!(Rate::new(n, n).high == 1.0 && Rate::new(0, n).low == 0.0, "{n}");
        }
    }
}
