//! Who makes the journey.

use super::name::name_type;

name_type!(
    /// The name of a customer, as its source gives it: a person, a household or a company.
    ///
    /// 1 to 255 bytes of UTF-8 without control characters. `Debug` does not show it, since it may name a person,
    /// and there is no `Display`: whoever wants to show it says so with [`as_str`](Self::as_str).
    ///
    /// ```
    /// use journeylog::CustomerId;
    /// let id = CustomerId::new("c-42")?;
    /// assert_eq!(id.as_str(), "c-42");
    /// assert_eq!(format!("{id:?}"), "CustomerId(4 bytes)");
    /// assert!(CustomerId::new("").is_err());
    /// # Ok::<(), journeylog::InvalidValue>(())
    /// ```
    CustomerId,
    "customer"
);

impl std::fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomerId({} bytes)", self.as_str().len())
    }
}
