//! Whether the agreements count each service of an import once.
//!
//! Agreements begin and end while an import runs: a window closes, a party terminates one, another of the same terms is signed.
//! What is recorded in between is counted by no agreement and owed by nobody, or counted by two and owed twice. So once
//! everything is recorded, the counts of the agreements are compared with the journal's. Equal counts prove something only
//! where a single agreement has these terms and is still active; otherwise services that others recorded could hide what is
//! missing, and each service is asked what counted it.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{AgreementId, ServiceId};
use yilian_spec::domain::service::Service;

use super::agreement::{self, Pair};
use super::changes::ChangedService;
use super::error::ImportError;
use super::journal::Contents;
use super::plan::Plan;
use super::submit::Submitter;
use crate::client::Client;
use crate::error::ClientError;
use crate::limits;

/// Services that the agreements with the import's terms do not count once.
#[derive(Debug, Default)]
pub struct Miscounted {
    /// Counted by none: owed by nobody.
    pub unowed: Vec<ChangedService>,
    /// Counted by two or more: owed twice.
    pub owed_twice: Vec<ChangedService>,
}

impl Miscounted {
    /// Looks at the services that the journal has on the ledger.
    ///
    /// # Errors
    /// What asking the ledger gives.
    pub async fn find(submitter: &Submitter<'_>) -> Result<Self, ImportError> {
        let mut found = Self::default();
        for (pair, services) in by_pair(submitter.journal.contents()) {
            // Either party may ask; whose keys there are not, nobody can.
            let mut parties = [&pair.provider, &pair.payer].into_iter();
            let asking = parties.find_map(|party| Some((party, submitter.clients.get(party)?)));
            let Some((asking, client)) = asking else { continue };
            let agreements = agreement::with_terms(client, asking, &pair).await?;
            let mut all = agreements.iter();
            let is_one_and_right = match (all.next(), all.next()) {
                (Some((id, true)), None) => {
                    agreement::count_net(client, &pair, *id).await? == services.len() as i64
                }
                (None | Some(_), _) => false,
            };
            if !is_one_and_right {
                found.look_at_each(client, services, &agreements).await?;
            }
        }
        Ok(found)
    }

    async fn look_at_each(
        &mut self,
        client: &Client,
        services: Vec<ChangedService>,
        agreements: &BTreeMap<AgreementId, bool>,
    ) -> Result<(), ClientError> {
        let ask = |changed: ChangedService| async move {
            let listed: Entry<ServiceId, Service> = client.service(changed.service).await?;
            let counted =
                listed.record.counted_in.iter().filter(|one| agreements.contains_key(&one.agreement));
            Ok::<_, ClientError>((changed, counted.count(), listed.record.reversed_at.is_some()))
        };
        let asked: Vec<_> = services.into_iter().map(ask).collect();
        let mut answers = futures::stream::iter(asked).buffered(limits::LOOKUPS_IN_FLIGHT);
        while let Some(answer) = answers.next().await {
            match answer? {
                (_, _, true) | (_, 1, false) => {}
                (changed, 0, false) => self.unowed.push(changed),
                (changed, _, false) => self.owed_twice.push(changed),
            }
        }
        Ok(())
    }

    /// Refuses what is not counted once.
    ///
    /// # Errors
    /// [`ImportError::Miscounted`].
    pub fn refuse(&self) -> Result<(), ImportError> {
        let Some(first) = self.unowed.iter().chain(&self.owed_twice).next() else { return Ok(()) };
        Err(ImportError::Miscounted {
            unowed: self.unowed.len(),
            owed_twice: self.owed_twice.len(),
            first: first.service,
            provider: first.recorder.clone(),
            payer: first.payer.clone(),
        })
    }

    /// Those that a plan asks for, to be reversed and recorded anew.
    pub fn asked_for(self, plan: &Plan, contents: &Contents) -> impl Iterator<Item = ChangedService> {
        let asked: BTreeSet<ServiceId> =
            plan.items.iter().filter_map(|item| contents.object(&item.key).map(ServiceId)).collect();
        let all = self.unowed.into_iter().chain(self.owed_twice);
        all.filter(move |changed| asked.contains(&changed.service))
    }
}

/// The services of the journal that stand, by who owes whom.
fn by_pair(contents: &Contents) -> BTreeMap<Pair, Vec<ChangedService>> {
    let mut pairs: BTreeMap<Pair, Vec<ChangedService>> = BTreeMap::new();
    for (service, recorded) in contents.standing() {
        pairs.entry(recorded.pair()).or_default().push(ChangedService::unchanged(service, recorded));
    }
    pairs
}
