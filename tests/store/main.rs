//! What the store promises, one file per promise.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::format_push_string,
    clippy::verbose_bit_mask,
    clippy::missing_panics_doc,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::semicolon_if_nothing_returned,
    missing_docs,
    reason = "a test stops at once, and its numbers are small"
)]

mod append;
mod backup;
mod compact;
mod erase;
mod export;
mod formats;
mod identity;
mod index;
mod model;
mod private;
mod readers;
mod recovery;
mod retention;
mod segments;
mod settle;
mod snapshot;
mod soak;
mod verify;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{Durability, Event, EventBuilder, Store, StoreOptions};

/// A moment, in seconds after the beginning of 2026.
pub fn at(seconds: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

pub fn event(customer: &str, touchpoint: &str, seconds: i64) -> EventBuilder {
    Event::at(at(seconds), customer, touchpoint)
}

pub fn built(customer: impl std::fmt::Display, touchpoint: &str, seconds: i64) -> Event {
    event(&customer.to_string(), touchpoint, seconds).build().unwrap()
}

/// A store that seals after a few events, so that small tests reach files, merges and folding.
pub fn small_seals(folder: &Path) -> Store {
    StoreOptions::new().fresh_events(50).durability(Durability::Flushed).open(folder).unwrap()
}
