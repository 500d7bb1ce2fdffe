//! Worlds by hand and by the thousand.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use journeylog::{
    Analysis, Attribution, AttributionBy, AttributionModel, Binder, Bound, Breakdown, BreakdownFrom, CalendarUnit,
    ChurnBy, ChurnRate, CohortRetention, Condition, Conformance, Consistency, ConversionRate, Count, Currency,
    CustomerId, Decimal, DriverBy, Drivers, Event, EventBuilder, EventBy, Experience, Feedback, Funnel, InvalidPlan,
    Journey, JourneyModel, Journeys, Lifecycle, LifetimeValue, Matches, Members, Names, Nth, Paths, Pattern,
    PatternConformance, PatternMatches, Period, PropertyValue, Purchases, Scope, Segments, Seq, Sessions, Stickiness,
    Survey, Ties, Touch, Window, Zone,
    testing::{World, any_condition, any_segment, as_json, shrink},
};

/// Midnight of a day counted from 1970; days may be fractions.
#[expect(clippy::cast_possible_truncation, reason = "days of tests are few")]
pub(crate) fn day(day: f64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::microseconds((day * 86_400e6).round() as i64)
}

/// Events in their order of arrival, each a line of customer, day and touchpoint: `ann 0.5 view`.
pub(crate) fn given(lines: &[&str]) -> Vec<Event> {
    let event = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        Event::at(day(words[1].parse().unwrap()), words[0], words[2]).build().unwrap()
    };
    lines.iter().map(event).collect()
}

pub(crate) fn journeys(events: &[Event]) -> Journeys {
    Journeys::of(events.iter().cloned().map(EventBuilder::from)).unwrap()
}

/// Tries many seeds; shows the first that fails with the smallest world that still does. `JOURNEYLOG_WORLDS=10` in the
/// environment tries ten times as many.
pub(crate) fn each_world(
    count: u64,
    make: impl Fn(u64) -> Vec<Event>,
    check: impl Fn(u64, &[Event]) -> Result<(), String>,
) {
    let times: u64 = std::env::var("JOURNEYLOG_WORLDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for seed in 0..count * times {
        let events = make(seed);
        if check(seed, &events).is_err() {
            let small = shrink(&events, |events| check(seed, events).is_err());
            let why = check(seed, &small).unwrap_err();
            panic!("seed {seed}, shrunk to\n{}{why}", as_json(&small));
        }
    }
}

/// The places in the log of the events for which a condition holds.
#[derive(Debug)]
pub(crate) struct Holding(pub(crate) Condition);

#[derive(Debug)]
pub(crate) struct BoundHolding(Matches);

impl Analysis for Holding {
    type Bound = BoundHolding;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundHolding, InvalidPlan> {
        binder.need_seqs();
        Ok(BoundHolding(binder.matches(std::slice::from_ref(&self.0))?))
    }
}

impl Bound for BoundHolding {
    type State = Vec<Seq>;
    type Report = Vec<Seq>;

    fn start(&self) -> Vec<Seq> {
        Vec::new()
    }

    fn visit(&self, state: &mut Vec<Seq>, journey: &Journey<'_>) {
        let matched = self.0.of(journey);
        state.extend((0..matched.words.len()).map(|place| journey.seq(matched.event(place).unwrap()).unwrap()));
    }

    fn merge(&self, state: &mut Vec<Seq>, mut other: Vec<Seq>) {
        state.append(&mut other);
    }

    fn finish(&self, mut state: Vec<Seq>, _: &Names) -> journeylog::Result<Vec<Seq>> {
        state.sort_unstable();
        Ok(state)
    }
}

/// Every event that a scope sees.
pub(crate) fn everything() -> Holding {
    Holding(Condition::All(Vec::new()))
}

/// In how many orders the tied events of the customer with most of them may be put.
pub(crate) fn orders(events: &[Event]) -> u64 {
    let mut tied: HashMap<&CustomerId, HashMap<DateTime<Utc>, u64>> = HashMap::new();
    for event in events {
        *tied.entry(event.customer()).or_default().entry(event.occurred_at()).or_default() += 1;
    }
    let of = |instants: &HashMap<_, u64>| instants.values().map(|&tied| (1..=tied).product::<u64>()).product();
    tied.values().map(of).max().unwrap_or(1)
}

