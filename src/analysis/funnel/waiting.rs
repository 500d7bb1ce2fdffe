//! The chains of one level that wait for their next step. Where that must not come too early they wait until they are ripe; of
//! the ripe ones the newest is enough.
//!
//! For of two chains of one level the one whose last event is later did not begin before the other. It holds for the first
//! level, where the last event is the first. And at each further level a chain goes on from the newest that was ripe and not
//! too old by then: a later event finds the same one or one that is newer, which by that began no earlier.

use std::collections::VecDeque;

use crate::model::{Micros, Window};

/// How much time may lie between a step and the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) min: Option<Window>,
    pub(super) max: Option<Window>,
}

impl Gap {
    /// Whether the step cannot be at the same instant as the one before.
    pub(super) fn waits(&self) -> bool {
        self.min.is_some_and(|min| min.micros() > 0)
    }
}

/// A chain that can still go on.
#[derive(Debug, Clone)]
pub(super) struct Chain<T> {
    pub(super) entry: Micros,
    /// When its last event happened.
    pub(super) last: Micros,
    pub(super) trail: T,
}

/// The chains of one level that can still go on.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    /// Of the ripe chains the newest.
    best: Option<Chain<T>>,
    /// In the order of their last events.
    unripe: VecDeque<Chain<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { best: None, unripe: VecDeque::new() }
    }
}

impl<T> Waiting<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.best.is_none() && self.unripe.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.best = None;
        self.unripe.clear();
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = &Chain<T>> {
        self.best.iter().chain(&self.unripe)
    }

    /// Takes in a chain that is newer than the others.
    pub(super) fn take_in(&mut self, chain: Chain<T>, gap: Gap) {
        if gap.waits() {
            self.unripe.push_back(chain);
        } else if gap.max.is_some() || self.best.as_ref().is_none_or(|best| best.entry < chain.entry) {
            self.best = Some(chain);
        }
    }

    /// The newest of the chains that may go on at a moment. Moments never go back.
    pub(super) fn best_at(&mut self, at: Micros, gap: Gap) -> Option<&Chain<T>> {
        let is_ripe = |chain: &mut Chain<T>| gap.min.is_none_or(|min| chain.last.plus(min) <= at);
        while let Some(chain) = self.unripe.pop_front_if(is_ripe) {
            self.best = Some(chain);
        }
        let is_late = |chain: &Chain<T>| gap.max.is_some_and(|max| chain.last.plus(max) < at);
        self.best.as_ref().filter(|chain| !is_late(chain))
    }
}
