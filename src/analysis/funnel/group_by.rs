//! A breakdown bound to a store: which group a customer belongs to, and what a report calls it.

use std::cmp::Ordering;

use super::{
    Breakdown, BreakdownBy, BreakdownFrom, Order, Touch,
    chain::{Reached, Rules, Trail},
    choose::Choice,
    groups::{Key, KeyRef},
    hold::Part,
};
use crate::{
    analysis::{Binder, Matches, carried::Carried},
    journey::{ChannelNo, Matched, MatchedRoom, NO_VALUE, NameKind, Names, TouchpointNo},
    model::{Micros, PropertyValue, Scalar, nanos, profile_property},
};

/// A breakdown bound to a store.
#[derive(Debug)]
pub(super) struct GroupBy {
    plan: Breakdown,
    /// For each number of a channel or touchpoint its place in the order of names; empty for other values.
    ranks: Vec<u32>,
}

/// How a report orders groups: those of no value come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Band(u32),
    Scalar(Scalar),
    Nothing,
}

impl Breakdown {
    /// Whether events matter for which no condition holds.
    pub(super) fn looks_at_every_event(&self) -> bool {
        matches!(self.by, BreakdownBy::FirstTouch(_) | BreakdownBy::LastTouch(_))
    }

    /// Binds it, and lets the events of these conditions carry its value.
    pub(super) fn bind(&self, binder: &mut Binder<'_>, matches: Matches) -> GroupBy {
        let (touchpoints, channels) = binder.sizes();
        let (carried, named) = match &self.by {
            BreakdownBy::Channel | BreakdownBy::FirstTouch(Touch::Channel) | BreakdownBy::LastTouch(Touch::Channel) => {
                (Carried::Channel, Some((NameKind::Channel, channels)))
            }
            BreakdownBy::Touchpoint
            | BreakdownBy::FirstTouch(Touch::Touchpoint)
            | BreakdownBy::LastTouch(Touch::Touchpoint) => {
                (Carried::Touchpoint, Some((NameKind::Touchpoint, touchpoints)))
            }
            BreakdownBy::Property(name) => {
                (Carried::Property(binder.names().find_property(name).map(|number| number.0)), None)
            }
            BreakdownBy::Profile(name) => {
                (Carried::Profile(binder.names().find(NameKind::Property, &profile_property(name))), None)
            }
            BreakdownBy::Value(bands) => {
                (Carried::Band(bands.currency, bands.edges.iter().map(|edge| nanos(*edge)).collect()), None)
            }
        };
        let ranks = named.map_or_else(Vec::new, |(kind, count)| ranks(binder.names(), kind, count));
        binder.carry(matches, carried);
        GroupBy { plan: self.clone(), ranks }
    }
}

/// For each of so many names its place among them in order.
fn ranks(names: &Names, kind: NameKind, count: usize) -> Vec<u32> {
    let tables = names.read();
    let mut order: Vec<(&str, usize)> = tables.starting_at(kind, 0).take(count).zip(0..).collect();
    order.sort_unstable();
    let mut ranks = vec![0; order.len()];
    for (rank, (_, number)) in (0..).zip(order) {
        ranks.get_mut(number).into_iter().for_each(|place| *place = rank);
    }
    ranks
}

impl GroupBy {
    /// The values of the two groups that are compared.
    pub(super) fn compared(&self) -> Option<(PropertyValue, PropertyValue)> {
        self.plan.compare.clone()
    }

    pub(super) fn limit(&self) -> usize {
        self.plan.limit
    }

    /// Whether it is one funnel for each value.
    pub(super) fn is_each(&self) -> bool {
        self.plan.from == BreakdownFrom::Each
    }

    /// Whether the value is that of some event of the chain.
    pub(super) fn is_of_event(&self) -> bool {
        !matches!(self.plan.by, BreakdownBy::FirstTouch(_) | BreakdownBy::LastTouch(_))
    }

    /// The value of a customer whose furthest chain that is.
    pub(super) fn value<T>(&self, rules: &Rules, events: &Matched<'_>, level: usize, last: &Reached<T>) -> u32 {
        self.value_of_whole(events, last.entry).unwrap_or_else(|| match rules.order {
            Order::Any => self.first_value(rules, events, last.entry),
            _ => self.choice(rules, events, level, last).value(self.plan.from),
        })
    }

    /// The same with the events of a chain that has it.
    pub(super) fn value_and_trail(
        &self,
        rules: &Rules,
        events: &Matched<'_>,
        level: usize,
        last: Reached<Vec<usize>>,
    ) -> (u32, Vec<usize>) {
        if let Some(value) = self.value_of_whole(events, last.entry) {
            return (value, last.trail);
        }
        if rules.order == Order::Any {
            return (self.first_value(rules, events, last.entry), last.trail);
        }
        let mut choice = self.choice(rules, events, level, &last).keeping_events();
        (choice.value(self.plan.from), choice.trail())
    }

