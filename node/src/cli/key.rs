//! `yilian-node key`: replaces the key by which peers know this node, while it runs.
//!
//! The next key is prepared beside the present one, registered by an administrator, and used once that is final: the node
//! starts again with it in the same process. Until the old key is revoked, peers admit both. Each step finds what the
//! ones before have done, so a command that was interrupted is simply run again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;
use yilian_local::keyfile::Key;
use yilian_local::passphrase::{self, PassphraseSource};
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::domain::membership::{RegisterKey, RevocationReason, RevokeKey, possession_bytes};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;

use super::HomeArgument;
use crate::base::clock::{Clock, SystemClock};
use crate::home::Home;
use crate::network::peer_id_of_ed25519;
use crate::operator::control::{self, Answer, Command};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a transaction of this command may wait for a block.
const TRANSACTION_LIFETIME_MS: u64 = 10 * 60 * 1_000;
/// How long the node may take until it works with its new key.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// What to do with the node's keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Arguments {
    /// Replace a key of the node.
    #[command(subcommand)]
    Rotate(Rotate),
}

/// Which key.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Rotate {
    /// The key by which peers know the node. It keeps running, but for a second or two.
    #[command(after_help = "Examples:
  yilian-node key rotate network --home node --administrator administrator.key
  yilian-node key rotate network --home node

Without --administrator it prints the command with which an administrator registers the new key, on whatever machine that \
administrator's key is kept. Run this command again afterwards, and it goes on. The old key is revoked once the node works with \
the new one, unless --keep-old is given.")]
    Network(Network),
}

/// Arguments of `key rotate network`.
#[derive(Debug, clap::Args)]
pub(super) struct Network {
    #[command(flatten)]
    home: HomeArgument,
    /// The key file of an administrator of the node's institution.
    #[arg(long, value_name = "FILE")]
    administrator: Option<PathBuf>,
    /// Where the passphrase of the administrator's key comes from: env:NAME, file:PATH, prompt, or default: YILIAN_PASSPHRASE
    /// where that is set, otherwise a prompt.
    #[arg(long, value_name = "SOURCE", default_value = passphrase::DEFAULT)]
    passphrase: String,
    /// Days that the new key is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u64).range(1..=1_098))]
    valid_days: u64,
    /// Leave the old key registered.
    #[arg(long)]
    keep_old: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments::Rotate(Rotate::Network(network)) = arguments;
    super::block_on(rotate_network(network))?
}

/// What the running node tells about a key.
struct Known {
    chain_id: ChainId,
    record: Option<KeyRecord>,
}

struct Rotation<'a> {
    arguments: &'a Network,
    home: Home,
    administrator: Option<Key>,
}

async fn rotate_network(arguments: &Network) -> Result<ExitCode> {
    let home = Home::open(&arguments.home.home)?;
    let administrator = arguments.administrator.as_ref().map(|path| {
        let source = arguments.passphrase.parse::<PassphraseSource>()?;
        let source = source.asking(format!("Passphrase for {}", path.display()), false);
        let opened = Key::read::<anyhow::Error>(path, || Ok(passphrase::passphrase(&source)?))?;
        ensure!(
            opened.key.role == Role::Administrator,
            "{} is a key of role {:?}: give an administrator's",
            path.display(),
            opened.key.role
        );
        Ok(opened.key)
    });
    let administrator = administrator.transpose()?;
    if let (Some(path), Some(key)) = (&arguments.administrator, &administrator) {
        let own = home.network_key()?.institution;
        ensure!(
            key.institution == own,
            "{} is a key of {}, this node is of {own}: give the key of an administrator of {own}",
            path.display(),
            key.institution
        );
    }
    let rotation = Rotation { arguments, home, administrator };
    rotation.run().await
}

