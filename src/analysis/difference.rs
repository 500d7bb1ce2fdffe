//! Whether two shares differ.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::Rate;

/// How much the shares of two groups differ, and how likely so much would be if they did not.
///
/// The interval at 95 % is R. G. Newcombe's (1998, "Interval estimation for the difference between independent
/// proportions", method 10), made of the two Wilson intervals. The p-value is two-sided: that of the z-test of two
/// proportions with pooled variance, or, if fewer than five would be expected in any of the four cells, that of R. A.
/// Fisher's exact test.
///
/// ```
/// use journeylog::Rate;
/// let difference = Rate::new(30, 100).difference_to(&Rate::new(45, 100)).unwrap();
/// assert!((difference.difference + 0.15).abs() < 1e-12 && difference.p_value < 0.03 && !difference.exact);
/// assert!(Rate::new(1, 4).difference_to(&Rate::new(0, 5)).unwrap().exact);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RateDifference {
    /// The first share less the second.
    pub difference: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// The probability of a difference at least so large, either way, between groups that do not differ.
    pub p_value: f64,
    /// Whether it is that of the exact test.
    pub exact: bool,
}

impl RateDifference {
    /// The p-value as tables show it.
    pub(super) fn p_value_as_shown(&self) -> String {
        format!("{:.4}{}", self.p_value, if self.exact { " (exact)" } else { "" })
    }
}

impl Rate {
    /// How much this share differs from that of another group; `None` if there is nobody in one of them.
    pub fn difference_to(&self, other: &Self) -> Option<RateDifference> {
        let (here, there) = (self.share?, other.share?);
        let difference = here - there;
        let low = difference - (here - self.low).hypot(other.high - there);
        let high = difference + (self.high - here).hypot(there - other.low);
        let exact = is_small(self, other);
        let p_value = if exact { exact_p(self, other) } else { z_p(self, other, difference) };
        Some(RateDifference { difference, low, high, p_value, exact })
    }

    fn others(&self) -> u64 {
        self.of.saturating_sub(self.some)
    }
}

/// Whether fewer than five are expected in any cell of the table if the groups do not differ.
fn is_small(one: &Rate, other: &Rate) -> bool {
    const FEW: f64 = 5.0;
    let all = one.of as f64 + other.of as f64;
    let smaller = one.of.min(other.of) as f64;
    let rarer = (one.some as f64 + other.some as f64).min(one.others() as f64 + other.others() as f64);
    smaller * rarer / all < FEW
}

/// Fisher's exact test: the probability of all tables with the same sums that are no likelier than this one. Each is weighed by this one, so that small
/// probabilities keep all digits.
fn exact_p(one: &Rate, other: &Rate) -> f64 {
    let [a, b, c, d] = [one.some, other.some, one.others(), other.others()].map(|count| count as f64);
    let mut sums = Sums { as_rare: 1.0, all: 1.0 };
    sums.walk([a, d], [b, c]);
    sums.walk([b, c], [a, d]);
    // More than a float holds is likelier: then this table is next to impossible.
    if sums.all.is_finite() { (sums.as_rare / sums.all).min(1.0) } else { 0.0 }
}

/// Weights of tables, by that of the one that was found.
struct Sums {
    as_rare: f64,
    all: f64,
}

impl Sums {
    /// Adds the tables in which two cells of a diagonal grow and the others shrink, until no more weigh anything.
    fn walk(&mut self, mut grow: [f64; 2], mut shrink: [f64; 2]) {
        /// Weights are equal if they differ by rounding.
        const EQUAL: f64 = 1.0 + 1e-7;
        const NOTHING: f64 = 1e-17;
        let mut weight = 1.0;
        loop {
            grow.iter_mut().for_each(|count| *count += 1.0);
            let ratio = shrink.iter().zip(grow).map(|(less, more)| less / more).product::<f64>();
            shrink.iter_mut().for_each(|count| *count -= 1.0);
            weight *= ratio;
            if weight <= 0.0 || !self.all.is_finite() || (ratio < 1.0 && weight < NOTHING) {
                return;
            }
            self.all += weight;
            if weight <= EQUAL {
                self.as_rare += weight;
            }
        }
    }
}

