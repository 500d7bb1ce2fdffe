//! What a store does besides appending and asking: settling (sealing and merging), opening, and looking one customer up.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench stops at once")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journeylog::{Durability, JourneyModel, Store, StoreOptions, testing::World};

const SIZES: [usize; 2] = [20_000, 200_000];

/// A store whose events lie in many small files.
fn unsettled(events: usize) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::new().durability(Durability::Flushed).fresh_events(events / 8);
    let store = options.open(dir.path()).unwrap();
    for batch in World::shop(42, events / 20, events).chunks(1_000) {
        assert_eq!(store.append_batch(batch.to_vec()).unwrap().duplicates().len(), 0);
    }
    (dir, store)
}

fn settle(c: &mut Criterion) {
    let mut group = c.benchmark_group("settle");
    group.sample_size(10);
    for events in SIZES {
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(BenchmarkId::new("seal and merge", events), |b| {
            let settled = |(dir, store): (_, Store)| {
                store.settle().unwrap();
                assert_eq!(store.stats().unwrap().segments, 1);
                (dir, store)
            };
            b.iter_batched(|| unsettled(events), settled, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    for events in SIZES {
        let (dir, store) = unsettled(events);
        store.settle().unwrap();
        store.close().unwrap();
        group.bench_function(BenchmarkId::new("settled", events), |b| {
            b.iter(|| Store::open(dir.path()).unwrap().close().unwrap());
        });
    }
    group.finish();
}

fn customer(c: &mut Criterion) {
    let mut group = c.benchmark_group("one customer");
    for events in SIZES {
        let (_dir, store) = unsettled(events);
        store.settle().unwrap();
        let model = JourneyModel::standard();
        let mut next = 0;
        group.bench_function(BenchmarkId::new("journey and stage by id", events), |b| {
            b.iter(|| {
                next = (next + 7) % (events / 20);
                let found = store.customer(&format!("c-{next:07}")).unwrap();
                black_box(found.map(|customer| (customer.journey().len(), customer.stage(&model).unwrap())))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, settle, open, customer);
criterion_main!(benches);
