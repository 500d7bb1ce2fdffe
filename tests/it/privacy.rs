//! What a program logs shows no person: neither `Debug` of any public type, nor the text of any error.

use std::{
    collections::BTreeSet,
    fmt::{Debug, Display, Write},
    fs,
    path::Path,
    sync::Mutex,
};

use journeylog::{
    Analysis, Attribution, AttributionBy, AttributionModel, Binder, Bound, Breakdown, BySegment, Channel, ChurnRate,
    CohortRetention, Comparison, Condition, Conformance, Consistency, ConversionRate, CustomerId, DriverBy, Drivers,
    DriversOutcome, Dwell, Error, Event, EventBuilder, EventBy, EventId, Experience, Feedback, Funnel, InvalidPlan,
    InvalidValue, Journey, JourneyBatch, JourneyModel, Journeys, Lifecycle, LifetimeValue, Members, Money, Names, Nth,
    Paths, Pattern, PatternConformance, PatternMatches, Plan, PropertyValue, Purchases, Question, Retention, Scope,
    Segment, Segments, Seq, Sessions, StageCounts, StageName, Stickiness, Store, Tables, Touchpoint, Transitions,
    Verify, Window, export,
    import::{CsvMapping, NdjsonReader, Source},
};

/// What stands in every text that may name a person.
const MARK: &str = "Zq9";

fn secret(text: impl Display) -> String {
    format!("{MARK}-{text}")
}

/// What was shown, under the names of types.
#[derive(Default)]
struct Shown {
    names: BTreeSet<String>,
    text: String,
    leaks: Vec<String>,
}

impl Shown {
    /// Shows a value of a type.
    fn value(&mut self, name: &str, value: &impl Debug) {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            if text.contains(MARK) {
                self.leaks.push(format!("Debug of {name} shows a person: {text}"));
            }
            self.text += &text;
        }
        self.names.insert(name.to_owned());
    }

    /// Shows an error, with all its causes.
    fn error(&mut self, name: &str, error: &impl std::error::Error) {
        self.value(name, error);
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            write!(text, ": {error} {error:?}").unwrap();
            cause = error.source();
        }
        if text.contains(MARK) {
            self.leaks.push(format!("{name} shows a person: {text}"));
        }
    }

    fn has(&self, name: &str) -> bool {
        let inside = [format!("{name} {{"), format!("{name}(")];
        self.names.contains(name) || inside.iter().any(|inside| self.text.contains(inside))
    }
}

fn personal(i: i64, touchpoint: &str) -> EventBuilder {
    Event::at(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(i), secret(i % 2), touchpoint)
        .id(secret(format!("id-{i}")))
        .channel(Channel::Email)
        .value(Money::new("19.90", "EUR").unwrap())
        .feedback(Feedback::nps(3).unwrap().with_comment(secret("comment")).unwrap())
        .property("phone", secret(format!("phone-{}", i % 3)))
        .property("nested", serde_json::json!({ secret("key"): [secret("value")] }))
}

fn about_a_person() -> Condition {
    let phone = |test| Condition::property("phone", test);
    phone(Comparison::Eq(secret("phone-0").into()))
        .or(phone(Comparison::Contains(secret("part"))))
        .or(phone(Comparison::In(vec![secret("one").into()])))
        .or(phone(Comparison::Exists(true)))
}

/// Each name that the crate gives out for values: read from what it exports.
fn public_types() -> BTreeSet<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |name: &str| fs::read_to_string(src.join(name)).unwrap();
    let mut types = BTreeSet::new();
    for text in [read("lib.rs"), read("import/mod.rs"), read("export.rs")] {
        let exported = text.split("pub use ").skip(1).map(|after| after.split(';').next().unwrap());
        let made = text.split("pub struct ").skip(1).chain(text.split("pub enum ").skip(1));
        let made = made.map(|after| after.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        for name in exported.chain(made).flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_')) {
            // Constants and modules are no types.
            if name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase) {
                types.insert(name.to_owned());
            }
        }
    }
    types
}

