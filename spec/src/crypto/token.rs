//! The API token: a short-lived JSON Web Token that a caller signs with a key the ledger knows.
//!
//! JWS compact form (RFC 7515, RFC 7519) with EdDSA over Ed25519 (RFC 8037), reduced to one algorithm and one
//! header, so that there is nothing to negotiate. The written rules are J-1 to J-9 in
//! `spec/protocol/02-signatures.md`. This module decides whether a token is genuine, for this ledger and node, and in time;
//! whether its key is registered, for which institution and in which role, is read from the ledger's state by
//! whoever serves the request.

use crate::base::id::ChainId;
use crate::base::limits::{
    TOKEN_BYTES_MAX, TOKEN_CLOCK_AHEAD_S_MAX, TOKEN_ISSUER_BYTES_MAX, TOKEN_LIFETIME_S_MAX,
    TOKEN_NONCE_BYTES_MAX,
};
use crate::crypto::signature::{PublicKey, SecretKey, Signature, SignatureError, verify};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "JWT";

/// Whom a token is for: one node of one ledger, so that a node cannot use at another what a caller showed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The ledger.
    pub chain_id: ChainId,
    /// The node, by the public half of its node key.
    pub node: PublicKey,
}

impl std::fmt::Display for Audience {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.chain_id, self.node)
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The institution that the caller speaks for, as the ledger names it.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Whom the token is for: the text of an [`Audience`], the texts of chain id and node key,
    /// joined by a slash.
    #[serde(rename = "aud")]
    pub audience: String,
    /// When the token was made, in seconds since 1970-01-01 UTC.
    #[serde(rename = "iat")]
    pub issued_s: u64,
    /// From when on it is void, in seconds since 1970-01-01 UTC.
    #[serde(rename = "exp")]
    pub expires_s: u64,
    /// Anything that makes two tokens of one second differ; printable ASCII.
    #[serde(rename = "nonce", default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

impl Claims {
    /// Claims for a token that is valid from `now_s` for `lifetime_s` seconds.
    pub fn new(issuer: &str, audience: &Audience, now_s: u64, lifetime_s: u64) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_string(),
            issued_s: now_s,
            expires_s: now_s.saturating_add(lifetime_s),
            nonce: None,
        }
    }
}

/// The header that every token has, and no other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A token that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The key that signed it. Not yet known to be registered.
    pub key: PublicKey,
    /// What it says.
    pub claims: Claims,
}

/// One of the three parts of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second, with the claims.
    Payload,
    /// The third.
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a token is refused; one variant for each rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Rule J-1.
    #[error("the token has {bytes} bytes, more than {TOKEN_BYTES_MAX} (rule J-1)")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// Rule J-2.
    #[error("a token is three parts joined by two dots, this one has {parts} (rule J-2)")]
    Parts {
        /// How many there were.
        parts: usize,
    },
    /// Rule J-2.
    #[error("the token's {part} is not base64url without padding (rule J-2)")]
    Base64 {
        /// Which part.
        part: Part,
    },
    /// Rule J-3.
    #[error("the token's header is not a JSON object of alg, typ and kid alone (rule J-3): {reason}")]
    Header {
        /// What the JSON reader says.
        reason: String,
    },
    /// Rule J-3.
    #[error("the token's algorithm must be {ALGORITHM} (rule J-3)")]
    Algorithm,
    /// Rule J-3.
    #[error("the token's type must be {TYPE} (rule J-3)")]
    Type,
    /// Rule J-3.
    #[error("the token's key id must be the public key in 66 lower-case hexadecimal digits (rule J-3)")]
    KeyId,
    /// Rule J-4.
    #[error("the token's signature has {bytes} bytes instead of 64 (rule J-4)")]
    SignatureSize {
        /// Its size.
        bytes: usize,
    },
    /// Rule J-4.
    #[error("the token's signature is not valid (rule J-4): {0}")]
    Signature(#[from] SignatureError),
    /// Rule J-5.
    #[error(
        "the token's claims are not a JSON object of iss, aud, iat, exp and perhaps nonce (rule J-5): {reason}"
    )]
    Claims {
        /// What the JSON reader says.
        reason: String,
    },
    /// Rule J-6.
    #[error(
        "the token's issuer must have 1 to {TOKEN_ISSUER_BYTES_MAX} printable ASCII characters (rule J-6)"
    )]
    Issuer,
    /// Rule J-6.
    #[error("the token's nonce must have 1 to {TOKEN_NONCE_BYTES_MAX} printable ASCII characters (rule J-6)")]
    Nonce,
    /// Rule J-7.
    #[error(
        "the token is for another ledger: its audience must be this chain id and this node's key (rule J-7)"
    )]
    Audience,
    /// Rule J-7.
    #[error(
        "the token is for another node of this ledger: sign one for the key that this node names at /v1/chain (rule J-7)"
    )]
    OtherNode,
    /// Rule J-8.
    #[error(
        "the token lives {lifetime_s} s; it must expire after its issue, at most {TOKEN_LIFETIME_S_MAX} s (rule J-8)"
    )]
    Lifetime {
        /// Expiry less issue; negative when it expires before its issue.
        lifetime_s: i128,
    },
    /// Rule J-9.
    #[error(
        "the token was issued {ahead_s} s ahead of this clock, more than {TOKEN_CLOCK_AHEAD_S_MAX} (rule J-9): set the clock"
    )]
    IssuedInFuture {
        /// How far ahead.
        ahead_s: u64,
    },
    /// Rule J-9.
    #[error("the token expired {ago_s} s ago (rule J-9): sign a new one")]
    Expired {
        /// How long ago.
        ago_s: u64,
    },
}

