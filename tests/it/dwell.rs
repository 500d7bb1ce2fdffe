//! Dwell: by hand, and against the oracle.

use journeylog::{
    Dwell, DwellReport, Event, JourneyModel, MoveKind, Scope, SurvivalTime, Transitions,
    testing::{World, check_arrival, check_bystander, differences_beyond_rounding, oracle},
};

use crate::given::{any_model, any_scope, day, each_world, given, journeys};

const DAY: f64 = 86_400.0;

fn standard(lines: &[&str], scope: Scope) -> DwellReport {
    let (events, model) = (given(lines), JourneyModel::standard());
    let report =
        journeys(&events).query().scope(scope.clone()).run(&Dwell::of(model.clone()).list_customers()).unwrap();
    differences_beyond_rounding(&oracle::dwell(&events, &model, (&model, &scope)), &report).unwrap();
    report
}

/// Visits, departed, still here.
fn counts(report: &DwellReport, stage: &str) -> [u64; 3] {
    let stage = report.stage(stage).unwrap();
    [stage.visits, stage.departed, stage.still_here]
}

/// When half of the visits are over, in days.
fn median(report: &DwellReport, stage: &str) -> Option<f64> {
    report.stage(stage).unwrap().median.seconds.map(|seconds| seconds / DAY)
}

#[test]
fn staying_and_events_without_a_stage_lengthen_the_visit() {
    let report = standard(&["ann 0 product_view", "ann 1 cart", "ann 2 support", "ann 5 purchase"], Scope::all());
    assert_eq!((counts(&report, "consideration"), median(&report, "consideration")), ([1, 1, 0], Some(5.0)));
    assert_eq!((counts(&report, "purchase"), median(&report, "purchase")), ([1, 0, 1], None));
    assert_eq!(counts(&report, "advocacy"), [0; 3]);
    assert_eq!(report.stage("advocacy").unwrap().median, SurvivalTime::default());
}

const LINES: [&str; 9] = [
    "ann 0 ad_click",
    "ann 2 cart",
    "bob 1 ad_click",
    "bob 5 purchase",
    "cat 7 ad_click",
    "dan 7 ad_click",
    "eva 0 ad_click",
    "eva 9 cart",
    "eva 9 support",
];

#[test]
fn open_visits_are_neither_left_out_nor_counted_as_over() {
    let report = standard(&LINES, Scope::all());
    // Ann goes after 2 days, when Cat and Dan are last seen; Bob after 4, Eva after 9.
    assert_eq!(counts(&report, "awareness"), [5, 3, 2]);
    let awareness = report.stage("awareness").unwrap();
    let after = |days: u64| awareness.curve.iter().find(|point| point.seconds == days * 86_400).unwrap();
    assert_eq!((after(1).survival, after(1).low, after(1).at_risk), (1.0, 1.0, 5));
    assert!((after(2).survival - 0.8).abs() < 1e-12);
    assert_eq!((after(2).at_risk, after(3).at_risk, after(7).at_risk), (5, 2, 1));
    assert!((after(3).survival - 0.8).abs() < 1e-12 && (after(7).survival - 0.4).abs() < 1e-12);
    assert_eq!(awareness.curve.last().unwrap().seconds, 7 * 86_400);
    assert_eq!((awareness.median.seconds, awareness.p90.seconds), (Some(4.0 * DAY), Some(9.0 * DAY)));
    let ends: Vec<_> = awareness.ends.iter().map(|end| (end.to.as_str(), end.kind, end.count, end.share.of)).collect();
    assert_eq!(ends[..2], [("consideration", MoveKind::Advance, 2, 5), ("purchase", MoveKind::Skip, 1, 5)]);
    assert_eq!(awareness.ends.len(), 4);
}

#[test]
fn observation_ends_where_the_scope_says() {
    // Three days later Cat and Dan have waited five days: longer than Bob.
    let report = standard(&LINES, Scope::all().as_of(day(12.0)));
    assert_eq!(median(&report, "awareness"), Some(9.0));
    assert_eq!(report.bottleneck("awareness").unwrap().waited.unwrap().median, 5.0 * DAY);
    // After three days only Ann has gone.
    let report = standard(&LINES, Scope::all().as_of(day(3.0)));
    assert_eq!((counts(&report, "awareness"), median(&report, "awareness")), ([3, 1, 2], None));
}

