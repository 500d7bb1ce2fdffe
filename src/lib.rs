//! An embedded store for customer-journey events: the log is kept safely in one folder on disk (in [sled]), and stage
//! transitions, funnels and more are asked of it in milliseconds, without a server.
//!
//! A business meets its customers through ads, web pages, shops, chats, invoices and surveys. Each meeting is an
//! [`Event`]: a customer, a touchpoint, a channel, a time, and perhaps a stage, money, feedback and properties. Events
//! are appended to a [`Store`]; they may be late, out of order and repeated. Questions ([`Funnel`], [`Transitions`],
//! [`StageCounts`], or [your own](Analysis)) are plans that a [`Query`] runs over whole journeys.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let folder = dir.path().join("shop.journey");
//! use chrono::{TimeDelta, Utc};
//! use journeylog::{Channel, Event, Funnel, JourneyModel, Money, Store, Transitions};
//!
//! let store = Store::open(folder)?;
//! let hour = |h| Utc::now() - TimeDelta::hours(h);
//! store.append(Event::at(hour(3), "ann", "ad_click").channel(Channel::Social))?;
//! store.append(Event::at(hour(2), "ann", "product_view"))?;
//! store.append(Event::at(hour(1), "ann", "purchase").value(Money::new("19.90", "EUR")?))?;
//! store.append(Event::at(hour(1), "bob", "product_view").id("web-17"))?;
//!
//! let funnel = Funnel::ordered(["product_view", "purchase"]).within(TimeDelta::days(7)).build()?;
//! let moves = Transitions::of(JourneyModel::standard());
//! let (funnel, moves) = store.snapshot().query().run((&funnel, &moves))?; // two questions, one scan
//!
//! assert_eq!((funnel.entered, funnel.converted, funnel.pending), (2, 1, 1));
//! assert_eq!(moves.cell(Some("consideration"), "purchase").unwrap().count, 1);
//! println!("{funnel}\n{moves}"); // tables that a person can read
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The main types
//! - [`Store`]: append, snapshot, close. [`StoreOptions`] and [`Durability`] say how safe an append is.
//! - [`Event`] and what it is made of: [`CustomerId`], [`Touchpoint`], [`Channel`], [`Money`], [`Feedback`],
//!   [`PropertyValue`].
//! - [`JourneyModel`]: stages in order, and [`Condition`]s that map events to them.
//! - [`Query`] and [`Scope`]: which part of the log a question is about.
//! - [`Funnel`], [`Transitions`], [`StageCounts`], [`CohortRetention`], [`Lifecycle`], [`ChurnRate`], [`Stickiness`],
//!   [`Dwell`], [`Sessions`], [`Paths`], [`PatternMatches`], [`Conformance`], [`Attribution`], [`Experience`], [`ConversionRate`],
//!   [`Drivers`], [`Consistency`],
//!   [`Purchases`], [`LifetimeValue`]: the questions; each has a report that prints, is JSON, and is
//!   [`Tables`].
//! - [`Segment`]: customers by what they did, did not do, are or scored; as scope or breakdown ([`BySegment`]) of every
//!   question, or counted ([`Members`]).
//! - [`Question`] and [`Answer`]: the same as JSON.
//! - [`Journeys`]: the same questions over events in memory.
//! - [`import`]: events from NDJSON and CSV. [`export`]: events to NDJSON, of one customer or all.
//! - [`Analysis`] and [`Bound`]: the seam on which one's own questions stand.
//!
//! # Features
//! - `csv` (default): reading CSV in [`import`].
//! - `zones` (default): calendar periods in any named time zone; without it UTC is the only [`Zone`].
//! - `testing`: seeded worlds of events, naive oracles and a checker for the laws of an analysis.
//!
//! # Guarantees
//! An append is whole or absent, and what [`Durability::Synced`] has acknowledged survives a power cut. Answers do not
//! depend on the number of threads, or on how the store has cut its files. Nothing panics: not on input, not on bytes
//! found on disk, not on any time or amount. (sled does; its panics are caught and become errors, unless the program is
//! built with `panic = "abort"`.) `docs/limits.md` of the repository lists every limit, `docs/design.md` describes every
//! byte on disk, `docs/decisions.md` why things are as they are.
//!
//! [sled]: https://docs.rs/sled

#![cfg_attr(
    test,
    allow(
        clippy::float_cmp,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::manual_is_multiple_of,
        reason = "tests compare exact numbers, and small ones"
    )
)]

