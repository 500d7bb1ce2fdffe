//! Transitions: by hand, and against the oracle.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use journeylog::{
    Condition, Event, JourneyModel, MoveKind, Nth, Scope, StageName, StageTotal, Transitions, TransitionsReport,
    testing::{World, check_arrival, check_bystander, differences, oracle},
};

use crate::given::{any_model, any_scope, day, each_world, given, journeys};

fn ask(events: &[Event], model: &JourneyModel, scope: Scope) -> TransitionsReport {
    let report =
        journeys(events).query().scope(scope.clone()).run(&Transitions::of(model.clone()).list_customers()).unwrap();
    assert_eq!(report, oracle::transitions(events, model, (&JourneyModel::standard(), &scope)), "the oracle agrees");
    report
}

fn standard(lines: &[&str]) -> TransitionsReport {
    ask(&given(lines), &JourneyModel::standard(), Scope::all())
}

fn numbers(total: &StageTotal) -> [u64; 4] {
    [total.here_before, total.arrivals, total.departures, total.here_now]
}

#[test]
fn staying_lengthens_the_visit() {
    let report = standard(&["ann 0 product_view", "ann 1 cart", "ann 2 support", "ann 5 purchase"]);
    let bought = report.cell(Some("consideration"), "purchase").unwrap();
    assert_eq!((bought.count, bought.dwell.unwrap().median), (1, 5.0 * 86_400.0));
    assert_eq!((report.entries, report.advances, report.skips, report.regressions), (1, 1, 0, 0));
}

#[test]
fn each_kind_of_move() {
    let report = standard(&["ann 0 ad_click", "ann 1 product_view", "ann 2 review", "ann 3 ad_click"]);
    let kind = |from: Option<&str>, to| {
        let cell = report.cell(from, to).unwrap();
        (cell.kind, cell.count)
    };
    assert_eq!(kind(None, "awareness"), (MoveKind::Entry, 1));
    assert_eq!(kind(Some("awareness"), "consideration"), (MoveKind::Advance, 1));
    assert_eq!(kind(Some("consideration"), "advocacy"), (MoveKind::Skip, 1));
    assert_eq!(kind(Some("advocacy"), "awareness"), (MoveKind::Regression, 1));
    assert_eq!(kind(Some("purchase"), "retention"), (MoveKind::Advance, 0));
    assert!(report.cell(Some("purchase"), "purchase").is_none(), "staying is no move");
    assert_eq!(report.cells.len(), 5 + 5 * 4);
}

#[test]
fn those_still_there_are_in_the_total_of_their_row() {
    let report =
        standard(&["ann 0 ad_click", "ann 1 product_view", "bob 0 ad_click", "cat 0 ad_click", "dan 0 support"]);
    let cell = report.cell(Some("awareness"), "consideration").unwrap();
    assert_eq!((cell.share.some, cell.share.of), (1, 3));
    assert_eq!(numbers(report.stage("awareness").unwrap()), [0, 3, 1, 2]);
    assert_eq!(report.customers, 3); // Dan bears no stage.
}

#[test]
fn distinct_customers_are_told_from_moves() {
    let report =
        standard(&["ann 0 ad_click", "ann 1 cart", "ann 2 ad_click", "ann 3 cart", "bob 0 home", "bob 1 cart"]);
    let cell = report.cell(Some("awareness"), "consideration").unwrap();
    assert_eq!((cell.count, cell.customers), (3, 2));
}

