//! How each operation that took effect changes the history.

use std::collections::BTreeSet;

use yilian_spec::base::id::{AgreementId, DisclosureId, GrantId, InstitutionId, ReferralId, ServiceId};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::AgreementState;
use yilian_spec::domain::agreement::{ProposeAgreement, Schedule};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::ReferralState;
use yilian_spec::domain::referral::{Direction, RequestReferral, ReturnDownward};
use yilian_spec::domain::service::DeliverService;

use super::{Act, Agreement, Disclosure, Grant, History, Key, Referral, Service};
use crate::simulator::oracles::Finding;

impl History {
    /// Takes over an operation that took effect.
    ///
    /// # Errors
    /// When it refers to what was never made.
    pub fn take(&mut self, act: &Act<'_>) -> Result<(), Finding> {
        match act.operation {
            Operation::RegisterKey(register) => {
                self.keys.insert(register.key, key_of(act, register.role, register.window));
            }
            Operation::RotateKey(rotate) => {
                if let Some(old) = self.keys.get_mut(&rotate.old_key) {
                    old.revoked = true;
                    let new = key_of(act, old.role, rotate.window);
                    self.keys.insert(rotate.new_key, new);
                }
            }
            Operation::RevokeKey(revoke) => {
                if let Some(key) = self.keys.get_mut(&revoke.key) {
                    key.revoked = true;
                }
            }
            Operation::GrantAccess(grant) => {
                let grant = Grant {
                    grantor: act.institution.clone(),
                    grantee: grant.grantee.clone(),
                    subject: grant.subject,
                    scope: grant.scope.clone(),
                    window: grant.window,
                    ended: false,
                };
                self.grants.insert(GrantId(act.object()), grant);
            }
            Operation::RevokeGrant(revoke) => self.grant_mut(revoke.grant)?.ended = true,
            Operation::RecordDisclosure(disclosure) => {
                let source = act.institution.clone();
                let disclosure = Disclosure { source, recorded: disclosure.clone(), received: false };
                self.disclosures.insert(DisclosureId(act.object()), disclosure);
            }
            Operation::RecordReceipt(receipt) => {
                let id = receipt.disclosure;
                let never = Finding::NeverMade { what: "disclosure", id: id.0 };
                self.disclosures.get_mut(&id).ok_or(never)?.received = true;
            }
            Operation::PublishCapacity(capacity) => {
                let key = (act.institution.clone(), capacity.service.clone());
                self.slots.insert(key, capacity.slots);
            }
            Operation::RequestReferral(request) => self.request(act, request),
            Operation::ReturnDownward(back) => self.return_downward(act, back)?,
            Operation::AcceptReferral(accept) => self.accept(act, accept.referral)?,
            Operation::RedirectReferral(redirect) => {
                let referral = self.asked_anew(act, redirect.referral)?;
                referral.redirect_to = Some(redirect.proposed_receiver.clone());
                referral.redirects += 1;
                referral.state = ReferralState::Redirected;
            }
            Operation::ConfirmRedirect(confirm) => {
                let referral = self.asked_anew(act, confirm.referral)?;
                referral.receiver = confirm.receiver.clone();
                referral.redirect_to = None;
                referral.state = ReferralState::Requested;
            }
            Operation::HandOver(hand_over) => {
                let referral = self.referral_mut(hand_over.referral)?;
                referral.package = Some(hand_over.package);
                referral.state = ReferralState::HandedOver;
            }
            Operation::AcknowledgeHandover(acknowledge) => {
                self.referral_mut(acknowledge.referral)?.state = ReferralState::InCare;
            }
            Operation::ReportOutcome(report) => {
                self.referral_mut(report.referral)?.state = ReferralState::OutcomeReported;
            }
            Operation::AmendOutcome(amend) => {
                self.referral_mut(amend.referral)?.state = ReferralState::OutcomeReported;
            }
            Operation::CloseClinically(close) => {
                self.referral_mut(close.referral)?.state = ReferralState::ClosedClinically;
            }
            Operation::DeclineReferral(decline) => self.finish(decline.referral, ReferralState::Declined)?,
            Operation::CancelReferral(cancel) => self.finish(cancel.referral, ReferralState::Cancelled)?,
            Operation::CloseAdministratively(close) => self.finish(close.referral, ReferralState::Closed)?,
            Operation::DeliverService(service) => self.deliver(act, service),
            Operation::ReverseService(reverse) => {
                self.service_mut(reverse.service)?.reversed_at = Some(act.time);
            }
            Operation::ProposeAgreement(proposed) => self.propose(act, proposed),
            Operation::SignAgreement(sign) => self.sign(act, sign.agreement)?,
            Operation::TerminateAgreement(terminate) => {
                self.agreement_mut(terminate.agreement)?.state = AgreementState::Terminated;
            }
            Operation::ClosePeriod(close) => self.close(act, close.agreement)?,
        }
        Ok(())
    }

    fn request(&mut self, act: &Act<'_>, request: &RequestReferral) {
        let referral = Referral {
            requester: act.institution.clone(),
            receiver: request.receiver.clone(),
            subject: request.subject,
            direction: request.direction,
            service: request.service.clone(),
            access: request.access.clone(),
            state: ReferralState::Requested,
            grant: None,
            holds_slot: false,
            answer_due: self.answer_due(act.time, request.urgency),
            urgency: request.urgency,
            redirect_to: None,
            redirects: 0,
            package: None,
            returned: false,
        };
        self.referrals.insert(ReferralId(act.object()), referral);
    }

