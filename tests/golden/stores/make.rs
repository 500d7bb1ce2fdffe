//! Makes a store of `events.ndjson`: run as an example of the release whose format is to be kept.

use std::{env, fs::File, io::BufReader, path::Path, thread, time::Duration};

use journeylog::{Durability, Event, Link, ProfileUpdate, Retention, Segment, Store, StoreOptions, import::NdjsonReader};

fn open(folder: &Path) -> Store {
    StoreOptions::new().fresh_events(50).durability(Durability::Flushed).open(folder).unwrap()
}

/// One by one and in batches, sealed on the way.
fn append(store: &Store, events: &[Event]) {
    let mut left = events;
    for size in [1, 3, 20].into_iter().cycle() {
        let (batch, rest) = left.split_at(size.min(left.len()));
        store.append_batch(batch.iter().cloned()).unwrap();
        while store.stats().unwrap().fresh_events >= 50 {
            thread::sleep(Duration::from_millis(1));
        }
        left = rest;
        if left.is_empty() {
            return;
        }
    }
}

fn main() {
    let [folder, events] = [1, 2].map(|n| env::args().nth(n).unwrap());
    let reader = BufReader::new(File::open(events).unwrap());
    let events: Vec<Event> = NdjsonReader::new(reader).map(|entry| entry.unwrap().into_event().unwrap()).collect();
    let store = open(folder.as_ref());
    append(&store, &events[..100]);
    from_format_3(&store, "gone-1", true);
    append(&store, &events[100..200]);
    from_format_3(&store, "gone-2", false);
    append(&store, &events[200..]);
    from_format_4(&store);
    from_format_5(&store);
    from_format_6(&store);
    store.close().unwrap();
}

/// Left out of formats before 6, in which no segment names another.
fn from_format_6(store: &Store) {
    store.define_segment("viewers", &Segment::did("product_view").build().unwrap()).unwrap();
    store.define_segment("others", &Segment::named("viewers").negated().build().unwrap()).unwrap();
}

/// Left out of formats before 5, which know events only.
fn from_format_5(store: &Store) {
    let at = chrono::DateTime::UNIX_EPOCH;
    store.append(Link::at(at, "linked-1", "linked-2").unwrap()).unwrap();
    store.append(ProfileUpdate::at(at, "linked-1").set("country", "DE")).unwrap();
}

/// Left out of formats before 4, which have no rules of retention.
fn from_format_4(store: &Store) {
    store.set_retention(Retention::new().events(chrono::TimeDelta::days(36_500)).unwrap()).unwrap();
}

/// Left out of formats before 3, which erase nobody.
fn from_format_3(store: &Store, customer: &str, compact: bool) {
    let event = |i: i64| {
        let at = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(i);
        Event::at(at, customer, "product_view").id(format!("{customer}-{i}")).property("name", customer).build().unwrap()
    };
    append(store, &(0..10).map(event).collect::<Vec<_>>());
    store.erase(customer).unwrap();
    if compact {
        store.compact().unwrap();
    }
}
