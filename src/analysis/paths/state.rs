//! Paths bound to a store: a tree of all paths, made while visiting.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{PathRepeats, Paths, PathsOf, PathsReport, finish};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Matches, carried::Carried},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, NO_VALUE, Names},
    model::{Condition, Micros, Seq},
};

const START: u64 = 1;
const END: u64 = 2;

/// Paths bound to a store.
#[derive(Debug)]
pub struct BoundPaths {
    pub(super) plan: Paths,
    /// Every event, with whether a path may start and end there.
    events: Matches,
    /// Every event again, with the groups that it is in, if steps are of such.
    groups: Option<Matches>,
    /// The label of each group, by its place in the list below.
    label_of_group: Vec<u32>,
    pub(super) labels: Vec<String>,
    scope: BoundScope,
}

impl Analysis for Paths {
    type Bound = BoundPaths;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundPaths, InvalidPlan> {
        // One that is not asked for never holds.
        let anchor = |condition: &Option<Condition>| condition.clone().unwrap_or(Condition::Any(Vec::new()));
        let anchors = [anchor(&self.start), anchor(&self.end)];
        let events = binder.matches_and_others(&anchors)?;
        if self.start_events.is_some() {
            binder.need_seqs();
        }
        let groups: Option<Vec<(String, Condition)>> = match &self.of {
            PathsOf::Touchpoint => {
                binder.carry(events, Carried::Touchpoint);
                None
            }
            PathsOf::Channel => {
                binder.carry(events, Carried::Channel);
                None
            }
            PathsOf::Stage => {
                let stages = binder.model().stages().iter();
                Some(stages.map(|stage| (stage.to_string(), Condition::Stage(stage.clone()))).collect())
            }
            PathsOf::Groups(groups) => {
                Some(groups.iter().map(|group| (group.label.clone(), group.when.clone())).collect())
            }
        };
        let (mut labels, mut label_of_group) = (Vec::new(), Vec::new());
        let mut conditions = Vec::new();
        for (label, condition) in groups.iter().flatten() {
            let known = labels.iter().position(|known| known == label);
            let place = known.unwrap_or_else(|| {
                labels.push(label.clone());
                labels.len() - 1
            });
            label_of_group.push(u32::try_from(place).unwrap_or(NO_VALUE));
            conditions.push(condition.clone());
        }
        let groups = groups.map(|_| binder.matches_and_others(&conditions)).transpose()?;
        Ok(BoundPaths { plan: self.clone(), events, groups, label_of_group, labels, scope: binder.scope().clone() })
    }
}

/// What is counted: all paths, as a tree.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PathsState {
    pub(super) customers: u64,
    pub(super) paths: u64,
    pub(super) without_end: u64,
    /// Those of them whose session may still go on.
    pub(super) without_end_open: u64,
    pub(super) tree: Vec<Step>,
    pub(super) listed: Vec<Listed>,
    /// Who started without an end.
    pub(super) listed_without_end: Vec<(CustomerNo, Starts)>,
    /// Where a step stands in the tree, by the step before it and its label.
    #[serde(skip)]
    places: HashMap<(usize, u32), usize, RandomState>,
    #[serde(skip)]
    room: Room,
}

/// A step with all steps before it. It stands behind the one before it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Step {
    /// Where the step before it stands, counted from 1; 0 for none.
    pub(super) before: usize,
    pub(super) label: u32,
    /// Paths of which this is the last step that is shown ...
    pub(super) paths: u64,
    /// ... those of them that go on ...
    pub(super) beyond: u64,
    /// ... and those whose session may.
    pub(super) open: u64,
    /// Whose they are.
    pub(super) customers: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) customer: CustomerNo,
    /// The path's last step in the tree, counted from 1.
    pub(super) step: usize,
    pub(super) paths: u64,
    /// Those of them that go on.
    pub(super) beyond: u64,
    /// Those of them whose session may.
    pub(super) open: u64,
    pub(super) first: Micros,
}

/// Starts without an end: how many, in how many sessions that may still go on, and when the first of them was.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Starts {
    pub(super) count: u64,
    pub(super) open: u64,
    pub(super) first: Micros,
}

/// Room for one journey.
#[derive(Debug, Default)]
struct Room {
    labels: Vec<u32>,
    /// The paths taken: their last steps, with the moments of their anchors, and what may come.
    taken: Vec<(usize, Micros, Ahead)>,
    /// The anchors of starts without an end, and whether it may still come.
    without_end: Vec<(Micros, bool)>,
}

/// What lies behind the last step of a path that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    /// Nothing.
    Nothing,
    /// Further steps may come.
    Open,
    /// There are further steps.
    Beyond,
}

/// Of a path whose labels are in the room.
struct Found {
    anchor: Micros,
    beyond: bool,
    /// It has the end that was asked for.
    is_whole: bool,
}

