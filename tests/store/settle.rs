//! A store finds its best form: by itself while events come, and all of it when it is asked to settle.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use journeylog::{Durability, Funnel, Store, StoreOptions, Transitions, testing::World};

use crate::{built, small_seals};

fn files(dir: &Path, ending: &str) -> usize {
    let files = fs::read_dir(dir.join("index")).unwrap();
    files.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
}

fn answers(store: &Store) -> String {
    let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
    let transitions = Transitions::of(journeylog::JourneyModel::standard());
    format!("{:?}", store.snapshot().query().run((&funnel, &transitions)).unwrap())
}

#[test]
fn a_settled_store_is_one_file_of_each_kind_with_equal_answers() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for batch in World::new(3).customers(60).events(3_000).make().chunks(7) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    let before = answers(&store);
    let snapshot = store.snapshot();
    store.settle().unwrap();
    assert_eq!(answers(&store), before);
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.fresh_events, stats.events), (1, 0, snapshot.len()));
    assert!(stats.events > 2_000);
    drop(snapshot);
    for ending in ["segment", "ids", "names"] {
        assert_eq!(files(dir.path(), ending), 1, "{ending}");
    }
    // Again, with nothing to do; and after some more.
    store.settle().unwrap();
    store.append(built("late", "view", 1)).unwrap();
    store.settle().unwrap();
    assert_eq!(store.stats().unwrap().segments, 1);
    let before = answers(&store);
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.open_report().replayed, answers(&store)), (0, before));
    assert!(
        World::new(3)
            .customers(60)
            .events(3_000)
            .make()
            .into_iter()
            .all(|event| { event.id().is_none() || store.append_batch([event]).unwrap().stored() == 0 })
    );
}

#[test]
fn an_empty_store_settles() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.settle().unwrap();
    assert_eq!(store.stats().unwrap().segments, 0);
}

#[test]
fn single_appends_settle_to_the_size_of_batches() {
    let events: Vec<_> = (0..6_000).map(|i| built(format!("c-{}", i * 7 % 900), "view", i)).collect();
    let sizes: Vec<u64> = [1, 1_000]
        .into_iter()
        .map(|size| {
            let dir = tempfile::tempdir().unwrap();
            let options = StoreOptions::new().fresh_events(700).durability(Durability::Buffered);
            let store = options.open(dir.path()).unwrap();
            for batch in events.chunks(size) {
                store.append_batch(batch.to_vec()).unwrap();
            }
            store.settle().unwrap();
            assert_eq!(store.stats().unwrap().segments, 1);
            store.stats().unwrap().index_bytes
        })
        .collect();
    assert!(sizes[0].abs_diff(sizes[1]) < sizes[1] / 10, "{sizes:?}");
}

/// Single appends leave a log many times as large as what is in it; settling gives that room back.
#[test]
fn settling_gives_back_the_room_of_many_single_appends() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().durability(Durability::Buffered).open(dir.path()).unwrap();
    // How much room single appends take is sled's affair; that it is too much is seen from 16 MiB on.
    let (mut appended, mut before) = (0, 0);
    while before < 24 << 20 {
        for i in appended..appended + 5_000 {
            store.append(built(i % 900, "view", i)).unwrap();
        }
        appended += 5_000;
        before = store.stats().unwrap().log_bytes;
    }
    store.settle().unwrap();
    let after = store.stats().unwrap().log_bytes;
    assert!(after < before / 2, "{before} {after}");
    assert_eq!(store.len(), appended as u64);
}

#[test]
fn appending_asking_and_closing_go_on_while_a_store_settles() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let settling = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.settle().unwrap();
            }
        });
        for i in 0..300 {
            store.append(built(i % 17, "view", i)).unwrap();
            assert_eq!(store.snapshot().len(), i as u64 + 1);
        }
        done.store(true, Ordering::Relaxed);
        settling.join().unwrap();
    });
    let handle = store.clone();
    store.close().unwrap();
    assert!(handle.settle().is_err(), "a closed store does not settle");
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.len(), 300);
    assert_eq!(files(dir.path(), "tmp"), 0);
}