/// Traits, a name for another type, and another crate's number.
const NO_VALUES: [&str; 5] = ["Analysis", "Bound", "Tables", "Result", "Decimal"];

/// A plan that shows all that it is shown.
struct Watching(Plan, &'static Mutex<Shown>);

struct WatchingBound<B>(B, &'static Mutex<Shown>, journeylog::Matches, journeylog::StageReading);

impl Analysis for Watching {
    type Bound = WatchingBound<<Plan as Analysis>::Bound>;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        let (matches, stages) = (binder.matches(&[about_a_person()])?, binder.stages(&JourneyModel::standard()));
        let property = binder.property("phone").unwrap();
        let bound = self.0.bind(binder)?;
        let mut shown = self.1.lock().unwrap();
        shown.value("Binder", binder);
        shown.value("BoundPlan", &bound);
        shown.value("Matches", &matches);
        shown.value("StageReading", &stages);
        shown.value("PropertyNo", &property);
        Ok(WatchingBound(bound, self.1, matches, stages))
    }
}

impl Bound for WatchingBound<<Plan as Analysis>::Bound> {
    type State = <<Plan as Analysis>::Bound as Bound>::State;
    type Report = <<Plan as Analysis>::Bound as Bound>::Report;

    fn start(&self) -> Self::State {
        self.0.start()
    }

    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
        self.0.visit(state, journey);
        let mut shown = self.1.lock().unwrap();
        shown.value("PlanState", state);
        shown.value("Journey", journey);
        shown.value("Matched", &self.2.of(journey));
        for visit in self.3.of(journey) {
            shown.value("Visit", &visit);
        }
    }

    fn visit_batch(&self, state: &mut Self::State, journeys: &JourneyBatch<'_>) {
        self.1.lock().unwrap().value("JourneyBatch", journeys);
        journeys.iter().for_each(|journey| self.visit(state, &journey));
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.0.merge(state, other);
    }

    fn finish(&self, state: Self::State, names: &Names) -> journeylog::Result<Self::Report> {
        self.1.lock().unwrap().value("Names", names);
        self.0.finish(state, names)
    }
}

#[test]
fn nothing_that_can_be_printed_shows_a_person() {
    let shown: &'static Mutex<Shown> = Box::leak(Box::default());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let event = personal(1, "view").build().unwrap();
    {
        let shown = &mut *shown.lock().unwrap();
        values(shown, &event);
        stored(shown, &store, &dir.path().join("backup"));
        refused(shown, &store);
        choices(shown);
    }
    plans_and_reports(shown, &store);
    closed(&mut shown.lock().unwrap(), store);
    let shown = &*shown.lock().unwrap();
    assert!(shown.leaks.is_empty(), "{:#?}", shown.leaks);
    let missing: Vec<String> =
        public_types().into_iter().filter(|name| !NO_VALUES.contains(&&**name) && !shown.has(name)).collect();
    assert!(missing.is_empty(), "types that nobody has looked at: {missing:?}");
    assert!(public_types().len() > 80, "{:?}", public_types());
}

