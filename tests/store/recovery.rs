//! Opening again: leftovers are removed, damage of the index is mended, damage of the log is said.

use std::{fs, path::Path};

use journeylog::{Backup, Error, ErrorKind, Event, Funnel, Retention, Segment, Store, StoreOptions};

use crate::{at, event, small_seals};

fn filled(dir: &Path) -> u64 {
    let store = small_seals(dir);
    for i in 0..500 {
        let event = event(&(i % 20).to_string(), if i % 2 == 0 { "view" } else { "pay" }, i).id(format!("e{i}"));
        store.append(event).unwrap();
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

/// What the index answers: how many went the way, and each customer's sequences.
fn answers(store: &Store) -> Result<(u64, Vec<Vec<u64>>), Error> {
    let funnel = store.funnel(&Funnel::ordered(["view", "view"]).build().unwrap())?;
    let journey = |i: i32| {
        let customer = store.customer(&i.to_string())?;
        Ok(customer.iter().flat_map(journeylog::Customer::journey).map(|logged| logged.seq.0).collect())
    };
    Ok((funnel.converted, (0..20).map(journey).collect::<Result<_, Error>>()?))
}

#[test]
fn a_damaged_index_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let right = (10, (1..=20).map(|first| (first..=500).step_by(20).collect()).collect());
    let names: Vec<_> = fs::read_dir(dir.path().join("index")).unwrap().map(|f| f.unwrap().file_name()).collect();
    let endings = |ending: &str| names.iter().filter(|name| name.to_string_lossy().ends_with(ending)).count();
    assert!(["MANIFEST", ".segment", ".names", ".ids"].map(endings).iter().all(|count| *count > 0), "{names:?}");

    let (mut at_open, mut when_read) = (0, 0);
    for name in &names {
        let length = fs::metadata(dir.path().join("index").join(name)).unwrap().len() as usize;
        for at in (0..8).map(|eighth| length * eighth / 8).chain([length - 10]) {
            let context = format!("byte {at} of {}", name.display());
            let copy = tempfile::tempdir().unwrap();
            copy_folder(dir.path(), copy.path());
            let file = copy.path().join("index").join(name);
            let mut bytes = fs::read(&file).unwrap();
            bytes[at] ^= 1;
            fs::write(&file, bytes).unwrap();

            let store = Store::open(copy.path()).unwrap_or_else(|error| panic!("{error}, {context}"));
            assert_eq!(store.len(), 500, "{context}");
            let said = store.open_report().rebuilt.is_some();
            at_open += usize::from(said);
            match answers(&store) {
                // Said and mended, or a byte that nothing asks for.
                Ok(found) => assert_eq!(found, right, "{context}"),
                // Columns are checked when they are read.
                Err(error) => {
                    assert!(error.is_corrupt() && !said, "{error}, {context}");
                    when_read += 1;
                    store.close().unwrap_or_else(|error| panic!("{error}, {context}"));
                    let store = Store::open(copy.path()).unwrap();
                    assert!(store.open_report().rebuilt.is_some(), "{context}");
                    assert_eq!((store.len(), answers(&store).unwrap()), (500, right.clone()), "{context}");
                }
            }
        }
    }
    assert!(at_open > 20 && when_read > 0, "{at_open} {when_read}");
}

#[test]
fn a_missing_index_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
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
fn a_log_lost_together_with_its_witness_is_said_by_the_index() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    // Seals what was still fresh, so that the index goes up to the last event.
    StoreOptions::new().fresh_events(1).open(dir.path()).unwrap().close().unwrap();
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    fs::remove_file(dir.path().join("WITNESS")).unwrap();
    // Opening must not mend it away: the second time it is the same.
    for _ in 0..2 {
        let refused = Store::open(dir.path()).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Lost { acknowledged: 500, found: 0 }), "{refused}");
    }
    let store = StoreOptions::new().accept_loss().open(dir.path()).unwrap();
    assert!(store.is_empty());
    store.append(event("a", "t", 1)).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), converted(&store)), (1, 0));
}

