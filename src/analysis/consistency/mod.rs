//! Consistency: whether feedback differs between channels.

mod equality;
mod plan;
mod report;
mod student;

pub use equality::{EqualityTest, NotTested};
pub use plan::{Consistency, ConsistencyBuilder};
pub use report::{ConsistencyGroup, ConsistencyReport};
