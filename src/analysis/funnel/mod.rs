//! The funnel: how far customers come in a list of steps, and where they drop out.

mod answer;
mod any_order;
mod attempts;
mod bottleneck;
mod breakdown;
mod builder;
mod by_level;
mod chain;
mod check;
mod choose;
mod each;
mod finish;
mod group_by;
mod groups;
mod hold;
mod levels;
mod optional;
mod pending;
mod plan;
mod preset;
mod report;
mod state;
mod tables;
mod tied;
mod tolerant;
mod untied;
mod waiting;

pub use bottleneck::FunnelBottleneck;
pub use breakdown::{Breakdown, BreakdownBy, BreakdownFrom, LIMIT_GROUPS, Touch, ValueBands};
pub use builder::FunnelBuilder;
#[cfg(feature = "testing")]
pub(crate) use plan::Excluded;
pub use plan::{Count, Exclusion, ExclusionEffect, Funnel, LIMIT_STEPS, Order, Ties};
pub use preset::Preset;
pub use report::{
    FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther, FunnelOutcome,
    FunnelPeriod, FunnelReport, FunnelStep, ServedEvent,
};
