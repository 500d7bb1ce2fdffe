//! Conversion rates, from all pairs of an exposure and a wanted event.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    calendar::{end_of, is_whole, moment, start_of},
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    Condition, ConversionCount, ConversionFigures, ConversionKind, ConversionOutcome, ConversionRate,
    ConversionRateReport, ConversionRow, ConversionTrial, CustomerId, Event, EventBy, JourneyModel, Micros, Period,
    Rate, Scope, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    kind: ConversionKind,
    exposed: Condition,
    wanted: Condition,
    within: Option<Window>,
    count: ConversionCount,
    by: Option<EventBy>,
    period: Option<Period>,
    #[serde(default)]
    customers: bool,
}

/// The period, whether there is no group, its place in the model, and its name.
type Place = (Option<i64>, bool, Option<usize>, Option<String>);

struct Trial<'a> {
    customer: &'a CustomerId,
    exposed: i64,
    followed: Option<i64>,
    place: Place,
}

/// Finds a follower for each of some exposures, no two the same, by changing earlier choices.
fn can_all(of: &[usize], pairs: &BTreeSet<(usize, usize)>, wanted: &[usize]) -> bool {
    fn find(
        one: usize,
        pairs: &BTreeSet<(usize, usize)>,
        wanted: &[usize],
        seen: &mut BTreeSet<usize>,
        taken: &mut BTreeMap<usize, usize>,
    ) -> bool {
        for &follower in wanted {
            if !pairs.contains(&(one, follower)) || !seen.insert(follower) {
                continue;
            }
            let other = taken.get(&follower).copied();
            if other.is_none_or(|other| find(other, pairs, wanted, seen, taken)) {
                taken.insert(follower, one);
                return true;
            }
        }
        false
    }
    let mut taken = BTreeMap::new();
    of.iter().all(|&one| find(one, pairs, wanted, &mut BTreeSet::new(), &mut taken))
}

