//! The world that all engines get: seeded, the same for the same size, and written without ever being in memory.
//!
//! It is one flat file of 15-byte records, little-endian and packed, which numpy reads as it is and which is also
//! `ClickHouse`'s `RowBinary`: customer u32, time i64 (milliseconds since 1970), touchpoint u8, channel u8, plan u8. The
//! last three are places in the lists below; a small JSON file beside it names them.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use fastrand::Rng;
use serde_json::json;

/// Each with its weight.
const TOUCHPOINTS: [(&str, u32); 12] = [
    ("ad_click", 8),
    ("email_open", 10),
    ("home", 14),
    ("search", 12),
    ("product_view", 26),
    ("add_to_cart", 9),
    ("checkout", 5),
    ("purchase", 4),
    ("support", 3),
    ("review", 2),
    ("renewal", 2),
    ("store_visit", 5),
];
const CHANNELS: [(&str, u32); 5] = [("web", 45), ("mobile_app", 30), ("email", 10), ("in_store", 8), ("search", 7)];
const PLANS: [(&str, u32); 4] = [("free", 50), ("basic", 25), ("pro", 18), ("team", 7)];

const SEED: u64 = 2026;
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;
const DAYS: u64 = 90;
const DAY: u64 = 86_400_000;
/// A customer for so many events.
const EVENTS_PER_CUSTOMER: u64 = 20;
/// Of a hundred events so many arrive late.
const LATE_PERCENT: u32 = 2;
/// Of a hundred events so many bear a plan that is not their customer's usual one.
const OTHER_PLAN_PERCENT: u32 = 10;

const RECORD: usize = 15;

/// One event of the world, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// First, so that rows are ordered by time.
    pub(crate) time: i64,
    pub(crate) customer: u32,
    pub(crate) touchpoint: u8,
    pub(crate) channel: u8,
    pub(crate) plan: u8,
}

impl Row {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&self.customer.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.time.to_le_bytes());
        bytes[12..].copy_from_slice(&[self.touchpoint, self.channel, self.plan]);
        bytes
    }

    fn from_bytes(bytes: [u8; RECORD]) -> Self {
        let [c0, c1, c2, c3, t0, t1, t2, t3, t4, t5, t6, t7, touchpoint, channel, plan] = bytes;
        Self {
            customer: u32::from_le_bytes([c0, c1, c2, c3]),
            time: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            touchpoint,
            channel,
            plan,
        }
    }

    pub(crate) fn touchpoint(self) -> &'static str {
        TOUCHPOINTS[usize::from(self.touchpoint)].0
    }

    pub(crate) fn channel(self) -> &'static str {
        CHANNELS[usize::from(self.channel)].0
    }

    pub(crate) fn plan(self) -> &'static str {
        PLANS[usize::from(self.plan)].0
    }
}

/// A customer's id, as an application would have it. `py/engine.py` makes the same.
pub(crate) fn id(customer: u32) -> String {
    format!("c-{customer:07}")
}

/// The names of the touchpoints, in the order of their codes.
pub(crate) fn touchpoints() -> impl Iterator<Item = &'static str> {
    TOUCHPOINTS.iter().map(|(name, _)| *name)
}

/// The names of the channels, in the order of their codes.
pub(crate) fn channels() -> impl Iterator<Item = &'static str> {
    CHANNELS.iter().map(|(name, _)| *name)
}

/// The names of the plans, in the order of their codes.
pub(crate) fn plans() -> impl Iterator<Item = &'static str> {
    PLANS.iter().map(|(name, _)| *name)
}

/// The events in the order of their arrival.
struct World {
    rng: Rng,
    events: u64,
    customers: u64,
    /// Each event has a stretch of time of its own, so that no two share an instant and no engine's rule for ties can
    /// show.
    step: u64,
    made: u64,
    /// Events on their way: after which event they arrive, and themselves. Bounded by the events of a day.
    late: BinaryHeap<Reverse<(u64, Row)>>,
    waiting: Option<Row>,
}

