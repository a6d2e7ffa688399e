//! FHIR dates and times, read only to put encounters in order. None of them goes to the ledger.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// A moment: nanoseconds since 1970 in UTC; negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i128);

/// Reads a FHIR R4 `dateTime` or `instant`: `1916`, `1916-08`, `1916-08-26`, or a full time with its offset.
///
/// What is left out counts as its beginning, in UTC. `None` when it is none of these: a time without an offset, a
/// day that the calendar has not, blanks around it. A leap second counts as the second before it.
pub fn parse(text: &str) -> Option<Instant> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map(|part| number(part, 2));
    let day = parts.next().map(|part| number(part, 2));
    if parts.next().is_some() || year == 0 {
        return None;
    }
    // A part that is there but is no number ends it; one that is not there is the first.
    let (has_day, month, day) =
        (day.is_some(), month.map_or(Some(1), |part| part)?, day.map_or(Some(1), |part| part)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let moment = match time {
        None => date.midnight().assume_utc(),
        Some(time) if has_day => {
            let (time, offset) = time_and_offset(time)?;
            PrimitiveDateTime::new(date, time).assume_offset(offset)
        }
        Some(_) => return None,
    };
    Some(Instant(moment.unix_timestamp_nanos()))
}

/// `hh:mm:ss`, a fraction, then `Z` or `±hh:mm`.
fn time_and_offset(text: &str) -> Option<(Time, UtcOffset)> {
    let (time, offset) = match text.strip_suffix('Z') {
        Some(time) => (time, UtcOffset::UTC),
        None => {
            let at = text.rfind(['+', '-'])?;
            let sign: i8 = if text[at..].starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = text[at + 1..].split_once(':')?;
            let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
            let in_range = hours < 14 && minutes < 60 || hours == 14 && minutes == 0;
            let small = |value: u32| i8::try_from(value).ok().map(|value| sign * value);
            let offset = UtcOffset::from_hms(small(hours)?, small(minutes)?, 0).ok()?;
            (&text[..at], in_range.then_some(offset)?)
        }
    };
    let (whole, fraction) = match time.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (time, None),
    };
    let mut parts = whole.split(':');
    let hour = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let minute = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let second = u8::try_from(number(parts.next()?, 2)?).ok().filter(|second| *second <= 60)?.min(59);
    if parts.next().is_some() {
        return None;
    }
    let nanoseconds = fraction.map_or(Some(0), nanoseconds)?;
    Some((Time::from_hms_nano(hour, minute, second, nanoseconds).ok()?, offset))
}

/// A fraction of a second; digits beyond the ninth do not count.
fn nanoseconds(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

/// Exactly `length` digits.
fn number(text: &str, length: usize) -> Option<u32> {
    let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_across_offsets_and_before_1970() {
        let ordered = [
            "0001",
            "1916-08-26T19:20:06+00:00",
            "1969-12-31T23:59:59.999999999Z",
            "1970",
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T01:00:00-00:30",
            "1970-02",
            "2016-12-31T23:59:58+00:00",
            "2016-12-31T23:59:60Z",
            "2017-07-25T05:43:30-04:00",
            "2017-07-25T09:43:30.5Z",
        ];
        for pair in ordered.windows(2) {
            assert!(parse(pair[0]).unwrap() < parse(pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(parse("2017-07-25T05:43:30-04:00"), parse("2017-07-25T09:43:30Z"));
        assert_eq!(parse("1970-01-01"), Some(Instant(0)));
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(Instant(-1_000_000_000)));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "0000",
            "19",
            "1970-13",
            "1970-00",
            "1970-01-00",
            "2019-02-29",
            "1970-1-1",
            "1970-01-01T",
            "1970T00:00:00Z",
            "1970-01-01T12:00",
            "1970-01-01T12:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T12:60:00Z",
            " 1970",
            "1970-01-01T12:00:61Z",
            "1970-01-01T12:00:00",
            "1970-01-01T12:00:00.Z",
            "1970-01-01T12:00:00+14:01",
            "1970-01-01T12:00:00+1:00",
            "1970-01-01T12:00:00Zx",
            "1970-01-01 12:00:00Z",
            "1970-01-01-01",
            "１９７０",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_published_examples_of_date_times_are_told_apart() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/fhir-primitive-validation");
        for (file, is_valid) in [("date_time.valid.ndjson", true), ("date_time.invalid.ndjson", false)] {
            let Ok(lines) = std::fs::read_to_string(format!("{directory}/{file}")) else {
                return println!("skipped: no {file}");
            };
            let values =
                lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            for value in values.filter(|value| value.is_string()) {
                assert_eq!(value.as_str().and_then(parse).is_some(), is_valid, "{value}");
            }
        }
    }
}
