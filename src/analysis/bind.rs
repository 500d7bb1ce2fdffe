//! Binding: from the names of a plan to the numbers of one store.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BoundScope, Scope,
    carried::Carried,
    masks::MaskPlan,
    membership::{Bit, Memberships, Node, SegmentReading, Span},
    reader::Reader,
    stage_plan::StagePlan,
    test::Test,
};
use crate::{
    error::InvalidPlan,
    journey::{
        Bitmaps, Identities, Journey, JourneyBatch, Matched, NameKind, Names, Needs, Picked, PropertyNo,
        ReservedNumbers,
    },
    model::{
        Comparison, Condition, JourneyModel, Micros, Segment, SegmentPart, SegmentRef, StageName, find_named, nanos,
    },
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
    /// The segments that have a name.
    stored: &'a BTreeMap<String, Segment>,
    /// Whether what is being bound is asked of each of some segments.
    is_by_segment: bool,
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

    /// The bits that stand for them, and the place of the journey in these, if the plan goes through many at once, and can; else
    /// they were picked.
    pub(crate) fn bitmaps_at<'a>(self, journey: &Journey<'a>) -> Option<(&'a Bitmaps, usize)> {
        journey.bitmaps(self.0)
    }

    /// The bits that stand for all such events of some journeys.
    pub(crate) fn bitmaps<'a>(self, journeys: &JourneyBatch<'a>) -> Option<&'a Bitmaps> {
        journeys.bitmaps(self.0)
    }
}

/// A registered journey model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageReading(usize);

