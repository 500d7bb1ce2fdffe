//! Paths, written out one by one from each customer's story.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{
    calendar::moment,
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    Condition, CustomerId, Event, JourneyModel, OtherPaths, PathCustomer, PathDirection, PathLink, PathNode,
    PathPosition, PathStart, PathVariant, Paths, PathsReport, Rate, Scope, Window,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    of: Value,
    repeats: String,
    gap: Option<Window>,
    start: Option<Condition>,
    start_events: Option<Vec<u64>>,
    end: Option<Condition>,
    depth: usize,
    nodes: usize,
    variants: usize,
    #[serde(default)]
    customers: bool,
}

impl Said {
    fn has_start(&self) -> bool {
        self.start.is_some() || self.start_events.is_some()
    }
}

/// A path: whose, when its anchor was, and its steps, counted from there.
struct Path<'a> {
    customer: &'a CustomerId,
    anchor: i64,
    steps: Vec<String>,
    /// Its session may still go on, and it has no end that was asked for.
    is_open: bool,
}

struct Asked<'a> {
    said: Said,
    model: &'a JourneyModel,
    stories: &'a Stories<'a>,
}

impl Asked<'_> {
    fn label(&self, told: &Told<'_>) -> Option<String> {
        match self.said.of.as_str() {
            Some("touchpoint") => Some(told.event.touchpoint().to_string()),
            Some("channel") => Some(told.event.channel().as_str().to_owned()),
            Some(_) => told.stage.map(|stage| self.model.stages()[stage].to_string()),
            None => {
                let groups = self.said.of["groups"].as_array().unwrap();
                let holding = groups.iter().find(|group| {
                    let when: Condition = serde_json::from_value(group["when"].clone()).unwrap();
                    holds(&when, told.event, told.stage, self.model)
                });
                holding.map(|group| group["label"].as_str().unwrap().to_owned())
            }
        }
    }

    fn meets(&self, condition: &Condition, told: &Told<'_>) -> bool {
        holds(condition, told.event, told.stage, self.model)
    }

    /// The place of the first step that counts and meets a condition.
    fn first(&self, session: &[(String, Told<'_>)], condition: &Condition) -> Option<usize> {
        session.iter().position(|(_, told)| self.meets(condition, told) && self.stories.counts(told.at))
    }

    /// The anchor and the steps of a session's path, whole and in the order in which they are counted. `Err` for a start
    /// without an end: when it was.
    fn path(&self, session: &[(String, Told<'_>)]) -> Result<Option<(i64, Vec<String>)>, i64> {
        let (begin, end) = match (self.said.has_start(), &self.said.end) {
            (false, Some(end)) => match self.first(session, end) {
                Some(end) => (0, end),
                None => return Ok(None),
            },
            (_, end) => {
                let begin = match (&self.said.start, &self.said.start_events) {
                    (Some(start), _) => self.first(session, start),
                    (None, Some(events)) => {
                        session.iter().position(|(_, told)| events.contains(&told.seq) && self.stories.counts(told.at))
                    }
                    (None, None) => session.first().filter(|(_, told)| self.stories.counts(told.at)).map(|_| 0),
                };
                let Some(begin) = begin else { return Ok(None) };
                let last = match end {
                    Some(end) => {
                        let last = (begin + 1..session.len()).find(|place| self.meets(end, &session[*place].1));
                        last.ok_or(session[begin].1.at)?
                    }
                    None => session.len() - 1,
                };
                (begin, last)
            }
        };
        let mut steps: Vec<String> = session[begin..=end].iter().map(|(label, _)| label.clone()).collect();
        if self.said.repeats == "collapsed" {
            steps.dedup();
        }
        let is_backward = !self.said.has_start() && self.said.end.is_some();
        if is_backward {
            steps.reverse();
        }
        Ok(Some((session[if is_backward { end } else { begin }].1.at, steps)))
    }

    /// The steps of each session, and whether it may still go on.
    fn sessions<'s>(&self, story: &[Told<'s>]) -> Vec<(Vec<(String, Told<'s>)>, bool)> {
        let mut sessions: Vec<Vec<Told<'_>>> = Vec::new();
        for told in story {
            let is_near = |last: &Told<'_>| {
                self.said.gap.is_none_or(|gap| i128::from(told.at) - i128::from(last.at) <= gap.micros().into())
            };
            match sessions.last_mut() {
                Some(session) if session.last().is_some_and(is_near) => session.push(*told),
                _ => sessions.push(vec![*told]),
            }
        }
        let steps = |session: Vec<Told<'s>>| {
            let silent = i128::from(self.stories.end) - i128::from(session.last().unwrap().at);
            let is_open = self.said.gap.is_some_and(|gap| silent <= gap.micros().into());
            let steps = session.into_iter().filter_map(|told| Some((self.label(&told)?, told)));
            (steps.collect::<Vec<_>>(), is_open)
        };
        sessions.into_iter().map(steps).collect()
    }
}

