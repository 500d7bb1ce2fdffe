//! The most common funnel of all, walked over events that are left where they stand: of all entries only those are looked at
//! that an event of a later step may go on from, and no time is unpacked that does not matter.

use std::hint::select_unpredictable;

use super::{
    Count, Funnel, FunnelOutcome, Order, Ties,
    chain::{Reached, Rules},
    pending::Waits,
    state::{BoundFunnel, FunnelState},
    untied::FEW,
};
use crate::{
    journey::{At, EventsInPlace, LIMIT_IN_PLACE},
    model::Micros,
};

/// How each level was first reached.
#[derive(Debug)]
struct Levels {
    /// Bit s: the first s steps were taken by some chain.
    ready: u64,
    reached: [Reached<()>; FEW],
}

impl Levels {
    fn new() -> Self {
        let nowhere = Reached { entry: Micros::MIN, at: Micros::MIN, trail: () };
        Self { ready: 0, reached: std::array::from_fn(|_| nowhere.clone()) }
    }

    fn reached(&self) -> &[Reached<()>] {
        self.reached.get(..(self.ready >> 1).trailing_ones() as usize).unwrap_or_default()
    }
}

impl Funnel {
    /// Whether nothing but steps and a window decides, and nothing but customers and times is counted.
    pub(super) fn is_walked_in_place(&self) -> bool {
        let is_plain = self.order == Order::Ordered && !matches!(self.ties, Ties::Within(_)) && self.gaps.is_empty();
        let is_simple = self.optional.is_empty() && self.exclusions.is_empty() && self.hold.is_empty();
        let is_counted = self.count == Count::Customers && !self.value && !self.customers;
        (2..=LIMIT_IN_PLACE).contains(&self.steps.len())
            && is_plain
            && is_simple
            && is_counted
            && self.trend.is_none()
            && self.breakdown.is_none()
    }
}

impl BoundFunnel {
    /// Takes in a journey that is one funnel.
    #[inline]
    pub(super) fn visit_in_place(&self, state: &mut FunnelState, events: &EventsInPlace<'_>) {
        let is_done = match events.times() {
            At::Plain(times) => {
                self.count_in_place(state, events, |row| times.get(row).copied().unwrap_or(Micros::MAX))
            }
            At::Packed(times) => self.count_in_place(state, events, |row| Micros(times.get(row).cast_signed())),
        };
        if !is_done {
            let mut room = std::mem::take(&mut state.room);
            self.visit_whole(state, &events.picked(&mut room));
            state.room = room;
        }
    }

    /// False if it takes the general way, and nothing was counted.
    #[inline]
    fn count_in_place(
        &self,
        state: &mut FunnelState,
        events: &EventsInPlace<'_>,
        time: impl Fn(usize) -> Micros + Copy,
    ) -> bool {
        let mut levels = Levels::new();
        if !self.rules.walk_in_place(events, time, &mut levels) {
            return false;
        }
        let reached = levels.reached();
        let (Some(furthest), Some(last)) = (reached.last(), last_entry(events)) else { return true };
        let latest = time(last);
        let open_until = self.rules.until(1, latest, latest);
        let outcome = self.outcome_of(reached.len(), open_until, false);
        let mut waits = None;
        if outcome == FunnelOutcome::Pending {
            waits = if self.is_open_entry(furthest.entry) {
                Waits::at_last(reached)
            } else {
                let mut open = Levels::new();
                let since = self.first_open_entry(events, time, last);
                if !self.rules.walk_in_place(&events.since(since), time, &mut open) {
                    return false;
                }
                Waits::at_last(open.reached())
            };
        }
        self.count(state.groups.nothing(), reached, (outcome, waits), None);
        true
    }

    /// The first of the entries that can still go on, of which this is the last.
    fn first_open_entry(&self, events: &EventsInPlace<'_>, time: impl Fn(usize) -> Micros, last: usize) -> usize {
        let mut open = last;
        for marks in events.marks().rev() {
            let mut left = marks.first;
            while left != 0 {
                let place = highest(left);
                left ^= 1 << place;
                if !self.is_open_entry(time(marks.base + place)) {
                    return open;
                }
                open = marks.base + place;
            }
        }
        open
    }
}

