//! Survival curves: how many are still there after how long, when not all have been seen to go.

use serde::{Deserialize, Serialize};

use super::{Durations, duration::BUCKET_ERROR, histogram::EDGES, rate::Z};

/// Shares that differ by less than this, as a share of themselves, are the same but for rounding.
const ROUNDING: f64 = 1e-12;

/// A point of a survival curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SurvivalPoint {
    /// After so many seconds ...
    pub seconds: u64,
    /// ... this share is still there: of all, those who stay longer.
    pub survival: f64,
    /// The lower end of its interval at 95 %.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// How many were seen to stay so long or longer.
    pub at_risk: u64,
}

/// A moment by which a share has gone, with its interval at 95 %; in seconds, and `None` if it is not reached within what
/// was observed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SurvivalTime {
    /// The first moment at which no more than the share that remains is still there.
    pub seconds: Option<f64>,
    /// The first moment at which the curve's lower end has come down so far.
    pub low: Option<f64>,
    /// The first moment at which its upper end has.
    pub high: Option<f64>,
}

/// A curve after E. L. Kaplan and P. Meier, known after each length of stay.
#[derive(Debug)]
pub(super) struct Survival {
    /// In order of length.
    steps: Vec<Step>,
    /// How far lengths may lie below the true ones, as a share.
    pub(super) relative_error: f64,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    /// Microseconds.
    length: u64,
    /// Those who stay so long or longer.
    at_risk: u64,
    survival: f64,
    low: f64,
    high: f64,
}

impl Survival {
    /// Of those who went after so long, and those who were still there after so long when last seen. At equal lengths the
    /// former come first.
    pub(super) fn of(gone: &Durations, still_here: &Durations) -> Self {
        // Lengths are only equal if both kinds are known alike.
        let in_buckets = !(gone.is_exact() && still_here.is_exact());
        let all = merged(gone.counts(in_buckets), still_here.counts(in_buckets));
        let mut at_risk =
            all.iter().fold(0_u64, |sum, (_, gone, here)| sum.saturating_add(*gone).saturating_add(*here));
        let mut steps = Vec::with_capacity(all.len());
        // As long as nobody is lost from sight the curve is those left, of those there were: one division, so that equal
        // shares are equal numbers.
        let (mut base, mut of, mut left) = (1.0, at_risk, at_risk);
        let mut variance = 0.0;
        for (length, gone, here) in all {
            left = left.saturating_sub(gone);
            if gone > 0 {
                variance += gone as f64 / (at_risk as f64 * left as f64);
            }
            let survival = if of == 0 { base } else { base * (left as f64 / of as f64) };
            let (low, high) = interval(survival, variance);
            steps.push(Step { length, at_risk, survival, low, high });
            if here > 0 {
                left = left.saturating_sub(here);
                (base, of) = (survival, left);
            }
            at_risk = left;
        }
        Self { steps, relative_error: if in_buckets { BUCKET_ERROR } else { 0.0 } }
    }

    /// When no more than this share is still there.
    pub(super) fn until(&self, share: f64) -> SurvivalTime {
        let first = |of: fn(&Step) -> f64| {
            let step = self.steps.iter().find(|step| of(step) <= share * (1.0 + ROUNDING));
            step.map(|step| step.length as f64 / 1e6)
        };
        SurvivalTime {
            seconds: first(|step| step.survival),
            low: first(|step| step.low),
            high: first(|step| step.high),
        }
    }

    /// The curve at the edges of the histogram of lengths, as far as anybody stayed.
    pub(super) fn points(&self) -> Vec<SurvivalPoint> {
        let point = |seconds: u64| {
            let micros = seconds.saturating_mul(1_000_000);
            let at_risk = self.steps.get(self.steps.partition_point(|step| step.length < micros))?.at_risk;
            let by_then = self.steps.partition_point(|step| step.length <= micros);
            let before = by_then.checked_sub(1).and_then(|place| self.steps.get(place));
            let (survival, low, high) = before.map_or((1.0, 1.0, 1.0), |step| (step.survival, step.low, step.high));
            Some(SurvivalPoint { seconds, survival, low, high, at_risk })
        };
        EDGES.into_iter().map_while(point).collect()
    }
}

