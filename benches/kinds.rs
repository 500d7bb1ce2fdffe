//! Stores of the worst kinds against an ordinary one: loading, settling, room on disk, and questions.
//!
//! `cargo bench --bench kinds` makes 200,000 events of each kind, `-- 1000000` as many as it says, `-- 5000000 "one customer"`
//! of the kinds named (and the ordinary one, against which they are measured), and `-- --test` a few, to see only that it runs.

use std::{
    env,
    error::Error,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{
    Cell, Durability, Event, Funnel, FunnelReport, JourneyModel, Store, StoreOptions, StoreStats, Table, Transitions,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EVENTS: usize = 200_000;
const EVENTS_OF_A_TEST: usize = 2_000;
const BATCH: usize = 1_000;
/// Each question is asked so many times, after a first time that is not counted.
const TIMES: usize = 5;
/// A figure so many times that of the ordinary kind is pointed out.
const TOO_MUCH: f64 = 3.0;

/// Microseconds since 1970 of the first event, and from there to the last: 90 days.
const START: i64 = 1_767_225_600_000_000;
const SPAN: i64 = 90 * 86_400_000_000;
const STEPS: [&str; 4] = ["product_view", "add_to_cart", "checkout", "purchase"];
/// The first are the most frequent.
const TOUCHPOINTS: [&str; 12] = [
    "product_view",
    "home",
    "ad_click",
    "add_to_cart",
    "search",
    "checkout",
    "email_open",
    "purchase",
    "support",
    "review",
    "renewal",
    "kiosk",
];
const MANY_TOUCHPOINTS: usize = 50_000;
const MANY_PROPERTIES: usize = 1_000;
/// Properties of one event, where it has any.
const PROPERTIES: usize = 3;

const FIGURES: [&str; 7] = [
    "loading, µs an event",
    "settling, ms",
    "log, bytes an event",
    "index, bytes an event",
    "funnel, ms",
    "transitions, ms",
    "one journey, µs",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Ordinary,
    OneCustomer,
    OneEventEach,
    ManyTouchpoints,
    /// What properties cost even if their names are few.
    FewProperties,
    ManyProperties,
    Reversed,
    SingleAppends,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Ordinary,
        Self::OneCustomer,
        Self::OneEventEach,
        Self::ManyTouchpoints,
        Self::FewProperties,
        Self::ManyProperties,
        Self::Reversed,
        Self::SingleAppends,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::OneCustomer => "one customer",
            Self::OneEventEach => "one event per customer",
            Self::ManyTouchpoints => "many touchpoints",
            Self::FewProperties => "3 property names",
            Self::ManyProperties => "1,000 property names",
            Self::Reversed => "time reversed",
            Self::SingleAppends => "single appends",
        }
    }

    /// Whether journeys are those of the ordinary kind but for properties and the order of arrival, so that answers must
    /// be the same.
    fn has_ordinary_journeys(self) -> bool {
        !matches!(self, Self::OneCustomer | Self::OneEventEach | Self::ManyTouchpoints)
    }

    fn customers(self, events: usize) -> usize {
        match self {
            Self::OneCustomer => 1,
            Self::OneEventEach => events,
            _ => events.div_ceil(20),
        }
    }

    fn property_names(self) -> usize {
        match self {
            Self::FewProperties => PROPERTIES,
            Self::ManyProperties => MANY_PROPERTIES,
            _ => 0,
        }
    }

    /// The events in the order of their arrival. No two are at the same time, so that their order does not matter to any
    /// answer.
    fn events(self, count: usize) -> Result<Vec<Event>> {
        // Properties have dice of their own, so that journeys stay the same without them.
        let (mut rng, mut property_rng) = (Rng::with_seed(7), Rng::with_seed(8));
        let gap = SPAN / i64::try_from(count)?;
        let mut events = Vec::with_capacity(count);
        for (nth, slot) in (START..).step_by(usize::try_from(gap)?).take(count).enumerate() {
            let time =
                DateTime::from_timestamp_micros(slot + rng.i64(0..gap)).ok_or("a time that chrono does not know")?;
            let customer = match self {
                Self::OneEventEach => nth,
                _ => heavy_head(&mut rng, self.customers(count)),
            };
            let mut event = Event::at(time, id(customer), self.touchpoint(&mut rng, nth, count));
            for (name, value) in properties(&mut property_rng, self.property_names()) {
                event = event.property(name, value);
            }
            events.push(event.build()?);
        }
        if self == Self::Reversed {
            events.reverse();
        }
        Ok(events)
    }

    /// Of many touchpoints the usual twelve have every second event, so that the funnel has something to do.
    fn touchpoint(self, rng: &mut Rng, nth: usize, count: usize) -> String {
        if self == Self::ManyTouchpoints && nth % 2 == 1 {
            return format!("t-{}", nth / 2 % (many_touchpoints(count) - TOUCHPOINTS.len()));
        }
        let place = rng.usize(..TOUCHPOINTS.len());
        TOUCHPOINTS.get(rng.usize(..=place)).map_or_else(String::new, ToString::to_string)
    }
}

/// How many distinct touchpoints there can be if every second event brings a new one.
fn many_touchpoints(events: usize) -> usize {
    MANY_TOUCHPOINTS.min(events / 2 + TOUCHPOINTS.len())
}

fn id(customer: usize) -> String {
    format!("c-{customer:07}")
}

/// A few customers make many of the events: the first of 10,000 has nearly 50 times its share.
fn heavy_head(rng: &mut Rng, customers: usize) -> usize {
    let most = rng.usize(..customers);
    let most = rng.usize(..=most);
    rng.usize(..=most)
}

