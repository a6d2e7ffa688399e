//! Delivered services and their reversal (rules O-20, O-21), counted by every agreement that covers them.

use super::operation::{DeliverService, ReverseService};
use super::record::{CountedIn, Service};
use crate::base::id::{AgreementId, InstitutionId, ServiceId};
use crate::base::limits;
use crate::base::time::DAY_MS;
use crate::domain::agreement::record::{Agreement, AgreementState};
use crate::domain::agreement::rules::work_of;
use crate::domain::agreement::work::AgreementWork;
use crate::domain::call::{Call, Step, require};
use crate::domain::object::Object;
use crate::domain::operate::{Named, Operate, OperationError};
use crate::domain::party::HasParties;
use crate::domain::refusal::Refusal;
use crate::domain::work::{ORDINARY, STREAMS_PER_UNIT};
use crate::settlement::period::{Accumulator, Direction, ServiceEvent};
use crate::settlement::statement::SettledPeriod;
use crate::settlement::terms::Terms;
use crate::state::key::{StateKey, StreamId};
use crate::state::{self, StateView, ViewError};

/// Rule O-20.
impl Operate for DeliverService {
    fn check(&self) -> Result<(), OperationError> {
        let ascending = self.parts.windows(2).all(|pair| pair[0].role < pair[1].role);
        if self.parts.is_empty() || self.parts.len() > limits::PARTS_PER_SERVICE_MAX || !ascending {
            return Err(OperationError::Parts);
        }
        if !self.performed.is_whole_days(limits::SERVICE_DAYS_MAX) {
            return Err(OperationError::PerformedDays);
        }
        self.currency.check().map_err(|_| OperationError::Currency)?;
        Ok(self.service.check()?)
    }

    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        let mut work = ORDINARY + self.parts.len() as u64 / STREAMS_PER_UNIT;
        let key = StateKey::Coverage(self.payer.clone(), author.clone(), self.service.clone());
        for id in state::record::<Vec<AgreementId>>(view, &key)?.unwrap_or_default() {
            work += work_of(view, id)?.map_or(0, |work| u64::from(work.event));
        }
        Ok(work)
    }

    fn names(&self) -> Vec<Named<'_>> {
        let players = self.parts.iter().map(|part| &part.institution);
        players.chain([&self.payer]).map(Named::Party).collect()
    }

    fn refers_to(&self) -> Option<Object> {
        None
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let played_a_part = self.parts.iter().any(|part| part.institution == *call.institution);
        require(played_a_part, Refusal::NoPartPlayed)?;
        let last_day = self.performed.expires.minus_ms(DAY_MS);
        require(last_day <= call.time().plus_ms(limits::SERVICE_AHEAD_MS_MAX), Refusal::NotYetPerformed)?;
        require((0..=limits::AMOUNT_MINOR_MAX).contains(&self.gross_minor.0), Refusal::AmountOutOfBounds)?;
        call.require_member(&self.payer)?;
        self.parts.iter().try_for_each(|part| call.require_member(&part.institution))?;
        let evidence = StateKey::Evidence(self.evidence);
        require(!call.state.contains(&evidence)?, Refusal::EvidenceRepeated)?;
        let id = ServiceId(call.object_id());
        let counted_in = count(call, self)?;
        let service = Service {
            delivered: self.clone(),
            recorder: call.institution.clone(),
            transaction_id: call.transaction_id,
            counted_in,
            reversed_at: None,
        };
        call.state.write(&evidence, &id);
        call.state.write(&StateKey::Service(id), &service);
        append_to_parties(call, self);
        Ok(())
    }
}

/// Rule O-21.
impl Operate for ReverseService {
    fn check(&self) -> Result<(), OperationError> {
        Ok(())
    }

