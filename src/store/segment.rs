//! A segment: an immutable file of blocks, clustered by customer, each column of each block readable alone.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};

use super::files;
use crate::{
    codec::{ColumnId, checksum, decode_column, encode_columns, frame, unframe},
    error::{Error, Result},
    journey::{Columns, CustomerNo, Needs, Part, merge},
    model::Micros,
};

const KIND: [u8; 4] = *b"JLSG";
const VERSION: u32 = 1;
/// The last bytes of a file: the length of the framed directory before them.
const TRAILER: usize = 8;
/// The least rows of a block; the last journey may take it beyond, since journeys are never cut.
pub(crate) const BLOCK_ROWS: usize = 64 * 1024;
/// A block's summary names its touchpoints if there are no more than this.
const LISTED_TOUCHPOINTS: usize = 64;

/// A file of this name beside the segments says that one of them is damaged: the next open builds the index anew.
pub(crate) const UNSOUND: &str = "UNSOUND";

/// What is known of a block without reading it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BlockInfo {
    pub(crate) first: CustomerNo,
    pub(crate) last: CustomerNo,
    pub(crate) rows: u32,
    pub(crate) times: (Micros, Micros),
    /// The touchpoints in it, if they are few.
    pub(crate) touchpoints: Option<Vec<u32>>,
    columns: Vec<Place>,
}

/// Where a column's bytes are, and what they sum to.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    id: ColumnId,
    offset: u64,
    length: u32,
    sum: u64,
}

/// Writes a segment, journeys in order of customers. The file has its name only when it is finished.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    offset: u64,
    blocks: Vec<BlockInfo>,
    /// Journeys that do not fill a block yet.
    begun: Columns,
}

impl SegmentWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let temporary = path.with_extension(files::TEMPORARY);
        let out = BufWriter::with_capacity(1 << 20, files::create(&temporary)?);
        Ok(Self { path: path.to_owned(), temporary, out, offset: 0, blocks: Vec::new(), begun: Columns::default() })
    }

    /// Adds journeys of customers after all those before.
    pub(crate) fn push(&mut self, columns: &Columns) -> Result<()> {
        if self.begun.rows() == 0 && columns.rows() < BLOCK_ROWS {
            self.begun = columns.clone();
            return Ok(());
        }
        let all = merge(&[Part::whole(&self.begun), Part::whole(columns)], &Needs::everything());
        let (mut from, mut rows_before) = (0, 0);
        for (journey, (_, rows)) in all.journeys().enumerate() {
            if rows.end - rows_before >= BLOCK_ROWS {
                self.write_block(&merge(&[Part { columns: &all, journeys: from..journey + 1 }], &Needs::everything()))?;
                (from, rows_before) = (journey + 1, rows.end);
            }
        }
        self.begun = merge(&[Part { columns: &all, journeys: from..all.customers.len() }], &Needs::everything());
        Ok(())
    }

    fn write_block(&mut self, block: &Columns) -> Result<()> {
        let (Some(&first), Some(&last), Some(times)) =
            (block.customers.first(), block.customers.last(), block.time_range())
        else {
            return Ok(());
        };
        let mut columns = Vec::new();
        for (id, bytes) in encode_columns(block) {
            self.out.write_all(&bytes).map_err(|e| Error::io("writing", &self.temporary, e))?;
            let length = u32::try_from(bytes.len()).map_err(|_| Error::damaged("a column", "it is over 4 GiB"))?;
            columns.push(Place { id, offset: self.offset, length, sum: checksum(&bytes) });
            self.offset += u64::from(length);
        }
        let touchpoints: BTreeSet<u32> = block.touchpoints.iter().map(|t| t.0).collect();
        let touchpoints = (touchpoints.len() <= LISTED_TOUCHPOINTS).then(|| touchpoints.into_iter().collect());
        let rows = u32::try_from(block.rows()).unwrap_or(u32::MAX);
        self.blocks.push(BlockInfo { first, last, rows, times, touchpoints, columns });
        Ok(())
    }

    /// Writes the directory, syncs, and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<Segment> {
        self.write_rest()?;
        files::rename(&self.temporary, &self.path)?;
        Segment::open(&self.path)
    }

    fn write_rest(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.begun);
        self.write_block(&rest)?;
        let directory = frame(KIND, VERSION, &postcard::to_stdvec(&self.blocks).unwrap_or_default());
        self.out
            .write_all(&directory)
            .and_then(|()| self.out.write_all(&(directory.len() as u64).to_le_bytes()))
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_all())
            .map_err(|e| Error::io("writing", &self.temporary, e))
    }
}

impl Drop for SegmentWriter {
    /// A segment that was not finished takes no room. After it was, there is no file of this name.
    fn drop(&mut self) {
        let _ = files::remove(&self.temporary);
    }
}

