//! The tail: what questions see that is in no file yet, and the segments before it.

use std::sync::{Arc, Mutex, OnceLock};

use super::{
    fresh::Fresh,
    segment::Segment,
    snapshot::{LastIdentities, View},
    witness::Head,
};
use crate::{
    error::{Error, Result},
    journey::{Names, ReservedNumbers, Rows},
    model::Micros,
};

/// What a snapshot is made of. It is locked for moments only, never while something is written or synced.
#[derive(Debug, Default)]
pub(super) struct Tail {
    head: Head,
    pub(super) fresh: Fresh,
    segments: Vec<Arc<Segment>>,
    last_time: Option<Micros>,
    /// Events that were erased, and the latest of them.
    erased: u64,
    last_erased: Option<Micros>,
    /// Why the last seal failed, if it did.
    pub(super) seal_failed: Option<Error>,
    identities: Arc<LastIdentities>,
    /// The view of what is here now, if anybody has asked since the last change.
    view: Option<Arc<View>>,
}

impl Tail {
    pub(super) fn new(head: Head, segments: &[Arc<Segment>], names: &Names) -> Result<Self> {
        let reserved = ReservedNumbers::of(names);
        let last_time = segments.iter().try_fold(None, |last, segment| segment.last_event(last, reserved))?;
        Ok(Self { head, segments: segments.to_vec(), last_time, ..Self::default() })
    }

    /// Takes in the events up to a head, the last of which is at this time.
    pub(super) fn take_in(&mut self, head: Head, rows: Rows, last_event: Option<Micros>, bytes: usize) {
        self.head = head;
        self.last_time = self.last_time.max(last_event);
        self.fresh.push(rows, bytes);
        self.view = None;
    }

    /// Notes how many events were erased in all, and the latest of those that were erased just now.
    pub(super) fn note_erased(&mut self, events: u64, last: Option<Micros>) {
        self.erased = events;
        self.last_erased = self.last_erased.max(last);
        self.view = None;
    }

    /// Notes how many events were erased in all, of which it is not known when they were.
    pub(super) fn set_erased(&mut self, events: u64) {
        self.note_erased(events, self.last_time.filter(|_| events > 0));
    }

    /// Goes by other segments.
    pub(super) fn turn_to(&mut self, segments: &[Arc<Segment>]) {
        self.segments = segments.to_vec();
        self.view = None;
    }

    /// Lets go of the events that were set apart: these segments hold them.
    ///
    /// They are handed back, since letting go of many events takes a while, and is better done without the lock.
    pub(super) fn end_sealing(&mut self, segments: &[Arc<Segment>]) -> impl Sized + use<> {
        let view = self.view.take();
        self.turn_to(segments);
        (self.fresh.end_sealing(), view)
    }

    pub(super) fn view(&mut self) -> Arc<View> {
        if let Some(view) = &self.view {
            return Arc::clone(view);
        }
        let fresh = self.fresh.sorted().to_vec();
        let view = View {
            segments: self.segments.clone(),
            fresh,
            head: self.head,
            last_time: self.last_time,
            is_last_erased: self.last_erased.is_some() && self.last_erased >= self.last_time,
            last_seen: Mutex::default(),
            erased: self.erased,
            said: OnceLock::new(),
            identities: Arc::clone(&self.identities),
        };
        Arc::clone(self.view.insert(Arc::new(view)))
    }
}