/// The events of a journey.
struct Events<'a> {
    anchors: Matched<'a>,
    groups: Option<(Matched<'a>, &'a [u32])>,
    /// The places in the log at which paths may start, if they were given.
    starts: Option<(&'a Journey<'a>, &'a [Seq])>,
}

impl Events<'_> {
    /// The label of an event, at what it may be anchored, and when it happened; `None` if it is no step.
    fn step(&self, place: usize) -> Option<(u32, u64, Micros)> {
        let label = match &self.groups {
            None => *self.anchors.carried.get(place)?,
            Some((groups, labels)) => *labels.get(groups.words.get(place)?.trailing_zeros() as usize)?,
        };
        let word = *self.anchors.words.get(place)?;
        let word = if self.is_start(place) { word | START } else { word };
        Some((label, word, *self.anchors.times.get(place)?))
    }

    /// Whether an event is one of those at which paths were said to start.
    fn is_start(&self, place: usize) -> bool {
        let Some((journey, starts)) = self.starts else { return false };
        let seq = self.anchors.event(place).and_then(|event| journey.seq(event));
        seq.is_some_and(|seq| starts.binary_search(&seq).is_ok())
    }
}

impl BoundPaths {
    /// Whether paths are read backwards from their ends.
    pub(super) fn is_backward(&self) -> bool {
        !self.has_start() && self.plan.end.is_some()
    }

    /// Whether a start is asked for.
    pub(super) fn has_start(&self) -> bool {
        self.plan.start.is_some() || self.plan.start_events.is_some()
    }

    /// Whether a session whose last event was at this moment may go on after the end of observation.
    fn may_go_on(&self, last: Micros) -> bool {
        self.plan.gap.is_some_and(|gap| self.scope.end.since(last) <= gap.micros().into())
    }

    /// Where the session ends that begins at an event: behind its last one.
    fn end_of_session(&self, times: &[Micros], begin: usize) -> usize {
        let Some(gap) = self.plan.gap else { return times.len() };
        let later = times.get(begin..).unwrap_or_default();
        let pairs = later.iter().zip(later.iter().skip(1));
        let same = pairs.take_while(|(earlier, later)| later.since(**earlier) <= gap.micros().into());
        begin + 1 + same.count()
    }

    /// The path of a session that begins at its start.
    fn forward(&self, events: &Events<'_>, session: Range<usize>, labels: &mut Vec<u32>) -> Option<Found> {
        labels.clear();
        let mut path = session.filter_map(|place| events.step(place));
        let (first, _, anchor) = if self.has_start() {
            path.find(|(_, word, at)| word & START != 0 && self.scope.counts(*at))?
        } else {
            path.next().filter(|(_, _, at)| self.scope.counts(*at))?
        };
        labels.push(first);
        let (mut last, mut beyond) = (first, false);
        for (label, word, _) in path {
            beyond |= !self.take(labels, &mut last, label);
            if word & END != 0 {
                return Some(Found { anchor, beyond, is_whole: true });
            }
            if beyond && self.plan.end.is_none() {
                break;
            }
        }
        Some(Found { anchor, beyond, is_whole: self.plan.end.is_none() })
    }

    /// The path of a session that is read backwards from its end.
    fn backward(&self, events: &Events<'_>, session: Range<usize>, labels: &mut Vec<u32>) -> Option<Found> {
        labels.clear();
        let mut steps = session.clone().filter_map(|place| Some((place, events.step(place)?)));
        let (end, (label, _, anchor)) = steps.find(|(_, (_, word, at))| word & END != 0 && self.scope.counts(*at))?;
        labels.push(label);
        let mut last = label;
        let earlier = (session.start..end).rev().filter_map(|place| events.step(place));
        let beyond = !earlier.map(|(label, _, _)| label).all(|label| self.take(labels, &mut last, label));
        Some(Found { anchor, beyond, is_whole: true })
    }

    /// Takes the next step; says whether there is room for it.
    fn take(&self, labels: &mut Vec<u32>, last: &mut u32, label: u32) -> bool {
        if self.plan.repeats == PathRepeats::Collapsed && *last == label {
            return true;
        }
        *last = label;
        let has_room = labels.len() < self.plan.depth;
        if has_room {
            labels.push(label);
        }
        has_room
    }
}

impl PathsState {
    /// The place of a step behind another one, which is made if it is not there.
    fn place(&mut self, before: usize, label: u32) -> usize {
        let tree = &mut self.tree;
        *self.places.entry((before, label)).or_insert_with(|| {
            tree.push(Step { before, label, paths: 0, beyond: 0, open: 0, customers: 0 });
            tree.len()
        })
    }

    /// Looks up again where steps stand, if the state has been read.
    fn find_places(&mut self) {
        if self.places.len() < self.tree.len() {
            let places = (1..).zip(&self.tree).map(|(place, step)| ((step.before, step.label), place));
            self.places = places.collect();
        }
    }

    fn step(&mut self, place: usize) -> Option<&mut Step> {
        self.tree.get_mut(place.checked_sub(1)?)
    }

