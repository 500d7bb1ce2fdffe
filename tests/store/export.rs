//! What is written out can be read in again, and is the same.

use journeylog::{
    Entry, Event, Store, export,
    import::{ImportError, NdjsonReader},
    testing::World,
};

use crate::small_seals;

fn read(ndjson: &[u8]) -> Vec<Entry> {
    NdjsonReader::new(ndjson).collect::<Result<_, ImportError>>().unwrap()
}

fn exported(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    let count = export::all(&store.snapshot(), &mut out).unwrap();
    assert_eq!(count, store.len());
    out
}

#[test]
fn an_export_makes_the_same_store_again() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = small_seals(dir.path());
    store.append_batch(World::new(4).customers(30).events(5_000).make()).unwrap();
    let all = exported(&store);
    let again = small_seals(copy.path());
    again.append_batch(read(&all)).unwrap();
    assert_eq!((again.len(), exported(&again)), (store.len(), all));
    assert!(store.len() > 4_096, "more than is looked up at a time");
}

#[test]
fn everything_of_one_customer_and_nobody_else_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append_batch(World::new(4).customers(30).events(1_000).make()).unwrap();
    let all = read(&exported(&store));
    let id = all[17].customer().as_str();
    let held = |id: &str| {
        let mut out = Vec::new();
        let count = export::customer(&store.snapshot(), id, &mut out).unwrap();
        let events = read(&out);
        assert_eq!(events.len() as u64, count);
        events
    };
    let mut theirs: Vec<Entry> = all.iter().filter(|event| event.customer().as_str() == id).cloned().collect();
    theirs.sort_by_key(Entry::occurred_at);
    assert_eq!(held(id), theirs);
    assert_eq!(held("nobody"), []);
    store.erase(id).unwrap();
    assert_eq!(held(id), []);
    assert!(read(&exported(&store)).iter().all(|event| event.customer().as_str() != id));
    store.compact().unwrap();
    assert_eq!(read(&exported(&store)).len(), all.len() - theirs.len());
}

struct FullDisk;

impl std::io::Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_that_cannot_be_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(Event::at(crate::at(0), "c", "view")).unwrap();
    assert!(export::all(&store.snapshot(), FullDisk).unwrap_err().is_full());
}
