//! Times as people write and read them: RFC 3339 in UTC, a date, or an offset from now such as `+30d`.

use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description::StaticFormatDescription, macros::format_description};
use yilian_spec::base::time::{DAY_MS, LedgerTime, Window};

/// `2026-11-21`.
const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");
/// `2026-11-21 09:30:00 UTC`.
const SHOWN: StaticFormatDescription =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// This machine's clock stands before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the clock of this machine is before 1970: set it")]
pub struct ClockError;

/// This machine's clock.
///
/// # Errors
/// [`ClockError`].
pub fn now() -> Result<LedgerTime, ClockError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| ClockError)?;
    u64::try_from(since.as_millis()).map(LedgerTime).map_err(|_| ClockError)
}

/// Milliseconds of a length such as `90s`, `15m`, `12h`, `30d`, `2w`, `500ms`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_length_ms(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is no length of time: write 90s, 15m, 12h, 30d or 2w");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit_ms).ok_or_else(expected)
}

/// A moment: `now`, `+30d` or `-12h` from `now`, `2026-11-21`, or RFC 3339 such as `2026-11-21T09:30:00Z`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse(text: &str, now: LedgerTime) -> Result<LedgerTime, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(length) = text.strip_prefix('+') {
        return Ok(now.plus_ms(parse_length_ms(length)?));
    }
    if let Some(length) = text.strip_prefix('-') {
        return Ok(now.minus_ms(parse_length_ms(length)?));
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| Date::parse(text, DATE).map(|date| date.midnight().assume_utc()))
        .map_err(|_| format!("{text:?} is no time: write +30d, 2026-11-21 or 2026-11-21T09:30:00Z"))?;
    let milliseconds = moment.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(milliseconds).map(LedgerTime).map_err(|_| format!("{text:?} is before 1970"))
}

/// How long ago something was, for people: the largest unit of which one has passed.
pub fn show_ago(age_ms: u64) -> String {
    let seconds = age_ms / 1_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.into_iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => format!("{} {name} ago", seconds / unit),
        None => format!("{seconds} s ago"),
    }
}

/// A length of time for people: in seconds, or, where it is short and they would not tell all of it, in milliseconds.
pub fn show_length(length_ms: u64) -> String {
    if length_ms < 10_000 && !length_ms.is_multiple_of(1_000) {
        return format!("{length_ms} ms");
    }
    format!("{} s", length_ms / 1_000)
}

/// The moment in UTC to the second, for people.
pub fn show(moment: LedgerTime) -> String {
    let nanoseconds = i128::from(moment.0) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .ok()
        .and_then(|moment| moment.format(SHOWN).ok())
        .unwrap_or_else(|| moment.to_string())
}

/// Whole days, for people: `2026-11-21`, or `2026-11-21 to 2026-11-23`, the last day included.
pub fn show_days(days: Window) -> String {
    let day = |moment| show(moment).split(' ').next().unwrap_or_default().to_owned();
    let (first, last) = (day(days.starts), day(days.expires.minus_ms(DAY_MS)));
    if first == last { first } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: LedgerTime = LedgerTime(1_000_000_000_000);

    #[test]
    fn how_long_ago_is_told_in_the_largest_unit() {
        let cases = [(999, "0 s ago"), (59_999, "59 s ago"), (331_482, "5 min ago"), (7_200_000, "2 h ago")];
        for (age_ms, expected) in cases {
            assert_eq!(show_ago(age_ms), expected);
        }
        assert_eq!(show_ago(3 * 86_400_000), "3 d ago");
    }

    #[test]
    fn days_are_told_with_the_last_one_included() {
        let midnight = |day: u64| LedgerTime(1_763_683_200_000 + day * DAY_MS);
        let days = |first, after| show_days(Window { starts: midnight(first), expires: midnight(after) });
        assert_eq!(days(0, 1), "2025-11-21");
        assert_eq!(days(0, 3), "2025-11-21 to 2025-11-23");
    }

    #[test]
    fn lengths_are_told_in_seconds_or_where_these_are_too_coarse_in_milliseconds() {
        let cases =
            [(0, "0 s"), (1, "1 ms"), (999, "999 ms"), (1_000, "1 s"), (1_500, "1500 ms"), (61_700, "61 s")];
        for (length_ms, expected) in cases {
            assert_eq!(show_length(length_ms), expected);
        }
    }

    #[test]
    fn moments_are_read_in_all_forms() {
        let cases = [
            ("now", NOW.0),
            ("+30d", NOW.0 + 30 * 86_400_000),
            ("-90s", NOW.0 - 90_000),
            ("+0ms", NOW.0),
            ("2026-11-21", 1_795_219_200_000),
            ("2026-11-21T09:30:00Z", 1_795_253_400_000),
            ("2026-11-21T09:30:00.25+08:00", 1_795_224_600_250),
            ("1970-01-01", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, NOW), Ok(LedgerTime(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_an_example() {
        for text in [
            "",
            "+",
            "+d",
            "+1",
            "+1y",
            "30d",
            "2026-13-01",
            "2026-11-21T09:30",
            "yesterday",
            "+99999999999999999999d",
        ] {
            let message = parse(text, NOW).unwrap_err();
            assert!(message.contains("30d"), "{text}: {message}");
        }
        assert_eq!(parse("1969-12-31", NOW), Err("\"1969-12-31\" is before 1970".to_owned()));
    }

    #[test]
    fn a_moment_shows_in_utc() {
        assert_eq!(show(LedgerTime(1_795_253_400_999)), "2026-11-21 09:30:00 UTC");
        assert_eq!(show(LedgerTime(u64::MAX)), format!("{} ms", u64::MAX));
    }
}
