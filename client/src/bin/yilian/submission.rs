//! Submitting from the command line: sign, check, send, wait with a spinner, verify, print.
//!
//! A refusal stays on the ledger for ever. So a node is asked first what the rules would say, and what they would refuse
//! is not submitted, unless `--force` says that the attempt itself is to be on record.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use yilian_client::client::Client;
use yilian_client::client::submit::{Confirmed, Submitted};
use yilian_client::error::{ClientError, exit};
use yilian_spec::base::id::TransactionId;
use yilian_spec::domain::Operation;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome as Became;
use yilian_spec::ledger::transaction::Transaction;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::strangers;

/// An object that an operation creates.
#[derive(Debug, Clone, Serialize)]
pub struct Created {
    /// The operation, counted from 0.
    pub operation: u16,
    /// What it is.
    pub kind: &'static str,
    /// Its identifier.
    pub id: String,
}

/// What the operations of a transaction create when they take effect.
pub fn created(transaction_id: TransactionId, operations: &[Operation]) -> Vec<Created> {
    let object = |(index, operation): (u16, &Operation)| {
        let kind = operation.creates()?.name();
        Some(Created { operation: index, kind, id: hex::encode(operation.object_id(transaction_id, index)) })
    };
    (0..=u16::MAX).zip(operations).filter_map(object).collect()
}

/// Signs one operation with the key for its role, submits it and prints what becomes of it.
///
/// # Errors
/// When it cannot be signed, submitted or waited for. A refusal by the rules is printed and gives its exit code.
pub async fn submit(context: &Context, operation: Operation) -> Outcome {
    let client = context.client(Some(operation.role())).await?;
    submit_with(context, &client, vec![operation]).await
}

/// As [`submit`], for operations that succeed or fail together, with a client that has the key.
///
/// # Errors
/// As [`submit`].
pub async fn submit_with(context: &Context, client: &Client, operations: Vec<Operation>) -> Outcome {
    submit_as(context, client, None, operations).await
}

/// As [`submit_with`] for a key that may replace itself: once it has, it may not ask any more, and its successor does.
///
/// # Errors
/// As [`submit`].
pub async fn submit_as(
    context: &Context,
    client: &Client,
    successor: Option<&Client>,
    operations: Vec<Operation>,
) -> Outcome {
    let transaction = client.sign(operations)?;
    submit_signed(context, client, successor, transaction).await
}

/// As [`submit`], for a transaction that is signed.
///
/// # Errors
/// As [`submit`].
pub async fn submit_signed(
    context: &Context,
    client: &Client,
    successor: Option<&Client>,
    transaction: Transaction,
) -> Outcome {
    let is_own = client.institution() == Some(&transaction.body.institution);
    if is_own && !context.global.force {
        let checked = client.check(&transaction.body).await?;
        if let Became::Refused { operation, reason } = checked.outcome {
            let operations = &transaction.body.operations;
            let told = Told::new(client, operations, operation, reason).await;
            print_would_be_refused(context, checked.height.0, operation, reason, &told);
            return Ok(exit::REFUSED);
        }
    }
    let spinner = spinner("submitting");
    let submitted = client.submit_signed(transaction).await?;
    if let Some(notice) = &submitted.notice {
        spinner
            .suspend(|| eprintln!("warning: a node has taken it, but it will not be final soon: {notice}"));
    }
    if context.global.no_wait {
        spinner.finish_and_clear();
        return Ok(print_pending(context, &submitted));
    }
    spinner.set_message("waiting for finality");
    let mut confirmed = client.confirm(&submitted, context.timeout_ms()).await;
    if let (Some(successor), Err(ClientError::Rejected { code, .. })) = (successor, &confirmed)
        && code == "key_revoked"
    {
        confirmed = successor.confirm(&submitted, context.timeout_ms()).await;
    }
    spinner.finish_and_clear();
    let confirmed = confirmed?;
    let told = match confirmed.outcome {
        Became::Applied => None,
        Became::Refused { operation, reason } => {
            let operations = &submitted.transaction.body.operations;
            Some(Told::new(client, operations, operation, reason).await)
        }
    };
    print_confirmed(context, &submitted, &confirmed, told.as_ref())
}

