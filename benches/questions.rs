//! Questions over a store, by size: events per second.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench stops at once")]

use std::hint::black_box;

use chrono::TimeDelta;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journeylog::{
    Attribution, AttributionBy, Breakdown, BySegment, ChurnBy, ChurnRate, CohortRetention, Condition, Conformance,
    Consistency, ConversionRate, Count, Drivers, Durability, Dwell, EventBy, Experience, Funnel, JourneyModel,
    Lifecycle, LifetimeValue, Members, Paths, Pattern, PatternConformance, PatternMatches, Period, Purchases, Segment,
    Segments, Sessions, StageCounts, Stickiness, Store, StoreOptions, Survey, Transitions, testing::World,
};

fn filled(events: usize) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path()).unwrap();
    for batch in World::shop(42, events / 20, events).chunks(10_000) {
        assert_eq!(store.append_batch(batch.to_vec()).unwrap().duplicates().len(), 0);
    }
    (dir, store)
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
