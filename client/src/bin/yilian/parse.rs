//! From text on the command line to values of the protocol.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::str::FromStr as _;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use serde::Deserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{self, DeserializeOwned, Visitor};
use yilian_local::moment;
use yilian_spec::base::id::{InstitutionId, SubjectTag};
use yilian_spec::base::money::{AmountMinor, Currency, parse_decimal_to_minor};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream_text::StreamTextError;

/// A length of time in milliseconds.
///
/// # Errors
/// What is expected.
pub fn length_ms(text: &str) -> Result<u64, String> {
    moment::parse_length_ms(text)
}

/// The name of a stream; says what to write for an identifier alone.
///
/// # Errors
/// What is expected.
pub fn stream(text: &str) -> Result<StreamId, String> {
    text.parse().map_err(|error: StreamTextError| {
        match (SubjectTag::from_str(text), InstitutionId::new(text)) {
            (Ok(_), _) => format!("say what it is: subject/{text}, grant/{text} or referral/{text}"),
            (_, Ok(_)) => format!("{error}; that of an institution is institution/{text}"),
            (Err(_), Err(_)) => error.to_string(),
        }
    })
}

/// A moment, relative ones from this machine's clock.
///
/// # Errors
/// What is expected.
pub fn moment(text: &str) -> Result<LedgerTime, String> {
    moment::parse(text, moment::now().map_err(|error| error.to_string())?)
}

/// One of the protocol's coded values by its name; `-` for `_`, and upper and lower case, do not matter.
///
/// # Errors
/// The names that are expected.
pub fn code<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let read = |text: &str| T::deserialize(StrDeserializer::<ValueError>::new(text));
    let lower = text.to_lowercase().replace('-', "_");
    read(&lower)
        .or_else(|_| read(&text.to_uppercase()))
        .map_err(|_| format!("{text:?} is none of {}", names::<T>().join(", ")))
}

/// The names of a coded value's variants, as people write them.
fn names<T: DeserializeOwned>() -> Vec<String> {
    let mut names: &[&str] = &[];
    // It refuses every value; all that is wanted is what it was asked for.
    let _ = T::deserialize(Asked(&mut names));
    names.iter().map(|name| name.replace('_', "-")).collect()
}

/// Notes the names of the variants that it is asked for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, ValueError> {
        Err(de::Error::custom("there is no value"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = variants;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Parses arguments with [`code`], and tells help and completions which values there are.
#[derive(Debug)]
pub struct Coded<T>(PhantomData<fn() -> T>);

/// The parser of a coded value.
pub fn coded<T>() -> Coded<T> {
    Coded(PhantomData)
}

impl<T> Clone for Coded<T> {
    fn clone(&self) -> Self {
        coded()
    }
}

impl<T: DeserializeOwned + Clone + Send + Sync + 'static> TypedValueParser for Coded<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let text = value.to_string_lossy();
        code(&text).map_err(|_| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            if let Some(arg) = arg {
                error.insert(ContextKind::InvalidArg, ContextValue::String(arg.to_string()));
            }
            error.insert(ContextKind::InvalidValue, ContextValue::String(text.into_owned()));
            error.insert(ContextKind::ValidValue, ContextValue::Strings(names::<T>()));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        // The parser wants names that live as long as the process, which ends after one command.
        let leaked = |name: String| PossibleValue::new(&*name.leak());
        Some(Box::new(names::<T>().into_iter().map(leaked)))
    }
}

/// An exact ratio: `12%`, `3/10`, `0.12` or `30`.
///
/// # Errors
/// What is expected.
pub fn ratio(text: &str) -> Result<Ratio, String> {
    let expected = || format!("{text:?} is no ratio: write 12%, 3/10, 0.12 or 30");
    if let Some((numerator, denominator)) = text.split_once('/') {
        let numerator = numerator.parse().map_err(|_| expected())?;
        let denominator = denominator.parse().ok().filter(|value| *value > 0).ok_or_else(expected)?;
        return Ok(Ratio::new(numerator, denominator));
    }
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number, 100),
        None => (text, 1),
    };
    decimal(number, scale).ok_or_else(expected)
}

/// A decimal text as an exact ratio, divided by `scale`.
fn decimal(text: &str, scale: u64) -> Option<Ratio> {
    let fraction_digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let fraction_digits = u8::try_from(fraction_digits).ok().filter(|digits| *digits <= 9)?;
    let parsed = parse_decimal_to_minor(text, fraction_digits).ok().filter(|parsed| !parsed.was_rounded)?;
    Some(Ratio::new(parsed.amount.0, scale * 10u64.pow(u32::from(fraction_digits))))
}

