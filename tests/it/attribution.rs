//! Attribution: by hand, against the oracle, and the chain against walks along it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use journeylog::{
    Attribution, AttributionBuilder, AttributionBy, AttributionModel, AttributionMoveTo, AttributionReport, Channel,
    Condition, Decimal, Event, JourneyModel, Money, PropertyValue, Scope,
    testing::{World, check_arrival, check_laws, check_names, oracle},
};

use crate::given::{any_attribution, any_model, any_scope, day, each_world, journeys, periodic_world};

/// Lines of customer, day and channel; `pay` with an amount of EUR is a conversion.
fn shop(lines: &[&str]) -> Vec<Event> {
    let event = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let at = |touchpoint| Event::at(day(words[1].parse().unwrap()), words[0], touchpoint);
        let event = match words[2] {
            "pay" => at("pay").value(Money::new(words[3], "EUR").unwrap()),
            channel => at("visit").channel(Channel::new(channel).unwrap()),
        };
        event.build().unwrap()
    };
    lines.iter().map(event).collect()
}

fn plan() -> AttributionBuilder {
    Attribution::of("pay", "visit")
}

#[track_caller]
fn ask(lines: &[&str], plan: AttributionBuilder, scope: Scope) -> AttributionReport {
    let (events, plan) = (shop(lines), plan.build().unwrap());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    oracle::attribution(&events, &plan, &JourneyModel::standard(), &scope).agrees(&report).unwrap();
    report
}

/// What a model credits to each key, as conversions and EUR.
fn credits(report: &AttributionReport, model: AttributionModel) -> Vec<(String, String, String)> {
    let row = |row: &journeylog::AttributionRow| {
        let PropertyValue::Text(key) = &row.key else { panic!("{row:?}") };
        let credit = report.credit(model, key.as_str()).unwrap();
        let value = credit.value.first().map_or("0".to_owned(), |money| money.amount().to_string());
        (key.clone(), credit.conversions.to_string(), value)
    };
    report.keys.iter().map(row).filter(|(_, conversions, _)| conversions != "0").collect()
}