impl Rotation<'_> {
    async fn run(&self) -> Result<ExitCode> {
        let present = self.home.network_key()?.secret.public_key();
        if !self.home.next_network_key_file().exists()
            && let Some(old) = self.unfinished(present).await?
        {
            // An earlier run got as far as the switch.
            return self.retire(old).await;
        }
        let known = self.look_up(present).await?;
        let institution = match (&known.record, &self.administrator) {
            (Some(record), _) => record.institution.clone(),
            (None, Some(administrator)) => administrator.institution.clone(),
            (None, None) => self.home.network_key()?.institution,
        };
        let file = self.home.next_network_key_file();
        if file.exists() {
            println!("an earlier run has prepared {}, which this one goes on with", file.display());
        }
        let next = self.home.prepare_network_key(institution.clone())?;
        ensure!(
            next.institution == institution,
            "{} is a key of {}, this node is of {institution}: remove the file and run this again",
            file.display(),
            next.institution
        );
        let next_key = next.secret.public_key();
        let record = self.look_up(next_key).await?.record;
        if let Some(record) = &record {
            ensure!(
                record.revoked_at.is_none() && record.role == Role::Node,
                "the prepared key {next_key} was revoked or is of another role: remove {} and run this again",
                file.display()
            );
        } else if !self.register(&next, &institution, known.chain_id).await? {
            return Ok(ExitCode::FAILURE);
        }
        self.switch(next_key).await?;
        self.retire(present).await
    }

    /// The key before the present one, while it is not revoked.
    async fn unfinished(&self, present: PublicKey) -> Result<Option<PublicKey>> {
        let previous = self.home.previous_network_key_file();
        if !previous.exists() || self.arguments.keep_old {
            return Ok(None);
        }
        let old = self.home.read_node_key(&previous)?.secret.public_key();
        let is_registered = self.look_up(present).await?.record.is_some();
        let record = self.look_up(old).await?.record;
        let is_alive = record.is_some_and(|record| record.revoked_at.is_none());
        Ok((is_registered && is_alive).then_some(old))
    }

    /// Registers the next key; `false` when somebody else has to.
    async fn register(&self, next: &Key, institution: &InstitutionId, chain_id: ChainId) -> Result<bool> {
        let key = next.secret.public_key();
        let bytes = possession_bytes(chain_id, institution, Role::Node, key);
        let possession = next.secret.sign(&bytes);
        let Some(administrator) = &self.administrator else {
            println!(
                "The next key lies in {}. Have an administrator of {institution} register it:\n\n  \
                 yilian key register --role node --expires +{}d \\\n    --public-key {key} \\\n    --possession {possession}\n\n\
                 and then run this command again.",
                self.home.next_network_key_file().display(),
                self.arguments.valid_days
            );
            return Ok(false);
        };
        let now = now();
        let expires = now.plus_ms(self.arguments.valid_days * DAY_MS);
        let window = Window { starts: now, expires };
        let register = RegisterKey { key, role: Role::Node, window, possession };
        self.submit(administrator, chain_id, Operation::RegisterKey(register)).await?;
        println!("registered {key}");
        Ok(true)
    }

    /// Has the node use the next key, and waits until it works with it.
    async fn switch(&self, next: PublicKey) -> Result<()> {
        let before = self.ask(&Command::Status).await?;
        match self.ask(&Command::UseNextNetworkKey).await? {
            Answer::Done { .. } => {}
            Answer::Failed { reason } => bail!("{reason}"),
            other => bail!("the node answered {other:?}"),
        }
        let peer_id = peer_id_of_ed25519(next.ed25519_bytes())?.to_string();
        let began = Instant::now();
        let peers_before = peers(&before);
        loop {
            // For a moment nobody listens.
            let status = control::ask(&self.home.path, &Command::Status).await;
            if let Ok(Answer::Status { peer_id: found, .. }) = &status
                && *found == peer_id
                && status.as_ref().is_ok_and(|status| peers(status) >= peers_before)
            {
                println!("the node runs as {peer_id}");
                println!(
                    "Clients of this node that remember its old key stop until they are told of the new one: `yilian node trust` \
                     says how"
                );
                return Ok(());
            }
            ensure!(
                began.elapsed() < SWITCH_TIMEOUT,
                "the node has not reached as many peers with its new key as before in {} s; both keys stay registered, \
                 `yilian-node status` says what it lacks, and running this again goes on",
                SWITCH_TIMEOUT.as_secs()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Revokes the old key, or says how.
    async fn retire(&self, old: PublicKey) -> Result<ExitCode> {
        if self.arguments.keep_old {
            println!("the old key {old} stays registered");
            return Ok(ExitCode::SUCCESS);
        }
        let Some(administrator) = &self.administrator else {
            println!(
                "Peers admit both keys until an administrator revokes the old one:\n\n  yilian key revoke {old} --reason retired"
            );
            return Ok(ExitCode::SUCCESS);
        };
        let known = self.look_up(old).await?;
        if known.record.is_some_and(|record| record.revoked_at.is_none()) {
            let revoke = RevokeKey { key: old, reason: RevocationReason::Retired };
            self.submit(administrator, known.chain_id, Operation::RevokeKey(revoke)).await?;
        }
        println!("revoked {old}, which is kept in {}", self.home.previous_network_key_file().display());
        Ok(ExitCode::SUCCESS)
    }

    async fn look_up(&self, key: PublicKey) -> Result<Known> {
        match self.ask(&Command::LookUpKey { key }).await? {
            Answer::Key { chain_id, record } => Ok(Known { chain_id, record }),
            Answer::Failed { reason } => bail!("{reason}"),
            other => bail!("the node answered {other:?}"),
        }
    }

    async fn submit(&self, administrator: &Key, chain_id: ChainId, operation: Operation) -> Result<()> {
        let created = now();
        let body = TransactionBody {
            chain_id,
            author: administrator.secret.public_key(),
            institution: administrator.institution.clone(),
            created,
            expires: created.plus_ms(TRANSACTION_LIFETIME_MS),
            nonce: rand::rng().random(),
            operations: vec![operation],
        };
        let transaction = Box::new(body.sign(&administrator.secret));
        match self.ask(&Command::Submit { transaction }).await? {
            Answer::Submitted { outcome: Outcome::Applied } => Ok(()),
            Answer::Submitted { outcome: Outcome::Refused { reason, .. } } => {
                bail!("the ledger refuses it: {reason}")
            }
            Answer::Failed { reason } => bail!("{reason}"),
            other => bail!("the node answered {other:?}"),
        }
    }

    async fn ask(&self, command: &Command) -> Result<Answer> {
        control::ask(&self.home.path, command).await.context("a key is replaced while the node runs")
    }
}

fn peers(status: &Answer) -> u64 {
    match status {
        Answer::Status { health, .. } => health["peers"].as_u64().unwrap_or(0),
        _ => 0,
    }
}

fn now() -> LedgerTime {
    LedgerTime(SystemClock.now_ms())
}
