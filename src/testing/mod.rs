//! Seeded worlds of events, naive oracles, and a checker for the laws of an analysis (feature `testing`).
//!
//! For tests, benches and fuzzing, ours and yours: [`World`] makes events from a seed, [`oracle`] answers the built-in
//! questions slowly and plainly from their definitions, [`check_laws`] tries the laws of [`Bound`](crate::Bound) on a
//! plan of your own, and [`shrink`] makes a world in which something fails as small as it can be.
//!
//! ```
//! use journeylog::{EventBuilder, Funnel, JourneyModel, Journeys, Scope, testing};
//!
//! let events = testing::World::new(7).customers(2).events(8).make();
//! let funnel = Funnel::ordered(["product_view", "add_to_cart"]).build()?;
//! let truth = testing::oracle::funnel(&events, &funnel, &JourneyModel::standard(), &Scope::all());
//! let report = Journeys::of(events.iter().cloned().map(EventBuilder::from))?.query().run(&funnel)?;
//! truth.agrees(&report)?;
//! testing::check_laws(&funnel, &events)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests want to stop at once, and oracles to read as the definitions do"
)]

mod activity_oracle;
mod attribution_oracle;
mod breakdown_oracle;
mod calendar;
mod chain_oracle;
mod churn_oracle;
mod conditions;
mod conformance_oracle;
mod consistency_oracle;
mod conversion_oracle;
mod drivers_oracle;
mod dwell_oracle;
mod experience_oracle;
mod funnel_oracle;
mod identity_oracle;
mod laws;
mod lifetime_oracle;
mod paths_oracle;
mod pattern_conformance_oracle;
mod pattern_oracle;
mod purchases_oracle;
mod retention_oracle;
mod segment_oracle;
mod sessions_oracle;
mod stages_oracle;
mod story;
mod world;

pub use conditions::any_condition;
pub use laws::{BrokenLaw, check_arrival, check_bystander, check_laws, check_names};
pub use segment_oracle::any_segment;
pub use world::{World, as_json, differences, differences_beyond_rounding, shrink};

/// The built-in questions, answered slowly and plainly from their definitions. For small worlds only.
pub mod oracle {
    pub use super::activity_oracle::{lifecycle, stickiness};
    pub use super::attribution_oracle::{AttributionTruth, attribution};
    pub use super::churn_oracle::churn_rate;
    pub use super::conformance_oracle::conformance;
    pub use super::consistency_oracle::consistency;
    pub use super::conversion_oracle::conversion_rate;
    pub use super::drivers_oracle::drivers;
    pub use super::dwell_oracle::dwell;
    pub use super::experience_oracle::experience;
    pub use super::funnel_oracle::{FunnelTruth, funnel};
    pub use super::identity_oracle::{customers, resolve};
    pub use super::lifetime_oracle::{Bought, bought};
    pub use super::paths_oracle::paths;
    pub use super::pattern_conformance_oracle::pattern_conformance;
    pub use super::pattern_oracle::pattern;
    pub use super::purchases_oracle::purchases;
    pub use super::retention_oracle::retention;
    pub use super::segment_oracle::{in_segment, members, with_names};
    pub use super::sessions_oracle::sessions;
    pub use super::stages_oracle::{stages, transitions};
    pub use super::story::{holding, seen};
}
