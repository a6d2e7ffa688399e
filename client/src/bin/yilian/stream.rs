//! `yilian stream`: everything about something, proven complete.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use yilian_client::client::Client;
use yilian_client::error::{ClientError, exit};
use yilian_spec::api::transaction::TransactionPart;
use yilian_spec::base::height::Height;
use yilian_spec::domain::Operation;
use yilian_spec::proof::StreamProof;
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream::{Entry, EntryKind};

use crate::command::Outcome;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::statement::save;

/// Streams: everything about a subject, an institution, a grant, a referral or a period, proven complete.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian stream show institution/renhe-hospital")]
pub enum StreamCommand {
    /// Show all entries of a stream, and that none was left out.
    ///
    /// A stream that the ledger does not know, as after a mistyped tag, ends with exit code 6: that it has no entries
    /// says nothing about anybody. So does one that is there for others: a node tells nobody else whether there is one.
    #[command(
        after_help = "Examples:\n  yilian stream show institution/renhe-hospital --resolve\n  yilian stream show institution/renhe-hospital --from 10 --json"
    )]
    Show(Show),
    /// Save a stream with its proof, for `yilian verify`.
    #[command(after_help = "Example:\n  yilian stream save institution/renhe-hospital stream.json")]
    Save {
        /// The stream.
        stream: StreamId,
        /// The file; one that exists is not overwritten.
        file: PathBuf,
        /// Only entries from this index on.
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
    },
}

/// Which stream, and how much of it.
#[derive(Debug, Args)]
pub struct Show {
    /// The stream: subject/TAG, institution/ID, grant/ID, referral/ID or period/AGREEMENT.NUMBER.
    stream: StreamId,
    /// Only entries from this index on.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Fetch and verify each entry's transaction, and show who did what. One that is not readable to you is named as such.
    #[arg(long)]
    resolve: bool,
}

/// What an entry's transaction says.
struct Found {
    institution: String,
    operation: &'static str,
    verified: bool,
}

/// Why an entry's transaction says nothing here. That the stream is complete does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Gap {
    /// The node shows it to others only.
    NotReadable,
    /// The node does not have it.
    NotThere,
}

impl Gap {
    fn words(self) -> &'static str {
        match self {
            Self::NotReadable => "not readable to you",
            Self::NotThere => "the node does not have it",
        }
    }

    /// The gap that an error is about a single transaction; `None` for what concerns all of them.
    fn of(error: &ClientError) -> Option<Self> {
        match error {
            ClientError::Rejected { status: 403, code, .. } if code == "not_yours" => Some(Self::NotReadable),
            ClientError::NotFound { .. } => Some(Self::NotThere),
            _ => None,
        }
    }
}

type Resolved = Result<Found, Gap>;

impl StreamCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let client = context.client(None).await?;
        match self {
            Self::Show(show) => {
                let (proof, verified) = fetch(&client, &show.stream, show.from).await?;
                let mut resolved = Vec::new();
                if show.resolve {
                    for entry in &proof.entries {
                        resolved.push(resolve(&client, entry).await?);
                    }
                }
                print(context, &proof, verified, &resolved);
                Ok(exit_code(&proof))
            }
            Self::Save { stream, file, from } => {
                let (proof, verified) = fetch(&client, &stream, from).await?;
                let code = exit_code(&proof);
                if code == exit::UNKNOWN {
                    output::warn(&unknown(&proof.stream));
                }
                save(context, &file, proof.into(), verified)?;
                Ok(code)
            }
        }
    }
}

async fn fetch(client: &Client, stream: &StreamId, from: u64) -> Result<(StreamProof, bool), Failure> {
    client.stream(stream, from).await.map_err(|error| match error {
        ClientError::NoneOfYours { .. } => Failure::Unknown(error.to_string()),
        other => other.into(),
    })
}

/// A stream comes to be with its first entry: one without any is known to nobody.
fn exit_code(proof: &StreamProof) -> u8 {
    let is_known = proof.before.length() > 0 || !proof.entries.is_empty();
    if is_known { exit::OK } else { exit::UNKNOWN }
}

fn unknown(stream: &StreamId) -> String {
    let hint = match stream {
        StreamId::Subject(_) => "check the tag; it does not say that nobody looked",
        StreamId::Institution(_) => "check the name; an institution that did nothing yet has none either",
        StreamId::Grant(_) | StreamId::Referral(_) | StreamId::Period { .. } => "check the identifier",
    };
    format!("the ledger knows no stream {stream}: {hint}")
}

