//! How often customers buy, and when they stop without a word: the BG/NBD model.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

use super::{
    histories::Histories,
    optimum::{Optimum, maximize},
};

/// A customer's purchases as [`BgNbd`] sees them: three numbers, in one unit of time.
///
/// Purchases of one day are one; so the first day with a purchase is where observation of a customer begins.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct PurchaseHistory {
    /// Purchases after the first.
    pub repeats: u32,
    /// From the first purchase to the last; 0 without a repeat.
    pub last: f64,
    /// From the first purchase to the end of observation.
    pub observed: f64,
}

/// The beta-geometric / negative binomial model of purchases that nobody has to make.
///
/// # Definition
/// While a customer is active they buy at a rate λ of their own (a Poisson process), and after each purchase stop for good with
/// a probability p of their own. Over customers λ is gamma distributed with shape r and rate alpha, and p beta distributed
/// with a and b, independently. Times are in the unit of the histories that it was fitted to.
///
/// # Worked example
/// The paper's own data, a sample of CDNOW's customers in weeks, give r = 0.243, alpha = 4.414, a = 0.793, b = 2.426. Of a
/// customer with two repeats, the last in week 30.43 of 38.86:
/// ```
/// use journeylog::{BgNbd, PurchaseHistory};
/// let model = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };
/// let customer = PurchaseHistory { repeats: 2, last: 30.43, observed: 38.86 };
/// assert_eq!(format!("{:.3}", model.expected_purchases(&customer, 39.0)), "1.226");
/// assert_eq!(format!("{:.2}", model.alive(&customer)), "0.73");
/// ```
///
/// # Literature
/// P. S. Fader, B. G. S. Hardie, K. L. Lee (2005), "Counting your customers" the easy way: an alternative to the Pareto/NBD
/// model, *Marketing Science* 24 (2), 275-284.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BgNbd {
    /// The shape of the distribution of rates.
    pub r: f64,
    /// Its rate, in the unit of time.
    pub alpha: f64,
    /// The first parameter of the distribution of stopping.
    pub a: f64,
    /// The second.
    pub b: f64,
}

/// A history, and how many customers have it.
pub(super) type Group = (PurchaseHistory, u64);

impl BgNbd {
    /// The model under which these histories are likeliest, each with how many customers have it and those of as many repeats
    /// together; `None` if nobody bought twice.
    pub(super) fn fit(groups: &[Group]) -> Option<(Self, Optimum)> {
        let customers: u64 = groups.iter().map(|(_, customers)| customers).sum();
        let sum = |of: fn(&PurchaseHistory) -> f64| -> f64 {
            groups.iter().map(|(history, customers)| of(history) * *customers as f64).sum()
        };
        if sum(|history| history.repeats.into()) == 0.0 {
            return None;
        }
        // Rates are of the order of one purchase in the mean time of observation.
        let observed = (sum(|history| history.observed) / customers as f64).max(1e-3);
        let histories = Histories::of(groups);
        let (found, optimum) = maximize([1.0, observed, 1.0, 2.0], |parameters| histories.likelihood(parameters));
        Some((Self::of(found), optimum))
    }

    fn of([r, alpha, a, b]: [f64; 4]) -> Self {
        Self { r, alpha, a, b }
    }

    /// The logarithm of the likelihood of a history under this model.
    pub fn log_likelihood(&self, history: &PurchaseHistory) -> f64 {
        let Self { r, alpha, a, b } = *self;
        Histories::of(&[(*history, 1)]).likelihood([r, alpha, a, b]).value
    }

    /// The odds that a customer has stopped.
    fn odds_of_stopping(&self, history: &PurchaseHistory) -> f64 {
        let Self { r, alpha, a, b } = *self;
        let x = f64::from(history.repeats);
        if history.repeats == 0 {
            return 0.0;
        }
        a / (b + x - 1.0) * ((alpha + history.observed) / (alpha + history.last)).powf(r + x)
    }

