//! `yilian key`: make keys, and register, rotate and revoke them on the ledger.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use yilian_client::client::Client;
use yilian_client::error::exit;
use yilian_client::session::Session;
use yilian_local::keyfile::{self, Key};
use yilian_local::moment;
use yilian_local::passphrase;
use yilian_local::sealed::WorkFactor;
use yilian_spec::api::Entry;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::{self, PublicKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::domain::membership::{
    RegisterKey, RevocationReason, RevokeKey, RotateKey, possession_bytes,
};
use yilian_spec::state::key::StateKey;

use crate::arguments::WindowArguments;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::grant;
use crate::output;
use crate::parse;
use crate::saving::{SaveArgument, show_record};
use crate::submission::{submit, submit_as, submit_with};

/// Keys: make, register, rotate, revoke.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian key list")]
pub enum KeyCommand {
    /// Make a key and write it to an encrypted file.
    #[command(after_help = "Example:\n  yilian key generate --role access-gateway --out gateway.key")]
    Generate {
        /// What it is for: administrator, access-gateway, referral-gateway, finance, auditor, validator or node.
        #[arg(long, value_parser = parse::coded::<Role>())]
        role: Role,
        /// The file; one that exists is not overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a key file, or a key on the ledger.
    #[command(
        after_help = "Examples:\n  yilian key show gateway.key\n  yilian key show \\\n    010a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Show {
        /// The file, or the public key in hexadecimal.
        key: String,
        #[command(flatten)]
        save: SaveArgument,
    },
    /// Print the bytes, in hexadecimal, that a key in a device signs (Ed25519) before it can be registered.
    #[command(
        after_help = "Example:\n  yilian key challenge \\\n    010a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --role node"
    )]
    Challenge {
        /// The device's public key.
        key: PublicKey,
        /// What it will be registered for.
        #[arg(long, value_parser = parse::coded::<Role>())]
        role: Role,
    },
    /// Register a key for one's institution: that of a file, or that of a device. By an administrator.
    #[command(
        after_help = "Examples:\n  yilian key register gateway.key --role access-gateway --expires +365d\n\nA key that stays in its device is named by --public-key, with its signature over\nwhat `yilian key challenge` prints as --possession."
    )]
    Register {
        /// What it may do.
        #[arg(long, value_parser = parse::coded::<Role>())]
        role: Role,
        #[command(flatten)]
        new: NewKey,
    },
    /// Replace a key by that of a file, in the same role; the old one is revoked. By an administrator.
    #[command(
        after_help = "Example:\n  yilian key rotate next.key --old \\\n    010a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --expires +365d"
    )]
    Rotate {
        /// The key to replace.
        #[arg(long, value_name = "KEY")]
        old: PublicKey,
        #[command(flatten)]
        new: NewKey,
    },
    /// Revoke a key of one's institution at once. By an administrator.
    #[command(
        after_help = "Example:\n  yilian key revoke \\\n    010a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --reason lost"
    )]
    Revoke {
        /// The key.
        key: PublicKey,
        /// Why: compromised, lost or retired.
        #[arg(long, value_parser = parse::coded::<RevocationReason>())]
        reason: RevocationReason,
    },
    /// Keep keys open for a while, so that commands do not ask for the passphrase nor pay for it.
    ///
    /// The opened keys lie in $XDG_RUNTIME_DIR, memory that is yours alone and that the system empties when you log out.
    #[command(
        after_help = "Examples:\n  yilian key unlock --for 30m\n  yilian key unlock gateway.key --for 8h"
    )]
    Unlock {
        /// The key files [default: those of the profile].
        files: Vec<PathBuf>,
        /// How long, at most 12h.
        #[arg(long = "for", value_name = "LENGTH", default_value = "30m", value_parser = parse::length_ms)]
        lifetime_ms: u64,
    },
    /// Forget all keys that `key unlock` keeps open.
    #[command(after_help = "Example:\n  yilian key lock")]
    Lock,
    /// List the keys of an institution.
    #[command(after_help = "Example:\n  yilian key list renhe-hospital")]
    List {
        /// The institution [default: the profile's].
        institution: Option<InstitutionId>,
    },
}

