//! The most common funnel of all, counted for many journeys at once: level by level, and of each only those events are looked at
//! that can be the first to go on from an event of the level before.

use std::sync::PoisonError;

use super::{
    Count, Funnel, Order, Ties,
    chain::Rules,
    groups::{Counts, StepState},
    pending::Waits,
    state::{BoundFunnel, FunnelState},
};
use crate::{
    journey::{At, Bitmaps, Flood, LIMIT_BITMAPS, first_within, highest, last_within, places},
    model::Micros,
};

/// How journeys came to one level.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// A bit for each row whose event takes a chain to this level, where none did that began no earlier.
    rows: Vec<u64>,
    /// For each of these rows when the latest such chain began; for others anything.
    entries: Vec<Micros>,
    /// The rows behind these in their journeys.
    behind: Vec<u64>,
    /// Those of these rows whose chain began late enough to go on still.
    open: Vec<u64>,
    /// The first of these rows of each journey.
    firsts: Vec<usize>,
}

/// Where journeys are in one batch, and how far they came.
struct Batch<'a, T> {
    bitmaps: &'a Bitmaps,
    time: T,
    /// From the second level on.
    levels: &'a [Level],
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
            && self.breakdown.is_none()
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
                self.count_by_level(state, bitmaps, |row| times.get(row).copied().unwrap_or(Micros::MAX));
            }
            At::Packed(times) => self.count_by_level(state, bitmaps, |row| Micros(times.get(row).cast_signed())),
        }
    }

    /// Takes in one of these journeys, by its place.
    pub(super) fn visit_bits_of(&self, state: &mut FunnelState, bitmaps: &Bitmaps, journey: usize) {
        let mut room = std::mem::take(&mut state.room);
        self.visit_whole(state, &bitmaps.picked(journey, &mut room));
        state.room = room;
    }

    fn count_by_level(&self, state: &mut FunnelState, bitmaps: &Bitmaps, time: impl Fn(usize) -> Micros + Copy) {
        let entered = count_journeys(bitmaps.condition(0), bitmaps.starts());
        if entered == 0 {
            return;
        }
        let open = self.rules.first_open();
        let room = || self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut levels = room().pop().unwrap_or_default();
        levels.resize_with(self.rules.steps - 1, Level::default);
        self.rules.walk_levels_of(bitmaps, time, open.unwrap_or(Micros::MAX), &mut levels);
        let batch = Batch { bitmaps, time, levels: &levels };
        let counts = state.groups.nothing();
        batch.count_reached(entered, counts);
        if let Some(open) = open {
            self.count_open(&batch, open, counts);
        }
        room().push(levels);
    }

    /// Puts those journeys right whose time was not over: they were counted as dropped, and as settled. Entries are open from a
    /// moment on.
    fn count_open<T: Fn(usize) -> Micros>(&self, batch: &Batch<'_, T>, open: Micros, counts: &mut Counts) {
        let Some(second) = batch.levels.first() else { return };
        let starts = batch.bitmaps.starts();
        let words = batch.bitmaps.condition(0).iter().zip(starts).zip(starts.iter().skip(1).chain(std::iter::once(&0)));
        let (mut entered, mut further) = (Flood::default(), Flood::default());
        let mut latest = 0;
        for (word, ((&entries, &starts), &next)) in words.enumerate() {
            // A journey is told by its last row.
            let ends = starts >> 1 | next << 63;
            let has_entry = (entered.over(entries, starts).passed | entries) & ends;
            let is_open = |place: usize| {
                let until = entries & u64::MAX >> (63 - place);
                let last = if until == 0 { latest } else { word * 64 + highest(until) };
                (batch.time)(last) >= open
            };
            let is_open = places(has_entry).fold(0, |bits, place| bits | u64::from(is_open(place)) << place);
            if entries != 0 {
                latest = word * 64 + highest(entries);
            }
            let second_open = second.open.get(word).copied().unwrap_or_default();
            let further = further.over(second_open, starts).passed | second_open;
            if is_open != 0 {
                let waiting = batch.count_pending(open, (word, is_open), counts);
                for place in places(waiting & !further) {
                    let since = batch.first_open_entry(word * 64 + place, open);
                    self.count_waiting(counts, Waits { level: 1, since });
                }
                for place in places(waiting & further) {
                    let waits = batch.furthest_open(word * 64 + place);
                    waits.into_iter().for_each(|waits| self.count_waiting(counts, waits));
                }
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

impl<T: Fn(usize) -> Micros> Batch<'_, T> {
    /// Counts open journeys as pending that did not come to the end; these are given back. All are told by their last rows in a word.
    fn count_pending(&self, open: Micros, (word, is_open): (usize, u64), counts: &mut Counts) -> u64 {
        let is_reached = |level: &Level| {
            let bits = |bits: &[u64]| bits.get(word).copied().unwrap_or_default();
            bits(&level.rows) | bits(&level.behind)
        };
        let converted = self.levels.iter().fold(is_open, |bits, level| bits & is_reached(level));
        let mut here = is_open;
        for (step, next) in counts.steps.iter_mut().zip(self.levels.iter().map(Some).chain([None])) {
            let further = next.map_or(0, |level| here & is_reached(level));
            step.reached_settled -= u64::from((here & !converted).count_ones());
            let pending = u64::from((here & !further & !converted).count_ones());
            step.pending += pending;
            step.dropped -= pending;
            here = further;
        }
        // One that came to the end is settled if its own chain's time is over.
        for place in places(converted) {
            let journey = self.bitmaps.journey_of(word * 64 + place);
            let chain = self.levels.last().and_then(|level| level.entry_of(first_within(&level.rows, &journey)?));
            if chain.is_none_or(|entry| entry >= open) {
                let steps = counts.steps.iter_mut().take(self.levels.len() + 1);
                steps.for_each(|step| step.reached_settled -= 1);
            }
        }
        is_open & !converted
    }

    /// The first open entry of the journey of a row, up to that row; the last of those is open.
    fn first_open_entry(&self, row: usize, open: Micros) -> Micros {
        let bits = |bits: &[u64], word: usize| bits.get(word).copied().unwrap_or_default();
        let (mut word, mut mask, mut first) = (row / 64, u64::MAX >> (63 - row % 64), Micros::MAX);
        loop {
            let (entries, starts) =
                (bits(self.bitmaps.condition(0), word) & mask, bits(self.bitmaps.starts(), word) & mask);
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

    /// Where the chains of the journey of a row are furthest that are open, if any came to the second level.
    fn furthest_open(&self, row: usize) -> Option<Waits> {
        let journey = self.bitmaps.journey_of(row);
        let level = self.levels.iter().take_while(|level| last_within(&level.open, &journey).is_some()).count();
        let first = first_within(&self.levels.get(level.checked_sub(1)?)?.open, &journey)?;
        Some(Waits { level: level + 1, since: (self.time)(first) })
    }

    /// Counts who came to each level, as if the time of all were over.
    fn count_reached(&self, entered: u64, counts: &mut Counts) {
        let further = self.levels.iter().map(|level| level.firsts.len() as u64);
        let reached: Vec<u64> = std::iter::once(entered).chain(further).take_while(|reached| *reached > 0).collect();
        let all = self.levels.len() + 1;
        let steps = counts.steps_up_to(reached.len());
        for ((step, place), here) in steps.iter_mut().zip(1..).zip(&reached) {
            step.reached += here;
            step.reached_settled += here;
            if place < all {
                step.dropped += here - reached.get(place).copied().unwrap_or_default();
            }
        }
        for (step, level) in steps.iter_mut().skip(1).zip(self.levels) {
            self.add_times(level, step);
        }
        let converted = self.levels.last().map_or(&[][..], |level| &level.firsts);
        for row in converted {
            let entry = first_within(self.bitmaps.condition(0), &self.bitmaps.journey_of(*row));
            let entry = entry.map_or(Micros::MAX, &self.time);
            counts.since_first_entry.add_between(entry, (self.time)(*row));
        }
    }

    /// How long it took to come to a level.
    fn add_times(&self, level: &Level, step: &mut StepState) {
        for row in &level.firsts {
            let at = (self.time)(*row);
            step.time.add_between(level.entry_of(*row).unwrap_or(at), at);
        }
    }
}

impl Level {
    fn entry_of(&self, row: usize) -> Option<Micros> {
        self.entries.get(row).copied()
    }
}

impl Rules {
    /// The first moment at which a chain can begin whose window is not over at the end of observation, if there is one.
    fn first_open(&self) -> Option<Micros> {
        let window = self.window.filter(|_| self.end < Micros::MAX)?;
        Some(self.end.0.checked_sub(window.micros()).map_or(Micros::MIN, |over| Micros(over + 1)))
    }

    /// Walks all journeys from each level to the next.
    fn walk_levels_of(
        &self,
        bitmaps: &Bitmaps,
        time: impl Fn(usize) -> Micros + Copy,
        open: Micros,
        levels: &mut [Level],
    ) {
        for step in 1..self.steps {
            let (before, here) = levels.split_at_mut(step - 1);
            let Some(level) = here.first_mut() else { return };
            let places = (bitmaps.condition(step), bitmaps.starts());
            match before.last() {
                None => self.walk_level((bitmaps.condition(0), time), places, (time, open), level),
                Some(came) => {
                    let entry = |row| came.entry_of(row).unwrap_or(Micros::MAX);
                    self.walk_level((&came.rows, entry), places, (time, open), level);
                }
            }
        }
    }

    /// Walks from the rows at which journeys came to the level before, each with the entry of its chain, to this one.
    ///
    /// Entries never go back from row to row, so an event goes on from the last of those rows before it. Of several events
    /// that go on from the same row the first is the soonest, and the others bring nothing new.
    #[inline]
    fn walk_level(
        &self,
        (came, entry_of): (&[u64], impl Fn(usize) -> Micros),
        (condition, starts): (&[u64], &[u64]),
        (time, first_open): (impl Fn(usize) -> Micros, Micros),
        level: &mut Level,
    ) {
        // Later moments are never before entries, so the difference fits, taken modulo 2^64.
        let window = self.window.map_or(u64::MAX, |window| window.micros().cast_unsigned());
        let Level { rows, entries, behind, open, firsts } = level;
        rows.clear();
        behind.clear();
        open.clear();
        firsts.clear();
        if entries.len() < condition.len() * 64 {
            entries.resize(condition.len() * 64, Micros::MIN);
        }
        let (mut going_on, mut again) = (Flood::default(), Flood::default());
        let mut latest = 0;
        let words = came.iter().zip(condition).zip(starts).zip(entries.as_chunks_mut::<64>().0);
        for (base, (((&came, &condition), &starts), entries)) in (0..).step_by(64).zip(words) {
            let first_behind = going_on.over(came, starts | condition).stopped & condition & !starts;
            let (mut served, mut is_open) = (0, 0);
            for place in places(first_behind) {
                let before = came & ((1 << place) - 1);
                let from = if before == 0 { latest } else { base + highest(before) };
                let (at, entry) = (time(base + place), entry_of(from));
                // Places are below 64; the remainder tells the compiler so.
                #[expect(clippy::indexing_slicing, reason = "below the length")]
                let own = &mut entries[place % 64];
                *own = entry;
                served |= u64::from(at.0.wrapping_sub(entry.0).cast_unsigned() <= window) << place;
                is_open |= u64::from(entry >= first_open) << place;
            }
            rows.push(served);
            open.push(served & is_open);
            let passed = again.over(served, starts).passed;
            behind.push(passed);
            firsts.extend(places(served & !passed).map(|place| base + place));
            if came != 0 {
                latest = base + highest(came);
            }
        }
    }
}

/// How many journeys have any of some rows.
fn count_journeys(rows: &[u64], starts: &[u64]) -> u64 {
    let mut again = Flood::default();
    let firsts = rows.iter().zip(starts).map(|(rows, starts)| rows & !again.over(*rows, *starts).passed);
    firsts.map(|firsts| u64::from(firsts.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::{
        Channel, Comparison, Condition, Event, Journeys, Scope, Segment,
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
                    2 => touchpoint.or(Condition::property("plan", Comparison::Exists(true))),
                    _ => touchpoint,
                }
            })
            .collect();
        let funnel = Funnel::ordered(steps);
        let funnel = if random.bool() { funnel } else { funnel.within(TimeDelta::hours(random.i64(1..200))) };
        let funnel = if random.bool() { funnel } else { funnel.ties(Ties::LaterOnly) };
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
