//! Who is one customer, by trying all that was said of ids, and what was known of each: slow, and easy to check by reading.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::model::{CustomerId, Entry, Event, Link, ProfileUpdate, ProfileWhen, Seq};

/// The events that a question sees at a sequence and at the end of observation, each under the id that its customer goes by.
/// Sequences are given in the order of the entries, from 1. What stands outside of that is still there, in its place, so that
/// every event keeps its sequence relative to the others.
pub fn resolve(entries: &[Entry], known_at: Option<Seq>, as_of: Option<DateTime<Utc>>) -> Vec<Event> {
    let names = customers(entries, known_at, as_of);
    let customer_of = |id: &CustomerId| names.get(id).unwrap_or(id).clone();
    let mut updates: Vec<(DateTime<Utc>, u64, CustomerId, &ProfileUpdate)> = Vec::new();
    for (seq, entry) in (1..).zip(entries) {
        if let Entry::Profile(update) = entry {
            updates.push((update.occurred_at(), seq, customer_of(update.customer()), update));
        }
    }
    updates.retain(|(at, seq, ..)| {
        known_at.is_none_or(|known_at| *seq <= known_at.get()) && as_of.is_none_or(|as_of| *at <= as_of)
    });
    updates.sort_by_key(|(at, seq, ..)| (*at, *seq));
    let event = |entry: &Entry| {
        let mut event = entry.as_event()?.clone();
        event.customer = customer_of(&event.customer);
        for (at, _, customer, update) in updates.iter().filter(|(_, _, customer, _)| *customer == event.customer) {
            debug_assert_eq!(*customer, event.customer);
            for (name, value) in update.properties() {
                event.properties.insert(told_profile(name, ProfileWhen::Latest), value.clone());
                if *at <= event.occurred_at() {
                    event.properties.insert(told_profile(name, ProfileWhen::Then), value.clone());
                }
            }
        }
        Some(event)
    };
    entries.iter().filter_map(event).collect()
}

/// Under which name an event of the oracle has a property of its customer's profile.
pub(super) fn told_profile(name: &str, when: ProfileWhen) -> String {
    let when = if when == ProfileWhen::Then { "then" } else { "latest" };
    format!("\u{3}{when} {name}")
}

/// For each id that is linked to another, the id that its customer goes by.
pub fn customers(
    entries: &[Entry],
    known_at: Option<Seq>,
    as_of: Option<DateTime<Utc>>,
) -> BTreeMap<CustomerId, CustomerId> {
    let links = links(entries, known_at, as_of);
    let ids: BTreeSet<&CustomerId> = links.iter().flat_map(|link| [link.from(), link.to()]).collect();
    let mut names = BTreeMap::new();
    for id in ids {
        // Whoever can be reached from here over links, whichever way they go.
        let mut group = BTreeSet::from([id]);
        loop {
            let before = group.len();
            for link in &links {
                if group.contains(link.from()) || group.contains(link.to()) {
                    group.extend([link.from(), link.to()]);
                }
            }
            if group.len() == before {
                break;
            }
        }
        let is_end = |id: &&&CustomerId| links.iter().all(|link| link.from() != **id);
        let name = group.iter().find(is_end).or_else(|| group.iter().next());
        names.extend(name.map(|name| (id.clone(), (*name).clone())));
    }
    names
}

/// The links that hold: of what is said of two ids the latest.
fn links(entries: &[Entry], known_at: Option<Seq>, as_of: Option<DateTime<Utc>>) -> Vec<Link> {
    let mut said: Vec<(DateTime<Utc>, u64, &Link, bool)> = Vec::new();
    for (seq, entry) in (1..).zip(entries) {
        let (link, holds) = match entry {
            Entry::Link(link) => (link, true),
            Entry::Unlink(link) => (link, false),
            _ => continue,
        };
        let is_known = known_at.is_none_or(|known_at| seq <= known_at.get());
        if is_known && as_of.is_none_or(|as_of| link.occurred_at() <= as_of) {
            said.push((link.occurred_at(), seq, link, holds));
        }
    }
    said.sort_by_key(|(at, seq, ..)| (*at, *seq));
    let is_of =
        |a: &Link, b: &Link| (a.from(), a.to()) == (b.from(), b.to()) || (a.from(), a.to()) == (b.to(), b.from());
    let is_last = |place: usize, link: &Link| said.iter().skip(place + 1).all(|(_, _, later, _)| !is_of(link, later));
    let last = said.iter().enumerate().filter(|(place, (_, _, link, holds))| *holds && is_last(*place, link));
    last.map(|(_, (_, _, link, _))| (*link).clone()).collect()
}
