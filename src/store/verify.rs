//! Looking a store over: whether what is on the disk is what was written, and the journey index what the log says.

use std::fmt;

use super::{
    Store,
    engine::Engine,
    erasures::Erasures,
    ids::{self, IdSums},
    index::{self, Index},
    mark::Mark,
    named_segments,
    retention::Rules,
    segment::Segment,
    shared::Shared,
    snapshot::View,
    sums::{Hashes, Sums},
    survey::{Found, survey},
    witness::{Head, Witness},
};
use crate::{
    codec::Chain,
    error::{Error, ErrorKind, Result},
    journey::Needs,
};

/// If customers are erased or the log is written anew meanwhile, what was compared may differ for that: it is looked at
/// again, so often.
const TRIES: u32 = 20;

/// How thoroughly a store is looked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verify {
    /// The small files, the directory of every file of the index, the end of the log and its witnesses. It takes about as
    /// long as opening the store.
    Quick,
    /// All of the log, all of the index, and whether the two hold the same events. It takes about as long as rebuilding the
    /// index.
    Full,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries looked at, of the log and of the index.
    pub done: u64,
    /// How many there are.
    pub of: u64,
}

/// A part of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StorePart {
    /// The file that makes the folder a store, and says which folders count.
    Mark,
    /// The file that says how far the log must at least go.
    Witness,
    /// The log, the truth: what is wrong with it is mended from a backup, or [salvaged](Store::salvage).
    Log,
    /// The journey index: it is built again when the store is opened next, or with
    /// [`StoreOptions::rebuild_index`](crate::StoreOptions::rebuild_index).
    Index,
    /// The file of segments that have a name: remove it, and [define](Store::define_segment) them again.
    Segments,
}

/// Something that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where.
    pub part: StorePart,
    /// The file, or the sequences.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a verification looked at and found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How thorough it was.
    pub how: Verify,
    /// The last sequence that had been appended when it began.
    pub head: u64,
    /// Blocks of the log that were read whole.
    pub blocks: u64,
    /// Segments of the journey index that were looked at.
    pub segments: usize,
    /// What is wrong; empty if the store is sound.
    pub problems: Vec<Problem>,
}

impl Verification {
    /// True if nothing is wrong with what was looked at.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Store {
    /// Looks the store over, and says what is wrong with it. Nothing is changed, but that a damaged part of the index is
    /// noted, so that the next open builds it again. Appending and asking go on meanwhile; what is appended after the call
    /// is not looked at.
    ///
    /// A full verification keeps some megabytes, and besides 16 bytes for each 65,536 events.
    ///
    /// # Errors
    /// `Closed` if the store is closed. What is damaged or cannot be read is no error here, but a [`Problem`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// # store.append(journeylog::Event::at(chrono::Utc::now(), "c-42", "product_view"))?;
    /// use journeylog::Verify;
    /// let found = store.verify(Verify::Full)?;
    /// assert!(found.is_sound(), "{found}");
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, how: Verify) -> Result<Verification> {
        self.verify_with_progress(how, |_| ())
    }

    /// The same, and says again and again how far it has come.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_with_progress(&self, how: Verify, mut progress: impl FnMut(Progress)) -> Result<Verification> {
        let shared = self.shared();
        let found = look_until_still(shared, how, &mut progress)?;
        let is_wrong = |part| found.problems.iter().any(|problem| problem.part == part);
        // An index is built of a log that is sound, and may be all that is left of one that is not.
        if is_wrong(StorePart::Index) && !is_wrong(StorePart::Log) {
            index::note_unsound(&shared.index_dir());
        }
        Ok(found)
    }
}

/// Looks again if what was wrong may be so because the store was changed meanwhile.
fn look_until_still(shared: &Shared, how: Verify, progress: &mut dyn FnMut(Progress)) -> Result<Verification> {
    let state = || {
        let erasures = shared.erasures().list();
        (erasures, *shared.mark())
    };
    for _ in 1..TRIES {
        let before = state();
        let found = look(shared, how, progress)?;
        if found.is_sound() || state() == before {
            return Ok(found);
        }
    }
    look(shared, how, progress)
}

