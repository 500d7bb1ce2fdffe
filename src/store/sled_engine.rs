//! The engine on disk: sled 0.34.7, and all that has to be done around it. The only file that names sled.
//!
//! - sled's flush is no barrier against a power cut (on Linux it never calls fsync), so its file is synced here.
//! - A few dozen batches between two syncs are enough for a power cut to leave a folder that sled cannot open, old data
//!   included. So a batch is synced at the latest when [`MAX_UNSYNCED_BATCHES`] or [`MAX_UNSYNCED_BYTES`] are reached,
//!   whatever the caller asked for.
//! - sled panics where its bytes are damaged. Every call is caught and becomes an error; a program built with
//!   `panic = "abort"` loses this. The panic hook still runs.
//! - After damage sled may open with less than it held, or with nothing, and say nothing: only a witness kept elsewhere
//!   shows that.

use std::{
    any::Any,
    fmt,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    ahead, cut,
    engine::{Change, Engine, Pair, Poison, closed, measure},
    files, log_folder,
};
use crate::error::{Error, ErrorKind, Result};

/// sled's segment: the largest page that stays out of a blob file is a quarter of it. Fixed for the life of a folder.
pub(super) const SEGMENT: usize = 2 << 20;

/// sled's page cache; a hint, not a limit.
const CACHE: u64 = 64 << 20;

/// How long to wait for sled's lock: an engine that was dropped lets go of it a few milliseconds later.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// So many batches without a sync are synced unasked. Measured with simulated power cuts of a synced folder under
/// batches of 10 to 20 KiB: 14 of 14 came back whole; without this rule 5 of 5 could not be opened or read.
const MAX_UNSYNCED_BATCHES: u64 = 16;

/// So many bytes of batches without a sync are synced unasked.
const MAX_UNSYNCED_BYTES: u64 = 1 << 20;

// Or zeros would begin a segment that sled has not begun.
const _: () = assert!(SEGMENT.is_multiple_of(ahead::STEP));

/// Before a sync of more bytes than these no zeros are written: large batches would be written twice, which costs more
/// than it spares.
const MOST_TO_FILL: u64 = 8 << 10;

/// An [`Engine`] in a folder.
///
/// Writes, flushes and syncs wait for each other; reads wait for nobody but `close`, and now and then
/// for some zeros.
pub(crate) struct SledEngine {
    dir: PathBuf,
    /// `None` once closed.
    files: RwLock<Option<Files>>,
    /// Held by every write. Taken before `files`.
    unsynced: Mutex<Unsynced>,
    poison: Poison,
    /// Set when our own sync has failed: the system may have let go of what it could not write.
    is_unsure: AtomicBool,
}

struct Files {
    db: sled::Db,
    /// sled's own file, opened again to sync it.
    log: File,
}

/// What has been applied since the last sync.
#[derive(Default)]
struct Unsynced {
    batches: u64,
    bytes: u64,
}

/// What opening a folder put right or found strange, one plain sentence each; empty after an orderly end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Mended(pub(crate) Vec<String>);

