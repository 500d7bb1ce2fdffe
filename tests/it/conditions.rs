//! Conditions: each form by its table, and random ones against the oracle.

use chrono::DateTime;
use journeylog::{
    Condition, Event, Funnel, JourneyModel, Scope,
    testing::{World, any_condition, oracle},
};
use serde_json::{Value, json};

use crate::given::{Holding, any_model, any_scope, each_world, journeys};

fn holds(condition: Value, event: &Event) -> bool {
    let condition: Condition = serde_json::from_value(condition).unwrap();
    let events = std::slice::from_ref(event);
    let found = journeys(events).query().run(Holding(condition.clone())).unwrap();
    assert_eq!(
        found,
        oracle::holding(&condition, events, &JourneyModel::standard(), &Scope::all()),
        "the oracle agrees on {condition:?}"
    );
    !found.is_empty()
}

fn event(more: Value) -> Event {
    let mut event = json!({"customer": "ann", "touchpoint": "payment", "occurred_at": DateTime::UNIX_EPOCH});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(event).unwrap()
}

#[test]
fn touchpoint_channel_and_stage() {
    let paid = event(json!({"channel": "email"}));
    assert!(holds(json!({"touchpoint": "payment"}), &paid));
    assert!(!holds(json!({"touchpoint": "pay"}), &paid));
    assert!(holds(json!({"channel": "email"}), &paid));
    assert!(!holds(json!({"channel": "web"}), &paid));
    assert!(holds(json!({"channel": "web"}), &event(json!({}))), "web is the default");
    assert!(holds(json!({"stage": "purchase"}), &paid));
    assert!(holds(json!({"stage": "decision"}), &paid), "another spelling");
    assert!(!holds(json!({"stage": "awareness"}), &paid));
    assert!(holds(json!({"stage": "awareness"}), &event(json!({"stage": "awareness"}))), "its own stage wins");
    assert!(!holds(json!({"not": {"stage": "awareness"}}), &event(json!({"stage": "awareness"}))));
}

#[test]
fn a_stage_that_the_model_does_not_have_is_refused() {
    let funnel = Funnel::ordered([Condition::stage("purchas").unwrap()]).build().unwrap();
    let refused = journeys(&[]).query().run(&funnel).unwrap_err().to_string();
    assert!(
        refused.starts_with("stage: purchas is no stage of the question's model standard (awareness, "),
        "{refused}"
    );
    let filter = Condition::touchpoint("view").unwrap().or(Condition::stage("unheard").unwrap().negated());
    assert!(journeys(&[]).query().filter(filter).run(&funnel).unwrap_err().is_invalid());
}

#[test]
fn properties_compare_within_their_kind() {
    let has = |value: Value, test: Value| {
        let mut condition = json!({"property": "p"});
        condition.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
        holds(condition, &event(json!({"properties": {"p": value}})))
    };
    for (value, test, expected) in [
        (json!("pro"), json!({"eq": "pro"}), true),
        (json!("pro"), json!({"ne": "pro"}), false),
        (json!("pro"), json!({"gt": "basic"}), true),
        (json!("pro"), json!({"contains": "ro"}), true),
        (json!("pro"), json!({"contains": "Ro"}), false),
        (json!(5), json!({"contains": "5"}), false),
        (json!(1), json!({"eq": 1.0}), true),
        (json!(1), json!({"eq": "1"}), false),
        (json!(1), json!({"ne": "1"}), true),
        (json!(1), json!({"lt": "2"}), false),
        (json!(1), json!({"lt": 1.5}), true),
        (json!(1), json!({"le": 1}), true),
        (json!(1), json!({"lt": 1}), false),
        (json!(2), json!({"ge": 1, "lt": 2}), false),
        (json!(1), json!({"in": ["1", 1.0]}), true),
        (json!(1), json!({"in": []}), false),
        (json!(true), json!({"eq": true}), true),
        (json!(false), json!({"lt": true}), true),
        (json!(null), json!({"eq": null}), true),
        (json!(null), json!({"exists": true}), true),
        (json!(null), json!({"exists": false}), false),
        // What is nested cannot be filtered on: it is as if it were missing.
        (json!([1]), json!({"eq": [1]}), false),
        (json!([1]), json!({"ne": 1}), false),
        (json!({"a": 1}), json!({"exists": true}), false),
        (json!({"a": 1}), json!({"exists": false}), true),
    ] {
        assert_eq!(has(value.clone(), test.clone()), expected, "{value} {test}");
    }
}

