//! Paths: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Condition, Funnel, FunnelOutcome, JourneyModel, PathDirection, PathPosition, Paths, PathsBuilder, PathsReport,
    Scope, Seq,
    testing::{World, check_arrival, check_laws, check_names, differences, oracle},
};

use crate::given::{any_model, any_paths, any_scope, day, each_world, given, journeys, periodic_world};

fn ask(lines: &[&str], plan: PathsBuilder, scope: Scope) -> PathsReport {
    let (events, plan) = (given(lines), plan.build().unwrap());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences(&oracle::paths(&events, &plan, &JourneyModel::standard(), &scope), &report).unwrap();
    reconcile(&report).unwrap();
    report
}

/// All totals of the graph and of the variants.
fn reconcile(report: &PathsReport) -> Result<(), String> {
    let same = |what: &str, one: u64, other: u64| {
        if one == other { Ok(()) } else { Err(format!("{what}: {one} is not {other} in {report:?}")) }
    };
    let first: u64 = report.positions.iter().take(1).flat_map(|first| &first.nodes).map(|node| node.paths).sum();
    same("the nodes of position 1", first, report.paths)?;
    for (place, position) in report.positions.iter().enumerate() {
        same("a position", position.nodes.iter().map(|node| node.paths).sum(), position.paths)?;
        for node in &position.nodes {
            let near = |link: &&journeylog::PathLink| {
                *(if report.direction == PathDirection::Forward { &link.from } else { &link.to }) == node.label
            };
            let on: u64 = position.links.iter().filter(near).map(|link| link.paths).sum();
            same("what leaves a node", node.ended + node.open + node.beyond + on, node.paths)?;
        }
        let Some(next) = report.positions.get(place + 1) else {
            same("links behind the last position", position.links.len() as u64, 0)?;
            continue;
        };
        for node in &next.nodes {
            let far = |link: &&journeylog::PathLink| {
                *(if report.direction == PathDirection::Forward { &link.to } else { &link.from }) == node.label
            };
            let here: u64 = position.links.iter().filter(far).map(|link| link.paths).sum();
            same("what comes to a node", here, node.paths)?;
        }
    }
    let variants: u64 = report.variants.iter().map(|variant| variant.paths.some).sum();
    same("variants", variants + report.other_variants.paths.some, report.paths)?;
    let nodes = || report.positions.iter().flat_map(|position| &position.nodes);
    same("ends", nodes().map(|node| node.ended + node.open + node.beyond).sum(), report.paths)?;
    let beyond: u64 = report.variants.iter().map(|variant| variant.beyond).sum();
    same("beyond", beyond + report.other_variants.beyond, nodes().map(|node| node.beyond).sum())?;
    let open: u64 = report.variants.iter().map(|variant| variant.open).sum();
    same("open", open + report.other_variants.open, nodes().map(|node| node.open).sum())?;
    if let Some(listed) = &report.listed {
        same("listed paths", listed.iter().map(|one| one.paths).sum(), report.paths)?;
        for (variant, rank) in report.variants.iter().zip(1..) {
            let of = || listed.iter().filter(|one| one.variant == Some(rank));
            same("customers of a variant", of().count() as u64, variant.customers)?;
            same("their paths", of().map(|one| one.paths).sum(), variant.paths.some)?;
        }
    }
    Ok(())
}

