//! Children on a disk that is full, or that refuses otherwise. `tests/power` makes the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    thread,
    time::Duration,
};

use journeylog::{Error, ErrorKind, Event, Funnel, Store, StoreOptions};

use crate::child::{customer, shape};

/// An event with a long text, so that the disk is soon full.
fn event(n: u64) -> Event {
    let mut random = fastrand::Rng::with_seed(n);
    shape(n).property("text", (0..2_000).map(|_| random.alphanumeric()).collect::<String>()).build().unwrap()
}

/// How often something is tried that goes on by itself.
const TRIES: u32 = 100;

/// Fills the disk, asks, makes room by removing the ballast, and goes on with the same store; then opens it again, once while
/// the disk is full.
pub(crate) fn fill(folder: &Path, ballast: &Path) {
    let options = StoreOptions::new().fresh_events(1_000);
    let store = options.open(folder).unwrap();
    let (acknowledged, error) = append(&store, 0, u64::MAX);
    let error = error.unwrap();
    assert!(error.is_full(), "{error:?}");
    ask(&store, acknowledged, true);
    for _ in 0..3 {
        let again = store.append(event(acknowledged)).unwrap_err();
        assert!(again.is_full() || matches!(again.kind(), ErrorKind::Poisoned { .. }), "{again:?}");
    }
    for result in [store.settle(), store.compact(), store.sync(), store.erase("c0").map(drop)] {
        if let Err(error) = result {
            assert!(error.is_full() || matches!(error.kind(), ErrorKind::Poisoned { .. }), "{error:?}");
        }
    }
    ask(&store, acknowledged, true);

    fs::remove_file(ballast).unwrap();
    let mut tries = 0;
    while let Err(error) = store.append(event(acknowledged)) {
        assert!(error.is_full() && tries < TRIES, "after {tries} tries: {error:?}");
        tries += 1;
        thread::sleep(Duration::from_millis(100));
    }
    let (more, error) = append(&store, acknowledged + 1, acknowledged + 200);
    assert!(error.is_none(), "{error:?}");
    // This takes room for a second index.
    let settled = store.settle();
    assert!(settled.as_ref().err().is_none_or(Error::is_full), "{settled:?}");
    store.append(event(more)).unwrap();
    store.close().unwrap();

    let store = options.open(folder).unwrap();
    assert_eq!(store.open_report().rebuilt, None);
    ask(&store, more, false);
    let mended = store.open_report().mended.len();
    store.close().unwrap();

    // Opened while it is full, it says so, and opens when there is room.
    let rest = folder.with_file_name("rest");
    let mut size = 1 << 20;
    let mut filled = Vec::new();
    while size > 0 {
        filled.resize(size, 1);
        let name = rest.with_extension(fs::read_dir(folder.parent().unwrap()).unwrap().count().to_string());
        if fs::write(&name, &filled).is_err() {
            size /= 2;
        }
    }
    let refused = options.open(folder).err();
    assert!(refused.as_ref().is_none_or(Error::is_full), "{refused:?}");
    for file in fs::read_dir(folder.parent().unwrap()).unwrap().map(|file| file.unwrap().path()) {
        if file.file_stem() == rest.file_name() {
            fs::remove_file(file).unwrap();
        }
    }
    let store = options.open(folder).unwrap();
    ask(&store, more, false);
    println!(
        "{acknowledged} events fill it, {tries} tries until it went on, {mended} things mended, opening: {refused:?}"
    );
}

/// Appends events in batches up to one, and says how many there are now and what ended it.
fn append(store: &Store, mut next: u64, end: u64) -> (u64, Option<Error>) {
    while next < end {
        let size = (next % 37 + 1).min(end - next);
        match store.append_batch((next..next + size).map(event)) {
            Ok(_) => next += size,
            Err(error) => return (next, Some(error)),
        }
    }
    (next, None)
}

/// Asks for what was acknowledged. While the disk is full, whole events may not be readable: sled may want to finish what
/// it could not write on the way to them.
fn ask(store: &Store, acknowledged: u64, is_full: bool) {
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    assert!(store.query().run(&funnel).unwrap().entered > 0);
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for n in 0..acknowledged {
        let id = customer(n);
        expected.entry(id).or_default().insert(format!("e{n}"));
    }
    let some = expected.len() / 40 + 1;
    for (id, expected) in expected.into_iter().filter(|(id, _)| id != "c0").step_by(some) {
        let customer = store.customer(&id).unwrap().unwrap();
        assert!(customer.journey().len() >= expected.len(), "{id} of {acknowledged} events");
        let events = match customer.events() {
            Err(error) if is_full && error.is_full() => continue,
            events => events.unwrap(),
        };
        let there: BTreeSet<String> = events.iter().map(|e| e.event.id().unwrap().as_str().to_owned()).collect();
        assert!(there.is_superset(&expected), "{id} of {acknowledged} events");
    }
}

/// Opens a store that the system refuses to open or to write, and says how. It must be a typed error that names what was
/// tried, and where.
pub(crate) fn refused(folder: &Path, what: &str) {
    let tried = StoreOptions::new().fresh_events(50).open(folder).and_then(|store| {
        let last = store.len();
        append(&store, last, last + 500).1.map_or(Ok(()), Err)?;
        store.settle()?;
        store.close()
    });
    match tried {
        Err(error) => match error.kind() {
            ErrorKind::Io { action, path, .. } => println!("{what}: {action} {}: {error:?}", path.display()),
            _ => panic!("{what}: {error:?}"),
        },
        Ok(()) if what == "good" => println!("{what}: it works"),
        Ok(()) => panic!("{what}: it was not refused"),
    }
}
