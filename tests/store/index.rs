//! The index says what the log says, whether it was built as events came, at open, or anew.

use chrono::TimeDelta;
use journeylog::{
    Breakdown, BreakdownFrom, Channel, Comparison, Condition, Currency, Durability, Event, Funnel, JourneyModel,
    Journeys, Nth, PropertyValue, Seq, StageCounts, Store, StoreOptions, Touch, Transitions, testing::World,
};

use crate::{event, small_seals};

#[test]
fn store_and_memory_give_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let events = World::new(11).customers(40).events(2_000).make();
    let store = small_seals(dir.path());
    for batch in events.chunks(7) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    let funnel = Funnel::ordered(["product_view", "add_to_cart", "purchase"]).list_customers().build().unwrap();
    let broken_down = [
        Breakdown::channel().from(BreakdownFrom::Each),
        Breakdown::property("p").from(BreakdownFrom::LastDefined),
        Breakdown::property("q").from(BreakdownFrom::Each).limit(3),
        Breakdown::value_bands(Currency::new("EUR").unwrap(), [10.into()]),
        Breakdown::last_touch(Touch::Touchpoint),
    ];
    let steps = || Funnel::ordered(["product_view", "add_to_cart", "purchase"]);
    let broken_down: Vec<Funnel> = broken_down.map(|by| steps().breakdown(by).build().unwrap()).into();
    let stages = StageCounts::default().list_customers();
    let plans = (&funnel, &Transitions::of(JourneyModel::standard()), &stages, &broken_down);
    let expected = Journeys::of(events).unwrap().query().run(plans).unwrap();
    assert!(expected.0.entered > 0);
    assert_eq!(store.query().run(plans).unwrap(), expected);
    // Alone nothing asks for whole events, and a shorter way is taken.
    assert_eq!(store.query().run(&broken_down).unwrap(), expected.3);
    store.close().unwrap();
    let reopened = small_seals(dir.path());
    assert_eq!(reopened.query().run(plans).unwrap(), expected);
    reopened.close().unwrap();
    let rebuilt = StoreOptions::new().fresh_events(300).rebuild_index().open(dir.path()).unwrap();
    assert!(rebuilt.open_report().rebuilt.is_some());
    assert_eq!(rebuilt.query().run(plans).unwrap(), expected);
    rebuilt.close().unwrap();
    assert!(Store::open(dir.path()).unwrap().open_report().rebuilt.is_none());
}

/// One funnel for each channel is that of the events of the channel, from columns on disk as from those in memory, and however many channels
/// there are; so are other questions.
#[test]
fn a_funnel_for_each_channel_is_that_of_its_events() {
    let touchpoints = ["view", "cart", "pay", "other"];
    let mut tied_or_not = [1, 100_000].into_iter().cycle();
    for channels in [1, 2, 3, 8, 9, 12, 16, 17, 40] {
        let (mut random, apart) = (fastrand::Rng::with_seed(channels), tied_or_not.next().unwrap());
        // A block that is read in several pieces too.
        let (customers, count) = if channels == 12 { (2_000, 60_000) } else { (60, 3_000) };
        let channel = |number: u64| Channel::new(format!("c{number}")).unwrap();
        let events: Vec<Event> = (0..count)
            .map(|_| {
                let (customer, touchpoint) =
                    (random.u32(0..customers).to_string(), random.choice(touchpoints).unwrap());
                event(&customer, touchpoint, apart * random.i64(0..50) + random.i64(0..apart))
                    .channel(channel(random.u64(0..channels)))
                    .build()
                    .unwrap()
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path()).unwrap();
        store.append_batch(events.clone()).unwrap();
        store.settle().unwrap();
        assert_eq!((store.stats().unwrap().segments, store.stats().unwrap().fresh_events), (1, 0));
        let memory = Journeys::of(events).unwrap();
        let funnel = || Funnel::ordered(["view", "cart", "pay"]).within(TimeDelta::seconds(apart * 20));
        let each = funnel().breakdown(Breakdown::channel().from(BreakdownFrom::Each).limit(50)).build().unwrap();
        answers_are_the_same(&store, &memory, &[each.clone(), funnel().build().unwrap()]);
        for query in [|store: &Store, _: &Journeys| store.query(), |_: &Store, memory: &Journeys| memory.query()] {
            let query = || query(&store, &memory);
            let groups = query().run(&each).unwrap().breakdown.unwrap().groups;
            assert_eq!(groups.len() as u64, channels);
            let mut went_on = 0;
            for number in 0..channels {
                let name = PropertyValue::from(format!("c{number}"));
                let group = groups.iter().find(|group| group.value == name).unwrap();
                let of_channel = query().filter(Condition::channel(channel(number)));
                let alone = of_channel.run(&funnel().build().unwrap()).unwrap();
                went_on += alone.steps[1].customers;
                assert_eq!(group.figures.steps, alone.steps, "c{number} of {channels}");
                assert_eq!(group.figures.time_since_first_entry, alone.time_since_first_entry);
            }
            assert!(went_on > 20, "{went_on} of {channels}");
        }
        store.close().unwrap();
    }
}

/// Each question is asked alone, so that a shorter way is taken.
fn answers_are_the_same(store: &Store, memory: &Journeys, funnels: &[Funnel]) {
    for funnel in funnels {
        assert_eq!(store.query().run(funnel).unwrap(), memory.query().run(funnel).unwrap());
    }
    let touchpoint = |name| Condition::touchpoint(name).unwrap();
    let model = JourneyModel::builder("shop", ["looking", "buying", "staying"])
        .rule_nth(touchpoint("pay"), Nth::From { from: 2 }, "staying")
        .rule(touchpoint("pay"), "buying")
        .rule(touchpoint("view"), "looking");
    let model = model.build().unwrap();
    let moves = Transitions::of(model.clone());
    let moved = store.query().run(&moves).unwrap();
    assert!(moved.skips > 50 && moved.regressions > 50);
    assert_eq!(moved, memory.query().run(&moves).unwrap());
    let stages = StageCounts::of(model);
    assert_eq!(store.query().run(&stages).unwrap(), memory.query().run(&stages).unwrap());
}

#[test]
fn segments_stay_few() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for batch in World::new(12).customers(100).events(10_000).make().chunks(25) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    store.close().unwrap();
    let endings = |ending: &str| {
        let files = std::fs::read_dir(dir.path().join("index")).unwrap();
        files.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
    };
    for ending in ["segment", "ids", "names"] {
        assert!((1..16).contains(&endings(ending)), "{} {ending}", endings(ending));
    }
    assert_eq!(endings("tmp"), 0);
}

