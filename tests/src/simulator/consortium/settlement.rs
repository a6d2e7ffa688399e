//! Agreements of the members: terms that all parties sign, services under them, reversals, and periods that are closed
//! while both go on.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, Commitment, ConsortiumId, Hash, ServiceCode, ServiceId};
use yilian_spec::base::limits::AMOUNT_MINOR_MAX;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{
    ClosePeriod, ProposeAgreement, Schedule, SignAgreement, TerminateAgreement,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, SplitShare, fixed_price, percentage_split};
use yilian_spec::settlement::terms::{Rounding, Terms};

use super::author::{Author, END};
use super::{DAY_MS, INSURER, PROVIDERS, START_MS, consortium, institution};

/// Services that the terms cover, and one that none of them does.
const SERVICES: [&str; 3] = ["teleconsultation", "image-reading", "acupuncture"];
/// The part of each provider, in the order in which a run draws them, in services whose price is split.
const PARTS: [PartRole; 3] = [PartRole::Primary, PartRole::Expert, PartRole::Platform];

fn service(number: usize) -> ServiceCode {
    ServiceCode::new(SERVICES[number]).expect("the services' names are well-formed")
}

/// What a run agrees on.
struct Deal {
    /// The providers in the order of their parts.
    providers: Vec<usize>,
    payer: usize,
    agreements: Vec<AgreementId>,
    /// What the agreements cover.
    services: Vec<ServiceCode>,
    terms_hashes: Vec<Hash>,
}

/// A service that was signed.
#[derive(Clone)]
struct Delivered {
    recorder: usize,
    place: u64,
    id: ServiceId,
    evidence: Commitment,
}

/// Tells of the agreements of a run.
pub fn story(author: &mut Author<'_>) {
    let deal = agree(author);
    let mut delivered = Vec::new();
    for _ in 0..4 {
        let place = author.place(200, 560);
        deliver(author, &deal, &mut delivered, place);
    }
    close(author, &deal, 0, 600);
    for _ in 0..2 {
        let place = author.place(620, 850);
        deliver(author, &deal, &mut delivered, place);
    }
    for _ in 0..2 {
        reverse(author, &delivered);
    }
    close(author, &deal, 1, 880);
    if author.random.chance(200) {
        let terminate = TerminateAgreement { agreement: deal.agreements[0] };
        let place = author.place(500, 950);
        author.sign(place, deal.payer, vec![Operation::TerminateAgreement(terminate)]);
    }
    if author.random.chance(600) {
        close(author, &deal, 2, END);
    }
}

/// One agreement or two, proposed in one transaction and signed in one by each other party.
fn agree(author: &mut Author<'_>) -> Deal {
    let mut providers = PROVIDERS.to_vec();
    providers.rotate_left(author.random.position(3));
    providers.truncate(author.random.position(2) + 2);
    let payer = if author.random.chance(150) { providers[1] } else { INSURER };
    let number = author.random.position(2) + 1;
    let terms: Vec<Terms> = (0..number).map(|_| terms(author, &providers, payer)).collect();
    let place = author.place(0, 30);
    let proposals = terms.iter().map(|terms| Operation::ProposeAgreement(proposal(author, terms))).collect();
    let signed = author.sign(place, providers[0], proposals);
    let agreements: Vec<AgreementId> = (0..number).map(|index| AgreementId(signed.object(index))).collect();
    let terms_hashes = terms.iter().map(|terms| codec::hash(Domain::Terms, terms)).collect();
    let services = terms.iter().flat_map(|terms| terms.services.iter().cloned()).collect();
    let deal = Deal { providers, payer, agreements, services, terms_hashes };
    let mut others: BTreeSet<usize> = deal.providers[1..].iter().copied().collect();
    others.insert(deal.payer);
    for member in others {
        let place = author.place(90, 150);
        let wrong = author.random.chance(20);
        let sign = |(agreement, hash): (&AgreementId, &Hash)| {
            let terms_hash = if wrong { Hash([7; 32]) } else { *hash };
            Operation::SignAgreement(SignAgreement { agreement: *agreement, terms_hash })
        };
        author.sign(place, member, deal.agreements.iter().zip(&deal.terms_hashes).map(sign).collect());
    }
    deal
}

/// A split of the gross amount by whole weights, rounded per event or per period, or a fixed price per service.
fn terms(author: &mut Author<'_>, providers: &[usize], payer: usize) -> Terms {
    let covered = if author.random.chance(300) { vec![0, 1] } else { vec![author.random.position(2)] };
    let frame = Frame {
        currency: Currency::CNY,
        services: covered.into_iter().map(service).collect(),
        payer: institution(payer),
    };
    if author.random.chance(300) {
        let members: Vec<_> = providers.iter().map(|member| institution(*member)).collect();
        let fee = AmountMinor(author.place(1, 9_999) as i64);
        return fixed_price(&frame, &members, PartRole::Primary, fee)
            .expect("two or three providers, one fee");
    }
    let share = |(member, role): (&usize, PartRole)| SplitShare {
        institution: institution(*member),
        role,
        // Few weights, so that equal remainders occur.
        weight: Ratio::whole(author.one_of(&[1, 1, 15, 30, 55])),
    };
    let shares: Vec<SplitShare> = providers.iter().zip(PARTS).map(share).collect();
    let rounding = if author.random.chance(500) { Rounding::PerEvent } else { Rounding::PerPeriod };
    percentage_split(&frame, &shares, rounding).expect("two or three shares with weights above zero")
}

