//! Attempts: the funnel of a customer's first entry, and, each time that it has ended, that of the next entry after that.

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
            from = self.walk_attempt(times, words, (from, entry), &mut take);
        }
    }

    /// Walks the attempt that begins at a place and a moment, and says at which place it is over.
    fn walk_attempt<T: Trail>(
        &self,
        times: &[Micros],
        words: &[u64],
        (start, entry): (usize, Micros),
        take: &mut impl FnMut(Walk<T>),
    ) -> usize {
        let mut walker = Walker::new(self);
        let (mut group, mut now, mut end) = (Vec::new(), entry, times.len());
        for (event, (&at, &word)) in times.iter().zip(words).enumerate().skip(start) {
            if at != now {
                walker.step(now, &mut group);
                now = at;
                if walker.is_over(at) {
                    end = event;
                    break;
                }
            }
            group.extend(self.seen(event, word, if at == entry { u64::MAX } else { !1 }));
        }
        walker.step(now, &mut group);
        take(walker.finish(Some(entry)));
        end
    }
}
