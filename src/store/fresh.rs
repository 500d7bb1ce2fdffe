//! The fresh tail: journeys of events that are in the log but in no segment yet.

use std::sync::Arc;

use crate::journey::{Columns, Needs, Part, Rows, merge};

/// So many runs of like size are merged into one.
const FAN_IN: usize = 8;
/// So many events are sorted into a run, if no question made that happen earlier.
const RUN: usize = 128 * 1024;
/// Events of so many bytes are sealed, however few they are.
const SEAL_BYTES: usize = 64 << 20;
/// So many times what makes a seal may be fresh; then appends wait.
const ROOM: usize = 4;

/// Events as they came, and sorted runs of them, few: small ones are merged as new ones come. Runs never change, so a
/// snapshot keeps those it saw.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// The newest events, not sorted yet.
    rows: Rows,
    runs: Vec<Arc<Columns>>,
    /// How many of the first runs are being sealed, and are left as they are.
    sealing: usize,
    events: Amount,
    /// Of these, what is being sealed.
    events_sealing: Amount,
}

/// Events, and the bytes they take, as the limit of an event counts them.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    events: usize,
    bytes: usize,
}

impl Fresh {
    pub(crate) fn events(&self) -> usize {
        self.events.events
    }

    /// Whether there are so many events, or so large ones, that they are to be sealed; those being sealed do not count.
    pub(crate) fn is_full(&self, events: usize) -> bool {
        self.events.events - self.events_sealing.events >= events
            || self.events.bytes - self.events_sealing.bytes >= SEAL_BYTES
    }

    /// Whether appending must wait until a seal has made room.
    pub(crate) fn is_overfull(&self, events: usize) -> bool {
        self.events.events >= events.saturating_mul(ROOM) || self.events.bytes >= SEAL_BYTES * ROOM
    }

    /// How much of the room is taken, from 0 to 1, when it is more than half: then appends should slow down.
    pub(crate) fn pressure(&self, events: usize) -> f64 {
        let of = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let (room, bytes) = (events.saturating_mul(ROOM), SEAL_BYTES * ROOM);
        let taken = of(self.events.events, room).max(of(self.events.bytes, bytes));
        (taken * 2.0 - 1.0).clamp(0.0, 1.0)
    }

    /// Takes in events after all those before.
    pub(crate) fn push(&mut self, rows: Rows, bytes: usize) {
        self.events.events += rows.len();
        self.events.bytes += bytes;
        self.rows.append(rows);
        if self.rows.len() >= RUN {
            self.sort();
        }
    }

    fn sort(&mut self) {
        if !self.rows.is_empty() {
            self.runs.push(Arc::new(std::mem::take(&mut self.rows).into_columns()));
            self.merge_like_sizes();
        }
    }

    /// All events in sorted runs.
    pub(crate) fn sorted(&mut self) -> &[Arc<Columns>] {
        self.sort();
        &self.runs
    }

    /// Merges the newest runs, as far back as each is no larger than those after it together, once there are enough.
    fn merge_like_sizes(&mut self) {
        let mut first = self.runs.len();
        let mut together = 0;
        for (i, run) in self.runs.iter().enumerate().skip(self.sealing).rev() {
            // Full runs are merged when they are sealed.
            if run.rows() >= RUN || together > 0 && run.rows() > together {
                break;
            }
            together += run.rows();
            first = i;
        }
        if self.runs.len() - first >= FAN_IN {
            let newest = self.runs.split_off(first);
            let parts: Vec<Part<'_>> = newest.iter().map(|run| Part::whole(run)).collect();
            self.runs.push(Arc::new(merge(&parts, &Needs::everything())));
        }
    }

    /// Sets all events apart to be sealed.
    pub(crate) fn begin_sealing(&mut self) -> Vec<Arc<Columns>> {
        self.sort();
        self.sealing = self.runs.len();
        self.events_sealing = self.events;
        self.runs.clone()
    }

    /// Lets go of the runs that were set apart, and hands them out.
    pub(crate) fn end_sealing(&mut self) -> Vec<Arc<Columns>> {
        let sealed = self.runs.drain(..self.sealing).collect();
        self.events.events -= self.events_sealing.events;
        self.events.bytes -= self.events_sealing.bytes;
        self.give_up_sealing();
        sealed
    }

    /// Keeps the runs that were set apart after all: sealing failed.
    pub(crate) fn give_up_sealing(&mut self) {
        self.sealing = 0;
        self.events_sealing = Amount::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{ChannelNo, CustomerNo, NO_STAGE, PlainRow, TouchpointNo},
        model::Micros,
    };

    fn row(seq: u64) -> Rows {
        let mut rows = Rows::default();
        rows.extend(std::iter::once(PlainRow {
            customer: CustomerNo(u32::try_from(seq % 9).unwrap()),
            time: Micros(0),
            seq,
            touchpoint: TouchpointNo(0),
            channel: ChannelNo(0),
            stage: NO_STAGE,
        }));
        rows
    }

    #[test]
    fn large_events_are_sealed_however_few_they_are() {
        let mut fresh = Fresh::default();
        fresh.push(row(0), SEAL_BYTES - 1);
        assert!(!fresh.is_full(usize::MAX));
        fresh.push(row(1), 1);
        assert!(fresh.is_full(usize::MAX));
        let _ = fresh.begin_sealing();
        assert!(!fresh.is_full(usize::MAX), "what is being sealed does not count again");
        fresh.push(row(2), SEAL_BYTES * (ROOM - 1));
        assert!(fresh.is_full(usize::MAX) && fresh.is_overfull(usize::MAX));
        fresh.end_sealing();
        assert!(!fresh.is_overfull(usize::MAX));
    }

    #[test]
    fn runs_stay_few_and_lose_nothing() {
        // Whether somebody asks after each append, or nobody before the seal.
        for asked in [true, false] {
            let mut fresh = Fresh::default();
            let events = |runs: &[Arc<Columns>]| runs.iter().map(|run| run.rows()).sum::<usize>();
            for seq in 0..5_000 {
                fresh.push(row(seq), 100);
                if asked {
                    assert_eq!(events(fresh.sorted()), fresh.events());
                    assert!(fresh.runs.len() < 40, "{}", fresh.runs.len());
                }
                if seq == 3_000 {
                    assert_eq!(events(&fresh.begin_sealing()), 3_001);
                }
            }
            assert_eq!(fresh.events(), 5_000);
            assert_eq!(events(&fresh.end_sealing()), 3_001);
            assert_eq!((fresh.events(), events(fresh.sorted())), (1_999, 1_999));
        }
    }

    #[test]
    fn pressure_rises_from_half_of_the_room_on() {
        let mut fresh = Fresh::default();
        for (events, expected) in [(4, 0.0), (6, 0.5), (8, 1.0)] {
            while fresh.events() < events {
                fresh.push(row(0), 1);
            }
            assert!((fresh.pressure(2) - expected).abs() < 0.01, "{}", fresh.pressure(2));
        }
        assert!(fresh.is_overfull(2));
    }
}
