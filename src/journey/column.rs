//! A column of numbers: as they are, or packed or cut into their bits as they were read, and unpacked only where they are asked for.

use std::ops::Range;

use super::{
    ChannelNo, TouchpointNo,
    packed::{AT_ONCE, Packed, repeats},
    sliced::Sliced,
};
use crate::model::Micros;

/// What 64 bits of a column stand for.
pub(crate) trait Number: Copy + PartialEq {
    fn of_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
}

impl Number for Micros {
    fn of_bits(bits: u64) -> Self {
        Self(bits.cast_signed())
    }

    fn bits(self) -> u64 {
        self.0.cast_unsigned()
    }
}

impl Number for u64 {
    fn of_bits(bits: u64) -> Self {
        bits
    }

    fn bits(self) -> u64 {
        self
    }
}

impl Number for u32 {
    // A column of these is checked to hold no larger numbers when it is read.
    #[expect(clippy::cast_possible_truncation, reason = "checked when read")]
    fn of_bits(bits: u64) -> Self {
        bits as Self
    }

    fn bits(self) -> u64 {
        self.into()
    }
}

macro_rules! name_number {
    ($name:ident) => {
        impl Number for $name {
            // A column of these is checked to hold no larger numbers when it is read.
            #[expect(clippy::cast_possible_truncation, reason = "checked when read")]
            fn of_bits(bits: u64) -> Self {
                Self(bits as u32)
            }

            fn bits(self) -> u64 {
                self.0.into()
            }
        }
    };
}
name_number!(TouchpointNo);
name_number!(ChannelNo);

/// A column whose rows are seldom all needed.
#[derive(Debug, Clone)]
pub(crate) enum Column<T> {
    Plain(Vec<T>),
    Packed(Packed),
    Sliced(Sliced),
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self::Plain(Vec::new())
    }
}

impl<T: Number> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