fn variants(report: &PathsReport) -> Vec<(String, u64)> {
    report.variants.iter().map(|variant| (variant.steps.join(">"), variant.paths.some)).collect()
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn nodes(position: &PathPosition) -> Vec<(&str, u64)> {
    position.nodes.iter().map(|node| (node.label.as_deref().unwrap_or("*"), node.paths)).collect()
}

fn links(position: &PathPosition) -> Vec<(&str, &str, u64)> {
    let name =
        |label: &'_ Option<String>| label.as_ref().map_or("*", |label| Box::leak(label.clone().into_boxed_str()));
    position.links.iter().map(|link| (name(&link.from), name(&link.to), link.paths)).collect()
}

const LINES: [&str; 12] = [
    "ann 0 home",
    "ann 1 view",
    "ann 2 view",
    "ann 3 cart",
    "ann 9 home",
    "bob 0 home",
    "bob 1 cart",
    "bob 2 pay",
    "cat 0 home",
    "cat 1 view",
    "cat 1.5 cart",
    "dan 4 pay",
];

#[test]
fn the_graph_counts_steps_by_position() {
    let report = ask(&LINES, Paths::of_touchpoints().depth(3), Scope::all());
    assert_eq!((report.paths, report.customers, report.without_end), (4, 4, None));
    let [first, second, third] = report.positions.as_slice() else { panic!("three positions") };
    assert_eq!(nodes(first), [("home", 3), ("pay", 1)]);
    assert_eq!(links(first), [("home", "view", 2), ("home", "cart", 1)]);
    assert_eq!(nodes(second), [("view", 2), ("cart", 1)]);
    assert_eq!(links(second), [("view", "cart", 1), ("view", "view", 1), ("cart", "pay", 1)]);
    assert_eq!(nodes(third), [("cart", 1), ("pay", 1), ("view", 1)]);
    // Dan's path ends where it began, and Ann's goes on.
    assert_eq!(first.nodes[1].ended, 1);
    assert_eq!(third.nodes.iter().map(|node| (node.ended, node.beyond)).collect::<Vec<_>>(), [(1, 0), (1, 0), (0, 1)]);
    let expected = [("home>cart>pay", 1), ("home>view>cart", 1), ("home>view>view", 1), ("pay", 1)];
    assert_eq!(variants(&report), named(&expected));
    let text = report.to_string();
    assert!(text.contains("| home > view > view |"), "{text}");
    let nobody = ask(&[], Paths::of_touchpoints(), Scope::all());
    assert_eq!((nobody.paths, nobody.positions.len(), nobody.other_variants.paths.share), (0, 0, None));
}

#[test]
fn what_is_beyond_the_top_is_one_node_and_one_row() {
    let plan = Paths::of_touchpoints().nodes(1).variants(1).collapse_repeats().list_customers();
    let report = ask(&LINES, plan, Scope::all());
    assert_eq!(nodes(&report.positions[0]), [("home", 3), ("*", 1)]);
    assert_eq!(links(&report.positions[0]), [("home", "view", 2), ("home", "*", 1)]);
    // Ann's two views are one: behind them both have a cart. Her path is longer than Cat's.
    assert_eq!(nodes(&report.positions[2]), [("cart", 2), ("*", 1)]);
    assert_eq!(variants(&report), named(&[("home>cart>pay", 1)]));
    assert_eq!((report.other_variants.variants, report.other_variants.paths.some), (3, 3));
    let listed: Vec<_> =
        report.listed.as_ref().unwrap().iter().map(|one| (one.customer.as_str(), one.variant)).collect();
    assert_eq!(listed, [("ann", None), ("bob", Some(1)), ("cat", None), ("dan", None)]);
    let text = report.to_string();
    assert!(text.contains("(1 others)") && text.contains("(3 others)"), "{text}");
}

#[test]
fn sessions_have_paths_of_their_own() {
    let report = ask(&LINES, Paths::of_touchpoints().by_session(TimeDelta::days(1)).list_customers(), Scope::all());
    assert_eq!((report.paths, report.customers), (5, 4));
    assert_eq!(variants(&report)[0].0, "home");
    // Exactly the gap is within; a microsecond more is not.
    let lines = ["ann 0 a", "ann 1 b", "ann 2.5 a", "ann 3.5 b"];
    let by = |gap: TimeDelta| ask(&lines, Paths::of_touchpoints().by_session(gap).list_customers(), Scope::all());
    let report = by(TimeDelta::days(1));
    assert_eq!((variants(&report), report.variants[0].customers), (named(&[("a>b", 2)]), 1));
    let listed = report.listed.unwrap();
    assert_eq!((listed.len(), listed[0].paths, listed[0].first), (1, 2, day(0.0)));
    assert_eq!(variants(&by(TimeDelta::days(1) - TimeDelta::microseconds(1))), named(&[("a", 2), ("b", 2)]));
}

/// Whoever is still there has dropped off nowhere yet.
#[test]
fn sessions_that_may_go_on_have_not_ended() {
    let lines = ["ann 0 home", "ann 5 home", "bob 4.5 home", "bob 5 view", "cat 3 home", "cat 5.5 view"];
    let by = |plan: PathsBuilder| ask(&lines, plan.by_session(TimeDelta::days(1)).list_customers(), Scope::all());
    let report = by(Paths::of_touchpoints());
    let [first, second] = report.positions.as_slice() else { panic!("two positions") };
    let counts = |place: usize, of: &PathPosition| (of.nodes[place].ended, of.nodes[place].open);
    // Ann's first session and Cat's are over; Ann's second, Bob's and Cat's second may go on.
    assert_eq!((counts(0, first), counts(1, first), counts(0, second)), ((2, 1), (0, 1), (0, 1)));
    assert_eq!(report.listed.as_ref().unwrap().iter().map(|one| one.open).sum::<u64>(), 3);
    // What is cut off is beyond, and an end that was asked for is one.
    let report = by(Paths::of_touchpoints().depth(1));
    assert_eq!((report.positions[0].nodes[0].open, report.positions[0].nodes[0].beyond), (1, 1));
    let report = by(Paths::of_touchpoints().starting_at("home").ending_at("view"));
    assert_eq!((report.paths, report.without_end, report.without_end_open), (1, Some(3), Some(1)));
    assert_eq!(report.positions[1].nodes[0].ended, 1);
    // Of journeys that are not cut it is only known how far they have come.
    let report = ask(&lines, Paths::of_touchpoints(), Scope::all());
    assert_eq!(report.positions.iter().flat_map(|one| &one.nodes).map(|node| node.open).sum::<u64>(), 0);
}

#[test]
fn a_start_an_end_and_both() {
    let from = |name: &'static str| Paths::of_touchpoints().starting_at(name);
    let report = ask(&LINES, from("cart"), Scope::all());
    assert_eq!(variants(&report), named(&[("cart", 1), ("cart>home", 1), ("cart>pay", 1)]));
    let report = ask(&LINES, Paths::of_touchpoints().ending_at("cart").depth(2), Scope::all());
    assert_eq!(report.direction, PathDirection::Backward);
    assert_eq!(variants(&report), named(&[("view>cart", 2), ("home>cart", 1)]));
    assert_eq!(links(&report.positions[0]), [("view", "cart", 2), ("home", "cart", 1)]);
    assert_eq!(
        report.positions[1].nodes.iter().map(|node| (node.ended, node.beyond)).collect::<Vec<_>>(),
        [(0, 2), (1, 0)]
    );
    // Cat has no pay yet, and neither has Ann.
    let report = ask(&LINES, from("home").ending_at("pay"), Scope::all());
    assert_eq!((report.paths, report.without_end), (1, Some(2)));
    assert_eq!(variants(&report), named(&[("home>cart>pay", 1)]));
    // The end is another step than the start.
    let report = ask(&["ann 0 a", "ann 1 b", "ann 2 a", "ann 3 a"], from("a").ending_at("a"), Scope::all());
    assert_eq!(variants(&report), named(&[("a>b>a", 1)]));
    // An end that is not shown is an end all the same.
    let report = ask(&LINES, from("home").ending_at("pay").depth(2), Scope::all());
    assert_eq!((report.paths, report.variants[0].beyond), (1, 1));
}

/// Ann had something in her cart before she came home: the funnel counts the cart after that, where her path begins. The first cart would be another.
#[test]
fn what_those_who_dropped_out_did_next_begins_where_they_stopped() {
    let lines = [
        "ann 0 cart",
        "ann 1 home",
        "ann 2 cart",
        "ann 3 support",
        "bob 7 home",
        "bob 8 cart",
        "bob 9 pay",
        "cat 20 support",
    ];
    let funnel = Funnel::ordered(["home", "cart", "pay"]).within(TimeDelta::days(2)).list_customers().build().unwrap();
    let listed = journeys(&given(&lines)).query().run(&funnel).unwrap().customers.unwrap();
    let dropped = listed.iter().filter(|one| one.outcome == FunnelOutcome::WindowOver);
    let stopped: Vec<Seq> = dropped.map(|one| one.events.last().unwrap().seq).collect();
    let report = ask(&lines, Paths::of_touchpoints().starting_at_events(stopped.clone()), Scope::all());
    assert_eq!(variants(&report), named(&[("cart>support", 1)]));
    // The range says which of them count, and an end may be asked for too.
    let later = Scope::all().from(day(9.0));
    assert_eq!(ask(&lines, Paths::of_touchpoints().starting_at_events(stopped.clone()), later).paths, 0);
    let both = Paths::of_touchpoints().starting_at_events(stopped).ending_at("pay");
    assert_eq!(ask(&lines, both, Scope::all()).without_end, Some(1));
    assert_eq!(ask(&lines, Paths::of_touchpoints().starting_at_events([]), Scope::all()).paths, 0);
}

#[test]
fn a_range_says_which_anchors_count_and_cuts_no_path() {
    let scope = || Scope::all().between(day(0.5)..day(2.5));
    // All begin before it, but for Dan, who begins after it.
    assert_eq!(ask(&LINES, Paths::of_touchpoints(), scope()).paths, 0);
    let report = ask(&LINES, Paths::of_touchpoints().starting_at("view").collapse_repeats(), scope());
    assert_eq!(variants(&report), named(&[("view>cart", 1), ("view>cart>home", 1)]));
    let report = ask(&LINES, Paths::of_touchpoints().ending_at("cart"), scope());
    assert_eq!(variants(&report), named(&[("home>cart", 1), ("home>view>cart", 1)]));
    // The first start in the range, also if there was one before.
    let report = ask(&LINES, Paths::of_touchpoints().starting_at("home"), Scope::all().from(day(5.0)));
    assert_eq!(variants(&report), named(&[("home", 1)]));
    let report = ask(&LINES, Paths::of_touchpoints().starting_at("view").ending_at("cart"), scope().as_of(day(2.5)));
    assert_eq!((report.paths, report.without_end), (1, Some(1)));
}

#[test]
fn steps_are_channels_stages_or_groups() {
    let lines = ["ann 0 ad_click", "ann 1 product_view", "ann 2 hotline", "ann 3 cart", "ann 4 purchase"];
    let report = ask(&lines, Paths::of_stages().collapse_repeats(), Scope::all());
    assert_eq!(variants(&report), named(&[("awareness>consideration>purchase", 1)]));
    assert_eq!(variants(&ask(&lines, Paths::of_channels().collapse_repeats(), Scope::all())), named(&[("web", 1)]));
    let at = |name| Condition::touchpoint(name).unwrap();
    let groups = [("shop", at("product_view")), ("buy", at("purchase")), ("shop", at("cart").or(at("purchase")))];
    let report = ask(&lines, Paths::of_groups(groups.clone()), Scope::all());
    // The first group wins, those of one label are one, and what is in none is no step.
    assert_eq!(variants(&report), named(&[("shop>shop>buy", 1)]));
    // Nor is anything anchored at it.
    assert_eq!(ask(&lines, Paths::of_groups(groups.clone()).starting_at("hotline"), Scope::all()).paths, 0);
    // But it holds a session together.
    let report = ask(&lines, Paths::of_groups(groups).by_session(TimeDelta::days(1)), Scope::all());
    assert_eq!(report.paths, 1);
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(6_000, periodic_world, |seed, events| {
        let (model, scope, mut plan) = (any_model(seed), any_scope(seed), any_paths(seed));
        if seed % 5 == 0 {
            let mut said = serde_json::to_value(plan).unwrap();
            said.as_object_mut().unwrap().remove("start");
            said["start_events"] = (1..17_u64).filter(|seq| (seed >> (seq % 13)) & 1 == 1).collect();
            plan = serde_json::from_value(said).unwrap();
        }
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        reconcile(&report)?;
        differences(&oracle::paths(events, &plan, &model, &scope), &report)
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
            for gap in [0, 1, i64::MAX] {
                let plan = Paths::of_touchpoints().by_session(TimeDelta::microseconds(gap)).list_customers();
                let plan = plan.build().unwrap();
                let report = journeys(events).query().scope(scope.clone()).run(&plan).map_err(|e| e.to_string())?;
                differences(&oracle::paths(events, &plan, &model, &scope), &report)?;
            }
            Ok(())
        },
    );
}

#[test]
fn paths_keep_the_laws() {
    let larger = |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_paths(seed), events).map_err(|broken| broken.to_string())?;
        let plan = Paths::of_touchpoints().variants(2).nodes(2).list_customers().build().unwrap();
        check_laws(&plan, events).map_err(|broken| broken.to_string())
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
        check_arrival(&any_paths(seed), events, seed).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_paths(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Paths = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn a_tree_of_paths_has_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = Paths::of_touchpoints().depth(32).build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    let refused = journeys.query().memory(10_000).run(&plan).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains("raise Query::memory"), "{refused}");
}
