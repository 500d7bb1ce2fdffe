//! Segments: by hand, against the oracle, as scope and as breakdown.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use journeylog::{
    BySegment, Channel, Comparison, Condition, CustomerId, Decimal, Event, EventBuilder, Feedback, Funnel,
    JourneyModel, Journeys, Members, Money, Plan, Question, Report, Scope, Segment, SegmentBuilder, Segments, Seq,
    StageCounts, Survey, Tables, Transitions, WhichAnswer,
    testing::{World, any_segment, check_arrival, check_bystander, check_laws, check_names, differences, oracle},
};
use serde_json::{Value, json};

use crate::given::{
    any_churn_rate, any_funnel, any_lifecycle, any_members, any_model, any_purchases, any_retention, any_scope,
    any_segments, any_sessions, any_stickiness, day, each_world, everything, given, journeys, periodic_world,
    tied_world,
};

/// Those who are in a segment, as the oracle says it too.
#[track_caller]
fn who_of(events: &[Event], segment: SegmentBuilder, scope: Scope) -> String {
    let plan = Members::of(segment.build().unwrap()).list_customers();
    let report = journeys(events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::members(events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    let ids = report.customers.unwrap();
    ids.iter().map(CustomerId::as_str).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn who(lines: &[&str], segment: SegmentBuilder) -> String {
    who_of(&given(lines), segment, Scope::all())
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

fn at(name: &str) -> Condition {
    Condition::touchpoint(name).unwrap()
}

const MICRO: TimeDelta = TimeDelta::microseconds(1);

#[test]
fn put_in_cart_and_did_not_buy_within_three_days() {
    let lines = [
        "ann 0 cart",
        "ann 3 buy", // exactly three days are within
        "bob 0 cart",
        "bob 3.001 buy",
        "cat 0 buy",
        "cat 1 cart",
        "dan 3 cart", // pending: observation ends on day 5
        "eve 2 cart", // three days are over exactly then
        "fay 5 buy",
    ];
    let abandoned = || Segment::did("cart").then_not("buy").within(days(3));
    assert_eq!(who(&lines, abandoned()), "bob cat eve");
    assert_eq!(who(&lines, Segment::did("cart").then("buy").within(days(3))), "ann");
    // What is pending is in neither; `not` is everybody else, who never had a cart too.
    assert_eq!(who(&lines, Segment::did("cart").then("buy").within(days(3)).negated()), "bob cat dan eve fay");
    let events = given(&lines);
    assert_eq!(who_of(&events, abandoned(), Scope::all().as_of(day(5.0) - MICRO)), "bob cat");
    assert_eq!(who_of(&events, abandoned(), Scope::all().as_of(day(6.0))), "bob cat dan eve");
    assert_eq!(who_of(&events, abandoned(), Scope::all().as_of(day(3.0))), "bob", "and Cat is pending then");
    // Without a window nothing is pending.
    assert_eq!(who(&lines, Segment::did("cart").then_not("buy")), "cat dan eve");
    // The range says which carts count, and not what follows.
    assert_eq!(who(&lines, abandoned().from(day(0.5))), "cat eve");
    assert_eq!(who(&lines, abandoned().to(day(0.5))), "bob");
    assert_eq!(who(&lines, abandoned().past(days(4))), "cat eve", "from day 1 on, inclusive");
    assert_eq!(who(&lines, abandoned().past(days(4) - MICRO)), "eve");
}

#[test]
fn whoever_left_one_cart_and_bought_with_the_next_is_in_both() {
    let lines = ["ann 0 cart", "ann 10 cart", "ann 11 buy", "bob 0 cart", "bob 20 home"];
    let left = || Segment::did("cart").then_not("buy").within(days(3));
    let bought = || Segment::did("cart").then("buy").within(days(3));
    assert_eq!(who(&lines, left()), "ann bob");
    assert_eq!(who(&lines, bought()), "ann");
    assert_eq!(who(&lines, left().and(bought().negated())), "bob");
}

#[test]
fn tied_events_follow_each_other_in_either_order_and_none_follows_itself() {
    for lines in [["ann 0 cart", "ann 0 buy"], ["ann 0 buy", "ann 0 cart"]] {
        assert_eq!(who(&lines, Segment::did("cart").then("buy").within(days(0))), "ann");
        assert_eq!(who(&lines, Segment::did("cart").then_not("buy").within(days(0))), "");
    }
    let twice = || Segment::did("buy").then("buy").within(days(1));
    assert_eq!(who(&["ann 0 buy", "bob 0 buy", "bob 0 buy", "cat 0 buy", "cat 1 buy"], twice()), "bob cat");
    let any = || Segment::did("buy").then(Condition::All(vec![])).within(days(1));
    assert_eq!(who(&["ann 1 buy", "ann 0 home", "bob 1 buy", "bob 1 home", "cat 3 buy"], any()), "bob");
}

#[test]
fn counts_and_times_of_what_was_done() {
    let lines = ["ann 0 buy", "ann 5 buy", "ann 10 buy", "bob 5 buy", "cat 1 home"];
    assert_eq!(who(&lines, Segment::did("buy")), "ann bob");
    assert_eq!(who(&lines, Segment::did_not("buy")), "cat");
    assert_eq!(who(&lines, Segment::did("buy").at_least(2)), "ann");
    assert_eq!(who(&lines, Segment::did("buy").at_most(1)), "bob cat", "none is at most one");
    assert_eq!(who(&lines, Segment::did("buy").at_least(1).at_most(1)), "bob");
    assert_eq!(who(&lines, Segment::did("buy").exactly(3)), "ann");
    assert_eq!(who(&lines, Segment::did("buy").exactly(0)), "cat");
    assert_eq!(who(&lines, Segment::did("buy").exactly(1).past(days(5) - MICRO)), "ann");
    assert_eq!(who(&lines, Segment::did("buy").past(days(5))), "ann bob", "so long ago is in");
    assert_eq!(who(&lines, Segment::did_not("buy").past(days(5) - MICRO)), "bob cat");
    assert_eq!(who(&lines, Segment::did("buy").between(day(0.0)..day(5.0))), "ann", "the end is not in");
    assert_eq!(who(&lines, Segment::did("nothing")), "");
    assert_eq!(who(&lines, Segment::all(Vec::<SegmentBuilder>::new())), "ann bob cat");
    assert_eq!(who(&lines, Segment::any(Vec::<SegmentBuilder>::new())), "");
}

#[test]
fn the_first_and_the_last() {
    let event = |who: &str, on: f64, place: &str, channel: Channel| Event::at(day(on), who, place).channel(channel);
    let events: Vec<Event> = [
        event("ann", 0.0, "ad", Channel::Email),
        event("ann", 5.0, "buy", Channel::Web),
        event("bob", 1.0, "ad", Channel::Web),
        event("bob", 2.0, "buy", Channel::Email),
        event("bob", 9.0, "buy", Channel::Web),
        // Tied: the one that arrived first is the first.
        event("cat", 3.0, "home", Channel::Email),
        event("cat", 3.0, "ad", Channel::Web),
    ]
    .into_iter()
    .map(|event| event.build().unwrap())
    .collect();
    let email = || Condition::channel(Channel::Email);
    let any = || Condition::All(vec![]);
    let ask = |segment| who_of(&events, segment, Scope::all());
    assert_eq!(ask(Segment::first(any()).is(email())), "ann cat");
    assert_eq!(ask(Segment::last(any()).is(email())), "");
    assert_eq!(ask(Segment::first("buy").is(email())), "bob");
    // When the very first one happened, and not the first of that time.
    assert_eq!(ask(Segment::first("buy").from(day(3.0))), "ann");
    assert_eq!(ask(Segment::last("buy").past(days(4))), "ann bob");
    assert_eq!(ask(Segment::last("buy").to(day(9.0))), "ann");
}

#[test]
fn stages_scores_and_money() {
    let event = |who: &str, on: f64, place: &str| Event::at(day(on), who, place);
    let euro = |amount: &str| Money::new(amount, "EUR").unwrap();
    let nps = |score| Feedback::nps(score).unwrap();
    let events: Vec<Event> = [
        event("ann", 0.0, "product_view"),
        event("ann", 1.0, "purchase").value(euro("10.10")),
        event("ann", 2.0, "product_view"),
        event("bob", 0.0, "purchase").value(euro("20.20")).feedback(nps(3)),
        event("bob", 8.0, "note").feedback(nps(8)).value(Money::new("99", "USD").unwrap()),
        event("cat", 4.0, "note").feedback(nps(2)),
        event("cat", 9.0, "note").value(euro("-1")),
    ]
    .into_iter()
    .map(|event| event.build().unwrap())
    .collect();
    let ask = |segment| who_of(&events, segment, Scope::all());
    assert_eq!(ask(Segment::in_stage("consideration")), "ann");
    assert_eq!(ask(Segment::in_stage("decision")), "bob", "another spelling of purchase");
    assert_eq!(ask(Segment::reached("purchase")), "ann bob");
    assert_eq!(ask(Segment::reached("consideration").from(day(1.0))), "ann", "she came again");
    assert_eq!(ask(Segment::reached("purchase").past(days(8))), "ann");
    assert_eq!(who_of(&events, Segment::in_stage("purchase"), Scope::all().as_of(day(1.0))), "ann bob");
    let unhappy = || Segment::score(Survey::Nps, Comparison::Le(6));
    assert_eq!(ask(unhappy()), "cat");
    assert_eq!(ask(unhappy().answer(WhichAnswer::First)), "bob cat");
    assert_eq!(ask(unhappy().answer(WhichAnswer::Any)), "bob cat");
    assert_eq!(ask(unhappy().to(day(8.0))), "bob cat", "the latest of that time");
    assert_eq!(ask(unhappy().past(days(4))), "", "Cat's was before");
    let spent = |test| Segment::value(euro("0").currency(), test);
    let decimal = |text: &str| text.parse::<Decimal>().unwrap();
    assert_eq!(ask(spent(Comparison::Ge(decimal("10.1")))), "ann bob");
    assert_eq!(ask(spent(Comparison::Eq(decimal("20.20")))), "bob");
    assert_eq!(ask(spent(Comparison::Lt(decimal("0")))), "cat");
    assert_eq!(ask(spent(Comparison::Eq(decimal("0"))).of("note").to(day(9.0))), "ann bob cat", "none is 0");
    let refused = journeys(&events).query().run(&Members::of(Segment::in_stage("browsing").build().unwrap()));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("stage: browsing is no stage of the question's model standard"), "{refused}");
}

/// A segment is what customers did at all, and a scope sees their journeys whole or not.
#[test]
fn a_filter_or_range_does_not_narrow_a_segment() {
    let events = given(&["ann 0 product_view", "ann 1 buy", "bob 0 product_view", "bob 2 product_view"]);
    let buyers = Segment::did("buy").build().unwrap();
    let scope = Scope::all().segment(&buyers);
    let seen = |scope: Scope| {
        let seqs = journeys(&events).query().scope(scope.clone()).run(everything()).unwrap();
        assert_eq!(seqs, oracle::seen(&events, &JourneyModel::standard(), &scope));
        seqs.into_iter().map(Seq::get).collect::<Vec<_>>()
    };
    assert_eq!(seen(scope.clone()), [1, 2]);
    assert_eq!(seen(scope.clone().filter(at("product_view"))), [1]);
    assert_eq!(seen(scope.clone().filter(Condition::stage("consideration").unwrap().negated())), [2]);
    assert_eq!(seen(scope.clone().between(day(5.0)..day(6.0))), [1, 2]);
    assert_eq!(seen(scope.clone().as_of(day(0.5))), [] as [u64; 0]);
    assert_eq!(seen(scope.clone().known_at(Seq(1))), [] as [u64; 0]);
    assert_eq!(seen(scope.customers([CustomerId::new("bob").unwrap()])), [] as [u64; 0]);
    // Observation goes on to the last event of anybody.
    let report = journeys(&events).query().segment(&buyers).observation_end().unwrap();
    assert_eq!(report, Some(day(2.0)));
}

fn world(seed: u64) -> Vec<Event> {
    match seed % 4 {
        0 => periodic_world(seed),
        1 => World::new(seed).customers(4).events(24).instants(6).span(days(5)).make(),
        2 => World::new(seed).customers(3).events(16).touchpoints(3).instants(4).plain().make(),
        _ => tied_world(seed),
    }
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_members(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences(&oracle::members(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", json!([plan, scope])))
    });
}

/// Segments that are asked of, at the same time, by plans that read columns themselves.
#[test]
fn plans_that_look_at_columns_see_the_same_customers() {
    each_world(1_000, world, |seed, events| {
        let (model, scope) = (any_model(seed), any_scope(seed).segment(any_segment(seed, 2)));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let (members, seqs) = query.run((any_members(seed + 1), everything())).map_err(|e| e.to_string())?;
        differences(&oracle::members(events, &any_members(seed + 1), &model, &scope), &members)?;
        differences(&oracle::seen(events, &model, &scope), &seqs)
            .map_err(|why| format!("{}\n{why}", json!([scope, any_members(seed + 1)])))
    });
}

#[test]
fn the_ends_of_time_are_like_all_other_times() {
    let make = |seed| World::new(seed).extreme_times().make();
    each_world(1_000, make, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_members(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        differences(&oracle::members(events, &plan, &model, &scope), &query.run(&plan).unwrap())
            .map_err(|why| format!("{}\n{why}", json!([plan, scope])))
    });
}

#[test]
fn segments_keep_the_laws() {
    let make = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    each_world(60, make, |seed, events| {
        let plans = (any_funnel(seed), any_members(seed), StageCounts::of(any_model(seed)).list_customers());
        let by_segment = BySegment::new(plans, any_segments(seed)).unwrap();
        check_laws(&(&by_segment, any_members(seed + 1)), events).map_err(|e| e.to_string())?;
        check_names(&Members::of(any_segment(seed, 2)), events, seed).map_err(|e| e.to_string())
    });
}

#[test]
fn arrival_does_not_matter_to_what_was_done_and_what_followed() {
    let window = |seed| days(i64::try_from(seed % 4).unwrap());
    each_world(500, world, |seed, events| {
        let then = Segment::did("product_view").then(at("purchase").or(at("product_view"))).within(window(seed));
        let not = Segment::did(at("purchase").or(at("add_to_cart"))).then_not("purchase").within(window(seed));
        let plan = Members::of(then.or(not).and(Segment::did("purchase").at_most(2)).build().unwrap());
        check_arrival(&plan, events, seed).map_err(|e| e.to_string())?;
        let plan = BySegment::new(
            Transitions::of(JourneyModel::standard()),
            Segments::new().add("a", Segment::did("purchase").build().unwrap()),
        );
        let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
        let inner = |report: journeylog::BySegmentReport<_>| report.groups.into_iter().next().unwrap().report;
        let (mut more, plan) = (events.to_vec(), plan.unwrap());
        more.push(Event::at(events[0].occurred_at(), "x", "elsewhere").build().unwrap());
        differences(
            &inner(journeys(events).query().run(&plan).unwrap()),
            &inner(journeys(&more).query().run(&plan).unwrap()),
        )?;
        let plan = Members::of(Segment::did("purchase").build().unwrap());
        assert!(check_bystander(&plan, events, &bystander).is_err(), "it counts among all");
        Ok(())
    });
}

/// A plan of any kind: of those in the golden file, which has each, or one of some kinds with any of its options.
fn any_plan(seed: u64) -> Plan {
    let mut golden = Question::read(include_str!("../golden/plans.json")).unwrap();
    golden.retain(|question| !matches!(question.plan, Plan::BySegment(_)));
    let count = golden.len() as u64 + 10;
    if let Some(place) = (seed % count).checked_sub(10) {
        return golden.swap_remove(usize::try_from(place).unwrap()).plan;
    }
    match seed % count {
        0 => any_funnel(seed).into(),
        1 => Transitions::of_question().into(),
        2 => any_retention(seed).into(),
        3 => any_lifecycle(seed).into(),
        4 => any_stickiness(seed).into(),
        5 => any_sessions(seed).into(),
        6 => any_members(seed).into(),
        7 => any_churn_rate(seed).into(),
        8 => any_purchases(seed).into(),
        _ => StageCounts::of_question().into(),
    }
}

/// Each segment's report is what the question says within the scope of that segment.
#[test]
fn a_breakdown_is_the_question_in_each_segments_scope() {
    // Hours from one end of time to the other are more than a report has room for.
    let make = |seed| world(if seed % 4 == 3 { seed - 1 } else { seed });
    each_world(1_500, make, |seed, events| {
        let (plan, segments, scope, model) = (any_plan(seed), any_segments(seed), any_scope(seed / 2), any_model(seed));
        let query = journeys(events).query().model(model.clone());
        let by_segment = BySegment::new(plan.clone(), segments.clone()).unwrap();
        let report = query.clone().scope(scope.clone()).run(&by_segment).map_err(|e| e.to_string())?;
        let all: BTreeMap<String, Value> = serde_json::from_value(json!(segments)).unwrap();
        let others: Vec<&Value> = all.values().filter(|said| said.get("others").is_none()).collect();
        let before = json!(scope).get("segment").cloned().unwrap_or_else(|| json!({ "all": [] }));
        let labels: Vec<&str> = report.groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels.len(), all.len());
        let mut sum = 0;
        for (label, said) in &all {
            let said = if said.get("others").is_some() { json!({ "not": { "any": others } }) } else { said.clone() };
            let segment: Segment = serde_json::from_value(json!({ "all": [before, said] })).unwrap();
            let within = scope.clone().segment(&segment);
            let expected = query.clone().scope(within.clone()).run(&plan).unwrap();
            differences(&expected, report.of(label).unwrap()).map_err(|why| format!("{}{why}", json!(by_segment)))?;
            let group = report.groups.iter().find(|group| group.label == *label).unwrap();
            let seen = oracle::members(events, &Members::of(&segment), &model, &within);
            assert_eq!(group.customers.some, seen.members.some);
            sum += group.customers.some;
        }
        let has_others = all.len() > others.len();
        assert!(!has_others || sum >= report.customers);
        assert!(!has_others || (report.overlapping == 0) == (sum == report.customers));
        Ok(())
    });
}

#[test]
fn segments_of_every_question_in_json() {
    for seed in 0..400 {
        let events = periodic_world(seed);
        let plan = BySegment::new(any_plan(seed), any_segments(seed)).unwrap();
        let question = Question::new(Plan::BySegment(plan)).scope(any_scope(seed).segment(any_segment(seed, 1)));
        let text = serde_json::to_string(&question).unwrap();
        assert!(text.contains(r#""by_segment":{"#) && text.contains(r#""segment":{"#), "{text}");
        let read = Question::read(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(read, [question], "{text}");
        let answers = journeys(&events).query().ask(&read).unwrap();
        assert!(matches!(&answers[0].report, Report::BySegment(report) if !report.groups.is_empty()));
        let again = serde_json::from_value(serde_json::to_value(&answers[0]).unwrap()).unwrap();
        differences(&answers[0], &again).unwrap();
    }
}

#[test]
fn a_breakdown_lists_the_tables_of_each_segment() {
    let events = given(&["ann 0 view", "ann 1 buy", "bob 0 view", "cat 0 cart", "cat 1 view", "cat 2 buy"]);
    let text = r#"{"funnel":{"steps":[{"touchpoint":"view"},{"touchpoint":"buy"}],"customers":true},
        "by_segment":{"buyers":{"did":{"touchpoint":"buy"}},"carts":{"did":{"touchpoint":"cart"}},"rest":{"others":true}}}"#;
    let questions = Question::read(text).unwrap();
    let answer = journeys(&events).query().ask(&questions).unwrap().remove(0);
    let Report::BySegment(report) = &answer.report else { panic!("{answer:?}") };
    let counts: Vec<_> = report.groups.iter().map(|group| (group.label.as_str(), group.customers.some)).collect();
    assert_eq!(counts, [("buyers", 2), ("carts", 1), ("rest", 1)]);
    assert_eq!((report.customers, report.overlapping), (3, 1));
    let entered = |label| match report.of(label) {
        Some(Report::Funnel(funnel)) => (funnel.entered, funnel.converted),
        other => panic!("{other:?}"),
    };
    assert_eq!([entered("buyers"), entered("carts"), entered("rest")], [(2, 2), (1, 1), (1, 0)]);
    assert!(report.of("nobody").is_none());
    let tables = answer.tables();
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles[0], "Segments");
    assert!(titles[1].starts_with("buyers: Funnel"), "{titles:?}");
    assert_eq!(tables.len(), 1 + 3 * (tables.len() / 3), "each has as many");
    let text = answer.to_string();
    assert!(text.contains("| (in more than one) |         1 | 33.3 % |"), "{text}");
    // It goes with others in one scan, and can list customers.
    let listed = questions[0].plan.clone().list_customers();
    let plans = vec![listed, any_members(1).into()];
    assert_eq!(journeys(&events).query().run(plans).unwrap().len(), 2);
}

#[test]
fn refusals_of_breakdowns_and_scopes() {
    for (text, expected) in [
        (r#"{"stages":{},"by_segment":{}}"#, "by_segment: has 0 segments"),
        (r#"{"stages":{},"by_segment":{"a":{"dit":{}}}}"#, "by_segment.a: segment.dit: unknown field"),
        (r#"{"stages":{},"by_segment":{"":{"all":[]}}}"#, "label: is empty"),
        (r#"{"stages":{},"by_segment":{"a":{"others":true}}}"#, "by_segment: has 1 segments"),
        (r#"{"stages":{},"by_segment":{"a":{"all":[]},"b":{"others":false}}}"#, "by_segment.b: others: stands alone"),
        (
            r#"{"stages":{},"by_segment":{"a":{"all":[]},"b":{"others":true},"c":{"others":true}}}"#,
            "everybody else is there twice",
        ),
        (r#"{"stages":{},"by_segment":[]}"#, "by_segment: invalid type"),
        (r#"{"by_segment":{"a":{"all":[]}}}"#, "needs one of"),
        (r#"{"segment":{}}"#, "of"),
        (r#"{"segment":{"of":{"all":[]},"list":true}}"#, "segment.list: unknown field"),
        (r#"{"segment":{"of":{"did":{"all":[]},"within":"1d"}}}"#, "segment.within: is nothing that did takes"),
        (r#"{"stages":{},"scope":{"segment":{"did":{"chanel":"x"}}}}"#, "scope.segment: segment.did: chanel"),
        (r#"{"stages":{},"scope":{"segment":""}}"#, "is empty"),
        (r#"{"stages":{},"scope":{"segment":7}}"#, "scope.segment"),
    ] {
        let refused = Question::read(text).expect_err(text).to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
    let inner = BySegment::new(any_plan(7), any_segments(1)).unwrap();
    let twice = BySegment::new(Plan::BySegment(inner), any_segments(2)).unwrap();
    let refused = journeys(&[]).query().run(&twice).unwrap_err().to_string();
    assert!(refused.contains("by_segment: is asked of a plan that is asked by segment already"), "{refused}");
    let refused = journeys(&[]).query().segment("loyal").run(&any_members(1)).unwrap_err().to_string();
    assert_eq!(refused, "scope.segment: no segment is stored under the name loyal (there is none)");
    let clash = Segments::new().add("a", any_segment(1, 0)).others("a");
    assert!(BySegment::new(any_plan(1), clash).unwrap_err().to_string().contains("both a segment and everybody else"));
}

/// More conditions than fit one look at each event.
#[test]
fn segments_of_a_hundred_conditions() {
    let places: Vec<String> = (0..64).map(|i| format!("t{i}")).collect();
    let events: Vec<EventBuilder> =
        (0..64).map(|i| Event::at(day(f64::from(i)), format!("c{}", i % 3), format!("t{i}"))).collect();
    let journeys = Journeys::of(events.clone()).unwrap();
    let is = |i: usize| Segment::did(places[i].as_str()).then(places[(i + 3) % 64].as_str());
    let all = Segment::any((0..64).map(is)).build().unwrap();
    assert_eq!(journeys.query().run(&Members::of(&all)).unwrap().members.some, 3);
    let (odd, even) = ((0..32).map(|i| is(2 * i + 1)), (0..32).map(|i| is(2 * i).negated()));
    let both = Segment::all([Segment::any(odd), Segment::any(even)]).build().unwrap();
    let scope = Scope::all();
    let events: Vec<Event> = events.into_iter().map(|event| event.build().unwrap()).collect();
    let expected = oracle::members(&events, &Members::of(&both), &JourneyModel::standard(), &scope);
    assert_eq!(journeys.query().run(&Members::of(&both)).unwrap(), expected);
}

/// A funnel of those who are in a segment, with what it costs to find them out: the work grows with the events, not
/// with their pairs.
#[test]
fn one_customer_of_very_many_events_is_looked_at_once() {
    let count = 100_000_i32;
    let events = (0..count).map(|i| Event::at(day(f64::from(i) / 1e4), "ann", if i % 2 == 0 { "a" } else { "b" }));
    let journeys = Journeys::of(events).unwrap();
    let never = Segment::did("a").then("c").or(Segment::did("b").then(at("b").and(at("a"))));
    let each = Segment::did("a").then_not("b").or(Segment::did("a").then_not(at("a").or(at("b"))).within(MICRO));
    let began = std::time::Instant::now();
    for (segment, members) in [(never, 0), (each, 1)] {
        let plan = Members::of(segment.build().unwrap());
        assert_eq!(journeys.query().run(&plan).unwrap().members.some, members);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    let funnel = Funnel::ordered(["a", "b"]).build().unwrap();
    let buyers = Segment::did("b").at_least(50_000).build().unwrap();
    assert_eq!(journeys.query().segment(&buyers).run(&funnel).unwrap().entered, 1);
}

#[test]
fn the_readme_shows_what_is_printed() {
    let events = given(&[
        "ann 0 add_to_cart",
        "ann 2 purchase",
        "bob 1 add_to_cart",
        "bob 5 email_open",
        "bob 6 purchase",
        "cat 3 add_to_cart",
        "dan 8 add_to_cart",
        "dan 9 email_open",
    ]);
    let query = journeys(&events).query();
    let abandoned = Segment::did("add_to_cart").then_not("purchase").within(days(3)).build().unwrap();
    let members = query.run(&Members::of(&abandoned).list_customers()).unwrap();
    let won_back = Funnel::ordered(["add_to_cart", "email_open", "purchase"]).build().unwrap();
    let carts = Segments::new().add("abandoned", &abandoned).others("others");
    let by_segment = query.run(&BySegment::new(won_back, carts).unwrap()).unwrap();
    let printed = format!("```text\n{members}\n{by_segment}```");
    assert!(include_str!("../../README.md").contains(&printed), "{printed}");
}
