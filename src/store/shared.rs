//! What the handles of a store and its background thread share.

use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::Utc;

use super::{
    Receipt, Snapshot, StoreOptions,
    fresh::Fresh,
    ids::Ids,
    index::Index,
    log::Log,
    segment::Segment,
    snapshot::View,
    witness::{Head, Witness},
};
use crate::{
    error::{ErrorKind, Result},
    journey::{Names, Row},
    model::{Event, Micros},
};

/// Lock order: `writer` before `queue` and `view`; `index` before `writer`; `witness` alone.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) log: Log,
    pub(super) names: Names,
    pub(super) queue: Mutex<Vec<Pending>>,
    writer: Mutex<Writer>,
    view: Mutex<Arc<View>>,
    index: Mutex<Index>,
    witness: Mutex<Witness>,
    /// Rung when the background thread has something to do.
    bell: Condvar,
    work: Mutex<Work>,
    /// Rung when a seal has made room.
    room: Condvar,
    is_dirty: AtomicBool,
    /// Held as long as the store is open.
    folder_lock: Mutex<Option<File>>,
}

/// An append that waits for its turn.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) events: Vec<Event>,
    pub(super) answer: Arc<Mutex<Option<Result<Receipt>>>>,
}

/// What appending changes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) head: Head,
    /// The head that is known to be on the disk.
    pub(super) synced: Head,
    pub(super) ids: Ids,
    pub(super) fresh: Fresh,
    pub(super) segments: Vec<Arc<Segment>>,
    last_time: Option<Micros>,
    recorded_at: Micros,
    /// Why the last seal failed, if it did.
    pub(super) seal_failed: Option<String>,
}

/// What the background thread is asked for.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) stop: bool,
    pub(super) seal: bool,
}

impl Writer {
    pub(super) fn new(head: Head, index: &Index) -> Self {
        let last_time = index.segments().iter().filter_map(|segment| segment.time_range()).map(|(_, last)| last).max();
        Self {
            head,
            synced: head,
            ids: Ids::new(index.ids().to_vec()),
            fresh: Fresh::default(),
            segments: index.segments().to_vec(),
            last_time,
            recorded_at: Micros::MIN,
            seal_failed: None,
        }
    }

    /// The time, never before an earlier one of this store.
    pub(super) fn now(&mut self) -> Micros {
        self.recorded_at = self.recorded_at.max(Utc::now().into());
        self.recorded_at
    }

    /// Goes on from the time of an entry of the log.
    pub(super) fn note_time(&mut self, recorded_at: Option<Micros>) {
        self.recorded_at = self.recorded_at.max(recorded_at.unwrap_or(Micros::MIN));
    }

    /// Takes in coded events up to a head.
    pub(super) fn take_in(&mut self, head: Head, rows: Vec<Row>, bytes: usize) {
        self.last_time = self.last_time.max(rows.iter().map(|row| row.time).max());
        self.head = head;
        self.fresh.push(rows, bytes);
    }

    fn view(&self) -> View {
        View {
            segments: self.segments.clone(),
            fresh: self.fresh.runs().to_vec(),
            head: self.head,
            last_time: self.last_time,
        }
    }
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "each part of a store is made by its own file")]
    pub(super) fn new(
        dir: PathBuf,
        options: StoreOptions,
        log: Log,
        names: Names,
        writer: Writer,
        index: Index,
        witness: Witness,
        folder_lock: File,
    ) -> Self {
        Self {
            dir,
            options,
            log,
            names,
            queue: Mutex::default(),
            view: Mutex::new(Arc::new(writer.view())),
            writer: Mutex::new(writer),
            index: Mutex::new(index),
            witness: Mutex::new(witness),
            bell: Condvar::new(),
            work: Mutex::default(),
            room: Condvar::new(),
            is_dirty: AtomicBool::new(false),
            folder_lock: Mutex::new(Some(folder_lock)),
        }
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Shows questions what the writer holds now.
    pub(super) fn publish(&self, writer: &Writer) {
        *lock(&self.view) = Arc::new(writer.view());
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&lock(&self.view)), self.names.clone(), self.log.clone())
    }

    /// Tells the background thread of unsynced entries, and of enough fresh ones to seal.
    pub(super) fn wake_if_needed(&self, writer: &Writer) {
        let seal = writer.fresh.is_full(self.options.fresh_events);
        if seal || !self.is_dirty.swap(true, Ordering::Relaxed) {
            lock(&self.work).seal |= seal;
            self.bell.notify_one();
        }
    }

    /// Waits while too many events are fresh, unless they cannot be sealed.
    pub(super) fn wait_for_room(&self, mut writer: MutexGuard<'_, Writer>) {
        while writer.fresh.is_overfull(self.options.fresh_events)
            && writer.seal_failed.is_none()
            && !lock(&self.work).stop
        {
            writer = self.room.wait(writer).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Refuses an append for which there is no room, since sealing failed; and asks for another try.
    pub(super) fn check_room(&self, writer: &Writer) -> Result<()> {
        match &writer.seal_failed {
            Some(reason) if writer.fresh.is_overfull(self.options.fresh_events) => {
                lock(&self.work).seal = true;
                self.bell.notify_one();
                let reason = format!("fresh events cannot be sealed into the index: {reason}");
                Err(ErrorKind::Poisoned { reason }.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn make_room(&self) {
        self.room.notify_all();
    }

    /// Waits for work, or for the time to sync and witness what was appended.
    pub(super) fn wait_for_work(&self) -> Work {
        const SOON: std::time::Duration = std::time::Duration::from_secs(1);
        let mut work = lock(&self.work);
        let mut waited = false;
        loop {
            if work.stop || work.seal || waited && self.is_dirty.load(Ordering::Relaxed) {
                let seal = std::mem::take(&mut work.seal);
                return Work { stop: work.stop, seal };
            }
            if self.is_dirty.load(Ordering::Relaxed) {
                let (guard, timeout) = self.bell.wait_timeout(work, SOON).unwrap_or_else(PoisonError::into_inner);
                (work, waited) = (guard, timeout.timed_out());
            } else {
                work = self.bell.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Lets others open the folder.
    pub(super) fn unlock_folder(&self) {
        lock(&self.folder_lock).take();
    }

    pub(super) fn stop(&self) {
        lock(&self.work).stop = true;
        self.bell.notify_all();
        // Whoever looked before this waits by now, and hears the bell.
        drop(self.writer());
        self.make_room();
    }

    /// Syncs what was appended, and notes it in the witness.
    pub(super) fn sync_and_witness(&self) -> Result<()> {
        self.is_dirty.store(false, Ordering::Relaxed);
        let (head, synced) = {
            let writer = self.writer();
            (writer.head, writer.synced)
        };
        if head != synced {
            self.log.engine().sync()?;
            let mut writer = self.writer();
            if writer.synced.seq < head.seq {
                writer.synced = head;
            }
        }
        lock(&self.witness).note(head)
    }
}

/// Locks, also after a panic of another thread: what our locks guard is changed in one step, or checked before use.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
