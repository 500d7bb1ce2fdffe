//! Whoever is erased is out of every answer at once, and after compacting out of every byte.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use journeylog::{
    Entry, Event, EventBuilder, Feedback, Funnel, JourneyModel, Link, Members, Segment, StageCounts, Store,
    StoreOptions, Transitions, testing::World,
};

use crate::{at, built, event, small_seals};

/// Texts of every kind that an event may hold of a person, long and of many letters, so that no packing hides them.
pub(crate) const ID: &str = "Ann-Katherine.O'Brien+QZXJ%W~7@mail.example";
pub(crate) const SECRETS: [&str; 5] =
    [ID, "E-uQ7x!ZpR0~kV#", "Plan:Gold&Frankincense{9}", "I <never> got my (parcel), J.", "nested*Value_^Kz?"];

pub(crate) fn personal(seconds: i64) -> EventBuilder {
    let [id, event_id, property, comment, nested] = SECRETS;
    event(id, "view", seconds)
        .id(format!("{event_id}{seconds}"))
        .feedback(Feedback::nps(2).unwrap().with_comment(comment).unwrap())
        .property("plan", property)
        .property("more", journeylog::PropertyValue::from(serde_json::json!({ "deep": [nested] })))
}

pub(crate) fn bytes_of(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        all.extend(if path.is_dir() { bytes_of(&path) } else { fs::read(&path).unwrap() });
    }
    all
}

/// Which of the secrets are in the bytes of the store, whole or but for their first letters, which a text before may share.
pub(crate) fn found(dir: &Path) -> Vec<&'static str> {
    let bytes = bytes_of(dir);
    let is_there = |secret: &&&str| {
        let end = secret.as_bytes().last_chunk::<9>().unwrap();
        bytes.windows(end.len()).any(|window| window == end)
    };
    SECRETS.iter().filter(is_there).copied().collect()
}

fn others(count: i64) -> Vec<Event> {
    (0..count).map(|i| built(format!("c{}", i % 20), if i % 3 == 0 { "pay" } else { "view" }, i)).collect()
}

/// Answers without sequences, which are others in a store that never held the erased.
fn answers(store: &Store) -> String {
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    let transitions = Transitions::of(JourneyModel::standard());
    format!("{:?}", store.snapshot().query().run((&funnel, &transitions)).unwrap())
}

#[test]
fn who_is_erased_is_out_of_every_answer_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let without = tempfile::tempdir().unwrap();
    let expected = small_seals(without.path());
    for (i, other) in others(400).into_iter().enumerate() {
        if i % 7 == 0 {
            store.append(personal(i as i64)).unwrap();
        }
        store.append(other.clone()).unwrap();
        expected.append(other).unwrap();
    }
    let (earlier, customer) = (store.snapshot(), store.customer(ID).unwrap().unwrap());
    assert_ne!(answers(&store), answers(&expected));
    let erasure = store.erase(ID).unwrap();
    assert_eq!((erasure.events, erasure.compacted_at), (58, None));
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    let check = |store: &Store, when: &str| {
        assert_eq!(answers(store), answers(&expected), "{when}");
        assert!(store.customer(ID).unwrap().is_none(), "{when}");
        assert_eq!(store.len(), 400, "{when}");
        assert_eq!(store.stats().unwrap().customers, 20, "{when}");
        assert_eq!(store.erasure(ID).unwrap().events, 58, "{when}");
        let late = store.append_batch([personal(1).build().unwrap(), built("c1", "view", 1)]).unwrap();
        assert_eq!((late.stored(), late.erased()), (1, &[0][..]), "{when}");
        expected.append(built("c1", "view", 1)).unwrap();
        store.erase("c1").unwrap();
        expected.erase("c1").unwrap();
        assert!(store.readmit("c1").unwrap() && expected.readmit("c1").unwrap());
    };
    assert_eq!(answers(&store), answers(&expected));
    assert_eq!(earlier.query().run(&funnel).unwrap(), expected.query().run(&funnel).unwrap());
    assert!(earlier.customer(ID).unwrap().is_none(), "an earlier snapshot");
    assert_eq!(customer.events().unwrap(), [], "one asked for earlier");
    assert_eq!(store.erasures(), [erasure]);
    // After it was opened again, with the index as it was or built again; and settled.
    store.close().unwrap();
    let store = small_seals(dir.path());
    assert_eq!(answers(&store), answers(&expected));
    store.settle().unwrap();
    assert_eq!((answers(&store), store.len()), (answers(&expected), 400));
    store.close().unwrap();
    let store = StoreOptions::new().rebuild_index().open(dir.path()).unwrap();
    check(&store, "built again");
}

