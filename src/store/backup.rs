//! Backups: the log as of one moment, copied into a folder of its own, which is a store.

use std::path::{self, Path, PathBuf};

use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::{
    Store,
    copying::{Copying, Made},
    cut,
    erasures::Erasures,
    files,
    folder_lock::FolderLock,
    index,
    log::Log,
    mark::{self, Mark},
    named_segments,
    retention::Rules,
    shared::{OpenedEngine, Shared},
    store::on_disk,
    witness::{self, Head, Orders, Witness},
    work::Request,
};
use crate::{
    codec::Block,
    error::{Error, ErrorKind, Result},
    model::{Micros, Seq},
};

/// What a backup holds, as [`Store::backup`] says when it is made, and [`Backup::check`] when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Backup {
    /// The last sequence in it: that of the store when the backup began.
    pub head: Seq,
    /// A checksum over all its entries, in order. Backups up to the same sequence have the same, unless a customer was
    /// erased between them.
    pub checksum: u64,
    /// Events in it.
    pub events: u64,
    /// Customers who were erased while the backup was made, and of whom something had been copied by then. They are in no
    /// answer of the backup, and gone from its disk when it was opened and [compacted](Store::compact).
    pub erased_on_disk: usize,
    /// Entries after [`head`](Self::head) that stand in the log's file, or stood there, and that the log does not
    /// reach: what a process was just appending when it died, or what is lost by damage. None in a backup that was made
    /// and not opened since.
    #[serde(default)]
    pub cut_off: u64,
}

impl Store {
    /// Copies the store into a folder that is missing or empty, as it is when this begins, and waits for it. Appending and
    /// asking go on meanwhile; seals too, but merges and [`compact`](Self::compact) wait until it is done. It takes about
    /// as long as appending everything in large batches.
    ///
    /// The backup is a store: it opens like any other. What was appended later is not in it, nor is anybody who was
    /// erased; it knows who was, so their events stay out when they are sent again. It has no journey index: the first
    /// opening makes it, of the log. When this returns the backup is power-safe. Before that, and after a crash on the way,
    /// the folder does not open as a store: delete it.
    ///
    /// **To restore**, copy the folder to where the store shall be, and open it there; or open it and back it up to that
    /// place. Whoever opens the backup itself and appends has no backup any more.
    ///
    /// **A backup that was made before an erasure still holds the customer**, and nothing of this crate can reach it. Keep
    /// backups no longer than your time to erase allows; and after restoring an older one, [erase](Self::erase) again who
    /// was erased since: [`erasures`](Self::erasures) of the newer store says when, your own list of requests says whom.
    ///
    /// # Errors
    /// `BackupFolder` if the folder is a file, is not empty, or lies in the store's own folder; `Locked` if another backup is
    /// just written there; `Full` or `Io` if it cannot be written; `Damaged` if the log cannot be read, or is not what was
    /// appended; `Closed` if the store is closed meanwhile. What was written is removed then, and the store goes on.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// use journeylog::{Backup, Event, Store};
    ///
    /// store.append(Event::at(chrono::Utc::now(), "c-42", "product_view"))?;
    /// let folder = dir.path().join("monday.journey");
    /// let made = store.backup(&folder)?;
    /// store.append(Event::at(chrono::Utc::now(), "c-42", "payment"))?;
    ///
    /// assert_eq!((made.head, made.events), (journeylog::Seq(1), 1));
    /// assert_eq!(Backup::check(&folder)?, made, "every entry was read again");
    /// let restored = Store::open(&folder)?;
    /// assert_eq!((restored.len(), store.len()), (1, 2));
    /// # restored.close()?;
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, folder: impl AsRef<Path>) -> Result<Backup> {
        self.shared().work.back_up(folder.as_ref().to_owned())
    }
}

impl Backup {
    /// Reads every entry of a backup, or of another store that nobody has open, and says what it holds. That it is the
    /// same as [`Store::backup`] said means that no event is missing, changed or moved.
    ///
    /// # Errors
    /// `NotAStore` if the folder holds none, as after a backup that was broken off; `Damaged` or `Lost` if it does not hold
    /// what was written; `NewerFormat` if a later release wrote it; `Locked` if it is open; `Io` if it cannot be read.
    pub fn check(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let (_lock, mark) = mark::claim(folder, true)?;
        let checked = Self::check_on(folder, mark, on_disk)?;
        let last = cut::beyond(&mark.log(folder), checked.head.0);
        if last.is_none() {
            cut::forget(&mark.log(folder))?;
        }
        Ok(Self { cut_off: last.map_or(0, |last| last.saturating_sub(checked.head.0)), ..checked })
    }

