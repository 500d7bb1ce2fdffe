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
#[derive(Default)]
pub(super) struct Done {
    /// The steps that their chain has done, as bits.
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

/// The chains of a customer's level, entry and completion. The first event carries this value, if one is given.
#[derive(Clone, Copy)]
pub(super) struct Best {
    pub(super) level: usize,
    pub(super) entry: Micros,
    pub(super) at: Micros,
    pub(super) value: Option<u32>,
}

impl Best {
    /// Whether an event at this place may be the first of such a chain.
    fn may_begin(&self, events: &Matched<'_>, place: usize) -> bool {
        let is_of_value = || self.value.is_none_or(|value| events.carried.get(place) == Some(&value));
        events.times.get(place) == Some(&self.entry) && is_of_value()
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

    /// What is told of a customer: of the best chains that one counts which did the steps that come first. If the journey was
    /// parted, the chain may be of any part. The events are looked for only if they are kept. If the money is asked for, the
    /// chain is of these the one that comes first: step by step the earlier, and at one moment the one of the smaller money.
    pub(super) fn done_in_any_order<T: Trail>(
        &self,
        (events, parts): (&Matched<'_>, Option<&[Part]>),
        best: Best,
        price: Option<&PriceOf<'_>>,
    ) -> Done {
        let serve = |events: &Matched<'_>, steps: u64| match price {
            Some(price) => self.serve_first(events, best, steps, |place| price(events, place)),
            None if T::IS_KEPT => (Vec::new(), self.serve(events, best, &self.words_of(events, best, steps), steps)),
            None => (Vec::new(), Vec::new()),
        };
        let Some(parts) = parts else {
            let steps = self.first_steps(events, best).unwrap_or_default();
            let (order, chain) = serve(events, steps);
            return Done::of(steps, &order, chain);
        };
        let mut room = MatchedRoom::default();
        let span = (best.entry, best.at);
        let found = parts.iter().filter_map(|part| {
            let events = events.at(part.iter().copied(), &mut room);
            if !self.is_reached_in_any_order(&events, best.level, span) {
                return None;
            }
            let steps = self.first_steps(&events, best)?;
            let (order, chain) = serve(&events, steps);
            let place = |(step, place): (usize, usize)| Some((step, part.get(place)?.0));
            Some((steps, order, chain.into_iter().filter_map(place).collect()))
        });
        // Of as many steps those come first that have the first one in which they differ.
        let first = found.min_by(|a, b| b.0.reverse_bits().cmp(&a.0.reverse_bits()).then_with(|| a.1.cmp(&b.1)));
        first.map_or_else(Done::default, |(steps, order, chain)| Done::of(steps, &order, chain))
    }

    /// Of the best chains the steps of that which comes first: step by step one that did it before one that did not. `None` if
    /// no chain begins with such a value.
    pub(super) fn first_steps(&self, events: &Matched<'_>, best: Best) -> Option<u64> {
        let words = self.words_of(events, best, self.all_steps());
        let begins = |place: usize| best.may_begin(events, place) && words.get(place).is_some_and(|word| *word != 0);
        let first = events.times.partition_point(|time| *time < best.entry);
        if !(first..words.len()).take_while(|place| events.times.get(*place) == Some(&best.entry)).any(begins) {
            return None;
        }
        let all = words.iter().fold(0, |all, word| all | word);
        // Most often there is nothing to choose.
        if all.count_ones() as usize == best.level && self.ties != Ties::LaterOnly {
            return Some(all);
        }
        let nodes: Vec<Node> = self.nodes(events.times, &words).collect();
        let leads_there = |must: u64| self.match_best(&nodes, events, best, must).is_some();
        let mut steps = 0;
        for step in (0..self.steps).filter(|step| all >> step & 1 == 1) {
            if leads_there(steps | 1 << step) {
                steps |= 1 << step;
            }
        }
        (steps.count_ones() as usize == best.level).then_some(steps)
    }

    /// The words of the events that may serve in the best chains, as far as they are of these steps. Of the first instant only
    /// those that may begin can serve if no more than one can.
    fn words_of(&self, events: &Matched<'_>, best: Best, steps: u64) -> Vec<u64> {
        let word = |(place, (time, word)): (usize, (&Micros, &u64))| {
            let is_other = self.ties == Ties::LaterOnly && *time == best.entry && !best.may_begin(events, place);
            if is_other || !(best.entry..=best.at).contains(time) { 0 } else { word & steps }
        };
        events.times.iter().zip(events.words).enumerate().map(word).collect()
    }

    /// A best chain with these steps: each with its node.
    fn match_best(&self, nodes: &[Node], events: &Matched<'_>, best: Best, must: u64) -> Option<Vec<(usize, usize)>> {
        let begins = |node: &Node| node.places.clone().any(|place| best.may_begin(events, place));
        self.match_all(nodes, must, begins).filter(|served| served.len() == best.level)
    }

    /// The events of a best chain with these steps, each with its step, if they serve as these words say.
    fn serve(&self, events: &Matched<'_>, best: Best, words: &[u64], steps: u64) -> Vec<(usize, usize)> {
        let nodes: Vec<Node> = self.nodes(events.times, words).collect();
        let place = |(step, node): (usize, usize)| {
            let serves = |place: &usize| words.get(*place).is_some_and(|word| word >> step & 1 == 1);
            nodes.get(node)?.places.clone().find(serves).map(|place| (step, place))
        };
        let served = self.match_best(&nodes, events, best, steps).unwrap_or_default();
        served.into_iter().filter_map(place).collect()
    }

    /// Of the best chains with these steps that which comes first, and by what it does. Step by step only those events are left to
    /// serve that do in the chains that come first so far.
    fn serve_first(
        &self,
        events: &Matched<'_>,
        best: Best,
        steps: u64,
        price: impl Fn(usize) -> Price,
    ) -> (Vec<Step>, Vec<(usize, usize)>) {
        let mut words = self.words_of(events, best, steps);
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
        let mut order = Vec::with_capacity(self.steps);
        for step in 0..self.steps {
            let serves = |place: &usize| words.get(*place).is_some_and(|word| word >> step & 1 == 1);
            let mut kinds: Vec<Step> = (0..words.len()).filter(serves).map(kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let leads_there = |last: &Step| {
                let words = left(&words, step, &|kind| kind <= *last);
                let nodes: Vec<Node> = self.nodes(events.times, &words).collect();
                self.match_best(&nodes, events, best, steps).is_some()
            };
            let chosen = kinds.get(kinds.partition_point(|kind| !leads_there(kind))).copied();
            words = left(&words, step, &|kind| Some(kind) == chosen);
            order.push(chosen.unwrap_or(Step { is_missing: true, at: Micros::MAX, price: Price::Nothing }));
        }
        (order, self.serve(events, best, &words, steps))
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
}

/// Lets go of the event, if there is one, that can serve no step beside those before it.
fn keep_those_that_serve(best: &mut Vec<(Micros, Seen)>, steps: usize) {
    let seen: Vec<Seen> = best.iter().map(|(_, seen)| *seen).collect();
    let mut matching = Matching::new(&seen, 0, steps);
    let mut place = 0..;
    best.retain(|_| place.next().is_some_and(|place| matching.place(place)));
}