fn values(shown: &mut Shown, event: &Event) {
    shown.value("Event", event);
    shown.value("EventBuilder", &personal(1, "view"));
    let link = journeylog::Link::at(event.occurred_at(), secret("from"), secret("to")).unwrap();
    shown.value("Link", &link);
    let update = journeylog::ProfileUpdate::at(event.occurred_at(), secret("who")).set("phone", secret("phone"));
    shown.value("ProfileUpdateBuilder", &update);
    shown.value("ProfileUpdate", &update.clone().build().unwrap());
    shown.value("ProfileWhen", &journeylog::ProfileWhen::Latest);
    for entry in [event.clone().into(), link.into(), update.try_into().unwrap()] {
        let entry: journeylog::Entry = entry;
        shown.value("Entry", &entry);
    }
    shown.value("CustomerId", &CustomerId::new(secret("customer")).unwrap());
    shown.value("EventId", &EventId::new(secret("id")).unwrap());
    shown.value("Feedback", event.feedback().unwrap());
    shown.value("Survey", &event.feedback().unwrap().survey());
    shown.value("Money", &event.value().unwrap());
    shown.value("Currency", &event.value().unwrap().currency());
    shown.value("Micros", &journeylog::Micros(1));
    for value in [secret("text").into(), serde_json::json!([secret("nested")]).into(), PropertyValue::Bool(true)] {
        shown.value("PropertyValue", &value);
    }
    shown.value("Touchpoint", &Touchpoint::new("view").unwrap());
    shown.value("StageName", &StageName::new("trial").unwrap());
    let kiosk = Channel::new("kiosk-7").unwrap();
    shown.value("Channel", &kiosk);
    if let Channel::Custom(custom) = &kiosk {
        shown.value("CustomChannel", custom);
    }
    shown.value("Condition", &about_a_person());
    shown.value("Comparison", &Comparison::<PropertyValue>::Contains(secret("part")));
    let model = JourneyModel::builder("shop", ["visiting", "buying"]).rule(about_a_person(), "buying").rule_nth(
        about_a_person(),
        Nth::Only(2),
        "buying",
    );
    shown.value("JourneyModelBuilder", &model);
    shown.value("JourneyModel", &model.build().unwrap());
    let named = CsvMapping::new("user", "event", "at").stage(Source::constant("trial"));
    shown.value("CsvMapping", &named);
    shown.value("Source", &Source::constant("EUR"));
}

/// What says how and not who.
fn choices(shown: &mut Shown) {
    shown.value("BreakdownBy", &journeylog::BreakdownBy::Property("phone".to_owned()));
    shown.value("BreakdownFrom", &journeylog::BreakdownFrom::Each);
    shown.value("ValueBands", &Breakdown::value_bands(Money::new("1", "EUR").unwrap().currency(), []));
    shown.value("Touch", &journeylog::Touch::Channel);
    shown.value("Ties", &journeylog::Ties::default());
    shown.value("Count", &journeylog::Count::Attempts);
    shown.value("ExclusionEffect", &journeylog::ExclusionEffect::Remove);
    let rate = journeylog::Rate::new(1, 2);
    shown.value("RateDifference", &rate.difference_to(&rate));
    shown.value("Order", &journeylog::Order::Strict);
    shown.value("Preset", &journeylog::Preset::PostHog);
    shown.value("FunnelOutcome", &journeylog::FunnelOutcome::Converted);
    shown.value("Nth", &Nth::Only(2));
    shown.value("Period", &journeylog::Period::DAY);
    shown.value("CalendarUnit", &journeylog::CalendarUnit::Day);
    shown.value("Criterion", &journeylog::Criterion::On);
    shown.value("Cohorts", &journeylog::Cohorts::FirstEver);
    shown.value("PatternFollows", &journeylog::PatternFollows::Then);
    shown.value("AttributionBy", &AttributionBy::Property("phone".to_owned()));
    shown.value("DriverBy", &DriverBy::Profile("phone".to_owned()));
    shown.value("AttributionModel", &AttributionModel::Markov);
    shown.value("AttributionMoveTo", &journeylog::AttributionMoveTo::Touch(secret("to").into()));
    shown.value("EventBy", &EventBy::Stage);
    shown.value("ChurnBy", &journeylog::ChurnBy::Stage);
    shown.value("ChurnOutcome", &journeylog::ChurnOutcome::Quiet);
    shown.value("PurchaseCount", &journeylog::PurchaseCount::Orders);
    shown.value("RepeatOutcome", &journeylog::RepeatOutcome::Once);
    shown.value("ConversionKind", &journeylog::ConversionKind::Win);
    shown.value("ConversionCount", &journeylog::ConversionCount::Exposures);
    shown.value("ConversionOutcome", &journeylog::ConversionOutcome::Missed);
    shown.value("ExperienceAnswers", &journeylog::ExperienceAnswers::Latest);
    shown.value("DeviationKind", &journeylog::DeviationKind::Skipped);
    shown.value("LifecyclePhase", &journeylog::LifecyclePhase::New);
    shown.value("PathsOf", &journeylog::PathsOf::Touchpoint);
    shown.value("PathRepeats", &journeylog::PathRepeats::Kept);
    shown.value("PathDirection", &journeylog::PathDirection::Forward);
    shown.value("WhichAnswer", &journeylog::WhichAnswer::Any);
    shown.value("SegmentRef", &journeylog::SegmentRef::from("loyal"));
    shown.value("Zone", &journeylog::Zone::UTC);
    shown.value("Stage", &journeylog::Stage::Awareness);
    shown.value("MoveKind", &journeylog::MoveKind::Advance);
    shown.value("Durability", &journeylog::Durability::Synced);
    shown.value("Delimiter", &journeylog::import::Delimiter::Comma);
    shown.value("ChannelNo", &journeylog::ChannelNo(1));
    shown.value("TouchpointNo", &journeylog::TouchpointNo(1));
    let refusal = CustomerId::new(secret("\n")).unwrap_err();
    shown.value("RefusedName", &journeylog::RefusedName::from(refusal));
}