    /// Checks a folder that is ours, on an engine.
    fn check_on(folder: &Path, mark: Mark, open_engine: impl FnOnce(&Path) -> Result<OpenedEngine>) -> Result<Self> {
        named_segments::read(folder)?;
        let (engine, _) = open_engine(&mark.log(folder))?;
        let log = Log::open(engine)?;
        let witness = Witness::open(folder)?;
        log.check(witness.head().filter(|head| head.seq > mark.began.seq).unwrap_or(mark.began))?;
        // A backup has no index before it is opened; that of another store is a witness too.
        log.check(index::witnessed(&mark.index(folder))?)?;
        let erasures = Erasures::read(&*log.engine())?;
        let orders = witness.orders();
        erasures.check(orders.erased)?;
        Rules::read(&*log.engine())?.check(orders.rules_set_at)?;
        let backup = Self::of(&log, &erasures)?;
        log.engine().close()?;
        Ok(backup)
    }

    /// What a log holds, with every checksum looked at.
    fn of(log: &Log, erasures: &Erasures) -> Result<Self> {
        let (mut head, mut entries) = (Head::default(), 0);
        log.blocks_after(0, |block| {
            let chain = head.chain.after(&block.entries);
            if block.before != head.chain || block.after != chain {
                let what = format!("the log from sequence {}", block.first);
                return Err(Error::damaged(what, "its entries are not the ones that were written"));
            }
            entries += block.entries.iter().filter(|entry| entry.as_event().is_some()).count() as u64;
            head = Head { seq: block.next().saturating_sub(1), chain };
            Ok(())
        })?;
        let events = entries.saturating_sub(erasures.pending_events());
        Ok(Self { head: Seq(head.seq), checksum: head.chain.0, events, erased_on_disk: erasures.pending(), cut_off: 0 })
    }
}

/// A backup that is under way. If it is dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub(super) struct BackingUp {
    copying: Copying,
    /// Where it ends.
    through: Head,
    /// Events copied so far.
    events: u64,
    target: Target,
    /// Whoever waits for it is told at last, when all is removed.
    request: Request,
}

impl BackingUp {
    /// Begins; if that fails, whoever waits is told.
    pub(super) fn begin(shared: &Shared, request: Request) -> Option<Self> {
        match Self::try_begin(shared, request.folder()) {
            Ok((copying, through, target)) => Some(Self { copying, through, events: 0, target, request }),
            Err(error) => {
                request.answer(Err(error));
                None
            }
        }
    }

    fn try_begin(shared: &Shared, folder: &Path) -> Result<(Copying, Head, Target)> {
        let target = Target::claim(folder, &shared.dir)?;
        let (engine, _) = (shared.open_engine.0)(&first().log(folder))?;
        let copying = Copying::begin(shared, engine)?;
        Ok((copying, shared.writer().head, target))
    }

    /// Copies some more; `None` if it is over, and whoever waits was told how it went.
    pub(super) fn step(mut self, shared: &Shared) -> Option<Self> {
        match self.copy(shared) {
            Ok(true) => Some(self),
            Ok(false) => {
                let made = self.finish(shared);
                self.end(made)
            }
            Err(error) => self.end(Err(error)),
        }
    }

    fn end(self, outcome: Result<Backup>) -> Option<Self> {
        let Self { copying, target, request, .. } = self;
        drop((copying, target));
        request.answer(outcome);
        None
    }

    /// False if there is nothing more to copy.
    fn copy(&mut self, shared: &Shared) -> Result<bool> {
        let events = |block: &Block| block.entries.iter().filter(|entry| entry.as_event().is_some()).count() as u64;
        let copied = self.copying.step(shared, self.through.seq, events)?;
        self.events += copied.as_ref().map_or(0, |(_, events)| *events);
        Ok(copied.is_some())
    }

