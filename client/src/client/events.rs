//! New blocks and one's own transactions as they become final, over server-sent events that resume after a break.

use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;

use yilian_spec::api::ledger::{BlockEvent, TransactionEvent};

use super::Client;
use crate::error::ClientError;
use crate::limits;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A block became final.
    Block(BlockEvent),
    /// A transaction of the caller's institution became final.
    Transaction(TransactionEvent),
}

impl Client {
    /// Hands events to `each` until it returns false: those behind block `after`, or behind the last block that there
    /// is now. After a break it goes on behind the last block that was seen, so that none is missed, nor any between now
    /// and the first event.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection cannot be had again for [`limits::WATCH_FAILURES_MAX`] tries, or
    /// the node's refusal.
    pub async fn watch(
        &self,
        after: Option<u64>,
        mut each: impl FnMut(Event) -> bool,
    ) -> Result<(), ClientError> {
        let mut last = match after {
            Some(height) => height,
            None => self.chain().await?.height.0,
        };
        let mut failures = 0;
        loop {
            match self.watch_once(&mut last, &mut each).await {
                Ok(Watched::Enough) => return Ok(()),
                Ok(Watched::Broken { events }) => failures = if events > 0 { 0 } else { failures + 1 },
                Err(error) if is_passing(&error) && failures < limits::WATCH_FAILURES_MAX => failures += 1,
                Err(error) => return Err(error),
            }
            if failures > limits::WATCH_FAILURES_MAX {
                let attempts = vec!["the connection breaks before the first event".to_owned()];
                return Err(ClientError::Unreachable { attempts });
            }
            let pause_ms = (limits::ROUND_PAUSE_MS << failures).min(limits::WATCH_PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    async fn watch_once(
        &self,
        last: &mut u64,
        each: &mut impl FnMut(Event) -> bool,
    ) -> Result<Watched, ClientError> {
        let response = self.transport.open_events(*last, self.asker()?).await?;
        let node = response.url().to_string();
        let mut events = 0;
        let mut stream = response.bytes_stream().eventsource();
        while let Some(event) = stream.next().await {
            let Ok(event) = event else { break };
            let unreadable = |error: serde_json::Error| ClientError::Answer {
                node: node.clone(),
                reason: error.to_string(),
            };
            let parsed = match event.event.as_str() {
                "block" => Event::Block(serde_json::from_str(&event.data).map_err(unreadable)?),
                "transaction" => Event::Transaction(serde_json::from_str(&event.data).map_err(unreadable)?),
                _ => continue,
            };
            events += 1;
            if let Event::Block(block) = &parsed {
                *last = block.height.0;
            }
            if !each(parsed) {
                return Ok(Watched::Enough);
            }
        }
        Ok(Watched::Broken { events })
    }
}

/// Whether it helps to try again: nobody answers, or a node that is not ready yet.
fn is_passing(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Rejected { status: 429 | 503, .. })
}

/// How a connection ended.
enum Watched {
    Enough,
    Broken { events: u64 },
}
