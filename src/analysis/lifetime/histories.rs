//! The likelihood of very many purchase histories under the BG/NBD model, and how it rises with each parameter.

use statrs::function::gamma::{digamma, ln_gamma};

use super::{bg_nbd::Group, optimum::Sloped};

/// Up to so many repeats, products are worked out factor by factor, which loses no digits where parameters are large.
const FACTORS: u32 = 200;

/// Distinct histories, laid out for being walked many times.
#[derive(Debug)]
pub(super) struct Histories {
    /// All times that occur; ascending.
    times: Vec<f64>,
    /// Those of as many repeats stand together.
    pieces: Vec<Piece>,
}

/// Histories of as many repeats.
#[derive(Debug)]
struct Piece {
    repeats: u32,
    customers: f64,
    /// The places of the last purchase and of the end of observation in the times, and how many customers have both.
    histories: Vec<(u32, u32, f64)>,
}

/// The logarithm of a time and what goes with it, and its reciprocal.
type Time = (f64, f64);

impl Histories {
    /// Of histories of which those of as many repeats stand together.
    pub(super) fn of(groups: &[Group]) -> Self {
        let mut times: Vec<f64> = groups.iter().flat_map(|(history, _)| [history.last, history.observed]).collect();
        times.sort_unstable_by(f64::total_cmp);
        times.dedup();
        let place = |time: f64| u32::try_from(times.partition_point(|known| *known < time)).unwrap_or(u32::MAX);
        let alike = groups.chunk_by(|(a, _), (b, _)| a.repeats == b.repeats);
        let pieces = alike.filter_map(|alike| {
            let (first, _) = alike.first()?;
            let history =
                |(history, customers): &Group| (place(history.last), place(history.observed), *customers as f64);
            let customers = alike.iter().map(|(_, customers)| *customers as f64).sum();
            Some(Piece { repeats: first.repeats, customers, histories: alike.iter().map(history).collect() })
        });
        Self { pieces: pieces.collect(), times }
    }

    /// The logarithm of their likelihood, and how it rises with r, alpha, a and b.
    pub(super) fn likelihood(&self, parameters: [f64; 4]) -> Sloped<4> {
        let [_, alpha, ..] = parameters;
        let times: Vec<Time> = self.times.iter().map(|time| ((alpha + time).ln(), (alpha + time).recip())).collect();
        let mut all = Sloped { value: 0.0, slopes: [0.0; 4] };
        self.pieces.iter().for_each(|piece| all.add(piece.likelihood(parameters, &times)));
        all
    }
}

impl Piece {
    fn likelihood(&self, [r, alpha, a, b]: [f64; 4], times: &[Time]) -> Sloped<4> {
        let (x, all) = (f64::from(self.repeats), self.customers);
        let time = |place: u32| times.get(place as usize).copied().unwrap_or_default();
        // The sums of what depends on times: the logarithm, the share of those who have stopped, and for r and alpha the mean
        // over both ways of the logarithms and reciprocals.
        let (mut value, mut stopped, mut ln_times, mut per_times) = (0.0, 0.0, 0.0, 0.0);
        if self.repeats == 0 {
            for (_, observed, customers) in &self.histories {
                let (ln, per) = time(*observed);
                (ln_times, per_times) = (ln_times + ln * customers, per_times + per * customers);
            }
            value = -r * ln_times;
        } else {
            let ln_stops = a.ln() - (b + x - 1.0).ln();
            for (last, observed, customers) in &self.histories {
                let ((ln_last, per_last), (ln_observed, per_observed)) = (time(*last), time(*observed));
                // The odds of having stopped.
                let longer = (r + x) * (ln_observed - ln_last) + ln_stops;
                let odds = longer.exp();
                let stops = if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 };
                let more = if odds.is_finite() { odds.ln_1p() } else { longer };
                value += (more - (r + x) * ln_observed) * customers;
                stopped += stops * customers;
                ln_times += (ln_observed + stops * (ln_last - ln_observed)) * customers;
                per_times += (per_observed + stops * (per_last - per_observed)) * customers;
            }
        }
        let (buys, by_r) = rise(r, self.repeats);
        let (stays, by_b) = rise(b, self.repeats);
        let (either, by_either) = rise(a + b, self.repeats);
        let stops = if self.repeats == 0 { 0.0 } else { stopped / (b + x - 1.0) };
        Sloped {
            value: value + all * (r * alpha.ln() + buys + stays - either),
            slopes: [
                all * (alpha.ln() + by_r) - ln_times,
                all * r / alpha - (r + x) * per_times,
                stopped / a - all * by_either,
                all * (by_b - by_either) - stops,
            ],
        }
    }
}

