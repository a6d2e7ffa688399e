//! Recording a plan: what changed since an earlier run is found and, where asked for, corrected; then wave by wave.

use std::collections::{BTreeMap, BTreeSet};

use age::secrecy::SecretString;
use futures::StreamExt as _;
use yilian_spec::api::Entry;
use yilian_spec::api::ledger::Chain;
use yilian_spec::base::id::{GrantId, InstitutionId, ServiceId};
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::{ReversalReason, Service};
use yilian_spec::state::key::StateKey;

use super::agreement::{self, Agreements};
use super::changes::{self, Changes, Sources};
use super::counted::Miscounted;
use super::document::{Digest, Key};
use super::draft::{Item, Wave};
use super::error::ImportError;
use super::journal::{Contents, Journal, JournalError, Recorded};
use super::missed::Missed;
use super::plan::{self, Plan, Planning};
use super::run;
use super::state::State;
use super::submit::{Submitter, Tally};
use super::summary::Summary;
use super::watch::{self, Watch};
use super::{Options, limits};
use crate::client::Client;
use crate::consortium::Consortium;
use crate::error::ClientError;

/// An import into a ledger.
pub struct Recording<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Nodes and keys.
    pub consortium: &'a Consortium,
    /// The import's own directory.
    pub state: &'a State,
    /// What is to be recorded.
    pub planning: &'a Planning<'a>,
}