fn look(shared: &Shared, how: Verify, progress: &mut dyn FnMut(Progress)) -> Result<Verification> {
    let moment = Moment::of(shared);
    let mut problems = Problems::default();
    problems.note(StorePart::Mark, check_mark(shared))?;
    problems.note(StorePart::Witness, check_witness(shared))?;
    problems.note(StorePart::Log, shared.log.check(moment.synced).map(drop))?;
    // In this order: the log has what was witnessed before.
    let orders = shared.witness().orders();
    let engine = shared.log.engine();
    let erasures = Erasures::read(&*engine).and_then(|erasures| erasures.check(orders.erased));
    problems.note(StorePart::Log, erasures)?;
    let rules = Rules::read(&*engine).and_then(|rules| rules.check(orders.rules_set_at));
    problems.note(StorePart::Log, rules)?;
    problems.note(StorePart::Segments, named_segments::read(&shared.dir).map(drop))?;
    let dir = shared.index_dir();
    problems.note(StorePart::Log, index::witnessed(&dir).and_then(|head| shared.log.check(head)).map(drop))?;
    for error in Index::look_over(&shared.index(), &shared.names) {
        problems.note(StorePart::Index, Err(error))?;
    }
    let (mut blocks, segments) = (0, moment.view.segments.len());
    if how == Verify::Full {
        blocks = Comparison::new(shared, &moment, &mut problems, progress).run()?;
    }
    Ok(Verification { how, head: moment.head.seq, blocks, segments, problems: problems.0 })
}

/// What there is to be looked at, all of one moment.
struct Moment {
    head: Head,
    /// What is known to be on the disk.
    synced: Head,
    view: std::sync::Arc<View>,
    ids: ids::Ids,
    engine: std::sync::Arc<dyn Engine>,
}

impl Moment {
    fn of(shared: &Shared) -> Self {
        let writer = shared.writer();
        Self {
            head: writer.head,
            synced: writer.synced,
            ids: writer.ids.clone(),
            engine: shared.log.engine(),
            view: shared.tail().view(),
        }
    }
}

/// What is wrong, as it is found.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, part: StorePart, what: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Problem { part, what: what.into(), reason: reason.into() });
    }

    /// Keeps what an error says of the store.
    fn note(&mut self, part: StorePart, result: Result<()>) -> Result<()> {
        let Err(error) = result else { return Ok(()) };
        match error.kind() {
            ErrorKind::Closed => return Err(error),
            ErrorKind::Damaged { what, reason } => self.add(part, what, reason),
            ErrorKind::Io { path, source, .. } => self.add(part, path.display().to_string(), source.to_string()),
            _ => self.add(part, format!("{part}"), error.to_string()),
        }
        Ok(())
    }
}

fn check_mark(shared: &Shared) -> Result<()> {
    match Mark::read(&shared.dir)? {
        Some(mark) if mark == *shared.mark() => Ok(()),
        Some(_) => Err(Error::damaged("the JOURNEYLOG mark", "it is not the one that was written")),
        None => Err(Error::damaged("the JOURNEYLOG mark", "it is missing")),
    }
}

fn check_witness(shared: &Shared) -> Result<()> {
    let began = shared.mark().began.seq;
    // As long as this is held, nobody replaces it.
    let kept = shared.witness();
    let read = Witness::open(&shared.dir)?.head();
    match read {
        None => Err(Error::damaged("the head witness", "it is missing")),
        read if read != kept.head() => Err(Error::damaged("the head witness", "it is not the one that was written")),
        Some(head) if head.seq > began => shared.log.check(head).map(drop),
        Some(_) => Ok(()),
    }
}

/// Reads all of the log and all of the index, and compares them.
struct Comparison<'a> {
    shared: &'a Shared,
    moment: &'a Moment,
    problems: &'a mut Problems,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    is_readable: bool,
}

impl<'a> Comparison<'a> {
    fn new(
        shared: &'a Shared,
        moment: &'a Moment,
        problems: &'a mut Problems,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let sealed: u64 = moment.view.segments.iter().map(|segment| segment.rows).sum();
        let done = Progress { done: 0, of: moment.head.seq.saturating_add(sealed) };
        Self { shared, moment, problems, progress, done, is_readable: true }
    }

    /// Gives the number of blocks of the log that were read.
    fn run(mut self) -> Result<u64> {
        let (mut log, mut index) = (Sums::default(), Sums::default());
        let (mut log_ids, mut index_ids) = (IdSums::default(), IdSums::default());
        let blocks = self.read_log(&mut log, &mut log_ids)?;
        self.read_index(&mut index)?;
        if let Err(error) = index_ids.add(&self.moment.ids) {
            self.is_readable = false;
            self.problems.note(StorePart::Index, Err(error))?;
        }
        // What could not be read has been told of.
        if self.is_readable {
            for (first, last, in_log, in_index) in log.differences(&index) {
                let what = format!("the journey index of sequences {first} to {last}");
                let reason = if in_log == in_index {
                    "it does not hold the events that the log has".to_owned()
                } else {
                    format!("it has {in_index} events, the log has {in_log}")
                };
                self.problems.add(StorePart::Index, what, reason);
            }
            if log_ids != index_ids {
                self.problems.add(StorePart::Index, "the ids of the journey index", "they are not those of the log");
            }
        }
        Ok(blocks)
    }

