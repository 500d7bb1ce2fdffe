//! Scores of surveys: by hand, and against the oracle.

use chrono::TimeDelta;
use journeylog::{
    Attribution, Condition, EventBy, Experience, ExperienceBuilder, ExperienceReport, JourneyModel, Period, Scope,
    Survey,
    testing::{World, check_laws, check_names, differences_beyond_rounding, oracle},
};

use crate::given::{answers, any_experience, any_model, any_scope, day, each_world, journeys, periodic_world};

#[track_caller]
fn ask(lines: &[&str], plan: ExperienceBuilder, scope: Scope) -> ExperienceReport {
    let (events, plan) = (answers(lines), plan.build().unwrap());
    let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
    differences_beyond_rounding(&oracle::experience(&events, &plan, &JourneyModel::standard(), &scope), &report)
        .unwrap();
    report
}

fn rows(report: &ExperienceReport) -> Vec<(Option<&str>, Survey, u64, f64)> {
    report.rows.iter().map(|row| (row.group.as_deref(), row.score.survey, row.score.answers, row.score.score)).collect()
}

const LINES: [&str; 9] = [
    "ann 0 product_view",
    "ann 1 mail nps 9",
    "ann 2 purchase",
    "ann 3 mail nps 3",
    "bob 0 mail nps 7",
    "bob 0 product_view",
    "bob 9 chat ces 6",
    "cat 4 mail nps 10",
    "cat 5 chat csat 2",
];

#[test]
fn each_survey_by_itself_and_the_latest_answers() {
    let report = ask(&LINES, Experience::builder(), Scope::all());
    let nps = report.score(Survey::Nps).unwrap();
    assert_eq!((nps.answers, nps.favourable.some, nps.detractors, nps.score), (4, 2, 1, 25.0));
    let [csat, ces] = [Survey::Csat, Survey::Ces].map(|survey| report.score(survey).unwrap());
    assert_eq!((csat.answers, csat.score, ces.answers, ces.score), (1, 0.0, 1, 100.0));
    assert!(report.rows.is_empty());
    let report = ask(&LINES, Experience::builder().latest(), Scope::all());
    assert_eq!(report.score(Survey::Nps).map(|nps| (nps.answers, nps.score)), Some((3, 0.0)));
    // The latest in the range.
    let report = ask(&LINES, Experience::builder().latest(), Scope::all().to(day(3.0)));
    assert_eq!(report.score(Survey::Nps).map(|nps| (nps.answers, nps.score)), Some((2, 50.0)));
    let nobody = ask(&[], Experience::builder().surveys([Survey::Nps]), Scope::all());
    assert_eq!((nobody.total.len(), nobody.total[0].answers, nobody.score(Survey::Ces)), (1, 0, None));
    assert!(nobody.to_string().contains("| nps    |       0 |"), "{nobody}");
}

#[test]
fn the_stage_is_that_of_the_moment_of_the_answer() {
    let nps = |by| ask(&LINES, Experience::builder().by(by).surveys([Survey::Nps]), Scope::all());
    // Ann's before she bought and after; Bob's and Cat's first events are answers.
    let expected = [
        (Some("consideration"), Survey::Nps, 1, 100.0),
        (Some("purchase"), Survey::Nps, 1, -100.0),
        (None, Survey::Nps, 2, 50.0),
    ];
    assert_eq!(rows(&nps(EventBy::Stage)), expected);
    // With the answer promoters are advocates, and Bob has looked at the same instant.
    let expected = [
        (Some("consideration"), Survey::Nps, 1, 0.0),
        (Some("purchase"), Survey::Nps, 1, -100.0),
        (Some("advocacy"), Survey::Nps, 2, 100.0),
    ];
    assert_eq!(rows(&nps(EventBy::StageAfter)), expected);
    let report = ask(&LINES, Experience::builder().by(EventBy::Touchpoint).when("chat"), Scope::all());
    assert_eq!(rows(&report), [(Some("chat"), Survey::Csat, 1, 0.0), (Some("chat"), Survey::Ces, 1, 100.0)]);
    let text = report.to_string();
    assert!(text.contains("| touchpoint |"), "{text}");
}

