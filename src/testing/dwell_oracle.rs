//! Dwell, from the visits of each customer's story; shares as exact fractions.

use super::{
    calendar::moment,
    story::{Stories, Told, edges, summary},
};
use crate::{
    CustomerVisit, DwellBottleneck, DwellCustomer, DwellEnd, DwellReport, Event, JourneyModel, MoveKind, Rate, Scope,
    StageDwell, SurvivalPoint, SurvivalTime,
};

/// A visit of a story.
struct Stay {
    stage: usize,
    since: i64,
    /// When it ended, and to which stage the customer went.
    end: Option<(i64, usize)>,
}

fn stays(story: &[Told<'_>]) -> Vec<Stay> {
    let mut stays: Vec<Stay> = Vec::new();
    for told in story {
        let Some(stage) = told.stage else { continue };
        match stays.last_mut() {
            Some(last) if last.stage == stage => continue,
            Some(last) => last.end = Some((told.at, stage)),
            None => {}
        }
        stays.push(Stay { stage, since: told.at, end: None });
    }
    stays
}

/// A fraction in its lowest terms.
#[derive(Debug, Clone, Copy)]
struct Fraction(u128, u128);

impl Fraction {
    fn times(self, over: usize, under: usize) -> Self {
        let (over, under) = (over as u128, under as u128);
        let both = (self.0.checked_mul(over).unwrap(), self.1.checked_mul(under).unwrap());
        let (mut a, mut b) = both;
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self(both.0 / a.max(1), both.1 / a.max(1))
    }

    fn as_float(self) -> f64 {
        self.0 as f64 / self.1 as f64
    }
}

/// Lengths in microseconds, and whether they are over.
type Lengths = Vec<(i128, bool)>;

/// S(t) with the ends of its interval, straight from the definition.
fn survival(lengths: &Lengths, t: i128) -> (Fraction, f64, f64) {
    let mut ends: Vec<i128> = lengths.iter().filter(|(_, over)| *over).map(|(length, _)| *length).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut share, mut greenwood) = (Fraction(1, 1), 0.0);
    for end in ends.into_iter().filter(|end| *end <= t) {
        let at_risk = lengths.iter().filter(|(length, _)| *length >= end).count();
        let gone = lengths.iter().filter(|(length, over)| *length == end && *over).count();
        share = share.times(at_risk - gone, at_risk);
        greenwood += gone as f64 / (at_risk * (at_risk - gone)) as f64;
    }
    let s = share.as_float();
    if share.0 == 0 || share.0 == share.1 {
        return (share, s, s);
    }
    let centre = (-s.ln()).ln();
    let half = 1.959_963_984_540_054 * greenwood.sqrt() / s.ln().abs();
    (share, (-(centre + half).exp()).exp(), (-(centre - half).exp()).exp())
}

/// The first lengths at which the curve, its lower and its upper end are at most one in so many.
fn until(lengths: &Lengths, one_in: u128) -> SurvivalTime {
    let mut all: Vec<i128> = lengths.iter().map(|(length, _)| *length).collect();
    all.sort_unstable();
    let share = 1.0 / one_in as f64;
    let first = |reached: &dyn Fn((Fraction, f64, f64)) -> bool| {
        all.iter().find(|t| reached(survival(lengths, **t))).map(|t| *t as f64 / 1e6)
    };
    SurvivalTime {
        seconds: first(&|(s, _, _)| s.0 * one_in <= s.1),
        low: first(&|(_, low, _)| low <= share),
        high: first(&|(_, _, high)| high <= share),
    }
}

fn curve(lengths: &Lengths) -> Vec<SurvivalPoint> {
    let longest = lengths.iter().map(|(length, _)| *length).max();
    let point = |seconds: u64| {
        let t = i128::from(seconds) * 1_000_000;
        let (share, low, high) = survival(lengths, t);
        let at_risk = lengths.iter().filter(|(length, _)| *length >= t).count() as u64;
        SurvivalPoint { seconds, survival: share.as_float(), low, high, at_risk }
    };
    let reached = |seconds: &u64| longest.is_some_and(|longest| longest >= i128::from(*seconds) * 1_000_000);
    edges().into_iter().filter(reached).map(point).collect()
}

