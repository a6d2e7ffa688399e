//! What a proof shows, in one paragraph for people.

use yilian_spec::base::money::Currency;
use yilian_spec::ledger::block::Header;
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::proof::{
    CertifiedHeader, Checkpoint, Proof, ProofDocument, ProofError, StateProof, StatementProof, StreamParts,
};
use yilian_spec::state::key::StateKey;

use yilian_local::moment;

/// Verifies a proof against a checkpoint and says what it proves.
///
/// # Errors
/// The first rule that is broken.
pub fn verified(document: &ProofDocument, checkpoint: &Checkpoint) -> Result<String, ProofError> {
    let header = document.verify(checkpoint)?;
    let claim = match &document.proof {
        Proof::Transaction(proof) => transaction(&proof.transaction, &proof.receipt),
        Proof::State(proof) => state(proof),
        Proof::Stream(proof) => stream(&StreamParts::new(proof, proof.part()?)),
        Proof::Statement(proof) => statement(proof, checkpoint)?,
        Proof::Inclusion(proof) => {
            format!("{}, and stands in the ledger's log", transaction(&proof.transaction, &proof.receipt))
        }
        Proof::Consistency(proof) => {
            let Header { height, log_size, .. } = proof.earlier.header;
            format!(
                "The ledger continued that of block {height}: none of its {log_size} transactions was taken back"
            )
        }
    };
    let signed = document.block().certificate.signatures.len();
    Ok(format!("{claim}, {}", signed_by(header, signed, checkpoint)))
}

/// What parts of a stream show that were verified one by one against this checkpoint.
pub fn verified_parts(parts: &StreamParts, last: &CertifiedHeader, checkpoint: &Checkpoint) -> String {
    let signed = last.certificate.signatures.len();
    format!("{}, {}", stream(parts), signed_by(&last.header, signed, checkpoint))
}

fn signed_by(header: &Header, signed: usize, checkpoint: &Checkpoint) -> String {
    format!(
        "as of block {} of {}. {signed} of the {} validators of the checkpoint at height {} of chain {} signed that block.",
        header.height,
        moment::show(header.time),
        checkpoint.validators.validators().len(),
        checkpoint.height,
        header.chain_id,
    )
}

fn stream(parts: &StreamParts) -> String {
    let (name, length, first, next) = (parts.stream(), parts.length(), parts.first(), parts.next());
    match (length, first, next - first) {
        (0, ..) => format!("The ledger knew no stream {name}: it had no entries"),
        (1, 0, 1) => format!("The stream {name} had exactly one entry; none was left out"),
        (_, 0, count) if count == length => {
            format!("The stream {name} had exactly these {length} entries; none was left out")
        }
        (.., count) if next == length => format!(
            "The stream {name} had {length} entries, and from number {first} on exactly these {count}; none of those was left out"
        ),
        (.., count) => format!(
            "The stream {name} had {length} entries, and from number {first} to number {} exactly these {count}; none of those was left out",
            next - 1
        ),
    }
}

fn transaction(transaction: &Transaction, receipt: &Receipt) -> String {
    let body = &transaction.body;
    // A gateway records hundreds of the same kind at once; each run of them is named once.
    let runs = body.operations.chunk_by(|left, right| left.name() == right.name());
    let names: Vec<String> = runs
        .map(|run| match run {
            [only] => only.name().to_owned(),
            many => format!("{} times {}", many.len(), many[0].name()),
        })
        .collect();
    let became = match receipt.outcome {
        Outcome::Applied => "took effect".to_owned(),
        Outcome::Refused { operation, reason } => {
            format!("was refused by the rules at operation {operation} ({reason})")
        }
    };
    format!(
        "Transaction {}, signed by key {} for {} and asking for {}, {became}",
        transaction.id(),
        body.author,
        body.institution,
        names.join(", ")
    )
}

fn state(proof: &StateProof) -> String {
    let row = row_name(&proof.row.key);
    match &proof.row.value {
        Some(value) => format!("The ledger held {row}, with the {} bytes in the file", value.len()),
        None => format!("The ledger held no {row}"),
    }
}

fn statement(proof: &StatementProof, checkpoint: &Checkpoint) -> Result<String, ProofError> {
    let shown = proof.verify(checkpoint)?;
    let statement = &proof.statement.statement;
    let parties = &shown.agreement.terms.parties;
    let lines: Vec<String> = statement
        .lines
        .iter()
        .filter_map(|line| {
            let party = &parties.get(line.party.position())?.institution;
            Some(format!("{party} {}", amount(line.share.amount_minor.0, statement.currency)))
        })
        .collect();
    let payer = parties.get(statement.payer.position()).map_or("nobody", |party| party.institution.as_str());
    Ok(format!(
        "Period {} of agreement {}, from {} to {} with {} events, was closed with this statement: {payer} owes {}",
        proof.statement.period,
        proof.statement.agreement,
        moment::show(shown.closed_period.began),
        moment::show(shown.closed_period.closed),
        shown.closed_period.events,
        if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") },
    ))
}

/// An amount with its currency, such as `1234.50 CNY`.
pub fn amount(minor: i64, currency: Currency) -> String {
    format!("{} {currency}", yilian_spec::base::money::AmountMinor(minor).to_decimal(currency.decimals()))
}

/// What the row under a state key is: its kind, and what its key names.
pub fn row_name(key: &[u8]) -> String {
    match StateKey::parse(key) {
        Some(parsed) if parsed.kind().is_proven() => parsed.to_string(),
        Some(parsed) => format!("unproven {parsed}"),
        None => format!("row {}", hex::encode(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yilian_spec::base::id::{AgreementId, GrantId, InstitutionId, ServiceCode};
    use yilian_spec::state::key::StreamId;

    #[test]
    fn every_proven_row_has_a_name() {
        let institution = InstitutionId::new("renhe-hospital").unwrap();
        let ones = "01".repeat(32);
        let cases = [
            (StateKey::Institution(institution.clone()), "institution renhe-hospital".to_owned()),
            (StateKey::Validators, "set of validators".to_owned()),
            (StateKey::Grant(GrantId([1; 32])), format!("grant {ones}")),
            (
                StateKey::Capacity(institution.clone(), ServiceCode::new("imaging").unwrap()),
                "capacity renhe-hospital imaging".to_owned(),
            ),
            (StateKey::ClosedPeriod(AgreementId([1; 32]), 258), format!("closed period {ones} 258")),
            (
                StateKey::StreamHead(StreamId::Institution(institution)),
                "head of the stream institution/renhe-hospital".to_owned(),
            ),
            (
                StateKey::StreamHead(StreamId::Period { agreement: AgreementId([1; 32]), period: 7 }),
                format!("head of the stream period/{ones}.7"),
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(row_name(&key.bytes()), expected);
        }
        assert_eq!(
            row_name(&StateKey::NodeKeys(InstitutionId::new("renhe-hospital").unwrap()).bytes()),
            "unproven node keys renhe-hospital"
        );
        assert_eq!(row_name(&[0x80, 1]), "row 8001");
    }
}
