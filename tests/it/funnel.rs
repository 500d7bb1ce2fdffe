//! Funnels: by hand, and against the oracle.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Condition, Count, Event, Funnel, FunnelBuilder, FunnelOutcome, FunnelReport, JourneyModel, Period, Scope, Seq,
    Ties,
    testing::{World, check_arrival, check_bystander, oracle},
};

use crate::given::{
    any_funnel, any_model, any_scope, day, each_world, given, journeys, orders, tied_world, with_trend,
};

pub(crate) fn ask(events: &[Event], funnel: FunnelBuilder) -> FunnelReport {
    let funnel = funnel.build().unwrap();
    let report = journeys(events).query().run(&funnel).unwrap();
    // What is worked out by hand also holds for the oracle, or it would be no witness for the random worlds.
    let truth = oracle::funnel(events, &funnel, &JourneyModel::standard(), &Scope::all());
    truth.agrees(&report).unwrap_or_else(|why| panic!("{why}"));
    report
}

pub(crate) fn reached(events: &[Event], funnel: FunnelBuilder) -> Vec<u64> {
    ask(events, funnel).steps.iter().map(|step| step.customers).collect()
}

fn at(touchpoint: &str) -> Condition {
    Condition::touchpoint(touchpoint).unwrap()
}

/// Every order of arrival of these lines.
fn arrivals(lines: &[&'static str]) -> Vec<Vec<&'static str>> {
    if lines.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for i in 0..lines.len() {
        let mut others = lines.to_vec();
        let first = others.remove(i);
        orders.extend(arrivals(&others).into_iter().map(|rest| std::iter::once(first).chain(rest).collect()));
    }
    orders
}

// Golden cases: given / when / then, worked out by hand.

/// `ClickHouse` #34986: `windowFunnel` sorted by time only, so that of steps at one second the answer changed with the
/// order in which rows arrived.
#[test]
fn several_steps_at_one_instant_count_in_any_order_of_arrival() {
    for lines in arrivals(&["ann 0 view", "ann 0 cart", "ann 0 pay"]) {
        let events = given(&lines);
        assert_eq!(reached(&events, Funnel::ordered(["view", "cart", "pay"])), [1, 1, 1], "{lines:?}");
        assert_eq!(reached(&events, Funnel::strict(["view", "cart", "pay"])), [1, 1, 1], "{lines:?}");
        let later_only = Funnel::ordered(["view", "cart", "pay"]).ties(Ties::LaterOnly);
        assert_eq!(reached(&events, later_only), [1, 0, 0], "{lines:?}");
    }
}

/// `ClickHouse` #21835: one event that matched two neighbouring conditions counted for both.
#[test]
fn one_event_that_matches_two_steps_serves_one() {
    let either = || at("view").or(at("cart"));
    assert_eq!(reached(&given(&["ann 0 view"]), Funnel::ordered([either(), at("view")])), [1, 0]);
    for lines in arrivals(&["ann 0 view", "ann 0 cart"]) {
        assert_eq!(reached(&given(&lines), Funnel::ordered([either(), at("view")])), [1, 1], "{lines:?}");
        assert_eq!(reached(&given(&lines), Funnel::ordered([either(), either(), either()])), [1, 1, 0], "{lines:?}");
    }
}

#[test]
fn the_same_step_twice_needs_two_events_also_at_one_instant() {
    assert_eq!(reached(&given(&["ann 0 view"]), Funnel::ordered(["view", "view"])), [1, 0]);
    assert_eq!(reached(&given(&["ann 0 view", "ann 0 view"]), Funnel::ordered(["view", "view"])), [1, 1]);
    assert_eq!(reached(&given(&["ann 0 view", "ann 0 view"]), Funnel::strict(["view", "view"])), [1, 1]);
    let later_only = Funnel::ordered(["view", "view"]).ties(Ties::LaterOnly);
    assert_eq!(reached(&given(&["ann 0 view", "ann 0 view"]), later_only.clone()), [1, 0]);
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 view"]), later_only), [1, 1]);
}

/// A greedy gives `a` to the first step and then lacks an event for the second.
#[test]
fn a_tie_is_shared_out_so_that_the_most_steps_are_served() {
    let a_or_b = || at("a").or(at("b"));
    for lines in arrivals(&["ann 0 a", "ann 0 b", "ann 0 c"]) {
        let funnel = Funnel::ordered([a_or_b(), at("a"), a_or_b().or(at("c"))]);
        assert_eq!(reached(&given(&lines), funnel), [1, 1, 1], "{lines:?}");
    }
}

#[test]
fn the_window_is_inclusive_to_the_microsecond() {
    let hour = TimeDelta::hours(1);
    let pay_after = |gap: TimeDelta| {
        let event = |at, touchpoint| Event::at(at, "ann", touchpoint).build().unwrap();
        let events = [event(day(0.0), "view"), event(day(0.0) + gap, "pay"), event(day(9.0), "other")];
        reached(&events, Funnel::ordered(["view", "pay"]).within(hour))
    };
    assert_eq!(pay_after(hour), [1, 1]);
    assert_eq!(pay_after(hour + TimeDelta::microseconds(1)), [1, 0]);
    // A window of nothing holds what happens at one instant.
    let zero = || Funnel::ordered(["view", "pay"]).within(TimeDelta::zero());
    assert_eq!(reached(&given(&["ann 0 pay", "ann 0 view"]), zero()), [1, 1]);
}

#[test]
fn windows_do_not_overflow_at_the_ends_of_time() {
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let event = |at, touchpoint| Event::at(at, "ann", touchpoint).build().unwrap();
    let all_of_time = TimeDelta::microseconds(i64::MAX);
    let events = [event(last, "view"), event(last, "pay"), event(first, "view")];
    assert_eq!(reached(&events, Funnel::ordered(["view", "pay"]).within(all_of_time)), [1, 1]);
    let far = [event(first, "view"), event(last, "pay")];
    // The two moments are further apart than the longest window.
    assert_eq!(reached(&far, Funnel::ordered(["view", "pay"]).within(all_of_time)), [1, 0]);
    assert_eq!(reached(&far, Funnel::ordered(["view", "pay"])), [1, 1]);
    let time = ask(&far, Funnel::ordered(["view", "pay"])).steps[1].time_to_reach.unwrap();
    let exact = i128::from(last.timestamp_micros()) - i128::from(first.timestamp_micros());
    assert_eq!(time.max, exact as f64 / 1e6);
}

#[test]
fn any_entry_may_start_the_chain() {
    // The entry of day 0 misses the window, that of day 5 does not.
    let events = given(&["ann 0 view", "ann 5 view", "ann 9 pay"]);
    let report = ask(&events, Funnel::ordered(["view", "pay"]).within(TimeDelta::days(7)).list_customers());
    assert_eq!(report.converted, 1);
    assert_eq!(report.steps[1].time_to_reach.unwrap().median, 4.0 * 86_400.0);
    assert_eq!(report.time_since_first_entry.unwrap().median, 9.0 * 86_400.0);
    let served: Vec<Seq> = report.customers.unwrap()[0].events.iter().map(|event| event.seq).collect();
    assert_eq!(served, [Seq(2), Seq(3)]);
}

#[test]
fn the_earliest_completion_wins_and_then_the_latest_entry() {
    let events = given(&["ann 0 view", "ann 1 view", "ann 2 pay", "ann 3 view", "ann 3.5 pay"]);
    let report = ask(&events, Funnel::ordered(["view", "pay"]).list_customers());
    // Days 3 to 3.5 would be shorter, but complete later; from day 0 it would be longer.
    assert_eq!(report.steps[1].time_to_reach.unwrap().median, 86_400.0);
    let served: Vec<Seq> = report.customers.unwrap()[0].events.iter().map(|event| event.seq).collect();
    assert_eq!(served, [Seq(2), Seq(3)]);
}

#[test]
fn the_time_to_a_step_is_that_of_the_funnel_cut_after_it() {
    let lines = ["ann 0 a", "ann 4 b", "ann 5 a", "ann 6 b", "ann 7 c"];
    let report = ask(&given(&lines), Funnel::ordered(["a", "b", "c"]).within(TimeDelta::days(5)));
    let days: Vec<f64> = report.steps.iter().map(|step| step.time_to_reach.unwrap().median / 86_400.0).collect();
    assert_eq!(days, [0.0, 4.0, 2.0]);
}

#[test]
fn strict_chains_bear_repeats_of_the_current_step_only() {
    let strict = || Funnel::strict(["a", "b", "c"]);
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 a", "ann 2 b", "ann 3 b", "ann 4 c"]), strict()), [1, 1, 1]);
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 x", "ann 2 b", "ann 3 c"]), strict()), [1, 0, 0]);
    // A repeat of an earlier step breaks the chain, and another begins there.
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 b", "ann 2 a", "ann 3 c"]), strict()), [1, 1, 0]);
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 x", "ann 2 a", "ann 3 b", "ann 4 c"]), strict()), [1, 1, 1]);
    // What happens at the same instant as a step may be taken to lie before the chain, or after it.
    assert_eq!(reached(&given(&["ann 0 a", "ann 0 x", "ann 1 b", "ann 1 y", "ann 1 c"]), strict()), [1, 1, 1]);
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 y", "ann 1 b", "ann 2 c"]), strict()), [1, 1, 0]);
}

#[test]
fn an_exclusion_stops_the_chain_over_which_it_lies() {
    let funnel = || Funnel::ordered(["view", "cart", "pay"]).exclude(at("refund"));
    let report = ask(&given(&["ann 0 view", "ann 1 cart", "ann 2 refund", "ann 3 pay"]), funnel().list_customers());
    assert_eq!((report.steps[1].dropped, report.steps[1].stopped, report.converted), (1, 1, 0));
    assert_eq!(report.customers.unwrap()[0].outcome, FunnelOutcome::Stopped);
    // Before the first step and after the last one it is nobody's business.
    assert_eq!(reached(&given(&["ann 0 refund", "ann 1 view", "ann 2 cart", "ann 3 pay"]), funnel()), [1, 1, 1]);
    assert_eq!(reached(&given(&["ann 1 view", "ann 2 cart", "ann 3 pay", "ann 4 refund"]), funnel()), [1, 1, 1]);
    // Another chain may come further.
    let again = ["ann 0 view", "ann 1 refund", "ann 2 view", "ann 3 cart", "ann 4 pay"];
    assert_eq!(reached(&given(&again), funnel()), [1, 1, 1]);
    // Between other steps it does not count.
    let between = Funnel::ordered(["view", "cart", "pay"]).exclude_between(at("refund"), 2, 3);
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 refund", "ann 2 cart", "ann 3 pay"]), between), [1, 1, 1]);
}

#[test]
fn an_exclusion_at_the_instant_of_a_step_counts_only_if_no_order_avoids_it() {
    let funnel = || Funnel::ordered(["view", "pay"]).exclude(at("refund"));
    for lines in arrivals(&["ann 0 view", "ann 0 refund", "ann 0 pay"]) {
        assert_eq!(reached(&given(&lines), funnel()), [1, 1], "{lines:?}");
    }
    assert_eq!(reached(&given(&["ann 0 view", "ann 0 refund", "ann 1 pay"]), funnel()), [1, 1]);
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 refund", "ann 1 pay"]), funnel()), [1, 1]);
    // Between the carts of days 0 and 2 it cannot be avoided.
    let three = Funnel::ordered(["view", "cart", "pay"]).exclude_between(at("refund"), 1, 3);
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 refund", "ann 1 cart", "ann 2 pay"]), three), [1, 1, 0]);
}

/// The cart of day 1 is reached, and then the refund of the same instant, which no order puts elsewhere, stops it.
#[test]
fn a_chain_stopped_at_the_instant_of_its_last_step_is_stopped() {
    for lines in arrivals(&["ann 1 cart", "ann 1 refund"]) {
        let mut events = given(&["ann 0 view"]);
        events.extend(given(&lines));
        events.extend(given(&["ann 2 pay"]));
        let report = ask(&events, Funnel::ordered(["view", "cart", "pay"]).exclude(at("refund")));
        assert_eq!((report.steps[1].customers, report.steps[2].customers), (1, 0));
        assert_eq!(report.steps[1].stopped, 1, "{lines:?}");
    }
}

#[test]
fn an_event_that_meets_an_exclusion_serves_no_step_between_its_two() {
    let paid_cart = || at("cart").or(at("refund"));
    let funnel = || Funnel::ordered([at("view"), paid_cart(), at("pay")]).exclude(at("refund"));
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 refund", "ann 2 pay"]), funnel()), [1, 0, 0]);
    // At its ends it does.
    let ends = Funnel::ordered(["view", "pay"]).exclude(at("view").or(at("pay")));
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 pay"]), ends), [1, 1]);
}

#[test]
fn pending_customers_are_not_dropped() {
    let funnel = || Funnel::ordered(["view", "cart", "pay"]).within(TimeDelta::days(7)).list_customers();
    let lines = ["ann 0 view", "ann 1 cart", "bob 2 view", "cat 0 view", "cat 1 cart", "cat 2 pay", "dan 8 view"];
    let report = ask(&given(&lines), funnel());
    // Observation ends on day 8: Ann's window ended on day 7, Bob's ends on day 9, Dan's on day 15.
    let outcomes: Vec<_> = report.customers.as_ref().unwrap().iter().map(|one| (one.level, one.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            (2, FunnelOutcome::WindowOver),
            (1, FunnelOutcome::Pending),
            (3, FunnelOutcome::Converted),
            (1, FunnelOutcome::Pending)
        ]
    );
    assert_eq!(report.pending, 2);
    assert_eq!((report.conversion.some, report.conversion.of), (1, 4));
    assert_eq!((report.settled_conversion.some, report.settled_conversion.of), (1, 2));
    // At its very last moment everything up to it has been seen, so the window is over.
    let at_the_edge = ask(&given(&["ann 0 view", "bob 7 other"]), funnel());
    assert_eq!((at_the_edge.pending, at_the_edge.steps[0].dropped), (0, 1));
    let before_it = ask(&given(&["ann 0 view", "bob 6.999 other"]), funnel());
    assert_eq!((before_it.pending, before_it.steps[0].dropped), (1, 0));
}

#[test]
fn a_customer_who_can_only_convert_by_a_newer_chain_is_pending() {
    // The chain that reached the cart is over; the view of day 9 may still lead further.
    let events = given(&["ann 0 view", "ann 1 cart", "ann 9 view", "bob 10 other"]);
    let report = ask(&events, Funnel::ordered(["view", "cart", "pay"]).within(TimeDelta::days(7)));
    assert_eq!((report.steps[1].pending, report.steps[1].dropped, report.steps[0].pending), (1, 0, 0));
}

#[test]
fn without_a_window_nobody_is_pending() {
    let report = ask(&given(&["ann 0 view"]), Funnel::ordered(["view", "pay"]).list_customers());
    assert_eq!((report.pending, report.steps[0].dropped), (0, 1));
    assert_eq!(report.customers.unwrap()[0].outcome, FunnelOutcome::NextStepMissing);
}

#[test]
fn of_no_events_a_report_says_nothing_but_zeros() {
    let report = ask(&[], Funnel::ordered(["view", "pay"]).list_customers());
    assert_eq!((report.entered, report.converted, report.conversion.share), (0, 0, None));
    assert_eq!(report.customers, Some(Vec::new()));
    assert_eq!(report.steps[0].time_to_reach, None);
}

#[test]
fn a_funnel_of_32_steps_at_one_instant() {
    let steps: Vec<Condition> = (0..32).map(|_| at("a").or(at("b"))).collect();
    let events: Vec<Event> = (0..31).map(|i| Event::at(day(0.0), "ann", ["a", "b"][i % 2]).build().unwrap()).collect();
    let funnel = Funnel::ordered(steps).build().unwrap();
    let levels = |events: &[Event]| {
        let report = journeys(events).query().run(&funnel).unwrap();
        report.steps.iter().filter(|step| step.customers == 1).count()
    };
    assert_eq!(levels(&events), 31);
    let mut more = events.clone();
    more.push(more[0].clone());
    assert_eq!(levels(&more), 32);
}

// Random worlds.

fn against_the_oracle(seed: u64, events: &[Event]) -> Result<(), String> {
    agrees(seed, events, any_funnel(seed))
}

pub(crate) fn agrees(seed: u64, events: &[Event], funnel: Funnel) -> Result<(), String> {
    let (funnel, model, scope) = (with_trend(seed, events, funnel), any_model(seed), any_scope(seed));
    let truth = oracle::funnel(events, &funnel, &model, &scope);
    let report = journeys(events).query().scope(scope.clone()).model(model.clone()).run(&funnel);
    let told = |why: String| {
        let json = serde_json::json!({"funnel": funnel, "scope": scope, "model": model});
        format!("{json}\n{why}")
    };
    truth.agrees(&report.map_err(|e| told(e.to_string()))?).map_err(told)
}

#[test]
fn small_worlds_agree_with_every_chain_in_every_order() {
    each_world(6_000, tied_world, against_the_oracle);
}

#[test]
fn larger_worlds_agree_where_ties_are_few() {
    let make = |seed| World::new(seed).customers(5).events(50).instants(40).touchpoints(4).make();
    let tried = Cell::new(0);
    each_world(200, make, |seed, events| {
        if orders(events) > 24 {
            return Ok(());
        }
        tried.set(tried.get() + 1);
        against_the_oracle(seed, events)
    });
    assert!(tried.get() > 100, "only {} worlds were tried", tried.get());
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    each_world(1_500, tied_world, |seed, events| {
        // Reports that list customers hold sequences, and nth rules count in order of arrival.
        let funnel = serde_json::to_value(any_funnel(seed)).unwrap();
        if funnel["customers"] == true || funnel.to_string().contains("\"stage\"") {
            return Ok(());
        }
        let funnel: Funnel = serde_json::from_value(funnel).unwrap();
        check_arrival(&funnel, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn who_does_nothing_of_interest_changes_nothing() {
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    each_world(1_000, tied_world, |seed, events| {
        let funnel = any_funnel(seed);
        let is_any = serde_json::to_value(&funnel).unwrap()["order"] == "any";
        let first = if is_any { funnel.steps() } else { &funnel.steps()[..1] };
        let model = JourneyModel::standard();
        let enters = |step| !oracle::holding(step, std::slice::from_ref(&bystander), &model, &Scope::all()).is_empty();
        if first.iter().any(enters) {
            return Ok(());
        }
        check_bystander(&funnel, events, &bystander).map_err(|broken| broken.to_string())
    });
}

#[test]
fn a_step_may_come_too_late_or_too_soon() {
    let events = given(&["ann 0 view", "ann 1 cart", "ann 4 cart", "ann 4.5 pay"]);
    let funnel = || Funnel::ordered(["view", "cart", "pay"]);
    assert_eq!(reached(&events, funnel()), [1, 1, 1]);
    assert_eq!(reached(&events, funnel().step_within(3, TimeDelta::days(2))), [1, 1, 1]);
    assert_eq!(
        reached(&events, funnel().step_within(2, TimeDelta::days(1)).step_within(3, TimeDelta::days(3))),
        [1, 1, 0]
    );
    assert_eq!(reached(&events, funnel().step_after(3, TimeDelta::hours(12))), [1, 1, 1]);
    assert_eq!(reached(&events, funnel().step_after(3, TimeDelta::days(4))), [1, 1, 0]);
    // She may pay until day 5; the store's last event is of day 4.5, or here of day 6.
    let pending = |lines: &[&str]| ask(&given(lines), funnel().step_within(3, TimeDelta::days(1))).pending;
    assert_eq!(pending(&["ann 0 view", "ann 4 cart", "bob 4.5 home"]), 1);
    assert_eq!(pending(&["ann 0 view", "ann 4 cart", "bob 6 home"]), 0);
}

#[test]
fn an_exclusion_may_remove_customers() {
    let events = given(&[
        "ann 0 view",
        "ann 1 refund",
        "ann 2 view",
        "ann 3 pay", // The way of her answer is free.
        "bob 0 view",
        "bob 1 refund",
        "bob 3 pay",
        "eve 0 view",
        "eve 1 refund",
        "joe 0 refund",
        "joe 1 view",
    ]);
    let funnel = || Funnel::ordered(["view", "pay"]);
    let dropped = ask(&events, funnel().exclude(at("refund")));
    assert_eq!((dropped.entered, dropped.converted, dropped.removed), (4, 1, 0));
    let removed = ask(&events, funnel().remove(at("refund")).list_customers());
    assert_eq!((removed.entered, removed.converted, removed.removed), (2, 1, 2));
    let who = |outcome| {
        let listed = removed.customers.as_ref().unwrap().iter().filter(move |one| one.outcome == outcome);
        listed.map(|one| one.customer.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(who(FunnelOutcome::Removed), ["bob", "eve"]);
    assert_eq!(who(FunnelOutcome::Converted), ["ann"]);
}

#[test]
fn the_same_product_is_viewed_and_bought() {
    let event = |customer: &str, at: f64, touchpoint: &str, product: Option<&str>| {
        let event = Event::at(day(at), customer, touchpoint);
        product.map_or_else(|| event.clone(), |product| event.clone().property("product", product)).build().unwrap()
    };
    let events = [
        event("ann", 0.0, "view", Some("hat")),
        event("ann", 1.0, "view", Some("shoe")),
        event("ann", 2.0, "pay", Some("hat")),
        event("bob", 0.0, "view", Some("hat")),
        event("bob", 1.0, "pay", Some("shoe")),
        event("eve", 0.0, "view", None),
        event("eve", 1.0, "pay", None),
    ];
    assert_eq!(reached(&events, Funnel::ordered(["view", "pay"])), [3, 3]);
    let held = Funnel::ordered(["view", "pay"]).hold_constant(["product"]).list_customers();
    let report = ask(&events, held.clone());
    assert_eq!((report.entered, report.converted), (2, 1));
    let ann = &report.customers.unwrap()[0];
    assert_eq!(ann.events.iter().map(|served| served.seq.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(ask(&events, held.within(TimeDelta::days(1))).converted, 0);
}

#[test]
fn steps_in_any_order_are_matched_and_not_taken_greedily() {
    let any = || Funnel::any_order(["read", "try", "ask"]);
    let events = given(&["ann 0 ask", "ann 1 try", "ann 2 read", "bob 0 try", "bob 9 ask", "eve 3 read", "eve 3 read"]);
    let report = ask(&events, any().within(TimeDelta::days(2)));
    assert_eq!(report.steps.iter().map(|step| step.customers).collect::<Vec<_>>(), [3, 1, 1]);
    assert_eq!(report.steps.iter().map(|step| step.done).collect::<Vec<_>>(), [2, 2, 1]);
    // The first event fits both steps, the second only the step that a greedy would have given to the first.
    let both = at("a").or(at("b"));
    assert_eq!(reached(&given(&["ann 0 a", "ann 1 a"]), Funnel::any_order([at("a"), both])), [1, 1]);
    let strings = any().within(TimeDelta::days(2)).list_customers();
    let ann = ask(&events, strings).customers.unwrap().remove(0);
    assert_eq!(
        ann.events.iter().map(|served| (served.step, served.seq.0)).collect::<Vec<_>>(),
        [(1, 3), (2, 2), (3, 1)]
    );
}

#[test]
fn attempts_follow_one_another() {
    let events = given(&[
        "ann 0 view",
        "ann 1 view",
        "ann 2 pay", // One: the second view falls into the first attempt.
        "ann 3 view",
        "ann 12 view",
        "ann 13 pay", // Two: the window of the first is over by day 12.
        "bob 0 view",
        "bob 1 refund",
        "bob 2 view",
        "bob 3 pay",
    ]);
    let funnel = || Funnel::ordered(["view", "pay"]).within(TimeDelta::days(7)).exclude(at("refund"));
    assert_eq!(reached(&events, funnel()), [2, 2]);
    let report = ask(&events, funnel().count(Count::Attempts).list_customers());
    let attempts: Vec<_> = report.customers.unwrap().iter().map(|one| (one.outcome, one.events[0].seq.0)).collect();
    let (converted, over, stopped) = (FunnelOutcome::Converted, FunnelOutcome::WindowOver, FunnelOutcome::Stopped);
    assert_eq!(attempts, [(converted, 1), (over, 4), (converted, 5), (stopped, 7), (converted, 9)]);
    assert_eq!((report.entered, report.converted), (5, 3));
}

#[test]
fn a_trend_has_a_row_for_each_period_of_entry() {
    let events = given(&["ann 0 view", "ann 8 pay", "bob 0.5 view", "eve 15 view", "eve 15 pay", "joe 22 home"]);
    // 1970-01-01 was a Thursday: weeks from Thursday begin on days 0, 7, 14, 21.
    let week = Period::WEEK.first_weekday(chrono::Weekday::Thu);
    let report = ask(&events, Funnel::ordered(["view", "pay"]).within(TimeDelta::days(8)).trend(week));
    let rows: Vec<_> = report
        .trend
        .unwrap()
        .into_iter()
        .map(|row| (row.start, row.figures.entered, row.figures.converted, row.finished))
        .collect();
    assert_eq!(rows, [(day(0.0), 2, 1, true), (day(7.0), 0, 0, true), (day(14.0), 1, 1, false)]);
    assert_eq!((report.entered, report.converted), (3, 2));
    // A period of which the range holds a part only is marked.
    let cut = |from: f64, to: f64| {
        let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::days(1)).trend(week).build().unwrap();
        let report = journeys(&events).query().between(day(from)..day(to)).run(&funnel).unwrap();
        report.trend.unwrap().iter().map(|row| row.finished).collect::<Vec<_>>()
    };
    assert_eq!(cut(0.0, 21.0), [true; 3]);
    assert_eq!(cut(0.25, 21.0), [false, true, true]);
    assert_eq!(cut(0.0, 20.9), [true, true, false]);
}

#[test]
fn an_optional_step_is_counted_where_it_is_done_in_its_place() {
    let events = given(&[
        "ann 0 view",
        "ann 1 help",
        "ann 2 pay",
        "bob 0 help",
        "bob 1 view",
        "bob 2 pay", // Help came before the view.
        "eve 0 view",
        "eve 3 help", // She may still pay.
        "joe 0 view",
        "joe 2 pay",
        "joe 3 help",
    ]);
    let report = ask(&events, Funnel::ordered(["view", "help", "pay"]).optional(2).list_customers());
    let steps: Vec<_> =
        report.steps.iter().map(|step| (step.customers, step.from_previous.of, step.optional)).collect();
    assert_eq!(steps, [(4, 4, false), (2, 4, true), (3, 4, false)]);
    // The event that did it is listed, also where it is the next step; it makes no level.
    let listed = report.customers.as_ref().unwrap().iter();
    let listed: Vec<_> =
        listed.map(|one| (one.level, one.events.iter().map(|served| served.step).collect::<Vec<_>>())).collect();
    assert_eq!(listed, [(2, vec![1, 2, 3]), (2, vec![1, 3]), (1, vec![1, 2]), (2, vec![1, 3])]);
    assert!(report.to_string().contains("1: 1 at 1970-01-01T00:00:00+00:00, 2: 2 at "), "{report}");
}

/// Each attempt looked for its optional step in all that was left of the journey.
#[test]
fn an_optional_step_of_very_many_attempts_is_looked_for_once() {
    let lines = ["view", "refund", "help"];
    let moment = |second: usize| DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(second).unwrap());
    let events: Vec<_> = (0..90_000).map(|i| Event::at(moment(i), "ann", lines[i % 3]).build().unwrap()).collect();
    let funnel = Funnel::ordered(["view", "help", "pay"]).optional(2).exclude(at("refund")).count(Count::Attempts);
    let journeys = journeys(&events);
    let steps = |funnel: FunnelBuilder| {
        let began = std::time::Instant::now();
        let report = journeys.query().run(&funnel.build().unwrap()).unwrap();
        (report.steps.iter().map(|step| step.customers).collect::<Vec<_>>(), began.elapsed())
    };
    let plain = Funnel::ordered(["view", "pay"]).exclude(at("refund")).count(Count::Attempts);
    let (reached, without) = steps(plain);
    assert_eq!(reached, [30_000, 0]);
    for funnel in [funnel.clone(), funnel.value()] {
        let (reached, with) = steps(funnel);
        assert_eq!(reached, [30_000, 0, 0]);
        assert!(with < without * 8, "{with:?}, and {without:?} without the optional step");
    }
}

/// An attempt ends at the moment that stops it, or breaks it, and the next may begin there.
#[test]
fn what_ends_an_attempt_may_begin_the_next() {
    let attempts = |lines: &[&str], funnel: FunnelBuilder| {
        let report = ask(&given(lines), funnel.count(Count::Attempts).list_customers());
        (report.entered, report.converted)
    };
    let strict = || Funnel::strict(["a", "b", "c"]);
    assert_eq!(attempts(&["ann 0 a", "ann 1 b", "ann 2 a", "ann 3 b", "ann 4 c"], strict()), (2, 1));
    let search = || Funnel::ordered(["search", "pay"]).exclude(at("search"));
    assert_eq!(attempts(&["ann 0 search", "ann 1 search", "ann 2 pay"], search()), (2, 1));
    let view = || Funnel::ordered(["view", "pay"]).exclude(at("refund"));
    for lines in arrivals(&["ann 1 view", "ann 1 refund"]) {
        let lines: Vec<_> = ["ann 0 view"].into_iter().chain(lines).chain(["ann 2 pay"]).collect();
        assert_eq!(attempts(&lines, view()), (2, 1));
    }
    // After a conversion the next begins later.
    for lines in arrivals(&["ann 1 pay", "ann 1 view", "ann 1 refund"]) {
        let lines: Vec<_> = ["ann 0 view"].into_iter().chain(lines).chain(["ann 2 pay"]).collect();
        assert_eq!(attempts(&lines, view()), (1, 1));
    }
    // A chain that may still go on at that moment ends no attempt.
    let three = Funnel::ordered(["a", "b", "c"]).exclude_between(at("x"), 2, 3);
    assert_eq!(attempts(&["ann 0 a", "ann 1 b", "ann 2 x", "ann 2 a", "ann 3 b", "ann 4 c"], three), (1, 1));
}

/// Where nothing but what lies between ends an attempt, and ends all of its chains.
#[test]
fn who_converts_does_so_in_some_attempt() {
    let names = ["product_view", "add_to_cart", "purchase"];
    let converted = Cell::new(0);
    each_world(1_500, tied_world, |seed, events| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let steps = rng.usize(2..=3);
        let funnel = if rng.bool() {
            let mut order = names;
            rng.shuffle(&mut order);
            Funnel::strict(order.into_iter().take(steps))
        } else {
            let steps: Vec<_> = (0..steps).map(|_| *rng.choice(&names).unwrap()).collect();
            Funnel::ordered(steps).exclude(at(rng.choice(&names).unwrap()))
        };
        let who = |count| {
            let report = journeys(events).query().run(&funnel.clone().count(count).list_customers().build().unwrap());
            let customers = report.unwrap().customers.unwrap().into_iter();
            let converted = customers.filter(|one| one.outcome == FunnelOutcome::Converted);
            converted.map(|one| one.customer).collect::<std::collections::BTreeSet<_>>()
        };
        let (customers, attempts) = (who(Count::Customers), who(Count::Attempts));
        converted.set(converted.get() + customers.len());
        if customers.is_subset(&attempts) { Ok(()) } else { Err(format!("{customers:?} and not {attempts:?}")) }
    });
    assert!(converted.get() > 100, "only {} converted", converted.get());
}

/// Whether somebody counts among those whose window is over does not depend on how it ended.
#[test]
fn a_window_is_over_for_all_alike() {
    let settled = |lines: &[&str], funnel: FunnelBuilder| {
        let report = ask(&given(lines), funnel);
        (report.settled_conversion.some, report.settled_conversion.of)
    };
    let view = || Funnel::ordered(["view", "pay"]);
    let within = || view().within(TimeDelta::days(7)).exclude(at("refund"));
    let stopped = ["ann 0 view", "ann 1 refund", "bob 0 view", "bob 1 pay"];
    assert_eq!(settled(&[&stopped[..], &["eve 2 home"]].concat(), within()), (0, 0));
    assert_eq!(settled(&[&stopped[..], &["eve 7 home"]].concat(), within()), (1, 2));
    // The greatest times between all steps make a deadline too, with or without a window.
    let gap = || view().step_within(2, TimeDelta::days(7));
    let open = ["ann 0 view", "bob 0 view", "bob 1 pay"];
    assert_eq!(settled(&[&open[..], &["eve 2 home"]].concat(), gap()), (0, 0));
    assert_eq!(settled(&[&open[..], &["eve 6.999 home"]].concat(), gap()), (0, 0));
    assert_eq!(settled(&[&open[..], &["eve 7 home"]].concat(), gap()), (1, 2));
    assert_eq!(settled(&[&open[..], &["eve 2 home"]].concat(), gap().within(TimeDelta::days(2))), (1, 2));
    // Without a deadline it is over for whoever cannot go on.
    let three = Funnel::ordered(["view", "cart", "pay"]).step_within(2, TimeDelta::days(7));
    assert_eq!(settled(&["ann 0 view", "ann 1 cart", "bob 0 view", "eve 6 home"], three.clone()), (0, 0));
    assert_eq!(settled(&["ann 0 view", "ann 1 cart", "bob 0 view", "eve 8 home"], three), (0, 2));
    let both = Funnel::any_order(["view", "pay"]).within(TimeDelta::days(7));
    assert_eq!(settled(&["ann 0 pay", "ann 1 view", "bob 8 home"], both.clone()), (1, 1));
    assert_eq!(settled(&["ann 0 pay", "ann 1 view", "bob 2 home"], both), (0, 0));
}

/// A period is over once all who entered in it have had their time, also if that is not said by a window.
#[test]
fn a_period_of_entry_is_over_when_no_chain_of_it_can_go_on() {
    let finished = |last: &str, funnel: FunnelBuilder| {
        let events = given(&["ann 0.5 view", last]);
        ask(&events, funnel.trend(Period::DAY)).trend.unwrap()[0].finished
    };
    let funnel = || Funnel::ordered(["view", "pay"]).step_within(2, TimeDelta::days(2));
    assert!(!finished("bob 2.999 home", funnel()));
    assert!(finished("bob 3 home", funnel()));
    assert!(finished("bob 2 home", funnel().within(TimeDelta::days(1))));
    assert!(finished("bob 1 home", Funnel::ordered(["view", "pay"])));
}

#[test]
fn the_time_since_the_first_entry_is_that_of_the_customer() {
    let events = given(&["ann 0 pay", "ann 1 view", "ann 2 view", "ann 4 pay", "ann 7 view", "ann 8 pay"]);
    let since = |funnel: FunnelBuilder| {
        let since = ask(&events, funnel).time_since_first_entry.unwrap();
        (since.count, since.median / 86_400.0, since.max / 86_400.0)
    };
    assert_eq!(since(Funnel::ordered(["view", "pay"])), (1, 3.0, 3.0));
    assert_eq!(since(Funnel::ordered(["view", "pay"]).count(Count::Attempts)), (2, 3.0, 7.0));
    assert_eq!(since(Funnel::any_order(["view", "pay"])), (1, 1.0, 1.0));
    let ranged = |funnel: FunnelBuilder| {
        let report =
            journeys(&events).query().scope(Scope::all().from(day(5.0))).run(&funnel.build().unwrap()).unwrap();
        report.time_since_first_entry.unwrap().max / 86_400.0
    };
    assert_eq!(ranged(Funnel::ordered(["view", "pay"])), 7.0);
    assert_eq!(ranged(Funnel::any_order(["view", "pay"])), 8.0);
}

/// The table says what is counted, who was removed, and both rates where they differ; it has no column of nothing.
#[test]
fn a_table_says_what_is_counted_and_shows_what_there_is() {
    let first = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    let events = given(&["ann 0 view", "ann 1 refund", "ann 2 view", "ann 3 pay", "bob 1 view", "eve 2.5 view"]);
    let funnel = || Funnel::ordered(["view", "pay"]);
    let plain = ask(&events, funnel());
    assert_eq!(plain.count, Count::Customers);
    let lines = first(&plain.to_string());
    assert_eq!(lines[0], "Funnel (ordered, no window)");
    let columns = "| step   | customers |  of all | 95 % interval | of before | dropped | median |   p90 |";
    assert_eq!(lines[1], columns);
    let attempts = ask(&events, funnel().within(TimeDelta::days(2)).exclude(at("refund")).count(Count::Attempts));
    assert_eq!((attempts.count, attempts.entered, attempts.converted), (Count::Attempts, 4, 1));
    let text = attempts.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "Funnel (ordered, within 2d, attempts)");
    assert!(lines[1].starts_with("| step   | attempts |  of all | 95 % interval | settled | of before |"), "{text}");
    assert!(lines[1].contains("| dropped | stopped | pending |"), "{text}");
    // Of the two whose window is over by day 3, Ann's first and Bob's, nobody paid.
    assert!(lines[4].starts_with("| 2 pay  |        1 |  25.0 % | 4.6-69.9      |   0.0 % |"), "{text}");
    let by_channel = ask(&events, funnel().count(Count::Attempts).breakdown(journeylog::Breakdown::channel()));
    assert!(by_channel.to_string().contains("| group | step   | attempts |"), "{by_channel}");
    let lines = given(&["ann 0 view", "ann 1 refund", "ann 2 pay", "bob 0 view"]);
    let removed = ask(&lines, funnel().remove(at("refund")));
    assert_eq!(removed.removed, 1);
    assert_eq!(first(&removed.to_string())[0], "Funnel (ordered, no window; 1 removed)");
}

/// Those who did so many steps are told apart from those who did a certain step.
#[test]
fn in_any_order_levels_are_not_steps() {
    let funnel = || Funnel::any_order(["read", "try", "ask"]).within(TimeDelta::days(9));
    let events = given(&["ann 0 ask", "ann 1 try", "bob 1 ask", "eve 2 read", "eve 2 ask", "eve 3 try", "joe 3 home"]);
    let report = ask(&events, funnel());
    let text = report.to_string();
    assert!(text.contains("| steps done | customers |") && text.contains("| 1 of 3     |         3 |"), "{text}");
    assert!(
        text.contains("By step\n| step   | done |\n|--------|------|\n| 1 read |    1 |\n| 2 try  |    2 |"),
        "{text}"
    );
    assert!(text.contains("| steps done | waiting |") && text.contains("| 2 of 3     |       1 |"), "{text}");
    assert_eq!(report.bottlenecks.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["1 of 3", "2 of 3"]);
    let groups = ask(&events, funnel().value().breakdown(journeylog::Breakdown::channel().compare("web", "chat")));
    let text = groups.to_string();
    assert!(text.contains("| web | chat  | 1 of 3 |"), "{text}");
    assert!(text.contains("| group | step   | done |") && text.contains("| web   | 3 ask  |    3 |"), "{text}");
}

/// An event that fits two steps is counted in the one that it serves.
#[test]
fn in_any_order_an_event_counts_in_one_step() {
    let both = || at("both").or(at("a"));
    let steps = || [both(), at("both").or(at("b")), at("c")];
    let done = |lines: &[&str], funnel: FunnelBuilder| {
        let report = ask(&given(lines), funnel.list_customers());
        let listed: Vec<usize> = report.customers.unwrap()[0].events.iter().map(|served| served.step).collect();
        (report.steps.iter().map(|step| step.done).collect::<Vec<_>>(), listed)
    };
    for ties in [Ties::Either, Ties::LaterOnly] {
        let funnel = || Funnel::any_order(steps()).ties(ties);
        assert_eq!(done(&["ann 0 both"], funnel()), (vec![1, 0, 0], vec![1]));
        assert_eq!(done(&["ann 0 both", "ann 1 a"], funnel()), (vec![1, 1, 0], vec![1, 2]));
        assert_eq!(done(&["ann 0 both", "ann 1 c"], funnel()), (vec![1, 0, 1], vec![1, 3]));
        assert_eq!(done(&["ann 0 both", "ann 1 c"], funnel().value()), (vec![1, 0, 1], vec![1, 3]));
    }
    // Of the events of one instant one serves: she is of the channel of that which can.
    let event = |at: f64, touchpoint: &str, channel| {
        Event::at(day(at), "ann", touchpoint).channel(journeylog::Channel::new(channel).unwrap()).build().unwrap()
    };
    let events = [event(0.0, "a", "web"), event(0.0, "b", "email"), event(1.0, "b", "web")];
    let funnel = Funnel::any_order(["a", "b"]).ties(Ties::LaterOnly);
    let report = ask(&events, funnel.breakdown(journeylog::Breakdown::channel()).list_customers());
    assert_eq!(report.breakdown.unwrap().groups[0].value, "web".into());
}
