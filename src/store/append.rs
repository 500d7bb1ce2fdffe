//! Appending: threads that append at the same time share one batch and one sync.

use std::mem;

use super::{
    Durability, Receipt, Store,
    coming::Batch,
    ids::fingerprint,
    log::Log,
    queue::{Answer, Pending},
    shared::{Shared, Writer},
};
use crate::{
    codec::LogEntry,
    error::{ErrorKind, InvalidValue, Result},
    model::{Entry, Event, Micros},
};

/// The most events of one batch.
pub const LIMIT_BATCH_EVENTS: usize = 100_000;
/// The most bytes of one batch, as the limit of an event counts them.
pub const LIMIT_BATCH_BYTES: usize = 16 << 20;

impl Store {
    /// Appends one entry: an [`Event`], a [`Link`](crate::Link), a [`ProfileUpdate`](crate::ProfileUpdate), or an [`Entry`], which may
    /// be any of these. What `Ok` guarantees is said by the store's [`Durability`].
    ///
    /// An event that is not valid is refused. One whose id the log has already is not stored, nor is one of a customer who
    /// was [erased](Self::erase), and the receipt says so.
    ///
    /// # Errors
    /// `InvalidValue` if the event is refused; `Closed` after a close; `Poisoned` if an earlier write failed; `Damaged` or
    /// `Io` if known ids could not be looked up, and then nothing was done; `Full`, `Io` or `Engine` if this write failed: it is not acknowledged then, and may or may not be there when the store is opened again.
    pub fn append<E>(&self, entry: E) -> Result<Receipt>
    where
        E: TryInto<Entry>,
        E::Error: Into<InvalidValue>,
    {
        let event = entry.try_into().map_err(Into::into)?.into_logged();
        let bytes = event.size();
        self.shared().append(vec![unrecorded(event)], bytes)
    }

    /// Appends several entries, all or none.
    ///
    /// # Errors
    /// Those of [`append`](Self::append), and `Limit` if there are more than [`LIMIT_BATCH_EVENTS`] events or
    /// [`LIMIT_BATCH_BYTES`] bytes.
    pub fn append_batch<E: Into<Entry>>(&self, batch: impl IntoIterator<Item = E>) -> Result<Receipt> {
        let batch = batch.into_iter();
        let mut entries = Vec::with_capacity(batch.size_hint().0.min(LIMIT_BATCH_EVENTS));
        let mut bytes = 0;
        for entry in batch {
            let event = entry.into().into_logged();
            bytes += event.size();
            entries.push(unrecorded(event));
            check_limit("events of one batch (append several)", entries.len(), LIMIT_BATCH_EVENTS)?;
            check_limit("bytes of one batch (append several)", bytes, LIMIT_BATCH_BYTES)?;
        }
        self.shared().append(entries, bytes)
    }
}

fn check_limit(what: &'static str, found: usize, limit: usize) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(ErrorKind::Limit { what, found: found as u64, limit: limit as u64 }.into())
}

/// An event on its way into the log, which will say when it took it.
fn unrecorded(event: Event) -> LogEntry {
    LogEntry::event(Micros::MIN, event)
}

/// What is written as one batch.
#[derive(Default)]
struct Group {
    entries: Vec<LogEntry>,
    bytes: usize,
    /// Ids that the log did not have.
    new_ids: Vec<u128>,
}

impl Shared {
    fn append(&self, entries: Vec<LogEntry>, bytes: usize) -> Result<Receipt> {
        // Before all else: what needs no writing would succeed.
        self.check_open()?;
        let count = entries.len() as u64;
        let gather = self.options.durability != Durability::Buffered;
        let answer = self.queue.append(entries, bytes, gather, |waiting| {
            let mut writer = self.writer();
            let mut answers = Vec::with_capacity(waiting.len());
            let mut group = Vec::new();
            let mut size = 0;
            for pending in waiting {
                if size > 0 && size + pending.bytes > LIMIT_BATCH_BYTES {
                    self.commit(&mut writer, mem::take(&mut group), &mut answers);
                    size = 0;
                }
                size += pending.bytes;
                group.push(pending);
            }
            self.commit(&mut writer, group, &mut answers);
            answers
        });
        self.wait_for_room(count);
        answer
    }

