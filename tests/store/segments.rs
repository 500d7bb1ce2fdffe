//! Segments with a name: kept until they are removed, whatever becomes of the log.

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Backup, BySegment, Condition, CustomerId, Event, JourneyModel, LIMIT_NAMED_SEGMENT_BYTES, Members, Question, Scope,
    Segment, Segments, StageCounts, Store, StoreOptions, StorePart, Verify,
    testing::{World, any_segment, oracle},
};

use crate::small_seals;

fn day(day: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day)
}

fn did(touchpoint: &str) -> Segment {
    Segment::did(touchpoint).build().unwrap()
}

/// How many are in the segment of that name, or why that cannot be said.
fn members(store: &Store, name: &str) -> Result<u64, String> {
    store.query().run(&Members::of(name)).map(|report| report.members.some).map_err(|e| e.to_string())
}

const UNKNOWN: &str = "segment: no segment is stored under the name buyers (there is none)";

#[test]
fn a_named_segment_outlives_closing_compaction_and_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, copy, saved) = (dir.path().join("store"), dir.path().join("backup"), dir.path().join("salvaged"));
    let store = small_seals(&folder);
    for i in 0..300 {
        let touchpoint = if i % 3 == 0 { "buy" } else { "view" };
        store.append(Event::at(day(i), format!("c{}", i % 6), touchpoint)).unwrap();
    }
    assert_eq!(members(&store, "buyers").unwrap_err(), UNKNOWN);
    assert!(!folder.join("SEGMENTS").exists());
    store.define_segment("buyers", &did("view")).unwrap();
    assert_eq!(members(&store, "buyers"), Ok(4));
    store.define_segment("buyers", &did("buy")).unwrap();
    store.define_segment("nobody", &did("nothing")).unwrap();
    let expected = BTreeMap::from([("buyers".to_owned(), did("buy")), ("nobody".to_owned(), did("nothing"))]);
    let check = |store: &Store| {
        assert_eq!(store.segments(), expected);
        assert_eq!(store.segment("buyers"), Some(did("buy")));
        assert_eq!(members(store, "buyers"), Ok(2));
    };
    check(&store);
    store.erase("c0").unwrap();
    store.compact().unwrap();
    assert_eq!(members(&store, "buyers"), Ok(1));
    store.readmit("c0").unwrap();
    store.append(Event::at(day(1), "c0", "buy")).unwrap();
    check(&store);
    assert!(store.verify(Verify::Full).unwrap().is_sound());
    let made = store.backup(&copy).unwrap();
    assert_eq!(Backup::check(&copy).unwrap(), made);
    store.close().unwrap();
    check(&small_seals(&folder));
    check(&small_seals(&copy));
    Store::salvage(&folder, &saved).unwrap();
    check(&small_seals(&saved));
}

#[test]
fn a_snapshot_keeps_the_segments_of_its_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(Event::at(day(1), "ann", "buy")).unwrap();
    store.append(Event::at(day(1), "bob", "view")).unwrap();
    let before = store.snapshot();
    store.define_segment("buyers", &did("buy")).unwrap();
    let between = store.snapshot();
    assert!(store.remove_segment("buyers").unwrap());
    assert!(!store.remove_segment("buyers").unwrap());
    let asked = between.query().segment("buyers").run(&StageCounts::of_question()).unwrap();
    assert_eq!(asked.without_stage, 1);
    let customer = store.customer("ann").unwrap().unwrap();
    for query in [before.query(), store.query(), customer.query()] {
        let refused = query.segment("buyers").run(&StageCounts::of_question()).unwrap_err();
        assert!(refused.is_invalid() && refused.to_string() == format!("scope.{UNKNOWN}"), "{refused}");
    }
    // Each place where a segment may stand takes a name.
    let text = r#"[{"segment":{"of":"buyers","customers":true}},{"stages":{},"by_segment":{"a":"buyers","b":{"others":true}}},
        {"stages":{},"scope":{"segment":"buyers","customers":["ann","bob"]}}]"#;
    let questions = Question::read(text).unwrap();
    assert_eq!(Question::read(&serde_json::to_string(&questions).unwrap()).unwrap(), questions);
    assert_eq!(between.query().ask(&questions).unwrap().len(), 3);
    let by_segment = BySegment::new(StageCounts::of_question(), Segments::new().add("a", "buyers")).unwrap();
    let refused = store.query().run(&by_segment).unwrap_err().to_string();
    assert!(refused.contains("by_segment.a: segment: no segment is stored under the name buyers"), "{refused}");
    // One customer by themselves.
    store.define_segment("buyers", &did("buy")).unwrap();
    for (id, some) in [("ann", 1), ("bob", 0)] {
        let id = CustomerId::new(id).unwrap();
        assert_eq!(store.query().customers([id]).run(&Members::of("buyers")).unwrap().members.some, some);
    }
}

