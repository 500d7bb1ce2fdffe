//! What is counted for each group of a breakdown; a funnel without one has a single group.

use std::{borrow::Cow, collections::HashMap};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{answer::Price, optional::OptionalDone};
use crate::{
    analysis::{Durations, amounts::Amounts},
    model::Scalar,
};

/// What is counted at one step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct StepState {
    pub(super) reached: u64,
    /// Of these, customers whose window is over.
    pub(super) reached_settled: u64,
    /// In a funnel of any order, customers who did this step.
    pub(super) done: u64,
    /// Customers who came this far and no further, by how it ended.
    pub(super) dropped: u64,
    pub(super) stopped: u64,
    pub(super) pending: u64,
    pub(super) time: Durations,
    /// Those whose furthest chain that can still go on is here, and for how long by now.
    pub(super) waiting: u64,
    pub(super) waited: Durations,
}

/// What is counted of some customers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    /// The required steps up to the highest that was reached, and behind all of them the optional ones if there are any.
    pub(super) steps: Vec<StepState>,
    pub(super) since_first_entry: Durations,
    /// For each of these steps the money of the events that served it, as far as any had some.
    pub(super) money: Vec<Amounts>,
}

/// The value that makes a group, in the numbers of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Key {
    Nothing,
    /// A channel, a touchpoint or a band.
    Number(u32),
    Scalar(Scalar),
}

/// The same, borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyRef<'a> {
    Nothing,
    Number(u32),
    Scalar(&'a Scalar),
}

/// Groups in the order in which they were met.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Key, Counts)>", into = "Vec<(Key, Counts)>")]
pub(super) struct Groups {
    /// The group without a value, which is all there is if there is no breakdown.
    nothing: Counts,
    /// The others.
    list: Vec<(Key, Counts)>,
    /// Their places in the list: by number, counted from 1, or 0; or else by what they are.
    by_number: Vec<u32>,
    by_scalar: HashMap<Scalar, usize, RandomState>,
}

impl Key {
    pub(super) fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Self::Nothing => KeyRef::Nothing,
            Self::Number(number) => KeyRef::Number(*number),
            Self::Scalar(scalar) => KeyRef::Scalar(scalar),
        }
    }

    /// The bytes that it takes beside itself.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Scalar(Scalar::Text(text)) => text.len(),
            _ => 0,
        }
    }
}

impl KeyRef<'_> {
    pub(super) fn to_key(self) -> Key {
        match self {
            Self::Nothing => Key::Nothing,
            Self::Number(number) => Key::Number(number),
            Self::Scalar(scalar) => Key::Scalar(scalar.clone()),
        }
    }
}

impl Counts {
    /// How many customers entered.
    pub(super) fn entered(&self) -> u64 {
        self.steps.first().map_or(0, |step| step.reached)
    }

    /// The steps, of which so many were reached now.
    #[inline]
    pub(super) fn steps_up_to(&mut self, reached: usize) -> &mut [StepState] {
        if self.steps.len() < reached {
            self.steps.resize_with(reached, StepState::default);
        }
        &mut self.steps
    }

    /// Notes which of so many steps a customer did, in whatever order.
    pub(super) fn note_done(&mut self, steps: usize, done: u64) {
        for (place, step) in self.steps_up_to(steps).iter_mut().enumerate() {
            step.done += done >> place & 1;
        }
    }

    /// Notes which optional steps a customer did, and their money; they stand behind the required ones.
    pub(super) fn note_optional(&mut self, required: usize, done: &[Option<OptionalDone>], settled: bool) {
        if done.is_empty() {
            return;
        }
        let steps = self.steps_up_to(required + done.len());
        for (step, _) in steps.iter_mut().skip(required).zip(done).filter(|(_, done)| done.is_some()) {
            step.reached += 1;
            step.reached_settled += u64::from(settled);
        }
        let prices = (required..).zip(done).filter_map(|(step, done)| Some((step, (*done)?.price)));
        self.note_money(&prices.collect::<Vec<_>>());
    }

