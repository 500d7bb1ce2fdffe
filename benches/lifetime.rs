//! What customers are worth: how long it takes to fit the models to many of them.
//!
//! `cargo bench --bench lifetime` has 20,000 customers, `-- 1000000` as many as it says, and `-- --test` a few, to see only that
//! it runs.

use std::{env, error::Error, time::Instant};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{Durability, Event, LifetimeValue, Money, StoreOptions};

const CUSTOMERS: u32 = 20_000;
const CUSTOMERS_OF_A_TEST: u32 = 500;
/// Days from the first purchase of the first customer on.
const DAYS: f64 = 540.0;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let is_test = args.iter().any(|arg| arg == "--test");
    let said = args.iter().find_map(|arg| arg.parse().ok());
    let customers = said.unwrap_or(if is_test { CUSTOMERS_OF_A_TEST } else { CUSTOMERS });

    for leaving in [Leaving::Each, Leaving::Alike] {
        ask(customers, leaving)?;
    }
    Ok(())
}

/// With which probability customers leave after a purchase; in the mean it is a fifth.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// Each with one of their own, beta distributed: the ordinary case.
    Each,
    /// All with the same: nothing tells the parameters of the distribution apart, and what is likeliest is a limit of the model.
    Alike,
}

/// Makes a world and asks what its customers are worth.
fn ask(customers: u32, leaving: Leaving) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path())?;
    let (mut random, mut batch, mut events) = (Rng::with_seed(1), Vec::new(), 0);
    for customer in 0..customers {
        purchases(&mut random, customer, leaving, &mut batch)?;
        if batch.len() > 5_000 || customer + 1 == customers {
            events += store.append_batch(std::mem::take(&mut batch))?.stored();
        }
    }
    store.settle()?;

    let plan = LifetimeValue::of("purchase").value_in("EUR").horizon(TimeDelta::days(90));
    for (unit, days) in [("days", 1), ("weeks", 7)] {
        let plan = plan.clone().unit(TimeDelta::days(days)).build()?;
        let start = Instant::now();
        let report = store.query().run(&plan)?;
        let took = start.elapsed().as_secs_f64();
        println!("{customers} customers who leave {leaving:?}, {events} purchases, in {unit}: {took:.2} s\n{report}");
    }
    store.close()?;
    Ok(())
}

/// What a customer buys: at a rate of their own, until they leave, which they may after each purchase.
fn purchases(random: &mut Rng, customer: u32, leaving: Leaving, to: &mut Vec<Event>) -> Result<(), Box<dyn Error>> {
    let leaves = match leaving {
        Leaving::Each => 1.0 - random.f64().powf(0.25),
        Leaving::Alike => 0.2,
    };
    let mut exponential = |mean: f64| -mean * random.f64().max(1e-12).ln();
    let (mut day, wait, spends) = (exponential(60.0).min(DAYS), exponential(40.0) + 3.0, exponential(20.0) + 5.0);
    let name = format!("c-{customer}");
    while day <= DAYS {
        let at = DateTime::UNIX_EPOCH
            + TimeDelta::days(20_089)
            + TimeDelta::seconds(format!("{:.0}", day * 86_400.0).parse()?);
        let value = Money::new(&format!("{:.2}", exponential(spends) + 1.0), "EUR")?;
        to.push(Event::at(at, &name, "purchase").value(value).build()?);
        // 1 - e^-x is evenly distributed.
        if -(-exponential(1.0)).exp_m1() < leaves {
            break;
        }
        day += exponential(wait);
    }
    Ok(())
}
