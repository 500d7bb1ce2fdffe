//! How satisfied customers say they are: the report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ExperienceAnswers;
use crate::{
    analysis::{EventBy, Rate, listed::when, rate::Z},
    model::{CustomerId, Feedback, Period, Seq, Survey},
    table::{Cell, Table, Tables, write_tables},
};

/// Scores of surveys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperienceReport {
    /// Which answers count.
    pub answers: ExperienceAnswers,
    /// What answers are told apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<EventBy>,
    /// The calendar period by which they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Each survey that was asked for, over all its answers.
    pub total: Vec<SurveyScore>,
    /// Each period, group and survey with answers: periods in order; stages in that of the model, other groups by name; what has no group
    /// last. Empty if answers are not told apart.
    pub rows: Vec<ExperienceRow>,
    /// Each answer that counts in the total or in a row, by customer and time, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<ExperienceAnswer>>,
}

/// The score of one survey in a period and a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperienceRow {
    /// The first moment of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<DateTime<Utc>>,
    /// False if observation ends within that period.
    pub finished: bool,
    /// The stage, touchpoint or channel; `None` for answers before any stage, or if these are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The survey and its score.
    pub score: SurveyScore,
}

/// What the answers to one survey say. All is 0 if there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SurveyScore {
    /// The survey.
    pub survey: Survey,
    /// How many answers.
    pub answers: u64,
    /// The score: NPS from -100 to 100; of CSAT and CES the percentage of favourable answers.
    pub score: f64,
    /// Its standard error, in the same unit.
    pub standard_error: f64,
    /// The lower end of its interval at 95 %.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Favourable answers, of all: promoters (9 and 10), 4 and 5 of CSAT, 5 to 7 of CES.
    pub favourable: Rate,
    /// Detractors (0 to 6) of NPS; 0 for other surveys.
    pub detractors: u64,
    /// The mean of all answers.
    pub mean: f64,
    /// The standard error of the mean; `None` of fewer than two answers.
    pub mean_error: Option<f64>,
    /// How many gave each score, from the survey's lowest on.
    pub counts: Vec<u64>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperienceAnswer {
    /// Whose it is.
    pub customer: CustomerId,
    /// When it was given.
    pub answered_at: DateTime<Utc>,
    /// The survey and the score. What the customer wrote stands in the log only:
    /// [`Snapshot::events_at`](crate::Snapshot::events_at) reads it.
    pub feedback: Feedback,
    /// Its stage, touchpoint or channel, if answers are told apart by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its place in the log.
    pub seq: Seq,
    /// Whether the customer gave the survey a later answer in a later period: it counts in the row of its own period, and not in
    /// the total. Only where the latest answers are asked for, by period.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

impl SurveyScore {
    /// Of so many answers of each score, from 0 on.
    pub(super) fn new(survey: Survey, by_score: &[u64]) -> Self {
        let counts: Vec<u64> =
            survey.scores().map(|score| by_score.get(usize::from(score)).copied().unwrap_or_default()).collect();
        let scored = || survey.scores().zip(&counts);
        let count = |wanted: &dyn Fn(u8) -> bool| scored().filter(|(score, _)| wanted(*score)).map(|(_, n)| n).sum();
        let favourable: u64 = count(&|score| survey.is_favourable(score));
        let detractors: u64 = count(&|score| survey.is_detractor(score));
        let answers: u64 = counts.iter().sum();
        let rate = Rate::new(favourable, answers);
        // Of no answers all is 0.
        let n = answers.max(1) as f64;
        let (p, d) = (favourable as f64 / n, detractors as f64 / n);
        let score = 100.0 * (p - d);
        let standard_error = 100.0 * ((p + d - (p - d) * (p - d)).max(0.0) / n).sqrt();
        let (low, high) = match survey {
            _ if answers == 0 => (0.0, 0.0),
            Survey::Nps => ((score - Z * standard_error).max(-100.0), (score + Z * standard_error).min(100.0)),
            _ => (100.0 * rate.low, 100.0 * rate.high),
        };
        let mean = scored().map(|(score, n)| f64::from(score) * *n as f64).sum::<f64>() / n;
        let squares: f64 = scored().map(|(score, n)| (f64::from(score) - mean).powi(2) * *n as f64).sum();
        let mean_error = (answers > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Self {
            survey,
            answers,
            score,
            standard_error,
            low,
            high,
            favourable: rate,
            detractors,
            mean,
            mean_error,
            counts,
        }
    }
}

impl ExperienceAnswer {
    /// Answers as a table.
    pub(in crate::analysis) fn table(listed: &[Self]) -> Table {
        let mut table = Table::new("Answers", ["customer", "answered", "survey", "score", "group"]);
        for one in listed {
            let group = one.group.as_deref().map_or(Cell::Empty, Cell::from);
            let (survey, score) = (one.feedback.survey().as_str(), u64::from(one.feedback.score()));
            table.push([one.customer.as_str().into(), when(one.answered_at), survey.into(), score.into(), group]);
        }
        table
    }
}

impl ExperienceReport {
    /// The score of a survey over all its answers, if it was asked for.
    pub fn score(&self, survey: Survey) -> Option<&SurveyScore> {
        self.total.iter().find(|score| score.survey == survey)
    }
}

const COLUMNS: [&str; 8] =
    ["survey", "answers", "score", "standard error", "95 % interval", "favourable", "detractors", "mean"];

/// The cells of a score.
fn cells(score: &SurveyScore) -> [Cell; 8] {
    let is_there = score.answers > 0;
    let number = |number: String| if is_there { Cell::Text(number) } else { Cell::Empty };
    [
        score.survey.as_str().into(),
        score.answers.into(),
        number(format!("{:.1}", score.score)),
        number(format!("{:.1}", score.standard_error)),
        number(format!("{:.1} to {:.1}", score.low, score.high)),
        Cell::share(score.favourable.share),
        if score.survey == Survey::Nps { score.detractors.into() } else { Cell::Empty },
        number(format!("{:.2}", score.mean)),
    ]
}

impl Tables for ExperienceReport {
    fn tables(&self) -> Vec<Table> {
        let kind = match self.answers {
            ExperienceAnswers::All => "all answers",
            ExperienceAnswers::Latest => "the latest answer of each customer",
        };
        let mut total = Table::new(format!("Experience ({kind})"), COLUMNS);
        self.total.iter().for_each(|score| total.push(cells(score)));
        let mut tables = vec![total];
        if self.by.is_some() || self.period.is_some() {
            let group = self.by.map(EventBy::label);
            let title = if self.period.is_some() { "By period (* not over)" } else { "By group" };
            let columns = self.period.map(|_| "period").into_iter().chain(group).chain(COLUMNS);
            let mut table = Table::new(title, columns);
            for row in &self.rows {
                let mark = if row.finished { "" } else { " *" };
                let period = self.period.zip(row.period);
                let period = period.map(|(period, start)| format!("{}{mark}", period.label(start.into())).into());
                let group = group.map(|_| row.group.clone().unwrap_or_else(|| "(none)".to_owned()).into());
                table.push(period.into_iter().chain(group).chain(cells(&row.score)));
            }
            tables.push(table);
        }
        tables.extend(self.listed.as_deref().map(ExperienceAnswer::table));
        tables
    }
}

impl fmt::Display for ExperienceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 5 promoters, 3 passives and 2 detractors: 30, with an error of 100 sqrt((0.5 + 0.2 - 0.09) / 10) = 24.698. Its mean is
    /// (5 x 10 + 3 x 8 + 2 x 1) / 10 = 7.6, its variance (5 x 2.4^2 + 3 x 0.4^2 + 2 x 6.6^2) / 9 = 12.933.
    #[test]
    fn nps_by_hand() {
        let score = SurveyScore::new(Survey::Nps, &[0, 2, 0, 0, 0, 0, 0, 0, 3, 0, 5]);
        assert_eq!((score.answers, score.detractors, score.favourable.some), (10, 2, 5));
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-3;
        assert!(near(score.score, 30.0) && near(score.standard_error, 24.698), "{score:?}");
        assert!(near(score.low, -18.408) && near(score.high, 78.408), "{score:?}");
        assert!(near(score.mean, 7.6) && near(score.mean_error.unwrap(), 1.1372), "{score:?}");
        let one = SurveyScore::new(Survey::Nps, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!((one.score, one.standard_error, one.mean_error), (100.0, 0.0, None));
        let all = SurveyScore::new(Survey::Nps, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((all.low, all.high), (-100.0, 100.0));
    }

    #[test]
    fn csat_and_ces_by_hand() {
        let csat = SurveyScore::new(Survey::Csat, &[0, 1, 1, 1, 1, 1]);
        assert_eq!((csat.score, csat.mean, csat.detractors, csat.counts.len()), (40.0, 3.0, 0, 5));
        assert!((csat.standard_error - 21.909).abs() < 1e-3 && (csat.low - 11.762).abs() < 1e-3, "{csat:?}");
        let ces = SurveyScore::new(Survey::Ces, &[0, 1, 0, 0, 1, 1, 0, 1]);
        assert_eq!((ces.score, ces.answers, ces.mean), (50.0, 4, 4.25));
        let none = SurveyScore::new(Survey::Ces, &[]);
        assert_eq!(
            (none.answers, none.score, none.standard_error, none.high, none.favourable.share),
            (0, 0.0, 0.0, 0.0, None)
        );
    }
}
