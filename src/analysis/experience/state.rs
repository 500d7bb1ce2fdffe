//! Scores of surveys bound to a store: answers counted by score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Experience, ExperienceAnswer, ExperienceAnswers, ExperienceReport, ExperienceRow, SurveyScore};
use crate::{
    analysis::{
        Analysis, Binder, Bound, BoundScope, Matches,
        event_by::{Grouping, StageVisits},
        pairs,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Comparison, Condition, Feedback, Micros, Periods, Seq, Survey},
};

/// Scores of surveys bound to a store.
#[derive(Debug)]
pub struct BoundExperience {
    plan: Experience,
    events: Matches,
    grouping: Grouping,
    scope: BoundScope,
}

impl Analysis for Experience {
    type Bound = BoundExperience;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundExperience, InvalidPlan> {
        let answers = |survey: &Survey| Condition::Feedback { survey: Some(*survey), test: Comparison::Exists(true) };
        let mut answer = Condition::Any(self.surveys.iter().map(answers).collect());
        if let Some(when) = &self.when {
            answer = Condition::All(vec![answer, when.clone()]);
        }
        let events = binder.matches(&[answer])?;
        binder.need_feedback();
        if self.customers {
            binder.need_seqs();
        }
        let grouping = Grouping::bind(binder, self.by, events);
        Ok(BoundExperience { plan: self.clone(), events, grouping, scope: binder.scope().clone() })
    }
}

/// How many answers gave each score, the lowest that any survey has first.
type Counts = [u64; 11];

/// Answers of one kind: the start of their period, their group, and their survey.
type Place = (Micros, u32, Survey);

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ExperienceState {
    total: BTreeMap<Survey, Counts>,
    #[serde(with = "pairs")]
    rows: BTreeMap<Place, Counts>,
    listed: Vec<Listed>,
    #[serde(skip)]
    room: Room,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    answer: Answer,
    seq: Option<u64>,
    superseded: bool,
}

/// One answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Answer {
    at: Micros,
    survey: Survey,
    score: u8,
    group: u32,
}

/// Room for one journey, and for looking periods up.
#[derive(Debug, Default)]
struct Room {
    answers: Vec<(Answer, Option<u64>)>,
    visits: StageVisits,
    periods: Periods,
}

fn add(counts: &mut Counts, score: u8) {
    counts.get_mut(usize::from(score)).into_iter().for_each(|count| *count += 1);
}

impl BoundExperience {
    /// Reads the answers of a journey that count, in order.
    fn read(&self, journey: &Journey<'_>, room: &mut Room) {
        room.answers.clear();
        let events = self.events.of(journey);
        if events.times.is_empty() {
            return;
        }
        self.grouping.read_visits(journey, &mut room.visits);
        for (place, &at) in events.times.iter().enumerate().filter(|(_, at)| self.scope.counts(**at)) {
            let Some(event) = events.event(place) else { continue };
            let Some((survey, score)) = journey.feedback(event) else { continue };
            let group = self.grouping.of(&events, place, &room.visits);
            let answer = Answer { at, survey, score, group };
            room.answers.push((answer, journey.seq(event).map(Seq::get)));
        }
    }
}

impl Bound for BoundExperience {
    type State = ExperienceState;
    type Report = ExperienceReport;

    fn start(&self) -> ExperienceState {
        ExperienceState::default()
    }

    fn visit(&self, state: &mut ExperienceState, journey: &Journey<'_>) {
        let mut room = std::mem::take(&mut state.room);
        self.read(journey, &mut room);
        let latest_only = self.plan.answers == ExperienceAnswers::Latest;
        // From the last to the first, with the next later answer to each survey.
        let mut later: BTreeMap<Survey, Micros> = BTreeMap::new();
        for (answer, seq) in room.answers.iter().rev() {
            let next = if latest_only { later.insert(answer.survey, answer.at) } else { None };
            if next.is_none() {
                add(state.total.entry(answer.survey).or_default(), answer.score);
            }
            let span = self.plan.period.map(|period| room.periods.span_of(period, answer.at));
            let (start, end) = span.map_or((Micros::MIN, Micros::MAX), |span| (span.start, span.end));
            if next.is_some_and(|next| next < end) {
                continue;
            }
            if self.plan.by.is_some() || self.plan.period.is_some() {
                add(state.rows.entry((start, answer.group, answer.survey)).or_default(), answer.score);
            }
            if self.plan.customers {
                let (customer, superseded) = (journey.customer(), next.is_some());
                state.listed.push(Listed { customer, answer: *answer, seq: *seq, superseded });
            }
        }
        state.room = room;
    }

    fn merge(&self, state: &mut ExperienceState, other: ExperienceState) {
        let join = |here: &mut Counts, there: Counts| {
            here.iter_mut().zip(there).for_each(|(here, there)| *here += there);
        };
        for (survey, there) in other.total {
            join(state.total.entry(survey).or_default(), there);
        }
        for (place, there) in other.rows {
            join(state.rows.entry(place).or_default(), there);
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &ExperienceState) -> usize {
        let row = 2 * (size_of::<Place>() + size_of::<Counts>());
        (state.total.len() + state.rows.len()) * row
            + state.listed.len() * size_of::<Listed>()
            + state.room.periods.size()
    }

    fn finish(&self, state: ExperienceState, names: &Names) -> Result<ExperienceReport> {
        let total = |survey: &Survey| SurveyScore::new(*survey, &state.total.get(survey).copied().unwrap_or_default());
        let mut places: Vec<(Micros, u32, Survey, &Counts)> = Vec::with_capacity(state.rows.len());
        for ((start, group, survey), counts) in &state.rows {
            places.push((*start, *group, *survey, counts));
        }
        places.sort_unstable_by_key(|(start, group, survey, _)| (*start, self.grouping.rank(*group), *survey));
        let mut periods = Periods::default();
        let rows = places.into_iter().map(|(start, group, survey, counts)| ExperienceRow {
            period: self.plan.period.map(|_| start.to_datetime()),
            finished: self.plan.period.is_none_or(|period| periods.span_of(period, start).end <= self.scope.end),
            group: self.grouping.name(group, names),
            score: SurveyScore::new(survey, counts),
        });
        let rows = rows.collect();
        let listed = |one: &Listed| {
            Some(ExperienceAnswer {
                customer: names.customer_id(one.customer)?,
                answered_at: one.answer.at.to_datetime(),
                feedback: Feedback::new(one.answer.survey, one.answer.score).ok()?,
                group: self.grouping.name(one.answer.group, names),
                seq: Seq(one.seq.unwrap_or_default()),
                superseded: one.superseded,
            })
        };
        let mut all = Vec::new();
        if self.plan.customers {
            all = state.listed.iter().filter_map(listed).collect::<Vec<_>>();
            all.sort_by(|a, b| (&a.customer, a.answered_at, a.seq).cmp(&(&b.customer, b.answered_at, b.seq)));
        }
        Ok(ExperienceReport {
            answers: self.plan.answers,
            by: self.plan.by,
            period: self.plan.period,
            total: self.plan.surveys.iter().map(total).collect(),
            rows,
            listed: self.plan.customers.then_some(all),
        })
    }
}
