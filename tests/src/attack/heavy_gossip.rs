//! Transactions of some kilobytes that cost seconds: each closes many periods of an agreement whose terms are as much work as
//! terms may be. Two members sign the terms, one of them its closings, and the attacker passes them on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use yilian_node::consortium;
use yilian_node::network::Topic;
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, ConsortiumId, FigureName, InstitutionId, ServiceCode};
use yilian_spec::base::limits::{EXPRESSION_STEPS_MAX, OPERATIONS_PER_TRANSACTION_MAX, TIERS_MAX};
use yilian_spec::base::money::Currency;
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::settlement::expression::{ExpressionBuilder, Step, Tier};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};

use super::expired_gossip::pour;
use super::field::Field;
use super::peer::line::total;
use super::peer::substream::Deaf;
use super::peer::{Host, Line};
use super::{Attack, Tally};
use crate::cluster::{COUNTY, Cluster, INSURER};
use crate::work;

/// Periods closed in one transaction, and how many such transactions there are.
const SIZES: [(usize, usize); 3] = [(OPERATIONS_PER_TRANSACTION_MAX, 6), (32, 20), (4, 60)];

#[derive(Default)]
pub struct HeavyGossip {
    batches: Vec<Bytes>,
    periods: u64,
}

/// Terms of two parties with so many steps, each of which looks through all tiers for each party.
fn terms(parties: [InstitutionId; 2], steps: usize, service: &str) -> Result<Terms> {
    let tier = |number: usize| Tier {
        up_to: Ratio::new(1 + 1_000_000_007 * (number as i64 + 1), 99_991 + 2 * number as u64),
        rate: Ratio::whole(1),
    };
    let mut expression = ExpressionBuilder::default();
    let values = vec![Ratio::new(987_654_321_987, 99_989), Ratio::new(123_456_789_123, 99_971)];
    let mut last = expression.push(Step::PerParty { values });
    for _ in 0..steps {
        let tiers = (0..TIERS_MAX).map(tier).collect();
        last = expression.push(Step::Tiers { value: last, tiers, beyond: Ratio::whole(1) });
    }
    expression.push(Step::Round { value: last, figure: FigureName::new("owed")? });
    let party =
        |institution: InstitutionId| Party { institution, roles: BTreeSet::from([PartRole::Primary]) };
    Ok(Terms {
        currency: Currency::CNY,
        services: BTreeSet::from([ServiceCode::new(service)?]),
        metrics: BTreeSet::new(),
        parties: parties.map(party).to_vec(),
        payer: PartyIndex(1),
        rounding: Rounding::PerPeriod,
        expression: expression.finish(),
    })
}

/// The heaviest terms that the rules take.
fn heaviest(parties: [InstitutionId; 2], service: &str) -> Result<Terms> {
    for steps in (1..EXPRESSION_STEPS_MAX).rev() {
        let terms = terms(parties.clone(), steps, service)?;
        if terms.check().is_ok() {
            return Ok(terms);
        }
    }
    anyhow::bail!("no terms pass, however light")
}

async fn agree(cluster: &Cluster, service: &str) -> Result<AgreementId> {
    let terms = heaviest([cluster.institution(COUNTY), cluster.institution(INSURER)], service)?;
    let terms_hash = codec::hash(Domain::Terms, &terms);
    let starts = work::now()?.minus_ms(60_000);
    let proposal = ProposeAgreement {
        consortium: ConsortiumId::new(consortium::CONSORTIUM)?,
        terms,
        window: Window { starts, expires: starts.plus_ms(365 * work::DAY_MS) },
        schedule: Schedule::OnDemand,
    };
    let (county, insurer) = (cluster.desk(COUNTY).await?, cluster.desk(INSURER).await?);
    let proposed = insurer.record(vec![Operation::ProposeAgreement(proposal)]).await?;
    let agreement = AgreementId(proposed.object(0));
    county.record(vec![Operation::SignAgreement(SignAgreement { agreement, terms_hash })]).await?;
    // One period, to see that closing is worth attacking with.
    insurer.record(vec![Operation::ClosePeriod(ClosePeriod { agreement, period: 0 })]).await?;
    Ok(agreement)
}

#[async_trait]
impl Attack for HeavyGossip {
    async fn prepare(&mut self, cluster: &Cluster) -> Result<()> {
        let insurer = cluster.desk(INSURER).await?;
        for ((size, count), service) in SIZES.into_iter().zip(["heavy-a", "heavy-b", "heavy-c"]) {
            let agreement = agree(cluster, service).await.context("no heavy agreement")?;
            let mut periods = 1..;
            for _ in 0..count {
                let close = |period| Operation::ClosePeriod(ClosePeriod { agreement, period });
                let operations: Vec<Operation> = periods.by_ref().take(size).map(close).collect();
                self.periods += size as u64;
                let transaction = insurer.client.sign(operations)?;
                self.batches.push(codec::encode(&vec![transaction]).into());
            }
        }
        Ok(())
    }

    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn Host> = Arc::new(Deaf);
        let all: Vec<(Topic, Bytes)> =
            self.batches.iter().map(|batch| (Topic::Transactions, batch.clone())).collect();
        let mut pouring = JoinSet::new();
        for door in field.doors(&host) {
            let mut line = Line::new(door.clone(), "transactions");
            line.send(&all).await;
            pouring.spawn(pour(door, self.batches.clone(), until));
        }
        let mut tally = total("heavy transactions passed on", pouring.join_all().await);
        tally.insert("periods to close", self.periods);
        Ok(tally)
    }
}
