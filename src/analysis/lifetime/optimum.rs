//! The maximum of a likelihood whose parameters are all positive.
#![expect(clippy::indexing_slicing, reason = "places are below the number of parameters")]

use std::{array::from_fn, cell::Cell};

use argmin::{
    core::{CostFunction, Error, Executor, Gradient, IterState},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::BFGS},
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

/// A function's value at a point, and how fast it rises there with each parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sloped<const N: usize> {
    pub(super) value: f64,
    pub(super) slopes: [f64; N],
}

impl<const N: usize> Sloped<N> {
    pub(super) fn add(&mut self, other: Self) {
        self.value += other.value;
        self.slopes.iter_mut().zip(other.slopes).for_each(|(sum, slope)| *sum += slope);
    }
}

const ROUNDS: u32 = 10;
const STEPS: u64 = 200;
/// A step that adds less to the logarithm of the likelihood ends the search.
const ENOUGH: f64 = 1e-8;
/// A step to the top of the parabola at the end that is as short as this would bring nothing that rounding does not hide.
const NEAR: f64 = 1e-3;
/// Parameters lie within factors of e^10 of the first guess. What is likeliest at such a bound is a limit of the model.
const LIMIT: f64 = 10.0;
/// Slopes are compared at so much to both sides.
const BESIDE: f64 = 1e-4;

/// The parameters at which a function is greatest, from a first guess on: by the method of Broyden, Fletcher, Goldfarb and
/// Shanno over their logarithms, begun anew at the best that was seen as long as that helps.
pub(super) fn maximize<const N: usize>(
    start: [f64; N],
    function: impl Fn([f64; N]) -> Sloped<N>,
) -> ([f64; N], Optimum) {
    let search = Search { start, function, seen: Cell::new(None), best: Cell::new(([0.0; N], f64::NAN)) };
    let mut before = search.at(&[0.0; N]).value;
    for _ in 0..ROUNDS {
        search.go_on();
        let (_, best) = search.best.get();
        if best - before <= ENOUGH {
            break;
        }
        before = best;
    }
    let (logs, _) = search.best.get();
    let logs = logs.map(|log| log.clamp(-LIMIT, LIMIT));
    let Sloped { value: log_likelihood, slopes } = search.at(&logs);
    let top = step(&search.bends(&logs), &slopes);
    let converged = longest(&logs) < LIMIT && top.is_some_and(|step| longest(&step) <= NEAR);
    (search.parameters(&logs), Optimum { log_likelihood, converged })
}

/// What a search looks at, and the best that it saw.
struct Search<F, const N: usize> {
    start: [f64; N],
    function: F,
    /// Value and slopes are asked for apart.
    seen: Cell<Option<([f64; N], Sloped<N>)>>,
    best: Cell<([f64; N], f64)>,
}

impl<F: Fn([f64; N]) -> Sloped<N>, const N: usize> Search<F, N> {
    fn parameters(&self, logs: &[f64; N]) -> [f64; N] {
        from_fn(|place| self.start[place] * logs[place].clamp(-LIMIT, LIMIT).exp())
    }

    /// The value and its slopes over the logarithms. Beyond the bounds it falls off, so that there is a way back.
    fn at(&self, logs: &[f64; N]) -> Sloped<N> {
        if let Some((_, known)) = self.seen.get().filter(|(at, _)| at.map(f64::to_bits) == logs.map(f64::to_bits)) {
            return known;
        }
        let parameters = self.parameters(logs);
        let mut there = (self.function)(parameters);
        for place in 0..N {
            let beyond = logs[place] - logs[place].clamp(-LIMIT, LIMIT);
            there.value -= beyond * beyond;
            let within = there.slopes[place] * parameters[place];
            there.slopes[place] = if beyond == 0.0 { within } else { -2.0 * beyond };
        }
        self.seen.set(Some((*logs, there)));
        let (_, best) = self.best.get();
        if there.value.is_finite() && (there.value > best || best.is_nan()) {
            self.best.set((*logs, there.value));
        }
        there
    }