/// A small world for the funnel: at most four events of a customer share an instant, since an oracle tries all orders.
pub(crate) fn tied_world(seed: u64) -> Vec<Event> {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(seed)
        .customers(rng.usize(1..=3))
        .events(rng.usize(1..=11))
        .touchpoints(rng.usize(2..=4))
        .instants(rng.u32(1..=6))
        .span(TimeDelta::days(5));
    let world = if rng.bool() { world.plain() } else { world };
    let world = if rng.u8(..20) == 0 { world.extreme_times() } else { world };
    let mut tied: HashMap<(CustomerId, DateTime<Utc>), usize> = HashMap::new();
    let mut events = world.make();
    events.retain(|event| {
        let tied = tied.entry((event.customer().clone(), event.occurred_at())).or_default();
        *tied += 1;
        *tied <= 4
    });
    events
}

/// A scope in which each part is there or not.
pub(crate) fn any_scope(seed: u64) -> Scope {
    let mut rng = Rng::with_seed(seed ^ 0x5c0);
    let start = DateTime::<Utc>::from_timestamp_micros(1_772_323_200_000_000).unwrap();
    let moment =
        |rng: &mut Rng| start + TimeDelta::hours(rng.i64(-1..11) * 12) + TimeDelta::microseconds(rng.i64(-1..2));
    let mut scope = Scope::all();
    if rng.u8(..3) == 0 {
        scope = scope.from(moment(&mut rng));
    }
    if rng.u8(..3) == 0 {
        let to = moment(&mut rng) + TimeDelta::days(6);
        scope = scope.to(to - TimeDelta::days(rng.i64(0..6)));
    }
    if rng.u8(..3) == 0 {
        scope = scope.as_of(moment(&mut rng));
    }
    if rng.u8(..4) == 0 {
        scope = scope.known_at(Seq(rng.u64(..12)));
    }
    if rng.u8(..4) == 0 {
        scope = scope.filter(any_condition(rng.u64(..), 2));
    }
    if rng.u8(..6) == 0 {
        let ids = ["c0", "c2", "nobody"].into_iter().filter(|_| rng.bool());
        scope = scope.customers(ids.map(|id| CustomerId::new(id).unwrap()).collect::<Vec<_>>());
    }
    if rng.u8(..5) == 0 {
        scope = scope.segment(any_segment(rng.u64(..), 2));
    }
    // A range that ends before it begins cannot be asked; then the whole log is.
    if journeys(&[]).query().scope(scope.clone()).run(everything()).is_err() { Scope::all() } else { scope }
}

/// The standard model, or a small one with allowed moves, other spellings and nth rules.
pub(crate) fn any_model(seed: u64) -> JourneyModel {
    let at = |name: &str| Condition::touchpoint(name).unwrap();
    match seed % 3 {
        0 => JourneyModel::standard(),
        1 => JourneyModel::builder("small", ["purchase", "awareness"])
            .alias("browsing", "awareness")
            .alias("consideration", "awareness")
            .alias("decision", "purchase")
            .alias("retention", "purchase")
            .rule_nth(at("product_view"), Nth::Only(2), "purchase")
            .rule(any_plain_condition(seed), "awareness")
            .moves([("purchase", "awareness")])
            .build()
            .unwrap(),
        _ => JourneyModel::builder("back", ["retention", "consideration", "awareness"])
            .rule_nth(any_plain_condition(seed), Nth::From { from: 2 }, "awareness")
            .rule(at("purchase").or(at("product_view")), "retention")
            .rule(at("add_to_cart"), "consideration")
            .alias("decision", "retention")
            .alias("purchase", "retention")
            .build()
            .unwrap(),
    }
}

/// A condition that asks for no stage.
fn any_plain_condition(seed: u64) -> Condition {
    (seed..seed + 1_000).map(|seed| any_condition(seed, 1)).find(|c| !format!("{c:?}").contains("Stage")).unwrap()
}

