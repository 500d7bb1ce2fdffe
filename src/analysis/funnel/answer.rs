//! What is told of the chain that is a customer's answer: the group it makes, its money and its events.

use super::{
    BreakdownFrom, Order,
    any_order::{Best, PriceOf},
    chain::{Reached, Trail},
    choose::Choice,
    group_by::{GroupBy, Worth},
    hold::Part,
    state::BoundFunnel,
};
use crate::{
    journey::{Journey, Matched, MatchedRoom, NO_VALUE},
    model::{Currency, Micros, Scalar},
};

/// The money of an event. Of several the one that comes first counts, and those without any last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Price {
    Is(Currency, i128),
    Nothing,
}

/// A customer's matching events, or if properties are held constant the parts of them.
#[derive(Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) journey: &'a Journey<'a>,
    pub(super) events: &'a Matched<'a>,
    pub(super) parts: Option<&'a [Part]>,
}

/// What is told of the answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The number of the group's value.
    pub(super) value: u32,
    /// In a funnel of any order the steps that were done, as bits.
    pub(super) done: u64,
    /// The money of each required step (from 0), if it is asked for.
    pub(super) money: Vec<(usize, Price)>,
    /// The events that served, each with its step (from 0), if they are kept.
    pub(super) events: Vec<(usize, usize)>,
    /// Whether there were too many chains to choose among them.
    pub(super) is_too_much: bool,
}

/// For each step of a chain the moment and what else decides of its event.
type BySteps<K> = Vec<Option<(Micros, K)>>;

/// The chain that comes first.
struct Chosen<'a> {
    /// What decides between two of them, in this order.
    order: (BySteps<Worth<'a>>, BySteps<Price>),
    events: Vec<usize>,
    is_too_much: bool,
}

impl Served<'_> {
    /// The money of the event at a place of some matching events.
    pub(super) fn price(&self, events: &Matched<'_>, place: usize) -> Price {
        let money = events.event(place).and_then(|event| self.journey.value(event));
        money.map_or(Price::Nothing, |(amount, currency)| Price::Is(currency, amount))
    }
}

impl BoundFunnel {
    /// What is told of the answer of a customer whose furthest chain that is.
    pub(super) fn answer<T: Trail>(&self, served: Served<'_>, level: usize, last: Reached<T>) -> Answer {
        let span = (last.entry, last.at);
        let whole = match &self.groups {
            None => Some(NO_VALUE),
            Some(groups) => groups.value_of_whole(served.events, last.entry),
        };
        if self.rules.order == Order::Any {
            return self.answer_in_any_order::<T>(served, level, span, whole);
        }
        let by_chain = self.groups.as_ref().filter(|_| whole.is_none());
        if by_chain.is_none() && !self.plan.value {
            let events = last.trail.into_places().into_iter().enumerate().collect();
            return Answer { value: whole.unwrap_or(NO_VALUE), done: 0, money: Vec::new(), events, is_too_much: false };
        }
        let choose = |events: &Matched<'_>| self.choose::<T>(served, events, by_chain, level, span);
        let chosen = match served.parts {
            None => choose(served.events),
            Some(parts) => {
                let mut room = MatchedRoom::default();
                let time = |place: usize| served.events.times.get(place).copied().unwrap_or(Micros::MAX);
                let chosen = parts.iter().filter_map(|part| {
                    // What lies before and after is left out, as there may be many attempts in one part.
                    let first = part.partition_point(|(place, _)| time(*place) < self.rules.earliest(span.0));
                    let end = part.partition_point(|(place, _)| time(*place) <= span.1);
                    let part = part.get(first..end).unwrap_or_default();
                    let mut chosen = choose(&served.events.at(part.iter().copied(), &mut room))?;
                    chosen.events.place_in(part);
                    Some(chosen)
                });
                chosen.min_by(|a, b| a.order.cmp(&b.order))
            }
        };
        let nothing = || Chosen { order: (Vec::new(), Vec::new()), events: Vec::new(), is_too_much: false };
        let Chosen { order: (worths, prices), events, is_too_much } = chosen.unwrap_or_else(nothing);
        let prices = prices.into_iter().map(|price| price.map_or(Price::Nothing, |(_, price)| price));
        Answer {
            value: whole.unwrap_or_else(|| by_chain.map_or(NO_VALUE, |groups| groups.value_among(&worths))),
            done: 0,
            money: prices.enumerate().collect(),
            events: events.into_iter().enumerate().collect(),
            is_too_much,
        }
    }

