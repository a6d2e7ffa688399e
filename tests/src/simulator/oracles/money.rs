//! Conservation of money: what every period must hold, from the services and reversals on the ledger alone, in plain
//! integers (rules T-13 to T-19), against the rows of a disk.
//!
//! - A statement's shares sum to what it settles, and its journal to zero.
//! - A service is settled once: over all closed periods, what was settled is what the services in them are worth.
//! - A closed period never changes; reversals that come later are posted to the open one.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::id::{AgreementId, ServiceId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::PeriodStatement;
use yilian_spec::domain::service::Service as ServiceRecord;
use yilian_spec::domain::service::{CountedIn, DeliverService};
use yilian_spec::settlement::statement::{LineKind, Statement};
use yilian_spec::state::key::StateKey;

use super::Finding;
use super::history::{Act, Agreement, History, Service};
use super::period::{Book, Counted};
use super::rows::{self, ACCUMULATOR, CLOSED_PERIOD, EVIDENCE, Rows, SERVICE, SETTLED, STATEMENT};
use super::streams::Streams;
use super::terms::{Event, Simple};

/// The kinds of rows that hold money.
const KINDS: [u8; 6] = [CLOSED_PERIOD, SERVICE, EVIDENCE, ACCUMULATOR, STATEMENT, SETTLED];

/// All that was counted and settled, as it must be.
#[derive(Default)]
pub struct Money {
    books: BTreeMap<AgreementId, Book>,
    /// The rows of the kinds above as they must be.
    expected: BTreeMap<Vec<u8>, Vec<u8>>,
    touched: BTreeSet<Vec<u8>>,
    /// Statements in which some amount is not zero.
    pub statements_with_amounts: u64,
    /// Services counted by some agreement.
    pub services_counted: u64,
    /// Reversals in a period that was closed before.
    pub late_reversals: u64,
}

impl Money {
    /// An operation takes effect; the history is that before it.
    ///
    /// # Errors
    /// When it refers to what was never made, or agrees on terms that no simulated consortium signs.
    pub fn applied(&mut self, history: &History, act: &Act<'_>, streams: &Streams) -> Result<(), Finding> {
        match act.operation {
            Operation::DeliverService(service) => self.deliver(history, act, service),
            Operation::ReverseService(reverse) => self.reverse(history, act, reverse.service),
            Operation::ClosePeriod(close) => {
                let agreement = history.agreement(close.agreement)?;
                self.close(agreement, close.agreement, act, streams)
            }
            Operation::RegisterKey(_)
            | Operation::RotateKey(_)
            | Operation::RevokeKey(_)
            | Operation::GrantAccess(_)
            | Operation::RevokeGrant(_)
            | Operation::RecordDisclosure(_)
            | Operation::RecordReceipt(_)
            | Operation::PublishCapacity(_)
            | Operation::RequestReferral(_)
            | Operation::AcceptReferral(_)
            | Operation::DeclineReferral(_)
            | Operation::RedirectReferral(_)
            | Operation::ConfirmRedirect(_)
            | Operation::CancelReferral(_)
            | Operation::HandOver(_)
            | Operation::AcknowledgeHandover(_)
            | Operation::ReportOutcome(_)
            | Operation::AmendOutcome(_)
            | Operation::CloseClinically(_)
            | Operation::CloseAdministratively(_)
            | Operation::ReturnDownward(_)
            | Operation::ProposeAgreement(_)
            | Operation::SignAgreement(_)
            | Operation::TerminateAgreement(_) => Ok(()),
        }
    }

    fn deliver(
        &mut self,
        history: &History,
        act: &Act<'_>,
        delivered: &DeliverService,
    ) -> Result<(), Finding> {
        let id = ServiceId(act.object());
        let mut counted_in = Vec::new();
        for (agreement_id, period, parts) in history.counting(act, delivered) {
            let gross = delivered.gross_minor.0.into();
            let event = Event { id, code: delivered.service.clone(), gross, parts };
            let book = self.book(agreement_id, history.agreement(agreement_id)?)?;
            book.period(period).counted.push(Counted { event, reversed_in: None });
            self.expect_open(agreement_id, period);
            counted_in.push((agreement_id, period));
        }
        self.services_counted += u64::from(!counted_in.is_empty());
        let service = Service {
            delivered: delivered.clone(),
            recorder: act.institution.clone(),
            transaction_id: act.transaction_id,
            counted_in,
            reversed_at: None,
        };
        self.expect_service(id, &service);
        self.expect(&StateKey::Evidence(delivered.evidence), yilian_spec::base::codec::encode(&id));
        Ok(())
    }