impl SledEngine {
    /// Opens the folder, which is made if it is missing, and makes what sled created power-safe.
    ///
    /// The caller must hold a lock of its own on the folder: what another opener is just writing would be deleted here. It
    /// [forgets](cut::forget) what was kept of the log, when all else has gone well too.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Mended)> {
        files::make_folder(dir)?;
        let kept = cut::before_opening(dir, SEGMENT)?;
        let opened = log_folder::mend(dir).and_then(|mended| {
            log_folder::refuse_blobs(dir)?;
            let had = fs::metadata(dir.join("db")).map_or(0, |log| log.len());
            Ok((Mended(mended), had, open_patiently(dir)?))
        });
        let (mut mended, had, (db, recovered)) = opened.inspect_err(|_| kept.forget_if_unharmed())?;
        let log = match log_folder::sync(dir) {
            Ok(log) => log,
            Err(error) => {
                let _ = let_go(dir, db);
                return Err(error);
            }
        };
        if had > 0 && !recovered {
            mended.0.push(format!("sled found nothing in its file of {had} bytes and started empty"));
        }
        let files = RwLock::new(Some(Files { db, log }));
        let (unsynced, poison, is_unsure) = (Mutex::default(), Poison::default(), AtomicBool::new(false));
        Ok((Self { dir: dir.to_owned(), files, unsynced, poison, is_unsure }, mended))
    }

    /// Runs `run` with the open files. A panic in it becomes an error, and ends all writing.
    fn with<T>(&self, action: &'static str, run: impl FnOnce(&Files) -> Result<T, Failure>) -> Result<T> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let Some(files) = files.as_ref() else { return Err(closed()) };
        caught(|| run(files)).map_err(|failure| {
            let panicked = matches!(failure, Failure::Panic(_));
            let error = failure.into_error(action, &self.dir);
            if panicked {
                self.poison.set(&error);
            }
            error
        })
    }

    /// Waits for the other writers, and fails if the engine was closed meanwhile.
    fn writing(&self) -> Result<MutexGuard<'_, Unsynced>> {
        // The counts only say when to sync next, so they are sound whatever happened to their last holder.
        let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        match *self.files.read().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Ok(unsynced),
            None => Err(closed()),
        }
    }

    fn sync_now(&self, unsynced: &mut Unsynced) -> Result<()> {
        let ends_ahead = self.with("flushing the log", |files| {
            files.db.flush()?;
            Ok(ahead::is_filled(&files.log)?)
        })?;
        if !ends_ahead && unsynced.batches > 0 && unsynced.bytes <= MOST_TO_FILL {
            self.fill_ahead()?;
        }
        self.sync_file()?;
        *unsynced = Unsynced::default();
        Ok(())
    }

    /// Makes sled's file longer by zeros, so that the next syncs take less time.
    ///
    /// Nothing but speed is missing where it is not done: where the zeros find no room, or somebody reads just now, or on
    /// Windows, where nobody may write what sled has locked.
    fn fill_ahead(&self) -> Result<()> {
        // sled mends its tree as it reads, and may write what it mended to where the zeros go. So nobody may read meanwhile; but
        // to wait for one who does would be worse than a sync that takes longer.
        let Ok(files) = self.files.try_write() else { return Ok(()) };
        let Some(files) = files.as_ref().filter(|_| !cfg!(windows)) else { return Ok(()) };
        caught(|| {
            files.db.flush()?;
            let _ = ahead::fill(&files.log);
            Ok(())
        })
        .map_err(|failure| failure.into_error("flushing the log", &self.dir))
    }

    /// Syncs what sled has written.
    fn sync_file(&self) -> Result<()> {
        self.with("syncing the log", |files| Ok(files.log.sync_data()?))
            .inspect_err(|_| self.is_unsure.store(true, Ordering::Release))
    }
}

