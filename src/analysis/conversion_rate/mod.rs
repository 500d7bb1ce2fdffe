//! Conversion, click-through, win and abandonment rates: who follows an exposure with the wanted event.

mod matching;
mod plan;
mod report;
mod state;

pub use plan::{ConversionCount, ConversionKind, ConversionRate, ConversionRateBuilder};
pub use report::{ConversionFigures, ConversionOutcome, ConversionRateReport, ConversionRow, ConversionTrial};
