//! What sled will find in its file when it opens it, and what it will write over then: read before it does, as it reads.
//!
//! The file is a row of segments, each with a header of 20 bytes: the CRC-32 of the rest of it, where the segment stands in
//! sled's log, and up to where that was stable when the segment was begun. Messages follow, each with a checksum and the
//! number of its segment; what is left of an earlier use of the room has another number.
//!
//! sled reads on from its newest snapshot. From the segment that holds the highest of the stable places on it goes from
//! message to message, and the first that cannot be read is the end of all: what stands behind is overwritten with
//! zeros. If that segment is missing, everything since the snapshot is. Before that segment it passes over what it
//! cannot read, and overwrites a segment of which it could read nothing; where the disk cannot be read, it goes no
//! further. A header is written with the message behind it, in one go and before any place in the segment is called
//! stable; so neither a process that died nor a power cut leaves one without the other.

use std::{cell::Cell, collections::BTreeMap, fs::File, io::ErrorKind, path::Path};

use super::{erasures, files, log_folder, retention};
use crate::codec::{Block, carve};

const HEADER: usize = 20;
/// More than the head of any message takes.
const HEAD: usize = 32;
/// A segment with less room than this at its end is full.
const LEAST: usize = 32;
/// Of a file with holes, at most so many segments without a header are looked at: sled leaves no holes.
const MOST_HOLES: usize = 1024;
/// And not at all of their bytes: at so many from the beginning, and at a page after each so many.
const SPARSELY: u64 = 128 << 10;

/// Where a piece of the file begins, and how long it is.
pub(super) type Place = (u64, u64);

/// What sled would do.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// Why it must not open the file: it would give up what can be read.
    pub(super) harm: Option<String>,
    /// The segments of which it would give up records, the oldest first.
    pub(super) given_up: Vec<Place>,
}

/// sled's file as it lies there.
struct SledFile {
    file: File,
    length: u64,
    segment: u64,
    /// Where the segments stand in the file, by where they stand in the log.
    sound: BTreeMap<i64, u64>,
    /// Up to here the log was stable.
    stable: i64,
    /// Segments without a sound header, most of which were never used.
    headless: Vec<u64>,
    /// Where the disk could not be read.
    unreadable: Cell<Option<u64>>,
}

/// Looks at the file in a folder. If it cannot be opened, sled says so itself.
pub(super) fn look(dir: &Path, segment: usize) -> Outlook {
    SledFile::read(dir, segment as u64).map(|file| file.outlook()).unwrap_or_default()
}

impl SledFile {
    fn read(dir: &Path, segment: u64) -> Option<Self> {
        let path = dir.join("db");
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let from = log_folder::newest_snapshot(dir).unwrap_or_default() / segment * segment;
        let from = i64::try_from(from).ok()?;
        let (file, length) = (File::open(path).ok()?, metadata.len());
        let (sound, headless, unreadable) = (BTreeMap::new(), Vec::new(), Cell::new(None));
        let mut all = Self { file, length, segment, sound, stable: from, headless, unreadable };
        for offset in (0..length.div_ceil(segment)).map(|number| number * segment) {
            match all.at(offset, HEADER).as_deref().and_then(Header::read) {
                Some(header) if header.from >= from => {
                    all.stable = all.stable.max(header.stable);
                    all.sound.insert(header.from, offset);
                }
                // Older than the snapshot: sled reads pages there that it knows of.
                Some(_) => {}
                None => all.headless.push(offset),
            }
        }
        if on_disk(&metadata).saturating_add(segment) < length {
            all.headless.truncate(MOST_HOLES);
            let mut headless = std::mem::take(&mut all.headless);
            headless.retain(|&offset| all.seems_used(offset));
            all.headless = headless;
        }
        Some(all)
    }

    fn outlook(&self) -> Outlook {
        let step = self.segment.cast_signed();
        let lowest = self.stable.max(0) / step * step;
        let mut end = lowest;
        let mut tail = Vec::new();
        while let Some(&offset) = self.sound.get(&end) {
            tail.push((end, offset));
            end = end.saturating_add(step);
        }
        // Whose header alone is damaged, where sled would stop.
        let cut_short = self.headless.iter().find(|&&offset| self.begins(offset, end));
        if let Some(offset) = cut_short {
            let harm =
                format!("the header of its segment at byte {offset} cannot be read; sled would give up what follows");
            return Outlook { harm: Some(harm), given_up: Vec::new() };
        }
        if tail.is_empty() && self.sound.values().any(|&offset| holds_records(self.rest(offset, 0))) {
            let harm =
                "the segment up to which it was stable cannot be read; sled would overwrite all of it with zeros";
            return Outlook { harm: Some(harm.to_owned()), given_up: Vec::new() };
        }
        let given_up = self.given_up(lowest, &tail, end);
        let harm = self.unreadable.get().map(|offset| {
            format!("the disk cannot read its file near byte {offset}; sled would overwrite what follows with zeros")
        });
        Outlook { harm, given_up }
    }

