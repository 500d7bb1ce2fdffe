//! Picking rows out of the parts of a chunk, and putting them in the order of its journeys.

use super::carried::{Carried, Carrying};
use crate::journey::{AT_ONCE, Chunk, Picked, bits_of};

/// Which rows of a part were picked, so that those before any row are counted at once.
pub(super) struct Marks {
    /// The first row that was tried.
    first: u32,
    /// For each 64 rows that were tried: which were picked, and how many before them.
    by_64: Vec<(u64, u32)>,
    count: u32,
}

impl Marks {
    /// For rows from this one on, so many of them.
    fn new(first: usize, rows: usize) -> Self {
        Self { first: count(first), by_64: Vec::with_capacity(rows / AT_ONCE + 1), count: 0 }
    }

    /// Of rows that are told one by one.
    pub(super) fn of(first: usize, rows: &[bool]) -> Self {
        let mut marks = Self::new(first, rows.len());
        for list in rows.chunks(AT_ONCE) {
            marks.add(bits_of(list, u8::from));
        }
        marks
    }

    /// Adds the marks of the next [`AT_ONCE`] rows.
    fn add(&mut self, mark: u64) {
        self.by_64.push((mark, self.count));
        self.count = self.count.saturating_add(mark.count_ones());
    }

    /// Which were picked of each 64 rows that were tried.
    pub(super) fn bits(&self) -> impl Iterator<Item = u64> {
        self.by_64.iter().map(|(mark, _)| *mark)
    }

    /// How many rows before this one were picked.
    pub(super) fn before(&self, row: u32) -> u32 {
        let tried = row.saturating_sub(self.first) as usize;
        let Some(&(mark, before)) = self.by_64.get(tried / AT_ONCE) else { return self.count };
        before.saturating_add((mark & ((1 << (tried % AT_ONCE)) - 1)).count_ones())
    }
}

/// Rows of one part that were picked, in order.
pub(super) struct Found<T> {
    pub(super) rows: Vec<u32>,
    pub(super) what: Vec<T>,
    marks: Marks,
}

/// Tries rows from a first one on by a number of each, and picks those for which that says so, with what became of them:
/// without a branch that depends on which. It is told each row's place among these too.
pub(super) fn pick<N: Copy, T: Copy + Default>(
    numbers: &[N],
    first: usize,
    mut pick: impl FnMut(usize, N) -> (T, bool),
) -> Found<T> {
    let mut marks = Marks::new(first, numbers.len());
    let (mut rows, mut what) = (Vec::with_capacity(numbers.len()), Vec::with_capacity(numbers.len()));
    let (mut some_rows, mut some_what) = ([0_u32; AT_ONCE], [T::default(); AT_ONCE]);
    let mut row = count(first);
    for (list, tried) in numbers.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
        let (mut picked, mut mark) = (0, 0_u64);
        for (i, &number) in list.iter().enumerate() {
            let (one, taken) = pick(tried + i, number);
            // There are never more than were tried; the remainder tells the compiler so.
            #[expect(clippy::indexing_slicing, reason = "below the length")]
            {
                some_rows[picked % AT_ONCE] = row;
                some_what[picked % AT_ONCE] = one;
            }
            picked += usize::from(taken);
            mark |= u64::from(taken) << i;
            row += 1;
        }
        marks.add(mark);
        rows.extend_from_slice(some_rows.get(..picked).unwrap_or_default());
        what.extend_from_slice(some_what.get(..picked).unwrap_or_default());
    }
    Found { rows, what, marks }
}

/// Picks the rows, from a first one on, that are marked: a bit for each. What becomes of the number of each is picked too.
pub(super) fn pick_marked<N: Copy, T: Copy + Default>(
    marked: impl Iterator<Item = u64>,
    first: usize,
    numbers: &[N],
    what: impl Fn(N) -> T,
) -> Found<T> {
    let mut marks = Marks::new(first, numbers.len());
    let (mut rows, mut all) = (Vec::with_capacity(numbers.len()), Vec::with_capacity(numbers.len()));
    let (mut some_rows, mut some) = ([0_u32; AT_ONCE], [T::default(); AT_ONCE]);
    let mut row = count(first);
    for (numbers, marked) in numbers.chunks(AT_ONCE).zip(marked) {
        let mut left = marked & u64::MAX >> (AT_ONCE - numbers.len());
        marks.add(left);
        let picked = left.count_ones() as usize;
        for (to_row, to) in some_rows.iter_mut().zip(&mut some).take(picked) {
            let place = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            *to_row = row.wrapping_add(place);
            *to = numbers.get(place as usize).map_or_else(T::default, |number| what(*number));
        }
        row = row.saturating_add(count(AT_ONCE));
        rows.extend_from_slice(some_rows.get(..picked).unwrap_or_default());
        all.extend_from_slice(some.get(..picked).unwrap_or_default());
    }
    Found { rows, what: all, marks }
}

/// Rows on their way into a list of picked events.
pub(super) struct Picking<'a, T> {
    into: &'a mut Picked<T>,
    with_events: bool,
    parts: Vec<Found<T>>,
}

impl<'a, T: Copy> Picking<'a, T> {
    /// Begins anew.
    pub(super) fn begin(into: &'a mut Picked<T>, with_events: bool) -> Self {
        into.clear();
        Self { into, with_events, parts: Vec::new() }
    }

    /// Adds what was found in the next part of the chunk.
    pub(super) fn add_part(&mut self, found: Found<T>) {
        self.parts.push(found);
    }

    /// Puts all that was found in the order of the journeys, with its times, and with what each event carries.
    pub(super) fn finish(mut self, chunk: &Chunk<'_>, carried: Option<&Carried>) {
        let Self { into, with_events, parts } = &mut self;
        let mut carrying = carried.map(|carried| carried.carry(chunk));
        if let ([found], [part], Some(ends)) = (parts.as_mut_slice(), chunk.parts.as_slice(), chunk.ends_in_one_part())
        {
            part.columns.times.gather(&found.rows, &mut into.times);
            if let Some(carrying) = &mut carrying {
                carrying.add(0, &found.rows, &mut into.carried);
            }
            into.ends.extend(ends.map(|end| found.marks.before(end)));
            into.what = std::mem::take(&mut found.what);
            if *with_events {
                into.events = std::mem::take(&mut found.rows);
            }
            (into.values, into.amounts) = carrying.map(Carrying::into_lists).unwrap_or_default();
            return;
        }
        for (_, spans) in chunk.journeys() {
            for span in spans {
                let place = span.part as usize;
                let (Some(found), Some(part)) = (parts.get(place), chunk.parts.get(place)) else { continue };
                let before = |row| found.marks.before(row) as usize;
                let picked = before(span.first_row())..before(span.end_row());
                let rows = found.rows.get(picked.clone()).unwrap_or_default();
                part.columns.times.gather(rows, &mut into.times);
                if let Some(carrying) = &mut carrying {
                    carrying.add(place, rows, &mut into.carried);
                }
                into.what.extend_from_slice(found.what.get(picked).unwrap_or_default());
                if *with_events {
                    into.events.extend_from_slice(rows);
                }
            }
            into.ends.push(count(into.what.len()));
        }
        (into.values, into.amounts) = carrying.map(Carrying::into_lists).unwrap_or_default();
    }
}

fn count(events: usize) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}
