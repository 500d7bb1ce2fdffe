//! Customers' events in order, as columns of numbers: what questions run on, wherever the events come from.

mod code;
mod columns;
mod journey;
mod merge;
mod names;
mod property_column;
mod rows;

pub(crate) use code::code;
pub(crate) use columns::{Columns, NO_STAGE, Needs, Row};
pub use journey::Journey;
pub(crate) use journey::Readings;
pub(crate) use merge::{Part, merge};
pub use names::{ChannelNo, CustomerNo, Names, PropertyNo, TouchpointNo};
pub(crate) use names::{NameKind, Tables, hash_name};
pub(crate) use property_column::PropertyColumn;
pub(crate) use rows::{PlainRow, Rows};