    /// The segments of which sled would give up records.
    fn given_up(&self, lowest: i64, tail: &[(i64, u64)], end: i64) -> Vec<Place> {
        let step = self.segment.cast_signed();
        let headless: Vec<u64> = self.headless.iter().copied().filter(|&at| holds_records(self.rest(at, 0))).collect();
        // So far nothing was looked at that sled has to read.
        self.unreadable.set(None);
        // These are as many as were written since the log was opened last: one room for all.
        let (mut room, mut given_up) = (Vec::new(), Vec::new());
        for (&from, &offset) in self.sound.range(..lowest) {
            self.read_rest(offset, 0, &mut room);
            let bytes = &room;
            let (_, torn) = read_through(bytes, self.segment, self.number(from));
            if torn.is_some_and(|at| bytes.get(at..).is_some_and(holds_records)) {
                given_up.push(offset);
            }
        }
        // Nobody knows where these stood in the log; most likely late.
        given_up.extend(headless);
        let (mut last, mut batches) = (end, Vec::new());
        for &(from, offset) in tail {
            let (manifests, torn) = read_through(&self.rest(offset, 0), self.segment, self.number(from));
            batches.extend(manifests.into_iter().map(|(at, last)| (from.saturating_add_unsigned(at as u64), last)));
            if let Some(at) = torn {
                last = from.saturating_add_unsigned(at as u64);
                break;
            }
        }
        // A batch that is not whole is given up from its beginning.
        if let Some((begin, _)) = batches.into_iter().find(|(_, end)| *end >= last) {
            last = begin;
        }
        for (&from, &offset) in self.sound.range(lowest..) {
            let behind = usize::try_from(last.saturating_sub(from)).unwrap_or_default();
            if from.saturating_add(step) > last && holds_records(self.rest(offset, behind)) {
                given_up.push(offset);
            }
        }
        let place = |offset: u64| (offset, self.segment.min(self.length - offset));
        given_up.into_iter().map(place).collect()
    }

    /// Whether messages of this place in the log begin here, behind a header that cannot be read.
    fn begins(&self, offset: u64, from: i64) -> bool {
        let blank =
            self.at(offset, HEADER + HEAD).is_none_or(|bytes| is_blank(bytes.get(HEADER..).unwrap_or_default()));
        !blank && Message::read(&self.rest(offset, 0), HEADER, self.number(from)).is_some()
    }

    /// Whether there is anything at the beginning of a segment, or now and then behind that: it is filled without holes.
    fn seems_used(&self, offset: u64) -> bool {
        let size = self.segment.min(self.length.saturating_sub(offset));
        let is_used = |from: u64| {
            let length = if from == 0 { SPARSELY } else { BLANK.len() as u64 }.min(size - from);
            let bytes = usize::try_from(length).ok().and_then(|length| self.at(offset.saturating_add(from), length));
            bytes.is_some_and(|bytes| !is_blank(&bytes))
        };
        (0..size.div_ceil(SPARSELY)).any(|number| is_used(number * SPARSELY))
    }

    /// The number that the messages of a segment have.
    fn number(&self, from: i64) -> u64 {
        from.unsigned_abs() / self.segment
    }

    fn at(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes).then_some(bytes)
    }

    /// A segment from some byte on.
    fn rest(&self, offset: u64, from: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read_rest(offset, from, &mut bytes);
        bytes
    }

    fn read_rest(&self, offset: u64, from: usize, bytes: &mut Vec<u8>) {
        let size = self.segment.min(self.length.saturating_sub(offset));
        bytes.resize(usize::try_from(size).unwrap_or_default().saturating_sub(from), 0);
        if !self.read_at(offset.saturating_add(from as u64), bytes) {
            bytes.clear();
        }
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let read = files::read_into(&self.file, offset, bytes);
        if read.as_ref().is_err_and(|error| error.kind() != ErrorKind::UnexpectedEof) {
            self.unreadable.set(Some(offset));
        }
        read.is_ok()
    }
}

const BLANK: [u8; 4096] = [0; 4096];

/// Whether there is nothing but zeros.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.chunks(BLANK.len()).all(|chunk| BLANK.starts_with(chunk))
}

/// How many bytes of a file are really on the disk, where the system says so.
fn on_disk(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512);
    #[cfg(not(unix))]
    return metadata.len();
}

/// Where a segment stands in sled's log, and up to where that was stable when it was begun; -1 if nothing was.
pub(super) struct Header {
    pub(super) from: i64,
    pub(super) stable: i64,
}

impl Header {
    /// `None` if it is damaged or was never written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        /// Numbers are stored with all their bits turned, but for the sign.
        const TURNED: i64 = i64::MAX;
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes) ^ TURNED;
        let header = Self { from: number(rest.first_chunk()?), stable: number(rest.last_chunk()?) };
        (!crc32fast::hash(rest) == u32::from_le_bytes(*crc)).then_some(header)
    }
}

