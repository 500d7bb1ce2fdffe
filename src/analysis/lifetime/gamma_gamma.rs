//! What a purchase of a customer is worth: the Gamma-Gamma model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::function::gamma::{digamma, ln_gamma};

use super::optimum::{Optimum, Sloped, maximize};

/// The Gamma-Gamma model of the value of purchases.
///
/// # Definition
/// The values of a customer's purchases are gamma distributed with shape p and a rate of the customer's own; over customers
/// that is gamma distributed with shape q and rate v, and does not depend on how often they buy.
///
/// # Worked example
/// Of CDNOW's customers with repeats p = 6.25, q = 3.74 and v = 15.44 were found, in dollars. Who bought twice more for 22.35
/// on average is expected to spend a little more each time:
/// ```
/// use journeylog::GammaGamma;
/// let model = GammaGamma { p: 6.25, q: 3.74, v: 15.44 };
/// assert_eq!(format!("{:.2}", model.expected_value(2, 22.35)), "24.66");
/// assert_eq!(format!("{:.2}", model.expected_value(0, 0.0)), "35.22"); // of everybody
/// ```
///
/// # Literature
/// P. S. Fader, B. G. S. Hardie, K. L. Lee (2005), RFM and CLV: using iso-value curves for customer base analysis, *Journal of
/// Marketing Research* 42 (4), 415-430; P. S. Fader, B. G. S. Hardie (2013), The Gamma-Gamma model of monetary value, a
/// note at brucehardie.com.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaGamma {
    /// The shape of a customer's values.
    pub p: f64,
    /// The shape of the distribution of rates.
    pub q: f64,
    /// Its rate, in units of money.
    pub v: f64,
}

/// Customers with as many repeats: what they spent on these in all, each, and the sum of the logarithms of their means.
#[derive(Debug, Default)]
struct Alike {
    spent: Vec<f64>,
    ln_means: f64,
}

impl Alike {
    fn add(&mut self, spent: f64, mean: f64) {
        self.spent.push(spent);
        self.ln_means += mean.ln();
    }
}

impl GammaGamma {
    /// The model under which these are likeliest: how many repeats, and what they were worth on average, which is more than
    /// nothing. `None` if there are none.
    pub(super) fn fit(customers: &[(u32, f64)]) -> Option<(Self, Optimum)> {
        if customers.is_empty() {
            return None;
        }
        let mean = customers.iter().map(|(_, mean)| mean).sum::<f64>() / customers.len() as f64;
        let mut by_repeats: BTreeMap<u32, Alike> = BTreeMap::new();
        for (repeats, mean) in customers {
            by_repeats.entry(*repeats).or_default().add(f64::from(*repeats) * mean, *mean);
        }
        let (found, optimum) = maximize([2.0, 3.0, mean], |parameters| {
            let mut all = Sloped { value: 0.0, slopes: [0.0; 3] };
            for (repeats, alike) in &by_repeats {
                all.add(Self::of(parameters).likelihood(*repeats, alike));
            }
            all
        });
        Some((Self::of(found), optimum))
    }

    fn of([p, q, v]: [f64; 3]) -> Self {
        Self { p, q, v }
    }

    /// The logarithm of the likelihood of so many repeats that were worth so much on average, both more than nothing.
    pub fn log_likelihood(&self, repeats: u32, mean: f64) -> f64 {
        let mut one = Alike::default();
        one.add(f64::from(repeats) * mean, mean);
        self.likelihood(repeats, &one).value
    }

    /// The logarithm of the likelihood of these, and how it rises with p, q and v.
    fn likelihood(&self, repeats: u32, alike: &Alike) -> Sloped<3> {
        let Self { p, q, v } = *self;
        let x = f64::from(repeats);
        let all = alike.spent.len() as f64;
        let (ln_spent, per_spent) = alike.spent.iter().fold((0.0, 0.0), |(ln, per), spent| {
            let with = spent + v;
            (ln + with.ln(), per + with.recip())
        });
        let shape = p * x;
        let each = ln_gamma(shape + q) - ln_gamma(shape) - ln_gamma(q) + q * v.ln() + shape * x.ln();
        let both = digamma(shape + q);
        let by_shape = all * (both - digamma(shape) + x.ln()) + alike.ln_means - ln_spent;
        Sloped {
            value: each * all + (shape - 1.0) * alike.ln_means - (shape + q) * ln_spent,
            slopes: [
                x * by_shape,
                all * (both - digamma(q) + v.ln()) - ln_spent,
                all * q / v - (shape + q) * per_spent,
            ],
        }
    }

