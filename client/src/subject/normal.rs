//! One form for each record number, so that what looks the same is the same: one patient, one tag.
//!
//! A number that is typed, scanned or copied from a page comes composed or decomposed (`é` as one character or two), and
//! with characters that nobody sees. Both are levelled before a number is looked up or written.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Whether a character takes no room: joiners, marks of direction, the byte-order mark, soft
/// hyphens, and what selects a variant of the character before.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// The record number without invisible characters, in Unicode's form NFC.
pub(super) fn normalised(number: &str) -> Cow<'_, str> {
    const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
    if number.contains(is_invisible) {
        let visible: String = number.chars().filter(|character| !is_invisible(*character)).collect();
        Cow::Owned(NFC.normalize(&visible).into_owned())
    } else {
        NFC.normalize(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (given, form) in [
            ("MRN-0017", "MRN-0017"),
            ("Jose\u{301}-1", "José-1"),
            ("\u{feff}MRN\u{200b}-00\u{200d}17\u{2060}", "MRN-0017"),
            ("104-2231\u{fe0f}", "104-2231"),
            ("\u{845b}\u{e0100}-7", "\u{845b}-7"),
            ("\u{1112}\u{1161}\u{11ab}-7", "한-7"),
            ("\u{212b}1", "Å1"),
            // The joiner stood between a letter and its accent.
            ("e\u{200d}\u{301}", "é"),
            ("病历-17", "病历-17"),
            // Other characters stay others: full width is not half width, a letter is no digit.
            ("１７", "１７"),
            ("O17", "O17"),
        ] {
            assert_eq!(normalised(given), form, "{given:?}");
            assert_eq!(normalised(form), form, "the form of a form is itself");
        }
    }
}
