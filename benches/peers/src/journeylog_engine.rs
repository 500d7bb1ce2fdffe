//! journeylog, through its public API.

use std::{num::NonZeroUsize, path::Path, sync::Barrier, thread, time::Instant};

use chrono::{DateTime, TimeDelta};
use journeylog::{
    Breakdown, BreakdownFrom, Channel, Comparison, Condition, Durability, Event, Funnel, FunnelGroup, FunnelStep,
    JourneyModel, Query, StageCounts, StageCountsReport, Store, StoreOptions, Transitions, TransitionsReport,
};
use serde_json::{Map, Value, json};

use crate::{
    Result,
    engine::{Command, Engine, timed},
    world::{self, Row},
};

const STEPS: [&str; 4] = ["product_view", "add_to_cart", "checkout", "purchase"];
const WINDOW: TimeDelta = TimeDelta::days(7);

#[derive(Debug, Default)]
pub(crate) struct Journeylog(Option<Store>);

impl Engine for Journeylog {
    fn run(&mut self, command: Command) -> Result<Value> {
        match command {
            Command::Load { world, folder, batch, properties, sync_each } => {
                let durability = if sync_each { Durability::Synced } else { Durability::Buffered };
                let store = StoreOptions::new().durability(durability).open(folder)?;
                let (store, figures) = load(store, &world, batch, properties)?;
                self.0 = Some(store);
                Ok(figures)
            }
            Command::Open { folder } => {
                let (seconds, store) = timed(|| Ok(Store::open(&folder)?))?;
                let found = format!("{:?}", store.open_report());
                self.0 = Some(store);
                Ok(json!({ "seconds": seconds, "report": found }))
            }
            Command::Close => {
                let (seconds, ()) = timed(|| Ok(self.0.take().map_or(Ok(()), Store::close)?))?;
                Ok(json!({ "seconds": seconds }))
            }
            Command::Ask { question, threads } => {
                let threads = NonZeroUsize::new(threads).ok_or("no threads")?;
                let (seconds, answer) = ask(self.store()?, &question, threads)?;
                Ok(json!({ "seconds": seconds, "answer": answer }))
            }
            Command::LookUp { customers } => look_up(self.store()?, &customers),
            Command::Appends { world, folder, threads, each } => appends(&world, &folder, threads, each),
            Command::Stats => {
                let stats = self.store()?.stats()?;
                Ok(json!({
                    "events": stats.events, "customers": stats.customers, "segments": stats.segments,
                    "fresh_events": stats.fresh_events, "log_bytes": stats.log_bytes, "index_bytes": stats.index_bytes,
                }))
            }
        }
    }
}

impl Journeylog {
    fn store(&self) -> Result<&Store> {
        Ok(self.0.as_ref().ok_or("no store is open")?)
    }
}

fn event(row: Row, properties: bool) -> Result<Event> {
    let time = DateTime::from_timestamp_millis(row.time).ok_or("a time that chrono does not know")?;
    let event = Event::at(time, world::id(row.customer), row.touchpoint()).channel(Channel::new(row.channel())?);
    Ok(if properties { event.property("plan", row.plan()).build()? } else { event.build()? })
}

/// Loads all events, and syncs them at the latest when they are there. Making the event structs is timed apart: it is the
/// application's work, not the store's.
fn load(store: Store, world: &Path, batch: usize, properties: bool) -> Result<(Store, Value)> {
    let start = Instant::now();
    let mut rows = world::read(world)?;
    let (mut making, mut appending, mut slowest) = (0.0, 0.0, 0.0_f64);
    loop {
        let (seconds, events) = timed(|| rows.by_ref().take(batch).map(|row| event(row, properties)).collect())?;
        let events: Vec<Event> = events;
        making += seconds;
        if events.is_empty() {
            break;
        }
        let (seconds, _) = timed(|| Ok(store.append_batch(events)?))?;
        appending += seconds;
        slowest = slowest.max(seconds);
    }
    let (seconds, ()) = timed(|| Ok(store.sync()?))?;
    appending += seconds;
    let whole = start.elapsed().as_secs_f64();
    let (settling, ()) = timed(|| Ok(store.settle()?))?;
    let figures = json!({
        "events": store.len(), "load_s": appending, "make_s": making, "whole_s": whole, "settle_s": settling,
        "slowest_append_s": slowest,
    });
    Ok((store, figures))
}

