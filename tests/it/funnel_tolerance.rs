//! Funnels whose near events may serve in either order.

use chrono::TimeDelta;
use journeylog::{Event, Funnel, testing::World};

use crate::{
    funnel::{agrees, ask, reached},
    given::{any_tolerant_funnel, day, each_world, given, journeys, tied_world},
};

#[test]
fn near_events_serve_in_either_order_within_the_tolerance() {
    let funnel = |hours| Funnel::ordered(["view", "cart", "pay"]).tolerance(TimeDelta::hours(hours)).list_customers();
    let events = given(&["ann 0.5 cart", "ann 1 view", "ann 2 pay"]);
    assert_eq!(reached(&events, Funnel::ordered(["view", "cart", "pay"])), [1, 0, 0]);
    assert_eq!(reached(&events, funnel(11)), [1, 0, 0]);
    let report = ask(&events, funnel(12));
    assert_eq!(report.converted, 1);
    // It began with the view, and not with what came before that.
    assert_eq!(report.steps[2].time_to_reach.unwrap().median, 86_400.0);
    assert_eq!(report.customers.unwrap()[0].events.iter().map(|served| served.seq.0).collect::<Vec<_>>(), [2, 1, 3]);
    // No two events of a chain may be further apart the wrong way round, also if each is near the next.
    let backwards = given(&["ann 0 pay", "ann 0.5 cart", "ann 1 view"]);
    assert_eq!(reached(&backwards, funnel(12)), [1, 1, 0]);
    assert_eq!(reached(&backwards, funnel(24)), [1, 1, 1]);
    // One event still serves one step.
    let twice = Funnel::ordered(["view", "view"]).tolerance(TimeDelta::days(9));
    assert_eq!(reached(&given(&["ann 0 view"]), twice.clone()), [1, 0]);
    assert_eq!(reached(&given(&["ann 0 view", "ann 1 view"]), twice), [1, 1]);
    // The window ends with the latest of them, whichever step it serves.
    let window = |hours| funnel(24).within(TimeDelta::hours(hours));
    let late = given(&["ann 0 view", "ann 1 pay", "ann 1.5 cart"]);
    assert_eq!(reached(&late, window(36)), [1, 1, 1]);
    assert_eq!(reached(&late, window(35)), [1, 0, 0]);
}

#[test]
fn a_long_run_of_near_events_is_walked() {
    let touchpoints = ["a", "b", "c", "d", "e"];
    let event = |i: usize| Event::at(day(i as f64 / 1e4), "ann", touchpoints[i * 7 % 5]).build().unwrap();
    let events: Vec<Event> = (0..20_000).map(event).collect();
    let funnel = Funnel::ordered(touchpoints.into_iter().rev()).tolerance(TimeDelta::days(1)).build().unwrap();
    assert_eq!(journeys(&events).query().run(&funnel).unwrap().converted, 1);
}

#[test]
fn small_worlds_agree_with_every_chain_within_a_tolerance() {
    each_world(2_000, tied_world, |seed, events| agrees(seed, events, any_tolerant_funnel(seed)));
    let near = |seed| World::new(seed).customers(2).events(9).instants(9).touchpoints(4).make();
    each_world(1_000, near, |seed, events| agrees(seed, events, any_tolerant_funnel(seed)));
}
