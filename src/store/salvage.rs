//! Bringing everything that can still be read of a damaged store into a new one.

use std::{
    collections::BTreeMap,
    fmt, fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Store, StoreOptions,
    backup::is_within,
    carving::Carving,
    cut,
    engine::Engine,
    erasures::Erasures,
    files,
    folder_lock::FolderLock,
    from_index,
    index::{self, Index},
    log::Log,
    mark::{self, Mark},
    named_segments,
    retention::Rules,
    segment::UNSOUND,
    shared::OpenedEngine,
    store::on_disk,
    survey::{Found, survey},
    witness::{Head, Orders, Witness},
};
use crate::{
    codec::{Block, BlockCutter, Chain, LogEntry},
    error::{Error, ErrorKind, Result},
    journey::Names,
    model::{Event, Micros},
};

/// So many entries are written at a time.
const AT_ONCE: usize = 4096;
/// What was salvaged, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Events in the new store.
    pub events: u64,
    /// The last sequence of the new store: that of the old one, as far as it is known.
    pub head: u64,
    /// The sequences of entries that are known to have been there and could not be read anywhere, in order. They stay empty
    /// in the new store, so that all others keep theirs.
    pub missing: Vec<RangeInclusive<u64>>,
    /// The sequences of events that only the journey index had: they have no event ids, no comments and no nested
    /// properties any more, and the time of the entry before as the time at which the log took them.
    pub from_index: Vec<RangeInclusive<u64>>,
    /// What else was found, one sentence each.
    pub notes: Vec<String>,
}

impl Store {
    /// Reads all that can still be read of a damaged store, and writes it into a new one: for a store that cannot be opened,
    /// or whose [verification](Self::verify) shows that its log is damaged. The damaged store is not changed.
    ///
    /// Salvage **before** the store is opened again, or from a copy: where sled cannot read its file it overwrites what
    /// stands behind. An opening keeps up to 64 MiB of that before, in a file `cut` in the log's folder, in which
    /// salvage looks too, until an opening goes well.
    ///
    /// An entry is taken from the log; from where else in the log's file it still stands, if the log cannot be read
    /// there; else from the journey index. Entries beyond what is known to have been acknowledged are taken if they fit
    /// on. Customers who were erased are left out; but the list of them stands in the log: if any of that cannot be
    /// read, a note says that those erased since it was last compacted may be back. So it is with the rules of
    /// [retention](Store::retention): look at them before the new store is compacted. Entries keep their sequences. It
    /// needs room for the damaged store and the new one, and about a kilobyte of memory for each event that only the
    /// index has.
    ///
    /// # Errors
    /// `NotAStore` if the folder to be made is not empty or lies in the other, or the other holds nothing of a store; `Locked`
    /// if the damaged store is open; `NewerFormat` if a later release wrote it; `Full` or `Io` if the new one could not be written, and
    /// then what there is of it does not open.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let (damaged, new) = (dir.path().join("shop.journey"), dir.path().join("salvaged.journey"));
    /// # let store = journeylog::Store::open(&damaged)?;
    /// # store.append(journeylog::Event::at(chrono::Utc::now(), "c-42", "product_view"))?;
    /// # store.close()?;
    /// use journeylog::Store;
    /// let salvage = Store::salvage(&damaged, &new)?;
    /// assert_eq!((salvage.events, salvage.missing.as_slice()), (1, &[][..]));
    /// assert_eq!(Store::open(&new)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn salvage(damaged: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<Salvage> {
        salvage(damaged.as_ref(), new.as_ref(), &on_disk)
    }
}

type OpenEngine<'a> = &'a dyn Fn(&Path) -> Result<OpenedEngine>;

fn salvage(damaged: &Path, new: &Path, open_engine: OpenEngine<'_>) -> Result<Salvage> {
    if damaged.is_dir() && is_within(new, damaged)? {
        let reason = "it lies in the damaged store's folder, where nothing is changed".to_owned();
        return Err(ErrorKind::NotAStore { path: new.to_owned(), reason }.into());
    }
    let _lock = lock(damaged)?;
    let mut notes = Vec::new();
    let sources = Sources::find(damaged, &mut notes)?;
    make_empty_folder(new)?;
    let wreck = Wreck::read(&sources, &new.join("damaged"), open_engine, &mut notes)?;
    let written = write(&wreck, new, open_engine)?;
    drop(wreck);
    files::remove_folder(&new.join("damaged"))?;
    match named_segments::read(damaged) {
        Ok(named) => named_segments::write(&named, new)?,
        Err(error) => note_damage(error, &mut notes)?,
    }
    Mark::first().write(new)?;
    let store = StoreOptions::new().open(new)?;
    let events = store.len();
    store.close()?;
    let Written { head, missing, from_index } = written;
    Ok(Salvage { events, head, missing, from_index, notes })
}

