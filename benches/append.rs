//! Appending, one by one and in batches, by durability: events per second.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench stops at once")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journeylog::{Durability, StoreOptions, testing::World};

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10);
    for durability in [Durability::Buffered, Durability::Flushed, Durability::Synced] {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().durability(durability).open(dir.path()).unwrap();
        let mut events = World::shop(7, 1_000, 100_000).into_iter().cycle();
        for size in [1, 1_000] {
            group.throughput(Throughput::Elements(size));
            group.bench_function(BenchmarkId::new(format!("{durability:?}"), size), |b| {
                b.iter(|| store.append_batch(events.by_ref().take(usize::try_from(size).unwrap())).unwrap().stored());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