/// Distinct names, each from a part of the names of its own.
fn properties(rng: &mut Rng, names: usize) -> Vec<(String, i64)> {
    let bound = |part: usize| part * names / PROPERTIES;
    let parts = (0..PROPERTIES).filter(|_| names > 0);
    parts.map(|part| (format!("p-{:04}", rng.usize(bound(part)..bound(part + 1))), rng.i64(0..100))).collect()
}

/// What was measured of a kind, in the order of `FIGURES`, and what its answers are checked by.
struct Measured {
    figures: [f64; FIGURES.len()],
    funnel: FunnelReport,
    stats: StoreStats,
}

fn measure(kind: Kind, count: usize) -> Result<Measured> {
    let events = kind.events(count)?;
    // In the ordinary kind this one has about 20 events.
    let customer = id(kind.customers(count) / 4);
    let of_customer = events.iter().filter(|event| event.customer().as_str() == customer).count();

    let dir = tempfile::tempdir()?;
    let durability = if kind == Kind::SingleAppends { Durability::Buffered } else { Durability::Synced };
    let store = StoreOptions::new().durability(durability).open(dir.path())?;
    let loading = load(&store, kind, events)?;
    let (settling, ()) = timed(|| Ok(store.settle()?))?;
    let stats = store.stats()?;
    assert_eq!(stats.events, count as u64, "{}: events that were loaded", kind.name());

    let plan = Funnel::ordered(STEPS).within(TimeDelta::days(7)).build()?;
    let moves = Transitions::of(JourneyModel::standard());
    let (funnel_time, funnel) = median(|| Ok(store.query().run(&plan)?))?;
    let (moves_time, _) = median(|| Ok(store.query().run(&moves)?))?;
    let (journey_time, found) = median(|| Ok(store.customer(&customer)?.map_or(0, |found| found.journey().len())))?;
    assert!(funnel.entered > 0, "{}: nobody entered the funnel", kind.name());
    assert_eq!(found, of_customer, "{}: events of {customer}", kind.name());

    let each = |bytes: u64| bytes as f64 / count as f64;
    let figures = [
        micros(loading) / count as f64,
        micros(settling) / 1e3,
        each(stats.log_bytes),
        each(stats.index_bytes),
        micros(funnel_time) / 1e3,
        micros(moves_time) / 1e3,
        micros(journey_time),
    ];
    store.close()?;
    Ok(Measured { figures, funnel, stats })
}

/// How long appending took, without cutting the events into batches.
fn load(store: &Store, kind: Kind, events: Vec<Event>) -> Result<Duration> {
    if kind == Kind::SingleAppends {
        let append = || events.into_iter().try_for_each(|event| Ok(store.append(event).map(drop)?));
        return Ok(timed(append)?.0);
    }
    let mut events = events.into_iter();
    let mut whole = Duration::ZERO;
    while events.len() > 0 {
        let batch: Vec<Event> = events.by_ref().take(BATCH).collect();
        whole += timed(|| Ok(store.append_batch(batch)?))?.0;
    }
    Ok(whole)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed(), done))
}

/// The median time of a question, and its answer.
fn median<T>(ask: impl Fn() -> Result<T>) -> Result<(Duration, T)> {
    let answer = ask()?;
    let mut times = (0..TIMES).map(|_| Ok(timed(&ask)?.0)).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok((times.get(TIMES / 2).copied().unwrap_or_default(), answer))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Each figure of each kind, beside its ratio to that of the ordinary kind, which comes first.
fn table(measured: &[(Kind, Measured)]) -> Table {
    let mut table = Table::new("Kinds", ["figure", "kind", "value", "ratio", ""]);
    for (nth, figure) in FIGURES.into_iter().enumerate() {
        let value = |of: &Measured| of.figures.get(nth).copied().unwrap_or_default();
        let ordinary = measured.first().map(|(_, first)| value(first)).unwrap_or_default();
        for (kind, found) in measured {
            let ratio = value(found) / ordinary;
            let over = if ratio > TOO_MUCH { "OVER 3x" } else { "" };
            let (value, ratio) = (format!("{:>10.2}", value(found)), format!("{ratio:>8.2}"));
            table.push([figure, kind.name(), &value, &ratio, over].map(|text| Cell::Text(text.to_owned())));
        }
    }
    table
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words = arguments.iter().filter(|argument| !argument.starts_with("--"));
    let (numbers, names): (Vec<&String>, Vec<&String>) =
        words.partition(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(unknown) = names.iter().find(|name| Kind::ALL.iter().all(|kind| kind.name() != name.as_str())) {
        return Err(format!("no kind {unknown:?}; there are {}", Kind::ALL.map(Kind::name).join(", ")).into());
    }
    let asked = |kind: &Kind| {
        *kind == Kind::Ordinary || names.is_empty() || names.iter().any(|name| name.as_str() == kind.name())
    };
    let count = match numbers.first() {
        _ if arguments.iter().any(|argument| argument == "--test") => EVENTS_OF_A_TEST,
        Some(number) => number.parse()?,
        None => EVENTS,
    };
    let mut measured: Vec<(Kind, Measured)> = Vec::new();
    for kind in Kind::ALL.into_iter().filter(asked) {
        let found = measure(kind, count)?;
        if let Some((_, ordinary)) = measured.first().filter(|_| kind.has_ordinary_journeys()) {
            assert_eq!(found.funnel, ordinary.funnel, "{}: the funnel of the ordinary kind", kind.name());
        }
        if kind == Kind::ManyTouchpoints {
            let few = if many_touchpoints(count) < MANY_TOUCHPOINTS { ", since there are few events" } else { "" };
            println!("{count} events of each kind; many touchpoints are {}{few}", found.stats.touchpoints);
        }
        measured.push((kind, found));
    }
    println!("{}", table(&measured));
    Ok(())
}