/// Lengths of two kinds in one list.
fn merged(gone: Vec<(u64, u64)>, still_here: Vec<(u64, u64)>) -> Vec<(u64, u64, u64)> {
    let mut all = Vec::with_capacity(gone.len() + still_here.len());
    let (mut gone, mut here) = (gone.into_iter().peekable(), still_here.into_iter().peekable());
    while let Some(length) = [gone.peek(), here.peek()].into_iter().flatten().map(|(length, _)| *length).min() {
        let times = |next: Option<(u64, u64)>| next.map_or(0, |(_, times)| times);
        let went = times(gone.next_if(|(at, _)| *at == length));
        all.push((length, went, times(here.next_if(|(at, _)| *at == length))));
    }
    all
}

/// The log-log interval, of the variance that M. Greenwood gives relative to the square of the share. Before anybody has gone
/// it is 1 to 1; and once nobody is left, where none is defined, 0 to 0.
fn interval(survival: f64, variance: f64) -> (f64, f64) {
    if survival <= 0.0 || survival >= 1.0 {
        return (survival, survival);
    }
    let log = survival.ln();
    let half = Z * variance.sqrt() / log.abs();
    ((log * half.exp()).exp(), (log * (-half).exp()).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(lengths: &[i128], went: &[u8]) -> Survival {
        let mut both = [Durations::default(), Durations::default()];
        lengths.iter().zip(went).for_each(|(length, &went)| both[usize::from(went)].add(length * 1_000_000));
        Survival::of(&both[1], &both[0])
    }

    /// Length, share, low, high, at risk.
    type Row = (u64, f64, f64, f64, u64);

    fn check(curve: &Survival, rows: &[Row], median: [Option<f64>; 3], p90: [Option<f64>; 3]) {
        assert_eq!(curve.steps.len(), rows.len());
        for (step, &(length, survival, low, high, at_risk)) in curve.steps.iter().zip(rows) {
            assert_eq!((step.length, step.at_risk), (length * 1_000_000, at_risk));
            for (found, expected) in [(step.survival, survival), (step.low, low), (step.high, high)] {
                assert!((found - expected).abs() < 1e-12, "{length}: {found} {expected}");
            }
        }
        let numbers = |time: SurvivalTime| [time.seconds, time.low, time.high];
        assert_eq!([numbers(curve.until(0.5)), numbers(curve.until(0.1))], [median, p90]);
    }

    /// Reference values computed with lifelines 0.30.3 (`KaplanMeierFitter`, `median_survival_times`, `qth_survival_times`).
    #[test]
    fn ties_of_departures_and_of_those_lost_from_sight_against_a_reference() {
        let rows = [
            (1, 0.833_333_333_333_333_5, 0.481_714_942_195_378_64, 0.955_509_365_728_065, 12),
            (2, 0.833_333_333_333_333_5, 0.481_714_942_195_378_64, 0.955_509_365_728_065, 10),
            (3, 0.648_148_148_148_148_1, 0.309_662_227_017_160_7, 0.851_797_512_335_439_1, 9),
            (4, 0.540_123_456_790_123_4, 0.216_561_173_167_336_75, 0.780_363_562_947_66, 6),
            (5, 0.432_098_765_432_098_74, 0.141_010_492_079_693_52, 0.698_075_655_490_163_1, 5),
            (6, 0.288_065_843_621_399_1, 0.052_763_943_369_029_565, 0.590_664_610_280_341, 3),
            (7, 0.288_065_843_621_399_1, 0.052_763_943_369_029_565, 0.590_664_610_280_341, 2),
            (8, 0.288_065_843_621_399_1, 0.052_763_943_369_029_565, 0.590_664_610_280_341, 1),
        ];
        let curve = curve(&[1, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 8], &[1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0]);
        check(&curve, &rows, [Some(5.0), Some(1.0), None], [None, Some(6.0), None]);
    }

    /// From the same.
    #[test]
    fn a_curve_that_stays_above_a_half_has_no_median() {
        let rows = [
            (1, 0.875_000_000_000_000_1, 0.387_000_014_032_024_83, 0.981_392_965_878_966_1, 8),
            (2, 0.875_000_000_000_000_1, 0.387_000_014_032_024_83, 0.981_392_965_878_966_1, 7),
            (3, 0.729_166_666_666_666_7, 0.276_390_220_336_122_9, 0.925_353_181_257_205_3, 6),
            (4, 0.729_166_666_666_666_7, 0.276_390_220_336_122_9, 0.925_353_181_257_205_3, 5),
            (5, 0.729_166_666_666_666_7, 0.276_390_220_336_122_9, 0.925_353_181_257_205_3, 4),
        ];
        let curve = curve(&[1, 2, 3, 4, 5, 5, 5, 5], &[1, 0, 1, 0, 0, 0, 0, 0]);
        check(&curve, &rows, [None, Some(1.0), None], [None; 3]);
    }

    /// From the same.
    #[test]
    fn lengths_of_nothing_and_a_curve_that_comes_down_to_0() {
        let rows = [
            (0, 0.8, 0.203_809_263_267_639_04, 0.969_179_788_866_742_7, 5),
            (2, 0.266_666_666_666_666_66, 0.009_677_000_578_881_34, 0.686_136_279_157_012, 3),
            (5, 0.0, 0.0, 0.0, 1),
        ];
        let curve = curve(&[0, 0, 2, 2, 5], &[1, 0, 1, 1, 1]);
        check(&curve, &rows, [Some(2.0), Some(0.0), Some(5.0)], [Some(5.0), Some(2.0), Some(5.0)]);
        let points: Vec<_> = curve.points().iter().map(|point| (point.seconds, point.at_risk)).collect();
        assert_eq!(points, [(0, 5), (1, 3)]);
    }

    /// From the same; exactly half are left after the fifth, which a product of floats misses by a hair. (The upper end that it
    /// gives for the share of a tenth is that of the point at which the curve is 0.)
    #[test]
    fn without_anybody_lost_from_sight_it_is_those_left_of_all() {
        let lengths: Vec<i128> = (1..=10).collect();
        let curve = curve(&lengths, &[1; 10]);
        assert_eq!(curve.until(0.5), SurvivalTime { seconds: Some(5.0), low: Some(1.0), high: Some(8.0) });
        assert_eq!(curve.until(0.1), SurvivalTime { seconds: Some(9.0), low: Some(7.0), high: Some(10.0) });
        assert!((curve.steps[4].low - 0.183_605_590_619_014_63).abs() < 1e-12);
    }

    #[test]
    fn many_lengths_are_curved_alike_but_for_their_error() {
        // In both kinds the same lengths: only if both are counted in buckets do equal ones meet.
        let length = |i: i128| 1_000_000 + (i * 7919) % 1_000_003 * 1_000;
        let few: Vec<i128> = (0..2_000).map(length).collect();
        let (mut gone, mut here) = (Durations::default(), Durations::default());
        few.iter().for_each(|&micros| here.add(micros));
        (0..20).for_each(|_| few.iter().for_each(|&micros| gone.add(micros)));
        assert!(here.is_exact() && !gone.is_exact());
        let rough = Survival::of(&gone, &here);
        assert!(rough.relative_error > 0.0);
        // The same shares from fewer lengths, exactly: 20 go and 1 stays at each of them.
        let all = few.iter().map(|&micros| (u64::try_from(micros).unwrap(), 20, 1));
        let mut all: Vec<(u64, u64, u64)> = all.collect();
        all.sort_unstable();
        let (mut at_risk, mut survival, mut median) = (42_000_u64, 1.0, None);
        for (micros, gone, here) in all {
            survival *= 1.0 - gone as f64 / at_risk as f64;
            if survival <= 0.5 && median.is_none() {
                median = Some(micros as f64 / 1e6);
            }
            at_risk -= gone + here;
        }
        let (found, median) = (rough.until(0.5).seconds.unwrap(), median.unwrap());
        assert!(found <= median && median - found <= 2.0 * rough.relative_error * median, "{found} {median}");
    }

    #[test]
    fn nobody_makes_no_curve() {
        let nobody = curve(&[], &[]);
        assert_eq!((nobody.until(0.5), nobody.points()), (SurvivalTime::default(), Vec::new()));
        assert_eq!(curve(&[3], &[0]).points().len(), 2);
    }
}
