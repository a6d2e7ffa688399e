//! The book of conduct: per institution, what its nodes send, what of it was refused, and why.
//!
//! Whoever refuses something of a peer says so here, and nowhere else: [`Conduct::refused`]. The book answers who it was
//! (`yilian-node peers`, `/health`, `/metrics`) and writes one line of log per institution and offence in a while, with
//! the count of those in between. It is about institutions, not peers, so that more keys do not make more room; who has
//! no key of the ledger counts under [`STRANGERS`].

pub(crate) mod absence;
mod account;
pub(crate) mod disconnected;
pub(crate) mod missing;
mod offence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::sync::watch;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};

pub use account::{ConnectedPeer, InstitutionConduct, Received, Refused};
pub use missing::Missing;
pub use offence::Offence;

use crate::base::clock::Clock;
use crate::base::limits;
use crate::health::alarm::{Alarm, AlarmKind, Severity};
use crate::members::Members;
use crate::metrics::{Reading, Value};
use crate::network::Topic;
use account::Account;

/// The name under which all stand whom the ledger does not name.
pub const STRANGERS: &str = "strangers";

/// The book; clones are the same book.
#[derive(Clone)]
pub struct Conduct {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    members: watch::Receiver<Arc<Members>>,
    book: Mutex<Book>,
    /// Changes whenever somebody is shut out or let in again.
    shut_outs: watch::Sender<()>,
}

#[derive(Default)]
struct Book {
    /// `None` for strangers. At most one for each institution that the ledger ever named.
    accounts: BTreeMap<Option<InstitutionId>, Account>,
    /// Those that the operator has disconnected until further notice.
    disconnected: BTreeSet<InstitutionId>,
    /// The first height at which another process was seen to sign with this validator's key.
    own_key_since: Option<Height>,
}

impl Conduct {
    /// An empty book; `members` says which institution a peer is of.
    pub fn new(members: watch::Receiver<Arc<Members>>, clock: Arc<dyn Clock>) -> Self {
        let (book, shut_outs) = (Mutex::default(), watch::channel(()).0);
        Self { shared: Arc::new(Shared { clock, members, book, shut_outs }) }
    }

    /// What the clock says by which the book is kept.
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// The institution of a peer; `None` when the ledger does not name it.
    pub fn institution(&self, peer: &PeerId) -> Option<InstitutionId> {
        self.shared.members.borrow().institution(peer).cloned()
    }

    /// Whether the ledger names a node of an institution.
    pub fn is_member(&self, institution: &InstitutionId) -> bool {
        self.shared.members.borrow().has_node(institution)
    }

    /// Something of a peer was refused. Cheap; may be called for every frame of a flood.
    pub fn refused(&self, peer: PeerId, offence: Offence) {
        self.refused_times(peer, offence, 1);
    }

    /// [`Self::refused`], `count` times at once.
    pub fn refused_times(&self, peer: PeerId, offence: Offence, count: u64) {
        if count == 0 {
            return;
        }
        self.count(self.institution(&peer), offence, count, None);
    }

    /// Another process has signed at `height` with the key of this node's validator, which is `institution`'s.
    pub fn own_key_elsewhere(&self, institution: InstitutionId, height: Height) {
        self.book().own_key_since.get_or_insert(height);
        self.count(Some(institution), Offence::OwnKey, 1, None);
    }

    /// A connection from `address` was refused; `peer` is whom it has proven to be, if it got as far.
    pub fn refused_connection(&self, peer: Option<&PeerId>, address: &str, offence: Offence) {
        let institution = peer.and_then(|peer| {
            let members = self.shared.members.borrow();
            members.institution(peer).or_else(|| members.revoked_from(peer)).cloned()
        });
        self.count(institution, offence, 1, Some(address));
    }

    fn count(&self, institution: Option<InstitutionId>, offence: Offence, count: u64, address: Option<&str>) {
        let now_ms = self.shared.clock.now_ms();
        let mut book = self.book();
        let account = book.account(institution.clone(), now_ms);
        if let Some(address) = address {
            account.seen_at(address.to_owned());
        }
        let Some(count) = account.refused(offence, count, now_ms) else { return };
        let last_address = account.last_address().unwrap_or("unknown").to_owned();
        drop(book);
        let who = institution.as_ref().map(InstitutionId::as_str);
        tracing::warn!(
            institution = who.unwrap_or(STRANGERS),
            offence = offence.name(),
            count,
            last_address,
            remedy = offence.remedy(who),
            "refused: {}",
            offence.says()
        );
    }

    /// A frame arrived.
    pub fn received(&self, peer: &PeerId, topic: Topic, bytes: usize) {
        let (institution, now_ms) = (self.institution(peer), self.shared.clock.now_ms());
        self.book().account(institution, now_ms).received(topic, bytes);
    }

