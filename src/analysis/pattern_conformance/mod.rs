//! Conformance to a pattern: how far actual journeys are a designed sequence of events.

mod plan;
mod report;
mod state;

pub use plan::PatternConformance;
pub use report::{
    CustomerStepDeviation, DesignedStep, PatternConformanceCustomer, PatternConformanceReport, StepDeviation,
};
