//! The background thread: seals fresh journeys, merges files, folds blocks of the log, syncs, and keeps the witness.
//!
//! All of it is done by this one thread, in steps: a seal that is due comes before the next step of a merge, and a close
//! waits for one step and not for a merge.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::Utc;

use super::{
    backup::BackingUp,
    coming,
    log::{Folded, Wanted},
    merging::Merging,
    rewriting::Rewriting,
    shared::Shared,
    tiers::Urgency,
};
use crate::{
    error::{ErrorKind, Result},
    model::Micros,
};

/// After a seal that failed, the next is tried no sooner than this.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_millis(500) };
/// The same for a copy of the log that nobody waits for.
const LONG_PAUSE: Duration = Duration::from_mins(10);
/// Whoever is erased is gone from the disk after this time at the latest, in microseconds.
const DAY: i64 = 86_400_000_000;
/// While a store is settled, seals may come that nobody waits for.
const MOST_MERGES_TO_SETTLE: u32 = 4;

/// What the thread is at.
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, independently")]
struct Worker<'a> {
    shared: &'a Shared,
    merging: Option<Merging>,
    /// The copy of the log that is under way.
    rewriting: Option<Rewriting>,
    backing_up: Option<BackingUp>,
    /// Whether one is to be made; and when one may be made again that nobody asked for, after one that failed.
    wants_rewriting: bool,
    rewrite_after: Option<Instant>,
    /// Whether the settling has yet to see if the log's files are too large.
    may_be_loose: bool,
    /// Whether there may be something to merge or to fold.
    has_more: bool,
    is_idle: bool,
    /// The settling that is under way, and how many merges it has begun.
    settling: Option<u64>,
    merges_to_settle: u32,
}

/// Works until it is told to stop. A merge or copy that is under way then is given up, and leaves nothing behind.
pub(super) fn run(shared: &Shared) {
    let _watch = Watch(shared);
    let mut worker = Worker {
        shared,
        merging: None,
        rewriting: None,
        backing_up: None,
        wants_rewriting: false,
        rewrite_after: None,
        may_be_loose: false,
        has_more: true,
        is_idle: false,
        settling: None,
        merges_to_settle: 0,
    };
    loop {
        let asked = shared.work.next(worker.has_more);
        if asked.stop {
            return;
        }
        worker.is_idle = asked.idle || worker.is_idle && !asked.seal;
        worker.has_more |= asked.idle || asked.backup;
        if asked.settle.is_some() && worker.settling.is_none() {
            (worker.settling, worker.merges_to_settle) = (asked.settle, 0);
            worker.has_more = true;
            if let Err(error) = worker.begin_settling(asked.rewrite) {
                worker.end_settling(Err(error));
            }
        } else if asked.seal && shared.is_full() {
            worker.has_more = true;
            // The failure is kept where appending and `stats` see it; the next append asks again.
            if seal(shared).is_err() {
                thread::sleep(PAUSE);
            }
        }
        if asked.idle || asked.witness {
            worker.compact_if_due();
        }
        if asked.witness {
            // If this fails the engine refuses later writes, and they say why.
            let _ = shared.sync_and_witness();
        }
        if worker.has_more {
            worker.step();
        }
    }
}

