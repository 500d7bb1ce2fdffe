//! What a later release writes is refused wherever it stands, and a store of an earlier one is raised crash-safe.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Store, StoreOptions,
    engine::{Change, Engine, Pair},
    failing::{FailingEngine, When},
    mark::Mark,
    sled_engine::SledEngine,
};
use crate::{
    codec::frame,
    error::{Error, ErrorKind, Result},
    model::Event,
};

#[path = "../../tests/golden/stores/unpack.rs"]
mod unpack;

use unpack::{FORMATS, unpack};

/// The files of a store but for sled's, which it writes when it opens; and what sled holds.
fn contents(dir: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<Pair>) {
    let mark = Mark::read(dir).unwrap().unwrap();
    let mut files = BTreeMap::new();
    for folder in [dir.to_owned(), mark.index(dir)] {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    let pairs = in_log(dir, |engine| engine.range(b"", b"\xff", usize::MAX).unwrap());
    (files, pairs)
}

fn in_log<T>(dir: &Path, run: impl FnOnce(&SledEngine) -> T) -> T {
    let (engine, _) = SledEngine::open(&Mark::read(dir).unwrap().unwrap().log(dir)).unwrap();
    let outcome = run(&engine);
    engine.close().unwrap();
    outcome
}

/// A frame of the next version, with a checksum that fits.
fn newer(bytes: &[u8]) -> Vec<u8> {
    let kind: [u8; 4] = bytes[..4].try_into().unwrap();
    frame(kind, u32::from_le_bytes(bytes[4..8].try_into().unwrap()) + 1, &bytes[24..])
}

/// The same where a frame stands before its length, at the end of a file.
fn newer_directory(bytes: &[u8]) -> Vec<u8> {
    let (body, length) = bytes.split_at(bytes.len() - 8);
    let (columns, directory) = body.split_at(body.len() - u64::from_le_bytes(length.try_into().unwrap()) as usize);
    [columns, &newer(directory), length].concat()
}

/// Raises the version of something in a store, and says what was expected to be there.
type Raise = fn(&Path) -> u32;

fn raise_file(path: &Path, raised: impl Fn(&[u8]) -> Vec<u8>) {
    fs::write(path, raised(&fs::read(path).unwrap())).unwrap();
}

fn file_of(dir: &Path, ending: &str) -> PathBuf {
    let index = Mark::read(dir).unwrap().unwrap().index(dir);
    let paths = fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).min().unwrap()
}

fn raise_pair(dir: &Path, key: &[u8]) {
    in_log(dir, |engine| {
        let (key, value) = engine.range(key, b"\xff", 1).unwrap().remove(0);
        engine.apply(vec![Change::Put(key, newer(&value))]).unwrap();
    });
}

#[test]
fn a_newer_version_is_refused_wherever_it_stands_and_nothing_changes() {
    let places: [(&str, Raise); 11] = [
        ("JOURNEYLOG", |dir| {
            let path = dir.join("JOURNEYLOG");
            fs::write(&path, "{\"journeylog\":9}").unwrap();
            9
        }),
        ("WITNESS", |dir| {
            raise_file(&dir.join("WITNESS"), newer);
            4
        }),
        ("MANIFEST", |dir| {
            raise_file(&file_of(dir, "MANIFEST"), newer);
            2
        }),
        ("names", |dir| {
            raise_file(&file_of(dir, ".names"), newer);
            2
        }),
        ("segment", |dir| {
            raise_file(&file_of(dir, ".segment"), newer_directory);
            5
        }),
        ("ids", |dir| {
            raise_file(&file_of(dir, ".ids"), newer_directory);
            3
        }),
        ("the log", |dir| {
            raise_pair(dir, b"f");
            2
        }),
        ("the last block", |dir| {
            in_log(dir, |engine| {
                let (key, value) = engine.last(b"b", b"c").unwrap().unwrap();
                engine.apply(vec![Change::Put(key, newer(&value))]).unwrap();
            });
            5
        }),
        ("an erasure", |dir| {
            raise_pair(dir, b"e");
            3
        }),
        ("the record of the rules of retention", |dir| {
            raise_pair(dir, b"r");
            2
        }),
        ("the key of fingerprints", |dir| {
            raise_pair(dir, b"s");
            2
        }),
    ];
    for (place, raise) in places {
        let dir = tempfile::tempdir().unwrap();
        unpack(8, dir.path());
        let found = raise(dir.path());
        let is_refused = |error: &Error| matches!(*error.kind(), ErrorKind::NewerFormat { found: f, supported, .. } if f == found && supported == found - 1);
        let before = if place == "JOURNEYLOG" { None } else { Some(contents(dir.path())) };
        // Nor is it taken for damage that may be accepted.
        for options in [StoreOptions::new(), StoreOptions::new().accept_loss()] {
            let error = options.open(dir.path()).unwrap_err();
            assert!(is_refused(&error), "{place}: {error}");
        }
        if let Some(before) = before {
            assert!(contents(dir.path()) == before, "{place}");
        }
    }
}