#[test]
fn a_range_counts_the_moves_in_it_and_reads_the_stage_before() {
    let lines = ["ann 0 ad_click", "ann 4 cart", "ann 8 purchase", "bob 4 ad_click", "cat 1 cart", "dan 9 ad_click"];
    let report = ask(&given(&lines), &JourneyModel::standard(), Scope::all().between(day(4.0)..day(8.0)));
    let cart = report.cell(Some("awareness"), "consideration").unwrap();
    // Ann's visit began four days before, outside the range. Her purchase is at its end, which is not in.
    assert_eq!((cart.count, cart.dwell.unwrap().median), (1, 4.0 * 86_400.0));
    assert_eq!(numbers(report.stage("awareness").unwrap()), [1, 1, 1, 1]);
    assert_eq!(numbers(report.stage("consideration").unwrap()), [1, 1, 0, 2]);
    assert_eq!(report.cell(Some("consideration"), "purchase").unwrap().count, 0);
    // Nor is Ann in purchase at its end, nor Dan, who came later, in any stage: the matrix is that of the range.
    assert_eq!(numbers(report.stage("purchase").unwrap()), [0, 0, 0, 0]);
    assert_eq!(report.customers, 3);
    assert!(report.to_string().contains("| here after |"), "{report}");
}

#[test]
fn customers_behind_each_number_are_listed() {
    let lines = ["ann 0 ad_click", "ann 4 cart", "bob 1 cart", "cat 0 support"];
    let report = ask(&given(&lines), &JourneyModel::standard(), Scope::all().from(day(3.0)));
    let listed = report.listed.as_ref().unwrap();
    let stage = |stage: &Option<StageName>| stage.as_ref().map(|stage| stage.as_str().to_owned()).unwrap_or_default();
    let rows: Vec<_> = listed
        .iter()
        .map(|one| (one.customer.as_str(), stage(&one.here_before), stage(&one.here_now), one.moves.len()))
        .collect();
    let (before, now) = ("awareness".to_owned(), "consideration".to_owned());
    assert_eq!(rows, [("ann", before, now.clone(), 1), ("bob", now.clone(), now, 0)]);
    let made = &listed[0].moves[0];
    assert_eq!((made.at, made.dwell, made.kind), (day(4.0), Some(TimeDelta::days(4)), MoveKind::Advance));
    let text = report.to_string();
    assert!(
        text.contains(
            "| bob      | consideration |         - |             - |                    - | consideration |"
        ),
        "{text}"
    );
    let unasked = journeys(&given(&lines)).query().run(&Transitions::of(JourneyModel::standard())).unwrap();
    assert_eq!(unasked.listed, None);
}

#[test]
fn the_second_purchase_is_another_stage() {
    let report = standard(&["ann 0 purchase", "ann 3 payment", "ann 4 order"]);
    let again = report.cell(Some("purchase"), "retention").unwrap();
    assert_eq!((again.count, again.dwell.unwrap().median), (1, 3.0 * 86_400.0));
    let at = |name| Condition::touchpoint(name).unwrap();
    let model = JourneyModel::builder("second", ["first", "second", "later"])
        .rule_nth(at("buy"), Nth::Only(2), "second")
        .rule_nth(at("buy"), Nth::From { from: 3 }, "later")
        .rule(at("buy"), "first")
        .build()
        .unwrap();
    let report = ask(&given(&["ann 0 buy", "ann 1 buy", "ann 2 buy", "ann 3 buy"]), &model, Scope::all());
    assert_eq!((report.advances, report.regressions), (2, 0));
}

#[test]
fn an_events_own_stage_wins_if_the_model_has_it() {
    let event = |at, touchpoint, stage| Event::at(day(at), "ann", touchpoint).stage(stage).build().unwrap();
    let events = [event(0.0, "ad_click", "decision"), event(1.0, "cart", "browsing"), event(2.0, "support", "unheard")];
    let report = ask(&events, &JourneyModel::standard(), Scope::all());
    // `decision` is purchase; `browsing` is no stage of the model, so the rule for a cart holds.
    assert_eq!(report.cell(None, "purchase").unwrap().count, 1);
    assert_eq!(report.cell(Some("purchase"), "consideration").unwrap().count, 1);
    assert_eq!(report.entries + report.regressions, 2);
}