    fn reverse(&mut self, history: &History, act: &Act<'_>, id: ServiceId) -> Result<(), Finding> {
        let mut service = history.service(id)?.clone();
        for (agreement_id, period) in &service.counted_in {
            let agreement = history.agreement(*agreement_id)?;
            let open = agreement.open_period;
            let book = self.book(*agreement_id, agreement)?;
            book.reverse(id, *period, open);
            if *period != open {
                let settled = book.settled_row(*period);
                self.late_reversals += 1;
                self.expect(&StateKey::Settled(*agreement_id, *period), settled);
            }
            self.expect_open(*agreement_id, open);
        }
        service.reversed_at = Some(act.time);
        self.expect_service(id, &service);
        Ok(())
    }

    fn close(
        &mut self,
        agreement: &Agreement,
        id: AgreementId,
        act: &Act<'_>,
        streams: &Streams,
    ) -> Result<(), Finding> {
        let period = agreement.open_period;
        let book = self.book(id, agreement)?;
        let closing = book.close(id, period, agreement.period_began, act.time, streams);
        let settled = book.settled_row(period);
        self.statements_with_amounts += u64::from(closing.has_amounts);
        self.expect(&StateKey::Statement(id, period), closing.statement);
        self.expect(&StateKey::ClosedPeriod(id, period), closing.closed_period);
        self.expect(&StateKey::Settled(id, period), settled);
        let open = StateKey::Accumulator(id, period).bytes();
        self.expected.remove(&open);
        self.touched.insert(open);
        Ok(())
    }

    fn book(&mut self, id: AgreementId, agreement: &Agreement) -> Result<&mut Book, Finding> {
        let terms = &agreement.proposed.terms;
        match self.books.entry(id) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let simple = Simple::read(terms).ok_or(Finding::UnknownTerms { agreement: id })?;
                Ok(slot.insert(Book::new(terms, simple)))
            }
        }
    }

    fn expect(&mut self, key: &StateKey, row: Vec<u8>) {
        let key = key.bytes();
        self.touched.insert(key.clone());
        self.expected.insert(key, row);
    }

    fn expect_open(&mut self, id: AgreementId, period: u32) {
        if let Some(book) = self.books.get(&id) {
            self.expect(&StateKey::Accumulator(id, period), book.open_row(period));
        }
    }

    fn expect_service(&mut self, id: ServiceId, service: &Service) {
        let Service { delivered, recorder, transaction_id, counted_in, reversed_at } = service.clone();
        let counted_in =
            counted_in.into_iter().map(|(agreement, period)| CountedIn { agreement, period }).collect();
        let record = ServiceRecord { delivered, recorder, transaction_id, counted_in, reversed_at };
        self.expect(&StateKey::Service(id), yilian_spec::base::codec::encode(&record));
    }

    /// Compares the rows that changed since the last comparison, and all that belong to closed periods.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_touched(&mut self, rows: &Rows<'_>) -> Result<(), Finding> {
        let touched = std::mem::take(&mut self.touched);
        if touched.iter().any(|key| key.first() == Some(&STATEMENT)) {
            self.check_statements(&rows.all(STATEMENT)?)?;
        }
        let is_closed = |key: &&Vec<u8>| [CLOSED_PERIOD, STATEMENT].contains(&key[0]);
        for key in touched.iter().chain(self.expected.keys().filter(is_closed)) {
            compare(key, self.expected.get(key), rows.get_bytes(key)?.as_ref())?;
        }
        Ok(())
    }

    /// Compares all rows of money, and looks for such as should not be there.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_all(&self, rows: &Rows<'_>) -> Result<(), Finding> {
        check_counted_once(&rows.all(SERVICE)?)?;
        self.check_statements(&rows.all(STATEMENT)?)?;
        let mut found = BTreeMap::new();
        for kind in KINDS {
            found.extend(rows.all(kind)?);
        }
        for (key, expected) in &self.expected {
            compare(key, Some(expected), found.remove(key).as_ref())?;
        }
        match found.into_iter().next() {
            Some((key, row)) => compare(&key, None, Some(&row)),
            None => Ok(()),
        }
    }

    /// What the statements on a disk settle is what the services of their periods are worth.
    fn check_statements(&self, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Finding> {
        let mut settled: BTreeMap<AgreementId, i128> = BTreeMap::new();
        for (key, row) in found {
            let PeriodStatement { agreement, period, statement, .. } = rows::read(key, row)?;
            let Some(book) = self.books.get(&agreement) else {
                return Err(Finding::RowAdded { row: rows::name(key) });
            };
            check_balance(&statement, &book.simple).map_err(|reason| Finding::Unbalanced {
                agreement,
                period,
                reason,
            })?;
            *settled.entry(agreement).or_default() += lines(&statement, |_| true);
        }
        for (id, book) in &self.books {
            let (settled, worth) = (settled.get(id).copied().unwrap_or_default(), book.worth_settled());
            if settled != worth {
                return Err(Finding::NotConserved { agreement: *id, settled, worth });
            }
        }
        Ok(())
    }
}

