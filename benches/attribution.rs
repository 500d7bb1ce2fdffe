//! Attribution: how long large Markov chains take, and customers with very many touches.
//!
//! `cargo bench --bench attribution`; with `-- --test` a few journeys, to see only that it runs.

use std::{env, error::Error, time::Instant};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{Attribution, AttributionBy, AttributionModel, Event, Journeys};

fn main() -> Result<(), Box<dyn Error>> {
    let share = if env::args().any(|arg| arg == "--test") { 1_000 } else { 1 };
    let chains = [(1_000, 100_000, 1), (2_000, 100_000, 1), (6, 100_000, 3), (10, 100_000, 3), (30, 200_000, 3)];
    for (keys, journeys, order) in chains {
        let mut random = Rng::with_seed(4);
        let events =
            (0..journeys / share).map(|customer| walk(&mut random, customer, keys)).collect::<Result<Vec<_>, _>>()?;
        let journeys = Journeys::of(events.into_iter().flatten())?;
        for model in [AttributionModel::Linear, AttributionModel::Markov] {
            let plan = Attribution::of("purchase", "visit").by(AttributionBy::Property("campaign".to_owned()));
            let plan = plan.models([model]).markov_order(order).build()?;
            let start = Instant::now();
            let report = journeys.query().run(&plan);
            let took = start.elapsed().as_secs_f64();
            let moves = report.map(|report| report.chain.map_or(0, |chain| chain.moves.len()));
            println!("{keys} campaigns, order {order}, {model:?}: {took:.3} s, moves {moves:?}");
        }
    }
    for touches in [10_000, 100_000].map(|touches| touches / share) {
        let mut random = Rng::with_seed(5);
        let events = (0..touches).map(|nth| event(&mut random, 0, nth, if nth % 20 == 19 { None } else { Some(8) }));
        let journeys = Journeys::of(events.collect::<Result<Vec<_>, _>>()?)?;
        let plan = Attribution::of("purchase", "visit").by(AttributionBy::Property("campaign".to_owned()));
        let plan = plan.markov_order(3).build()?;
        let start = Instant::now();
        journeys.query().run(&plan)?;
        println!("one customer with {touches} events, all models: {:.3} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// A visit by way of one of so many campaigns, the first of them more often, or a purchase.
fn event(random: &mut Rng, customer: u32, nth: u32, campaigns: Option<u32>) -> Result<Event, Box<dyn Error>> {
    let at = DateTime::UNIX_EPOCH + TimeDelta::hours(nth.into());
    let name = if campaigns.is_some() { "visit" } else { "purchase" };
    let event = Event::at(at, format!("c-{customer}"), name);
    let Some(campaigns) = campaigns else { return Ok(event.build()?) };
    let upto = random.u32(..campaigns);
    Ok(event.property("campaign", i64::from(random.u32(..=upto))).build()?)
}

/// What a customer does: some visits, and in one of three cases a purchase.
fn walk(random: &mut Rng, customer: u32, campaigns: u32) -> Result<Vec<Event>, Box<dyn Error>> {
    let longest = random.u32(1..9);
    let visits = 1 + random.u32(..longest);
    let mut events =
        (0..visits).map(|nth| event(random, customer, nth, Some(campaigns))).collect::<Result<Vec<_>, _>>()?;
    if random.u8(..3) == 0 {
        events.push(event(random, customer, visits, None)?);
    }
    Ok(events)
}
