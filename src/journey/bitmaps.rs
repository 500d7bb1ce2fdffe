//! Rows as bits: for plans that go through many journeys at once, and not one by one.

use std::ops::Range;

use super::{
    bits::{places, starts, within},
    column::Column,
    columns::offset,
    journey::{Matched, MatchedRoom},
    packed::PackedAt,
};
use crate::model::Micros;

/// Up to so many conditions: a byte tells which hold.
pub(crate) const LIMIT_BITMAPS: usize = 8;

/// Up to so many values that events carry.
pub(crate) const LIMIT_VALUES: usize = 16;

/// A bit for each row, the first row's the lowest of the first word.
type Bits = Vec<u64>;

/// Of the rows of one part of a chunk: where conditions hold, and where journeys begin.
///
/// A journey in which events of the same instant matter is left out of the bits, for these say nothing of another order of the two:
/// its events are picked.
#[derive(Debug, Default)]
pub(crate) struct Bitmaps {
    conditions: Vec<Bits>,
    /// For each value that events may carry those that do; none if they carry nothing.
    values: Vec<Bits>,
    starts: Bits,
    /// How many rows before the first journey the bits begin.
    before: usize,
    /// Where each journey ends.
    ends: Vec<u32>,
    /// Those with ties, in order.
    tied: Vec<Tied>,
    times: Column<Micros>,
    /// The row of the times that is the first of these.
    first: usize,
}

/// Times that are looked up one by one, many times, each by its row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    Plain(&'a [Micros]),
    Packed(PackedAt<'a>),
}

/// A journey by its place, and its events: their rows, each with its word.
#[derive(Debug)]
struct Tied {
    journey: usize,
    events: Vec<(usize, u64)>,
}

impl Bitmaps {
    /// There are none.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.times = Column::default();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bits of so many conditions, empty, to be filled before all else. They begin with the row that is the next multiple of 64 at or before
    /// the first: see [`begin`](Self::begin).
    pub(crate) fn conditions(&mut self, count: usize) -> &mut [Bits] {
        emptied(&mut self.conditions, count)
    }

    /// Takes in the rows of the times of journeys that end there, where conditions hold as was said. Of the rows, from the first on, only
    /// those count that are kept.
    pub(crate) fn fill(
        &mut self,
        (rows, ends): (Range<usize>, impl Iterator<Item = u32>),
        times: &Column<Micros>,
        kept: Option<impl Iterator<Item = u64>>,
    ) {
        let begin = Self::begin(rows.start);
        self.before = rows.start - begin;
        self.ends.clear();
        self.ends.extend(ends.map(|end| end.saturating_sub(offset(begin))));
        let here = self.before..rows.end - begin;
        self.starts = starts(self.before, self.ends.iter().map(|end| *end as usize), here.end);
        for bits in &mut self.conditions {
            let last = here.end / 64;
            for word in [0, last] {
                bits.get_mut(word).into_iter().for_each(|bits| *bits &= within(word, &here));
            }
        }
        if let Some(kept) = kept {
            for (word, kept) in moved_up(self.before, kept).enumerate() {
                self.conditions.iter_mut().filter_map(|bits| bits.get_mut(word)).for_each(|bits| *bits &= kept);
            }
        }
        (self.times, self.first) = match times {
            // Shared, however long it is.
            Column::Packed(_) => (times.clone(), begin),
            Column::Plain(_) | Column::Sliced(_) => {
                let mut list = Vec::with_capacity(rows.end - begin);
                times.append_to(&mut list, begin..rows.end);
                (Column::Plain(list), 0)
            }
        };
        self.leave_tied_out(&times.repeats(begin..rows.end));
    }

    /// The bits of so many values that the events of the same rows carry, empty, to be filled: one for each.
    pub(crate) fn values_to_fill(&mut self, count: usize) -> &mut [Bits] {
        emptied(&mut self.values, count)
    }

    /// Where bits begin for rows from this one on.
    pub(crate) fn begin(row: usize) -> usize {
        row - row % 64
    }

