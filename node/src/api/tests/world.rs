//! A ledger of four institutions in a temporary directory, and a caller of its API in process.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;
use yilian_spec::base::codec;
use yilian_spec::base::id::{Commitment, InstitutionId, SubjectTag, TransactionId};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::crypto::token::{self, Claims};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{AccessScope, Category, GrantAccess, Purpose, Sensitivity};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, precommit_signing_bytes};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::proof::Checkpoint;

use super::conformity;
use crate::api::{Api, ApiOptions, ApiParts, router};
use crate::application::ledger::{Ledger, LedgerOptions};
use crate::application::{Application, UndecidedBlock};
use crate::base::clock::{Clock, ManualClock};
use crate::health::{Gathered, HealthMonitor};
use crate::mempool::Mempool;
use crate::mempool::pool::PoolBounds;
use crate::metrics::Metrics;
use crate::storage::{StorageOptions, Store};

pub const HOSPITAL: &str = "county-hospital";
pub const CLINIC: &str = "township-clinic";
pub const INSURER: &str = "provincial-insurer";
pub const REGULATOR: &str = "health-commission";
/// All of them are in it.
pub const CONSORTIUM: &str = "north-county";

const NOW_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;
/// Bytes of a body in these tests.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The key of an institution for a role.
pub fn secret(institution: &str, role: Role) -> SecretKey {
    let mut seed = [role as u8 + 1; 32];
    seed[..8].copy_from_slice(&institution.as_bytes()[..8]);
    SecretKey::from_seed(&seed)
}

pub fn institution(id: &str) -> InstitutionId {
    InstitutionId::new(id).unwrap()
}

fn genesis() -> Genesis {
    let members = [
        (HOSPITAL, InstitutionKind::Hospital, Some(Tier::County)),
        (REGULATOR, InstitutionKind::Regulator, None),
        (INSURER, InstitutionKind::Insurer, None),
        (CLINIC, InstitutionKind::PrimaryCare, Some(Tier::Township)),
    ];
    let window = Window { starts: LedgerTime(NOW_MS - DAY_MS), expires: LedgerTime(NOW_MS + 30 * DAY_MS) };
    let institutions = members.map(|(id, kind, tier)| GenesisInstitution {
        institution: Institution {
            id: institution(id),
            name: id.to_owned(),
            kind,
            tier,
            consortia: BTreeSet::from([CONSORTIUM.parse().unwrap()]),
        },
        keys: Role::ALL.map(|role| GenesisKey { key: secret(id, role).public_key(), role, window }).to_vec(),
    });
    let validator = Validator {
        key: secret(HOSPITAL, Role::Validator).public_key(),
        institution: institution(HOSPITAL),
        power: 1,
    };
    let genesis = Genesis {
        network: "api-tests".to_owned(),
        time: LedgerTime(NOW_MS - 1_000),
        parameters: Parameters::default(),
        institutions: institutions.to_vec(),
        validators: ValidatorSet::new(vec![validator]),
    };
    genesis.check().unwrap();
    genesis
}

/// Who calls: an institution's key of a role.
pub type As = (&'static str, Role);

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub json: Value,
}

impl Answer {
    /// The error's stable name.
    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }
}

