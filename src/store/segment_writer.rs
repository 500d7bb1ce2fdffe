//! Writing a segment: blocks one after the other, then the directory that says where each column is.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    files::{self, Output},
    segment::{BLOCK_ROWS, BlockInfo, Directory, KIND, LISTED_TOUCHPOINTS, PAGE, Place, Segment, VERSION},
};
use crate::{
    codec::{checksum, encode_columns, frame},
    error::{Error, Result},
    journey::{Chunk, Columns, Header, Needs},
};

/// Writes a segment, journeys in order of customers. The file has its name only when it is finished.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<Output>,
    offset: u64,
    directory: Directory,
}

impl SegmentWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let temporary = path.with_extension(files::TEMPORARY);
        let out = BufWriter::with_capacity(1 << 20, Output::create(&temporary)?);
        Ok(Self { path: path.to_owned(), temporary, out, offset: 0, directory: Directory::default() })
    }

    /// Adds journeys of customers after all those before, in as many blocks as their events fill.
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>) -> Result<()> {
        for journeys in chunk.cut(BLOCK_ROWS) {
            self.write_block(&chunk.gather(journeys, &Needs::everything()))?;
        }
        Ok(())
    }

    fn write_block(&mut self, block: &Columns) -> Result<()> {
        let (Some(&first), Some(&last), Some(times), Some(seqs)) =
            (block.customers.first(), block.customers.last(), block.time_range(), block.seq_range())
        else {
            return Ok(());
        };
        let mut columns = Vec::new();
        for (id, bytes) in encode_columns(block) {
            self.out.write_all(&bytes).map_err(|e| Error::io("writing", &self.temporary, e))?;
            let length = u32::try_from(bytes.len()).map_err(|_| Error::damaged("a column", "it is over 4 GiB"))?;
            let sums = bytes.chunks(PAGE).map(checksum).collect();
            let header = if id.is_numbers() { Header::read(&bytes, usize::MAX) } else { None };
            columns.push(Place { id, offset: self.offset, length, sums, header });
            self.offset += u64::from(length);
        }
        let mut touchpoints = block.touchpoints.to_vec();
        touchpoints.sort_unstable();
        touchpoints.dedup();
        let few = touchpoints.len() <= LISTED_TOUCHPOINTS;
        let touchpoints = few.then(|| touchpoints.into_iter().map(|t| t.0).collect());
        let rows = u32::try_from(block.rows()).unwrap_or(u32::MAX);
        self.directory.note_seqs(seqs);
        let has_repeats = block.times.repeats(0..block.rows()).iter().any(|word| *word != 0);
        self.directory.blocks.push(BlockInfo { first, last, rows, times, touchpoints, has_repeats, columns });
        Ok(())
    }

    /// Writes the directory, syncs, and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<Segment> {
        self.write_directory()?;
        files::rename(&self.temporary, &self.path)?;
        Segment::open(&self.path)
    }

    fn write_directory(&mut self) -> Result<()> {
        let directory = frame(KIND, VERSION, &postcard::to_stdvec(&self.directory).unwrap_or_default());
        self.out
            .write_all(&directory)
            .and_then(|()| self.out.write_all(&(directory.len() as u64).to_le_bytes()))
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync())
            .map_err(|e| Error::io("writing", &self.temporary, e))
    }
}

impl Drop for SegmentWriter {
    /// A segment that was not finished takes no room. After it was, there is no file of this name.
    fn drop(&mut self) {
        let _ = files::remove(&self.temporary);
    }
}
