//! Reads chunks for a question: keeps the rows in scope, and picks the events that its plans ask for, for all journeys
//! at once.

use std::{ops::Range, sync::Arc};

use super::{
    BoundScope,
    kept::Kept,
    masks::MaskPlan,
    membership::Memberships,
    numbers::Numbers,
    pieces::{LARGE_ROOM, ROWS_AT_ONCE, pieces},
    stage_plan::{Codes, StagePlan},
    test::Test,
};
use crate::journey::{
    Chunk, Columns, CustomerNo, Identities, JourneyBatch, JourneyPlace, Needs, Part, Picked, Readings, ReservedNumbers,
    Source, Span,
};

/// Everything a question reads from columns.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) scope: BoundScope,
    /// Which ids are one customer.
    pub(crate) identities: Arc<Identities>,
    /// Where rows are that are no events.
    pub(crate) reserved: ReservedNumbers,
    pub(crate) filter: Option<Test>,
    /// The columns that conditions, stages and the scope are read from.
    pub(crate) needs: Needs,
    /// The columns that plans look at themselves.
    pub(crate) shown: Needs,
    pub(crate) stages: Vec<StagePlan>,
    /// Which of these is the question's own model, if a condition asks for a stage.
    pub(crate) own_model: Option<usize>,
    pub(crate) masks: Vec<MaskPlan>,
    pub(crate) memberships: Memberships,
}

impl Reader {
    /// What to read of each chunk.
    pub(crate) fn loads(&self) -> Needs {
        let mut needs = self.needs.clone().and(&self.shown);
        for property in self.needs.profiles.properties() {
            (needs.times, needs.touchpoints) = (true, true);
            needs.properties.add(property);
        }
        needs
    }

    /// Visits the journeys in scope, some at a time. The readings of the chunk before are only room to be used again.
    pub(crate) fn journeys(
        &self,
        sources: &[Source],
        readings: &mut Readings,
        mut visit: impl FnMut(&JourneyBatch<'_>),
    ) {
        for parts in pieces(sources, ROWS_AT_ONCE) {
            let mut chunk = Chunk::new(parts);
            // The events of other ids stand under that of their customer too.
            if let Some(within) = chunk.customers().filter(|_| !self.identities.is_empty()) {
                chunk.leave_out(self.identities.others_within(within));
            }
            self.read_piece(&chunk, readings, &mut visit);
            if chunk.parts.iter().map(|part| part.rows().len()).sum::<usize>() > LARGE_ROOM {
                *readings = Readings::default();
            }
        }
    }

    fn read_piece(&self, chunk: &Chunk<'_>, readings: &mut Readings, visit: &mut impl FnMut(&JourneyBatch<'_>)) {
        if self.needs.profiles.is_empty() {
            return self.read_laid_out(chunk, readings, visit);
        }
        // What is known of customers is laid out to their events, and these are read as if it were theirs.
        let columns = chunk.gather(0..chunk.len(), &self.loads());
        let kept = self.in_time(&columns, 0..columns.rows());
        let mut columns = retained(columns, kept);
        self.needs.profiles.lay_out(&mut columns);
        let events = self.events(&columns, 0..columns.rows());
        let columns = retained(columns, events);
        self.read_laid_out(&Chunk::new(vec![Part::whole(&columns)]), readings, visit);
    }

