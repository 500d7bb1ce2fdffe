//! What a store does when the system refuses a step, for each step of a small life: once, or from then on until it is told
//! to be good again, as a full disk does.

use std::{
    collections::BTreeMap,
    io::{Error as IoError, ErrorKind as IoKind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Retention, Store, StoreOptions,
    engine::{Change, Engine, Pair, Poison},
    files,
    locks::lock_plain,
    memory::MemoryEngine,
    promises::{Promised, batches, customer, event, folder},
    shared::OpenedEngine,
    step::Step,
    watched::{Watcher, watch},
};
use crate::error::{Error, ErrorKind, Result};

/// How the system refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The disk is full, or the owner's share of it, until somebody makes room.
    Full(IoKind),
    ReadOnly,
    Forbidden,
    /// No more files may be open, for a moment.
    TooManyFiles,
}

impl How {
    fn error(self) -> IoError {
        /// This has no kind of its own.
        const EMFILE: i32 = 24;
        match self {
            Self::Full(kind) => kind.into(),
            Self::ReadOnly => IoKind::ReadOnlyFilesystem.into(),
            Self::Forbidden => IoKind::PermissionDenied.into(),
            Self::TooManyFiles => IoError::from_raw_os_error(EMFILE),
        }
    }

    fn refuses(self, step: Step<'_>) -> bool {
        let opens = matches!(step, Step::Create(_) | Step::Read(_) | Step::SyncFolder(_));
        let writes = matches!(step, Step::MakeFolder(_) | Step::Create(_) | Step::Write(..) | Step::Sync(_));
        let renames = matches!(step, Step::Rename(..));
        let removes = matches!(step, Step::Remove(_) | Step::RemoveFolder(_));
        match self {
            Self::Full(_) => writes || renames,
            Self::ReadOnly => writes || renames || removes,
            Self::Forbidden => writes || renames || removes || opens,
            Self::TooManyFiles => opens,
        }
    }

    fn is_it(self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Full { source, .. } => matches!(self, Self::Full(kind) if source.kind() == kind),
            ErrorKind::Io { source, path, .. } => {
                source.kind() == self.error().kind() && !path.as_os_str().is_empty() && !matches!(self, Self::Full(_))
            }
            _ => false,
        }
    }
}

/// A system that refuses.
#[derive(Debug)]
struct Refusing {
    how: How,
    /// Steps that could have been refused so far, and from which on they are.
    steps: AtomicU64,
    from: AtomicU64,
    engines: Mutex<BTreeMap<PathBuf, MemoryEngine>>,
}

impl Refusing {
    fn new(how: How, from: u64) -> Arc<Self> {
        let (steps, engines) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { how, steps, from: AtomicU64::new(from), engines })
    }

    fn step(&self) -> std::io::Result<()> {
        let number = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        let from = self.from.load(Ordering::SeqCst);
        let refused = if matches!(self.how, How::Full(_)) { number >= from } else { number == from };
        if refused { Err(self.how.error()) } else { Ok(()) }
    }

    fn be_good(&self) {
        self.from.store(u64::MAX, Ordering::SeqCst);
    }

    /// Refuses all but the next step, once nothing is left to be done in the background: that would be a step too.
    fn refuse_from_the_second(&self) {
        let steps = || self.steps.load(Ordering::SeqCst);
        // What was appended is witnessed a second later.
        let quiet = std::time::Duration::from_millis(1_500);
        let mut before = None;
        while before != Some(steps()) {
            before = Some(steps());
            std::thread::sleep(quiet);
        }
        self.from.store(steps() + 2, Ordering::SeqCst);
    }

    fn open_engine(self: &Arc<Self>, folder: &Path) -> Result<OpenedEngine> {
        files::make_folder(folder)?;
        self.step().map_err(|e| Error::io("opening the log", folder, e))?;
        let kept = lock_plain(&self.engines).entry(folder.to_owned()).or_default().clone();
        let engine =
            RefusingEngine { inner: kept, dir: folder.to_owned(), system: self.clone(), poison: Poison::default() };
        Ok((Arc::new(engine), Vec::new()))
    }
}

impl Watcher for Refusing {
    fn around(&self, step: Step<'_>, run: &mut dyn FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
        if self.how.refuses(step) {
            self.step()?;
        }
        run()
    }
}

/// An engine on such a system.
#[derive(Debug)]
struct RefusingEngine {
    inner: MemoryEngine,
    dir: PathBuf,
    system: Arc<Refusing>,
    poison: Poison,
}

