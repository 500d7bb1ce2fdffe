//! Customers' events in order, as columns of numbers: what questions run on, wherever the events come from.

mod batch;
mod bitmaps;
mod chunk;
mod code;
mod column;
mod columns;
mod identity;
mod journey;
mod name_table;
mod names;
mod order;
mod packed;
mod places;
mod profile;
mod property_column;
mod rows;
mod step;

pub use batch::JourneyBatch;
pub(crate) use batch::JourneyPlace;
pub(crate) use bitmaps::{Bitmaps, ByEight, Flood, LIMIT_BITMAPS, bits_of, first_within, highest, last_within, places};
pub(crate) use chunk::{Chunk, Part, Source, Span, merge, positions};
pub(crate) use code::code;
pub(crate) use column::{At, Column, Number};
pub(crate) use columns::{Columns, NO_STAGE, Needs, Properties, Row};
pub(crate) use identity::{Identities, ReservedNumbers, Said, event_times};
pub(crate) use journey::{History, MatchedRoom, NO_VALUE, Picked, Readings};
pub use journey::{Journey, Matched};
pub(crate) use name_table::{NameTable, hash_name};
pub use names::{ChannelNo, CustomerNo, Names, PropertyNo, TouchpointNo};
pub(crate) use names::{NameKind, Tables};
pub(crate) use packed::{AT_ONCE, Header, Packed, pack};
pub(crate) use places::Places;
pub(crate) use profile::Profiles;
pub(crate) use property_column::PropertyColumn;
pub(crate) use rows::{PlainRow, Rows};
pub(crate) use step::Step;
