//! Times, amounts and windows at the ends of what there is: nothing overflows, and answers are exact.

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Breakdown, CohortRetention, Comparison, Condition, Currency, CustomerId, Decimal, Event, EventBuilder, Funnel,
    FunnelBuilder, JourneyModel, Journeys, Micros, Money, Period, PropertyValue, Question, Scope, StageCounts, Store,
    Transitions, Window,
    testing::{World, oracle},
};

const FIRST: DateTime<Utc> = DateTime::<Utc>::MIN_UTC;
const LAST: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;
/// The largest amount.
const MOST: &str = "999999999999999999.999999999";
/// The one below it.
const NEXT: &str = "999999999999999999.999999998";

fn money(amount: &str) -> Money {
    Money::new(amount, "EUR").unwrap()
}

fn lives() -> Vec<Event> {
    let event = |at, customer, touchpoint| Event::at(at, customer, touchpoint);
    let events = [
        event(FIRST, "ann", "product_view").value(money(MOST)),
        event(LAST, "ann", "purchase").value(money(&format!("-{MOST}"))),
        event(LAST, "bob", "product_view").value(money(NEXT)),
        event(LAST, "bob", "purchase").value(money(MOST)),
        event(FIRST, "cem", "purchase"),
    ];
    events.map(|event| event.build().unwrap()).to_vec()
}

fn journeys() -> Journeys {
    Journeys::of(lives().into_iter().map(EventBuilder::from)).unwrap()
}

/// The longest window there is, and the longest time that a journey can take.
#[test]
fn a_journey_may_last_as_long_as_time() {
    let longest = TimeDelta::microseconds(i64::MAX);
    let whole = LAST - FIRST;
    let converted = |window: Option<TimeDelta>| {
        let funnel = Funnel::ordered(["product_view", "purchase"]);
        let funnel = window.into_iter().fold(funnel, FunnelBuilder::within).build().unwrap();
        let report = journeys().query().run(&funnel).unwrap();
        let truth = oracle::funnel(&lives(), &funnel, &JourneyModel::standard(), &Scope::all());
        truth.agrees(&report).unwrap();
        (report.converted, report.steps[1].time_to_reach.map(|time| time.max))
    };
    // Cut to the microsecond, as times are.
    let seconds = (Micros::from(LAST).since(Micros::from(FIRST))) as f64 / 1e6;
    assert_eq!(converted(None), (2, Some(seconds)));
    // Time is longer than the longest window, which fits in 63 bits.
    assert!(Window::try_from(whole).is_err());
    assert_eq!(converted(Some(longest)).0, 1);
    assert_eq!(converted(Some(TimeDelta::zero())).0, 1);
    assert!(Funnel::ordered(["a"]).within(TimeDelta::MAX).build().is_err());
}

#[test]
fn scopes_reach_from_end_to_end() {
    let funnel = Funnel::ordered(["product_view"]).within(TimeDelta::days(1)).build().unwrap();
    for (scope, entered, pending) in [
        (Scope::all().between(FIRST..LAST), 1, 0),
        (Scope::all().from(LAST), 1, 1),
        (Scope::all().as_of(FIRST), 1, 1),
        (Scope::all().as_of(LAST), 2, 1),
        (Scope::all().to(FIRST), 0, 0),
    ] {
        // A funnel of one step has nobody pending; with a second that nobody reaches, those whose window is open.
        let report = journeys().query().scope(scope.clone()).run(&funnel).unwrap();
        assert_eq!(report.entered, entered, "{scope:?}");
        let two = Funnel::ordered(["product_view", "never"]).within(TimeDelta::days(1)).build().unwrap();
        assert_eq!(journeys().query().scope(scope.clone()).run(&two).unwrap().pending, pending, "{scope:?}");
    }
}

#[test]
fn stages_are_counted_at_the_ends_of_time() {
    for period in [Period::HOUR, Period::DAY, Period::WEEK, Period::MONTH] {
        let stages = StageCounts::of(JourneyModel::standard()).every(period);
        let all = journeys().query().run(&stages);
        assert!(all.unwrap_err().is_limit(), "{period:?}");
        let first = journeys().query().as_of(FIRST).run(&stages).unwrap().over_time.unwrap();
        assert_eq!((first.len(), first[0].customers[2]), (1, 1), "{period:?}");
        let start = period.start_of(Micros::MAX);
        assert!(period.next(start).is_none_or(|next| next > start));
    }
    let transitions = Transitions::of(JourneyModel::standard()).list_customers();
    let report = journeys().query().run(&transitions).unwrap();
    assert_eq!(
        report,
        oracle::transitions(&lives(), &JourneyModel::standard(), (&JourneyModel::standard(), &Scope::all()))
    );
}