/// Keeps others from opening a store meanwhile, and fails if it is open.
fn lock(dir: &Path) -> Result<Option<FolderLock>> {
    let file = files::open(&dir.join(mark::LOCK)).ok();
    file.map(|file| FolderLock::take(file, dir)).transpose()
}

fn make_empty_folder(dir: &Path) -> Result<()> {
    let taken = fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some());
    if taken || dir.is_file() {
        let reason = "it is to be made anew, and there is something in it".to_owned();
        return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason }.into());
    }
    files::make_folder(dir)
}

/// What a damaged store's folder has.
#[derive(Debug)]
struct Sources {
    /// Folders of logs: the one that counts, or all, the newest first, if it is not known which.
    logs: Vec<PathBuf>,
    index: Option<PathBuf>,
    /// How far the log is known to have gone, by each that tells of it.
    heads: Vec<Head>,
    /// What the log is known to have had beside its entries.
    orders: Orders,
}

impl Sources {
    fn find(dir: &Path, notes: &mut Vec<String>) -> Result<Self> {
        let mark = match Mark::read(dir) {
            Ok(mark) => mark,
            Err(error) if matches!(error.kind(), ErrorKind::NewerFormat { .. }) => return Err(error),
            Err(error) => {
                notes.push(error.to_string());
                None
            }
        };
        let names_none = mark.is_some_and(|mark| mark.check_log(dir).is_err());
        let mark = mark.filter(|_| !names_none);
        let mut logs = mark.map_or_else(|| mark::logs(dir), |mark: Mark| vec![mark.log(dir)]);
        logs.retain(|log| log.is_dir());
        let mut indexes = mark.map_or_else(|| mark::indexes(dir), |mark| vec![mark.index(dir)]);
        indexes.retain(|index| index.is_dir());
        let index = indexes.into_iter().next();
        if logs.is_empty() && index.is_none() {
            let reason = "it has neither a log nor an index".to_owned();
            return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason }.into());
        }
        if mark.is_none() {
            let lost = if names_none { "the mark names a log that is not there" } else { "the mark is lost" };
            notes.push(format!("{lost}: the newest log and index were taken"));
        }
        let witness = Witness::open(dir);
        let orders = witness.as_ref().map_or(Orders::default(), Witness::orders);
        let witness = witness.map(|witness| witness.head());
        if matches!(witness, Ok(None)) {
            notes.push("the head witness is missing: whether the log had gone further is not known".to_owned());
        }
        let witness = witness.map(Option::unwrap_or_default);
        let indexed = index.as_deref().map_or(Ok(Head::default()), index::witnessed);
        let mut heads = vec![mark.unwrap_or_default().began];
        for head in [witness, indexed] {
            match head {
                Ok(head) => heads.push(head),
                Err(error) => notes.push(error.to_string()),
            }
        }
        Ok(Self { logs, index, heads, orders })
    }

    /// The last sequence that is known to have been acknowledged.
    fn acknowledged(&self) -> u64 {
        self.heads.iter().map(|head| head.seq).max().unwrap_or_default()
    }

    /// Says so if the log is another than the one that was witnessed.
    fn compare(&self, engine: &Arc<dyn Engine>, notes: &mut Vec<String>) {
        let Ok(log) = Log::open(Arc::clone(engine)) else { return };
        let is_other = |head: &&Head| matches!(log.holds(**head), Ok(false));
        if let Some(head) = self.heads.iter().find(is_other) {
            notes.push(format!(
                "the log up to sequence {} is not the one that this store wrote: it may be that of another store",
                head.seq
            ));
        }
    }
}

