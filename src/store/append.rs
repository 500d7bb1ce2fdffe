//! Appending: threads that append at the same time share one batch and one sync.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    Durability, Receipt, Store,
    ids::fingerprint,
    log::Log,
    shared::{Pending, Shared, Writer, lock},
};
use crate::{
    codec::LogEntry,
    error::{ErrorKind, InvalidValue, Result},
    journey::code,
    model::{Event, Micros},
};

/// The most events of one batch.
pub const LIMIT_BATCH_EVENTS: usize = 100_000;
/// The most bytes of one batch, as the limit of an event counts them.
pub const LIMIT_BATCH_BYTES: usize = 16 << 20;

impl Store {
    /// Appends one event. What `Ok` guarantees is said by the store's [`Durability`].
    ///
    /// An event that is not valid is refused. One whose id the log has already is not stored, and the receipt says so.
    ///
    /// # Errors
    /// `InvalidValue` if the event is refused; `Closed` after a close; `Poisoned` if an earlier write failed; `Damaged` or
    /// `Io` if known ids could not be looked up, and then nothing was done; `Full`, `Io` or `Engine` if this write failed: it is not acknowledged then, and may or may not be there when the store is opened again.
    pub fn append<E>(&self, event: E) -> Result<Receipt>
    where
        E: TryInto<Event>,
        E::Error: Into<InvalidValue>,
    {
        let event = event.try_into().map_err(Into::into)?;
        self.shared().append(vec![event])
    }

    /// Appends several events, all or none.
    ///
    /// # Errors
    /// Those of [`append`](Self::append), and `Limit` if there are more than [`LIMIT_BATCH_EVENTS`] events or
    /// [`LIMIT_BATCH_BYTES`] bytes.
    pub fn append_batch(&self, events: impl IntoIterator<Item = Event>) -> Result<Receipt> {
        let events: Vec<Event> = events.into_iter().take(LIMIT_BATCH_EVENTS.saturating_add(1)).collect();
        if events.len() > LIMIT_BATCH_EVENTS {
            let (found, limit) = (events.len() as u64, LIMIT_BATCH_EVENTS as u64);
            return Err(ErrorKind::Limit { what: "events of one batch", found, limit }.into());
        }
        let bytes: usize = events.iter().map(Event::size).sum();
        if bytes > LIMIT_BATCH_BYTES {
            let (found, limit) = (bytes as u64, LIMIT_BATCH_BYTES as u64);
            return Err(ErrorKind::Limit { what: "bytes of one batch", found, limit }.into());
        }
        self.shared().append(events)
    }
}

impl Shared {
    fn append(&self, events: Vec<Event>) -> Result<Receipt> {
        let answer = Arc::new(Mutex::new(None));
        self.queue().push(Pending { events, answer: Arc::clone(&answer) });
        // Whoever comes first commits for all who wait; the others find their answers when they come in.
        let mut writer = self.writer();
        if lock(&answer).is_none() {
            let waiting = mem::take(&mut *self.queue());
            let mut group = Vec::new();
            let mut size = 0;
            for pending in waiting {
                let bytes: usize = pending.events.iter().map(Event::size).sum();
                if size > 0 && size + bytes > LIMIT_BATCH_BYTES {
                    self.commit(&mut writer, mem::take(&mut group));
                    size = 0;
                }
                size += bytes;
                group.push(pending);
            }
            self.commit(&mut writer, group);
        }
        let answered = lock(&answer).take();
        self.wait_for_room(writer);
        answered
            .unwrap_or_else(|| Err(ErrorKind::Poisoned { reason: "a thread stopped while it wrote".to_owned() }.into()))
    }

    /// Commits a group of appends as one batch, and answers each.
    fn commit(&self, writer: &mut Writer, group: Vec<Pending>) {
        let recorded_at = writer.now();
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut new_ids = Vec::new();
        let mut accepted = Vec::with_capacity(group.len());
        for Pending { events, answer } in group {
            let (entries_before, ids_before) = (entries.len(), new_ids.len());
            match self.take_in(writer, events, recorded_at, &mut entries, &mut new_ids) {
                Ok(receipt) => accepted.push((receipt, answer)),
                Err(error) => {
                    entries.truncate(entries_before);
                    new_ids.drain(ids_before..).for_each(|id| writer.ids.forget(id));
                    *lock(&answer) = Some(Err(error));
                }
            }
        }
        let written = self.write(writer, &entries);
        if written.is_err() {
            new_ids.into_iter().for_each(|id| writer.ids.forget(id));
        }
        let mut failure = written.err();
        let reason = failure.as_ref().map(ToString::to_string);
        for (receipt, answer) in accepted {
            *lock(&answer) = Some(match &reason {
                None => Ok(receipt),
                Some(reason) => {
                    Err(failure.take().unwrap_or_else(|| ErrorKind::Poisoned { reason: reason.clone() }.into()))
                }
            });
        }
    }

    /// Sorts duplicates out, and adds the other events to the batch.
    fn take_in(
        &self,
        writer: &mut Writer,
        events: Vec<Event>,
        recorded_at: Micros,
        entries: &mut Vec<LogEntry>,
        new_ids: &mut Vec<u128>,
    ) -> Result<Receipt> {
        let first = writer.head.seq + entries.len() as u64 + 1;
        let mut duplicates = Vec::new();
        let stored_before = entries.len();
        self.check_room(writer)?;
        for (position, event) in events.into_iter().enumerate() {
            if let Some(id) = event.id() {
                let id = fingerprint(id);
                if writer.ids.contains(id)? {
                    duplicates.push(position);
                    continue;
                }
                writer.ids.insert(id);
                new_ids.push(id);
            }
            entries.push(LogEntry { recorded_at, event });
        }
        let stored = (entries.len() - stored_before) as u64;
        Ok(Receipt { first, stored, duplicates, durability: self.options.durability })
    }

    /// Writes a batch to the log as safely as the store promises, then shows it to questions.
    fn write(&self, writer: &mut Writer, entries: &[LogEntry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (changes, head) = Log::appending(writer.head, entries);
        self.log.engine().apply(changes)?;
        match self.options.durability {
            Durability::Buffered => {}
            Durability::Flushed => self.log.engine().flush()?,
            Durability::Synced => {
                self.log.engine().sync()?;
                writer.synced = head;
            }
        }
        let mut names = self.names.write();
        let first = writer.head.seq + 1;
        let rows = (first..).zip(entries).map(|(seq, entry)| code(&entry.event, seq, &mut names)).collect();
        drop(names);
        let bytes = entries.iter().map(|entry| entry.event.size()).sum();
        writer.take_in(head, rows, bytes);
        self.publish(writer);
        self.wake_if_needed(writer);
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Pending>> {
        lock(&self.queue)
    }
}
