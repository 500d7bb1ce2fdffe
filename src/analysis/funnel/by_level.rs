//! The most common funnel of all, also one for each channel, counted for many journeys at once: level by level, and of each only
//! those events are looked at that can be the first to go on from an event of the level before.

use std::sync::PoisonError;

use super::{
    Breakdown, Count, Funnel, Order, Ties,
    groups::{Counts, KeyRef},
    levels::{Level, Levels, Rows},
    pending::Waits,
    state::{BoundFunnel, FunnelState},
};
use crate::{
    analysis::pieces::LARGE_ROOM,
    journey::{At, Bitmaps, Flood, LIMIT_BITMAPS, first_within, highest, journey_of, last_within, offset, places},
    model::Micros,
};

/// Where journeys are in one batch, and how far they came.
struct Batch<'a, T> {
    rows: Rows<'a, T>,
    /// From the second level on.
    levels: &'a [Level],
}

/// Room for one batch at a time.
#[derive(Debug, Default)]
pub(super) struct Room {
    levels: Levels,
    /// The steps of the events that carry one value.
    steps: Vec<Vec<u64>>,
    lasts: Vec<Last>,
    /// A bit for the last row of each journey whose last entry is open.
    open: Vec<u64>,
    lengths: Vec<u64>,
}

/// A journey by its last row, and its last entry.
#[derive(Debug, Clone, Copy)]
struct Last {
    row: u32,
    entry: u32,
}

impl Funnel {
    /// Whether nothing but steps and a window decides, and nothing but customers and times is counted.
    pub(super) fn is_counted_by_level(&self) -> bool {
        let is_plain = self.order == Order::Ordered && !matches!(self.ties, Ties::Within(_)) && self.gaps.is_empty();
        let is_simple = self.optional.is_empty() && self.exclusions.is_empty() && self.hold.is_empty();
        let is_counted = self.count == Count::Customers && !self.value && !self.customers;
        (2..=LIMIT_BITMAPS).contains(&self.steps.len())
            && is_plain
            && is_simple
            && is_counted
            && self.trend.is_none()
            && self.breakdown.as_ref().is_none_or(Breakdown::is_each_channel)
    }
}

impl BoundFunnel {
    /// Takes in the journeys that some bits stand for.
    pub(super) fn visit_bitmaps(&self, state: &mut FunnelState, bitmaps: &Bitmaps) {
        for tied in bitmaps.tied() {
            self.visit_bits_of(state, bitmaps, tied);
        }
        match bitmaps.times() {
            At::Plain(times) => {
                self.count_by_value(state, bitmaps, |row| times.get(row).copied().unwrap_or(Micros::MAX));
            }
            At::Packed(times) => self.count_by_value(state, bitmaps, |row| Micros(times.get(row).cast_signed())),
        }
    }

    /// Takes in one of these journeys, by its place.
    pub(super) fn visit_bits_of(&self, state: &mut FunnelState, bitmaps: &Bitmaps, journey: usize) {
        let mut room = std::mem::take(&mut state.room);
        for value in bitmaps.values() {
            self.visit_whole(state, key(value), &bitmaps.picked(journey, value, &mut room));
        }
        state.room = room;
    }

    fn count_by_value(&self, state: &mut FunnelState, bitmaps: &Bitmaps, time: impl Fn(usize) -> Micros + Copy) {
        let pool = || self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = pool().pop().unwrap_or_default();
        let starts = bitmaps.starts();
        for value in bitmaps.values() {
            let mut steps = std::mem::take(&mut room.steps);
            let of_value = bitmaps.conditions_of(value, &mut steps);
            self.count_by_level(state, key(value), Rows { steps: of_value, starts, time }, &mut room);
            room.steps = steps;
        }
        if starts.len().saturating_mul(64) <= LARGE_ROOM {
            pool().push(room);
        }
    }