/// Makes a token: header, claims, signature.
///
/// # Errors
/// When the claims break a rule that does not depend on the reader's clock or chain (J-1, J-6, J-8), so that a
/// caller learns it before sending.
pub fn sign(claims: &Claims, key: &SecretKey) -> Result<String, TokenError> {
    check_form(claims)?;
    let header =
        Header { alg: ALGORITHM.to_owned(), typ: TYPE.to_owned(), kid: key.public_key().to_string() };
    let header = serde_json::to_vec(&header).expect("a struct of strings is JSON");
    let payload = serde_json::to_vec(claims).expect("a struct of strings and numbers is JSON");
    let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.ed25519_bytes(), &mut token);
    check_size(&token)?;
    Ok(token)
}

/// Reads a token and checks every rule, the cheap ones first and the claims only once the signature holds.
///
/// `now_s` is the reader's clock in seconds since 1970-01-01 UTC.
///
/// # Errors
/// The first rule that fails.
pub fn parse_and_verify(token: &str, now_s: u64, audience: &Audience) -> Result<VerifiedToken, TokenError> {
    check_size(token)?;
    let (header, payload, signature) = split(token)?;
    let key = read_header(&decode(Part::Header, header)?)?;
    let claims = decode(Part::Payload, payload)?;
    let signature = decode(Part::Signature, signature)?;
    let signature =
        <[u8; 64]>::try_from(signature).map_err(|wrong| TokenError::SignatureSize { bytes: wrong.len() })?;
    // What was signed is the text before the second dot, as received.
    let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
    verify(&key, signed, &Signature::Ed25519(signature))?;
    let claims: Claims =
        serde_json::from_slice(&claims).map_err(|error| TokenError::Claims { reason: error.to_string() })?;
    check_form(&claims)?;
    check_audience(&claims, audience)?;
    check_time(&claims, now_s)?;
    Ok(VerifiedToken { key, claims })
}

fn check_size(token: &str) -> Result<(), TokenError> {
    if token.len() > TOKEN_BYTES_MAX { Err(TokenError::TooLong { bytes: token.len() }) } else { Ok(()) }
}

fn split(token: &str) -> Result<(&str, &str, &str), TokenError> {
    let parts: Vec<&str> = token.split('.').collect();
    match parts.as_slice() {
        [header, payload, signature] => Ok((header, payload, signature)),
        other => Err(TokenError::Parts { parts: other.len() }),
    }
}

fn decode(part: Part, text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Base64 { part })
}

fn read_header(bytes: &[u8]) -> Result<PublicKey, TokenError> {
    let header: Header =
        serde_json::from_slice(bytes).map_err(|error| TokenError::Header { reason: error.to_string() })?;
    if header.alg != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    if header.typ != TYPE {
        return Err(TokenError::Type);
    }
    header.kid.parse().map_err(|_| TokenError::KeyId)
}

/// Rules J-6 and J-8: what can be said about the claims without a clock.
fn check_form(claims: &Claims) -> Result<(), TokenError> {
    if !is_printable(&claims.issuer, TOKEN_ISSUER_BYTES_MAX) {
        return Err(TokenError::Issuer);
    }
    if claims.nonce.as_ref().is_some_and(|nonce| !is_printable(nonce, TOKEN_NONCE_BYTES_MAX)) {
        return Err(TokenError::Nonce);
    }
    let lifetime_s = i128::from(claims.expires_s) - i128::from(claims.issued_s);
    if !(1..=i128::from(TOKEN_LIFETIME_S_MAX)).contains(&lifetime_s) {
        return Err(TokenError::Lifetime { lifetime_s });
    }
    Ok(())
}

fn is_printable(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Rule J-7.
fn check_audience(claims: &Claims, audience: &Audience) -> Result<(), TokenError> {
    if claims.audience == audience.to_string() {
        return Ok(());
    }
    let is_of_this_ledger =
        claims.audience.split_once('/').is_some_and(|(chain, _)| chain == audience.chain_id.to_string());
    Err(if is_of_this_ledger { TokenError::OtherNode } else { TokenError::Audience })
}

/// Rule J-9.
fn check_time(claims: &Claims, now_s: u64) -> Result<(), TokenError> {
    let ahead_s = claims.issued_s.saturating_sub(now_s);
    if ahead_s > TOKEN_CLOCK_AHEAD_S_MAX {
        return Err(TokenError::IssuedInFuture { ahead_s });
    }
    if now_s >= claims.expires_s {
        return Err(TokenError::Expired { ago_s: now_s - claims.expires_s });
    }
    Ok(())
}
