//! Reads chunks for a question: keeps the rows in scope, and picks the events that its plans ask for, for all journeys
//! at once.

use std::ops::Range;

use super::{
    BoundScope,
    masks::{MaskPlan, Pairs},
    stage_plan::{Codes, StagePlan},
    test::Test,
};
use crate::journey::{Chunk, Columns, CustomerNo, Journey, Needs, Part, Picked, Readings, Source, Span};

/// For each part of a chunk which of its rows the scope sees; `None` for all.
pub(super) struct Kept(Vec<Option<Vec<bool>>>);

impl Kept {
    /// Which rows of a part are seen, from its first row on; `None` for all.
    pub(super) fn of_part(&self, place: usize) -> Option<&[bool]> {
        self.0.get(place)?.as_deref()
    }

    /// Which of these rows of a part are seen; `None` for all.
    pub(super) fn rows(&self, part: &Part<'_>, place: usize, rows: Range<usize>) -> Option<&[bool]> {
        let first = part.rows().start;
        let kept = self.0.get(place)?.as_ref()?;
        Some(kept.get(rows.start.saturating_sub(first)..rows.end.saturating_sub(first)).unwrap_or_default())
    }
}

/// Everything a question reads from columns.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) scope: BoundScope,
    pub(crate) filter: Option<Test>,
    /// The columns that conditions, stages and the scope are read from.
    pub(crate) needs: Needs,
    /// The columns that plans look at themselves.
    pub(crate) shown: Needs,
    pub(crate) stages: Vec<StagePlan>,
    /// Which of these is the question's own model, if a condition asks for a stage.
    pub(crate) own_model: Option<usize>,
    pub(crate) masks: Vec<MaskPlan>,
}

impl Reader {
    /// What to read of each chunk.
    pub(crate) fn loads(&self) -> Needs {
        self.needs.clone().and(&self.shown)
    }

    /// Visits each journey in scope. The readings of the chunk before are only room to be used again.
    pub(crate) fn journeys(&self, sources: &[Source], readings: &mut Readings, mut visit: impl FnMut(&Journey<'_>)) {
        let chunk = Chunk::new(sources.iter().map(Part::from).collect());
        let filters_stages = self.filter.as_ref().is_some_and(Test::asks_stage);
        let journeys = if self.shown == Needs::default() && !filters_stages {
            self.read(&chunk, &self.kept(&chunk), readings)
        } else {
            // Plans look at columns, so these are copied together; so are they if a row's place in its journey decides
            // whether it is seen.
            let columns = self.in_scope(chunk.gather(0..chunk.len(), &self.loads()));
            let journeys = self.read(&Chunk::new(vec![Part::whole(&columns)]), &Kept(vec![None]), readings);
            readings.shown = self.shown.clone();
            readings.columns = columns;
            journeys
        };
        for (place, (customer, events)) in journeys.into_iter().enumerate().filter(|(_, (_, events))| *events > 0) {
            visit(&Journey::new(readings, customer, place, events));
        }
    }

    /// Picks what plans ask for, and says whose journeys there are, with how many events in scope.
    fn read(&self, chunk: &Chunk<'_>, kept: &Kept, readings: &mut Readings) -> Vec<(CustomerNo, usize)> {
        readings.visits.resize_with(self.stages.len(), Default::default);
        readings.matches.resize_with(self.masks.len(), Default::default);
        let mut own = Codes::default();
        for ((place, plan), picked) in self.stages.iter().enumerate().zip(&mut readings.visits) {
            let codes = plan.pick_visits(chunk, kept, picked);
            if self.own_model == Some(place) {
                own = codes;
            }
        }
        let with_events = self.shown != Needs::default();
        let pairs: Vec<Pairs> = chunk.parts.iter().map(|_| Pairs::default()).collect();
        for (plan, picked) in self.masks.iter().zip(&mut readings.matches) {
            plan.pick(chunk, kept, (&own, &pairs), with_events, picked);
        }
        self.count_events(chunk, kept)
    }

    /// Each customer with how many events the scope sees.
    fn count_events(&self, chunk: &Chunk<'_>, kept: &Kept) -> Vec<(CustomerNo, usize)> {
        let in_span = |span: &Span| {
            let rows = span.rows();
            let part = chunk.parts.get(span.part as usize)?;
            let kept = kept.rows(part, span.part as usize, rows.clone());
            Some(kept.map_or(rows.len(), |kept| kept.iter().filter(|kept| **kept).count()))
        };
        let customers = self.scope.customers.as_ref();
        let asked = |customer| customers.is_none_or(|customers| customers.binary_search(&customer).is_ok());
        let count = |(customer, spans): (CustomerNo, &[Span])| {
            (customer, if asked(customer) { spans.iter().filter_map(in_span).sum() } else { 0 })
        };
        chunk.journeys().map(count).collect()
    }

    /// Which rows the scope sees, by what stands in the row alone.
    fn kept(&self, chunk: &Chunk<'_>) -> Kept {
        Kept(chunk.parts.iter().map(|part| self.kept_rows(part.columns, part.rows(), &[])).collect())
    }

    fn kept_rows(&self, columns: &Columns, rows: Range<usize>, stages: &[u8]) -> Option<Vec<bool>> {
        let mut kept = self.in_time(columns, rows.clone());
        if let Some(filter) = &self.filter {
            let passed = filter.rows(columns, rows, stages);
            kept = Some(match kept {
                None => passed,
                Some(kept) => kept.into_iter().zip(passed).map(|(a, b)| a && b).collect(),
            });
        }
        kept
    }

    /// Which rows lie before the end of observation, and were known.
    fn in_time(&self, columns: &Columns, rows: Range<usize>) -> Option<Vec<bool>> {
        let BoundScope { end, cuts_end, known_at, .. } = &self.scope;
        let mut kept: Option<Vec<bool>> = None;
        if *cuts_end {
            let mut list = Vec::with_capacity(rows.len());
            columns.times.for_each(rows.clone(), |time| list.push(time <= *end));
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
        let columns = match self.in_time(&columns, rows) {
            Some(kept) => columns.retain(&kept),
            None => columns,
        };
        let Some(filter) = &self.filter else { return columns };
        // The filter's own stages are read from what the rest of the scope sees.
        let plan = self.own_model.and_then(|place| self.stages.get(place));
        let chunk = Chunk::new(vec![Part::whole(&columns)]);
        let codes = plan
            .map_or_else(Codes::default, |plan| plan.pick_visits(&chunk, &Kept(vec![None]), &mut Picked::default()));
        let passed = filter.rows(&columns, 0..columns.rows(), codes.of_part(0));
        columns.retain(&passed)
    }
}
