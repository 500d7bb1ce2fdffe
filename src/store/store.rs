//! The store: a folder that holds the log and what is derived from it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    Customer, Snapshot, StoreOptions, cut,
    erasures::Erasures,
    files,
    folder_lock::FolderLock,
    index::{self, Index},
    locks::lock,
    log::Log,
    maintain,
    mark::{self, Mark},
    named_segments::{self, NamedSegments},
    replay::Replay,
    retention::Rules,
    shared::{Folder, OpenEngine, OpenedEngine, Shared},
    sled_engine::SledEngine,
    sync::Mutex,
    witness::{Head, Orders, Witness},
};
use crate::{
    error::{Error, ErrorKind, Result},
    journey::{NameKind, Names, ReservedNumbers, Tables},
    model::Seq,
};

/// Fewer fresh events than this are not sealed at close; the next open reads them from the log.
const SEAL_AT_CLOSE: usize = 4096;

/// A store of journey events: a folder on disk, open for this process alone.
///
/// A cheap handle, `Clone`, `Send` and `Sync`: many threads may append and ask at once. The folder is let go when
/// [`close`](Self::close) is called, or with the last handle.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let folder = dir.path().join("shop.journey");
/// use chrono::{TimeDelta, Utc};
/// use journeylog::{Event, Funnel, Store};
///
/// let store = Store::open(folder)?;
/// store.append(Event::at(Utc::now() - TimeDelta::hours(1), "c-42", "product_view"))?;
/// store.append(Event::at(Utc::now(), "c-42", "payment"))?;
///
/// let funnel = Funnel::ordered(["product_view", "payment"]).within(TimeDelta::days(7)).build()?;
/// let report = store.snapshot().query().run(&funnel)?;
/// assert_eq!(report.converted, 1);
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    report: OpenReport,
}

/// How large a store is, and of what it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Entries in the log: events, and links of ids and profiles.
    pub events: u64,
    /// Distinct ids of customers.
    pub customers: u64,
    /// Distinct touchpoints.
    pub touchpoints: u64,
    /// Segments of the journey index.
    pub segments: usize,
    /// Events that are in no segment yet, but in memory.
    pub fresh_events: u64,
    /// Bytes that the log takes on disk.
    pub log_bytes: u64,
    /// Bytes that the journey index takes on disk.
    pub index_bytes: u64,
    /// Customers who were erased and may still be on the disk, until the store is compacted.
    pub erased_on_disk: usize,
    /// Why fresh events could not be sealed the last time, if they could not. Appending and asking go on meanwhile.
    pub index_error: Option<String>,
}

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// What was put right, one sentence each; empty after an orderly close.
    pub mended: Vec<String>,
    /// Why the journey index was built again from the log, if it was.
    pub rebuilt: Option<String>,
    /// Entries read from the log because the index did not have them yet.
    pub replayed: u64,
}

