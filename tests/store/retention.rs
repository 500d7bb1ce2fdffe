//! What is older than it may be is gone with the next compaction: out of the answers, and out of every byte.

use std::{thread, time::Duration};

use chrono::{TimeDelta, Utc};
use journeylog::{Backup, Event, Feedback, Members, Retention, Segment, Store, Verify};

use crate::{
    erase::{ID, SECRETS, found, personal},
    small_seals,
};

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

/// An event that is as old as this.
fn old(customer: &str, age: TimeDelta) -> Event {
    let answer = Feedback::nps(7).unwrap().with_comment("gladly again").unwrap();
    Event::at(Utc::now() - age, customer, "view")
        .property("email", format!("{customer}@post.test"))
        .property("plan", "pro")
        .feedback(answer)
        .build()
        .unwrap()
}

#[test]
fn rules_that_can_be_for_nothing_or_are_too_many_are_refused() {
    assert!(Retention::new().property("", days(1)).is_err());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rules = |count: usize| {
        let name = |n: usize| format!("{n:0>200}");
        (0..count).fold(Retention::new(), |rules, n| rules.property(name(n), days(1)).unwrap())
    };
    store.set_retention(rules(100)).unwrap();
    assert!(store.set_retention(rules(130)).unwrap_err().is_limit());
    assert_eq!(store.retention(), rules(100));
    store.append(old("ann", days(0))).unwrap();
}

#[test]
fn old_events_are_gone_with_the_next_compaction_and_the_others_keep_their_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..200 {
        store.append(old(&format!("c{}", i % 7), days(i % 50))).unwrap();
    }
    // The moment of `personal` is long ago.
    store.append(personal(-20_000_000).build().unwrap()).unwrap();
    assert!(found(dir.path()).len() >= SECRETS.len() - 1);
    let rules = Retention::new().events(days(30)).unwrap();
    store.set_retention(rules.clone()).unwrap();
    assert_eq!(
        (store.len(), store.retention_applied_at()),
        (201, None),
        "they are applied when the log is written anew"
    );

    store.compact().unwrap();
    let kept = (0..200).filter(|i| i % 50 < 30).count() as u64;
    assert_eq!((store.len(), store.head().0), (kept, 201));
    assert!(store.customer(ID).unwrap().is_none(), "nothing of theirs is kept, nor who it was");
    assert_eq!(found(dir.path()), [""; 0]);
    assert_eq!(store.stats().unwrap().customers, 7);
    let journey = store.customer("c1").unwrap().unwrap();
    assert!(journey.events().unwrap().iter().all(|logged| (logged.seq.0 - 1) % 7 == 1 && (logged.seq.0 - 1) % 50 < 30));
    assert!(store.retention_applied_at().is_some());
    // Who was forgotten may come again.
    store.append(personal(-20_000_000).build().unwrap()).unwrap();
    assert_eq!(store.customer(ID).unwrap().unwrap().journey().len(), 1);
    assert!(store.verify(Verify::Full).unwrap().is_sound());
    store.close().unwrap();

    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.len(), store.retention()), (kept + 1, rules.clone()));
    store.compact().unwrap();
    assert_eq!((store.len(), found(dir.path())), (kept, vec![]));
    let copy = dir.path().with_extension("backup");
    let made = store.backup(&copy).unwrap();
    assert_eq!(Backup::check(&copy).unwrap(), made);
    assert_eq!(Store::open(&copy).unwrap().retention(), rules, "a backup has the rules too");
    std::fs::remove_dir_all(copy).unwrap();
}

#[test]
fn properties_and_comments_go_before_their_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..120 {
        store.append(old(&format!("c{}", i % 6), days(i % 40))).unwrap();
    }
    let rules = Retention::new().property("email", days(10)).unwrap().comments(days(20)).unwrap();
    store.set_retention(rules).unwrap();
    store.compact().unwrap();
    assert_eq!(store.len(), 120);
    for customer in 0..6 {
        for logged in store.customer(&format!("c{customer}")).unwrap().unwrap().events().unwrap() {
            let age = (logged.seq.0 - 1) % 40;
            let event = logged.event;
            assert_eq!(event.properties().contains_key("email"), age < 10, "{age}");
            assert!(event.properties().contains_key("plan"));
            let answer = event.feedback().unwrap();
            assert_eq!((answer.score(), answer.comment().is_some()), (7, age < 20), "{age}");
        }
    }
    assert!(store.verify(Verify::Full).unwrap().is_sound());
    // Without rules nothing more goes.
    store.set_retention(Retention::new()).unwrap();
    store.compact().unwrap();
    assert_eq!((store.len(), store.retention_applied_at()), (120, None));
}

