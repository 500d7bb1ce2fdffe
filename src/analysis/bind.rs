//! Binding: from the names of a plan to the numbers of one store.

use std::sync::Arc;

use super::{BoundScope, Scope, carried::Carried, masks::MaskPlan, reader::Reader, stage_plan::StagePlan, test::Test};
use crate::{
    error::InvalidPlan,
    journey::{Identities, Journey, Matched, NameKind, Names, Needs, PropertyNo, ReservedNumbers},
    model::{Condition, JourneyModel, Micros, StageName},
};

/// What a plan asks for while it is bound: conditions, stages and columns, to be read from the events of one store.
#[derive(Debug)]
pub struct Binder<'a> {
    names: &'a Names,
    model: &'a JourneyModel,
    reader: Reader,
    models: Vec<JourneyModel>,
    /// How many touchpoints and channels there are, for all plans alike: other threads may add some meanwhile, which no
    /// event of this question has.
    sizes: (usize, usize),
}

/// A registered list of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matches(usize);

impl Matches {
    /// The events of a journey for which any of the conditions holds, in order.
    #[inline]
    pub fn of<'a>(&self, journey: &Journey<'a>) -> Matched<'a> {
        journey.matched(self.0)
    }
}

/// A registered journey model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageReading(usize);

impl StageReading {
    /// How a journey passes through the model's stages: its visits, in order.
    pub fn of<'a>(&self, journey: &Journey<'a>) -> impl Iterator<Item = Visit> + use<'a> {
        let visited = journey.visited(self.0);
        let visit = |(&since, &stage)| Visit { stage: usize::from(stage), since };
        visited.times.iter().zip(visited.stages).map(visit)
    }
}

/// A stay in one stage: from its first event to the first event of the next stage. Neighbouring events of the same stage
/// are one visit, and events that bear no stage leave it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The stage, by its place in the model from 0.
    pub stage: usize,
    /// When its first event happened.
    pub since: Micros,
}

impl<'a> Binder<'a> {
    /// Begins binding for a scope, where these ids are one customer; `ends` are the times of the last event it sees, and of
    /// the last event there is.
    pub(crate) fn new(
        names: &'a Names,
        model: &'a JourneyModel,
        scope: &Scope,
        identities: Arc<Identities>,
        ends: (Option<Micros>, Option<Micros>),
    ) -> Result<Self, InvalidPlan> {
        scope.check()?;
        let scope_bound = scope.bind(names, &identities, ends);
        let BoundScope { cuts_end, known_at, .. } = scope_bound;
        let reserved = ReservedNumbers::of(names);
        let touchpoints = reserved.is_any();
        let reader = Reader {
            scope: scope_bound,
            identities,
            reserved,
            filter: None,
            needs: Needs { times: cuts_end, seqs: known_at.is_some(), touchpoints, ..Needs::default() },
            shown: Needs::default(),
            stages: Vec::new(),
            own_model: None,
            masks: Vec::new(),
        };
        let sizes = (names.count(NameKind::Touchpoint), names.count(NameKind::Channel));
        let mut binder = Self { names, model, reader, models: Vec::new(), sizes };
        if let Some(filter) = scope.filter_condition() {
            binder.reader.filter = Some(binder.test(filter)?);
        }
        Ok(binder)
    }

    pub(crate) fn into_reader(self) -> Reader {
        self.reader
    }

    pub(crate) fn scope(&self) -> &BoundScope {
        &self.reader.scope
    }

    /// The names of the store.
    pub fn names(&self) -> &Names {
        self.names
    }

    /// The journey model of the question: the one it names, else the standard one.
    pub fn model(&self) -> &JourneyModel {
        self.model
    }

    /// The last moment that the question sees.
    pub fn observation_end(&self) -> Micros {
        self.reader.scope.end
    }

    /// Whether entries at this moment count: the scope's range.
    pub fn counts(&self, at: Micros) -> bool {
        self.reader.scope.counts(at)
    }

    /// Registers up to 64 conditions: of each journey the events are picked for which any of them holds.
    ///
    /// # Errors
    /// [`InvalidPlan`] if there are more than 64, or one of them cannot be asked: it names a stage that the question's
    /// model does not have, for one.
    pub fn matches(&mut self, conditions: &[Condition]) -> Result<Matches, InvalidPlan> {
        if conditions.len() > 64 {
            return Err(InvalidPlan::new("conditions", format!("there are {}, the limit is 64", conditions.len())));
        }
        let tests = conditions
            .iter()
            .map(|c| {
                c.check()?;
                self.test(c)
            })
            .collect::<Result<Vec<_>, InvalidPlan>>()?;
        self.need_to_pick();
        self.reader.masks.push(MaskPlan::new(tests, self.sizes));
        Ok(Matches(self.reader.masks.len() - 1))
    }