    /// Commits several appends as one batch, with an answer for each.
    fn commit(&self, writer: &mut Writer, appends: Vec<Pending>, answers: &mut Vec<Answer>) {
        let refusal = self.reopen_if_full(writer).err();
        let recorded_at = writer.now();
        let mut group = Group::default();
        let mut accepted = Vec::with_capacity(appends.len());
        for Pending { entries, bytes, reply } in appends {
            let sorted = match &refusal {
                Some(error) => Err(error.again("appending")),
                None => self.sort_out(writer, entries, bytes, &mut group),
            };
            match sorted {
                Ok(receipt) => accepted.push((receipt, reply)),
                Err(error) => answers.push((reply, Err(error))),
            }
        }
        group.entries.iter_mut().for_each(|entry| entry.recorded_at = recorded_at);
        let Group { entries, bytes, new_ids } = group;
        let written = self.write(writer, &entries, bytes);
        if written.is_err() {
            new_ids.into_iter().for_each(|id| writer.ids.forget(id));
        }
        let others = written.as_ref().err().map(|error| error.again("appending"));
        let mut first = written.err();
        for (receipt, reply) in accepted {
            let again = || others.as_ref().map(|error| error.again("appending"));
            answers.push((reply, first.take().or_else(again).map_or(Ok(receipt), Err)));
        }
    }

    /// Sorts duplicates out, and adds the other entries to the group. If that fails, nothing was added.
    fn sort_out(
        &self,
        writer: &mut Writer,
        mut entries: Vec<LogEntry>,
        bytes: usize,
        group: &mut Group,
    ) -> Result<Receipt> {
        writer.check()?;
        self.coming.check()?;
        self.check_room()?;
        let ids_before = group.new_ids.len();
        let erased = self.find_erased(&entries);
        let duplicates = match find_duplicates(writer, &entries, &erased, &mut group.new_ids) {
            Ok(duplicates) => duplicates,
            Err(error) => {
                group.new_ids.drain(ids_before..).for_each(|id| writer.ids.forget(id));
                return Err(error);
            }
        };
        let mut sizes = bytes;
        if !duplicates.is_empty() || !erased.is_empty() {
            let mut left = [&duplicates, &erased].map(|positions| positions.iter().peekable());
            let mut position = 0;
            entries.retain(|entry| {
                let is_new = left.iter_mut().all(|left| left.next_if_eq(&&position).is_none());
                position += 1;
                sizes -= if is_new { 0 } else { entry.size() };
                is_new
            });
        }
        let first = writer.head.seq + group.entries.len() as u64 + 1;
        let stored = entries.len() as u64;
        group.bytes += sizes;
        if group.entries.is_empty() {
            group.entries = entries;
        } else {
            group.entries.append(&mut entries);
        }
        Ok(Receipt { first, stored, duplicates, erased, durability: self.options.durability })
    }

    /// The positions of events of customers who were erased.
    fn find_erased(&self, entries: &[LogEntry]) -> Vec<usize> {
        let erasures = self.erasures();
        if erasures.is_empty() {
            return Vec::new();
        }
        let is_erased = |entry: &LogEntry| {
            let mut ids = entry.as_event().into_iter().flat_map(Event::ids_named);
            // Whoever has a name here is not erased.
            ids.any(|id| self.names.find_customer(id).is_none() && erasures.contains(id))
        };
        (0..).zip(entries).filter(|(_, entry)| is_erased(entry)).map(|(position, _)| position).collect()
    }

    /// Writes a batch to the log as safely as the store promises, then shows it to questions.
    fn write(&self, writer: &mut Writer, entries: &[LogEntry], bytes: usize) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (changes, coded, head) = Log::appending(writer.head, entries, &mut writer.cutter);
        self.log.engine().apply(changes)?;
        match self.options.durability {
            Durability::Buffered => {}
            Durability::Flushed => self.log.engine().flush()?,
            Durability::Synced => {
                self.log.engine().sync()?;
                writer.synced = head;
            }
        }
        let first = mem::replace(&mut writer.head, head).seq + 1;
        self.take_in(Batch { first, coded, head, bytes });
        self.work.appended(false);
        Ok(())
    }
}

/// The positions of events whose ids are known, but for those that are left out anyway; the other ids are noted.
fn find_duplicates(
    writer: &mut Writer,
    entries: &[LogEntry],
    left_out: &[usize],
    new_ids: &mut Vec<u128>,
) -> Result<Vec<usize>> {
    let mut duplicates = Vec::new();
    let mut left_out = left_out.iter().peekable();
    for (position, entry) in entries.iter().enumerate() {
        let is_left_out = left_out.next_if_eq(&&position).is_some();
        let Some(id) = entry.id().filter(|_| !is_left_out) else { continue };
        let id = fingerprint(id);
        if writer.ids.contains(id)? {
            duplicates.push(position);
        } else {
            writer.ids.insert(id);
            new_ids.push(id);
        }
    }
    Ok(duplicates)
}
