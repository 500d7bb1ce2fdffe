//! Sessions: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Condition, JourneyModel, Period, Scope, SessionTouchpoints, Sessions, SessionsReport,
    testing::{World, check_arrival, check_laws, check_names, differences, oracle},
};

use crate::given::{any_model, any_scope, any_sessions, day, each_world, given, journeys, periodic_world};

fn ask(lines: &[&str], plan: &Sessions, scope: Scope) -> SessionsReport {
    let events = given(lines);
    let report = journeys(&events).query().scope(scope.clone()).run(plan).unwrap();
    differences(&oracle::sessions(&events, plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

/// With a gap of one day.
fn daily(lines: &[&str], scope: Scope) -> SessionsReport {
    ask(
        lines,
        &Sessions::builder().gap(TimeDelta::days(1)).every(Period::WEEK).limit(1).list_customers().build().unwrap(),
        scope,
    )
}

const LINES: [&str; 8] = [
    "ann 0 home",
    "ann 1 view",
    "ann 2 purchase",
    "ann 3.1 home",
    "bob 6.5 view",
    "bob 7 view",
    "bob 9 home",
    "cat 9.5 view",
];

#[test]
fn customers_behind_each_number_are_listed() {
    let report = daily(&LINES, Scope::all());
    let listed = report.listed.as_ref().unwrap();
    let sessions: Vec<_> = listed.iter().map(|one| (one.customer.as_str(), one.sessions.len())).collect();
    assert_eq!(sessions.iter().map(|(_, sessions)| *sessions as u64).sum::<u64>(), report.sessions);
    assert_eq!(sessions[0], ("ann", 2));
    let first = &listed[0].sessions[0];
    assert_eq!((first.begin, first.end, first.events), (day(0.0), day(2.0), 3));
    assert_eq!((first.first.as_str(), first.last.as_str(), first.open), ("home", "purchase", false));
    let row = "| ann      | 1 | 1970-01-01T00:00:00Z | 1970-01-03T00:00:00Z |      3 | home  | purchase | no         |";
    assert!(report.to_string().contains(row), "{report}");
}

#[test]
fn events_not_more_than_the_gap_apart_are_one_session() {
    let report = daily(&LINES, Scope::all());
    assert_eq!((report.sessions, report.customers, report.events), (5, 3, 8));
    assert_eq!((report.events_per_session, report.sessions_per_customer), (Some(1.6), Some(5.0 / 3.0)));
    let duration = report.duration.unwrap();
    assert_eq!((duration.count, duration.max, duration.median), (5, 2.0 * 86_400.0, 0.0));
    assert_eq!((report.bounced.some, report.bounced.of), (3, 5));
    let sizes: Vec<_> = report.sizes.iter().map(|size| (size.from, size.to, size.sessions)).collect();
    assert_eq!(sizes, [(1, Some(1), 3), (2, Some(2), 1), (3, Some(3), 1)]);
    // Those of Bob and Cat that may go on.
    assert_eq!(report.open, 2);
    // A gap that is a microsecond shorter.
    let gap = TimeDelta::days(1) - TimeDelta::microseconds(1);
    assert_eq!(ask(&LINES, &Sessions::builder().gap(gap).build().unwrap(), Scope::all()).sessions, 7);
    let at_once = Sessions::builder().gap(TimeDelta::zero()).build().unwrap();
    assert_eq!(ask(&["ann 0 a", "ann 0 b", "ann 1 a"], &at_once, Scope::all()).sessions, 2);
    assert_eq!(ask(&[], &Sessions::default(), Scope::all()).duration, None);
}

#[test]
fn touchpoints_and_all_others_are_all_sessions() {
    let report = daily(&LINES, Scope::all());
    let shown = |ends: &SessionTouchpoints| {
        let top: Vec<_> = ends.top.iter().map(|one| (one.touchpoint.to_string(), one.sessions.some)).collect();
        (top, ends.others, ends.other.some)
    };
    assert_eq!(shown(&report.first), (vec![("home".to_owned(), 3)], 1, 2));
    // Equals by name.
    assert_eq!(shown(&report.last), (vec![("home".to_owned(), 2)], 2, 3));
    let text = report.to_string();
    assert!(text.contains("| (2 others) |        3 | 60.0 % |"), "{text}");
    assert!(text.contains("| 1970-01-05 * |"), "{text}");
}

#[test]
fn a_range_says_which_sessions_count_and_cuts_none() {
    // Ann's first began before it, and Bob's first goes on beyond it.
    let report = daily(&LINES, Scope::all().between(day(0.5)..day(6.9)));
    assert_eq!((report.sessions, report.customers, report.events), (2, 2, 3));
    assert_eq!(report.duration.unwrap().max, 86_400.0 / 2.0);
    let report = daily(&LINES, Scope::all().from(day(1.0)));
    assert_eq!((report.sessions, report.open), (4, 2));
    let report = daily(&LINES, Scope::all().as_of(day(1.5)));
    assert_eq!((report.sessions, report.open, report.events), (1, 1, 2));
    // What a filter takes out does not hold a session together.
    let report = daily(&LINES, Scope::all().filter(Condition::touchpoint("view").unwrap().negated()));
    assert_eq!((report.sessions, report.events), (4, 4));
}

#[test]
fn sessions_belong_to_the_period_in_which_they_begin() {
    let report = daily(&["ann 3.9 a", "ann 4.1 a", "ann 5.5 a", "ann 7 a", "bob 4.5 a", "bob 20 b"], Scope::all());
    // The fifth day of 1970 is the first Monday. Ann comes twice in its week, and is one customer.
    let rows: Vec<_> = report.over_time.unwrap();
    let counts: Vec<_> = rows.iter().map(|row| [row.sessions, row.customers, row.events, row.bounced.some]).collect();
    assert_eq!(counts, [[1, 1, 2, 0], [3, 2, 3, 3], [0; 4], [1, 1, 1, 1]]);
    let finished: Vec<bool> = rows.iter().map(|row| row.finished).collect();
    assert_eq!(finished, [true, true, true, false]);
    // Ann's last session is her fourth, also where only that one is asked for.
    let listed = daily(&["ann 1 a", "ann 3 a", "ann 5 a", "ann 7 a"], Scope::all().from(day(6.0))).listed.unwrap();
    assert_eq!(listed[0].sessions.iter().map(|one| one.number).collect::<Vec<_>>(), [4]);
    // A week of which the range holds a part has those that begin in that part.
    let lines = ["ann 3.9 a", "ann 5.5 a", "bob 12.5 a", "bob 20 b"];
    let rows = daily(&lines, Scope::all().between(day(5.0)..day(13.0))).over_time.unwrap();
    assert_eq!(rows.iter().map(|row| (row.sessions, row.finished)).collect::<Vec<_>>(), [(1, false), (1, false)]);
    let rows = daily(&lines, Scope::all().between(day(4.0)..day(18.0))).over_time.unwrap();
    assert_eq!(rows.iter().map(|row| (row.sessions, row.finished)).collect::<Vec<_>>(), [(1, true), (1, true)]);
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(6_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_sessions(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::sessions(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn the_ends_of_time_are_like_all_other_times() {
    each_world(
        500,
        |seed| World::new(seed).extreme_times().make(),
        |seed, events| {
            let (model, scope) = (JourneyModel::standard(), any_scope(seed));
            for gap in [0, 1, i64::MAX] {
                let plan = Sessions::builder().gap(TimeDelta::microseconds(gap)).build().unwrap();
                let report = journeys(events).query().scope(scope.clone()).run(&plan).map_err(|e| e.to_string())?;
                differences(&oracle::sessions(events, &plan, &model, &scope), &report)?;
            }
            Ok(())
        },
    );
}

#[test]
fn sessions_keep_the_laws() {
    each_world(100, periodic_world, |seed, events| {
        check_laws(&any_sessions(seed), events).map_err(|broken| broken.to_string())
    });
}

#[test]
fn arrival_matters_only_where_touchpoints_are_tied() {
    let make = |seed| {
        let mut events = periodic_world(seed);
        let mut taken = std::collections::HashSet::new();
        events.retain(|event| taken.insert((event.customer().clone(), event.occurred_at())));
        events
    };
    each_world(500, make, |seed, events| {
        check_arrival(&any_sessions(seed), events, seed).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_sessions(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Sessions = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}
