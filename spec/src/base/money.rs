//! Money: a currency, an amount in its minor units, and decimal text read into minor units without a float.
//!
//! Rules T-1 to T-3 of `spec/protocol/06-settlement.md`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::adapter::FromInto;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::integer::{Signed, is_exact};
use crate::base::limits;
use crate::base::schema::text_schema;

/// Why a text or a number is not money.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum MoneyError {
    /// Rule T-1: not the code of a currency.
    #[error(
        "expected a currency in use by its code in ISO 4217, for example CNY; metals and test codes are none"
    )]
    NotCurrency,
    /// Rule T-2: larger than an amount may be.
    #[error("the amount is beyond 2^53 - 1 minor units; split it into smaller ones")]
    AmountOutOfRange,
    /// Rule T-3: the text is longer than any sensible amount.
    #[error("a decimal has at most {} characters, this one {length}", limits::DECIMAL_LENGTH_MAX)]
    DecimalTooLong {
        /// Length of the text in bytes.
        length: usize,
    },
    /// Rule T-3: not sign, digits, fraction, exponent.
    #[error("expected a decimal such as 129.16 or -1.5e2")]
    NotDecimal,
}

/// The currencies in use (ISO 4217, list one, as of 2025-12): what people pay with. Left out are funds, metals, units of
/// account and the codes for tests and for no currency. A list that grows is a new version of the protocol.
const IN_USE: [&[u8; 3]; 156] = [
    b"AED", b"AFN", b"ALL", b"AMD", b"AOA", b"ARS", b"AUD", b"AWG", b"AZN", b"BAM", b"BBD", b"BDT", b"BGN",
    b"BHD", b"BIF", b"BMD", b"BND", b"BOB", b"BRL", b"BSD", b"BTN", b"BWP", b"BYN", b"BZD", b"CAD", b"CDF",
    b"CHF", b"CLP", b"CNY", b"COP", b"CRC", b"CUP", b"CVE", b"CZK", b"DJF", b"DKK", b"DOP", b"DZD", b"EGP",
    b"ERN", b"ETB", b"EUR", b"FJD", b"FKP", b"GBP", b"GEL", b"GHS", b"GIP", b"GMD", b"GNF", b"GTQ", b"GYD",
    b"HKD", b"HNL", b"HTG", b"HUF", b"IDR", b"ILS", b"INR", b"IQD", b"IRR", b"ISK", b"JMD", b"JOD", b"JPY",
    b"KES", b"KGS", b"KHR", b"KMF", b"KPW", b"KRW", b"KWD", b"KYD", b"KZT", b"LAK", b"LBP", b"LKR", b"LRD",
    b"LSL", b"LYD", b"MAD", b"MDL", b"MGA", b"MKD", b"MMK", b"MNT", b"MOP", b"MRU", b"MUR", b"MVR", b"MWK",
    b"MXN", b"MYR", b"MZN", b"NAD", b"NGN", b"NIO", b"NOK", b"NPR", b"NZD", b"OMR", b"PAB", b"PEN", b"PGK",
    b"PHP", b"PKR", b"PLN", b"PYG", b"QAR", b"RON", b"RSD", b"RUB", b"RWF", b"SAR", b"SBD", b"SCR", b"SDG",
    b"SEK", b"SGD", b"SHP", b"SLE", b"SOS", b"SRD", b"SSP", b"STN", b"SVC", b"SYP", b"SZL", b"THB", b"TJS",
    b"TMT", b"TND", b"TOP", b"TRY", b"TTD", b"TWD", b"TZS", b"UAH", b"UGX", b"USD", b"UYU", b"UZS", b"VED",
    b"VES", b"VND", b"VUV", b"WST", b"XAF", b"XCD", b"XCG", b"XOF", b"XPF", b"YER", b"ZAR", b"ZMW", b"ZWG",
];

/// A currency by its code of three upper-case letters (ISO 4217, rule T-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The yuan, in fen.
    pub const CNY: Self = Self(*b"CNY");
    /// The dollar of the United States, in cents.
    pub const USD: Self = Self(*b"USD");

    /// Checks rule T-1 on a value that came from bytes.
    ///
    /// # Errors
    /// [`MoneyError::NotCurrency`] when nobody pays with it.
    pub fn check(self) -> Result<(), MoneyError> {
        match IN_USE.binary_search(&&self.0) {
            Ok(_) => Ok(()),
            Err(_) => Err(MoneyError::NotCurrency),
        }
    }

    /// Decimals of the minor unit (ISO 4217, list one); 2 for codes that the list gives no other number.
    pub fn decimals(self) -> u8 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let currency = Self(text.as_bytes().try_into().map_err(|_| MoneyError::NotCurrency)?);
        currency.check().map(|()| currency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            let currency = Self(<[u8; 3]>::deserialize(deserializer)?);
            currency.check().map(|()| currency).map_err(serde::de::Error::custom)
        }
    }
}

