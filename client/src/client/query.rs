//! Questions: rows of the state with their proofs, lists, statements, blocks.

use serde::Serialize;
use serde::de::DeserializeOwned;
use yilian_spec::api::Page;
use yilian_spec::api::ledger::Block;
use yilian_spec::api::settlement::Period;
use yilian_spec::base::codec::Canonical;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, DisclosureId, InstitutionId, ServiceId};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::Header;
use yilian_spec::proof::{Checkpoint, Proof, ProofDocument, StatementProof};
use yilian_spec::state::key::StateKey;

use super::Client;
use super::transport::Request;
use crate::error::ClientError;
use crate::limits;

/// Something that was read from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched<T> {
    /// The record.
    pub value: T,
    /// The block after which it was so.
    pub height: Height,
    /// That block's time.
    #[serde(rename = "time_ms")]
    pub time: LedgerTime,
    /// Whether it was proven against a checkpoint.
    pub verified: bool,
}

/// A list, over all its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The height at which the last page was read.
    pub height: Height,
}

/// What was asked for, with what to look at where it is named by an identifier, of which there are several kinds.
fn named(key: &StateKey) -> String {
    if matches!(key, StateKey::Grant(_) | StateKey::Referral(_) | StateKey::Agreement(_)) {
        format!("{key}: check the identifier, which may be that of something else")
    } else {
        key.to_string()
    }
}

