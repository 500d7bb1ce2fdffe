//! The customers behind each number: every count of a report is worked out again from the customers that it lists.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use journeylog::{
    AttributionReport, BySegment, BySegmentReport, ChurnFigures, ChurnOutcome, ChurnRateReport, CohortRetentionReport,
    ConformanceReport, ConsistencyReport, ConversionOutcome, ConversionRateReport, ConversionTrial, CustomerChurn,
    DeviationKind, DriversReport, Dwell, DwellReport, ExperienceAnswer, ExperienceReport, FunnelOutcome, FunnelReport,
    LifecyclePhase, LifecycleReport, LifetimeValueReport, MembersReport, Money, MoveKind, PathDirection, PathsReport,
    PatternConformanceReport, PatternReport, Plan, PropertyValue, PurchasesReport, Question, RepeatOutcome, Report,
    SessionsReport, StageCounts, StageCountsReport, StageName, StickinessReport, Transitions, TransitionsReport,
};

use crate::given::{
    any_attribution, any_churn_rate, any_conformance, any_consistency, any_conversion_rate, any_drivers,
    any_experience, any_funnel, any_lifecycle, any_lifetime_value, any_matches, any_members, any_model, any_paths,
    any_pattern_conformance, any_period, any_purchases, any_retention, any_scope, any_segments, any_sessions,
    any_stickiness, each_world, journeys, periodic_world,
};

/// Counts as a report says them, against the list.
#[derive(Default)]
struct Recount {
    wrong: Vec<String>,
}

impl Recount {
    fn same(&mut self, what: &str, said: u64, listed: usize) {
        if said != listed as u64 {
            self.wrong.push(format!("{what}: the report says {said}, the list has {listed}"));
        }
    }
}

