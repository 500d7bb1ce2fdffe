//! The private seam between the log and what keeps its bytes: an ordered map with batches that are applied whole.

use std::{error::Error as _, sync::OnceLock};

use crate::error::{Error, ErrorKind, Result};

/// The largest value an engine takes. Larger ones would make sled put pages into blob files, which it never syncs,
/// leaks and never erases: a page holds up to twenty pairs and must stay below a quarter of sled's segment of 2 MiB.
pub(crate) const MAX_VALUE: usize = 24 * 1024;

/// The longest key an engine takes, for the same reason. Keys of a few bytes are best: sled repeats them in its index.
pub(crate) const MAX_KEY: usize = 256;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// One change of a batch. When a batch changes a key twice, the later change counts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Forgets a key; one that is not there is no mistake. The bytes may stay readable in the engine's files.
    Remove(Vec<u8>),
}

/// An ordered map of bytes.
///
/// - Batches are whole or absent, also after the death of the process; what a crash takes is always the newest batches.
/// - Any number of threads may read and write; writes wait for each other.
/// - After a write, flush or sync that failed, what is kept is not known: every later one is refused with
///   [`ErrorKind::Poisoned`]. Reads go on as far as they can, and may see a part of the batch that failed.
/// - No failure of what lies below comes out as a panic.
pub(crate) trait Engine: Send + Sync + std::fmt::Debug {
    /// Applies all changes or none. An error leaves open whether the batch is kept, unless it is
    /// [`ErrorKind::Limit`] (a key or value too large) or [`ErrorKind::Poisoned`]: then nothing was done.
    fn apply(&self, batch: Vec<Change>) -> Result<()>;

    /// Hands everything applied to the operating system: it survives the death of this process.
    fn flush(&self) -> Result<()>;

    /// Makes everything applied power-safe: it survives a power cut once this returns.
    fn sync(&self) -> Result<()>;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The first `limit` pairs with `from <= key < to`, in order of their keys. It is no snapshot: batches applied
    /// meanwhile may be seen in part.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>>;

    /// The last pair with `from <= key < to`.
    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>>;

    /// The bytes its files take.
    fn size_on_disk(&self) -> Result<u64>;

    /// Whether writing ended because there was no room, and all that was written until then is on the disk. Then this
    /// engine may be closed and its folder opened again, when there is room.
    fn may_reopen(&self) -> bool;

    /// Syncs, and lets go of the files whether or not that went well. Every later call fails.
    fn close(&self) -> Result<()>;
}

// Written by hand, so that no error or log line can print what an entry holds.
impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({} bytes, {} bytes)", key.len(), value.len()),
            Self::Remove(key) => write!(f, "Remove({} bytes)", key.len()),
        }
    }
}

/// Refuses a batch with a key or value over its limit; otherwise says how many bytes the batch has.
pub(crate) fn measure(batch: &[Change]) -> Result<u64> {
    let mut bytes = 0;
    for change in batch {
        let (key, value) = match change {
            Change::Put(key, value) => (key.len(), value.len()),
            Change::Remove(key) => (key.len(), 0),
        };
        for (what, found, limit) in [("a key of the log", key, MAX_KEY), ("a value of the log", value, MAX_VALUE)] {
            if found > limit {
                return Err(ErrorKind::Limit { what, found: found as u64, limit: limit as u64 }.into());
            }
            bytes += found as u64;
        }
    }
    Ok(bytes)
}

/// What a call on a closed engine gets.
pub(crate) fn closed() -> Error {
    ErrorKind::Closed.into()
}

/// Remembers the first failed write of an engine and refuses the later ones.
#[derive(Debug, Default)]
pub(crate) struct Poison(OnceLock<Ended>);

/// Why writing ended.
#[derive(Debug)]
struct Ended {
    reason: String,
    is_full: bool,
}

impl Poison {
    /// Runs a write, unless an earlier one failed; if this one fails, there will be no later one.
    pub(crate) fn guard<T>(&self, write: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        write().inspect_err(|error| self.set(error))
    }

    /// Fails if a write has failed.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.get() {
            Some(Ended { reason, .. }) => Err(ErrorKind::Poisoned { reason: reason.clone() }.into()),
            None => Ok(()),
        }
    }

    /// True if a write has failed because there was no room.
    pub(crate) fn was_full(&self) -> bool {
        self.0.get().is_some_and(|ended| ended.is_full)
    }

    /// Refuses all writes from now on. The first reason is kept, with its causes: it will be asked for.
    pub(crate) fn set(&self, error: &Error) {
        self.0.get_or_init(|| {
            let mut reason = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                reason = format!("{reason}: {next}");
                cause = next.source();
            }
            Ended { reason, is_full: error.is_full() }
        });
    }
}

