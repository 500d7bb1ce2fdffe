//! Retention and churn rates: by hand, against the oracle, and beside the lifecycle.

use chrono::TimeDelta;
use journeylog::{
    ChurnBy, ChurnOutcome, ChurnRate, ChurnRateReport, JourneyModel, Lifecycle, Period, Scope,
    testing::{World, check_arrival, check_laws, check_names, differences, oracle},
};

use crate::given::{any_churn_rate, any_model, any_scope, day, each_world, given, journeys, periodic_world};

fn days(lines: &[&str], inactive_after: u32, scope: Scope) -> ChurnRateReport {
    let events = given(lines);
    let plan = ChurnRate::every(Period::DAY).activity("visit").inactive_after(inactive_after).list_customers();
    let plan = plan.build().unwrap();
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::churn_rate(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

/// Base, retained, churned, quiet, pending.
fn rows(report: &ChurnRateReport) -> Vec<[u64; 5]> {
    let row = |f: &journeylog::ChurnFigures| [f.base, f.retained, f.churned, f.quiet, f.pending];
    report.periods.iter().map(|period| row(&period.figures)).collect()
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
fn with_a_threshold_of_one_whoever_is_away_is_lost() {
    let report = days(&LINES, 1, Scope::all());
    assert_eq!(rows(&report), [[1, 1, 0, 0, 0], [2, 1, 1, 0, 0], [1, 0, 1, 0, 0], [0; 5]]);
    assert_eq!((report.total.churn.some, report.total.churn.of), (2, 4));
    assert_eq!((report.periods[3].finished, report.periods[2].figures.churn.share), (false, Some(1.0)));
    assert_eq!(rows(&days(&["ann 0 support"], 1, Scope::all())), [[0; 5]; 0]);
}

#[test]
fn a_threshold_of_three_waits_for_three_days() {
    use ChurnOutcome::{Churned, Quiet, Retained};
    let report = days(&LINES, 3, Scope::all());
    // Ann is away on days 2 and 3 and comes back on day 4, on which Bob has had two days and may still come.
    assert_eq!(rows(&report), [[1, 1, 0, 0, 0], [2, 1, 0, 1, 0], [2, 0, 0, 2, 0], [2, 1, 0, 0, 1]]);
    let later = days(&[&LINES[..], &["cat 6 visit"]].concat(), 3, Scope::all());
    assert_eq!(rows(&later)[4..], [[2, 0, 1, 1, 0][..].try_into().unwrap(), [1, 0, 0, 0, 1]]);
    let bob = &later.customers.as_ref().unwrap()[1];
    let outcomes: Vec<_> = bob.periods.iter().map(|row| row.outcome).collect();
    assert_eq!((bob.customer.as_str(), outcomes), ("bob", vec![Retained, Quiet, Quiet, Churned]));
    assert!(later.to_string().contains("| bob      | 1970-01-06 | churned  |"), "{later}");
}

#[test]
fn a_range_says_which_days_are_listed_and_nothing_else() {
    let range = Scope::all().between(day(2.5)..day(3.0));
    assert_eq!(rows(&days(&LINES, 1, range)), [[2, 1, 1, 0, 0]]);
    let range = Scope::all().between(day(1.9)..day(2.1));
    assert_eq!(rows(&days(&LINES, 1, range)), [[1, 1, 0, 0, 0], [2, 1, 1, 0, 0]]);
}

/// Both viewed in the first week; Ann then bought, which is not the activity that is asked for.
#[test]
fn by_stage_is_the_stage_at_the_end_of_the_period_before() {
    let events = given(&[
        "ann 4 product_view",
        "bob 4 product_view",
        "ann 10.9 purchase",
        "bob 11 product_view",
        "bob 12 ad_click",
        "cat 20 support",
    ]);
    let plan = ChurnRate::every(Period::WEEK).activity("product_view").by(ChurnBy::Stage).list_customers();
    let report = journeys(&events).query().run(&plan.build().unwrap()).unwrap();
    let groups: Vec<_> = report.periods.iter().map(|row| &row.groups).collect();
    let named = |group: &journeylog::ChurnGroup| {
        (group.group.clone().unwrap(), group.figures.retained, group.figures.churned, group.figures.pending)
    };
    // Days 4 to 10 are a week from Monday.
    assert_eq!(
        groups[0].iter().map(named).collect::<Vec<_>>(),
        [("consideration".to_owned(), 1, 0, 0), ("purchase".to_owned(), 0, 1, 0)]
    );
    assert_eq!(groups[1].iter().map(named).collect::<Vec<_>>(), [("awareness".to_owned(), 0, 0, 1)]);
    assert_eq!(report.groups.len(), 2);
    assert!(report.to_string().contains("| ann      | 1970-01-12 | churned  | purchase      |"), "{report}");
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_churn_rate(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::churn_rate(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn retained_are_the_returning_and_churned_the_dormant_of_the_lifecycle() {
    each_world(2_000, periodic_world, |seed, events| {
        let mut asked = serde_json::to_value(any_churn_rate(seed)).unwrap();
        asked["inactive_after"] = 1.into();
        let lifecycle = serde_json::json!({"activity": asked["activity"], "period": asked["period"]});
        let churn: ChurnRate = serde_json::from_value(asked).unwrap();
        let lifecycle: Lifecycle = serde_json::from_value(lifecycle).unwrap();
        let query = journeys(events).query().model(any_model(seed));
        let (churn, lifecycle) = query.run((&churn, &lifecycle)).map_err(|e| e.to_string())?;
        // The first period of a lifecycle has nobody who was active before.
        let right: Vec<_> =
            lifecycle.periods.iter().skip(1).map(|row| (row.period, row.returning, row.dormant)).collect();
        let found = churn.periods.iter().map(|row| {
            let gone = if row.finished { row.figures.churned } else { row.figures.pending };
            (row.period, row.figures.retained, gone)
        });
        let found: Vec<_> = found.collect();
        if found == right { Ok(()) } else { Err(format!("{found:?} {right:?}")) }
    });
}

#[test]
fn churn_rates_keep_the_laws() {
    each_world(60, periodic_world, |seed, events| {
        check_laws(&any_churn_rate(seed), events).map_err(|broken| broken.to_string())?;
        let plan = ChurnRate::every(Period::DAY).inactive_after(2).by(ChurnBy::Touchpoint);
        check_arrival(&plan.clone().build().unwrap(), events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plan.by(ChurnBy::Stage).build().unwrap(), events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn a_churn_rate_has_so_much_memory() {
    let events = World::new(7).customers(500).events(5_000).span(TimeDelta::days(90)).make();
    let plan = ChurnRate::every(Period::DAY).by(ChurnBy::Channel).inactive_after(9);
    let ask = |plan: journeylog::ChurnRateBuilder, bytes| {
        journeys(&events).query().memory(bytes).run(&plan.build().unwrap()).map(drop)
    };
    assert!(ask(plan.clone(), 1 << 20).is_ok());
    assert!(ask(plan.clone(), 500).unwrap_err().is_limit());
    assert!(ask(plan.list_customers(), 200_000).unwrap_err().is_limit());
}