/// What people are told about a refusal.
struct Told {
    /// That it is refused, and why.
    refused: String,
    /// What to do about it, where the rule's own words do not say it.
    hint: Option<String>,
}

impl Told {
    async fn new(client: &Client, operations: &[Operation], operation: u16, reason: Refusal) -> Self {
        let hint = match (reason, operations.get(usize::from(operation))) {
            (Refusal::NoSuchInstitution, Some(operation)) => strangers::describe(client, operation).await,
            _ => hint(reason).map(str::to_owned),
        };
        // Whoever submits one operation need not know that there can be more.
        let place = if operations.len() > 1 { format!(" at operation {operation}") } else { String::new() };
        Self { refused: format!("refused{place}: {reason}"), hint }
    }

    fn print(&self) {
        output::print_line(&self.refused);
        if let Some(hint) = &self.hint {
            output::print_line(hint);
        }
    }
}

/// A spinner on standard error; nothing where that is no terminal.
fn spinner(message: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.set_style(ProgressStyle::default_spinner());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn objects(submitted: &Submitted) -> Vec<Created> {
    created(submitted.transaction_id, &submitted.transaction.body.operations)
}

fn print_would_be_refused(context: &Context, height: u64, operation: u16, reason: Refusal, told: &Told) {
    if context.json() {
        return output::print_json(&json!({
            "transaction_id": Value::Null,
            "status": "not_submitted",
            "created": [],
            "height": height,
            "time_ms": Value::Null,
            "refusal": {"operation": operation, "reason": reason, "message": reason.to_string()},
            "verified": false,
        }));
    }
    told.print();
    output::print_line(&format!(
        "not submitted, nothing is on record (checked on block {height}); --force records the attempt and its refusal"
    ));
}

/// What to do about a refusal, where the rule's own words do not say it.
fn hint(reason: Refusal) -> Option<&'static str> {
    (reason == Refusal::CommitmentMismatch).then_some(
        "the document, or the salt beside it, is not what the other side committed to: ask for the document again, \
         together with its FILE.salt.json",
    )
}

fn print_pending(context: &Context, submitted: &Submitted) -> u8 {
    let objects = objects(submitted);
    if context.json() {
        output::print_json(&json!({
            "transaction_id": submitted.transaction_id,
            "status": "pending",
            "created": objects,
            "height": Value::Null,
            "time_ms": Value::Null,
            "refusal": Value::Null,
            "verified": false,
        }));
    } else {
        print_identifiers(submitted.transaction_id, &objects);
        output::print_line("submitted, not final yet");
    }
    exit::OK
}

fn print_confirmed(
    context: &Context,
    submitted: &Submitted,
    confirmed: &Confirmed,
    told: Option<&Told>,
) -> Result<u8, Failure> {
    let refusal = match confirmed.outcome {
        Became::Applied => None,
        Became::Refused { operation, reason } => Some((operation, reason)),
    };
    // A refused transaction creates nothing, whatever its operations say.
    let objects = if refusal.is_none() { objects(submitted) } else { Vec::new() };
    let standing = output::standing(confirmed.height.0, confirmed.time, confirmed.verified);
    if context.json() {
        output::print_json(&json!({
            "transaction_id": submitted.transaction_id,
            "status": if refusal.is_none() { "applied" } else { "refused" },
            "created": objects,
            "height": confirmed.height,
            "time_ms": confirmed.time,
            "refusal": refusal.map(|(operation, reason)| json!({
                "operation": operation, "reason": reason, "message": reason.to_string(),
            })),
            "verified": confirmed.verified,
        }));
    } else {
        print_identifiers(submitted.transaction_id, &objects);
        match told {
            None => output::print_line(&format!("final in {standing}")),
            Some(told) => {
                told.print();
                output::print_line(&format!("the refusal is on record in {standing}"));
            }
        }
    }
    Ok(if refusal.is_none() { exit::OK } else { exit::REFUSED })
}

fn print_identifiers(transaction_id: TransactionId, objects: &[Created]) {
    let mut fields = vec![("transaction", transaction_id.to_string())];
    fields.extend(objects.iter().map(|object| (object.kind, object.id.clone())));
    output::print_fields(&fields);
}
