//! Each limit of `docs/limits.md`: what is at the limit works, and one more is an error that says so.

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Analysis, Attribution, Binder, Breakdown, BySegment, ChurnRate, CohortRetention, Comparison, Condition, Currency,
    CustomerId, Decimal, Event, EventBuilder, EventId, Feedback, Funnel, InvalidPlan, JourneyModel, Journeys,
    LIMIT_EVENT_BYTES, LIMIT_GROUPS, LIMIT_HORIZON_UNITS, LIMIT_INACTIVE_PERIODS, LIMIT_MARKOV_ORDER, LIMIT_PATH_DEPTH,
    LIMIT_PATH_GROUPS, LIMIT_PATH_NODES, LIMIT_PATH_VARIANTS, LIMIT_PATTERN_EVENTS, LIMIT_PATTERN_STEPS,
    LIMIT_PROPERTIES, LIMIT_QUESTION_BYTES, LIMIT_QUESTIONS, LIMIT_RETENTION_PERIODS, LIMIT_SEGMENT_DEPTH,
    LIMIT_SEGMENT_LEAVES, LIMIT_SEGMENTS, LIMIT_SESSION_TOUCHPOINTS, LIMIT_STEPS, LIMIT_STICKINESS_PERIODS,
    LifetimeValue, Money, Paths, Pattern, PatternMatches, Period, Plan, PropertyValue, Question, Segment,
    SegmentBuilder, Segments, Sessions, StageCounts, StageName, Stickiness, Touchpoint, Transitions,
    import::{ImportError, LIMIT_LINE_BYTES, NdjsonReader},
};
use serde_json::{Value, json};

/// What is made of the limit works, and of one more it is refused with this text.
#[track_caller]
fn edge<T, E: ToString>(limit: usize, make: impl Fn(usize) -> Result<T, E>, refusal: &str) {
    assert!(make(limit).is_ok(), "{limit} is allowed");
    let refused = make(limit + 1).err().expect("one more is refused").to_string();
    assert!(refused.contains(refusal), "{refused}");
}

/// The same, and the page shows that text.
#[track_caller]
fn shown<T, E: ToString>(limit: usize, make: impl Fn(usize) -> Result<T, E>, refusal: &str) {
    assert!(include_str!("../../docs/limits.md").contains(refusal), "docs/limits.md does not show {refusal}");
    edge(limit, make, refusal);
}

fn event() -> EventBuilder {
    Event::at(DateTime::<Utc>::UNIX_EPOCH, "a", "t")
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|i| format!("n{i}"))
}

fn at(name: &str) -> Condition {
    Condition::touchpoint(name).unwrap()
}

#[test]
fn names_have_255_bytes() {
    let text = |n| "x".repeat(n);
    shown(255, |n| CustomerId::new(text(n)), "customer: has 256 bytes, the limit is 255");
    edge(255, |n| Touchpoint::new(text(n)), "touchpoint: has 256 bytes, the limit is 255");
    edge(255, |n| StageName::new(text(n)), "stage: has 256 bytes, the limit is 255");
    edge(255, |n| EventId::new(text(n)), "id: has 256 bytes, the limit is 255");
    edge(255, |n| event().property(text(n), 1).build(), "property name: has 256 bytes, the limit is 255");
    edge(
        255,
        |n| Question::read(&json!({"funnel": {"steps": [{"channel": text(n)}]}}).to_string()),
        "the limit is 255",
    );
    edge(255, |n| JourneyModel::builder(text(n), ["a"]).build(), "model.name: has 256 bytes, the limit is 255");
}

