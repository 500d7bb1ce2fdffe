//! Questions over a store, by size: events per second.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench stops at once")]

use std::hint::black_box;

use chrono::{DateTime, TimeDelta};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use journeylog::{
    Attribution, AttributionBy, Breakdown, BySegment, ChurnBy, ChurnRate, CohortRetention, Condition, Conformance,
    Consistency, ConversionRate, Count, Drivers, Durability, Dwell, Entry, EventBy, Experience, Funnel, JourneyModel,
    Lifecycle, LifetimeValue, Members, Paths, Pattern, PatternConformance, PatternMatches, Period, ProfileUpdate,
    Purchases, Question, Segment, Segments, Sessions, StageCounts, Stickiness, Store, StoreOptions, Survey,
    Transitions, testing::World,
};

fn filled(events: usize) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path()).unwrap();
    for batch in World::shop(42, events / 20, events).chunks(10_000) {
        assert_eq!(store.append_batch(batch.to_vec()).unwrap().duplicates().len(), 0);
    }
    let known = (0..events / 20).step_by(10).map(|customer| {
        let update = ProfileUpdate::at(DateTime::UNIX_EPOCH, format!("c-{customer:07}")).set("country", "DE");
        Entry::from(update.build().unwrap())
    });
    store.append_batch(known.collect::<Vec<_>>()).unwrap();
    (dir, store)
}

const STEPS: &str = r#""steps":[{"touchpoint":"product_view"},{"touchpoint":"add_to_cart"},{"touchpoint":"checkout"},{"touchpoint":"purchase"}],"window":"7d""#;