/// An amount in the currency's unit, such as `180.00`, as minor units. Nothing is rounded away.
///
/// # Errors
/// What is expected.
pub fn amount(text: &str, currency: Currency) -> Result<AmountMinor, String> {
    let decimals = currency.decimals();
    let parsed = parse_decimal_to_minor(text, decimals).map_err(|error| format!("{text:?}: {error}"))?;
    if parsed.was_rounded {
        return Err(format!("{text:?} has more than the {decimals} decimals of {currency}"));
    }
    Ok(parsed.amount)
}

/// A part of a service and who played it: `primary=county-hospital`.
///
/// # Errors
/// What is expected.
pub fn part(text: &str) -> Result<(PartRole, InstitutionId), String> {
    let (role, institution) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?}: write ROLE=INSTITUTION, such as expert=renhe-hospital"))?;
    Ok((code(role)?, institution.parse().map_err(|error| format!("{institution:?}: {error}"))?))
}

/// A share of a split: `expert=renhe-hospital:55`.
///
/// # Errors
/// What is expected.
pub fn share(text: &str) -> Result<(PartRole, InstitutionId, Ratio), String> {
    let expected = || format!("{text:?}: write ROLE=INSTITUTION:WEIGHT, such as expert=renhe-hospital:55");
    let (who, weight) = text.rsplit_once(':').ok_or_else(expected)?;
    let (role, institution) = part(who)?;
    Ok((role, institution, ratio(weight)?))
}

/// A marginal tier: `1000:25.00`, up to so many, at so much each.
///
/// # Errors
/// What is expected.
pub fn tier(text: &str) -> Result<(i64, String), String> {
    let expected = || format!("{text:?}: write UP_TO:FEE, such as 1000:25.00");
    let (up_to, fee) = text.split_once(':').ok_or_else(expected)?;
    Ok((up_to.parse().map_err(|_| expected())?, fee.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yilian_spec::domain::access::{Purpose, Sensitivity};
    use yilian_spec::domain::membership::Role;

    #[test]
    fn codes_are_read_by_their_names_in_any_case() {
        assert_eq!(code::<Role>("access-gateway"), Ok(Role::AccessGateway));
        assert_eq!(code::<Role>("ACCESS_GATEWAY"), Ok(Role::AccessGateway));
        assert_eq!(code::<Purpose>("treat"), Ok(Purpose::Treat));
        assert_eq!(code::<Sensitivity>("n"), Ok(Sensitivity::N));
        let message = code::<Role>("boss").unwrap_err();
        assert!(message.contains("access-gateway"), "{message}");
    }

    #[test]
    fn ratios_are_exact() {
        let cases = [
            ("12%", Ratio::new(12, 100)),
            ("12.5%", Ratio::new(125, 1_000)),
            ("3/10", Ratio::new(3, 10)),
            ("0.12", Ratio::new(12, 100)),
            ("30", Ratio::whole(30)),
            ("-1", Ratio::whole(-1)),
        ];
        for (text, expected) in cases {
            assert_eq!(ratio(text), Ok(expected), "{text}");
        }
        for text in ["", "%", "1/0", "1/-2", "a", "0.1234567891", "1/2%"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_become_minor_units_and_lose_nothing() {
        assert_eq!(amount("180", Currency::CNY), Ok(AmountMinor(18_000)));
        assert_eq!(amount("180.05", Currency::CNY), Ok(AmountMinor(18_005)));
        assert_eq!(amount("180", "JPY".parse().unwrap()), Ok(AmountMinor(180)));
        assert!(amount("180.005", Currency::CNY).unwrap_err().contains("more than the 2 decimals"));
        assert!(amount("1,80", Currency::CNY).is_err());
    }

    #[test]
    fn parts_shares_and_tiers() {
        let renhe: InstitutionId = "renhe-hospital".parse().unwrap();
        assert_eq!(part("expert=renhe-hospital"), Ok((PartRole::Expert, renhe.clone())));
        assert_eq!(share("expert=renhe-hospital:55"), Ok((PartRole::Expert, renhe, Ratio::whole(55))));
        assert_eq!(tier("1000:25.00"), Ok((1_000, "25.00".to_owned())));
        assert!(part("expert").is_err() && share("expert=renhe-hospital").is_err() && tier("x:1").is_err());
    }
}