/// A segment, opened. Its directory is in memory, its columns are read when asked for.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    pub(crate) blocks: Vec<BlockInfo>,
    pub(crate) rows: u64,
    /// Set when another segment has taken its place: the file goes with the last snapshot that reads it.
    obsolete: AtomicBool,
}

impl Segment {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| match e.kind() {
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
        let directory = read(start, usize::try_from(size).map_err(|_| short())?)?;
        let payload = unframe(&name, KIND, VERSION, &directory)?;
        let blocks: Vec<BlockInfo> = postcard::from_bytes(payload).map_err(|e| Error::damaged(&name, e.to_string()))?;
        let rows = blocks.iter().map(|block| u64::from(block.rows)).sum();
        Ok(Self { path: path.to_owned(), file, blocks, rows, obsolete: AtomicBool::new(false) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first and last time in it.
    pub(crate) fn time_range(&self) -> Option<(Micros, Micros)> {
        let first = self.blocks.iter().map(|block| block.times.0).min()?;
        Some((first, self.blocks.iter().map(|block| block.times.1).max()?))
    }

    /// Lets the file go when nobody reads it any more.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }

    /// Reads the columns of a block that are needed. Damage is noted, so that the next open mends it.
    pub(crate) fn load(&self, block: usize, needs: &Needs) -> Result<Columns> {
        self.read(block, needs).inspect_err(|error| {
            // A segment that does not count any more, or whose index has been built anew, says nothing of today's.
            let counts = !self.obsolete.load(Ordering::Relaxed) && self.path.exists();
            if let Some(dir) = self.path.parent().filter(|_| counts && error.is_corrupt()) {
                // If this fails, the next question finds the damage again.
                let _ = files::replace(&dir.join(UNSOUND), b"");
            }
        })
    }

    fn read(&self, block: usize, needs: &Needs) -> Result<Columns> {
        let damaged = |what: String, why: &str| Error::damaged(format!("{} of {}", what, self.path.display()), why);
        let info = self.blocks.get(block).ok_or_else(|| damaged(format!("block {block}"), "it is missing"))?;
        let rows = info.rows as usize;
        let mut columns = Columns::default();
        for place in info.columns.iter().filter(|place| place.id.is_needed(needs)) {
            let what = || format!("column {:?} of block {block}", place.id);
            let bytes =
                files::read_at(&self.file, place.offset, place.length as usize).map_err(|e| match e.kind() {
                    std::io::ErrorKind::UnexpectedEof => damaged(what(), "the file is too short"),
                    _ => Error::io("reading", &self.path, e),
                })?;
            if checksum(&bytes) != place.sum {
                return Err(damaged(what(), "its checksum does not fit"));
            }
            decode_column(place.id, &bytes, rows, &mut columns)
                .ok_or_else(|| damaged(what(), "its content is none that was ever written"))?;
        }
        let sound = columns.is_sound(rows);
        if sound { Ok(columns) } else { Err(damaged(format!("block {block}"), "its columns do not fit together")) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            // What stays is found and removed at the next open.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journey::{ChannelNo, NO_STAGE, Row, TouchpointNo};

    fn columns(customers: std::ops::Range<u32>, events: i64) -> Columns {
        let row = |customer, i: i64| Row {
            customer: CustomerNo(customer),
            time: Micros(i * 1_000),
            seq: i.unsigned_abs(),
            touchpoint: TouchpointNo(customer % 3),
            channel: ChannelNo(0),
            stage: NO_STAGE,
            value: None,
            feedback: None,
            properties: vec![(0, i.into())],
        };
        Columns::from_rows(customers.flat_map(|c| (0..events).map(move |i| row(c, i))).collect())
    }

    #[test]
    fn journeys_come_back_whole_and_in_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::create(&dir.path().join("a.seg")).unwrap();
        let parts = [columns(0..10, 9_000), columns(10..20, 9_000), columns(20..21, 100_000), columns(21..22, 1)];
        parts.iter().for_each(|part| writer.push(part).unwrap());
        let segment = writer.finish().unwrap();
        assert_eq!(segment.rows, 280_001);
        let mut seen = 0;
        for (i, info) in segment.blocks.iter().enumerate() {
            let block = segment.load(i, &Needs::everything()).unwrap();
            assert_eq!((block.customers[0], block.rows()), (info.first, info.rows as usize));
            assert_eq!(block.times.len(), block.properties[&0].codes.len());
            seen += block.customers.len();
        }
        assert_eq!((seen, segment.blocks.len()), (22, 4));
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seg");
        let mut writer = SegmentWriter::create(&path).unwrap();
        writer.push(&columns(0..3, 5)).unwrap();
        drop(writer.finish().unwrap());
        let good = std::fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bytes = good.clone();
            bytes[i] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let read = Segment::open(&path).and_then(|segment| segment.load(0, &Needs::everything()));
            assert!(read.is_err(), "byte {i}");
        }
    }
}
