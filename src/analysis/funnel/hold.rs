//! Properties that are held constant: a journey becomes one list of events for each value that they have.

use super::chain::{Rules, Trail, Walk};
use crate::{
    journey::{Matched, MatchedRoom, NO_VALUE},
    model::Micros,
};

/// The events of one value, and with them those that meet an exclusion: each with the conditions that count of it.
pub(super) type Part = Vec<(usize, u64)>;

/// Parts a journey's events by the values of some properties, each of which they carry in one of these lists. Who has no value
/// of one of them has no part.
pub(super) fn part(rules: &Rules, events: &Matched<'_>, held: &[Matched<'_>]) -> Vec<Part> {
    let values = |place: usize| held.iter().map(move |held| held.carried.get(place).copied().unwrap_or(NO_VALUE));
    let exclusions = rules.all_exclusions();
    let all = 0..events.words.len();
    let has = |mask: u64| move |place: &usize| events.words.get(*place).is_some_and(|word| word & mask != 0);
    let excluding: Part = all.clone().filter(has(exclusions)).map(|place| (place, exclusions)).collect();
    let mut serving: Vec<usize> =
        all.filter(has(!exclusions)).filter(|place| values(*place).all(|value| value != NO_VALUE)).collect();
    serving.sort_by(|a, b| values(*a).cmp(values(*b)));
    let join = |alike: &[usize]| {
        let mut part: Part = alike.iter().map(|&place| (place, u64::MAX)).chain(excluding.iter().copied()).collect();
        // An event that is in both comes first with all its conditions.
        part.sort_unstable_by_key(|&(place, mask)| (place, !mask));
        part.dedup_by_key(|(place, _)| *place);
        part
    };
    serving.chunk_by(|a, b| values(*a).eq(values(*b))).map(join).collect()
}

impl Rules {
    /// The first event ever that may begin a chain in some part.
    pub(super) fn first_ever_of_parts(&self, events: &Matched<'_>, parts: &[Part]) -> Option<Micros> {
        let mut room = MatchedRoom::default();
        let firsts = parts.iter().filter_map(|part| {
            let events = events.at(part.iter().copied(), &mut room);
            self.first_ever(events.times.iter().zip(events.words))
        });
        firsts.min()
    }

    /// Walks each part of a journey; what comes of it are the best chains of all.
    pub(super) fn walk_parts<T: Trail>(
        &self,
        events: &Matched<'_>,
        parts: &[Part],
        enters: impl Fn(Micros) -> bool,
    ) -> Walk<T> {
        let (mut all, mut room) = (Walk::default(), MatchedRoom::default());
        for part in parts {
            let events = events.at(part.iter().copied(), &mut room);
            let mut walk = self.walk::<T>(events.times, events.words, &enters);
            walk.reached.iter_mut().for_each(|reached| reached.trail.place_in(part));
            all.take_in(walk);
        }
        all
    }
}
