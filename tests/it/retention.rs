//! Retention: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    CohortRetention, CohortRetentionBuilder, CohortRetentionReport, Event, JourneyModel, Money, Period, Scope,
    testing::{check_arrival, check_bystander, check_laws, check_names, differences, oracle},
};

use crate::given::{any_model, any_retention, any_scope, day, each_world, given, journeys, periodic_world};

fn visits(period: Period) -> CohortRetentionBuilder {
    CohortRetention::of("signup", "visit", period)
}

fn ask(events: &[Event], plan: CohortRetentionBuilder, scope: Scope) -> CohortRetentionReport {
    let plan = plan.build().unwrap();
    let report = journeys(events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::retention(events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

/// The customers of each cohort by column, those of unfinished cells negative.
fn counts(report: &CohortRetentionReport) -> Vec<Vec<i64>> {
    let cell = |cell: &journeylog::RetentionCell| {
        let customers = i64::try_from(cell.customers).unwrap();
        if cell.finished { customers } else { -customers }
    };
    report.cohorts.iter().map(|cohort| cohort.cells.iter().map(cell).collect()).collect()
}

fn shares(report: &CohortRetentionReport) -> Vec<Option<f64>> {
    report.average.iter().map(|average| average.rate.share).collect()
}

const LINES: [&str; 9] = [
    "ann 0.5 signup",
    "ann 1 visit",
    "ann 3.9 visit",
    "bob 0 signup",
    "bob 0.9 visit",
    "bob 2 visit",
    "cat 1.5 signup",
    "cat 2.2 visit",
    "dan 4.5 support",
];

#[test]
fn each_period_counts_those_who_return_in_it() {
    let report = ask(&given(&LINES), visits(Period::DAY).periods(3), Scope::all());
    assert_eq!(counts(&report), [[2, 1, 1, 1], [1, 1, 0, 0]]);
    assert_eq!(report.cell(day(1.7), 1).unwrap().customers, 1);
    // Ann and Cat of three; then Bob, then Ann of the first cohort only, since Cat's third day is not over.
    assert_eq!(shares(&report), [Some(1.0), Some(2.0 / 3.0), Some(1.0 / 3.0), Some(0.5)]);
}

#[test]
fn cohorts_that_are_cut_by_the_range_are_marked() {
    let whole = |scope| ask(&given(&LINES), visits(Period::DAY), scope).cohorts.iter().map(|c| c.finished).collect();
    let (all, cut): (Vec<bool>, Vec<bool>) = (whole(Scope::all()), whole(Scope::all().between(day(0.25)..day(1.75))));
    assert_eq!((all, cut), (vec![true; 2], vec![false; 2]));
    // A day that is not over is no whole cohort either.
    assert_eq!(whole(Scope::all().as_of(day(1.9))), [true, false]);
    let printed = ask(&given(&LINES), visits(Period::DAY).periods(1), Scope::all().from(day(0.25))).to_string();
    assert!(printed.contains("| 1970-01-01 * | 1     | 100.0 % |"), "{printed}");
}

#[test]
fn on_or_after_counts_those_who_return_ever_after() {
    let report = ask(&given(&LINES), visits(Period::DAY).periods(3).on_or_after(), Scope::all());
    assert_eq!(counts(&report), [[2, 2, 2, 1], [1, 1, 0, 0]]);
}

#[test]
fn brackets_hold_several_periods() {
    let report = ask(&given(&LINES), visits(Period::DAY).bracket([1, 2, 4]), Scope::all());
    assert_eq!(counts(&report), [[2, 1, 2], [1, 1, 0]]);
    assert_eq!(report.columns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0", "1", "2-3"]);
}

#[test]
fn exact_periods_run_from_each_start() {
    // Ann's visits come 12 hours and 3.4 days after, Bob's 21.6 hours and 2 days, Cat's 16.8 hours.
    let report = ask(&given(&LINES), visits(Period::DAY).periods(3).elapsed(TimeDelta::days(1)), Scope::all());
    assert_eq!(counts(&report), [vec![2, 0, 1, 1], vec![1, 0, 0, 0]]);
}

#[test]
fn what_is_not_over_is_marked_and_in_no_average() {
    let report = ask(&given(&LINES), visits(Period::DAY).periods(3), Scope::all().as_of(day(2.5)));
    // The second day of the first cohort goes on, and so does the first of the second; later ones have not begun.
    assert_eq!(counts(&report), [vec![2, 1, -1], vec![1, -1]]);
    assert_eq!(report.average.iter().map(|average| average.cohorts).collect::<Vec<_>>(), [2, 1, 0, 0]);
    assert_eq!(shares(&report), [Some(1.0), Some(0.5), None, None]);
    // At midnight the day is over.
    let report = ask(&given(&LINES), visits(Period::DAY).periods(1), Scope::all().as_of(day(2.0)));
    assert_eq!(counts(&report), [vec![2, 1], vec![1, 0]]);
    assert!(!report.cohorts[1].cells[1].finished);
}

#[test]
fn recurring_customers_are_in_each_cohort_and_others_in_their_first() {
    let lines = ["ann 0 visit", "ann 1 visit", "ann 1.5 visit", "ann 2 visit", "bob 1 visit", "bob 9 support"];
    let plan = CohortRetention::of("visit", "visit", Period::DAY).periods(2);
    assert_eq!(counts(&ask(&given(&lines), plan.clone(), Scope::all())), [[1, 1, 1], [2, 1, 0], [1, 0, 0]]);
    assert_eq!(counts(&ask(&given(&lines), plan.clone().first_ever(), Scope::all())), [[1, 1, 1], [1, 0, 0]]);
    // The first start is looked for before the range, and returns behind it.
    let range = Scope::all().between(day(1.0)..day(1.2));
    assert_eq!(counts(&ask(&given(&lines), plan.clone(), range.clone())), [[2, 1, 0]]);
    assert_eq!(counts(&ask(&given(&lines), plan.first_ever(), range)), [[1, 0, 0]]);
}

#[test]
fn it_may_take_several_returns() {
    let lines = ["ann 0 signup", "ann 1 visit", "ann 1 visit", "bob 0 signup", "bob 1 visit", "bob 2 visit", "x 9 y"];
    let plan = visits(Period::DAY).periods(2).at_least(2);
    assert_eq!(counts(&ask(&given(&lines), plan.clone(), Scope::all())), [[2, 1, 0]]);
    assert_eq!(counts(&ask(&given(&lines), plan.on_or_after(), Scope::all())), [[2, 2, 0]]);
}

#[test]
fn value_is_exact_and_by_currency() {
    let buy = |at, customer: &str, amount| Event::at(day(at), customer, "buy").value(amount).build().unwrap();
    let eur = |amount| Money::new(amount, "EUR").unwrap();
    let events = [
        Event::at(day(0.2), "ann", "buy").value(eur("99")).build().unwrap(),
        buy(0.3, "ann", eur("0.1")),
        buy(0.4, "ann", eur("0.2")),
        buy(1.0, "ann", eur("0.3")),
        buy(1.1, "ann", Money::new("5", "USD").unwrap()),
        buy(1.2, "bob", eur("7")),
        buy(2.0, "ann", eur("-0.3")),
        buy(2.0, "ann", eur("0.3")),
        buy(9.0, "x", eur("1")),
    ];
    let plan = CohortRetention::of("buy", "buy", Period::DAY).periods(2).value();
    let report = ask(&events, plan, Scope::all().from(day(0.25)).to(day(0.5)));
    let value = |column: usize| report.cohorts[0].cells[column].value.clone();
    // What Ann bought before her first start that counts is not in it.
    assert_eq!(value(0), [eur("0.3")]);
    assert_eq!(value(1), [eur("0.3"), Money::new("5", "USD").unwrap()]);
    assert_eq!(value(2), []);
    assert_eq!(report.average[1].value, value(1));
    assert!(report.to_string().contains("Retained value, USD"), "{report}");
}

#[test]
fn it_prints_as_a_triangle() {
    let report = ask(&given(&LINES), visits(Period::DAY).periods(3).list_customers(), Scope::all().as_of(day(2.5)));
    let text = report.to_string();
    for line in [
        "| 1970-01-01 | 2     | 50.0 %    | 50.0 % * | - |",
        "| (finished) | 3     | 50.0 %    |        - | - |",
        "| bob      | 1970-01-01 | 1970-01-01T00:00:00+00:00 | 2          |",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(6_000, periodic_world, |seed, events| {
        let (plan, model, scope) = (any_retention(seed), any_model(seed), any_scope(seed));
        let expected = oracle::retention(events, &plan, &model, &scope);
        let report =
            journeys(events).query().scope(scope.clone()).model(model).run(&plan).map_err(|e| e.to_string())?;
        differences(&expected, &report).map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn retention_keeps_the_laws() {
    each_world(150, periodic_world, |seed, events| {
        check_laws(&any_retention(seed), events).map_err(|broken| broken.to_string())
    });
}

#[test]
fn arrival_names_and_bystanders_do_not_matter() {
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    each_world(500, periodic_world, |seed, events| {
        let plan = CohortRetention::of("product_view", "purchase", Period::DAY).periods(3).value().build().unwrap();
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plan, events, &bystander).map_err(|broken| broken.to_string())
    });
}
