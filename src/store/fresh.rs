//! The fresh tail: journeys of events that are in the log but in no segment yet.

use std::sync::Arc;

use crate::journey::{Columns, Part, Row, merge};

/// So many runs of like size are merged into one.
const FAN_IN: usize = 4;

/// Sorted runs of fresh events, few of them: small ones are merged as new ones come. Runs never change, so a snapshot
/// keeps those it saw.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    runs: Vec<Arc<Columns>>,
    /// How many of the first runs are being sealed, and are left as they are.
    sealing: usize,
    events: usize,
}

impl Fresh {
    pub(crate) fn runs(&self) -> &[Arc<Columns>] {
        &self.runs
    }

    pub(crate) fn events(&self) -> usize {
        self.events
    }

    pub(crate) fn push(&mut self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        self.events += rows.len();
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
            self.runs.push(Arc::new(merge(&parts)));
        }
    }

    /// Sets all runs apart to be sealed.
    pub(crate) fn begin_sealing(&mut self) -> Vec<Arc<Columns>> {
        self.sealing = self.runs.len();
        self.runs.clone()
    }

    /// Lets go of the runs that were set apart.
    pub(crate) fn end_sealing(&mut self) {
        let sealed: usize = self.runs.drain(..self.sealing).map(|run| run.rows()).sum();
        self.events -= sealed;
        self.sealing = 0;
    }

    /// Keeps the runs that were set apart after all: sealing failed.
    pub(crate) fn give_up_sealing(&mut self) {
        self.sealing = 0;
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
    fn runs_stay_few_and_lose_nothing() {
        let mut fresh = Fresh::default();
        for seq in 0..5_000 {
            fresh.push(vec![row(seq)]);
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
