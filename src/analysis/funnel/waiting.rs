//! The chains of one level that wait for their next step. Where no gap is asked for, the one that began last is enough; where
//! the next step must not come too late, one that began earlier may do once that cannot any more; and where it must not come
//! too early, chains wait until they are ripe.

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

/// The chains of one level that can still go on, but for those that another does better than, whatever comes.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    /// Of the ripe chains the one that began last.
    best: Option<Chain<T>>,
    /// The others: each began earlier than the one before it here, and its last event is later.
    rest: VecDeque<Chain<T>>,
    /// In the order of their last events.
    unripe: VecDeque<Chain<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { best: None, rest: VecDeque::new(), unripe: VecDeque::new() }
    }
}

impl<T> Waiting<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.best.is_none() && self.unripe.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = &Chain<T>> {
        self.best.iter().chain(&self.rest).chain(&self.unripe)
    }

    /// Takes in a chain whose last event is not before those of the others.
    pub(super) fn take_in(&mut self, chain: Chain<T>, gap: Gap) {
        if gap.waits() {
            self.unripe.push_back(chain);
        } else {
            self.ripen(chain, gap);
        }
    }

    fn ripen(&mut self, chain: Chain<T>, gap: Gap) {
        if gap.max.is_none() {
            if self.best.as_ref().is_none_or(|best| best.entry < chain.entry) {
                self.best = Some(chain);
            }
            return;
        }
        while self.rest.back().is_some_and(|last| last.entry <= chain.entry) {
            self.rest.pop_back();
        }
        if self.rest.is_empty() && self.best.as_ref().is_none_or(|best| best.entry <= chain.entry) {
            self.best = Some(chain);
        } else {
            self.rest.push_back(chain);
        }
    }

    /// Of the chains that may go on at a moment the one that began last. Moments never go back.
    pub(super) fn best_at(&mut self, at: Micros, gap: Gap) -> Option<&Chain<T>> {
        let is_ripe = |chain: &mut Chain<T>| gap.min.is_none_or(|min| chain.last.plus(min) <= at);
        while let Some(chain) = self.unripe.pop_front_if(is_ripe) {
            self.ripen(chain, gap);
        }
        let is_late = |chain: &Chain<T>| gap.max.is_some_and(|max| chain.last.plus(max) < at);
        while self.best.as_ref().is_some_and(is_late) {
            self.best = self.rest.pop_front();
        }
        self.best.as_ref()
    }
}
