//! JSON of the protocol's values, which has one form for each (rule P-18).
//!
//! A reader that takes several forms lets two people read different things out of one file: a name that stands twice, a record as
//! a list, a number for a word, a field that nobody looks at. So what was read is written again, and must be what was read.

use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;
use thiserror::Error;

use crate::base::integer::is_exact;
use crate::base::limits::INTEGER_MAX;

/// Why a text is not the JSON of a value.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum JsonError {
    /// It is no JSON.
    #[error("{reason}")]
    Unreadable {
        /// What the reader says, with the line and the column.
        reason: String,
    },
    /// It is JSON of something else, or not the one form of the value.
    #[error("{}{reason}", if at.is_empty() { String::new() } else { format!("at {at:?}: ") })]
    OtherForm {
        /// The place, as a JSON pointer (RFC 6901); empty for all of it.
        at: String,
        /// What is wrong there, in printable characters.
        reason: String,
    },
}

/// Reads a value in its one form. White space between tokens and the order of fields do not count.
///
/// # Errors
/// [`JsonError`].
pub fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, JsonError> {
    typed(&parse(bytes)?)
}

/// Reads JSON of anything in which no name stands twice and numbers are integers that every reader holds.
///
/// # Errors
/// [`JsonError`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Strict(given) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        if error.inner().is_data() { other_form(&error) } else { unreadable(error.inner()) }
    })?;
    reader.end().map_err(|error| unreadable(&error))?;
    Ok(given)
}

/// The value that this is the one form of.
///
/// # Errors
/// [`JsonError::OtherForm`].
pub(crate) fn typed<T: DeserializeOwned + Serialize>(given: &Value) -> Result<T, JsonError> {
    let value = serde_path_to_error::deserialize(given).map_err(|error| other_form(&error))?;
    let written = serde_json::to_value(&value).map_err(|error| unreadable(&error))?;
    match difference(given, &written, &mut String::new()) {
        None => Ok(value),
        Some((at, reason)) => Err(JsonError::OtherForm { at, reason: reason.to_owned() }),
    }
}

fn unreadable(error: &serde_json::Error) -> JsonError {
    JsonError::Unreadable { reason: printable(&plain(&error.to_string())) }
}

fn other_form(error: &serde_path_to_error::Error<serde_json::Error>) -> JsonError {
    let at = error.path().iter().fold(String::new(), |at, segment| match segment {
        Segment::Seq { index } => pointer(&at, &index.to_string()),
        Segment::Map { key } | Segment::Enum { variant: key } => pointer(&at, key),
        Segment::Unknown => at,
    });
    // The pointer says the place better than the line and the column, which a value in memory has not.
    JsonError::OtherForm { at, reason: printable(without_place(&plain(&error.inner().to_string()))) }
}

/// The reader's words without the line and the column at their end.
pub fn without_place(said: &str) -> &str {
    said.rfind(" at line ").map_or(said, |end| &said[..end])
}

/// The words without the control characters of what was read.
fn printable(said: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    said.chars().map(shown).collect()
}

/// The reader's words without the names of Rust's types, which say nothing to who wrote the text.
pub fn plain(said: &str) -> String {
    let Some((before, after)) = said.split_once("expected ") else { return said.to_owned() };
    let (expected, place) = match after.rfind(" at line ") {
        Some(at) => after.split_at(at),
        None => (after, ""),
    };
    let first = expected.split_whitespace().next().unwrap_or_default();
    let integer = |least: i128, most: u128| format!("an integer from {least} to {most}");
    let plain = match first {
        "u8" => integer(0, u8::MAX.into()),
        "u16" => integer(0, u16::MAX.into()),
        "u32" => integer(0, u32::MAX.into()),
        "u64" | "usize" => integer(0, INTEGER_MAX.into()),
        "i64" => integer(-i128::from(INTEGER_MAX), INTEGER_MAX.into()),
        "struct" | "internally" => "an object".to_owned(),
        "tuple" | "newtype" => "a value".to_owned(),
        "enum" | "variant" | "unit" => "the name of a choice, or an object of that name".to_owned(),
        "option" => "a value or null".to_owned(),
        _ => expected.replace("a map", "an object").replace("a sequence", "a list"),
    };
    format!("{before}expected {plain}{place}")
}

/// The first place at which two values differ, and how.
fn difference(given: &Value, written: &Value, at: &mut String) -> Option<(String, &'static str)> {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => {
            if let Some(name) = given.keys().find(|name| !written.contains_key(*name)) {
                return Some((
                    pointer(at, name),
                    "no such field, or one that is left out where it says nothing",
                ));
            }
            written.iter().find_map(|(name, inner)| {
                let Some(outer) = given.get(name) else {
                    return Some((pointer(at, name), "the field is missing; one without a value is null"));
                };
                let length = at.len();
                *at = pointer(at, name);
                let found = difference(outer, inner, at);
                at.truncate(length);
                found
            })
        }
        (Value::Array(given), Value::Array(written)) if given.len() == written.len() => {
            given.iter().zip(written).enumerate().find_map(|(index, (outer, inner))| {
                let length = at.len();
                *at = pointer(at, &index.to_string());
                let found = difference(outer, inner, at);
                at.truncate(length);
                found
            })
        }
        (given, written) if given == written => None,
        (Value::Array(_), Value::Array(_)) => Some((at.clone(), "an entry stands twice")),
        (Value::Array(_), Value::Object(_)) => Some((at.clone(), "a record is an object")),
        _ => Some((at.clone(), "another text or kind of value; lists stand in ascending order")),
    }
}

fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Any JSON in which no name stands twice in an object.
struct Strict(Value);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Self)
    }
}

struct Any;