    /// Adds the money of events to the steps that they served.
    pub(super) fn note_money(&mut self, prices: &[(usize, Price)]) {
        for &(step, price) in prices {
            let Price::Is(currency, amount) = price else { continue };
            if self.money.len() <= step {
                self.money.resize_with(step + 1, Amounts::default);
            }
            self.money.get_mut(step).into_iter().for_each(|sums| sums.add(amount, currency));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let steps = self.steps_up_to(other.steps.len());
        for (here, there) in steps.iter_mut().zip(other.steps) {
            here.reached += there.reached;
            here.reached_settled += there.reached_settled;
            here.done += there.done;
            here.dropped += there.dropped;
            here.stopped += there.stopped;
            here.pending += there.pending;
            here.waiting += there.waiting;
            here.time.merge(there.time);
            here.waited.merge(there.waited);
        }
        self.since_first_entry.merge(other.since_first_entry);
        if self.money.len() < other.money.len() {
            self.money.resize_with(other.money.len(), Amounts::default);
        }
        self.money.iter_mut().zip(&other.money).for_each(|(here, there)| here.merge(there));
    }

    pub(super) fn size(&self) -> usize {
        let steps = self.steps.iter().map(|step| size_of::<StepState>() + step.time.size() + step.waited.size());
        let money: usize = self.money.iter().map(Amounts::size).sum();
        steps.sum::<usize>() + self.since_first_entry.size() + money
    }
}

impl Groups {
    /// Where the group of a value stands in the list; that without a value does not.
    fn place(&self, key: KeyRef<'_>) -> Option<usize> {
        match key {
            KeyRef::Nothing => None,
            KeyRef::Number(number) => (*self.by_number.get(number as usize)? as usize).checked_sub(1),
            KeyRef::Scalar(scalar) => self.by_scalar.get(scalar).copied(),
        }
    }

    /// The group of a value, if there is one.
    pub(super) fn get(&self, key: KeyRef<'_>) -> Option<&Counts> {
        match key {
            KeyRef::Nothing => Some(&self.nothing),
            _ => self.list.get(self.place(key)?).map(|(_, counts)| counts),
        }
    }

    /// All groups but these as one.
    pub(super) fn all_but<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Counts {
        let mut is_left = vec![true; self.list.len()];
        let mut rest = self.nothing.clone();
        for key in keys {
            match self.place(key.as_ref()) {
                Some(place) => is_left.get_mut(place).into_iter().for_each(|is_left| *is_left = false),
                None if *key == Key::Nothing => rest = Counts::default(),
                None => {}
            }
        }
        let left = self.list.iter().zip(is_left).filter(|(_, is_left)| *is_left);
        left.for_each(|((_, counts), _)| rest.merge(counts.clone()));
        rest
    }

    /// All groups as one.
    pub(super) fn whole(&self) -> Cow<'_, Counts> {
        if self.list.is_empty() {
            return Cow::Borrowed(&self.nothing);
        }
        let mut whole = self.nothing.clone();
        self.list.iter().for_each(|(_, counts)| whole.merge(counts.clone()));
        Cow::Owned(whole)
    }

    /// The same, where the groups are needed no more.
    pub(super) fn into_whole(self) -> Counts {
        let mut whole = self.nothing;
        self.list.into_iter().for_each(|(_, counts)| whole.merge(counts));
        whole
    }

    /// How many there are, with that without a value.
    pub(super) fn count(&self) -> usize {
        self.list.len() + 1
    }

    /// The group of a value.
    pub(super) fn of(&mut self, key: KeyRef<'_>) -> &mut Counts {
        if matches!(key, KeyRef::Nothing) {
            return &mut self.nothing;
        }
        let place = self.place(key).unwrap_or_else(|| self.add(key.to_key()));
        #[expect(clippy::indexing_slicing, reason = "places are those of groups in the list")]
        &mut self.list[place].1
    }

    fn add(&mut self, key: Key) -> usize {
        let place = self.list.len();
        match &key {
            Key::Nothing => {}
            Key::Number(number) => {
                let number = *number as usize;
                if self.by_number.len() <= number {
                    self.by_number.resize(number + 1, 0);
                }
                let known = self.by_number.get_mut(number);
                known.into_iter().for_each(|known| *known = u32::try_from(place + 1).unwrap_or_default());
            }
            Key::Scalar(scalar) => {
                self.by_scalar.insert(scalar.clone(), place);
            }
        }
        self.list.push((key, Counts::default()));
        place
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.nothing.merge(other.nothing);
        for (key, counts) in other.list {
            self.of(key.as_ref()).merge(counts);
        }
    }

    /// The bytes they take, with room for twice as many places as there are.
    pub(super) fn size(&self) -> usize {
        let places = 4 * self.by_number.capacity() + self.by_scalar.capacity() * size_of::<(Scalar, usize)>();
        let group = |(key, counts): &(Key, Counts)| size_of::<(Key, Counts)>() + 2 * key.size() + counts.size();
        self.list.iter().map(group).sum::<usize>() + self.nothing.size() + places
    }

    /// All groups in which somebody entered.
    pub(super) fn into_list(self) -> Vec<(Key, Counts)> {
        let nothing = (self.nothing.entered() > 0).then_some((Key::Nothing, self.nothing));
        self.list.into_iter().chain(nothing).collect()
    }
}

impl From<Vec<(Key, Counts)>> for Groups {
    fn from(list: Vec<(Key, Counts)>) -> Self {
        let mut groups = Self::default();
        for (key, counts) in list {
            groups.of(key.as_ref()).merge(counts);
        }
        groups
    }
}

impl From<Groups> for Vec<(Key, Counts)> {
    fn from(groups: Groups) -> Self {
        groups.into_list()
    }
}
