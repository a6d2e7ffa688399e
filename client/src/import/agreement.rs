//! The agreements under which the imported services are counted, and what their statements say.
//!
//! One for each provider, payer and currency: the provider gets the whole gross amount of every service, so that its
//! statement adds up what the input claims (rule I-8). Periods end on demand.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use yilian_spec::api::Entry;
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, ConsortiumId, Hash, InstitutionId};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::domain::agreement::{Agreement, AgreementState};
use yilian_spec::domain::membership::Institution;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, percentage_split_by_part};
use yilian_spec::settlement::terms::{Rounding, Terms, TermsError};
use yilian_spec::state::key::{StateKey, StreamId};

use super::codes::Service;
use super::document::{Key, Secret};
use super::draft::{Draft, Item, Wave};
use super::error::ImportError;
use super::plan::Plan;
use super::submit::Submitter;
use crate::client::Client;
use crate::error::ClientError;

/// Who owes whom in which currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Who is owed.
    pub provider: InstitutionId,
    /// Who owes.
    pub payer: InstitutionId,
    /// In which currency.
    pub currency: Currency,
}

/// What the statements of one agreement say, over all its closed periods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The agreement.
    pub agreement: AgreementId,
    /// Who is owed.
    pub provider: InstitutionId,
    /// Who owes.
    pub payer: InstitutionId,
    /// In which currency.
    pub currency: Currency,
    /// Closed periods.
    pub periods: u32,
    /// Services, less those reversed.
    pub services: i64,
    /// Their gross amounts.
    pub gross_minor: AmountMinor,
    /// What the payer owes the provider.
    pub owed_minor: AmountMinor,
    /// Whether every statement was proven against a checkpoint.
    pub verified: bool,
}

/// The place of the provider among the parties of an import's terms, which are its alone.
const PROVIDER: usize = 0;

/// The pairs of a plan.
pub fn pairs(plan: &Plan) -> BTreeSet<Pair> {
    let pair = |item: &Item| {
        let (payer, currency) = item.draft.debt()?;
        Some(Pair { provider: item.author.clone(), payer: payer.clone(), currency })
    };
    plan.items.iter().filter_map(pair).collect()
}

/// The terms for a pair: all coarse services, all of the gross amount to the provider.
pub fn terms(pair: &Pair) -> Result<Terms, TermsError> {
    let frame = Frame { currency: pair.currency, services: Service::codes(), payer: pair.payer.clone() };
    let weights = [(PartRole::Primary, Ratio::whole(1)), (PartRole::Pharmacy, Ratio::whole(1))];
    percentage_split_by_part(&frame, std::slice::from_ref(&pair.provider), &weights, Rounding::PerPeriod)
}

/// The journal's key of the proposal of a pair's agreement.
pub fn key(secret: &Secret, pair: &Pair) -> Key {
    secret.key("agreement", &[pair.provider.as_str(), pair.payer.as_str(), &pair.currency.to_string()])
}

/// That of its signature.
pub fn sign_key(secret: &Secret, pair: &Pair) -> Key {
    secret.key("agreement-sign", &[pair.provider.as_str(), pair.payer.as_str(), &pair.currency.to_string()])
}

/// That of the end of a period.
pub fn close_key(secret: &Secret, agreement: AgreementId, period: u32) -> Key {
    secret.key("close", &[&agreement.to_string(), &period.to_string()])
}

/// The hash of the terms for a pair, which the payer signs.
///
/// # Errors
/// As [`terms`].
pub fn terms_hash(pair: &Pair) -> Result<Hash, TermsError> {
    Ok(codec::hash(Domain::Terms, &terms(pair)?))
}

/// What proposes the agreement of a pair, and what signs it.
pub fn items(pair: &Pair, consortium: ConsortiumId, terms: Terms, secret: &Secret) -> [Item; 2] {
    let propose = key(secret, pair);
    let terms_hash = codec::hash(Domain::Terms, &terms);
    let item = |key, wave, author: &InstitutionId, draft| Item {
        key,
        source: "agreement".into(),
        wave,
        author: author.clone(),
        draft,
        after: None,
    };
    let proposes = Draft::Propose { consortium, terms: Box::new(terms) };
    let signs = Draft::Sign { agreement: propose, terms_hash };
    [
        item(propose, Wave::Open, &pair.provider, proposes),
        item(sign_key(secret, pair), Wave::Answer, &pair.payer, signs),
    ]
}

