//! Who was erased: fingerprints that tell a customer again who is named, and do not name anybody.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher24;

use super::engine::{Change, Engine};
use crate::{
    codec::{frame, unframe, version_of},
    error::{Error, Result},
    journey::{CustomerNo, NameKind, Tables},
    model::Micros,
};

/// The first byte of an erasure's key; the fingerprint follows.
const ERASURE: u8 = b'e';
pub(super) const KIND: [u8; 4] = *b"JLER";
/// Before version 2 the fingerprint stood in the key alone.
const VERSION: u32 = 2;
const WHAT: &str = "the list of erasures";
/// Where the key of the fingerprints stands.
const SECRET: [u8; 1] = [b's'];
pub(super) const SECRET_KIND: [u8; 4] = *b"JLSK";
const SECRET_VERSION: u32 = 1;

/// A customer who was erased: what was, and when. It does not say who.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// A number made of the customer's id with a key of the store's own. The same customer erased again has the same.
    pub fingerprint: u128,
    /// How many ids were erased: those that were linked go with the one asked for, each with an erasure of its own. One, but for
    /// what [`erase`](crate::Store::erase) itself hands out.
    pub ids: usize,
    /// How many events were erased, and links and profiles. What [`erase`](crate::Store::erase) hands out counts those of all ids.
    pub events: u64,
    /// When they were gone from all answers.
    pub erased_at: DateTime<Utc>,
    /// When the log was written without them; what it stood in before was removed then, or is at the next open. `None` as long as the store was not [compacted](crate::Store::compact) since.
    pub compacted_at: Option<DateTime<Utc>>,
    /// When the customer was [let back in](crate::Store::readmit), if so.
    pub readmitted_at: Option<DateTime<Utc>>,
}

/// The same as it stands in the log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Record {
    events: u64,
    /// Events of these that may still be on the disk.
    pending: u64,
    erased_at: Micros,
    compacted_at: Option<Micros>,
    readmitted_at: Option<Micros>,
}

impl Record {
    /// Reads one, and its fingerprint if that stands in it.
    fn read(bytes: &[u8]) -> Result<(Option<u128>, Self)> {
        let payload = unframe(WHAT, KIND, VERSION, bytes)?;
        let read = match version_of(bytes) {
            Some(1) => postcard::from_bytes(payload).map(|record| (None, record)),
            _ => postcard::from_bytes(payload).map(|(fingerprint, record)| (Some(fingerprint), record)),
        };
        read.map_err(|error| Error::damaged(WHAT, error.to_string()))
    }

    fn last_change(&self) -> Micros {
        self.erased_at.max(self.compacted_at.unwrap_or(Micros::MIN)).max(self.readmitted_at.unwrap_or(Micros::MIN))
    }
}

/// A key of 128 bits for fingerprints.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Secret(u64, u64);

/// All erasures of a store.
#[derive(Clone, Default)]
pub(super) struct Erasures {
    secret: Option<Secret>,
    records: HashMap<u128, Record>,
}

impl Secret {
    /// A new one, of the randomness that the system gives to each process.
    fn new() -> Self {
        Self(RandomState::new().hash_one(0), RandomState::new().hash_one(1))
    }

    fn put(self) -> Change {
        Change::Put(
            SECRET.to_vec(),
            frame(SECRET_KIND, SECRET_VERSION, &postcard::to_stdvec(&self).unwrap_or_default()),
        )
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let payload = unframe(WHAT, SECRET_KIND, SECRET_VERSION, bytes)?;
        postcard::from_bytes(payload).map_err(|error| Error::damaged(WHAT, error.to_string()))
    }

    fn fingerprint(self, customer: &str) -> u128 {
        SipHasher24::new_with_keys(self.0, self.1).hash(customer.as_bytes()).as_u128()
    }
}

fn key(fingerprint: u128) -> Vec<u8> {
    let mut key = vec![ERASURE];
    key.extend_from_slice(&fingerprint.to_be_bytes());
    key
}

fn put(fingerprint: u128, record: Record) -> Change {
    // The fingerprint stands in the value too, for whoever finds it without its key.
    let payload = postcard::to_stdvec(&(fingerprint, record)).unwrap_or_default();
    Change::Put(key(fingerprint), frame(KIND, VERSION, &payload))
}

