//! What journeys are made of. Every value is valid once made, also when it was read from JSON.

mod channel;
mod condition;
mod condition_json;
mod customer;
mod event;
mod feedback;
mod money;
mod name;
mod pattern;
mod period;
mod property;
mod scalar;
mod seq;
mod stage;
mod time;
mod touchpoint;
mod zone;

pub use channel::{Channel, CustomChannel};
pub use condition::{Comparison, Condition};
pub use customer::CustomerId;
pub use event::{Event, EventBuilder, EventId, LIMIT_EVENT_BYTES, LIMIT_PROPERTIES, RefusedName};
pub use feedback::{Feedback, Survey};
pub(crate) use money::nanos;
pub use money::{Currency, Money};
pub(crate) use name::check_name;
pub use pattern::{LIMIT_PATTERN_EVENTS, LIMIT_PATTERN_STEPS, Pattern, PatternBuilder, PatternFollows, PatternStep};
pub use period::{CalendarUnit, Period};
pub(crate) use period::{PeriodSpan, Periods};
pub use property::PropertyValue;
pub(crate) use scalar::Scalar;
pub use seq::Seq;
pub use stage::{JourneyModel, JourneyModelBuilder, MoveKind, Nth, Rule, Stage, StageName};
pub(crate) use time::read_maybe_time;
pub use time::{Micros, Window};
pub use touchpoint::Touchpoint;
pub use zone::Zone;