    fn count_by_level(
        &self,
        state: &mut FunnelState,
        key: KeyRef<'_>,
        rows: Rows<'_, impl Fn(usize) -> Micros + Copy>,
        room: &mut Room,
    ) {
        let Room { levels, lasts, open: is_open, lengths, .. } = room;
        rows.find_lasts(lasts);
        if lasts.is_empty() {
            return;
        }
        let open = self.rules.first_open();
        levels.walk(&self.rules, &rows, open.unwrap_or(Micros::MAX));
        let batch = Batch { rows, levels: &levels.list };
        let counts = state.groups.of(key);
        batch.count_reached(lasts.len(), counts, lengths);
        if let Some(open) = open {
            rows.find_open(open, lasts, is_open);
            self.count_open(&batch, (open, is_open), counts);
        }
    }

    /// Puts those journeys right whose time was not over: they were counted as dropped, and as settled. Entries are open from a
    /// moment on; these journeys, told by their last rows, have such.
    fn count_open<T: Fn(usize) -> Micros>(
        &self,
        batch: &Batch<'_, T>,
        (open, is_open): (Micros, &[u64]),
        counts: &mut Counts,
    ) {
        let Some(second) = batch.levels.first() else { return };
        let mut further = Flood::default();
        let words = is_open.iter().zip(&second.open).zip(batch.rows.starts).enumerate();
        for (word, ((&is_open, &second_open), &starts)) in words {
            let further = further.over(second_open, starts).passed | second_open;
            if is_open == 0 {
                continue;
            }
            let waiting = batch.count_pending(open, (word, is_open), counts);
            for place in places(waiting & !further) {
                let since = batch.rows.first_open_entry(word * 64 + place, open);
                self.count_waiting(counts, Waits { level: 1, since });
            }
            for place in places(waiting & further) {
                let waits = batch.furthest_open(word * 64 + place);
                waits.into_iter().for_each(|waits| self.count_waiting(counts, waits));
            }
        }
    }

    fn count_waiting(&self, counts: &mut Counts, waits: Waits) {
        if let Some(step) = counts.steps.get_mut(waits.level - 1) {
            step.waiting += 1;
            step.waited.add_between(waits.since, self.scope.end);
        }
    }
}

/// The group of a value.
fn key(value: Option<u32>) -> KeyRef<'static> {
    value.map_or(KeyRef::Nothing, KeyRef::Number)
}

impl<T: Fn(usize) -> Micros> Rows<'_, T> {
    /// Finds the journeys that have an entry.
    fn find_lasts(&self, lasts: &mut Vec<Last>) {
        lasts.clear();
        let (mut entered, mut latest) = (Flood::default(), 0);
        let next = self.starts.iter().skip(1).chain(std::iter::once(&0));
        let words = self.step(0).iter().zip(self.starts).zip(next);
        for (base, ((&entries, &starts), &next)) in (0..).step_by(64).zip(words) {
            let ends = starts >> 1 | next << 63;
            let has_entry = (entered.over(entries, starts).passed | entries) & ends;
            lasts.extend(places(has_entry).map(|place| {
                let until = entries & u64::MAX >> (63 - place);
                let entry = if until == 0 { latest } else { base + offset(highest(until)) };
                Last { row: base + offset(place), entry }
            }));
            if entries != 0 {
                latest = base + offset(highest(entries));
            }
        }
    }

    /// Finds those of some journeys whose last entry is open, by their last rows.
    fn find_open(&self, open: Micros, lasts: &[Last], is_open: &mut Vec<u64>) {
        is_open.clear();
        is_open.resize(self.starts.len(), 0);
        for Last { row, entry } in lasts {
            let bit = u64::from((self.time)(*entry as usize) >= open) << (*row % 64);
            is_open.get_mut(*row as usize / 64).into_iter().for_each(|word| *word |= bit);
        }
    }

    /// The first open entry of the journey of a row, up to that row; the last of those is open.
    fn first_open_entry(&self, row: usize, open: Micros) -> Micros {
        let bits = |bits: &[u64], word: usize| bits.get(word).copied().unwrap_or_default();
        let (mut word, mut mask, mut first) = (row / 64, u64::MAX >> (63 - row % 64), Micros::MAX);
        loop {
            let (entries, starts) = (bits(self.step(0), word) & mask, bits(self.starts, word) & mask);
            // Those from the start on, where there is one.
            let mut entries = if starts == 0 { entries } else { entries >> highest(starts) << highest(starts) };
            while entries != 0 {
                let place = highest(entries);
                let at = (self.time)(word * 64 + place);
                if at < open {
                    return first;
                }
                first = at;
                entries ^= 1 << place;
            }
            if starts != 0 || word == 0 {
                return first;
            }
            (word, mask) = (word - 1, u64::MAX);
        }
    }
}

