//! Batches that the log has and the tail has not yet: a thread of their own numbers them, while the next are appended.
//! Nobody sees that they come later, since whoever looks at the tail numbers what is left first.

use std::{
    collections::VecDeque,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    locks::{Held, Ordered, Place},
    shared::Shared,
    sync::Condvar,
    witness::Head,
};
use crate::{
    codec::Coded,
    error::{ErrorKind, Result},
    journey::{ReservedNumbers, Rows},
};

/// Fewer events wait for more, or for whoever looks: to wake another thread for them takes longer than to number them.
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
#[derive(Debug)]
pub(super) struct Coming {
    line: Ordered<Line>,
    bell: Condvar,
    /// Held by whoever numbers, from taking a batch out of the line until the tail has it.
    turn: Ordered<()>,
    /// Whether appends may have to slow down, as far as the last batch in the tail shows.
    is_tight: AtomicBool,
    /// Whether a batch was lost between the line and the tail.
    has_lost: AtomicBool,
}

impl Default for Coming {
    fn default() -> Self {
        Self {
            line: Ordered::new(Place::Line, Line::default()),
            bell: Condvar::new(),
            turn: Ordered::new(Place::Turn, ()),
            is_tight: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    batches: VecDeque<Batch>,
    events: usize,
    bytes: usize,
    is_stopped: bool,
}

impl Line {
    fn is_worth_waking(&self) -> bool {
        self.events >= WORTH_WAKING
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.events -= batch.events();
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

impl Coming {
    fn line(&self) -> Held<'_, Line> {
        self.line.lock()
    }

    /// Fails if a batch is missing in the tail, since a panic stopped whoever numbered it. The log has it, and it is read
    /// from there when the store is opened again; until then nothing may go on as if it were in the answers, and the index
    /// least of all.
    pub(super) fn check(&self) -> Result<()> {
        if self.has_lost.load(Ordering::Acquire) {
            let reason = "a thread stopped while it numbered events".to_owned();
            return Err(ErrorKind::Poisoned { reason }.into());
        }
        Ok(())
    }

    pub(super) fn is_tight(&self) -> bool {
        self.is_tight.load(Ordering::Relaxed)
    }

    /// Lets a batch wait, or gives it back if it is too much for that.
    fn push(&self, batch: Batch, seal: usize) -> Option<Batch> {
        let mut line = self.line();
        let (events, bytes) = (line.events + batch.events(), line.bytes + batch.bytes);
        let most = MOST_EVENTS.min(seal / SHARE_OF_SEAL);
        if events > most || bytes > MOST_BYTES || line.is_stopped {
            return Some(batch);
        }
        (line.events, line.bytes) = (events, bytes);
        line.batches.push_back(batch);
        let is_worth_waking = line.is_worth_waking();
        drop(line);
        if is_worth_waking {
            self.bell.notify_one();
        }
        None
    }

    /// Waits until there is something worth its while; false if there will be nothing any more.
    fn wait(&self) -> bool {
        let mut line = self.line();
        while !line.is_worth_waking() && !line.is_stopped {
            line = line.wait(&self.bell);
        }
        !line.is_stopped
    }

    /// Takes in a batch after all those before, now or soon. `number` shows a batch to questions.
    pub(super) fn take_in(&self, batch: Batch, seal: usize, number: impl Fn(Batch)) {
        if let Some(batch) = self.push(batch, seal) {
            let turn = self.turn.lock();
            while self.number_next(&turn, &number) {}
            self.number(batch, &turn, &number);
        }
    }

    /// Numbers all that wait.
    pub(super) fn catch_up(&self, number: impl Fn(Batch)) {
        let turn = self.turn.lock();
        while self.number_next(&turn, &number) {}
    }

    /// Numbers what waits, until there will be nothing more.
    pub(super) fn run(&self, number: impl Fn(Batch)) {
        while self.wait() {
            self.catch_up(&number);
        }
    }

    /// Numbers the first that waits; false if there is none.
    fn number_next(&self, turn: &Held<'_, ()>, number: &impl Fn(Batch)) -> bool {
        let batch = self.line().pop();
        batch.map(|batch| self.number(batch, turn, number)).is_some()
    }

    fn number(&self, batch: Batch, _turn: &Held<'_, ()>, number: &impl Fn(Batch)) {
        let numbering = Numbering(self);
        number(batch);
        mem::forget(numbering);
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
        self.coming.take_in(batch, self.options.fresh_events, |batch| self.number(batch));
    }

    /// Numbers all that wait.
    pub(super) fn catch_up(&self) {
        self.coming.catch_up(|batch| self.number(batch));
    }

    /// Makes a batch rows, and shows them to questions.
    fn number(&self, batch: Batch) {
        let mut rows = Rows::with_room_for(batch.events());
        let mut first = batch.first;
        for block in batch.coded {
            let events = block.len() as u64;
            block.number(first, &mut self.names.write(), &mut rows);
            first += events;
        }
        let last_event = rows.last_event(ReservedNumbers::of(&self.names));
        let (is_full, is_tight) = {
            let mut tail = self.tail_as_it_is();
            tail.take_in(batch.head, rows, last_event, batch.bytes);
            let events = self.options.fresh_events;
            (tail.fresh.is_full(events), tail.fresh.pressure(events) > 0.0)
        };
        self.coming.is_tight.store(is_tight, Ordering::Relaxed);
        if is_full {
            self.work.ask_to_seal();
        }
    }
}

/// Held while a batch is out of the line and not in the tail. It is forgotten when the tail has it; if it is dropped, a panic
/// was in the way.
struct Numbering<'a>(&'a Coming);

impl Drop for Numbering<'_> {
    fn drop(&mut self) {
        self.0.has_lost.store(true, Ordering::Release);
    }
}

/// Numbers what waits, until the store is closed.
pub(super) fn run(shared: &Shared) {
    shared.coming.run(|batch| shared.number(batch));
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::{
        model::Event,
        store::{Store, StoreOptions},
    };

    /// By a thread that does not have the turn.
    fn append_elsewhere(store: &Store, batch: Vec<Event>) {
        thread::scope(|scope| scope.spawn(|| store.append_batch(batch)).join()).unwrap().unwrap();
    }

    /// The batch is in the log, and in no answer. If the index went past it, it would never be.
    #[test]
    fn a_panic_while_events_are_numbered_is_said_and_opening_again_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = || StoreOptions::new().fresh_events(1_000).open(dir.path()).unwrap();
        let store = open();
        let batch = |first: i64| {
            let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
            (first..first + 100).map(|i| Event::at(at(i), "ann", "t").build().unwrap()).collect::<Vec<_>>()
        };
        store.append_batch(batch(0)).unwrap();
        assert_eq!(store.len(), 100);
        let shared = store.shared();
        let panicked = thread::scope(|scope| {
            let numbers = scope.spawn(|| {
                let _turn = shared.coming.turn.lock();
                append_elsewhere(&store, batch(100));
                let _batch = shared.coming.line().pop().unwrap();
                let _numbering = Numbering(&shared.coming);
                panic!("as a test");
            });
            numbers.join().is_err()
        });
        assert!(panicked);
        assert_eq!(store.len(), 100, "it is missing");
        let is_said = |outcome: Result<()>| matches!(outcome.unwrap_err().kind(), ErrorKind::Poisoned { .. });
        assert!(is_said(store.append_batch(batch(200)).map(drop)));
        assert!(is_said(store.erase("ann").map(drop)));
        assert!(is_said(store.settle()));
        store.close().unwrap();
        let store = open();
        assert_eq!((store.len(), store.customer("ann").unwrap().unwrap().journey().len()), (200, 200));
        store.append_batch(batch(200)).unwrap();
        store.settle().unwrap();
        assert_eq!(store.len(), 300);
    }