    /// Searches on from the best that was seen. What it finds is noted there, also where its line ends nowhere and it gives up.
    fn go_on(&self) {
        let (from, _) = self.best.get();
        let bends = self.bends(&from);
        // The first step is about as long as each parameter's own bend says.
        let first = |place: usize| bends[place][place].abs().max(f64::MIN_POSITIVE).recip();
        let row = |row| (0..N).map(|column| if row == column { first(row) } else { 0.0 }).collect();
        let first: Vec<Vec<f64>> = (0..N).map(row).collect();
        let Ok(solver) = BFGS::new(MoreThuenteLineSearch::new()).with_tolerance_cost(ENOUGH) else { return };
        let begin = |state: IterState<_, _, _, _, _, _>| state.param(from.to_vec()).inv_hessian(first).max_iters(STEPS);
        drop(Executor::new(self, solver).configure(begin).run());
    }

    /// How fast the slopes fall with each logarithm, by differences.
    fn bends(&self, logs: &[f64; N]) -> [[f64; N]; N] {
        let slopes = |moved: usize, by: f64| {
            self.at(&from_fn(|place| if place == moved { logs[place] + by } else { logs[place] })).slopes
        };
        let falls: [[f64; N]; N] = from_fn(|moved| {
            let (above, below) = (slopes(moved, BESIDE), slopes(moved, -BESIDE));
            from_fn(|place| (below[place] - above[place]) / (2.0 * BESIDE))
        });
        from_fn(|row| from_fn(|column| f64::midpoint(falls[row][column], falls[column][row])))
    }

    fn asked(&self, logs: &[f64]) -> Result<Sloped<N>, Error> {
        let there = self.at(&from_fn(|place| logs[place]));
        if there.value.is_finite() && there.slopes.iter().all(|slope| slope.is_finite()) {
            Ok(there)
        } else {
            Err(Error::msg("the likelihood is not a number"))
        }
    }
}

impl<F: Fn([f64; N]) -> Sloped<N>, const N: usize> CostFunction for &Search<F, N> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, logs: &Vec<f64>) -> Result<f64, Error> {
        Ok(-self.asked(logs)?.value)
    }
}

impl<F: Fn([f64; N]) -> Sloped<N>, const N: usize> Gradient for &Search<F, N> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, logs: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.asked(logs)?.slopes.iter().map(|slope| -slope).collect())
    }
}

fn longest<const N: usize>(step: &[f64; N]) -> f64 {
    step.iter().fold(0.0, |longest: f64, part| longest.max(part.abs()))
}

/// The step to the top of the parabola with these bends; `None` if it has none.
fn step<const N: usize>(bends: &[[f64; N]; N], slopes: &[f64; N]) -> Option<[f64; N]> {
    // Cholesky's factor, and what remains of the slopes.
    let (mut factor, mut step) = ([[0.0; N]; N], *slopes);
    for row in 0..N {
        for column in 0..=row {
            let known: f64 = (0..column).map(|place| factor[row][place] * factor[column][place]).sum();
            let left = bends[row][column] - known;
            factor[row][column] = if row == column { left.sqrt() } else { left / factor[column][column] };
        }
        // The root of what is negative is no number, and nothing divides by 0.
        if !factor[row][row].is_normal() {
            return None;
        }
        let known: f64 = (0..row).map(|place| factor[row][place] * step[place]).sum();
        step[row] = (step[row] - known) / factor[row][row];
    }
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|place| factor[place][row] * step[place]).sum();
        step[row] = (step[row] - known) / factor[row][row];
    }
    step.iter().all(|part| part.is_finite()).then_some(step)
}

#[cfg(test)]
pub(super) mod tests {
    use argmin::{core::State, solver::neldermead::NelderMead};

    use super::*;

    struct Cost<F>(F);

    impl<F: Fn(&[f64]) -> f64> CostFunction for Cost<F> {
        type Param = Vec<f64>;
        type Output = f64;