    /// The probability that a customer has not stopped by the end of observation. Under this model nobody stops before a
    /// second purchase, so it is 1 without a repeat.
    pub fn alive(&self, history: &PurchaseHistory) -> f64 {
        1.0 / (1.0 + self.odds_of_stopping(history))
    }

    /// How many purchases are to be expected of a customer in so much time after the end of observation. Not a number where the
    /// parameters are none.
    pub fn expected_purchases(&self, history: &PurchaseHistory, time: f64) -> f64 {
        let Self { r, alpha, b, .. } = *self;
        let x = f64::from(history.repeats);
        // At 1 the formula is a limit, and so it is where its series has a pole.
        let off = |a: f64, pole: f64| if (a - pole).abs() < 1e-7 { pole + 1e-7 } else { a };
        let a = off(off(self.a, 1.0), 1.0 - b - x);
        let (z, c) = (time / (alpha + history.observed + time), a + b + x - 1.0);
        let not_bought = weighted_by_purchases(r + x, z, b + x, c);
        let expected = c / (a - 1.0) * (1.0 - not_bought) * self.alive(history);
        // What rounding leaves of nothing may be less.
        if expected < 0.0 { 0.0 } else { expected }
    }
}

/// The mean of (b)_n / (c)_n over a number n of purchases that is negative binomial with shape k and probability z, where (b)_n
/// is b (b + 1) ... (b + n - 1): (1 - z)^k times Gauss's 2F1(k, b; c; z), for z from 0 to below 1 and c above -1 and not 0.
///
/// All terms but the first have one sign, so nothing cancels out. They are summed up from the greatest on to both sides.
fn weighted_by_purchases(k: f64, z: f64, b: f64, c: f64) -> f64 {
    let none = k * (-z).ln_1p();
    // The term of n + 1 as a multiple of that of n.
    let ratio = |n: f64| (k + n) * z / (n + 1.0) * ((b + n) / (c + n));
    let most = greatest_term(k, z, b, c);
    let ln_most = none + most * z.ln() + ln_rising(k, most) - ln_gamma(most + 1.0) + ln_rising(b + 1.0, most - 1.0)
        - ln_rising(c + 1.0, most - 1.0);
    let (first, mut sum) = (ln_most.exp(), 0.0);
    let mut term = first;
    for place in (0..MOST_TERMS).map(f64::from) {
        sum += term;
        term *= ratio(most + place);
        if term <= f64::EPSILON * sum {
            break;
        }
    }
    term = first;
    for place in (1..MOST_TERMS).map(f64::from).take_while(|place| *place < most) {
        term /= ratio(most - place);
        sum += term;
        if term <= f64::EPSILON * sum {
            break;
        }
    }
    none.exp() + b / c * sum
}

const MOST_TERMS: u32 = 100_000;

/// The logarithm of x (x + 1) ... (x + n - 1), for x above 0.
fn ln_rising(x: f64, n: f64) -> f64 {
    ln_gamma(x + n) - ln_gamma(x)
}

