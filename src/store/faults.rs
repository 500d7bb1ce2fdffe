//! What a store is after its engine failed at any call, and after a power cut or a kill at any moment: tried for every
//! call of a small run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta};

use super::{
    Durability, Store, StoreOptions,
    engine::{Change, Engine, Pair},
    failing::{FailingEngine, When},
    files,
    locks::lock,
    memory::MemoryEngine,
    sync::Mutex,
};
use crate::{
    error::Result,
    journey::{Chunk, Columns, Needs},
    model::{Event, EventBuilder},
};

const EVENTS: i64 = 40;

fn shape(i: i64) -> EventBuilder {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(i);
    Event::at(at, format!("c{}", i % 5), ["view", "pay"][usize::from(i % 3 == 2)]).id(format!("e{i}"))
}

fn event(i: i64) -> Event {
    shape(i).build().unwrap()
}

fn open(dir: &Path, engine: Arc<dyn Engine>) -> Result<Store> {
    Store::open_on(dir, &StoreOptions::new().fresh_events(7), move |_| Ok((engine.clone(), Vec::new())))
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
            customer.is_some_and(|c| c.events().unwrap().iter().any(|logged| logged.event == event(i)))
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
        let rows = |chunk| read(&scan, chunk).rows() as u64;
        assert_eq!((0..scan.chunks()).map(rows).sum::<u64>(), count, "after a failure at call {n}");
        let again = store.append_batch((0..EVENTS).map(event)).unwrap();
        assert_eq!(again.duplicates().len() as u64, count.min(EVENTS as u64), "after a failure at call {n}");
        store.close().unwrap();
    }
    assert!(refused > 20, "{refused}");
}

/// The files of a store by their names within its folder.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// An engine that looks, before each write, flush and sync, what a power cut and a kill would leave at that moment:
/// of itself and of the store's folder.
#[derive(Debug)]
struct Camera {
    inner: MemoryEngine,
    dir: PathBuf,
    promised: Mutex<Promised>,
    /// What was left, each once, with the most that was promised of it.
    left: Mutex<BTreeMap<(Files, Vec<Pair>), Left>>,
}

/// How many of the events must be there afterwards.
#[derive(Debug, Clone, Copy, Default)]
struct Promised {
    power_cut: usize,
    kill: usize,
}

#[derive(Debug)]
struct Left {
    engine: MemoryEngine,
    promised: usize,
    after: &'static str,
}

impl Camera {
    fn new(dir: &Path) -> Self {
        let (promised, left) = (Mutex::default(), Mutex::default());
        Self { inner: MemoryEngine::new(), dir: dir.to_owned(), promised, left }
    }

    /// The order matters, since the store goes on meanwhile: what was promised first, then what the folder says of the
    /// log, the log at last. So all that is said and promised must be true of it, however late it is looked at.
    fn look(&self) {
        let promised = *lock(&self.promised);
        let files = self.folder();
        let power_cut = (promised.power_cut, self.inner.after_power_cut(), "a power cut");
        for (promised, engine, after) in [power_cut, (promised.kill, self.inner.after_kill(), "a kill")] {
            let pairs = engine.range(b"", b"\xff", usize::MAX).unwrap();
            let mut all = lock(&self.left);
            let left = all.entry((files.clone(), pairs)).or_insert(Left { engine, promised, after });
            if left.promised < promised {
                (left.promised, left.after) = (promised, after);
            }
        }
    }

    /// The folder as it is, but for its lock.
    fn folder(&self) -> Files {
        let read = |name: &str| files::read(&self.dir.join(name)).unwrap();
        loop {
            let said = ["JOURNEYLOG", "WITNESS", "index/MANIFEST"].map(|name| (PathBuf::from(name), read(name)));
            let manifest = said[2].1.clone();
            let mut files: Files = said.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))).collect();
            for entry in fs::read_dir(self.dir.join("index")).into_iter().flatten().map(Result::unwrap) {
                let name = Path::new("index").join(entry.file_name());
                if let (false, Ok(bytes)) = (files.contains_key(&name), fs::read(entry.path())) {
                    files.insert(name, bytes);
                }
            }
            // Else it was replaced meanwhile, and files that it named may be gone.
            if read("index/MANIFEST") == manifest {
                return files;
            }
        }
    }
}

