//! Events left where they stand in the columns: for plans that look at few of those that they ask for.

use std::ops::Range;

use super::{
    column::{At, Column},
    columns::offset,
    journey::{Matched, MatchedRoom},
};
use crate::model::Micros;

/// Up to so many conditions.
pub(crate) const LIMIT_IN_PLACE: usize = 7;

const ANY_OTHER: u8 = 1 << LIMIT_IN_PLACE;

/// For each row of one part of a chunk, which of up to seven conditions hold.
#[derive(Debug, Default)]
pub(crate) struct InPlace {
    /// Bit i: condition i holds; [`ANY_OTHER`]: any but the first does.
    words: Vec<u8>,
    /// For each 64 rows, the first of them in the lowest bit.
    by_64: Vec<Marks>,
    /// Where each journey ends, counted from the first of these rows.
    ends: Vec<u32>,
    times: Column<Micros>,
    /// The row of the times that is the first of these.
    first: usize,
}

/// Some of 64 neighbouring rows: bit i is that of the i-th.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// The row of the lowest bit.
    pub(crate) base: usize,
    /// Where the first condition holds.
    pub(crate) first: u64,
    /// Where any other holds.
    pub(crate) others: u64,
}

impl Marks {
    /// Where any condition holds.
    #[inline]
    pub(crate) fn any(self) -> u64 {
        self.first | self.others
    }

    /// Of up to 64 rows from this one on, a byte each.
    fn of(base: usize, rows: &[u8]) -> Self {
        Self { base, first: bits_of(rows, |row| row & 1), others: bits_of(rows, |row| row >> LIMIT_IN_PLACE) }
    }

    /// The same of those of these rows that are in a range of rows, some of them at least.
    #[inline]
    fn within(self, rows: &Range<usize>) -> Self {
        let from = u64::MAX << rows.start.saturating_sub(self.base).min(63);
        let to = u64::MAX >> (self.base + 64).saturating_sub(rows.end).min(63);
        Self { base: self.base, first: self.first & from & to, others: self.others & from & to }
    }
}

/// A bit for each of up to 64, the first's the lowest; each is told as 0 or 1.
#[inline]
pub(crate) fn bits_of<T: Copy>(list: &[T], bit: impl Fn(T) -> u8) -> u64 {
    let (eights, rest) = list.as_chunks::<8>();
    // Multiplied so, the bit of each byte comes to its own place in the uppermost.
    let eight = |eight: &[T; 8]| u64::from_le_bytes(eight.map(&bit)).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let bits = eights.iter().zip((0..64).step_by(8)).fold(0, |bits, (list, at)| bits | eight(list) << at);
    let rest = rest.iter().zip(eights.len() * 8..64);
    rest.fold(bits, |bits, (one, at)| bits | u64::from(bit(*one)) << at)
}

/// The byte of a row, by the word of its conditions.
pub(crate) fn byte_in_place(word: u64) -> u8 {
    debug_assert!(word < ANY_OTHER.into(), "there are more conditions than fit");
    let [byte, ..] = (word & u64::from(ANY_OTHER - 1)).to_le_bytes();
    if byte > 1 { byte | ANY_OTHER } else { byte }
}

impl InPlace {
    /// Nothing is left in place.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.times = Column::default();
    }

    /// Takes in the bytes of rows, from this one of the times on, and where journeys end by the same count.
    pub(crate) fn fill(
        &mut self,
        words: Vec<u8>,
        ends: impl Iterator<Item = u32>,
        (times, first): (&Column<Micros>, usize),
    ) {
        self.by_64.clear();
        self.by_64.extend(words.chunks(64).zip((0..).step_by(64)).map(|(rows, base)| Marks::of(base, rows)));
        self.words = words;
        self.ends.clear();
        self.ends.extend(ends.map(|end| end.saturating_sub(offset(first))));
        (self.times, self.first) = match times {
            // Shared, however long it is.
            Column::Packed(_) => (times.clone(), first),
            Column::Plain(list) => {
                let here = list.get(first..).and_then(|list| list.get(..self.words.len()));
                (Column::Plain(here.unwrap_or_default().to_vec()), 0)
            }
        };
    }

    /// The events of a journey, by its place; `None` if they are not left in place.
    #[inline]
    pub(crate) fn journey(&self, place: usize) -> Option<EventsInPlace<'_>> {
        let end = |place: usize| self.ends.get(place).map(|end| *end as usize);
        let start = place.checked_sub(1).map_or(Some(0), end)?;
        Some(EventsInPlace { all: self, rows: start..end(place)? })
    }
}