/// A message of sled's log.
enum Message {
    /// The room behind it is not used.
    Cap,
    /// A batch follows, up to this place of the log.
    Batch(i64),
    Other,
}

impl Message {
    /// The message at a place of a segment, and where the next one begins; `None` if there is none that is sound.
    fn read(segment: &[u8], at: usize, number: u64) -> Option<(Self, usize)> {
        let bytes = segment.get(at..)?;
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let (&kind, rest) = rest.split_first()?;
        let (length, rest) = varint(rest)?;
        let (of, rest) = varint(rest)?;
        let (_, rest) = varint(rest)?;
        let body = rest.get(..usize::try_from(length).ok()?)?;
        let head = bytes.get(crc.len()..bytes.len() - rest.len())?;
        if !(1..=11).contains(&kind) || of != number {
            return None;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(head);
        let message = match kind {
            2 => Self::Cap,
            3 => Self::Batch(i64::from_le_bytes(*body.first_chunk()?)),
            _ => Self::Other,
        };
        let next = at.checked_add(bytes.len() - rest.len())?.checked_add(body.len())?;
        (!hasher.finalize() == u32::from_le_bytes(*crc)).then_some((message, next))
    }
}

/// Goes through a segment's messages: where batches begin and up to where they go, and where there is no message though
/// there is room for one.
fn read_through(bytes: &[u8], size: u64, number: u64) -> (Vec<(usize, i64)>, Option<usize>) {
    let (mut at, mut batches) = (HEADER, Vec::new());
    while (at.saturating_add(LEAST)) as u64 <= size {
        match Message::read(bytes, at, number) {
            None => return (batches, Some(at)),
            Some((Message::Cap, _)) => break,
            Some((Message::Batch(last), next)) => {
                batches.push((at, last));
                at = next;
            }
            Some((Message::Other, next)) => at = next,
        }
    }
    (batches, None)
}

/// sled's form of a number: one byte up to 240, else the first byte says how many follow.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let lead = u64::from(first);
    match first {
        0..=240 => Some((lead, rest)),
        241..=248 => rest.split_first().map(|(&low, rest)| (240 + 256 * (lead - 241) + u64::from(low), rest)),
        249 => {
            let ([high, low], rest) = rest.split_first_chunk()?;
            Some((2288 + 256 * u64::from(*high) + u64::from(*low), rest))
        }
        250.. => {
            let (low, rest) = rest.split_at_checked(usize::from(first - 247))?;
            let mut number = [0; 8];
            number.iter_mut().zip(low).for_each(|(to, from)| *to = *from);
            Some((u64::from_le_bytes(number), rest))
        }
    }
}

/// Whether there is a record of the log in these bytes.
fn holds_records(bytes: impl AsRef<[u8]>) -> bool {
    let bytes = bytes.as_ref();
    !is_blank(bytes) && carve(bytes, 0, &[Block::KIND, erasures::KIND, retention::KIND]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Event, Store,
        store::sled_engine::{SEGMENT, SledEngine},
    };

    #[test]
    fn the_header_of_the_first_segment_is_there_before_anything_is_appended() {
        let dir = tempfile::tempdir().unwrap();
        let (_engine, _) = SledEngine::open(dir.path()).unwrap();
        let file = SledFile::read(dir.path(), SEGMENT as u64).unwrap();
        assert_eq!(file.sound.keys().collect::<Vec<_>>(), [&0]);
    }

    /// What cannot be read from the disk is no end of the log.
    #[test]
    fn a_file_that_the_disk_cannot_read_is_not_shown_to_sled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.append(Event::at(chrono::DateTime::UNIX_EPOCH, "ann", "view")).unwrap();
        store.close().unwrap();
        let log = dir.path().join("log");
        let mut file = SledFile::read(&log, SEGMENT as u64).unwrap();
        let outlook = file.outlook();
        assert!(outlook.harm.is_none() && outlook.given_up.is_empty(), "{outlook:?}");
        // A file that is open for writing alone cannot be read either.
        file.file = File::options().write(true).open(log.join("db")).unwrap();
        assert!(file.outlook().harm.unwrap().starts_with("the disk cannot read"));
    }

    #[test]
    fn holes_are_not_read_and_what_stands_between_them_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.append(Event::at(chrono::DateTime::UNIX_EPOCH, "ann", "view")).unwrap();
        store.close().unwrap();
        let path = dir.path().join("log/db");
        let whole = std::fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(64 << 30).unwrap();
        // Another segment whose header and first message are gone.
        let moved = 700 * SEGMENT as u64;
        #[cfg(unix)]
        std::os::unix::fs::FileExt::write_all_at(&file, &whole[100..], moved + 100).unwrap();
        let started = std::time::Instant::now();
        let outlook = look(&dir.path().join("log"), SEGMENT);
        assert_eq!((outlook.harm, outlook.given_up), (None, vec![(moved, SEGMENT as u64)]));
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
