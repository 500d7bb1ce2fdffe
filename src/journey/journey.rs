//! One customer's events in order, borrowed: what an analysis visits.

use std::ops::Range;

use super::{Bitmaps, ChannelNo, Columns, CustomerNo, Needs, PropertyNo, TouchpointNo};
use crate::model::{Currency, Micros, PropertyValue, Scalar, Seq, Survey};

/// Events picked out of journeys, in order; `ends[i]` is where those of journey i end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picked<T> {
    pub(crate) ends: Vec<u32>,
    pub(crate) times: Vec<Micros>,
    /// Where each stands among the rows that were asked for; empty if none were.
    pub(crate) events: Vec<u32>,
    pub(crate) what: Vec<T>,
    /// For each a number of the value it carries, or [`NO_VALUE`]; empty if nobody asked.
    pub(crate) carried: Vec<u32>,
    /// What these numbers stand for, if they are not those of names: no value is there twice.
    pub(crate) values: Vec<Scalar>,
    /// What they stand for if they are those of money, in units of 10^-9.
    pub(crate) amounts: Vec<i128>,
}

/// In the place of the number of a value that an event carries: it carries none.
pub(crate) const NO_VALUE: u32 = u32::MAX;

impl<T> Picked<T> {
    /// Forgets all, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.times.clear();
        self.events.clear();
        self.what.clear();
        self.carried.clear();
        self.values.clear();
        self.amounts.clear();
    }

    /// Where the events of a journey are.
    #[inline]
    pub(crate) fn range(&self, journey: usize) -> Range<usize> {
        let end = |i: usize| self.ends.get(i).copied().unwrap_or_default() as usize;
        journey.checked_sub(1).map_or(0, end)..end(journey)
    }
}

/// What plans read from the events of a chunk, worked out once for all journeys of it.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    /// The columns that plans asked for. What they did not ask for they do not see, even if it was read.
    pub(crate) shown: Needs,
    pub(crate) columns: Columns,
    /// Per registered list of conditions the events for which any of them holds, with their words.
    pub(crate) matches: Vec<Picked<u64>>,
    /// The same as bits where a plan goes through many journeys at once, and can: nothing was picked then.
    pub(crate) bitmaps: Vec<Bitmaps>,
    /// Per registered journey model the events that begin a visit, with the stage's place counted from 0.
    pub(crate) visits: Vec<Picked<u8>>,
    /// What segments are read from.
    pub(crate) history: History,
    /// Per registered segment which journeys are in it.
    pub(crate) members: Vec<Vec<bool>>,
}

impl Readings {
    /// Whether a journey is in a segment, by its place.
    pub(crate) fn is_member(&self, segment: usize, journey: usize) -> bool {
        self.members.get(segment).and_then(|members| members.get(journey)).copied().unwrap_or_default()
    }
}

/// Events picked out of whole journeys, which no filter narrows.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) matches: Vec<Picked<u64>>,
    pub(crate) visits: Picked<u8>,
}

/// Events of a journey for which any of some conditions holds, in order.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// When they happened, in microseconds; not decreasing.
    pub times: &'a [Micros],
    /// Bit i of an event's word is set if condition i holds.
    pub words: &'a [u64],
    /// For each a number of the value it carries, if the plan asked for one.
    pub(crate) carried: &'a [u32],
    /// What these numbers stand for, if they are not those of names.
    pub(crate) values: &'a [Scalar],
    events: &'a [u32],
    start: u32,
}

/// Room for some of a journey's matching events.
#[derive(Debug, Default)]
pub(crate) struct MatchedRoom {
    times: Vec<Micros>,
    words: Vec<u64>,
    carried: Vec<u32>,
    events: Vec<u32>,
}

impl Matched<'_> {
    /// Those at these places, which ascend, with the conditions of their words of which a mask is set.
    pub(crate) fn at<'b>(
        &'b self,
        places: impl IntoIterator<Item = (usize, u64)>,
        room: &'b mut MatchedRoom,
    ) -> Matched<'b> {
        let MatchedRoom { times, words, carried, events } = room;
        times.clear();
        words.clear();
        carried.clear();
        events.clear();
        for (place, mask) in places {
            times.extend(self.times.get(place));
            words.extend(self.words.get(place).map(|word| word & mask));
            carried.extend(self.carried.get(place));
            events.extend(self.events.get(place));
        }
        Matched { times, words, carried, values: self.values, events, start: self.start }
    }

    /// Some events with their words, which carry nothing and are in no columns.
    pub(crate) fn of_events(events: impl Iterator<Item = (Micros, u64)>, room: &mut MatchedRoom) -> Matched<'_> {
        let MatchedRoom { times, words, carried, events: places } = room;
        times.clear();
        words.clear();
        carried.clear();
        places.clear();
        for (at, word) in events {
            times.push(at);
            words.push(word);
        }
        Matched { times, words, carried, values: &[], events: places, start: 0 }
    }

    /// Where a matching event stands in the journey, and so in each column that the plan asked for; `None` if it asked
    /// for none.
    pub fn event(&self, place: usize) -> Option<usize> {
        self.events.get(place).map(|event| event.saturating_sub(self.start) as usize)
    }

    /// The place of one of the journey's events, if it is there.
    pub(crate) fn place(&self, event: usize) -> Option<usize> {
        let event = u32::try_from(event).ok()?.checked_add(self.start)?;
        self.events.binary_search(&event).ok()
    }
}

