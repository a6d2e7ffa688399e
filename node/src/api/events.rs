//! `/v1/events`: new blocks, and one's own transactions in them, as server-sent events.
//!
//! A block's transactions come first and its `block` event last, with the height as its id: whoever reconnects with
//! `Last-Event-ID` gets everything after the last block that it has seen whole. Blocks are read from storage one by one,
//! so a slow reader costs no memory. Before each block it is asked anew whether the caller may read.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use yilian_spec::api::ErrorBody;
use yilian_spec::api::ledger::{BlockEvent, TransactionEvent};
use yilian_spec::base::height::Height;
use yilian_spec::base::time::LedgerTime;

use super::Api;
use super::auth::Session;
use super::blocks;
use super::error::ApiError;
use super::limits::{API_EVENT_BLOCKS_AHEAD_MAX, API_EVENT_KEEP_ALIVE_MS};

/// New blocks and the caller's transactions in them.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "the last block seen; events after it follow")),
    responses(
        (status = 200, content_type = "text/event-stream", body = BlockEvent, description = "events `block` and `transaction`, and `end` when the caller may no longer read"),
        (status = 400, body = ErrorBody), (status = 429, body = ErrorBody)
    )
)]
pub async fn events(
    State(api): State<Api>,
    session: Session,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let last = last_event(&headers, api.height())?.unwrap_or(api.height());
    let permit = api.event_streams.clone().try_acquire_owned().map_err(|_| ApiError::Busy {
        code: "too_many_event_streams",
        message: format!(
            "{} event streams are open already: close one, or ask another node",
            api.options.event_streams_max
        ),
        retry_after_s: 5,
    })?;
    let keep_alive = KeepAlive::new().interval(Duration::from_millis(API_EVENT_KEEP_ALIVE_MS));
    Ok(Sse::new(follow(api, session, last, permit)).keep_alive(keep_alive))
}

/// The last block that the caller saw: at another node perhaps, which may be some blocks ahead.
fn last_event(headers: &HeaderMap, height: Height) -> Result<Option<Height>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let last = value.to_str().ok().and_then(|text| text.parse().ok());
    let last = last.ok_or_else(|| {
        ApiError::Malformed("Last-Event-ID must be the height of the last block seen, or absent".to_owned())
    })?;
    if last > height.0.saturating_add(API_EVENT_BLOCKS_AHEAD_MAX) {
        return Err(ApiError::Malformed(format!(
            "Last-Event-ID is {last}, and this node's last block {height}: more than {API_EVENT_BLOCKS_AHEAD_MAX} blocks ahead; \
             give the id of an event of this ledger, or none"
        )));
    }
    Ok(Some(Height(last)))
}

/// What a stream of events carries from one block to the next.
struct Follower {
    api: Api,
    session: Session,
    last: Height,
    /// Whether the stream has said its last word.
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

fn follow(
    api: Api,
    session: Session,
    last: Height,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let follower = Follower { api, session, last, ended: false, _permit: permit };
    stream::unfold(follower, |mut follower| async move {
        let events = follower.next_block().await?;
        Some((stream::iter(events.into_iter().map(Ok)), follower))
    })
    .flatten()
}

impl Follower {
    /// The events of the next block, once there is one; `None` ends the stream, and the reader connects again.
    async fn next_block(&mut self) -> Option<Vec<Event>> {
        if self.ended {
            return None;
        }
        let mut tip = self.api.tip_changes();
        loop {
            if self.api.height() > self.last {
                break;
            }
            let mut stopping = self.api.stopping.clone();
            tokio::select! {
                changed = tip.changed() => changed.ok()?,
                _ = stopping.wait_for(|stops| *stops) => return None,
            }
        }
        let height = self.last.next();
        let (session, now) = (self.session.clone(), LedgerTime(self.api.clock.now_ms()));
        // The caller's right is asked for anew: its key may have been revoked, its token has an end.
        let found = self.api.read(move |view| match session.caller(view, now) {
            Ok(caller) => Ok(Ok(blocks::read_block(view, &caller, height)?)),
            Err(error) => Ok(Err(error)),
        });
        let block = match found.await {
            Ok(Ok(block)) => block?,
            Ok(Err(refused)) => {
                self.ended = true;
                return Some(vec![event("end", &refused.body())]);
            }
            Err(error) => {
                tracing::warn!(%error, %height, "an event stream ends: the block cannot be read");
                return None;
            }
        };
        self.last = height;
        let transactions = block.transactions.into_iter().map(|entry| {
            let data =
                TransactionEvent { transaction_id: entry.transaction_id, height, outcome: entry.outcome };
            event("transaction", &data)
        });
        let mut events: Vec<Event> = transactions.collect();
        let header = &block.certified.header;
        let data = BlockEvent {
            height,
            block_id: header.id(),
            time: header.time,
            transactions: header.transaction_count,
        };
        events.push(event("block", &data).id(height.to_string()));
        Some(events)
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let json = serde_json::to_string(data).expect("events hold texts and numbers");
    Event::default().event(name).data(json)
}
