//! Lifetime value: by hand, and what it is made of against the oracle. Its models are tested where they stand.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use journeylog::{
    Currency, Decimal, Event, HistoricValue, JourneyModel, LifetimeValue, LifetimeValueBuilder, LifetimeValueReport,
    LifetimeWarning, Money, PurchaseHistory, Scope,
    testing::{check_arrival, check_bystander, check_laws, check_names, oracle},
};

use crate::given::{any_lifetime_value, any_model, any_scope, day, each_world, journeys, periodic_world};

fn spent(customer: &str, on: f64, amount: &str) -> Event {
    Event::at(day(on), customer, "buy").value(Money::new(amount, "EUR").unwrap()).build().unwrap()
}

/// Two who buy each week, and some who buy once.
fn buyers() -> Vec<Event> {
    let weekly = |customer, weeks: u32| (0..weeks).map(move |week| spent(customer, f64::from(week) * 7.0, "10"));
    let once = (0..6).map(|n| spent(&format!("once-{n}"), f64::from(n) * 9.0, "4.50"));
    weekly("ann", 9).chain(weekly("bob", 4)).chain(once).collect()
}

fn days(window: &str) -> f64 {
    window.trim_end_matches('d').parse().unwrap()
}

/// What a customer's repeats were worth on average.
fn mean_of(bought: &[oracle::Bought], customer: &journeylog::CustomerId) -> f64 {
    let one = bought.iter().find(|one| one.customer == *customer).unwrap();
    one.money[1].to_string().parse::<f64>().unwrap() / f64::from(one.repeats.max(1))
}

/// Whether a report is what the oracle says, as far as that goes.
fn check(
    events: &[Event],
    plan: &LifetimeValue,
    model: &JourneyModel,
    scope: &Scope,
    report: &LifetimeValueReport,
) -> Result<(), String> {
    let bought = oracle::bought(events, plan, model, scope);
    let form = serde_json::to_value(plan).unwrap();
    let unit = days(form["unit"].as_str().unwrap());
    let modelled = form.get("currency").map(|currency| Currency::new(currency.as_str().unwrap()).unwrap());
    let found = report.customers.as_ref().unwrap();
    if bought.len() != found.len() || report.buyers != found.len() as u64 {
        return Err(format!("{bought:#?} {found:#?}"));
    }
    let mut purchases = 0;
    for (right, found) in bought.iter().zip(found) {
        #[expect(clippy::cast_precision_loss, reason = "days are few")]
        let times = (right.last as f64 / unit, right.observed as f64 / unit);
        let money: BTreeMap<_, _> = found.historic.iter().map(|sum| (sum.currency(), sum.amount())).collect();
        let same = right.customer == found.customer
            && right.repeats == found.repeats
            && (found.last, found.observed) == times
            && money == right.spent
            && found.margin.len() == form.get("margin").map_or(0, |_| money.len());
        if !same {
            return Err(format!("{right:#?} {found:#?}"));
        }
        purchases += u64::from(right.repeats) + 1;
    }
    if report.purchases != purchases {
        return Err(format!("{purchases} {}", report.purchases));
    }
    let mut spent: BTreeMap<Currency, Decimal> =
        modelled.map(|currency| (currency, Decimal::ZERO)).into_iter().collect();
    for (currency, sum) in bought.iter().flat_map(|one| &one.spent) {
        *spent.entry(*currency).or_default() += sum;
    }
    spent.retain(|currency, sum| !sum.is_zero() || Some(*currency) == modelled);
    let total: BTreeMap<_, _> =
        report.historic.iter().map(|historic| (historic.total.currency(), historic.total.amount())).collect();
    if total != spent {
        return Err(format!("{bought:#?} {total:?}"));
    }
    // Sums of what stands with each customer, and the models said of the same histories.
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    let history = |one: &journeylog::CustomerLifetime| PurchaseHistory {
        repeats: one.repeats,
        last: one.last,
        observed: one.observed,
    };
    let Some(fit) = report.purchases_fit else {
        let nobody = bought.iter().all(|one| one.repeats == 0) && report.expected.is_none();
        return if nobody { Ok(()) } else { Err("a model is missing".to_owned()) };
    };
    let likelihood: f64 = found.iter().map(|one| fit.model.log_likelihood(&history(one))).sum();
    let alive: f64 = found.iter().map(|one| one.alive.unwrap()).sum();
    let value: f64 = found.iter().filter_map(|one| one.value).sum();
    let expected = report.expected.unwrap();
    let horizon = report.horizon.map(|horizon| days(&horizon.to_string()) / unit);
    let discount = form.get("discount").map_or(0.0, |discount| discount.as_f64().unwrap());
    let margin = form.get("margin").map_or(1.0, |margin| margin.as_str().unwrap().parse::<f64>().unwrap());
    for one in found {
        let within = |time: f64| fit.model.expected_purchases(&history(one), time);
        let same = |found: Option<f64>, right: Option<f64>| match (found, right) {
            (Some(found), Some(right)) => close(found, right),
            (found, right) => found.is_none() && right.is_none_or(|right| !right.is_finite()),
        };
        let paid = modelled.map_or(0.0, |_| mean_of(&bought, &one.customer));
        let each = report.value_fit.filter(|_| one.repeats == 0 || paid > 0.0);
        let each = each.map(|fit| fit.model.expected_value(if paid > 0.0 { one.repeats } else { 0 }, paid));
        let each = each.filter(|each| each.is_finite());
        // Unit by unit, each discounted by its end, or that of the horizon.
        let value = horizon.zip(each).map(|(horizon, each)| {
            let (mut at, mut sum) = (0.0, 0.0);
            while at < horizon {
                let until = (at + 1.0_f64).min(horizon);
                sum += (within(until) - within(at)) / (1.0 + discount).powf(until * unit / 365.0);
                at += 1.0;
            }
            sum * each * margin
        });
        if !same(one.purchases, horizon.map(within)) || !same(one.value_each, each) || !same(one.value, value) {
            return Err(format!("{one:#?} {each:?} {value:?} {fit:?}"));
        }
    }
    let sums = close(likelihood, fit.optimum.log_likelihood)
        && close(alive, expected.alive)
        && close(value, expected.value.unwrap_or_default())
        && found.iter().all(|one| close(one.alive.unwrap(), fit.model.alive(&history(one))));
    if sums { Ok(()) } else { Err(format!("{likelihood} {alive} {value} {report:#?}")) }
}