fn stored(shown: &mut Shown, store: &Store, backup: &Path) {
    for i in 0..20 {
        let receipt = store.append(personal(i, if i % 5 == 4 { "purchase" } else { "view" })).unwrap();
        shown.value("Receipt", &receipt);
    }
    let snapshot = store.snapshot();
    shown.value("Store", store);
    shown.value("Snapshot", &snapshot);
    shown.value("Query", &store.query().filter(about_a_person()).customers([CustomerId::new(secret(1)).unwrap()]));
    shown.value("StoreStats", &store.stats().unwrap());
    shown.value("OpenReport", store.open_report());
    shown.value("StoreOptions", &journeylog::StoreOptions::new());
    let customer = store.customer(&secret(1)).unwrap().unwrap();
    shown.value("Customer", &customer);
    shown.value("JourneyEvent", &customer.journey()[0]);
    shown.value("LoggedEvent", &customer.events().unwrap()[0]);
    shown.value("CustomerMove", &customer.transitions(&JourneyModel::standard()).unwrap());
    shown.value("Journeys", &Journeys::of((0..5).map(|i| personal(i, "view"))).unwrap());
    store.append(Event::at(chrono::Utc::now(), secret("gone"), "view")).unwrap();
    shown.value("Erasure", &store.erase(&secret("gone")).unwrap());
    shown.value("Backup", &store.backup(backup).unwrap());
    damaged(shown, backup);
    shown.value("Retention", &Retention::new().property("phone", chrono::TimeDelta::days(1)).unwrap());
    shown.value("Seq", &Seq(1));
    export::customer(&snapshot, &secret(1), Vec::new()).unwrap();
}

/// What is said of a store that is looked over, and that is damaged.
fn damaged(shown: &mut Shown, folder: &Path) {
    let store = Store::open(folder).unwrap();
    store.settle().unwrap();
    let index = fs::read_dir(folder.join("index")).unwrap().map(|file| file.unwrap().path());
    index.for_each(|file| fs::write(file, secret("odd")).unwrap());
    fs::write(folder.join("WITNESS"), secret("odd")).unwrap();
    let found = store.verify_with_progress(Verify::Full, |progress| shown.value("Progress", &progress)).unwrap();
    assert!(found.problems.len() > 2, "{found}");
    shown.value("Verification", &found);
    shown.value("Verify", &found.how);
    shown.value("Problem", &found.problems[0]);
    shown.value("StorePart", &found.problems[0].part);
    store.close().unwrap();
    let log = folder.join("log/db");
    let mut bytes = fs::read(&log).unwrap();
    let blocks: Vec<usize> = (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"JLBK").collect();
    blocks.iter().for_each(|at| bytes[at + 60] ^= 1);
    fs::write(&log, bytes).unwrap();
    let salvage = Store::salvage(folder, folder.with_file_name("salvaged")).unwrap();
    assert!(salvage.notes.len() > 1, "{salvage}");
    shown.value("Salvage", &salvage);
    assert!(![found.to_string(), salvage.to_string()].iter().any(|text| text.contains(MARK)), "{found} {salvage}");
}

