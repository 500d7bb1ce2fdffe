//! How often, how recently and for how much customers buy.

mod plan;
mod report;
mod rfm;
mod state;

pub use plan::{PurchaseCount, Purchases, PurchasesBuilder};
pub use report::{PurchaseCustomer, PurchaseValue, PurchasesReport, RepeatOutcome, RepeatPurchases};
pub use rfm::{Rfm, RfmSegment};