/// Works out every count of a report again from the customers that it lists.
pub(crate) fn recount(report: &Report) -> Result<(), String> {
    let mut recount = Recount::default();
    recount.report(report).ok_or_else(|| format!("lists nobody: {report:?}"))?;
    if recount.wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{report:#?}", recount.wrong.join("\n"))) }
}

/// How many there are of which this holds.
fn count<T>(all: &[T], wanted: impl Fn(&T) -> bool) -> usize {
    all.iter().filter(|one| wanted(one)).count()
}

fn distinct<T: Ord>(all: impl IntoIterator<Item = T>) -> usize {
    all.into_iter().collect::<BTreeSet<_>>().len()
}

/// The place of the period that a moment lies in, by where periods that follow one another begin.
fn period_of(starts: impl Iterator<Item = DateTime<Utc>>, at: DateTime<Utc>) -> Option<usize> {
    starts.take_while(|start| *start <= at).count().checked_sub(1)
}

impl Recount {
    fn report(&mut self, report: &Report) -> Option<()> {
        match report {
            Report::Funnel(report) => self.funnel(report),
            Report::Transitions(report) => self.transitions(report),
            Report::Stages(report) => self.stages(report),
            Report::Retention(report) => self.retention(report),
            Report::Lifecycle(report) => self.lifecycle(report),
            Report::Stickiness(report) => self.stickiness(report),
            Report::Dwell(report) => self.dwell(report),
            Report::Sessions(report) => self.sessions(report),
            Report::Paths(report) => self.paths(report),
            Report::Pattern(report) => self.pattern(report),
            Report::Conformance(report) => self.conformance(report),
            Report::PatternConformance(report) => self.pattern_conformance(report),
            Report::LifetimeValue(report) => self.lifetime(report),
            Report::Attribution(report) => self.attribution(report),
            Report::Experience(report) => self.experience(report),
            Report::ConversionRate(report) => self.conversion_rate(report),
            Report::ChurnRate(report) => self.churn_rate(report),
            Report::Purchases(report) => self.purchases(report),
            Report::Drivers(report) => self.drivers(report),
            Report::Consistency(report) => self.consistency(report),
            Report::Segment(report) => self.segment(report),
            Report::BySegment(report) => self.by_segment(report),
            other => panic!("no recount of {other:?}"),
        }
    }

    /// How far they came; what breakdowns, trends and optional steps say is looked at in the tests of funnels.
    fn funnel(&mut self, report: &FunnelReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        if report.breakdown.is_some() || report.steps.iter().any(|step| step.optional) {
            return Some(());
        }
        let of = |wanted: FunnelOutcome| count(listed, |one| one.outcome == wanted);
        self.same("entered", report.entered, listed.len() - of(FunnelOutcome::Removed));
        self.same("converted", report.converted, of(FunnelOutcome::Converted));
        self.same("pending", report.pending, of(FunnelOutcome::Pending));
        self.same("removed", report.removed, of(FunnelOutcome::Removed));
        for step in &report.steps {
            let at = |outcome: FunnelOutcome| count(listed, |one| one.level == step.step && one.outcome == outcome);
            let is_in = |outcome: FunnelOutcome| outcome != FunnelOutcome::Removed;
            let reached = count(listed, |one| one.level >= step.step && is_in(one.outcome));
            self.same("customers of a step", step.customers, reached);
            self.same("stopped at a step", step.stopped, at(FunnelOutcome::Stopped));
            self.same("pending at a step", step.pending, at(FunnelOutcome::Pending));
        }
        Some(())
    }

    fn transitions(&mut self, report: &TransitionsReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        let moves: Vec<_> = listed.iter().flat_map(|one| &one.moves).collect();
        self.same("customers", report.customers, listed.len());
        let kinds = [
            (report.entries, MoveKind::Entry),
            (report.advances, MoveKind::Advance),
            (report.skips, MoveKind::Skip),
            (report.regressions, MoveKind::Regression),
        ];
        for (said, kind) in kinds {
            self.same("moves of a kind", said, count(&moves, |one| one.kind == kind));
        }
        for total in &report.stages {
            let is = |stage: &Option<StageName>| stage.as_ref() == Some(&total.stage);
            self.same("here before", total.here_before, count(listed, |one| is(&one.here_before)));
            self.same("here now", total.here_now, count(listed, |one| is(&one.here_now)));
            self.same("arrivals", total.arrivals, count(&moves, |one| one.to == total.stage));
            self.same("departures", total.departures, count(&moves, |one| is(&one.from)));
        }
        for cell in &report.cells {
            let is = |one: &&journeylog::CustomerMove| one.from == cell.from && one.to == cell.to;
            self.same("a move", cell.count, count(&moves, is));
            self.same("who made it", cell.customers, count(listed, |one| one.moves.iter().any(|made| is(&made))));
            self.same("how long they stayed", cell.dwell.map_or(0, |dwell| dwell.count), {
                count(&moves, |one| is(one) && one.dwell.is_some())
            });
        }
        Some(())
    }

    fn stages(&mut self, report: &StageCountsReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        self.same("without stage", report.without_stage, count(listed, |one| one.stage.is_none()));
        for stage in &report.stages {
            let here = count(listed, |one| one.stage.as_ref() == Some(&stage.stage));
            self.same("customers of a stage", stage.customers, here);
            self.same("all", stage.share.of, listed.len());
        }
        let moments = report.over_time.as_deref().unwrap_or_default();
        for (place, moment) in moments.iter().enumerate() {
            // The last one goes on up to the end of observation.
            let end = moments.get(place + 1).map(|next| next.period);
            for (stage, &said) in report.stages.iter().zip(&moment.customers) {
                let is_here = |one: &journeylog::StageCustomer| {
                    let visits = one.visits.as_ref().expect("the visits are listed");
                    let last = visits.iter().rfind(|visit| end.is_none_or(|end| visit.since < end));
                    last.is_some_and(|visit| visit.stage == stage.stage)
                };
                self.same("customers of a stage then", said, count(listed, is_here));
            }
        }
        Some(())
    }

    fn retention(&mut self, report: &CohortRetentionReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        self.same("cohorts", report.cohorts.len() as u64, distinct(listed.iter().map(|one| one.cohort)));
        let mut pooled = vec![(0, 0, 0); report.columns.len()];
        for cohort in &report.cohorts {
            let of: Vec<_> = listed.iter().filter(|one| one.cohort == cohort.period).collect();
            for (column, cell) in cohort.cells.iter().enumerate() {
                let place = u32::try_from(column).unwrap();
                let counted = count(&of, |one| column == 0 || one.columns.contains(&place));
                self.same("a cell", cell.customers, counted);
                self.same("its rate", cell.rate.some, counted);
                self.same("who starts", cell.rate.of, of.len());
                if cell.finished {
                    let (cohorts, some, all) = pooled[column];
                    pooled[column] = (cohorts + 1, some + counted, all + of.len());
                }
            }
        }
        for (average, (cohorts, some, all)) in report.average.iter().zip(pooled) {
            self.same("finished cohorts", average.cohorts, cohorts);
            self.same("those counted in them", average.rate.some, some);
            self.same("those who start in them", average.rate.of, all);
        }
        Some(())
    }

    fn lifecycle(&mut self, report: &LifecycleReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        for row in &report.periods {
            let of = |phase: LifecyclePhase| {
                let here = |one: &journeylog::CustomerPhase| one.period == row.period && one.phase == phase;
                count(listed, |one| one.periods.iter().any(here))
            };
            let (new, returning) = (of(LifecyclePhase::New), of(LifecyclePhase::Returning));
            let resurrected = of(LifecyclePhase::Resurrected);
            self.same("new", row.new, new);
            self.same("returning", row.returning, returning);
            self.same("resurrected", row.resurrected, resurrected);
            self.same("active", row.active, new + returning + resurrected);
            self.same("dormant", row.dormant, of(LifecyclePhase::Dormant));
        }
        Some(())
    }

    fn stickiness(&mut self, report: &StickinessReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        self.same("active", report.active, listed.len());
        for row in &report.rows {
            self.same("in so many periods", row.exactly.some, count(listed, |one| one.periods == row.periods));
            self.same("in as many or more", row.at_least.some, count(listed, |one| one.periods >= row.periods));
        }
        Some(())
    }

    fn dwell(&mut self, report: &DwellReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        let visits: Vec<_> = listed.iter().flat_map(|one| &one.visits).collect();
        for stage in &report.stages {
            let of: Vec<_> = visits.iter().filter(|visit| visit.stage == stage.stage).collect();
            self.same("visits", stage.visits, of.len());
            self.same("departed", stage.departed, count(&of, |visit| visit.until.is_some()));
            self.same("still here", stage.still_here, count(&of, |visit| visit.until.is_none()));
            for end in &stage.ends {
                self.same("ends", end.count, count(&of, |visit| visit.to.as_ref() == Some(&end.to)));
            }
        }
        for one in &report.bottlenecks {
            let (here, there): (Vec<_>, Vec<_>) = visits.iter().partition(|visit| visit.stage == one.stage);
            let is_over = |visit: &&journeylog::CustomerVisit| visit.until.is_some();
            self.same("waiting", one.waiting, here.len() - count(&here, is_over));
            self.same("went on", one.went_on.some, count(&here, is_over));
            self.same("went on elsewhere", one.others.some, count(&there, is_over));
            self.same("all elsewhere", one.others.of, there.len());
        }
        Some(())
    }

    fn sessions(&mut self, report: &SessionsReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        let sessions: Vec<_> = listed.iter().flat_map(|one| &one.sessions).collect();
        let events = |sessions: &[&journeylog::CustomerSession]| {
            sessions.iter().map(|one| usize::try_from(one.events).unwrap()).sum()
        };
        self.same("sessions", report.sessions, sessions.len());
        self.same("customers", report.customers, listed.len());
        self.same("events", report.events, events(&sessions));
        self.same("open", report.open, count(&sessions, |one| one.open));
        self.same("bounced", report.bounced.some, count(&sessions, |one| one.events == 1));
        for size in &report.sizes {
            let is = |one: &&journeylog::CustomerSession| {
                one.events >= size.from && size.to.is_none_or(|to| one.events <= to)
            };
            self.same("sessions of a size", size.sessions, count(&sessions, is));
        }
        for bin in &report.histogram {
            let is = |one: &&journeylog::CustomerSession| {
                let micros = i128::from((one.end - one.begin).num_microseconds().unwrap_or(i64::MAX));
                let edge = |seconds: u64| i128::from(seconds) * 1_000_000;
                edge(bin.from) <= micros && bin.to.is_none_or(|to| micros < edge(to))
            };
            self.same("sessions of a length", bin.count, count(&sessions, is));
        }
        for (said, is_first) in [(&report.first, true), (&report.last, false)] {
            let is_at = |session: &journeylog::CustomerSession, touchpoint: &journeylog::Touchpoint| {
                (if is_first { &session.first } else { &session.last }) == touchpoint
            };
            let mut top = 0;
            for one in &said.top {
                let found = count(&sessions, |session| is_at(session, &one.touchpoint));
                self.same("sessions at a touchpoint", one.sessions.some, found);
                top += found;
            }
            self.same("sessions at the others", said.other.some, sessions.len() - top);
            self.same("touchpoints", (said.top.len() as u64) + said.others, {
                distinct(
                    sessions
                        .iter()
                        .map(|session| if is_first { session.first.as_str() } else { session.last.as_str() }),
                )
            });
        }
        let periods = report.over_time.as_deref().unwrap_or_default();
        for (place, row) in periods.iter().enumerate() {
            let is_here = |one: &&journeylog::CustomerSession| {
                period_of(periods.iter().map(|row| row.period), one.begin) == Some(place)
            };
            let here: Vec<_> = sessions.iter().copied().filter(is_here).collect();
            self.same("sessions of a period", row.sessions, here.len());
            self.same("customers of a period", row.customers, {
                count(listed, |one| one.sessions.iter().any(|session| is_here(&session)))
            });
            self.same("events of a period", row.events, events(&here));
            self.same("bounced in a period", row.bounced.some, count(&here, |one| one.events == 1));
        }
        Some(())
    }

    fn paths(&mut self, report: &PathsReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        let paths = |wanted: &dyn Fn(&journeylog::PathCustomer) -> bool| -> usize {
            listed.iter().filter(|one| wanted(one)).map(|one| usize::try_from(one.paths).unwrap()).sum()
        };
        let beyond = |wanted: &dyn Fn(&journeylog::PathCustomer) -> bool| -> usize {
            listed.iter().filter(|one| wanted(one)).map(|one| usize::try_from(one.beyond).unwrap()).sum()
        };
        let open = |wanted: &dyn Fn(&journeylog::PathCustomer) -> bool| -> usize {
            listed.iter().filter(|one| wanted(one)).map(|one| usize::try_from(one.open).unwrap()).sum()
        };
        self.same("paths", report.paths, paths(&|_| true));
        self.same("customers", report.customers, distinct(listed.iter().map(|one| &one.customer)));
        if let Some(said) = report.without_end {
            let starts = report.listed_without_end.as_ref()?;
            let sum =
                |of: fn(&journeylog::PathStart) -> u64| usize::try_from(starts.iter().map(of).sum::<u64>()).unwrap();
            self.same("without end", said, sum(|one| one.starts));
            self.same("whose session may go on", report.without_end_open?, sum(|one| one.open));
        }
        let is_backward = report.direction == PathDirection::Backward;
        let step = |one: &journeylog::PathCustomer, position: usize| -> Option<String> {
            let place = if is_backward { one.steps.len().checked_sub(position + 1)? } else { position };
            one.steps.get(place).cloned()
        };
        let node = |one: &journeylog::PathCustomer, position: usize| -> Option<Option<String>> {
            let label = step(one, position)?;
            let is_shown = report.positions[position].nodes.iter().any(|node| node.label.as_ref() == Some(&label));
            Some(is_shown.then_some(label))
        };
        let depth = listed.iter().map(|one| one.steps.len()).max().unwrap_or(0);
        self.same("positions", report.positions.len() as u64, depth);
        for (place, position) in report.positions.iter().enumerate() {
            self.same("paths of a position", position.paths, paths(&|one| one.steps.len() > place));
            for shown in &position.nodes {
                let is_here = |one: &journeylog::PathCustomer| node(one, place).as_ref() == Some(&shown.label);
                let is_last = |one: &journeylog::PathCustomer| is_here(one) && one.steps.len() == place + 1;
                self.same("paths of a node", shown.paths, paths(&is_here));
                self.same("paths beyond a node", shown.beyond, beyond(&is_last));
                self.same("paths open at a node", shown.open, open(&is_last));
                let ended = paths(&is_last) - beyond(&is_last) - open(&is_last);
                self.same("paths that end at a node", shown.ended, ended);
                let of = listed.iter().filter(|one| is_here(one)).filter_map(|one| step(one, place));
                self.same("labels of a node", shown.labels, distinct(of));
            }
            for link in &position.links {
                let (near, far) = if is_backward { (&link.to, &link.from) } else { (&link.from, &link.to) };
                let takes = |one: &journeylog::PathCustomer| {
                    node(one, place).as_ref() == Some(near)
                        && place + 1 < report.positions.len()
                        && node(one, place + 1).as_ref() == Some(far)
                };
                self.same("paths of a link", link.paths, paths(&takes));
            }
        }
        for (variant, rank) in report.variants.iter().zip(1..) {
            let is = |one: &journeylog::PathCustomer| one.variant == Some(rank);
            self.same("paths of a variant", variant.paths.some, paths(&is));
            self.same("its customers", variant.customers, count(listed, is));
            self.same("those open", variant.open, open(&is));
            self.same("those beyond", variant.beyond, beyond(&is));
            if listed.iter().any(|one| is(one) != (one.steps == variant.steps)) {
                self.wrong.push(format!("the steps of variant {rank} are not those listed"));
            }
        }
        let others = listed.iter().filter(|one| one.variant.is_none());
        self.same("other variants", report.other_variants.variants, distinct(others.map(|one| &one.steps)));
        self.same("their paths", report.other_variants.paths.some, paths(&|one| one.variant.is_none()));
        self.same("their open paths", report.other_variants.open, open(&|one| one.variant.is_none()));
        self.same("their paths beyond", report.other_variants.beyond, beyond(&|one| one.variant.is_none()));
        Some(())
    }

    fn pattern(&mut self, report: &PatternReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        let matched = count(listed, |one| !one.matches.is_empty());
        self.same("customers", report.customers, listed.len());
        self.same("matched", report.matched.some, matched);
        self.same("matched of those who started", report.of_started.some, matched);
        self.same("started", report.of_started.of, count(listed, |one| one.started));
        self.same("matches", report.matches, listed.iter().map(|one| one.matches.len()).sum());
        Some(())
    }

    fn conformance(&mut self, report: &ConformanceReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        self.same("customers", report.customers, listed.len());
        self.same("fits", report.fits.some, count(listed, |one| one.deviations.is_empty()));
        self.same("completed", report.completed.some, count(listed, |one| one.completed));
        self.same("moves", report.moves, listed.iter().map(|one| usize::try_from(one.moves).unwrap()).sum());
        let all: Vec<_> = listed.iter().flat_map(|one| &one.deviations).collect();
        for total in &report.by_kind {
            let is = |one: &&journeylog::CustomerDeviation| one.kind == total.kind;
            self.same("deviations of a kind", total.count, count(&all, is));
            self.same("who has one", total.customers.some, {
                count(listed, |one| one.deviations.iter().any(|one| is(&one)))
            });
        }
        for said in &report.deviations {
            let is = |one: &&journeylog::CustomerDeviation| {
                (one.kind, &one.from, &one.to) == (said.kind, &said.from, &said.to)
            };
            self.same("a deviation", said.count, count(&all, is));
            self.same("who has it", said.customers.some, {
                count(listed, |one| one.deviations.iter().any(|one| is(&one)))
            });
        }
        Some(())
    }

    fn pattern_conformance(&mut self, report: &PatternConformanceReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        self.same("customers", report.customers, listed.len());
        self.same("fits", report.fits.some, count(listed, |one| one.deviations.is_empty()));
        self.same("completed", report.completed.some, count(listed, |one| one.completed));
        for step in &report.steps {
            self.same("served", step.served.some, count(listed, |one| one.served.contains(&step.step)));
        }
        let all: Vec<_> = listed.iter().flat_map(|one| &one.deviations).collect();
        let has = |kind: DeviationKind, step: Option<Option<u64>>| {
            move |one: &journeylog::CustomerStepDeviation| one.kind == kind && step.is_none_or(|step| one.step == step)
        };
        let totals = report.by_kind.iter().map(|total| (total.kind, None, total.count, total.customers.some));
        let each = report.deviations.iter().map(|one| (one.kind, Some(one.step), one.count, one.customers.some));
        for (kind, step, said, customers) in totals.chain(each) {
            let is = has(kind, step);
            self.same("deviations", said, count(&all, |one| is(one)));
            self.same("who has them", customers, count(listed, |one| one.deviations.iter().any(&is)));
        }
        Some(())
    }

    fn lifetime(&mut self, report: &LifetimeValueReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        let repeats: usize = listed.iter().map(|one| one.repeats as usize).sum();
        self.same("buyers", report.buyers, listed.len());
        self.same("repeat buyers", report.repeat_buyers, count(listed, |one| one.repeats > 0));
        self.same("days with a purchase", report.purchases, listed.len() + repeats);
        Some(())
    }

    fn attribution(&mut self, report: &AttributionReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        self.same("conversions", report.conversions, listed.len());
        self.same("customers", report.customers, distinct(listed.iter().map(|one| &one.customer)));
        let null = report.null_listed.as_ref()?;
        self.same("null journeys", report.null_journeys, null.len());
        self.same("pending", report.pending, count(null, |one| one.pending));
        let untouched = count(listed, |one| one.touches.is_empty());
        self.same("conversions without touch", report.without_touch.conversions, untouched);
        for row in &report.keys {
            let is = |key: &&PropertyValue| **key == row.key;
            let touches: Vec<_> = listed.iter().flat_map(|one| &one.touches).collect();
            self.same("touches", row.touches, count(&touches, |key| is(key)));
            self.same(
                "conversions served",
                row.conversions,
                count(listed, |one| one.touches.iter().any(|key| is(&key))),
            );
            let of_null = count(null, |one| one.touches.iter().any(|key| is(&key)));
            self.same("null journeys of a key", row.null_journeys, of_null);
        }
        Some(())
    }

    fn answers(&mut self, listed: &[&ExperienceAnswer], said: u64, counts: &[u64], least: u8) {
        self.same("answers", said, listed.len());
        for (score, said) in (least..).zip(counts) {
            let is = |one: &&ExperienceAnswer| one.feedback.score() == score;
            self.same("answers of a score", *said, count(listed, is));
        }
    }

    fn experience(&mut self, report: &ExperienceReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        for total in &report.total {
            let is = |one: &&ExperienceAnswer| one.in_total && one.feedback.survey() == total.survey;
            let of: Vec<_> = listed.iter().filter(is).collect();
            self.answers(&of, total.answers, &total.counts, *total.survey.scores().start());
        }
        for row in &report.rows {
            let is = |one: &&ExperienceAnswer| {
                one.feedback.survey() == row.score.survey && one.group == row.group && one.period == row.period
            };
            let of: Vec<_> = listed.iter().filter(is).collect();
            self.answers(&of, row.score.answers, &row.score.counts, *row.score.survey.scores().start());
        }
        Some(())
    }

    fn conversion_rate(&mut self, report: &ConversionRateReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        let whole = [(None, None, &report.total)];
        let rows = report.rows.iter().map(|row| (row.period, row.group.clone(), &row.figures));
        let rows: Vec<_> = if report.rows.is_empty() { whole.into() } else { rows.collect() };
        for (period, group, figures) in rows {
            let is_here = |one: &&ConversionTrial| one.period == period && one.group == group;
            let of = |outcome: ConversionOutcome| count(listed, |one| is_here(&one) && one.outcome == outcome);
            self.same("exposed", figures.exposed, count(listed, |one| is_here(&one)));
            self.same("followed", figures.followed, of(ConversionOutcome::Followed));
            self.same("missed", figures.missed, of(ConversionOutcome::Missed));
            self.same("pending", figures.pending, of(ConversionOutcome::Pending));
        }
        Some(())
    }

    fn churn_rate(&mut self, report: &ChurnRateReport) -> Option<()> {
        let listed: Vec<&CustomerChurn> = report.customers.as_ref()?.iter().flat_map(|one| &one.periods).collect();
        let over: BTreeSet<_> = report.periods.iter().filter(|one| one.finished).map(|one| one.period).collect();
        self.churn("in all", &report.total, &listed, |one| over.contains(&one.period));
        for group in &report.groups {
            self.churn("of a group", &group.figures, &listed, |one| {
                over.contains(&one.period) && one.group == group.group
            });
        }
        for period in &report.periods {
            let is_here = |one: &CustomerChurn| one.period == period.period;
            self.churn("in a period", &period.figures, &listed, is_here);
            for group in &period.groups {
                self.churn("of a group in a period", &group.figures, &listed, |one| {
                    is_here(one) && one.group == group.group
                });
            }
        }
        Some(())
    }

    fn churn(
        &mut self,
        what: &str,
        said: &ChurnFigures,
        listed: &[&CustomerChurn],
        is_here: impl Fn(&CustomerChurn) -> bool,
    ) {
        let of = |outcome: ChurnOutcome| count(listed, |one| is_here(one) && one.outcome == outcome);
        self.same(&format!("base {what}"), said.base, count(listed, |one| is_here(one)));
        self.same(&format!("retained {what}"), said.retained, of(ChurnOutcome::Retained));
        self.same(&format!("churned {what}"), said.churned, of(ChurnOutcome::Churned));
        self.same(&format!("quiet {what}"), said.quiet, of(ChurnOutcome::Quiet));
        self.same(&format!("pending {what}"), said.pending, of(ChurnOutcome::Pending));
    }

    fn purchases(&mut self, report: &PurchasesReport) -> Option<()> {
        let listed = report.customers.as_ref()?;
        let of = |outcome: RepeatOutcome| count(listed, |one| one.outcome == outcome);
        self.same("buyers", report.repeat.buyers, listed.len());
        self.same("repeated", report.repeat.repeated, of(RepeatOutcome::Repeated));
        self.same("once", report.repeat.once, of(RepeatOutcome::Once));
        self.same("pending", report.repeat.pending, of(RepeatOutcome::Pending));
        let repeats: usize = listed.iter().map(|one| one.repeats as usize).sum();
        self.same("days with a purchase", report.purchases, listed.len() + repeats);
        for value in &report.values {
            let is_in = |money: &Money| money.currency() == value.total.currency();
            let spent = count(listed, |one| one.values.iter().any(is_in));
            self.same("customers of a currency", value.customers, spent);
        }
        for segment in &report.segments {
            self.same("customers of a cell", segment.customers, count(listed, |one| one.rfm == segment.rfm));
        }
        self.same("customers of all cells", report.segments.iter().map(|one| one.customers).sum(), listed.len());
        Some(())
    }

    fn drivers(&mut self, report: &DriversReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        self.same("cases", report.cases.of, listed.len());
        self.same("cases with the outcome", report.cases.some, count(listed, |one| one.outcome));
        for (place, driver) in report.drivers.iter().enumerate() {
            let has = |one: &journeylog::DriverCase| one.drivers.contains(&place);
            self.same("cases with it", driver.with.of, count(listed, has));
            self.same("with the outcome", driver.with.some, count(listed, |one| has(one) && one.outcome));
            self.same("cases without it", driver.without.of, count(listed, |one| !has(one)));
            self.same("with the outcome", driver.without.some, count(listed, |one| !has(one) && one.outcome));
        }
        Some(())
    }

    fn consistency(&mut self, report: &ConsistencyReport) -> Option<()> {
        let listed = report.listed.as_ref()?;
        for group in &report.groups {
            let of: Vec<_> = listed.iter().filter(|one| one.group == group.group).collect();
            self.answers(&of, group.answers, &group.counts, *report.of.scores().start());
        }
        Some(())
    }

    fn segment(&mut self, report: &MembersReport) -> Option<()> {
        self.same("members", report.members.some, report.customers.as_ref()?.len());
        Some(())
    }

    fn by_segment(&mut self, report: &BySegmentReport<Report>) -> Option<()> {
        let listed = report.listed.as_ref()?;
        self.same("customers", report.customers, listed.len());
        self.same("in more than one", report.overlapping, count(listed, |one| one.segments.len() > 1));
        for group in &report.groups {
            let found = count(listed, |one| one.segments.contains(&group.label));
            self.same("customers of a segment", group.customers.some, found);
            self.report(&group.report)?;
        }
        Some(())
    }
}

/// Asks any plan of a kind of random worlds, with the customers listed.
fn lists_whom_it_counts(plan: impl Fn(u64) -> Plan) {
    each_world(250, periodic_world, |seed, events| {
        let plan = plan(seed).list_customers();
        let question = Question::new(plan).scope(any_scope(seed)).model(any_model(seed));
        let answers = journeys(events).query().ask(std::slice::from_ref(&question)).map_err(|e| e.to_string())?;
        recount(&answers[0].report).map_err(|why| format!("{}\n{why}", serde_json::json!(question)))
    });
}

macro_rules! each_kind {
    ($($kind:ident: $plan:expr;)+) => {
        $(#[test]
        fn $kind() {
            lists_whom_it_counts(|seed| ($plan)(seed).into());
        })+
    };
}

each_kind! {
    funnel: any_funnel;
    transitions: |_| Transitions::of_question();
    stages: |seed| {
        let stages = StageCounts::of_question();
        if seed % 4 == 0 { stages } else { stages.every(any_period(&mut fastrand::Rng::with_seed(seed))) }
    };
    retention: any_retention;
    lifecycle: any_lifecycle;
    stickiness: any_stickiness;
    dwell: |_| Dwell::of_question();
    sessions: any_sessions;
    paths: any_paths;
    pattern: any_matches;
    conformance: any_conformance;
    pattern_conformance: any_pattern_conformance;
    lifetime_value: any_lifetime_value;
    attribution: any_attribution;
    experience: any_experience;
    conversion_rate: any_conversion_rate;
    churn_rate: any_churn_rate;
    purchases: any_purchases;
    drivers: any_drivers;
    consistency: any_consistency;
    segment: any_members;
    by_segment: |seed| {
        let plan: Plan = if seed % 2 == 0 { any_paths(seed).into() } else { any_members(seed).into() };
        Plan::BySegment(BySegment::new(plan, any_segments(seed)).unwrap())
    };
}

/// The golden plans have every kind, and their lists are whole.
#[test]
fn every_kind_of_the_golden_plans_lists_whom_it_counts() {
    let events = include_bytes!("../golden/events.ndjson");
    let events = journeylog::import::NdjsonReader::new(&events[..]).collect::<Result<Vec<_>, _>>().unwrap();
    let journeys = journeylog::Journeys::of(events).unwrap();
    for mut question in Question::read(include_str!("../golden/plans.json")).unwrap() {
        question.plan = question.plan.list_customers();
        let answers = journeys.query().ask(std::slice::from_ref(&question)).unwrap();
        recount(&answers[0].report).unwrap();
    }
}
