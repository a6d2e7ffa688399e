//! Counts what becomes final, from one validator's event stream.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use yilian_client::client::Client;
use yilian_client::client::events::Event;

/// So long nothing may become final while something is due.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// What has become final since the follower started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// Transactions.
    pub transactions: u64,
    /// Blocks with transactions.
    pub blocks: u64,
    /// When the last of them was heard of.
    pub at: Instant,
}

/// Listens to a validator.
pub struct Follower {
    latest: watch::Receiver<Final>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Starts to listen from the validator's last block on.
    ///
    /// # Errors
    /// When the validator does not answer.
    pub async fn start(client: Client) -> Result<Self> {
        let height = client.chain().await?.height;
        let (sender, latest) = watch::channel(Final { transactions: 0, blocks: 0, at: Instant::now() });
        let task = tokio::spawn(async move {
            let watched = client
                .watch(Some(height.0), |event| {
                    if let Event::Block(block) = event
                        && block.transactions > 0
                    {
                        sender.send_modify(|so_far| {
                            so_far.transactions += u64::from(block.transactions);
                            so_far.blocks += 1;
                            so_far.at = Instant::now();
                        });
                    }
                    !sender.is_closed()
                })
                .await;
            // The channel closes with this task, which whoever waits is told as an error.
            if let Err(error) = watched {
                eprintln!("the event stream ended: {error}");
            }
        });
        Ok(Self { latest, task })
    }

    /// What is final now.
    pub fn now(&self) -> Final {
        *self.latest.borrow()
    }

    /// Waits until so many transactions are final.
    ///
    /// # Errors
    /// When the stream ends, or nothing becomes final for [`STALL_LIMIT`].
    pub async fn wait_for(&self, transactions: u64) -> Result<Final> {
        let mut latest = self.latest.clone();
        loop {
            let so_far = *latest.borrow_and_update();
            if so_far.transactions >= transactions {
                return Ok(so_far);
            }
            match tokio::time::timeout(STALL_LIMIT, latest.changed()).await {
                Ok(changed) => changed.context("the event stream ended")?,
                Err(_) => bail!(
                    "{} of {transactions} transactions are final, and no more for {STALL_LIMIT:?}",
                    so_far.transactions
                ),
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
