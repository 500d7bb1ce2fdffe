//! The one rule all names follow, and the newtype that all of them are.

use crate::error::InvalidValue;

/// Names are 1 to 255 bytes of UTF-8 without control characters.
pub(crate) const LIMIT_NAME_BYTES: usize = 255;

/// Refuses a text that is no name.
pub(crate) fn check_name(field: &str, text: &str) -> Result<(), InvalidValue> {
    if text.is_empty() {
        return Err(InvalidValue::new(field, "is empty"));
    }
    if text.len() > LIMIT_NAME_BYTES {
        let reason = format!("has {} bytes, the limit is {LIMIT_NAME_BYTES}", text.len());
        return Err(InvalidValue::new(field, reason));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidValue::new(field, "contains a control character"));
    }
    Ok(())
}

/// Makes a newtype over a checked name. `$field` is what errors call it.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks a text and makes it a name: 1 to 255 bytes of UTF-8, no control characters.
            ///
            /// # Errors
            /// [`InvalidValue`](crate::InvalidValue) if it is empty, too long, or has a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, crate::error::InvalidValue> {
                let text = text.as_ref();
                crate::model::check_name($field, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::error::InvalidValue;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = crate::error::InvalidValue;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = crate::error::InvalidValue;
            fn try_from(text: &String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}
pub(crate) use name_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_edges() {
        assert!(check_name("x", "a").is_ok());
        assert!(check_name("x", &"a".repeat(255)).is_ok());
        assert_eq!(check_name("x", "").unwrap_err().to_string(), "x: is empty");
        assert!(check_name("x", &"a".repeat(256)).unwrap_err().reason().contains("limit is 255"));
        assert!(check_name("x", "a\nb").is_err());
        assert!(check_name("x", "zażółć gęślą jaźń").is_ok());
    }
}
