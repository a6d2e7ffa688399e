//! A peer that says it has 2^40 blocks, and serves a node that catches up with what it has from an honest node and has
//! altered, or with nothing.

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
use yilian_node::base::clock::{Clock as _, SystemClock};
use yilian_node::base::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::consensus::codec::{LedgerCodec, StatusMessage, encode_status};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_node::network::Topic;
use yilian_node::network::limits::SYNC_BATCH;
use yilian_spec::base::codec;
use yilian_spec::ledger::block::Block;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::substream::{Deaf, question};
use super::peer::{Host, Line};
use super::{Attack, Tally, sync_floods};

const CLAIMED: u64 = 1 << 40;
const TICK: Duration = Duration::from_millis(50);
/// How much longer the attack goes on that had no chance yet.
const CHANCE: Duration = Duration::from_secs(10);

/// What is false about the answers.
#[derive(Clone, Copy)]
pub enum Lie {
    /// True headers and certificates over other bodies.
    Bodies,
    /// True blocks under certificates whose signatures have changed places.
    Signatures,
    /// No blocks at all.
    Nothing,
}

pub struct LyingSyncPeer(pub Lie);

struct Liar {
    lie: Lie,
    /// The way to a node that has the true blocks.
    honest: Door,
    lies: Arc<AtomicU64>,
}

/// The same blocks with the lie in them, as an answer for the heights from `first` on.
fn altered(lie: Lie, answer: Bytes, first: EngineHeight) -> Result<Bytes> {
    let mut response: Response<LedgerContext> = LedgerCodec.decode(answer)?;
    let Response::ValueResponse(values) = &mut response;
    values.start_height = first;
    match lie {
        Lie::Bodies => {
            for value in &mut values.values {
                let mut block: Block = codec::decode(&value.value_bytes, BLOCK_DECODE_BYTES_MAX)?;
                match block.transactions.last_mut() {
                    Some(last) => last.body.nonce[0] ^= 1,
                    // An empty one cannot be altered and stay readable but in its header.
                    None => block.header.time = block.header.time.plus_ms(1),
                }
                value.value_bytes = codec::encode(&block).into();
            }
        }
        Lie::Signatures => {
            for value in &mut values.values {
                let signed = &mut value.certificate.commit_signatures;
                let signatures: Vec<_> = signed.iter().map(|commit| commit.signature).collect();
                for (commit, signature) in signed.iter_mut().zip(signatures.iter().cycle().skip(1)) {
                    commit.signature = *signature;
                }
            }
        }
        Lie::Nothing => values.values.clear(),
    }
    Ok(LedgerCodec.encode(&response)?)
}

async fn ask(honest: &Door, request: &[u8]) -> Result<Bytes> {
    let connection = honest.connect().await?;
    let mut stream = connection.agreed("sync").await?;
    Ok(question(&mut stream, request).await?)
}

/// What the honest node answers, altered; for heights that nobody has, its first blocks.
async fn tell(lie: Lie, honest: Door, request: Bytes) -> Result<Bytes> {
    let asked: Request<LedgerContext> = LedgerCodec.decode(request.clone())?;
    let Request::ValueRequest(asked) = asked;
    let mut answer = ask(&honest, &request).await?;
    let response: Response<LedgerContext> = LedgerCodec.decode(answer.clone())?;
    let Response::ValueResponse(response) = response;
    if response.values.is_empty() {
        answer = ask(&honest, &sync_floods::request(1, SYNC_BATCH as u64)).await?;
    }
    altered(lie, answer, *asked.range.start())
}

impl Host for Liar {
    fn blocks(&self, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let (lie, honest, lies) = (self.lie, self.honest.clone(), Arc::clone(&self.lies));
        async move {
            let told = tell(lie, honest, request).await.ok()?;
            lies.fetch_add(1, Ordering::Relaxed);
            Some(told)
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
        let liar: Arc<dyn Host> = Arc::new(Liar { lie: self.0, honest, lies: Arc::clone(&lies) });
        let mut line = Line::new(field.door_as(&field.node_key, to(laggard)?, liar), "consensus");
        let status = StatusMessage { tip: EngineHeight(CLAIMED), lowest: EngineHeight(1) };
        let status = (Topic::Status, encode_status(status, SystemClock.now_ms()));
        // A node that starts slowly listens only when the time is over: then nobody has lied to it yet.
        let has_lied = || lies.load(Ordering::Relaxed) > 0;
        while Instant::now() < until || !has_lied() && Instant::now() < until + CHANCE {
            line.send(std::slice::from_ref(&status)).await;
            tokio::time::sleep(TICK).await;
        }
        let mut tally = total("claims", vec![(line.sent, line.ended)]);
        tally.insert("false answers", lies.load(Ordering::Relaxed));
        Ok(tally)
    }
}
