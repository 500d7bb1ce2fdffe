//! The index says what the log says, whether it was built as events came, at open, or anew.

use journeylog::{Funnel, JourneyModel, Journeys, StageCounts, Store, StoreOptions, Transitions, testing::World};

use crate::small_seals;

#[test]
fn store_and_memory_give_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let events = World::new(11).customers(40).events(2_000).make();
    let store = small_seals(dir.path());
    for batch in events.chunks(7) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    let funnel = Funnel::ordered(["product_view", "add_to_cart", "purchase"]).list_customers().build().unwrap();
    let plans = (&funnel, &Transitions::of(JourneyModel::standard()), &StageCounts::default().list_customers());
    let expected = Journeys::of(events).unwrap().query().run(plans).unwrap();
    assert!(expected.0.entered > 0);
    assert_eq!(store.query().run(plans).unwrap(), expected);
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
