//! What the handles of a store and its background thread share.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use chrono::Utc;

use super::{
    Snapshot, StoreOptions,
    coming::Coming,
    engine::Engine,
    erasures::Erasures,
    folder_lock::FolderLock,
    ids::Ids,
    index::Index,
    locks::{Held, Ordered, Place, lock},
    log::Log,
    mark::Mark,
    named_segments::NamedSegments,
    queue::Queue,
    reopening::Reopening,
    replay::Replay,
    retention::Rules,
    sync::{Condvar, Mutex},
    tail::Tail,
    witness::{Head, Witness},
    work::Work,
};
use crate::{
    codec::BlockCutter,
    error::{ErrorKind, Result},
    journey::Names,
    model::Micros,
};

/// A store's folder, which is ours.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) mark: Mark,
    pub(super) lock: FolderLock,
    pub(super) named: NamedSegments,
    pub(super) open_engine: OpenEngine,
}

/// An engine, and what opening it had to mend.
pub(super) type OpenedEngine = (Arc<dyn Engine>, Vec<String>);

/// How an engine is opened in a folder.
pub(super) struct OpenEngine(pub(super) Box<Opener>);

type Opener = dyn Fn(&Path) -> Result<OpenedEngine> + Send + Sync;

impl fmt::Debug for OpenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenEngine")
    }
}

/// Its locks are taken in the order of [`Place`].
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) log: Log,
    pub(super) names: Names,
    pub(super) queue: Queue,
    /// Held while a batch is written and synced.
    writer: Ordered<Writer>,
    pub(super) coming: Coming,
    /// Held for moments.
    tail: Ordered<Tail>,
    index: Ordered<Index>,
    erasures: Ordered<Erasures>,
    rules: Ordered<Rules>,
    named_segments: Ordered<NamedSegments>,
    witness: Ordered<Witness>,
    mark: Ordered<Mark>,
    pub(super) open_engine: OpenEngine,
    pub(super) work: Work,
    /// Rung when a seal has made room. Goes with `tail`.
    room: Condvar,
    /// Held as long as the store is open.
    folder_lock: Mutex<Option<FolderLock>>,
}

/// What appending changes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) head: Head,
    /// The head that is known to be on the disk.
    pub(super) synced: Head,
    pub(super) ids: Ids,
    pub(super) cutter: BlockCutter,
    pub(super) reopening: Reopening,
    recorded_at: Micros,
    /// Why nothing may be appended any more, if so.
    refuses: Option<String>,
}

impl Writer {
    pub(super) fn new(head: Head, index: &Index) -> Self {
        Self {
            head,
            synced: head,
            ids: Ids::new(index.ids()),
            cutter: BlockCutter::default(),
            reopening: Reopening::default(),
            recorded_at: Micros::MIN,
            refuses: None,
        }
    }

    /// Takes nothing more, until the store is opened again.
    pub(super) fn refuse(&mut self, reason: String) {
        self.refuses.get_or_insert(reason);
    }

    /// Fails if nothing may be appended any more.
    pub(super) fn check(&self) -> Result<()> {
        match &self.refuses {
            Some(reason) => Err(ErrorKind::Poisoned { reason: reason.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Goes on where another left off, at this head, which is on the disk.
    pub(super) fn follow(&mut self, other: &Self, head: Head) {
        (self.head, self.synced) = (head, head);
        self.note_time(Some(other.recorded_at));
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
}

impl Shared {
    pub(super) fn new(
        folder: Folder,
        options: StoreOptions,
        log: Log,
        names: Names,
        replay: Replay,
        (erasures, rules): (Erasures, Rules),
        witness: Witness,
    ) -> Self {
        let Folder { dir, mark, lock, named, open_engine } = folder;
        let Replay { index, writer, tail, .. } = replay;
        Self {
            dir,
            options,
            log,
            names,
            queue: Queue::default(),
            writer: Ordered::new(Place::Writer, writer),
            coming: Coming::default(),
            tail: Ordered::new(Place::Tail, tail),
            index: Ordered::new(Place::Index, index),
            erasures: Ordered::new(Place::Erasures, erasures),
            rules: Ordered::new(Place::Rules, rules),
            named_segments: Ordered::new(Place::Segments, named),
            witness: Ordered::new(Place::Witness, witness),
            mark: Ordered::new(Place::Mark, mark),
            open_engine,
            work: Work::new(),
            room: Condvar::new(),
            folder_lock: Mutex::new(Some(lock)),
        }
    }

    /// The mark: which generation of the log and the index counts.
    pub(super) fn mark(&self) -> Held<'_, Mark> {
        self.mark.lock()
    }

    /// The folder of the journey index.
    pub(super) fn index_dir(&self) -> PathBuf {
        self.mark().index(&self.dir)
    }

    pub(super) fn erasures(&self) -> Held<'_, Erasures> {
        self.erasures.lock()
    }

    /// How long events are kept.
    pub(super) fn rules(&self) -> Held<'_, Rules> {
        self.rules.lock()
    }

    pub(super) fn witness(&self) -> Held<'_, Witness> {
        self.witness.lock()
    }

    pub(super) fn writer(&self) -> Held<'_, Writer> {
        self.writer.lock()
    }