    fn work(&self, author: &InstitutionId, view: &dyn StateView) -> Result<u64, ViewError> {
        let found: Option<Service> = state::record(view, &StateKey::Service(self.service))?;
        let Some(service) = found.filter(|service| service.has_party(author)) else {
            return Ok(ORDINARY);
        };
        let mut work = ORDINARY + service.delivered.parts.len() as u64 / STREAMS_PER_UNIT;
        for counted in service.counted_in {
            work += work_of(view, counted.agreement)?.map_or(0, AgreementWork::late_reversal);
        }
        Ok(work)
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn refers_to(&self) -> Option<Object> {
        Some(Object::Service(self.service))
    }

    fn execute(&self, call: &mut Call<'_, '_>) -> Step {
        let key = StateKey::Service(self.service);
        let mut service: Service = call.find(&key, Refusal::NoSuchService)?;
        require(service.recorder == *call.institution, Refusal::NotTheRecorder)?;
        require(service.reversed_at.is_none(), Refusal::AlreadyReversed)?;
        for CountedIn { agreement, period } in &service.counted_in {
            uncount(call, *agreement, *period, &service.delivered)?;
        }
        service.reversed_at = Some(call.time());
        call.state.write(&key, &service);
        append_to_parties(call, &service.delivered);
        Ok(())
    }
}

/// A service and its reversal belong to the payer and those who played a part.
fn append_to_parties(call: &mut Call<'_, '_>, service: &DeliverService) {
    call.append_to(StreamId::Institution(service.payer.clone()));
    for part in &service.parts {
        call.append_to(StreamId::Institution(part.institution.clone()));
    }
}

/// Counts the service in the open period of every agreement that covers it and has the author as a party: nobody else's
/// record moves money between the parties (rule O-20).
fn count(call: &mut Call<'_, '_>, service: &DeliverService) -> Step<Vec<CountedIn>> {
    let coverage =
        StateKey::Coverage(service.payer.clone(), call.institution.clone(), service.service.clone());
    let candidates: Vec<AgreementId> = call.state.read(&coverage)?.unwrap_or_default();
    let mut counted = Vec::new();
    for id in candidates {
        let agreement: Agreement =
            call.state.read(&StateKey::Agreement(id))?.ok_or(Refusal::NoSuchAgreement)?;
        let counts = agreement.state == AgreementState::Active && agreement.window.contains(call.time());
        let Some(event) = matching_event(&agreement.terms, service).filter(|_| counts) else {
            continue;
        };
        let period = agreement.open_period;
        let key = StateKey::Accumulator(id, period);
        let mut open: Accumulator = call.state.read(&key)?.unwrap_or_default();
        open.record(&agreement.terms, &event, Direction::Delivered)?;
        call.state.write(&key, &open);
        call.append_to(StreamId::Period { agreement: id, period });
        counted.push(CountedIn { agreement: id, period });
    }
    Ok(counted)
}

/// Takes a counted service back: from the open period, or, where its period is closed, as an adjustment to the open one.
fn uncount(call: &mut Call<'_, '_>, id: AgreementId, period: u32, service: &DeliverService) -> Step {
    let agreement: Agreement = call.state.read(&StateKey::Agreement(id))?.ok_or(Refusal::NoSuchAgreement)?;
    let terms = &agreement.terms;
    let event = matching_event(terms, service).ok_or(Refusal::TermsNotEvaluable)?;
    let open_key = StateKey::Accumulator(id, agreement.open_period);
    let mut open: Accumulator = call.state.read(&open_key)?.unwrap_or_default();
    if period == agreement.open_period {
        open.record(terms, &event, Direction::Reversed)?;
    } else {
        let settled_key = StateKey::Settled(id, period);
        let mut settled: SettledPeriod = call.state.read(&settled_key)?.ok_or(Refusal::TermsNotEvaluable)?;
        settled.record_late(&mut open, terms, &event, Direction::Reversed)?;
        call.state.write(&settled_key, &settled);
    }
    call.state.write(&open_key, &open);
    call.append_to(StreamId::Period { agreement: id, period: agreement.open_period });
    Ok(())
}

/// What the terms count of the service; `None` where they do not cover it (rule T-14).
fn matching_event(terms: &Terms, service: &DeliverService) -> Option<ServiceEvent> {
    let parts = service.parts.iter().map(|part| (part.role, &part.institution));
    terms.event(&service.service, service.currency, &service.payer, service.gross_minor, parts)
}
