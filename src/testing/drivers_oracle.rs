//! Drivers, case by case: the set of factors of each.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    CustomerId, Driver, DriverBy, DriverCase, DriverTest, Drivers, DriversOutcome, DriversReport, Event,
    ExperienceAnswers, JourneyModel, Micros, OddsRatio, Rate, Scope, Survey, Window, model::Scalar,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    of: DriversOutcome,
    by: Vec<DriverBy>,
    within: Option<Window>,
    answers: ExperienceAnswers,
    min_support: usize,
    limit: usize,
    #[serde(default)]
    customers: bool,
}

/// What it is told apart by, by its place in the plan, and its value.
type Factor = (usize, Scalar);

struct Case {
    customer: CustomerId,
    at: Option<i64>,
    outcome: bool,
    factors: BTreeSet<Factor>,
}

impl Said {
    fn factors<'a>(&self, story: impl Iterator<Item = &'a Told<'a>>) -> BTreeSet<Factor> {
        let mut found = BTreeSet::new();
        for told in story {
            for (place, by) in self.by.iter().enumerate() {
                let value = match by {
                    DriverBy::Channel => Some(Scalar::Text(told.event.channel().as_str().to_owned())),
                    DriverBy::Touchpoint => Some(Scalar::Text(told.event.touchpoint().to_string())),
                    DriverBy::Property(name) => told.event.properties().get(name).and_then(Scalar::of),
                    // Events alone have no profiles.
                    DriverBy::Profile(_) | DriverBy::ProfileLatest(_) => None,
                };
                found.extend(value.map(|value| (place, value)));
            }
        }
        found
    }

    fn cases(
        &self,
        customer: &CustomerId,
        story: &[Told<'_>],
        stories: &Stories<'_>,
        model: &JourneyModel,
    ) -> Vec<Case> {
        let is_before_end = |at: i64| stories.to.is_none_or(|to| at < to);
        let case = |at: Option<i64>, answer: Option<u64>, outcome: bool| {
            let within = self.within.map(|within| i128::from(within.micros()));
            let counts = |told: &&Told<'_>| {
                let Some(at) = at else { return is_before_end(told.at) };
                let age = i128::from(at) - i128::from(told.at);
                answer == Some(told.seq) || (age > 0 && within.is_none_or(|within| age <= within))
            };
            Case { customer: customer.clone(), at, outcome, factors: self.factors(story.iter().filter(counts)) }
        };
        let in_range = || story.iter().filter(|told| stories.counts(told.at));
        let answers = |survey: Survey, is_outcome: &dyn Fn(u8) -> bool| {
            let feedback =
                |told: &Told<'_>| told.event.feedback().cloned().map(|feedback| (told.at, told.seq, feedback));
            let given = in_range().filter_map(feedback).filter(|(.., feedback)| feedback.survey() == survey);
            let mut cases: Vec<Case> =
                given.map(|(at, seq, feedback)| case(Some(at), Some(seq), is_outcome(feedback.score()))).collect();
            if self.answers == ExperienceAnswers::Latest {
                cases = cases.pop().into_iter().collect();
            }
            cases
        };
        match &self.of {
            DriversOutcome::Conversion(wanted) => {
                let first = in_range().find(|told| holds(wanted, told.event, told.stage, model));
                let is_case = story.iter().any(|told| is_before_end(told.at));
                let only = || case(first.map(|told| told.at), None, first.is_some());
                is_case.then(only).into_iter().collect()
            }
            DriversOutcome::Satisfaction(survey) => answers(*survey, &|score| match survey {
                Survey::Nps => score > 8,
                Survey::Csat => score > 3,
                Survey::Ces => score > 4,
            }),
            DriversOutcome::Dissatisfaction(survey) => answers(*survey, &|score| match survey {
                Survey::Nps => score < 7,
                Survey::Csat => score < 4,
                Survey::Ces => score < 5,
            }),
        }
    }
}

/// The odds ratio of a table with one half in each cell where one is empty.
fn odds(table: [u64; 4]) -> Option<OddsRatio> {
    let [a, b, c, d] = table;
    if (a + b) * (c + d) * (a + c) * (b + d) == 0 {
        return None;
    }
    let corrected = table.contains(&0);
    let cells = table.map(|count| count as f64 + if corrected { 0.5 } else { 0.0 });
    let ratio = (cells[0] / cells[1]) / (cells[2] / cells[3]);
    let error = cells.map(f64::recip).iter().sum::<f64>().sqrt();
    let end = |z: f64| ratio * (z * error).exp();
    Some(OddsRatio { ratio, low: end(-1.959_963_984_540_054), high: end(1.959_963_984_540_054), corrected })
}

/// How many ways there are to choose some of many.
fn choose(many: u64, some: u64) -> u128 {
    (0..some).fold(1, |ways, nth| ways * u128::from(many - nth) / u128::from(nth + 1))
}

