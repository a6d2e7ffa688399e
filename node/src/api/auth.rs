//! Who calls (rules N-1 to N-5): the token is checked by the rules of `spec::token`, its key is looked up in the ledger's state.
//!
//! A caller is the institution that owns the key. The clock is the node's; a key's window and revocation count at
//! the node's present, not at the last block's time, so that an idle ledger does not keep an expired key alive.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::crypto::token::{self, Audience, TokenError, VerifiedToken};
use yilian_spec::domain::membership::{Institution, InstitutionKind, KeyRecord, Role};
use yilian_spec::state::key::StateKey;

use super::Api;
use super::error::ApiError;
use super::ledger::View;
use crate::api::limits::API_TOKENS_REMEMBERED_MAX;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The institution that owns the key.
    pub institution: InstitutionId,
    /// The key's role.
    pub role: Role,
    /// Whether the institution is a regulator, which reads all.
    pub is_regulator: bool,
}

impl Caller {
    /// Whether the caller may read what concerns this institution.
    pub fn may_read_of(&self, institution: &InstitutionId) -> bool {
        self.is_regulator || self.institution == *institution
    }

    /// Refuses roles that submit nothing.
    ///
    /// # Errors
    /// [`ApiError::RoleCannotSubmit`].
    pub fn require_submitter(&self) -> Result<(), ApiError> {
        if self.role == Role::Auditor { Err(ApiError::RoleCannotSubmit) } else { Ok(()) }
    }
}

/// An authenticated caller whose right to call is asked for again later: it holds a connection for longer than one answer.
#[derive(Debug, Clone)]
pub struct Session {
    token: VerifiedToken,
}

impl Session {
    /// Who calls, if it still may (rules J-9 and N-2 to N-5).
    ///
    /// # Errors
    /// The rule by which it may no longer.
    pub fn caller(&self, view: &View<'_>, now: LedgerTime) -> Result<Caller, ApiError> {
        let (now_s, expires_s) = (now.0 / 1_000, self.token.claims.expires_s);
        if now_s >= expires_s {
            return Err(TokenError::Expired { ago_s: now_s - expires_s }.into());
        }
        identify(view, &self.token, now)
    }
}

/// Tokens whose signature was checked already: a client uses one for some minutes, and a check costs 50 µs.
#[derive(Debug, Default)]
pub struct TokenCache(Mutex<BTreeMap<String, VerifiedToken>>);

impl TokenCache {
    /// Checks a token; rules J-1 to J-9.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn check(&self, text: &str, now_s: u64, audience: &Audience) -> Result<VerifiedToken, ApiError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(text) {
            if now_s < found.claims.expires_s {
                return Ok(found.clone());
            }
            known.remove(text);
        }
        drop(known);
        let verified = token::parse_and_verify(text, now_s, audience)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= API_TOKENS_REMEMBERED_MAX {
            known.retain(|_, token| now_s < token.claims.expires_s);
        }
        // Full of live tokens: forget all, each is one signature check away.
        if known.len() >= API_TOKENS_REMEMBERED_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), verified.clone());
        Ok(verified)
    }
}

/// Looks the token's key up in the state and decides who calls.
///
/// # Errors
/// The rule by which the key may not call.
pub fn identify(view: &View<'_>, token: &VerifiedToken, now: LedgerTime) -> Result<Caller, ApiError> {
    let record: KeyRecord = view.row(&StateKey::Key(token.key))?.ok_or(ApiError::KeyUnknown)?;
    if record.institution.as_str() != token.claims.issuer {
        return Err(ApiError::IssuerMismatch);
    }
    if record.revoked_at.is_some() {
        return Err(ApiError::KeyRevoked);
    }
    if now < record.window.starts {
        return Err(ApiError::KeyNotYetValid { starts_ms: record.window.starts.0 });
    }
    // An expired administrator can still rotate itself (rule A-5), and it could then read whatever it may read now.
    if now >= record.window.expires && record.role != Role::Administrator {
        return Err(ApiError::KeyExpired { expired_ms: record.window.expires.0 });
    }
    if matches!(record.role, Role::Validator | Role::Node) {
        return Err(ApiError::RoleHasNoApi { role: record.role });
    }
    let institution: Option<Institution> = view.row(&StateKey::Institution(record.institution.clone()))?;
    let is_regulator = institution.is_some_and(|entry| entry.kind == InstitutionKind::Regulator);
    Ok(Caller { institution: record.institution, role: record.role, is_regulator })
}

/// The text behind `Bearer` in the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or(ApiError::NoToken)?;
    let text = value.to_str().map_err(|_| ApiError::NoToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(ApiError::NoToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(ApiError::NoToken) }
}

/// Checks the request's token and key; what every protected route asks for first.
///
/// # Errors
/// The first rule that fails.
pub fn authenticate(api: &Api, headers: &HeaderMap) -> Result<(Caller, PublicKey), ApiError> {
    let now_ms = api.clock.now_ms();
    let token = api.tokens.check(bearer(headers)?, now_ms / 1_000, &api.audience())?;
    let view = api.view()?;
    let caller = identify(&view, &token, LedgerTime(now_ms))?;
    Ok((caller, token.key))
}

impl FromRequestParts<Api> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let now_ms = api.clock.now_ms();
        let token = api.tokens.check(bearer(&parts.headers)?, now_ms / 1_000, &api.audience())?;
        let session = Self { token };
        session.caller(&api.view()?, LedgerTime(now_ms))?;
        Ok(session)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        authenticate(api, &parts.headers).map(|(caller, _)| caller)
    }
}
