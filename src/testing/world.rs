//! Worlds of events from a seed.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use serde::Serialize;
use serde_json::Value;

use crate::{Channel, Event, Feedback, Money, PropertyValue, Survey};

/// The first touchpoints of a world; further ones are called `t9`, `t10` and so on.
const TOUCHPOINTS: [&str; 9] =
    ["product_view", "add_to_cart", "purchase", "ad_click", "support", "review", "renewal", "email_open", "kiosk"];
const CHANNELS: [&str; 5] = ["web", "email", "in_store", "kiosk", "mobile_app"];
/// Stages of the standard model, one by its other spelling, and one that the model does not have.
const STAGES: [&str; 7] = ["awareness", "consideration", "purchase", "decision", "retention", "advocacy", "browsing"];
const AMOUNTS: [&str; 6] = ["0", "10", "10.00", "19.90", "-5", "1000000.000000001"];

/// A random world of events, the same for the same seed.
///
/// It is dense in what goes wrong: few distinct instants, so that many events are tied; repeats of the same event;
/// arrival out of order; event ids that come twice; stages that the model does not have; money in two currencies;
/// properties of every kind, and missing.
///
/// ```
/// use journeylog::testing::World;
/// let events = World::new(1).customers(3).events(20).instants(4).make();
/// assert_eq!(events, World::new(1).customers(3).events(20).instants(4).make());
/// assert_eq!(events.len(), 20);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a world is only made by make"]
pub struct World {
    seed: u64,
    customers: usize,
    events: usize,
    touchpoints: usize,
    channels: usize,
    instants: u32,
    span: TimeDelta,
    details: bool,
    extreme_times: bool,
}

