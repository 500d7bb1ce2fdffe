//! The store: the log, which is the truth, and the journey index, which is derived from it. It knows no question.

mod ahead;
mod append;
mod backup;
mod carving;
mod coming;
mod copying;
mod customer;
mod cut;
mod engine;
mod erase;
mod erasures;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod faults;
mod files;
mod filter;
mod folder_lock;
#[cfg(test)]
mod formats;
mod fresh;
mod from_index;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod id_run;
mod ids;
mod index;
#[cfg(all(test, shuttle))]
mod interleavings;
mod kept_columns;
mod locks;
mod log;
mod log_folder;
mod lookup;
mod maintain;
mod mark;
#[cfg(test)]
mod memory;
mod merging;
mod named_segments;
mod names_file;
mod options;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod promises;
mod queue;
mod receipt;
#[cfg(test)]
mod refusing;
mod reopening;
mod replay;
mod retention;
mod rewriting;
mod salvage;
mod scan;
mod segment;
mod segment_writer;
mod shared;
#[cfg(test)]
mod simulated_disk;
mod sled_engine;
mod sled_file;
mod snapshot;
mod step;
mod store;
mod sums;
mod survey;
mod sync;
mod tail;
mod tiers;
mod verify;
#[cfg(test)]
mod watched;
mod witness;
mod work;

pub use append::{LIMIT_BATCH_BYTES, LIMIT_BATCH_EVENTS};
pub use backup::Backup;
pub use customer::{Customer, JourneyEvent};
pub use erasures::Erasure;
pub use named_segments::{LIMIT_NAMED_SEGMENT_BYTES, LIMIT_NAMED_SEGMENTS};
pub use options::{Durability, StoreOptions};
pub use receipt::Receipt;
pub use retention::Retention;
pub use salvage::Salvage;
pub(crate) use scan::Scan;
pub use snapshot::{LoggedEvent, Snapshot};
pub use store::{OpenReport, Store, StoreStats};
pub use verify::{Problem, Progress, StorePart, Verification, Verify};
