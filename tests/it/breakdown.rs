//! Breakdowns of funnels: by hand, against the oracle, and against funnels asked one by one.

use chrono::TimeDelta;
use journeylog::{
    Breakdown, BreakdownFrom, Channel, Comparison, Condition, Currency, Decimal, Event, Funnel, FunnelBuilder,
    FunnelReport, JourneyModel, Journeys, Money, PropertyValue, Scope, Touch,
    testing::{World, check_laws, oracle},
};
use serde_json::{Value, json};

use crate::given::{any_breakdown, any_funnel, any_scope, day, each_world, fit, journeys, tied_world, with_trend};

/// Events in their order of arrival, each a line of customer, day, touchpoint and what else it has: `ann 0 view web p=x`,
/// `ann 1 pay 10EUR`.
fn given(lines: &[&str]) -> Vec<Event> {
    let event = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut event = Event::at(day(words[1].parse().unwrap()), words[0], words[2]);
        for word in &words[3..] {
            event = if let Some((name, value)) = word.split_once('=') {
                event.property(name, value)
            } else if let Some(amount) = word.strip_suffix("EUR").or_else(|| word.strip_suffix("USD")) {
                event.value(Money::new(amount, &word[amount.len()..]).unwrap())
            } else {
                event.channel(Channel::new(word).unwrap())
            };
        }
        event.build().unwrap()
    };
    lines.iter().map(event).collect()
}

fn ask(events: &[Event], funnel: FunnelBuilder, breakdown: Breakdown) -> FunnelReport {
    for funnel in [funnel.clone(), funnel.clone().list_customers()] {
        let funnel = funnel.breakdown(breakdown.clone()).build().unwrap();
        let report = journeys(events).query().run(&funnel).unwrap();
        let truth = oracle::funnel(events, &funnel, &JourneyModel::standard(), &Scope::all());
        truth.agrees(&report).unwrap_or_else(|why| panic!("{why}"));
    }
    journeys(events).query().run(&funnel.breakdown(breakdown).build().unwrap()).unwrap()
}

/// Each group with how many reached each step.
fn groups(report: &FunnelReport) -> Vec<(Value, Vec<u64>)> {
    let groups = &report.breakdown.as_ref().unwrap().groups;
    let steps = |steps: &[journeylog::FunnelStep]| steps.iter().map(|step| step.customers).collect();
    groups.iter().map(|group| (group.value.clone().into(), steps(&group.figures.steps))).collect()
}