/// The agreements of the pairs: those that the ledger has, and the items that make the missing ones.
#[derive(Default)]
pub struct Agreements {
    known: BTreeMap<Pair, AgreementId>,
    proposed: BTreeMap<Pair, Key>,
    /// What proposes and signs the missing ones.
    pub items: Vec<Item>,
    /// Active agreements with other terms that count services of these kinds, too.
    pub also: Vec<AlsoCounting>,
}

/// An active agreement with other terms that counts services of the import's kinds, too: what it owes comes in addition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlsoCounting {
    /// The agreement.
    pub agreement: AgreementId,
    /// Who delivers.
    pub provider: InstitutionId,
    /// Who pays.
    pub payer: InstitutionId,
}

impl Agreements {
    /// Looks for the agreements on the ledger. One that is active with the same terms serves, or else one that an earlier run
    /// proposed; two that are active would count every service twice. Where such a one has services and the journal knows
    /// none, another import recorded them: the commitments to what they come from do not say whether it was from this input,
    /// so somebody must (`beside_others`).
    ///
    /// # Errors
    /// [`ImportError::NoCommonConsortium`], [`ImportError::RecordedElsewhere`], [`ImportError::TwoAgreements`],
    /// [`ImportError::AgreementOver`], or what asking the ledger gives.
    pub async fn find(
        pairs: BTreeSet<Pair>,
        institutions: &BTreeMap<InstitutionId, Institution>,
        submitter: &Submitter<'_>,
        secret: &Secret,
        beside_others: bool,
    ) -> Result<Self, ImportError> {
        let mut found = Self::default();
        for pair in pairs {
            let propose = key(secret, &pair);
            let terms = terms(&pair)?;
            let asked = client(submitter, &pair.provider)?;
            let all = active(asked, &pair.provider, submitter.now).await?;
            let also =
                all.iter().filter(|(_, other)| other.terms != terms && counts_too(&other.terms, &pair));
            found.also.extend(also.map(|(agreement, _)| AlsoCounting {
                agreement: *agreement,
                provider: pair.provider.clone(),
                payer: pair.payer.clone(),
            }));
            let active: Vec<AgreementId> =
                all.iter().filter(|(_, one)| one.terms == terms).map(|(id, _)| *id).collect();
            if let [one, other, ..] = *active.as_slice() {
                let Pair { provider, payer, .. } = pair;
                return Err(ImportError::TwoAgreements { one, other, provider, payer });
            }
            let own = submitter.journal.object(&propose).map(AgreementId);
            match (active.first().copied(), own) {
                (Some(id), own) if own != Some(id) => {
                    if !beside_others && !submitter.journal.contents().has_service(&pair) {
                        require_unused(asked, &pair, id).await?;
                    }
                    found.known.insert(pair, id);
                }
                (None, Some(agreement)) if !may_serve(asked, agreement, submitter.now).await? => {
                    let Pair { provider, payer, .. } = pair;
                    return Err(ImportError::AgreementOver { agreement, provider, payer });
                }
                // What this import proposes, or has proposed: it is gone through again.
                (Some(_) | None, Some(_) | None) => {
                    found.propose(pair, propose, terms, institutions, secret)?
                }
            }
        }
        Ok(found)
    }

    /// Has services wait for the signature of an agreement that this import proposes: where it is refused, nobody owes them.
    pub fn hold_services(&self, items: &mut [Item], secret: &Secret) {
        for item in items {
            let Some((payer, currency)) = item.draft.debt() else { continue };
            let pair = Pair { provider: item.author.clone(), payer: payer.clone(), currency };
            if self.proposed.contains_key(&pair) {
                item.after = Some(sign_key(secret, &pair));
            }
        }
    }

    fn propose(
        &mut self,
        pair: Pair,
        propose: Key,
        terms: Terms,
        institutions: &BTreeMap<InstitutionId, Institution>,
        secret: &Secret,
    ) -> Result<(), ImportError> {
        let consortia = |id| institutions.get(id).map(|institution| institution.consortia.clone());
        let (of_provider, of_payer) =
            (consortia(&pair.provider).unwrap_or_default(), consortia(&pair.payer).unwrap_or_default());
        let common = of_provider.intersection(&of_payer).next().cloned();
        let Some(consortium) = common else {
            let Pair { provider, payer, .. } = pair;
            return Err(ImportError::NoCommonConsortium { provider, payer });
        };
        self.items.extend(items(&pair, consortium, terms, secret));
        self.proposed.insert(pair, propose);
        Ok(())
    }