impl World {
    fn new(events: u64) -> Self {
        Self {
            rng: Rng::with_seed(SEED),
            events,
            customers: (events / EVENTS_PER_CUSTOMER).max(1),
            step: (DAYS * DAY / events).max(1),
            made: 0,
            late: BinaryHeap::new(),
            waiting: None,
        }
    }

    fn make(&mut self) -> Row {
        let rng = &mut self.rng;
        let u = rng.f64();
        // u to the power of 2.5, by operations that are exact to the last bit on every machine: a few customers have
        // very many events.
        let customer = (self.customers as f64 * (u * u * u.sqrt())) as u64;
        let customer = customer.min(self.customers - 1) as u32;
        let time = START + (self.made * self.step + rng.u64(0..self.step)) as i64;
        let touchpoint = weighted(rng.u32(0..100), &TOUCHPOINTS);
        let channel = weighted(rng.u32(0..100), &CHANNELS);
        let usual = Rng::with_seed(u64::from(customer)).u32(0..100);
        let plan = if rng.u32(0..100) < OTHER_PLAN_PERCENT { rng.u32(0..100) } else { usual };
        self.made += 1;
        Row { time, customer, touchpoint, channel, plan: weighted(plan, &PLANS) }
    }
}

/// The place in a list of weights that sum to 100.
fn weighted(mut percent: u32, list: &[(&str, u32)]) -> u8 {
    for (place, (_, weight)) in list.iter().enumerate() {
        match percent.checked_sub(*weight) {
            Some(rest) => percent = rest,
            None => return place as u8,
        }
    }
    unreachable!("the weights sum to 100")
}

impl Iterator for World {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let ended = self.made == self.events && self.waiting.is_none();
            if self.late.peek().is_some_and(|Reverse((after, _))| ended || *after < self.made) {
                return self.late.pop().map(|Reverse((_, row))| row);
            }
            if let Some(row) = self.waiting.take() {
                return Some(row);
            }
            if self.made == self.events {
                return None;
            }
            let row = self.make();
            if self.rng.u32(0..100) < LATE_PERCENT {
                let delay = self.rng.u64(1..=(DAY / self.step).max(1));
                self.late.push(Reverse((self.made + delay, row)));
            } else {
                self.waiting = Some(row);
            }
        }
    }
}

/// Writes a world, and a JSON file of the same name that says what its numbers mean.
pub(crate) fn write(events: u64, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let world = World::new(events);
    let about = json!({
        "events": events,
        "customers": world.customers,
        "touchpoints": touchpoints().collect::<Vec<_>>(),
        "channels": channels().collect::<Vec<_>>(),
        "plans": plans().collect::<Vec<_>>(),
    });
    for row in world {
        file.write_all(&row.to_bytes())?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::write(path.with_extension("json"), about.to_string())
}

/// Reads a world, row by row.
pub(crate) fn read(path: &Path) -> io::Result<impl Iterator<Item = Row> + use<>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut bytes = [0; RECORD];
        file.read_exact(&mut bytes).ok().map(|()| Row::from_bytes(bytes))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_whole_and_has_no_ties_and_some_events_are_late() {
        let rows: Vec<Row> = World::new(20_000).collect();
        assert_eq!(rows.len(), 20_000);
        let mut times: Vec<i64> = rows.iter().map(|row| row.time).collect();
        let late = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((200..600).contains(&late), "{late} late");
        times.sort_unstable();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let latest = rows.iter().scan(0, |max, row| {
            *max = row.time.max(*max);
            Some(*max - row.time)
        });
        assert!(latest.max() <= Some(DAY as i64 + 2 * (DAYS * DAY / 20_000) as i64));
        assert_eq!(rows, World::new(20_000).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_are_the_row_again() {
        for row in World::new(1_000) {
            assert_eq!(Row::from_bytes(row.to_bytes()), row);
        }
    }
}
