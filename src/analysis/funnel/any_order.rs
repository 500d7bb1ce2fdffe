//! Steps in any order: the most steps that distinct events can serve within the window.
//!
//! The sets of events that can each serve a step of their own are the independent sets of a matroid (Edmonds and Fulkerson
//! 1965), so the greedy choice is the best: of all events so far, from the latest back, each is taken with which those taken
//! can still serve. These are a largest set in every span of time that ends now, and of sets of k events the k latest of them
//! begin last. An event that comes can push out one of them at most.

use std::ops::Range;

use super::{
    Ties,
    chain::{Reached, Rules, Trail, Walk},
    hold::Part,
    tied::{Matching, Seen},
};
use crate::{
    journey::{Matched, MatchedRoom},
    model::Micros,
};

/// What can serve one step: an event, or the events of one instant if steps must not share it.
#[derive(Debug, Clone)]
struct Node {
    at: Micros,
    steps: u64,
    places: Range<usize>,
}

impl Rules {
    /// The bits of all steps.
    pub(super) fn all_steps(&self) -> u64 {
        (1 << self.steps) - 1
    }

    fn nodes<'a>(&'a self, times: &'a [Micros], words: &'a [u64]) -> impl Iterator<Item = Node> + 'a {
        let mut next = 0;
        let nodes = std::iter::from_fn(move || {
            let (first, at) = (next, *times.get(next)?);
            let is_one = |time: &Micros| self.ties == Ties::LaterOnly && *time == at;
            next += 1 + times.get(next + 1..).unwrap_or_default().iter().take_while(|time| is_one(time)).count();
            let steps = words.get(first..next).unwrap_or_default().iter().fold(0, |steps, word| steps | word);
            Some(Node { at, steps: steps & self.all_steps(), places: first..next })
        });
        nodes.filter(|node| node.steps != 0)
    }

    /// Walks a journey; `enters` says whether an event at that moment may be the first of a chain.
    pub(super) fn walk_any_order<T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        enters: impl Fn(Micros) -> bool,
    ) -> Walk<T> {
        let mut walk = Walk::default();
        // The latest first.
        let mut best: Vec<(Micros, Seen)> = Vec::new();
        let mut last_entry = None;
        let mut nodes = self.nodes(times, words).skip_while(|node| !enters(node.at)).peekable();
        while let Some(node) = nodes.next() {
            walk.first_entry.get_or_insert(node.at);
            if enters(node.at) {
                last_entry = Some(node.at);
            }
            let seen = Seen { event: node.places.start, serves: node.steps, rests: u64::MAX };
            best.insert(0, (node.at, seen));
            keep_those_that_serve(&mut best, self.steps);
            let Some(last_entry) = last_entry.filter(|_| nodes.peek().is_none_or(|next| next.at > node.at)) else {
                continue;
            };
            for &(at, _) in best.iter().skip(walk.reached.len()) {
                // Of those after the last entry one can make room for it.
                let entry = at.min(last_entry);
                if self.window.is_some_and(|window| entry.plus(window) < node.at) {
                    break;
                }
                walk.reached.push(Reached { entry, at: node.at, trail: T::default() });
            }
            if walk.level() == self.steps {
                break;
            }
        }
        walk.open_until = last_entry.and_then(|entry| self.until(1, entry, entry));
        walk
    }

    /// Whether a level is reached by a chain from one of these moments to the other.
    pub(super) fn is_reached_in_any_order(&self, events: &Matched<'_>, level: usize, span: (Micros, Micros)) -> bool {
        let walk = self.walk_any_order::<()>(events.times, events.words, |at| at == span.0);
        walk.reached.get(level - 1).is_some_and(|reached| (reached.entry, reached.at) == span)
    }

    /// The steps that some chain of a level from one moment to the other has done, as bits; and the events of one such chain,
    /// each with its step (from 0), in the order of the steps. The first event carries this value, if one is given. If the
    /// journey was parted, the chain may be of any part. The events are looked for only if they are kept.
    pub(super) fn done_in_any_order<T: Trail>(
        &self,
        events: &Matched<'_>,
        parts: Option<&[Part]>,
        level: usize,
        span: (Micros, Micros),
        value: Option<u32>,
    ) -> (u64, Vec<(usize, usize)>) {
        let Some(parts) = parts else { return (self.done_between(events, span), self.serve::<T>(events, span, value)) };
        let (mut done, mut chain, mut room) = (0, Vec::new(), MatchedRoom::default());
        for part in parts {
            let events = events.at(part.iter().copied(), &mut room);
            if self.is_reached_in_any_order(&events, level, span) {
                done |= self.done_between(&events, span);
                let place = |(step, place): (usize, usize)| Some((step, part.get(place)?.0));
                let found: Vec<_> = self.serve::<T>(&events, span, value).into_iter().filter_map(place).collect();
                chain = if found.len() == level { found } else { chain };
            }
        }
        (done, chain)
    }

    /// Nothing if no chain begins with such a value.
    fn serve<T: Trail>(
        &self,
        events: &Matched<'_>,
        (entry, at): (Micros, Micros),
        value: Option<u32>,
    ) -> Vec<(usize, usize)> {
        if !T::IS_KEPT {
            return Vec::new();
        }
        let may_begin = |place: usize| {
            let time = events.times.get(place);
            time == Some(&entry) && value.is_none_or(|value| events.carried.get(place) == Some(&value))
        };
        let mut words = events.words.to_vec();
        if self.ties == Ties::LaterOnly {
            // Of the first instant one event alone can serve.
            let first = words.iter_mut().enumerate().filter(|(place, _)| events.times.get(*place) == Some(&entry));
            first.filter(|(place, _)| !may_begin(*place)).for_each(|(_, word)| *word = 0);
        }
        let mut nodes: Vec<Node> =
            self.nodes(events.times, &words).filter(|node| (entry..=at).contains(&node.at)).collect();
        // One that may begin is taken first, so it is among them.
        nodes.sort_by_key(|node| !node.places.clone().any(may_begin));
        if !nodes.first().is_some_and(|node| node.places.clone().any(may_begin)) {
            return Vec::new();
        }
        let seen = |(event, node): (usize, &Node)| Seen { event, serves: node.steps, rests: u64::MAX };
        let seen: Vec<Seen> = nodes.iter().enumerate().map(seen).collect();
        let mut matching = Matching::new(&seen, 0, self.steps);
        (0..seen.len()).for_each(|node| {
            matching.place(node);
        });
        let served = matching.into_events().into_iter().enumerate().filter_map(|(step, node)| Some((step, node?)));
        let place = |(step, node): (usize, usize)| {
            let serves = |place: &usize| words.get(*place).is_some_and(|word| word >> step & 1 == 1);
            nodes.get(node)?.places.clone().find(serves).map(|place| (step, place))
        };
        served.filter_map(place).collect()
    }

    /// Every such step has a chain: what can serve a step, or must, can be part of a largest choice (Mendelsohn and Dulmage
    /// 1958).
    fn done_between(&self, events: &Matched<'_>, (entry, at): (Micros, Micros)) -> u64 {
        let within = events.times.iter().zip(events.words).filter(|(time, _)| (entry..=at).contains(*time));
        within.fold(0, |done, (_, word)| done | word) & self.all_steps()
    }
}

/// Lets go of the event, if there is one, that can serve no step beside those before it.
fn keep_those_that_serve(best: &mut Vec<(Micros, Seen)>, steps: usize) {
    let seen: Vec<Seen> = best.iter().map(|(_, seen)| *seen).collect();
    let mut matching = Matching::new(&seen, 0, steps);
    let mut place = 0..;
    best.retain(|_| place.next().is_some_and(|place| matching.place(place)));
}
