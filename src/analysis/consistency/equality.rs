//! Whether groups of scores have equal means, or equal ranks.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

/// What a test of equality says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EqualityTest {
    /// The statistic: Welch's F, or Kruskal and Wallis's H.
    pub statistic: f64,
    /// Its degrees of freedom: the tested groups less one.
    pub degrees: f64,
    /// Those of the denominator of F; `None` for H.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrees_within: Option<f64>,
    /// The probability of a statistic at least so large between groups that do not differ.
    pub p_value: f64,
}

/// Why there is no test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotTested {
    /// Fewer than two groups have enough answers.
    TooFewGroups,
    /// In a group all answers are the same: how much they vary, by which means are weighed, is not known.
    NoVariance,
    /// All answers of all groups are the same.
    AllEqual,
}

/// The answers of a group: how many gave each score, from 0 on.
pub(super) type Counts<'a> = &'a [u64];

/// How many answers, their mean, and their variance with n - 1.
pub(super) fn moments(counts: Counts<'_>) -> (f64, f64, f64) {
    let n = counts.iter().sum::<u64>() as f64;
    let sum =
        |value: &dyn Fn(f64) -> f64| counts.iter().zip(0_u8..).map(|(n, x)| *n as f64 * value(f64::from(x))).sum();
    let mean: f64 = sum(&|x| x) / n;
    let squares: f64 = sum(&|x| (x - mean).powi(2));
    (n, mean, squares / (n - 1.0))
}

/// Welch's one-way analysis of variance, of groups of at least two answers.
pub(super) fn welch(groups: &[Counts<'_>]) -> Result<EqualityTest, NotTested> {
    if groups.len() < 2 {
        return Err(NotTested::TooFewGroups);
    }
    let groups: Vec<_> = groups.iter().map(|counts| moments(counts)).collect();
    if groups.iter().any(|(_, _, variance)| *variance <= 0.0) {
        return Err(NotTested::NoVariance);
    }
    let k = groups.len() as f64;
    let weight = |(n, _, variance): &(f64, f64, f64)| n / variance;
    let weights: f64 = groups.iter().map(weight).sum();
    let mean = groups.iter().map(|group| weight(group) * group.1).sum::<f64>() / weights;
    let between = groups.iter().map(|group| weight(group) * (group.1 - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let rest: f64 = groups.iter().map(|group| (1.0 - weight(group) / weights).powi(2) / (group.0 - 1.0)).sum();
    let statistic = between / (1.0 + 2.0 * (k - 2.0) / (k * k - 1.0) * rest);
    let (degrees, degrees_within) = (k - 1.0, (k * k - 1.0) / (3.0 * rest));
    let p_value = FisherSnedecor::new(degrees, degrees_within).map_or(1.0, |f| f.sf(statistic)).clamp(0.0, 1.0);
    Ok(EqualityTest { statistic, degrees, degrees_within: Some(degrees_within), p_value })
}

/// Kruskal and Wallis's test, corrected for ties.
pub(super) fn kruskal_wallis(groups: &[Counts<'_>]) -> Result<EqualityTest, NotTested> {
    if groups.len() < 2 {
        return Err(NotTested::TooFewGroups);
    }
    let scores = groups.iter().map(|counts| counts.len()).max().unwrap_or_default();
    let count = |group: Counts<'_>, score: usize| group.get(score).copied().unwrap_or_default() as f64;
    let sizes: Vec<f64> = groups.iter().map(|counts| counts.iter().sum::<u64>() as f64).collect();
    let n: f64 = sizes.iter().sum();
    let (mut below, mut ties) = (0.0, 0.0);
    let mut ranks = vec![0.0; groups.len()];
    for score in 0..scores {
        let here: f64 = groups.iter().map(|group| count(group, score)).sum();
        // Answers of one score share the mean of their ranks; its distance from the mean of all keeps the sums small.
        let rank = below + (here - n) / 2.0;
        ranks.iter_mut().zip(groups).for_each(|(sum, group)| *sum += rank * count(group, score));
        ties += here * (here * here - 1.0);
        below += here;
    }
    let correction = 1.0 - ties / (n * (n * n - 1.0));
    if correction <= 0.0 {
        return Err(NotTested::AllEqual);
    }
    let between: f64 = ranks.iter().zip(&sizes).map(|(sum, size)| sum * sum / size).sum();
    let statistic = 12.0 / (n * (n + 1.0)) * between / correction;
    let degrees = groups.len() as f64 - 1.0;
    let p_value = ChiSquared::new(degrees).map_or(1.0, |chi| chi.sf(statistic)).clamp(0.0, 1.0);
    Ok(EqualityTest { statistic, degrees, degrees_within: None, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these scores there are, from 0 on.
    fn counted(scores: &[usize]) -> Vec<u64> {
        (0..=10).map(|score| scores.iter().filter(|other| **other == score).count() as u64).collect()
    }

    /// Reference values computed with statsmodels (`anova_oneway(use_var="unequal")`) and `SciPy` (`kruskal`).
    #[test]
    fn against_a_reference() {
        let groups: Vec<Vec<u64>> =
            [&[9, 10, 8, 9, 7, 10][..], &[6, 7, 5, 9, 3], &[8, 8, 9, 6, 10, 9, 7]].map(counted).into();
        let groups: Vec<Counts<'_>> = groups.iter().map(Vec::as_slice).collect();
        let near = |found: EqualityTest, expected: [f64; 3]| {
            let found = [found.statistic, found.degrees_within.unwrap_or(0.0), found.p_value];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        near(welch(&groups).unwrap(), [3.061_986_458_502_983, 8.582_754_459_806_203, 0.099_149_962_278_188_7]);
        near(kruskal_wallis(&groups).unwrap(), [5.560_805_860_805_863, 0.0, 0.062_013_515_211_973_25]);
    }

    /// Very many degrees of freedom are no matter. Reference values computed with `SciPy` (`f.sf`).
    #[test]
    fn of_large_groups() {
        for (degrees, within, statistic, expected) in [
            (2.0, 1e5, 3.0, 0.049_791_549_226_419_214),
            (2.0, 1e8, 3.0, 0.049_787_072_848_700_12),
            (5.0, 1e7, 20.0, 5.286_392_459_046_485e-20),
            (1.0, 1e9, 30.0, 4.320_464_093_888_2e-8),
        ] {
            let found = FisherSnedecor::new(degrees, within).unwrap().sf(statistic);
            assert!((found - expected).abs() < 1e-5 * expected, "{within}: {found}");
        }
    }

    #[test]
    fn what_cannot_be_tested_is_not() {
        let [same, other] = [counted(&[9, 9, 9]), counted(&[1, 9])];
        assert_eq!(welch(&[&same, &other]), Err(NotTested::NoVariance));
        assert_eq!(kruskal_wallis(&[&same, &same]), Err(NotTested::AllEqual));
        assert!(kruskal_wallis(&[&same, &other]).is_ok());
        for test in [welch(&[&other]), kruskal_wallis(&[&other])] {
            assert_eq!(test, Err(NotTested::TooFewGroups));
        }
    }
}
