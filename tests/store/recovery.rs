//! Opening again: leftovers are removed, damage of the index is mended, damage of the log is said.

use std::fs;

use journeylog::{ErrorKind, Funnel, Store, StoreOptions};

use crate::{built, event, small_seals};

fn filled(dir: &std::path::Path) -> u64 {
    let store = small_seals(dir);
    for i in 0..500 {
        store.append_batch([built(i % 20, if i % 2 == 0 { "view" } else { "pay" }, i)]).unwrap();
    }
    store.close().unwrap();
    500
}

fn converted(store: &Store) -> u64 {
    store.funnel(&Funnel::ordered(["view", "view"]).build().unwrap()).unwrap().converted
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::write(dir.path().join("index/99999999.segment"), "half").unwrap();
    fs::write(dir.path().join("index/99999998.tmp"), "half").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), converted(&store)), (500, 10));
    assert!(!dir.path().join("index/99999999.segment").exists());
    assert!(!dir.path().join("index/99999998.tmp").exists());
}

#[test]
fn a_damaged_index_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let files: Vec<_> = fs::read_dir(dir.path().join("index")).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() > 3);
    for file in files.iter().filter(|file| file.exists()) {
        let good = fs::read(file).unwrap();
        let mut bytes = good.clone();
        let last = bytes.len() - 10;
        bytes[last] ^= 1;
        fs::write(file, bytes).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.open_report().rebuilt.is_some(), "{}", file.display());
        assert_eq!((store.len(), converted(&store)), (500, 10));
        store.close().unwrap();
        if !file.exists() {
            break; // the index has new files now
        }
    }
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), converted(&store), store.open_report().replayed), (500, 10, 500));
}

#[test]
fn a_lost_log_is_said_and_may_be_accepted() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Lost { acknowledged: 500, found: 0 }), "{refused}");
    let store = StoreOptions::new().accept_loss().open(dir.path()).unwrap();
    assert!(store.is_empty());
    assert!(!store.open_report().mended.is_empty());
    store.append(event("a", "t", 1)).unwrap();
    store.close().unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_truncated_or_flipped_log_never_panics_and_is_never_silently_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let count = filled(dir.path());
    let db = dir.path().join("log/db");
    let good = fs::read(&db).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for trial in 0..24_usize {
        let target = copy.path().join(trial.to_string());
        copy_folder(dir.path(), &target);
        let mut bytes = good.clone();
        if trial % 2 == 0 {
            bytes.truncate(good.len() * trial / 24);
        } else {
            let at = good.len() * trial / 24;
            bytes[at] ^= 0x10;
        }
        fs::write(target.join("log/db"), bytes).unwrap();
        match Store::open(&target) {
            Ok(store) => assert_eq!(store.len(), count),
            Err(error) => assert!(error.is_corrupt(), "{error}"),
        }
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

#[test]
fn a_new_store_that_was_dropped_without_a_close_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new").join("deep.journey");
    let store = Store::open(&folder).unwrap();
    store.append(event("a", "t", 1)).unwrap();
    drop(store);
    assert_eq!(Store::open(&folder).unwrap().len(), 1);
}
