//! Drivers: what goes with an outcome.

mod plan;
mod report;
mod state;

pub use plan::{DriverBy, Drivers, DriversBuilder, DriversOutcome};
pub use report::{Driver, DriverCase, DriverTest, DriversReport};
