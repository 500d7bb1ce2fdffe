//! Everything at once: threads append, send again, erase and ask, others hold snapshots, settle, compact and back up; each
//! knows what must be there, and at the end all of it is looked at.
//!
//! `cargo test --test store soak` takes a few seconds, `JOURNEYLOG_SOAK=600 cargo test --release --test store soak` ten
//! minutes.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use fastrand::Rng;
use journeylog::{
    Backup, CustomerId, Durability, Event, Funnel, Store, StoreOptions, Verify, export, import::NdjsonReader,
};

use crate::event;

const WRITERS: u64 = 4;
const CUSTOMERS: u64 = 12;
/// The first customers of each writer are never erased.
const KEPT: u64 = 4;

/// Seals are so large that batches wait to be numbered while the next are appended.
fn open(folder: &Path) -> Store {
    StoreOptions::new().fresh_events(2_000).durability(Durability::Flushed).open(folder).unwrap()
}

/// A folder in memory, if the system has one: what is slow is the disk, and nothing here is about it.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// What one thread has appended, which nobody else does: customers by their ids, and their events by their ids.
#[derive(Default)]
struct Writer {
    number: u64,
    next: u64,
    customers: BTreeMap<String, BTreeMap<String, Event>>,
    erased: Vec<String>,
}

impl Writer {
    fn customer(&self, customer: u64) -> String {
        format!("w{}-c{customer}", self.number)
    }

    fn new_event(&mut self, random: &mut Rng) -> Event {
        self.next += 1;
        let touchpoint = ["view", "pay"][random.usize(0..2)];
        let second = self.next as i64 + random.i64(0..500);
        let built = event(&self.customer(random.u64(0..CUSTOMERS)), touchpoint, second);
        built.id(format!("w{}-e{}", self.number, self.next)).property("n", self.next).build().unwrap()
    }

    fn append(&mut self, store: &Store, random: &mut Rng) {
        let mut batch: Vec<Event> = Vec::new();
        for _ in 0..if random.bool() { 1 } else { random.usize(2..80) } {
            batch.push(self.new_event(random));
        }
        let mut known = Vec::new();
        if random.u8(0..4) == 0 {
            // One that is there already, and one of the batch itself.
            let old = self.customers.values().next().and_then(|events| events.values().next()).cloned();
            for again in [old, Some(batch[0].clone())].into_iter().flatten() {
                known.push(batch.len());
                batch.push(again);
            }
        }
        let is_erased = |event: &Event| self.erased.iter().any(|id| id == event.customer().as_str());
        let erased: Vec<usize> = (0..batch.len()).filter(|i| is_erased(&batch[*i])).collect();
        known.retain(|i| !erased.contains(i));
        let receipt = store.append_batch(batch.clone()).unwrap();
        assert_eq!((receipt.duplicates(), receipt.erased()), (&known[..], &erased[..]));
        for (i, event) in batch.into_iter().enumerate() {
            if !known.contains(&i) && !erased.contains(&i) {
                let events = self.customers.entry(event.customer().as_str().to_owned()).or_default();
                events.insert(event.id().unwrap().as_str().to_owned(), event);
            }
        }
    }

    fn erase(&mut self, store: &Store, random: &mut Rng) {
        let id = self.customer(random.u64(KEPT..CUSTOMERS));
        store.erase(&id).unwrap();
        self.customers.remove(&id);
        if !self.erased.contains(&id) {
            self.erased.push(id);
        }
    }

    fn readmit(&mut self, store: &Store) {
        if let Some(id) = self.erased.pop() {
            assert!(store.readmit(&id).unwrap());
        }
    }

    /// The store says of a customer what this thread knows.
    fn check(&self, store: &Store, id: &str) {
        let found = store.customer(id).unwrap();
        let Some(expected) = self.customers.get(id) else {
            assert!(found.is_none(), "{id}");
            return;
        };
        let found = found.unwrap_or_else(|| panic!("{id} is gone"));
        assert_eq!(found.journey().len(), expected.len(), "{id}");
        let events = found.events().unwrap();
        assert_eq!(events.len(), expected.len(), "{id}");
        for logged in events {
            assert_eq!(Some(&logged.event), expected.get(logged.event.id().unwrap().as_str()), "{id}");
        }
    }

    /// The same of the journeys of all its customers.
    fn check_journeys(&self, store: &Store) {
        for id in (0..CUSTOMERS).map(|customer| self.customer(customer)) {
            let found = store.customer(&id).unwrap().map(|found| found.journey().len());
            assert_eq!(found, self.customers.get(&id).map(BTreeMap::len), "{id}");
        }
    }

    fn work(mut self, store: &Store, done: &AtomicBool) -> Self {
        let mut random = Rng::with_seed(self.number);
        while !done.load(Ordering::Relaxed) {
            match random.u8(0..100) {
                0 => self.erase(store, &mut random),
                1 => self.readmit(store),
                2..12 => self.check(store, &self.customer(random.u64(0..CUSTOMERS))),
                _ => self.append(store, &mut random),
            }
        }
        self
    }
}

/// All events that a store holds, by their ids.
fn held(store: &Store) -> BTreeMap<String, Event> {
    let mut text = Vec::new();
    export::all(&store.snapshot(), &mut text).unwrap();
    let by_id = |event: Event| (event.id().unwrap().as_str().to_owned(), event);
    NdjsonReader::new(&text[..]).map(|entry| by_id(entry.unwrap().into_event().unwrap())).collect()
}

