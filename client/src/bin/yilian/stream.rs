//! `yilian stream`: everything about something, proven complete.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use yilian_client::client::Client;
use yilian_client::client::history::{Gap, Resolved, ResolvedStream};
use yilian_client::client::stream::{StreamReader, WholeStream};
use yilian_client::error::{ClientError, exit};
use yilian_local::durable::NewFile;
use yilian_spec::base::id::SubjectTag;
use yilian_spec::base::limits::STREAM_PART_ENTRIES_MAX;
use yilian_spec::proof::StreamParts;
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream::{Entry, EntryKind};

use crate::context::Context;
use crate::details::details;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;
use crate::saving;

/// Streams: everything about a subject, an institution, a grant, a referral or a period, proven complete.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian stream show institution/renhe-hospital")]
pub enum StreamCommand {
    /// Show all entries of a stream, and that none was left out.
    ///
    /// A subject's stream is a table of contents: its consents, grants, referrals and denials. What was disclosed under a grant
    /// stands in the grant's stream; --with-grants shows those too, and with them everything about the subject.
    ///
    /// A stream that the ledger does not know, as after a mistyped tag, ends with exit code 6: that it has no entries
    /// says nothing about anybody. So does one that is there for others: a node tells nobody else whether there is one.
    #[command(
        after_help = "Examples:\n  yilian stream show institution/renhe-hospital --resolve\n  yilian stream show institution/renhe-hospital --from 10 --json\n  yilian stream show \\\n    subject/5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee \\\n    --with-grants"
    )]
    Show(Show),
    /// Save a stream with its proof, for `yilian verify`: one line for each part of some thousands of entries.
    #[command(after_help = "Example:\n  yilian stream save institution/renhe-hospital stream.json")]
    Save {
        /// The stream: subject/TAG, institution/ID, grant/ID, referral/ID or period/AGREEMENT.NUMBER.
        #[arg(value_parser = parse::stream)]
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
    #[arg(value_parser = parse::stream)]
    stream: StreamId,
    /// Only entries from this index on.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Fetch and verify each entry's transaction, and show who did what. One that is not readable to you is named as such.
    #[arg(long)]
    resolve: bool,
    /// Entries at most.
    #[arg(long, value_name = "ENTRIES")]
    limit: Option<NonZeroU64>,
    /// Of a subject: also the streams of all its grants, each entry with who did what.
    #[arg(long, conflicts_with_all = ["from", "limit"])]
    with_grants: bool,
}

impl StreamCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Show(Show { with_grants: true, stream, .. }) => {
                let StreamId::Subject(subject) = stream else {
                    return Err(Failure::Usage(format!(
                        "--with-grants is for subjects: {stream} names no grants"
                    )));
                };
                show_with_grants(context, subject).await
            }
            Self::Show(show) => {
                let client = context.client(None).await?;
                let stream = read(&client, &show).await.map_err(unknown_to_caller)?;
                let operations = match show.resolve {
                    true => {
                        resolving(async |progress| client.resolve(&stream.entries, progress).await).await?
                    }
                    false => Vec::new(),
                };
                let code = exit_code(&stream.parts);
                let found = ResolvedStream { stream, operations };
                if context.json() {
                    output::print_json(&json_of(&found));
                } else {
                    print(&found);
                }
                Ok(code)
            }
            Self::Save { stream, file, from } => {
                let client = context.client(None).await?;
                save(context, client.read_stream(stream, from), &file).await
            }
        }
    }
}

async fn show_with_grants(context: &Context, subject: SubjectTag) -> Outcome {
    let client = context.client(None).await?;
    let history = resolving(async |progress| client.subject_history(subject, progress).await)
        .await
        .map_err(unknown_to_caller)?;
    let code = exit_code(&history.contents.stream.parts);
    if context.json() {
        output::print_json(&json!({
            "contents": json_of(&history.contents),
            "grants": history.grants.iter().map(|(_, found)| json_of(found)).collect::<Vec<_>>(),
            "entries": history.count(),
            "complete": history.is_complete(),
        }));
        return Ok(code);
    }
    let grants = history.grants.iter().map(|(_, found)| found);
    for found in [&history.contents].into_iter().chain(grants) {
        output::print_line(&format!("stream {}", found.stream.parts.stream()));
        print(found);
        output::print_line("");
    }
    if code == exit::OK {
        output::print_line(&summary(history.count(), history.grants.len() + 1, history.is_complete()));
    }
    Ok(code)
}

/// Shows how many of the transactions that a stream names are there.
async fn resolving<T>(
    read: impl AsyncFnOnce(&dyn Fn(usize, usize)) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let bar = output::progress_bar().with_message("transactions");
    let found = read(&|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })
    .await;
    bar.finish_and_clear();
    found
}

async fn read(client: &Client, show: &Show) -> Result<WholeStream, ClientError> {
    let Some(limit) = show.limit else { return client.stream(&show.stream, show.from).await };
    let mut reader = client.read_stream(show.stream.clone(), show.from);
    let mut entries = Vec::new();
    loop {
        let missing = limit.get() - entries.len() as u64;
        entries.extend(reader.next(Some(missing.min(STREAM_PART_ENTRIES_MAX))).await?.entries);
        let parts = reader.parts().expect("a part was read").clone();
        if parts.reach_the_end() || entries.len() as u64 >= limit.get() {
            return Ok(WholeStream { parts, entries, verified: reader.verified() });
        }
    }
}

