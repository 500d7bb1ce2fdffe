//! Patterns: all choices of events that match, tried one by one.

use serde::Deserialize;

use super::{
    conditions::holds,
    story::{Stories, Told, histogram, summary},
};
use crate::{
    Condition, Event, JourneyModel, PatternCustomer, PatternEvent, PatternMatch, PatternMatches, PatternReport, Rate,
    Scope, Seq, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    steps: Vec<Step>,
    within: Option<Window>,
    #[serde(default)]
    customers: bool,
}

#[derive(Deserialize)]
struct Step {
    when: Condition,
    #[serde(default)]
    follows: Option<String>,
    at_least: Option<usize>,
    at_most: Option<usize>,
    within: Option<Window>,
    not_between: Option<Condition>,
}

impl Step {
    fn least(&self) -> usize {
        self.at_least.unwrap_or(1)
    }

    fn most(&self) -> usize {
        let given = self.at_least.is_some() || self.at_most.is_some();
        self.at_most.unwrap_or(if given { usize::MAX } else { 1 })
    }

    /// From so many on, events are not told apart.
    fn same_from(&self) -> usize {
        if self.most() == usize::MAX { self.least().max(1) } else { self.most() }
    }
}

/// A chosen event: its place in the story, its step, and which event of the step it is.
type Chosen = (usize, usize, usize);

struct Search<'a> {
    said: &'a Said,
    story: &'a [Told<'a>],
    model: &'a JourneyModel,
    matches: Vec<Vec<Chosen>>,
}

impl Search<'_> {
    fn meets(&self, condition: &Condition, place: usize) -> bool {
        let told = &self.story[place];
        holds(condition, told.event, told.stage, self.model)
    }

    fn apart(&self, earlier: usize, later: usize, window: Option<Window>) -> bool {
        let length = i128::from(self.story[later].at) - i128::from(self.story[earlier].at);
        window.is_some_and(|window| length > window.micros().into())
    }

    /// Whether an event may come behind a matched one as one of a step.
    fn follows(&self, before: usize, place: usize, step: &Step) -> bool {
        let is_direct = step.follows.as_deref() == Some("directly");
        let excluded = |not: &Condition| (before + 1..place).any(|between| self.meets(not, between));
        let is_next = place == before + 1;
        let is_clean = !step.not_between.as_ref().is_some_and(excluded);
        is_clean && (is_next || !is_direct) && !self.apart(before, place, step.within)
    }

    /// Tries all ways to go on.
    fn go_on(&mut self, chosen: &mut Vec<Chosen>) {
        let &(last, step, nth) = chosen.last().unwrap();
        let steps = &self.said.steps;
        if step + 1 == steps.len() && nth >= steps[step].least() {
            self.matches.push(chosen.clone());
        }
        let mut ways = Vec::new();
        if nth < steps[step].most() {
            ways.push((step, nth + 1));
        }
        if nth >= steps[step].least() {
            for (next, rule) in steps.iter().enumerate().skip(step + 1) {
                ways.push((next, 1));
                if rule.least() > 0 {
                    break;
                }
            }
        }
        for (step, nth) in ways {
            for place in last + 1..self.story.len() {
                let rule = &self.said.steps[step];
                let fits = self.meets(&rule.when, place)
                    && self.follows(last, place, rule)
                    && !self.apart(chosen[0].0, place, self.said.within);
                if fits {
                    chosen.push((place, step, nth));
                    self.go_on(chosen);
                    chosen.pop();
                }
            }
        }
    }
}

/// The most matches of a list that do not overlap and begin at an event or later.
fn most(intervals: &[(usize, usize)], from: usize) -> usize {
    let begin = intervals.iter().filter(|(first, _)| *first >= from);
    begin.map(|(_, last)| 1 + most(intervals, last + 1)).max().unwrap_or(0)
}

/// What the report of [`PatternMatches`] must say. For journeys of a few events only.
pub fn pattern(events: &[Event], plan: &PatternMatches, model: &JourneyModel, scope: &Scope) -> PatternReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let (mut lengths, mut listed) = (Vec::new(), Vec::new());
    for (customer, story) in &stories.by_customer {
        if !story.iter().any(|told| stories.counts(told.at)) {
            continue;
        }
        let mut search = Search { said: &said, story, model, matches: Vec::new() };
        let starts: Vec<usize> = (0..story.len())
            .filter(|place| stories.counts(story[*place].at) && search.meets(&said.steps[0].when, *place))
            .collect();
        let started = !starts.is_empty();
        starts.into_iter().for_each(|start| search.go_on(&mut vec![(start, 0, 1)]));
        let ends = |chosen: &[Chosen]| (chosen[0].0, chosen.last().unwrap().0);
        let mut found: Vec<Vec<Chosen>> = Vec::new();
        loop {
            let free = found.last().map_or(0, |last| ends(last).1 + 1);
            // As late as they can be, from the last event backwards; events not told apart are as one.
            let key = |chosen: &Vec<Chosen>| {
                let (first, last) = ends(chosen);
                let told = |&(place, step, nth): &Chosen| (place, step, nth.min(said.steps[step].same_from()));
                (std::cmp::Reverse(last), first, chosen.iter().rev().map(told).collect::<Vec<_>>())
            };
            let left = search.matches.iter().filter(|chosen| ends(chosen).0 >= free);
            let Some(next) = left.max_by_key(|chosen| key(chosen)) else { break };
            found.push(next.clone());
        }
        let mut intervals: Vec<_> = search.matches.iter().map(|chosen| ends(chosen)).collect();
        intervals.sort_unstable();
        intervals.dedup();
        assert_eq!(found.len(), most(&intervals, 0), "there is a way to choose more that do not overlap");
        let at = |place: usize| i128::from(story[place].at);
        lengths.extend(found.iter().map(|chosen| at(ends(chosen).1) - at(ends(chosen).0)));
        let event = |&(place, step, _): &Chosen| PatternEvent {
            step: step + 1,
            seq: Seq(story[place].seq),
            occurred_at: crate::Micros(story[place].at).to_datetime(),
        };
        let one = |chosen: &Vec<Chosen>| PatternMatch { events: chosen.iter().map(event).collect() };
        let matches = found.iter().map(one).collect();
        listed.push(PatternCustomer { customer: customer.clone(), started, matches });
    }
    let customers = listed.len() as u64;
    let matched = listed.iter().filter(|one| !one.matches.is_empty()).count() as u64;
    let started = listed.iter().filter(|one| one.started).count() as u64;
    PatternReport {
        customers,
        matched: Rate::new(matched, customers),
        of_started: Rate::new(matched, started),
        matches: lengths.len() as u64,
        histogram: histogram(&lengths),
        duration: summary(lengths),
        listed: said.customers.then_some(listed),
    }
}
