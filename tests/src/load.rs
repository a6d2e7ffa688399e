//! Steady load in the background of a test: disclosures under a grant, each followed to finality, through any node that
//! answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use yilian_spec::base::id::{GrantId, InstitutionId, SubjectTag};

use crate::cluster::{COUNTY, Cluster, PATIENCE, TOWNSHIP};
use crate::work;

/// Callers that each record one disclosure after the other.
const CALLERS: usize = 6;

/// Load that runs until it is finished.
pub struct Load {
    callers: JoinSet<Result<()>>,
    stop: Arc<AtomicBool>,
    recorded: Arc<AtomicUsize>,
}

impl Load {
    /// Has the township grant access to the county hospital, and then disclose to it without pause. Each caller
    /// prefers another of `nodes` and turns to the rest when that one does not answer.
    ///
    /// # Errors
    /// When the grant cannot be recorded.
    pub async fn start(cluster: &Cluster, nodes: &[usize]) -> Result<Self> {
        let (subject, recipient) =
            (work::subject(&cluster.institution(TOWNSHIP))?, cluster.institution(COUNTY));
        let township = cluster.desk_at(TOWNSHIP, nodes).await?;
        let granted = township.record(vec![work::grant(subject, &recipient)?]).await?;
        let grant = GrantId(granted.object(0));
        let mut load = Self {
            callers: JoinSet::new(),
            stop: Arc::new(AtomicBool::new(false)),
            recorded: Arc::new(AtomicUsize::new(0)),
        };
        for caller in 0..CALLERS {
            let mut order = nodes.to_vec();
            order.rotate_left(caller % nodes.len());
            let desk = cluster.desk_at(TOWNSHIP, &order).await?;
            let (stop, recorded) = (Arc::clone(&load.stop), Arc::clone(&load.recorded));
            load.callers.spawn(discloses(desk, (subject, grant, recipient.clone()), stop, recorded));
        }
        Ok(load)
    }

    /// Disclosures that are final so far.
    pub fn recorded(&self) -> usize {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Waits until `more` disclosures have become final from now on.
    ///
    /// # Errors
    /// When a caller has failed, or they do not in time.
    pub async fn wait_for_more(&mut self, more: usize) -> Result<()> {
        let goal = self.recorded() + more;
        let reached = async {
            while self.recorded() < goal {
                if let Some(ended) = self.callers.try_join_next() {
                    ended.context("a caller broke")??;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .with_context(|| format!("no {more} disclosures became final in {PATIENCE:?}"))?
    }

    /// Ends the load once all that is under way is final; returns how many disclosures are.
    ///
    /// # Errors
    /// When a caller has failed.
    pub async fn finish(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.context("a caller broke")??;
        }
        let recorded = self.recorded();
        ensure!(recorded > 0, "the load recorded nothing");
        Ok(recorded)
    }
}

async fn discloses(
    desk: crate::cluster::Desk,
    (subject, grant, recipient): (SubjectTag, GrantId, InstitutionId),
    stop: Arc<AtomicBool>,
    recorded: Arc<AtomicUsize>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let operation = work::disclosure(subject, grant, &recipient)?;
        desk.record(vec![operation]).await?;
        recorded.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
