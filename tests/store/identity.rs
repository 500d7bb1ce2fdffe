//! Ids that are linked are one customer to every question.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    CustomerId, Durability, Dwell, Entry, Event, Funnel, JourneyModel, Journeys, Link, Plan, ProfileUpdate, Question,
    Scope, Segment, Seq, StageCounts, Store, StoreOptions, Verify, export,
    import::NdjsonReader,
    testing::{
        World,
        oracle::{customers, resolve},
    },
};

use serde_json::Value;

use crate::{at, built, event, small_seals};

fn link(from: &str, to: &str, seconds: i64) -> Entry {
    Link::at(at(seconds), from, to).unwrap().into()
}

fn unlink(from: &str, to: &str, seconds: i64) -> Entry {
    Entry::Unlink(Link::at(at(seconds), from, to).unwrap())
}

/// Events of some ids, with what is said of these among them: chains, circles, and links that are undone, in any order.
fn linked_world(seed: u64) -> Vec<Entry> {
    let mut random = fastrand::Rng::with_seed(seed);
    let events = World::new(seed).customers(14).events(random.usize(1..400)).instants(20).make();
    let ids: Vec<CustomerId> = events.iter().map(|event| event.customer().clone()).collect();
    let times: Vec<DateTime<Utc>> = events.iter().map(Event::occurred_at).collect();
    let mut entries = Vec::new();
    for event in events {
        entries.push(event.into());
        while random.u8(0..12) == 0 {
            let mut any = |list: &[CustomerId]| list[random.usize(0..list.len())].clone();
            let (from, to) =
                (any(&ids), if seed.is_multiple_of(3) { CustomerId::new("new").unwrap() } else { any(&ids) });
            let when = times[random.usize(0..times.len())];
            let Ok(link) = Link::at(when, &from, &to) else { continue };
            entries.push(if random.u8(0..3) == 0 { Entry::Unlink(link) } else { link.into() });
        }
    }
    entries
}

fn ask(query: &journeylog::Query) -> String {
    // They are of every kind.
    let questions = Question::read(include_str!("../golden/plans.json")).unwrap();
    let plans: Vec<Plan> = questions.into_iter().map(|question| question.plan.list_customers()).collect();
    let segment = Segment::did("product_view").then_not("purchase").within(TimeDelta::days(1)).build().unwrap();
    let answers = query.run(plans).unwrap();
    let scoped = query.clone().segment(&segment).run(&Dwell::of(JourneyModel::standard())).unwrap();
    let mut answer = serde_json::json!([answers, scoped]);
    without_sequences(&mut answer);
    format!("{answer:#}")
}

/// Entries that are no events have sequences too, and in what is expected they are not there.
fn without_sequences(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(without_sequences),
        Value::Object(keys) => {
            keys.remove("seq");
            keys.values_mut().for_each(without_sequences);
        }
        _ => {}
    }
}

/// Answers over entries are those over events that bear the names their customers go by.
fn check(store: &Store, entries: &[Entry], scope: (Option<Seq>, Option<DateTime<Utc>>), seed: u64) {
    let (known_at, as_of) = scope;
    let seen = known_at.map_or(entries, |known_at| &entries[..usize::try_from(known_at.get()).unwrap()]);
    let scoped = |mut scope: Scope| {
        if let Some(as_of) = as_of {
            scope = scope.as_of(as_of);
        }
        scope
    };
    let expected = ask(&Journeys::of(resolve(seen, None, as_of)).unwrap().query().scope(scoped(Scope::all())));
    let mut scope = scoped(Scope::all());
    if let Some(known_at) = known_at {
        scope = scope.known_at(known_at);
    }
    let found = ask(&store.query().scope(scope.clone()));
    assert!(found == expected, "seed {seed}, {scope:?}:\n{found}\n{expected}");
    let found = ask(&Journeys::of(entries.to_vec()).unwrap().query().scope(scope.clone()));
    assert!(found == expected, "in memory, seed {seed}, {scope:?}:\n{found}\n{expected}");
}