text_schema!(Currency, "^[A-Z]{3}$", "A currency by its code in ISO 4217, for example CNY");

/// A signed amount in minor units (fen, cents) of one currency, of at most 2^53 - 1 (rule T-2).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    Default,
    ToSchema,
)]
#[serde(transparent)]
pub struct AmountMinor(#[wincode(with = "FromInto<Signed, _>")] pub i64);

impl AmountMinor {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of so many minor units.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when it does not fit.
    pub fn new(minor: i64) -> Result<Self, MoneyError> {
        if is_exact(minor) { Ok(Self(minor)) } else { Err(MoneyError::AmountOutOfRange) }
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when it does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map_or(Err(MoneyError::AmountOutOfRange), Self::new)
    }

    /// The difference of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when it does not fit.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map_or(Err(MoneyError::AmountOutOfRange), Self::new)
    }

    /// The amount with the other sign.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when this one is none that fits.
    pub fn negated(self) -> Result<Self, MoneyError> {
        self.0.checked_neg().map_or(Err(MoneyError::AmountOutOfRange), Self::new)
    }

    /// The sum of many amounts.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when a partial sum does not fit.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// The amount as decimal text with exactly `decimals` digits after the point, for example `-0.05`.
    pub fn to_decimal(self, decimals: u8) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let width = usize::from(decimals);
        let digits = format!("{:0>1$}", self.0.unsigned_abs(), width + 1);
        let (whole, fraction) = digits.split_at(digits.len() - width);
        let point = if width == 0 { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }
}

/// An amount read from text, and whether rounding changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedAmount {
    /// The amount in minor units.
    pub amount: AmountMinor,
    /// Whether the text had more decimals than the currency, other than zeros.
    pub was_rounded: bool,
}

/// Reads decimal text (sign, digits, fraction, exponent, as in JSON numbers) into minor units of a currency with
/// `decimals` digits, rounded half up on the magnitude (rule T-3). Works on the digits; no float is involved.
///
/// # Errors
/// [`MoneyError::DecimalTooLong`], [`MoneyError::NotDecimal`] or [`MoneyError::AmountOutOfRange`].
pub fn parse_decimal_to_minor(text: &str, decimals: u8) -> Result<ParsedAmount, MoneyError> {
    if text.len() > limits::DECIMAL_LENGTH_MAX {
        return Err(MoneyError::DecimalTooLong { length: text.len() });
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let (is_negative, unsigned) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((_, "")) => return Err(MoneyError::NotDecimal),
        Some(parts) => parts,
        None => (unsigned, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(MoneyError::NotDecimal);
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let whole_length = i64::try_from(whole.len()).map_err(|_| MoneyError::NotDecimal)?;
    let (magnitude, was_rounded) = round_digits(&digits, whole_length + exponent + i64::from(decimals))?;
    let amount = AmountMinor::new(if is_negative { -magnitude } else { magnitude })?;
    Ok(ParsedAmount { amount, was_rounded })
}

/// Reads an exponent of at most four digits; longer ones say nothing about money.
fn parse_exponent(text: &str) -> Result<i64, MoneyError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MoneyError::NotDecimal);
    }
    text.parse().map_err(|_| MoneyError::NotDecimal)
}

