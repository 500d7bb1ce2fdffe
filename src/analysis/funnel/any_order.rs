//! Steps in any order: the most steps that distinct events can serve within the window.
//!
//! The sets of events that can each serve a step of their own are the independent sets of a matroid (Edmonds and Fulkerson
//! 1965), so the greedy choice is the best: of all events so far, from the latest back, each is taken with which those taken
//! can still serve. These are a largest set in every span of time that ends now, and of sets of k events the k latest of them
//! begin last. An event that comes can push out one of them at most.

use std::ops::Range;

use super::{
    Ties,
    answer::Price,
    chain::{Reached, Rules, Trail, Walk},
    hold::Part,
    tied::{Matching, Seen, thin_out},
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

/// What is told of a customer in a funnel of any order.
pub(super) struct Done {
    /// The steps that some chain that might be theirs has done, as bits.
    pub(super) steps: u64,
    /// The money of each step (from 0) of their chain.
    pub(super) money: Vec<(usize, Price)>,
    /// The events of their chain, each with its step (from 0), in the order of the steps.
    pub(super) chain: Vec<(usize, usize)>,
}

impl Done {
    fn of(steps: u64, order: &[Step], chain: Vec<(usize, usize)>) -> Self {
        let money = order.iter().enumerate().filter(|(_, step)| !step.is_missing);
        Self { steps, money: money.map(|(place, step)| (place, step.price)).collect(), chain }
    }
}

/// The money of an event, by its place among these.
pub(super) type PriceOf<'a> = dyn Fn(&Matched<'_>, usize) -> Price + 'a;

