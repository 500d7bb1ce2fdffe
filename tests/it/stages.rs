//! Customers by stage: by hand, and against the oracle.

use journeylog::{
    Event, JourneyModel, Period, Scope, Seq, StageCounts, StageCountsReport,
    testing::{World, differences, oracle},
};

use crate::given::{any_model, any_scope, day, each_world, given, journeys};

fn ask(events: &[Event], every: Option<Period>, scope: Scope) -> StageCountsReport {
    let plan = StageCounts::of(JourneyModel::standard()).list_customers();
    let plan = every.map_or(plan.clone(), |period| plan.every(period));
    let report = journeys(events).query().scope(scope.clone()).run(&plan).unwrap();
    assert_eq!(
        report,
        oracle::stages(events, &JourneyModel::standard(), every, (&JourneyModel::standard(), &scope)),
        "the oracle agrees"
    );
    report
}

#[test]
fn the_current_stage_is_that_of_the_latest_event_that_has_one() {
    // The cart arrives late, after the purchase that came after it.
    let lines = ["ann 0 ad_click", "ann 5 purchase", "ann 2 cart", "ann 9 support", "bob 1 cart", "cat 1 support"];
    let report = ask(&given(&lines), None, Scope::all());
    assert_eq!((report.count("purchase"), report.count("consideration"), report.count("awareness")), (1, 1, 0));
    assert_eq!(report.without_stage, 1);
    assert_eq!(report.stages[2].share.of, 3);
    assert_eq!(report.count("no such stage"), 0);
    let ann = &report.customers.unwrap()[0];
    assert_eq!((ann.stage.as_ref().unwrap().as_str(), ann.since), ("purchase", Some(day(5.0))));
}

#[test]
fn since_when_is_the_first_event_of_the_visit() {
    let report = ask(&given(&["ann 0 cart", "ann 1 ad_click", "ann 2 cart", "ann 4 checkout"]), None, Scope::all());
    assert_eq!(report.customers.unwrap()[0].since, Some(day(2.0)));
}

#[test]
fn what_was_true_then_and_what_was_known_then_are_two_questions() {
    let events = given(&["ann 0 ad_click", "ann 5 purchase", "ann 2 cart"]);
    let stage = |scope| {
        let report = ask(&events, None, scope);
        report.customers.unwrap().first().and_then(|one| one.stage.clone()).map(|stage| stage.as_str().to_owned())
    };
    assert_eq!(stage(Scope::all().as_of(day(2.0))).as_deref(), Some("consideration"));
    assert_eq!(stage(Scope::all().as_of(day(1.999))).as_deref(), Some("awareness"));
    assert_eq!(stage(Scope::all().as_of(day(-1.0))), None);
    assert_eq!(stage(Scope::all().known_at(Seq(1))).as_deref(), Some("awareness"));
    assert_eq!(stage(Scope::all().known_at(Seq(2))).as_deref(), Some("purchase"));
    // Both: on day 3, by what was known before the cart arrived.
    assert_eq!(stage(Scope::all().as_of(day(3.0)).known_at(Seq(2))).as_deref(), Some("awareness"));
    assert_eq!(stage(Scope::all().as_of(day(3.0)).known_at(Seq(3))).as_deref(), Some("consideration"));
    // A range plays no part: a stage is a state.
    assert_eq!(stage(Scope::all().between(day(3.0)..day(4.0))).as_deref(), Some("purchase"));
}

#[test]
fn over_time_each_period_ends_with_its_counts() {
    let lines = ["ann 0.2 ad_click", "ann 2.5 cart", "bob 1 ad_click", "bob 2.9 support"];
    let moments = ask(&given(&lines), Some(Period::DAY), Scope::all()).over_time.unwrap();
    let seen: Vec<_> = moments.iter().map(|m| (m.period, m.finished, m.customers[0], m.customers[1])).collect();
    assert_eq!(
        seen,
        [(day(0.0), true, 1, 0), (day(1.0), true, 2, 0), (day(2.0), false, 1, 1)] // Bob's support bears no stage.
    );
    // What happens at midnight belongs to the next day; the end of observation is the end of the last count.
    let moments = ask(&given(&lines), Some(Period::DAY), Scope::all().as_of(day(1.0))).over_time.unwrap();
    let seen: Vec<_> = moments.iter().map(|m| (m.finished, m.customers[0])).collect();
    assert_eq!(seen, [(true, 1), (false, 2)]);
    assert_eq!(ask(&given(&["ann 0 support"]), Some(Period::DAY), Scope::all()).over_time, Some(Vec::new()));
}

#[test]
fn months_and_weeks_are_those_of_the_calendar() {
    // 1970-01-01 was a Thursday.
    let lines = ["ann 0 ad_click", "ann 40 cart"];
    let starts = |period| -> Vec<_> {
        let moments = ask(&given(&lines), Some(period), Scope::all()).over_time.unwrap();
        moments.iter().map(|m| m.period).collect()
    };
    assert_eq!(starts(Period::MONTH), [day(0.0), day(31.0)]);
    assert_eq!(starts(Period::WEEK)[..2], [day(-3.0), day(4.0)]);
    assert_eq!(starts(Period::WEEK).len(), 7);
}

#[test]
fn too_many_periods_are_refused() {
    let event = |at| Event::at(at, "ann", "cart").build().unwrap();
    let events = [event(chrono::DateTime::<chrono::Utc>::MIN_UTC), event(chrono::DateTime::<chrono::Utc>::MAX_UTC)];
    let refused = journeys(&events).query().run(&StageCounts::of_question().every(Period::DAY)).unwrap_err();
    assert!(refused.is_limit(), "{refused}");
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    let make = |seed| {
        let world = World::new(seed).customers(3).events(14).touchpoints(9).instants(6);
        if seed % 10 == 0 { world.extreme_times().make() } else { world.make() }
    };
    each_world(5_000, make, |seed, events| {
        // The scope is read in the question's model, the stages in the plan's.
        let (model, of_question, scope) = (any_model(seed), any_model(seed / 3), any_scope(seed));
        let periods = [None, Some(Period::DAY), Some(Period::WEEK), Some(Period::MONTH), Some(Period::HOUR)];
        let every = if seed % 10 == 0 { None } else { periods[usize::try_from(seed % 11 % 5).unwrap()] };
        let expected = oracle::stages(events, &model, every, (&of_question, &scope));
        let plan = StageCounts::of(model).list_customers();
        let plan = every.map_or(plan.clone(), |period| plan.every(period));
        let query = journeys(events).query().scope(scope.clone()).model(of_question);
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&expected, &report).map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

/// Days of New York begin at four or five in the morning of UTC.
#[cfg(feature = "zones")]
#[test]
fn periods_are_named_by_the_clock_of_their_place() {
    let day = Period::DAY.zone(journeylog::Zone::named("America/New_York").unwrap());
    let events = given(&["ann 10 cart", "bob 11.1 purchase", "ann 12 ad_click"]);
    let report = journeys(&events).query().run(&StageCounts::of_question().every(day)).unwrap();
    let text = report.to_string();
    assert!(text.contains("| 1970-01-10   |         0 |             1 |        0 |"), "{text}");
    assert!(text.contains("| 1970-01-12 * |") && !text.contains("05:00"), "{text}");
}