    #[test]
    fn whoever_looks_during_a_panic_of_his_own_loses_nothing() {
        struct Looks<'a>(&'a Store);
        impl Drop for Looks<'_> {
            fn drop(&mut self) {
                assert_eq!(self.0.len(), 1);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let event = || Event::at(chrono::DateTime::UNIX_EPOCH, "ann", "t").build().unwrap();
        store.append(event()).unwrap();
        let panics = || {
            let _looks = Looks(&store);
            panic!("as a test");
        };
        assert!(thread::scope(|scope| scope.spawn(panics).join()).is_err());
        store.append(event()).unwrap();
        assert_eq!(store.len(), 2);
    }

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
            thread::scope(|scope| {
                let turn = shared.coming.turn.lock();
                append_elsewhere(&store, batch(customer));
                assert_eq!((shared.coming.line().events, shared.tail_as_it_is().fresh.events()), (100, before));
                let looks = scope.spawn(|| match customer {
                    "ann" => assert_eq!(store.customer("ann").unwrap().unwrap().journey().len(), 100),
                    _ => assert_eq!(store.erase("bob").unwrap().events, 100, "a name that was not numbered yet"),
                });
                // Whoever does not wait for it has looked by then.
                thread::sleep(Duration::from_millis(100));
                drop(turn);
                looks.join().unwrap();
            });
        }
        assert_eq!(store.len(), 100);
        // Few events wake nobody.
        store.append_batch(batch("cid").into_iter().take(9)).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_eq!((shared.coming.line().events, shared.tail_as_it_is().fresh.events()), (9, 200));
        assert_eq!(store.len(), 109);
        assert_eq!((shared.coming.line().events, shared.tail_as_it_is().fresh.events()), (0, 209));
    }
}