/// The share of ways to fill a table with the same sums that is of tables with no more ways than this; none if all its cells are expected to
/// have five or more. For small tables only.
fn p_exact([a, b, c, d]: [u64; 4]) -> Option<f64> {
    let (with, some, all) = (a + b, a + c, a + b + c + d);
    let least = [with, c + d].into_iter().flat_map(|row| [row * some, row * (b + d)]).min().unwrap_or_default();
    let ways = |cell: u64| choose(some, cell) * choose(b + d, with - cell);
    let tables = (with + some).saturating_sub(all)..=with.min(some);
    let as_rare: u128 = tables.filter(|cell| ways(*cell) <= ways(a)).map(ways).sum();
    (least < 5 * all).then(|| as_rare as f64 / choose(all, with) as f64)
}

/// What the report of [`Drivers`] must say, but for rounding.
pub fn drivers(events: &[Event], plan: &Drivers, model: &JourneyModel, scope: &Scope) -> DriversReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let mut cases: Vec<Case> = Vec::new();
    for (customer, story) in &stories.by_customer {
        cases.extend(said.cases(customer, story, &stories, model));
    }
    let all: BTreeSet<Factor> = cases.iter().flat_map(|case| case.factors.iter().cloned()).collect();
    let count = |wanted: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| wanted(case)).count() as u64;
    let support = |factor: &Factor| count(&|case| case.factors.contains(factor));
    let (often, rare): (Vec<Factor>, Vec<Factor>) =
        all.into_iter().partition(|factor| support(factor) >= said.min_support as u64);
    let mut drivers: Vec<(Factor, Driver)> = often
        .into_iter()
        .map(|factor| {
            let [a, b, c, d] = [(true, true), (true, false), (false, true), (false, false)]
                .map(|(has, is)| count(&|case| case.factors.contains(&factor) == has && case.outcome == is));
            let (with, without) = (Rate::new(a, a + b), Rate::new(c, c + d));
            let test = odds([a, b, c, d]).map(|odds| {
                let difference = with.difference_to(&without).unwrap();
                let exact = p_exact([a, b, c, d]);
                let (p_value, exact) = (exact.unwrap_or(difference.p_value), exact.is_some());
                DriverTest { odds, p_value, exact, holm: 0.0, q_value: 0.0 }
            });
            let value = factor.1.clone().into();
            let support = (a + b) as f64 / cases.len() as f64;
            (factor.clone(), Driver { by: said.by[factor.0].clone(), value, support, with, without, test })
        })
        .collect();
    let p_values: Vec<f64> = drivers.iter().filter_map(|(_, driver)| Some(driver.test.as_ref()?.p_value)).collect();
    let m = p_values.len();
    let rank = |p: f64| p_values.iter().filter(|other| **other <= p).count();
    let before = |p: f64| p_values.iter().filter(|other| **other < p).count();
    for test in drivers.iter_mut().filter_map(|(_, driver)| driver.test.as_mut()) {
        let p = test.p_value;
        let of = |wanted: &dyn Fn(f64) -> bool| p_values.iter().copied().filter(|p| wanted(*p)).collect::<Vec<_>>();
        test.holm =
            of(&|other| other <= p).into_iter().map(|p| (p * (m - before(p)) as f64).min(1.0)).fold(0.0, f64::max);
        test.q_value = of(&|other| other >= p).into_iter().map(|p| p * m as f64 / rank(p) as f64).fold(1.0, f64::min);
    }
    drivers.sort_by(|(a, one), (b, other)| {
        let p = |driver: &Driver| driver.test.as_ref().map_or(2.0, |test| test.p_value);
        p(one).total_cmp(&p(other)).then_with(|| a.cmp(b))
    });
    let more = drivers.len().saturating_sub(said.limit) as u64;
    drivers.truncate(said.limit);
    let places: BTreeMap<&Factor, usize> =
        drivers.iter().enumerate().map(|(place, (factor, _))| (factor, place)).collect();
    let listed = |case: &Case| {
        let mut drivers: Vec<usize> = case.factors.iter().filter_map(|factor| places.get(factor).copied()).collect();
        drivers.sort_unstable();
        DriverCase {
            customer: case.customer.clone(),
            at: case.at.map(|at| Micros(at).to_datetime()),
            outcome: case.outcome,
            drivers,
        }
    };
    let mut list: Vec<DriverCase> = cases.iter().map(listed).collect();
    list.sort_by_key(|case| (case.customer.clone(), case.at, case.outcome, case.drivers.clone()));
    DriversReport {
        of: said.of.clone(),
        cases: Rate::new(count(&|case| case.outcome), cases.len() as u64),
        tested: m as u64,
        rare: rare.len() as u64,
        more,
        listed: said.customers.then_some(list),
        drivers: drivers.into_iter().map(|(_, driver)| driver).collect(),
    }
}
