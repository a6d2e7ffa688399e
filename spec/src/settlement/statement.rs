//! What comes out of a period: lines per party, a journal that sums to zero, and adjustments to periods already
//! closed (rules T-16 to T-19).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::PartyIndex;
use super::evaluate::{Figure, evaluate};
use super::period::{Accumulator, Direction, ServiceEvent, SettlementError, Volume};
use super::terms::{Rounding, Terms};
use crate::base::id::ServiceCode;
use crate::base::money::{AmountMinor, Currency, MoneyError};

/// What a line is for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LineKind {
    /// Owed for the services and metrics of this period.
    Earned,
    /// What late events change in a period closed before: recomputed less settled.
    Adjustment {
        /// The number of that period.
        period: u32,
    },
}

/// One line of a statement: what the payer owes a party. A negative amount is owed to the payer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The party.
    pub party: PartyIndex,
    /// What the line is for.
    pub kind: LineKind,
    /// How much.
    pub share: Share,
}

/// What a party did and what it is owed for it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Parts it played, less those reversed; in an adjustment, the change.
    pub count: i64,
    /// Gross amount of the services in which it played them, counted once per part.
    pub gross_minor: AmountMinor,
    /// What it is owed.
    pub amount_minor: AmountMinor,
}

impl Share {
    /// One line per share, in signed order.
    pub(super) fn lines(kind: LineKind, shares: &[Self]) -> Vec<Line> {
        let parties = (0..=u8::MAX).map(PartyIndex);
        parties.zip(shares).map(|(party, share)| Line { party, kind, share: *share }).collect()
    }

    pub(super) fn plus(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            count: self.count.checked_add(other.count).ok_or(MoneyError::AmountOutOfRange)?,
            gross_minor: self.gross_minor.plus(other.gross_minor)?,
            amount_minor: self.amount_minor.plus(other.amount_minor)?,
        })
    }

    fn minus(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            count: self.count.checked_sub(other.count).ok_or(MoneyError::AmountOutOfRange)?,
            gross_minor: self.gross_minor.minus(other.gross_minor)?,
            amount_minor: self.amount_minor.minus(other.amount_minor)?,
        })
    }
}

/// One entry of a journal: a credit to a party, or (negative) its debit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// The party.
    pub party: PartyIndex,
    /// What it gets.
    pub amount_minor: AmountMinor,
}

/// The statement of a period: who is owed what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The currency of every amount.
    pub currency: Currency,
    /// The party that owes the sum of the lines.
    pub payer: PartyIndex,
    /// What was delivered and reversed, per service.
    pub services: BTreeMap<ServiceCode, Volume>,
    /// The named rounding points on the way to the amounts; none where the split rounds per event.
    pub figures: Vec<Figure>,
    /// One earned line per party in signed order, then adjustments.
    pub lines: Vec<Line>,
}

impl Statement {
    /// The sum of all lines: what the payer owes.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when it does not fit.
    pub fn total(&self) -> Result<AmountMinor, MoneyError> {
        AmountMinor::sum(self.lines.iter().map(|line| line.share.amount_minor))
    }

    /// Double entry: each line's credit, then the payer's debit of their sum. The entries sum to zero (rule T-17).
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when the sum does not fit.
    pub fn journal(&self) -> Result<Vec<JournalEntry>, MoneyError> {
        let credits = self.lines.iter().filter(|line| line.share.amount_minor != AmountMinor::ZERO);
        let mut entries: Vec<JournalEntry> = credits
            .map(|line| JournalEntry { party: line.party, amount_minor: line.share.amount_minor })
            .collect();
        if !entries.is_empty() {
            entries.push(JournalEntry { party: self.payer, amount_minor: self.total()?.negated()? });
        }
        Ok(entries)
    }

