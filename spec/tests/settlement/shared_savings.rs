//! Arrangement A13 over the public results of the Medicare Shared Savings Program (42 CFR 425.605, .610): the terms
//! give what every organisation that earned was paid in 2021 and 2022, within one dollar. The results are published in
//! whole dollars, benchmark and spending too, so that their difference may be one off.

use std::path::Path;

use yilian_spec::base::money::parse_decimal_to_minor;
use yilian_spec::settlement::terms::Terms;

use crate::support::*;

/// gap = benchmark - spent; gross = gap where it reaches the minimum savings rate of the benchmark, else 0;
/// earned = min(hu(gross * share * 0.98), hu(cap * benchmark)).
fn terms() -> Terms {
    let mut w = Writer::default();
    let (benchmark, spent) = (w.quantity("benchmark"), w.quantity("spent"));
    let gap = w.steps.subtract(benchmark, spent);
    let (rate, of) = (w.quantity("minimum-rate"), w.denominator("minimum-rate"));
    let rate = w.divide(rate, of);
    let minimum = w.steps.multiply(rate, benchmark);
    let zero = w.number(0, 1);
    let gross = w.at_least(gap, minimum, gap, zero);
    let (share, of) = (w.quantity("share"), w.denominator("share"));
    let share = w.divide(share, of);
    let earned = w.steps.multiply(gross, share);
    let earned = w.times(earned, 98, 100);
    let earned = w.round(earned, "after-sequestration");
    let (cap, of) = (w.quantity("cap"), w.denominator("cap"));
    let cap = w.divide(cap, of);
    let cap = w.steps.multiply(cap, benchmark);
    let cap = w.round(cap, "cap");
    let paid = w.minimum(earned, cap);
    w.place(0, paid);
    w.terms(2)
}

/// The fields of a CSV line; commas inside quotes do not separate.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

/// A figure such as `1,175,345,650` in dollars, or with two decimals `71.25%` in basis points; an absent one is zero.
fn figure_of(text: &str, decimals: u8) -> i64 {
    let plain: String =
        text.chars().filter(|character| !matches!(character, ',' | '%' | '$' | ' ')).collect();
    if plain.is_empty() { 0 } else { parse_decimal_to_minor(&plain, decimals).unwrap().amount.0 }
}

#[test]
fn a13_pays_what_was_paid_on_every_row_that_earned() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mssp");
    let terms = terms();
    for (file, enhanced, rows_that_earned) in [
        ("mssp_py2021.csv", ("Current_ENHANCED", "1"), 274),
        ("mssp_py2022.csv", ("Current_Track", "EN"), 304),
    ] {
        let Ok(bytes) = std::fs::read(folder.join(file)) else {
            println!("skipped: {file} is not beside the checkout");
            continue;
        };
        // Names carry bytes of an older encoding; the figures are ASCII.
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.trim_start_matches('\u{feff}').lines();
        let header = fields(lines.next().unwrap());
        let mut earned_rows = 0;
        for row in lines.map(fields) {
            let field = |name: &str| row[header.iter().position(|title| title == name).unwrap()].trim();
            let paid = figure_of(field("EarnSaveLoss"), 0);
            if paid <= 0 {
                continue;
            }
            earned_rows += 1;
            let cap = if field(enhanced.0) == enhanced.1 { 20 } else { 10 };
            let reports = [
                ("benchmark", 0, figure_of(field("ABtotBnchmk"), 0), 1),
                ("spent", 0, figure_of(field("ABtotExp"), 0), 1),
                ("minimum-rate", 0, figure_of(field("MinSavPerc"), 2), 10_000),
                ("share", 0, figure_of(field("FinalShareRate"), 2), 10_000),
                ("cap", 0, cap, 100),
            ];
            let earned = amounts(&over(&terms, &reports))[0];
            assert!((earned - paid).abs() <= 1, "{file} {}: {earned} against {paid} dollars", row[0]);
        }
        assert_eq!(earned_rows, rows_that_earned, "{file}");
    }
}
