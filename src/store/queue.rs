//! Threads that append at the same time: one of them writes for all who wait, so that they share one sync.

use std::{
    mem,
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::{
    Receipt,
    locks::lock,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};
use crate::{
    codec::LogEntry,
    error::{ErrorKind, Result},
};

/// How long appends wait for others who wrote the last time too. A sync takes some times as long.
const PATIENCE: Duration = Duration::from_micros(100);

/// Appends that wait to be written. When as many are there as the last time, the last who came writes for all; if they do
/// not come, the first does after a moment. Those who come while somebody writes are the next.
#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line>,
    patience: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { line: Mutex::default(), patience: PATIENCE }
    }
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Pending>,
    /// Where they are told.
    party: Arc<Party>,
    /// Whether somebody writes. If not, and somebody waits, the first in line looks at the clock.
    is_led: bool,
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
pub(super) struct Reply {
    party: Arc<Party>,
    seat: usize,
    is_told: bool,
}

/// An append and how it went.
pub(super) type Answer = (Reply, Result<Receipt>);

/// Those who are written together. All but the first hear one bell, which is rung once for all: to wake each is a call
/// of the system, which whoever has written would make before it appends again.
#[derive(Debug, Default)]
struct Party {
    seats: Mutex<Seats>,
    first: Condvar,
    others: Condvar,
}

#[derive(Debug, Default)]
struct Seats {
    /// Whose turn it is to do what, in the order in which they came.
    turns: Vec<Turn>,
    /// Which bells are needed: each is a call of the system, heard or not.
    first_sleeps: bool,
    others_sleep: bool,
}

#[derive(Debug, Default)]
enum Turn {
    #[default]
    Wait,
    /// Waits with an eye on the clock.
    Watch,
    Lead,
    Done(Result<Receipt>),
}

impl Party {
    /// Takes the next seat.
    fn join(&self) -> usize {
        let mut seats = lock(&self.seats);
        seats.turns.push(Turn::Wait);
        seats.turns.len() - 1
    }

    /// Gives some their turns, and wakes them; the others but for the first all together.
    fn give(&self, turns: impl Iterator<Item = (usize, Turn)>) {
        let mut seats = lock(&self.seats);
        let (mut first, mut others) = (false, false);
        for (seat, turn) in turns {
            (first, others) = (first || seat == 0, others || seat > 0);
            if let Some(known) = seats.turns.get_mut(seat) {
                *known = turn;
            }
        }
        first &= seats.first_sleeps;
        others = others && mem::take(&mut seats.others_sleep);
        drop(seats);
        if first {
            self.first.notify_one();
        }
        if others {
            self.others.notify_all();
        }
    }

