//! Threads that append at the same time: one of them writes for all who wait, so that they share one sync.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Receipt, shared::lock};
use crate::{
    codec::LogEntry,
    error::{ErrorKind, Result},
};

/// How long the one who writes waits for others who wrote the last time too. A sync takes some times as long.
const PATIENCE: Duration = Duration::from_micros(100);

/// Appends that wait to be written. The one who came first writes; when that is done, the first of those who came meanwhile
/// does.
#[derive(Debug, Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    /// Rung when somebody joins while the one who writes waits for it.
    joined: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Pending>,
    /// Whether somebody writes.
    is_led: bool,
    /// Whether the one who writes still waits for others to join.
    is_gathering: bool,
    /// How many append at the same time, as far as the last time showed.
    expected: usize,
}

/// An append that waits for its turn.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) entries: Vec<LogEntry>,
    pub(super) bytes: usize,
    pub(super) reply: Reply,
}

/// Where an append is told how it went. Whoever drops it without a word was stopped by a panic.
#[derive(Debug)]
pub(super) struct Reply(Arc<Seat>);

#[derive(Debug, Default)]
struct Seat {
    turn: Mutex<Turn>,
    bell: Condvar,
}

#[derive(Debug, Default)]
enum Turn {
    #[default]
    Wait,
    Lead,
    Done(Result<Receipt>),
}

impl Seat {
    fn set(&self, turn: Turn) {
        *lock(&self.turn) = turn;
        self.bell.notify_one();
    }

    fn wait(&self) -> Turn {
        let mut turn = lock(&self.turn);
        while matches!(*turn, Turn::Wait) {
            turn = self.bell.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        mem::take(&mut *turn)
    }
}

impl Reply {
    pub(super) fn send(self, answer: Result<Receipt>) {
        self.0.set(Turn::Done(answer));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut turn = lock(&self.0.turn);
        if !matches!(*turn, Turn::Done(_)) && Arc::strong_count(&self.0) > 1 {
            let reason = "a thread stopped while it wrote".to_owned();
            *turn = Turn::Done(Err(ErrorKind::Poisoned { reason }.into()));
            self.0.bell.notify_one();
        }
    }
}

impl Queue {
    /// Appends, together with others who do at this time: either waits until it is written, or writes all that wait with
    /// `write`. With `gather`, it is worth to wait a moment for those who are likely to come.
    pub(super) fn append(
        &self,
        entries: Vec<LogEntry>,
        bytes: usize,
        gather: bool,
        write: impl FnOnce(Vec<Pending>),
    ) -> Result<Receipt> {
        let seat = Arc::new(Seat::default());
        let leads = {
            let mut line = self.line();
            line.waiting.push(Pending { entries, bytes, reply: Reply(Arc::clone(&seat)) });
            if line.is_gathering && line.waiting.len() >= line.expected {
                self.joined.notify_one();
            }
            !mem::replace(&mut line.is_led, true)
        };
        let turn = if leads { Turn::Lead } else { seat.wait() };
        match turn {
            Turn::Done(answer) => return answer,
            Turn::Lead | Turn::Wait => self.lead(gather, write),
        }
        match seat.wait() {
            Turn::Done(answer) => answer,
            Turn::Lead | Turn::Wait => Err(ErrorKind::Closed.into()),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    fn lead(&self, gather: bool, write: impl FnOnce(Vec<Pending>)) {
        // Hands over also after a panic.
        let mut baton = Baton { queue: self, written: 0 };
        let group = {
            let mut line = self.line();
            let start = Instant::now();
            line.is_gathering = true;
            while gather && line.waiting.len() < line.expected {
                let left = PATIENCE.saturating_sub(start.elapsed());
                if left.is_zero() {
                    break;
                }
                line = self.joined.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            line.is_gathering = false;
            mem::take(&mut line.waiting)
        };
        baton.written = group.len();
        write(group);
    }
}

/// Held by the one who writes.
struct Baton<'a> {
    queue: &'a Queue,
    written: usize,
}

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        line.is_gathering = false;
        line.expected = self.written + line.waiting.len();
        match line.waiting.first() {
            Some(next) => next.reply.0.set(Turn::Lead),
            None => line.is_led = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::Durability;

    fn answer(pending: Pending) {
        let Pending { entries, reply, .. } = pending;
        let stored = entries.len() as u64;
        reply.send(Ok(Receipt {
            first: 1,
            stored,
            duplicates: Vec::new(),
            erased: Vec::new(),
            durability: Durability::Synced,
        }));
    }

    #[test]
    fn threads_share_writes_and_each_is_answered() {
        const THREADS: usize = 8;
        const EACH: usize = 50;
        let (queue, writes) = (Queue::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let write = |group: Vec<Pending>| {
                            writes.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(1));
                            group.into_iter().for_each(answer);
                        };
                        queue.append(Vec::new(), 0, true, write).unwrap();
                    }
                });
            }
        });
        let writes = writes.into_inner();
        assert!(writes < THREADS * EACH / 3, "{writes}");
        assert!(!queue.line().is_led && queue.line().waiting.is_empty());
    }

    #[test]
    fn nobody_waits_for_one_who_panicked() {
        let queue = Queue::default();
        let (began, goes_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                queue.append(Vec::new(), 0, false, |group| {
                    began.wait();
                    goes_on.wait();
                    drop(group);
                    panic!("as a test");
                })
            });
            began.wait();
            let second = scope.spawn(|| queue.append(Vec::new(), 0, false, |group| group.into_iter().for_each(answer)));
            while queue.line().waiting.is_empty() {
                std::thread::yield_now();
            }
            goes_on.wait();
            assert!(first.join().is_err());
            second.join().unwrap().unwrap();
        });
        queue.append(Vec::new(), 0, true, |group| group.into_iter().for_each(answer)).unwrap();
    }

    #[test]
    fn an_append_that_was_dropped_unwritten_is_told() {
        let refused = Queue::default().append(Vec::new(), 0, false, drop).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Poisoned { .. }));
    }
}
