//! A funnel where ids are linked, and one that asks for profiles, against the same of events alone: events per second.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench stops at once")]

use std::{collections::BTreeSet, hint::black_box};

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journeylog::{
    Comparison, Condition, CustomerId, Durability, Entry, Event, Funnel, FunnelBuilder, Link, ProfileUpdate, Store,
    StoreOptions, testing::World,
};

const EVENTS: usize = 200_000;

/// A store of events and others, settled.
fn filled(events: &[Event], others: &[Entry]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path()).unwrap();
    for batch in events.chunks(10_000) {
        store.append_batch(batch.to_vec()).unwrap();
    }
    others.chunks(10_000).for_each(|batch| drop(store.append_batch(batch.to_vec()).unwrap()));
    store.settle().unwrap();
    (dir, store)
}

fn funnel() -> FunnelBuilder {
    Funnel::ordered(["product_view", "add_to_cart", "checkout", "purchase"]).within(TimeDelta::days(7))
}

fn identity(c: &mut Criterion) {
    let mut group = c.benchmark_group("identity");
    group.sample_size(10);
    group.throughput(Throughput::Elements(EVENTS as u64));
    let events = World::shop(42, EVENTS / 20, EVENTS);
    let ids: BTreeSet<CustomerId> = events.iter().map(|event| event.customer().clone()).collect();
    let ids: Vec<CustomerId> = ids.into_iter().collect();
    let at: DateTime<Utc> = events.iter().map(Event::occurred_at).min().unwrap();
    let link = |pair: &[CustomerId; 2]| Link::at(at, &pair[0], &pair[1]).unwrap().into();
    let plain = funnel().build().unwrap();
    for (what, every) in [("no link", 0), ("one id of ten", 5), ("every second id", 1)] {
        let pairs = ids.as_chunks::<2>().0.iter().enumerate().filter(|(place, _)| every > 0 && place % every == 0);
        let (_dir, store) = filled(&events, &pairs.map(|(_, pair)| link(pair)).collect::<Vec<_>>());
        let id = BenchmarkId::new("funnel, linked", what);
        group.bench_function(id, |b| b.iter(|| black_box(store.query().run(&plain).unwrap())));
    }
    let country = |id: &CustomerId| ProfileUpdate::at(at, id).set("country", "DE").build().unwrap().into();
    let (_dir, store) = filled(&events, &ids.iter().map(country).collect::<Vec<_>>());
    let there = Condition::profile("country", Comparison::Eq("DE".into()));
    let first = Condition::touchpoint("product_view").unwrap().and(there);
    let steps =
        [first, "add_to_cart".try_into().unwrap(), "checkout".try_into().unwrap(), "purchase".try_into().unwrap()];
    let asking = Funnel::ordered(steps).within(TimeDelta::days(7)).build().unwrap();
    for (what, funnel) in [("not asked for", &plain), ("asked for", &asking)] {
        let id = BenchmarkId::new("funnel, profiles", what);
        group.bench_function(id, |b| b.iter(|| black_box(store.query().run(funnel).unwrap())));
    }
    group.finish();
}

criterion_group!(benches, identity);
criterion_main!(benches);