fn comparing(shown: &mut Shown) -> (Drivers, Consistency) {
    let drivers = Drivers::of_conversion(about_a_person()).by([
        DriverBy::Property("phone".to_owned()),
        DriverBy::Profile("phone".to_owned()),
        DriverBy::Touchpoint,
        DriverBy::Channel,
    ]);
    let drivers = drivers.list_customers();
    shown.value("DriversBuilder", &drivers);
    shown.value("DriversOutcome", &DriversOutcome::Conversion(about_a_person()));
    let consistency = Consistency::of(journeylog::Survey::Nps).when(about_a_person()).list_customers();
    shown.value("ConsistencyBuilder", &consistency);
    (drivers.build().unwrap(), consistency.build().unwrap())
}

fn rates(shown: &mut Shown) -> (ConversionRate, ChurnRate, Purchases) {
    let rate = ConversionRate::conversion(about_a_person(), "purchase").by(EventBy::Channel).list_customers();
    shown.value("ConversionRateBuilder", &rate);
    let churn = ChurnRate::every(journeylog::Period::HOUR).activity(about_a_person()).list_customers();
    shown.value("ChurnRateBuilder", &churn);
    let purchases = Purchases::of(about_a_person()).value_in("EUR").list_customers();
    shown.value("PurchasesBuilder", &purchases);
    let churn = churn.by(journeylog::ChurnBy::Touchpoint);
    (rate.build().unwrap(), churn.build().unwrap(), purchases.build().unwrap())
}

