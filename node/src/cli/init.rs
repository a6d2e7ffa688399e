//! `yilian-node init`: makes a node's home, piece by piece; what is there already stays as it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use yilian_local::durable;
use yilian_local::keyfile::Key;
use yilian_local::passphrase::{self, PassphraseSource, SecretString};
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::genesis::Genesis;

use super::HomeArgument;
use crate::config::{COMMENTED_DEFAULT, Config, FILE_NAME};
use crate::home::{Home, private, read_genesis};
use crate::network::{NodeIdentity, peer_id_of_ed25519};
use crate::voting;

const VALIDATOR_KEY: &str = "validator.key";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  yilian-node init --home node --institution renhe-hospital --validator
  yilian-node init --home node --genesis genesis.json

The passphrase of the validator's key comes from YILIAN_PASSPHRASE where that is set, otherwise from a prompt; `run` needs it,
too. --passphrase names another source: file:PATH, env:NAME or prompt.
It prints the public keys and the peer id that the genesis and the peers need.")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// The institution whose node this is; needed where keys are made.
    #[arg(long, value_name = "SLUG")]
    institution: Option<InstitutionId>,
    /// Make a validator's key, sealed under a passphrase.
    #[arg(long, requires = "institution")]
    validator: bool,
    /// Copy this genesis into the home.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Where the passphrase comes from, now and when the node runs.
    #[arg(long, value_name = "SOURCE", default_value = passphrase::DEFAULT)]
    passphrase: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = &arguments.home.home;
    // What can be refused comes first, so that a mistake leaves nothing behind.
    arguments.passphrase.parse::<PassphraseSource>()?;
    if arguments.institution.is_none() && !path.join(FILE_NAME).exists() {
        bail!(
            "{} is no node's home yet: give --institution, for which the node's keys are made",
            path.display()
        );
    }
    let key_path = path.join(VALIDATOR_KEY);
    let passphrase = match arguments.validator {
        true if key_path.exists() => {
            bail!("{} is there already, and is never replaced: leave --validator out", key_path.display())
        }
        true => Some(new_passphrase(&arguments.passphrase)?),
        false => None,
    };
    arguments.genesis.as_deref().map(read_genesis).transpose()?;
    private::make_directory(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut made = Vec::new();
    let mut validator = None;
    if let Some(passphrase) = passphrase {
        let institution = arguments.institution.clone().context("give --institution with --validator")?;
        let key = Key::generate(institution, Role::Validator)?;
        key.create(&key_path, &passphrase, WorkFactor::PRODUCTION)?;
        validator = Some(key.secret.public_key());
        voting::mark_never_voted(path)?;
        made.push(VALIDATOR_KEY);
    }
    if write_config(path, arguments)? {
        made.push(FILE_NAME);
    }
    let home = Home::open(path)?;
    let network_path = path.join(&home.config.node.network_key);
    if !network_path.exists() {
        let institution = arguments.institution.clone();
        let institution = institution.context("give --institution: the node's keys are made for it")?;
        Key::generate(institution, Role::Node)?.create_unsealed(&network_path)?;
        made.push("network.key");
    }
    if let Some(file) = &arguments.genesis {
        let target = path.join(&home.config.node.genesis);
        copy_genesis(file, &target)?;
        made.push("genesis.json");
    }
    let chain_id = home.genesis().ok().map(|genesis| genesis.chain_id());
    let has_validator_key = !home.config.node.validator_key.as_os_str().is_empty();
    let validator = validator.or_else(|| home.shown_validator_key());
    let network = home.network_key()?.secret;
    let peer = NodeIdentity::from_ed25519_seed(*network.seed())?.peer_id();
    let network = network.public_key();
    debug_assert_eq!(peer_id_of_ed25519(network.ed25519_bytes()).ok(), Some(peer), "one key, one peer id");
    if arguments.json {
        let report = serde_json::json!({
            "home": path, "made": made, "network_key": network, "peer_id": peer.to_string(),
            "validator_key": validator, "chain_id": chain_id,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{}: {}",
        path.display(),
        if made.is_empty() { "nothing to make".to_owned() } else { made.join(", ") }
    );
    if let Ok(genesis) = home.genesis() {
        warn_of_unnamed(&genesis, "node", Role::Node, Some(network));
        warn_of_unnamed(&genesis, "validator", Role::Validator, validator);
    }
    println!("network key (role node)        {network}");
    println!("peer id                        {peer}");
    match validator {
        Some(key) => println!("validator key (role validator) {key}"),
        None if has_validator_key => println!(
            "validator key (role validator) sealed; `yilian key show {}` shows it",
            path.join(&home.config.node.validator_key).display()
        ),
        None => {}
    }
    match chain_id {
        Some(chain_id) => println!("chain id                       {chain_id}"),
        None => println!(
            "Next: put the keys into the genesis, then `yilian-node init --home {} --genesis FILE`.",
            path.display()
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that the genesis does not name a key: here it can still be corrected.
fn warn_of_unnamed(genesis: &Genesis, name: &str, role: Role, key: Option<PublicKey>) {
    let Some(key) = key else { return };
    let mut named = genesis.institutions.iter().flat_map(|one| &one.keys);
    if !named.any(|named| named.key == key && named.role == role) {
        println!(
            "warning: the genesis names no key {key} of role {name}: this node acts by it only once an administrator has \
             registered it; where it was mistyped there, correct the genesis before anybody starts"
        );
    }
}

fn new_passphrase(source: &str) -> Result<SecretString> {
    let source = source.parse::<PassphraseSource>()?;
    passphrase::new_passphrase(&source.asking("Passphrase for the validator's key".to_owned(), true))
        .context("the validator's key is sealed under a passphrase")
}

/// Writes the commented default, with what the arguments set; leaves a file that is there.
fn write_config(home: &Path, arguments: &Arguments) -> Result<bool> {
    let path = home.join(FILE_NAME);
    if path.exists() {
        if arguments.validator {
            println!(
                "Set node.validator_key = \"{VALIDATOR_KEY}\" in {}, which stays as it is.",
                path.display()
            );
        }
        return Ok(false);
    }
    let mut text = COMMENTED_DEFAULT.to_owned();
    if arguments.validator {
        text = text.replace("validator_key = \"\"", &format!("validator_key = \"{VALIDATOR_KEY}\""));
    }
    let source = match arguments.passphrase.parse()? {
        // The node reads it from another directory than this one.
        PassphraseSource::File(file) => format!("file:{}", std::path::absolute(file)?.display()),
        _ => arguments.passphrase.clone(),
    };
    text = text.replace("passphrase = \"default\"", &format!("passphrase = {}", toml::Value::from(source)));
    Config::parse(&text).context("the new configuration")?.check()?;
    durable::create(&path, text.as_bytes())?;
    Ok(true)
}

fn copy_genesis(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if to.exists() {
        if std::fs::read(to)? == bytes {
            return Ok(());
        }
        bail!(
            "{} is another genesis and stays as it is: a home belongs to one ledger, so make another home for another one \
             (`yilian-node init --home OTHER`)",
            to.display()
        );
    }
    Ok(durable::create(to, &bytes)?)
}