/// The first `point` digits as a number, zeros added where there are fewer, rounded half up by the digit after
/// them; and whether a digit other than zero was cut off.
fn round_digits(digits: &[u8], point: i64) -> Result<(i64, bool), MoneyError> {
    let kept = usize::try_from(point).unwrap_or(0);
    let mut magnitude: i64 = 0;
    for position in 0..kept {
        let digit = digits.get(position).copied().unwrap_or(0);
        magnitude = magnitude
            .checked_mul(10)
            .and_then(|shifted| shifted.checked_add(i64::from(digit)))
            .ok_or(MoneyError::AmountOutOfRange)?;
    }
    // A negative `point` means zeros between the decimal point and the digits: the digit that decides is a zero.
    let rounds_up = point >= 0 && digits.get(kept).is_some_and(|digit| *digit >= 5);
    let was_rounded = digits.iter().skip(kept).any(|digit| *digit != 0);
    let magnitude = magnitude.checked_add(i64::from(rounds_up)).ok_or(MoneyError::AmountOutOfRange)?;
    Ok((magnitude, was_rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_half_up_on_the_magnitude() {
        let cases = [
            ("129.16", 2, 12_916, false),
            ("1234.5678", 2, 123_457, true),
            ("0.005", 2, 1, true),
            ("-0.005", 2, -1, true),
            ("0.0049999", 2, 0, true),
            ("-0.004", 2, 0, true),
            ("1e2", 2, 10_000, false),
            ("1E+2", 2, 10_000, false),
            ("12345e-3", 2, 1_235, true),
            ("5e-3", 2, 1, true),
            ("9e-4", 2, 0, true),
            ("704.2", 2, 70_420, false),
            ("0", 2, 0, false),
            ("0e9999", 2, 0, false),
            ("1e-9999", 2, 0, true),
            ("77.49", 0, 77, true),
            ("1.2345", 3, 1_235, true),
            ("0.50", 1, 5, false),
            ("90071992547409.91", 2, 9_007_199_254_740_991, false),
            ("-90071992547409.91", 2, -9_007_199_254_740_991, false),
        ];
        for (text, decimals, minor, was_rounded) in cases {
            let expected = ParsedAmount { amount: AmountMinor(minor), was_rounded };
            assert_eq!(parse_decimal_to_minor(text, decimals), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for text in [
            "", "-", ".5", "5.", "1,5", "0x1", "1e", "1e+", "1e12345", "NaN", "1 ", "--1", "1.2.3", "１",
            "1e-+2",
        ] {
            assert_eq!(parse_decimal_to_minor(text, 2), Err(MoneyError::NotDecimal), "{text}");
        }
        assert_eq!(parse_decimal_to_minor("90071992547409.92", 2), Err(MoneyError::AmountOutOfRange));
        assert_eq!(parse_decimal_to_minor("-90071992547409.915", 2), Err(MoneyError::AmountOutOfRange));
        assert_eq!(parse_decimal_to_minor("1e9999", 2), Err(MoneyError::AmountOutOfRange));
        let long = "1".repeat(limits::DECIMAL_LENGTH_MAX + 1);
        assert_eq!(parse_decimal_to_minor(&long, 2), Err(MoneyError::DecimalTooLong { length: long.len() }));
    }

    #[test]
    fn amounts_never_wrap() {
        let largest = AmountMinor(9_007_199_254_740_991);
        let least = largest.negated().unwrap();
        assert_eq!(least.negated(), Ok(largest));
        assert_eq!(largest.plus(AmountMinor(1)), Err(MoneyError::AmountOutOfRange));
        assert_eq!(least.minus(AmountMinor(1)), Err(MoneyError::AmountOutOfRange));
        assert_eq!(AmountMinor(i64::MIN).negated(), Err(MoneyError::AmountOutOfRange));
        assert_eq!(AmountMinor::sum([largest, AmountMinor(-1), AmountMinor(1)]), Ok(largest));
    }

    #[test]
    fn amounts_show_exactly_the_decimals_of_the_currency() {
        let shown =
            [(5, 2, "0.05"), (-5, 2, "-0.05"), (123_456, 2, "1234.56"), (-7, 0, "-7"), (1_234, 3, "1.234")];
        for (minor, decimals, text) in shown {
            assert_eq!(AmountMinor(minor).to_decimal(decimals), text);
        }
        assert_eq!(AmountMinor(i64::MIN).to_decimal(2), "-92233720368547758.08");
    }

    #[test]
    fn a_currency_is_one_that_people_pay_with() {
        assert_eq!("CNY".parse(), Ok(Currency::CNY));
        assert_eq!((Currency::CNY.decimals(), "JPY".parse::<Currency>().map(Currency::decimals)), (2, Ok(0)));
        assert!(IN_USE.is_sorted(), "it is searched by halves");
        // Gold, special drawing rights, a test, no currency, and codes that are nobody's.
        for text in ["", "CN", "CNYX", "cny", "C1Y", "元", "XAU", "XDR", "XTS", "XXX", "ZZZ", "AAA", "DEM"] {
            assert_eq!(text.parse::<Currency>(), Err(MoneyError::NotCurrency), "{text}");
        }
        assert_eq!(serde_json::to_string(&Currency::USD).unwrap(), "\"USD\"");
        let unchecked: Currency = crate::base::codec::decode(b"cny", 3).unwrap();
        assert_eq!(unchecked.check(), Err(MoneyError::NotCurrency));
    }
}
