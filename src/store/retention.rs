//! How long a store keeps what it holds: rules that are applied each time the log is written anew.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Store,
    engine::{Change, Engine},
    shared::Shared,
};
use crate::{
    codec::{Content, LogEntry, frame, unframe},
    error::{Error, InvalidValue, Result},
    journey::ReservedNumbers,
    model::{Feedback, Micros, OF_PROFILE, check_name},
};

/// Where the rules stand in the log's engine.
const KEY: [u8; 1] = [b'r'];
pub(super) const KIND: [u8; 4] = *b"JLRT";
const VERSION: u32 = 1;
const WHAT: &str = "the record of the rules of retention";
/// Rules are applied no more often than this by themselves, in microseconds.
const DAY: i64 = 86_400_000_000;

/// How long events are kept, and parts of them: after so much time since they occurred they are removed, as if their
/// customers had been [erased](Store::erase).
///
/// ```
/// use chrono::TimeDelta;
/// use journeylog::Retention;
/// let rules = Retention::new()
///     .events(TimeDelta::days(730))?
///     .comments(TimeDelta::days(90))?
///     .property("email", TimeDelta::days(30))?;
/// assert_eq!(rules.of_property("email"), Some(TimeDelta::days(30)));
/// assert_eq!(rules.of_property("campaign"), None);
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention(Ages);

/// The same as it stands in the log: microseconds, each more than none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ages {
    events: Option<i64>,
    comments: Option<i64>,
    properties: BTreeMap<String, i64>,
}

/// The rules, and when they were set and last applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) retention: Retention,
    set_at: Option<Micros>,
    applied_at: Option<Micros>,
}

impl Retention {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes events when they are older than this.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is no positive length of time.
    pub fn events(mut self, age: TimeDelta) -> Result<Self, InvalidValue> {
        self.0.events = Some(micros("events", age)?);
        Ok(self)
    }

    /// Removes the comments of answers when they are older than this; scores stay.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is no positive length of time.
    pub fn comments(mut self, age: TimeDelta) -> Result<Self, InvalidValue> {
        self.0.comments = Some(micros("comments", age)?);
        Ok(self)
    }

    /// Removes a property from events that are older than this.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is no positive length of time, or if no property can have that name.
    pub fn property(mut self, name: impl Into<String>, age: TimeDelta) -> Result<Self, InvalidValue> {
        let name = name.into();
        check_name("property", &name)?;
        self.0.properties.insert(name, micros("property", age)?);
        Ok(self)
    }

    /// How long events are kept; `None` if for ever.
    pub fn of_events(&self) -> Option<TimeDelta> {
        self.0.events.map(TimeDelta::microseconds)
    }

    /// How long comments are kept; `None` if as long as their events.
    pub fn of_comments(&self) -> Option<TimeDelta> {
        self.0.comments.map(TimeDelta::microseconds)
    }

    /// How long a property is kept; `None` if as long as its events.
    pub fn of_property(&self, name: &str) -> Option<TimeDelta> {
        self.0.properties.get(name).copied().map(TimeDelta::microseconds)
    }

    /// The least age at which anything is removed.
    fn least(&self) -> Option<i64> {
        self.0.events.into_iter().chain(self.0.comments).chain(self.0.properties.values().copied()).min()
    }

    /// Takes out of an entry what is not kept until now; true if there was anything.
    pub(super) fn apply(&self, entry: &mut LogEntry, now: Micros) -> bool {
        let Content::Event(event) = &mut entry.content else { return false };
        let age = now.0.saturating_sub(event.occurred_at.0);
        let is_over = |limit: &i64| age > *limit;
        // Who is one customer with whom, and what is known of them, is no event; but what is known has rules for properties too.
        if event.is_reserved() {
            let before = event.properties.len();
            let rule = |name: &str| name.strip_prefix(OF_PROFILE).and_then(|name| self.0.properties.get(name));
            event.properties.retain(|name, _| !rule(name).is_some_and(is_over));
            let is_changed = event.properties.len() < before;
            if is_changed && event.properties.is_empty() {
                *entry = LogEntry::erased();
            }
            return is_changed;
        }
        if self.0.events.as_ref().is_some_and(is_over) {
            *entry = LogEntry::erased();
            return true;
        }
        let mut is_changed = false;
        let has_comment = event.feedback.as_ref().is_some_and(|answer| answer.comment().is_some());
        if has_comment && self.0.comments.as_ref().is_some_and(is_over) {
            event.feedback = event.feedback.take().map(Feedback::without_comment);
            is_changed = true;
        }
        if !self.0.properties.is_empty() {
            let before = event.properties.len();
            event.properties.retain(|name, _| !self.0.properties.get(name).is_some_and(is_over));
            is_changed |= event.properties.len() < before;
        }
        is_changed
    }
}

