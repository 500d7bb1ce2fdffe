//! What public types can do, and what they never show.

use journeylog::{
    Answer, Breakdown, Customer, Error, Event, Feedback, Funnel, FunnelReport, InvalidPlan, InvalidValue, JourneyModel,
    Journeys, Names, Query, Question, Receipt, Snapshot, StageCounts, Store, StoreOptions, Transitions,
    TransitionsReport,
};

#[test]
fn handles_and_values_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Store>();
    crosses::<Snapshot>();
    crosses::<Query>();
    crosses::<Journeys>();
    crosses::<Names>();
    crosses::<Customer>();
    crosses::<Event>();
    crosses::<Receipt>();
    crosses::<StoreOptions>();
    crosses::<JourneyModel>();
    crosses::<(Funnel, Breakdown, Transitions, StageCounts, Question)>();
    crosses::<(FunnelReport, TransitionsReport, Answer)>();
    crosses::<(Error, InvalidPlan, InvalidValue)>();
}

#[test]
fn handles_are_cheap_to_clone() {
    fn clones<T: Clone>() {}
    clones::<Store>();
    clones::<Snapshot>();
    clones::<Query>();
    clones::<Journeys>();
}

#[test]
fn debug_shows_no_person() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let secret = |text: &str| format!("secret-{text}");
    let event = Event::at("2026-03-01T00:00:00Z".parse().unwrap(), secret("customer"), "view")
        .id(secret("id"))
        .feedback(Feedback::nps(3).unwrap().with_comment(secret("comment")).unwrap())
        .property("phone", secret("phone"));
    let shown = [
        format!("{event:?}"),
        format!("{:?}", store.append(event.clone()).unwrap()),
        format!("{store:?}"),
        format!("{:?}", store.snapshot()),
        format!("{:?}", store.query()),
        format!("{:?}", store.customer(&secret("customer")).unwrap()),
        format!("{:?}", Journeys::of([event]).unwrap()),
    ];
    for text in shown {
        assert!(!text.contains("secret"), "{text}");
    }
}
