//! Conformance to a pattern: by hand, and against the oracle.

use journeylog::{
    DeviationKind, JourneyModel, Pattern, PatternConformance, PatternConformanceReport, Scope,
    testing::{World, check_laws, check_names, differences, oracle},
};

use crate::given::{any_model, any_pattern_conformance, any_scope, day, each_world, given, journeys};

use DeviationKind::{OutOfOrder, Repeated, Skipped, Unexpected};

fn designed() -> PatternConformance {
    let pattern = Pattern::starting_with("view").then("cart").then("pay").build().unwrap();
    PatternConformance::to(pattern).unwrap().unexpected("support").unwrap().list_customers()
}

fn ask(lines: &[&str], scope: Scope) -> PatternConformanceReport {
    let (events, plan) = (given(lines), designed());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::pattern_conformance(&events, &plan, &JourneyModel::default(), &scope), &report).unwrap();
    report
}

/// Of a single journey: kinds, steps and days of its deviations.
fn alone(lines: &[&str]) -> Vec<(DeviationKind, Option<u64>, i64)> {
    let listed = ask(lines, Scope::all()).listed.unwrap();
    let day = |at: chrono::DateTime<chrono::Utc>| at.timestamp() / 86_400;
    listed[0].deviations.iter().map(|one| (one.kind, one.step, day(one.at))).collect()
}

/// A table of a byte for each event and each step took its room before any limit was looked at.
#[test]
fn a_long_journey_takes_no_memory() {
    let lines: Vec<String> = (0..50_000).map(|day| format!("ann {day} view")).collect();
    let events = given(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let plan = Pattern::starting_with("view").then("cart").then("pay").build().unwrap();
    let plan = PatternConformance::to(plan).unwrap();
    let report = journeys(&events).query().memory(10_000).run(&plan).unwrap();
    assert_eq!((report.deviations[0].kind, report.deviations[0].count), (Repeated, 49_999));
    assert!(journeys(&events).query().memory(10_000).run(&plan.list_customers()).unwrap_err().is_limit());
}

#[test]
fn each_kind_of_deviation() {
    assert_eq!(alone(&["ann 0 view", "ann 1 search", "ann 2 cart", "ann 3 pay"]), []);
    assert_eq!(alone(&["ann 0 view", "ann 3 pay"]), [(Skipped, Some(2), 3)]);
    assert_eq!(alone(&["ann 0 pay"]), [(Skipped, Some(1), 0), (Skipped, Some(2), 0)]);
    assert_eq!(alone(&["ann 0 view", "ann 1 view", "ann 2 cart"]), [(Repeated, Some(1), 1)]);
    assert_eq!(alone(&["ann 0 cart", "ann 1 view", "ann 2 pay"]), [(OutOfOrder, Some(2), 0)]);
    // What comes before its turn does so, also if it comes again when it is its turn.
    assert_eq!(alone(&["ann 0 cart", "ann 1 view", "ann 2 cart"]), [(OutOfOrder, Some(2), 0)]);
    assert_eq!(alone(&["ann 0 view", "ann 1 cart", "ann 2 cart"]), [(Repeated, Some(2), 2)]);
    assert_eq!(alone(&["ann 0 view", "ann 1 support"]), [(Unexpected, None, 1)]);
    // What was before the first step is no part of the journey.
    assert_eq!(alone(&["ann 0 support", "ann 1 view"]), []);
}

#[test]
fn journeys_that_are_not_over_fit() {
    let report =
        ask(&["ann 0 view", "ann 1 cart", "bob 0 view", "bob 1 cart", "bob 2 pay", "cat 0 support"], Scope::all());
    assert_eq!((report.customers, report.fits.some, report.completed.some), (2, 2, 1));
    assert_eq!(report.steps.iter().map(|step| step.served.some).collect::<Vec<_>>(), [2, 2, 1]);
    let later = ask(&["ann 0 view", "ann 3 cart", "bob 3 pay"], Scope::all().from(day(2.0)));
    assert_eq!((later.customers, later.fits.some), (1, 0));
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    let make = |seed| {
        let world = World::new(seed).customers(3).events(18).touchpoints(9).instants(8);
        if seed % 10 == 0 { world.extreme_times().make() } else { world.make() }
    };
    each_world(3_000, make, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_pattern_conformance(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::pattern_conformance(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn conformance_keeps_the_laws() {
    let larger = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    let pattern = Pattern::starting_with("product_view").then("add_to_cart").then("purchase").build().unwrap();
    let plan = PatternConformance::to(pattern).unwrap();
    each_world(60, larger, |seed, events| {
        let listing = plan.clone().list_customers();
        check_laws(&listing, events).map_err(|broken| broken.to_string())?;
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}