/// A manifest that could not be written once (the disk was full, no file could be opened) made the next seal write the same
/// events into a second segment: every journey had them twice.
#[test]
fn a_manifest_that_could_not_be_written_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().fresh_events(100).durability(Durability::Flushed).open(dir.path()).unwrap();
    let events = World::new(5).customers(20).events(1_500).make();
    let obstacle = dir.path().join("index/MANIFEST.tmp");
    let mut failed = false;
    for (i, batch) in events.chunks(5).enumerate() {
        match i {
            // A seal may be under way, whose own file has that name for a moment.
            60 => while std::fs::create_dir(&obstacle).is_err() {},
            80 => {
                std::thread::sleep(std::time::Duration::from_millis(300));
                failed = store.stats().unwrap().index_error.is_some();
                let _ = std::fs::remove_dir(&obstacle);
            }
            _ => {}
        }
        // There is no room for more than four seals; then appends are refused until one succeeds.
        while store.append_batch(batch.to_vec()).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let _ = std::fs::remove_dir(&obstacle);
        }
    }
    assert!(failed, "the obstacle was none");
    let plan = StageCounts::default().list_customers();
    let moves = Transitions::of_question();
    let expected = Journeys::of(events).unwrap().query().run((&plan, &moves)).unwrap();
    assert_eq!(store.query().run((&plan, &moves)).unwrap(), expected);
    store.close().unwrap();
    let store = small_seals(dir.path());
    assert_eq!(store.query().run((&plan, &moves)).unwrap(), expected);
    assert_eq!(store.stats().unwrap().index_error, None);
}

/// Each property name took a number for every event: a few thousand names of one event each took all memory.
#[test]
fn names_of_few_events_take_little() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let event = |i: u32| event("c", "t", i.into()).property(format!("key-{i}"), i).build().unwrap();
    for first in (0..6_000).step_by(1_000) {
        store.append_batch((first..first + 1_000).map(event)).unwrap();
    }
    store.close().unwrap();
    let store = small_seals(dir.path());
    let bytes = store.stats().unwrap().index_bytes;
    // A bit for each event and name alone would be 4.5 MB.
    assert!(bytes < 1_000_000, "{bytes}");
    let one = Condition::property("key-4711", Comparison::Eq(4_711_u32.into()));
    let funnel = Funnel::ordered([one]).list_customers().build().unwrap();
    let served = store.query().run(&funnel).unwrap().customers.unwrap().remove(0).events.remove(0);
    assert_eq!(served.seq, Seq(4_712));
}