    fn go_on(&mut self, entries: u64) {
        self.done.done = self.done.done.saturating_add(entries).min(self.done.of);
        (self.progress)(self.done);
    }

    fn read_log(&mut self, sums: &mut Sums, ids: &mut IdSums) -> Result<u64> {
        let head = self.moment.head;
        let (mut blocks, mut chain): (u64, Option<Chain>) = (0, Some(Chain::default()));
        survey(&*self.moment.engine, Some(&self.shared.log), head.seq, |found| {
            let (entries, next) = match found {
                Found::Gap(seqs, reason) => {
                    self.is_readable = false;
                    let (first, last) = (*seqs.start(), *seqs.end());
                    self.problems.add(StorePart::Log, format!("the log from sequence {first} to {last}"), reason);
                    (last.saturating_sub(first).saturating_add(1), None)
                }
                Found::Block(block) => {
                    blocks += 1;
                    let what = || format!("the log from sequence {} to {}", block.first, block.next() - 1);
                    if chain.is_some_and(|chain| chain != block.before) {
                        self.problems.add(StorePart::Log, what(), "it does not follow what is before it");
                    }
                    if block.before.after(&block.entries) != block.after {
                        self.problems.add(StorePart::Log, what(), "its entries are not the ones that were written");
                    }
                    let erasures = self.shared.erasures();
                    for (seq, entry) in (block.first..=head.seq).zip(&block.entries) {
                        let Some(event) = entry.as_event() else { continue };
                        if let Some(id) = &event.id {
                            ids.add_one(ids::fingerprint(id));
                        }
                        if !erasures.is_pending(event.customer.as_str()) {
                            sums.add_event(seq, event);
                        }
                    }
                    (block.entries.len() as u64, Some(block.after))
                }
            };
            chain = next;
            self.go_on(entries);
            Ok(())
        })?;
        Ok(blocks)
    }

    fn read_index(&mut self, sums: &mut Sums) -> Result<()> {
        let names = Hashes::of(&self.shared.names);
        let through = self.moment.head.seq;
        for segment in &self.moment.view.segments {
            for block in 0..segment.blocks().len() {
                match read_block(segment, block) {
                    Ok(columns) => sums.add_columns(&columns, through, &names),
                    Err(error) => {
                        self.is_readable = false;
                        self.problems.note(StorePart::Index, Err(error))?;
                    }
                }
                self.go_on(segment.blocks().get(block).map_or(0, |info| info.rows.into()));
            }
        }
        for columns in &self.moment.view.fresh {
            sums.add_columns(columns, through, &names);
        }
        Ok(())
    }
}

/// Reads a block, and checks it against what the segment says of it.
fn read_block(segment: &Segment, block: usize) -> Result<crate::journey::Columns> {
    let columns = segment.load(block, &Needs::everything())?;
    let Some(info) = segment.blocks().get(block) else { return Ok(columns) };
    let customers = (columns.customers.first(), columns.customers.last());
    let in_order = columns.journeys().all(|(_, rows)| {
        let at = |row| (columns.times.get(row), columns.seqs.get(row));
        rows.clone().zip(rows.skip(1)).all(|(a, b)| at(a) < at(b))
    });
    if customers != (Some(&info.first), Some(&info.last)) || columns.time_range() != Some(info.times) || !in_order {
        let reason = "its events are not those that its summary is of, or not in order";
        return segment.noting(Err(segment.damaged(&format!("block {block}"), reason)));
    }
    Ok(columns)
}