impl StageReading {
    /// How a journey passes through the model's stages: its visits, in order.
    pub fn of<'a>(&self, journey: &Journey<'a>) -> impl DoubleEndedIterator<Item = Visit> + use<'a> {
        let visited = journey.visited(self.0);
        let visit = |(&since, &stage)| Visit { stage: usize::from(stage), since };
        visited.times.iter().zip(visited.stages).map(visit)
    }

    /// The visits of all journeys of a batch, one journey after the other; `None` if they are read one by one.
    pub(crate) fn of_all<'a>(self, journeys: &JourneyBatch<'a>) -> Option<&'a Picked<u8>> {
        journeys.visits(self.0)
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
        stored: &'a BTreeMap<String, Segment>,
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
            memberships: Memberships::default(),
        };
        let sizes = (names.count(NameKind::Touchpoint), names.count(NameKind::Channel));
        let mut binder = Self { names, model, reader, models: Vec::new(), sizes, stored, is_by_segment: false };
        if let Some(filter) = scope.filter_condition() {
            binder.reader.filter = Some(binder.test(filter)?);
        }
        if let Some(segment) = scope.segment_asked() {
            let SegmentReading(place) = binder.segment(segment).map_err(|e| within("scope", &e))?;
            binder.reader.memberships.asked = Some(place);
        }
        Ok(binder)
    }

    pub(crate) fn into_reader(self) -> Reader {
        let mut reader = self.reader;
        reader.memberships.seal(self.sizes);
        reader
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

    /// Lets such a list, of few conditions, be looked at as bits of many journeys at once, where that can be.
    pub(crate) fn as_bits(&mut self, matches: Matches) {
        // Those of each segment are visited one by one.
        if let Some(plan) = self.reader.masks.get_mut(matches.0).filter(|_| !self.is_by_segment) {
            plan.as_bits = true;
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
        let plan = self.stage_plan(model);
        self.models.push(model.clone());
        self.reader.stages.push(plan);
        StageReading(self.models.len() - 1)
    }

    fn stage_plan(&mut self, model: &JourneyModel) -> StagePlan {
        self.need_to_pick();
        let sizes = self.sizes;
        let (names, needs) = (self.names, &mut self.reader.needs);
        needs.stages = true;
        let code =
            |stage: &str| model.position(stage).and_then(|place| u8::try_from(place + 1).ok()).unwrap_or_default();
        let rules = model.rules();
        let tests = rules.iter().map(|rule| Test::bind(&rule.when, names, model, needs)).collect();
        StagePlan::new(
            MaskPlan::new(tests, sizes),
            rules.iter().map(|rule| code(rule.stage.as_str())).collect(),
            rules.iter().enumerate().filter_map(|(i, rule)| Some((i, rule.nth?))).collect(),
            names.read().starting_at(NameKind::Stage, 0).map(code).collect(),
        )
    }

    /// Registers a segment: of each journey it is known whether its customer is in it, by all of their history, whatever the
    /// scope's filter and range say.
    ///
    /// # Errors
    /// [`InvalidPlan`] if no segment is stored under that name, or under one that it names, if it is too large with what its
    /// names stand for, or if it names a stage that the question's model does not have.
    pub fn segment(&mut self, segment: &SegmentRef) -> Result<SegmentReading, InvalidPlan> {
        let (name, segment) = match segment {
            SegmentRef::Is(segment) => (None, segment),
            SegmentRef::Named(name) => {
                let (name, segment) = find_named("segment", name, self.stored)?;
                (Some(name), segment)
            }
        };
        let known = &self.reader.memberships.segments;
        if let Some(place) = known.iter().position(|(known, _)| known == segment) {
            return Ok(SegmentReading(place));
        }
        self.need_to_pick();
        let node = self.segment_node(&segment.part(self.stored, name)?)?;
        let known = &mut self.reader.memberships.segments;
        known.push((segment.clone(), node));
        Ok(SegmentReading(known.len() - 1))
    }

    fn segment_node(&mut self, part: &SegmentPart) -> Result<Node, InvalidPlan> {
        let end = self.reader.scope.end;
        let each = |binder: &mut Self, list: &[SegmentPart]| {
            list.iter().map(|part| binder.segment_node(part)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match part {
            SegmentPart::All(list) => Node::All(each(self, list)?),
            SegmentPart::Any(list) => Node::Any(each(self, list)?),
            SegmentPart::Not(inner) => Node::Not(Box::new(self.segment_node(inner)?)),
            SegmentPart::Did { when, least, most, span } => {
                let [when] = self.of_segment([when.clone()])?;
                let most = most.map(|most| most as usize);
                Node::Did { when, least: *least as usize, most, span: Span::new(span, end) }
            }
            SegmentPart::Then { when, then, within, follows, span } => {
                let [when, then] = self.of_segment([when.clone(), then.clone()])?;
                Node::Then { when, then: then.bit, within: *within, follows: *follows, span: Span::new(span, end) }
            }
            SegmentPart::Edge { when, is_last, is, span } => {
                let (when, is) = if let Some(is) = is {
                    let [when, is] = self.of_segment([when.clone(), is.clone()])?;
                    (when, Some(is.bit))
                } else {
                    let [when] = self.of_segment([when.clone()])?;
                    (when, None)
                };
                Node::Edge { when, is_last: *is_last, is, narrows: span.narrows, span: Span::new(span, end) }
            }
            SegmentPart::Stage(stage) => Node::Stage(self.stage_of_segment(stage)?),
            SegmentPart::Reached(stage, span) => Node::Reached(self.stage_of_segment(stage)?, Span::new(span, end)),
            SegmentPart::Value { of, currency, test, span } => {
                // Only events that have such money add to a sum.
                let has_money = Condition::Value { currency: Some(*currency), test: Comparison::Exists(true) };
                let of = Condition::All(vec![of.clone(), has_money]);
                let test_of = self.segment_test(&of)?;
                Carried::Money(*currency).note_needs(&mut self.reader.needs);
                let list = self.reader.memberships.place_sum(&of, test_of, *currency);
                Node::Value { list, test: test.map(|amount| nanos(*amount)), span: Span::new(span, end) }
            }
        })
    }

    /// Where the events of conditions of a segment are found: all in one list.
    fn of_segment<const N: usize>(&mut self, conditions: [Condition; N]) -> Result<[Bit; N], InvalidPlan> {
        let tests = conditions.iter().map(|condition| self.segment_test(condition)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.reader.memberships.place(conditions, tests))
    }

    fn segment_test(&mut self, condition: &Condition) -> Result<Test, InvalidPlan> {
        self.check_stages(condition)?;
        if condition.asks_stage() {
            self.read_stages_of_segments();
        }
        Ok(Test::bind(condition, self.names, self.model, &mut self.reader.needs))
    }

    fn stage_of_segment(&mut self, stage: &StageName) -> Result<usize, InvalidPlan> {
        self.check_stages(&Condition::Stage(stage.clone()))?;
        self.read_stages_of_segments();
        Ok(self.model.position(stage.as_str()).unwrap_or(usize::MAX))
    }

    fn read_stages_of_segments(&mut self) {
        if self.reader.memberships.stages.is_none() {
            self.reader.memberships.stages = Some(self.stage_plan(self.model));
        }
    }

    /// Binds a plan that is asked of each of some segments, which cannot be done within itself.
    pub(crate) fn by_segment<T>(
        &mut self,
        bind: impl FnOnce(&mut Self) -> Result<T, InvalidPlan>,
    ) -> Result<T, InvalidPlan> {
        if self.is_by_segment {
            return Err(InvalidPlan::new("by_segment", "is asked of a plan that is asked by segment already"));
        }
        self.is_by_segment = true;
        let bound = bind(self);
        self.is_by_segment = false;
        bound
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

fn within(outer: &str, refused: &InvalidPlan) -> InvalidPlan {
    InvalidPlan::new(format!("{outer}.{}", refused.at()), refused.reason())
}