    /// Of the chains over some events the one that comes first; `None` if there is none. It is looked at no further than the
    /// answer needs.
    fn choose<'a, T: Trail>(
        &'a self,
        served: Served<'a>,
        events: &Matched<'_>,
        by_chain: Option<&'a GroupBy>,
        level: usize,
        span: (Micros, Micros),
    ) -> Option<Chosen<'a>> {
        let values: &'a [Scalar] = served.events.values;
        let mut choice = Choice::new(&self.rules, events, level, span);
        if served.parts.is_some() && !choice.is_there() {
            return None;
        }
        let is_whole = T::IS_KEPT || self.plan.value || served.parts.is_some();
        let worth = |place: usize| {
            let number = events.carried.get(place).copied().unwrap_or(NO_VALUE);
            by_chain.map_or(Worth::Nothing, |groups| groups.worth(number, values))
        };
        let mut worths = Vec::new();
        for step in 0..level {
            if !is_whole && by_chain.is_some_and(|groups| groups.is_known(&worths, level)) {
                break;
            }
            worths.push(choice.step(step, worth));
        }
        let priced = if self.plan.value { level } else { 0 };
        let prices = (0..priced).map(|step| choice.step(step, |place| served.price(events, place))).collect();
        let events = if T::IS_KEPT { choice.trail() } else { Vec::new() };
        Some(Chosen { order: (worths, prices), events, is_too_much: choice.is_too_much() })
    }

    fn answer_in_any_order<T: Trail>(
        &self,
        served: Served<'_>,
        level: usize,
        span: (Micros, Micros),
        whole: Option<u32>,
    ) -> Answer {
        let (events, rules) = (served.events, &self.rules);
        let best = Best { level, entry: span.0, at: span.1, value: None };
        let first_value = |groups: &GroupBy| match served.parts {
            None => groups.first_value(rules, events, best),
            Some(parts) => {
                let mut room = MatchedRoom::default();
                let values = parts.iter().filter_map(|part| {
                    let own = events.at(part.iter().copied(), &mut room);
                    let is_there = rules.is_reached_in_any_order(&own, level, span);
                    is_there.then(|| groups.worth(groups.first_value(rules, &own, best), events.values))
                });
                values.min().map_or(NO_VALUE, Worth::number)
            }
        };
        let of_event = self.groups.as_ref().filter(|_| whole.is_none()).map(first_value);
        let begins = self.groups.as_ref().filter(|groups| groups.is_of_event()).and(of_event.or(whole));
        let price = |events: &Matched<'_>, place: usize| served.price(events, place);
        let price = self.plan.value.then_some(&price as &PriceOf<'_>);
        let best = Best { value: begins, ..best };
        let found = rules.done_in_any_order::<T>((events, served.parts), best, price);
        let value = whole.or(of_event).unwrap_or(NO_VALUE);
        Answer { value, done: found.steps, money: found.money, events: found.chain, is_too_much: false }
    }
}

impl BreakdownFrom {
    /// Which of a chain's values counts; those of its first steps are known.
    pub(super) fn among<'a>(self, worths: &[Option<(Micros, Worth<'a>)>]) -> Worth<'a> {
        let mut worths = worths.iter().map(|worth| worth.map_or(Worth::Nothing, |(_, worth)| worth));
        let is_one = |worth: &Worth<'_>| *worth != Worth::Nothing;
        let found = match self {
            Self::FirstEvent | Self::Each => worths.next(),
            Self::Step(step) => worths.nth(step - 1),
            Self::FirstDefined => worths.find(is_one),
            Self::LastDefined => worths.rfind(is_one),
        };
        found.unwrap_or(Worth::Nothing)
    }

    /// Whether it is known by now, of a chain of so many steps.
    pub(super) fn is_known(self, worths: &[Option<(Micros, Worth<'_>)>], level: usize) -> bool {
        match self {
            Self::FirstEvent | Self::Each => !worths.is_empty(),
            Self::Step(step) => step > level || worths.len() >= step,
            Self::FirstDefined => self.among(worths) != Worth::Nothing,
            Self::LastDefined => false,
        }
    }
}