/// A new key and when it may act.
#[derive(Debug, Args)]
pub struct NewKey {
    /// The new key's file.
    #[arg(required_unless_present = "public_key")]
    file: Option<PathBuf>,
    /// Instead of a file: the public half of a key that stays in its device.
    #[arg(long, value_name = "KEY", requires = "possession", conflicts_with = "file")]
    public_key: Option<PublicKey>,
    /// With --public-key: the device's signature over the bytes that `yilian key challenge` prints.
    #[arg(long, value_name = "SIGNATURE", requires = "public_key")]
    possession: Option<Signature>,
    #[command(flatten)]
    window: WindowArguments,
}

impl KeyCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Generate { role, out } => generate(context, role, &out),
            Self::Show { key, save } => match key.parse::<PublicKey>() {
                Ok(key) => show(context, key, save).await,
                // What looks like a key and is no file is a key that was copied wrong.
                Err(error) if !Path::new(&key).exists() && is_hexadecimal(&key) => {
                    Err(Failure::Usage(format!("{key} is no file, and as a public key: {error}")))
                }
                Err(_) if save.is_asked() => {
                    Err(Failure::Usage("--save needs a public key: a key file has no proof".to_owned()))
                }
                Err(_) => show_file(context, Path::new(&key)),
            },
            Self::Challenge { key, role } => challenge(context, key, role).await,
            Self::Register { role, new } => {
                let client = context.client(Some(Role::Administrator)).await?;
                let Possessed { key, possession, .. } = possess(context, &client, &new, role)?;
                let window = new.window.window()?;
                let register = RegisterKey { key, role, window, possession };
                submit_with(context, &client, vec![Operation::RegisterKey(register)]).await
            }
            Self::Rotate { old, new } => {
                let client = context.client(Some(Role::Administrator)).await?;
                let role = client.record::<KeyRecord>(&StateKey::Key(old)).await?.value.role;
                let Possessed { key: new_key, possession, secret } = possess(context, &client, &new, role)?;
                let window = new.window.window()?;
                let rotate = RotateKey { old_key: old, new_key, window, possession };
                let successor = match secret.filter(|_| client.signs_with(&old)) {
                    Some(secret) => Some(context.client_with(secret).await?),
                    None => None,
                };
                submit_as(context, &client, successor.as_ref(), vec![Operation::RotateKey(rotate)]).await
            }
            Self::Revoke { key, reason } => {
                submit(context, Operation::RevokeKey(RevokeKey { key, reason })).await
            }
            Self::Unlock { files, lifetime_ms } => unlock(context, files, lifetime_ms),
            Self::Lock => {
                let count = Session::of_this_user()?.forget()?;
                Ok(report(context, &format!("{count} open keys forgotten")))
            }
            Self::List { institution } => list(context, institution).await,
        }
    }
}

fn unlock(context: &Context, files: Vec<PathBuf>, lifetime_ms: u64) -> Outcome {
    let session = Session::of_this_user()?;
    let mut files = files;
    if files.is_empty() {
        files.extend(context.profile.key.iter().chain(context.profile.keys.values()).cloned());
        files.dedup();
    }
    if files.is_empty() {
        return Err(Failure::Usage("the profile names no key: name the file".to_owned()));
    }
    let mut until = moment::now()?;
    for file in &files {
        let sealed = keyfile::read_sealed(file)?;
        let key = context.unseal_key(file, &sealed)?;
        until = session.keep(&sealed, &key, moment::now()?, lifetime_ms)?;
    }
    Ok(report(context, &format!("{} keys stay open until {}", files.len(), moment::show(until))))
}

fn report(context: &Context, sentence: &str) -> u8 {
    if context.json() {
        output::print_json(&json!({"done": sentence}));
    } else {
        output::print_line(sentence);
    }
    exit::OK
}

fn generate(context: &Context, role: Role, out: &Path) -> Outcome {
    let institution = context.institution()?;
    let source = context.passphrase_source(&out.display().to_string(), true)?;
    let key = Key::generate(institution, role)?;
    key.create(out, &passphrase::new_passphrase(&source)?, WorkFactor::PRODUCTION)?;
    print_key(context, out, &key);
    Ok(exit::OK)
}

