//! The funnel: how far customers come in a list of steps, and where they drop out.

mod any_order;
mod attempts;
mod breakdown;
mod chain;
mod check;
mod choose;
mod each;
mod finish;
mod group_by;
mod groups;
mod hold;
mod optional;
mod plan;
mod report;
mod state;
mod tied;
mod untied;
mod waiting;

pub use breakdown::{Breakdown, BreakdownBy, BreakdownFrom, LIMIT_GROUPS, Touch, ValueBands};
#[cfg(feature = "testing")]
pub(crate) use plan::Excluded;
pub use plan::{Count, Exclusion, ExclusionEffect, Funnel, FunnelBuilder, LIMIT_STEPS, Order, Ties};
pub use report::{
    FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther, FunnelOutcome,
    FunnelPeriod, FunnelReport, FunnelStep, ServedEvent,
};