/// The value of the only group.
fn only(events: &[Event], funnel: FunnelBuilder, breakdown: Breakdown) -> Value {
    let groups = groups(&ask(events, funnel, breakdown));
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.into_iter().next().unwrap().0
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

const FROM: [BreakdownFrom; 6] = [
    BreakdownFrom::FirstEvent,
    BreakdownFrom::Step(1),
    BreakdownFrom::Step(2),
    BreakdownFrom::Step(3),
    BreakdownFrom::FirstDefined,
    BreakdownFrom::LastDefined,
];

#[test]
fn the_value_is_that_of_the_event_that_is_asked_for() {
    let funnel = || Funnel::ordered(["view", "cart", "pay"]);
    let of = |lines: &[&str], from| only(&given(lines), funnel(), Breakdown::property("p").from(from));
    let lines = ["ann 0 view", "ann 1 cart p=b", "ann 1.5 other p=x", "ann 2 pay p=a"];
    let expected = [json!(null), json!(null), json!("b"), json!("a"), json!("b"), json!("a")];
    assert_eq!(FROM.map(|from| of(&lines, from)), expected);
    // The third step is not reached.
    let expected = [json!("c"), json!("c"), json!(null), json!(null), json!("c"), json!("c")];
    assert_eq!(FROM.map(|from| of(&["ann 0 view p=c", "ann 1 cart"], from)), expected);
    // It is the chain that counts: the one that began on day 3.
    let expected = ["b", "b", "c", "d", "b", "d"].map(|value| json!(value));
    let lines = ["ann 0 view p=a", "ann 3 view p=b", "ann 4 cart p=c", "ann 5 pay p=d"];
    assert_eq!(FROM.map(|from| of(&lines, from)), expected);
}

#[test]
fn null_and_what_is_nested_are_no_value_and_whole_floats_are_whole() {
    let event = |customer, value: PropertyValue| Event::at(day(0.0), customer, "view").property("p", value).build();
    let nested = PropertyValue::Nested(json!({"deep": 1}));
    let values = [PropertyValue::Null, nested, 1_i64.into(), 1.0_f64.into(), "1".into(), true.into()];
    let events: Vec<Event> =
        values.into_iter().zip(["a", "b", "c", "d", "e", "f"]).map(|(value, who)| event(who, value).unwrap()).collect();
    for from in [BreakdownFrom::FirstEvent, BreakdownFrom::Each] {
        let report = ask(&events, Funnel::ordered(["view"]), Breakdown::property("p").from(from));
        // By size, then booleans, numbers, texts, and what has no value.
        let expected = [(json!(1), 2), (json!(null), 2), (json!(true), 1), (json!("1"), 1)];
        assert_eq!(groups(&report), expected.map(|(value, count)| (value, vec![count])));
        let groups = report.breakdown.unwrap();
        assert_eq!(groups.group(1.0).unwrap().figures.entered, 2);
        assert!(groups.group("2").is_none());
    }
}

#[test]
fn where_several_chains_would_do_the_earlier_event_and_then_the_smaller_value_decides() {
    let funnel = || Funnel::ordered(["view", "cart", "pay"]);
    let of = |lines: &[&str], from| only(&given(lines), funnel(), Breakdown::channel().from(from));
    // Either view may begin the chain, and either payment end it.
    let lines = ["ann 0 view web", "ann 0 view email", "ann 1 cart web", "ann 2 pay phone", "ann 2 pay chat"];
    for lines in arrivals(&lines) {
        assert_eq!(of(&lines, BreakdownFrom::FirstEvent), "email", "{lines:?}");
        assert_eq!(of(&lines, BreakdownFrom::Step(3)), "chat", "{lines:?}");
        assert_eq!(of(&lines, BreakdownFrom::LastDefined), "chat", "{lines:?}");
    }
    // The first cart counts, whatever it is called.
    let lines = ["ann 0 view web", "ann 1 cart web", "ann 2 cart email", "ann 3 pay web"];
    assert_eq!(of(&lines, BreakdownFrom::Step(2)), "web");
    // A smaller value that no chain can have does not count: the view by email is the cart too.
    let view_or_cart = || Condition::touchpoint("both").unwrap().or(Condition::touchpoint("view").unwrap());
    let cart = || Condition::touchpoint("both").unwrap();
    for lines in arrivals(&["ann 0 view web", "ann 0 both email", "ann 1 pay web"]) {
        let funnel = Funnel::ordered([view_or_cart(), cart(), Condition::touchpoint("pay").unwrap()]);
        assert_eq!(only(&given(&lines), funnel, Breakdown::channel()), "web", "{lines:?}");
    }
    // An event without a value comes after those that have one.
    for lines in arrivals(&["ann 0 view", "ann 0 view p=z", "ann 1 cart"]) {
        assert_eq!(only(&given(&lines), funnel(), Breakdown::property("p")), "z", "{lines:?}");
    }
}

#[test]
fn each_value_has_a_funnel_of_its_own() {
    let each = || Breakdown::channel().from(BreakdownFrom::Each);
    let lines = ["ann 0 view web", "ann 1 view email", "ann 2 pay email", "bob 0 view web", "bob 1 pay web"];
    let report = ask(&given(&lines), Funnel::ordered(["view", "pay"]), each());
    assert_eq!(groups(&report), [(json!("web"), vec![2, 1]), (json!("email"), vec![1, 1])]);
    // The whole is their sum.
    assert_eq!((report.entered, report.converted), (3, 2));
    // In a strict funnel, and for an exclusion, events of other values are not there.
    let lines = ["ann 0 view web", "ann 1 other email", "ann 2 pay web"];
    assert_eq!(groups(&ask(&given(&lines), Funnel::strict(["view", "pay"]), each())), [(json!("web"), vec![1, 1])]);
    let funnel = Funnel::ordered(["view", "pay"]).exclude(Condition::touchpoint("other").unwrap());
    assert_eq!(groups(&ask(&given(&lines), funnel, each())), [(json!("web"), vec![1, 1])]);
    // Those without a value are a funnel too.
    let lines = ["ann 0 view", "ann 1 view p=a", "ann 2 pay"];
    let by_p = Breakdown::property("p").from(BreakdownFrom::Each);
    let report = ask(&given(&lines), Funnel::ordered(["view", "pay"]), by_p);
    assert_eq!(groups(&report), [(json!("a"), vec![1, 0]), (json!(null), vec![1, 1])]);
}

#[test]
fn a_customer_with_many_values_has_a_funnel_for_each() {
    let mut events = Vec::new();
    for i in 0..200 {
        let event = |at: i32, touchpoint| {
            Event::at(day(f64::from(at)), "ann", touchpoint).property("p", format!("v{:03}", i % 100)).build().unwrap()
        };
        events.extend([event(i, "view"), event(i + 300, "pay")]);
    }
    let by_p = Breakdown::property("p").from(BreakdownFrom::Each).limit(3);
    let funnel = Funnel::ordered(["view", "pay"]).breakdown(by_p).build().unwrap();
    let report = journeys(&events).query().run(&funnel).unwrap();
    let expected = ["v000", "v001", "v002"].map(|value| (json!(value), vec![1, 1]));
    assert_eq!(groups(&report), expected);
    let other = report.breakdown.unwrap().other.unwrap();
    assert_eq!((other.groups, other.figures.entered, other.figures.converted), (97, 97, 97));
    assert_eq!((report.entered, report.converted), (100, 100));
}

#[test]
fn touches_are_of_the_journey() {
    let of = |lines: &[&str], breakdown| only(&given(lines), Funnel::ordered(["view", "pay"]), breakdown);
    let lines = [
        "ann 0 ad social",
        "ann 1 view web",
        "ann 2 mail email",
        "ann 3 view chat",
        "ann 4 call phone",
        "ann 5 pay web",
    ];
    assert_eq!(of(&lines, Breakdown::first_touch(Touch::Channel)), "social");
    assert_eq!(of(&lines, Breakdown::first_touch(Touch::Touchpoint)), "ad");
    // The chain that counts began on day 3.
    assert_eq!(of(&lines, Breakdown::last_touch(Touch::Channel)), "email");
    assert_eq!(of(&lines, Breakdown::last_touch(Touch::Touchpoint)), "mail");
    // The entry itself may be the first touch; before it there is none.
    assert_eq!(of(&["ann 0 view web"], Breakdown::first_touch(Touch::Channel)), "web");
    assert_eq!(of(&["ann 0 view web"], Breakdown::last_touch(Touch::Channel)), json!(null));
    for lines in arrivals(&["ann 0 ad web", "ann 0 mail email", "ann 1 view chat", "ann 1 call app"]) {
        assert_eq!(of(&lines, Breakdown::first_touch(Touch::Channel)), "email", "{lines:?}");
        assert_eq!(of(&lines, Breakdown::last_touch(Touch::Touchpoint)), "ad", "{lines:?}");
    }
}

#[test]
fn a_range_does_not_hide_the_first_touch() {
    let events = given(&["ann 0 ad social", "ann 5 view web"]);
    let by_touch = Breakdown::first_touch(Touch::Channel);
    let funnel = Funnel::ordered(["view", "pay"]).breakdown(by_touch).build().unwrap();
    let report = journeys(&events).query().between(day(4.0)..day(6.0)).run(&funnel).unwrap();
    assert_eq!(groups(&report), [(json!("social"), vec![1, 0])]);
    let web = Condition::channel(Channel::Web);
    let report = journeys(&events).query().filter(web).run(&funnel).unwrap();
    assert_eq!(groups(&report), [(json!("web"), vec![1, 0])]);
}

#[test]
fn bands_begin_at_their_edges() {
    let amounts = ["9.99EUR", "10EUR", "19.90EUR", "-3EUR", "20USD"];
    let lines: Vec<String> = amounts.iter().enumerate().map(|(i, amount)| format!("c{i} 0 view {amount}")).collect();
    let mut events = given(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    events.extend(given(&["ann 0 view"]));
    let edges = [Decimal::from(10), Decimal::new(1990, 2)];
    let bands = Breakdown::value_bands(Currency::new("EUR").unwrap(), edges);
    for from in [BreakdownFrom::FirstEvent, BreakdownFrom::Each] {
        let report = ask(&events, Funnel::ordered(["view"]), bands.clone().from(from));
        let expected = [
            ("under 10 EUR".into(), 2),
            (json!(null), 2),
            ("10 to under 19.90 EUR".into(), 1),
            ("19.90 EUR and more".into(), 1),
        ];
        assert_eq!(groups(&report), expected.map(|(value, count)| (value, vec![count])));
    }
}

#[test]
fn the_largest_groups_are_listed_and_the_others_counted_together() {
    let lines = ["a 0 view p=x", "b 0 view p=x", "c 0 view p=b", "d 0 view p=a", "e 0 view", "e 1 pay", "a 1 pay"];
    let report = ask(&given(&lines), Funnel::ordered(["view", "pay"]), Breakdown::property("p").limit(2));
    assert_eq!(groups(&report), [(json!("x"), vec![2, 1]), (json!("a"), vec![1, 0])]);
    let other = report.breakdown.as_ref().unwrap().other.as_ref().unwrap();
    assert_eq!((other.groups, other.figures.entered, other.figures.converted), (2, 2, 1));
    let table = report.to_string();
    assert!(table.contains("| group      | step   | customers |"), "{table}");
    assert!(table.contains("| x          | 2 pay  |         1 |"), "{table}");
    assert!(table.contains("| (2 others) | 1 view |         2 |"), "{table}");
    let report = ask(&given(&lines), Funnel::ordered(["view", "pay"]), Breakdown::property("p").limit(4));
    assert_eq!(groups(&report).len(), 4);
    assert_eq!(report.breakdown.as_ref().unwrap().other, None);
    assert!(report.to_string().contains("| (none) | 1 view |         1 |"), "{report}");
}

#[test]
fn listed_customers_say_their_group_and_events_that_have_it() {
    let events = given(&["ann 0 view web", "ann 0 view email", "ann 1 pay web", "bob 0 view p=x"]);
    let funnel = |breakdown: Breakdown| {
        let funnel = Funnel::ordered(["view", "pay"]).breakdown(breakdown).list_customers().build().unwrap();
        journeys(&events).query().run(&funnel).unwrap()
    };
    let report = funnel(Breakdown::channel());
    let listed = serde_json::to_value(&report.customers).unwrap();
    assert_eq!((&listed[0]["group"], &listed[0]["events"][0]["seq"]), (&json!("email"), &json!(2)));
    let report = funnel(Breakdown::property("p").limit(1));
    let listed = serde_json::to_value(&report.customers).unwrap();
    // Bob's group is one of the others; that of Ann has no value.
    assert_eq!((&listed[0]["group"], &listed[1]["group"]), (&json!(null), &json!("x")));
    let again: FunnelReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    assert!(report.to_string().contains("| customer | level | outcome           | group  | events"), "{report}");
    // In one funnel for each value a customer is listed once for each.
    let report = funnel(Breakdown::channel().from(BreakdownFrom::Each));
    let names: Vec<_> = report.customers.unwrap().into_iter().map(|one| (one.customer, one.group.unwrap())).collect();
    let shown: Vec<String> = names.iter().map(|(customer, group)| format!("{} {group}", customer.as_str())).collect();
    assert_eq!(shown, ["ann email", "ann web", "bob web"]);
}

#[test]
fn a_breakdown_by_too_many_values_is_stopped_at_the_limit_of_memory() {
    let event = |i: i32| {
        let id = format!("c{i}");
        Event::at(day(0.0), id.as_str(), "view").property("p", format!("value {i}")).build().unwrap()
    };
    let events: Vec<Event> = (0..2_000).map(event).collect();
    let ask = |breakdown: Option<Breakdown>, memory| {
        let funnel = Funnel::ordered(["view", "pay"]);
        let funnel = breakdown.into_iter().fold(funnel, FunnelBuilder::breakdown).build().unwrap();
        journeys(&events).query().memory(memory).run(&funnel)
    };
    assert!(ask(None, 100_000).is_ok());
    for from in [BreakdownFrom::FirstEvent, BreakdownFrom::Each] {
        let by_p = || Some(Breakdown::property("p").from(from).limit(5));
        assert!(ask(by_p(), 100_000).unwrap_err().is_limit());
        let other = ask(by_p(), 10_000_000).unwrap().breakdown.unwrap().other.unwrap();
        assert_eq!((other.groups, other.figures.entered), (1_995, 1_995));
    }
}

#[test]
fn a_name_that_nobody_knows_makes_one_group() {
    let report = ask(&given(&["ann 0 view"]), Funnel::ordered(["view"]), Breakdown::property("unknown"));
    assert_eq!(groups(&report), [(json!(null), vec![1])]);
    let report = ask(&[], Funnel::ordered(["view"]), Breakdown::channel());
    assert_eq!((groups(&report), report.entered), (vec![], 0));
}

// Random worlds.

fn broken_down(seed: u64) -> Funnel {
    let mut funnel = serde_json::to_value(any_funnel(seed)).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let steps = funnel["steps"].as_array().unwrap().len();
    let optional: Vec<usize> = serde_json::from_value(funnel["optional"].clone()).unwrap_or_default();
    let breakdown = fit(any_breakdown(&mut rng, steps), funnel["order"] == "any", &optional);
    funnel["breakdown"] = serde_json::to_value(breakdown).unwrap();
    if funnel["breakdown"]["from"] == "each" {
        funnel.as_object_mut().unwrap().remove("hold");
    }
    serde_json::from_value(funnel).unwrap()
}

#[test]
fn small_worlds_agree_with_every_chain_in_every_order() {
    each_world(4_000, tied_world, |seed, events| {
        let (funnel, scope) = (with_trend(seed, events, broken_down(seed)), any_scope(seed));
        let truth = oracle::funnel(events, &funnel, &JourneyModel::standard(), &scope);
        let report = journeys(events).query().scope(scope.clone()).run(&funnel).map_err(|e| e.to_string())?;
        let told = |why| format!("{}\n{why}", json!({"funnel": funnel, "scope": scope}));
        truth.agrees(&report).map_err(told)
    });
}

/// Long journeys in which each step may be served by many events, at a few instants.
#[test]
fn journeys_of_many_ties_agree() {
    let make = |seed| World::new(seed).customers(1).events(12).instants(14).touchpoints(3).channels(4).make();
    let tried = std::cell::Cell::new(0);
    each_world(1_500, make, |seed, events| {
        if crate::given::orders(events) > 48 {
            return Ok(());
        }
        tried.set(tried.get() + 1);
        let funnel = broken_down(seed);
        let truth = oracle::funnel(events, &funnel, &JourneyModel::standard(), &Scope::all());
        let report = journeys(events).query().run(&funnel).map_err(|e| e.to_string())?;
        truth.agrees(&report).map_err(|why| format!("{}\n{why}", json!({"funnel": funnel})))
    });
    assert!(tried.get() > 100, "only {} worlds were tried", tried.get());
}

#[test]
fn breakdowns_keep_the_laws() {
    let make = |seed| World::new(seed).customers(9).events(60).touchpoints(6).channels(5).instants(12).make();
    each_world(60, make, |seed, events| check_laws(&broken_down(seed), events).map_err(|e| e.to_string()));
}

/// Without the breakdown the same funnel tells the sums of the groups.
#[test]
fn groups_add_up_to_the_whole() {
    let make = |seed| World::new(seed).customers(12).events(80).channels(5).instants(20).make();
    each_world(400, make, |seed, events| {
        let mut broken = serde_json::to_value(broken_down(seed)).unwrap();
        if broken["breakdown"]["from"] == "each" {
            return Ok(());
        }
        // Of several chains a breakdown chooses the one of its group, whose money may be other, and in any order its steps.
        broken.as_object_mut().unwrap().remove("value");
        let is_any = broken["order"] == "any";
        let mut plain = broken.clone();
        plain.as_object_mut().unwrap().remove("breakdown");
        let run = |plan: Value| {
            let funnel: Funnel = serde_json::from_value(plan).unwrap();
            journeys(events).query().run(&funnel).unwrap()
        };
        let (mut broken, mut plain) = (run(broken), run(plain));
        if is_any {
            for step in broken.steps.iter_mut().chain(&mut plain.steps) {
                step.done = 0;
            }
        }
        let groups = broken.breakdown.clone().unwrap();
        let figures: Vec<_> =
            groups.groups.iter().map(|group| &group.figures).chain(groups.other.iter().map(|o| &o.figures)).collect();
        let sums = |of: &dyn Fn(&journeylog::FunnelStep) -> u64| {
            (0..plain.steps.len()).map(|i| figures.iter().map(|f| of(&f.steps[i])).sum()).collect::<Vec<u64>>()
        };
        for of in [
            &|step: &journeylog::FunnelStep| step.customers,
            &|step: &journeylog::FunnelStep| step.dropped,
            &|step: &journeylog::FunnelStep| step.stopped,
            &|step: &journeylog::FunnelStep| step.pending,
            &|step: &journeylog::FunnelStep| step.settled.some,
        ] as [&dyn Fn(&journeylog::FunnelStep) -> u64; 5]
        {
            if sums(of) != plain.steps.iter().map(of).collect::<Vec<_>>() {
                return Err(format!("{:?} is not {:?}", sums(of), plain.steps));
            }
        }
        if broken.steps != plain.steps || broken.time_since_first_entry != plain.time_since_first_entry {
            return Err("the whole is not that of the plain funnel".into());
        }
        Ok(())
    });
}

/// One funnel for each channel is the funnel asked of the events of that channel.
#[test]
fn each_is_the_funnel_of_filtered_events() {
    let make = |seed| World::new(seed).customers(6).events(60).channels(5).instants(30).make();
    let tried = std::cell::Cell::new(0);
    each_world(400, make, |seed, events| {
        let mut plan = serde_json::to_value(any_funnel(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("breakdown");
        plan.as_object_mut().unwrap().remove("customers");
        plan.as_object_mut().unwrap().remove("hold");
        if plan.to_string().contains("\"stage\"") {
            return Ok(());
        }
        tried.set(tried.get() + 1);
        let plain: Funnel = serde_json::from_value(plan.clone()).unwrap();
        for by in [json!("channel"), json!({"property": "p"})] {
            plan["breakdown"] = json!({"by": by, "from": "each"});
            let each: Funnel = serde_json::from_value(plan.clone()).unwrap();
            let groups = journeys(events).query().run(&each).unwrap().breakdown.unwrap().groups;
            for group in groups {
                let filter = match (&group.value, by.is_string()) {
                    (PropertyValue::Text(name), true) => Condition::channel(Channel::new(name).unwrap()),
                    // Null is not to be told from what is missing.
                    (PropertyValue::Null, false) => continue,
                    (value, _) => Condition::property("p", Comparison::Eq(value.clone())),
                };
                let alone = journeys(events).query().filter(filter).run(&plain).unwrap();
                if alone.steps != group.figures.steps
                    || alone.time_since_first_entry != group.figures.time_since_first_entry
                {
                    return Err(format!("{plan}\n{}: {:?} is not {:?}", group.value, group.figures.steps, alone.steps));
                }
            }
        }
        Ok(())
    });
    assert!(tried.get() > 100, "only {} worlds were tried", tried.get());
}

#[test]
fn a_window_holds_in_each_group() {
    let lines = ["ann 0 view web", "ann 2 pay web", "ann 0.5 view email", "ann 1 pay email", "bob 3 other"];
    let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::days(1));
    let report = ask(&given(&lines), funnel, Breakdown::channel().from(BreakdownFrom::Each));
    assert_eq!(groups(&report), [(json!("email"), vec![1, 1]), (json!("web"), vec![1, 0])]);
    assert_eq!(report.conversion.some, 1);
}

/// One customer with more events than any person has, such as a machine. All of them were looked at once for each of them,
/// or for each value: minutes, for these.
#[test]
fn a_customer_of_very_many_events_takes_no_hours() {
    let count = 30_000;
    let event = |i: i64, touchpoint| Event::at(day(0.0) + TimeDelta::seconds(i), "bot", touchpoint);
    let many = (1..count).map(|i| event(i, "b").property("p", i));
    let ends = [event(count, "x"), event(count + 1, "b").property("p", -1), event(count + 2, "c")];
    let journeys = Journeys::of(std::iter::once(event(0, "a")).chain(many).chain(ends)).unwrap();
    let funnel = |breakdown| {
        let funnel = Funnel::ordered(["a", "b", "c"]).exclude_between(Condition::touchpoint("x").unwrap(), 2, 3);
        journeys.query().run(&funnel.breakdown(breakdown).build().unwrap()).unwrap().breakdown.unwrap()
    };
    // Only the last "b" is not followed by the exclusion.
    let by_second = funnel(Breakdown::property("p").from(BreakdownFrom::Step(2)));
    assert_eq!(by_second.group(PropertyValue::from(-1)).unwrap().figures.converted, 1);
    let each = Funnel::ordered(["b"]).breakdown(Breakdown::property("p").from(BreakdownFrom::Each)).build().unwrap();
    let report = journeys.query().run(&each).unwrap();
    assert_eq!(report.entered, count.unsigned_abs());
}
