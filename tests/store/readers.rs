//! Whoever reads and does not go on, or panics, holds nobody up.

use std::sync::{
    Barrier, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use journeylog::{Analysis, Binder, Bound, InvalidPlan, Journey, Names, Result};

use crate::{built, small_seals};

/// Counts journeys, and does something at each.
struct At<F>(F);

impl<F: Fn() + Clone + Send + Sync> Analysis for At<F> {
    type Bound = Self;

    fn bind(&self, _: &mut Binder<'_>) -> Result<Self, InvalidPlan> {
        Ok(Self(self.0.clone()))
    }
}

impl<F: Fn() + Send + Sync> Bound for At<F> {
    type State = u64;
    type Report = u64;

    fn start(&self) -> u64 {
        0
    }

    fn visit(&self, state: &mut u64, _: &Journey<'_>) {
        (self.0)();
        *state += 1;
    }

    fn merge(&self, state: &mut u64, other: u64) {
        *state += other;
    }

    fn finish(&self, state: u64, _: &Names) -> Result<u64> {
        Ok(state)
    }
}

#[test]
fn a_question_that_does_not_go_on_blocks_no_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    for i in 0..120 {
        store.append(built(i % 30, "view", i)).unwrap();
    }
    let (stands, goes_on) = (Barrier::new(2), Mutex::new(()));
    let (held, first) = (goes_on.lock().unwrap(), AtomicBool::new(true));
    std::thread::scope(|scope| {
        let (store, stands, goes_on, first) = (&store, &stands, &goes_on, &first);
        // One stands in the middle of its first journey; one has a snapshot and does nothing with it.
        let slow = scope.spawn(move || {
            let snapshot = store.snapshot();
            snapshot.query().run(At(move || {
                if first.swap(false, Ordering::SeqCst) {
                    stands.wait();
                }
                drop(goes_on.lock());
            }))
        });
        let (ends, end) = mpsc::channel::<()>();
        let dead = scope.spawn(move || {
            let snapshot = store.snapshot();
            let _ = end.recv();
            snapshot.len()
        });
        stands.wait();
        // Far more than there is room for without seals; then everything that moves files.
        for i in 0..2_000 {
            store.append_batch([built(i % 60, "view", i), built("late", "pay", i)]).unwrap();
        }
        store.settle().unwrap();
        store.erase("late").unwrap();
        store.compact().unwrap();
        store.backup(dir.path().join("backup")).unwrap();
        assert_eq!(store.query().run(At(|| ())).unwrap(), 60);
        drop((held, ends));
        assert_eq!(slow.join().unwrap().unwrap(), 30, "it answers of its own moment");
        assert!(dead.join().unwrap() >= 120);
    });
    store.close().unwrap();
}

#[test]
fn a_question_that_panics_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..400 {
        store.append(built(i % 30, "view", i)).unwrap();
        if i % 100 == 0 {
            let panics = || store.query().run(At(|| panic!("as a test")));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
            assert!(outcome.is_err() || outcome.is_ok_and(|answer| answer.is_err()));
        }
    }
    store.settle().unwrap();
    assert_eq!((store.len(), store.query().run(At(|| ())).unwrap()), (400, 30));
    store.close().unwrap();
}
