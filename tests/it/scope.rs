//! Scopes: ranges, `as_of`, `known_at`, filters and customers mean what section 7 of the definitions says.

use chrono::TimeDelta;
use journeylog::{
    Condition, CustomerId, Event, Funnel, FunnelReport, JourneyModel, Scope, Seq,
    testing::{World, oracle},
};

use crate::given::{any_model, any_scope, day, each_world, everything, given, journeys};

fn funnel(events: &[Event], scope: Scope) -> FunnelReport {
    let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::days(7)).build().unwrap();
    let report = journeys(events).query().scope(scope.clone()).run(&funnel).unwrap();
    oracle::funnel(events, &funnel, &JourneyModel::standard(), &scope).agrees(&report).unwrap();
    report
}

fn seen(events: &[Event], scope: Scope) -> Vec<u64> {
    let seqs = journeys(events).query().scope(scope.clone()).run(everything()).unwrap();
    assert_eq!(seqs, oracle::seen(events, &JourneyModel::standard(), &scope), "the oracle agrees");
    seqs.into_iter().map(Seq::get).collect()
}

#[test]
fn a_range_limits_entries_and_not_what_follows() {
    let events = given(&["ann 0 view", "ann 3 pay", "bob 2 view", "bob 8 pay", "cat 4 view", "cat 5 pay"]);
    let report = funnel(&events, Scope::all().between(day(2.0)..day(4.0)));
    // Ann entered before, Cat at the end, which is not in. Bob entered on its first day and paid after it.
    assert_eq!((report.entered, report.converted), (1, 1));
    assert_eq!(funnel(&events, Scope::all().from(day(2.0))).entered, 2);
    assert_eq!(funnel(&events, Scope::all().to(day(2.0))).entered, 1);
    assert_eq!(funnel(&events, Scope::all().to(day(2.000_001))).entered, 2);
    assert_eq!(seen(&events, Scope::all().between(day(2.0)..day(4.0))).len(), 6, "a journey is never cut");
}

#[test]
fn an_entry_in_the_range_counts_though_an_earlier_one_does_not() {
    let events = given(&["ann 0 view", "ann 3 view", "ann 4 pay"]);
    let report = funnel(&events, Scope::all().from(day(1.0)));
    assert_eq!(report.steps[1].time_to_reach.unwrap().median, 86_400.0);
    assert_eq!(report.time_since_first_entry.unwrap().median, 4.0 * 86_400.0, "from the first ever");
}

#[test]
fn observation_ends_with_its_last_moment_in() {
    let events = given(&["ann 0 view", "ann 3 pay", "bob 9 view"]);
    assert_eq!(seen(&events, Scope::all().as_of(day(3.0))), [1, 2]);
    assert_eq!(seen(&events, Scope::all().as_of(day(3.0) - TimeDelta::microseconds(1))), [1]);
    // On day 2 Ann had not paid, and still could.
    let report = funnel(&events, Scope::all().as_of(day(2.0)));
    assert_eq!((report.entered, report.converted, report.pending), (1, 0, 1));
    // Observation may end after the last event: by then all windows are over.
    assert_eq!(funnel(&events, Scope::all()).pending, 1);
    assert_eq!(funnel(&events, Scope::all().as_of(day(99.0))).pending, 0);
}

#[test]
fn known_at_sees_the_log_as_it_was() {
    let events = given(&["ann 0 view", "bob 9 view", "ann 3 pay"]);
    assert_eq!(seen(&events, Scope::all().known_at(Seq(2))), [1, 2]);
    assert_eq!(seen(&events, Scope::all().known_at(Seq::ZERO)), [] as [u64; 0]);
    assert_eq!(funnel(&events, Scope::all().known_at(Seq(2))).converted, 0);
    // Observation ends with the last event that was known: Ann's window was open when only her view was.
    assert_eq!(funnel(&events, Scope::all().known_at(Seq(1))).pending, 1);
    assert_eq!(funnel(&events, Scope::all().known_at(Seq(2))).pending, 1); // Bob; Ann's was over on day 9
}

#[test]
fn a_filter_leaves_only_events_for_which_it_holds() {
    let at = |name: &str| Condition::touchpoint(name).unwrap();
    let events = given(&["ann 0 view", "ann 1 other", "ann 3 pay"]);
    let strict = Funnel::strict(["view", "pay"]).build().unwrap();
    let converted = |scope| journeys(&events).query().scope(scope).run(&strict).unwrap().converted;
    assert_eq!(converted(Scope::all()), 0);
    assert_eq!(converted(Scope::all().filter(at("view").or(at("pay")))), 1, "as if the log held no others");
    assert_eq!(seen(&events, Scope::all().filter(at("other"))), [2]);
    assert_eq!(seen(&events, Scope::all().filter(Condition::stage("consideration").unwrap())), [] as [u64; 0]);
}

/// Of two purchases the second bears retention. If only retention is seen, the model reads what is left anew, in which
/// it is the first.
#[test]
fn a_filter_by_stage_reads_stages_before_it_and_the_question_after_it() {
    let events = given(&["ann 0 purchase", "ann 1 purchase"]);
    let scope = Scope::all().filter(Condition::stage("retention").unwrap());
    assert_eq!(seen(&events, scope.clone()), [2]);
    let count = journeys(&events).query().scope(scope.clone()).run(&journeylog::StageCounts::of_question()).unwrap();
    assert_eq!(
        count.stages,
        oracle::stages(&events, &JourneyModel::standard(), None, (&JourneyModel::standard(), &scope)).stages
    );
    assert_eq!(count.count("purchase"), 1);
}

#[test]
fn only_the_named_customers_are_seen() {
    let events = given(&["ann 0 view", "bob 1 view", "cat 2 view"]);
    let ids = |ids: &[&str]| ids.iter().map(|id| CustomerId::new(id).unwrap()).collect::<Vec<_>>();
    assert_eq!(seen(&events, Scope::all().customers(ids(&["cat", "ann", "ann", "nobody"]))), [1, 3]);
    assert_eq!(seen(&events, Scope::all().customers(ids(&[]))), [] as [u64; 0]);
}

#[test]
fn a_second_event_with_an_id_is_not_in_the_log() {
    let event = |day_of, id| Event::at(day(day_of), "ann", "view").id(id).build().unwrap();
    let events = [event(0.0, "a"), event(1.0, "a"), event(2.0, "b")];
    assert_eq!(seen(&events, Scope::all()), [1, 2], "sequences have no gaps");
    assert_eq!(funnel(&events, Scope::all()).steps[0].pending, 1);
}

#[test]
fn a_range_that_holds_nothing_is_refused() {
    let scope = Scope::all().between(day(3.0)..day(3.0));
    let refused = journeys(&[]).query().scope(scope).run(everything()).unwrap_err().to_string();
    assert!(refused.contains("scope: the range ends before it begins"), "{refused}");
}

#[test]
fn random_scopes_see_the_same_events() {
    let make = |seed| {
        let world = World::new(seed).customers(4).events(14).instants(6).span(TimeDelta::days(5));
        if seed % 10 == 0 { world.extreme_times().make() } else { world.make() }
    };
    each_world(5_000, make, |seed, events| {
        let (scope, model) = (any_scope(seed), any_model(seed));
        let expected = oracle::seen(events, &model, &scope);
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let found = query.run(everything()).map_err(|e| e.to_string())?;
        if found == expected {
            return Ok(());
        }
        Err(format!("{}\nexpected {expected:?}, got {found:?}", serde_json::json!([scope, model])))
    });
}