impl Engine for Camera {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        self.look();
        self.inner.apply(batch)
    }

    fn flush(&self) -> Result<()> {
        self.look();
        self.inner.flush()
    }

    fn sync(&self) -> Result<()> {
        self.look();
        self.inner.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        self.inner.range(from, to, limit)
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.inner.last(from, to)
    }

    fn size_on_disk(&self) -> Result<u64> {
        self.inner.size_on_disk()
    }

    fn may_reopen(&self) -> bool {
        false
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// Events in batches of 1 and 3; every fifth batch has long texts, so that it takes several blocks.
fn batches() -> Vec<Vec<Event>> {
    let mut state = 7_u64;
    let mut long = || -> String {
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + u8::try_from(state >> 58).unwrap())
        };
        (0..15_000).map(letter).collect()
    };
    let mut batches = Vec::new();
    let mut next = 0;
    for number in 0..24 {
        let size = if number % 2 == 0 { 3 } else { 1 };
        let batch = (next..next + size).map(|i| {
            let builder = shape(i);
            if number % 10 == 4 { builder.property("text", long()) } else { builder }.build().unwrap()
        });
        batches.push(batch.collect());
        next += size;
    }
    batches
}

/// Appends all, and looks at what would be left on the way.
fn watched(durability: Durability, fresh_events: usize) -> BTreeMap<(Files, Vec<Pair>), Left> {
    let dir = tempfile::tempdir().unwrap();
    let camera = Arc::new(Camera::new(dir.path()));
    let options = StoreOptions::new().durability(durability).fresh_events(fresh_events);
    let store = Store::open_on(dir.path(), &options, {
        let camera = camera.clone();
        move |_| Ok((camera.clone() as Arc<dyn Engine>, Vec::new()))
    })
    .unwrap();
    let mut appended = 0;
    for (number, batch) in batches().into_iter().enumerate() {
        appended += batch.len();
        store.append_batch(batch).unwrap();
        {
            let mut promised = lock(&camera.promised);
            promised.power_cut = if durability >= Durability::Synced { appended } else { promised.power_cut };
            promised.kill = if durability >= Durability::Flushed { appended } else { promised.kill };
        }
        camera.look();
        if number % 7 == 6 {
            store.sync().unwrap();
            *lock(&camera.promised) = Promised { power_cut: appended, kill: appended };
            camera.look();
        }
    }
    store.close().unwrap();
    *lock(&camera.promised) = Promised { power_cut: appended, kill: appended };
    camera.look();
    std::mem::take(&mut *lock(&camera.left))
}

/// The log holds the first events of the run, as many as it says; the index says the same.
/// A chunk of a scan, with all its columns.
fn read(scan: &super::Scan, chunk: usize) -> Columns {
    let sources = scan.load(chunk, &Needs::everything()).unwrap();
    let chunk = Chunk::new(sources.iter().map(Into::into).collect());
    chunk.gather(0..chunk.len(), &Needs::everything())
}

fn check_all(store: &Store, events: &[Event], context: &str) {
    let count = usize::try_from(store.len()).unwrap();
    let snapshot = store.snapshot();
    let seqs: Vec<u64> = (1..=store.len()).collect();
    let logged: Vec<Event> = snapshot.events(&seqs).unwrap().into_iter().map(|logged| logged.event).collect();
    assert!(logged == events[..count], "the log {context}");

    let (scan, names) = (snapshot.scan(), snapshot.names());
    let mut indexed = BTreeMap::new();
    for chunk in 0..scan.chunks() {
        let columns = read(&scan, chunk);
        for (customer, rows) in columns.journeys() {
            for row in rows {
                let touchpoint = names.touchpoint(columns.touchpoints.get(row).unwrap()).to_string();
                let event =
                    (names.customer(customer).to_string(), touchpoint, columns.times.get(row).unwrap().to_datetime());
                assert!(
                    indexed.insert(columns.seqs.get(row).unwrap(), event).is_none(),
                    "an event is indexed twice {context}"
                );
            }
        }
    }
    let expected = (1..).zip(&logged).map(|(seq, event)| {
        (seq, (event.customer().as_str().to_owned(), event.touchpoint().as_str().to_owned(), event.occurred_at()))
    });
    assert_eq!(indexed, expected.collect(), "the index {context}");
}

