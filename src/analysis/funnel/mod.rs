//! The funnel: how far customers come in a list of steps, and where they drop out.

mod chain;
mod plan;
mod report;
mod state;
mod tied;
mod untied;

pub use plan::{Exclusion, Funnel, FunnelBuilder, LIMIT_STEPS, Order, Ties};
pub use report::{FunnelCustomer, FunnelOutcome, FunnelReport, FunnelStep, ServedEvent};
