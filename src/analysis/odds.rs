//! How much likelier an outcome is with something than without it.

use serde::{Deserialize, Serialize};

use super::{Rate, rate::Z};

/// The odds ratio of two groups: the odds of an outcome in one, by those in the other. 1 says that they are equal.
///
/// The interval at 95 % is B. Woolf's (1955, "On estimating the relation between blood group and disease"): the logarithm of the
/// ratio, and 1.96 times the root of the sum of the reciprocals of the four counts to either side. If one of them is 0, one half is
/// added to each, as J. B. S. Haldane (1956) and F. J. Anscombe (1956) have it, in the ratio and in its interval.
///
/// ```
/// use journeylog::Rate;
/// // 30 of 40 against 10 of 30: (30 / 10) / (10 / 20)
/// let odds = Rate::new(30, 40).odds_ratio_to(&Rate::new(10, 30)).unwrap();
/// assert_eq!((odds.ratio, odds.corrected), (6.0, false));
/// assert!((odds.low - 2.1138).abs() < 1e-4 && (odds.high - 17.0309).abs() < 1e-4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OddsRatio {
    /// The ratio.
    pub ratio: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether a count was 0, and one half was added to each.
    pub corrected: bool,
}

impl Rate {
    /// The odds ratio to another group; `None` if there is nobody in one of them, or if all had the same outcome.
    pub fn odds_ratio_to(&self, other: &Self) -> Option<OddsRatio> {
        let cells = [self.some, self.of.saturating_sub(self.some), other.some, other.of.saturating_sub(other.some)];
        let [a, b, c, d] = cells;
        let is_empty = |one: u64, other: u64| one == 0 && other == 0;
        if is_empty(a, b) || is_empty(c, d) || is_empty(a, c) || is_empty(b, d) {
            return None;
        }
        let corrected = cells.contains(&0);
        let half = if corrected { 0.5 } else { 0.0 };
        let [a, b, c, d] = cells.map(|count| count as f64 + half);
        let ratio = a * d / (b * c);
        let error = (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt();
        let (low, high) = ((ratio.ln() - Z * error).exp(), (ratio.ln() + Z * error).exp());
        Some(OddsRatio { ratio, low, high, corrected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is computed with statsmodels 0.15 (`Table2x2`), the second by the formula, with one half added to each count.
    #[test]
    fn against_a_reference() {
        for (one, other, ratio, low, high) in [
            ((30, 40), (10, 30), 6.0, 2.113_803_583_696_389_3, 17.030_910_666_282_022),
            ((5, 5), (3, 9), 20.428_571_428_571_427, 0.855_235_051_813_287_6, 487.967_056_223_221_96),
        ] {
            let found = Rate::new(one.0, one.1).odds_ratio_to(&Rate::new(other.0, other.1)).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b;
            assert!(near(found.ratio, ratio) && near(found.low, low) && near(found.high, high), "{found:?}");
        }
        for (one, other) in [((0, 0), (1, 2)), ((1, 1), (2, 2)), ((0, 4), (0, 2))] {
            assert_eq!(Rate::new(one.0, one.1).odds_ratio_to(&Rate::new(other.0, other.1)), None);
        }
    }
}
