//! Questions about journeys. Nothing here sees a store, a file, the clock or an engine: a question over a slice of
//! events and over a store of a hundred million is the same code.

mod amounts;
mod attribution;
mod bind;
mod bottleneck;
mod buckets;
mod by_segment;
mod carried;
mod churn_rate;
mod conformance;
mod consistency;
mod conversion_rate;
mod difference;
mod drivers;
mod duration;
mod dwell;
mod event_by;
mod experience;
pub(crate) mod funnel;
mod histogram;
mod kept;
mod keys;
mod lifecycle;
mod lifetime;
mod listed;
mod masks;
mod members;
mod membership;
mod multiple_tests;
mod numbers;
mod odds;
mod over_time;
mod pairs;
mod paths;
mod pattern;
mod pattern_conformance;
mod picking;
mod pieces;
mod plan;
mod purchase_days;
mod purchases;
mod rate;
mod reader;
mod retention;
mod run;
mod scope;
mod seam;
mod sessions;
mod stage_plan;
mod stage_rows;
mod stages;
mod stickiness;
mod survival;
mod test;
mod transitions;

pub use attribution::{
    Attribution, AttributionBuilder, AttributionBy, AttributionChain, AttributionCredit, AttributionCustomer,
    AttributionModel, AttributionMove, AttributionMoveTo, AttributionNullJourney, AttributionReport, AttributionRow,
    AttributionUntouched, LIMIT_MARKOV_ORDER,
};
pub use bind::{Binder, Matches, StageReading, Visit};
pub use by_segment::{BySegment, BySegmentReport, LIMIT_SEGMENTS, SegmentCustomer, SegmentGroup, Segments};
pub use churn_rate::{
    ChurnBy, ChurnCustomer, ChurnFigures, ChurnGroup, ChurnOutcome, ChurnPeriod, ChurnRate, ChurnRateBuilder,
    ChurnRateReport, CustomerChurn, LIMIT_INACTIVE_PERIODS,
};
pub use conformance::{
    Conformance, ConformanceBuilder, ConformanceCustomer, ConformanceReport, CustomerDeviation, Deviation,
    DeviationKind, DeviationTotal,
};
pub use consistency::{Consistency, ConsistencyBuilder, ConsistencyGroup, ConsistencyReport, EqualityTest, NotTested};
pub use conversion_rate::{
    ConversionCount, ConversionFigures, ConversionKind, ConversionOutcome, ConversionRate, ConversionRateBuilder,
    ConversionRateReport, ConversionRow, ConversionTrial,
};
pub use difference::RateDifference;
pub use drivers::{Driver, DriverBy, DriverCase, DriverTest, Drivers, DriversBuilder, DriversOutcome, DriversReport};
pub use duration::{DurationSummary, Durations};
pub use dwell::{CustomerVisit, Dwell, DwellBottleneck, DwellCustomer, DwellEnd, DwellReport, StageDwell};
pub use event_by::EventBy;
pub use experience::{
    Experience, ExperienceAnswer, ExperienceAnswers, ExperienceBuilder, ExperienceReport, ExperienceRow, SurveyScore,
};
pub use funnel::{
    Breakdown, BreakdownBy, BreakdownFrom, Count, Exclusion, ExclusionEffect, Funnel, FunnelBottleneck,
    FunnelBreakdown, FunnelBuilder, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther,
    FunnelOutcome, FunnelPeriod, FunnelReport, FunnelStep, LIMIT_GROUPS, LIMIT_STEPS, Order, Preset, ServedEvent, Ties,
    Touch, ValueBands,
};
pub use histogram::TimeBin;
pub use lifecycle::{CustomerPhase, Lifecycle, LifecycleCustomer, LifecyclePeriod, LifecyclePhase, LifecycleReport};
pub use lifetime::{
    BgNbd, CustomerLifetime, ExpectedValue, GammaGamma, HistoricValue, LIMIT_HORIZON_UNITS, LifetimeValue,
    LifetimeValueBuilder, LifetimeValueReport, LifetimeWarning, Optimum, PurchaseFit, PurchaseHistory, ValueFit,
};
pub use members::{Members, MembersReport};
pub use membership::SegmentReading;
pub use odds::OddsRatio;
pub use paths::{
    LIMIT_PATH_DEPTH, LIMIT_PATH_GROUPS, LIMIT_PATH_NODES, LIMIT_PATH_VARIANTS, OtherPaths, PathCustomer,
    PathDirection, PathGroup, PathLink, PathNode, PathPosition, PathRepeats, PathStart, PathVariant, Paths,
    PathsBuilder, PathsOf, PathsReport,
};
pub use pattern::{PatternCustomer, PatternEvent, PatternMatch, PatternMatches, PatternReport};
pub use pattern_conformance::{
    CustomerStepDeviation, DesignedStep, PatternConformance, PatternConformanceCustomer, PatternConformanceReport,
    StepDeviation,
};
pub use plan::{Plan, Report};
pub use purchases::{
    PurchaseCount, PurchaseCustomer, PurchaseValue, Purchases, PurchasesBuilder, PurchasesReport, RepeatOutcome,
    RepeatPurchases, Rfm, RfmSegment,
};
pub use rate::Rate;
pub use retention::{
    CohortRetention, CohortRetentionBuilder, CohortRetentionReport, Cohorts, Criterion, LIMIT_RETENTION_PERIODS,
    RetentionAverage, RetentionCell, RetentionCohort, RetentionColumn, RetentionCustomer,
};
pub(crate) use run::{Job, run};
pub(crate) use scope::BoundScope;
pub use scope::Scope;
pub use seam::{Analysis, Bound};
pub use sessions::{
    CustomerSession, LIMIT_SESSION_TOUCHPOINTS, SessionCustomer, SessionSize, SessionTouchpoint, SessionTouchpoints,
    Sessions, SessionsBuilder, SessionsPeriod, SessionsReport,
};
pub use stages::{StageCount, StageCounts, StageCountsReport, StageCustomer, StageMoment, StageVisit};
pub use stickiness::{LIMIT_STICKINESS_PERIODS, Stickiness, StickinessCustomer, StickinessReport, StickinessRow};
pub use survival::{SurvivalPoint, SurvivalTime};
pub use transitions::{CustomerMove, StageTotal, TransitionCell, TransitionCustomer, Transitions, TransitionsReport};