impl Store {
    /// Opens the store in a folder with the default options, or makes one there if the folder is missing or empty.
    ///
    /// What a crash left over is put right, and a damaged journey index is built again from the log; the
    /// [`open_report`](Self::open_report) says so.
    ///
    /// # Errors
    /// `NotAStore` if the folder holds something else; `NewerFormat` if a later release wrote it; `Locked` if it is
    /// open elsewhere; `Lost` if the log has less than it acknowledged; `Damaged` if the log cannot be read, or its
    /// engine would write over what can still be [salvaged](Self::salvage); `Full` or `Io` if the operating system
    /// refuses, or if what damage will cut off cannot be kept.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        StoreOptions::new().open(folder)
    }

    pub(super) fn open_with(dir: &Path, options: &StoreOptions) -> Result<Self> {
        Self::open_on(dir, options, on_disk)
    }

    /// Opens the store on engines, the first of which is opened when the folder is ours.
    pub(super) fn open_on(
        dir: &Path,
        options: &StoreOptions,
        open_engine: impl Fn(&Path) -> Result<OpenedEngine> + Send + Sync + 'static,
    ) -> Result<Self> {
        // The folder stays the same when the program's own changes.
        let dir = &std::path::absolute(dir).map_err(|e| Error::io("looking for", dir, e))?;
        let (lock, mark) = mark::claim(dir, options.must_exist)?;
        let opened = Self::open_claimed(dir, options, (lock, mark), open_engine)?;
        // It goes on without what was cut off: that is no part of this store any more.
        cut::forget(&mark.log(dir))?;
        Ok(opened)
    }

    fn open_claimed(
        dir: &Path,
        options: &StoreOptions,
        (lock, mark): (FolderLock, Mark),
        open_engine: impl Fn(&Path) -> Result<OpenedEngine> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (engine, mended) = open_engine(&mark.log(dir))?;
        let mut report = OpenReport { mended, ..OpenReport::default() };
        let log = Log::open(engine)?;
        let index_dir = mark.index(dir);
        let (head, mut witness) = check_head(dir, mark, &log, options, &mut report)?;
        if let Some(last) = cut::beyond(&mark.log(dir), head.seq) {
            let (first, last) = (head.seq.saturating_add(1), last);
            report.mended.push(format!(
                "sequences {first} to {last} stood in the log's file behind a place that cannot be read, and were cut off: \
                 nothing says that they had been acknowledged"
            ));
        }
        // Only now is it sure that this generation is the one that counts.
        report.mended.extend(mark.remove_others(dir)?);

        if index::lacks_manifest(&index_dir)? {
            let note = "the index had files and no manifest that named them: it was made anew from the log";
            report.mended.push(note.to_owned());
        }
        let names = Names::default();
        let index = open_index(&index_dir, &names, &log, options);
        let replay = |index| Replay::begin(index, head, &names, options)?.read(&log);
        let built = index.and_then(replay);
        let mut replay = match built {
            Err(error) if error.is_corrupt() => {
                // If it is the log that cannot be read, that is what is said, and the index stays.
                log.blocks_after(0, |_| Ok(()))?;
                report.rebuilt = Some(error.to_string());
                *names.write() = Tables::default();
                replay(Index::begin_anew(&index_dir)?)?
            }
            built => built?,
        };
        report.replayed = replay.replayed;
        let erasures = Erasures::read(&*log.engine())?;
        let rules = Rules::read(&*log.engine())?;
        check_orders(&log, (&erasures, &rules), &mut witness, options, &mut report)?;
        erasures.forget_names(&mut names.write());
        replay.tail.set_erased(erasures.pending_events());

        let named = open_named(dir, options, &mut report)?;
        let folder = Folder { dir: dir.to_owned(), mark, lock, named, open_engine: OpenEngine(Box::new(open_engine)) };
        let shared = Arc::new(Shared::new(folder, options.clone(), log, names, replay, (erasures, rules), witness));
        let thread = maintain::spawn(&shared).map_err(|e| Error::io("starting a thread for", dir, e))?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)), report })))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Does something to the folder, which is ours until the store is closed.
    pub(super) fn while_open<T>(&self, act: impl FnOnce(&Shared) -> Result<T>) -> Result<T> {
        let thread = lock(&self.0.thread);
        if thread.is_none() {
            return Err(ErrorKind::Closed.into());
        }
        act(self.shared())
    }

    /// Before something that writes: if the disk was full and is not any more, the log can be written again.
    pub(super) fn go_on(&self) -> Result<&Shared> {
        let shared = self.shared();
        shared.check_open()?;
        shared.reopen_if_full(&mut shared.writer())?;
        Ok(shared)
    }

    /// What opening found and did.
    pub fn open_report(&self) -> &OpenReport {
        &self.0.report
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.0.shared.dir.clone()
    }

    /// What the store holds now, for questions. No later append changes it.
    pub fn snapshot(&self) -> Snapshot {
        self.0.shared.snapshot()
    }

    /// The last sequence appended.
    pub fn head(&self) -> Seq {
        self.snapshot().head()
    }

    /// How many entries it holds: events, and links of ids and profiles.
    pub fn len(&self) -> u64 {
        self.snapshot().len()
    }

    /// True if it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One customer's journey; `None` if the store has no event of theirs.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the index could not be read.
    pub fn customer(&self, id: &str) -> Result<Option<Customer>> {
        self.snapshot().customer(id)
    }

    /// How large the store is, and of what it is made.
    ///
    /// # Errors
    /// `Io` if the files could not be looked at.
    pub fn stats(&self) -> Result<StoreStats> {
        let shared = &self.0.shared;
        let snapshot = self.snapshot();
        let (fresh_events, index_error) = {
            let tail = shared.tail();
            (tail.fresh.events() as u64, tail.seal_failed.as_ref().map(ToString::to_string))
        };
        Ok(StoreStats {
            events: snapshot.len(),
            customers: (shared.names.count(NameKind::Customer) - shared.names.read().nameless()) as u64,
            touchpoints: (shared.names.count(NameKind::Touchpoint) - ReservedNumbers::of(&shared.names).count()) as u64,
            segments: snapshot.segments(),
            fresh_events,
            log_bytes: shared.log.engine().size_on_disk()?,
            index_bytes: files::size_of_folder(&shared.index_dir())?,
            erased_on_disk: shared.erasures().pending(),
            index_error,
        })
    }

    /// Brings the store into its best form, and waits for it: seals what is fresh, merges the journey index until it is one
    /// segment, one file of ids and one of names, and folds the small blocks that single appends left in the log.
    ///
    /// This happens by itself too, in part while events come and in part when none have come for ten seconds; it is of use
    /// after a large import. It takes about as long as writing the index once, and room for a second index. Appending and
    /// asking go on meanwhile; what is appended after the call may be left as it is.
    ///
    /// If the log's files take far more room than what is in them, as after many single appends, the log is written anew as
    /// by [`compact`](Self::compact).
    ///
    /// # Errors
    /// `Full`, `Io` or `Damaged` if a file could not be read or written, and then the store is as it was; `Poisoned` if an
    /// earlier write failed; `Closed` if the store is closed meanwhile.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// # store.append(journeylog::Event::at(chrono::Utc::now(), "c-42", "product_view"))?;
    /// store.settle()?;
    /// assert_eq!(store.stats()?.segments, 1);
    /// assert_eq!(store.stats()?.fresh_events, 0);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&self) -> Result<()> {
        self.go_on()?.work.settle(false)
    }

    /// Writes the log anew into a fresh folder and the journey index with it, removes the old ones, and settles the store as
    /// [`settle`](Self::settle) does. Waits for it.
    ///
    /// The log's engine gives no room back by itself. This gives back all that nothing is in any more. It takes
    /// about as long as appending everything again in large batches, and room for a second store. Appending and asking go on
    /// meanwhile, but for a moment at the end. The new folders take the old ones' place in one step: after a crash or a power
    /// cut the store is as before or as after.
    ///
    /// # Errors
    /// Those of [`settle`](Self::settle), and then the store is as it was; but if only the old folders could not be
    /// removed, the new ones count, and the next open removes the old.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// # store.append(journeylog::Event::at(chrono::Utc::now(), "c-42", "product_view"))?;
    /// store.compact()?;
    /// assert_eq!(store.len(), 1);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self) -> Result<()> {
        self.go_on()?.work.settle(true)
    }

    /// Makes everything appended so far power-safe, whatever the store's durability.
    ///
    /// # Errors
    /// `Closed` after a close; `Poisoned` if an earlier write failed; `Full` or `Io` if this one does.
    pub fn sync(&self) -> Result<()> {
        self.go_on()?.sync_and_witness()
    }

    /// Closes the store: gives up a merge that is under way, syncs, notes the head, and lets go of the folder. Other handles can do nothing afterwards;
    /// snapshots still answer.
    ///
    /// # Errors
    /// `Poisoned`, `Full` or `Io` if not everything could be written. What was acknowledged as synced is safe all the same.
    pub fn close(self) -> Result<()> {
        self.0.close()
    }
}