fn proposal(author: &mut Author<'_>, terms: &Terms) -> ProposeAgreement {
    let elsewhere = ConsortiumId::new("another-community").expect("the name is well-formed");
    let length_ms = author.place(3_000, 12_000);
    ProposeAgreement {
        consortium: if author.random.chance(20) { elsewhere } else { consortium() },
        terms: terms.clone(),
        window: Window { starts: LedgerTime(START_MS), expires: LedgerTime(START_MS + DAY_MS) },
        schedule: if author.random.chance(250) { Schedule::Fixed { length_ms } } else { Schedule::OnDemand },
    }
}

/// One to three services of one recorder.
fn deliver(author: &mut Author<'_>, deal: &Deal, delivered: &mut Vec<Delivered>, place: u64) {
    let recorder = author.one_of(&deal.providers);
    let number = author.random.position(3) + 1;
    let services: Vec<DeliverService> =
        (0..number).map(|_| one_service(author, deal, delivered, recorder)).collect();
    let evidence: Vec<Commitment> = services.iter().map(|service| service.evidence).collect();
    let signed = author.sign(place, recorder, services.into_iter().map(Operation::DeliverService).collect());
    delivered.extend(evidence.into_iter().enumerate().map(|(index, evidence)| Delivered {
        recorder,
        place,
        id: ServiceId(signed.object(index)),
        evidence,
    }));
}

fn one_service(
    author: &mut Author<'_>,
    deal: &Deal,
    delivered: &[Delivered],
    recorder: usize,
) -> DeliverService {
    // Who records a service has played a part in it, mostly its own.
    let mut parts: Vec<PlayedPart> = Vec::new();
    for (member, role) in deal.providers.iter().zip(PARTS) {
        if *member == recorder || author.random.chance(500) {
            let stranger = author.random.chance(40);
            let member = if stranger { author.one_of(&PROVIDERS) } else { *member };
            parts.push(PlayedPart { role, institution: institution(member) });
        }
    }
    let gross_minor = match author.random.below(1_000) {
        0..15 => AMOUNT_MINOR_MAX + 1,
        15..60 => 0,
        _ => author.place(1, 30_000) as i64,
    };
    let repeated = author.random.chance(25);
    let fresh = Commitment(author.random.bytes());
    // From the day before the run to two days after it; the last is too early to be recorded.
    let performed_ms = START_MS - DAY_MS + author.random.below(4) * DAY_MS;
    DeliverService {
        performed: Window::day_of(LedgerTime(performed_ms)),
        service: if author.random.chance(80) { service(2) } else { author.one_of(&deal.services) },
        parts,
        payer: institution(if author.random.chance(30) { deal.providers[0] } else { deal.payer }),
        gross_minor: AmountMinor(gross_minor),
        currency: if author.random.chance(20) { Currency::USD } else { Currency::CNY },
        evidence: delivered.first().filter(|_| repeated).map_or(fresh, |first| first.evidence),
    }
}

/// Takes one or two services back that one member recorded, mostly in a later period than theirs.
fn reverse(author: &mut Author<'_>, delivered: &[Delivered]) {
    let first = author.one_of(delivered);
    let second = author.one_of(delivered);
    let both = second.recorder == first.recorder && author.random.chance(500);
    let wrong = author.random.chance(40);
    let reversal = |service: &Delivered| {
        Operation::ReverseService(ReverseService { service: service.id, reason: ReversalReason::Mistake })
    };
    let mut operations = vec![reversal(&first)];
    if both {
        operations.push(reversal(&second));
    }
    let place =
        author.place(first.place.max(second.place) + 100, END.max(first.place.max(second.place) + 100));
    let member = if wrong { INSURER } else { first.recorder };
    author.sign(place, member, operations);
}

/// Closes a period of every agreement, by any party.
fn close(author: &mut Author<'_>, deal: &Deal, period: u32, place: u64) {
    let close =
        |agreement: &AgreementId| Operation::ClosePeriod(ClosePeriod { agreement: *agreement, period });
    let operations: Vec<Operation> = deal.agreements.iter().map(close).collect();
    let member = if author.random.chance(500) { deal.payer } else { author.one_of(&deal.providers) };
    if author.random.chance(500) {
        author.sign(place, member, operations);
    } else {
        for operation in operations {
            author.sign(place, member, vec![operation]);
        }
    }
}
