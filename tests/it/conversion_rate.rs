//! Conversion rates: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    ConversionRate, EventBy, Period,
    testing::{World, check_arrival, check_laws, differences, oracle},
};

use crate::given::{any_conversion_rate, any_model, any_scope, each_world, given, journeys, periodic_world};

/// Two mails, and one click that only one of them can have; the older one's, as it is still open.
#[test]
fn by_exposures_a_click_is_of_one_mail() {
    let events = given(&["ann 0 mail", "ann 1 mail", "ann 2 click", "bob 0 mail", "bob 3.5 click", "cat 9 mail"]);
    let plan = ConversionRate::click_through("mail", "click").within(TimeDelta::days(2));
    let total = |plan: journeylog::ConversionRateBuilder| {
        let total = journeys(&events).query().run(&plan.build().unwrap()).unwrap().total;
        [total.exposed, total.followed, total.missed, total.pending]
    };
    assert_eq!(total(plan.clone().by_customers()), [3, 1, 1, 1]);
    assert_eq!(total(plan), [4, 1, 2, 1]);
}

/// A purchase saves all carts in whose windows it lies, and none before.
#[test]
fn each_cart_without_a_purchase_is_abandoned() {
    let plan = ConversionRate::abandonment("cart", "buy").within(TimeDelta::days(3));
    let total = |lines: &[&str], plan: &journeylog::ConversionRateBuilder| {
        let plan = plan.clone().build().unwrap();
        let total = journeys(&given(lines)).query().run(&plan).unwrap().total;
        [total.exposed, total.followed, total.missed, total.pending]
    };
    let lines = ["ann 0 cart", "ann 10 cart", "ann 10 buy", "ann 20 visit"];
    assert_eq!(total(&lines, &plan), [2, 1, 1, 0]);
    assert_eq!(total(&lines, &plan.clone().by_customers()), [1, 1, 0, 0]);
    let lines = ["ann 0 cart", "ann 0.004 cart", "ann 0.007 buy", "ann 20 visit"];
    assert_eq!(total(&lines, &plan), [2, 2, 0, 0]);
    // The window is inclusive, and a cart after the purchase has none.
    let lines = ["ann 0 cart", "ann 3 buy", "ann 3.5 cart", "bob 1 cart", "bob 4.01 buy", "bob 5 visit"];
    assert_eq!(total(&lines, &plan), [3, 1, 1, 1]);
}

#[test]
fn what_is_counted_depends_on_the_kind() {
    for (kind, count) in [
        ("conversion", "customers"),
        ("click_through", "exposures"),
        ("win", "exposures"),
        ("abandonment", "exposures"),
    ] {
        let text = format!(r#"{{"kind":"{kind}","exposed":{{"touchpoint":"a"}},"wanted":{{"touchpoint":"b"}}}}"#);
        let plan: ConversionRate = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&plan).unwrap()["count"], count, "{kind}");
    }
}

#[test]
fn an_event_does_not_follow_itself() {
    let events = given(&["ann 0 visit", "bob 0 visit", "bob 0 visit"]);
    let plan = ConversionRate::conversion("visit", "visit").build().unwrap();
    let total = journeys(&events).query().run(&plan).unwrap().total;
    assert_eq!((total.exposed, total.followed, total.missed), (2, 1, 1));
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_conversion_rate(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::conversion_rate(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn conversion_rates_keep_the_laws() {
    let larger =
        |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).span(TimeDelta::days(40)).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_conversion_rate(seed), events).map_err(|broken| broken.to_string())?;
        let plan = ConversionRate::win("product_view", "purchase").within(TimeDelta::days(9)).by(EventBy::Channel);
        let plan = plan.by_exposures().list_customers().build().unwrap();
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn a_conversion_rate_has_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = ConversionRate::conversion("product_view", "purchase").by(EventBy::Channel).every(Period::DAY);
    let plan = plan.build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    assert!(journeys.query().memory(500).run(&plan).unwrap_err().is_limit());
}