#[test]
fn what_customers_have_spent_is_exact_and_what_they_will_is_said() {
    let plan = LifetimeValue::of("buy").value_in("EUR").margin("0.25").horizon(TimeDelta::days(70)).list_customers();
    let (events, plan) = (buyers(), plan.build().unwrap());
    let report = journeys(&events).query().run(&plan).unwrap();
    check(&events, &plan, &JourneyModel::standard(), &Scope::all(), &report).unwrap();
    let [historic] = &report.historic[..] else { panic!("{report}") };
    let margin = historic.margin.as_ref().unwrap();
    assert_eq!((historic.total.to_string(), margin.to_string()), ("157 EUR".into(), "39.25 EUR".into()));
    assert_eq!((report.buyers, report.repeat_buyers, report.purchases), (8, 2, 19));
    assert!(report.warnings.contains(&LifetimeWarning::FewRepeats), "{report}");
    let customers = report.customers.unwrap();
    let (ann, bob) = (&customers[0], &customers[1]);
    assert!(ann.alive > bob.alive, "who still buys is likelier there than who has stopped: {ann:?} {bob:?}");
    assert!(ann.purchases > bob.purchases);
}

#[test]
fn money_later_is_worth_less() {
    let plan = |discount| {
        let plan = LifetimeValue::of("buy").value_in("EUR").horizon(TimeDelta::days(364)).discount(discount);
        journeys(&buyers()).query().run(&plan.build().unwrap()).unwrap().expected.unwrap()
    };
    let (now, later) = (plan(0.0), plan(0.1));
    assert_eq!(now.purchases, later.purchases);
    let (now, later) = (now.value.unwrap(), later.value.unwrap());
    // All of it lies within a year.
    assert!(later < now && later > now / 1.1, "{now} {later}");
}

