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