#[test]
fn in_a_period_its_latest_answer_counts() {
    let lines = ["ann 0 mail nps 0", "ann 1 mail nps 10", "ann 5 mail nps 10", "ann 6 mail nps 5", "bob 5 mail nps 8"];
    let plan = Experience::builder().latest().every(Period::WEEK).list_customers();
    let report = ask(&lines, plan, Scope::all());
    // 1970 began on a Thursday: the first week ends on day 4.
    assert_eq!(rows(&report), [(None, Survey::Nps, 1, 100.0), (None, Survey::Nps, 2, -50.0)]);
    assert_eq!(report.rows.iter().map(|row| row.finished).collect::<Vec<_>>(), [true, false]);
    let all = report.listed.as_ref().unwrap();
    let listed: Vec<_> =
        all.iter().map(|one| (one.customer.as_str(), one.feedback.score(), one.period, one.in_total)).collect();
    let [first, second] = [report.rows[0].period, report.rows[1].period];
    assert_eq!(listed, [("ann", 10, first, false), ("ann", 5, second, true), ("bob", 8, second, true)]);
    assert_eq!(report.score(Survey::Nps).map(|nps| nps.score), Some(-50.0));
}

/// January begins before the range: its score is that of a part of it.
#[test]
fn a_period_that_the_range_cuts_is_marked() {
    let lines = ["a 4 mail nps 0", "b 19 mail nps 10", "c 59 mail nps 8"];
    let finished = |scope| {
        let report = ask(&lines, Experience::builder().every(Period::MONTH), scope);
        report.rows.iter().map(|row| (row.score.answers, row.score.score, row.finished)).collect::<Vec<_>>()
    };
    assert_eq!(finished(Scope::all()), [(2, 0.0, true), (1, 0.0, false)]);
    assert_eq!(finished(Scope::all().from(day(14.0))), [(1, 100.0, false), (1, 0.0, false)]);
    assert_eq!(finished(Scope::all().to(day(20.0))), [(2, 0.0, false)]);
    assert_eq!(finished(Scope::all().between(day(0.0)..day(31.0))), [(2, 0.0, true)]);
}

/// A condition that is a part of another must leave room for that, or the plan would be built and then not run.
#[test]
fn what_is_built_runs_however_deep_it_nests() {
    let deep = |depth| (1..depth).fold(Condition::All(vec![]), |inner, _| inner.negated());
    let built = |depth| Experience::builder().when(deep(depth)).build();
    assert!(journeys(&[]).query().run(&built(31).unwrap()).is_ok());
    assert_eq!(built(32).unwrap_err().to_string(), "experience.when.condition: nests deeper than 32");
    let built = |depth| Attribution::of(deep(32), deep(depth)).direct(deep(depth)).build();
    assert!(journeys(&[]).query().run(&built(31).unwrap()).is_ok());
    assert!(built(32).is_err());
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(4_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_experience(seed));
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let report = query.run(&plan).map_err(|e| e.to_string())?;
        differences_beyond_rounding(&oracle::experience(events, &plan, &model, &scope), &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn experience_keeps_the_laws() {
    let larger =
        |seed| World::new(seed).customers(9).events(60).touchpoints(6).instants(12).span(TimeDelta::days(40)).make();
    each_world(60, larger, |seed, events| {
        check_laws(&any_experience(seed), events).map_err(|broken| broken.to_string())?;
        let mut plan = serde_json::to_value(any_experience(seed)).unwrap();
        plan.as_object_mut().unwrap().remove("customers");
        let plan: Experience = serde_json::from_value(plan).unwrap();
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())
    });
}

#[test]
fn experience_has_so_much_memory() {
    let journeys = journeys(&World::shop(7, 500, 5_000));
    let plan = Experience::builder().by(EventBy::Channel).every(Period::DAY).build().unwrap();
    assert!(journeys.query().memory(1 << 20).run(&plan).is_ok());
    let refused = journeys.query().memory(500).run(&plan).unwrap_err();
    assert!(refused.is_limit() && refused.to_string().contains("raise Query::memory"), "{refused}");
}
