//! Follows the ledger on behalf of a validator that must not vote yet, until it may: see [`crate::voting`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use libp2p::PeerId;
use tokio::sync::watch;
use tokio::time::Instant;
use yilian_spec::height::Height;
use yilian_spec::signature::PublicKey;

use crate::application::reader::LedgerReader;
use crate::health::HealthMonitor;
use crate::home::Home;
use crate::members::Members;
use crate::voting::{self, Abstention};

/// A peer tells how far it is as soon as it is connected; so long a quorum must stay connected before it counts as told.
const QUORUM_GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(200);

/// A validator that follows without voting.
pub(crate) struct Abstaining {
    /// Its home.
    pub home: Home,
    /// Its validator's key.
    pub own: PublicKey,
    /// The ledger.
    pub reader: LedgerReader,
    /// Who is a member.
    pub members: watch::Receiver<Arc<Members>>,
    /// Who is connected.
    pub connected: watch::Receiver<BTreeSet<PeerId>>,
    /// The greatest height that a peer has told of.
    pub peer_height: watch::Receiver<Height>,
    /// What `/health` says.
    pub health: Arc<HealthMonitor>,
}

impl Abstaining {
    /// Returns when the ledger has passed all heights from which the node abstains.
    ///
    /// # Errors
    /// When it cannot be made durable up to where that is.
    pub async fn until_over(self, mut abstention: Abstention) -> Result<()> {
        self.tell(abstention);
        if abstention == Abstention::UntilCaughtUp {
            self.quorum_has_told().await;
            let highest = (*self.peer_height.borrow()).max(self.tip());
            abstention = voting::caught_up(&self.home, highest)?;
            self.tell(abstention);
        }
        while !abstention.is_over(self.tip()) {
            tokio::time::sleep(POLL).await;
        }
        tracing::info!(height = %self.tip(), "the ledger has passed all heights at which this validator may have voted");
        Ok(())
    }

    fn tell(&self, abstention: Abstention) {
        tracing::warn!(
            "this validator's log of votes was lost or damaged: it follows without voting {abstention}; it votes again \
             by itself"
        );
        self.health.set_abstains(abstention.to_string());
    }

    fn tip(&self) -> Height {
        self.reader.tip().tip.height
    }

    async fn quorum_has_told(&self) {
        let mut since: Option<Instant> = None;
        loop {
            since = if self.has_quorum() { since.or_else(|| Some(Instant::now())) } else { None };
            if since.is_some_and(|since| since.elapsed() >= QUORUM_GRACE) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether this validator and those connected to it could decide a block.
    fn has_quorum(&self) -> bool {
        let published = self.reader.tip();
        let validators = &published.tip.validators;
        let connected = self.connected.borrow().clone();
        let members = Arc::clone(&self.members.borrow());
        let power = members.power_reachable(&connected, validators, Some(self.own));
        u128::from(power) * 3 > u128::from(validators.total_power()) * 2
    }
}