    /// The same, but every event is picked, also those for which no condition holds.
    ///
    /// # Errors
    /// Those of [`matches`](Self::matches).
    pub fn matches_and_others(&mut self, conditions: &[Condition]) -> Result<Matches, InvalidPlan> {
        let matches = self.matches(conditions)?;
        if let Some(plan) = self.reader.masks.last_mut() {
            plan.every_event = true;
        }
        Ok(matches)
    }

    /// Lets each event that such a list picks carry a value along.
    pub(crate) fn carry(&mut self, matches: Matches, carried: Carried) {
        carried.note_needs(&mut self.reader.needs);
        if let Some(plan) = self.reader.masks.get_mut(matches.0) {
            plan.carried = Some(carried);
        }
    }

    /// How many touchpoints and channels the events of this question can have.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        self.sizes
    }

    fn need_to_pick(&mut self) {
        let needs = &mut self.reader.needs;
        (needs.times, needs.touchpoints) = (true, true);
    }

    /// Registers a journey model.
    pub fn stages(&mut self, model: &JourneyModel) -> StageReading {
        if let Some(known) = self.models.iter().position(|m| m == model) {
            return StageReading(known);
        }
        self.need_to_pick();
        let sizes = self.sizes;
        let (names, needs) = (self.names, &mut self.reader.needs);
        needs.stages = true;
        let code =
            |stage: &str| model.position(stage).and_then(|place| u8::try_from(place + 1).ok()).unwrap_or_default();
        let rules = model.rules();
        let tests = rules.iter().map(|rule| Test::bind(&rule.when, names, model, needs)).collect();
        let plan = StagePlan::new(
            MaskPlan::new(tests, sizes),
            rules.iter().map(|rule| code(rule.stage.as_str())).collect(),
            rules.iter().enumerate().filter_map(|(i, rule)| Some((i, rule.nth?))).collect(),
            names.read().starting_at(NameKind::Stage, 0).map(code).collect(),
        );
        self.models.push(model.clone());
        self.reader.stages.push(plan);
        StageReading(self.models.len() - 1)
    }

    /// Asks for a property's column; `None` if no event has it.
    pub fn property(&mut self, name: &str) -> Option<PropertyNo> {
        let number = self.names.find_property(name)?;
        self.reader.shown.properties.add(number.0);
        Some(number)
    }

    /// Asks for the times of events. Those of matching events and of visits come with these.
    pub fn need_times(&mut self) {
        self.reader.shown.times = true;
    }

    /// Asks for the touchpoints of events.
    pub fn need_touchpoints(&mut self) {
        self.reader.shown.touchpoints = true;
    }

    /// Asks for the places of events in the log.
    pub fn need_seqs(&mut self) {
        self.reader.shown.seqs = true;
    }

    /// Asks for the channels of events.
    pub fn need_channels(&mut self) {
        self.reader.shown.channels = true;
    }

    /// Asks for the money of events.
    pub fn need_values(&mut self) {
        self.reader.shown.values = true;
    }

    /// Asks for the answers to surveys.
    pub fn need_feedback(&mut self) {
        self.reader.shown.feedback = true;
    }

    fn test(&mut self, condition: &Condition) -> Result<Test, InvalidPlan> {
        self.check_stages(condition)?;
        if condition.asks_stage() && self.reader.own_model.is_none() {
            let StageReading(place) = self.stages(self.model);
            self.reader.own_model = Some(place);
        }
        self.reader.needs.touchpoints = true;
        Ok(Test::bind(condition, self.names, self.model, &mut self.reader.needs))
    }

    /// Refuses a stage that the question's model does not have: it could never hold.
    fn check_stages(&self, condition: &Condition) -> Result<(), InvalidPlan> {
        match condition {
            Condition::Stage(stage) if self.model.position(stage.as_str()).is_none() => {
                let known = self.model.stages().iter().map(StageName::as_str).collect::<Vec<_>>().join(", ");
                let reason = format!("{stage} is no stage of the question's model {} ({known})", self.model.name());
                Err(InvalidPlan::new("stage", reason))
            }
            Condition::All(list) | Condition::Any(list) => list.iter().try_for_each(|c| self.check_stages(c)),
            Condition::Not(inner) => self.check_stages(inner),
            _ => Ok(()),
        }
    }
}
