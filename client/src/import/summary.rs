//! What an import did, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use yilian_spec::id::InstitutionId;
use yilian_spec::money::{AmountMinor, Currency};

use super::Options;
use super::agreement::Totals;
use super::collect::Collected;
use super::plan::{Gross, Plan, Share, Sums};
use super::skip::{Skipped, Skips};
use super::submit::Tally;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Files.
    pub files: u64,
    /// Resources by type.
    pub resources: BTreeMap<String, u64>,
    /// Organisations that can be mapped.
    pub organizations: u64,
    /// Patients.
    pub patients: u64,
    /// Encounters that took place.
    pub encounters: u64,
    /// Active claims.
    pub claims: u64,
    /// Explanations of benefit that answer a claim.
    pub explanations_of_benefit: u64,
    /// Clinical records that name an encounter.
    pub records: u64,
}

/// The summary of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether nothing was submitted.
    pub dry_run: bool,
    /// What was read.
    pub read: Read,
    /// Which amount is the gross amount of a service.
    pub gross: Gross,
    /// What belongs to each institution.
    pub institutions: BTreeMap<InstitutionId, Share>,
    /// Subject tags, one for each patient and custodian.
    pub subjects: u64,
    /// Referrals.
    pub referrals: u64,
    /// Consecutive encounters at two organisations that are one institution.
    pub within_one_institution: u64,
    /// The operations that record all this, by name, beside those of agreements.
    pub operations: BTreeMap<&'static str, u64>,
    /// Sums by currency.
    pub sums: BTreeMap<String, Sums>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// What became of the operations; `None` after a dry run.
    pub recorded: Option<Tally>,
    /// What the statements say, where the periods were closed.
    pub statements: Vec<Totals>,
}

impl Summary {
    /// The summary of a plan.
    pub fn new(options: &Options, collected: &Collected, plan: &Plan, skips: &Skips) -> Self {
        let answered = collected.benefits.keys().filter(|claim| collected.claims.contains_key(*claim));
        let operations = plan.counts();
        Self {
            dry_run: options.is_dry_run,
            read: Read {
                files: collected.files,
                resources: collected.resources.clone(),
                organizations: collected.organizations.len() as u64,
                patients: collected.patients.len() as u64,
                encounters: collected.encounters.len() as u64,
                claims: collected.claims.len() as u64,
                explanations_of_benefit: answered.count() as u64,
                records: plan.records,
            },
            gross: options.gross,
            institutions: plan.shares.clone(),
            subjects: plan.subjects.len() as u64,
            referrals: operations.get("request_referral").copied().unwrap_or(0),
            within_one_institution: plan.within_one_institution,
            operations,
            sums: plan.sums.clone(),
            skipped: skips.list(),
            recorded: None,
            statements: Vec::new(),
        }
    }

    /// The summary as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Read {
            files, organizations, patients, encounters, claims, explanations_of_benefit, records, ..
        } = &self.read;
        writeln!(
            out,
            "Read {files} files: {patients} patients, {organizations} organisations, {encounters} encounters,"
        )?;
        writeln!(
            out,
            "  {claims} claims, {explanations_of_benefit} explanations of benefit, {records} clinical records."
        )?;
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
        self.write_sums(out)?;
        if !self.skipped.is_empty() {
            writeln!(out, "Skipped:")?;
        }
        for Skipped { resource, reason, count, examples } in &self.skipped {
            let first = examples.first().map_or("", String::as_str);
            writeln!(out, "  {count} {resource}: {} (first: {first})", reason.text())?;
        }
        match &self.recorded {
            None => {
                writeln!(out, "Nothing was submitted. An import would record:")?;
                write_counts(out, self.operations.iter().map(|(name, count)| (*name, count)))
            }
            Some(tally) => write_tally(out, tally),
        }?;
        self.write_statements(out)
    }

    fn write_sums(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "Amounts (rounded half up to the minor unit):")?;
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
            writeln!(out, "  {gross} {currency} gross on the ledger")?;
        }
        Ok(())
    }

    fn write_statements(&self, out: &mut String) -> std::fmt::Result {
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

fn write_counts<'a>(out: &mut String, counts: impl Iterator<Item = (&'a str, &'a u64)>) -> std::fmt::Result {
    for (name, count) in counts {
        writeln!(out, "  {count} {name}")?;
    }
    Ok(())
}

fn write_tally(out: &mut String, tally: &Tally) -> std::fmt::Result {
    let Tally { recorded, before, refused, blocked, transactions } = tally;
    let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let named = |counts: &BTreeMap<String, u64>, out: &mut String| {
        write_counts(out, counts.iter().map(|(name, count)| (name.as_str(), count)))
    };
    writeln!(out, "Recorded {} operations in {transactions} transactions:", total(recorded))?;
    named(recorded, out)?;
    if !before.is_empty() {
        writeln!(out, "Recorded before and left alone: {} operations.", total(before))?;
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

/// A sum as decimal text; sums of many amounts can be larger than one amount.
fn decimal(minor: i128, currency: &str) -> String {
    let decimals = currency.parse::<Currency>().map_or(2, Currency::decimals);
    match i64::try_from(minor) {
        Ok(minor) => AmountMinor(minor).to_decimal(decimals),
        Err(_) => format!("{minor} minor units of"),
    }
}
