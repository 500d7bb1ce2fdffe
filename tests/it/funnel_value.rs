//! The money of a funnel's steps, who waits at them, and trends of its groups.

use chrono::TimeDelta;
use journeylog::{
    Breakdown, BreakdownFrom, Condition, Count, Event, Funnel, FunnelBuilder, FunnelPeriod, FunnelReport, Money, Period,
};

use crate::{
    funnel::ask,
    given::{day, given, journeys},
};

/// The sums of a report's steps.
fn sums(report: &FunnelReport) -> Vec<Vec<String>> {
    report.steps.iter().map(|step| step.value.iter().map(ToString::to_string).collect()).collect()
}

fn worth(customer: &str, at: f64, touchpoint: &str, amount: &str, currency: &str) -> Event {
    let money = Money::new(amount, currency).unwrap();
    Event::at(day(at), customer, touchpoint).value(money).build().unwrap()
}

#[test]
fn the_money_of_a_step_is_that_of_the_events_that_served_it() {
    let events = [
        worth("ann", 0.0, "view", "1", "EUR"), // Her chain began on day 1.
        worth("ann", 1.0, "view", "2.50", "EUR"),
        worth("ann", 2.0, "pay", "10", "EUR"),
        worth("ann", 3.0, "pay", "99", "EUR"), // Paid again, and the first payment counts.
        worth("bob", 0.0, "view", "-2.50", "EUR"),
        worth("bob", 1.0, "pay", "0.000000001", "USD"),
        worth("eve", 0.0, "view", "7", "USD"),
    ];
    let funnel = || Funnel::ordered(["view", "pay"]);
    let report = ask(&events, funnel().value());
    // Ann's and Bob's views add up to nothing.
    assert_eq!(sums(&report), [vec!["7 USD"], vec!["10 EUR", "0.000000001 USD"]]);
    let table = report.to_string();
    assert!(table.contains("| 2 pay  | 10 EUR"), "{table}");
    let nothing: [Vec<String>; 2] = Default::default();
    assert_eq!(sums(&ask(&events, funnel())), nothing);
    let by_channel = ask(&events, funnel().value().breakdown(Breakdown::channel()).trend(Period::DAY));
    assert_eq!(by_channel.breakdown.unwrap().group("web").unwrap().figures.steps[1].value.len(), 2);
    let trend = by_channel.trend.unwrap();
    assert_eq!(trend[0].figures.steps[1].value, [Money::new("0.000000001", "USD").unwrap()]);
    // Each attempt counts: Bob and Eve try once; Ann's attempts are one, which began on day 0.
    let attempts = ask(&events, funnel().value().count(Count::Attempts));
    assert_eq!(sums(&attempts), [vec!["-1.5 EUR", "7 USD"], vec!["10 EUR", "0.000000001 USD"]]);
}

#[test]
fn of_events_that_might_both_serve_the_one_of_the_smaller_money_does() {
    for amounts in [["5", "3"], ["3", "5"]] {
        let mut events: Vec<Event> = amounts.iter().map(|amount| worth("ann", 0.0, "view", amount, "EUR")).collect();
        events.push(Event::at(day(0.0), "ann", "view").build().unwrap());
        events.push(worth("ann", 1.0, "pay", "1", "EUR"));
        for funnel in
            [Funnel::ordered(["view", "pay"]), Funnel::any_order(["view", "pay"]), Funnel::strict(["view", "pay"])]
        {
            assert_eq!(sums(&ask(&events, funnel.value().list_customers())), [vec!["3 EUR"], vec!["1 EUR"]]);
        }
        // The two others are a second and a third step.
        let twice = Funnel::any_order(["view", "view", "view"]).value();
        assert_eq!(sums(&ask(&events, twice)), [vec!["3 EUR"], vec!["5 EUR"], vec![]]);
    }
}

#[test]
fn the_money_of_an_optional_step_is_that_of_the_first_event_that_did_it() {
    let events = [
        worth("ann", 0.0, "view", "1", "EUR"),
        worth("ann", 1.0, "help", "2", "EUR"),
        worth("ann", 1.0, "help", "-2", "EUR"),
        worth("ann", 2.0, "help", "3", "EUR"),
        worth("ann", 3.0, "pay", "4", "EUR"),
        worth("bob", 0.0, "view", "5", "EUR"),
        worth("bob", 9.0, "help", "6", "EUR"),
    ];
    let report = ask(&events, Funnel::ordered(["view", "help", "pay"]).optional(2).value());
    assert_eq!(sums(&report), [vec!["6 EUR"], vec!["4 EUR"], vec!["4 EUR"]]);
}

#[test]
fn a_sum_that_no_money_can_say_is_an_error() {
    let most = "9".repeat(18);
    let events: Vec<Event> = ["ann", "bob"].map(|who| worth(who, 0.0, "view", &most, "EUR")).into();
    let run = |funnel: FunnelBuilder| journeys(&events).query().run(&funnel.build().unwrap());
    let refused = run(Funnel::ordered(["view"]).value()).unwrap_err().to_string();
    assert!(refused.contains("more than 18 digits"), "{refused}");
    assert!(run(Funnel::ordered(["view"])).is_ok());
}

