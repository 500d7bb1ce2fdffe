//! How far journeys came, level by level, for many journeys at once: of each only those events are looked at that can be the first to
//! go on from an event of the level before.

use super::chain::Rules;
use crate::{
    journey::{Flood, highest, offset, places},
    model::Micros,
};

/// The events of many journeys, one journey after the other: a row each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a, T> {
    /// For each step a bit for each row, whether the event serves it.
    pub(super) steps: &'a [Vec<u64>],
    /// A bit for each row with which a journey begins, and for the one behind the last.
    pub(super) starts: &'a [u64],
    /// When the event of a row happened.
    pub(super) time: T,
}

/// How journeys came to one level.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// A bit for each row whose event takes a chain to this level, where none did that began no earlier.
    pub(super) rows: Vec<u64>,
    /// How many such rows come before each word of these.
    before: Vec<u32>,
    /// When the latest such chain of each of these rows began, in order.
    entries: Vec<Micros>,
    /// The rows behind these in their journeys.
    pub(super) behind: Vec<u64>,
    /// Those of these rows whose chain began late enough to go on still.
    pub(super) open: Vec<u64>,
    /// Which of these are the first of their journeys, by their places.
    firsts: Vec<u32>,
    /// All of these rows, in order.
    served: Vec<u32>,
}

/// All levels from the second on, and room that is used for one after the other.
#[derive(Debug, Default)]
pub(super) struct Levels {
    pub(super) list: Vec<Level>,
    pairs: Vec<Pair>,
}

/// An event that may go on from another one of its journey.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// When the chain began.
    entry: Micros,
    /// When the event happened, and its row.
    at: Micros,
    row: u32,
}

impl<T> Rows<'_, T> {
    /// Where a step may be served.
    pub(super) fn step(&self, step: usize) -> &[u64] {
        self.steps.get(step).map_or(&[], Vec::as_slice)
    }
}

impl Rules {
    /// The first moment at which a chain can begin whose window is not over at the end of observation, if there is one.
    pub(super) fn first_open(&self) -> Option<Micros> {
        let window = self.window.filter(|_| self.end < Micros::MAX)?;
        Some(self.end.0.checked_sub(window.micros()).map_or(Micros::MIN, |over| Micros(over + 1)))
    }
}

impl Levels {
    /// Walks all journeys from each level to the next; chains that begin from a moment on are open.
    pub(super) fn walk(&mut self, rules: &Rules, rows: &Rows<'_, impl Fn(usize) -> Micros + Copy>, open: Micros) {
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let window = rules.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        let Self { list, pairs } = self;
        list.resize_with(rules.steps - 1, Level::default);
        for step in 1..rules.steps {
            let (before, here) = list.split_at_mut(step - 1);
            let Some(level) = here.first_mut() else { return };
            let came = before.last().map_or(rows.step(0), |before| &before.rows);
            let (step, starts, time) = (rows.step(step), rows.starts, rows.time);
            match before.last() {
                None => pair_up((came, time), (step, time), starts, pairs),
                Some(before) => {
                    let entry = |row| before.entry_of(row).unwrap_or(Micros::MAX);
                    pair_up((came, entry), (step, time), starts, pairs);
                }
            }
            level.serve(pairs, (window, open), starts.len());
            level.note_firsts(rows.starts);
        }
    }
}

/// Finds the events of a step that may go on from those with which journeys came to the level before. No branch depends on a time, so
/// that many are on their way from memory at once, while the next are found.
///
/// Entries never go back from row to row, so an event goes on from the last of those rows before it. Of several events
/// that go on from the same row the first is the soonest, and the others bring nothing new.
fn pair_up(
    (came, entry_of): (&[u64], impl Fn(usize) -> Micros),
    (step, time): (&[u64], impl Fn(usize) -> Micros),
    starts: &[u64],
    pairs: &mut Vec<Pair>,
) {
    pairs.clear();
    let (mut flood, mut latest) = (Flood::default(), 0);
    for (base, ((&came, &step), &starts)) in (0..).step_by(64).zip(came.iter().zip(step).zip(starts)) {
        if came == 0 && !flood.is_on() {
            continue;
        }
        let first_behind = flood.over(came, starts | step).stopped & step & !starts;
        pairs.extend(places(first_behind).map(|place| {
            let before = came & ((1 << place) - 1);
            let from = if before == 0 { latest } else { base + highest(before) };
            let to = base + place;
            Pair { entry: entry_of(from), at: time(to), row: offset(to) }
        }));
        if came != 0 {
            latest = base + highest(came);
        }
    }
}

