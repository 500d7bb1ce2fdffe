//! Writing the log anew into a fresh folder, with an index of its own, while appending and asking go on.
//!
//! An engine gives no room back and erases nothing: only a copy is as small as what it holds. The copy takes the old
//! one's place in one step, the replacing of the mark.

use std::mem;

use chrono::Utc;

use super::{
    copying::{Copying, Made},
    files,
    index::Index,
    mark::Mark,
    replay::Replay,
    shared::Shared,
    witness::Head,
};
use crate::{
    codec::LogEntry,
    error::Result,
    journey::CustomerNo,
    model::{Event, Micros},
};

/// So often the copy runs after what is appended meanwhile; then appending waits until it is there.
const CHASES: u32 = 32;
/// So few entries are copied while appending waits.
const FEW: u64 = 4096;

/// A copy of the log that is under way, and the index of it. If it is dropped before it takes the old one's place, it
/// leaves no folder.
#[derive(Debug)]
pub(super) struct Rewriting {
    copying: Copying,
    replay: Replay,
    /// By their numbers, whether customers have an event in the copy.
    seen: Vec<bool>,
    chases: u32,
    made: Made,
}

impl Rewriting {
    pub(super) fn begin(shared: &Shared) -> Result<Self> {
        // After a mark of which it is not known whether it counts, its folders are left alone.
        shared.writer().check()?;
        shared.check_place()?;
        let mark = shared.mark().next(Head::default());
        let (log_dir, index_dir) = (mark.log(&shared.dir), mark.index(&shared.dir));
        // Names of folders that an earlier try left are free again.
        for folder in [&log_dir, &index_dir] {
            files::remove_folder(folder)?;
        }
        let made = Made(vec![log_dir.clone(), index_dir.clone()]);
        let (engine, _) = (shared.open_engine.0)(&log_dir)?;
        let index = Index::begin_anew(&index_dir)?;
        let replay = Replay::begin(index, Head::default(), &shared.names, &shared.options)?;
        let (retention, now) = (shared.rules().retention.clone(), Micros::from(Utc::now()));
        let copying = Copying::begin(shared, engine)?.keeping(retention, now);
        Ok(Self { copying, replay, seen: Vec::new(), chases: 0, made })
    }

    /// Copies some more; false if it has come so far that [`finish`](Self::finish) takes but a moment.
    pub(super) fn step(&mut self, shared: &Shared) -> Result<bool> {
        let copied = self.copy(shared)?;
        if copied > FEW {
            return Ok(true);
        }
        self.chases += 1;
        let behind = shared.writer().head.seq.saturating_sub(self.copying.head().seq);
        if behind <= FEW || self.chases >= CHASES {
            // The one that appending waits for is short then.
            self.copying.log().engine().sync()?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Copies the next blocks, and says how many entries they have.
    fn copy(&mut self, shared: &Shared) -> Result<u64> {
        let copied = self.copying.step(shared, u64::MAX, |block| self.replay.number(block))?;
        let Some((block, rows)) = copied else { return Ok(0) };
        // Of an id that another is linked to there may be no event yet.
        let events = block.entries.iter().filter_map(LogEntry::as_event);
        let linked = events.filter_map(Event::linked_to).filter_map(|id| shared.names.find_customer(id));
        for customer in rows.customers().chain(linked).map(CustomerNo::index) {
            if customer >= self.seen.len() {
                self.seen.resize(customer + 1, false);
            }
            if let Some(seen) = self.seen.get_mut(customer) {
                *seen = true;
            }
        }
        self.replay.take_in(&block, rows)?;
        Ok(block.entries.len() as u64)
    }

    /// Copies what is left while nobody appends, and takes the old one's place. If that fails, the store is as it was; so it is
    /// if the copy lacks what is to be kept after all, which gives false.
    pub(super) fn finish(mut self, shared: &Shared) -> Result<bool> {
        let mut index = shared.index();
        let mut writer = shared.writer();
        while self.copy(shared)? > 0 {}
        shared.check_place()?;
        self.copying.check(writer.head)?;
        let mut erasures = shared.erasures();
        let mut rules = shared.rules();
        let Some(applied) = self.copying.rules(&rules) else { return Ok(false) };
        let (compacted, mut changes) = self.copying.erasures(&erasures, Micros::from(Utc::now()));
        changes.push(applied.put());
        let (log, head) = (self.copying.log(), self.copying.head());
        log.engine().apply(changes)?;
        log.engine().sync()?;
        let old = *shared.mark();
        let next = old.next(head);
        if let Err(error) = next.write(&shared.dir) {
            // If it has its name already, or that is not known, a power cut may leave either: then nothing may be added to one
            // of them.
            if !Mark::read(&shared.dir).is_ok_and(|mark| mark == Some(old)) {
                self.made.0.clear();
                writer.refuse(error.to_string());
            }
            return Err(error);
        }
        // From here on the new ones count.
        *shared.mark() = next;
        self.made.0 = vec![old.log(&shared.dir), old.index(&shared.dir)];
        shared.log.turn_to(log);
        (*erasures, *rules) = (compacted, applied);
        self.replay.tail.set_erased(erasures.pending_events());
        self.replay.writer.follow(&writer, head);
        mem::swap(&mut *index, &mut self.replay.index);
        mem::swap(&mut *writer, &mut self.replay.writer);
        mem::swap(&mut *shared.tail(), &mut self.replay.tail);
        // Of whom nothing is left, the id is not kept either; snapshots taken before do not show them without.
        let gone = shared.names.read().customers_not_seen(&self.seen);
        shared.names.write().forget_all(gone.iter().copied());
        drop((writer, erasures, rules));
        let named_anew = if gone.is_empty() { Ok(()) } else { index.write_names_anew(&shared.names) };
        drop(index);
        shared.make_room();
        // Lets go of the old ones before their folders are removed.
        let Self { copying, replay, mut made, .. } = self;
        drop((copying, replay));
        shared.witness().set(head)?;
        made.remove().and(named_anew).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::{Retention, Store};

    #[test]
    fn a_copy_that_lacks_what_is_to_be_kept_after_all_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.append(Event::at(Utc::now() - TimeDelta::days(9), "ann", "view")).unwrap();
        store.append(Event::at(Utc::now(), "bob", "view")).unwrap();
        let rule = Retention::new().events(TimeDelta::days(5)).unwrap();
        for (after, left) in [(Retention::new(), 2), (rule.clone(), 1)] {
            store.set_retention(rule.clone()).unwrap();
            let mut rewriting = Rewriting::begin(store.shared()).unwrap();
            while rewriting.step(store.shared()).unwrap() {}
            store.set_retention(after).unwrap();
            assert_eq!(rewriting.finish(store.shared()).unwrap(), left == 1);
            assert_eq!((store.len(), store.customer("ann").unwrap().is_some()), (left, left == 2));
        }
        let names = store.shared().names.read().starting_at(crate::journey::NameKind::Customer, 0).count();
        assert_eq!((names, store.stats().unwrap().customers), (2, 1), "of ann the number is left");
    }
}