#[test]
fn linked_ids_are_one_customer_to_every_question() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let entries = linked_world(seed);
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new().fresh_events(random.usize(1..80)).durability(Durability::Flushed);
        let mut store = options.open(dir.path()).unwrap();
        let mut left = entries.as_slice();
        let mut appended = 0;
        while !left.is_empty() {
            let batch;
            (batch, left) = left.split_at(random.usize(1..=left.len().min(60)));
            appended += usize::try_from(store.append_batch(batch.to_vec()).unwrap().stored()).unwrap();
            if random.u8(0..6) == 0 {
                store.close().unwrap();
                let options = if random.bool() { options.clone().rebuild_index() } else { options.clone() };
                store = options.open(dir.path()).unwrap();
            }
            if random.u8(0..4) == 0 {
                check(&store, &stored(&store), (None, None), seed);
            }
        }
        let entries = stored(&store);
        assert_eq!(entries.len(), appended);
        let times: Vec<DateTime<Utc>> = entries.iter().map(Entry::occurred_at).collect();
        for _ in 0..4 {
            let known_at = random.bool().then(|| Seq(random.u64(1..=entries.len() as u64)));
            let as_of = random.bool().then(|| times[random.usize(0..times.len())]);
            check(&store, &entries, (known_at, as_of), seed);
        }
        store.settle().unwrap();
        check(&store, &entries, (None, None), seed);
        check_customers(&store, &entries);
        assert!(store.verify(Verify::Full).unwrap().is_sound(), "seed {seed}");
    }
}

fn stored(store: &Store) -> Vec<Entry> {
    let mut out = Vec::new();
    export::all(&store.snapshot(), &mut out).unwrap();
    NdjsonReader::new(&out[..]).map(Result::unwrap).collect()
}

fn held(store: &Store, id: &str) -> Vec<Entry> {
    let mut out = Vec::new();
    export::customer(&store.snapshot(), id, &mut out).unwrap();
    NdjsonReader::new(&out[..]).map(Result::unwrap).collect()
}

/// Each id finds the whole journey.
fn check_customers(store: &Store, entries: &[Entry]) {
    let names = customers(entries, None, None);
    let mut journeys: BTreeMap<CustomerId, Vec<Event>> = BTreeMap::new();
    for event in resolve(entries, None, None) {
        journeys.entry(event.customer().clone()).or_default().push(event);
    }
    let mut seen = std::collections::BTreeSet::new();
    for entry in entries.iter().filter_map(Entry::as_event).filter(|event| seen.insert(event.customer())) {
        let name = names.get(entry.customer()).unwrap_or(entry.customer());
        let found = store.customer(entry.customer().as_str()).unwrap().unwrap();
        assert_eq!(found.id(), name);
        let mut ids: Vec<_> = found.ids().to_vec();
        ids.sort();
        let mut group: Vec<CustomerId> = names.iter().filter(|(_, of)| *of == name).map(|(id, _)| id.clone()).collect();
        if group.is_empty() {
            group.push(name.clone());
        }
        assert_eq!(ids, group);
        let mut expected: Vec<_> = journeys[name].clone();
        expected.sort_by_key(Event::occurred_at);
        let is_same = |(found, event): (&journeylog::JourneyEvent, &Event)| {
            found.occurred_at == event.occurred_at() && found.touchpoint == *event.touchpoint()
        };
        assert_eq!(found.journey().len(), expected.len());
        assert!(found.journey().iter().zip(&expected).all(is_same));
        let events: Vec<Event> = found.events().unwrap().into_iter().map(|logged| logged.event).collect();
        assert!(events.iter().map(Event::id).eq(expected.iter().map(Event::id)));
        let model = JourneyModel::standard();
        let at = expected[expected.len() / 2].occurred_at();
        let alone = Journeys::of(resolve(entries, None, Some(at))).unwrap();
        let expected = alone.query().as_of(at).run(&StageCounts::of(model.clone()).list_customers()).unwrap();
        let then = customers(entries, None, Some(at)).get(entry.customer()).unwrap_or(entry.customer()).clone();
        let stage = expected.customers.unwrap_or_default().into_iter().find(|of| of.customer == then);
        assert_eq!(found.stage_as_of(&model, at).unwrap(), stage.and_then(|of| of.stage));
    }
}

