//! Whole numbers split into parts that sum up to them exactly.

use std::cmp::Reverse;

use crate::model::{Micros, Window};

/// A conversion in units: the least common multiple of 1 to 42.
pub(super) const UNIT: u128 = 219_060_189_739_591_200;

/// One in units of 10^-9, as credits are reported.
pub(super) const NANOS: u128 = 1_000_000_000;

/// A part that is rounded down, and what was cut off, both in some unit.
struct Part {
    floor: u128,
    rest: u128,
}

/// Gives each part what is whole, and what is left of the sum, one by one, to the largest rests; of equal ones to the first.
fn largest_rests(whole: u128, parts: &[Part]) -> Vec<u128> {
    let mut shares: Vec<u128> = parts.iter().map(|part| part.floor).collect();
    let left = whole.saturating_sub(shares.iter().sum());
    if left == 0 {
        return shares;
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|place| Reverse(parts.get(*place).map(|part| part.rest)));
    // There are fewer left than parts.
    for place in order.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        shares.get_mut(place).into_iter().for_each(|share| *share += 1);
    }
    shares
}

/// Splits a whole in proportion to weights, which are not all 0. Of the whole and the sum of weights one is at most [`UNIT`],
/// and the other times that fits.
pub(super) fn split(whole: u128, weights: &[u128]) -> Vec<u128> {
    let sum = weights.iter().sum::<u128>().max(1);
    let (times, over) = (whole / sum, whole % sum);
    let part = |weight: &u128| {
        let product = over.saturating_mul(*weight);
        Part { floor: times.saturating_mul(*weight).saturating_add(product / sum), rest: product % sum }
    };
    largest_rests(whole, &weights.iter().map(part).collect::<Vec<_>>())
}

/// The same of an amount that may be negative.
pub(super) fn split_amount(amount: i128, weights: &[u128]) -> Vec<i128> {
    let signed = |part: u128| {
        let part = i128::try_from(part).unwrap_or(i128::MAX);
        if amount < 0 { -part } else { part }
    };
    split(amount.unsigned_abs(), weights).into_iter().map(signed).collect()
}

/// Units of conversions as units of 10^-9, so that they sum up to so many conversions.
pub(super) fn units_as_nanos(conversions: u64, units: &[u128]) -> Vec<u128> {
    let part = |units: &u128| {
        let product = (units % UNIT) * NANOS;
        Part { floor: (units / UNIT).saturating_mul(NANOS).saturating_add(product / UNIT), rest: product % UNIT }
    };
    largest_rests(u128::from(conversions) * NANOS, &units.iter().map(part).collect::<Vec<_>>())
}

/// Weights that halve with each half-life, in whole numbers, so that they are the same on every machine.
#[derive(Debug)]
pub(super) struct Decay {
    half_life: i128,
    /// The square root of a half, the root of that, and so on, in units of 2^-63.
    roots: [u128; FRACTION as usize],
}

/// A weight: so many 2^-[`WEIGHT`]ths, doubled as often as its age says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight {
    pub(super) age: i64,
    pub(super) part: u64,
}

/// Half-lives are counted to so many binary places ...
const FRACTION: u32 = 40;
/// ... and weights to so many.
const WEIGHT: u32 = 44;
const SCALE: u32 = 63;

impl Decay {
    pub(super) fn new(half_life: Window) -> Self {
        let mut root = 1 << (SCALE - 1);
        let roots = std::array::from_fn(|_| {
            root = u128::isqrt(root << SCALE);
            root
        });
        Self { half_life: i128::from(half_life.micros()).max(1), roots }
    }

    /// The weight of what happened at a moment.
    pub(super) fn at(&self, at: Micros) -> Weight {
        let at = i128::from(at.0);
        let rest = at.rem_euclid(self.half_life);
        // So much before the end of its half-life.
        let before = if rest == 0 { 0 } else { self.half_life - rest };
        let part = (before << FRACTION) / self.half_life;
        let mut weight = 1 << SCALE;
        for (root, bit) in self.roots.iter().zip((0..FRACTION).rev()) {
            if part >> bit & 1 == 1 {
                weight = (weight * root) >> SCALE;
            }
        }
        // Of half-lives of a microsecond there are as many as there are moments.
        let age = i64::try_from((at + before) / self.half_life).unwrap_or(i64::MAX);
        Weight { age, part: u64::try_from(weight >> (SCALE - WEIGHT)).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_sum_up_and_rests_go_to_the_largest() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(10, &[0, 1, 2]), [0, 3, 7]);
        assert_eq!(split(2, &[1, 5, 1, 5]), [0, 1, 0, 1]);
        assert_eq!(split(7, &[0, 3, 0]), [0, 7, 0]);
        assert_eq!(split_amount(-10, &[1, 1, 1]), [-4, -3, -3]);
        assert_eq!(units_as_nanos(1, &[UNIT / 3; 3]), [333_333_334, 333_333_333, 333_333_333]);
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..1_000 {
            let weights: Vec<u128> =
                (0..random.usize(1..60)).map(|_| random.u128(..1 << 69) >> random.u8(..69)).collect();
            if weights.iter().sum::<u128>() > 0 {
                let units = split(UNIT, &weights);
                assert_eq!(units.iter().sum::<u128>(), UNIT);
                let amount = random.i128(-(1 << 90)..1 << 90);
                assert_eq!(split_amount(amount, &units).iter().sum::<i128>(), amount);
                assert_eq!(units_as_nanos(1, &units).iter().sum::<u128>(), NANOS);
            }
        }
    }

    #[test]
    fn a_unit_is_divided_by_1_to_42() {
        assert!((1..=42).all(|n| UNIT % n == 0) && UNIT % 43 != 0);
    }

    #[test]
    fn weights_halve_with_each_half_life() {
        let decay = Decay::new(Window::minutes(1));
        for at in [-60_000_001, -60_000_000, -7, 0_i64, 1, 7_000_000, 30_000_000, 59_999_999, 60_000_000, 600_000_000] {
            let expected = (at as f64 / 60e6).exp2();
            let Weight { age, part } = decay.at(Micros(at));
            let weight = part as f64 / (1_u64 << WEIGHT) as f64 * (age as f64).exp2();
            assert!((weight / expected - 1.0).abs() < 1e-12, "{at}: {weight} is not {expected}");
            assert!((1 << (WEIGHT - 1)..=1 << WEIGHT).contains(&part), "{part}");
        }
        assert_eq!(decay.at(Micros(120_000_000)), Weight { age: 2, part: 1 << WEIGHT });
        for half_life in [1, i64::MAX] {
            let decay = Decay::new(Window::try_from(chrono::TimeDelta::microseconds(half_life)).unwrap());
            let ages = [i64::MIN, -1, 0, 1, i64::MAX].map(|at| decay.at(Micros(at)).age);
            assert_eq!(ages, if half_life == 1 { [i64::MIN, -1, 0, 1, i64::MAX] } else { [-1, 0, 0, 1, 1] });
        }
    }
}