/// What is left of a damaged store, copied, so that reading it changes nothing there.
struct Wreck {
    engine: Option<Arc<dyn Engine>>,
    erasures: Erasures,
    rules: Rules,
    carving: Carving,
    /// Events of which only the index knows.
    from_index: BTreeMap<u64, Event>,
    acknowledged: u64,
}

impl Wreck {
    fn read(sources: &Sources, copy: &Path, open_engine: OpenEngine<'_>, notes: &mut Vec<String>) -> Result<Self> {
        let mut engine: Option<Arc<dyn Engine>> = None;
        if let Some(log) = sources.logs.first() {
            match copy_folder(log, &copy.join("log")).and_then(|copied| open_engine(&copied)) {
                Ok((opened, mended)) => {
                    notes.extend(mended);
                    sources.compare(&opened, notes);
                    engine = Some(opened);
                }
                Err(error) => note_damage(error, notes)?,
            }
        }
        let erasures = engine.as_deref().map(Erasures::read).transpose().unwrap_or_else(|error| {
            notes.push(error.to_string());
            None
        });
        let is_unknown = erasures.as_ref().is_none_or(|erasures| erasures.len() < sources.orders.erased);
        let rules = engine.as_deref().map_or(Ok(Rules::default()), Rules::read).unwrap_or_else(|error| {
            notes.push(error.to_string());
            Rules::default()
        });
        let files: Vec<PathBuf> = sources.logs.iter().flat_map(|log| [log.join("db"), log.join(cut::FILE)]).collect();
        let mut wreck = Self {
            engine,
            erasures: erasures.unwrap_or_default(),
            rules,
            carving: Carving::default(),
            from_index: BTreeMap::new(),
            acknowledged: sources.acknowledged(),
        };
        let (lost, _) = wreck.lost()?;
        wreck.carving = Carving::of(&files);
        if !lost.is_empty() || is_unknown {
            // The list of the erased stands in the log, and is its end when somebody has just been erased.
            let unknown = "whether the list of those erased is whole is not known: whoever was erased since the log was last \
                           compacted may be back, look at your own list";
            notes.push(unknown.to_owned());
            wreck.erasures.take_all(&wreck.carving.erasures);
        }
        let witnessed = sources.orders.rules_set_at;
        if !lost.is_empty() || is_unknown || wreck.rules.check(witnessed).is_err() {
            notes.push(wreck.rules.salvage(wreck.carving.rules.clone(), witnessed));
        }
        let (lost, head) = wreck.lost()?;
        if wreck.carving.last() > head {
            let last = wreck.carving.last();
            notes.push(format!(
                "entries up to sequence {last} stand in the log's file and do not fit on: they were left out"
            ));
        }
        if wreck.carving.unreadable > 0 {
            let bytes = wreck.carving.unreadable;
            notes.push(format!("{bytes} bytes of the log's file cannot be read from the disk"));
        }
        if let Some(index) = sources.index.as_deref().filter(|_| !lost.is_empty()) {
            let names = Names::default();
            match copy_folder(index, &copy.join("index")).and_then(|copied| Index::open(&copied, &names)) {
                Ok(index) => {
                    let wanted = |seq| lost.iter().any(|gap| gap.contains(&seq));
                    let (events, unreadable) = from_index::events(&index, &names, wanted);
                    wreck.from_index = events;
                    notes.extend(unreadable);
                }
                Err(error) => note_damage(error, notes)?,
            }
        }
        Ok(wreck)
    }

    /// The sequences of entries that cannot be read from the log, and the last one that there will be.
    fn lost(&self) -> Result<(Vec<RangeInclusive<u64>>, u64)> {
        let mut lost = Vec::new();
        let head = self.entries(&mut |piece| {
            if let Piece::Lost(seqs) = piece {
                lost.push(seqs);
            }
            Ok(())
        })?;
        Ok((lost, head))
    }

    /// Visits what can be read of the log, in order, and says where that ends.
    fn entries(&self, visit: &mut Visit<'_>) -> Result<u64> {
        let mut reading = Reading { carving: &self.carving, next: 1, chain: Some(Chain::default()), has_lost: false };
        if let Some(engine) = &self.engine {
            survey(&**engine, None, u64::MAX, |found| match found {
                Found::Block(block) => {
                    reading.fill(block.first.saturating_sub(1), visit)?;
                    reading.take(block, visit)
                }
                Found::Gap(..) => Ok(()),
            })?;
        }
        reading.rest(self.acknowledged, visit)?;
        Ok(reading.next.saturating_sub(1))
    }
}

