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
const NETWORK_KEY: &str = "network.key";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  yilian-node init --home node --institution renhe-hospital --validator
  yilian-node init --home node --genesis genesis.json

It prints the public keys and the peer id that the genesis and the peers need.

To rebuild a home from copies of its keys, put validator.key and network.key into an empty directory and run the same two \
commands: keys that are there are kept, and what is missing is made. A validator rebuilt this way follows without voting \
until it cannot contradict a vote that it has forgotten.")]
pub(super) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    /// The institution whose node this is; needed where keys are made.
    #[arg(long, value_name = "SLUG")]
    institution: Option<InstitutionId>,
    /// Make a validator's key, sealed under a passphrase. One that lies in the home already is kept.
    #[arg(long)]
    validator: bool,
    /// Copy this genesis into the home.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Where the passphrase of the validator's key comes from, now and when the node runs: file:PATH, env:NAME or prompt. By
    /// default it is YILIAN_PASSPHRASE where that is set, otherwise a prompt.
    #[arg(long, value_name = "SOURCE", default_value = passphrase::DEFAULT, hide_default_value = true)]
    passphrase: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = &arguments.home.home;
    let key_path = path.join(VALIDATOR_KEY);
    // A key that is there already is kept: it was made before, or is restored from a copy.
    let makes_validator_key = arguments.validator && !key_path.exists();
    // What can be refused comes first, so that a mistake leaves nothing behind.
    arguments.passphrase.parse::<PassphraseSource>()?;
    let makes_network_key = !path.join(FILE_NAME).exists() && !path.join(NETWORK_KEY).exists();
    if makes_validator_key || makes_network_key {
        arguments.institution_of_keys()?;
    }
    arguments.genesis.as_deref().map(read_genesis).transpose()?;
    let passphrase = makes_validator_key.then(|| new_passphrase(&arguments.passphrase)).transpose()?;
    private::make_directory(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut made = Vec::new();
    let mut validator = None;
    if let Some(passphrase) = passphrase {
        let key = Key::generate(arguments.institution_of_keys()?, Role::Validator)?;
        key.create(&key_path, &passphrase, WorkFactor::PRODUCTION)?;
        validator = Some(key.secret.public_key());
        voting::mark_never_voted(path)?;
        made.push(VALIDATOR_KEY);
    }
    if !path.join(FILE_NAME).exists() {
        write_config(path, arguments, key_path.exists())?;
        made.push(FILE_NAME);
    }
    let home = Home::open(path)?;
    let network_path = path.join(&home.config.node.network_key);
    if !network_path.exists() {
        Key::generate(arguments.institution_of_keys()?, Role::Node)?.create_unsealed(&network_path)?;
        made.push(NETWORK_KEY);
    }
    if let Some(file) = &arguments.genesis
        && copy_genesis(file, &path.join(&home.config.node.genesis))?
    {
        made.push("genesis.json");
    }
    tell(&home, &made, validator, arguments.json)
}

/// Says what was made, and what belongs into the genesis.
fn tell(home: &Home, made: &[&str], validator: Option<PublicKey>, is_json: bool) -> Result<ExitCode> {
    let path = &home.path;
    let genesis = home.genesis().ok();
    let chain_id = genesis.as_ref().map(Genesis::chain_id);
    let validator = validator.or_else(|| home.shown_validator_key());
    let network = home.network_key()?.secret;
    let peer = NodeIdentity::from_ed25519_seed(*network.seed())?.peer_id();
    let network = network.public_key();
    debug_assert_eq!(peer_id_of_ed25519(network.ed25519_bytes()).ok(), Some(peer), "one key, one peer id");
    let mut warnings = genesis.map_or(Vec::new(), |genesis| home.unnamed_keys(&genesis));
    let validator_key = &home.config.node.validator_key;
    let votes = !validator_key.as_os_str().is_empty();
    if !votes && path.join(VALIDATOR_KEY).exists() {
        warnings.push(format!(
            "{VALIDATOR_KEY} lies here and {FILE_NAME} names no validator's key, so that the node only observes: to have \
             it vote, set node.validator_key = \"{VALIDATOR_KEY}\" there"
        ));
    }
    if is_json {
        let report = serde_json::json!({
            "home": path, "made": made, "network_key": network, "peer_id": peer.to_string(),
            "validator_key": validator, "chain_id": chain_id, "warnings": warnings,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    let made = if made.is_empty() { "nothing to make".to_owned() } else { made.join(", ") };
    println!("{}: {made}", path.display());
    for warning in warnings {
        println!("warning: {warning}");
    }
    println!("network key (role node)        {network}");
    println!("peer id                        {peer}");
    match validator {
        Some(key) => println!("validator key (role validator) {key}"),
        None if votes => println!(
            "validator key (role validator) sealed; `yilian key show {}` shows it",
            path.join(validator_key).display()
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

impl Arguments {
    fn institution_of_keys(&self) -> Result<InstitutionId> {
        self.institution.clone().with_context(|| {
            format!("give --institution: the keys that {} lacks are made for it", self.home.home.display())
        })
    }
}

fn new_passphrase(source: &str) -> Result<SecretString> {
    let source = source.parse::<PassphraseSource>()?;
    passphrase::new_passphrase(&source.asking("Passphrase for the validator's key".to_owned(), true))
        .context("the validator's key is sealed under a passphrase")
}

/// Writes the commented default, with what the arguments set.
fn write_config(home: &Path, arguments: &Arguments, has_validator_key: bool) -> Result<()> {
    let path = home.join(FILE_NAME);
    let mut text = COMMENTED_DEFAULT.to_owned();
    if has_validator_key {
        text = text.replace("validator_key = \"\"", &format!("validator_key = \"{VALIDATOR_KEY}\""));
    }
    let source = match arguments.passphrase.parse()? {
        // The node reads it from another directory than this one.
        PassphraseSource::File(file) => format!("file:{}", std::path::absolute(file)?.display()),
        _ => arguments.passphrase.clone(),
    };
    text = text.replace("passphrase = \"default\"", &format!("passphrase = {}", toml::Value::from(source)));
    Config::parse(&text).context("the new configuration")?.check()?;
    Ok(durable::create(&path, text.as_bytes())?)
}

/// Copies the genesis; `false` where it is there already.
fn copy_genesis(from: &Path, to: &Path) -> Result<bool> {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if to.exists() {
        if std::fs::read(to)? == bytes {
            return Ok(false);
        }
        bail!(
            "{} is another genesis and stays as it is: a home belongs to one ledger, so make another home for another one \
             (`yilian-node init --home OTHER`)",
            to.display()
        );
    }
    durable::create(to, &bytes)?;
    Ok(true)
}