impl Rules {
    /// Walks a journey without ties among the events that matter; false if it has one, and takes the general way.
    ///
    /// Only events of later steps are visited. Each finds its chain at the level of the first step by the entry right before it, for
    /// of all earlier ones that one is the latest. Each looks whether that entry, or whatever event comes right after, is of the
    /// same instant.
    #[inline]
    fn walk_in_place(&self, events: &EventsInPlace<'_>, time: impl Fn(usize) -> Micros, levels: &mut Levels) -> bool {
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        // The entries of the chains that began last of those that came to a level.
        let mut entries = [Micros::MIN; FEW];
        let Levels { ready, reached } = levels;
        // The row of the latest entry, or as long as there is none of the latest event that matters.
        let mut latest = None;
        // The moment of the event that was visited last, if no other came after it yet: the next may share it.
        let mut unfollowed = None;
        for marks in events.marks() {
            let (first, any) = (marks.first, marks.any());
            if any == 0 {
                continue;
            }
            let row_of = |place: u32| marks.base + place as usize;
            if unfollowed.is_some_and(|at| time(row_of(any.trailing_zeros())) == at) {
                return false;
            }
            unfollowed = None;
            if *ready >> self.steps & 1 == 1 {
                return true;
            }
            let mut from = u64::MAX;
            if *ready == 0 {
                // All, if there is no entry.
                let before_first = (first & first.wrapping_neg()).wrapping_sub(1);
                if any & before_first != 0 {
                    latest = Some(marks.base + highest(any & before_first));
                }
                if first == 0 {
                    continue;
                }
                let row = row_of(first.trailing_zeros());
                let entry = time(row);
                if latest.is_some_and(|row| time(row) == entry) {
                    return false;
                }
                latest = Some(row);
                reached[0] = Reached { entry, at: entry, trail: () };
                *ready = 0b10;
                from = !before_first;
            }
            let mut is_tied = false;
            let mut left = marks.others & from;
            while left != 0 {
                let place = left.trailing_zeros();
                left &= left - 1;
                let (below, row) = ((1 << place) - 1, row_of(place));
                let (earlier, later) = (first & below, any & !below & !(1 << place));
                let before = latest.unwrap_or_default();
                let own = select_unpredictable(earlier != 0, marks.base + highest(earlier | 1), before);
                let next = row_of((later | 1 << 63).trailing_zeros());
                let (at, entry) = (time(row), time(own));
                is_tied |= at == entry && row != own;
                is_tied |= at == time(next) && later != 0;
                unfollowed = (later == 0).then_some(at);
                // The first entry of all serves as such only.
                let mut steps = if row == own { 0 } else { events.word(row) & !1 };
                entries[1] = entry;
                // From the last step to the first, so that the event serves one step of a chain only.
                while steps != 0 {
                    let step = 7 - steps.leading_zeros() as usize;
                    steps ^= 1 << step;
                    // Steps are fewer than levels; the remainder tells the compiler so.
                    #[expect(clippy::indexing_slicing, reason = "below the length")]
                    let entry = entries[step % FEW];
                    let is_in_window = at.0.wrapping_sub(entry.0).cast_unsigned() <= window;
                    let serves = (*ready >> step & 1) & u64::from(is_in_window);
                    let is_new = serves & !(*ready >> (step + 1)) == 1;
                    #[expect(clippy::indexing_slicing, reason = "below the length")]
                    let (next, level) = (&mut entries[(step + 1) % FEW], &mut reached[step % FEW]);
                    // Entries of a level never go back, so this one is the latest that came further.
                    *next = select_unpredictable(serves == 1, entry, *next);
                    level.entry = select_unpredictable(is_new, entry, level.entry);
                    level.at = select_unpredictable(is_new, at, level.at);
                    *ready |= serves << (step + 1);
                }
                if *ready >> self.steps & 1 == 1 {
                    break;
                }
            }
            if is_tied {
                return false;
            }
            if first != 0 {
                latest = Some(marks.base + highest(first));
            }
        }
        true
    }
}

