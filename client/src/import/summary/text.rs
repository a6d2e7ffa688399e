//! The summary as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use yilian_spec::base::money::Currency;

use super::{Read, Summary};
use crate::import::agreement::{AlsoCounting, Totals};
use crate::import::changes::{ChangedService, Changes, OnLedger};
use crate::import::limits;
use crate::import::plan::{Share, Sums};
use crate::import::proposal::{decimal, of_sums};
use crate::import::skip::{Counted, Note, Reason};
use crate::import::submit::Tally;

type Written = std::fmt::Result;

impl Summary {
    /// The summary as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> Written {
        write_read(out, &self.read)?;
        self.write_mapped(out)?;
        self.write_sums(out)?;
        self.write_left_out(out)?;
        match &self.recorded {
            None if self.dry_run && self.operations.is_empty() => {
                writeln!(out, "Nothing was submitted, and an import would record nothing.")?;
            }
            None if self.dry_run => {
                writeln!(out, "Nothing was submitted. An import would record:")?;
                write_counts(out, self.operations.iter().map(|(name, count)| (*name, count)))?;
            }
            None => writeln!(out, "There was nothing to record.")?,
            Some(tally) => write_tally(out, tally)?,
        }
        self.write_ledger(out)?;
        self.write_statements(out)
    }

    fn write_mapped(&self, out: &mut String) -> Written {
        writeln!(out, "Mapped:")?;
        for (institution, share) in &self.institutions {
            let Share { organizations, patients, encounters, services } = share;
            writeln!(
                out,
                "  {institution}: {organizations} organisations, {patients} patients, {encounters} encounters, {services} services"
            )?;
        }
        writeln!(
            out,
            "  {} subject tags, {} referrals; {} changes of organisation stay within one institution",
            self.subjects, self.referrals, self.within_one_institution
        )?;
        for one in self.unmapped.iter().take(limits::KEYS_SHOWN_MAX) {
            let (claims, sums) = (one.claims, of_sums(&one.claimed_minor));
            writeln!(
                out,
                "  not in the mapping: {:?} {}, {} encounters, {claims} claims{sums}",
                one.key, one.name, one.encounters
            )?;
        }
        write_more(out, self.unmapped.len())?;
        if !self.payers.is_empty() {
            writeln!(out, "Payers, by what the claims call the coverage:")?;
        }
        for asked in self.payers.iter().take(limits::KEYS_SHOWN_MAX) {
            let coverage = asked.coverage.as_deref().unwrap_or("(none named)");
            let payer = match (&asked.payer, asked.uninsured) {
                (Some(payer), _) => payer.as_str(),
                (None, true) => "nobody: not insured",
                (None, false) => "not in the mapping: refused",
            };
            writeln!(out, "  {coverage}: {payer}, {} claims{}", asked.claims, of_sums(&asked.claimed_minor))?;
        }
        write_more(out, self.payers.len())
    }

    fn write_sums(&self, out: &mut String) -> Written {
        if !self.sums.is_empty() {
            writeln!(out, "Amounts of the input (rounded half up to the minor unit):")?;
        }
        for (currency, sums) in &self.sums {
            let show = |minor: i128| decimal(minor, currency);
            let Sums {
                claims,
                claimed_minor,
                claimed_rounded,
                payments,
                paid_minor,
                paid_rounded,
                gross_minor,
            } = sums;
            let (claimed, paid, gross) = (show(*claimed_minor), show(*paid_minor), show(*gross_minor));
            writeln!(
                out,
                "  {claimed} {currency} claimed in {claims} claims, {claimed_rounded} of them rounded"
            )?;
            writeln!(
                out,
                "  {paid} {currency} paid in {payments} explanations, {paid_rounded} of them rounded"
            )?;
            writeln!(out, "  {gross} {currency} gross")?;
        }
        Ok(())
    }

    fn write_left_out(&self, out: &mut String) -> Written {
        // What is of no type that the import uses stands above, among the types.
        let skipped: Vec<_> = self.skipped.iter().filter(|one| one.reason != Reason::NotUsed).collect();
        if !skipped.is_empty() {
            writeln!(out, "Skipped:")?;
        }
        skipped.into_iter().try_for_each(|one| write_counted(out, one, Reason::text))?;
        if !self.noted.is_empty() {
            writeln!(out, "Noted:")?;
        }
        self.noted.iter().try_for_each(|noted| write_counted(out, noted, Note::text))
    }

    /// What is on the ledger, which is not what the input says now where something changed.
    fn write_ledger(&self, out: &mut String) -> Written {
        if let Some(changes) = self.changes.as_ref().filter(|changes| !changes.is_empty()) {
            write_changes(out, changes)?;
        }
        write_held(out, &self.on_ledger)?;
        for AlsoCounting { agreement, provider, payer } in &self.also_counting {
            writeln!(
                out,
                "Agreement {agreement} has other terms and counts what {provider} delivers and {payer} pays, too: what it owes comes in addition."
            )?;
        }
        Ok(())
    }

    fn write_statements(&self, out: &mut String) -> Written {
        if self.statements.is_empty() {
            return Ok(());
        }
        writeln!(out, "Statements:")?;
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for totals in &self.statements {
            let Totals { provider, payer, currency, periods, services, owed_minor, verified, .. } = totals;
            let owed = owed_minor.to_decimal(currency.decimals());
            let standing = if *verified { "verified" } else { "unverified" };
            writeln!(
                out,
                "  {payer} owes {provider} {owed} {currency} for {services} services in {periods} closed periods ({standing})"
            )?;
            *sums.entry(*currency).or_default() += i128::from(owed_minor.0);
        }
        for (currency, sum) in sums {
            writeln!(out, "  all together {} {currency}", decimal(sum, &currency.to_string()))?;
        }
        Ok(())
    }
}

