//! Verifying: a store that is sound is said to be, and damage of any file is found.

use std::fs;

use journeylog::{Feedback, Money, Store, StorePart, Verify};

use crate::{built, event, recovery::copy_folder, small_seals};

#[test]
fn a_store_is_sound_at_every_time_of_its_life() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let sound = |store: &Store| {
        for how in [Verify::Quick, Verify::Full] {
            let found = store.verify(how).unwrap();
            assert!(found.is_sound(), "{found}");
            assert_eq!(found.head, store.head().0);
        }
    };
    sound(&store);
    for i in 0..300 {
        let full = event(&(i % 20).to_string(), ["view", "pay"][i as usize % 2], i * 7 % 90)
            .id(format!("e{i}"))
            .stage("purchase")
            .value(Money::new("1.25", "EUR").unwrap())
            .feedback(Feedback::nps(9).unwrap().with_comment("good").unwrap())
            .property("n", i % 5)
            .property("deep", serde_json::json!({"a": [1, 2]}));
        store.append(full).unwrap();
    }
    sound(&store);
    store.erase("7").unwrap();
    sound(&store);
    store.settle().unwrap();
    sound(&store);
    store.compact().unwrap();
    sound(&store);
    store.append_batch((0..30).map(|i| built(i, "late", -i))).unwrap();
    sound(&store);
    store.close().unwrap();
    sound(&Store::open(dir.path()).unwrap());
}

/// Every checksum fits, but it is another store's.
#[test]
fn an_index_that_is_not_what_the_log_says_is_built_again_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str, last: i64| {
        let folder = dir.path().join(name);
        let store = Store::open(&folder).unwrap();
        store.append_batch((0..300).map(|i| built(i % 7, "view", if i < 299 { i } else { last }))).unwrap();
        store.settle().unwrap();
        store.close().unwrap();
        let mut files = fs::read_dir(folder.join("index")).unwrap().map(|file| file.unwrap().path());
        (folder, files.find(|file| file.extension().is_some_and(|end| end == "segment")).unwrap())
    };
    let (folder, segment) = made("own", 299);
    let (_, other) = made("other", 7_000);
    fs::copy(other, segment).unwrap();
    let store = Store::open(&folder).unwrap();
    assert_eq!(store.open_report().rebuilt, None, "nothing that opening sees");
    assert!(!store.verify(Verify::Full).unwrap().is_sound());
    store.close().unwrap();
    let store = Store::open(&folder).unwrap();
    assert!(store.open_report().rebuilt.is_some());
    assert!(store.verify(Verify::Full).unwrap().is_sound());
}

/// A quick look finds damage of all small files, a full one that of every byte.
#[test]
fn damage_that_comes_while_a_store_is_open_is_found_and_mended_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..300 {
        store.append(event(&(i % 20).to_string(), "view", i).id(format!("e{i}")).property("n", i % 7)).unwrap();
    }
    store.close().unwrap();
    let index = |folder: &std::path::Path| {
        let files = fs::read_dir(folder.join("index")).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    };
    let mut seen = [0, 0];
    for file in index(dir.path()).into_iter().map(|file| file.file_name().unwrap().to_owned()) {
        for fifth in 0..5 {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(dir.path(), copy.path());
            let store = Store::open(copy.path()).unwrap();
            let path = copy.path().join("index").join(&file);
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() * fifth / 5;
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let context = format!("byte {at} of {}", file.display());
            for (how, seen) in [Verify::Quick, Verify::Full].into_iter().zip(&mut seen) {
                let found = store.verify(how).unwrap();
                assert!(found.problems.iter().all(|problem| problem.part == StorePart::Index), "{context}: {found}");
                *seen += usize::from(!found.is_sound());
                assert!(how == Verify::Quick || !found.is_sound(), "{context}: {found}");
            }
            store.close().unwrap();
            let store = Store::open(copy.path()).unwrap();
            let found = store.verify(Verify::Full).unwrap();
            assert!(found.is_sound() && store.len() == 300, "{context}: {found}");
        }
    }
    assert!(seen[0] > 10 && seen[0] < seen[1], "{seen:?}");

    for (file, part) in [("JOURNEYLOG", StorePart::Mark), ("WITNESS", StorePart::Witness)] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), copy.path());
        let store = Store::open(copy.path()).unwrap();
        let path = copy.path().join(file);
        let good = fs::read(&path).unwrap();
        for bytes in [&good[..good.len() - 3], &b""[..]] {
            fs::write(&path, bytes).unwrap();
            let found = store.verify(Verify::Quick).unwrap();
            assert_eq!(found.problems.iter().map(|problem| problem.part).collect::<Vec<_>>(), [part], "{found}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(store.verify(Verify::Quick).unwrap().problems.len(), 1);
    }
}
