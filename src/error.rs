//! What can go wrong, in two families: a value or plan that cannot be ([`InvalidValue`],
//! [`InvalidPlan`]; pure, no input or output), and a store that cannot do what was asked ([`Error`]).

use std::{fmt, io, path::PathBuf};

/// The result of everything that touches a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A value that its type refuses: an id that is too long, a score out of range, a date that does not exist.
///
/// The text names the field, never the content, so that it can be logged without showing a person's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidValue {
    field: String,
    reason: String,
}

impl InvalidValue {
    /// Says that `field` was refused, and why.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The field or part that was refused, such as `customer` or `feedback.nps`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Why it was refused.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The same refusal, seen from the thing that holds the field: `amount` becomes `value.amount`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

/// What serde says, without the value it says it of: `invalid type: string "Ann", expected u8` names Ann.
pub(crate) fn without_value(text: String) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ").filter(|_| text.starts_with("invalid ")) else {
        return text;
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
}

/// A question that cannot be asked: an unknown key, a funnel without steps, a window below zero.
///
/// Plans are checked when they are built, so a built plan never fails for its own fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct InvalidPlan {
    at: String,
    reason: String,
}

impl InvalidPlan {
    /// Says which part of a plan, such as `funnel.steps[2]`, is impossible, and why.
    pub fn new(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into() }
    }

    /// The part of the plan, such as `funnel.steps[2]`.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Why it is impossible.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<InvalidValue> for InvalidPlan {
    fn from(value: InvalidValue) -> Self {
        Self { at: value.field, reason: value.reason }
    }
}

/// Why a store could not do what was asked. [`kind`](Error::kind) tells the cases apart.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// As a program that ends with it prints it: what happened, and because of what.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ", because {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The cases of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The folder holds something that is not a journeylog store. Choose another folder.
    #[error("{} is not a journeylog store: {reason}", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// The store was written by a later release. Open it with that release.
    #[error("{what} has format {found}, this release reads up to {supported}")]
    NewerFormat {
        /// The file or record.
        what: String,
        /// The version found.
        found: u32,
        /// The highest version this release reads.
        supported: u32,
    },
    /// A backup cannot be made in this folder. Choose one that is missing or empty, outside the store's own.
    #[error("{} cannot take a backup: {reason}", path.display())]
    BackupFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process, or another handle of this one, has the store open. Close it there, or share that handle.
    #[error("{} is open in another process, or by another handle of this one", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Bytes on disk are not what was written. `what` names the file or the sequences.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The file, block or sequences.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log ends before entries that it had acknowledged. They are gone from this folder: restore a backup,
    /// or open with [`StoreOptions::accept_loss`](crate::StoreOptions::accept_loss) to go on with what is left.
    #[error("the log ends at sequence {found}, but entries up to {acknowledged} had been acknowledged")]
    Lost {
        /// The last sequence the store is known to have held.
        acknowledged: u64,
        /// The last sequence found.
        found: u64,
    },
    /// No space is left on the disk, or none of its owner's share. What was acknowledged is safe, and the index answers on;
    /// whole events may not be readable meanwhile. Free some space: whoever appends, erases, syncs or settles next goes on,
    /// without opening the store again, unless what was only [`Buffered`](crate::Durability::Buffered) would be lost.
    /// A store that is to be opened needs some space too.
    #[error("no space left on the disk while {action}")]
    Full {
        /// What was being done.
        action: &'static str,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// An earlier write or sync failed, so what is on disk is not known: the store takes no more entries.
    /// What was acknowledged is safe; close it and open it again. If the index could not be written, or the disk was full,
    /// appending goes on by itself when it can.
    #[error("the store takes no more entries since an earlier write failed: {reason}")]
    Poisoned {
        /// The earlier failure.
        reason: String,
    },
    /// The store has been closed. Open it again.
    #[error("the store is closed")]
    Closed,
    /// The operating system refused something.
    #[error("{action} {} failed", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// The storage engine failed in a way that it should not.
    #[error("the storage engine failed while {action}: {reason}")]
    Engine {
        /// What was being done.
        action: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// A documented limit was passed.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What was asked for.
        found: u64,
        /// The most there may be.
        limit: u64,
    },
    /// A value that its type refuses.
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    /// A question that cannot be asked.
    #[error(transparent)]
    InvalidPlan(#[from] InvalidPlan),
}

impl Error {
    /// Which case this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// True if the store is open elsewhere.
    pub fn is_locked(&self) -> bool {
        matches!(*self.0, ErrorKind::Locked { .. })
    }

    /// True if bytes on disk are damaged or missing.
    pub fn is_corrupt(&self) -> bool {
        matches!(*self.0, ErrorKind::Damaged { .. } | ErrorKind::Lost { .. })
    }

    /// True if a documented limit was passed.
    pub fn is_limit(&self) -> bool {
        matches!(*self.0, ErrorKind::Limit { .. })
    }

    /// True if the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(*self.0, ErrorKind::Full { .. })
    }

    /// True if the caller's value or plan was refused and nothing was done.
    pub fn is_invalid(&self) -> bool {
        matches!(*self.0, ErrorKind::InvalidValue(_) | ErrorKind::InvalidPlan(_))
    }

    /// An error of the operating system, told apart by its kind.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return ErrorKind::Full { action, source }.into();
        }
        ErrorKind::Io { action, path: path.into(), source }.into()
    }

    /// The same for others whom it keeps from what they want to do; what has no copy is put in words.
    pub(crate) fn again(&self, action: &'static str) -> Self {
        let copy =
            |error: &io::Error| error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        match self.kind() {
            ErrorKind::Full { source, .. } => ErrorKind::Full { action, source: copy(source) }.into(),
            ErrorKind::Io { action, path, source } => {
                ErrorKind::Io { action, path: path.clone(), source: copy(source) }.into()
            }
            ErrorKind::Poisoned { reason } => ErrorKind::Poisoned { reason: reason.clone() }.into(),
            _ => ErrorKind::Poisoned { reason: format!("{action}: {self}") }.into(),
        }
    }

    /// Damage found in `what`.
    pub(crate) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        ErrorKind::Damaged { what: what.into(), reason: reason.into() }.into()
    }
}

impl<E: Into<ErrorKind>> From<E> for Error {
    fn from(kind: E) -> Self {
        Self(Box::new(kind.into()))
    }
}

impl From<std::convert::Infallible> for InvalidValue {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Refuses a question that takes more memory than it may.
pub(crate) fn check_memory(found: usize, limit: usize) -> Result<()> {
    if found > limit {
        let what = "bytes of memory of one question (ask a smaller scope, or raise Query::memory)";
        return Err(ErrorKind::Limit { what, found: found as u64, limit: limit as u64 }.into());
    }
    Ok(())
}
