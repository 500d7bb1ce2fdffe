//! What customers are worth: what they have spent, and what they can be expected to spend.

mod bg_nbd;
mod gamma_gamma;
mod histories;
mod optimum;
mod plan;
mod report;
mod state;

pub use bg_nbd::{BgNbd, PurchaseHistory};
pub use gamma_gamma::GammaGamma;
pub use optimum::Optimum;
pub use plan::{LIMIT_HORIZON_UNITS, LifetimeValue, LifetimeValueBuilder};
pub use report::{
    CustomerLifetime, ExpectedValue, HistoricValue, LifetimeValueReport, LifetimeWarning, PurchaseFit, ValueFit,
};
