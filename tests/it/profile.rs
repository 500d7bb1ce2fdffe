//! Profiles: what is known of a customer, when an event happened and in the end.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use journeylog::{
    Breakdown, Comparison, Condition, Durability, Entry, Event, Funnel, JourneyModel, Journeys, Link, Members,
    ProfileUpdate, ProfileWhen, Question, Scope, Segment, Seq, StoreOptions,
    testing::{World, any_condition, oracle},
};
use serde_json::json;

use crate::given::{Holding, any_breakdown, any_model, day};

/// Events without repeated ids, profiles in any order, and some links, few enough to tie often.
fn world(seed: u64, instants: u32) -> Vec<Entry> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ids = BTreeSet::new();
    let mut events = World::new(seed).customers(4).events(24).instants(instants).make();
    events.retain(|event| event.id().is_none_or(|id| ids.insert(id.as_str().to_owned())));
    let times: Vec<DateTime<Utc>> = events.iter().map(Event::occurred_at).collect();
    let names: Vec<_> = events.iter().map(|event| event.customer().clone()).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for event in events {
        while random.u8(0..3) == 0 {
            let at = times[random.usize(0..times.len())];
            let any = |random: &mut fastrand::Rng| names[random.usize(0..names.len())].clone();
            if random.u8(0..8) == 0 {
                entries.extend(Link::at(at, any(&mut random), any(&mut random)).map(Entry::Link));
                continue;
            }
            let value = ["spring", "late spring"][random.usize(0..2)];
            let update = ProfileUpdate::at(at, any(&mut random)).set(["p", "q"][random.usize(0..2)], value);
            let update = if random.bool() { update.set("q", random.i64(-3..3)) } else { update };
            entries.push(update.build().unwrap().into());
        }
        entries.push(event.into());
    }
    entries
}

#[test]
fn conditions_on_profiles_hold_as_the_oracle_says() {
    let mut held = 0;
    for seed in 0..3_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let entries = world(seed, 8);
        let times: Vec<DateTime<Utc>> = entries.iter().map(Entry::occurred_at).collect();
        let as_of = random.bool().then(|| times[random.usize(0..times.len())]);
        let plain = any_condition(seed, 2);
        let name = ["p", "q"][random.usize(0..2)];
        let test = [Comparison::Eq("spring".into()), Comparison::Exists(false), Comparison::Lt(1.into())];
        let profile = test[random.usize(0..3)].clone();
        let profile =
            if random.bool() { Condition::profile(name, profile) } else { Condition::profile_latest(name, profile) };
        let condition = if random.bool() { profile.or(plain) } else { profile.and(plain.negated()) };
        let (mut scope, model) = (Scope::all(), any_model(seed));
        if let Some(as_of) = as_of {
            scope = scope.as_of(as_of);
        }
        if random.u8(0..3) == 0 {
            scope = scope.filter(Condition::profile("p", Comparison::Exists(true)));
        }
        // The oracle's events are all that are no links or profiles.
        let seqs: Vec<u64> =
            (1..).zip(&entries).filter(|(_, entry)| entry.as_event().is_some()).map(|(seq, _)| seq).collect();
        let expected: Vec<Seq> = oracle::holding(&condition, &oracle::resolve(&entries, None, as_of), &model, &scope)
            .into_iter()
            .map(|seq| Seq(seqs[usize::try_from(seq.get() - 1).unwrap()]))
            .collect();
        let query = Journeys::of(entries.clone()).unwrap().query().scope(scope.clone()).model(model.clone());
        let found = query.run(Holding(condition.clone())).unwrap();
        assert_eq!(found, expected, "seed {seed}: {}", json!({"condition": condition, "scope": scope}));
        held += found.len();
        if seed % 100 == 0 {
            let dir = tempfile::tempdir().unwrap();
            let store = StoreOptions::new().fresh_events(7).durability(Durability::Buffered).open(dir.path()).unwrap();
            store.append_batch(entries.iter().take(15).cloned()).unwrap();
            store.settle().unwrap();
            store.append_batch(entries.iter().skip(15).cloned()).unwrap();
            let query = store.query().scope(scope).model(model);
            assert_eq!(query.run(Holding(condition)).unwrap(), expected, "seed {seed}, of a store");
        }
    }
    assert!(held > 5_000, "{held}");
}

