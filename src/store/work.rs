//! What the background thread is asked for, and how it answers.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::{
    Backup,
    locks::lock,
    sync::{
        Condvar, Mutex, MutexGuard,
        mpsc::{self, Sender},
    },
};
use crate::error::{Error, ErrorKind, Result};

/// What was appended is synced and witnessed this long after.
const SOON: Duration = Duration::from_secs(1);
/// A store is idle when nothing was appended for this long.
const IDLE: Duration = Duration::from_secs(10);

/// A store that stays idle is looked at again after so long: what it holds grows old, and may be due to go.
const AGAIN: Duration = Duration::from_hours(1);

/// The bell and what it is rung for.
#[derive(Debug)]
pub(super) struct Work {
    wanted: Mutex<Wanted>,
    /// Rung when the background thread has something to do.
    bell: Condvar,
    /// Rung when a settling is over.
    settled: Condvar,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for or not, independently")]
struct Wanted {
    stop: bool,
    seal: bool,
    /// Something was appended that is not witnessed yet.
    unwitnessed: bool,
    witnessed_at: Instant,
    /// Something was appended since the store was last idle.
    appended: bool,
    appended_at: Instant,
    /// When it was last found to be idle.
    idle_at: Instant,
    /// How many settlings were asked for, and how many of them are over.
    settle: u64,
    settled: u64,
    /// Whether one of them is to write the log anew in any case.
    rewrite: bool,
    /// Why the last settling failed, for the first who asks; and in words, for the others.
    failure: Option<(Option<Error>, String)>,
    backups: VecDeque<Request>,
}

/// A backup that somebody waits for. Whoever drops it without an answer was stopped.
#[derive(Debug)]
pub(super) struct Request {
    folder: PathBuf,
    answer: Sender<Result<Backup>>,
}

impl Request {
    /// Where it is to be.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn answer(self, outcome: Result<Backup>) {
        // Nobody waits for it if the thread that asked is gone.
        let _ = self.answer.send(outcome);
    }
}

/// What is to be done now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for or not, independently")]
pub(super) struct Asked {
    pub(super) stop: bool,
    pub(super) seal: bool,
    pub(super) witness: bool,
    pub(super) idle: bool,
    /// All settlings up to this one.
    pub(super) settle: Option<u64>,
    /// Whether the log is to be written anew on that occasion.
    pub(super) rewrite: bool,
    pub(super) backup: bool,
}

