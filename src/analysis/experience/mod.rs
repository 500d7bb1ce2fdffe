//! Customer experience: how satisfied customers say they are.

mod plan;
mod report;
mod state;

pub use plan::{Experience, ExperienceAnswers, ExperienceBuilder};
pub use report::{ExperienceAnswer, ExperienceReport, ExperienceRow, SurveyScore};
