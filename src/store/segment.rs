//! A segment: an immutable file of blocks, clustered by customer, each column of each block readable alone.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{files, kept_columns::KeptColumns};
use crate::{
    codec::{ColumnId, checksum, decode_column, unframe_current},
    error::{Error, Result},
    journey::{
        Columns, CustomerNo, Header, Names, Needs, Properties, ReservedNumbers, Said, TouchpointNo, event_times,
    },
    model::Micros,
};

pub(super) const KIND: [u8; 4] = *b"JLSG";
pub(super) const VERSION: u32 = 4;
/// The last bytes of a file: the length of the framed directory before them.
const TRAILER: usize = 8;
/// The least rows of a block; what is left over, and a long journey, may take it beyond, since journeys are never cut.
pub(crate) const BLOCK_ROWS: usize = 64 * 1024;
/// A block's summary names its touchpoints if there are no more than this.
pub(super) const LISTED_TOUCHPOINTS: usize = 64;
/// A column is checked in pages of so many bytes, so that a few rows can be read without the rest.
pub(super) const PAGE: usize = 4096;

/// A file of this name beside the segments says that one of them is damaged: the next open builds the index anew.
pub(crate) const UNSOUND: &str = "UNSOUND";

/// What is known of a segment without reading its blocks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Directory {
    /// The first and the last sequence in it.
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) blocks: Vec<BlockInfo>,
}

impl Directory {
    pub(super) fn note_seqs(&mut self, (first, last): (u64, u64)) {
        let (least, most) = self.seqs.unwrap_or((first, last));
        self.seqs = Some((least.min(first), most.max(last)));
    }
}

/// What is known of a block without reading it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BlockInfo {
    pub(crate) first: CustomerNo,
    pub(crate) last: CustomerNo,
    pub(crate) rows: u32,
    pub(crate) times: (Micros, Micros),
    /// The touchpoints in it, if they are few.
    pub(crate) touchpoints: Option<Vec<u32>>,
    /// Whether there may be an event at the instant of the one before it.
    pub(super) has_repeats: bool,
    pub(super) columns: Vec<Place>,
}

impl BlockInfo {
    /// Whether there may be an event at such a touchpoint.
    fn may_have(&self, is_such: impl Fn(TouchpointNo) -> bool) -> bool {
        self.touchpoints.as_ref().is_none_or(|list| list.iter().any(|number| is_such(TouchpointNo(*number))))
    }

    /// Whether its columns lie within so many bytes, and are long enough for its rows: sequences differ, so each takes a bit
    /// at least. Else a few odd bytes could ask for any memory.
    fn fits(&self, bytes: u64) -> bool {
        let ends = |place: &Place| place.offset.checked_add(place.length.into());
        let seqs = self.columns.iter().find(|place| place.id == ColumnId::Seqs);
        self.columns.iter().all(|place| ends(place).is_some_and(|end| end <= bytes))
            && seqs.is_some_and(|seqs| u64::from(seqs.length) * 8 >= self.rows.into())
    }
}

/// Where a column's bytes are, and what each page of them sums to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) id: ColumnId,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) sums: Vec<u64>,
    /// If it is nothing but numbers, what stands before them.
    pub(super) header: Option<Header>,
}

/// So many blocks behind the one that is read are announced to the system: a disk fetches several at once.
const AHEAD: usize = 8;

/// A segment, opened. Its directory is in memory, its columns are read when asked for.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    directory: Directory,
    pub(crate) rows: u64,
    /// Set when another segment has taken its place: the file goes with the last snapshot that reads it.
    obsolete: AtomicBool,
    /// What its entries say of ids, once somebody has asked.
    said: OnceLock<Arc<[Said]>>,
    kept: KeptColumns,
    /// Which blocks were announced to the system.
    announced: Vec<AtomicBool>,
}