/// Appends from several threads at once, which share syncs.
fn appends(world: &Path, folder: &Path, threads: usize, each: usize) -> Result<Value> {
    let store = Store::open(folder)?;
    let mut rows = world::read(world)?;
    let mut make = || rows.by_ref().take(each).map(|row| event(row, true)).collect::<Result<Vec<_>>>();
    let work: Vec<Vec<Event>> = (0..threads).map(|_| make()).collect::<Result<_>>()?;
    let barrier = Barrier::new(threads + 1);
    let append = |events: Vec<Event>| -> Result<()> {
        barrier.wait();
        events.into_iter().try_for_each(|event| Ok(store.append(event).map(drop)?))
    };
    let seconds = thread::scope(|scope| {
        let running: Vec<_> = work.into_iter().map(|events| scope.spawn(|| append(events))).collect();
        barrier.wait();
        let start = Instant::now();
        for thread in running {
            thread.join().map_err(|_| "an appending thread panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(start.elapsed().as_secs_f64())
    })?;
    store.close()?;
    Ok(json!({ "seconds": seconds, "appends": threads * each }))
}

/// Asks one question, and gives how long it took and what of the answer the peers can give too.
fn ask(store: &Store, question: &str, threads: NonZeroUsize) -> Result<(f64, Value)> {
    let query = || store.query().threads(threads);
    let moves = Transitions::of(JourneyModel::standard());
    let stages = StageCounts::of(JourneyModel::standard());
    let funnel = Funnel::ordered(STEPS).within(WINDOW).build()?;
    Ok(match question {
        "funnel" => {
            let (seconds, report) = timed(|| Ok(query().run(&funnel)?))?;
            (seconds, steps(&report.steps))
        }
        "transitions" => {
            let (seconds, report) = timed(|| Ok(query().run(&moves)?))?;
            (seconds, cells(&report))
        }
        "stages" => {
            let (seconds, report) = timed(|| Ok(query().run(&stages)?))?;
            (seconds, counts(&report))
        }
        "three" => {
            let (seconds, (funnel, moves, stages)) = timed(|| Ok(query().run((&funnel, &moves, &stages))?))?;
            (seconds, json!([steps(&funnel.steps), cells(&moves), counts(&stages)]))
        }
        "filtered" => {
            let pro = Condition::property("plan", Comparison::Eq("pro".into()));
            let (seconds, report) = timed(|| Ok(query().filter(pro).run(&funnel)?))?;
            (seconds, steps(&report.steps))
        }
        "by_channel" => by_channel(&query())?,
        "channel_plans" => channel_plans(&query())?,
        other => return Err(format!("no such question: {other}").into()),
    })
}

/// One funnel for each channel, over the events of that channel alone.
fn by_channel(query: &Query) -> Result<(f64, Value)> {
    let each = Breakdown::channel().from(BreakdownFrom::Each);
    let funnel = Funnel::ordered(STEPS).within(WINDOW).breakdown(each).build()?;
    let (seconds, report) = timed(|| Ok(query.run(&funnel)?))?;
    let groups = report.breakdown.unwrap_or_default().groups;
    let group = |group: &FunnelGroup| (group.value.to_string(), steps(&group.figures.steps));
    Ok((seconds, groups.iter().map(group).collect::<Map<_, _>>().into()))
}

/// The same as five plans in one scan, whose steps ask for the channel too.
fn channel_plans(query: &Query) -> Result<(f64, Value)> {
    let plan = |channel: &str| -> Result<Funnel> {
        let channel = Condition::channel(Channel::new(channel)?);
        let steps = STEPS.iter().map(|step| Ok(Condition::touchpoint(step)?.and(channel.clone())));
        Ok(Funnel::ordered(steps.collect::<Result<Vec<_>>>()?).within(WINDOW).build()?)
    };
    let plans: Vec<Funnel> = world::channels().map(plan).collect::<Result<_>>()?;
    let (seconds, reports) = timed(|| Ok(query.run(plans)?))?;
    let groups: Map<String, Value> =
        world::channels().zip(&reports).map(|(channel, report)| (channel.to_owned(), steps(&report.steps))).collect();
    Ok((seconds, groups.into()))
}

fn steps(steps: &[FunnelStep]) -> Value {
    steps.iter().map(|step| step.customers).collect()
}

fn cells(report: &TransitionsReport) -> Value {
    let name = |cell: &journeylog::TransitionCell| {
        format!("{} > {}", cell.from.as_ref().map_or("start", |from| from.as_str()), cell.to.as_str())
    };
    report.cells.iter().filter(|cell| cell.count > 0).map(|cell| (name(cell), json!(cell.count))).collect()
}

fn counts(report: &StageCountsReport) -> Value {
    report.stages.iter().map(|stage| (stage.stage.as_str().to_owned(), json!(stage.customers))).collect()
}

fn look_up(store: &Store, customers: &[u32]) -> Result<Value> {
    let model = JourneyModel::standard();
    let (mut seconds, mut answer) = (Vec::new(), Vec::new());
    for &customer in customers {
        let id = world::id(customer);
        let (took, found) = timed(|| {
            let Some(customer) = store.customer(&id)? else { return Ok(None) };
            let stage = customer.stage(&model)?;
            Ok(Some((customer, stage)))
        })?;
        seconds.push(took);
        answer.push(found.map(|(customer, stage)| {
            let journey = customer.journey();
            let times: i64 = journey.iter().map(|event| event.occurred_at.timestamp_millis()).sum();
            json!([journey.len(), times, stage.map(|stage| stage.as_str().to_owned())])
        }));
    }
    Ok(json!({ "seconds": seconds, "answer": answer }))
}