/// Proves the entry's transaction, and that it has the operation that the entry points at.
async fn resolve(client: &Client, entry: &Entry) -> Result<Resolved, Failure> {
    let number = entry.operation;
    let (height, institution, operation, verified) =
        match client.transaction_proof(entry.transaction_id).await {
            Ok((proof, verified)) => {
                let body = &proof.transaction.body;
                let operation = body.operations.get(usize::from(number)).map(Operation::name);
                (proof.block.header.height, body.institution.to_string(), operation, verified)
            }
            // Operations that concern others stand beside it: the node tells of it, and nothing proves what it tells.
            Err(ClientError::Rejected { code, .. }) if code == "partly_yours" => {
                let (height, part) = match part(client, entry).await? {
                    Ok(found) => found,
                    Err(gap) => return Ok(Err(gap)),
                };
                let operation = part.operations.into_iter().find(|one| one.number == number);
                let Some(operation) = operation else { return Ok(Err(Gap::NotReadable)) };
                (height, part.institution.to_string(), Some(operation.operation.name()), false)
            }
            Err(error) => return Gap::of(&error).map(Err).ok_or(error.into()),
        };
    match operation.filter(|_| height == entry.height) {
        Some(operation) => Ok(Ok(Found { institution, operation, verified })),
        None => Err(Failure::Verification(format!(
            "transaction {} is not what its entry says",
            entry.transaction_id
        ))),
    }
}

/// What the node tells of a transaction that is partly the caller's, with the height of its block.
async fn part(client: &Client, entry: &Entry) -> Result<Result<(Height, TransactionPart), Gap>, Failure> {
    match client.poll(entry.transaction_id, 0).await {
        Ok(Some(found)) => Ok(found.part.map(|part| (found.height, part)).ok_or(Gap::NotReadable)),
        Ok(None) => Ok(Err(Gap::NotThere)),
        Err(error) => Gap::of(&error).map(Err).ok_or(error.into()),
    }
}

fn print(context: &Context, proof: &StreamProof, verified: bool, resolved: &[Resolved]) {
    let first = proof.before.length();
    let header = &proof.block.header;
    if context.json() {
        let entry = |(position, entry): (usize, &Entry)| {
            let found = resolved.get(position).and_then(|resolved| resolved.as_ref().ok());
            let gap = resolved.get(position).and_then(|resolved| resolved.as_ref().err());
            json!({
                "index": first + position as u64,
                "height": entry.height,
                "transaction_id": entry.transaction_id,
                "operation": entry.operation,
                "kind": entry.kind,
                "institution": found.map(|found| &found.institution),
                "operation_name": found.map(|found| found.operation),
                "transaction_verified": found.map(|found| found.verified),
                "gap": gap,
            })
        };
        let entries: Vec<_> = proof.entries.iter().enumerate().map(entry).collect();
        return output::print_json(&json!({
            "stream": proof.stream.to_string(),
            "known": exit_code(proof) == exit::OK,
            "length": first + proof.entries.len() as u64,
            "from": first,
            "entries": entries,
            "height": header.height,
            "time": header.time,
            "verified": verified,
            "complete": verified && first == 0,
        }));
    }
    let standing = output::standing(header.height.0, header.time, verified);
    if exit_code(proof) == exit::UNKNOWN {
        let proven = if verified { "proven: it has no entries" } else { "as the node says" };
        output::print_line(&unknown(&proof.stream));
        return output::print_line(&format!("{proven} ({standing})"));
    }
    let row = |(position, entry): (usize, &Entry)| {
        let mut row = vec![
            (first + position as u64).to_string(),
            entry.height.to_string(),
            entry.transaction_id.to_string(),
            entry.operation.to_string(),
            if entry.kind == EntryKind::Refused { "refused".to_owned() } else { String::new() },
        ];
        row.extend(resolved.get(position).into_iter().flat_map(|resolved| match resolved {
            Ok(found) => [found.institution.clone(), found.operation.to_owned()],
            Err(gap) => [String::new(), gap.words().to_owned()],
        }));
        row
    };
    let mut columns = vec!["index", "block", "transaction", "operation", ""];
    if !resolved.is_empty() {
        columns.extend(["by", "what"]);
    }
    output::print_table(&columns, proof.entries.iter().enumerate().map(row).collect());
    let count = proof.entries.len();
    output::print_line(&match (verified, first) {
        (true, 0) => format!("{count} entries, complete: none was left out ({standing})"),
        (true, _) => format!("{count} entries from {first} on, none of them left out ({standing})"),
        (false, _) => format!("{count} entries ({standing})"),
    });
    print_gaps(resolved);
}

/// How many entries' transactions could not be shown, by the reason.
fn print_gaps(resolved: &[Resolved]) {
    for gap in [Gap::NotReadable, Gap::NotThere] {
        let count = resolved.iter().filter(|resolved| resolved.as_ref().err() == Some(&gap)).count();
        if count > 0 {
            output::print_line(&format!("transactions of {count} entries: {}", gap.words()));
        }
    }
}
