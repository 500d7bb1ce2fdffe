//! Which steps a group of events can serve, each event one step: a small bipartite matching.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// What one event may do for a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its place in the journey.
    pub(super) event: usize,
    /// Bit s: it may serve step s (from 0), which takes a chain from level s to level s + 1.
    pub(super) serves: u64,
    /// Bit L: it may lie unused where a chain is at level L without stopping it.
    pub(super) rests: u64,
}

impl Seen {
    pub(super) fn may_serve(&self, step: usize) -> bool {
        self.serves >> step & 1 == 1
    }
}

/// The levels from `first` to `last`, as bits.
pub(super) fn levels(first: usize, last: usize) -> u64 {
    (first..=last).fold(0, |bits, level| bits | 1 << level)
}

/// Gives each of the steps `first..last` an event of its own, so that every event that `must` serve does; `None` if
/// that cannot be. The result lists the events (positions in `events`) in the order of the steps.
///
/// First the events that must serve are placed, then the remaining steps are filled along augmenting paths, which
/// never take a placed event out again; by the theorem of Mendelsohn and Dulmage (1958) nothing is missed.
pub(super) fn assign(events: &[Seen], first: usize, last: usize, must: impl Fn(&Seen) -> bool) -> Option<Vec<usize>> {
    let steps = last.checked_sub(first)?;
    let mut matching = Matching::new(events, first, steps);
    for (i, event) in events.iter().enumerate() {
        if must(event) && !matching.place(i) {
            return None;
        }
    }
    if !(0..steps).all(|step| matching.fill(step)) {
        return None;
    }
    matching.event_of.into_iter().collect()
}

/// Which event serves which step.
pub(super) struct Matching<'a> {
    events: &'a [Seen],
    first: usize,
    event_of: Vec<Option<usize>>,
    step_of: Vec<Option<usize>>,
}

impl<'a> Matching<'a> {
    /// No event serves any of so many steps from the first on.
    pub(super) fn new(events: &'a [Seen], first: usize, steps: usize) -> Self {
        Self { events, first, event_of: vec![None; steps], step_of: vec![None; events.len()] }
    }

    /// Lets an event serve a step too; false if it cannot beside those that do.
    pub(super) fn place(&mut self, event: usize) -> bool {
        self.place_event(event, &mut vec![false; self.event_of.len()])
    }

    /// Lets some event serve a step too; false if none can beside those that do.
    pub(super) fn fill(&mut self, step: usize) -> bool {
        let is_free = self.event_of.get(step).is_some_and(Option::is_none);
        !is_free || self.fill_step(step, &mut vec![false; self.step_of.len()])
    }

    /// Whether an event serves a step.
    pub(super) fn is_placed(&self, event: usize) -> bool {
        self.step_of.get(event).is_some_and(Option::is_some)
    }

    /// Lets an event serve the first step that it may, instead of the one that does.
    pub(super) fn put(&mut self, event: usize) {
        if let Some(step) = (0..self.event_of.len()).find(|step| self.fits(event, *step)) {
            let holder = self.event_of.get(step).copied().flatten();
            holder.and_then(|holder| self.step_of.get_mut(holder)).into_iter().for_each(|step| *step = None);
            self.set(event, step);
        }
    }

    /// For each step the event that serves it.
    pub(super) fn into_events(self) -> Vec<Option<usize>> {
        self.event_of
    }

    fn fits(&self, event: usize, step: usize) -> bool {
        self.events.get(event).is_some_and(|seen| seen.may_serve(self.first + step))
    }

    fn set(&mut self, event: usize, step: usize) {
        if let (Some(e), Some(s)) = (self.event_of.get_mut(step), self.step_of.get_mut(event)) {
            (*e, *s) = (Some(event), Some(step));
        }
    }

    /// Finds a step for an event, moving placed events to other steps.
    fn place_event(&mut self, event: usize, tried: &mut [bool]) -> bool {
        for step in 0..tried.len() {
            if !self.fits(event, step) || tried.get_mut(step).is_none_or(|t| std::mem::replace(t, true)) {
                continue;
            }
            let holder = self.event_of.get(step).copied().flatten();
            if holder.is_none_or(|holder| self.place_event(holder, tried)) {
                self.set(event, step);
                return true;
            }
        }
        false
    }

    /// Finds an event for a step, moving events that serve other steps.
    fn fill_step(&mut self, step: usize, tried: &mut [bool]) -> bool {
        for event in 0..tried.len() {
            if !self.fits(event, step) || tried.get_mut(event).is_none_or(|t| std::mem::replace(t, true)) {
                continue;
            }
            let holder = self.step_of.get(event).copied().flatten();
            if holder.is_none_or(|holder| self.fill_step(holder, tried)) {
                self.set(event, step);
                return true;
            }
        }
        false
    }
}

/// The events of a group that can matter: of those alike, one more than there are steps.
pub(super) fn thin_out(events: &mut Vec<Seen>, steps: usize) {
    let enough = steps + 1;
    if events.len() <= enough {
        return;
    }
    let mut kinds: HashMap<(u64, u64), usize, RandomState> = HashMap::default();
    events.retain(|seen| {
        let count = kinds.entry((seen.serves, seen.rests)).or_default();
        *count += 1;
        *count <= enough
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(serves: &[u64]) -> Vec<Seen> {
        serves.iter().enumerate().map(|(event, &serves)| Seen { event, serves, rests: u64::MAX }).collect()
    }

    #[test]
    fn a_greedy_choice_is_taken_back() {
        // Event 0 fits both steps, event 1 the first only: a greedy would give step 0 to event 0 and fail.
        assert_eq!(assign(&seen(&[0b11, 0b01]), 0, 2, |_| false), Some(vec![1, 0]));
        assert_eq!(assign(&seen(&[0b01, 0b01]), 0, 2, |_| false), None);
    }

    #[test]
    fn of_those_alike_one_more_than_there_are_steps_is_left() {
        let mut events = seen(&[0b11, 0b01, 0b11, 0b11, 0b11, 0b01, 0b10]);
        thin_out(&mut events, 2);
        assert_eq!(events.iter().map(|seen| seen.event).collect::<Vec<_>>(), [0, 1, 2, 3, 5, 6]);
    }

    #[test]
    fn those_that_must_serve_do() {
        let events = seen(&[0b11, 0b10, 0b01]);
        let chosen = assign(&events, 0, 2, |seen| seen.event != 1).unwrap();
        assert_eq!(chosen, [2, 0]);
        assert_eq!(assign(&events, 0, 1, |_| true), None);
    }
}