#[test]
fn names_and_sizes_have_limits() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let values: Vec<journeylog::PropertyValue> = (0..7_000_i64).map(|i| (i + 1_000_000_000).into()).collect();
    let condition = journeylog::Condition::property("p", journeylog::Comparison::In(values));
    let large = Segment::did(condition).build().unwrap();
    let refused = store.define_segment("large", &large).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains(&format!("limit of {LIMIT_NAMED_SEGMENT_BYTES}")));
    for name in ["", "a\nb", &"x".repeat(256)] {
        assert!(store.define_segment(name, &did("a")).unwrap_err().is_invalid());
    }
    assert!(store.segments().is_empty());
    let closed = store.clone();
    store.close().unwrap();
    assert!(matches!(closed.define_segment("a", &did("a")).unwrap_err().kind(), journeylog::ErrorKind::Closed));
}

#[test]
fn damage_of_the_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(Event::at(day(1), "ann", "buy")).unwrap();
    store.define_segment("buyers", &did("buy")).unwrap();
    let file = dir.path().join("SEGMENTS");
    let whole = fs::read(&file).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&file, bytes).unwrap();
        let found = store.verify(Verify::Quick).unwrap();
        assert!(!found.is_sound() && found.problems[0].part == StorePart::Segments, "{place}: {found}");
    }
    store.close().unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(refused.is_corrupt() && refused.to_string().contains("SEGMENTS"), "{refused}");
    // The log has nothing to do with it.
    let copy = tempfile::tempdir().unwrap();
    crate::recovery::copy_folder(dir.path(), copy.path());
    let opened = StoreOptions::new().accept_loss().open(copy.path()).unwrap();
    assert!(opened.open_report().mended.iter().any(|mended| mended.contains("SEGMENTS")));
    assert_eq!((opened.len(), opened.segments().len()), (1, 0));
    opened.close().unwrap();
    assert_eq!(Store::open(copy.path()).unwrap().len(), 1);
    let salvaged = dir.path().with_extension("salvaged");
    let salvage = Store::salvage(dir.path(), &salvaged).unwrap();
    assert!(salvage.events == 1 && salvage.notes.iter().any(|note| note.contains("SEGMENTS")), "{salvage}");
    fs::remove_dir_all(salvaged).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().segments(), BTreeMap::new());
}

/// Segments whose parts are names of others, against the same with these written out.
#[test]
fn a_name_within_a_segment_stands_for_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let events = World::new(11).customers(12).events(160).touchpoints(5).instants(12).make();
    let store = small_seals(dir.path());
    store.append_batch(events.iter().cloned()).unwrap();
    for seed in 0..40 {
        let named = |i: u64| any_segment(seed * 10 + i, 1);
        store.define_segment("a", &named(0)).unwrap();
        store
            .define_segment("b", &Segment::any([named(1).into(), Segment::named("a").negated()]).build().unwrap())
            .unwrap();
        let both = [Segment::named("a"), Segment::named("b"), named(2).into()];
        let asked = if seed % 2 == 0 { Segment::all(both) } else { Segment::any(both) }.build().unwrap();
        let whole = oracle::with_names(&asked, &store.segments());
        let listed = |segment: &Segment| store.query().run(&Members::of(segment).list_customers()).unwrap();
        assert_eq!(listed(&asked), listed(&whole), "{}", serde_json::to_string(&asked).unwrap());
        let members = oracle::in_segment(&events, &whole, &JourneyModel::standard(), &Scope::all());
        assert_eq!(listed(&asked).customers.unwrap(), members.into_iter().collect::<Vec<_>>());
        store.define_segment("kept", &asked).unwrap();
        assert_eq!(store.query().run(&Members::of("kept").list_customers()).unwrap(), listed(&whole));
        assert!(store.remove_segment("kept").unwrap() && store.remove_segment("b").unwrap());
    }
    store.define_segment("b", &Segment::named("a").negated().build().unwrap()).unwrap();
    store.close().unwrap();
    let again = small_seals(dir.path());
    assert_eq!((again.segments().len(), members(&again, "b").is_ok()), (2, true));
}