#[test]
fn events_have_limits() {
    let properties = |n| names(n).fold(event(), |event, name| event.property(name, 1)).build();
    shown(LIMIT_PROPERTIES, properties, "properties: has 257 entries, the limit is 256");
    // Beside the text: 64 for the event, its two names and its channel, the property's name and 8 for the property.
    let room = LIMIT_EVENT_BYTES - 64 - 2 - 3 - 9;
    shown(room, |n| event().property("p", "x".repeat(n)).build(), "event: takes 16385 bytes, the limit is 16384");
    let nested = |n| (0..n).fold(Value::from(1), |inner, _| json!([inner]));
    shown(32, |n| event().property("p", PropertyValue::from(nested(n))).build(), "properties: nests deeper than 32");
    let comment = |n| Feedback::nps(9).and_then(|answer| answer.with_comment("x".repeat(n)));
    shown(8 * 1024, comment, "feedback.comment: has 8193 bytes, the limit is 8192");
}

#[test]
fn lines_of_a_file_have_a_limit() {
    let line = |n: usize| {
        let line = serde_json::to_string(&event().build().unwrap()).unwrap();
        let text = format!("{}{line}", " ".repeat(n - line.len()));
        NdjsonReader::new(text.as_bytes()).next().unwrap().map(drop)
    };
    shown(LIMIT_LINE_BYTES, line, ": is longer than 1048576 bytes");
    assert!(matches!(line(LIMIT_LINE_BYTES + 1), Err(ImportError::Bad(_))));
}