/// A funnel of up to four steps, which often share events, with every option.
pub(crate) fn any_funnel(seed: u64) -> Funnel {
    let mut rng = Rng::with_seed(seed ^ 0xf0);
    let at = |rng: &mut Rng| {
        Condition::touchpoint(rng.choice(["product_view", "add_to_cart", "purchase"]).unwrap()).unwrap()
    };
    let step = |rng: &mut Rng| match rng.u8(..10) {
        0..=6 => at(rng),
        7 | 8 => at(rng).or(at(rng)),
        _ => any_condition(rng.u64(..), 1),
    };
    let count = rng.usize(1..=4);
    let steps: Vec<Condition> = (0..count).map(|_| step(&mut rng)).collect();
    let (strict, any) = (rng.u8(..4) == 0, rng.u8(..4) == 0);
    let optional: Vec<usize> = (2..count).filter(|_| !any && !strict && rng.u8(..3) == 0).collect();
    let is_optional = |step: usize| optional.contains(&step);
    let mut funnel = match (any, strict) {
        (true, _) => Funnel::any_order(&steps),
        (_, true) => Funnel::strict(&steps),
        _ => Funnel::ordered(&steps),
    };
    let strict = strict && !any;
    funnel = optional.iter().fold(funnel, |funnel, step| funnel.optional(*step));
    if rng.u8(..4) == 0 {
        funnel = funnel.ties(Ties::LaterOnly);
    }
    if rng.u8(..3) > 0 {
        // The instants of a world are often whole days apart: a window is exactly that, or a microsecond off.
        let window = TimeDelta::days(rng.i64(0..5)) + TimeDelta::microseconds(rng.i64(-1..2));
        funnel = funnel.within(window.max(TimeDelta::zero()));
    }
    if !any && optional.is_empty() && count > 1 && rng.bool() {
        let span = |rng: &mut Rng, days| TimeDelta::days(rng.i64(0..days)) + TimeDelta::microseconds(rng.i64(0..2));
        let (step, min) = (rng.usize(2..=count), span(&mut rng, 3));
        let max = min + span(&mut rng, 4);
        let before = funnel.clone();
        funnel = match rng.u8(..4) {
            0 => funnel.step_after(step, min),
            1 => funnel.step_after(step, min).step_within(step, max),
            2 => funnel.step_within(step, max).step_after(2, TimeDelta::zero()),
            _ => (2..=count).fold(funnel, |funnel, step| funnel.step_within(step, span(&mut rng, 4))),
        };
        // Gaps that cannot be had within the window are refused.
        if funnel.clone().build().is_err() {
            funnel = before;
        }
    }
    if !any && !strict && count > 1 {
        for _ in 0..rng.usize(..3) {
            let required = |step: &usize| !is_optional(*step);
            let after = rng.choice((1..count).filter(required).collect::<Vec<_>>()).unwrap();
            let before = rng.choice((after + 1..=count).filter(required).collect::<Vec<_>>()).unwrap();
            funnel = match rng.u8(..5) {
                0 => funnel.exclude(step(&mut rng)),
                1 => funnel.remove(step(&mut rng)),
                2 => funnel.remove_between(step(&mut rng), after, before),
                _ => funnel.exclude_between(step(&mut rng), after, before),
            };
        }
    }
    if rng.bool() {
        funnel = funnel.list_customers();
    }
    let breakdown = rng.bool().then(|| any_breakdown(&mut rng, count)).map(|breakdown| fit(breakdown, any, &optional));
    if !strict && rng.u8(..3) == 0 && breakdown.as_ref().is_none_or(|breakdown| !is_each(breakdown)) {
        funnel = funnel.hold_constant(["p", "q"].into_iter().take(rng.usize(1..=2)));
    }
    if let Some(breakdown) = breakdown {
        funnel = funnel.breakdown(breakdown);
    }
    let plan = serde_json::to_value(funnel.clone().build().unwrap()).unwrap();
    // Attempts of two values that began together are listed in no order.
    let may_try =
        !any && !plan.to_string().contains("\"remove\"") && (plan["hold"].is_null() || plan["customers"].is_null());
    if may_try && rng.u8(..3) == 0 {
        funnel = funnel.count(Count::Attempts);
    }
    if rng.u8(..3) == 0 {
        funnel = funnel.value();
    }
    funnel.build().unwrap()
}