    /// A node connected from, or at, an address.
    pub fn connected(&self, peer: PeerId, address: String) {
        let (institution, now_ms) = (self.institution(&peer), self.shared.clock.now_ms());
        self.book().account(institution, now_ms).connected(peer, address, now_ms);
    }

    /// A try at a connection to a node failed, or a connection ended.
    pub fn failed(&self, peer: &PeerId, address: Option<String>, mut reason: String) {
        let members = Arc::clone(&self.shared.members.borrow());
        let named = members.institution(peer).or_else(|| members.revoked_from(peer));
        // Somebody whom the ledger never named: the configuration says so, not an account of strangers.
        let Some(institution) = named.cloned() else { return };
        if let Some((end, _)) = reason.char_indices().nth(limits::CONDUCT_REASON_CHARACTERS_MAX) {
            reason.truncate(end);
        }
        let now_ms = self.shared.clock.now_ms();
        self.book().account(Some(institution), now_ms).failed(address, reason);
    }

    /// The validators' institutions of which no node is connected, but for this node's own: since when, where it was
    /// tried last, and why that failed.
    pub fn missing(&self, validators: &ValidatorSet, own: Option<&PublicKey>) -> Vec<Missing> {
        let now_ms = self.shared.clock.now_ms();
        let own_institution = self.shared.members.borrow().own().cloned();
        let mut book = self.book();
        let mut missing = Vec::new();
        for validator in validators.validators() {
            let Validator { key, institution, power } = validator;
            if own == Some(key) || own_institution.as_ref() == Some(institution) {
                continue;
            }
            let is_shut_out = book.disconnected.contains(institution);
            let account = book.account(Some(institution.clone()), now_ms);
            let Some((since_ms, failure)) = account.away() else { continue };
            let reason = match (is_shut_out, failure) {
                (true, _) => "this node's operator has disconnected it".to_owned(),
                (false, Some(failure)) => failure.to_owned(),
                (false, None) => "it has not connected, and no address of it is known".to_owned(),
            };
            missing.push(Missing {
                institution: institution.to_string(),
                power: *power,
                since_ms,
                last_address: account.last_address().map(str::to_owned),
                reason,
                is_disconnected: is_shut_out,
            });
        }
        missing
    }

    /// A node's last connection is gone.
    pub fn disconnected(&self, peer: &PeerId) {
        let now_ms = self.shared.clock.now_ms();
        // Its key may have been revoked since, and then it is nobody's any more.
        self.book().accounts.values_mut().for_each(|account| account.disconnected(peer, now_ms));
    }