impl fmt::Display for StorePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mark => "mark",
            Self::Witness => "witness",
            Self::Log => "log",
            Self::Index => "index",
            Self::Segments => "segments",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.part, self.what, self.reason)
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { how, head, blocks, segments, problems } = self;
        let how = match how {
            Verify::Quick => "a quick look at".to_owned(),
            Verify::Full => format!("{blocks} blocks of"),
        };
        let of = if *segments == 0 { "no segment of the index yet".to_owned() } else { format!("{segments} segments") };
        write!(f, "{how} a log up to sequence {head} and {of}: ")?;
        match problems.len() {
            0 => write!(f, "sound"),
            1 => write!(f, "1 problem"),
            count => write!(f, "{count} problems"),
        }?;
        problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        codec::{Block, BlockCutter, LogEntry},
        model::{Event, EventId, Money},
        store::{
            Durability, StoreOptions,
            engine::Change,
            log::{Log, key},
            memory::MemoryEngine,
        },
    };

    fn event(n: i64, pays: bool) -> Event {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(n * 7 % 100);
        let event = Event::at(at, format!("c{}", n % 9), "view").id(format!("e{n}")).property("n", n % 3);
        if pays { event.value(Money::new("2.50", "EUR").unwrap()) } else { event }.build().unwrap()
    }

    fn open(dir: &Path, engine: &MemoryEngine) -> Store {
        let engine = engine.clone();
        let options = StoreOptions::new().fresh_events(64);
        Store::open_on(dir, &options, move |_| Ok((Arc::new(engine.clone()), Vec::new()))).unwrap()
    }

    fn filled(dir: &Path, engine: &MemoryEngine) -> Store {
        let store = open(dir, engine);
        for n in (0..300).step_by(10) {
            store.append_batch((n..n + 10).map(|n| event(n, n % 4 == 0))).unwrap();
        }
        store
    }

    fn problems(store: &Store) -> Vec<String> {
        store.verify(Verify::Full).unwrap().problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn blocks_that_are_missing_or_odd_are_named_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new();
        let store = filled(dir.path(), &engine);
        assert_eq!(problems(&store), [""; 0]);
        let good = engine.get(&key(51)).unwrap().unwrap();
        let log = |first: u64, last: u64| format!("log: the log from sequence {first} to {last}: ");

        engine.apply(vec![Change::Remove(key(51))]).unwrap();
        assert_eq!(problems(&store), [log(51, 60) + "no block holds them"]);
        engine.apply(vec![Change::Put(key(51), good[..40].to_vec())]).unwrap();
        assert_eq!(
            problems(&store),
            [log(51, 60) + "a block of the log is damaged: its length is not the one it names"]
        );
        engine.apply(vec![Change::Put(key(51), engine.get(&key(61)).unwrap().unwrap())]).unwrap();
        assert_eq!(
            problems(&store),
            [log(51, 60) + "a block of the log is damaged: it stands under the key of another"]
        );
        engine.apply(vec![Change::Put(key(51), good), Change::Remove(key(291)), Change::Remove(key(281))]).unwrap();
        let said = problems(&store);
        assert_eq!(said.last(), Some(&(log(281, 300) + "no block holds them")));
        assert_eq!(said[0], "log: log: the log ends at sequence 280, but entries up to 300 had been acknowledged");
    }

    #[test]
    fn entries_other_than_those_of_the_index_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new();
        let store = filled(dir.path(), &engine);
        let block = |n: i64, pays: bool, id: i64| {
            let good = Block::decode(&engine.get(&key(51)).unwrap().unwrap()).unwrap();
            let mut entries = good.entries;
            let mut event = event(n, pays);
            event.id = Some(EventId::new(format!("e{id}")).unwrap());
            entries[0] = LogEntry::event(entries[0].recorded_at, event);
            let log = Log::appending(Head { seq: 50, chain: good.before }, &entries, &mut BlockCutter::default());
            log.0
        };
        let good = vec![Change::Put(key(51), engine.get(&key(51)).unwrap().unwrap())];
        // It is the value of one event that differs, which the chain shows, and the comparison too.
        engine.apply(block(50, true, 50)).unwrap();
        let said = problems(&store);
        assert_eq!(
            said,
            [
                "log: the log from sequence 61 to 70: it does not follow what is before it",
                "index: the journey index of sequences 1 to 65535: it does not hold the events that the log has",
            ]
        );
        // Another id is none that questions see.
        engine.apply(block(50, false, 999)).unwrap();
        assert_eq!(problems(&store)[1], "index: the ids of the journey index: they are not those of the log");
        engine.apply(good).unwrap();
        assert_eq!(problems(&store), [""; 0]);
    }

    #[test]
    fn a_store_is_verified_while_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreOptions::new().fresh_events(64).durability(Durability::Buffered).open(dir.path()).unwrap();
        store.append_batch((0..300).map(|n| event(n, n % 4 == 0))).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 300..1_500 {
                    store.append(event(n, n % 2 == 0)).unwrap();
                    match n % 97 {
                        0 => drop(store.erase(&format!("c{}", n % 9)).unwrap()),
                        1 => store.settle().unwrap(),
                        2 => drop(store.readmit(&format!("c{}", (n - 2) % 9)).unwrap()),
                        _ => {}
                    }
                }
            });
            while !writer.is_finished() {
                assert_eq!(problems(&store), [""; 0]);
            }
        });
        let mut last = Progress { done: 0, of: 0 };
        let found = store.verify_with_progress(Verify::Full, |progress| last = progress).unwrap();
        assert!(found.is_sound() && found.blocks > 0 && last.of >= found.head, "{found}");
        assert_eq!(last.done, last.of);
    }
}