#[test]
fn a_link_joins_what_was_before_it_and_an_unlink_parts_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(event("anon-1", "product_view", 1)).unwrap();
    store.append(event("c-42", "purchase", 5)).unwrap();
    let funnel = Funnel::ordered(["product_view", "purchase"]).build().unwrap();
    let converted = |scope: Scope| store.query().scope(scope).run(&funnel).unwrap().converted;
    assert_eq!(converted(Scope::all()), 0);
    let receipt = store.append(link("anon-1", "c-42", 9)).unwrap();
    assert_eq!((converted(Scope::all()), converted(Scope::all().known_at(Seq(2)))), (1, 0));
    assert_eq!(converted(Scope::all().known_at(receipt.first().unwrap())), 1);
    assert_eq!(converted(Scope::all().as_of(at(8))), 0, "nobody said it by then");
    assert_eq!(converted(Scope::all().as_of(at(9))), 1);
    assert_eq!(converted(Scope::all().customers([CustomerId::new("anon-1").unwrap()])), 1);
    assert_eq!(store.stats().unwrap().touchpoints, 2);
    store.append(unlink("c-42", "anon-1", 10)).unwrap();
    assert_eq!(converted(Scope::all()), 0);
    assert_eq!(converted(Scope::all().as_of(at(9))), 1, "an undoing does not change what was said then");
    store.append(link("anon-1", "c-42", 9)).unwrap();
    assert_eq!(converted(Scope::all()), 0, "the latest by time counts, not the last that came");
    let customer = store.customer("anon-1").unwrap().unwrap();
    assert_eq!((customer.id().as_str(), customer.ids().len()), ("anon-1", 1));
    // Of an id that links alone name everything is held that names it, also when it is parted again.
    store.append_batch([link("only", "named", 1), unlink("only", "named", 2)]).unwrap();
    let named = store.customer("named").unwrap().unwrap();
    assert_eq!((named.journey().len(), named.stage(&JourneyModel::standard()).unwrap()), (0, None));
    assert_eq!((held(&store, "named").len(), held(&store, "only").len()), (2, 2));
    assert_eq!(store.erase("named").unwrap().events, 2);
    assert!(store.customer("named").unwrap().is_none() && held(&store, "only").is_empty());
}

#[test]
fn links_and_profiles_are_no_events_and_do_not_end_observation() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append_batch((0..200).map(|i| built(i % 7, "product_view", i))).unwrap();
    store.append(link("3", "4", 100_000)).unwrap();
    let query = || store.query().observation_end().unwrap().unwrap();
    assert_eq!(query(), at(199));
    store.settle().unwrap();
    assert_eq!(query(), at(199));
    store.close().unwrap();
    let store = small_seals(dir.path());
    assert_eq!(store.query().observation_end().unwrap().unwrap(), at(199));
    assert_eq!(store.query().known_at(Seq(201)).observation_end().unwrap().unwrap(), at(199));
    assert_eq!(store.customer("3").unwrap().unwrap().journey().len(), 57);
}

