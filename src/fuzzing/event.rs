//! An event as JSON.

use crate::{Event, Funnel, JourneyModel, Journeys, StageCounts, Transitions};

/// A text that may be an event: what is read is written, stored and read again to the same.
pub fn event_json(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(event) = serde_json::from_str::<Event>(text) else { return };
    check(&event);
}

/// An event survives JSON and the log, and can be asked about.
pub(super) fn check(event: &Event) {
    let written = serde_json::to_string(event).unwrap();
    let again: Event = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert!(again == *event, "{written}");
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    crate::codec::fuzzing::survives(event);
    let funnel = Funnel::ordered([event.touchpoint().clone()]).build().unwrap();
    let plans = (&funnel, &Transitions::of(JourneyModel::standard()), &StageCounts::default());
    let (funnel, ..) = Journeys::of([event.clone()]).unwrap().query().run(plans).unwrap();
    assert_eq!((funnel.entered, funnel.converted), (1, 1));
}
