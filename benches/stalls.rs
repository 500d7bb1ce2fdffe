//! How long appends take while the background thread seals and merges.
//!
//! `cargo bench --bench stalls` times 2,000 synced batches and as many single events as they hold, `-- 5000` as many batches
//! as it says, and `-- --test` a few, to see only that it runs.

use std::{
    env,
    error::Error,
    thread,
    time::{Duration, Instant},
};

use chrono::DateTime;
use fastrand::Rng;
use journeylog::{Cell, Durability, Event, Store, StoreOptions, StoreStats, Table};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BATCHES: usize = 2_000;
const BATCHES_OF_A_TEST: usize = 20;
const BATCH: usize = 100;
/// A batch of those that are loaded before.
const LARGE_BATCH: usize = 10_000;
/// An append that takes longer is counted.
const STALL: Duration = Duration::from_millis(50);

/// By default so many fresh events are sealed, and so many segments of that size are merged.
const SEAL: usize = 256 * 1024;
const MERGE: usize = 8;
/// If so many events bring no segments, something else is wrong.
const MOST_LOADED: usize = 4 * MERGE * SEAL;

const START: i64 = 1_767_225_600_000_000;
const CUSTOMERS: usize = 100_000;
const TOUCHPOINTS: [&str; 6] = ["home", "product_view", "add_to_cart", "checkout", "purchase", "support"];

/// Events without an end, a second apart.
struct Events {
    rng: Rng,
    made: usize,
}

impl Events {
    fn take(&mut self, count: usize) -> Result<Vec<Event>> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Result<Event> {
        self.made += 1;
        let seconds = i64::try_from(self.made)?;
        let time = DateTime::from_timestamp_micros(START + seconds * 1_000_000).ok_or("too late for chrono")?;
        let customer = format!("c-{:07}", self.rng.usize(..CUSTOMERS));
        let touchpoint = self.rng.choice(TOUCHPOINTS).unwrap_or_default();
        Ok(Event::at(time, customer, touchpoint).id(format!("e-{}", self.made)).build()?)
    }
}

/// Loads until a seal is due after that many events more, and a merge of all segments after the seal.
fn load(store: &Store, events: &mut Events, before_seal: usize) -> Result<()> {
    loop {
        let stats = store.stats()?;
        let fresh = usize::try_from(stats.fresh_events)?;
        let room = (SEAL - 1).saturating_sub(fresh);
        if fresh >= SEAL {
            // Seals that wait for one another would become one large segment.
            thread::sleep(Duration::from_millis(1));
        } else if stats.segments + 1 < MERGE {
            store.append_batch(events.take(LARGE_BATCH)?)?;
        } else if room > before_seal {
            store.append_batch(events.take(LARGE_BATCH.min(room - before_seal))?)?;
        } else {
            return Ok(());
        }
        if events.made > MOST_LOADED {
            return Err(format!("no seal is due after {} events: {stats:?}", events.made).into());
        }
    }
}

/// What a way of appending took.
struct Timed {
    /// Each append, the slowest last.
    times: Vec<Duration>,
    slowest_at: usize,
    before: StoreStats,
    after: StoreStats,
}

/// Appends so many events in batches of a size, and times each append.
fn time_appends(durability: Durability, appends: usize, size: usize, is_test: bool) -> Result<Timed> {
    let dir = tempfile::tempdir()?;
    let store = StoreOptions::new().durability(durability).open(dir.path())?;
    let mut events = Events { rng: Rng::with_seed(11), made: 0 };
    if !is_test {
        // The seal comes after a quarter of the appends, so that the merge has the remainder to disturb.
        load(&store, &mut events, (appends * size / 4).min(SEAL / 2))?;
    }
    let batches = (0..appends).map(|_| events.take(size)).collect::<Result<Vec<_>>>()?;
    let before = store.stats()?;
    let mut times = Vec::with_capacity(appends);
    for batch in batches {
        let start = Instant::now();
        store.append_batch(batch)?;
        times.push(start.elapsed());
    }
    let after = store.stats()?;
    assert_eq!(after.events, events.made as u64, "events that were appended");
    store.close()?;
    let slowest_at = times.iter().enumerate().max_by_key(|(_, time)| **time).map_or(0, |(place, _)| place);
    times.sort_unstable();
    Ok(Timed { times, slowest_at, before, after })
}

impl Timed {
    /// The time that this share of the appends, in thousandths, did not go over.
    fn at(&self, thousandths: usize) -> String {
        let place = self.times.len().saturating_sub(1) * thousandths / 1_000;
        let time = self.times.get(place).copied().unwrap_or_default();
        format!("{:>9.3}", time.as_secs_f64() * 1e3)
    }

    fn row(&self, name: &str) -> Vec<Cell> {
        let text = |text: String| Cell::Text(text);
        let state = |stats: &StoreStats| text(format!("{}, {} fresh", stats.segments, stats.fresh_events));
        let over = self.times.iter().filter(|time| **time > STALL).count();
        let mut row = vec![text(name.to_owned()), Cell::Count(self.times.len() as u64)];
        row.extend([500, 990, 999, 1_000].map(|share| text(self.at(share))));
        row.extend([Cell::Count(self.slowest_at as u64), Cell::Count(over as u64)]);
        row.extend([state(&self.before), state(&self.after)]);
        row
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let number = arguments.iter().find(|argument| !argument.starts_with("--"));
    let batches = match number {
        _ if is_test => BATCHES_OF_A_TEST,
        Some(number) => number.parse()?,
        None => BATCHES,
    };
    let heads =
        ["appends", "count", "median", "p99", "p99.9", "max", "place of max", "over 50 ms", "segments before", "after"];
    let mut table = Table::new("Appends while segments are sealed and merged, in ms", heads);
    table.push(time_appends(Durability::Synced, batches, BATCH, is_test)?.row("batches of 100, synced"));
    table.push(time_appends(Durability::Buffered, batches * BATCH, 1, is_test)?.row("single events, buffered"));
    println!("{table}");
    Ok(())
}