fn micros(field: &str, age: TimeDelta) -> Result<i64, InvalidValue> {
    let micros = age.num_microseconds().filter(|micros| *micros > 0);
    micros.ok_or_else(|| InvalidValue::new(field, "are kept for a positive length of time, of at most 292,000 years"))
}

impl Rules {
    /// Reads them from the log's engine.
    pub(super) fn read(engine: &dyn Engine) -> Result<Self> {
        engine.get(&KEY)?.map_or(Ok(Self::default()), |bytes| Self::decode(&bytes))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let payload = unframe(WHAT, KIND, VERSION, bytes)?;
        let (ages, set_at, applied_at): (Ages, Option<Micros>, Option<Micros>) =
            postcard::from_bytes(payload).map_err(|error| Error::damaged(WHAT, error.to_string()))?;
        let all = ages.events.iter().chain(&ages.comments).chain(ages.properties.values());
        if all.copied().any(|age| age <= 0) {
            return Err(Error::damaged(WHAT, "one is for no length of time"));
        }
        Ok(Self { retention: Retention(ages), set_at, applied_at })
    }

    /// Checks that they are as new as those that a witness saw.
    pub(super) fn check(&self, witnessed: Option<Micros>) -> Result<()> {
        if self.set_at >= witnessed {
            return Ok(());
        }
        let there = if self.set_at.is_none() { "missing" } else { "older than those that had been acknowledged" };
        Err(Error::damaged(WHAT, format!("they are {there}")))
    }

    /// When they were set.
    pub(super) fn set_at(&self) -> Option<Micros> {
        self.set_at
    }

    /// Takes rules that were found in a damaged file, if they are newer.
    pub(super) fn take_found(&mut self, bytes: &[u8]) {
        if let Ok(found) = Self::decode(bytes) {
            self.take_newer(found);
        }
    }

    /// Takes other rules of the same store, if they are newer; true if they are.
    pub(super) fn take_newer(&mut self, other: Self) -> bool {
        let is_newer = (other.set_at, other.applied_at) > (self.set_at, self.applied_at);
        if is_newer {
            *self = other;
        }
        is_newer
    }

    /// Takes the newest that were found in a damaged file, if they are newer, and says what came of it.
    pub(super) fn salvage(&mut self, found: Self, witnessed: Option<Micros>) -> String {
        let are_found = self.take_newer(found);
        let may_be_older = "; whether they are the newest is not known: look at them before the store is compacted";
        let may_be_older = if witnessed.is_some() { "" } else { may_be_older };
        if self.check(witnessed).is_err() {
            "the rules of retention that were set last were not found: set them again".to_owned()
        } else if are_found {
            format!("rules of retention were found in the log's file{may_be_older}")
        } else if *self == Self::default() {
            "no rules of retention were found: if there were any, set them again".to_owned()
        } else {
            format!("there are rules of retention{may_be_older}")
        }
    }

    pub(super) fn put(&self) -> Change {
        let payload = postcard::to_stdvec(&(&self.retention.0, self.set_at, self.applied_at)).unwrap_or_default();
        Change::Put(KEY.to_vec(), frame(KIND, VERSION, &payload))
    }

    /// The same in a copy of the log to which these rules were applied, if they are still the same.
    #[must_use]
    pub(super) fn applied(&self, retention: &Retention, now: Micros) -> Self {
        if self.retention != *retention || retention.least().is_none() {
            return self.clone();
        }
        Self { applied_at: Some(now), ..self.clone() }
    }