    fn finish(&mut self, shared: &Shared) -> Result<Backup> {
        self.copying.check(self.through)?;
        let erasures = shared.erasures().clone();
        let (erasures, mut changes) = erasures.in_a_copy(&self.copying.left_of(&erasures)?, Micros::from(Utc::now()));
        let rules = shared.rules().clone();
        changes.push(rules.put());
        let engine = self.copying.log().engine();
        engine.apply(changes)?;
        engine.close()?;
        named_segments::write(&shared.named_segments(), &self.target.folder)?;
        let head = self.copying.head();
        self.target.finish(head, Orders { erased: erasures.len(), rules_set_at: rules.set_at() })?;
        Ok(Backup {
            head: Seq(head.seq),
            checksum: head.chain.0,
            events: self.events.saturating_sub(erasures.pending_events()),
            erased_on_disk: erasures.pending(),
            cut_off: 0,
        })
    }
}

/// The folder of a backup, which is ours.
#[derive(Debug)]
struct Target {
    folder: PathBuf,
    /// The folders whose names are to survive a power cut: this one, and those above it that were made.
    named: Vec<PathBuf>,
    made: Made,
    _lock: FolderLock,
}

impl Target {
    fn claim(folder: &Path, store: &Path) -> Result<Self> {
        let refused = |reason: &str| {
            let (path, reason) = (folder.to_owned(), reason.to_owned());
            Error::from(ErrorKind::BackupFolder { path, reason })
        };
        if is_within(folder, store)? {
            return Err(refused("it lies in the store's own folder"));
        }
        if folder.is_file() {
            return Err(refused("it is a file"));
        }
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let mut named: Vec<PathBuf> = folder.ancestors().take_while(missing).map(Path::to_owned).collect();
        let Some(lock) = mark::claim_empty(folder)? else { return Err(refused("it is not empty")) };
        // The mark goes first: without it, nothing else counts.
        let mut made = vec![folder.join(mark::MARK), first().log(folder), folder.join(witness::FILE)];
        made.extend([folder.join(named_segments::FILE), folder.join(mark::LOCK)]);
        if named.is_empty() {
            named.push(folder.to_owned());
        } else {
            made.push(folder.to_owned());
        }
        Ok(Self { folder: folder.to_owned(), named, made: Made(made), _lock: lock })
    }

    /// Makes it a store that holds a log up to this head.
    fn finish(&mut self, head: Head, orders: Orders) -> Result<()> {
        let mut witness = Witness::forgotten(&self.folder);
        witness.set(head)?;
        witness.note_erased(orders.erased)?;
        witness.note_rules(orders.rules_set_at)?;
        for dir in &self.named {
            files::sync_folder_of(dir)?;
        }
        first().write(&self.folder)?;
        self.made.0.clear();
        Ok(())
    }
}

/// The mark of a store that has just begun.
fn first() -> Mark {
    Mark::new(0, Head::default())
}

