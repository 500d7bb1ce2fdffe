//! Entries seen column by column, each text and value once: from here they go into a block's bytes and into rows.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

use super::LogEntry;
use crate::{
    journey::{ChannelNo, CustomerNo, NO_STAGE, NameKind, PlainRow, Rows, Tables, TouchpointNo, hash_name},
    model::{Event, EventId, Feedback, Micros, Money, PropertyValue},
};

/// Distinct texts in the order in which they came, with their hashes.
#[derive(Debug, Default)]
pub(super) struct Texts<'a> {
    pub(super) list: Vec<&'a str>,
    hashes: Vec<u64>,
    places: HashTable<u32>,
}

impl<'a> Texts<'a> {
    /// The place of a text, and whether it is new.
    fn place(&mut self, text: &'a str) -> (u32, bool) {
        let hash = hash_name(text);
        let is_it = |place: &u32| {
            let place = *place as usize;
            self.hashes.get(place) == Some(&hash) && self.list.get(place) == Some(&text)
        };
        if let Some(place) = self.places.find(hash, is_it) {
            return (*place, false);
        }
        let place = number(self.list.len());
        self.list.push(text);
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.places.insert_unique(hash, place, |place| hashes.get(*place as usize).copied().unwrap_or_default());
        (place, true)
    }

    /// The numbers of these texts in a store, given now to those that have none.
    fn numbers(&self, kind: NameKind, names: &mut Tables) -> Vec<u32> {
        names.intern_all(kind, &self.list, &self.hashes)
    }
}

/// What few entries have, with their rows.
#[derive(Debug)]
pub(super) struct Sparse<T> {
    pub(super) rows: Vec<u32>,
    pub(super) cells: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), cells: Vec::new() }
    }
}

impl<T> Sparse<T> {
    pub(super) fn push(&mut self, row: u32, cell: T) {
        self.rows.push(row);
        self.cells.push(cell);
    }
}

/// One property: its distinct values, and which entries have which.
#[derive(Debug, Default)]
pub(super) struct PropertyCells<'a> {
    pub(super) places: Sparse<u32>,
    pub(super) values: Vec<&'a PropertyValue>,
    hashes: Vec<u64>,
    known: HashTable<u32>,
}

impl<'a> PropertyCells<'a> {
    /// Notes a row's value; true if it is new here.
    fn push(&mut self, row: u32, value: &'a PropertyValue) -> bool {
        let hash = hash_value(value);
        let is_it = |place: &u32| {
            let place = *place as usize;
            self.hashes.get(place) == Some(&hash) && self.values.get(place).is_some_and(|known| is_same(known, value))
        };
        let found = self.known.find(hash, is_it).copied();
        let place = found.unwrap_or_else(|| {
            let place = number(self.values.len());
            self.values.push(value);
            self.hashes.push(hash);
            let hashes = &self.hashes;
            self.known.insert_unique(hash, place, |place| hashes.get(*place as usize).copied().unwrap_or_default());
            place
        });
        self.places.push(row, place);
        found.is_none()
    }
}

/// A hash by which equal values are found: 1 and 1.0 are two values.
fn hash_value(value: &PropertyValue) -> u64 {
    match value {
        PropertyValue::Text(text) => hash_name(text),
        PropertyValue::Number(n) => {
            let mut hasher = foldhash::fast::FixedState::default().build_hasher();
            match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => hasher.write_i64(n),
                (None, Some(n)) => hasher.write_u64(n),
                (None, None) => hasher.write_u64(n.as_f64().unwrap_or_default().to_bits()),
            }
            hasher.finish()
        }
        PropertyValue::Bool(b) => u64::from(*b),
        PropertyValue::Null | PropertyValue::Nested(_) => 2,
    }
}

fn is_same(a: &PropertyValue, b: &PropertyValue) -> bool {
    match (a, b) {
        (PropertyValue::Text(a), PropertyValue::Text(b)) => a == b,
        // Not by ==, for which 0.0 is -0.0.
        (PropertyValue::Number(a), PropertyValue::Number(b)) => {
            a == b && a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
        }
        (PropertyValue::Nested(_), _) => false,
        (a, b) => a == b,
    }
}

/// Entries that will be one block, in columns.
#[derive(Debug, Default)]
pub(crate) struct Entries<'a> {
    /// Which of the entries are erased, by their places among all. What follows is of the others only.
    pub(super) erased: Vec<u32>,
    pub(super) occurred: Vec<Micros>,
    pub(super) recorded: Vec<Micros>,
    pub(super) customers: Vec<u32>,
    pub(super) touchpoints: Vec<u32>,
    pub(super) channels: Vec<u32>,
    pub(super) customer_texts: Texts<'a>,
    pub(super) touchpoint_texts: Texts<'a>,
    pub(super) channel_texts: Texts<'a>,
    pub(super) stage_texts: Texts<'a>,
    pub(super) property_texts: Texts<'a>,
    pub(super) ids: Sparse<&'a EventId>,
    pub(super) stages: Sparse<u32>,
    pub(super) values: Sparse<Money>,
    pub(super) feedback: Sparse<&'a Feedback>,
    /// In the order of `property_texts`.
    pub(super) properties: Vec<PropertyCells<'a>>,
    /// About how many bytes the distinct texts and values take, and all else; before compression.
    pub(super) weight: usize,
}