#[test]
fn a_breakdown_by_profile_is_what_was_known_then_or_is_in_the_end() {
    for seed in 0..600 {
        // The oracle tries every order of a tie.
        let entries = world(seed, 100);
        let breakdown = match seed % 3 {
            0 => Breakdown::profile("q"),
            1 => Breakdown::profile_latest("q"),
            _ => any_breakdown(&mut fastrand::Rng::with_seed(seed), 2),
        };
        let funnel = Funnel::ordered(["product_view", "purchase"]).breakdown(breakdown).build().unwrap();
        let events = oracle::resolve(&entries, None, None);
        let truth = oracle::funnel(&events, &funnel, &JourneyModel::standard(), &Scope::all());
        let report = Journeys::of(entries).unwrap().query().run(&funnel).unwrap();
        truth.agrees(&report).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_profile_has_a_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().fresh_events(3).durability(Durability::Buffered).open(dir.path()).unwrap();
    let set = |at: f64, who: &str, name: &str, value: &str| {
        store.append(ProfileUpdate::at(day(at), who).set(name, value)).unwrap();
    };
    set(3.0, "ann", "plan", "pro");
    set(1.0, "ann", "plan", "free");
    set(1.0, "ann", "country", "DE");
    set(3.0, "ann", "plan", "team");
    set(4.0, "anon", "country", "AT");
    for (at, touchpoint) in [(0.5, "view"), (2.0, "pay"), (3.0, "pay"), (5.0, "pay")] {
        store.append(Event::at(day(at), "ann", touchpoint)).unwrap();
    }
    let ann = store.customer("ann").unwrap().unwrap();
    let value = |profile: std::collections::BTreeMap<_, _>, name: &str| profile.get(name).cloned();
    assert_eq!(value(ann.profile().unwrap(), "plan"), Some("team".into()), "the later of the same moment");
    assert_eq!(value(ann.profile_as_of(day(1.0)).unwrap(), "plan"), Some("free".into()));
    assert_eq!(ann.profile_as_of(day(0.9)).unwrap().len(), 0);
    assert_eq!((ann.profile_history().unwrap().len(), ann.journey().len()), (4, 4));
    let held = |condition| store.query().run(Holding(condition)).unwrap().len();
    let plan = |value: &str| Comparison::Eq(value.into());
    assert_eq!(held(Condition::profile("plan", plan("free"))), 1);
    assert_eq!(held(Condition::profile("plan", plan("team"))), 2, "at the moment it is set too");
    assert_eq!(held(Condition::profile("plan", plan("pro"))), 0);
    assert_eq!(held(Condition::profile_latest("plan", plan("team"))), 4);
    assert_eq!(held(Condition::profile("plan", Comparison::Exists(false))), 1);
    let then = store.query().as_of(day(2.5)).run(Holding(Condition::profile_latest("plan", plan("free")))).unwrap();
    assert_eq!(then.len(), 2);
    // What was known at a sequence is what was there then, also of profiles later than the last event known.
    let early = store.snapshot();
    let latest =
        |query: journeylog::Query| query.run(Holding(Condition::profile_latest("plan", plan("later")))).unwrap();
    store.append(ProfileUpdate::at(day(7.0), "ann").set("plan", "later")).unwrap();
    let then = (store.head(), latest(store.query()));
    assert_eq!((latest(early.query()).len(), then.1.len()), (0, 4));
    store.append(Event::at(day(9.0), "bob", "view")).unwrap();
    assert_eq!(latest(store.query().known_at(then.0)), then.1);
    assert_eq!(latest(store.query().as_of(day(6.5))).len(), 0);
    store.append(ProfileUpdate::at(day(8.0), "ann").set("plan", "team")).unwrap();
    let known = store.query().known_at(Seq(8)).run(Holding(Condition::profile_latest("country", plan("DE")))).unwrap();
    assert_eq!(known.len(), 3);
    // A property of events of the same name is another.
    assert_eq!(held(Condition::property("plan", Comparison::Exists(true))), 0);
    store.append(Link::at(day(6.0), "anon", "ann").unwrap()).unwrap();
    assert_eq!(held(Condition::profile_latest("country", plan("AT"))), 4, "of all ids of the customer");
    let ann = store.customer("ann").unwrap().unwrap();
    assert_eq!(value(ann.profile().unwrap(), "country"), Some("AT".into()));
}

/// Segments look at profiles too, and at nothing that is no event.
#[test]
fn segments_by_profile() {
    let event = |at, who: &str| Entry::try_from(Event::at(day(at), who, "view")).unwrap();
    let set = |at, who: &str, value: &str| ProfileUpdate::at(day(at), who).set("plan", value).try_into().unwrap();
    let entries: Vec<Entry> = vec![
        event(1.0, "ann"),
        set(2.0, "ann", "pro"),
        event(3.0, "ann"),
        event(1.0, "bob"),
        set(2.0, "bob", "pro"),
        set(3.0, "bob", "free"),
        set(0.0, "cid", "pro"),
        event(1.0, "dan"),
    ];
    let query = Journeys::of(entries).unwrap().query();
    let members = |condition: Condition| {
        let plan = Members::of(Segment::did(condition).build().unwrap()).list_customers();
        let report = query.run(&plan).unwrap();
        let listed: Vec<String> = report.customers.unwrap().iter().map(|id| id.as_str().to_owned()).collect();
        (report.members.some, report.members.of, listed)
    };
    let pro = || Comparison::Eq("pro".into());
    assert_eq!(members(Condition::profile_latest("plan", pro())), (1, 3, vec!["ann".to_owned()]));
    assert_eq!(members(Condition::profile("plan", pro())), (1, 3, vec!["ann".to_owned()]));
    let as_of = query.clone().as_of(day(2.5));
    let plan = Members::of(Segment::did(Condition::profile_latest("plan", pro())).build().unwrap());
    assert_eq!(as_of.run(&plan).unwrap().members.some, 2);
    // With a filter that asks for a profile too, and columns that an analysis looks at.
    let filtered = query
        .clone()
        .filter(Condition::profile("plan", pro()))
        .segment(Segment::did(Condition::profile_latest("plan", pro())).build().unwrap());
    assert_eq!(filtered.run(crate::given::everything()).unwrap(), [Seq(3)]);
}

#[test]
fn conditions_on_profiles_as_json() {
    let read = |value| serde_json::from_value::<Condition>(value).map_err(|e| e.to_string());
    let condition = Condition::Profile {
        name: "country".into(),
        when: ProfileWhen::Latest,
        test: Comparison::In(vec!["DE".into(), "AT".into()]),
    };
    assert_eq!(read(json!({"profile": "country", "when": "latest", "in": ["DE", "AT"]})), Ok(condition));
    for (odd, reason) in [
        (json!({"profile": "country"}), "profile: needs a comparison"),
        (json!({"profile": "country", "property": "x", "eq": 1}), "profile: and property in one object"),
        (json!({"touchpoint": "x", "when": "latest"}), "when: is of a profile"),
        (json!({"profile": "country", "when": "now", "eq": 1}), "when: is neither then nor latest"),
        (json!({"profile": "", "eq": 1}), "profile: is empty"),
    ] {
        let refused = read(odd.clone()).unwrap_err();
        assert!(refused.starts_with(reason), "{odd}: {refused}");
    }
    let plan = r#"{"funnel":{"steps":[{"touchpoint":"view"}],"breakdown":{"by":{"profile":"country"}}}}"#;
    let written = serde_json::to_string(&Question::read(plan).unwrap()[0]).unwrap();
    assert!(written.contains(r#""by":{"profile":"country"}"#), "{written}");
}
