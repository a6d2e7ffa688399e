//! The course of an accepted referral, from the hand-over to its closure (rules O-15 to O-18, O-29).

use super::operation::{
    AcknowledgeHandover, AmendOutcome, CloseAdministratively, CloseClinically, HandOver, ReportOutcome,
};
use super::record::{Referral, ReferralState, ReportedOutcome};
use super::step::{Party, ReferralStep};
use crate::base::id::ReferralId;
use crate::domain::call::{Call, Step, require};
use crate::domain::operate::Named;
use crate::domain::refusal::Refusal;

/// Rule O-15.
impl ReferralStep for HandOver {
    const BY: Party = Party::Requester;
    const FROM: &'static [ReferralState] = &[ReferralState::Accepted];
    const TO: ReferralState = ReferralState::HandedOver;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        referral.package = Some(self.package);
        Ok(())
    }
}

/// Rule O-16.
impl ReferralStep for AcknowledgeHandover {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::HandedOver];
    const TO: ReferralState = ReferralState::InCare;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        require(referral.package == Some(self.package), Refusal::CommitmentMismatch)
    }
}

/// Rule O-17.
impl ReferralStep for ReportOutcome {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::InCare];
    const TO: ReferralState = ReferralState::OutcomeReported;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        referral.outcome = Some(ReportedOutcome { outcome: self.outcome, report: self.report });
        Ok(())
    }
}

/// Rule O-29.
impl ReferralStep for AmendOutcome {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::OutcomeReported, ReferralState::ClosedClinically];
    const TO: ReferralState = ReferralState::OutcomeReported;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, referral: &mut Referral) -> Step {
        referral.outcome = Some(ReportedOutcome { outcome: self.outcome, report: self.report });
        Ok(())
    }
}

/// Rule O-18.
impl ReferralStep for CloseClinically {
    const BY: Party = Party::Requester;
    const FROM: &'static [ReferralState] = &[ReferralState::OutcomeReported];
    const TO: ReferralState = ReferralState::ClosedClinically;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, _: &mut Referral) -> Step {
        Ok(())
    }
}

/// Rule O-18.
impl ReferralStep for CloseAdministratively {
    const BY: Party = Party::Receiver;
    const FROM: &'static [ReferralState] = &[ReferralState::ClosedClinically];
    const TO: ReferralState = ReferralState::Closed;

    fn referral(&self) -> ReferralId {
        self.referral
    }

    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    fn take(&self, _: &mut Call<'_, '_>, _: &mut Referral) -> Step {
        Ok(())
    }
}
