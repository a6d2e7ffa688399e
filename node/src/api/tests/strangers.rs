//! To a stranger what others have between them is as what does not exist: the same answer to the byte, on every route.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, StatusCode};
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{
    AgreementId, Commitment, DisclosureId, FigureName, GrantId, ReferralId, ServiceCode, ServiceId,
    SubjectTag,
};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, GrantAccess, Purpose, RecordDisclosure, Sensitivity,
};
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::referral::{
    AcceptReferral, ConfirmRedirect, Direction, RedirectReferral, ReferralReason, RequestReferral, Urgency,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::settlement::expression::{ExpressionBuilder, Step};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};
use yilian_spec::state::key::{StateKey, StreamId};

use super::world::{As, CLINIC, CONSORTIUM, HOSPITAL, INSURER, REGULATOR, World, institution};

const STRANGER: As = (CLINIC, Role::ReferralGateway);
const REGULATOR_READS: As = (REGULATOR, Role::Auditor);

/// What the hospital and the insurer have between them; or ids of nothing.
struct Objects {
    grant: GrantId,
    disclosure: DisclosureId,
    referral: ReferralId,
    service: ServiceId,
    agreement: AgreementId,
    subject: SubjectTag,
}

impl Objects {
    fn unknown() -> Self {
        Self {
            grant: GrantId([0xab; 32]),
            disclosure: DisclosureId([0xab; 32]),
            referral: ReferralId([0xab; 32]),
            service: ServiceId([0xab; 32]),
            agreement: AgreementId([0xab; 32]),
            subject: SubjectTag::of(&institution(HOSPITAL), [0xab; 16]),
        }
    }

    fn rows(&self) -> Vec<StateKey> {
        let mut rows = vec![
            StateKey::Grant(self.grant),
            StateKey::Referral(self.referral),
            StateKey::Agreement(self.agreement),
            StateKey::ClosedPeriod(self.agreement, 0),
            StateKey::ClosedPeriod(self.agreement, 1),
        ];
        rows.extend(self.streams().map(StateKey::StreamHead));
        rows
    }

    fn streams(&self) -> [StreamId; 5] {
        [
            StreamId::Grant(self.grant),
            StreamId::Referral(self.referral),
            StreamId::Period { agreement: self.agreement, period: 0 },
            StreamId::Period { agreement: self.agreement, period: 1 },
            StreamId::Subject(self.subject),
        ]
    }

    /// The requests that a route answers about these objects; `None` where it is about something else, which is for every
    /// caller or not there to be guessed.
    fn requests(&self, route: &str) -> Option<Vec<String>> {
        let streams = || self.streams().into_iter().map(|stream| stream.to_string());
        let filled = |id: &dyn ToString| vec![route.replace("{id}", &id.to_string())];
        Some(match route {
            "/v1/grants/{id}" | "/v1/grants/{id}/proof" => filled(&self.grant),
            "/v1/disclosures/{id}" => filled(&self.disclosure),
            "/v1/referrals/{id}" | "/v1/referrals/{id}/proof" => filled(&self.referral),
            "/v1/services/{id}" => filled(&self.service),
            "/v1/agreements/{id}" | "/v1/agreements/{id}/proof" => filled(&self.agreement),
            "/v1/agreements/{id}/periods/{period}"
            | "/v1/agreements/{id}/periods/{period}/proof"
            | "/v1/agreements/{id}/periods/{period}/statement"
            | "/v1/agreements/{id}/periods/{period}/statement/proof" => {
                let of = filled(&self.agreement).remove(0);
                ["0", "1", "2"].map(|period| of.replace("{period}", period)).to_vec()
            }
            "/v1/state/{key}/proof" => {
                let key = |key: StateKey| route.replace("{key}", &hex::encode(key.bytes()));
                self.rows().into_iter().map(key).collect()
            }
            "/v1/streams/{kind}/{id}" => streams()
                .flat_map(|stream| {
                    ["", "?cursor=0000000000000009"].map(|query| format!("/v1/streams/{stream}{query}"))
                })
                .collect(),
            "/v1/streams/{kind}/{id}/proof" => streams()
                .flat_map(|stream| ["", "?from=9"].map(|query| format!("/v1/streams/{stream}/proof{query}")))
                .collect(),
            // A transaction's id depends on a random number: who has it was told of it.
            "/v1/transactions/{id}" | "/v1/transactions/{id}/proof" | "/v1/transactions/{id}/inclusion" => {
                return None;
            }
            // For every caller.
            "/v1/blocks/{height}"
            | "/v1/blocks/{height}/consistency"
            | "/v1/institutions/{id}"
            | "/v1/institutions/{id}/keys"
            | "/v1/institutions/{id}/proof"
            | "/v1/keys/{key}"
            | "/v1/keys/{key}/proof"
            | "/v1/capacity/{institution}"
            | "/v1/capacity/{institution}/{service}" => return None,
            // The caller's own, or all of a regulator's.
            "/health"
            | "/metrics"
            | "/v1/openapi.json"
            | "/v1/chain"
            | "/v1/checkpoint"
            | "/v1/blocks"
            | "/v1/institutions"
            | "/v1/grants"
            | "/v1/disclosures"
            | "/v1/referrals"
            | "/v1/agreements"
            | "/v1/events"
            | "/v1/transactions"
            | "/v1/transactions/check" => return None,
            _ => panic!("{route} is a new route: say here what a stranger learns by it"),
        })
    }
}

