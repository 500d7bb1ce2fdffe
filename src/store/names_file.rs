//! Files of names: those that were new when they were written, in the order of their numbers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::{
    codec::{decompress_sized, frame, unframe},
    error::{Error, Result},
    journey::{NameKind, Names},
};

pub(super) const KIND: [u8; 4] = *b"JLNM";
pub(super) const VERSION: u32 = 1;

/// So many names are taken out of the tables at a time, so that whoever appends need not wait for all.
const AT_ONCE: usize = 8 * 1024;

/// Names of one kind, from a number on.
#[derive(Debug, Serialize, Deserialize)]
struct Part<'a> {
    kind: NameKind,
    first: u32,
    #[serde(borrow)]
    names: Vec<&'a str>,
}

/// How many names of each kind are in files, in the order of [`NameKind::ALL`].
pub(crate) type Counts = [usize; NameKind::ALL.len()];

/// Writes the names from these counts on; `None` if there are none.
pub(crate) fn write(path: &Path, names: &Names, from: Counts) -> Result<Option<Counts>> {
    let until = counts(names);
    let texts: Vec<(Vec<String>, Vec<usize>)> = NameKind::ALL
        .into_iter()
        .zip(from.into_iter().zip(until))
        .map(|(kind, range)| copy(names, kind, range))
        .collect();
    let mut parts = Vec::new();
    for ((kind, first), (texts, ends)) in NameKind::ALL.into_iter().zip(from).zip(&texts) {
        if !ends.is_empty() {
            parts.push(Part { kind, first: u32::try_from(first).unwrap_or(u32::MAX), names: cut(texts, ends) });
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let plain = postcard::to_stdvec(&parts).unwrap_or_default();
    files::replace(path, &frame(KIND, VERSION, &lz4_flex::compress_prepend_size(&plain)))?;
    Ok(Some(until))
}

/// Names of a kind, so many in each text, and the end of each name in its text.
fn copy(names: &Names, kind: NameKind, (from, until): (usize, usize)) -> (Vec<String>, Vec<usize>) {
    let (mut texts, mut ends) = (Vec::new(), Vec::new());
    for first in (from..until).step_by(AT_ONCE) {
        let mut text = String::new();
        for name in names.read().starting_at(kind, first).take(AT_ONCE.min(until - first)) {
            text.push_str(name);
            ends.push(text.len());
        }
        texts.push(text);
    }
    (texts, ends)
}

fn cut<'a>(texts: &'a [String], ends: &[usize]) -> Vec<&'a str> {
    let mut names = Vec::with_capacity(ends.len());
    for (text, ends) in texts.iter().zip(ends.chunks(AT_ONCE)) {
        let starts = std::iter::once(&0).chain(ends);
        names.extend(starts.zip(ends).filter_map(|(&start, &end)| text.get(start..end)));
    }
    names
}

/// Reads a file's names after those of the files before it.
pub(crate) fn read(path: &Path, names: &Names) -> Result<()> {
    let name = path.display().to_string();
    let bytes = files::read(path)?.ok_or_else(|| Error::damaged(&name, "it is missing"))?;
    let payload = unframe(&name, KIND, VERSION, &bytes)?;
    let plain = decompress_sized(payload).ok_or_else(|| Error::damaged(&name, "it cannot be decompressed"))?;
    let parts: Vec<Part<'_>> = postcard::from_bytes(&plain).map_err(|e| Error::damaged(&name, e.to_string()))?;
    let mut tables = names.write();
    for part in parts {
        for (number, text) in (u64::from(part.first)..).zip(part.names) {
            let is_nameless = text.is_empty();
            let found = if is_nameless { tables.skip(part.kind) } else { tables.intern(part.kind, text) };
            if u64::from(found) != number {
                return Err(Error::damaged(&name, "its names do not follow those before"));
            }
        }
    }
    Ok(())
}

/// Whether names that were read from files are those that a store goes by, but for names taken away since.
pub(crate) fn agree(read: &Names, live: &Names) -> bool {
    let (read, live) = (read.read(), live.read());
    NameKind::ALL.into_iter().all(|kind| {
        let pairs = read.starting_at(kind, 0).zip(live.starting_at(kind, 0));
        read.len(kind) <= live.len(kind) && pairs.into_iter().all(|(read, live)| live.is_empty() || read == live)
    })
}

/// How many names there are of each kind.
pub(crate) fn counts(names: &Names) -> Counts {
    let tables = names.read();
    NameKind::ALL.map(|kind| tables.len(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_and_sizes_are_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let put = |payload: &[u8]| files::replace(&path, &frame(KIND, VERSION, payload)).unwrap();
        // After the largest number there is none.
        let part = Part { kind: NameKind::Customer, first: u32::MAX, names: vec!["ann", "bob"] };
        put(&lz4_flex::compress_prepend_size(&postcard::to_stdvec(&vec![part]).unwrap()));
        assert!(read(&path, &Names::default()).unwrap_err().is_corrupt());
        // A size of which no memory is taken.
        put(&[u32::MAX.to_le_bytes().as_slice(), &[0x10, b'a']].concat());
        assert!(read(&path, &Names::default()).unwrap_err().to_string().contains("cannot be decompressed"));
    }

    #[test]
    fn names_come_back_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let names = Names::default();
        names.write().intern(NameKind::Customer, "ann");
        let counts = write(&a, &names, Counts::default()).unwrap().unwrap();
        names.write().intern(NameKind::Customer, "bob");
        names.write().intern(NameKind::Stage, "new");
        let all = write(&b, &names, counts).unwrap().unwrap();
        assert_eq!(write(&b, &names, all).unwrap(), None);
        let again = Names::default();
        read(&a, &again).unwrap();
        read(&b, &again).unwrap();
        assert_eq!((again.find_customer("bob"), self::counts(&again)), (names.find_customer("bob"), all));
        assert!(read(&b, &Names::default()).unwrap_err().is_corrupt());
        names.write().forget_all([crate::journey::CustomerNo(0)]);
        write(&a, &names, Counts::default()).unwrap().unwrap();
        let again = Names::default();
        read(&a, &again).unwrap();
        assert_eq!((again.find_customer("ann"), again.find_customer("bob")), (None, names.find_customer("bob")));
    }
}