#[test]
fn a_range_says_which_visits_count_by_their_beginning() {
    let report = standard(&LINES, Scope::all().between(day(1.0)..day(7.0)));
    // Bob's and Ann's; their ends are read beyond the range, and so is where Bob is now.
    assert_eq!((counts(&report, "awareness"), median(&report, "awareness")), ([1, 1, 0], Some(4.0)));
    assert_eq!(counts(&report, "consideration"), [1, 0, 1]);
    assert_eq!(counts(&standard(&LINES, Scope::all().to(day(1.0))), "awareness"), [2, 2, 0]);
}

#[test]
fn bottlenecks_come_by_how_many_wait() {
    let report = standard(&LINES, Scope::all());
    let waiting: Vec<_> = report.bottlenecks.iter().map(|one| (one.stage.as_str(), one.waiting)).collect();
    let in_order = [("awareness", 2), ("consideration", 2), ("purchase", 1), ("retention", 0), ("advocacy", 0)];
    assert_eq!(waiting, in_order);
    let consideration = &report.bottlenecks[1];
    let waited = consideration.waited.unwrap();
    assert_eq!((waited.count, waited.median, waited.p90), (2, 0.0, 7.0 * DAY));
    assert_eq!((consideration.went_on.some, consideration.went_on.of), (0, 2));
    assert_eq!((consideration.others.some, consideration.others.of), (3, 6));
    let difference = consideration.difference.unwrap();
    assert!(difference.difference == -0.5 && difference.exact && difference.low < -0.5);
    assert_eq!(report.bottleneck("advocacy").unwrap().difference, None);
    let text = report.to_string();
    assert!(text.contains("| awareness     |      5 |        3 |          2 |  4.0 d |"), "{text}");
    assert!(text.contains("| consideration |       2 |         0 s |    7.0 d |   0.0 % |    50.0 % |"), "{text}");
}

#[test]
fn customers_behind_each_number_are_listed() {
    let lines = ["ann 0 ad_click", "ann 4 cart", "ann 5 purchase", "bob 1 cart", "cat 0 support"];
    let report = standard(&lines, Scope::all().from(day(3.0)));
    let listed = report.customers.as_ref().unwrap();
    let visits: Vec<_> =
        listed[0].visits.iter().map(|visit| (visit.stage.as_str(), visit.since, visit.until)).collect();
    let went = ("consideration", day(4.0), Some(day(5.0)));
    assert_eq!((listed.len(), visits), (1, vec![went, ("purchase", day(5.0), None)]));
    assert_eq!(listed[0].visits[0].to.as_ref().unwrap().as_str(), "purchase");
    let row = "| ann      | purchase      | 1970-01-06T00:00:00Z |                    - |        - |";
    assert!(report.to_string().contains(row), "{report}");
}

fn world(seed: u64) -> Vec<Event> {
    let world = World::new(seed).customers(3).events(14).touchpoints(9).instants(6);
    if seed.is_multiple_of(10) { world.extreme_times().make() } else { world.make() }
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(6_000, world, |seed, events| {
        // The scope is read in the question's model, the stages in the plan's.
        let (model, of_question, scope) = (any_model(seed), any_model(seed / 3), any_scope(seed));
        let expected = oracle::dwell(events, &model, (&of_question, &scope));
        let plan = Dwell::of(model).list_customers();
        let query = journeys(events).query().scope(scope.clone()).model(of_question);
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences_beyond_rounding(&expected, &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn dwell_reconciles_with_transitions() {
    each_world(1_000, world, |seed, events| {
        let plans = (Dwell::of(any_model(seed)), Transitions::of(any_model(seed)));
        let (dwell, moves) = journeys(events).query().run(&plans).map_err(|e| e.to_string())?;
        for (stage, total) in dwell.stages.iter().zip(&moves.stages) {
            let counts = [stage.visits, stage.departed, stage.still_here];
            if counts != [total.arrivals, total.departures, total.here_now] {
                return Err(format!("{stage:?}\n{total:?}"));
            }
            for end in &stage.ends {
                let cell = moves.cell(Some(stage.stage.as_str()), end.to.as_str()).unwrap();
                if (end.count, end.kind, end.share) != (cell.count, cell.kind, cell.share) {
                    return Err(format!("{end:?}\n{cell:?}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn arrival_matters_only_where_stages_are_tied() {
    let make = |seed| {
        let mut events = World::new(seed).customers(3).events(14).touchpoints(9).instants(12).make();
        let mut taken = std::collections::HashSet::new();
        events.retain(|event| taken.insert((event.customer().clone(), event.occurred_at())));
        events
    };
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    each_world(1_000, make, |seed, events| {
        let plan = Dwell::of(JourneyModel::standard());
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plan, events, &bystander).map_err(|broken| broken.to_string())
    });
}