/// The logarithm of the gamma function of `from + repeats` over that of `from`, and how it rises with `from`.
fn rise(from: f64, repeats: u32) -> (f64, f64) {
    if repeats > FACTORS {
        let to = from + f64::from(repeats);
        return (ln_gamma(to) - ln_gamma(from), digamma(to) - digamma(from));
    }
    let factors = (0..repeats).map(|factor| from + f64::from(factor));
    factors.fold((0.0, 0.0), |(ln, slope), factor| (ln + factor.ln(), slope + factor.recip()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            bg_nbd::{BgNbd, PurchaseHistory},
            optimum::tests::{assert_slopes, greatest},
        },
        *,
    };

    /// Histories of random customers, who go by the model or by nothing at all.
    fn random_groups(random: &mut fastrand::Rng) -> Vec<Group> {
        let (most, long) = (random.u32(1..40), random.f64() * 500.0 + 1.0);
        let (wait, staying, by_model) = (random.f64() * 50.0 + 1.0, random.f64(), random.bool());
        let history = |random: &mut fastrand::Rng| {
            let mut repeats = random.u32(..=random.clone().u32(..=most));
            let observed = (random.f64() * long).ceil();
            let mut last = if repeats == 0 { 0.0 } else { (random.f64() * observed).floor() };
            if by_model {
                let (rate, stops) = (-(random.f64() * random.f64()).ln() / wait, 1.0 - random.f64().powf(staying));
                let mut at = 0.0;
                (repeats, last) = (0, 0.0);
                while repeats == 0 || random.f64() > stops {
                    at -= random.f64().ln() / rate;
                    if at > observed {
                        break;
                    }
                    (repeats, last) = (repeats + 1, at);
                }
            }
            (PurchaseHistory { repeats, last, observed }, random.u64(1..5))
        };
        let mut groups: Vec<Group> = (0..random.usize(20..400)).map(|_| history(random)).collect();
        groups.sort_by_key(|(history, _)| history.repeats);
        groups
    }

    #[test]
    fn slopes_are_what_differences_say() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..50 {
            let histories = Histories::of(&random_groups(&mut random));
            let mut parameter = || (random.f64() * 8.0 - 4.0).exp();
            let at = [parameter(), parameter(), parameter(), parameter()];
            assert_slopes(at, |parameters| histories.likelihood(parameters));
        }
        // Very many repeats.
        let many = [1_000, 1_000_000].map(|repeats| (PurchaseHistory { repeats, last: 8.0, observed: 9.0 }, 1));
        assert_slopes([2.0, 3.0, 1.5, 4.0], |parameters| Histories::of(&many).likelihood(parameters));
    }

    #[test]
    fn sums_are_those_of_each_history() {
        let groups = random_groups(&mut fastrand::Rng::with_seed(6));
        let model = BgNbd { r: 0.7, alpha: 9.0, a: 0.5, b: 3.0 };
        let each = groups.iter().map(|(history, customers)| model.log_likelihood(history) * *customers as f64);
        let all = Histories::of(&groups).likelihood([0.7, 9.0, 0.5, 3.0]).value;
        assert!((each.sum::<f64>() / all - 1.0).abs() < 1e-12);
    }

    /// Factors and gamma functions give the same on both sides of the limit between them.
    #[test]
    fn products_go_on_as_gamma_functions() {
        for from in [0.1, 3.0, 70.0] {
            let (ln, slope) = rise(from, FACTORS);
            let last = from + f64::from(FACTORS);
            let next = rise(from, FACTORS + 1);
            assert!((next.0 / (ln + last.ln()) - 1.0).abs() < 1e-12, "{from}");
            assert!((next.1 / (slope + last.recip()) - 1.0).abs() < 1e-12, "{from}");
        }
    }

    #[test]
    fn nothing_likelier_is_found_without_slopes() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut converged = 0;
        for round in 0..40 {
            let groups = random_groups(&mut random);
            let Some((_, optimum)) = BgNbd::fit(&groups) else { continue };
            converged += u32::from(optimum.converged);
            let customers: u64 = groups.iter().map(|(_, customers)| customers).sum();
            let observed: f64 = groups.iter().map(|(history, customers)| history.observed * *customers as f64).sum();
            let start = [1.0, observed / customers as f64, 1.0, 2.0];
            let other = greatest(start, |parameters| Histories::of(&groups).likelihood(parameters).value);
            assert!(optimum.log_likelihood >= other - 1e-6, "round {round}: {optimum:?}, {other}");
        }
        assert!((10..40).contains(&converged), "{converged}");
    }
}