/// What the report of [`ConversionRate`] must say. For small worlds only.
#[expect(clippy::too_many_lines, reason = "it reads from top to bottom, as the definition does")]
pub fn conversion_rate(
    events: &[Event],
    plan: &ConversionRate,
    model: &JourneyModel,
    scope: &Scope,
) -> ConversionRateReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let window = said.within.map(|window| i128::from(window.micros()));
    let is_open = |at: i64| window.is_some_and(|window| i128::from(at) + window > i128::from(stories.end));
    let is_told_apart = said.by.is_some() || said.period.is_some();
    let (mut total, mut told_apart): (Vec<Trial<'_>>, Vec<Trial<'_>>) = (Vec::new(), Vec::new());
    for (customer, story) in &stories.by_customer {
        let is = |condition: &Condition, told: &Told<'_>| holds(condition, told.event, told.stage, model);
        let of = |condition: &Condition| (0..story.len()).filter(|i| is(condition, &story[*i])).collect::<Vec<_>>();
        let (exposures, wanted) = (of(&said.exposed), of(&said.wanted));
        let mut pairs = BTreeSet::new();
        for &one in &exposures {
            for &other in wanted.iter().filter(|other| **other != one) {
                let between = i128::from(story[other].at) - i128::from(story[one].at);
                if between >= 0 && window.is_none_or(|window| between <= window) {
                    pairs.insert((one, other));
                }
            }
        }
        let place = |one: usize| -> Place {
            let told = &story[one];
            let until =
                |at: i64| story.iter().filter(|other| other.at <= at).filter_map(|other| other.stage).next_back();
            let stage = match said.by {
                Some(EventBy::Stage) => until(told.at - 1),
                Some(EventBy::StageAfter) => until(told.at),
                _ => None,
            };
            let group = match said.by {
                Some(EventBy::Touchpoint) => Some(told.event.touchpoint().to_string()),
                Some(EventBy::Channel) => Some(told.event.channel().as_str().to_owned()),
                _ => stage.map(|stage| model.stages()[stage].to_string()),
            };
            let period = said.period.map(|period| start_of(period, moment(told.at)).timestamp_micros());
            (period, group.is_none(), stage, group)
        };
        let counted: Vec<usize> = exposures.iter().copied().filter(|one| stories.counts(story[*one].at)).collect();
        if said.count == ConversionCount::Exposures && said.kind == ConversionKind::Abandonment {
            for &one in &counted {
                let followers = pairs.iter().filter(|(other, _)| *other == one);
                let followed = followers.map(|(_, follower)| story[*follower].at).min();
                let trial = |place| Trial { customer, exposed: story[one].at, followed, place };
                total.push(trial(place(one)));
                told_apart.push(trial(place(one)));
            }
            continue;
        }
        if said.count == ConversionCount::Exposures {
            let mut oldest_first = exposures.clone();
            oldest_first.sort_by_key(|one| {
                let (_, is_none, stage, group) = place(*one);
                (story[*one].at, is_none, stage, group)
            });
            let mut served: Vec<usize> = Vec::new();
            for &one in &oldest_first {
                served.push(one);
                if !can_all(&served, &pairs, &wanted) {
                    served.pop();
                }
            }
            // Each takes the earliest that leaves all others theirs.
            let mut left = pairs.clone();
            for &one in &served {
                let at_one = |left: &BTreeSet<(usize, usize)>, at: i64| -> BTreeSet<(usize, usize)> {
                    left.iter().copied().filter(|(other, of)| *other != one || story[*of].at == at).collect()
                };
                let times: BTreeSet<i64> = wanted.iter().map(|follower| story[*follower].at).collect();
                let first = times.into_iter().find(|at| can_all(&served, &at_one(&left, *at), &wanted));
                left = at_one(&left, first.unwrap());
            }
            for &one in &counted {
                let followed = if served.contains(&one) { left.iter().find(|(other, _)| *other == one) } else { None };
                let followed = followed.map(|(_, follower)| story[*follower].at);
                let trial = |place| Trial { customer, exposed: story[one].at, followed, place };
                total.push(trial(place(one)));
                told_apart.push(trial(place(one)));
            }
            continue;
        }
        let best = |of: &[usize]| {
            let mut found = pairs.iter().filter(|(one, _)| of.contains(one)).collect::<Vec<_>>();
            found.sort_by_key(|(one, follower)| (story[*follower].at, std::cmp::Reverse(story[*one].at)));
            let latest = of.iter().map(|one| story[*one].at).max().unwrap();
            found.first().map_or((latest, None), |(one, other)| (story[*one].at, Some(story[*other].at)))
        };
        let places: BTreeSet<Place> = counted.iter().map(|one| place(*one)).collect();
        for here in &places {
            let of: Vec<usize> = counted.iter().copied().filter(|one| place(*one) == *here).collect();
            let (exposed, followed) = best(&of);
            told_apart.push(Trial { customer, exposed, followed, place: here.clone() });
        }
        if !counted.is_empty() {
            let (exposed, followed) = best(&counted);
            total.push(Trial { customer, exposed, followed, place: (None, true, None, None) });
        }
    }
    let outcome = |trial: &Trial<'_>| match trial.followed {
        Some(_) => ConversionOutcome::Followed,
        None if is_open(trial.exposed) => ConversionOutcome::Pending,
        None => ConversionOutcome::Missed,
    };
    let figures = |trials: &[&Trial<'_>]| {
        let count = |wanted: &dyn Fn(&Trial<'_>) -> bool| trials.iter().filter(|trial| wanted(trial)).count() as u64;
        let [followed, missed, pending] =
            [ConversionOutcome::Followed, ConversionOutcome::Missed, ConversionOutcome::Pending]
                .map(|wanted| count(&|trial| outcome(trial) == wanted));
        let over = count(&|trial| !is_open(trial.exposed));
        let exposed = trials.len() as u64;
        ConversionFigures {
            exposed,
            followed,
            missed,
            pending,
            conversion: Rate::new(followed, exposed),
            settled_conversion: Rate::new(over - missed, over),
            abandonment: Rate::new(missed, over),
        }
    };
    let places: BTreeSet<Place> = told_apart.iter().map(|trial| trial.place.clone()).collect();
    let row = |place: &Place| ConversionRow {
        period: place.0.map(|start| Micros(start).to_datetime()),
        finished: said.period.zip(place.0).is_none_or(|(period, start)| {
            let end = end_of(period, moment(start));
            let is_over = i128::from(end.timestamp_micros()) + window.unwrap_or(0) <= i128::from(stories.end);
            is_over && is_whole(&stories, moment(start), end)
        }),
        group: place.3.clone(),
        figures: figures(&told_apart.iter().filter(|trial| trial.place == *place).collect::<Vec<_>>()),
    };
    let mut listed: Vec<&Trial<'_>> = if is_told_apart { &told_apart } else { &total }.iter().collect();
    listed.sort_by_key(|trial| (trial.customer, trial.exposed, trial.followed, trial.place.clone()));
    let listed = listed.into_iter().map(|trial| ConversionTrial {
        customer: trial.customer.clone(),
        outcome: outcome(trial),
        exposed_at: Micros(trial.exposed).to_datetime(),
        followed_at: trial.followed.map(|at| Micros(at).to_datetime()),
        period: trial.place.0.map(|start| Micros(start).to_datetime()),
        group: trial.place.3.clone(),
    });
    ConversionRateReport {
        kind: said.kind,
        count: said.count,
        within: said.within,
        by: said.by,
        period: said.period,
        total: figures(&total.iter().collect::<Vec<_>>()),
        rows: if is_told_apart { places.iter().map(row).collect() } else { Vec::new() },
        listed: said.customers.then(|| listed.collect()),
    }
}