#[test]
fn who_is_erased_is_out_of_every_byte_after_compacting() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for (i, other) in others(300).into_iter().enumerate() {
        if i % 10 == 0 {
            store.append(personal(i as i64)).unwrap();
        }
        store.append(other).unwrap();
    }
    store.settle().unwrap();
    store.append(personal(1_000)).unwrap();
    let snapshot = store.snapshot();
    assert_eq!(found(dir.path()), SECRETS, "the control: before, all of it is there to be found");
    store.erase(ID).unwrap();
    assert_ne!(found(dir.path()), [""; 0], "erasing alone leaves the bytes");
    assert_eq!(store.stats().unwrap().erased_on_disk, 1);
    store.compact().unwrap();
    assert_eq!(found(dir.path()), [""; 0]);
    assert_eq!(store.stats().unwrap().erased_on_disk, 0);
    assert!(store.erasure(ID).unwrap().compacted_at.is_some());
    assert!(snapshot.customer(ID).unwrap().is_none());
    // The fingerprint of an event's id is gone too: another's event may have that id.
    let mut again = event("c1", "view", 5).id(format!("{}0", SECRETS[1]));
    assert_eq!(store.append(again.clone()).unwrap().stored(), 1);
    again = again.id("other");
    store.append(again).unwrap();
    let (len, before) = (store.len(), answers(&store));
    for rebuild in [false, true] {
        let options = StoreOptions::new().fresh_events(50);
        store.sync().unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), copy.path());
        fs::remove_file(copy.path().join("LOCK")).unwrap();
        let options = if rebuild { options.rebuild_index() } else { options };
        let store = options.open(copy.path()).unwrap();
        assert_eq!((store.len(), answers(&store)), (len, before.clone()));
        assert_eq!(store.append(personal(1)).unwrap().erased(), [0], "it is still known who was erased");
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn sequences_stay_and_places_of_erased_events_are_empty() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..100 {
        store.append(if i % 2 == 0 { personal(i) } else { event("c", "view", i) }).unwrap();
    }
    store.erase(ID).unwrap();
    store.compact().unwrap();
    assert_eq!((store.head().0, store.len()), (100, 50));
    let customer = store.customer("c").unwrap().unwrap();
    let seqs: Vec<u64> = customer.journey().iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=50).map(|i| i * 2).collect::<Vec<_>>());
    let events = customer.events().unwrap();
    assert!(events.iter().all(|logged| logged.event.occurred_at() == at(logged.seq.0 as i64 - 1)));
    assert_eq!(store.append(event("c", "view", 100)).unwrap().first().unwrap().0, 101);
}

#[test]
fn one_who_comes_back_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    assert!(!store.readmit("a").unwrap(), "never erased");
    store.append(event("a", "view", 1)).unwrap();
    store.erase("a").unwrap();
    assert!(store.readmit("a").unwrap());
    assert!(!store.readmit("a").unwrap(), "already");
    assert_eq!(store.append(event("a", "pay", 2)).unwrap().stored(), 1);
    for store in [store.clone(), {
        store.close().unwrap();
        small_seals(dir.path())
    }] {
        if store.stats().is_err() {
            continue;
        }
        let customer = store.customer("a").unwrap().unwrap();
        assert_eq!((customer.journey().len(), store.len()), (1, 1));
        assert!(store.erasure("a").unwrap().readmitted_at.is_some());
        let again = store.erase("a").unwrap();
        assert_eq!((again.events, again.readmitted_at), (2, None), "both times together");
        assert_eq!(store.len(), 0);
        store.compact().unwrap();
        assert_eq!((store.len(), store.customer("a").unwrap().is_none()), (0, true));
    }
}

#[test]
fn an_unknown_customer_is_erased_against_late_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    assert_eq!(store.erase("late").unwrap().events, 0);
    assert_eq!(store.append(event("late", "view", 1)).unwrap().erased(), [0]);
    assert!(store.erase("").unwrap_err().is_invalid());
    store.close().unwrap();
    let store = small_seals(dir.path());
    assert_eq!(store.append(event("late", "view", 1)).unwrap().erased(), [0]);
}

