//! The tour: a small simulated shop, and the first questions about it.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::{error::Error, fs};

use chrono::{DateTime, TimeDelta, Utc};
use journeylog::{Channel, Event, Funnel, JourneyModel, Money, StageCounts, StageName, Store, Transitions};

fn main() -> Result<(), Box<dyn Error>> {
    // A store is a folder.
    let folder = std::env::temp_dir().join(format!("journeylog-quickstart-{}", std::process::id()));
    let store = Store::open(&folder)?;

    // Events come in one by one, or in batches: a batch is stored whole or not at all.
    let events = Shop::new().events()?;
    let mut stored = 0;
    for batch in events.chunks(2_000) {
        stored += store.append_batch(batch.to_vec())?.stored();
    }
    println!("{stored} events stored\n");

    // A snapshot is what the store holds now. Whatever is appended later does not change its answers.
    let snapshot = store.snapshot();

    // Three questions, one scan. The standard model has five stages, and rules that map touchpoints to them.
    let stages = StageCounts::of(JourneyModel::standard());
    let moves = Transitions::of(JourneyModel::standard());
    let funnel =
        Funnel::ordered(["ad_click", "product_view", "add_to_cart", "purchase"]).within(TimeDelta::days(7)).build()?;
    let (stages_now, moves, funnel) = snapshot.query().run((&stages, &moves, &funnel))?;
    println!("{stages_now}\n{moves}\n{funnel}");

    // One customer's story, and the stage they were in before they bought.
    let model = JourneyModel::standard();
    if let Some(customer) = snapshot.customer("c-78")? {
        println!("The journey of {}", customer.id().as_str());
        for event in customer.journey() {
            println!("  {}  {}", event.occurred_at.format("%Y-%m-%d %H:%M"), event.touchpoint);
        }
        let stage = |stage: Option<StageName>| stage.map_or("no stage".to_owned(), |stage| stage.to_string());
        let then = start() + TimeDelta::days(14);
        println!(
            "  now in {}, on {} in {}",
            stage(customer.stage(&model)?),
            then.date_naive(),
            stage(customer.stage_as_of(&model, then)?)
        );
    }

    store.close()?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn start() -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_513) // 2026-03-01
}

/// A shop whose customers come through the stages with some luck, the same in every run.
struct Shop {
    random: u64,
}

impl Shop {
    const CUSTOMERS: u32 = 2_000;

    fn new() -> Self {
        Self { random: 42 }
    }

    /// A number below the limit.
    fn below(&mut self, limit: u32) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.random >> 33).unwrap_or_default() % limit
    }

    fn events(&mut self) -> Result<Vec<Event>, Box<dyn Error>> {
        // Each step, and how many of a hundred customers go on to it.
        let steps = [
            ("product_view", 70),
            ("add_to_cart", 55),
            ("checkout", 65),
            ("purchase", 75),
            ("purchase", 35),
            ("review", 30),
        ];
        let channels = [Channel::Web, Channel::MobileApp, Channel::Email];
        let mut events = Vec::new();
        for customer in 0..Self::CUSTOMERS {
            let customer = format!("c-{customer}");
            let mut when = start() + TimeDelta::minutes(self.below(30 * 24 * 60).into());
            events.push(Event::at(when, &customer, "ad_click").channel(Channel::Social).build()?);
            for (touchpoint, percent) in steps {
                if self.below(100) >= percent {
                    break;
                }
                when += TimeDelta::minutes(self.below(4 * 24 * 60).into());
                let channel = channels.get(self.below(3) as usize).cloned().unwrap_or_default();
                let mut event = Event::at(when, &customer, touchpoint).channel(channel);
                if touchpoint == "purchase" {
                    event = event.value(Money::new(&format!("{}.90", 10 + self.below(90)), "EUR")?);
                }
                events.push(event.build()?);
            }
        }
        Ok(events)
    }
}