/// An engine that opens the log of each generation, and fails at a call of any of them.
fn open_failing(dir: &Path, fail: u64, when: When) -> Result<Store> {
    Store::open_on(dir, &StoreOptions::new().fresh_events(50), move |folder| {
        let (engine, mended) = SledEngine::open(folder)?;
        let engine = FailingEngine::new(engine);
        engine.fail_at(fail, when);
        Ok((Arc::new(engine) as Arc<dyn Engine>, mended.0))
    })
}

fn held(store: &Store) -> Vec<Event> {
    let seqs: Vec<u64> = (1..=store.head().0).collect();
    store.snapshot().logged(&seqs).unwrap().into_iter().map(|logged| logged.event).collect()
}

#[test]
fn raising_a_store_may_fail_at_any_call_and_the_next_opening_goes_on() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        unpack(format, &dir.path().join("whole"));
        let right = held(&Store::open(dir.path().join("whole")).unwrap());
        // From the fifth on also a link and a profile.
        assert_eq!(right.len(), if format >= 5 { 242 } else { 240 });
        let mut failed = 0;
        for n in 1..=24 {
            // Together with the formats each call fails in both ways.
            let when = if (n + u64::from(format)).is_multiple_of(2) { When::Before } else { When::After };
            let context = format!("format {format}, call {n} {when:?}");
            let folder = dir.path().join(&context);
            unpack(format, &folder);
            let store = open_failing(&folder, n, when);
            let outcome = store.and_then(|store| {
                let went_well = store.settle().and_then(|()| store.compact());
                store.close().and(went_well)
            });
            failed += usize::from(outcome.is_err());
            let store = Store::open(&folder).unwrap_or_else(|error| panic!("{error}, {context}"));
            assert!(held(&store) == right, "{context}");
            assert_eq!(store.len(), right.len() as u64, "{context}");
            store.close().unwrap();
            fs::remove_dir_all(folder).unwrap();
        }
        assert!(failed > 6, "format {format}: {failed}");
    }
}

/// Until the mark is raised nothing else has changed, so an earlier release opens the store; from then on it does not, and
/// this one does, whatever has been made of the index by then.
#[test]
fn a_store_that_was_stopped_while_it_is_raised_is_old_or_new() {
    for &format in &FORMATS[..FORMATS.len() - 1] {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        unpack(format, &whole);
        let before = contents(&whole);
        // The mark cannot be replaced.
        fs::create_dir(whole.join("JOURNEYLOG.tmp")).unwrap();
        Store::open(&whole).unwrap_err();
        assert!(contents(&whole) == before, "format {format}");
        fs::remove_dir(whole.join("JOURNEYLOG.tmp")).unwrap();
        let right = held(&Store::open(&whole).unwrap());

        // Each file of the index may be gone or not, when it was stopped while the index was made anew.
        for gone in ["", "MANIFEST", ".segment", ".ids", ".names"] {
            let folder = dir.path().join(format!("stopped{gone}"));
            unpack(format, &folder);
            let raised = fs::read_to_string(whole.join("JOURNEYLOG")).unwrap();
            fs::write(folder.join("JOURNEYLOG"), raised).unwrap();
            if !gone.is_empty() {
                fs::remove_file(file_of(&folder, "MANIFEST")).unwrap();
                if gone != "MANIFEST" {
                    fs::remove_file(file_of(&folder, gone)).unwrap();
                }
            }
            let store = Store::open(&folder).unwrap();
            assert!(held(&store) == right, "format {format} without {gone}");
            // With the fifth came a link and a profile.
            assert_eq!(store.len(), if format < 5 { 240 } else { 242 }, "format {format} without {gone}");
        }
    }
}
