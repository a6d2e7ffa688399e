//! A peer that says it has 2^40 blocks, and serves a node that catches up with true headers and certificates, which it has
//! from an honest node, over bodies that it has altered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use yilian_node::clock::{Clock as _, SystemClock};
use yilian_node::consensus::codec::{LedgerCodec, StatusMessage, encode_status};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_node::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::network::Topic;
use yilian_node::network::limits::SYNC_BATCH;
use yilian_spec::block::Block;
use yilian_spec::codec;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::substream::{Deaf, question};
use super::peer::{Host, Line};
use super::{Attack, Tally, sync_floods};

const CLAIMED: u64 = 1 << 40;
const TICK: Duration = Duration::from_millis(50);

pub struct LyingSyncPeer;

struct Liar {
    /// The way to a node that has the true blocks.
    honest: Door,
    lies: Arc<AtomicU64>,
}

/// The same blocks with bodies that their headers do not describe, as an answer for the heights from `first` on.
fn altered(answer: Bytes, first: EngineHeight) -> Result<Bytes> {
    let mut response: Response<LedgerContext> = LedgerCodec.decode(answer)?;
    let Response::ValueResponse(values) = &mut response;
    values.start_height = first;
    for value in &mut values.values {
        let mut block: Block = codec::decode(&value.value_bytes, BLOCK_DECODE_BYTES_MAX)?;
        match block.transactions.last_mut() {
            Some(last) => last.body.nonce[0] ^= 1,
            // An empty one cannot be altered and stay readable but in its header.
            None => block.header.time = block.header.time.plus_ms(1),
        }
        value.value_bytes = codec::encode(&block).into();
    }
    Ok(LedgerCodec.encode(&response)?)
}

async fn ask(honest: &Door, request: &[u8]) -> Result<Bytes> {
    let connection = honest.connect().await?;
    let mut stream = connection.agreed("sync").await?;
    Ok(question(&mut stream, request).await?)
}

/// What the honest node answers, altered; for heights that nobody has, its first blocks.
async fn lie(honest: Door, request: Bytes) -> Result<Bytes> {
    let asked: Request<LedgerContext> = LedgerCodec.decode(request.clone())?;
    let Request::ValueRequest(asked) = asked;
    let mut answer = ask(&honest, &request).await?;
    let response: Response<LedgerContext> = LedgerCodec.decode(answer.clone())?;
    let Response::ValueResponse(response) = response;
    if response.values.is_empty() {
        answer = ask(&honest, &sync_floods::request(1, SYNC_BATCH as u64)).await?;
    }
    altered(answer, *asked.range.start())
}

impl Host for Liar {
    fn blocks(&self, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let (honest, lies) = (self.honest.clone(), Arc::clone(&self.lies));
        async move {
            let lie = lie(honest, request).await.ok()?;
            lies.fetch_add(1, Ordering::Relaxed);
            Some(lie)
        }
        .boxed()
    }
}

#[async_trait]
impl Attack for LyingSyncPeer {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let laggard = field.laggard.context("somebody must catch up")?;
        let to = |node: usize| field.targets.get(&node).copied().context("a node that listens");
        let honest: Option<SocketAddr> =
            field.targets.iter().find(|(node, _)| **node != laggard).map(|(_, address)| *address);
        let honest = field.door_as(&field.node_key, honest.context("an honest node")?, Arc::new(Deaf));
        let lies = Arc::new(AtomicU64::new(0));
        let liar: Arc<dyn Host> = Arc::new(Liar { honest, lies: Arc::clone(&lies) });
        let mut line = Line::new(field.door_as(&field.node_key, to(laggard)?, liar), "consensus");
        let status = StatusMessage { tip: EngineHeight(CLAIMED), lowest: EngineHeight(1) };
        let status = (Topic::Status, encode_status(status, SystemClock.now_ms()));
        while Instant::now() < until {
            line.send(std::slice::from_ref(&status)).await;
            tokio::time::sleep(TICK).await;
        }
        let mut tally = total("claims", vec![(line.sent, line.ended)]);
        tally.insert("altered answers", lies.load(Ordering::Relaxed));
        Ok(tally)
    }
}