    /// The same where the chain may be one of several parts of a journey's events.
    pub(super) fn value_and_trail_of_parts(
        &self,
        rules: &Rules,
        (events, parts): (&Matched<'_>, &[Part]),
        level: usize,
        last: Reached<Vec<usize>>,
    ) -> (u32, Vec<usize>) {
        if let Some(value) = self.value_of_whole(events, last.entry) {
            return (value, last.trail);
        }
        if rules.order == Order::Any {
            let mut room = MatchedRoom::default();
            let values = parts.iter().filter_map(|part| {
                let events = events.at(part.iter().copied(), &mut room);
                let is_there = rules.is_reached_in_any_order(&events, level, (last.entry, last.at));
                is_there.then(|| self.first_value(rules, &events, last.entry))
            });
            let first = values.min_by(|a, b| self.compare(events, *a, *b));
            return (first.unwrap_or(NO_VALUE), last.trail);
        }
        let mut rooms: Vec<MatchedRoom> = parts.iter().map(|_| MatchedRoom::default()).collect();
        let mut best: Option<(u32, Choice<'_, _>, &Part)> = None;
        for (part, room) in parts.iter().zip(&mut rooms) {
            let events = events.at(part.iter().copied(), room);
            let mut choice = self.choice(rules, &events, level, &last).keeping_events();
            if !choice.is_there() {
                continue;
            }
            let value = choice.value(self.plan.from);
            if best.as_ref().is_none_or(|(_, best, _)| choice.comes_before(best)) {
                best = Some((value, choice, part));
            }
        }
        best.map_or((NO_VALUE, last.trail), |(value, choice, part)| {
            let mut trail = choice.trail();
            trail.place_in(part);
            (value, trail)
        })
    }

    /// The value, if it is not that of some event of the chain.
    fn value_of_whole(&self, events: &Matched<'_>, entry: Micros) -> Option<u32> {
        match self.plan.by {
            // All of them carry the same.
            _ if self.is_each() => Some(events.carried.first().copied().unwrap_or(NO_VALUE)),
            BreakdownBy::FirstTouch(_) => Some(self.touch(events, events.times.first().copied())),
            BreakdownBy::LastTouch(_) => {
                let before = events.times.partition_point(|time| *time < entry);
                Some(self.touch(events, before.checked_sub(1).and_then(|place| events.times.get(place)).copied()))
            }
            _ => None,
        }
    }

    /// In a funnel of any order: the first value of those events with which a chain may begin.
    fn first_value(&self, rules: &Rules, events: &Matched<'_>, entry: Micros) -> u32 {
        let first = events.times.partition_point(|time| *time < entry);
        let there = events.times.iter().zip(events.words).zip(events.carried).skip(first);
        let values =
            there.take_while(|((time, _), _)| **time == entry).filter(|((_, word), _)| *word & rules.all_steps() != 0);
        values.map(|(_, value)| *value).min_by(|a, b| self.compare(events, *a, *b)).unwrap_or(NO_VALUE)
    }

    /// How two values are ordered; what has none comes last.
    fn compare(&self, events: &Matched<'_>, one: u32, other: u32) -> Ordering {
        (one == NO_VALUE).cmp(&(other == NO_VALUE)).then_with(|| self.order(events.values, one, other))
    }

    fn order(&self, values: &[Scalar], one: u32, other: u32) -> Ordering {
        match self.plan.by {
            BreakdownBy::Property(_) | BreakdownBy::Profile(_) => {
                values.get(one as usize).cmp(&values.get(other as usize))
            }
            BreakdownBy::Value(_) => one.cmp(&other),
            _ => self.rank(one).cmp(&self.rank(other)),
        }
    }

    fn choice<'a, T>(
        &'a self,
        rules: &'a Rules,
        events: &Matched<'a>,
        level: usize,
        last: &Reached<T>,
    ) -> Choice<'a, impl Fn(u32, u32) -> Ordering + 'a> {
        let values = events.values;
        let order = move |one: u32, other: u32| self.order(values, one, other);
        Choice::new(rules, events, level, last, order)
    }

    fn rank(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or(u32::MAX)
    }

    /// The smallest name among the events of a moment.
    fn touch(&self, events: &Matched<'_>, moment: Option<Micros>) -> u32 {
        let Some(moment) = moment else { return NO_VALUE };
        let first = events.times.partition_point(|time| *time < moment);
        let end = events.times.partition_point(|time| *time <= moment);
        let there = events.carried.get(first..end).unwrap_or_default();
        there.iter().copied().min_by_key(|number| self.rank(*number)).unwrap_or(NO_VALUE)
    }

    /// The key of a value that events carry.
    pub(super) fn key<'a>(&self, value: u32, values: &'a [Scalar]) -> KeyRef<'a> {
        match self.plan.by {
            _ if value == NO_VALUE => KeyRef::Nothing,
            BreakdownBy::Property(_) | BreakdownBy::Profile(_) => {
                values.get(value as usize).map_or(KeyRef::Nothing, KeyRef::Scalar)
            }
            _ => KeyRef::Number(value),
        }
    }

    /// What a report calls a group.
    pub(super) fn name(&self, key: &Key, names: &Names) -> Name {
        match (key, &self.plan.by) {
            (Key::Nothing, _) => Name::Nothing,
            (Key::Scalar(scalar), _) => Name::Scalar(scalar.clone()),
            (Key::Number(band), BreakdownBy::Value(_)) => Name::Band(*band),
            (
                Key::Number(number),
                BreakdownBy::Channel | BreakdownBy::FirstTouch(Touch::Channel) | BreakdownBy::LastTouch(Touch::Channel),
            ) => Name::Scalar(Scalar::Text(names.channel(ChannelNo(*number)).to_string())),
            (Key::Number(number), _) => Name::Scalar(Scalar::Text(names.touchpoint(TouchpointNo(*number)).to_string())),
        }
    }

    /// A name as a report says it.
    pub(super) fn shown(&self, name: Name) -> PropertyValue {
        match (name, &self.plan.by) {
            (Name::Scalar(scalar), _) => scalar.into(),
            (Name::Band(band), BreakdownBy::Value(bands)) => bands.name(band as usize).into(),
            _ => PropertyValue::Null,
        }
    }
}