#[test]
fn who_counts_is_said_by_the_range_and_what_counts_by_the_end() {
    let plan = LifetimeValue::of("buy").value_in("EUR").list_customers().build().unwrap();
    let events = buyers();
    for scope in [Scope::all().between(day(1.0)..day(28.0)), Scope::all().as_of(day(20.0))] {
        let report = journeys(&events).query().scope(scope.clone()).run(&plan).unwrap();
        check(&events, &plan, &JourneyModel::standard(), &scope, &report).unwrap();
    }
    // Ann and Bob bought before; so nobody within bought twice.
    let report = journeys(&events).query().between(day(1.0)..day(28.0)).run(&plan).unwrap();
    assert_eq!((report.buyers, report.warnings), (3, vec![LifetimeWarning::NoRepeats]));
}

#[test]
fn what_is_paid_otherwise_is_counted_as_worth_nothing() {
    let mut events = buyers();
    events.push(Event::at(day(1.0), "cat", "buy").value(Money::new("7", "USD").unwrap()).build().unwrap());
    events.push(Event::at(day(3.0), "cat", "buy").build().unwrap());
    let report = journeys(&events).query().run(&LifetimeValue::of("buy").value_in("EUR").build().unwrap()).unwrap();
    assert!(report.warnings.contains(&LifetimeWarning::WithoutMoney { purchases: 2 }), "{report}");
    assert!(report.warnings.contains(&LifetimeWarning::WorthNothing { customers: 1 }), "{report}");
    assert_eq!(report.value_fit.unwrap().customers, 2);
}

/// Who pays in euros and in dollars has spent both, whichever is modelled, and neither is lost where none is.
#[test]
fn what_was_spent_is_said_by_currency() {
    let paid = |at, amount, currency| Event::at(day(at), "ann", "buy").value(Money::new(amount, currency).unwrap());
    let events = [paid(0.0, "10", "EUR"), paid(1.0, "5", "USD"), paid(2.0, "0.5", "USD")].map(|e| e.build().unwrap());
    let spent = |plan: LifetimeValueBuilder| {
        let plan = plan.margin("0.5").list_customers().build().unwrap();
        let report = journeys(&events).query().run(&plan).unwrap();
        check(&events, &plan, &JourneyModel::standard(), &Scope::all(), &report).unwrap();
        let of_all =
            |historic: &HistoricValue| (historic.total.to_string(), historic.margin.as_ref().unwrap().to_string());
        let [ann] = &report.customers.as_ref().unwrap()[..] else { panic!("{report}") };
        let of_ann = ann.historic.iter().zip(&ann.margin).map(|(all, margin)| (all.to_string(), margin.to_string()));
        let of_all: Vec<_> = report.historic.iter().map(of_all).collect();
        assert_eq!(of_all, of_ann.collect::<Vec<_>>());
        of_all.into_iter().map(|(total, margin)| format!("{total}, {margin}")).collect::<Vec<_>>()
    };
    let both = ["10 EUR, 5.0 EUR", "5.5 USD, 2.75 USD"];
    assert_eq!(spent(LifetimeValue::of("buy")), both);
    assert_eq!(spent(LifetimeValue::of("buy").value_in("EUR")), both);
    assert_eq!(spent(LifetimeValue::of("buy").value_in("USD")), both);
}

#[test]
fn random_worlds_agree_with_the_oracle() {
    each_world(1_000, periodic_world, |seed, events| {
        let (model, scope, plan) = (any_model(seed), any_scope(seed), any_lifetime_value(seed));
        let report = journeys(events).query().scope(scope.clone()).model(model.clone()).run(&plan);
        let report = report.map_err(|e| e.to_string())?;
        check(events, &plan, &model, &scope, &report)
            .map_err(|why| format!("{}\n{why}", serde_json::json!([plan, scope])))
    });
}

#[test]
fn it_keeps_the_laws() {
    each_world(30, periodic_world, |seed, events| {
        check_laws(&any_lifetime_value(seed), events).map_err(|broken| broken.to_string())
    });
}

#[test]
fn arrival_names_and_bystanders_do_not_matter() {
    let bystander = Event::at(day(0.0), "x", "elsewhere").build().unwrap();
    let plan = LifetimeValue::of("purchase").value_in("EUR").build().unwrap();
    each_world(100, periodic_world, |seed, events| {
        check_arrival(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_names(&plan, events, seed).map_err(|broken| broken.to_string())?;
        check_bystander(&plan, events, &bystander).map_err(|broken| broken.to_string())
    });
}