    fn add(&mut self, labels: &[u32], anchor: Micros, ahead: Ahead) {
        let place = labels.iter().fold(0, |before, label| self.place(before, *label));
        self.paths += 1;
        if let Some(step) = self.step(place) {
            step.paths += 1;
            step.beyond += u64::from(ahead == Ahead::Beyond);
            step.open += u64::from(ahead == Ahead::Open);
        }
        self.room.taken.push((place, anchor, ahead));
    }

    /// Counts the customer for each variant that they took.
    fn count_customer(&mut self, list: Option<CustomerNo>) {
        let mut taken = std::mem::take(&mut self.room.taken);
        self.customers += u64::from(!taken.is_empty());
        taken.sort_unstable();
        for same in taken.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some(&(place, first, _)) = same.first() else { continue };
            self.step(place).into_iter().for_each(|step| step.customers += 1);
            if let Some(customer) = list {
                let count = |what: Ahead| same.iter().filter(|(.., ahead)| *ahead == what).count() as u64;
                let (paths, beyond, open) = (same.len() as u64, count(Ahead::Beyond), count(Ahead::Open));
                self.listed.push(Listed { customer, step: place, paths, beyond, open, first });
            }
        }
        self.room.taken = taken;
        // They come in the order of time.
        let without_end = &self.room.without_end;
        if let (Some(customer), Some(&(first, _))) = (list, without_end.first()) {
            let open = without_end.iter().filter(|(_, is_open)| *is_open).count() as u64;
            self.listed_without_end.push((customer, Starts { count: without_end.len() as u64, open, first }));
        }
    }
}

impl Bound for BoundPaths {
    type State = PathsState;
    type Report = PathsReport;

    fn start(&self) -> PathsState {
        PathsState::default()
    }

    fn visit(&self, state: &mut PathsState, journey: &Journey<'_>) {
        state.find_places();
        let groups = self.groups.map(|groups| (groups.of(journey), self.label_of_group.as_slice()));
        let starts = self.plan.start_events.as_deref().map(|starts| (journey, starts));
        let events = Events { anchors: self.events.of(journey), groups, starts };
        let times = events.anchors.times;
        let mut labels = std::mem::take(&mut state.room.labels);
        state.room.taken.clear();
        state.room.without_end.clear();
        let mut begin = 0;
        while begin < times.len() {
            let session = begin..self.end_of_session(times, begin);
            begin = session.end;
            let last = session.end.checked_sub(1).and_then(|last| times.get(last));
            let is_open = last.is_some_and(|last| self.may_go_on(*last));
            let found = if self.is_backward() {
                self.backward(&events, session, &mut labels)
            } else {
                self.forward(&events, session, &mut labels)
            };
            match found {
                Some(Found { anchor, beyond, is_whole: true }) => {
                    // At an end that was asked for no further step is waited for.
                    let ahead = match beyond {
                        true => Ahead::Beyond,
                        false if is_open && self.plan.end.is_none() => Ahead::Open,
                        false => Ahead::Nothing,
                    };
                    state.add(&labels, anchor, ahead);
                }
                Some(Found { anchor, .. }) => {
                    state.without_end += 1;
                    state.without_end_open += u64::from(is_open);
                    state.room.without_end.push((anchor, is_open));
                }
                None => {}
            }
        }
        state.room.labels = labels;
        state.count_customer(self.plan.customers.then(|| journey.customer()));
    }

    fn merge(&self, state: &mut PathsState, other: PathsState) {
        state.customers += other.customers;
        state.paths += other.paths;
        state.without_end += other.without_end;
        state.without_end_open += other.without_end_open;
        state.listed_without_end.extend(other.listed_without_end);
        if state.tree.is_empty() {
            state.tree = other.tree;
            state.places = other.places;
            state.listed.extend(other.listed);
            return;
        }
        state.find_places();
        // Where each of the other's steps stands here.
        let mut here = Vec::with_capacity(other.tree.len() + 1);
        here.push(0);
        for there in other.tree {
            let before = here.get(there.before).copied().unwrap_or_default();
            let place = state.place(before, there.label);
            if let Some(step) = state.step(place) {
                step.paths += there.paths;
                step.beyond += there.beyond;
                step.open += there.open;
                step.customers += there.customers;
            }
            here.push(place);
        }
        let moved = |one: Listed| Listed { step: here.get(one.step).copied().unwrap_or_default(), ..one };
        state.listed.extend(other.listed.into_iter().map(moved));
    }

    fn size(&self, state: &PathsState) -> usize {
        // A table is full by half to seven eighths.
        let step = size_of::<Step>() + 2 * size_of::<((usize, u32), usize)>();
        let without_end = state.listed_without_end.len() * size_of::<(CustomerNo, Starts)>();
        state.tree.len() * step + state.listed.len() * size_of::<Listed>() + without_end
    }

    fn finish(&self, state: PathsState, names: &Names) -> Result<PathsReport> {
        Ok(finish::report(self, &state, names))
    }
}
