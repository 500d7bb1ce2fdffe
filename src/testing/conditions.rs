//! Conditions tried on one event as their table says, and random ones.

use std::cmp::Ordering;

use fastrand::Rng;

use super::{identity_oracle::told_profile, world::any_property};
use crate::{
    Channel, Comparison, Condition, Currency, Event, Feedback, JourneyModel, PropertyValue, StageName, Survey,
    Touchpoint,
};

/// Whether a condition holds for an event that bears a stage (its place in the model).
pub(super) fn holds(condition: &Condition, event: &Event, stage: Option<usize>, model: &JourneyModel) -> bool {
    let inner = |condition: &Condition| holds(condition, event, stage, model);
    match condition {
        Condition::Touchpoint(name) => event.touchpoint() == name,
        Condition::Channel(channel) => event.channel() == channel,
        Condition::Stage(name) => stage.is_some() && model.position(name.as_str()) == stage,
        Condition::Property { name, test } => {
            // What is nested cannot be filtered on.
            let value = event.properties().get(name).filter(|value| !matches!(value, PropertyValue::Nested(_)));
            compares(value, test, order_of_values)
        }
        Condition::Profile { name, when, test } => {
            // As the oracle of profiles has written it into the event.
            compares(event.properties().get(&told_profile(name, *when)), test, order_of_values)
        }
        Condition::Value { currency, test } => {
            // Money in another currency is no money in this one.
            let value = event.value().filter(|money| currency.is_none_or(|wanted| money.currency() == wanted));
            compares(value.map(|money| money.amount()).as_ref(), test, |x, y| Some(x.cmp(y)))
        }
        Condition::Feedback { survey, test } => {
            let answer = event.feedback().filter(|answer| survey.is_none_or(|wanted| answer.survey() == wanted));
            compares(answer.map(Feedback::score).as_ref(), test, |a, b| Some(a.cmp(b)))
        }
        Condition::All(list) => list.iter().all(inner),
        Condition::Any(list) => list.iter().any(inner),
        Condition::Not(one) => !inner(one),
    }
}

fn compares<T: Holding>(value: Option<&T>, test: &Comparison<T>, order: fn(&T, &T) -> Option<Ordering>) -> bool {
    let Some(value) = value else { return matches!(test, Comparison::Exists(false)) };
    match test {
        Comparison::Exists(wanted) => *wanted,
        Comparison::Eq(other) => order(value, other) == Some(Ordering::Equal),
        Comparison::Ne(other) => order(value, other) != Some(Ordering::Equal),
        Comparison::Lt(other) => order(value, other) == Some(Ordering::Less),
        Comparison::Gt(other) => order(value, other) == Some(Ordering::Greater),
        Comparison::Le(other) => matches!(order(value, other), Some(Ordering::Less | Ordering::Equal)),
        Comparison::Ge(other) => matches!(order(value, other), Some(Ordering::Greater | Ordering::Equal)),
        Comparison::In(others) => others.iter().any(|other| order(value, other) == Some(Ordering::Equal)),
        Comparison::Contains(part) => value.has_text(part),
    }
}

/// What can be asked whether it contains a text.
trait Holding {
    fn has_text(&self, _: &str) -> bool {
        false
    }
}

impl Holding for rust_decimal::Decimal {}
impl Holding for u8 {}
impl Holding for PropertyValue {
    fn has_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(whole) if whole.contains(text))
    }
}

fn order_of_values(a: &PropertyValue, b: &PropertyValue) -> Option<Ordering> {
    match (a, b) {
        (PropertyValue::Null, PropertyValue::Null) => Some(Ordering::Equal),
        (PropertyValue::Bool(a), PropertyValue::Bool(b)) => Some(a.cmp(b)),
        (PropertyValue::Text(a), PropertyValue::Text(b)) => Some(a.cmp(b)),
        // The numbers of our worlds are small, so that floats are exact.
        (PropertyValue::Number(a), PropertyValue::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        _ => None,
    }
}

/// A random condition over the names that a [`World`](super::World) uses, the same for the same seed. `depth` says how
/// deep it may nest.
pub fn any_condition(seed: u64, depth: usize) -> Condition {
    any(&mut Rng::with_seed(seed), depth)
}

fn any(rng: &mut Rng, depth: usize) -> Condition {
    if depth > 0 && rng.u8(..3) > 0 {
        let list = |rng: &mut Rng| (0..rng.usize(..4)).map(|_| any(rng, depth - 1)).collect();
        return match rng.u8(..3) {
            0 => Condition::All(list(rng)),
            1 => Condition::Any(list(rng)),
            _ => Condition::Not(Box::new(any(rng, depth - 1))),
        };
    }
    match rng.u8(..9) {
        8 => {
            let name = rng.choice(["p", "q", "nothing"]).unwrap();
            let test = comparison(rng, any_property);
            if rng.bool() { Condition::profile(name, test) } else { Condition::profile_latest(name, test) }
        }
        0 | 1 => {
            let name = rng.choice(["product_view", "add_to_cart", "purchase", "ad_click", "nowhere"]).unwrap();
            Condition::Touchpoint(Touchpoint::new(name).unwrap())
        }
        2 => Condition::Channel(Channel::new(rng.choice(["web", "email", "phone"]).unwrap()).unwrap()),
        3 => {
            let name = rng.choice(["awareness", "consideration", "decision", "purchase", "retention"]);
            Condition::Stage(StageName::new(name.unwrap()).unwrap())
        }
        4 | 5 => {
            let name = rng.choice(["p", "q", "nothing"]).unwrap();
            let test = match rng.u8(..9) {
                0 => Comparison::Contains("spring".into()),
                1 => Comparison::Contains(String::new()),
                _ => comparison(rng, any_property),
            };
            Condition::property(name, test)
        }
        6 => {
            let currency = Currency::new(rng.choice(["EUR", "USD", "GBP"]).unwrap()).unwrap();
            let test = comparison(rng, |rng| rng.choice(["0", "10", "19.9", "-5.0"]).unwrap().parse().unwrap());
            let free = matches!(test, Comparison::Exists(_)) && rng.bool();
            Condition::Value { currency: (!free).then_some(currency), test }
        }
        _ => {
            let survey = rng.choice(Survey::ALL).unwrap();
            let test = comparison(rng, |rng| rng.u8(..12));
            let free = matches!(test, Comparison::Exists(_)) && rng.bool();
            Condition::Feedback { survey: (!free).then_some(survey), test }
        }
    }
}

fn comparison<T>(rng: &mut Rng, mut one: impl FnMut(&mut Rng) -> T) -> Comparison<T> {
    match rng.u8(..8) {
        0 => Comparison::Eq(one(rng)),
        1 => Comparison::Ne(one(rng)),
        2 => Comparison::Lt(one(rng)),
        3 => Comparison::Le(one(rng)),
        4 => Comparison::Gt(one(rng)),
        5 => Comparison::Ge(one(rng)),
        6 => Comparison::In((0..rng.usize(..3)).map(|_| one(rng)).collect()),
        _ => Comparison::Exists(rng.bool()),
    }
}