/// Names with their counts, the largest first, equals by name.
fn ranked<K: Ord + Clone>(all: impl Iterator<Item = K>) -> Vec<(K, u64)> {
    let mut counts: BTreeMap<K, u64> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// What the report of [`Paths`] must say.
#[expect(clippy::too_many_lines, reason = "one figure after the other, as the definition has them")]
pub fn paths(events: &[Event], plan: &Paths, model: &JourneyModel, scope: &Scope) -> PathsReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let asked = Asked { said, model, stories: &stories };
    let (mut paths, mut without_end) = (Vec::new(), Vec::new());
    for (customer, story) in &stories.by_customer {
        for (session, is_open) in asked.sessions(story) {
            match asked.path(&session) {
                Ok(Some((anchor, steps))) => {
                    let is_open = is_open && asked.said.end.is_none();
                    paths.push(Path { customer, anchor, steps, is_open });
                }
                Ok(None) => {}
                Err(at) => without_end.push((customer, at, is_open)),
            }
        }
    }
    let said = &asked.said;
    let is_backward = !said.has_start() && said.end.is_some();
    let all = paths.len() as u64;
    let shown = |path: &Path<'_>| path.steps.iter().take(said.depth).cloned().collect::<Vec<_>>();
    let in_time = |path: &Path<'_>| {
        let mut steps = shown(path);
        if is_backward {
            steps.reverse();
        }
        steps
    };
    let is_beyond = |path: &Path<'_>| path.steps.len() > said.depth;
    let is_open = |path: &Path<'_>| path.is_open && !is_beyond(path);
    let count = |wanted: &dyn Fn(&Path<'_>) -> bool| paths.iter().filter(|path| wanted(path)).count() as u64;

    // The labels that are told apart at a position, from 0.
    let listed = |position: usize| -> Vec<String> {
        let here = paths.iter().filter_map(|path| shown(path).get(position).cloned());
        ranked(here).into_iter().take(said.nodes).map(|(label, _)| label).collect()
    };
    let node_of = |path: &Path<'_>, position: usize| -> Option<Option<String>> {
        let label = shown(path).get(position).cloned()?;
        Some(Some(label).filter(|label| listed(position).contains(label)))
    };
    let mut positions = Vec::new();
    for position in 0.. {
        let here: BTreeSet<String> = paths.iter().filter_map(|path| shown(path).get(position).cloned()).collect();
        if here.is_empty() {
            break;
        }
        let mut labels: Vec<Option<String>> = listed(position).into_iter().map(Some).collect();
        if here.len() > labels.len() {
            labels.push(None);
        }
        let others = (here.len() + 1 - labels.len()) as u64;
        let node = |label: &Option<String>| {
            let is_here = |path: &Path<'_>| node_of(path, position).as_ref() == Some(label);
            PathNode {
                label: label.clone(),
                labels: if label.is_some() { 1 } else { others },
                paths: count(&is_here),
                ended: count(&|path| is_here(path) && path.steps.len() == position + 1 && !is_open(path)),
                open: count(&|path| is_here(path) && path.steps.len() == position + 1 && is_open(path)),
                beyond: count(&|path| is_here(path) && is_beyond(path) && position + 1 == said.depth),
            }
        };
        let mut next: Vec<Option<String>> = listed(position + 1).into_iter().map(Some).collect();
        next.push(None);
        let mut links = Vec::new();
        for near in &labels {
            for far in &next {
                let takes = |path: &Path<'_>| {
                    node_of(path, position).as_ref() == Some(near) && node_of(path, position + 1).as_ref() == Some(far)
                };
                let (from, to) = if is_backward { (far, near) } else { (near, far) };
                links.push(PathLink { from: from.clone(), to: to.clone(), paths: count(&takes) });
            }
        }
        links.retain(|link| link.paths > 0);
        positions.push(PathPosition {
            position: position as u64 + 1,
            paths: count(&|path| path.steps.len() > position && position < said.depth),
            nodes: labels.iter().map(node).collect(),
            links,
        });
    }

    let variants = ranked(paths.iter().map(&in_time));
    let top: Vec<&Vec<String>> = variants.iter().take(said.variants).map(|(steps, _)| steps).collect();
    let of = |steps: &Vec<String>| paths.iter().filter(|path| in_time(path) == *steps).collect::<Vec<_>>();
    let variant = |steps: &Vec<String>| {
        let taken = of(steps);
        PathVariant {
            steps: steps.clone(),
            paths: Rate::new(taken.len() as u64, all),
            customers: taken.iter().map(|path| path.customer).collect::<BTreeSet<_>>().len() as u64,
            open: taken.iter().filter(|path| is_open(path)).count() as u64,
            beyond: taken.iter().filter(|path| is_beyond(path)).count() as u64,
        }
    };
    let is_other = |path: &Path<'_>| !top.contains(&&in_time(path));
    let mut takers: BTreeMap<(&CustomerId, Vec<String>), Vec<&Path<'_>>> = BTreeMap::new();
    for path in &paths {
        takers.entry((path.customer, in_time(path))).or_default().push(path);
    }
    let mut takers: Vec<PathCustomer> = takers
        .into_iter()
        .map(|((customer, steps), taken)| PathCustomer {
            customer: customer.clone(),
            variant: top.iter().position(|one| **one == steps).map(|place| place as u64 + 1),
            steps,
            paths: taken.len() as u64,
            open: taken.iter().filter(|path| is_open(path)).count() as u64,
            beyond: taken.iter().filter(|path| is_beyond(path)).count() as u64,
            first: moment(taken.iter().map(|path| path.anchor).min().unwrap()),
        })
        .collect();
    takers.sort_by(|a, b| (&a.customer, a.first, &a.steps).cmp(&(&b.customer, b.first, &b.steps)));
    let mut starts: BTreeMap<&CustomerId, Vec<(i64, bool)>> = BTreeMap::new();
    without_end.iter().for_each(|(customer, at, is_open)| starts.entry(customer).or_default().push((*at, *is_open)));
    let start = |(customer, at): (&CustomerId, Vec<(i64, bool)>)| PathStart {
        customer: customer.clone(),
        starts: at.len() as u64,
        open: at.iter().filter(|(_, is_open)| *is_open).count() as u64,
        first: moment(at.iter().map(|(at, _)| *at).min().unwrap()),
    };
    let both = said.has_start() && said.end.is_some();
    PathsReport {
        direction: if is_backward { PathDirection::Backward } else { PathDirection::Forward },
        paths: all,
        customers: paths.iter().map(|path| path.customer).collect::<BTreeSet<_>>().len() as u64,
        without_end: both.then_some(without_end.len() as u64),
        without_end_open: both.then_some(without_end.iter().filter(|(_, _, is_open)| *is_open).count() as u64),
        positions,
        variants: top.iter().map(|steps| variant(steps)).collect(),
        other_variants: OtherPaths {
            variants: (variants.len() - top.len()) as u64,
            paths: Rate::new(count(&is_other), all),
            open: count(&|path| is_other(path) && is_open(path)),
            beyond: count(&|path| is_other(path) && is_beyond(path)),
        },
        listed: said.customers.then_some(takers),
        listed_without_end: (both && said.customers).then(|| starts.into_iter().map(start).collect()),
    }
}