    /// Shuts out a peer's institution for so long: the gate closes its connections and refuses new ones. Somebody whom
    /// the ledger does not name is shut out anyhow.
    pub fn shut_out(&self, peer: &PeerId, how_long: Duration) {
        let Some(institution) = self.institution(peer) else { return };
        let now_ms = self.shared.clock.now_ms();
        let until_ms = now_ms.saturating_add(u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX));
        let mut book = self.book();
        let account = book.account(Some(institution), now_ms);
        account.shut_out_until_ms = account.shut_out_until_ms.max(Some(until_ms));
        drop(book);
        self.shared.shut_outs.send_replace(());
    }

    /// Names all institutions that the operator has disconnected until further notice.
    pub fn set_disconnected(&self, institutions: BTreeSet<InstitutionId>) {
        let now_ms = self.shared.clock.now_ms();
        let mut book = self.book();
        for institution in &institutions {
            book.account(Some(institution.clone()), now_ms);
        }
        book.disconnected = institutions;
        drop(book);
        self.shared.shut_outs.send_replace(());
    }

    /// Whether an institution may have no connection now.
    pub fn is_shut_out(&self, institution: &InstitutionId) -> bool {
        let now_ms = self.shared.clock.now_ms();
        let book = self.book();
        // A lookup by reference would need an owned key of the same shape.
        let account = book.accounts.get(&Some(institution.clone()));
        book.disconnected.contains(institution)
            || account.is_some_and(|account| account.shut_out_until_ms.is_some_and(|until| until > now_ms))
    }

    /// Changes whenever somebody is shut out or let in again.
    pub fn shut_outs(&self) -> watch::Receiver<()> {
        self.shared.shut_outs.subscribe()
    }

    /// All accounts, by name, the strangers first.
    pub fn report(&self) -> Vec<InstitutionConduct> {
        let now_ms = self.shared.clock.now_ms();
        let book = self.book();
        let row = |(institution, account): (&Option<InstitutionId>, &Account)| {
            let is_disconnected = institution.as_ref().is_some_and(|id| book.disconnected.contains(id));
            account.report(institution.as_ref().map(InstitutionId::as_str), is_disconnected, now_ms)
        };
        book.accounts.iter().map(row).collect()
    }

    /// What was refused of whom a short while ago, the latest first.
    pub fn alarms(&self) -> Vec<Alarm> {
        let now_ms = self.shared.clock.now_ms();
        let (report, own_key_since) = (self.report(), self.book().own_key_since);
        let mut recent: Vec<(u64, Alarm)> = report
            .into_iter()
            .flat_map(|account| {
                let about = account.institution;
                account.refused.into_iter().map(move |refused| (about.clone(), refused))
            })
            .filter(|(_, refused)| {
                // The other process may only be silent, and what it signed stays signed.
                let is_recent = refused.offence == Offence::OwnKey
                    || now_ms.saturating_sub(refused.last_ms) < limits::CONDUCT_RECENT_MS;
                is_recent && refused.count > refused.offence.ordinary()
            })
            .map(|(about, Refused { offence, count, last_ms, remedy, .. })| {
                let own_key = own_key_since.filter(|_| offence == Offence::OwnKey);
                let (kind, severity, reason) = match own_key {
                    Some(since) => (AlarmKind::OwnKey, Severity::Urgent, own_key_reason(since, count)),
                    None => {
                        let reason = format!("{about}: {}, {count} refused so far", offence.says());
                        (AlarmKind::Conduct, Severity::Warning, reason)
                    }
                };
                (last_ms, Alarm { kind, about, severity, reason, remedy })
            })
            .collect();
        fairly_shortened(&mut recent, limits::CONDUCT_RECENT_MAX);
        recent.into_iter().map(|(_, alarm)| alarm).collect()
    }

    /// What `/metrics` shows; those of one name stand together.
    pub fn readings(&self) -> Vec<Reading> {
        let report = self.report();
        let reading = |name, help, labels, value: u64| Reading {
            name,
            help,
            labels,
            value: Value::Counter(value as f64),
        };
        let refused = report.iter().flat_map(|account| {
            account.refused.iter().map(move |refused| {
                let labels = vec![
                    ("institution", account.institution.clone()),
                    ("offence", refused.offence.name().to_owned()),
                ];
                reading(
                    "conduct_refused",
                    "What was refused of an institution's nodes",
                    labels,
                    refused.count,
                )
            })
        });
        let topics = || {
            report.iter().flat_map(|account| {
                account.received.iter().map(move |(topic, received)| {
                    let labels = vec![("institution", account.institution.clone()), ("topic", topic.clone())];
                    (labels, received)
                })
            })
        };
        let frames = topics().map(|(labels, received)| {
            reading("conduct_received_frames", "Frames of an institution's nodes", labels, received.frames)
        });
        let bytes = topics().map(|(labels, received)| {
            reading("conduct_received_bytes", "Bytes of those frames", labels, received.bytes)
        });
        refused.chain(frames).chain(bytes).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Counters only: a panic elsewhere cannot leave them half changed.
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts alarms by their time, the latest first, and keeps `most` of them: first that about this node's own key, then of
/// each institution its latest, then of each its second, so that nobody hides another's offences behind many of his own.
fn fairly_shortened(alarms: &mut Vec<(u64, Alarm)>, most: usize) {
    let latest = |(last_ms, _): &(u64, Alarm)| std::cmp::Reverse(*last_ms);
    // Stable sorts, so that those of one moment keep their order.
    alarms.sort_by_key(latest);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, (u64, Alarm))> = Vec::with_capacity(alarms.len());
    for alarm in alarms.drain(..) {
        let rank = if alarm.1.kind == AlarmKind::OwnKey {
            0
        } else {
            let rank = seen.entry(alarm.1.about.clone()).or_default();
            *rank += 1;
            *rank
        };
        ranked.push((rank, alarm));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.truncate(most);
    alarms.extend(ranked.into_iter().map(|(_, alarm)| alarm));
    alarms.sort_by_key(latest);
}

fn own_key_reason(since: Height, count: u64) -> String {
    format!(
        "another process votes with this validator's key since block {since}, or this home is older than what was signed \
         with the key; seen {count} times"
    )
}

impl Book {
    fn account(&mut self, institution: Option<InstitutionId>, now_ms: u64) -> &mut Account {
        self.accounts.entry(institution).or_insert_with(|| Account::new(now_ms))
    }
}

impl std::fmt::Debug for Conduct {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Conduct")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    fn book() -> (Conduct, Arc<ManualClock>, PeerId, PeerId) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let (first, second) = (PeerId::random(), PeerId::random());
        let institution = InstitutionId::new("some-hospital").unwrap();
        let members = Members::of([(first, institution.clone()), (second, institution)]);
        let (_, watch) = watch::channel(Arc::new(members));
        (Conduct::new(watch, Arc::clone(&clock) as Arc<dyn Clock>), clock, first, second)
    }

    #[test]
    fn what_two_nodes_of_one_institution_do_stands_in_one_account_and_strangers_in_theirs() {
        let (conduct, _, first, second) = book();
        conduct.refused(first, Offence::ForgedVote);
        conduct.refused_times(second, Offence::ForgedVote, 4);
        conduct.received(&second, Topic::Part, 100);
        conduct.received(&second, Topic::Part, 50);
        conduct.connected(first, "/ip4/127.0.0.1/tcp/1".to_owned());
        for _ in 0..3 {
            conduct.refused_connection(Some(&PeerId::random()), "/ip4/127.0.0.9/tcp/2", Offence::NotAMember);
        }
        let report = conduct.report();
        assert_eq!(report.len(), 2, "{report:?}");
        assert_eq!((report[0].institution.as_str(), report[0].refused[0].count), (STRANGERS, 3));
        let account = &report[1];
        assert_eq!(account.institution, "some-hospital");
        assert_eq!((account.refused.len(), account.refused[0].count), (1, 5));
        assert_eq!(account.received["part"], Received { frames: 2, bytes: 150 });
        assert_eq!(account.connected.len(), 1);
        conduct.disconnected(&first);
        let account = &conduct.report()[1];
        assert!(account.connected.is_empty());
        assert_eq!(account.last_address.as_deref(), Some("/ip4/127.0.0.1/tcp/1"));
    }

    #[test]
    fn a_flood_is_logged_once_in_a_while_with_its_count() {
        let mut account = Account::new(0);
        assert_eq!(account.refused(Offence::FarRound, 1, 0), Some(1));
        for at in 1..1_000 {
            assert_eq!(account.refused(Offence::FarRound, 1, at), None);
        }
        assert_eq!(account.refused(Offence::ForgedVote, 1, 999), Some(1), "another offence is another line");
        assert_eq!(account.refused(Offence::FarRound, 1, limits::CONDUCT_LOG_INTERVAL_MS), Some(1_000));
        let few = Offence::FailedHandshake.ordinary();
        assert_eq!(account.refused(Offence::FailedHandshake, few, 0), None, "that happens");
        assert_eq!(account.refused(Offence::FailedHandshake, 1, 1), Some(few + 1));
    }

    #[test]
    fn what_was_refused_is_recent_for_a_while_and_the_sentence_names_who_and_what_to_do() {
        let (conduct, clock, first, _) = book();
        conduct.refused(first, Offence::FalseStatus);
        let alarms = conduct.alarms();
        assert_eq!(alarms.len(), 1);
        assert_eq!(alarms[0].about, "some-hospital");
        assert!(alarms[0].remedy.contains("peers disconnect some-hospital"), "{alarms:?}");
        clock.advance(limits::CONDUCT_RECENT_MS);
        assert!(conduct.alarms().is_empty());
        assert_eq!(conduct.readings().len(), 1, "the counter stays");
    }

    #[test]
    fn many_offences_of_one_hide_neither_those_of_others_nor_the_own_key() {
        let alarm = |about: &str, kind, last_ms| {
            let text = String::new();
            let (about, severity) = (about.to_owned(), Severity::Warning);
            (last_ms, Alarm { kind, about, severity, reason: text.clone(), remedy: text })
        };
        let mut alarms: Vec<_> = (10..40).map(|at| alarm("loud", AlarmKind::Conduct, at)).collect();
        alarms.push(alarm("quiet", AlarmKind::Conduct, 5));
        alarms.push(alarm("self", AlarmKind::OwnKey, 1));
        fairly_shortened(&mut alarms, 4);
        let left: Vec<_> = alarms.iter().map(|(at, alarm)| (*at, alarm.about.as_str())).collect();
        assert_eq!(left, [(39, "loud"), (38, "loud"), (5, "quiet"), (1, "self")]);
    }

    #[test]
    fn another_process_with_this_validators_key_is_told_until_the_node_is_started_again() {
        let (conduct, clock, _, _) = book();
        let own = InstitutionId::new("some-hospital").unwrap();
        conduct.own_key_elsewhere(own.clone(), Height(7));
        conduct.own_key_elsewhere(own, Height(9));
        clock.advance(10 * limits::CONDUCT_RECENT_MS);
        let alarms = conduct.alarms();
        assert_eq!((alarms.len(), alarms[0].kind), (1, AlarmKind::OwnKey));
        assert!(
            alarms[0].reason.contains("since block 7") && alarms[0].reason.ends_with("seen 2 times"),
            "{alarms:?}"
        );
        assert!(alarms[0].remedy.contains("stop all but one"), "{alarms:?}");
    }
}
