//! Money: an exact decimal amount in a currency. Nothing here passes through floating point.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::only_an_object;
use crate::error::InvalidValue;

/// Digits after the point that an amount may have; sums are kept in units of 10^-9.
const NANOS_SCALE: u32 = 9;
/// Amounts are smaller than 10^18 in size.
const LIMIT_WHOLE: i128 = 1_000_000_000_000_000_000;

/// A currency by its ISO 4217 code: three capital letters.
///
/// ```
/// use journeylog::Currency;
/// assert_eq!(Currency::new("EUR")?.as_str(), "EUR");
/// assert!(Currency::new("euro").is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of that code. Any three capital letters are taken, since ISO 4217 changes.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not three letters from A to Z.
    pub fn new(code: impl AsRef<str>) -> Result<Self, InvalidValue> {
        match *code.as_ref().as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(InvalidValue::new("currency", "is not an ISO 4217 code of three capital letters, such as EUR")),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidValue;
    fn try_from(code: String) -> Result<Self, InvalidValue> {
        Self::new(code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An exact amount of money: at most 18 digits before the point and 9 after it, and a currency.
///
/// In JSON the amount is a string, so that no reader turns it into a float: `{"amount":"19.90","currency":"EUR"}`.
///
/// ```
/// use journeylog::Money;
/// let price = Money::new("19.90", "EUR")?;
/// assert_eq!(price.to_string(), "19.90 EUR");
/// assert!(Money::new("1.0000000001", "EUR").is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "MoneyForm", into = "MoneyForm")]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct MoneyForm {
    amount: String,
    currency: Currency,
}

only_an_object!(MoneyForm);

impl Money {
    /// The amount written in decimal digits, such as `-3.50`, in the currency of that code.
    ///
    /// # Errors
    /// [`InvalidValue`] if the amount is no decimal number, has over 18 digits before or 9 after the point, or the
    /// currency is not three capital letters.
    pub fn new(amount: &str, currency: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let parsed = Decimal::from_str_exact(amount)
            .map_err(|_| InvalidValue::new("amount", "is not a decimal number of at most 28 digits, such as 19.90"))?;
        Self::from_decimal(parsed, Currency::new(currency)?)
    }

    /// A decimal amount in a currency.
    ///
    /// # Errors
    /// [`InvalidValue`] if the amount has over 18 digits before or 9 after the point.
    pub fn from_decimal(amount: Decimal, currency: Currency) -> Result<Self, InvalidValue> {
        let amount = if amount.scale() > NANOS_SCALE { amount.normalize() } else { amount };
        if amount.scale() > NANOS_SCALE {
            return Err(InvalidValue::new("amount", "has more than 9 digits after the point"));
        }
        if amount.trunc().mantissa().abs() >= LIMIT_WHOLE {
            return Err(InvalidValue::new("amount", "has more than 18 digits before the point"));
        }
        Ok(Self { amount, currency })
    }

    /// The amount.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// An amount in units of 10^-9, with as few digits after the point as it needs.
    pub(crate) fn from_nanos(nanos: i128, currency: Currency) -> Result<Self, InvalidValue> {
        let amount = Decimal::try_from_i128_with_scale(nanos, NANOS_SCALE)
            .map_err(|_| InvalidValue::new("amount", "has more than 18 digits before the point"))?;
        Self::from_decimal(amount.normalize(), currency)
    }

    /// The amount in units of 10^-9.
    pub(crate) fn nanos(&self) -> i128 {
        nanos(self.amount)
    }
}

/// A checked amount in units of 10^-9. It cannot overflow: 18 + 9 digits are far below those of an `i128`.
pub(crate) fn nanos(amount: Decimal) -> i128 {
    let amount = if amount.scale() > NANOS_SCALE { amount.normalize() } else { amount };
    amount.mantissa().saturating_mul(10_i128.pow(NANOS_SCALE.saturating_sub(amount.scale())))
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

impl FromStr for Money {
    type Err = InvalidValue;
    /// Reads `19.90 EUR`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (amount, currency) = text
            .split_once(' ')
            .ok_or_else(|| InvalidValue::new("value", "is not an amount and a currency, such as 19.90 EUR"))?;
        Self::new(amount, currency)
    }
}

impl TryFrom<MoneyForm> for Money {
    type Error = InvalidValue;
    fn try_from(form: MoneyForm) -> Result<Self, InvalidValue> {
        Self::new(&form.amount, form.currency.as_str())
    }
}

impl From<Money> for MoneyForm {
    fn from(money: Money) -> Self {
        Self { amount: money.amount.to_string(), currency: money.currency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_at_the_edges() {
        assert!(Money::new("999999999999999999.999999999", "EUR").is_ok());
        assert!(Money::new("1000000000000000000", "EUR").is_err());
        assert!(Money::new("0.0000000001", "EUR").is_err());
        assert!(Money::new("1.50000000000000", "EUR").is_ok());
        for bad in ["", "1e5", "NaN", "inf", "1,5", "79228162514264337593543950336"] {
            assert!(Money::new(bad, "EUR").is_err(), "{bad}");
        }
    }

    #[test]
    fn json_keeps_the_digits() {
        let text = r#"{"amount":"19.90","currency":"EUR"}"#;
        let money: Money = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&money).unwrap(), text);
        assert!(serde_json::from_str::<Money>(r#"{"amount":19.9,"currency":"EUR"}"#).is_err());
    }
}
