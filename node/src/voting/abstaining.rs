//! Follows the ledger on behalf of a validator that must not vote yet, until it may: see [`crate::voting`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use yilian_spec::base::height::Height;
use yilian_spec::crypto::signature::PublicKey;

use crate::application::reader::LedgerReader;
use crate::consensus::heights::Heard;
use crate::health::HealthMonitor;
use crate::home::Home;
use crate::voting::{self, Abstention, Cause};

const POLL: Duration = Duration::from_millis(200);

/// A validator that follows without voting.
pub(crate) struct Abstaining {
    /// Its home.
    pub home: Home,
    /// Its validator's key.
    pub own: PublicKey,
    /// The ledger.
    pub reader: LedgerReader,
    /// What the connected peers say of the ledger's height.
    pub heard: watch::Receiver<Heard>,
    /// What `/health` says.
    pub health: Arc<HealthMonitor>,
}

impl Abstaining {
    /// Says in the log and in `/health` that the node abstains, and why.
    ///
    /// # Errors
    /// When the file that says why cannot be read.
    pub fn announce(&self, abstention: Abstention) -> Result<()> {
        let cause = voting::recorded(&self.home)?.map_or(Cause::LogMissing, |(_, cause)| cause);
        let abstains = format!("{cause}: it follows without voting {abstention}");
        tracing::warn!("{abstains}; once the others have come so far, it votes again by itself");
        self.health.set_abstains(abstains);
        Ok(())
    }

    /// Returns when the ledger has passed all heights from which the node abstains, as [`Abstaining::announce`] has said.
    ///
    /// # Errors
    /// When it cannot be made durable up to where that is.
    pub async fn until_over(self, mut abstention: Abstention) -> Result<()> {
        if abstention == Abstention::UntilCaughtUp {
            while !self.has_caught_up() {
                tokio::time::sleep(POLL).await;
            }
            abstention = voting::caught_up(&self.home, self.tip())?;
            self.announce(abstention)?;
        }
        while !abstention.is_over(self.tip()) {
            tokio::time::sleep(POLL).await;
        }
        tracing::info!(height = %self.tip(), "the ledger has passed all heights at which this validator may have voted");
        Ok(())
    }

    fn tip(&self) -> Height {
        self.reader.tip().tip.height
    }

    /// Whether the ledger has reached what validators told that could decide a block together with this one. What they told
    /// is proven by the blocks that were fetched; a tip that nobody serves is never reached, and counts for nothing.
    fn has_caught_up(&self) -> bool {
        let published = self.reader.tip();
        let validators = &published.tip.validators;
        let Some(own) = validators.get(&self.own) else { return false };
        let told = self.heard.borrow().power_caught_up_with(published.tip.height, &own.institution);
        let power = own.power.saturating_add(told);
        u128::from(power) * 3 > u128::from(validators.total_power()) * 2
    }
}