/// The same with a tolerance instead of what cannot be asked beside one.
pub(crate) fn any_tolerant_funnel(seed: u64) -> Funnel {
    let mut rng = Rng::with_seed(seed ^ 0x70);
    let mut plan = serde_json::to_value(any_funnel(seed)).unwrap();
    let keys = plan.as_object_mut().unwrap();
    for key in ["exclude", "gaps", "optional", "count"] {
        keys.remove(key);
    }
    keys.insert("order".to_owned(), "ordered".into());
    let hours = [12, 24, 36, 48, 100][rng.usize(..5)];
    let tolerance = Window::try_from(TimeDelta::hours(hours) - TimeDelta::microseconds(rng.i64(..2))).unwrap();
    keys.insert("ties".to_owned(), serde_json::json!({"within": tolerance}));
    serde_json::from_value(plan).unwrap()
}

/// The same with a trend now and then, where the events do not lie thousands of years apart.
pub(crate) fn with_trend(seed: u64, events: &[Event], funnel: Funnel) -> Funnel {
    let mut rng = Rng::with_seed(seed ^ 0x7d);
    let times = || events.iter().map(Event::occurred_at);
    let is_short = times().min().zip(times().max()).is_some_and(|(first, last)| last - first < TimeDelta::days(400));
    if !is_short || rng.u8(..4) > 0 {
        return funnel;
    }
    let mut plan = serde_json::to_value(funnel).unwrap();
    plan["trend"] = serde_json::to_value(any_period(&mut rng)).unwrap();
    serde_json::from_value(plan).unwrap()
}

/// In any order only the first event is known.
pub(crate) fn fit(breakdown: Breakdown, any_order: bool, optional: &[usize]) -> Breakdown {
    if optional.iter().any(|step| from_of(&breakdown)["step"] == *step) {
        return breakdown.from(BreakdownFrom::LastDefined);
    }
    let is_first = ["first_event", "each"].iter().any(|from| from_of(&breakdown) == *from);
    if any_order && !is_first { breakdown.from(BreakdownFrom::FirstEvent) } else { breakdown }
}

fn from_of(breakdown: &Breakdown) -> serde_json::Value {
    let from = serde_json::to_value(breakdown).unwrap()["from"].clone();
    if from.is_null() { "first_event".into() } else { from }
}

fn is_each(breakdown: &Breakdown) -> bool {
    from_of(breakdown) == "each"
}

/// A breakdown of every kind, for a funnel of so many steps.
pub(crate) fn any_breakdown(rng: &mut Rng, steps: usize) -> Breakdown {
    let touch = |rng: &mut Rng| if rng.bool() { Touch::Channel } else { Touch::Touchpoint };
    let breakdown = match rng.u8(..10) {
        8 => Breakdown::profile(rng.choice(["p", "q", "unknown"]).unwrap()),
        9 => Breakdown::profile_latest(rng.choice(["p", "q", "unknown"]).unwrap()),
        0 | 1 => Breakdown::channel(),
        2 => Breakdown::touchpoint(),
        3 | 4 => Breakdown::property(rng.choice(["p", "q", "unknown"]).unwrap()),
        5 => {
            let edges = ["-5", "10.00", "19.9", "100"].into_iter().filter(|_| rng.bool()).chain(["1000000"]);
            let edges: Vec<Decimal> = edges.map(|edge| edge.parse().unwrap()).collect();
            Breakdown::value_bands(Currency::new(rng.choice(["EUR", "USD"]).unwrap()).unwrap(), edges)
        }
        6 => return Breakdown::first_touch(touch(rng)).limit(rng.usize(1..4)),
        _ => return Breakdown::last_touch(touch(rng)).limit(rng.usize(1..4)),
    };
    let from = match rng.u8(..7) {
        0 => BreakdownFrom::FirstEvent,
        1 | 2 => BreakdownFrom::Step(rng.usize(1..=steps)),
        3 => BreakdownFrom::FirstDefined,
        4 => BreakdownFrom::LastDefined,
        _ => BreakdownFrom::Each,
    };
    let breakdown = breakdown.from(from);
    let breakdown = match rng.u8(..4) {
        _ if from == BreakdownFrom::Each => breakdown,
        0 => breakdown.compare("web", "email"),
        1 => breakdown.compare(1, PropertyValue::Null),
        _ => breakdown,
    };
    if rng.bool() { breakdown.limit(rng.usize(1..4)) } else { breakdown }
}

