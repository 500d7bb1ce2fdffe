//! Purchases and RFM scores: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Event, JourneyModel, LifetimeValue, Money, Purchases, PurchasesReport, RepeatOutcome, Rfm, Scope,
    testing::{World, check_arrival, check_bystander, check_laws, check_names, differences_beyond_rounding, oracle},
};

use crate::given::{any_model, any_purchases, any_scope, day, each_world, journeys, periodic_world};

fn spent(customer: &str, on: f64, amount: &str, currency: &str) -> Event {
    Event::at(day(on), customer, "buy").value(Money::new(amount, currency).unwrap()).build().unwrap()
}

/// Ann bought on three days, Bob on one twice, Cat once, without money; observation ends on day 20.
fn buyers() -> Vec<Event> {
    vec![
        spent("ann", 0.5, "10", "EUR"),
        spent("ann", 4.0, "20.10", "EUR"),
        spent("ann", 14.0, "5", "USD"),
        spent("bob", 10.1, "100", "EUR"),
        spent("bob", 10.9, "-40", "EUR"),
        Event::at(day(17.0), "cat", "buy").build().unwrap(),
        Event::at(day(20.0), "dan", "visit").build().unwrap(),
    ]
}

fn ask(events: &[Event], plan: journeylog::PurchasesBuilder, scope: Scope) -> PurchasesReport {
    let plan = plan.list_customers().build().unwrap();
    let report = journeys(events).query().scope(scope.clone()).run(&plan).unwrap();
    differences_beyond_rounding(&oracle::purchases(events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    report
}

#[test]
fn who_buys_again_how_often_and_for_how_much() {
    let report = ask(&buyers(), Purchases::of("buy").value_in("EUR"), Scope::all());
    let repeat = report.repeat;
    assert_eq!((repeat.buyers, repeat.repeated, repeat.once, repeat.pending), (3, 1, 2, 0));
    assert_eq!((report.purchases, report.orders, report.orders_without_money), (5, 6, 1));
    let values: Vec<_> = report.values.iter().map(|v| (v.total.to_string(), v.orders, v.customers)).collect();
    assert_eq!(values, [("90.1 EUR".to_owned(), 4, 2), ("5 USD".to_owned(), 1, 1)]);
    assert_eq!((report.values[0].order_value, report.values[0].customer_value), (22.525, 45.05));
    assert_eq!(report.frequency, Some(2.0 / 3.0));
    // 6 days since Ann's last, 9.1 since Bob's, 3 since Cat's; 3.5 and 10 days between Ann's.
    let days = |seconds: f64| seconds / 86_400.0;
    let (recency, between) = (report.recency.unwrap(), report.between.unwrap());
    assert!((days(recency.mean) - 18.1 / 3.0).abs() < 1e-9 && days(recency.median) == 6.0);
    assert_eq!((between.count, days(between.median), days(between.max)), (2, 3.5, 10.0));
    assert!(report.to_string().contains("| EUR        |      4 |         2 |  90.1 |    22.52 |"), "{report}");
}

#[test]
fn scores_are_the_share_that_is_strictly_worse() {
    let report = ask(&buyers(), Purchases::of("buy").value_in("EUR"), Scope::all());
    let rfm = |rfm: Rfm| (rfm.recency, rfm.frequency, rfm.monetary.unwrap());
    let customers = report.customers.unwrap();
    // Of three, one is worse: 1 + floor(5/3); two are: 1 + floor(10/3). Bob and Cat have as many repeats: none.
    assert_eq!(customers.iter().map(|one| rfm(one.rfm)).collect::<Vec<_>>(), [(2, 4, 2), (1, 1, 4), (4, 1, 1)]);
    let segments: Vec<_> = report.segments.iter().map(|s| (rfm(s.rfm), s.value.unwrap().to_string())).collect();
    let right = [((4, 1, 1), "0 EUR"), ((2, 4, 2), "30.1 EUR"), ((1, 1, 4), "60 EUR")];
    assert_eq!(segments, right.map(|(rfm, value)| (rfm, value.to_owned())));
    let report = ask(&buyers(), Purchases::of("buy"), Scope::all());
    assert!(report.segments.iter().all(|segment| segment.rfm.monetary.is_none() && segment.value.is_none()));
}

#[test]
fn with_a_window_some_are_pending() {
    use RepeatOutcome::{Once, Pending, Repeated};
    let within = |micros: i64| Purchases::of("buy").within(TimeDelta::hours(84) + TimeDelta::microseconds(micros));
    let outcomes =
        |report: &PurchasesReport| report.customers.as_ref().unwrap().iter().map(|one| one.outcome).collect::<Vec<_>>();
    // Ann came back after 3.5 days, just in time; Cat has half a day left.
    let report = ask(&buyers(), within(0), Scope::all());
    assert_eq!(outcomes(&report), [Repeated, Once, Pending]);
    assert_eq!((report.repeat.rate.of, report.repeat.settled_rate.of), (3, 2));
    assert_eq!(outcomes(&ask(&buyers(), within(-1), Scope::all())), [Once, Once, Pending]);
    assert_eq!(outcomes(&ask(&buyers(), within(0), Scope::all().as_of(day(20.5)))), [Repeated, Once, Once]);
}

#[test]
fn who_counts_is_said_by_the_range_and_what_counts_by_the_end() {
    let report = ask(&buyers(), Purchases::of("buy"), Scope::all().between(day(10.0)..day(15.0)));
    assert_eq!((report.repeat.buyers, report.orders), (1, 2));
    let report = ask(&buyers(), Purchases::of("buy"), Scope::all().to(day(1.0)));
    assert_eq!((report.repeat.buyers, report.orders), (1, 3));
    assert_eq!(ask(&[], Purchases::of("buy"), Scope::all()).frequency, None);
}

/// Ann bought before March too, and Bob again after it.
#[test]
fn what_an_order_was_worth_in_march() {
    let events = [
        spent("ann", 31.0, "10", "EUR"),
        spent("ann", 63.0, "30", "EUR"),
        spent("bob", 60.0, "20", "EUR"),
        spent("bob", 98.0, "40", "EUR"),
    ];
    let march = || Scope::all().between(day(59.0)..day(90.0));
    let worth = |report: &PurchasesReport| {
        let value = &report.values[0];
        (value.orders, value.total.to_string(), value.order_value, report.repeat.buyers, report.repeat.repeated)
    };
    let report = ask(&events, Purchases::of("buy").count_orders(), march());
    assert_eq!(worth(&report), (2, "50 EUR".to_owned(), 25.0, 2, 1));
    assert_eq!((report.purchases, report.frequency), (2, Some(0.0)));
    let bob = &report.customers.unwrap()[1];
    assert_eq!(
        (bob.first_at, bob.last_at, bob.repeats, bob.outcome),
        (day(60.0), day(60.0), 0, RepeatOutcome::Repeated)
    );
    // Of new buyers: Bob, with all his orders.
    let report = ask(&events, Purchases::of("buy"), march());
    assert_eq!(worth(&report), (2, "60 EUR".to_owned(), 30.0, 1, 1));
    // A range that ends within a day cuts its orders off.
    let events = [spent("ann", 1.2, "10", "EUR"), spent("ann", 1.8, "30", "EUR"), spent("ann", 2.2, "5", "EUR")];
    let report = ask(&events, Purchases::of("buy").count_orders(), Scope::all().to(day(1.5)));
    assert_eq!(worth(&report), (1, "10 EUR".to_owned(), 10.0, 1, 1));
    // Without a range both are the same.
    let [new, orders] =
        [Purchases::of("buy"), Purchases::of("buy").count_orders()].map(|plan| ask(&events, plan, Scope::all()));
    assert_eq!((new.repeat, new.values, new.customers), (orders.repeat, orders.values, orders.customers));
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(3_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_purchases(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences_beyond_rounding(&oracle::purchases(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

/// Both walk over the same days.
#[test]
fn repeats_are_those_of_lifetime_value() {
    each_world(500, periodic_world, |seed, events| {
        let scope = any_scope(seed);
        let plans = (
            Purchases::of("purchase").value_in("EUR").list_customers().build().unwrap(),
            LifetimeValue::of("purchase").value_in("EUR").list_customers().build().unwrap(),
        );
        let (bought, worth) = journeys(events).query().scope(scope).run(&plans).map_err(|e| e.to_string())?;
        let (bought_by, worth_of) = (bought.customers.unwrap(), worth.customers.unwrap());
        let same = bought_by
            .iter()
            .map(|one| (&one.customer, one.repeats))
            .eq(worth_of.iter().map(|one| (&one.customer, one.repeats)));
        let counts = (bought.repeat.buyers, bought.repeat.repeated, bought.purchases);
        if same && counts == (worth.buyers, worth.repeat_buyers, worth.purchases) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
}

#[test]
fn purchases_keep_the_laws() {
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    each_world(60, periodic_world, |seed, events| {
        check_laws(&any_purchases(seed), events).map_err(|broken| broken.to_string())?;
        let plan = Purchases::of("purchase").value_in("EUR").build().unwrap();
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plan, events, &bystander).map_err(|broken| broken.to_string())
    });
}

#[test]
fn purchases_have_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = Purchases::of("purchase").build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    assert!(journeys.query().memory(500).run(&plan).unwrap_err().is_limit());
}