        fn cost(&self, parameters: &Vec<f64>) -> Result<f64, Error> {
            Ok((self.0)(parameters))
        }
    }

    /// The greatest value that is found without slopes, by the method of Nelder and Mead, begun anew as long as that helps.
    pub(in super::super) fn greatest<const N: usize>(start: [f64; N], value: impl Fn([f64; N]) -> f64) -> f64 {
        // Beyond the bounds it falls off, so that there is always a way back.
        let cost = |logs: &[f64]| {
            let beyond: f64 = logs.iter().map(|log| (log.abs() - LIMIT).max(0.0)).sum();
            let value = value(from_fn(|place| start[place] * logs[place].clamp(-LIMIT, LIMIT).exp()));
            if value.is_finite() { beyond - value } else { f64::MAX }
        };
        let (mut best, mut least) = (vec![0.0; N], cost(&[0.0; N]));
        for _ in 0..20 {
            let beside = (0..N).map(|moved| (0..N).map(|at| best[at] + if at == moved { 0.5 } else { 0.0 }).collect());
            let corners = std::iter::once(best.clone()).chain(beside).collect();
            let solver = NelderMead::new(corners).with_sd_tolerance(1e-10).unwrap();
            let done = Executor::new(Cost(cost), solver).configure(|state| state.max_iters(2_000)).run().unwrap();
            let gain = least - done.state().get_best_cost();
            if gain > 0.0 {
                (best, least) = (done.state().get_best_param().unwrap().clone(), least - gain);
            }
            if gain < 1e-7 {
                break;
            }
        }
        -least
    }

    /// Whether slopes are what differences of the value say.
    pub(in super::super) fn assert_slopes<const N: usize>(at: [f64; N], function: impl Fn([f64; N]) -> Sloped<N>) {
        let Sloped { value, slopes } = function(at);
        for moved in 0..N {
            let by = at[moved] * 1e-5;
            let beside =
                |by: f64| function(from_fn(|place| if place == moved { at[place] + by } else { at[place] })).value;
            let difference = (beside(by) - beside(-by)) / (2.0 * by);
            let noise = value.abs() * 1e-13 / by;
            let error = (slopes[moved] - difference).abs();
            assert!(error <= 1e-5 * difference.abs() + noise, "{at:?} {moved}: {} is not {difference}", slopes[moved]);
        }
    }

    #[test]
    fn a_bent_valley_is_followed_to_its_end() {
        // Rosenbrock's, with its end at (3, 9), over the logarithms' exponentials.
        let function = |[x, y]: [f64; 2]| {
            let (off, over) = (3.0 - x, y - x * x);
            let slopes = [2.0 * off + 400.0 * x * over, -200.0 * over];
            Sloped { value: -off * off - 100.0 * over * over, slopes }
        };
        assert_slopes([0.7, 1.9], function);
        for start in [[0.1, 20.0], [50.0, 0.01], [3.0, 9.0], [1.0, 1.0]] {
            let ([x, y], optimum) = maximize(start, function);
            assert!(optimum.converged && (x - 3.0).abs() < 1e-4 && (y - 9.0).abs() < 1e-3, "{start:?}: {x} {y}");
        }
    }

    #[test]
    fn what_rises_without_end_has_no_maximum() {
        let rising = |[x]: [f64; 1]| Sloped { value: -1.0 / x, slopes: [1.0 / (x * x)] };
        let ([x], optimum) = maximize([1.0], rising);
        assert!(!optimum.converged && (x.ln() - LIMIT).abs() < 1e-12, "{x}");
        let nothing = |_: [f64; 1]| Sloped { value: f64::NAN, slopes: [f64::NAN] };
        assert!(!maximize([1.0], nothing).1.converged);
        let flat = |_: [f64; 1]| Sloped { value: 7.0, slopes: [0.0] };
        assert!(!maximize([1.0], flat).1.converged);
    }
}