    /// Whether every agreement that this import proposes is signed.
    pub fn are_signed(&self, submitter: &Submitter<'_>, secret: &Secret) -> bool {
        self.proposed.keys().all(|pair| submitter.journal.object(&sign_key(secret, pair)).is_some())
    }

    /// The agreement of each pair, once all are made.
    fn ids(&self, submitter: &Submitter<'_>) -> BTreeMap<Pair, AgreementId> {
        let made = self
            .proposed
            .iter()
            .filter_map(|(pair, key)| Some((pair.clone(), AgreementId(submitter.journal.object(key)?))));
        self.known.iter().map(|(pair, id)| (pair.clone(), *id)).chain(made).collect()
    }

    /// Closes every open period that has services in it. One without any stays open, so that closing again does
    /// nothing.
    ///
    /// # Errors
    /// What asking the ledger or submitting gives.
    pub async fn close(&self, submitter: &mut Submitter<'_>, secret: &Secret) -> Result<(), ImportError> {
        let mut items = Vec::new();
        for (Pair { provider, .. }, id) in self.ids(submitter) {
            let client = client(submitter, &provider)?;
            let agreement = client.record::<Agreement>(&StateKey::Agreement(id)).await?.value;
            let period = agreement.open_period;
            if has_events(client, id, period).await? {
                items.push(Item {
                    source: "period".into(),
                    key: close_key(secret, id, period),
                    wave: Wave::ClosePeriods,
                    author: provider,
                    draft: Draft::ClosePeriod { agreement: id, period },
                    after: None,
                });
            }
        }
        submitter.wave(&items).await
    }

    /// Adds up the statements of all closed periods of each agreement.
    ///
    /// # Errors
    /// What asking the ledger gives, or [`ImportError::Money`].
    pub async fn totals(&self, submitter: &Submitter<'_>) -> Result<Vec<Totals>, ImportError> {
        let mut all = Vec::new();
        for (pair, id) in self.ids(submitter) {
            let client = client(submitter, &pair.provider)?;
            all.push(totals(client, pair, id).await?);
        }
        Ok(all)
    }
}

fn client<'a>(submitter: &Submitter<'a>, institution: &InstitutionId) -> Result<&'a Client, ImportError> {
    let no_key = || ClientError::NoKey { purpose: format!("acting for {institution}") };
    Ok(submitter.clients.get(institution).ok_or_else(no_key)?)
}

/// Whether anything was counted in a period.
async fn has_events(client: &Client, agreement: AgreementId, period: u32) -> Result<bool, ClientError> {
    let head = StateKey::StreamHead(StreamId::Period { agreement, period });
    let events = client.row::<Frontier>(&head).await?.value;
    Ok(events.is_some_and(|events| events.length() > 0))
}

/// Whether an agreement is active, or may become so, and its window is not over.
async fn may_serve(client: &Client, id: AgreementId, now: LedgerTime) -> Result<bool, ClientError> {
    let agreement = client.record::<Agreement>(&StateKey::Agreement(id)).await?.value;
    let is_open = matches!(agreement.state, AgreementState::Proposed | AgreementState::Active);
    Ok(is_open && now < agreement.window.expires)
}

/// Refuses an agreement under which services stand that nobody reversed.
async fn require_unused(client: &Client, pair: &Pair, id: AgreementId) -> Result<(), ImportError> {
    if count_net(client, pair, id).await? == 0 {
        return Ok(());
    }
    let Pair { provider, payer, .. } = pair.clone();
    Err(ImportError::RecordedElsewhere { agreement: id, provider, payer })
}

/// All agreements with the terms of a pair, each with whether it is active; asked by a party of them.
///
/// # Errors
/// What asking the ledger gives.
pub async fn with_terms(
    client: &Client,
    asking: &InstitutionId,
    pair: &Pair,
) -> Result<BTreeMap<AgreementId, bool>, ImportError> {
    let terms = terms(pair)?;
    let all = of_institution(client, asking).await?.into_iter();
    let same = all.filter(|listed| listed.record.terms == terms);
    Ok(same.map(|listed| (listed.id, listed.record.state == AgreementState::Active)).collect())
}

