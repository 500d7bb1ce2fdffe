//! Appending is atomic, numbered without gaps, and knows duplicates.

use std::thread;

use journeylog::{
    Durability, Error, ErrorKind, LIMIT_BATCH_BYTES, LIMIT_BATCH_EVENTS, LIMIT_EVENT_BYTES, Seq, Store, StoreOptions,
};

use crate::{built, event, small_seals};

#[test]
fn sequences_have_no_gaps_and_duplicates_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first = store.append(event("a", "t", 1).id("e-1")).unwrap();
    assert_eq!((first.first(), first.last(), first.stored()), (Some(Seq(1)), Some(Seq(1)), 1));
    let again = store.append(event("b", "u", 9).id("e-1")).unwrap();
    assert_eq!((again.first(), again.stored(), again.duplicates()), (None, 0, &[0][..]));
    let events = ["e-2", "e-1", "e-3", "e-2"].map(|id| event("a", "t", 2).id(id).build().unwrap());
    let batch = store.append_batch(events).unwrap();
    assert_eq!((batch.first(), batch.last(), batch.duplicates()), (Some(Seq(2)), Some(Seq(3)), &[1, 3][..]));
    assert_eq!(store.head(), Seq(3));
    assert_eq!(batch.durability(), Durability::Synced);
}

#[test]
fn a_closed_store_takes_nothing_also_if_nothing_would_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append(event("a", "t", 1).id("e-1")).unwrap();
    store.clone().close().unwrap();
    let is_closed = |error: Error| matches!(error.kind(), ErrorKind::Closed);
    assert!(is_closed(store.append(event("a", "t", 1).id("e-1")).unwrap_err()), "a duplicate");
    assert!(is_closed(store.append(event("a", "t", 1)).unwrap_err()));
    assert!(is_closed(store.append_batch([] as [journeylog::Event; 0]).unwrap_err()));
    assert!(is_closed(store.sync().unwrap_err()));
    assert!(is_closed(store.settle().unwrap_err()));
    assert_eq!(store.len(), 1, "it still answers");
}

#[test]
fn duplicates_are_known_after_sealing_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..400 {
        assert_eq!(store.append(event("a", "t", i).id(format!("e-{i}"))).unwrap().stored(), 1);
    }
    for store in [store.clone(), {
        store.close().unwrap();
        small_seals(dir.path())
    }] {
        if store.append(event("b", "t", 0)).is_err() {
            continue; // the closed handle
        }
        for i in 0..400 {
            assert_eq!(store.append(event("a", "t", i).id(format!("e-{i}"))).unwrap().stored(), 0, "{i}");
        }
    }
}

#[test]
fn a_refused_event_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let refused = store.append(event("", "t", 1)).unwrap_err();
    assert!(refused.is_invalid());
    assert_eq!(refused.to_string(), "customer: is empty");
    let many = (0..=LIMIT_BATCH_EVENTS).map(|i| built("a", "t", i as i64));
    let refused = store.append_batch(many).unwrap_err();
    assert!(refused.is_limit());
    assert_eq!(refused.to_string(), "events of one batch (append several): 100001 is over the limit of 100000");
    let large = |count: usize| {
        // Beside the text: 64 for the event, its two names and its channel, the property's name and 8 for the property.
        let text = "x".repeat(LIMIT_EVENT_BYTES - 64 - 2 - 3 - 9);
        let event = event("a", "t", 1).property("p", text).build().unwrap();
        store.append_batch(std::iter::repeat_n(event, count))
    };
    let most = LIMIT_BATCH_BYTES / LIMIT_EVENT_BYTES;
    let refused = large(most + 1).unwrap_err();
    assert!(refused.is_limit());
    assert_eq!(refused.to_string(), "bytes of one batch (append several): 16793600 is over the limit of 16777216");
    assert!(store.is_empty());
    assert_eq!(store.append_batch([] as [journeylog::Event; 0]).unwrap().stored(), 0);
    // What is at the limit is stored, and there when the store is opened again.
    assert_eq!(large(most).unwrap().stored(), most as u64);
    let many = (0..LIMIT_BATCH_EVENTS).map(|i| built("a", "t", i as i64));
    assert_eq!(store.append_batch(many).unwrap().stored(), LIMIT_BATCH_EVENTS as u64);
    store.close().unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().len(), (most + LIMIT_BATCH_EVENTS) as u64);
}