    /// The tail, with all in it that was appended before.
    pub(super) fn tail(&self) -> Held<'_, Tail> {
        self.catch_up();
        self.tail_as_it_is()
    }

    pub(super) fn tail_as_it_is(&self) -> Held<'_, Tail> {
        self.tail.lock()
    }

    pub(super) fn index(&self) -> Held<'_, Index> {
        self.index.lock()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        // First, so that who is erased meanwhile is seen to be hidden since.
        let hidden = self.names.hidden().len();
        let view = self.tail().view();
        Snapshot::new(view, (self.names.clone(), hidden), self.log.clone(), self.named_segments())
    }

    /// Segments that have a name.
    pub(super) fn named_segments(&self) -> NamedSegments {
        NamedSegments::clone(&self.named_segments.lock())
    }

    pub(super) fn set_named_segments(&self, named: NamedSegments) {
        *self.named_segments.lock() = named;
    }

    /// Makes whoever has appended so many events wait a little while room is scarce, so that nobody waits long; and until
    /// there is some if there is none, unless it cannot be made.
    pub(super) fn wait_for_room(&self, events: u64) {
        const LONGEST: Duration = Duration::from_millis(20);
        const EACH: Duration = Duration::from_micros(10);
        if !self.coming.is_tight() {
            return;
        }
        let mut tail = self.tail_as_it_is();
        let pressure = tail.fresh.pressure(self.options.fresh_events);
        if pressure > 0.0 && tail.seal_failed.is_none() {
            drop(tail);
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            thread::sleep(EACH.saturating_mul(events).min(LONGEST).mul_f64(pressure * pressure));
            tail = self.tail_as_it_is();
        }
        while tail.fresh.is_overfull(self.options.fresh_events) && tail.seal_failed.is_none() && !self.work.is_stopped()
        {
            tail = tail.wait(&self.room);
        }
    }

    /// Whether there is a segment's worth of fresh events. What was asked for before the last seal began may be done.
    pub(super) fn is_full(&self) -> bool {
        self.tail().fresh.is_full(self.options.fresh_events)
    }

    /// Refuses an append for which there is no room, since sealing failed; and asks for another try.
    pub(super) fn check_room(&self) -> Result<()> {
        if !self.coming.is_tight() {
            return Ok(());
        }
        let tail = self.tail_as_it_is();
        match &tail.seal_failed {
            Some(error) if tail.fresh.is_overfull(self.options.fresh_events) => {
                self.work.ask_to_seal();
                Err(error.again("fresh events cannot be sealed into the index"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn make_room(&self) {
        self.room.notify_all();
    }

    /// Fails if the folder is not the one any more that was opened, so that nothing is written into another's.
    pub(super) fn check_place(&self) -> Result<()> {
        lock(&self.folder_lock).as_ref().map_or(Ok(()), |held| held.check_place(&self.dir))
    }

    /// Lets others open the folder.
    pub(super) fn unlock_folder(&self) {
        lock(&self.folder_lock).take();
    }

    pub(super) fn stop(&self) {
        self.coming.stop();
        self.work.stop();
        // Whoever looked before this waits by now, and hears the bell.
        drop(self.tail());
        self.make_room();
    }

    /// Fails once the store is being closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.work.is_stopped() { Err(ErrorKind::Closed.into()) } else { Ok(()) }
    }

    /// Syncs what was appended, and notes it in the witness.
    pub(super) fn sync_and_witness(&self) -> Result<()> {
        self.work.begin_witnessing();
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
        self.check_place()?;
        self.witness().note(head)
    }
}