impl Recording<'_> {
    /// Records everything.
    ///
    /// # Errors
    /// [`ImportError`]; what was recorded by then is in the journal.
    pub async fn run(&self) -> Result<Summary, ImportError> {
        let known = Journal::look(&self.state.journal())?;
        let plan = run::plan(self.planning, known.as_ref());
        let found = known.as_ref().map(|contents| self.changes(&plan, contents)).unwrap_or_default();
        let authors = self.authors(&plan, &found, known.as_ref());
        let Some(first) = authors.keys().next().copied() else {
            let mut summary = Summary::new(self.options, self.planning, &plan);
            summary.on_ledger = known.as_ref().map(changes::on_ledger).unwrap_or_default();
            summary.changes = Some(found);
            return Ok(summary);
        };
        let passphrase = self.consortium.passphrase()?;
        let clients = self.clients(&authors, &passphrase).await?;
        let mut submitter = self.submitter(&clients, &clients[first].chain().await?).await?;
        let institutions = institutions(&clients, self.consortium).await?;
        submitter.settle().await?;
        submitter.watch = self.complete_journal(&mut submitter).await?;
        let plan = self.correct(&mut submitter, &institutions, &passphrase).await?;
        let summary = self.record(plan, &mut submitter, &institutions, &passphrase).await?;
        submitter.journal.note_seen(&submitter.watch.read())?;
        Ok(summary)
    }

    /// Takes back what is on the ledger of this import: reverses the services for this reason, and revokes the grants. What
    /// happened stays. Whatever the journal lacks may be of any institution whose keys there are, so the streams of all are
    /// read. How far is not noted: what others recorded is for the next import to judge.
    ///
    /// # Errors
    /// [`ImportError`]; what was taken back by then is in the journal.
    pub async fn withdraw(&self, reason: ReversalReason) -> Result<Tally, ImportError> {
        let known = Journal::look(&self.state.journal())?.unwrap_or_default();
        let (plan, found) = (Plan::default(), self.changes(&Plan::default(), &known));
        let mut authors = self.authors(&plan, &found, None);
        for institution in known.looked_at() {
            authors.entry(institution).or_default().insert(Role::Finance);
        }
        let Some(first) = authors.keys().next().copied() else {
            let (path, beside) = (self.state.journal(), self.state.secret());
            return Err(JournalError::Lost { path, beside }.into());
        };
        for member in &self.consortium.institutions {
            let taking_back = [Role::Finance, Role::AccessGateway].into_iter();
            let held = taking_back.filter(|role| member.keys.contains_key(role));
            held.for_each(|role| _ = authors.entry(&member.id).or_default().insert(role));
        }
        let passphrase = self.consortium.passphrase()?;
        let clients = self.clients(&authors, &passphrase).await?;
        let mut submitter = self.submitter(&clients, &clients[first].chain().await?).await?;
        submitter.settle().await?;
        let mut watch = Watch::new(submitter.journal.contents(), clients.keys().cloned());
        let found = watch.look(&clients, submitter.journal.contents()).await?;
        let (own, _) = watch::own_and_others(found, self.planning.secret);
        submitter.tally.found = own.iter().map(|one| one.body.operations.len() as u64).sum();
        submitter.journal.note_untold(&own)?;
        let (_, found) = self.found(&mut submitter).await?;
        self.take_back(&found, reason, &mut submitter).await?;
        if !submitter.tally.refused.is_empty() {
            // Another copy of the directory may have taken the same back a moment earlier.
            self.found(&mut submitter).await?;
        }
        Ok(submitter.tally)
    }

    async fn clients(
        &self,
        authors: &BTreeMap<&InstitutionId, BTreeSet<Role>>,
        passphrase: &SecretString,
    ) -> Result<BTreeMap<InstitutionId, Client>, ImportError> {
        self.options.progress.set_message("opening keys");
        let named = authors.iter().map(|(institution, roles)| (*institution, roles));
        Ok(self.consortium.clients(named, passphrase).await?)
    }

    /// What submits, over the import's own directory.
    async fn submitter<'s>(
        &'s self,
        clients: &'s BTreeMap<InstitutionId, Client>,
        chain: &Chain,
    ) -> Result<Submitter<'s>, ImportError> {
        let mut journal = self.state.open_journal(chain.chain_id)?;
        if journal.contents().is_of_another(self.planning.secret) {
            return Err(ImportError::OtherSecret { path: self.state.secret() });
        }
        if self.state.has_secret() {
            self.require_looked(&journal)?;
        } else {
            // Nothing before now can be of this import.
            let (height, lengths) = watch::beginning(clients).await?;
            journal.note_beginning(height, &lengths)?;
            self.state.keep_secret(self.planning.secret)?;
        }
        let watch = Watch::new(journal.contents(), clients.keys().cloned()).beside_others();
        Ok(Submitter {
            clients,
            secret: self.planning.secret,
            journal,
            tags: Vec::new(),
            sources: Sources::default(),
            now: chain.time,
            seen: chain.height,
            operations_max: self.options.operations_per_transaction,
            in_flight_max: self.options.transactions_in_flight,
            repeated: Vec::new(),
            watch,
            progress: self.options.progress.clone(),
            tally: Tally::default(),
        })
    }

    /// Refuses a journal that has lost even where its import began to look.
    fn require_looked(&self, journal: &Journal) -> Result<(), ImportError> {
        if journal.contents().looked_at().next().is_some() {
            return Ok(());
        }
        let (path, beside) = (self.state.journal(), self.state.secret());
        Err(JournalError::Lost { path, beside }.into())
    }

    /// Puts into the journal what the ledger has of this import and an older copy of the journal does not. What others
    /// recorded of the same parties, unless it is said to come from another source, stops it, and is watched from then on.
    async fn complete_journal(&self, submitter: &mut Submitter<'_>) -> Result<Watch, ImportError> {
        let (clients, journal) = (submitter.clients, &mut submitter.journal);
        let secret = self.planning.secret;
        let mut watch = Watch::new(journal.contents(), clients.keys().cloned());
        let found = watch.look(clients, journal.contents()).await?;
        let reversed = watch::reversed(&found);
        let (own, others) = watch::own_and_others(found, secret);
        let missed = Missed::of(own, reversed).and_untold(journal.contents());
        let missed = missed.tell(journal.contents(), self.planning)?;
        submitter.tally.found = missed.write(journal)?;
        let by_others: Vec<ServiceId> = watch::reversed(&others)
            .into_iter()
            .filter(|service| journal.contents().has_object(&service.0))
            .filter(|service| !journal.contents().is_reversed(*service))
            .collect();
        journal.note_reversed_by_others(&by_others)?;
        submitter.tally.reversed_by_others = journal.contents().reversed_by_others() as u64;
        if self.options.is_beside_others {
            return Ok(watch.beside_others());
        }
        let pairs = agreement::pairs(&run::plan(self.planning, Some(journal.contents())));
        let terms = pairs.iter().map(agreement::terms_hash).collect::<Result<_, _>>()?;
        let recorded = journal.contents().services().map(Recorded::pair);
        watch.set_own(pairs.into_iter().chain(recorded).collect(), terms);
        watch.refuse_services(&others, journal.contents())?;
        Ok(watch)
    }

    fn changes(&self, plan: &Plan, contents: &Contents) -> Changes {
        let Planning { collected, secret, .. } = self.planning;
        Changes::find(plan, collected, contents, secret, self.options.is_partial)
    }

    /// Who acts, with the roles whose keys are needed.
    fn authors<'p>(
        &self,
        plan: &'p Plan,
        found: &'p Changes,
        known: Option<&'p Contents>,
    ) -> BTreeMap<&'p InstitutionId, BTreeSet<Role>> {
        let mut authors = plan::authors(&plan.items);
        for item in &plan.items {
            if let Some((payer, _)) = item.draft.debt() {
                authors.entry(payer).or_default().insert(Role::Finance);
            }
        }
        found.authors().for_each(|author| _ = authors.entry(author).or_default().insert(Role::Finance));
        if self.options.corrects {
            let grantors = found.grantors();
            grantors.for_each(|author| _ = authors.entry(author).or_default().insert(Role::AccessGateway));
        }
        // What was recorded for those who have no part any more may be missing in the journal, too.
        for institution in known.into_iter().flat_map(Contents::looked_at) {
            let keys = self.consortium.member(institution).map(|member| &member.keys);
            if keys.is_some_and(|keys| keys.contains_key(&Role::Finance)) {
                authors.entry(institution).or_default().insert(Role::Finance);
            }
        }
        authors
    }

    /// The plan for what the ledger holds, once, where asked for, what changed is corrected.
    async fn correct(
        &self,
        submitter: &mut Submitter<'_>,
        institutions: &BTreeMap<InstitutionId, Institution>,
        passphrase: &SecretString,
    ) -> Result<Plan, ImportError> {
        let (plan, mut found) = self.found(submitter).await?;
        if !self.options.corrects {
            return Ok(plan);
        }
        let miscounted = Miscounted::find(submitter).await?;
        found.add(miscounted.asked_for(&plan, submitter.journal.contents()));
        if found.is_empty() {
            return Ok(plan);
        }
        // What is reversed must be recorded anew, so what would stop that stops it before.
        let secret = self.planning.secret;
        submitter.tags = self.state.tags(&plan.subjects, secret, passphrase)?;
        let agreements = self.agreements(&plan, submitter, institutions).await?;
        self.make(&agreements, submitter).await?;
        if !agreements.are_signed(submitter, secret) {
            // The refusal of the signature is told, and what is recorded stays owed as it is.
            return Ok(plan);
        }
        self.take_back(&found, ReversalReason::NotDelivered, submitter).await?;
        submitter.journal.note_known(&found.staying())?;
        Ok(run::plan(self.planning, Some(submitter.journal.contents())))
    }

    /// Records services under the next numbers whose evidence is on the ledger under one that the journal does not know.
    async fn number_anew(
        &self,
        agreements: &Agreements,
        submitter: &mut Submitter<'_>,
    ) -> Result<(), ImportError> {
        for _ in 0..limits::EVIDENCE_NUMBERS_MAX {
            let repeated = std::mem::take(&mut submitter.repeated);
            if repeated.is_empty() {
                return Ok(());
            }
            // Another copy of the directory at work is no reason for another number.
            submitter.look_around().await?;
            submitter.journal.note_replaced(&repeated)?;
            let mut plan = run::plan(self.planning, Some(submitter.journal.contents()));
            plan.items
                .retain(|item| item.draft.debt().is_some() && submitter.journal.fate(&item.key).is_none());
            agreements.hold_services(&mut plan.items, self.planning.secret);
            submitter.wave(&plan.items).await?;
        }
        let left = submitter.repeated.len() as u64;
        if left > 0 {
            submitter.tally.refuse_some("deliver_service", Refusal::EvidenceRepeated, left);
        }
        Ok(())
    }

    async fn agreements(
        &self,
        plan: &Plan,
        submitter: &Submitter<'_>,
        institutions: &BTreeMap<InstitutionId, Institution>,
    ) -> Result<Agreements, ImportError> {
        let (pairs, secret) = (agreement::pairs(plan), self.planning.secret);
        Agreements::find(pairs, institutions, submitter, secret, self.options.is_beside_others).await
    }

    /// Proposes and signs the agreements that are missing. None is signed before it is clear that nobody else proposes the same:
    /// where two count a service, it is owed twice.
    async fn make(&self, agreements: &Agreements, submitter: &mut Submitter<'_>) -> Result<(), ImportError> {
        for (wave, items) in waves(&agreements.items) {
            self.options.progress.set_message(wave.name());
            submitter.wave(items).await?;
            submitter.look_around().await?;
        }
        Ok(())
    }

    /// The plan and what changed, once services that were reversed by hand are known.
    async fn found(&self, submitter: &mut Submitter<'_>) -> Result<(Plan, Changes), ImportError> {
        let look = |journal: &Journal| {
            let plan = run::plan(self.planning, Some(journal.contents()));
            let found = self.changes(&plan, journal.contents());
            (plan, found)
        };
        let (plan, found) = look(&submitter.journal);
        let reversed = reversed_by_hand(submitter, &found).await?;
        let ended = ended_by_hand(submitter, &found).await?;
        if reversed.is_empty() && ended.is_empty() {
            return Ok((plan, found));
        }
        submitter.journal.note_reversed(&reversed)?;
        submitter.journal.note_known(&ended)?;
        Ok(look(&submitter.journal))
    }

    /// Reverses services and revokes grants; `withdrawn` is why services are reversed that nothing asks for any more.
    async fn take_back(
        &self,
        found: &Changes,
        withdrawn: ReversalReason,
        submitter: &mut Submitter<'_>,
    ) -> Result<(), ImportError> {
        self.options.progress.set_message(Wave::Correct.name());
        let corrections = found.corrections(self.planning.secret, withdrawn);
        self.options.progress.set_length(corrections.len() as u64);
        submitter.wave(&corrections).await
    }

    async fn record(
        &self,
        mut plan: Plan,
        submitter: &mut Submitter<'_>,
        institutions: &BTreeMap<InstitutionId, Institution>,
        passphrase: &SecretString,
    ) -> Result<Summary, ImportError> {
        let (options, secret) = (self.options, self.planning.secret);
        let mut summary = Summary::new(options, self.planning, &plan);
        let agreements = self.agreements(&plan, submitter, institutions).await?;
        submitter.tags = self.state.tags(&plan.subjects, secret, passphrase)?;
        submitter.sources = Sources::new(secret, &plan.subjects);
        summary.also_counting.clone_from(&agreements.also);
        let found = self.changes(&plan, submitter.journal.contents());
        options.progress.set_length((agreements.items.len() + plan.items.len()) as u64);
        options.progress.set_position(0);
        self.make(&agreements, submitter).await?;
        agreements.hold_services(&mut plan.items, secret);
        for (wave, items) in waves(&plan.items) {
            options.progress.set_message(wave.name());
            submitter.wave(items).await?;
        }
        self.number_anew(&agreements, submitter).await?;
        submitter.look_around().await?;
        submitter.journal.note_seen(&submitter.watch.read())?;
        // A period that is closed is not counted anew.
        Miscounted::find(submitter).await?.refuse()?;
        if options.closes_periods {
            options.progress.set_message(Wave::ClosePeriods.name());
            agreements.close(submitter, secret).await?;
            summary.statements = agreements.totals(submitter).await?;
        }
        submitter.look_around().await?;
        summary.changes = Some(found);
        summary.on_ledger = changes::on_ledger(submitter.journal.contents());
        summary.recorded = Some(std::mem::take(&mut submitter.tally));
        Ok(summary)
    }
}

