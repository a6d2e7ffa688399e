//! The control socket in the node's home: what an operator asks of the running node without a key of the ledger.
//!
//! A Unix socket that only its owner can open. One JSON object a line in, one out: `{"command":"status"}`,
//! `{"command":"backup","directory":"…","keep":3}`, `{"command":"checkpoint","directory":"…"}`.

use std::fs::{File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::StateKey;

use crate::application::reader::LedgerReader;
use crate::conduct::{Conduct, InstitutionConduct, disconnected};
use crate::config::{ConfigError, FILE_NAME};
use crate::health::HealthMonitor;
use crate::home::{Home, private};
use crate::mempool::{Mempool, WaitOutcome};
use crate::storage::{StorageError, Store, backup};

/// The socket's name in the home.
const SOCKET: &str = "control.sock";
/// Bytes of a command's line.
const COMMAND_BYTES_MAX: u64 = 64 << 10;
/// Bytes of an answer's line: an account of each of a thousand institutions fits.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// How long a node has to say what it knows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command's line may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Callers that are answered at a time; a backup or a transaction may take a minute.
const CALLERS_MAX: usize = 8;
/// How long a transaction may take to become final.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a socket's path that every system takes.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// How the node is.
    Status,
    /// What each institution's nodes do.
    Peers,
    /// Keeps an institution's nodes out until further notice, or lets them in again.
    Disconnect {
        /// The institution.
        institution: InstitutionId,
        /// Whether it is kept out from now on.
        is_disconnected: bool,
    },
    /// What the ledger says of a key.
    LookUpKey {
        /// The key.
        key: PublicKey,
    },
    /// Takes a signed transaction and waits until it is final; its signature says who asks, so nothing else must.
    Submit {
        /// The transaction.
        transaction: Box<Transaction>,
    },
    /// Starts the node again with the next network key, which the ledger must name.
    UseNextNetworkKey,
    /// A verified copy of the ledger.
    Backup {
        /// Where to; absolute, on the node's machine.
        directory: PathBuf,
        /// Copies to keep there.
        keep: usize,
    },
    /// The ledger of this moment, for reading; whoever asks removes it.
    Checkpoint {
        /// Where to; absolute, and not there yet.
        directory: PathBuf,
    },
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Command::Status`]: the health report, and where the node listens.
    Status {
        /// The report as `/health` gives it.
        health: serde_json::Value,
        /// The API's address.
        api: String,
        /// The node's peer id.
        peer_id: String,
    },
    /// To [`Command::Peers`].
    Peers {
        /// An account for each institution that has done anything since the node started.
        institutions: Vec<InstitutionConduct>,
    },
    /// To [`Command::LookUpKey`].
    Key {
        /// The ledger.
        chain_id: ChainId,
        /// Its record of the key, if it has one.
        record: Option<KeyRecord>,
    },
    /// To [`Command::Submit`].
    Submitted {
        /// What became of it.
        outcome: Outcome,
    },
    /// To a command that does something.
    Done {
        /// What was done, in one sentence.
        done: String,
    },
    /// To [`Command::Backup`].
    Backup {
        /// What was made, in one sentence.
        done: String,
    },
    /// To [`Command::Checkpoint`]: it is there.
    Checkpoint,
    /// It did not work.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Why the socket cannot be used.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no node runs in {0}: start it with `yilian-node run --home {0}`", home.display())]
    NotRunning {
        /// The home.
        home: PathBuf,
    },
    /// The home is none.
    #[error(transparent)]
    Home(#[from] ConfigError),
    /// The socket failed.
    #[error("the control socket in {}: {source}{}", home.display(), private::remedy(&home.join(SOCKET), source))]
    Socket {
        /// The home.
        home: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The node listens and does not answer.
    #[error(
        "the node in {} has not answered within {} s: it may be frozen, or its machine overloaded; its log says more",
        home.display(), ANSWER_TIMEOUT.as_secs()
    )]
    Silent {
        /// The home.
        home: PathBuf,
    },
    /// The other side speaks differently.
    #[error(
        "the node answered something else than expected ({reason}): is it the same version as this program?"
    )]
    Answer {
        /// What is wrong.
        reason: String,
    },
}

/// What the answers come from.
pub struct Controlled {
    /// Judges the node.
    pub health: Arc<HealthMonitor>,
    /// The ledger, for backups.
    pub store: Arc<Store>,
    /// The API's address.
    pub api: String,
    /// The node's peer id.
    pub peer_id: PeerId,
    /// The node's home.
    pub home: Home,
    /// Reads the ledger.
    pub reader: LedgerReader,
    /// Takes transactions.
    pub mempool: Mempool,
    /// Asked to when the node is to start again.
    pub start_again: Arc<Notify>,
    /// What peers do.
    pub conduct: Conduct,
}

/// A path to the socket that is short enough, and what it depends on.
fn socket_path(home: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let path = home.join(SOCKET);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path, None));
    }
    // The directory's descriptor gives it a short name.
    let directory = File::open(home)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(SOCKET);
    Ok((short, Some(directory)))
}

/// Listens in the home; the caller holds the home's lock, so a socket that is there already is a leftover.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(home: &Path) -> Result<UnixListener, ControlError> {
    let failed = |source| ControlError::Socket { home: home.to_owned(), source };
    let real = home.join(SOCKET);
    match std::fs::remove_file(&real) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let (path, _directory) = socket_path(home).map_err(failed)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(&real, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Answers commands, some at a time; further callers wait.
pub async fn serve(listener: UnixListener, controlled: Controlled) {
    let controlled = Arc::new(controlled);
    // They go with this future, so that nothing of the node is held when it has stopped.
    let mut answering = JoinSet::new();
    loop {
        while answering.len() >= CALLERS_MAX {
            answering.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let controlled = Arc::clone(&controlled);
                answering.spawn(async move {
                    if let Err(error) = answer(stream, &controlled).await {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(stream: UnixStream, controlled: &Arc<Controlled>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(COMMAND_BYTES_MAX));
    let received = tokio::time::timeout(READ_TIMEOUT, reader.read_line(&mut line)).await;
    received.map_err(|_| std::io::ErrorKind::TimedOut)??;
    let answer = match serde_json::from_str(&line) {
        Ok(command) => run(command, controlled).await,
        Err(error) => Answer::Failed { reason: format!("the command cannot be read: {error}") },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

async fn run(command: Command, controlled: &Arc<Controlled>) -> Answer {
    match command {
        Command::Status => Answer::Status {
            health: serde_json::to_value(controlled.health.report()).unwrap_or_default(),
            api: controlled.api.clone(),
            peer_id: controlled.peer_id.to_string(),
        },
        Command::Peers => Answer::Peers { institutions: controlled.conduct.report() },
        Command::Disconnect { institution, is_disconnected } => {
            disconnect(controlled, &institution, is_disconnected)
                .unwrap_or_else(|reason| Answer::Failed { reason })
        }
        Command::LookUpKey { key } => match look_up(controlled, key) {
            Ok(record) => Answer::Key { chain_id: controlled.reader.chain_id(), record },
            Err(error) => Answer::Failed { reason: error.to_string() },
        },
        Command::Submit { transaction } => {
            submit(controlled, *transaction).await.unwrap_or_else(|reason| Answer::Failed { reason })
        }
        Command::UseNextNetworkKey => {
            use_next_network_key(controlled).unwrap_or_else(|reason| Answer::Failed { reason })
        }
        Command::Backup { directory, keep } => {
            let made = blocking(controlled, move |store| backup::backup(store, &directory, keep)).await;
            made.map_or_else(Answer::failed, |info| Answer::Backup {
                done: format!(
                    "backup {} in {} files, {} bytes, verified",
                    info.number, info.files, info.bytes
                ),
            })
        }
        Command::Checkpoint { directory } => {
            let made = blocking(controlled, move |store| backup::checkpoint(store, &directory)).await;
            made.map_or_else(Answer::failed, |()| Answer::Checkpoint)
        }
    }
}

fn look_up(controlled: &Controlled, key: PublicKey) -> Result<Option<KeyRecord>, StorageError> {
    controlled.reader.view()?.record(&StateKey::Key(key))
}

async fn submit(controlled: &Controlled, transaction: Transaction) -> Result<Answer, String> {
    let id = transaction.id();
    let institution = transaction.body.institution.clone();
    let mempool = &controlled.mempool;
    let verdicts =
        mempool.submit(&institution, vec![transaction]).await.map_err(|error| error.to_string())?;
    for verdict in verdicts {
        verdict.map_err(|error| error.to_string())?;
    }
    match mempool.wait(id, SUBMIT_TIMEOUT).await.map_err(|error| error.to_string())? {
        WaitOutcome::Committed(committed) => Ok(Answer::Submitted { outcome: committed.receipt.outcome }),
        WaitOutcome::Pending | WaitOutcome::Unknown => {
            let report = controlled.health.report();
            Err(format!(
                "transaction {id} is not final after {} s; the node says: {} ({}); run the command again",
                SUBMIT_TIMEOUT.as_secs(),
                report.reason,
                report.remedy
            ))
        }
    }
}

/// Peers must admit the key before it is used.
fn use_next_network_key(controlled: &Controlled) -> Result<Answer, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let home = &controlled.home;
    let next = home.read_node_key(&home.next_network_key_file()).map_err(|error| text(&error))?;
    let key = next.secret.public_key();
    let record = look_up(controlled, key).map_err(|error| text(&error))?;
    if !record.is_some_and(|record| record.role == Role::Node && record.revoked_at.is_none()) {
        return Err(format!(
            "the ledger names no node with the key {key}: have an administrator register it first"
        ));
    }
    home.use_next_network_key().map_err(|error| text(&error))?;
    tracing::info!(%key, "the node starts again with its next network key");
    controlled.start_again.notify_one();
    Ok(Answer::Done { done: format!("the node starts again with the network key {key}") })
}

/// The list on the disk first, so that what was answered outlives a crash.
fn disconnect(
    controlled: &Controlled,
    institution: &InstitutionId,
    is_disconnected: bool,
) -> Result<Answer, String> {
    if controlled.conduct.institution(&controlled.peer_id).as_ref() == Some(institution) {
        return Err(format!(
            "{institution} is this node's own institution: to stop the node, send it SIGTERM"
        ));
    }
    if is_disconnected && !controlled.conduct.is_member(institution) {
        return Err(format!(
            "the ledger names no node of {institution}; `yilian-node peers` and `yilian institution list` show the names"
        ));
    }
    let changed = disconnected::change(&controlled.home.path, institution, is_disconnected);
    let (list, has_changed) = changed.map_err(|error| error.to_string())?;
    controlled.conduct.set_disconnected(list);
    let done = match (is_disconnected, has_changed) {
        (true, true) => {
            tracing::warn!(%institution, "the operator has disconnected an institution until further notice");
            format!(
                "{institution} is disconnected; its nodes are kept out, also after a restart, until --reconnect"
            )
        }
        (true, false) => format!("{institution} was disconnected already"),
        (false, true) => {
            tracing::warn!(%institution, "the operator lets an institution in again");
            format!("the nodes of {institution} are admitted again")
        }
        (false, false) => format!("{institution} was not disconnected"),
    };
    Ok(Answer::Done { done })
}

impl Answer {
    fn failed(reason: String) -> Self {
        Self::Failed { reason }
    }
}

/// Does something with the store on a thread of its own.
async fn blocking<T: Send + 'static>(
    controlled: &Arc<Controlled>,
    work: impl FnOnce(&Store) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, String> {
    let controlled = Arc::clone(controlled);
    let done = tokio::task::spawn_blocking(move || work(&controlled.store)).await;
    done.map_err(|_| "it broke; the node's log says more".to_owned())?.map_err(|error| error.to_string())
}

/// Asks the node that runs in a home.
///
/// # Errors
/// [`ControlError::NotRunning`], or when the socket fails.
pub async fn ask(home: &Path, command: &Command) -> Result<Answer, ControlError> {
    let failed = |source| ControlError::Socket { home: home.to_owned(), source };
    let (path, _directory) = socket_path(home).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::NoHome { home: home.to_owned() }.into(),
        _ => failed(source),
    })?;
    let stream = UnixStream::connect(path).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound if !home.join(FILE_NAME).exists() => {
            ConfigError::NoHome { home: home.to_owned() }.into()
        }
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning { home: home.to_owned() }
        }
        _ => failed(source),
    })?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(command).map_err(|error| failed(error.into()))?;
    text.push('\n');
    write.write_all(text.as_bytes()).await.map_err(failed)?;
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(ANSWER_BYTES_MAX));
    let answered = reader.read_line(&mut line);
    match command {
        Command::Status | Command::Peers | Command::Disconnect { .. } | Command::LookUpKey { .. } => {
            let silent = |_| ControlError::Silent { home: home.to_owned() };
            tokio::time::timeout(ANSWER_TIMEOUT, answered).await.map_err(silent)?
        }
        // These take as long as the disk and the other validators do.
        Command::Submit { .. }
        | Command::UseNextNetworkKey
        | Command::Backup { .. }
        | Command::Checkpoint { .. } => answered.await,
    }
    .map_err(failed)?;
    serde_json::from_str(&line).map_err(|error| ControlError::Answer { reason: error.to_string() })
}