impl Work {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let wanted = Wanted {
            stop: false,
            seal: false,
            unwitnessed: false,
            witnessed_at: now,
            appended: true,
            appended_at: now,
            idle_at: now,
            settle: 0,
            settled: 0,
            rewrite: false,
            failure: None,
            backups: VecDeque::new(),
        };
        Self { wanted: Mutex::new(wanted), bell: Condvar::new(), settled: Condvar::new() }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        lock(&self.wanted)
    }

    /// Notes an append, after which a seal may be due.
    pub(super) fn appended(&self, seal: bool) {
        let mut wanted = self.wanted();
        let is_news = seal && !wanted.seal || !wanted.unwitnessed;
        wanted.seal |= seal;
        wanted.unwitnessed = true;
        if !wanted.appended || is_news {
            wanted.appended_at = Instant::now();
        }
        wanted.appended = true;
        drop(wanted);
        if is_news {
            self.bell.notify_one();
        }
    }

    pub(super) fn ask_to_seal(&self) {
        self.wanted().seal = true;
        self.bell.notify_one();
    }

    pub(super) fn stop(&self) {
        let mut wanted = self.wanted();
        wanted.stop = true;
        wanted.backups.clear();
        drop(wanted);
        self.bell.notify_all();
        self.settled.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.wanted().stop
    }

    /// Notes that what is appended from now on is not witnessed.
    pub(super) fn begin_witnessing(&self) {
        let mut wanted = self.wanted();
        wanted.unwitnessed = false;
        wanted.witnessed_at = Instant::now();
    }

    /// Waits until something is to be done; with more work at hand, only looks.
    pub(super) fn next(&self, has_more: bool) -> Asked {
        let mut wanted = self.wanted();
        loop {
            let now = Instant::now();
            let witness = wanted.unwitnessed.then(|| SOON.saturating_sub(now - wanted.witnessed_at));
            // While witnesses are written the store is not idle yet.
            let idle = (wanted.appended && !wanted.unwitnessed).then(|| IDLE.saturating_sub(now - wanted.appended_at));
            let idle = idle.or_else(|| (!wanted.appended).then(|| AGAIN.saturating_sub(now - wanted.idle_at)));
            let asked = Asked {
                stop: wanted.stop,
                seal: wanted.seal,
                witness: witness.is_some_and(|left| left.is_zero()),
                idle: idle.is_some_and(|left| left.is_zero()),
                settle: (wanted.settle > wanted.settled).then_some(wanted.settle),
                rewrite: wanted.rewrite && wanted.settle > wanted.settled,
                backup: !wanted.backups.is_empty(),
            };
            if has_more || asked != Asked::default() {
                wanted.seal = false;
                if asked.idle {
                    (wanted.appended, wanted.idle_at) = (false, now);
                }
                return asked;
            }
            wanted = match witness.into_iter().chain(idle).min() {
                Some(left) => self.bell.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(wanted).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Asks for a settling, with a rewriting of the log or with one only if there is need, and waits until it is over.
    pub(super) fn settle(&self, rewrite: bool) -> Result<()> {
        let mut wanted = self.wanted();
        wanted.settle += 1;
        wanted.rewrite |= rewrite;
        let mine = wanted.settle;
        self.bell.notify_one();
        while wanted.settled < mine && !wanted.stop {
            wanted = self.settled.wait(wanted).unwrap_or_else(PoisonError::into_inner);
        }
        if wanted.settled < mine {
            return Err(ErrorKind::Closed.into());
        }
        match &mut wanted.failure {
            None => Ok(()),
            Some((error, reason)) => {
                Err(error.take().unwrap_or_else(|| ErrorKind::Poisoned { reason: reason.clone() }.into()))
            }
        }
    }

    /// Asks for a backup, and waits until it is made.
    pub(super) fn back_up(&self, folder: PathBuf) -> Result<Backup> {
        let (answer, outcome) = mpsc::channel();
        let mut wanted = self.wanted();
        if wanted.stop {
            return Err(ErrorKind::Closed.into());
        }
        wanted.backups.push_back(Request { folder, answer });
        drop(wanted);
        self.bell.notify_one();
        outcome.recv().unwrap_or_else(|_| Err(ErrorKind::Closed.into()))
    }

    /// The backup to be made next.
    pub(super) fn next_backup(&self) -> Option<Request> {
        self.wanted().backups.pop_front()
    }

    /// Notes that what was asked to be written anew before now is about to be.
    pub(super) fn begin_rewriting(&self) {
        self.wanted().rewrite = false;
    }

    /// Says how the settlings up to this one went.
    pub(super) fn end_settling(&self, last: u64, outcome: Result<()>) {
        let mut wanted = self.wanted();
        wanted.settled = wanted.settled.max(last);
        wanted.rewrite &= wanted.settle > wanted.settled;
        wanted.failure = outcome.err().map(|error| {
            let reason = error.to_string();
            (Some(error), reason)
        });
        self.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_witnessed_soon_and_seals_at_once() {
        let work = Work::new();
        work.appended(false);
        assert_eq!(work.next(true), Asked::default(), "not yet");
        assert_eq!(work.next(false), Asked { witness: true, ..Asked::default() }, "after a while");
        work.begin_witnessing();
        work.appended(true);
        assert_eq!(work.next(false), Asked { seal: true, ..Asked::default() });
        assert_eq!(work.next(true), Asked::default(), "once");
    }

    #[test]
    fn whoever_settles_is_told_how_it_went_and_let_go_when_the_store_is_closed() {
        let work = Work::new();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| work.settle(false));
            let asked = work.next(false);
            assert_eq!(asked.settle, Some(1));
            work.end_settling(1, Err(ErrorKind::Closed.into()));
            assert!(matches!(first.join().unwrap().unwrap_err().kind(), ErrorKind::Closed));
            let second = scope.spawn(|| work.settle(false));
            assert_eq!(work.next(false).settle, Some(2));
            work.stop();
            assert!(matches!(second.join().unwrap().unwrap_err().kind(), ErrorKind::Closed));
            assert!(work.next(false).stop);
        });
    }

    #[test]
    fn a_store_that_stays_idle_is_looked_at_again() {
        let work = Work::new();
        let long_ago = |time: Duration| Instant::now().checked_sub(time).unwrap();
        work.wanted().appended_at = long_ago(IDLE);
        assert!(work.next(true).idle);
        assert_eq!(work.next(true), Asked::default(), "once");
        work.wanted().idle_at = long_ago(AGAIN);
        assert_eq!(work.next(true), Asked { idle: true, ..Asked::default() });
        assert_eq!(work.next(true), Asked::default(), "once");
    }
}
