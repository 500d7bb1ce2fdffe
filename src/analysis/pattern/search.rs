//! The search for a pattern in one journey, in time that is linear in its events.

use std::collections::VecDeque;

use crate::model::{Condition, Micros, Pattern, PatternFollows, Window};

/// A pattern whose conditions are bits of words.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Rule>,
    within: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    when: u64,
    /// What must not lie between; 0 for nothing.
    not: u64,
    is_direct: bool,
    within: Option<Window>,
    at_least: usize,
    /// From so many events on they are not told apart.
    most: usize,
    /// There may be any number more.
    goes_on: bool,
    /// The first of its states; one for each of its events that are told apart.
    state: usize,
}

/// A chain of matched events, seen from its last one.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// Its last event ...
    event: usize,
    /// ... the state that this one took, and its first event.
    state: usize,
    start: usize,
    /// Where its events are kept.
    link: usize,
}

impl Chain {
    /// Which of two chains is better, of those that end with the same event or are to be followed by the same.
    fn rank(&self) -> (usize, usize, usize) {
        (self.start, self.event, self.state)
    }
}

/// Chains that wait for the next event of a step: of later ends and earlier starts from front to back, since a chain that
/// another one excels in both is of no use.
type Waiting = VecDeque<Chain>;

/// Room for the search.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// For each step the chains that wait for its first event.
    ready: Vec<Waiting>,
    /// For each state those that wait for a further event of its step.
    again: Vec<Waiting>,
    /// The chains that one event makes of one step.
    fresh: Vec<Chain>,
    /// Matched events: each with its step, and where the one before it is kept.
    links: Vec<(usize, usize, usize)>,
    /// The best chain that the event ends.
    found: Option<Chain>,
}

/// A match: its first and last event, and, if they are kept, all its events with their steps.
pub(super) struct Found {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) events: Vec<(usize, usize)>,
}

const NO_LINK: usize = usize::MAX;

impl Program {
    /// The program of a pattern, and the conditions of its words' bits.
    pub(super) fn of(pattern: &Pattern) -> (Self, Vec<Condition>) {
        let mut conditions = Vec::new();
        let mut bit = |condition: &Condition| {
            conditions.push(condition.clone());
            1_u64 << ((conditions.len() - 1) % 64)
        };
        let (mut steps, mut state) = (Vec::new(), 0);
        for step in &pattern.steps {
            steps.push(Rule {
                when: bit(&step.when),
                not: step.not_between.as_ref().map_or(0, &mut bit),
                is_direct: step.follows == PatternFollows::Directly,
                within: step.within,
                at_least: step.at_least as usize,
                most: step.told_apart(),
                goes_on: step.at_most.is_none(),
                state,
            });
            state += step.told_apart();
        }
        (Self { steps, within: pattern.within }, conditions)
    }

    /// Whether it must see events for which no condition holds.
    pub(super) fn needs_every_event(&self) -> bool {
        self.steps.iter().any(|step| step.is_direct)
    }

    /// Whether an event may begin a match.
    pub(super) fn may_begin(&self, word: u64) -> bool {
        self.steps.first().is_some_and(|first| word & first.when != 0)
    }

    fn clear(&self, room: &mut Room) {
        let states = self.steps.iter().map(|step| step.most).sum();
        room.ready.resize_with(self.steps.len(), Waiting::new);
        room.again.resize_with(states, Waiting::new);
        room.ready.iter_mut().chain(&mut room.again).for_each(Waiting::clear);
        room.links.clear();
        room.found = None;
    }

    /// Finds match after match in the events of a journey.
    pub(super) fn search(
        &self,
        times: &[Micros],
        words: &[u64],
        may_start: impl Fn(Micros) -> bool,
        keeps_events: bool,
        room: &mut Room,
        mut found: impl FnMut(Found),
    ) {
        self.clear(room);
        for (event, (&at, &word)) in times.iter().zip(words).enumerate() {
            // From the last step on, so that an event serves one step only.
            for (place, rule) in
                self.steps.iter().enumerate().rev().filter(|(_, rule)| word & (rule.when | rule.not) != 0)
            {
                room.fresh.clear();
                if word & rule.when != 0 {
                    self.extend((place, rule), event, times, may_start(at), keeps_events, room);
                }
                if word & rule.not != 0 {
                    room.ready.get_mut(place).into_iter().for_each(Waiting::clear);
                    let own = room.again.get_mut(rule.state..rule.state + rule.most).unwrap_or_default();
                    own.iter_mut().for_each(Waiting::clear);
                }
                for i in 0..room.fresh.len() {
                    if let Some(&chain) = room.fresh.get(i) {
                        self.add(place, rule, chain, room);
                    }
                }
            }
            if let Some(chain) = room.found {
                let (mut events, mut next) = (Vec::new(), chain.link);
                while let Some(&(event, step, before)) = room.links.get(next) {
                    events.push((event, step));
                    next = before;
                }
                events.reverse();
                found(Found { first: chain.start, last: chain.event, events });
                self.clear(room);
            }
        }
    }