#[test]
fn conditions_nest_32_deep() {
    let nested = |n: usize| (1..n).fold(at("a"), |inner, _| inner.negated());
    shown(32, |n| Funnel::ordered([nested(n)]).build(), "nests deeper than 32");
    for (twice, is_read) in [(15, true), (16, false)] {
        let (open, close) = (r#"{"any":[{"not":"#.repeat(twice), "}]}".repeat(twice));
        let plan = format!(r#"{{"funnel":{{"steps":[{open}{{"touchpoint":"a"}}{close}]}}}}"#);
        assert_eq!(Question::read(&plan).is_ok(), is_read, "{twice}");
    }
    // Far deeper: the text itself is refused before anything is made of it.
    let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(Question::read(&deep).unwrap_err().to_string().contains("recursion limit"));
    assert!(serde_json::from_str::<Event>(&format!(r#"{{"properties":{{"p":{deep}}}}}"#)).is_err());
    assert!(NdjsonReader::new(deep.as_bytes()).next().unwrap().is_err());
}

#[test]
fn plans_have_limits() {
    shown(LIMIT_STEPS, |n| Funnel::ordered(vec!["a"; n]).build(), "funnel.steps: has 33 steps, 1 to 32 are allowed");
    let exclusions = |n| (0..n).fold(Funnel::ordered(["a", "b"]), |funnel, _| funnel.exclude(at("x"))).build();
    let retention = |n| CohortRetention::of("a", "b", Period::DAY).periods(u32::try_from(n).unwrap()).build();
    let most = usize::try_from(LIMIT_RETENTION_PERIODS).unwrap();
    shown(most, retention, "retention.periods: is 1001, 1 to 1000 are allowed");
    let stickiness = |n| Stickiness::of("a", Period::DAY, u32::try_from(n).unwrap());
    let most = usize::try_from(LIMIT_STICKINESS_PERIODS).unwrap();
    shown(most, stickiness, "stickiness.of: is 1001, 1 to 1000 periods are allowed");
    let churn = |n| ChurnRate::every(Period::DAY).inactive_after(u32::try_from(n).unwrap()).build();
    let most = usize::try_from(LIMIT_INACTIVE_PERIODS).unwrap();
    shown(most, churn, "churn_rate.inactive_after: is 1001, 1 to 1000 periods are allowed");
    let value = |n: usize| {
        LifetimeValue::of("a")
            .unit(chrono::TimeDelta::days(1))
            .horizon(chrono::TimeDelta::days(n.try_into().unwrap()))
            .build()
    };
    let most = usize::try_from(LIMIT_HORIZON_UNITS).unwrap();
    shown(most, value, "lifetime_value.horizon: is over 1,000 units: take a longer unit");
    let sessions = |n| Sessions::builder().limit(u32::try_from(n).unwrap()).build();
    let most = usize::try_from(LIMIT_SESSION_TOUCHPOINTS).unwrap();
    shown(most, sessions, "sessions.limit: is 1001, 1 to 1000 touchpoints can be listed");
    let paths = || Paths::of_touchpoints();
    let most = |limit: u32| usize::try_from(limit).unwrap();
    let number = |n: usize| u32::try_from(n).unwrap();
    shown(
        most(LIMIT_PATH_DEPTH),
        |n| paths().depth(number(n)).build(),
        "paths.depth: is 33, 1 to 32 steps can be shown",
    );
    shown(
        most(LIMIT_PATH_NODES),
        |n| paths().nodes(number(n)).build(),
        "paths.nodes: is 101, 1 to 100 steps can be told apart at each position",
    );
    shown(
        most(LIMIT_PATH_VARIANTS),
        |n| paths().variants(number(n)).build(),
        "paths.variants: is 1001, 1 to 1000 variants can be listed",
    );
    shown(
        most(LIMIT_MARKOV_ORDER),
        |n| Attribution::of("a", "b").markov_order(number(n)).build(),
        "attribution.order: is 4, 1 to 3 touches can be remembered",
    );
    let groups = |n| Paths::of_groups(names(n).map(|name| (name, at("a")))).build();
    shown(LIMIT_PATH_GROUPS, groups, "paths.of.groups: has 65 groups, 1 to 64 are allowed");
    let pattern = |n| (1..n).fold(Pattern::starting_with("a"), |pattern, _| pattern.then("a")).build();
    shown(LIMIT_PATTERN_STEPS, pattern, "pattern.steps: has 33 steps, 1 to 32 are allowed");
    let repeated = |n| Pattern::starting_with("a").at_most(number(n)).build();
    shown(LIMIT_PATTERN_EVENTS, repeated, "pattern.steps: name 129 events, the limit is 128");
    // With all conditions that it may have, it can be asked.
    let first = Pattern::starting_with("a").at_least(4).not_between("b");
    let most = (1..32).fold(first, |pattern, _| pattern.then("a").at_least(4).not_between("b")).build().unwrap();
    assert_eq!(Journeys::of([event()]).unwrap().query().run(&PatternMatches::of(most)).unwrap().matches, 0);
    edge(LIMIT_STEPS, exclusions, "funnel.exclude: has 33 entries, the limit is 32");
    let hold = |n| Funnel::ordered(["a"]).hold_constant(names(n)).build();
    shown(8, hold, "funnel.hold: has 9 properties, the limit is 8");
    let groups = |n| Funnel::ordered(["a"]).breakdown(Breakdown::channel().limit(n)).build();
    shown(LIMIT_GROUPS, groups, "funnel.breakdown.limit: is 1001, 1 to 1000 groups can be listed");
    let bands = |n: usize| {
        let edges = (0..n).map(|edge| Decimal::from(edge as u64));
        Funnel::ordered(["a"]).breakdown(Breakdown::value_bands(Currency::new("EUR").unwrap(), edges)).build()
    };
    shown(LIMIT_GROUPS - 1, bands, "edges: has 1000 amounts, 1 to 999 are allowed");
    let list = |n| Question::read(&Value::from(vec![json!({"stages": {}}); n]).to_string());
    shown(LIMIT_QUESTIONS, list, "JSON: has 1001 questions, the limit is 1000: ask them in several lists");
    let text = |n: usize| {
        let plan = r#"{"stages":{}}"#;
        Question::read(&format!("{plan}{}", " ".repeat(n - plan.len())))
    };
    edge(LIMIT_QUESTION_BYTES, text, "JSON: has 16777217 bytes, the limit is 16777216");
}

#[test]
fn segments_have_limits() {
    let leaves = |n| Segment::any((0..n).map(|_| Segment::did("a"))).build();
    shown(LIMIT_SEGMENT_LEAVES, leaves, "segment: has 65 leaves or more, the limit is 64");
    let empty = |n| Segment::all((0..n).map(|_| Segment::any(Vec::<SegmentBuilder>::new()))).build();
    edge(LIMIT_SEGMENT_LEAVES, empty, "the limit is 64");
    let nested = |n: usize| (1..n).fold(Segment::did("a"), |inner, _| inner.negated()).build();
    shown(LIMIT_SEGMENT_DEPTH, nested, "nests deeper than 32");
    let json = |n: usize| {
        let (open, close) = (r#"{"not":"#.repeat(n - 1), "}".repeat(n - 1));
        Question::read(&format!(r#"{{"segment":{{"of":{open}{{"stage":"purchase"}}{close}}}}}"#))
    };
    edge(LIMIT_SEGMENT_DEPTH, json, "nests deeper than 32");
    let condition = |n: usize| Segment::did((1..n).fold(at("a"), |inner, _| inner.negated())).build();
    edge(32, condition, "segment.did.condition: nests deeper than 32");
    let several = |n: usize| {
        let segments = names(n).fold(Segments::new(), |all, name| all.add(name, Segment::did("a").build().unwrap()));
        BySegment::new(Transitions::of_question(), segments)
    };
    shown(LIMIT_SEGMENTS, several, "by_segment: has 65 segments, 1 to 64 are allowed");
    let with_others = |n: usize| {
        let segments = names(n - 1).fold(Segments::new(), |all, name| all.add(name, "a")).others("others");
        BySegment::new(Transitions::of_question(), segments)
    };
    edge(LIMIT_SEGMENTS, with_others, "by_segment: has 65 segments");
}

/// An analysis of one's own that registers so many conditions at once.
#[derive(Debug)]
struct Registering(usize);

impl Analysis for Registering {
    type Bound = <Transitions as Analysis>::Bound;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        binder.matches(&vec![at("t"); self.0])?;
        Transitions::of_question().bind(binder)
    }
}

#[test]
fn an_analysis_registers_64_conditions_at_once() {
    let journeys = Journeys::of([event()]).unwrap();
    shown(64, |n| journeys.query().run(&Registering(n)), "conditions: there are 65, the limit is 64");
}

#[test]
fn models_have_limits() {
    let model = |stages: usize| JourneyModel::builder("m", names(stages));
    shown(64, |n| model(n).build(), "model.stages: has 65 stages, 1 to 64 are allowed");
    let rules = |n| (0..n).fold(model(1), |model, _| model.rule(at("a"), "n0")).build();
    edge(64, rules, "model.rules: has 65 rules, the limit is 64");
    let aliases = |n| (0..n).fold(model(1), |model, i| model.alias(format!("alias {i}"), "n0")).build();
    shown(256, aliases, "model.aliases: has 257 entries, the limit is 256");
    let moves = |n| model(2).moves(vec![("n0", "n1"); n]).build();
    edge(4_096, moves, "model.moves: has 4097 entries, the limit is 4096");
}

#[test]
fn a_report_over_time_has_100_000_periods() {
    let hours = |n: i64| {
        let event = Event::at(DateTime::<Utc>::UNIX_EPOCH, "a", "home");
        let end = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(n - 1);
        let stages = StageCounts::of(JourneyModel::standard()).every(Period::HOUR);
        Journeys::of([event]).unwrap().query().as_of(end).run(&stages)
    };
    assert_eq!(hours(100_000).unwrap().over_time.unwrap().len(), 100_000);
    let refused = hours(100_001).unwrap_err();
    assert!(refused.is_limit());
    assert!(refused.to_string().contains("(ask for longer ones): 100001 is over the limit of 100000"), "{refused}");
}

/// Each listed group of a funnel has a row for each period, and so have the others together and the whole.
#[test]
fn the_periods_of_a_funnels_groups_are_limited_together() {
    let ask = |hours: i64| {
        let at = |hour| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hour);
        let events = [Event::at(at(0), "a", "home"), Event::at(at(hours - 1), "b", "home")];
        let funnel = Funnel::ordered(["home"]).trend(Period::HOUR).breakdown(Breakdown::channel()).build().unwrap();
        Journeys::of(events).unwrap().query().run(&funnel)
    };
    assert_eq!(ask(25_000).unwrap().breakdown.unwrap().groups[0].trend.as_ref().unwrap().len(), 25_000);
    assert!(ask(50_001).unwrap_err().is_limit());
}

#[test]
fn a_journey_has_so_many_chains_of_near_events() {
    let ask = |steps: usize| {
        // Every set of the steps is served by some chain in the making.
        let second = |i: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(i);
        let events: Vec<_> = names(steps).zip(0..).map(|(name, i)| Event::at(second(i), "a", name)).collect();
        let funnel =
            Funnel::ordered(names(steps).map(|name| at(&name))).tolerance(TimeDelta::hours(1)).build().unwrap();
        Journeys::of(events).unwrap().query().run(&funnel).map(|report| assert_eq!(report.converted, 1))
    };
    shown(
        13,
        ask,
        "chains of near events in one journey (ask for a smaller tolerance): 10001 is over the limit of 10000",
    );
}

#[test]
fn a_question_has_so_much_memory() {
    let journeys =
        Journeys::of((0..1_000).map(|i| Event::at(DateTime::<Utc>::UNIX_EPOCH, format!("c{i}"), "a"))).unwrap();
    let funnel = Funnel::ordered(["a"]).list_customers().build().unwrap();
    let ask = |bytes| journeys.query().memory(bytes).run(&funnel);
    assert!(ask(1 << 20).is_ok());
    let refused = ask(1_000).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains("raise Query::memory"), "{refused}");
}

#[test]
fn customers_that_are_listed_take_of_this_memory() {
    let price = Money::new("1", "EUR").unwrap();
    let bought = |i| Event::at(DateTime::<Utc>::UNIX_EPOCH, format!("c{i}"), "purchase").value(price);
    let journeys = Journeys::of((0..1_000).map(bought)).unwrap();
    let text = r#"[
        {"churn_rate":{"period":"day"},"scope":{"as_of":"1970-01-03T00:00:00Z"}},
        {"purchases":{"purchase":{"all":[]}}},
        {"lifecycle":{"activity":{"all":[]},"period":"day"}}, {"stickiness":{"activity":{"all":[]},"period":"day","of":3}},
        {"transitions":{}}, {"dwell":{}}, {"sessions":{}}, {"stages":{}}, {"conformance":{}}, {"paths":{}},
        {"segment":{"of":{"did":{"touchpoint":"purchase"}}}}, {"pattern":{"steps":[{"when":{"touchpoint":"purchase"}}]}},
        {"pattern_conformance":{"steps":[{"when":{"touchpoint":"purchase"}}]}},
        {"retention":{"start":{"all":[]},"return":{"all":[]},"period":"day"}}
    ]"#;
    for mut question in Question::read(text).unwrap() {
        // What is listed of 1,000 customers takes more than this, and the numbers alone take less.
        let query = journeys.query().memory(match question.plan {
            Plan::Segment(_) => 3_000,
            Plan::Purchases(_) => 80_000,
            Plan::Stickiness(_) => 7_000,
            Plan::Transitions(_) => 30_000,
            _ => 20_000,
        });
        let unlisted = query.ask(std::slice::from_ref(&question));
        assert!(unlisted.is_ok(), "{question:?} {unlisted:?}");
        question.plan = question.plan.list_customers();
        let refused = query.ask(std::slice::from_ref(&question)).map(drop);
        assert!(refused.as_ref().is_err_and(journeylog::Error::is_limit), "{question:?} {refused:?}");
        let listed = journeys.query().ask(std::slice::from_ref(&question)).unwrap();
        assert!(serde_json::to_string(&listed[0]).unwrap().contains("c999"), "{question:?}");
    }
}

#[test]
fn a_list_to_compare_with_may_be_long() {
    // No limit of its own: it is bounded by the text that it stands in.
    let many = Comparison::In((0..100_000_i64).map(PropertyValue::from).collect());
    let funnel = Funnel::ordered([Condition::property("n", many)]).build().unwrap();
    let journeys = Journeys::of([event().property("n", 99_999)]).unwrap();
    assert_eq!(journeys.query().run(&funnel).unwrap().entered, 1);
}
