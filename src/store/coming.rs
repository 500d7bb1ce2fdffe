//! Batches that the log has and the tail has not yet: a thread of their own numbers them, while the next are appended.
//! Nobody sees that they come later, since whoever looks at the tail numbers what is left first.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    shared::{Shared, lock},
    witness::Head,
};
use crate::{codec::Coded, journey::Rows};

/// Fewer events are numbered at once: to wake another thread takes longer.
const WORTH_WAKING: usize = 64;
/// At most so many events wait, and so many bytes of them; nor more than this share of what is sealed at once.
const MOST_EVENTS: usize = 16 << 10;
const MOST_BYTES: usize = 4 << 20;
const SHARE_OF_SEAL: usize = 8;

/// A batch of the log, not numbered yet.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) first: u64,
    /// What questions see of it, block by block.
    pub(super) coded: Vec<Coded>,
    /// The head after it.
    pub(super) head: Head,
    pub(super) bytes: usize,
}

impl Batch {
    fn events(&self) -> usize {
        self.coded.iter().map(Coded::len).sum()
    }
}

/// The batches that wait, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Coming {
    line: Mutex<Line>,
    bell: Condvar,
    /// Held by whoever numbers, from taking a batch out of the line until the tail has it. Taken before `line` and `tail`.
    turn: Mutex<()>,
    /// Whether appends may have to slow down, as far as the last batch in the tail shows.
    is_tight: AtomicBool,
}

#[derive(Debug, Default)]
struct Line {
    batches: VecDeque<Batch>,
    events: usize,
    bytes: usize,
    is_stopped: bool,
}

impl Line {
    fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.events -= batch.events();
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

impl Coming {
    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    pub(super) fn is_tight(&self) -> bool {
        self.is_tight.load(Ordering::Relaxed)
    }

    /// Lets a batch wait, or gives it back if it is too small or too much for that.
    fn push(&self, batch: Batch, seal: usize) -> Option<Batch> {
        let mut line = self.line();
        let (events, bytes) = (line.events + batch.events(), line.bytes + batch.bytes);
        let most = MOST_EVENTS.min(seal / SHARE_OF_SEAL);
        if batch.events() < WORTH_WAKING || events > most || bytes > MOST_BYTES || line.is_stopped {
            return Some(batch);
        }
        (line.events, line.bytes) = (events, bytes);
        line.batches.push_back(batch);
        drop(line);
        self.bell.notify_one();
        None
    }

    /// Waits until there is a batch; false if there will be none any more.
    fn wait(&self) -> bool {
        let mut line = self.line();
        while line.batches.is_empty() && !line.is_stopped {
            line = self.bell.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        !line.is_stopped
    }

    /// Ends the waiting. What is left in the line stays there for whoever looks at the tail.
    pub(super) fn stop(&self) {
        self.line().is_stopped = true;
        self.bell.notify_all();
    }
}

impl Shared {
    /// Takes in a batch after all those before, now or soon.
    pub(super) fn take_in(&self, batch: Batch) {
        if let Some(batch) = self.coming.push(batch, self.options.fresh_events) {
            let turn = lock(&self.coming.turn);
            while self.number_next(&turn) {}
            self.number(batch, &turn);
        }
    }

    /// Numbers all that wait.
    pub(super) fn catch_up(&self) {
        let turn = lock(&self.coming.turn);
        while self.number_next(&turn) {}
    }

    /// Numbers the first that waits; false if there is none.
    fn number_next(&self, turn: &MutexGuard<'_, ()>) -> bool {
        let batch = self.coming.line().pop();
        batch.map(|batch| self.number(batch, turn)).is_some()
    }

    /// Makes a batch rows, and shows them to questions.
    fn number(&self, batch: Batch, _turn: &MutexGuard<'_, ()>) {
        let mut rows = Rows::with_room_for(batch.events());
        let mut first = batch.first;
        for block in batch.coded {
            let events = block.len() as u64;
            block.number(first, &mut self.names.write(), &mut rows);
            first += events;
        }
        let (is_full, is_tight) = {
            let mut tail = self.tail_as_it_is();
            tail.take_in(batch.head, rows, batch.bytes);
            let events = self.options.fresh_events;
            (tail.fresh.is_full(events), tail.fresh.pressure(events) > 0.0)
        };
        self.coming.is_tight.store(is_tight, Ordering::Relaxed);
        if is_full {
            self.work.ask_to_seal();
        }
    }
}

/// Numbers what waits, until the store is closed.
pub(super) fn run(shared: &Shared) {
    while shared.coming.wait() {
        let turn = lock(&shared.coming.turn);
        shared.number_next(&turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Event, store::StoreOptions};

    #[test]
    fn what_is_not_numbered_yet_is_seen_by_whoever_looks() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().open(dir.path()).unwrap();
        let batch = |customer: &str| {
            let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
            (0..100).map(|second| Event::at(at(second), customer, "t").build().unwrap()).collect::<Vec<_>>()
        };
        let shared = store.shared();
        for (customer, before) in [("ann", 0), ("bob", 100)] {
            {
                let _turn = lock(&shared.coming.turn);
                store.append_batch(batch(customer)).unwrap();
                assert_eq!((shared.coming.line().events, shared.tail_as_it_is().fresh.events()), (100, before));
            }
            match customer {
                "ann" => assert_eq!(store.customer("ann").unwrap().unwrap().journey().len(), 100),
                _ => assert_eq!(store.erase("bob").unwrap().events, 100, "a name that was not numbered yet"),
            }
        }
        assert_eq!(store.len(), 100);
        // Few events are numbered at once.
        store.append_batch(batch("cid").into_iter().take(9)).unwrap();
        assert_eq!((shared.coming.line().events, shared.tail_as_it_is().fresh.events()), (0, 209));
    }
}