#[test]
fn what_was_promised_survives_a_power_cut_and_a_kill_at_any_moment() {
    let events = batches().concat();
    let ends: Vec<usize> =
        batches().iter().scan(0, |end, batch| Some(std::mem::replace(end, *end + batch.len()))).collect();
    for durability in [Durability::Buffered, Durability::Flushed, Durability::Synced] {
        for fresh_events in [5, 12, 1_000] {
            let mut held = BTreeSet::new();
            let (mut sealed, mut behind) = (0, 0);
            for (number, ((files, _), Left { engine, promised, after })) in
                watched(durability, fresh_events).into_iter().enumerate()
            {
                let context = format!("after {after}: {durability:?}, {fresh_events}, state {number}");
                let dir = tempfile::tempdir().unwrap();
                fs::create_dir(dir.path().join("index")).unwrap();
                files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
                let options = StoreOptions::new().fresh_events(if number % 8 == 0 { 4 } else { 1_000 });
                let store = Store::open_on(dir.path(), &options, move |_| {
                    Ok((Arc::new(engine.clone()) as Arc<dyn Engine>, Vec::new()))
                })
                .unwrap_or_else(|error| panic!("{error} {context}"));
                assert_eq!(store.open_report().rebuilt, None, "{context}");
                let count = usize::try_from(store.len()).unwrap();
                assert!(count >= promised, "{count} of {promised} events {context}");
                assert!(count == events.len() || ends.contains(&count), "half a batch {context}");
                check_all(&store, &events, &context);
                held.insert(count);
                sealed += usize::from(store.open_report().replayed < store.len());
                behind += usize::from(store.open_report().replayed > 0);

                // The ids are known, and it goes on.
                let again = store.append_batch(events.clone()).unwrap();
                assert_eq!(again.duplicates(), (0..count).collect::<Vec<_>>(), "{context}");
                check_all(&store, &events, &context);
            }
            // There was something to lose, and something to keep.
            assert!(held.contains(&0) && held.contains(&events.len()) && held.len() > 4, "{held:?}");
            match fresh_events {
                5 => assert!(sealed > 4, "{sealed}"), // appends waited for a seal
                1_000 => assert!(sealed == 0 && behind > 2, "{sealed} {behind}"),
                _ => {}
            }
        }
    }
}

/// The engines of one store by their folders, which are there again when it is opened again. Those of a second
/// generation fail at a call.
fn open_generations(dir: &Path, engines: &Arc<Mutex<BTreeMap<PathBuf, MemoryEngine>>>, fail: (u64, When)) -> Store {
    let engines = Arc::clone(engines);
    Store::open_on(dir, &StoreOptions::new().fresh_events(7), move |folder| {
        let kept = lock(&engines).entry(folder.to_owned()).or_default().clone();
        let engine = FailingEngine::new(kept);
        if folder.ends_with("log-1") {
            engine.fail_at(fail.0, fail.1);
        }
        Ok((Arc::new(engine) as Arc<dyn Engine>, Vec::new()))
    })
    .unwrap()
}

#[test]
fn a_compaction_that_fails_at_any_call_leaves_the_store_as_it_was() {
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let (mut failed, mut succeeded) = (0, 0);
    for fail in (1..=20).flat_map(|n| [(n, When::Before), (n, When::After)]) {
        let context = format!("after a failure at call {fail:?}");
        let dir = tempfile::tempdir().unwrap();
        let engines = Arc::default();
        let store = open_generations(dir.path(), &engines, fail);
        store.append_batch(events.clone()).unwrap();
        // Else the call that fails comes later.
        let is_compacted = store.compact().is_ok();
        if !is_compacted {
            check_all(&store, &events, &context);
        }
        succeeded += usize::from(is_compacted);
        failed += usize::from(!is_compacted);
        // A failure after that is one of appending, which the store outlives when it is opened again.
        let more = store.append(event(EVENTS)).is_ok();
        let _ = store.close();
        let store = open_generations(dir.path(), &engines, (0, When::Before));
        assert_eq!(store.open_report().rebuilt, None, "{context}");
        let all: Vec<Event> = (0..=EVENTS).map(event).collect();
        assert!(store.len() > EVENTS as u64 || !more, "{context}");
        check_all(&store, &all, &context);
    }
    assert!(failed > 4 && succeeded > 4, "{failed} {succeeded}");
}

