//! The maximum of a likelihood whose parameters are all positive.

use argmin::{
    core::{CostFunction, Error, Executor, State},
    solver::neldermead::NelderMead,
};
use serde::{Deserialize, Serialize};

/// How a maximum was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Optimum {
    /// The logarithm of the likelihood there.
    pub log_likelihood: f64,
    /// Whether it lies within bounds, and looking on from it found nothing better.
    pub converged: bool,
}

/// Searches begin anew at the best that was found, until that brings less than this.
const BETTER: f64 = 1e-7;
const SEARCHES: usize = 20;
const STEPS: u64 = 2_000;
/// Parameters lie within factors of e^15 of the first guess.
const BOUND: f64 = 15.0;
/// Beyond a factor of e^10 they go on without end: what is likeliest is a limit of the model.
const LIMIT: f64 = 10.0;

/// The parameters at which a function is greatest, from a first guess on.
pub(super) fn maximize<const N: usize>(start: [f64; N], value: impl Fn([f64; N]) -> f64) -> ([f64; N], Optimum) {
    let parameters = |logs: &[f64]| -> [f64; N] {
        let factor = |place: usize| logs.get(place).copied().unwrap_or_default().clamp(-BOUND, BOUND).exp();
        let mut places = 0..;
        start.map(|start| start * places.next().map_or(1.0, factor))
    };
    let cost = |logs: &[f64]| {
        let value = value(parameters(logs));
        // Beyond the bounds it falls off, so that there is always a way back.
        let beyond: f64 = logs.iter().map(|log| (log.abs() - BOUND).max(0.0)).sum();
        if value.is_finite() { beyond - value } else { f64::MAX }
    };
    let mut best = vec![0.0; N];
    let (mut least, mut converged) = (cost(&best), false);
    let is_beyond = |logs: &[f64]| logs.iter().any(|log| log.abs() >= LIMIT);
    for _ in 0..SEARCHES {
        let Some((found, cost)) = search(cost, &best) else { break };
        let gain = least - cost;
        if gain > 0.0 {
            (best, least) = (found, cost);
        }
        converged = gain < BETTER;
        if converged || is_beyond(&best) {
            break;
        }
    }
    (parameters(&best), Optimum { log_likelihood: -least, converged: converged && !is_beyond(&best) })
}

struct Cost<F>(F);

impl<F: Fn(&[f64]) -> f64> CostFunction for Cost<F> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, parameters: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.0(parameters))
    }
}

/// One search by the method of Nelder and Mead, and how little it costs where it ends.
fn search(cost: impl Fn(&[f64]) -> f64, from: &[f64]) -> Option<(Vec<f64>, f64)> {
    let beside = (0..from.len()).map(|moved| {
        let log = |(place, log): (usize, &f64)| if place == moved { log + 0.5 } else { *log };
        from.iter().enumerate().map(log).collect()
    });
    let corners: Vec<Vec<f64>> = std::iter::once(from.to_vec()).chain(beside).collect();
    let solver = NelderMead::new(corners).with_sd_tolerance(1e-10).ok()?;
    let done = Executor::new(Cost(cost), solver).configure(|state| state.max_iters(STEPS)).run().ok()?;
    let best = done.state().get_best_param()?.clone();
    Some((best, done.state().get_best_cost()))
}