/// What every engine promises, as a test that each of them runs.
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(crate) mod contract {
    use std::{collections::BTreeMap, ops::Bound};

    use super::*;

    pub(crate) fn put(key: &str, value: &str) -> Change {
        Change::Put(key.into(), value.into())
    }

    fn remove(key: &str) -> Change {
        Change::Remove(key.into())
    }

    fn pair(key: &str, value: &str) -> Pair {
        (key.into(), value.into())
    }

    /// Checks the contract on an engine that is empty when first opened; `open` opens the same one again.
    pub(crate) fn check<E: Engine>(open: impl Fn() -> E) {
        let engine = open();
        an_empty_engine_has_nothing(&engine);
        reads_follow_the_order_of_keys(&engine);
        the_later_change_of_a_key_counts(&engine);
        a_batch_over_a_limit_leaves_no_trace(&engine);
        threads_lose_nothing(&engine);
        engine.close().unwrap();
        a_closed_engine_fails(&engine);
        drop(engine);

        let engine = open();
        assert_eq!(engine.get(b"b").unwrap(), Some(b"2".to_vec()), "a reopened engine keeps what it held");
        engine
            .apply(engine.range(b"", b"\xff", 9999).unwrap().into_iter().map(|(k, _)| Change::Remove(k)).collect())
            .unwrap();
        drop(engine);
        agrees_with_a_map(open);
    }

    fn an_empty_engine_has_nothing(engine: &impl Engine) {
        assert_eq!(engine.get(b"a").unwrap(), None);
        assert_eq!(engine.range(b"", b"\xff", 10).unwrap(), []);
        assert_eq!(engine.last(b"", b"\xff").unwrap(), None);
        engine.apply(vec![]).unwrap();
        engine.flush().unwrap();
        engine.sync().unwrap();
    }

    fn reads_follow_the_order_of_keys(engine: &impl Engine) {
        engine.apply(vec![put("c", "3"), put("a", "1"), put("b", "2"), put("bb", "22"), put("empty", "")]).unwrap();
        assert_eq!(engine.get(b"bb").unwrap(), Some(b"22".to_vec()));
        assert_eq!(engine.get(b"empty").unwrap(), Some(vec![]));
        assert_eq!(engine.range(b"a", b"c", 10).unwrap(), [pair("a", "1"), pair("b", "2"), pair("bb", "22")]);
        assert_eq!(engine.range(b"a", b"c", 2).unwrap(), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(engine.range(b"a", b"c", 0).unwrap(), []);
        assert_eq!(engine.last(b"a", b"c").unwrap(), Some(pair("bb", "22")));
        assert_eq!(engine.last(b"c", b"d").unwrap(), Some(pair("c", "3")));
        assert_eq!(engine.last(b"x", b"z").unwrap(), None);
        assert_eq!(engine.range(b"b", b"b", 10).unwrap(), []);
        assert_eq!(engine.range(b"c", b"a", 10).unwrap(), []);
        assert_eq!(engine.last(b"b", b"b").unwrap(), None);
        assert_eq!(engine.last(b"c", b"a").unwrap(), None);
    }

    fn the_later_change_of_a_key_counts(engine: &impl Engine) {
        engine.apply(vec![remove("c"), put("a", "old"), put("a", "new"), remove("bb"), put("bb", "again")]).unwrap();
        engine.apply(vec![put("gone", "x"), remove("gone"), remove("never was")]).unwrap();
        assert_eq!(engine.get(b"a").unwrap(), Some(b"new".to_vec()));
        assert_eq!(engine.get(b"bb").unwrap(), Some(b"again".to_vec()));
        assert_eq!(engine.get(b"c").unwrap(), None);
        assert_eq!(engine.get(b"gone").unwrap(), None);
        // A change alone may take another way.
        for (change, left) in [(put("alone", "x"), Some("x")), (put("alone", "y"), Some("y")), (remove("alone"), None)]
        {
            engine.apply(vec![change.clone()]).unwrap();
            engine.apply(vec![change]).unwrap();
            assert_eq!(engine.get(b"alone").unwrap().as_deref(), left.map(str::as_bytes));
        }
    }

    fn a_batch_over_a_limit_leaves_no_trace(engine: &impl Engine) {
        let before = engine.range(b"", b"\xff", 100).unwrap();
        for change in [
            Change::Put(b"big".to_vec(), vec![1; MAX_VALUE + 1]),
            Change::Put(vec![b'k'; MAX_KEY + 1], vec![]),
            Change::Remove(vec![b'k'; MAX_KEY + 1]),
        ] {
            let error = engine.apply(vec![put("a", "other"), change, put("z", "26")]).unwrap_err();
            assert!(error.is_limit(), "{error:?}");
        }
        assert_eq!(engine.range(b"", b"\xff", 100).unwrap(), before);

        let (key, value) = (vec![b'k'; MAX_KEY], vec![7; MAX_VALUE]);
        engine.apply(vec![Change::Put(key.clone(), value.clone())]).unwrap();
        assert_eq!(engine.get(&key).unwrap(), Some(value));
        engine.apply(vec![Change::Remove(key)]).unwrap();
    }

    fn threads_lose_nothing(engine: &impl Engine) {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for n in 0..100 {
                        engine.apply(vec![put(&format!("t{thread}{n:03}"), "x")]).unwrap();
                        engine.last(b"t", b"u").unwrap().unwrap();
                        if n % 10 == 0 {
                            engine.sync().unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(engine.range(b"t", b"u", 1000).unwrap().len(), 400);
    }

    fn a_closed_engine_fails(engine: &impl Engine) {
        let kinds = [
            engine.apply(vec![]).unwrap_err(),
            engine.flush().unwrap_err(),
            engine.sync().unwrap_err(),
            engine.get(b"a").unwrap_err(),
            engine.range(b"a", b"b", 1).unwrap_err(),
            engine.last(b"a", b"b").unwrap_err(),
            engine.size_on_disk().unwrap_err(),
            engine.close().unwrap_err(),
        ];
        for error in kinds {
            assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
        }
    }

    /// Random changes and questions, with reopening among them, against a plain map.
    fn agrees_with_a_map<E: Engine>(open: impl Fn() -> E) {
        let mut state = 42_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut key = move || {
            let long = random(2) == 0;
            let n = u16::try_from(random(400)).unwrap();
            (
                if long {
                    [b'k', 0, n.to_be_bytes()[0], n.to_be_bytes()[1], 255].to_vec()
                } else {
                    n.to_be_bytes().to_vec()
                },
                n,
            )
        };
        let mut map = BTreeMap::new();
        let mut engine = open();
        for round in 0..400 {
            let mut batch = vec![];
            for _ in 0..8 {
                let (key, n) = key();
                if n % 3 == 0 {
                    map.remove(&key);
                    batch.push(Change::Remove(key));
                } else {
                    let value = vec![n.to_be_bytes()[1]; usize::from(n)];
                    map.insert(key.clone(), value.clone());
                    batch.push(Change::Put(key, value));
                }
            }
            engine.apply(batch).unwrap();
            let ((from, limit), (to, _)) = (key(), key());
            let inside =
                || (from < to).then(|| map.range((Bound::Included(from.clone()), Bound::Excluded(to.clone()))));
            let owned = |(k, v): (&Vec<u8>, &Vec<u8>)| (k.clone(), v.clone());
            let expected: Vec<Pair> = inside().into_iter().flatten().take(usize::from(limit)).map(owned).collect();
            assert_eq!(engine.range(&from, &to, usize::from(limit)).unwrap(), expected, "round {round}");
            assert_eq!(engine.last(&from, &to).unwrap(), inside().and_then(|mut all| all.next_back()).map(owned));
            assert_eq!(engine.get(&from).unwrap(), map.get(&from).cloned());
            if round % 100 == 99 {
                drop(engine);
                engine = open();
            }
        }
        assert!(map.len() > 200);
        assert_eq!(engine.range(b"", b"\xff", 9999).unwrap(), map.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_change_does_not_print_its_bytes() {
        let batch = vec![Change::Put(b"anna".to_vec(), b"secret".to_vec()), Change::Remove(b"anna".to_vec())];
        assert_eq!(format!("{batch:?}"), "[Put(4 bytes, 6 bytes), Remove(4 bytes)]");
    }

    #[test]
    fn a_batch_is_measured_in_keys_and_values() {
        assert_eq!(measure(&[put("ab", "cde"), remove("f")]).unwrap(), 6);
    }

    #[test]
    fn poison_keeps_the_first_reason_with_its_causes() {
        let poison = Poison::default();
        let full = || Error::io("writing", "log", std::io::ErrorKind::StorageFull.into());
        assert!(poison.guard(|| Ok(())).is_ok());
        assert!(poison.guard(|| Err::<(), _>(full())).unwrap_err().is_full(), "the failing call says why");
        poison.set(&Error::damaged("log", "later"));
        let error = poison.guard(|| Ok(())).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Poisoned { reason } if reason == "no space left on the disk while writing: no storage space"),
            "{error:?}"
        );
    }
}
