//! The log and the index can be written anew, and nobody notices but the disk.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use journeylog::{Durability, Funnel, JourneyModel, Store, StoreOptions, Transitions, testing::World};

use crate::{built, small_seals};

/// The folders of a store.
fn folders(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().into_string().unwrap()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn answers(store: &Store) -> String {
    let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
    let transitions = Transitions::of(JourneyModel::standard());
    let ids: Vec<_> = (0..60).filter_map(|i| store.customer(&format!("c{i}")).unwrap()).collect();
    let events: Vec<_> = ids.iter().map(|customer| customer.events().unwrap()).collect();
    format!("{:?} {events:?}", store.snapshot().query().run((&funnel, &transitions)).unwrap())
}

#[test]
fn a_compacted_store_holds_and_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let world = World::new(5).customers(60).events(2_000).make();
    for event in &world {
        store.append(event.clone()).unwrap();
    }
    let (head, before, snapshot) = (store.head(), answers(&store), store.snapshot());
    for generation in 1..=3 {
        store.compact().unwrap();
        assert_eq!((store.head(), answers(&store)), (head, before.clone()));
        let [log, index] = ["log", "index"].map(|name| format!("{name}-{generation}"));
        assert_eq!(folders(dir.path()), names(&[&log, &index]));
        assert_eq!((store.stats().unwrap().segments, store.stats().unwrap().fresh_events), (1, 0));
    }
    // A snapshot from before answers as before, whole events too.
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    assert_eq!(snapshot.query().run(&funnel).unwrap(), store.query().run(&funnel).unwrap());
    assert_eq!(snapshot.len(), head.0);
    // Ids are known, and appending goes on; also after the store was closed and opened.
    let again = store.append_batch(world.iter().filter(|event| event.id().is_some()).cloned()).unwrap();
    assert_eq!(again.stored(), 0);
    store.append(built("late", "view", 1)).unwrap();
    let before = answers(&store);
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.open_report().mended.as_slice(), &store.open_report().rebuilt), ([].as_slice(), &None));
    assert_eq!((store.len(), answers(&store)), (head.0 + 1, before));
}

#[test]
fn appending_and_asking_go_on_while_a_store_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let done = AtomicBool::new(false);
    let funnel = Funnel::ordered(["view"]).build().unwrap();
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::Relaxed) || times < 2 {
                store.compact().unwrap();
                times += 1;
            }
        });
        for i in 0..1_500 {
            store.append(built(i, "view", i).clone()).unwrap();
            let snapshot = store.snapshot();
            assert_eq!(snapshot.len(), i as u64 + 1);
            if i % 50 == 0 {
                assert_eq!(snapshot.query().run(&funnel).unwrap().entered, i as u64 + 1);
            }
        }
        done.store(true, Ordering::Relaxed);
        compacting.join().unwrap();
    });
    let handle = store.clone();
    store.close().unwrap();
    assert!(handle.compact().is_err(), "a closed store is not compacted");
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), folders(dir.path()).len()), (1_500, 2));
    assert_eq!(store.query().run(&funnel).unwrap().entered, 1_500);
}

#[test]
fn what_an_unfinished_compaction_left_is_removed_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(built("a", "view", 1)).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    for left in ["log", "index", "log-2", "index-2"] {
        fs::create_dir(dir.path().join(left)).unwrap();
        fs::write(dir.path().join(left).join("file"), "left").unwrap();
    }
    fs::create_dir(dir.path().join("logistics")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), store.open_report().mended.len()), (1, 4), "{:?}", store.open_report());
    assert_eq!(folders(dir.path()), names(&["log-1", "index-1", "logistics"]), "what is not ours stays");
}

/// The mark says which log counts. Without its log nothing else is taken for it, and nothing is removed.
#[test]
fn a_log_that_is_gone_after_a_compaction_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(built("a", "view", 1)).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    fs::rename(dir.path().join("log-1"), dir.path().join("log")).unwrap();
    fs::remove_file(dir.path().join("WITNESS")).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.is_corrupt(), "{error}");
    assert!(dir.path().join("log/db").exists());
}

#[test]
fn a_compaction_that_fails_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..200 {
        store.append(built(i % 7, "view", i)).unwrap();
    }
    let before = answers(&store);
    // A file stands where the new log would be; then where the mark would be written.
    for obstacle in ["log-1", "JOURNEYLOG.tmp"] {
        let obstacle = dir.path().join(obstacle);
        let blocked = if obstacle.ends_with("log-1") { fs::write(&obstacle, "") } else { fs::create_dir(&obstacle) };
        blocked.unwrap();
        store.compact().unwrap_err();
        assert_eq!(answers(&store), before);
        if obstacle.is_dir() {
            fs::remove_dir(&obstacle).unwrap()
        } else {
            fs::remove_file(&obstacle).unwrap()
        }
        assert_eq!(folders(dir.path()), names(&["log", "index"]));
        store.append(built("more", "pay", 1)).unwrap();
    }
    store.compact().unwrap();
    assert_eq!(store.len(), 202);
}

#[test]
fn an_empty_store_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.compact().unwrap();
    assert!(store.is_empty());
    store.append(built("a", "view", 1)).unwrap();
    store.close().unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().len(), 1);
}

/// Blocks of one event each take far more room than the events; compacting gives it back.
#[test]
fn a_compacted_store_is_as_small_as_one_made_of_batches() {
    let events: Vec<_> = (0..12_000).map(|i| built(format!("c-{}", i * 7 % 900), "view", i)).collect();
    let sizes = [1, 1_000].map(|size| {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new().fresh_events(700).durability(Durability::Buffered);
        let store = options.open(dir.path()).unwrap();
        for batch in events.chunks(size) {
            store.append_batch(batch.to_vec()).unwrap();
        }
        let before = store.stats().unwrap().log_bytes;
        store.compact().unwrap();
        store.close().unwrap();
        // sled cuts its file to what is used when it opens.
        let store = Store::open(dir.path()).unwrap();
        (before, store.stats().unwrap().log_bytes)
    });
    let [(single_before, single), (_, batches)] = sizes;
    assert!(single < single_before / 2 && single.abs_diff(batches) <= 2 << 20, "{sizes:?}");
}
