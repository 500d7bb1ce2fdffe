//! Writing entries out as NDJSON, one a line, as [`import`](crate::import) takes them back: everything that the store
//! holds on one customer, or everything at all.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
//! use journeylog::{Entry, Event, export, import::NdjsonReader};
//!
//! let at = "2026-03-01T09:30:00Z".parse()?;
//! store.append(Event::at(at, "c-42", "product_view").property("campaign", "spring"))?;
//! let mut held = Vec::new();
//! assert_eq!(export::customer(&store.snapshot(), "c-42", &mut held)?, 1);
//! assert_eq!(
//!     String::from_utf8(held.clone())?,
//!     concat!(
//!         r#"{"customer":"c-42","touchpoint":"product_view","channel":"web","occurred_at":"2026-03-01T09:30:00Z","#,
//!         r#""properties":{"campaign":"spring"}}"#,
//!         "\n",
//!     ),
//! );
//! let entries: Vec<Entry> = NdjsonReader::new(&held[..]).collect::<Result<_, _>>()?;
//! assert_eq!(entries[0].customer().as_str(), "c-42");
//! # store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io::{BufWriter, Write};

use crate::{
    error::{Error, Result},
    store::{LoggedEvent, Snapshot},
};

/// So many sequences are looked up at a time.
const AT_ONCE: u64 = 4096;

/// Writes everything that is held on a customer, under all their ids, in the order of the journey, and says how many entries these
/// are: events, profiles, and links of ids. What the store itself adds, sequences and the times at which the log took them, is not written.
///
/// # Errors
/// `Damaged` or `Io` if the store could not be read, or the events not written; `Closed` if the store is closed.
pub fn customer(snapshot: &Snapshot, id: &str, out: impl Write) -> Result<u64> {
    let events = match snapshot.customer(id)? {
        Some(customer) => customer.logged()?,
        None => Vec::new(),
    };
    write(&events, &mut BufWriter::new(out))
}

/// Writes all entries in the order of their sequences, and says how many there are.
///
/// # Errors
/// Those of [`customer`].
pub fn all(snapshot: &Snapshot, out: impl Write) -> Result<u64> {
    let mut out = BufWriter::new(out);
    let (head, mut next, mut written) = (snapshot.head().0, 1, 0);
    while next <= head {
        let last = head.min(next.saturating_add(AT_ONCE - 1));
        written += write(&snapshot.logged(&(next..=last).collect::<Vec<_>>())?, &mut out)?;
        next = last.saturating_add(1);
    }
    Ok(written)
}

fn write(events: &[LoggedEvent], out: &mut BufWriter<impl Write>) -> Result<u64> {
    let mut line = Vec::new();
    for logged in events {
        line.clear();
        serde_json::to_writer(&mut line, &logged.clone().into_entry()).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        out.write_all(&line).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    Ok(events.len() as u64)
}

fn failed(error: std::io::Error) -> Error {
    Error::io("writing", "the export", error)
}
