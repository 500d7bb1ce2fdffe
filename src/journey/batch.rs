//! Journeys that were read together.

use std::{cell::LazyCell, fmt};

use super::{Bitmaps, CustomerNo, Journey, Picked, Readings};

/// Some journeys that were read together, in the order of their customers' numbers. They stay on the thread that read them.
pub struct JourneyBatch<'a> {
    readings: &'a Readings,
    /// Whether it is all journeys of the readings that have events.
    is_all: bool,
    journeys: LazyCell<Vec<JourneyPlace>, Find<'a>>,
}

/// Says which they are, for whoever wants to go through them one by one.
type Find<'a> = Box<dyn FnOnce() -> Vec<JourneyPlace> + 'a>;

/// Where a journey is among those of the readings, and how many events it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JourneyPlace {
    pub(crate) customer: CustomerNo,
    pub(crate) place: usize,
    pub(crate) events: usize,
}

impl<'a> JourneyBatch<'a> {
    /// All journeys of the readings that have events.
    pub(crate) fn all(readings: &'a Readings, find: impl FnOnce() -> Vec<JourneyPlace> + 'a) -> Self {
        Self { readings, is_all: true, journeys: LazyCell::new(Box::new(find)) }
    }

    /// Some of them.
    pub(crate) fn some(readings: &'a Readings, journeys: Vec<JourneyPlace>) -> Self {
        Self { readings, is_all: false, journeys: LazyCell::new(Box::new(|| journeys)) }
    }

    /// Each journey once.
    pub fn iter(&self) -> impl Iterator<Item = Journey<'a>> {
        let readings = self.readings;
        self.journeys.iter().map(|journey| Journey::new(readings, journey.customer, journey.place, journey.events))
    }

    /// The bits that stand for the events of all these journeys, and of no others; `None` if events were picked.
    pub(crate) fn bitmaps(&self, list: usize) -> Option<&'a Bitmaps> {
        self.readings.bitmaps.get(list).filter(|bitmaps| !bitmaps.is_empty())
    }

    /// The beginnings of all visits to stages of all these journeys; `None` if there are those of others among them.
    pub(crate) fn visits(&self, model: usize) -> Option<&'a Picked<u8>> {
        self.readings.visits.get(model).filter(|_| self.is_all)
    }
}

impl fmt::Debug for JourneyBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JourneyBatch").field("journeys", &self.journeys.len()).finish()
    }
}