impl Segment {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = files::open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::damaged(&name, "it is missing"),
            _ => Error::io("opening", path, e),
        })?;
        let length = file.metadata().map_err(|e| Error::io("reading", path, e))?.len();
        let short = || Error::damaged(&name, "it is too short");
        let read = |offset, length| files::read_at(&file, offset, length).map_err(|e| Error::io("reading", path, e));
        let end = length.checked_sub(TRAILER as u64).ok_or_else(short)?;
        let trailer = read(end, TRAILER)?;
        let size = trailer.first_chunk::<TRAILER>().map(|b| u64::from_le_bytes(*b)).ok_or_else(short)?;
        let start = end.checked_sub(size).ok_or_else(short)?;
        let bytes = read(start, usize::try_from(size).map_err(|_| short())?)?;
        let payload = unframe_current(&name, KIND, VERSION, &bytes)?;
        let directory: Directory = postcard::from_bytes(payload).map_err(|e| Error::damaged(&name, e.to_string()))?;
        if !directory.blocks.iter().all(|block| block.fits(start)) {
            return Err(Error::damaged(&name, "its directory does not fit"));
        }
        let rows = directory.blocks.iter().map(|block| u64::from(block.rows)).sum();
        Ok(Self {
            path: path.to_owned(),
            file,
            kept: KeptColumns::new(directory.blocks.len()),
            announced: directory.blocks.iter().map(|_| AtomicBool::new(false)).collect(),
            directory,
            rows,
            obsolete: AtomicBool::new(false),
            said: OnceLock::new(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn blocks(&self) -> &[BlockInfo] {
        &self.directory.blocks
    }

    /// The first and the last sequence in it.
    pub(crate) fn seqs(&self) -> Option<(u64, u64)> {
        self.directory.seqs
    }

    /// What its entries say of ids: found by reading the blocks that may have such entries, the first time.
    pub(crate) fn said(&self, reserved: ReservedNumbers, names: &Names) -> Result<&Arc<[Said]>> {
        if let Some(said) = self.said.get() {
            return Ok(said);
        }
        let mut said = Vec::new();
        for (block, info) in self.blocks().iter().enumerate() {
            if info.may_have(|touchpoint| reserved.is_of_links(touchpoint)) {
                reserved.said_in(&self.load(block, &reserved.needs())?, names, &mut said);
            }
        }
        Ok(self.said.get_or_init(|| said.into()))
    }

    /// The time of its last event; entries that are none do not count. Only blocks in which that is not the last entry of all are
    /// read, and only if they may be later than `after`.
    pub(crate) fn last_event(&self, after: Option<Micros>, reserved: ReservedNumbers) -> Result<Option<Micros>> {
        let mut last = after;
        for (block, info) in self.blocks().iter().enumerate() {
            let (_, latest) = info.times;
            if last.is_some_and(|last| last >= latest) {
                continue;
            }
            if info.may_have(|touchpoint| reserved.contains(touchpoint)) {
                let needs = Needs { times: true, touchpoints: true, ..Needs::default() };
                last = last.max(event_times(&self.load(block, &needs)?, reserved).map(|(_, last)| last));
            } else {
                last = last.max(Some(latest));
            }
        }
        Ok(last)
    }

    /// The time of its first event; entries that are none do not count.
    pub(crate) fn first_event(&self, reserved: ReservedNumbers) -> Result<Option<Micros>> {
        let mut first: Option<Micros> = None;
        for (block, info) in self.blocks().iter().enumerate() {
            let (earliest, _) = info.times;
            if first.is_some_and(|first| first <= earliest) {
                continue;
            }
            let found = if info.may_have(|touchpoint| reserved.contains(touchpoint)) {
                let needs = Needs { times: true, touchpoints: true, ..Needs::default() };
                event_times(&self.load(block, &needs)?, reserved).map(|(first, _)| first)
            } else {
                Some(earliest)
            };
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }

    /// Lets the file go when nobody reads it any more.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }

    /// Reads the columns of a block that are needed. Damage is noted, so that the next open mends it.
    pub(crate) fn load(&self, block: usize, needs: &Needs) -> Result<Columns> {
        self.noting(self.read(block, needs, Columns::default()))
    }

    /// The same, for those who come again and again: what is kept in memory of earlier times is not read.
    pub(super) fn load_again(&self, block: usize, needs: &Needs) -> Result<Arc<Columns>> {
        // Whoever reads everything reads it once.
        if needs.properties == Properties::All {
            return self.load(block, needs).map(Arc::new);
        }
        let kept = self.kept.of(block, needs);
        if block < self.blocks().len() && self.missing(block, needs, &kept).next().is_none() {
            return Ok(kept);
        }
        // Most likely these are read next, by this thread or another.
        (block..=block + AHEAD).for_each(|block| self.announce(block, needs));
        let columns = self.noting(self.read(block, needs, Arc::unwrap_or_clone(kept)))?;
        self.kept.keep(block, &columns);
        Ok(Arc::new(columns))
    }

    /// Lets the system fetch those columns of a block that are needed and not kept; once for
    /// each block: what was read lately the system has most likely still.
    fn announce(&self, block: usize, needs: &Needs) {
        if self.announced.get(block).is_none_or(|announced| announced.swap(true, Ordering::Relaxed)) {
            return;
        }
        for place in self.missing(block, needs, &self.kept.of(block, needs)) {
            files::announce(&self.file, place.offset, place.length.into());
        }
    }

    /// The columns of a block that are needed and not among these.
    fn missing<'a>(&'a self, block: usize, needs: &Needs, columns: &Columns) -> impl Iterator<Item = &'a Place> {
        let places = self.blocks().get(block).map_or(&[][..], |info| &info.columns);
        places.iter().filter(move |place| place.id.is_needed(needs) && !place.id.is_in(columns))
    }

    /// Notes that a result shows damage.
    pub(super) fn noting<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            // A segment that does not count any more, or whose index has been built anew, says nothing of today's.
            let counts = !self.obsolete.load(Ordering::Relaxed) && self.path.exists();
            if let Some(dir) = self.path.parent().filter(|_| counts && error.is_corrupt()) {
                // If this fails, the next question finds the damage again.
                let _ = files::replace(&dir.join(UNSOUND), b"");
            }
        })
    }

    /// The error that a part of this segment is damaged.
    pub(super) fn damaged(&self, what: &str, why: &str) -> Error {
        Error::damaged(format!("{what} of {}", self.path.display()), why)
    }

    /// Adds those columns that are needed and not there.
    fn read(&self, block: usize, needs: &Needs, mut columns: Columns) -> Result<Columns> {
        let name = || format!("block {block}");
        let info = self.blocks().get(block).ok_or_else(|| self.damaged(&name(), "it is missing"))?;
        let rows = info.rows as usize;
        let missing: Vec<&Place> = self.missing(block, needs, &columns).collect();
        for place in &missing {
            let bytes = self.read_pages(place, 0, place.sums.len())?;
            decode_column(place.id, bytes, rows, &mut columns).ok_or_else(|| {
                self.damaged(
                    &format!("column {:?} of block {block}", place.id),
                    "its content is none that was ever written",
                )
            })?;
        }
        if !info.has_repeats {
            columns.times.note_that_none_repeat();
        }
        let sound = missing.is_empty() || columns.is_sound(rows);
        if sound { Ok(columns) } else { Err(self.damaged(&name(), "its columns do not fit together")) }
    }

    /// Reads some pages of a column, and checks each.
    pub(super) fn read_pages(&self, place: &Place, first: usize, count: usize) -> Result<Vec<u8>> {
        let what = || format!("column {:?}", place.id);
        let start = first.saturating_mul(PAGE);
        let length = (place.length as usize).saturating_sub(start).min(count.saturating_mul(PAGE));
        let bytes =
            files::read_at(&self.file, place.offset.saturating_add(start as u64), length).map_err(|e| {
                match e.kind() {
                    std::io::ErrorKind::UnexpectedEof => self.damaged(&what(), "the file is too short"),
                    _ => Error::io("reading", &self.path, e),
                }
            })?;
        let sums = place.sums.get(first..).unwrap_or_default();
        let sound = bytes.chunks(PAGE).zip(sums).all(|(page, sum)| checksum(page) == *sum)
            && length.div_ceil(PAGE) <= sums.len();
        if sound { Ok(bytes) } else { Err(self.damaged(&what(), "its checksum does not fit")) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            // What stays is found and removed at the next open.
            let _ = files::remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::frame,
        journey::{ChannelNo, Chunk, NO_STAGE, Part, Row, TouchpointNo},
        store::segment_writer::SegmentWriter,
    };

    fn columns(customers: std::ops::Range<u32>, events: i64) -> Columns {
        columns_at(customers, events, |i| i * 1_000)
    }

    fn columns_at(customers: std::ops::Range<u32>, events: i64, time: impl Fn(i64) -> i64) -> Columns {
        let row = |customer, i: i64| Row {
            customer: CustomerNo(customer),
            time: Micros(time(i)),
            seq: i.unsigned_abs(),
            touchpoint: TouchpointNo(customer % 3),
            channel: ChannelNo(0),
            stage: NO_STAGE,
            value: None,
            feedback: None,
            properties: vec![(0, i.into())],
        };
        let rows = |customer| (0..events).map(move |i| (customer, i));
        Columns::from_rows(customers.flat_map(rows).map(|(customer, i)| row(customer, i)).collect())
    }

    fn write(path: &Path, parts: &[Columns]) -> Segment {
        let mut writer = SegmentWriter::create(path).unwrap();
        parts.iter().for_each(|part| writer.push(&Chunk::new(vec![Part::whole(part)])).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn journeys_come_back_whole_and_in_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let parts = [columns(0..20, 9_000), columns(20..21, 100_000), columns(21..22, 1)];
        let segment = write(&dir.path().join("a.seg"), &parts);
        assert_eq!((segment.rows, segment.seqs()), (280_001, Some((0, 99_999))));
        let mut seen = 0;
        for (i, info) in segment.blocks().iter().enumerate() {
            let block = segment.load(i, &Needs::everything()).unwrap();
            assert_eq!((block.customers[0], block.rows()), (info.first, info.rows as usize));
            assert_eq!(block.times.len(), block.properties[&0].codes().len());
            seen += block.customers.len();
        }
        assert_eq!((seen, segment.blocks().len()), (22, 4));
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seg");
        drop(write(&path, &[columns(0..3, 5)]));
        let good = std::fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bytes = good.clone();
            bytes[i] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let read = Segment::open(&path).and_then(|segment| segment.load(0, &Needs::everything()));
            assert!(read.is_err(), "byte {i}");
        }
    }

    #[test]
    fn who_comes_again_is_not_sent_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seg");
        let segment = write(&path, &[columns(0..3, 5)]);
        let times = Needs { times: true, ..Needs::default() };
        let other = dir.path().join("b.seg");
        let asked_once = write(&other, &[columns(0..3, 5)]);
        let first = segment.load_again(0, &times).unwrap();
        assert!(*first == segment.load(0, &times).unwrap() && first.times.len() == 15 && first.channels.len() == 0);
        for (segment, times_asked) in [(&segment, 2), (&asked_once, 1)] {
            (1..=times_asked).for_each(|_| assert!(segment.load_again(0, &times).unwrap() == first));
        }
        let length = std::fs::read(&path).unwrap().len();
        [&path, &other].into_iter().for_each(|path| std::fs::write(path, vec![7; length]).unwrap());
        assert!(segment.load_again(0, &times).unwrap() == first);
        // Nothing stays of what was read once.
        assert!(asked_once.load_again(0, &times).unwrap_err().is_corrupt());
        // Times are kept and not shown to who does not need them.
        assert_eq!(segment.load_again(0, &Needs::default()).unwrap().times.len(), 0);
        // What was never read, and whoever wants the disk, comes upon the damage.
        for needs in [Needs { seqs: true, ..times.clone() }, Needs::everything()] {
            assert!(segment.load_again(0, &needs).unwrap_err().is_corrupt());
        }
        assert!(segment.load(0, &times).unwrap_err().is_corrupt());
    }

    #[test]
    fn what_is_known_of_ties_is_known_of_one_block() {
        let dir = tempfile::tempdir().unwrap();
        let tied = columns_at(1..2, 70_000, |i| i / 2);
        let segment = write(&dir.path().join("a.seg"), &[columns(0..1, 70_000), tied, columns(2..3, 70_000)]);
        let times = Needs { times: true, ..Needs::default() };
        let check = |block, columns: &Columns| {
            let ties: u32 = columns.times.repeats(0..columns.rows()).iter().map(|word| word.count_ones()).sum();
            assert_eq!(ties, if block == 1 { 35_000 } else { 0 }, "block {block}");
        };
        let said: Vec<_> = segment.blocks().iter().map(|block| block.has_repeats).collect();
        assert_eq!(said, [false, true, false]);
        for block in 0..3 {
            // Those that are not kept, and those that are.
            check(block, &segment.read(block, &times, Columns::default()).unwrap());
            (0..2).for_each(|_| check(block, &segment.load_again(block, &times).unwrap()));
        }
        // What is kept is shared, and not copied.
        let (one, other) = (segment.load_again(1, &times).unwrap(), segment.load_again(1, &times).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn a_directory_that_asks_for_more_than_there_is_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seg");
        let segment = write(&path, &[columns(0..1, 100)]);
        let bytes = std::fs::read(&path).unwrap();
        let end = segment.blocks()[0].columns.iter().map(|place| place.offset + u64::from(place.length)).max().unwrap();
        let columns = &bytes[..usize::try_from(end).unwrap()];
        let open = |change: fn(&mut BlockInfo)| {
            let mut directory = segment.directory.clone();
            change(&mut directory.blocks[0]);
            let directory = frame(KIND, VERSION, &postcard::to_stdvec(&directory).unwrap());
            let length = (directory.len() as u64).to_le_bytes();
            let path = path.with_extension("odd");
            std::fs::write(&path, [columns, &directory, &length].concat()).unwrap();
            Segment::open(&path)
        };
        assert!(open(|_| ()).is_ok());
        for change in [
            |block: &mut BlockInfo| block.rows = u32::MAX,
            |block: &mut BlockInfo| block.columns[0].length = u32::MAX,
            |block: &mut BlockInfo| block.columns[0].offset = u64::MAX,
            |block: &mut BlockInfo| block.columns.clear(),
        ] {
            assert!(open(change).unwrap_err().is_corrupt());
        }
    }

    #[test]
    fn a_segment_of_an_earlier_form_is_to_be_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seg");
        for version in 1..VERSION {
            let directory = frame(KIND, version, &[0]);
            let length = (directory.len() as u64).to_le_bytes();
            std::fs::write(&path, [directory.as_slice(), &length].concat()).unwrap();
            assert!(Segment::open(&path).unwrap_err().is_corrupt());
        }
    }
}