#[test]
fn erasing_one_id_erases_all_that_are_linked_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append_batch((0..90).map(|i| built(format!("person-{}", i % 3), "product_view", i))).unwrap();
    store
        .append_batch([link("person-0", "person-1", 5), link("person-2", "person-1", 6), link("person-2", "gone", 7)])
        .unwrap();
    store.append(unlink("person-2", "gone", 8)).unwrap();
    store.append(unlink("person-2", "person-1", 9)).unwrap();
    assert_eq!(held(&store, "person-0").len(), 60 + 3, "and who was linked once");
    let erasure = store.erase("person-0").unwrap();
    assert_eq!((erasure.ids, erasure.events), (2, 60 + 3));
    assert_eq!(store.erasures().len(), 2);
    assert!(store.customer("person-1").unwrap().is_none() && held(&store, "person-1").is_empty());
    assert_eq!(store.customer("person-2").unwrap().unwrap().journey().len(), 30);
    assert_eq!(stored(&store).len(), 32);
    assert_eq!(store.len(), 32);
    let receipt = store.append_batch([link("person-2", "person-1", 10), link("person-2", "other", 10)]).unwrap();
    assert_eq!(receipt.erased(), [0], "a link to somebody erased would bring the id back");
    store.compact().unwrap();
    assert_eq!((stored(&store).len(), store.len()), (33, 33));
    assert!(store.erasures().iter().all(|erasure| erasure.compacted_at.is_some()));
    store.close().unwrap();
    for file in walk(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for id in ["person-0", "person-1"] {
            assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()), "{id} in {}", file.display());
        }
    }
    let store = small_seals(dir.path());
    assert_eq!(store.customer("other").unwrap().unwrap().journey().len(), 30, "no event of its own");
    assert!(store.verify(Verify::Full).unwrap().is_sound());
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn links_are_in_backups_and_are_salvaged_from_log_and_index() {
    let dir = tempfile::tempdir().unwrap();
    let [folder, backup, new, other] = ["store", "backup", "new", "other"].map(|name| dir.path().join(name));
    let store = small_seals(&folder);
    store.append_batch((0..300).map(|i| built(i % 9, "product_view", i))).unwrap();
    store.append_batch([link("1", "2", 5), link("2", "3", 6), unlink("1", "2", 7)]).unwrap();
    store.append(ProfileUpdate::at(at(8), "4").set("country", "DE").set("age", 7)).unwrap();
    store.settle().unwrap();
    store.backup(&backup).unwrap();
    let expected = (stored(&store), ask(&store.query()));
    store.close().unwrap();
    Store::salvage(&folder, &new).unwrap();
    // Without a log there is the index.
    std::fs::remove_dir_all(folder.join("log")).unwrap();
    let salvage = Store::salvage(&folder, &other).unwrap();
    assert_eq!(salvage.events, 304);
    for folder in [&backup, &new, &other] {
        let store = Store::open(folder).unwrap();
        assert_eq!((stored(&store), ask(&store.query())), expected, "{}", folder.display());
        store.close().unwrap();
    }
}

#[test]
fn retention_of_events_leaves_links_and_profiles() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let (old, now) = (Utc::now() - TimeDelta::days(90), Utc::now());
    store.append(Event::at(old, "a", "product_view")).unwrap();
    store.append(Link::at(old, "a", "b").unwrap()).unwrap();
    store.append(Event::at(now, "a", "purchase")).unwrap();
    store.append(ProfileUpdate::at(old, "a").set("email", "a@example.org").set("plan", "pro")).unwrap();
    store.append(ProfileUpdate::at(old, "a").set("email", "a2@example.org")).unwrap();
    let rules = journeylog::Retention::new().events(TimeDelta::days(30)).unwrap();
    store.set_retention(rules.clone()).unwrap();
    store.compact().unwrap();
    let customer = store.customer("b").unwrap().unwrap();
    assert_eq!((customer.ids().len(), customer.journey().len(), customer.profile().unwrap().len()), (2, 1, 2));
    // A rule for a property is of profiles too.
    store.set_retention(rules.property("email", TimeDelta::days(30)).unwrap()).unwrap();
    store.compact().unwrap();
    let customer = store.customer("b").unwrap().unwrap();
    assert_eq!(customer.profile().unwrap().into_keys().collect::<Vec<_>>(), ["plan"]);
    assert_eq!(store.len(), 3, "an update of which nothing is left is gone");
}

#[test]
fn events_of_linked_ids_are_held_in_no_more_memory_than_a_question_may_take() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for id in 1..40 {
        let event = |n| Event::at(at(n), format!("c{id}"), "product_view").build().unwrap().into();
        store.append_batch((0..50).map(event).chain([link(&format!("c{id}"), &format!("c{}", id / 2), 60)])).unwrap();
    }
    let funnel = Funnel::ordered(["product_view"]).build().unwrap();
    let asked = |bytes| store.query().memory(bytes).run(&funnel);
    assert_eq!(asked(70_000).unwrap().steps[0].customers, 1);
    assert!(asked(60_000).unwrap_err().is_limit(), "39 ids have 1,950 events, and 39 links");
}
