//! Whoever reads and does not go on, or panics, holds nobody up.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use journeylog::{Analysis, Binder, Bound, InvalidPlan, Journey, Names, Result, Store, Verify, export};

use crate::{built, small_seals};

/// Where a question calls what somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Bind,
    Start,
    Visit,
    Merge,
    Finish,
}

const PLACES: [Place; 5] = [Place::Bind, Place::Start, Place::Visit, Place::Merge, Place::Finish];

/// Counts journeys, and does something at each place.
struct At<F>(F);

impl<F: Fn(Place) + Clone + Send + Sync> Analysis for At<F> {
    type Bound = Self;

    fn bind(&self, _: &mut Binder<'_>) -> Result<Self, InvalidPlan> {
        (self.0)(Place::Bind);
        Ok(Self(self.0.clone()))
    }
}

impl<F: Fn(Place) + Send + Sync> Bound for At<F> {
    type State = u64;
    type Report = u64;

    fn start(&self) -> u64 {
        (self.0)(Place::Start);
        0
    }

    fn visit(&self, state: &mut u64, _: &Journey<'_>) {
        (self.0)(Place::Visit);
        *state += 1;
    }

    fn merge(&self, state: &mut u64, other: u64) {
        (self.0)(Place::Merge);
        *state += other;
    }

    fn finish(&self, state: u64, _: &Names) -> Result<u64> {
        (self.0)(Place::Finish);
        Ok(state)
    }
}

/// Takes an export, and does something at each piece.
struct Taking<F>(F);

impl<F: Fn()> Write for Taking<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where somebody stands still, once, until all may go on.
struct Stand<'a> {
    is_new: AtomicBool,
    stands: mpsc::Sender<()>,
    goes_on: &'a Mutex<()>,
}

impl Stand<'_> {
    fn here(&self) {
        if self.is_new.swap(false, Ordering::SeqCst) {
            self.stands.send(()).unwrap();
            drop(self.goes_on.lock());
        }
    }
}

/// Far more than there is room for without seals; then everything that moves files.
fn write_much(store: &Store, backup: &Path) {
    for i in 0..2_000 {
        store.append_batch([built(i % 60, "view", i), built("late", "pay", i)]).unwrap();
    }
    store.settle().unwrap();
    store.erase("late").unwrap();
    store.compact().unwrap();
    store.backup(backup).unwrap();
    assert_eq!(store.query().run(At(|_| ())).unwrap(), 60);
}

#[test]
fn whoever_reads_and_does_not_go_on_blocks_no_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    for i in 0..120 {
        store.append(built(i % 30, "view", i)).unwrap();
    }
    let goes_on = Mutex::new(());
    let held = goes_on.lock().unwrap();
    let (stands, standing) = mpsc::channel();
    let stand = || Stand { is_new: AtomicBool::new(true), stands: stands.clone(), goes_on: &goes_on };
    std::thread::scope(|scope| {
        let store = &store;
        let slow = PLACES.map(|slow| {
            let stand = stand();
            scope.spawn(move || {
                let stand = &stand;
                store.query().run(At(move |place| {
                    if place == slow {
                        stand.here();
                    }
                }))
            })
        });
        let (taking, looking) = (stand(), stand());
        let taking = scope.spawn(move || export::all(&store.snapshot(), Taking(|| taking.here())));
        let looking = scope.spawn(move || store.verify_with_progress(Verify::Full, |_| looking.here()));
        // One has a snapshot and does nothing with it.
        let (ends, end) = mpsc::channel::<()>();
        let dead = scope.spawn(move || {
            let snapshot = store.snapshot();
            let _ = end.recv();
            snapshot.len()
        });
        (0..PLACES.len() + 2).for_each(|_| standing.recv().unwrap());
        let (done, is_done) = mpsc::channel();
        let backup = dir.path().join("backup");
        let writer = scope.spawn(move || {
            write_much(store, &backup);
            done.send(()).unwrap();
        });
        // Whoever is held up goes on with the readers, so that this ends.
        let in_time = is_done.recv_timeout(Duration::from_mins(1));
        drop((held, ends));
        assert!(in_time.is_ok(), "the writer was held up, or panicked: {in_time:?}");
        writer.join().unwrap();
        for slow in slow {
            assert_eq!(slow.join().unwrap().unwrap(), 30, "it answers of its own moment");
        }
        assert_eq!(taking.join().unwrap().unwrap(), 120);
        let found = looking.join().unwrap().unwrap();
        assert!(found.is_sound(), "{found}");
        assert!(dead.join().unwrap() >= 120);
    });
    store.close().unwrap();
}

#[test]
fn whoever_panics_while_reading_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let store = small_seals(&folder);
    for i in 0..400 {
        store.append(built(i % 30, "view", i)).unwrap();
        if i % 100 == 0 {
            let stop = || panic!("as a test");
            for panics in PLACES {
                let asks = || {
                    store.query().run(At(|place| {
                        if place == panics {
                            stop()
                        }
                    }))
                };
                let outcome = catch_unwind(AssertUnwindSafe(asks));
                assert!(outcome.is_err() || outcome.is_ok_and(|answer| answer.is_err()));
            }
            let exports = || export::all(&store.snapshot(), Taking(stop));
            assert!(catch_unwind(AssertUnwindSafe(exports)).is_err());
            let verifies = || store.verify_with_progress(Verify::Full, |_| stop());
            assert!(catch_unwind(AssertUnwindSafe(verifies)).is_err());
        }
    }
    let check = |store: &Store, left: (u64, u64)| {
        assert_eq!((store.len(), store.query().run(At(|_| ())).unwrap()), left);
        assert!(store.verify(Verify::Full).unwrap().is_sound());
    };
    store.settle().unwrap();
    check(&store, (400, 30));
    // Nobody waits for them either.
    let (done, is_done) = mpsc::channel();
    let (other, backup) = (store.clone(), dir.path().join("backup"));
    let writer = std::thread::spawn(move || {
        other.erase("1").unwrap();
        other.compact().unwrap();
        other.backup(backup).unwrap();
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_mins(1)).expect("they go on without those who are gone");
    writer.join().unwrap();
    check(&store, (386, 29));
    store.close().unwrap();
    check(&small_seals(&folder), (386, 29));
}
