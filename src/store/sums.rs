//! A sum over events that is the same for the log and for the journey index if they hold the same.

use std::{collections::BTreeMap, hash::BuildHasher, sync::Arc};

use foldhash::quality::FixedState;

use crate::{
    journey::{Columns, NO_STAGE, NameKind, Names},
    model::{Currency, Event, Micros, PropertyValue, Survey},
};

/// Sums are kept for ranges of so many sequences, so that a difference has a place.
const RANGE: u64 = 1 << 16;

/// How many events of each range of sequences there are, and a sum over all that questions see of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<u64, (u64, u64)>);

/// What questions see of an event, its names as their hashes.
#[derive(Hash)]
struct Seen {
    seq: u64,
    customer: u64,
    time: Micros,
    touchpoint: u64,
    channel: u64,
    stage: Option<u64>,
    value: Option<(i128, Currency)>,
    feedback: Option<(Survey, u8)>,
    /// Those of all properties, added up, so that their order does not matter.
    properties: u64,
}

impl Seen {
    fn add_to(self, sums: &mut Sums) {
        let (count, sum) = sums.0.entry(self.seq / RANGE).or_default();
        *count += 1;
        *sum = sum.wrapping_add(hash(self));
    }
}

impl Sums {
    /// Adds an event of the log.
    pub(super) fn add_event(&mut self, seq: u64, event: &Event) {
        let simple = event.properties.iter().filter(|(_, value)| !matches!(value, PropertyValue::Nested(_)));
        let properties = simple.map(|(name, value)| property(hash(name.as_str()), hash_value(value)));
        let seen = Seen {
            seq,
            customer: hash(event.customer.as_str()),
            time: event.occurred_at,
            touchpoint: hash(event.touchpoint.as_str()),
            channel: hash(event.channel.as_str()),
            stage: event.stage.as_ref().map(|stage| hash(stage.as_str())),
            value: event.value.map(|money| (money.nanos(), money.currency())),
            feedback: event.feedback.as_ref().map(|feedback| (feedback.survey(), feedback.score())),
            properties: properties.fold(0, u64::wrapping_add),
        };
        seen.add_to(self);
    }

    /// Adds the events of columns up to a sequence, but for those of customers without a name.
    pub(super) fn add_columns(&mut self, columns: &Columns, through: u64, names: &Hashes) {
        let rows = columns.rows();
        let (times, seqs) = (columns.times.to_vec(), columns.seqs.to_vec());
        let (touchpoints, channels) = (columns.touchpoints.to_vec(), columns.channels.to_vec());
        let mut properties = vec![0_u64; rows];
        for (number, column) in &columns.properties {
            let name = names.get(NameKind::Property, *number);
            let values: Vec<u64> = column.values.iter().map(|value| property(name, hash_value(value))).collect();
            for (row, code) in column.within(0..rows) {
                if let (Some(sum), Some(value)) = (properties.get_mut(row), values.get(code as usize)) {
                    *sum = sum.wrapping_add(*value);
                }
            }
        }
        for (customer, rows) in columns.journeys() {
            if names.hidden.binary_search(&customer.0).is_ok() {
                continue;
            }
            let customer = hash(&*names.names.customer(customer));
            for row in rows {
                let seq = seqs.get(row).copied().unwrap_or_default();
                if seq > through {
                    continue;
                }
                let stage = columns.stages.get(row).copied().filter(|stage| *stage != NO_STAGE);
                let seen = Seen {
                    seq,
                    customer,
                    time: times.get(row).copied().unwrap_or(Micros::MIN),
                    touchpoint: names.get(NameKind::Touchpoint, touchpoints.get(row).map_or(u32::MAX, |no| no.0)),
                    channel: names.get(NameKind::Channel, channels.get(row).map_or(u32::MAX, |no| no.0)),
                    stage: stage.map(|stage| names.get(NameKind::Stage, stage)),
                    value: columns.values.get(row).copied().flatten(),
                    feedback: columns.feedback.get(row).copied().flatten(),
                    properties: properties.get(row).copied().unwrap_or_default(),
                };
                seen.add_to(self);
            }
        }
    }

    /// The ranges in which these differ from others: the first and last sequence, and how many events each has there.
    pub(super) fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (u64, u64, u64, u64)> + 'a {
        let ranges: std::collections::BTreeSet<&u64> = self.0.keys().chain(other.0.keys()).collect();
        ranges.into_iter().filter_map(move |range| {
            let of = |sums: &Self| sums.0.get(range).copied().unwrap_or_default();
            let (here, there) = (of(self), of(other));
            let first = range.saturating_mul(RANGE);
            (here != there).then_some((first.max(1), first.saturating_add(RANGE - 1), here.0, there.0))
        })
    }
}

/// The hashes of the names of a store, but for its customers, who are many.
#[derive(Debug)]
pub(super) struct Hashes {
    names: Names,
    hidden: Arc<[u32]>,
    of: BTreeMap<NameKind, Vec<u64>>,
}

impl Hashes {
    pub(super) fn of(names: &Names) -> Self {
        let tables = names.read();
        let kinds = NameKind::ALL.into_iter().filter(|kind| *kind != NameKind::Customer);
        let of = kinds.map(|kind| (kind, tables.starting_at(kind, 0).map(hash).collect())).collect();
        drop(tables);
        Self { names: names.clone(), hidden: names.hidden(), of }
    }

    fn get(&self, kind: NameKind, number: u32) -> u64 {
        self.of.get(&kind).and_then(|hashes| hashes.get(number as usize)).copied().unwrap_or_default()
    }
}

fn hash(what: impl std::hash::Hash) -> u64 {
    FixedState::default().hash_one(what)
}

fn property(name: u64, value: u64) -> u64 {
    hash((name, value))
}

fn hash_value(value: &PropertyValue) -> u64 {
    hash(serde_json::to_vec(value).unwrap_or_default())
}
