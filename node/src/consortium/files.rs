//! The files of a local consortium: a home for every node, everybody's keys, the genesis, and profiles for the client.
//!
//! ```text
//! DIR/nodes/<institution>/      config.toml, genesis.json, network.key, validator.key, passphrase
//! DIR/keys/<institution>/       <role>.key: gateway, finance, administrator, auditor
//! DIR/genesis.json, checkpoint.json, client.toml, consortium.toml, passphrase
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use yilian_client::config::{Config as ClientConfig, Profile};
use yilian_client::consortium::{self, Consortium};
use yilian_local::durable;
use yilian_local::keyfile::Key;
use yilian_local::passphrase::SecretString;
use yilian_local::sealed::WorkFactor;
use yilian_spec::base::id::{ConsortiumId, InstitutionId};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, Role};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::proof::Checkpoint;

use super::member::{CONSORTIUM, INSTITUTIONS, Member};
use super::process::free_ports;
use super::stagger::stagger_days;
use crate::config::Config;
use crate::home::private;
use crate::network::{NodeIdentity, PeerAddress};
use crate::voting;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Days that the keys are valid, less what staggers them.
const VALID_DAYS: u64 = 365;
/// For how long keys have expired that are to have expired.
const EXPIRED_FOR_MS: u64 = 60 * 60 * 1_000;
/// Everything here is on this machine and short-lived; the passphrase lies beside what it opens.
const PASSPHRASE: &str = "a consortium for trying things out";
const CLIENT_ROLES: [Role; 5] =
    [Role::Administrator, Role::AccessGateway, Role::ReferralGateway, Role::Finance, Role::Auditor];

/// What a local consortium is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The ledger's parameters.
    pub parameters: Parameters,
    /// A block is made this often without work, in milliseconds.
    pub heartbeat_ms: u64,
    /// What the nodes log.
    pub log_level: String,
    /// Roles whose keys have expired an hour ago.
    pub expired_roles: BTreeSet<Role>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parameters: Parameters::default(),
            heartbeat_ms: 30_000,
            log_level: "info".to_owned(),
            expired_roles: BTreeSet::new(),
        }
    }
}

/// Where one institution's things are.
#[derive(Debug, Clone)]
pub struct MemberFiles {
    /// The institution.
    pub id: InstitutionId,
    /// Its node's home.
    pub home: PathBuf,
    /// Where its node's API will listen.
    pub api: SocketAddr,
    /// Its keys for the client, by role.
    pub secrets: BTreeMap<Role, SecretKey>,
    /// The key that signs its node's votes.
    pub validator: SecretKey,
    /// The key by which its node is known to peers.
    pub network: SecretKey,
}

/// A local consortium on disk; nothing runs yet.
#[derive(Debug, Clone)]
pub struct ConsortiumFiles {
    /// The directory of everything.
    pub directory: PathBuf,
    /// The genesis.
    pub genesis: Genesis,
    /// One for each of [`INSTITUTIONS`], in that order.
    pub members: Vec<MemberFiles>,
    /// The checkpoint that the client verifies against.
    pub checkpoint: PathBuf,
    /// The client's configuration, with a profile for each institution.
    pub client_config: PathBuf,
    /// All institutions with their nodes and keys in one file, for `yilian import`.
    pub consortium: PathBuf,
}

impl ConsortiumFiles {
    /// The `yilian` program that was built beside this one.
    ///
    /// # Errors
    /// When there is none.
    pub fn client_program() -> Result<PathBuf> {
        let here = std::env::current_exe().context("where is this program?")?;
        // Test programs lie in `deps`, one directory below the programs.
        let found = here
            .ancestors()
            .skip(1)
            .take(2)
            .map(|directory| directory.join("yilian"))
            .find(|path| path.is_file());
        found.context(
            "the `yilian` program is not beside this one: build it with `cargo build --release --bins`",
        )
    }
}

