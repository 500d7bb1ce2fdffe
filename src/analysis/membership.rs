//! Which customers are in the segments that a question names: worked out for all journeys of a chunk at once, before any
//! plan sees one, from all that the scope's `as_of` and `known_at` leave of them.

use super::{
    carried::Carried,
    kept::Kept,
    masks::MaskPlan,
    numbers::Numbers,
    stage_plan::{Codes, StagePlan},
    test::Test,
};
use crate::{
    journey::{Chunk, History, Journey, Picked, Readings},
    model::{Comparison, Condition, Currency, Micros, Segment, SegmentSpan, Window},
};

/// So many conditions are tried in one look at each event.
const CONDITIONS: usize = 64;

/// A registered segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentReading(pub(super) usize);

impl SegmentReading {
    /// Whether the customer of a journey is in it.
    pub fn holds(&self, journey: &Journey<'_>) -> bool {
        journey.is_member(self.0)
    }
}

/// The segments of a question, bound to a store.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    pub(super) segments: Vec<(Segment, Node)>,
    lists: Vec<List>,
    /// The question's own model, if any of them asks for a stage.
    pub(super) stages: Option<StagePlan>,
    masks: Vec<MaskPlan>,
    /// The one whose customers are asked of, if not all are.
    pub(super) asked: Option<usize>,
}

/// Conditions that are tried together.
#[derive(Debug)]
struct List {
    conditions: Vec<(Condition, Test)>,
    /// The currency in which its events' money is summed.
    sums: Option<Currency>,
}

/// Events of one list: those of whose words this bit is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bit {
    list: usize,
    pub(super) bit: u64,
}

/// A part of a segment in the numbers of one store.
#[derive(Debug)]
pub(super) enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Did {
        when: Bit,
        least: usize,
        most: Option<usize>,
        span: Span,
    },
    /// Both conditions are of one list.
    Then {
        when: Bit,
        then: u64,
        within: Option<Window>,
        follows: bool,
        span: Span,
    },
    /// So are these.
    Edge {
        when: Bit,
        is_last: bool,
        is: Option<u64>,
        span: Span,
        narrows: bool,
    },
    /// By its place in the model.
    Stage(usize),
    Reached(usize, Span),
    Value {
        list: usize,
        test: Comparison<i128>,
        span: Span,
    },
}

/// The times that a part looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: Micros,
    to: Option<Micros>,
}

impl Span {
    /// For an observation that ends then.
    pub(super) fn new(span: &SegmentSpan, end: Micros) -> Self {
        let past = span.past.map(|past| Micros(end.0.saturating_sub(past.micros())));
        Self { from: span.from.into_iter().chain(past).max().unwrap_or(Micros::MIN), to: span.to }
    }

    fn holds(self, at: Micros) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

impl Memberships {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Where conditions that are looked at together stand: all in one list.
    pub(super) fn place<const N: usize>(&mut self, conditions: [Condition; N], tests: Vec<Test>) -> [Bit; N] {
        let missing = |list: &List| {
            conditions.iter().filter(|wanted| !list.conditions.iter().any(|(known, _)| known == *wanted)).count()
        };
        let has_room = |list: &List| list.sums.is_none() && list.conditions.len() + missing(list) <= CONDITIONS;
        let list = self.lists.iter().position(has_room).unwrap_or_else(|| {
            self.lists.push(List { conditions: Vec::new(), sums: None });
            self.lists.len() - 1
        });
        let mut tests = tests.into_iter();
        conditions.map(|condition| {
            let (Some(List { conditions: known, .. }), Some(test)) = (self.lists.get_mut(list), tests.next()) else {
                return Bit { list, bit: 0 };
            };
            let place = known.iter().position(|(known, _)| *known == condition).unwrap_or_else(|| {
                known.push((condition, test));
                known.len() - 1
            });
            Bit { list, bit: 1 << (place % CONDITIONS) }
        })
    }

    /// A list of events whose money in a currency is summed.
    pub(super) fn place_sum(&mut self, of: &Condition, test: Test, currency: Currency) -> usize {
        let known =
            |list: &List| list.sums == Some(currency) && list.conditions.iter().all(|(condition, _)| condition == of);
        self.lists.iter().position(known).unwrap_or_else(|| {
            self.lists.push(List { conditions: vec![(of.clone(), test)], sums: Some(currency) });
            self.lists.len() - 1
        })
    }

    /// Makes ready to read, in a store of so many touchpoints and channels.
    pub(super) fn seal(&mut self, sizes: (usize, usize)) {
        let mask = |List { conditions, sums }: List| {
            let mut plan = MaskPlan::new(conditions.into_iter().map(|(_, test)| test).collect(), sizes);
            plan.carried = sums.map(Carried::Money);
            plan
        };
        self.masks = std::mem::take(&mut self.lists).into_iter().map(mask).collect();
    }

