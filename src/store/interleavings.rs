//! Our own locks under a checker that tries thousands of interleavings, of threads that are switched wherever they lock,
//! wait or ring. Whoever waits for ever is found as a deadlock.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --lib interleavings`; the rest of the tests cannot run in such a build.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::{
    check_random,
    sync::{Arc, Mutex},
    thread,
};

use super::{
    Durability, Receipt,
    coming::{Batch, Coming},
    locks::lock,
    queue::{Answer, Pending, Queue},
    witness::Head,
    work::Work,
};
use crate::{
    codec::{Entries, LogEntry},
    error::ErrorKind,
    model::{Event, Micros},
};

const TRIES: usize = 3_000;

fn answer(Pending { entries, reply, .. }: Pending) -> Answer {
    let stored = entries.len() as u64;
    let durability = Durability::Synced;
    (reply, Ok(Receipt { first: 1, stored, duplicates: Vec::new(), erased: Vec::new(), durability }))
}

#[test]
fn everybody_in_line_is_written_once_and_answered() {
    for gather in [false, true] {
        let body = move || {
            let (queue, written) = (Arc::new(Queue::without_patience()), Arc::new(AtomicUsize::new(0)));
            let writing = Arc::new(Mutex::new(()));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (queue, written, writing) = (queue.clone(), written.clone(), writing.clone());
                    thread::spawn(move || {
                        for _ in 0..2 {
                            let write = |group: Vec<Pending>| {
                                let alone = writing.try_lock();
                                assert!(alone.is_ok(), "two write at once");
                                thread::yield_now();
                                written.fetch_add(group.len(), Ordering::SeqCst);
                                group.into_iter().map(answer).collect()
                            };
                            queue.append(Vec::new(), 0, gather, write).unwrap();
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(written.load(Ordering::SeqCst), 6);
            assert!(queue.is_at_rest());
        };
        check_random(body, TRIES);
    }
}

#[test]
fn who_asks_the_background_thread_is_answered_or_told_that_it_stopped() {
    for is_stopped_amid in [false, true] {
        let body = move || {
            let work = Arc::new(Work::new());
            let worker = thread::spawn({
                let work = work.clone();
                move || {
                    loop {
                        let asked = work.next(false);
                        if asked.stop {
                            return;
                        }
                        if let Some(last) = asked.settle {
                            work.begin_rewriting();
                            work.end_settling(last, Ok(()));
                        }
                        if let Some(request) = work.next_backup() {
                            let nothing = ErrorKind::Limit { what: "a test", found: 1, limit: 0 };
                            request.answer(Err(nothing.into()));
                        }
                    }
                }
            });
            let settles = |rewrite| {
                let work = work.clone();
                thread::spawn(move || work.settle(rewrite))
            };
            let settling = [settles(false), settles(true)];
            let backing_up = thread::spawn({
                let work = work.clone();
                move || work.back_up("backup".into()).unwrap_err()
            });
            work.appended(true);
            if is_stopped_amid {
                work.stop();
            }
            for settling in settling {
                let outcome = settling.join().unwrap();
                assert!(outcome.is_ok() || is_stopped_amid && matches!(outcome.unwrap_err().kind(), ErrorKind::Closed));
            }
            let told = backing_up.join().unwrap();
            assert!(told.is_limit() || is_stopped_amid && matches!(told.kind(), ErrorKind::Closed), "{told}");
            work.stop();
            worker.join().unwrap();
        };
        check_random(body, TRIES);
    }
}

/// A batch of so many events.
fn batch(first: u64, events: u64) -> Batch {
    let event = Event::at(chrono::DateTime::UNIX_EPOCH, "c", "t").build().unwrap();
    let entries: Vec<LogEntry> = (0..events).map(|_| LogEntry::event(Micros(0), event.clone())).collect();
    let head = Head { seq: first + events - 1, ..Head::default() };
    Batch { first, coded: vec![Entries::of(&entries).into_coded()], head, bytes: 1 }
}

#[test]
fn batches_are_numbered_once_and_in_order_whoever_does_it() {
    let body = || {
        let (coming, numbered) = (Arc::new(Coming::default()), Arc::new(Mutex::new(Vec::new())));
        let number = {
            let numbered = numbered.clone();
            move |batch: Batch| {
                thread::yield_now();
                lock(&numbered).push(batch.first);
            }
        };
        let spawn = |run: fn(&Coming, &dyn Fn(Batch))| {
            let (coming, number) = (coming.clone(), number.clone());
            thread::spawn(move || run(&coming, &number))
        };
        let rows = spawn(|coming, number| coming.run(number));
        let appends = spawn(|coming, number| {
            let mut first = 1;
            // Few wait for more, or for whoever looks.
            for events in [64, 64, 1, 64, 1] {
                coming.take_in(batch(first, events), 4_096, number);
                first += events;
            }
        });
        let asks = spawn(|coming, number| coming.catch_up(number));
        appends.join().unwrap();
        coming.catch_up(&number);
        assert_eq!(*lock(&numbered), [1, 65, 129, 130, 194], "whoever looks after the append sees all");
        coming.stop();
        asks.join().unwrap();
        rows.join().unwrap();
        assert_eq!(lock(&numbered).len(), 5);
    };
    check_random(body, TRIES / 3);
}