/// Opens the engine of all stores but those of tests.
pub(super) fn on_disk(log_dir: &Path) -> Result<OpenedEngine> {
    let (engine, mended) = SledEngine::open(log_dir)?;
    Ok((Arc::new(engine), mended.0))
}

/// The head of the log, after a look at its witnesses: the mark, the file of that name, and the index, which was made of
/// a log that went at least as far.
fn check_head(
    dir: &Path,
    mark: Mark,
    log: &Log,
    options: &StoreOptions,
    report: &mut OpenReport,
) -> Result<(Head, Witness)> {
    let is_accepted = |error: &Error| options.accept_loss && error.is_corrupt();
    let mut witness = match Witness::open(dir) {
        Err(error) if is_accepted(&error) => {
            report.mended.push(error.to_string());
            let mut witness = Witness::forgotten(dir);
            witness.set(mark.began)?;
            witness
        }
        witness => witness?,
    };
    // What was witnessed before this generation began was another log.
    let witnessed = witness.head().filter(|head| head.seq > mark.began.seq).unwrap_or(mark.began);
    let checked = log.check(witnessed).and_then(|_| log.check(index::witnessed(&mark.index(dir))?));
    let head = match checked {
        Err(error) if is_accepted(&error) => {
            report.mended.push(error.to_string());
            let head = log.head()?;
            witness.set(head)?;
            head
        }
        checked => checked?,
    };
    if witness.head().is_none() {
        if head.seq > 0 {
            report
                .mended
                .push("the head witness was missing: whether the log had gone further is not known".to_owned());
        }
        witness.set(head)?;
    }
    Ok((head, witness))
}