/// The events of one journey in place. Rows are counted from the first of the part.
#[derive(Debug, Clone)]
pub(crate) struct EventsInPlace<'a> {
    all: &'a InPlace,
    rows: Range<usize>,
}

impl<'a> EventsInPlace<'a> {
    /// When the events of rows happened.
    #[inline]
    pub(crate) fn times(&self) -> At<'a, Micros> {
        self.all.times.at(self.all.first)
    }

    /// Which conditions hold in a row.
    #[inline]
    pub(crate) fn word(&self, row: usize) -> u8 {
        self.all.words.get(row).map_or(0, |word| word & !ANY_OTHER)
    }

    /// The same journey from a row on.
    pub(crate) fn since(&self, row: usize) -> Self {
        Self { all: self.all, rows: row.max(self.rows.start)..self.rows.end }
    }

    /// The marks of the journey's rows.
    #[inline]
    pub(crate) fn marks(&self) -> impl DoubleEndedIterator<Item = Marks> + use<'a> {
        let rows = self.rows.clone();
        let here = self.all.by_64.get(rows.start / 64..rows.end.div_ceil(64)).unwrap_or_default();
        here.iter().map(move |marks| marks.within(&rows))
    }

    /// The same events picked out, those for which any condition holds.
    pub(crate) fn picked<'b>(&self, room: &'b mut MatchedRoom) -> Matched<'b> {
        let rows = self.rows.clone().filter(|row| self.word(*row) != 0);
        let time = |row: usize| self.all.times.get(self.all.first + row).unwrap_or(Micros::MAX);
        Matched::of_events(rows.map(|row| (time(row), self.word(row).into())), room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_those_of_the_words() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let rows = random.usize(1..300);
            let words: Vec<u64> = (0..rows).map(|_| if random.bool() { 0 } else { random.u64(0..128) }).collect();
            let mut ends: Vec<u32> = (0..random.usize(0..9)).map(|_| random.u32(1..=rows as u32)).collect();
            ends.push(rows as u32);
            ends.sort_unstable();
            ends.dedup();
            let mut in_place = InPlace::default();
            let bytes = words.iter().map(|word| byte_in_place(*word)).collect();
            let times = Column::Plain((0..rows as i64 + 5).map(Micros).collect());
            in_place.fill(bytes, ends.iter().map(|end| end + 5), (&times, 5));
            let mut start = 0;
            for (place, end) in ends.iter().map(|end| *end as usize).enumerate() {
                let events = in_place.journey(place).unwrap();
                for events in [events.clone(), events.since(start + (end - start) / 2)] {
                    let wanted: Vec<usize> = events.rows.clone().filter(|row| words[*row] != 0).collect();
                    let mut marked = Vec::new();
                    for marks in events.marks() {
                        for place in (0..64).filter(|place| marks.any() >> place & 1 == 1) {
                            let row = marks.base + place;
                            marked.push(row);
                            assert_eq!(marks.first >> place & 1, words[row] & 1);
                            assert_eq!(marks.others >> place & 1 == 1, words[row] > 1);
                        }
                    }
                    assert_eq!(marked, wanted);
                    let mut room = MatchedRoom::default();
                    let picked = events.picked(&mut room);
                    assert_eq!(picked.words, wanted.iter().map(|row| words[*row]).collect::<Vec<_>>());
                    assert!(picked.times.iter().zip(&wanted).all(|(at, row)| at.0 == *row as i64 + 5));
                }
                start = end;
            }
            assert!(in_place.journey(ends.len()).is_none());
            in_place.clear();
            assert!(in_place.journey(0).is_none());
        }
    }
}
