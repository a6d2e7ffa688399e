//! All routes with their descriptions, in one list: what is not described is not served.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, SecurityRequirement, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::description;
use super::error::{ApiError, LedgerDamage, panic_response};
use super::limits::{API_DRAINED_BYTES_MAX, API_HEADER_BYTES_MAX, API_WAIT_MS_MAX};
use super::{
    Api, access, agreements, blocks, chain, check, events, members, proofs, referrals, revalidation, streams,
    system, transactions,
};

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(system::health))
        .routes(routes!(system::metrics))
        .routes(routes!(system::openapi))
        .routes(routes!(chain::chain))
        .routes(routes!(chain::checkpoint))
        .routes(routes!(transactions::submit))
        .routes(routes!(check::check))
        .routes(routes!(transactions::transaction))
        .routes(routes!(blocks::blocks))
        .routes(routes!(blocks::block))
        .routes(routes!(members::institutions))
        .routes(routes!(members::institution))
        .routes(routes!(members::keys_of))
        .routes(routes!(members::key))
        .routes(routes!(access::grants))
        .routes(routes!(access::grant))
        .routes(routes!(access::disclosures))
        .routes(routes!(access::disclosure))
        .routes(routes!(referrals::referrals))
        .routes(routes!(referrals::referral))
        .routes(routes!(referrals::capacity_of))
        .routes(routes!(referrals::capacity))
        .routes(routes!(agreements::service))
        .routes(routes!(agreements::agreements))
        .routes(routes!(agreements::agreement))
        .routes(routes!(agreements::period))
        .routes(routes!(agreements::statement))
        .routes(routes!(streams::stream))
        .routes(routes!(proofs::transaction))
        .routes(routes!(proofs::inclusion))
        .routes(routes!(proofs::consistency))
        .routes(routes!(proofs::state))
        .routes(routes!(proofs::grant))
        .routes(routes!(proofs::referral))
        .routes(routes!(proofs::agreement))
        .routes(routes!(proofs::key))
        .routes(routes!(proofs::institution))
        .routes(routes!(proofs::period))
        .routes(routes!(proofs::statement))
        .routes(routes!(proofs::stream))
        .routes(routes!(events::events))
}

/// The description of the API, as JSON.
pub fn openapi() -> String {
    let mut description = routes().into_openapi();
    description.info = InfoBuilder::new()
        .title("Yilian node")
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(
            LicenseBuilder::new()
                .name(env!("CARGO_PKG_LICENSE"))
                .identifier(Some(env!("CARGO_PKG_LICENSE")))
                .build(),
        ))
        .description(Some(
            "The API of one node of a Yilian ledger. Every call but those marked otherwise carries \
             `Authorization: Bearer <token>`, a short-lived EdDSA JWT that the caller signs with a key of the ledger \
             (spec/protocol/08-api.md). Records are the serde forms of the protocol's types.",
        ))
        .build();
    let bearer =
        SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
    let mut components = description.components.take().unwrap_or_default();
    components.add_security_scheme("token", bearer);
    description.components = Some(components);
    description.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    description.servers = Some(vec![Server::new("/")]);
    description::complete(&mut description);
    description::text(&description)
}

/// The service: routes, bounds, and what catches a handler that breaks.
pub fn router(api: Api) -> Router {
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(|| async { ApiError::NoSuchPath })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(api.options.body_bytes_max))
        .layer(middleware::from_fn_with_state(api.clone(), refuse_long_body))
        .layer(middleware::from_fn(refuse_long_headers))
        .layer(middleware::from_fn_with_state(api.clone(), watch_request))
        .layer(middleware::from_fn(revalidation::revalidate))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panic_response))
        .with_state(api)
}

/// Refuses a request whose line and headers are too long.
async fn refuse_long_headers(request: Request, next: Next) -> Response {
    if head_bytes(&request) <= API_HEADER_BYTES_MAX {
        return next.run(request).await;
    }
    drain(request.into_body()).await;
    ApiError::HeadersTooLarge { limit_bytes: API_HEADER_BYTES_MAX }.into_response()
}

/// Bytes of a request's line and headers as HTTP/1.1 writes them, also of one that came over HTTP/2.
fn head_bytes(request: &Request) -> usize {
    const LINE: usize = "  HTTP/1.1\r\n".len();
    const HEADER: usize = ": \r\n".len();
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER);
    request.method().as_str().len() + path + LINE + headers.sum::<usize>()
}

/// Refuses a body that is announced as too long.
async fn refuse_long_body(State(api): State<Api>, request: Request, next: Next) -> Response {
    let limit_bytes = api.options.body_bytes_max;
    if request.body().size_hint().lower() <= limit_bytes as u64 {
        return next.run(request).await;
    }
    drain(request.into_body()).await;
    ApiError::TooLarge { limit_bytes }.into_response()
}

/// Reads some of a body that nobody wants: a connection that is closed while the caller still sends is reset, and the caller
/// would not see why.
async fn drain(body: Body) {
    let mut body = body.into_data_stream();
    let mut unread = API_DRAINED_BYTES_MAX;
    while unread > 0
        && let Some(Ok(bytes)) = body.next().await
    {
        unread = unread.saturating_sub(bytes.len());
    }
}

/// Bounds the time of a request up to its answer's first byte, and counts it.
async fn watch_request(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or("other", |path| path.as_str())
        .to_owned();
    let method = request.method().clone();
    let started = std::time::Instant::now();
    // Waiting for finality is asked for, so it comes on top.
    let limit_ms = api.options.request_timeout_ms.saturating_add(API_WAIT_MS_MAX);
    let answered = tokio::time::timeout(Duration::from_millis(limit_ms), next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| ApiError::Timeout { limit_ms }.into_response());
    if let Some(LedgerDamage(reason)) = response.extensions_mut().remove() {
        api.health.set_damage(&reason);
    }
    api.metrics.request(&route, method.as_str(), response.status().as_u16(), started.elapsed());
    tracing::debug!(%route, %method, status = response.status().as_u16(), "request");
    // So that a caller can tell a clock that differs from its own by how much.
    response.headers_mut().insert("x-yilian-time-ms", HeaderValue::from(api.clock.now_ms()));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    response
}
