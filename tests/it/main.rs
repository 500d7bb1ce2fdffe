//! What journeylog promises, tried from outside: one file for each promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::needless_pass_by_value,
    reason = "a test stops at once, and exact numbers are compared exactly"
)]

mod activity;
mod api;
mod attribution;
mod breakdown;
mod churn_rate;
mod conditions;
mod conformance;
mod consent;
mod consistency;
mod conversion_rate;
mod drivers;
mod dwell;
mod experience;
mod extremes;
mod funnel;
mod funnel_tolerance;
mod funnel_value;
mod given;
mod golden;
mod json_plans;
mod laws;
mod lifetime;
mod limits;
mod listed;
mod paths;
mod pattern;
mod pattern_conformance;
mod privacy;
mod profile;
mod purchases;
mod questions_page;
mod retention;
mod scope;
mod segments;
mod sessions;
mod stages;
mod transitions;
mod window_funnel;