/// Has a transaction take effect; what its only operation creates.
async fn record(world: &mut World, author: &'static str, operation: Operation) -> ([u8; 32], Transaction) {
    let transaction = world.transaction((author, operation.role()), vec![operation]);
    let (name, id) = (transaction.body.operations[0].name(), transaction.id());
    world.committed(vec![transaction.clone()]);
    let outcome =
        world.ask((author, transaction.body.operations[0].role()), &format!("/v1/transactions/{id}")).await;
    assert_eq!(outcome.json["receipt"]["outcome"], "applied", "{name}: {outcome:?}");
    (transaction.object_id(0).unwrap(), transaction)
}

fn scope() -> AccessScope {
    AccessScope {
        categories: [Category::Laboratory].into(),
        highest_sensitivity: Sensitivity::N,
        purposes: [Purpose::Treat].into(),
    }
}

fn request(subject: SubjectTag, to: &str) -> Operation {
    Operation::RequestReferral(RequestReferral {
        subject,
        receiver: institution(to),
        direction: Direction::Lateral,
        service: ServiceCode::new("dialysis").unwrap(),
        urgency: Urgency::Routine,
        reason: Commitment([4; 32]),
        access: scope(),
    })
}

/// The hospital does, the insurer pays, and each is owed a fixed sum.
fn terms() -> Terms {
    let mut expression = ExpressionBuilder::default();
    let value = expression.push(Step::PerParty { values: vec![Ratio::whole(5), Ratio::whole(0)] });
    expression.push(Step::Round { value, figure: FigureName::new("owed").unwrap() });
    let party = |id: &str, roles| Party { institution: institution(id), roles };
    Terms {
        currency: Currency::CNY,
        services: BTreeSet::from([ServiceCode::new("dialysis").unwrap()]),
        metrics: BTreeSet::new(),
        parties: vec![party(HOSPITAL, BTreeSet::from([PartRole::Primary])), party(INSURER, BTreeSet::new())],
        payer: PartyIndex(1),
        rounding: Rounding::PerPeriod,
        expression: expression.finish(),
    }
}

async fn objects(world: &mut World) -> Objects {
    let subject = World::patient(1);
    let window = Window { starts: world.now(), expires: world.now().plus_ms(86_400_000) };
    let consent = Commitment([1; 32]);
    let grant = GrantAccess { subject, grantee: institution(INSURER), scope: scope(), window, consent };
    let grant = GrantId(record(world, HOSPITAL, Operation::GrantAccess(grant)).await.0);
    let disclosure = Operation::RecordDisclosure(RecordDisclosure {
        subject,
        recipient: institution(INSURER),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: Commitment([2; 32]),
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    });
    let disclosure = DisclosureId(record(world, HOSPITAL, disclosure).await.0);
    let referral = ReferralId(record(world, HOSPITAL, request(subject, INSURER)).await.0);
    let proposal = ProposeAgreement {
        consortium: CONSORTIUM.parse().unwrap(),
        terms: terms(),
        window,
        schedule: Schedule::OnDemand,
    };
    let agreement = AgreementId(record(world, INSURER, Operation::ProposeAgreement(proposal)).await.0);
    let terms_hash = codec::hash(Domain::Terms, &terms());
    record(world, HOSPITAL, Operation::SignAgreement(SignAgreement { agreement, terms_hash })).await;
    let delivered = Operation::DeliverService(DeliverService {
        service: ServiceCode::new("dialysis").unwrap(),
        parts: vec![PlayedPart { role: PartRole::Primary, institution: institution(HOSPITAL) }],
        performed: Window::day_of(LedgerTime(0)),
        payer: institution(INSURER),
        gross_minor: AmountMinor(100),
        currency: Currency::CNY,
        evidence: Commitment([3; 32]),
    });
    let service = ServiceId(record(world, HOSPITAL, delivered.clone()).await.0);
    record(world, INSURER, Operation::ClosePeriod(ClosePeriod { agreement, period: 0 })).await;
    let Operation::DeliverService(mut again) = delivered else { unreachable!() };
    again.evidence = Commitment([4; 32]);
    record(world, HOSPITAL, Operation::DeliverService(again)).await;
    Objects { grant, disclosure, referral, service, agreement, subject }
}

async fn whole_answer(world: &World, caller: As, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let answer = world.send(world.request(Method::GET, caller, path, "", Body::empty())).await;
    let (head, body) = answer.into_parts();
    (head.status, head.headers, to_bytes(body, 1 << 20).await.unwrap().to_vec())
}

async fn routes(world: &World) -> Vec<String> {
    let description = world.ask_openly("/v1/openapi.json").await.json;
    description["paths"].as_object().unwrap().keys().cloned().collect()
}

