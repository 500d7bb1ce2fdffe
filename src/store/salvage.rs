//! Bringing everything that can still be read of a damaged store into a new one.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, TryLockError},
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
    files, from_index,
    index::{self, Index},
    log::Log,
    mark::{self, Mark},
    named_segments,
    retention::Rules,
    segment::UNSOUND,
    sled_engine::SledEngine,
    survey::{Found, survey},
    witness::{Head, Witness},
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
    /// Salvage **before** the store is opened again, or from a copy: where sled cannot read its file it overwrites what stands
    /// behind. An opening that fails keeps the end of that in a file `cut` in the log's folder, in which salvage looks too; but that
    /// may be less than all. Rules of retention are kept only if the log can be opened.
    ///
    /// An entry is taken from the log; from where else in the log's file it still stands, if the log cannot be read there;
    /// else from the journey index. Customers who were erased are left out; but the list of them stands in the log: if
    /// any of that cannot be read, a note says that those erased since it was last compacted may be back. Entries keep their
    /// sequences. It needs room for the damaged store and the new one, and about a kilobyte of memory for each event that only the
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
        let (damaged, new) = (damaged.as_ref(), new.as_ref());
        if damaged.is_dir() && is_within(new, damaged)? {
            let reason = "it lies in the damaged store's folder, where nothing is changed".to_owned();
            return Err(ErrorKind::NotAStore { path: new.to_owned(), reason }.into());
        }
        let _lock = lock(damaged)?;
        let mut notes = Vec::new();
        let sources = Sources::find(damaged, &mut notes)?;
        make_empty_folder(new)?;
        let wreck = Wreck::read(&sources, &new.join("damaged"), &mut notes)?;
        let written = write(&wreck, new)?;
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
}

/// Keeps others from opening a store meanwhile, and fails if it is open.
fn lock(dir: &Path) -> Result<Option<File>> {
    let path = dir.join(mark::LOCK);
    let Ok(file) = File::open(&path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::Locked { path: dir.to_owned() }.into()),
        Err(TryLockError::Error(e)) => Err(Error::io("locking", path, e)),
    }
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
    /// The last sequence that is known to have been acknowledged.
    acknowledged: u64,
    /// How many customers are known to have been erased.
    erased: u64,
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
            notes.push("the mark is lost: the newest log and index were taken".to_owned());
        }
        let witness = Witness::open(dir);
        let erased = witness.as_ref().map_or(0, Witness::erased);
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
        Ok(Self { logs, index, acknowledged: heads.iter().map(|head| head.seq).max().unwrap_or_default(), erased })
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
    fn read(sources: &Sources, copy: &Path, notes: &mut Vec<String>) -> Result<Self> {
        let mut engine: Option<Arc<dyn Engine>> = None;
        if let Some(log) = sources.logs.first() {
            match copy_folder(log, &copy.join("log")).and_then(|copied| SledEngine::open(&copied)) {
                Ok((opened, mended)) => {
                    notes.extend(mended.0);
                    engine = Some(Arc::new(opened));
                }
                Err(error) => note_damage(error, notes)?,
            }
        }
        let erasures = engine.as_deref().map(Erasures::read).transpose().unwrap_or_else(|error| {
            notes.push(error.to_string());
            None
        });
        let is_unknown = erasures.as_ref().is_none_or(|erasures| erasures.len() < sources.erased);
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
            acknowledged: sources.acknowledged,
        };
        let mut lost = wreck.lost()?;
        if !lost.is_empty() || is_unknown {
            // The list of the erased stands in the log, and is its end when somebody has just been erased.
            let unknown = "whether the list of those erased is whole is not known: whoever was erased since the log was last \
                           compacted may be back, look at your own list";
            notes.push(unknown.to_owned());
            wreck.carving = Carving::of(&files);
            wreck.erasures.take_all(&wreck.carving.erasures);
            lost = wreck.lost()?;
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

    /// The sequences of entries that cannot be read from the log.
    fn lost(&self) -> Result<Vec<RangeInclusive<u64>>> {
        let mut lost = Vec::new();
        self.entries(&mut |piece| {
            if let Piece::Lost(seqs) = piece {
                lost.push(seqs);
            }
            Ok(())
        })?;
        Ok(lost)
    }

    /// Visits what can be read of the log, in order.
    fn entries(&self, visit: &mut Visit<'_>) -> Result<()> {
        let mut reading = Reading { carving: &self.carving, next: 1, chain: Some(Chain::default()) };
        if let Some(engine) = &self.engine {
            survey(&**engine, None, u64::MAX, |found| match found {
                Found::Block(block) => {
                    reading.fill(block.first.saturating_sub(1), visit)?;
                    reading.take(block, visit)
                }
                Found::Gap(..) => Ok(()),
            })?;
        }
        reading.rest(self.acknowledged, visit)
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

    /// What was carved beyond all else, and what is known to have been there.
    fn rest(&mut self, acknowledged: u64, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(block) = self.carved() {
            self.fill(block.next().saturating_sub(1), visit)?;
        }
        self.lose(acknowledged, visit)
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
        (self.next, self.chain) = (last.saturating_add(1), None);
        visit(Piece::Lost(lost))
    }
}

struct Written {
    head: u64,
    missing: Vec<RangeInclusive<u64>>,
    from_index: Vec<RangeInclusive<u64>>,
}

/// Writes the log of the new store.
fn write(wreck: &Wreck, new: &Path) -> Result<Written> {
    let (engine, _) = SledEngine::open(&Mark::first().log(new))?;
    let log = Log::open(Arc::new(engine))?;
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
            let customer = entry.as_event().map(|event| event.customer().as_str());
            if customer.is_some_and(|customer| self.wreck.erasures.leaves_out(customer)) {
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
        let is_copied = |name: &&std::ffi::OsStr| path.is_file() && *name != UNSOUND;
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
    use crate::store::engine::Change;

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
        let (engine, _) = SledEngine::open(&damaged.join("log")).unwrap();
        let (key, _) = engine.range(b"e", b"f", 1).unwrap().remove(0);
        engine.apply(vec![Change::Remove(key)]).unwrap();
        engine.close().unwrap();
        assert!(Store::open(&damaged).unwrap_err().is_corrupt());

        let salvage = Store::salvage(&damaged, &new).unwrap();
        assert_eq!((salvage.events, salvage.missing.len(), salvage.notes.len()), (1, 0, 1), "{salvage}");
        let store = Store::open(&new).unwrap();
        assert!(store.customer("ann").unwrap().is_none() && store.customer("bob").unwrap().is_some());
        assert!(store.erasure("ann").is_some());
        store.close().unwrap();
        let within = Store::salvage(&damaged, damaged.join("log-9")).unwrap_err();
        assert!(matches!(within.kind(), ErrorKind::NotAStore { .. }), "{within}");
    }
}
