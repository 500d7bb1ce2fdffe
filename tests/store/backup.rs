//! A backup holds what the store held at one moment, while all else goes on; nobody who was erased is in it.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use journeylog::{Backup, Error, ErrorKind, Funnel, JourneyModel, Store, Transitions, export, testing::World};

use crate::{
    built,
    erase::{ID, SECRETS, copy_folder, found, personal},
    event, small_seals,
};

/// Everything that a store says of its events up to a sequence, and everything it answers.
fn events(store: &Store, up_to: u64) -> String {
    let mut all = Vec::new();
    export::all(&store.snapshot(), &mut all).unwrap();
    String::from_utf8(all).unwrap().lines().take(up_to as usize).collect::<Vec<_>>().join("\n")
}

fn answers(store: &Store) -> String {
    let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
    let transitions = Transitions::of(JourneyModel::standard());
    format!("{:?}", store.snapshot().query().run((&funnel, &transitions)).unwrap())
}

#[test]
fn a_backup_holds_and_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    let world = World::new(5).customers(60).events(2_000).make();
    for batch in world.chunks(7) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    let folder = dir.path().join("new").join("deep").join("backup");
    let made = store.backup(&folder).unwrap();
    assert_eq!((made.head, made.events, made.erased_on_disk), (store.head(), store.len(), 0));
    assert_eq!(Backup::check(&folder).unwrap(), made);
    let (head, all, before) = (store.head().0, events(&store, u64::MAX), answers(&store));
    store.append(built("late", "view", 1)).unwrap();

    let restored = small_seals(&folder);
    assert_eq!(restored.open_report().mended, [] as [&str; 0]);
    assert_eq!((restored.head().0, events(&restored, u64::MAX), answers(&restored)), (head, all, before));
    let known = world.iter().filter(|event| event.id().is_some()).cloned();
    assert_eq!(restored.append_batch(known).unwrap().stored(), 0, "ids are known");
    restored.append(built("late", "view", 1)).unwrap();
    assert_eq!((restored.len(), answers(&restored)), (store.len(), answers(&store)), "it goes on like the other");

    // The source closed and checked says the same as its backup; and a backup of a backup too.
    let again = dir.path().join("again");
    let copied = restored.backup(&again).unwrap();
    assert_eq!((copied.head, copied.events), (store.head(), store.len()));
    store.close().unwrap();
    let source = Backup::check(dir.path().join("store")).unwrap();
    assert_eq!((source.head, source.events), (copied.head, copied.events));
    assert_ne!(source.checksum, made.checksum, "an event more");
}

#[test]
fn the_same_events_have_the_same_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    (0..300).for_each(|i| drop(store.append(built(i % 7, "view", i)).unwrap()));
    let [first, second] = ["first", "second"].map(|name| {
        let made = store.backup(dir.path().join(name)).unwrap();
        // Small blocks become large ones, and nothing else changes.
        store.compact().unwrap();
        made
    });
    assert_eq!(first, second);
    store.close().unwrap();
    assert_eq!(Backup::check(dir.path().join("store")).unwrap(), first);
}

#[test]
fn appending_asking_and_compacting_go_on_while_backups_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    let (done, folder) = (AtomicBool::new(false), |i: u32| dir.path().join(i.to_string()));
    let made = std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            (0..6).map(|i| store.backup(folder(i)).unwrap()).inspect(|_| store.compact().unwrap()).collect::<Vec<_>>()
        });
        let mut i = 0;
        while !backups.is_finished() {
            store.append_batch((i..i + 3).map(|i| built(i % 50, ["view", "pay"][i as usize % 2], i))).unwrap();
            i += 3;
            assert_eq!(store.len(), i as u64);
        }
        done.store(true, Ordering::Relaxed);
        backups.join().unwrap()
    });
    for (i, made) in (0..).zip(made) {
        assert_eq!(Backup::check(folder(i)).unwrap(), made);
        let restored = Store::open(folder(i)).unwrap();
        assert_eq!(made.head.0 % 3, 0, "batches are whole");
        assert_eq!((restored.head(), restored.len()), (made.head, made.events));
        assert_eq!(events(&restored, u64::MAX), events(&store, made.head.0));
    }
}