fn compare(key: &[u8], expected: Option<&Vec<u8>>, found: Option<&Vec<u8>>) -> Result<(), Finding> {
    let row = || rows::name(key);
    match (expected, found) {
        _ if expected == found => Ok(()),
        (Some(_), Some(_)) if [CLOSED_PERIOD, STATEMENT].contains(&key[0]) => {
            Err(Finding::ClosedPeriodChanged { row: row() })
        }
        (Some(_), Some(_)) => Err(Finding::RowDiffers { row: row() }),
        (Some(_), None) => Err(Finding::RowMissing { row: row() }),
        (None, _) => Err(Finding::RowAdded { row: row() }),
    }
}

/// No service counts twice in an agreement.
fn check_counted_once(services: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Finding> {
    for (key, row) in services {
        let service: ServiceRecord = rows::read(key, row)?;
        let agreements: BTreeSet<AgreementId> =
            service.counted_in.iter().map(|counted| counted.agreement).collect();
        if agreements.len() != service.counted_in.len() {
            return Err(Finding::CountedTwice { row: rows::name(key) });
        }
    }
    Ok(())
}

fn lines(statement: &Statement, choose: impl Fn(LineKind) -> bool) -> i128 {
    let chosen = statement.lines.iter().filter(|line| choose(line.kind));
    chosen.map(|line| i128::from(line.share.amount_minor.0)).sum()
}

/// What is earned sums to what the statement's own volumes ask for; the journal that a reader computes sums to zero, and
/// takes from the payer what the lines give.
fn check_balance(statement: &Statement, simple: &Simple) -> Result<(), String> {
    let earned = lines(statement, |kind| kind == LineKind::Earned);
    let due: i128 = match simple {
        Simple::Split { .. } => {
            let volumes = statement.services.values();
            let nets = volumes.map(|volume| {
                i128::from(volume.delivered.gross_minor.0) - i128::from(volume.reversed.gross_minor.0)
            });
            nets.sum()
        }
        Simple::FixedPrice { fee, .. } => {
            let earned = statement.lines.iter().filter(|line| line.kind == LineKind::Earned);
            earned.map(|line| i128::from(line.share.count) * fee).sum()
        }
    };
    if earned != due {
        return Err(format!("the parties earn {earned}, but {due} is due"));
    }
    let journal = statement.journal().map_err(|error| error.to_string())?;
    let sum: i128 = journal.iter().map(|entry| i128::from(entry.amount_minor.0)).sum();
    if sum != 0 {
        return Err(format!("its journal sums to {sum}"));
    }
    let debit = journal.last().map_or(0, |entry| i128::from(entry.amount_minor.0));
    let total = lines(statement, |_| true);
    let is_payers = journal.last().is_none_or(|entry| entry.party == statement.payer);
    if debit != -total || !is_payers {
        return Err(format!("its lines sum to {total}, but the payer is debited {debit}"));
    }
    Ok(())
}
