//! Scores of surveys, answer by answer.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    calendar::{end_of, moment, start_of},
    conditions::holds,
    story::Stories,
};
use crate::{
    Condition, CustomerId, Event, EventBy, Experience, ExperienceAnswer, ExperienceAnswers, ExperienceReport,
    ExperienceRow, Feedback, JourneyModel, Micros, Period, Rate, Scope, Seq, Survey, SurveyScore,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    surveys: Vec<Survey>,
    when: Option<Condition>,
    answers: ExperienceAnswers,
    by: Option<EventBy>,
    period: Option<Period>,
    #[serde(default)]
    customers: bool,
}

struct Given<'a> {
    customer: &'a CustomerId,
    at: i64,
    seq: u64,
    survey: Survey,
    score: u8,
    group: Option<String>,
    /// The place of the stage, if that is the group.
    stage: Option<usize>,
    period: Option<i64>,
}

/// Each answer is worth 100, 0 or -100; the error is that of their mean.
fn score(survey: Survey, answers: &[&Given<'_>]) -> SurveyScore {
    let n = answers.len() as f64;
    let count = |wanted: &dyn Fn(u8) -> bool| answers.iter().filter(|answer| wanted(answer.score)).count() as u64;
    let is_favourable = |score: u8| match survey {
        Survey::Nps => score == 9 || score == 10,
        Survey::Csat => score == 4 || score == 5,
        Survey::Ces => [5, 6, 7].contains(&score),
    };
    let is_detractor = |score: u8| survey == Survey::Nps && score < 7;
    let worth =
        |score: u8| 100.0 * (f64::from(u8::from(is_favourable(score))) - f64::from(u8::from(is_detractor(score))));
    let mean_of = |value: &dyn Fn(u8) -> f64| {
        if answers.is_empty() { 0.0 } else { answers.iter().map(|answer| value(answer.score)).sum::<f64>() / n }
    };
    let whole = mean_of(&worth);
    let error = if answers.is_empty() { 0.0 } else { (mean_of(&|score| (worth(score) - whole).powi(2)) / n).sqrt() };
    let favourable = Rate::new(count(&is_favourable), answers.len() as u64);
    let (low, high) = match survey {
        _ if answers.is_empty() => (0.0, 0.0),
        Survey::Nps => {
            ((whole - 1.959_963_984_540_054 * error).max(-100.0), (whole + 1.959_963_984_540_054 * error).min(100.0))
        }
        _ => (100.0 * favourable.low, 100.0 * favourable.high),
    };
    let mean = mean_of(&f64::from);
    let spread: f64 = answers.iter().map(|answer| (f64::from(answer.score) - mean).powi(2)).sum();
    SurveyScore {
        survey,
        answers: answers.len() as u64,
        score: whole,
        standard_error: error,
        low,
        high,
        favourable,
        detractors: count(&is_detractor),
        mean,
        mean_error: (answers.len() > 1).then(|| (spread / (n - 1.0)).sqrt() / n.sqrt()),
        counts: survey.scores().map(|score| count(&|other| other == score)).collect(),
    }
}

/// What the report of [`Experience`] must say, but for rounding.
pub fn experience(events: &[Event], plan: &Experience, model: &JourneyModel, scope: &Scope) -> ExperienceReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let stories = Stories::of(events, model, scope);
    let mut given = Vec::new();
    for (customer, story) in &stories.by_customer {
        for told in story.iter().filter(|told| stories.counts(told.at)) {
            let Some(feedback) = told.event.feedback() else { continue };
            let is_asked = said.surveys.contains(&feedback.survey());
            let meets = said.when.as_ref().is_none_or(|when| holds(when, told.event, told.stage, model));
            if !is_asked || !meets {
                continue;
            }
            let until =
                |at: i64| story.iter().filter(move |other| other.at <= at).filter_map(|other| other.stage).next_back();
            let stage = match said.by {
                Some(EventBy::Stage) => until(told.at - 1),
                Some(EventBy::StageAfter) => until(told.at),
                _ => None,
            };
            given.push(Given {
                customer,
                at: told.at,
                seq: told.seq,
                survey: feedback.survey(),
                score: feedback.score(),
                group: match said.by {
                    Some(EventBy::Stage | EventBy::StageAfter) => stage.map(|stage| model.stages()[stage].to_string()),
                    Some(EventBy::Touchpoint) => Some(told.event.touchpoint().to_string()),
                    Some(EventBy::Channel) => Some(told.event.channel().as_str().to_owned()),
                    None => None,
                },
                stage,
                period: said.period.map(|period| start_of(period, moment(told.at)).timestamp_micros()),
            });
        }
    }
    let is_all = said.answers == ExperienceAnswers::All;
    let is_later = |one: &Given<'_>, other: &Given<'_>| {
        one.customer == other.customer && one.survey == other.survey && (one.at, one.seq) > (other.at, other.seq)
    };
    let counted: Vec<&Given<'_>> =
        given.iter().filter(|one| is_all || !given.iter().any(|other| is_later(other, one))).collect();
    let in_periods: Vec<&Given<'_>> = given
        .iter()
        .filter(|one| is_all || !given.iter().any(|other| is_later(other, one) && other.period == one.period))
        .collect();
    let total = |survey: &Survey| {
        score(*survey, &counted.iter().copied().filter(|one| one.survey == *survey).collect::<Vec<_>>())
    };
    let place = |one: &Given<'_>| (one.period, one.group.is_none(), one.stage, one.group.clone(), one.survey);
    let places: BTreeSet<_> = in_periods.iter().map(|one| place(one)).collect();
    let row = |wanted: &(Option<i64>, bool, Option<usize>, Option<String>, Survey)| {
        let here: Vec<&Given<'_>> = in_periods.iter().copied().filter(|one| place(one) == *wanted).collect();
        ExperienceRow {
            period: wanted.0.map(|start| Micros(start).to_datetime()),
            finished: said
                .period
                .zip(wanted.0)
                .is_none_or(|(period, start)| end_of(period, moment(start)).timestamp_micros() <= stories.end),
            group: wanted.3.clone(),
            score: score(wanted.4, &here),
        }
    };
    let is_told_apart = said.by.is_some() || said.period.is_some();
    let mut listed: Vec<&Given<'_>> = in_periods.clone();
    listed.sort_by_key(|one| (one.customer, one.at, one.seq));
    let answer = |one: &&Given<'_>| ExperienceAnswer {
        customer: one.customer.clone(),
        answered_at: Micros(one.at).to_datetime(),
        feedback: Feedback::new(one.survey, one.score).unwrap(),
        group: one.group.clone(),
        seq: Seq(one.seq),
        superseded: !is_all && given.iter().any(|other| is_later(other, one)),
    };
    ExperienceReport {
        answers: said.answers,
        by: said.by,
        period: said.period,
        total: said.surveys.iter().map(total).collect(),
        rows: if is_told_apart { places.iter().map(row).collect() } else { Vec::new() },
        listed: said.customers.then(|| listed.iter().map(answer).collect()),
    }
}