    /// Whether they are to be applied, if the store has an event of an age at which something is removed: a day after the last
    /// time when it is left alone, after two days in any case.
    pub(super) fn are_due(&self, is_idle: bool, first: impl FnOnce() -> Option<Micros>, now: Micros) -> bool {
        let Some(least) = self.retention.least() else { return false };
        let wait = if is_idle { DAY } else { 2 * DAY };
        let since = self.applied_at.or(self.set_at.filter(|_| !is_idle));
        let may = since.is_none_or(|since| now.0.saturating_sub(since.0) > wait);
        may && first().is_some_and(|first| now.0.saturating_sub(first.0) > least)
    }
}

impl Shared {
    /// The time of the first event in files, and if all are to be looked at, of all.
    pub(super) fn first_time(&self, all: bool) -> Option<Micros> {
        let view = self.tail().view();
        let first = |range: Option<(Micros, Micros)>| range.map(|(first, _)| first);
        let reserved = ReservedNumbers::of(&self.names);
        // Links and profiles alone are seldom a reason to write the log anew, and would be one every day.
        let sealed = view.segments.iter().filter_map(|segment| segment.first_event(reserved).ok().flatten());
        let fresh = view.fresh.iter().filter(|_| all).filter_map(|columns| first(columns.time_range()));
        sealed.chain(fresh).min()
    }
}

