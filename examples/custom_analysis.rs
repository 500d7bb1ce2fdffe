//! A question of one's own, asked like the built-in ones: how many touchpoints, and how many days, lie before a
//! customer's first purchase?
//!
//! ```text
//! cargo run --example custom_analysis
//! ```
//!
//! A question takes five forms. You write a type for each of four, and the crate does the rest: the scan, the threads,
//! the snapshot, the limit on memory.
//!
//! 1. The **plan** says what is asked: [`BeforePurchase`].
//! 2. The **bound plan** is the plan with its names turned into the numbers of one store: [`BoundBeforePurchase`].
//! 3. The **state** is what is known after some journeys: [`Counts`]. Each chunk of journeys makes one;
//!    states are merged.
//! 4. The **report** is what the merged state is finished into: [`BeforePurchaseReport`].

use std::{collections::BTreeMap, error::Error, fmt, fs};

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{
    Analysis, Binder, Bound, Cell, Condition, Event, InvalidPlan, Journey, Matches, Names, Store, Table, Tables,
};
use serde::{Deserialize, Serialize};

/// The plan: which events are purchases. All configuration is here and none in the state.
struct BeforePurchase {
    purchase: Condition,
}

impl Analysis for BeforePurchase {
    type Bound = BoundBeforePurchase;

    /// Asks the binder for what is to be read: here one condition, and the times of all events. The condition is then
    /// tried on all events of a block at once, and only the columns that are needed are read.
    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundBeforePurchase, InvalidPlan> {
        binder.need_times();
        Ok(BoundBeforePurchase { purchase: binder.matches(std::slice::from_ref(&self.purchase))? })
    }
}

/// The bound plan: which events are purchases.
struct BoundBeforePurchase {
    purchase: Matches,
}

/// The state: whole numbers only, so that adding them up gives the same on any number of threads. Averages are for the
/// report. It is data that can be stored and sent, hence the two derives.
#[derive(Default, Serialize, Deserialize)]
struct Counts {
    /// By the number of touchpoints before the first purchase: customers, and their days to it in microseconds.
    buyers: BTreeMap<u64, (u64, i128)>,
    others: u64,
}

impl Bound for BoundBeforePurchase {
    type State = Counts;
    type Report = BeforePurchaseReport;

    /// The state after no journey. Merging it into another must change nothing.
    fn start(&self) -> Counts {
        Counts::default()
    }

    /// One customer's whole journey, in the order in which things happened: position i of each column is event i.
    fn visit(&self, state: &mut Counts, journey: &Journey<'_>) {
        let purchases = self.purchase.of(journey);
        match purchases.event(0).and_then(|at| Some((at, journey.times().first()?, purchases.times.first()?))) {
            Some((before, start, purchase)) => {
                let (customers, micros) = state.buyers.entry(before as u64).or_default();
                *customers += 1;
                *micros += purchase.since(*start);
            }
            None => state.others += 1,
        }
    }

    /// What another state knows of other customers is added.
    fn merge(&self, state: &mut Counts, other: Counts) {
        for (touchpoints, (customers, micros)) in other.buyers {
            let here = state.buyers.entry(touchpoints).or_default();
            here.0 += customers;
            here.1 += micros;
        }
        state.others += other.others;
    }

    /// The bytes a state takes, roughly: a question that takes too many is stopped.
    fn size(&self, state: &Counts) -> usize {
        state.buyers.len() * 64
    }

    /// The answer. Only now are there fractions.
    fn finish(&self, state: Counts, _: &Names) -> journeylog::Result<BeforePurchaseReport> {
        const DAY: f64 = 86_400e6;
        let line = |(touchpoints, (customers, micros)): (u64, (u64, i128))| Line {
            touchpoints,
            customers,
            mean_days: micros as f64 / DAY / customers as f64,
        };
        Ok(BeforePurchaseReport { lines: state.buyers.into_iter().map(line).collect(), others: state.others })
    }
}

/// The report.
struct BeforePurchaseReport {
    lines: Vec<Line>,
    others: u64,
}

struct Line {
    touchpoints: u64,
    customers: u64,
    mean_days: f64,
}

/// A report that shows itself as a table prints like the built-in ones.
impl Tables for BeforePurchaseReport {
    fn tables(&self) -> Vec<Table> {
        let mut table =
            Table::new("Before the first purchase", ["touchpoints before", "customers", "mean days since the first"]);
        for line in &self.lines {
            let days = Cell::from(format!("{:.2}", line.mean_days));
            table.push([line.touchpoints.into(), line.customers.into(), days]);
        }
        table.push([Cell::from("(no purchase)"), self.others.into(), Cell::Empty]);
        vec![table]
    }
}

impl fmt::Display for BeforePurchaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables().iter().try_for_each(|table| table.fmt(f))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("journeylog-custom-analysis-{}", std::process::id()));
    let store = Store::open(&folder)?;
    let stored = store.append_batch(events()?)?.stored();
    println!("{stored} events stored\n");

    // The own plan goes where a built-in one would, alone or beside others in a tuple.
    let plan = BeforePurchase { purchase: Condition::touchpoint("purchase")? };
    let report = store.query().run(&plan)?;
    println!("{report}");

    store.close()?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Twelve customers look at 1 to 4 products, one a day; every second of them buys some hours after the last.
fn events() -> Result<Vec<Event>, Box<dyn Error>> {
    let start = DateTime::<Utc>::UNIX_EPOCH;
    let mut events = Vec::new();
    for n in 0..12 {
        let customer = format!("c-{n}");
        let pages = n % 4 + 1;
        for page in 0..pages {
            events.push(Event::at(start + TimeDelta::days(page), &customer, "product_view").build()?);
        }
        if n % 2 == 1 {
            let bought = start + TimeDelta::days(pages - 1) + TimeDelta::hours(n);
            events.push(Event::at(bought, &customer, "purchase").build()?);
            events.push(Event::at(bought, &customer, "purchase").build()?); // not the first
        }
    }
    Ok(events)
}