    /// Picks the events of the journeys in which an event that matters shares its instant with another one that may, and leaves them
    /// out of the bits; `repeats` are the rows of the same instant as the one before.
    fn leave_tied_out(&mut self, repeats: &[u64]) {
        self.tied.clear();
        let (mut before, mut known) = (0, 0);
        for (word, (repeats, starts)) in repeats.iter().zip(&self.starts).enumerate() {
            let matter = self.conditions.iter().filter_map(|bits| bits.get(word)).fold(0, |all, bits| all | bits);
            let same = repeats & !starts;
            // Of a run of rows at one instant only neighbours are compared.
            let may = matter | same;
            for place in places(matter & same & (may << 1 | before)) {
                let row = word * 64 + place;
                if row < known {
                    continue;
                }
                let journey = self.ends.partition_point(|end| *end as usize <= row);
                let rows = self.rows(journey);
                known = rows.end;
                let events = events(&self.conditions, rows).collect();
                self.tied.push(Tied { journey, events });
            }
            before = may >> 63;
        }
        for place in 0..self.tied.len() {
            let journey = self.tied.get(place).map_or(usize::MAX, |tied| tied.journey);
            self.clear_bits(journey);
        }
    }

    /// Leaves journeys out, by their places in order.
    pub(crate) fn leave_out(&mut self, journeys: &[usize]) {
        self.tied.retain(|tied| journeys.binary_search(&tied.journey).is_err());
        journeys.iter().for_each(|journey| self.clear_bits(*journey));
    }

    fn clear_bits(&mut self, journey: usize) {
        let rows = self.rows(journey);
        for word in rows.start / 64..rows.end.div_ceil(64) {
            let here = within(word, &rows);
            self.conditions.iter_mut().filter_map(|bits| bits.get_mut(word)).for_each(|bits| *bits &= !here);
        }
    }

    /// The rows of a journey, by its place.
    fn rows(&self, journey: usize) -> Range<usize> {
        let end = |journey: usize| self.ends.get(journey).copied().unwrap_or_default() as usize;
        journey.checked_sub(1).map_or(self.before, end)..end(journey)
    }

    /// Where each condition holds, for events that carry a value, or for all.
    pub(crate) fn conditions_of<'a>(&'a self, value: Option<u32>, room: &'a mut Vec<Bits>) -> &'a [Bits] {
        let Some(value) = value else { return &self.conditions };
        let carrying = self.carrying(value);
        room.resize_with(self.conditions.len(), Vec::new);
        for (bits, condition) in room.iter_mut().zip(&self.conditions) {
            bits.clear();
            bits.extend(condition.iter().zip(carrying).map(|(holds, carries)| holds & carries));
        }
        room
    }

    /// The numbers of the values that events may carry; that of none if they carry nothing.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<u32>> + use<> {
        let count = offset(self.values.len());
        (0..count).map(Some).chain((count == 0).then_some(None))
    }

    fn carrying(&self, value: u32) -> &[u64] {
        self.values.get(value as usize).map_or(&[], Vec::as_slice)
    }

    /// Where journeys begin; also behind the last row.
    pub(crate) fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// When the events of rows happened.
    #[inline]
    pub(crate) fn times(&self) -> At<'_> {
        match &self.times {
            Column::Packed(packed) => At::Packed(packed.at(self.first)),
            _ => At::Plain(self.times.plain()),
        }
    }

    /// The places of the journeys with ties.
    pub(crate) fn tied(&self) -> impl Iterator<Item = usize> {
        self.tied.iter().map(|tied| tied.journey)
    }

    /// The events of a journey for which any condition holds, picked out; those that carry a value, or all.
    pub(crate) fn picked<'a>(&self, journey: usize, value: Option<u32>, room: &'a mut MatchedRoom) -> Matched<'a> {
        let carrying = value.map(|value| self.carrying(value));
        let carries =
            |row: usize| carrying.is_none_or(|bits| bits.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1));
        let event = |(row, word)| (self.times.get(self.first + row).unwrap_or(Micros::MAX), word);
        let kept = |(row, _): &(usize, u64)| carries(*row);
        if let Ok(place) = self.tied.binary_search_by_key(&journey, |tied| tied.journey) {
            let events = self.tied.get(place).map_or(&[][..], |tied| &tied.events);
            Matched::of_events(events.iter().copied().filter(kept).map(event), room)
        } else {
            let events = events(&self.conditions, self.rows(journey));
            Matched::of_events(events.filter(kept).map(event), room)
        }
    }
}