#[test]
fn a_backup_that_fails_at_any_call_leaves_nothing_and_is_no_store_before_its_end() {
    let (mut failed, mut succeeded) = (0, 0);
    for fail in (1..=12).flat_map(|n| [(n, When::Before), (n, When::After)]) {
        let context = format!("after a failure at call {fail:?}");
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("backup");
        let kept = MemoryEngine::new();
        let engines = {
            let (target, kept) = (target.clone(), kept.clone());
            move |folder: &Path| {
                let engine =
                    FailingEngine::new(if folder.starts_with(&target) { kept.clone() } else { MemoryEngine::new() });
                if folder.starts_with(&target) {
                    engine.fail_at(fail.0, fail.1);
                    assert!(
                        Store::open_on(&target, &StoreOptions::new(), |_| unreachable!()).is_err(),
                        "it is claimed"
                    );
                }
                Ok((Arc::new(engine) as Arc<dyn Engine>, Vec::new()))
            }
        };
        let store = Store::open_on(&dir.path().join("store"), &StoreOptions::new().fresh_events(7), engines).unwrap();
        store.append_batch((0..EVENTS).map(event)).unwrap();
        store.erase("c4").unwrap();
        match store.backup(&target) {
            Ok(made) => {
                succeeded += 1;
                assert_eq!((made.head.0, made.events), (EVENTS as u64, EVENTS as u64 / 5 * 4), "{context}");
                let restored = open(&target, Arc::new(kept.after_power_cut())).unwrap();
                assert_eq!((restored.len(), restored.erasures().len()), (made.events, 1), "{context}");
            }
            Err(error) => {
                failed += 1;
                assert!(error.to_string().contains("(test)"), "{error}");
                assert!(!target.exists(), "{context}");
            }
        }
        // The store itself goes on.
        store.append(event(EVENTS)).unwrap();
        store.compact().unwrap();
        assert_eq!(store.len(), EVENTS as u64 / 5 * 4 + 1, "{context}");
    }
    assert!(failed > 6 && succeeded > 6, "{failed} {succeeded}");
}

#[test]
fn erasures_that_are_lost_are_seen_at_open_and_by_verify() {
    let dir = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new();
    let store = open(dir.path(), Arc::new(engine.clone())).unwrap();
    run(&store);
    store.erase("c1").unwrap();
    let (key, value) = engine.range(b"e", b"f", 2).unwrap().remove(0);
    engine.apply(vec![Change::Remove(key.clone())]).unwrap();
    assert_eq!(store.verify(crate::store::Verify::Quick).unwrap().problems.len(), 1);
    store.close().unwrap();
    let error = open(dir.path(), Arc::new(engine.clone())).unwrap_err();
    assert_eq!(error.to_string(), "the list of erasures is damaged: it has 0 of 1 that had been acknowledged");
    engine.apply(vec![Change::Put(key, value)]).unwrap();
    assert!(open(dir.path(), Arc::new(engine.clone())).unwrap().erasure("c1").is_some());
    let (key, _) = engine.range(b"e", b"f", 2).unwrap().remove(0);
    engine.apply(vec![Change::Remove(key)]).unwrap();
    let accepting = StoreOptions::new().accept_loss();
    let opened = || {
        Store::open_on(dir.path(), &accepting, {
            let engine = engine.clone();
            move |_| Ok((Arc::new(engine.clone()), Vec::new()))
        })
    };
    assert_eq!(opened().unwrap().open_report().mended.len(), 1);
    assert_eq!(opened().unwrap().open_report().mended.len(), 0, "once is enough");
}