impl Engine for SledEngine {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        let bytes = measure(&batch)?;
        let mut unsynced = self.writing()?;
        self.poison.guard(|| {
            self.with("applying a batch", |files| Ok(write(&files.db, batch)?))?;
            unsynced.batches += 1;
            unsynced.bytes += bytes;
            if unsynced.batches >= MAX_UNSYNCED_BATCHES || unsynced.bytes >= MAX_UNSYNCED_BYTES {
                self.sync_now(&mut unsynced)?;
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<()> {
        let _writing = self.writing()?;
        self.poison.guard(|| {
            self.with("flushing the log", |files| {
                files.db.flush()?;
                Ok(())
            })
        })
    }

    fn sync(&self) -> Result<()> {
        let mut unsynced = self.writing()?;
        self.poison.guard(|| self.sync_now(&mut unsynced))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with("reading a key of the log", |files| Ok(files.db.get(key)?.map(|value| value.to_vec())))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        self.with("reading a range of the log", |files| {
            if from >= to {
                return Ok(Vec::new());
            }
            // Stops at the first error: sled's iterator would repeat it for ever.
            let pairs = files.db.range(from..to).take(limit);
            Ok(pairs.map(|pair| pair.map(owned)).collect::<sled::Result<_>>()?)
        })
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.with("reading the last key of the log", |files| {
            if from >= to {
                return Ok(None);
            }
            Ok(files.db.range(from..to).next_back().transpose()?.map(owned))
        })
    }

    fn size_on_disk(&self) -> Result<u64> {
        self.with("measuring the log", |files| Ok(ahead::length(&files.log)?))
    }

    /// A sync that goes well says that nothing sled has written since the last one was lost on the way, whatever sled was
    /// told of its own.
    fn may_reopen(&self) -> bool {
        self.poison.was_full() && !self.is_unsure.load(Ordering::Acquire) && self.sync_file().is_ok()
    }

    fn close(&self) -> Result<()> {
        let mut unsynced = self.writing()?;
        let synced = self.poison.guard(|| self.sync_now(&mut unsynced));
        let files = self.files.write().unwrap_or_else(PoisonError::into_inner).take();
        match files {
            Some(Files { db, log: _ }) => synced.and(let_go(&self.dir, db)),
            None => synced,
        }
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        // Its best, as there is nobody to tell. It may have been closed before, which is no mistake either.
        let _ = self.close();
    }
}

// Written by hand: sled's own form prints every key and value.
impl fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledEngine").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn owned((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.to_vec(), value.to_vec())
}

/// Writes all changes or none.
///
/// A change alone needs no batch. What a batch adds is a mark before its changes that says how far they go, so that a torn
/// batch is dropped; the mark is a write of its own. A change alone is one message of sled's log, with a checksum, and
/// there or not. What may follow it, a page that is split or written anew, changes no content and may be cut off anywhere.
///
/// Measured with simulated power cuts and single blocks of up to 24 KiB: all of 232 stores synced after each change and of
/// 376 synced after 16 (96 of them with a flush after each) came back with all that was synced. Without the sync 26 of 48
/// did not, and 29 of 48 in batches.
fn write(db: &sled::Db, batch: Vec<Change>) -> sled::Result<()> {
    match <[Change; 1]>::try_from(batch) {
        Ok([Change::Put(key, value)]) => db.insert(key, value).map(drop),
        Ok([Change::Remove(key)]) => db.remove(key).map(drop),
        Err(batch) => db.apply_batch(sled_batch(batch)),
    }
}

fn sled_batch(changes: Vec<Change>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for change in changes {
        match change {
            Change::Put(key, value) => batch.insert(key, value),
            Change::Remove(key) => batch.remove(key),
        }
    }
    batch
}

/// What can come out of a call of sled or of the system.
enum Failure {
    Sled(sled::Error),
    Panic(String),
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Sled(error.into())
    }
}

impl Failure {
    fn into_error(self, action: &'static str, dir: &Path) -> Error {
        let damaged = |reason| Error::damaged(format!("the log in {}", dir.display()), reason);
        match self {
            Self::Panic(message) => damaged(format!("sled panicked while {action}: {message}")),
            Self::Sled(sled::Error::Corruption { .. }) => {
                damaged(format!("bytes are not as sled wrote them, seen while {action}"))
            }
            Self::Sled(sled::Error::Io(error)) => match error.kind() {
                // Not the kind but the text: sled makes this error itself.
                _ if error.to_string().starts_with("could not acquire lock") => {
                    ErrorKind::Locked { path: dir.to_owned() }.into()
                }
                // sled looks for nothing and reads nothing that it has not written.
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(format!("{error} while {action}")),
                _ => Error::io(action, dir, error),
            },
            Self::Sled(error) => ErrorKind::Engine { action, reason: error.to_string() }.into(),
        }
    }
}

/// Turns a panic into a failure.
///
/// Unwind safety is asserted: what a panic leaves behind in sled is only read from then on, and reading it may at worst
/// give another error or panic, which is caught as well.
fn caught<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(Failure::Panic(message(panic.as_ref()))))
}

/// The start of a panic's message. Some of sled's messages print keys and values, always in brackets: those are cut off.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.as_str(),
        (None, Some(text)) => text,
        (None, None) => "",
    };
    let head = text.split(['[', '(', '\n']).next().unwrap_or_default();
    head.chars().take(120).collect::<String>().trim_end().to_owned()
}

/// Drops sled's handle, which flushes and syncs once more and may panic.
fn let_go(dir: &Path, db: sled::Db) -> Result<()> {
    caught(|| {
        drop(db);
        Ok(())
    })
    .map_err(|failure| failure.into_error("closing the log", dir))
}