/// By what one of several chains is chosen, for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    is_missing: bool,
    at: Micros,
    price: Price,
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

    /// What is told of a customer whose chains of a level last from one moment to the other. The first event carries this
    /// value, if one is given. If the journey was parted, the chain may be of any part. The events are looked for only if they
    /// are kept. If the money is asked for, the chain is the one that comes first: step by step those that did it, the
    /// earlier, and at one moment the one of the smaller money.
    pub(super) fn done_in_any_order<T: Trail>(
        &self,
        (events, parts): (&Matched<'_>, Option<&[Part]>),
        level: usize,
        span: (Micros, Micros),
        value: Option<u32>,
        price: Option<&PriceOf<'_>>,
    ) -> Done {
        let serve = |events: &Matched<'_>| match price {
            Some(price) => self.serve_first(events, level, span, value, |place| price(events, place)),
            None => (Vec::new(), self.serve::<T>(events, span, value)),
        };
        let Some(parts) = parts else {
            let (order, chain) = serve(events);
            return Done::of(self.done_between(events, span), &order, chain);
        };
        let (mut done, mut best, mut room) = (0, (Vec::new(), Vec::new()), MatchedRoom::default());
        for part in parts {
            let events = events.at(part.iter().copied(), &mut room);
            if self.is_reached_in_any_order(&events, level, span) {
                done |= self.done_between(&events, span);
                let place = |(step, place): (usize, usize)| Some((step, part.get(place)?.0));
                let (order, chain) = serve(&events);
                let chain: Vec<_> = chain.into_iter().filter_map(place).collect();
                if chain.len() == level && (best.1.is_empty() || order < best.0) {
                    best = (order, chain);
                }
            }
        }
        Done::of(done, &best.0, best.1)
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
        let words = self.words_from(events, entry, may_begin);
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

    /// The words of events, where of the first instant those that may begin alone can serve if no more than one can.
    fn words_from(&self, events: &Matched<'_>, entry: Micros, may_begin: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut words = events.words.to_vec();
        if self.ties == Ties::LaterOnly {
            let first = words.iter_mut().enumerate().filter(|(place, _)| events.times.get(*place) == Some(&entry));
            first.filter(|(place, _)| !may_begin(*place)).for_each(|(_, word)| *word = 0);
        }
        words
    }

    /// The chain that comes first, and by what it does. Step by step only those events are left to serve that do in the chains
    /// that come first so far.
    fn serve_first(
        &self,
        events: &Matched<'_>,
        level: usize,
        (entry, at): (Micros, Micros),
        value: Option<u32>,
        price: impl Fn(usize) -> Price,
    ) -> (Vec<Step>, Vec<(usize, usize)>) {
        let may_begin = |place: usize| {
            let time = events.times.get(place);
            time == Some(&entry) && value.is_none_or(|value| events.carried.get(place) == Some(&value))
        };
        let mut words = self.words_from(events, entry, may_begin);
        let first = events.times.partition_point(|time| *time < entry);
        let end = events.times.partition_point(|time| *time <= at);
        words.iter_mut().enumerate().filter(|(place, _)| !(first..end).contains(place)).for_each(|(_, word)| *word = 0);
        let kind = |place: usize| {
            let at = events.times.get(place).copied().unwrap_or(Micros::MAX);
            Step { is_missing: false, at, price: price(place) }
        };
        // The words where this step is left to events of some kinds.
        let left = |words: &[u64], step: usize, is_one: &dyn Fn(Step) -> bool| -> Vec<u64> {
            let kept = |(place, word): (usize, &u64)| {
                let is_left = word >> step & 1 == 0 || is_one(kind(place));
                if is_left { *word } else { word & !(1 << step) }
            };
            words.iter().enumerate().map(kept).collect()
        };
        let matching = |words: &[u64], must: u64| {
            let nodes: Vec<Node> = self.nodes(events.times, words).collect();
            self.match_all(&nodes, must, |node| node.places.clone().any(may_begin))
                .filter(|served| served.len() == level)
        };
        let (mut order, mut must) = (Vec::with_capacity(self.steps), 0);
        for step in 0..self.steps {
            let serves = |place: &usize| words.get(*place).is_some_and(|word| word >> step & 1 == 1);
            let mut kinds: Vec<Step> = (first..end).filter(serves).map(kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let leads_there =
                |last: &Step| matching(&left(&words, step, &|kind| kind <= *last), must | 1 << step).is_some();
            let place = match kinds.last() {
                Some(last) if leads_there(last) => kinds.partition_point(|kind| !leads_there(kind)),
                _ => kinds.len(),
            };
            let chosen = kinds.get(place).copied();
            words = left(&words, step, &|kind| Some(kind) == chosen);
            must |= u64::from(chosen.is_some()) << step;
            order.push(chosen.unwrap_or(Step { is_missing: true, at: Micros::MAX, price: Price::Nothing }));
        }
        let nodes: Vec<Node> = self.nodes(events.times, &words).collect();
        let place = |(step, node): (usize, usize)| {
            let serves = |place: &usize| words.get(*place).is_some_and(|word| word >> step & 1 == 1);
            nodes.get(node)?.places.clone().find(serves).map(|place| (step, place))
        };
        let served = matching(&words, must).unwrap_or_default();
        (order, served.into_iter().filter_map(place).collect())
    }

    /// As many steps as can be, each with a node of its own (by its place) among them one that begins, where these steps must be;
    /// `None` if they cannot.
    ///
    /// The steps that must be are served first. One that begins takes the place of another if there is no room beside it. Then
    /// the others are filled along augmenting paths, which take out nothing (Mendelsohn and Dulmage 1958).
    fn match_all(&self, nodes: &[Node], must: u64, begins: impl Fn(&Node) -> bool) -> Option<Vec<(usize, usize)>> {
        // Whether it begins is noted in the place of the levels at which it rests.
        let seen = |(event, node): (usize, &Node)| Seen { event, serves: node.steps, rests: u64::from(begins(node)) };
        let mut seen: Vec<Seen> = nodes.iter().enumerate().map(seen).collect();
        thin_out(&mut seen, self.steps);
        let mut matching = Matching::new(&seen, 0, self.steps);
        let is_filled = |matching: &mut Matching<'_>, step: usize| matching.fill(step);
        if !(0..self.steps).filter(|step| must >> step & 1 == 1).all(|step| is_filled(&mut matching, step)) {
            return None;
        }
        let begins: Vec<usize> = (0..seen.len()).filter(|&i| seen.get(i).is_some_and(|seen| seen.rests == 1)).collect();
        if !begins.iter().any(|&i| matching.is_placed(i)) && !begins.iter().any(|&i| matching.place(i)) {
            matching.put(*begins.first()?);
        }
        for step in 0..self.steps {
            is_filled(&mut matching, step);
        }
        let served = matching.into_events().into_iter().enumerate();
        Some(served.filter_map(|(step, i)| Some((step, seen.get(i?)?.event))).collect())
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
