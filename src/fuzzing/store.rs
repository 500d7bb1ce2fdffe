//! A whole store against a list of entries.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, TimeDelta, Utc};

use super::bytes::Choices;
use crate::{
    Channel, CustomerId, Durability, Entry, Event, Feedback, Funnel, FunnelReport, JourneyModel, Journeys, Link, Money,
    ProfileUpdate, Query, Scope, Seq, Snapshot, StageCounts, StageCountsReport, Store, StoreOptions, Transitions,
    TransitionsReport, export, testing::oracle,
};

const CUSTOMERS: [&str; 6] = ["ann", "bob", "cem", "dora", "eve", "fay"];
const TOUCHPOINTS: [&str; 5] = ["ad_click", "product_view", "add_to_cart", "purchase", "support"];
/// So many operations are tried.
const OPERATIONS: usize = 40;

/// Bytes that are operations on a store, which must do what a list of events does.
pub fn store(data: &[u8], folder: &Path) {
    let folder = folder.join("fuzz.journey");
    let _ = std::fs::remove_dir_all(&folder);
    let mut choices = Choices(data);
    let durability = choices.of(&[Durability::Buffered, Durability::Flushed]);
    let options = StoreOptions::new().durability(durability).fresh_events(1 + choices.below(40));
    let mut store = options.open(&folder).unwrap();
    let mut model = Model::default();
    let mut snapshots: Vec<(Snapshot, usize)> = Vec::new();
    for _ in 0..OPERATIONS {
        if !choices.any_left() {
            break;
        }
        match choices.below(18) {
            0..=3 => model.append(&store, vec![event(&mut choices).into()]),
            16 | 17 => model.append(&store, (0..=choices.below(2)).map(|_| statement(&mut choices)).collect()),
            4..=6 => {
                let events = (0..=choices.below(24)).map(|_| event(&mut choices).into()).collect();
                model.append(&store, events);
            }
            7 => {
                let customer = choices.of(&CUSTOMERS);
                assert_eq!(store.erase(customer).unwrap().events, model.erase(customer));
            }
            8 => {
                let customer = choices.of(&CUSTOMERS);
                assert_eq!(store.readmit(customer).unwrap(), model.readmit(customer));
            }
            9 => store.settle().unwrap(),
            10 => {
                store.compact().unwrap();
                model.compact();
            }
            11 => snapshots.push((store.snapshot(), model.entries.len())),
            12 | 13 => {
                snapshots.clear();
                store.close().unwrap();
                let options = if choices.yes() { options.clone().rebuild_index() } else { options.clone() };
                store = options.open(&folder).unwrap();
                assert_eq!(store.open_report().mended, [""; 0]);
            }
            14 => model.check_customer(&store, choices.of(&CUSTOMERS)),
            _ => model.check_answers(store.query(), usize::MAX),
        }
        assert_eq!((store.head(), store.len()), (Seq(model.entries.len() as u64), model.left(usize::MAX).len() as u64));
    }
    model.check_answers(store.query(), usize::MAX);
    for (snapshot, entries) in &snapshots {
        model.check_answers(snapshot.query(), *entries);
    }
    CUSTOMERS.iter().for_each(|customer| model.check_customer(&store, customer));
    let mut exported = Vec::new();
    export::all(&store.snapshot(), &mut exported).unwrap();
    let lines = model.left(usize::MAX).into_iter().map(|entry| serde_json::to_string(&entry).unwrap() + "\n");
    assert_eq!(String::from_utf8(exported).unwrap(), lines.collect::<String>());
    drop(snapshots);
    store.close().unwrap();
}

fn at(hours: usize) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hours.try_into().unwrap())
}

fn event(choices: &mut Choices<'_>) -> Event {
    let customer = choices.of(&CUSTOMERS);
    let mut event = Event::at(at(choices.below(200)), customer, choices.of(&TOUCHPOINTS));
    let what = choices.below(256);
    if what & 1 != 0 {
        // An id is one customer's: it is free again when they were erased and compacted.
        event = event.id(format!("{customer}-{}", choices.below(8)));
    }
    if what & 2 != 0 {
        event = event.channel(choices.of(&[Channel::Email, Channel::Social]));
    }
    if what & 4 != 0 {
        event = event.value(Money::new(choices.of(&["0.01", "-5", "999999999999999999.999999999"]), "EUR").unwrap());
    }
    if what & 8 != 0 {
        event = event.feedback(Feedback::nps(10).unwrap().with_comment("fine").unwrap());
    }
    if what & 16 != 0 {
        event = event.stage(choices.of(&["retention", "advocacy", "unknown"]));
    }
    if what & 32 != 0 {
        event = event.property("campaign", choices.of(&["spring", "autumn"]));
    }
    if what & 64 != 0 {
        event = event.property("n", [1, -7, i64::MAX][choices.below(3)]);
    }
    if what & 128 != 0 {
        event = event.property("deep", crate::PropertyValue::from(serde_json::json!({"a": [choices.below(3)]})));
    }
    event.build().unwrap()
}

/// A link, an unlink or a profile.
fn statement(choices: &mut Choices<'_>) -> Entry {
    let (when, one, other) = (at(choices.below(200)), choices.of(&CUSTOMERS), choices.of(&CUSTOMERS));
    match Link::at(when, one, other) {
        Ok(link) if choices.yes() => link.into(),
        Ok(link) => Entry::Unlink(link),
        Err(_) => ProfileUpdate::at(when, one).set("n", choices.below(3) as u64).try_into().unwrap(),
    }
}