/// Touchpoints that often occur; sometimes any condition.
fn any_wanted(rng: &mut Rng) -> Condition {
    let at = |rng: &mut Rng| {
        Condition::touchpoint(rng.choice(["product_view", "add_to_cart", "purchase"]).unwrap()).unwrap()
    };
    match rng.u8(..10) {
        0..=5 => at(rng),
        6 => Condition::All(Vec::new()),
        7 | 8 => at(rng).or(at(rng)),
        _ => any_condition(rng.u64(..), 1),
    }
}

/// A period of each length, mostly of UTC.
pub(crate) fn any_period(rng: &mut Rng) -> Period {
    let units = [CalendarUnit::Hour, CalendarUnit::Day, CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month];
    let period = Period::of(rng.choice(units).unwrap());
    let period = period.zone(any_zone(rng));
    if rng.u8(..3) == 0 { period.first_weekday(chrono::Weekday::try_from(rng.u8(..7)).unwrap()) } else { period }
}

/// Mostly UTC.
fn any_zone(rng: &mut Rng) -> Zone {
    let zones = ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"];
    let zone = rng.choice(zones).filter(|_| cfg!(feature = "zones") && rng.u8(..4) == 0);
    zone.map_or(Zone::UTC, |zone| Zone::named(zone).unwrap())
}

/// A world for periods: few instants, from hours to months apart.
pub(crate) fn periodic_world(seed: u64) -> Vec<Event> {
    let mut rng = Rng::with_seed(seed ^ 0x9e);
    let days = rng.choice([1, 4, 4, 20, 90]).unwrap();
    World::new(seed)
        .customers(rng.usize(1..=4))
        .events(rng.usize(1..=16))
        .touchpoints(rng.usize(1..=4))
        .instants(rng.u32(1..=9))
        .span(TimeDelta::days(days))
        .make()
}