impl Level {
    /// When the latest chain began that came here with the event of this row, which is one of those with which any did.
    #[inline]
    pub(super) fn entry_of(&self, row: usize) -> Option<Micros> {
        let (before, rows) = self.before.get(row / 64).zip(self.rows.get(row / 64))?;
        let here = rows & ((1 << (row % 64)) - 1);
        self.entries.get((before + here.count_ones()) as usize).copied()
    }

    /// How many journeys came here.
    pub(super) fn journeys(&self) -> usize {
        self.firsts.len()
    }

    /// For each of these journeys the row with which it came here first, and when the latest chain began that did so.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (usize, Micros)> {
        let first =
            |place: &u32| Some((*self.served.get(*place as usize)? as usize, *self.entries.get(*place as usize)?));
        self.firsts.iter().filter_map(first)
    }

    /// Notes which of some events come soon enough after the entry of the chain from which they go on, in so many words of rows.
    fn serve(&mut self, pairs: &[Pair], (window, first_open): (u64, Micros), words: usize) {
        let Self { rows, entries, open, served, .. } = self;
        for bits in [&mut *rows, open] {
            bits.clear();
            bits.resize(words, 0);
        }
        served.resize(pairs.len(), 0);
        entries.resize(pairs.len(), Micros::MIN);
        // What is not soon enough is written over.
        let mut count = 0;
        for Pair { entry, at, row } in pairs {
            if let (Some(served), Some(own)) = (served.get_mut(count), entries.get_mut(count)) {
                (*served, *own) = (*row, *entry);
            }
            count += usize::from(at.0.wrapping_sub(entry.0).cast_unsigned() <= window);
        }
        served.truncate(count);
        entries.truncate(count);
        for (row, entry) in served.iter().zip(entries) {
            let (word, place) = (*row as usize / 64, row % 64);
            if let (Some(rows), Some(open)) = (rows.get_mut(word), open.get_mut(word)) {
                *rows |= 1 << place;
                *open |= u64::from(*entry >= first_open) << place;
            }
        }
    }

    /// Notes how many of these rows there are up to each word, what is behind them, and which are the first of their journeys.
    fn note_firsts(&mut self, starts: &[u64]) {
        let Self { rows, before, behind, firsts, served, .. } = self;
        before.clear();
        behind.clear();
        let (mut again, mut count) = (Flood::default(), 0);
        for (&rows, &starts) in rows.iter().zip(starts) {
            before.push(count);
            if rows == 0 && !again.is_on() {
                behind.push(0);
                continue;
            }
            behind.push(again.over(rows, starts).passed);
            count += rows.count_ones();
        }
        firsts.resize(served.len(), 0);
        let mut count = 0;
        for (place, row) in (0..).zip(served.iter()) {
            firsts.get_mut(count).into_iter().for_each(|first| *first = place);
            let behind = behind.get(*row as usize / 64).map_or(0, |word| word >> (row % 64) & 1);
            count += usize::from(behind == 0);
        }
        firsts.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::{Order, Ties},
        *,
    };

    #[test]
    fn windows_are_open_as_the_rules_say() {
        let mut random = fastrand::Rng::with_seed(3);
        let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, 5, i64::MAX - 1, i64::MAX];
        for _ in 0..2_000 {
            let mut any = || if random.bool() { times[random.usize(0..times.len())] } else { random.i64(-9..9) };
            let (end, at, length) = (any(), any(), any());
            let window = crate::model::Window::try_from(TimeDelta::microseconds(length.saturating_abs())).ok();
            let rules = Rules {
                steps: 2,
                order: Order::Ordered,
                ties: Ties::Either,
                window,
                longest: window,
                gaps: Vec::new(),
                end: Micros(end),
                exclusions: Vec::new(),
            };
            let wanted = rules.is_open(rules.until(1, Micros(at), Micros(at)));
            assert_eq!(rules.first_open().is_some_and(|first| at >= first.0), wanted, "{end} {at} {window:?}");
        }
    }
}
