//! Whether feedback differs between channels: the report.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    EqualityTest, NotTested,
    equality::{Counts, kruskal_wallis, moments, welch},
    student::student,
};
use crate::{
    analysis::{EventBy, ExperienceAnswer, ExperienceAnswers, ExperienceReport},
    model::Survey,
    table::{Cell, Table, Tables, write_tables},
};

/// How far answers differ between groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConsistencyReport {
    /// The survey.
    pub of: Survey,
    /// What answers are told apart by.
    pub by: EventBy,
    /// Which answers count.
    pub answers: ExperienceAnswers,
    /// Each group with answers: stages in their order, others by name, what has no group last.
    pub groups: Vec<ConsistencyGroup>,
    /// Whether the means are equal; `None` if that was not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub welch: Option<EqualityTest>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_welch: Option<NotTested>,
    /// Whether no group ranks higher than others; `None` if that was not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kruskal_wallis: Option<EqualityTest>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_kruskal_wallis: Option<NotTested>,
    /// Each answer by customer and time, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<ExperienceAnswer>>,
}

/// The answers of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConsistencyGroup {
    /// The channel, touchpoint or stage; `None` for answers before any stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many answers.
    pub answers: u64,
    /// Their mean.
    pub mean: f64,
    /// The lower end of its interval at 95 %, cut off at the survey's scores; `None` of fewer than two answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Whether the tests are of it: it has enough answers.
    pub tested: bool,
    /// How many gave each score, from the survey's lowest on.
    pub counts: Vec<u64>,
}

/// What the scores of groups say.
pub(super) fn of(found: ExperienceReport, min_answers: u64) -> ConsistencyReport {
    // The plan asks for one survey, by something.
    let of = found.total.first().map_or(Survey::Nps, |score| score.survey);
    let by = found.by.unwrap_or(EventBy::Channel);
    let lowest = usize::from(*of.scores().start());
    let [least, most] = [of.scores().start(), of.scores().end()].map(|score| f64::from(*score));
    let mut groups = Vec::with_capacity(found.rows.len());
    let mut tested = Vec::new();
    for row in found.rows {
        // Scores counted from 0 on.
        let counts: Vec<u64> = std::iter::repeat_n(0, lowest).chain(row.score.counts.iter().copied()).collect();
        let (n, mean, variance) = moments(&counts);
        let half = student(n - 1.0).map(|quantile| quantile * (variance / n).sqrt());
        let is_tested = row.score.answers >= min_answers;
        groups.push(ConsistencyGroup {
            group: row.group,
            answers: row.score.answers,
            mean,
            low: half.map(|half| (mean - half).max(least)),
            high: half.map(|half| (mean + half).min(most)),
            tested: is_tested,
            counts: row.score.counts,
        });
        if is_tested {
            tested.push(counts);
        }
    }
    let tested: Vec<Counts<'_>> = tested.iter().map(Vec::as_slice).collect();
    let (welch, kruskal_wallis) = (welch(&tested), kruskal_wallis(&tested));
    ConsistencyReport {
        of,
        by,
        answers: found.answers,
        groups,
        welch: welch.ok(),
        no_welch: welch.err(),
        kruskal_wallis: kruskal_wallis.ok(),
        no_kruskal_wallis: kruskal_wallis.err(),
        listed: found.listed,
    }
}

fn reason(why: NotTested) -> &'static str {
    match why {
        NotTested::TooFewGroups => "not tested: fewer than two groups have enough answers",
        NotTested::NoVariance => "not tested: the answers of a group are all the same",
        NotTested::AllEqual => "not tested: all answers are the same",
    }
}

impl Tables for ConsistencyReport {
    fn tables(&self) -> Vec<Table> {
        let kind = match self.answers {
            ExperienceAnswers::All => "all answers",
            ExperienceAnswers::Latest => "the latest answer of each customer",
        };
        let title = format!(
            "Consistency of {} by {} ({kind}; * too few answers to be tested)",
            self.of.as_str(),
            self.by.label()
        );
        let mut table = Table::new(title, [self.by.label(), "answers", "mean", "95 % interval"]);
        for group in &self.groups {
            let mark = if group.tested { "" } else { " *" };
            let name = format!("{}{mark}", group.group.as_deref().unwrap_or("(none)"));
            let interval = group.low.zip(group.high).map(|(low, high)| format!("{low:.2} to {high:.2}"));
            let interval = interval.map_or(Cell::Empty, Cell::from);
            table.push([name.into(), group.answers.into(), format!("{:.2}", group.mean).into(), interval]);
        }
        let mut tests = Table::new("Are they equal?", ["test", "statistic", "degrees of freedom", "p"]);
        let mut test = |name: &str, test: Option<EqualityTest>, why: Option<NotTested>| {
            if let Some(test) = test {
                let within = test.degrees_within.map_or_else(String::new, |within| format!(" and {within:.1}"));
                let degrees = format!("{:.0}{within}", test.degrees);
                tests.push([
                    name.into(),
                    format!("{:.3}", test.statistic).into(),
                    degrees.into(),
                    format!("{:.4}", test.p_value).into(),
                ]);
            } else {
                let why = why.map_or(Cell::Empty, |why| reason(why).into());
                tests.push([name.into(), why, Cell::Empty, Cell::Empty]);
            }
        };
        test("Welch (means)", self.welch, self.no_welch);
        test("Kruskal-Wallis (ranks)", self.kruskal_wallis, self.no_kruskal_wallis);
        let mut tables = vec![table, tests];
        tables.extend(self.listed.as_deref().map(ExperienceAnswer::table));
        tables
    }
}

impl fmt::Display for ConsistencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
