//! What tests of failures append and are promised, and whether a store keeps it.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, TimeDelta};

use super::Store;
use crate::model::Event;

/// What was tried and promised so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Promised {
    /// How many events must be there: batches are appended in their order.
    pub(super) events: usize,
    /// Customers whose erasure was tried, and of whom it was promised.
    pub(super) erasing: BTreeSet<String>,
    pub(super) erased: BTreeSet<String>,
    /// Whether the index is being thrown away on purpose.
    pub(super) rebuilds: bool,
}

pub(super) fn customer(i: usize) -> String {
    format!("c{}", i % 7)
}

pub(super) fn event(i: usize) -> Event {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(i).unwrap() * 7_919 % 1_000);
    let event = Event::at(at, customer(i), ["view", "pay"][usize::from(i % 3 == 2)]);
    event.id(format!("e{i}")).property(format!("p{}", i / 9), i64::try_from(i).unwrap()).build().unwrap()
}

/// Batches of one to four events, by the first of each.
pub(super) fn batches() -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..).scan(0, |next, number| {
        let first = std::mem::replace(next, *next + [1, 3, 1, 4][number % 4]);
        Some(first..*next)
    })
}

/// A folder in memory, if the system has one: here nothing needs a sync to be more than written down.
pub(super) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Promised {
    /// Compares a store that was opened again with this, and says up to which event it goes.
    pub(super) fn compare(&self, store: &Store) -> Result<usize, String> {
        let report = store.open_report();
        if let Some(reason) = report.rebuilt.as_ref().filter(|_| !self.rebuilds) {
            return Err(format!("the index was damaged: {reason}"));
        }
        let mut there = BTreeSet::new();
        for id in (0..7).map(customer) {
            let Some(found) = store.customer(&id).unwrap() else { continue };
            if self.erased.contains(&id) {
                return Err(format!("{id} is back"));
            }
            let events = found.events().map_err(|error| format!("events of {id}: {error}"))?;
            if events.len() != found.journey().len() {
                return Err(format!(
                    "the index has {} events of {id}, the log {}",
                    found.journey().len(),
                    events.len()
                ));
            }
            for logged in events {
                let i: usize = logged.event.id().unwrap().as_str()[1..].parse().unwrap();
                if logged.event != event(i) || !there.insert(i) {
                    return Err(format!("event {i} is another, or there twice"));
                }
            }
        }
        if store.len() != there.len() as u64 {
            return Err(format!("{} events are counted, {} are there", store.len(), there.len()));
        }
        let held = there.last().map_or(0, |last| last + 1);
        if held < self.events && (held..self.events).any(|i| !self.erasing.contains(&customer(i))) {
            return Err(format!("{held} of {} events are there", self.events));
        }
        for batch in batches().take_while(|batch| batch.start < held) {
            let mut kept = batch.clone().filter(|i| !self.erasing.contains(&customer(*i)));
            if !kept.all(|i| there.contains(&i)) {
                return Err(format!("the batch {batch:?} is not whole"));
            }
        }
        // The ids are known, erased customers stay away, and it goes on.
        let known: Vec<usize> = there.iter().copied().collect();
        let again = store.append_batch(known.iter().map(|i| event(*i))).map_err(|error| error.to_string())?;
        if again.stored() > 0 {
            return Err(format!("{} events were stored twice", again.stored()));
        }
        Ok(held)
    }
}