/// The n from 1 on of about the greatest term: where the next one is as great.
fn greatest_term(k: f64, z: f64, b: f64, c: f64) -> f64 {
    let (square, linear, constant) = (1.0 - z, c + 1.0 - z * (k + b), c - z * k * b);
    let under_root = (linear * linear - 4.0 * square * constant).max(0.0);
    let most = (under_root.sqrt() - linear) / (2.0 * square);
    // Not a number, or beyond all that can be counted: from the first on.
    if most.is_finite() { most.floor().clamp(1.0, 1e15) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The likelihood of a history, the part of it in which the customer has not stopped, and their purchases within a time, as
    /// the model says them for one rate and one probability, summed up over many of both.
    fn summed(model: &BgNbd, history: &PurchaseHistory, time: f64) -> (f64, f64, f64) {
        const STEPS: u32 = 1_000;
        let BgNbd { r, alpha, a, b } = *model;
        let x = i32::try_from(history.repeats).unwrap();
        let middle = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
        let (mut all, mut alive, mut bought, mut weight) = (0.0, 0.0, 0.0, 0.0);
        for (i, j) in (0..STEPS).flat_map(|i| (0..STEPS).map(move |j| (i, j))) {
            // Rates from 0 to 40 times the mean hardly leave anything out.
            let (rate, stops) = (middle(i) * 40.0 * r / alpha, middle(j));
            let prior = rate.powf(r - 1.0) * (-alpha * rate).exp() * stops.powf(a - 1.0) * (1.0 - stops).powf(b - 1.0);
            let goes_on = (1.0 - stops).powi(x) * rate.powi(x) * (-rate * history.observed).exp();
            let stopped = stops * (1.0 - stops).powi(x - 1) * rate.powi(x) * (-rate * history.last).exp();
            weight += prior;
            all += prior * (goes_on + if x > 0 { stopped } else { 0.0 });
            alive += prior * goes_on;
            bought += prior * goes_on * (1.0 - (-rate * stops * time).exp()) / stops;
        }
        (all / weight, alive / all, bought / all)
    }

    #[test]
    fn the_formulas_are_what_the_model_sums_up_to() {
        let models =
            [[2.0, 4.0, 2.0, 3.0], [3.0, 1.5, 1.0, 2.0], [2.5, 10.0, 3.5, 1.5], [2.0, 5.0, 15.0, 45.0]].map(BgNbd::of);
        let history = |repeats, last, observed| PurchaseHistory { repeats, last, observed };
        for model in models {
            for history in [history(0, 0.0, 5.0), history(1, 0.5, 6.0), history(3, 5.0, 6.0), history(7, 2.0, 9.0)] {
                let (likelihood, alive, bought) = summed(&model, &history, 12.0);
                let close = |found: f64, right: f64| (found / right - 1.0).abs() < 2e-3;
                let context = format!("{model:?} {history:?}");
                assert!(close(model.log_likelihood(&history).exp(), likelihood), "{context}: {likelihood}");
                assert!(close(model.alive(&history), alive), "{context}: {alive}");
                assert!(close(model.expected_purchases(&history, 12.0), bought), "{context}: {bought}");
            }
        }
    }

    #[test]
    fn a_fit_finds_again_what_the_customers_were_made_by() {
        let mut random = fastrand::Rng::with_seed(7);
        let histories: Vec<PurchaseHistory> = (0..20_000)
            .map(|_| {
                // Gamma of shape 2 and beta of 1 and 3, by sums and products of what is evenly drawn.
                let rate = -(random.f64() * random.f64()).ln() / 5.0;
                let stops = 1.0 - random.f64().powf(1.0 / 3.0);
                let observed = random.f64() * 30.0 + 10.0;
                let (mut at, mut last, mut repeats) = (0.0, 0.0, 0);
                loop {
                    at -= random.f64().ln() / rate;
                    if at > observed {
                        break;
                    }
                    (last, repeats) = (at, repeats + 1);
                    if random.f64() < stops {
                        break;
                    }
                }
                PurchaseHistory { repeats, last, observed }
            })
            .collect();
        let mut groups: Vec<Group> = histories.into_iter().map(|history| (history, 1)).collect();
        groups.sort_by_key(|(history, _)| history.repeats);
        let (model, optimum) = BgNbd::fit(&groups).unwrap();
        assert!(optimum.converged);
        let likelihood = |parameters| Histories::of(&groups).likelihood(parameters).value;
        assert!(optimum.log_likelihood >= likelihood([2.0, 5.0, 1.0, 3.0]));
        for (found, right) in [(model.r, 2.0), (model.alpha, 5.0), (model.a, 1.0), (model.b, 3.0)] {
            assert!((found / right - 1.0_f64).abs() < 0.1, "{model:?}");
        }
        // Nothing near is likelier.
        for (place, by) in (0..4).flat_map(|place| [(place, 1.01), (place, 0.99)]) {
            let mut beside = [model.r, model.alpha, model.a, model.b];
            beside[place] *= by;
            assert!(likelihood(beside) < optimum.log_likelihood, "{place} {by}");
        }
    }

    #[test]
    fn odd_data_have_no_optimum_or_none_is_claimed() {
        let group = |repeats, last, observed, customers| (PurchaseHistory { repeats, last, observed }, customers);
        assert!(BgNbd::fit(&[]).is_none());
        assert!(BgNbd::fit(&[group(0, 0.0, 9.0, 100)]).is_none());
        // Everybody alike: rates do not differ, so their distribution shrinks to a point.
        let (model, optimum) = BgNbd::fit(&[group(10, 10.0, 10.5, 100)]).unwrap();
        assert!(!optimum.converged, "{model:?}");
        for groups in [vec![group(u32::MAX, 1e9, 1e9, 1)], vec![group(1, 0.0, 0.0, u64::MAX)]] {
            let (model, optimum) = BgNbd::fit(&groups).unwrap();
            assert!(optimum.log_likelihood.is_finite(), "{model:?} {optimum:?}");
            assert!(model.alive(&groups[0].0).is_finite(), "{model:?}");
        }
    }

    /// Who buy alike, about once in a unit of time, cannot be expected to buy more often than that.
    #[test]
    fn expectations_hold_where_rates_are_alike_and_the_time_is_long() {
        let history = PurchaseHistory { repeats: 0, last: 0.0, observed: 1.0 };
        // By the formula with forty digits (mpmath).
        for (r, right) in [(150.0, 13.722_550_6), (200.0, 13.733_846_3), (300.0, 13.745_160_1)] {
            let model = BgNbd { r, alpha: r, a: 0.8, b: 2.4 };
            let found = model.expected_purchases(&history, 104.0);
            assert!((found / right - 1.0).abs() < 1e-7, "{r}: {found} {right}");
        }
        let customer = PurchaseHistory { repeats: 60, last: 60.0, observed: 61.0 };
        for r in [0.01, 1.0, 582.0, 22_000.0] {
            for (alpha, time) in [(r, 104.0), (r * 10.0, 1e4), (1e-3, 52.0)] {
                for customer in [&history, &customer] {
                    let found = BgNbd { r, alpha, a: 0.8, b: 2.4 }.expected_purchases(customer, time);
                    assert!(found.is_finite() && found >= 0.0, "{r} {alpha} {time}: {found}");
                }
            }
        }
    }

    /// Where all stop alike: each buys at rate λ until they stop with p, so in a time t (1 - e^(-pλt)) / p times.
    #[test]
    fn customers_who_stop_alike_have_large_parameters() {
        let history = PurchaseHistory { repeats: 0, last: 0.0, observed: 0.0 };
        for size in [1e2, 1e4, 1e6] {
            // Rates are alike too, at 1/5; of four purchases one is the last.
            let model = BgNbd { r: size, alpha: 5.0 * size, a: size, b: 3.0 * size };
            let right = (1.0 - (-0.25_f64 * 52.0 / 5.0).exp()) / 0.25;
            let found = model.expected_purchases(&history, 52.0);
            assert!((found / right - 1.0).abs() < 2.0 / size + 1e-3, "{size}: {found} {right}");
        }
        let model = BgNbd { r: 1.0, alpha: 5.0, a: 300.0, b: 900.0 };
        assert_eq!(format!("{:.3}", model.expected_purchases(&history, 52.0)), "2.893");
    }

    #[test]
    fn expectations_go_on_where_the_formula_has_a_hole() {
        let history = PurchaseHistory { repeats: 0, last: 0.0, observed: 10.0 };
        let expected = |a: f64, b: f64| BgNbd { r: 0.5, alpha: 4.0, a, b }.expected_purchases(&history, 20.0);
        for (a, b) in [(1.0, 2.0), (0.4, 0.6), (0.3, 0.2)] {
            let (here, beside) = (expected(a, b), expected(a + 1e-4, b));
            assert!(here > 0.0 && (here / beside - 1.0).abs() < 1e-3, "{a} {b}: {here} {beside}");
        }
    }
}