impl Erasures {
    /// Reads them from the log's engine.
    pub(super) fn read(engine: &dyn Engine) -> Result<Self> {
        let mut all = Self::default();
        if let Some(bytes) = engine.get(&SECRET)? {
            all.secret = Some(Secret::read(&bytes)?);
        }
        for (key, bytes) in engine.range(&[ERASURE], &[ERASURE + 1], usize::MAX)? {
            let fingerprint = key.last_chunk::<16>().copied().map(u128::from_be_bytes);
            let fingerprint = fingerprint.filter(|_| key.len() == 17 && all.secret.is_some());
            let fingerprint = fingerprint.ok_or_else(|| Error::damaged(WHAT, "an entry has no fingerprint"))?;
            let (written, record) = Record::read(&bytes)?;
            if written.is_some_and(|written| written != fingerprint) {
                return Err(Error::damaged(WHAT, "an entry stands under the key of another"));
            }
            all.records.insert(fingerprint, record);
        }
        Ok(all)
    }

    /// Takes in a record that was found in a damaged file. Of several of one customer the newest counts.
    pub(super) fn take_found(&mut self, kind: [u8; 4], bytes: &[u8]) {
        match (kind, Record::read(bytes), Secret::read(bytes)) {
            (KIND, Ok((Some(fingerprint), record)), _) => self.take_newer(fingerprint, record),
            (SECRET_KIND, _, Ok(secret)) => self.secret = Some(secret),
            _ => {}
        }
    }

    /// Takes in what others know of the same store. Without the key of the fingerprints nobody is told again by them, and no
    /// store can be opened: then there are none.
    pub(super) fn take_all(&mut self, others: &Self) {
        self.secret = self.secret.or(others.secret);
        others.records.iter().for_each(|(fingerprint, record)| self.take_newer(*fingerprint, *record));
        if self.secret.is_none() {
            self.records.clear();
        }
    }

    fn take_newer(&mut self, fingerprint: u128, record: Record) {
        let known = self.records.entry(fingerprint).or_insert(record);
        if record.last_change() > known.last_change() {
            *known = record;
        }
    }

    /// Whether nobody was ever erased.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many customers were ever erased.
    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// Fails if some are missing of those that a witness saw.
    pub(super) fn check(&self, witnessed: u64) -> Result<()> {
        if self.len() >= witnessed {
            return Ok(());
        }
        let reason = format!("it has {} of {witnessed} that had been acknowledged", self.len());
        Err(Error::damaged("the list of erasures", reason))
    }

    /// Events that are erased and may still be on the disk.
    pub(super) fn pending_events(&self) -> u64 {
        self.records.values().fold(0, |sum, record| sum.saturating_add(record.pending))
    }

    /// Whether a customer is erased and not let back in.
    pub(super) fn contains(&self, customer: &str) -> bool {
        self.find(customer).is_some_and(|(_, record)| record.readmitted_at.is_none())
    }

    fn find(&self, customer: &str) -> Option<(u128, Record)> {
        if self.is_empty() {
            return None;
        }
        let fingerprint = self.secret?.fingerprint(customer);
        self.records.get(&fingerprint).map(|record| (fingerprint, *record))
    }

    /// Whether a customer is erased and may still be on the disk.
    pub(super) fn is_pending(&self, customer: &str) -> bool {
        self.pending_fingerprint(customer).is_some()
    }

    /// The fingerprint of a customer who is erased and may still be on the disk.
    pub(super) fn pending_fingerprint(&self, customer: &str) -> Option<u128> {
        self.find(customer).filter(|(_, record)| record.compacted_at.is_none()).map(|(fingerprint, _)| fingerprint)
    }

    /// How many customers are gone from the answers, and not yet from the disk.
    pub(super) fn pending(&self) -> usize {
        self.records.values().filter(|record| record.compacted_at.is_none()).count()
    }

    /// When the first of them was erased.
    pub(super) fn pending_since(&self) -> Option<Micros> {
        let pending = self.records.values().filter(|record| record.compacted_at.is_none());
        pending.map(|record| record.erased_at).min()
    }