/// The attack: 403 for what others had and 404, an empty stream or a proof of absence for what nobody had.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_no_route_tells_a_stranger_whether_an_object_exists() {
    let mut world = World::new();
    let (others, nothing) = (objects(&mut world).await, Objects::unknown());
    let mut asked = 0;
    for route in routes(&world).await {
        let Some(requests) = others.requests(&route) else { continue };
        for (existing, absent) in requests.iter().zip(nothing.requests(&route).unwrap()) {
            let told = whole_answer(&world, STRANGER, existing).await;
            assert_eq!(told, whole_answer(&world, STRANGER, &absent).await, "{existing} and {absent}");
            assert_eq!(told.0, StatusCode::NOT_FOUND, "{existing}");
            let text = String::from_utf8(told.2).unwrap();
            assert!(
                text.contains(r#""code":"not_found""#) && text.contains("or it does not concern"),
                "{text}"
            );
            asked += 1;
        }
    }
    assert!(asked > 40, "only {asked} requests");
}

/// The stranger's answers are the same because they are hidden, not because nothing is there.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_parties_and_regulators_read_on_every_route_what_exists_and_that_nothing_does() {
    let mut world = World::new();
    let (there, nothing) = (objects(&mut world).await, Objects::unknown());
    for route in routes(&world).await {
        let Some(requests) = there.requests(&route) else { continue };
        // Beyond the end of a stream, and of periods that are not there or not closed, is another question.
        let plain = |path: &&String| {
            !path.contains('?') && !path.contains("periods/1") && !path.contains("periods/2")
        };
        for path in requests.iter().filter(plain) {
            for caller in [(HOSPITAL, Role::Finance), REGULATOR_READS] {
                assert_eq!(world.ask(caller, path).await.status, StatusCode::OK, "{path} {caller:?}");
            }
        }
        let has_absence =
            route.ends_with("/proof") && !route.contains("statement") || route.contains("streams");
        for path in nothing.requests(&route).unwrap().iter().filter(plain) {
            let answer = world.ask(REGULATOR_READS, path).await;
            let expected = if has_absence { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(answer.status, expected, "{path} {answer:?}");
        }
    }
    // A party learns that a period of its agreement is not closed, and a custodian that nothing was recorded about a tag.
    let open = format!("/v1/agreements/{}/periods/1/proof", there.agreement);
    let unseen = format!("/v1/streams/{}/proof", StreamId::Subject(nothing.subject));
    for path in [open, unseen] {
        assert_eq!(world.ask((HOSPITAL, Role::Finance), &path).await.status, StatusCode::OK, "{path}");
    }
}

/// The attack: an `accept_referral` says no more than its referral, so that an institution which had passed the referral on
/// could compute the id of the grant and saw by 403 that it was accepted.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_who_passed_a_referral_on_does_not_see_that_it_was_accepted() {
    let mut world = World::new();
    let subject = SubjectTag::of(&institution(INSURER), [3; 16]);
    let referral = ReferralId(record(&mut world, INSURER, request(subject, HOSPITAL)).await.0);
    let (to, reason) = (institution(CLINIC), ReferralReason::BetterElsewhere);
    let redirect = RedirectReferral { referral, proposed_receiver: to.clone(), reason };
    record(&mut world, HOSPITAL, Operation::RedirectReferral(redirect)).await;
    record(&mut world, INSURER, Operation::ConfirmRedirect(ConfirmRedirect { referral, receiver: to })).await;
    let accept = Operation::AcceptReferral(AcceptReferral { referral });
    let (_, accepted) = record(&mut world, CLINIC, accept.clone()).await;
    let former = (HOSPITAL, Role::ReferralGateway);
    let [grant, none] = [0, 1].map(|index| hex::encode(accept.object_id(accepted.id(), index)));
    for path in ["/v1/grants/ID", "/v1/grants/ID/proof", "/v1/streams/grant/ID", "/v1/streams/grant/ID/proof"]
    {
        let [there, absent] = [&grant, &none].map(|id| path.replace("ID", id));
        assert_eq!(world.ask(STRANGER, &there).await.status, StatusCode::OK, "the grantee reads {there}");
        let told = whole_answer(&world, former, &there).await;
        assert_eq!(told, whole_answer(&world, former, &absent).await, "{path}");
    }
    let refused = world.ask(former, &format!("/v1/referrals/{referral}")).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "not_found"));
}

/// Who is a member is known to all, so that another's stream is refused as such.
#[tokio::test(flavor = "multi_thread")]
async fn rule_n7_an_institutions_stream_is_its_own() {
    let mut world = World::new();
    world.commit();
    for path in ["/v1/streams/institution/ID", "/v1/streams/institution/ID/proof"] {
        let own = world.ask(STRANGER, &path.replace("ID", CLINIC)).await;
        assert_eq!(own.status, StatusCode::OK, "{path}");
        for other in [HOSPITAL, "nobody"] {
            let refused = world.ask(STRANGER, &path.replace("ID", other)).await;
            assert_eq!(
                (refused.status, refused.code()),
                (StatusCode::FORBIDDEN, "not_yours"),
                "{path} {other}"
            );
        }
    }
}
