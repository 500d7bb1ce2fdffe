//! Whether feedback differs between channels: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Consistency, EventBy, JourneyModel, NotTested, Scope, Survey,
    testing::{World, check_laws, check_names, differences_beyond_rounding, oracle},
};

use crate::given::{answers, any_consistency, any_model, any_scope, each_world, journeys, periodic_world};

/// Four answers of 6, 7, 8 and 9 at the shop, mean 7.5, variance 5/3, and of 1, 2, 3 and 4 on the phone, mean 2.5, with the same: F is
/// (5 / 2)^2 x 2 x 4 / (5/3) = 30. Ranks are 5 to 8 and 1 to 4: H is 12 / (8 x 9) x 2 x 4 x 2^2 = 5.333. Student's t of 3 degrees of freedom
/// is 3.1824, so 7.5 has an interval of 3.1824 x 0.6455 = 2.0543 to either side.
#[test]
fn two_groups_by_hand() {
    let lines = [
        "a 0 shop nps 6",
        "b 0 shop nps 7",
        "c 0 shop nps 8",
        "d 0 shop nps 9",
        "e 0 phone nps 1",
        "f 0 phone nps 2",
        "g 0 phone nps 3",
        "h 0 phone nps 4",
        "i 0 chat nps 4",
        "i 1 chat csat 4",
    ];
    let plan = Consistency::of(Survey::Nps).by(EventBy::Touchpoint).min_answers(4).build().unwrap();
    let events = answers(&lines);
    let report = journeys(&events).query().run(&plan).unwrap();
    let expected = oracle::consistency(&events, &plan, &JourneyModel::standard(), &Scope::all());
    differences_beyond_rounding(&expected, &report).unwrap();
    let groups: Vec<_> =
        report.groups.iter().map(|group| (group.group.as_deref().unwrap(), group.answers, group.tested)).collect();
    assert_eq!(groups, [("chat", 1, false), ("phone", 4, true), ("shop", 4, true)]);
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    let shop = &report.groups[2];
    near(shop.mean, 7.5);
    near(shop.low.unwrap(), 7.5 - 2.0543);
    near(shop.high.unwrap(), 7.5 + 2.0543);
    assert_eq!(report.groups[0].low, None);
    let (welch, ranks) = (report.welch.unwrap(), report.kruskal_wallis.unwrap());
    near(welch.statistic, 30.0);
    near(welch.degrees_within.unwrap(), 6.0);
    near(welch.p_value, 0.00155);
    near(ranks.statistic, 16.0 / 3.0);
    near(ranks.p_value, 0.02092);
    // Student's t of 1 degree of freedom is 12.7062: of two answers an interval soon reaches the ends of the scale.
    let few = answers(&["a 0 shop nps 8", "b 0 shop nps 10", "c 0 chat nps 1", "d 0 chat nps 0"]);
    let report = journeys(&few).query().run(&plan).unwrap();
    let intervals: Vec<_> = report.groups.iter().map(|group| group.low.zip(group.high).unwrap()).collect();
    near(intervals[0].1, 0.5 + 12.7062 / 2.0);
    assert_eq!((intervals[0].0, intervals[1]), (0.0, (0.0, 10.0)));
    // Five are too few of each by default.
    let report = journeys(&events).query().run(&Consistency::of(Survey::Nps).build().unwrap()).unwrap();
    assert_eq!((report.welch, report.no_welch), (None, Some(NotTested::TooFewGroups)));
    assert_eq!(report.no_kruskal_wallis, Some(NotTested::TooFewGroups));
    assert!(report.to_string().contains("not tested: fewer than two groups"), "{report}");
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_consistency(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences_beyond_rounding(&oracle::consistency(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn large_worlds_have_tests() {
    let mut tested = 0;
    for seed in 0..20 {
        let events = World::new(seed).customers(40).events(400).touchpoints(4).span(TimeDelta::days(40)).make();
        let plan = any_consistency(seed);
        let report = journeys(&events).query().run(&plan).unwrap();
        let expected = oracle::consistency(&events, &plan, &JourneyModel::standard(), &Scope::all());
        differences_beyond_rounding(&expected, &report).unwrap();
        tested += u32::from(report.welch.is_some() && report.kruskal_wallis.is_some());
    }
    assert!(tested >= 5, "{tested}");
}

#[test]
fn consistency_keeps_the_laws() {
    let larger =
        |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).span(TimeDelta::days(40)).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_consistency(seed), events).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_consistency(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Consistency = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}
