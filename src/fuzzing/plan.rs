//! Questions as JSON.

use std::{collections::HashMap, sync::LazyLock};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Answer, ChurnRateReport, CohortRetentionReport, ConformanceReport, Event, JourneyModel, Journeys, LifecycleReport,
    MembersReport, PathsReport, PatternConformanceReport, PatternReport, Period, Plan, Question, Report, Segment,
    SessionsReport, StageCountsReport, StickinessReport, TransitionsReport,
    testing::{World, differences, differences_beyond_rounding, oracle},
};

/// A text that may be questions: what is read is written and read again to the same, its answer to the worlds is a limit
/// passed or what the oracles say, and the answer can be shown and is itself again in JSON.
pub fn plan_json(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(questions) = Question::read(text) else { return };
    let written = serde_json::to_string(&questions).unwrap();
    let again = Question::read(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert!(again == questions, "{written}");
    if questions.len() > 8 {
        return;
    }
    for (events, journeys) in WORLDS.iter() {
        for question in &questions {
            match journeys.query().ask(std::slice::from_ref(question)) {
                Ok(answers) => answers.iter().for_each(|answer| check(events, answer)),
                Err(error) => assert!(error.is_limit() || error.is_invalid(), "{error}"),
            }
        }
        let _ = journeys.query().ask(&questions);
    }
}

/// Small worlds: dense in ties; with everything an event may have; and at the ends of time.
static WORLDS: LazyLock<Vec<(Vec<Event>, Journeys)>> = LazyLock::new(|| {
    let worlds =
        [World::new(3).events(9), World::new(5).customers(3).events(14).instants(7), World::new(7).extreme_times()];
    worlds.iter().map(World::make).map(few_ties).map(|events| (events.clone(), Journeys::of(events).unwrap())).collect()
});

/// At most three events of a customer share an instant, since an oracle tries all orders.
fn few_ties(mut events: Vec<Event>) -> Vec<Event> {
    let mut tied: HashMap<_, usize> = HashMap::new();
    events.retain(|event| {
        let tied = tied.entry((event.customer().clone(), event.occurred_at())).or_default();
        *tied += 1;
        *tied <= 3
    });
    events
}

#[expect(clippy::too_many_lines, reason = "an arm for each question")]
fn check(events: &[Event], answer: &Answer) {
    let is_long = is_long(&answer.report);
    assert!(is_long || !answer.to_string().is_empty());
    if is_long {
        return;
    }
    let written = serde_json::to_string(answer).unwrap();
    let again: Answer = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert!(again == *answer, "{written}");
    let Question { plan, scope, model } = &answer.question;
    let model = model.clone().unwrap_or_default();
    // A plan's own model wins; it is seen in its JSON.
    let said = serde_json::to_value(plan).unwrap();
    let part = |key: &str| said.as_object().unwrap().values().next().unwrap().get(key).cloned();
    let own = || read::<JourneyModel>(part("model")).unwrap_or(model.clone());
    match (plan, &answer.report) {
        (Plan::Funnel(funnel), Report::Funnel(report)) => {
            // The oracle takes longer the more steps an event may serve.
            if funnel.steps().len() <= 4 {
                oracle::funnel(events, funnel, &model, scope).agrees(report).unwrap();
            }
        }
        (Plan::Transitions(_), Report::Transitions(report)) => {
            let mut expected = oracle::transitions(events, &own(), (&model, scope));
            if report.listed.is_none() {
                expected.listed = None;
            }
            agrees::<TransitionsReport>(&expected, report);
        }
        (Plan::Stages(_), Report::Stages(report)) => {
            // It counts hour by hour, and only within the times that chrono holds.
            if report.over_time.as_ref().is_none_or(|moments| moments.len() <= 100) && !is_at_the_ends(events) {
                let every = read::<Period>(part("every"));
                let mut expected = oracle::stages(events, &own(), every, (&model, scope));
                if report.customers.is_none() {
                    expected.customers = None;
                }
                agrees::<StageCountsReport>(&expected, report);
            }
        }
        (Plan::Retention(retention), Report::Retention(report)) => {
            // It walks from hour to hour.
            let periods = report.columns.last().map_or(0, |column| column.to.unwrap_or(column.from));
            if periods <= 12 && report.cohorts.len() <= 100 && !is_at_the_ends(events) {
                agrees::<CohortRetentionReport>(&oracle::retention(events, retention, &model, scope), report);
            }
        }
        (Plan::Lifecycle(lifecycle), Report::Lifecycle(report)) => {
            if report.periods.len() <= 100 && !is_at_the_ends(events) {
                agrees::<LifecycleReport>(&oracle::lifecycle(events, lifecycle, &model, scope), report);
            }
        }
        (Plan::Stickiness(stickiness), Report::Stickiness(report)) => {
            if report.rows.len() <= 12 && !is_at_the_ends(events) {
                agrees::<StickinessReport>(&oracle::stickiness(events, stickiness, &model, scope), report);
            }
        }
        (Plan::Purchases(plan), Report::Purchases(report)) => {
            if !is_at_the_ends(events) {
                differences_beyond_rounding(&oracle::purchases(events, plan, &model, scope), report).unwrap();
            }
        }
        (Plan::LifetimeValue(value), Report::LifetimeValue(report)) => {
            if !is_at_the_ends(events) {
                assert_eq!(oracle::bought(events, value, &model, scope).len() as u64, report.buyers);
            }
        }
        (Plan::Dwell(_), Report::Dwell(report)) => {
            let mut expected = oracle::dwell(events, &own(), (&model, scope));
            if report.customers.is_none() {
                expected.customers = None;
            }
            differences_beyond_rounding(&expected, report).unwrap();
        }
        (Plan::Sessions(sessions), Report::Sessions(report)) => {
            if report.over_time.as_ref().is_none_or(|rows| rows.len() <= 100 && !is_at_the_ends(events)) {
                agrees::<SessionsReport>(&oracle::sessions(events, sessions, &model, scope), report);
            }
        }
        (Plan::Paths(paths), Report::Paths(report)) => {
            agrees::<PathsReport>(&oracle::paths(events, paths, &model, scope), report);
        }
        (Plan::Pattern(pattern), Report::Pattern(report)) => {
            // It tries all choices of events.
            agrees::<PatternReport>(&oracle::pattern(events, pattern, &model, scope), report);
        }
        (Plan::Conformance(conformance), Report::Conformance(report)) => {
            agrees::<ConformanceReport>(&oracle::conformance(events, conformance, &model, scope), report);
        }
        (Plan::Attribution(attribution), Report::Attribution(report)) => {
            oracle::attribution(events, attribution, &model, scope).agrees(report).unwrap();
        }
        (Plan::Experience(experience), Report::Experience(report)) => {
            if !is_at_the_ends(events) {
                differences_beyond_rounding(&oracle::experience(events, experience, &model, scope), report).unwrap();
            }
        }
        (Plan::ConversionRate(rate), Report::ConversionRate(report)) => {
            if !is_at_the_ends(events) {
                differences(&oracle::conversion_rate(events, rate, &model, scope), report).unwrap();
            }
        }
        (Plan::ChurnRate(rate), Report::ChurnRate(report)) => {
            let is_short = serde_json::to_value(rate).unwrap()["inactive_after"].as_u64() <= Some(12);
            if is_short && report.periods.len() <= 100 && !is_at_the_ends(events) {
                agrees::<ChurnRateReport>(&oracle::churn_rate(events, rate, &model, scope), report);
            }
        }
        (Plan::Consistency(consistency), Report::Consistency(report)) => {
            differences_beyond_rounding(&oracle::consistency(events, consistency, &model, scope), report).unwrap();
        }
        (Plan::Drivers(drivers), Report::Drivers(report)) => {
            differences_beyond_rounding(&oracle::drivers(events, drivers, &model, scope), report).unwrap();
        }
        (Plan::PatternConformance(plan), Report::PatternConformance(report)) => {
            // It tries all ways in which events can be put to steps.
            if report.steps.len() <= 4 {
                let expected = oracle::pattern_conformance(events, plan, &model, scope);
                agrees::<PatternConformanceReport>(&expected, report);
            }
        }
        (Plan::Segment(members), Report::Segment(report)) => {
            agrees::<MembersReport>(&oracle::members(events, members, &model, scope), report);
        }
        (Plan::BySegment(plan), Report::BySegment(report)) => {
            let sum: u64 = report.groups.iter().map(|group| group.customers.some).sum();
            assert!(report.overlapping <= report.customers && sum <= report.customers * report.groups.len() as u64);
            let segments = serde_json::to_value(plan.segments()).unwrap();
            for group in report.groups.iter().filter(|_| scope.segment_asked().is_none()) {
                // Everybody else has no segment of their own.
                let Ok(segment) = serde_json::from_value::<Segment>(segments[&group.label].clone()) else { continue };
                let question = Question { plan: plan.plan().clone(), ..answer.question.clone() };
                let question = question.scope(scope.clone().segment(segment));
                check(
                    events,
                    &Answer { question, report: group.report.clone(), observed_until: answer.observed_until },
                );
            }
        }
        _ => panic!("a report of another kind"),
    }
}

/// A table of very many periods takes seconds.
fn is_long(report: &Report) -> bool {
    match report {
        Report::Stages(report) => report.over_time.as_ref().is_some_and(|moments| moments.len() > 1_000),
        Report::Lifecycle(report) => report.periods.len() > 1_000,
        Report::ChurnRate(report) => report.periods.len() > 1_000,
        Report::Sessions(report) => report.over_time.as_ref().is_some_and(|rows| rows.len() > 1_000),
        Report::BySegment(report) => report.groups.iter().any(|group| is_long(&group.report)),
        _ => false,
    }
}

fn is_at_the_ends(events: &[Event]) -> bool {
    events.iter().any(|event| event.occurred_at().timestamp().abs() > 1 << 40)
}

fn read<T: DeserializeOwned>(value: Option<Value>) -> Option<T> {
    value.map(|value| serde_json::from_value(value).unwrap())
}

fn agrees<R: PartialEq + serde::Serialize>(expected: &R, found: &R) {
    differences(expected, found).unwrap();
}
