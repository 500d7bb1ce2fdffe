//! Parts of a block's columns: each text and value once, and what only some entries have.

use std::hash::{BuildHasher, Hasher};

use crate::{
    journey::{NameKind, NameTable, Places, Tables, hash_name},
    model::PropertyValue,
};

/// Distinct texts in the order in which they came, with their hashes.
#[derive(Debug, Default)]
pub(super) struct Texts {
    list: NameTable,
    hashes: Vec<u64>,
}

impl Texts {
    pub(super) fn with_room_for(count: usize) -> Self {
        Self { list: NameTable::with_room_for(count), hashes: Vec::with_capacity(count) }
    }

    /// The texts in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.list.iter()
    }

    /// The place of a text.
    pub(super) fn place(&mut self, text: &str) -> u32 {
        let hash = hash_name(text);
        let (place, is_new) = self.list.intern(text, hash);
        if is_new {
            self.hashes.push(hash);
        }
        place
    }

    /// The numbers of these texts in a store, given now to those that have none.
    pub(super) fn numbers(&self, kind: NameKind, names: &mut Tables) -> Vec<u32> {
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
pub(super) struct PropertyCells {
    pub(super) places: Sparse<u32>,
    pub(super) values: Vec<PropertyValue>,
    known: Places,
}

impl PropertyCells {
    /// Notes a row's value.
    pub(super) fn push(&mut self, row: u32, value: &PropertyValue) {
        let hash = hash_value(value);
        let is_it = |place| self.values.get(place as usize).is_some_and(|known| is_same(known, value));
        let place = hash.and_then(|hash| self.known.find(hash, is_it)).unwrap_or_else(|| {
            let place = number(self.values.len());
            self.values.push(value.clone());
            if let Some(hash) = hash {
                self.known.insert(hash, place);
            }
            place
        });
        self.places.push(row, place);
    }
}

/// A hash by which equal values are found: 1 and 1.0 are two values. What is nested is not looked for, since to compare it
/// with others takes longer than to write it once more.
fn hash_value(value: &PropertyValue) -> Option<u64> {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    match value {
        PropertyValue::Text(text) => return Some(hash_name(text)),
        PropertyValue::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => hasher.write_i64(n),
            (None, Some(n)) => hasher.write_u64(n),
            (None, None) => hasher.write_u64(n.as_f64().unwrap_or_default().to_bits()),
        },
        PropertyValue::Bool(b) => hasher.write_u8(u8::from(*b)),
        PropertyValue::Null => hasher.write_u8(2),
        PropertyValue::Nested(_) => return None,
    }
    Some(hasher.finish())
}

fn is_same(a: &PropertyValue, b: &PropertyValue) -> bool {
    match (a, b) {
        (PropertyValue::Text(a), PropertyValue::Text(b)) => a == b,
        // Not by ==, for which 0.0 is -0.0.
        (PropertyValue::Number(a), PropertyValue::Number(b)) => {
            a == b && a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
        }
        (a, b) => a == b,
    }
}

/// Places in a block are small: it holds few entries.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
