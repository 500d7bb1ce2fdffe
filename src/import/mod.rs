//! Reading events from files: NDJSON ([`NdjsonReader`]) and CSV ([`CsvMapping`]). Pure reading, without a store:
//! each reader is an iterator of entries, or of events, to be appended in batches of any size.
//!
//! A line that is no event is an [`ImportError::Bad`], and reading goes on with the next line. Whoever wants all or
//! nothing uses `?`; whoever wants the good ones looks at the error:
//!
//! ```
//! use journeylog::import::{ImportError, NdjsonReader};
//!
//! let file = br#"{"customer":"c-1","touchpoint":"home","occurred_at":"2026-03-01T09:30:00Z"}
//! {"customer":"c-1","touchpoint":"cart"}
//! {"customer":"c-1","touchpoint":"payment","occurred_at":"2026-03-01T09:40:00Z"}
//! "#;
//! let (mut events, mut bad) = (Vec::new(), Vec::new());
//! for line in NdjsonReader::new(&file[..]) {
//!     match line {
//!         Ok(event) => events.push(event),
//!         Err(ImportError::Bad(line)) => bad.push(line),
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! assert_eq!(events.len(), 2);
//! assert_eq!(bad[0].to_string(), "line 2: missing field `occurred_at`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "csv")]
mod cells;
#[cfg(feature = "csv")]
mod columns;
#[cfg(feature = "csv")]
mod csv;
mod lines;
#[cfg(feature = "csv")]
mod mapping;
mod ndjson;
#[cfg(feature = "csv")]
mod records;
#[cfg(feature = "csv")]
mod source;
#[cfg(feature = "csv")]
mod time_format;

use std::{fmt, io};

#[cfg(feature = "csv")]
pub use csv::CsvReader;
#[cfg(feature = "csv")]
pub use mapping::CsvMapping;
pub use ndjson::NdjsonReader;
#[cfg(feature = "csv")]
pub use source::{Delimiter, Source};
#[cfg(feature = "csv")]
pub use time_format::TimeFormat;

use crate::error::InvalidValue;

/// The most bytes of a line, or of a CSV record of several lines: 1 MiB. A longer one is a bad line.
pub const LIMIT_LINE_BYTES: usize = 1024 * 1024;

/// The most columns of a CSV file.
#[cfg(feature = "csv")]
pub const LIMIT_COLUMNS: usize = 16 * 1024;

/// A line that is no event: its number, why, and the line itself, to be kept and mended.
///
/// `Debug` and `Display` do not show the line, since it may name a person.
#[derive(Clone, PartialEq, Eq)]
pub struct BadLine {
    line: u64,
    reason: String,
    raw: Vec<u8>,
}

impl BadLine {
    fn new(line: u64, reason: impl Into<String>, raw: &[u8]) -> Self {
        Self { line, reason: reason.into(), raw: raw.to_vec() }
    }

    /// The number of the line in the file, from 1; of the first line, if a CSV record has several.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What is wrong with it: the field or column, and why. No cell or value is quoted.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The line as it stands in the file, without its end; of a line over [`LIMIT_LINE_BYTES`] its beginning only.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BadLine({}, {:?}, {} bytes)", self.line, self.reason, self.raw.len())
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadLine {}

/// Why no event came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// This line is no event. Reading goes on with the next one.
    #[error(transparent)]
    Bad(BadLine),
    /// The mapping does not fit the file. Nothing was read.
    #[error("the mapping does not fit the file")]
    Mapping(#[source] InvalidValue),
    /// The input could not be read, for instance because a compressed file is cut. Reading ends.
    #[error("reading failed after line {line}")]
    Io {
        /// The last line that was read; 0 if none was.
        line: u64,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
}

impl ImportError {
    /// The bad line, if that is what it is.
    pub fn bad_line(&self) -> Option<&BadLine> {
        if let Self::Bad(line) = self { Some(line) } else { None }
    }
}