impl<'a> Entries<'a> {
    pub(crate) fn len(&self) -> usize {
        self.occurred.len() + self.erased.len()
    }

    /// The columns of these entries.
    pub(crate) fn of(entries: &'a [LogEntry]) -> Self {
        let mut all = Self::with_capacity(entries.len());
        entries.iter().for_each(|entry| all.push(entry));
        all
    }

    fn with_capacity(rows: usize) -> Self {
        let column = || Vec::with_capacity(rows);
        Self { customers: column(), touchpoints: column(), channels: column(), ..Self::default() }
    }

    fn push(&mut self, entry: &'a LogEntry) {
        /// What a column takes for an entry, whatever it holds; and a text or value beside its bytes.
        const ENTRY: usize = 8;
        const CELL: usize = 2;
        let Some(event) = entry.as_event() else {
            self.erased.push(number(self.len()));
            return;
        };
        let Event { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = event;
        let row = number(self.occurred.len());
        let mut weight = ENTRY;
        let mut place = |texts: &mut Texts<'a>, text: &'a str| {
            let (place, is_new) = texts.place(text);
            if is_new {
                weight += text.len() + CELL;
            }
            place
        };
        self.occurred.push(*occurred_at);
        self.recorded.push(entry.recorded_at);
        self.customers.push(place(&mut self.customer_texts, customer.as_str()));
        self.touchpoints.push(place(&mut self.touchpoint_texts, touchpoint.as_str()));
        self.channels.push(place(&mut self.channel_texts, channel.as_str()));
        if let Some(stage) = stage {
            self.stages.push(row, place(&mut self.stage_texts, stage.as_str()));
        }
        for (name, value) in properties {
            let property = place(&mut self.property_texts, name) as usize;
            if property >= self.properties.len() {
                self.properties.push(PropertyCells::default());
            }
            let is_new = self.properties.get_mut(property).is_some_and(|cells| cells.push(row, value));
            self.weight += if is_new { value.size() + CELL } else { CELL };
        }
        if let Some(id) = id {
            self.ids.push(row, id);
            weight += id.as_str().len() + CELL;
        }
        if let Some(money) = value {
            self.values.push(row, *money);
            weight += ENTRY;
        }
        if let Some(answer) = feedback {
            self.feedback.push(row, answer);
            weight += CELL + answer.comment().map_or(0, str::len);
        }
        self.weight += weight;
    }

    /// The sequences of those that are not erased, if the first of all has this one.
    fn seqs(&self, first: u64) -> impl Iterator<Item = u64> {
        let mut erased = self.erased.iter().copied().peekable();
        (0_u32..).filter(move |place| erased.next_if_eq(place).is_none()).map(move |place| first + u64::from(place))
    }

    /// Adds the entries to rows, giving their new names numbers. Nested properties cannot be filtered on and stay out.
    pub(crate) fn number(&self, first: u64, names: &mut Tables, rows: &mut Rows) {
        let customers = self.customer_texts.numbers(NameKind::Customer, names);
        let touchpoints = self.touchpoint_texts.numbers(NameKind::Touchpoint, names);
        let channels = self.channel_texts.numbers(NameKind::Channel, names);
        let stages = self.stage_texts.numbers(NameKind::Stage, names);
        let at = |numbers: &[u32], place: u32| numbers.get(place as usize).copied().unwrap_or_default();
        let before = rows.len();
        let columns = self.occurred.iter().zip(&self.customers).zip(self.touchpoints.iter().zip(&self.channels));
        rows.extend(self.seqs(first).zip(columns).map(|(seq, ((&time, &customer), (&touchpoint, &channel)))| {
            PlainRow {
                customer: CustomerNo(at(&customers, customer)),
                time,
                seq,
                touchpoint: TouchpointNo(at(&touchpoints, touchpoint)),
                channel: ChannelNo(at(&channels, channel)),
                stage: NO_STAGE,
            }
        }));
        for (&row, &stage) in self.stages.rows.iter().zip(&self.stages.cells) {
            rows.set_stage(before + row as usize, at(&stages, stage));
        }
        for (&row, money) in self.values.rows.iter().zip(&self.values.cells) {
            rows.set_value(before + row as usize, (money.nanos(), money.currency()));
        }
        for (&row, answer) in self.feedback.rows.iter().zip(&self.feedback.cells) {
            rows.set_feedback(before + row as usize, (answer.survey(), answer.score()));
        }
        for (text, cells) in self.property_texts.list.iter().zip(&self.properties) {
            let is_nested = |value: &&PropertyValue| matches!(value, PropertyValue::Nested(_));
            if cells.values.iter().all(is_nested) {
                continue;
            }
            let property = names.intern(NameKind::Property, text);
            let places: Vec<Option<u32>> =
                cells.values.iter().map(|value| (!is_nested(value)).then(|| rows.keep_value(value))).collect();
            for (&row, &place) in cells.places.rows.iter().zip(&cells.places.cells) {
                if let Some(value) = places.get(place as usize).copied().flatten() {
                    rows.set_property(before + row as usize, property, value);
                }
            }
        }
    }
}

/// Places in a block are small: it holds few entries.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
