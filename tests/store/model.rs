//! Random operations, with reopening among them, against a list of events.

use std::collections::{BTreeMap, BTreeSet};

use journeylog::{
    Durability, Event, Funnel, JourneyModel, Journeys, StageCounts, StoreOptions, Transitions, testing::World,
};

/// What the store should hold: the events that were not duplicates, in order.
#[derive(Default)]
struct Model {
    events: Vec<Event>,
    ids: BTreeSet<String>,
}

impl Model {
    fn append(&mut self, event: &Event) -> bool {
        let is_new = event.id().is_none_or(|id| self.ids.insert(id.as_str().to_owned()));
        if is_new {
            self.events.push(event.clone());
        }
        is_new
    }
}

#[test]
fn a_store_does_what_a_list_does() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new().fresh_events(random.usize(1..60)).durability(Durability::Flushed);
        let mut store = options.open(dir.path()).unwrap();
        let mut model = Model::default();
        let world = World::new(seed).customers(12).events(600).make();
        let mut left = world.as_slice();
        while !left.is_empty() {
            let batch;
            (batch, left) = left.split_at(random.usize(1..=left.len().min(30)));
            let receipt = store.append_batch(batch.to_vec()).unwrap();
            let duplicates: Vec<usize> = (0..batch.len()).filter(|i| !model.append(&batch[*i])).collect();
            assert_eq!(receipt.duplicates(), duplicates, "seed {seed}");
            assert_eq!(store.len(), model.events.len() as u64);
            if random.u8(0..8) == 0 {
                store.close().unwrap();
                let options = if random.bool() { options.clone().rebuild_index() } else { options.clone() };
                store = options.open(dir.path()).unwrap();
            }
            if random.u8(0..8) == 0 {
                let funnel = Funnel::ordered(["product_view", "purchase"]).list_customers().build().unwrap();
                let plans = (&funnel, &Transitions::of(JourneyModel::standard()), &StageCounts::default());
                let expected = Journeys::of(model.events.clone()).unwrap().query().run(plans).unwrap();
                assert_eq!(store.query().run(plans).unwrap(), expected, "seed {seed}");
            }
        }
        let mut journeys: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &model.events {
            journeys.entry(event.customer().as_str()).or_default().push(event);
        }
        for (customer, mut events) in journeys {
            events.sort_by_key(|event| event.occurred_at());
            let found = store.customer(customer).unwrap().unwrap();
            let whole = found.events().unwrap();
            assert_eq!(whole.iter().map(|logged| &logged.event).collect::<Vec<_>>(), events, "seed {seed}");
            for (indexed, logged) in found.journey().iter().zip(&whole) {
                let event = &logged.event;
                assert_eq!((indexed.seq, indexed.occurred_at), (logged.seq, event.occurred_at()), "seed {seed}");
                assert_eq!((&indexed.touchpoint, &indexed.channel), (event.touchpoint(), event.channel()));
                assert_eq!((&indexed.stage.as_ref(), indexed.value), (&event.stage(), event.value()));
            }
        }
    }
}