/// Which of the changed services somebody has reversed, as the ledger says.
async fn reversed_by_hand(submitter: &Submitter<'_>, found: &Changes) -> Result<Vec<ServiceId>, ImportError> {
    let ask = |changed: &changes::ChangedService| {
        let (service, recorder) = (changed.service, changed.recorder.clone());
        async move {
            let no_key = || ClientError::NoKey { purpose: format!("acting for {recorder}") };
            let client = submitter.clients.get(&recorder).ok_or_else(no_key)?;
            let listed: Entry<ServiceId, Service> = client.service(service).await?;
            Ok::<_, ClientError>(listed.record.reversed_at.map(|_| service))
        }
    };
    let asked: Vec<_> = found.services.iter().map(ask).collect();
    let answers: Vec<Result<Option<ServiceId>, ClientError>> =
        futures::stream::iter(asked).buffer_unordered(crate::limits::LOOKUPS_IN_FLIGHT).collect().await;
    let reversed: Result<Vec<Option<ServiceId>>, ClientError> = answers.into_iter().collect();
    let mut reversed: Vec<ServiceId> = reversed?.into_iter().flatten().collect();
    reversed.sort();
    Ok(reversed)
}

/// Which of the grants that nothing asks for have ended already, as the ledger says: of these nothing is left to take back.
async fn ended_by_hand(
    submitter: &Submitter<'_>,
    found: &Changes,
) -> Result<Vec<(Key, Option<Digest>)>, ImportError> {
    let ask = |(key, grant, grantor): &(Key, GrantId, InstitutionId)| {
        let (key, grant, client) = (*key, *grant, submitter.clients.get(grantor));
        async move {
            // Without a key of its grantor nothing of it can be done either.
            let Some(client) = client else { return Ok(None) };
            let record: Grant = client.record(&StateKey::Grant(grant)).await?.value;
            Ok::<_, ClientError>(record.ended.map(|_| (key, None)))
        }
    };
    let asked: Vec<_> = found.grants().iter().map(ask).collect();
    let answers: Vec<_> =
        futures::stream::iter(asked).buffered(crate::limits::LOOKUPS_IN_FLIGHT).collect().await;
    let ended: Result<Vec<_>, ClientError> = answers.into_iter().collect();
    Ok(ended?.into_iter().flatten().collect())
}

