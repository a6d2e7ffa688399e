//! Whether an answer is of the present: not behind what was verified before, nor behind what other nodes have, nor older
//! than the caller allows.
//!
//! A proof says what was true after a block. A node that hides what came since needs no forgery: it serves an earlier
//! proof. So the highest header that was verified is remembered ([`crate::memory`]), and an answer about the present that
//! is proven against an earlier one is refused, after the node has had a moment to catch up.

use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use yilian_spec::api::ledger::Block;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::Header;
use yilian_spec::proof::CertifiedHeader;
use yilian_spec::state::key::StateKey;

use super::Client;
use super::transport::Request;
use crate::error::ClientError;
use crate::limits;
use yilian_local::moment;

/// How old an answer about the present may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// Blocks that it may be behind the highest one that was verified.
    pub lag_blocks_max: u64,
    /// Milliseconds that its block's time may lie before this machine's clock.
    pub age_ms_max: Option<u64>,
}

/// Where a node's ledger stands, proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tip {
    /// The node's address.
    pub node: String,
    /// Its last block's height.
    pub height: Height,
    /// Its id.
    pub block_id: BlockId,
    /// Its time.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
}

impl Client {
    /// Demands that a header that was verified is recent enough for an answer about the present.
    ///
    /// # Errors
    /// [`ClientError::Stale`] and [`ClientError::TooOld`].
    pub(super) fn require_present(&self, header: &Header) -> Result<(), ClientError> {
        let Header { height, time, .. } = *header;
        self.require_not_behind(height, Some(time))?;
        let Some(bound_ms) = self.freshness.age_ms_max else { return Ok(()) };
        let now = moment::now()?;
        let age_ms = now.0.saturating_sub(time.0);
        if age_ms > bound_ms { Err(ClientError::TooOld { height, time, now, bound_ms }) } else { Ok(()) }
    }

    /// Refuses an answer as of a block that is lower than the highest that was verified.
    ///
    /// # Errors
    /// [`ClientError::Stale`].
    fn require_not_behind(&self, height: Height, time: Option<LedgerTime>) -> Result<(), ClientError> {
        match self.memory.highest_verified() {
            Some(highest) if highest.height.0 > height.0.saturating_add(self.freshness.lag_blocks_max) => {
                Err(ClientError::Stale { height, time, highest })
            }
            _ => Ok(()),
        }
    }

    /// Before a list is read, which nobody proves: a proven answer of the same nodes shows how old they are, where an age is
    /// bounded.
    ///
    /// # Errors
    /// [`ClientError::TooOld`], and as [`Client::row_proof`].
    pub(super) async fn require_young_nodes(&self) -> Result<(), ClientError> {
        match self.freshness.age_ms_max {
            Some(_) => self.row_proof(&StateKey::Parameters).await.map(drop),
            None => Ok(()),
        }
    }

    /// Refuses a page of a list as of a block that is lower than the highest that was verified, or of no block.
    ///
    /// # Errors
    /// [`ClientError::Stale`].
    pub(super) fn require_present_page(&self, height: Height) -> Result<(), ClientError> {
        self.require_not_behind(height, None)
    }

    /// Whether a stale answer is worth asking again: a node that others are just ahead of catches up in no time. Pauses
    /// then, and turns to the next node.
    pub(super) async fn asks_again(&self, error: &ClientError, pauses: &mut u32) -> bool {
        let is_stale = matches!(error, ClientError::Stale { .. });
        if !is_stale || *pauses >= limits::CATCH_UP_PAUSES_MAX {
            return false;
        }
        *pauses += 1;
        self.transport.turn_to_next();
        tokio::time::sleep(Duration::from_millis(limits::CATCH_UP_PAUSE_MS)).await;
        true
    }

    /// Asks all nodes, also those that are only compared with, for their last block, verifies each, and remembers the
    /// highest: no answer behind it counts as of the present from then on.
    ///
    /// # Errors
    /// [`ClientError::Setup`] without a checkpoint, [`ClientError::Conflict`] when two nodes have different final
    /// blocks of one height, or what asking one of them gives: a comparison that leaves one out would show nothing.
    pub async fn compare(&self) -> Result<Vec<Tip>, ClientError> {
        let nodes = self.transport.all();
        let tips = join_all(nodes.iter().map(|node| self.final_block(node, "latest"))).await;
        let tips = tips.into_iter().collect::<Result<Vec<_>, _>>()?;
        let Some(lowest) = tips.iter().map(|tip| tip.header.height).min() else { return Ok(Vec::new()) };
        // Histories that have parted stay parted, so the highest height that all of them have shows it.
        let mut first: Option<CertifiedHeader> = None;
        for (node, tip) in nodes.iter().zip(&tips) {
            let common = if tip.header.height == lowest {
                tip.clone()
            } else {
                self.final_block(node, &lowest.to_string()).await?
            };
            match &first {
                Some(first) => self.memory.compare(first, &common)?,
                None => first = Some(common),
            }
        }
        let shown = |(node, tip): (&reqwest::Url, &CertifiedHeader)| Tip {
            node: super::transport::name_of(node),
            height: tip.header.height,
            block_id: tip.header.id(),
            time: tip.header.time,
        };
        Ok(nodes.iter().zip(&tips).map(shown).collect())
    }

    /// A node's block, its header verified.
    async fn final_block(&self, node: &reqwest::Url, height: &str) -> Result<CertifiedHeader, ClientError> {
        let checkpoint = self.checkpoint.as_ref().ok_or_else(|| {
            ClientError::Setup("comparing nodes needs a checkpoint to verify them against".to_owned())
        })?;
        let path = format!("/v1/blocks/{height}");
        let answer = self.transport.ask_one(node, &Request::get(&path), self.asker()?).await?;
        let Block { certified, .. } = answer.json()?;
        certified.verify(checkpoint)?;
        if height.parse().is_ok_and(|asked: u64| asked != certified.header.height.0) {
            return Err(ClientError::OtherProof { what: format!("block {height}") });
        }
        self.memory.saw(&certified)?;
        Ok(certified)
    }
}
