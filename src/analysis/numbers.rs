//! The numbers of a part's rows that conditions are looked up by: made when they are first asked for, shared by all plans.

use std::{cell::OnceCell, ops::Range};

use super::picking::{Found, pick};
use crate::journey::{Column, Number, Part};

/// Of the rows of one part.
pub(super) struct Numbers<'a> {
    part: &'a Part<'a>,
    touchpoints: OnceCell<Keys>,
    pairs: OnceCell<Keys>,
}

/// A number for each row of a part, from its first row on, by which tables are looked up.
pub(super) enum Keys {
    Bytes(Vec<u8>),
    Wide(Vec<u64>),
}

impl<'a> Numbers<'a> {
    pub(super) fn new(part: &'a Part<'a>) -> Self {
        Self { part, touchpoints: OnceCell::new(), pairs: OnceCell::new() }
    }

    /// Where each row's event happened.
    pub(super) fn touchpoints(&self) -> &Keys {
        self.touchpoints.get_or_init(|| Keys::of(&self.part.columns.touchpoints, self.part.rows()))
    }

    /// Touchpoint and channel as one number, where there are so many channels: as many for all plans of a question.
    pub(super) fn pairs(&self, channels: usize) -> &Keys {
        self.pairs.get_or_init(|| {
            let through = Keys::of(&self.part.columns.channels, self.part.rows());
            if let (Keys::Bytes(touchpoints), Keys::Bytes(through)) = (self.touchpoints(), &through)
                && let Ok(channels) = u8::try_from(channels)
                && let most = touchpoints.iter().max().copied().unwrap_or_default()
                && most.checked_add(1).is_some_and(|count| count.checked_mul(channels).is_some())
            {
                let pair = |(touchpoint, channel): (&u8, &u8)| touchpoint.wrapping_mul(channels).wrapping_add(*channel);
                return Keys::Bytes(touchpoints.iter().zip(through).map(pair).collect());
            }
            let channels = channels as u64;
            let pairs = self.touchpoints().wide().zip(through.wide());
            Keys::Wide(
                pairs
                    .map(|(touchpoint, channel)| touchpoint.saturating_mul(channels).saturating_add(channel))
                    .collect(),
            )
        })
    }
}

impl Keys {
    /// Of some rows of a column.
    pub(super) fn of<T: Number>(column: &Column<T>, rows: Range<usize>) -> Self {
        if let Some(bytes) = column.bytes(rows.clone()) {
            return Self::Bytes(bytes);
        }
        let mut wide = Vec::with_capacity(rows.len());
        column.for_lists(rows, |list| wide.extend_from_slice(list));
        Self::Wide(wide)
    }

    fn wide(&self) -> Box<dyn Iterator<Item = u64> + '_> {
        match self {
            Self::Bytes(bytes) => Box::new(bytes.iter().map(|&byte| byte.into())),
            Self::Wide(wide) => Box::new(wide.iter().copied()),
        }
    }

    /// What a table says of one row.
    pub(super) fn look_up_one<T: Copy + Default>(&self, table: &[T], row: usize) -> T {
        match self {
            Self::Bytes(bytes) => bytes.get(row).and_then(|&byte| table.get(usize::from(byte))).copied(),
            Self::Wide(wide) => wide.get(row).map(|&number| look_up(table, number)),
        }
        .unwrap_or_default()
    }

    /// What a table says of each row.
    pub(super) fn look_up<T: Copy + Default>(&self, table: &[T]) -> Vec<T> {
        match self {
            Self::Bytes(bytes) => {
                let table = by_byte(table);
                bytes.iter().map(|&byte| at_byte(&table, byte)).collect()
            }
            Self::Wide(wide) => wide.iter().map(|&number| look_up(table, number)).collect(),
        }
    }

    /// Picks the rows whose place among these, and what a table says of them, are wanted.
    pub(super) fn pick<T: Copy + Default>(
        &self,
        first: usize,
        table: &[T],
        is_wanted: impl Fn(usize, T) -> bool,
    ) -> Found<T> {
        let one = |row, what| (what, is_wanted(row, what));
        match self {
            Self::Bytes(bytes) => {
                let table = by_byte(table);
                pick(bytes, first, |row, byte| one(row, at_byte(&table, byte)))
            }
            Self::Wide(wide) => pick(wide, first, |row, number| one(row, look_up(table, number))),
        }
    }
}

/// A table with an entry for each byte, so that none needs to be looked for.
fn by_byte<T: Copy + Default>(table: &[T]) -> [T; 256] {
    let mut all = [T::default(); 256];
    all.iter_mut().zip(table).for_each(|(to, from)| *to = *from);
    all
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
fn at_byte<T: Copy>(table: &[T; 256], byte: u8) -> T {
    table[usize::from(byte)]
}

fn look_up<T: Copy + Default>(table: &[T], number: u64) -> T {
    usize::try_from(number).ok().and_then(|place| table.get(place)).copied().unwrap_or_default()
}