    fn read_laid_out(&self, chunk: &Chunk<'_>, readings: &mut Readings, visit: &mut impl FnMut(&JourneyBatch<'_>)) {
        let filters_stages = self.filter.as_ref().is_some_and(Test::asks_stage);
        let numbers: Vec<_> = chunk.parts.iter().map(Numbers::new).collect();
        // Segments look at all that observation leaves, whatever a filter says.
        let unfiltered = (!self.memberships.is_empty()).then(|| {
            let kept = Kept::of(chunk, |part| self.seen(part.columns, part.rows()));
            self.memberships.read(chunk, &numbers, &kept, readings, self.scope.end);
            kept
        });
        if self.shown == Needs::default() && !filters_stages {
            let kept = unfiltered.filter(|_| self.filter.is_none()).unwrap_or_else(|| self.kept(chunk));
            self.read(chunk, &numbers, &kept, readings);
            return self.visit_asked(readings, || self.count_events(chunk, &kept), visit);
        }
        // Plans look at columns, so these are copied together; so are they if a row's place in its journey decides
        // whether it is seen.
        let columns = self.in_scope(chunk.gather(0..chunk.len(), &self.loads()));
        if !self.memberships.is_empty() {
            follow(&mut readings.members, chunk, &columns);
        }
        let whole = Chunk::new(vec![Part::whole(&columns)]);
        let numbers: Vec<_> = whole.parts.iter().map(Numbers::new).collect();
        self.read(&whole, &numbers, &Kept::all(), readings);
        let journeys = self.count_events(&whole, &Kept::all());
        readings.shown = self.shown.clone();
        readings.columns = columns;
        self.visit_asked(readings, || journeys, visit);
    }

    /// Visits those of some journeys that are asked for.
    fn visit_asked(
        &self,
        readings: &mut Readings,
        journeys: impl FnOnce() -> Vec<JourneyPlace>,
        visit: &mut impl FnMut(&JourneyBatch<'_>),
    ) {
        if self.scope.customers.is_none() && self.memberships.asked.is_none() {
            let seen = || journeys().into_iter().filter(|journey| journey.events > 0).collect();
            return visit(&JourneyBatch::all(readings, seen));
        }
        let is_asked = |journey: &JourneyPlace| {
            journey.events > 0
                && self.memberships.asked.is_none_or(|segment| readings.is_member(segment, journey.place))
        };
        let (asked, others): (_, Vec<JourneyPlace>) = journeys().into_iter().partition(is_asked);
        let others: Vec<usize> = others.iter().map(|journey| journey.place).collect();
        readings.bitmaps.iter_mut().for_each(|bitmaps| bitmaps.leave_out(&others));
        visit(&JourneyBatch::some(readings, asked));
    }

    /// Picks what plans ask for.
    fn read(&self, chunk: &Chunk<'_>, numbers: &[Numbers<'_>], kept: &Kept, readings: &mut Readings) {
        readings.visits.resize_with(self.stages.len(), Default::default);
        readings.matches.resize_with(self.masks.len(), Default::default);
        readings.bitmaps.resize_with(self.masks.len(), Default::default);
        let mut own = Codes::default();
        for ((place, plan), picked) in self.stages.iter().enumerate().zip(&mut readings.visits) {
            let codes = plan.pick_visits(chunk, numbers, kept, picked);
            if self.own_model == Some(place) {
                own = codes;
            }
        }
        let with_events = self.shown != Needs::default();
        let lists = readings.matches.iter_mut().zip(&mut readings.bitmaps);
        for (plan, (picked, bitmaps)) in self.masks.iter().zip(lists) {
            if plan.as_bits && !with_events && plan.fill_bitmaps(chunk, kept, (&own, numbers), bitmaps) {
                picked.clear();
            } else {
                bitmaps.clear();
                plan.pick(chunk, kept, (&own, numbers), with_events, picked);
            }
        }
    }

    /// Each journey with how many of its events the scope sees.
    fn count_events(&self, chunk: &Chunk<'_>, kept: &Kept) -> Vec<JourneyPlace> {
        let customers = self.scope.customers.as_ref();
        let asked = |customer| customers.is_none_or(|customers| customers.binary_search(&customer).is_ok());
        let count = |(place, (customer, spans)): (usize, (CustomerNo, &[Span]))| {
            let events = if asked(customer) { spans.iter().map(|span| kept.count(span)).sum() } else { 0 };
            JourneyPlace { customer, place, events }
        };
        chunk.journeys().enumerate().map(count).collect()
    }

    /// Which rows the scope sees, by what stands in the row alone.
    fn kept(&self, chunk: &Chunk<'_>) -> Kept {
        Kept::of(chunk, |part| self.kept_rows(part.columns, part.rows(), &[]))
    }

    fn kept_rows(&self, columns: &Columns, rows: Range<usize>, stages: &[u8]) -> Option<Vec<bool>> {
        let mut kept = self.seen(columns, rows.clone());
        if let Some(filter) = &self.filter {
            let passed = filter.rows(columns, rows, stages);
            kept = both(kept, Some(passed));
        }
        kept
    }

    /// Which rows are events that lie before the end of observation, and were known; `None` if all are.
    fn seen(&self, columns: &Columns, rows: Range<usize>) -> Option<Vec<bool>> {
        both(self.in_time(columns, rows.clone()), self.events(columns, rows))
    }

    /// Which rows are events; `None` if all are.
    fn events(&self, columns: &Columns, rows: Range<usize>) -> Option<Vec<bool>> {
        if !self.reserved.is_any() {
            return None;
        }
        let (mut events, mut others) = (Vec::with_capacity(rows.len()), false);
        columns.touchpoints.for_each(rows, |touchpoint| {
            let is_event = !self.reserved.contains(touchpoint);
            others |= !is_event;
            events.push(is_event);
        });
        others.then_some(events)
    }

    /// Which rows lie before the end of observation, and were known.
    fn in_time(&self, columns: &Columns, rows: Range<usize>) -> Option<Vec<bool>> {
        let BoundScope { end, cuts_end, is_end_given, known_at, .. } = &self.scope;
        let mut kept: Option<Vec<bool>> = None;
        if *cuts_end {
            let mut list = Vec::with_capacity(rows.len());
            columns.times.for_each(rows.clone(), |time| list.push(time <= *end));
            if !is_end_given && self.reserved.is_any() {
                let mut seen = list.iter_mut();
                columns.touchpoints.for_each(rows.clone(), |touchpoint| {
                    seen.next().into_iter().for_each(|seen| *seen |= self.reserved.contains(touchpoint));
                });
            }
            kept = Some(list);
        }
        if let Some(known_at) = known_at {
            let mut list = Vec::with_capacity(rows.len());
            columns.seqs.for_each(rows, |seq| list.push(seq <= *known_at));
            if let Some(kept) = &kept {
                list.iter_mut().zip(kept).for_each(|(known, kept)| *known &= kept);
            }
            kept = Some(list);
        }
        kept
    }

    /// The rows that the scope sees, for a question that cannot be read row by row.
    fn in_scope(&self, columns: Columns) -> Columns {
        let rows = 0..columns.rows();
        let kept = self.seen(&columns, rows);
        let columns = retained(columns, kept);
        let Some(filter) = &self.filter else { return columns };
        // The filter's own stages are read from what the rest of the scope sees.
        let plan = self.own_model.and_then(|place| self.stages.get(place));
        let chunk = Chunk::new(vec![Part::whole(&columns)]);
        let numbers: Vec<_> = chunk.parts.iter().map(Numbers::new).collect();
        let codes = plan.map_or_else(Codes::default, |plan| {
            plan.pick_visits(&chunk, &numbers, &Kept::all(), &mut Picked::default())
        });
        let passed = filter.rows(&columns, 0..columns.rows(), codes.of_part(0));
        columns.retain(&passed)
    }
}

/// The rows that are kept; `None` is all.
fn retained(columns: Columns, kept: Option<Vec<bool>>) -> Columns {
    match kept {
        Some(kept) => columns.retain(&kept),
        None => columns,
    }
}

/// Which rows are kept by both; `None` is all.
fn both(one: Option<Vec<bool>>, other: Option<Vec<bool>>) -> Option<Vec<bool>> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.iter_mut().zip(other).for_each(|(one, other)| *one &= other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// Lets what is known of the journeys of a chunk be that of those of which columns still hold something.
fn follow(members: &mut [Vec<bool>], chunk: &Chunk<'_>, columns: &Columns) {
    let mut left = columns.customers.iter().peekable();
    let keep: Vec<bool> =
        chunk.journeys().map(|(customer, _)| left.next_if(|next| **next == customer).is_some()).collect();
    for members in members {
        let mut keep = keep.iter();
        members.retain(|_| keep.next().copied().unwrap_or_default());
    }
}
