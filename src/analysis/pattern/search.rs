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
    /// When there are so many of these, those that no chain needs any more are let go.
    sweep_at: usize,
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
/// Fewer kept events are not looked over.
const SWEEP_AT: usize = 1 << 10;

impl Room {
    /// Lets go of kept events that no waiting chain leads to. It is done when there are twice as many as were needed the last
    /// time, so that it costs each event a step or two.
    fn sweep(&mut self) {
        let mut needed = vec![false; self.links.len()];
        for chain in self.ready.iter().chain(&self.again).flatten() {
            let mut next = chain.link;
            while let Some(is_needed) = needed.get_mut(next).filter(|is_needed| !**is_needed) {
                *is_needed = true;
                next = self.links.get(next).map_or(NO_LINK, |(.., before)| *before);
            }
        }
        // An event is kept after those before it, so each is moved before it is asked for.
        let mut becomes = vec![NO_LINK; self.links.len()];
        let mut kept = Vec::new();
        for (place, &(event, step, before)) in self.links.iter().enumerate() {
            if needed.get(place) == Some(&true) {
                let before = becomes.get(before).copied().unwrap_or(NO_LINK);
                becomes.get_mut(place).into_iter().for_each(|becomes| *becomes = kept.len());
                kept.push((event, step, before));
            }
        }
        for chain in self.ready.iter_mut().chain(&mut self.again).flatten() {
            chain.link = becomes.get(chain.link).copied().unwrap_or(NO_LINK);
        }
        self.sweep_at = kept.len().saturating_mul(2).max(SWEEP_AT);
        self.links = kept;
    }
}

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
        room.sweep_at = SWEEP_AT;
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
            if room.links.len() >= room.sweep_at {
                room.sweep();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Any number of views may come before what never comes.
    #[test]
    fn of_a_long_journey_few_events_are_kept() {
        let pattern = Pattern::starting_with("view").at_least(20).then("never").build().unwrap();
        let (program, _) = Program::of(&pattern);
        let times: Vec<Micros> = (0..100_000).map(Micros).collect();
        let mut words = vec![1; times.len()];
        let mut room = Room::default();
        program.search(&times, &words, |_| true, true, &mut room, |_| panic!("there is no match"));
        assert!(room.links.len() <= 2 * SWEEP_AT, "{}", room.links.len());
        // What is kept is what a match needs.
        *words.last_mut().unwrap() = 2;
        let mut found = Vec::new();
        program.search(&times, &words, |_| true, true, &mut room, |one| found.push(one.events));
        let last = times.len() - 1;
        let expected: Vec<(usize, usize)> = (last - 20..last).map(|event| (event, 0)).chain([(last, 1)]).collect();
        assert_eq!(found, [expected]);
    }
}