    /// What a purchase of a customer with so many repeats that were worth so much on average is expected to be worth. Where q
    /// is at most 1, nothing can be expected of those without repeats: infinite.
    pub fn expected_value(&self, repeats: u32, mean: f64) -> f64 {
        let Self { p, q, v } = *self;
        let x = f64::from(repeats);
        let of = p * x + q - 1.0;
        if of <= 0.0 { f64::INFINITY } else { p * (v + x * mean) / of }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::optimum::tests::{assert_slopes, greatest},
        *,
    };

    /// As the model says it for one rate, summed up over many.
    #[test]
    fn the_formulas_are_what_the_model_sums_up_to() {
        let model = GammaGamma { p: 3.0, q: 4.0, v: 12.0 };
        for (repeats, mean) in [(1_u32, 8.0_f64), (2, 30.0), (5, 11.0)] {
            let shape = model.p * f64::from(repeats);
            let (mut all, mut worth, mut weight) = (0.0, 0.0, 0.0);
            for step in 0..200_000_u32 {
                let rate = (f64::from(step) + 0.5) * 2e-5;
                let prior = rate.powf(model.q - 1.0) * (-model.v * rate).exp();
                // The mean of n gamma variables is gamma distributed with n times the shape and the rate.
                let total = f64::from(repeats) * rate;
                let density =
                    total.powf(shape) * mean.powf(shape - 1.0) * (-total * mean).exp() / ln_gamma(shape).exp();
                weight += prior;
                all += prior * density;
                worth += prior * density * model.p / rate;
            }
            let close = |found: f64, right: f64| (found / right - 1.0).abs() < 1e-3;
            assert!(close(model.log_likelihood(repeats, mean).exp(), all / weight), "{repeats} {mean}");
            assert!(close(model.expected_value(repeats, mean), worth / all), "{repeats} {mean}");
        }
        assert!(GammaGamma { q: 0.9, ..model }.expected_value(0, 0.0).is_infinite());
    }

    #[test]
    fn slopes_are_what_differences_say() {
        let mut alike = Alike::default();
        [(8.0, 4.0), (30.0, 15.0), (1.0, 0.5)].into_iter().for_each(|(spent, mean)| alike.add(spent, mean));
        for at in [[3.0, 4.0, 12.0], [0.2, 0.7, 90.0], [40.0, 9.0, 0.3]] {
            assert_slopes(at, |parameters| GammaGamma::of(parameters).likelihood(2, &alike));
        }
    }

    #[test]
    fn nothing_near_a_fit_is_likelier() {
        let mut random = fastrand::Rng::with_seed(3);
        let customers: Vec<(u32, f64)> = (0..2_000)
            .map(|_| {
                let even = |random: &mut fastrand::Rng| -> f64 { random.f64().max(f64::MIN_POSITIVE) };
                // Gamma of shape 3 over one of shape 4.
                let rate = -(0..4).map(|_| even(&mut random)).product::<f64>().ln() / 12.0;
                let repeats = random.u32(1..6);
                let spent: f64 = -(0..3 * repeats).map(|_| even(&mut random).ln()).sum::<f64>() / rate;
                (repeats, spent / f64::from(repeats))
            })
            .collect();
        let (model, optimum) = GammaGamma::fit(&customers).unwrap();
        assert!(optimum.converged);
        let sum = |model: GammaGamma| customers.iter().map(|(x, mean)| model.log_likelihood(*x, *mean)).sum::<f64>();
        assert!(sum(GammaGamma::of([3.0, 4.0, 12.0])) <= optimum.log_likelihood);
        for (place, by) in (0..3).flat_map(|place| [(place, 1.01), (place, 0.99)]) {
            let mut beside = [model.p, model.q, model.v];
            beside[place] *= by;
            assert!(sum(GammaGamma::of(beside)) < optimum.log_likelihood, "{place} {by}");
        }
        let start = [2.0, 3.0, 20.0];
        assert!(greatest(start, |parameters| sum(GammaGamma::of(parameters))) - 1e-6 <= optimum.log_likelihood);
        assert!(GammaGamma::fit(&[]).is_none());
        assert!(GammaGamma::fit(&[(1, 1e-9), (u32::MAX, 1e17)]).unwrap().1.log_likelihood.is_finite());
    }
}