#[test]
fn the_largest_amounts_are_told_apart() {
    let eur = Currency::new("EUR").unwrap();
    let most: Decimal = MOST.parse().unwrap();
    let ask = |test| journeys().query().run(&Funnel::ordered([Condition::value(eur, test)]).build().unwrap()).unwrap();
    assert_eq!(ask(Comparison::Eq(most)).entered, 2);
    assert_eq!(ask(Comparison::Lt(most)).entered, 2);
    assert_eq!(ask(Comparison::Le(-most)).entered, 1);
    assert_eq!(ask(Comparison::Gt(most)).entered, 0);
    let too_large = Comparison::Ge(Decimal::MAX);
    assert!(Funnel::ordered([Condition::value(eur, too_large)]).build().is_err());
    let bands = Breakdown::value_bands(eur, [-most, most]);
    let report = journeys().query().run(&Funnel::ordered(["purchase"]).breakdown(bands).build().unwrap()).unwrap();
    let groups = report.breakdown.unwrap();
    let entered = |value: String| groups.group(PropertyValue::from(value)).map(|group| group.figures.entered);
    assert_eq!(entered(format!("{MOST} EUR and more")), Some(1));
    assert_eq!(entered(format!("-{MOST} to under {MOST} EUR")), Some(1));
}

#[test]
fn a_store_gives_back_what_is_at_the_ends() {
    let dir = tempfile::tempdir().unwrap();
    for open in 0..2 {
        let store = Store::open(dir.path()).unwrap();
        if open == 0 {
            store.append_batch(lives()).unwrap();
            store.settle().unwrap();
        }
        let ann = store.customer("ann").unwrap().unwrap();
        let events: Vec<_> = ann.journey().iter().map(|event| (event.occurred_at, event.value)).collect();
        // What is finer than a microsecond is cut off.
        let last = Micros::from(LAST).to_datetime();
        assert_eq!(events, [(FIRST, Some(money(MOST))), (last, Some(money(&format!("-{MOST}"))))]);
        assert_eq!(ann.events().unwrap().into_iter().map(|e| e.event).collect::<Vec<_>>(), lives()[..2]);
        store.close().unwrap();
    }
}

#[test]
fn retention_reaches_from_end_to_end() {
    let retention = CohortRetention::of("product_view", "purchase", Period::MONTH).periods(1_000).build().unwrap();
    let report = journeys().query().run(&retention).unwrap();
    // Ann's second purchase is 6 million months later; Bob's first month is the last of all.
    let cells: Vec<_> = report.cohorts.iter().map(|cohort| cohort.cells.len()).collect();
    assert_eq!(cells, [1_001, 1]);
    assert!(report.cohorts[0].cells[1_000].finished && !report.cohorts[1].cells[0].finished);
    let ever = CohortRetention::of("product_view", "purchase", Period::HOUR).on_or_after().periods(2);
    let ever = ever.elapsed(TimeDelta::hours(1)).value().build().unwrap();
    let ann = CustomerId::new("ann").unwrap();
    let report = journeys().query().customers([ann]).run(&ever).unwrap();
    assert_eq!(report.cohorts[0].cells[2].customers, 1);
    assert_eq!(report.cohorts[0].cells[2].value, [money(&format!("-{MOST}"))]);
    // Both of Bob's amounts together are more than money can be.
    assert!(journeys().query().run(&ever).unwrap_err().is_invalid());
}

/// Every plan of the golden file over worlds at the ends of time: an answer, or a limit.
#[test]
fn every_question_has_an_answer_at_the_ends_of_time() {
    let plans = Question::read(include_str!("../golden/plans.json")).unwrap();
    for seed in 0..10 {
        let journeys = Journeys::of(World::new(seed).extreme_times().make()).unwrap();
        for plan in &plans {
            for scope in [Scope::all(), Scope::all().as_of(FIRST), Scope::all().as_of(LAST), Scope::all().from(LAST)] {
                let asked = plan.clone().scope(scope);
                match journeys.query().ask(&[asked]) {
                    Ok(answers) => assert_eq!(answers.len(), 1),
                    Err(error) => assert!(error.is_limit(), "{error}"),
                }
            }
        }
    }
}
