//! Picking rows out of the parts of a chunk, and putting them in the order of its journeys.

use std::ops::Range;

use crate::journey::{AT_ONCE, Chunk, Column, Number, Picked};

/// Rows of one part that were picked, in order.
pub(super) struct Found<T> {
    rows: Vec<u32>,
    what: Vec<T>,
}

impl<T> Found<T> {
    /// The same, in a column of which what was tried begins at this row.
    pub(super) fn shifted(mut self, first: usize) -> Self {
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        self.rows.iter_mut().for_each(|row| *row = row.saturating_add(first));
        self
    }
}

/// Tries each row by its number in a column, and picks those for which that says so: without a branch that depends on
/// which.
pub(super) fn pick_rows<N: Number, T: Copy + Default>(
    column: &Column<N>,
    rows: Range<usize>,
    pick: impl Fn(usize, u64) -> (T, bool),
) -> Found<T> {
    let mut found = Found { rows: Vec::with_capacity(rows.len()), what: Vec::with_capacity(rows.len()) };
    let mut first = rows.start;
    let (mut places, mut whats) = ([0_u32; AT_ONCE], [T::default(); AT_ONCE]);
    column.for_lists(rows, |list| {
        let mut count = 0;
        for (i, &number) in list.iter().enumerate() {
            let (what, taken) = pick(first + i, number);
            // There are never more than were tried; the remainder tells the compiler so.
            #[expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "below the length")]
            {
                places[count % AT_ONCE] = (first + i) as u32;
                whats[count % AT_ONCE] = what;
            }
            count += usize::from(taken);
        }
        found.rows.extend_from_slice(places.get(..count).unwrap_or_default());
        found.what.extend_from_slice(whats.get(..count).unwrap_or_default());
        first += list.len();
    });
    found
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

    /// Puts all that was found in the order of the journeys, with its times.
    pub(super) fn finish(mut self, chunk: &Chunk<'_>) {
        let Self { into, with_events, parts } = &mut self;
        if let ([found], [part], Some(ends)) = (parts.as_mut_slice(), chunk.parts.as_slice(), chunk.ends_in_one_part())
        {
            part.columns.times.gather(&found.rows, &mut into.times);
            let mut next = 0;
            for end in ends {
                while found.rows.get(next).is_some_and(|&row| row < end) {
                    next += 1;
                }
                into.ends.push(count(next));
            }
            into.what = std::mem::take(&mut found.what);
            if *with_events {
                into.events = std::mem::take(&mut found.rows);
            }
            return;
        }
        let mut next = vec![0; parts.len()];
        for (_, spans) in chunk.journeys() {
            for span in spans {
                let place = span.part as usize;
                let (Some(found), Some(part), Some(next)) =
                    (parts.get(place), chunk.parts.get(place), next.get_mut(place))
                else {
                    continue;
                };
                let from = *next;
                let end = span.end_row();
                while found.rows.get(*next).is_some_and(|&row| row < end) {
                    *next += 1;
                }
                let rows = found.rows.get(from..*next).unwrap_or_default();
                part.columns.times.gather(rows, &mut into.times);
                into.what.extend_from_slice(found.what.get(from..*next).unwrap_or_default());
                if *with_events {
                    into.events.extend_from_slice(rows);
                }
            }
            into.ends.push(count(into.what.len()));
        }
    }
}

fn count(events: usize) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}