/// What the report of [`Dwell`](crate::Dwell) in a model must say with the customers listed, of a question's model and scope, but
/// for rounding:
/// [`differences_beyond_rounding`](super::differences_beyond_rounding) compares them.
pub fn dwell(events: &[Event], model: &JourneyModel, (of_question, scope): (&JourneyModel, &Scope)) -> DwellReport {
    let stories = Stories::read(events, model, (of_question, scope));
    let all: Vec<Stay> =
        stories.by_customer.values().flat_map(|story| stays(story)).filter(|stay| stories.counts(stay.since)).collect();
    let count = |wanted: &dyn Fn(&Stay) -> bool| all.iter().filter(|stay| wanted(stay)).count() as u64;
    let length = |stay: &Stay| {
        let until = stay.end.map_or(stories.end, |(at, _)| at);
        (i128::from(until) - i128::from(stay.since), stay.end.is_some())
    };
    let kind = |from: usize, to: usize| match to {
        to if to == from + 1 => MoveKind::Advance,
        to if to > from => MoveKind::Skip,
        _ => MoveKind::Regression,
    };
    let names = model.stages();
    let (mut stages, mut bottlenecks) = (Vec::new(), Vec::new());
    for (stage, name) in names.iter().enumerate() {
        let lengths: Lengths = all.iter().filter(|stay| stay.stage == stage).map(length).collect();
        let visits = lengths.len() as u64;
        let end = |to: usize| {
            let count = count(&|stay| stay.stage == stage && stay.end.is_some_and(|(_, next)| next == to));
            DwellEnd { to: names[to].clone(), kind: kind(stage, to), count, share: Rate::new(count, visits) }
        };
        let ends: Vec<DwellEnd> = (0..names.len()).filter(|to| *to != stage).map(end).collect();
        let open: Vec<i128> = lengths.iter().filter(|(_, over)| !over).map(|(length, _)| *length).collect();
        let departed = visits - open.len() as u64;
        assert_eq!(ends.iter().map(|end| end.count).sum::<u64>(), departed, "the ends of a stage reconcile");
        stages.push(StageDwell {
            stage: name.clone(),
            visits,
            departed,
            still_here: open.len() as u64,
            median: until(&lengths, 2),
            p90: until(&lengths, 10),
            relative_error: 0.0,
            ends,
            curve: curve(&lengths),
        });
        let went_on = Rate::new(departed, visits);
        let elsewhere = |over: &dyn Fn(&Stay) -> bool| count(&|stay| stay.stage != stage && over(stay));
        let others = Rate::new(elsewhere(&|stay| stay.end.is_some()), elsewhere(&|_| true));
        bottlenecks.push(DwellBottleneck {
            stage: name.clone(),
            waiting: open.len() as u64,
            waited: summary(open),
            went_on,
            others,
            difference: went_on.difference_to(&others),
        });
    }
    // The sort is stable: equals stay in the order of the model.
    bottlenecks.sort_by_key(|bottleneck| std::cmp::Reverse(bottleneck.waiting));
    let visit = |stay: Stay| CustomerVisit {
        stage: names[stay.stage].clone(),
        since: moment(stay.since),
        until: stay.end.map(|(at, _)| moment(at)),
        to: stay.end.map(|(_, to)| names[to].clone()),
    };
    let visits = |story: &[Told<'_>]| -> Vec<CustomerVisit> {
        stays(story).into_iter().filter(|stay| stories.counts(stay.since)).map(visit).collect()
    };
    let customers = stories.by_customer.iter();
    let customers = customers.map(|(id, story)| DwellCustomer { customer: id.clone(), visits: visits(story) });
    let customers = Some(customers.filter(|one| !one.visits.is_empty()).collect());
    DwellReport { model: model.name().to_owned(), model_version: model.version(), stages, bottlenecks, customers }
}