    /// What the journal leaves each of `parties` parties with: above zero it gets, below it owes. Sums to zero.
    ///
    /// # Errors
    /// [`MoneyError::AmountOutOfRange`] when a position does not fit.
    pub fn positions(&self, parties: usize) -> Result<Vec<AmountMinor>, MoneyError> {
        let journal = self.journal()?;
        let of_party = |party: usize| {
            let entries = journal.iter().filter(move |entry| entry.party.position() == party);
            AmountMinor::sum(entries.map(|entry| entry.amount_minor))
        };
        (0..parties).map(of_party).collect()
    }
}

/// A period that was closed: its sums with every late event applied, and what was settled of it so far (rule T-18).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettledPeriod {
    /// The number of the period.
    period: u32,
    /// The sums, late events included.
    accumulator: Accumulator,
    /// What statements have settled, or will when the open period closes, per party.
    settled: Vec<Share>,
}

/// Closes a period: its statement, and what must be kept for events that come late (rule T-16).
///
/// # Errors
/// [`SettlementError`] when the expression has no value over the period's events or a sum does not fit.
pub fn close(
    terms: &Terms,
    period: u32,
    accumulator: Accumulator,
) -> Result<(Statement, SettledPeriod), SettlementError> {
    let (settled, figures) = shares(terms, &accumulator)?;
    let mut lines = Share::lines(LineKind::Earned, &settled);
    lines.extend(accumulator.adjustment_lines());
    let services = accumulator.services().clone();
    let statement = Statement { currency: terms.currency, payer: terms.payer, services, figures, lines };
    // Whoever reads the statement can compute the journal: what does not fit is refused here, once.
    statement.positions(terms.parties.len())?;
    Ok((statement, SettledPeriod { period, accumulator, settled }))
}

impl SettledPeriod {
    /// Applies an event that belongs to this period and came after it closed, and posts the change, recomputed less
    /// settled, to the `open` period (rule T-19). The closed statement stays as it is. On an error nothing has
    /// changed.
    ///
    /// # Errors
    /// As [`Accumulator::record`] and [`close`], and [`SettlementError::TooManyAdjustedPeriods`].
    pub fn record_late(
        &mut self,
        open: &mut Accumulator,
        terms: &Terms,
        event: &ServiceEvent,
        direction: Direction,
    ) -> Result<(), SettlementError> {
        let mut accumulator = self.accumulator.clone();
        accumulator.record(terms, event, direction)?;
        let (recomputed, _) = shares(terms, &accumulator)?;
        let pairs = recomputed.iter().zip(&self.settled);
        let changes: Vec<Share> =
            pairs.map(|(recomputed, settled)| recomputed.minus(*settled)).collect::<Result<_, _>>()?;
        let mut adjusted = open.clone();
        adjusted.adjust(self.period, &changes)?;
        *open = adjusted;
        self.accumulator = accumulator;
        self.settled = recomputed;
        Ok(())
    }

    /// The number of the period.
    pub fn period(&self) -> u32 {
        self.period
    }

    /// The sums, late events included.
    pub fn accumulator(&self) -> &Accumulator {
        &self.accumulator
    }
}

/// What each party did and is owed over the sums of a period.
fn shares(terms: &Terms, accumulator: &Accumulator) -> Result<(Vec<Share>, Vec<Figure>), SettlementError> {
    let (amounts, figures) = match terms.rounding {
        Rounding::PerEvent => {
            let mut amounts = accumulator.split().to_vec();
            amounts.resize(terms.parties.len(), AmountMinor::ZERO);
            (amounts, Vec::new())
        }
        Rounding::PerPeriod => {
            let evaluation = evaluate(terms, accumulator)?;
            (evaluation.amounts, evaluation.figures)
        }
    };
    let mut shares: Vec<Share> =
        amounts.into_iter().map(|amount| Share { amount_minor: amount, ..Share::default() }).collect();
    for row in accumulator.parts() {
        let net = row.volume.net();
        if let Some(share) = shares.get_mut(row.played.party.position()) {
            let count = i64::try_from(net.count).ok().and_then(|count| share.count.checked_add(count));
            share.count = count.ok_or(MoneyError::AmountOutOfRange)?;
            share.gross_minor = share.gross_minor.plus(net.gross_minor)?;
        }
    }
    Ok((shares, figures))
}
