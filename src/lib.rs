//! draft
mod analysis;
mod codec;
mod error;
mod journey;
mod model;
mod query;
mod store;
mod table;
pub use analysis::*;
pub use error::{Error, ErrorKind, InvalidPlan, InvalidValue, Result};
pub use journey::*;
pub use model::*;
pub use query::*;
pub use store::*;
pub use table::*;
