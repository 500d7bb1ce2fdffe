//! Any of the plans, and any of the reports: what JSON says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Analysis, Attribution, AttributionReport, Binder, Bound, BySegment, BySegmentReport, ChurnRate, ChurnRateReport,
    CohortRetention, CohortRetentionReport, Conformance, ConformanceReport, Consistency, ConsistencyReport,
    ConversionRate, ConversionRateReport, Drivers, DriversReport, Dwell, DwellReport, Experience, ExperienceReport,
    Funnel, FunnelReport, Lifecycle, LifecycleReport, LifetimeValue, LifetimeValueReport, Members, MembersReport,
    Paths, PathsReport, PatternConformance, PatternConformanceReport, PatternMatches, PatternReport, Purchases,
    PurchasesReport, Sessions, SessionsReport, StageCounts, StageCountsReport, Stickiness, StickinessReport,
    Transitions, TransitionsReport,
};
use crate::{
    error::{InvalidPlan, Result},
    journey::{Journey, JourneyBatch, Names},
    table::{Table, Tables},
};

/// Makes the enums that hold one of several analyses, each in all its forms.
macro_rules! any_plan {
    ($($(#[$doc:meta])* $variant:ident($plan:ident, $report:ident),)+) => {
        /// Any of the built-in plans. In JSON an object with one key: `{"funnel":{..}}`, `{"transitions":{}}`, `{"stages":{}}`,
        /// `{"retention":{..}}`, `{"lifecycle":{..}}`, `{"churn_rate":{"period":"month"}}`, `{"stickiness":{..}}`, `{"dwell":{}}`,
        /// `{"sessions":{"gap":"30m"}}`, `{"paths":{"start":{..}}}`, `{"pattern":{"steps":[..]}}`, `{"conformance":{}}`,
        /// `{"attribution":{"conversion":{..},"touch":{..}}}`, `{"experience":{"by":"stage"}}`,
        /// `{"conversion_rate":{"exposed":{..},"wanted":{..}}}`,
        /// `{"drivers":{"of":{"conversion":{..}}}}`, `{"consistency":{"of":"nps"}}`,
        /// `{"purchases":{"purchase":{..}}}`, `{"lifetime_value":{"purchase":{..}}}`, `{"pattern_conformance":{"steps":[..]}}`,
        /// `{"segment":{"of":{"did":{"touchpoint":"purchase"}}}}`; and any other of them by segment.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Plan {
            $($(#[$doc])* $variant($plan),)+
        }

        /// The report of any of the built-in plans.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Report {
            $($(#[$doc])* $variant($report),)+
        }

        /// Any of the built-in plans, bound to a store.
        #[derive(Debug)]
        #[expect(clippy::large_enum_variant, reason = "there is one for each question")]
        pub enum BoundPlan {
            $($(#[$doc])* $variant(<$plan as Analysis>::Bound),)+
        }

        /// The state of any of the built-in plans.
        #[derive(Debug, Serialize, Deserialize)]
        pub enum PlanState {
            $($(#[$doc])* $variant(<<$plan as Analysis>::Bound as Bound>::State),)+
        }

        impl Analysis for Plan {
            type Bound = BoundPlan;

            fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundPlan, InvalidPlan> {
                match self {
                    $(Self::$variant(plan) => plan.bind(binder).map(BoundPlan::$variant),)+
                }
            }
        }

        // A state always meets the bound plan that made it, so the arms that pair others have nothing to do.
        impl Bound for BoundPlan {
            type State = PlanState;
            type Report = Report;

            fn start(&self) -> PlanState {
                match self {
                    $(Self::$variant(bound) => PlanState::$variant(bound.start()),)+
                }
            }

            fn visit(&self, state: &mut PlanState, journey: &Journey<'_>) {
                match (self, state) {
                    $((Self::$variant(bound), PlanState::$variant(state)) => bound.visit(state, journey),)+
                    _ => {}
                }
            }

            fn visit_batch(&self, state: &mut PlanState, journeys: &JourneyBatch<'_>) {
                match (self, state) {
                    $((Self::$variant(bound), PlanState::$variant(state)) => bound.visit_batch(state, journeys),)+
                    _ => {}
                }
            }

            fn merge(&self, state: &mut PlanState, other: PlanState) {
                match (self, state, other) {
                    $((Self::$variant(bound), PlanState::$variant(state), PlanState::$variant(other)) => {
                        bound.merge(state, other);
                    })+
                    _ => {}
                }
            }

            fn size(&self, state: &PlanState) -> usize {
                match (self, state) {
                    $((Self::$variant(bound), PlanState::$variant(state)) => bound.size(state),)+
                    _ => 0,
                }
            }

            fn finish(&self, state: PlanState, names: &Names) -> Result<Report> {
                match (self, state) {
                    $((Self::$variant(bound), PlanState::$variant(state)) => {
                        bound.finish(state, names).map(Report::$variant)
                    })+
                    _ => Err(InvalidPlan::new("plan", "the state is that of another plan").into()),
                }
            }
        }

        $(impl From<$plan> for Plan {
            fn from(plan: $plan) -> Self {
                Self::$variant(plan)
            }
        })+

        impl Tables for Report {
            fn tables(&self) -> Vec<Table> {
                match self {
                    $(Self::$variant(report) => report.tables(),)+
                }
            }
        }

        impl fmt::Display for Report {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(report) => report.fmt(f),)+
                }
            }
        }
    };
}

any_plan! {
    /// How far customers come in a list of steps.
    Funnel(Funnel, FunnelReport),
    /// How customers move between stages.
    Transitions(Transitions, TransitionsReport),
    /// How many customers are in each stage.
    Stages(StageCounts, StageCountsReport),
    /// Who came back, by cohort and period.
    Retention(CohortRetention, CohortRetentionReport),
    /// Who is new, goes on, comes back and falls silent, by period.
    Lifecycle(Lifecycle, LifecycleReport),
    /// Who stays and who is lost, from period to period.
    ChurnRate(ChurnRate, ChurnRateReport),
    /// In how many of the last periods customers are active.
    Stickiness(Stickiness, StickinessReport),
    /// How long customers stay in each stage, and where they wait.
    Dwell(Dwell, DwellReport),
    /// How often customers come, for how long, and where they come in and leave.
    Sessions(Sessions, SessionsReport),
    /// Which ways customers take.
    Paths(Paths, PathsReport),
    /// Whose journeys hold a pattern.
    Pattern(PatternMatches, PatternReport),
    /// How far journeys are as they were designed.
    Conformance(Conformance, ConformanceReport),
    /// How often, how recently and for how much customers buy.
    Purchases(Purchases, PurchasesReport),
    /// What customers have spent, and can be expected to spend.
    LifetimeValue(LifetimeValue, LifetimeValueReport),
    /// Which touches conversions go back to.
    Attribution(Attribution, AttributionReport),
    /// How satisfied customers say they are.
    Experience(Experience, ExperienceReport),
    /// How many follow an exposure with the wanted event.
    ConversionRate(ConversionRate, ConversionRateReport),
    /// What goes with an outcome.
    Drivers(Drivers, DriversReport),
    /// Whether feedback differs between channels.
    Consistency(Consistency, ConsistencyReport),
    /// How far journeys are a designed sequence of events.
    PatternConformance(PatternConformance, PatternConformanceReport),
    /// How many customers are in a segment, and who.
    Segment(Members, MembersReport),
    /// Another plan, asked of each of some segments.
    BySegment(AnyBySegment, AnyBySegmentReport),
}

type AnyBySegment = BySegment<Plan>;
type AnyBySegmentReport = BySegmentReport<Report>;

impl Plan {
    /// The same plan, listing the customers behind its numbers.
    #[must_use]
    pub fn list_customers(self) -> Self {
        match self {
            Self::Funnel(funnel) => Self::Funnel(Funnel { customers: true, ..funnel }),
            Self::Stages(stages) => Self::Stages(stages.list_customers()),
            Self::Retention(retention) => Self::Retention(retention.list_customers()),
            Self::Paths(paths) => Self::Paths(paths.list_customers()),
            Self::Pattern(pattern) => Self::Pattern(pattern.list_customers()),
            Self::Conformance(conformance) => Self::Conformance(conformance.list_customers()),
            Self::Attribution(attribution) => Self::Attribution(attribution.list_customers()),
            Self::Experience(experience) => Self::Experience(experience.list_customers()),
            Self::ConversionRate(rate) => Self::ConversionRate(rate.list_customers()),
            Self::ChurnRate(rate) => Self::ChurnRate(rate.list_customers()),
            Self::Drivers(drivers) => Self::Drivers(drivers.list_customers()),
            Self::Consistency(plan) => Self::Consistency(plan.list_customers()),
            Self::PatternConformance(plan) => Self::PatternConformance(plan.list_customers()),
            Self::Stickiness(stickiness) => Self::Stickiness(stickiness.list_customers()),
            Self::LifetimeValue(value) => Self::LifetimeValue(value.list_customers()),
            Self::Purchases(purchases) => Self::Purchases(purchases.list_customers()),
            Self::Segment(members) => Self::Segment(members.list_customers()),
            Self::BySegment(plan) => Self::BySegment(plan.map(Self::list_customers).list_customers()),
            Self::Transitions(transitions) => Self::Transitions(transitions.list_customers()),
            Self::Lifecycle(lifecycle) => Self::Lifecycle(lifecycle.list_customers()),
            Self::Dwell(dwell) => Self::Dwell(dwell.list_customers()),
            Self::Sessions(sessions) => Self::Sessions(sessions.list_customers()),
        }
    }
}
