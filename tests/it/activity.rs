//! Lifecycle and stickiness: by hand, and against the oracles.

use journeylog::{
    Event, JourneyModel, Lifecycle, LifecyclePhase, LifecycleReport, Period, Scope, Stickiness, StickinessReport,
    testing::{check_arrival, check_bystander, check_laws, check_names, differences, oracle},
};

use crate::given::{
    any_lifecycle, any_model, any_scope, any_stickiness, day, each_world, given, journeys, periodic_world,
};

fn lifecycle(lines: &[&str], period: Period, scope: Scope) -> LifecycleReport {
    let (events, plan) = (given(lines), Lifecycle::of("visit", period).unwrap().list_customers());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::lifecycle(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

fn stickiness(lines: &[&str], of: u32, scope: Scope) -> StickinessReport {
    let (events, plan) = (given(lines), Stickiness::of("visit", Period::DAY, of).unwrap().list_customers());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::stickiness(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

/// New, returning, resurrected, dormant.
fn rows(report: &LifecycleReport) -> Vec<[u64; 4]> {
    report.periods.iter().map(|row| [row.new, row.returning, row.resurrected, row.dormant]).collect()
}

const LINES: [&str; 8] = [
    "ann 0.1 visit",
    "ann 0.9 visit",
    "ann 1.5 visit",
    "ann 4.5 visit",
    "bob 1 visit",
    "bob 2 visit",
    "bob 2 visit",
    "cat 4.6 support",
];

#[test]
fn each_period_tells_who_is_new_still_there_back_and_gone() {
    let report = lifecycle(&LINES, Period::DAY, Scope::all());
    assert_eq!(rows(&report), [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]]);
    let finished: Vec<bool> = report.periods.iter().map(|row| row.finished).collect();
    assert_eq!(finished, [true, true, true, true, false]);
    assert!(
        report.to_string().contains("| 1970-01-05 * |      1 |   0 |         0 |           1 |       0 |"),
        "{report}"
    );
    assert_eq!(rows(&lifecycle(&["ann 0 support"], Period::DAY, Scope::all())), [[0; 4]; 0]);
}

#[test]
fn customers_behind_each_number_are_listed() {
    use LifecyclePhase::{Dormant, New, Resurrected, Returning};
    let report = lifecycle(&LINES, Period::DAY, Scope::all());
    let listed = report.customers.as_ref().unwrap();
    let phases = |place: usize| listed[place].periods.iter().map(|row| row.phase).collect::<Vec<_>>();
    assert_eq!((listed.len(), listed[0].customer.as_str()), (2, "ann"));
    assert_eq!((phases(0), phases(1)), (vec![New, Returning, Dormant, Resurrected], vec![New, Returning, Dormant]));
    assert_eq!(listed[0].periods[2].period, day(2.0));
    assert!(report.to_string().contains("| ann      | 1970-01-03 | dormant     |"), "{report}");
}

#[test]
fn a_range_counts_what_is_in_it_and_reads_what_is_not() {
    let range = Scope::all().between(day(1.6)..day(4.0));
    // Ann was active on the first days of the range before it began, and comes back after its end.
    assert_eq!(rows(&lifecycle(&LINES, Period::DAY, range)), [[0, 1, 0, 1], [0, 0, 0, 1]]);
    // Of its days only those that it holds wholly are finished.
    let finished = |from, to| {
        let report = lifecycle(&LINES, Period::DAY, Scope::all().between(day(from)..day(to)));
        report.periods.iter().map(|row| row.finished).collect::<Vec<_>>()
    };
    assert_eq!(finished(1.4, 4.0), [false, true, true]);
    assert_eq!(finished(1.0, 3.0), [true, true]);
    assert_eq!(finished(1.0, 2.5), [true, false]);
    // A day of which the range holds a part counts whom it finds there, and everybody else who fell silent.
    let range = Scope::all().from(day(4.55));
    assert_eq!(rows(&lifecycle(&LINES, Period::DAY, range)), [[0; 4]; 0]);
    let range = Scope::all().between(day(3.5)..day(3.6));
    assert_eq!(rows(&lifecycle(&LINES, Period::DAY, range)), [[0, 0, 0, 1]]);
}

#[test]
fn stickiness_counts_distinct_periods_of_the_last_ones() {
    let report = stickiness(&LINES, 4, Scope::all());
    assert_eq!((report.from, report.finished, report.active, report.mean), (day(1.0), false, 2, Some(2.0)));
    let customers: Vec<_> = report.rows.iter().map(|row| (row.exactly.some, row.at_least.some)).collect();
    assert_eq!(customers, [(0, 2), (2, 2), (0, 0), (0, 0)]);
    // Before the range ends, and only what it holds.
    let report = stickiness(&LINES, 2, Scope::all().between(day(1.2)..day(3.0)));
    // It does not hold the first of the days wholly.
    assert_eq!((report.from, report.finished, report.active), (day(1.0), false, 2));
    assert!(report.to_string().contains("not all over and in the range"), "{report}");
    assert!(stickiness(&LINES, 2, Scope::all().between(day(1.0)..day(3.0))).finished);
    assert!(!stickiness(&LINES, 2, Scope::all().between(day(2.0)..day(3.0))).finished, "the first day is before it");
    assert!(report.to_string().contains("| bob      |       1 |"), "{report}");
    assert_eq!(stickiness(&["ann 0 support"], 2, Scope::all()).mean, None);
    assert_eq!(stickiness(&[], 2, Scope::all()).active, 0);
}

#[test]
fn random_worlds_agree_with_the_oracles() {
    each_world(6_000, periodic_world, |seed, events| {
        let (model, scope) = (any_model(seed), any_scope(seed));
        let (lifecycle, stickiness) = (any_lifecycle(seed), any_stickiness(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let (found_life, found_stick) = query.run((&lifecycle, &stickiness)).map_err(|e| e.to_string())?;
        let expected = oracle::lifecycle(events, &lifecycle, &model, &scope);
        differences(&expected, &found_life)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([lifecycle, scope])))?;
        let expected = oracle::stickiness(events, &stickiness, &model, &scope);
        differences(&expected, &found_stick).map_err(|why| format!("{}\n{why}", serde_json::json!([stickiness, scope])))
    });
}

#[test]
fn the_active_reconcile() {
    each_world(2_000, periodic_world, |seed, events| {
        let query = journeys(events).query();
        let report = query.run(&any_lifecycle(seed)).map_err(|e| e.to_string());
        // A condition on a stage that the standard model does not have cannot be asked.
        let Ok(report) = report else { return Ok(()) };
        for row in &report.periods {
            if row.active != row.new + row.returning + row.resurrected {
                return Err(format!("{row:?}"));
            }
        }
        // Whoever is active goes on or falls silent.
        for pair in report.periods.windows(2) {
            if pair[0].active != pair[1].returning + pair[1].dormant {
                return Err(format!("{pair:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn both_keep_the_laws() {
    each_world(100, periodic_world, |seed, events| {
        check_laws(&(any_lifecycle(seed), any_stickiness(seed)), events).map_err(|broken| broken.to_string())
    });
}

#[test]
fn arrival_names_and_bystanders_do_not_matter() {
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    let plans = (Lifecycle::of("purchase", Period::WEEK).unwrap(), Stickiness::of("purchase", Period::DAY, 7).unwrap());
    each_world(500, periodic_world, |seed, events| {
        check_arrival(&plans, events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plans, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plans, events, &bystander).map_err(|broken| broken.to_string())
    });
}
