//! Consent is an event like any other, and questions go by it.

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Comparison, Condition, CustomerId, Event, EventBuilder, Funnel, JourneyModel, Journeys, Scope, Segment, StageCounts,
};

fn day(day: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(day)
}

fn event(on: i64, customer: &str, touchpoint: &str) -> EventBuilder {
    Event::at(day(on), customer, touchpoint)
}

fn consent(on: i64, customer: &str, touchpoint: &str, purpose: &str) -> EventBuilder {
    event(on, customer, touchpoint).property("purpose", purpose)
}

/// Whether a customer consents to a purpose is a stage of a model of its own: the last word counts.
fn consenting(to: &str) -> JourneyModel {
    let said = |word| {
        let purpose = Condition::property("purpose", Comparison::Eq(to.into()));
        Condition::touchpoint(word).unwrap().and(purpose)
    };
    JourneyModel::builder("consent", ["withdrawn", "given"])
        .rule(said("consent_given"), "given")
        .rule(said("consent_withdrawn"), "withdrawn")
        .build()
        .unwrap()
}

/// Ann consents, Bob did and took it back, Cid consents to something else, Dan never said.
fn shop() -> Journeys {
    Journeys::of([
        consent(0, "ann", "consent_given", "analytics"),
        consent(0, "bob", "consent_given", "analytics"),
        consent(0, "cid", "consent_given", "newsletter"),
        event(1, "ann", "view"),
        event(1, "bob", "view"),
        event(1, "cid", "view"),
        event(1, "dan", "view"),
        event(2, "ann", "pay"),
        event(2, "bob", "pay"),
        consent(3, "bob", "consent_withdrawn", "analytics"),
        event(5, "dan", "leave"),
    ])
    .unwrap()
}

/// Those who consent at a moment, as a scope for any other question.
fn those_who_consent(journeys: &Journeys, to: &str, at: DateTime<Utc>) -> Scope {
    let plan = StageCounts::of(consenting(to)).list_customers();
    let report = journeys.query().as_of(at).run(&plan).unwrap();
    let given = report
        .customers
        .unwrap()
        .into_iter()
        .filter(|one| one.stage.as_ref().is_some_and(|stage| stage.as_str() == "given"));
    Scope::all().customers(given.map(|one| one.customer).collect::<Vec<CustomerId>>())
}

#[test]
fn a_question_is_asked_of_those_who_consent() {
    let journeys = shop();
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    let converted = |scope| {
        let report = journeys.query().scope(scope).run(&funnel).unwrap();
        (report.entered, report.converted)
    };
    assert_eq!(converted(Scope::all()), (4, 2), "the control: everybody");
    assert_eq!(converted(those_who_consent(&journeys, "analytics", day(2))), (2, 2), "ann and bob then");
    assert_eq!(converted(those_who_consent(&journeys, "analytics", day(3))), (1, 1), "from that moment on ann alone");
    assert_eq!(converted(those_who_consent(&journeys, "analytics", day(4))), (1, 1), "ann alone now");
    assert_eq!(converted(those_who_consent(&journeys, "profiling", day(4))), (0, 0), "nobody, and not everybody");
    assert_eq!(converted(those_who_consent(&journeys, "newsletter", day(4))), (1, 0), "cid");
}

/// The same in one question, as of now: the model reads the segment's stages.
#[test]
fn a_segment_asks_for_the_stage_by_itself() {
    let given = Segment::in_stage("given").build().unwrap();
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    for (to, expected) in [("analytics", (1, 1)), ("profiling", (0, 0)), ("newsletter", (1, 0))] {
        let report = shop().query().model(consenting(to)).segment(&given).run(&funnel).unwrap();
        assert_eq!((report.entered, report.converted), expected, "{to}");
    }
}

/// Where each event says to what its customer had consented when it was taken, a filter is enough.
#[test]
fn a_filter_keeps_events_that_were_taken_with_consent() {
    let with = |on, customer: &str, touchpoint: &str, consent: &str| {
        event(on, customer, touchpoint).property("consent", consent)
    };
    let journeys = Journeys::of([
        with(1, "ann", "view", "newsletter analytics"),
        with(2, "ann", "pay", "analytics"),
        with(1, "bob", "view", "analytics"),
        with(2, "bob", "pay", ""),
        event(1, "cid", "view"),
    ])
    .unwrap();
    let funnel = Funnel::ordered(["view", "pay"]).build().unwrap();
    let agreed = Condition::property("consent", Comparison::Contains("analytics".into()));
    let report = journeys.query().filter(agreed).run(&funnel).unwrap();
    assert_eq!((report.entered, report.converted), (2, 1));
}
