//! FHIR dates and times, read to put encounters in order, and for the days of a claim, which are all that goes to the ledger.
//!
//! A date without a time is a stretch of time, and its zone is not said. Two of them are compared on one calendar; next to
//! a time with an offset, a date is as long as any zone on earth makes it. What overlaps has no order, and is said.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};
use yilian_spec::base::limits::SERVICE_DAYS_MAX;
use yilian_spec::base::time::{DAY_MS, LedgerTime, Window};

const MILLISECOND: i128 = 1_000_000;
const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// A day begins here first, before UTC.
const FIRST_ZONE: i128 = 14 * 3_600 * SECOND;
/// And ends there last, after UTC.
const LAST_ZONE: i128 = 12 * 3_600 * SECOND;

/// A stretch of time, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Its beginning.
    pub from: i128,
    /// The moment after its end.
    pub until: i128,
    /// Whether it is on a calendar whose zone is not said; else it is in UTC.
    pub is_calendar: bool,
}

impl Instant {
    /// The beginning in UTC, in the zone where it is earliest.
    pub fn earliest(&self) -> i128 {
        if self.is_calendar { self.from - FIRST_ZONE } else { self.from }
    }

    /// The end in UTC, in the zone where it is latest.
    pub fn latest(&self) -> i128 {
        if self.is_calendar { self.until + LAST_ZONE } else { self.until }
    }

    /// Whether all of it was before all of the other.
    pub fn is_before(&self, other: &Self) -> bool {
        if self.is_calendar && other.is_calendar {
            self.until <= other.from
        } else {
            self.latest() <= other.earliest()
        }
    }

    /// Sorts so that what is before another stands before it.
    pub fn sort_key(&self) -> i128 {
        self.earliest() + self.latest()
    }
}

/// The whole days (UTC) from the beginning of one to the end of the other, as many of the last as one service may have.
/// What lies before 1970 is the first day that the ledger knows.
pub fn days(first: Instant, last: Instant) -> Window {
    let day = |nanoseconds: i128| {
        Window::day_of(LedgerTime(u64::try_from(nanoseconds / MILLISECOND).unwrap_or_default()))
    };
    let expires = day(last.until.max(first.until) - 1).expires;
    let starts = day(first.from).starts.max(expires.minus_ms(SERVICE_DAYS_MAX * DAY_MS));
    Window { starts, expires }
}

/// Reads a FHIR R4 `dateTime` or `instant`: `1916`, `1916-08`, `1916-08-26`, or a full time with its offset.
///
/// What is left out makes it longer: a year, a month, a day. `None` when it is none of these: a time without an offset, a
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
    // A part that is there but is no number ends it; of one that is not there, all count.
    let first = calendar_day(year, month.unwrap_or(Some(1))?, day.unwrap_or(Some(1))?)?;
    let Some(time) = time else {
        let last_month = month.unwrap_or(Some(12))?;
        let last = match day {
            Some(_) => first,
            None => {
                let last_month = Month::try_from(u8::try_from(last_month).ok()?).ok()?;
                let length = last_month.length(i32::try_from(year).ok()?);
                calendar_day(year, u32::from(u8::from(last_month)), u32::from(length))?
            }
        };
        let begins = |date: Date| date.midnight().assume_utc().unix_timestamp_nanos();
        return Some(Instant { from: begins(first), until: begins(last) + DAY, is_calendar: true });
    };
    day?;
    let (time, offset) = time_and_offset(time)?;
    let from = PrimitiveDateTime::new(first, time).assume_offset(offset).unix_timestamp_nanos();
    Some(Instant { from, until: from + 1, is_calendar: false })
}

fn calendar_day(year: u32, month: u32, day: u32) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
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
            "1969-12-30T23:59:59.999999999Z",
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T01:00:00-00:30",
            "1970-02",
            "2016-12-31T23:59:58+00:00",
            "2016-12-31T23:59:60Z",
            "2017-07-25T05:43:30-04:00",
            "2017-07-25T09:43:30.5Z",
            "9999",
        ];
        for (at, first) in ordered.iter().enumerate() {
            for second in &ordered[at + 1..] {
                let (first, second) = (parse(first).unwrap(), parse(second).unwrap());
                assert!(first.is_before(&second) && !second.is_before(&first), "{first:?} {second:?}");
                assert!(first.sort_key() < second.sort_key());
            }
        }
        assert_eq!(parse("2017-07-25T05:43:30-04:00"), parse("2017-07-25T09:43:30Z"));
    }

    #[test]
    fn a_date_is_as_long_as_it_says_and_has_no_order_with_what_it_may_overlap() {
        let before = |first: &str, second: &str| parse(first).unwrap().is_before(&parse(second).unwrap());
        let days = |text: &str| parse(text).map(|stretch| (stretch.until - stretch.from) / DAY).unwrap();
        assert_eq!([days("2020"), days("2020-02"), days("2019-02"), days("2019-12-31")], [366, 29, 28, 1]);
        // On one calendar.
        assert!(
            before("2020-01-01", "2020-01-02")
                && before("2019", "2020-01-01")
                && before("2020-01", "2020-02-01")
        );
        for overlapping in [
            ("2020-01-01", "2020-01-01"),
            ("2020", "2020-07-01"),
            ("2020-01-01T23:00:00-05:00", "2020-01-02"),
            ("2020-01-02", "2020-01-03T02:00:00Z"),
            ("2020-01-02T03:04:05Z", "2020-01-02T04:04:05+01:00"),
        ] {
            assert!(
                !before(overlapping.0, overlapping.1) && !before(overlapping.1, overlapping.0),
                "{overlapping:?}"
            );
        }
        // In no zone does the second of January begin before the first's morning in UTC, or end after the third's noon.
        assert!(before("2020-01-01T09:59:59Z", "2020-01-02") && before("2020-01-02", "2020-01-03T12:00:00Z"));
    }

    #[test]
    fn the_days_of_a_period_are_whole_and_no_more_than_a_service_may_have() {
        let of = |first: &str, last: &str| {
            let days = days(parse(first).unwrap(), parse(last).unwrap());
            assert!(days.is_whole_days(SERVICE_DAYS_MAX), "{first} to {last}");
            (days.starts.0 / DAY_MS, days.expires.0 / DAY_MS)
        };
        assert_eq!(of("1970-01-02T03:04:05Z", "1970-01-02T03:04:05Z"), (1, 2));
        assert_eq!(of("1970-01-02T23:59:59-01:00", "1970-01-04T00:00:00Z"), (2, 4));
        assert_eq!(of("1970-01-02", "1970-01-03"), (1, 3));
        assert_eq!(of("1970", "1970"), (0, 365));
        assert_eq!(of("1972", "1973"), (365 * 4 + 1 - 366, 365 * 4 + 1));
        // An end before its beginning, and a time before the ledger's.
        assert_eq!(of("1970-01-04", "1970-01-02"), (3, 4));
        assert_eq!(of("1916-08-26", "1916-08-27"), (0, 1));
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
