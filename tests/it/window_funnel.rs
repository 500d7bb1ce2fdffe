//! `Funnel::clickhouse` against `windowFunnel` itself, whose answers `tests/window_funnel.py` wrote to `tests/golden`.

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{Condition, Event, Funnel, FunnelBuilder, Ties};
use serde_json::Value;

use crate::given::journeys;

/// What the file says: journeys of random worlds dense in ties, and levels.
struct Peer {
    events: Vec<Event>,
    /// Of each customer the journey as it is written.
    journeys: Vec<String>,
    questions: Vec<Value>,
}

impl Peer {
    fn read() -> Self {
        let file: Value = serde_json::from_str(include_str!("../golden/window_funnel.json")).unwrap();
        let journeys: Vec<String> = serde_json::from_value(file["journeys"].clone()).unwrap();
        let event = |who: usize, text: &str| {
            let (place, second) = text.split_at(1);
            let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second.parse().unwrap());
            Event::at(at, who.to_string().as_str(), place).build().unwrap()
        };
        let of_one =
            |(who, journey): (usize, &String)| journey.split(' ').map(|text| event(who, text)).collect::<Vec<_>>();
        let events = journeys.iter().enumerate().flat_map(of_one).collect();
        Self { events, journeys, questions: file["questions"].as_array().unwrap().clone() }
    }

    /// Asks each question of a mode, with these ties or those of the preset, and hands each customer's journey over with the
    /// level here and there. Says at how many they differ. `apart` is whether an event meets one condition at most.
    fn differing(&self, mode: Option<&str>, ties: Option<Ties>, apart: bool, check: impl Fn(&str, u32, u32)) -> usize {
        let is_asked = |question: &&Value| {
            let is_apart = question["steps"] == serde_json::json!([["a"], ["b"], ["c"]]);
            question["mode"].as_str() == mode && is_apart == apart
        };
        let questions: Vec<_> = self.questions.iter().filter(is_asked).collect();
        assert_eq!(questions.len(), 3, "windows of 1, 3 and 100 seconds");
        let mut differing = 0;
        for question in questions {
            let theirs = question["levels"].as_str().unwrap().chars().map(|level| level.to_digit(10).unwrap());
            let ours = levels(&self.events, self.journeys.len(), question, ties);
            for ((journey, ours), theirs) in self.journeys.iter().zip(ours).zip(theirs) {
                check(journey, ours, theirs);
                differing += usize::from(ours != theirs);
            }
        }
        differing
    }
}

/// The level of each customer.
fn levels(events: &[Event], customers: usize, question: &Value, ties: Option<Ties>) -> Vec<u32> {
    let places: Vec<Vec<String>> = serde_json::from_value(question["steps"].clone()).unwrap();
    let of_step = |places: &Vec<String>| {
        Condition::Any(places.iter().map(|place| Condition::touchpoint(place).unwrap()).collect())
    };
    let within = TimeDelta::seconds(question["window"].as_i64().unwrap());
    let funnel = Funnel::clickhouse(places.iter().map(of_step)).within(within).list_customers();
    let funnel = ties.into_iter().fold(funnel, FunnelBuilder::ties).build().unwrap();
    let mut levels = vec![0; customers];
    for one in journeys(events).query().run(&funnel).unwrap().customers.unwrap() {
        levels[one.customer.as_str().parse::<usize>().unwrap()] = u32::try_from(one.level).unwrap();
    }
    levels
}

/// Whether two events of a journey are at one instant.
fn has_ties(journey: &str) -> bool {
    let mut seconds: Vec<_> = journey.split(' ').map(|text| &text[1..]).collect();
    seconds.sort_unstable();
    seconds.windows(2).any(|two| two[0] == two[1])
}

fn same(journey: &str, ours: u32, theirs: u32) {
    assert_eq!(ours, theirs, "{journey}");
}

#[test]
fn levels_are_those_of_window_funnel_where_no_event_meets_two_conditions() {
    let peer = Peer::read();
    assert!(peer.journeys.iter().filter(|journey| has_ties(journey)).count() > 200);
    assert_eq!(peer.differing(None, None, true, same), 0);
}

#[test]
fn where_events_meet_two_conditions_they_are_those_of_its_mode_strict_once() {
    let peer = Peer::read();
    for apart in [true, false] {
        assert_eq!(peer.differing(Some("strict_once"), None, apart, same), 0);
    }
    // By default a row may serve two steps there.
    let more = |journey: &str, ours, theirs| assert!(ours <= theirs, "{journey}: {ours} {theirs}");
    assert!(peer.differing(None, None, false, more) > 100);
}

/// There a newer first step takes the place of an older one, also if the next step, at the same instant, could follow only the older.
#[test]
fn strict_increase_finds_fewer_than_later_only_where_instants_are_shared() {
    let peer = Peer::read();
    let fewer_at_ties = |journey: &str, ours, theirs| {
        assert!(ours == theirs || ours > theirs && has_ties(journey), "{journey}: {ours} {theirs}");
    };
    assert!(peer.differing(Some("strict_increase"), Some(Ties::LaterOnly), true, fewer_at_ties) > 20);
}

/// Neither mode is any funnel here: an ordered one never finds fewer, and for some customers more.
#[test]
fn modes_that_cannot_be_expressed_find_fewer() {
    let peer = Peer::read();
    for mode in ["strict_order", "strict_deduplication"] {
        let fewer = |journey: &str, ours, theirs| assert!(ours >= theirs, "{mode}, {journey}: {ours} {theirs}");
        assert!(peer.differing(Some(mode), None, true, fewer) > 20, "{mode}");
    }
}
