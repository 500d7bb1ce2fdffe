//! Attribution: which touches conversions are credited to.

mod chain;
mod finish;
mod moves;
mod plan;
mod report;
mod serving;
mod share;
mod state;

pub use plan::{Attribution, AttributionBuilder, AttributionBy, AttributionModel, LIMIT_MARKOV_ORDER};
pub use report::{
    AttributionChain, AttributionCredit, AttributionCustomer, AttributionMove, AttributionMoveTo,
    AttributionNullJourney, AttributionReport, AttributionRow, AttributionUntouched,
};
