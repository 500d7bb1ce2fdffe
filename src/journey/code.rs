//! From an event to numbers.

use super::{ChannelNo, CustomerNo, NO_STAGE, NameKind, Row, Tables, TouchpointNo};
use crate::model::{Event, LINKED_TO, PropertyValue};

/// The event in numbers, giving its new names numbers. Nested properties cannot be filtered on and stay out.
pub(crate) fn code(event: &Event, seq: u64, names: &mut Tables) -> Row {
    let mut properties = Vec::with_capacity(event.properties.len());
    for (name, value) in &event.properties {
        if let (LINKED_TO, PropertyValue::Text(other)) = (name.as_str(), value) {
            names.intern(NameKind::Customer, other);
        }
        if !matches!(value, PropertyValue::Nested(_)) {
            properties.push((names.intern(NameKind::Property, name), value.clone()));
        }
    }
    Row {
        customer: CustomerNo(names.intern(NameKind::Customer, event.customer.as_str())),
        time: event.occurred_at,
        seq,
        touchpoint: TouchpointNo(names.intern(NameKind::Touchpoint, event.touchpoint.as_str())),
        channel: ChannelNo(names.intern(NameKind::Channel, event.channel.as_str())),
        stage: event.stage.as_ref().map_or(NO_STAGE, |stage| names.intern(NameKind::Stage, stage.as_str())),
        value: event.value.map(|money| (money.nanos(), money.currency())),
        feedback: event.feedback.as_ref().map(|feedback| (feedback.survey(), feedback.score())),
        properties,
    }
}