/// What is said of any other number: readers of JSON differ over it.
const NO_INTEGER: &str =
    "a number is an integer of at most 2^53 - 1 in magnitude, without fraction, exponent and -0";

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value <= INTEGER_MAX { Ok(Value::from(value)) } else { Err(E::custom(NO_INTEGER)) }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if is_exact(value) { Ok(Value::from(value)) } else { Err(E::custom(NO_INTEGER)) }
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom(NO_INTEGER))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Strict(entry)) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Value::Array(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = object.next_entry::<String, Strict>()? {
            if fields.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("the name {name:?} stands twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Deserialize;

    use super::*;
    use crate::base::id::Hash;
    use crate::base::time::LedgerTime;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        One,
        Two { inner: u64 },
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Record {
        time: LedgerTime,
        hash: Hash,
        signed: i64,
        set: BTreeSet<u8>,
        map: BTreeMap<String, u8>,
        option: Option<u8>,
        choices: Vec<Choice>,
    }

    fn record() -> (Record, String) {
        let record = Record {
            time: LedgerTime(7),
            hash: Hash([0xab; 32]),
            signed: -3,
            set: BTreeSet::from([1, 2]),
            map: BTreeMap::from([("a/b".to_owned(), 1)]),
            option: None,
            choices: vec![Choice::One, Choice::Two { inner: 5 }],
        };
        let text = serde_json::to_string(&record).unwrap();
        (record, text)
    }

    #[test]
    fn the_one_form_is_read_whatever_the_white_space_and_the_order_of_fields() {
        let (record, text) = record();
        assert_eq!(read(text.as_bytes()), Ok(record));
        let again: Record =
            read(serde_json::to_string_pretty(&self::record().0).unwrap().as_bytes()).unwrap();
        let value = serde_json::to_value(&again).unwrap();
        let reversed: Vec<String> = value
            .as_object()
            .unwrap()
            .iter()
            .rev()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        assert_eq!(read::<Record>(format!("{{{}}}", reversed.join(",")).as_bytes()), Ok(again));
    }

    #[test]
    fn every_other_form_is_refused_at_its_place() {
        let (_, text) = record();
        let other = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} stands in {text}");
            read::<Record>(text.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        let places = [
            ("\"time\":7", "\"time\":7,\"more\":1", "/more"),
            (",\"option\":null", "", "/option"),
            ("[1,2]", "[2,1]", "/set/0"),
            ("[1,2]", "[1,2,2]", "/set"),
            ("{\"inner\":5}", "{\"inner\":5,\"x\":1}", "/choices/1/two/x"),
            ("{\"inner\":5}", "[5]", "/choices/1/two"),
            ("\"one\"", "{\"one\":null}", "/choices/0"),
        ];
        let of_values = [
            ("\"time\":7", "\"time\":7.0", "/time"),
            ("\"time\":7", "\"time\":7,\"time\":8", ""),
            ("\"a/b\":1", "\"a/b\":1,\"a/b\":2", "/map"),
            ("\"a/b\":1", "\"a/b\":\"1\"", "/map/a~1b"),
            ("-3", "-3e0", "/signed"),
            ("-3", "-0", "/signed"),
            ("\"time\":7", "\"time\":9007199254740992", "/time"),
            ("\"time\":7", "\"time\":18446744073709551616", "/time"),
            ("-3", "-9007199254740992", "/signed"),
            ("abab", "ABab", "/hash"),
            ("[1,2]", "[1,256]", "/set/1"),
            ("{\"inner\":5}", "{\"inner\":null}", "/choices/1/two/inner"),
        ];
        for (from, to, place) in places.into_iter().chain(of_values) {
            match other(from, to) {
                JsonError::OtherForm { at, .. } => assert_eq!(at, place, "{to}"),
                JsonError::Unreadable { reason } => panic!("{to}: {reason}"),
            }
        }
        for (from, to) in [("}", "} 1"), ("{\"time\"", "{time"), (",\"signed\"", ",,\"signed\"")] {
            assert!(matches!(other(from, to), JsonError::Unreadable { .. }), "{to}");
        }
        for (from, to) in [("\"time\":7", "\"time\":9007199254740991"), ("-3", "-9007199254740991")] {
            assert!(read::<Record>(text.replacen(from, to, 1).as_bytes()).is_ok(), "{to}");
        }
    }

    #[test]
    fn what_is_said_names_no_type_of_the_program() {
        let (_, text) = record();
        let said = |from: &str, to: &str| {
            read::<Record>(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
        };
        let cases = [
            ("\"option\":null", "\"option\":256", "an integer from 0 to 255"),
            ("\"time\":7", "\"time\":-1", "an integer from 0 to 9007199254740991"),
            ("-3", "\"3\"", "an integer from -9007199254740991 to 9007199254740991"),
            ("[1,2]", "7", "expected a list"),
            ("{\"a/b\":1}", "7", "expected an object"),
        ];
        for (from, to, expected) in cases {
            let said = said(from, to);
            assert!(said.contains(expected) && said.starts_with("at \"/"), "{said}");
            for word in ["struct", "enum", "u8", "u64", "i64", "variant"] {
                assert!(!said.split(' ').any(|one| one == word), "{word}: {said}");
            }
        }
        assert!(plain("invalid value: map, expected variant identifier").contains("the name of a choice"));
        assert!(plain("expected struct Record with 7 elements").ends_with("expected an object"));
        assert_eq!(plain("EOF while parsing a list at line 1"), "EOF while parsing a list at line 1");
    }

    #[test]
    fn what_is_said_of_a_text_has_no_control_characters() {
        let error = read::<Choice>(b"\"\\u001b[31mred\"").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.contains("red"), "{error:?}");
    }
}