impl Worker<'_> {
    fn urgency(&self) -> Urgency {
        match (self.settling, self.is_idle) {
            (Some(_), _) if self.merges_to_settle < MOST_MERGES_TO_SETTLE => Urgency::Settle,
            (None, true) => Urgency::Idle,
            _ => Urgency::Busy,
        }
    }

    /// Does a bounded part of what there is to do.
    fn step(&mut self) {
        let was_rewriting = self.wants_rewriting || self.rewriting.is_some();
        match self.try_step() {
            Ok(true) => {}
            Ok(false) => {
                (self.has_more, self.is_idle) = (false, false);
                self.end_settling(Ok(()));
            }
            // What cannot be merged or folded stays as it is, and is tried again after the next seal.
            Err(error) => {
                (self.has_more, self.is_idle) = (false, false);
                self.rewrite_after = was_rewriting.then(|| Instant::now() + LONG_PAUSE);
                (self.merging, self.wants_rewriting) = (None, false);
                self.end_settling(Err(error));
            }
        }
    }

    /// Begins to compact a store of which a customer was erased, when it is idle or has waited long enough, or that has
    /// what is no longer to be kept.
    fn compact_if_due(&mut self) {
        let shared = self.shared;
        let now = Micros::from(Utc::now());
        let erased = shared.erasures().pending_since();
        let is_due = erased.is_some_and(|since| self.is_idle || now.0.saturating_sub(since.0) > DAY);
        let may = self.rewrite_after.is_none_or(|after| Instant::now() > after) && self.rewriting.is_none();
        let rules = shared.rules().clone();
        if may && (is_due || rules.are_due(self.is_idle, || shared.first_time(self.is_idle), now)) {
            (self.wants_rewriting, self.has_more) = (true, true);
        }
    }

    fn begin_settling(&mut self, rewrite: bool) -> Result<()> {
        self.wants_rewriting = rewrite;
        self.may_be_loose = !rewrite;
        // A copy of the log has an index of its own.
        if self.wants_rewriting { Ok(()) } else { seal(self.shared) }
    }

    fn end_settling(&mut self, outcome: Result<()>) {
        if let Some(settling) = self.settling.take() {
            self.shared.work.end_settling(settling, outcome);
        }
    }

    /// Goes on with a backup, or begins the next; false if none is wanted.
    fn back_up(&mut self) -> bool {
        let shared = self.shared;
        if let Some(under_way) = self.backing_up.take() {
            self.backing_up = under_way.step(shared);
            return true;
        }
        let Some(request) = shared.work.next_backup() else { return false };
        self.backing_up = BackingUp::begin(shared, request);
        true
    }

    /// False if there is nothing left to do.
    fn try_step(&mut self) -> Result<bool> {
        let shared = self.shared;
        // One copy at a time: what is left out of one depends on what the other has done.
        if self.rewriting.is_none() && self.back_up() {
            return Ok(true);
        }
        if std::mem::take(&mut self.wants_rewriting) {
            // It would be made of what is replaced.
            self.merging = None;
            shared.work.begin_rewriting();
            self.rewriting = Some(Rewriting::begin(shared)?);
        }
        if let Some(mut rewriting) = self.rewriting.take() {
            if rewriting.step(shared)? {
                self.rewriting = Some(rewriting);
            } else {
                // If the rules of retention were changed meanwhile, it begins again.
                self.wants_rewriting = !rewriting.finish(shared)?;
                seal(shared)?;
            }
            return Ok(true);
        }
        if let Some(mut merging) = self.merging.take() {
            if merging.step()? {
                self.merging = Some(merging);
            } else {
                let merged = merging.finish()?;
                shared.check_place()?;
                let mut index = shared.index();
                index.end_merge(&merged)?;
                shared.writer().ids.turn_to(index.ids());
                shared.tail().turn_to(index.segments());
            }
            return Ok(true);
        }
        shared.check_place()?;
        let urgency = self.urgency();
        self.merging = shared.index().begin_merge(urgency)?;
        if self.merging.is_some() {
            self.merges_to_settle += u32::from(urgency == Urgency::Settle);
            return Ok(true);
        }
        if shared.index().merge_names(&shared.names, urgency)? {
            return Ok(true);
        }
        let (from, to) = {
            let index = shared.index();
            (index.fold_from(), index.through().seq)
        };
        let wanted = if self.settling.is_some() { Wanted::All } else { Wanted::FullBlocks };
        let folded = shared.log.fold(from, to, wanted)?;
        let (Folded::UpTo(next) | Folded::All(next)) = folded;
        shared.index().note_folded(next);
        if matches!(folded, Folded::UpTo(_)) {
            return Ok(true);
        }
        // What blocks take is known once they are folded.
        let is_to_be_seen = self.settling.is_some() && std::mem::take(&mut self.may_be_loose);
        self.wants_rewriting = is_to_be_seen && shared.log.is_loose()?;
        Ok(self.wants_rewriting)
    }
}

/// If the thread panics, nobody waits for it any more.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let reason = "the background thread stopped".to_owned();
            self.0.tail().seal_failed = Some(ErrorKind::Poisoned { reason }.into());
            self.0.work.stop();
            self.0.make_room();
        }
    }
}

/// Seals all fresh journeys into a segment.
pub(super) fn seal(shared: &Shared) -> Result<()> {
    let sealed = seal_fresh(shared);
    shared.tail().seal_failed = sealed.as_ref().err().map(|error| error.again("sealing"));
    shared.make_room();
    sealed
}

fn seal_fresh(shared: &Shared) -> Result<()> {
    let mut index = shared.index();
    let (fresh, ids, head) = {
        let mut writer = shared.writer();
        (shared.tail().fresh.begin_sealing(), writer.ids.begin_sealing(), writer.head)
    };
    if fresh.is_empty() {
        return Ok(());
    }
    // The index must not go further than what the log is sure to hold.
    let is_whole = shared.coming.check();
    let sealed = is_whole
        .and_then(|()| shared.check_place())
        .and_then(|()| shared.log.engine().sync())
        .and_then(|()| index.seal(&fresh, &ids, head, &shared.names));
    if let Err(error) = sealed {
        shared.tail().fresh.give_up_sealing();
        return Err(error);
    }
    let ids_sealed = shared.writer().ids.end_sealing(index.ids());
    let sealed = shared.tail().end_sealing(index.segments());
    // Letting go of many events takes a while; nobody waits for it.
    drop((ids_sealed, sealed));
    Ok(())
}

/// The thread of a store.
pub(super) fn spawn(shared: &Arc<Shared>) -> std::io::Result<thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name("journeylog".to_owned()).spawn(move || {
        thread::scope(|scope| {
            let rows = thread::Builder::new().name("journeylog-rows".to_owned());
            // Without this thread its work is done by those who append.
            let _ = rows.spawn_scoped(scope, || coming::run(&shared));
            run(&shared);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Event, store::StoreOptions};

    /// While a seal is under way appends may ask for it again; what has come since is too little for one.
    #[test]
    fn a_seal_that_was_asked_for_twice_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().fresh_events(50).open(dir.path()).unwrap();
        let event =
            |second: i64| Event::at(chrono::DateTime::from_timestamp(second, 0).unwrap(), "c", "t").build().unwrap();
        store.append_batch((0..50).map(event).collect::<Vec<_>>()).unwrap();
        while store.stats().unwrap().fresh_events > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        store.append(event(50)).unwrap();
        store.shared().work.ask_to_seal();
        thread::sleep(Duration::from_millis(200));
        let stats = store.stats().unwrap();
        assert_eq!((stats.segments, stats.fresh_events), (1, 1));
        store.append_batch((51..100).map(event).collect::<Vec<_>>()).unwrap();
        while store.stats().unwrap().fresh_events > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