/// It waits for ten seconds without an append.
#[test]
fn rules_are_applied_by_themselves_when_the_store_is_idle() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append_batch([personal(-20_000_000).build().unwrap(), old("c", days(1))]).unwrap();
    store.set_retention(Retention::new().events(days(30)).unwrap()).unwrap();
    // The old log is removed last.
    let is_there = |_: &u32| store.len() > 1 || dir.path().join("log").exists();
    let waited = (0..600).take_while(is_there).map(|_| thread::sleep(Duration::from_millis(100))).count();
    assert!(waited < 600);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(found(dir.path()), [""; 0]);
    assert!(store.customer("c").unwrap().is_some());
}

#[test]
fn a_rule_is_a_positive_length_of_time() {
    for age in [TimeDelta::zero(), TimeDelta::days(-1), TimeDelta::MAX] {
        assert!(Retention::new().events(age).is_err() && Retention::new().property("p", age).is_err());
    }
    let rules = Retention::new().events(days(2)).unwrap();
    assert_eq!((rules.of_events(), rules.of_comments()), (Some(days(2)), None));
    assert_eq!(rules.of_property("p"), None);
}

/// Customers are erased and let back in, rules set and lifted, and the store is compacted, in any order.
#[test]
fn rules_and_erasures_together_leave_what_they_should() {
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut store = small_seals(dir.path());
        let mut random = fastrand::Rng::with_seed(seed);
        // The events that are to be there, by their customers, as their ages in days.
        let mut model: Vec<Vec<i64>> = vec![Vec::new(); 6];
        let (mut erased, mut limit) = ([false; 6], None);
        for step in 0..40 {
            let customer = random.usize(..6);
            let id = format!("c{customer}");
            match random.u8(0..10) {
                0..=4 => {
                    let ages: Vec<i64> = (0..random.usize(1..9)).map(|_| random.i64(0..60)).collect();
                    let receipt = store.append_batch(ages.iter().map(|age| old(&id, days(*age)))).unwrap();
                    assert_eq!(receipt.erased().len(), if erased[customer] { ages.len() } else { 0 });
                    if !erased[customer] {
                        model[customer].extend(ages);
                    }
                }
                5 => {
                    assert!(store.erase(&id).unwrap().events >= model[customer].len() as u64);
                    (model[customer], erased[customer]) = (Vec::new(), true);
                }
                6 => {
                    // Whoever is still on the disk makes the store be compacted.
                    let is_compacted = store.erasure(&id).is_some_and(|erasure| erasure.compacted_at.is_none());
                    assert_eq!(store.readmit(&id).unwrap(), erased[customer]);
                    erased[customer] = false;
                    if let Some(limit) = limit.filter(|_| is_compacted) {
                        model.iter_mut().for_each(|ages| ages.retain(|age| *age < limit));
                    }
                }
                7 => {
                    limit = random.bool().then(|| random.i64(10..50));
                    let rules = limit.map_or(Retention::new(), |limit| Retention::new().events(days(limit)).unwrap());
                    store.set_retention(rules).unwrap();
                }
                8 => {
                    store.compact().unwrap();
                    let limit = limit.unwrap_or(i64::MAX);
                    model.iter_mut().for_each(|ages| ages.retain(|age| *age < limit));
                }
                _ => {
                    store.close().unwrap();
                    store = small_seals(dir.path());
                }
            }
            let context = format!("seed {seed}, step {step}");
            let found =
                (0..6).map(|n| store.customer(&format!("c{n}")).unwrap().map_or(0, |found| found.journey().len()));
            let found: Vec<usize> = found.collect();
            assert_eq!(found, model.iter().map(Vec::len).collect::<Vec<_>>(), "{context}");
            assert_eq!(store.len() as usize, found.iter().sum::<usize>(), "{context}");
            let verified = store.verify(Verify::Full).unwrap();
            assert!(verified.is_sound(), "{context}: {verified}");
            let customers = model.iter().filter(|ages| !ages.is_empty()).count() as u64;
            assert!(store.stats().unwrap().customers >= customers, "{context}");
        }
    }
}

#[test]
fn a_snapshot_from_before_shows_nobody_without_an_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for (customer, age) in [("ann", 40), ("bob", 40), ("bob", 2), ("cleo", 1)] {
        store.append(old(customer, days(age))).unwrap();
    }
    store.settle().unwrap();
    let before = store.snapshot();
    store.set_retention(Retention::new().events(days(30)).unwrap()).unwrap();
    store.compact().unwrap();
    let listed = |snapshot: &journeylog::Snapshot| {
        let members = Members::of(Segment::did("view").build().unwrap()).list_customers();
        let listed = snapshot.query().run(&members).unwrap().customers.unwrap();
        listed.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&store.snapshot()), ["bob", "cleo"]);
    assert_eq!(listed(&before), ["bob", "cleo"]);
    assert_eq!(before.customer("bob").unwrap().unwrap().journey().len(), 2);
}