    /// Makes the chains that an event extends or begins as one of a step.
    fn extend(
        &self,
        (place, rule): (usize, &Rule),
        event: usize,
        times: &[Micros],
        may_start: bool,
        keeps_events: bool,
        room: &mut Room,
    ) {
        for nth in (0..rule.most).rev() {
            let state = rule.state + nth;
            let mut best = None;
            let mut look = |waiting: Option<&mut Waiting>| {
                let chain = waiting.and_then(|waiting| self.best(rule, waiting, event, times));
                if chain.map(|chain| chain.rank()) > best.map(|best: Chain| best.rank()) {
                    best = chain;
                }
            };
            if nth == 0 {
                look(room.ready.get_mut(place));
            } else {
                look(room.again.get_mut(state - 1));
            }
            if rule.goes_on && nth + 1 == rule.most {
                look(room.again.get_mut(state));
            }
            let begins = place == 0 && nth == 0 && may_start;
            // A chain that begins here begins later than any other.
            let (start, before) = match best {
                _ if begins => (event, NO_LINK),
                Some(best) => (best.start, best.link),
                None => continue,
            };
            let link = if keeps_events {
                room.links.push((event, place, before));
                room.links.len() - 1
            } else {
                NO_LINK
            };
            room.fresh.push(Chain { event, state, start, link });
        }
    }

    /// The best chain that an event of a step may follow.
    fn best(&self, rule: &Rule, waiting: &mut Waiting, event: usize, times: &[Micros]) -> Option<Chain> {
        let apart = |earlier: usize, window: Option<Window>| {
            let (Some(earlier), Some(later)) = (times.get(earlier), times.get(event)) else { return true };
            window.is_some_and(|window| later.since(*earlier) > window.micros().into())
        };
        if rule.is_direct {
            waiting.retain(|chain| chain.event + 1 == event);
        }
        while waiting.front().is_some_and(|chain| apart(chain.event, rule.within) || apart(chain.start, self.within)) {
            waiting.pop_front();
        }
        waiting.front().copied()
    }

    /// Lets a chain wait for whatever may follow a step's event.
    fn add(&self, place: usize, rule: &Rule, chain: Chain, room: &mut Room) {
        let nth = chain.state - rule.state;
        if nth + 1 < rule.most || rule.goes_on {
            room.again.get_mut(chain.state).into_iter().for_each(|waiting| wait(rule, waiting, chain));
        }
        if nth + 1 < rule.at_least {
            return;
        }
        if place + 1 == self.steps.len() {
            if room.found.is_none_or(|found| found.rank() < chain.rank()) {
                room.found = Some(chain);
            }
            return;
        }
        // Also behind steps that may be left out.
        for (next, rule) in self.steps.iter().enumerate().skip(place + 1) {
            room.ready.get_mut(next).into_iter().for_each(|waiting| wait(rule, waiting, chain));
            if rule.at_least > 0 {
                break;
            }
        }
    }
}

/// Adds a chain to those that wait for an event of a step.
fn wait(rule: &Rule, waiting: &mut Waiting, chain: Chain) {
    if let Some(same) = waiting.back().filter(|last| last.event == chain.event)
        && same.rank() >= chain.rank()
    {
        return;
    }
    if rule.is_direct {
        waiting.clear();
    }
    while waiting.back().is_some_and(|last| last.start <= chain.start) {
        waiting.pop_back();
    }
    // Where the time since the last event does not matter, nothing behind the front is ever looked at.
    if rule.within.is_some() || waiting.is_empty() {
        waiting.push_back(chain);
    }
}
