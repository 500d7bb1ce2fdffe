//! Sessions: events of a customer that follow each other closely.

mod plan;
mod report;
mod state;

pub use plan::{LIMIT_SESSION_TOUCHPOINTS, Sessions, SessionsBuilder};
pub use report::{
    CustomerSession, SessionCustomer, SessionSize, SessionTouchpoint, SessionTouchpoints, SessionsPeriod,
    SessionsReport,
};
