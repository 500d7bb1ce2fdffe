//! The groups of a funnel's breakdown, read off each chain that qualifies.

use std::cmp::Ordering;

use super::identity_oracle::told_profile;
use super::{chain_oracle::Chain, story::Told};
use crate::{Breakdown, BreakdownBy, BreakdownFrom, Decimal, Event, ProfileWhen, PropertyValue, Touch};

/// A value by which customers are told apart.
#[derive(Debug, Clone)]
pub(super) struct Worth {
    /// What a report says; null for none.
    pub(super) value: PropertyValue,
    /// The place of a band among the bands.
    band: usize,
}

impl Worth {
    pub(super) fn nothing() -> Self {
        Self { value: PropertyValue::Null, band: 0 }
    }

    fn of(value: PropertyValue) -> Self {
        Self { value, band: 0 }
    }

    /// The order that the definition gives: bands by amounts; booleans, numbers, texts, each in its own order; none last.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let kind = |worth: &Self| match worth.value {
            PropertyValue::Bool(_) => 0,
            PropertyValue::Number(_) => 1,
            PropertyValue::Text(_) => 2,
            _ => 3,
        };
        let same_kind = || match (&self.value, &other.value) {
            (PropertyValue::Bool(a), PropertyValue::Bool(b)) => a.cmp(b),
            (PropertyValue::Number(a), PropertyValue::Number(b)) => {
                a.as_f64().unwrap().partial_cmp(&b.as_f64().unwrap()).unwrap()
            }
            (PropertyValue::Text(a), PropertyValue::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => Ordering::Equal,
        };
        kind(self).cmp(&kind(other)).then(self.band.cmp(&other.band)).then_with(same_kind)
    }

    fn is_none(&self) -> bool {
        self.value == PropertyValue::Null
    }
}

/// What a property is worth as a value.
fn worth_of(value: Option<&PropertyValue>) -> Worth {
    match value {
        None | Some(PropertyValue::Null | PropertyValue::Nested(_)) => Worth::nothing(),
        Some(PropertyValue::Number(number)) => {
            // A number is shown in its shortest form: 1 for 1.0.
            let float = number.as_f64().unwrap();
            let whole = format!("{float}").parse::<i64>();
            Worth::of(whole.map_or_else(|_| PropertyValue::Number(number.clone()), PropertyValue::from))
        }
        Some(value) => Worth::of(value.clone()),
    }
}

/// What an event's value is.
fn worth(by: &BreakdownBy, event: &Event) -> Worth {
    match by {
        BreakdownBy::Channel | BreakdownBy::FirstTouch(Touch::Channel) | BreakdownBy::LastTouch(Touch::Channel) => {
            Worth::of(event.channel().as_str().into())
        }
        BreakdownBy::Touchpoint
        | BreakdownBy::FirstTouch(Touch::Touchpoint)
        | BreakdownBy::LastTouch(Touch::Touchpoint) => Worth::of(event.touchpoint().as_str().into()),
        BreakdownBy::Property(name) => worth_of(event.properties().get(name)),
        BreakdownBy::Profile(name) => worth_of(event.properties().get(&told_profile(name, ProfileWhen::Then))),
        BreakdownBy::ProfileLatest(name) => worth_of(event.properties().get(&told_profile(name, ProfileWhen::Latest))),
        BreakdownBy::Value(bands) => {
            let amount = event.value().filter(|money| money.currency() == bands.currency).map(|money| money.amount());
            amount.map_or_else(Worth::nothing, |amount| {
                let place = bands.edges.iter().take_while(|edge| **edge <= amount).count();
                let edge = |place: usize| bands.edges.get(place).map(Decimal::to_string);
                let currency = bands.currency;
                let name = match (place.checked_sub(1).and_then(edge), edge(place)) {
                    (None, to) => format!("under {} {currency}", to.unwrap()),
                    (Some(from), None) => format!("{from} {currency} and more"),
                    (Some(from), Some(to)) => format!("{from} to under {to} {currency}"),
                };
                Worth { value: name.into(), band: place }
            })
        }
    }
}

/// The stories in each of which a funnel is asked: the whole, or the events of each value.
pub(super) fn parts<'a>(breakdown: Option<&Breakdown>, story: &[Told<'a>]) -> Vec<Vec<Told<'a>>> {
    let Some(breakdown) = breakdown.filter(|breakdown| breakdown.from == BreakdownFrom::Each) else {
        return vec![story.to_vec()];
    };
    let mut parts: Vec<(Worth, Vec<Told<'a>>)> = Vec::new();
    for told in story {
        let worth = worth(&breakdown.by, told.event);
        match parts.iter_mut().find(|(known, _)| known.order(&worth).is_eq()) {
            Some((_, part)) => part.push(*told),
            None => parts.push((worth, vec![*told])),
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// The group of a customer, and those of the qualifying chains that have its value.
pub(super) fn group_of(
    breakdown: &Breakdown,
    story: &[Told<'_>],
    chains: Vec<Chain>,
    entry: i64,
) -> (Worth, Vec<Chain>) {
    let by = &breakdown.by;
    let smallest_at = |moment: Option<i64>| {
        let there = story.iter().filter(|told| Some(told.at) == moment).map(|told| worth(by, told.event));
        there.min_by(Worth::order).unwrap_or_else(Worth::nothing)
    };
    match by {
        BreakdownBy::FirstTouch(_) => return (smallest_at(story.iter().map(|told| told.at).min()), chains),
        BreakdownBy::LastTouch(_) => {
            return (smallest_at(story.iter().map(|told| told.at).filter(|at| *at < entry).max()), chains);
        }
        _ => {}
    }
    let worths = |chain: &Chain| chain.iter().map(|&event| worth(by, story[event].event)).collect::<Vec<_>>();
    let read = |chain: &Chain| {
        let worths = worths(chain);
        let found = match breakdown.from {
            BreakdownFrom::FirstEvent | BreakdownFrom::Each => worths.first(),
            BreakdownFrom::Step(step) => worths.get(step - 1),
            BreakdownFrom::FirstDefined => worths.iter().find(|worth| !worth.is_none()),
            BreakdownFrom::LastDefined => worths.iter().rev().find(|worth| !worth.is_none()),
        };
        found.cloned().unwrap_or_else(Worth::nothing)
    };
    let first = read(chains.iter().min_by(|a, b| order_of_chains(breakdown, story, a, b)).unwrap());
    let listed = chains.into_iter().filter(|chain| read(chain).order(&first).is_eq()).collect();
    (first, listed)
}

/// The order of chains: step by step the earlier event, then the smaller value.
pub(super) fn order_of_chains(breakdown: &Breakdown, story: &[Told<'_>], a: &Chain, b: &Chain) -> Ordering {
    let is_touch = matches!(breakdown.by, BreakdownBy::FirstTouch(_) | BreakdownBy::LastTouch(_));
    // A touch is not of an event of the chain.
    let worth_of = |event: usize| if is_touch { Worth::nothing() } else { worth(&breakdown.by, story[event].event) };
    let steps = a.iter().zip(b);
    let differences = steps.map(|(&a, &b)| story[a].at.cmp(&story[b].at).then(worth_of(a).order(&worth_of(b))));
    differences.fold(Ordering::Equal, Ordering::then)
}