    /// Works out for each segment which journeys of a chunk are in it. `kept` is what observation leaves of them, whatever a
    /// filter says.
    pub(super) fn read(
        &self,
        chunk: &Chunk<'_>,
        numbers: &[Numbers<'_>],
        kept: &Kept,
        readings: &mut Readings,
        end: Micros,
    ) {
        let Readings { history, members, .. } = readings;
        let pick_visits = |plan: &StagePlan| plan.pick_visits(chunk, numbers, kept, &mut history.visits);
        let codes = self.stages.as_ref().map_or_else(Codes::default, pick_visits);
        history.matches.resize_with(self.masks.len(), Default::default);
        for (plan, picked) in self.masks.iter().zip(&mut history.matches) {
            plan.pick(chunk, kept, (&codes, numbers), false, picked);
        }
        members.resize_with(self.segments.len(), Vec::new);
        for ((_, node), members) in self.segments.iter().zip(members) {
            members.clear();
            members.extend((0..chunk.len()).map(|journey| Past { history, journey, end }.is(node)));
        }
    }
}

/// One journey as segments look at it.
#[derive(Clone, Copy)]
struct Past<'a> {
    history: &'a History,
    journey: usize,
    end: Micros,
}

impl<'a> Past<'a> {
    fn is(self, node: &Node) -> bool {
        match node {
            Node::All(list) => list.iter().all(|node| self.is(node)),
            Node::Any(list) => list.iter().any(|node| self.is(node)),
            Node::Not(inner) => !self.is(inner),
            Node::Did { when, least, most, span } => {
                // One more than is asked for is enough to know.
                let enough = most.map_or(*least, |most| most.saturating_add(1));
                let count = self.events(*when).filter(|(at, _)| span.holds(*at)).take(enough).count();
                count >= *least && most.is_none_or(|most| count <= most)
            }
            Node::Then { when, then, within, follows, span } => {
                self.is_followed(*when, *then, *within, *span, *follows)
            }
            Node::Edge { when, is_last, is, span, narrows } => {
                let mut events = self.events(*when).filter(|(at, _)| !narrows || span.holds(*at));
                let event = if *is_last { events.last() } else { events.next() };
                event.is_some_and(|(at, word)| span.holds(at) && is.is_none_or(|is| word & is != 0))
            }
            Node::Stage(stage) => self.visits().last().is_some_and(|(_, now)| now == *stage),
            Node::Reached(stage, span) => self.visits().any(|(at, reached)| reached == *stage && span.holds(at)),
            Node::Value { list, test, span } => {
                let Some((picked, range)) = self.list(*list) else { return false };
                let times = picked.times.get(range.clone()).unwrap_or_default();
                let places = picked.carried.get(range).unwrap_or_default();
                let amounts = times.iter().zip(places).filter(|(at, _)| span.holds(**at));
                let amounts = amounts.filter_map(|(_, place)| picked.amounts.get(*place as usize));
                let sum = amounts.fold(0_i128, |sum, amount| sum.saturating_add(*amount));
                test.holds(|other| Some(sum.cmp(other)), |_| false)
            }
        }
    }

    fn list(self, list: usize) -> Option<(&'a Picked<u64>, std::ops::Range<usize>)> {
        let picked = self.history.matches.get(list)?;
        Some((picked, picked.range(self.journey)))
    }

    /// The times and words of a list's events.
    fn words(self, list: usize) -> (&'a [Micros], &'a [u64]) {
        let Some((picked, range)) = self.list(list) else { return (&[], &[]) };
        (picked.times.get(range.clone()).unwrap_or_default(), picked.what.get(range).unwrap_or_default())
    }

    /// The events for which a condition holds.
    fn events(self, Bit { list, bit }: Bit) -> impl Iterator<Item = (Micros, u64)> + use<'a> {
        let (times, words) = self.words(list);
        times.iter().copied().zip(words.iter().copied()).filter(move |(_, word)| word & bit != 0)
    }

    fn visits(self) -> impl Iterator<Item = (Micros, usize)> + use<'a> {
        let picked = &self.history.visits;
        let range = picked.range(self.journey);
        let times = picked.times.get(range.clone()).unwrap_or_default();
        let stages = picked.what.get(range).unwrap_or_default();
        times.iter().copied().zip(stages.iter().map(|stage| usize::from(*stage)))
    }

    /// Whether there is an event that another follows in time, or one that none follows though its time is over. The other is
    /// the earliest that is not before it and not itself, so what is looked for only ever moves on.
    fn is_followed(self, when: Bit, then: u64, within: Option<Window>, span: Span, follows: bool) -> bool {
        let (times, words) = self.words(when.list);
        let is_then = |place: usize| words.get(place).is_some_and(|word| word & then != 0);
        let at = |place: usize| times.get(place).copied();
        let next_from = |place: usize, from: Micros| {
            (place..times.len()).find(|place| is_then(*place) && at(*place).is_some_and(|at| at >= from))
        };
        let mut next = Some(0);
        for (place, &from) in times.iter().enumerate() {
            if words.get(place).is_none_or(|word| word & when.bit == 0) || !span.holds(from) {
                continue;
            }
            next = next.and_then(|next| next_from(next, from));
            let other = if next == Some(place) { next_from(place + 1, from) } else { next };
            let window = |later: Micros| within.is_none_or(|within| later.since(from) <= within.micros().into());
            let is_followed = other.and_then(at).is_some_and(window);
            let is_over = || within.is_none_or(|within| self.end.since(from) >= within.micros().into());
            if follows && is_followed || !follows && !is_followed && is_over() {
                return true;
            }
        }
        false
    }
}