impl World {
    /// A small world: 2 customers, 10 events, 4 touchpoints, 2 channels, 5 instants a day apart.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            customers: 2,
            events: 10,
            touchpoints: 4,
            channels: 2,
            instants: 5,
            span: TimeDelta::days(4),
            details: true,
            extreme_times: false,
        }
    }

    /// Sets how many customers there are at most.
    pub fn customers(mut self, customers: usize) -> Self {
        self.customers = customers.max(1);
        self
    }

    /// Sets how many events there are.
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Sets how many touchpoints there are at most.
    pub fn touchpoints(mut self, touchpoints: usize) -> Self {
        self.touchpoints = touchpoints.max(1);
        self
    }

    /// Sets how many channels there are, up to 5.
    pub fn channels(mut self, channels: usize) -> Self {
        self.channels = channels.clamp(1, CHANNELS.len());
        self
    }

    /// Sets at how many distinct instants, evenly spaced over the span, events happen.
    pub fn instants(mut self, instants: u32) -> Self {
        self.instants = instants.max(1);
        self
    }

    /// Sets the time from the first instant to the last.
    pub fn span(mut self, span: TimeDelta) -> Self {
        self.span = span;
        self
    }

    /// Leaves out ids, stages, values, feedback and properties.
    pub fn plain(mut self) -> Self {
        self.details = false;
        self
    }

    /// Lets events happen at the first and last moments that chrono holds, and around 1970.
    pub fn extreme_times(mut self) -> Self {
        self.extreme_times = true;
        self
    }

    /// Makes the events, in their order of arrival.
    pub fn make(&self) -> Vec<Event> {
        let mut rng = Rng::with_seed(self.seed);
        (0..self.events).map(|_| self.event(&mut rng)).collect()
    }

    fn event(&self, rng: &mut Rng) -> Event {
        let customer = format!("c{}", rng.usize(..self.customers));
        let place = rng.usize(..self.touchpoints);
        let touchpoint = TOUCHPOINTS.get(place).map_or_else(|| format!("t{place}"), ToString::to_string);
        let mut event = Event::at(self.instant(rng), customer.as_str(), touchpoint.as_str())
            .channel(Channel::new(CHANNELS[rng.usize(..self.channels)]).unwrap());
        if !self.details {
            return event.build().unwrap();
        }
        if rng.u8(..5) == 0 {
            event = event.id(format!("e{}", rng.usize(..=self.events)));
        }
        if rng.u8(..4) == 0 {
            event = event.stage(rng.choice(STAGES).unwrap());
        }
        if rng.u8(..3) == 0 {
            event = event.value(Money::new(rng.choice(AMOUNTS).unwrap(), rng.choice(["EUR", "USD"]).unwrap()).unwrap());
        }
        if rng.u8(..4) == 0 {
            let survey = rng.choice(Survey::ALL).unwrap();
            event = event.feedback(Feedback::new(survey, rng.u8(survey.scores())).unwrap());
        }
        for name in ["p", "q"] {
            if rng.bool() {
                event = event.property(name, any_property(rng));
            }
        }
        event.build().unwrap()
    }

    fn instant(&self, rng: &mut Rng) -> DateTime<Utc> {
        let micro = TimeDelta::microseconds(1);
        if self.extreme_times {
            let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
            let epoch = DateTime::<Utc>::UNIX_EPOCH;
            return rng.choice([first, first + micro, epoch - micro, epoch, last - micro, last]).unwrap();
        }
        let nth = i32::try_from(rng.u32(..self.instants)).unwrap();
        let gaps = i32::try_from(self.instants - 1).unwrap().max(1);
        DateTime::<Utc>::from_timestamp_micros(1_772_323_200_000_000).unwrap() + self.span / gaps * nth
    }

    /// A larger world like a shop's, for benches: few customers make many events, most make few; they come in visits,
    /// look more than they buy, come through several channels, and bring money, feedback and campaigns along.
    /// Events arrive nearly in the order in which they happened, a few of them late.
    ///
    /// ```
    /// let events = journeylog::testing::World::shop(42, 100, 1_000);
    /// assert_eq!(events.len(), 1_000);
    /// ```
    pub fn shop(seed: u64, customers: usize, events: usize) -> Vec<Event> {
        let mut rng = Rng::with_seed(seed);
        let start = DateTime::<Utc>::from_timestamp_micros(1_767_225_600_000_000).unwrap();
        let year = 365 * 86_400;
        let mut made: Vec<(i64, Event)> = Vec::with_capacity(events);
        while made.len() < events {
            // A cube makes the head heavy: a tenth of the customers make nearly half of the visits.
            let share = rng.f64();
            let customer = format!("c-{:07}", scaled(share * share * share, customers));
            let channel = Channel::new(*rng.choice(&CHANNELS).unwrap()).unwrap();
            let campaign = rng.choice(["spring", "summer", "autumn", "brand"]).unwrap();
            let mut at = rng.i64(0..year) * 1_000_000 + rng.i64(0..1_000_000);
            let mut next = Some(rng.choice(["ad_click", "email_open", "home"]).unwrap());
            while let Some(touchpoint) = next.filter(|_| made.len() < events) {
                let when = start + TimeDelta::microseconds(at);
                let mut event = Event::at(when, customer.as_str(), touchpoint)
                    .channel(channel.clone())
                    .id(format!("e-{}", made.len()))
                    .property("campaign", campaign);
                if touchpoint == "purchase" {
                    let amount = format!("{}.{:02}", 1 + scaled(rng.f64() * rng.f64(), 500), rng.u8(..100));
                    event = event.value(Money::new(&amount, "EUR").unwrap());
                }
                if touchpoint == "review" {
                    event = event.feedback(Feedback::nps(rng.u8(0..=10)).unwrap());
                }
                let late = if rng.u8(..50) == 0 { rng.i64(0..7 * 86_400) * 1_000_000 } else { 0 };
                made.push((at + late, event.build().unwrap()));
                at += rng.i64(1_000_000..900_000_000);
                next = after(touchpoint, &mut rng);
            }
        }
        made.sort_by_key(|(arrival, _)| *arrival);
        made.into_iter().map(|(_, event)| event).collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count lies within it")]
fn scaled(share: f64, count: usize) -> usize {
    (share * count as f64) as usize
}

/// Where a visit to the shop goes on.
fn after(touchpoint: &str, rng: &mut Rng) -> Option<&'static str> {
    let share = rng.u8(..100);
    match touchpoint {
        "ad_click" | "email_open" | "home" => (share < 75).then_some("product_view"),
        "product_view" if share < 50 => Some("product_view"),
        "product_view" => (share < 70).then_some("add_to_cart"),
        "add_to_cart" if share < 20 => Some("product_view"),
        "add_to_cart" => (share < 60).then_some("checkout"),
        "checkout" => (share < 65).then_some("purchase"),
        "purchase" => (share < 20).then_some("review"),
        _ => None,
    }
}