impl<T: Fn(usize) -> Micros> Batch<'_, T> {
    /// Counts open journeys as pending that did not come to the end; these are given back. All are told by their last rows in a word.
    fn count_pending(&self, open: Micros, (word, is_open): (usize, u64), counts: &mut Counts) -> u64 {
        let is_reached = |level: &Level| {
            let bits = |bits: &[u64]| bits.get(word).copied().unwrap_or_default();
            bits(&level.rows) | bits(&level.behind)
        };
        let converted = self.levels.iter().fold(is_open, |bits, level| bits & is_reached(level));
        let waiting = is_open & !converted;
        let (mut here, mut levels) = (waiting, self.levels.iter());
        for step in &mut counts.steps {
            let further = levels.next().map_or(0, |level| here & is_reached(level));
            let (came, went) = (u64::from(here.count_ones()), u64::from(further.count_ones()));
            step.reached_settled -= came;
            step.pending += came - went;
            step.dropped -= came - went;
            if further == 0 {
                break;
            }
            here = further;
        }
        // One that came to the end is settled if its own chain's time is over.
        for place in places(converted) {
            let journey = journey_of(self.rows.starts, word * 64 + place);
            let chain = self.levels.last().and_then(|level| level.entry_of(first_within(&level.rows, &journey)?));
            if chain.is_none_or(|entry| entry >= open) {
                let steps = counts.steps.iter_mut().take(self.levels.len() + 1);
                steps.for_each(|step| step.reached_settled -= 1);
            }
        }
        waiting
    }

    /// Where the chains of the journey of a row are furthest that are open, if any came to the second level.
    fn furthest_open(&self, row: usize) -> Option<Waits> {
        let journey = journey_of(self.rows.starts, row);
        let level = self.levels.iter().take_while(|level| last_within(&level.open, &journey).is_some()).count();
        let first = first_within(&self.levels.get(level.checked_sub(1)?)?.open, &journey)?;
        Some(Waits { level: level + 1, since: (self.rows.time)(first) })
    }

    /// Counts who came to each level, as if the time of all were over.
    fn count_reached(&self, entered: usize, counts: &mut Counts, lengths: &mut Vec<u64>) {
        let further = self.levels.iter().map(Level::journeys);
        let reached = std::iter::once(entered).chain(further).take_while(|reached| *reached > 0);
        let reached: Vec<u64> = reached.map(|reached| reached as u64).collect();
        let all = self.levels.len() + 1;
        let steps = counts.steps_up_to(reached.len());
        for ((step, place), here) in steps.iter_mut().zip(1..).zip(&reached) {
            step.reached += here;
            step.reached_settled += here;
            if place < all {
                step.dropped += here - reached.get(place).copied().unwrap_or_default();
            }
        }
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let length = |(row, entry): (usize, Micros)| (self.rows.time)(row).0.wrapping_sub(entry.0).cast_unsigned();
        for (step, level) in steps.iter_mut().skip(1).zip(self.levels) {
            lengths.clear();
            lengths.extend(level.firsts().map(length));
            step.time.add_all(lengths.iter().copied());
        }
        for (row, _) in self.levels.last().into_iter().flat_map(Level::firsts) {
            let entry = first_within(self.rows.step(0), &journey_of(self.rows.starts, row));
            let entry = entry.map_or(Micros::MAX, &self.rows.time);
            counts.since_first_entry.add_between(entry, (self.rows.time)(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::{
        BreakdownFrom, Channel, Comparison, Condition, Event, Journeys, Scope, Segment,
        analysis::{Analysis, Binder, Bound},
        error::{InvalidPlan, Result},
        journey::{Journey, Names},
        testing::World,
    };

    /// A funnel whose journeys are visited one by one.
    struct OneByOne<'a>(&'a Funnel);

    impl Analysis for OneByOne<'_> {
        type Bound = BoundOneByOne;
        fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundOneByOne, InvalidPlan> {
            self.0.bind(binder).map(BoundOneByOne)
        }
    }

    struct BoundOneByOne(BoundFunnel);

    impl Bound for BoundOneByOne {
        type State = FunnelState;
        type Report = crate::FunnelReport;
        fn start(&self) -> FunnelState {
            self.0.start()
        }
        fn visit(&self, state: &mut FunnelState, journey: &Journey<'_>) {
            self.0.visit(state, journey);
        }
        fn merge(&self, state: &mut FunnelState, other: FunnelState) {
            self.0.merge(state, other);
        }
        fn finish(&self, state: FunnelState, names: &Names) -> Result<crate::FunnelReport> {
            self.0.finish(state, names)
        }
    }

    /// Funnels over the touchpoints of worlds, some of which serve several steps.
    fn plan(random: &mut fastrand::Rng) -> Funnel {
        let names = ["product_view", "add_to_cart", "purchase", "ad_click"];
        let steps: Vec<Condition> = (0..random.usize(2..6))
            .map(|step| {
                let name = names[if random.u8(0..5) > 0 { step % names.len() } else { random.usize(0..names.len()) }];
                let touchpoint = Condition::touchpoint(name).unwrap();
                match random.u8(0..9) {
                    0 => touchpoint.or(Condition::touchpoint(names[random.usize(0..names.len())]).unwrap()),
                    1 => touchpoint.and(Condition::channel(Channel::Web)),
                    2 => touchpoint.or(Condition::property("p", Comparison::Exists(true))),
                    _ => touchpoint,
                }
            })
            .collect();
        let funnel = Funnel::ordered(steps);
        let funnel = if random.bool() { funnel } else { funnel.within(TimeDelta::hours(random.i64(1..200))) };
        let funnel = if random.bool() { funnel } else { funnel.ties(Ties::LaterOnly) };
        let each = Breakdown::channel().from(BreakdownFrom::Each);
        let funnel = if random.bool() { funnel } else { funnel.breakdown(each) };
        funnel.build().unwrap()
    }

    fn scope(random: &mut fastrand::Rng, events: &[Event]) -> Scope {
        let scope = Scope::all();
        let end: DateTime<Utc> = events[random.usize(0..events.len())].occurred_at();
        match random.u8(0..10) {
            0 => scope.as_of(end),
            1 => scope.as_of(end + TimeDelta::days(random.i64(0..9))),
            2 => scope.filter(Condition::channel(Channel::Web)),
            3 => scope.customers((0..5).map(|_| events[random.usize(0..events.len())].customer().clone())),
            4 => scope.segment(Segment::did("purchase").build().unwrap()),
            _ => scope,
        }
    }

    #[test]
    fn many_journeys_at_once_are_the_same_as_one_by_one() {
        let mut reached = [0; 6];
        for seed in 0..1_500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let customers = random.usize(1..80);
            let events = if random.bool() { random.usize(1..400) } else { customers * random.usize(1..40) };
            // Few instants are many ties, and many none.
            let instants = if random.bool() { 20 } else { 1 << random.u32(4..30) };
            let world =
                World::new(seed).customers(customers).events(events).instants(instants).span(TimeDelta::days(9));
            let events = if random.bool() { world.plain().make() } else { world.make() };
            let (plan, scope) = (plan(&mut random), scope(&mut random, &events));
            let journeys = if random.bool() {
                Journeys::of(events).unwrap()
            } else {
                Journeys::in_chunks(events, random.usize(1..300)).unwrap()
            };
            let ask = || journeys.query().scope(scope.clone());
            let wanted = ask().run(&OneByOne(&plan)).unwrap();
            let found = ask().run(&plan).unwrap();
            assert_eq!(found, wanted, "seed {seed}");
            for (step, reached) in found.steps.iter().zip(&mut reached) {
                *reached += step.customers;
            }
        }
        assert!(reached.iter().take(4).all(|reached| *reached > 1_000), "{reached:?}");
    }
}
