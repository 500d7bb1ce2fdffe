//! What a store is after its engine failed at any call: tried for every call of a small run.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, TimeDelta};

use super::{
    Store, StoreOptions,
    engine::Engine,
    failing::{FailingEngine, When},
    memory::MemoryEngine,
};
use crate::{error::Result, journey::Needs, model::Event};

const EVENTS: i64 = 40;

fn event(i: i64) -> Event {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(i);
    Event::at(at, format!("c{}", i % 5), ["view", "pay"][usize::from(i % 3 == 2)]).id(format!("e{i}")).build().unwrap()
}

fn open(dir: &Path, engine: Arc<dyn Engine>) -> Result<Store> {
    Store::open_on(dir, &StoreOptions::new().fresh_events(7), || Ok((engine, Vec::new())))
}

/// Appends one by one and in batches of three, and says which events were acknowledged.
fn run(store: &Store) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    let mut next = 0;
    while next < EVENTS {
        let size = if next % 2 == 0 { 1 } else { 3 };
        if store.append_batch((next..next + size).map(event)).is_ok() {
            acknowledged.extend(next..next + size);
        }
        next += size;
    }
    acknowledged
}

#[test]
fn after_a_failure_at_any_call_nothing_acknowledged_is_missing_and_no_batch_is_half_there() {
    let calls = {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(FailingEngine::new(MemoryEngine::new()));
        let store = open(dir.path(), engine.clone()).unwrap();
        assert!(run(&store).len() >= EVENTS as usize);
        store.close().unwrap();
        engine.calls()
    };
    assert!(calls > 40, "{calls}");
    let mut refused = 0;
    for (n, when) in (1..=calls).flat_map(|n| [(n, When::Before), (n, When::After)]) {
        let dir = tempfile::tempdir().unwrap();
        let kept = MemoryEngine::new();
        let engine = Arc::new(FailingEngine::new(kept.clone()));
        engine.fail_at(n, when);
        let acknowledged = match open(dir.path(), engine) {
            Err(_) => Vec::new(),
            Ok(store) => {
                let acknowledged = run(&store);
                let _ = store.close();
                acknowledged
            }
        };
        refused += usize::from(acknowledged.len() < EVENTS as usize);

        let store = open(dir.path(), Arc::new(kept)).unwrap();
        let there = |i: i64| {
            let customer = store.customer(&format!("c{}", i % 5)).unwrap();
            customer.is_some_and(|c| c.journey().iter().any(|logged| logged.event == event(i)))
        };
        for i in &acknowledged {
            assert!(there(*i), "event {i} after a failure at call {n}");
        }
        for first in (1..EVENTS).step_by(4) {
            let whole = [first, first + 1, first + 2].map(there);
            assert!(whole == [true; 3] || whole == [false; 3], "half a batch after a failure at call {n}");
        }
        // The index says what the log says, and the ids are known.
        let count = store.len();
        let scan = store.snapshot().scan();
        let rows = |chunk| scan.load(chunk, &Needs::everything()).unwrap().rows() as u64;
        assert_eq!((0..scan.chunks()).map(rows).sum::<u64>(), count, "after a failure at call {n}");
        let again = store.append_batch((0..EVENTS).map(event)).unwrap();
        assert_eq!(again.duplicates().len() as u64, count.min(EVENTS as u64), "after a failure at call {n}");
        store.close().unwrap();
    }
    assert!(refused > 20, "{refused}");
}