/// Whether a folder, which may be missing, lies in another.
pub(super) fn is_within(folder: &Path, outer: &Path) -> Result<bool> {
    let real = |path: &Path| path.canonicalize().map_err(|error| Error::io("looking up", path, error));
    let whole = path::absolute(folder).map_err(|error| Error::io("looking up", folder, error))?;
    let there = whole.ancestors().find(|dir| dir.exists()).unwrap_or(&whole);
    Ok(real(there)?.starts_with(real(outer)?))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        model::Event,
        store::{StoreOptions, work::Work},
    };

    /// Customers are erased between the steps of a backup: one before anything was copied, one after, one who came after
    /// the backup's moment.
    #[test]
    fn who_is_erased_while_a_backup_is_made_is_out_of_its_answers() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().open(dir.path().join("store")).unwrap();
        let event = |i: i64, customer: &str| {
            Event::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(i), customer, "view").build().unwrap()
        };
        for i in 0..30 {
            store.append(event(i, ["ann", "bob", "cid"][usize::try_from(i % 3).unwrap()])).unwrap();
        }
        let shared = store.shared();
        let folder = dir.path().join("backup");
        let work = Work::new();
        let made = std::thread::scope(|scope| {
            let waits = scope.spawn(|| work.back_up(folder.clone()));
            let request = loop {
                match work.next_backup() {
                    Some(request) => break request,
                    None => std::thread::yield_now(),
                }
            };
            let mut under_way = BackingUp::begin(shared, request).unwrap();
            store.erase("ann").unwrap();
            under_way = under_way.step(shared).unwrap();
            (30..60)
                .for_each(|i| drop(store.append(event(i, ["bob", "dan"][usize::try_from(i % 2).unwrap()])).unwrap()));
            assert!(!folder.join(mark::MARK).exists(), "it is no store yet");
            for late in ["bob", "dan", "eve"] {
                store.erase(late).unwrap();
            }
            assert!(under_way.step(shared).is_none(), "it is over");
            waits.join().unwrap().unwrap()
        });
        assert_eq!((made.head, made.events, made.erased_on_disk), (Seq(30), 10, 1), "bob is in the copy");
        assert_eq!(Backup::check(&folder).unwrap(), made);
        assert_eq!(Witness::open(&folder).unwrap().orders().erased, 4, "so that none is lost unseen");
        let restored = Store::open(&folder).unwrap();
        for compacted in [false, true] {
            assert_eq!((restored.len(), restored.stats().unwrap().customers), (10, 1));
            assert!(restored.customer("cid").unwrap().is_some() && restored.customer("bob").unwrap().is_none());
            assert_eq!(restored.stats().unwrap().erased_on_disk, usize::from(!compacted));
            for late in ["ann", "bob", "dan", "eve"] {
                assert_eq!(restored.append(event(1, late)).unwrap().erased(), [0], "{late}");
            }
            restored.compact().unwrap();
        }
        restored.close().unwrap();
        assert_eq!(Backup::check(&folder).unwrap().events, 10);
    }

    #[test]
    fn a_backup_that_is_given_up_leaves_nothing_and_whoever_waits_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        store.append(Event::at(Utc::now(), "ann", "view")).unwrap();
        for is_there in [false, true] {
            let folder = dir.path().join(format!("backup-{is_there}"));
            if is_there {
                std::fs::create_dir(&folder).unwrap();
            }
            let work = Work::new();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| work.back_up(folder.clone()));
                let request = loop {
                    match work.next_backup() {
                        Some(request) => break request,
                        None => std::thread::yield_now(),
                    }
                };
                let under_way = BackingUp::begin(store.shared(), request).unwrap().step(store.shared()).unwrap();
                assert!(mark::claim_empty(&folder).unwrap_or_default().is_none(), "it is ours");
                drop(under_way);
                assert!(matches!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::Closed));
            });
            assert_eq!(folder.exists(), is_there);
            assert!(!is_there || std::fs::read_dir(&folder).unwrap().next().is_none());
        }
    }

    #[test]
    fn a_check_compares_the_log_with_all_witnesses() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        let append = |range: std::ops::Range<i64>| {
            let store = Store::open(&folder).unwrap();
            for n in range {
                store.append(Event::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(n), "ann", "view")).unwrap();
            }
            store
        };
        append(0..20).close().unwrap();
        let witness = std::fs::read(folder.join("WITNESS")).unwrap();
        let store = append(20..30);
        store.settle().unwrap();
        store.close().unwrap();
        std::fs::write(folder.join("WITNESS"), witness).unwrap();
        assert_eq!(Backup::check(&folder).unwrap().head, Seq(30));
        let (engine, _) = on_disk(&folder.join("log")).unwrap();
        let blocks = engine.range(b"b", b"c", 100).unwrap();
        let log = Log::open(std::sync::Arc::clone(&engine)).unwrap();
        let mut entries = Vec::new();
        log.blocks_after(0, |block| {
            entries.extend(block.entries);
            Ok(())
        })
        .unwrap();
        entries.truncate(25);
        let shorter = Log::appending(Head::default(), &entries, &mut crate::codec::BlockCutter::default()).0;
        let removed = blocks.into_iter().map(|(key, _)| crate::store::engine::Change::Remove(key));
        engine.apply(removed.collect()).unwrap();
        engine.apply(shorter).unwrap();
        engine.close().unwrap();
        let lost = Backup::check(&folder).unwrap_err();
        assert!(
            matches!(lost.kind(), ErrorKind::Lost { acknowledged: 30, found: 25 }),
            "the index was made of 30: {lost}"
        );
        std::fs::remove_dir_all(folder.join("index")).unwrap();
        assert_eq!(Backup::check(&folder).unwrap().head, Seq(25));
        Witness::open(&folder).unwrap().note_erased(1).unwrap();
        assert!(Backup::check(&folder).unwrap_err().to_string().contains("the list of erasures"));
    }
}