/// The beginnings of a journey's visits to stages, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visited<'a> {
    pub(crate) times: &'a [Micros],
    pub(crate) stages: &'a [u8],
}

/// One customer's events in order of (time, sequence), as slices of equal length: position i of each is event i.
///
/// A column that the plan did not ask for when it was bound is empty.
#[derive(Debug, Clone, Copy)]
pub struct Journey<'a> {
    readings: &'a Readings,
    customer: CustomerNo,
    events: usize,
    /// Its place among those of the readings.
    place: usize,
    start: usize,
}

impl<'a> Journey<'a> {
    pub(crate) fn new(readings: &'a Readings, customer: CustomerNo, place: usize, events: usize) -> Self {
        let start = readings.columns.starts.get(place).copied().unwrap_or_default() as usize;
        Self { readings, customer, events, place, start }
    }

    fn part<T>(&self, column: &'a [T]) -> &'a [T] {
        column.get(self.start..self.start.saturating_add(self.events)).unwrap_or_default()
    }

    /// Whose journey it is.
    pub fn customer(&self) -> CustomerNo {
        self.customer
    }

    /// How many events it has; never 0.
    pub fn len(&self) -> usize {
        self.events
    }

    /// True if it has no events, which does not occur.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When each event happened, in microseconds, not decreasing; empty unless asked for.
    pub fn times(&self) -> &'a [Micros] {
        if self.readings.shown.times { self.part(self.readings.columns.times.plain()) } else { &[] }
    }

    /// Where each event happened; empty unless asked for.
    pub fn touchpoints(&self) -> &'a [TouchpointNo] {
        if self.readings.shown.touchpoints { self.part(self.readings.columns.touchpoints.plain()) } else { &[] }
    }

    /// Through what each event came; empty unless asked for.
    pub fn channels(&self) -> &'a [ChannelNo] {
        if self.readings.shown.channels { self.part(self.readings.columns.channels.plain()) } else { &[] }
    }

    /// An event's place in the log, if asked for.
    pub fn seq(&self, event: usize) -> Option<Seq> {
        let seqs = self.part(self.readings.columns.seqs.plain());
        seqs.get(event).filter(|_| self.readings.shown.seqs).copied().map(Seq)
    }

    /// An event's money in units of 10^-9 of its currency, if asked for.
    pub fn value(&self, event: usize) -> Option<(i128, Currency)> {
        let values = self.part(&self.readings.columns.values);
        values.get(event).filter(|_| self.readings.shown.values).copied().flatten()
    }

    /// An event's answer to a survey, if asked for.
    pub fn feedback(&self, event: usize) -> Option<(Survey, u8)> {
        let answers = self.part(&self.readings.columns.feedback);
        answers.get(event).filter(|_| self.readings.shown.feedback).copied().flatten()
    }

    /// An event's property, if asked for.
    pub fn property(&self, property: PropertyNo, event: usize) -> Option<&'a PropertyValue> {
        let asked = self.readings.shown.properties.contains(property.0) && event < self.events;
        self.readings.columns.properties.get(&property.0).filter(|_| asked)?.get(self.start.checked_add(event)?)
    }

    #[inline]
    pub(crate) fn matched(&self, list: usize) -> Matched<'a> {
        let Some(picked) = self.readings.matches.get(list) else {
            return Matched { times: &[], words: &[], carried: &[], values: &[], events: &[], start: 0 };
        };
        let range = picked.range(self.place);
        Matched {
            times: picked.times.get(range.clone()).unwrap_or_default(),
            words: picked.what.get(range.clone()).unwrap_or_default(),
            carried: picked.carried.get(range.clone()).unwrap_or_default(),
            values: &picked.values,
            events: picked.events.get(range).unwrap_or_default(),
            start: u32::try_from(self.start).unwrap_or(u32::MAX),
        }
    }

    /// The bits that stand for them, and the journey's place in these; `None` if they were picked.
    #[inline]
    pub(crate) fn bitmaps(&self, list: usize) -> Option<(&'a Bitmaps, usize)> {
        let bitmaps = self.readings.bitmaps.get(list).filter(|bitmaps| !bitmaps.is_empty())?;
        Some((bitmaps, self.place))
    }

    pub(crate) fn is_member(&self, segment: usize) -> bool {
        self.readings.is_member(segment, self.place)
    }

    #[inline]
    pub(crate) fn visited(&self, model: usize) -> Visited<'a> {
        let Some(picked) = self.readings.visits.get(model) else { return Visited { times: &[], stages: &[] } };
        let range = picked.range(self.place);
        Visited {
            times: picked.times.get(range.clone()).unwrap_or_default(),
            stages: picked.what.get(range).unwrap_or_default(),
        }
    }
}