/// Whether an entry names an id.
fn names(entry: &Entry, id: &str) -> bool {
    let other = match entry {
        Entry::Link(link) | Entry::Unlink(link) => Some(link.to()),
        _ => None,
    };
    entry.customer().as_str() == id || other.is_some_and(|other| other.as_str() == id)
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    /// All entries in order; `None` where one was erased.
    entries: Vec<Option<Entry>>,
    ids: BTreeSet<String>,
    /// Whose events are not taken.
    erased: BTreeSet<&'static str>,
    /// Whose ids are still known though they were erased.
    pending: BTreeSet<&'static str>,
    /// How many events each erasure took, all times together.
    taken: std::collections::BTreeMap<&'static str, u64>,
}

impl Model {
    fn append(&mut self, store: &Store, entries: Vec<Entry>) {
        let receipt = store.append_batch(entries.clone()).unwrap();
        let (mut duplicates, mut erased, mut stored) = (Vec::new(), Vec::new(), 0);
        for (place, entry) in entries.into_iter().enumerate() {
            let id = entry.as_event().and_then(Event::id).map(|id| id.as_str().to_owned());
            if self.erased.iter().any(|id| names(&entry, id)) {
                erased.push(place);
            } else if id.is_some_and(|id| !self.ids.insert(id)) {
                duplicates.push(place);
            } else {
                self.entries.push(Some(entry));
                stored += 1;
            }
        }
        assert_eq!((receipt.stored(), receipt.duplicates(), receipt.erased()), (stored, &duplicates[..], &erased[..]));
    }

    /// All ids of the customer who has one.
    fn ids_of(&self, id: &str) -> Vec<&'static str> {
        let linked = oracle::customers(&self.left(usize::MAX), None, None);
        let customer = |id: &str| linked.get(&CustomerId::new(id).unwrap()).map_or(id, CustomerId::as_str).to_owned();
        CUSTOMERS.into_iter().filter(|other| customer(other) == customer(id)).collect()
    }

    fn erase(&mut self, customer: &str) -> u64 {
        let ids = self.ids_of(customer);
        for id in &ids {
            // A link of two who are erased together is that of the one who is linked.
            let is_theirs = |entry: &&Entry| {
                let of = entry.customer().as_str();
                of == *id || names(entry, id) && !ids.contains(&of)
            };
            *self.taken.entry(id).or_default() += self.entries.iter().flatten().filter(is_theirs).count() as u64;
            self.erased.insert(id);
            self.pending.insert(id);
        }
        for entry in &mut self.entries {
            drop(entry.take_if(|entry| ids.iter().any(|id| names(entry, id))));
        }
        ids.iter().map(|id| self.taken[id]).sum()
    }

    fn readmit(&mut self, customer: &'static str) -> bool {
        // What is to come back must be gone from the disk first.
        if self.pending.contains(customer) {
            self.compact();
        }
        self.erased.remove(customer)
    }

    fn compact(&mut self) {
        for customer in std::mem::take(&mut self.pending) {
            self.ids.retain(|id| !id.starts_with(customer));
        }
    }

    /// What is left of the first so many entries.
    fn left(&self, entries: usize) -> Vec<Entry> {
        self.entries.iter().take(entries).flatten().cloned().collect()
    }

    fn check_answers(&self, query: Query, entries: usize) {
        let entries = self.left(entries);
        let expected = answers(Journeys::of(entries.clone()).unwrap().query());
        assert_eq!(answers(query), expected);
        // The oracle tries every order of events at one instant.
        let events = oracle::resolve(&entries, None, Some(at(150)));
        if events.len() <= 6 {
            let (model, scope) = (JourneyModel::standard(), Scope::all().as_of(at(150)));
            oracle::funnel(&events, &funnel(), &model, &scope).agrees(&expected.0).unwrap();
            assert_eq!(oracle::transitions(&events, &model, (&model, &scope)), expected.1);
        }
    }

    fn check_customer(&self, store: &Store, customer: &str) {
        let (ids, left) = (self.ids_of(customer), self.left(usize::MAX));
        let mut events: Vec<Event> = left.iter().filter_map(Entry::as_event).cloned().collect();
        events.retain(|event| ids.contains(&event.customer().as_str()));
        events.sort_by_key(Event::occurred_at);
        let found = store.customer(customer).unwrap().map_or(Vec::new(), |found| found.events().unwrap());
        assert_eq!(found.into_iter().map(|logged| logged.event).collect::<Vec<_>>(), events);
        let id = CustomerId::new(customer).unwrap();
        let here = Journeys::of(left).unwrap();
        assert_eq!(answers(store.query().customers([id.clone()])), answers(here.query().customers([id])));
    }
}

fn funnel() -> Funnel {
    let steps = ["product_view", "add_to_cart", "purchase"];
    let breakdown = crate::Breakdown::property("campaign");
    Funnel::ordered(steps).within(TimeDelta::hours(72)).breakdown(breakdown).build().unwrap()
}

/// Answers without sequences, which are others where entries were erased; with an end of observation that does not
/// depend on who was.
fn answers(query: Query) -> (FunnelReport, TransitionsReport, StageCountsReport) {
    let stages = StageCounts::of(JourneyModel::standard()).list_customers();
    query.as_of(at(150)).run((&funnel(), &Transitions::of(JourneyModel::standard()).list_customers(), &stages)).unwrap()
}