/// So many lists, all empty.
fn emptied(lists: &mut Vec<Bits>, count: usize) -> &mut [Bits] {
    lists.resize_with(count, Vec::new);
    lists.iter_mut().for_each(Vec::clear);
    lists
}

/// The events of some rows for which any condition holds: their rows, each with its word.
fn events(conditions: &[Bits], rows: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let words = rows.start / 64..rows.end.div_ceil(64);
    let bits = |bits: &Bits, word: usize| bits.get(word).copied().unwrap_or_default();
    let any = move |word| conditions.iter().fold(0, |any, condition| any | bits(condition, word));
    let holding = move |word: usize| places(any(word) & within(word, &rows)).map(move |place| (word, place));
    let event = move |(word, place): (usize, usize)| {
        let holds = |condition| bits(condition, word) >> place & 1;
        let holding = (0..).zip(conditions).fold(0, |all, (bit, condition)| all | holds(condition) << bit);
        (word * 64 + place, holding)
    };
    words.flat_map(holding).map(event)
}

/// Bits moved up by fewer than 64 places, over words.
fn moved_up(places: usize, words: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    let mut below = 0;
    words.chain(std::iter::once(0)).map(move |word| {
        let moved = word << places | below;
        below = word >> 1 >> (63 - places);
        moved
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            bits::{first_within, journey_of, last_within},
            packed::pack,
        },
        *,
    };
    use crate::journey::{Packed, add_rows};

    fn bits(list: impl Iterator<Item = bool>) -> Bits {
        let mut bits = Vec::new();
        for (place, bit) in list.enumerate() {
            bits.resize(place / 64 + 1, 0);
            bits[place / 64] |= u64::from(bit) << (place % 64);
        }
        bits
    }

    fn listed(picked: &Matched<'_>) -> Vec<(Micros, u64)> {
        picked.times.iter().copied().zip(picked.words.iter().copied()).collect()
    }

    fn packed<T: crate::journey::Number>(numbers: &[u64], signed: bool) -> Column<T> {
        Column::Packed(Packed::new(pack(numbers, signed), numbers.len()).unwrap())
    }

    #[test]
    fn bits_are_those_of_the_rows() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut tied_in_all = 0;
        for _ in 0..1_500 {
            let (first, rows) = (random.usize(0..150), random.usize(1..300));
            let conditions = random.usize(1..=LIMIT_BITMAPS);
            let steps = if random.bool() { 0..2 } else { 1..9 };
            let mut now = -50;
            let all = first + rows + random.usize(0..20);
            let times: Vec<i64> = (0..all)
                .map(|_| {
                    now += random.i64(steps.clone());
                    now
                })
                .collect();
            let words: Vec<u8> = (0..all)
                .map(|_| if random.bool() { 0 } else { (random.u16(..) & ((1 << conditions) - 1)) as u8 })
                .collect();
            let word = |row: usize| words[row];
            let mut ends: Vec<usize> = (0..random.usize(0..9)).map(|_| first + random.usize(1..=rows)).collect();
            ends.push(first + rows);
            ends.sort_unstable();
            ends.dedup();
            let kept: Option<Vec<bool>> = random.bool().then(|| (0..rows).map(|_| random.u8(0..4) > 0).collect());

            let begin = Bitmaps::begin(first);
            let (mut bitmaps, mut no_room) = (Bitmaps::default(), Vec::new());
            // Of the rows before the first something may be said.
            let said = if random.bool() { begin } else { first };
            add_rows(said - begin, &words[said..first + rows], bitmaps.conditions(conditions));
            let unsigned: Vec<u64> = times.iter().map(|at| at.cast_unsigned()).collect();
            let plain = Column::Plain(times.iter().copied().map(Micros).collect());
            let column = if random.bool() { plain } else { packed(&unsigned, true) };
            let kept_bits = kept.clone().map(|kept| bits(kept.into_iter()).into_iter());
            let offsets = ends.iter().map(|end| *end as u32);
            bitmaps.fill((first..first + rows, offsets), &column, kept_bits);

            let values = if random.bool() { 0 } else { random.usize(1..=LIMIT_VALUES) };
            let carried: Vec<usize> = (0..rows).map(|_| random.usize(0..values.max(1))).collect();
            for (list, values) in bitmaps.values_to_fill(values).chunks_mut(8).enumerate() {
                let eighth = |value: &usize| u8::from(value / 8 == list) << (value % 8);
                add_rows(first - begin, &carried.iter().map(eighth).collect::<Vec<_>>(), values);
            }
            assert_eq!(bitmaps.values().flatten().count(), values);

            let is_kept = |row: usize| kept.as_ref().is_none_or(|kept| kept[row - first]);
            let mut wanted_bits = vec![vec![false; first - begin]; conditions];
            let (mut start, mut tied) = (first, Vec::new());
            for (place, end) in ends.iter().enumerate() {
                let events: Vec<(Micros, u64)> = (start..*end)
                    .filter(|row| is_kept(*row) && word(*row) != 0)
                    .map(|row| (Micros(times[row]), word(row).into()))
                    .collect();
                let has_ties = !events.is_sorted_by(|a, b| a.0 < b.0);
                let is_tied = bitmaps.tied().any(|tied| tied == place);
                assert!(is_tied || !has_ties);
                tied_in_all += usize::from(is_tied);
                tied.extend(is_tied.then_some(place));
                let mut room = MatchedRoom::default();
                let picked = bitmaps.picked(place, None, &mut room);
                assert_eq!(listed(&picked), events);
                if let Some(value) = random.usize(0..=values).checked_sub(1) {
                    let events: Vec<(Micros, u64)> = (start..*end)
                        .filter(|row| is_kept(*row) && word(*row) != 0 && carried[*row - first] == value)
                        .map(|row| (Micros(times[row]), word(row).into()))
                        .collect();
                    let picked = bitmaps.picked(place, Some(value as u32), &mut room);
                    assert_eq!(listed(&picked), events);
                }
                let row = random.usize(start..*end) - begin;
                assert_eq!(journey_of(bitmaps.starts(), row), start - begin..end - begin);
                for row in start..*end {
                    for (condition, wanted) in wanted_bits.iter_mut().enumerate() {
                        wanted.push(!is_tied && is_kept(row) && word(row) >> condition & 1 == 1);
                    }
                }
                start = *end;
            }
            assert!(bitmaps.tied().eq(tied.iter().copied()));
            let conditions = bitmaps.conditions_of(None, &mut no_room).to_vec();
            for (condition, wanted) in wanted_bits.into_iter().enumerate() {
                let wanted = bits(wanted.into_iter());
                assert_eq!(conditions[condition], wanted);
                if let Some(value) = random.usize(0..=values).checked_sub(1) {
                    let carries = |row: usize| row + begin >= first && carried.get(row + begin - first) == Some(&value);
                    let both =
                        (0..wanted.len() * 64).map(|row| wanted[row / 64] >> (row % 64) & 1 == 1 && carries(row));
                    assert_eq!(bitmaps.conditions_of(Some(value as u32), &mut no_room)[condition], bits(both));
                }
                let part = random.usize(0..rows) + first - begin..rows + first - begin;
                let set = |row: &usize| wanted[row / 64] >> (row % 64) & 1 == 1;
                assert_eq!(first_within(&wanted, &part), part.clone().find(set));
                assert_eq!(last_within(&wanted, &part), part.clone().rev().find(set));
            }
            let left_out = random.usize(0..ends.len());
            bitmaps.leave_out(&[left_out]);
            assert!(bitmaps.tied().eq(tied.into_iter().filter(|tied| *tied != left_out)));
            assert!(bitmaps.picked(left_out, None, &mut MatchedRoom::default()).times.is_empty());
        }
        assert!(tied_in_all > 500, "{tied_in_all}");
    }
}