pub struct World {
    pub ledger: Ledger,
    pub mempool: Mempool,
    pub clock: Arc<ManualClock>,
    pub health: Arc<HealthMonitor>,
    pub api: Api,
    pub router: Router,
    pub genesis: Genesis,
    pub stopping: watch::Sender<bool>,
    nonce: u8,
    _directory: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.mempool.stop();
    }
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let genesis = genesis();
        let store = Store::open_or_create(directory.path(), &genesis, StorageOptions::default()).unwrap();
        let proposer = Some(secret(HOSPITAL, Role::Validator).public_key());
        let mut ledger =
            Ledger::open(Arc::new(store), LedgerOptions { proposer, ..LedgerOptions::default() }).unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let (mempool, _) =
            Mempool::new(ledger.reader(), Arc::clone(&shared), ledger.timings(), PoolBounds::default());
        mempool.spawn_workers(1).unwrap();
        ledger.set_source(mempool.clone());
        let health = Arc::new(HealthMonitor::new(Arc::clone(&shared), 1 << 20, u64::MAX, || Gathered {
            power_reachable: 1,
            power_total: 1,
            ..Gathered::default()
        }));
        let (stopping, stops) = watch::channel(false);
        let options = ApiOptions {
            body_bytes_max: BODY_BYTES_MAX,
            request_timeout_ms: 10_000,
            waiters_max: 1,
            event_streams_max: 1,
        };
        let api = Api::new(ApiParts {
            reader: ledger.reader(),
            mempool: mempool.clone(),
            node: secret(HOSPITAL, Role::Node).public_key(),
            clock: shared,
            health: Arc::clone(&health),
            metrics: Arc::new(Metrics::new(Vec::new, None)),
            options,
            stopping: stops,
        });
        let router = router(api.clone());
        Self {
            ledger,
            mempool,
            clock,
            health,
            api,
            router,
            genesis,
            stopping,
            nonce: 0,
            _directory: directory,
        }
    }

    pub fn now(&self) -> LedgerTime {
        LedgerTime(self.clock.now_ms())
    }

    /// What a verifier of these tests trusts.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::of_genesis(&self.genesis)
    }

    /// A signed transaction.
    pub fn transaction(&mut self, author: As, operations: Vec<Operation>) -> Transaction {
        let key = secret(author.0, author.1);
        self.nonce += 1;
        TransactionBody {
            chain_id: self.genesis.chain_id(),
            author: key.public_key(),
            institution: institution(author.0),
            created: self.now(),
            expires: self.now().plus_ms(60_000),
            nonce: [self.nonce; 16],
            operations,
        }
        .sign(&key)
    }

    /// A patient of the hospital's.
    pub fn patient(number: u8) -> SubjectTag {
        SubjectTag::of(&institution(HOSPITAL), [number; 16])
    }

    /// The hospital lets the clinic see a patient's records.
    pub fn grant(&mut self, patient: u8) -> Transaction {
        let grant = Operation::GrantAccess(GrantAccess {
            subject: Self::patient(patient),
            grantee: institution(CLINIC),
            scope: AccessScope {
                categories: BTreeSet::from([Category::Laboratory]),
                highest_sensitivity: Sensitivity::N,
                purposes: BTreeSet::from([Purpose::Treat]),
            },
            window: Window { starts: self.now(), expires: self.now().plus_ms(DAY_MS) },
            consent: Commitment([patient; 32]),
        });
        self.transaction((HOSPITAL, Role::AccessGateway), vec![grant])
    }

    /// Makes a block of what waits, and commits it.
    pub fn commit(&mut self) {
        self.clock.advance(1_000);
        let height = self.ledger.tip().height.next();
        let built = self.ledger.build(height, 0, self.clock.now_ms()).unwrap();
        let key = secret(HOSPITAL, Role::Validator);
        self.ledger
            .remember(UndecidedBlock {
                height,
                round: 0,
                valid_round: None,
                proposer: key.public_key(),
                block_id: built.block_id,
                bytes: built.bytes,
            })
            .unwrap();
        let bytes = precommit_signing_bytes(self.genesis.chain_id(), height, 0, built.block_id);
        let signature = CommitSignature { validator: key.public_key(), signature: key.sign(&bytes) };
        self.ledger
            .commit(&CommitCertificate {
                height,
                round: 0,
                block_id: built.block_id,
                signatures: vec![signature],
            })
            .unwrap();
    }

    /// Submits transactions past the API and commits them in one block; returns their ids.
    pub fn committed(&mut self, transactions: Vec<Transaction>) -> Vec<TransactionId> {
        let ids = transactions.iter().map(Transaction::id).collect();
        self.mempool.submit_now(transactions).into_iter().for_each(|verdict| {
            verdict.unwrap();
        });
        self.commit();
        ids
    }

    /// A token of an institution's key.
    pub fn token(&self, caller: As) -> String {
        let claims = Claims::new(caller.0, &self.api.audience(), self.clock.now_ms() / 1_000, 120);
        token::sign(&claims, &secret(caller.0, caller.1)).unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn answer(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let response = self.send(request).await;
        let status = response.status();
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_data_stream();
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        conformity::check(&method, &path, status, &json);
        Answer { status, json }
    }

    /// Asks without a token.
    pub async fn ask_openly(&self, path: &str) -> Answer {
        self.answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Asks as an institution.
    pub async fn ask(&self, caller: As, path: &str) -> Answer {
        self.answer(self.request(Method::GET, caller, path, "", Body::empty())).await
    }

    /// Submits a body as an institution.
    pub async fn post(&self, caller: As, kind: &str, bytes: impl Into<Body>) -> Answer {
        self.answer(self.request(Method::POST, caller, "/v1/transactions", kind, bytes.into())).await
    }

    /// Submits one transaction's canonical bytes as its author's institution.
    pub async fn submit(&self, caller: As, transaction: &Transaction) -> Answer {
        self.post(caller, "application/octet-stream", codec::encode(transaction)).await
    }

    pub fn request(&self, method: Method, caller: As, path: &str, kind: &str, body: Body) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.token(caller)));
        let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
        request.body(body).unwrap()
    }
}