impl Store {
    /// Sets how long the store keeps what it holds. What is older is removed each time the store is
    /// [compacted](Self::compact): when that is called, and by itself once a day, when no event was appended for ten
    /// seconds (and then looked for once an hour), after two days in any case, if the store has anything that old.
    /// Until then it is in the answers. Afterwards it is in none, and in no file, nor is the id of a customer of whom
    /// nothing is left; other events keep their sequences. A snapshot taken before still answers with old events, and so holds
    /// their files, until it is dropped; not with those of customers of whom nothing is left, and whole events, which it reads
    /// from the log, only as far as they are still there. Rules for properties are of those of profiles too, from the time since when
    /// they are set on; links of ids, and profiles without such a rule, stay until their customer is erased. The rules are kept in the store, power-safe when this
    /// returns.
    ///
    /// What counts is when an event occurred: one that comes late may be removed at the next compaction. Event ids that were
    /// removed are forgotten too, so that an old event that comes again is stored again, until the next compaction.
    ///
    /// # Errors
    /// `Limit` if the rules take more than 24 KiB, which is some ninety properties with the longest of names;
    /// `Closed` after a close; `Poisoned`, `Full` or `Io` if the rules could not be written: then those before hold or these, as
    /// [`retention`](Self::retention) says, and after the store was opened again those or these.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// use chrono::{TimeDelta, Utc};
    /// use journeylog::{Event, Retention};
    /// store.append(Event::at(Utc::now() - TimeDelta::days(40), "c-42", "product_view"))?;
    /// store.append(Event::at(Utc::now(), "c-42", "payment"))?;
    ///
    /// store.set_retention(Retention::new().events(TimeDelta::days(30))?)?;
    /// assert_eq!(store.len(), 2);
    /// store.compact()?;
    /// assert_eq!(store.len(), 1);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_retention(&self, retention: Retention) -> Result<()> {
        let shared = self.go_on()?;
        let writer = shared.writer();
        writer.check()?;
        shared.check_place()?;
        let mut rules = shared.rules();
        // Later than those before, also if the clock was set back: by that it is known which are the newest.
        let later = rules.set_at.map_or(Micros::MIN, |before| Micros(before.0.saturating_add(1)));
        let next = Rules { retention, set_at: Some(later.max(Utc::now().into())), applied_at: None };
        let engine = shared.log.engine();
        engine.apply(vec![next.put()])?;
        engine.sync()?;
        *rules = next;
        shared.witness().note_rules(rules.set_at())?;
        drop((rules, writer));
        shared.work.appended(false);
        Ok(())
    }

    /// How long the store keeps what it holds.
    pub fn retention(&self) -> Retention {
        self.shared().rules().retention.clone()
    }

    /// When the rules of [`retention`](Self::retention) were last applied; `None` if not since they were set.
    pub fn retention_applied_at(&self) -> Option<DateTime<Utc>> {
        self.shared().rules().applied_at.map(Micros::to_datetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Backup, Event, StoreOptions, Verify,
        error::ErrorKind,
        store::{
            mark::Mark,
            sled_engine::SledEngine,
            witness::{Orders, Witness},
        },
    };

    #[test]
    fn a_clock_that_is_set_back_makes_no_older_rules() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let rules = |days| Retention::new().events(TimeDelta::days(days)).unwrap();
        // As if they had been set a year from now.
        let ahead = Micros::from(Utc::now() + TimeDelta::days(365));
        store.shared().rules().set_at = Some(ahead);
        store.shared().witness().note_rules(Some(ahead)).unwrap();
        store.set_retention(rules(7)).unwrap();
        assert!(store.verify(Verify::Quick).unwrap().is_sound());
        store.close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.retention(), rules(7));
        store.close().unwrap();
    }

    /// The record of the rules is small, and may stand at the end of sled's file: what follows nothing is read over.
    #[test]
    fn rules_that_are_lost_alone_are_missed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.append(Event::at(DateTime::UNIX_EPOCH, "ann", "view")).unwrap();
        let rules = |days| Retention::new().events(TimeDelta::days(days)).unwrap();
        store.set_retention(rules(40_000)).unwrap();
        let first = store.shared().rules().put();
        store.set_retention(rules(50_000)).unwrap();
        let last = store.shared().rules().put();
        store.close().unwrap();
        let put = |change: Change| {
            let log = Mark::read(dir.path()).unwrap().unwrap().log(dir.path());
            let (engine, _) = SledEngine::open(&log).unwrap();
            engine.apply(vec![change]).unwrap();
            engine.close().unwrap();
        };
        for (lost, says) in [(Change::Remove(KEY.to_vec()), "missing"), (first, "older")] {
            put(lost.clone());
            let is_said = |error: &Error| {
                let is_damaged = matches!(error.kind(), ErrorKind::Damaged { what, .. } if what == WHAT);
                is_damaged && error.to_string().contains(says)
            };
            assert!(is_said(&Store::open(dir.path()).unwrap_err()), "{says}");
            assert!(is_said(&Backup::check(dir.path()).unwrap_err()), "{says}");
            put(last.clone());
            let store = Store::open(dir.path()).unwrap();
            store.shared().log.engine().apply(vec![lost.clone()]).unwrap();
            let found = store.verify(Verify::Quick).unwrap();
            assert!(found.problems.iter().any(|problem| problem.what == WHAT), "{found}");
            store.close().unwrap();
        }
        // Whoever accepts the loss goes on with what is there, and sets them again.
        let accepting = StoreOptions::new().accept_loss();
        let store = accepting.open(dir.path()).unwrap();
        assert!(store.open_report().mended.iter().any(|note| note.contains(WHAT)), "{:?}", store.open_report());
        assert_eq!(store.retention(), rules(40_000));
        store.set_retention(rules(50_000)).unwrap();
        store.close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.retention(), rules(50_000));
        store.close().unwrap();
        // Whoever accepts that events are lost too is told of both.
        put(Change::Remove(KEY.to_vec()));
        put(Change::Remove(crate::store::log::key(1)));
        let store = accepting.open(dir.path()).unwrap();
        let mended = store.open_report().mended.join("\n");
        assert!(mended.contains(WHAT) && mended.contains("sequence"), "{mended}");
        store.close().unwrap();
    }

    /// As after an older release, or a crash before the witness was written.
    #[test]
    fn orders_that_were_not_witnessed_are_at_the_next_open() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.append(Event::at(DateTime::UNIX_EPOCH, "ann", "view")).unwrap();
        store.set_retention(Retention::new().events(TimeDelta::days(40_000)).unwrap()).unwrap();
        store.erase("bob").unwrap();
        store.close().unwrap();
        let witness = || Witness::open(dir.path()).unwrap();
        let (head, orders) = (witness().head().unwrap(), witness().orders());
        assert!(orders.erased == 1 && orders.rules_set_at.is_some());
        Witness::forgotten(dir.path()).set(head).unwrap();
        assert_eq!(witness().orders(), Orders::default());
        Store::open(dir.path()).unwrap().close().unwrap();
        assert_eq!(witness().orders(), orders);
    }
}
