//! Agreements and their periods (rules O-22 to O-25).

use std::collections::BTreeSet;

use super::operation::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement, TerminateAgreement};
use super::record::{Agreement, AgreementState, ClosedPeriod, PeriodStatement};
use super::work::AgreementWork;
use crate::base::codec::{self, Domain};
use crate::base::id::{AgreementId, Hash, InstitutionId};
use crate::base::limits;
use crate::crypto::merkle::log::Frontier;
use crate::domain::call::{Call, Step, require};
use crate::domain::membership::record::Institution;
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::refusal::Refusal;
use crate::domain::work::ORDINARY;
use crate::settlement::period::Accumulator;
use crate::settlement::statement::close;
use crate::settlement::terms::Terms;
use crate::state::key::{StateKey, StreamId};
use crate::state::{self, StateView, ViewError};

/// Rule O-22.
impl Operate for ProposeAgreement {
    fn check(&self) -> Result<(), OperationError> {
        self.consortium.check()?;
        self.terms.check()?;
        match self.schedule {
            Schedule::Fixed { length_ms: 1..=limits::PERIOD_LENGTH_MS_MAX } | Schedule::OnDemand => Ok(()),
            Schedule::Fixed { .. } => Err(OperationError::PeriodLength),
        }
    }

    fn work(&self, _: &InstitutionId, _: &dyn StateView) -> Result<u64, ViewError> {
        Ok(u64::from(AgreementWork::of(&self.terms).change))
    }

    fn names(&self) -> Vec<Named<'_>> {
        self.terms.parties.iter().map(|party| Named::Party(&party.institution)).collect()
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let ProposeAgreement { consortium, terms, window, schedule } = self;
        let is_party = terms.parties.iter().any(|party| party.institution == *call.institution);
        require(is_party, Refusal::NotAParty)?;
        require(window.is_ordered() && window.expires > call.time(), Refusal::BadWindow)?;
        for party in &terms.parties {
            let key = StateKey::Institution(party.institution.clone());
            let member: Institution = call.state.read(&key)?.ok_or(Refusal::NoSuchInstitution)?;
            require(member.consortia.contains(consortium), Refusal::NotInConsortium)?;
        }
        let agreement = Agreement {
            consortium: consortium.clone(),
            terms_hash: codec::hash(Domain::Terms, terms),
            terms: terms.clone(),
            window: *window,
            schedule: *schedule,
            state: AgreementState::Proposed,
            signed: BTreeSet::from([call.institution.clone()]),
            open_period: 0,
            period_began: call.time(),
        };
        let id = AgreementId(call.object_id());
        for party in &terms.parties {
            call.state.mark(&StateKey::AgreementIndex(party.institution.clone(), id));
        }
        call.state.write(&StateKey::AgreementWork(id), &AgreementWork::of(terms));
        save(call, id, &agreement);
        Ok(())
    }
}

/// Rule O-23.
impl Operate for SignAgreement {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        Ok(work_for(view, author, self.agreement)?.map_or(ORDINARY, |work| u64::from(work.change)))
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Agreement(self.agreement))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut agreement = find(call, self.agreement)?;
        require(agreement.state == AgreementState::Proposed, Refusal::WrongAgreementState)?;
        require(agreement.terms_hash == self.terms_hash, Refusal::TermsMismatch)?;
        require(agreement.signed.insert(call.institution.clone()), Refusal::AlreadySigned)?;
        let complete =
            agreement.terms.parties.iter().all(|party| agreement.signed.contains(&party.institution));
        if complete {
            agreement.state = AgreementState::Active;
            agreement.period_began = call.time().max(agreement.window.starts);
            cover(call, self.agreement, &agreement.terms)?;
        }
        save(call, self.agreement, &agreement);
        Ok(())
    }
}

/// Rule O-24.
impl Operate for TerminateAgreement {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        Ok(work_for(view, author, self.agreement)?.map_or(ORDINARY, |work| u64::from(work.change)))
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Agreement(self.agreement))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let mut agreement = find(call, self.agreement)?;
        require(agreement.state != AgreementState::Terminated, Refusal::WrongAgreementState)?;
        if agreement.state == AgreementState::Active {
            uncover(call, self.agreement, &agreement.terms)?;
        }
        agreement.state = AgreementState::Terminated;
        save(call, self.agreement, &agreement);
        Ok(())
    }
}

