//! `/v1/grants`, `/v1/disclosures`: access given, and access taken.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yilian_spec::api::{Entry, ErrorBody, Page};
use yilian_spec::base::id::{DisclosureId, GrantId, InstitutionId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::access::{Disclosure, Grant};
use yilian_spec::state::key::{RowKind, StateKey};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::list::{self, Listed};
use super::members;
use super::page::PageRequest;
use super::rights;

/// Whose grants.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartyQuery {
    /// The institution that the items concern; the caller's own unless told, for a regulator all.
    pub institution: Option<InstitutionId>,
    /// Items at most, 1 to 500; 100 unless told.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which disclosures.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DisclosureQuery {
    /// The institution that the items concern; the caller's own unless told, for a regulator all.
    pub institution: Option<InstitutionId>,
    /// Only those without a receipt. Must be true unless a regulator asks about all institutions.
    #[serde(default)]
    pub open: bool,
    /// Items at most, 1 to 500; 100 unless told.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The institution a list is about: the one asked for, else the caller's own; `None` means all, for regulators.
///
/// # Errors
/// [`ApiError::NotYours`] when it is another's.
pub fn list_institution(
    caller: &Caller,
    asked: Option<InstitutionId>,
    what: &'static str,
) -> Result<Option<InstitutionId>, ApiError> {
    match asked {
        Some(institution) => {
            rights::require_institution(caller, what, &institution)?;
            Ok(Some(institution))
        }
        None if caller.is_regulator => Ok(None),
        None => Ok(Some(caller.institution.clone())),
    }
}

/// The grants that concern an institution.
#[utoipa::path(
    get, path = "/v1/grants", tag = "access", params(PartyQuery),
    responses((status = 200, body = Page<Entry<GrantId, Grant>>), (status = 403, body = ErrorBody))
)]
pub async fn grants(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<PartyQuery>,
) -> Result<Json<Page<Entry<GrantId, Grant>>>, ApiError> {
    let request = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let institution = list_institution(&caller, query.institution, "the list of grants")?;
    api.read(move |view| {
        let prefix = match institution {
            Some(id) => RowKind::GrantIndex.under(&id),
            None => RowKind::Grant.prefix(),
        };
        list::page(view, &prefix, request, |key, _| {
            let (StateKey::GrantIndex(_, id) | StateKey::Grant(id)) = key else {
                return Err(list::stray(&key));
            };
            Ok(Listed::Item(Entry::item(id, view.require(&StateKey::Grant(id), "grant")?)))
        })
        .map(Json)
    })
    .await
}

/// One grant.
#[utoipa::path(
    get, path = "/v1/grants/{id}", tag = "access", params(("id" = GrantId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<GrantId, Grant>), (status = 404, body = ErrorBody))
)]
pub async fn grant(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<GrantId>,
) -> Result<Json<Entry<GrantId, Grant>>, ApiError> {
    api.read(move |view| {
        let record: Grant = rights::object(view, &caller, &StateKey::Grant(id), "grant")?;
        Ok(Json(Entry::single(id, record, view.height())))
    })
    .await
}

fn is_overdue(disclosure: &Disclosure, now: LedgerTime) -> bool {
    let waits = disclosure.received_at.is_none()
        && matches!(disclosure.decision, yilian_spec::domain::access::Decision::Permit { .. });
    waits && now > disclosure.receipt_due
}

/// Where the open disclosures lie that an institution received, and where those that it made, one place for each recipient.
fn open_disclosures_of(view: &View<'_>, institution: &InstitutionId) -> Result<Vec<Vec<u8>>, ApiError> {
    const INDEX: RowKind = RowKind::OpenDisclosureIndex;
    let mut prefixes = vec![INDEX.under(institution)];
    for member in members::all(view)? {
        if member != *institution {
            prefixes.push(INDEX.under_both(&member, institution));
        }
    }
    prefixes.sort();
    Ok(prefixes)
}

/// Disclosures that wait for a receipt; a regulator may list all.
#[utoipa::path(
    get, path = "/v1/disclosures", tag = "access", params(DisclosureQuery),
    responses((status = 200, body = Page<Entry<DisclosureId, Disclosure>>), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub async fn disclosures(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<DisclosureQuery>,
) -> Result<Json<Page<Entry<DisclosureId, Disclosure>>>, ApiError> {
    let request = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let institution = list_institution(&caller, query.institution, "the list of disclosures")?;
    if institution.is_some() && !query.open {
        return Err(ApiError::Malformed(
            "give open=true: disclosures of one institution are listed while they wait for a receipt; \
             all of them stand in its stream at /v1/streams/institution/{id}"
                .to_owned(),
        ));
    }
    let now = LedgerTime(api.clock.now_ms());
    api.read(move |view| {
        let prefixes = match &institution {
            Some(id) => open_disclosures_of(view, id)?,
            None => vec![RowKind::Disclosure.prefix()],
        };
        list::page_over(view, &prefixes, request, |key, _| {
            let (StateKey::OpenDisclosureIndex(.., id) | StateKey::Disclosure(id)) = key else {
                return Err(list::stray(&key));
            };
            let record: Disclosure = view.require(&StateKey::Disclosure(id), "disclosure")?;
            let permitted = matches!(record.decision, yilian_spec::domain::access::Decision::Permit { .. });
            if query.open && (record.received_at.is_some() || !permitted) {
                return Ok(Listed::Skip);
            }
            let overdue = is_overdue(&record, now);
            Ok(Listed::Item(Entry::item(id, record).with_overdue(overdue)))
        })
        .map(Json)
    })
    .await
}

/// One disclosure.
#[utoipa::path(
    get, path = "/v1/disclosures/{id}", tag = "access", params(("id" = DisclosureId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<DisclosureId, Disclosure>), (status = 404, body = ErrorBody))
)]
pub async fn disclosure(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<DisclosureId>,
) -> Result<Json<Entry<DisclosureId, Disclosure>>, ApiError> {
    let now = LedgerTime(api.clock.now_ms());
    api.read(move |view| {
        let record: Disclosure = rights::object(view, &caller, &StateKey::Disclosure(id), "disclosure")?;
        let overdue = is_overdue(&record, now);
        Ok(Json(Entry::single(id, record, view.height()).with_overdue(overdue)))
    })
    .await
}