/// Checks that the log has the orders that were witnessed, and notes those that it has beyond them.
fn check_orders(
    log: &Log,
    (erasures, rules): (&Erasures, &Rules),
    witness: &mut Witness,
    options: &StoreOptions,
    report: &mut OpenReport,
) -> Result<()> {
    let Orders { erased, rules_set_at } = witness.orders();
    for checked in [erasures.check(erased), rules.check(rules_set_at)] {
        match checked {
            Err(lost) if options.accept_loss => report.mended.push(lost.to_string()),
            checked => checked?,
        }
    }
    let found = Orders { erased: erasures.len(), rules_set_at: rules.set_at() };
    if found != witness.orders() {
        // They may have been written and not synced.
        log.engine().sync()?;
        witness.set_orders(found)?;
    }
    Ok(())
}

/// The segments that have a name. They are no part of the log: who accepts a loss goes on without them.
fn open_named(dir: &Path, options: &StoreOptions, report: &mut OpenReport) -> Result<NamedSegments> {
    match named_segments::read(dir) {
        Err(error) if options.accept_loss && error.is_corrupt() => {
            report.mended.push(error.to_string());
            let none = NamedSegments::default();
            named_segments::write(&none, dir)?;
            Ok(none)
        }
        named => named,
    }
}

fn open_index(dir: &Path, names: &Names, log: &Log, options: &StoreOptions) -> Result<Index> {
    if options.rebuild_index {
        return Err(Error::damaged("the journey index", "it was asked to be built again"));
    }
    let index = Index::open(dir, names)?;
    match log.check(index.through()) {
        Err(error) if error.is_corrupt() => Err(Error::damaged("the journey index", error.to_string())),
        checked => checked.map(|_| index),
    }
}

impl Handle {
    /// Closes once; whoever comes second waits until it is done.
    fn close(&self) -> Result<()> {
        let mut thread = lock(&self.thread);
        let Some(running) = thread.take() else { return Ok(()) };
        self.shared.stop();
        // A panic of the thread has been printed; what it left undone is done at the next open.
        let _ = running.join();
        let many = self.shared.tail().fresh.events() >= SEAL_AT_CLOSE;
        let sealed = if many { maintain::seal(&self.shared) } else { Ok(()) };
        let witnessed = self.shared.sync_and_witness();
        let closed = self.shared.log.engine().close();
        self.shared.unlock_folder();
        sealed.and(witnessed).and(closed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever wants to know calls close.
        let _ = self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("folder", &self.0.shared.dir).field("head", &self.head()).finish()
    }
}
