//! Where customer and business meet.

use super::name::name_type;

name_type!(
    /// The name of a place where customer and business meet, such as `product_view` or `store_visit`.
    ///
    /// It is reached through a [`Channel`](crate::Channel). 1 to 255 bytes of UTF-8 without control characters.
    ///
    /// ```
    /// use journeylog::Touchpoint;
    /// assert_eq!(Touchpoint::new("product_view")?.as_str(), "product_view");
    /// # Ok::<(), journeylog::InvalidValue>(())
    /// ```
    Touchpoint,
    "touchpoint"
);

impl std::fmt::Debug for Touchpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Touchpoint").field(&self.as_str()).finish()
    }
}

impl std::fmt::Display for Touchpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands in the place of a touchpoint where the log keeps something that is no event. No name that is given has a
/// control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    Link,
    Unlink,
    Profile,
}

impl Reserved {
    pub(crate) const ALL: [Self; 3] = [Self::Link, Self::Unlink, Self::Profile];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Link => "\u{1}link",
            Self::Unlink => "\u{1}unlink",
            Self::Profile => "\u{1}profile",
        }
    }
}

impl Touchpoint {
    pub(crate) fn reserved(kind: Reserved) -> Self {
        Self(kind.as_str().into())
    }

    pub(crate) fn as_reserved(&self) -> Option<Reserved> {
        // Of all that can be here, only these begin so.
        let kind = |kind: &Reserved| kind.as_str() == self.as_str();
        self.0.starts_with('\u{1}').then(|| Reserved::ALL.into_iter().find(kind)).flatten()
    }

    /// A name from the log, or what stands in its place.
    pub(crate) fn of_log(text: &str) -> Result<Self, crate::error::InvalidValue> {
        let reserved = Reserved::ALL.into_iter().find(|kind| kind.as_str() == text).map(Self::reserved);
        reserved.map_or_else(|| Self::new(text), Ok)
    }
}
