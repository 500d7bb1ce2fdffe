//! One customer: journey, stage, transitions.

use super::{LoggedEvent, Snapshot};
use crate::{
    error::Result,
    journey::Needs,
    model::{CustomerId, Micros},
};

/// One customer's events, as a snapshot holds them.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Customer {
    id: CustomerId,
    events: Vec<LoggedEvent>,
    /// The end of observation: the last event of all customers.
    observed_until: Option<Micros>,
}

impl Snapshot {
    /// One customer's journey; `None` if the snapshot has no event of theirs.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the store could not be read.
    pub fn customer(&self, id: &str) -> Result<Option<Customer>> {
        let Some(number) = self.names().find_customer(id) else { return Ok(None) };
        let columns = self.scan().only(&[number]).load(0, &Needs { seqs: true, ..Needs::default() })?;
        if columns.seqs.is_empty() {
            return Ok(None);
        }
        let mut seqs = columns.seqs.clone();
        seqs.sort_unstable();
        let mut events = self.events(&seqs)?;
        events.sort_by_key(|logged| (logged.event.occurred_at, logged.seq));
        Ok(Some(Customer { id: CustomerId::new(id)?, events, observed_until: self.last_time() }))
    }
}

impl Customer {
    /// Who.
    pub fn id(&self) -> &CustomerId {
        &self.id
    }

    pub(crate) fn observed_until(&self) -> Option<Micros> {
        self.observed_until
    }

    /// The events in the order of the journey: by time, then by sequence.
    pub fn journey(&self) -> &[LoggedEvent] {
        &self.events
    }
}