/// Erasing, appending and compacting at the same time: nobody who was erased is ever seen again, nobody else is missing.
#[test]
fn customers_are_erased_while_the_store_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let world = World::new(11).customers(80).events(3_000).make();
    let stored = store.append_batch(world.clone()).unwrap();
    let mut ids: Vec<String> = world.iter().map(|event| event.customer().as_str().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    let (gone, stay) = ids.split_at(ids.len() / 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.compact().unwrap();
            }
        });
        for (i, id) in gone.iter().enumerate() {
            store.erase(id).unwrap();
            let late = store.append_batch([built(id, "view", 1), built("new", "view", i as i64)]).unwrap();
            assert_eq!((late.erased(), late.stored()), (&[0][..], 1), "{i}");
            for erased in &gone[..=i] {
                assert!(store.customer(erased).unwrap().is_none(), "{i}");
            }
        }
        done.store(true, Ordering::Relaxed);
        compacting.join().unwrap();
    });
    let expected = tempfile::tempdir().unwrap();
    let expected = small_seals(expected.path());
    // An event whose id one of the erased had is not there.
    let known = (0..).zip(&world).filter(|(i, _)| !stored.duplicates().contains(i)).map(|(_, event)| event);
    let kept = known.filter(|event| stay.iter().any(|id| id == event.customer().as_str()));
    expected.append_batch(kept.cloned()).unwrap();
    expected.append_batch((0..gone.len()).map(|i| built("new", "view", i as i64))).unwrap();
    let check = |store: &Store| {
        assert_eq!((store.len(), answers(store)), (expected.len(), answers(&expected)));
        assert_eq!(store.stats().unwrap().customers, expected.stats().unwrap().customers);
    };
    check(&store);
    store.compact().unwrap();
    check(&store);
    assert_eq!(store.stats().unwrap().erased_on_disk, 0);
    store.close().unwrap();
    check(&small_seals(dir.path()));
}

/// Also of a question about what was known: they are gone, and so is what they did last.
#[test]
fn who_is_erased_ends_no_observation() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(event("ann", "view", 5)).unwrap();
    store.append(event("bob", "view", 9)).unwrap();
    store.append(event("ann", "view", 20)).unwrap();
    store.erase("bob").unwrap();
    let end = store.query().known_at(journeylog::Seq(2)).observation_end().unwrap();
    assert_eq!(end, Some(crate::at(5)));
}

#[test]
fn lists_leave_out_who_is_erased_while_they_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for n in 0..600 {
        store.append(Event::at(chrono::DateTime::UNIX_EPOCH, format!("c{n}"), "product_view")).unwrap();
    }
    let funnel = Funnel::ordered(["product_view"]).list_customers().build().unwrap();
    let members = Members::of(Segment::did("product_view").build().unwrap()).list_customers();
    let stages = StageCounts::of(JourneyModel::standard()).list_customers();
    std::thread::scope(|scope| {
        let erase = |n: u32| assert_eq!(store.erase(&format!("c{n}")).unwrap().events, 1);
        let erasing = scope.spawn(move || (0..600).step_by(3).for_each(erase));
        while !erasing.is_finished() {
            let (funnel, members, stages) = store.query().run((&funnel, &members, &stages)).unwrap();
            assert!(funnel.customers.unwrap().len() >= 400 && members.customers.unwrap().len() >= 400);
            assert!(stages.customers.unwrap().len() >= 400);
        }
    });
    let listed = store.query().run(&members).unwrap().customers.unwrap();
    assert_eq!(listed.len(), 400);
}

#[test]
fn observation_does_not_end_with_an_event_of_somebody_erased() {
    let dir = tempfile::tempdir().unwrap();
    let day = |day| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day);
    let funnel = Funnel::ordered(["view", "pay"]).within(chrono::TimeDelta::days(7)).build().unwrap();
    let asked = |query: journeylog::Query| {
        (query.run(&funnel).unwrap().pending, query.observation_end().unwrap().unwrap() == day(1))
    };
    let mut store = small_seals(dir.path());
    store.append(Event::at(day(0), "ann", "view")).unwrap();
    store.append(Event::at(day(1), "cleo", "view")).unwrap();
    store.append(Event::at(day(30), "bob", "view")).unwrap();
    let before = store.snapshot();
    assert_eq!(asked(store.query()), (1, false), "of Bob's window nobody knows how it ends");
    store.erase("bob").unwrap();
    for step in ["erased", "sealed", "opened again", "compacted", "appended"] {
        match step {
            "sealed" => store.settle().unwrap(),
            "opened again" => {
                store.close().unwrap();
                store = small_seals(dir.path());
            }
            "compacted" => store.compact().unwrap(),
            "appended" => drop(store.append(Event::at(day(0), "dan", "other")).unwrap()),
            _ => {}
        }
        assert_eq!(asked(store.query()), (2, true), "{step}");
        if step == "erased" {
            assert_eq!(asked(before.query()), (2, true), "a snapshot from before");
        }
    }
    store.append(Event::at(day(40), "dan", "other")).unwrap();
    assert_eq!(asked(store.query()), (0, false));
    store.close().unwrap();
}

#[test]
fn who_was_only_linked_to_somebody_erased_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let link = Link::at(at(1), "anon", "ann").unwrap();
    store.append(event("ann", "view", 0)).unwrap();
    store.append(link.clone()).unwrap();
    store.append(Entry::Unlink(Link::at(at(2), "anon", "ann").unwrap())).unwrap();
    assert!(store.customer("anon").unwrap().is_some());
    store.erase("ann").unwrap();
    assert!(store.customer("anon").unwrap().is_none());
    store.compact().unwrap();
    assert!(store.customer("anon").unwrap().is_none());
}
