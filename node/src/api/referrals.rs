//! `/v1/referrals`, `/v1/capacity`: cases on their way, and who can take more.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yilian_spec::api::{Entry, ErrorBody, Page};
use yilian_spec::base::id::{InstitutionId, ReferralId, ServiceCode};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::membership::Institution;
use yilian_spec::domain::referral::{Capacity, Referral};
use yilian_spec::state::key::{RowKind, StateKey};

use super::Api;
use super::access::list_institution;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::list::{self, Listed};
use super::page::{PageQuery, PageRequest};
use super::rights;

/// Which referrals.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReferralQuery {
    /// The institution that the items concern; the caller's own unless told, for a regulator all.
    pub institution: Option<InstitutionId>,
    /// Only those whose deadline has passed.
    #[serde(default)]
    pub overdue: bool,
    /// Items at most, 1 to 500; 100 unless told.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

fn is_overdue(referral: &Referral, now: LedgerTime) -> bool {
    referral.due.is_some_and(|due| now > due)
}

/// The referrals that concern an institution.
#[utoipa::path(
    get, path = "/v1/referrals", tag = "referrals", params(ReferralQuery),
    responses((status = 200, body = Page<Entry<ReferralId, Referral>>), (status = 403, body = ErrorBody))
)]
pub async fn referrals(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<ReferralQuery>,
) -> Result<Json<Page<Entry<ReferralId, Referral>>>, ApiError> {
    let request = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let institution = list_institution(&caller, query.institution, "the list of referrals")?;
    let now = LedgerTime(api.clock.now_ms());
    api.read(move |view| {
        let prefix = match institution {
            Some(id) => RowKind::ReferralIndex.under(&id),
            None => RowKind::Referral.prefix(),
        };
        list::page(view, &prefix, request, |key, _| {
            let (StateKey::ReferralIndex(_, id) | StateKey::Referral(id)) = key else {
                return Err(list::stray(&key));
            };
            let record: Referral = view.require(&StateKey::Referral(id), "referral")?;
            let overdue = is_overdue(&record, now);
            if query.overdue && !overdue {
                return Ok(Listed::Skip);
            }
            Ok(Listed::Item(Entry::item(id, record).with_overdue(overdue)))
        })
        .map(Json)
    })
    .await
}

/// One referral.
#[utoipa::path(
    get, path = "/v1/referrals/{id}", tag = "referrals", params(("id" = ReferralId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<ReferralId, Referral>), (status = 404, body = ErrorBody))
)]
pub async fn referral(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<ReferralId>,
) -> Result<Json<Entry<ReferralId, Referral>>, ApiError> {
    let now = LedgerTime(api.clock.now_ms());
    api.read(move |view| {
        let record: Referral = rights::object(view, &caller, &StateKey::Referral(id), "referral")?;
        let overdue = is_overdue(&record, now);
        Ok(Json(Entry::single(id, record, view.height()).with_overdue(overdue)))
    })
    .await
}

/// The capacity that an institution has published, by service. For every caller.
#[utoipa::path(
    get, path = "/v1/capacity/{institution}", tag = "referrals",
    params(("institution" = InstitutionId, Path, description = "slug"), PageQuery),
    responses((status = 200, body = Page<Entry<ServiceCode, Capacity>>), (status = 404, body = ErrorBody))
)]
pub async fn capacity_of(
    State(api): State<Api>,
    _caller: Caller,
    PathOf(institution): PathOf<InstitutionId>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<Page<Entry<ServiceCode, Capacity>>>, ApiError> {
    let request = query.request()?;
    api.read(move |view| {
        let _: Institution = view.require(&StateKey::Institution(institution.clone()), "institution")?;
        list::page(view, &RowKind::Capacity.under(&institution), request, |key, row| {
            let StateKey::Capacity(_, service) = key else { return Err(list::stray(&key)) };
            Ok(Listed::Item(Entry::item(service, view.decode(row)?)))
        })
        .map(Json)
    })
    .await
}

/// The capacity that an institution has published for one service. For every caller.
#[utoipa::path(
    get, path = "/v1/capacity/{institution}/{service}", tag = "referrals",
    params(("institution" = InstitutionId, Path, description = "slug"), ("service" = ServiceCode, Path, description = "slug")),
    responses((status = 200, body = Entry<ServiceCode, Capacity>), (status = 404, body = ErrorBody))
)]
pub async fn capacity(
    State(api): State<Api>,
    _caller: Caller,
    PathOf((institution, service)): PathOf<(InstitutionId, ServiceCode)>,
) -> Result<Json<Entry<ServiceCode, Capacity>>, ApiError> {
    api.read(move |view| {
        let record = view.require(&StateKey::Capacity(institution, service.clone()), "published capacity")?;
        Ok(Json(Entry::single(service, record, view.height())))
    })
    .await
}