/// All that was appended is in a snapshot, once, but for what was erased by then.
fn count(store: &Store) {
    let erased = || store.erasures().iter().map(|erasure| erasure.events).sum::<u64>();
    let before = erased();
    let snapshot = store.snapshot();
    let (head, held) = (snapshot.head().0, snapshot.len());
    let after = erased();
    let right = head.saturating_sub(after)..=head.saturating_sub(before);
    assert!(right.contains(&held), "{held} of {head} events, of which {before} to {after} are erased");
}

/// Snapshots are held for long, and answer as they did; whoever may be erased is not asked for, and observation does not end with
/// an event of theirs.
fn ask(store: &Store, done: &AtomicBool) {
    let kept = (0..WRITERS).flat_map(|writer| (0..KEPT).map(move |customer| format!("w{writer}-c{customer}")));
    let kept: Vec<CustomerId> = kept.map(|id| CustomerId::new(id).unwrap()).collect();
    let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::minutes(5)).list_customers().build().unwrap();
    let end = chrono::DateTime::UNIX_EPOCH + TimeDelta::days(3_650);
    let asked =
        |snapshot: &journeylog::Snapshot| snapshot.query().as_of(end).customers(kept.clone()).run(&funnel).unwrap();
    let mut random = Rng::with_seed(99);
    let mut held = Vec::new();
    let mut head = 0;
    while !done.load(Ordering::Relaxed) {
        count(store);
        let snapshot = store.snapshot();
        assert!(snapshot.head().0 >= head);
        head = snapshot.head().0;
        let answer = asked(&snapshot);
        held.push((snapshot, answer));
        let (old, answer) = &held[random.usize(0..held.len())];
        assert_eq!(&asked(old), answer);
        if held.len() > 20 {
            drop(held.swap_remove(random.usize(0..held.len())));
        }
    }
}

fn is_sound(store: &Store) {
    let found = store.verify(Verify::Full).unwrap();
    assert!(found.is_sound(), "{found}");
}

fn maintain(store: &Store, backups: &Path, done: &AtomicBool) -> u32 {
    let mut times = 0;
    while !done.load(Ordering::Relaxed) || times < 6 {
        match times % 6 {
            0 | 2 => store.settle().unwrap(),
            1 => store.compact().unwrap(),
            3 => store.sync().unwrap(),
            4 => is_sound(store),
            _ => {
                let folder = backups.join(times.to_string());
                let made = store.backup(&folder).unwrap();
                assert_eq!(Backup::check(&folder).unwrap(), made);
                std::fs::remove_dir_all(folder).unwrap();
            }
        }
        times += 1;
    }
    times
}

#[test]
fn soak() {
    let time = Duration::from_secs(env::var("JOURNEYLOG_SOAK").map_or(3, |seconds| seconds.parse().unwrap()));
    let dir = folder();
    let (folder, start) = (dir.path().join("store"), Instant::now());
    let (done, written) = (AtomicBool::new(false), AtomicBool::new(false));
    let store = open(&folder);
    let writers = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| Writer { number, ..Writer::default() })
            .map(|writer| scope.spawn(|| writer.work(&store, &written)))
            .collect();
        let others = [
            scope.spawn(|| ask(&store, &done)),
            scope.spawn(|| {
                let times = maintain(&store, dir.path(), &done);
                println!("{times} settlings, compactions, syncs, verifications and backups");
            }),
        ];
        while start.elapsed() < time && !writers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        let others = others.map(std::thread::ScopedJoinHandle::join);
        // Last, so that the last seal is one that was made while events came; also if one of the others has failed.
        written.store(true, Ordering::Relaxed);
        others.into_iter().for_each(|ended| ended.unwrap());
        writers.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let events = writers.iter().flat_map(|writer| writer.customers.values().flatten());
    let events: BTreeMap<String, Event> = events.map(|(id, event)| (id.clone(), event.clone())).collect();
    let all = events.len();
    let check = |store: &Store, when: &str| {
        writers.iter().for_each(|writer| writer.check_journeys(store));
        assert!(held(store) == events, "{when}");
        assert_eq!(store.len() as usize, all, "{when}");
        let funnel = Funnel::ordered(["view"]).build().unwrap();
        let is_view = |event: &Event| event.touchpoint().as_str() == "view";
        let viewers = writers.iter().flat_map(|writer| writer.customers.values());
        let viewers = viewers.filter(|events| events.values().any(is_view)).count();
        assert_eq!(store.query().run(&funnel).unwrap().entered as usize, viewers, "{when}");
    };
    println!("{all} events are left of {}", writers.iter().map(|writer| writer.next).sum::<u64>());
    check(&store, "at the end");
    is_sound(&store);
    store.close().unwrap();
    let store = open(&folder);
    assert_eq!(store.open_report().rebuilt, None);
    check(&store, "opened again");
    is_sound(&store);
    store.compact().unwrap();
    check(&store, "compacted");
    assert_eq!(store.stats().unwrap().erased_on_disk, 0);
    store.close().unwrap();
    assert_eq!(Backup::check(&folder).unwrap().events as usize, all);
    check(&StoreOptions::new().rebuild_index().open(&folder).unwrap(), "built again");
}