/// Writes the parts as they come, so that a stream of any length can be saved.
async fn save(context: &Context, mut reader: StreamReader<'_>, path: &Path) -> Outcome {
    let mut file = NewFile::begin(path)?;
    let progress = output::progress_bar().with_message("entries");
    let parts = loop {
        let proof = reader.next(None).await.map_err(unknown_to_caller)?;
        saving::append(&mut file, &proof.into())?;
        let parts = reader.parts().expect("a part was read");
        progress.set_length(parts.length() - parts.first());
        progress.set_position(parts.next() - parts.first());
        if parts.reach_the_end() {
            break parts.clone();
        }
    };
    progress.finish_and_clear();
    let code = exit_code(&parts);
    if code == exit::UNKNOWN {
        output::warn(&unknown(parts.stream()));
    }
    file.finish()?;
    saving::tell_saved(context, path, parts.as_of(), reader.verified());
    Ok(code)
}

fn unknown_to_caller(error: ClientError) -> Failure {
    match error {
        ClientError::NoneOfYours { .. } => Failure::Unknown(error.to_string()),
        other => other.into(),
    }
}

/// A stream comes to be with its first entry: one without any is known to nobody.
fn exit_code(parts: &StreamParts) -> u8 {
    if parts.length() > 0 { exit::OK } else { exit::UNKNOWN }
}

fn unknown(stream: &StreamId) -> String {
    let hint = match stream {
        StreamId::Subject(_) => "check the tag; it does not say that nobody looked",
        StreamId::Institution(_) => "check the name; an institution that did nothing yet has none either",
        StreamId::Grant(_) | StreamId::Referral(_) | StreamId::Period { .. } => "check the identifier",
    };
    format!("the ledger knows no stream {stream}: {hint}")
}

fn json_of(found: &ResolvedStream) -> Value {
    let ResolvedStream { stream: WholeStream { parts, entries, verified }, operations } = found;
    let entry = |(position, entry): (usize, &Entry)| {
        let found = operations.get(position).and_then(|resolved| resolved.as_ref().ok());
        let gap = operations.get(position).and_then(|resolved| resolved.as_ref().err());
        json!({
            "index": parts.first() + position as u64,
            "height": entry.height,
            "transaction_id": entry.transaction_id,
            "operation": entry.operation,
            "kind": entry.kind,
            "institution": found.map(|found| &found.institution),
            "operation_name": found.map(|found| found.operation.name()),
            "details": found.map(|found| details(&found.operation)),
            "transaction_verified": found.map(|found| found.verified),
            "gap": gap,
        })
    };
    let entries: Vec<_> = entries.iter().enumerate().map(entry).collect();
    let (height, time) = parts.as_of();
    json!({
        "stream": parts.stream().to_string(),
        "known": exit_code(parts) == exit::OK,
        "length": parts.length(),
        "from": parts.first(),
        "entries": entries,
        "height": height,
        "time_ms": time,
        "verified": verified,
        "complete": verified & parts.are_complete(),
    })
}

fn print(found: &ResolvedStream) {
    let ResolvedStream { stream: WholeStream { parts, entries, verified }, operations } = found;
    let (height, time) = parts.as_of();
    let standing = output::standing(height.0, time, *verified);
    if exit_code(parts) == exit::UNKNOWN {
        let proven = if *verified { "proven: it has no entries" } else { "as the node says" };
        output::print_line(&unknown(parts.stream()));
        return output::print_line(&format!("{proven} ({standing})"));
    }
    let row = |(position, entry): (usize, &Entry)| {
        let mut row = vec![
            (parts.first() + position as u64).to_string(),
            entry.height.to_string(),
            entry.transaction_id.to_string(),
            entry.operation.to_string(),
            if entry.kind == EntryKind::Refused { "refused".to_owned() } else { String::new() },
        ];
        row.extend(operations.get(position).into_iter().flat_map(|resolved| match resolved {
            Ok(found) => {
                [found.institution.to_string(), found.operation.name().to_owned(), details(&found.operation)]
            }
            Err(gap) => [String::new(), gap.words().to_owned(), String::new()],
        }));
        row
    };
    let mut columns = vec!["index", "block", "transaction", "operation", ""];
    if !operations.is_empty() {
        columns.extend(["by", "what", "details"]);
    }
    output::print_table(&columns, entries.iter().enumerate().map(row).collect());
    let (count, first, length) = (entries.len(), parts.first(), parts.length());
    output::print_line(&match (verified, first, parts.reach_the_end()) {
        (true, 0, true) => format!(
            "{}, complete: none was left out ({standing})",
            output::counted(count, "entry", "entries")
        ),
        (true, _, true) => format!(
            "{} from {first} on, none of them left out ({standing})",
            output::counted(count, "entry", "entries")
        ),
        (true, _, false) => {
            format!("{count} of {length} entries from {first} on, none between left out ({standing})")
        }
        (false, ..) => format!("{count} of {length} entries ({standing})"),
    });
    print_gaps(operations);
}

/// What a subject's streams show together.
fn summary(entries: usize, streams: usize, is_complete: bool) -> String {
    let (entries, streams) =
        (output::counted(entries, "entry", "entries"), output::counted(streams, "stream", "streams"));
    let all = format!("{entries} in {streams}");
    if is_complete {
        format!("{all}: everything about this subject, none left out")
    } else {
        format!("{all}; not proven complete: see above what could not be verified or read")
    }
}

/// How many entries' transactions could not be shown, by the reason.
fn print_gaps(resolved: &[Result<Resolved, Gap>]) {
    for gap in [Gap::NotReadable, Gap::NotThere] {
        let count = resolved.iter().filter(|resolved| resolved.as_ref().err() == Some(&gap)).count();
        if count > 0 {
            output::print_line(&format!("transactions of {count} entries: {}", gap.words()));
        }
    }
}