fn waves(items: &[Item]) -> impl Iterator<Item = (Wave, Vec<&Item>)> {
    Wave::PLANNED
        .into_iter()
        .map(|wave| (wave, items.iter().filter(|item| item.wave == wave).collect::<Vec<_>>()))
        .filter(|(_, items)| !items.is_empty())
}

/// The institutions as the ledger knows them, each checked against the consortium file.
async fn institutions(
    clients: &BTreeMap<InstitutionId, Client>,
    consortium: &Consortium,
) -> Result<BTreeMap<InstitutionId, Institution>, ImportError> {
    let shown = |kind: InstitutionKind, tier: Option<Tier>| match tier {
        Some(tier) => format!("kind {} of tier {}", name(&kind), name(&tier)),
        None => format!("kind {} without a tier", name(&kind)),
    };
    let mut institutions = BTreeMap::new();
    for (id, client) in clients {
        let key = StateKey::Institution(id.clone());
        let ledger = client.record::<Institution>(&key).await?.value;
        if let Some(member) = consortium.member(id) {
            let (file, found) = (shown(member.kind, member.tier), shown(ledger.kind, ledger.tier));
            if file != found {
                return Err(ImportError::OtherInstitution { institution: id.clone(), file, ledger: found });
            }
        }
        institutions.insert(id.clone(), ledger);
    }
    Ok(institutions)
}

/// What a file calls a choice.
fn name(choice: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(choice).ok();
    name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