/// Rule O-25.
impl Operate for ClosePeriod {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        Ok(work_for(view, author, self.agreement)?.map_or(ORDINARY, |work| u64::from(work.close)))
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Agreement(self.agreement))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let (id, period) = (self.agreement, self.period);
        let mut agreement = find(call, id)?;
        require(agreement.state != AgreementState::Proposed, Refusal::WrongAgreementState)?;
        require(agreement.open_period == period, Refusal::NotTheOpenPeriod)?;
        let (ended, next_began) = match agreement.schedule {
            Schedule::Fixed { length_ms } => {
                let end = agreement.period_began.plus_ms(length_ms);
                (end <= call.time(), end)
            }
            Schedule::OnDemand => (true, call.time()),
        };
        require(ended, Refusal::PeriodNotOver)?;

        let open: Accumulator = call.state.read(&StateKey::Accumulator(id, period))?.unwrap_or_default();
        let (statement, settled) = close(&agreement.terms, period, open)?;
        let head = StateKey::StreamHead(StreamId::Period { agreement: id, period });
        let events: Frontier = call.state.read(&head)?.unwrap_or_default();
        let statement = PeriodStatement {
            agreement: id,
            period,
            began: agreement.period_began,
            closed: call.time(),
            statement,
        };
        let closed = ClosedPeriod {
            began: agreement.period_began,
            closed: call.time(),
            events: events.length(),
            events_root: Hash(events.root()),
            statement_hash: codec::hash(Domain::Statement, &statement),
        };
        call.state.write(&StateKey::ClosedPeriod(id, period), &closed);
        call.state.write(&StateKey::Statement(id, period), &statement);
        call.state.write(&StateKey::Settled(id, period), &settled);
        call.state.delete(&StateKey::Accumulator(id, period));
        agreement.open_period = period.checked_add(1).ok_or(Refusal::Overflow)?;
        agreement.period_began = next_began;
        save(call, id, &agreement);
        Ok(())
    }
}

/// Enters the agreement where services look for it: by payer, party that plays a part, and service.
fn cover(call: &mut Call<'_, '_>, id: AgreementId, terms: &Terms) -> Step {
    for key in coverage_keys(terms) {
        let mut agreements: Vec<AgreementId> = call.state.read(&key)?.unwrap_or_default();
        require(agreements.len() < limits::AGREEMENTS_PER_SERVICE_MAX, Refusal::TooManyAgreements)?;
        agreements.push(id);
        require(may_count_together(&agreements, &*call.state)?, Refusal::TooManyAgreements)?;
        call.state.write(&key, &agreements);
    }
    Ok(())
}

fn uncover(call: &mut Call<'_, '_>, id: AgreementId, terms: &Terms) -> Step {
    for key in coverage_keys(terms) {
        let mut agreements: Vec<AgreementId> = call.state.read(&key)?.unwrap_or_default();
        agreements.retain(|other| *other != id);
        call.state.write(&key, &agreements);
    }
    Ok(())
}

fn coverage_keys(terms: &Terms) -> Vec<StateKey> {
    let payer = &terms.parties[terms.payer.position()].institution;
    let players = terms.parties.iter().filter(|party| !party.roles.is_empty());
    players
        .flat_map(|party| {
            let key = |service: &crate::base::id::ServiceCode| {
                StateKey::Coverage(payer.clone(), party.institution.clone(), service.clone())
            };
            terms.services.iter().map(key).collect::<Vec<_>>()
        })
        .collect()
}

fn save(call: &mut Call<'_, '_>, id: AgreementId, agreement: &Agreement) {
    call.state.write(&StateKey::Agreement(id), agreement);
    for party in &agreement.terms.parties {
        call.append_to(StreamId::Institution(party.institution.clone()));
    }
}

/// The index is asked first: terms may be long, and a stranger pays for one unit.
fn find(call: &Call<'_, '_>, id: AgreementId) -> Step<Agreement> {
    require(is_party(&*call.state, call.institution, id)?, Refusal::NoSuchAgreement)?;
    call.find(&StateKey::Agreement(id), Refusal::NoSuchAgreement)
}

fn is_party(view: &dyn StateView, institution: &InstitutionId, id: AgreementId) -> Result<bool, ViewError> {
    Ok(view.get(&StateKey::AgreementIndex(institution.clone(), id).bytes())?.is_some())
}

/// What the operations on this agreement cost its parties; `None` for others, to whom it is as one that is not there.
fn work_for(
    view: &dyn StateView,
    author: &InstitutionId,
    id: AgreementId,
) -> Result<Option<AgreementWork>, ViewError> {
    if is_party(view, author, id)? { work_of(view, id) } else { Ok(None) }
}

/// Whether agreements that count one payer's service leave a reversal of it possible (rule O-23).
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn may_count_together(agreements: &[AgreementId], view: &dyn StateView) -> Result<bool, ViewError> {
    let mut work = 0;
    for id in agreements {
        work += work_of(view, *id)?.map_or(0, AgreementWork::late_reversal);
    }
    Ok(work <= limits::COVERAGE_WORK_MAX)
}

/// What the operations on this agreement cost; `None` where there is none.
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn work_of(view: &dyn StateView, id: AgreementId) -> Result<Option<AgreementWork>, ViewError> {
    state::record(view, &StateKey::AgreementWork(id))
}