/// Opens sled, and says whether it found an earlier log.
fn open_patiently(dir: &Path) -> Result<(sled::Db, bool)> {
    let start = Instant::now();
    loop {
        let opened = caught(|| {
            let db = sled::Config::default()
                .path(dir)
                .segment_size(SEGMENT)
                .cache_capacity(CACHE)
                // No writing behind our back: each write, flush and sync is asked for, and its errors are seen.
                .flush_every_ms(None)
                .open()?;
            // So the header of the first segment is synced before anything that is appended.
            db.flush()?;
            let recovered = db.was_recovered();
            Ok((db, recovered))
        })
        .map_err(|failure| failure.into_error("opening the log", dir));
        match opened {
            Err(error) if error.is_locked() && start.elapsed() < LOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::engine::{
            MAX_KEY, MAX_VALUE,
            contract::{self, put},
        },
        *,
    };

    fn open(dir: &Path) -> SledEngine {
        let (engine, mended) = SledEngine::open(dir).unwrap();
        assert_eq!(mended, Mended::default());
        engine
    }

    fn with_one_pair(dir: &Path) {
        let engine = open(dir);
        engine.apply(vec![put("a", "1")]).unwrap();
        engine.close().unwrap();
    }

    /// Bytes that no compression makes smaller.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    fn is_poisoned(result: Result<()>) -> bool {
        matches!(result.unwrap_err().kind(), ErrorKind::Poisoned { .. })
    }

    #[test]
    fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        contract::check(|| open(&folder.path().join("log")));
    }

    #[test]
    fn an_unfinished_snapshot_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        with_one_pair(folder.path());
        let torn = folder.path().join("snap.7FFFFFFFFFFFFFFF.generating");
        fs::write(&torn, b"torn").unwrap();

        let (engine, mended) = SledEngine::open(folder.path()).unwrap();
        let said =
            "removed the unfinished snapshot snap.7FFFFFFFFFFFFFFF.generating of the log; nothing is lost with it";
        assert_eq!(mended.0, [said]);
        assert!(!torn.exists());
        assert_eq!(engine.get(b"a").unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn a_second_opener_is_told_that_it_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let error = SledEngine::open(folder.path()).unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        drop(engine);
        open(folder.path());
    }

    #[test]
    fn a_truncated_log_is_an_error_or_a_note_but_no_panic() {
        let mut seen = [false; 2];
        for (reopened, length) in [(false, 1 << 20), (false, 100), (false, 0), (true, 1 << 20), (true, 100), (true, 0)]
        {
            let folder = tempfile::tempdir().unwrap();
            let engine = open(folder.path());
            for n in 0..300_u64 {
                engine.apply(vec![Change::Put(n.to_be_bytes().to_vec(), noise(12_000, n))]).unwrap();
            }
            engine.close().unwrap();
            if reopened {
                // Opening writes a snapshot of what the log holds.
                drop(open(folder.path()));
            }
            let file = File::options().write(true).open(folder.path().join("db")).unwrap();
            file.set_len(length).unwrap();
            match SledEngine::open(folder.path()) {
                Err(error) => {
                    assert!(error.is_corrupt(), "{error:?}");
                    seen[0] = true;
                }
                Ok((engine, mended)) if length > 0 && mended.0.is_empty() => {
                    // Where sled finds an end it takes that for the end of all: then only a witness knows better.
                    match engine.range(b"", b"\xff", 1000) {
                        Err(error) => assert!(error.is_corrupt(), "{error:?}"),
                        Ok(pairs) => assert!(pairs.len() < 300, "all {} are there", pairs.len()),
                    }
                }
                Ok((engine, mended)) => {
                    // sled itself says nothing: at least the note is there, if there was anything left to see.
                    assert_eq!(engine.range(b"", b"\xff", 1000).unwrap(), []);
                    assert_eq!(mended.0.is_empty(), length == 0);
                    seen[1] = true;
                }
            }
        }
        assert_eq!(seen, [true; 2]);
    }

    #[test]
    fn the_largest_values_and_keys_make_no_blob_files() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let key = |n: u64| {
            // Not in order, so that pages fill, split and merge everywhere.
            let mut key = (n * 7919 % 400).to_be_bytes().to_vec();
            key.resize(MAX_KEY, b'k');
            key
        };
        for n in 0..400 {
            engine.apply(vec![Change::Put(key(n), noise(MAX_VALUE, n))]).unwrap();
        }
        for n in 0..400 {
            let change =
                if n % 3 == 0 { Change::Put(key(n), noise(MAX_VALUE, n + 400)) } else { Change::Remove(key(n)) };
            engine.apply(vec![change]).unwrap();
        }
        engine.close().unwrap();
        assert_eq!(files::list(&folder.path().join("blobs")).unwrap(), [] as [PathBuf; 0]);

        let engine = open(folder.path());
        assert_eq!(engine.range(b"", b"\xff", 1000).unwrap().len(), 134);
        assert_eq!(engine.get(&key(3)).unwrap(), Some(noise(MAX_VALUE, 403)));
    }

    #[test]
    fn blob_files_raise_an_alarm() {
        let folder = tempfile::tempdir().unwrap();
        with_one_pair(folder.path());
        fs::write(folder.path().join("blobs/17"), b"").unwrap();
        assert!(SledEngine::open(folder.path()).unwrap_err().is_corrupt());
    }

    #[test]
    fn batches_are_synced_before_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let unsynced = || {
            let unsynced = engine.unsynced.lock().unwrap();
            (unsynced.batches, unsynced.bytes)
        };
        for n in 1..16 {
            engine.apply(vec![put("a", "1")]).unwrap();
            assert_eq!(unsynced(), (n, 2 * n));
        }
        engine.flush().unwrap();
        assert_eq!(unsynced(), (15, 30), "a flush is no sync");
        engine.apply(vec![put("a", "1")]).unwrap();
        assert_eq!(unsynced(), (0, 0));

        engine.apply(vec![put("a", "1")]).unwrap();
        engine.sync().unwrap();
        assert_eq!(unsynced(), (0, 0));

        let large = |n: u8| Change::Put(vec![n], vec![n; MAX_VALUE]);
        engine.apply((0..42).map(large).collect()).unwrap();
        assert_eq!(unsynced(), (1, 42 * (1 + 24 * 1024)));
        engine.apply(vec![large(42)]).unwrap();
        assert_eq!(unsynced(), (0, 0));
    }

    #[test]
    fn a_sync_waits_for_nobody_who_reads() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let _reads = engine.files.read().unwrap();
        engine.apply(vec![put("a", "1")]).unwrap();
        engine.sync().unwrap();
    }

    /// A device cannot be synced, which makes a sync fail as a broken disk would.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_failed_sync_ends_all_writing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        engine.apply(vec![put("a", "1")]).unwrap();
        engine.files.write().unwrap().as_mut().unwrap().log = File::open("/dev/null").unwrap();

        assert!(matches!(engine.sync().unwrap_err().kind(), ErrorKind::Io { .. }));
        assert!(is_poisoned(engine.apply(vec![put("b", "2")])));
        assert!(is_poisoned(engine.flush()));
        assert!(is_poisoned(engine.sync()));
        assert_eq!(engine.get(b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(engine.get(b"b").unwrap(), None);
        assert!(is_poisoned(engine.close()));
        assert_eq!(open(folder.path()).get(b"a").unwrap(), Some(b"1".to_vec()), "closing let go of the files");
    }

    #[test]
    fn a_panic_is_damage_and_ends_all_writing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        engine.apply(vec![put("a", "1")]).unwrap();
        let error = engine.with("reading", |_| -> Result<(), Failure> { panic!("bad page {:?}", [1, 2]) }).unwrap_err();
        assert!(error.is_corrupt(), "{error:?}");
        assert!(error.to_string().ends_with("sled panicked while reading: bad page"), "{error}");
        assert!(is_poisoned(engine.apply(vec![put("b", "2")])));
        assert_eq!(engine.get(b"a").unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn errors_are_told_apart() {
        let kind = |error: sled::Error| Failure::from(error).into_error("testing", Path::new("log"));
        let io = |kind: io::ErrorKind| sled::Error::Io(kind.into());
        // As sled repeats its first error: a new one of the same kind.
        let again = |error: sled::Error| error.clone();
        assert!(kind(again(io(io::ErrorKind::StorageFull))).is_full());
        assert!(kind(io(io::ErrorKind::UnexpectedEof)).is_corrupt());
        assert!(kind(io(io::ErrorKind::NotFound)).is_corrupt());
        assert!(kind(sled::Error::Corruption { at: None, bt: () }).is_corrupt());
        assert!(matches!(kind(io(io::ErrorKind::PermissionDenied)).kind(), ErrorKind::Io { .. }));
        assert!(matches!(kind(sled::Error::ReportableBug("x".into())).kind(), ErrorKind::Engine { .. }));
    }

    #[test]
    fn debug_does_not_print_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        engine.apply(vec![put("anna", "secret")]).unwrap();
        assert_eq!(format!("{engine:?}"), format!("SledEngine {{ dir: {:?}, .. }}", folder.path()));
    }
}