pub(super) fn any_property(rng: &mut Rng) -> PropertyValue {
    match rng.u8(..10) {
        0 | 1 => "spring".into(),
        2 => "late spring".into(),
        3 => 1_i64.into(),
        4 => 1.0_f64.into(),
        5 => 2.5_f64.into(),
        6 => (-3_i64).into(),
        7 => rng.bool().into(),
        8 => PropertyValue::Null,
        _ => PropertyValue::Nested(serde_json::json!({"deep": [1]})),
    }
}

/// The smallest world one finds by taking events out, one at a time, as long as it still fails.
pub fn shrink(events: &[Event], fails: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut left = events.to_vec();
    let mut place = 0;
    while place < left.len() {
        let mut fewer = left.clone();
        fewer.remove(place);
        if fails(&fewer) {
            (left, place) = (fewer, 0);
        } else {
            place += 1;
        }
    }
    left
}

/// Events as lines of JSON, to be shown when a test fails.
pub fn as_json(events: &[Event]) -> String {
    events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

/// Compares two reports, and shows in their JSON where they differ: customers by name, and only what is not the same.
///
/// ```
/// use journeylog::{Rate, testing::differences};
/// assert!(differences(&Rate::new(1, 2), &Rate::new(1, 2)).is_ok());
/// let text = differences(&[1, 2], &[1, 3]).unwrap_err();
/// assert_eq!(text, "at /1: expected 2, got 3\n");
/// ```
///
/// # Errors
/// One line for each difference.
pub fn differences<R: PartialEq + Serialize>(expected: &R, found: &R) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let lines = compared(expected, found, &|_, _| false);
    Err(if lines.is_empty() { "they differ, but not in their JSON".to_owned() } else { lines })
}

/// The same, but numbers with a fraction may differ by one part in 10^9: an oracle adds them up in another order.
///
/// ```
/// use journeylog::testing::differences_beyond_rounding;
/// assert!(differences_beyond_rounding(&[0.3], &[0.1 + 0.2]).is_ok());
/// assert!(differences_beyond_rounding(&[0.3], &[0.300_001]).is_err());
/// ```
///
/// # Errors
/// One line for each difference.
pub fn differences_beyond_rounding<R: Serialize>(expected: &R, found: &R) -> Result<(), String> {
    let is_near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3);
    let lines = compared(expected, found, &is_near);
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}

fn compared<R: Serialize>(expected: &R, found: &R, is_near: &dyn Fn(f64, f64) -> bool) -> String {
    let json = |report: &R| serde_json::to_value(report).unwrap();
    let mut lines = String::new();
    compare("", &json(expected), &json(found), is_near, &mut lines);
    lines
}

fn compare(at: &str, expected: &Value, found: &Value, is_near: &dyn Fn(f64, f64) -> bool, lines: &mut String) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{at}/{key}"), &of(a), &of(b), is_near, lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{at}/{i}"), a, b, is_near, lines);
            }
        }
        _ if expected == found => {}
        (Value::Number(a), Value::Number(b))
            if a.is_f64() && b.is_f64() && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| is_near(a, b)) => {}
        _ => writeln!(lines, "at {at}: expected {expected}, got {found}").unwrap(),
    }
}