impl Client {
    /// The proof that a request is answered with, verified where there is a checkpoint; `absent` where there is none.
    ///
    /// # Errors
    /// `absent`, [`ClientError::Verification`], or what asking gives.
    pub(super) async fn proof(
        &self,
        request: Request<'_>,
        absent: ClientError,
    ) -> Result<(ProofDocument, bool), ClientError> {
        let mut pauses = 0;
        loop {
            match self.proof_once(request.clone()).await {
                Ok(Some(proof)) => return Ok(proof),
                Ok(None) => return Err(absent),
                Err(error) if self.asks_again(&error, &mut pauses).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn proof_once(&self, request: Request<'_>) -> Result<Option<(ProofDocument, bool)>, ClientError> {
        let answer = self.send(request).await?;
        if answer.status == reqwest::StatusCode::NOT_FOUND {
            // Nothing proves it, but what a node that is behind does not know may exist.
            if self.checkpoint.is_some() {
                self.block_once("latest").await?;
            }
            return Ok(None);
        }
        let document = ProofDocument::from_json(&answer.bytes()?)?;
        let verified = self.verify(&document)?;
        Ok(Some((document, verified)))
    }

    /// The proof of a row of the state, or of its absence. That an object is absent is proven to regulators alone.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`], [`ClientError::OtherProof`] when it proves another row,
    /// [`ClientError::Verification`], or what asking gives.
    pub async fn row_proof(&self, key: &StateKey) -> Result<(ProofDocument, bool), ClientError> {
        let bytes = key.bytes();
        let path = format!("/v1/state/{}/proof", hex::encode(&bytes));
        let absent = ClientError::NoneOfYours { what: key.to_string() };
        let (document, verified) = self.proof(Request::get(&path), absent).await?;
        match &document.proof {
            Proof::State(proof) if proof.row.key == bytes => Ok((document, verified)),
            _ => Err(ClientError::OtherProof { what: format!("row {}", hex::encode(&bytes)) }),
        }
    }

    /// The record under a key of the state, read from its proof; `None` where the ledger has none.
    ///
    /// # Errors
    /// As [`Client::row_proof`].
    pub async fn row<T: Canonical>(&self, key: &StateKey) -> Result<Fetched<Option<T>>, ClientError> {
        let (document, verified) = self.row_proof(key).await?;
        let Proof::State(proof) = &document.proof else {
            return Err(ClientError::OtherProof { what: key.to_string() });
        };
        let header = &proof.block.header;
        Ok(Fetched {
            value: proof.row.read(key.kind().name())?,
            height: header.height,
            time: header.time,
            verified,
        })
    }

    /// The record under a key of the state, which must be there.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], and as [`Client::row_proof`].
    pub async fn record<T: Canonical>(&self, key: &StateKey) -> Result<Fetched<T>, ClientError> {
        self.proven_record(key).await.map(|(_, fetched)| fetched)
    }

    /// [`Client::record`] together with its proof.
    ///
    /// # Errors
    /// As [`Client::record`].
    pub async fn proven_record<T: Canonical>(
        &self,
        key: &StateKey,
    ) -> Result<(ProofDocument, Fetched<T>), ClientError> {
        let (document, verified) = self.row_proof(key).await?;
        let Proof::State(proof) = &document.proof else {
            return Err(ClientError::OtherProof { what: key.to_string() });
        };
        let Header { height, time, .. } = proof.block.header;
        let value = proof.row.read(key.kind().name())?;
        let value = value.ok_or_else(|| ClientError::NotFound { what: named(key) })?;
        Ok((document, Fetched { value, height, time, verified }))
    }

    /// A list, over all its pages. Not proven; streams are where completeness is. Its height is the node's word, so one that
    /// serves an old list by mistake is found out, and one that lies about the height is not.
    ///
    /// # Errors
    /// [`ClientError::ListTooLong`], [`ClientError::Stale`], [`ClientError::TooOld`], or what asking gives.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &[(&'static str, String)],
    ) -> Result<List<T>, ClientError> {
        self.require_young_nodes().await?;
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        let mut pauses = 0;
        loop {
            let mut request = Request::get(path).with("limit", limits::PAGE_ITEMS);
            for (name, value) in filter {
                request = request.with(name, value);
            }
            if let Some(cursor) = &cursor {
                request = request.with("cursor", cursor);
            }
            let page: Page<T> = self.send(request).await?.json()?;
            match self.require_present_page(page.height) {
                Ok(()) => {}
                Err(error) if self.asks_again(&error, &mut pauses).await => continue,
                Err(error) => return Err(error),
            }
            items.extend(page.items);
            if items.len() > limits::LIST_ITEMS_MAX {
                return Err(ClientError::ListTooLong);
            }
            // A cursor that does not move would go round for ever.
            let next = page.next_cursor.filter(|next| cursor.as_ref() != Some(next));
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(List { items, height: page.height }),
            }
        }
    }

    /// A record that the node alone vouches for, as JSON; `absent` where it has none.
    async fn plain<T: DeserializeOwned>(&self, path: &str, absent: ClientError) -> Result<T, ClientError> {
        let answer = self.send(Request::get(path)).await?;
        if answer.status == reqwest::StatusCode::NOT_FOUND {
            return Err(absent);
        }
        answer.json()
    }

    /// A delivered service. Not proven: the stream of its institution is.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`], or what asking gives.
    pub async fn service<T: DeserializeOwned>(&self, id: ServiceId) -> Result<T, ClientError> {
        let absent = ClientError::NoneOfYours { what: format!("service {id}") };
        self.plain(&format!("/v1/services/{id}"), absent).await
    }

    /// A disclosure. Not proven: the stream of its grant is, or, where it was denied, that of its subject.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`], or what asking gives.
    pub async fn disclosure<T: DeserializeOwned>(&self, id: DisclosureId) -> Result<T, ClientError> {
        let absent = ClientError::NoneOfYours { what: format!("disclosure {id}") };
        self.plain(&format!("/v1/disclosures/{id}"), absent).await
    }

    /// A period, open or closed. Not proven.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`], or what asking gives.
    pub async fn period(&self, agreement: AgreementId, period: u32) -> Result<Period, ClientError> {
        let absent = ClientError::NoneOfYours { what: format!("period {agreement}.{period}") };
        self.plain(&format!("/v1/agreements/{agreement}/periods/{period}"), absent).await
    }

    /// The statement of a closed period with its proof.
    ///
    /// # Errors
    /// [`ClientError::NoneOfYours`] also while the period is open, [`ClientError::OtherProof`],
    /// [`ClientError::Verification`], or what asking gives.
    pub async fn statement(
        &self,
        agreement: AgreementId,
        period: u32,
    ) -> Result<(StatementProof, bool), ClientError> {
        let what = || format!("statement of period {period} of agreement {agreement}");
        let path = format!("/v1/agreements/{agreement}/periods/{period}/statement/proof");
        let absent = ClientError::NoneOfYours { what: format!("{}, or its period is still open", what()) };
        let (document, verified) = self.proof(Request::get(&path), absent).await?;
        match document.proof {
            Proof::Statement(proof)
                if proof.statement.agreement == agreement && proof.statement.period == period =>
            {
                Ok((*proof, verified))
            }
            _ => Err(ClientError::OtherProof { what: what() }),
        }
    }

    /// A block by its height, or `latest`; its header verified where there is a checkpoint.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::OtherChain`], [`ClientError::Verification`], or what asking gives.
    pub async fn block(&self, height: &str) -> Result<(Block, bool), ClientError> {
        let mut pauses = 0;
        loop {
            match self.block_once(height).await {
                Err(error) if self.asks_again(&error, &mut pauses).await => {}
                other => return other,
            }
        }
    }

    /// The proof that the log of the latest block begins with that of block `height`.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::OtherProof`], [`ClientError::Verification`], or what asking gives.
    pub async fn consistency_proof(&self, height: u64) -> Result<(ProofDocument, bool), ClientError> {
        let what = || format!("block of height {height}");
        let path = format!("/v1/blocks/{height}/consistency");
        let absent = ClientError::NotFound { what: what() };
        let (document, verified) = self.proof(Request::get(&path), absent).await?;
        match &document.proof {
            Proof::Consistency(proof) if proof.earlier.header.height.0 == height => Ok((document, verified)),
            _ => Err(ClientError::OtherProof { what: what() }),
        }
    }

    async fn block_once(&self, height: &str) -> Result<(Block, bool), ClientError> {
        let absent = ClientError::NotFound { what: format!("block of height {height}") };
        let block: Block = self.plain(&format!("/v1/blocks/{height}"), absent).await?;
        let header = &block.certified.header;
        self.require_chain(header.chain_id)?;
        let asked: Option<u64> = height.parse().ok();
        if asked.is_some_and(|asked| asked != header.height.0) {
            return Err(ClientError::OtherProof { what: format!("block {height}") });
        }
        let Some(checkpoint) = &self.checkpoint else { return Ok((block, false)) };
        block.certified.verify(checkpoint)?;
        self.memory.saw(&block.certified)?;
        if asked.is_none() {
            self.require_present(header)?;
        }
        Ok((block, true))
    }

    /// The checkpoint of the tip. Verified only in that a node of this ledger gives it: whoever saves it trusts the
    /// node now.
    ///
    /// # Errors
    /// [`ClientError::OtherChain`], or what asking gives.
    pub async fn tip_checkpoint(&self) -> Result<Checkpoint, ClientError> {
        let checkpoint: Checkpoint =
            self.transport.send(Request::get("/v1/checkpoint"), None).await?.json()?;
        self.require_chain(checkpoint.chain_id)?;
        Ok(checkpoint)
    }

    /// The grants, referrals or agreements that concern an institution are listed by it.
    pub fn about(&self, institution: Option<InstitutionId>) -> Vec<(&'static str, String)> {
        institution
            .or_else(|| self.institution.clone())
            .map(|institution| ("institution", institution.to_string()))
            .into_iter()
            .collect()
    }
}
