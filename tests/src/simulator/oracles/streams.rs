//! Completeness of streams: which entries every stream must have, from the transactions and what became of them alone
//! (rules and chapter 5), against the rows of a disk.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec;
use yilian_spec::base::id::{GrantId, ReferralId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Decision;
use yilian_spec::domain::service::DeliverService;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::Entry;

use super::history::{Act, Agreement, Grant, History, Referral};
use super::rows::{Rows, STREAM_ENTRY, STREAM_HEAD, STREAM_NODE};
use super::{Finding, merkle};

/// A stream as it must be.
#[derive(Default)]
struct Stream {
    entries: Vec<Vec<u8>>,
    leaves: Vec<merkle::Hash>,
    /// How many entries were found on a disk.
    seen: usize,
}

/// Subtrees of so many levels above the entries have rows of their own.
const SUBTREE_LEVEL_MIN: u8 = 8;

impl Stream {
    /// Level, index and root of the subtrees with a row that the entries from number `seen` on completed.
    fn subtrees_since(&self, seen: usize) -> Vec<(u8, u64, merkle::Hash)> {
        let mut subtrees = Vec::new();
        for level in SUBTREE_LEVEL_MIN.. {
            let size = 1usize << level;
            if size > self.leaves.len() {
                break;
            }
            for (index, leaves) in (0..).zip(self.leaves.chunks_exact(size)).skip(seen / size) {
                subtrees.push((level, index, merkle::root(leaves)));
            }
        }
        subtrees
    }
}

/// All streams as they must be.
#[derive(Default)]
pub struct Streams {
    streams: BTreeMap<StreamId, Stream>,
    touched: BTreeSet<StreamId>,
}

impl Streams {
    /// An entry stands in each of these streams.
    pub fn append(&mut self, streams: BTreeSet<StreamId>, entry: &Entry) {
        let row = codec::encode(entry);
        let leaf = merkle::leaf(&row);
        for id in streams {
            let stream = self.streams.entry(id.clone()).or_default();
            stream.entries.push(row.clone());
            stream.leaves.push(leaf);
            self.touched.insert(id);
        }
    }

    /// Number of entries of a stream, and its root.
    pub fn summary(&self, id: &StreamId) -> (u64, merkle::Hash) {
        let leaves = self.streams.get(id).map_or(&[][..], |stream| &stream.leaves);
        (leaves.len() as u64, merkle::root(leaves))
    }

    /// Compares the streams that grew since the last comparison.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_touched(&mut self, rows: &Rows<'_>) -> Result<(), Finding> {
        for id in std::mem::take(&mut self.touched) {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            for index in stream.seen..=stream.entries.len() {
                let row = rows.get(&StateKey::StreamEntry(id.clone(), index as u64))?;
                check_entry(&id, index as u64, stream.entries.get(index), row.as_ref())?;
            }
            for (level, index, root) in stream.subtrees_since(stream.seen) {
                let row = rows.get(&StateKey::StreamNode(id.clone(), level, index))?;
                check_subtree(&id, level, root, row.as_ref())?;
            }
            stream.seen = stream.entries.len();
            let head = rows.get(&StateKey::StreamHead(id.clone()))?;
            check_head(&id, Some(&merkle::head(&stream.leaves)), head.as_ref())?;
        }
        Ok(())
    }

    /// Compares all streams, entry by entry, and looks for such as should not be there.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_all(&self, rows: &Rows<'_>) -> Result<(), Finding> {
        let mut heads = rows.all(STREAM_HEAD)?;
        let mut entries = rows.all(STREAM_ENTRY)?;
        let mut subtrees = rows.all(STREAM_NODE)?;
        for (id, stream) in &self.streams {
            for (index, expected) in (0..).zip(&stream.entries) {
                let row = entries.remove(&StateKey::StreamEntry(id.clone(), index).bytes());
                check_entry(id, index, Some(expected), row.as_ref())?;
            }
            for (level, index, root) in stream.subtrees_since(0) {
                let row = subtrees.remove(&StateKey::StreamNode(id.clone(), level, index).bytes());
                check_subtree(id, level, root, row.as_ref())?;
            }
            let head = heads.remove(&StateKey::StreamHead(id.clone()).bytes());
            check_head(id, Some(&merkle::head(&stream.leaves)), head.as_ref())?;
        }
        if let Some(key) = subtrees.into_keys().next() {
            return Err(Finding::SubtreeAdded { key: hex::encode(key) });
        }
        if let Some(key) = entries.into_keys().next() {
            let (id, index) = stream_of_entry(&key).ok_or(Finding::Unreadable { key: hex::encode(&key) })?;
            return Err(Finding::EntryAdded { stream: id.to_string(), index });
        }
        match heads.into_keys().next() {
            Some(key) => {
                let id = StreamId::of_head_key(&key);
                let id = id.ok_or(Finding::Unreadable { key: hex::encode(&key) })?;
                Err(Finding::HeadAdded { stream: id.to_string() })
            }
            None => Ok(()),
        }
    }
}

