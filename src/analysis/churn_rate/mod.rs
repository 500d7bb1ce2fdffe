//! How many customers stay and how many are lost, from period to period.

mod plan;
mod report;
mod state;

pub use plan::{ChurnBy, ChurnRate, ChurnRateBuilder, LIMIT_INACTIVE_PERIODS};
pub use report::{ChurnCustomer, ChurnFigures, ChurnGroup, ChurnOutcome, ChurnPeriod, ChurnRateReport, CustomerChurn};