    fn return_downward(&mut self, act: &Act<'_>, back: &ReturnDownward) -> Result<(), Finding> {
        let first = self.referral_mut(back.returns)?;
        first.returned = true;
        let request = RequestReferral {
            // The tag of the one who asked first, who keeps it and gets the patient back.
            subject: first.subject,
            receiver: first.requester.clone(),
            direction: Direction::Down,
            service: back.service.clone(),
            urgency: back.urgency,
            reason: back.reason,
            access: back.access.clone(),
        };
        self.request(act, &request);
        Ok(())
    }

    /// A referral whose time to be answered begins anew.
    fn asked_anew(&mut self, act: &Act<'_>, id: ReferralId) -> Result<&mut Referral, Finding> {
        let urgency = self.referral(id)?.urgency;
        let due = self.answer_due(act.time, urgency);
        let referral = self.referral_mut(id)?;
        referral.answer_due = due;
        Ok(referral)
    }

    fn accept(&mut self, act: &Act<'_>, id: ReferralId) -> Result<(), Finding> {
        let expires = act.time.plus_ms(self.parameters.referral_access_ms);
        let published = self.referral(id).map(|referral| {
            self.slots.contains_key(&(referral.receiver.clone(), referral.service.clone()))
        })?;
        let referral = self.referral_mut(id)?;
        let grant_id = GrantId(act.object());
        referral.state = ReferralState::Accepted;
        referral.grant = Some(grant_id);
        referral.holds_slot = published;
        let grant = Grant {
            grantor: referral.requester.clone(),
            grantee: referral.receiver.clone(),
            subject: referral.subject,
            scope: referral.access.clone(),
            window: Window { starts: act.time, expires },
            ended: false,
        };
        self.grants.insert(grant_id, grant);
        Ok(())
    }

    fn finish(&mut self, id: ReferralId, state: ReferralState) -> Result<(), Finding> {
        let referral = self.referral_mut(id)?;
        referral.state = state;
        referral.holds_slot = false;
        match referral.grant {
            Some(grant) => {
                self.grant_mut(grant)?.ended = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn deliver(&mut self, act: &Act<'_>, delivered: &DeliverService) {
        let counting = self.counting(act, delivered);
        let service = Service {
            delivered: delivered.clone(),
            recorder: act.institution.clone(),
            transaction_id: act.transaction_id,
            counted_in: counting.into_iter().map(|(agreement, period, _)| (agreement, period)).collect(),
            reversed_at: None,
        };
        self.services.insert(ServiceId(act.object()), service);
        self.evidence.insert(delivered.evidence);
    }

    fn propose(&mut self, act: &Act<'_>, proposed: &ProposeAgreement) {
        let agreement = Agreement {
            proposed: proposed.clone(),
            signed: BTreeSet::from([act.institution.clone()]),
            state: AgreementState::Proposed,
            open_period: 0,
            period_began: act.time,
        };
        self.agreements.insert(AgreementId(act.object()), agreement);
    }

    /// The last signature makes it active; its first period begins then, or with its window.
    fn sign(&mut self, act: &Act<'_>, id: AgreementId) -> Result<(), Finding> {
        let agreement = self.agreement_mut(id)?;
        agreement.signed.insert(act.institution.clone());
        let parties: BTreeSet<&InstitutionId> =
            agreement.proposed.terms.parties.iter().map(|party| &party.institution).collect();
        if parties.iter().all(|party| agreement.signed.contains(*party)) {
            agreement.state = AgreementState::Active;
            agreement.period_began = act.time.max(agreement.proposed.window.starts);
            self.activated.push(id);
        }
        Ok(())
    }

    fn close(&mut self, act: &Act<'_>, id: AgreementId) -> Result<(), Finding> {
        let agreement = self.agreement_mut(id)?;
        agreement.open_period += 1;
        agreement.period_began = match agreement.proposed.schedule {
            Schedule::Fixed { length_ms } => agreement.period_began.plus_ms(length_ms),
            Schedule::OnDemand => act.time,
        };
        Ok(())
    }

    fn grant_mut(&mut self, id: GrantId) -> Result<&mut Grant, Finding> {
        self.grants.get_mut(&id).ok_or(Finding::NeverMade { what: "grant", id: id.0 })
    }

    fn referral_mut(&mut self, id: ReferralId) -> Result<&mut Referral, Finding> {
        self.referrals.get_mut(&id).ok_or(Finding::NeverMade { what: "referral", id: id.0 })
    }

    fn service_mut(&mut self, id: ServiceId) -> Result<&mut Service, Finding> {
        self.services.get_mut(&id).ok_or(Finding::NeverMade { what: "service", id: id.0 })
    }

    fn agreement_mut(&mut self, id: AgreementId) -> Result<&mut Agreement, Finding> {
        self.agreements.get_mut(&id).ok_or(Finding::NeverMade { what: "agreement", id: id.0 })
    }
}

fn key_of(act: &Act<'_>, role: Role, window: Window) -> Key {
    Key { institution: act.institution.clone(), role, window, revoked: false }
}
