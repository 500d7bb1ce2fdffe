//! What events are told apart by: the stage their customer was in, their touchpoint or their channel.

use serde::{Deserialize, Serialize};

use super::{Binder, Matches, StageReading, carried::Carried};
use crate::{
    journey::{ChannelNo, Journey, Matched, NO_VALUE, NameKind, Names, TouchpointNo},
    model::{Micros, StageName},
};

/// What events, such as answers and exposures, are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventBy {
    /// The stage in which the customer was just before, by the question's journey model.
    Stage,
    /// The stage in which they were with the event, which may bear a stage itself.
    StageAfter,
    /// The touchpoint of the event.
    Touchpoint,
    /// Its channel.
    Channel,
}

impl EventBy {
    /// What tables call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::StageAfter => "stage after",
            Self::Touchpoint => "touchpoint",
            Self::Channel => "channel",
        }
    }
}

/// What events are told apart by, bound to a store. Groups are numbers: [`NO_VALUE`] is none.
#[derive(Debug)]
pub(super) struct Grouping {
    by: Option<EventBy>,
    /// The stages, if events are told apart by these.
    stages: Option<(StageReading, Vec<StageName>)>,
    /// The place of each number's name in the order of names.
    ranks: Vec<u32>,
}

/// When a customer came into which stage.
pub(super) type StageVisits = Vec<(Micros, usize)>;

impl Grouping {
    pub(super) fn bind(binder: &mut Binder<'_>, by: Option<EventBy>, events: Matches) -> Self {
        let mut grouping = Self { by, stages: None, ranks: Vec::new() };
        let (touchpoints, channels) = binder.sizes();
        match by {
            Some(EventBy::Stage | EventBy::StageAfter) => {
                let model = binder.model().clone();
                grouping.stages = Some((binder.stages(&model), model.stages().to_vec()));
            }
            Some(EventBy::Touchpoint) => {
                binder.carry(events, Carried::Touchpoint);
                grouping.ranks = ranks(binder.names(), NameKind::Touchpoint, touchpoints);
            }
            Some(EventBy::Channel) => {
                binder.carry(events, Carried::Channel);
                grouping.ranks = ranks(binder.names(), NameKind::Channel, channels);
            }
            None => {}
        }
        grouping
    }

    /// Reads a journey's visits to stages, if these are asked for.
    pub(super) fn read_visits(&self, journey: &Journey<'_>, visits: &mut StageVisits) {
        visits.clear();
        if let Some((stages, _)) = &self.stages {
            visits.extend(stages.of(journey).map(|visit| (visit.since, visit.stage)));
        }
    }

    /// The group of one of the events, of a journey with these visits.
    pub(super) fn of(&self, events: &Matched<'_>, place: usize, visits: &StageVisits) -> u32 {
        if self.stages.is_none() {
            return carried(events, place);
        }
        let at = events.times.get(place).copied().unwrap_or(Micros::MIN);
        let is_after = self.by == Some(EventBy::StageAfter);
        stage(visits, |since| since < at || (is_after && since == at))
    }

    /// The stage just before a moment, in a journey with these visits, if events are told apart by stage.
    pub(super) fn before(&self, moment: Micros, visits: &StageVisits) -> Option<u32> {
        self.stages.as_ref().map(|_| stage(visits, |since| since < moment))
    }

    /// Its place among others, which no number of a name decides: stages in their order, names in that of letters, none last.
    pub(super) fn rank(&self, group: u32) -> u32 {
        self.ranks.get(group as usize).copied().unwrap_or(group)
    }

    pub(super) fn name(&self, group: u32, names: &Names) -> Option<String> {
        if group == NO_VALUE {
            return None;
        }
        match (&self.stages, self.by) {
            (Some((_, stages)), _) => stages.get(group as usize).map(ToString::to_string),
            (None, Some(EventBy::Touchpoint)) => Some(names.touchpoint(TouchpointNo(group)).to_string()),
            (None, Some(EventBy::Channel)) => Some(names.channel(ChannelNo(group)).to_string()),
            (None, _) => None,
        }
    }
}

/// The group that one of the events carries: its touchpoint or channel.
pub(super) fn carried(events: &Matched<'_>, place: usize) -> u32 {
    events.carried.get(place).copied().unwrap_or(NO_VALUE)
}

/// The stage of the last of the visits that began by then.
fn stage(visits: &StageVisits, has_begun: impl Fn(Micros) -> bool) -> u32 {
    let begun = visits.partition_point(|(since, _)| has_begun(*since));
    let visit = begun.checked_sub(1).and_then(|last| visits.get(last));
    visit.and_then(|(_, stage)| u32::try_from(*stage).ok()).unwrap_or(NO_VALUE)
}

/// For each number of a name its place in the order of names.
fn ranks(names: &Names, kind: NameKind, count: usize) -> Vec<u32> {
    let names = names.read();
    let mut ordered: Vec<(&str, usize)> = names.starting_at(kind, 0).take(count).zip(0..).collect();
    ordered.sort_unstable();
    let mut ranks = vec![0; ordered.len()];
    for (rank, (_, number)) in (0..).zip(ordered) {
        ranks.get_mut(number).into_iter().for_each(|place| *place = rank);
    }
    ranks
}