fn check_entry(
    id: &StreamId,
    index: u64,
    expected: Option<&Vec<u8>>,
    found: Option<&Vec<u8>>,
) -> Result<(), Finding> {
    let stream = || id.to_string();
    match (expected, found) {
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(_), Some(_)) => Err(Finding::EntryDiffers { stream: stream(), index }),
        (Some(_), None) => Err(Finding::EntryMissing { stream: stream(), index }),
        (None, Some(_)) => Err(Finding::EntryAdded { stream: stream(), index }),
        (None, None) => Ok(()),
    }
}

fn check_subtree(
    id: &StreamId,
    level: u8,
    root: merkle::Hash,
    found: Option<&Vec<u8>>,
) -> Result<(), Finding> {
    match found {
        Some(found) if *found == root => Ok(()),
        Some(_) | None => Err(Finding::SubtreeDiffers { stream: id.to_string(), level }),
    }
}

fn check_head(id: &StreamId, expected: Option<&Vec<u8>>, found: Option<&Vec<u8>>) -> Result<(), Finding> {
    match found {
        Some(_) if found == expected => Ok(()),
        Some(_) => Err(Finding::HeadDiffers { stream: id.to_string() }),
        None => Err(Finding::HeadMissing { stream: id.to_string() }),
    }
}

/// The stream and the number of an entry, from its key: that of a head but for the first byte, then the number.
fn stream_of_entry(key: &[u8]) -> Option<(StreamId, u64)> {
    let (stream, index) = key.split_last_chunk::<8>()?;
    let mut head = stream.to_vec();
    *head.first_mut()? = STREAM_HEAD;
    Some((StreamId::of_head_key(&head)?, u64::from_be_bytes(*index)))
}

