//! Entries seen column by column, each text and value once: from here they go into a block's bytes and into rows.

use super::{
    Chain, LogEntry,
    cells::{PropertyCells, Sparse, Texts, number},
};
use crate::{
    journey::{ChannelNo, CustomerNo, NO_STAGE, NameKind, PlainRow, Rows, Tables, TouchpointNo},
    model::{Event, EventId, Feedback, LINKED_TO, Micros, Money, PropertyValue, Survey},
};

/// Entries that will be one block, in columns.
#[derive(Debug, Default)]
pub(crate) struct Entries<'a> {
    pub(super) recorded: Vec<Micros>,
    pub(super) ids: Sparse<&'a EventId>,
    pub(super) feedback: Sparse<&'a Feedback>,
    pub(super) coded: Coded,
}

/// What questions see of entries. It stands alone, so that it can be numbered when the entries are gone.
#[derive(Debug, Default)]
pub(crate) struct Coded {
    /// Which of the entries are erased, by their places among all. What follows is of the others only.
    pub(super) erased: Vec<u32>,
    pub(super) occurred: Vec<Micros>,
    pub(super) customers: Vec<u32>,
    pub(super) touchpoints: Vec<u32>,
    pub(super) channels: Vec<u32>,
    pub(super) customer_texts: Texts,
    pub(super) touchpoint_texts: Texts,
    pub(super) channel_texts: Texts,
    pub(super) stage_texts: Texts,
    pub(super) property_texts: Texts,
    pub(super) stages: Sparse<u32>,
    pub(super) values: Sparse<Money>,
    answers: Sparse<(Survey, u8)>,
    /// In the order of `property_texts`.
    pub(super) properties: Vec<PropertyCells>,
}

impl<'a> Entries<'a> {
    pub(crate) fn len(&self) -> usize {
        self.coded.len()
    }

    /// The columns of these entries.
    pub(crate) fn of(entries: &'a [LogEntry]) -> Self {
        Self::visiting(entries, |_| ())
    }

    /// The same, and the chain after them: each entry is looked at once.
    pub(super) fn chained(entries: &'a [LogEntry], before: Chain) -> (Self, Chain) {
        let (mut chain, mut bytes) = (before, Vec::with_capacity(512));
        let columns = Self::visiting(entries, |entry| chain = chain.after_one(entry, &mut bytes));
        (columns, chain)
    }

    fn visiting(entries: &'a [LogEntry], mut visit: impl FnMut(&LogEntry)) -> Self {
        let rows = entries.len();
        let mut all = Self { recorded: Vec::with_capacity(rows), coded: Coded::with_room_for(rows), ..Self::default() };
        for (place, entry) in (0_u32..).zip(entries) {
            visit(entry);
            let Some(event) = entry.as_event() else {
                all.coded.erased.push(place);
                continue;
            };
            let row = place - number(all.coded.erased.len());
            all.recorded.push(entry.recorded_at);
            if let Some(id) = &event.id {
                all.ids.push(row, id);
            }
            if let Some(answer) = &event.feedback {
                all.feedback.push(row, answer);
            }
            all.coded.push(row, event);
        }
        all
    }

    /// What questions see of them.
    pub(crate) fn into_coded(self) -> Coded {
        self.coded
    }
}

impl Coded {
    fn with_room_for(rows: usize) -> Self {
        let column = || Vec::with_capacity(rows);
        Self {
            occurred: Vec::with_capacity(rows),
            customers: column(),
            touchpoints: column(),
            channels: column(),
            customer_texts: Texts::with_room_for(rows),
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.occurred.len() + self.erased.len()
    }

    fn push(&mut self, row: u32, event: &Event) {
        let Event { id: _, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = event;
        self.occurred.push(*occurred_at);
        self.customers.push(self.customer_texts.place(customer.as_str()));
        self.touchpoints.push(self.touchpoint_texts.place(touchpoint.as_str()));
        self.channels.push(self.channel_texts.place(channel.as_str()));
        if let Some(stage) = stage {
            self.stages.push(row, self.stage_texts.place(stage.as_str()));
        }
        for (name, value) in properties {
            let property = self.property_texts.place(name) as usize;
            if property >= self.properties.len() {
                self.properties.push(PropertyCells::default());
            }
            if let Some(cells) = self.properties.get_mut(property) {
                cells.push(row, value);
            }
        }
        if let Some(money) = value {
            self.values.push(row, *money);
        }
        if let Some(answer) = feedback {
            self.answers.push(row, (answer.survey(), answer.score()));
        }
    }

    /// Adds the entries to rows, giving their new names numbers. Nested properties cannot be filtered on and stay out.
    pub(crate) fn number(self, first: u64, names: &mut Tables, rows: &mut Rows) {
        let customers = self.customer_texts.numbers(NameKind::Customer, names);
        let touchpoints = self.touchpoint_texts.numbers(NameKind::Touchpoint, names);
        let channels = self.channel_texts.numbers(NameKind::Channel, names);
        let stages = self.stage_texts.numbers(NameKind::Stage, names);
        let at = |numbers: &[u32], place: u32| numbers.get(place as usize).copied().unwrap_or_default();
        let before = rows.len();
        let columns = self.occurred.iter().zip(&self.customers).zip(self.touchpoints.iter().zip(&self.channels));
        let mut erased = self.erased.iter().map(|place| first + u64::from(*place)).peekable();
        let mut next = first;
        rows.extend(columns.map(|((&time, &customer), (&touchpoint, &channel))| {
            while erased.next_if_eq(&next).is_some() {
                next += 1;
            }
            let seq = next;
            next += 1;
            PlainRow {
                customer: CustomerNo(at(&customers, customer)),
                time,
                seq,
                touchpoint: TouchpointNo(at(&touchpoints, touchpoint)),
                channel: ChannelNo(at(&channels, channel)),
                stage: NO_STAGE,
            }
        }));
        for (&row, &stage) in self.stages.rows.iter().zip(&self.stages.cells) {
            rows.set_stage(before + row as usize, at(&stages, stage));
        }
        for (&row, money) in self.values.rows.iter().zip(&self.values.cells) {
            rows.set_value(before + row as usize, (money.nanos(), money.currency()));
        }
        for (&row, answer) in self.answers.rows.iter().zip(&self.answers.cells) {
            rows.set_feedback(before + row as usize, *answer);
        }
        for (text, cells) in self.property_texts.iter().zip(self.properties) {
            let is_nested = |value: &PropertyValue| matches!(value, PropertyValue::Nested(_));
            if cells.values.iter().all(is_nested) {
                continue;
            }
            if text == LINKED_TO {
                intern_others(&cells.values, names);
            }
            let property = names.intern(NameKind::Property, text);
            let keep = |value: PropertyValue| (!is_nested(&value)).then(|| rows.keep_value(value));
            let places: Vec<Option<u32>> = cells.values.into_iter().map(keep).collect();
            for (&row, &place) in cells.places.rows.iter().zip(&cells.places.cells) {
                if let Some(value) = places.get(place as usize).copied().flatten() {
                    rows.set_property(before + row as usize, property, value);
                }
            }
        }
    }
}

/// Ids that others are linked to have numbers, also before there is an event of theirs.
fn intern_others(values: &[PropertyValue], names: &mut Tables) {
    for value in values {
        if let PropertyValue::Text(other) = value {
            names.intern(NameKind::Customer, other);
        }
    }
}