/// Some of a log.
enum Piece {
    Entries(Vec<LogEntry>),
    Lost(RangeInclusive<u64>),
}

type Visit<'a> = dyn FnMut(Piece) -> Result<()> + 'a;

/// Reading on from one source or the other.
struct Reading<'a> {
    carving: &'a Carving,
    next: u64,
    chain: Option<Chain>,
    has_lost: bool,
}

impl Reading<'_> {
    fn take(&mut self, mut block: Block, visit: &mut Visit<'_>) -> Result<()> {
        let known = usize::try_from(self.next.saturating_sub(block.first)).unwrap_or(usize::MAX);
        if known >= block.entries.len() {
            return Ok(());
        }
        (self.next, self.chain) = (block.next(), Some(block.after));
        block.entries.drain(..known);
        visit(Piece::Entries(block.entries))
    }

    /// Fills a gap up to a sequence with what was carved, and tells what is lost of it.
    fn fill(&mut self, last: u64, visit: &mut Visit<'_>) -> Result<()> {
        while self.next <= last {
            let block = self.carved().filter(|block| block.first <= last);
            self.lose(block.as_ref().map_or(last, |block| block.first.saturating_sub(1)), visit)?;
            if let Some(block) = block {
                self.take(block, visit)?;
            }
        }
        Ok(())
    }

    /// What was carved beyond all else, and what is known to have been there. If nothing is lost, only what fits on: in the
    /// file of a sound log entries may be left that were lost once, and given up.
    fn rest(&mut self, acknowledged: u64, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(block) = self.carved() {
            let is_lost = self.has_lost || self.next <= acknowledged;
            if !is_lost && !self.fits_on(&block) {
                break;
            }
            self.fill(block.next().saturating_sub(1), visit)?;
        }
        self.lose(acknowledged, visit)
    }

    fn fits_on(&self, block: &Block) -> bool {
        let known = self.next.checked_sub(block.first).and_then(|known| usize::try_from(known).ok());
        let known = known.and_then(|known| block.entries.get(..known));
        known.is_some_and(|known| self.chain == Some(block.before.after(known)))
    }

    fn carved(&self) -> Option<Block> {
        self.carving.at_or_after(self.next, self.chain)
    }

    /// Tells that what is left up to a sequence is lost.
    fn lose(&mut self, last: u64, visit: &mut Visit<'_>) -> Result<()> {
        if self.next > last {
            return Ok(());
        }
        let lost = self.next..=last;
        (self.next, self.chain, self.has_lost) = (last.saturating_add(1), None, true);
        visit(Piece::Lost(lost))
    }
}

struct Written {
    head: u64,
    missing: Vec<RangeInclusive<u64>>,
    from_index: Vec<RangeInclusive<u64>>,
}

/// Writes the log of the new store.
fn write(wreck: &Wreck, new: &Path, open_engine: OpenEngine<'_>) -> Result<Written> {
    let (engine, _) = open_engine(&Mark::first().log(new))?;
    let log = Log::open(engine)?;
    let mut writer =
        Writer { wreck, log, head: Head::default(), cutter: BlockCutter::default(), recorded_at: Micros::MIN };
    let mut written = Written { head: 0, missing: Vec::new(), from_index: Vec::new() };
    wreck.entries(&mut |piece| match piece {
        Piece::Entries(entries) => writer.append(entries),
        Piece::Lost(seqs) => {
            let mut next = *seqs.start();
            while next <= *seqs.end() {
                let last = next.saturating_add(AT_ONCE as u64 - 1).min(*seqs.end());
                let mut entries = Vec::with_capacity(AT_ONCE);
                for seq in next..=last {
                    let event = wreck.from_index.get(&seq);
                    extend(if event.is_some() { &mut written.from_index } else { &mut written.missing }, seq);
                    let entry = event.map(|event| LogEntry::event(writer.recorded_at, event.clone()));
                    entries.push(entry.unwrap_or_else(LogEntry::erased));
                }
                writer.append(entries)?;
                next = last.saturating_add(1);
            }
            Ok(())
        }
    })?;
    let mut changes = wreck.erasures.all_compacted(Micros::from(chrono::Utc::now()));
    changes.push(wreck.rules.put());
    let engine = writer.log.engine();
    engine.apply(changes)?;
    engine.close()?;
    written.head = writer.head.seq;
    Ok(written)
}