/// Retention with every option.
pub(crate) fn any_retention(seed: u64) -> CohortRetention {
    let mut rng = Rng::with_seed(seed ^ 0x7e);
    let mut plan = CohortRetention::of(any_wanted(&mut rng), any_wanted(&mut rng), any_period(&mut rng));
    if rng.u8(..3) == 0 {
        plan = plan.elapsed(TimeDelta::hours(rng.choice([1, 24, 24, 36, 168]).unwrap()));
    }
    plan = match rng.u8(..4) {
        0 => plan.on_or_after().periods(rng.u32(1..5)),
        1 => plan.bracket((1..9).filter(|edge| *edge >= 7 || rng.u8(..3) == 0)),
        _ => plan.periods(rng.u32(1..5)),
    };
    if rng.bool() {
        plan = plan.first_ever();
    }
    if rng.u8(..4) == 0 {
        plan = plan.at_least(rng.u32(1..4));
    }
    if rng.bool() {
        plan = plan.value();
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// A lifecycle by any period.
pub(crate) fn any_lifecycle(seed: u64) -> Lifecycle {
    let mut rng = Rng::with_seed(seed ^ 0x11f);
    let plan = Lifecycle::of(any_wanted(&mut rng), any_period(&mut rng)).unwrap();
    if rng.bool() { plan.list_customers() } else { plan }
}

/// A churn rate with every option.
pub(crate) fn any_churn_rate(seed: u64) -> ChurnRate {
    let mut rng = Rng::with_seed(seed ^ 0xc41);
    let mut plan = ChurnRate::every(any_period(&mut rng)).inactive_after(rng.choice([1, 1, 2, 3, 5]).unwrap());
    if rng.bool() {
        plan = plan.activity(any_wanted(&mut rng));
    }
    let by = [ChurnBy::Stage, ChurnBy::Stage, ChurnBy::Touchpoint, ChurnBy::Channel];
    if let Some(by) = rng.choice(by).filter(|_| rng.u8(..3) > 0) {
        plan = plan.by(by);
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Lifetime value with any of its options.
pub(crate) fn any_lifetime_value(seed: u64) -> LifetimeValue {
    let mut rng = Rng::with_seed(seed ^ 0xc17);
    let mut plan = LifetimeValue::of(any_wanted(&mut rng)).unit(TimeDelta::days(rng.i64(1..9)));
    if rng.bool() {
        plan = plan.zone(any_zone(&mut rng));
    }
    let has_currency = rng.u8(..4) > 0;
    if has_currency {
        plan = plan.value_in(if rng.bool() { "EUR" } else { "USD" });
        if rng.bool() {
            plan = plan.margin("0.35");
        }
    }
    if rng.bool() {
        plan = plan.horizon(TimeDelta::days(rng.i64(1..100)));
        if has_currency && rng.bool() {
            plan = plan.discount(rng.f64());
        }
    }
    plan.list_customers().build().unwrap()
}

/// Purchases with every option.
pub(crate) fn any_purchases(seed: u64) -> Purchases {
    let mut rng = Rng::with_seed(seed ^ 0x4f3);
    let mut plan = Purchases::of(any_wanted(&mut rng));
    if rng.bool() {
        plan = plan.zone(any_zone(&mut rng));
    }
    if rng.bool() {
        let window = TimeDelta::days(rng.i64(0..9)) + TimeDelta::microseconds(rng.i64(-1..2));
        plan = plan.within(window.max(TimeDelta::zero()));
    }
    if rng.u8(..3) > 0 {
        plan = plan.value_in(if rng.bool() { "EUR" } else { "USD" });
    }
    if rng.bool() {
        plan = plan.count_orders();
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Stickiness in a few periods.
pub(crate) fn any_stickiness(seed: u64) -> Stickiness {
    let mut rng = Rng::with_seed(seed ^ 0x571);
    let plan = Stickiness::of(any_wanted(&mut rng), any_period(&mut rng), rng.u32(1..8)).unwrap();
    if rng.bool() { plan.list_customers() } else { plan }
}

/// Sessions with gaps that are often just those between instants, or a microsecond off.
pub(crate) fn any_sessions(seed: u64) -> Sessions {
    let mut rng = Rng::with_seed(seed ^ 0x5e5);
    let gap = TimeDelta::hours(rng.choice([0, 1, 12, 24, 24, 48, 96]).unwrap());
    let gap = gap + TimeDelta::microseconds(rng.i64(-1..2));
    let mut plan = Sessions::builder().gap(gap.max(TimeDelta::zero())).limit(rng.u32(1..4));
    if rng.bool() {
        plan = plan.every(any_period(&mut rng));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Paths with every option.
pub(crate) fn any_paths(seed: u64) -> Paths {
    let mut rng = Rng::with_seed(seed ^ 0x9a7);
    let mut plan = match rng.u8(..5) {
        0 | 1 => Paths::of_touchpoints(),
        2 => Paths::of_channels(),
        3 => Paths::of_stages(),
        _ => {
            let groups = (0..rng.usize(1..4)).map(|_| (rng.choice(["look", "buy"]).unwrap(), any_wanted(&mut rng)));
            Paths::of_groups(groups.collect::<Vec<_>>())
        }
    };
    if rng.bool() {
        plan = plan.collapse_repeats();
    }
    if rng.u8(..3) == 0 {
        let gap = TimeDelta::hours(rng.choice([0, 1, 12, 24, 24, 48, 96]).unwrap());
        plan = plan.by_session((gap + TimeDelta::microseconds(rng.i64(-1..2))).max(TimeDelta::zero()));
    }
    if rng.bool() {
        plan = plan.starting_at(any_wanted(&mut rng));
    }
    if rng.bool() {
        plan = plan.ending_at(any_wanted(&mut rng));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.depth(rng.u32(1..7)).nodes(rng.u32(1..4)).variants(rng.u32(1..4)).build().unwrap()
}

/// Patterns with every modifier.
pub(crate) fn any_pattern(seed: u64) -> Pattern {
    let mut rng = Rng::with_seed(seed ^ 0x9a77);
    let span = |rng: &mut Rng| {
        (TimeDelta::days(rng.i64(0..4)) + TimeDelta::microseconds(rng.i64(-1..2))).max(TimeDelta::zero())
    };
    let count = rng.usize(1..=4);
    let mut pattern = Pattern::starting_with(any_wanted(&mut rng));
    for step in 0..count {
        if step > 0 {
            let next = any_wanted(&mut rng);
            pattern = if rng.u8(..4) == 0 { pattern.directly(next) } else { pattern.then(next) };
        }
        let is_inner = step > 0 && step + 1 < count;
        let least = rng.u32(u32::from(!is_inner)..3);
        pattern = match rng.u8(..6) {
            0 => pattern.at_least(least),
            1 => pattern.at_least(least).at_most(least.max(1) + rng.u32(..2)),
            2 => pattern.at_most(rng.u32(1..3)),
            _ => pattern,
        };
        if rng.u8(..3) == 0 {
            pattern = pattern.step_within(span(&mut rng));
        }
        if rng.u8(..4) == 0 {
            pattern = pattern.not_between(any_wanted(&mut rng));
        }
    }
    if rng.u8(..3) == 0 {
        pattern = pattern.within(span(&mut rng) + TimeDelta::days(1));
    }
    pattern.build().unwrap()
}

/// The matches of any pattern.
pub(crate) fn any_matches(seed: u64) -> PatternMatches {
    let plan = PatternMatches::of(any_pattern(seed));
    if seed.is_multiple_of(2) { plan.list_customers() } else { plan }
}

/// Conformance to any model, or that of the question, with entries at any of the stages that all models have.
pub(crate) fn any_conformance(seed: u64) -> Conformance {
    let mut rng = Rng::with_seed(seed ^ 0xc0f);
    let mut plan = if rng.bool() { Conformance::of(any_model(seed + 1)) } else { Conformance::of_question() };
    if rng.bool() {
        let entries = ["decision", "consideration"].into_iter().filter(|_| rng.bool()).collect::<Vec<_>>();
        plan = plan.entries(entries.into_iter().chain(["awareness"]));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Attribution with every option.
pub(crate) fn any_attribution(seed: u64) -> Attribution {
    let mut rng = Rng::with_seed(seed ^ 0xa77);
    let mut plan = Attribution::of(any_wanted(&mut rng), any_wanted(&mut rng));
    plan = match rng.u8(..5) {
        0 | 1 => plan,
        2 => plan.by(AttributionBy::Touchpoint),
        _ => plan.by(AttributionBy::Property(rng.choice(["p", "q", "unknown"]).unwrap().to_owned())),
    };
    let span = |rng: &mut Rng| TimeDelta::days(rng.i64(0..5)) + TimeDelta::microseconds(rng.i64(-1..2));
    if rng.u8(..3) > 0 {
        plan = plan.within(span(&mut rng).max(TimeDelta::zero()));
    }
    if rng.bool() {
        plan = plan.models(AttributionModel::ALL.into_iter().filter(|_| rng.bool()).chain([AttributionModel::Markov]));
    }
    if rng.bool() {
        plan = plan.half_life(span(&mut rng).max(TimeDelta::microseconds(1)));
    }
    if rng.bool() {
        plan = plan.direct(any_wanted(&mut rng));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.markov_order(rng.u32(1..=3)).build().unwrap()
}

/// Lines of customer, day, touchpoint and, if it is an answer, the survey and the score.
pub(crate) fn answers(lines: &[&str]) -> Vec<Event> {
    let event = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut event = Event::at(day(words[1].parse().unwrap()), words[0], words[2]);
        if let [survey, score] = words[3..] {
            let survey = Survey::ALL.into_iter().find(|known| known.as_str() == survey).unwrap();
            event = event.feedback(Feedback::new(survey, score.parse().unwrap()).unwrap());
        }
        event.build().unwrap()
    };
    lines.iter().map(event).collect()
}

/// Scores of surveys with every option.
pub(crate) fn any_experience(seed: u64) -> Experience {
    let mut rng = Rng::with_seed(seed ^ 0xe49);
    let mut plan = Experience::builder();
    if rng.u8(..3) == 0 {
        plan = plan.surveys(rng.choice(Survey::ALL));
    }
    if rng.u8(..3) == 0 {
        plan = plan.when(any_wanted(&mut rng));
    }
    if rng.bool() {
        plan = plan.latest();
    }
    if let Some(by) = rng
        .choice([
            None,
            Some(EventBy::Stage),
            Some(EventBy::StageAfter),
            Some(EventBy::Touchpoint),
            Some(EventBy::Channel),
        ])
        .flatten()
    {
        plan = plan.by(by);
    }
    if rng.bool() {
        plan = plan.every(any_period(&mut rng));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// A conversion rate with every option.
pub(crate) fn any_conversion_rate(seed: u64) -> ConversionRate {
    let mut rng = Rng::with_seed(seed ^ 0xc04);
    let (exposed, wanted) = (any_wanted(&mut rng), any_wanted(&mut rng));
    let mut plan = match rng.u8(..4) {
        0 => ConversionRate::conversion(exposed, wanted),
        1 => ConversionRate::click_through(exposed, wanted),
        2 => ConversionRate::win(exposed, wanted),
        _ => ConversionRate::abandonment(exposed, wanted),
    };
    if rng.u8(..4) > 0 {
        let window = TimeDelta::days(rng.i64(0..5)) + TimeDelta::microseconds(rng.i64(-1..2));
        plan = plan.within(window.max(TimeDelta::zero()));
    }
    plan = match rng.u8(..3) {
        0 => plan.by_exposures(),
        1 => plan.by_customers(),
        _ => plan,
    };
    let by = [EventBy::Stage, EventBy::StageAfter, EventBy::Touchpoint, EventBy::Channel];
    if let Some(by) = rng.choice(by).filter(|_| rng.bool()) {
        plan = plan.by(by);
    }
    if rng.u8(..3) == 0 {
        plan = plan.every(any_period(&mut rng));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Consistency with every option.
pub(crate) fn any_consistency(seed: u64) -> Consistency {
    let mut rng = Rng::with_seed(seed ^ 0xc05);
    let mut plan = Consistency::of(rng.choice(Survey::ALL).unwrap()).min_answers(rng.u64(2..6));
    if rng.bool() {
        let by = [EventBy::Stage, EventBy::StageAfter, EventBy::Touchpoint, EventBy::Channel];
        plan = plan.by(rng.choice(by).unwrap());
    }
    if rng.u8(..3) == 0 {
        plan = plan.when(any_wanted(&mut rng));
    }
    if rng.bool() {
        plan = plan.latest();
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Drivers with every option.
pub(crate) fn any_drivers(seed: u64) -> Drivers {
    let mut rng = Rng::with_seed(seed ^ 0xd71);
    let mut plan = match rng.u8(..4) {
        0 | 1 => Drivers::of_conversion(any_wanted(&mut rng)),
        of => {
            let survey = rng.choice(Survey::ALL).unwrap();
            let mut plan = if of == 2 { Drivers::of_satisfaction(survey) } else { Drivers::of_dissatisfaction(survey) };
            if rng.bool() {
                plan = plan.within(TimeDelta::days(rng.i64(0..5)) + TimeDelta::microseconds(rng.i64(0..2)));
            }
            if rng.bool() { plan.latest() } else { plan }
        }
    };
    let mut by = vec![
        DriverBy::Channel,
        DriverBy::Touchpoint,
        DriverBy::Property("p".to_owned()),
        DriverBy::Property("q".to_owned()),
    ];
    if rng.u8(..3) > 0 {
        rng.shuffle(&mut by);
        by.truncate(rng.usize(1..=4));
        plan = plan.by(by);
    }
    if rng.bool() {
        plan = plan.min_support(rng.u64(1..4));
    }
    if rng.u8(..3) == 0 {
        plan = plan.limit(rng.usize(1..6));
    }
    if rng.bool() {
        plan = plan.list_customers();
    }
    plan.build().unwrap()
}

/// Conformance to a chain of a few steps, some of which the same events meet.
pub(crate) fn any_pattern_conformance(seed: u64) -> PatternConformance {
    let mut rng = Rng::with_seed(seed ^ 0xc4a);
    let mut pattern = Pattern::starting_with(any_wanted(&mut rng));
    for _ in 0..rng.usize(..4) {
        pattern = pattern.then(any_wanted(&mut rng));
    }
    let mut plan = PatternConformance::to(pattern.build().unwrap()).unwrap();
    if rng.bool() {
        plan = plan.unexpected(any_wanted(&mut rng)).unwrap();
    }
    if rng.bool() { plan.list_customers() } else { plan }
}

/// Any segment, its customers listed or not.
pub(crate) fn any_members(seed: u64) -> Members {
    let members = Members::of(any_segment(seed, 2));
    if seed.is_multiple_of(2) { members.list_customers() } else { members }
}

/// Up to three segments that often overlap, with everybody else or without.
pub(crate) fn any_segments(seed: u64) -> Segments {
    let mut rng = Rng::with_seed(seed ^ 0xb5e);
    let labels = ["a", "b", "c"].into_iter().take(rng.usize(1..=3));
    let segments = labels.fold(Segments::new(), |all, label| all.add(label, any_segment(rng.u64(..), 1)));
    if rng.bool() { segments.others("all others") } else { segments }
}
