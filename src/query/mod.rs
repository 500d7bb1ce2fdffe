//! Asking: a scope and plans in, reports out. The only room that sees both the questions and the store.

mod customer;
mod journeys;
mod query;
mod question;

pub use journeys::Journeys;
pub use query::Query;
pub use question::{Answer, LIMIT_QUESTION_BYTES, LIMIT_QUESTIONS, Question};