/// Makes the files of a consortium in a new directory, with fresh keys and free ports.
///
/// # Errors
/// When a file cannot be written or no port is free.
pub fn create(directory: &Path, options: &Options) -> Result<ConsortiumFiles> {
    private::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let ports = free_ports(2 * INSTITUTIONS.len())?;
    let members: Vec<MemberFiles> = INSTITUTIONS
        .iter()
        .zip(&ports)
        .map(|(member, port)| new_member(directory, member, *port))
        .collect::<Result<_>>()?;
    let genesis = genesis(&members, options)?;
    let peers: Vec<PeerAddress> = members
        .iter()
        .zip(&ports[INSTITUTIONS.len()..])
        .map(|(member, port)| Ok(format!("{}@127.0.0.1:{port}", identity(member)?.peer_id()).parse()?))
        .collect::<Result<_>>()?;
    let passphrase = SecretString::from(PASSPHRASE);
    for (position, member) in members.iter().enumerate() {
        let network = (ports[INSTITUTIONS.len() + position], peers.as_slice());
        write_home(member, INSTITUTIONS[position].validates, network, &genesis, options, &passphrase)?;
        write_client_keys(directory, member, &passphrase)?;
    }
    durable::create(&directory.join("passphrase"), PASSPHRASE.as_bytes())?;
    write_json(&directory.join("genesis.json"), &genesis)?;
    let checkpoint = directory.join("checkpoint.json");
    write_json(&checkpoint, &Checkpoint::of_genesis(&genesis))?;
    let client_config = directory.join("client.toml");
    client_profiles(&genesis, &members).save(&client_config)?;
    let consortium = directory.join("consortium.toml");
    std::fs::write(&consortium, toml::to_string(&whole_consortium(&genesis, &members))?)?;
    Ok(ConsortiumFiles {
        directory: directory.to_owned(),
        genesis,
        members,
        checkpoint,
        client_config,
        consortium,
    })
}

fn new_member(directory: &Path, member: &Member, api_port: u16) -> Result<MemberFiles> {
    let id = InstitutionId::new(member.id).expect("a constant slug");
    let secret = |role| -> Result<SecretKey> { Ok(Key::generate(id.clone(), role)?.secret) };
    let secrets = CLIENT_ROLES.into_iter().map(|role| Ok((role, secret(role)?))).collect::<Result<_>>()?;
    let home = directory.join("nodes").join(member.id);
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, api_port));
    let (validator, network) = (secret(Role::Validator)?, secret(Role::Node)?);
    Ok(MemberFiles { id, home, api, secrets, validator, network })
}

fn identity(member: &MemberFiles) -> Result<NodeIdentity> {
    NodeIdentity::from_ed25519_seed(*member.network.seed()).context("the network key is no key")
}

fn genesis(members: &[MemberFiles], options: &Options) -> Result<Genesis> {
    let now_ms =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis();
    let now = LedgerTime(u64::try_from(now_ms)?);
    let window = |position, role| {
        let expires = if options.expired_roles.contains(&role) {
            now.minus_ms(EXPIRED_FOR_MS)
        } else {
            now.plus_ms((VALID_DAYS - stagger_days(position, role)) * DAY_MS)
        };
        Window { starts: now.minus_ms(DAY_MS), expires }
    };
    let mut institutions: Vec<GenesisInstitution> = members
        .iter()
        .zip(&INSTITUTIONS)
        .enumerate()
        .map(|(position, (files, member))| {
            let entry = |secret: &SecretKey, role| GenesisKey {
                key: secret.public_key(),
                role,
                window: window(position, role),
            };
            let mut keys: Vec<GenesisKey> =
                files.secrets.iter().map(|(role, secret)| entry(secret, *role)).collect();
            keys.push(entry(&files.network, Role::Node));
            if member.validates {
                keys.push(entry(&files.validator, Role::Validator));
            }
            let consortia = BTreeSet::from([ConsortiumId::new(CONSORTIUM).expect("a constant slug")]);
            let (name, kind, tier) = (member.name.to_owned(), member.kind, member.tier);
            GenesisInstitution {
                institution: Institution { id: files.id.clone(), name, kind, tier, consortia },
                keys,
            }
        })
        .collect();
    institutions.sort_by(|left, right| left.institution.id.cmp(&right.institution.id));
    let validators = members.iter().zip(&INSTITUTIONS).filter(|(_, member)| member.validates);
    let validators = validators.map(|(files, _)| Validator {
        key: files.validator.public_key(),
        institution: files.id.clone(),
        power: 1,
    });
    let genesis = Genesis {
        network: CONSORTIUM.to_owned(),
        time: now.minus_ms(1_000),
        parameters: options.parameters.clone(),
        institutions,
        validators: ValidatorSet::new(validators.collect()),
    };
    genesis.check()?;
    Ok(genesis)
}

