//! Which journeys hold a pattern, and how often.

mod plan;
mod report;
mod search;
mod state;

pub use plan::PatternMatches;
pub use report::{PatternCustomer, PatternEvent, PatternMatch, PatternReport};
