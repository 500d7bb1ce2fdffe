//! Attempts: the funnel of a customer's first entry, and, each time that it has ended, that of the next entry after that. What
//! stops an attempt, and others at its moment, may be that entry; so each moment is looked at twice at most.

use super::chain::{Rules, Trail, Walk, Walker};
use crate::model::Micros;

impl Rules {
    /// Walks each attempt of a journey. `enters` says whether an event at that moment may be an entry.
    pub(super) fn walk_attempts<T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        enters: impl Fn(Micros) -> bool,
        mut take: impl FnMut(Walk<T>),
    ) {
        let is_entry = |(at, word): (&Micros, &u64)| word & 1 == 1 && enters(*at);
        let mut from = 0;
        loop {
            let (left, left_words) = (times.get(from..).unwrap_or_default(), words.get(from..).unwrap_or_default());
            let Some(first) = left.iter().zip(left_words).position(is_entry) else { return };
            let Some(&entry) = left.get(first) else { return };
            // Others of its instant may stand before it.
            from += left.partition_point(|at| *at < entry);
            let events = times.iter().zip(words).enumerate().skip(from).map(|(event, (&at, &word))| (event, at, word));
            let (walk, over) = self.walk_attempt(entry, events, |_, at| if at == entry { u64::MAX } else { !1 });
            take(walk);
            let Some(over) = over else { return };
            from = over;
        }
    }

    /// Walks events, each with its place and its word of conditions, from the instant of an entry on, and says from which place on
    /// the next attempt may begin, if this one is over. `may` says of each event and its moment which steps it may serve, as bits.
    pub(super) fn walk_attempt<T: Trail>(
        &self,
        entry: Micros,
        events: impl Iterator<Item = (usize, Micros, u64)>,
        may: impl Fn(usize, Micros) -> u64,
    ) -> (Walk<T>, Option<usize>) {
        let mut walker = Walker::new(self);
        let (mut group, mut now) = (Vec::new(), entry);
        // Where the events of this moment begin, if it is later than the entry.
        let mut first = None;
        for (event, at, word) in events {
            if at != now {
                walker.step(now, &mut group);
                if first.is_some() && walker.is_stopped(now) {
                    break;
                }
                (now, first) = (at, Some(event));
                if walker.is_over(at) {
                    return (walker.finish(), first);
                }
            }
            group.extend(self.seen(event, word, may(event, at)));
        }
        walker.step(now, &mut group);
        let stopped = first.filter(|_| walker.is_stopped(now));
        (walker.finish(), stopped)
    }
}
