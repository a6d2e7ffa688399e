//! `/v1/institutions`, `/v1/keys`: the members and their keys, for every caller.

use axum::Json;
use axum::extract::State;
use yilian_spec::api::{Entry, ErrorBody, Page};
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::{Institution, KeyRecord};
use yilian_spec::state::key::{RowKind, StateKey};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::list::{self, Listed};
use super::page::PageQuery;

/// The institutions.
#[utoipa::path(
    get, path = "/v1/institutions", tag = "members", params(PageQuery),
    responses((status = 200, body = Page<Entry<InstitutionId, Institution>>))
)]
pub async fn institutions(
    State(api): State<Api>,
    _caller: Caller,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<Page<Entry<InstitutionId, Institution>>>, ApiError> {
    let request = query.request()?;
    api.read(move |view| {
        list::page(view, &RowKind::Institution.prefix(), request, |_, row| {
            let record: Institution = view.decode(row)?;
            Ok(Listed::Item(Entry::item(record.id.clone(), record)))
        })
        .map(Json)
    })
    .await
}

/// The ids of all institutions, ascending.
///
/// # Errors
/// When storage fails.
pub fn all(view: &View<'_>) -> Result<Vec<InstitutionId>, ApiError> {
    let prefix = RowKind::Institution.prefix();
    let mut members = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let (rows, more) = view.rows(&prefix, after.as_deref(), usize::MAX)?;
        for (key, _) in &rows {
            let Some(StateKey::Institution(id)) = StateKey::parse(key) else {
                return Err(ApiError::Internal("a list met a row that is no institution".to_owned()));
            };
            members.push(id);
        }
        if !more {
            return Ok(members);
        }
        after = rows.into_iter().last().map(|(key, _)| key);
    }
}

/// One institution.
#[utoipa::path(
    get, path = "/v1/institutions/{id}", tag = "members", params(("id" = InstitutionId, Path, description = "slug")),
    responses((status = 200, body = Entry<InstitutionId, Institution>), (status = 404, body = ErrorBody))
)]
pub async fn institution(
    State(api): State<Api>,
    _caller: Caller,
    PathOf(id): PathOf<InstitutionId>,
) -> Result<Json<Entry<InstitutionId, Institution>>, ApiError> {
    api.read(move |view| {
        let record = view.require(&StateKey::Institution(id.clone()), "institution")?;
        Ok(Json(Entry::single(id, record, view.height())))
    })
    .await
}

/// The keys of an institution, also expired and revoked ones.
#[utoipa::path(
    get, path = "/v1/institutions/{id}/keys", tag = "members",
    params(("id" = InstitutionId, Path, description = "slug"), PageQuery),
    responses((status = 200, body = Page<Entry<PublicKey, KeyRecord>>), (status = 404, body = ErrorBody))
)]
pub async fn keys_of(
    State(api): State<Api>,
    _caller: Caller,
    PathOf(id): PathOf<InstitutionId>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<Page<Entry<PublicKey, KeyRecord>>>, ApiError> {
    let request = query.request()?;
    api.read(move |view| {
        let _: Institution = view.require(&StateKey::Institution(id.clone()), "institution")?;
        list::page(view, &RowKind::KeyIndex.under(&id), request, |key, _| {
            let StateKey::KeyIndex(_, key) = key else { return Err(list::stray(&key)) };
            Ok(Listed::Item(Entry::item(key, view.require(&StateKey::Key(key), "key")?)))
        })
        .map(Json)
    })
    .await
}

/// One key.
#[utoipa::path(
    get, path = "/v1/keys/{key}", tag = "members",
    params(("key" = PublicKey, Path, description = "66 hexadecimal digits")),
    responses((status = 200, body = Entry<PublicKey, KeyRecord>), (status = 404, body = ErrorBody))
)]
pub async fn key(
    State(api): State<Api>,
    _caller: Caller,
    PathOf(key): PathOf<PublicKey>,
) -> Result<Json<Entry<PublicKey, KeyRecord>>, ApiError> {
    api.read(move |view| {
        let record = view.require(&StateKey::Key(key), "key")?;
        Ok(Json(Entry::single(key, record, view.height())))
    })
    .await
}
