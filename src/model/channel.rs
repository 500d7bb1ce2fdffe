//! Through what a touchpoint is reached.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::check_name;
use crate::error::InvalidValue;

/// Through what a touchpoint was reached: one of the usual channels, or a name of your own.
///
/// ```
/// use journeylog::Channel;
/// assert_eq!(Channel::new("in_store")?, Channel::InStore);
/// assert_eq!(Channel::new("kiosk")?.as_str(), "kiosk");
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
#[non_exhaustive]
pub enum Channel {
    /// A web site: `web`. The default.
    #[default]
    Web,
    /// An app on a phone or tablet: `mobile_app`.
    MobileApp,
    /// E-mail: `email`.
    Email,
    /// A social network: `social`.
    Social,
    /// A search engine: `search`.
    Search,
    /// Display advertising: `display`.
    Display,
    /// An affiliate's site: `affiliate`.
    Affiliate,
    /// A shop one walks into: `in_store`.
    InStore,
    /// A till: `point_of_sale`.
    PointOfSale,
    /// A telephone call: `phone`.
    Phone,
    /// A chat: `chat`.
    Chat,
    /// A text message: `sms`.
    Sms,
    /// A letter: `mail`.
    Mail,
    /// A partner or reseller: `partner`.
    Partner,
    /// A channel of one's own. Made by [`Channel::new`], which checks the name.
    Custom(CustomChannel),
}

/// The checked name of a channel that is not one of the usual ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomChannel(Arc<str>);

const USUAL: [(&str, Channel); 14] = [
    ("web", Channel::Web),
    ("mobile_app", Channel::MobileApp),
    ("email", Channel::Email),
    ("social", Channel::Social),
    ("search", Channel::Search),
    ("display", Channel::Display),
    ("affiliate", Channel::Affiliate),
    ("in_store", Channel::InStore),
    ("point_of_sale", Channel::PointOfSale),
    ("phone", Channel::Phone),
    ("chat", Channel::Chat),
    ("sms", Channel::Sms),
    ("mail", Channel::Mail),
    ("partner", Channel::Partner),
];

impl Channel {
    /// The channel of that name: a usual one if the name is known, else one of your own.
    ///
    /// # Errors
    /// [`InvalidValue`] if the name is empty, over 255 bytes, or has a control character.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let name = name.as_ref();
        check_name("channel", name)?;
        let usual = USUAL.iter().find(|(known, _)| *known == name).map(|(_, channel)| channel.clone());
        Ok(usual.unwrap_or_else(|| Self::Custom(CustomChannel(name.into()))))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        if let Self::Custom(name) = self {
            return &name.0;
        }
        USUAL.iter().find(|(_, channel)| channel == self).map_or("web", |(name, _)| name)
    }
}

impl TryFrom<Cow<'_, str>> for Channel {
    type Error = InvalidValue;
    fn try_from(name: Cow<'_, str>) -> Result<Self, InvalidValue> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Channel {
    type Error = InvalidValue;
    fn try_from(name: &str) -> Result<Self, InvalidValue> {
        Self::new(name)
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> Self {
        channel.as_str().to_owned()
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_channel_is_itself_again() {
        for (name, channel) in &USUAL {
            assert_eq!(&Channel::new(name).unwrap(), channel);
            assert_eq!(channel.as_str(), *name);
        }
    }
}
