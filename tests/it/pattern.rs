//! Patterns: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Condition, JourneyModel, Pattern, PatternBuilder, PatternMatches, PatternReport, Scope,
    testing::{World, check_arrival, check_laws, check_names, differences, oracle},
};

use crate::given::{any_matches, any_model, any_scope, day, each_world, given, journeys};

fn ask(lines: &[&str], pattern: PatternBuilder, scope: Scope) -> PatternReport {
    let (events, plan) = (given(lines), PatternMatches::of(pattern.build().unwrap()).list_customers());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::pattern(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

/// The matches of the first customer who has any: the days and steps of their events.
fn matches(report: &PatternReport) -> Vec<String> {
    let first = report.listed.as_ref().unwrap().first();
    let text =
        |event: &journeylog::PatternEvent| format!("{}:{}", event.step, (event.occurred_at - day(0.0)).num_days());
    let one = |found: &journeylog::PatternMatch| found.events.iter().map(text).collect::<Vec<_>>().join(" ");
    first.map_or(Vec::new(), |one_customer| one_customer.matches.iter().map(one).collect())
}

/// Events of Ann, one each day.
fn daily(touchpoints: &str) -> Vec<String> {
    touchpoints.split(' ').enumerate().map(|(day, touchpoint)| format!("ann {day} {touchpoint}")).collect()
}

fn found(touchpoints: &str, pattern: PatternBuilder) -> Vec<String> {
    let lines = daily(touchpoints);
    matches(&ask(&lines.iter().map(String::as_str).collect::<Vec<_>>(), pattern, Scope::all()))
}

fn a() -> PatternBuilder {
    Pattern::starting_with("a")
}

#[test]
fn a_match_ends_first_and_then_begins_last() {
    assert_eq!(found("a a b a b b", a().then("b")), ["1:1 2:2", "1:3 2:4"]);
    // The events between are as late as they can be.
    assert_eq!(found("a x b b x c", a().then("b").then("c")), ["1:0 2:3 3:5"]);
    // Overlapping ones are not counted.
    assert_eq!(found("a b a b a", a().then("b").then("a")), ["1:0 2:1 3:2"]);
    assert_eq!(found("b a", a().then("b")), [""; 0]);
}

#[test]
fn directly_is_the_next_event() {
    assert_eq!(found("a x b a b", a().directly("b")), ["1:3 2:4"]);
    assert_eq!(found("a x b a b", a().then("b")), ["1:0 2:2", "1:3 2:4"]);
    let any = Condition::All(vec![]);
    assert_eq!(found("a x b", a().directly(any).directly("b")), ["1:0 2:1 3:2"]);
}

#[test]
fn steps_repeat() {
    let twice = || a().at_least(2);
    assert_eq!(found("a x a b a b", twice().then("b")), ["1:0 1:2 2:3"]);
    // Any number more, but as few as are needed: it begins last.
    assert_eq!(found("a a a b", twice().then("b")), ["1:1 1:2 2:3"]);
    let then_as = |least, most| Pattern::starting_with("x").directly("a").at_least(least).at_most(most).directly("b");
    assert_eq!(found("x a a a b", then_as(1, 2)), [""; 0]);
    assert_eq!(found("x a a a b", then_as(1, 3)), ["1:0 2:1 2:2 2:3 3:4"]);
    // A step that may be left out.
    assert_eq!(found("x b x a b", then_as(0, 1)), ["1:0 3:1", "1:2 2:3 3:4"]);
    let optional = Pattern::starting_with("x").then("a").at_least(0).then("b");
    assert_eq!(found("x a a b", optional), ["1:0 2:1 2:2 3:3"]);
}

#[test]
fn windows_are_inclusive() {
    let just_less = TimeDelta::days(2) - TimeDelta::microseconds(1);
    assert_eq!(found("a x b", a().then("b").step_within(TimeDelta::days(2))), ["1:0 2:2"]);
    assert_eq!(found("a x b", a().then("b").step_within(just_less)), [""; 0]);
    assert_eq!(found("a x b", a().then("b").within(TimeDelta::days(2))), ["1:0 2:2"]);
    assert_eq!(found("a x b", a().then("b").within(just_less)), [""; 0]);
    // Of two chains to c, the one began later and the other went on later: each may be the one that is in time.
    let both = |step: i64, all: i64| {
        let c = Pattern::starting_with("s").then("a").then("c").step_within(TimeDelta::days(step));
        found("s s a x x c", c.within(TimeDelta::days(all)))
    };
    assert_eq!(both(3, 4), ["1:1 2:2 3:5"]);
    assert_eq!((both(2, 9), both(3, 3)), (vec![], vec![]));
}

#[test]
fn not_between_stops_a_chain() {
    let clean = || a().then("b").not_between("x");
    assert_eq!(found("a x b", clean()), [""; 0]);
    assert_eq!(found("a x a b", clean()), ["1:2 2:3"]);
    // Neither the event itself nor the one before it lies between.
    assert_eq!(found("a b", a().then("b").not_between(Condition::All(vec![]))), ["1:0 2:1"]);
    // Of a step that repeats, between its events too.
    let twice = Pattern::starting_with("s").then("a").at_least(2).not_between("x").then("b");
    assert_eq!(found("s a x a a b", twice.clone()), [""; 0]);
    assert_eq!(found("s a a x b", twice), ["1:0 2:1 2:2 3:4"]);
}

#[test]
fn rates_and_lengths() {
    let lines = ["ann 0 a", "ann 1 b", "ann 2 a", "ann 5 b", "bob 0 a", "cat 0 b", "dan 0 x"];
    let report = ask(&lines, a().then("b"), Scope::all());
    assert_eq!((report.customers, report.matches), (4, 2));
    assert_eq!((report.matched.some, report.matched.of, report.of_started.of), (1, 4, 2));
    let duration = report.duration.unwrap();
    assert_eq!((duration.median, duration.p90), (86_400.0, 3.0 * 86_400.0));
    let text = report.to_string();
    assert!(text.contains("1.0 d") && text.contains("25.0 %"), "{text}");
    // A range says where matches begin.
    let report = ask(&lines, a().then("b"), Scope::all().between(day(1.5)..day(3.0)));
    assert_eq!((report.customers, report.matches, matches(&report)), (1, 1, vec!["1:2 2:5".to_owned()]));
    let report = ask(&lines, a().then("b"), Scope::all().as_of(day(4.0)));
    assert_eq!((report.customers, report.matches), (4, 1));
    assert_eq!(ask(&[], a(), Scope::all()).matched.share, None);
}

fn small_world(seed: u64) -> Vec<journeylog::Event> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x51);
    let world = World::new(seed).customers(rng.usize(1..=2)).events(rng.usize(1..=9)).touchpoints(rng.usize(1..=4));
    world.instants(rng.u32(1..=9)).span(TimeDelta::days(8)).make()
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(8_000, small_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_matches(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::pattern(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn the_ends_of_time_are_like_all_other_times() {
    let world = |seed| World::new(seed).extreme_times().events(8).make();
    each_world(500, world, |seed, events| {
        let (model, scope) = (JourneyModel::standard(), any_scope(seed));
        for gap in [0, 1, i64::MAX] {
            let gap = TimeDelta::microseconds(gap);
            let pattern = Pattern::starting_with("product_view").then("add_to_cart").step_within(gap).within(gap);
            let plan = PatternMatches::of(pattern.build().unwrap()).list_customers();
            let report = journeys(events).query().scope(scope.clone()).run(&plan).map_err(|e| e.to_string())?;
            differences(&oracle::pattern(events, &plan, &model, &scope), &report)?;
        }
        Ok(())
    });
}

#[test]
fn patterns_keep_the_laws() {
    let larger = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    each_world(60, larger, |seed, events| check_laws(&any_matches(seed), events).map_err(|broken| broken.to_string()));
}

#[test]
fn arrival_matters_only_where_events_are_tied() {
    let make = |seed| {
        let mut events = small_world(seed);
        let mut taken = std::collections::HashSet::new();
        events.retain(|event| taken.insert((event.customer().clone(), event.occurred_at())));
        events
    };
    each_world(500, make, |seed, events| {
        let plan = any_matches(2 * seed + 1);
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

/// A search that went back to the next event after each that leads nowhere would look at 10^10 pairs.
#[test]
fn a_long_journey_is_read_once() {
    let touchpoint = |i: i64| if i % 2 == 0 { "a" } else { "x" };
    let event = |i| journeylog::Event::at(day(0.0) + TimeDelta::seconds(i), "ann", touchpoint(i));
    let journeys = journeylog::Journeys::of((0..200_000).map(event)).unwrap();
    let window = TimeDelta::days(1);
    let pattern = a().at_least(3).step_within(window).then("a").step_within(window).then("b").within(window);
    let begun = std::time::Instant::now();
    let report = journeys.query().run(&PatternMatches::of(pattern.build().unwrap()).list_customers()).unwrap();
    assert_eq!(report.matches, 0);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