#[test]
fn names_that_lead_nowhere_or_back_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    store.append(Event::at(day(1), "ann", "buy")).unwrap();
    let names = |name: &str| Segment::named(name).negated().build().unwrap();
    let define = |name: &str, segment: &Segment| store.define_segment(name, segment).map_err(|e| e.to_string());
    let unknown = "segment(a).not.segment: no segment is stored under the name b (there are a)";
    assert_eq!(define("a", &names("b")).unwrap_err(), unknown);
    assert_eq!(store.segments().len(), 0);
    define("b", &did("buy")).unwrap();
    define("a", &names("b")).unwrap();
    define("c", &names("a")).unwrap();
    // Any of those that would name themselves is told.
    let circle = define("b", &names("c")).unwrap_err();
    assert!(circle.contains("names itself: ") && circle.contains("b > c > a > b"), "{circle}");
    assert!(define("c", &names("c")).unwrap_err().ends_with("names itself: c > c"));
    let refused = store.remove_segment("b").unwrap_err();
    assert!(refused.is_invalid(), "{refused}");
    let named = "segment(b): is named by the segment a, which must be removed or changed before";
    assert_eq!((refused.to_string().as_str(), store.segment("b")), (named, Some(did("buy"))));
    // What others name cannot become too large for them.
    let wide = |leaves| Segment::any((0..leaves).map(|_| Segment::did("buy"))).build().unwrap();
    define("twice", &Segment::any([Segment::named("b"), Segment::named("b")]).build().unwrap()).unwrap();
    assert!(define("b", &wide(33)).unwrap_err().contains("has 65 leaves or more, the limit is 64"));
    define("b", &wide(32)).unwrap();
    let question = r#"{"segment":{"of":{"all":[{"segment":"nowhere"}]}}}"#;
    let refused = store.query().ask(&Question::read(question).unwrap()).unwrap_err().to_string();
    assert!(
        refused.starts_with("segment.all[0].segment: no segment is stored under the name nowhere (there are a, b,")
    );
    let scope = r#"{"stages":{},"scope":{"segment":{"not":{"segment":"nowhere"}}}}"#;
    let refused = store.query().ask(&Question::read(scope).unwrap()).unwrap_err().to_string();
    assert!(refused.starts_with("scope.segment.not.segment: no segment is stored"), "{refused}");
}

#[test]
fn threads_define_and_ask_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..10 {
                    let name = format!("{thread}-{i}");
                    store.define_segment(&name, &did("buy")).unwrap();
                    store.append(Event::at(day(i), name.as_str(), "buy")).unwrap();
                    assert!(members(store, &name).unwrap() > 0);
                }
            });
        }
    });
    assert_eq!(store.segments().len(), 40);
    store.close().unwrap();
    assert_eq!(small_seals(dir.path()).segments().len(), 40);
}

/// Conditions and segments each nest as deep as they may: together deeper than JSON that is read.
#[test]
fn a_segment_that_could_not_be_read_again_is_refused_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::small_seals(dir.path());
    let leaf = Condition::property("p", journeylog::Comparison::In(vec!["x".into()]));
    let condition = (0..31).fold(leaf, |inner, _| Condition::All(vec![inner]));
    let deep = (0..31).fold(Segment::did(condition), |inner, _| Segment::all([inner]));
    let refused = store.define_segment("deep", &deep.build().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("nests too deep"), "{refused}");
    store.close().unwrap();
    assert!(crate::small_seals(dir.path()).segments().is_empty());
}