fn write_home(
    member: &MemberFiles,
    validates: bool,
    (port, peers): (u16, &[PeerAddress]),
    genesis: &Genesis,
    options: &Options,
    passphrase: &SecretString,
) -> Result<()> {
    private::make_directory(&member.home)?;
    let own = identity(member)?.peer_id();
    let mut config = Config::default();
    config.network.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config.network.peers = peers.iter().filter(|peer| peer.peer != own).cloned().collect();
    config.consensus.heartbeat_ms = options.heartbeat_ms;
    config.api.listen = member.api;
    config.log.level = options.log_level.clone();
    config.node.passphrase = "file:passphrase".to_owned();
    if validates {
        config.node.validator_key = "validator.key".into();
        let key =
            Key { institution: member.id.clone(), role: Role::Validator, secret: member.validator.clone() };
        key.create(&member.home.join("validator.key"), passphrase, WorkFactor::TESTS_ONLY)?;
        voting::mark_never_voted(&member.home)?;
    }
    config.check()?;
    std::fs::write(member.home.join("config.toml"), toml::to_string(&config)?)?;
    durable::create(&member.home.join("passphrase"), PASSPHRASE.as_bytes())?;
    let key = Key { institution: member.id.clone(), role: Role::Node, secret: member.network.clone() };
    key.create_unsealed(&member.home.join("network.key"))?;
    write_json(&member.home.join("genesis.json"), genesis)
}

fn write_client_keys(directory: &Path, member: &MemberFiles, passphrase: &SecretString) -> Result<()> {
    let keys = directory.join("keys").join(member.id.as_str());
    private::make_directory(&keys)?;
    for (role, secret) in &member.secrets {
        let key = Key { institution: member.id.clone(), role: *role, secret: secret.clone() };
        key.create(&directory.join(key_path(&member.id, *role)), passphrase, WorkFactor::TESTS_ONLY)?;
    }
    Ok(())
}

/// Where a key lies, relative to the consortium's directory.
fn key_path(institution: &InstitutionId, role: Role) -> PathBuf {
    let name = match role {
        Role::Validator => "validator",
        Role::Node => "node",
        Role::Administrator => "administrator",
        Role::AccessGateway => "access-gateway",
        Role::ReferralGateway => "referral-gateway",
        Role::Finance => "finance",
        Role::Auditor => "auditor",
    };
    PathBuf::from("keys").join(institution.as_str()).join(format!("{name}.key"))
}

/// A profile for each institution, with its own node first.
fn client_profiles(genesis: &Genesis, members: &[MemberFiles]) -> ClientConfig {
    let profile = |member: &MemberFiles| Profile {
        nodes: vec![format!("http://{}", member.api)],
        institution: Some(member.id.clone()),
        passphrase: Some("file:passphrase".to_owned()),
        checkpoint: Some("checkpoint.json".into()),
        chain_id: Some(genesis.chain_id()),
        keys: CLIENT_ROLES.into_iter().map(|role| (role, key_path(&member.id, role))).collect(),
        subjects: Some(format!("subjects-{}.age", member.id).into()),
        ..Profile::default()
    };
    ClientConfig {
        default_profile: members.first().map(|member| member.id.to_string()),
        profiles: members.iter().map(|member| (member.id.to_string(), profile(member))).collect(),
    }
}

/// Everybody's node and keys in one file.
fn whole_consortium(genesis: &Genesis, members: &[MemberFiles]) -> Consortium {
    let entry = |(files, member): (&MemberFiles, &Member)| consortium::Member {
        id: files.id.clone(),
        kind: member.kind,
        tier: member.tier,
        consortia: BTreeSet::from([ConsortiumId::new(CONSORTIUM).expect("a constant slug")]),
        api: Some(format!("http://{}", files.api)),
        keys: CLIENT_ROLES.into_iter().map(|role| (role, key_path(&files.id, role))).collect(),
    };
    Consortium {
        passphrase: Some("file:passphrase".to_owned()),
        chain_id: Some(genesis.chain_id()),
        checkpoint: Some("checkpoint.json".into()),
        ca: None,
        institutions: members.iter().zip(&INSTITUTIONS).map(entry).collect(),
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
