//! What sled cuts off when it opens its file: all that stands behind a place that it cannot read, as if it had never been
//! written. It overwrites that with zeros at once, so the end of the file is read before; and if the store cannot be opened
//! then, that is kept for whoever salvages it.
//!
//! sled's file is a row of segments, each with a header of 20 bytes: the CRC-32 of the rest of it, where the segment stands
//! in sled's log, and up to where that was stable when the segment was begun. sled looks for the end of its log from the
//! segment in which the highest of these ends lies. If that one is missing it zeroes more, up to the whole file: of that
//! only the last segments are kept, so it is safer to salvage a damaged store before it is opened.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use super::{erasures, files, sled_engine::SEGMENT};
use crate::{
    codec::{Block, carve},
    error::Result,
};

/// In the folder of a log that could not be opened: what was cut off when that was first tried.
pub(super) const FILE: &str = "cut";

const HEADER: usize = 20;
/// At most so many segments are kept, the newest; usually there are one to three.
const MOST: usize = 32;

/// The end of sled's file, as it was before sled opened it.
#[derive(Default)]
pub(crate) struct Cut {
    dir: PathBuf,
    segments: Vec<(u64, Vec<u8>)>,
}

impl Cut {
    /// Reads the end of the file in a folder. What cannot be read is not kept: it is nothing that sled could read either.
    pub(super) fn before_opening(dir: &Path) -> Self {
        let mut cut = Self { dir: dir.to_owned(), segments: Vec::new() };
        let Ok(file) = File::open(dir.join("db")) else { return cut };
        let length = file.metadata().map_or(0, |file| file.len());
        for (offset, size) in last_segments(&file, length, SEGMENT as u64) {
            if let Some(bytes) = usize::try_from(size).ok().and_then(|size| files::read_at(&file, offset, size).ok()) {
                cut.segments.push((offset, bytes));
            }
        }
        cut
    }

    /// Keeps what was cut off, in a file of its own, as a store that could not be opened is to be salvaged. What an earlier
    /// opening kept stays. There is nobody to tell if that fails: opening has failed already.
    pub(super) fn keep(&self) {
        let path = self.dir.join(FILE);
        if path.exists() {
            return;
        }
        let now = File::open(self.dir.join("db")).ok();
        let is_overwritten = |(offset, bytes): &&(u64, Vec<u8>)| {
            let now = now.as_ref().and_then(|now| files::read_at(now, *offset, bytes.len()).ok());
            now.as_ref() != Some(bytes)
        };
        let overwritten = self.segments.iter().filter(is_overwritten).map(|(_, bytes)| bytes.as_slice());
        let lost: Vec<&[u8]> = overwritten.filter(|bytes| holds_records(bytes)).collect();
        if !lost.is_empty() {
            let _ = files::replace(&path, &lost.concat());
        }
    }

    /// Removes what was kept when the store could not be opened.
    pub(super) fn forget(&self) -> Result<()> {
        files::remove(&self.dir.join(FILE))
    }
}

// Written by hand: the bytes are personal.
impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cut").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

/// Where the segments begin that sled may cut off, and how long they are. Those whose header is damaged are among them.
fn last_segments(file: &File, length: u64, segment: u64) -> Vec<(u64, u64)> {
    let offsets = (0..length.div_ceil(segment)).map(|number| number * segment);
    let headers: Vec<(u64, Option<Header>)> = offsets
        .filter_map(|offset| Some((offset, Header::read(&files::read_at(file, offset, HEADER).ok()?))))
        .collect();
    let stable = headers.iter().filter_map(|(_, header)| header.as_ref()).map(|header| header.stable).max();
    let mut last: Vec<(i64, u64)> = headers
        .iter()
        .filter_map(|(offset, header)| {
            let (from, may_be_cut) = match header {
                Some(header) => (header.from, Some(header.from.saturating_add_unsigned(segment)) > stable),
                None => (i64::MAX, !is_blank(file, *offset, segment.min(length - offset))),
            };
            may_be_cut.then_some((from, *offset))
        })
        .collect();
    last.sort_unstable();
    let newest = last.len().saturating_sub(MOST);
    last.drain(..newest);
    last.into_iter().map(|(_, offset)| (offset, segment.min(length - offset))).collect()
}

fn is_blank(file: &File, offset: u64, length: u64) -> bool {
    let bytes = usize::try_from(length).ok().and_then(|length| files::read_at(file, offset, length).ok());
    bytes.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
}

/// Where a segment stands in sled's log, and up to where that was stable when it was begun; -1 if nothing was.
struct Header {
    from: i64,
    stable: i64,
}

impl Header {
    /// `None` if it is damaged or was never written.
    fn read(bytes: &[u8]) -> Option<Self> {
        /// Numbers are stored with all their bits turned, but for the sign.
        const TURNED: i64 = i64::MAX;
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes) ^ TURNED;
        let header = Self { from: number(rest.first_chunk()?), stable: number(rest.last_chunk()?) };
        (!crc32fast::hash(rest) == u32::from_le_bytes(*crc)).then_some(header)
    }
}

/// Whether there is a record of the log in these bytes.
fn holds_records(bytes: &[u8]) -> bool {
    carve(bytes, 0, &[Block::KIND, erasures::KIND]).is_some()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{Event, Store, StoreOptions};

    fn store_of(dir: &Path, events: i64) -> Store {
        let store = Store::open(dir).unwrap();
        for second in 0..events {
            let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
            store.append(Event::at(at, format!("c{}", second % 9), "view").id(second.to_string())).unwrap();
        }
        store
    }

    #[test]
    fn what_stands_behind_a_damaged_place_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        store_of(&folder, 300).close().unwrap();
        assert!(!folder.join("log").join(FILE).exists());
        let whole = fs::read(folder.join("log/db")).unwrap();
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
        for (number, (from, to)) in [(used / 2, used / 2 + 1), (0, 4096), (2, 3)].into_iter().enumerate() {
            let damaged = dir.path().join(format!("damaged {number}"));
            fs::create_dir_all(damaged.join("log")).unwrap();
            for name in ["JOURNEYLOG", "WITNESS", "log/conf"] {
                fs::copy(folder.join(name), damaged.join(name)).unwrap();
            }
            let mut bytes = whole.clone();
            bytes[from..to].iter_mut().for_each(|byte| *byte = if to > from + 1 { 0 } else { *byte ^ 1 });
            fs::write(damaged.join("log/db"), &bytes).unwrap();
            for _ in 0..2 {
                assert!(Store::open(&damaged).unwrap_err().is_corrupt());
                assert!(fs::read(damaged.join("log").join(FILE)).unwrap() == bytes, "{number}");
            }
            let salvage = Store::salvage(&damaged, dir.path().join(format!("new {number}"))).unwrap();
            assert!(salvage.events >= 270, "{number}: {salvage}");
            // Who goes on with what is left goes on without it.
            let store = StoreOptions::new().accept_loss().open(&damaged).unwrap();
            assert!(!damaged.join("log").join(FILE).exists());
            store.close().unwrap();
        }
    }
}