    /// Waits for a turn, or the first until a moment has passed: then it stays `Wait`.
    fn wait(&self, seat: usize, until: Option<Instant>) -> Turn {
        let mut seats = lock(&self.seats);
        loop {
            let turn = seats.turns.get_mut(seat).map(mem::take).unwrap_or_default();
            if !matches!(turn, Turn::Wait) {
                return turn;
            }
            if seat > 0 {
                seats.others_sleep = true;
                seats = self.others.wait(seats).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return turn;
            }
            seats.first_sleeps = true;
            seats = match left {
                None => self.first.wait(seats).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.first.wait_timeout(seats, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            seats.first_sleeps = false;
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_told {
            let reason = "a thread stopped while it wrote".to_owned();
            let turn = Turn::Done(Err(ErrorKind::Poisoned { reason }.into()));
            self.party.give(std::iter::once((self.seat, turn)));
        }
    }
}

impl Queue {
    #[cfg(all(test, shuttle))]
    pub(super) fn without_patience() -> Self {
        Self { line: Mutex::default(), patience: Duration::ZERO }
    }

    /// Whether nobody is in line, and nobody writes.
    #[cfg(all(test, shuttle))]
    pub(super) fn is_at_rest(&self) -> bool {
        let line = self.line();
        !line.is_led && line.waiting.is_empty()
    }

    /// Appends, together with others who do at this time: either waits until it is written, or writes all that wait with
    /// `write`, which gives an answer for each. With `gather`, it is worth to wait a moment for those who are likely to
    /// come.
    pub(super) fn append(
        &self,
        entries: Vec<LogEntry>,
        bytes: usize,
        gather: bool,
        write: impl FnOnce(Vec<Pending>) -> Vec<Answer>,
    ) -> Result<Receipt> {
        let mut line = self.line();
        let party = Arc::clone(&line.party);
        let seat = party.join();
        line.waiting.push(Pending { entries, bytes, reply: Reply { party: Arc::clone(&party), seat, is_told: false } });
        let mut turn = match line.waiting.len() {
            _ if line.is_led => Turn::Wait,
            here if !gather || here >= line.expected => {
                line.is_led = true;
                Turn::Lead
            }
            1 => Turn::Watch,
            _ => Turn::Wait,
        };
        drop(line);
        loop {
            turn = match turn {
                Turn::Done(answer) => return answer,
                Turn::Wait => party.wait(seat, None),
                Turn::Watch => match party.wait(seat, Some(Instant::now() + self.patience)) {
                    Turn::Wait if self.takes_the_lead(&party) => Turn::Lead,
                    turn => turn,
                },
                Turn::Lead => break,
            };
        }
        self.lead(gather, write);
        match party.wait(seat, None) {
            Turn::Done(answer) => answer,
            Turn::Wait | Turn::Watch | Turn::Lead => Err(ErrorKind::Closed.into()),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    /// Takes the lead of a party, unless somebody else is about to write for it.
    fn takes_the_lead(&self, party: &Arc<Party>) -> bool {
        let mut line = self.line();
        let takes = !line.is_led && Arc::ptr_eq(&line.party, party);
        line.is_led |= takes;
        takes
    }

    /// Writes all that wait, and gives each an answer.
    fn lead(&self, gather: bool, write: impl FnOnce(Vec<Pending>) -> Vec<Answer>) {
        // Hands over also after a panic.
        let mut baton = Baton { queue: self, gather, written: 0 };
        let (party, waiting) = {
            let mut line = self.line();
            (mem::take(&mut line.party), mem::take(&mut line.waiting))
        };
        baton.written = waiting.len();
        let answers = write(waiting);
        // Before the answers: those who get one may come again at once, and must not count twice.
        drop(baton);
        let told = answers.into_iter().map(|(mut reply, answer)| {
            reply.is_told = true;
            (reply.seat, Turn::Done(answer))
        });
        party.give(told);
    }
}

/// Held by the one who writes.
struct Baton<'a> {
    queue: &'a Queue,
    gather: bool,
    written: usize,
}

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        line.expected = self.written + line.waiting.len();
        line.is_led = false;
        if !line.waiting.is_empty() {
            line.is_led = !self.gather;
            let turn = if self.gather { Turn::Watch } else { Turn::Lead };
            line.party.give(std::iter::once((0, turn)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::Durability;

    fn answer(pending: Pending) -> Answer {
        let Pending { entries, reply, .. } = pending;
        let stored = entries.len() as u64;
        let durability = Durability::Synced;
        (reply, Ok(Receipt { first: 1, stored, duplicates: Vec::new(), erased: Vec::new(), durability }))
    }

    fn answer_all(group: Vec<Pending>) -> Vec<Answer> {
        group.into_iter().map(answer).collect()
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
                            // Whoever is answered and comes again at once is no other.
                            assert!(queue.line().expected <= THREADS);
                            writes.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(1));
                            answer_all(group)
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
    fn the_last_who_was_expected_writes_at_once() {
        let queue = Queue { patience: Duration::from_hours(1), ..Queue::default() };
        queue.line().expected = 3;
        let groups = Mutex::new(Vec::new());
        let append = || {
            queue.append(Vec::new(), 0, true, |group| {
                lock(&groups).push(group.len());
                answer_all(group)
            })
        };
        std::thread::scope(|scope| {
            let threads = [scope.spawn(append), scope.spawn(append), scope.spawn(append)];
            threads.into_iter().for_each(|thread| drop(thread.join().unwrap().unwrap()));
        });
        assert_eq!((groups.into_inner().unwrap(), queue.line().expected), (vec![3], 3));
    }

    #[test]
    fn nobody_waits_long_for_those_who_do_not_come() {
        let queue = Queue::default();
        queue.line().expected = 3;
        queue.append(Vec::new(), 0, true, answer_all).unwrap();
        assert_eq!(queue.line().expected, 1);
    }

    #[test]
    fn nobody_waits_for_one_who_panicked() {
        [false, true].into_iter().for_each(nobody_waits_for_one_who_panics);
    }

    fn nobody_waits_for_one_who_panics(gather: bool) {
        let queue = Queue::default();
        let (began, goes_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                queue.append(Vec::new(), 0, gather, |group| {
                    began.wait();
                    goes_on.wait();
                    drop(group);
                    panic!("as a test")
                })
            });
            began.wait();
            let second = scope.spawn(|| queue.append(Vec::new(), 0, gather, answer_all));
            while queue.line().waiting.is_empty() {
                std::thread::yield_now();
            }
            goes_on.wait();
            assert!(first.join().is_err());
            second.join().unwrap().unwrap();
        });
        queue.append(Vec::new(), 0, true, answer_all).unwrap();
    }

    #[test]
    fn all_who_waited_for_one_who_panicked_are_told() {
        let queue = Queue { patience: Duration::from_hours(1), ..Queue::default() };
        queue.line().expected = 4;
        let append = || {
            queue.append(Vec::new(), 0, true, |group| {
                drop(group);
                panic!("as a test")
            })
        };
        let outcomes =
            std::thread::scope(|scope| [(); 4].map(|()| scope.spawn(append)).map(|thread| thread.join().ok()));
        let is_told = |told: &Result<Receipt>| matches!(told.as_ref().unwrap_err().kind(), ErrorKind::Poisoned { .. });
        let told: Vec<_> = outcomes.into_iter().flatten().collect();
        assert!(told.len() == 3 && told.iter().all(is_told), "{told:?}");
    }

    #[test]
    fn an_append_that_was_dropped_unwritten_is_told() {
        let refused = Queue::default().append(Vec::new(), 0, false, |_| Vec::new()).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Poisoned { .. }));
    }
}