fn last_entry(events: &EventsInPlace<'_>) -> Option<usize> {
    let marks = events.marks().rev().find(|marks| marks.first != 0)?;
    Some(marks.base + highest(marks.first))
}

/// The place of the highest bit of a word that is not 0.
fn highest(word: u64) -> usize {
    63 - word.leading_zeros().min(63) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{Column, InPlace, Packed, byte_in_place, pack},
        model::Window,
    };

    #[test]
    fn it_is_the_same_as_picked_and_walked() {
        let mut random = fastrand::Rng::with_seed(8);
        let (mut walked, mut tied) = (0, 0);
        for round in 0..20_000 {
            let steps = random.usize(2..=LIMIT_IN_PLACE);
            let window =
                (round % 5 > 0).then(|| Window::try_from(chrono::TimeDelta::microseconds(random.i64(0..60))).unwrap());
            let rules = Rules {
                steps,
                order: Order::Ordered,
                ties: if random.bool() { Ties::Either } else { Ties::LaterOnly },
                window,
                longest: window,
                gaps: Vec::new(),
                end: Micros(0),
                exclusions: Vec::new(),
            };
            let rows = if random.bool() { random.usize(1..20) } else { random.usize(1..300) };
            let ties = random.u8(0..3) == 0;
            let one_in = random.u64(1..12);
            let mut now = 0;
            let (mut times, mut words) = (Vec::new(), Vec::new());
            for _ in 0..rows {
                now += if ties { random.i64(0..9) } else { random.i64(1..9) };
                times.push(Micros(now));
                let word = match random.u64(0..2 * one_in) {
                    0 => random.u64(0..1 << steps),
                    few if few < 4 => 1 << random.usize(0..steps),
                    _ => 0,
                };
                words.push(word);
            }
            let mut in_place = InPlace::default();
            let start = random.usize(0..rows);
            let ends = [start, rows].map(|end| end as u32 + 3).into_iter();
            let all_times: Vec<Micros> = [Micros(0); 3].into_iter().chain(times.iter().copied()).collect();
            let packed = pack(&all_times.iter().map(|at| at.0.cast_unsigned()).collect::<Vec<_>>(), true);
            let packed = Column::Packed(Packed::new(packed, all_times.len()).unwrap());
            let all_times = if random.bool() { packed } else { Column::Plain(all_times) };
            let bytes = words.iter().map(|word| byte_in_place(*word)).collect();
            in_place.fill(bytes, ends, (&all_times, 3));
            let matched: Vec<_> = times.into_iter().zip(words).skip(start).filter(|(_, word)| *word != 0).collect();
            let (times, words): (Vec<_>, Vec<_>) = matched.into_iter().unzip();
            let wanted = rules.walk::<()>(&times, &words, |_| true);
            let mut levels = Levels::new();
            let events = in_place.journey(1).unwrap();
            let is_walked = match events.times() {
                At::Plain(at) => {
                    rules.walk_in_place(&events, |row| at.get(row).copied().unwrap_or(Micros::MAX), &mut levels)
                }
                At::Packed(at) => rules.walk_in_place(&events, |row| Micros(at.get(row).cast_signed()), &mut levels),
            };
            if !is_walked {
                assert!(!times.is_sorted_by(|a, b| a < b));
                tied += 1;
                continue;
            }
            walked += 1;
            let pairs = |list: &[Reached<()>]| list.iter().map(|level| (level.entry, level.at)).collect::<Vec<_>>();
            assert_eq!(pairs(levels.reached()), pairs(&wanted.reached), "{times:?} {words:?} {:?}", rules.window);
        }
        assert!(walked > 15_000 && tied > 500, "{walked} {tied}");
    }
}