#[test]
fn what_is_missing_compares_with_nothing() {
    let bare = event(json!({}));
    for test in ["eq", "ne", "lt", "le", "gt", "ge"] {
        assert!(!holds(json!({"property": "p", test: null}), &bare), "{test}");
        assert!(!holds(json!({"value": {"currency": "EUR", test: "0"}}), &bare), "{test}");
        assert!(!holds(json!({"feedback": {"survey": "nps", test: 0}}), &bare), "{test}");
    }
    for (condition, expected) in [
        (json!({"property": "p", "exists": false}), true),
        (json!({"property": "p", "exists": true}), false),
        (json!({"value": {"exists": false}}), true),
        (json!({"value": {"exists": true}}), false),
        (json!({"feedback": {"exists": false}}), true),
        (json!({"feedback": {"exists": true}}), false),
        (json!({"not": {"property": "p", "eq": 1}}), true),
    ] {
        assert_eq!(holds(condition.clone(), &bare), expected, "{condition}");
    }
}

#[test]
fn money_compares_in_its_currency_only() {
    let paid = event(json!({"value": {"amount": "10.00", "currency": "EUR"}}));
    for (test, expected) in [
        (json!({"currency": "EUR", "eq": "10"}), true),
        (json!({"currency": "EUR", "eq": 10}), true),
        (json!({"currency": "EUR", "gt": "9.999999999"}), true),
        (json!({"currency": "EUR", "ge": "10.000000001"}), false),
        (json!({"currency": "EUR", "in": ["1", "10"]}), true),
        (json!({"currency": "USD", "eq": "10"}), false),
        (json!({"currency": "USD", "ne": "11"}), false),
        (json!({"currency": "USD", "exists": true}), false),
        (json!({"exists": true}), true),
    ] {
        assert_eq!(holds(json!({"value": test.clone()}), &paid), expected, "{test}");
    }
}

#[test]
fn answers_compare_within_their_survey_only() {
    let answered = event(json!({"feedback": {"nps": 9}}));
    for (test, expected) in [
        (json!({"survey": "nps", "ge": 9}), true),
        (json!({"survey": "nps", "gt": 9}), false),
        (json!({"survey": "csat", "ge": 1}), false),
        (json!({"survey": "csat", "ne": 1}), false),
        (json!({"survey": "csat", "exists": true}), false),
        (json!({"survey": "nps", "exists": true}), true),
        (json!({"exists": true}), true),
    ] {
        assert_eq!(holds(json!({"feedback": test.clone()}), &answered), expected, "{test}");
    }
}

/// Money in dollars is no money in euros, just as an answer to one survey is no answer to another: of both, `exists`
/// false holds exactly where `exists` true does not.
#[test]
fn what_is_there_in_another_kind_is_missing_in_this_one() {
    let both = event(json!({"value": {"amount": "10", "currency": "USD"}, "feedback": {"nps": 9}}));
    assert!(holds(json!({"feedback": {"survey": "csat", "exists": false}}), &both));
    assert!(holds(json!({"value": {"currency": "EUR", "exists": false}}), &both));
}

#[test]
fn any_all_and_not() {
    let paid = event(json!({}));
    for (condition, expected) in [
        (json!({"any": [{"touchpoint": "x"}, {"touchpoint": "payment"}]}), true),
        (json!({"any": []}), false),
        (json!({"all": []}), true),
        (json!({"all": [{"touchpoint": "payment"}, {"channel": "phone"}]}), false),
        (json!({"touchpoint": "payment", "channel": "web"}), true),
        (json!({"touchpoint": "payment", "channel": "phone"}), false),
        (json!({"not": {"any": [{"touchpoint": "x"}, {"channel": "phone"}]}}), true),
    ] {
        assert_eq!(holds(condition.clone(), &paid), expected, "{condition}");
    }
}

#[test]
fn random_conditions_hold_for_the_same_events() {
    let make = |seed| World::new(seed).customers(3).events(12).channels(5).make();
    each_world(8_000, make, |seed, events| {
        let (condition, model, scope) = (any_condition(seed, 3), any_model(seed), any_scope(seed));
        let expected = oracle::holding(&condition, events, &model, &scope);
        let query = journeys(events).query().scope(scope.clone()).model(model.clone());
        let found = query.run(Holding(condition.clone())).map_err(|e| e.to_string())?;
        if found == expected {
            return Ok(());
        }
        let asked = json!({"condition": condition, "scope": scope, "model": model});
        Err(format!("{asked}\nexpected {expected:?}, got {found:?}"))
    });
}

#[test]
fn random_conditions_survive_json() {
    for seed in 0..2_000 {
        let condition = any_condition(seed, 3);
        // A list of one is written as a list, several keys in one object are read as `all`; the text stays the same.
        let text = serde_json::to_string(&condition).unwrap();
        let again: Condition = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!(again, condition, "{text}");
    }
}