/// Adds a sequence to ranges, which are in order.
fn extend(ranges: &mut Vec<RangeInclusive<u64>>, seq: u64) {
    match ranges.last_mut() {
        Some(last) if last.end().saturating_add(1) == seq => *last = *last.start()..=seq,
        _ => ranges.push(seq..=seq),
    }
}

struct Writer<'a> {
    wreck: &'a Wreck,
    log: Log,
    head: Head,
    cutter: BlockCutter,
    recorded_at: Micros,
}

impl Writer<'_> {
    fn append(&mut self, mut entries: Vec<LogEntry>) -> Result<()> {
        for entry in &mut entries {
            self.recorded_at = self.recorded_at.max(entry.recorded_at);
            let is_erased = |event: &Event| event.ids_named().any(|id| self.wreck.erasures.leaves_out(id));
            if entry.as_event().is_some_and(is_erased) {
                *entry = LogEntry::erased();
            }
        }
        let (changes, _, head) = Log::appending(self.head, &entries, &mut self.cutter);
        self.log.engine().apply(changes)?;
        self.head = head;
        Ok(())
    }
}

/// Goes on without what cannot be read; but a disk that is full is no damage.
fn note_damage(error: Error, notes: &mut Vec<String>) -> Result<()> {
    if error.is_full() {
        return Err(error);
    }
    notes.push(format!("{error:?}"));
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<PathBuf> {
    files::make_folder(to)?;
    for entry in fs::read_dir(from).map_err(|e| Error::io("listing", from, e))? {
        let path = entry.map_err(|e| Error::io("listing", from, e))?.path();
        // That a question found the index damaged is no reason not to read the rest of it.
        let is_copied = |name: &&std::ffi::OsStr| path.is_file() && *name != UNSOUND && *name != cut::FILE;
        let Some(name) = path.file_name().filter(is_copied) else { continue };
        fs::copy(&path, to.join(name)).map_err(|e| Error::io("copying", &path, e))?;
    }
    Ok(to.to_owned())
}

impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events salvaged, up to sequence {}", self.events, self.head)?;
        for (what, ranges) in [("missing", &self.missing), ("from the index alone", &self.from_index)] {
            let count: u64 = ranges.iter().map(|range| range.end() - range.start() + 1).sum();
            if count > 0 {
                write!(f, "\n  {count} {what}: sequences")?;
                ranges.iter().try_for_each(|range| write!(f, " {}-{}", range.start(), range.end()))?;
            }
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::store::{Retention, engine::Change};

    /// All entries can be read, and it is the record of an erasure alone that is lost. Its bytes still stand in sled's file.
    #[test]
    fn who_was_erased_stays_out_also_if_only_the_record_of_that_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (damaged, new) = (dir.path().join("damaged"), dir.path().join("new"));
        let store = Store::open(&damaged).unwrap();
        for (second, customer) in [(1, "ann"), (2, "bob"), (3, "ann")] {
            let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
            store.append(Event::at(at, customer, "view")).unwrap();
        }
        store.erase("ann").unwrap();
        store.close().unwrap();
        let (engine, _) = on_disk(&damaged.join("log")).unwrap();
        let (key, _) = engine.range(b"e", b"f", 1).unwrap().remove(0);
        engine.apply(vec![Change::Remove(key)]).unwrap();
        engine.close().unwrap();
        assert!(Store::open(&damaged).unwrap_err().is_corrupt());

        let salvage = Store::salvage(&damaged, &new).unwrap();
        assert_eq!((salvage.events, salvage.missing.len(), salvage.notes.len()), (1, 0, 2), "{salvage}");
        let store = Store::open(&new).unwrap();
        assert!(store.customer("ann").unwrap().is_none() && store.customer("bob").unwrap().is_some());
        assert!(store.erasure("ann").is_some());
        store.close().unwrap();
        let within = Store::salvage(&damaged, damaged.join("log-9")).unwrap_err();
        assert!(matches!(within.kind(), ErrorKind::NotAStore { .. }), "{within}");
    }

    /// The witness lags by a second: what was appended in it is known to nobody but the log.
    #[test]
    fn what_stands_in_the_file_beyond_all_witnesses_is_salvaged_if_it_fits_on() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        let append = |range: std::ops::Range<i64>| {
            let store = Store::open(&folder).unwrap();
            for n in range {
                store.append(Event::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(n), "ann", "view")).unwrap();
            }
            store.close().unwrap();
        };
        append(0..20);
        let witness = fs::read(folder.join("WITNESS")).unwrap();
        append(20..30);
        fs::write(folder.join("WITNESS"), witness).unwrap();
        fs::remove_dir_all(folder.join("index")).unwrap();
        let (engine, _) = on_disk(&folder.join("log")).unwrap();
        let remove = |from: u64| {
            let late = engine.range(&crate::store::log::key(from), b"c", 100).unwrap();
            engine.apply(late.into_iter().map(|(key, _)| Change::Remove(key)).collect()).unwrap();
        };
        remove(21);
        engine.sync().unwrap();
        let salvage = Store::salvage(&folder, dir.path().join("whole")).unwrap();
        assert_eq!((salvage.events, salvage.head, salvage.missing.len()), (30, 30, 0), "{salvage}");

        // Another entry in its place, as after a loss that was accepted: what followed the one before does not fit.
        let log = Log::open(Arc::clone(&engine)).unwrap();
        remove(20);
        let head = log.head().unwrap();
        let event = Event::at(DateTime::UNIX_EPOCH, "bob", "view").build().unwrap();
        let entries = [LogEntry::event(Micros(1), event)];
        let (changes, ..) = Log::appending(head, &entries, &mut BlockCutter::default());
        engine.apply(changes).unwrap();
        engine.close().unwrap();
        fs::remove_file(folder.join("WITNESS")).unwrap();
        let salvage = Store::salvage(&folder, dir.path().join("other")).unwrap();
        assert_eq!((salvage.events, salvage.head), (20, 20), "{salvage}");
        assert!(salvage.notes.iter().any(|note| note.starts_with("entries up to sequence 30 stand")), "{salvage}");
    }

    #[test]
    fn the_log_of_another_store_is_told_from_the_one_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join(name);
        for (name, events) in [("one", 3), ("other", 5)] {
            let store = Store::open(folder(name)).unwrap();
            (0..events).for_each(|_| drop(store.append(Event::at(DateTime::UNIX_EPOCH, name, "view")).unwrap()));
            store.close().unwrap();
        }
        let own = Store::salvage(folder("one"), folder("own")).unwrap();
        assert_eq!((own.events, own.notes.len()), (3, 0), "{own}");
        fs::remove_dir_all(folder("one").join("log")).unwrap();
        copy_folder(&folder("other").join("log"), &folder("one").join("log")).unwrap();
        assert!(Store::open(folder("one")).is_err());
        let salvage = Store::salvage(folder("one"), folder("new")).unwrap();
        assert_eq!(salvage.events, 5);
        assert!(salvage.notes.iter().any(|note| note.contains("that of another store")), "{salvage}");
    }

    #[test]
    fn rules_of_retention_are_found_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = dir.path().join("damaged");
        let store = Store::open(&damaged).unwrap();
        store.append(Event::at(DateTime::UNIX_EPOCH, "ann", "view")).unwrap();
        let rules = |days| Retention::new().events(TimeDelta::days(days)).unwrap();
        [40_000, 50_000].into_iter().for_each(|days| store.set_retention(rules(days)).unwrap());
        store.erase("bob").unwrap();
        store.close().unwrap();
        let (engine, _) = on_disk(&damaged.join("log")).unwrap();
        let lost = engine.range(b"e", b"s", 9).unwrap().into_iter().filter(|(key, _)| key[0] != b'f');
        let lost: Vec<Change> = lost.map(|(key, _)| Change::Remove(key)).collect();
        assert_eq!(lost.len(), 2);
        engine.apply(lost).unwrap();
        engine.close().unwrap();
        let new = dir.path().join("new");
        let salvage = Store::salvage(&damaged, &new).unwrap();
        assert!(salvage.notes.iter().any(|note| note.starts_with("rules of retention were found")), "{salvage}");
        let store = Store::open(&new).unwrap();
        assert_eq!(store.retention(), rules(50_000), "the newest");
        store.close().unwrap();
    }
}