#[test]
fn who_is_erased_is_in_no_backup_and_stays_out_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    for i in 0..100 {
        store.append(if i % 10 == 3 { personal(i) } else { event(&format!("c{}", i % 5), "view", i) }).unwrap();
    }
    let before = dir.path().join("before");
    store.backup(&before).unwrap();
    assert_eq!(found(&before), SECRETS, "the control: a backup made before holds the person");
    let erasure = store.erase(ID).unwrap();
    store.erase("unknown").unwrap();
    assert_eq!(store.stats().unwrap().erased_on_disk, 2, "the store itself still has the bytes");
    assert_ne!(found(&dir.path().join("store")), [""; 0]);
    let folder = dir.path().join("after");
    let made = store.backup(&folder).unwrap();
    assert_eq!((made.head.0, made.events, made.erased_on_disk), (100, 90, 0));
    assert_eq!(found(&folder), [""; 0]);
    assert_eq!(Backup::check(&folder).unwrap(), made);

    let restored = small_seals(&folder);
    assert_eq!((restored.len(), answers(&restored)), (store.len(), answers(&store)));
    let known = restored.erasure(ID).unwrap();
    assert_eq!((known.fingerprint, known.events, known.erased_at), (erasure.fingerprint, 10, erasure.erased_at));
    assert!(known.compacted_at.is_some());
    let late = restored.append_batch([personal(1).build().unwrap(), built("unknown", "view", 1)]).unwrap();
    assert_eq!(late.erased(), [0, 1], "what comes late stays out");

    // An older backup is restored: who was erased since is erased again.
    let older = small_seals(&before);
    assert!(older.customer(ID).unwrap().is_some());
    older.erase(ID).unwrap();
    older.compact().unwrap();
    older.close().unwrap();
    assert_eq!(found(&before), [""; 0]);
}

fn is_refused<T>(outcome: Result<T, Error>, why: &str) {
    let error = outcome.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::BackupFolder { reason, .. } if reason == why), "{error}");
}

#[test]
fn a_folder_that_cannot_take_a_backup_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    store.append(built("a", "view", 1)).unwrap();
    let (file, full) = (dir.path().join("file"), dir.path().join("full"));
    fs::write(&file, "dear").unwrap();
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter.txt"), "dear").unwrap();
    is_refused(store.backup(&file), "it is a file");
    is_refused(store.backup(&full), "it is not empty");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
    for inside in ["store", "store/log", "store/backup", "store/deep/backup", "other/../store/backup"] {
        fs::create_dir_all(dir.path().join("other")).unwrap();
        is_refused(store.backup(dir.path().join(inside)), "it lies in the store's own folder");
    }
    assert!(!dir.path().join("store/backup").exists() && !dir.path().join("store/deep").exists());
    // A backup is not made twice in one place; an empty folder will do, and so will one whose name begins alike.
    fs::create_dir(dir.path().join("store-2")).unwrap();
    store.backup(dir.path().join("store-2")).unwrap();
    is_refused(store.backup(dir.path().join("store-2")), "it is not empty");
    let error = store.backup(file.join("below")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error}");
    store.append(built("a", "view", 2)).unwrap();
    assert_eq!(Backup::check(dir.path().join("store-2")).unwrap().events, 1);
}

#[test]
fn an_empty_store_is_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    let made = store.backup(dir.path().join("backup")).unwrap();
    assert_eq!((made.head.0, made.events, made.checksum), (0, 0, 0));
    assert_eq!(Backup::check(dir.path().join("backup")).unwrap(), made);
    assert!(Store::open(dir.path().join("backup")).unwrap().is_empty());
}

#[test]
fn a_damaged_backup_is_not_passed() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    store.append_batch((0..2_000).map(|i| built(i % 50, "view", i))).unwrap();
    let folder = dir.path().join("backup");
    let made = store.backup(&folder).unwrap();
    assert_eq!(Backup::check(&folder).unwrap(), made);
    let good = fs::read(folder.join("log/db")).unwrap();
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut failed = 0;
    for at in used.iter().step_by(used.len() / 20) {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&folder, copy.path());
        let mut bytes = good.clone();
        bytes[*at] ^= 1;
        fs::write(copy.path().join("log/db"), bytes).unwrap();
        match Backup::check(copy.path()) {
            Ok(checked) => assert_eq!(checked, made, "a byte that is not used any more"),
            Err(error) => {
                assert!(error.is_corrupt(), "{error}");
                failed += 1;
            }
        }
    }
    assert!(failed > 10);
    fs::remove_file(folder.join("JOURNEYLOG")).unwrap();
    let broken_off = Backup::check(&folder).unwrap_err();
    assert!(matches!(broken_off.kind(), ErrorKind::NotAStore { .. }), "{broken_off}");
    assert!(matches!(Store::open(&folder).unwrap_err().kind(), ErrorKind::NotAStore { .. }));
}

#[test]
fn a_backup_of_a_closed_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(&dir.path().join("store"));
    store.clone().close().unwrap();
    let folder: &Path = &dir.path().join("backup");
    assert!(matches!(store.backup(folder).unwrap_err().kind(), ErrorKind::Closed));
    assert!(!folder.exists());
}