/// Texts that share their beginnings take little room in a block, and it was not read again.
#[test]
fn long_texts_that_are_alike_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let text = "x".repeat(15_000);
    let events = (0..700).map(|i| event("a", "t", i).property("p", format!("{text}{i}")).build().unwrap());
    let store = Store::open(dir.path()).unwrap();
    store.append_batch(events).unwrap();
    store.close().unwrap();
    let store = StoreOptions::new().rebuild_index().open(dir.path()).unwrap();
    assert_eq!(store.customer("a").unwrap().unwrap().events().unwrap().len(), 700);
}

#[test]
fn many_threads_append_and_nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    thread::scope(|scope| {
        for t in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..60 {
                    store.append(event(&format!("c{t}"), "t", i).id(format!("{}", i + t / 2 * 60))).unwrap();
                }
            });
        }
    });
    // Pairs of threads used the same ids.
    assert_eq!(store.len(), 4 * 60);
    let mut seqs = Vec::new();
    for t in 0..8 {
        if let Some(customer) = store.customer(&format!("c{t}")).unwrap() {
            seqs.extend(customer.journey().iter().map(|event| event.seq.get()));
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=240).collect::<Vec<_>>());
}

#[test]
fn every_durability_is_there_after_a_close() {
    for durability in [Durability::Buffered, Durability::Flushed, Durability::Synced] {
        let dir = tempfile::tempdir().unwrap();
        let open = || StoreOptions::new().durability(durability).open(dir.path()).unwrap();
        let store = open();
        for i in 0..100 {
            assert_eq!(store.append(event("a", "t", i)).unwrap().durability(), durability);
        }
        store.close().unwrap();
        assert_eq!(open().len(), 100);
    }
}

#[test]
fn a_second_opener_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let refused: Error = Store::open(dir.path()).unwrap_err();
    assert!(refused.is_locked());
    assert!(matches!(refused.kind(), ErrorKind::Locked { path } if path == dir.path()));
    let other = store.clone();
    store.close().unwrap();
    let reopened = Store::open(dir.path()).unwrap();
    assert!(other.append(event("a", "t", 1)).is_err());
    assert!(reopened.append(event("a", "t", 1)).is_ok());
}

#[test]
fn what_was_given_is_handed_back() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"id":"e-1","customer":"c-42","touchpoint":"product_view","channel":"kiosk","occurred_at":"1950-03-01T09:30:00.250001Z","stage":"consideration","value":{"amount":"19.90","currency":"EUR"},"feedback":{"nps":9,"comment":"gut"},"properties":{"a":null,"b":true,"c":1.5,"d":"x","e":[1,{"f":2}],"g":18446744073709551615}}"#;
    let store = Store::open(dir.path()).unwrap();
    let event: journeylog::Event = serde_json::from_str(line).unwrap();
    store.append(event.clone()).unwrap();
    let customer = store.customer("c-42").unwrap().unwrap();
    assert_eq!(serde_json::to_string(&customer.events().unwrap()[0].event).unwrap(), line);
    let indexed = &customer.journey()[0];
    assert_eq!((&indexed.touchpoint, &indexed.channel), (event.touchpoint(), event.channel()));
    assert_eq!((indexed.occurred_at, indexed.stage.as_ref()), (event.occurred_at(), event.stage()));
    assert_eq!((indexed.value, indexed.feedback.as_ref().unwrap().score()), (event.value(), 9));
    assert!(store.customer("c-43").unwrap().is_none());
}