/// How many services an agreement has counted, less those reversed.
///
/// # Errors
/// What asking the ledger gives.
pub async fn count_net(client: &Client, pair: &Pair, id: AgreementId) -> Result<i64, ImportError> {
    let closed = totals(client, pair.clone(), id).await?;
    let open = client.period(id, closed.periods).await?.accumulator.unwrap_or_default();
    Ok(closed.services + open.count_net(PROVIDER))
}

async fn of_institution(
    client: &Client,
    institution: &InstitutionId,
) -> Result<Vec<Entry<AgreementId, Agreement>>, ClientError> {
    let filter = [("institution", institution.to_string())];
    Ok(client.list::<Entry<AgreementId, Agreement>>("/v1/agreements", &filter).await?.items)
}

/// The agreements of a provider that are active.
async fn active(
    client: &Client,
    provider: &InstitutionId,
    now: LedgerTime,
) -> Result<Vec<(AgreementId, Agreement)>, ClientError> {
    let is_active =
        |agreement: &Agreement| agreement.state == AgreementState::Active && agreement.window.contains(now);
    let all = of_institution(client, provider).await?.into_iter();
    Ok(all.filter(|listed| is_active(&listed.record)).map(|listed| (listed.id, listed.record)).collect())
}

/// Whether terms count services of an import of this pair.
fn counts_too(terms: &Terms, pair: &Pair) -> bool {
    let parties = || terms.parties.iter().map(|party| &party.institution);
    let payer = parties().nth(usize::from(terms.payer.0));
    terms.currency == pair.currency
        && payer == Some(&pair.payer)
        && parties().any(|party| *party == pair.provider)
        && Service::codes().iter().any(|code| terms.services.contains(code))
}

async fn totals(client: &Client, pair: Pair, id: AgreementId) -> Result<Totals, ImportError> {
    let agreement = client.record::<Agreement>(&StateKey::Agreement(id)).await?;
    let periods = agreement.value.open_period;
    let mut totals = Totals {
        agreement: id,
        provider: pair.provider,
        payer: pair.payer,
        currency: pair.currency,
        periods,
        services: 0,
        gross_minor: AmountMinor::ZERO,
        owed_minor: AmountMinor::ZERO,
        verified: agreement.verified,
    };
    for period in 0..periods {
        let (proof, verified) = client.statement(id, period).await?;
        let lines = &proof.statement.statement.lines;
        totals.services += lines.iter().map(|line| line.share.count).sum::<i64>();
        totals.gross_minor =
            totals.gross_minor.plus(AmountMinor::sum(lines.iter().map(|line| line.share.gross_minor))?)?;
        totals.owed_minor = totals.owed_minor.plus(proof.statement.statement.total()?)?;
        totals.verified &= verified;
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::Commitment;
    use yilian_spec::base::money::AmountMinor;

    use super::*;
    use crate::import::codes::Service;
    use crate::import::collect::Amount;

    /// The attack: with the signature refused, services were recorded that nobody owed.
    #[test]
    fn services_wait_for_the_signature_of_an_agreement_that_the_import_proposes() {
        let institution = |name: &str| InstitutionId::new(name).unwrap();
        let secret = Secret::new([1; 32]);
        let currency: Currency = "EUR".parse().unwrap();
        let service = |provider: &str| Item {
            key: Key([provider.len() as u8; 32]),
            source: "Claim".into(),
            wave: Wave::HandOver,
            author: institution(provider),
            draft: Draft::Deliver {
                service: Service::Other,
                performed: None,
                payer: institution("insurer"),
                gross: Amount { minor: AmountMinor(5), currency, was_rounded: false },
                evidence: Commitment([1; 32]),
            },
            after: None,
        };
        let pair = |provider: &str| Pair {
            provider: institution(provider),
            payer: institution("insurer"),
            currency,
        };
        let agreements = Agreements {
            known: BTreeMap::from([(pair("known"), AgreementId([1; 32]))]),
            proposed: BTreeMap::from([(pair("proposed"), Key([2; 32]))]),
            ..Agreements::default()
        };
        let mut items = [service("known"), service("proposed")];
        agreements.hold_services(&mut items, &secret);
        assert_eq!(items[0].after, None);
        assert_eq!(items[1].after, Some(sign_key(&secret, &pair("proposed"))));
    }
}