fn plans_and_reports(shown: &'static Mutex<Shown>, store: &Store) {
    let funnel = |breakdown| {
        Funnel::ordered([Condition::touchpoint("view").unwrap(), about_a_person()])
            .within(chrono::TimeDelta::days(2))
            .exclude(Condition::property("phone", Comparison::Eq(secret("other").into())))
            .breakdown(breakdown)
            .trend(journeylog::Period::DAY)
            .list_customers()
    };
    shown.lock().unwrap().value("FunnelBuilder", &funnel(Breakdown::property("phone")));
    let breakdown = Breakdown::property("phone").limit(1).compare(secret(1), secret(2));
    let funnel = funnel(breakdown).build().unwrap();
    let retention = CohortRetention::of(about_a_person(), "view", journeylog::Period::HOUR).value().list_customers();
    shown.lock().unwrap().value("CohortRetentionBuilder", &retention);
    let retention = retention.build().unwrap();
    let sessions = Sessions::builder().every(journeylog::Period::DAY).list_customers();
    shown.lock().unwrap().value("SessionsBuilder", &sessions);
    let at = |name| Condition::touchpoint(name).unwrap();
    let paths = Paths::of_groups([("person", about_a_person()), ("view", at("view"))])
        .starting_at(at("view"))
        .ending_at(about_a_person())
        .by_session(chrono::TimeDelta::hours(2))
        .collapse_repeats()
        .variants(1)
        .list_customers();
    shown.lock().unwrap().value("PathsBuilder", &paths);
    let pattern = Pattern::starting_with("view").then(about_a_person()).not_between(about_a_person());
    shown.lock().unwrap().value("PatternBuilder", &pattern);
    let pattern = pattern.then("view").build().unwrap();
    shown.lock().unwrap().value("Pattern", &pattern);
    let conformance = Conformance::of_question().list_customers();
    shown.lock().unwrap().value("ConformanceBuilder", &conformance);
    let attribution = Attribution::of("purchase", about_a_person()).by(AttributionBy::Property("phone".to_owned()));
    let attribution = attribution.direct(about_a_person()).list_customers();
    shown.lock().unwrap().value("AttributionBuilder", &attribution);
    let segment = Segment::did(about_a_person()).then("view").or(Segment::last("view").is(about_a_person()));
    shown.lock().unwrap().value("SegmentBuilder", &segment);
    let segment = segment.build().unwrap();
    let lifetime = LifetimeValue::of(about_a_person()).value_in("EUR").list_customers();
    shown.lock().unwrap().value("LifetimeValueBuilder", &lifetime);
    let experience = Experience::builder().when(about_a_person()).by(EventBy::Channel).list_customers();
    shown.lock().unwrap().value("ExperienceBuilder", &experience);
    let (rate, churn, purchases) = rates(&mut shown.lock().unwrap());
    let (drivers, consistency) = comparing(&mut shown.lock().unwrap());
    let plans = [
        consistency.into(),
        drivers.into(),
        lifetime.build().unwrap().into(),
        experience.build().unwrap().into(),
        rate.into(),
        purchases.into(),
        churn.into(),
        attribution.build().unwrap().into(),
        conformance.build().unwrap().into(),
        PatternConformance::to(Pattern::starting_with("view").then(about_a_person()).build().unwrap())
            .and_then(|plan| plan.unexpected(about_a_person()))
            .unwrap()
            .list_customers()
            .into(),
        PatternMatches::of(pattern).list_customers().into(),
        paths.build().unwrap().into(),
        Paths::of_channels().list_customers().build().unwrap().into(),
        Paths::of_channels().starting_at("view").ending_at("nowhere").list_customers().build().unwrap().into(),
        Plan::from(funnel),
        Transitions::of(JourneyModel::standard()).list_customers().into(),
        StageCounts::of(JourneyModel::standard()).every(journeylog::Period::DAY).list_customers().into(),
        retention.into(),
        Dwell::of(JourneyModel::standard()).list_customers().into(),
        sessions.clone().build().unwrap().into(),
        Lifecycle::of(about_a_person(), journeylog::Period::DAY).unwrap().list_customers().into(),
        Stickiness::of(about_a_person(), journeylog::Period::MONTH, 1_000).unwrap().list_customers().into(),
        Members::of(&segment).list_customers().into(),
        Plan::BySegment(
            BySegment::new(Members::of(&segment).list_customers().into(), Segments::new().add("a", &segment))
                .unwrap()
                .list_customers(),
        ),
    ];
    let scope =
        Scope::all().segment(&segment).filter(about_a_person()).customers([CustomerId::new(secret(1)).unwrap()]);
    for plan in plans {
        shown.lock().unwrap().value("Plan", &plan);
        let report = store.query().run(Watching(plan.clone(), shown)).unwrap();
        let question = Question::new(plan).scope(scope.clone());
        let answer = store.query().ask(std::slice::from_ref(&question)).unwrap();
        let shown = &mut *shown.lock().unwrap();
        shown.value("Report", &report);
        shown.value("Question", &question);
        shown.value("Answer", &answer[0]);
        for table in report.tables() {
            shown.value("Table", &table);
            shown.value("Cell", &journeylog::Cell::Text(secret("cell")));
        }
    }
    let shown = &mut *shown.lock().unwrap();
    lifetimes(shown);
    factors(shown);
    shown.value("Scope", &scope);
    shown.value("Window", &Window::try_from(chrono::TimeDelta::days(1)).ok());
}

