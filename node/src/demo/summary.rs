//! What the demo prints at the end: what was recorded, who is owed what, what was verified, and what to try next.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::day::{Desks, Evening};
use super::desk::Desk;
use super::tally::Tally;
use super::{NodesAgree, Verified};
use crate::consortium::ConsortiumFiles;

/// What the summary tells about.
pub(super) struct Summary<'a> {
    pub files: &'a ConsortiumFiles,
    pub desks: &'a Desks,
    pub observer: &'a Desk,
    pub evening: &'a Evening,
    pub took: Duration,
    /// Whether the nodes go on running.
    pub keep: bool,
}

impl Summary<'_> {
    /// Prints it.
    pub async fn print(&self, tally: &mut Tally, verified: &Verified, agree: &NodesAgree) -> Result<()> {
        self.print_ledger(tally, agree);
        self.print_statement(agree).await?;
        let history = self.observer.client.subject_history(self.evening.subject, &|_, _| ()).await?;
        ensure!(history.is_complete(), "the patient's history is not proven complete");
        println!(
            "\nThe regulator asks who saw one patient's records: {} entries in {} streams, proven complete.",
            history.count(),
            history.grants.len() + 1
        );
        println!("\nVerified offline, from files alone\n");
        for said in &verified.said {
            said.lines().for_each(|line| println!("  {line}"));
            println!();
        }
        self.print_next_commands(verified)
    }

    fn print_ledger(&self, tally: &mut Tally, agree: &NodesAgree) {
        println!("\nWhat is on the ledger now\n");
        let rows = [
            ("grants of access", self.evening.grants),
            ("disclosures and denials", self.evening.disclosures),
            ("referrals (one declined, one returned downward)", self.evening.referrals + 1),
            ("teleconsultations (one reversed)", self.evening.services),
            ("transactions", tally.transactions),
            ("operations in them", tally.operations),
            ("refused by the rules, kept as evidence", tally.refused),
        ];
        for (what, count) in rows {
            println!("  {count:>6}  {what}");
        }
        println!("\n  The refusal: \"{}\"", self.evening.refusal);
        println!(
            "  {} blocks; all five nodes hold block {}…, state root {}…",
            agree.height,
            &agree.block_id.to_string()[..16],
            &agree.state_root[..16]
        );
        println!(
            "  The day took {:.1} s; a transaction was final after {} ms (median)",
            self.took.as_secs_f64(),
            tally.latency_p50_ms()
        );
    }

    async fn print_statement(&self, agree: &NodesAgree) -> Result<()> {
        println!("\nThe statement of the teleconsultations, in yuan: 30 / 55 / 15 %, rounded per event\n");
        let (proof, _) = self.desks.insurer.client.statement(self.evening.agreement, 0).await?;
        let statement = &proof.statement.statement;
        let decimals = statement.currency.decimals();
        for line in &statement.lines {
            if let Some(party) = agree.parties.get(line.party.position()) {
                let amount = line.share.amount_minor.to_decimal(decimals);
                println!("  {amount:>12}  {party} ({} services)", line.share.count);
            }
        }
        println!("  {:>12}  owed by {}", statement.total()?.to_decimal(decimals), self.desks.insurer.id);
        Ok(())
    }

    fn print_next_commands(&self, verified: &Verified) -> Result<()> {
        let program = ConsortiumFiles::client_program()?;
        if !self.keep {
            println!("Try next\n");
            println!("  make demo KEEP=1        the same, left running, with commands to ask it");
            println!("  make bench              how fast it is on this machine, and where the time goes");
            println!("  {} --help", program.display());
            return Ok(());
        }
        let client = format!("{} --config {}", program.display(), self.files.client_config.display());
        let (receipt, checkpoint) = (verified.receipt.display(), verified.checkpoint.display());
        let subject = self.evening.subject;
        println!("Try next, in another terminal\n");
        println!("  {client} referral show {}", self.evening.referral);
        println!("  {client} --profile health-commission stream show subject/{subject} --with-grants");
        println!("  {} verify {receipt} --trust {checkpoint}", program.display());
        Ok(())
    }
}