/// sled's file ends with zeros that hold nothing: without them, or with noise in their place, nothing is missing.
#[test]
fn nothing_is_lost_with_the_zeros_behind_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let count = filled(dir.path());
    let store = Store::open(dir.path()).unwrap();
    store.append(event("last", "t", 1)).unwrap();
    store.close().unwrap();
    let db = dir.path().join("log/db");
    let good = fs::read(&db).unwrap();
    // The last record may itself end with a few.
    let end = good.iter().rposition(|byte| *byte != 0).unwrap() + 64;
    assert!(good.len() > end + 10_000, "{} {end}", good.len());
    let cut = |at: usize| good[..at].to_vec();
    let noisy = |from: usize| {
        let mut bytes = good.clone();
        fastrand::Rng::with_seed(from as u64).fill(&mut bytes[from..]);
        bytes
    };
    let damaged = [end, end + 1, end + 5_000, good.len() - 1].map(cut).into_iter();
    for (trial, bytes) in damaged.chain([end, end + 1, end + 5_000].map(noisy)).enumerate() {
        fs::write(&db, bytes).unwrap();
        let target = dir.path().with_extension(trial.to_string());
        copy_folder(dir.path(), &target);
        let store = Store::open(&target).unwrap();
        assert_eq!(store.len(), count + 1, "trial {trial}");
        drop(store);
        fs::remove_dir_all(target).unwrap();
    }
}

#[test]
fn a_truncated_or_flipped_log_never_panics_and_is_never_silently_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let count = filled(dir.path());
    let db = dir.path().join("log/db");
    let good = fs::read(&db).unwrap();
    // Behind it there are zeros only.
    let end = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let copy = tempfile::tempdir().unwrap();
    for trial in 0..24_usize {
        let target = copy.path().join(trial.to_string());
        copy_folder(dir.path(), &target);
        let mut bytes = good.clone();
        if trial % 2 == 0 {
            bytes.truncate(end * trial / 24);
        } else {
            bytes[end * trial / 24] ^= 0x10;
        }
        fs::write(target.join("log/db"), bytes).unwrap();
        match Store::open(&target) {
            Ok(store) => assert_eq!(store.len(), count),
            Err(error) => assert!(error.is_corrupt(), "{error}"),
        }
    }
}

#[test]
fn files_of_the_log_that_can_be_made_anew_are_mended_and_said() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let right = answers(&Store::open(dir.path()).unwrap()).unwrap();
    let log = dir.path().join("log");
    let names = fs::read_dir(&log).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let snapshot = names.into_iter().find(|name| name.starts_with("snap.")).unwrap();
    for (name, bytes) in [(snapshot.as_str(), "torn"), ("conf", "torn, too"), ("snap.17.generating", "")] {
        fs::write(log.join(name), bytes).unwrap();
        let store = Store::open(dir.path()).unwrap_or_else(|error| panic!("{error}, {name}"));
        let mended = &store.open_report().mended;
        assert!(mended.len() == 1 && mended[0].contains(name), "{mended:?}");
        assert_eq!((store.len(), answers(&store).unwrap()), (500, right.clone()), "{name}");
        let whole = store.customer("1").unwrap().unwrap().events().unwrap();
        assert_eq!(whole.len(), 25);
        store.close().unwrap();
    }
}

/// Nothing of what sled does with bytes that are not its own gets out but errors, whatever is asked; and the index answers
/// on.
#[test]
fn a_log_that_is_damaged_under_an_open_store_never_panics() {
    let mut seen = 0;
    for damage in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let store = small_seals(dir.path());
        let db = dir.path().join("log/db");
        let mut bytes = fs::read(&db).unwrap();
        match damage {
            0 => bytes.fill(0),
            1 => bytes.fill(0xff),
            2 => bytes.truncate(0),
            // Lengths and kinds are others.
            _ => bytes.iter_mut().skip(damage).step_by(13).for_each(|byte| *byte = byte.wrapping_add(damage as u8)),
        }
        fs::write(&db, bytes).unwrap();
        for id in 0..20 {
            let customer = store.customer(&id.to_string()).unwrap().unwrap();
            assert_eq!(customer.journey().len(), 25);
            if let Err(error) = customer.events() {
                assert!(error.is_corrupt(), "{error}");
                seen += 1;
            }
        }
        assert_eq!(converted(&store), 10);
        let written = [store.append(event("late", "view", 1)).map(drop), store.settle(), store.compact(), store.sync()];
        for error in written.into_iter().filter_map(Result::err) {
            assert!(error.is_corrupt() || matches!(error.kind(), ErrorKind::Poisoned { .. }), "{error}");
        }
        let _ = store.close();
        match Store::open(dir.path()) {
            Ok(store) => assert!(store.len() >= 500),
            Err(error) => assert!(error.is_corrupt(), "{error}"),
        }
    }
    // How much is read from the file, and not from memory, is for sled to say.
    assert!(seen > 10, "{seen}");
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
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