#[test]
fn those_who_wait_are_told_by_step() {
    let events = given(&[
        "ann 0 view",
        "ann 1 cart",
        "bob 2 view",
        "cat 0 view",
        "cat 1 cart",
        "cat 2 pay",
        "dan 4 view",
        "eve 8 home",
    ]);
    let funnel = || Funnel::ordered(["view", "cart", "pay"]);
    let report = ask(&events, funnel().within(TimeDelta::days(8)));
    // Ann's window ends at the last moment that was seen. Bob waits for six days, Dan for four.
    let rows: Vec<_> = report
        .bottlenecks
        .iter()
        .map(|one| {
            (
                one.step,
                one.waiting,
                one.waited.map(|waited| (waited.median, waited.p90)),
                one.went_on.some,
                one.went_on.of,
            )
        })
        .collect();
    let days = |days: f64| days * 86_400.0;
    assert_eq!(rows, [(1, 2, Some((days(4.0), days(6.0))), 2, 4), (2, 0, None, 1, 2)]);
    assert_eq!((report.bottlenecks[0].others.some, report.bottlenecks[0].others.of), (1, 2));
    assert!(report.to_string().contains("| 1 view |       2 |"), "{report}");
    // Without a window nobody waits.
    assert!(ask(&events, funnel()).bottlenecks.iter().all(|one| one.waiting == 0));
    assert_eq!(ask(&events, Funnel::ordered(["view"])).bottlenecks, []);
}

/// Once a customer whose cart was over long ago, and who came back, was said to have waited at it ever since.
#[test]
fn nobody_waits_at_a_step_whose_time_is_over() {
    let waiting = |lines: &[&str], funnel: FunnelBuilder| -> Vec<(usize, u64, Option<f64>)> {
        let report = ask(&given(lines), funnel);
        report.bottlenecks.iter().map(|one| (one.step, one.waiting, one.waited.map(|waited| waited.max))).collect()
    };
    let days = |days: f64| Some(days * 86_400.0);
    let within = |days| Funnel::ordered(["view", "cart", "pay"]).within(TimeDelta::days(days));
    let lines = ["ann 0 view", "ann 1 cart", "ann 10 view", "ann 11 view", "eve 14 home"];
    let expected = [(1, 1, days(4.0)), (2, 0, None)];
    assert_eq!(waiting(&lines, within(7)), expected);
    let of_customers = ask(&given(&lines), within(7));
    assert_eq!([0, 1].map(|step| of_customers.steps[step].pending), [0, 1]); // her best chain is still that of the cart
    // Each attempt waits where it is.
    assert_eq!(waiting(&lines, within(7).count(Count::Attempts)), expected);
    assert_eq!(waiting(&lines, within(7).breakdown(Breakdown::channel().from(BreakdownFrom::Each))), expected);
    // A chain of the same step that can still go on is no older than its window.
    let again = ["ann 0 view", "ann 1 cart", "ann 10 view", "ann 12 cart", "eve 14 home"];
    assert_eq!(waiting(&again, within(7)), [(2, 1, days(2.0)), (1, 0, None)]);
    // Nor does she wait where an exclusion has stopped her, or the next step can come no more.
    let stopped = ["ann 0 view", "ann 1 cart", "ann 2 help", "ann 3 view", "eve 5 home"];
    let help = Condition::touchpoint("help").unwrap();
    assert_eq!(waiting(&stopped, within(7).exclude(help)), [(1, 1, days(2.0)), (2, 0, None)]);
    assert_eq!(waiting(&stopped, within(7).step_within(3, TimeDelta::days(1))), [(1, 1, days(5.0)), (2, 0, None)]);
    assert_eq!(waiting(&stopped, within(7).step_within(3, TimeDelta::days(9))), [(2, 1, days(4.0)), (1, 0, None)]);
}

#[test]
fn each_group_has_a_trend_of_its_own() {
    let event = |customer: &str, at: f64, touchpoint: &str, plan: &str| {
        Event::at(day(at), customer, touchpoint).property("plan", plan).build().unwrap()
    };
    let events = [
        event("ann", 0.0, "view", "pro"),
        event("ann", 1.0, "pay", "pro"),
        event("bob", 2.0, "view", "free"),
        event("cat", 0.5, "view", "trial"),
        event("dan", 2.5, "view", "pro"),
    ];
    let funnel = Funnel::ordered(["view", "pay"]).trend(Period::DAY).breakdown(Breakdown::property("plan").limit(1));
    let report = ask(&events, funnel);
    let rows = |trend: &Option<Vec<FunnelPeriod>>| -> Vec<(u64, u64)> {
        trend.iter().flatten().map(|row| (row.figures.entered, row.figures.converted)).collect()
    };
    assert_eq!(rows(&report.trend), [(2, 1), (0, 0), (2, 0)]);
    let breakdown = report.breakdown.as_ref().unwrap();
    assert_eq!(rows(&breakdown.groups[0].trend), [(1, 1), (0, 0), (1, 0)]);
    assert_eq!(rows(&breakdown.other.as_ref().unwrap().trend), [(1, 0), (0, 0), (1, 0)]);
    assert!(report.to_string().contains("| (2 others) | 1970-01-03T00:00:00+00:00 *"), "{report}");
}
