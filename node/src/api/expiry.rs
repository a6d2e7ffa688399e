//! When an X.509 certificate's validity ends: the few bytes of its DER encoding that say so (RFC 5280, section 4.1).

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of validity in milliseconds since 1970-01-01 UTC; `None` when the bytes are not such a certificate, or it ended
/// before 1970.
pub(super) fn not_after_ms(certificate: &[u8]) -> Option<u64> {
    let mut outer = element(&mut &*certificate, SEQUENCE)?;
    let mut signed = element(&mut outer, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        element(&mut signed, VERSION)?;
    }
    element(&mut signed, INTEGER)?;
    // The algorithm and the issuer come before the validity.
    element(&mut signed, SEQUENCE)?;
    element(&mut signed, SEQUENCE)?;
    let mut validity = element(&mut signed, SEQUENCE)?;
    let not_before = *validity.first()?;
    element(&mut validity, not_before)?;
    let kind = *validity.first()?;
    time_ms(kind, element(&mut validity, kind)?)
}

/// Takes one element with this tag from the front, and returns what it holds.
fn element<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // The long form: so many bytes of length, big endian. Four are more than a certificate has.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(content)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time_ms(kind: u8, text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text.strip_suffix(b"Z")?).ok()?;
    let (year, rest) = match kind {
        UTC_TIME => (digits.get(..2)?, digits.get(2..)?),
        GENERALIZED_TIME => (digits.get(..4)?, digits.get(4..)?),
        _ => return None,
    };
    let year: i64 = year.parse().ok()?;
    let year = match kind {
        UTC_TIME if year < 50 => year + 2_000,
        UTC_TIME => year + 1_900,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000)
}

/// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The day as text, such as 2027-01-31.
pub(super) fn date(ms: u64) -> String {
    let shifted = i64::try_from(ms / 86_400_000).unwrap_or(i64::MAX / 2) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_over_four_centuries() {
        assert_eq!((days(1970, 1, 1), days(2000, 3, 1)), (0, 11_017));
        for day in (0..146_097).step_by(7) {
            let text = date(day as u64 * 86_400_000);
            let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            assert_eq!(days(part(0..4), part(5..7), part(8..10)), day, "{text}");
        }
        assert_eq!(date(1_790_000_000_000), "2026-09-21");
    }

    #[test]
    fn both_forms_of_time_are_read_and_nothing_else_is() {
        assert_eq!(time_ms(UTC_TIME, b"260921141320Z"), Some(1_790_000_000_000));
        assert_eq!(time_ms(GENERALIZED_TIME, b"20500101000000Z"), Some(2_524_608_000_000));
        assert_eq!(time_ms(UTC_TIME, b"500101000000Z"), None, "that is 1950");
        for text in [b"2609211406Z".as_slice(), b"260921140640", b"261321140640Z", b""] {
            assert_eq!(time_ms(UTC_TIME, text), None);
        }
        for cut in 0..8 {
            assert_eq!(not_after_ms(&[0x30, 0x06, 0x30, 0x04, 0x02, 0x01, 0x01, 0x30][..cut]), None);
        }
        assert_eq!(not_after_ms(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
