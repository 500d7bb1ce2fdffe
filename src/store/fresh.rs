//! The fresh tail: journeys of events that are in the log but in no segment yet.

use std::sync::Arc;

use crate::journey::{Columns, Needs, Part, Row, merge};

/// So many runs of like size are merged into one.
const FAN_IN: usize = 4;
/// Events of so many bytes are sealed, however few they are.
const SEAL_BYTES: usize = 64 << 20;
/// So many times what makes a seal may be fresh; then appends wait.
const ROOM: usize = 4;

/// Sorted runs of fresh events, few of them: small ones are merged as new ones come. Runs never change, so a snapshot
/// keeps those it saw.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
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
    pub(crate) fn runs(&self) -> &[Arc<Columns>] {
        &self.runs
    }

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

    pub(crate) fn push(&mut self, rows: Vec<Row>, bytes: usize) {
        if rows.is_empty() {
            return;
        }
        self.events.events += rows.len();
        self.events.bytes += bytes;
        self.runs.push(Arc::new(Columns::from_rows(rows)));
        self.merge_like_sizes();
    }

    /// Merges the newest runs, as far back as each is no larger than those after it together, once there are enough.
    fn merge_like_sizes(&mut self) {
        let mut first = self.runs.len();
        let mut together = 0;
        for (i, run) in self.runs.iter().enumerate().skip(self.sealing).rev() {
            if together > 0 && run.rows() > together {
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

    /// Sets all runs apart to be sealed.
    pub(crate) fn begin_sealing(&mut self) -> Vec<Arc<Columns>> {
        self.sealing = self.runs.len();
        self.events_sealing = self.events;
        self.runs.clone()
    }

    /// Lets go of the runs that were set apart.
    pub(crate) fn end_sealing(&mut self) {
        self.runs.drain(..self.sealing);
        self.events.events -= self.events_sealing.events;
        self.events.bytes -= self.events_sealing.bytes;
        self.give_up_sealing();
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
        journey::{ChannelNo, CustomerNo, NO_STAGE, TouchpointNo},
        model::Micros,
    };

    fn row(seq: u64) -> Row {
        Row {
            customer: CustomerNo(u32::try_from(seq % 9).unwrap()),
            time: Micros(0),
            seq,
            touchpoint: TouchpointNo(0),
            channel: ChannelNo(0),
            stage: NO_STAGE,
            value: None,
            feedback: None,
            properties: Vec::new(),
        }
    }

    #[test]
    fn large_events_are_sealed_however_few_they_are() {
        let mut fresh = Fresh::default();
        fresh.push(vec![row(0)], SEAL_BYTES - 1);
        assert!(!fresh.is_full(usize::MAX));
        fresh.push(vec![row(1)], 1);
        assert!(fresh.is_full(usize::MAX));
        let _ = fresh.begin_sealing();
        assert!(!fresh.is_full(usize::MAX), "what is being sealed does not count again");
        fresh.push(vec![row(2)], SEAL_BYTES * (ROOM - 1));
        assert!(fresh.is_full(usize::MAX) && fresh.is_overfull(usize::MAX));
        fresh.end_sealing();
        assert!(!fresh.is_overfull(usize::MAX));
    }

    #[test]
    fn runs_stay_few_and_lose_nothing() {
        let mut fresh = Fresh::default();
        for seq in 0..5_000 {
            fresh.push(vec![row(seq)], 100);
            assert!(fresh.runs().len() < 40, "{}", fresh.runs().len());
            if seq == 3_000 {
                assert_eq!(fresh.begin_sealing().iter().map(|run| run.rows()).sum::<usize>(), 3_001);
            }
        }
        assert_eq!(fresh.events(), 5_000);
        fresh.end_sealing();
        assert_eq!(fresh.events(), 1_999);
        assert_eq!(fresh.runs().iter().map(|run| run.rows()).sum::<usize>(), 1_999);
    }
}