#[test]
fn moves_that_the_model_does_not_allow_are_marked() {
    let at = |name| Condition::touchpoint(name).unwrap();
    let model = JourneyModel::builder("gate", ["a", "b"])
        .rule(at("a"), "a")
        .rule(at("b"), "b")
        .moves([("a", "b")])
        .build()
        .unwrap();
    let report = ask(&given(&["ann 0 a", "ann 1 b", "ann 2 a"]), &model, Scope::all());
    let allowed = |from, to| report.cell(from, to).unwrap().allowed;
    assert!(allowed(None, "b") && allowed(Some("a"), "b") && !allowed(Some("b"), "a"));
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    let make = |seed| {
        let world = World::new(seed).customers(3).events(14).touchpoints(9).instants(6);
        if seed % 10 == 0 { world.extreme_times().make() } else { world.make() }
    };
    each_world(6_000, make, |seed, events| {
        // The scope is read in the question's model, the stages in the plan's.
        let (model, of_question, scope) = (any_model(seed), any_model(seed / 3), any_scope(seed));
        let expected = oracle::transitions(events, &model, (&of_question, &scope));
        let plan = Transitions::of(model.clone()).list_customers();
        let query = || journeys(events).query().scope(scope.clone()).model(of_question.clone());
        let mut report = query().run(&plan).map_err(|e| e.to_string())?;
        for stage in &report.stages {
            let [before, arrivals, departures, now] = numbers(stage);
            if before + arrivals != departures + now {
                return Err(format!("{} does not reconcile: {stage:?}", stage.stage));
            }
        }
        differences(&expected, &report).map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))?;
        // Where customers are not listed many journeys are gone through at once.
        report.listed = None;
        let unlisted = query().run(&Transitions::of(model)).map_err(|e| e.to_string())?;
        differences(&report, &unlisted).map_err(|why| format!("not listed: {}\n{why}", serde_json::json!(scope)))
    });
}

/// Lengths of many visits, in several batches and of more journeys than go through at once, are those of the listed moves.
#[test]
fn dwell_of_many_journeys_is_that_of_their_moves() {
    let events = World::new(3).customers(2_000).events(60_000).touchpoints(9).instants(1 << 20).make();
    let journeys = journeys(&events);
    let plan = || Transitions::of(JourneyModel::standard());
    let listed = journeys.query().run(&plan().list_customers()).unwrap();
    let mut moves: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for one in listed.listed.iter().flatten().flat_map(|customer| &customer.moves) {
        let Some(left) = &one.from else { continue };
        let took = one.dwell.unwrap().num_microseconds().unwrap() as f64 / 1e6;
        moves.entry((left.to_string(), one.to.to_string())).or_default().push(took);
    }
    let report = journeys.query().run(&plan()).unwrap();
    assert!(moves.values().map(Vec::len).sum::<usize>() > 25_000);
    for cell in report.cells.iter().filter(|cell| cell.from.is_some()) {
        let key = (cell.from.as_ref().unwrap().to_string(), cell.to.to_string());
        let Some(mut lengths) = moves.remove(&key) else {
            assert_eq!(cell.dwell, None, "{key:?}");
            continue;
        };
        lengths.sort_by(f64::total_cmp);
        let dwell = cell.dwell.unwrap();
        assert_eq!((dwell.count, dwell.max), (lengths.len() as u64, lengths[lengths.len() - 1]), "{key:?}");
        assert_eq!(dwell.median, lengths[lengths.len().div_ceil(2) - 1], "{key:?}");
        assert!((dwell.mean - lengths.iter().sum::<f64>() / lengths.len() as f64).abs() < 1e-3, "{key:?}");
    }
    assert!(moves.is_empty(), "{moves:?}");
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
        // Only models whose rules are blind to the bystander.
        let plan = Transitions::of(JourneyModel::standard());
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plan, events, &bystander).map_err(|broken| broken.to_string())
    });
}