    /// Notes the erasure of these ids, all of one customer, in the log's engine, power-safe and all at once; of each how many
    /// entries name it. What was erased of the same ids before is added. Says what became of the first, with the entries
    /// of all.
    pub(super) fn add(&mut self, engine: &dyn Engine, ids: &[(Arc<str>, u64)], now: Micros) -> Result<Erasure> {
        let mut changes = Vec::new();
        let secret = self.secret.unwrap_or_else(|| {
            let secret = Secret::new();
            changes.push(secret.put());
            secret
        });
        let added: Vec<(u128, Record)> = ids
            .iter()
            .map(|(id, events)| {
                let fingerprint = secret.fingerprint(id);
                (fingerprint, self.with(fingerprint, *events, now))
            })
            .collect();
        changes.extend(added.iter().map(|(fingerprint, record)| put(*fingerprint, *record)));
        engine.apply(changes)?;
        engine.sync()?;
        self.secret = Some(secret);
        let all = added.iter().fold(0_u64, |all, (_, record)| all.saturating_add(record.events));
        let first = added.first().map(|(fingerprint, record)| (*fingerprint, Record { events: all, ..*record }));
        self.records.extend(added);
        let (fingerprint, record) = first.ok_or_else(|| Error::damaged(WHAT, "nobody was to be erased"))?;
        Ok(Erasure { ids: ids.len(), ..erasure(fingerprint, record) })
    }

    /// What is noted of an id once so many entries more are erased.
    fn with(&self, fingerprint: u128, events: u64, now: Micros) -> Record {
        match self.records.get(&fingerprint).copied() {
            // Nothing new is to be gone.
            Some(before) if events == 0 => Record { readmitted_at: None, ..before },
            before => Record {
                events: events.saturating_add(before.map_or(0, |before| before.events)),
                pending: events.saturating_add(before.map_or(0, |before| before.pending)),
                erased_at: now,
                compacted_at: None,
                readmitted_at: None,
            },
        }
    }

    /// Lets a customer come back; false if they were not erased.
    pub(super) fn lift(&mut self, engine: &dyn Engine, customer: &str, now: Micros) -> Result<bool> {
        let Some((fingerprint, record)) = self.find(customer).filter(|(_, record)| record.readmitted_at.is_none())
        else {
            return Ok(false);
        };
        let record = Record { readmitted_at: Some(now), ..record };
        engine.apply(vec![put(fingerprint, record)])?;
        engine.sync()?;
        self.records.insert(fingerprint, record);
        Ok(true)
    }

    /// The same in a copy of the log that lacks so many events of each customer: all of those who were pending when it was
    /// begun, and some of those who were erased since.
    pub(super) fn compacted(
        &self,
        gone: &HashSet<u128>,
        lacks: &HashMap<u128, u64>,
        now: Micros,
    ) -> (Self, Vec<Change>) {
        let mut records = self.records.clone();
        for (fingerprint, events) in lacks {
            if let Some(record) = records.get_mut(fingerprint) {
                record.pending = record.pending.saturating_sub(*events);
            }
        }
        for fingerprint in gone {
            if let Some(record) = records.get_mut(fingerprint) {
                (record.compacted_at, record.pending) = (Some(now), 0);
            }
        }
        let copied = Self { secret: self.secret, records };
        let changes = copied.changes();
        (copied, changes)
    }

    /// The same in a copy of a part of the log that still has so many events of some customers who are pending, and none of
    /// the others.
    pub(super) fn in_a_copy(&self, left: &HashMap<u128, u64>, now: Micros) -> (Self, Vec<Change>) {
        let mut records = self.records.clone();
        for (fingerprint, record) in records.iter_mut().filter(|(_, record)| record.compacted_at.is_none()) {
            record.pending = left.get(fingerprint).copied().unwrap_or_default();
            record.compacted_at = (record.pending == 0).then_some(now);
        }
        let copied = Self { secret: self.secret, records };
        let changes = copied.changes();
        (copied, changes)
    }

    /// What notes all of them in another engine.
    fn changes(&self) -> Vec<Change> {
        let records = self.records.iter().map(|(fingerprint, record)| put(*fingerprint, *record));
        self.secret.map(Secret::put).into_iter().chain(records).collect()
    }