/// What questions can be asked beside their defaults.
const OPTIONS: [(&str, &str); 23] = [
    ("funnel, one per campaign", r#"{"funnel":{STEPS,"breakdown":{"by":{"property":"campaign"},"from":"each"}}}"#),
    (
        "funnel by the campaign of step 2",
        r#"{"funnel":{STEPS,"breakdown":{"by":{"property":"campaign"},"from":{"step":2}}}}"#,
    ),
    (
        "funnel by the first campaign",
        r#"{"funnel":{STEPS,"breakdown":{"by":{"property":"campaign"},"from":"first_defined"}}}"#,
    ),
    (
        "funnel by bands of money",
        r#"{"funnel":{STEPS,"breakdown":{"by":{"value":{"currency":"EUR","edges":["20","50"]}},"from":"last_defined"}}}"#,
    ),
    ("funnel by first touch", r#"{"funnel":{STEPS,"breakdown":{"by":{"first_touch":"channel"}}}}"#),
    ("funnel by profile", r#"{"funnel":{STEPS,"breakdown":{"by":{"profile":"country"}}}}"#),
    ("funnel comparing two channels", r#"{"funnel":{STEPS,"breakdown":{"by":"channel","compare":["web","email"]}}}"#),
    ("funnel where only later ones count", r#"{"funnel":{STEPS,"ties":"later_only"}}"#),
    (
        "funnel that leaves out customers",
        r#"{"funnel":{STEPS,"exclude":[{"when":{"touchpoint":"support"},"effect":"remove"}]}}"#,
    ),
    ("funnel with a least gap", r#"{"funnel":{STEPS,"gaps":[{"step":2,"min":"10m"}]}}"#),
    ("funnel of a range", r#"{"funnel":{STEPS},"scope":{"from":"2026-04-01T00:00:00Z","to":"2026-05-01T00:00:00Z"}}"#),
    ("funnel as of a moment", r#"{"funnel":{STEPS},"scope":{"as_of":"2026-06-30T00:00:00Z"}}"#),
    ("funnel of what was known", r#"{"funnel":{STEPS},"scope":{"known_at":MIDDLE}}"#),
    ("funnel of filtered events", r#"{"funnel":{STEPS},"scope":{"filter":{"channel":"web"}}}"#),
    ("funnel of some by profile", r#"{"funnel":{STEPS},"scope":{"segment":{"did":{"profile":"country","eq":"DE"}}}}"#),
    (
        "funnel with conditions on the profile",
        r#"{"funnel":{"steps":[{"touchpoint":"product_view","profile":"country","eq":"DE"},{"touchpoint":"purchase"}],"window":"7d"}}"#,
    ),
    (
        "retention by exact weeks",
        r#"{"retention":{"start":{"touchpoint":"product_view"},"return":{"touchpoint":"purchase"},"period":"week","elapsed":"7d"}}"#,
    ),
    (
        "retention on or after",
        r#"{"retention":{"start":{"touchpoint":"product_view"},"return":{"touchpoint":"purchase"},"period":"week","criterion":"on_or_after"}}"#,
    ),
    (
        "retention in brackets, first ever",
        r#"{"retention":{"start":{"touchpoint":"product_view"},"return":{"touchpoint":"purchase"},"period":"day","criterion":{"bracket":[1,3,7,14]},"cohorts":"first_ever"}}"#,
    ),
    ("sessions by week", r#"{"sessions":{"every":"week"}}"#),
    ("paths of stages", r#"{"paths":{"of":"stage","repeats":"collapsed"}}"#),
    (
        "paths of groups",
        r#"{"paths":{"of":{"groups":[{"label":"look","when":{"touchpoint":"product_view"}},{"label":"buy","when":{"any":[{"touchpoint":"checkout"},{"touchpoint":"purchase"}]}}]},"gap":"30m"}}"#,
    ),
    ("paths backward from a purchase", r#"{"paths":{"end":{"touchpoint":"purchase"}}}"#),
];

fn options(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, events: usize) {
    for (name, question) in OPTIONS {
        let text = question.replace("STEPS", STEPS).replace("MIDDLE", &(events / 2).to_string());
        let questions = Question::read(&text).unwrap();
        group.bench_function(BenchmarkId::new(name, events), |b| {
            b.iter(|| black_box(store.query().ask(&questions).unwrap()));
        });
    }
}

fn questions(c: &mut Criterion) {
    let mut group = c.benchmark_group("questions");
    group.sample_size(10);
    for events in [10_000, 200_000] {
        let (_dir, store) = filled(events);
        group.throughput(Throughput::Elements(events as u64));
        let steps = ["product_view", "add_to_cart", "checkout", "purchase"];
        let funnel = Funnel::ordered(steps).within(TimeDelta::days(7)).build().unwrap();
        let moves = Transitions::of(JourneyModel::standard());
        let stages = StageCounts::of(JourneyModel::standard());
        let id = |name| BenchmarkId::new(name, events);
        group.bench_function(id("funnel"), |b| b.iter(|| black_box(store.query().run(&funnel).unwrap())));
        let value = Funnel::ordered(steps).within(TimeDelta::days(7)).value().build().unwrap();
        group.bench_function(id("funnel with money"), |b| b.iter(|| black_box(store.query().run(&value).unwrap())));
        let near = Funnel::mixpanel(steps).build().unwrap();
        group
            .bench_function(id("funnel with a tolerance"), |b| b.iter(|| black_box(store.query().run(&near).unwrap())));
        let support = Condition::touchpoint("support").unwrap();
        let ordered = || Funnel::ordered(steps).within(TimeDelta::days(7));
        for (name, funnel) in [
            ("funnel by channel", ordered().breakdown(Breakdown::channel())),
            ("funnel by week", ordered().trend(Period::WEEK)),
            ("funnel with an optional step", ordered().optional(3)),
            ("funnel in any order", Funnel::any_order(steps).within(TimeDelta::days(7))),
            ("strict funnel", Funnel::strict(steps).within(TimeDelta::days(7))),
            ("funnel with an exclusion", ordered().exclude(support)),
            ("funnel with a gap", ordered().step_within(3, TimeDelta::hours(1))),
            ("funnel of one campaign", ordered().hold_constant(["campaign"])),
            ("funnel of attempts", ordered().count(Count::Attempts)),
            ("funnel with its customers", ordered().list_customers()),
        ] {
            let funnel = funnel.build().unwrap();
            group.bench_function(id(name), |b| b.iter(|| black_box(store.query().run(&funnel).unwrap())));
        }
        options(&mut group, &store, events);
        group.bench_function(id("transitions"), |b| b.iter(|| black_box(store.query().run(&moves).unwrap())));
        group.bench_function(id("stages"), |b| b.iter(|| black_box(store.query().run(&stages).unwrap())));
        let retention = CohortRetention::of("product_view", "purchase", Period::WEEK).periods(12);
        let retention = retention.value().build().unwrap();
        let lifecycle = Lifecycle::of("product_view", Period::WEEK).unwrap();
        let stickiness = Stickiness::of("product_view", Period::DAY, 28).unwrap();
        group.bench_function(id("retention"), |b| b.iter(|| black_box(store.query().run(&retention).unwrap())));
        group.bench_function(id("lifecycle"), |b| b.iter(|| black_box(store.query().run(&lifecycle).unwrap())));
        group.bench_function(id("stickiness"), |b| b.iter(|| black_box(store.query().run(&stickiness).unwrap())));
        let dwell = Dwell::of(JourneyModel::standard());
        group.bench_function(id("dwell"), |b| b.iter(|| black_box(store.query().run(&dwell).unwrap())));
        let value = LifetimeValue::of("purchase").value_in("EUR").horizon(TimeDelta::days(364)).build().unwrap();
        group.bench_function(id("lifetime value"), |b| b.iter(|| black_box(store.query().run(&value).unwrap())));
        let sessions = Sessions::default();
        group.bench_function(id("sessions"), |b| b.iter(|| black_box(store.query().run(&sessions).unwrap())));
        let paths = Paths::of_touchpoints().starting_at("home").by_session(TimeDelta::minutes(30));
        let paths = paths.collapse_repeats().build().unwrap();
        group.bench_function(id("paths"), |b| b.iter(|| black_box(store.query().run(&paths).unwrap())));
        let pattern = Pattern::starting_with("product_view").at_least(2).step_within(TimeDelta::hours(1));
        let pattern = pattern.then("add_to_cart").then("purchase").not_between("support").within(TimeDelta::days(7));
        let pattern = PatternMatches::of(pattern.build().unwrap());
        group.bench_function(id("pattern"), |b| b.iter(|| black_box(store.query().run(&pattern).unwrap())));
        let conformance = Conformance::of(JourneyModel::standard()).build().unwrap();
        let chain = Pattern::starting_with("product_view").then("add_to_cart").then("purchase").build().unwrap();
        let chain = PatternConformance::to(chain).unwrap();
        group.bench_function(id("pattern_conformance"), |b| b.iter(|| black_box(store.query().run(&chain).unwrap())));
        group.bench_function(id("conformance"), |b| b.iter(|| black_box(store.query().run(&conformance).unwrap())));
        let visits = ["ad_click", "email_open", "home"].map(|name| Condition::touchpoint(name).unwrap());
        let attribution = Attribution::of("purchase", Condition::Any(visits.into())).within(TimeDelta::days(30));
        let attribution = attribution.build().unwrap();
        group.bench_function(id("attribution"), |b| b.iter(|| black_box(store.query().run(&attribution).unwrap())));
        let campaigns = Attribution::of("purchase", Condition::All(Vec::new())).markov_order(3);
        let campaigns = campaigns.by(AttributionBy::Property("campaign".to_owned())).build().unwrap();
        group.bench_function(id("attribution to campaigns, order 3"), |b| {
            b.iter(|| black_box(store.query().run(&campaigns).unwrap()));
        });
        let experience = Experience::builder().by(EventBy::Stage).every(Period::MONTH).build().unwrap();
        group.bench_function(id("experience"), |b| b.iter(|| black_box(store.query().run(&experience).unwrap())));
        let rate = ConversionRate::abandonment("add_to_cart", "purchase").within(TimeDelta::days(3)).build().unwrap();
        group.bench_function(id("conversion rate"), |b| b.iter(|| black_box(store.query().run(&rate).unwrap())));
        let drivers = Drivers::of_conversion("purchase").build().unwrap();
        group.bench_function(id("drivers"), |b| b.iter(|| black_box(store.query().run(&drivers).unwrap())));
        let consistency = Consistency::of(Survey::Nps).latest().build().unwrap();
        group.bench_function(id("consistency"), |b| b.iter(|| black_box(store.query().run(&consistency).unwrap())));
        let rate = ChurnRate::every(Period::MONTH).inactive_after(2).by(ChurnBy::Stage).build().unwrap();
        group.bench_function(id("churn rate"), |b| b.iter(|| black_box(store.query().run(&rate).unwrap())));
        let purchases = Purchases::of("purchase").value_in("EUR").build().unwrap();
        group.bench_function(id("purchases"), |b| b.iter(|| black_box(store.query().run(&purchases).unwrap())));
        let abandoned = Segment::did("add_to_cart").then_not("purchase").within(TimeDelta::days(3)).build().unwrap();
        let members = Members::of(&abandoned);
        group.bench_function(id("segment"), |b| b.iter(|| black_box(store.query().run(&members).unwrap())));
        group.bench_function(id("funnel of a segment"), |b| {
            b.iter(|| black_box(store.query().segment(&abandoned).run(&funnel).unwrap()));
        });
        let buyers = Segment::did("purchase").at_least(2).build().unwrap();
        let segments = Segments::new().add("abandoned", &abandoned).add("buyers", &buyers).others("others");
        let by_segment = BySegment::new(&funnel, segments).unwrap();
        group
            .bench_function(id("funnel by segment"), |b| b.iter(|| black_box(store.query().run(&by_segment).unwrap())));
        group.bench_function(id("all three in one scan"), |b| {
            b.iter(|| black_box(store.query().run((&funnel, &moves, &stages)).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