impl<T: Number> Column<T> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Plain(list) => list.len(),
            Self::Packed(packed) => packed.len(),
            Self::Sliced(sliced) => sliced.len(),
        }
    }

    /// The bytes it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Plain(list) => list.len() * size_of::<T>(),
            Self::Packed(packed) => packed.size(),
            Self::Sliced(sliced) => sliced.size(),
        }
    }

    /// The number of one row.
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        match self {
            Self::Plain(list) => list.get(row).copied(),
            Self::Packed(packed) => packed.get(row).map(T::of_bits),
            Self::Sliced(sliced) => sliced.get(row).map(|number| T::of_bits(number.into())),
        }
    }

    /// Whether the numbers of all rows are smaller than this one.
    pub(crate) fn are_below(&self, limit: u64) -> bool {
        let is_seen = match self {
            Self::Plain(_) => false,
            Self::Packed(packed) => packed.at_most() < limit.into(),
            Self::Sliced(sliced) => u64::from(sliced.at_most()) < limit,
        };
        if is_seen {
            return true;
        }
        let mut largest = None;
        // The largest is found faster than the first that is too large.
        self.for_lists(0..self.len(), |list| largest = largest.max(list.iter().copied().max()));
        largest.is_none_or(|largest| largest < limit)
    }

    /// Adds the numbers of these rows, each of which must be there, to a list.
    pub(crate) fn gather(&self, rows: &[u32], into: &mut Vec<T>) {
        match self {
            Self::Plain(list) => into.extend(rows.iter().filter_map(|&row| list.get(row as usize))),
            Self::Packed(packed) => packed.gather(rows, into, T::of_bits),
            Self::Sliced(sliced) => sliced.gather(rows, into, |number| T::of_bits(number.into())),
        }
    }

    /// Adds the numbers of these rows, each of which must be there and be small, to a list of small numbers.
    #[expect(clippy::cast_possible_truncation, reason = "names have numbers of 32 bits")]
    pub(crate) fn gather_small(&self, rows: &[u32], into: &mut Vec<u32>) {
        match self {
            Self::Plain(list) => {
                into.extend(rows.iter().filter_map(|&row| list.get(row as usize)).map(|one| one.bits() as u32));
            }
            Self::Packed(packed) => packed.gather(rows, into, |bits| bits as u32),
            Self::Sliced(sliced) => sliced.gather(rows, into, |number| number),
        }
    }

    /// Visits the numbers of these rows in order.
    pub(crate) fn for_each(&self, rows: Range<usize>, mut visit: impl FnMut(T)) {
        match self {
            Self::Plain(list) => list.get(rows).unwrap_or_default().iter().for_each(|&one| visit(one)),
            Self::Packed(packed) => {
                packed.for_each(rows, |bits| visit(T::of_bits(bits)));
            }
            Self::Sliced(sliced) => {
                sliced.for_lists(rows, |list| list.iter().for_each(|&bits| visit(T::of_bits(bits))));
            }
        }
    }

    /// Visits the bits of these rows in order, at most [`AT_ONCE`] at a time.
    pub(crate) fn for_lists(&self, rows: Range<usize>, mut visit: impl FnMut(&[u64])) {
        match self {
            Self::Plain(list) => {
                let mut bits = [0; AT_ONCE];
                for here in list.get(rows).unwrap_or_default().chunks(AT_ONCE) {
                    bits.iter_mut().zip(here).for_each(|(bits, one)| *bits = one.bits());
                    visit(bits.get(..here.len()).unwrap_or_default());
                }
            }
            Self::Packed(packed) => {
                packed.for_lists(rows, visit);
            }
            Self::Sliced(sliced) => sliced.for_lists(rows, visit),
        }
    }

    /// The numbers of these rows as bytes; `None` if one might not fit.
    pub(crate) fn bytes(&self, rows: Range<usize>) -> Option<Vec<u8>> {
        // A little more room, since packed numbers come by the byte, at most eight in each.
        let mut bytes = Vec::with_capacity(rows.len() + 14);
        match self {
            Self::Plain(list) => {
                for number in list.get(rows)? {
                    bytes.push(u8::try_from(number.bits()).ok()?);
                }
            }
            Self::Packed(packed) => {
                packed.append_bytes(rows, &mut bytes).then_some(())?;
            }
            Self::Sliced(sliced) => sliced.append_bytes(rows, &mut bytes).then_some(())?,
        }
        Some(bytes)
    }

    /// Says that no row has the number of the row before, so that nobody looks for one.
    pub(crate) fn note_that_none_repeat(&mut self) {
        if let Self::Packed(packed) = self {
            packed.note_that_none_repeat();
        }
    }

    /// A bit for each of these rows, the first's the lowest of the first word: whether its number is that of the row before. The first row
    /// must be a multiple of 64; of it, and of rows behind the last, anything may be said. Words may be missing at the end: they are 0.
    pub(crate) fn repeats(&self, rows: Range<usize>) -> Vec<u64> {
        match self {
            Self::Packed(packed) => {
                let words = rows.start / AT_ONCE..rows.end.div_ceil(AT_ONCE);
                packed.repeats().get(words).unwrap_or_default().to_vec()
            }
            Self::Plain(_) | Self::Sliced(_) => {
                let (mut words, mut before) = (Vec::new(), None);
                self.for_lists(rows, |list| {
                    words.push(repeats(before, list));
                    before = list.last().copied();
                });
                words
            }
        }
    }

    /// Adds to the bits of each condition those of these rows: whether it holds. A table says by their numbers which do, bit i of its byte that
    /// of condition i. The first row must be a multiple of 64; of rows behind the last something may be said. False, and nothing is added, if there is no
    /// short way.
    pub(crate) fn add_holding(&self, rows: &Range<usize>, table: &[u8], conditions: &mut [Vec<u64>]) -> bool {
        match self {
            Self::Plain(_) | Self::Packed(_) => false,
            Self::Sliced(sliced) => sliced.add_holding(rows, table, conditions),
        }
    }

    /// Adds the numbers of these rows to a list.
    pub(crate) fn append_to(&self, list: &mut Vec<T>, rows: Range<usize>) {
        match self {
            Self::Plain(all) => list.extend_from_slice(all.get(rows).unwrap_or_default()),
            Self::Packed(packed) => {
                packed.for_lists(rows, |bits| list.extend(bits.iter().map(|&bits| T::of_bits(bits))));
            }
            Self::Sliced(sliced) => {
                sliced.for_lists(rows, |bits| list.extend(bits.iter().map(|&bits| T::of_bits(bits))));
            }
        }
    }

    /// The bits of all rows.
    pub(crate) fn to_bits(&self) -> Vec<u64> {
        self.to_vec().into_iter().map(T::bits).collect()
    }

    pub(crate) fn to_vec(&self) -> Vec<T> {
        let mut list = Vec::with_capacity(self.len());
        self.append_to(&mut list, 0..self.len());
        list
    }

    /// The rows themselves, if they are neither packed nor cut into bits.
    pub(crate) fn plain(&self) -> &[T] {
        match self {
            Self::Plain(list) => list,
            Self::Packed(_) | Self::Sliced(_) => &[],
        }
    }
}