mod analysis;
mod codec;
mod error;
pub mod export;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
mod journey;
mod model;
mod query;
mod store;
mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use analysis::{
    Analysis, Attribution, AttributionBuilder, AttributionBy, AttributionChain, AttributionCredit, AttributionCustomer,
    AttributionModel, AttributionMove, AttributionMoveTo, AttributionNullJourney, AttributionReport, AttributionRow,
    AttributionUntouched, BgNbd, Binder, Bound, Breakdown, BreakdownBy, BreakdownFrom, BySegment, BySegmentReport,
    ChurnBy, ChurnCustomer, ChurnFigures, ChurnGroup, ChurnOutcome, ChurnPeriod, ChurnRate, ChurnRateBuilder,
    ChurnRateReport, CohortRetention, CohortRetentionBuilder, CohortRetentionReport, Cohorts, Conformance,
    ConformanceBuilder, ConformanceCustomer, ConformanceReport, Consistency, ConsistencyBuilder, ConsistencyGroup,
    ConsistencyReport, ConversionCount, ConversionFigures, ConversionKind, ConversionOutcome, ConversionRate,
    ConversionRateBuilder, ConversionRateReport, ConversionRow, ConversionTrial, Count, Criterion, CustomerChurn,
    CustomerDeviation, CustomerLifetime, CustomerMove, CustomerPhase, CustomerSession, CustomerStepDeviation,
    CustomerVisit, DesignedStep, Deviation, DeviationKind, DeviationTotal, Driver, DriverBy, DriverCase, DriverTest,
    Drivers, DriversBuilder, DriversOutcome, DriversReport, DurationSummary, Durations, Dwell, DwellBottleneck,
    DwellCustomer, DwellEnd, DwellReport, EqualityTest, EventBy, Exclusion, ExclusionEffect, ExpectedValue, Experience,
    ExperienceAnswer, ExperienceAnswers, ExperienceBuilder, ExperienceReport, ExperienceRow, Funnel, FunnelBottleneck,
    FunnelBreakdown, FunnelBuilder, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther,
    FunnelOutcome, FunnelPeriod, FunnelReport, FunnelStep, GammaGamma, HistoricValue, LIMIT_GROUPS,
    LIMIT_HORIZON_UNITS, LIMIT_INACTIVE_PERIODS, LIMIT_MARKOV_ORDER, LIMIT_PATH_DEPTH, LIMIT_PATH_GROUPS,
    LIMIT_PATH_NODES, LIMIT_PATH_VARIANTS, LIMIT_RETENTION_PERIODS, LIMIT_SEGMENTS, LIMIT_SESSION_TOUCHPOINTS,
    LIMIT_STEPS, LIMIT_STICKINESS_PERIODS, Lifecycle, LifecycleCustomer, LifecyclePeriod, LifecyclePhase,
    LifecycleReport, LifetimeValue, LifetimeValueBuilder, LifetimeValueReport, LifetimeWarning, Matches, Members,
    MembersReport, NotTested, OddsRatio, Optimum, Order, OtherPaths, PathCustomer, PathDirection, PathGroup, PathLink,
    PathNode, PathPosition, PathRepeats, PathStart, PathVariant, Paths, PathsBuilder, PathsOf, PathsReport,
    PatternConformance, PatternConformanceCustomer, PatternConformanceReport, PatternCustomer, PatternEvent,
    PatternMatch, PatternMatches, PatternReport, Plan, Preset, PurchaseCount, PurchaseCustomer, PurchaseFit,
    PurchaseHistory, PurchaseValue, Purchases, PurchasesBuilder, PurchasesReport, Rate, RateDifference, RepeatOutcome,
    RepeatPurchases, Report, RetentionAverage, RetentionCell, RetentionCohort, RetentionColumn, RetentionCustomer, Rfm,
    RfmSegment, Scope, SegmentCustomer, SegmentGroup, SegmentReading, Segments, ServedEvent, SessionCustomer,
    SessionSize, SessionTouchpoint, SessionTouchpoints, Sessions, SessionsBuilder, SessionsPeriod, SessionsReport,
    StageCount, StageCounts, StageCountsReport, StageCustomer, StageDwell, StageMoment, StageReading, StageTotal,
    StageVisit, StepDeviation, Stickiness, StickinessCustomer, StickinessReport, StickinessRow, SurveyScore,
    SurvivalPoint, SurvivalTime, Ties, TimeBin, Touch, TransitionCell, TransitionCustomer, Transitions,
    TransitionsReport, ValueBands, ValueFit, Visit,
};
pub use error::{Error, ErrorKind, InvalidPlan, InvalidValue, Result};
pub use journey::{ChannelNo, CustomerNo, Journey, JourneyBatch, Matched, Names, PropertyNo, TouchpointNo};
pub use model::{
    CalendarUnit, Channel, Comparison, Condition, Currency, CustomChannel, CustomerId, Entry, Event, EventBuilder,
    EventId, Feedback, JourneyModel, JourneyModelBuilder, LIMIT_EVENT_BYTES, LIMIT_PATTERN_EVENTS, LIMIT_PATTERN_STEPS,
    LIMIT_PROPERTIES, LIMIT_SEGMENT_DEPTH, LIMIT_SEGMENT_LEAVES, Link, Micros, Money, MoveKind, Nth, Pattern,
    PatternBuilder, PatternFollows, PatternStep, Period, ProfileUpdate, ProfileUpdateBuilder, ProfileWhen,
    PropertyValue, RefusedName, Rule, Segment, SegmentBuilder, SegmentRef, Seq, Stage, StageName, Survey, Touchpoint,
    WhichAnswer, Window, Zone,
};
pub use rust_decimal::Decimal;

pub use query::{Answer, Journeys, LIMIT_QUESTION_BYTES, LIMIT_QUESTIONS, Query, Question};
pub use store::{
    Backup, Customer, Durability, Erasure, JourneyEvent, LIMIT_BATCH_BYTES, LIMIT_BATCH_EVENTS,
    LIMIT_NAMED_SEGMENT_BYTES, LIMIT_NAMED_SEGMENTS, LoggedEvent, OpenReport, Problem, Progress, Receipt, Retention,
    Salvage, Snapshot, Store, StoreOptions, StorePart, StoreStats, Verification, Verify,
};
pub use table::{Cell, Table, Tables};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