/// A store writes nothing into a folder that is not its own any more.
#[cfg(unix)]
#[test]
fn a_folder_that_was_moved_or_replaced_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (place, moved) = (dir.path().join("store"), dir.path().join("moved"));
    let store = small_seals(&place);
    store.append(Event::at(at(0), "ann", "view")).unwrap();
    // Several segments, that settling would merge.
    for second in 0..400 {
        store.append(Event::at(at(second), "cleo", "view")).unwrap();
    }
    std::fs::rename(&place, &moved).unwrap();
    let other = Store::open(&place).unwrap();
    other.append(Event::at(at(1), "bob", "view")).unwrap();
    other.append(Event::at(at(2), "bob", "view")).unwrap();
    let refused = |result: journeylog::Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotAStore { path, .. } if *path == place), "{error}");
    };
    other.settle().unwrap();
    drop(store.settle());
    refused(store.compact());
    refused(store.sync());
    refused(store.erase("ann").map(drop));
    refused(store.set_retention(Retention::new()));
    refused(store.define_segment("all", &Segment::did("view").build().unwrap()));
    refused(store.close());
    other.compact().unwrap();
    other.close().unwrap();
    // Each has its own.
    let held = |folder: &std::path::Path| {
        let store = Store::open(folder).unwrap();
        let held = (store.len(), store.customer("bob").unwrap().is_some());
        store.close().unwrap();
        held
    };
    assert_eq!((held(&place), held(&moved)), ((2, true), (401, false)));
}

/// The mark of a store as it was before its log was written anew, as from a copy of that one file: sled would make an empty
/// log, and the one that is there would be removed as that of another writing.
#[test]
fn a_mark_that_names_no_log_removes_none() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, new) = (dir.path().join("store"), dir.path().join("new"));
    let events = filled(&folder);
    let older = fs::read(folder.join("JOURNEYLOG")).unwrap();
    let store = Store::open(&folder).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    fs::write(folder.join("JOURNEYLOG"), older).unwrap();

    let said = "the JOURNEYLOG mark is damaged: it names the log log, which is not there, while log-1 is; nothing was \
                changed, and `Store::salvage` reads it";
    for options in [StoreOptions::new(), StoreOptions::new().accept_loss(), StoreOptions::new().rebuild_index()] {
        assert_eq!(options.open(&folder).unwrap_err().to_string(), said);
    }
    assert_eq!(Backup::check(&folder).unwrap_err().to_string(), said);
    assert!(!folder.join("log").exists() && folder.join("log-1").exists() && folder.join("index-1").exists());
    let salvage = Store::salvage(&folder, &new).unwrap();
    assert_eq!((salvage.events, salvage.missing.len()), (events, 0), "{salvage}");
    assert_eq!(salvage.notes, ["the mark names a log that is not there: the newest log and index were taken"]);
}

/// Whoever opens a pipe that nobody writes into waits for ever.
#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    filled(&folder);
    let names =
        ["JOURNEYLOG", "LOCK", "WITNESS", "WITNESS.tmp", "SEGMENTS", "index/MANIFEST", "log/conf", "log/snap.1"];
    for name in names {
        let copy = dir.path().join("copy");
        copy_folder(&folder, &copy);
        let path = copy.join(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (sender, outcome) = std::sync::mpsc::channel();
        let opened = copy.clone();
        std::thread::spawn(move || {
            let append = |store: Store| store.append(event("ann", "view", 1)).and_then(|_| store.close());
            let _ = sender.send(Store::open(opened).and_then(append));
        });
        let outcome = outcome.recv_timeout(std::time::Duration::from_secs(30));
        let error = outcome.unwrap_or_else(|_| panic!("{name}: it waits")).unwrap_err();
        let refused = |found: &Path| found.ends_with(name);
        assert!(matches!(error.kind(), ErrorKind::Io { path, .. } if refused(path)), "{name}: {error}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn an_index_without_its_manifest_is_built_again_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let events = filled(&folder);
    assert!(fs::read_dir(folder.join("index")).unwrap().count() > 1);
    fs::remove_file(folder.join("index").join("MANIFEST")).unwrap();
    let store = Store::open(&folder).unwrap();
    assert_eq!(store.len(), events);
    let mended = &store.open_report().mended;
    assert!(mended.len() == 1 && mended[0].contains("no manifest"), "{mended:?}");
}

/// Of a file without end as much as there is would be read into memory.
#[test]
fn a_file_that_is_far_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    filled(&folder);
    let witness = fs::OpenOptions::new().write(true).open(folder.join("WITNESS")).unwrap();
    witness.set_len(3 << 30).unwrap();
    let error = Store::open(&folder).unwrap_err();
    let ErrorKind::Io { path, source, .. } = error.kind() else { panic!("{error}") };
    assert!(path.ends_with("WITNESS") && source.to_string().contains("3221225472 bytes"), "{source}");
}