fn show_file(context: &Context, file: &Path) -> Outcome {
    let key = context.open_key(file)?;
    print_key(context, file, &key);
    Ok(exit::OK)
}

fn is_hexadecimal(text: &str) -> bool {
    text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn print_key(context: &Context, file: &Path, key: &Key) {
    let public_key = key.secret.public_key();
    if context.json() {
        output::print_json(&json!({
            "file": file, "institution": key.institution, "role": key.role, "public_key": public_key,
        }));
    } else {
        output::print_fields(&[
            ("file", file.display().to_string()),
            ("institution", key.institution.to_string()),
            ("role", output::name(&key.role)),
            ("public key", public_key.to_string()),
        ]);
    }
}

/// A new key, with the proof that its holder has it.
struct Possessed {
    key: PublicKey,
    possession: Signature,
    /// The key itself, unless it stays in its device.
    secret: Option<Key>,
}

/// The new key, and its signature that shows that its owner holds it.
fn possess(context: &Context, client: &Client, new: &NewKey, role: Role) -> Result<Possessed, Failure> {
    let institution = client.institution().cloned().map_or_else(|| context.institution(), Ok)?;
    let bytes = |key| possession_bytes(client.chain_id(), &institution, role, key);
    match (&new.file, new.public_key, new.possession) {
        (Some(file), ..) => {
            let key = context.open_key(file)?;
            let public_key = key.secret.public_key();
            let possession = key.secret.sign(&bytes(public_key));
            Ok(Possessed { key: public_key, possession, secret: Some(key) })
        }
        (None, Some(key), Some(possession)) if signature::verify(&key, &bytes(key), &possession).is_ok() => {
            Ok(Possessed { key, possession, secret: None })
        }
        (None, Some(key), Some(_)) => Err(Failure::Usage(format!(
            "the proof of possession does not verify: let the device sign what `yilian key challenge {key} --role {}` prints",
            output::name(&role)
        ))),
        (None, ..) => Err(Failure::Usage("give the key's FILE, or --public-key and --possession".to_owned())),
    }
}

/// Prints what a device signs to show that it holds a key.
async fn challenge(context: &Context, key: PublicKey, role: Role) -> Outcome {
    let client = context.keyless_client().await?;
    let bytes = hex::encode(possession_bytes(client.chain_id(), &context.institution()?, role, key));
    if context.json() {
        output::print_json(&json!({ "public_key": key, "role": role, "bytes": bytes }));
    } else {
        output::print_line(&bytes);
    }
    Ok(exit::OK)
}

async fn show(context: &Context, key: PublicKey, save: SaveArgument) -> Outcome {
    let client = context.client(None).await?;
    show_record::<KeyRecord>(context, &client, &StateKey::Key(key), &key.to_string(), save, |record| {
        vec![
            ("institution", record.institution.to_string()),
            ("role", output::name(&record.role)),
            ("valid", grant::window(&record.window)),
            ("revoked", output::or_dash(record.revoked_at.map(moment::show))),
        ]
    })
    .await
}

async fn list(context: &Context, institution: Option<InstitutionId>) -> Outcome {
    let institution = institution.map_or_else(|| context.institution(), Ok)?;
    let client = context.client(None).await?;
    let path = format!("/v1/institutions/{institution}/keys");
    let list = client.list::<Entry<PublicKey, KeyRecord>>(&path, &[]).await?;
    if context.json() {
        output::print_json(&list.items);
        return Ok(exit::OK);
    }
    let row = |Entry { id, record, .. }: &Entry<PublicKey, KeyRecord>| {
        vec![
            id.to_string(),
            output::name(&record.role),
            moment::show(record.window.expires),
            output::or_dash(record.revoked_at.map(moment::show)),
        ]
    };
    let rows = list.items.iter().map(row).collect();
    output::print_table(&["key", "role", "expires", "revoked"], rows);
    Ok(exit::OK)
}
