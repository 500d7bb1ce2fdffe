//! Retention: who came back, by cohort and period.

mod plan;
mod report;
mod state;

pub use plan::{CohortRetention, CohortRetentionBuilder, Cohorts, Criterion, LIMIT_RETENTION_PERIODS};
pub use report::{
    CohortRetentionReport, RetentionAverage, RetentionCell, RetentionCohort, RetentionColumn, RetentionCustomer,
};