impl RefusingEngine {
    /// At every other step that is refused, it was done all the same.
    fn write(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        self.poison.guard(|| {
            let refused = self.system.step();
            if refused.is_ok() || self.system.from.load(Ordering::SeqCst).is_multiple_of(2) {
                write()?;
            }
            refused.map_err(|e| Error::io("writing the log", &self.dir, e))
        })
    }
}

impl Engine for RefusingEngine {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        self.write(|| self.inner.apply(batch))
    }

    fn flush(&self) -> Result<()> {
        self.write(|| self.inner.flush())
    }

    fn sync(&self) -> Result<()> {
        self.write(|| self.inner.sync())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        self.inner.range(from, to, limit)
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.inner.last(from, to)
    }

    fn size_on_disk(&self) -> Result<u64> {
        Ok(0)
    }

    fn may_reopen(&self) -> bool {
        self.poison.was_full()
    }

    fn close(&self) -> Result<()> {
        let synced = self.sync();
        self.inner.close()?;
        synced
    }
}

fn open(system: &Arc<Refusing>, dir: &Path) -> Result<Store> {
    let system = system.clone();
    Store::open_on(dir, &StoreOptions::new().fresh_events(7), move |folder| system.open_engine(folder))
}

/// One small life on such a system: whatever is refused is tried again as long as that may help.
struct Life {
    system: Arc<Refusing>,
    dir: PathBuf,
    promised: Promised,
    next: usize,
    errors: Vec<Error>,
}

