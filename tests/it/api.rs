//! What public types can do.

use journeylog::{
    Answer, Attribution, AttributionReport, Breakdown, BySegment, BySegmentReport, ChurnRate, ChurnRateReport,
    CohortRetention, CohortRetentionReport, Conformance, ConformanceReport, Consistency, ConsistencyReport, Customer,
    Drivers, DriversReport, Dwell, DwellReport, Error, Event, Experience, ExperienceReport, Funnel, FunnelReport,
    InvalidPlan, InvalidValue, JourneyModel, Journeys, Lifecycle, LifecycleReport, LifetimeValue, LifetimeValueReport,
    Members, MembersReport, Names, Paths, PathsReport, Pattern, PatternConformance, PatternConformanceReport,
    PatternMatches, PatternReport, Purchases, PurchasesReport, Query, Question, Receipt, Report, Segment, Segments,
    Sessions, SessionsReport, Snapshot, StageCounts, Stickiness, StickinessReport, Store, StoreOptions, Transitions,
    TransitionsReport,
};

#[test]
fn handles_and_values_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Store>();
    crosses::<Snapshot>();
    crosses::<Query>();
    crosses::<Journeys>();
    crosses::<Names>();
    crosses::<Customer>();
    crosses::<Event>();
    crosses::<Receipt>();
    crosses::<StoreOptions>();
    crosses::<JourneyModel>();
    crosses::<(Funnel, Breakdown, Transitions, StageCounts, Question)>();
    crosses::<(CohortRetention, CohortRetentionReport)>();
    crosses::<(Lifecycle, LifecycleReport, Stickiness, StickinessReport)>();
    crosses::<(ChurnRate, ChurnRateReport)>();
    crosses::<(Purchases, PurchasesReport)>();
    crosses::<(LifetimeValue, LifetimeValueReport)>();
    crosses::<(Dwell, DwellReport, Sessions, SessionsReport)>();
    crosses::<(Attribution, AttributionReport)>();
    crosses::<(Drivers, DriversReport)>();
    crosses::<(Consistency, ConsistencyReport)>();
    crosses::<(Experience, ExperienceReport)>();
    crosses::<(Conformance, ConformanceReport, PatternConformance, PatternConformanceReport)>();
    crosses::<(Paths, PathsReport, Pattern, PatternMatches, PatternReport)>();
    crosses::<(Segment, Segments, Members, MembersReport)>();
    crosses::<(BySegment<Funnel>, BySegmentReport<Report>)>();
    crosses::<(FunnelReport, TransitionsReport, Answer)>();
    crosses::<(Error, InvalidPlan, InvalidValue)>();
}

#[test]
fn handles_are_cheap_to_clone() {
    fn clones<T: Clone>() {}
    clones::<Store>();
    clones::<Snapshot>();
    clones::<Query>();
    clones::<Journeys>();
}
