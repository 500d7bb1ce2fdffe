//! What p-values are worth when many were tried.

/// The p-values of many tests, corrected in two ways, in the order in which they were given.
///
/// S. Holm (1979), "A simple sequentially rejective multiple test procedure", bounds the chance of a single false finding;
/// Y. Benjamini and Y. Hochberg (1995), "Controlling the false discovery rate", the share of false ones among the findings.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Corrected {
    pub(super) holm: Vec<f64>,
    pub(super) q_values: Vec<f64>,
}

impl Corrected {
    pub(super) fn new(p_values: &[f64]) -> Self {
        let count = p_values.len();
        let mut ranked: Vec<(usize, f64)> = p_values.iter().copied().enumerate().collect();
        ranked.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let mut corrected = Self { holm: vec![1.0; count], q_values: vec![1.0; count] };
        let set = |list: &mut Vec<f64>, place: usize, value: f64| {
            list.get_mut(place).into_iter().for_each(|there| *there = value);
        };
        let mut largest: f64 = 0.0;
        for (rank, (place, p)) in ranked.iter().enumerate() {
            largest = largest.max(p * (count - rank) as f64).min(1.0);
            set(&mut corrected.holm, *place, largest);
        }
        let mut smallest: f64 = 1.0;
        for (rank, (place, p)) in ranked.iter().enumerate().rev() {
            smallest = smallest.min(p * count as f64 / (rank + 1) as f64);
            set(&mut corrected.q_values, *place, smallest);
        }
        corrected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 0.01, 0.04, 0.03 and 0.005: Holm 4 x 0.005, 3 x 0.01, 2 x 0.03, then no less; Benjamini and Hochberg 4/1 x 0.005, 4/2 x 0.01,
    /// 4/3 x 0.03, 4/4 x 0.04.
    #[test]
    fn by_hand() {
        let found = Corrected::new(&[0.01, 0.04, 0.03, 0.005]);
        let near = |found: &[f64], expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(&found.holm, [0.03, 0.06, 0.06, 0.02]);
        near(&found.q_values, [0.02, 0.04, 0.04, 0.02]);
        assert_eq!(Corrected::new(&[]), Corrected::default());
        assert_eq!(Corrected::new(&[0.9, 0.8]).holm, [1.0, 1.0]);
    }
}
