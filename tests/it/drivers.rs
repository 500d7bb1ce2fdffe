//! What goes with an outcome: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    DriverBy, Drivers, DriversBuilder, DriversReport, Entry, Event, JourneyModel, Journeys, ProfileUpdate,
    PropertyValue, Scope, Survey,
    testing::{World, check_laws, check_names, differences_beyond_rounding, oracle},
};

use crate::given::{answers, any_drivers, any_model, any_scope, day, each_world, journeys, periodic_world};

#[track_caller]
fn ask(events: &[Event], plan: DriversBuilder, scope: Scope) -> DriversReport {
    let plan = plan.build().unwrap();
    let report = journeys(events).query().scope(scope.clone()).run(&plan).unwrap();
    differences_beyond_rounding(&oracle::drivers(events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

fn value(report: &DriversReport, value: &str) -> Option<(u64, u64, u64, u64)> {
    let driver = report.drivers.iter().find(|driver| driver.value == PropertyValue::Text(value.to_owned()))?;
    Some((driver.with.some, driver.with.of, driver.without.some, driver.without.of))
}

/// 8 of 10 who had a demo bought, and 4 of 20 others: (8 / 2) / (4 / 16) = 16, with an error of
/// sqrt(1/8 + 1/2 + 1/4 + 1/16) = 0.968246 in its logarithm, so 2.3985 to 106.73.
#[test]
fn a_table_by_hand() {
    let mut lines = Vec::new();
    for who in 0..30 {
        lines.push(format!("c{who} 0 home"));
        if who < 10 {
            lines.push(format!("c{who} 1 demo"));
        }
        if who < 8 || (10..14).contains(&who) {
            lines.push(format!("c{who} 2 buy"));
            lines.push(format!("c{who} 3 support"));
        }
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let plan = || Drivers::of_conversion("buy").by([DriverBy::Touchpoint]);
    let report = ask(&answers(&lines), plan().list_customers(), Scope::all());
    assert_eq!((report.cases.some, report.cases.of, report.tested, report.rare), (12, 30, 1, 0));
    assert_eq!(value(&report, "demo"), Some((8, 10, 4, 20)));
    let test = report.drivers[0].test.as_ref().unwrap();
    assert!((test.odds.ratio - 16.0).abs() < 1e-12 && !test.odds.corrected, "{test:?}");
    assert!((test.odds.low - 2.3985).abs() < 1e-3 && (test.odds.high - 106.73).abs() < 1e-2, "{test:?}");
    assert_eq!((test.holm, test.q_value), (test.p_value, test.p_value));
    // All were at home: there is nothing to compare. What came with or after the purchase is no factor.
    assert_eq!((report.drivers.len(), &report.drivers[1].test), (2, &None));
    let case = &report.listed.as_ref().unwrap()[0];
    assert_eq!(
        (case.customer.as_str(), case.at, case.outcome, case.drivers.as_slice()),
        ("c0", Some(day(2.0)), true, &[0, 1][..])
    );
    // Before a range everything counts; a purchase outside of it is none.
    let report = ask(&answers(&lines), plan(), Scope::all().from(day(3.0)));
    assert_eq!((report.cases.some, value(&report, "support")), (0, Some((0, 12, 0, 18))));
    assert_eq!(report.tested, 0);
    let report = ask(&answers(&lines), plan().min_support(11), Scope::all());
    assert_eq!((report.rare, report.drivers.len()), (1, 1));
    let report = ask(&answers(&lines), plan().limit(1), Scope::all());
    assert_eq!((report.more, report.drivers.len()), (1, 1));
    assert_eq!(ask(&[], plan(), Scope::all()).cases.of, 0);
}

#[test]
fn what_happened_at_the_instant_of_the_outcome_is_no_driver() {
    for lines in [["ann 1 demo", "ann 1 buy", "bob 1 demo"], ["ann 1 buy", "ann 1 demo", "bob 1 demo"]] {
        let plan = Drivers::of_conversion("buy").by([DriverBy::Touchpoint]);
        assert_eq!(value(&ask(&answers(&lines), plan, Scope::all()), "demo"), Some((0, 1, 1, 1)));
    }
}

#[test]
fn what_was_done_before_an_answer_within_a_look_back() {
    let lines = [
        "ann 0 call",
        "ann 5 mail nps 3",
        "ann 6 chat",
        "ann 9 mail nps 9",
        "bob 1 chat",
        "bob 5 mail nps 6",
        "cat 5 mail nps 8",
        "dan 0 call",
    ];
    let plan = || Drivers::of_dissatisfaction(Survey::Nps).by([DriverBy::Touchpoint]);
    let report = ask(&answers(&lines), plan(), Scope::all());
    assert_eq!((report.cases.some, report.cases.of), (2, 4));
    assert_eq!(value(&report, "call"), Some((1, 2, 1, 2)));
    // Each answer is to a mail: its own event counts.
    assert_eq!(value(&report, "mail"), Some((2, 4, 0, 0)));
    // Four days: Ann's call is too long ago, Bob's chat is just within.
    let report = ask(&answers(&lines), plan().within(TimeDelta::days(4)), Scope::all());
    assert_eq!((value(&report, "call"), value(&report, "chat")), (None, Some((1, 2, 1, 2))));
    let report = ask(&answers(&lines), plan().latest(), Scope::all());
    assert_eq!((report.cases.some, report.cases.of), (1, 3));
}

#[test]
fn where_an_answer_was_given_may_drive_it() {
    let lines = ["a 0 delivery csat 1", "b 0 delivery csat 1", "c 0 store csat 5", "d 0 store csat 5", "d 0 chat"];
    for plan in
        [Drivers::of_dissatisfaction(Survey::Csat), Drivers::of_dissatisfaction(Survey::Csat).within(TimeDelta::zero())]
    {
        let report = ask(&answers(&lines), plan.by([DriverBy::Touchpoint]), Scope::all());
        assert_eq!(value(&report, "delivery"), Some((2, 2, 0, 2)));
        // At the instant of an answer, and not the answer.
        assert_eq!(value(&report, "chat"), None);
    }
    // Of two answers at one instant each has its own touchpoint; the later ones have those before too, if not too long before.
    let lines = ["a 0 delivery csat 1", "a 0 store csat 5", "a 2 chat csat 5"];
    let plan = || Drivers::of_dissatisfaction(Survey::Csat).by([DriverBy::Touchpoint]);
    let report = ask(&answers(&lines), plan(), Scope::all());
    assert_eq!((value(&report, "delivery"), value(&report, "store")), (Some((1, 2, 0, 1)), Some((0, 2, 1, 1))));
    let report = ask(&answers(&lines), plan().within(TimeDelta::days(1)), Scope::all());
    assert_eq!((value(&report, "delivery"), value(&report, "store")), (Some((1, 1, 0, 2)), Some((0, 1, 1, 2))));
}

#[test]
fn who_comes_after_the_range_is_no_case() {
    let lines = ["ann 0 visit", "ann 1 buy", "bob 33 visit", "bob 34 buy", "cat 5 visit", "cat 40 buy"];
    let plan = Drivers::of_conversion("buy").by([DriverBy::Touchpoint]);
    let report = ask(&answers(&lines), plan.clone(), Scope::all().to(day(31.0)));
    assert_eq!((report.cases.some, report.cases.of), (1, 2));
    // What Cat did after it is no factor.
    assert_eq!((value(&report, "visit"), value(&report, "buy")), (Some((1, 2, 0, 0)), None));
    let report = ask(&answers(&lines), plan, Scope::all().between(day(31.0)..day(35.0)));
    assert_eq!((report.cases.some, report.cases.of, value(&report, "buy")), (1, 3, Some((0, 1, 1, 2))));
}

/// Ann and Bob are known to be German when they buy; Bob moves later. Cat is never known, Dan, who does not buy, is French from his second event on.
#[test]
fn what_customers_are_may_drive_them() {
    let lines = ["ann 1 buy", "bob 0 visit", "bob 1 buy", "cat 1 buy", "cat 2 visit", "dan 0 visit", "dan 3 visit"];
    let mut entries: Vec<Entry> = answers(&lines).into_iter().map(Entry::from).collect();
    for (who, on, country) in
        [("ann", 0.0, "DE"), ("bob", 0.0, "DE"), ("bob", 2.0, "FR"), ("dan", 3.0, "FR"), ("dan", 4.0, "IT")]
    {
        entries.push(ProfileUpdate::at(day(on), who).set("country", country).build().unwrap().into());
    }
    let journeys = Journeys::of(entries).unwrap();
    let ask = |plan: DriversBuilder| journeys.query().run(&plan.build().unwrap()).unwrap();
    let by = |by| ask(Drivers::of_conversion("buy").by([by]).list_customers());
    let report = by(DriverBy::Profile("country".to_owned()));
    assert_eq!(
        (value(&report, "DE"), value(&report, "FR"), value(&report, "IT")),
        (Some((2, 2, 1, 2)), Some((0, 1, 3, 3)), None)
    );
    let report = by(DriverBy::ProfileLatest("country".to_owned()));
    assert_eq!((value(&report, "DE"), value(&report, "FR")), (Some((1, 1, 2, 3)), Some((1, 1, 2, 3))));
    assert_eq!(value(&report, "IT"), Some((0, 1, 3, 3)));
    let report = by(DriverBy::Touchpoint);
    assert_eq!((value(&report, "visit"), value(&report, "buy")), (Some((1, 2, 2, 2)), None));
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_drivers(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences_beyond_rounding(&oracle::drivers(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn drivers_keep_the_laws() {
    let larger =
        |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).span(TimeDelta::days(40)).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_drivers(seed), events).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_drivers(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Drivers = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn drivers_have_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = Drivers::of_conversion("purchase").list_customers().build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    let refused = journeys.query().memory(500).run(&plan).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains("raise Query::memory"), "{refused}");
}