/// What is said of factors and groups.
fn factors(shown: &mut Shown) {
    let at = |day| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day);
    let seen = |who: u8| Event::at(at(0), secret(who), "view").property("phone", secret("phone").as_str());
    let journeys =
        Journeys::of([seen(1), Event::at(at(1), secret(1), "buy"), Event::at(at(0), secret(2), "view")]).unwrap();
    let plan = Drivers::of_conversion("buy").by([DriverBy::Property("phone".to_owned())]).list_customers();
    let report = journeys.query().run(&plan.build().unwrap()).unwrap();
    let driver = &report.drivers[0];
    shown.value("DriversReport", &report);
    shown.value("Driver", driver);
    shown.value("DriverTest", &driver.test.clone().unwrap());
    shown.value("OddsRatio", &driver.test.as_ref().unwrap().odds);
    let answer =
        |who: u8, place: &str, score| Event::at(at(0), secret(who), place).feedback(Feedback::nps(score).unwrap());
    let journeys = Journeys::of([answer(1, "a", 1), answer(2, "a", 2), answer(3, "b", 3), answer(4, "b", 5)]).unwrap();
    let plan = Consistency::of(journeylog::Survey::Nps).by(EventBy::Touchpoint).min_answers(2).list_customers();
    let report = journeys.query().run(&plan.build().unwrap()).unwrap();
    shown.value("ConsistencyReport", &report);
    shown.value("EqualityTest", &report.welch.unwrap());
    shown.value("NotTested", &journeylog::NotTested::AllEqual);
}

/// What is said of customers who buy again.
fn lifetimes(shown: &mut Shown) {
    let at = |week: i64| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::weeks(week);
    let bought = |week| Event::at(at(week), secret(1), "buy").value(Money::new("10", "EUR").unwrap());
    let journeys = Journeys::of([bought(0), bought(1), bought(5)]).unwrap();
    let plan = LifetimeValue::of("buy").value_in("EUR").horizon(chrono::TimeDelta::days(364)).list_customers();
    let report = journeys.query().run(&plan.build().unwrap()).unwrap();
    let (purchases, value) = (report.purchases_fit.unwrap(), report.value_fit.unwrap());
    shown.value("LifetimeValueReport", &report);
    shown.value("PurchaseFit", &purchases);
    shown.value("ValueFit", &value);
    shown.value("Optimum", &value.optimum);
    shown.value("BgNbd", &purchases.model);
    shown.value("GammaGamma", &value.model);
    shown.value("ExpectedValue", &report.expected);
    shown.value("LifetimeWarning", &report.warnings);
    shown.value("PurchaseHistory", &journeylog::PurchaseHistory { repeats: 1, last: 1.0, observed: 2.0 });
}

/// What a store says to whoever comes too late.
fn closed(shown: &mut Shown, store: Store) {
    let (id, snapshot, customer) = (secret(1), store.snapshot(), store.customer(&secret(1)).unwrap().unwrap());
    store.clone().close().unwrap();
    let refusals = [
        store.append(personal(99, "view")).err(),
        store.append_batch([personal(98, "view").build().unwrap()]).err(),
        store.erase(&id).err(),
        store.readmit(&secret("gone")).err(),
        customer.events().err(),
        export::customer(&snapshot, &id, Vec::new()).err(),
        export::all(&snapshot, Vec::new()).err(),
    ];
    for refusal in refusals {
        shown.error("Error", &refusal.unwrap());
    }
}

