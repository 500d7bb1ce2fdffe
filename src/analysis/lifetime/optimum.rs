//! The maximum of a likelihood whose parameters are all positive.
#![expect(clippy::indexing_slicing, reason = "places are below the number of parameters")]

use std::array::from_fn;

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

const STEPS: usize = 200;
/// No step changes a parameter by more than a factor of e^2.
const LONGEST: f64 = 2.0;
/// A step to the top of the parabola that is as short as this ends at the maximum.
const ARRIVED: f64 = 1e-5;
/// Where rounding hides what steps bring, one as short as this had nothing to bring.
const NEAR: f64 = 1e-3;
/// Parameters lie within factors of e^10 of the first guess. What is likeliest at such a bound is a limit of the model.
const LIMIT: f64 = 10.0;
/// Slopes are compared at so much to both sides.
const BESIDE: f64 = 1e-4;

/// The parameters at which a function is greatest, from a first guess on: by Newton's method over their logarithms, with steps
/// that are shortened and turned uphill, as Levenberg and Marquardt do, where it leads down.
pub(super) fn maximize<const N: usize>(
    start: [f64; N],
    function: impl Fn([f64; N]) -> Sloped<N>,
) -> ([f64; N], Optimum) {
    let parameters = |logs: &[f64; N]| -> [f64; N] { from_fn(|place| start[place] * logs[place].exp()) };
    let at = |logs: &[f64; N]| {
        let parameters = parameters(logs);
        let Sloped { value, slopes } = function(parameters);
        Sloped { value, slopes: from_fn(|place| slopes[place] * parameters[place]) }
    };
    let mut logs = [0.0; N];
    let mut here = at(&logs);
    let mut converged = false;
    for _ in 0..STEPS {
        // What stands at a bound and would go beyond stays there.
        let stays: [bool; N] = from_fn(|place| logs[place].abs() >= LIMIT && here.slopes[place] * logs[place] > 0.0);
        let slopes = from_fn(|place| if stays[place] { 0.0 } else { here.slopes[place] });
        let mut bends = bends(&logs, at);
        for (row, column) in (0..N).flat_map(|row| (0..N).map(move |column| (row, column))) {
            if stays[row] || stays[column] {
                bends[row][column] = f64::from(row == column);
            }
        }
        let top = step(&bends, &slopes, 0.0);
        let most = (0..N).map(|place| bends[place][place].abs()).fold(f64::MIN_POSITIVE, f64::max);
        let damped = (-6..9).filter_map(|power| step(&bends, &slopes, most * 10_f64.powi(power)));
        let better = top.into_iter().chain(damped).find_map(|step| {
            let logs = within(&logs, &step);
            Some((logs, at(&logs))).filter(|(_, there)| there.value > here.value)
        });
        let arrived = top.is_some_and(|step| longest(&step) <= if better.is_some() { ARRIVED } else { NEAR });
        let is_end = arrived || better.is_none();
        (logs, here) = better.unwrap_or((logs, here));
        if is_end {
            converged = arrived && longest(&logs) < LIMIT;
            break;
        }
    }
    (parameters(&logs), Optimum { log_likelihood: here.value, converged })
}

/// The logarithms after a step, which ends at the first bound that it meets.
fn within<const N: usize>(logs: &[f64; N], step: &[f64; N]) -> [f64; N] {
    let share = |place: usize| (LIMIT.copysign(step[place]) - logs[place]) / step[place];
    let share = (0..N).filter(|place| step[*place] != 0.0).map(share).filter(|share| *share > 0.0).fold(1.0, f64::min);
    from_fn(|place| (logs[place] + step[place] * share).clamp(-LIMIT, LIMIT))
}

fn longest<const N: usize>(step: &[f64; N]) -> f64 {
    step.iter().fold(0.0, |longest: f64, part| longest.max(part.abs()))
}

/// How fast the slopes fall with each logarithm, by differences.
fn bends<const N: usize>(logs: &[f64; N], at: impl Fn(&[f64; N]) -> Sloped<N>) -> [[f64; N]; N] {
    let slopes = |moved: usize, by: f64| {
        at(&from_fn(|place| if place == moved { logs[place] + by } else { logs[place] })).slopes
    };
    let falls: [[f64; N]; N] = from_fn(|moved| {
        let (above, below) = (slopes(moved, BESIDE), slopes(moved, -BESIDE));
        from_fn(|place| (below[place] - above[place]) / (2.0 * BESIDE))
    });
    from_fn(|row| from_fn(|column| f64::midpoint(falls[row][column], falls[column][row])))
}

/// The step to the top of the parabola with these bends, damped by so much; `None` if it has none.
fn step<const N: usize>(bends: &[[f64; N]; N], slopes: &[f64; N], damping: f64) -> Option<[f64; N]> {
    // Cholesky's factor, and what remains of the slopes.
    let (mut factor, mut step) = ([[0.0; N]; N], *slopes);
    for row in 0..N {
        for column in 0..=row {
            let known: f64 = (0..column).map(|place| factor[row][place] * factor[column][place]).sum();
            let left = bends[row][column] - known;
            factor[row][column] = if row == column { (left + damping).sqrt() } else { left / factor[column][column] };
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
    let shorter = LONGEST / longest(&step).max(LONGEST);
    step.iter().all(|part| part.is_finite()).then(|| step.map(|part| part * shorter))
}

#[cfg(test)]
pub(super) mod tests {
    use argmin::{
        core::{CostFunction, Error, Executor, State},
        solver::neldermead::NelderMead,
    };

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
            assert!(optimum.converged && (x - 3.0).abs() < 1e-8 && (y - 9.0).abs() < 1e-7, "{start:?}: {x} {y}");
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