fn write_read(out: &mut String, read: &Read) -> Written {
    let Read { files, organizations, patients, encounters, claims, explanations_of_benefit, records, .. } =
        read;
    writeln!(
        out,
        "Read {files} files: {patients} patients, {organizations} organisations, {encounters} encounters,"
    )?;
    writeln!(
        out,
        "  {claims} claims, {explanations_of_benefit} explanations of benefit, {records} clinical records."
    )?;
    if !read.unread.is_empty() {
        writeln!(out, "Not read:")?;
    }
    for entry in read.unread.iter().take(limits::KEYS_SHOWN_MAX) {
        match &entry.error {
            Some(error) => writeln!(out, "  {}: {}: {error}", entry.file, entry.reason.text())?,
            None => writeln!(out, "  {}: {}", entry.file, entry.reason.text())?,
        }
    }
    write_more(out, read.unread.len())?;
    if !read.resources.is_empty() {
        writeln!(out, "Resources by type:")?;
    }
    for (kind, became) in &read.resources {
        let purpose = became.purpose;
        writeln!(
            out,
            "  {} {kind}: {} used ({purpose}), {} left out",
            became.read, became.used, became.left_out
        )?;
    }
    Ok(())
}

fn write_more(out: &mut String, all: usize) -> Written {
    match all.saturating_sub(limits::KEYS_SHOWN_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more (--json lists all)"),
    }
}

fn write_counted<R: Copy>(out: &mut String, one: &Counted<R>, text: fn(R) -> &'static str) -> Written {
    let Counted { resource, reason, count, examples } = one;
    let first = examples.first().map_or("", String::as_str);
    writeln!(out, "  {count} {resource}: {} (such as {first})", text(*reason))
}

/// What the ledger holds of the import.
pub fn write_held(out: &mut String, on_ledger: &BTreeMap<String, OnLedger>) -> Written {
    for (currency, OnLedger { services, gross_minor }) in on_ledger {
        let gross = decimal(*gross_minor, currency);
        writeln!(out, "On the ledger: {gross} {currency} gross in {services} services of this import")?;
    }
    Ok(())
}

/// Counts, each on its line.
pub fn write_counts<'a>(out: &mut String, counts: impl Iterator<Item = (&'a str, &'a u64)>) -> Written {
    for (name, count) in counts {
        writeln!(out, "  {count} {name}")?;
    }
    Ok(())
}

fn write_changes(out: &mut String, changes: &Changes) -> Written {
    writeln!(out, "Changed or withdrawn since it was recorded, and still on the ledger as it was:")?;
    for changed in changes.services.iter().take(limits::KEYS_SHOWN_MAX) {
        let ChangedService { claim, service, recorder, payer, currency, recorded_minor, now } = changed;
        let claim = claim.as_deref().unwrap_or("a claim that the input does not have");
        let recorded = decimal(i128::from(*recorded_minor), currency);
        let now = match now {
            None => "withdrawn".to_owned(),
            Some(now) => {
                let gross = decimal(i128::from(now.gross_minor), &now.currency);
                let is_same = (now.gross_minor, &now.currency) == (*recorded_minor, currency)
                    && (&now.provider, &now.payer) == (recorder, payer);
                let evidence = if is_same { ", with other evidence" } else { "" };
                format!("now {gross} {} of {} to {}{evidence}", now.currency, now.provider, now.payer)
            }
        };
        writeln!(out, "  {claim}: {recorded} {currency} of {recorder} to {payer}, {now}")?;
        writeln!(out, "    service {service}")?;
    }
    write_more(out, changes.services.len())?;
    for (name, others) in &changes.others {
        let first = others.examples.first().map(|first| format!(" (such as {first})")).unwrap_or_default();
        writeln!(out, "  {name}: {} changed, {} withdrawn{first}", others.changed, others.withdrawn)?;
    }
    writeln!(
        out,
        "  To correct: the same command with --correct reverses these services and records them as they are now, revokes\n  \
         grants that nothing asks for, and notes the rest as known. By hand: `yilian service reverse SERVICE --reason mistake`."
    )
}

/// What became of the operations.
pub fn write_tally(out: &mut String, tally: &Tally) -> Written {
    let Tally { recorded, before, found, reversed_by_others, refused, blocked, transactions } = tally;
    let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let named = |counts: &BTreeMap<String, u64>, out: &mut String| {
        write_counts(out, counts.iter().map(|(name, count)| (name.as_str(), count)))
    };
    writeln!(out, "Recorded {} operations in {transactions} transactions:", total(recorded))?;
    named(recorded, out)?;
    if !before.is_empty() {
        writeln!(out, "Recorded before and left alone: {} operations.", total(before))?;
    }
    if *reversed_by_others > 0 {
        writeln!(
            out,
            "{reversed_by_others} services of this import were reversed by somebody else; they stay so until their source changes."
        )?;
    }
    if *found > 0 {
        writeln!(
            out,
            "The journal was an older copy and lacked {found} of them, which were found on the ledger."
        )?;
    }
    if !refused.is_empty() {
        writeln!(out, "Refused by the rules of the ledger:")?;
    }
    for (name, reasons) in refused {
        for (reason, count) in reasons {
            writeln!(out, "  {count} {name}: {reason}")?;
        }
    }
    if !blocked.is_empty() {
        writeln!(out, "Left out, because what they need was refused:")?;
        named(blocked, out)?;
    }
    Ok(())
}