    /// Whether a copy of what is left of a log is to have nothing of a customer.
    pub(super) fn leaves_out(&self, customer: &str) -> bool {
        self.contains(customer) || self.is_pending(customer)
    }

    /// All of them in a copy of the log that has nothing of those erased.
    pub(super) fn all_compacted(&self, now: Micros) -> Vec<Change> {
        let lacks = self.records.iter().map(|(fingerprint, record)| (*fingerprint, record.pending)).collect();
        self.compacted(&self.pending_fingerprints(), &lacks, now).1
    }

    /// Those who are pending.
    pub(super) fn pending_fingerprints(&self) -> HashSet<u128> {
        let pending = self.records.iter().filter(|(_, record)| record.compacted_at.is_none());
        pending.map(|(fingerprint, _)| *fingerprint).collect()
    }

    /// Takes the names of those away who are pending, among the names that were read from the index and the log.
    pub(super) fn forget_names(&self, names: &mut Tables) {
        if self.pending() == 0 {
            return;
        }
        // Some may have lost their names already, and their events are still there.
        names.hide_nameless();
        let pending: Vec<u32> = (0..)
            .zip(names.starting_at(NameKind::Customer, 0))
            .filter(|(_, name)| !name.is_empty() && self.is_pending(name))
            .map(|(number, _)| number)
            .collect();
        names.forget_all(pending.into_iter().map(CustomerNo));
    }

    pub(super) fn of(&self, customer: &str) -> Option<Erasure> {
        self.find(customer).map(|(fingerprint, record)| erasure(fingerprint, record))
    }

    /// All, in the order in which they were erased.
    pub(super) fn list(&self) -> Vec<Erasure> {
        let mut all: Vec<Erasure> = self.records.iter().map(|(key, record)| erasure(*key, *record)).collect();
        all.sort_by_key(|erasure| (erasure.erased_at, erasure.fingerprint));
        all
    }
}

fn erasure(fingerprint: u128, record: Record) -> Erasure {
    let Record { events, pending: _, erased_at, compacted_at, readmitted_at } = record;
    Erasure {
        fingerprint,
        ids: 1,
        events,
        erased_at: erased_at.to_datetime(),
        compacted_at: compacted_at.map(Micros::to_datetime),
        readmitted_at: readmitted_at.map(Micros::to_datetime),
    }
}

// By hand: the key is nobody's business.
impl std::fmt::Debug for Erasures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erasures").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryEngine;

    const ERASED: Record =
        Record { events: 1, pending: 1, erased_at: Micros(0), compacted_at: None, readmitted_at: None };

    /// A store with records and no key would not open.
    #[test]
    fn records_that_are_found_without_their_key_are_let_go() {
        let record = |fingerprint| frame(KIND, VERSION, &postcard::to_stdvec(&(fingerprint, ERASED)).unwrap());
        let mut found = Erasures::default();
        found.take_found(KIND, &record(7_u128));
        let mut salvaged = Erasures::default();
        salvaged.take_all(&found);
        assert!(salvaged.is_empty());
        found.secret = Some(Secret(1, 2));
        salvaged.take_all(&found);
        assert_eq!(salvaged.len(), 1);
    }

    #[test]
    fn of_two_records_of_one_erasure_the_newer_counts() {
        let later = Record { pending: 0, compacted_at: Some(Micros(5)), readmitted_at: Some(Micros(9)), ..ERASED };
        for records in [[ERASED, later], [later, ERASED]] {
            let mut found = Erasures::default();
            records.into_iter().for_each(|record| found.take_newer(7, record));
            assert_eq!((found.pending(), found.records[&7].readmitted_at), (0, Some(Micros(9))));
        }
    }

    #[test]
    fn odd_counts_do_not_overflow() {
        let engine = MemoryEngine::new();
        let record = Record { events: u64::MAX, pending: u64::MAX, ..ERASED };
        engine.apply(vec![Secret(1, 2).put(), put(7, record), put(8, record)]).unwrap();
        assert_eq!(Erasures::read(&engine).unwrap().pending_events(), u64::MAX);
    }
}