impl Life {
    /// Does something, and again if it was refused. A full disk has room after the second time.
    fn insist<T>(&mut self, store: Option<&Store>, act: impl Fn() -> Result<T>) -> Option<T> {
        const TIMES: usize = 200;
        for time in 0..TIMES {
            match act() {
                Ok(done) => return Some(done),
                Err(error) => {
                    let is_poisoned = matches!(error.kind(), ErrorKind::Poisoned { .. });
                    assert!(self.system.how.is_it(&error) || is_poisoned, "{error:?}");
                    if let Some(store) = store {
                        self.ask(store);
                    }
                    self.errors.push(error);
                    if is_poisoned && !matches!(self.system.how, How::Full(_)) {
                        return None;
                    }
                }
            }
            if time == 1 {
                self.system.be_good();
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        None
    }

    /// What was acknowledged is there, whatever was refused.
    fn ask(&self, store: &Store) {
        // So is whoever was to be erased, and is not.
        for id in (0..7).map(customer).filter(|id| store.erasure(id).is_none()) {
            let expected = (0..self.promised.events).filter(|i| customer(*i) == id).count();
            let found = store.customer(&id).unwrap().map_or(0, |customer| customer.journey().len());
            assert!(found >= expected, "{found} of {expected} events of {id}");
        }
    }

    fn append(&mut self, store: &Store, count: usize) -> Option<()> {
        let next = self.next;
        for batch in batches().skip_while(|batch| batch.start < next).take(count) {
            self.insist(Some(store), || store.append_batch(batch.clone().map(event)))?;
            self.next = batch.end;
            self.promised.events = batch.end;
        }
        Some(())
    }

    /// `None` if it could not go on without being opened again.
    fn live(&mut self) -> Option<()> {
        let (system, dir) = (self.system.clone(), self.dir.clone());
        let store = self.insist(None, || open(&system, &dir))?;
        self.append(&store, 5)?;
        self.insist(Some(&store), || store.settle())?;
        self.append(&store, 3)?;
        self.promised.erasing.insert("c3".to_owned());
        self.insist(Some(&store), || store.erase("c3"))?;
        self.promised.erased.insert("c3".to_owned());
        self.append(&store, 1)?;
        self.insist(Some(&store), || store.compact())?;
        self.append(&store, 3)?;
        self.insist(Some(&store), || store.sync())?;
        let closed = store.close();
        self.errors.extend(closed.err());
        Some(())
    }
}

/// Lives once without and once for each step with a refusal, and says how often it could not go on.
fn refuse(how: How) -> (u64, u64) {
    let life = |from| {
        let dir = folder();
        let system = Refusing::new(how, from);
        let watch = watch(dir.path(), system.clone());
        let store = dir.path().join("a.journey");
        let life = Life { system, dir: store, promised: Promised::default(), next: 0, errors: Vec::new() };
        (life, dir, watch)
    };
    let steps = {
        let (mut life, _dir, _watch) = life(u64::MAX);
        life.live().unwrap();
        assert!(life.errors.is_empty());
        life.system.steps.load(Ordering::SeqCst)
    };
    let (mut refused, mut stuck) = (0, 0);
    for from in 1..=steps {
        let (mut life, _dir, _watch) = life(from);
        let went_on = life.live().is_some();
        refused += u64::from(!life.errors.is_empty());
        stuck += u64::from(!went_on);
        life.system.be_good();
        let store = open(&life.system, &life.dir).unwrap_or_else(|error| panic!("{how:?} at {from}: {error}"));
        let held = life.promised.compare(&store).unwrap_or_else(|error| panic!("{how:?} at {from}: {error}"));
        assert!(!went_on || held == life.promised.events, "{how:?} at {from}: {held}");
        // The background thread may be the first who is refused; whoever comes later is told why.
        let is_said = |error: &Error| how.is_it(error) || error.to_string().contains("failed: ");
        assert!(life.errors.first().is_none_or(is_said), "{how:?} at {from}: {:?}", life.errors);
    }
    println!("{how:?}: {steps} steps, refused {refused}, {stuck} could not go on");
    (refused, stuck)
}

#[test]
fn a_full_disk_stops_appending_and_nothing_else_and_only_until_there_is_room() {
    for kind in [IoKind::StorageFull, IoKind::QuotaExceeded] {
        let (refused, stuck) = refuse(How::Full(kind));
        assert!(refused > 50, "{refused}");
        assert_eq!(stuck, 0, "it goes on by itself");
    }
}

#[test]
fn what_is_forbidden_or_too_much_is_said_and_harms_nothing_else() {
    for how in [How::ReadOnly, How::Forbidden, How::TooManyFiles] {
        let (refused, _) = refuse(how);
        assert!(refused > 20, "{refused}");
    }
}

/// A batch that was written and could not be synced is refused, and is there all the same. What comes next comes after it.
#[test]
fn what_was_refused_and_is_in_the_log_all_the_same_is_taken_in() {
    let (dir, system) = (folder(), Refusing::new(How::Full(IoKind::StorageFull), u64::MAX));
    let store = open(&system, dir.path()).unwrap();
    store.append(event(0)).unwrap();
    // Of several blocks, so that the next append does not write over all of it.
    let mut random = fastrand::Rng::with_seed(1);
    let mut long = |i: i64| {
        let text: String = (0..15_000).map(|_| random.alphanumeric()).collect();
        let at = chrono::DateTime::from_timestamp(i, 0).unwrap();
        crate::model::Event::at(at, "long", "view").id(format!("long {i}")).property("text", text).build().unwrap()
    };
    let refused: Vec<_> = (0..9).map(&mut long).collect();
    system.refuse_from_the_second();
    assert!(store.append_batch(refused.clone()).unwrap_err().is_full());
    assert!(store.append(event(1)).unwrap_err().is_full());
    assert_eq!(store.len(), 1);
    system.be_good();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(store.append(event(1)).unwrap().first().unwrap().0, 11);
    let check = |store: &Store| {
        let long = store.customer("long").unwrap().unwrap();
        assert!(long.events().unwrap().into_iter().map(|logged| logged.event).eq(refused.iter().cloned()));
        assert_eq!((long.journey().len(), store.len()), (9, 11));
    };
    check(&store);
    assert_eq!(store.append_batch(refused.clone()).unwrap().duplicates().len(), 9, "their ids are known");
    store.close().unwrap();
    check(&open(&system, dir.path()).unwrap());
}

/// Orders that were written and could not be synced are refused, and stand in the log all the same: they hold once it is
/// opened again.
#[test]
fn orders_that_were_refused_and_are_in_the_log_all_the_same_hold() {
    let (dir, system) = (folder(), Refusing::new(How::Full(IoKind::StorageFull), u64::MAX));
    let store = open(&system, dir.path()).unwrap();
    (0..7).for_each(|i| drop(store.append(event(i)).unwrap()));
    let make_room = || {
        system.be_good();
        std::thread::sleep(std::time::Duration::from_millis(5));
    };

    let rules = Retention::new().comments(chrono::TimeDelta::days(30)).unwrap();
    system.refuse_from_the_second();
    assert!(store.set_retention(rules.clone()).unwrap_err().is_full());
    assert_eq!(store.retention(), Retention::new());
    make_room();
    store.append(event(7)).unwrap();
    assert_eq!(store.retention(), rules);

    system.refuse_from_the_second();
    assert!(store.erase("c3").unwrap_err().is_full());
    assert!(store.erasure("c3").is_none() && store.customer("c3").unwrap().is_some());
    make_room();
    store.append(event(8)).unwrap();
    assert!(store.erasure("c3").is_some() && store.customer("c3").unwrap().is_none());
}