fn z_p(one: &Rate, other: &Rate, difference: f64) -> f64 {
    let pooled = (one.some as f64 + other.some as f64) / (one.of as f64 + other.of as f64);
    let error = (pooled * (1.0 - pooled) * (1.0 / one.of as f64 + 1.0 / other.of as f64)).sqrt();
    2.0 * Normal::standard().cdf(-(difference / error).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values computed with statsmodels 0.14 (`confint_proportions_2indep(method="newcomb")`, `proportions_ztest`)
    /// and scipy (`fisher_exact`).
    #[test]
    fn differences_against_a_reference() {
        for (one, other, low, high, p_value, exact) in [
            ((30, 100), (45, 100), -0.276_831, -0.015_852, 0.028_459_74, false),
            ((500, 10_000), (560, 10_000), -0.012_222, 0.000_213, 0.058_257_81, false),
            ((56, 70), (48, 80), 0.052_431, 0.333_873, 0.008_045_08, false),
            ((8, 10), (1, 5), 0.074_481, 0.817_629, 0.088_911_09, true),
            ((9, 10), (3, 10), 0.170_523, 0.809_018, 0.019_766_61, true),
            ((0, 20), (6, 20), -0.518_973, -0.076_754, 0.020_196_02, true),
            ((1, 4), (0, 5), -0.230_166, 0.699_358, 0.444_444_44, true),
            ((10, 10), (0, 20), 0.679_086, 1.0, 0.000_000_03, true),
        ] {
            let rate = |(some, of)| Rate::new(some, of);
            let found = rate(one).difference_to(&rate(other)).unwrap();
            let close = |a: f64, b: f64, by: f64| assert!((a - b).abs() < by, "{one:?} {other:?}: {a} is not {b}");
            close(found.low, low, 2e-6);
            close(found.high, high, 2e-6);
            close(found.p_value, p_value, 2e-8);
            assert_eq!(found.exact, exact, "{one:?} {other:?}");
        }
    }

    /// Reference values computed with exact fractions; those of `SciPy` (`fisher_exact`) differ by 3e-10 to 4e-9 of them.
    #[test]
    fn small_probabilities_keep_their_digits() {
        for (one, other, expected) in [
            ((3, 3), (5, 100_000_005), 3.359_999_294_400_099e-22),
            ((6, 10), (10_000, 1_010_000), 1.915_940_248_046_128_3e-10),
            ((4, 4), (40, 1_000_040), 3.257_470_194_771_2e-18),
            ((20, 40), (3, 403), 9.431_107_541_547_89e-21),
            ((2, 2), (3, 1_000_000_003), 1.999_999_982e-17),
            ((10, 10), (0, 20), 3.328_339_160_423_119e-8),
            ((9, 10), (3, 10), 0.019_766_611_097_880_447),
            ((0, 30), (4, 100_000), 1.0),
        ] {
            let rate = |(some, of)| Rate::new(some, of);
            for found in [rate(one).difference_to(&rate(other)), rate(other).difference_to(&rate(one))] {
                let found = found.unwrap();
                assert!(
                    found.exact && (found.p_value - expected).abs() < 1e-9 * expected,
                    "{one:?} {other:?}: {found:?}"
                );
            }
        }
        // Less than a float holds.
        let never = Rate::new(1_000_000, 1_000_000).difference_to(&Rate::new(0, u64::MAX)).unwrap();
        assert!(never.exact && never.p_value == 0.0, "{never:?}");
    }

    #[test]
    fn groups_that_cannot_differ_do_not() {
        let all = |of| Rate::new(of, of);
        assert_eq!(all(3).difference_to(&all(400)).map(|d| (d.difference, d.p_value)), Some((0.0, 1.0)));
        assert_eq!(Rate::new(0, 9).difference_to(&Rate::new(0, 9)).unwrap().p_value, 1.0);
        assert_eq!(all(3).difference_to(&Rate::new(0, 0)), None);
        let huge = Rate::new(2, u64::MAX).difference_to(&Rate::new(u64::MAX, u64::MAX)).unwrap();
        assert!(huge.p_value >= 0.0 && huge.low <= huge.difference && huge.difference <= huge.high);
    }
}