fn rows(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

const LINES: [&str; 10] = [
    "ann 0 social",
    "ann 7 email",
    "ann 7 direct",
    "ann 14 direct",
    "ann 14 pay 100",
    "bob 1 search",
    "bob 2 pay 19.99",
    "cat 3 email",
    "dan 4 pay 5",
    "bob 5 pay 10",
];

#[test]
fn all_models_share_the_same_conversions() {
    let report = ask(&LINES, plan(), Scope::all());
    assert_eq!((report.conversions, report.customers, report.null_journeys, report.pending), (4, 3, 1, 1));
    assert_eq!(report.value, [Money::new("134.99", "EUR").unwrap()]);
    assert_eq!(report.without_touch.conversions, 1);
    assert_eq!(report.without_touch.value, [Money::new("5", "EUR").unwrap()]);
    let of = |model| credits(&report, model);
    assert_eq!(of(AttributionModel::First), rows(&[("search", "2", "29.99"), ("social", "1", "100")]));
    assert_eq!(of(AttributionModel::Last), rows(&[("direct", "1", "100"), ("search", "2", "29.99")]));
    assert_eq!(of(AttributionModel::LastNonDirect), rows(&[("email", "1", "100"), ("search", "2", "29.99")]));
    let linear = [("direct", "0.5", "50"), ("email", "0.25", "25"), ("search", "2", "29.99"), ("social", "0.25", "25")];
    assert_eq!(of(AttributionModel::Linear), rows(&linear));
    let position = [("direct", "0.5", "50"), ("email", "0.1", "10"), ("search", "2", "29.99"), ("social", "0.4", "40")];
    assert_eq!(of(AttributionModel::Position), rows(&position));
    // 1/4, 1/2, 1/2 and 1 of 9/4.
    let decay = [
        ("direct", "0.666666667", "66.666666667"),
        ("email", "0.222222222", "22.222222222"),
        ("search", "2", "29.99"),
        ("social", "0.111111111", "11.111111111"),
    ];
    assert_eq!(of(AttributionModel::TimeDecay), rows(&decay));
    let third = |key, rest: bool| {
        (key, if rest { "0.333333334" } else { "0.333333333" }, if rest { "33.333333334" } else { "33.333333333" })
    };
    let shapley = of(AttributionModel::Shapley);
    assert_eq!(shapley[2], ("search".to_owned(), "2".to_owned(), "29.99".to_owned()));
    assert_eq!(shapley[0].1, third("direct", true).1);
    let text = report.to_string();
    assert!(
        text.contains("| (no touch) |") && text.contains("time decay EUR") && text.contains("removal effect"),
        "{text}"
    );
}

/// Three channels, four journeys: start-a-b-conversion, start-a-null, start-b-c-conversion, start-c-null. By hand:
/// from start half of the moves lead to a, a quarter each to b and c. From a half lead to b and half to null, from b half to conversion
/// and half to c, from c half to conversion and half to null. So c converts with 1/2, b with 3/4, a with 3/8, and start with
/// 3/16 + 3/16 + 1/8 = 1/2. Without a it is 3/16 + 1/8 = 5/16; without b 1/8; without c, b converts with 1/2, a with 1/4, start with 1/4. The effects
/// are 3/8, 3/4 and 1/2, of 13/8 in all: 2 conversions are split 6 : 12 : 8.
#[test]
fn a_chain_of_three_channels_by_hand() {
    let lines = ["p 0 a", "p 1 b", "p 2 pay 13", "q 0 a", "r 0 b", "r 1 c", "r 2 pay 13", "s 0 c"];
    let report = ask(&lines, plan().models([AttributionModel::Markov]), Scope::all());
    let effects: Vec<f64> = report.keys.iter().map(|row| row.removal_effect.unwrap()).collect();
    assert!(
        effects.iter().zip([0.375, 0.75, 0.5]).all(|(found, expected)| (found - expected).abs() < 1e-12),
        "{effects:?}"
    );
    let expected = [("a", "0.461538462", "6"), ("b", "0.923076923", "12"), ("c", "0.615384615", "8")];
    assert_eq!(credits(&report, AttributionModel::Markov), rows(&expected));
    let chain = report.chain.unwrap();
    assert_eq!((chain.converting, chain.null, chain.moves.len()), (2, 2, 9));
    let first = &chain.moves[0];
    assert_eq!((first.from.len(), &first.to, first.count), (0, &AttributionMoveTo::Touch("a".into()), 2));
}

/// Many walks along the chain that a report shows, with the key removed, end as its removal effect says.
#[test]
fn removal_effects_are_those_of_walks_along_the_graph() {
    const WALKS: u32 = 40_000;
    let mut random = fastrand::Rng::with_seed(11);
    for (order, seed) in [(1, 1), (2, 2), (3, 3)] {
        let events = World::new(seed).customers(40).events(260).channels(5).instants(40).plain().make();
        let visits = Condition::touchpoint("product_view").unwrap().or(Condition::touchpoint("ad_click").unwrap());
        let plan = Attribution::of("purchase", visits).within(TimeDelta::days(2)).markov_order(order).build().unwrap();
        let report = journeys(&events).query().run(&plan).unwrap();
        let chain = report.chain.as_ref().unwrap();
        let mut moves: BTreeMap<String, Vec<(&AttributionMoveTo, f64)>> = BTreeMap::new();
        let state = |keys: &[PropertyValue]| serde_json::to_string(keys).unwrap();
        for one in &chain.moves {
            moves.entry(state(&one.from)).or_default().push((&one.to, one.share));
        }
        let mut converting = |removed: Option<&PropertyValue>| {
            let mut walk = || {
                let mut last: Vec<PropertyValue> = Vec::new();
                loop {
                    let mut left = random.f64();
                    let next = &moves[&state(&last)];
                    let to = next.iter().find(|(_, share)| {
                        left -= share;
                        left < 0.0
                    });
                    match to.unwrap_or(&next[0]).0 {
                        AttributionMoveTo::Conversion => return true,
                        AttributionMoveTo::Touch(key) if Some(key) != removed => last.push(key.clone()),
                        _ => return false,
                    }
                    last.drain(..last.len().saturating_sub(order as usize));
                }
            };
            f64::from((0..WALKS).map(|_| u32::from(walk())).sum::<u32>()) / f64::from(WALKS)
        };
        // A chain converts as many as it was made of.
        let whole = chain.converting as f64 / (chain.converting + chain.null) as f64;
        let near = |found: f64, expected: f64| (found - expected).abs() < 5.0 * (0.25 / f64::from(WALKS)).sqrt();
        assert!(near(converting(None), whole) && whole > 0.1 && whole < 0.9, "{whole}");
        for row in &report.keys {
            let expected = whole * (1.0 - row.removal_effect.unwrap());
            let found = converting(Some(&row.key));
            assert!(near(found, expected), "{:?} of order {order}: {found} is not {expected}", row.key);
        }
        assert!(report.keys.len() == 5 && report.keys.iter().any(|row| row.removal_effect > Some(0.1)));
    }
}

#[test]
fn a_look_back_reaches_before_the_range_and_ends_inclusive() {
    let lines = ["ann 0 social", "ann 1 email", "ann 3 pay 1", "ann 4 pay 1"];
    let scope = || Scope::all().between(day(2.0)..day(3.5));
    let within = |span| ask(&lines, plan().within(span), scope());
    let first = |report: &AttributionReport| credits(report, AttributionModel::First)[0].0.clone();
    let report = within(TimeDelta::days(3));
    assert_eq!((report.conversions, first(&report).as_str()), (1, "social"));
    let report = within(TimeDelta::days(3) - TimeDelta::microseconds(1));
    assert_eq!(first(&report), "email");
    // The look-backs of both conversions overlap, and their touches serve both.
    let report = ask(&lines, plan().within(TimeDelta::days(3)), Scope::all());
    assert_eq!((report.conversions, report.without_touch.conversions), (2, 0));
    assert_eq!(report.keys.iter().map(|row| row.touches).collect::<Vec<_>>(), [2, 1]);
    // What is served by a conversion beyond the range is not in vain.
    let report = ask(&lines, plan(), Scope::all().to(day(2.0)));
    assert_eq!((report.conversions, report.null_journeys, report.keys.len()), (0, 0, 0));
}

#[test]
fn touches_of_the_instant_serve_and_a_conversion_is_no_touch() {
    for lines in [["ann 1 pay 1", "ann 1 email"], ["ann 1 email", "ann 1 pay 1"]] {
        let report = ask(&lines, plan(), Scope::all());
        assert_eq!((report.without_touch.conversions, report.null_journeys), (0, 0));
    }
    // Everything is a touch, but for what converts.
    let all = Attribution::of("pay", Condition::All(Vec::new())).by(AttributionBy::Touchpoint);
    let report = ask(&["ann 0 email", "ann 1 pay 1", "ann 2 pay 1"], all, Scope::all());
    assert_eq!((report.keys.len(), report.keys[0].touches), (1, 2));
    let nobody = ask(&[], plan(), Scope::all());
    assert_eq!((nobody.conversions, nobody.keys.len()), (0, 0));
}

#[test]
fn what_is_done_in_vain_makes_null_journeys() {
    // By a look-back of 2 days: 0 and 1 are one, 4 and 5 another, 7 is served, and 20 is not over yet.
    let lines = ["ann 0 a", "ann 1 b", "ann 4 a", "ann 5 a", "ann 7.5 c", "ann 8 pay 1", "ann 20 b"];
    let report = ask(&lines, plan().within(TimeDelta::days(2)), Scope::all());
    assert_eq!((report.null_journeys, report.pending), (3, 1));
    assert_eq!(report.keys.iter().map(|row| row.null_journeys).collect::<Vec<_>>(), [2, 2, 0]);
    // Without one, all after the last conversion is one journey, which may convert yet.
    let report = ask(&lines, plan(), Scope::all());
    assert_eq!((report.null_journeys, report.pending), (1, 1));
    let report = ask(&lines, plan().within(TimeDelta::days(2)), Scope::all().as_of(day(22.0)));
    assert_eq!((report.null_journeys, report.pending), (3, 0));
}

#[test]
fn credits_of_many_touches_sum_up() {
    // 43 touches do not divide a conversion.
    let mut lines: Vec<String> = (0..43).map(|i| format!("ann {i} c{i:02}")).collect();
    lines.push("ann 50 pay -0.01".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let report = journeys(&shop(&lines)).query().run(&plan().build().unwrap()).unwrap();
    for model in AttributionModel::ALL {
        let credits: Vec<_> = report.keys.iter().filter_map(|row| report.credit(model, row.key.clone())).collect();
        assert_eq!(credits.iter().map(|credit| credit.conversions).sum::<Decimal>(), Decimal::ONE, "{model:?}");
        let value: Decimal = credits.iter().flat_map(|credit| &credit.value).map(Money::amount).sum();
        assert_eq!(value, "-0.01".parse().unwrap(), "{model:?}");
        if model == AttributionModel::Linear {
            // 43 and 0.01 leave the same rests everywhere: the earlier touches get more.
            let nanos: Vec<String> = credits.iter().map(|credit| credit.value[0].amount().to_string()).collect();
            assert_eq!((nanos[0].as_str(), nanos[42].as_str()), ("-0.000232559", "-0.000232558"));
        }
    }
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(1_500, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_attribution(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        oracle::attribution(events, &plan, &model, &scope)
            .agrees(&report)
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
            for within in [0, 1, i64::MAX] {
                let span = TimeDelta::microseconds(within);
                let plan = Attribution::of("purchase", "product_view")
                    .within(span)
                    .half_life(span.max(TimeDelta::microseconds(1)));
                let plan = plan.list_customers().build().unwrap();
                let report = journeys(events).query().scope(scope.clone()).run(&plan).map_err(|e| e.to_string())?;
                oracle::attribution(events, &plan, &model, &scope).agrees(&report)?;
            }
            Ok(())
        },
    );
}

#[test]
fn attribution_keeps_the_laws() {
    let larger = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_attribution(seed), events).map_err(|broken| broken.to_string())
    });
}

#[test]
fn arrival_matters_only_where_events_are_tied() {
    let make = |seed| {
        let mut events = periodic_world(seed);
        let mut taken = std::collections::HashSet::new();
        events.retain(|event| taken.insert((event.customer().clone(), event.occurred_at())));
        events
    };
    each_world(500, make, |seed, events| {
        check_arrival(&any_attribution(seed), events, seed).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_attribution(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Attribution = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn attribution_has_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = Attribution::of("purchase", Condition::All(Vec::new())).by(AttributionBy::Touchpoint).markov_order(3);
    let plan = plan.list_customers().build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    let refused = journeys.query().memory(10_000).run(&plan).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains("raise Query::memory"), "{refused}");
}
