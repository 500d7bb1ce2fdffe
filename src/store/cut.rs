//! What sled cuts off when it opens its file: all that stands behind a place that it cannot read, as if it had never been
//! written. It overwrites that with zeros at once, so what it will cut off is copied before, into a file `cut` beside it, and
//! is there for whoever salvages a store that could not be opened. If sled would give up more than the end of its log, it
//! does not get to see the file at all.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use super::{
    carving::Carving,
    files::{self, Output},
    sled_file::{self, Place},
};
use crate::error::{Error, Result};

/// In the folder of a log that could not be opened: what was cut off when that was first tried.
pub(super) const FILE: &str = "cut";

/// At most so many segments are kept, the newest; usually there are one to three.
const MOST: usize = 32;

/// What was kept of a log that is about to be opened.
pub(super) struct Kept {
    dir: PathBuf,
    places: Vec<Place>,
}

/// Keeps, power-safe, what sled will cut off when it opens the log in this folder. What an earlier opening kept stays: it
/// is what stood there before anything was cut off.
///
/// # Errors
/// `Damaged` if sled must not open the log; nothing was changed then. `Full` or `Io` if what will be cut off cannot be
/// kept.
pub(super) fn before_opening(dir: &Path, segment: usize) -> Result<Kept> {
    let outlook = sled_file::look(dir, segment);
    if let Some(harm) = outlook.harm {
        let reason = format!("{harm}; nothing was changed, and `Store::salvage` reads it");
        return Err(Error::damaged(format!("the log in {}", dir.display()), reason));
    }
    let mut kept = Kept { dir: dir.to_owned(), places: outlook.given_up };
    let newest = kept.places.len().saturating_sub(MOST);
    kept.places.drain(..newest);
    let path = dir.join(FILE);
    if kept.places.is_empty() || fs::symlink_metadata(&path).is_ok_and(|there| there.is_file()) {
        kept.places.clear();
        return Ok(kept);
    }
    let temporary = path.with_extension(files::TEMPORARY);
    files::remove(&temporary)?;
    if let Err(error) = kept.write(&temporary).and_then(|()| files::rename(&temporary, &path)) {
        // Room may be what is lacking.
        let _ = files::remove(&temporary);
        return Err(error);
    }
    Ok(kept)
}

/// Removes what was kept, when the store was opened: it goes on without that.
pub(super) fn forget(dir: &Path) -> Result<()> {
    files::remove(&dir.join(FILE))
}

/// The last sequence that was cut off, if that is after what the log has.
pub(super) fn beyond(dir: &Path, head: u64) -> Option<u64> {
    Some(Carving::of(&[dir.join(FILE)]).last()).filter(|last| *last > head)
}

impl Kept {
    fn write(&self, path: &Path) -> Result<()> {
        let db = self.dir.join("db");
        let file = files::open(&db).map_err(|e| Error::io("reading", &db, e))?;
        let mut output = Output::create(path)?;
        for place in &self.places {
            // What cannot be read is nothing that could be salvaged either.
            let bytes = read(&file, *place).unwrap_or_default();
            output.write_all(&bytes).map_err(|e| Error::io("writing", path, e))?;
        }
        output.sync().map_err(|e| Error::io("writing", path, e))
    }

    /// Removes what was kept for an opening that failed, if nothing was cut off after all.
    pub(super) fn forget_if_unharmed(&self) {
        let path = self.dir.join(FILE);
        if self.places.is_empty() {
            return;
        }
        let (Ok(db), Ok(kept)) = (File::open(self.dir.join("db")), File::open(&path)) else { return };
        let mut offset = 0;
        let is_there = self.places.iter().all(|&(place, length)| {
            let same = read(&db, (place, length)).is_some_and(|now| read(&kept, (offset, length)) == Some(now));
            offset = offset.saturating_add(length);
            same
        });
        if is_there {
            // There is nobody to tell: the opening has failed already.
            let _ = files::remove(&path);
        }
    }
}

fn read(file: &File, (offset, length): Place) -> Option<Vec<u8>> {
    files::read_at(file, offset, usize::try_from(length).ok()?).ok()
}