/// Refusals of every kind of bad input, with the marked text where the value stands.
fn refused(shown: &mut Shown, store: &Store) {
    let value = |shown: &mut Shown, error: InvalidValue| shown.error("InvalidValue", &error);
    let long = secret("x".repeat(300));
    let control = secret("\n");
    for text in [&long, &control] {
        value(shown, CustomerId::new(text).unwrap_err());
        value(shown, EventId::new(text).unwrap_err());
        value(shown, Touchpoint::new(text).unwrap_err());
        value(shown, StageName::new(text).unwrap_err());
        value(shown, Channel::new(text).unwrap_err());
        value(shown, Money::new(text, "EUR").unwrap_err());
        value(shown, Money::new("1", text).unwrap_err());
        value(shown, personal(1, text).build().unwrap_err());
        let refused: Error = store
            .append(personal(1, "view").property("long", text.repeat(1_000)))
            .map(drop)
            .err()
            .unwrap_or_else(|| InvalidValue::new("none", "").into());
        shown.error("Error", &refused);
        shown.value("ErrorKind", refused.kind());
        shown.error("Error", &store.erase(text).unwrap_err());
    }
    // The digits of an amount are somebody's too.
    for amount in ["7319.4273194273", "7319427319427319427.5", "73194273194273194273194273194273"] {
        let refused = Money::new(amount, "EUR").unwrap_err();
        assert!(!refused.to_string().contains("7319"), "{refused}");
        value(shown, refused);
    }
    value(shown, Feedback::nps(3).unwrap().with_comment(secret("y".repeat(100_000))).unwrap_err());
    let lines = [
        r#"{"customer":"SECRET\u0001","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z"}"#,
        r#"{"customer":["SECRET"],"touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z"}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"SECRET"}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","value":{"amount":"SECRET","currency":"EUR"}}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","value":"SECRET"}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","feedback":"SECRET"}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","feedback":{"nps":"SECRET"}}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","properties":"SECRET"}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","properties":["SECRET"]}"#,
        r#"{"customer":"a","touchpoint":"view","occurred_at":"2026-03-01T00:00:00Z","stage":{"SECRET":1}}"#,
        r#"{"customer":"SECRET","touchpoint":"view""#,
        "SECRET",
        r#""SECRET""#,
    ];
    for line in lines {
        let line = line.replace("SECRET", &secret("line"));
        let error = NdjsonReader::new(line.as_bytes()).next().unwrap().unwrap_err();
        shown.error("ImportError", &error);
        shown.value("BadLine", error.bad_line().unwrap());
    }
    shown.value("NdjsonReader", &NdjsonReader::new(secret("unread").as_bytes()));
    let mapping = CsvMapping::new("user", "event", "at")
        .value("amount", Source::constant("EUR"))
        .feedback(journeylog::Survey::Nps, "score");
    let rows = [
        "SECRET,,2026-03-01,1,1",
        "a,view,SECRET,1,1",
        "a,view,2026-03-01,SECRET,1",
        "a,view,2026-03-01,1,SECRET",
        "\"SECRET",
    ];
    for row in rows {
        let file = format!("user,event,at,amount,score\n{}\n", row.replace("SECRET", &secret("row")));
        let mut reader = mapping.read(file.as_bytes()).unwrap();
        shown.value("CsvReader", &reader);
        shown.error("ImportError", &reader.next().unwrap().unwrap_err());
    }
    // Keys and choices of plans are no persons' data, and are named; values are not.
    let plans = [
        r#"{"funnel":{"steps":["SECRET"]}}"#,
        r#"{"funnel":{"steps":[{"touchpoint":"view"}],"window":"SECRET"}}"#,
        r#"{"funnel":{"steps":[{"property":"phone","in":"SECRET"}]}}"#,
        r#"{"segment":{"of":{"did":{"property":"phone","in":"SECRET"}}}}"#,
        r#"{"segment":{"of":{"did":{"touchpoint":"view"},"past":"SECRET","at_least":"SECRET"}}}"#,
        r#"{"segment":{"of":{"score":"SECRET"}}}"#,
        r#"{"stages":{},"by_segment":"SECRET"}"#,
        r#"{"transitions":{},"scope":{"customers":"SECRET"}}"#,
        r#"{"transitions":{},"scope":{"from":"SECRET"}}"#,
        r#"{"transitions":{},"scope":{"customers":["SECRET\u0001"]}}"#,
        r#""SECRET""#,
    ];
    for plan in plans {
        shown.error("InvalidPlan", &Question::read(&plan.replace("SECRET", &secret("plan"))).unwrap_err());
    }
}
