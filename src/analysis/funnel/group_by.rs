//! A breakdown bound to a store: which group a customer belongs to, and what a report calls it.

use super::{
    Breakdown, BreakdownBy, BreakdownFrom, Ties, Touch,
    any_order::Best,
    chain::Rules,
    groups::{Key, KeyRef},
};
use crate::{
    analysis::{Binder, Matches, carried::Carried},
    journey::{ChannelNo, Matched, NO_VALUE, NameKind, Names, TouchpointNo},
    model::{Micros, ProfileWhen, PropertyValue, Scalar, nanos},
};

/// A breakdown bound to a store.
#[derive(Debug)]
pub(super) struct GroupBy {
    plan: Breakdown,
    /// For each number of a channel or touchpoint its place in the order of names; empty for other values.
    ranks: Vec<u32>,
}

/// An event's value, in the order in which one of several is chosen: what has none comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth<'a> {
    /// A band or a name: its place in their order, and its number.
    Number {
        rank: u32,
        number: u32,
    },
    /// A value and its number.
    Scalar(&'a Scalar, u32),
    Nothing,
}

impl Worth<'_> {
    /// The number by which events carry it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Number { number, .. } | Self::Scalar(_, number) => number,
            Self::Nothing => NO_VALUE,
        }
    }
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
            BreakdownBy::Profile(name) => (Carried::profile(binder, name, ProfileWhen::Then), None),
            BreakdownBy::ProfileLatest(name) => (Carried::profile(binder, name, ProfileWhen::Latest), None),
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

    /// What a chain's group is read off by, of an event that carries this number.
    pub(super) fn worth<'a>(&self, number: u32, values: &'a [Scalar]) -> Worth<'a> {
        match self.plan.by {
            _ if number == NO_VALUE => Worth::Nothing,
            BreakdownBy::Property(_) | BreakdownBy::Profile(_) | BreakdownBy::ProfileLatest(_) => {
                values.get(number as usize).map_or(Worth::Nothing, |value| Worth::Scalar(value, number))
            }
            BreakdownBy::Value(_) => Worth::Number { rank: number, number },
            _ => Worth::Number { rank: self.rank(number), number },
        }
    }

    /// The number of the group's value, by those of the chain's steps.
    pub(super) fn value_among(&self, worths: &[Option<(Micros, Worth<'_>)>]) -> u32 {
        self.plan.from.among(worths).number()
    }

    /// Whether it is known by now, of a chain of so many steps.
    pub(super) fn is_known(&self, worths: &[Option<(Micros, Worth<'_>)>], level: usize) -> bool {
        self.plan.from.is_known(worths, level)
    }

    /// The value, if it is not that of some event of the chain.
    pub(super) fn value_of_whole(&self, events: &Matched<'_>, entry: Micros) -> Option<u32> {
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
    pub(super) fn first_value(&self, rules: &Rules, events: &Matched<'_>, best: Best) -> u32 {
        let entry = best.entry;
        let first = events.times.partition_point(|time| *time < entry);
        let there = events.times.iter().zip(events.words).zip(events.carried).skip(first);
        let values =
            there.take_while(|((time, _), _)| **time == entry).filter(|((_, word), _)| *word & rules.all_steps() != 0);
        let mut worths: Vec<_> = values.map(|(_, number)| self.worth(*number, events.values)).collect();
        worths.sort_unstable();
        worths.dedup();
        // Where one event of an instant serves it need not be any of them.
        let begins = |worth: &Worth<'_>| {
            let best = Best { value: Some(worth.number()), ..best };
            rules.ties != Ties::LaterOnly || rules.first_steps(events, best).is_some()
        };
        worths.into_iter().find(begins).map_or(NO_VALUE, Worth::number)
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
            BreakdownBy::Property(_) | BreakdownBy::Profile(_) | BreakdownBy::ProfileLatest(_) => {
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
