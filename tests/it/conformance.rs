//! Conformance: by hand, and against the oracle.

use journeylog::{
    Condition, Conformance, ConformanceBuilder, ConformanceReport, DeviationKind, JourneyModel, Scope,
    testing::{World, check_laws, check_names, differences, oracle},
};

use crate::given::{any_conformance, any_model, any_scope, day, each_world, given, journeys, periodic_world};

/// Stages a, b, c and d, each at its own touchpoint.
fn four(moves: Option<&[(&str, &str)]>) -> JourneyModel {
    let stages = ["a", "b", "c", "d"];
    let at = |name: &str| Condition::touchpoint(name).unwrap();
    let model = stages.iter().fold(JourneyModel::builder("four", stages), |model, name| model.rule(at(name), name));
    match moves {
        Some(moves) => model.moves(moves.iter().copied()).build().unwrap(),
        None => model.build().unwrap(),
    }
}

fn ask(lines: &[&str], plan: ConformanceBuilder, scope: Scope) -> ConformanceReport {
    let (events, plan) = (given(lines), plan.list_customers().build().unwrap());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::conformance(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    reconcile(&report).unwrap();
    report
}

/// The deviations of Ann, whose journey is a word: an event each day.
fn deviations(stages: &str, plan: ConformanceBuilder) -> Vec<String> {
    let lines: Vec<String> = stages.chars().enumerate().map(|(day, stage)| format!("ann {day} {stage}")).collect();
    let report = ask(&lines.iter().map(String::as_str).collect::<Vec<_>>(), plan, Scope::all());
    let text = |one: &journeylog::CustomerDeviation| {
        format!("{} {}{}", one.kind, one.from.as_ref().map_or(">", |from| from.as_str()), one.to)
    };
    report.listed.unwrap()[0].deviations.iter().map(text).collect()
}

fn reconcile(report: &ConformanceReport) -> Result<(), String> {
    for total in &report.by_kind {
        let of_kind = report.deviations.iter().filter(|one| one.kind == total.kind);
        if of_kind.map(|one| one.count).sum::<u64>() != total.count {
            return Err(format!("{} does not reconcile: {report:?}", total.kind));
        }
    }
    if let Some(listed) = &report.listed {
        let fits = listed.iter().filter(|one| one.deviations.is_empty()).count() as u64;
        if (listed.len() as u64, fits) != (report.customers, report.fits.some) {
            return Err(format!("customers do not reconcile: {report:?}"));
        }
    }
    Ok(())
}

#[test]
fn each_kind_of_deviation() {
    let in_order = || Conformance::of(four(None));
    assert_eq!(deviations("abcd", in_order()), [""; 0]);
    assert_eq!(deviations("aabbx", in_order()), [""; 0]); // staying, and no stage, are no moves
    assert_eq!(deviations("acd", in_order()), ["skipped ac"]);
    assert_eq!(deviations("aba", in_order()), ["repeated ba"]);
    assert_eq!(deviations("acb", in_order()), ["skipped ac", "out of order cb"]);
    assert_eq!(deviations("bc", in_order()), ["skipped >b"]);
    // From a stage that is repeated, moves are those that are made.
    assert_eq!(deviations("abac", in_order()), ["repeated ba", "skipped ac"]);
    assert_eq!(deviations("abcac", in_order()), ["repeated ca", "repeated ac"]);
    assert_eq!(deviations("abcabd", in_order()), ["repeated ca", "skipped bd"]);
}

#[test]
fn a_models_moves_and_the_plans_entries_are_the_design() {
    let shop = || Conformance::of(four(Some(&[("a", "b"), ("b", "a"), ("a", "c"), ("c", "d")])));
    assert_eq!(deviations("ababacd", shop()), [""; 0]);
    assert_eq!(deviations("abc", shop()), ["unexpected bc"]);
    assert_eq!(deviations("ad", shop()), ["skipped ad"]);
    assert_eq!(deviations("bacd", shop().entries(["b"])), [""; 0]);
    assert_eq!(deviations("acd", shop().entries(["b", "c"])), ["unexpected >a"]);
    assert_eq!(deviations("d", shop().entries(["b", "c"])), ["skipped >d"]);
    // No moves at all.
    assert_eq!(deviations("ab", Conformance::of(four(Some(&[])))), ["unexpected ab"]);
}

#[test]
fn shares_and_ranks() {
    let lines = [
        "ann 0 a", "ann 1 b", "ann 2 c", "ann 3 d", "bob 0 a", "bob 1 c", "bob 2 b", "bob 3 c", "cat 1 a", "cat 2 c",
        "dan 4 x",
    ];
    let report = ask(&lines, Conformance::of(four(None)), Scope::all());
    assert_eq!((report.customers, report.fits.some, report.completed.some, report.moves), (3, 1, 1, 7));
    let found: Vec<_> = report.deviations.iter().map(|one| (one.kind, one.count, one.customers.some)).collect();
    // Bob goes from b to c, which is the next.
    assert_eq!(found, [(DeviationKind::Skipped, 2, 2), (DeviationKind::OutOfOrder, 1, 1)]);
    let text = report.to_string();
    assert!(text.contains("| skipped      | a    | c  |     2 |         2 | 66.7 % |"), "{text}");
    // Those who enter in the range, with all their moves.
    let report = ask(&lines, Conformance::of(four(None)), Scope::all().between(day(0.5)..day(1.5)));
    assert_eq!((report.customers, report.fits.some, report.moves), (1, 0, 1));
    // A journey need not be over.
    let report = ask(&lines, Conformance::of(four(None)), Scope::all().as_of(day(0.5)));
    assert_eq!((report.customers, report.fits.some, report.completed.some), (2, 2, 0));
    assert_eq!(ask(&[], Conformance::of(four(None)), Scope::all()).fits.share, None);
}

#[test]
fn an_entry_that_the_questions_model_does_not_have_is_refused() {
    let plan = Conformance::of_question().entries(["visiting"]).build().unwrap();
    let refused = journeys(&[]).query().run(&plan).unwrap_err();
    assert!(refused.is_invalid());
    assert_eq!(refused.to_string(), "conformance.entries[0]: visiting is no stage of the model standard");
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(6_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_conformance(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        reconcile(&report)?;
        differences(&oracle::conformance(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn the_ends_of_time_are_like_all_other_times() {
    each_world(
        500,
        |seed| World::new(seed).extreme_times().make(),
        |seed, events| {
            let (model, scope, plan) = (any_model(seed), any_scope(seed), any_conformance(seed));
            let query = journeys(events).query().scope(scope.clone()).model(model.clone());
            let report = query.run(&plan).map_err(|e| e.to_string())?;
            differences(&oracle::conformance(events, &plan, &model, &scope), &report)
        },
    );
}

#[test]
fn conformance_keeps_the_laws() {
    let larger = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_conformance(seed), events).map_err(|broken| broken.to_string())?;
        let plan = Conformance::of(any_model(seed)).build().unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}
