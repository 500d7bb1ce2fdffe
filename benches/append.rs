//! Appending, one by one, in batches and by many threads, by durability: events per second.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a bench stops at once")]

use std::thread;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journeylog::{Durability, Event, EventBuilder, StoreOptions, testing::World};

const THREADS: usize = 8;
/// Appends of each thread.
const EACH: usize = 32;

/// The same events again and again, each time with ids of their own: an id the log has would make its event a
/// duplicate, and a refusal would be measured instead of an append.
struct Events {
    shop: Vec<Event>,
    next: usize,
}

impl Events {
    fn take(&mut self, count: usize) -> Vec<Event> {
        let first = self.next;
        self.next += count;
        (first..self.next).map(|i| with_id(&self.shop[i % self.shop.len()], i)).collect()
    }
}

fn with_id(event: &Event, id: usize) -> Event {
    EventBuilder::from(event.clone()).id(format!("n-{id}")).build().unwrap()
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10);
    for durability in [Durability::Buffered, Durability::Flushed, Durability::Synced] {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().durability(durability).open(dir.path()).unwrap();
        let mut events = Events { shop: World::shop(7, 1_000, 100_000), next: 0 };
        for size in [1, 1_000] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(format!("{durability:?}"), size), |b| {
                let append = |events| {
                    let stored = store.append_batch(events).unwrap().stored();
                    assert_eq!(stored, size as u64, "a duplicate is no append");
                };
                b.iter_batched(|| events.take(size), append, BatchSize::SmallInput);
            });
        }
        group.throughput(Throughput::Elements(THREADS as u64 * EACH as u64));
        group.bench_function(
            BenchmarkId::new(format!("{durability:?}, one by one"), format!("{THREADS} threads")),
            |b| {
                let lists =
                    |events: &mut Events| -> Vec<Vec<Event>> { (0..THREADS).map(|_| events.take(EACH)).collect() };
                let append = |lists: Vec<Vec<Event>>| {
                    thread::scope(|scope| {
                        for list in lists {
                            scope.spawn(|| list.into_iter().for_each(|event| drop(store.append(event).unwrap())));
                        }
                    });
                };
                b.iter_batched(|| lists(&mut events), append, BatchSize::PerIteration);
            },
        );
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