// Written by hand, so that it says what matters.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("segments", &self.places.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::{DateTime, TimeDelta};

    use super::{super::sled_file::Header, *};
    use crate::{Backup, Event, Store, StoreOptions};

    const SEGMENT: usize = 2 << 20;

    fn store_of(dir: &Path, events: i64) -> Store {
        let store = Store::open(dir).unwrap();
        for second in 0..events {
            let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
            store.append(Event::at(at, format!("c{}", second % 9), "view").id(second.to_string())).unwrap();
        }
        store
    }

    /// A copy of a store's folder, with other bytes in its log.
    fn with_log(store: &Path, copy: &Path, bytes: &[u8]) {
        fs::create_dir_all(copy.join("log")).unwrap();
        for name in ["JOURNEYLOG", "WITNESS", "log/conf"] {
            fs::copy(store.join(name), copy.join(name)).unwrap();
        }
        fs::write(copy.join("log/db"), bytes).unwrap();
    }

    #[test]
    fn what_stands_behind_a_damaged_place_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        store_of(&folder, 300).close().unwrap();
        assert!(!folder.join("log").join(FILE).exists());
        let whole = fs::read(folder.join("log/db")).unwrap();
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
        for (number, (from, to)) in [(used / 2, used / 2 + 1), (0, 4096)].into_iter().enumerate() {
            let damaged = dir.path().join(format!("damaged {number}"));
            let mut bytes = whole.clone();
            bytes[from..to].iter_mut().for_each(|byte| *byte = if to > from + 1 { 0 } else { *byte ^ 1 });
            with_log(&folder, &damaged, &bytes);
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

    #[test]
    fn what_is_cut_off_is_kept_before_it_is_or_nothing_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        store_of(&folder, 300).close().unwrap();
        let mut bytes = fs::read(folder.join("log/db")).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        bytes[used / 2] ^= 1;
        let damaged = dir.path().join("damaged");
        with_log(&folder, &damaged, &bytes);
        // A pipe in its place keeps nothing.
        let _ = std::process::Command::new("mkfifo").arg(damaged.join("log").join(FILE)).status();
        let kept = before_opening(&damaged.join("log"), SEGMENT).unwrap();
        assert!(damaged.join("log").join(FILE).is_file());
        assert!(fs::read(damaged.join("log").join(FILE)).unwrap() == bytes, "sled has not seen it yet");
        kept.forget_if_unharmed();
        assert!(!damaged.join("log").join(FILE).exists());

        // A folder in the way, so that it cannot be written.
        fs::create_dir(damaged.join("log/cut.tmp")).unwrap();
        let refused = Store::open(&damaged).unwrap_err();
        assert!(!refused.is_corrupt(), "{refused}");
        assert!(fs::read(damaged.join("log/db")).unwrap() == bytes, "nothing was cut off");
    }

    #[test]
    fn a_log_that_sled_would_overwrite_is_not_shown_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        let noise = |seed: i64| {
            let mut random = fastrand::Rng::with_seed(seed.cast_unsigned());
            std::iter::repeat_with(|| random.alphanumeric()).take(4000).collect::<String>()
        };
        let store = Store::open(&folder).unwrap();
        for batch in 0..40 {
            let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(batch);
            let event = |i: i64| Event::at(at, format!("c{i}"), "view").property("text", noise(batch * 50 + i));
            store.append_batch((0..50).map(|i| event(i).build().unwrap()).collect::<Vec<_>>()).unwrap();
        }
        store.close().unwrap();
        let whole = fs::read(folder.join("log/db")).unwrap();
        let header = |at: usize| Some((at, Header::read(&whole[at..at + 20])?));
        let mut headers: Vec<(usize, Header)> = (0..whole.len()).step_by(SEGMENT).filter_map(header).collect();
        headers.sort_by_key(|(_, header)| header.from);
        assert!(headers.len() > 4, "{}", whole.len());
        let (last, newest) = headers.last().unwrap();
        let is_stable = |header: &Header| (header.from..header.from + SEGMENT as i64).contains(&newest.stable);
        let (last, before) = (*last, headers.iter().find(|(_, header)| is_stable(header)).unwrap().0);
        // The header of the newest segment, that of the one up to which all was stable, and the latter with the message
        // behind it.
        for (number, (from, to)) in
            [(last, last + 1), (before + 7, before + 8), (before, before + 4096)].into_iter().enumerate()
        {
            let mut bytes = whole.clone();
            bytes[from..to].iter_mut().for_each(|byte| *byte = if to > from + 1 { 0 } else { *byte ^ 1 });
            let damaged = dir.path().join(format!("damaged {number}"));
            with_log(&folder, &damaged, &bytes);
            for options in [StoreOptions::new(), StoreOptions::new().accept_loss()] {
                let refused = options.open(&damaged).unwrap_err();
                assert!(refused.is_corrupt() && format!("{refused:?}").contains("nothing was changed"), "{refused:?}");
                assert!(fs::read(damaged.join("log/db")).unwrap() == bytes, "{number}");
                assert!(!damaged.join("log").join(FILE).exists());
            }
            let salvage = Store::salvage(&damaged, dir.path().join(format!("new {number}"))).unwrap();
            assert!(salvage.events >= 2000 - 60 && (number == 2 || salvage.events == 2000), "{number}: {salvage}");
        }
    }

    #[test]
    fn what_is_cut_off_beyond_the_witness_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        store_of(&folder, 50).close().unwrap();
        let witness = fs::read(folder.join("WITNESS")).unwrap();
        let store = store_of(&folder, 300);
        assert_eq!(store.len(), 300);
        store.close().unwrap();
        let mut bytes = fs::read(folder.join("log/db")).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        bytes[used * 4 / 5] ^= 1;
        let damaged = dir.path().join("damaged");
        with_log(&folder, &damaged, &bytes);
        fs::write(damaged.join("WITNESS"), witness).unwrap();
        for _ in 0..2 {
            let checked = Backup::check(&damaged).unwrap();
            assert_eq!(checked.head.0 + checked.cut_off, 300, "{checked:?}");
            assert!(checked.cut_off > 0);
        }
        let store = Store::open(&damaged).unwrap();
        let told = &store.open_report().mended;
        assert!(told.len() == 1 && told[0].contains("to 300 stood in the log's file"), "{told:?}");
        store.close().unwrap();
        assert_eq!(Store::open(&damaged).unwrap().open_report().mended.len(), 0);
    }

    #[test]
    fn a_pipe_in_its_place_hangs_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        store_of(&folder, 5).close().unwrap();
        let pipe = folder.join("log").join(FILE);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|made| made.success()) {
            assert_eq!(Store::salvage(&folder, dir.path().join("new")).unwrap().events, 5);
            assert_eq!(Backup::check(&folder).unwrap().events, 5);
            assert!(!pipe.exists());
        }
    }
}