/// The streams in which an operation that takes effect has its entry.
///
/// # Errors
/// When it refers to what was never made.
pub fn of_applied(history: &History, act: &Act<'_>) -> Result<BTreeSet<StreamId>, Finding> {
    let mut streams = BTreeSet::from([StreamId::Institution(act.institution.clone())]);
    let moved = |id| history.referral(id).map(|referral| of_referral(id, referral));
    match act.operation {
        Operation::RegisterKey(_)
        | Operation::RotateKey(_)
        | Operation::RevokeKey(_)
        | Operation::PublishCapacity(_) => {}
        Operation::GrantAccess(grant) => {
            streams.extend([
                StreamId::Grant(GrantId(act.object())),
                StreamId::Subject(grant.subject),
                StreamId::Institution(grant.grantee.clone()),
            ]);
        }
        Operation::RevokeGrant(revoke) => {
            streams.extend(of_grant(revoke.grant, history.grant(revoke.grant)?));
        }
        Operation::RecordDisclosure(disclosure) => {
            streams.insert(StreamId::Institution(disclosure.recipient.clone()));
            streams.insert(match disclosure.decision {
                Decision::Permit { grant } => StreamId::Grant(grant),
                Decision::Deny { .. } => StreamId::Subject(disclosure.subject),
            });
        }
        Operation::RecordReceipt(receipt) => {
            let disclosure = history.disclosure(receipt.disclosure)?;
            streams.insert(StreamId::Institution(disclosure.source.clone()));
            streams.extend(permitting(disclosure.recorded.decision).map(StreamId::Grant));
        }
        Operation::DeliverService(service) => {
            streams.extend(of_service(service));
            let counting = history.counting(act, service).into_iter();
            streams.extend(counting.map(|(agreement, period, _)| StreamId::Period { agreement, period }));
        }
        Operation::ReverseService(reverse) => {
            let service = history.service(reverse.service)?;
            streams.extend(of_service(&service.delivered));
            for (agreement, _) in &service.counted_in {
                let period = history.agreement(*agreement)?.open_period;
                streams.insert(StreamId::Period { agreement: *agreement, period });
            }
        }
        Operation::ProposeAgreement(proposed) => {
            let parties = proposed.terms.parties.iter();
            streams.extend(parties.map(|party| StreamId::Institution(party.institution.clone())));
        }
        Operation::SignAgreement(sign) => streams.extend(of_parties(history.agreement(sign.agreement)?)),
        Operation::TerminateAgreement(end) => streams.extend(of_parties(history.agreement(end.agreement)?)),
        Operation::ClosePeriod(close) => streams.extend(of_parties(history.agreement(close.agreement)?)),
        Operation::RequestReferral(request) => {
            streams.insert(StreamId::Referral(ReferralId(act.object())));
            streams.insert(StreamId::Subject(request.subject));
            streams.insert(StreamId::Institution(request.receiver.clone()));
        }
        Operation::ReturnDownward(back) => {
            streams.extend(moved(back.returns)?);
            streams.insert(StreamId::Referral(ReferralId(act.object())));
        }
        Operation::AcceptReferral(accept) => {
            streams.extend(moved(accept.referral)?);
            streams.insert(StreamId::Grant(GrantId(act.object())));
        }
        // Who should be asked instead learns nothing of it yet.
        Operation::RedirectReferral(redirect) => streams.extend(moved(redirect.referral)?),
        Operation::ConfirmRedirect(confirm) => {
            // Who was asked before has no more to do with it.
            let before = StreamId::Institution(history.referral(confirm.referral)?.receiver.clone());
            streams.extend(moved(confirm.referral)?.into_iter().filter(|stream| *stream != before));
            streams.insert(StreamId::Institution(confirm.receiver.clone()));
        }
        Operation::HandOver(hand_over) => streams.extend(moved(hand_over.referral)?),
        Operation::AcknowledgeHandover(acknowledge) => streams.extend(moved(acknowledge.referral)?),
        Operation::ReportOutcome(report) => streams.extend(moved(report.referral)?),
        Operation::AmendOutcome(amend) => streams.extend(moved(amend.referral)?),
        Operation::CloseClinically(close) => streams.extend(moved(close.referral)?),
        Operation::DeclineReferral(decline) => streams.extend(of_ended(history, decline.referral)?),
        Operation::CancelReferral(cancel) => streams.extend(of_ended(history, cancel.referral)?),
        Operation::CloseAdministratively(close) => streams.extend(of_ended(history, close.referral)?),
    }
    Ok(streams)
}

/// The streams in which a refused operation has its entry, if its key is the named institution's (rule X-3).
pub fn of_refused(act: &Act<'_>) -> BTreeSet<StreamId> {
    let mut streams = BTreeSet::from([StreamId::Institution(act.institution.clone())]);
    if let Operation::RecordDisclosure(disclosure) = act.operation
        && History::may_keep(disclosure.subject, act.institution)
    {
        streams.insert(StreamId::Subject(disclosure.subject));
    }
    streams
}

fn permitting(decision: Decision) -> Option<GrantId> {
    match decision {
        Decision::Permit { grant } => Some(grant),
        Decision::Deny { .. } => None,
    }
}

fn of_grant(id: GrantId, grant: &Grant) -> [StreamId; 4] {
    [
        StreamId::Grant(id),
        StreamId::Subject(grant.subject),
        StreamId::Institution(grant.grantor.clone()),
        StreamId::Institution(grant.grantee.clone()),
    ]
}

fn of_service(service: &DeliverService) -> Vec<StreamId> {
    let players = service.parts.iter().map(|part| &part.institution);
    let institutions = players.chain([&service.payer]).cloned().map(StreamId::Institution);
    institutions.collect()
}

fn of_parties(agreement: &Agreement) -> Vec<StreamId> {
    let parties = agreement.proposed.terms.parties.iter();
    parties.map(|party| StreamId::Institution(party.institution.clone())).collect()
}

fn of_referral(id: ReferralId, referral: &Referral) -> [StreamId; 4] {
    [
        StreamId::Referral(id),
        StreamId::Subject(referral.subject),
        StreamId::Institution(referral.requester.clone()),
        StreamId::Institution(referral.receiver.clone()),
    ]
}

/// A referral that comes to its end takes the grant with it that accepting it gave, unless that was revoked before.
fn of_ended(history: &History, id: ReferralId) -> Result<Vec<StreamId>, Finding> {
    let referral = history.referral(id)?;
    let mut streams = of_referral(id, referral).to_vec();
    if let Some(grant_id) = referral.grant {
        let grant = history.grant(grant_id)?;
        if !grant.ended {
            streams.extend(of_grant(grant_id, grant));
        }
    }
    Ok(streams)
}
